import numpy as np
import pytest
from effect_trials import draw, trial

from promolift.effect.learners import Kind, fit_proportional, fit_response, fit_segment, fit_trees
from promolift.effect.nuisance import Target, boost, estimate_propensity, fit_nuisance, parts_of, scores, winsorised
from promolift.effect.trial import row_keys


@pytest.fixture(scope="module")
def made():
    x, arm, y, gain = draw(5000, 1, "turning", arms=3)
    ready = trial(x, arm, y)
    return ready, fit_nuisance(ready), gain


@pytest.mark.parametrize("kind", ["t-trees", "s-trees", "x-trees"])
def test_every_tree_learner_finds_an_effect_that_turns(made, kind: Kind) -> None:
    ready, nuisance, gain = made
    found = fit_trees(ready, nuisance, kind).gain(ready.x_NF)
    assert found.shape == gain.shape
    assert ((found - gain) ** 2).mean() < 0.35 * gain.var()


def test_a_row_is_never_predicted_by_models_that_saw_it(made) -> None:
    """Outcomes of pure noise, known to nobody: in-sample predictions would lean towards them."""
    ready, _, _ = made
    rng = np.random.default_rng(0)
    y = rng.normal(size=len(ready.arm_N)) * 5
    noise = fit_nuisance(type(ready)(ready.x_NF, ready.arm_N, y, ready.prob_NA, ready.key_N, ready.names))
    own = noise.mu_NA[np.arange(len(y)), ready.arm_N]
    # the arm's mean is learned from the other parts: a slight lean away, never towards
    assert np.mean((own - own.mean()) * y) < 0.02 * y.var()
    parts = noise.response.each(ready.x_NF)
    assert parts.shape[0] == noise.parts == 5
    np.testing.assert_array_equal(noise.mu_NA[7], parts[noise.part_N[7], 7])


def test_scores_average_to_the_weighted_difference_without_a_model() -> None:
    x, _, y, _ = draw(10, 2)
    ready = trial(x, np.tile([0, 1], 5), y, np.tile([0.25, 0.75], (10, 1)))
    psi = scores(ready, np.zeros((10, 2)))[:, 0]
    by_hand = np.where(ready.arm_N == 1, y / 0.75, -y / 0.25)
    np.testing.assert_allclose(psi, by_hand)
    shifted = scores(ready, np.tile([2.0, 5.0], (10, 1)))[:, 0]
    np.testing.assert_allclose(shifted, np.where(ready.arm_N == 1, 3 + (y - 5) / 0.75, 3 - (y - 2) / 0.25))


def test_proportional_gains_hit_the_averages_and_never_change_sign(made) -> None:
    x, arm, y, _ = draw(4000, 3, "same")
    ready = trial(x, arm, y)
    nuisance = fit_nuisance(ready)
    gain = fit_proportional(ready, nuisance).gain(ready.x_NF)[:, 0]
    assert gain.mean() == pytest.approx(nuisance.psi_NK.mean(), abs=0.01)
    assert gain.min() > 0
    low, high = np.quantile(nuisance.mu_NA.mean(axis=1), [0.1, 0.5])
    rare, common = nuisance.mu_NA.mean(axis=1) < low, nuisance.mu_NA.mean(axis=1) > high
    assert gain[common].mean() > 1.5 * gain[rare].mean()
    assert fit_response(ready, nuisance).gain(ready.x_NF).shape == (4000, 1)


def test_the_segment_is_the_one_that_matters() -> None:
    x, arm, y, _ = draw(5000, 4, "segment")
    ready = trial(x, arm, y)
    rule = fit_segment(ready, fit_nuisance(ready))
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
    assert boost(Target(x, y, part, 2)).mean(x).std() < 0.1
    assert boost(Target(x, y + 3 * (x[:, 0] > 0), part, 2)).mean(x).std() > 1.2


def test_parts_and_cuts(made) -> None:
    ready, _, _ = made
    part_N, parts = parts_of(ready)
    assert parts == 5
    assert np.bincount(part_N).min() > 850
    cut = winsorised(np.r_[np.zeros(5000), np.ones(5000), 1e6])
    assert cut.max() < 2
    assert cut[5000:10000].min() == 1
