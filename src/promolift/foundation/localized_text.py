"""Define a text in both languages, English and Chinese."""

import unicodedata
from functools import lru_cache
from typing import Literal, get_args

from pydantic import Field

from promolift.foundation.settings import Settings

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_NAMES: dict[Language, str] = {"zh": "中文", "en": "English"}  # each in itself
CATEGORY_SEPARATOR = " ++ "  # between the two categories of an offer on both


class LocalizedText(Settings):
    """The same name in both languages."""

    zh: str = Field(min_length=1, description="In Chinese.", examples=["马克杯"])
    en: str = Field(min_length=1, description="In English.", examples=["mug"])

    def text_in(self, language: Language) -> str:
        """Return the text in `language`."""
        return self.zh if language == "zh" else self.en


_READ_IN: dict[Language, tuple[str, ...]] = {"en": ("LATIN",), "zh": ("CJK", "LATIN", "FULLWIDTH LATIN")}


@lru_cache(maxsize=65_536)
def reads_in(text: str, language: Language) -> bool:
    """Return whether a reader of the language can read every letter of a name.

    English is read in Latin letters alone. Chinese readers read Latin letters, too: brands and many names are so
    written.
    """
    letters = (unicodedata.name(sign, "") for sign in text if sign.isalpha())
    return all(name.startswith((*_READ_IN[language], "MODIFIER", "FEMININE", "MASCULINE")) for name in letters)
