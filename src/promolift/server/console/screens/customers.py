"""Customers: search, and one customer's history, profile and current decision with its explanation."""

import json
from collections import defaultdict
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import select

from promolift.core import messages
from promolift.core.customers.reason_text import render_reason
from promolift.foundation.errors import PromoError
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import MoneyFormat, current_locale, in_brackets, low_to_high, number, truncate
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.money import currency_digits
from promolift.foundation.pages.blocks import Block, Figure
from promolift.foundation.sql import bind, fetch_frame
from promolift.server.api.request_models import DecisionIn
from promolift.server.api.routes import export as privacy
from promolift.server.api.routes import lists, redemptions
from promolift.server.console.pages.context import Download, PageVisit, Reply, Screen, cached_result, form, page
from promolift.server.console.pages.empty_page import empty_screen
from promolift.server.decisions.message_rendering import render_offer
from promolift.server.ledger.outcomes import finite_number as amount
from promolift.server.ledger.schema import CUSTOMERS, EVENTS
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.reports.chapters.customers import build_chapter as tell_chapter
from promolift.shop.reports.story_builder import (
    build_customer_story,
    describe_customer,
    log_days,
    offer_words,
    orders_words,
    profile_figures,
    top_tastes,
)
from promolift.shop.results.customers import Person
from promolift.shop.results.messages import Offers
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job, moments

CUSTOMERS_LISTED, TIMELINE_LINES = 25, 20
OPTION_FIELDS = {"gain_cents": "gain_cents", "cost_cents": "cost_cents", "worth_cents": "worth_at_price_cents"}
SELECT_LOG_LINES = """
select min(ts_ms) as ts_ms, kind, order_id, count(*) as lines, sum(revenue_cents) as cents from events
where customer_id = $who group by kind, order_id order by 1 desc limit 20
"""


class TimelineLine(NamedTuple):
    """A line of a customer's timeline: time, kind and text."""

    ts_ms: int
    kind: str
    text: str


@cached_result("tables/profiles.parquet", "notes/offers.json")
def load_customers(job: Job) -> pl.DataFrame:
    """customer_id, orders_52w, orders_total, recency_days, offer, gain_cents, holdout: profiles beside what the plan
    decided.
    """
    plan, texts = Plan.load(job.store), offer_words(job) if Offers.has(job.store) else {}
    people = job.profiled.profiles(moments(job).asof)
    known = [
        name for name in ("orders_52w", "orders_total", "recency_days", "revenue_52w_cents") if name in people.columns
    ]
    offered = plan.chosen.select("customer_id", "offer_id", "gain_cents", "gain_se_cents").with_columns(
        pl.col("offer_id").replace_strict(texts, default=pl.col("offer_id"), return_dtype=pl.String).alias("offer")
    )
    rows = plan.decisions.select("customer_id", "holdout").join(offered, on="customer_id", how="left")
    found = rows.join(people.select("customer_id", *known), on="customer_id", how="left")
    return found.sort(*natural_order("customer_id"), nulls_last=True)


def natural_order(name: str) -> list[pl.Expr]:
    """Return what to sort an id by, so that u2 comes before u10: the text before its first number, the number, all."""
    text = pl.col(name)
    return [text.str.extract(r"^(\D*)"), text.str.extract(r"(\d+)").cast(pl.UInt64, strict=False), text]


@page("/customers")
def customers(visit: PageVisit) -> Reply:
    """Search, and the list."""
    if not PlanNote.has(visit.job().store):
        return empty_screen(visit, "/customers", "/data")
    wanted, given = visit.query.get("q", "").strip()[:256], visit.query.get("given", "")
    rows = load_customers(visit)
    if wanted:
        rows = rows.filter(pl.col("customer_id").str.contains(wanted, literal=True))
    if given == "offer":
        rows = rows.filter(pl.col("offer").is_not_null()).sort("gain_cents", "customer_id", descending=[True, False])
    elif given == "held":
        rows = rows.filter(pl.col("holdout").fill_null(False))
    elif given == "none":
        rows = rows.filter(pl.col("offer").is_null() & ~pl.col("holdout").fill_null(False))
    exact = rows.filter(pl.col("customer_id") == wanted) if wanted else rows.clear()
    listed = pl.concat([exact, rows]).unique("customer_id", keep="first", maintain_order=True).head(CUSTOMERS_LISTED)
    young = "orders_52w" not in rows.columns or rows["orders_52w"].count() == 0
    orders = orders_words(log_days(visit.job(), moments(visit.job())) if young else None)
    data = {"orders": orders, "counted": "orders_total" if young else "orders_52w", "q": wanted, "given": given,
            "number": rows.height, "everybody": load_customers(visit).height, "draws": True,
            "rows": [with_interval(row) for row in listed.to_dicts()]}  # fmt: skip
    part = visit.query.get("part") == "list"
    template = "customers/list.html" if part else "customers/page.html"
    return Screen(template, translate_key("nav", "/customers"), data, whole=not part)


@cached_result("tables/profiles.parquet")
def customer_charts(job: Job) -> list[Block | Figure]:
    """Who the shop's customers are."""
    return [*tell_chapter(build_customer_story(job)).blocks]


@page("/customers/all")
def distributions(visit: PageVisit) -> Reply:
    """The part of the screen that comes after the list."""
    return Screen(
        "customers/all.html", translate_key("nav", "/customers"), {"blocks": customer_charts(visit)}, whole=False
    )


def with_interval(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the list, with the ends of the gain's 95 % interval."""
    se = row.pop("gain_se_cents", None)
    gain = row["gain_cents"]
    known = se is not None and gain is not None
    return row | {"low_cents": gain - Z95 * se if known else None, "high_cents": gain + Z95 * se if known else None}


@page("/customers/one")
def show_customer(visit: PageVisit) -> Reply:
    """Show one customer."""
    customer = requested_customer(visit)
    decided, told, logged = preview_decision(visit, customer), None, list[TimelineLine]()
    if visit.server.config is not None:
        told, logged = describe_profile(visit.job(), customer), log_timeline(visit.job(), customer)
    timeline = customer_timeline(visit, customer, logged)
    closed = excluded_options(visit, decided)
    with visit.read() as db:
        said = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == customer)).mappings().first()
    if told is None and not timeline and said is None:
        raise translate_refusal("customer_unknown")
    data = {
        "customer_id": customer, "profile": told, "timeline": timeline, "decided": decided,
        "reason": render_reason(decided["reason"]), "weighed": open_options(visit, decided), "closed": closed,
        "said": dict(said) if said else None,
    }  # fmt: skip
    return Screen("customers/one.html", customer, data)


def requested_customer(visit: PageVisit) -> str:
    """Return the requested customer id, from the query or the form, as it may hold any character."""
    return (visit.query.get("id") or visit.form.get("id") or " ")[:256]


def preview_decision(visit: PageVisit, customer: str) -> dict[str, Any]:
    """Return what would be decided now."""
    asked = DecisionIn(customer_id=customer, campaign_id=visit.campaign_id, language=current_locale())
    return redemptions.dry_decision(visit.call, asked)


def describe_release_offer(visit: PageVisit, release_id: str, offer_id: str) -> str:
    """Describe an offer of a release in a few words."""
    release = visit.server.decider.ensure(release_id)
    if release.creatives is not None and offer_id != "none":
        return str(release.creatives.to_response(offer_id)["message"] or offer_id)
    label = release.labels.get(offer_id)
    if label is None:
        return gettext("no offer") if offer_id == "none" else offer_id
    try:
        return messages.describe_offer(render_offer(release, offer_id, visit.now_ms, None), current_locale())
    except PromoError:
        return offer_id


def open_options(visit: PageVisit, decided: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the eligible options, the best first, "no offer" included: gain, cost and worth at the price."""
    found = [
        {
            "text": describe_release_offer(visit, decided["release_id"], each["offer"]),
            "given": each["offer"] == decided["offer_id"],
        }
        | {name: each[of] for name, of in OPTION_FIELDS.items()}
        for each in decided["candidates"]
        if "share" not in each
    ]
    return sorted(found, key=lambda each: (not each["given"], -each["worth_cents"]))[:12]


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
    described = next(job.clean.people.filter(pl.col("customer_id") == customer).iter_rows(named=True), {})
    tastes = top_tastes(job, at, pl.DataFrame({"customer_id": [customer]})).get(customer, [])
    shown = profile_figures(person, log_days(job, at))
    value, se = person.price_sensitivity, person.price_sensitivity_se
    if value is not None:
        between = in_brackets(low_to_high(value - Z95 * se, value + Z95 * se, number)) if se is not None else ""
        shown[gettext("price sensitivity")] = f"{number(value)}{between}"
    return {"who": describe_customer(person, described, tastes), "facts": shown}


def log_timeline(job: Job, customer: str) -> list[TimelineLine]:
    """Return orders and visits of the shop's log."""
    if not job.clean.has_events:
        return []
    cash = MoneyFormat(job.config.shop.currency)
    rows = fetch_frame(job.clean.events().query("events", bind(SELECT_LOG_LINES, who=customer)))
    return [TimelineLine(row["ts_ms"], "log", log_line(row, cash)) for row in rows.iter_rows(named=True)]


def customer_timeline(visit: PageVisit, customer: str, logged: list[TimelineLine]) -> list[TimelineLine]:
    """Merge `logged` with events, decisions and redemptions of the ledger, the latest first."""
    cash, found = MoneyFormat(visit.shared.shop.currency), [*logged]
    made = lists.decisions(visit.call, customer, limit=TIMELINE_LINES)["data"]
    for row in made:
        offer = (
            describe_release_offer(visit, row["release_id"], row["offer_id"])
            if is_release_available(visit, row)
            else row["offer_id"]
        )
        found.append(TimelineLine(row["ts_ms"], "decision", f"{offer}: {render_reason(row['reason'])}"))
    for row in lists.redemptions(visit.call, customer, limit=TIMELINE_LINES)["data"]:
        paid = cash(row["final_cents"] if row["final_cents"] is not None else row["reserved_cents"])
        found.append(TimelineLine(row["ts_ms"], "redemption", f"{row['status']}: {paid}"))
    heard = select(EVENTS.c.ts_ms, EVENTS.c.name, EVENTS.c.body).where(EVENTS.c.customer_id == customer)
    with visit.read() as db:
        for event in db.execute(heard.order_by(EVENTS.c.ts_ms.desc()).limit(TIMELINE_LINES)):
            found.append(
                TimelineLine(event.ts_ms, "event", event_line(event.name, event.body, visit.shared.shop.currency))
            )
    return sorted(found, key=lambda each: -each.ts_ms)[:TIMELINE_LINES]


def is_release_available(visit: PageVisit, row: dict[str, Any]) -> bool:
    """Return whether the release of a decision can still be loaded."""
    try:
        return bool(visit.server.decider.ensure(row["release_id"]))
    except PromoError:
        return False


def log_line(row: dict[str, Any], cash: MoneyFormat) -> str:
    """A line of the shop's log."""
    if row["kind"] == "purchase":
        bought = cash(row["cents"])
        return gettext("Order of {bought}, {lines} lines", bought=bought, lines=row["lines"])
    return gettext("{kind}, {lines}", kind=render_message(row["kind"]), lines=row["lines"])


def event_line(name: str, body: str, currency: str) -> str:
    """An event that a shop sent, with what it is about; an order with its money."""
    about = json.loads(body).get("properties") or {}
    total = amount(about.get("total", about.get("revenue")))
    if name == "Order Completed" and total is not None:
        paid = total - (amount(about.get("discount")) or 0.0)
        bought = MoneyFormat(currency)(paid * 10 ** currency_digits(currency))
        return gettext("Order of {bought}", bought=bought)
    return f"{name} {truncate(about.get('name') or about.get('product_id') or about.get('order_id') or '', 60)}".strip()


@page("/customers/export", "admin")
def export(visit: PageVisit) -> Reply:
    """All that is kept of a customer, as a file."""
    reply = privacy.known(visit.call, requested_customer(visit))
    return Download(bytes(reply.body), "customer.json")


@form("/customers/erase", "admin", "/customers")
def erase(visit: PageVisit) -> None:
    """Forget a customer: their id must be typed once more."""
    customer = requested_customer(visit)
    if visit.form.get("typed", "").strip() != customer:
        raise translate_refusal("id_differs")
    privacy.erase(visit.call, customer)
