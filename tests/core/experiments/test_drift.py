"""Laws of drift detection: no alarm without a change, none for a change too small to matter, and the action is said."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments.drift import (
    PredictionPeriod,
    bin_counts,
    effect_drift,
    input_drift,
    prediction_drift,
    psi,
)
from promolift.core.experiments.experiment_design import adjust_p_values


def people(rng, n=2000, shift=0.0, new=0.0):
    town = np.where(rng.random(n) < new, "c", np.where(rng.random(n) < 0.7, "a", "b"))
    spend = np.where(rng.random(n) < 0.1, np.nan, rng.gamma(2, 50, n) + shift)
    frame = pl.DataFrame({"spend": spend, "town": town, "member": rng.random(n) < 0.5})
    return frame.with_columns(pl.col("spend").fill_nan(None))


def test_the_index_by_hand():
    same = np.array([[50, 50], [500, 500]])
    assert psi(same) == pytest.approx(0)
    half = np.array([[5000, 5000], [2500, 7500]])
    assert psi(half) == pytest.approx(0.25 * np.log(2) + 0.25 * np.log(1.5), abs=1e-3)


def test_missing_and_new_values_have_bins_of_their_own():
    before, now = pl.Series(["a", "a", "b", None]), pl.Series(["a", "z", None, None])
    assert bin_counts(before, now, 10).tolist() == [[1, 2, 1, 0], [2, 1, 0, 1]]
    numbers = bin_counts(pl.Series([1, 2, 3, 4, None]), pl.Series([4, 4, None, None, 9]), 2)
    assert numbers.tolist() == [[1, 2, 2], [2, 0, 3]]
    rare = bin_counts(pl.Series(["a"] * 5 + ["b", "c", "d"]), pl.Series(["d", "e"]), 2)
    assert rare.tolist() == [[5, 3, 0], [0, 1, 1]]


def test_a_shift_is_found_in_its_column_only_and_says_what_to_do():
    rng = np.random.default_rng(1)
    found = {each.what: each for each in input_drift(people(rng), people(rng, shift=60, new=0.3))}
    assert [found[name].drifted for name in ("spend", "town", "member")] == [True, True, False]
    assert [d.p_adjusted for d in found.values()] == adjust_p_values([d.p for d in found.values()], "holm")
    assert "fit the models on recent weeks" in str(found["spend"])
    assert "PSI of at least 0.2" in str(found["spend"])
    assert "nothing to do" in str(found["member"])


def test_a_gap_in_the_data_is_drift_too():
    rng = np.random.default_rng(2)
    now = people(rng).with_columns(spend=pl.when(pl.int_range(pl.len()) % 2 == 0).then("spend"))
    assert input_drift(people(rng), now)[0].drifted


def test_a_certain_but_small_change_is_no_drift():
    rng = np.random.default_rng(3)
    (small,) = input_drift(people(rng, 60_000).select("spend"), people(rng, 60_000, shift=6).select("spend"))
    assert small.p_adjusted < 1e-6
    assert small.drifted is False


def test_false_alarms_stay_below_alpha_over_all_columns(monkeypatch):
    rng = np.random.default_rng(4)
    monkeypatch.setattr("promolift.core.experiments.drift.MAX_PSI", 1e-9)
    monkeypatch.setattr("promolift.core.experiments.drift.ALPHA", 0.05)
    alarms = [any(d.drifted for d in input_drift(people(rng, 400), people(rng, 400))) for _ in range(300)]
    assert np.mean(alarms) < 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 300)


def test_predictions_that_promise_too_much_are_found_and_small_change_is_not():
    rng = np.random.default_rng(5)
    prob = rng.uniform(0.05, 0.4, 80_000)
    bought = rng.random(80_000) < prob
    worse = rng.random(80_000) < prob * 0.8
    a_little = rng.random(80_000) < prob * 0.97
    found = prediction_drift(PredictionPeriod(prob, bought), PredictionPeriod(prob, worse))
    assert found.drifted
    assert found.size == pytest.approx(1.25, abs=0.05)
    assert "recalibrate" in found.action
    assert prediction_drift(PredictionPeriod(prob, bought), PredictionPeriod(prob, a_little)).drifted is False
    assert prediction_drift(PredictionPeriod(prob, worse), PredictionPeriod(prob, bought)).size == pytest.approx(
        found.size
    )


def test_the_q_test_by_hand():
    found = effect_drift([1.0, 3.0], [1.0, 1.0])
    assert found.p == pytest.approx(0.1573, abs=1e-4)  # Q = 2 on one degree of freedom
    assert found.size == pytest.approx(0.5)
    assert found.drifted is False
    assert effect_drift([10.0, 1.0, 1.0], [1.0, 1.0, 1.0]).drifted
    assert "explore more" in effect_drift([10.0, 1.0, 1.0], [1.0, 1.0, 1.0]).action
    assert effect_drift([2.0, 2.0], [1.0, 1.0]).size == 0


@given(st.floats(-1e6, 1e6), st.floats(0.01, 1e6))
def test_the_unit_of_the_effect_changes_nothing(shift, scale):
    plain = effect_drift([1.0, 5.0, 2.0], [0.5, 0.7, 0.6])
    other = effect_drift([shift + scale * v for v in (1.0, 5.0, 2.0)], [scale * s for s in (0.5, 0.7, 0.6)])
    assert other.p == pytest.approx(plain.p, rel=1e-3, abs=1e-9)


def test_what_the_data_cannot_tell_is_left_open():
    rng = np.random.default_rng(6)
    few = input_drift(people(rng, 50), people(rng, 50))
    assert [each.drifted for each in few] == [None, None, None]
    assert "cannot say" in str(few[0])
    assert (
        prediction_drift(PredictionPeriod([0.1] * 20, [0] * 20), PredictionPeriod([0.1] * 20, [1] * 20)).drifted is None
    )
    assert effect_drift([1.0], [1.0]).drifted is None
    with raises_code("column_missing", "town"):
        input_drift(people(rng), people(rng).drop("town"))
    with raises_code("value_invalid", "effect"):
        effect_drift([1.0, 2.0], [1.0, 0.0])
    with raises_code("value_invalid", "prediction"):
        prediction_drift(PredictionPeriod([0.1], [np.nan]), PredictionPeriod([0.1], [1]))
