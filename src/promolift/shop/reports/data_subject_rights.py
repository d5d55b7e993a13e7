"""Explain to a customer which data are stored about them, in plain sentences of the current language.

The sections cover the data, their purpose, how a decision is made, who receives the data, how long they are stored and
how to opt out.
"""

from collections.abc import Sequence
from typing import NamedTuple

from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import count, date, join_list, join_sentences, localize
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
    write = settings.contact or localize("the shop", "店铺")
    return [
        SubjectStatement("controller", localize("Who answers for your data", "谁对您的数据负责"),
                         localize(f"{who}. Write to {write}.", f"{who}。联系方式：{write}。")),
        SubjectStatement("data", localize("What is kept of you", "保存了您的哪些数据"), _data(facts, zone)),
        SubjectStatement("purpose", localize("What for, and what allows it", "用途与依据"), _purpose(settings)),
        SubjectStatement("logic", localize("How a decision comes about", "决策如何产生"), _logic(facts)),
        SubjectStatement("decision", localize("The latest decision about you", "最近一次关于您的决策"),
                         _latest(facts.last, zone)),
        SubjectStatement("receivers", localize("Who else hears of it", "还有谁会收到"), _receivers(facts.receivers)),
        SubjectStatement("kept", localize("How long it is kept", "保存多久"), _kept(kept)),
        SubjectStatement("refuse", localize("How to refuse", "如何拒绝"), _refuse(facts, write)),
    ]  # fmt: skip


def _data(facts: SubjectFacts, zone: str) -> str:
    held = [f"{gettext(TABLE_LABELS[name])} ({count(n)})" for name, n in facts.rows.items() if n]
    if not held and not facts.planned:
        return localize("Nothing is kept under this id.", "该编号下没有保存任何数据。")
    first, last = (date(each, zone) for each in (facts.first_ms, facts.last_ms))
    span = localize(f" From {first} to {last}.", f"时间为{first}至{last}。") if facts.first_ms is not None else ""
    parts = "; ".join(held) if held else localize("nothing of the last days", "近期没有新数据")
    plan = localize(
        " From your earlier orders: how often and how much you buy, what you like, how prices move you.",
        "由您以往的订单得出：购买频率与金额、偏好、对价格的反应。",
    )
    return f"{localize(parts[:1].upper() + parts[1:], parts)}{localize('.', '。')}{span}{plan if facts.planned else ''}"


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
        said.append(localize(f"{source}: {purpose}; allowed by {basis}.", f"{source}：{purpose}；依据：{basis}。"))
    return join_sentences(*said)


def _logic(facts: SubjectFacts) -> str:
    if facts.refused:
        return localize(
            "You refused personal decisions: no offer is chosen for you. What the shop offers everybody is yours, too.",
            "您已拒绝个性化决策：不会专门为您选择优惠；面向所有人的优惠您同样可以享受。",
        )  # fmt: skip
    return localize(
        "From what you bought or looked at, a program estimates what you will buy and what an offer would change. "
        "Offers go to whom they are expected to help most within a budget; some customers, drawn at random, get none, "
        "so that the effect can be measured. No person takes part in it; you may ask for one to look again.",
        "程序根据您的购买与浏览，估计您会购买什么、优惠会带来什么变化。在预算之内，优惠给预计最有帮助的客户；另有部分客户"
        "随机不发放，用于衡量效果。决策由程序自动作出，您可要求人工复核。",
    )


def _latest(last: LastDecision | None, zone: str) -> str:
    if last is None:
        return localize("None was made.", "尚无决策。")
    day = date(last.ts_ms, zone)
    if last.held:
        return localize(
            f"{day}: no offer; you were drawn at random to get none.", f"{day}：没有优惠；您被随机分入不发放组。"
        )
    if last.offer is None:
        return localize(f"{day}: no offer.", f"{day}：没有优惠。")
    return localize(f"{day}: {last.offer}", f"{day}：{last.offer}")


def _receivers(hosts: Sequence[str]) -> str:
    if not hosts:
        return localize("Nobody outside the shop.", "店铺以外没有接收方。")
    return localize(f"Systems of the shop at {join_list(list(hosts))}.", f"店铺的系统：{join_list(list(hosts))}。")


def _kept(kept: RetentionDays) -> str:
    def period_text(what: str, days: float | None) -> str:
        if days is None:
            return localize(f"{what}: until you ask for them to be deleted.", f"{what}：直至您要求删除。")
        return localize(f"{what}: {count(days)} days.", f"{what}：{count(days)}天。")

    done, decisions = localize("What you did", "行为数据"), localize("Decisions", "决策记录")
    return join_sentences(period_text(done, kept.events), period_text(decisions, kept.decisions))


def _refuse(facts: SubjectFacts, write: str) -> str:
    now = localize("You are sent no offers now. ", "目前不会向您发送优惠。") if facts.consent is False else ""
    return now + localize(
        f"Write to {write}: for no more offers, for no personal decisions, for a copy of your data, for a correction, "
        "or to have all of it deleted. You may also complain to the data protection authority.",
        f"请联系{write}：可要求不再接收优惠、不作个性化决策、获取数据副本、更正或全部删除。您也可向个人信息保护主管部门投诉。",
    )
