"""A trial in; what its outcomes were expected to be, cross-fitted, and each customer's doubly robust score, out.

Legend: N customers, F features, A arms, K treatments, J parts. Each part's rows are predicted by models that did not
see them.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.effect.linear import Family, Linear, family_of, fit_linear, inverse
from promolift.effect.trial import Floats, Ints, TrialArrays

if TYPE_CHECKING:
    from lightgbm import Booster

TREES, PATIENCE = 300, 15
WINSOR = 0.999  # amounts above this quantile of the non-zero ones are cut, in the nuisance models only
OBJECTIVE = {"binary": "binary", "count": "poisson", "real": "regression"}
LEAST_PROPENSITY = 0.01  # an estimated propensity below this is set to it: no weight above 100
PARTS = ((10_000, 5), (50_000, 3))  # below such a weight of rows, so many parts; else 2: more rows need fewer refits
WIDE = 40  # with more encoded features, rows weigh in proportion more


@dataclass(frozen=True)
class Boosted:
    """Boosters as model text, the j-th trained on all parts but j and stopped by j; each adds to its own start."""

    texts: tuple[str, ...]
    start_J: Floats

    def each(self, x_NF: Floats) -> Floats:
        """Raw predictions of all, J x N."""
        return np.stack([_predict(text, x_NF) + start for text, start in zip(self.texts, self.start_J, strict=True)])

    def mean(self, x_NF: Floats) -> Floats:
        """The average of all, for new rows."""
        return np.asarray(self.each(x_NF).mean(axis=0))


@lru_cache(maxsize=512)
def booster(text: str) -> "Booster":
    """LightGBM's model of a text, read once."""
    from lightgbm import Booster

    return Booster(model_str=text)


def _predict(text: str, x_NF: Floats) -> Floats:
    if not len(x_NF):
        return np.zeros(0)
    return np.asarray(booster(text).predict(x_NF, raw_score=True, num_threads=1))


@dataclass(frozen=True)
class Target:
    """What trees are grown for: rows, a target, the part each row is in, and where wanted a start J x N."""

    x_NF: Floats
    y_N: Floats
    part_N: Ints
    parts: int
    start_JN: Floats | None = None
    family: Family = "real"


def boost(target: Target, *, rate: float = 0.1) -> Boosted:
    """Gradient boosting (LightGBM) on all parts but one, for each part, stopped early by that part's loss."""
    import lightgbm

    texts, starts = [], np.zeros(target.parts)
    for j in range(target.parts):
        inside = target.part_N != j
        if target.start_JN is None:
            starts[j] = target.y_N[inside].mean()
            start_N = np.full(len(inside), starts[j])
        else:
            start_N = target.start_JN[j]
        train, valid = (
            lightgbm.Dataset(
                target.x_NF[rows],
                target.y_N[rows],
                init_score=start_N[rows],
                params={"max_bin": 63, "verbosity": -1},
            )
            for rows in (inside, ~inside)
        )
        valid.reference = train
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        params = _params(target.family, int(inside.sum()), rate)
        model = lightgbm.train(params, train, TREES, valid_sets=[valid], callbacks=[stop])
        texts.append(model.model_to_string(num_iteration=model.best_iteration))
    return Boosted(tuple(texts), starts)


def _params(family: Family, rows: int, rate: float) -> dict[str, object]:
    return {
        "objective": OBJECTIVE[family],
        "num_leaves": 8,
        "learning_rate": rate,
        "min_data_in_leaf": max(10, min(200, rows // 50)),
        "lambda_l2": 10.0,
        "feature_fraction": 0.7,
        "max_bin": 63,
        "seed": 1,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "boost_from_average": False,
        "feature_pre_filter": False,
        "verbosity": -1,
    }


@dataclass(frozen=True)
class Response:
    """Expected outcome under each arm: a linear model and boosted trees of what it leaves, one pair for each part."""

    linear: tuple[Linear, ...]
    trees_A: tuple[Boosted, ...]
    family: Family

    def each(self, x_NF: Floats) -> Floats:
        """mu by every part's models, J x N x A."""
        eta = np.stack([model.eta(x_NF) for model in self.linear])
        return inverse(eta + np.stack([trees.each(x_NF) for trees in self.trees_A], axis=2), self.family)

    def mean(self, x_NF: Floats) -> Floats:
        """mu_NA for rows that were not trained on."""
        return np.asarray(self.each(x_NF).mean(axis=0))


@dataclass(frozen=True)
class Nuisance:
    """mu_NA and psi_NK of the training rows, cross-fitted; the response model for new rows; the part a row is in."""

    response: Response
    mu_NA: Floats
    psi_NK: Floats
    part_N: Ints
    parts: int


def fit_nuisance(trial: TrialArrays) -> Nuisance:
    """The response models of all parts and the scores that follow from them."""
    part_N, parts = parted = parts_of(trial)
    response = respond(trial, parted)
    mu_NA = response.each(trial.x_NF)[part_N, np.arange(len(part_N))]
    return Nuisance(response, mu_NA, scores(trial, mu_NA), part_N, parts)


def respond(trial: TrialArrays, parted: "Parted") -> Response:
    """Response models, each fitted without one part."""
    part_N, parts = parted
    family = family_of(trial.outcome_N)
    y_N = winsorised(trial.outcome_N) if family != "binary" else trial.outcome_N
    linear = tuple(
        fit_linear(rows_of(trial, part_N != j), y_N[part_N != j], family=family, sparse=True) for j in range(parts)
    )
    eta_JNA = np.stack([model.eta(trial.x_NF) for model in linear])
    trees = []
    for a in range(trial.arms):
        rows = trial.arm_N == a
        start_JN = eta_JNA[:, rows, a]
        trees.append(boost(Target(trial.x_NF[rows], y_N[rows], part_N[rows], parts, start_JN, family)))
    return Response(linear, tuple(trees), family)


def estimate_propensity(x_NF: Floats, arm_N: Ints, key_N: NDArray[np.uint64]) -> Floats:
    """Each arm's propensity given the features, cross-fitted: a response model of "is in this arm", never below 1 %."""
    arms = int(arm_N.max()) + 1
    found = []
    for a in range(1, arms):
        everyone = np.zeros(len(arm_N), dtype=np.int64)
        trial = TrialArrays(x_NF, everyone, (arm_N == a).astype(np.float64), np.ones((len(arm_N), 1)), key_N, ())
        parted = parts_of(trial)
        found.append(respond(trial, parted).each(x_NF)[parted.part_N, np.arange(len(arm_N)), 0])
    treated_NK = np.stack(found, axis=1)
    prob_NA = np.column_stack([1 - treated_NK.sum(axis=1), treated_NK])
    bounded = np.clip(prob_NA, LEAST_PROPENSITY, None)
    return np.asarray(bounded / bounded.sum(axis=1, keepdims=True))


class Parted(NamedTuple):
    """Which part each row is in, and how many parts there are."""

    part_N: Ints
    parts: int


def parts_of(trial: TrialArrays) -> Parted:
    """Parts by the rows' keys."""
    parts = next((parts for weight, parts in PARTS if weight_of(trial) < weight), 2)
    return Parted(((trial.key_N >> np.uint64(40)) % np.uint64(parts)).astype(np.int64), parts)


def weight_of(trial: TrialArrays) -> float:
    """What the number of refits goes by: rows, and more for wide ones, for each refit costs rows x features."""
    rows, features = trial.x_NF.shape
    return float(rows * max(1.0, features / WIDE))


def winsorised(y_N: Floats, share: float = WINSOR) -> Floats:
    """Amounts cut at a quantile of the non-zero ones."""
    some = np.abs(y_N[y_N != 0])
    top = float(np.quantile(some, share)) if some.size else 1.0
    return np.clip(y_N, -top, top)


def scores(trial: TrialArrays, mu_NA: Floats) -> Floats:
    """psi_NK: doubly robust (AIPW) score of each treatment over control (Robins, Rotnitzky & Zhao 1994)."""
    full_NA = arm_means(trial, mu_NA)
    return np.asarray(full_NA[:, 1:] - full_NA[:, :1])


def arm_means(trial: TrialArrays, mu_NA: Floats) -> Floats:
    """Doubly robust score of each arm's own mean: expected outcome plus the weighted surprise where it was observed."""
    rows = np.arange(len(trial.arm_N))
    full_NA = mu_NA.copy()
    left_N = trial.outcome_N - mu_NA[rows, trial.arm_N]
    full_NA[rows, trial.arm_N] += left_N / trial.prob_NA[rows, trial.arm_N]
    return full_NA


def rows_of(trial: TrialArrays, mask_N: NDArray[np.bool_] | Ints) -> TrialArrays:
    """The trial's rows of a mask or index."""
    return TrialArrays(
        trial.x_NF[mask_N],
        trial.arm_N[mask_N],
        trial.outcome_N[mask_N],
        trial.prob_NA[mask_N],
        trial.key_N[mask_N],
        trial.names,
    )
