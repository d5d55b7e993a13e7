"""A made-up shop of known truth and the months it is given in; the share of what could be earned at the same spend, out.

    python benchmarks/shop/loop.py            # 8 shops of 4,000 customers, three months
    python benchmarks/shop/loop.py --quick    # one shop of 600, two months

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. All is simulated, in the world of goods. The door is
`promolift simulate --world goods`: plan, answers, learning, approval. Each month's offers are judged by their true
expected gain, with the true gains of every line for every customer beside: `bound` is what no choice among them passes
at the same true cost, though it knows each customer's hidden elasticity and readiness to use a coupon; `knowable` gives
each third of recency times each third of spend the line that is truly best for it on the whole, at the same expected
cost: what a test with groups could find out. Each shop also lives through the same months without draws (`test_share` 0).
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from plan_value import truth

from promolift.core.allocation.solver import solve
from promolift.extensions.simulation.offline import CommandLinePath, monthly_budget
from promolift.extensions.simulation.worlds.simulated_worlds import OFFER_COLUMNS, GoodsWorld
from promolift.shop.pipeline.shop import Shop

OTHERS = ("another offer fits this customer better", "not plausible: neither bought nor close to what is bought")


class MonthFound(NamedTuple):
    """True gains of a month in cents: of what was given, of the best at its cost, and of the best line by group."""

    gain: float
    bound: float
    knowable: float
    cost: float
    budget: float


def judged(world: GoodsWorld, path: CommandLinePath, given: pl.DataFrame) -> MonthFound:
    """A month's offers beside the best of the same menu."""
    with Shop.open(path.folder / "promolift.toml", work=path.folder / "work") as shop:
        rows = shop.store.frame("candidates").filter(pl.col("depth") > 0)
        profiles = shop.store.frame("profiles").filter(pl.col("asof_ms") == pl.col("asof_ms").max())
    known = truth(world, rows.with_columns(gain_cents=pl.lit(0.0), cost_cents=pl.lit(1.0)))
    rows = rows.with_columns(gain=pl.Series(known.gain_N), cost=pl.Series(known.cost_N).clip(lower_bound=0.0))
    mine, budget = truth(world, given), monthly_budget(world)
    spent = float(mine.cost_N.sum())
    thirds = [
        (pl.col(name).rank("ordinal") * 3 / (pl.len() + 1)).floor().alias(name)
        for name in ("recency_days", "spend_per_week_cents")
    ]
    own = rows.filter(~pl.col("why_not").fill_null("").is_in(OTHERS))  # one of each line for each customer
    own = own.join(profiles.select("customer_id", *thirds), on="customer_id")
    cell = ("recency_days", "spend_per_week_cents")
    own = own.with_columns(pl.col("gain", "cost").mean().over("menu_id", *cell).name.suffix("_mean"))
    best = own.sort("gain_mean").group_by("customer_id", maintain_order=True).last().filter(pl.col("gain_mean") > 0)
    best = best.sort(
        pl.col("gain_mean") / pl.col("cost_mean").clip(lower_bound=1e-9), "customer_id", descending=[True, False]
    )
    part = ((spent - best["cost_mean"].cum_sum() + best["cost_mean"]) / best["cost_mean"].clip(lower_bound=1e-9)).clip(
        0, 1
    )
    return MonthFound(
        float(mine.gain_N.sum()), best_of(rows, spent), float((best["gain_mean"] * part).sum()), spent, budget
    )


def best_of(rows: pl.DataFrame, spend: float) -> float:
    """The bound of what any choice of one row a customer gains at this cost."""
    names, who = np.unique(rows["customer_id"].to_numpy(), return_inverse=True)
    place = rows.select(pl.int_range(pl.len()).over("customer_id")).to_series().to_numpy()
    gain = np.full((names.size, int(place.max(initial=0)) + 1), np.nan)
    cost = np.zeros_like(gain)
    gain[who, place], cost[who, place] = rows["gain"].to_numpy(), rows["cost"].to_numpy()
    return float(solve(gain, cost, spend).bound)


class Lived(NamedTuple):
    """A shop's months, and the CPU seconds of its first two without the judging."""

    months: list[MonthFound]
    seconds: float


def live(seed: int, customers: int, months: int, test_share: float = 0.1) -> Lived:
    """One shop through its months, where offers leave this share of the budget to draws."""
    world, found, seconds = GoodsWorld(seed, customers), list[MonthFound](), 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        CommandLinePath(Path(folder), seed=seed, test_share=test_share) as path,
    ):
        for month in range(months):
            started = time.process_time()
            given = path.decide(world, monthly_budget(world))
            seconds += (time.process_time() - started) if month < 2 else 0.0
            found.append(judged(world, path, given))
            world.advance_month(given.select(OFFER_COLUMNS))
            path.finish_month(world)
    return Lived(found, seconds)


def say(figure: str, values: list[float], unit: str, peer: str | None, peers: list[float], data: str) -> None:
    """A line of the mean over shops."""
    n = len(values)
    line = {
        "figure": figure, "value": round(float(np.mean(values)), 3),
        "se": round(float(np.std(values, ddof=1)) / n**0.5, 3) if n > 1 else None, "unit": unit, "peer": peer,
        "peer_value": round(float(np.mean(peers)), 3) if peers else None, "n": n, "data": data,
    }  # fmt: skip
    print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one shop of 600 customers, two months")
    parser.add_argument("--shops", type=int, default=8)
    parser.add_argument("--customers", type=int, default=4_000)
    parser.add_argument("--months", type=int, default=3)
    asked = parser.parse_args()
    shops, customers, months = (1, 600, 2) if asked.quick else (asked.shops, asked.customers, asked.months)
    data = f"simulated, world of goods, {customers} customers"
    lived, alone = [], []
    for seed in range(1, shops + 1):
        lived.append(live(seed, customers, months))
        alone.append(live(seed, customers, months, test_share=0.0))
        print(f"shop {seed} of {shops} is done", file=sys.stderr)
    for month in range(months):
        each = [shop.months[month] for shop in lived]
        some = [one for one in each if one.bound > 0]
        say(f"month {month + 1}: true gain as a share of the bound at equal spend", [one.gain / one.bound for one in some],
            "share", "the best line by group, truly known", [one.knowable / one.bound for one in some], data)  # fmt: skip
        say(f"month {month + 1}: true gain", [one.gain / 100 for one in each], "money a shop",
            "the best line by group, truly known", [one.knowable / 100 for one in each], data)  # fmt: skip
        without = [shop.months[month] for shop in alone]
        say(f"month {month + 1}: true gain, test_share 0.1", [one.gain / 100 for one in each], "money a shop",
            "test_share 0", [one.gain / 100 for one in without], data)  # fmt: skip
        ahead = [one.gain / 100 - other.gain / 100 for one, other in zip(each, without, strict=True)]
        say(f"month {month + 1}: the draws' difference", ahead, "money a shop", None, [], data)
        say(f"month {month + 1}: true cost of its offers", [one.cost / 100 for one in each], "money a shop", "budget",
            [one.budget / 100 for one in each], data)  # fmt: skip
    say("two months of a shop", [shop.seconds for shop in lived], "CPU s", None, [], data)


if __name__ == "__main__":
    main()
