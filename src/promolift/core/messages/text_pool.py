"""Keep the pool of texts and their states: drafted, linted, judged, reviewed by a person, imported and exported.

A large model reads what a text claims; three votes are taken and one "no" blocks. Code keeps numbers apart
(`lint_draft`, `check_message`, `reading`); meaning, suggestion and sense are what is asked. A failed answer is no vote.

drafted -> faulty (lint) | judged (three votes) | rejected -> approved by a person | rejected -> retired. A text that a
person changes is another text: it is linted again, stands as `edited`, and waits for the judge or for a yes to exactly
these words. For a shop a person approves; where `approve = "judged"`, the judge's verdict is enough.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import polars as pl
from pydantic import Field

from promolift.core.messages.angles import ANGLE_RULES, ANGLES, REMINDER_ANGLES, Angle, AngleFacts
from promolift.core.messages.drafts import BriefAnswer, Draft, lint_draft, lint_style, lint_voice
from promolift.core.messages.offer_text import describe_offer, terms_text
from promolift.core.messages.prompt_templates import (
    PROMPT_VERSION,
    Writer,
    WriterRequest,
    fill_prompt,
    load_prompt,
    object_schema,
)
from promolift.core.messages.voice import VoiceCard
from promolift.core.offers.terms import Offer
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import pgettext_noop
from promolift.foundation.i18n.lazy_message import SEMICOLON, gettext_lazy, join_messages
from promolift.foundation.localized_text import LANGUAGES, Language
from promolift.foundation.settings import Settings

VOTES, JUDGE_TOKENS = 3, 600
NO_FACT = "none"
_SAYS, _FLAG = {"type": "string"}, {"type": "boolean"}


class KnownFact(NamedTuple):
    """A fact that a text may rely on, under the name of the field that holds it."""

    field: str
    text: str


class ReadClaim(NamedTuple):
    """What a text says, whether a fact entails it, and which: `by` is its field."""

    claim: str
    entailed: bool
    by: str


class Vote(NamedTuple):
    """One reading."""

    fit: bool
    why: str
    claims: tuple[ReadClaim, ...]
    model: str


class Judgement(NamedTuple):
    """All votes on a text; `fit` None: fewer than were asked for came back, which is no verdict."""

    fit: bool | None
    why: str
    votes: tuple[Vote, ...]
    faults: tuple[str, ...] = ()


class JudgeTask(NamedTuple):
    """A text, the facts it may rely on, and what it must never say."""

    text: str
    language: Language
    facts: tuple[KnownFact, ...]
    never: str


def draft_to_judge(draft: Draft, angle: Angle, language: Language) -> JudgeTask:
    """A draft: the facts are its angle's row and that code fills the slots truly."""
    facts, rule = load_prompt(language)["facts"], ANGLE_RULES[angle]
    text = " / ".join(part for part in (draft.title, draft.hook, draft.call) if part)
    may, never = rule.may.text_in(language), rule.never.text_in(language)
    known = [KnownFact("angle", may), KnownFact("slots", facts["slots"])]
    if angle not in REMINDER_ANGLES:
        known.append(KnownFact("terms", facts["after"]))
    return JudgeTask(text, language, tuple(known), never)


def text_to_judge(text: str, offer: Offer, language: Language, known: AngleFacts) -> JudgeTask:
    """A whole text of a person: the facts are the offer, its end, and what is known of the customer."""
    words, rule = load_prompt(language), ANGLE_RULES[known.angle]
    facts = [KnownFact("offer", describe_offer(offer, language)), KnownFact("terms", terms_text(offer, language))]
    named = [("name", known.name)] if known.name else []
    named += [("bought", each.text_in(language)) for each in known.bought]
    facts += [KnownFact(field, f"{words['facts'][field]}{words['colon']}{text}") for field, text in named]
    facts.append(KnownFact("angle", rule.may.text_in(language)))
    return JudgeTask(text, language, tuple(facts), rule.never.text_in(language))


def judge_texts(several: Sequence[JudgeTask], judge_: Writer, votes: int = VOTES, seed: int = 0) -> list[Judgement]:
    """A judgement each, in order, by `votes` readings each with a seed of its own; one "no" blocks."""
    asks = [judge_request(each, seed + vote) for each in several for vote in range(votes)]
    answers = list(judge_(asks)) if asks else []
    parts = [answers[i * votes : (i + 1) * votes] for i in range(len(several))]
    return [
        _settled([_vote(answer, each) for answer in part], votes) for each, part in zip(several, parts, strict=True)
    ]


def judge_request(each: JudgeTask, seed: int) -> WriterRequest:
    """The ask for one reading."""
    words = load_prompt(each.language)
    facts = "\n".join(f"- {fact.field}{words['colon']}{fact.text}" for fact in each.facts)
    user = fill_prompt(words["judge_user"], facts=facts, never=each.never, text=each.text)
    by = {"type": "string", "enum": [*dict.fromkeys(fact.field for fact in each.facts), NO_FACT]}
    claims = {"type": "array", "items": object_schema(claim=_SAYS, entailed=_FLAG, by=by)}
    schema = object_schema(claims=claims, fit=_FLAG, why=_SAYS)
    return WriterRequest(words["judge_system"], user, schema, seed, JUDGE_TOKENS)


def _settled(read: Sequence[Vote | str], votes: int) -> Judgement:
    given = tuple(each for each in read if isinstance(each, Vote))
    faults = tuple(each for each in read if isinstance(each, str))
    no = next((vote for vote in given if not vote.fit), None)
    if no is not None:
        return Judgement(False, no.why or _unbacked(no), given, faults)
    if len(given) < votes:
        return Judgement(None, f"{len(given)} of {votes} votes came back: {'; '.join(faults)}", given, faults)
    return Judgement(True, given[0].why if given else "", given, faults)


def _vote(answer: Any, task: JudgeTask) -> Vote | str:
    """A reading, or why there is none. A claim that no given fact entails is a no, whatever `fit` says."""
    if answer.fault:
        return str(answer.fault)
    try:
        read = json.loads(answer.text)
        fields = {fact.field for fact in task.facts}
        said = [(str(claim["claim"]), claim["entailed"] is True, str(claim.get("by", ""))) for claim in read["claims"]]
        claims = tuple(ReadClaim(claim, entailed and by in fields, by) for claim, entailed, by in said)
        fit = read["fit"] is True and all(claim.entailed for claim in claims)
        return Vote(fit, str(read.get("why", "")), claims, answer.model)
    except (ValueError, KeyError, TypeError):
        return "the answer is not the JSON that was asked for"


def _unbacked(vote: Vote) -> str:
    return "; ".join(claim.claim for claim in vote.claims if not claim.entailed) or "the judge said no"


TextState = Literal["drafted", "faulty", "judged", "approved", "edited", "rejected", "retired"]
pgettext_noop("text state", "drafted"), pgettext_noop("text state", "faulty"), pgettext_noop("text state", "judged")
pgettext_noop("text state", "approved"), pgettext_noop("text state", "edited"), pgettext_noop("text state", "rejected")
pgettext_noop("text state", "retired")
ApprovalMode = Literal["person", "judged"]


class TextClaim(Settings):
    """What a text claims, as a judge read it, and the fact that entails it: `angle` (the fields of its angle's rule),
    `slots` (what code fills in) or `terms` (what code says after it)."""

    claim: str
    by: str


class PoolText(Settings):
    """One text of the pool. `goods`: the category it is for, empty for all; `prior`: the ranker's log odds."""

    text_id: str
    angle: Angle
    language: Language
    goods: str = ""
    title: str
    hook: str
    call: str = ""
    state: TextState = "drafted"
    writer: str = ""
    judge: str = ""
    by: str = ""  # the person who approved or refused it
    date: str = ""
    prompt_version: int = PROMPT_VERSION
    votes: tuple[bool, ...] = ()
    claims: tuple[TextClaim, ...] = ()  # by the judge's first vote
    why: str = ""
    note: str = ""
    rejected_because: str = ""  # why a person rejected it; the next brief reads it
    prior: float = Field(default=0.0, ge=-20, le=20)
    successor_of: tuple[str, ...] = ()  # texts that learning dropped, in whose place it was asked for
    restored_by: str = ""  # the person who brought it back after learning had dropped it
    restored_on: str = ""

    @property
    def draft(self) -> Draft:
        return Draft(self.title, self.hook, self.call)

    @property
    def words(self) -> str:
        """Title, hook and call as they are written."""
        return " / ".join(part for part in (self.title, self.hook, self.call) if part)

    @property
    def waits(self) -> bool:
        """Whether the text waits for a person."""
        return self.state in ("judged", "edited")

    def usable(self, approve: ApprovalMode) -> bool:
        return self.state == "approved" or (approve == "judged" and self.state == "judged")


@dataclass(frozen=True)
class TextPool:
    """Texts by id, in order. Every change makes a new pool."""

    texts: tuple[PoolText, ...] = ()

    def usable(self, approve: ApprovalMode) -> "TextPool":
        return TextPool(tuple(text for text in self.texts if text.usable(approve)))

    def in_languages(self, languages: Sequence[Language]) -> "TextPool":
        """Return the texts in these languages."""
        return TextPool(tuple(text for text in self.texts if text.language in languages))

    def funnel(self) -> dict[str, int]:
        return dict.fromkeys(get_args(TextState), 0) | Counter(text.state for text in self.texts)

    def merge(self, others: Iterable[PoolText]) -> "TextPool":
        """With `others`; of the same words the later record counts."""
        return TextPool(tuple({text.text_id: text for text in (*self.texts, *others)}.values()))

    def retire(self, text_ids: Sequence[str], date: str) -> "TextPool":
        """With some texts taken out of use."""
        out = [text.model_copy(update=RETIRED | {"date": date}) for text in self.texts if text.text_id in set(text_ids)]
        return self.merge(out)

    def bring_back(self, text_ids: Collection[str], by: str, date: str) -> "TextPool":
        """With texts that go on being sent although learning dropped them, until a person retires or rejects them."""
        said = {"restored_by": by, "restored_on": date}
        return self.merge(text.model_copy(update=said) for text in self.texts if text.text_id in text_ids)


NOT_RESTORED = {"restored_by": "", "restored_on": ""}
RETIRED = {"state": "retired"} | NOT_RESTORED


def texts_from_drafts(written: Sequence[BriefAnswer], date: str) -> list[PoolText]:
    """Texts of what a writer made, linted, by the voice of their brief, too: drafted, or faulty with the reasons."""
    return [
        lint_text(
            _text(brief.angle, brief.language, draft, writer=each.model, date=date, successor_of=brief.successor_of),
            brief.voice,
            by_model=True,
        )
        for each in written
        for brief, draft in ((each.brief, draft) for draft in each.drafts)
    ]


def lint_text(text: PoolText, voice: VoiceCard | None = None, by_model: bool = False) -> PoolText:
    """The text, `faulty` with the reasons where lint finds something, or the shop's voice rules a word out.

    `by_model`: what readers refuse in style is a fault, too.
    """
    found = lint_draft(text.draft, text.angle, text.language)
    found += lint_style(text.draft, text.language) if by_model else []
    found += lint_voice(text.draft, voice, text.language) if voice else []
    if not found:
        return text
    parts = [gettext_lazy("{code} {span} ({why})", code=f.code, span=repr(f.span), why=f.why) for f in found[:3]]
    return text.model_copy(update={"state": "faulty", "why": join_messages(SEMICOLON, *parts).to_text()})


def apply_judgements(texts: Sequence[PoolText], judgements: Sequence[Judgement], date: str) -> list[PoolText]:
    """The texts with the judge's verdicts; no verdict leaves a text as it is."""
    made = []
    for text, verdict in zip(texts, judgements, strict=True):
        told: dict[str, Any] = {}
        if verdict.fit is not None:
            votes = tuple(vote.fit for vote in verdict.votes)
            told = {"judge": verdict.votes[0].model, "votes": votes, "why": verdict.why, "date": date}
            told["state"] = "judged" if verdict.fit else "rejected"
            told["claims"] = tuple(TextClaim(claim=each.claim, by=each.by) for each in verdict.votes[0].claims)
        made.append(text.model_copy(update=told))
    return made


def apply_ranker_scores(texts: Sequence[PoolText], scores: Sequence[float]) -> list[PoolText]:
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


YES_NO_ANSWERS = dict.fromkeys(("yes", "y", "true", "1", "是"), True) | dict.fromkeys(
    ("no", "n", "false", "0", "否"), False
)
_COLUMNS = ("text_id", "approved", "angle", "language", "title", "hook", "call", "state", "why", "writer", "judge",
            "note", "rejected_because")  # fmt: skip
_ORDER = ("judged", "edited", "drafted", "approved", "rejected", "faulty", "retired")  # who wait for a person first


def to_csv(pool: TextPool) -> pl.DataFrame:
    """For a person: those that wait for them first; `approved` is theirs, and so are title, hook and call."""
    said = {"approved": "yes", "rejected": "no"}
    place = lambda t: (_ORDER.index(t.state), t.language, ANGLES.index(t.angle), t.text_id)  # noqa: E731
    rows = [t.model_dump() | {"approved": said.get(t.state, "") if t.by else ""} for t in sorted(pool.texts, key=place)]
    return pl.DataFrame(
        [{name: str(row[name]) for name in _COLUMNS} for row in rows], dict.fromkeys(_COLUMNS, pl.String)
    )


class ImportResult(NamedTuple):
    """The pool after a person's file, and what became of its rows."""

    pool: TextPool
    approved: int
    rejected: int
    edited: int
    faulty: int


def from_csv(pool: TextPool, rows: pl.DataFrame, by: str, date: str) -> ImportResult:
    """What a person said in the file that `to_csv` made. InputError, naming line and value, for what cannot be read.

    A yes to unchanged words approves them, a no keeps `rejected_because`. Changed words are a new text, linted; the old
    one is retired. A row without text_id is a new text of that person.
    """
    if missing := {"text_id", "approved", "angle", "language", "title", "hook"} - set(rows.columns):
        raise InputError(
            "column_missing",
            gettext_lazy(
                "review file: columns {missing} are missing; it has {columns}",
                missing=sorted(missing),
                columns=rows.columns,
            ),
        )
    known = {text.text_id: text for text in pool.texts}
    changed: list[PoolText] = []
    for number, row in enumerate(rows.fill_null("").iter_rows(named=True), 2):
        old, word = known.get(row["text_id"]), str(row["approved"]).strip().lower()
        wrong = None
        if old is None and row["text_id"]:
            wrong = gettext_lazy(
                "no text {text_id} in the pool; leave text_id empty for a new one", text_id=repr(row["text_id"])
            )
        elif word and word not in YES_NO_ANSWERS:
            wrong = gettext_lazy("approved = {word}; write yes or no, or leave it empty", word=repr(word))
        elif old is None and row["angle"] not in ANGLES:
            wrong = gettext_lazy(
                "angle = {angle}; known ones: {angles}", angle=repr(row["angle"]), angles=", ".join(ANGLES)
            )
        elif old is None and row["language"] not in LANGUAGES:
            wrong = gettext_lazy("language = {language}; write zh or en", language=repr(row["language"]))
        if wrong:
            code = "text_unknown" if old is None and row["text_id"] else "value_invalid"
            raise InputError(code, gettext_lazy("review file, line {number}: {wrong}", number=number, wrong=wrong))
        changed += _said(old, row, YES_NO_ANSWERS.get(word), {"by": by, "date": date})
    counts = Counter(text.state for text in changed if text.by == by)
    return ImportResult(pool.merge(changed), *(counts[state] for state in ImportResult._fields[1:]))  # type: ignore[index]


def _said(old: PoolText | None, row: Mapping[str, Any], said: bool | None, who: dict[str, str]) -> list[PoolText]:
    draft = Draft(*(str(row.get(name) or "").strip() for name in ("title", "hook", "call")))
    before = old.rejected_because if old else ""  # a file without this column takes no reason away
    reason = "" if said else str(row.get("rejected_because", before)).strip()
    if old is not None and draft == old.draft:
        if said is None or (said and lint_draft(draft, old.angle, old.language)):
            return []
        state = "approved" if said else "rejected"
        taken_back = {"note": ""} if said else NOT_RESTORED  # the note says that nobody has approved it
        return [old.model_copy(update={"state": state, "rejected_because": reason, **who, **taken_back})]
    angle, language = (old.angle, old.language) if old else (row["angle"], row["language"])
    successor_of = old.successor_of if old else ()
    new = _text(angle, language, draft, state="edited", writer=who["by"], successor_of=successor_of, **who)
    if said is False:
        return [new.model_copy(update={"state": "rejected", "rejected_because": reason})]
    return [lint_text(new), *([old.model_copy(update=RETIRED | {"date": who["date"]})] if old else [])]
