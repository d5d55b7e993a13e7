"""What a plan's holdout can show stands beside what the plan expects, and is what simulated windows show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_story import NOTE

from promolift.core.experiments.power import detectable_effect
from promolift.foundation.i18n.formatting import use_locale
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.results.plan import holdout_power_text
from promolift.shop.results.plan_note import LEAST_HELD_OUT, Luck, summarise


@given(st.floats(1.0, 1e6), st.floats(1.0, 1e6), st.integers(1, 10_000))
def test_as_many_windows_as_it_takes_until_the_expected_effect_is_seen(least: float, gain: float, treated: int) -> None:
    note = NOTE.model_copy(update={"detectable_cents": least, "treated": treated, "gain_cents": gain * treated})
    windows = summarise(note).learned.windows_needed
    assert windows is not None
    assert least / windows**0.5 <= gain * (1 + 1e-9)
    assert windows == 1 or least / (windows - 1) ** 0.5 > gain * (1 - 1e-9)


@pytest.mark.parametrize(
    "change", [{"detectable_cents": None}, {"gain_cents": -1.0}, {"treated": 0},
               {"terms": NOTE.terms.model_copy(update={"policy_id": "trial"})}]
)  # fmt: skip
def test_nothing_is_said_where_nothing_is_compared_or_expected(change: dict[str, object]) -> None:
    note = NOTE.model_copy(update={"detectable_cents": 100.0} | change)
    assert summarise(note).learned.windows_needed is None
    assert holdout_power_text(summarise(note)) == ""


def test_the_least_effect_is_seen_in_four_of_five_windows() -> None:
    rng, treated, held, sd = np.random.default_rng(5), 900, 100, 30.0
    least = detectable_effect(sd, treated, held)
    a = rng.normal(least, sd, (2000, treated)).mean(axis=1)
    b = rng.normal(0.0, sd, (2000, held)).mean(axis=1)
    seen = np.abs(a - b) > 1.96 * sd * (1 / treated + 1 / held) ** 0.5
    assert seen.mean() == pytest.approx(0.8, abs=0.03)


def test_both_languages_state_the_figures() -> None:
    note = NOTE.model_copy(
        update={"detectable_cents": 2400.0, "window_days": 28, "held_out": 240}
    )  # by the choice 8 each
    luck = Luck(naive_cents=20_000.0, checked_cents=15_000.0, low_cents=1.0, high_cents=2.0)  # without it 6 each
    english = holdout_power_text(summarise(note, luck))
    with use_locale("zh"):
        chinese = holdout_power_text(summarise(note, luck))
    for text in (english, chinese):
        assert all(figure in text for figure in ("28", "$24", "80", "$6", "16"))


@pytest.mark.parametrize("held", [1, 24, LEAST_HELD_OUT - 1, LEAST_HELD_OUT, 400])
def test_no_power_is_claimed_of_a_holdout_that_is_given_no_verdict(held: int) -> None:
    note = NOTE.model_copy(update={"detectable_cents": 2400.0, "held_out": held})
    said = holdout_power_text(summarise(note))
    assert ("$24" in said) == (held >= LearnSettings().least)
    assert said
