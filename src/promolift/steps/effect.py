"""Step 3: profiles and past prices in; the discount response and the redemption model kept."""

import polars as pl

from promolift import effect
from promolift.errors import SupportError
from promolift.results import effects
from promolift.results.job import Job, Moments, moments
from promolift.results.shop import Span
from promolift.sql import some
from promolift.steps.redeem import keep_redemption

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
