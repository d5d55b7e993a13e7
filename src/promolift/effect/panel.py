"""Events in, one row per customer, target and week out: what was bought, and how deep his usual products were cut.

A week is counted back from `asof_ms` (0 is the last one). Targets are the things an offer covers (tables.TARGET).
"""

from duckdb import DuckDBPyRelation
from pydantic import Field

from promolift.settings import Settings
from promolift.sql import WEEK_MS, some
from promolift.tables import TARGET

LAGS, LEAD_FIRST, LEAD_LAST = 4, 3, 6


class PanelSettings(Settings):
    """`weeks` of response, read with the usual products of the `weeks` before them; the largest `targets` by value."""

    weeks: int = Field(default=26, ge=8)
    targets: int = Field(default=100, ge=1)
    min_known: float = Field(default=0.5, gt=0, le=1)


def depth_sums(events: DuckDBPyRelation, products: DuckDBPyRelation, asof_ms: int) -> DuckDBPyRelation:
    """Sums that add over shards, per target, product and week: purchase lines, their depths and their list value.

    A line's depth is shelf_cents / list_cents, in [0, 1]. Columns: target, product_id, week, lines, depth_sum, list_cents.
    """
    return some(
        events.query(
            "events",
            f"""
        select {TARGET} as target, e.product_id,
               ({asof_ms} - 1 - e.ts_ms) // {WEEK_MS} as week,
               count(*) as lines,
               sum(least(e.shelf_cents / e.list_cents, 1.0)) as depth_sum,
               sum(e.list_cents)::bigint as list_cents
        from events e left join ({products.sql_query()}) p on p.product_id = e.product_id
        where e.kind = 'purchase' and e.list_cents > 0 and e.product_id is not null and e.ts_ms < {asof_ms}
        group by all
        """,
        )
    )


def panel(
    events: DuckDBPyRelation,
    products: DuckDBPyRelation,
    depths: DuckDBPyRelation,
    asof_ms: int,
    settings: PanelSettings,
) -> DuckDBPyRelation:
    """The response panel of one shard of customers.

    `depth` of a customer, target and week is the mean depth of the products the customer bought in the `weeks` BEFORE
    the response period, weighted by their value then, each depth taken from the OTHER customers' lines of that week
    (his own purchase must not tell his own price). A week counts where at least `min_known` of that value has a known
    depth. `lag` is the mean depth of the 4 weeks before, `lead` that of the 3rd to 6th week after, null where unknown.
    Pairs need 2 purchases in the period and 8 known weeks. Columns: customer_id, target, week, list_cents, depth, lag,
    lead.
    """
    half = settings.weeks
    return some(
        events.query(
            "events",
            f"""
        with depths as ({depths.sql_query()}),
        biggest as (
            select target from depths group by target order by sum(list_cents) desc, target limit {settings.targets}
        ),
        lines as (
            select e.customer_id, {TARGET} as target, e.product_id, e.list_cents,
                   ({asof_ms} - 1 - e.ts_ms) // {WEEK_MS} as week,
                   least(e.shelf_cents / e.list_cents, 1.0) as depth
            from events e left join ({products.sql_query()}) p on p.product_id = e.product_id
            where e.kind = 'purchase' and e.list_cents > 0 and e.product_id is not null and e.ts_ms < {asof_ms}
              and {TARGET} in (from biggest)
        ),
        usual as (
            select customer_id, target, product_id, sum(list_cents) as value
            from lines where week >= {half} and week < {2 * half} group by all
        ),
        own as (
            select customer_id, product_id, week, count(*) as lines, sum(depth) as depth_sum
            from lines where week < {half + LAGS} group by all
        ),
        others as (
            select u.customer_id, u.target, d.week, u.value,
                   (d.depth_sum - coalesce(o.depth_sum, 0)) / (d.lines - coalesce(o.lines, 0)) as depth
            from usual u
            join depths d on d.product_id = u.product_id and d.week < {half + LAGS}
            left join own o on o.customer_id = u.customer_id and o.product_id = u.product_id and o.week = d.week
            where d.lines > coalesce(o.lines, 0)
        ),
        exposed as (
            select x.customer_id, x.target, x.week,
                   greatest(sum(x.value * x.depth) / sum(x.value), 0) as depth,
                   sum(x.value) / any_value(t.value) as known
            from others x
            join (select customer_id, target, sum(value) as value from usual group by all) t using (customer_id, target)
            group by all
        ),
        moments as (
            select customer_id, target, week, depth,
                   avg(depth) over (per range between 1 following and {LAGS} following) as lag,
                   avg(depth) over (per range between {LEAD_LAST} preceding and {LEAD_FIRST} preceding) as lead
            from exposed where known >= {settings.min_known}
            window per as (partition by customer_id, target order by week)
        ),
        bought as (
            select customer_id, target, week, sum(list_cents)::bigint as list_cents, count(*) as lines
            from lines where week < {half} group by all
        )
        select m.customer_id, m.target, m.week, coalesce(b.list_cents, 0) as list_cents, m.depth, m.lag, m.lead
        from moments m left join bought b using (customer_id, target, week)
        where m.week < {half}
        qualify count(b.lines) over (partition by m.customer_id, m.target) >= 2
            and count(*) over (partition by m.customer_id, m.target) >= 8
        order by m.customer_id, m.target, m.week
        """,
        )
    )
