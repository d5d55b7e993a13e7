"""Past campaigns in; the redemption model, its odds for the menu's coupons, and its check on later campaigns, out."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from promolift import effect
from promolift.errors import SupportError
from promolift.results.job import Job, Moments, moments
from promolift.results.predictions import COUPONS, Predictions
from promolift.results.shop import Span
from promolift.steps.checks import graded
from promolift.store.local import shard_expression

PAST_RATE = "their past redemption rate"
KEY = ["campaign_id", "customer_id"]


def keep_redemption(job: Job, at: Moments, targets: list[str]) -> str | None:
    """Fit on every campaign that is over, keep the model and the odds of a coupon per customer and target.

    Returns the reason if there can be no model; nothing is kept then.
    """
    store = job.store
    for name in ("redemption_odds", "redemption_features"):
        if store.has(name):
            store.remove(name)
    try:
        features = pl.concat(
            effect.exposure_features(past, past.exposures.filter(_mine(job, shard))) for shard, past in _parts(job)
        ).sort(KEY)
        whole = history(job)
        outcomes = effect.redemption_outcomes(whole.exposures, whole.redemptions, at.asof)
        model = effect.fit_redemption(features, outcomes)
    except SupportError as reason:
        return str(reason)
    store.save("redemption_features", features)
    del features
    if targets and any(item.activation != "automatic" for item in job.config.menu):
        covers = effect.target_covers(job.clean.products, targets)
        asked = (effect.offer_features(past, at.asof, covers) for _, past in _parts(job))
        store.save("redemption_odds", (_odds(model, rows) for rows in asked))
    return None


def _odds(model: effect.RedemptionModel, asked: pl.DataFrame) -> pl.DataFrame:
    odds = asked.select("customer_id", pl.col("campaign_id").alias("target"))
    return odds.with_columns(pl.Series("redeem_prob", model.predict(asked)))


class PastOfShard(NamedTuple):
    """A shard of customers and what is known of them and of all campaigns."""

    shard: int
    past: effect.History


def _parts(job: Job) -> Iterator[PastOfShard]:
    """Shard by shard: memory holds the lines of one."""
    whole = history(job)
    for shard in job.clean.shards:
        yield PastOfShard(shard, replace(whole, events=job.clean.events(shard)))


def _mine(job: Job, shard: int) -> str:
    """SQL for customers of one shard, whether they have events or not."""
    return f"{shard_expression('customer_id', len(job.clean.shards))} = {shard}"


def history(job: Job) -> effect.History:
    """The campaign tables as the redemption model reads them."""
    clean = job.clean
    exposures, redemptions = clean.exposures, clean.redemptions
    if exposures is None or redemptions is None:
        raise SupportError("no past campaigns: give a promotions file that says who was sent what and who redeemed")
    return effect.History(
        clean.events(), exposures, redemptions, clean.products, clean.coupons, clean.customers,
        Span.load(job.store).first_ms,
    )  # fmt: skip


def check(job: Job) -> Predictions:
    """Trained on campaigns over before the check, scored on those begun after it."""
    at, past = moments(job), history(job)
    features = job.effects.redemption_features
    if features is None:
        raise SupportError("no redemption model: too few past campaigns with redemptions")
    model = effect.fit_redemption(features, effect.redemption_outcomes(past.exposures, past.redemptions, at.check))
    truth = effect.redemption_outcomes(past.exposures, past.redemptions, at.asof).drop_nulls("redeemed")
    later = features.filter(pl.col("start_ms") >= at.check).join(truth, on=KEY).sort(KEY)
    if later.height < 100 or later["redeemed"].sum() < 10:
        raise SupportError(f"{later.height} customers in campaigns of the last 11 weeks that are over; 100 are needed")
    y, prob = later["redeemed"].cast(pl.Int8).to_numpy(), model.predict(later)
    rate = later["earlier_redeemed"].fill_null(0) / (later["earlier_campaigns"].fill_null(0) + 1)
    return graded(COUPONS, y, prob, PAST_RATE, rate.to_numpy(), later["customer_id"])
