"""Whom to treat: the cut is where net value was highest, a ranking has to earn its place, and a budget asks again."""

import numpy as np
import pytest

from promolift.core.effects.trial_arrays import Floats
from promolift.core.effects.uplift.targeting_policy import DEPTHS, ScoredTrial, TargetingRule, choose_rule

N = 20_000


def world(slope: float, cost: float, seed: int = 0, noise: float = 1.0) -> tuple[ScoredTrial, Floats]:
    """Gains of 0 to 2 `slope` along learner 0; learner 1 says nothing true, learner 2 the wrong way round."""
    rng = np.random.default_rng(seed)
    gain = slope * rng.uniform(0, 2, N)
    said = np.stack([gain, rng.normal(size=N), -gain], axis=1)[:, None, :]
    psi = (gain + noise * rng.normal(size=N))[:, None]
    rows = ScoredTrial(said - said.mean(axis=0), psi, np.array([[cost]]), np.arange(N) % 5, rng.permutation(N))
    return rows, gain


EACH = [*np.eye(3)]


def test_the_cut_lies_where_the_gain_is_worth_its_cost() -> None:
    rows, gain = world(0.5, 0.5)
    rule = choose_rule(rows, EACH, 0, 0.5)
    assert rule.weight_C.tolist() == [1, 0, 0]
    assert rule.follows
    treated = rule.gains(rows.differ_NKC @ rule.weight_C)[:, 0] > 0.5
    assert (treated == (gain > 0.5)).mean() > 0.95
    said = rule.gains(rows.differ_NKC @ rule.weight_C)[:, 0]
    assert said.mean() == pytest.approx(rows.psi_NK.mean(), abs=0.02)  # what is promised is what was seen
    assert np.abs(said - gain).mean() < 0.05


def test_a_ranking_that_earns_nothing_more_leaves_the_best_fixed_arm_alone() -> None:
    rows, _ = world(0.5, 5.0)  # nobody is worth it
    assert not choose_rule(rows, EACH, 0, 0.5).follows
    found = [choose_rule(world(0.0, 0.2, seed)[0], EACH, 0, 1.0).follows for seed in range(30)]
    assert np.mean(found) < 0.1
    worth, _ = world(0.5, 0.2)
    assert not choose_rule(worth, [np.eye(3)[1]], 1, 3.0).ranks  # a ranking that says nothing true


def test_rows_are_never_judged_by_curves_that_saw_them() -> None:
    """A ranking by the noise itself would earn without end if a fold's own scores cut it."""
    rng = np.random.default_rng(3)
    psi = rng.normal(size=(400, 1))
    alone = ScoredTrial(rng.normal(size=(400, 1, 1)), psi, np.zeros((1, 1)), np.arange(400) % 2, rng.permutation(400))
    follows = [
        choose_rule(alone._replace(psi_NK=rng.normal(size=(400, 1))), [np.ones(1)], 0, 1.645).follows
        for _ in range(200)
    ]
    assert np.mean(follows) < 0.1


def test_where_all_are_worth_it_the_ranking_leads_only_below_the_whole_budget() -> None:
    rows, _ = world(0.5, -1.0)  # treating saves 1: everybody is worth it
    rule = choose_rule(rows, EACH, 1, 0.5)
    assert not rule.follows
    assert rule.ranks
    assert rule.leads(0.5)
    at = DEPTHS.tolist().index(0.5)
    assert rule.lead_D[at] == pytest.approx(0.5 * 0.25, abs=4 * rule.lead_se_D[at])  # the better half gains 0.25 more
    wrong = choose_rule(rows, [np.eye(3)[2]], 1, 0.5)
    assert not wrong.leads(0.5)


def test_equal_gains_are_taken_in_random_order_not_by_arm() -> None:
    """Rows come sorted by fold and arm: ties in that order would put the controls first."""
    rng = np.random.default_rng(0)
    arm = np.repeat([0, 1], N // 2)
    psi = np.where(arm == 1, 2 * rng.normal(1, 1, N), -2 * rng.normal(1, 1, N))[:, None]
    flat = rng.integers(0, 2, (N, 1, 1)).astype(float)
    rule = choose_rule(ScoredTrial(flat, psi, np.zeros((1, 1)), arm * 0 + np.arange(N) % 2, rng.permutation(N)),
                       [np.ones(1)], 0, 0.5)  # fmt: skip
    assert np.abs(rule.lead_D / rule.lead_se_D).max() < 4


def test_another_rule_decides_and_the_curves_stay() -> None:
    rows, _ = world(0.5, 0.5)
    rule, other = choose_rule(rows, EACH, 0, 0.5), choose_rule(rows, [], 1, 0.5)
    both = rule.decided_by(other)
    assert isinstance(both, TargetingRule)
    assert (both.best_arm, both.follows, both.gain_K) == (1, False, rule.gain_K)
