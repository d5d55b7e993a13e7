"""Find the customers who refused further messages after a draw, and the draw that each refusal counts for.

The work folder holds what every customer says now, not since when. Each plan's draws hold all whom it could write to,
so that a refusal came after a customer's last draw and before the next plan, which holds them no longer.
"""

import polars as pl

from promolift.core.customers.consent import apply_consent_updates, personalisation_consent
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.work_folder.work_tables import CleanTables

FOLLOW_DAYS = 84  # after a window in which a refusal still counts as its outcome


def refused_now(clean: CleanTables, customer_ids: pl.Series, said: pl.DataFrame | None = None) -> pl.Series:
    """Return those of `customer_ids` who refuse messages or personal decisions now, by the work folder and by what a
    server was `said` since (the columns of `consent_updates`)."""
    people = clean.current_customers(customer_ids)
    if said is not None:
        people = apply_consent_updates(people, said.filter(pl.col("customer_id").is_in(customer_ids.implode())))
    no = ~personalisation_consent(people).fill_null(True)
    if "consent" in people.columns:
        no |= ~people["consent"].fill_null(True)
    return people["customer_id"].filter(no)


def date_refusals(draws: pl.DataFrame, refused: pl.Series, asof_ms: int) -> pl.DataFrame:
    """Return customer_id and ts_ms: of everybody in `refused` the draw that the refusal is an outcome of.

    Left out is a refusal of which nobody can say that it came within `FOLLOW_DAYS` of its window.
    """
    plans = draws.select("ts_ms").unique().sort("ts_ms")
    plans = plans.with_columns(by_ms=pl.col("ts_ms").shift(-1, fill_value=asof_ms))
    last = draws.filter(pl.col("customer_id").is_in(refused.implode())).sort("ts_ms")
    last = last.unique("customer_id", keep="last", maintain_order=True).join(plans, on="ts_ms", how="left")
    until = pl.col("ts_ms") + (pl.col("window_days") + FOLLOW_DAYS) * DAY_MS
    return last.filter(pl.col("by_ms") <= until).select("customer_id", "ts_ms")
