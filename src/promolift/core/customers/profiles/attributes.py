"""SQL of the interpretable attributes per customer and moment, one statement per subject.

Each statement can be read and tested alone on hand-made tables; profiles.py joins them. All look only at rows strictly
before the moment. Null means it cannot be known: no order means no cadence, a window that starts before the shop's
data means no count, a shop without discounts means no discount share.
"""

WINDOW_WEEKS = (4, 8, 16, 52)


def exact_sd(column: str) -> str:
    """SQL of the sample standard deviation of whole numbers, by sums of whole numbers: the same bits in any order."""
    n, value = f"count({column})", f"{column}::hugeint"
    squares = f"({n} * sum({value} * {value}) - sum({value}) * sum({value}))::double"
    return f"case when {n} > 1 then sqrt({squares} / ({n} * ({n} - 1))) end"


def window_columns(aggregate: str, name: str, first: str, condition: str = "true") -> str:
    """SQL columns `name`, {weeks} filled in: `aggregate` over the rows of each window, null where data begin inside it.

    `first` is the column that tells when the shop's rows of that kind begin; its first day is forgiven, because shops
    open their books in the morning. Where the window is covered, no row means 0.
    """
    return ",\n    ".join(
        f"case when any_value(m.asof_ms) - {weeks}::bigint * $week >= any_value(m.{first}) - $day\n"
        f"        then coalesce({aggregate} filter ({condition} and ts_ms >= m.asof_ms - {weeks}::bigint * $week), 0)"
        f"::bigint\n        end as {name.format(weeks=weeks)}"
        for weeks in WINDOW_WEEKS
    )


ORDERS = f"""
select m.customer_id, m.asof_ms,
    case when any_value(m.purchases_first_ms) is not null then count(order_id) end as orders_total,
    (m.asof_ms - min(ts_ms)) / $day as tenure_days,
    (m.asof_ms - max(ts_ms)) / $day as recency_days,
    {window_columns("count(order_id)", "orders_{weeks}w", "purchases_first_ms")}
from moments m left join visits v on v.customer_id = m.customer_id and v.asof_ms = m.asof_ms
group by m.customer_id, m.asof_ms
"""

# refunds lower what was spent but are no order, so money is summed over lines
MONEY = f"""
with money as (
    select customer_id, ts_ms, sum(revenue_cents)::bigint as revenue_cents, sum(list_cents)::bigint as list_cents
    from lines where kind in ('purchase', 'refund') group by all
)
select m.customer_id, m.asof_ms,
    case when any_value(m.purchases_first_ms) is not null
        then coalesce(sum(revenue_cents), 0)::bigint end as revenue_total_cents,
    case when any_value(m.purchases_first_ms) is not null
        then coalesce(sum(list_cents), 0)::bigint end as list_total_cents,
    -- over 16 weeks, or over the time since the first purchase where that is shorter, but at least one week
    coalesce(sum(revenue_cents) filter (ts_ms >= m.asof_ms - 16 * $week), 0 * max(ts_ms))
        / least(16, greatest(1, (m.asof_ms - min(ts_ms)) / $week)) as spend_per_week_cents,
    {window_columns("sum(revenue_cents)", "revenue_{weeks}w_cents", "purchases_first_ms")}
from moments m left join money v on v.customer_id = m.customer_id and v.ts_ms < m.asof_ms
group by m.customer_id, m.asof_ms
"""

CADENCE = f"""
with days as (select distinct customer_id, asof_ms, day from visits),
gaps as (
    select customer_id, asof_ms, day - lag(day) over (partition by customer_id, asof_ms order by day) as gap from days
)
select customer_id, asof_ms,
    count(*) as shopping_days,
    median(gap)::double as cadence_days,
    case when count(gap) >= 3 then {exact_sd("gap")} / avg(gap) end as gap_variation
from gaps group by customer_id, asof_ms
"""

BASKET = f"""
select customer_id, asof_ms,
    avg(lines) as basket_lines_mean,
    {exact_sd("lines")} as basket_lines_sd,
    avg(revenue_cents) as basket_mean_cents,
    {exact_sd("revenue_cents")} as basket_sd_cents,
    {exact_sd("revenue_cents")} / sqrt(count(*)) as basket_mean_cents_se,
    median(revenue_cents)::double as basket_median_cents,
    quantile_cont(revenue_cents, 0.25)::double as basket_p25_cents,
    quantile_cont(revenue_cents, 0.75)::double as basket_p75_cents,
    quantile_cont(revenue_cents, 0.90)::double as basket_p90_cents
from visits group by customer_id, asof_ms
"""

# the shop's own quintiles, so that the bands mean the same in any currency
BANDS = """
select customer_id, asof_ms,
    count(*) filter (revenue_cents < e.fifth_1) / count(*) as basket_fifth_1,
    count(*) filter (revenue_cents >= e.fifth_1 and revenue_cents < e.fifth_2) / count(*) as basket_fifth_2,
    count(*) filter (revenue_cents >= e.fifth_2 and revenue_cents < e.fifth_3) / count(*) as basket_fifth_3,
    count(*) filter (revenue_cents >= e.fifth_3 and revenue_cents < e.fifth_4) / count(*) as basket_fifth_4,
    count(*) filter (revenue_cents >= e.fifth_4) / count(*) as basket_fifth_5
from visits join moments m using (customer_id, asof_ms) join edges e on e.shared_ms = m.shared_ms
group by customer_id, asof_ms
"""

# where the shop has no discounts or coupons at all, their shares are unknown, not zero
DEALS = """
select customer_id, asof_ms,
    case when any_value(has_shelf) then sum(deal_lines) / sum(lines) end as deal_share,
    case when any_value(has_shelf) or any_value(has_coupons)
        then sum(shelf_cents + coupon_cents) / nullif(sum(list_cents), 0) end as discount_share,
    case when any_value(has_coupons) then count(*) filter (coupon_cents > 0) / count(*) end as coupon_share
from visits join moments using (customer_id, asof_ms)
group by customer_id, asof_ms
"""
