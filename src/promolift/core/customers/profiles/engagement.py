"""Compute views, visits, clicks and coupon responses per customer and moment.

Rates are shrunk towards the shop's: k successes in n trials give (k + s p) / (n + s) with standard error
sqrt(r (1 - r) / (n + s + 1)), the posterior of a Beta prior with mean p and strength s, fitted by moments to sums over
customers.
"""

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.profiles.attributes import exact_sd, window_columns
from promolift.core.customers.profiles.population_sums import Shard
from promolift.core.customers.profiles.purchase_lines import PurchaseLines
from promolift.foundation import sql
from promolift.foundation.sql import bind, exact_sum_sql, fetch_frame
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

KEY = ["customer_id", "asof_ms"]
PAUSE_MS = 30 * 60_000  # after so long without a click the next one begins a new visit, as web analytics count

VIEWS = f"""
select m.customer_id, m.asof_ms,
    case when any_value(m.views_first_ms) is not null then count(*) filter (kind = 'view') end as views_total,
    (any_value(m.asof_ms) - max(ts_ms) filter (kind = 'view')) / $day as view_recency_days,
    {window_columns("count(*)", "views_{weeks}w", "views_first_ms", "kind = 'view'")},
    {window_columns("count(*)", "carts_{weeks}w", "carts_first_ms", "kind = 'add_to_cart'")},
    avg(dwell_ms) / 1000 as dwell_mean_s,
    {exact_sd("dwell_ms")} / sqrt(count(dwell_ms)) / 1000 as dwell_mean_s_se
from moments m left join (
    select *, case when kind = 'view' then round(dwell_s * 1000)::bigint end as dwell_ms from lines
) l on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms and l.kind in ('view', 'add_to_cart')
group by m.customer_id, m.asof_ms
"""

# products looked at: when first, and when first bought and first put into the cart from then on
LOOKS = """
with looked as (
    select customer_id, product_id, min(ts_ms) as view_ms from lines
    where kind = 'view' and product_id is not null group by all
)
select customer_id, product_id, view_ms,
    min(l.ts_ms) filter (l.ts_ms >= view_ms and kind = 'purchase') as bought_ms,
    min(l.ts_ms) filter (l.ts_ms >= view_ms and kind = 'add_to_cart') as carted_ms
from looked v left join (from lines where kind in ('purchase', 'add_to_cart')) l using (customer_id, product_id)
group by all
"""

# each time that a product was shown, and when it was first looked at because of that
IMPRESSIONS = f"""
with shown as (
    select distinct customer_id, coalesce(product_id, -1) as product_id, ts_ms from lines where kind = 'impression'
),
viewed as (select customer_id, coalesce(product_id, -1) as product_id, ts_ms from lines where kind = 'view'),
clicked as (
    select customer_id, product_id, s.ts_ms, min(v.ts_ms) as click_ms
    from viewed v asof join shown s using (customer_id, product_id, ts_ms)
    where v.ts_ms - s.ts_ms < {PAUSE_MS} group by all
)
select customer_id, ts_ms as shown_ms, click_ms from shown left join clicked using (customer_id, product_id, ts_ms)
"""

# when each visit to site or app began
SESSIONS = f"""
with clicks as (
    select p.customer_id, ts_ms, order_id as session_id from events e join people p on p.name = e.customer_id
    where kind in ('view', 'impression', 'add_to_cart')
),
pauses as (
    select customer_id, ts_ms, ts_ms - lag(ts_ms) over (partition by customer_id order by ts_ms) as pause_ms
    from clicks where session_id is null
)
select customer_id, ts_ms from pauses where pause_ms is null or pause_ms >= {PAUSE_MS}
union all
select customer_id, min(ts_ms) as ts_ms from clicks where session_id is not null group by customer_id, session_id
"""

ONLINE = f"""
select m.customer_id, m.asof_ms,
    case when least(any_value(m.views_first_ms), any_value(m.impressions_first_ms)) is not null
        then count(ts_ms) end as sessions_total,
    {window_columns("count(ts_ms)", "sessions_{weeks}w", "views_first_ms")},
    case when any_value(m.impressions_first_ms) is not null then any_value(shown) end as impressions_total
from moments m left join sessions s on s.customer_id = m.customer_id and s.ts_ms < m.asof_ms
left join (
    select m.customer_id, m.asof_ms, count(shown_ms) as shown from moments m left join impressions i
        on i.customer_id = m.customer_id and i.shown_ms < m.asof_ms group by all
) i on i.customer_id = m.customer_id and i.asof_ms = m.asof_ms
group by m.customer_id, m.asof_ms
"""

# one trial per impression: was it clicked?
CLICK_TRIALS = """
select customer_id, m.asof_ms, 'click' as rate, count(*) filter (click_ms < m.asof_ms) as k, count(*) as n
from moments m join impressions i using (customer_id) where shown_ms < m.asof_ms group by all
"""

# one trial per product looked at: was it bought, was it put into the cart after the first look? (before the moment, as
# far as one can know)
VIEW_TRIALS = """
with seen as (
    select customer_id, m.asof_ms, count(*) filter (bought_ms < m.asof_ms) as bought,
        count(*) filter (carted_ms < m.asof_ms) as carted, count(*) as n
    from moments m join looks l using (customer_id) where view_ms < m.asof_ms group by all
)
select customer_id, asof_ms, 'view' as rate, bought as k, n from seen
union all select customer_id, asof_ms, 'cart' as rate, carted as k, n from seen
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

# each text counts as far as it is likely to be what it is taken for; the reading's own doubt is the error
CUSTOMER_TEXTS = f"""
select m.customer_id, m.asof_ms, count(ts_ms) as words_16w,
    coalesce({exact_sum_sql("complaint_prob")}, 0) as complaints_16w,
    sqrt(coalesce({exact_sum_sql("complaint_prob * (1 - complaint_prob)")}, 0)) as complaints_16w_se,
    (m.asof_ms - max(ts_ms) filter (complaint_prob >= 0.5)) / $day as complaint_recency_days,
    coalesce({exact_sum_sql("too_expensive_prob")}, 0) as too_expensive_16w,
    sqrt(coalesce({exact_sum_sql("too_expensive_prob * (1 - too_expensive_prob)")}, 0)) as too_expensive_16w_se
from moments m left join said s on s.customer_id = m.customer_id and s.intent is not null
    and s.ts_ms < m.asof_ms and s.ts_ms >= m.asof_ms - 112 * $day
group by m.customer_id, m.asof_ms
"""


def read_customer_texts(moments: Relation, said: Relation) -> pl.DataFrame:
    """What each customer's own words were about before each moment."""
    return fetch_frame(sql.run_select(bind(CUSTOMER_TEXTS, day=DAY_MS), moments=moments, said=said))


def read_trials(shard: Shard, lines: PurchaseLines, moments: Relation) -> Relation:
    """k successes in n trials per customer, moment and kind of rate ('view', 'cart', 'click', 'redemption')."""
    looks = shard.cached("looks", lambda: sql.materialise(sql.run_select(LOOKS, lines=lines.rows)))
    views = sql.run_select(VIEW_TRIALS, moments=moments, looks=looks)
    views = views.union(sql.run_select(CLICK_TRIALS, moments=moments, impressions=_impressions(shard, lines)))
    if lines.exposures is None or lines.redemptions is None:
        return sql.materialise(views)
    campaigns = {"exposures": lines.exposures, "redemptions": lines.redemptions}
    return sql.materialise(views.union(sql.run_select(COUPON_TRIALS, moments=moments, **campaigns)))


def read_online(shard: Shard, lines: PurchaseLines, moments: Relation) -> pl.DataFrame:
    """Visits to site or app and impressions before each moment."""
    sessions = shard.cached(
        "sessions", lambda: sql.materialise(sql.run_select(SESSIONS, events=shard.events, people=lines.people))
    )
    query = bind(ONLINE, day=DAY_MS, week=WEEK_MS)
    return fetch_frame(
        sql.run_select(query, moments=moments, sessions=sessions, impressions=_impressions(shard, lines))
    )


def _impressions(shard: Shard, lines: PurchaseLines) -> Relation:
    return shard.cached("impressions", lambda: sql.materialise(sql.run_select(IMPRESSIONS, lines=lines.rows)))


def read_coupons(moments: Relation, exposures: Relation, redemptions: Relation) -> pl.DataFrame:
    """Campaigns sent and coupons used before each moment."""
    query = bind(COUPONS, day=DAY_MS)
    return fetch_frame(sql.run_select(query, moments=moments, exposures=exposures, redemptions=redemptions))


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
