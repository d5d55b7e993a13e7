"""The effect network: new offers and depths scored, curves that rise where asked, same seed same network."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from promolift.effect.network import NetworkEffect, NetworkSettings, Offers, fit_network
from promolift.effect.trial import Trial, row_keys
from promolift.errors import InputError, SupportError

DEPTHS = np.array([[0.1], [0.2], [0.3]])
QUICK = NetworkSettings(dose=0, hidden=16, epochs=12, folds=2)


def trial(seed: int, rows: int, gain_NK: np.ndarray, x: np.ndarray) -> Trial:
    """A trial of K offers and a control with equal chances; outcome = 2 + x0 + gain + noise."""
    rng = np.random.default_rng(seed)
    arms = gain_NK.shape[1] + 1
    arm = rng.integers(0, arms, rows)
    all_NA = np.column_stack([np.zeros(rows), gain_NK])
    y = 2 + x[:, 0] + all_NA[np.arange(rows), arm] + rng.standard_normal(rows)
    key = row_keys(np.column_stack([x, arm, y]), 0)
    return Trial(x, arm, y, np.full((rows, arms), 1 / arms), key, ("a", "b"))


def shop(seed: int, rows: int = 4000, own: float = 1.0) -> tuple[Trial, np.ndarray]:
    x = np.random.default_rng(seed + 500).standard_normal((rows, 2))
    gain = (2 + own * np.sign(x[:, 1]))[:, None] * np.sqrt(DEPTHS.T / 0.3)
    return trial(seed, rows, gain, x), gain


@pytest.fixture(scope="module")
def fitted() -> tuple[NetworkEffect, Trial, np.ndarray]:
    data, gain = shop(0)
    return fit_network(data, QUICK, DEPTHS), data, gain


def test_customers_and_depths_are_told_apart(fitted: tuple[NetworkEffect, Trial, np.ndarray]) -> None:
    model, data, gain = fitted
    said = model.gain(data.x_NF)
    constant = gain.mean(axis=0)
    assert np.sqrt(((said - gain) ** 2).mean()) < 0.65 * np.sqrt(((constant - gain) ** 2).mean())
    assert model.keep > 0.7


def test_a_depth_that_was_never_tried_is_scored(fitted: tuple[NetworkEffect, Trial, np.ndarray]) -> None:
    model, data, _gain = fitted
    said = model.gain(data.x_NF, [[0.0], [0.1], [0.15], [0.2]])
    assert not said[:, 0].any()
    truth = 2 * np.sqrt(0.15 / 0.3)
    assert said[:, 2].mean() == pytest.approx(truth, abs=0.25)
    assert np.array_equal(said[:, [1, 3]], model.gain(data.x_NF)[:, :2])


def test_a_new_offer_is_scored_by_its_features() -> None:
    # gain = 1 + 2 * value of the offer; the offer of value 0.5 is never tried
    value = np.array([[0.0], [0.25], [0.75], [1.0]])
    x = np.random.default_rng(9).standard_normal((4000, 2))
    data = trial(9, 4000, np.tile(1 + 2 * value.T, (4000, 1)), x)
    model = fit_network(data, NetworkSettings(hidden=16, epochs=15, folds=2), value)
    said = model.gain(x, [[0.5], [0.75]]).mean(axis=0)
    assert said[0] == pytest.approx(2.0, abs=0.35)
    assert said[1] == pytest.approx(2.5, abs=0.35)


def test_without_features_of_offers_only_tried_ones_are_scored() -> None:
    x = np.random.default_rng(3).standard_normal((3000, 2))
    data = trial(3, 3000, np.tile([[0.5, 2.0]], (3000, 1)), x)
    model = fit_network(data, NetworkSettings(hidden=16, epochs=12, folds=2))
    assert model.gain(x).mean(axis=0) == pytest.approx([0.5, 2.0], abs=0.3)
    with pytest.raises(SupportError, match="new offer cannot be scored"):
        model.gain(x, np.zeros((3, 0)))


@pytest.mark.parametrize("shape", ["rising", "concave"])
def test_curves_rise_for_every_customer_where_asked(shape: str) -> None:
    data, _ = shop(4, 1500)
    falling = Trial(data.x_NF, data.arm_N, -data.outcome_N, data.prob_NA, data.key_N, data.names)
    asked = np.linspace(0.0, 0.4, 9)[:, None]
    for each in (data, falling):
        model = fit_network(each, NetworkSettings(dose=0, shape=shape, hidden=8, epochs=4, folds=2), DEPTHS)  # type: ignore[arg-type]
        steps = np.diff(model.gain(each.x_NF, asked), axis=1)
        assert (steps >= -1e-6).all()
        if shape == "concave":
            assert (np.diff(steps, axis=1) <= 1e-6).all()


def test_differences_that_do_not_hold_out_of_fold_are_dropped() -> None:
    kept = []
    for seed in range(3):
        data, gain = shop(20 + seed, 2000, own=0.0)
        model = fit_network(data, NetworkSettings(dose=0, hidden=16, epochs=6, folds=2), DEPTHS)
        kept.append(float((model.gain(data.x_NF) - gain.mean(axis=0)).std(axis=0).max()))
    assert np.mean(kept) < 0.15  # the outcome's noise is 1


def test_the_same_seed_gives_the_same_network_whatever_torch_drew_before() -> None:
    import torch

    data, _ = shop(5, 800)
    quick = NetworkSettings(dose=0, hidden=8, epochs=2, folds=2)
    one = fit_network(data, quick, DEPTHS).gain(data.x_NF)
    torch.manual_seed(99)
    two = fit_network(data, quick, DEPTHS).gain(data.x_NF)
    other = fit_network(data, quick.model_copy(update={"seed": 1}), DEPTHS).gain(data.x_NF)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_parts_survive_json(fitted: tuple[NetworkEffect, Trial, np.ndarray]) -> None:
    model, data, _ = fitted
    arrays, manifest = model.to_parts()
    again = NetworkEffect.from_parts(arrays, json.loads(json.dumps(manifest)))
    assert np.array_equal(model.gain(data.x_NF, [[0.12]]), again.gain(data.x_NF, [[0.12]]))


def test_offers_that_make_no_sense_are_refused(fitted: tuple[NetworkEffect, Trial, np.ndarray]) -> None:
    model, data, _ = fitted
    with pytest.raises(InputError, match="rows of 1 features"):
        model.gain(data.x_NF, [[0.1, 0.2]])
    with pytest.raises(InputError, match="each of 3 offers"):
        fit_network(data, QUICK, DEPTHS[:2])
    with pytest.raises(InputError, match="depths above 0"):
        Offers.of(np.array([[0.0], [0.1]]), 0, "free")
