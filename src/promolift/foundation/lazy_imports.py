"""A package whose `if TYPE_CHECKING:` block says where its names live in; each imported when it is first used, out.

    if TYPE_CHECKING:
        from promolift.core.offers.menu import MenuItem
    else:
        lazy(__name__)

So a command that needs a room's settings does not wait for the libraries of its models (PEP 562, with one list of names
for type checkers, the import linter and Python).
"""

import ast
import sys
from importlib import import_module
from inspect import getsource
from types import ModuleType
from typing import Any


class Room(ModuleType):
    """A package that finds its names on first use."""

    homes_: dict[str, tuple[str, str]]  # name here: the module it lives in, its name there

    def __getattr__(self, name: str) -> object:
        """Import a name on its first use."""
        if name not in self.homes_:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        home, there = self.homes_[name]
        found = getattr(import_module(home), there)
        super().__setattr__(name, found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        """Python binds every imported submodule in its package, which would hide a function of the same name."""
        if not (name in self.homes_ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """All names, imported or not."""
        return sorted({*super().__dir__(), *self.homes_})


def lazy(package: str) -> None:
    """Let the names imported under `if TYPE_CHECKING:` in a package's `__init__` be imported when they are used."""
    room = sys.modules[package]
    blocks = [node for node in ast.parse(getsource(room)).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    room.homes_ = {  # type: ignore[attr-defined]
        alias.asname or alias.name: (node.module or "", alias.name) for node in imports for alias in node.names
    }
    room.__class__ = Room


class Later:
    """A module that is imported when something of it is first used."""

    def __init__(self, name: str) -> None:
        """By its whole name."""
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """What the module calls so."""
        return getattr(import_module(self._name), name)
