"""A release is proposed with its value, accepted by a rule, and taken back by a rule."""

import numpy as np
import pytest

from promolift.learn.off_policy import EstimatorParts, dr
from promolift.learn.release import Guardrails, Value, propose, summarise


def logged(rows: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Three actions with unequal propensities by customer; rewards 1, 3, 0 plus the customer's own level."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 1, rows)
    prob = np.stack([0.2 + 0.5 * (level > 0), 0.6 - 0.5 * (level > 0), np.full(rows, 0.2)], axis=1)
    action = (rng.random(rows)[:, None] > np.cumsum(prob, axis=1)).sum(axis=1)
    reward = np.array([1.0, 3.0, 0.0])[action] + 2 * level + rng.normal(0, 1, rows)
    return prob, action, reward, prob[np.arange(rows), action]


def test_the_value_is_right_with_a_wrong_model_where_the_naive_mean_is_not() -> None:
    prob_NA, action, reward, prob = logged(40_000)
    policy = np.tile([0.0, 1.0, 0.0], (len(action), 1))
    wrong = np.zeros_like(prob_NA)
    weight = policy[np.arange(len(action)), action] / prob
    value = summarise(dr(EstimatorParts(reward, weight, wrong[:, 0], wrong[:, 0])), weight)
    assert abs(value.value - 3.0) < 3 * value.se
    assert abs(reward[action == 1].mean() - 3.0) > 0.8
    assert value.effective < 0.5 * value.n


@pytest.mark.parametrize(
    ("lead", "se", "effective", "accepted", "text"),
    [
        (2.0, 0.5, 500, True, "within the guardrails"),
        (-0.1, 0.1, 500, False, "not more than nothing"),
        (2.0, 2.0, 500, False, "it may lose"),
        (2.0, 0.5, 20, False, "effective decisions"),
    ],
)
def test_auto_accepts_only_within_the_guardrails(
    lead: float, se: float, effective: float, accepted: bool, text: str
) -> None:
    proposal = propose(Value(5, 1, effective, 900), Value(lead, se, 900, 900), Guardrails(max_loss=0.5))
    assert (proposal.accepted, text in proposal.why) == (accepted, True)


def test_what_loses_by_its_own_figures_is_not_accepted_though_it_loses_less_than_now() -> None:
    proposal = propose(Value(-2.0, 0.1, 500, 900), Value(3.0, 0.1, 900, 900), Guardrails())
    assert not proposal.accepted
    assert "expected to lose 2.00" in proposal.why
