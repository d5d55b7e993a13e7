"""Laws of learn/sequential.py: the peer's numbers, the tightest moment, and one look a day kept at the error rate."""

from math import log, sqrt

import numpy as np
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from promolift.core.experiments.lift import always_valid_p, mixture_weight, sequential_boundary

# gbstats 0.8.0 approximates the tightest weight and plans 5,000 customers; 4,000 were seen.
PEER_WEIGHT = -2 * log(0.05) + log(-2 * log(0.05) + 1)


@pytest.mark.parametrize(
    ("lift", "se", "low", "high", "p"),
    [
        (5.0, 1.4563561643143281, 0.5721330020366677, 9.427866997963331, 0.016667629152203708),
        (4.203231383046145, 2.4179708900520382, -3.1483037485665166, 11.554766514658805, 0.734897270671103),
        (2.9722222222222214, 1.4832940022956749, -1.5375458702101588, 7.481990314654602, 0.47847861541367376),
        (5.0, 4.038882975232309, -7.279713625606789, 17.27971362560679, 1.0),
    ],
)
def test_interval_and_p_are_the_peers_at_its_weight(lift, se, low, high, p):
    reach = sequential_boundary(4000 / 5000, 0.05, PEER_WEIGHT)
    assert lift - reach * se == pytest.approx(low, abs=1e-9)
    assert lift + reach * se == pytest.approx(high, abs=1e-9)
    assert always_valid_p(lift / se, 4000 / 5000, 0.05, PEER_WEIGHT) == pytest.approx(p, abs=1e-9)


@given(st.floats(0.001, 0.4), st.floats(0.05, 20))
def test_no_other_weight_is_tighter_at_the_planned_end(alpha, factor):
    weight = mixture_weight(alpha)
    assert sequential_boundary(1.0, alpha, weight) <= sequential_boundary(1.0, alpha, weight * factor) + 1e-12
    assert sequential_boundary(1.0, alpha) <= sequential_boundary(
        1.0, alpha, -2 * log(alpha) + log(-2 * log(alpha) + 1)
    )


@given(st.floats(0.01, 50), st.floats(0.001, 0.4), st.floats(-8, 8))
def test_p_is_below_alpha_exactly_when_the_interval_leaves_zero_out(progress, alpha, z):
    reach = sequential_boundary(progress, alpha)
    if abs(abs(z) - reach) > 1e-9:
        assert (always_valid_p(z, progress, alpha) < alpha) == (abs(z) > reach)


def test_a_look_a_day_keeps_the_error_rate_and_a_fixed_interval_does_not():
    rng = np.random.default_rng(7)
    steps = rng.standard_normal((4000, 60))
    days = np.arange(1, 61)
    z = np.abs(steps.cumsum(axis=1) / np.sqrt(days))
    reach = np.array([sequential_boundary(day / 60, 0.05) for day in days])
    false_alarms = (z > reach).any(axis=1).mean()
    assert false_alarms < 0.05
    assert false_alarms > 0.003  # an interval nobody can ever leave would pass the line above
    assert (z > stats.norm.ppf(0.975)).any(axis=1).mean() > 0.25


def test_the_price_of_peeking_is_what_the_docs_say():
    assert sequential_boundary(1.0, 0.05) == pytest.approx(3.04, abs=0.01)
    assert sequential_boundary(0.1, 0.05) == pytest.approx(sqrt((1.822 / 0.822) * log(1.822 / 0.0025)), abs=0.01)


def test_without_observations_there_is_no_interval():
    with raises_code("value_invalid", "progress = 0.0"):
        sequential_boundary(0.0, 0.05)
    with raises_code("value_invalid", "alpha = 1.0"):
        mixture_weight(1.0)
