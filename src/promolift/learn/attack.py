"""Losses of customers, and who was learned from, in; how well an attacker tells members, with intervals, out.

Legend: S models, M customers. Members must have been drawn by a fair coin each, on their own.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.errors import SupportError
from promolift.learn.metrics import Score, auc
from promolift.tables import Interval

Real = NDArray[np.float64]
Bools = NDArray[np.bool_]
FALSE = 0.01  # rate of false positives at which the advantage is read
GUESSED = 0.1  # of the customers, at each end of the scores, are guessed
LEAST = 40  # customers below which nothing is said


@dataclass(frozen=True)
class Membership:
    """What an attack found. `advantage` is true less false positives at a threshold for `FALSE` of the latter, with its
    95 % interval; a private model has at least `epsilon_low` with 95 % confidence.
    """

    auc: Score
    advantage: float
    low: float
    high: float
    epsilon_low: float

    @property
    def holds_chance(self) -> bool:
        """Whether both intervals hold what guessing gives."""
        return self.auc.low <= 0.5 and self.low <= 0


def membership(score_M: Real, member_M: Bools, delta: float = 0.0) -> Membership:
    """How well scores, larger for members, tell who is one.

    The threshold comes from half of the others, and is judged on the other half and the members, by exact intervals
    (Clopper and Pearson 1934) that hold together. For epsilon the largest and the smallest scores are guessed: of a
    private model the right guesses are no more than coins that fall right with e^epsilon / (1 + e^epsilon) would give
    (Steinke, Nasr and Jagielski 2023); for delta, 2 M delta is taken off the error rate.
    """
    if min(member_M.sum(), (~member_M).sum()) < LEAST // 2:
        raise SupportError(f"attack: {len(score_M)} customers; at least {LEAST} are needed, half of them members")
    others = np.flatnonzero(~member_M)
    first, second = others[::2], others[1::2]
    threshold = np.quantile(score_M[first], 1 - FALSE, method="higher")
    hit, false = score_M[member_M] > threshold, score_M[second] > threshold
    true_rate, false_rate = (exact(int(x.sum()), len(x), 0.025) for x in (hit, false))
    guesses = max(round(GUESSED * len(score_M)), LEAST // 4)
    order = np.argsort(score_M, kind="stable")
    right = int(member_M[order[-guesses:]].sum() + (~member_M[order[:guesses]]).sum())
    share = exact(right, 2 * guesses, max(2 * (0.05 - 2 * len(score_M) * delta), 1e-9)).low
    return Membership(
        auc=auc(member_M, score_M),
        advantage=float(hit.mean() - false.mean()),
        low=true_rate.low - false_rate.high,
        high=true_rate.high - false_rate.low,
        epsilon_low=max(float(np.log(share / (1 - share))), 0.0) if 0 < share < 1 else 0.0,
    )


def exact(hits: int, n: int, alpha: float = 0.05) -> Interval:
    """The interval of a proportion that is too narrow with probability `alpha` at most (Clopper and Pearson 1934)."""
    low = scipy.special.betaincinv(hits, n - hits + 1, alpha / 2) if hits else 0.0
    high = scipy.special.betaincinv(hits + 1, n - hits, 1 - alpha / 2) if hits < n else 1.0
    return Interval(float(low), float(high))


def lira(loss_SM: Real, in_SM: Bools, of: int) -> Real:
    """How much likelier a customer's loss under model `of` is if they were learned from: normal losses with the means
    that the other models show with and without them, one spread for all (Carlini and others 2022).
    """
    others = np.arange(len(loss_SM)) != of
    logs, seen = np.log(np.maximum(loss_SM, 1e-9)), in_SM[others]
    with np.errstate(invalid="ignore"):  # nobody learned from them, or everybody did
        with_M, without_M = ((logs[others] * each).sum(axis=0) / each.sum(axis=0) for each in (seen, ~seen))
    rest = logs[others] - np.where(seen, with_M, without_M)
    spread = float(np.nanstd(rest)) or 1.0
    mine = logs[of]
    score_M = ((mine - without_M) ** 2 - (mine - with_M) ** 2) / (2 * spread**2)
    return np.asarray(np.nan_to_num(score_M, nan=0.0))
