"""Convert decisions to the assignment logs that GrowthBook and Eppo read.

A decision within a test is an exposure to its arm; without a test, to the campaign's offers or its holdout. Who may be
sent nothing was in no draw, and is left out.
"""

from typing import Literal

import polars as pl

LogFormat = Literal["growthbook", "eppo"]
LOG_FORMATS: dict[LogFormat, dict[str, str]] = {  # what each calls the customer, the moment, the experiment and the arm
    "growthbook": {
        "customer_id": "user_id", "ts_ms": "timestamp", "experiment": "experiment_id", "arm": "variation_id",
    },
    "eppo": {"customer_id": "subject", "ts_ms": "timestamp", "experiment": "experiment", "arm": "variation"},
}  # fmt: skip


def to_exposure_log(decisions: pl.DataFrame, shape: LogFormat) -> pl.DataFrame:
    """A row per decision with a draw, times in UTC; `campaign_id` comes beside as a dimension.

    `decisions` has columns of DECISIONS, and `experiment_id` and `variant` where tests ran.
    """
    missing = [name for name in ("experiment_id", "variant") if name not in decisions.columns]
    found = decisions.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    held = pl.when(pl.col("holdout").cast(pl.Boolean)).then(pl.lit("holdout"))
    rows = found.filter(pl.col("holdout").is_not_null()).with_columns(
        experiment=pl.coalesce("experiment_id", "campaign_id"),
        arm=held.otherwise(pl.coalesce("variant", pl.lit("offers"))),
        ts_ms=pl.col("ts_ms").cast(pl.Datetime("ms", "UTC")),
    )
    return rows.select(*(pl.col(name).alias(theirs) for name, theirs in LOG_FORMATS[shape].items()), "campaign_id")
