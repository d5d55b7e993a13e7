"""Depths of a discount as people name them, drawn with any shares; bands of the mean gain, and of customers' own."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

import promolift
from promolift.core.effects.uplift.dose_response import fit_dose
from promolift.trials.analysis.trial_data import depths

N = 4000


def trial(arm: list[str], control: str, spend: np.ndarray, **more: object) -> promolift.Trial:
    frame = pl.DataFrame({"off": arm, "past": np.random.default_rng(1).gamma(2, 1, len(arm)), "spend": spend})
    said = {"treatment": "off", "control": control, "money": "spend", "planned": "equal", "dose": True}
    return promolift.Trial(frame, **(said | more))


def test_depths_are_read_from_their_names() -> None:
    assert depths(("none", "10%", "20% off")) == [0, 0.1, 0.2]
    assert depths(("0", "5", "7,5")) == [0, 5, 7.5]
    assert depths(("0%", "$5 off")) == [0, 5]
    assert depths(("none", "a")) is None
    assert depths(("none", "2 for 1")) is None
    rng = np.random.default_rng(2)
    words = trial(rng.choice(["no", "yes", "maybe"], 900).tolist(), "no", rng.normal(size=900))
    with raises_code("dose_not_numeric", "no, maybe, yes"):
        words.fit()


@pytest.mark.parametrize("share", [(0.25, 0.25, 0.25, 0.25), (0.1, 0.2, 0.3, 0.4)])
def test_unequal_shares_of_depths_give_the_same_curve(share: tuple[float, ...]) -> None:
    rng = np.random.default_rng(3)
    depth = rng.choice([0.0, 0.1, 0.2, 0.3], N, p=share)
    spend = 10 + 20 * depth + rng.normal(size=N)
    names = ["none" if d == 0 else f"{100 * d:.0f}%" for d in depth]
    found = trial(names, "none", spend, planned=share).fit().estimates.dose
    assert found is not None
    everybody = found.filter(pl.col("segment") == "everybody")
    wrong = everybody["gain"] - 20 * everybody["depth"]
    assert wrong.abs().max() < 0.35


def test_many_amounts_are_a_curve_or_a_few_arms_not_27_without_overlap() -> None:
    rng = np.random.default_rng(4)
    amount = rng.integers(0, 28, N)
    spend = 50 + 0.4 * amount + rng.normal(size=N)
    names = [str(a) for a in amount]
    curve = trial(names, "0", spend)
    assert len(curve.data.arms) == 11
    assert curve.data.doubts[-1].startswith("27 amounts are taken in 10 groups of neighbours: ")
    dose = curve.fit().estimates.dose
    assert dose is not None
    top = dose.filter(pl.col("segment") == "everybody").row(-1, named=True)
    assert top["low"] < 0.4 * top["depth"] < top["high"]
    arms = trial(names, "0", spend, dose=False)
    assert arms.data.arms == ("0", "1 to 7", "8 to 14", "15 to 21", "22 to 27") or len(arms.data.arms) == 5
    effects = arms.fit().effects
    assert effects["low"].min() > 0
    assert "dose=true reads them as one curve" in str(arms.check())
    assert len(trial(names, "0", spend, planned=None, dose=False).data.arms) == 5


def test_the_band_of_a_customer_holds_customers_own_gains() -> None:
    """The band of the mean does not, where features do not tell who answers to a discount."""
    own, mean = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        past, hidden = rng.gamma(2, 1, N), np.exp(0.5 * rng.standard_normal(N) - 0.125)
        depth = rng.choice([0.0, 0.1, 0.2, 0.3], N)
        gain = (past * hidden)[:, None] * np.array([0.1, 0.2, 0.3]) * 3
        spend = rng.poisson(past + np.column_stack([np.zeros(N), gain])[np.arange(N), (depth * 10).round().astype(int)])
        features = pl.DataFrame({"past": past, "luck": rng.standard_normal(N)})
        curve = fit_dose(features, depth, spend.astype(float)).curve(features)
        own.append(np.mean((curve.low_ND <= gain) & (gain <= curve.high_ND)))
        mean.append(np.mean(np.abs(gain - curve.gain_ND) <= 1.96 * curve.se_ND))
    assert np.mean(own) > 0.93
    assert np.mean(mean) < 0.8
