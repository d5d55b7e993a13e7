"""Shops of known truth in; how often the intervals of past promotions hold it, and how often nothing is called something, out.

    python benchmarks/shop/history.py [--quick] [--first SEED]

Prints JSON lines: figure, value, low, high, n, unit, data. Twelve kinds of shop (`daily_worlds`), a year of history each,
with up to three sales for everybody in most. The truth of a promotion is the margin of the same shop under the same luck
with it, less the margin without it, over its days and those after it that were counted. Placebo shops never had a sale;
windows drawn at random are called promotions of everybody, or campaigns of a third of the customers. Shares have Wilson's intervals. CPU seconds are of one thread.
"""

import argparse
import json
import time
from copy import deepcopy
from dataclasses import replace

import numpy as np

from promolift.core.effects.event_study import Window
from promolift.core.effects.past_promotions import (
    DailySales,
    Judged,
    PromotionWindow,
    adjust_verdicts,
    find_sales,
    judge_group,
    judge_sitewide,
)
from promolift.core.experiments.prediction_metrics import wilson_interval
from promolift.extensions.simulation.worlds.daily_shop import DailyShop, Sale
from promolift.extensions.simulation.worlds.daily_worlds import HISTORY_DAYS, WORLDS, WorldName, draw_daily_shop


def tell(figure: str, value: float | None, **rest: object) -> None:
    line = {"figure": figure, "value": value, "low": None, "high": None, "n": None, "unit": "", "data": "simulated"}
    print(json.dumps(line | rest, default=float), flush=True)


def told_share(figure: str, hits: int, n: int, **rest: object) -> None:
    low, high = wilson_interval(hits, n) if n else (None, None)
    tell(figure, hits / n if n else None, low=low, high=high, n=n, **rest)


def daily_sales(shop: DailyShop, among_N: np.ndarray | None = None) -> DailySales:
    """The shop's log by day, as the history reads it from cleaned events; of some customers."""
    parts = [np.concatenate(each, axis=-1) for each in zip(*shop.orders, strict=True)]
    if among_N is not None:
        parts = [each[..., among_N[parts[1]]] for each in parts]
    day, _, _, size, shelf, coupon, returned, _ = parts
    stays = 1 - returned
    margin = ((size - shelf - coupon) - (1 - shop.traits.margin) * size) * stays

    def by_day(values: np.ndarray) -> np.ndarray:
        return np.bincount(day, values, minlength=HISTORY_DAYS)

    ones = np.ones(day.size)
    return DailySales(
        by_day(margin), by_day(ones), by_day(size), by_day(shelf), by_day(coupon), by_day(size * (shelf > 0)),
        by_day(ones * (coupon > 0)),
    )  # fmt: skip


def without(shop: DailyShop, sales: tuple[Sale, ...]) -> DailyShop:
    """The same shop under the same luck with other past sales."""
    made = DailyShop(replace(shop.traits, sales=sales), deepcopy(shop.behaviour), shop.luck)
    made.advance(HISTORY_DAYS)
    return made


def judge_log(daily: DailySales) -> list[Judged]:
    """What the history says of the sales that it finds."""
    return adjust_verdicts(judge_sitewide(daily, [PromotionWindow(each, "sitewide") for each in find_sales(daily)]))


def true_gain(shop: DailyShop, daily: DailySales, judged: Judged) -> float:
    """Margin with the judged sales, less the margin without them."""
    window = judged.found.window
    others = tuple(each for each in shop.traits.sales if not window.first <= each.first_day < window.end)
    end = window.end + (judged.margin.after_days if judged.margin else 0)
    return float((daily.margin_D - daily_sales(without(shop, others)).margin_D)[window.first : end].sum())


def judge_placebo(shop: DailyShop, seed: int) -> list[Judged]:
    """What the history says of windows in which nothing happened."""
    rng = np.random.default_rng([seed, 7])
    count = int(rng.integers(1, 4))
    drawn = [Window(int(rng.integers(30, HISTORY_DAYS - 40)), int(rng.integers(4, 11))) for _ in range(count)]
    daily = daily_sales(without(shop, ()))
    return adjust_verdicts(judge_sitewide(daily, [PromotionWindow(each, "sitewide") for each in drawn]))


def judge_placebo_campaigns(shop: DailyShop, seed: int) -> list[Judged]:
    """What the history says of campaigns that nobody was sent."""
    rng, quiet, judged = np.random.default_rng([seed, 8]), without(shop, ()), list[Judged]()
    for _ in range(2):
        among_N = rng.random(shop.behaviour.customers) < 1 / 3
        window = Window(int(rng.integers(30, HISTORY_DAYS - 60)), int(rng.integers(7, 29)))
        mine, rest = daily_sales(quiet, among_N), daily_sales(quiet, ~among_N)
        judged += judge_group(mine, rest, [PromotionWindow(window, "campaign", "a")], [])
    return adjust_verdicts(judged)


def measure(world: WorldName, seeds: range) -> dict[str, list[float]]:
    """Of each promotion that was judged: whether its interval held the truth, its width, and its verdict."""
    out: dict[str, list[float]] = {
        name: [] for name in ("held", "width", "right", "wrong", "untold", "claim", "campaign")
    }
    for seed in seeds:
        shop = draw_daily_shop(world, seed)
        daily = daily_sales(shop)
        for each in judge_log(daily) if shop.traits.sales else ():
            out["untold"].append(each.margin is None)
            if each.margin is None:
                continue
            truth, net = true_gain(shop, daily, each), each.margin.net
            out["held"].append(net.low <= truth <= net.high)
            days = each.found.window.days + each.margin.after_days
            out["width"].append((net.high - net.low) / (days * float(np.median(daily.margin_D))))
            claimed = each.verdict in ("earned", "lost")
            out["right"].append(claimed and (net.value > 0) == (truth > 0))
            out["wrong"].append(claimed and (net.value > 0) != (truth > 0))
        said = judge_placebo(shop, seed)
        out["claim"].append(any(each.verdict in ("earned", "lost") for each in said))
        said = judge_placebo_campaigns(shop, seed)
        out["campaign"].append(any(each.verdict in ("earned", "lost") for each in said))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    seeds = range(given.first, given.first + (2 if given.quick else 16))
    start, every = time.process_time(), dict[str, list[float]]()
    for world in WORLDS:
        found = measure(world, seeds)
        for name, values in found.items():
            every.setdefault(name, []).extend(values)
        told_share(f"intervals that hold the truth, {world}", int(sum(found["held"])), len(found["held"]))
        tell(
            f"width over the margin of the same days, {world}",
            float(np.median(found["width"])) if found["width"] else None,
        )
        told_share(f"placebo shops with a claim, {world}", int(sum(found["claim"])), len(found["claim"]))
    told_share("intervals that hold the truth", int(sum(every["held"])), len(every["held"]))
    told_share("claims with the right sign", int(sum(every["right"])), len(every["right"]))
    told_share("claims with the wrong sign", int(sum(every["wrong"])), len(every["wrong"]))
    told_share("promotions that cannot be told", int(sum(every["untold"])), len(every["untold"]))
    told_share("placebo shops with a claim", int(sum(every["claim"])), len(every["claim"]))
    told_share("placebo shops with a claim of a campaign", int(sum(every["campaign"])), len(every["campaign"]))
    tell("CPU", time.process_time() - start, unit="s")


if __name__ == "__main__":
    main()
