"""Personalised promotions that pay: who gets which offer, in which words, within which budget, and what it earned.

`Shop` goes from raw logs to a `Plan`, its report and its release; `Trial` estimates what each arm of a trial added;
`Log` values policies that never ran; `UpliftEstimator` predicts treatment effects for other libraries' pipelines.
`Offer` is an offer's terms, `PromoError` the base of all errors meant for people. The algorithms are in
`promolift.core`: `customers`, `offers`, `effects`, `allocation`, `decisions`, `messages`, `experiments`. Each name is
imported when it is first used.
"""

from importlib import import_module
from typing import Any

from promolift.foundation.version import __version__

_MODULES = {
    "Log": "promolift.shop.feedback.decision_log",
    "Offer": "promolift.core.offers.terms",
    "Plan": "promolift.shop.results.plan",
    "PromoError": "promolift.foundation.errors",
    "Shop": "promolift.shop.pipeline.shop",
    "Trial": "promolift.trials.trial",
    "UpliftEstimator": "promolift.trials.uplift_estimator",
}
__all__ = [*_MODULES, "__version__", "core"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name == "core":
        return import_module("promolift.core")
    raise AttributeError(f"module 'promolift' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)
