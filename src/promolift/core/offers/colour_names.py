"""Names of colours in English and Chinese, found in a product's text or added to an offer's name."""

import re
from functools import cache
from typing import NamedTuple

from promolift.foundation.i18n.text import Words
from promolift.foundation.settings import rows_of


class ColourName(NamedTuple):
    """A colour in both languages, and what finds it in a text."""

    words: Words
    pattern: re.Pattern[str]


@cache
def _colour_words() -> tuple[ColourName, ...]:
    found = []
    for en, zh, names in rows_of("core/offers/colour_names.tsv"):
        each = [rf"\b{name}\b" if name.isascii() else name for name in names.split()]
        found.append(ColourName(Words(en=en, zh=zh), re.compile("|".join(each), re.IGNORECASE)))
    return tuple(found)


def colour_said(text: str) -> Words | None:
    """The one colour that a text names, in English or Chinese; None where it names none, or several."""
    found = [words for words, pattern in _colour_words() if pattern.search(text)]
    if len(found) == 2 and found[0].en == "navy blue":
        return found[0]
    return found[0] if len(found) == 1 else None


def coloured(name: Words, colour: str) -> Words:
    """A name with its colour, given in English, before it; as it is where it names any colour itself."""
    if any(pattern.search(f"{name.en} {name.zh}") for _, pattern in _colour_words()):
        return name
    said = next(words for words, _ in _colour_words() if words.en == colour)
    return Words(zh=f"{said.zh}{name.zh}", en=f"{said.en} {name.en}")
