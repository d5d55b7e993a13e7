"""An adjusted effect in; how strong something unrecorded would have to be to explain it away, out.

Legend: N customers. A randomised trial needs none of this.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from promolift.effect.trial import Floats, numbers
from promolift.errors import InputError, SupportError
from promolift.tables import Z95

MOST = 100.0  # a hidden cause that multiplies the odds by more is not looked for


@dataclass(frozen=True)
class EValue:
    """Least risk ratio that a hidden cause needs with both treatment and outcome: for the estimate, for the limit."""

    estimate: float
    limit: float


@dataclass(frozen=True)
class Bounds:
    """Mean effects possible if a hidden cause multiplies the odds of treatment by at most `odds`; limits are 95 %."""

    odds: float
    low: float
    high: float
    low_limit: float
    high_limit: float


def e_value(ratio: float, low: float, high: float) -> EValue:
    """E-value of a risk ratio and of the limit of its interval nearer to 1 (VanderWeele & Ding 2017).

    E = RR + sqrt(RR (RR - 1)), ratios below 1 turned over; 1 where the interval holds 1: nothing hidden is needed.
    """
    if not 0 < low <= ratio <= high:
        raise InputError(f"E-value: ratio {ratio} with limits {low} and {high}; needs 0 < low <= ratio <= high")
    near = 1.0 if low <= 1 <= high else low if ratio > 1 else high
    return EValue(_e(ratio), _e(near))


def e_value_of_mean(difference: float, se: float, sd: float) -> EValue:
    """E-value of a difference of means: the ratio exp(0.91 d), d in standard deviations of the outcome (same paper)."""
    if not (se >= 0 and sd > 0):
        raise InputError(f"E-value: se = {se} and sd = {sd}; needs se of 0 or more and sd above 0")
    middle, half = 0.91 * difference / sd, 0.91 * Z95 * se / sd
    return e_value(*(float(np.exp(x)) for x in (middle, middle - half, middle + half)))


def bounds(outcome_N: ArrayLike, treated_N: ArrayLike, prob_N: ArrayLike, odds: float) -> Bounds:
    """Least and greatest average effect under the marginal sensitivity model (Tan 2006).

    The true odds of treatment are the recorded ones times anything from 1 / `odds` to `odds`, customer by customer, so
    weights run from 1 + (1/e - 1) / odds to 1 + (1/e - 1) odds. The extremes of each arm's mean put the greater
    weights on one side of a threshold (Zhao, Small & Bhattacharya 2019); limits take those weights as given. `prob_N`
    is the propensity of treatment; at odds 1 this is the weighted difference itself.
    """
    y, t, e = (numbers(v, n) for v, n in ((outcome_N, "outcome_N"), (treated_N, "treated_N"), (prob_N, "prob_N")))
    if not y.shape == t.shape == e.shape or not np.isin(t, (0.0, 1.0)).all() or odds < 1:
        raise InputError("bounds: needs equal lengths, treatment 0 or 1, and odds of 1 or more")
    if ((e <= 0) | (e >= 1)).any() or min(t.sum(), (1 - t).sum()) < 2:
        raise SupportError(
            "bounds: needs 2 customers of each arm and propensities inside (0, 1); trim those without overlap"
        )
    one, zero = t == 1, t == 0
    top1, low1 = (_extreme(y[one], e[one], odds, side) for side in (1, -1))
    top0, low0 = (_extreme(y[zero], 1 - e[zero], odds, side) for side in (1, -1))
    low, high = low1.mean - top0.mean, top1.mean - low0.mean
    width_low, width_high = Z95 * np.hypot(low1.se, top0.se), Z95 * np.hypot(top1.se, low0.se)
    return Bounds(odds, low, high, float(low - width_low), float(high + width_high))


def tipping_odds(outcome_N: ArrayLike, treated_N: ArrayLike, prob_N: ArrayLike) -> float:
    """Greatest odds at which the 95 % limits of `bounds` still leave out zero, to 1 %; 1 if they never do.

    1.5 says: a hidden cause that makes treatment half as likely again for some customers could explain the effect.
    """

    def clear(odds: float) -> bool:
        found = bounds(outcome_N, treated_N, prob_N, odds)
        return found.low_limit > 0 or found.high_limit < 0

    if not clear(1.0):
        return 1.0
    low, high = 1.0, MOST
    if clear(high):
        return high
    while high / low > 1.01:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if clear(middle) else (low, middle)
    return low


def _e(ratio: float) -> float:
    r = max(ratio, 1 / ratio)
    return float(r + np.sqrt(r * (r - 1)))


class _Extreme(NamedTuple):
    """A weighted mean, and its standard error with the weights that reach it."""

    mean: float
    se: float


def _extreme(y_M: Floats, prob_M: Floats, odds: float, side: int) -> _Extreme:
    """The greatest (side 1) or least (-1) weighted mean."""
    order = np.argsort(-side * y_M, kind="stable")
    y, rest = y_M[order], 1 / prob_M[order] - 1
    great, small = 1 + rest * odds, 1 + rest / odds
    # the first j rows get the greater weight
    weight_J = np.r_[0.0, np.cumsum(great)] + np.r_[np.cumsum(small[::-1])[::-1], 0.0]
    value_J = np.r_[0.0, np.cumsum(great * y)] + np.r_[np.cumsum((small * y)[::-1])[::-1], 0.0]
    mean_J = value_J / weight_J
    j = int(np.argmax(side * mean_J))
    weight = np.where(np.arange(len(y)) < j, great, small)
    return _Extreme(float(mean_J[j]), float(np.sqrt(np.sum((weight * (y - mean_J[j])) ** 2)) / weight.sum()))
