"""How much an outcome varies in; how many customers and days show which lift, before the start and during it, out.

Both methods of `experiment.Design` are planned here. For `always_valid` the power is that of one look at the planned
end; earlier looks may show the lift sooner, so the true power is a little higher.
"""

from dataclasses import dataclass
from math import ceil, isfinite, sqrt
from typing import Literal

import scipy
from pydantic import Field

from promolift.errors import InputError, SupportError
from promolift.learn.lift import Metric, boundary, lift, mixture_weight, shared_theta, value_and_slope
from promolift.learn.sums import Sums
from promolift.settings import Settings


class PowerSettings(Settings):
    """`comparisons`: judged together by Holm, planned for its hardest step. Shares are of the customers compared."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    power: float = Field(default=0.8, gt=0.5, lt=1)
    method: Literal["always_valid", "fixed"] = "always_valid"
    comparisons: int = Field(default=1, ge=1)
    control_share: float = Field(default=0.5, gt=0, lt=1)

    @property
    def reach(self) -> float:
        """Standard errors that a lift must be away from 0 at the planned end."""
        level = self.alpha / self.comparisons
        if self.method == "fixed":
            return float(scipy.stats.norm.ppf(1 - level / 2))
        return boundary(1.0, level, mixture_weight(self.alpha))


@dataclass(frozen=True)
class Noise:
    """Mean of a metric and the standard deviation of a customer's part in it, covariates taken off."""

    mean: float
    sd: float
    is_rate: bool = False

    def after(self, lift: float) -> float:
        """Standard deviation once the mean has moved by `lift`: a rate's changes with it, another's stays."""
        if not self.is_rate:
            return self.sd
        if not 0 < self.mean + lift < 1:
            raise InputError(f"power: a rate of {self.mean:g} cannot move by {lift:g}")
        return sqrt((self.mean + lift) * (1 - self.mean - lift))


def noise_of_rate(rate: float) -> Noise:
    """Noise of a yes-or-no outcome, such as redeeming."""
    if not 0 < rate < 1:
        raise InputError(f"power: a rate of {rate:g}; it must lie between 0 and 1")
    return Noise(rate, sqrt(rate * (1 - rate)), is_rate=True)


def noise_of(sums: Sums, metric: Metric) -> Noise:
    """Noise of any metric from sums of one group, as a rule everybody in the weeks before the experiment.

    Ratios by the delta method; what the covariates predict is taken off, so a plan with CUPED needs fewer customers.
    """
    mean, slope = value_and_slope(sums, metric)
    covariance = sums.covariance_CC
    rest = slope - shared_theta([covariance], [slope], [sums.n], [sums.at(name) for name in metric.covariates])
    sd = sqrt(max(0.0, float(rest @ covariance @ rest)))
    if sd == 0:
        raise SupportError(f"power: {metric.name} does not vary, so noise cannot be planned for")
    return Noise(mean, sd)


def power(noise: Noise, lift: float, customers: int, settings: PowerSettings) -> float:
    """Probability that a true `lift` (absolute, in the metric's unit) shows with `customers` in both arms together."""
    se = _se(noise, lift, customers, settings)
    away, reach = abs(lift) / se, settings.reach
    return float(scipy.stats.norm.cdf(away - reach) + scipy.stats.norm.cdf(-away - reach))


def detectable_lift(noise: Noise, customers: int, settings: PowerSettings) -> float:
    """Smallest increase shown with the wanted power. SupportError if a rate would have to pass 1."""
    need = settings.reach + float(scipy.stats.norm.ppf(settings.power))

    def short(lift: float) -> float:
        return lift - need * _se(noise, lift, customers, settings)

    if not noise.is_rate:
        return -short(0.0)
    top = (1 - noise.mean) * (1 - 1e-9)
    if short(top) < 0:
        raise SupportError(f"power: {customers} customers cannot show any increase of a rate of {noise.mean:g}")
    return float(scipy.optimize.brentq(short, 0.0, top, xtol=1e-12))


def customers_needed(noise: Noise, lift: float, settings: PowerSettings) -> int:
    """Customers in both arms together that show a true `lift` with the wanted power."""
    if lift == 0:
        raise InputError("power: no number of customers shows a lift of 0; name the smallest that would matter")
    need = settings.reach + float(scipy.stats.norm.ppf(settings.power))
    return ceil((need * _se(noise, lift, 1, settings) / lift) ** 2)


def days_remaining(
    control: Sums, arm: Sums, metric: Metric, target: float, per_day: float, settings: PowerSettings
) -> float:
    """Days until a true lift of `target` would be shown with the wanted power; 0 once it would.

    `control` and `arm` are the sums so far, `per_day` the customers that join both together. The noise is the observed
    one; the observed lift is never used, or a lucky start would end the experiment. SupportError if nobody joins.
    """
    if not (per_day > 0 and isfinite(per_day)):
        raise SupportError(f"days remaining: {per_day:g} customers a day; the experiment does not move on")
    if target == 0:
        raise InputError("days remaining: no time shows a lift of 0; name the smallest that would matter")
    seen = control.n + arm.n
    need = settings.reach + float(scipy.stats.norm.ppf(settings.power))
    needed = seen * (need * lift(control, arm, metric).se / target) ** 2
    return max(0.0, (needed - seen) / per_day)


def _se(noise: Noise, lift: float, customers: int, settings: PowerSettings) -> float:
    share = settings.control_share
    return sqrt((noise.sd**2 / share + noise.after(lift) ** 2 / (1 - share)) / customers)
