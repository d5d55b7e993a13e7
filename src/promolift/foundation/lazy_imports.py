"""Import the names of a package when they are first used (PEP 562).

A package lists its names under `if TYPE_CHECKING:`, where type checkers, the import linter and this module read them:

    if TYPE_CHECKING:
        from promolift.core.offers.menu import MenuItem
    else:
        make_lazy(__name__)

So a command that needs only the settings of a package does not load the libraries of its models.
"""

import ast
import sys
from importlib import import_module
from inspect import getsource
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package that imports its names on first use."""

    sources_: dict[str, tuple[str, str]]  # name here: the module it lives in, its name there

    def __getattr__(self, name: str) -> object:
        """Import a name on its first use."""
        if name not in self.sources_:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        home, there = self.sources_[name]
        found = getattr(import_module(home), there)
        super().__setattr__(name, found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        """Ignore a submodule that Python binds under the name of a lazy function: it would hide the function."""
        if not (name in self.sources_ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """Return all names, imported or not."""
        return sorted({*super().__dir__(), *self.sources_})


def make_lazy(package: str) -> None:
    """Make the names under `if TYPE_CHECKING:` of a package's `__init__` load on first use."""
    room = sys.modules[package]
    blocks = [node for node in ast.parse(getsource(room)).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    room.sources_ = {  # type: ignore[attr-defined]
        alias.asname or alias.name: (node.module or "", alias.name) for node in imports for alias in node.names
    }
    room.__class__ = LazyPackage


class LazyModule:
    """A module that is imported when one of its names is first used."""

    def __init__(self, name: str) -> None:
        """`name` is the full name of the module."""
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Return a name of the module."""
        return getattr(import_module(self._name), name)
