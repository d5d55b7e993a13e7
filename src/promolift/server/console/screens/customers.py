"""Customers: found by their id; one of them with what they did, who they are, what they would get now, and why."""

import json
from collections import defaultdict
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import select

from promolift.core import messages
from promolift.foundation.errors import PromoError
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.formatting import Cash, bracket, clip, ends, number, pick, spoken
from promolift.foundation.i18n.translation import kept
from promolift.foundation.money import currency_digits
from promolift.foundation.pages.blocks import Block, Figure
from promolift.foundation.sql import bind, fetch
from promolift.server.api.request_models import DecisionIn
from promolift.server.api.routes import export as privacy
from promolift.server.api.routes import lists, redemptions
from promolift.server.console.pages.context import Download, PageVisit, Reply, Screen, form, once, page
from promolift.server.decisions.message_rendering import printable
from promolift.server.ledger.outcomes import number as amount
from promolift.server.ledger.schema import CUSTOMERS, EVENTS
from promolift.server.translations import refused, worded
from promolift.shop.reports.chapters.customers import tell as tell_chapter
from promolift.shop.reports.story_builder import (
    facts,
    log_days,
    offer_words,
    orders_words,
    tell_customers,
    top_tastes,
    who,
)
from promolift.shop.results.customers import Person
from promolift.shop.results.messages import Offers
from promolift.shop.results.plan import Plan, PlanNote
from promolift.shop.results.work_folder.run_context import Job, moments

LISTED, LATEST = 25, 20
WEIGHED = {"gain_cents": "gain_cents", "cost_cents": "cost_cents", "worth_cents": "worth_at_price_cents"}
HISTORY = """
select min(ts_ms) as ts_ms, kind, order_id, count(*) as lines, sum(revenue_cents) as cents from events
where customer_id = $who group by kind, order_id order by 1 desc limit 20
"""


class Happened(NamedTuple):
    """A line of a customer's timeline: when, what kind, and in words."""

    ts_ms: int
    kind: str
    text: str


@once("tables/profiles.parquet", "notes/offers.json")
def everybody(job: Job) -> pl.DataFrame:
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
    return rows.join(people.select("customer_id", *known), on="customer_id", how="left").sort("customer_id")


@page("/customers")
def customers(visit: PageVisit) -> Reply:
    """Search, and the list."""
    if not PlanNote.has(visit.job().store):
        return Screen("customers/none.html", worded("nav", "/customers"))
    wanted, given = visit.query.get("q", "").strip()[:256], visit.query.get("given", "")
    rows = everybody(visit)
    if wanted:
        rows = rows.filter(pl.col("customer_id").str.contains(wanted, literal=True))
    if given == "offer":
        rows = rows.filter(pl.col("offer").is_not_null()).sort("gain_cents", "customer_id", descending=[True, False])
    elif given == "held":
        rows = rows.filter(pl.col("holdout").fill_null(False))
    elif given == "none":
        rows = rows.filter(pl.col("offer").is_null() & ~pl.col("holdout").fill_null(False))
    exact = rows.filter(pl.col("customer_id") == wanted) if wanted else rows.clear()
    listed = pl.concat([exact, rows]).unique("customer_id", keep="first", maintain_order=True).head(LISTED)
    young = "orders_52w" not in rows.columns or rows["orders_52w"].count() == 0
    orders = orders_words(log_days(visit.job(), moments(visit.job())) if young else None)
    data = {"orders": orders, "counted": "orders_total" if young else "orders_52w", "q": wanted, "given": given,
            "number": rows.height, "everybody": everybody(visit).height, "draws": True,
            "rows": [named(row) for row in listed.to_dicts()]}  # fmt: skip
    part = visit.query.get("part") == "list"
    template = "customers/list.html" if part else "customers/page.html"
    return Screen(template, worded("nav", "/customers"), data, whole=not part)


@once("tables/profiles.parquet")
def drawn(job: Job) -> list[Block | Figure]:
    """Who the shop's customers are."""
    return [*tell_chapter(tell_customers(job)).blocks]


@page("/customers/all")
def distributions(visit: PageVisit) -> Reply:
    """The part of the screen that comes after the list."""
    return Screen("customers/all.html", worded("nav", "/customers"), {"blocks": drawn(visit)}, whole=False)


def named(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the list, with the ends of the gain's 95 % interval."""
    se = row.pop("gain_se_cents", None)
    gain = row["gain_cents"]
    known = se is not None and gain is not None
    return row | {"low_cents": gain - Z95 * se if known else None, "high_cents": gain + Z95 * se if known else None}


@page("/customers/one")
def one(visit: PageVisit) -> Reply:
    """One customer."""
    customer = named_in(visit)
    decided, told, logged = dry(visit, customer), None, list[Happened]()
    if visit.server.config is not None:
        told, logged = profile(visit.job(), customer), from_log(visit.job(), customer)
    timeline = happened(visit, customer, logged)
    closed = closed_of(visit, decided)
    with visit.read() as db:
        said = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == customer)).mappings().first()
    if told is None and not timeline and said is None:
        raise refused("customer_unknown")
    data = {
        "customer_id": customer, "profile": told, "timeline": timeline, "decided": decided,
        "reason": kept(decided["reason"]), "weighed": weighed(visit, decided), "closed": closed,
        "said": dict(said) if said else None,
    }  # fmt: skip
    return Screen("customers/one.html", customer, data)


def named_in(visit: PageVisit) -> str:
    """The id that is asked for: in the query or the form, as it may hold any sign."""
    return (visit.query.get("id") or visit.form.get("id") or " ")[:256]


def dry(visit: PageVisit, customer: str) -> dict[str, Any]:
    """What would be decided now."""
    asked = DecisionIn(customer_id=customer, campaign_id=visit.campaign_id, language=spoken())
    return redemptions.dry_decision(visit.call, asked)


def said_offer(visit: PageVisit, release_id: str, offer_id: str) -> str:
    """An offer of a release in a few words."""
    release = visit.server.decider.ensure(release_id)
    if release.creatives is not None and offer_id != "none":
        return str(release.creatives.shown(offer_id)["message"] or offer_id)
    label = release.labels.get(offer_id)
    if label is None:
        return pick("no offer", "不发优惠") if offer_id == "none" else offer_id
    try:
        return messages.offer_words(printable(release, offer_id, visit.now_ms), spoken())
    except PromoError:
        return offer_id


def weighed(visit: PageVisit, decided: dict[str, Any]) -> list[dict[str, Any]]:
    """What was open, the best first, "no offer" among it: what it brings, costs and is worth at the price."""
    found = [
        {"text": said_offer(visit, decided["release_id"], each["offer"]), "given": each["offer"] == decided["offer_id"]}
        | {name: each[of] for name, of in WEIGHED.items()} for each in decided["candidates"] if "share" not in each
    ]  # fmt: skip
    return sorted(found, key=lambda each: (not each["given"], -each["worth_cents"]))[:12]


def closed_of(visit: PageVisit, decided: dict[str, Any]) -> list[dict[str, Any]]:
    """What was closed, by the reason; the first few of each."""
    by: dict[str, list[str]] = defaultdict(list)
    for each in decided["ineligible"]:
        by[each["reason"]].append(each["offer"])
    return [
        {"why": kept(why), "number": len(offers),
         "offers": [said_offer(visit, decided["release_id"], each) for each in offers[:4]]}
        for why, offers in sorted(by.items(), key=lambda pair: -len(pair[1]))
    ]  # fmt: skip


def profile(job: Job, customer: str) -> dict[str, Any] | None:
    """Who they are, figures of the profile with their error; None where they are unknown."""
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
    shown = facts(person, log_days(job, at))
    value, se = person.price_sensitivity, person.price_sensitivity_se
    if value is not None:
        between = bracket(ends(value - Z95 * se, value + Z95 * se, number)) if se is not None else ""
        shown[pick("price sensitivity", "价格敏感度")] = f"{number(value)}{between}"
    return {"who": who(person, described, tastes), "facts": shown}


def from_log(job: Job, customer: str) -> list[Happened]:
    """Orders and visits of the shop's log."""
    if not job.clean.has_events:
        return []
    cash = Cash(job.config.shop.currency)
    rows = fetch(job.clean.events().query("events", bind(HISTORY, who=customer)))
    return [Happened(row["ts_ms"], "log", log_line(row, cash)) for row in rows.iter_rows(named=True)]


def happened(visit: PageVisit, customer: str, logged: list[Happened]) -> list[Happened]:
    """What was `logged`, and events, decisions and redemptions of the ledger, the latest first."""
    cash, found = Cash(visit.shared.shop.currency), [*logged]
    made = lists.decisions(visit.call, customer, limit=LATEST)["data"]
    for row in made:
        offer = said_offer(visit, row["release_id"], row["offer_id"]) if known_release(visit, row) else row["offer_id"]
        found.append(Happened(row["ts_ms"], "decision", f"{offer}: {kept(row['reason'])}"))
    for row in lists.redemptions(visit.call, customer, limit=LATEST)["data"]:
        paid = cash(row["final_cents"] if row["final_cents"] is not None else row["reserved_cents"])
        found.append(Happened(row["ts_ms"], "redemption", f"{row['status']}: {paid}"))
    heard = select(EVENTS.c.ts_ms, EVENTS.c.name, EVENTS.c.body).where(EVENTS.c.customer_id == customer)
    with visit.read() as db:
        for event in db.execute(heard.order_by(EVENTS.c.ts_ms.desc()).limit(LATEST)):
            found.append(Happened(event.ts_ms, "event", event_line(event.name, event.body, visit.shared.shop.currency)))
    return sorted(found, key=lambda each: -each.ts_ms)[:LATEST]


def known_release(visit: PageVisit, row: dict[str, Any]) -> bool:
    """Whether the release of a decision can still be asked."""
    try:
        return bool(visit.server.decider.ensure(row["release_id"]))
    except PromoError:
        return False


def log_line(row: dict[str, Any], cash: Cash) -> str:
    """A line of the shop's log."""
    if row["kind"] == "purchase":
        bought = cash(row["cents"])
        return pick(f"Order of {bought}, {row['lines']} lines", f"下单{bought}，{row['lines']}件")
    return f"{kept(row['kind'])}, {row['lines']}"


def event_line(name: str, body: str, currency: str) -> str:
    """An event that a shop sent, with what it is about; an order with its money."""
    about = json.loads(body).get("properties") or {}
    total = amount(about.get("total", about.get("revenue")))
    if name == "Order Completed" and total is not None:
        paid = total - (amount(about.get("discount")) or 0.0)
        bought = Cash(currency)(paid * 10 ** currency_digits(currency))
        return pick(f"Order of {bought}", f"下单{bought}")
    return f"{name} {clip(about.get('name') or about.get('product_id') or about.get('order_id') or '', 60)}".strip()


@page("/customers/export", "admin")
def export(visit: PageVisit) -> Reply:
    """All that is kept of a customer, as a file."""
    reply = privacy.known(visit.call, named_in(visit))
    return Download(bytes(reply.body), "customer.json")


@form("/customers/erase", "admin", "/customers")
def erase(visit: PageVisit) -> None:
    """Forget a customer: their id must be typed once more."""
    customer = named_in(visit)
    if visit.form.get("typed", "").strip() != customer:
        raise refused("id_differs")
    privacy.erase(visit.call, customer)
