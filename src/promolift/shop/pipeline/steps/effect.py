"""Step 3: estimate the discount response and the redemption model from profiles and past prices."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import polars as pl
from duckdb import DuckDBPyRelation

from promolift.core import effects as effect
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import fetch_frame, require_relation, run_select
from promolift.foundation.storage.table_writing import TableDraft
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results import effects
from promolift.shop.results.ingest import Span
from promolift.shop.results.line_tests import all_draws
from promolift.shop.results.work_folder.run_context import Job, Moments, map_shards, moments

KEY = ["campaign_id", "customer_id"]
WEEK_OF = ["target", "product_id", "week"]
SUMS_BEFORE_ADDING = 8  # sums that wait to be added up at once
SAMPLE = "md5_number_lower('response' || customer_id) % 1000000 < {below}"
WITHOUT_OFFERS = """select e.* from events e where not exists (
    select 1 from sent s where s.customer_id = e.customer_id and e.ts_ms >= s.ts_ms and e.ts_ms < s.end_ms)"""
MOST_SENT = 2_000_000  # past exposures that the redemption model learns from; of more, those of a share of customers


def run(job: Job) -> None:
    """Fit the discount response on all customers and on two halves; say why it is assumed where it cannot be read."""
    at, settings = moments(job), job.config.discount
    try:
        if job.config.privacy.epsilon is not None:
            raise SupportError(
                "model_not_private",
                gettext_lazy("privacy.epsilon: it would be learned from customers' weeks one by one"),
            )
        data = response_panel(job, at)
        job.tell(
            "effect",
            0.5,
            gettext_lazy("response of {customer_id} customers", customer_id=f"{data['customer_id'].n_unique():,}"),
        )
        sensitivity = job.profiled.profiles(at.response).select("customer_id", "price_sensitivity")
        response = effect.fit_response(data, sensitivity, settings)
        job.tell("effect", 0.8, gettext_noop("the same on two halves of the customers"))
        halves = [] if response.level == "assumed" else effect.fit_response_halves(data, sensitivity, settings)
        now = job.profiled.profiles(at.asof).select("price_sensitivity").to_series()
        response, *halves = (each.at_sensitivities(now) for each in (response, *halves))
    except SupportError as reason:
        response, halves = effect.assumed_response(str(reason), settings), []
    job.tell("effect", 0.9, gettext_noop("who redeems coupons"))
    coupons = save_redemption(job, at, response.targets["target"].to_list())
    effects.MissingModels(redemption=coupons).keep(job.store)
    effects.save_responses(job.store, response, halves)


def response_panel(job: Job, at: Moments) -> pl.DataFrame:
    """The panel of all shards; of a hash sample of customers where there are more than a response needs."""
    clean, settings = job.clean, job.config.panel.model_copy(update={"weeks": at.weeks})
    shards = clean.shards
    sums: list[pl.DataFrame] = []
    for part in map_shards(job, depth_sums_of, shards, at.asof):
        sums = [add_depth_sums([*sums, part])] if len(sums) == SUMS_BEFORE_ADDING else [*sums, part]
    job.store.save("depths", add_depth_sums(sums).sort(WEEK_OF))
    depths = job.effects.depths
    if not depths.filter("depth_sum > 0").limit(1).fetchall():
        raise SupportError(
            "discounts_missing",
            gettext_lazy("the data hold no shelf discounts, so nobody can be seen answering to one"),
        )
    share = 2 * job.config.discount.max_customers / max(1, Span.load(job.store).customers)
    parts: list[pl.DataFrame] = []
    for done, part in enumerate(map_shards(job, panel_of, shards, share, at, settings), 1):
        parts.append(part)
        job.tell("effect", 0.5 * done / len(shards), gettext_noop("what discounts each customer met"))
    return pl.concat(parts).sort("customer_id", "target", "week")  # the same whatever the shards


def add_depth_sums(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Sums of `effects.sum_depths` added up."""
    return pl.concat(parts).group_by(WEEK_OF).agg(pl.col("lines", "depth_sum", "list_cents").sum())


def depth_sums_of(job: Job, shard: int, asof_ms: int) -> pl.DataFrame:
    """What the depths of a shard's lines add up to."""
    return fetch_frame(effect.sum_depths(events_without_offers(job, shard), job.clean.products, asof_ms))


def panel_of(job: Job, shard: int, share: float, at: Moments, settings: effect.PanelSettings) -> pl.DataFrame:
    """The panel of a share of a shard's customers."""
    events = events_without_offers(job, shard)
    if share < 1:
        events = require_relation(events.filter(SAMPLE.format(below=int(share * 1_000_000))))
    return fetch_frame(effect.build_panel(events, job.clean.products, job.effects.depths, at.asof, settings))


def events_without_offers(job: Job, shard: int) -> DuckDBPyRelation:
    """The events of a shard, but for those of customers while they had an offer of this shop's plans: a personal
    discount that the log shows as a lower price is no price on the shelf.
    """
    events, drawn = job.clean.events(shard), all_draws(job.store)
    if drawn is None:
        return events
    sent = drawn.filter(pl.col("arm") != "none").select(
        "customer_id", "ts_ms", end_ms=pl.col("ts_ms") + pl.col("window_days") * DAY_MS
    )
    return run_select(WITHOUT_OFFERS, events=events, sent=sent)


def save_redemption(job: Job, at: Moments, targets: list[str]) -> str | None:
    """Fit on every campaign that is over, keep the model and the odds of a coupon per customer and target.

    Returns the reason if there can be no model; nothing is kept then.
    """
    store = job.store
    for name in ("redemption_odds", "redemption_features"):
        if store.has(name):
            store.remove(name)
    try:
        if job.config.privacy.epsilon is not None:
            raise SupportError(
                "model_not_private", gettext_lazy("privacy.epsilon: who redeemed what is nobody else's matter")
            )
        whole, shards = campaign_history(job), job.clean.shards
        with ExitStack() as stack:
            parts = partition_campaigns(job, whole, at, stack)
            share = MOST_SENT / max(1, len(whole.exposures))
            features = pl.concat(map_shards(job, features_of, shards, parts, share)).sort(KEY)
            outcomes = effect.redemption_outcomes(whole.exposures, whole.redemptions, at.asof)
            model = effect.fit_redemption(features, outcomes)
            store.save("redemption_features", features)
            del features
            if targets and any(item.activation != "automatic" for item in job.config.menu):
                covers = effect.target_covers(job.clean.products, targets)
                with store.sharded("redemption_odds") as put:
                    for _ in map_shards(job, save_redemption_odds, shards, parts, model, covers, at.asof, put):
                        pass
    except SupportError as reason:
        return str(reason)
    return None


class CampaignParts(NamedTuple):
    """Who was sent what, who redeemed and who is known, in parts by shard of customers; what all of them had done."""

    exposures: list[Path]
    redemptions: list[Path]
    customers: list[Path]
    shared: effect.CampaignTotals


def partition_campaigns(job: Job, whole: effect.CampaignHistory, at: Moments, stack: ExitStack) -> CampaignParts:
    """Partition the campaign tables by shard, so that a task reads its own customers only; `stack` removes them."""
    shards = len(job.clean.shards)
    exposures, redemptions, customers = (
        stack.enter_context(job.store.split(require_relation(rows), shards, "customer_id"))
        for rows in (whole.exposures, whole.redemptions, whole.customers)
    )
    starts = fetch_frame(whole.exposures.project("start_ms").distinct().order("start_ms"))["start_ms"]
    shared = effect.campaign_totals(whole.exposures, whole.redemptions, starts.extend_constant(at.asof, 1))
    return CampaignParts(exposures, redemptions, customers, shared)


def features_of(job: Job, shard: int, parts: CampaignParts, share: float) -> pl.DataFrame:
    """What the model reads of each past exposure of a shard's customers, whether they have events or not."""
    past = history_of(job, shard, parts)
    sent = past.exposures if share >= 1 else past.exposures.filter(SAMPLE.format(below=int(share * 1_000_000)))
    return effect.exposure_features(past, sent)


def save_redemption_odds(
    job: Job, shard: int, parts: CampaignParts, model: effect.RedemptionModel, covers: pl.DataFrame, asof_ms: int,
    put: TableDraft,
) -> None:  # fmt: skip
    """Write the odds of a coupon for each customer of a shard and target."""
    asked = effect.offer_features(history_of(job, shard, parts), asof_ms, covers)
    odds = asked.select("customer_id", pl.col("campaign_id").alias("target"))
    put(shard, [odds.with_columns(pl.Series("redeem_prob", model.predict(asked)))])


def history_of(job: Job, shard: int, parts: CampaignParts) -> effect.CampaignHistory:
    """The campaign tables of one shard's customers, with what all of them had done."""
    exposures, redemptions, customers = (
        job.store.part(rows[shard]) for rows in (parts.exposures, parts.redemptions, parts.customers)
    )
    return replace(
        campaign_history(job), events=job.clean.events(shard), exposures=exposures, redemptions=redemptions,
        customers=customers, campaigns=parts.shared,
    )  # fmt: skip


def campaign_history(job: Job) -> effect.CampaignHistory:
    """Return the campaign tables as the redemption model reads them, with the events of all customers."""
    clean = job.clean
    exposures, redemptions = clean.exposures, clean.redemptions
    if exposures is None or redemptions is None:
        raise SupportError(
            "campaigns_missing",
            gettext_lazy("no past campaigns: give a promotions file that says who was sent what and who redeemed"),
        )
    return effect.CampaignHistory(
        clean.events(), exposures, redemptions, clean.products, clean.coupons, clean.customers,
        Span.load(job.store).first_ms,
    )  # fmt: skip
