"""Lines and moments in; what the spend model looks at out: one row per customer with an order and moment.

Levels are amounts per horizon (8 weeks unless set otherwise) with old weeks fading at several half-lives; everything
else is a log ratio of two levels, so that one model fits customers and shops of any size and any currency.
"""

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift import sql
from promolift.profile.lines import read_lines, read_moments, read_visits
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared
from promolift.sql import DAY_MS, WEEK_MS, bind, fetch, literal

KEY = ["customer_id", "asof_ms"]
HALF_LIVES = (2, 4, 8, 16)  # weeks
RECENT = (8, 16)  # weeks whose single values are compared
CELLS = 1_000_000  # orders times moments worked on at once

# weeks are counted back from the moment; every week since the shop's first purchase counts, also an empty one
WEEKS = """
with spent as (
    select m.customer_id, m.asof_ms, (m.asof_ms - 1 - l.ts_ms) // $week as age,
        sum(l.revenue_cents)::double as revenue,
        count(distinct l.order_id) filter (l.kind = 'purchase')::double as orders
    from moments m join lines l on l.customer_id = m.customer_id and l.ts_ms < m.asof_ms
    where l.kind in ('purchase', 'refund')
    group by all
),
observed as (
    select customer_id, asof_ms, greatest(1, least(52, ceil((asof_ms - purchases_first_ms) / $week)))::int as weeks
    from moments where purchases_first_ms is not null
),
grid as (
    select customer_id, asof_ms, weeks, coalesce(revenue, 0) as revenue, coalesce(orders, 0) as orders, age
    from (select *, unnest(range(weeks)) as age from observed) left join spent using (customer_id, asof_ms, age)
)
select customer_id, asof_ms, any_value(weeks) as weeks,
    $levels,
    count(*) filter (age < 8 and revenue <= 0) / least(8, any_value(weeks)) as empty_8,
    max(revenue) filter (age < 8) as max_8,
    median(revenue) filter (age < 8) as median_8,
    median(revenue) filter (age < 16) as median_16,
    coalesce(stddev_samp(revenue) filter (age < 16), 0) as sd_16
from grid group by customer_id, asof_ms
"""

HABIT = """
with days as (select distinct customer_id, asof_ms, day from visits),
gaps as (
    select customer_id, asof_ms, day - lag(day) over (partition by customer_id, asof_ms order by day) as gap from days
),
paced as (
    select customer_id, asof_ms, median(gap)::double as cadence,
        case when count(gap) >= 3 then stddev_samp(gap) / avg(gap) end as gap_variation
    from gaps group by all
)
select customer_id, asof_ms,
    (asof_ms - max(ts_ms)) / $day as recency, (asof_ms - min(ts_ms)) / $day as tenure,
    avg(revenue_cents) as basket, any_value(cadence) as cadence, any_value(gap_variation) as gap_variation
from visits join paced using (customer_id, asof_ms)
group by customer_id, asof_ms
"""

BREADTH = """
with firsts as (
    select customer_id, coalesce(category, type, product_id) as target, min(ts_ms) as first_ms
    from lines where kind = 'purchase' group by all
)
select m.customer_id, m.asof_ms, count(*) as breadth
from moments m join firsts f on f.customer_id = m.customer_id and f.first_ms < m.asof_ms
where target is not null group by all
"""

OUTCOMES = """
select m.customer_id, m.asof_ms, coalesce(sum(
    case l.kind when 'purchase' then l.revenue_cents when 'refund' then -abs(l.revenue_cents) end), 0)::bigint
    as outcome_cents
from moments m left join events l
    on l.customer_id = m.customer_id and l.ts_ms >= m.asof_ms and l.ts_ms < m.asof_ms + $horizon_weeks * $week
group by all
order by customer_id, asof_ms
"""


def spend_features(
    shard: Shard, moments: Relation, shared: Shared, settings: ProfileSettings, horizon_weeks: int = 8
) -> pl.DataFrame:
    """Levels (cents per horizon) and habits (days) per customer with an order before the moment; nothing after it."""
    lines = read_lines(shard, settings.zone)
    known, slices = read_moments(lines, moments, shared), lines.slices
    (rows,) = slices.aggregate("count(*)").fetchall()[0]
    asofs = [asof for (asof,) in known.project("asof_ms").distinct().order("asof_ms").fetchall()]
    step, parts = max(1, CELLS // max(rows, 1)), []
    for start in range(0, max(len(asofs), 1), step):
        # Years of moments times long ids would not fit: some moments at a time, each of which knows only itself.
        some_known = known.filter(f"asof_ms in {literal(asofs[start : start + step])}") if asofs else known
        habit = _habit(read_visits(slices, some_known))
        weeks, breadth = _weeks(lines.rows, some_known, horizon_weeks), _breadth(lines.rows, some_known)
        parts.append(habit.join(weeks, on=KEY).join(breadth, on=KEY, how="left"))
    return lines.texts(pl.concat(parts)).sort(KEY)


def spend_outcomes(events: Relation, moments: Relation, horizon_weeks: int = 8) -> pl.DataFrame:
    """What customers of `moments` spent from the moment on for `horizon_weeks`: column outcome_cents, 0 for nothing.

    The caller must name only moments whose horizon has ended: rows that do not exist yet look like no spend.
    """
    return fetch(sql.run(bind(OUTCOMES, horizon_weeks=horizon_weeks, week=WEEK_MS), events=events, moments=moments))


def _habit(visits: Relation) -> pl.DataFrame:
    return fetch(sql.run(bind(HABIT, day=DAY_MS), visits=visits))


def _weeks(lines: Relation, moments: Relation, horizon_weeks: int) -> pl.DataFrame:
    levels = ",\n    ".join(
        f"{horizon_weeks} * sum({value} * power(0.5, age / {half}.0))"
        f" / sum(power(0.5, age / {half}.0)) as {name}_{half}"
        for half in HALF_LIVES
        for value, name in (("revenue", "level"), ("orders", "orders"))
    )
    return fetch(sql.run(bind(WEEKS.replace("$levels", levels), week=WEEK_MS), lines=lines, moments=moments))


def _breadth(lines: Relation, moments: Relation) -> pl.DataFrame:
    return fetch(sql.run(BREADTH, lines=lines, moments=moments))
