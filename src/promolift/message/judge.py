"""A text and what is known to be true in; every claim it makes, entailed or not and by which fact, out.

A large model reads; three votes are taken and one "no" blocks. Code keeps numbers apart (`lint`, `gate`, `reading`);
meaning, suggestion and sense are what is asked here. A failed answer is no vote: without three there is no verdict.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from promolift.message.angles import RULES, Angle, Known
from promolift.message.drafts import Asked, Draft, Question, prompt, schema
from promolift.message.facts import offer_words, terms
from promolift.terms import Language, Offer

VOTES = 3
_SAYS, _FLAG = {"type": "string"}, {"type": "boolean"}
_CLAIM = schema(claim=_SAYS, entailed=_FLAG, by=_SAYS)
_SCHEMA = schema(claims={"type": "array", "items": _CLAIM}, fit=_FLAG, why=_SAYS)


class ReadClaim(NamedTuple):
    """What a text says, whether the facts entail it, and which."""

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


class ToJudge(NamedTuple):
    """A text, the facts it may rely on, and what it must never say."""

    text: str
    language: Language
    facts: tuple[str, ...]
    never: str


def of_draft(draft: Draft, angle: Angle, language: Language) -> ToJudge:
    """A draft: the facts are its angle's row and that code fills the slots truly."""
    zh = language == "zh"
    known = "槽位（{deal} {product} {bought}）由程序如实填入" if zh else "code fills every {slot} truly"
    after = "文案之后程序会写明优惠、门槛、期限" if zh else "after it code states the offer, its conditions and its end"
    text = " / ".join(part for part in (draft.title, draft.hook, draft.call) if part)
    return ToJudge(text, language, (RULES[angle].may, known, after), RULES[angle].never)


def of_text(text: str, offer: Offer, language: Language, known: Known) -> ToJudge:
    """A whole text of a person: the facts are the offer, its end, and what is known of the customer."""
    facts = [offer_words(offer, language), terms(offer, language)]
    facts += [f"name: {known.name}"] if known.name else []
    facts += [f"just bought: {words.in_(language)}" for words in known.bought]
    return ToJudge(text, language, (*facts, RULES[known.angle].may), RULES[known.angle].never)


def judge(several: Sequence[ToJudge], judge_: Asked, votes: int = VOTES, seed: int = 0) -> list[Judgement]:
    """A judgement each, in order, by `votes` readings each with a seed of its own; one "no" blocks."""
    asks = [question(each, seed + vote) for each in several for vote in range(votes)]
    answers = list(judge_(asks)) if asks else []
    parts = [answers[i * votes : (i + 1) * votes] for i in range(len(several))]
    return [_settled([_vote(answer) for answer in part], votes) for part in parts]


def question(each: ToJudge, seed: int) -> Question:
    """The ask for one reading."""
    words = prompt(each.language)
    facts = "\n".join(f"- {fact}" for fact in each.facts)
    user = words["judge_user"]
    for key, value in (("{facts}", facts), ("{never}", each.never), ("{text}", each.text)):
        user = user.replace(key, value, 1)
    return Question(words["judge_system"], user, _SCHEMA, seed)


def _settled(read: Sequence[Vote | str], votes: int) -> Judgement:
    given = tuple(each for each in read if isinstance(each, Vote))
    faults = tuple(each for each in read if isinstance(each, str))
    no = next((vote for vote in given if not vote.fit), None)
    if no is not None:
        return Judgement(False, no.why or _unbacked(no), given, faults)
    if len(given) < votes:
        return Judgement(None, f"{len(given)} of {votes} votes came back: {'; '.join(faults)}", given, faults)
    return Judgement(True, given[0].why if given else "", given, faults)


def _vote(answer: Any) -> Vote | str:
    """A reading, or why there is none. A claim that is not entailed is a no, whatever `fit` says."""
    if answer.fault:
        return str(answer.fault)
    try:
        read = json.loads(answer.text)
        claims = tuple(ReadClaim(str(c["claim"]), bool(c["entailed"]), str(c.get("by", ""))) for c in read["claims"])
        fit = read["fit"] is True and all(claim.entailed for claim in claims)
        return Vote(fit, str(read.get("why", "")), claims, answer.model)
    except (ValueError, KeyError, TypeError):
        return "the answer is not the JSON that was asked for"


def _unbacked(vote: Vote) -> str:
    return "; ".join(claim.claim for claim in vote.claims if not claim.entailed) or "the judge said no"
