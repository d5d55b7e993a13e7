"""Chance is told as chance, a model that learned by heart is found, and bounds of epsilon are below the truth."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.experiments.prediction_metrics import auc
from promolift.extensions.privacy.mechanisms.membership_inference import (
    clopper_pearson,
    infer_attributes,
    likelihood_ratios,
    nearest_similarity,
    score_membership,
    widen_interval,
)
from promolift.extensions.privacy.mechanisms.privacy_budget import Spend, epsilon_of


def test_exact_intervals_are_those_of_the_binomial() -> None:
    assert clopper_pearson(0, 100) == pytest.approx((0.0, 0.03622), abs=1e-4)
    assert clopper_pearson(5, 20) == pytest.approx((0.08657, 0.49105), abs=1e-4)
    assert clopper_pearson(20, 20).high == 1.0


def test_scores_without_a_trace_are_chance_as_often_as_promised() -> None:
    rng, held, below = np.random.default_rng(2), 0, 0
    for _ in range(200):
        found = score_membership(rng.normal(size=300), rng.random(300) < 0.5)
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
        found = score_membership(member + rng.normal(0, 1 / mu, 1000), member, delta)
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
    by_loss = score_membership(-loss_SM[0], in_SM[0])
    by_shadows = score_membership(likelihood_ratios(loss_SM, in_SM, 0), in_SM[0])
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
    for score in (-loss_SM[0], likelihood_ratios(loss_SM, in_SM, 0)):
        found = score_membership(score, in_SM[0])
        assert found.auc.low > 0.6
        assert not found.holds_chance


def test_too_few_customers() -> None:
    with raises_code("too_few_customers", "20", "40"):
        score_membership(np.zeros(20), np.arange(20) < 10)


def people(seed: int, n: int = 1500) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame({
        "children": rng.choice(["yes", "no"], n, p=[0.3, 0.7]), "visits": rng.poisson(4, n), "one": np.ones(n),
        "town": rng.choice(["a", "b", "c"], n), "spent": rng.gamma(1.0, 50.0, n),
    })  # fmt: skip


def test_an_attribute_that_decides_the_offer_is_guessed_from_it_and_no_other() -> None:
    secret = people(1)
    rng = np.random.default_rng(2)
    leak = np.where(rng.random(1500) < 0.8, secret["children"] == "yes", rng.random(1500) < 0.3)
    leaves = pl.DataFrame({"offer": np.where(leak, "toys", "tea"), "percent": rng.integers(1, 5, 1500)})
    found = infer_attributes(secret, leaves, secret.columns)
    assert len(found) == 4  # a column of one value is not asked
    assert [each.attribute for each in found if each.beats_chance] == ["children = no"]
    assert found[0].membership.auc.value > 0.8
    assert found[0].share == pytest.approx(0.7, abs=0.05)


def test_nothing_is_guessed_from_offers_that_know_nothing() -> None:
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(100 + seed)
        leaves = pl.DataFrame({"offer": rng.choice(list("abcd"), 600), "percent": rng.integers(1, 5, 600)})
        secret = people(seed, 600)
        wrong += any(each.beats_chance for each in infer_attributes(secret, leaves, secret.columns))
    assert wrong <= 4


def test_made_up_customers_who_are_copies_give_their_own_away() -> None:
    rng = np.random.default_rng(5)
    rows, member = rng.normal(size=(400, 6)), rng.random(400) < 0.5
    copies = score_membership(
        nearest_similarity(rows[member] + 0.01 * rng.normal(size=(member.sum(), 6)), rows), member
    )
    assert copies.auc.low > 0.9
    assert not copies.holds_chance
    assert score_membership(nearest_similarity(rng.normal(size=(200, 6)), rows), member).holds_chance


def test_intervals_of_many_figures_are_wider() -> None:
    score = auc(np.arange(200) % 2 == 0, np.random.default_rng(7).normal(size=200))
    assert widen_interval(score, 0.05).low == pytest.approx(score.low, abs=1e-6)
    wide = widen_interval(score, 0.001)
    assert wide.low < score.low < score.value < score.high < wide.high
