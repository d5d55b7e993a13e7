"""Laws of core/experiments/lift.py: the peer's numbers, the bootstrap's errors, and no harm from bad covariates."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.experiments import lift as module
from promolift.core.experiments.arm_sums import ArmSums, OutlierCap, sum_by_group
from promolift.core.experiments.lift import Metric, lift, shared_theta
from promolift.foundation.errors import SupportError

MEAN = Metric(name="margin", value="y")
CUPED = Metric(name="margin", value="y", covariates=("x",))
RATIO = Metric(name="margin per order", value="y", per="d")


def sums(columns, caps=None):
    """Sums of one arm."""
    rows = pl.DataFrame({name: np.asarray(values, dtype=float) for name, values in columns.items()})
    return sum_by_group(rows.with_columns(arm=pl.lit("one")), tuple(columns), caps=caps)[("one",)]


def made(n, y, x, d=(1.0, 1.0), products=(0.0, 0.0, 0.0)):
    """Sums of columns y, x, d from (sum, sum of squares) and the products xy, yd, xd."""
    (xy, yd, xd) = products
    return ArmSums(("y", "x", "d"), n, (y[0], x[0], d[0]), (y[1], xy, yd, x[1], xd, d[1]), (None,) * 3, (0,) * 3)


# Stated inputs; the numbers below are the outputs of gbstats 0.8.0 on them.
CONTROL = made(400, (52e3, 9.1e6), (44e3, 6.5e6), (900, 2600), (7.3e6, 140e3, 0))
ARM = made(3600, (486e3, 87e6), (399e3, 59e6), (8000, 23e3), (68e6, 1.3e6, 0))
EQUAL_CONTROL = made(2000, (260e3, 45.5e6), (220e3, 32.5e6), products=(36.5e6, 0, 0))
EQUAL_ARM = made(2000, (270e3, 48.3e6), (220e3, 33.1e6), products=(37.9e6, 0, 0))
PEER_THETA = 0.9561223403446335


@pytest.mark.parametrize(
    ("arms", "metric", "absolute", "relative"),
    [
        ((CONTROL, ARM), MEAN, (5.0, 4.038882975232309), (0.038461538461538464, 0.03214435273358383)),
        ((CONTROL, ARM), RATIO, (2.9722222222222214, 1.4832940022956749), (0.051442307692307676, 0.02686522637026348)),
        ((EQUAL_CONTROL, EQUAL_ARM), CUPED, (5.0, 1.4563561643143281), None),
    ],
)
def test_mean_ratio_and_covariate_lifts_are_the_peers(arms, metric, absolute, relative):
    found = lift(*arms, metric)
    assert (found.lift, found.se) == pytest.approx(absolute, abs=1e-9)
    if relative:
        assert (found.relative, found.relative_se) == pytest.approx(relative, abs=1e-9)


def test_with_the_peers_slope_unequal_arms_agree_too_and_ours_has_the_smaller_error(monkeypatch):
    ours = lift(CONTROL, ARM, CUPED)
    monkeypatch.setattr(module, "shared_theta", lambda *_: np.array([0.0, PEER_THETA, 0.0]))
    theirs = lift(CONTROL, ARM, CUPED)
    assert (theirs.lift, theirs.se) == pytest.approx((4.203231383046145, 2.4179708900520382), abs=1e-9)
    assert ours.se < theirs.se


def test_the_interval_of_the_peer_uses_our_degrees_of_freedom():
    from scipy import stats

    found = lift(CONTROL, ARM, MEAN)
    half = stats.t.ppf(0.975, found.freedom) * found.se
    assert (found.lift - half, found.lift + half) == pytest.approx((-2.935538126670054, 12.935538126670053), abs=1e-9)
    assert 2 * stats.t.sf(found.lift / found.se, found.freedom) == pytest.approx(0.21631760063487415, abs=1e-9)


def test_the_error_of_the_relative_lift_is_its_slope_in_every_mean():
    """By small steps in each mean; the lift is large and the covariate strong, so that its common mean matters."""
    rng = np.random.default_rng(11)
    x = [rng.gamma(2, 50, n) for n in (300, 900)]
    control, arm = (sums({"y": f * v + rng.normal(0, 9, v.size), "x": v}) for f, v in zip((1, 4), x, strict=True))
    found, n = lift(control, arm, CUPED), np.array([300, 900])
    cov = [control.covariance_CC, arm.covariance_CC]
    theta = shared_theta(cov, [np.array([1.0, 0.0])] * 2, [300, 900], [1])[1]

    def relative(mean_AC):
        adjusted = mean_AC[:, 0] - theta * (mean_AC[:, 1] - n @ mean_AC[:, 1] / n.sum())
        return adjusted[1] / adjusted[0] - 1

    mean_AC = np.stack([control.mean_C, arm.mean_C])
    steps = np.eye(4).reshape(4, 2, 2) * 1e-4
    slope_AC = np.array([(relative(mean_AC + e) - relative(mean_AC - e)) / 2e-4 for e in steps]).reshape(2, 2)
    variance = sum(g @ c @ g / size for g, c, size in zip(slope_AC, cov, n, strict=True))
    assert found.relative == pytest.approx(relative(mean_AC))
    assert found.relative_se == pytest.approx(np.sqrt(variance), rel=1e-6)


def shop(rng, n, effect=0.0):
    x = rng.gamma(1.5, 40, n)
    d = rng.poisson(1.2, n) + 1.0
    y = np.where(rng.random(n) < 0.5, 0.8 * x * d + rng.exponential(20, n), 0.0) * (1 + effect)
    return {"y": y, "x": x, "d": d}


@pytest.mark.parametrize(
    "metric",
    [MEAN, CUPED, RATIO, Metric(name="adjusted ratio", value="y", per="d", covariates=("x",))],
    ids=lambda metric: f"{metric.name} {metric.covariates}",
)
def test_standard_errors_are_the_spread_of_repeated_experiments(metric):
    rng = np.random.default_rng(3)
    found = [lift(sums(shop(rng, 300)), sums(shop(rng, 1500, 0.4)), metric) for _ in range(800)]
    for value, se in (("lift", "se"), ("relative", "relative_se")):
        spread = np.std([getattr(each, value) for each in found])
        assert np.mean([getattr(each, se) for each in found]) == pytest.approx(spread, rel=0.09)
    truth = 0.4 * np.mean([each.control for each in found])
    assert np.mean([each.lift for each in found]) == pytest.approx(truth, rel=0.04)


def test_covariates_cut_the_noise_by_their_squared_correlation():
    rng = np.random.default_rng(5)
    x = rng.normal(100, 10, 8000)
    y = x + rng.normal(0, 10, 8000)
    pair = [sums({"y": y[part], "x": x[part], "d": y[part]}) for part in (slice(0, 2000), slice(2000, 8000))]
    assert lift(*pair, CUPED).noise_cut == pytest.approx(0.5, abs=0.05)
    assert lift(*pair, MEAN).noise_cut == 0


def test_constant_and_repeated_covariates_do_no_harm():
    rng = np.random.default_rng(6)
    one = shop(rng, 500) | {"copy": np.zeros(500), "flat": np.full(500, 7.0)}
    two = shop(rng, 500) | {"copy": np.zeros(500), "flat": np.full(500, 7.0)}
    for side in (one, two):
        side["copy"] = 3 * side["x"]
    plain = lift(sums(one), sums(two), CUPED)
    more = lift(sums(one), sums(two), CUPED.model_copy(update={"covariates": ("x", "copy", "flat")}))
    assert (more.lift, more.se) == pytest.approx((plain.lift, plain.se), rel=1e-8)
    none = lift(sums(one), sums(two), CUPED.model_copy(update={"covariates": ("flat",)}))
    assert none.se == pytest.approx(lift(sums(one), sums(two), MEAN).se, rel=1e-12)


def test_the_slope_gives_each_arm_the_weight_of_its_error():
    """A holdout of a tenth with its own slope: pooled rows would follow the large arm and lose precision."""
    rng = np.random.default_rng(8)
    small, large = rng.normal(0, 1, (2, 1000)), rng.normal(0, 1, (2, 9000))
    control = sums({"y": 3 * small[0] + small[1], "x": small[0]})
    arm = sums({"y": 1 * large[0] + large[1], "x": large[0]})
    cov, slope = [control.covariance_CC, arm.covariance_CC], [np.array([1.0, 0.0])] * 2
    theta = shared_theta(cov, slope, [1000, 9000], [1])[1]
    assert theta == pytest.approx(0.9 * 3 + 0.1 * 1, abs=0.1)


def test_no_relative_lift_without_a_base():
    rng = np.random.default_rng(9)
    control, arm = (sums({"y": rng.normal(0, 1, 300)}) for _ in range(2))
    found = lift(control, arm, MEAN)
    assert found.relative is None
    assert "not clearly above 0" in found.note


def test_what_cannot_be_compared_is_refused():
    with raises_code("no_variation", kind=SupportError):
        lift(sums({"y": [1, 1, 1]}), sums({"y": [1, 1, 1]}), MEAN)
    with raises_code("ratio_undefined", "d is 0", kind=SupportError):
        lift(sums({"y": [1, 2], "d": [0, 0]}), sums({"y": [1, 2], "d": [1, 1]}), RATIO)
    with raises_code("arms_not_comparable", MEAN.name):
        lift(sums({"y": [1, 2]}), sums({"y": [1, 2]}, {"y": OutlierCap("stated", high=1)}), MEAN)
