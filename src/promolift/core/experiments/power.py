"""Compute the smallest effect that a test shows: after so many days by the shop's own log, or of so many customers."""

from collections.abc import Sequence
from typing import NamedTuple

import scipy
from duckdb import DuckDBPyRelation

from promolift.core.experiments.experiment_design import Design
from promolift.core.experiments.lift import sequential_boundary
from promolift.foundation.sql import bind, fetch_frame, run_select
from promolift.foundation.time.clock import DAY_MS

SPAN_DAYS = (7, 14, 28, 56, 84)
SEEN_COUNT = "count(*) filter (ts_ms >= {first}) as n_{days}"
SPENT_SUM = "coalesce(sum(revenue_cents) filter (kind in ('purchase', 'refund') and ts_ms >= {first}), 0) as v_{days}"
CAPPED_SPEND = "least(v_{days}, quantile_disc(v_{days}, 0.99) filter (n_{days} > 0) over ()) as c_{days}"
SPEND_SUMMARY = """count(*) filter (n_{days} > 0), avg(c_{days}) filter (n_{days} > 0),
    stddev_samp(c_{days}) filter (n_{days} > 0), avg((v_{days} > 0)::int) filter (n_{days} > 0)"""
POWER_Z = float(scipy.stats.norm.ppf(0.975) + scipy.stats.norm.ppf(0.8))


def detectable_effect(sd: float, treated: float, others: float) -> float:
    """The smallest effect that so many customers show with 80 % power at 5 %, both sides counted."""
    return POWER_Z * sd * float((1 / max(treated, 1e-9) + 1 / max(others, 1e-9)) ** 0.5)


class PastDays(NamedTuple):
    """Customers seen in the last so many days of a log: how many, what each spent in them (mean and standard deviation,
    what is above the 99th percentile counted as that), and the share who bought."""

    days: int
    customers: int
    mean_cents: float
    sd_cents: float
    bought: float


class Power(NamedTuple):
    """After so many `days` and customers: the smallest difference between two arms that shows in 4 of 5 cases, in the
    unit of the outcome and as a share of its mean; and whether every arm has `enough` customers for a verdict."""

    days: int
    customers: int
    smallest: float
    share: float | None
    enough: bool


def past_days(events: DuckDBPyRelation, last_ms: int) -> tuple[PastDays, ...]:
    """By one reading of the log; spans in which fewer than two customers were seen are left out."""

    def each(form: str) -> str:
        return ", ".join(form.format(days=days, first=f"$last - {days * DAY_MS}") for days in SPAN_DAYS)

    query = f"""
    with people as (
        select customer_id, {each(SEEN_COUNT)}, {each(SPENT_SUM)} from events
        where ts_ms >= $last - {SPAN_DAYS[-1] * DAY_MS} and customer_id is not null group by customer_id
    ), capped as (select *, {each(CAPPED_SPEND)} from people)
    select {each(SPEND_SUMMARY)} from capped"""
    row = fetch_frame(run_select(bind(query, last=last_ms + 1), events=events).project("*")).row(0)
    found = [PastDays(days, *row[at : at + 4]) for days, at in zip(SPAN_DAYS, range(0, len(row), 4), strict=True)]
    return tuple(each for each in found if each.customers > 1)


def power(past: Sequence[PastDays], design: Design) -> tuple[Power, ...]:
    """Of the arm that shows least, the error rate shared by all arms; intervals as they are at the planned end."""
    others = [share for arm, share in design.shares.items() if arm != design.control]
    alpha, control = design.alpha / len(others), design.shares[design.control]
    reach = float(scipy.stats.norm.ppf(1 - alpha / 2)) if design.method == "fixed" else sequential_boundary(1.0, alpha)
    need = reach + float(scipy.stats.norm.ppf(0.8))
    found = []
    for span in past:
        rate = design.primary == "bought"
        mean, sd = (span.bought, (span.bought * (1 - span.bought)) ** 0.5) if rate else (span.mean_cents, span.sd_cents)
        noise = sd * ((1 / min(others) + 1 / control) / span.customers) ** 0.5
        enough = span.customers * min(*others, control) >= design.least
        part = need * noise / mean if mean > 0 else None
        found.append(Power(span.days, span.customers, need * noise, part, enough))
    return tuple(found)
