"""Randomised depths in shops whose curves are known: found, pooled, with honest bands, none where none are."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.effects.uplift.dose_response import DoseModel, depth_basis, fit_dose, noise_variance
from promolift.foundation.errors import SupportError

DEPTHS = np.array([0.0, 0.1, 0.2, 0.3])
Trio = tuple[pl.DataFrame, np.ndarray, np.ndarray]


def shop(seed: int, rows: int, lift: float = 0.5, own: float = 0.0) -> tuple[Trio, np.ndarray]:
    """Features, depth and Poisson units; gain = units * lift * (1 + own * keen) * sqrt(depth / 0.3), N x 3."""
    rng = np.random.default_rng(seed)
    past = rng.gamma(2.0, 1.0, rows)
    keen = rng.choice([-1.0, 1.0], rows)
    frame = pl.DataFrame(
        {"past": past, "keen": keen, "luck": rng.standard_normal(rows), "city": rng.choice(["a", "b"], rows)}
    )
    depth = DEPTHS[rng.integers(0, 4, rows)]
    gain = (past * lift * (1 + own * keen))[:, None] * np.sqrt(DEPTHS / 0.3)
    mean = past + gain[np.arange(rows), np.searchsorted(DEPTHS, depth)]
    return (frame, depth, rng.poisson(mean).astype(float)), gain[:, 1:]


@pytest.fixture(scope="module")
def differing() -> tuple[DoseModel, Trio, np.ndarray]:
    data, gain = shop(1, 8000, own=0.6)
    return fit_dose(*data), data, gain


def test_customers_that_differ_are_told_apart(differing: tuple[DoseModel, Trio, np.ndarray]) -> None:
    model, (features, depth, y), gain = differing
    constant = np.array([y[depth == d].mean() for d in DEPTHS[1:]]) - y[depth == 0].mean()
    error = np.sqrt(((model.curve(features).gain_ND - gain) ** 2).mean())
    assert error < 0.3 * np.sqrt(((constant - gain) ** 2).mean())
    assert model.forms["by features"] > 0.9


def test_without_an_effect_nothing_is_found() -> None:
    rich = []
    for seed in range(3):
        (features, depth, y), _ = shop(seed, 4000, lift=0.0)
        model = fit_dose(features, depth, y)
        curve = model.curve(features)
        rich.append(model.forms["by features"])
        assert curve.gain_ND.std(axis=0).max() < 0.1 * y.std()
        assert (np.abs(curve.gain_ND.mean(axis=0)) < 4 * curve.se_ND.mean(axis=0)).all()
    assert np.mean(rich) < 0.5


def test_the_band_of_the_mean_gain_covers_it_about_as_often_as_it_says() -> None:
    inside = []
    for seed in range(12):
        data, gain = shop(100 + seed, 1500, lift=0.3)
        found = fit_dose(*data).segment(data[0], np.zeros(1500, dtype=int))
        inside += ((found["low"] <= gain.mean(axis=0)) & (found["high"] >= gain.mean(axis=0))).to_list()
    assert np.mean(inside) >= 0.8  # 36 of which each 3 are one draw: 95 % is 34


def test_pooling_depths_beats_reading_each_alone() -> None:
    pooled, alone = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        depth = DEPTHS[rng.integers(0, 4, 2000)]
        y = 1.0 + depth + rng.standard_normal(2000)
        features = pl.DataFrame({"luck": rng.standard_normal(2000)})
        gain = fit_dose(features, depth, y).curve(features).gain_ND.mean(axis=0)
        pooled.append((gain - DEPTHS[1:]) ** 2)
        alone.append((np.array([y[depth == d].mean() for d in DEPTHS[1:]]) - y[depth == 0].mean() - DEPTHS[1:]) ** 2)
    assert np.mean(pooled) < 0.8 * np.mean(alone)


def test_untried_depths_lie_between_with_wider_bands(differing: tuple[DoseModel, Trio, np.ndarray]) -> None:
    model, (features, _, _), _ = differing
    curve = model.curve(features, [0, 0.1, 0.15, 0.2, 0.3, 0.4])
    mean = curve.gain_ND.mean(axis=0)
    assert mean[0] == 0
    assert not curve.se_ND[:, 0].any()
    assert mean[1] < mean[2] < mean[3] < mean[4]
    relative = curve.se_ND.mean(axis=0)
    assert relative[5] > 1.3 * relative[4]
    left = depth_basis(np.array([0.1, 0.15, 0.3, 0.4]), DEPTHS).left_D
    assert (left[[0, 2]] == 0).all()
    assert 0 < left[1] < left[3]
    with raises_code("depth_out_of_range", "0.5", "0 to 0.45", kind=SupportError):
        model.curve(features, [0.5])
    with raises_code("depth_out_of_range", "-0.1", "0 to 0.45"):
        model.curve(features, [-0.1])


def test_a_segment_is_the_mean_of_its_customers(differing: tuple[DoseModel, Trio, np.ndarray]) -> None:
    model, (features, _, _), _ = differing
    rows = model.segment(features, features["keen"].to_numpy(), [0.2])
    mine = (features["keen"] == 1.0).to_numpy()
    curve = model.curve(features, [0.2])
    last = rows.filter(pl.col("segment") == "1.0").row(0, named=True)
    assert last["gain"] == pytest.approx(curve.gain_ND[mine].mean())
    assert last["customers"] == mine.sum()
    assert last["se"] < curve.se_ND[mine].mean()
    with raises_code("shapes_differ", "by", "3", "8000"):
        model.segment(features, ["a", "b", "c"])


def test_negative_and_binary_outcomes_and_one_depth_are_read_too() -> None:
    (features, depth, y), _ = shop(5, 3000, lift=0.8)
    profit = fit_dose(features, depth, 2 * y - 3)
    assert not profit.terms.ratio
    assert profit.curve(features).gain_ND[:, 2].mean() == pytest.approx(2 * 1.6, abs=0.5)
    bought = fit_dose(features, depth, (y > 0).astype(float)).curve(features).gain_ND
    assert 0 < bought[:, 2].mean() < 0.3
    two = (depth == 0) | (depth == 0.2)
    assert fit_dose(features.filter(two), depth[two], y[two]).curve(features).gain_ND.shape == (3000, 1)


def test_missing_values_are_not_zeros() -> None:
    (features, depth, y), _ = shop(6, 3000, own=0.6)
    lost = features.with_columns(past=pl.when(pl.int_range(3000) % 3 > 0).then("past"))
    model = fit_dose(lost, depth, y)
    assert model.terms.features == len(model.encoder.names) + 1  # the flag for missing
    said = model.predict_outcomes(lost)
    assert said[::3].mean() == pytest.approx(y[::3].mean(), rel=0.15)


def test_noise_is_read_from_the_residuals() -> None:
    rng = np.random.default_rng(0)
    base = rng.gamma(2.0, 2.0, 20_000)
    fitted = noise_variance(base, rng.poisson(base).astype(float), True)
    assert np.allclose(fitted, base, rtol=0.2, atol=0.3)


@pytest.mark.parametrize(
    ("depth", "y", "code", "facts"),
    [
        ([0.1, 0.2] * 100, [0.0, 1.0] * 100, "too_few_depths", ("depth", "[0.1, 0.2]")),
        ([0.0, 0.2] * 100, [1.0] * 200, "no_variation", ("outcome: 1 ",)),
        ([0.0] * 195 + [0.2] * 5, [0.0, 1.0] * 100, "arm_too_small", ("depth 0.2: 5 ",)),
        (np.linspace(0, 1, 200), [0.0, 1.0] * 100, "too_many_depths", ("depth", "200")),
        ([0.0, np.nan] * 100, [0.0, 1.0] * 100, "value_not_finite", ("depth", "100 of 200")),
        ([0.0, 0.1], [0.0, 1.0] * 100, "shapes_differ", ("2 depths", "200")),
    ],
)
def test_what_cannot_be_learned_is_refused(
    depth: list[float], y: list[float], code: str, facts: tuple[str, ...]
) -> None:
    with raises_code(code, *facts):
        fit_dose(pl.DataFrame({"x": np.arange(200.0)}), depth, y)
