"""Summarise the clean tables in figures that are small enough to store as JSON.

Events are summarised shard by shard; the sums of the shards are added up.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from promolift.foundation.time.clock import DAY_MS
from promolift.shop.ingest.cleaning import sql_casts

Relation = sql_casts.Relation

PER_CUSTOMER = """
    select customer_id, count(*) as rows, count(distinct order_id) filter (kind = 'purchase') as orders,
        count(*) filter (kind = 'purchase') as bought, count(*) filter (kind = 'view') as viewed,
        count(*) filter (kind = 'refund') as returned, count(*) filter (kind = 'add_to_cart') as added,
        min(ts_ms) as first_ms, max(ts_ms) as last_ms, sum(revenue_cents)::bigint as revenue_cents
    from raw group by customer_id
"""
SHARD = """
    select sum(rows)::bigint as rows, count(*) as customers, sum(orders)::bigint as orders,
        count(*) filter (orders >= 1) as buyers, count(*) filter (orders >= 2) as repeaters,
        count(*) filter (bought >= 30) as heavy, sum(bought)::bigint as bought, sum(viewed)::bigint as viewed,
        sum(returned)::bigint as returned, sum(added)::bigint as added, count(*) filter (viewed > 0) as viewers,
        count(*) filter (viewed > 0 and bought > 0) as viewers_who_buy, min(first_ms) as first_ms,
        max(last_ms) as last_ms, sum(revenue_cents)::bigint as revenue_cents, max(rows) as most_rows,
        list(customer_id) as ids
    from per_customer
"""
PER_PRODUCT = """
    select product_id, count(*) filter (kind = 'purchase') as bought, count(*) filter (kind = 'view') as viewed,
        count(*) filter (kind = 'purchase' and shelf_cents > 0) as reduced,
        count(*) filter (kind = 'purchase' and coupon_cents > 0) as couponed,
        count(*) filter (kind = 'purchase' and quantity is not null) as counted
    from raw group by product_id
"""
PER_ORDER = """
    with orders as (select sum(revenue_cents)::bigint as cents from raw where kind = 'purchase'
        group by customer_id, order_id, case when order_id is null then ts_ms end having cents > 0)
    select floor(log2(cents))::bigint as size, count(*) as orders, sum(cents)::bigint as cents from orders group by size
"""
LARGE_TIMES = 128  # times the middle order above which an order is named; sizes are known to a factor of two
VARIED_PURCHASES, VARIED_SHARE = 20, (0.05, 0.95)  # what a product needs to show what a discount does
_LEAST, _MOST = ("first_ms",), ("last_ms", "most_rows")


@dataclass(frozen=True)
class Summary:
    """What the clean tables hold. Counts of rows unless the name says otherwise; None where nothing is known.

    `customers`, `buyers`, `described` and the like are of the customers with events: one population, so that each is
    a part of `customers`. `listed` alone counts the customers table, whoever of it has events.
    """

    rows: int = 0
    customers: int = 0
    orders: int = 0
    buyers: int = 0
    repeaters: int = 0
    heavy: int = 0
    bought: int = 0
    viewed: int = 0
    returned: int = 0
    added: int = 0
    viewers: int = 0
    viewers_who_buy: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    revenue_cents: int = 0
    large_orders: int = 0
    large_cents: int = 0
    most_rows: int = 0
    products: int = 0
    bought_with_product: int = 0
    viewed_with_product: int = 0
    reduced: int = 0
    couponed: int = 0
    counted: int = 0
    varied_products: int = 0
    varied_rows: int = 0
    known: dict[str, int] = field(default_factory=dict)
    described: dict[str, int] = field(default_factory=dict)
    listed: int = 0
    campaigns: int = 0
    campaigns_before: int = 0
    exposures: int = 0
    redemptions: int = 0
    coupons: int = 0

    @property
    def days(self) -> float:
        """Days from the first event to the last."""
        return 0.0 if self.first_ms is None or self.last_ms is None else (self.last_ms - self.first_ms) / DAY_MS


class ShardSums(NamedTuple):
    """What one shard of events adds to the summary: a row of totals with its customers' `ids`, one per product, and the
    orders of each size, a power of two.
    """

    totals: pl.DataFrame
    products: pl.DataFrame
    orders: pl.DataFrame


def shard_sums(events: Relation) -> ShardSums:
    """Three small queries on a shard, which holds whole customers."""
    query = f"with per_customer as ({PER_CUSTOMER}) {SHARD}"
    return ShardSums(*(sql_casts.select(events, each).pl() for each in (query, PER_PRODUCT, PER_ORDER)))


def summarise(
    shards: Iterable[ShardSums],
    *,
    customers: pl.DataFrame | None = None,
    products: pl.DataFrame | None = None,
    exposures: pl.DataFrame | None = None,
    redemptions: pl.DataFrame | None = None,
    coupons: pl.DataFrame | None = None,
) -> Summary:
    """The summary of all tables there are.

    `varied_products` are those bought at least 20 times of which 5 to 95 % were reduced: only they can show what a
    discount does. `known` and `described` count, per column, purchase rows whose product has a value there, and
    customers with events who have one.
    """
    totals: dict[str, Any] = {}
    sold: list[pl.DataFrame] = []
    sizes: list[pl.DataFrame] = []
    seen = [pl.Series("customer_id", [], pl.String)]
    for found, products_of, orders_of in shards:
        seen.append(found["ids"].explode().alias("customer_id"))
        _add(totals, found.drop("ids").row(0, named=True))
        sold.append(products_of)
        sizes.append(orders_of)
    per_product = pl.concat(sold).group_by("product_id").sum() if sold else pl.DataFrame(schema=_PRODUCT_SCHEMA)
    return Summary(
        **totals,
        **_products(per_product, products),
        **_large_orders(sizes),
        **({} if customers is None else _described(customers, pl.concat(seen))),
        **_campaigns(totals.get("first_ms"), exposures),
        redemptions=0 if redemptions is None else redemptions.height,
        coupons=0 if coupons is None else coupons.height,
    )


_PRODUCT_SCHEMA = dict.fromkeys(("bought", "viewed", "reduced", "couponed", "counted"), pl.Int64) | {
    "product_id": pl.String
}


def _add(totals: dict[str, Any], shard: dict[str, Any]) -> None:
    for name, value in shard.items():
        if value is None:
            continue
        old = totals.get(name)
        if old is None:
            totals[name] = value
        else:
            totals[name] = min(old, value) if name in _LEAST else max(old, value) if name in _MOST else old + value


def _large_orders(sizes: list[pl.DataFrame]) -> dict[str, Any]:
    """How many orders are LARGE_TIMES the middle one or more, and what they come to."""
    found = pl.concat(sizes).group_by("size").sum().sort("size") if sizes else pl.DataFrame()
    if not found.height:
        return {}
    middle = found.filter(pl.col("orders").cum_sum() >= pl.col("orders").sum() / 2)["size"][0]
    large = found.filter(pl.col("size") > middle + math.log2(LARGE_TIMES))
    return {"large_orders": int(large["orders"].sum()), "large_cents": int(large["cents"].sum())}


def _products(sold: pl.DataFrame, products: pl.DataFrame | None) -> dict[str, Any]:
    named = sold.filter(pl.col("product_id").is_not_null())
    share = pl.col("reduced") / pl.col("bought")
    varied = named.filter((pl.col("bought") >= VARIED_PURCHASES) & share.is_between(*VARIED_SHARE))
    known = {}
    if products is not None and products.height:
        joined = named.join(products, on="product_id", how="left")
        for name in products.columns:
            if name != "product_id":
                known[name] = int(joined.filter(pl.col(name).is_not_null())["bought"].sum())
    return {
        "products": named.height,
        "bought_with_product": int(named["bought"].sum()),
        "viewed_with_product": int(named["viewed"].sum()),
        "reduced": int(sold["reduced"].sum()),
        "couponed": int(sold["couponed"].sum()),
        "counted": int(sold["counted"].sum()),
        "varied_products": varied.height,
        "varied_rows": int(varied["bought"].sum()),
        "known": known,
    }


def _described(customers: pl.DataFrame, seen: pl.Series) -> dict[str, Any]:
    """Of the customers seen in the events: how many have a value in each column, and how many have a row at all."""
    known = customers.join(seen.to_frame(), on="customer_id", how="semi").drop("customer_id")
    filled = {name: known.height - known[name].null_count() for name in known.columns}
    return {"described": filled | {"rows": known.height}, "listed": customers.height}


def _campaigns(first_ms: int | None, exposures: pl.DataFrame | None) -> dict[str, Any]:
    if exposures is None or not exposures.height:
        return {}
    starts = exposures.group_by("campaign_id").agg(pl.col("start_ms").min())
    before = 0 if first_ms is None else starts.filter(pl.col("start_ms") < first_ms).height
    return {"campaigns": starts.height, "campaigns_before": before, "exposures": exposures.height}
