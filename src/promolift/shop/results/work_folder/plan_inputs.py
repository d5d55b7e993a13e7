"""Inputs that planning and feedback share: time spans and the budget."""

import numpy as np
import polars as pl

from promolift.core.experiments.power import detectable_effect
from promolift.core.experiments.surrogate import Spans, value_between
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.work_folder.run_context import Job, Moments, daily_sales

OUTLIER_SHARE = 0.99  # what a customer was worth beyond this quantile counts as the quantile


def plan_spans(job: Job) -> Spans:
    """Return window and horizon in days."""
    window = job.config.plan.window_days
    return Spans(window, max(window, job.config.value.horizon_days))


def holdout_power_cents(job: Job, asof_ms: int, customer_ids: pl.Series, holdout_share: float) -> float | None:
    """The smallest effect per customer, in minor units, that these customers show in a window with 80 % power against
    those of their kind who are held out, by what they were worth in the last window. None where nobody is compared.
    """
    if not (len(customer_ids) and 0 < holdout_share < 1) or not job.clean.has_events or job.clean.lacks_amounts:
        return None
    sales = daily_sales(job, asof_ms, job.config.value.margin_rate)
    value_N = value_between(sales, customer_ids.sort(), -job.config.plan.window_days, 0)
    spread = float(np.std(np.minimum(value_N, np.quantile(value_N, OUTLIER_SHARE))))
    held = len(customer_ids) * holdout_share / (1 - holdout_share)
    return detectable_effect(spread, len(customer_ids), held) if spread > 0 else None


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
            gettext_lazy(
                "no revenue in the last window to take a budget from. If the log names no prices or "
                "amounts, nobody knows what a discount costs or brings: name their column under "
                "[data.events.mapping] (columns.amount or columns.unit_price); without any, "
                "plan.budget_cents = 0 in promolift.toml runs all but the offers. Otherwise set "
                "plan.budget_cents"
            ),
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
