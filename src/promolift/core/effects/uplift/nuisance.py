"""Cross-fit expected outcomes and doubly robust scores of a trial.

Legend: N customers, F features, P basis columns, A arms, K treatments, J folds. Each fold's rows are predicted by
models that did not see them.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import CachedRows, Family, Floats, Ints, TrialArrays
from promolift.core.effects.uplift.boosted_trees import (
    Bins,
    Boosted,
    BoostingData,
    BoostingTarget,
    Codes,
    boost,
    fit_bins,
    make_boosting_data,
    with_arm,
)
from promolift.core.effects.uplift.linear_learners import (
    MAX_COLUMNS,
    Basis,
    Linear,
    LinearDesign,
    build_design,
    fit_basis,
    fit_linear,
    inverse_link,
    link,
    outcome_family,
)

WINSOR = 0.999  # amounts above this quantile of the non-zero ones are cut where models learn
RARE_CUT = 0.95  # the same where most customers have none: few amounts are left to learn from, and the largest lead
MIN_PROPENSITY = 0.01  # an estimated propensity below this is set to it: no weight above 100
FOLDS = ((40_000, 5), (100_000, 3))  # below such a weight of rows, so many folds; else 2: more rows need fewer refits
WIDE_FEATURES = 40  # with more encoded features, rows weigh in proportion more


@dataclass(frozen=True)
class Response:
    """Expected outcome under each arm: a linear model, and boosted trees of what it leaves.

    Never beyond what the arm's outcomes were: a slope may not be followed to where nobody was seen.
    """

    linear: Linear
    trees_A: tuple[Boosted, ...]
    bins: Bins

    @property
    def family(self) -> Family:
        return self.linear.family

    def joined(self, code_FN: Codes, eta_NA: Floats) -> Floats:
        """mu_NA of rows by their codes and the linear model's predictor."""
        leaves_NA = np.column_stack([trees.raw(code_FN) for trees in self.trees_A])
        return np.clip(inverse_link(eta_NA + leaves_NA, self.family), self.linear.low_A, self.linear.high_A)

    def mean(self, asked: CachedRows) -> Floats:
        """mu_NA for rows that were not trained on."""
        basis = self.linear.basis
        return asked.cached(
            self,
            lambda _: self.joined(
                asked.cached(self.bins, self.bins.codes), self.linear.eta(asked.cached(basis, basis.columns))
            ),
        )

    def gain(self, asked: CachedRows) -> Floats:
        """gain_NK over control: the T-learner's, a difference of the arms' models."""
        mu_NA = self.mean(asked)
        return mu_NA[:, 1:] - mu_NA[:, :1]


@dataclass(frozen=True)
class Nuisance:
    """A response model without each fold; mu_NA and psi_NK of the rows, each by the model that did not see it.

    Rows are sorted by fold and arm. `designs`: one for all folds, or where there are too many columns one without
    each. `bins` are shared by all trees.
    """

    trial: TrialArrays
    fold_N: Ints
    responses: tuple[Response, ...]
    mu_NA: Floats
    psi_NK: Floats
    designs: tuple[LinearDesign, ...]
    grown: BoostingData

    @property
    def folds(self) -> int:
        return len(self.responses)

    def without(self, fold: int) -> "OutOfFold":
        """What linear fits without a fold are made from."""
        if len(self.designs) == 1:
            return OutOfFold(self.designs[0], self.psi_NK, fold)
        return OutOfFold(self.designs[fold], self.psi_NK[_outside(self.trial, self.fold_N)[fold]], None)


class OutOfFold(NamedTuple):
    """A design, the scores of its rows, and the fold of it that is held out; None where it never held that fold."""

    design: LinearDesign
    psi_NK: Floats
    held_out: int | None


def fit_nuisance(trial: TrialArrays, fold_N: Ints, basis: Basis | None = None) -> Nuisance:
    """The response models without each fold, and the scores that follow. Rows must be sorted by fold and arm."""
    folds = int(fold_N.max(initial=0)) + 1
    family, basis, bins = outcome_family(trial.outcome_N), basis or fit_basis(trial.x_NF), fit_bins(trial.x_NF)
    code_FN = bins.codes(trial.x_NF)
    if len(basis.source_P) <= MAX_COLUMNS:
        designs: tuple[LinearDesign, ...] = (build_design(trial, family, fold_N, basis),)
    else:  # columns have to be screened, which outcomes decide
        designs = tuple(
            build_design(subset_trial(trial, rows), family, None, basis) for rows in _outside(trial, fold_N)
        )
    grown = make_boosting_data(code_FN, trial.arm_N, trial.arms)
    one, shared = len(designs) == 1, designs[0].z_NP if len(designs) == 1 else None
    linear = [fit_linear(designs[0 if one else j], j if one else None, sparse=True) for j in range(folds)]
    eta_JNA = np.stack([m.eta(m.basis.columns(trial.x_NF) if shared is None else shared) for m in linear])
    trees_AJ = []
    for a in range(trial.arms):
        rows = np.flatnonzero(trial.arm_N == a)
        target = BoostingTarget(rows, trial.outcome_N[rows], fold_N[rows], eta_JNA[:, rows, a], family)
        trees_AJ.append(boost(grown, target))
    trees_JA = zip(*trees_AJ, strict=True)
    responses = tuple(Response(model, trees_A, bins) for model, trees_A in zip(linear, trees_JA, strict=True))
    mu_NA = np.empty((len(fold_N), trial.arms))
    for j, response in enumerate(responses):
        held = fold_N == j
        mu_NA[held] = response.joined(code_FN[:, held], eta_JNA[j, held])
    return Nuisance(trial, fold_N, responses, mu_NA, doubly_robust_scores(trial, mu_NA), designs, grown)


def _outside(trial: TrialArrays, fold_N: Ints) -> list[Ints]:
    """Rows outside each fold, sorted by arm."""
    outside = [np.flatnonzero(fold_N != j) for j in range(int(fold_N.max()) + 1)]
    return [rows[np.argsort(trial.arm_N[rows], kind="stable")] for rows in outside]


def sorted_rows(trial: TrialArrays, folds: int) -> Ints:
    """The order of rows by fold, arm and key."""
    return np.lexsort((trial.key_N, trial.arm_N, assign_folds(trial, folds)))


def assign_folds(trial: TrialArrays, folds: int) -> Ints:
    """The fold each row is in, by its key."""
    return ((trial.key_N >> np.uint64(8)) % np.uint64(folds)).astype(np.int64)


def fold_count(trial: TrialArrays) -> int:
    """How many folds models are judged in; wide rows weigh more, for a refit costs rows x features."""
    rows, features = trial.x_NF.shape
    weight = rows * max(1.0, features / WIDE_FEATURES)
    return next((few for least, few in FOLDS if weight < least), 2)


def estimate_propensity(x_NF: Floats, arm_N: Ints, key_N: NDArray[np.uint64]) -> Floats:
    """Each arm's propensity given the features, cross-fitted: a response model of "is in this arm", never below 1 %."""
    arms, found = int(arm_N.max()) + 1, []
    for a in range(1, arms):
        everyone, y_N = np.zeros(len(arm_N), dtype=np.int64), (arm_N == a).astype(np.float64)
        trial = TrialArrays(x_NF, everyone, y_N, np.ones((len(arm_N), 1)), key_N, ())
        folds = fold_count(trial)
        order = sorted_rows(trial, folds)
        trial = subset_trial(trial, order)
        prob_N = np.empty(len(arm_N))
        prob_N[order] = fit_nuisance(trial, assign_folds(trial, folds)).mu_NA[:, 0]
        found.append(prob_N)
    treated_NK = np.stack(found, axis=1)
    prob_NA = np.column_stack([1 - treated_NK.sum(axis=1), treated_NK])
    bounded = np.clip(prob_NA, MIN_PROPENSITY, None)
    return np.asarray(bounded / bounded.sum(axis=1, keepdims=True))


def winsorise(y_N: Floats, share: float = WINSOR) -> Floats:
    """Amounts cut at a quantile of the non-zero ones."""
    some = np.abs(y_N[y_N != 0])
    top = float(np.quantile(some, share)) if some.size else 1.0
    return np.clip(y_N, -top, top)


def training_outcome(y_N: Floats) -> Floats:
    """What models learn of outcomes: 0/1 as they are; amounts winsorised, and put back to the total they had.

    Where most customers have no amount at all, who has one decides more than how much: the cut is lower.
    """
    if outcome_family(y_N) == "binary":
        return y_N
    cut_N = winsorise(y_N, RARE_CUT if (y_N == 0).mean() > 0.5 and y_N.min() >= 0 else WINSOR)
    return cut_N * (float(np.abs(y_N).sum()) / max(float(np.abs(cut_N).sum()), 1e-300))


def doubly_robust_scores(trial: TrialArrays, mu_NA: Floats) -> Floats:
    """psi_NK: doubly robust (AIPW) score of each treatment over control (Robins, Rotnitzky & Zhao 1994)."""
    full_NA = arm_mean_scores(trial, mu_NA)
    return np.asarray(full_NA[:, 1:] - full_NA[:, :1])


def arm_mean_scores(trial: TrialArrays, mu_NA: Floats) -> Floats:
    """Doubly robust score of each arm's own mean: expected outcome plus the weighted surprise where it was observed."""
    rows = np.arange(len(trial.arm_N))
    full_NA = mu_NA.copy()
    left_N = trial.outcome_N - mu_NA[rows, trial.arm_N]
    full_NA[rows, trial.arm_N] += left_N / trial.prob_NA[rows, trial.arm_N]
    return full_NA


def subset_trial(trial: TrialArrays, mask_N: NDArray[np.bool_] | Ints | slice) -> TrialArrays:
    """The trial's rows of a mask or index."""
    names = ("x_NF", "arm_N", "outcome_N", "prob_NA", "key_N")
    kept: dict[str, Any] = {name: getattr(trial, name)[mask_N] for name in names}
    return replace(trial, **kept)


SEGMENT_QUANTILES = (0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9)  # quantiles tried as the segment's border
MAX_SHIFT, BISECTIONS = 8.0, 40  # shifts searched: a factor of 3000 up or down, to 1e-11
MIN_SEGMENT_SHARE = 0.02  # smallest share of customers on either side
SEARCH_ROWS = 50_000  # rows that the border is looked for on; all rows say what lies on either side


@dataclass(frozen=True)
class ByResponse:
    """Who responds more gains more: gain is a straight line of the outcome expected without treatment."""

    response: Response
    coef_2K: Floats

    def gain(self, asked: CachedRows) -> Floats:
        return _line(self.response.mean(asked)) @ self.coef_2K


@dataclass(frozen=True)
class Proportional:
    """The same relative effect for everybody: each arm moves the log odds (or log mean) by one number."""

    response: Response
    shift_A: Floats

    def gain(self, asked: CachedRows) -> Floats:
        family = self.response.family
        moved_NA = inverse_link(_base(self.response.mean(asked), family)[:, None] + self.shift_A, family)
        return moved_NA[:, 1:] - moved_NA[:, :1]


@dataclass(frozen=True)
class BySegment:
    """One rule: customers beyond `cut` of one feature (or with it missing) gain something else than the others."""

    feature: int
    cut: float
    inside_K: Floats
    outside_K: Floats

    def gain(self, asked: CachedRows) -> Floats:
        return np.where(_beyond(asked.x_NF[:, self.feature], self.cut)[:, None], self.inside_K, self.outside_K)


def fit_by_response(nuisance: Nuisance, fold: int) -> ByResponse:
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
    for a, mean in enumerate(arm_mean_scores(nuisance.trial, nuisance.mu_NA)[seen].mean(axis=0)):
        low, high = -MAX_SHIFT, MAX_SHIFT
        for _ in range(BISECTIONS if family != "real" else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if inverse_link(base_N + middle, family).mean() < mean else (low, middle)
        shift_A[a] = (low + high) / 2 if family != "real" else mean - base_N.mean()
    return Proportional(response, shift_A)


def _base(mu_NA: Floats, family: Family) -> Floats:
    """Linear predictor of the outcome expected of all arms together."""
    return link(mu_NA.mean(axis=1), family)


def fit_segment(nuisance: Nuisance, fold: int) -> BySegment:
    """The split with the largest chi-square of the difference in scores, of all features and quantiles."""
    best, seen = (-1.0, 0, np.inf), nuisance.fold_N != fold
    x_NF, psi_NK = nuisance.trial.x_NF[seen], nuisance.psi_NK[seen]
    every = max(1, len(x_NF) // SEARCH_ROWS)
    some_NF, left_NK = x_NF[::every], psi_NK[::every] - psi_NK[::every].mean(axis=0)
    left_NK = left_NK / np.maximum(left_NK.std(axis=0), 1e-300)
    borders = [
        (f, float(cut))
        for f, some_N in enumerate(some_NF.T)
        if (known := some_N[~np.isnan(some_N)]).size
        for cut in np.unique(np.quantile(known, SEGMENT_QUANTILES, method="lower"))
    ]
    for f, cut in borders:
        share = (mask := _beyond(some_NF[:, f], cut)).mean()
        if MIN_SEGMENT_SHARE <= share <= 1 - MIN_SEGMENT_SHARE:
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

    def gain(self, asked: CachedRows) -> Floats:
        code_FN = asked.cached(self.bins, self.bins.codes)
        arms = len(self.low_A)
        eta_NA = np.column_stack([self.trees.raw(with_arm(code_FN, a, arms)) for a in range(arms)])
        mu_NA = np.clip(inverse_link(eta_NA, self.family), self.low_A, self.high_A)
        return mu_NA[:, 1:] - mu_NA[:, :1]


@dataclass(frozen=True)
class Direct:
    """DR-learner: the doubly robust scores are the target of trees of their own, one set for each treatment."""

    trees_K: tuple[Boosted, ...]
    bins: Bins

    def gain(self, asked: CachedRows) -> Floats:
        code_FN = asked.cached(self.bins, self.bins.codes)
        return np.column_stack([trees.raw(code_FN) for trees in self.trees_K])


def fit_single(nuisance: Nuisance) -> tuple[Single, ...]:
    """S-learners without each fold."""
    trial, response = nuisance.trial, nuisance.responses[0]
    base = float(link(trial.outcome_N.mean(), response.family))
    start_JN = np.full((nuisance.folds, len(trial.arm_N)), base)
    every = np.arange(len(trial.arm_N))
    target = BoostingTarget(every, trial.outcome_N, nuisance.fold_N, start_JN, response.family, arms=True)
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
        target = BoostingTarget(every, psi_N, nuisance.fold_N, np.full((nuisance.folds, len(every)), base))
        found.append([replace(trees, start=base) for trees in boost(nuisance.grown, target, rate=0.05)])
    return tuple(Direct(trees_K, nuisance.responses[0].bins) for trees_K in zip(*found, strict=True))
