"""Predictions made as of the check's moment in; how they fared in the weeks after, beside a simple rule, out."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import learn, sql
from promolift.errors import SupportError
from promolift.results.job import Job, moments
from promolift.results.predictions import AVERAGE, Predictions, Reliability, Scored
from promolift.results.tables import EVERYBODY, Among
from promolift.sql import DAY_MS, bind, fetch
from promolift.tables import LEVEL, TARGET

BOUGHT = f"""
with {LEVEL}
select distinct e.customer_id, {TARGET} as target
from events e cross join level left join products p on p.product_id = e.product_id
where e.kind = 'purchase' and e.ts_ms >= $start and e.ts_ms < $stop and {TARGET} is not null order by all
"""
MOST_JUDGED = 20_000  # customers whose forecasts are held against what came: of more, so many are drawn by hash
BUYING, REPEATS = "buying a category in the window", "their most frequent categories"


def purchases(job: Job) -> Predictions:
    """How good was the purchase forecast: customers and categories they had bought before the check.

    Of more than `MOST_JUDGED` customers by as many, drawn by hash.
    """
    at, days = moments(job), job.config.plan.window_days
    some = Among(share=min(1.0, MOST_JUDGED / max(job.profiled.size, 1)))
    rows = job.profiled.affinities(at.check, among=some).filter(pl.col("buy_prob").is_not_null())
    truth = bought_in(job, at.check, at.check + days * DAY_MS, some)
    rows = rows.join(truth.with_columns(hit=pl.lit(1)), on=["customer_id", "target"], how="left").with_columns(
        pl.col("hit").fill_null(0)
    )
    known = rows.filter(pl.col("bought"))
    if known.height < 100 or known["hit"].sum() < 10:
        raise SupportError(
            f"{known.height} customer-category pairs before the last 11 weeks; 100 with 10 purchases are needed"
        )
    often = known["orders"].to_numpy().astype(np.float64)
    return graded(BUYING, known["hit"].to_numpy(), known["buy_prob"].to_numpy(), REPEATS, often, known["customer_id"])


def graded(
    model: str, y: NDArray[np.int64], prob: NDArray[np.float64], rule: str, ranked: NDArray[np.float64],
    customers: pl.Series,
) -> Predictions:  # fmt: skip
    """A probability against what happened (0 or 1), beside a simple rule that can only rank, and one that cannot."""
    people = customers.to_list()
    calibration, alike = learn.calibration(y, prob, groups=people), np.full(len(y), y.mean())
    same = learn.log_loss(y, alike).value
    return Predictions(
        scores=(
            Scored.of(model, learn.auc(y, prob, people), rule, learn.auc(y, ranked, people).value, "higher"),
            Scored.of(model, learn.log_loss(y, prob, people), "the same probability for all", same, "lower"),
            Scored.of(model, calibration.in_the_large, AVERAGE, 1.0, ""),
        ),
        reliability=(Reliability.of(model, calibration.bins),),
    )


def bought_in(job: Job, start_ms: int, stop_ms: int, among: Among = EVERYBODY) -> pl.DataFrame:
    """customer_id, target of all that was bought in [start, stop)."""
    query, products = bind(BOUGHT, start=start_ms, stop=stop_ms), job.clean.products
    shards = (among.rows(job.clean.events(shard)) for shard in job.clean.shards)
    return pl.concat([fetch(sql.run(query, events=events, products=products)) for events in shards])
