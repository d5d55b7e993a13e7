"""Translate the English text of a page, block, table or chart to the language that is in use."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar

from promolift.foundation.i18n.formatting import current_locale
from promolift.foundation.i18n.translation import translate

T = TypeVar("T")
UNTRANSLATED_FIELDS = {"id", "kind", "tone", "evidence", "slug", "fmt"}  # for scripts and styles
HAS_WORDS = re.compile(r"[A-Za-z]{2}")


def translate_page(value: T, names: Iterable[str] = ()) -> T:
    """Return pages, blocks, tables and charts with every text in them translated. A text that is not in the catalogue
    stays, and so do `names`, which are names from the data.
    """
    if current_locale() == "en":
        return value
    same = {name: name for name in names}

    @cache
    def say(text: str) -> str:
        return translate(text, same)

    def walked(value: Any) -> Any:
        if isinstance(value, str):
            return say(value) if HAS_WORDS.search(value) else value
        if is_dataclass(value) and not isinstance(value, type):
            parts = {
                each.name: getattr(value, each.name) for each in fields(value) if each.name not in UNTRANSLATED_FIELDS
            }
            return replace(value, **{name: walked(part) for name, part in parts.items()})
        if isinstance(value, Mapping):
            return {name: part if name in UNTRANSLATED_FIELDS else walked(part) for name, part in value.items()}
        return [walked(part) for part in value] if isinstance(value, list | tuple) else value

    found: T = walked(value)
    return found
