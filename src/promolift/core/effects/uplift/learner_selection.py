"""Choose between learners of the effect by what they prove on customers whom they did not see.

Legend: N customers, K treatments, C candidate learners.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import scipy
from pydantic import Field

from promolift.core.effects.trial_arrays import Floats, Ints
from promolift.foundation.hashing import hash_int
from promolift.foundation.settings import Settings

DRAWS = 20_000  # Gaussian draws behind the quantile of the largest of C correlated tests
WEIGHT_SD = 0.15  # spread of the stack's weights around an equal share before any data
PAIR_FACTOR = np.sqrt(2.0)  # of a cross-fitted learner each pair of customers counts twice, once from either side
SIMPLER_WITHIN_SE = (
    0.5  # a simpler answer whose loss is larger by so many standard errors is as good; 1 lost more in simulation
)
SIGNIFICANT_Z = 5.0  # an average effect of so many standard errors is not noise
SelectionAnswer = Literal["none", "simple", "stack"]


SimpleLearner = Literal["proportional", "segment"]
RichLearner = Literal[
    "response", "additive", "multiplicative", "multiplicative-sparse", "t-trees", "s-trees", "dr-trees",
]  # fmt: skip


class EffectSettings(Settings):
    """Which learners compete and how they are judged.

    A `simple` learner, the simplest first, replaces a mixture that is not clearly better (NEAR); `rich` ones
    only enter the mixture. `folds` judge them (None: 5, with more rows fewer). `alpha`: probability of seeing
    differences in noise. `bound`: standard errors by which a single treatment must beat control before everybody is
    given it (more where there are several); `lead`: by which a ranking must earn more than the best fixed arm, or than
    drawing as many at random.
    """

    simple: tuple[SimpleLearner, ...] = ("proportional", "segment")
    rich: tuple[RichLearner, ...] = (
        "response", "additive", "multiplicative", "multiplicative-sparse", "t-trees", "s-trees", "dr-trees",
    )  # fmt: skip
    folds: int | None = Field(default=None, ge=2, le=20)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    bound: float = Field(default=2.0, ge=0)
    lead: float = Field(default=0.5, ge=0)
    seed: int = 0

    @property
    def learners(self) -> tuple[SimpleLearner | RichLearner, ...]:
        return (*self.simple, *self.rich)


DEFAULT_SETTINGS = EffectSettings()


@dataclass(frozen=True)
class Selection:
    """Weight of each candidate (all 0: everybody gains the same) and the numbers behind it.

    `z_C` tests whether following a candidate's differences lowers the doubly robust loss of the constant effect; one of
    them must exceed its own of `limit_C`.
    """

    answer: SelectionAnswer
    weight_C: Floats
    z_C: Floats
    limit_C: Floats


def select_learners(gain_NKC: Floats, psi_NK: Floats, fold_N: Ints, settings: EffectSettings) -> Selection:
    """Test all candidates against "everybody gains the same"; mix them; fall back on the simplest as good.

    Gains are centred within folds: candidates compete only by differences between customers. The first candidate's
    direction was fixed beforehand (who would buy anyway gains more), so it is tested by itself; of the others the
    largest z, against the quantile of the largest of C correlated standard normals. What those learned from customers
    j they prove on customers i and the other way round, so that their sum has twice the variance of independent terms.
    Each side has half of alpha; but an average effect beyond doubt on outcomes that differ can hardly be the same for
    everybody, so then the first has all of it, and the others, unless it passes, a fifth.
    Passed by the first alone: the first. Passed: the mixture, unless a simple candidate's loss lies within NEAR
    standard errors of it (paired, by customer). Failed: no differences.
    """
    scale_K = 1 / np.maximum(psi_NK.std(axis=0), 1e-12)  # arms with noisier scores count less
    gain = _within(gain_NKC, fold_N) * scale_K[:, None]
    psi = _within(psi_NK[:, :, None], fold_N)[:, :, 0] * scale_K
    product_NC = np.einsum("nkc,nk->nc", gain, psi)
    size_C = np.einsum("nkc,nkc->c", gain, gain)
    total_C, spread_C = product_NC.sum(axis=0), product_NC.std(axis=0) * np.sqrt(len(psi))
    spread_C[1:] *= PAIR_FACTOR
    z_C = np.divide(total_C, spread_C, out=np.zeros_like(total_C), where=spread_C > 1e-12)
    slope_C = np.clip(np.divide(total_C, size_C, out=np.zeros_like(total_C), where=size_C > 1e-12), 0, 1)
    doubt = np.abs(psi_NK.mean(axis=0) * scale_K).max() * np.sqrt(len(psi)) < SIGNIFICANT_Z
    limit_C = _limits(product_NC, float(z_C[0]), settings, doubt=bool(doubt))
    alike = Selection("none", np.zeros(len(z_C)), z_C, limit_C)
    if not (z_C > limit_C).any():
        return alike
    alone_CC = np.diag(slope_C)
    if not (z_C > limit_C)[1:].any():
        return replace(alike, answer="simple", weight_C=alone_CC[0])
    mixed_C = stack_weights(gain, psi)
    loss_N = ((psi - gain @ mixed_C) ** 2).sum(axis=1)
    for c in range(len(settings.simple)):
        worse_N = ((psi - slope_C[c] * gain[:, :, c]) ** 2).sum(axis=1) - loss_N
        if slope_C[c] > 0 and worse_N.sum() <= SIMPLER_WITHIN_SE * worse_N.std() * np.sqrt(len(worse_N)):
            return replace(alike, answer="simple", weight_C=alone_CC[c])
    return replace(alike, answer="stack", weight_C=mixed_C)


def stack_weights(gain: Floats, psi: Floats) -> Floats:
    """Non-negative weights of least squared error, drawn towards an equal share as a Gaussian prior of WEIGHT_SD does.

    Where differences are weak the weights stay near equal, which beat fitted ones in simulation; strong ones free them.
    """
    flat, y = gain.reshape(-1, gain.shape[2]), psi.ravel()
    noise, candidates = float(np.mean(y**2)), gain.shape[2]
    precision = np.eye(candidates) / WEIGHT_SD**2
    root = np.linalg.cholesky(flat.T @ flat / noise + precision)
    pull = flat.T @ y / noise + precision @ np.full(candidates, 1 / candidates)
    return np.asarray(scipy.optimize.nnls(root.T, np.linalg.solve(root, pull))[0])


def _within(values_NKC: Floats, fold_N: Ints) -> Floats:
    """Values minus their mean in the same fold."""
    centred = values_NKC.copy()
    for fold in np.unique(fold_N):
        centred[fold_N == fold] -= values_NKC[fold_N == fold].mean(axis=0)
    return centred


def _limits(product_NC: Floats, first: float, settings: EffectSettings, *, doubt: bool) -> Floats:
    """Of the first candidate's z, which is `first`, and of the largest of the others', under no heterogeneity.

    Candidates that never differ have no limit to pass.
    """
    limit_C = np.full(product_NC.shape[1], np.inf)
    others = np.flatnonzero(product_NC[:, 1:].std(axis=0) > 1e-12) + 1
    level = settings.alpha / 2 if doubt else settings.alpha
    if product_NC[:, 0].std() > 1e-12:
        limit_C[0] = scipy.stats.norm.isf(level if others.size else settings.alpha)
    if others.size:
        corr = np.atleast_2d(np.corrcoef(product_NC[:, others], rowvar=False))
        draws = np.random.default_rng(hash_int("largest z", settings.seed)).standard_normal((DRAWS, len(corr)))
        values, vectors = np.linalg.eigh(corr)
        correlated = draws @ (vectors * np.sqrt(np.maximum(values, 0))).T
        level = level if doubt or first > limit_C[0] else settings.alpha / 5
        limit_C[others] = np.quantile(correlated.max(axis=1), 1 - level)
    return limit_C
