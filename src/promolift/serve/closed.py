"""What happened since the release in; which offers are closed to which of a few customers now, with the reason, out."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import to_json
from sqlalchemy import BindParameter, Connection, bindparam, case, func, literal_column, select

from promolift.serve import now
from promolift.serve.release import LiveRelease
from promolift.serve.settings import Policy
from promolift.sql import DAY_MS
from promolift.store.ledger_money import used_up
from promolift.store.ledger_schema import BOUGHT, CODES, CUSTOMERS, DECISIONS, Members, Query
from promolift.terms import covered

PAIR = "\x1f"
PEOPLE = Members("people")
CAMPAIGN: BindParameter[str] = bindparam("campaign")
SINCE: BindParameter[int] = bindparam("since_ms")
SAID = Query(select(CUSTOMERS).where(CUSTOMERS.c.customer_id.op("in")(PEOPLE)))
ISSUED = Query(select(CODES).where(CODES.c.campaign_id == CAMPAIGN, CODES.c.customer_id.op("in")(PEOPLE)))
STOCK = Query(
    select(CODES.c.offer_id, func.max(case((CODES.c.status == "stock", 1), else_=0)))
    .where(CODES.c.campaign_id == CAMPAIGN, CODES.c.stocked == literal_column("1"))  # as the partial index says it
    .group_by(CODES.c.offer_id)
)
LATELY = Query(
    select(BOUGHT.c.customer_id, BOUGHT.c.product_id, BOUGHT.c.category).where(
        BOUGHT.c.customer_id.op("in")(PEOPLE), BOUGHT.c.ts_ms > SINCE
    )
)
GIVEN = Query(
    select(DECISIONS.c.customer_id, DECISIONS.c.ts_ms).where(
        DECISIONS.c.customer_id.op("in")(PEOPLE),
        DECISIONS.c.ts_ms > SINCE,
        DECISIONS.c.offer_id != "none",
        DECISIONS.c.unanswered == 0,
    )
)


@dataclass(frozen=True)
class Facts:
    """What the ledger knows of some customers: their own words and codes; and which offers' own codes are left."""

    said: dict[str, Mapping[str, Any]]
    codes: dict[tuple[str, str], Mapping[str, Any]]
    stock: dict[str, bool]


@dataclass
class Closed:
    """Reasons by whom or what they close; the first found for a row counts."""

    customers: dict[str, str] = field(default_factory=dict)
    offers: dict[str, str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)  # customer, PAIR, target
    pairs: dict[str, str] = field(default_factory=dict)  # customer, PAIR, offer
    all: str | None = None

    def touched(self) -> set[str] | None:
        """The customers to whom something is closed; None for everybody."""
        if self.all or self.offers:
            return None
        return {key.partition(PAIR)[0] for part in (self.customers, self.targets, self.pairs) for key in part}

    def why(self, who: str, offer: str, target: str | None) -> str | None:
        """The reason why an offer is closed to a customer now, None if it is open."""
        return (
            self.customers.get(who)
            or self.offers.get(offer)
            or next(filter(None, (self.targets.get(who + PAIR + one) for one in covered(target))), None)
            or self.pairs.get(who + PAIR + offer)
            or self.all
        )


def facts(db: Connection, campaign_id: str, people: Sequence[str]) -> Facts:
    """Three queries for all of `people`."""
    named = to_json(people).decode()
    said = (dict(zip(CUSTOMERS.c.keys(), row, strict=True)) for row in SAID.rows(db, people=named))
    codes = (dict(zip(CODES.c.keys(), row, strict=True)) for row in ISSUED.rows(db, people=named, campaign=campaign_id))
    return Facts(
        {row["customer_id"]: row for row in said},
        {(row["customer_id"], row["offer_id"]): row for row in codes},
        {offer: bool(left) for offer, left in STOCK.rows(db, campaign=campaign_id)},
    )


def closed_now(
    db: Connection, release: LiveRelease, policy: Policy, asks: Sequence[Any], known: Facts, lately: dict[str, now.Now],
    now_ms: int,
) -> Closed:  # fmt: skip
    """All rules of the moment for the customers of `asks`: caps, quiet hours, purchases, codes, stock and budget.

    `lately` is what each of them did in the last minutes.
    """
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
    bought = _bought(db, release, people, now_ms - round(policy.rest_days * DAY_MS))
    closed.targets |= dict.fromkeys(bought, "bought it lately")
    if policy.live.looks:
        for who, target, why in now.closings(release, policy.live, lately, people, now_ms):
            if target is None:
                closed.customers[who] = why
            else:
                closed.targets.setdefault(who + PAIR + target, why)
    if policy.caps:
        closed.customers |= _capped(db, policy, people, now_ms)
    if policy.quiet:
        closed.customers |= _quiet(release, policy, asks, known, now_ms)
    return closed


def _bought(db: Connection, release: LiveRelease, people: Sequence[str], since_ms: int) -> set[str]:
    """Keys of `Closed.targets` for what was bought since a moment; a product counts for what its offers stand on."""
    rows = LATELY.rows(db, people=to_json(people).decode(), since_ms=since_ms)
    found = set()
    for who, bought, category in rows:
        targets = (bought, category, release.products.get(bought))
        found |= {who + PAIR + target for target in targets if target}
    return found


def _capped(db: Connection, policy: Policy, people: Sequence[str], now_ms: int) -> dict[str, str]:
    """Customers who had as many offers as a cap allows, over all campaigns."""
    longest = now_ms - round(max(cap.days for cap in policy.caps) * DAY_MS)
    moments = defaultdict(list)
    for who, ts_ms in GIVEN.rows(db, people=to_json(people).decode(), since_ms=longest):
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
        said = known.said.get(ask.customer_id)
        zone = ask.zone or (said["zone"] if said else None) or release.shop.zone
        if ask.channel in rule.channels and rule.quiet(datetime.fromtimestamp(now_ms / 1000, ZoneInfo(zone)).hour):
            quiet[ask.customer_id] = f"quiet hours: {rule.start}:00 to {rule.end}:00 on {ask.channel}"
    return quiet
