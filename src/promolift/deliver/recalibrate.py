"""Candidates and what was learned of their gains in; the same rows with the gains that are to be decided on out.

Used by the plan before it spends a budget and by the server when it loads a release, so that both decide alike.
"""

from typing import Self

import polars as pl
from pydantic import Field

from promolift.settings import Settings

WHY = "closed by what was learned: its gain may be below 0"
SCALED = ("gain_cents", "naive_gain_cents")
SPREAD = ("gain_se_cents", "caution_cents")  # scaled by the size of the factor


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

    def since(self, earlier: Self | None) -> Self | None:
        """What was learned after `earlier`, for gains that were multiplied by it: `earlier.then(it)` is this one.

        None where nothing was. A gain that was multiplied by 0 stays 0.
        """
        if earlier is None or earlier == self:
            return None if earlier == self else self

        def over(late: float, early: float) -> float:
            return late / early if early else 0.0

        names = sorted({*self.offers, *earlier.offers})
        return self.model_copy(
            update={
                "ratio": over(self.ratio, earlier.ratio),
                "low": over(self.low, earlier.ratio),
                "high": over(self.high, earlier.ratio),
                "offers": {name: over(self.factor(name), earlier.factor(name)) for name in names},
            }
        )


def recalibrated(candidates: pl.DataFrame, learned: Recalibration | None) -> pl.DataFrame:
    """CANDIDATES with their gains, errors and caution multiplied and the closed offers closed.

    What an offer costs does not change, so `added_cents`, the gain before its cost, follows the gain; what caution
    takes off the gain is part of `charge_cents`, which follows it.
    """
    if learned is None:
        return candidates
    offer = pl.col("offer_id")
    given = offer != "none"
    own = offer.replace_strict(learned.offers, default=learned.ratio, return_dtype=pl.Float64)
    factor = pl.when(given).then(own if learned.offers else pl.lit(learned.ratio)).otherwise(1.0)
    known = candidates.columns
    more = pl.col("caution_cents").fill_null(0.0) * (factor.abs() - 1)
    rows = candidates.with_columns(
        *(pl.col(name) * factor for name in SCALED if name in known),
        *(pl.col(name) * factor.abs() for name in SPREAD if name in known),
        *([pl.col("charge_cents") + more] if {"charge_cents", "caution_cents"} <= set(known) else []),
    )
    if {"added_cents", "gain_cents", "cost_cents"} <= set(rows.columns):
        rows = rows.with_columns((pl.col("gain_cents") + pl.col("cost_cents")).alias("added_cents"))
    shut = given & offer.is_in(list(learned.closed)) & pl.col("eligible")
    return rows.with_columns(
        pl.when(shut).then(pl.lit(WHY)).otherwise(pl.col("why_not")).alias("why_not"),
        (pl.col("eligible") & ~shut).alias("eligible"),
    )
