"""What another policy would have earned: the formulas, the interval's promise, the refusals."""

from fractions import Fraction

import numpy as np
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, softmax

from promolift.core.experiments.off_policy import estimators as est
from promolift.core.experiments.off_policy.estimators import (
    DecisionLog,
    OffPolicySettings,
    blend_scores,
    bootstrap_interval,
    estimate_value,
    normal_interval,
    off_policy_value,
    rank_policies,
    read_log,
    read_policy,
    simultaneous_z,
)
from promolift.core.experiments.off_policy.overlap import measure_support
from promolift.core.experiments.off_policy.reward_model import (
    Decisions,
    RewardModelKind,
    RewardSettings,
    _cross_fit,
    assign_folds,
)

Floats = NDArray[np.float64]

# Eight decisions over three actions. The values below are obp's (sb-obp 0.5.10) on these very numbers.
ACTION = np.array([0, 1, 2, 1, 0, 2, 1, 0])
REWARD = np.array([1, 0, 1, 1, 0, 0, 1, 0.0])
PROB = np.array([0.5, 0.25, 0.1, 0.3, 0.6, 0.2, 0.2, 0.4])
POLICY = np.array(
    [
        [0.2, 0.3, 0.5],
        [0.1, 0.8, 0.1],
        [0.3, 0.3, 0.4],
        [0.25, 0.5, 0.25],
        [0.6, 0.2, 0.2],
        [0.1, 0.1, 0.8],
        [0.0, 0.9, 0.1],
        [0.5, 0.25, 0.25],
    ]
)
FITTED = np.array(
    [
        [0.5, 0.4, 0.3],
        [0.2, 0.3, 0.4],
        [0.6, 0.1, 0.7],
        [0.3, 0.6, 0.2],
        [0.2, 0.5, 0.1],
        [0.4, 0.3, 0.2],
        [0.5, 0.7, 0.6],
        [0.3, 0.2, 0.4],
    ]
)
BY_OBP = {
    "ips": 1.3208333333333333,
    "snips": 0.5278934221482099,
    "dr": 0.5158333333333334,
    "sndr": 0.43466330141548704,
}


def table() -> est.EstimatorParts:
    rows = np.arange(8)
    return est.EstimatorParts(REWARD, POLICY[rows, ACTION] / PROB, FITTED[rows, ACTION], (POLICY * FITTED).sum(axis=1))


def simulated(seed: int, rows: int = 2000, sharp: float = 1.0) -> tuple[DecisionLog, Floats, float]:
    """A log over 4 actions with a known reward function, a sharper policy, and that policy's value on its contexts."""
    generator = np.random.default_rng(seed)
    context = generator.normal(size=(rows, 3))
    slope = np.random.default_rng(7).normal(size=(4, 4))
    expected = expit(slope[0] + context @ slope[1:] - 1.0)
    logging, policy = softmax(-expected, axis=1), softmax(sharp * expected, axis=1)
    action = (generator.random((rows, 1)) > np.cumsum(logging, axis=1)).sum(axis=1)
    reward = (generator.random(rows) < expected[np.arange(rows), action]).astype(float)
    return read_log(action, reward, logging, context), policy, float((policy * expected).sum(axis=1).mean())


def parts_of(log: DecisionLog, start: int, stop: int) -> DecisionLog:
    cut = slice(start, stop)
    logging = None if log.logging_NA is None else log.logging_NA[cut]
    return DecisionLog(log.action_N[cut], log.reward_N[cut], log.prob_N[cut], log.context_NF[cut], logging)


# The formulas


@pytest.mark.parametrize("name", BY_OBP)
def test_each_estimator_gives_what_obp_gives_on_the_same_input(name: str) -> None:
    assert getattr(est, name)(table()).mean() == pytest.approx(BY_OBP[name], abs=1e-9)


def test_ips_by_hand() -> None:
    paid = [Fraction(2, 5), 0, 4, Fraction(5, 3), 0, 0, Fraction(9, 2), 0]  # w r, decision by decision
    assert est.ips(table()).mean() == pytest.approx(float(sum(paid) / 8), abs=1e-12)


def test_the_ratio_estimators_do_not_move_when_all_weights_are_scaled_but_ips_does() -> None:
    parts = table()
    double = est.EstimatorParts(parts.reward_N, 2 * parts.weight_N, parts.fit_N, parts.direct_N)
    assert est.snips(double).mean() == pytest.approx(est.snips(parts).mean())
    assert est.ips(double).mean() == pytest.approx(2 * est.ips(parts).mean())


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.1, 5))
def test_a_shifted_and_scaled_reward_shifts_and_scales_the_self_normalised_values(
    seed: int, shift: float, scale: float
) -> None:
    generator = np.random.default_rng(seed)
    reward, weight = generator.normal(size=30), generator.exponential(size=30)
    zero = np.zeros(30)
    before = est.snips(est.EstimatorParts(reward, weight, zero, zero)).mean()
    after = est.snips(est.EstimatorParts(scale * reward + shift, weight, zero, zero)).mean()
    assert after == pytest.approx(scale * before + shift, abs=1e-9)


def test_the_spread_of_the_scores_is_the_standard_error_seen_over_many_logs() -> None:
    """Of the ratio too, and of the direct method, whose score must count what the model had to learn."""
    found: dict[str, list[float]] = {}
    claimed: dict[str, list[float]] = {}
    settings = OffPolicySettings(reward=RewardSettings(kinds=("own",), l2=(1.0,)))
    for seed in range(60):
        log, policy, truth = simulated(seed, rows=1000)
        for estimate in estimate_value(log, policy, settings).estimates:
            found.setdefault(estimate.name, []).append(estimate.value - truth)
            claimed.setdefault(estimate.name, []).append(estimate.se)
    for name in ("ips", "snips", "dr", "sndr", "dm"):
        assert np.std(found[name]) == pytest.approx(np.mean(claimed[name]), rel=0.3), name


# The promise


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = []
    for seed in range(100):
        log, policy, truth = simulated(1000 + seed, rows=500)
        value = estimate_value(log, policy, OffPolicySettings(reward=RewardSettings(kinds=("own",), l2=(1.0,))))
        held.append(value.low <= truth <= value.high)
    assert 0.88 <= np.mean(held) <= 1.0


def test_the_naive_mean_is_fooled_where_the_estimate_is_not() -> None:
    log, policy, truth = simulated(3, rows=10_000, sharp=4.0)
    value = estimate_value(log, policy, OffPolicySettings())
    assert abs(value.logged - truth) > 0.1
    assert value.low < truth < value.high
    assert abs(value.value - truth) < 0.03
    assert value.gain_low > 0


def test_a_blend_leans_on_the_model_only_as_far_as_it_agrees() -> None:
    generator = np.random.default_rng(0)
    sure = generator.normal(1.0, 2.0, size=2000)
    agrees, share = blend_scores(1.0 + 0.1 * (sure - 1.0), sure)
    assert share > 0.5
    assert agrees.std() < sure.std()
    differs, share = blend_scores(np.full(2000, 3.0) + 0.1 * (sure - 1.0), sure)
    assert share < 0.05
    assert differs.mean() == pytest.approx(sure.mean(), abs=0.1)


def test_the_best_guess_never_leaves_the_interval() -> None:
    for seed in range(5):
        log, policy, _ = simulated(seed, rows=300)
        value = estimate_value(log, policy, OffPolicySettings())
        assert value.low <= value.value <= value.high


def test_row_order_changes_nothing() -> None:
    log, policy, _ = simulated(5, rows=400)
    order = np.random.default_rng(1).permutation(400)
    assert log.logging_NA is not None
    turned = DecisionLog(
        log.action_N[order], log.reward_N[order], log.prob_N[order], log.context_NF[order], log.logging_NA[order]
    )
    one, two = (estimate_value(each, p, OffPolicySettings()) for each, p in ((log, policy), (turned, policy[order])))
    assert two.value == pytest.approx(one.value, abs=1e-9)
    assert two.high == pytest.approx(one.high, abs=1e-9)


def test_decisions_of_one_customer_count_as_one() -> None:
    log, policy, _ = simulated(2, rows=500)
    assert log.logging_NA is not None
    again = np.tile(np.arange(500), 4)
    many = DecisionLog(log.action_N[again], log.reward_N[again], log.prob_N[again], log.context_NF[again])
    units = read_log(many.action_N, many.reward_N, many.prob_N, many.context_NF, again)
    settings = OffPolicySettings(reward=RewardSettings(kinds=("level",)))
    alone = {e.name: e.se for e in estimate_value(log, policy, settings).estimates}
    fooled = {e.name: e.se for e in estimate_value(many, policy[again], settings).estimates}
    together = {e.name: e.se for e in estimate_value(units, policy[again], settings).estimates}
    for name in ("ips", "snips", "dr"):
        assert together[name] == pytest.approx(alone[name], rel=0.01), name
        assert fooled[name] < 0.6 * alone[name], name


# Rewards


@pytest.mark.parametrize("kind", ["level", "common", "own", "trees"])
def test_no_row_is_predicted_by_a_model_that_saw_its_reward(kind: RewardModelKind) -> None:
    log, _, _ = simulated(4, rows=500)
    settings, x = RewardSettings(), np.column_stack([np.ones(500), log.context_NF])
    fold = assign_folds(log.action_N, log.reward_N, log.context_NF, settings)
    turned = np.where(fold == 2, 1.0 - log.reward_N, log.reward_N)
    before, after = (
        _cross_fit(kind, 1.0, Decisions(log.action_N, reward, x), fold, 4, settings).reward_NA
        for reward in (log.reward_N, turned)
    )
    assert np.array_equal(before[fold == 2], after[fold == 2])
    assert not np.allclose(before[fold != 2], after[fold != 2])


def test_every_fold_gets_its_share_of_the_rewards() -> None:
    log, _, _ = simulated(4, rows=1000)
    settings = RewardSettings()
    fold = assign_folds(log.action_N, log.reward_N, log.context_NF, settings)
    counts = np.bincount(fold, weights=log.reward_N)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("clicks", [0, 1, 3])
def test_a_log_with_hardly_any_reward_gives_a_value_and_a_warning_not_a_crash(clicks: int) -> None:
    log, policy, _ = simulated(6, rows=600)
    reward = np.zeros(600)
    reward[np.flatnonzero(log.action_N == 1)[:clicks]] = 1.0
    few = read_log(log.action_N, reward, log.logging_NA, log.context_NF)
    value = estimate_value(few, policy, OffPolicySettings())
    assert np.isfinite([value.value, value.low, value.high]).all()
    assert value.warning is not None
    assert "too few" in str(value)


def test_missing_context_and_rewards_that_are_amounts_are_fine() -> None:
    log, policy, _ = simulated(8, rows=800)
    context = log.context_NF.copy()
    context[::7, 1] = np.nan
    amounts = read_log(log.action_N, 100 * log.reward_N - 20, log.logging_NA, context)
    value = estimate_value(amounts, policy, OffPolicySettings())
    assert np.isfinite(value.value)
    plain = estimate_value(log, policy, OffPolicySettings())
    assert value.value == pytest.approx(100 * plain.value - 20, abs=4)


# Refusals


def test_a_policy_that_does_what_the_log_never_could_is_refused() -> None:
    log, policy, _ = simulated(1, rows=500)
    assert log.logging_NA is not None
    logging = log.logging_NA.copy()
    keep = log.action_N != 3
    logging[:, 3] = 0.0
    logging /= logging.sum(axis=1, keepdims=True)
    with raises_code("no_overlap"):
        off_policy_value(log.action_N[keep], log.reward_N[keep], logging[keep], policy[keep])
    with raises_code("no_overlap"):  # the propensities of the others need not be known
        off_policy_value(log.action_N[keep], log.reward_N[keep], log.prob_N[keep], policy[keep])


def test_a_policy_the_log_says_next_to_nothing_of_is_refused() -> None:
    rows = 1000
    action = np.r_[np.zeros(rows - 5, int), np.ones(5, int)]
    policy = np.tile([0.001, 0.999], (rows, 1))
    with raises_code("effective_sample_too_small", "5.0", "1000"):
        off_policy_value(action, np.zeros(rows), np.tile([0.995, 0.005], (rows, 1)), policy)


def test_logged_chances_that_cannot_be_true_are_refused() -> None:
    log, policy, _ = simulated(1, rows=2000)
    wrong = np.full(2000, 0.5)
    with raises_code("weights_invalid"):
        off_policy_value(log.action_N, log.reward_N, wrong, policy)


@pytest.mark.parametrize(
    ("change", "code", "fact"),
    [
        ({"prob_N": np.zeros(8)}, "propensity_invalid", "8 of 8"),
        ({"reward_N": np.r_[np.nan, np.zeros(7)]}, "value_missing", "reward"),
        ({"policy_NA": POLICY[:, :2]}, "probabilities_invalid", "policy"),
        ({"policy_NA": POLICY[:5]}, "shapes_differ", "8 rows"),
        ({"action_N": np.full(8, 0.5)}, "value_invalid", "action"),
        ({"action_N": np.array([], dtype=int)}, "too_few_rows", "action"),
    ],
)
def test_arrays_that_make_no_sense_are_named(change: dict[str, Floats], code: str, fact: str) -> None:
    good = {"action_N": ACTION, "reward_N": REWARD, "prob_N": PROB, "policy_NA": POLICY}
    given = good | change
    with raises_code(code, fact):
        off_policy_value(given["action_N"], given["reward_N"], given["prob_N"], given["policy_NA"])


# Intervals and ranking


def test_the_bootstrap_is_near_the_normal_interval_where_that_is_right() -> None:
    score = np.random.default_rng(0).random(2000)
    around, drawn = normal_interval(score, 0.95), bootstrap_interval(score, 0.95, 2000, 0)
    assert drawn.low == pytest.approx(around.low, abs=0.002)
    assert drawn.high == pytest.approx(around.high, abs=0.002)


def test_all_policies_at_once_cost_more_than_one_and_less_than_bonferroni() -> None:
    generator = np.random.default_rng(0)
    apart = generator.normal(size=(3000, 8))
    together = generator.normal(size=(3000, 1)) + 0.1 * apart
    assert simultaneous_z(apart, 0.95, 4000, 0) == pytest.approx(2.73, abs=0.08)  # 8 independent: z at 1 - 0.0064 / 2
    assert simultaneous_z(together, 0.95, 4000, 0) < 2.3
    assert simultaneous_z(together[:, :1], 0.95, 4000, 0) == pytest.approx(1.96, abs=0.08)


def test_ranking_calls_a_policy_beaten_only_where_the_paired_interval_says_so() -> None:
    log, policy, _ = simulated(9, rows=4000, sharp=3.0)
    bad = softmax(-3 * np.log(policy + 1e-3), axis=1)
    coin = np.random.default_rng(0).choice([-0.2, 0.2], size=(4000, 1))  # as good as `good`: moved by a coin
    near = policy + coin * np.minimum(policy[:, :1], policy[:, 1:2]) * np.array([1.0, -1.0, 0.0, 0.0])
    ranking = rank_policies(log, {"good": policy, "near": near, "bad": bad})
    assert ranking.order[-1] == "bad"
    assert ranking.beaten == ("bad",)
    assert all(ranking.intervals[n].low < ranking.values[n].value < ranking.intervals[n].high for n in ranking.order)
    whole = ranking.values["good"].high - ranking.values["good"].low
    assert ranking.intervals["good"].high - ranking.intervals["good"].low > whole


# Support


def test_the_support_by_hand() -> None:
    support = measure_support(np.array([0.5, 0.5, 1.0, 2.0]), 0.0)
    assert support.effective == pytest.approx(16 / 5.5)
    assert support.mean == 1.0
    assert support.largest == 2.0


def test_a_policy_is_checked_against_its_log() -> None:
    log, policy, _ = simulated(14, rows=50)
    with raises_code("shapes_differ", "5", "4"):
        read_policy(log, np.column_stack([policy, np.zeros(50)]))
