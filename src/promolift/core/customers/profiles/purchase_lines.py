"""Read one shard's events into the few small relations from which every profile is computed.

lines     one row per event, joined with the catalogue, with local day, hour, weekday and Monday week of the shop
slices    one row per customer, order and instant: an order never loses its early lines to a later moment
moments   one row per customer and moment, with the latest shared tables that were known by then and the instants at
          which the shop's purchases, views, carts and impressions begin (null: the shop has none): before them nothing
          is known
visits    one row per customer, moment and order, of rows strictly before the moment

Texts are numbers in all of them, because numbers are grouped and joined in a third of the time and a tenth of the
memory: a customer is their place in the sorted list of the shard's customers, and a product, category, type, brand,
store or channel its place in one sorted list of all such words, so that equal texts are equal numbers and order stays
the same. An order is its hash; of a customer's hundred orders two are the same once in 10^15 customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.profiles.population_sums import PopulationSums, Shard
from promolift.foundation import sql
from promolift.foundation.sql import bind, fetch_frame

PEOPLE = """
select customer_id as name, (row_number() over (order by customer_id) - 1)::int as customer_id
from (select distinct customer_id from events)
"""

WORDS = """
select word, (row_number() over (order by word) - 1)::int as code from (
    select product_id as word from events union select store_id from events union select channel from events
    union select product_id from products union select category from products union select type from products
    union select brand from products
) where word is not null
"""

# A target is what an offer can cover: the product category; where the catalogue has none the product type; where it has
# neither, the product itself. One level for the whole catalogue: a shop that names categories for some products offers
# coupons on categories.
GOODS = """
with named as (select product_id from events union select product_id from products),
level as (
    select case when count(category) > 0 then 'category' when count(type) > 0 then 'type' else 'product' end as level
    from products
)
select n.product_id as name, p.code as product_id, c.code as category, t.code as type, b.code as brand,
    g.brand as label,
    case level when 'category' then c.code when 'type' then t.code else p.code end as target,
    case level when 'product' then 'product' else 'category' end as target_kind
from named n left join products g using (product_id) cross join level
join words p on p.word = n.product_id left join words c on c.word = g.category
left join words t on t.word = coalesce(g.type, g.category) left join words b on b.word = g.brand
"""

LINES = """
select p.customer_id, e.ts_ms, e.kind, g.product_id, s.code as store_id, c.code as channel, e.quantity,
    hash(coalesce(e.order_id, 'at ' || e.ts_ms)) as order_id,
    hours,
    hours // 24 as day,
    hours % 24 as hour,
    (hours // 24 + 3) % 7 + 1 as weekday,                              -- 1970-01-01 was a Thursday; Monday is 1
    (hours // 24 + 3) // 7 as week,
    case when e.kind = 'refund' then -abs(e.revenue_cents) else e.revenue_cents end as revenue_cents,
    case when e.kind = 'refund' then -abs(e.list_cents) else e.list_cents end as list_cents,
    e.shelf_cents, e.coupon_cents, e.dwell_s,
    g.category, g.type, g.brand, g.target
from (
    select *, floor(epoch_ms(timezone($zone, make_timestamptz(ts_ms * 1000))) / 3600000)::int as hours from events
) e join people p on p.name = e.customer_id
left join goods g on g.name = e.product_id
left join words s on s.word = e.store_id left join words c on c.word = e.channel
"""

SLICES = """
select customer_id, order_id, ts_ms, min(day) as day,
    sum(revenue_cents)::bigint as revenue_cents,
    sum(list_cents)::bigint as list_cents,
    sum(shelf_cents)::bigint as shelf_cents,
    sum(coupon_cents)::bigint as coupon_cents,
    count(*) as lines,
    count(*) filter (shelf_cents > 0) as deal_lines
from lines where kind = 'purchase'
group by all
"""

MOMENTS = """
select customer_id, m.asof_ms, s.shared_ms,
    h.purchases_first_ms, h.views_first_ms, h.carts_first_ms, h.impressions_first_ms,
    h.shelf_cents > 0 as has_shelf, h.coupon_cents > 0 as has_coupons
from (
    select distinct p.customer_id, asof_ms from moments n join people p on p.name = n.customer_id
) m
asof left join (select asof_ms as shared_ms from shop) s on m.asof_ms >= s.shared_ms
left join shop h on h.asof_ms = s.shared_ms
"""

VISITS = """
select m.customer_id, m.asof_ms, s.order_id,
    min(s.ts_ms) as ts_ms,
    min(s.day) as day,
    sum(s.revenue_cents)::bigint as revenue_cents,
    sum(s.list_cents)::bigint as list_cents,
    sum(s.shelf_cents)::bigint as shelf_cents,
    sum(s.coupon_cents)::bigint as coupon_cents,
    sum(s.lines)::bigint as lines,
    sum(s.deal_lines)::bigint as deal_lines
from moments m join slices s on s.customer_id = m.customer_id and s.ts_ms < m.asof_ms
group by all
"""


OWN = "select p.customer_id, e.* exclude (customer_id) from rows e join people p on p.name = e.customer_id"


@dataclass(frozen=True)
class PurchaseLines:
    """What one read of a shard gives: `rows` and `slices`, its customers' campaigns, and what the numbers stand for."""

    rows: Relation
    slices: Relation
    exposures: Relation | None
    redemptions: Relation | None
    customer_texts: Relation | None
    people: Relation
    words: Relation
    goods: Relation

    def texts(self, frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """The frame with the numbers in `columns`, and in customer_id where it has one, turned back into texts."""
        words = fetch_frame(self.words.order("code"))["word"]
        found = [words.gather(frame[column]).alias(column) for column in columns]
        if "customer_id" in frame.columns:
            found.append(
                fetch_frame(self.people.order("customer_id"))["name"].gather(frame["customer_id"]).alias("customer_id")
            )
        return frame.with_columns(found)

    @property
    def target_kind(self) -> str:
        """What a target is: category or product."""
        found = self.goods.aggregate("max(target_kind)").fetchall()[0][0]
        return str(found or "product")


def read_lines(shard: Shard, zone: str) -> PurchaseLines:
    """Every event of the shard, before and after: each later step cuts at its own moment. Read once per shard."""
    return shard.cached(f"lines {zone}", lambda: _read(shard, zone))


def _read(shard: Shard, zone: str) -> PurchaseLines:
    events, products = shard.events, shard.products
    if "dwell_s" not in events.columns:
        events = events.project("*, cast(null as double) as dwell_s")
    people = sql.materialise(sql.run_select(PEOPLE, events=events))
    words = sql.materialise(sql.run_select(WORDS, events=events, products=products))
    goods = sql.materialise(sql.run_select(GOODS, events=events, products=products, words=words))
    rows = sql.materialise(
        sql.run_select(bind(LINES, zone=zone), events=events, people=people, goods=goods, words=words)
    )
    exposures, redemptions, said = (
        None if table is None else sql.materialise(sql.run_select(OWN, rows=table, people=people))
        for table in (shard.exposures, shard.redemptions, shard.customer_texts)
    )
    slices = sql.materialise(sql.run_select(SLICES, lines=rows))
    return PurchaseLines(rows, slices, exposures, redemptions, said, people, words, goods)


def number_texts(shard: Shard, zone: str) -> pl.DataFrame:
    """Every text and its number: columns word and code."""
    return shard.saved_frame("words", lambda: fetch_frame(read_lines(shard, zone).words))


def read_moments(
    lines: PurchaseLines, moments: Relation, shared: PopulationSums, earlier: Sequence[int] = ()
) -> Relation:
    """Customer and moment, with what table `shop` knew by the latest of the shared moments (null before the first)."""
    shop = shared["shop"].filter(pl.col("asof_ms").is_in([*shared.asofs, *earlier]))
    return sql.materialise(sql.run_select(MOMENTS, moments=moments, people=lines.people, shop=shop))


def all_customers_at(lines: PurchaseLines, asof_ms: int) -> Relation:
    """Every customer of the shard at one moment, whether seen before it or not."""
    return lines.people.project(f"customer_id, {asof_ms}::bigint as asof_ms")


def read_visits(slices: Relation, moments: Relation) -> Relation:
    """Orders before each moment; one row per customer, moment and order."""
    return sql.materialise(sql.run_select(VISITS, moments=moments, slices=slices))
