"""The sentences of a test, in the language of the shop."""

import pytest

from promolift.core.decisions import LineEffect
from promolift.core.experiments import surrogate
from promolift.core.experiments.line_effects import POWER_Z, detectable_effect
from promolift.foundation.i18n.formatting import use_locale
from promolift.shop.pipeline.planning.line_tests import detectable_gain
from promolift.shop.results.line_tests import LineTestNote, group_name, line_test_sentences


def test_every_group_of_a_test_has_its_name_in_chinese() -> None:
    names = [
        surrogate.EVERYBODY,
        *(f"{recency}, {worth}" for recency in surrogate.RECENCY for worth in ("high value", "low value")),
    ]
    with use_locale("zh"):
        assert not [name for name in names if group_name(name).isascii()]
        assert group_name("active, high value") == "常来、价值较高"
        assert group_name("高频会员") == "高频会员"
    assert group_name("active, high value") == "active, high value"


def effect(group: str, n_arm: int, se: float | None) -> LineEffect:
    return LineEffect(
        arm="letter", group=group, net_cents=-9.0, net_se_cents=20.0, window_cents=-9.0, window_se_cents=20.0,
        cost_cents=0.0, pays=0.3, drawn_se_cents=se, state="closed", n_arm=n_arm, evidence="randomised",
    )  # fmt: skip


def stopped(tests: int) -> LineTestNote:
    """What is kept of a plan that gives and tests nothing after so many tests."""
    found = (effect("active", 600, 50.0), effect("lapsed", 200, 60.0), effect("new", 2, None))
    return LineTestNote(
        tested=(), given=0, largest=900, cost_cents=0.0, ceiling_cents=0.0, habit_flip=None, budget_cents=5000.0,
        window_days=28, horizon_days=84, effects=found, tests=tests, shown_cents=detectable_gain(found),
    )  # fmt: skip


def test_what_tests_would_have_shown_is_that_of_their_groups_together() -> None:
    """Two groups alike show what one group of both would."""
    half = detectable_effect(400.0, 300, 300) / POWER_Z  # the standard error of one of them
    assert detectable_gain([effect("a", 300, half), effect("b", 300, half)]) == pytest.approx(
        detectable_effect(400.0, 600, 600)
    )
    assert detectable_gain([effect("a", 2, None)]) is None


def test_a_plan_that_stops_says_after_how_many_tests_what_they_would_have_shown_and_how_to_test_again() -> None:
    (said,) = line_test_sentences(stopped(2), "USD")
    assert said.startswith(
        "After 2 tests (they would have shown a gain of $1.13 per customer and more with 80 % power)"
    )
    assert "Stopped: nothing is given or tested any more" in said
    assert "give plan.campaign a new name" in said
    assert line_test_sentences(stopped(1), "USD")[0].startswith("After 1 test (")
    assert "nothing more is worth learning" in line_test_sentences(stopped(0), "USD")[0]
    with use_locale("zh"):
        (said,) = line_test_sentences(stopped(2), "CNY")
    assert said.startswith("经过2次测试（在80%功效下可以看出每位客户至少")
    assert "已停止" in said
    assert "plan.campaign换一个新名称" in said
