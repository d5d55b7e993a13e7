"""Briefs and a writer in; drafts out: a title, a hook and a call to action around slots that code fills later.

A writer never sees an offer, a profile or a number. It sees an angle with what may and may never be said, the kind of
benefit, and sometimes the goods, and its answer is structured. What it writes is a draft; `lint`, `judge` and a person
decide what becomes of it.
"""

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple, Protocol

from promolift.hashing import hash_id, hash_int
from promolift.message.angles import RULES, Angle, slots
from promolift.terms import Language, Words

SLOTS = ("{deal}", "{product}", "{bought}")
SLOT = re.compile(r"\{\w+\}")
PROMPT_VERSION = 3
_TEXTS = ("title", "hook", "call")
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "drafts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in _TEXTS},
                "required": list(_TEXTS),
                "additionalProperties": False,
            },
        }
    },
    "required": ["drafts"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Brief:
    """All a writer is given. `goods` None: for any goods, through slots alone."""

    angle: Angle
    language: Language
    goods: Words | None = None


@dataclass(frozen=True)
class Draft:
    """Words around slots. A hook without a full stop goes on with the offer as a clause."""

    title: str
    hook: str
    call: str = ""

    @property
    def text_id(self) -> str:
        """The id of exactly these words."""
        return hash_id("txt", self.title, self.hook, self.call)


@dataclass(frozen=True)
class Question:
    """One ask to a model; any writer of `promolift.llm` understands it."""

    system: str
    user: str
    schema: Mapping[str, Any]
    grammar: str
    seed: int


class ModelAnswer(Protocol):
    """What a writer gives back."""

    @property
    def text(self) -> str:
        """The answer, empty if there is none."""

    @property
    def model(self) -> str:
        """Who answered."""

    @property
    def fault(self) -> str | None:
        """Why there is no usable text."""

    @property
    def cost_cents(self) -> float:
        """What it cost."""


Asked = Callable[[Sequence[Question]], Sequence[ModelAnswer]]


class BriefAnswer(NamedTuple):
    """What a writer made of a brief: its drafts, who it was, what it cost, and why there are none."""

    brief: Brief
    drafts: tuple[Draft, ...]
    model: str
    cost_cents: float
    fault: str | None


def drafts(briefs: Sequence[Brief], writer: Asked, several: int = 6, seed: int = 0) -> list[BriefAnswer]:
    """`several` drafts for each distinct brief, in order. A failed answer is a `fault`, never a crash."""
    distinct = list(dict.fromkeys(briefs))
    asks = [question(brief, several, seed) for brief in distinct]
    made = []
    for brief, answer in zip(distinct, writer(asks) if asks else [], strict=True):
        found, fault = ((), answer.fault) if answer.fault else _read(answer.text)
        made.append(BriefAnswer(brief, found, answer.model, answer.cost_cents, fault))
    return made


def question(brief: Brief, several: int, seed: int = 0) -> Question:
    """The ask for a brief."""
    words, rule, language = prompt(brief.language), RULES[brief.angle], brief.language
    goods = brief.goods.in_(language) if brief.goods else words["any_goods"]
    filled = {
        "{several}": str(several), "{angle}": brief.angle, "{may}": rule.may, "{never}": rule.never,
        "{goods}": goods, "{slots}": slots(brief.angle),
    }  # fmt: skip
    user = words["user"]
    for key, value in filled.items():
        user = user.replace(key, value)
    number = hash_int("draft", seed, brief.angle, goods, language, several) % 2**31
    return Question(words["system"], user, _SCHEMA, "", number)


@cache
def prompt(language: Language) -> dict[str, str]:
    """The prompt file of a language: system, user, any_goods, judge_system, judge_user."""
    name = f"prompts/{language}-{PROMPT_VERSION}.toml"
    read: dict[str, str] = tomllib.loads(files("promolift.message").joinpath(name).read_text(encoding="utf-8"))
    return read


def _read(text: str) -> tuple[tuple[Draft, ...], str | None]:
    """The drafts in an answer, and what is wrong with its form."""
    try:
        several = json.loads(text)["drafts"]
        found = tuple(Draft(*(str(each[name]).strip() for name in _TEXTS)) for each in several)
    except (ValueError, KeyError, TypeError):
        return (), "the answer is not the JSON that was asked for"
    return found, None if found else "the answer holds no draft"
