"""Chapters on who gets which offer and why, and on the messages that customers read."""

from typing import NamedTuple

from promolift.core.customers.disclosure_control import small_cells
from promolift.core.messages.angles import ANGLE_RULES
from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext
from promolift.foundation.i18n.formatting import (
    count,
    current_locale,
    interval,
    join_sentences,
    percent,
    truncate,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import LazyMessage, render_message
from promolift.foundation.localized_text import Language
from promolift.foundation.pages.blocks import Block, Chapter, Figure, TextTable, unknown_note
from promolift.shop.reports.offer_reasons import MOTIVES, reason_text
from promolift.shop.reports.story import CustomerCard, ReadFact, Story
from promolift.shop.results.customers import PlannedOffer
from promolift.shop.results.messages import PoolWords

MOST_OFFERS, MOST_REFUSED = 12, 5


def build_chapter(story: Story) -> Chapter:
    """Build the chapter on who gets which offer."""
    blocks: list[Figure | Block] = [
        unknown_note(gettext("who gets which offer"), story.missing.get("offers"))
        if story.offers.is_empty()
        else _mix(story)
    ]
    if story.motives and story.plan.treated:
        blocks.append(_motives(story))
    if not story.segments.is_empty():
        blocks.append(_segments(story))
    title = gettext("Some customers, and why")
    if story.cards:
        blocks.append(Block("cards", {"rows": [_card(c, i, story) for i, c in enumerate(story.cards)]}, title))
    else:
        blocks.append(unknown_note(gettext("the stories of single customers"), story.missing.get("cards")))
    name, title = gettext("Who gets what"), gettext("Who gets what, and why?")
    return Chapter("people", name, title, _lead(story), blocks, gettext("The plan"))


def _lead(story: Story) -> str:
    """How many get an offer, and what becomes of the others."""
    plan = story.plan
    if not plan.treated:
        return gettext("Nobody would get an offer.")
    rest = plan.able - plan.treated
    said = [
        ngettext(
            "{treated} of {customers} customer would get an offer.",
            "{treated} of {customers} customers would get an offer.",
            plan.customers,
            treated=count(plan.treated),
            customers=count(plan.customers),
        )
    ]
    if rest and not plan.draws:
        said.append(
            ngettext(
                "{customers} customer get none: no offer is open to them or worth its cost, or "
                "others use the budget better.",
                "{customers} customers get none: no offer is open to them or worth its cost, or "
                "others use the budget better.",
                rest,
                customers=count(rest),
            )
        )
    if plan.held_out:
        said.append(
            ngettext(
                "{customers} customer picked at random get none, so that the difference can be measured.",
                "{customers} customers picked at random get none, so that the difference can be measured.",
                plan.held_out,
                customers=count(plan.held_out),
            )
        )
    if plan.barred:
        said.append(
            ngettext(
                "{customers} customer may not be written to.",
                "{customers} customers may not be written to.",
                plan.barred,
                customers=count(plan.barred),
            )
        )
    return join_sentences(*said)


def _mix(story: Story) -> Figure:
    cash, plan = story.cash, story.plan
    shown = [
        row | {"name": truncate(row["offer"] or row["offer_id"] or gettext("other offers, each to few customers"), 80)}
        for row in story.offers.head(MOST_OFFERS).iter_rows(named=True)
    ]
    top = shown[0]
    rows = [[r["name"], count(r["treated"]), cash(r["gain_cents"]), cash(r["cost_cents"])] for r in shown]
    bars = [
        {
            "name": name,
            "value": r["treated"],
            "text": gettext("brings {gain}, costs {cost}", gain=gain, cost=cost),
        }
        for r, (name, _, gain, cost) in zip(shown, rows, strict=True)
    ]
    how = []
    if story.offers.height > MOST_OFFERS:
        how.append(gettext("Only the most frequent are drawn."))
    if story.summary.promised_cents is not None:
        how.append(gettext("Luck in the choice is not taken off single offers."))
    name = truncate(top["name"], 60)
    customers = ngettext(
        "{customers} customer", "{customers} customers", top["treated"], customers=count(top["treated"])
    )
    finding = ngettext(
        "{offers} different offer. Most frequent is “{name}”: {customers}, {share} of those with an offer.",
        "{offers} different offers. Most frequent is “{name}”: {customers}, {share} of those with an offer.",
        story.different,
        offers=count(story.different),
        name=name,
        customers=customers,
        share=percent(top["share"]),
    )
    heads = [gettext("offer"), pgettext("recipients", "customers"), gettext("expected gain"), gettext("expected cost")]
    return Figure(
        "mix",
        gettext("Which offers"),
        finding,
        {"kind": "bars", "x": {"name": pgettext("recipients", "customers"), "fmt": "count"}, "rows": bars},
        TextTable(heads, rows),
        join_sentences(*how),
        ngettext("{n} offer", "{n} offers", plan.treated, n=count(plan.treated)),
        plan.evidence,
        wide=True,
    )


def _motives(story: Story) -> Figure:
    """What sets those with an offer apart."""
    rows = [(upper_first(gettext(MOTIVES[each.motive])), each.customers) for each in story.motives]
    few = small_cells([n for _, n in rows], story.least)
    rest = sum(n for (_, n), small in zip(rows, few, strict=True) if small)
    rows = [row for row, small in zip(rows, few, strict=True) if not small]
    rows += [(gettext("other reasons, each of few customers"), rest)] if rest else []
    finding = gettext(
        "What sets most of them apart: they {motives} ({rows} of {treated}).",
        motives=gettext(MOTIVES[story.motives[0].motive]),
        rows=count(rows[0][1]),
        treated=count(story.plan.treated),
        rows_2=rows[0][0],
    )
    how = gettext(
        "Of each customer the one that tells most; the reason of each, with their own figures, stands in plan.csv."
    )
    spec = {
        "kind": "bars",
        "x": {"name": pgettext("recipients", "customers"), "fmt": "count"},
        "rows": [{"name": name, "value": n, "text": ""} for name, n in rows],
    }
    grid = TextTable([gettext("what sets them apart"), "customers"], [[name, count(n)] for name, n in rows])
    return Figure("motives", gettext("Why these customers"), finding, spec, grid, how, wide=True)


def _segments(story: Story) -> Block:
    """The shop's own groups of customers, and what the plan gives each."""
    rows = [
        [
            truncate(row["name"], 60),
            suppressed_count(row["customers"], story),
            percent(row["share"]),
            suppressed_count(row["treated"], story),
            story.cash(row["gain_cents"]),
            story.cash(row["cost_cents"]),
        ]
        for row in story.segments.iter_rows(named=True)
    ]
    heads = [
        gettext("segment"),
        pgettext("recipients", "customers"),
        gettext("of all"),
        pgettext("recipients", "with an offer"),
        gettext("expected gain"),
        gettext("expected cost"),
    ]
    how = gettext("By the rules of promolift.toml; a customer who belongs to two counts in both.")
    return Block("grid", {"grid": TextTable(heads, rows), "text": how}, gettext("Your segments"))


def suppressed_count(customers: int | None, story: Story) -> str:
    """Format a number of customers, or state that it is suppressed because it could identify few of them."""
    return (
        gettext("fewer than {least}, or would tell of so few", least=story.least)
        if customers is None
        else count(customers)
    )


class CustomerText(NamedTuple):
    """What a customer reads in a language."""

    language: Language
    text: str
    title: str


def _card(card: CustomerCard, place: int, story: Story) -> dict[str, object]:
    given, cash = card.planned, story.cash
    reason = reason_text(given.reason_facts)
    return {
        "letter": chr(65 + place),
        "id": truncate(given.customer_id, 40),
        "who": truncate(card.who, 600) if card.who else "",
        "facts": {truncate(name, 40): truncate(value, 60) for name, value in card.facts.items()},
        "offer": truncate(card.offer, 140),
        "why": upper_first(truncate(reason, 600)) + gettext(".") if reason else "",
        "gain": cash(given.gain_cents, sign=True),
        "interval": interval(given.low_cents, given.high_cents, cash),
        "cost": cash(given.cost_cents),
        "evidence": given.evidence,
        "texts": _texts(card),
    }


def _texts(card: CustomerCard) -> list[CustomerText]:
    """What the customer reads in each language, the reader's first; empty where there is no message."""
    found = [
        CustomerText(language, truncate(text, 400), truncate(card.planned.titles.get(language, ""), 80))
        for language, text in card.planned.messages.items()
    ]
    return sorted(found, key=lambda each: each.language != current_locale())


def build_messages_chapter(story: Story) -> Chapter:
    """Build the chapter on messages: examples with a tick per verified fact, the pool, and refused texts."""
    rows = [
        {
            "offer": truncate(c.offer, 80),
            "customer": truncate(c.planned.customer_id, 40),
            "texts": _texts(c),
            **_notification(c),
        }
        for c in story.typical
    ]
    lead = gettext("No messages were written.")
    if story.written:
        language = {"zh": gettext("Chinese"), "en": gettext("English")}
        lead = gettext("; ").join(
            ngettext(
                "{messages} message in {language}, typically {characters} characters long",
                "{messages} messages in {language}, typically {characters} characters long",
                each.messages,
                messages=count(each.messages),
                language=language[each.language],
                characters=count(each.characters),
            )
            for each in story.written
        )
        silent = ngettext(
            " {offers} offer without a message.",
            " {offers} offers without a message.",
            story.silent,
            offers=count(story.silent),
        )
        lead += gettext(".") + (silent if story.silent else "")
    name, title = gettext("Messages"), gettext("What do they read?")
    if not rows:
        why = story.missing.get("messages") or story.missing.get("offers")
        return Chapter("messages", name, title, lead, [unknown_note(gettext("what customers would read"), why)])
    shown = gettext("Some customers, why they were written to, and what they read")
    blocks = [Block("messages", {"rows": rows}, shown)]
    if story.angles:
        few = small_cells([number for _, number in story.angles], story.least)
        angles = [
            [angle_name(angle), suppressed_count(None if small else number, story)]
            for (angle, number), small in zip(story.angles, few, strict=True)
        ]
        heads = [gettext("reason the message gives"), pgettext("recipients", "messages")]
        blocks.append(Block("grid", {"grid": TextTable(heads, angles), "text": ""}, gettext("Reasons")))
    return Chapter("messages", name, title, lead, [*blocks, *(_pool(story.wording) if story.wording else [])])


def angle_name(angle: str) -> str:
    """What a message is about, in a few words."""
    return ANGLE_RULES[angle].label.text_in(current_locale()) if angle in ANGLE_RULES else angle


def _notification(card: CustomerCard) -> dict[str, object]:
    """Why, the titles, and each fact that was read in the text, ticked or not."""
    given = card.planned
    return {
        "why": truncate(reason_text(given.reason_facts), 300),
        "angle": angle_name(given.angle) if given.angle else "",
        "facts": [
            (f.language, truncate(f.text, 60), fact_name(f.kind), f.holds) for f in (*_claimed(given), *card.read)
        ],
    }


def _claimed(given: PlannedOffer) -> list[ReadFact]:
    """The claim of the words, and whether the customer's own rows give it."""
    if not given.angle or given.angle == "generic":
        return []
    kind, holds = pgettext("recipients", "reason"), given.angle in (given.angles or ())
    return [ReadFact(current_locale(), angle_name(given.angle), kind, holds)]


def fact_name(kind: str) -> str:
    """Return what a fact in a text is about."""
    names = {
        "name": gettext("name"), "percent": pgettext("fact", "percent"), "amount": pgettext("fact", "amount"),
        "threshold": pgettext("fact", "threshold"), "cap": pgettext("fact", "cap"),
        "shipping": pgettext("fact", "shipping"), "start": pgettext("fact", "start"), "end": pgettext("fact", "end"),
        "code": pgettext("fact", "code"), "person": pgettext("fact", "person"), "bought": pgettext("fact", "bought"),
    }  # fmt: skip
    return names.get(kind, kind)


def state_name(state: str) -> str:
    """Return the state of a text of the pool."""
    names = {
        "drafted": pgettext("pool", "drafted"), "faulty": pgettext("pool", "faulty"),
        "judged": pgettext("pool", "judged"), "edited": pgettext("pool", "edited"),
        "approved": pgettext("pool", "approved"), "rejected": pgettext("pool", "rejected"),
        "retired": pgettext("pool", "retired"),
    }  # fmt: skip
    return names.get(state, state)


def _pool(wording: PoolWords) -> list[Block]:
    """How many texts stand in each state, and some that were refused, with the reason."""
    states = [[state_name(state), count(number)] for state, number in wording.pool.funnel().items() if number]
    size, usable = len(wording.texts), len(wording.pool.usable(wording.approve).texts)
    approved = sum(text.state == "approved" for text in wording.texts)
    text = ngettext(
        "{usable} of {texts} text may be sent; a person approved {approved}.",
        "{usable} of {texts} texts may be sent; a person approved {approved}.",
        size,
        usable=count(usable),
        texts=count(size),
        approved=count(approved),
    )
    if usable > approved:
        text += gettext(
            " The others were read and passed by a large language model; whether that is enough "
            "is said in promolift.toml."
        )
    heads = [gettext("state"), gettext("texts")]
    found = [Block("grid", {"grid": TextTable(heads, states), "text": text}, gettext("The pool of texts"))]
    mine = [text for text in wording.texts if text.language == current_locale()]
    refused = [text for state in ("rejected", "faulty") for text in mine if text.state == state][:MOST_REFUSED]
    if refused:
        rows = [
            [
                truncate(f"{text.title} / {text.hook}", 200),
                truncate(render_message(LazyMessage.from_text(text.why)), 200),
            ]
            for text in refused
        ]
        grid = TextTable([pgettext("recipients", "text"), gettext("why")], rows)
        found.append(Block("grid", {"grid": grid, "text": ""}, gettext("Texts that were refused")))
    return found
