"""Customers: found by their id; one of them with what they did, who they are, what they would get now, and why."""

import json
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import select

from promolift import message
from promolift.console.visit import Download, PageRoute, PageVisit, Reply, Screen, on_to
from promolift.errors import PromoError
from promolift.pages.blocks import Block, Figure
from promolift.pages.chapters.customers import tell as tell_chapter
from promolift.pages.shop import facts, offer_words, tell_customers, top_tastes, who
from promolift.results.chinese import kept
from promolift.results.customers import Person
from promolift.results.job import Job, moments
from promolift.results.plan import Plan, PlanNote
from promolift.results.shop import Offers
from promolift.serve.models import DecisionIn
from promolift.serve.routes import data as privacy
from promolift.serve.routes import lists, money
from promolift.serve.words import printable
from promolift.sql import bind, fetch
from promolift.store.ledger_schema import CUSTOMERS, EVENTS, Refused
from promolift.tables import Z95
from promolift.words import Cash, bracket, clip, ends, number, pick, spoken

LISTED, LATEST = 25, 20
HISTORY = """
select min(ts_ms) as ts_ms, kind, order_id, count(*) as lines, sum(revenue_cents) as cents from events
where customer_id = $who group by kind, order_id order by 1 desc limit 20
"""


class Happened(NamedTuple):
    """A line of a customer's timeline: when, what kind, and in words."""

    ts_ms: int
    kind: str
    text: str


class WeighedOffer(NamedTuple):
    """An offer that was weighed: in words, what it brings and costs, and what it is worth at the price."""

    text: str
    gain_cents: float
    cost_cents: float
    worth_cents: float
    given: bool


class ClosedOffers(NamedTuple):
    """Offers that are closed for one reason."""

    why: str
    offers: list[str]
    number: int


def everybody(visit: PageVisit) -> pl.DataFrame:
    """customer_id, orders_52w, recency_days, offer, gain_cents, holdout: profiles beside what the plan decided."""

    def make(job: Any) -> pl.DataFrame:
        plan, texts = Plan.load(job.store), offer_words(job) if Offers.has(job.store) else {}
        people = job.profiled.profiles(moments(job).asof)
        known = [name for name in ("orders_52w", "recency_days", "revenue_52w_cents") if name in people.columns]
        chosen = plan.chosen.select("customer_id", "offer_id", "gain_cents", "gain_se_cents")
        offered = chosen.with_columns(
            pl.col("offer_id").replace_strict(texts, default=pl.col("offer_id"), return_dtype=pl.String).alias("offer")
        )
        rows = plan.decisions.select("customer_id", "holdout").join(offered, on="customer_id", how="left")
        return rows.join(people.select("customer_id", *known), on="customer_id", how="left").sort("customer_id")

    found: pl.DataFrame = visit.shared.once("everybody", make, "tables/profiles.parquet", "notes/offers.json")
    return found


def customers(visit: PageVisit) -> Reply:
    """Search, and the list."""
    with visit.job() as job:
        if not PlanNote.has(job.store):
            return Screen("customers_none.html", pick("Customers", "客户"))
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
    data = {"q": wanted, "given": given, "number": rows.height, "everybody": everybody(visit).height, "draws": True,
            "rows": [named(row) for row in listed.to_dicts()]}  # fmt: skip
    part = visit.query.get("part") == "list"
    template = "customers_list.html" if part else "customers.html"
    return Screen(template, pick("Customers", "客户"), data, whole=not part)


def distributions(visit: PageVisit) -> Reply:
    """Who the shop's customers are: the part of the screen that comes after the list."""

    def make(job: Any) -> list[Block | Figure]:
        return [*tell_chapter(tell_customers(job)).blocks]

    blocks: list[Block | Figure] = visit.shared.once("distributions", make, "tables/profiles.parquet")
    figures = {each.id: each.spec for each in blocks if isinstance(each, Figure)}
    return Screen("customers_all.html", pick("Customers", "客户"), {"blocks": blocks}, figures, whole=False)


def named(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the list, with the ends of the gain's 95 % interval."""
    se = row.pop("gain_se_cents", None)
    gain = row["gain_cents"]
    known = se is not None and gain is not None
    return row | {"low_cents": gain - Z95 * se if known else None, "high_cents": gain + Z95 * se if known else None}


def one(visit: PageVisit) -> Reply:
    """One customer."""
    customer = named_in(visit)
    decided, told, logged = dry(visit, customer), None, list[Happened]()
    if visit.server.config is not None:
        with visit.job() as job:
            told, logged = profile(job, customer), from_log(job, customer)
    timeline = happened(visit, customer, logged)
    closed = closed_of(visit, decided)
    with visit.read() as db:
        said = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == customer)).mappings().first()
    if told is None and not timeline and said is None:
        en = "No customer of this id is known. Search for a part of it."
        raise Refused("customer_unknown", pick(en, "没有该编号的客户，可以搜索编号的一部分。"))
    data = {
        "customer_id": customer, "profile": told, "timeline": timeline, "decided": decided,
        "reason": kept(decided["reason"]), "weighed": weighed(visit, decided), "closed": closed,
        "said": dict(said) if said else None,
    }  # fmt: skip
    return Screen("customers_one.html", customer, data)


def named_in(visit: PageVisit) -> str:
    """The id that is asked for: in the query or the form, as it may hold any sign."""
    return (visit.query.get("id") or visit.form.get("id") or " ")[:256]


def dry(visit: PageVisit, customer: str) -> dict[str, Any]:
    """What would be decided now."""
    asked = DecisionIn(customer_id=customer, campaign_id=visit.campaign_id, language=spoken())
    return money.dry_decision(visit.call, asked)


def said_offer(visit: PageVisit, release_id: str, offer_id: str) -> str:
    """An offer of a release in a few words."""
    release = visit.server.decider.ensure(release_id)
    label = release.labels.get(offer_id)
    if label is None:
        return pick("no offer", "不发优惠") if offer_id == "none" else offer_id
    try:
        return message.offer_words(printable(release, offer_id, visit.now_ms), spoken())
    except PromoError:
        return offer_id


def weighed(visit: PageVisit, decided: dict[str, Any]) -> list[WeighedOffer]:
    """What was open, the best first; "no offer" among it."""
    found = [
        WeighedOffer(
            said_offer(visit, decided["release_id"], each["offer"]), each["gain_cents"], each["cost_cents"],
            each["worth_at_price_cents"], each["offer"] == decided["offer_id"],
        )
        for each in decided["candidates"]
    ]  # fmt: skip
    return sorted(found, key=lambda each: (not each.given, -each.worth_cents))[:12]


def closed_of(visit: PageVisit, decided: dict[str, Any]) -> list[ClosedOffers]:
    """What was closed, by the reason."""
    by: dict[str, list[str]] = {}
    for each in decided["ineligible"]:
        by.setdefault(each["reason"], []).append(each["offer"])
    return [
        ClosedOffers(kept(why), [said_offer(visit, decided["release_id"], each) for each in offers[:4]], len(offers))
        for why, offers in sorted(by.items(), key=lambda pair: -len(pair[1]))
    ]


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
    described = {row["customer_id"]: row for row in job.clean.people.iter_rows(named=True)}.get(customer, {})
    tastes = top_tastes(job, at, pl.DataFrame({"customer_id": [customer]})).get(customer, [])
    shown = facts(person)
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
            found.append(Happened(event.ts_ms, "event", event_line(event.name, event.body)))
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


def event_line(name: str, body: str) -> str:
    """An event that a shop sent, with what it is about."""
    about = json.loads(body).get("properties") or {}
    return f"{name} {clip(about.get('name') or about.get('product_id') or about.get('order_id') or '', 60)}".strip()


def export(visit: PageVisit) -> Reply:
    """All that is kept of a customer, as a file."""
    reply = privacy.known(visit.call, named_in(visit))
    return Download(bytes(reply.body), "customer.json")


def erase(visit: PageVisit) -> Reply:
    """Forget a customer: their id must be typed once more."""
    customer = named_in(visit)
    if visit.form.get("typed", "").strip() != customer:
        en = "Type the customer's id exactly as it stands above, so that nobody is erased by mistake."
        raise Refused("id_differs", pick(en, "请准确输入上方的客户编号，以免误删。"))
    privacy.erase(visit.call, customer)
    en = "Erased: their events are gone, and no offer is made to them again. Make a new release; backups must expire."
    zh = "已删除：事件已清除，不再向其发放优惠。请制作新的发布，并等待备份过期。"
    return on_to("/customers", en, zh)


DOORS = (
    PageRoute("GET", "/customers", customers),
    PageRoute("GET", "/customers/all", distributions),
    PageRoute("GET", "/customers/one", one),
    PageRoute("GET", "/customers/export", export, "admin"),
    PageRoute("POST", "/customers/erase", erase, "admin"),
)
