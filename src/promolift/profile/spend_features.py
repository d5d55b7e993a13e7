"""Lines and moments in; what the spend model looks at out: one row per customer with an order and moment.

Levels are amounts per horizon (8 weeks unless set otherwise) with old weeks fading at several half-lives; everything
else is a log ratio of two levels, so that one model fits customers and shops of any size and any currency.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift import sql
from promolift.profile.encoder_data import Days, Ints, compiled
from promolift.profile.lines import Lines, read_lines, read_moments
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared
from promolift.sql import DAY_MS, WEEK_MS, bind, fetch

KEY = ["customer_id", "asof_ms"]
HALF_LIVES = (2.0, 4.0, 8.0, 16.0)  # weeks
LONGEST = 52  # weeks looked back
HABIT = ("recency", "tenure", "basket", "cadence", "gap_variation")
LEVELS = tuple(f"{name}_{half:.0f}" for half in HALF_LIVES for name in ("level", "orders"))
RECENT = ("empty_8", "max_8", "median_8", "median_16", "sd_16")
NAMES = (*HABIT, "weeks", *LEVELS, *RECENT)

# the instants of an order stand together, orders by their first instant
SPENT = """
select customer_id, order_id, ts_ms, day::bigint as day, revenue_cents,
    min(ts_ms) over (partition by customer_id, order_id) as first_ms
from slices order by customer_id, first_ms, order_id, ts_ms
"""
REFUNDED = "select customer_id, ts_ms, revenue_cents from lines where kind = 'refund' order by customer_id"

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
    known, spending = read_moments(lines, moments, shared), _spending(lines)
    breadth = fetch(sql.run(BREADTH, lines=lines.rows, moments=known))
    table = fetch(known).select(*KEY, "purchases_first_ms").drop_nulls()
    parts = [
        part.select(KEY).join(spending.before(part["asof_ms"][0], part["purchases_first_ms"][0], horizon_weeks), on=KEY)
        for part in table.partition_by("asof_ms")
    ]
    found = pl.concat(parts or [spending.before(0, 0, horizon_weeks)]).join(breadth, on=KEY, how="left")
    return lines.texts(found).sort(KEY)


@dataclass(frozen=True)
class _Spending:
    """What each customer spent, as flat arrays: customer c has the slices start[c] to start[c + 1], and so on."""

    start_C: Ints
    slices: tuple[Ints, ...]  # order_id, ts_ms, day, revenue_cents, first_ms
    refund_C: Ints
    refunds: tuple[Ints, ...]  # ts_ms, revenue_cents

    def before(self, asof_ms: int, opened_ms: int, horizon_weeks: int) -> pl.DataFrame:
        """One row per customer with an order before the moment; the shop's first purchase was at `opened_ms`."""
        weeks = min(LONGEST, max(1, -((opened_ms - asof_ms) // WEEK_MS)))
        fade_WH = 0.5 ** (np.arange(weeks)[:, None] / np.array(HALF_LIVES))
        size, found_CF = len(self.start_C) - 1, np.full((len(self.start_C) - 1, len(NAMES)), np.nan)
        orders_C = np.zeros(size, np.int64)
        own = (self.start_C, self.refund_C, *self.slices, *self.refunds)
        _before(own, asof_ms, horizon_weeks, fade_WH, orders_C, found_CF)
        columns = [pl.Series(name, found_CF[:, at], nan_to_null=True) for at, name in enumerate(NAMES)]
        table = pl.DataFrame([pl.Series("customer_id", np.arange(size, dtype=np.int32)), *columns])
        table = table.with_columns(pl.col("weeks").cast(pl.Int32), pl.lit(asof_ms, pl.Int64).alias("asof_ms"))
        return table.filter(pl.Series(orders_C > 0)).select(*KEY, *NAMES)


def _spending(lines: Lines) -> _Spending:
    bought, refunded = fetch(sql.run(SPENT, slices=lines.slices)), fetch(sql.run(REFUNDED, lines=lines.rows))
    edges = np.arange(lines.people.aggregate("count(*)").fetchall()[0][0] + 1)
    names = ("order_id", "ts_ms", "day", "revenue_cents", "first_ms")
    return _Spending(
        np.searchsorted(bought["customer_id"].to_numpy(), edges),
        tuple(bought[name].to_numpy().view(np.int64) for name in names),
        np.searchsorted(refunded["customer_id"].to_numpy(), edges),
        tuple(refunded[name].to_numpy() for name in ("ts_ms", "revenue_cents")),
    )


@compiled
def _before(own: Any, asof: int, horizon: float, fade_WH: Days, orders_C: Ints, found_CF: Days) -> None:
    """NAMES of each customer. Weeks count back from the moment; every week of the shop counts, also an empty one."""
    start_C, refund_C, order, ts, day, revenue, first, refund_ts, refund = own
    weeks, halves = fade_WH.shape
    gaps = np.zeros(np.max(start_C[1:] - start_C[:-1]) if len(start_C) > 1 else 0)
    for c in range(len(start_C) - 1):
        money, orders, total = np.zeros(weeks), np.zeros(weeks), 0.0
        count, spread, latest, last_age = 0, 0, -1, -1
        for at in range(start_C[c], start_C[c + 1]):
            if first[at] >= asof:
                break
            if at == start_C[c] or order[at] != order[at - 1]:
                if count and day[at] > day[latest]:
                    gaps[spread] = day[at] - day[latest]
                    spread += 1
                count, latest, last_age = count + 1, at, -1
            if ts[at] < asof:
                age = (asof - 1 - ts[at]) // WEEK_MS
                total += revenue[at]
                if age < weeks:
                    money[age] += revenue[at]
                    orders[age] += age != last_age
                last_age = age
        orders_C[c] = count
        if not count:
            continue
        for at in range(refund_C[c], refund_C[c + 1]):
            age = (asof - 1 - refund_ts[at]) // WEEK_MS
            if refund_ts[at] < asof and age < weeks:
                money[age] += refund[at]
        row = found_CF[c]
        row[0], row[1], row[2] = (asof - first[latest]) / DAY_MS, (asof - first[start_C[c]]) / DAY_MS, total / count
        if spread:
            row[3] = np.median(gaps[:spread])
        if spread >= 3:
            row[4] = _sd(gaps[:spread]) / np.mean(gaps[:spread])
        row[5] = weeks
        for h in range(halves):
            level, rate, whole = 0.0, 0.0, 0.0
            for age in range(weeks):
                level, rate = level + money[age] * fade_WH[age, h], rate + orders[age] * fade_WH[age, h]
                whole += fade_WH[age, h]
            row[6 + 2 * h], row[7 + 2 * h] = horizon * level / whole, horizon * rate / whole
        near, far, at = money[:8], money[:16], 6 + 2 * halves
        row[at], row[at + 1], row[at + 2] = np.sum(near <= 0) / len(near), np.max(near), np.median(near)
        row[at + 3], row[at + 4] = np.median(far), _sd(far) if len(far) > 1 else 0.0


@compiled
def _sd(values: Days) -> float:
    return float(np.sqrt(np.sum((values - np.mean(values)) ** 2) / (len(values) - 1)))


def spend_outcomes(events: Relation, moments: Relation, horizon_weeks: int = 8) -> pl.DataFrame:
    """What customers of `moments` spent from the moment on for `horizon_weeks`: column outcome_cents, 0 for nothing.

    The caller must name only moments whose horizon has ended: rows that do not exist yet look like no spend.
    """
    return fetch(sql.run(bind(OUTCOMES, horizon_weeks=horizon_weeks, week=WEEK_MS), events=events, moments=moments))
