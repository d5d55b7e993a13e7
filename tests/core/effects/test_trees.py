import numpy as np
import pytest
from effect_trials import crossed, draw, trial

from promolift.core.effects.trial_arrays import CachedRows, row_keys
from promolift.core.effects.uplift import boosted_trees
from promolift.core.effects.uplift.boosted_trees import (
    MISSING,
    BoostingTarget,
    boost,
    fit_bins,
    make_boosting_data,
    with_arm,
)
from promolift.core.effects.uplift.learner_selection import RichLearner
from promolift.core.effects.uplift.nuisance import (
    doubly_robust_scores,
    estimate_propensity,
    fit_by_response,
    fit_proportional,
    fit_segment,
    fold_count,
    training_outcome,
    winsorise,
)
from promolift.core.effects.uplift.uplift_model import fit_learner


@pytest.fixture(scope="module")
def made():
    x, arm, y, gain = draw(5000, 1, "turning", arms=3)
    ready = trial(x, arm, y)
    return ready, crossed(ready), gain


@pytest.mark.parametrize("kind", ["t-trees", "s-trees", "dr-trees"])
def test_every_tree_learner_finds_an_effect_that_turns(made, kind: RichLearner) -> None:
    ready, nuisance, gain = made
    found = np.mean([model.gain(CachedRows(ready.x_NF)) for model in fit_learner(kind, nuisance)], axis=0)
    assert found.shape == gain.shape
    assert ((found - gain) ** 2).mean() < 0.35 * gain.var()


def test_a_row_is_never_predicted_by_models_that_saw_it(made) -> None:
    """Outcomes of pure noise, known to nobody: in-sample predictions would lean towards them."""
    ready, _, _ = made
    rng = np.random.default_rng(0)
    y = rng.normal(size=len(ready.arm_N)) * 5
    noise = crossed(type(ready)(ready.x_NF, ready.arm_N, y, ready.prob_NA, ready.key_N, ready.names))
    own, y = noise.mu_NA[np.arange(len(y)), noise.trial.arm_N], noise.trial.outcome_N
    # the arm's mean is learned from the other folds: a slight lean away, never towards
    assert np.mean((own - own.mean()) * y) < 0.02 * y.var()
    row, fold = 7, noise.fold_N[7]
    np.testing.assert_allclose(noise.mu_NA[row], noise.responses[fold].mean(CachedRows(noise.trial.x_NF[[row]]))[0])


def test_no_outcome_is_expected_beyond_what_was_seen(made) -> None:
    ready, nuisance, _ = made
    wild = ready.x_NF.copy()
    wild[:, 0] = 1e9
    for response in nuisance.responses:
        mu = response.mean(CachedRows(wild))
        assert (mu >= 0).all()
        assert (mu <= 1).all()


def test_scores_average_to_the_weighted_difference_without_a_model() -> None:
    x, _, y, _ = draw(10, 2)
    ready = trial(x, np.tile([0, 1], 5), y, np.tile([0.25, 0.75], (10, 1)))
    psi = doubly_robust_scores(ready, np.zeros((10, 2)))[:, 0]
    by_hand = np.where(ready.arm_N == 1, y / 0.75, -y / 0.25)
    np.testing.assert_allclose(psi, by_hand)
    shifted = doubly_robust_scores(ready, np.tile([2.0, 5.0], (10, 1)))[:, 0]
    np.testing.assert_allclose(shifted, np.where(ready.arm_N == 1, 3 + (y - 5) / 0.75, 3 - (y - 2) / 0.25))


def test_proportional_gains_hit_the_averages_and_never_change_sign(made) -> None:
    x, arm, y, _ = draw(4000, 3, "same")
    ready = trial(x, arm, y)
    nuisance = crossed(ready)
    gain = fit_proportional(nuisance, 0).gain(CachedRows(nuisance.trial.x_NF))[:, 0]
    assert gain.mean() == pytest.approx(nuisance.psi_NK[nuisance.fold_N != 0].mean(), abs=0.02)
    assert gain.min() > 0
    low, high = np.quantile(nuisance.mu_NA.mean(axis=1), [0.1, 0.5])
    rare, common = nuisance.mu_NA.mean(axis=1) < low, nuisance.mu_NA.mean(axis=1) > high
    assert gain[common].mean() > 1.5 * gain[rare].mean()
    assert fit_by_response(nuisance, 0).gain(CachedRows(ready.x_NF)).shape == (4000, 1)


def test_the_segment_is_the_one_that_matters() -> None:
    x, arm, y, _ = draw(5000, 4, "segment")
    ready = trial(x, arm, y)
    rule = fit_segment(crossed(ready), 0)
    assert ready.names[rule.feature] == "member"
    assert rule.inside_K[0] > 0.2 > abs(rule.outside_K[0])


def test_estimated_chances_follow_the_true_ones_and_sum_to_one() -> None:
    x, _, _, _ = draw(4000, 5)
    ready = trial(x, np.tile([0, 1], 2000), np.zeros(4000))
    spend = x["spend"].to_numpy()
    weight_NA = np.exp(np.column_stack([np.zeros(4000), spend, -spend]))
    true_NA = weight_NA / weight_NA.sum(axis=1, keepdims=True)
    arm = (np.random.default_rng(1).uniform(size=4000)[:, None] > true_NA.cumsum(axis=1)).sum(axis=1)
    prob_NA = estimate_propensity(ready.x_NF, arm, row_keys(ready.x_NF, 0))
    np.testing.assert_allclose(prob_NA.sum(axis=1), 1)
    assert np.abs(prob_NA - true_NA).mean() < 0.04
    assert prob_NA.min() > 0


def test_trees_stop_where_there_is_nothing_to_learn() -> None:
    rng = np.random.default_rng(6)
    x, y, part = rng.normal(size=(2000, 5)), rng.normal(size=2000), np.arange(2000) % 2
    codes = fit_bins(x).codes(x)
    grown, start = make_boosting_data(codes, part, 1), np.zeros((2, 2000))
    assert boost(grown, BoostingTarget(np.arange(2000), y, part, start))[0].raw(codes).std() < 0.1
    assert boost(grown, BoostingTarget(np.arange(2000), y + 3 * (x[:, 0] > 0), part, start))[0].raw(codes).std() > 1.2


@pytest.mark.parametrize("gaps", [False, True])
def test_trees_kept_as_arrays_say_what_lightgbm_says(gaps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    x, arm = rng.normal(size=(3000, 4)), rng.integers(0, 2, 3000)
    x[:, 2] = np.round(x[:, 2])
    if gaps:
        x[rng.uniform(size=3000) < 0.2, 1] = np.nan
    y = x[:, 0] * (x[:, 2] > 0) + np.nan_to_num(x[:, 1], nan=2.0) + arm * x[:, 3] + rng.normal(size=3000)
    codes = fit_bins(x).codes(x)
    models, read = [], boosted_trees._read
    monkeypatch.setattr(
        boosted_trees, "_read", lambda model, best: (models.append((model, best)), read(model, best))[1]
    )
    target = BoostingTarget(np.arange(3000), y, np.arange(3000) % 2, np.zeros((2, 3000)), "real", arms=True)
    ours = boost(make_boosting_data(codes, arm, 2), target)
    columns = np.column_stack([np.where(codes.T == MISSING, np.nan, codes.T), arm])
    for (model, best), kept in zip(models, ours, strict=True):
        assert best > 20
        both = np.where(arm == 1, kept.raw(with_arm(codes, 1, 2)), kept.raw(with_arm(codes, 0, 2)))
        np.testing.assert_allclose(both, model.predict(columns, num_iteration=best, raw_score=True), atol=1e-9)
    without = boost(make_boosting_data(codes, arm, 2), target._replace(arms=False))
    assert all((kept.feature_TD < 4).all() for kept in without)


def test_no_fold_chooses_how_many_trees_judge_it() -> None:
    rng = np.random.default_rng(8)
    x, y, part = rng.normal(size=(3000, 5)), rng.normal(size=3000), np.arange(3000) % 3
    codes = fit_bins(x).codes(x)
    found = boost(
        make_boosting_data(codes, part, 1), BoostingTarget(np.arange(3000), y + x[:, 0], part, np.zeros((3, 3000)))
    )
    assert len({len(kept.leaf_TL) for kept in found}) == 1


def test_folds_and_cuts(made) -> None:
    ready, nuisance, _ = made
    assert fold_count(ready) == nuisance.folds == 5
    assert np.bincount(nuisance.fold_N).min() > 850
    cut = winsorise(np.r_[np.zeros(5000), np.ones(5000), 1e6])
    assert cut.max() < 2
    assert cut[5000:10000].min() == 1


def test_what_models_are_taught_keeps_the_total() -> None:
    money = np.r_[np.zeros(9000), np.ones(990), np.full(10, 100.0)]
    learned = training_outcome(money)
    assert learned.sum() == pytest.approx(money.sum())
    assert learned.max() < 3  # who bought decides, not the ten largest amounts
    clicks = np.r_[np.zeros(50), np.ones(50)]
    assert (training_outcome(clicks) == clicks).all()
