"""Estimate the average effect of each arm on several outcomes, and check how far predictions agree.

Legend: N customers, A arms (arm 0 is control), K = A - 1 treatments, M outcomes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike

from promolift.core.effects.trial_arrays import Floats, Ints, TrialArrays, chunks, finite_vector, holm_adjust, row_keys
from promolift.core.effects.uplift.linear_learners import Basis, fit_basis, fit_ridge, outcome_unit
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.hashing import hash_int, mix_bits
from promolift.foundation.i18n.lazy_message import gettext_lazy

MIN_ARM_CUSTOMERS = 50  # customers of an arm
FOLDS = 10  # a prediction is made without so small a part that hardly any of its quality is lost
MIN_CLUSTERS = 4  # in an arm, with fewer of which nothing is known of the error


@dataclass(frozen=True)
class AdjustedMeans:
    """What each treatment adds over control on average, with standard errors, and control's own mean.

    `freedom`: degrees of freedom of the errors, infinite but where clusters are few. `part_NK`: what each row adds to
    the error of each effect (influence function over N); their sum over a cluster is the cluster's.
    """

    gain_K: Floats
    se_K: Floats
    control_mean: float
    freedom: float
    part_NK: Floats

    @property
    def reach_K(self) -> Floats:
        """Half the width of the 95 % intervals."""
        far = Z95 if np.isinf(self.freedom) else float(scipy.stats.t.isf(0.025, self.freedom))
        return far * self.se_K


def adjusted_means(
    trial: TrialArrays,
    outcome_N: Floats,
    *,
    cluster_N: ArrayLike | None = None,
    basis: Basis | None = None,
    seed: int = 0,
) -> AdjustedMeans:
    """Regression-adjusted average effects, cross-fitted; the only estimator of averages in promolift.

    Where propensities are the same for all, each arm's mean is that of outcome - theta x prediction: one prediction
    for all arms, by the features (least squares, and a shrunken fit with hinges; both also with arms weighted alike:
    Lu & Liu 2024 on tyranny of the minority), and theta by which the difference varies least (CUPED, Deng et al. 2013).
    Features that predict nothing leave the difference in means as it is. Where propensities differ, augmented inverse
    propensity scores with a prediction for each arm (Robins, Rotnitzky & Zhao 1994), weights normalised. `cluster_N`
    names what was randomised together: folds and errors go by it. The order of rows changes nothing.
    """
    rank_N = np.unique(outcome_N, return_inverse=True)[1].astype(np.float64)  # any unit of the outcome, equal folds
    key_N = row_keys(np.column_stack([trial.x_NF, trial.arm_N, rank_N]), seed)
    cluster = None if cluster_N is None else np.unique(np.asarray(cluster_N), return_inverse=True)[1].astype(np.int64)
    fold_key = key_N if cluster is None else mix_bits(cluster.astype(np.uint64) + np.uint64(hash_int("cluster", seed)))
    fold_N = ((fold_key >> np.uint64(24)) % np.uint64(FOLDS)).astype(np.int64)
    order = np.lexsort((key_N, trial.arm_N, fold_N))
    rows = TrialArrays(
        trial.x_NF[order], trial.arm_N[order], outcome_N[order], trial.prob_NA[order], key_N[order], trial.names
    )
    cluster = None if cluster is None else cluster[order]
    unit, middle = outcome_unit(rows.outcome_N), float(rows.outcome_N.mean())
    rows = replace(rows, outcome_N=(rows.outcome_N - middle) / unit)
    same = bool((np.ptp(rows.prob_NA, axis=0) < 1e-12).all())
    guess = _guesses(rows, fold_N[order], basis or fit_basis(trial.x_NF), by_arm=not same)
    part_NK, gain_K, se_K = np.empty((len(order), trial.arms - 1)), np.empty(trial.arms - 1), np.empty(trial.arms - 1)
    for k in range(trial.arms - 1):
        pair = (0, k + 1)
        each = [_contrast(rows, g, pair, cluster) for g in guess] if same else [_weighted(rows, guess, pair, cluster)]
        gain_K[k], se_K[k], part_NK[order, k] = min(each, key=lambda found: found.se)
    if same and cluster is None and np.isin(outcome_N, (0.0, 1.0)).all():
        se_K = np.sqrt(se_K**2 + _rare(outcome_N, trial.arm_N, trial.arms) / unit**2)
    wide = float(np.ptp(outcome_N)) if len(outcome_N) else 0.0
    control = middle + unit * float(rows.outcome_N[rows.arm_N == 0].mean())
    control = control if same else middle + unit * float(_score(rows, guess[0], 0).mean())
    freedom = np.inf
    if cluster is not None:  # clusters less the arms whose means are estimated
        few = [len(np.unique(cluster[rows.arm_N == a])) for a in range(rows.arms)]
        if min(few) < MIN_CLUSTERS:
            raise SupportError(
                "too_few_clusters",
                gettext_lazy(
                    "clusters: {few} by arm; with fewer than {min_clusters} the error cannot be known",
                    few=few,
                    min_clusters=MIN_CLUSTERS,
                ),
            )
        freedom = float(len(np.unique(cluster)) - rows.arms)
    return AdjustedMeans(np.clip(unit * gain_K, -wide, wide), unit * se_K, control, freedom, unit * part_NK)


def _rare(outcome_N: Floats, arm_N: Ints, arms: int) -> Floats:
    """What the squared error of each difference of shares grows by if either arm had one success and one failure more:
    of 7 responders the plain one is too narrow, of none it is nil (Agresti & Caffo 2000)."""
    n_A, hits_A = np.bincount(arm_N, minlength=arms), np.bincount(arm_N, outcome_N, arms)
    careful_A, plain_A = (hits_A + 1) / (n_A + 2), hits_A / n_A
    more_A = np.maximum(careful_A * (1 - careful_A) - plain_A * (1 - plain_A), 0.0) / n_A
    return np.asarray(more_A[1:] + more_A[0])


class _Found(NamedTuple):
    """An effect, its standard error, and each row's part of it."""

    effect: float
    se: float
    part_N: Floats


def _contrast(rows: TrialArrays, guess_N: Floats, pair: Sequence[int], cluster: Ints | None) -> _Found:
    """Difference of two arms' means of outcome - theta guess, at the theta of least variance between 0 and 1.2."""
    y_N, above, below = rows.outcome_N, 0.0, 0.0
    masks = [rows.arm_N == a for a in pair]
    for mask in masks:
        g, n = guess_N[mask], int(mask.sum())
        above += float(np.mean((g - g.mean()) * (y_N[mask] - y_N[mask].mean()))) / n
        below += float(g.var()) / n
    theta = float(np.clip(above / below, 0.0, 1.2)) if below > 1e-300 else 0.0
    left_N, part_N = y_N - theta * guess_N, np.zeros(len(y_N))
    means = [float(left_N[mask].mean()) for mask in masks]
    for mask, mean, sign in zip(masks, means, (-1.0, 1.0), strict=True):
        n = int(mask.sum())
        part_N[mask] = sign * (left_N[mask] - mean) / n * np.sqrt(n / max(n - 1, 1))
    return _Found(means[1] - means[0], _error(part_N, cluster), part_N)


def _weighted(rows: TrialArrays, guess: list[Floats], pair: Sequence[int], cluster: Ints | None) -> _Found:
    """Augmented inverse propensity scores of two arms."""
    scores = [_score(rows, guess[a], a) for a in pair]
    part_N = scores[1] - scores[0]
    effect = float(part_N.mean())
    part_N = (part_N - effect) / len(part_N)
    return _Found(effect, _error(part_N, cluster), part_N)


def _score(rows: TrialArrays, guess_N: Floats, arm: int) -> Floats:
    """Doubly robust score of an arm's mean, weights normalised (Hajek)."""
    weight_N = np.where(rows.arm_N == arm, 1 / np.maximum(rows.prob_NA[:, arm], 1e-12), 0.0)
    weight_N /= max(float(weight_N.mean()), 1e-300)
    left_N = weight_N * (rows.outcome_N - guess_N)
    return np.asarray(guess_N + left_N - (weight_N - 1) * left_N.mean())


def _error(part_N: Floats, cluster: Ints | None) -> float:
    """Root of the summed squares, of clusters where there are any (with the usual G / (G - 1))."""
    if cluster is None:
        return float(np.sqrt(np.sum(part_N**2)))
    sums = np.bincount(cluster, weights=part_N)
    return float(np.sqrt(np.sum(sums**2) * len(sums) / max(len(sums) - 1, 1)))


def _guesses(rows: TrialArrays, fold_N: Ints, basis: Basis, *, by_arm: bool) -> list[Floats]:
    """Predictions of the outcome out of fold: of different kinds for all arms alike, or one for each arm."""
    columns, parts = _Columns.of(rows.x_NF, basis), chunks(len(fold_N))
    once = columns.z(rows.x_NF) if len(parts) == 1 else None  # the columns of a long trial are never held at once
    sums = _cell_sums(rows, fold_N, columns, once)
    arms, folds = rows.arms, len(sums.count_JA)
    alike_A = 1 / np.maximum(sums.count_JA.sum(axis=0), 1)
    weights = list(np.eye(arms)) if by_arm else [np.ones(arms), alike_A / alike_A.mean()]
    even = len(set(sums.count_JA.sum(axis=0).tolist())) == 1
    coef_JPG = np.stack([
        np.stack([
            fit
            for weight_A in (weights[:1] if even and not by_arm else weights)
            for fit in _fits(sums, j, weight_A, columns, least_squares=not by_arm)
        ], axis=1)
        for j in range(folds)
    ])  # fmt: skip
    guess_NG = np.empty((len(fold_N), coef_JPG.shape[2]))
    for part in parts:
        z_NP, fold = columns.z(rows.x_NF[part]) if once is None else once, fold_N[part]
        for j in np.unique(fold):
            low, high = np.searchsorted(fold, [j, j + 1])
            guess_NG[part][low:high] = z_NP[low:high] @ coef_JPG[j]
    return list(guess_NG.T)


@dataclass(frozen=True)
class _Columns:
    """The basis, and beside it each feature as it is: winsorised, the past may not explain the largest amounts."""

    basis: Basis
    mean_F: Floats
    scale_F: Floats

    @classmethod
    def of(cls, x_NF: Floats, basis: Basis) -> "_Columns":
        known = np.isfinite(x_NF) & (x_NF != basis.code_F)
        count = np.maximum(known.sum(axis=0), 1)
        mean_F = np.where(known, x_NF, 0.0).sum(axis=0) / count
        scale_F = np.sqrt((np.where(known, x_NF - mean_F, 0.0) ** 2).sum(axis=0) / count)
        return cls(basis, mean_F, scale_F)

    def z(self, x_NF: Floats) -> Floats:
        at = len(self.basis.source_P) + 1
        z_NP = self.basis.columns(x_NF, spare=len(self.mean_F))
        for f, (mean, scale, code) in enumerate(zip(self.mean_F, self.scale_F, self.basis.code_F, strict=True)):
            values = np.ascontiguousarray(x_NF[:, f])
            flat = scale <= 1e-9 * abs(mean) or not scale > 0
            unknown = ~np.isfinite(values) | (values == code)
            z_NP[:, at + f] = 0.0 if flat else np.where(unknown, 0.0, (values - mean) / scale)
        return z_NP


class _CellSums(NamedTuple):
    """Of each fold and arm: z'z, z'y, y'y and rows."""

    gram_JAPP: Floats
    pull_JAP: Floats
    square_JA: Floats
    count_JA: Ints


def _cell_sums(rows: TrialArrays, fold_N: Ints, columns: _Columns, once: Floats | None) -> _CellSums:
    wide = len(columns.basis.source_P) + 1 + len(columns.mean_F)
    gram, pull = np.zeros((FOLDS, rows.arms, wide, wide)), np.zeros((FOLDS, rows.arms, wide))
    square, count = np.zeros((FOLDS, rows.arms)), np.zeros((FOLDS, rows.arms), dtype=np.int64)
    for part in chunks(len(fold_N)):
        z_NP, y = columns.z(rows.x_NF[part]) if once is None else once, rows.outcome_N[part]
        cell = fold_N[part] * rows.arms + rows.arm_N[part]
        edges = np.searchsorted(cell, np.arange(FOLDS * rows.arms + 1))
        for c, (low, high) in enumerate(pairwise(edges)):
            j, a = divmod(c, rows.arms)
            z = z_NP[low:high]
            gram[j, a] += z.T @ z
            pull[j, a] += z.T @ y[low:high]
            square[j, a] += float(y[low:high] @ y[low:high])
            count[j, a] += high - low
    return _CellSums(gram, pull, square, count)


def _fits(sums: _CellSums, fold: int, weight_A: Floats, columns: _Columns, *, least_squares: bool) -> list[Floats]:
    """Coefficients without a fold, each arm about its own mean: by least squares on features as they are, by shrinkage
    on basis and features (slopes and hinges each by their evidence)."""
    rest = np.arange(len(sums.count_JA)) != fold
    wide, basis = sums.pull_JAP.shape[2], columns.basis
    gram, pull, square = np.zeros((wide - 1, wide - 1)), np.zeros(wide - 1), 0.0
    for a, weight in enumerate(weight_A):
        n = max(int(sums.count_JA[rest, a].sum()), 1)
        g, p = sums.gram_JAPP[rest, a].sum(axis=0), sums.pull_JAP[rest, a].sum(axis=0)
        gram += weight * (g[1:, 1:] - np.outer(g[0, 1:], g[0, 1:]) / n)
        pull += weight * (p[1:] - g[0, 1:] * p[0] / n)
        square += weight * float(sums.square_JA[rest, a].sum() - p[0] ** 2 / n)
    if square <= 1e-12:  # the outcome does not vary
        return [np.zeros(wide)] * (2 if least_squares and len(columns.mean_F) else 1)
    rows = max(float((weight_A * sums.count_JA[rest].sum(axis=0)).sum()), 1.0)
    hinge = (~np.isnan(basis.knot_P)).astype(np.int64)
    group_P = np.r_[hinge, np.full(len(columns.mean_F), 2)]
    spread, coef = square / rows, np.zeros(wide - 1)
    variance = np.full(3, 0.01 * spread)
    for _ in range(3):
        coef, variance = fit_ridge(gram / spread, pull / spread, group_P, np.maximum(variance, 1e-9 * spread), 8)
        left = float(square - 2 * coef @ pull + coef @ gram @ coef)
        spread = max(left, 1e-9 * square) / rows
    found, at = [np.r_[0.0, coef]], len(basis.source_P)
    if least_squares and len(columns.mean_F):
        flags = np.flatnonzero(np.isposinf(basis.knot_P))
        used = np.r_[flags, np.arange(at, wide - 1)]
        plain = np.zeros(wide)
        plain[used + 1] = np.linalg.lstsq(gram[np.ix_(used, used)], pull[used], rcond=1e-9)[0]
        found.append(plain)
    if weight_A.min() == 0:  # one arm's own fit needs its own mean
        own = int(weight_A.argmax())
        first = sums.gram_JAPP[rest, own].sum(axis=0)[0]
        found[0][0] = (sums.pull_JAP[rest, own].sum(axis=0)[0] - first[1:] @ coef) / max(first[0], 1.0)
    return found


def e_value(difference: float, se: float, sd: float) -> float:
    """Least risk ratio that a hidden cause needs with both treatment and outcome to explain an effect away down to the
    limit of its interval: RR + sqrt(RR (RR - 1)), RR = exp(0.91 d), d in standard deviations (VanderWeele & Ding 2017).
    """
    nearest = max(abs(difference) - Z95 * se, 0.0)
    ratio = float(np.exp(0.91 * nearest / sd)) if sd > 0 else 1.0
    return float(ratio + np.sqrt(ratio * (ratio - 1)))


def average_effects(
    trial: TrialArrays,
    outcomes: Mapping[str, ArrayLike],
    level: Level,
    *,
    cluster_N: ArrayLike | None = None,
    seed: int = 0,
) -> pl.DataFrame:
    """One row per outcome and arm: outcome, arm, control_mean, effect, se, low, high, p, p_holm, n, level.

    By `adjusted_means`, so features only take noise away. Intervals are 95 % each; `p_holm` is adjusted for all rows
    being looked at together (Holm 1979). `level` is the one earned in `diagnose`. Costs are outcomes like any other.
    Raises SupportError if an arm has fewer than 50 customers.
    """
    checked, basis = _checked(trial, outcomes), fit_basis(trial.x_NF)
    parts = []
    for name, y_N in checked.items():
        found = adjusted_means(trial, y_N, cluster_N=cluster_N, basis=basis, seed=seed)
        law = scipy.stats.norm if np.isinf(found.freedom) else scipy.stats.t(found.freedom)
        size_K = np.divide(np.abs(found.gain_K), found.se_K, out=np.full(len(found.se_K), np.inf), where=found.se_K > 0)
        size_K[(found.se_K <= 0) & (found.gain_K == 0)] = 0.0
        parts.append(pl.DataFrame({
            "outcome": name, "arm": np.arange(1, trial.arms), "control_mean": found.control_mean,
            "effect": found.gain_K, "se": found.se_K, "low": found.gain_K - found.reach_K,
            "high": found.gain_K + found.reach_K, "p": 2 * law.sf(size_K),
        }))  # fmt: skip
    frame = pl.concat(parts)
    adjusted = pl.Series("p_holm", holm_adjust(frame["p"].to_numpy()))
    return frame.with_columns(adjusted, n=pl.lit(len(trial.arm_N)), level=pl.lit(level))


def _checked(trial: TrialArrays, outcomes: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    found = {name: finite_vector(values, name) for name, values in outcomes.items()}
    short = {name: len(values) for name, values in found.items() if len(values) != len(trial.arm_N)}
    if short or not found:
        raise InputError(
            "shapes_differ" if short else "value_missing",
            gettext_lazy(
                "outcomes: {short}; give one value for each of {arm_n} customers",
                short=short or gettext_lazy("none given"),
                arm_n=len(trial.arm_N),
            ),
        )
    counts = np.bincount(trial.arm_N, minlength=trial.arms)
    if counts.min() < MIN_ARM_CUSTOMERS:
        raise SupportError(
            "arm_too_small",
            gettext_lazy(
                "outcomes: arm {argmin} has {min} customers; at least {min_arm_customers} are needed",
                argmin=counts.argmin(),
                min=counts.min(),
                min_arm_customers=MIN_ARM_CUSTOMERS,
            ),
        )
    return found


def effect_bins(gain_N: Floats, psi_N: Floats, bins: int = 10) -> pl.DataFrame:
    """At most `bins` groups of nearly equal count, lowest prediction first; equal predictions stay together.

    Columns predicted and realised (mean effects), se, low, high (95 % of the realised one), n. Raises SupportError if
    fewer than two customers would share a group.
    """
    _check(gain_N, psi_N, 2 * bins)
    value, group_N = np.unique(gain_N, return_inverse=True)
    below = np.r_[0, np.cumsum(np.bincount(group_N, minlength=len(value)))[:-1]][group_N]
    part_N = below * bins // len(gain_N)
    kept, size = np.unique(part_N, return_counts=True)
    kept = kept[size > 1]  # of one customer no error is known: they join those above
    part_N = np.minimum(np.searchsorted(kept, part_N), len(kept) - 1)
    frame = pl.DataFrame({"part": part_N, "gain": gain_N, "psi": psi_N}).group_by("part").agg(
        predicted=pl.col("gain").mean(), realised=pl.col("psi").mean(),
        se=pl.col("psi").std() / pl.len().sqrt(), n=pl.len().cast(pl.Int64),
    )  # fmt: skip
    ends = {name: pl.col("realised") + sign * Z95 * pl.col("se") for name, sign in (("low", -1), ("high", 1))}
    return frame.sort("part").with_columns(**ends).select("predicted", "realised", "se", "low", "high", "n")


def _check(gain_N: Floats, psi_N: Floats, least: int) -> None:
    if gain_N.ndim != 1 or gain_N.shape != psi_N.shape or not (np.isfinite(gain_N).all() and np.isfinite(psi_N).all()):
        alike = gain_N.ndim == 1 and gain_N.shape == psi_N.shape
        raise InputError(
            "value_not_finite" if alike else "shapes_differ",
            gettext_lazy(
                "calibration: predictions {shape} and scores {psi_n_shape} must be finite and alike",
                shape=gain_N.shape,
                psi_n_shape=psi_N.shape,
            ),
        )
    if len(gain_N) < least:
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "calibration: {gain_n} customers; at least {least} are needed to say anything",
                gain_n=len(gain_N),
                least=least,
            ),
        )
