"""Predict the reward of every action out of fold: no model has seen the row that it predicts.

A ridge-penalised regression of effects common to all actions, a level for each, and each one's own departure; boosted
trees beside it where rows are many. What makes the doubly robust estimate least variable is taken.

Legend: N logged decisions (M of a fold), A actions, F context features (G with the constant), P coefficients: G common
ones, then for each action its own level or its own G.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.foundation.hashing import hash_int, mix_bits
from promolift.foundation.settings import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST_COLUMNS = 600  # an action's own effects are dropped when the design would be wider
RewardModelKind = Literal["level", "common", "own", "trees"]


class Decisions(NamedTuple):
    """What a model learns from: the action of each row, what came of it, and the columns of its context."""

    action_N: Ints
    reward_N: Floats
    x_NG: Floats


class RewardSettings(Settings):
    """How rewards are predicted. `kinds` are tried in turn; `level` ignores the context."""

    folds: int = 5
    l2: tuple[float, ...] = (0.3, 3.0, 30.0)
    kinds: tuple[RewardModelKind, ...] = ("level", "common", "own", "trees")
    least_rows_trees: int = 20_000
    trees: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Fold:
    """One regression and the curvature of its loss at the optimum; columns as `_design` lays them out."""

    coef_P: Floats
    curve_PP: Floats


@dataclass(frozen=True)
class Rewards:
    """q_NA out of fold by one kind of model with one penalty, and the regressions behind it (None for trees)."""

    reward_NA: Floats
    kind: RewardModelKind
    l2: float
    fold_N: Ints
    x_NG: Floats
    models: tuple[Fold | None, ...]
    binary: bool

    def pull(self, action_N: Ints, weight_NA: Floats) -> Floats | None:
        """How far each row's reward moves the mean of `weight_NA` q_NA: the weight the regression gives to the row.

        With it the direct method has the score `direct + pull (r - q)`, as the doubly robust estimate has with w, and
        so a standard error that counts what the model had to learn. None where the model is no regression.
        """
        pull_N = np.zeros(len(action_N))
        width, actions = self.x_NG.shape[1], weight_NA.shape[1]
        for fold, model in enumerate(self.models):
            if model is None:
                return None
            held = self.fold_N == fold
            slope_MA = weight_NA[held] * (self.reward_NA[held] * (1 - self.reward_NA[held]) if self.binary else 1.0)
            each_AG = slope_MA.T @ self.x_NG[held]  # what one unit on each coefficient adds
            own = width if self.kind == "own" else 1
            gain_P = np.linalg.solve(model.curve_PP, np.concatenate([each_AG.sum(axis=0), each_AG[:, :own].ravel()]))
            table_AG = _table(gain_P, width, actions).T
            pull_N[~held] += (self.x_NG[~held] * table_AG[action_N[~held]]).sum(axis=1)
        return pull_N


@dataclass(frozen=True)
class Fits:
    """`best` predicts best out of fold; `lean` is the least shrunk fit of its kind.

    Shrinkage makes predictions better and their sum worse: a correction by weights wants `best`, the direct method,
    which has no correction, wants `lean`.
    """

    best: Rewards
    lean: Rewards


def predict_rewards(
    action_N: Ints,
    reward_N: Floats,
    weight_N: Floats,
    context_NF: Floats,
    actions: int,
    settings: RewardSettings = RewardSettings(),  # noqa: B008 - frozen
) -> Fits:
    """Out-of-fold rewards of all actions. Never fails for want of rewards: a fold of zeros predicts about zero.

    The loss is the mean of (w (r - q))^2, the part of the doubly robust variance a reward model can change; weights
    over their 99.9th percentile count as that percentile, so that no single row picks the model.
    """
    log = Decisions(action_N, reward_N, _scaled(context_NF))
    fold_N = assign_folds(action_N, reward_N, context_NF, settings)
    square_N = np.minimum(weight_N, np.quantile(weight_N, 0.999)) ** 2
    rows = np.arange(len(action_N))
    best: Fits | None = None
    least = np.inf
    for kind, l2s in _kinds(log.x_NG, actions, settings).items():
        lean: Rewards | None = None
        for l2 in sorted(l2s):
            fit = _cross_fit(kind, l2, log, fold_N, actions, settings)
            lean = lean or fit
            loss = float((square_N * (reward_N - fit.reward_NA[rows, action_N]) ** 2).mean())
            if loss < least or best is None:
                best, least = Fits(fit, lean), loss
    assert best is not None
    return best


def _cross_fit(
    kind: RewardModelKind, l2: float, log: Decisions, fold_N: Ints, actions: int, settings: RewardSettings
) -> Rewards:
    action_N, reward_N, x_NG = log
    binary = bool(np.isin(reward_N, (0.0, 1.0)).all())
    x_NG = x_NG[:, :1] if kind == "level" else x_NG
    found = np.empty((len(action_N), actions))
    models: list[Fold | None] = []
    for fold in range(settings.folds):
        held = fold_N == fold
        train = Decisions(action_N[~held], reward_N[~held], x_NG[~held])
        if kind == "trees":
            found[held] = _trees(train, x_NG[held], actions, settings)
            models.append(None)
        else:
            model = _fit(kind, train, actions, l2, binary)
            found[held] = _predict(model.coef_P, x_NG[held], actions, binary)
            models.append(model)
    return Rewards(found, kind, l2, fold_N, x_NG, tuple(models), binary)


def assign_folds(action_N: Ints, reward_N: Floats, context_NF: Floats, settings: RewardSettings) -> Ints:
    """A fold per row, by a hash of the row's own values, dealt out so that each fold gets its share of rewards."""
    words = np.column_stack([action_N.astype(np.float64), reward_N, context_NF]) + 0.0
    key_N = np.full(len(words), hash_int("fold", settings.seed), dtype=np.uint64)
    for column in np.ascontiguousarray(words.T).view(np.uint64):
        key_N = mix_bits(key_N ^ column)
    order = np.lexsort((key_N, reward_N != 0))
    fold_N = np.empty(len(words), dtype=np.int64)
    fold_N[order] = np.arange(len(words)) % settings.folds
    return fold_N


def _scaled(context_NF: Floats) -> Floats:
    """x_NG: a constant, the features that vary at mean 0 and deviation 1 (0 where missing), and a column of
    missingness for those that are missing in some rows.
    """
    known_NF = np.isfinite(context_NF)
    count_F = np.maximum(known_NF.sum(axis=0), 1)
    mean_F = np.where(known_NF, context_NF, 0.0).sum(axis=0) / count_F
    spread_F = np.sqrt((np.where(known_NF, context_NF - mean_F, 0.0) ** 2).sum(axis=0) / count_F)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled_NF = np.where(known_NF, (context_NF - mean_F) / spread_F, 0.0)
    gone_F = (~known_NF).any(axis=0) & known_NF.any(axis=0)
    ones = np.ones((len(context_NF), 1))
    return np.hstack([ones, scaled_NF[:, spread_F > 0], ~known_NF[:, gone_F]])


def _kinds(x_NG: Floats, actions: int, settings: RewardSettings) -> dict[RewardModelKind, tuple[float, ...]]:
    """Kinds of model to try, each with its penalties."""
    features = x_NG.shape[1] - 1
    possible: dict[RewardModelKind, bool] = {
        "level": True,
        "common": features > 0,
        "own": features > 0 and (actions + 1) * (features + 1) < min(MOST_COLUMNS, len(x_NG) / 5),
        "trees": features > 0 and len(x_NG) >= settings.least_rows_trees,
    }
    kinds = [kind for kind in settings.kinds if possible[kind]] or ["level"]
    return {kind: settings.l2 if kind != "trees" else settings.l2[:1] for kind in kinds}


def _fit(kind: RewardModelKind, train: Decisions, actions: int, l2: float, binary: bool) -> Fold:
    """Penalised least squares, or penalised logistic regression; the overall level is not shrunk."""
    action_N, reward_N, x_NG = train
    design_NP = _design(action_N, x_NG, actions, x_NG.shape[1] if kind == "own" else 1)
    penalty_P = np.full(design_NP.shape[1], l2)
    penalty_P[0] = 1e-6
    if not binary:
        curve_PP = (design_NP.T @ design_NP).toarray() + np.diag(penalty_P)
        return Fold(np.linalg.solve(curve_PP, design_NP.T @ reward_N), curve_PP)
    if reward_N.min() == reward_N.max():  # there is nothing to learn but the level
        mean = (reward_N.sum() + 0.5) / (len(reward_N) + 1)
        coef_P = np.r_[scipy.special.logit(mean), np.zeros(len(penalty_P) - 1)]
    else:
        from sklearn.linear_model import LogisticRegression  # a refusal loads no library of models

        model = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-6).fit(design_NP[:, 1:], reward_N)
        coef_P = np.r_[model.intercept_, model.coef_[0]]
    prob_N = scipy.special.expit(design_NP @ coef_P)
    weighted_NP = design_NP.multiply((prob_N * (1 - prob_N))[:, None]).tocsr()
    return Fold(coef_P, (design_NP.T @ weighted_NP).toarray() + np.diag(penalty_P))


def _design(action_N: Ints, x_NG: Floats, actions: int, own: int) -> "scipy.sparse.csr_array":
    """The common columns, then for each action the first `own` of them, which only its rows have."""
    rows = len(x_NG)
    at = (action_N[:, None] * own + np.arange(own)).ravel()
    ends = np.arange(0, rows * own + 1, own)
    apart = scipy.sparse.csr_array((x_NG[:, :own].ravel(), at, ends), shape=(rows, actions * own))
    return scipy.sparse.hstack([scipy.sparse.csr_array(x_NG), apart], format="csr")


def _predict(coef_P: Floats, x_MG: Floats, actions: int, binary: bool) -> Floats:
    score_MA = x_MG @ _table(coef_P, x_MG.shape[1], actions)
    return np.asarray(scipy.special.expit(score_MA)) if binary else score_MA


def _table(coef_P: Floats, width: int, actions: int) -> Floats:
    """Coefficients laid out as one column for each action: the common ones plus the action's own."""
    own_AM = coef_P[width:].reshape(actions, -1)
    table_GA = np.repeat(coef_P[:width, None], actions, axis=1)
    table_GA[: own_AM.shape[1]] += own_AM.T
    return table_GA


def _trees(train: Decisions, x_MG: Floats, actions: int, settings: RewardSettings) -> Floats:
    import lightgbm  # loads only where it is used

    action_N, reward_N, x_NG = train
    parameters = {
        "objective": "binary" if np.isin(reward_N, (0.0, 1.0)).all() else "regression",
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 50,
        "lambda_l2": 10.0,
        "seed": settings.seed,
        "deterministic": True,
        "num_threads": 1,
        "verbose": -1,
    }
    made = lightgbm.Dataset(np.column_stack([action_N, x_NG[:, 1:]]), reward_N, categorical_feature=[0])
    model = lightgbm.train(parameters, made, settings.trees)
    columns = [model.predict(np.column_stack([np.full(len(x_MG), a), x_MG[:, 1:]])) for a in range(actions)]
    return np.column_stack(columns)
