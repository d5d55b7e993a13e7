"""A trial and its nuisance models in; effects by simple rules and by boosted trees out.

The answers all else must beat: in proportion, by response, by segment. Then the T-, S- and X-learner, whose
targets use outcomes predicted by models that did not see them. Legend: N customers, F features, K treatments, A arms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.effect.linear import Family, inverse, link
from promolift.effect.nuisance import Boosted, Nuisance, Response, Target, arm_means, boost
from promolift.effect.trial import Floats, Ints, TrialArrays

CUTS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)  # quantiles tried as the segment's border
REACH, BISECTIONS = 8.0, 40  # shifts searched: a factor of 3000 up or down, to 1e-11
LEAST = 0.02  # smallest share of customers on either side


@dataclass(frozen=True)
class ByResponse:
    """Who responds more gains more: gain is a straight line of the outcome expected without treatment."""

    response: Response
    coef_2K: Floats

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        return self.of(self.response.mean(x_NF))

    def of(self, mu_NA: Floats) -> Floats:
        """The same from the response model's means."""
        return _line(mu_NA) @ self.coef_2K


@dataclass(frozen=True)
class Proportional:
    """The same relative effect for everybody: each arm moves the log odds (or log mean) by one number."""

    response: Response
    shift_A: Floats

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        return self.of(self.response.mean(x_NF))

    def of(self, mu_NA: Floats) -> Floats:
        """The same from the response model's means."""
        family = self.response.family
        moved_NA = inverse(_base(mu_NA, family)[:, None] + self.shift_A, family)
        return moved_NA[:, 1:] - moved_NA[:, :1]


@dataclass(frozen=True)
class BySegment:
    """One rule: customers beyond `cut` of one feature (or with it missing) gain something else than the others."""

    feature: int
    cut: float
    inside_K: Floats
    outside_K: Floats

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        return np.where(_beyond(x_NF[:, self.feature], self.cut)[:, None], self.inside_K, self.outside_K)


def fit_response(trial: TrialArrays, nuisance: Nuisance) -> ByResponse:
    """Doubly robust scores regressed on the expected outcome of all arms together."""
    line = _line(nuisance.mu_NA)
    return ByResponse(
        nuisance.response, np.asarray(np.linalg.lstsq(line, nuisance.psi_NK, rcond=None)[0], dtype=np.float64)
    )


def fit_proportional(trial: TrialArrays, nuisance: Nuisance) -> Proportional:
    """Shifts at which the average customer's expected outcome is each arm's doubly robust mean."""
    family = nuisance.response.family
    base_N = _base(nuisance.mu_NA, family)
    shift_A = np.zeros(trial.arms)
    for a, mean in enumerate(arm_means(trial, nuisance.mu_NA).mean(axis=0)):
        low, high = -REACH, REACH
        for _ in range(BISECTIONS if family != "real" else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if inverse(base_N + middle, family).mean() < mean else (low, middle)
        shift_A[a] = (low + high) / 2 if family != "real" else mean - base_N.mean()
    return Proportional(nuisance.response, shift_A)


def _base(mu_NA: Floats, family: Family) -> Floats:
    """Linear predictor of the outcome expected of all arms together."""
    return link(mu_NA.mean(axis=1), family)


class _Border(NamedTuple):
    """A feature and a value that may divide customers."""

    feature: int
    cut: float


def fit_segment(trial: TrialArrays, nuisance: Nuisance) -> BySegment:
    """The split with the largest chi-square of the difference in scores, of all features and quantiles."""
    best = (-1.0, 0, np.inf)
    psi_NK = nuisance.psi_NK
    for f, cut in _borders(trial.x_NF):
        share = (mask := _beyond(trial.x_NF[:, f], cut)).mean()
        if LEAST <= share <= 1 - LEAST:
            step_K = psi_NK[mask].mean(axis=0) - psi_NK[~mask].mean(axis=0)
            chi = float((step_K**2 / psi_NK.var(axis=0)).sum() * share * (1 - share))
            best = max(best, (chi, f, cut))
    _, f, cut = best
    mask = _beyond(trial.x_NF[:, f], cut)
    everyone = psi_NK.mean(axis=0)
    inside, outside = (psi_NK[m].mean(axis=0) if m.any() else everyone for m in (mask, ~mask))
    return BySegment(f, cut, inside, outside)


def _line(mu_NA: Floats) -> Floats:
    return np.column_stack([np.ones(len(mu_NA)), mu_NA.mean(axis=1)])


def _borders(x_NF: Floats) -> Iterator[_Border]:
    for f in range(x_NF.shape[1]):
        known = x_NF[~np.isnan(x_NF[:, f]), f]
        if known.size:
            yield from (_Border(f, float(cut)) for cut in np.unique(np.quantile(known, CUTS, method="lower")))


def _beyond(values_N: Floats, cut: float) -> np.ndarray:
    return ~(values_N <= cut)


Kind = Literal["t-trees", "s-trees", "x-trees"]


@dataclass(frozen=True)
class PlugIn:
    """T-learner: the difference of the arms' response models."""

    response: Response

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        return self.of(self.response.mean(x_NF))

    def of(self, mu_NA: Floats) -> Floats:
        """The same from the response model's means."""
        return mu_NA[:, 1:] - mu_NA[:, :1]


@dataclass(frozen=True)
class Single:
    """S-learner: one response model with the arm among its features."""

    trees: Boosted
    family: Family
    arms: int

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        mu_A = [inverse(self.trees.each(_with_arm(x_NF, a, self.arms)), self.family) for a in range(self.arms)]
        return np.stack([(mu - mu_A[0]).mean(axis=0) for mu in mu_A[1:]], axis=1)


@dataclass(frozen=True)
class Direct:
    """X-learner: effects learned as targets of their own, two sets of trees for each treatment, weighted."""

    trees_K: tuple[tuple[Boosted, ...], ...]
    share_K: tuple[tuple[float, ...], ...]

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        return np.stack(
            [
                sum((share * trees.mean(x_NF) for trees, share in zip(pair, shares, strict=True)), np.zeros(len(x_NF)))
                for pair, shares in zip(self.trees_K, self.share_K, strict=True)
            ],
            axis=1,
        )


def fit_trees(trial: TrialArrays, nuisance: Nuisance, kind: Kind) -> PlugIn | Single | Direct:
    """One learner: T and S as usual; X by Kuenzel et al. (2019)."""
    match kind:
        case "t-trees":
            return PlugIn(nuisance.response)
        case "s-trees":
            return _single(trial, nuisance)
        case "x-trees":
            return _x(trial, nuisance)


def _grow(trial: TrialArrays, nuisance: Nuisance, rows_N: NDArray[np.bool_], target_N: Floats) -> Boosted:
    target = Target(trial.x_NF[rows_N], target_N[rows_N], nuisance.part_N[rows_N], nuisance.parts)
    return boost(target, rate=0.05)


def _with_arm(x_NF: Floats, arm: int | Ints, arms: int) -> Floats:
    flags = [np.broadcast_to(np.asarray(arm == a, dtype=np.float64), (len(x_NF),)) for a in range(1, arms)]
    return np.column_stack([x_NF, *flags])


def _single(trial: TrialArrays, nuisance: Nuisance) -> Single:
    family, y_N = nuisance.response.family, trial.outcome_N
    base = link(y_N.mean(), family)
    start_JN = np.full((nuisance.parts, len(y_N)), base)
    x_NF = _with_arm(trial.x_NF, trial.arm_N, trial.arms)
    trees = boost(Target(x_NF, y_N, nuisance.part_N, nuisance.parts, start_JN, family))
    return Single(Boosted(trees.texts, start_JN[:, 0]), family, trial.arms)


def _x(trial: TrialArrays, nuisance: Nuisance) -> Direct:
    mu_NA, y_N = nuisance.mu_NA, trial.outcome_N
    pairs, shares = [], []
    for k in range(1, trial.arms):
        treated = _grow(trial, nuisance, trial.arm_N == k, y_N - mu_NA[:, 0])
        control = _grow(trial, nuisance, trial.arm_N == 0, mu_NA[:, k] - y_N)
        share = float(trial.prob_NA[:, k].mean() / (trial.prob_NA[:, k] + trial.prob_NA[:, 0]).mean())
        pairs.append((treated, control))
        shares.append((1 - share, share))  # the larger arm's outcomes are the better known
    return Direct(tuple(pairs), tuple(shares))
