"""Lines, moments and shared tables in; price tier, product views and answers to coupons out, per customer and moment.

Rates are shrunk towards the shop's: k successes in n trials give (k + s p) / (n + s) with standard error
sqrt(r (1 - r) / (n + s + 1)), the posterior of a Beta prior with mean p and strength s, fitted by moments to sums over
customers. A price tier of 1.10 means: the products he takes cost 10 % more than what others take of the same types.
"""

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.profile.attributes import windows
from promolift.sql import DAY_MS, bind, fetch, some

KEY = ["customer_id", "asof_ms"]

VIEWS = f"""
select m.customer_id, m.asof_ms,
    case when any_value(m.views_first_ms) is not null then count(*) filter (kind = 'view') end as views_total,
    (any_value(m.asof_ms) - max(ts_ms) filter (kind = 'view')) / $day as view_recency_days,
    {windows("count(*)", "views_{weeks}w", "views_first_ms", "kind = 'view'")},
    {windows("count(*)", "carts_{weeks}w", "carts_first_ms", "kind = 'add_to_cart'")}
from moments m left join lines l
    on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms and l.kind in ('view', 'add_to_cart')
group by m.customer_id, m.asof_ms
"""

# one trial per product looked at: was it bought after the first look? (before the moment, as far as one can know)
VIEW_TRIALS = """
with pairs as (
    select m.customer_id, m.asof_ms, l.product_id,
        min(ts_ms) filter (kind = 'view') as view_ms, max(ts_ms) filter (kind = 'purchase') as bought_ms
    from moments m join lines l on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms
    where l.product_id is not null and l.kind in ('view', 'purchase')
    group by all
)
select customer_id, asof_ms, 'view' as rate, count(*) filter (bought_ms >= view_ms) as k, count(*) as n
from pairs where view_ms is not null group by all
"""

# one trial per campaign that ended before the moment; one still running may yet be answered
COUPON_TRIALS = """
with answered as (select distinct customer_id, campaign_id, ts_ms from redemptions)
select m.customer_id, m.asof_ms, 'redemption' as rate,
    count(distinct e.campaign_id) filter (a.ts_ms < m.asof_ms) as k, count(distinct e.campaign_id) as n
from moments m join exposures e on e.customer_id = m.customer_id and e.end_ms < m.asof_ms
left join answered a on a.customer_id = e.customer_id and a.campaign_id = e.campaign_id
group by all
"""

COUPONS = """
with sent as (
    select m.customer_id, m.asof_ms, count(*) as exposures_total,
        count(*) filter (start_ms >= m.asof_ms - 112 * $day) as exposures_16w
    from moments m join exposures e on e.customer_id = m.customer_id and e.start_ms < m.asof_ms
    group by all
),
used as (
    select m.customer_id, m.asof_ms, count(*) as redemptions_total, max(ts_ms) as last_ms,
        count(*) filter (ts_ms >= m.asof_ms - 112 * $day) as redemptions_16w
    from moments m join redemptions r on r.customer_id = m.customer_id and r.ts_ms < m.asof_ms
    group by all
)
select m.customer_id, m.asof_ms,
    coalesce(exposures_total, 0) as exposures_total, coalesce(exposures_16w, 0) as exposures_16w,
    coalesce(redemptions_total, 0) as redemptions_total, coalesce(redemptions_16w, 0) as redemptions_16w,
    (m.asof_ms - last_ms) / $day as redemption_recency_days
from moments m left join sent using (customer_id, asof_ms) left join used using (customer_id, asof_ms)
"""

# the others' price leaves the customer's own purchases out, as far as the shared table holds them
PRICE_TIER = """
with own as (
    select m.customer_id, m.asof_ms, m.shared_ms, l.type,
        sum(l.list_cents) as list_cents, sum(l.quantity) as units,
        coalesce(sum(l.list_cents) filter (l.ts_ms < m.shared_ms), 0) as known_cents,
        coalesce(sum(l.quantity) filter (l.ts_ms < m.shared_ms), 0) as known_units
    from moments m join lines l on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms
    where l.kind = 'purchase' and l.type is not null and l.quantity > 0
    group by all
),
compared as (
    select o.customer_id, o.asof_ms, o.list_cents,
        o.units * (p.list_cents - o.known_cents) / (p.units - o.known_units) as others_cents
    from own o join prices p on p.asof_ms = o.shared_ms and p.type = o.type
    where p.units - o.known_units > 1e-6 and p.list_cents > o.known_cents
),
indexed as (
    select *, sum(list_cents) over w / sum(others_cents) over w as tier from compared
    window w as (partition by customer_id, asof_ms)
)
select customer_id, asof_ms,
    any_value(tier)::double as price_tier,
    case when count(*) > 1
        then sqrt(sum(power(list_cents - tier * others_cents, 2)) * count(*) / (count(*) - 1)) / sum(others_cents)
        end as price_tier_se
from indexed group by customer_id, asof_ms
"""


def read_trials(
    lines: Relation, moments: Relation, exposures: Relation | None, redemptions: Relation | None
) -> Relation:
    """k successes in n trials per customer, moment and kind of rate ('view', 'redemption')."""
    views = some(lines.query("lines", VIEW_TRIALS))
    if exposures is None or redemptions is None:
        return views.materialize()
    return some(views.union(_coupon_trials(moments, exposures, redemptions))).materialize()


def _coupon_trials(moments: Relation, exposures: Relation, redemptions: Relation) -> Relation:
    return some(moments.query("moments", COUPON_TRIALS)).materialize()


def read_coupons(moments: Relation, exposures: Relation, redemptions: Relation) -> pl.DataFrame:
    """Campaigns sent and coupons used before each moment."""
    return fetch(moments.query("moments", bind(COUPONS, day=DAY_MS)))


def read_price_tier(lines: Relation, moments: Relation, prices: pl.DataFrame) -> pl.DataFrame:
    """price_tier: own list spend over the same units at the others' average price per type; error clustered by type."""
    return fetch(lines.query("lines", PRICE_TIER))


def rate_prior(rates: pl.DataFrame) -> pl.DataFrame:
    """Beta prior per `shared_ms` and rate: `mean` p and `strength` s. From sums k, n, kk, kn, nn over customers.

    Var(k) = n p (1 - p) (1 + (n - 1) rho), summed over customers, gives rho; s = (1 - rho) / rho. rho is kept within
    [0.002, 0.5]: outside it the moments of a small shop are noise. No prior where nobody had a trial.
    """
    mean = (pl.col("k") + 0.5) / (pl.col("n") + 1.0)
    spread = pl.col("kk") - 2 * mean * pl.col("kn") + mean**2 * pl.col("nn")
    rho = (spread / (mean * (1 - mean)) - pl.col("n")) / (pl.col("nn") - pl.col("n")).clip(lower_bound=1)
    rho = rho.clip(0.002, 0.5)
    return rates.select(
        pl.col("asof_ms").alias("shared_ms"), "rate", mean.alias("mean"), ((1 - rho) / rho).alias("strength")
    )


def shrunk_rates(
    trials: pl.DataFrame, moments: pl.DataFrame, rates: pl.DataFrame, rate: str, name: str
) -> pl.DataFrame:
    """Columns `name` and `name_se` per customer and moment; the shop's mean for a customer without a trial."""
    prior = rate_prior(rates).filter(pl.col("rate") == rate)
    rows = (
        moments.select(*KEY, "shared_ms")
        .join(prior, on="shared_ms")
        .join(trials.filter(pl.col("rate") == rate).select(*KEY, "k", "n"), on=KEY, how="left")
    )
    size = pl.col("n").fill_null(0) + pl.col("strength")
    value = (pl.col("k").fill_null(0) + pl.col("strength") * pl.col("mean")) / size
    return rows.select(*KEY, value.alias(name), (value * (1 - value) / (size + 1)).sqrt().alias(f"{name}_se"))
