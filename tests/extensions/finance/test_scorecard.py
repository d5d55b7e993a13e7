"""Laws of the scorecard and of the leak check: calibrated, about each month's level, and no name is asked."""

import numpy as np
import polars as pl
import pytest
import scipy
from error_checks import raises_code

from promolift.core.experiments.prediction_metrics import auc, calibration
from promolift.extensions.finance.leakage import find_leaks
from promolift.extensions.finance.scorecard import fit_scorecard, period_features
from promolift.foundation.errors import SupportError

LEVELS = np.array([-3.0, -1.0, -2.5, -0.5, -0.4, -0.3])


def people(seed: int, size: int = 4000) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Features, yes and no, and months whose levels differ; `index` only says which month it is."""
    rng = np.random.default_rng(seed)
    month = np.sort(rng.integers(0, len(LEVELS), size))
    score, kind = rng.normal(size=size), rng.choice(["a", "b", "c"], size)
    odds = LEVELS[month] + 1.2 * score + 0.8 * (kind == "a")
    y = (rng.random(size) < scipy.special.expit(odds)).astype(float)
    frame = pl.DataFrame({"score": score, "kind": kind, "noise": rng.normal(size=size), "index": 100.0 + 3 * month % 7})
    return frame, y, month


@pytest.mark.parametrize("seed", [1, 2])
def test_a_new_month_is_judged_by_who_stands_in_it_and_the_latest_level(seed: int) -> None:
    frame, y, month = people(seed)
    past, new = np.flatnonzero(month < 5), np.flatnonzero(month == 5)
    card = fit_scorecard(frame[past], y[past], month[past])
    prob = card.predict(frame[new])
    assert card.fixed == ("index",)
    assert auc(y[new], prob).value > 0.75
    level = calibration(y[new], prob).in_the_large
    assert level.low < 1.1
    assert level.high > 0.9


def test_probabilities_out_of_fold_are_calibrated_within_every_month() -> None:
    frame, y, month = people(3)
    card = fit_scorecard(frame, y, month)
    for each in range(len(LEVELS)):
        mine = month == each
        assert card.fold_prob_N[mine].mean() == pytest.approx(y[mine].mean(), abs=0.02)


def test_the_order_of_rows_changes_no_probability() -> None:
    frame, y, _ = people(4, 1500)
    turned = np.random.default_rng(0).permutation(len(y))
    one, other = fit_scorecard(frame, y), fit_scorecard(frame[turned], y[turned])
    np.testing.assert_allclose(one.predict(frame), other.predict(frame), atol=0.02)


def test_reasons_name_what_raises_the_odds_and_the_value_it_has() -> None:
    frame, y, month = people(5)
    card = fit_scorecard(frame, y, month)
    first, *_ = card.reasons(frame.head(1).with_columns(score=pl.lit(2.5), kind=pl.lit("b")))
    assert (first[0].feature, first[0].value) == ("score", "2.5")
    assert first[0].adds > 1


def test_few_of_one_kind_are_refused_with_their_number() -> None:
    frame, y, _ = people(6, 400)
    with raises_code("too_few_outcomes", "400", kind=SupportError):
        fit_scorecard(frame, 0 * y)


def test_two_months_settle_no_feature() -> None:
    assert period_features(pl.DataFrame({"x": [1.0, 1.0, 2.0, 2.0]}), np.array([0, 0, 1, 1])) == []


def test_what_came_afterwards_leaks_whatever_it_is_called() -> None:
    frame, y, _ = people(7)
    rng = np.random.default_rng(8)
    call = np.where(y == 1, rng.gamma(6, 90, len(y)), rng.gamma(2, 70, len(y)))
    found = find_leaks(frame.drop("index").with_columns(pl.Series("dauer", call)), y)
    assert [leak.feature for leak in found] == ["dauer"]


def test_the_same_leak_twice_hides_neither() -> None:
    frame, y, _ = people(9)
    rng = np.random.default_rng(10)
    call = np.where(y == 1, rng.gamma(6, 90, len(y)), rng.gamma(2, 70, len(y)))
    both = frame.drop("index").with_columns(pl.Series("seconds", call), pl.Series("minutes", np.round(call / 60, 2)))
    assert {leak.feature for leak in find_leaks(both, y)} == {"seconds", "minutes"}


def test_money_that_only_bad_debts_have_leaks() -> None:
    frame, y, _ = people(11)
    rng = np.random.default_rng(12)
    recovered = np.where((y == 1) & (rng.random(len(y)) < 0.4), rng.gamma(2, 100, len(y)), 0.0)
    found = find_leaks(frame.drop("index").with_columns(pl.Series("recovered", recovered)), y)
    assert [leak.feature for leak in found] == ["recovered"]


def test_a_good_score_among_weak_features_is_no_leak_and_what_was_known_may_be_kept() -> None:
    frame, y, _ = people(13)
    assert find_leaks(frame, y) == []
    tells = frame.with_columns(pl.Series("told", y + 0.0))
    assert [leak.feature for leak in find_leaks(tells, y)] == ["told"]
    assert find_leaks(tells, y, keep=["told"]) == []
