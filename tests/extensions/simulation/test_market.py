"""The second world: its exact expectations against many lives of the same customers, and what each habit does."""

from dataclasses import replace

import numpy as np
import pytest

from promolift.extensions.simulation.worlds.market import (
    ALL_CATEGORIES,
    START_MS,
    WEEK_MS,
    MarketOffers,
    SimulatedMarket,
    draw_shop,
)

N = 400


def everybody(depth: float = 0.1, amount: float = 0.0, least: float = 0.0) -> MarketOffers:
    one = np.ones(N)
    return MarketOffers(np.full(N, ALL_CATEGORIES), depth * one, amount * one, least * one)


def started(seed: int = 3) -> SimulatedMarket:
    market = SimulatedMarket(draw_shop(seed, N))
    market.advance(12)
    return market


def profit(market: SimulatedMarket, since: int, weeks: int) -> float:
    rows = market.events
    start, end = START_MS + since * WEEK_MS, START_MS + (since + weeks) * WEEK_MS
    rows = rows.filter((rows["ts_ms"] >= start) & (rows["ts_ms"] < end))
    return float(rows["paid_cents"].sum() - (1 - market.shop.margin) * rows["list_cents"].sum())


@pytest.mark.parametrize("offers", [everybody(0.3), everybody(0.0, 1500.0, 5000.0)])
def test_the_expected_gain_is_the_mean_of_many_lives(offers: MarketOffers) -> None:
    """The same people in other luck: the seed of the draws of a week changes, nothing else."""
    start = started()
    expected = start.gain(offers)
    found = []
    for life in range(24):
        sums = []
        for given in (offers, None):
            market = start.copy()
            market.__dict__["keys"] = {name: key + np.uint64(7919 * (life + 1)) for name, key in start.keys.items()}
            market.advance(12, given)
            sums.append((profit(market, start.week, 4), profit(market, start.week, 12)))
        found.append(np.subtract(*sums))
    mean, se = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    for truth, seen, error in zip((expected.window_N.sum(), expected.horizon_N.sum()), mean, se, strict=True):
        assert abs(seen - truth) < 4 * error + 0.002 * abs(truth)
        assert abs(truth) > 2 * error  # else nothing was compared


def test_nobody_without_an_offer_gains_anything() -> None:
    market = started()
    half = np.arange(N) < N // 2
    found = market.gain(everybody().where(half))
    assert (found.horizon_N[~half] == 0).all()
    assert (found.horizon_N[half] != 0).all()


def test_a_copy_lives_on_by_itself_with_the_same_luck() -> None:
    one, two = started(), started()
    one.advance(4, everybody(0.5))
    other = two.copy()
    other.advance(4)
    two.advance(4)
    assert other.events.equals(two.events)
    assert not one.events.equals(two.events)


def test_those_whom_letters_put_off_lose() -> None:
    market = started()
    found = market.gain(everybody(0.1))
    assert 0 < market.wrong_N.mean() < 0.2
    assert found.horizon_N[market.wrong_N].mean() < found.horizon_N[~market.wrong_N].mean()
    assert found.horizon_N[market.wrong_N].mean() < 0


@pytest.mark.parametrize("part", ["pantry", "sulk"])
def test_stocking_up_and_habit_take_from_what_follows(part: str) -> None:
    """What comes after the window is worse where they are stronger, in the same states."""
    start, offers = started(), everybody(0.2)
    after = []
    for strength in (0.2, 3.0):
        market = SimulatedMarket(
            start.shop._replace(**{part: strength * getattr(start.shop, part)}), start.week, start.state_N
        )
        found = market.gain(offers)
        after.append(float((found.horizon_N - found.window_N).sum() / found.cost_N.sum()))
    assert after[1] < after[0]


def test_shops_differ_and_a_seed_is_a_shop() -> None:
    assert draw_shop(1) == draw_shop(1)
    assert draw_shop(1).price != draw_shop(2).price
    assert replace(started(), week=0).events.equals(started().events)
