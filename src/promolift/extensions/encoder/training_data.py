"""Read the histories and the catalogue that the encoder trains on from the store's events, products and customers.

Legend: P customers, I items, G shelves.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.vectors import sum_vectors
from promolift.core.offers.product_names import NameKind, is_couponable, is_sensitive, readable_name
from promolift.extensions.encoder.network.forecast import SentenceFormat
from promolift.extensions.encoder.network.purchase_histories import (
    Catalogue,
    Histories,
    Popularity,
    build_catalogue,
    build_histories,
    read_purchases,
)
from promolift.foundation import sql
from promolift.foundation.errors import SupportError
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.formatting import money
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.jit import Days, Floats
from promolift.foundation.sql import bind, fetch_frame, sql_literal
from promolift.foundation.storage.local_store import shard_expression
from promolift.foundation.tables.schemas import CATEGORY_LEVEL_SQL
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.work_folder.run_context import Job, map_shards, moments

ITEM_SQL = {
    "category": "case level.level when 'category' then p.category when 'type' then p.type else p.product_id end",
    "type": "coalesce(p.category || ' | ', '') || p.type",
    "product": "p.product_id",
}
PARENT_SQL = {"category": "p.department", "type": "p.category", "product": "coalesce(p.type, p.category)"}
PRODUCTS_SQL = f"""
with {CATEGORY_LEVEL_SQL}, paid as (
    select product_id, sum(list_cents) / sum(quantity) as price_cents from e
    where kind = 'purchase' and list_cents > 0 and quantity > 0 group by product_id
)
select p.product_id, @item as type, @above as category, p.brand,
    coalesce(p.price_cents, paid.price_cents) as price_cents, p.category as shelf, p.type as kind, p.name, p.department
from products p cross join level left join paid using (product_id) where @item is not null order by p.product_id
"""
CHANNELS_SQL = """
select distinct channel from events where kind = 'purchase' and ts_ms < $asof and channel is not null order by channel
"""
KNOWN_CUSTOMERS_SQL = """
select distinct customer_id from events where ts_ms < $asof union select customer_id from stated where {mine}
order by customer_id
"""
NON_ATTRIBUTE_COLUMNS = ("customer_id", "name", "consent", "language")  # say nothing of what somebody buys
MIN_SHELF_SHARE = 0.02  # share of all purchases below which a shelf is too small to lean to
MIN_ANSWER_CUSTOMERS = 20  # customers who must share an answer for it to be learned from


@dataclass(frozen=True)
class ForecastContext:
    """What all shards share: the moment in days, a row per product, items, stated attributes, channels, names; and the
    shelf (department, or category where there is none) of each item that may be named: 1 in its column of `shelf_IG`.
    """

    day: float
    products: pl.DataFrame
    items: Catalogue
    attributes: pl.DataFrame
    channels: tuple[str, ...]
    sentence_format: SentenceFormat
    shelves: tuple[str, ...]
    shelf_IG: Floats


class Shelves(NamedTuple):
    """Readable shelves, and which item stands where: 1 in its column."""

    names: tuple[str, ...]
    shelf_IG: Floats


def load_context(job: Job) -> ForecastContext:
    """The scene as of the plan's moment."""
    asof, choice, private = moments(job).asof, job.config.encoder, job.config.privacy.epsilon is not None
    goods = read_goods(job, asof, job.profiled.synthetic_events if private else job.clean.events())
    channels = fetch_frame(sql.run_select(bind(CHANNELS_SQL, asof=asof), events=job.clean.events()))["channel"]
    first = job.clean.events(job.clean.shards[0]).filter(f"ts_ms < {asof}")
    items = build_catalogue(read_purchases(first, job.store.connection.from_arrow(goods.to_arrow()), "type").catalogue)
    if job.clean.vectors is not None:
        typed = job.clean.vectors.join(goods.select("product_id", item="type"), on="product_id")
        items = with_vectors(items, typed.sort("product_id"))  # sums of fractions go by their order
    names = item_names(goods, choice.level)
    shelves, shelf_IG = item_shelves(goods, items, names)
    return ForecastContext(
        day=asof / DAY_MS,
        products=goods,
        items=items,
        attributes=job.clean.people.select("customer_id") if private else stated_attributes(job),
        channels=("",) if private else tuple(channels),  # a name of none: the made-up customers have none
        sentence_format=SentenceFormat(partial(money, currency=job.config.shop.currency), names),
        shelves=shelves,
        shelf_IG=shelf_IG,
    )


def sampled_histories(job: Job, scene: ForecastContext) -> Histories:
    """Histories of the customers drawn for the training. SupportError if nothing in them is in the catalogue."""
    asof, shards = round(scene.day * DAY_MS), job.clean.shards
    people = pl.concat(map_shards(job, known_customers, shards, asof))
    share = job.config.encoder.customers / max(people.len(), 1)
    chosen = people.filter(pl.Series(hash_units("encoder", people.to_list())) < share)
    lines = pl.concat(map_shards(job, read_shard_purchases, shards, scene.products, asof, chosen))
    if lines.is_empty():
        raise SupportError(
            "catalogue_unmatched",
            gettext_lazy("encoder: no purchase of anything in the catalogue; give the products a category"),
        )
    return build_histories(lines, scene.items, scene.attributes, chosen.to_list(), scene.channels)


def synthetic_histories(job: Job, scene: ForecastContext) -> Histories:
    """Histories of the made-up customers."""
    goods, events = job.store.connection.from_arrow(scene.products.to_arrow()), job.profiled.synthetic_events
    lines = read_purchases(events.filter(f"ts_ms < {round(scene.day * DAY_MS)}"), goods, "type").lines
    people = lines["customer_id"].unique().sort().to_list()
    return build_histories(lines, scene.items, scene.attributes.clear(), people, scene.channels)


def shard_histories(job: Job, scene: ForecastContext, shard: int) -> Histories:
    """Everybody of one shard, those without a purchase too."""
    asof = round(scene.day * DAY_MS)
    lines = read_shard_purchases(job, shard, scene.products, asof)
    return build_histories(
        lines, scene.items, scene.attributes, known_customers(job, shard, asof).to_list(), scene.channels
    )


def customer_history(job: Job, scene: ForecastContext, customer_id: str) -> Histories:
    """One customer alone."""
    asof, mine = round(scene.day * DAY_MS), f"customer_id = {sql_literal(customer_id)}"
    events = job.clean.events().filter(f"ts_ms < {asof} and {mine}")
    lines, _ = read_purchases(events, job.store.connection.from_arrow(scene.products.to_arrow()), "type")
    return build_histories(lines, scene.items, scene.attributes, [customer_id], scene.channels)


def read_goods(job: Job, asof_ms: int, events: Relation) -> pl.DataFrame:
    """A row per product: its item as `type`, what lies above as `category`; a missing price is what was paid."""
    level = job.config.encoder.level
    query = PRODUCTS_SQL.replace("@item", ITEM_SQL[level]).replace("@above", PARENT_SQL[level])
    return fetch_frame(sql.run_select(query, e=events.filter(f"ts_ms < {asof_ms}"), products=job.clean.products))


def read_shard_purchases(
    job: Job, shard: int, goods: pl.DataFrame, asof_ms: int, of: pl.Series | None = None
) -> pl.DataFrame:
    """One shard's purchase lines before the moment, of all its customers or those `of`."""
    events = job.clean.events(shard).filter(f"ts_ms < {asof_ms}")
    lines = read_purchases(events, job.store.connection.from_arrow(goods.to_arrow()), "type").lines
    return lines if of is None else lines.filter(pl.col("customer_id").is_in(of.implode()))


def known_customers(job: Job, shard: int, asof_ms: int) -> pl.Series:
    """Customers of a shard who were seen before the moment or stated something to the shop."""
    mine = f"{shard_expression('customer_id', len(job.clean.shards))} = {shard}"
    query = bind(KNOWN_CUSTOMERS_SQL.format(mine=mine), asof=asof_ms)
    found = sql.run_select(query, events=job.clean.events(shard), stated=job.clean.customers.project("customer_id"))
    return fetch_frame(found)["customer_id"]


def stated_attributes(job: Job) -> pl.DataFrame:
    """A column per common answer of the customers table: 1 or 0, null where the customer said nothing on the matter."""
    rows = job.clean.people.sort("customer_id")
    columns = [pl.col("customer_id")]
    for name in rows.columns:
        if name not in NON_ATTRIBUTE_COLUMNS and rows.schema[name] == pl.String:
            counts = rows.drop_nulls(name).group_by(name).len().filter(pl.col("len") >= MIN_ANSWER_CUSTOMERS).sort(name)
            columns += [(pl.col(name) == value).cast(pl.Float32).alias(f"{name}={value}") for value in counts[name]]
    return rows.select(columns)


def item_names(goods: pl.DataFrame, level: str) -> dict[str, str]:
    """Item to readable English name, without what must not be named or may not be offered."""
    rows = goods.group_by("type").agg(pl.col("shelf", "kind", "name").drop_nulls().mode().min()).sort("type")
    found: dict[str, str] = {}
    for item, shelf, kind, name in rows.iter_rows():
        labels = [readable_name(key, "category").en for key in (shelf, kind) if key]
        if not all(_open(key) for key in (shelf, kind) if key):
            continue
        if level == "product" or not labels:
            key = name or item
            if _open(key, "product"):
                found[item] = readable_name(key, "product").en
        elif level == "category":
            found[item] = labels[0]
        else:
            found[item] = f"{labels[0]} ({labels[1]})" if len(labels) == 2 else labels[0]
    return found


def item_shelves(goods: pl.DataFrame, items: Catalogue, names: dict[str, str]) -> Shelves:
    """The shelves of these items."""
    level: NameKind = "department" if goods["department"].drop_nulls().len() else "category"
    column = "department" if level == "department" else "shelf"
    rows = goods.group_by("type").agg(pl.col(column).drop_nulls().mode().min()).drop_nulls()
    of = {item: readable_name(key, level).en for item, key in rows.iter_rows() if item in names and _open(key, level)}
    shelves = tuple(sorted(set(of.values())))
    shelf_IG = np.zeros((len(items.items), len(shelves)), np.float32)
    for row, item in enumerate(items.items):
        if item in of:
            shelf_IG[row, shelves.index(of[item])] = 1
    return Shelves(shelves, shelf_IG)


def favourite_shelves(scene: ForecastContext, share_PI: Days, shared: Popularity) -> list[str | None]:
    """The shelf that the next basket leans to most, against everybody's last 28 days; small shelves left out."""
    share_I = np.exp(shared.log_WI[-1].astype(np.float64))
    share_G = share_I @ scene.shelf_IG / share_I.sum()
    large = np.flatnonzero(share_G >= MIN_SHELF_SHARE)
    if len(large) < 2:
        return [None] * len(share_PI)
    share_PG = share_PI @ scene.shelf_IG[:, large]
    return [scene.shelves[large[g]] for g in (share_PG / share_G[large]).argmax(axis=1)]


def _open(key: str, kind: NameKind = "category") -> bool:
    """Whether it may be named, and be the matter of an offer."""
    return not is_sensitive(key, kind) and is_couponable(key, kind)


def with_vectors(items: "Catalogue", vectors: pl.DataFrame) -> "Catalogue":
    """Each item with the vectors of its products (`item`, `vector`); as it was where no item has one."""
    found = sum_vectors(items.items, vectors["item"], vectors["vector"])
    return replace(items, vector_IV=found) if found.any() else items
