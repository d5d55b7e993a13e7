"""Chance is told as chance, a model that learned by heart is found, and bounds of epsilon are below the truth."""

import numpy as np
import pytest

from promolift.errors import SupportError
from promolift.learn.attack import exact, lira, membership
from promolift.privacy.budget import Spend, epsilon_of


def test_exact_intervals_are_those_of_the_binomial() -> None:
    assert exact(0, 100) == pytest.approx((0.0, 0.03622), abs=1e-4)
    assert exact(5, 20) == pytest.approx((0.08657, 0.49105), abs=1e-4)
    assert exact(20, 20).high == 1.0


def test_scores_without_a_trace_are_chance_as_often_as_promised() -> None:
    rng, held, below = np.random.default_rng(2), 0, 0
    for _ in range(200):
        found = membership(rng.normal(size=300), rng.random(300) < 0.5)
        held += found.holds_chance
        below += found.epsilon_low == 0
    assert held >= 0.93 * 200
    assert below >= 0.93 * 200


@pytest.mark.parametrize("mu", [0.3, 1.0])
def test_the_bound_of_epsilon_is_below_the_truth_of_normal_noise(mu: float) -> None:
    """Each customer's number, 0 or 1, is released with noise of standard deviation 1 / mu."""
    rng, delta = np.random.default_rng(3), 1e-6
    truth = epsilon_of([Spend(purpose="effect", at_ms=0, noise=1 / mu)], delta)
    wrong = 0
    for _ in range(60):
        member = rng.random(1000) < 0.5
        found = membership(member + rng.normal(0, 1 / mu, 1000), member, delta)
        wrong += found.epsilon_low > truth
    assert wrong == 0
    if mu == 1.0:
        assert found.epsilon_low > 0.5
        assert not found.holds_chance


def test_a_model_that_learned_by_heart_is_found_by_its_loss_and_by_shadows() -> None:
    """One nearest neighbour: a member's own row is the nearest; its loss is 0 but for hard customers."""
    rng = np.random.default_rng(4)
    hard_M, models = rng.gamma(2.0, 1.0, 300), 8
    in_SM = rng.random((models, 300)) < 0.5
    loss_SM = hard_M * np.where(in_SM, 0.55, 1.0) * np.exp(0.1 * rng.normal(size=in_SM.shape))
    by_loss = membership(-loss_SM[0], in_SM[0])
    by_shadows = membership(lira(loss_SM, in_SM, 0), in_SM[0])
    assert not by_shadows.holds_chance
    assert by_shadows.advantage > 0.8
    assert by_shadows.auc.value > by_loss.auc.value + 0.1  # hard customers hide from the loss alone
    assert by_shadows.epsilon_low > 1.5


def test_an_over_fitted_model_is_found() -> None:
    """Trees without limits on rows that tell nothing of the answer know their own customers and nobody else."""
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(6)
    x_MF, y_M = rng.normal(size=(300, 8)), rng.random(300) < 0.4
    in_SM, loss_SM = rng.random((5, 300)) < 0.5, np.zeros((5, 300))
    for s in range(5):
        said = DecisionTreeClassifier(random_state=s).fit(x_MF[in_SM[s]], y_M[in_SM[s]]).predict_proba(x_MF)[:, 1]
        loss_SM[s] = -np.log(np.clip(np.where(y_M, said, 1 - said), 0.01, 0.99))
    for score in (-loss_SM[0], lira(loss_SM, in_SM, 0)):
        found = membership(score, in_SM[0])
        assert found.auc.low > 0.6
        assert not found.holds_chance


def test_too_few_customers() -> None:
    with pytest.raises(SupportError, match="at least 40"):
        membership(np.zeros(20), np.arange(20) < 10)
