"""Release noisy sums and store the log of synthetic customers (part of step 2 under `privacy.epsilon`).

Everything that customers share is then learned from the synthetic customers. The revenue of the last window and the
amount at which outcomes are capped come from the same sums.
"""

import numpy as np
import polars as pl

from promolift.core import customers
from promolift.extensions.privacy.mechanisms.synthetic_customers import (
    FIRST_CLIP,
    SECOND_CLIP,
    CatalogueTargets,
    LogSpan,
    ShopSums,
    catalogue_targets,
    deals_by_week,
    first_release_sum,
    second_release_sum,
    synthetic_log,
    usual_line,
)
from promolift.extensions.privacy.results import load_shop_sums, release_total
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.ingest import Span
from promolift.shop.results.work_folder.run_context import Job, map_shards, moments

SYNTHETIC_SHARD = -1  # the number of the shard that the made-up customers are


def save_synthetic_customers(job: Job) -> None:
    """Release the sums of this log, or find them released, and keep the table `stand_in`."""
    span, targets = log_span(job), catalogue_targets(job.clean.products)
    shards = job.clean.shards
    first = np.sum(list(map_shards(job, shard_first_sum, shards, span)), axis=0)
    came = release_total(job, "profiles", "shop", first, FIRST_CLIP, 2)
    usual = usual_line(came.values)
    second = np.sum(list(map_shards(job, shard_second_sum, shards, targets, span, usual)), axis=0)
    chose = release_total(job, "profiles", "targets", second, SECOND_CLIP, 2)
    sums = ShopSums(came.values, came.sd, chose.values, chose.sd)
    job.store.save("stand_in", synthetic_log(sums, targets, span, job.config.plan.seed))


def load_deals(job: Job) -> pl.DataFrame:
    """Discounted lines as they are known to everybody."""
    return deals_by_week(job.clean.products, log_span(job), load_shop_sums(job.store).deals)


def shard_first_sum(job: Job, shard: int, span: LogSpan) -> np.ndarray:
    """A shard's part of the first release."""
    return first_release_sum(job.clean.events(shard), job.clean.products, span)


def shard_second_sum(job: Job, shard: int, targets: CatalogueTargets, span: LogSpan, usual: float) -> np.ndarray:
    """A shard's part of the second one."""
    return second_release_sum(job.clean.events(shard), job.clean.products, targets, span, usual)


def log_span(job: Job) -> LogSpan:
    """From the log's first day (UTC), which counts as public where its first moment does not, to the plan's."""
    first = (Span.load(job.store).first_ms or 0) // DAY_MS * DAY_MS
    return LogSpan(first, moments(job).asof, job.config.plan.window_days * DAY_MS)


def synthetic_shard(job: Job) -> customers.Shard:
    """The made-up customers as a shard; no campaign ever reached them."""
    clean = job.clean
    asked, used = (None if rows is None else rows.filter("false") for rows in (clean.exposures, clean.redemptions))
    return customers.Shard(job.profiled.synthetic_events, clean.products, asked, used)
