"""The closed loop: it learns, is judged by the truth, meets a drift, and can be told again bit for bit."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from promolift.errors import ConfigError
from promolift.learn.release import Guardrails
from promolift.results.loop import LoopSettings
from promolift.steps.loop import Loop, loses, run_loop
from promolift.steps.loop_numbers import stretch
from promolift.steps.loop_run import run_simulation

pytestmark = pytest.mark.xdist_group("loop")  # one worker makes the fixture, which takes long


@pytest.fixture(scope="module")
def loop() -> Loop:
    return run_loop(LoopSettings(days=50, customers=1200, drift_day=30, drift=0.5, guardrails=Guardrails(max_loss=1e9)))


def test_the_learned_policy_comes_near_the_best_and_far_above_exploration(loop: Loop) -> None:
    early, late = stretch(loop.days[:14]).share_of_best, stretch(loop.days[21:30]).share_of_best
    assert early is not None
    assert late is not None
    assert late > 0.9
    assert early < 0.7


def test_nobody_beats_full_knowledge(loop: Loop) -> None:
    assert all(day.true_gain <= day.best_gain * (1 + 1e-6) + 1e-6 for day in loop.days)


def test_the_drift_is_seen_after_a_week_and_not_before(loop: Loop) -> None:
    assert loop.alarms
    day, scale, error = loop.alarms[0].day, loop.alarms[0].scale, loop.alarms[0].se
    assert 37 <= day <= 41
    assert abs(scale - 1) > 3 * error
    last = loop.releases[-1].believed
    assert last.scale == pytest.approx(0.5, abs=0.15)


def test_without_drift_there_is_no_alarm_and_no_week_is_known_before_it_is_over(loop: Loop) -> None:
    calm = run_loop(loop.settings.model_copy(update={"days": 38, "drift_day": None}))
    assert calm.alarms == ()
    same = [(a.action_N == b.action_N).all() for a, b in zip(calm.days, loop.days, strict=False)]
    assert all(same[:37])  # the drift of day 30 cannot be seen in the sales before day 37
    assert any((a.reward_N != b.reward_N).any() for a, b in zip(calm.days[30:], loop.days[30:], strict=False))


def test_the_budget_is_kept_and_chances_are_logged(loop: Loop) -> None:
    for day in loop.days:
        np.testing.assert_allclose(day.prob_NA.sum(axis=1), 1.0, atol=1e-9)
        assert (day.logged_N > 0).all()
    learned = [d for d in loop.days if d.version > 0]
    decisions = sum(len(d.action_N) for d in learned)
    assert sum(d.discount for d in learned) / decisions < 1.1 * loop.settings.budget_cents


def test_the_same_seed_tells_the_same_story() -> None:
    short = LoopSettings(days=22, customers=250, history_weeks=20)
    first, again, other = (run_loop(short.model_copy(update={"seed": seed})) for seed in (1, 1, 2))
    assert all((a.action_N == b.action_N).all() for a, b in zip(first.days, again.days, strict=True))
    assert any(
        (a.action_N.shape != b.action_N.shape) or (a.action_N != b.action_N).any()
        for a, b in zip(first.days, other.days, strict=False)
    )


def test_a_policy_that_loses_is_taken_back(loop: Loop) -> None:
    mine = [day for day in loop.days if day.version == 1]
    assert not loses(mine, loop.settings)
    worse = [replace(day, reward_N=day.reward_N - 2000.0 * ~day.held_N) for day in mine]
    assert loses(worse, loop.settings)
    assert not loses(worse[:2], loop.settings)


def test_the_run_writes_its_page_and_says_everywhere_that_it_is_simulated(tmp_path: Path) -> None:
    found = run_simulation({"days": 22, "customers": 300}, tmp_path, lambda *told: None)
    assert json.loads((tmp_path / "loop.json").read_text("utf-8"))["simulated"] is True
    page = (tmp_path / "loop.html").read_text("utf-8")
    assert page.count('class="badge simulated"') >= 5 or page.count("simulated</span>") >= 5
    assert "simulated" in found.text.lower()
    with pytest.raises(ConfigError, match="days"):
        run_simulation({"days": 3}, tmp_path, lambda *told: None)


def test_exactly_those_who_get_an_offer_are_told_in_some_wording(loop: Loop) -> None:
    for day, told in zip(loop.days, loop.told, strict=True):
        assert len(told.variant_M) == (day.action_N < day.gain_NK.shape[1]).sum()
