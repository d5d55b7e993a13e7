"""A trial's features in; linear effect learners out, whose penalties are learned from the data (empirical Bayes).

Legend: N customers, F features, P basis columns, M modifiers, A arms, K treatments. A customer in arm a has the linear
predictor z'(sum of modifiers m of arm a of coef_m): modifier 0 holds for everybody, 1 for any treatment, 2.. for one.
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.effect.trial import Floats, Ints, TrialArrays, chunks

Family = Literal["binary", "count", "real"]
KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles at which the slope of a number with many values may change
CLIP = (0.005, 0.995)  # numbers are winsorised here: one large amount must not carry a slope
COLUMNS = 140  # wider data get fewer knots, then only the columns most tied to the outcome: costs grow as the cube
SCREENED = 50_000  # rows that decide which columns those are
NEWTON, EVIDENCE = 6, 25
ETA = 15.0  # largest linear predictor of the exponential and logistic links


@dataclass(frozen=True)
class Basis:
    """Features to standardised columns: each feature, its hinges, and a flag where values were missing."""

    source_P: Ints
    knot_P: Floats  # NaN: the feature itself; +inf: the flag "missing"
    low_F: Floats
    high_F: Floats
    fill_F: Floats
    mean_P: Floats
    scale_P: Floats

    def columns(self, x_NF: Floats) -> Floats:
        """z_NP1: an intercept and the standardised columns."""
        missing_NF = np.isnan(x_NF)
        filled_NF = np.clip(np.where(missing_NF, self.fill_F, x_NF), self.low_F, self.high_F)
        z = np.empty((len(x_NF), len(self.source_P) + 1))
        z[:, 0] = 1.0
        for p, (f, knot) in enumerate(zip(self.source_P, self.knot_P, strict=True)):
            values = filled_NF[:, f]
            raw = missing_NF[:, f] if np.isposinf(knot) else values if np.isnan(knot) else np.maximum(values - knot, 0)
            z[:, p + 1] = (raw - self.mean_P[p]) / self.scale_P[p]
        return z


class _Column(NamedTuple):
    """A column of the basis: a feature, and its knot as in `Basis.knot_P`."""

    feature: int
    knot: float


def basis_of(x_NF: Floats) -> Basis:
    """Learn the columns from training rows; constant columns are dropped."""
    found: list[_Column] = []
    features = x_NF.shape[1]
    low, high, fill = np.zeros(features), np.zeros(features), np.zeros(features)
    for f in range(features):
        known = x_NF[~np.isnan(x_NF[:, f]), f]
        if not known.size:
            continue
        low[f], high[f] = np.quantile(known, CLIP) if len(np.unique(known[:1000])) > 2 else (known.min(), known.max())
        fill[f] = known.mean()
        clipped = np.clip(known, low[f], high[f])
        many = len(np.unique(clipped)) > 8
        knots = sorted({float(q) for q in np.quantile(clipped, KNOTS)} - {low[f], high[f]}) if many else []
        found += [_Column(f, k) for k in (np.nan, *knots)]
        if known.size < len(x_NF):
            found.append(_Column(f, np.inf))
    found = _thinned(found)
    source, knot = np.array([f for f, _ in found], dtype=np.int64), np.array([k for _, k in found])
    plain = Basis(source, knot, low, high, fill, np.zeros(len(found)), np.ones(len(found)))
    rows, parts = max(len(x_NF), 1), chunks(len(x_NF))
    mean = np.sum([plain.columns(x_NF[part])[:, 1:].sum(axis=0) for part in parts], axis=0) / rows
    squares = [((plain.columns(x_NF[part])[:, 1:] - mean) ** 2).sum(axis=0) for part in parts]
    scale = np.sqrt(np.sum(squares, axis=0) / rows)
    keep = scale > 1e-9
    return Basis(source[keep], knot[keep], low, high, fill, mean[keep], scale[keep])


def _thinned(found: list[_Column]) -> list[_Column]:
    """All columns if there are no more than COLUMNS; else those with three knots a feature, or one, or none."""
    for step in (1, 2, 4):
        if len(found) <= COLUMNS:
            break
        found = [
            _Column(f, knot)
            for f, group in groupby(found, key=lambda column: column.feature)
            for knot in _fewer([column.knot for column in group], step)
        ]
    return found


def _fewer(knots: list[float], step: int) -> list[float]:
    """Of one feature's columns: itself, every other knot (the middle one at last, then none), the flag."""
    inner = [knot for knot in knots if np.isfinite(knot)]
    middle = len(inner) // 2
    kept = inner[::2] if step == 1 else inner[middle : middle + 1] if step == 2 else []
    return [knot for knot in knots if not np.isfinite(knot) or knot in kept]


def screened(basis: Basis, x_NF: Floats, target_NT: Floats) -> Basis:
    """The COLUMNS columns that hang together most with any of the targets; all of them if there are no more."""
    if len(basis.source_P) <= COLUMNS:
        return basis
    every = max(1, len(x_NF) // SCREENED)
    target = target_NT[::every] - target_NT[::every].mean(axis=0)
    tie_PT = basis.columns(x_NF[::every])[:, 1:].T @ (target / np.maximum(target.std(axis=0), 1e-12))
    keep = np.sort(np.argsort(-np.abs(tie_PT).max(axis=1), kind="stable")[:COLUMNS])
    parts = (each[keep] for each in (basis.mean_P, basis.scale_P))
    return Basis(basis.source_P[keep], basis.knot_P[keep], basis.low_F, basis.high_F, basis.fill_F, *parts)


def _contrasts(trial: TrialArrays, outcome_N: Floats) -> Floats:
    """What columns are screened by: the outcome, and for each treatment what it may add by weighting."""
    left_N = outcome_N - outcome_N.mean()
    weight_NA = (trial.arm_N[:, None] == np.arange(trial.arms)) / trial.prob_NA[:, : trial.arms]
    return np.column_stack([left_N, left_N[:, None] * (weight_NA[:, 1:] - weight_NA[:, :1])])


def modifiers(arms: int) -> Floats:
    """m_AM: which coefficient blocks hold in which arm."""
    if arms == 1:
        return np.ones((1, 1))
    one, any_ = np.ones((arms, 1)), (np.arange(arms) > 0).astype(np.float64)[:, None]
    return np.hstack([one, any_] if arms == 2 else [one, any_, np.eye(arms)[:, 1:]])


@dataclass(frozen=True)
class Linear:
    """A generalised linear model with arm interactions; its gain is the difference of the arms' means."""

    basis: Basis
    coef_MP: Floats
    family: Family
    arms: int

    def eta(self, x_NF: Floats) -> Floats:
        """Linear predictor under each arm, eta_NA."""
        return self.basis.columns(x_NF) @ (modifiers(self.arms) @ self.coef_MP).T

    def mean(self, x_NF: Floats) -> Floats:
        """Expected outcome under each arm, mu_NA."""
        return inverse(self.eta(x_NF), self.family)

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        mu_NA = self.mean(x_NF)
        return mu_NA[:, 1:] - mu_NA[:, :1]


def family_of(outcome_N: Floats) -> Family:
    """Two values 0 and 1: binary; never negative: count (amounts too, by quasi-likelihood); else real."""
    if np.isin(outcome_N, (0.0, 1.0)).all():
        return "binary"
    return "count" if outcome_N.min() >= 0 else "real"


def inverse(eta: Floats, family: Family) -> Floats:
    """Mean of the outcome at a linear predictor."""
    bounded = np.clip(eta, -ETA, ETA)
    match family:
        case "binary":
            return np.asarray(1 / (1 + np.exp(-bounded)))
        case "count":
            return np.asarray(np.exp(bounded))
        case "real":
            return eta


def fit_linear(trial: TrialArrays, outcome_N: Floats, *, family: Family, sparse: bool = False) -> Linear:
    """Interactions of every feature with every arm, shrunk as far as the data say.

    Penalised Newton steps; the variance of each group of coefficients (main, any treatment, one treatment; slopes and
    hinges) is the fixed point of the evidence (MacKay 1992, Neural Computation 4(3)): a group without support in the
    data shrinks to nothing. `sparse` gives each feature's interaction a variance of its own (relevance determination).
    """
    basis = screened(basis_of(trial.x_NF), trial.x_NF, _contrasts(trial, outcome_N))
    z_NP = basis.columns(trial.x_NF)
    m_AM = modifiers(trial.arms)
    group_MP = _groups(basis, m_AM.shape[1], sparse)
    beta = np.zeros(group_MP.size)
    beta[0] = link(outcome_N.mean(), family)
    variance = np.full(int(group_MP.max()) + 1, 0.1)
    if family == "real":
        variance *= max(float(outcome_N.var()), 1e-12)
    for _ in range(NEWTON if family != "real" else 3):
        gram, pull, spread = _quadratic(z_NP, trial.arm_N, outcome_N, m_AM, beta.reshape(group_MP.shape), family)
        new, variance = shrink(gram / spread, pull / spread, group_MP.ravel(), variance)
        done = np.abs(new - beta).max() < 1e-4
        beta = new
        if done:
            break
    return Linear(basis, beta.reshape(group_MP.shape), family, trial.arms)


class Shrunk(NamedTuple):
    """Coefficients, and the prior variance of each group of them."""

    coef_P: Floats
    variance_G: Floats


def shrink(gram: Floats, pull: Floats, group_P: Ints, variance: Floats) -> Shrunk:
    """argmin of b'Gb/2 - pull'b + sum of b_p^2 / (2 variance of p's group), and the variances of highest evidence.

    Group -1 is free, group -2 is held at 0.
    """
    live = np.flatnonzero(group_P != -2)
    gram, pull_L, group = gram[np.ix_(live, live)], pull[live], group_P[live]
    size = np.bincount(group[group >= 0], minlength=len(variance)).astype(np.float64)
    for _ in range(EVIDENCE):
        precision = np.append(1 / np.maximum(variance, 1e-12), 1e-8)[group]  # group -1 is the last
        root, _ = scipy.linalg.lapack.dtrtri(
            np.linalg.cholesky(gram + np.diag(precision)), lower=1
        )  # covariance = root'root
        beta = root.T @ (root @ pull_L)
        kept = group >= 0
        squares = np.bincount(group[kept], weights=beta[kept] ** 2, minlength=len(variance))
        traces = np.bincount(group[kept], weights=(root**2).sum(axis=0)[kept], minlength=len(variance))
        freedom = np.maximum(size - traces / np.maximum(variance, 1e-12), 1e-9)
        new = squares / freedom
        steady = np.abs(np.log(np.maximum(new, 1e-12) / np.maximum(variance, 1e-12))).max(initial=0) < 1e-3
        variance = np.maximum(new, 1e-12)
        if steady:
            break
    full = np.zeros(len(group_P))
    full[live] = beta
    return Shrunk(full, variance)


def _groups(basis: Basis, mods: int, sparse: bool) -> Ints:
    """Group of each coefficient: intercepts are free, but the one of "any treatment" is held where each has its own."""
    hinge_P = (~np.isnan(basis.knot_P)).astype(np.int64)
    group = np.empty((mods, len(hinge_P) + 1), dtype=np.int64)
    for m in range(mods):
        group[m, 0] = -2 if m == 1 and mods > 2 else -1
        group[m, 1:] = 2 * m + hinge_P
    if sparse:
        features = int(basis.source_P.max(initial=-1)) + 1
        for m in range(mods):
            group[m, 1:] = m * features + basis.source_P
    _, dense = np.unique(group[group >= 0], return_inverse=True)
    group[group >= 0] = dense
    return group


class _Quadratic(NamedTuple):
    """Second-order expansion of a log likelihood: G, G beta + score, and the dispersion."""

    gram: Floats
    pull: Floats
    spread: float


def _quadratic(z_NP: Floats, arm_N: Ints, y_N: Floats, m_AM: Floats, coef_MP: Floats, family: Family) -> _Quadratic:
    """The expansion at `coef_MP`.

    Rows of one arm share their modifiers, so G is a sum of Kronecker products: one small Gram matrix for each arm.
    """
    size = coef_MP.size
    gram, score, pearson = np.zeros((size, size)), np.zeros(size), 0.0
    for a, m in enumerate(m_AM):
        z, y = z_NP[arm_N == a], y_N[arm_N == a]
        mu = inverse(z @ (m @ coef_MP), family)
        v = np.maximum(mu * (1 - mu) if family == "binary" else mu, 1e-9) if family != "real" else np.ones(len(mu))
        gram += np.kron(np.outer(m, m), (z * v[:, None]).T @ z)
        score += np.kron(m, z.T @ (y - mu))
        pearson += float(((y - mu) ** 2 / v).sum())
    spread = 1.0 if family == "binary" else max(pearson / max(len(y_N) - 1, 1), 1e-12)
    return _Quadratic(gram, gram @ coef_MP.ravel() + score, spread)


def link(mean: Floats, family: Family) -> Floats:
    """Linear predictor of a mean."""
    match family:
        case "binary":
            inner = np.clip(mean, 1e-6, 1 - 1e-6)
            return np.asarray(np.log(inner / (1 - inner)))
        case "count":
            return np.asarray(np.log(np.maximum(mean, 1e-6)))
        case "real":
            return mean


@dataclass(frozen=True)
class Additive:
    """gain = z'coef for each treatment."""

    basis: Basis
    coef_KP: Floats

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        return self.basis.columns(x_NF) @ self.coef_KP.T


def fit_additive(trial: TrialArrays, psi_NK: NDArray[np.float64]) -> Additive:
    """Doubly robust scores regressed on the basis: what treatments share and what is one's own, both shrunk."""
    basis = screened(basis_of(trial.x_NF), trial.x_NF, psi_NK)
    z_NP = basis.columns(trial.x_NF)
    treatments = psi_NK.shape[1]
    m_KM = modifiers(treatments + 1)[1:, 1:]
    group_MP = _groups(basis, m_KM.shape[1] + 1, sparse=False)[1:]
    _, dense = np.unique(group_MP[group_MP >= 0], return_inverse=True)
    group_MP[group_MP >= 0] = dense
    gram_PP, noise_K = z_NP.T @ z_NP, psi_NK.var(axis=0) + 1e-12
    gram = np.kron((m_KM / noise_K[:, None]).T @ m_KM, gram_PP)
    pull = ((m_KM / noise_K[:, None]).T @ (psi_NK.T @ z_NP)).ravel()
    start = np.full(int(group_MP.max(initial=0)) + 1, 0.01 * float(noise_K.mean()))
    beta = shrink(gram, pull, group_MP.ravel(), start).coef_P
    return Additive(basis, m_KM @ beta.reshape(group_MP.shape))
