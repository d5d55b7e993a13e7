"""A page whose words are English in; the same in the language that is spoken, by the catalogue of sentences, out."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

from promolift.results.chinese import kept
from promolift.words import spoken

T = TypeVar("T")
CODES = {"id", "kind", "tone", "evidence", "slug", "fmt", "figure", "by"}  # for scripts and styles
WORDS = re.compile(r"[A-Za-z]{2}")


def in_spoken(value: T) -> T:
    """Chapters, blocks, tables and charts with every text in them looked up; what is not in the catalogue stays."""
    return value if spoken() == "en" else _walked(value)


def _walked(value: Any) -> Any:
    if isinstance(value, str):
        return _kept(value) if WORDS.search(value) else value
    if is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: getattr(value, each.name) for each in fields(value) if each.name not in CODES}
        return replace(value, **{name: _walked(part) for name, part in parts.items()})
    if isinstance(value, Mapping):
        return {name: part if name in CODES else _walked(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(part) for part in value]
    return value


@lru_cache(maxsize=5000)
def _kept(text: str) -> str:
    return kept(text)
