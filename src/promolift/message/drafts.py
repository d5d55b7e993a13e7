"""Distinct briefs and a writer callable in; reviewed drafts out: a title and a free sentence around {product}, or none.

A model never sees an offer or a profile. It sees a category's or product's name and an angle, and its answer may hold
no digit, no offer word and no claim: a grammar makes them impossible where the model can be held to one, and
`faults` reads the answer again. What fails is asked for once more with the reasons, and then given up: the message is
sent without it. One pool of drafts serves all customers, so that a person can review it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, get_args

import polars as pl

from promolift.hashing import hash_int
from promolift.message.forms import PROMPT_VERSION, answer_grammar, forbidden, forms
from promolift.terms import BenefitType, Language, Words

Angle = Literal["ease", "treat", "together", "pairing"]
ANGLES: tuple[Angle, ...] = get_args(Angle)
PRODUCT = "{product}"
_LENGTHS: dict[Language, tuple[int, int, int, int]] = {"zh": (3, 12, 10, 45), "en": (5, 40, 20, 140)}  # title, line
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {key: {"type": "string"} for key in ("use", "title", "line")},
    "required": ["use", "title", "line"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Brief:
    """All a model is given, and the key of the pool."""

    label: Words
    angle: Angle
    benefit: BenefitType
    language: Language


@dataclass(frozen=True)
class Draft:
    """What a model may add to a message."""

    title: str
    line: str

    def about(self, label: str, language: Language) -> "Draft":
        """The draft with the product's name in it, capital where a sentence begins with it."""
        title, line = (text.replace(PRODUCT, label) for text in (self.title, self.line))
        if language == "en":
            title, line = (text[:1].upper() + text[1:] for text in (title, line))
        return Draft(title, line)


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


Writer = Callable[[Sequence[Question]], Sequence[ModelAnswer]]
Review = Callable[[Brief, Draft], list[str]]  # what is wrong with a draft beyond its form


@dataclass(frozen=True)
class Entry:
    """One entry of the pool: the draft (None: the template alone), and how it came about.

    `source` is first, rewritten or template; `reasons` tell what was wrong with the drafts that failed.
    """

    brief: Brief
    draft: Draft | None
    source: Literal["first", "rewritten", "template"]
    reasons: tuple[str, ...]
    model: str
    prompt_version: int
    seed: int
    cost_cents: float


def fill_pool(briefs: Sequence[Brief], writer: Writer, review: Review, seed: int = 0) -> list[Entry]:
    """One entry per distinct brief: asked for once, once more with the reasons if it failed, then left to the template.

    `review` reads each well-formed draft as part of a whole message and says what is wrong with it.
    """
    distinct = list(dict.fromkeys(briefs))
    entries = _attempt(dict.fromkeys(distinct, ()), writer, review, seed)
    failed = [i for i, entry in enumerate(entries) if entry.draft is None]
    again = _attempt({distinct[i]: entries[i].reasons for i in failed}, writer, review, seed + 1)
    for i, second in zip(failed, again, strict=True):
        entries[i] = replace(
            second,
            source="rewritten" if second.draft else "template",
            reasons=entries[i].reasons + second.reasons,
            cost_cents=entries[i].cost_cents + second.cost_cents,
        )
    return entries


def _attempt(reasons_of: Mapping[Brief, tuple[str, ...]], writer: Writer, review: Review, seed: int) -> list[Entry]:
    """An entry per brief, in order; with each the reasons why the last answer failed."""
    asks = [question(brief, seed, reasons) for brief, reasons in reasons_of.items()]
    answers = writer(asks) if asks else []
    entries = []
    for brief, ask, answer in zip(reasons_of, asks, answers, strict=True):
        draft, wrong = None, [answer.fault or ""]
        if answer.fault is None:
            draft, wrong = read_answer(answer.text, brief)
        if draft:
            wrong = faults(draft, brief) or review(brief, draft)
        kept = None if wrong else draft
        entries.append(
            Entry(
                brief,
                kept,
                "first" if kept else "template",
                tuple(wrong),
                answer.model,
                PROMPT_VERSION,
                ask.seed,
                answer.cost_cents,
            )
        )
    return entries


def question(brief: Brief, seed: int, reasons: Sequence[str] = ()) -> Question:
    """The ask for a brief; `reasons` are what was wrong with the last answer. The seed chooses how the line begins."""
    language, form = brief.language, forms(brief.language)
    number = hash_int("draft", seed, brief.label.en, brief.angle, brief.benefit, language) % 2**31
    label = brief.label.in_(language)
    system, user = form.system.replace("{angle}", form.angles[brief.angle]), form.request.replace("{label}", label)
    if reasons:
        why = "; ".join(reasons)
        user = f"上一次的问题：{why}。\n{user}" if language == "zh" else f"Wrong last time: {why}.\n{user}"
    grammar = answer_grammar(language, brief.angle, label, number)
    return Question(system, f"{form.shots}\n\n{user}", _SCHEMA, grammar, number)


class ReadDraft(NamedTuple):
    """The draft in a model's answer, None where its form is wrong; and what is wrong."""

    draft: Draft | None
    wrong: list[str]


def read_answer(text: str, brief: Brief) -> ReadDraft:
    """The draft in a model's answer, with {product} for the name in the line."""
    try:
        values = json.loads(text)
    except ValueError:
        return ReadDraft(None, ["the answer is no JSON"])
    if not isinstance(values, dict) or set(values) - {"use"} != {"title", "line"}:
        return ReadDraft(None, ["the answer must have title and line, and nothing else but the use"])
    if not all(isinstance(value, str) for value in values.values()):
        return ReadDraft(None, ["title and line must be texts"])
    named = re.compile(re.escape(brief.label.in_(brief.language)), re.IGNORECASE)
    return ReadDraft(Draft(values["title"].strip(), named.sub(PRODUCT, values["line"].strip(), count=1)), [])


def faults(draft: Draft, brief: Brief) -> list[str]:
    """What is wrong with a draft by itself: slots, lengths, digits, offer words and claims, a copied example."""
    wrong, language = [], brief.language
    if draft.line.count(PRODUCT) != 1:
        wrong.append("the line must name the product exactly once")
    least_title, most_title, least_line, most_line = _LENGTHS[language]
    bare = draft.line.replace(PRODUCT, "")
    if not least_title <= len(draft.title) <= most_title:
        wrong.append(f"the title must have {least_title} to {most_title} characters")
    if not least_line <= len(bare) + 4 <= most_line:
        wrong.append(f"the line must have {least_line} to {most_line} characters")
    if re.search(r"[{}\[\]<>|\\\n]", f"{draft.title}{bare}"):
        wrong.append("no brackets and no other slots")
    if brief.label.in_(language).lower() in bare.lower():
        wrong.append("the line names the product twice")
    if _repeats(bare) or _copied(bare, brief):
        wrong.append("the line repeats itself or copies the task")
    found = forbidden(f"{draft.title} {bare}", language)
    if found:
        wrong.append(f"these must not occur: {', '.join(found)}")
    return wrong


def _repeats(line: str) -> bool:
    """沙拉沙拉沙拉, 'plums and cherries are all plums and cherries'."""
    return bool(re.search(r"([\u4e00-\u9fff]{1,4})\1\1|(\b\w+ \w+ \w+\b).*\2", line))


def _copied(line: str, brief: Brief) -> bool:
    """Whether six characters or four words in a row come from what the model was asked to do."""
    given = forms(brief.language).system.lower()
    pieces, run, gap = (list(line), 6, "") if brief.language == "zh" else (line.lower().split(), 4, " ")
    return any(gap.join(pieces[i : i + run]) in given for i in range(len(pieces) - run + 1))


def pool_frame(entries: Sequence[Entry]) -> pl.DataFrame:
    """The pool as a table for review: one row per brief."""
    rows = [
        {
            "label_zh": entry.brief.label.zh,
            "label_en": entry.brief.label.en,
            "angle": entry.brief.angle,
            "benefit": entry.brief.benefit,
            "language": entry.brief.language,
            "title": entry.draft.title if entry.draft else None,
            "line": entry.draft.line if entry.draft else None,
            "source": entry.source,
            "reasons": "; ".join(entry.reasons),
            "model": entry.model,
            "prompt_version": entry.prompt_version,
            "seed": entry.seed,
            "cost_cents": entry.cost_cents,
        }
        for entry in entries
    ]
    return pl.DataFrame(rows, schema=POOL_SCHEMA)


POOL_SCHEMA: dict[str, Any] = {
    **dict.fromkeys(
        ("label_zh", "label_en", "angle", "benefit", "language", "title", "line", "source", "reasons", "model"),
        pl.String,
    ),
    "prompt_version": pl.Int64,
    "seed": pl.Int64,
    "cost_cents": pl.Float64,
}
