"""Read purchases and refunds from stored events."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import polars as pl

from promolift.foundation.money import currency_digits
from promolift.server.ledger.event_rows import event_items

OUTCOME_COLUMNS = {
    "customer_id": pl.String, "ts_ms": pl.Int64, "kind": pl.String, "product_id": pl.String, "order_id": pl.String,
    "quantity": pl.Float64, "revenue_cents": pl.Int64, "list_cents": pl.Int64, "coupon_cents": pl.Int64,
    "arrived_ms": pl.Int64,
}  # fmt: skip
MAX_VALUE = 1e15  # minor units; what is dearer is a mistake, and would not fit
OUTCOME_KINDS = {"Order Completed": "purchase", "Order Refunded": "refund"}


class LedgerEvent(NamedTuple):
    """An event of the ledger."""

    customer_id: str
    ts_ms: int
    received_ms: int
    name: str
    body: str


def read_outcomes(events: Iterable[LedgerEvent], currency: str) -> pl.DataFrame:
    """Return rows of OUTCOME_COLUMNS from the ledger's events.

    A row per product with its price, less its part of the order's `discount`; an order that prices no product is one
    row of its `total` or `revenue`. What has no amount at all says nothing of money and is left out. A refund's money
    is negative.
    """
    unit = 10 ** currency_digits(currency)
    rows = [row for event in events if event.name in OUTCOME_KINDS for row in _rows(event, unit)]
    return pl.DataFrame(rows, schema=OUTCOME_COLUMNS, orient="row")


def _rows(event: LedgerEvent, unit: int) -> Iterator[tuple[Any, ...]]:
    """In the order of COLUMNS; a line is worth its price times its quantity, in minor units."""
    who, ts_ms, received_ms, name, body = event
    properties = json.loads(body).get("properties")
    properties = properties if isinstance(properties, dict) else {}
    sign = -1 if OUTCOME_KINDS[name] == "refund" else 1
    order = properties.get("order_id")
    priced = [
        (
            line.product,
            quantity := abs(finite_number(line.properties.get("quantity", 1)) or 1.0),
            abs(price) * quantity * unit,
        )
        for line in event_items(properties)
        if (price := finite_number(line.properties.get("price"))) is not None
    ]
    total = next(
        (value for key in ("total", "revenue") if (value := finite_number(properties.get(key))) is not None), None
    )
    whole_order: list[Any] = [] if total is None else [(None, None, abs(total) * unit)]
    listed = [line for line in priced or whole_order if line[2] < MAX_VALUE]
    whole = sum(value for *_, value in listed)
    off = min(abs(finite_number(properties.get("discount")) or 0.0) * unit, whole)
    for product, quantity, value in listed:
        less = round(off * value / whole) if whole else 0
        yield (
            who, ts_ms, OUTCOME_KINDS[name], product, None if order is None else str(order), quantity,
            sign * (round(value) - less), sign * round(value), less if sign > 0 else 0, received_ms,
        )  # fmt: skip


def finite_number(value: object) -> float | None:
    """Return a finite number, also from text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e12 else None
