"""Algorithms on tables and arrays: no files, no clock, no text for people.

The public packages are `customers`, `offers`, `effects`, `allocation`, `decisions`, `messages` and `experiments`. Each
is imported when it is first used.
"""

from importlib import import_module
from types import ModuleType

__all__ = ["allocation", "customers", "decisions", "effects", "experiments", "messages", "offers"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"promolift.core.{name}")
    raise AttributeError(f"module 'promolift.core' has no attribute {name!r}; it has {', '.join(__all__)}")
