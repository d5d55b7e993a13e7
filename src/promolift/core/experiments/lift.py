"""Estimate the lift of one arm over another from their sums, with standard errors.

Everything is a function of means and covariances, so one formula serves means, rates, ratios and covariates: every
customer is replaced by their linear influence on the figure (the delta method), and its variance is read off the sums.
"""

from dataclasses import dataclass
from math import e, exp, log, sqrt
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from promolift.core.experiments.arm_sums import ArmSums
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

Floats = NDArray[np.float64]


class Metric(Settings):
    """What is compared: the mean of the column `value` per customer, or sum of `value` / sum of `per` (a ratio).

    `covariates` are columns known before the experiment; what they predict is taken off the noise (CUPED). `unit` is
    printed behind the numbers.
    """

    name: str = Field(min_length=1)
    value: str
    per: str | None = None
    covariates: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Lift:
    """`arm` - `control`, both adjusted to the same covariates, and `arm` / `control` - 1.

    `noise_cut` is the share of the variance that the covariates took off. The relative lift is missing, with the
    reason in `note`, where the control's mean is not clearly above 0 (4 standard errors).
    """

    control: float
    arm: float
    lift: float
    se: float
    freedom: float
    relative: float | None
    relative_se: float | None
    noise_cut: float
    units: float
    note: str = ""


def lift(control: ArmSums, arm: ArmSums, metric: Metric) -> Lift:
    """Lift of `arm` over `control`; SupportError if an arm has fewer than 2 customers or nothing varies.

    Covariates: theta = (sum of S_xx / n over both arms)^-1 (sum of S_xy / n), the slope that makes the variance of the
    difference smallest (Deng, Xu, Kohavi, Walker 2013, WSDM, with the weights of Lin 2013, Annals of Applied
    Statistics 7, that a small holdout needs). Relative lift: delta method on the ratio of the adjusted means, with the
    noise in the common covariate mean. `freedom` is Welch's.
    """
    if control.columns != arm.columns or control.caps != arm.caps:
        raise InputError(
            "arms_not_comparable",
            gettext_lazy("{name}: the arms were summed with different columns or caps", name=metric.name),
        )
    pair = (control, arm)
    parts = [value_and_slope(sums, metric) for sums in pair]
    slope = [part.slope_C for part in parts]
    cov = [sums.covariance_CC for sums in pair]
    n = [sums.n for sums in pair]
    theta = shared_theta(cov, slope, n, [control.at(name) for name in metric.covariates])
    centre = (np.array(control.total) + np.array(arm.total)) / sum(n)
    adjusted = [p.value - float(theta @ (s.mean_C - centre)) for p, s in zip(parts, pair, strict=True)]
    rest = [g - theta for g in slope]
    var, raw = _variances(rest, cov, n), _variances(slope, cov, n)
    if sum(var) <= 0:
        raise SupportError(
            "no_variation",
            gettext_lazy("{name}: nothing varies in either arm, so noise cannot be judged", name=metric.name),
        )
    relative = _relative(adjusted, var, rest, theta, cov, n)
    return Lift(
        control=adjusted[0],
        arm=adjusted[1],
        lift=adjusted[1] - adjusted[0],
        se=float(np.sqrt(sum(var))),
        freedom=sum(var) ** 2 / sum(v**2 / (size - 1) for v, size in zip(var, n, strict=True)),
        relative=relative.lift,
        relative_se=relative.se,
        noise_cut=1 - sum(var) / sum(raw),
        units=arm.total[arm.at(metric.per)] if metric.per else arm.n,
        note=relative.note,
    )


class Linearised(NamedTuple):
    """The metric of one arm, and its slope in the column means: e_y, or (e_y - ratio e_d) / mean(d)."""

    value: float
    slope_C: Floats


def value_and_slope(sums: ArmSums, metric: Metric) -> Linearised:
    """The metric as a linear function of the column means. SupportError if what a ratio divides by is not above 0."""
    slope = np.zeros(len(sums.columns))
    mean = sums.mean_C
    y = sums.at(metric.value)
    slope[y] = 1.0
    if metric.per is None:
        return Linearised(float(mean[y]), slope)
    d = sums.at(metric.per)
    if mean[d] <= 0:
        raise SupportError(
            "ratio_undefined",
            gettext_lazy(
                "{name}: the sum of {per} is {total}; a ratio needs it above 0",
                name=metric.name,
                per=metric.per,
                total=f"{sums.total[d]:g}",
            ),
        )
    ratio = float(mean[y] / mean[d])
    slope[d] -= ratio
    return Linearised(ratio, slope / mean[d])


def shared_theta(cov: list[Floats], slope: list[Floats], n: list[int], covariates: list[int]) -> Floats:
    """Slope on the covariates, 0 elsewhere; covariates that do not vary or repeat others get no weight."""
    theta = np.zeros(len(slope[0]))
    if not covariates:
        return theta
    x = np.array(covariates)
    xx = sum(c[np.ix_(x, x)] / size for c, size in zip(cov, n, strict=True))
    xy = sum((c @ g)[x] / size for c, g, size in zip(cov, slope, n, strict=True))
    scale = np.sqrt(np.diag(xx))
    scale[scale == 0] = np.inf
    theta[x] = np.linalg.pinv(xx / np.outer(scale, scale), rcond=1e-9, hermitian=True) @ (xy / scale) / scale
    return theta


def _variances(weight: list[Floats], cov: list[Floats], n: list[int]) -> list[float]:
    """Variance of each arm's weighted mean."""
    return [max(0.0, float(w @ c @ w)) / size for w, c, size in zip(weight, cov, n, strict=True)]


class _Relative(NamedTuple):
    """The relative lift with its error, or a note why there is none."""

    lift: float | None
    se: float | None
    note: str


def _relative(
    adjusted: list[float], var: list[float], rest: list[Floats], theta: Floats, cov: list[Floats], n: list[int]
) -> _Relative:
    base = adjusted[0]
    if base <= 4 * np.sqrt(var[0]):
        return _Relative(None, None, "no relative lift: the control's mean is not clearly above 0")
    relative = adjusted[1] / base - 1
    share = [size / sum(n) for size in n]
    # the covariates' common mean moves both arms; it cancels from the difference but not from the ratio
    slope = [
        (-(1 + relative) * rest[0] - relative * share[0] * theta) / base,
        (rest[1] - relative * share[1] * theta) / base,
    ]
    return _Relative(relative, float(np.sqrt(sum(_variances(slope, cov, n)))), "")


# Intervals that stay right however often one looks: the asymptotic confidence sequence with a normal (Robbins)
# mixture of Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Annals of Statistics 52. "Asymptotic" means that the
# first look must not come before the mean of an arm is nearly normal; `experiment.Design.least` sees to it.
# `progress` is the share of the planned information gathered so far: customers seen / planned, or, for customers who
# earn a little every day, days gone / planned. It may pass 1. One plan fixes the whole sequence: tightest at progress
# 1, valid at every other.
def mixture_weight(alpha: float) -> float:
    """Variance of the mixing normal, in units of 1 / the planned information, that is tightest at progress 1.

    The half-width at information t is proportional to sqrt((u + 1) / u * log((u + 1) / alpha^2)) with u = weight * t /
    planned; its smallest value lies where u - log(u + 1) = -2 log(alpha), which Lambert's W solves.
    """
    if not 0 < alpha < 1:
        raise InputError(
            "value_invalid", gettext_lazy("alpha = {alpha}: an error rate lies between 0 and 1", alpha=alpha)
        )
    return float(-scipy.special.lambertw(-(alpha**2) / e, k=-1).real) - 1


def sequential_boundary(progress: float, alpha: float, weight: float | None = None) -> float:
    """How many standard errors the interval reaches to each side; about 3.04 at progress 1 and alpha 0.05."""
    u = _u(progress, alpha, weight)
    return sqrt((u + 1) / u * log((u + 1) / alpha**2))


def always_valid_p(z: float, progress: float, alpha: float, weight: float | None = None) -> float:
    """1 / the mixture likelihood ratio of `z` standard errors; below `alpha` exactly when the interval leaves 0 out.

    `alpha` is the level the sequence was tuned for; the p-value is valid at every other level too.
    """
    u = _u(progress, alpha, weight)
    log_evidence = z * z * u / (2 * (u + 1)) - log(u + 1) / 2
    return 1.0 if log_evidence <= 0 else exp(-log_evidence)


def _u(progress: float, alpha: float, weight: float | None) -> float:
    if not progress > 0:
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "progress = {progress}: nothing has been observed, so there is no interval yet", progress=progress
            ),
        )
    return progress * (mixture_weight(alpha) if weight is None else weight)
