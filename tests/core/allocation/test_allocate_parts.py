"""The parts of the method one by one: certificate, filling, projection, smoothed dual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.allocation import Limit, solve
from promolift.core.allocation.algorithms import kernels
from promolift.core.allocation.algorithms.choice import ChoiceRows, InMemoryRows
from promolift.core.allocation.algorithms.constraints import compile_constraints
from promolift.core.allocation.algorithms.exact_knapsack import fill_budget
from promolift.core.allocation.algorithms.lagrangian import Dual


def test_the_bound_is_the_lowest_value_of_the_dual():
    rng = np.random.default_rng(4)
    gain, cost = rng.normal(3, 4, (1500, 5)), rng.exponential(3, (1500, 5))

    def dual(price):
        return 300.0 * price + np.maximum(gain - price * cost, 0.0).max(axis=1).sum()

    plan = solve(gain, cost, 300.0)
    assert plan.bound == pytest.approx(dual(plan.price), rel=1e-12)
    assert all(plan.bound <= dual(plan.price * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0))
    assert plan.gap < 1e-4


def test_what_is_left_over_buys_the_best_move_that_fits_then_the_best_exchange():
    cost, gain = np.array([[2], [3], [4]]), np.array([[20], [29], [41]])
    usable = np.ones((3, 1), bool)
    slots, spent, gained = fill_budget(cost, gain, usable, np.array([-1, -1, -1], np.int32), 3, 0)
    assert (slots.tolist(), spent, gained) == ([-1, 0, -1], 3, 29)
    slots, spent, gained = fill_budget(cost, gain, usable, np.array([-1, 0, -1], np.int32), 1, 0)
    assert (slots.tolist(), spent, gained) == ([-1, -1, 0], 1, 12)
    slots, *_ = fill_budget(cost, gain, np.array([[True], [True], [False]]), np.array([-1, 0, -1], np.int32), 1, 0)
    assert slots.tolist() == [-1, 0, -1]


@given(st.lists(st.floats(-9, 9), min_size=2, max_size=6), st.floats(0.01, 20))
def test_the_projection_is_a_distribution_that_favours_the_larger_values(values, width):
    value, prob = np.array(values), np.empty(len(values))
    count = kernels.project(value, value.max(), width, prob)
    assert prob.sum() == pytest.approx(1.0)
    assert (prob >= 0).all()
    assert count >= (prob > 0).sum()
    inside = prob > 0
    cut = value[inside] - width * prob[inside]
    assert np.ptp(cut) < 1e-9 * max(width, 9)
    assert (value[~inside] <= cut.max() + 1e-9).all()


def test_use_and_curvature_are_the_derivatives_of_the_smoothed_dual():
    rng = np.random.default_rng(7)
    gain, cost = rng.normal(3, 3, (300, 4)), rng.exponential(2, (300, 4))
    label = rng.integers(0, 3, 300).astype(np.int32)
    limits = [
        Limit(name="stock", measure="count", offers=(1,), at_most=20),
        Limit(name="served", measure="count", labels=(2,), at_least=30),
        Limit(name="share", measure="cost_share", labels=(0,), at_least=0.4),
        Limit(name="pays", measure="return", at_least=1.5),
    ]
    rules = compile_constraints(90.0, limits, 3, 4)
    dual = Dual.of(InMemoryRows(ChoiceRows.of(gain, cost, label_N=label)), 300, rules)
    price, step = np.array([0.7, 0.4, 0.9, 0.3, 0.2]), 1e-5
    _, used, curve = dual.at(price, 0.8)
    for m in range(5):
        ahead, behind = (dual.at(price + sign * step * np.eye(5)[m], 0.8) for sign in (1, -1))
        assert (ahead[0] - behind[0]) / (2 * step) == pytest.approx(-used[m], rel=1e-5, abs=1e-4)
        assert -(ahead[1] - behind[1]) / (2 * step) == pytest.approx(curve[m], rel=1e-2, abs=2.0)
