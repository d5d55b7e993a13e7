"""A price found elsewhere decides as the plan's own would; costs fall with it, so their steps are private sums."""

import numpy as np
import polars as pl

from promolift.core import allocation
from promolift.core.allocation.candidate_table import InMemoryCandidates


def candidates(seed: int = 1, customers: int = 200) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    cost = rng.integers(5, 100, customers * 3).astype(float)
    return pl.DataFrame({
        "customer_id": np.repeat([f"c{k:03d}" for k in range(customers)], 3), "offer_id": ["a", "b", "c"] * customers,
        "gain_cents": cost * rng.gamma(2, 1, len(cost)) - 20, "cost_cents": cost,
    })  # fmt: skip


def test_at_the_plan_s_price_nearly_the_same_is_chosen_and_the_bound_holds() -> None:
    rows = candidates()
    best = allocation.plan(rows, 3000.0)
    offers = InMemoryCandidates.of(rows)
    found = allocation.plan_at_price(offers, best.allocation.price, 3000.0)
    same = found.chosen.join(best.chosen, on=["customer_id", "offer_id"], how="semi").height
    assert same >= best.chosen.height - 2
    for price in (0.1, 1.0, 5.0):
        other = allocation.plan_at_price(offers, price, 3000.0)
        assert other.allocation.bound >= best.gain_cents - 1e-6
        assert other.cost_cents == other.chosen["cost_cents"].sum()


def test_no_customer_costs_more_at_a_higher_price() -> None:
    offers = InMemoryCandidates.of(candidates())
    cost_NP = allocation.costs_at_prices(offers.spread.rows, offers.codes, [0.0, *(0.05 * 1.3**k for k in range(30))])
    assert (np.diff(cost_NP, axis=1) <= 0).all()
    assert cost_NP[:, 0].max() <= 100
    assert (cost_NP[:, -1] == 0).mean() > 0.9
