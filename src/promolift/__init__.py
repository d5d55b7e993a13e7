"""Personalised promotions that pay: who gets which offer, in which words, within which budget, and what it earned.

`Shop` goes from raw logs to a `Plan`, its page and its release; `Trial` says what was added by what was tried on some;
`Log` values policies that never ran. `Offer` is what is printed, `PromoError` what is raised for people. Eight rooms,
one per step of the story: `data` (clean tables), `profile` (who customers are), `offer` (what fits), `effect` (what it
adds), `allocate` (who gets what), `message` (true words), `deliver` (decide and record), `learn` (what it did). Each is
imported when it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
_INSIDE = {
    "Log": "promolift.learning.log",
    "Offer": "promolift.terms",
    "Plan": "promolift.results.plan",
    "PromoError": "promolift.errors",
    "Shop": "promolift.shop",
    "Trial": "promolift.trials.trial",
}
_ROOMS = ("allocate", "data", "deliver", "effect", "learn", "message", "offer", "profile")
__all__ = [*_INSIDE, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _INSIDE:
        return getattr(import_module(_INSIDE[name]), name)
    if name in _ROOMS:
        return import_module(f"promolift.{name}")
    raise AttributeError(f"module 'promolift' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
