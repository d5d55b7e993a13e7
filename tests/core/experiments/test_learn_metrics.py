"""Laws of core/experiments/prediction_metrics.py, against scikit-learn and tables worked out by hand."""

import math

import numpy as np
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from promolift.core.experiments import prediction_metrics as m
from promolift.foundation.errors import SupportError
from promolift.foundation.hashing import hash_units

Z = 1.959963984540054


def sample(n=400, seed=1, grid=12):
    """Labels and tied probabilities with real signal."""
    prob = np.round(hash_units((seed, "p"), range(n)) * grid) / grid
    label = hash_units((seed, "y"), range(n)) < 0.15 + 0.5 * prob
    return label.astype(int), np.clip(prob, 0.02, 0.98)


@pytest.mark.parametrize("seed", range(5))
def test_values_agree_with_scikit_learn_on_tied_scores(seed):
    y, p = sample(seed=seed)
    assert m.auc(y, p).value == pytest.approx(sk.roc_auc_score(y, p), abs=1e-12)
    assert m.log_loss(y, p).value == pytest.approx(sk.log_loss(y, p), abs=1e-12)


def test_log_loss_of_a_certain_and_wrong_prediction_is_finite_as_in_scikit_learn():
    assert m.log_loss([0, 1, 1], [0.0, 0.0, 1.0]).value == pytest.approx(
        sk.log_loss([0, 1, 1], [0.0, 0.0, 1.0]), abs=1e-9
    )


def test_delong_by_hand():
    # positives 3, 1, 5; negatives 2, 0, 1 (one tie at 1). psi rows: 3 beats all (1, 1, 1); 1: (0, 1, .5); 5: (1, 1, 1)
    v10, v01 = np.array([1, 0.5, 1]), np.array([2 / 3, 1, 2.5 / 3])
    value = 7.5 / 9
    se = math.sqrt(v10.var(ddof=1) / 3 + v01.var(ddof=1) / 3)
    half = Z * se / (value * (1 - value))
    centre = math.log(value / (1 - value))
    score = m.auc([1, 0, 1, 0, 1, 0], [3, 2, 1, 0, 5, 1])
    assert score.value == pytest.approx(value, abs=1e-12)
    assert score.low == pytest.approx(1 / (1 + math.exp(half - centre)), abs=1e-9)
    assert score.high == pytest.approx(1 / (1 + math.exp(-half - centre)), abs=1e-9)
    assert score.n == 6


def test_a_perfect_ranking_still_has_an_interval():
    score = m.auc([0] * 50 + [1] * 4, list(range(54)))
    assert (score.value, score.high) == (1.0, 1.0)
    assert score.low == pytest.approx(4 / (4 + Z**2), abs=1e-9)  # Wilson at 4 of 4
    assert m.auc([1] * 4 + [0] * 50, list(range(54))).high < 1


def test_wilson_against_published_and_exact_values():
    assert m.wilson_interval(0, 10) == pytest.approx((0.0, Z**2 / (10 + Z**2)), abs=1e-12)
    assert m.wilson_interval(10, 100) == pytest.approx((0.0552, 0.1744), abs=5e-5)
    low, high = stats.binomtest(37, 120).proportion_ci(method="wilson")
    assert m.wilson_interval(37, 120) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("figure", [m.auc, m.log_loss, m.calibration])
def test_one_class_is_refused_with_the_counts(figure):
    with raises_code("too_few_outcomes", "0 positive", "3 negative"):
        figure([0, 0, 0], [0.1, 0.2, 0.3])
    with raises_code("too_few_outcomes", "3 positive", "0 negative"):
        figure([1, 1, 1], [0.1, 0.2, 0.3])


@pytest.mark.parametrize("figure", [m.auc, m.log_loss, m.calibration])
def test_rows_of_the_same_customer_do_not_count_as_new_evidence(figure):
    y, p = sample(60)
    once = figure(y, p, groups=[str(i) for i in range(60)])
    thrice = figure(np.tile(y, 3), np.tile(p, 3), groups=[str(i) for i in range(60)] * 3)
    alone = figure(np.tile(y, 3), np.tile(p, 3))
    once, thrice, alone = (s.in_the_large if isinstance(s, m.Calibration) else s for s in (once, thrice, alone))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=1e-9)
    assert alone.high - alone.low < 0.7 * (thrice.high - thrice.low)


def test_interval_by_customer_by_hand():
    prob = np.array([0.8, 0.8, 0.3, 0.9])  # customers a, a, b, b
    error = -np.log(np.where([1, 0, 0, 1], prob, 1 - prob))
    score = m.log_loss([1, 0, 0, 1], prob, groups=["a", "a", "b", "b"])
    a, b = (error[:2] - error.mean()).sum(), (error[2:] - error.mean()).sum()
    half = 12.706204736 * math.sqrt(2 * (a * a + b * b)) / 4  # t with 1 degree of freedom; 2 / (2 - 1) groups
    assert (score.low, score.high) == pytest.approx((error.mean() - half, error.mean() + half), abs=1e-8)


@pytest.mark.parametrize("figure", [m.auc, m.log_loss])
def test_the_interval_covers_the_truth_about_95_times_in_100(figure):
    def draw(s, n):
        p = hash_units(("p", s), range(n)) ** 2
        return (hash_units(("y", s), range(n)) < p).astype(int), p

    truth = figure(*draw("truth", 200_000)).value
    scores = [figure(*draw(s, 120)) for s in range(240)]
    assert 0.92 <= np.mean([s.low <= truth <= s.high for s in scores]) <= 0.98


def test_calibration_bins_by_hand():
    prob = [0.1, 0.1, 0.2, 0.2, 0.6, 0.6, 0.8, 0.8]
    label = [0, 0, 0, 1, 1, 0, 1, 1]
    result = m.calibration(label, prob, bins=4)
    assert [(b.prob, b.rate, b.n, b.positives) for b in result.bins] == [
        (pytest.approx(0.1), 0.0, 2, 0),
        (pytest.approx(0.2), 0.5, 2, 1),
        (pytest.approx(0.6), 0.5, 2, 1),
        (pytest.approx(0.8), 1.0, 2, 2),
    ]
    assert (result.bins[1].low, result.bins[1].high) == m.wilson_interval(1, 2)
    assert result.in_the_large.value == pytest.approx(0.425 / 0.5)
    z = np.array(prob) / 0.425 - np.array(label) / 0.5
    half = Z * z.std(ddof=1) / math.sqrt(8)
    assert math.log(result.in_the_large.high / result.in_the_large.value) == pytest.approx(half, abs=1e-9)
    assert math.log(result.in_the_large.value / result.in_the_large.low) == pytest.approx(half, abs=1e-9)


@given(st.permutations(range(40)), st.integers(1, 12))
@cases(40)
def test_row_order_changes_no_bin_and_every_row_is_in_one(order, bins):
    y, p = sample(40, grid=5)
    here, there = m.calibration(y, p, bins), m.calibration(y[list(order)], p[list(order)], bins)
    assert [(b.n, b.positives) for b in here.bins] == [(b.n, b.positives) for b in there.bins]
    assert sum(b.n for b in here.bins) == 40
    assert len(here.bins) <= bins


def test_bins_are_of_equal_count_without_ties():
    p = (np.arange(100) + 0.5) / 100
    assert [b.n for b in m.calibration(np.arange(100) % 2, p, bins=10).bins] == [10] * 10


def test_a_constant_prediction_is_one_bin():
    assert [b.n for b in m.calibration([0, 1, 1, 0] * 5, [0.3] * 20).bins] == [20]


@pytest.mark.parametrize(
    ("call", "code", "fact"),
    [
        (lambda: m.auc([0, 2, 1], [1, 2, 3]), "outcome_not_binary", "auc"),
        (lambda: m.auc([0, float("nan"), 1], [1, 2, 3]), "outcome_not_binary", "auc"),
        (lambda: m.log_loss([0, 1], [0.2, 1.2]), "probabilities_invalid", "1.2"),
        (lambda: m.auc([0, 1, 1, 0], [1, 2, 3, float("inf")]), "value_invalid", "auc"),
        (lambda: m.auc([0, 1, 1, 0], [1, 2, 3]), "shapes_differ", "(3,)"),
        (lambda: m.log_loss([0, 1], [0.2, 0.3], groups=["a"]), "shapes_differ", "1 of them for 2"),
    ],
)
def test_impossible_input_is_named(call, code, fact):
    with raises_code(code, fact):
        call()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: m.auc([0, 0, 1], [1, 2, 3]), "too_few_outcomes"),
        (lambda: m.auc([], []), "too_few_outcomes"),
        (lambda: m.log_loss([0, 1], [0.2, 0.3], groups=["a", "a"]), "too_few_customers"),
    ],
)
def test_too_few_rows_are_a_refusal_not_a_number(call, code):
    with raises_code(code, kind=SupportError):
        call()


def test_bins_of_a_right_forecast_hold_what_came_though_customers_come_or_stay_away_with_all_they_buy():
    rng, right, alone = np.random.default_rng(5), 0, 0
    nodes, weight = np.polynomial.hermite_e.hermegauss(31)
    for _ in range(20):
        level, who = rng.normal(-1.6, 1.1, 400 * 84), np.repeat(np.arange(400), 84)
        prob = (1 / (1 + np.exp(-level[:, None] - nodes))) @ weight / weight.sum()  # what is true on average
        hit = rng.random(len(who)) < 1 / (1 + np.exp(-level - rng.normal(0, 1, 400)[who]))
        right += sum(b.low <= b.prob <= b.high for b in m.calibration(hit, prob, groups=who).bins)
        alone += sum(b.low <= b.prob <= b.high for b in m.calibration(hit, prob).bins)
    assert 180 <= right <= 198
    assert alone <= right - 10
