"""The naive sum of a plan promises too much; shrinkage repairs it, within its interval."""

import numpy as np
import polars as pl
import pytest

from promolift.allocate import solve
from promolift.allocate.risk import cautious, shrink
from promolift.allocate.settings import Risk
from promolift.errors import InputError, SupportError


def noisy(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.normal([1.0, 2.0, 3.0], 1.0, (n, 3))
    error = rng.uniform(0.5, 3.0, (n, 3))
    return truth, truth + error * rng.normal(size=(n, 3)), error, rng.uniform(1, 2, (n, 3))


def test_shrinkage_finds_the_truth_better_and_keeps_the_unknown_unknown():
    truth, gain, error, _ = noisy()
    gain[0, 0] = np.nan
    mean, deviation = shrink(gain, error)
    assert np.isnan(mean[0, 0])
    assert np.nanmean((mean - truth) ** 2) < 0.45 * np.nanmean((gain - truth) ** 2)
    known = ~np.isnan(mean)
    assert np.mean(np.abs(mean - truth)[known] < 1.96 * deviation[known]) == pytest.approx(0.95, abs=0.02)


def test_exact_estimates_are_left_alone_and_pure_noise_becomes_the_mean():
    rng = np.random.default_rng(1)
    gain = rng.normal(size=(500, 1))
    assert shrink(gain, np.zeros((500, 1)))[0] == pytest.approx(gain)
    assert np.ptp(shrink(gain, np.full((500, 1), 5.0))[0]) < 1e-9


def test_the_naive_sum_is_above_the_truth_and_the_shrunken_one_is_not():
    excess = []
    for seed in range(20):
        truth, gain, error, cost = noisy(seed=seed)
        mean, _ = shrink(gain, error)
        chosen = solve(mean, cost, 1500.0).choice_N
        at = np.flatnonzero(chosen >= 0), chosen[chosen >= 0]
        excess.append(gain[at].sum() / truth[at].sum() - 1)
        assert mean[at].sum() == pytest.approx(truth[at].sum(), rel=0.05)
    assert min(excess) > 0.15


def test_planning_on_shrunken_gains_earns_more_than_planning_on_naive_ones():
    truth, gain, error, cost = noisy()

    def earned(values):
        chosen = solve(values, cost, 1500.0).choice_N
        return truth[np.flatnonzero(chosen >= 0), chosen[chosen >= 0]].sum()

    assert earned(shrink(gain, error)[0]) > 1.05 * earned(gain)


def test_a_table_of_candidates_keeps_the_expected_gain_and_says_what_caution_takes_off():
    _, gain, error, cost = noisy(200)
    rows = [
        {
            "customer_id": f"c{i}",
            "offer_id": f"o{k}",
            "gain_cents": gain[i, k],
            "cost_cents": cost[i, k],
            "gain_se_cents": error[i, k],
        }
        for i in range(200)
        for k in range(3)
    ]
    table = pl.DataFrame([*rows, {"customer_id": "c0", "offer_id": "none", "gain_cents": 0.0, "cost_cents": 0.0}])
    low = cautious(table, Risk(rule="lower", z=2.0)).filter(pl.col("offer_id") != "none")
    untouched = table.filter(pl.col("offer_id") != "none")
    assert low["gain_cents"].to_list() == untouched["gain_cents"].to_list()
    assert low["caution_cents"].to_numpy() == pytest.approx((2 * untouched["gain_se_cents"]).to_numpy())
    careful = cautious(table, Risk(rule="shrink"))
    assert careful.filter(pl.col("offer_id") != "none")["gain_cents"].var() < untouched["gain_cents"].var()
    assert careful["naive_gain_cents"].to_list() == table["gain_cents"].to_list()
    assert careful["caution_cents"].drop_nulls().unique().to_list() == [0.0]
    with pytest.raises(InputError, match="no column 'se'"):
        cautious(table, Risk(), error="se")
    with pytest.raises(SupportError, match="20 are needed"):
        cautious(table.head(9), Risk())


def test_offers_with_few_candidates_are_shrunk_together():
    rows = pl.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(40)],
            "offer_id": [f"o{i // 4}" for i in range(40)],
            "gain_cents": np.random.default_rng(0).normal(5, 1, 40),
            "gain_se_cents": 10.0,
        }
    )
    assert np.ptp(cautious(rows, Risk())["gain_cents"].to_numpy()) < 1e-9
