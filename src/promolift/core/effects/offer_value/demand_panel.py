"""Build the demand panel: one row per customer, target and week with purchases and discount depth.

A week is counted back from `asof_ms` (0 is the last one). Targets are the things an offer covers (tables.TARGET).
"""

from duckdb import DuckDBPyRelation

from promolift.core.effects.settings import PanelSettings
from promolift.foundation.sql import bind, run_select
from promolift.foundation.tables.schemas import CATEGORY_LEVEL_SQL, CATEGORY_TARGET_SQL
from promolift.foundation.time.clock import WEEK_MS

LAGS, LEAD_FIRST, LEAD_LAST = 4, 3, 6
CARRIED = 0.5  # of what was bought in advance a week later, the part that is so one more week later
DEPTH_UNITS, VALUE_UNITS = 2**30, 2**40  # in 1, of which depths and minor units are summed: the same bits in any order

BACK = [f"sum(depth) over (per range between {back} following and {back} following)" for back in range(1, LAGS + 1)]
LAG = "({}) / nullif({}, 0)".format(
    " + ".join(f"coalesce({CARRIED**at} * {each}, 0)" for at, each in enumerate(BACK)),
    " + ".join(f"if({each} is null, 0, {CARRIED**at})" for at, each in enumerate(BACK)),
)

PANEL = f"""
with {CATEGORY_LEVEL_SQL},
biggest as (
    select target from depths group by target order by sum(list_cents) desc, target limit $targets
),
lines as (
    select e.customer_id, {CATEGORY_TARGET_SQL} as target, e.product_id, e.list_cents,
           ($asof - 1 - e.ts_ms) // {WEEK_MS} as week,
           round(least(e.shelf_cents / e.list_cents, 1.0) * {DEPTH_UNITS}) / {DEPTH_UNITS} as depth
    from events e cross join level left join products p on p.product_id = e.product_id
    where e.kind = 'purchase' and e.list_cents > 0 and e.product_id is not null and e.ts_ms < $asof
      and {CATEGORY_TARGET_SQL} in (from biggest)
),
pairs as (  -- whole numbers from here on: strings as keys would take several times the memory
    select row_number() over (order by customer_id, target) as pair, customer_id, target
    from lines group by customer_id, target
),
goods as (select row_number() over (order by product_id) as good, product_id from depths group by product_id),
numbered as (
    select r.pair, g.good, l.week, l.list_cents, l.depth
    from lines l join pairs r using (customer_id, target) join goods g using (product_id)
),
usual as (
    select pair, good, sum(list_cents)::double as value, count(*) as n
    from numbered where week >= $half and week < $twice group by all
),
own as (
    select pair, good, week, count(*) as lines, sum(depth) as depth_sum
    from numbered where week < $seen group by all
),
market as (
    select g.good, d.week, sum(d.lines) as lines, sum(d.depth_sum) as depth_sum
    from depths d join goods g using (product_id) where d.week < $seen group by all
),
standard as (  -- the same mean for everybody's products together
    select d.target, d.week, sum((s.value * exp($bend * d.depth_sum / d.lines) * {VALUE_UNITS})::hugeint)::double
        / {VALUE_UNITS} / sum(s.value) as pull
    from depths d join (
        select target, product_id, sum(list_cents) as value from depths
        where week >= $half and week < $twice group by all
    ) s on s.target = d.target and s.product_id = d.product_id
    where d.week < $seen group by all
),
own_mean as (
    select u.pair, m.week, sum(u.value) as value, sum((u.value * exp($bend * greatest(0,
           (m.depth_sum - coalesce(o.depth_sum, 0)) / (m.lines - coalesce(o.lines, 0))))
           * {VALUE_UNITS})::hugeint)::double / {VALUE_UNITS} / sum(u.value) as pull
    from usual u
    join market m on m.good = u.good
    left join own o on o.pair = u.pair and o.good = u.good and o.week = m.week
    where m.lines > coalesce(o.lines, 0)
    group by all
),
exposed as (
    select x.pair, x.week,
           round(ln((t.n * x.pull + $prior * coalesce(d.pull, x.pull)) / (t.n + $prior)) / $bend * {DEPTH_UNITS})
           / {DEPTH_UNITS} as depth
    from own_mean x
    join (select pair, sum(value) as value, sum(n) as n from usual group by pair) t using (pair)
    join pairs r using (pair)
    left join standard d on d.target = r.target and d.week = x.week
    where x.value / t.value >= $known
),
moments as (
    select pair, week, depth,
           {LAG} as lag,
           avg(depth) over (per range between {LEAD_LAST} preceding and {LEAD_FIRST} preceding) as lead
    from exposed
    window per as (partition by pair order by week)
),
common as (  -- what the market's products were cut, this week, before and after
    select s.target, s.week, round(ln(s.pull) / $bend * {DEPTH_UNITS}) / {DEPTH_UNITS} as depth from standard s
),
market_moments as (
    select c.target, c.week, any_value(c.depth) as depth,
           sum(power({CARRIED}, b.week - c.week) * b.depth) filter (b.week > c.week)
               / sum(power({CARRIED}, b.week - c.week)) filter (b.week > c.week) as lag,
           avg(b.depth) filter (b.week <= c.week - {LEAD_FIRST}) as lead
    from common c join common b on b.target = c.target and b.week <> c.week
         and b.week between c.week - {LEAD_LAST} and c.week + {LAGS}
    group by c.target, c.week
),
bought as (
    select pair, week, sum(list_cents)::bigint as list_cents, count(*) as lines
    from numbered where week < $half group by all
),
cells as (
    select pair, m.week, coalesce(b.list_cents, 0) as list_cents, m.depth, m.lag, m.lead
    from moments m left join bought b using (pair, week)
    where m.week < $half
    qualify count(b.lines) over (partition by pair) >= 2 and count(*) over (partition by pair) >= 8
)
select r.customer_id, r.target, m.week, m.list_cents, m.depth, m.lag, m.lead,
       c.depth as market_depth, c.lag as market_lag, c.lead as market_lead
from cells m join pairs r using (pair) left join market_moments c on c.target = r.target and c.week = m.week
order by r.customer_id, r.target, m.week
"""


def sum_depths(events: DuckDBPyRelation, products: DuckDBPyRelation, asof_ms: int) -> DuckDBPyRelation:
    """Sums that add over shards, per target, product and week: lines, their depths and their list value.

    A line's depth is shelf_cents / list_cents, in [0, 1]. Columns: target, product_id, week, lines, depth_sum,
    list_cents.
    """
    return run_select(
        f"""
        with {CATEGORY_LEVEL_SQL}
        select {CATEGORY_TARGET_SQL} as target, e.product_id,
               ({asof_ms} - 1 - e.ts_ms) // {WEEK_MS} as week,
               count(*) as lines,
               sum(round(least(e.shelf_cents / e.list_cents, 1.0) * {DEPTH_UNITS}) / {DEPTH_UNITS}) as depth_sum,
               sum(e.list_cents)::bigint as list_cents
        from events e cross join level left join products p on p.product_id = e.product_id
        where e.kind = 'purchase' and e.list_cents > 0 and e.product_id is not null and e.ts_ms < {asof_ms}
          and {CATEGORY_TARGET_SQL} is not null
        group by all
        """,
        events=events, products=products,
    )  # fmt: skip


def build_panel(
    events: DuckDBPyRelation,
    products: DuckDBPyRelation,
    depths: DuckDBPyRelation,
    asof_ms: int,
    settings: PanelSettings,
) -> DuckDBPyRelation:
    """The response panel of one shard of customers.

    `depth` of a customer, target and week is what the products they usually buy were cut that week. Each product's
    depth is taken from the OTHER customers' lines (one's own purchase must not tell one's own price) and weighted by
    the customer's spend on it in the `weeks` BEFORE the response period; depths are averaged as exp(curvature * depth),
    since a deep cut on one product moves more than half the cut on two. Few past lines tell little of what a customer
    usually buys, so their mean is shrunk towards that of the whole market: (n * own + prior_lines * market) / (n +
    prior_lines), without which the error in their mix would flatten the response (regression calibration, Carroll et
    al. 2006). A week counts where at least `min_known` of their usual spend has a known depth. `lag` is the mean depth
    of the 4 weeks before, each counting half of the one after it, `lead` that of the 3rd to 6th week after, null where
    unknown. `market_depth`, `market_lag` and `market_lead` are the same of what the target's products were cut for
    everybody. Pairs need 2 purchases in the period and 8 known weeks. Columns: customer_id, target, week,
    list_cents, depth, lag, lead, market_depth, market_lag, market_lead.
    """
    half = settings.weeks
    values = {
        "half": half, "twice": 2 * half, "seen": half + LAGS, "prior": settings.prior_lines, "asof": asof_ms,
        "bend": settings.curvature, "targets": settings.targets, "known": settings.min_known,
    }  # fmt: skip
    return run_select(bind(PANEL, **values), events=events, products=products, depths=depths)
