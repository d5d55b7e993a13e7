"""A language in, its prompt file out: what a model is told, and the forms of sentence that its answer may take.

A form is a text with `<lists>` of words in it. The model says first what a product is for (food, cleaning, clothes),
then chooses the words of the forms of that use. What it can write is therefore known before it writes: every sentence
of the forms passes the strict reading, and a small model cannot wander off ("wash your feet with toilet paper").
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from promolift.hashing import hash_int
from promolift.terms import Language

PROMPT_VERSION = 2
LABEL = "{label}"
OFFERED = 3
_REFERENCE = re.compile(r"<(\w+)>")

Lists = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Forms:
    """One prompt file. `uses` maps what a model says a product is for, after `purpose`, to the lists of that use."""

    system: str
    shots: str
    purpose: str
    request: str
    gap: str
    angles: Mapping[str, str]
    openers: Lists
    uses: Mapping[str, Lists]

    def lists(self, use: str, angle: str, number: int) -> Lists:
        """The lists of one answer by name: `title`, `line`, all they refer to, and the one `opener` chosen."""
        own = self.uses[use]
        openers = own.get(f"opener {angle}", self.openers[angle])
        return {**own, "moods": own[f"mood {angle}"], "opener": (openers[number % len(openers)],)}


@cache
def forms(language: Language) -> Forms:
    """The prompt file of the language, read once."""
    path = files("promolift.message").joinpath(f"prompts/{language}-{PROMPT_VERSION}.toml")
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    shared = _tuples(raw["words"]) | {f"mood {angle}": tuple(words) for angle, words in raw["moods"].items()}
    uses = {}
    for use in raw["uses"].values():
        says, openers = use.pop("says"), use.pop("openers", {})
        own = {f"opener {angle}": tuple(texts) for angle, texts in openers.items()}
        uses[says] = {**shared, **_tuples(use), **own}
    told = {key: raw[key].strip("\n") for key in ("system", "shots", "purpose", "request", "gap")}
    return Forms(**told, angles=raw["angles"], openers=_tuples(raw["openers"]), uses=uses)


def _tuples(lists: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(texts) for name, texts in lists.items()}


def some(lists: Lists, number: int) -> Lists:
    """At most `OFFERED` texts of each list, another choice for another `number`.

    A small model likes one word of each list and takes it nearly always; what it cannot take makes its lines differ.
    """
    kept = {}
    for name, texts in lists.items():
        start = hash_int("some", name, number) % len(texts)
        kept[name] = (texts[start:] + texts[:start])[:OFFERED]
    return kept


def parts(form: str) -> list[tuple[str, bool]]:
    """A form cut into its fixed texts and the names of its lists (True), in order."""
    cut = _REFERENCE.split(form)
    return [(text, i % 2 == 1) for i, text in enumerate(cut) if text]
