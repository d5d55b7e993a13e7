"""Estimate the probability that each creative is the best one in its context (Thompson sampling by batches).

The next batch draws each creative with the probability that it is the best (Thompson 1933; Russo et al. 2018). The
model of a click rate is the context's rate, times the creative's factor, times a factor for how the creative differs
in that context. Both factors have gamma priors whose widths maximise the marginal likelihood (DuMouchel 1999, The
American Statistician 53), so contexts share what they have in common. A context's own level cancels out: a creative
gains nothing from being shown in a context where everybody clicks more.

Legend: C contexts, A creatives, D draws.
"""

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.foundation.errors import InputError
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
GAMMA_SHAPES = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0])  # shapes of a factor, mean 1
FIT_ROUNDS = 20  # of fitting contexts and creatives in turn
POSTERIOR_DRAWS = 2000


def thompson_shares(shown_CA: Floats, clicks_CA: Floats, seed: int = 0, draws: int = POSTERIOR_DRAWS) -> Floats:
    """C x A, each row summing to 1: how probable it is that a creative has the largest rate of its context.

    One that was never shown stands where the others stand on average, with all doubt. InputError for counts that
    cannot be, or where nobody clicked.
    """
    shown, clicks = np.asarray(shown_CA, np.float64), np.asarray(clicks_CA, np.float64)
    wrong = shown.shape != clicks.shape or (clicks < 0).any() or (clicks > shown).any()
    if wrong or not clicks.sum():
        raise InputError(
            "value_invalid" if wrong else "too_few_outcomes",
            gettext_lazy("bandit: give tables of one form, clicks no more than impressions and at least one"),
        )
    level_C, rate_A = np.full(len(shown), clicks.sum() / shown.sum()), np.ones(shown.shape[1])
    for _ in range(FIT_ROUNDS):
        expected_CA = level_C[:, None] * shown
        width = _width(clicks.sum(axis=0), expected_CA.sum(axis=0), np.ones_like(rate_A))
        rate_A = (width + clicks.sum(axis=0)) / (width + expected_CA.sum(axis=0))
        level_C = (1 + clicks.sum(axis=1)) / (1 / level_C.mean() + shown @ rate_A)
    expected_CA = level_C[:, None] * shown
    own = _width(clicks, expected_CA, rate_A)
    generator = np.random.default_rng(hash_int("bandit", seed))
    rate_DA = generator.gamma(width + clicks.sum(axis=0), 1 / (width + expected_CA.sum(axis=0)), (draws, len(rate_A)))
    shares = np.zeros_like(shown)
    for context, (mine_A, expected_A) in enumerate(zip(clicks, expected_CA, strict=True)):
        drawn_DA = generator.gamma(own * rate_DA + mine_A, 1 / (own + expected_A))
        shares[context] = np.bincount(drawn_DA.argmax(axis=1), minlength=len(rate_A)) / draws
    return shares


def _width(clicks: Floats, expected: Floats, mean: Floats) -> float:
    """The shape of gamma factors around `mean` that is likeliest by the counts (a negative binomial likelihood)."""
    shape = GAMMA_SHAPES.reshape(-1, *[1] * clicks.ndim)
    each = (
        scipy.special.gammaln(clicks + shape * mean)
        - scipy.special.gammaln(shape * mean)
        + shape * mean * np.log(shape / (shape + expected))
    )
    each += clicks * np.log(np.maximum(expected, 1e-12) / (shape + expected))
    return float(GAMMA_SHAPES[each.reshape(len(GAMMA_SHAPES), -1).sum(axis=1).argmax()])
