"""Names of colours in English and Chinese, found in a product's text or added to an offer's name."""

import re
from functools import cache
from typing import NamedTuple

from promolift.foundation.localized_text import LocalizedText
from promolift.foundation.settings import read_tsv


class ColourName(NamedTuple):
    """A colour in both languages, and what finds it in a text."""

    words: LocalizedText
    pattern: re.Pattern[str]


@cache
def _colour_words() -> tuple[ColourName, ...]:
    found = []
    for en, zh, names in read_tsv("core/offers/colour_names.tsv"):
        each = [rf"\b{name}\b" if name.isascii() else name for name in names.split()]
        found.append(ColourName(LocalizedText(en=en, zh=zh), re.compile("|".join(each), re.IGNORECASE)))
    return tuple(found)


def find_colour(text: str) -> LocalizedText | None:
    """The one colour that a text names, in English or Chinese; None where it names none, or several."""
    found = [words for words, pattern in _colour_words() if pattern.search(text)]
    if len(found) == 2 and found[0].en == "navy blue":
        return found[0]
    return found[0] if len(found) == 1 else None


def with_colour(name: LocalizedText, colour: str) -> LocalizedText:
    """A name with its colour, given in English, before it; as it is where it names any colour itself."""
    if any(pattern.search(f"{name.en} {name.zh}") for _, pattern in _colour_words()):
        return name
    said = next(words for words, _ in _colour_words() if words.en == colour)
    return LocalizedText(zh=f"{said.zh}{name.zh}", en=f"{said.en} {name.en}")
