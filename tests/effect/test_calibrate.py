"""Predicted effects beside realised ones, and maps that mend what is wrong and no more."""

import numpy as np
import pytest

from promolift.effect.calibrate import CalibrateSettings, effect_bins, recalibrate
from promolift.effect.trial import row_keys
from promolift.errors import InputError, SupportError


def scores(truth, noise=2.0, seed=1):
    """Doubly robust scores: the true effect and honest noise; keys tied to the rows."""
    rng = np.random.default_rng(seed)
    return (truth + rng.normal(size=truth.shape) * noise)[:, None], row_keys(truth[:, None] + 0.0, seed)


def gains(n=4000, seed=2):
    return np.random.default_rng(seed).normal(size=n)


def test_bins_by_hand() -> None:
    low, high = effect_bins(np.array([0.1, 0.2, 0.9, 0.9]), np.array([1.0, 3.0, 5.0, 9.0]), bins=2)
    assert (low.predicted, low.realised, low.se, low.n) == (pytest.approx(0.15), 2.0, pytest.approx(1.0), 2)
    assert (high.predicted, high.realised, high.low) == (pytest.approx(0.9), 7.0, pytest.approx(7 - 1.959964 * 2))


def test_equal_predictions_share_a_bin() -> None:
    psi = np.arange(40.0)
    assert len(effect_bins(np.ones(40), psi)) == 1
    assert [b.n for b in effect_bins(np.repeat([1.0, 2.0], [30, 10]), psi)] == [30, 10]


def test_intervals_of_honest_predictions_hold_them() -> None:
    truth = gains(20_000)
    psi, _ = scores(truth)
    inside = [b.low <= b.predicted <= b.high for b in effect_bins(truth, psi[:, 0], bins=40)]
    assert np.mean(inside) >= 0.85


def test_overconfident_predictions_are_drawn_in_by_a_line() -> None:
    truth = gains()
    psi, key = scores(truth)
    found = recalibrate((3 * truth + 5)[:, None], psi, key).maps_K[0]
    assert found.kind == "linear"
    assert found.slope == pytest.approx(1 / 3, abs=4 * found.slope_se)
    np.testing.assert_allclose(found.apply(np.array([5.0, 8.0])), [0, 1], atol=0.15)
    assert found.loss["linear"] < found.loss["average"] < found.loss["as is"]


def test_predictions_that_tell_nothing_become_the_average_effect() -> None:
    chosen = []
    for seed in range(60):
        psi, key = scores(np.full(1000, 0.7), seed=seed)
        gain = gains(1000, seed + 500)
        found = recalibrate(gain[:, None], psi, np.roll(key, 1))
        chosen.append(found.maps_K[0].kind)
        if chosen[-1] == "average":
            np.testing.assert_allclose(found.apply(gain[:, None])[:, 0], psi.mean())
    assert chosen.count("average") >= 56


def test_a_freer_map_must_win_by_as_many_standard_errors_as_asked() -> None:
    gain = gains(2000)
    psi, key = scores(0.25 * gain)  # slope over its error is about 5.6, the gain in loss over its own half of that
    kinds = [recalibrate(gain[:, None], psi, key, CalibrateSettings(errors=e)).maps_K[0].kind for e in (1.0, 6.0)]
    assert kinds == ["linear", "average"]


def test_predictions_in_the_wrong_order_are_not_turned_round() -> None:
    truth = gains()
    psi, key = scores(truth)
    found = recalibrate(-truth[:, None], psi, key, CalibrateSettings(errors=0)).maps_K[0]
    assert np.ptp(found.apply(-truth)) < 0.3
    assert found.slope < -0.5


def test_a_weak_slope_is_shrunk_and_a_strong_one_kept() -> None:
    gain = gains(2000)
    for effect, most in ((0.1, 0.1), (3.0, 3.1)):
        psi, key = scores(effect * gain, noise=2.0)
        found = recalibrate(gain[:, None], psi, key, CalibrateSettings(errors=-0.0)).maps_K[0]
        if found.kind == "linear":
            slope = np.ptp(found.apply(np.array([0.0, 1.0])))
            assert slope <= found.slope
            assert slope == pytest.approx(found.slope * max(0, 1 - (found.slope_se / found.slope) ** 2))
            assert slope < most + 4 * found.slope_se


def test_a_bend_is_found_by_the_step_curve() -> None:
    gain = gains(8000)
    truth = np.where(gain > 0.5, 4.0, 0.0)
    psi, key = scores(truth + gain * 1e-9, noise=1.0)
    found = recalibrate(gain[:, None], psi, key).maps_K[0]
    assert found.kind == "isotonic"
    assert (np.diff(found.apply(np.linspace(-4, 4, 200))) >= 0).all()
    np.testing.assert_allclose(found.apply(np.array([-1.0, 2.0, 9.0])), [0, 4, 4], atol=0.5)


def test_each_treatment_has_its_own_map_and_row_order_changes_nothing() -> None:
    truth = gains()
    psi, key = scores(truth)
    both_psi, both = np.column_stack([psi, psi * 2]), np.column_stack([truth, truth])
    found = recalibrate(both, both_psi, key)
    moved = np.random.default_rng(3).permutation(len(truth))
    again = recalibrate(both[moved], both_psi[moved], key[moved])
    np.testing.assert_allclose(found.apply(both), again.apply(both), atol=1e-9)
    np.testing.assert_allclose(found.apply(both)[:, 1], 2 * found.apply(both)[:, 0], atol=1e-9)


def test_too_little_is_refused() -> None:
    with pytest.raises(SupportError, match="50 customers"):
        recalibrate(np.zeros((50, 1)), np.zeros((50, 1)), np.arange(50, dtype=np.uint64))
    with pytest.raises(InputError, match="do not fit"):
        recalibrate(np.zeros((50, 1)), np.zeros((50, 2)), np.arange(50, dtype=np.uint64))
    with pytest.raises(InputError, match="finite"):
        effect_bins(np.array([np.nan] * 40), np.zeros(40))
