"""Choose which customers to treat with which arm, and test whether a ranking earns more than one best arm.

Legend: N customers, K treatments, A = K + 1 arms, C learners, R rankings, J folds, B knots of a curve, D depths.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import Floats, Ints

GROUPS, MIN_GROUP_CUSTOMERS = 80, 100  # groups of equal size along a ranking, and customers in each
SEARCH_ROWS = 50_000  # rows that their borders are found on
DEPTHS = np.arange(1, 20) / 20  # shares of customers at which a ranking is compared with drawing as many at random


@dataclass(frozen=True)
class TargetingRule:
    """Whom to treat: customers in the order of a ranking, each by the arm that gains most there, or all alike.

    The ranking is what learners, weighted by `weight_C`, say beyond the average (all 0: there is none). `gain_K` are
    the gains before cost along it, at scores `at_K`: group means made to rise (isotonic regression), so that the cut is
    where the curve of net value was highest, and what is promised is what was seen. `follows`: whether all are treated
    whom the ranking makes worth it; else `best_arm` is given to all. `lead_D` of treating the share DEPTHS by the
    ranking over the best of nobody and as many drawn at random, with its standard error: out of fold, a customer.
    """

    weight_C: Floats
    at_K: tuple[Floats, ...]
    gain_K: tuple[Floats, ...]
    best_arm: int
    follows: bool
    lead_D: Floats
    lead_se_D: Floats
    bound: float

    @property
    def recommends(self) -> bool:
        """Whether anybody is to be treated. A budget is a limit, never a reason to treat."""
        return self.follows or self.best_arm > 0

    @property
    def ranks(self) -> bool:
        """Whether there is a ranking to go by at any budget."""
        return bool(self.weight_C.any()) and (self.follows or any(map(self.leads, DEPTHS.tolist())))

    def gains(self, score_NK: Floats) -> Floats:
        """gain_NK before cost of customers with these scores."""
        each = zip(score_NK.T, self.at_K, self.gain_K, strict=True)
        return np.column_stack([np.interp(score_N, at_B, gain_B) for score_N, at_B, gain_B in each])

    def leads(self, share: float) -> bool:
        """Whether treating such a share by the ranking earned more than drawing as many at random, or nobody."""
        z_D = self.lead_D / np.maximum(self.lead_se_D, 1e-300)
        return bool(self.weight_C.any()) and float(np.interp(share, DEPTHS, z_D)) > self.bound

    def decided_by(self, other: "TargetingRule") -> "TargetingRule":
        """These curves with what a rule of more data has decided: the best arm, and where the ranking leads."""
        return replace(
            self, best_arm=other.best_arm, follows=other.follows, lead_D=other.lead_D, lead_se_D=other.lead_se_D
        )

    def withdraw(self, best_arm: int) -> "TargetingRule":
        """Give up the ranking: everybody gets `best_arm`."""
        none_D = np.zeros(len(DEPTHS))
        return replace(
            self, weight_C=np.zeros(len(self.weight_C)), best_arm=best_arm, follows=False, lead_D=none_D,
            lead_se_D=none_D,
        )  # fmt: skip


class ScoredTrial(NamedTuple):
    """Out of fold: what each learner says beyond the average, doubly robust scores before cost, costs (one row where
    all cost the same), folds, and a random order of the rows."""

    differ_NKC: Floats
    psi_NK: Floats
    cost_NK: Floats
    fold_N: Ints
    order_N: NDArray[np.uint64]


def choose_rule(rows: ScoredTrial, rankings: list[Floats], best_arm: int, bound: float) -> TargetingRule:
    """The ranking whose cut earned most where it was not learned, if that beats the best fixed arm by `bound` standard
    errors; else the one that leads most over drawing at random, for the budgets that do not pay for all.

    Cross-fitted: each fold is cut by curves of the others, and valued by its own doubly robust scores.
    """
    tried = [tried for weight_C in rankings if (tried := _try(rows, weight_C, best_arm, bound)) is not None]
    if not tried:
        none_D = np.zeros(len(DEPTHS))  # one arm for everybody
        return TargetingRule(np.zeros(rows.differ_NKC.shape[2]), (), (), best_arm, False, none_D, none_D, bound)
    leading = [each for each in tried if each.rule.follows]
    return max(leading, key=lambda each: each.lead).rule if leading else max(tried, key=lambda each: each.area).rule


class _Tried(NamedTuple):
    """A ranking's rule, its lead over the best fixed arm, and its mean lead over drawing at random."""

    rule: TargetingRule
    lead: float
    area: float


def _try(rows: ScoredTrial, weight_C: Floats, best_arm: int, bound: float) -> _Tried | None:
    """None where the ranking tells nobody apart."""
    score_NK = rows.differ_NKC @ weight_C
    if not (np.ptp(score_NK, axis=0) > 0).any():
        return None
    curves = [_curve(score_N, psi_N, rows.fold_N) for score_N, psi_N in zip(score_NK.T, rows.psi_NK.T, strict=True)]
    net_NK = np.column_stack([curve.unseen_N for curve in curves]) - rows.cost_NK
    psi_NA = np.column_stack([np.zeros(len(net_NK)), rows.psi_NK - rows.cost_NK])
    at_N = np.arange(len(net_NK))
    base_N = psi_NA[:, best_arm]
    value_N = psi_NA[at_N, np.where(net_NK.max(axis=1) > 0, net_NK.argmax(axis=1) + 1, 0)]
    first_N = np.lexsort((rows.order_N, -net_NK.max(axis=1)))  # equal gains in random order
    by_rank_N, at_random_N = psi_NA[first_N, net_NK.argmax(axis=1)[first_N] + 1], base_N[first_N]
    gap_DN = [
        np.where(at_N < round(share * len(at_N)), by_rank_N, 0.0) - share * at_random_N for share in DEPTHS.tolist()
    ]
    lead_D = np.array([gap_N.mean() for gap_N in gap_DN])
    lead_se_D = np.array([gap_N.std() for gap_N in gap_DN]) / np.sqrt(len(at_N))
    gap_N = value_N - base_N
    follows = gap_N.mean() > bound * gap_N.std() / np.sqrt(len(gap_N))
    at_K, gain_K = tuple(curve.at_B for curve in curves), tuple(curve.gain_B for curve in curves)
    rule = TargetingRule(weight_C, at_K, gain_K, best_arm, bool(follows), lead_D, lead_se_D, bound)
    return _Tried(rule, float(gap_N.mean()), float(lead_D.mean()))


class _Curve(NamedTuple):
    """Mean gain along a score, and each row's by the curve of the other folds."""

    at_B: Floats
    gain_B: Floats
    unseen_N: Floats


def _curve(score_N: Floats, psi_N: Floats, fold_N: Ints) -> _Curve:
    groups = int(np.clip(len(score_N) // MIN_GROUP_CUSTOMERS, 4, GROUPS))
    some_N = score_N[:: max(1, len(score_N) // SEARCH_ROWS)]
    edges = np.unique(np.quantile(some_N, np.linspace(0, 1, groups + 1)[1:-1]))
    of_N, size = np.searchsorted(edges, score_N), len(edges) + 1
    folds = int(fold_N.max()) + 1
    count_JB, total_JB, score_JB = (
        np.bincount(fold_N * size + of_N, weights, folds * size).reshape(folds, size)
        for weights in (None, psi_N, score_N)
    )
    unseen_N = np.empty(len(score_N))
    for j in range(folds):
        held, rest = fold_N == j, np.arange(folds) != j
        at_B, gain_B = _rising(count_JB[rest].sum(axis=0), total_JB[rest].sum(axis=0), score_JB[rest].sum(axis=0))
        unseen_N[held] = np.interp(score_N[held], at_B, gain_B)
    return _Curve(*_rising(count_JB.sum(axis=0), total_JB.sum(axis=0), score_JB.sum(axis=0)), unseen_N)


class _Rising(NamedTuple):
    """The middles of blocks of a score, rising, and their mean gains, rising."""

    at_B: Floats
    gain_B: Floats


def _rising(count_B: Floats, total_B: Floats, score_B: Floats) -> _Rising:
    """Isotonic regression (Barlow et al. 1972) of group means; each block stands at its middle."""
    from sklearn.isotonic import isotonic_regression

    count_B, total_B, score_B = (each_B[count_B > 0].astype(np.float64) for each_B in (count_B, total_B, score_B))
    level_B, block_B = np.unique(isotonic_regression(total_B / count_B, sample_weight=count_B), return_inverse=True)
    return _Rising(np.bincount(block_B, score_B) / np.bincount(block_B, count_B), level_B)
