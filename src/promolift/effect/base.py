"""Encoded features and outcomes in; how much each customer buys anyway, out of fold, and how noisy that is.

Legend: N customers, F encoded features, Z standardised columns, C candidates of the blend.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy

from promolift.effect.trial import Floats, Ints

if TYPE_CHECKING:
    from lightgbm import Booster

RARE = 0.005  # a column gets a flag "missing" if more than this share of it is missing, and some is known
REACH = 3.0  # standardised columns are cut here: nobody is extrapolated far
NEWTON, RIDGE = 15, 10.0
TREES = {"num_leaves": 8, "learning_rate": 0.06, "min_data_in_leaf": 100, "lambda_l2": 5.0, "max_bin": 63}
ROUNDS = 120


@dataclass(frozen=True)
class Scale:
    """Features to columns a straight line can use: signed logarithm, standardised, cut; missing is average + flag."""

    mean_F: Floats
    sd_F: Floats
    flags: tuple[int, ...]

    @classmethod
    def of(cls, x_NF: Floats) -> Self:
        """Learn means and spreads from training rows."""
        known_NF = ~np.isnan(x_NF)
        count_F = np.maximum(known_NF.sum(axis=0), 1)
        t_NF = np.where(known_NF, _log(x_NF), 0.0)
        mean_F = t_NF.sum(axis=0) / count_F
        sd_F = np.sqrt((np.where(known_NF, t_NF - mean_F, 0.0) ** 2).sum(axis=0) / count_F)
        share_F = 1 - known_NF.mean(axis=0)
        flags = np.flatnonzero((share_F > RARE) & (share_F < 1 - RARE))
        return cls(mean_F, np.where(sd_F > 1e-9, sd_F, 0.0), tuple(flags.tolist()))

    def columns(self, x_NF: Floats) -> Floats:
        """z_NZ; a column that never varied is 0 for everybody."""
        safe_F = np.where(self.sd_F > 0, self.sd_F, np.inf)
        z_NF = np.nan_to_num(np.clip((_log(x_NF) - self.mean_F) / safe_F, -REACH, REACH))
        return np.column_stack([z_NF, np.isnan(x_NF[:, list(self.flags)]).astype(np.float64)])

    def names(self, features: tuple[str, ...]) -> tuple[str, ...]:
        """One name per column."""
        return (*features, *(f"{features[f]} is missing" for f in self.flags))


@dataclass(frozen=True)
class Base:
    """E[outcome | features] over all arms: per fold a generalised linear model and boosted trees, blended."""

    scale: Scale
    counts: bool  # outcomes are never negative: log links, and gains may be proportional to the base
    top: float
    coef_TZ: Floats  # one row per fold
    trees: tuple[str, ...]
    blend_C: Floats

    def predict(self, x_NF: Floats) -> Floats:
        """base_N for rows that were not trained on: the mean of the folds' models."""
        folds = [self.fold(x_NF, t) for t in range(len(self.trees))]
        return np.asarray(np.mean(folds, axis=0))

    def fold(self, x_NF: Floats, t: int) -> Floats:
        """base_N by the model that did not see fold t."""
        return np.asarray(self.each(x_NF, t) @ self.blend_C)

    def each(self, x_NF: Floats, t: int) -> Floats:
        """Both candidates of the blend, N x C."""
        eta_N = _ones(self.scale.columns(x_NF)) @ self.coef_TZ[t]
        line_N = np.exp(np.clip(eta_N, -20, np.log(self.top))) if self.counts else eta_N
        return np.column_stack([line_N, _booster(self.trees[t]).predict(x_NF, num_threads=1)])


def fit_base(x_NF: Floats, y_N: Floats, fold_N: Ints, seed: int) -> tuple[Base, Floats]:
    """The base model, and base_N of the training rows each by the models that did not see it.

    The blend has non-negative weights that minimise the out-of-fold error, relative to the mean for counts.
    """
    scale, counts = Scale.of(x_NF), bool(y_N.min() >= 0 and y_N.max() > 0)
    z_NZ, top = _ones(scale.columns(x_NF)), max(float(y_N.max()), 1e-9)
    folds = range(int(fold_N.max()) + 1)
    coef = np.stack([_glm(z_NZ[fold_N != t], y_N[fold_N != t], counts) for t in folds])
    trees = tuple(_boost(x_NF[fold_N != t], y_N[fold_N != t], counts, seed) for t in folds)
    raw = Base(scale, counts, top, coef, trees, np.full(2, 0.5))
    each_NC = np.empty((len(y_N), 2))
    for t in folds:
        each_NC[fold_N == t] = raw.each(x_NF[fold_N == t], t)
    floor = 0.01 * float(np.abs(y_N).mean()) + 1e-12
    weight_N = 1 / np.sqrt(np.maximum(each_NC.mean(axis=1), floor)) if counts else np.ones(len(y_N))
    blend, _ = scipy.optimize.nnls(each_NC * weight_N[:, None], y_N * weight_N)
    return Base(scale, counts, top, coef, trees, blend), each_NC @ blend


def variance(base_N: Floats, y_N: Floats, z_NZ: Floats, counts: bool) -> Floats:
    """How noisy each customer's outcome is around his base: a + b base + c base^2 for counts, else log-linear in z."""
    square_N = (y_N - base_N) ** 2
    square_N = np.minimum(square_N, np.quantile(square_N, 0.999))  # one whale must not set the scale
    mean = float(square_N.mean()) + 1e-12
    if not counts:
        fitted_N = np.exp(np.clip(_ones(z_NZ) @ _glm(_ones(z_NZ), square_N / mean, True), -2, 2))
        return np.asarray(fitted_N * float((square_N / fitted_N).mean()))
    floor_N = np.maximum(base_N, 0.02 * float(base_N.mean()) + 1e-12)
    terms_NT, weight_N = np.column_stack([np.ones(len(y_N)), floor_N, floor_N**2]), 1 / floor_N
    for _ in range(3):  # iteratively reweighted: a squared residual's own error grows with its mean
        coef, _ = scipy.optimize.nnls(terms_NT * weight_N[:, None], square_N * weight_N)
        fitted_N = np.maximum(terms_NT @ coef, 1e-3 * mean)
        weight_N = 1 / fitted_N
    return np.asarray(fitted_N)


def _log(x_NF: Floats) -> Floats:
    return np.asarray(np.sign(x_NF) * np.log1p(np.abs(x_NF)))


def _ones(z_NZ: Floats) -> Floats:
    return np.column_stack([np.ones(len(z_NZ)), z_NZ])


def _glm(z_NZ: Floats, y_N: Floats, counts: bool) -> Floats:
    """Ridge regression, or Poisson quasi-likelihood with a log link; the intercept is not shrunk."""
    ridge_Z = np.full(z_NZ.shape[1], RIDGE)
    ridge_Z[0] = 0.0
    if not counts:
        return np.asarray(np.linalg.solve(z_NZ.T @ z_NZ + np.diag(ridge_Z + 1e-9), z_NZ.T @ y_N))
    mean = float(y_N.mean()) + 1e-12
    ridge_Z *= float(y_N.var()) / mean + 1e-12
    beta = np.zeros(len(ridge_Z))
    beta[0] = np.log(mean)
    for _ in range(NEWTON):
        mu_N = np.exp(np.clip(z_NZ @ beta, -20, 20))
        hessian = (z_NZ * mu_N[:, None]).T @ z_NZ + np.diag(ridge_Z + 1e-9 * mean)
        step = np.linalg.solve(hessian, z_NZ.T @ (y_N - mu_N) - ridge_Z * beta)
        size = float(np.abs(z_NZ @ step).max())
        beta = beta + step * min(1.0, 2.0 / max(size, 1e-12))  # no linear predictor moves by more than 2 at once
        if size < 1e-6:
            break
    return beta


def _boost(x_NF: Floats, y_N: Floats, counts: bool, seed: int) -> str:
    import lightgbm

    how: dict[str, Any] = {"objective": "poisson" if counts else "regression", "seed": seed % 2**31}
    fixed = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    data = lightgbm.Dataset(x_NF, y_N, params={"max_bin": TREES["max_bin"], "verbosity": -1})
    return str(lightgbm.train({**TREES, **how, **fixed}, data, ROUNDS).model_to_string())


@lru_cache(maxsize=64)
def _booster(text: str) -> "Booster":
    from lightgbm import Booster

    return Booster(model_str=text)
