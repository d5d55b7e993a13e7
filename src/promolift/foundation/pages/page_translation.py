"""A page whose words are English in; the same in the language that is spoken, by the catalogue of sentences, out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar

from promolift.foundation.i18n.formatting import spoken
from promolift.foundation.i18n.translation import kept

T = TypeVar("T")
CODES = {"id", "kind", "tone", "evidence", "slug", "fmt"}  # for scripts and styles
WORDS = re.compile(r"[A-Za-z]{2}")


def in_spoken(value: T, names: Iterable[str] = ()) -> T:
    """Pages, blocks, tables and charts with every text in them looked up; what is not in the catalogue stays, and so do
    `names`, which are the data's own.
    """
    if spoken() == "en":
        return value
    same = {name: name for name in names}

    @cache
    def say(text: str) -> str:
        return kept(text, same)

    def walked(value: Any) -> Any:
        if isinstance(value, str):
            return say(value) if WORDS.search(value) else value
        if is_dataclass(value) and not isinstance(value, type):
            parts = {each.name: getattr(value, each.name) for each in fields(value) if each.name not in CODES}
            return replace(value, **{name: walked(part) for name, part in parts.items()})
        if isinstance(value, Mapping):
            return {name: part if name in CODES else walked(part) for name, part in value.items()}
        return [walked(part) for part in value] if isinstance(value, list | tuple) else value

    found: T = walked(value)
    return found
