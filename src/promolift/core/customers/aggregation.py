"""Sum what all customers share in three passes over the shards; each pass uses the sums of the passes before.

Every number adds over shards.
"""

from collections.abc import Sequence
from functools import partial

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.forecasts import new_products
from promolift.core.customers.forecasts.first_purchases import (
    CHUNK,
    build_target_space,
    calibration_sums,
    incidence,
    matrix_targets,
    pair_sums,
    prospects,
    target_columns,
)
from promolift.core.customers.profiles.engagement import read_trials
from promolift.core.customers.profiles.population_sums import PopulationSums, Shard, Tables, add_tables, exact_sum
from promolift.core.customers.profiles.price_sensitivity import (
    basket_sums,
    deal_sums,
    fit_shard,
    population_sums,
    weekly_lines,
    with_variance,
)
from promolift.core.customers.profiles.purchase_counts import (
    first_purchase_times,
    order_pace,
    read_pace,
    read_purchase_counts,
)
from promolift.core.customers.profiles.purchase_lines import (
    PurchaseLines,
    all_customers_at,
    number_texts,
    read_lines,
    read_visits,
)
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation import sql
from promolift.foundation.frames import without_constants
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.time.clock import DAY_MS

CALIBRATION_SCHEMA = {"asof_ms": pl.Int64, "bin": pl.Int64, "rows": pl.Int64, "prior": pl.Int128, "bought": pl.Int64}

# each row is booked once, at the first moment that may see it; a moment sees its own book and all earlier ones
SHOP = """
with booked as (
    select a.asof_ms,
        min(ts_ms) filter (kind = 'purchase') as purchases_first_ms,
        min(ts_ms) filter (kind = 'view') as views_first_ms,
        min(ts_ms) filter (kind = 'add_to_cart') as carts_first_ms,
        min(ts_ms) filter (kind = 'impression') as impressions_first_ms,
        count(*) as rows,
        sum(shelf_cents) as shelf_cents, sum(coupon_cents) as coupon_cents
    from lines l asof join asofs a on l.ts_ms < a.asof_ms
    group by all
)
select a.asof_ms, min(purchases_first_ms) as purchases_first_ms, min(views_first_ms) as views_first_ms,
    min(carts_first_ms) as carts_first_ms, min(impressions_first_ms) as impressions_first_ms,
    sum(rows)::bigint as rows, sum(shelf_cents)::bigint as shelf_cents, sum(coupon_cents)::bigint as coupon_cents
from asofs a join booked b on b.asof_ms <= a.asof_ms
group by all
"""

PRICES = """
with booked as (
    select a.asof_ms, type, sum(list_cents) as list_cents, sum(round(quantity * 1048576) / 1048576) as units
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

# looked at and left in one window: bought in the next?
INTERESTS = """
with looked as (select distinct customer_id, product_id from lines where kind = 'view' and product_id is not null),
about as (
    select * from lines semi join looked using (customer_id, product_id) where kind in ('view', 'purchase')
),
seen as (
    select a.asof_ms, customer_id, product_id,
        count(*) filter (kind = 'view' and ts_ms < a.asof_ms - $window_ms) as views,
        count(*) filter (kind = 'purchase' and ts_ms < a.asof_ms - $window_ms) as bought_then,
        count(*) filter (kind = 'purchase' and ts_ms >= a.asof_ms - $window_ms) as bought_later
    from asofs a join about l on l.ts_ms < a.asof_ms and l.ts_ms >= a.asof_ms - 2 * $window_ms
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


def sum_purchases(shard: Shard, shared: PopulationSums, settings: ProfileSettings) -> Tables:
    """Sums that need nothing but the shard's own rows: history, prices, discounts, order rates, choices, coupons."""
    lines, cells = read_lines(shard, settings.zone), read_purchase_counts(shard, settings)
    asofs = sorted({*with_earlier_asofs(shared, settings), *shared.earlier})
    first_purchase_times(shard, settings)
    number_texts(shard, settings.zone)
    parts = [_booked(shard, lines, asof_frame(asofs), asof_frame(shared.asofs), settings)]
    if shared.vectors is not None:
        parts.append(
            {"sales": new_products.count_sales(lines, asof_frame(with_earlier_asofs(shared, settings)), settings)}
        )
        for asof_ms in shared.asofs:
            new_products.cached_purchase_times(shard, asof_ms, settings)
    for asof_ms in asofs:  # one moment at a time: memory stays that of one moment
        moments = all_customers_at(lines, asof_ms)
        visits = read_visits(lines.slices, moments)
        here = shard.saved_frame(f"pace {asof_ms}", partial(read_pace, visits, settings))
        part = {
            "orders": order_sums(here),
            "targets": lines.texts(target_sums(cells.before(asof_ms, settings), here), "target"),
        }
        if asof_ms in shared.asofs:  # no profile is asked for at the others
            part["baskets"] = fetch_frame(sql.run_select(BASKETS, visits=visits))
            part["rates"] = rate_sums(read_trials(shard, lines, moments))
        parts.append(part)
    return add_tables(parts)


def with_earlier_asofs(shared: PopulationSums, settings: ProfileSettings) -> Sequence[int]:
    """The moments asked for, and each one a window earlier, from which forecasts are checked against what came."""
    back = settings.window_days * DAY_MS
    return sorted({*shared.asofs, *(asof_ms - back for asof_ms in shared.asofs)})


def asof_frame(asofs: Sequence[int]) -> pl.DataFrame:
    """The moments as a frame with one column `asof_ms`."""
    return pl.DataFrame({"asof_ms": list(asofs)}, schema={"asof_ms": pl.Int64})


def _booked(
    shard: Shard, lines: PurchaseLines, asofs: pl.DataFrame, profiled: pl.DataFrame, settings: ProfileSettings
) -> Tables:
    rows, window_ms = lines.rows, settings.interest_days * DAY_MS
    deals = deal_sums(weekly_lines(shard, settings))
    interests = fetch_frame(sql.run_select(bind(INTERESTS, window_ms=window_ms), lines=rows, asofs=profiled))
    return {
        "shop": fetch_frame(sql.run_select(SHOP, lines=rows, asofs=asofs)),
        "prices": lines.texts(fetch_frame(sql.run_select(PRICES, lines=rows, asofs=asofs)), "type"),
        "deals": lines.texts(deals, "target"),
        "interests": lines.texts(interests, "product_id"),
    }


def rate_sums(trials: Relation) -> pl.DataFrame:
    """Sums over customers from which the population's rate and its spread follow (signals.rate_prior)."""
    return fetch_frame(sql.run_select(RATES, trials=trials))


def order_sums(pace: pl.DataFrame) -> pl.DataFrame:
    """Sums over customers of effective orders n in t effective days, and of occasions to choose e
    (repeat_purchases.py).
    """
    n, t, e = pl.col("eff_orders"), pl.col("eff_days"), pl.col("faded_choices") / pl.col("choice_weight")
    products = {"n": n, "nn": n * n, "t": t, "tt": t * t, "nt": n * t, "e": e, "ee": e * e}
    return pace.group_by("asof_ms").agg(
        pl.len().cast(pl.Int64).alias("customers"), *(exact_sum(value).alias(name) for name, value in products.items())
    )


def target_sums(choices: pl.DataFrame, pace: pl.DataFrame) -> pl.DataFrame:
    """Sums over customers per target, from which the prior of its share and of its value follow
    (repeat_purchases.py).
    """
    orders, listed = pl.col("orders"), pl.col("list_cents")
    sized = without_constants(choices.join(pace.drop("orders", "asof_ms"), on="customer_id")).with_columns(
        (pl.col("faded_orders") / pl.col("choice_weight")).alias("n"),
        (pl.col("faded_choices") / pl.col("choice_weight")).alias("e"),
    )
    return sized.group_by("asof_ms", "target").agg(
        pl.len().cast(pl.Int64).alias("customers"),
        exact_sum(pl.col("n")),
        exact_sum(pl.col("n") ** 2).alias("nn"),
        exact_sum(pl.col("n") * pl.col("e")).alias("ne"),
        orders.sum(),
        (orders * orders).sum().alias("orders_sq"),
        listed.sum(),
        exact_sum(pl.col("list_sq")),
        exact_sum(listed.cast(pl.Float64) * listed / orders).alias("between_sq"),
    )


def sum_copurchases(shard: Shard, shared: PopulationSums, settings: ProfileSettings) -> Tables:
    """Which targets are bought by the same customers, and how alike the lines of one basket are."""
    first, chosen = first_purchase_times(shard, settings), matrix_targets(shared["targets"], settings)
    parts = []
    for asof_ms in with_earlier_asofs(shared, settings):
        targets = chosen.filter(pl.col("asof_ms") == asof_ms)["target"].sort().to_list()
        parts.append(pair_sums(first, targets, number_texts(shard, settings.zone), asof_ms))
    likeness = [basket_sums(fit_shard(shard, shared, asof_ms, settings)) for asof_ms in shared.asofs]
    return {"pairs": pl.concat(parts), "likeness": pl.concat(likeness)}


def sum_forecast_checks(shard: Shard, shared: PopulationSums, settings: ProfileSettings) -> Tables:
    """How often plausible targets of one window earlier were bought since, and how customers' sensitivities spread."""
    checks = [_check(shard, shared, asof_ms, settings) for asof_ms in shared.asofs]
    fitted = [
        with_variance(fit_shard(shard, shared, asof_ms, settings), shared["likeness"]) for asof_ms in shared.asofs
    ]
    new = {}
    if shared.vectors is not None:
        new["new_check"] = pl.concat(
            new_products.check_new_products(shard, shared, asof_ms, settings) for asof_ms in shared.asofs
        )
    return new | {"calibration": pl.concat(checks), "sensitivity": pl.concat(population_sums(fit) for fit in fitted)}


def _check(shard: Shard, shared: PopulationSums, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    """Scores as of one window before `asof_ms`, compared with the first purchases up to `asof_ms`."""
    before = asof_ms - settings.window_days * DAY_MS
    first, space = first_purchase_times(shard, settings), build_target_space(shared, before, settings)
    column_W, size = target_columns(space.targets, number_texts(shard, settings.zone)), len(space.targets)
    parts: list[Tables] = [{"calibration": pl.DataFrame(schema=CALIBRATION_SCHEMA)}]
    for chunk in order_pace(shard, before, settings).iter_slices(CHUNK):
        who = chunk["customer_id"].to_numpy()
        bought_NK = incidence(first, who, column_W, size, before)
        later_NK = incidence(first, who, column_W, size, asof_ms)
        parts.append({"calibration": calibration_sums(prospects(bought_NK, chunk, space, settings), later_NK, asof_ms)})
    return add_tables(parts)["calibration"]


AGGREGATION_STEPS = (sum_purchases, sum_copurchases, sum_forecast_checks)
