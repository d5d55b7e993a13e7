"""Clean events in; each customer's margin, coupons and orders by day, counted from the moment of the plan, out."""

import polars as pl

from promolift.results.tables import Clean
from promolift.sql import DAY_MS, bind, fetch, run

SALES = """
select e.customer_id, floor((e.ts_ms - $asof) / $day_ms)::bigint as day,
    sum(case when e.kind = 'refund' then -1 else 1 end * (abs(e.revenue_cents)
        - coalesce(abs(e.quantity) * p.cost_cents, (1 - $rate) * abs(coalesce(e.list_cents, e.revenue_cents))))
    )::double as value_cents,
    sum(case when e.kind = 'refund' then -1 else 1 end * coalesce(e.coupon_cents, 0))::double as coupon_cents
from sold e left join products p using (product_id)
where e.kind in ('purchase', 'refund') group by all having bool_or(e.kind = 'purchase') order by all
"""


def daily_sales(clean: Clean, asof_ms: int, margin_rate: float) -> pl.DataFrame:
    """customer_id, day (0 is the day that begins at `asof_ms`), value_cents, coupon_cents; a row per day with an order.

    A refund counts where something was bought on its day; the margin is by the products' cost, else by `margin_rate`.
    """
    sql = bind(SALES, asof=asof_ms, day_ms=DAY_MS, rate=margin_rate)
    parts = [fetch(run(sql, sold=clean.events(shard), products=clean.products)) for shard in clean.shards]
    return pl.concat(parts).sort("customer_id", "day")
