"""Part of step 2 under privacy.epsilon: purchases in; noisy sums and the log of made-up customers kept.

What customers share is then learned from the made-up ones. The last window's revenue comes from the same
sums, and so does the amount at which outcomes are cut.
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
    first_total,
    made_up_log,
    second_total,
    usual_line,
)
from promolift.extensions.privacy.results import known_sums, released
from promolift.foundation.time.units import DAY_MS
from promolift.shop.results.ingest import Span
from promolift.shop.results.work_folder.run_context import Job, mapped, moments

MADE_UP = -1  # the number of the shard that the made-up customers are


def keep_stand_in(job: Job) -> None:
    """Release the sums of this log, or find them released, and keep the table `stand_in`."""
    span, targets = span_of(job), catalogue_targets(job.clean.products)
    shards = job.clean.shards
    first = np.sum(list(mapped(job, first_of, shards, span)), axis=0)
    came = released(job, "profiles", "shop", first, FIRST_CLIP, 2)
    usual = usual_line(came.values)
    second = np.sum(list(mapped(job, second_of, shards, targets, span, usual)), axis=0)
    chose = released(job, "profiles", "targets", second, SECOND_CLIP, 2)
    sums = ShopSums(came.values, came.sd, chose.values, chose.sd)
    job.store.save("stand_in", made_up_log(sums, targets, span, job.config.plan.seed))


def deals_of(job: Job) -> pl.DataFrame:
    """Discounted lines as they are known to everybody."""
    return deals_by_week(job.clean.products, span_of(job), known_sums(job.store).deals)


def first_of(job: Job, shard: int, span: LogSpan) -> np.ndarray:
    """A shard's part of the first release."""
    return first_total(job.clean.events(shard), job.clean.products, span)


def second_of(job: Job, shard: int, targets: CatalogueTargets, span: LogSpan, usual: float) -> np.ndarray:
    """A shard's part of the second one."""
    return second_total(job.clean.events(shard), job.clean.products, targets, span, usual)


def span_of(job: Job) -> LogSpan:
    """From the log's first moment to the plan's."""
    first = Span.load(job.store).first_ms
    return LogSpan(first or 0, moments(job).asof, job.config.plan.window_days * DAY_MS)


def as_shard(job: Job) -> customers.Shard:
    """The made-up customers as a shard; no campaign ever reached them."""
    clean = job.clean
    asked, used = (None if rows is None else rows.filter("false") for rows in (clean.exposures, clean.redemptions))
    return customers.Shard(job.profiled.stand_in, clean.products, asked, used)
