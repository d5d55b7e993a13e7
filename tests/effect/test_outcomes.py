"""Several outcomes of one trial, whom its discounts were paid to, and the long-term proxy."""

import numpy as np
import pytest

from promolift.effect.outcomes import average_effects, split_redemptions, surrogate_effects
from promolift.effect.trial import Trial, row_keys
from promolift.errors import InputError, SupportError


def trial(n=4000, seed=1, share=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[::7, 2] = np.nan
    arm = rng.choice(len(share), n, p=share)
    return Trial(x, arm, np.zeros(n), np.tile(share, (n, 1)), row_keys(x, seed), ("a", "b", "c")), rng


def shop(n=20_000, seed=1, always=0.3, moved=0.1, redeem=0.8):
    """Always-buyers redeem with chance `redeem`; the moved buy only with the offer, and all of them redeem."""
    t, rng = trial(n, seed, (0.5, 0.5))
    u, offered = rng.random(n), t.arm_N == 1
    loyal, persuaded = u < always, (u >= always) & (u < always + moved)
    bought = loyal | (persuaded & offered)
    redeemed = offered & ((loyal & (rng.random(n) < redeem)) | persuaded)
    return t, bought.astype(float), redeemed.astype(float)


def test_effects_of_several_outcomes_and_arms() -> None:
    t, rng = trial()
    noise = rng.normal(size=4000)
    margin = 3 * t.x_NF[:, 0] + np.array([0.0, 1.0, 2.0])[t.arm_N] + noise
    found = average_effects(t, {"margin": margin, "nothing": noise}, "randomised")
    assert found.select("outcome", "arm").rows() == [("margin", 1), ("margin", 2), ("nothing", 1), ("nothing", 2)]
    for row, truth in zip(found.iter_rows(named=True), (1, 2, 0, 0), strict=True):
        assert abs(row["effect"] - truth) < 4 * row["se"]
        assert row["p_holm"] >= row["p"]
        assert (row["n"], row["level"]) == (4000, "randomised")
        assert row["low"] < row["effect"] < row["high"]
    assert found["se"][0] < 0.06  # the feature's noise is gone: 3.2 times that without
    assert found["p_holm"][0] == pytest.approx(0, abs=1e-9)


def test_features_take_noise_away_and_no_truth_with_it() -> None:
    errors, widths = [], []
    for seed in range(60):
        t, rng = trial(600, seed, (0.6, 0.4))
        y = 2 * np.nan_to_num(t.x_NF[:, 0]) + (t.arm_N == 1) * (0.5 + t.x_NF[:, 1]) + rng.normal(size=600)
        row = average_effects(t, {"y": y}, "randomised").row(0, named=True)
        errors.append(row["effect"] - 0.5)
        widths.append(row["se"])
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(60)
    assert np.mean(widths) == pytest.approx(np.std(errors), rel=0.25)


def test_unequal_chances_are_weighted() -> None:
    n = 20_000
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 1))
    p = np.where(x[:, 0] > 0, 0.8, 0.2)
    arm = (rng.random(n) < p).astype(int)
    y = np.where(x[:, 0] > 0, 10.0, 0.0)  # nothing is added
    t = Trial(x, arm, y, np.column_stack([1 - p, p]), row_keys(x, 1), ("x",))
    row = average_effects(t, {"y": y}, "adjusted").row(0, named=True)
    assert y[arm == 1].mean() - y[arm == 0].mean() > 5
    assert abs(row["effect"]) < 4 * row["se"] < 0.5


def test_no_feature_at_all_is_the_difference_of_means() -> None:
    rng = np.random.default_rng(3)
    arm = np.arange(400) % 2
    y = arm + rng.normal(size=400)
    t = Trial(np.zeros((400, 0)), arm, y, np.full((400, 2), 0.5), row_keys(np.arange(400.0)[:, None], 1), ())
    row = average_effects(t, {"y": y}, "randomised").row(0, named=True)
    assert row["effect"] == pytest.approx(y[arm == 1].mean() - y[arm == 0].mean(), abs=0.03)


def test_redemptions_split_into_incremental_and_subsidised() -> None:
    t, bought, redeemed = shop()
    row = split_redemptions(t, bought, redeemed, redeemed * 500, "randomised").row(0, named=True)
    truth = 0.3 * 0.8 / (0.3 * 0.8 + 0.1)  # always-buyers among redeemers
    assert abs(row["incremental"] - 0.1) < 4 * row["incremental_se"]
    assert abs(row["subsidised_least"] - truth) < 4 * row["least_se"]
    assert row["low"] < truth < row["high"]
    assert row["subsidised_most"] == pytest.approx(0.3 / 0.34, abs=4 * row["most_se"])
    assert row["cost"] == pytest.approx(500 * row["redeemed"])
    assert row["subsidised_cost_least"] == pytest.approx(row["cost"] * row["subsidised_least"])


def test_offers_that_move_nobody_are_paid_to_those_who_would_have_bought() -> None:
    t, bought, redeemed = shop(moved=0.0)
    row = split_redemptions(t, bought, redeemed, redeemed, "randomised").row(0, named=True)
    assert row["high"] == 1.0
    assert row["subsidised_least"] > 0.85


def test_shares_stay_between_nought_and_one() -> None:
    t, bought, redeemed = shop(600, always=0.01, moved=0.3)
    row = split_redemptions(t, bought, redeemed, redeemed, "randomised").row(0, named=True)
    assert 0 <= row["low"] <= row["subsidised_least"] <= row["subsidised_most"] <= row["high"] <= 1


@pytest.mark.parametrize("always", [0.05, 0.3])
def test_the_interval_of_the_split_covers(always: float) -> None:
    truth, inside, value, width = always * 0.8 / (always * 0.8 + 0.1), 0, [], []
    for seed in range(100):
        t, bought, redeemed = shop(1500, seed, always)
        row = split_redemptions(t, bought, redeemed, redeemed, "randomised").row(0, named=True)
        inside += row["low"] <= truth <= row["high"]
        value.append(row["subsidised_least"])
        width.append(row["least_se"])
    assert inside >= 93
    assert np.mean(width) == pytest.approx(np.std(value), rel=0.2)


def test_the_proxy_carries_both_errors_and_is_only_assumed() -> None:
    value, width, first = [], [], []
    for seed in range(80):
        t, rng = trial(1500, seed, (0.5, 0.5))
        visits = 2.0 * (t.arm_N == 1) + rng.normal(size=1500)
        spend = rng.normal(size=1500)
        past = rng.normal(size=(120, 2))
        long = past @ [3.0, 1.0] + rng.normal(size=120) * 4
        row = surrogate_effects(t, {"visits": visits, "spend": spend}, past, long).row(0, named=True)
        value.append(row["effect"])
        width.append(row["se"])
        first.append(row["se"] > 0.5)
    assert row["level"] == "assumed"
    assert np.mean(value) == pytest.approx(6.0, abs=3 * np.std(value) / np.sqrt(80))
    assert np.mean(width) == pytest.approx(np.std(value), rel=0.25)
    assert all(first)  # the trial's own error alone would be about 0.17


def test_what_makes_no_sense_is_refused() -> None:
    t, bought, redeemed = shop(600)
    with pytest.raises(InputError, match="nobody redeems without buying"):
        split_redemptions(t, 0 * bought, redeemed, redeemed, "randomised")
    with pytest.raises(SupportError, match="nobody redeemed"):
        split_redemptions(t, bought, 0 * redeemed, redeemed, "randomised")
    with pytest.raises(InputError, match="one value for each"):
        average_effects(t, {"bought": bought[1:]}, "randomised")
    with pytest.raises(SupportError, match="at least 50"):
        average_effects(trial(100)[0], {"y": np.zeros(100)}, "randomised")
    with pytest.raises(SupportError, match="cannot tell"):
        surrogate_effects(t, {"bought": bought}, np.ones((50, 1)), np.arange(50.0))
