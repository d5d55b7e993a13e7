"""Count what each customer chose before a moment, per target, and how often the customer ordered.

Old orders fade with a half-life, so that habits of last year do not outvote last month. Legend: L cells (purchases of
one customer, target, order and instant, in order of customer, target and time), P pairs of a customer and a target.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from numpy.typing import NDArray

from promolift.core.customers.profiles.population_sums import Shard
from promolift.core.customers.profiles.purchase_lines import PurchaseLines, all_customers_at, read_lines, read_visits
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation import sql
from promolift.foundation.jit import Days, Ints, jit_compile
from promolift.foundation.sql import bind, exact_sum_sql, fetch_frame
from promolift.foundation.time.clock import DAY_MS

CELLS = """
select customer_id, target, order_id, ts_ms, min(day)::bigint as day,
    sum(list_cents)::bigint as list_cents,
    sum(revenue_cents)::bigint as revenue_cents,
    count(*) as lines,
    count(*) filter (shelf_cents > 0) as deal_lines
from lines where kind = 'purchase' and target is not null
group by all order by customer_id, target, day, ts_ms
"""

SPANNING = (
    "select distinct order_id from (select order_id from slices group by customer_id, order_id having count(*) > 1)"
)

WEIGHT_BITS = 96  # weights of orders are at most 1 and may be tiny: they are summed in 2^-96
# T is the faded number of days watched since the first order, which itself tells nothing of the rate after it
PACE = f"""
with watched as (
    select customer_id, asof_ms,
        count(*) as orders,
        {exact_sum_sql("exp($target_fade * (ts_ms - asof_ms))", WEIGHT_BITS)} as faded_choices,
        {exact_sum_sql("exp(2 * $target_fade * (ts_ms - asof_ms))", WEIGHT_BITS)} as faded_choices_sq,
        {exact_sum_sql("exp($fade * (ts_ms - asof_ms))", WEIGHT_BITS)} - exp($fade * (min(ts_ms) - asof_ms)) as faded,
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
from sized order by customer_id
"""
COLUMNS = ("ts_ms", "day", "order_id", "list_cents", "revenue_cents", "lines", "deal_lines")
INTEGER_COLUMNS = ("orders", "list_cents", "revenue_cents", "recent_list_cents", "recent_revenue_cents", "last_ms")
FLOAT_COLUMNS = ("gap_days", "deal_share", "faded_orders", "list_sq")


@dataclass(frozen=True)
class PurchaseCounts:
    """Purchases per customer, target, order and instant; those of pair p are rows start[p] to start[p + 1]."""

    pairs: pl.DataFrame  # customer_id and target, as numbers, in order
    start_P: Ints
    columns: tuple[NDArray[Any], ...]  # L each: whether the order has several instants, and COLUMNS

    def before(self, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
        """One row per pair bought before the moment: WHOLE, REAL; `gap_days` is the median between days with it."""
        whole_PI = np.zeros((self.pairs.height, len(INTEGER_COLUMNS)), np.int64)
        real_PR = np.full((self.pairs.height, len(FLOAT_COLUMNS)), np.nan)
        fade, recent_ms = fade_per_ms(settings.target_half_life_days), settings.recent_days * DAY_MS
        _sum_up(self.start_P, self.columns, (asof_ms, asof_ms - recent_ms, fade), whole_PI, real_PR)
        found = self.pairs.with_columns(
            pl.lit(asof_ms, pl.Int64).alias("asof_ms"),
            *(pl.Series(name, whole_PI[:, at]) for at, name in enumerate(INTEGER_COLUMNS)),
            *(pl.Series(name, real_PR[:, at], nan_to_null=True) for at, name in enumerate(FLOAT_COLUMNS)),
        )
        return found.filter(pl.col("orders") > 0)


@jit_compile
def _sum_up(start_P: Ints, cells: Any, when: Any, whole_PI: Ints, real_PR: Days) -> None:
    spans, ts, day, order, listed, revenue, lines, deals = cells
    asof, recent, fade = when
    gaps = np.zeros(np.max(start_P[1:] - start_P[:-1]) if len(start_P) > 1 else 0)
    for p in range(len(start_P) - 1):
        count, spread, size, cut, faded, squares = 0, 0, 0, 0, 0.0, 0.0
        latest = -1
        for at in range(start_P[p], start_P[p + 1]):
            if ts[at] >= asof:
                continue
            again, earlier = False, at  # an order is counted at its first instant
            while spans[at] and not again and earlier > start_P[p]:
                earlier -= 1
                again = order[earlier] == order[at]
            if not again:
                count += 1
                faded += np.exp(fade * (ts[at] - asof))
            if latest >= 0 and day[at] > day[latest]:
                gaps[spread] = day[at] - day[latest]
                spread += 1
            latest = at
            whole_PI[p, 1] += listed[at]
            whole_PI[p, 2] += revenue[at]
            if ts[at] >= recent:
                whole_PI[p, 3] += listed[at]
                whole_PI[p, 4] += revenue[at]
            whole_PI[p, 5] = max(whole_PI[p, 5], ts[at])
            size += lines[at]
            cut += deals[at]
            squares += float(listed[at]) * listed[at]
        whole_PI[p, 0] = count
        if count:
            if spread:
                real_PR[p, 0] = np.median(gaps[:spread])
            real_PR[p, 1] = cut / size
            real_PR[p, 2] = faded
            real_PR[p, 3] = squares


def read_purchase_counts(shard: Shard, settings: ProfileSettings) -> PurchaseCounts:
    """The shard's purchases of things that are targets."""
    return shard.cached("cells", lambda: _cells(read_lines(shard, settings.zone)))


def _cells(lines: PurchaseLines) -> PurchaseCounts:
    rows, spanning = (
        fetch_frame(sql.run_select(CELLS, lines=lines.rows)),
        fetch_frame(sql.run_select(SPANNING, slices=lines.slices)),
    )
    numbers = rows.select("customer_id", "target").to_numpy()
    first_P = np.flatnonzero(np.r_[True, (numbers[1:] != numbers[:-1]).any(1)][: len(numbers)])
    columns = [rows[name].to_numpy().view(np.int64) for name in COLUMNS]
    columns.insert(0, rows["order_id"].is_in(spanning["order_id"].implode()).to_numpy())
    start_P = np.r_[first_P, len(numbers)].astype(np.int64)
    return PurchaseCounts(rows[first_P].select("customer_id", "target"), start_P, tuple(columns))


def first_purchase_times(shard: Shard, settings: ProfileSettings) -> pl.DataFrame:
    """When each customer bought each target first: customer_id, target, first_ms, in order of the first two."""

    def make() -> pl.DataFrame:
        cells = read_purchase_counts(shard, settings)
        first_ms = np.zeros(0, np.int64)
        if len(cells.start_P) > 1:
            first_ms = np.minimum.reduceat(cells.columns[1], cells.start_P[:-1])
        return cells.pairs.with_columns(pl.Series("first_ms", first_ms, pl.Int64))

    return shard.saved_frame("firsts", make)


def order_pace(shard: Shard, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    """`read_pace` of everybody at one moment, in order of customers."""

    def make() -> pl.DataFrame:
        lines = read_lines(shard, settings.zone)
        return read_pace(read_visits(lines.slices, all_customers_at(lines, asof_ms)), settings)

    return shard.saved_frame(f"pace {asof_ms}", make)


def read_pace(visits: Relation, settings: ProfileSettings) -> pl.DataFrame:
    """How often a customer orders: effective (faded) orders and days, one row per customer with an order and moment.

    A faded count is a weighted sum of Poisson counts; dividing by its mean weight (Kish's effective size) makes it
    behave like a plain Poisson count again, which the Gamma prior expects.
    """
    fade, target_fade = fade_per_ms(settings.visit_half_life_days), fade_per_ms(settings.target_half_life_days)
    return fetch_frame(sql.run_select(bind(PACE, day=DAY_MS, fade=fade, target_fade=target_fade), visits=visits))


def fade_per_ms(half_life_days: float) -> float:
    """The exponential rate, per millisecond, at which a weight halves in `half_life_days`."""
    return math.log(2) / (half_life_days * DAY_MS)
