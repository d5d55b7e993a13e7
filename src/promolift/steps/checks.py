"""Predictions made as of the check's moment in; how they fared in the weeks after, beside a simple rule, out."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift import learn, sql
from promolift.errors import SupportError
from promolift.results.job import Job, moments
from promolift.results.predictions import AVERAGE
from promolift.sql import DAY_MS, bind, fetch
from promolift.tables import LEVEL, TARGET

SCORES = {
    "model": pl.String, "figure": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
    "baseline": pl.String, "baseline_value": pl.Float64, "better": pl.String,
}  # fmt: skip
BINS = {
    "model": pl.String, "predicted": pl.Float64, "observed": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "n": pl.Int64,
}  # fmt: skip
RECALL = {"model": pl.String, "k": pl.Int64, "recall": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64}
BOUGHT = f"""
with {LEVEL}
select distinct e.customer_id, {TARGET} as target
from events e cross join level left join products p on p.product_id = e.product_id
where e.kind = 'purchase' and e.ts_ms >= $start and e.ts_ms < $stop and {TARGET} is not null order by all
"""
BUYING, REPEATS = "buying a category in the window", "their most frequent categories"


class CheckTables(NamedTuple):
    """SCORES, BINS and RECALL of one check."""

    scores: pl.DataFrame
    calibration: pl.DataFrame
    recall: pl.DataFrame


def purchases(job: Job) -> CheckTables:
    """How good was the purchase forecast: customers and categories they had bought before the check."""
    at, days = moments(job), job.config.plan.window_days
    rows = job.profiled.affinities(at.check).filter(pl.col("buy_prob").is_not_null())
    truth = bought_in(job, at.check, at.check + days * DAY_MS)
    rows = rows.join(truth.with_columns(hit=pl.lit(1)), on=["customer_id", "target"], how="left").with_columns(
        pl.col("hit").fill_null(0)
    )
    known = rows.filter(pl.col("bought"))
    if known.height < 100 or known["hit"].sum() < 10:
        raise SupportError(
            f"{known.height} customer-category pairs before the last 11 weeks; 100 with 10 purchases are needed"
        )
    y, prob, people = known["hit"].to_numpy(), known["buy_prob"].to_numpy(), known["customer_id"].to_list()
    often = known["orders"].to_numpy().astype(np.float64)
    calibration = learn.calibration(y, prob, groups=people)
    base = np.full(len(y), y.mean())
    scores = [
        score(BUYING, learn.auc(y, prob, people), REPEATS, learn.auc(y, often, people).value, "higher"),
        score(
            BUYING,
            learn.log_loss(y, prob, people),
            "the same probability for all",
            learn.log_loss(y, base, people).value,
            "lower",
        ),
        score(BUYING, calibration.in_the_large, AVERAGE, 1.0, ""),
    ]
    recall = [*recall_rows(rows, truth, "buy_prob", "promolift"), *recall_rows(rows, truth, "orders", REPEATS)]
    return CheckTables(
        pl.DataFrame(scores, schema=SCORES), bins(BUYING, calibration), pl.DataFrame(recall, schema=RECALL)
    )


def bought_in(job: Job, start_ms: int, stop_ms: int) -> pl.DataFrame:
    """customer_id, target of all that was bought in [start, stop)."""
    query, products = bind(BOUGHT, start=start_ms, stop=stop_ms), job.clean.products
    shards = (job.clean.events(shard) for shard in job.clean.shards)
    return pl.concat([fetch(sql.run(query, events=events, products=products)) for events in shards])


def recall_rows(rows: pl.DataFrame, truth: pl.DataFrame, by: str, model: str) -> Iterator[dict[str, object]]:
    """Recall at 1 to 10: targets bought that no list could hold count as missed."""
    hits = learn.ranked_hits(
        rows["customer_id"].to_list(),
        rows["target"].to_list(),
        rows[by].cast(pl.Float64).to_numpy(),
        rows["hit"].to_numpy(),
        10,
    )
    people = pl.DataFrame({"customer_id": rows["customer_id"].unique().sort()})
    counts = truth.group_by("customer_id").len("bought")
    total = people.join(counts, on="customer_id", how="left").sort("customer_id")["bought"].fill_null(0).to_numpy()
    for k in (1, 2, 3, 5, 10):
        found = learn.recall_at(hits, total, k)
        yield {"model": model, "k": k, "recall": found.value, "low": found.low, "high": found.high, "n": found.n}


PRINTED = {"auc": "AUC", "mae": "mean absolute error", "spearman": "rank correlation"}


def score(model: str, got: learn.Score, baseline: str, baseline_value: float, better: str) -> dict[str, object]:
    """One row of SCORES."""
    return {
        "model": model, "figure": PRINTED.get(got.figure, got.figure), "value": got.value, "low": got.low,
        "high": got.high, "n": got.n, "baseline": baseline, "baseline_value": baseline_value, "better": better,
    }  # fmt: skip


def bins(model: str, calibration: learn.Calibration) -> pl.DataFrame:
    """The bars of a calibration plot."""
    rows = [
        {"model": model, "predicted": b.prob, "observed": b.rate, "low": b.low, "high": b.high, "n": b.n}
        for b in calibration.bins
    ]
    return pl.DataFrame(rows, schema=BINS)
