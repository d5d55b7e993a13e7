import numpy as np
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.effects.trial_arrays import Floats
from promolift.core.effects.uplift.learner_selection import EffectSettings, select_learners, stack_weights

N = 4000
FOLD_N = np.arange(N) % 5
ONE = EffectSettings(simple=("proportional",))


def world(slope: float, seed: int, average: float = 0.0) -> tuple[Floats, Floats]:
    """Two candidates (the truth, and noise) and scores with the truth times slope in them."""
    rng = np.random.default_rng(seed)
    gain_NKC = rng.normal(size=(N, 1, 2))
    return gain_NKC, average + slope * gain_NKC[:, :, 0] + rng.normal(scale=3, size=(N, 1))


def test_noise_is_called_none_about_as_often_as_alpha_says() -> None:
    each = [EffectSettings(simple=("proportional",), alpha=0.2, seed=seed) for seed in range(150)]
    answers = [select_learners(*world(0.0, one.seed), FOLD_N, one).answer for one in each]
    assert 0.1 < np.mean([a != "none" for a in answers]) < 0.3  # 0.2 expected, three standard errors


def test_more_noisy_candidates_need_a_larger_z() -> None:
    rng = np.random.default_rng(0)
    many, psi = rng.normal(size=(N, 1, 31)), rng.normal(size=(N, 1))
    alone = select_learners(many[:, :, :1], psi, FOLD_N, ONE).limit_C
    assert alone == pytest.approx([1.645], abs=0.05)
    two = select_learners(many[:, :, :2], psi, FOLD_N, ONE).limit_C
    assert two == pytest.approx([1.96, 1.96], abs=0.05)  # half of alpha each
    assert select_learners(many, psi, FOLD_N, ONE).limit_C[1] == pytest.approx(3.14, abs=0.12)  # 1 - 0.975^(1/30)
    same = np.concatenate([many[:, :, :1], np.repeat(many[:, :, 1:2], 30, axis=2)], axis=2)
    assert select_learners(same, psi, FOLD_N, ONE).limit_C[1] == pytest.approx(1.96, abs=0.05)  # copies are one test


def test_what_a_learner_proves_both_ways_counts_once() -> None:
    """The mean of each group, learned outside a fold and proved inside: z is too wide by the root of two."""
    z = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        group, psi = rng.integers(0, 40, 1000), rng.normal(size=1000)
        fold = np.arange(1000) % 5
        gain = np.empty(1000)
        for j in range(5):
            total = np.bincount(group[fold != j], weights=psi[fold != j], minlength=40)
            gain[fold == j] = total[group[fold == j]]
        fixed = rng.normal(size=1000)
        z.append(select_learners(np.stack([fixed, gain], axis=1)[:, None], psi[:, None], fold, ONE).z_C)
    assert np.std(z, axis=0) == pytest.approx([1.0, 1.0], abs=0.12)


def test_a_level_difference_between_folds_is_no_difference_between_customers() -> None:
    rng = np.random.default_rng(1)
    level = FOLD_N[:, None] * 10.0
    psi = level + rng.normal(size=(N, 1))
    verdict = select_learners(level[:, :, None] + rng.normal(size=(N, 1, 1)), psi, FOLD_N, ONE)
    assert abs(verdict.z_C[0]) < 4


def test_the_simple_candidate_wins_if_as_good_and_loses_if_not() -> None:
    gain, psi = world(1.0, 2)
    assert select_learners(gain, psi, FOLD_N, ONE).answer == "simple"  # the truth stands first
    swapped = select_learners(gain[:, :, ::-1], psi, FOLD_N, ONE)
    assert swapped.answer == "stack"
    assert swapped.weight_C[1] > 0.6 > 0.2 > swapped.weight_C[0]


def test_an_average_beyond_doubt_gives_the_whole_of_alpha_to_proportional_effects() -> None:
    rng = np.random.default_rng(3)
    gain, psi = rng.normal(size=(N, 1, 2)), rng.normal(size=(N, 1))
    first = gain[:, :, 0] - gain[:, :, 0].mean(axis=0)
    psi -= first * (first * psi).sum() / (first**2).sum()  # the first candidate says nothing of it
    doubtful, certain = (select_learners(gain, psi + level, FOLD_N, ONE).limit_C for level in (0.02, 1.0))
    assert doubtful == pytest.approx([1.96, 1.96], abs=0.05)
    assert certain[0] == pytest.approx(1.645, abs=0.01)
    assert certain[1] == pytest.approx(2.33, abs=0.08)
    found = select_learners(gain, 1.0 + 0.2 * gain[:, :, 0] + psi, FOLD_N, ONE)
    assert found.limit_C[1] == pytest.approx(1.645, abs=0.05)  # once the first has passed, nothing is lost by asking
    assert found.answer == "simple"
    assert select_learners(gain, 1.0 + psi - 0.02 * gain[:, :, 0], FOLD_N, ONE).answer == "none"


@cases(30)
@given(st.floats(-2, 2), st.floats(0.1, 100), st.integers(0, 99))
def test_the_unit_of_the_outcome_changes_no_verdict(slope: float, unit: float, seed: int) -> None:
    gain, psi = world(slope, seed)
    one, other = select_learners(gain, psi, FOLD_N, ONE), select_learners(gain * unit, psi * unit, FOLD_N, ONE)
    assert one.answer == other.answer
    np.testing.assert_allclose(one.weight_C, other.weight_C, atol=1e-6)
    assert other.z_C == pytest.approx(one.z_C)


def test_weights_are_never_negative_and_stay_near_equal_where_data_are_weak() -> None:
    rng = np.random.default_rng(4)
    gain = 0.01 * rng.normal(size=(N, 1, 4))
    np.testing.assert_allclose(stack_weights(gain, rng.normal(size=(N, 1))), 0.25, atol=0.1)
    strong = rng.normal(size=(N, 1, 2))
    weight = stack_weights(strong, strong[:, :, 0] - strong[:, :, 1] + 0.1 * rng.normal(size=(N, 1)))
    assert weight[0] == pytest.approx(1, abs=0.05)
    assert weight[1] == 0
