"""Texts with their states in; what may be sent out: who wrote, judged and approved each, when, by which prompt.

drafted -> faulty (lint) | judged (three votes) | rejected -> approved by a person | rejected -> retired. A text that a
person changes is another text: it is linted again, stands as `edited`, and waits for the judge or for a yes to exactly
these words. For a shop a person approves; where `approve = "judged"`, the judge's verdict is enough.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import polars as pl
from pydantic import Field

from promolift.errors import InputError
from promolift.message.angles import ANGLES, Angle
from promolift.message.drafts import PROMPT_VERSION, BriefAnswer, Draft, findings
from promolift.message.judge import Judgement
from promolift.settings import Settings
from promolift.terms import Language

State = Literal["drafted", "faulty", "judged", "approved", "edited", "rejected", "retired"]
Approve = Literal["person", "judged"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")


class PoolText(Settings):
    """One text of the pool. `goods`: the category it is for, empty for all; `prior`: the ranker's log odds."""

    text_id: str
    angle: Angle
    language: Language
    goods: str = ""
    title: str
    hook: str
    call: str = ""
    state: State = "drafted"
    writer: str = ""
    judge: str = ""
    by: str = ""  # the person who approved or refused it
    date: str = ""
    prompt_version: int = PROMPT_VERSION
    votes: tuple[bool, ...] = ()
    why: str = ""
    note: str = ""
    prior: float = Field(default=0.0, ge=-20, le=20)

    @property
    def draft(self) -> Draft:
        return Draft(self.title, self.hook, self.call)

    def usable(self, approve: Approve) -> bool:
        return self.state == "approved" or (approve == "judged" and self.state == "judged")


@dataclass(frozen=True)
class Pool:
    """Texts by id, in order. Every change makes a new pool."""

    texts: tuple[PoolText, ...] = ()

    def usable(self, approve: Approve) -> "Pool":
        return Pool(tuple(text for text in self.texts if text.usable(approve)))

    def funnel(self) -> dict[str, int]:
        return dict.fromkeys(get_args(State), 0) | Counter(text.state for text in self.texts)

    def merged(self, others: Iterable[PoolText]) -> "Pool":
        """With `others`; of the same words the later record counts."""
        return Pool(tuple({text.text_id: text for text in (*self.texts, *others)}.values()))

    def retired(self, text_ids: Sequence[str], date: str) -> "Pool":
        """With some texts taken out of use."""
        out = [text.model_copy(update=RETIRED | {"date": date}) for text in self.texts if text.text_id in set(text_ids)]
        return self.merged(out)


RETIRED = {"state": "retired"}


def drafted(written: Sequence[BriefAnswer], date: str) -> list[PoolText]:
    """Texts of what a writer made, linted: drafted, or faulty with the reasons."""
    return [
        linted(_text(each.brief.angle, each.brief.language, draft, writer=each.model, date=date))
        for each in written
        for draft in each.drafts
    ]


def linted(text: PoolText) -> PoolText:
    """The text, `faulty` with the reasons where lint finds something."""
    found = findings(text.draft, text.angle, text.language)
    why = "; ".join(f"{f.code} {f.span!r}: {f.why}" for f in found[:3])
    return text.model_copy(update={"state": "faulty", "why": why}) if found else text


def judged(texts: Sequence[PoolText], judgements: Sequence[Judgement], date: str) -> list[PoolText]:
    """The texts with the judge's verdicts; no verdict leaves a text as it is."""
    made = []
    for text, verdict in zip(texts, judgements, strict=True):
        told: dict[str, Any] = {}
        if verdict.fit is not None:
            votes = tuple(vote.fit for vote in verdict.votes)
            told = {"judge": verdict.votes[0].model, "votes": votes, "why": verdict.why, "date": date}
            told["state"] = "judged" if verdict.fit else "rejected"
        made.append(text.model_copy(update=told))
    return made


def ranked(texts: Sequence[PoolText], scores: Sequence[float]) -> list[PoolText]:
    """Texts of one language with a ranker's scores as priors, against the mean of their angle: a new text starts there.

    A prior is rounded to 0.001.
    """
    table = pl.DataFrame(
        {"angle": [text.angle for text in texts], "score": scores}, {"angle": None, "score": pl.Float64}
    )
    priors = table.select((pl.col("score") - pl.col("score").mean().over("angle")).clip(-20, 20).round(3)).to_series()
    return [text.model_copy(update={"prior": prior}) for text, prior in zip(texts, priors, strict=True)]


def _text(angle: Angle, language: Language, draft: Draft, **more: Any) -> PoolText:
    return PoolText(text_id=draft.text_id, angle=angle, language=language, **vars(draft), **more)


def load_pool(path: Path | None) -> Pool:
    """The pool of a file, JSON lines; the shipped one for None. InputError naming the line that is none of it."""
    if path is None:
        return shipped()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no pool of texts ({error}); `promolift words draft` writes one") from None
    return _pool(lines, str(path))


@cache
def shipped() -> Pool:
    """demo_pool.jsonl: written and reviewed by a large language model. No person has approved any text of it."""
    text = files("promolift.message").joinpath("demo_pool.jsonl").read_text(encoding="utf-8")
    return _pool(text.splitlines(), "demo_pool.jsonl")


def _pool(lines: Sequence[str], name: str) -> Pool:
    texts = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            text = PoolText.model_validate_json(line)
        except ValueError as error:
            raise InputError(f"{name}, line {number}: no text of a pool ({str(error).splitlines()[0]})") from None
        if text.text_id != text.draft.text_id:
            raise InputError(f"{name}, line {number}: the words were changed by hand; use `promolift words import`")
        texts.append(text)
    return Pool().merged(texts)


def save_pool(pool: Pool, path: Path) -> None:
    """As JSON lines; under another name first, so that a run that is cut off leaves the old one."""
    half = path.with_name(f".{path.name}.part")
    half.write_text("".join(f"{text.model_dump_json()}\n" for text in pool.texts), encoding="utf-8")
    half.replace(path)


SAID = dict.fromkeys(("yes", "y", "true", "1", "是"), True) | dict.fromkeys(("no", "n", "false", "0", "否"), False)
_COLUMNS = ("text_id", "approved", "angle", "language", "title", "hook", "call", "state", "why", "writer", "judge",
            "note")  # fmt: skip
_ORDER = ("judged", "edited", "drafted", "approved", "rejected", "faulty", "retired")  # who wait for a person first


def to_csv(pool: Pool) -> pl.DataFrame:
    """For a person: those that wait for them first; `approved` is theirs, and so are title, hook and call."""
    said = {"approved": "yes", "rejected": "no"}
    place = lambda t: (_ORDER.index(t.state), t.language, ANGLES.index(t.angle), t.text_id)  # noqa: E731
    rows = [t.model_dump() | {"approved": said.get(t.state, "") if t.by else ""} for t in sorted(pool.texts, key=place)]
    return pl.DataFrame(
        [{name: str(row[name]) for name in _COLUMNS} for row in rows], dict.fromkeys(_COLUMNS, pl.String)
    )


class Imported(NamedTuple):
    """The pool after a person's file, and what became of its rows."""

    pool: Pool
    approved: int
    rejected: int
    edited: int
    faulty: int


def from_csv(pool: Pool, rows: pl.DataFrame, by: str, date: str) -> Imported:
    """What a person said in the file that `to_csv` made. InputError, naming line and value, for what cannot be read.

    A yes to unchanged words approves them. Changed words are a new text, linted; the old one is retired. A row without
    text_id is a new text of that person.
    """
    if missing := {"text_id", "approved", "angle", "language", "title", "hook"} - set(rows.columns):
        raise InputError(f"review file: columns {sorted(missing)} are missing; it has {rows.columns}")
    known = {text.text_id: text for text in pool.texts}
    changed: list[PoolText] = []
    for number, row in enumerate(rows.fill_null("").iter_rows(named=True), 2):
        old, word = known.get(row["text_id"]), str(row["approved"]).strip().lower()
        wrong = None
        if old is None and row["text_id"]:
            wrong = f"no text {row['text_id']!r} in the pool; leave text_id empty for a new one"
        elif word and word not in SAID:
            wrong = f"approved = {word!r}; write yes or no, or leave it empty"
        elif old is None and row["angle"] not in ANGLES:
            wrong = f"angle = {row['angle']!r}; known ones: {', '.join(ANGLES)}"
        elif old is None and row["language"] not in LANGUAGES:
            wrong = f"language = {row['language']!r}; write zh or en"
        if wrong:
            raise InputError(f"review file, line {number}: {wrong}")
        changed += _said(old, row, SAID.get(word), {"by": by, "date": date})
    counts = Counter(text.state for text in changed if text.by == by)
    return Imported(pool.merged(changed), *(counts[state] for state in Imported._fields[1:]))  # type: ignore[index]


def _said(old: PoolText | None, row: Mapping[str, Any], said: bool | None, who: dict[str, str]) -> list[PoolText]:
    draft = Draft(*(str(row.get(name) or "").strip() for name in ("title", "hook", "call")))
    if old is not None and draft == old.draft:
        if said is None or (said and old.state == "faulty"):
            return []
        return [old.model_copy(update={"state": "approved" if said else "rejected", **who})]
    angle, language = (old.angle, old.language) if old else (row["angle"], row["language"])
    new = _text(angle, language, draft, state="edited", writer=who["by"], **who)
    if said is False:
        return [new.model_copy(update={"state": "rejected"})]
    return [linted(new), *([old.model_copy(update=RETIRED | {"date": who["date"]})] if old else [])]
