"""The live shop does what its stated truth says."""

import numpy as np
import pytest
from judged_shop import live_week, offers_of, true_effects

from promolift.extensions.simulation.worlds.world import SimulationSettings, World

DEPTHS = (0.1, 0.3)
SMALL = SimulationSettings(customers=30, weeks=16, categories=4, products_per_category=2)


def test_weeks_lived_come_out_as_expected_on_average() -> None:
    world = World(SMALL, np.arange(1, 31))
    gain, cost = true_effects(world, offers_of(world, DEPTHS), 20)
    group, depth = np.full(30, 1), np.full(30, 0.3)
    profit, spent, without = [], [], []
    for replicate in range(400):
        week = live_week(world, group, depth, 20, replicate)
        profit.append(week.profit_N.sum())
        spent.append(week.discount_N.sum())
        without.append(live_week(world, np.full(30, -1), np.zeros(30), 20, replicate).profit_N.sum())
    lift = np.array(profit) - np.array(without)
    assert lift.mean() == pytest.approx(gain[:, 3].sum(), abs=4 * lift.std() / 20)
    assert np.mean(spent) == pytest.approx(cost[:, 3].sum(), abs=4 * np.std(spent) / 20)


def test_what_one_customer_is_offered_changes_nothing_for_another() -> None:
    world = World(SMALL, np.arange(1, 31))
    group = np.full(30, -1)
    plain = live_week(world, group, np.zeros(30), 20)
    group[0] = 2
    other = live_week(world, group, np.r_[0.3, np.zeros(29)], 20)
    assert (plain.profit_N[1:] == other.profit_N[1:]).all()
    assert (other.depth_NP[0] >= plain.depth_NP[0]).all()
