"""What was earned over time, what it hangs on and what other policies would have earned, on a shop with known truth."""

import json
from typing import Any

import pytest
from judged_shop import Case, case, judged

from promolift.shop.feedback.policy_earnings import (
    candidate_policies,
    earned_numbers,
    earnings_by_period,
    earnings_drivers,
    value_policy,
)
from promolift.shop.feedback.policy_verdict import JudgedEvidence


@pytest.fixture(scope="module")
def shop() -> Case:
    return case()


@pytest.fixture(scope="module")
def found(shop: Case) -> JudgedEvidence:
    return judged(shop)


def by_name(found: JudgedEvidence) -> dict[str, Any]:
    return {asked.name: asked for asked in candidate_policies(found)}


def test_the_last_period_ends_at_the_verdict_and_each_counts_its_own(found: JudgedEvidence) -> None:
    for every in ("1mo", "1w"):
        periods = list(earnings_by_period(found.evidence, found.arm, every, "Asia/Shanghai"))
        last = periods[-1].so_far
        assert last is not None
        assert last.value == pytest.approx(found.verdict.total)
        assert last.low == pytest.approx(found.verdict.total_low)
        windows = found.evidence.joined.windows
        assert sum(each.n + each.held for each in periods) == windows.height
        assert [each.first_ms for each in periods] == sorted(each.first_ms for each in periods)


def test_the_drivers_multiply_to_what_was_earned(found: JudgedEvidence) -> None:
    each = earnings_drivers(found)
    assert each.customers >= each.reached >= each.used
    assert each.reached == int((found.evidence.slots.action_N < found.evidence.slots.prob_NA.shape[1] - 1).sum())
    if each.per_use is not None:
        reach, take_up = each.reached / each.customers, each.used / each.reached
        assert each.customers * reach * take_up * each.per_use == pytest.approx(each.total)


def test_the_lab_values_the_policy_in_force_as_the_holdout_does(found: JudgedEvidence) -> None:
    lab = value_policy(found, by_name(found)["in force"])
    assert lab.value is not None
    assert found.verdict.lift is not None
    assert lab.value.value == pytest.approx(found.verdict.lift.lift, rel=0.15)
    assert lab.value.low is not None
    assert lab.value.low < lab.value.value


def test_a_policy_is_a_probability_and_half_the_money_costs_half(found: JudgedEvidence) -> None:
    slots, asked = found.evidence.slots, by_name(found)
    cost = {name: float((each.prob_NA[:, :-1] * slots.cost_NK).sum()) for name, each in asked.items()}
    for each in asked.values():
        assert each.prob_NA.sum(axis=1) == pytest.approx(1.0)
        assert (each.prob_NA >= 0).all()
    assert cost["half the money"] <= cost["in force"] / 2 * (1 + 1e-9)
    assert cost["cheapest for all"] <= cost["largest gain for all"]


def test_what_the_log_never_did_is_refused() -> None:
    found = judged(case(400, explore=0.0), least=2)
    refused = value_policy(found, by_name(found)["cheapest for all"])
    assert refused.value is None
    assert "the log never takes" in refused.why


def test_the_numbers_are_json(found: JudgedEvidence) -> None:
    said = json.loads(json.dumps(earned_numbers(found, "UTC")))
    assert {"months", "weeks", "drivers", "lab", "segments", "drifts"} <= said.keys()
