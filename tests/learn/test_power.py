"""Laws of learn/power.py: textbook sizes, planning and reading agree, and the result never speeds up its own clock."""

import numpy as np
import pytest

from promolift.errors import InputError, SupportError
from promolift.learn.lift import Metric, lift
from promolift.learn.power import (
    Noise,
    PowerSettings,
    customers_needed,
    days_remaining,
    detectable_lift,
    noise_of,
    noise_of_rate,
    power,
)
from promolift.learn.sums import sums

FIXED = PowerSettings(method="fixed")
METHODS = [FIXED, PowerSettings(), PowerSettings(method="fixed", comparisons=4, control_share=0.1)]
NOISES = [Noise(100, 250), noise_of_rate(0.03)]


def test_textbook_sizes():
    # two arms, alpha 5 %, power 80 %, half a standard deviation: 62.8 a side; 10 % against 12 %: 3,838 a side
    assert customers_needed(Noise(0, 1), 0.5, FIXED) == 126
    assert customers_needed(noise_of_rate(0.1), 0.02, FIXED) == pytest.approx(2 * 3838.5, abs=2)


@pytest.mark.parametrize("settings", METHODS, ids=str)
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_power_detectable_lift_and_size_tell_the_same(noise, settings):
    small = detectable_lift(noise, 20_000, settings)
    assert power(noise, small, 20_000, settings) == pytest.approx(0.8, abs=1e-6)
    assert customers_needed(noise, small, settings) == pytest.approx(20_000, abs=1)


def test_looking_every_day_and_many_comparisons_cost_customers():
    plain = customers_needed(NOISES[0], 10, FIXED)
    daily = customers_needed(NOISES[0], 10, PowerSettings())
    assert daily / plain == pytest.approx(((3.04 + 0.8416) / (1.96 + 0.8416)) ** 2, abs=0.01)
    assert customers_needed(NOISES[0], 10, PowerSettings(comparisons=5)) > daily
    assert customers_needed(NOISES[0], 10, PowerSettings(control_share=0.1)) > 2.7 * daily


def test_the_power_is_the_share_of_simulated_experiments_that_show_the_lift():
    rng = np.random.default_rng(4)
    shown = 0
    for _ in range(600):
        control, arm = rng.normal(100, 250, 500), rng.normal(140, 250, 1500)
        found = lift(sums({"y": control}), sums({"y": arm}), Metric(name="m", value="y"))
        shown += found.lift > 1.96 * found.se
    said = power(Noise(100, 250), 40, 2000, PowerSettings(method="fixed", control_share=0.25))
    assert shown / 600 == pytest.approx(said, abs=0.05)


def test_covariates_and_ratios_enter_the_noise():
    rng = np.random.default_rng(5)
    x = rng.normal(100, 10, 4000)
    d = rng.poisson(2, 4000) + 1
    group = sums({"y": x + rng.normal(0, 10, 4000), "x": x, "d": d, "yd": 7 * d + rng.normal(0, 1, 4000)})
    plain, adjusted = (noise_of(group, Metric(name="m", value="y", covariates=c)) for c in ((), ("x",)))
    assert (adjusted.sd / plain.sd) ** 2 == pytest.approx(0.5, abs=0.05)
    assert noise_of(group, Metric(name="m", value="yd", per="d")).sd == pytest.approx(1 / d.mean(), rel=0.05)
    with pytest.raises(SupportError, match="does not vary"):
        noise_of(sums({"y": [2, 2, 2]}), Metric(name="m", value="y"))


def test_days_remaining_use_the_noise_and_never_the_observed_lift():
    rng = np.random.default_rng(6)
    metric = Metric(name="m", value="y")
    control, start = rng.normal(100, 250, 1000), rng.normal(100, 250, 1000)
    plain = days_remaining(sums({"y": control}), sums({"y": start}), metric, 20, 100, FIXED)
    lucky = days_remaining(sums({"y": control}), sums({"y": start + 90}), metric, 20, 100, FIXED)
    assert plain == pytest.approx(lucky)
    needed = customers_needed(Noise(100, 250), 20, FIXED)
    assert plain == pytest.approx((needed - 2000) / 100, rel=0.1)
    assert days_remaining(sums({"y": control}), sums({"y": start}), metric, 200, 100, FIXED) == 0


def test_impossible_questions_are_refused():
    with pytest.raises(InputError, match="rate"):
        noise_of_rate(1.0)
    with pytest.raises(InputError, match="cannot move"):
        power(noise_of_rate(0.5), 0.6, 100, FIXED)
    with pytest.raises(SupportError, match="any increase"):
        detectable_lift(noise_of_rate(0.9), 20, FIXED)
    with pytest.raises(InputError, match="lift of 0"):
        customers_needed(Noise(1, 1), 0, FIXED)
    with pytest.raises(SupportError, match="does not move on"):
        days_remaining(sums({"y": [1, 2]}), sums({"y": [1, 2]}), Metric(name="m", value="y"), 1, 0, FIXED)
