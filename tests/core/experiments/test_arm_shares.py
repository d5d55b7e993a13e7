"""Beliefs from draws cover the truth whatever the propensities; shares follow them, and an arm rests and comes back."""

from collections.abc import Callable

import numpy as np
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments.arm_shares import (
    NONE_SHARE,
    PRIOR_SCALES,
    REST_WINDOWS,
    SMALL_SHARE,
    ArmOutcomes,
    ArmPrior,
    arm_prior,
    arm_shares,
    best_probabilities,
    first_shares,
    fixed_shares,
    update_beliefs,
)

N = 1200
WIDE = ArmPrior(np.zeros(2), np.diag([500.0**2, 500.0**2]))


def outcomes(
    truth: Callable[[np.ndarray], np.ndarray], seed: int, months: int = 2, sd: float = 400.0, people: int = N
) -> ArmOutcomes:
    """Unequal propensities over the months; customers have a level of their own in all of them."""
    rng = np.random.default_rng(seed)
    who, month = np.tile(np.arange(people), months), np.repeat(np.arange(months), people)
    prob = np.where(month[:, None] % 2 == 0, [0.1, 0.3], [0.4, 0.2])
    unit = rng.random(len(who))
    arm = np.where(unit < prob[:, 0], 0, np.where(unit < prob.sum(axis=1), 1, -1))
    level = rng.normal(0, 0.7 * sd, people)[who] + 300.0 * month  # a better month, in which more get arm 0
    value = level + rng.normal(0, 0.7 * sd, len(who)) + np.where(arm >= 0, truth(arm), 0.0)
    return ArmOutcomes(arm, prob, 1 - prob.sum(axis=1), who, value, np.where(arm == 0, 60.0, 0.0))


def test_intervals_cover_the_truth_though_customers_stand_in_several_months() -> None:
    inside, repeats = 0, 100
    for seed in range(repeats):
        found = update_beliefs(WIDE, outcomes(lambda arm: 40.0 * arm - 30.0, seed))
        inside += int((np.abs(found.mean_K - [-30.0, 10.0]) < 1.96 * found.sd_K).sum())
    assert 0.92 < inside / (2 * repeats) < 0.98


def test_the_average_that_forgets_propensities_is_fooled_here() -> None:
    """The case above can fail: more of arm 0 fell into the better month."""
    some = outcomes(lambda arm: 0.0 * arm, 1)
    assert some.value_R[some.arm_R == 0].mean() - some.value_R[some.arm_R < 0].mean() > 50
    found = update_beliefs(WIDE, some)
    assert abs(found.drawn_K[0]) < 3 * found.drawn_se_K[0]
    assert found.cost_K == pytest.approx([60.0, 0.0])


def test_draws_that_surprise_widen_the_prior_and_few_draws_leave_it() -> None:
    prior = arm_prior(np.array([60.0, 0.0]), 500.0)
    found = update_beliefs(prior, outcomes(lambda arm: 3000.0 + 0.0 * arm, 2))
    assert (found.mean_K > 2000).all()
    assert (found.pays_K > 0.99).all()
    nobody = outcomes(lambda arm: 0.0 * arm, 1, people=6, months=1)
    assert update_beliefs(prior, nobody).mean_K == pytest.approx(prior.mean_K)
    assert np.isnan(update_beliefs(prior, nobody).drawn_K).all()


def test_intervals_cover_effects_of_any_width_that_the_prior_allows() -> None:
    """Effects are drawn by a width that nobody tells; the draws say little, so that the prior counts."""
    prior, inside, repeats = arm_prior(np.array([10.0, 0.0]), 200.0), 0, 200
    chance = np.exp(-2 * np.log(PRIOR_SCALES) ** 2)
    for seed in range(repeats):
        rng = np.random.default_rng([seed, 7])
        scale = rng.choice(PRIOR_SCALES, p=chance / chance.sum())
        truth = rng.multivariate_normal(prior.mean_K, scale**2 * prior.cov_KK)
        found = update_beliefs(prior, outcomes(lambda arm, truth=truth: truth[np.maximum(arm, 0)], seed, people=300))  # type: ignore[misc]
        inside += int((np.abs(found.mean_K - truth) < 1.96 * found.sd_K).sum())
    assert 0.92 < inside / (2 * repeats) < 0.98


def test_a_message_that_annoys_is_held_against_the_discount_that_carries_it() -> None:
    """Only the reminder was drawn, and it lost: the discount is believed to add so much less, too."""
    prior = arm_prior(np.array([60.0, 0.0]), 2000.0)
    some = outcomes(lambda arm: -300.0 * arm, 3)
    alone = ArmOutcomes(*(each[some.arm_R != 0] for each in some))
    alone.prob_RK[:, 0] = 0.0
    found = update_beliefs(prior, alone)
    moved = found.mean_K - prior.mean_K
    assert moved[1] < -100
    assert moved[0] == pytest.approx(moved[1], rel=1e-3)


beliefs = st.lists(st.tuples(st.floats(-500, 500), st.floats(1, 400)), min_size=1, max_size=4)


@cases(40)
@given(beliefs, st.floats(0, 0.9))
def test_shares_leave_a_tenth_and_prefer_what_is_likelier_to_be_best(
    each: list[tuple[float, float]], alike: float
) -> None:
    mean, sd = (np.array(part) for part in zip(*each, strict=True))
    cov = (alike + (1 - alike) * np.eye(sd.size)) * np.outer(sd, sd)
    prob = best_probabilities(mean, cov)
    assert prob.sum() == pytest.approx(1.0)
    share = arm_shares(mean, cov, np.full(sd.size, np.nan))
    assert (share >= 0).all()
    assert share.sum() <= 1 - NONE_SHARE + 1e-9
    order = np.argsort(prob[:-1])
    assert (np.diff(share[order]) >= -1e-9).all()
    fixed = np.full(sd.size, np.nan)
    fixed[0] = SMALL_SHARE
    again = arm_shares(mean, cov, fixed)
    assert again[0] == pytest.approx(SMALL_SHARE) or again.sum() == pytest.approx(1 - NONE_SHARE)


def test_what_hardly_pays_rests_and_comes_back_small() -> None:
    pays, n = np.array([0.01, 0.01, 0.5, 0.01]), np.array([100, 100, 100, 0])
    found = fixed_shares(pays, n, np.array([0, REST_WINDOWS, 0, 9]))
    assert found[:2].tolist() == [0.0, SMALL_SHARE]
    assert np.isnan(found[2:]).all()


def test_the_first_window_draws_half_a_quarter_and_a_quarter() -> None:
    assert first_shares(np.array([True, False])).tolist() == [0.5, 0.25]
    assert first_shares(np.array([False])).tolist() == [0.5]
    assert first_shares(np.array([True])).tolist() == [0.5]
    assert first_shares(np.array([], dtype=bool)).tolist() == []
