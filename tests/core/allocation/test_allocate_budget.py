"""One budget: never above it, the bound never below the best plan, the same plan for any order."""

import numpy as np
import pytest
from allocate_helpers import best, shops, worth
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.allocation import choose, solve, solve_frontier
from promolift.foundation.errors import BudgetError

BUDGETS = st.integers(0, 40)


def random_shop(n, k=6, seed=0):
    rng = np.random.default_rng(seed)
    size, depth = rng.lognormal(3, 1, (n, 1)), np.arange(1, k + 1) / k
    gain = size * (rng.lognormal(0, 0.7, (n, 1)) * (1 - np.exp(-3 * depth)) - 0.4 * depth)
    return gain, size * depth * rng.uniform(0.2, 0.5, (n, 1)), rng.permutation(n).astype(np.uint64)


@given(shops(), BUDGETS)
def test_the_plan_keeps_the_budget_and_is_the_best_one(shop, budget):
    plan = solve(shop.gain, shop.cost, budget)
    gain, cost = worth(shop, plan.choice_N)
    assert cost <= budget
    assert plan.gain == pytest.approx(gain, abs=1e-9)
    assert plan.cost == pytest.approx(cost, abs=1e-9)
    assert gain == best(shop, budget)


@given(shops(ties=False), st.floats(0, 20))
def test_the_bound_is_never_below_the_best_plan_and_the_gap_is_true(shop, budget):
    plan, truth = solve(shop.gain, shop.cost, budget), best(shop, budget)
    assert plan.bound >= truth * (1 - 1e-12)
    assert plan.gain <= truth * (1 + 1e-12)
    assert truth - plan.gain <= plan.gap * plan.bound + 1e-12


@given(shops(most=12), BUDGETS, st.integers(-5, 5), st.data())
def test_the_order_of_rows_changes_nothing(shop, budget, seed, data):
    order = np.array(data.draw(st.permutations(range(len(shop.gain)))))
    plain, mixed = shop.solve(budget, seed=seed), shop.solve(budget, order=order, seed=seed)
    assert (mixed.choice_N == plain.choice_N[order]).all()
    assert (mixed.gain, mixed.cost, mixed.bound, mixed.price) == (plain.gain, plain.cost, plain.bound, plain.price)


def test_the_order_of_rows_changes_nothing_in_a_large_shop():
    gain, cost, key = random_shop(150_000)
    plain = solve(gain, cost, 3e5, key_N=key)
    order = np.random.default_rng(1).permutation(len(gain))
    mixed = solve(gain[order], cost[order], 3e5, key_N=key[order])
    assert (mixed.choice_N == plain.choice_N[order]).all()
    assert (mixed.gain, mixed.bound, mixed.price) == (plain.gain, plain.bound, plain.price)
    assert plain.gap < 1e-6
    assert cost[np.arange(len(gain)), plain.choice_N][plain.choice_N >= 0].sum() <= 3e5


@given(shops(most=8), BUDGETS, BUDGETS)
def test_a_larger_budget_never_gains_less_nor_gets_a_higher_price(shop, one, other):
    small, large = (solve(shop.gain, shop.cost, b) for b in sorted((one, other)))
    assert large.gain >= small.gain
    assert large.price <= small.price


def test_equal_customers_are_treated_by_lot_and_the_lot_is_in_the_prices():
    gain, cost = np.full((1000, 1), 5.0), np.full((1000, 1), 2.0)
    plan = solve(gain, cost, 601.0)
    assert plan.treated == 300
    assert not plan.moved  # the price and the share of ties alone decide
    assert (solve(gain, cost, 601.0, seed=1).choice_N != plan.choice_N).any()


def test_choose_takes_the_best_penalised_value_and_none_at_a_loss():
    gain, cost = np.array([[5.0, 8.0], [1.0, 2.0], [np.nan, -1.0]]), np.array([[1.0, 3.0], [2.0, 3.0], [0.0, 0.0]])
    assert choose(gain, cost, 1.0).tolist() == [1, -1, -1]
    assert choose(gain, cost, 2.0).tolist() == [0, -1, -1]
    assert choose(gain, cost, 0.0).tolist() == [1, 1, -1]
    assert choose(gain[:, :0], cost[:, :0], 1.0).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1)])
def test_empty_problems_have_a_plan(shape):
    plan = solve(np.full(shape, np.nan), np.zeros(shape), 10.0)
    assert (plan.treated, plan.gain, plan.bound, plan.gap) == (0, 0.0, 0.0, 0.0)
    assert len(plan.choice_N) == shape[0]
    assert "No customer" in plan.explain()


def test_free_offers_need_no_budget_and_unknown_ones_are_never_given():
    plan = solve(
        np.array([[3.0, np.nan], [np.nan, np.nan], [4.0, 9.0]]), np.array([[0.0, 0.0], [0.0, 0.0], [1.0, np.nan]]), 0.0
    )
    assert plan.choice_N.tolist() == [0, -1, -1]
    assert plan.gain == 3.0
    assert plan.gap < 1e-12


@pytest.mark.parametrize(
    ("gain", "cost", "code", "facts"),
    [
        ([[1.0, 2.0]], [[1.0, -2.0]], "value_invalid", ("row 0", "slot 1", "gain 2.0", "cost -2.0")),
        ([[np.inf, 2.0]], [[1.0, 2.0]], "value_not_finite", ("row 0", "slot 0", "gain inf")),
        ([[1.0]], [[1.0, 2.0]], "shapes_differ", ("gain", "(1, 1)", "cost", "(1, 2)")),
    ],
)
def test_impossible_values_are_named(gain, cost, code, facts):
    with raises_code(code, *facts):
        solve(np.array(gain), np.array(cost), 1.0)


@pytest.mark.parametrize("budget", [-1, np.nan, np.inf])
def test_impossible_budgets_are_named(budget):
    with raises_code("budget_invalid", str(budget), kind=BudgetError):
        solve(np.ones((1, 1)), np.ones((1, 1)), budget)


def test_amounts_of_any_size_are_counted_exactly():
    for unit in (1e-9, 1.0, 1e9, 1e-200, 1e200):
        plan = solve(np.array([[3.0], [2.0], [2.0]]) * unit, np.array([[3.0], [2.0], [2.0]]) * unit, 4 * unit)
        assert plan.gain == pytest.approx(4 * unit)


@cases(50)
@given(shops(most=20), st.lists(BUDGETS, max_size=4))
def test_every_point_of_the_curve_is_a_plan_and_its_bound_holds(shop, budgets):
    curve = shop.trace(budgets)
    assert curve["budget"].to_list() == sorted(budgets)
    for budget, gain, cost, price, treated, bound in curve.iter_rows():
        plan = solve(shop.gain, shop.cost, budget)
        assert cost <= budget
        assert gain <= plan.gain + 1e-9 <= bound + 2e-9
        assert price == pytest.approx(plan.price)
        assert treated <= len(shop.gain)


def test_the_curve_rises_and_its_price_falls():
    gain, cost, key = random_shop(3000)
    curve = solve_frontier(gain, cost, key_N=key)
    assert curve.height == 101
    assert (curve["gain"].diff().drop_nulls() >= 0).all()
    assert (curve["price"].diff().drop_nulls() <= 0).all()
    assert curve["price"][-1] == 0.0
    assert curve["cost"][-1] == pytest.approx(curve["budget"][-1])
    assert curve["gain"][-1] == pytest.approx(np.nanmax(gain, axis=1).clip(0).sum())


def test_the_curve_of_a_large_shop_agrees_with_the_plans():
    gain, cost, key = random_shop(60_000)
    curve = solve_frontier(gain, cost, key_N=key)
    assert curve.height == 101
    assert curve["gain"].is_sorted()
    assert curve["price"].is_sorted(descending=True)
    for budget, found, _, price, treated, _ in curve.sample(5, seed=1).iter_rows():
        plan = solve(gain, cost, budget * (1 + 1e-12))
        assert found == pytest.approx(plan.gain, rel=1e-5)
        assert price == pytest.approx(plan.price, rel=0.02)
        assert treated == pytest.approx(plan.treated, abs=5)


def test_a_customer_who_costs_a_large_part_of_the_budget_leaves_nothing_unspent() -> None:
    rng = np.random.default_rng(4)
    cost = rng.uniform(5, 15, (3000, 1))
    gain = cost * rng.uniform(0.5, 2.0, (3000, 1))
    for large, rate in ((4_000.0, 1.6), (9_000.0, 1.5), (3_000.0, 1.2)):
        cost[0], gain[0] = large, large * rate
        found = solve(gain, cost, 10_000.0)
        assert found.gap < 1e-2, (large, found.gap)
        assert found.cost <= 10_000.0
        order = np.random.default_rng(1).permutation(3000)
        again = solve(gain[order], cost[order], 10_000.0, key_N=order.astype(np.uint64))
        assert again.gain == found.gain
