"""Settings of product pictures, product texts and recordings: sections `[senses]` and `[speech]` of promolift.toml."""

from typing import Literal

from pydantic import Field

from promolift.foundation.settings import Settings


class SensesSettings(Settings):
    """What the words and pictures of the catalogue are used for ([how](senses.md)), where it has any."""

    words: bool = Field(default=True, description="Whether names and descriptions of products are read.")
    pictures: bool = Field(
        default=True, description="Whether files of pictures are read; it needs `pip install 'promolift[image]'`."
    )
    certain: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="A category or colour that the catalogue leaves out is filled in only where the vectors of words "
        "and pictures are right at least this often: the lower end of a 95 % interval, on products whose own is known.",
    )


class SpeechSettings(Settings):
    """Who turns recordings into text."""

    recogniser: Literal["local", "remote", "replay"] = Field(
        default="local",
        description="`local` hears in this process and sends nothing anywhere (extra `speech`), `remote` asks an "
        "OpenAI-compatible endpoint, `replay` reads `llm.records`.",
    )
    model: str = Field(
        default="",
        description="For `local`: folder of a Whisper model in CTranslate2's form; larger ones hear better. Left out: "
        "Whisper base, which the extra brings. For `remote`: the model's name; left out: whisper-1.",
        examples=["models/whisper-small"],
    )
    language: Literal["zh", "en"] | None = Field(
        default=None,
        description="What is spoken. Left out: the recogniser finds out for each recording.",
        examples=["zh"],
    )
    most_minutes: float = Field(
        default=60.0, gt=0, description="Longer recordings are not transcribed, and named: cut them, or raise it."
    )
    minute_cents: float = Field(
        default=0.6, ge=0, description="For `remote`: cents per minute, counted against `llm.remote.cost_cap_cents`."
    )
