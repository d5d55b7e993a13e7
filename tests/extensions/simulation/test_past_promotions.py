"""Past promotions of shops whose truth is known: the intervals hold it, and nothing is seldom called something.

The shares in twelve kinds of shop are measured by benchmarks/shop/history.py; this holds a few small ones.
"""

import runpy
from pathlib import Path

from promolift.core.effects.past_promotions import find_sales
from promolift.extensions.simulation.worlds.daily_worlds import draw_daily_shop

BENCHMARK = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "shop" / "history.py"))
SHOPS = [draw_daily_shop(world, seed, customers=250) for world, seed in (
    ("pantry", 2), ("fatigue", 3), ("nothing works", 4), ("everything works", 0), ("replenishment", 5),
)]  # fmt: skip


def test_every_past_sale_is_found_on_its_days() -> None:
    for shop in SHOPS:
        daily = BENCHMARK["daily_sales"](shop)
        found = {day for each in find_sales(daily) for day in range(each.first, each.end) if daily.orders_D[day]}
        sold = {
            day for sale in shop.traits.sales for day in range(sale.first_day, sale.first_day + sale.days)
            if daily.orders_D[day]
        }  # fmt: skip
        assert found == sold


def test_intervals_hold_the_truth_of_most_sales_and_few_others_are_claimed() -> None:
    held, claims = list[bool](), 0
    for shop in SHOPS:
        daily = BENCHMARK["daily_sales"](shop)
        for each in BENCHMARK["judge_log"](daily):
            if each.margin is not None:
                net = each.margin.net
                held.append(net.low <= BENCHMARK["true_gain"](shop, daily, each) <= net.high)
        claims += any(each.verdict in ("earned", "lost") for each in BENCHMARK["judge_placebo"](shop, 1))
    assert len(held) >= 4
    assert sum(held) >= len(held) - 1
    assert claims <= 1
