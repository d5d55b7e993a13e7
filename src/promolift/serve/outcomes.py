"""Orders and refunds as they were sent in; rows of clean events, which `promolift learn` reads, out."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from promolift.currency import currency_digits

COLUMNS = {
    "customer_id": pl.String, "ts_ms": pl.Int64, "kind": pl.String, "product_id": pl.String, "order_id": pl.String,
    "quantity": pl.Float64, "revenue_cents": pl.Int64, "list_cents": pl.Int64, "coupon_cents": pl.Int64,
    "arrived_ms": pl.Int64,
}  # fmt: skip
MOST = 1e15  # minor units; what is dearer is a mistake, and would not fit
KINDS = {"Order Completed": "purchase", "Order Refunded": "refund"}


def outcomes(events: Iterable[tuple[str, int, int, str, str]], currency: str) -> pl.DataFrame:
    """Rows of COLUMNS from (customer_id, ts_ms, received_ms, name, body) of the ledger's events.

    A row per product with its price, less its part of the order's `discount`; an order that prices no product is one
    row of its `total` or `revenue`. What has no amount at all says nothing of money and is left out. A refund's money
    is negative.
    """
    unit = 10 ** currency_digits(currency)
    rows = [row for event in events if event[3] in KINDS for row in _rows(event, unit)]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def _rows(event: tuple[str, int, int, str, str], unit: int) -> Iterator[tuple[Any, ...]]:
    who, ts_ms, received_ms, name, body = event
    told = _object(json.loads(body).get("properties"))
    sign = -1 if KINDS[name] == "refund" else 1
    order = told.get("order_id")
    lines = [line for line in _lines(told, unit) if line[2] < MOST]
    whole = sum(value for _, _, value in lines)
    off = min(abs(number(told.get("discount")) or 0.0) * unit, whole)
    for product, quantity, value in lines:
        less = round(off * value / whole) if whole else 0
        paid = sign * (round(value) - less)
        yield (
            who, ts_ms, KINDS[name], product, None if order is None else str(order), quantity, paid,
            sign * round(value), less if sign > 0 else 0, received_ms,
        )  # fmt: skip


def _lines(told: Mapping[str, object], unit: int) -> Iterator[tuple[str | None, float | None, float]]:
    """Product, quantity and value at its price, in minor units."""
    products = told.get("products")
    listed = [_object(line) for line in products] if isinstance(products, list) else [told]
    priced = [line for line in listed if number(line.get("price")) is not None]
    for line in priced:
        quantity = abs(number(line.get("quantity", 1)) or 1.0)
        product = line.get("product_id") or line.get("sku")
        yield None if product is None else str(product), quantity, abs(number(line["price"]) or 0.0) * quantity * unit
    if not priced:
        total = next((value for name in ("total", "revenue") if (value := number(told.get(name))) is not None), None)
        if total is not None:
            yield None, None, abs(total) * unit


def number(value: object) -> float | None:
    """A finite number, also one written as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if abs(found) < 1e12 else None


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
