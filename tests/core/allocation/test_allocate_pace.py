"""A day unlike the forecast still spends its budget, never more, and replays to the same decisions."""

import numpy as np
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.allocation import solve, solve_frontier
from promolift.core.allocation.algorithms.choice import choose
from promolift.core.allocation.budget_pacing import DayForecast, Pace

N = 3000


def customers(n, seed, stretch=1.0):
    rng = np.random.default_rng(seed)
    size, depth = rng.lognormal(3, 0.7, (n, 1)), np.arange(1, 5) / 4
    gain = size * (rng.lognormal(0, 0.6, (n, 1)) * (1 - np.exp(-3 * depth)) - 0.3 * depth)
    return gain, stretch * size * depth * 0.3


def forecast(budget):
    gain, cost = customers(4000, 1)
    return DayForecast.of(solve_frontier(gain, cost), 4000, budget, N)


def play(day, budget, gain, cost, moments):
    pace, slots = Pace(), []
    for i, moment in enumerate(moments):
        now = pace.reprice(day, float(moment))
        open_1K = np.where(cost[i] <= day.budget - pace.spent, gain[i], np.nan)[None, :]
        slot = int(choose(open_1K, cost[i][None, :], now.price)[0])
        pace = pace.after(float(cost[i][slot]) if slot >= 0 else 0.0, 1, now)
        slots.append(slot)
        assert pace.spent <= budget
    return pace, np.array(slots)


SHAPES = {
    "even": lambda u: u,
    "late": lambda u: u**0.4,
    "early": lambda u: u**2.5,
    "two peaks": lambda u: np.where(u < 0.5, 0.2 + 0.1 * u, 0.7 + 0.2 * u),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stretch", [1.0, 1.3])
def test_a_day_of_any_shape_ends_within_one_percent_of_the_budget(shape, stretch):
    budget = 5000.0
    gain, cost = customers(N, 2, stretch)
    moments = np.sort(SHAPES[shape](np.random.default_rng(3).random(N)))
    pace, slots = play(forecast(budget), budget, gain, cost, moments)
    assert 0.99 * budget <= pace.spent <= budget
    earned = gain[np.flatnonzero(slots >= 0), slots[slots >= 0]].sum()
    hindsight = solve(gain, cost, budget).gain
    assert earned > (0.99 if shape == "even" else 0.9) * hindsight


def test_a_replayed_day_gives_the_same_decisions():
    gain, cost = customers(500, 2)
    moments = np.linspace(0, 1, 500)
    first, again = (play(forecast(900.0), 900.0, gain, cost, moments) for _ in range(2))
    assert first[0] == again[0]
    assert (first[1] == again[1]).all()


@cases(20)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(1, 500), st.integers(0, 99))
def test_no_day_passes_its_budget(moments, budget, seed):
    gain, cost = customers(len(moments), seed)
    play(forecast(budget), budget, gain, cost, sorted(moments))


def test_an_impossible_forecast_or_moment_is_named():
    curve = solve_frontier(np.ones((2, 1)), np.ones((2, 1)))
    with raises_code("forecast_invalid", "share"):
        DayForecast.of(curve, 2, 1.0, 10, np.array([0.0, 0.8, 0.5, 1.0]))
    with raises_code("value_invalid", "moment", "1.5"):
        Pace().reprice(DayForecast.of(curve, 2, 1.0, 10), 1.5)
