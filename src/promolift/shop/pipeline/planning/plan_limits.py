"""Limits of a plan: the weakest evidence, the least gain and the highest cost of an offer, and the private price."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core import allocation
from promolift.core.allocation.algorithms.choice import ChoiceRows
from promolift.core.allocation.candidate_table import PreparedCandidates
from promolift.core.customers.reason_text import WEAK_EFFECT
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.release_policy import clip_rows
from promolift.shop.results.work_folder.run_context import Job

PRICES = (0.0, *(0.1 * 1.4**k for k in range(24)))  # of the budget, among which a private one is found
NOISE_SHARE, NOISE_MARGIN = 0.05, 2.0
COST_GRID = 2.0**-8  # minor units
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
    before, after = WEAK_EFFECT.split("{level}")
    why = pl.concat_str(pl.lit(before), pl.col("evidence"), pl.lit(after))
    return _closed(valued, pl.col("evidence").is_in(list(LEVELS[: LEVELS.index(floor)])), why)


def close_small(valued: pl.DataFrame, least_gain_cents: float) -> pl.DataFrame:
    """Close candidates that are expected to bring less than `least_gain_cents`; as they are where that is 0."""
    if least_gain_cents <= 0:
        return valued
    small = (pl.col("gain_cents") < least_gain_cents) & (pl.col("offer_id") != "none")
    return _closed(valued, small, pl.lit(gettext_noop("its expected gain is below rules.least_gain_cents")))


def close_unaffordable(valued: pl.DataFrame, most_cents: float) -> pl.DataFrame:
    """Close candidates that are expected to cost more than one customer may weigh in a private sum of costs."""
    dear = (pl.col("cost_cents") > most_cents) & (pl.col("offer_id") != "none")
    return _closed(
        valued, dear, pl.lit(gettext_noop("it costs more than one customer may weigh under privacy.epsilon"))
    )


def most_cents(job: Job, budget: int) -> float:
    """What an offer may cost so that the noise in the cost of a whole plan is about NOISE_SHARE of its budget."""
    noise = job.release_policy.noise_sd("price", clip=1.0)
    return float(NOISE_SHARE * budget / (noise * len(PRICES) ** 0.5))


def private_price(job: Job, offers: PreparedCandidates, budget: int) -> float:
    """Return the least of PRICES at which the noisy cost of the plan stays NOISE_MARGIN noises below its budget.

    What a customer costs falls with the price: their parts between one price and the next are at most what one offer
    may cost, all together.
    """
    most = most_cents(job, budget)
    total_P = sum(offers.partitions.each(costs_between, offers.codes, most), np.zeros(len(PRICES)))
    found = job.release_policy.release("price", "costs", total_P, most)
    above = np.arange(len(PRICES), 0, -1)  # sums that the noise of a price adds up from
    cost_P = np.cumsum(found.values[::-1])[::-1] + NOISE_MARGIN * found.sd * np.sqrt(above)
    within = np.flatnonzero(cost_P <= budget)
    return PRICES[int(within[0])] if len(within) else PRICES[-1]


def costs_between(rows: ChoiceRows, codes: int, most: float) -> NDArray[np.float64]:
    """What customers cost between one price and the next, each of them at most `most` in all, summed. Parts are cut to
    multiples of COST_GRID, so that the sum is the same bits in any order of partitions.
    """
    part_NP = allocation.costs_at_prices(rows, codes, PRICES)
    part_NP[:, :-1] -= part_NP[:, 1:]
    return np.asarray((np.trunc(clip_rows(part_NP, most) / COST_GRID) * COST_GRID).sum(axis=0))


def _closed(valued: pl.DataFrame, where: pl.Expr, why: pl.Expr) -> pl.DataFrame:
    closed = where.fill_null(False) & pl.col("eligible")
    return valued.with_columns(
        pl.when(closed).then(why).otherwise("why_not").alias("why_not"),
        (pl.col("eligible") & ~closed).alias("eligible"),
    )
