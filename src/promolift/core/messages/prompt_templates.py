"""Load the prompts of a language and fill them: for writers of drafts, judges, and readers of a shop's voice."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from promolift.core.offers.product_names import load_toml
from promolift.foundation.localized_text import Language

PROMPT_VERSION = 7
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class WriterRequest:
    """One request to a model; every model of `promolift.foundation.language_model` understands it.

    `max_tokens` is the length of its longest answer, 0 for the setting of the model.
    """

    system: str
    user: str
    schema: Mapping[str, Any]
    seed: int
    max_tokens: int = 0


Writer = Callable[[Sequence[WriterRequest]], Sequence[Any]]  # what answers has text, model, fault and cost_cents


def object_schema(**fields: Any) -> dict[str, Any]:
    """The JSON schema of an object that has these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


@cache
def load_prompt(language: Language) -> dict[str, Any]:
    """Return the prompt file of a language: texts, and the tables slots, lines, channels, benefits and facts."""
    return load_toml(f"messages/prompts/{language}-{PROMPT_VERSION}.toml")


def fill_prompt(template: str, **values: str) -> str:
    """Return a prompt with `values` in its places, in one pass: a place inside a value stays as it is, and so does one
    that has no value."""
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), template)
