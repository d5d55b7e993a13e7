"""Inputs that planning and feedback share: time spans and the budget."""

from promolift.core.experiments.surrogate import Spans
from promolift.foundation.errors import SupportError
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.work_folder.run_context import Job, Moments


def plan_spans(job: Job) -> Spans:
    """Return window and horizon in days."""
    window = job.config.plan.window_days
    return Spans(window, max(window, job.config.value.horizon_days))


def budget_cents(job: Job, at: Moments) -> int:
    """The stated budget, or the stated share of the last window's revenue."""
    plan = job.config.plan
    if plan.budget_cents is not None:
        return plan.budget_cents
    revenue = job.release_policy.known_figure("revenue_cents")
    if revenue is None:
        revenue = _revenue_cents(job, at)
    if revenue <= 0:
        raise SupportError(
            "revenue_missing",
            "no revenue in the last window to take a budget from. If the log names no prices or amounts, nobody knows "
            "what a discount costs or brings: name their column under [data.events.mapping] (columns.amount or "
            "columns.unit_price); without any, plan.budget_cents = 0 in promolift.toml runs all but the offers. "
            "Otherwise set plan.budget_cents",
        )
    return round(revenue * plan.budget_share)


def _revenue_cents(job: Job, at: Moments) -> float:
    plan = job.config.plan
    since = at.asof - plan.window_days * DAY_MS
    sold = (
        job.clean.events()
        .filter(f"ts_ms >= {since} and ts_ms < {at.asof}")
        .aggregate("sum(revenue_cents)::bigint as s")
    )
    return float(sold.fetchall()[0][0] or 0)
