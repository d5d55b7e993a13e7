"""What all that is given costs at most: kept though costs are expected wrongly and who looks cheapest comes first."""

import numpy as np
import polars as pl
import pytest

from promolift.core.experiments.line_effects import PRIOR_VISITS, detectable_effect
from promolift.core.experiments.surrogate import Spans, SurrogateModel
from promolift.shop.pipeline.planning.line_tests import (
    DEAL_SEEKERS,
    OTHERS,
    LineTestPopulation,
    add_learned_effects,
    contact_effect,
    cost_ceiling,
    group_by_segment,
    sizes_needed_to_split,
    split_by_price,
    visits_flip,
)
from promolift.shop.results.work_folder.plan_inputs import MONTHS

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


def test_nothing_given_costs_nothing() -> None:
    assert cost_ceiling(add_learned_effects(arms(np.full(GROUPS * EACH, 80.0))).clear()) == 0.0


def test_the_rise_in_visits_at_which_offers_are_worth_nothing_makes_them_worth_nothing() -> None:
    """Before draws gains hold what visits are assumed to bring; with the rise that is said they would hold none."""
    ahead = SurrogateModel(Spans(28, 84), (), {}, {"g": 0.4}, {"g": 500.0})  # type: ignore[arg-type]
    people = LineTestPopulation(pl.DataFrame(), ahead, {"g": (300.0, 900.0)})
    visits = contact_effect(ahead, "g", 300.0).mean
    for rest in (-5.0, 5.0):
        sent = pl.DataFrame({"group": ["g", "g"], "gain_now": [visits + rest] * 2})
        flip = visits_flip(sent, people)
        if rest > 0:
            assert flip is None
        else:
            assert flip is not None
            assert visits * flip / PRIOR_VISITS + rest == pytest.approx(0.0)


def test_whoever_belongs_to_a_segment_is_in_the_first_of_them_and_is_expected_to_do_as_before() -> None:
    ahead = SurrogateModel(Spans(28, 84), (), {"a": 300.0, "b": 100.0}, {"a": 0.2, "b": 0.6}, {"a": 50.0, "b": 90.0})  # type: ignore[arg-type]
    rows = pl.DataFrame({"customer_id": list("uvwxy"), "group": list("aabba"), "window": [1.0, 2.0, 3.0, 4.0, 5.0]})
    mine = pl.DataFrame({"customer_id": list("uvwxz"), "segments": [["gold", "vip"], [], ["gold"], ["vip"], ["vip"]]})
    found = group_by_segment(ahead, rows, mine, ("vip", "gold"))
    assert found.rows["group"].to_list() == ["vip", "a", "gold", "vip", "a"]
    assert found.rows["customer_id"].to_list() == list("uvwxy")
    assert found.ahead.sd["vip"] == pytest.approx((0.5 * (300.0**2 + 100.0**2)) ** 0.5)
    assert (found.ahead.away["vip"], found.ahead.comeback["gold"]) == (pytest.approx(0.4), pytest.approx(90.0))
    assert found.ahead.sd["a"] == 300.0


def test_groups_that_are_large_enough_are_halved_by_price_sensitivity_and_others_are_not() -> None:
    ahead = SurrogateModel(Spans(28, 84), (), {"a": 200.0, "b": 200.0}, {"a": 0.5, "b": 0.5}, {"a": 400.0, "b": 400.0})  # type: ignore[arg-type]
    many = 200
    rows = pl.DataFrame({
        "customer_id": [f"{n:03d}" for n in range(many + 4)], "group": ["a"] * many + ["b"] * 4, "window": 100.0,
        "horizon": 300.0,
    })  # fmt: skip
    least = sizes_needed_to_split(ahead, rows)
    effect = contact_effect(ahead, "a", 100.0).whole
    side = least["a"] * MONTHS / 4  # of one half, over all windows, on one side of the comparison
    assert detectable_effect(200.0, side, side) == pytest.approx(effect, rel=0.02)
    prices = pl.Series([None, *range(1, many), *range(4)], dtype=pl.Float64)
    found = split_by_price(ahead, rows, rows.select("customer_id").with_columns(price_sensitivity=prices), {"a"})
    sizes = dict(found.rows["group"].value_counts().iter_rows())
    assert sizes == {"a": 1, f"a, {DEAL_SEEKERS}": 99, f"a, {OTHERS}": 100, "b": 4}
    top = found.rows.filter(group=f"a, {DEAL_SEEKERS}")["customer_id"]
    assert min(top) == "101"
    assert found.ahead.sd[f"a, {OTHERS}"] == 200.0
