"""Customers in parts: the plan of all at once where they are few, the same certificate where rounds go through them."""

from collections.abc import Iterator

import numpy as np
import pytest
from allocate_helpers import Shop, shops
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.allocation import Limit, solver
from promolift.core.allocation.algorithms import exact_knapsack, lagrangian
from promolift.core.allocation.algorithms.choice import (
    Allocation,
    ChoiceRows,
    InMemoryRows,
    Prices,
    SelectedRows,
    concatenate_rows,
    hash_seed,
)
from promolift.core.allocation.algorithms.constraints import compile_constraints
from promolift.core.allocation.algorithms.exact_knapsack import solve_frontier_parts
from promolift.core.allocation.solver import solve_parts
from promolift.foundation.errors import BudgetError

LIMITS = [
    Limit(name="stock", measure="count", offers=(1,), at_most=300),
    Limit(name="served", measure="count", labels=(1,), at_least=200),
    Limit(name="share", measure="cost_share", labels=(0,), at_most=0.6),
    Limit(name="pays", measure="return", at_least=1.2),
]


class Parts:
    """Rounds over parts in memory, which count themselves and the largest thing that came back."""

    def __init__(self, parts: list[ChoiceRows]) -> None:
        self.parts, self.rounds, self.most = parts, 0, 0

    def each(self, task, *given, **named) -> Iterator:
        self.rounds += 1
        for rows in self.parts:
            found = task(rows, *given, **named)
            if isinstance(found, SelectedRows):
                self.most = max(self.most, len(found.row_C))
            yield found


def parted(shop: Shop, count: int, seed: int = 0) -> Parts:
    """Customers by turns, each part in the order of its hashes."""
    rows = ChoiceRows.of(shop.gain, shop.cost, label_N=shop.label, key_N=shop.key)
    some = [rows.part(np.arange(at, len(rows), count)) for at in range(count)]
    return Parts([each.part(each.by_hash(hash_seed(seed))) for each in some])


def chosen(parts: Parts, found: Allocation) -> dict[int, int]:
    """The slot of every customer, by key."""
    return {
        int(key): int(slot)
        for number, rows in enumerate(parts.parts)
        for key, slot in zip(rows.key_N, found.choice.of(rows, number), strict=True)
    }


def drawn(n: int, slots: int = 6, seed: int = 1, ties: bool = False) -> Shop:
    rng = np.random.default_rng(seed)
    gain, cost = rng.normal(3, 4, (n, slots)), rng.exponential(3, (n, slots))
    if ties:
        gain, cost = np.round(gain), 1 + np.round(cost)
    return Shop(
        gain, cost, rng.integers(0, 2, n).astype(np.int32), rng.choice(2**40, n, replace=False).astype(np.uint64)
    )


@given(shops(), st.integers(1, 4), st.integers(0, 40), st.booleans())
def test_few_customers_in_parts_get_the_plan_of_all_at_once(shop: Shop, count: int, budget: int, limited: bool) -> None:
    limits = [Limit(name="first", measure="count", offers=(0,), at_most=2)] if limited else []
    parts = parted(shop, count)
    mine = solve_parts(parts, compile_constraints(budget, limits, 2, shop.gain.shape[1]))
    whole = shop.solve(budget, limits)
    assert chosen(parts, mine) == dict(zip(shop.key.tolist(), whole.choice_N.tolist(), strict=True))
    assert (mine.gain, mine.cost, mine.bound, mine.price) == (whole.gain, whole.cost, whole.bound, whole.price)
    assert (mine.treated, mine.customers) == (whole.treated, whole.customers)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_rounds_for_one_budget_give_the_plan_of_one_sort_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, ties: bool, count: int
) -> None:
    shop = drawn(9_000, ties=ties)
    whole = shop.solve(4_000.0)
    curve = shop.trace(None)
    for name, value in (
        ("MAX_LISTED_STEPS", 2_000),
        ("MAX_BIN_STEPS", 20),
        ("PACKING_WINDOW", 400),
        ("CORE_STEPS", 100),
    ):
        monkeypatch.setattr(exact_knapsack, name, value)
    small = shop.solve(4_000.0)
    monkeypatch.setattr(solver, "IN_MEMORY_ROWS", 0)
    parts = parted(shop, count)
    mine = solve_parts(parts, compile_constraints(4_000.0, [], 2, 6))
    assert chosen(parts, mine) == dict(zip(shop.key.tolist(), small.choice_N.tolist(), strict=True))
    assert (mine.gain, mine.bound, mine.price) == (small.gain, small.bound, small.price)
    assert (mine.bound, mine.price) == (whole.bound, whole.price)
    assert mine.gain == pytest.approx(whole.gain, rel=1e-4)
    assert parts.most < 1_500  # what came back of a part of rows is bounded by what is near the break
    assert solve_frontier_parts(parts).equals(curve)
    assert parts.rounds < 30


def test_large_steps_are_packed_in_rounds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = drawn(6_000)
    shop.gain[:40] *= 900
    shop.cost[:40] *= 900
    monkeypatch.setattr(exact_knapsack, "MAX_LISTED_STEPS", 2_000)
    whole = shop.solve(30_000.0)
    monkeypatch.setattr(solver, "IN_MEMORY_ROWS", 0)
    parts = parted(shop, 4)
    mine = solve_parts(parts, compile_constraints(30_000.0, [], 2, 6))
    assert chosen(parts, mine) == dict(zip(shop.key.tolist(), whole.choice_N.tolist(), strict=True))
    assert mine.gain == whole.gain


@pytest.mark.slow
def test_rounds_under_limits_prove_their_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = drawn(12_000)
    whole = shop.solve(5_000.0, LIMITS)
    monkeypatch.setattr(solver, "IN_MEMORY_ROWS", 0)
    parts = parted(shop, 4)
    mine = solve_parts(parts, compile_constraints(5_000.0, LIMITS, 2, 6))
    slots = np.array([chosen(parts, mine)[int(key)] for key in shop.key])
    took = np.flatnonzero(slots >= 0)
    gain, cost, label, slot = shop.gain[took, slots[took]], shop.cost[took, slots[took]], shop.label[took], slots[took]
    assert mine.gain == pytest.approx(gain.sum())
    assert mine.cost == pytest.approx(cost.sum())
    assert mine.cost <= 5_000
    assert (slot == 1).sum() <= 300
    assert (label == 1).sum() >= 200
    assert cost[label == 0].sum() <= 0.6 * cost.sum() * (1 + 1e-12)
    assert gain.sum() >= 1.2 * cost.sum()
    assert mine.bound == pytest.approx(whole.bound, rel=1e-6)
    assert mine.gap <= 2 * whole.gap + 1e-5
    again = solve_parts(parted(shop, 4), compile_constraints(5_000.0, LIMITS, 2, 6))
    assert (again.gain, again.bound, again.row_prices) == (mine.gain, mine.bound, mine.row_prices)


def test_limits_in_conflict_are_named_in_rounds_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = drawn(3_000)
    impossible = [
        Limit(name="few", measure="count", at_most=100),
        Limit(name="many", measure="count", labels=(1,), at_least=400),
        Limit(name="other", measure="count", offers=(2,), at_most=2_000),
    ]
    with raises_code("limits_infeasible", "'few'", "'many'", kind=BudgetError) as whole:
        shop.solve(1e6, impossible)
    monkeypatch.setattr(solver, "IN_MEMORY_ROWS", 0)
    monkeypatch.setattr(lagrangian, "IN_MEMORY_ROWS", 0)
    with raises_code("limits_infeasible", "'few'", "'many'") as mine:
        solve_parts(parted(shop, 3), compile_constraints(1e6, impossible, 2, 6))
    assert "'other'" not in str(mine.value)
    assert str(mine.value).split(";")[0] == str(whole.value).split(";")[0]


def test_rows_of_fewer_slots_are_joined_without_making_offers_up() -> None:
    wide, narrow = drawn(5, 4), drawn(3, 2, seed=2)
    rows = concatenate_rows([ChoiceRows.of(each.gain, each.cost, key_N=each.key) for each in (wide, narrow)])
    assert rows.gain_NK.shape == (8, 4)
    assert not rows.usable_NK[5:, 2:].any()
    apart = [
        InMemoryRows(ChoiceRows.of(each.gain, each.cost)).rows.choose(Prices.of(0.5, 4)) for each in (wide, narrow)
    ]
    assert rows.choose(Prices.of(0.5, 4)).tolist() == np.concatenate(apart).tolist()
