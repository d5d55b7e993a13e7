"""One trial and several outcomes in; what each arm adds to each of them, and how far predictions agree, out.

Legend: N customers, A arms (arm 0 is control), K = A - 1 treatments, M outcomes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike

from promolift.effect.diagnose import holm
from promolift.effect.linear import Basis, basis_of
from promolift.effect.trial import Floats, Ints, Level, TrialArrays, chunks, numbers
from promolift.errors import InputError, SupportError
from promolift.tables import Z95

LEAST = 50  # customers of an arm


def average_effects(trial: TrialArrays, outcomes: Mapping[str, ArrayLike], level: Level) -> pl.DataFrame:
    """One row per outcome and arm: outcome, arm, control_mean, effect, se, low, high, p, p_holm, n, level.

    Doubly robust means with a ridge regression on the features fitted out of fold, so features only take noise away.
    Intervals are 95 % each; `p_holm` is adjusted for all rows being looked at together (Holm 1979). `level` is the one
    earned in `diagnose`. Costs are outcomes like any other. Raises SupportError if an arm has fewer than 50 customers.
    """
    checked = _checked(trial, outcomes)
    score_NAM = _scores(trial, np.column_stack(list(checked.values())))
    frame = pl.DataFrame(
        [
            {"outcome": name, "arm": a, **_effect(score_NAM[:, a, m], score_NAM[:, 0, m])}
            for m, name in enumerate(checked)
            for a in range(1, trial.arms)
        ]
    )
    adjusted = pl.Series("p_holm", holm(frame["p"].to_numpy()))
    return frame.with_columns(adjusted, n=pl.lit(len(trial.arm_N)), level=pl.lit(level))


def _checked(trial: TrialArrays, outcomes: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    found = {name: numbers(values, name) for name, values in outcomes.items()}
    short = {name: len(values) for name, values in found.items() if len(values) != len(trial.arm_N)}
    if short or not found:
        raise InputError(f"outcomes: {short or 'none given'}; give one value for each of {len(trial.arm_N)} customers")
    counts = np.bincount(trial.arm_N, minlength=trial.arms)
    if counts.min() < LEAST:
        raise SupportError(f"outcomes: arm {counts.argmin()} has {counts.min()} customers; at least {LEAST} are needed")
    return found


def _scores(trial: TrialArrays, y_NM: Floats) -> Floats:
    """score_NAM, whose mean is the mean of outcome m had all been in arm a.

    Augmented inverse propensity scores (Robins, Rotnitzky & Zhao 1994); each half is predicted by the other.
    """
    basis = basis_of(trial.x_NF)
    half_N = ((trial.key_N >> np.uint64(40)) % np.uint64(2)).astype(np.int64)
    coef_HAPM = _halves(basis, trial, half_N, y_NM)
    score_NAM = np.empty((len(y_NM), trial.arms, y_NM.shape[1]))
    for part in chunks(len(y_NM)):
        z_NP, half, score = basis.columns(trial.x_NF[part]), half_N[part], score_NAM[part]
        for h, a in np.ndindex(2, trial.arms):
            score[half == h, a] = z_NP[half == h] @ coef_HAPM[1 - h, a]
    for a in range(trial.arms):
        mine = trial.arm_N == a
        left_NM = y_NM[mine] - score_NAM[mine, a]
        score_NAM[mine, a] += left_NM / trial.prob_NA[mine, a][:, None]
    return score_NAM


def _halves(basis: Basis, trial: TrialArrays, half_N: Ints, y_NM: Floats) -> Floats:
    """Ridge coefficients of each half and arm, coef_HAPM; the columns of a long trial are never held at once."""
    wide = len(basis.source_P) + 1
    gram = np.zeros((2, trial.arms, wide, wide))
    pull = np.zeros((2, trial.arms, wide, y_NM.shape[1]))
    for part in chunks(len(y_NM)):
        z_NP = basis.columns(trial.x_NF[part])
        for h, a in np.ndindex(2, trial.arms):
            mine = (half_N[part] == h) & (trial.arm_N[part] == a)
            gram[h, a] += z_NP[mine].T @ z_NP[mine]
            pull[h, a] += z_NP[mine].T @ y_NM[part][mine]
    return np.array([[_ridge(gram[h, a], pull[h, a]) for a in range(trial.arms)] for h in (0, 1)])


def _ridge(gram_PP: Floats, pull_PM: Floats) -> Floats:
    """Ridge with a penalty of one row per column on standardised columns; the intercept is never shrunk."""
    penalty = np.full(len(gram_PP), float(len(gram_PP)))
    penalty[0] = 1e-9
    return np.asarray(np.linalg.solve(gram_PP + np.diag(penalty), pull_PM))


def _effect(score_N: Floats, control_N: Floats) -> dict[str, float]:
    """Effect of an arm over control on one outcome."""
    part_N = score_N - control_N
    effect, se = float(part_N.mean()), float(part_N.std(ddof=1) / np.sqrt(len(part_N)))
    p = float(2 * scipy.stats.norm.sf(abs(effect) / se)) if se > 0 else float(effect == 0)
    limits = {"low": effect - Z95 * se, "high": effect + Z95 * se}
    return {"control_mean": float(control_N.mean()), "effect": effect, "se": se, **limits, "p": p}


@dataclass(frozen=True)
class EffectBin:
    """Customers of similar prediction: mean predicted effect beside the realised one with its 95 % interval."""

    predicted: float
    realised: float
    se: float
    low: float
    high: float
    n: int


def effect_bins(gain_N: Floats, psi_N: Floats, bins: int = 10) -> tuple[EffectBin, ...]:
    """At most `bins` groups of nearly equal count, lowest prediction first; equal predictions stay together.

    Raises SupportError if fewer than two customers would share a group.
    """
    _check(gain_N, psi_N, 2 * bins)
    value, group_N = np.unique(gain_N, return_inverse=True)
    below = np.r_[0, np.cumsum(np.bincount(group_N, minlength=len(value)))[:-1]][group_N]
    part_N = below * bins // len(gain_N)
    return tuple(_bin(gain_N[part_N == b], psi_N[part_N == b]) for b in np.unique(part_N))


def _bin(gain_M: Floats, psi_M: Floats) -> EffectBin:
    mean, n = float(psi_M.mean()), len(psi_M)
    se = float(psi_M.std(ddof=1) / np.sqrt(n))
    return EffectBin(float(gain_M.mean()), mean, se, mean - Z95 * se, mean + Z95 * se, n)


def _check(gain_N: Floats, psi_N: Floats, least: int) -> None:
    if gain_N.ndim != 1 or gain_N.shape != psi_N.shape or not (np.isfinite(gain_N).all() and np.isfinite(psi_N).all()):
        raise InputError(f"calibration: predictions {gain_N.shape} and scores {psi_N.shape} must be finite and alike")
    if len(gain_N) < least:
        raise SupportError(f"calibration: {len(gain_N)} customers; at least {least} are needed to say anything")
