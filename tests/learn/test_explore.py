"""Exploration pays from the budget, and every probability is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.errors import BudgetError, InputError
from promolift.learn.explore import ExploreSettings, Tally, affordable, explore, pick, variant_shares


def market(seed: int, customers: int = 60, offers: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gain, cost = rng.normal(1, 3, (customers, offers)), rng.gamma(2, 1, (customers, offers))
    gain[rng.random(gain.shape) < 0.1] = np.nan
    return gain, cost


@given(st.integers(0, 500), st.floats(0, 0.3), st.sampled_from([0.0, 0.1, 2.0]), st.floats(0.3, 1.5))
def test_chances_add_up_keep_the_floor_and_fit_the_budget(seed: int, floor: float, heat: float, part: float) -> None:
    gain, cost = market(seed)
    budget = part * float(np.nansum(np.where(np.isnan(gain), np.nan, cost))) / 4
    found = explore(gain, cost, budget, ExploreSettings(floor=floor, temperature=heat))
    open_ = np.hstack([~np.isnan(gain), np.ones((len(gain), 1), bool)])
    np.testing.assert_allclose(found.prob_NA.sum(axis=1), 1.0, atol=1e-12)
    assert (found.prob_NA[~open_] == 0).all()
    even = floor * open_ / open_.sum(axis=1, keepdims=True)
    assert (found.prob_NA >= even - 1e-12).all()
    spent = float((found.prob_NA[:, :-1] * np.where(np.isnan(gain), 0, cost)).sum())
    assert spent == pytest.approx(found.cost, rel=1e-9, abs=1e-9)
    assert spent <= budget * (1 + 1e-6)
    assert spent >= budget * (1 - 1e-6) or found.price == 0.0


def test_a_smaller_budget_never_gets_a_lower_price() -> None:
    gain, cost = market(7)
    prices = [explore(gain, cost, b, ExploreSettings(floor=0.02, temperature=0.5)).price for b in (5, 10, 20, 40, 80)]
    assert prices == sorted(prices, reverse=True)
    assert prices[0] > prices[-1]


def test_cold_and_without_a_floor_it_takes_the_best_offer_and_none_where_nothing_gains() -> None:
    found = explore(np.array([[2.0, 5.0], [-1.0, -2.0]]), np.ones((2, 2)), 10, ExploreSettings(floor=0))
    assert found.prob_NA.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_a_floor_that_costs_more_than_the_budget_is_refused_as_are_shapes_that_differ() -> None:
    with pytest.raises(BudgetError, match="lower the floor"):
        explore(np.ones((3, 2)), np.full((3, 2), 100.0), 10, ExploreSettings(floor=1.0))
    with pytest.raises(InputError, match="customers x offers"):
        explore(np.ones((3, 2)), np.ones((2, 3)), 10)


def test_draws_follow_the_chances_and_never_take_a_closed_offer() -> None:
    prob = np.tile([0.2, 0.0, 0.5, 0.3, 0.0], (20_000, 1))
    drawn = pick(prob, (np.arange(20_000) + 0.5) / 20_000)
    np.testing.assert_allclose(np.bincount(drawn, minlength=5) / 20_000, [0.2, 0, 0.5, 0.3, 0], atol=1e-3)
    assert pick(prob[:1], np.array([1 - 1e-17])).tolist() == [3]


def test_even_draws_cost_half_of_the_budget_at_most() -> None:
    gain, cost = np.array([[1.0, 1.0], [np.nan, 1.0]]), np.array([[3.0, 6.0], [9.0, 4.0]])
    # even draws for all cost 9 / 3 + 4 / 2 = 5
    assert affordable(0.5, gain, cost, 5.0) == 0.5
    assert affordable(0.5, gain, cost, 2.0) == pytest.approx(0.2)
    assert affordable(0.5, gain, np.zeros_like(cost), 2.0) == 0.5


TALLY = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.integers(0, 500), st.integers(0, 500)).map(lambda t: Tally(sum(t), t[0])),
    min_size=1,
)


@given(TALLY, st.integers(0, 99))
def test_shares_of_variants_are_never_zero_and_sum_to_one(tally: dict[str, Tally], seed: int) -> None:
    shares = variant_shares(tally, seed)
    assert list(shares) == sorted(tally)
    assert min(shares.values()) >= 0.05 / len(tally)
    assert sum(shares.values()) == pytest.approx(1)


def test_what_is_clicked_more_is_shown_more_and_a_new_variant_is_still_tried() -> None:
    share = variant_shares({"old": Tally(1000, 50), "good": Tally(1000, 100), "new": Tally(0, 0)})
    assert share["old"] < 0.05 < share["good"]
    assert share["new"] > 0.1


@pytest.mark.parametrize("tally", [{}, {"a": Tally(1, 2)}, {"a": Tally(5, -1)}])
def test_an_impossible_tally_is_refused(tally: dict[str, Tally]) -> None:
    with pytest.raises(InputError, match="0 <= clicked <= shown"):
        variant_shares(tally)
