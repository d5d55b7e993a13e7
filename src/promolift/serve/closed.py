"""What happened since the release in; which offers are closed to which of a few customers now, with the reason, out."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from sqlalchemy import Connection, RowMapping, case, func, select

from promolift.serve.release import LiveRelease
from promolift.serve.settings import Policy
from promolift.sql import DAY_MS
from promolift.store.ledger_money import used_up
from promolift.store.ledger_schema import BOUGHT, CODES, CUSTOMERS, DECISIONS

PAIR = "\x1f"


@dataclass(frozen=True)
class Facts:
    """What the ledger knows of some customers: their own words and codes; and codes in stock, by offer."""

    told: dict[str, RowMapping]
    codes: dict[tuple[str, str], RowMapping]
    stock: dict[str, int]


@dataclass
class Closed:
    """Reasons by whom or what they close; the first found for a row counts."""

    customers: dict[str, str] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)  # customer, PAIR, target
    pairs: dict[str, str] = field(default_factory=dict)  # customer, PAIR, offer
    all: str | None = None

    def apply(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The candidates with `eligible` and `why_not` as they are now."""
        who, target, offer = (pl.col(name) for name in ("customer_id", "target", "offer_id"))
        maps = (
            (self.customers, who),
            (self.offers, offer),
            (self.targets, who + PAIR + target),
            (self.pairs, who + PAIR + offer),
        )
        reasons = [_look_up(column, found) for found, column in maps if found]
        if self.all:
            reasons.append(pl.lit(self.all))
        if not reasons:
            return rows
        why = pl.when(offer != "none").then(pl.coalesce(pl.col("why_not"), *reasons))
        return rows.with_columns(why.alias("why_not"), (pl.col("eligible") & why.is_null()).alias("eligible"))


def facts(db: Connection, campaign_id: str, people: Sequence[str]) -> Facts:
    """Three queries for all of `people`."""
    told = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id.in_(people))).mappings()
    codes = select(CODES).where(CODES.c.campaign_id == campaign_id, CODES.c.customer_id.in_(people))
    left = func.sum(case((CODES.c.status == "stock", 1), else_=0))
    stock = select(CODES.c.offer_id, left).where(CODES.c.campaign_id == campaign_id, CODES.c.stocked == 1)
    return Facts(
        {row["customer_id"]: row for row in told},
        {(row["customer_id"], row["offer_id"]): row for row in db.execute(codes).mappings()},
        {offer: int(number) for offer, number in db.execute(stock.group_by(CODES.c.offer_id))},
    )


def closed_now(
    db: Connection, release: LiveRelease, policy: Policy, asks: Sequence[Any], known: Facts, now_ms: int
) -> Closed:  # fmt: skip
    """All rules of the moment for the customers of `asks`: caps, quiet hours, purchases, codes, stock and budget."""
    people = [ask.customer_id for ask in asks]
    closed = Closed()
    for offer in used_up(db, release.terms.campaign_id, now_ms):
        if offer:
            closed.offers[offer] = "the budget of this offer is used up"
        else:
            closed.all = "the budget of the campaign is used up"
    empty = [offer for offer, left in known.stock.items() if not left]
    for who, offer in product(people, empty):
        if (who, offer) not in known.codes:
            closed.pairs[who + PAIR + offer] = "no codes are left in stock"
    for (who, offer), code in known.codes.items():
        if code["status"] != "issued":
            closed.pairs[who + PAIR + offer] = f"its code is {code['status']} already"
    for who, target in _bought(db, release, people, now_ms - round(policy.rest_days * DAY_MS)):
        closed.targets[who + PAIR + target] = "bought it lately"
    if policy.caps:
        closed.customers |= _capped(db, policy, people, now_ms)
    if policy.quiet:
        closed.customers |= _quiet(release, policy, asks, known, now_ms)
    return closed


def _bought(db: Connection, release: LiveRelease, people: Sequence[str], since_ms: int) -> set[tuple[str, str]]:
    """Customer and target of what was bought since a moment; a product counts for the target its offers stand on."""
    columns = (BOUGHT.c.customer_id, BOUGHT.c.product_id, BOUGHT.c.category)
    rows = db.execute(select(*columns).where(BOUGHT.c.customer_id.in_(people), BOUGHT.c.ts_ms > since_ms))
    found = set()
    for who, bought, category in rows:
        targets = (bought, category, release.products.get(bought))
        found |= {(who, target) for target in targets if target}
    return found


def _capped(db: Connection, policy: Policy, people: Sequence[str], now_ms: int) -> dict[str, str]:
    """Customers who had as many offers as a cap allows, over all campaigns."""
    longest = now_ms - round(max(cap.days for cap in policy.caps) * DAY_MS)
    given = select(DECISIONS.c.customer_id, DECISIONS.c.ts_ms).where(
        DECISIONS.c.customer_id.in_(people),
        DECISIONS.c.ts_ms > longest,
        DECISIONS.c.offer_id != "none",
        DECISIONS.c.unanswered == 0,
    )
    moments = defaultdict(list)
    for who, ts_ms in db.execute(given):
        moments[who].append(ts_ms)
    capped = {}
    for who in people:
        for cap in policy.caps:
            if sum(ts > now_ms - round(cap.days * DAY_MS) for ts in moments[who]) >= cap.offers:
                capped[who] = f"frequency cap: {cap.offers} offers in {cap.days:g} days"
    return capped


def _quiet(release: LiveRelease, policy: Policy, asks: Sequence[Any], known: Facts, now_ms: int) -> dict[str, str]:
    """Customers asked for on a quiet channel while it is night where they are."""
    rule, quiet = policy.quiet, {}
    assert rule is not None
    for ask in asks:
        told = known.told.get(ask.customer_id)
        zone = ask.zone or (told["zone"] if told else None) or release.shop["zone"]
        if ask.channel in rule.channels and rule.quiet(datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone)).hour):
            quiet[ask.customer_id] = f"quiet hours: {rule.start}:00 to {rule.end}:00 on {ask.channel}"
    return quiet


def _look_up(column: pl.Expr, found: dict[str, str]) -> pl.Expr:
    return column.replace_strict(found, default=None, return_dtype=pl.String)
