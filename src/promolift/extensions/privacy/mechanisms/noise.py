"""Add noise to sums over customers, and estimate quantiles and differences of means from noisy sums.

Legend: N customers, V numbers of each. The noise comes from the machine's entropy, because anybody who knows a seed
could subtract the noise again. Sums are rounded to 2^-20 of the noise, so that the last digits of floating-point
numbers reveal nothing (Mironov 2012).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.lazy_message import gettext_lazy

Real = NDArray[np.float64]
NOISE_GRID = 2.0**-20  # of the noise
EFFECT_CLIP = 3**0.5
MIN_SIGNAL_TO_NOISE = 8.0  # times the noise that the number of customers in an arm must be


def add_noise(total_V: Real, clip: float, noise: float, rng: np.random.Generator | None = None) -> Real:
    """A total of which no customer's part is longer than `clip`, plus normal noise of `noise` times `clip`."""
    rng, step = rng or np.random.default_rng(), NOISE_GRID * noise * clip
    return np.asarray(np.round((total_V + rng.normal(0.0, noise * clip, total_V.shape)) / step) * step)


def quantile_from_counts(count_B: Real, edge_B: Real, share: float) -> float:
    """A quantile by noisy counts of bins; `edge_B` is the upper edge of each. The largest edge where all is noise."""
    mass = np.cumsum(np.maximum(count_B, 0.0))
    return float(edge_B[min(int(np.searchsorted(mass, share * mass[-1])), len(edge_B) - 1)])


@dataclass(frozen=True)
class PrivateDifference:
    """Mean of the treated less that of the control, amounts held within 0 and `cap`; its error knows the noise.

    `control` is the mean of the control, `n_control` and `n_treated` are noisy numbers of customers.
    """

    difference: float
    se: float
    control: float
    n_control: float
    n_treated: float
    cap: float

    @property
    def low(self) -> float:
        return self.difference - Z95 * self.se

    @property
    def high(self) -> float:
        return self.difference + Z95 * self.se


def effect_rows(outcome_N: Real, treated_N: NDArray[np.bool_], cap: float) -> Real:
    """What each customer gives to a private effect: for their own arm 1, the outcome and its square, the outcome cut at
    `cap` and laid on [-1, 1]. No row is longer than EFFECT_CLIP.
    """
    if cap <= 0:
        raise InputError(
            "value_invalid",
            gettext_lazy("private effect: cap = {cap}; give the amount above 0 at which outcomes are cut", cap=cap),
        )
    x_N = 2 * np.clip(outcome_N, 0.0, cap) / cap - 1
    one = np.stack([np.ones_like(x_N), x_N, x_N**2], axis=1)
    return np.concatenate([one * ~treated_N[:, None], one * treated_N[:, None]], axis=1)


def private_difference(sum_V: Real, cap: float, noise: float) -> PrivateDifference:
    """The average effect of a randomised trial from the noisy sum of `effect_rows`, as wide as sampling and noise make
    it. `cap` must not come from the outcomes, unless it was itself released with noise. Raises SupportError where an
    arm drowns in the noise.
    """
    sums, sd = sum_V.reshape(2, 3), noise * EFFECT_CLIP
    n_A = sums[:, 0]
    if (n_A < MIN_SIGNAL_TO_NOISE * sd).any():
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "private effect: about {n_a} customers in the smaller arm, where the noise is {sd}; a "
                "larger test, or a larger privacy.epsilon, is needed",
                n_a=f"{max(min(n_A), 0):.0f}",
                sd=f"{sd:.0f}",
            ),
        )
    mean_A = sums[:, 1] / n_A
    spread_A = np.maximum(sums[:, 2] / n_A - mean_A**2, 0.0)
    noisy_A = sd**2 * (1 + mean_A**2) / n_A**2  # the error of a ratio of two noisy sums, beside that of sampling
    se = float(np.sqrt((spread_A / n_A + noisy_A).sum())) * cap / 2
    mean_A = (mean_A + 1) * cap / 2
    return PrivateDifference(float(mean_A[1] - mean_A[0]), se, float(mean_A[0]), float(n_A[0]), float(n_A[1]), cap)
