"""What limits charge a candidate is what the plan itself weighs: with it each customer is decided on alone."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.allocation import Limit, choose, limit_charges, plan, satisfies_limits

BUDGET = 12_000.0  # at which all of these hold gain back
LIMITS = {
    "count": [Limit.read("stock: count[target=tea] <= 20")],
    "floor": [Limit.read("count[target=bread] >= 15")],
    "return": [Limit.read("return >= 6.5")],
    "share": [Limit.read("cost_share[target=tea|milk] <= 45%")],
    "both ends": [Limit(name="tea", measure="count", at_most=20, at_least=5, where={"target": ("tea",)})],
    "several": [Limit.read(text) for text in ("count[target=tea] <= 20", "gain[target=milk] <= 2000")],
}


def shop(seed: int, customers: int = 400) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    cost = rng.integers(20, 200, (customers, 4)).astype(float)
    gain = cost * rng.gamma(3.0, [1.1, 0.7, 0.5, 0.4], (customers, 4)) - 20
    return pl.DataFrame({
        "customer_id": np.repeat([f"c{i:04d}" for i in range(customers)], 4),
        "offer_id": np.tile(["a", "b", "c", "d"], customers),
        "target": np.tile(["tea", "milk", "beef", "bread"], customers),
        "gain_cents": gain.ravel(), "cost_cents": cost.ravel(),
    })  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
@given(seed=st.integers(0, 2**16))
@cases(8)
def test_the_largest_gain_less_charge_and_price_is_what_was_planned(name: str, seed: int) -> None:
    rows, limits = shop(seed), LIMITS[name]
    found = plan(rows, BUDGET, limits, seed=seed)
    charge = limit_charges(rows, limits, found.allocation)
    shape = (-1, 4)
    worth_NK = (rows["gain_cents"] - charge).to_numpy().reshape(shape)
    slot_N = choose(worth_NK, rows["cost_cents"].to_numpy().reshape(shape), found.allocation.price)
    alone = {f"c{i:04d}": "abcd"[k] for i, k in enumerate(slot_N.tolist()) if k >= 0}
    wanted = dict(found.chosen.select("customer_id", "offer_id").iter_rows())
    differ = [who for who in {*alone, *wanted} if alone.get(who) != wanted.get(who)]
    assert found.allocation.binding  # else nothing would be charged
    assert len(differ) <= 15  # a few at the edge, whom the finishing step moved
    assert satisfies_limits(found.chosen, limits)


def test_without_limits_nothing_is_charged_and_too_much_is_seen() -> None:
    rows = shop(1)
    found = plan(rows, 5_000.0)
    assert limit_charges(rows, (), found.allocation).unique().to_list() == [0.0]
    tea = Limit.read("count[target=tea] <= 3")
    assert not satisfies_limits(rows.filter(pl.col("target") == "tea"), [tea])
    assert satisfies_limits(rows.filter(pl.col("target") == "tea").head(3), [tea])
    assert satisfies_limits(rows.head(0), [tea])
