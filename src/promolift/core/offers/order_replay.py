"""Replay past orders under menu lines, priced as in the cart, to see how each line would have changed them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from promolift.core.offers.cart_pricing import Cart, CartLine, Promotion, price_cart
from promolift.core.offers.menu import MenuItem

MAX_UNITS = 100  # of a line; more are a weight or a volume, and count as one unit
REPLAY_SCHEMA = {
    "orders": pl.Int64, "used": pl.Int64, "off_cents": pl.Float64, "covered_cents": pl.Float64, "near": pl.Int64,
    "near_cents": pl.Float64,
}  # fmt: skip


class PastOrder(NamedTuple):
    """A past order of a customer."""

    customer_id: str
    lines: tuple[CartLine, ...]


class OrderReplay(NamedTuple):
    """What a line would have done in one order: whether it held, what it took off, and the goods that it looked at.

    `near_cents` is what was missing where it did not hold for lack of spend or of one unit; 0 else.
    """

    used: bool
    off_cents: int
    covered_cents: int
    near_cents: int


def past_orders(rows: pl.DataFrame) -> Iterator[PastOrder]:
    """From customer_id, order_id, product_id, category, quantity and list_cents, each order's rows together."""
    names = ["customer_id", "order_id", "product_id", "category", "quantity", "list_cents"]
    before: tuple[str, str] | None = None
    lines: list[CartLine] = []
    for who, order, product, category, quantity, cents in rows.select(names).iter_rows():
        if before is not None and (who, order) != before:
            yield PastOrder(before[0], tuple(lines))
            lines = []
        before = (who, order)
        units = round(quantity or 1)
        units = units if 1 <= units <= MAX_UNITS else 1
        lines.append(CartLine(str(len(lines)), product or "", category or "", units, round(cents / units)))
    if before is not None:
        yield PastOrder(before[0], tuple(lines))


def menu_promotion(item: MenuItem) -> Promotion:
    """A menu line as a promotion in a cart that holds nothing else."""
    return Promotion(
        id=item.id,
        benefit=item.benefit,
        scope="basket" if item.scope == "all" else item.scope,
        covers=item.covers,
        joined="together" if item.together else "each",
        min_spend_cents=item.min_spend_cents,
    )


def replay_orders(past: Iterable[PastOrder], items: Sequence[MenuItem], delivery_cents: int) -> pl.DataFrame:
    """customer_id, menu_id and REPLAYED: over how many orders, in how many the line held, sums of what it took off, of
    the goods it covered where it held, in how many little was missing and how much, in minor units.

    `delivery_cents` is what each order's delivery costs. A gift or points take nothing off; in an exchange the extra
    product is not in the basket yet, so that it holds wherever enough else is.
    """
    promotions = [menu_promotion(item) for item in items]
    sums: dict[tuple[str, str], list[int]] = {}
    for order in past:
        for promotion in promotions:
            row = sums.setdefault((order.customer_id, promotion.id), [0] * len(REPLAY_SCHEMA))
            found = replay_order(order.lines, promotion, delivery_cents)
            near = found.near_cents > 0
            more = (1, found.used, found.off_cents, found.covered_cents if found.used else 0, near, found.near_cents)
            for at, value in enumerate(more):
                row[at] += value
    schema = {"customer_id": pl.String, "menu_id": pl.String, **REPLAY_SCHEMA}
    return pl.DataFrame([(*key, *row) for key, row in sums.items()], schema, orient="row")


def total_replays(replays: pl.DataFrame) -> pl.DataFrame:
    """Return the sums of `replay_orders` over all customers: a row per menu line. Whole numbers, so that sums of parts
    add up to the same bits in any order.
    """
    return replays.group_by("menu_id").agg(pl.col(*REPLAY_SCHEMA).sum()).sort("menu_id")


def mean_per_order(replays: pl.DataFrame, totals: pl.DataFrame | None) -> pl.DataFrame:
    """Return `replay_orders` with means per order in place of sums.

    `totals` are the `total_replays` of the whole shop: each customer's mean is drawn towards the shop's by two orders'
    worth. None: of the customer's own orders alone.
    """
    names = list(REPLAY_SCHEMA)[1:]
    if totals is None:
        return replays.with_columns(pl.col(name) / pl.col("orders") for name in names)
    means = totals.select("menu_id", *((pl.col(name) / pl.col("orders")).alias(f"{name}_mean") for name in names))
    known = replays.join(means, on="menu_id", how="left", maintain_order="left")
    return known.select(
        "customer_id",
        "menu_id",
        "orders",
        *((pl.col(name) + 2 * pl.col(f"{name}_mean")) / (pl.col("orders") + 2) for name in names),
    )


def replay_order(lines: Sequence[CartLine], promotion: Promotion, delivery_cents: int) -> OrderReplay:
    """What a promotion does to one past order by itself."""
    benefit, names = promotion.benefit, promotion.covers
    extra = benefit.product_id if benefit.type == "exchange" else None
    mine = [line for line in lines if line.product_id != extra and (not names or _part(promotion, line) in names)]
    covered = sum(line.quantity * line.unit_cents for line in mine)
    if not mine:
        return OrderReplay(False, 0, 0, 0)
    bought = list(lines)
    if extra:
        price = benefit.price_cents + 1  # of the extra product: what one cent more would be lowered to its price
        bought.append(CartLine("extra", extra, "", benefit.quantity, price))
    cart = Cart(bought, delivery_cents if benefit.type == "free_shipping" else 0)
    priced = price_cart(cart, [promotion], datetime(2000, 1, 1, tzinfo=UTC))
    if priced.applied:
        off = 0 if extra else priced.discount_cents + priced.shipping_off_cents
        return OrderReplay(True, off, covered, 0)
    near = next((no for no in priced.refused if no.reason == "below_threshold"), None)
    if near is None or near.missing_units > 1:
        return OrderReplay(False, 0, covered, 0)
    unit = min(line.unit_cents for line in mine) if near.missing_units else 0
    return OrderReplay(False, 0, covered, near.missing_cents + unit)


def _part(promotion: Promotion, line: CartLine) -> str:
    return line.category if promotion.scope == "category" else line.product_id
