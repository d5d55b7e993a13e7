"""Lines and moments in; what each customer chose before each moment out, per target, and how often he came at all.

A target is what an offer can cover: the product category; where the catalogue has none the product type; where it has
neither, the product itself. Old orders fade with a half-life, so that habits of last year do not outvote last month.
"""

import math

from duckdb import DuckDBPyRelation as Relation

from promolift.profile.settings import ProfileSettings
from promolift.sql import DAY_MS, bind, some

# one level for the whole catalogue: a shop that names categories for some products offers coupons on categories
TARGETS = """
with level as (
    select case when count(category) > 0 then 'category' when count(type) > 0 then 'type' else 'product' end as level
    from products
)
select product_id,
    case level when 'category' then category when 'type' then type else product_id end as target,
    case level when 'product' then 'product' else 'category' end as target_kind
from products, level
"""

CELLS = """
with bought as (
    select l.customer_id, coalesce(t.target, case when k.kind = 'product' then l.product_id end) as target,
        l.order_id, l.ts_ms, min(l.day) as day,
        sum(l.list_cents)::bigint as list_cents,
        sum(l.revenue_cents)::bigint as revenue_cents,
        count(*) as lines,
        count(*) filter (l.shelf_cents > 0) as deal_lines
    from lines l left join targets t using (product_id),
        (select coalesce(max(target_kind), 'product') as kind from targets) k
    where l.kind = 'purchase'
    group by all
)
select *,
    (row_number() over (partition by customer_id, target, order_id order by ts_ms) = 1)::int as is_order,
    nullif(day - lag(day) over (partition by customer_id, target order by day, ts_ms, order_id), 0) as gap_days
from bought where target is not null
"""

CHOICES = """
select m.customer_id, m.asof_ms, c.target,
    sum(is_order)::bigint as orders,
    sum(list_cents)::bigint as list_cents,
    sum(revenue_cents)::bigint as revenue_cents,
    coalesce(sum(list_cents) filter (ts_ms >= m.asof_ms - $recent_days * $day), 0)::bigint as recent_list_cents,
    coalesce(sum(revenue_cents) filter (ts_ms >= m.asof_ms - $recent_days * $day), 0)::bigint as recent_revenue_cents,
    max(ts_ms) as last_ms,
    median(gap_days)::double as gap_days,
    sum(deal_lines) / sum(lines) as deal_share,
    sum(is_order * exp($target_fade * (ts_ms - m.asof_ms))) as faded_orders,
    sum(list_cents::double * list_cents) as list_sq
from cells c join moments m on m.customer_id = c.customer_id and c.ts_ms < m.asof_ms
group by all
"""

# T is the faded number of days watched since the first order, which itself tells nothing of the rate after it
PACE = """
with watched as (
    select customer_id, asof_ms,
        count(*) as orders,
        sum(exp($target_fade * (ts_ms - asof_ms))) as faded_choices,
        sum(exp(2 * $target_fade * (ts_ms - asof_ms))) as faded_choices_sq,
        sum(exp($fade * (ts_ms - asof_ms))) - exp($fade * (min(ts_ms) - asof_ms)) as faded,
        asof_ms - min(ts_ms) as span_ms
    from visits group by customer_id, asof_ms
),
sized as (
    select *,
        (1 - exp(-$fade * span_ms)) / ($fade * $day) as days,
        (1 - exp(-2 * $fade * span_ms)) / (2 * $fade * $day) as days_sq
    from watched
)
select customer_id, asof_ms, orders,
    faded_choices, faded_choices_sq / faded_choices as choice_weight,
    faded * days / days_sq as eff_orders,
    days * days / days_sq as eff_days
from sized
"""


def read_targets(products: Relation) -> Relation:
    """Product, its target (null: the level has none for it) and the target's kind, category or product."""
    return some(products.query("products", TARGETS)).materialize()


def read_cells(lines: Relation, targets: Relation) -> Relation:
    """Purchases per customer, target, order and instant; `gap_days` since the day this target was bought before."""
    return some(lines.query("lines", CELLS)).materialize()


def read_choices(cells: Relation, moments: Relation, settings: ProfileSettings) -> Relation:
    """One row per customer, moment and target bought before it."""
    fade = fade_per_ms(settings.target_half_life_days)
    return some(
        cells.query("cells", bind(CHOICES, day=DAY_MS, target_fade=fade, recent_days=settings.recent_days))
    ).materialize()


def read_pace(visits: Relation, settings: ProfileSettings) -> Relation:
    """How often a customer orders: effective (faded) orders and days, one row per customer with an order and moment.

    A faded count is a weighted sum of Poisson counts; dividing by its mean weight (Kish's effective size) makes it
    behave like a plain Poisson count again, which the Gamma prior expects.
    """
    fade, target_fade = fade_per_ms(settings.visit_half_life_days), fade_per_ms(settings.target_half_life_days)
    return some(visits.query("visits", bind(PACE, day=DAY_MS, fade=fade, target_fade=target_fade))).materialize()


def fade_per_ms(half_life_days: float) -> float:
    """The exponential rate, per millisecond, at which a weight halves in `half_life_days`."""
    return math.log(2) / (half_life_days * DAY_MS)
