"""Step 3: profiles and past prices in; the discount response and the redemption model kept."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import polars as pl

from promolift import effect
from promolift.errors import SupportError
from promolift.results import effects
from promolift.results.job import Job, Moments, moments
from promolift.results.shop import Span
from promolift.sql import some
from promolift.store.local import shard_expression

KEY = ["campaign_id", "customer_id"]
SAMPLE = "md5_number_lower('response' || customer_id) % 1000000 < {below}"


def run(job: Job) -> None:
    """Fit the discount response on all customers and on two halves; say why it is assumed where it cannot be read."""
    at, settings = moments(job), job.config.discount
    try:
        data = response_panel(job, at)
        job.tell("effect", 0.5, f"response of {data['customer_id'].n_unique():,} customers")
        sensitivity = job.profiled.profiles(at.response).select("customer_id", "price_sensitivity")
        response = effect.fit_response(data, sensitivity, settings)
        job.tell("effect", 0.8, "the same on two halves of the customers")
        halves = [] if response.level == "assumed" else effect.fit_halves(data, sensitivity, settings)
    except SupportError as reason:
        response, halves = effect.assumed_response(str(reason), settings), []
    job.tell("effect", 0.9, "who redeems coupons")
    coupons = keep_redemption(job, at, response.targets["target"].to_list())
    effects.NoModel(redemption=coupons).keep(job.store)
    effects.keep_responses(job.store, response, halves)


def response_panel(job: Job, at: Moments) -> pl.DataFrame:
    """The panel of all shards; of a hash sample of customers where there are more than a response needs."""
    clean, settings = job.clean, job.config.panel.model_copy(update={"weeks": at.weeks})
    shards, products = clean.shards, clean.products
    job.store.save("depths", effect.depth_sums(clean.events(), products, at.asof).order("target, product_id, week"))
    depths = job.effects.depths
    if not depths.filter("depth_sum > 0").limit(1).fetchall():
        raise SupportError("the data hold no shelf discounts, so nobody can be seen answering to one")
    share = 2 * job.config.discount.max_customers / max(1, Span.load(job.store).customers)
    parts: list[pl.DataFrame] = []
    for done, shard in enumerate(shards, 1):
        events = clean.events(shard)
        if share < 1:
            events = some(events.filter(SAMPLE.format(below=int(share * 1_000_000))))
        parts.append(effect.panel(events, products, depths, at.asof, settings).pl())
        job.tell("effect", 0.5 * done / len(shards), "what discounts each customer met")
    return pl.concat(parts)


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
