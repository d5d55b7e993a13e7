"""Compute the epsilon of past releases, and the noise that keeps a run within a privacy budget.

The unit of privacy is a customer, present or absent with all their rows. Every release is a Gaussian mechanism: either
a sum over customers whose contributions are clipped to a length C, plus normal noise of standard deviation `noise`
times C, or the steps of DP-SGD on customers sampled with probability `rate`. Whole sums compose exactly (Balle and
Wang 2018: the squares of 1 / noise add up). Sampled releases compose by Rényi divergences (Mironov 2017), which need
the extra `privacy`.
"""

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import Field

from promolift.foundation.errors import BudgetError, ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

Purpose = Literal["profiles", "encoder", "price", "effect"]
# Parts of a run's budget in 1 / noise squared; who learns no encoder gives its part to the profiles.
BUDGET_SHARES: dict[Purpose, float] = {"profiles": 0.45, "encoder": 0.3, "price": 0.1, "effect": 0.15}
RENYI_ORDERS: NDArray[np.float64] = np.r_[1.1:11:0.1, 12:64, 80, 128, 256, 512]
NOISE_TOLERANCE = 1e-4  # to which a noise is found, always on the side of more


class Spend(Settings):
    """One release: what for, when, its noise as a multiple of the clip, and how often how large a draw was used."""

    purpose: Purpose
    at_ms: int
    noise: float = Field(gt=0)
    rate: float = Field(default=1.0, gt=0, le=1)
    steps: int = Field(default=1, ge=1)


def epsilon_of(spends: Sequence[Spend], delta: float) -> float:
    """The epsilon of all releases together at this delta; 0 of none."""
    if not spends:
        return 0.0
    whole = math.sqrt(sum(each.steps / each.noise**2 for each in spends if each.rate == 1))
    drawn = [each for each in spends if each.rate < 1]
    if not drawn:
        return _least(lambda epsilon: gaussian_delta(epsilon, whole) <= delta)
    return _from_divergence(sum(map(_drawn_divergence, drawn), RENYI_ORDERS * whole**2 / 2), delta)


def gaussian_delta(epsilon: float, mu: float) -> float:
    """The delta of normal noise whose standard deviation is 1 / mu of the clip (Balle and Wang 2018, theorem 8)."""
    low, high = -epsilon / mu - mu / 2, -epsilon / mu + mu / 2
    return float(scipy.special.ndtr(high) - math.exp(epsilon + scipy.special.log_ndtr(low)))


def _from_divergence(divergence: NDArray[np.float64], delta: float) -> float:
    """The epsilon of Rényi divergences of ORDERS (Canonne, Kamath and Steinke 2020, proposition 12)."""
    found = divergence - (math.log(delta) + np.log(RENYI_ORDERS)) / (RENYI_ORDERS - 1) + np.log1p(-1 / RENYI_ORDERS)
    return max(float(np.nanmin(found)), 0.0)


def _drawn_divergence(spend: Spend) -> NDArray[np.float64]:
    if find_spec("opacus") is None:
        raise ConfigError(
            "extra_missing",
            gettext_lazy("an encoder under privacy.epsilon needs opacus; `pip install 'promolift[privacy]'` brings it"),
        )
    from opacus.accountants.analysis.rdp import compute_rdp

    found = compute_rdp(q=spend.rate, noise_multiplier=spend.noise, steps=spend.steps, orders=RENYI_ORDERS.tolist())
    return np.asarray(found, np.float64)


def _least(holds: Callable[[float], bool]) -> float:
    """Return the least number above 0 from which on `holds` is true, rounded up to NOISE_TOLERANCE."""
    low, high = 0.0, 1.0
    while not holds(high):
        low, high = high, 2 * high
    while high - low > NOISE_TOLERANCE * high:
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


class PrivacyBudget(Settings):
    """The most that all runs together may tell of a customer, and for how many runs it is to last."""

    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    runs: int = Field(default=1, ge=1)
    encoder: bool = False

    def noise(self, purpose: Purpose, releases: int = 1) -> float:
        """The noise of each of so many sums that a run releases for a purpose."""
        share = BUDGET_SHARES[purpose] + (
            BUDGET_SHARES["encoder"] if purpose == "profiles" and not self.encoder else 0.0
        )
        return self._whole * math.sqrt(self.runs * releases / share)

    def step_noise(self, rate: float, steps: int) -> float:
        """The noise of each step of an encoder's training, all else that the runs release counted in."""
        others = [
            Spend(purpose=p, at_ms=0, noise=self.noise(p), steps=self.runs) for p in BUDGET_SHARES if p != "encoder"
        ]

        def holds(noise: float) -> bool:
            mine = Spend(purpose="encoder", at_ms=0, noise=noise, rate=rate, steps=steps * self.runs)
            return epsilon_of([*others, mine], self.delta) <= self.epsilon

        return _least(holds)

    @property
    def _whole(self) -> float:
        """The noise of one sum that alone spends everything; with an encoder by the bound that it is added by."""
        if self.encoder:
            return _least(lambda noise: _from_divergence(RENYI_ORDERS / (2 * noise**2), self.delta) <= self.epsilon)
        return _least(lambda noise: gaussian_delta(self.epsilon, 1 / noise) <= self.delta)

    def check(self, spent: Sequence[Spend], more: Sequence[Spend]) -> None:
        """BudgetError if these releases would pass the budget; it says what was spent, and what is left."""
        before, after = epsilon_of(spent, self.delta), epsilon_of([*spent, *more], self.delta)
        if after > self.epsilon * (1 + NOISE_TOLERANCE):
            raise BudgetError(
                "privacy_budget_exceeded",
                gettext_lazy(
                    "privacy: {purpose} would bring what was spent from epsilon {before} to {after}, and "
                    "privacy.epsilon allows {epsilon} (delta {delta}): {self_epsilon} is left. Nothing was "
                    "released. What was made before stays in use; raise privacy.epsilon, or state in "
                    "privacy.runs, before the first run of a new work folder, how many runs it is to last",
                    purpose=more[0].purpose,
                    before=f"{before:.2f}",
                    after=f"{after:.2f}",
                    epsilon=f"{self.epsilon:g}",
                    delta=f"{self.delta:g}",
                    self_epsilon=f"{max(self.epsilon - before, 0):.2f}",
                ),
            )
