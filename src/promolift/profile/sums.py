"""First pass over a shard: events in, its contribution to the shared tables out. Every number adds over shards."""

from collections.abc import Sequence

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.profile.choices import read_cells, read_choices, read_pace, read_targets
from promolift.profile.lines import read_lines, read_slices, read_visits
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared, Tables, add, moments_of
from promolift.profile.signals import read_trials
from promolift.sql import DAY_MS, bind, fetch, some

# each row is booked once, at the first moment that may see it; a moment sees its own book and all earlier ones
SHOP = """
with booked as (
    select a.asof_ms,
        min(ts_ms) filter (kind = 'purchase') as purchases_first_ms,
        min(ts_ms) filter (kind = 'view') as views_first_ms,
        min(ts_ms) filter (kind = 'add_to_cart') as carts_first_ms,
        count(*) as rows,
        sum(shelf_cents) as shelf_cents, sum(coupon_cents) as coupon_cents
    from lines l asof join asofs a on l.ts_ms < a.asof_ms
    group by all
)
select a.asof_ms, min(purchases_first_ms) as purchases_first_ms, min(views_first_ms) as views_first_ms,
    min(carts_first_ms) as carts_first_ms, sum(rows)::bigint as rows, sum(shelf_cents)::bigint as shelf_cents,
    sum(coupon_cents)::bigint as coupon_cents
from asofs a join booked b on b.asof_ms <= a.asof_ms
group by all
"""

PRICES = """
with booked as (
    select a.asof_ms, type, sum(list_cents) as list_cents, sum(quantity) as units
    from lines l asof join asofs a on l.ts_ms < a.asof_ms
    where kind = 'purchase' and type is not null and quantity > 0
    group by all
)
select a.asof_ms, type, sum(list_cents)::bigint as list_cents, sum(units) as units
from asofs a join booked b on b.asof_ms <= a.asof_ms
group by all
"""

# basket values in steps of 5 %: fine enough for quintiles, and counts add
BASKETS = """
select asof_ms, floor(ln(revenue_cents) / ln(1.05))::bigint as bin, count(*) as orders
from visits where revenue_cents > 0 group by all
"""

DEALS = """
select l.week, coalesce(l.type, l.product_id) as target, count(*) as lines, count(*) filter (shelf_cents > 0) as deals
from lines l where kind = 'purchase' and coalesce(l.type, l.product_id) is not null group by all
"""

ORDERS = """
select asof_ms, count(*) as customers,
    sum(eff_orders) as n, sum(eff_orders * eff_orders) as nn,
    sum(eff_days) as t, sum(eff_days * eff_days) as tt, sum(eff_orders * eff_days) as nt,
    sum(faded_choices / choice_weight) as e, sum(power(faded_choices / choice_weight, 2)) as ee
from pace group by all
"""

TARGET_SUMS = """
with sized as (
    select c.*, faded_orders / choice_weight as n, faded_choices / choice_weight as e
    from choices c join pace p using (customer_id, asof_ms)
)
select asof_ms, target, count(*) as customers,
    sum(n) as n, sum(n * n) as nn, sum(n * e) as ne,
    sum(orders)::bigint as orders, sum(orders * orders)::bigint as orders_sq,
    sum(list_cents)::bigint as list_cents, sum(list_sq) as list_sq,
    sum(list_cents::double * list_cents / orders) as between_sq
from sized group by all
"""

# looked at and left in one window: bought in the next?
INTERESTS = """
with seen as (
    select a.asof_ms, customer_id, product_id,
        count(*) filter (kind = 'view' and ts_ms < a.asof_ms - $window_ms) as views,
        count(*) filter (kind = 'purchase' and ts_ms < a.asof_ms - $window_ms) as bought_then,
        count(*) filter (kind = 'purchase' and ts_ms >= a.asof_ms - $window_ms) as bought_later
    from asofs a join lines l on l.ts_ms < a.asof_ms and l.ts_ms >= a.asof_ms - 2 * $window_ms
    where product_id is not null and kind in ('view', 'purchase')
    group by all
)
select asof_ms, product_id, count(*) as pairs, count(*) filter (bought_later > 0) as bought
from seen where views > 0 and bought_then = 0
group by all
"""

# k successes in n trials per customer, and the squares that tell how much customers differ
RATES = """
select asof_ms, rate, count(*) as customers, sum(k)::bigint as k, sum(n)::bigint as n,
    sum(k * k)::bigint as kk, sum(k * n)::bigint as kn, sum(n * n)::bigint as nn
from trials group by all
"""


def first_step(shard: Shard, shared: Shared, settings: ProfileSettings) -> Tables:
    """Sums that need nothing but the shard's own rows: history, prices, discounts, order rates, choices, coupons."""
    asofs = all_asofs(shared, settings)
    everybody = population(shard.events, moments_of(asofs))
    lines = read_lines(shard.events, shard.products, everybody, settings.zone)
    cells = read_cells(lines, read_targets(shard.products))
    slices = read_slices(lines)
    parts = [_booked(lines, moments_of(asofs), settings)]
    for asof_ms in asofs:  # one moment at a time: memory stays that of one moment
        moments = population(shard.events, moments_of([asof_ms]))
        visits = read_visits(slices, moments)
        parts.append(_at_moment(visits, read_pace(visits, settings), read_choices(cells, moments, settings)))
        parts.append({"rates": rate_sums(read_trials(lines, moments, shard.exposures, shard.redemptions))})
    return add(parts)


def shop_step(shard: Shard, shared: Shared, settings: ProfileSettings) -> Tables:
    """The part of `first_step` that spend features need: what the shop's own history holds at each moment."""
    asofs = moments_of(all_asofs(shared, settings))  # DuckDB finds it by this name
    assert asofs.height
    return {"shop": fetch(shard.events.query("lines", SHOP))}


def all_asofs(shared: Shared, settings: ProfileSettings) -> Sequence[int]:
    """The moments asked for, and each one a window earlier, from which forecasts are checked against what came."""
    back = settings.window_days * DAY_MS
    return sorted({*shared.asofs, *(asof_ms - back for asof_ms in shared.asofs)})


def population(events: Relation, asofs: pl.DataFrame) -> Relation:
    """Every customer of the shard at every moment."""
    return some(
        events.query("events", "select customer_id, asof_ms from (select distinct customer_id from events), asofs")
    ).materialize()


def _booked(lines: Relation, asofs: pl.DataFrame, settings: ProfileSettings) -> Tables:
    return {
        "shop": fetch(lines.query("lines", SHOP)),
        "prices": fetch(lines.query("lines", PRICES)),
        "deals": fetch(lines.query("lines", DEALS)),
        "interests": fetch(lines.query("lines", bind(INTERESTS, window_ms=settings.interest_days * DAY_MS))),
    }


def rate_sums(trials: Relation) -> pl.DataFrame:
    """Sums over customers from which the population's rate and its spread follow (signals.rate_prior)."""
    return fetch(trials.query("trials", RATES))


def _at_moment(visits: Relation, pace: Relation, choices: Relation) -> Tables:
    return {
        "baskets": fetch(visits.query("visits", BASKETS)),
        "orders": fetch(pace.query("pace", ORDERS)),
        "targets": fetch(choices.query("choices", TARGET_SUMS)),
    }
