"""Explain to a customer which data are stored about them, in plain sentences of the current language.

The sections cover the data, their purpose, how a decision is made, who receives the data, how long they are stored and
how to opt out.
"""

from collections.abc import Sequence
from typing import NamedTuple

from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import count, date, join_list, join_sentences, upper_first
from promolift.shop.configuration.settings import PrivacySettings

TABLE_LABELS = {
    "events": gettext_noop("what you did at the shop: visits, carts, orders"),
    "bought": gettext_noop("what you bought lately, for limits of offers"),
    "customers": gettext_noop("what was said of you: consent, age, language"),
    "aliases": gettext_noop("identifiers of your devices before you signed in"),
    "decisions": gettext_noop("decisions about offers for you"),
    "codes": gettext_noop("codes given to you"),
    "redemptions": gettext_noop("offers that you used"),
    "rejects": gettext_noop("messages about you that could not be read"),
    "outbox": gettext_noop("messages about you that were passed on"),
}  # by table of the ledger
BASES = {
    "consent": gettext_noop("consent, which can be taken back at any time"),
    "contract": gettext_noop("the contract"),
    "obligation": gettext_noop("a legal obligation"),
    "interest": gettext_noop("a legitimate interest, which can be objected to"),
}  # by `Processing.basis`
USED_FOR = gettext_noop("to choose offers that fit")


class LastDecision(NamedTuple):
    """The latest decision: when, what was given as it is printed (None: no offer), and whether luck alone barred it."""

    ts_ms: int
    offer: str | None
    held: bool


class SubjectFacts(NamedTuple):
    """What is kept of one customer: rows by table, the time they span, whether the plan in force knows them, consent
    (None: not said), whether they refused personal decisions, the latest decision, and hosts that hear of it.
    """

    rows: dict[str, int]
    first_ms: int | None
    last_ms: int | None
    planned: bool
    consent: bool | None
    refused: bool
    last: LastDecision | None
    receivers: Sequence[str]


class RetentionDays(NamedTuple):
    """Days after which events and decisions are deleted; None: nothing is deleted by itself."""

    events: float | None
    decisions: float | None


class SubjectStatement(NamedTuple):
    """One statement for a customer: its topic, title and text."""

    about: str
    title: str
    text: str


def explain_subject(
    facts: SubjectFacts, settings: PrivacySettings, shop: str, zone: str, kept: RetentionDays
) -> list[SubjectStatement]:
    """All that a customer is told, in the order of their questions, in the language that is spoken."""
    who = settings.controller or shop
    write = settings.contact or gettext("the shop")
    return [
        SubjectStatement(
            "controller",
            gettext("Who answers for your data"),
            gettext("{who}. Write to {write}.", who=who, write=write),
        ),
        SubjectStatement("data", gettext("What is kept of you"), _data(facts, zone)),
        SubjectStatement("purpose", gettext("What for, and what allows it"), _purpose(settings)),
        SubjectStatement("logic", gettext("How a decision comes about"), _logic(facts)),
        SubjectStatement("decision", gettext("The latest decision about you"), _latest(facts.last, zone)),
        SubjectStatement("receivers", gettext("Who else hears of it"), _receivers(facts.receivers)),
        SubjectStatement("kept", gettext("How long it is kept"), _kept(kept)),
        SubjectStatement("refuse", gettext("How to refuse"), _refuse(facts, write)),
    ]


def _data(facts: SubjectFacts, zone: str) -> str:
    held = [f"{gettext(TABLE_LABELS[name])} ({count(n)})" for name, n in facts.rows.items() if n]
    if not held and not facts.planned:
        return gettext("Nothing is kept under this id.")
    first, last = (date(each, zone) for each in (facts.first_ms, facts.last_ms))
    span = gettext(" From {first} to {last}.", first=first, last=last) if facts.first_ms is not None else ""
    parts = "; ".join(held) if held else gettext("nothing of the last days")
    plan = gettext(" From your earlier orders: how often and how much you buy, what you like, how prices move you.")
    return f"{upper_first(parts)}{gettext('.')}{span}{plan if facts.planned else ''}"


def _purpose(settings: PrivacySettings) -> str:
    names = {
        "events": gettext_noop("What you did"), "customers": gettext_noop("What was said of you"),
        "promotions": gettext_noop("Offers of the past"),
        "words": gettext_noop("What you wrote or said to the shop"),
    }  # fmt: skip
    said = []
    for name, title in names.items():
        stated = getattr(settings, name)
        source = gettext(title)
        purpose, basis = stated.purpose or gettext(USED_FOR), gettext(BASES[stated.basis])
        said.append(gettext("{source}: {purpose}; allowed by {basis}.", source=source, purpose=purpose, basis=basis))
    return join_sentences(*said)


def _logic(facts: SubjectFacts) -> str:
    if facts.refused:
        return gettext(
            "You refused personal decisions: no offer is chosen for you. What the shop offers everybody is yours, too."
        )
    return gettext(
        "From what you bought or looked at, a program estimates what you will buy and what "
        "an offer would change. Offers go to whom they are expected to help most within a "
        "budget; some customers, drawn at random, get none, so that the effect can be "
        "measured. No person takes part in it; you may ask for one to look again."
    )


def _latest(last: LastDecision | None, zone: str) -> str:
    if last is None:
        return gettext("None was made.")
    day = date(last.ts_ms, zone)
    if last.held:
        return gettext("{day}: no offer; you were drawn at random to get none.", day=day)
    if last.offer is None:
        return gettext("{day}: no offer.", day=day)
    return gettext("{day}: {offer}", day=day, offer=last.offer)


def _receivers(hosts: Sequence[str]) -> str:
    if not hosts:
        return gettext("Nobody outside the shop.")
    return gettext("Systems of the shop at {hosts}.", hosts=join_list(list(hosts)))


def _kept(kept: RetentionDays) -> str:
    def period_text(what: str, days: float | None) -> str:
        if days is None:
            return gettext("{what}: until you ask for them to be deleted.", what=what)
        return gettext("{what}: {days} days.", what=what, days=count(days))

    done, decisions = gettext("What you did"), pgettext("data_subject_rights", "Decisions")
    return join_sentences(period_text(done, kept.events), period_text(decisions, kept.decisions))


def _refuse(facts: SubjectFacts, write: str) -> str:
    now = gettext("You are sent no offers now. ") if facts.consent is False else ""
    return now + gettext(
        "Write to {write}: for no more offers, for no personal decisions, for a copy of your "
        "data, for a correction, or to have all of it deleted. You may also complain to the "
        "data protection authority.",
        write=write,
    )
