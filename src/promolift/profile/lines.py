"""Events, catalogue and moments in; the few small relations out that every profile is computed from.

lines     one row per event, joined with the catalogue, with local day, hour, weekday and Monday week of the shop
slices    one row per customer, order and instant: an order never loses its early lines to a later moment
moments   one row per customer and moment, with the latest shared tables that were known by then and the instants at
          which the shop's purchases, views and carts begin (null: the shop has none): before them nothing is known
visits    one row per customer, moment and order, of rows strictly before the moment
"""

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.profile.shared import Shared
from promolift.sql import bind, some

LINES = """
with known as (select distinct customer_id from moments),
local as (
    select *, floor(epoch_ms(timezone($zone, make_timestamptz(ts_ms * 1000))) / 3600000)::bigint as hours
    from events semi join known using (customer_id)
)
select e.customer_id, e.ts_ms, e.kind, e.product_id, e.store_id, e.channel, e.quantity,
    coalesce(e.order_id, 'at ' || e.ts_ms) as order_id,
    hours,
    hours // 24 as day,
    hours % 24 as hour,
    (hours // 24 + 3) % 7 + 1 as weekday,                              -- 1970-01-01 was a Thursday; Monday is 1
    (hours // 24 + 3) // 7 as week,
    case when e.kind = 'refund' then -abs(e.revenue_cents) else e.revenue_cents end as revenue_cents,
    case when e.kind = 'refund' then -abs(e.list_cents) else e.list_cents end as list_cents,
    e.shelf_cents, e.coupon_cents,
    p.category, coalesce(p.type, p.category) as type, p.brand
from local e left join products p using (product_id)
"""

SLICES = """
select customer_id, order_id, ts_ms, min(day) as day,
    sum(revenue_cents)::bigint as revenue_cents,
    sum(list_cents)::bigint as list_cents,
    sum(shelf_cents)::bigint as shelf_cents,
    sum(coupon_cents)::bigint as coupon_cents,
    count(*) as lines,
    count(*) filter (shelf_cents > 0) as deal_lines,
    sum(quantity) as units
from lines where kind = 'purchase'
group by all
"""

MOMENTS = """
select customer_id, m.asof_ms, s.shared_ms,
    h.purchases_first_ms, h.views_first_ms, h.carts_first_ms,
    h.shelf_cents > 0 as has_shelf, h.coupon_cents > 0 as has_coupons
from (select distinct customer_id, asof_ms from moments) m
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
    sum(s.deal_lines)::bigint as deal_lines,
    sum(s.units) as units
from moments m join slices s on s.customer_id = m.customer_id and s.ts_ms < m.asof_ms
group by all
"""


def read_lines(events: Relation, products: Relation, moments: Relation, zone: str) -> Relation:
    """Every event of the customers in `moments`, before and after: each later step cuts at its own moment."""
    return some(events.query("events", bind(LINES, zone=zone))).materialize()


def read_slices(lines: Relation) -> Relation:
    """Purchases summed per customer, order and instant."""
    return some(lines.query("lines", SLICES)).materialize()


def read_moments(moments: Relation, shared: Shared) -> Relation:
    """Customer and moment, with what table `shop` knew by the latest of the shared moments (null before the first)."""
    return _join_shop(moments, shared["shop"].filter(pl.col("asof_ms").is_in(shared.asofs)))


def _join_shop(moments: Relation, shop: pl.DataFrame) -> Relation:
    return some(moments.query("moments", MOMENTS)).materialize()


def read_visits(slices: Relation, moments: Relation) -> Relation:
    """Orders before each moment; one row per customer, moment and order."""
    return some(slices.query("slices", VISITS)).materialize()
