"""What a plan may rest on: the weakest evidence, the least gain of an offer, and its budget."""

import polars as pl

from promolift.errors import SupportError
from promolift.results.job import Job, Moments
from promolift.results.plan import Level
from promolift.sql import DAY_MS

LEVELS: tuple[Level, ...] = ("assumed", "adjusted", "randomised")


def evidence_floor(job: Job, *parts: pl.DataFrame) -> Level:
    """The weakest evidence an offer may have to be planned; auto: the strongest that any open offer reaches."""
    asked = job.config.plan.min_evidence
    if asked != "auto":
        return asked
    found = {level for part in parts for level in part.filter(pl.col("eligible"))["evidence"].unique()}
    return next((level for level in reversed(LEVELS) if level in found), LEVELS[0])


def close_weak(valued: pl.DataFrame, floor: str) -> pl.DataFrame:
    """Close candidates whose effect is known less well than `floor`; their expected effects stay to be looked at."""
    why = pl.format("its effect is only {}: test it before planning with it", pl.col("evidence"))
    return _closed(valued, pl.col("evidence").is_in(list(LEVELS[: LEVELS.index(floor)])), why)


def close_small(valued: pl.DataFrame, least_gain_cents: float) -> pl.DataFrame:
    """Close candidates that are expected to bring less than `least_gain_cents`; as they are where that is 0."""
    if least_gain_cents <= 0:
        return valued
    small = (pl.col("gain_cents") < least_gain_cents) & (pl.col("offer_id") != "none")
    return _closed(valued, small, pl.lit("its expected gain is below rules.least_gain_cents"))


def _closed(valued: pl.DataFrame, where: pl.Expr, why: pl.Expr) -> pl.DataFrame:
    closed = where.fill_null(False) & pl.col("eligible")
    return valued.with_columns(
        pl.when(closed).then(why).otherwise("why_not").alias("why_not"),
        (pl.col("eligible") & ~closed).alias("eligible"),
    )


def budget_cents(job: Job, at: Moments) -> int:
    """The stated budget, or the stated share of the last window's revenue."""
    plan = job.config.plan
    if plan.budget_cents is not None:
        return plan.budget_cents
    since = at.asof - plan.window_days * DAY_MS
    sold = (
        job.clean.events()
        .filter(f"ts_ms >= {since} and ts_ms < {at.asof}")
        .aggregate("sum(revenue_cents)::bigint as s")
    )
    revenue = sold.fetchall()[0][0] or 0
    if revenue <= 0:
        raise SupportError(
            "no revenue in the last window to take a budget from. If the log names no prices or amounts, nobody knows "
            "what a discount costs or brings: name their column under [data.events.mapping] (columns.amount or "
            "columns.unit_price); without any, plan.budget_cents = 0 in promolift.toml runs all but the offers. "
            "Otherwise set plan.budget_cents"
        )
    return round(revenue * plan.budget_share)
