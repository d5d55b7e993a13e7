"""The noise keeps what it claims; one customer moves a sum by the clip; releases add up, and too many are refused."""

import math

import numpy as np
import pytest
from error_checks import raises_code
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from promolift.extensions.privacy.mechanisms.noise import (
    EFFECT_CLIP,
    add_noise,
    effect_rows,
    private_difference,
    quantile_from_counts,
)
from promolift.extensions.privacy.mechanisms.privacy_budget import PrivacyBudget, Spend, epsilon_of, gaussian_delta
from promolift.foundation.errors import SupportError
from promolift.foundation.release_policy import clip_rows


def noisy_sum(rows: np.ndarray, clip: float, noise: float, rng: np.random.Generator | None = None) -> np.ndarray:
    return add_noise(clip_rows(rows, clip).sum(axis=0), clip, noise, rng)


class Silent(np.random.Generator):
    """A generator whose normal noise is 0."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def normal(self, loc: float = 0.0, scale: float = 1.0, size: object = None) -> np.ndarray:
        return np.zeros(size)  # type: ignore[call-overload]


def spend(noise: float, purpose: str = "profiles", **more: float) -> Spend:
    return Spend.model_validate({"purpose": purpose, "at_ms": 0, "noise": noise} | more)


@pytest.mark.parametrize("mu", [0.1, 0.7, 2.0])
def test_the_delta_of_normal_noise_is_what_the_likelihood_ratio_says(mu: float) -> None:
    """Integrated by hand: what the densities of N(mu, 1) and N(0, 1) differ by beyond e^epsilon."""
    x = np.linspace(-12, 16, 400_001)
    for epsilon in (0.2, 1.0, 3.0):
        beyond = np.maximum(norm.pdf(x - mu) - math.exp(epsilon) * norm.pdf(x), 0).sum() * (x[1] - x[0])
        assert gaussian_delta(epsilon, mu) == pytest.approx(beyond, rel=1e-3, abs=1e-9)


def test_the_noise_is_less_than_the_classical_formula_asks_and_never_too_small() -> None:
    """Dwork and Roth: sqrt(2 ln(1.25 / delta)) / epsilon suffices below epsilon 1; the exact one is smaller."""
    for epsilon in (0.3, 0.9):
        budget = PrivacyBudget(epsilon=epsilon, delta=1e-6)
        classical = math.sqrt(2 * math.log(1.25 / 1e-6)) / epsilon
        exact = budget._whole
        assert 0.6 * classical < exact < classical
        assert gaussian_delta(epsilon, 1 / exact) <= 1e-6 < gaussian_delta(epsilon, 1.001 / exact)


def test_releases_add_up_and_a_run_spends_no_more_than_there_is() -> None:
    assert epsilon_of([spend(4.0)] * 16, 1e-6) == pytest.approx(epsilon_of([spend(1.0)], 1e-6), rel=1e-3)
    budget = PrivacyBudget(epsilon=3, delta=1e-6, runs=4)
    run = [spend(budget.noise("profiles")), spend(budget.noise("price")), spend(budget.noise("effect"))]
    assert epsilon_of(run * 4, 1e-6) <= 3 * 1.0002
    assert epsilon_of(run * 4, 1e-6) > 2.97
    budget.check(run * 3, run)
    with raises_code("privacy_budget_exceeded", "3.00 to 3.", "allows 3 ", "0.00", run[0].purpose):
        budget.check(run * 4, run[:1])
    assert epsilon_of([], 1e-6) == 0


def test_the_encoder_s_steps_are_counted_by_opacus() -> None:
    pytest.importorskip("opacus")
    from opacus.accountants import RDPAccountant

    other = RDPAccountant()
    other.history = [(1.1, 0.02, 500), (5.0, 1.0, 1)]
    mine = epsilon_of([spend(1.1, "encoder", rate=0.02, steps=500), spend(5.0)], 1e-6)
    assert mine == pytest.approx(other.get_epsilon(1e-6), rel=0.01)
    budget = PrivacyBudget(epsilon=3, delta=1e-6, runs=2, encoder=True)
    steps = spend(budget.step_noise(0.05, 100), "encoder", rate=0.05, steps=100)
    run = [steps, *(spend(budget.noise(p), p) for p in ("profiles", "price", "effect"))]  # type: ignore[arg-type]
    assert 2.9 < epsilon_of(run * 2, 1e-6) <= 3


@given(st.integers(0, 10_000), st.floats(0.1, 50))
@settings(max_examples=60)
def test_one_customer_moves_a_sum_by_the_clip_at_most(seed: int, clip: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 10 ** rng.uniform(-2, 6), (20, 5))
    rows[0, 0] = rng.choice([np.nan, np.inf, -np.inf, 1e300, 0.0])
    with_all, without = (noisy_sum(part, clip, 1.0, Silent()) for part in (rows, rows[1:]))
    assert np.linalg.norm(with_all - without) <= clip * (1 + 1e-5)


def test_the_noise_of_a_sum_is_as_stated_and_differs_every_time() -> None:
    rows = np.zeros((3, 20_000))
    first, second = noisy_sum(rows, 2.0, 5.0), noisy_sum(rows, 2.0, 5.0)
    assert first.std() == pytest.approx(10.0, rel=0.03)
    assert abs(first.mean()) < 0.5
    assert not np.array_equal(first, second)


def test_a_quantile_of_noisy_counts() -> None:
    assert quantile_from_counts(np.array([10.0, -3.0, 80.0, 10.0]), np.array([1.0, 2.0, 4.0, 8.0]), 0.5) == 4.0
    assert quantile_from_counts(np.array([-1.0, -1.0]), np.array([1.0, 2.0]), 0.5) == 1.0


def test_intervals_of_private_effects_know_the_noise() -> None:
    """Simulated trials with amounts that most customers do not spend; the truth is the effect on capped amounts."""
    rng, inside, runs, naive = np.random.default_rng(5), 0, 400, 0
    noise = PrivacyBudget(epsilon=1, delta=1e-6).noise("effect")
    cap, truth = 60.0, 0.0
    whole = rng.gamma(0.4, 40, 2_000_000)
    truth = float(np.clip(whole * 1.1, 0, cap).mean() - np.clip(whole, 0, cap).mean())
    for _ in range(runs):
        treated = rng.random(4000) < 0.6
        outcome = rng.choice(whole, 4000) * np.where(treated, 1.1, 1.0)
        sums = noisy_sum(effect_rows(outcome, treated, cap), EFFECT_CLIP, noise, rng)
        found = private_difference(sums, cap, noise)
        inside += found.low <= truth <= found.high
        x = np.clip(outcome, 0, cap)
        plain = 1.96 * math.sqrt(x[treated].var() / treated.sum() + x[~treated].var() / (~treated).sum())
        naive += abs(found.difference - truth) <= plain
    assert 0.92 <= inside / runs <= 0.985
    assert naive / runs < 0.9  # an interval that does not know of the noise is too narrow


def test_too_small_a_trial_is_refused() -> None:
    with raises_code("too_few_customers", "25", kind=SupportError):
        private_difference(effect_rows(np.ones(50), np.arange(50) < 25, 2.0).sum(axis=0), 2.0, 20.0)
