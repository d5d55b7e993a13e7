"""Candidates' gains out of fold and doubly robust scores in; which candidates to believe, and how far, out.

Legend: N customers, K treatments, C candidates.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import scipy

from promolift.effect.trial import Floats, Ints
from promolift.hashing import hash_int

DRAWS = 20_000  # Gaussian draws behind the quantile of the largest of C correlated tests
WEIGHT_SD = 0.15  # spread of the stack's weights around an equal share before any data
NEAR = 0.5  # a simpler answer whose loss is larger by so many standard errors is as good; 1 lost more in simulation
BEYOND_DOUBT = 3.0  # an average effect of so many standard errors is no chance
Answer = Literal["none", "simple", "stack"]


@dataclass(frozen=True)
class Rule:
    """How candidates are judged: the first `simple` of them are simpler than their mixture, in order of simplicity."""

    simple: int
    alpha: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Verdict:
    """Weight of each candidate (all 0: everybody gains the same) and the numbers behind it.

    `score_C`: by how much, in outcome units squared for each customer and treatment, following a candidate's
    differences lowers the doubly robust loss of the constant effect, with its s.e.; `z_C` tests the same, and the
    largest z must exceed `limit`.
    """

    answer: Answer
    weight_C: Floats
    score_C: Floats
    se_C: Floats
    z_C: Floats
    limit: float

    def table(self, names: tuple[str, ...]) -> pl.DataFrame:
        """One row for each candidate."""
        return pl.DataFrame(
            {"learner": names, "score": self.score_C, "se": self.se_C, "z": self.z_C, "weight": self.weight_C}
        )


def judge(gain_NKC: Floats, psi_NK: Floats, fold_N: Ints, rule: Rule) -> Verdict:
    """Test all candidates against "everybody gains the same"; mix them; fall back on the simplest as good.

    Gains are centred within folds: candidates compete only by differences between customers. The test: the largest z
    against the 1 - alpha quantile of the largest of C correlated standard normals, so that noise passes with chance
    alpha whatever C. Passed: the mixture, unless a simple candidate's loss lies within NEAR standard errors of it
    (paired, by customer). Failed: no differences; but an average effect beyond doubt on outcomes that cannot be
    negative must differ on one scale or the other, so that the first candidate (proportional effects) gets the weight
    the data give it, from half a weight on.
    """
    scale_K = 1 / np.maximum(psi_NK.std(axis=0), 1e-12)  # arms with noisier scores count less
    gain = _within(gain_NKC, fold_N) * scale_K[:, None]
    psi = _within(psi_NK[:, :, None], fold_N)[:, :, 0] * scale_K
    product_NC = np.einsum("nkc,nk->nc", gain, psi)
    size_C = np.einsum("nkc,nkc->c", gain, gain)
    total_C, spread_C = product_NC.sum(axis=0), product_NC.std(axis=0) * np.sqrt(len(psi))
    z_C = np.divide(total_C, spread_C, out=np.zeros_like(total_C), where=spread_C > 1e-12)
    slope_C = np.clip(np.divide(total_C, size_C, out=np.zeros_like(total_C), where=size_C > 1e-12), 0, 1)
    limit = _limit(product_NC, rule)
    answer, weight_C = _decide(gain, psi, slope_C, rule) if z_C.max() > limit else _fallback(gain, psi, psi_NK)
    unit = float((scale_K**-2).mean()) / psi.size
    fall_NC = 2 * slope_C * product_NC - np.einsum("nkc,nkc->nc", gain, gain) * slope_C**2
    score_C, se_C = fall_NC.sum(axis=0) * unit, fall_NC.std(axis=0) * np.sqrt(len(psi)) * unit
    return Verdict(answer, weight_C, score_C, se_C, z_C, limit)


def _decide(gain: Floats, psi: Floats, slope_C: Floats, rule: Rule) -> tuple[Answer, Floats]:
    """The simplest candidate that is within NEAR standard errors of the mixture, else the mixture."""
    mixed_C = stack(gain, psi)
    loss_N = ((psi - gain @ mixed_C) ** 2).sum(axis=1)
    for c in range(rule.simple):
        worse_N = ((psi - slope_C[c] * gain[:, :, c]) ** 2).sum(axis=1) - loss_N
        if slope_C[c] > 0 and worse_N.sum() <= NEAR * worse_N.std() * np.sqrt(len(worse_N)):
            return "simple", np.where(np.arange(len(slope_C)) == c, slope_C[c], 0.0)
    return "stack", mixed_C


def _fallback(gain: Floats, psi: Floats, psi_NK: Floats) -> tuple[Answer, Floats]:
    """Nothing, or the first candidate with the posterior mean of its weight, which was 0.5 +- 0.5 before the data."""
    weight_C = np.zeros(gain.shape[2])
    z_K = psi_NK.mean(axis=0) / np.maximum(psi_NK.std(axis=0), 1e-12) * np.sqrt(len(psi_NK))
    if np.abs(z_K).max() <= BEYOND_DOUBT:
        return "none", weight_C
    first, noise = gain[:, :, 0], float(np.mean(psi**2))
    size = float((first**2).sum()) / noise
    if size < 1e-12:
        return "none", weight_C
    weight_C[0] = np.clip((float((first * psi).sum()) / noise + 0.5 * 4) / (size + 4), 0, 1)
    return ("simple" if weight_C[0] > 0 else "none"), weight_C


def stack(gain: Floats, psi: Floats) -> Floats:
    """Non-negative weights of least squared error, drawn towards an equal share as a Gaussian prior of WEIGHT_SD does.

    Where differences are weak the weights stay near equal, which beat fitted ones in simulation; strong ones free them.
    """
    flat, y = gain.reshape(-1, gain.shape[2]), psi.ravel()
    noise, candidates = float(np.mean(y**2)), gain.shape[2]
    precision = np.eye(candidates) / WEIGHT_SD**2
    root = np.linalg.cholesky(flat.T @ flat / noise + precision)
    pull = flat.T @ y / noise + precision @ np.full(candidates, 1 / candidates)
    return np.asarray(scipy.optimize.nnls(root.T, np.linalg.solve(root, pull))[0])


def other_arms(value_NA: Floats, score_NA: Floats, best: int, bound: float) -> Ints:
    """Arms that may replace the `best` fixed one for customers whose value they lead, all out of fold.

    Those whose takers score better than under the best arm, if together they do so by `bound` standard errors; else
    those that do so alone. What is promised is that the policy as a whole beats the best fixed arm.
    """
    wish_N = value_NA.argmax(axis=1)
    better_NA = np.where(wish_N[:, None] == np.arange(value_NA.shape[1]), score_NA - score_NA[:, [best]], 0.0)
    gaining = np.flatnonzero(better_NA.mean(axis=0) > 0)
    together, *alone = (_z(better_N) for better_N in (better_NA[:, gaining].sum(axis=1), *better_NA[:, gaining].T))
    return gaining if together > bound else gaining[np.array(alone) > bound]


def _z(values_N: Floats) -> float:
    """Mean over its standard error."""
    return float(values_N.mean() / max(values_N.std(), 1e-12) * np.sqrt(len(values_N)))


def _within(values_NKC: Floats, fold_N: Ints) -> Floats:
    """Values minus their mean in the same fold."""
    centred = values_NKC.copy()
    for fold in np.unique(fold_N):
        centred[fold_N == fold] -= values_NKC[fold_N == fold].mean(axis=0)
    return centred


def _limit(product_NC: Floats, rule: Rule) -> float:
    """Quantile of the largest of the candidates' z, under no heterogeneity."""
    live = product_NC.std(axis=0) > 1e-12
    if not live.any():
        return float("inf")
    corr = np.atleast_2d(np.corrcoef(product_NC[:, live], rowvar=False))
    draws = np.random.default_rng(hash_int("largest z", rule.seed)).standard_normal((DRAWS, len(corr)))
    values, vectors = np.linalg.eigh(corr)
    correlated = draws @ (vectors * np.sqrt(np.maximum(values, 0))).T
    return float(np.quantile(correlated.max(axis=1), 1 - rule.alpha))
