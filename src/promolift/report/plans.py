"""The plan's rows in, its sums and a few samples out: the page grows with the offers, not with the customers."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from promolift.report.frames import tidy
from promolift.report.story import PLAN


@dataclass(frozen=True)
class Totals:
    """Sums over a plan; `offers` has offer_id, offer, treated, gain_cents and cost_cents, most frequent first."""

    customers: int
    treated: int
    offers: pl.DataFrame


def totals(plan: pl.DataFrame | None) -> Totals | None:
    """The sums of `plan`, None where there is no plan."""
    if plan is None or plan.height == 0:
        return None
    rows = tidy(plan, PLAN)
    given = treated(rows)
    offers = given.group_by("offer_id").agg(
        pl.col("offer").drop_nulls().min(),
        pl.len().alias("treated"),
        *(pl.when(pl.col(c).is_not_null().any()).then(pl.col(c).sum()).alias(c) for c in ("gain_cents", "cost_cents")),
    )
    people = rows["customer_id"].n_unique() if rows["customer_id"].null_count() < rows.height else rows.height
    return Totals(people, given.height, offers.sort(["treated", "offer_id"], descending=[True, False]))


def treated(rows: pl.DataFrame) -> pl.DataFrame:
    """The tidy plan's rows that give something."""
    return rows.filter(pl.col("offer_id").is_not_null() & (pl.col("offer_id") != "none"))


def samples(plan: pl.DataFrame | None, most: int) -> list[dict[str, Any]]:
    """One row with a message for each of the `most` most frequent offers: its row of median gain, ties by customer."""
    if plan is None or plan.height == 0:
        return []
    rows = treated(tidy(plan, PLAN))
    spoken = rows.filter(pl.col("message_zh").is_not_null() | pl.col("message_en").is_not_null())
    often = spoken.group_by("offer_id").len().sort(["len", "offer_id"], descending=[True, False]).head(most)
    ranked = spoken.join(often, on="offer_id").with_columns(
        ((pl.col("gain_cents") - pl.col("gain_cents").median().over("offer_id")).abs()).alias("away")
    )
    picked = ranked.sort("away", "customer_id", nulls_last=True).unique("offer_id", keep="first", maintain_order=True)
    return picked.sort(["len", "offer_id"], descending=[True, False]).to_dicts()
