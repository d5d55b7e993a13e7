"""Personalised promotions that pay: who gets which offer, in which words, within which budget, and what it earned.

Eight rooms, one per step of the story: `data` (clean tables), `profile` (who customers are), `offer` (what fits),
`effect` (what it adds), `allocate` (who gets what), `message` (true words), `deliver` (decide and record), `learn`
(what it did); beside them `simulate` (a shop whose truth is known) and `privacy`. `Offer` is what rooms hand to one
another, `PromoError` what they raise for people. Each is imported when it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Offer",
    "PromoError",
    "allocate",
    "data",
    "deliver",
    "effect",
    "learn",
    "message",
    "offer",
    "privacy",
    "profile",
    "simulate",
]
_INSIDE = {"Offer": "promolift.terms", "PromoError": "promolift.errors"}


def __getattr__(name: str) -> Any:
    if name in _INSIDE:
        return getattr(import_module(_INSIDE[name]), name)
    if name in __all__:
        return import_module(f"promolift.{name}")
    raise AttributeError(f"module 'promolift' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
