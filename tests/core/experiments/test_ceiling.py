"""What all that is given costs at most: kept though costs are expected wrongly and who looks cheapest comes first."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.shop.pipeline.planning.line_tests import add_learned_effects, cost_ceiling

GROUPS, EACH, ORDER = 4, 300, 800.0


def arms(looks: np.ndarray) -> pl.DataFrame:
    """A line for everybody in four groups: by their own past it would cost what it `looks`, by the group's draws 80."""
    n = GROUPS * EACH
    return pl.DataFrame(
        {
            "customer_id": [f"c{i:04d}" for i in range(n)], "menu_id": "all-10", "cost_cents": looks,
            "group": [f"g{i % GROUPS}" for i in range(n)], "arm_cost": 80.0, "arm_cost_se": 28.0, "net_cents": 40.0,
            "depth": 0.1, "basket_mean_cents": ORDER / 0.1, "amount_cents": None, "level": "assumed",
            "gain_cents": 40.0, "gain_ratio": None, "cost_ratio": None,
        },
        schema_overrides=dict.fromkeys(("amount_cents", "gain_ratio", "cost_ratio"), pl.Float64),
    )  # fmt: skip


def test_who_looks_cheapest_is_not_taken_at_their_word() -> None:
    """Two thirds look as if they cost nothing; where the budget pays for a part of all it would be they."""
    looks = np.where(np.arange(GROUPS * EACH) % 3 == 0, 240.0, 0.0)
    cheap = add_learned_effects(arms(looks)).filter(pl.col("cost_cents") == 0)
    assert cheap["cost_now"].unique().to_list() == [40.0]
    assert cheap["gain_now"].unique().to_list() == [20.0]  # and are no bargain by it
    assert cost_ceiling(cheap) > 80.0 * cheap.height  # what they truly cost, as everybody of their group


@pytest.mark.parametrize("level", ["assumed", "randomised"])
def test_the_ceiling_is_kept_in_all_but_one_of_a_thousand(level: str) -> None:
    """Costs are wrong by what is doubted of them, all groups alike where they are assumed, each by itself where they
    were drawn; and everybody orders as they like, baskets differing."""
    rng = np.random.default_rng(1)
    given = add_learned_effects(arms(np.full(GROUPS * EACH, 80.0))).with_columns(level=pl.lit(level))
    most, broken, repeats = cost_ceiling(given), 0, 4000
    for _ in range(repeats):
        wrong = rng.normal(0, 28.0, 1 if level == "assumed" else GROUPS)
        rate = np.maximum(80.0 + np.resize(wrong, GROUPS), 0.0) / ORDER
        orders = rng.poisson(rate.sum() * EACH)
        broken += float(rng.exponential(ORDER, orders).sum()) > most
    assert broken / repeats < 0.004
    assert most < 2.5 * 80.0 * given.height


@cases(60)
@given(st.integers(0, 1000), st.sampled_from([0.1, 0.25, 0.5]), st.floats(0.5, 3.0), st.sampled_from([-40.0, 40.0]))
def test_one_customer_carries_at_most_a_hundredth_of_what_an_arm_brings(
    seed: int, prob: float, spread: float, net: float
) -> None:
    """However much larger their orders are; where fewer than 400 draw, at most four equal parts. Costs stay whole."""
    rows = pl.concat(
        [arms(np.full(GROUPS * EACH, 80.0)).with_columns(pl.col("customer_id") + f"-{n}") for n in range(4)]
    )
    looks, each = np.random.default_rng(seed).lognormal(4.0, spread, rows.height), rows.height / GROUPS
    now = add_learned_effects(rows.with_columns(cost_cents=pl.Series(looks), prob=pl.lit(prob), net_cents=pl.lit(net)))
    for mine in now.partition_by("group"):
        whole = float((mine["prob"] * mine["gain_now"]).sum())
        assert max(mine["gain_now"] / whole) <= max(0.01, 4 / (prob * each)) + 1e-9
    assert now["cost_now"].mean() == pytest.approx(80.0)


def test_nothing_given_costs_nothing() -> None:
    assert cost_ceiling(add_learned_effects(arms(np.full(GROUPS * EACH, 80.0))).clear()) == 0.0


def test_the_ceiling_of_a_draw_is_that_of_what_it_sends_on_average() -> None:
    """Customers who get an offer with a probability count by it."""
    every = add_learned_effects(arms(np.full(GROUPS * EACH, 80.0)))
    half = every.filter(pl.col("customer_id").str.slice(1).cast(pl.Int64) % 8 < 4)
    assert cost_ceiling(every.with_columns(weight=pl.lit(0.5))) == pytest.approx(cost_ceiling(half))
