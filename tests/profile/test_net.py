"""The small network: slopes as measured, gains told in full, missing values, odd inputs."""

import numpy as np
import pytest

from promolift.profile import net
from promolift.profile.net import fit_net


def rows(n: int = 6_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A gain that hangs on two inputs together and on whether the first is known."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    x[rng.random(n) < 0.2, 0] = np.nan
    chance = np.where(np.isnan(x[:, 0]), 0.6, np.where(x[:, 0] * x[:, 1] > 0, 0.4, 0.05))
    return x, (0.8 * (rng.random(n) < chance)).astype(np.float32)


def ones(x: np.ndarray) -> np.ndarray:
    return np.ones(len(x), np.float32)


def test_slopes_are_those_measured_by_small_steps():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((40, 3)), rng.random(40)
    worth = rng.random(40) + 0.5
    weights = [w.astype(np.float64) + 0.1 * rng.standard_normal(w.shape) for w in net._start(3, 0.3, rng)]

    def loss() -> float:
        chance = net._forward(x, weights)[0]
        return float(-(worth * (y * np.log(chance) + (1 - y) * np.log(1 - chance))).mean())

    for w, slope in zip(weights, net._slopes(x, y, worth, weights), strict=True):
        at = tuple(rng.integers(size) for size in w.shape)
        w[at] += 1e-5
        above = loss()
        w[at] -= 2e-5
        below = loss()
        w[at] += 1e-5
        assert slope[at] == pytest.approx((above - below) / 2e-5, abs=1e-8)


def test_it_learns_what_hangs_on_two_inputs_and_on_what_is_missing():
    x, y = rows()
    fitted = fit_net(x, y, ones(x), epochs=60, seed=1, rate=1e-2)
    test, truth = rows(seed=1)
    told = fitted.predict(test)
    known, same = ~np.isnan(test[:, 0]), test[:, 0] * test[:, 1] > 0.3
    apart = test[:, 0] * test[:, 1] < -0.3
    assert told[~known].mean() == pytest.approx(0.48, abs=0.05)
    assert told[known & same].mean() == pytest.approx(0.32, abs=0.06)
    assert told[known & apart].mean() == pytest.approx(0.04, abs=0.04)
    assert told.mean() == pytest.approx(truth.mean(), rel=0.1)


def test_rows_left_out_and_weighed_for_leave_the_level_as_it_is():
    x, y = rows(20_000)
    kept = (y > 0) | (np.random.default_rng(2).random(len(y)) < 0.25)
    worth = np.where(y > 0, 1, 4).astype(np.float32)
    told = fit_net(x[kept], y[kept], worth[kept], epochs=20, seed=1).predict(x)
    assert told.mean() == pytest.approx(y.mean(), rel=0.1)


def test_odd_inputs_and_no_rows_are_survived_and_a_seed_fixes_all():
    x, y = rows(3_000)
    x = np.c_[x, np.full(len(x), np.nan), np.full(len(x), 7.0), np.where(y > 0, np.inf, 1.0)].astype(np.float32)
    one, two = (fit_net(x, y, ones(x), epochs=2, seed=4) for _ in range(2))
    assert np.isfinite(one.predict(x)).all()
    assert np.array_equal(one.predict(x), two.predict(x))
    assert one.predict(x[:0]).shape == (0,)
