"""Gains with standard errors in; what is expected of each, and what caution takes off before the choice, out.

A plan picks the pairs that look best, and among those the lucky estimates are too many: the sum of their estimated
gains overstates what they earn (the winner's curse). Shrinking each estimate towards the mean of its offer by its own
error undoes this on average (Efron & Morris 1975, JASA 70; Andrews, Kitagawa & McCloskey 2024, QJE 139).
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.allocate.arrays import Floats
from promolift.allocate.settings import Risk
from promolift.errors import InputError, SupportError

LEAST = 20  # estimates of one offer below which its spread cannot be kept apart from its errors


class ShrunkGains(NamedTuple):
    """Mean and standard deviation of each gain after shrinkage."""

    mean: Floats
    deviation: Floats


class TrueSpread(NamedTuple):
    """Mean and variance of the true gains behind noisy ones."""

    mean: float
    variance: float


def shrink(gain: Floats, error: Floats, offer: Floats | None = None) -> ShrunkGains:
    """ShrunkGains mean and standard deviation of each gain, given the estimates of the same offer (normal model).

    Arrays of one shape; `offer` says which offer a value belongs to, columns if left out. Unknown gains stay unknown.
    SupportError if an offer has fewer than 20 estimates, InputError if an error is missing or negative.
    """
    mean, deviation = gain.copy(), np.zeros_like(gain)
    code = np.broadcast_to(np.arange(gain.shape[-1]), gain.shape) if offer is None else offer
    known = gain == gain
    if not (error[known] >= 0).all():
        raise InputError("risk: every known gain needs a standard error of 0 or more")
    for j in np.unique(code[known]):
        at = known & (code == j)
        if at.sum() < LEAST:
            raise SupportError(
                f"risk: offer {j} has {at.sum()} estimates, {LEAST} are needed to tell spread from error"
            )
        variance = error[at] ** 2
        centre, spread = _population(gain[at], variance)
        trust = spread / np.maximum(spread + variance, 1e-300)
        mean[at] = centre + trust * (gain[at] - centre)
        deviation[at] = np.sqrt(trust * variance)
    return ShrunkGains(mean, deviation)


def _population(gain: Floats, variance: Floats) -> TrueSpread:
    """The true gains behind noisy ones (Paule & Mandel 1982), by bisection on the variance."""

    def weights(spread: float) -> Floats:
        return 1.0 / np.maximum(spread + variance, 1e-300)

    def centre(spread: float) -> float:
        return float(np.average(gain, weights=weights(spread)))

    def too_small(spread: float) -> bool:
        return float((weights(spread) * (gain - centre(spread)) ** 2).sum()) > len(gain) - 1

    low, high = 0.0, float(np.var(gain)) * 4 + 1e-300
    if not too_small(low):
        return TrueSpread(centre(low), 0.0)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return TrueSpread(centre(high), high)


def cautious(candidates: pl.DataFrame, risk: Risk, error: str = "gain_se_cents") -> pl.DataFrame:
    """Candidates with `gain_cents` as expected under the rule; adds naive_gain_cents and caution_cents.

    Under `shrink` each gain goes towards the mean of its offer; offers with fewer than 20 candidates are taken
    together, and SupportError is raised where even together they are fewer. Under `lower` the expected gain stays the
    estimate, and `caution_cents` is what a choice takes off it first. naive_gain_cents repeats the estimate.
    """
    if error not in candidates.columns:
        raise InputError(f"candidates: no column {error!r} with the standard error of gain_cents")
    gain = candidates["gain_cents"].fill_null(np.nan).to_numpy()
    real = candidates["offer_id"].to_numpy() != "none"
    offer = _groups(candidates["offer_id"], real & (gain == gain))
    expected, caution = gain.copy(), np.zeros_like(gain)
    errors = candidates[error].fill_null(np.nan).to_numpy()
    if real.any() and risk.rule == "shrink":
        expected[real] = shrink(gain[real], errors[real], offer[real]).mean
    elif risk.rule == "lower":
        caution[real] = risk.z * errors[real]
    named = {"gain_cents": expected, "naive_gain_cents": gain, "caution_cents": caution}
    return candidates.with_columns(pl.Series(name, column).fill_nan(None) for name, column in named.items())


def _groups(offer_ids: pl.Series, counted: NDArray[np.bool_]) -> Floats:
    """A number for each offer with enough estimates; 0 for all the others."""
    sizes = pl.DataFrame({"offer": offer_ids}).filter(pl.Series(counted)).group_by("offer").len()
    large = sizes.filter(pl.col("len") >= LEAST)["offer"].sort().to_list()
    code = offer_ids.replace_strict(large, range(1, len(large) + 1), default=0, return_dtype=pl.Float64)
    return code.to_numpy()
