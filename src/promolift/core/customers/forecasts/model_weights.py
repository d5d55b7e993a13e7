"""Choose how much a richer forecast model weighs beside a simpler one, from their losses at several weights.

One rule for purchases (trees beside counts) and next baskets (trees beside the encoder): the least weight whose loss is
within one standard error of the best. What the weight gains is measured on each half of the customers at the weight
that the other half chose.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.settings import Settings

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the richer member
LEAST = 50  # rows, fewer of which choose nothing
GROWN = 1.5  # times the log on which it did not pay, from which on it is tried again


class PairedDifference(NamedTuple):
    """A mean difference over rows, and its standard error by customer."""

    mean: float
    se: float

    @property
    def half(self) -> float:
        """Half of the 95 % interval."""
        return Z95 * self.se


def paired_difference(gap_R: NDArray[Any], customer_R: Sequence[Any] | pl.Series | NDArray[Any]) -> PairedDifference:
    """The mean over rows, whose errors hang together within a customer."""
    people = pl.DataFrame({"who": customer_R, "gap": gap_R}).group_by("who", maintain_order=True)
    sums = people.agg(pl.col("gap").sum(), pl.len().alias("n"))
    mean = float(gap_R.mean())
    off = (sums["gap"] - mean * sums["n"]).to_numpy()
    return PairedDifference(mean, float(np.sqrt((off**2).sum()) / len(gap_R)))


def smallest_sufficient_weight(loss_RW: NDArray[Any], customer_R: Sequence[Any] | pl.Series | NDArray[Any]) -> int:
    """The place in WEIGHTS of the least weight within one standard error of the one that loses least."""
    best_R = loss_RW[:, int(loss_RW.mean(axis=0).argmin())]
    behind = (paired_difference(loss_RW[:, w] - best_R, customer_R) for w in range(loss_RW.shape[1]))
    return next(w for w, gap in enumerate(behind) if gap.mean <= gap.se)


class WeightChoice(NamedTuple):
    """The place in WEIGHTS that all rows choose; and, of each row, the one chosen by the half that it is not in."""

    at: int
    at_R: NDArray[np.int64]


def choose_weight(
    loss_RW: NDArray[Any], customer_R: Sequence[Any] | pl.Series | NDArray[Any], first_R: NDArray[Any]
) -> WeightChoice:
    """How much the richer member weighs; `first_R` marks the rows of one half of the customers. 0 by fewer than LEAST
    rows.
    """
    who_R = pl.Series(customer_R)

    def chosen(mine_R: NDArray[Any]) -> int:
        return (
            smallest_sufficient_weight(loss_RW[mine_R], who_R.filter(pl.Series(mine_R))) if mine_R.sum() >= LEAST else 0
        )

    by_first, by_second = chosen(first_R), chosen(~first_R)
    return WeightChoice(chosen(np.ones(len(first_R), np.bool_)), np.where(first_R, by_second, by_first))


class ModelWeight(Settings):
    """What trees weigh beside a simpler member of a forecast, and why.

    `alone` is what the simpler member does on `n` rows (log loss of purchases, NDCG@10 of next baskets); `lead` how
    much better both are there at a weight that other rows chose, with its 95 % interval: None where nothing was tried.
    `judged_ms` is the moment as of which they were judged, an earlier run's where they did not pay then, on `log_rows`.
    """

    weight: float
    why: LazyMessage
    n: int
    alone: float | None = None
    lead: float | None = None
    lead_low: float | None = None
    lead_high: float | None = None
    judged_ms: int | None = None
    log_rows: int = 0


def is_still_valid(note: ModelWeight | None, asof_ms: int, span_ms: int, log_rows: int) -> bool:
    """Whether an earlier run's verdict that the richer member does not pay speaks of this log: judged less than
    `span_ms` ago, on more than two thirds of its rows. Nothing is trained then.
    """
    if note is None or note.weight or note.judged_ms is None:
        return False
    return 0 <= asof_ms - note.judged_ms < span_ms and log_rows < GROWN * note.log_rows
