"""Laws of core/experiments/uplift_curves.py, against scikit-uplift's outputs and tables worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments import uplift_curves as u
from promolift.foundation.errors import SupportError

# outcome, score, treatment, then what scikit-uplift 0.5.1's qini_auc_score
PEER = {
    "distinct": ([1, 0, 1, 1, 0, 0, 1, 0], [8, 7, 6, 5, 4, 3, 2, 1], [1, 0, 1, 0, 1, 0, 0, 1], 0.5833333333333334),
    "ties": (
        [1, 0, 1, 0, 1, 0, 0, 1, 1, 0],
        [3, 3, 3, 2, 2, 2, 2, 1, 1, 1],
        [1, 1, 0, 0, 1, 0, 1, 0, 1, 0],
        -0.25225225225225223,
    ),
    "constant": ([1, 0, 1, 0, 0, 1], [5, 5, 5, 5, 5, 5], [1, 0, 1, 0, 1, 0], 0.0),
    "controls first": (
        [1, 1, 0, 1, 0, 0, 1, 1],
        [9, 8, 8, 6, 5, 4, 3, 2],
        [0, 0, 0, 1, 1, 0, 1, 1],
        -0.2222222222222222,
    ),
    "treated first": ([1, 1, 0, 1, 0, 0, 1, 1], [9, 8, 8, 6, 5, 4, 3, 2], [1, 1, 1, 0, 0, 1, 0, 0], 0.5061728395061729),
    "negative scores": (
        [0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0],
        [0.3, 0.3, -0.1, 0.2, -0.1, 0.5, 0.5, 0.5, -0.4, 0, 0, -0.4],
        [1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1],
        -0.1111111111111111,
    ),
    "more controls respond": (
        [1, 1, 1, 1, 1, 0, 1, 0, 1, 0],
        [10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
        [0, 0, 0, 1, 1, 1, 0, 0, 1, 1],
        0.08444444444444445,
    ),
}


def trial(n=600, seed=0, arms=2, money=False):
    """Scores on a grid (ties), unequal shares, an effect that grows with the first feature."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, arms - 1))
    p = np.r_[0.6, np.full(arms - 1, 0.4 / (arms - 1))]
    arm = rng.choice(arms, n, p=p)
    mean = 0.3 + 0.15 * np.c_[np.zeros(n), x][np.arange(n), arm]
    y = rng.gamma(2.0, np.maximum(mean, 0.01) * 50) if money else (rng.random(n) < mean).astype(float)
    return y, np.round(x + rng.normal(size=x.shape) / 2, 1), arm, np.tile(p, (n, 1))


@pytest.mark.parametrize("name", PEER)
def test_figures_equal_scikit_uplift(name):
    y, score, t, qini = PEER[name]
    assert u.qini(y, score, t).value == pytest.approx(qini, abs=1e-9)


def test_figures_by_hand():
    # best two tied: one treated buys, one control does not. Qini 1 at x = 2, 0 at x = 4: area 2. Ideal: 1 at 1, 1 at 3,
    # 0 at 4: area 3. The diagonals are 0.
    y, score, t = [1, 0, 0, 1], [2, 2, 1, 1], [1, 0, 1, 0]
    assert u.qini(y, score, t).value == pytest.approx(2 / 3)
    assert u.qini_area(y, score, t).value == pytest.approx(2 / (4 * 2))
    curve = u.qini_curve(y, score, t)
    np.testing.assert_allclose(curve.x_P, [0, 0.5, 1])
    np.testing.assert_allclose(curve.gain_P, [0, 0.5, 0])


def reference(y, score, t):
    """The definition again, one group at a time, in plain Python: area over the diagonal."""
    points, n1, n0, y1, y0 = [(0, 0.0)], 0, 0, 0, 0
    for value in sorted(set(score), reverse=True):
        for yi, si, ti in zip(y, score, t, strict=True):
            if si == value:
                n1, y1, n0, y0 = n1 + ti, y1 + ti * yi, n0 + 1 - ti, y0 + (1 - ti) * yi
        points.append((n1 + n0, y1 - (y0 * n1 / n0 if n0 else 0)))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    return area - points[-1][0] * points[-1][1] / 2


ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(0, 1)), min_size=5, max_size=40).filter(
    lambda rows: 2 <= sum(t for *_, t in rows) <= len(rows) - 2
)


@given(ROWS)
@cases(100)
def test_figures_follow_the_definition_on_any_rows(rows):
    y, score, t = (list(each) for each in zip(*rows, strict=True))
    best = reference(y, [a * c - a * (1 - c) for a, _, c in rows], t)
    if abs(best) < 1e-9:
        with raises_code("no_variation", kind=SupportError):
            u.qini(y, score, t)
    else:
        found = u.qini(y, score, t)
        assert found.value == pytest.approx(reference(y, score, t) / best, abs=1e-9)
        assert found.low <= found.value <= found.high


@given(ROWS, st.randoms(use_true_random=False))
@cases(30)
def test_row_order_and_monotone_scores_change_nothing(rows, random):
    moved = random.sample(rows, len(rows))
    y, score, t = (np.array(each) for each in zip(*rows, strict=True))
    y2, score2, t2 = (np.array(each) for each in zip(*moved, strict=True))
    a, c = u.qini_area(y, score, t), u.qini_area(y2, np.exp(score2) * 10, t2)
    assert (a.value, a.se) == (pytest.approx(c.value, abs=1e-12), pytest.approx(c.se, abs=1e-12))


@pytest.mark.parametrize("figure", [u.qini, u.qini_area])
@pytest.mark.parametrize("money", [False, True])
def test_the_influence_of_a_row_is_what_leaving_it_out_changes(figure, money):
    y, score, t, _ = trial(800, money=money)
    if money and figure is u.qini:
        with raises_code("outcome_not_binary", "qini_area"):
            figure(y, score[:, 0], t)
        return
    found = figure(y, score[:, 0], t)
    rows = range(0, 800, 16)
    left = np.array([figure(*(np.delete(v, i) for v in (y, score[:, 0], t))).value for i in rows])
    np.testing.assert_allclose(found.value - left, found.influence_N[list(rows)], atol=0.02 * found.se)
    assert found.influence_N.sum() == pytest.approx(0, abs=1e-9)


def test_intervals_cover_and_are_no_wider_than_needed():
    # effect 0.15 x and score x: the area is a fixed number, read off one huge trial
    def draw(n, seed):
        rng = np.random.default_rng(seed)
        x, t = rng.normal(size=n), rng.random(n) < 0.4
        return (rng.random(n) < 0.4 + 0.15 * np.clip(x, -2, 2) * t).astype(float), x, t.astype(int)

    truth = u.qini_area(*draw(400_000, 1)).value
    found = [u.qini_area(*draw(500, seed)) for seed in range(2, 302)]
    inside = np.mean([f.low <= truth <= f.high for f in found])
    assert 0.91 <= inside <= 0.985
    assert np.std([f.value for f in found]) == pytest.approx(np.mean([f.se for f in found]), rel=0.1)


def test_the_curve_ends_at_the_difference_of_means_and_its_standard_error():
    y, score, t, _ = trial(3000, money=True)
    one, zero = y[t == 1], y[t == 0]
    curve = u.qini_curve(y, score[:, 0], t)
    assert curve.gain_P[-1] == pytest.approx(one.mean() - zero.mean())
    assert curve.se_P[-1] == pytest.approx(np.sqrt(one.var() / len(one) + zero.var() / len(zero)))
    assert (curve.low_P <= curve.high_P).all()
    assert len(u.qini_curve(y, np.arange(3000), t, points=11).x_P) == 12


def test_policy_values_by_hand():
    y, arm, prob = [2.0, 4.0, 6.0], [0, 1, 1], [[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]]
    ips = u.arm_scores(y, arm, prob)
    np.testing.assert_allclose(ips, [[4, 0], [0, 8], [0, 7.5]])
    robust = u.arm_scores(y, arm, prob, [[1, 3], [1, 3], [1, 3]])
    np.testing.assert_allclose(robust, [[3, 3], [1, 5], [1, 3 + 3 / 0.8]])
    assert u.policy_value(robust, [0, 1, 1]).value == pytest.approx((3 + 5 + 6.75) / 3)
    assert u.policy_value(ips, [[1, 0], [0.5, 0.5], [0, 1]]).value == pytest.approx((4 + 4 + 7.5) / 3)
    found = u.policy_value(ips, [0, 1, 1])
    assert found.se == pytest.approx(np.std([4, 8, 7.5], ddof=1) / np.sqrt(3))


def test_weights_undo_unequal_chances_that_fool_the_plain_mean():
    rng = np.random.default_rng(3)
    rich = rng.random(40_000) < 0.5
    prob = np.where(rich[:, None], [0.2, 0.8], [0.8, 0.2])
    arm = (rng.random(40_000) < prob[:, 1]).astype(int)
    y = np.where(rich, 10.0, 1.0) + rng.normal(size=40_000)  # the offer adds nothing
    lift = u.paired_difference(*(u.policy_value(u.arm_scores(y, arm, prob), np.full(40_000, a)) for a in (1, 0)))
    assert y[arm == 1].mean() - y[arm == 0].mean() > 5
    assert abs(lift.value) < 3 * lift.se
    model = np.where(rich[:, None], [10.0, 10.0], [1.0, 1.0])
    exact = u.paired_difference(
        *(u.policy_value(u.arm_scores(y, arm, prob, model), np.full(40_000, a)) for a in (1, 0))
    )
    assert abs(exact.value) < 3 * exact.se < lift.se  # a good model takes most of the noise away


def test_an_arm_without_a_chance_is_refused_not_valued_at_zero():
    scores = u.arm_scores([1.0, 2.0], [0, 0], [[1.0, 0.0], [0.5, 0.5]])
    assert u.policy_value(scores, [0, 1]).n == 2
    with raises_code("no_overlap", "1 of 2"):
        u.policy_value(scores, [1, 1])
    with raises_code("propensity_zero", "1 customers"):
        u.arm_scores([1.0, 2.0], [1, 0], [[1.0, 0.0], [0.5, 0.5]])


def test_a_paired_difference_is_sharper_than_two_apart():
    y, score, t, _ = trial(4000)
    noisy = score[:, 0] + np.random.default_rng(1).normal(size=4000) / 5
    a, c = u.qini(y, score[:, 0], t), u.qini(y, noisy, t)
    paired = u.paired_difference(a, c)
    assert paired.value == pytest.approx(a.value - c.value)
    assert paired.se < 0.5 * np.hypot(a.se, c.se)
    assert u.paired_difference(a, a).se == 0
    with raises_code("shapes_differ", "4000", "3999"):
        u.paired_difference(a, u.qini(y[:-1], noisy[:-1], t[:-1]))


@pytest.mark.parametrize(
    ("change", "code", "fact"),
    [
        ({"t": [1, 2, 0, 0]}, "treatment_not_binary", "qini"),
        ({"score": [1.0, np.nan, 2.0, 3.0]}, "value_missing", "qini"),
        ({"y": [1, 0, 1]}, "shapes_differ", "3 outcomes"),
        ({"y": [3, 0, 1, 0]}, "outcome_not_binary", "qini_area"),
    ],
)
def test_input_that_makes_no_sense_is_named(change, code, fact):
    rows = {"y": [1, 0, 1, 0], "score": [1.0, 2.0, 3.0, 4.0], "t": [1, 1, 0, 0]} | change
    with raises_code(code, fact):
        u.qini(rows["y"], rows["score"], rows["t"])


def test_too_few_of_an_arm_is_no_figure():
    with raises_code("arm_too_small", "1 treated", "3 controls"):
        u.qini([1, 0, 1, 0], [1, 2, 3, 4], [1, 0, 0, 0])
