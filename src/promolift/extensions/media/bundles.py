"""Suggest pairs of products to sell as a bundle, as menu lines for promolift.toml.

There are two kinds of pairs: products bought in one order more often than by coincidence, and products that look alike,
with one colour and two categories. A menu line is one price for both products, a tenth below the sum of their prices.
The plan then decides whether the bundle pays.
"""

from typing import Any

import numpy as np
import polars as pl

from promolift.core.customers.vectors import SLICE
from promolift.extensions.media import product_vectors
from promolift.foundation import sql
from promolift.foundation.evidence import Z95
from promolift.foundation.hashing import hash_id
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.localized_text import CATEGORY_SEPARATOR
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import toml_value
from promolift.foundation.sql import bind
from promolift.shop.results.work_folder.run_context import Job, map_shards, moments, query_shard

MAX_PRODUCTS, MIN_ORDERS, MIN_LIFT, MIN_SIMILARITY = (
    300,
    10,
    1.5,
    0.3,
)  # products looked at; orders with both; lift; likeness of pictures
DISCOUNT_SHARE = 0.1  # of both prices, taken off
ORDERS_SQL = """
with lines as (
    select distinct order_id, product_id from events
    where kind = 'purchase' and order_id is not null and product_id is not null and ts_ms < $asof
)
select product_id, count(*) as orders from lines group by all
union all select null, count(distinct order_id) from lines
"""
PAIRS_SQL = """
with lines as (
    select distinct order_id, product_id from events semi join often using (product_id)
    where kind = 'purchase' and order_id is not null and ts_ms < $asof
)
select a.product_id, b.product_id as other, count(*) as orders
from lines a join lines b on a.order_id = b.order_id and a.product_id < b.product_id group by all
"""


def suggest_bundles(job: Job, most: int) -> StepSummary:
    """At most so many pairs of each kind, as text and menu lines to paste into promolift.toml."""
    goods = job.clean.catalogue.filter(pl.col("price_cents") > 0)
    pairs = pl.concat([bought_together(job), similar_looking(job)], how="vertical")
    named = pairs.join(goods.select("product_id", "name", "price_cents"), on="product_id")
    named = named.join(goods.select(other="product_id", name_2="name", price_2="price_cents"), on="other")
    named = named.sort("why", "score", "product_id", "other", descending=[True, True, False, False])
    parts = named.partition_by("why", maintain_order=True)
    rows = [row for part in parts for row in part.head(most).iter_rows(named=True)]
    if not rows:
        return StepSummary(
            gettext(
                "no bundles: no two products with prices were bought together, or look alike, often enough to say so"
            ),
            {"step": "bundles", "bundles": []},
        )
    return StepSummary("\n\n".join(map(format_pair, rows)), {"step": "bundles", "bundles": rows})


def bought_together(job: Job) -> pl.DataFrame:
    """Pairs in one order: `score` is how many times as often as by coincidence, the lower end of the 95 % interval."""
    asof = moments(job).asof
    counts = pl.concat(map_shards(job, query_shard, job.clean.shards, bind(ORDERS_SQL, asof=asof)))
    counts = counts.group_by("product_id").agg(pl.col("orders").sum())
    whole = counts.filter(pl.col("product_id").is_null())["orders"].sum()
    often = counts.drop_nulls().sort("orders", "product_id", descending=[True, False]).head(MAX_PRODUCTS)
    both = pl.concat(map_shards(job, query_shard_products, job.clean.shards, bind(PAIRS_SQL, asof=asof), often))
    both = both.group_by("product_id", "other").agg(pl.col("orders").sum()).filter(pl.col("orders") >= MIN_ORDERS)
    both = both.join(often.rename({"orders": "n"}), on="product_id")
    both = both.join(often.select(other="product_id", m="orders"), on="other")
    least = pl.col("orders") - Z95 * pl.col("orders").sqrt()
    lift = both.with_columns(score=least * whole / (pl.col("n") * pl.col("m"))).filter(pl.col("score") >= MIN_LIFT)
    return lift.select("product_id", "other", "score", "orders", why=pl.lit("together")).cast({"orders": pl.Int64})


def query_shard_products(job: Job, shard: int, query: str, often: pl.DataFrame) -> pl.DataFrame:
    """What a SELECT finds in a shard's `events` and the products `often`."""
    return sql.fetch_frame(sql.run_select(query, events=job.clean.events(shard), often=often))


def similar_looking(job: Job) -> pl.DataFrame:
    """Pairs of one colour and two categories, each the most alike to the other there; none without pictures."""
    schema = {"product_id": pl.String, "other": pl.String, "score": pl.Float64, "orders": pl.Int64, "why": pl.String}
    known, vectors = job.clean.senses, job.clean.vectors
    if known is None or vectors is None or known.is_empty():
        return pl.DataFrame(schema=schema)
    seen = known.select("product_id", "colour").drop_nulls().join(vectors, on="product_id")
    seen = seen.join(job.clean.catalogue.select("product_id", "category", "price_cents"), on="product_id")
    seen = seen.filter(pl.col("category").is_not_null() & (pl.col("price_cents") > 0)).sort("product_id")
    found = []
    for (colour,), part in seen.group_by("colour", maintain_order=True):
        x_ND = part["vector"].to_numpy()[:, -product_vectors.PICTURE_WIDTH :]
        if x_ND.shape[1] < product_vectors.PICTURE_WIDTH or not colour:
            continue
        x_ND = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-9)
        category, names = part["category"].to_numpy(), part["product_id"].to_list()
        best, size = np.zeros(len(names), int), np.zeros(len(names))
        for start in range(0, len(names), SLICE):
            rows = slice(start, start + SLICE)
            alike_SN = x_ND[rows] @ x_ND.T
            alike_SN[category[rows, None] == category] = -1.0
            best[rows], size[rows] = alike_SN.argmax(axis=1), alike_SN.max(axis=1)
        for n, m in enumerate(best):
            if n < m and best[m] == n and size[n] >= MIN_SIMILARITY:
                found.append((names[n], names[m], float(size[n]), None, "alike"))
    return pl.DataFrame(found, schema=schema, orient="row")


def format_pair(row: dict[str, Any]) -> str:
    """A pair and why, then its menu line."""
    ids, whole = (row["product_id"], row["other"]), row["price_cents"] + row["price_2"]
    names = " + ".join(" ".join((row[name] or one).split()) for name, one in zip(("name", "name_2"), ids, strict=True))
    if row["why"] == "together":
        times = f"{row['score']:.1f}"
        why = gettext(
            "bought together in {orders} orders, at least {times} times as often as by coincidence",
            orders=row["orders"],
            times=times,
        )
    else:
        why = gettext("of one colour and alike to the eye")
    line = {
        "id": hash_id("set", CATEGORY_SEPARATOR.join(ids)).replace("_", "-"),
        "benefit": {"type": "fixed_price", "price_cents": round(whole * (1 - DISCOUNT_SHARE))},
        "scope": "product", "covers": ids, "together": True,
    }  # fmt: skip
    keys = [f"{key} = {toml_value(value)}" for key, value in line.items()]
    return "\n".join([f"# {names}: {why}", "[[menu]]", *keys])
