"""Past snapshots in; the spend model, everybody's forecast, and its check on the last weeks, out."""

import polars as pl

from promolift import learn, profile
from promolift.errors import SupportError
from promolift.results.job import Job, Moments, moments
from promolift.results.predictions import Predictions, Scored
from promolift.results.shop import Span
from promolift.sql import WEEK_MS
from promolift.steps.profile import moments_of, open_shard, profile_settings

HORIZON, STEP, WARM_UP = 8, 4, 10  # weeks: of the forecast, between snapshots, of history before the first snapshot
MODEL, RECENT = f"spend of the next {HORIZON} weeks, money", "their recent level (half-life 16 weeks)"


def keep_spend(job: Job, at: Moments) -> str | None:
    """Fit as of the plan's moment and keep everybody's forecast; returns the reason if there can be none."""
    for name in ("spend", "spend_inputs"):
        if job.store.has(name):
            job.store.remove(name)
    grid = snapshot_moments(job, at)
    job.store.save("spend_inputs", features(job, sorted({*grid, at.check, at.asof})))
    try:
        model = profile.fit_spend(snapshots(job, at, at.asof))
    except SupportError as reason:
        return str(reason)
    job.store.save("spend", model.predict(inputs_at(job, at.asof)))
    return None


def snapshot_moments(job: Job, at: Moments) -> list[int]:
    """Every fourth week back from the last moment whose horizon has ended, as far as there is history before it."""
    first = (Span.load(job.store).first_ms or 0) + WARM_UP * WEEK_MS
    return list(range(at.asof - HORIZON * WEEK_MS, first, -STEP * WEEK_MS))


def snapshots(job: Job, at: Moments, before_ms: int) -> pl.DataFrame:
    """Features and outcomes of the snapshots whose horizon had ended by `before_ms`."""
    asofs = [moment for moment in snapshot_moments(job, at) if moment + HORIZON * WEEK_MS <= before_ms]
    if not asofs:
        raise SupportError(f"less than {WARM_UP + HORIZON} weeks of history; a spend forecast needs as much")
    ended = _kept(job).filter(pl.col("asof_ms").is_in(asofs))
    return ended.join(outcomes(job, asofs), on=["customer_id", "asof_ms"])


def outcomes(job: Job, asofs: list[int]) -> pl.DataFrame:
    """What everybody spent in the horizon after each moment."""
    shards = [job.clean.events(shard) for shard in job.clean.shards]
    return pl.concat([profile.spend_outcomes(events, moments_of(events, asofs), HORIZON) for events in shards])


def inputs_at(job: Job, asof_ms: int) -> pl.DataFrame:
    """The kept inputs of one moment."""
    return _kept(job).filter(pl.col("asof_ms") == asof_ms)


def _kept(job: Job) -> pl.DataFrame:
    rows = job.effects.spend_inputs
    if rows is None:
        raise SupportError("no spend forecast: the history is too short")
    return rows


def features(job: Job, asofs: list[int]) -> pl.DataFrame:
    """The spend model's inputs for everybody known at each moment."""
    settings, shards = profile_settings(job), job.clean.shards
    start = profile.Shared.start(asofs)
    shared = start.plus(profile.shop_step(open_shard(job, shard), start, settings) for shard in shards)
    parts = []
    for shard in shards:
        here = open_shard(job, shard)
        parts.append(profile.spend_features(here, moments_of(here.events, asofs), shared, settings, HORIZON))
    return pl.concat(parts)


def check(job: Job) -> Predictions:
    """How good the forecast made at the check's moment was; no calibration, since money is no probability."""
    at = moments(job)
    model = profile.fit_spend(snapshots(job, at, at.check))
    now = inputs_at(job, at.check).join(outcomes(job, [at.check]), on=["customer_id", "asof_ms"])
    actual, guess = now["outcome_cents"].to_numpy() / 100, model.predict(now)["typical_cents"].to_numpy() / 100
    recent = now["level_16"].to_numpy() / 100
    figures = [(learn.mae, "lower"), (learn.spearman, "higher")]
    rows = (Scored.of(MODEL, make(actual, guess), RECENT, make(actual, recent).value, way) for make, way in figures)
    return Predictions(scores=tuple(rows))
