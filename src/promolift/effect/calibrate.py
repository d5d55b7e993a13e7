"""Predicted and realised effects in; how far they agree, and a map that corrects and shrinks predictions, out.

Legend: N customers, K treatments, P points. `psi_NK` are doubly robust scores, whose mean over any group is its effect
(`nuisance.scores`); `gain_NK` are predictions by models that did not see the customers' own outcomes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from promolift.effect.trial import Z95, Floats
from promolift.errors import InputError, SupportError
from promolift.settings import Settings

Kind = Literal["average", "linear", "isotonic"]
KINDS: tuple[Kind, ...] = ("average", "linear", "isotonic")  # the freer, the later


class CalibrateSettings(Settings):
    """`errors`: by how many standard errors of the paired loss a freer map must win out of fold."""

    folds: int = Field(default=5, ge=2)
    errors: float = Field(default=1.0, ge=0)
    least_rows: int = Field(default=100, ge=10)


@dataclass(frozen=True)
class EffectBin:
    """Customers of similar prediction: mean predicted effect beside the realised one with its 95 % interval."""

    predicted: float
    realised: float
    se: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Map:
    """Predictions of one treatment to calibrated ones: straight between the points, level beyond them if isotonic.

    `slope` is that of psi on the prediction before shrinking, with its s.e. (1 is right, 0 says that the prediction
    tells customers not apart); `loss` is the mean squared distance to psi out of fold, of each kind and of "as is".
    """

    kind: Kind
    x_P: Floats
    y_P: Floats
    slope: float
    slope_se: float
    loss: dict[str, float]

    def apply(self, gain_N: Floats) -> Floats:
        """Calibrated effects."""
        if self.kind == "linear":
            rate = (self.y_P[1] - self.y_P[0]) / (self.x_P[1] - self.x_P[0])
            return np.asarray(self.y_P[0] + rate * (gain_N - self.x_P[0]))
        return np.interp(gain_N, self.x_P, self.y_P)


@dataclass(frozen=True)
class Recalibration:
    """One map for each treatment."""

    maps_K: tuple[Map, ...]

    def apply(self, gain_NK: Floats) -> Floats:
        """Calibrated effects of every treatment."""
        return np.column_stack([each.apply(gain_NK[:, k]) for k, each in enumerate(self.maps_K)])


def effect_bins(gain_N: Floats, psi_N: Floats, bins: int = 10) -> tuple[EffectBin, ...]:
    """At most `bins` groups of nearly equal count, lowest prediction first; equal predictions stay together.

    Raises SupportError if fewer than two customers would share a group.
    """
    _check(gain_N, psi_N, 2 * bins)
    value, group_N = np.unique(gain_N, return_inverse=True)
    below = np.r_[0, np.cumsum(np.bincount(group_N, minlength=len(value)))[:-1]][group_N]
    part_N = below * bins // len(gain_N)
    return tuple(_bin(gain_N[part_N == b], psi_N[part_N == b]) for b in np.unique(part_N))


def recalibrate(
    gain_NK: Floats,
    psi_NK: Floats,
    key_N: NDArray[np.uint64],
    settings: CalibrateSettings = CalibrateSettings(),  # noqa: B008 - frozen
) -> Recalibration:
    """For each treatment the average effect, a line or an isotonic step curve, chosen out of fold by squared loss.

    The next freer kind is taken if it beats the one so far by more than `errors` standard errors of the paired
    difference. The line's slope b is shrunk to b max(0, 1 - (se / b)^2) (positive-part James-Stein), a negative one to
    0, so weak predictions fall back to the average effect. `key_N` (`Trial.key_N`) deals the folds.
    """
    if gain_NK.shape != psi_NK.shape or gain_NK.ndim != 2 or len(key_N) != len(gain_NK):
        raise InputError(f"recalibrate: gains {gain_NK.shape}, scores {psi_NK.shape} and {len(key_N)} keys do not fit")
    fold_N = ((key_N >> np.uint64(20)) % np.uint64(settings.folds)).astype(np.int64)
    return Recalibration(tuple(_choose(gain_NK[:, k], psi_NK[:, k], fold_N, settings) for k in range(gain_NK.shape[1])))


def _choose(gain_N: Floats, psi_N: Floats, fold_N: NDArray[np.int64], settings: CalibrateSettings) -> Map:
    _check(gain_N, psi_N, settings.least_rows)
    slope, slope_se = _slope(gain_N, psi_N)
    square_N = {"as is": (psi_N - gain_N) ** 2} | {kind: np.zeros(len(psi_N)) for kind in KINDS}
    for fold in np.unique(fold_N):
        held = fold_N == fold
        for kind in KINDS:
            x_P, y_P = _fit(kind, gain_N[~held], psi_N[~held])
            square_N[kind][held] = (psi_N[held] - Map(kind, x_P, y_P, 0.0, 0.0, {}).apply(gain_N[held])) ** 2
    best = KINDS[0]
    for kind in KINDS[1:]:
        won_N = square_N[best] - square_N[kind]
        if won_N.mean() > settings.errors * won_N.std(ddof=1) / np.sqrt(len(won_N)):
            best = kind
    loss = {name: float(values.mean()) for name, values in square_N.items()}
    return Map(best, *_fit(best, gain_N, psi_N), slope, slope_se, loss)


def _fit(kind: Kind, gain_N: Floats, psi_N: Floats) -> tuple[Floats, Floats]:
    """Points of the map."""
    if kind == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        model = IsotonicRegression(out_of_bounds="clip").fit(gain_N, psi_N)
        return np.asarray(model.X_thresholds_, dtype=float), np.asarray(model.y_thresholds_, dtype=float)
    centre, level = float(gain_N.mean()), float(psi_N.mean())
    if kind == "average":
        return np.array([centre]), np.array([level])
    slope, se = _slope(gain_N, psi_N)
    shrunk = slope * max(0.0, 1 - (se / slope) ** 2) if slope > 0 else 0.0
    return np.array([centre, centre + 1.0]), np.array([level, level + shrunk])


def _slope(gain_N: Floats, psi_N: Floats) -> tuple[float, float]:
    """Slope of psi on the prediction and its heteroskedasticity-robust s.e.; 0 and infinity if predictions are equal.

    The best linear predictor of the effect (Chernozhukov, Demirer, Duflo & Fernandez-Val 2018).
    """
    x = gain_N - gain_N.mean()
    total = float(np.sum(x**2))
    if total <= 1e-24 * len(x):
        return 0.0, np.inf
    slope = float(np.sum(x * psi_N) / total)
    left = psi_N - psi_N.mean() - slope * x
    return slope, float(np.sqrt(np.sum((x * left) ** 2)) / total)


def _bin(gain_M: Floats, psi_M: Floats) -> EffectBin:
    mean, n = float(psi_M.mean()), len(psi_M)
    se = float(psi_M.std(ddof=1) / np.sqrt(n))
    return EffectBin(float(gain_M.mean()), mean, se, mean - Z95 * se, mean + Z95 * se, n)


def _check(gain_N: Floats, psi_N: Floats, least: int) -> None:
    if gain_N.ndim != 1 or gain_N.shape != psi_N.shape or not (np.isfinite(gain_N).all() and np.isfinite(psi_N).all()):
        raise InputError(f"calibration: predictions {gain_N.shape} and scores {psi_N.shape} must be finite and alike")
    if len(gain_N) < least:
        raise SupportError(f"calibration: {len(gain_N)} customers; at least {least} are needed to say anything")
