"""One customer: what they would get now and why, what would change that, who they are, and what happened in order."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import select

from promolift.core.customers.reason_text import render_reason
from promolift.core.decisions.decision_rule import NONE
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    current_locale,
    in_brackets,
    low_to_high,
    number,
    truncate,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.money import currency_digits
from promolift.foundation.sql import bind, fetch_frame
from promolift.server.api.request_models import DecisionIn
from promolift.server.api.routes import lists, redemptions
from promolift.server.console.pages.context import PageVisit, Screen, requested_customer
from promolift.server.console.pages.release_offers import describe_release_offer, is_release_available
from promolift.server.decisions.decision_explanation import Explanation, explain_decision, explain_past_reason
from promolift.server.ledger.event_rows import MESSAGE_WITHHELD, OFFER_MESSAGE
from promolift.server.ledger.outcomes import finite_number as amount
from promolift.server.ledger.schema import CUSTOMERS, DECISIONS, EVENTS, OUTBOX
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.reports.story_builder import describe_customer, log_days, profile_figures, top_tastes
from promolift.shop.results.customers import Person
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job, moments

TIMELINE_LINES, MOST_LINES = 30, 300  # of the page, and of it with all that is known
OPTION_FIELDS = {"gain_cents": "gain_cents", "cost_cents": "cost_cents", "worth_cents": "worth_at_price_cents"}
KINDS = ("order", "view", "decision", "sent", "redemption", "other")
SELECT_LOG_LINES = """
select min(ts_ms) as ts_ms, kind, order_id, count(*) as lines, sum(revenue_cents) as cents from events
where customer_id = $who group by kind, order_id order by 1 desc limit $most
"""


class TimelineLine(NamedTuple):
    """A line of a customer's timeline: its time, one of KINDS, its text, and where it is known from."""

    ts_ms: int
    kind: str
    text: str
    source: str  # log, decision, redemption, event or message


class TimelineKind(NamedTuple):
    """A kind of lines on the page: its name, and how many lines there are of it."""

    kind: str
    name: str
    number: int


def customer_screen(visit: PageVisit) -> Screen:
    """Return the page of the customer who is asked for."""
    customer = requested_customer(visit)
    most = int(visit.number("lines", TIMELINE_LINES, TIMELINE_LINES, MOST_LINES))
    decided, told, logged = preview_decision(visit, customer), None, list[TimelineLine]()
    if visit.server.config is not None:
        told, logged = describe_profile(visit.job(), customer), log_timeline(visit.job(), customer, most)
    timeline = customer_timeline(visit, customer, logged, most)
    with visit.read() as db:
        said = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == customer)).mappings().first()
    if told is None and not timeline and said is None:
        raise translate_refusal("customer_unknown")
    shown = visit.query.get("show", "")
    more = most < MOST_LINES and len(timeline) > most
    timeline = timeline[:most]
    kinds = timeline_kinds(timeline)
    lines = [each for each in timeline if shown not in KINDS or each.kind == shown]
    data = {
        "customer_id": customer, "profile": told, "decided": decided, "why": explain(visit, decided),
        "weighed": open_options(visit, decided), "closed": excluded_options(visit, decided),
        "said": dict(said) if said else None, "kinds": kinds, "shown": shown if shown in KINDS else "",
        "timeline": lines, "timeline_lines": len(timeline), "more": more,
        "kind_names": {each.kind: each.name for each in kinds}, "most_lines": MOST_LINES,
    }  # fmt: skip
    return Screen("customers/one.html", customer, data)


def preview_decision(visit: PageVisit, customer: str) -> dict[str, Any]:
    """Return what would be decided now."""
    asked = DecisionIn(customer_id=customer, campaign_id=visit.campaign_id, language=current_locale())
    return redemptions.preview_decision(visit.call, asked)


def explain(visit: PageVisit, decided: dict[str, Any]) -> Explanation:
    """Explain what would be decided now in plain sentences."""
    release_id = decided["release_id"]
    release = visit.server.decider.ensure(release_id) if release_id else None
    if release is None or release.creatives is not None:
        return Explanation(upper_first(render_reason(decided["reason"])) + gettext("."), [])
    describe = partial(describe_release_offer, visit, release_id)
    return explain_decision(release, decided, describe, visit.campaign().policy.rest_days)


def open_options(visit: PageVisit, decided: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the eligible options, the best first, "no offer" included: gain, cost and worth at the price."""
    found = [
        {"offer": each["offer"], "given": each["offer"] == decided["offer_id"]}
        | {name: each[of] for name, of in OPTION_FIELDS.items()}
        for each in decided["candidates"]
        if "share" not in each
    ]
    best = sorted(found, key=lambda each: (not each["given"], -each["worth_cents"]))[:12]
    return [each | {"text": describe_release_offer(visit, decided["release_id"], each["offer"])} for each in best]


def excluded_options(visit: PageVisit, decided: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the excluded options by reason; the first few of each."""
    by: dict[str, list[str]] = defaultdict(list)
    for each in decided["ineligible"]:
        by[each["reason"]].append(each["offer"])
    return [
        {"why": render_reason(why), "number": len(offers),
         "offers": [describe_release_offer(visit, decided["release_id"], each) for each in offers[:4]]}
        for why, offers in sorted(by.items(), key=lambda pair: -len(pair[1]))
    ]  # fmt: skip


def describe_profile(job: Job, customer: str) -> dict[str, Any] | None:
    """Describe a customer and list profile figures with their error; None for an unknown customer."""
    if not PlanNote.has(job.store):
        return None
    at = moments(job)
    rows = job.profiled.profile(at.asof, customer).to_dicts()
    if not rows:
        return None
    ahead = job.profiled.outlook_of(customer).to_dicts()
    person = Person.of(rows[0] | (ahead[0] if ahead else {}))
    described = next(job.clean.customer(customer).iter_rows(named=True), {})
    tastes = top_tastes(job, at, pl.DataFrame({"customer_id": [customer]})).get(customer, [])
    shown = profile_figures(person, log_days(job, at))
    value, se = person.price_sensitivity, person.price_sensitivity_se
    if value is not None:
        between = in_brackets(low_to_high(value - Z95 * se, value + Z95 * se, number)) if se is not None else ""
        shown[gettext("price sensitivity")] = f"{number(value)}{between}"
    return {"who": describe_customer(person, described, tastes), "facts": shown}


def timeline_kinds(timeline: Iterable[TimelineLine]) -> list[TimelineKind]:
    """Return the kinds of lines that there are, with their numbers."""
    names = {
        "order": gettext("Orders"), "view": pgettext("customers", "Views"), "decision": gettext("Offers decided"),
        "sent": gettext("Messages"), "redemption": pgettext("customers", "Redemptions"), "other": gettext("Other"),
    }  # fmt: skip
    numbers = Counter(each.kind for each in timeline)
    return [TimelineKind(kind, names[kind], numbers[kind]) for kind in KINDS if numbers[kind]]


def log_timeline(job: Job, customer: str, most: int) -> list[TimelineLine]:
    """Return orders and visits of the shop's log."""
    if not job.clean.has_events:
        return []
    cash = MoneyFormat(job.config.shop.currency)
    rows = fetch_frame(job.clean.events().query("events", bind(SELECT_LOG_LINES, who=customer, most=most)))
    kinds = {"purchase": "order", "view": "view"}
    return [
        TimelineLine(row["ts_ms"], kinds.get(row["kind"], "other"), log_line(row, cash), "log")
        for row in rows.iter_rows(named=True)
    ]


def customer_timeline(
    visit: PageVisit, customer: str, logged: list[TimelineLine], most: int = TIMELINE_LINES
) -> list[TimelineLine]:
    """Merge `logged` with events, decisions, messages and redemptions of the ledger, the latest first."""
    cash, found = MoneyFormat(visit.shared.shop.currency), [*logged]
    made = select(DECISIONS).where(DECISIONS.c.customer_id == customer).order_by(DECISIONS.c.ts_ms.desc()).limit(most)
    for row in visit.rows(made):
        found.append(TimelineLine(row["ts_ms"], "decision", decision_line(visit, row), "decision"))
    for row in lists.redemptions(visit.call, customer, limit=most)["data"]:
        found.append(TimelineLine(row["ts_ms"], "redemption", redemption_line(visit, row, cash), "redemption"))
    heard = select(EVENTS.c.ts_ms, EVENTS.c.name, EVENTS.c.body).where(
        EVENTS.c.customer_id == customer, EVENTS.c.name != MESSAGE_WITHHELD
    )
    sent = select(OUTBOX.c.ts_ms, OUTBOX.c.channel, OUTBOX.c.status).where(OUTBOX.c.customer_id == customer)
    with visit.read() as db:
        for event in db.execute(heard.order_by(EVENTS.c.ts_ms.desc()).limit(most)):
            text = event_line(event.name, event.body, visit.shared.shop.currency)
            found.append(TimelineLine(event.ts_ms, EVENT_KINDS.get(event.name, "other"), text, "event"))
        for one in db.execute(sent.order_by(OUTBOX.c.ts_ms.desc()).limit(most)):
            text = gettext(
                "Message by {channel}: {state}", channel=one.channel, state=translate_key("delivery", one.status)
            )
            found.append(TimelineLine(one.ts_ms, "sent", text, "message"))
    return sorted(found, key=lambda each: -each.ts_ms)[: most + 1]


def decision_line(visit: PageVisit, row: dict[str, Any]) -> str:
    """A decision, with its reason in a few words."""
    if not is_release_available(visit, row):
        return gettext("Decided: {offer} ({why})", offer=row["offer_id"], why=render_reason(row["reason"]))
    release = visit.server.decider.ensure(row["release_id"])
    describe = partial(describe_release_offer, visit, row["release_id"])
    creative = release.creatives is not None
    why = render_reason(row["reason"]) if creative else explain_past_reason(release, row, describe)
    if row["offer_id"] == NONE:
        return gettext("No offer: {why}", why=why)
    return gettext("Decided: {offer} ({why})", offer=describe(row["offer_id"]), why=why)


def redemption_line(visit: PageVisit, row: dict[str, Any], cash: MoneyFormat) -> str:
    """What became of an offer at the till."""
    paid = cash(row["final_cents"] if row["final_cents"] is not None else row["reserved_cents"])
    match row["status"]:
        case "confirmed":
            return gettext("Offer used: {paid} off", paid=paid)
        case "reserved":
            return gettext("Offer in an open order: {paid} held", paid=paid)
        case "rolled_back":
            return gettext("Offer given back: {paid}", paid=paid)
        case _:
            return gettext("Offer not used in time: {paid} free again", paid=paid)


def log_line(row: dict[str, Any], cash: MoneyFormat) -> str:
    """A line of the shop's log."""
    if row["kind"] == "purchase":
        return ngettext(
            "Order of {bought}, {lines} line",
            "Order of {bought}, {lines} lines",
            row["lines"],
            bought=cash(row["cents"]),
            lines=count(row["lines"]),
        )
    return gettext("{kind}, {lines}", kind=render_message(row["kind"]), lines=row["lines"])


EVENT_KINDS = {
    "Order Completed": "order", "Order Refunded": "order", "Product Viewed": "view", "Page Viewed": "view",
    "Screen Viewed": "view", "Cart Viewed": "view", "Promotion Viewed": "view", "Promotion Clicked": "view",
    "Product Added": "view", "Product Removed": "view", "Checkout Started": "view", "Message Sent": "sent",
    "Message Opened": "sent", OFFER_MESSAGE: "sent",
}  # fmt: skip


def event_line(name: str, body: str, currency: str) -> str:
    """An event that a shop sent, with what it is about; an order with its money."""
    about = json.loads(body).get("properties") or {}
    total = amount(about.get("total", about.get("revenue")))
    if name == "Order Completed" and total is not None:
        paid = total - (amount(about.get("discount")) or 0.0)
        bought = MoneyFormat(currency)(paid * 10 ** currency_digits(currency))
        return gettext("Order of {bought}", bought=bought)
    what = truncate(about.get("name") or about.get("product_id") or about.get("order_id") or "", 60)
    named = {
        "Product Viewed": gettext("Looked at a product"), "Product Added": gettext("Put into the cart"),
        "Product Removed": gettext("Took out of the cart"), "Cart Viewed": gettext("Looked at the cart"),
        "Checkout Started": gettext("Began to pay"), "Order Refunded": gettext("Order sent back"),
        "Promotion Viewed": gettext("Saw a promotion"), "Promotion Clicked": gettext("Clicked on a promotion"),
        "Message Sent": gettext("Message sent"), "Message Opened": gettext("Message opened"),
        OFFER_MESSAGE: gettext("Text of the offer handed out"), "Consent Updated": gettext("Consent changed"),
    }.get(name, name)  # fmt: skip
    return (
        f"{named} {what}".strip() if not what or named == name else gettext("{event}: {what}", event=named, what=what)
    )
