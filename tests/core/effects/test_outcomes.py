"""Several outcomes of one trial, and predicted effects beside realised ones."""

import numpy as np
import pytest
from error_checks import raises_code

from promolift.core.effects.trial_arrays import TrialArrays, row_keys
from promolift.core.effects.uplift.average_effects import average_effects, effect_bins
from promolift.foundation.errors import SupportError


def trial(n=4000, seed=1, share=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[::7, 2] = np.nan
    arm = rng.choice(len(share), n, p=share)
    return TrialArrays(x, arm, np.zeros(n), np.tile(share, (n, 1)), row_keys(x, seed), ("a", "b", "c")), rng


def test_effects_of_several_outcomes_and_arms() -> None:
    t, rng = trial()
    noise = rng.normal(size=4000)
    margin = 3 * t.x_NF[:, 0] + np.array([0.0, 1.0, 2.0])[t.arm_N] + noise
    found = average_effects(t, {"margin": margin, "nothing": noise}, "randomised")
    assert found.select("outcome", "arm").rows() == [("margin", 1), ("margin", 2), ("nothing", 1), ("nothing", 2)]
    for row, truth in zip(found.iter_rows(named=True), (1, 2, 0, 0), strict=True):
        assert abs(row["effect"] - truth) < 4 * row["se"]
        assert row["p_holm"] >= row["p"]
        assert (row["n"], row["level"]) == (4000, "randomised")
        assert row["low"] < row["effect"] < row["high"]
    assert found["se"][0] < 0.06  # the feature's noise is gone: 3.2 times that without
    assert found["p_holm"][0] == pytest.approx(0, abs=1e-9)


def test_features_take_noise_away_and_no_truth_with_it() -> None:
    errors, widths = [], []
    for seed in range(60):
        t, rng = trial(600, seed, (0.6, 0.4))
        y = 2 * np.nan_to_num(t.x_NF[:, 0]) + (t.arm_N == 1) * (0.5 + t.x_NF[:, 1]) + rng.normal(size=600)
        row = average_effects(t, {"y": y}, "randomised").row(0, named=True)
        errors.append(row["effect"] - 0.5)
        widths.append(row["se"])
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(60)
    assert np.mean(widths) == pytest.approx(np.std(errors), rel=0.25)


def test_unequal_chances_are_weighted() -> None:
    n = 20_000
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 1))
    p = np.where(x[:, 0] > 0, 0.8, 0.2)
    arm = (rng.random(n) < p).astype(int)
    y = np.where(x[:, 0] > 0, 10.0, 0.0)  # nothing is added
    t = TrialArrays(x, arm, y, np.column_stack([1 - p, p]), row_keys(x, 1), ("x",))
    row = average_effects(t, {"y": y}, "adjusted").row(0, named=True)
    assert y[arm == 1].mean() - y[arm == 0].mean() > 5
    assert abs(row["effect"]) < 4 * row["se"] < 0.5


def test_no_feature_at_all_is_the_difference_of_means() -> None:
    rng = np.random.default_rng(3)
    arm = np.arange(400) % 2
    y = arm + rng.normal(size=400)
    t = TrialArrays(np.zeros((400, 0)), arm, y, np.full((400, 2), 0.5), row_keys(np.arange(400.0)[:, None], 1), ())
    row = average_effects(t, {"y": y}, "randomised").row(0, named=True)
    assert row["effect"] == pytest.approx(y[arm == 1].mean() - y[arm == 0].mean(), abs=0.03)


def test_what_makes_no_sense_is_refused() -> None:
    t = trial(600)[0]
    with raises_code("shapes_differ", "bought", "599", "600"):
        average_effects(t, {"bought": np.zeros(599)}, "randomised")
    with raises_code("arm_too_small", "arm 2", "50", kind=SupportError):
        average_effects(trial(100)[0], {"y": np.zeros(100)}, "randomised")
    with raises_code("value_not_finite", "(40,)"):
        effect_bins(np.array([np.nan] * 40), np.zeros(40))


def test_bins_by_hand() -> None:
    bins = effect_bins(np.array([0.1, 0.2, 0.9, 0.9]), np.array([1.0, 3.0, 5.0, 9.0]), bins=2)
    assert bins.select("predicted", "realised", "se", "n").row(0) == pytest.approx((0.15, 2.0, 1.0, 2))
    assert bins.select("predicted", "realised", "low").row(1) == pytest.approx((0.9, 7.0, 7 - 1.959964 * 2))


def test_equal_predictions_share_a_bin() -> None:
    psi = np.arange(40.0)
    assert len(effect_bins(np.ones(40), psi)) == 1
    assert effect_bins(np.repeat([1.0, 2.0], [30, 10]), psi)["n"].to_list() == [30, 10]


def test_intervals_of_honest_predictions_hold_them() -> None:
    truth = np.random.default_rng(2).normal(size=20_000)
    psi = truth + np.random.default_rng(1).normal(size=20_000) * 2.0
    bins = effect_bins(truth, psi, bins=40)
    assert bins["predicted"].is_between(bins["low"], bins["high"]).mean() >= 0.85  # type: ignore[operator]
