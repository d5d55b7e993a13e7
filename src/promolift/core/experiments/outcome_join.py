"""Join outcomes to decisions: one row per customer and window, and counts of the rows that did not join.

A window opens at a customer's first decision and has a fixed length whatever happens in it; later decisions within it
belong to it, the first one after its end opens the next. So every outcome is in one window at most, the windows of all
arms are equally long, and an arm's effect is its windows against the holdout's: no order is credited to an offer
because the offer came last.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import duckdb
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from pydantic import Field

from promolift.foundation import sql
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings
from promolift.foundation.sql import bind, fetch_frame, quote_identifier, require_relation
from promolift.foundation.time.clock import DAY_MS

HOLDOUT = "holdout"
JOIN_STATUSES = {
    "joined": "counted in a window",
    "late": "counted in a window, though it arrived after the window had settled",
    "no customer": "nobody is named",
    "other kind": "neither purchase nor refund",
    "no decision": "the customer was never decided on, or may not be written to",
    "not known yet": "happened or arrived after the cut",
    "before": "from before the customer's first decision, or a refund of an order from then",
    "outside a window": "after one window had closed, while no other was open",
    "open window": "in a window that is not complete yet",
}
ROWS = "select customer_id, ts_ms, kind, {order} as order_id, greatest(ts_ms, {arrived}) as seen_ms, {values} from log"
PLACED = """
with bought as (  -- a refund belongs to its order, whenever it comes
    select customer_id, order_id, min(ts_ms) as bought_ms from events
    where kind = 'purchase' and order_id is not null and seen_ms <= $asof group by all
), placed as (
    select e.*, coalesce(case when e.kind = 'refund' then b.bought_ms end, e.ts_ms) as at_ms
    from events e left join bought b using (customer_id, order_id)
), dated as (
    select p.*, w.window, w.end_ms, w.complete, f.first_ms,
        case when p.customer_id is null then 'no customer'
            when p.kind is null or p.kind not in ('purchase', 'refund') then 'other kind'
            when f.first_ms is null then 'no decision'
            when p.seen_ms > $asof then 'not known yet'
            when w.window is null then 'before'
            when p.at_ms >= w.end_ms then 'outside a window'
            when not w.complete then 'open window'
            when p.seen_ms > w.end_ms + $settle then 'late'
            else 'joined' end as fate
    from placed p
    left join (select customer_id, min(start_ms) as first_ms from opened group by all) f using (customer_id)
    asof left join opened w on p.customer_id = w.customer_id and p.at_ms >= w.start_ms
)
select case when fate in ('joined', 'late') then customer_id end as customer_id,
    case when fate in ('joined', 'late') then "window" end as "window",
    case when fate = 'late' then 'joined' else fate end as fate,
    count(*) as rows, count(*) filter (fate = 'late') as late,
    count(distinct coalesce(order_id, ts_ms::varchar)) filter (kind = 'purchase') as orders,
    count(*) filter (kind = 'refund') as refunds, {sums}
from dated group by 1, 2, 3
"""
BEFORE = """
select e.customer_id, {sums}
from events e join (select customer_id, min(start_ms) as first_ms from opened group by all) f using (customer_id)
where kind in ('purchase', 'refund') and ts_ms < first_ms and ts_ms >= first_ms - $before and seen_ms <= $asof
group by 1
"""


class JoinSettings(Settings):
    """`window_days` from the first decision; a window counts once `settle_days` more have passed for late rows.

    `values` are summed, refunds taken off. `before_days` above 0: the same values from so long before the customer's
    first decision, as `<value>_before`, the covariates of `lift`.
    """

    window_days: float = Field(gt=0)
    settle_days: float = Field(default=0.0, ge=0)
    before_days: float = Field(default=0.0, ge=0)
    values: tuple[str, ...] = Field(default=("revenue_cents",), min_length=1)


@dataclass(frozen=True)
class JoinedOutcomes:
    """`windows`: one row per complete window. The counts say where every decision and every outcome row went.

    `changed_arm`: decisions whose arm is not that of the customer's first one; they stay with the first.
    """

    windows: pl.DataFrame
    decision_counts: dict[str, int]
    outcome_counts: dict[str, int]
    changed_arm: int

    def customers(self) -> pl.DataFrame:
        """One row per customer, the unit that was drawn: values summed over their `windows`.

        Sums of these rows are what `analyse` takes; a value per window is the ratio metric `per="windows"`.
        """
        before = [name for name in self.windows.columns if name.endswith("_before")]
        fixed = ("customer_id", "arm", "window", "start_ms", "end_ms", *before)
        summed = [name for name in self.windows.columns if name not in fixed]
        return (
            self.windows.group_by("customer_id", "arm")
            .agg(
                pl.len().cast(pl.Int64).alias("windows"),
                *(pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).alias(name) for name in summed),
                pl.col(before).first(),
            )
            .sort("customer_id")
        )


def join_outcomes(
    decisions: pl.DataFrame | Relation, outcomes: pl.DataFrame | Relation, settings: JoinSettings, asof_ms: int
) -> JoinedOutcomes:
    """Windows that are complete at `asof_ms`, and what each customer did in them.

    `decisions`: customer_id, ts_ms, policy_id, holdout as in the DECISIONS table; where `holdout` is missing the
    customer may not be written to and is in no arm. A customer stays in the arm of their first decision (intention to
    treat). `outcomes`: customer_id, ts_ms, kind, the values, and where known order_id and arrived_ms. A refund counts
    in the window of its order. A customer who bought nothing has 0, one who bought for an unknown value has none.
    Joined again later, a window can only gain rows that came late.
    """
    opened, counts, changed = open_windows(_frame(decisions), settings, asof_ms)
    times = {"asof": asof_ms, "settle": round(settings.settle_days * DAY_MS)}
    sums = ", ".join(_signed_sum(name, name) for name in settings.values)
    with _events(outcomes, settings.values) as events:
        placed = fetch_frame(sql.run_select(bind(PLACED.format(sums=sums), **times), events=events, opened=opened))
        past = _past(opened, events, settings, asof_ms) if settings.before_days else None
    fates = dict.fromkeys(JOIN_STATUSES, 0)
    for fate, rows, late in placed.group_by("fate").agg(pl.col("rows", "late").sum()).iter_rows():
        fates[fate] += rows - late
        fates["late"] += late
    sums_of = ("orders", "refunds", *settings.values)
    found = placed.filter(fate="joined").select("customer_id", "window", *sums_of, met=True)
    windows = (
        opened.filter("complete")
        .drop("complete")
        .join(found, on=["customer_id", "window"], how="left")
        .with_columns(pl.when("met").then(pl.col(name)).otherwise(0).alias(name) for name in sums_of)
        .drop("met")
    )
    if past is not None:
        names = [name for name in past.columns if name.endswith("_before")]
        joined = windows.join(past.with_columns(met=True), on="customer_id", how="left")
        windows = joined.with_columns(pl.when("met").then(pl.col(n)).otherwise(0).alias(n) for n in names).drop("met")
    return JoinedOutcomes(windows.sort("customer_id", "window"), counts, fates, changed)


class OpenedWindows(NamedTuple):
    """`windows`: customer_id, window, start_ms, end_ms, arm, decisions, complete. The counts are those of
    `JoinedOutcomes`.
    """

    windows: pl.DataFrame
    decision_counts: dict[str, int]
    changed_arm: int


def open_windows(decisions: pl.DataFrame, settings: JoinSettings, asof_ms: int) -> OpenedWindows:
    """Every customer's windows."""
    known = decisions.filter(pl.col("ts_ms") <= asof_ms)
    rest = known.filter(pl.col("holdout").is_not_null()).select(
        "customer_id", "ts_ms", arm=pl.when("holdout").then(pl.lit(HOLDOUT)).otherwise(pl.col("policy_id"))
    )
    if rest.null_count().sum_horizontal().sum():
        raise InputError(
            "value_missing",
            gettext_lazy("decisions: a customer_id, ts_ms or policy_id is missing; every decision has all three"),
        )
    rest = rest.sort("customer_id", "ts_ms", "arm")
    first = rest.unique("customer_id", keep="first", maintain_order=True).select("customer_id", "arm")
    changed = rest.join(first, on="customer_id", suffix="_first").filter(pl.col("arm") != pl.col("arm_first")).height
    length, settle = round(settings.window_days * DAY_MS), round(settings.settle_days * DAY_MS)
    found = [_spans(rest.head(0), 0)]
    total = rest.height
    while rest.height:  # once per window of the customer with the most of them
        rest = rest.with_columns(start_ms=pl.col("ts_ms").min().over("customer_id"))
        inside = pl.col("ts_ms") < pl.col("start_ms") + length
        found.append(_spans(rest.filter(inside), len(found) - 1))
        rest = rest.filter(~inside)
    opened = pl.concat(found).with_columns(end_ms=pl.col("start_ms") + length).join(first, on="customer_id")
    counts = {
        "opened a window": opened.height,
        "within a window": total - opened.height,
        "may not be written to": known.height - total,
        "after the cut": decisions.height - known.height,
    }
    return OpenedWindows(opened.with_columns(complete=pl.col("end_ms") + settle <= asof_ms), counts, changed)


def _spans(inside: pl.DataFrame, window: int) -> pl.DataFrame:
    return inside.group_by("customer_id").agg(
        window=pl.lit(window, pl.Int64), start_ms=pl.col("ts_ms").min(), decisions=pl.len().cast(pl.Int64)
    )


def _past(opened: pl.DataFrame, events: Relation, settings: JoinSettings, asof_ms: int) -> pl.DataFrame:
    """Covariates by the rows' own time, all before the first decision: what came later could be its effect."""
    sums = ", ".join(_signed_sum(name, f"{name}_before") for name in settings.values)
    times = {"asof": asof_ms, "before": round(settings.before_days * DAY_MS)}
    return fetch_frame(sql.run_select(bind(BEFORE.format(sums=sums), **times), events=events, opened=opened))


def _signed_sum(name: str, to: str) -> str:
    """Sum of a value, refunds negative whatever their sign in the log; missing if one of the rows has none."""
    signed = f"case when kind = 'refund' then -abs({quote_identifier(name)}) else {quote_identifier(name)} end"
    dtype = "bigint" if name.endswith("_cents") else "double"
    known = f"count(*) = count({quote_identifier(name)})"
    return f"case when {known} then sum({signed})::{dtype} end as {quote_identifier(to)}"


def _frame(decisions: pl.DataFrame | Relation) -> pl.DataFrame:
    need = ("customer_id", "ts_ms", "policy_id", "holdout")
    _check("decisions", decisions.columns, need)
    return decisions.select(*need) if isinstance(decisions, pl.DataFrame) else fetch_frame(decisions.select(*need))


@contextmanager
def _events(outcomes: pl.DataFrame | Relation, values: tuple[str, ...]) -> Iterator[Relation]:
    """The outcomes with the columns the statements need; a frame is read by a connection in memory."""
    _check("outcomes", outcomes.columns, ("customer_id", "ts_ms", "kind", *values))
    known = outcomes.columns
    columns = {
        "order": "order_id::varchar" if "order_id" in known else "null::varchar",
        "arrived": "coalesce(arrived_ms, ts_ms)" if "arrived_ms" in known else "ts_ms",
        "values": ", ".join(map(quote_identifier, values)),
    }
    with duckdb.connect() as connection:
        rows = connection.from_arrow(outcomes.to_arrow()) if isinstance(outcomes, pl.DataFrame) else outcomes
        yield require_relation(rows.query("log", ROWS.format(**columns)))


def _check(table: str, columns: list[str], need: tuple[str, ...]) -> None:
    if missing := [name for name in need if name not in columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "{table}: columns {missing} are missing; it has {columns}",
                table=table,
                missing=missing,
                columns=columns,
            ),
        )
