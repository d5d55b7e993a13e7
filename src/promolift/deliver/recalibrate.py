"""Candidates and what was learned of their gains in; the same rows with the gains that are to be decided on out.

Used by the plan before it spends a budget and by the server when it loads a release, so that both decide alike.
"""

from typing import Self

import polars as pl
from pydantic import Field

from promolift.settings import Settings

WHY = "closed by what was learned: its gain may be below 0"
SCALED = ("gain_cents", "gain_se_cents")


class Recalibration(Settings):
    """What predicted gains are multiplied by: `offers` by a factor of their own, all others by `ratio`.

    `low` and `high` are the 95 % interval of `ratio`; offers that are `closed` are given to nobody.
    """

    ratio: float = 1.0
    low: float = 1.0
    high: float = 1.0
    offers: dict[str, float] = Field(default_factory=dict)
    closed: tuple[str, ...] = ()

    def factor(self, offer_id: str) -> float:
        """What the predicted gain of an offer is multiplied by."""
        return self.offers.get(offer_id, self.ratio)

    def then(self, later: Self) -> Self:
        """Both after each other: `later` was learned on gains that this one had changed already."""
        names = sorted({*self.offers, *later.offers})
        return self.model_copy(
            update={
                "ratio": self.ratio * later.ratio,
                "low": min(self.ratio * later.low, self.ratio * later.high),
                "high": max(self.ratio * later.low, self.ratio * later.high),
                "offers": {name: self.factor(name) * later.factor(name) for name in names},
                "closed": tuple(sorted({*self.closed, *later.closed})),
            }
        )


def recalibrated(candidates: pl.DataFrame, learned: Recalibration | None) -> pl.DataFrame:
    """CANDIDATES with their gains (and standard errors) multiplied and the closed offers closed.

    What an offer costs does not change, so `added_cents`, the gain before its cost, follows the gain.
    """
    if learned is None:
        return candidates
    offer = pl.col("offer_id")
    given = offer != "none"
    own = offer.replace_strict(learned.offers, default=learned.ratio, return_dtype=pl.Float64)
    factor = pl.when(given).then(own if learned.offers else pl.lit(learned.ratio)).otherwise(1.0)
    rows = candidates.with_columns(
        pl.col(name) * (factor if name == "gain_cents" else factor.abs())
        for name in SCALED
        if name in candidates.columns
    )
    if {"added_cents", "gain_cents", "cost_cents"} <= set(rows.columns):
        rows = rows.with_columns((pl.col("gain_cents") + pl.col("cost_cents")).alias("added_cents"))
    shut = given & offer.is_in(list(learned.closed)) & pl.col("eligible")
    return rows.with_columns(
        pl.when(shut).then(pl.lit(WHY)).otherwise(pl.col("why_not")).alias("why_not"),
        (pl.col("eligible") & ~shut).alias("eligible"),
    )
