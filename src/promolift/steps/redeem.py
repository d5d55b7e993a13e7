"""Past campaigns in; the redemption model, its odds for the menu's coupons, and its check on later campaigns, out."""

import polars as pl

from promolift import effect
from promolift.errors import SupportError
from promolift.results.job import Job, Moments, moments
from promolift.results.predictions import COUPONS, Predictions
from promolift.steps.checks import graded

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
        past = history(job)
        features = effect.exposure_features(past)
        model = effect.fit_redemption(features, effect.redemption_outcomes(past.exposures, past.redemptions, at.asof))
    except SupportError as reason:
        return str(reason)
    store.save("redemption_features", features)
    if targets and any(item.activation != "automatic" for item in job.config.menu):
        covers = effect.target_covers(job.clean.products, targets)
        asked = effect.offer_features(past, at.asof, covers)
        odds = asked.select("customer_id", pl.col("campaign_id").alias("target"))
        store.save("redemption_odds", odds.with_columns(pl.Series("redeem_prob", model.predict(asked))))
    return None


def history(job: Job) -> effect.History:
    """The campaign tables as the redemption model reads them."""
    clean = job.clean
    exposures, redemptions = clean.exposures, clean.redemptions
    if exposures is None or redemptions is None:
        raise SupportError("no past campaigns: give a promotions file that says who was sent what and who redeemed")
    return effect.History(clean.events(), exposures, redemptions, clean.products, clean.coupons, clean.customers)


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
