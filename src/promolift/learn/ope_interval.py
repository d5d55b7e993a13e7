"""Scores per row in; how far their mean may be from the truth, out.

Legend: N rows or customers, P policies, B bootstrap draws.
"""

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.hashing import hash_int

Floats = NDArray[np.float64]
CHUNK = 4096  # rows of multipliers drawn at a time


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`."""

    low: float
    high: float


def standard_error(score_N: Floats) -> float:
    """Of the mean of independent scores; infinite for fewer than two."""
    return float(score_N.std(ddof=1) / np.sqrt(len(score_N))) if len(score_N) > 1 else np.inf


def normal(score_N: Floats, level: float) -> Interval:
    """Mean plus and minus z standard errors: right for many rows whose weights are not extreme."""
    half = float(scipy.stats.norm.ppf(0.5 + level / 2)) * standard_error(score_N)
    return Interval(float(score_N.mean()) - half, float(score_N.mean()) + half)


def bootstrap(score_N: Floats, level: float, draws: int, seed: int) -> Interval:
    """Percentiles of the mean under Bayesian (exponential) weights of the rows: follows skew the normal cannot."""
    means_BP = _reweighted(score_N[:, None], draws, seed)
    low, high = np.quantile(means_BP[:, 0], [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high))


def bernstein(score_N: Floats, level: float, span: float) -> Interval:
    """Empirical Bernstein bound (Maurer & Pontil 2009): holds at any size for independent scores within `span`.

    Wide, because it promises more: use it where a mistake is dear and the rows are few. Each side has half the risk.
    """
    count = len(score_N)
    risk = np.log(4.0 / (1.0 - level))
    half = np.sqrt(2 * score_N.var(ddof=1) * risk / count) + 7 * span * risk / (3 * (count - 1))
    return Interval(float(score_N.mean() - half), float(score_N.mean() + half))


def simultaneous(scores_NP: Floats, level: float, draws: int, seed: int) -> float:
    """How many standard errors hold for all policies at once (max-t multiplier bootstrap; Chernozhukov et al. 2013).

    Policies that move together need fewer than Bonferroni asks for. A policy whose scores do not vary is left out.
    """
    spread_P = scores_NP.std(axis=0, ddof=1)
    kept = spread_P > 0
    if not kept.any():
        return float(scipy.stats.norm.ppf(0.5 + level / 2))
    unit_NP = (scores_NP[:, kept] - scores_NP[:, kept].mean(axis=0)) / spread_P[kept]
    total_BP = np.zeros((draws, unit_NP.shape[1]))
    generator = np.random.default_rng(hash_int("max-t", seed))
    for start in range(0, len(unit_NP), CHUNK):
        part = unit_NP[start : start + CHUNK]
        total_BP += generator.standard_normal((draws, len(part))) @ part
    return float(np.quantile(np.abs(total_BP).max(axis=1) / np.sqrt(len(unit_NP)), level))


def _reweighted(score_NP: Floats, draws: int, seed: int) -> Floats:
    generator = np.random.default_rng(hash_int("bootstrap", seed))
    total_BP, weight_B = np.zeros((draws, score_NP.shape[1])), np.zeros(draws)
    for start in range(0, len(score_NP), CHUNK):
        part = score_NP[start : start + CHUNK]
        multiplier = generator.standard_exponential((draws, len(part)))
        total_BP += multiplier @ part
        weight_B += multiplier.sum(axis=1)
    return np.asarray(total_BP / weight_B[:, None])
