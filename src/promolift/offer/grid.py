"""The shop's printable offers and what the effect model says of each in; each customer's efficient offers out.

An allocation at any price p of the budget gives a customer the offer with the largest gain - p cost. Over all p >= 0
these are the corners of the upper hull of his (cost, gain) points, seen from no offer at (0, 0). So the hull is all
that the grid is worth: nothing outside of it is ever chosen (dominance in the multiple-choice knapsack, Sinha &
Zoltners 1979).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.offer.menu import MenuItem
from promolift.offer.proposals import PROPOSALS, OfferProposalSettings, lines

Floats = NDArray[np.float64]


def grid_lines(settings: OfferProposalSettings, menu: Sequence[MenuItem], scopes: Sequence[str]) -> list[MenuItem]:
    """A menu line for every printable percentage on every scope in `scopes`."""
    terms = [
        {"customer_id": "", "scope": scope, "target": None, "because": None, "benefit": "percent_off",
         "percent": percent, "amount_cents": 0, "min_spend_cents": 0, "valid_days": settings.valid_days,
         "channel": None, "hour": None}
        for scope in scopes
        for percent in settings.print.percents
    ]  # fmt: skip
    return lines(pl.DataFrame(terms, schema=PROPOSALS.schema), menu)


def efficient(
    gain_R: Floats, cost_R: Floats, who_R: NDArray[np.int64], keep: int, top_price: float = np.inf
) -> NDArray[np.bool_]:
    """True for at most `keep` corners of each customer's hull: the one he gets at `top_price` and the dearer ones.

    `who_R` must be sorted. Gift wrapping: from where one stands, the step that adds most gain per cost. NaN (unknown)
    is never chosen; of equal steps the first row is.
    """
    kept = np.zeros(gain_R.size, dtype=bool)
    if not gain_R.size:
        return kept
    fresh = np.r_[True, who_R[1:] != who_R[:-1]]
    start_S, seg_R = np.flatnonzero(fresh), np.cumsum(fresh) - 1
    gain_S, cost_S = np.zeros(start_S.size), np.zeros(start_S.size)

    def step(score_R: Floats) -> None:
        """Every customer goes to his highest score, unless he has none."""
        best_S = np.maximum.reduceat(score_R, start_S)
        row_R = np.where(score_R == best_S[seg_R], np.arange(gain_R.size), gain_R.size)
        at_S, on_S = np.minimum.reduceat(row_R, start_S), np.isfinite(best_S)
        at = at_S[on_S]
        kept[at] = True
        gain_S[on_S], cost_S[on_S] = gain_R[at], cost_R[at]

    if np.isfinite(top_price):
        net_R = gain_R - top_price * cost_R
        step(np.where(net_R > 0, net_R, -np.inf))  # NaN compares false
    for _ in range(keep - int(np.isfinite(top_price))):
        more_R = gain_R - gain_S[seg_R]
        slope_R = more_R / np.maximum(cost_R - cost_S[seg_R], 1e-9)
        step(np.where(more_R > 1e-9, slope_R, -np.inf))
    return kept


def keep_efficient(valued: pl.DataFrame, keep: int, top_price: float = np.inf) -> pl.DataFrame:
    """Of valued CANDIDATES the open ones on each customer's hull: see `efficient`."""
    rows = valued.filter(pl.col("eligible") & (pl.col("offer_id") != "none")).sort("customer_id", "offer_id")
    gain, cost = (rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("gain_cents", "cost_cents"))
    who = rows["customer_id"].rle_id().cast(pl.Int64).to_numpy()
    return rows.filter(pl.Series(efficient(gain, cost, who, keep, top_price), dtype=pl.Boolean))
