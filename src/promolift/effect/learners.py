"""A trial and its nuisance models in; effects by simple rules and by boosted trees out.

The answers all else must beat: in proportion, by response, by segment. Then the T-, S- and DR-learner, whose
targets use outcomes predicted by models that did not see them. Legend: N customers, F features, K treatments, A arms.
"""

from dataclasses import dataclass, replace

import numpy as np

from promolift.effect.linear import Family, inverse, link
from promolift.effect.nuisance import Nuisance, Response, arm_means
from promolift.effect.trees import Bins, Boosted, Target, boost, with_arm
from promolift.effect.trial import Asked, Floats

CUTS = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)  # quantiles tried as the segment's border
REACH, BISECTIONS = 8.0, 40  # shifts searched: a factor of 3000 up or down, to 1e-11
LEAST = 0.02  # smallest share of customers on either side
SEARCHED = 50_000  # rows that the border is looked for on; all rows say what lies on either side


@dataclass(frozen=True)
class ByResponse:
    """Who responds more gains more: gain is a straight line of the outcome expected without treatment."""

    response: Response
    coef_2K: Floats

    def gain(self, asked: Asked) -> Floats:
        return _line(self.response.mean(asked)) @ self.coef_2K


@dataclass(frozen=True)
class Proportional:
    """The same relative effect for everybody: each arm moves the log odds (or log mean) by one number."""

    response: Response
    shift_A: Floats

    def gain(self, asked: Asked) -> Floats:
        family = self.response.family
        moved_NA = inverse(_base(self.response.mean(asked), family)[:, None] + self.shift_A, family)
        return moved_NA[:, 1:] - moved_NA[:, :1]


@dataclass(frozen=True)
class BySegment:
    """One rule: customers beyond `cut` of one feature (or with it missing) gain something else than the others."""

    feature: int
    cut: float
    inside_K: Floats
    outside_K: Floats

    def gain(self, asked: Asked) -> Floats:
        return np.where(_beyond(asked.x_NF[:, self.feature], self.cut)[:, None], self.inside_K, self.outside_K)


def fit_response(nuisance: Nuisance, fold: int) -> ByResponse:
    """Doubly robust scores regressed on the expected outcome of all arms together."""
    seen = nuisance.fold_N != fold
    line = _line(nuisance.mu_NA[seen])
    coef_2K = np.linalg.lstsq(line, nuisance.psi_NK[seen], rcond=None)[0]
    return ByResponse(nuisance.responses[fold], np.asarray(coef_2K, dtype=np.float64))


def fit_proportional(nuisance: Nuisance, fold: int) -> Proportional:
    """Shifts at which the average customer's expected outcome is each arm's doubly robust mean."""
    seen, response = nuisance.fold_N != fold, nuisance.responses[fold]
    family, base_N = response.family, _base(nuisance.mu_NA[seen], response.family)
    shift_A = np.zeros(nuisance.trial.arms)
    for a, mean in enumerate(arm_means(nuisance.trial, nuisance.mu_NA)[seen].mean(axis=0)):
        low, high = -REACH, REACH
        for _ in range(BISECTIONS if family != "real" else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if inverse(base_N + middle, family).mean() < mean else (low, middle)
        shift_A[a] = (low + high) / 2 if family != "real" else mean - base_N.mean()
    return Proportional(response, shift_A)


def _base(mu_NA: Floats, family: Family) -> Floats:
    """Linear predictor of the outcome expected of all arms together."""
    return link(mu_NA.mean(axis=1), family)


def fit_segment(nuisance: Nuisance, fold: int) -> BySegment:
    """The split with the largest chi-square of the difference in scores, of all features and quantiles."""
    best, seen = (-1.0, 0, np.inf), nuisance.fold_N != fold
    x_NF, psi_NK = nuisance.trial.x_NF[seen], nuisance.psi_NK[seen]
    every = max(1, len(x_NF) // SEARCHED)
    some_NF, left_NK = x_NF[::every], psi_NK[::every] - psi_NK[::every].mean(axis=0)
    left_NK = left_NK / np.maximum(left_NK.std(axis=0), 1e-300)
    borders = [
        (f, float(cut))
        for f, some_N in enumerate(some_NF.T)
        if (known := some_N[~np.isnan(some_N)]).size
        for cut in np.unique(np.quantile(known, CUTS, method="lower"))
    ]
    for f, cut in borders:
        share = (mask := _beyond(some_NF[:, f], cut)).mean()
        if LEAST <= share <= 1 - LEAST:
            sum_K = mask.astype(np.float64) @ left_NK  # of everybody it is 0, so the others' is its negative
            best = max(best, (float((sum_K**2).sum()) / (share * (1 - share)), f, cut))
    _, f, cut = best
    mask = _beyond(x_NF[:, f], cut)
    everyone = psi_NK.mean(axis=0)
    inside, outside = (psi_NK[m].mean(axis=0) if m.any() else everyone for m in (mask, ~mask))
    return BySegment(f, cut, inside, outside)


def _line(mu_NA: Floats) -> Floats:
    return np.column_stack([np.ones(len(mu_NA)), mu_NA.mean(axis=1)])


def _beyond(values_N: Floats, cut: float) -> np.ndarray:
    return ~(values_N <= cut)


@dataclass(frozen=True)
class Single:
    """S-learner: one response model with the arm among its features."""

    trees: Boosted
    family: Family
    low_A: Floats
    high_A: Floats
    bins: Bins

    def gain(self, asked: Asked) -> Floats:
        code_FN = asked.once(self.bins, self.bins.codes)
        arms = len(self.low_A)
        eta_NA = np.column_stack([self.trees.raw(with_arm(code_FN, a, arms)) for a in range(arms)])
        mu_NA = np.clip(inverse(eta_NA, self.family), self.low_A, self.high_A)
        return mu_NA[:, 1:] - mu_NA[:, :1]


@dataclass(frozen=True)
class Direct:
    """DR-learner: the doubly robust scores are the target of trees of their own, one set for each treatment."""

    trees_K: tuple[Boosted, ...]
    bins: Bins

    def gain(self, asked: Asked) -> Floats:
        code_FN = asked.once(self.bins, self.bins.codes)
        return np.column_stack([trees.raw(code_FN) for trees in self.trees_K])


def fit_single(nuisance: Nuisance) -> tuple[Single, ...]:
    """S-learners without each fold."""
    trial, response = nuisance.trial, nuisance.responses[0]
    base = float(link(trial.outcome_N.mean(), response.family))
    start_JN = np.full((nuisance.folds, len(trial.arm_N)), base)
    every = np.arange(len(trial.arm_N))
    target = Target(every, trial.outcome_N, nuisance.fold_N, start_JN, response.family, arms=True)
    span = response.linear
    return tuple(
        Single(replace(trees, start=base), response.family, span.low_A, span.high_A, response.bins)
        for trees in boost(nuisance.grown, target)
    )


def fit_direct(nuisance: Nuisance) -> tuple[Direct, ...]:
    """DR-learners without each fold (Kennedy 2023, Electronic Journal of Statistics 17(2))."""
    every, found = np.arange(len(nuisance.fold_N)), []
    for psi_N in nuisance.psi_NK.T:
        base = float(psi_N.mean())
        target = Target(every, psi_N, nuisance.fold_N, np.full((nuisance.folds, len(every)), base))
        found.append([replace(trees, start=base) for trees in boost(nuisance.grown, target, rate=0.05)])
    return tuple(Direct(trees_K, nuisance.responses[0].bins) for trees_K in zip(*found, strict=True))
