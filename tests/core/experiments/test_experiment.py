"""Laws of experiment designs: a verdict prints its rule, a broken test claims nothing, looks are paid for."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from promolift.core.decisions.decision_rule import ReleaseTerms, in_holdout
from promolift.core.experiments.arm_sums import OutlierCap, sum_by_group
from promolift.core.experiments.experiment_design import (
    Design,
    adjust_p_values,
    analyse,
    assign_arms,
    sample_ratio_test,
)
from promolift.core.experiments.lift import Metric

METRICS = [
    Metric(name="margin", value="y", covariates=("x",), unit="cents"),
    Metric(name="margin per order", value="y", per="orders"),
    Metric(name="buyers", value="bought"),
]
COLUMNS = ["y", "x", "orders", "bought"]


def design(**changes):
    plan = {"arms": {"a": 0.5, "b": 0.5}, "holdout_share": 0.2, "planned_customers": 6000, "primary": "margin"}
    return Design(**({"name": "spring"} | plan | changes))


def shop(plan, n=6000, lift=0.0, seed=1):
    """Customers in their arms; `lift` cents are added for arm b."""
    rng = np.random.default_rng(seed)
    ids = [f"c{i}" for i in range(n)]
    arm = np.array(assign_arms(ids, plan))
    x = np.round(rng.gamma(2, 500, n))
    orders = rng.poisson(1, n) + 1
    y = np.round(0.7 * x + rng.normal(0, 300, n)) + np.where(arm == "b", lift, 0)
    region = np.where(rng.random(n) < 0.4, "north", "south")
    return pl.DataFrame(
        {"customer_id": ids, "arm": arm, "y": y, "x": x, "orders": orders, "bought": y > 500, "region": region}
    )


def read(plan, rows, segments=False, **more):
    by_region = sum_by_group(rows, COLUMNS, ("arm", "region")) if segments else None
    return analyse(sum_by_group(rows, COLUMNS), METRICS, plan, by_region, **more)


def test_the_holdout_is_the_one_that_decisions_keep_back():
    plan = design(holdout_salt="autumn", holdout_share=0.3)
    release = ReleaseTerms(
        campaign_id="c", policy_id="a", policy_version="1", price=0, holdout_salt="autumn", holdout_share=0.3
    )
    ids = [f"c{i}" for i in range(3000)]
    assert [in_holdout(who, release) for who in ids] == [arm == "holdout" for arm in assign_arms(ids, plan)]


def test_arms_have_their_shares_and_a_new_experiment_draws_them_anew_but_keeps_the_holdout():
    plan = design(arms={"a": 0.25, "b": 0.75})
    ids = [f"c{i}" for i in range(20_000)]
    first, second = assign_arms(ids, plan), assign_arms(ids, plan.model_copy(update={"name": "summer"}))
    for arm, share in plan.shares.items():
        assert first.count(arm) / len(ids) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(ids)))
    assert [a == "holdout" for a in first] == [a == "holdout" for a in second]
    kept = [two for one, two in zip(first, second, strict=True) if one == "a"]
    assert kept.count("a") / len(kept) == pytest.approx(0.25, abs=0.03)
    assert assign_arms(ids, plan.model_copy(update={"arms": {"b": 0.75, "a": 0.25}})) == first


@pytest.mark.parametrize("method", ["always_valid", "fixed"])
def test_a_true_lift_is_found_and_every_verdict_prints_its_rule(method):
    plan = design(method=method)
    found = read(plan, shop(plan, lift=60), segments=True)
    assert len(found.verdicts) == 2 * 3 * 3
    assert [v.answer for v in found.verdicts[:2]] == ["not shown", "higher"]
    words = {"always_valid": "always-valid interval, at 100% of the plan", "fixed": "Welch t test"}[method]
    for verdict in found.verdicts:
        assert "Rule: " in str(verdict)
        assert words in str(verdict)
        assert "Holm over" in str(verdict)
        assert "evidence randomised" in str(verdict)
        assert "winner" not in str(verdict)
    assert "adjusted for x" in str(found.verdicts[0])
    best = found.verdicts[1]
    assert best.low < 60 < best.high
    assert best.total == pytest.approx(best.lift.lift * best.n_arm)
    assert "+60" not in str(found.verdicts[0])
    assert f"{best.lift.relative:+.1%}" in str(best)


def test_the_first_family_is_the_primary_metric_and_pays_for_nothing_else():
    plan = design()
    found = read(plan, shop(plan, lift=40), segments=True)
    first, rest = found.verdicts[:2], found.verdicts[2:]
    assert all(v.metric == "margin" and v.segment == "all customers" for v in first)
    assert [v.p_adjusted for v in first] == adjust_p_values([v.p for v in first], "holm")
    assert [v.p_adjusted for v in rest] == adjust_p_values([v.p for v in rest], "holm")
    looser = read(design(correction="bh"), shop(plan, lift=40), segments=True).verdicts[2:]
    assert [v.p_adjusted for v in looser] == adjust_p_values([v.p for v in rest], "bh")
    assert "Benjamini-Hochberg over 16 comparisons" in looser[0].rule


def test_a_broken_sample_ratio_claims_nothing():
    plan = design()
    rows = shop(plan, lift=200)
    lost = rows.filter((pl.col("arm") != "b") | (pl.col("y") > 400))
    found = read(plan, lost)
    assert not found.ratio.ok
    assert "BROKEN" in str(found)
    assert {v.answer for v in found.verdicts} == {"cannot say"}
    assert {v.evidence for v in found.verdicts} == {"assumed"}
    assert "evidence assumed" in found.verdicts[0].rule


def test_a_fixed_test_does_not_speak_before_its_size():
    plan = design(method="fixed", planned_customers=6001)
    assert {v.answer for v in read(plan, shop(plan, lift=200)).verdicts} == {"too early"}


def test_the_clock_is_customers_or_the_time_that_has_passed():
    plan = design()
    rows = shop(plan, lift=60)
    half = read(plan, rows, elapsed=0.5).verdicts[1]
    whole = read(plan, rows).verdicts[1]
    assert half.high - half.low > whole.high - whole.low
    assert "at 50% of the plan" in half.rule


def test_too_few_customers_or_buyers_give_no_figure():
    plan = design(least=200)
    few = read(plan, shop(plan, n=700)).verdicts
    assert {v.answer for v in few} == {"cannot say"}
    assert "200 are needed in each arm" in few[0].why
    assert few[0].low is None
    rows = shop(plan).with_columns(bought=pl.int_range(pl.len()) < 30)
    rare = [v for v in read(plan, rows).verdicts if v.metric == "buyers"]
    assert all(v.answer == "cannot say" and "a rate needs 20" in v.why for v in rare)


def test_a_cap_is_said():
    plan = design()
    caps = {"y": OutlierCap("stated beforehand", high=900)}
    found = analyse(sum_by_group(shop(plan), COLUMNS, caps=caps), METRICS, plan)
    assert "y capped at 900 (stated beforehand: " in found.verdicts[0].rule


def test_a_simulated_experiment_says_so():
    plan = design(evidence="simulated")
    assert all("evidence simulated" in v.rule for v in read(plan, shop(plan)).verdicts)


def test_the_frame_has_a_row_per_verdict():
    plan = design()
    frame = read(plan, shop(plan, lift=60)).frame()
    assert frame.height == 6
    assert {"lift", "se", "low", "high", "relative", "p_adjusted", "answer", "rule", "evidence"} <= set(frame.columns)


# gbstats 0.8.0: check_srm
@pytest.mark.parametrize(
    ("seen", "planned", "p"),
    [([400, 3700], [0.1, 0.9], 0.6026599377902165), ([4000, 8100, 7700], [0.2, 0.4, 0.4], 0.00497649075988152)],
)
def test_the_chi_square_of_the_sample_ratio_is_the_peers(seen, planned, p):
    counts, shares = dict(enumerate_arms(seen)), dict(enumerate_arms(planned))
    assert sample_ratio_test(counts, shares).p == pytest.approx(p, abs=1e-12)


def enumerate_arms(values):
    return [(f"arm{i}", value) for i, value in enumerate(values)]


def test_the_any_time_ratio_test_keeps_its_rate_and_finds_a_lost_hundredth():
    rng = np.random.default_rng(2)
    shares = {"a": 0.5, "b": 0.5}
    alarms = 0
    for _ in range(300):
        a = rng.binomial(500, 0.5, 60).cumsum()
        tests = [sample_ratio_test({"a": int(s), "b": 500 * (i + 1) - int(s)}, shares, 0.05) for i, s in enumerate(a)]
        alarms += not all(test.ok for test in tests)
    assert alarms / 300 < 0.05
    assert not sample_ratio_test({"a": 100_000, "b": 98_000}, shares).ok
    with raises_code("too_few_customers"):
        sample_ratio_test({"a": 0, "b": 0}, shares)


def test_adjusted_p_values_by_hand():
    p = [0.04, 0.01, 0.03, 0.5]
    assert adjust_p_values(p, "holm") == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert adjust_p_values(p, "bh") == pytest.approx([0.16 / 3, 0.04, 0.16 / 3, 0.5])
    assert adjust_p_values([], "holm") == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusting_never_helps_and_keeps_the_order(p):
    holm, bh = adjust_p_values(p, "holm"), adjust_p_values(p, "bh")
    assert all(a >= b >= c for a, b, c in zip(holm, bh, p, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(holm)[order]) >= 0).all()
    assert (np.diff(np.array(bh)[order]) >= 0).all()
    assert max(holm) <= 1


def test_the_example_in_the_docs_prints_what_the_docs_say(capsys):
    page = (Path(__file__).parents[3] / "docs/experiments.md").read_text(encoding="utf-8")
    exec(re.findall(r"```python\n(.*?)```", page, flags=re.S)[0], {})
    for line in capsys.readouterr().out.splitlines():
        assert " ".join(line.split()) in " ".join(page.split())


def test_a_comparison_that_cannot_be_made_yet_is_paid_for():
    plan = design()
    rows = shop(plan, lift=40).with_columns(
        region=pl.when(pl.int_range(pl.len()) < 30).then(pl.lit("new")).otherwise("region")
    )
    rest = [v for v in read(plan, rows, segments=True).verdicts if v.p_adjusted is not None][2:]
    assert min(v.p_adjusted for v in rest) == pytest.approx(min(min(v.p for v in rest) * 22, 1))


def test_what_was_not_planned_is_refused():
    plan = design()
    rows = shop(plan)
    with raises_code("metric_unknown", repr(plan.primary)):
        analyse(sum_by_group(rows, COLUMNS), METRICS[1:], plan)
    with raises_code("arm_unknown", "'z'"):
        read(plan, rows.with_columns(arm=pl.lit("z")))
    with pytest.raises(ValidationError) as shares:
        design(arms={"a": 0.5, "b": 0.4})
    assert "arms {'a': 0.5, 'b': 0.4}" in str(shares.value)
    with pytest.raises(ValidationError) as control:
        design(control="c")
    assert "control 'c'" in str(control.value)
    with raises_code("name_reserved", "'all customers'"):
        read(plan, rows.with_columns(region=pl.lit("all customers")), segments=True)
    assert not read(plan, rows.filter(pl.col("arm") != "a")).ratio.ok
