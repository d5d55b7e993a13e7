"""A customer's events of the last minutes in; what lies in their cart, what they looked at and when they ordered, out.

Read from the events themselves at every decision, so that what came a moment ago counts.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import BindParameter, Connection, bindparam, select

from promolift.serve.release import LiveRelease
from promolift.serve.settings import Live
from promolift.sql import MINUTE_MS
from promolift.store.ledger_schema import EVENTS, Members, Query

VIEWED, ADDED, REMOVED, ORDERED = "Product Viewed", "Product Added", "Product Removed", "Order Completed"
WHOLE = frozenset({"Cart Viewed", "Checkout Started"})  # these list all that lies in the cart
NAMES = (VIEWED, ADDED, REMOVED, ORDERED, *sorted(WHOLE))
SINCE: BindParameter[int] = bindparam("since_ms")
UNTIL: BindParameter[int] = bindparam("until_ms")
RECENT = Query(
    select(EVENTS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.name, EVENTS.c.body)
    .where(
        EVENTS.c.customer_id.op("in")(Members("people")),
        EVENTS.c.ts_ms > SINCE,
        EVENTS.c.received_ms <= UNTIL,
        EVENTS.c.name.op("in")(Members("names")),
    )
    .order_by(EVENTS.c.ts_ms, EVENTS.c.seq)
)


class CartItem(NamedTuple):
    """What an event is about."""

    product: str | None
    category: str | None


class Closing(NamedTuple):
    """What is closed to a customer now, and why; `target` None closes all they could get."""

    customer_id: str
    target: str | None
    why: str


@dataclass
class Now:
    """What one customer did lately. Products stand as they were named, with their category where it was given."""

    ordered_ms: int | None = None
    cart: dict[CartItem, int] = field(default_factory=dict)  # and when it was put there, or seen there
    viewed: dict[CartItem, int] = field(default_factory=dict)
    bought: dict[CartItem, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """For people and for JSON."""
        return {
            "ordered_ms": self.ordered_ms, "cart": _named(self.cart), "viewed": _named(self.viewed),
            "bought": _named(self.bought),
        }  # fmt: skip


def recent(db: Connection, people: Sequence[str], rule: Live, until_ms: int) -> dict[str, Now]:
    """What each of `people` did in the last minutes before a moment; who did nothing is missing."""
    minutes = max(rule.minutes, rule.after_order_minutes)
    given = {"people": to_json(people).decode(), "names": json.dumps(NAMES)}
    rows = RECENT.rows(db, **given, since_ms=until_ms - round(minutes * MINUTE_MS), until_ms=until_ms)
    return read(rows)


def read(rows: Iterable[Sequence[Any]]) -> dict[str, Now]:
    """From (customer_id, ts_ms, name, body) in order of time."""
    found: dict[str, Now] = {}
    for who, ts_ms, name, body in rows:
        mine = found.setdefault(who, Now())
        properties = json.loads(body).get("properties")
        lines = list(_lines(properties if isinstance(properties, dict) else {}))
        if name == VIEWED:
            mine.viewed |= dict.fromkeys(lines, ts_ms)
        elif name == ADDED:
            mine.cart |= dict.fromkeys(lines, ts_ms)
        elif name == REMOVED:
            gone = {line.product for line in lines}
            mine.cart = {line: at for line, at in mine.cart.items() if line.product not in gone}
        elif name in WHOLE:
            mine.cart = dict.fromkeys(lines, ts_ms)
        else:
            mine.ordered_ms, mine.cart = ts_ms, {}
            mine.bought = {at: ms for at, ms in mine.bought.items() if at not in lines} | dict.fromkeys(lines, ts_ms)
    return found


def closings(
    release: LiveRelease, rule: Live, found: dict[str, Now], people: Sequence[str], now_ms: int
) -> Iterator[Closing]:
    """What the rule closes after what customers did."""
    covered = {target for _, target, *_ in release.labels.values() if target} if rule.viewed == "only" else set()
    for who in people if rule.viewed == "only" else found:
        mine = found.get(who) or Now()
        if mine.ordered_ms is not None and now_ms - mine.ordered_ms < rule.after_order_minutes * MINUTE_MS:
            yield Closing(who, None, f"ordered less than {rule.after_order_minutes:g} minutes ago")
        if rule.cart == "close":
            for target in targets(release, mine.cart):
                yield Closing(who, target, "it lies in their cart already")
        if rule.viewed == "only":
            seen = targets(release, mine.viewed)
            for target in sorted(covered - seen):
                yield Closing(who, target, f"not looked at in the last {rule.minutes:g} minutes")


def targets(release: LiveRelease, lines: Iterable[CartItem]) -> set[str]:
    """What an offer on these products may stand on: the product, its category, and what the plan counts it as."""
    return {name for line in lines for name in (*line, release.products.get(line.product or "")) if name}


def _lines(properties: Mapping[str, object]) -> Iterator[CartItem]:
    products = properties.get("products")
    for line in products if isinstance(products, list) else [properties]:
        if isinstance(line, dict):
            product, category = _text(line.get("product_id") or line.get("sku")), _text(line.get("category"))
            if product or category:
                yield CartItem(product, category)


def _named(lines: Iterable[CartItem]) -> list[str]:
    return sorted({product or category or "" for product, category in lines})


def _text(value: object) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and value else None
