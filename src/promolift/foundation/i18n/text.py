"""A text in both languages."""

from typing import Literal

from pydantic import Field

from promolift.foundation.settings import Settings

Language = Literal["zh", "en"]
AND = " ++ "  # between the two categories of an offer on both


class Words(Settings):
    """The same name in both languages."""

    zh: str = Field(min_length=1, description="In Chinese.", examples=["马克杯"])
    en: str = Field(min_length=1, description="In English.", examples=["mug"])

    def in_(self, language: Language) -> str:
        """The name in `language`."""
        return self.zh if language == "zh" else self.en
