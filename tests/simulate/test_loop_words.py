"""Which words work: learnt from logged propensities alone, never far from the best; nothing else changes."""

import numpy as np
import pytest

from promolift.errors import InputError
from promolift.simulate.truth import click_rates, clicks
from promolift.simulate.world import SimulationSettings, World
from promolift.steps.loop_words import WordedDay, against, tally, tell_day, wordings

NAMES = ("ease", "pairing", "together", "treat")


def shop(seed: int, customers: int = 300) -> World:
    return World(SimulationSettings(seed=seed, customers=customers, weeks=12), np.arange(1, customers + 1))


def days(seed: int, length: int = 60) -> list[WordedDay]:
    past: list[WordedDay] = []
    for day in range(length):
        past.append(tell_day(past, NAMES, shop(seed), day, day, seed))
    return past


def test_every_offer_of_the_menu_can_be_said_truly_in_every_wording() -> None:
    assert len(wordings(11, (0.1, 0.2, 0.3))) == len(NAMES)
    with pytest.raises(InputError, match="cannot be said"):
        wordings(12, (0.1,))  # the twelfth is beer


def test_the_first_day_knows_nothing_and_later_days_know_only_what_came_before() -> None:
    past = days(1, 5)
    assert past[0].share_V == pytest.approx(np.full(4, 0.25), abs=0.08)
    forged = [*past[:3], WordedDay(3, past[3].share_V, past[3].variant_M, ~past[3].clicked_M, past[3].true_V)]
    again = tell_day(past[:3], NAMES, shop(1), 3, 3, 1)
    assert (again.variant_M == past[3].variant_M).all()
    assert (tell_day(forged, NAMES, shop(1), 4, 4, 1).share_V != past[4].share_V).any()


def test_logged_probabilities_are_those_drawn_with_and_never_nothing() -> None:
    past = days(2, 20)
    for day in past:
        assert day.share_V.sum() == pytest.approx(1)
        assert day.share_V.min() >= 0.05 / 4
    drawn = sum(np.bincount(day.variant_M, minlength=4) for day in past)
    assert drawn == pytest.approx(300 * sum(day.share_V for day in past), abs=4 * np.sqrt(20 * 300 / 4))
    # clicks weighted by the logged probabilities give each wording's true rate, though the good ones were shown more
    for v in range(4):
        weighted = np.concatenate([(d.variant_M == v) * d.clicked_M / d.share_V[v] for d in past])
        error = np.sqrt(np.mean([d.true_V[v] / d.share_V[v] for d in past]) / weighted.size)
        assert abs(weighted.mean() - past[0].true_V[v]) < 4 * error


def test_it_beats_even_draws_and_comes_near_the_best_wording() -> None:
    found = [against(days(seed)) for seed in range(1, 6)]
    assert all(one["even"] < one["chosen"] <= one["best"] for one in found)
    assert np.mean([one["chosen"] / one["best"] for one in found]) > 0.93


def test_counts_add_up() -> None:
    past = days(3, 4)
    seen = tally(past, NAMES)
    assert sum(shown for shown, _ in seen.values()) == sum(len(d.variant_M) for d in past) == against(past)["told"]
    assert sum(clicked for _, clicked in seen.values()) == sum(int(d.clicked_M.sum()) for d in past)
    assert against([])["told"] == 0


def test_a_better_wording_never_loses_a_click() -> None:
    world = shop(4)
    few, many = (clicks(world, np.full(300, rate), 5) for rate in (0.05, 0.2))
    assert (few <= many).all()
    assert few.sum() < many.sum()
    assert (click_rates(world, NAMES) == click_rates(shop(4, 10), NAMES)).all()
