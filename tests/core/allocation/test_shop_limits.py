"""What one more cent of budget is said to add is what it adds along the budget curve, whose limits grow with it."""

import numpy as np
import polars as pl

from promolift.core import allocation

LIMITS = allocation.ShopLimits(0.3, ())


def candidates(customers: int = 2000) -> pl.DataFrame:
    """A customer's offers on four categories, the first of which everybody would rather have."""
    rng = np.random.default_rng(5)
    names = [f"c{i:04d}" for i in range(customers)]
    cost = rng.integers(50, 300, (customers, 4))
    gain = cost * rng.gamma(3.0, [1.2, 0.5, 0.5, 0.5], (customers, 4))
    return pl.DataFrame({
        "customer_id": np.repeat(names, 4), "offer_id": np.tile(["a", "b", "c", "d"], customers),
        "scope": "category", "target": np.tile(["wine", "bread", "milk", "beef"], customers),
        "gain_cents": gain.ravel(), "cost_cents": cost.ravel().astype(float),
    })  # fmt: skip


def solved(budget: int) -> allocation.Allocation:
    rows = candidates()
    return allocation.plan(rows, budget, LIMITS.at(rows, budget), seed=1).allocation


def test_the_worth_of_a_cent_is_the_slope_of_the_curve() -> None:
    budget, step = 40_000, 2_000
    here = solved(budget)
    slope = (solved(budget + step).gain - solved(budget - step).gain) / (2 * step)
    assert here.price < 0.95 * slope  # the budget alone: the dearest category is full
    assert abs(LIMITS.worth(here) / slope - 1) < 0.03
