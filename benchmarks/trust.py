"""Simulated shops and customers in; whether limits of fairness hold and what they cost, and what the report finds, out.

    python benchmarks/trust.py [--quick] [--demo WORK]

Prints JSON lines: figure, value, low, high, n, unit, data. Shops: candidates of 5,000 customers (age, sex, income, loyal or
new), whose groups gain differently; limits on offers in a band of 20 %, loyal never worse. Power: customers of whom a
feature that four in five women have costs 2 points of discount; false alarms: the same without, where women have smaller
baskets and these get less off. WORK is a work folder of `promolift demo`, planned; its plan is made again with and
without limits and the CPU of both told. Intervals are Wilson's. CPU seconds are of one thread.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import polars as pl

from promolift import allocate
from promolift.allocate.settings import FairnessSettings
from promolift.learn.fairness import find_proxies, group_gaps
from promolift.learn.metrics import wilson
from promolift.results.job import Job
from promolift.results.plan import Plan
from promolift.run import demo_config
from promolift.steps import plan
from promolift.store import Store

ALIKE = ("basket_mean_cents", "orders_16w", "basket_lines_mean")
FAIR = {"band": 0.2, "loyal_never_worse": True}


def tell(figure: str, value: float, **rest: object) -> None:
    line = {"figure": figure, "value": value, "low": None, "high": None, "n": None, "unit": "", "data": "simulated"}
    print(json.dumps(line | rest, default=float), flush=True)


def told_share(figure: str, hits: int, n: int, **rest: object) -> None:
    low, high = wilson(hits, n)
    tell(figure, hits / n, low=low, high=high, n=n, **rest)


def shop(seed: int, customers: int = 5000) -> pl.DataFrame:
    """Candidates on three lines; each group gains more or less from them by a draw of its own."""
    rng = np.random.default_rng(seed)
    groups = {
        "sex": rng.choice(["F", "M"], customers, p=[0.45, 0.55]),
        "age": rng.choice(["18-24", "25-44", "45-64", "65+", "not given"], customers, p=[0.1, 0.3, 0.25, 0.1, 0.25]),
        "income": rng.choice(["low", "middle", "high"], customers, p=[0.3, 0.5, 0.2]),
        "loyalty": rng.choice(["loyal", "new"], customers, p=[0.8, 0.2]),
    }
    worth = np.exp(0.6 * rng.standard_normal(customers))
    for values in groups.values():
        kinds, at = np.unique(values, return_inverse=True)
        worth *= np.exp(0.4 * rng.standard_normal(len(kinds)))[at]
    cost = rng.integers(20, 200, (customers, 3))
    gain = cost * worth[:, None] * rng.gamma(2.0, 0.6, (customers, 3)) - 30
    named = [[f"{name}={values[i]}" for name, values in groups.items()] for i in range(customers)]
    return pl.DataFrame({
        "customer_id": np.repeat([f"c{i:05d}" for i in range(customers)], 3),
        "offer_id": np.tile(["a", "b", "c"], customers), "gain_cents": gain.ravel(),
        "cost_cents": cost.ravel().astype(float), "groups": [each for each in named for _ in range(3)],
    })  # fmt: skip


def limits_hold(shops: int) -> None:
    """Violations, gap and price of the limits in simulated shops."""
    broken, gaps, prices, before = 0, list[float](), list[float](), 0
    for seed in range(shops):
        rows = shop(seed)
        people = rows.unique("customer_id", maintain_order=True).select("customer_id", "groups")
        fair = [each.limit for each in allocate.fair_limits(people, FairnessSettings.model_validate(FAIR))]
        free = allocate.plan(rows, 100_000.0, seed=seed)
        found = allocate.plan(rows, 100_000.0, fair, seed=seed)
        before += bool(allocate.breaks(free.chosen, fair))
        broken += bool(allocate.breaks(found.chosen, fair)) or found.cost_cents > 100_000
        gaps.append(found.allocation.gap)
        prices.append(1 - found.gain_cents / free.gain_cents)
    tell("shops whose plan breaks a limit", broken, n=shops, unit="shops")
    tell("shops whose plan without limits breaks one", before, n=shops, unit="shops")
    tell("gap, the largest", max(gaps), n=shops, low=min(gaps), high=max(gaps))
    tell("gain given up, mean", np.mean(prices), n=shops, low=min(prices), high=max(prices))


def customers(seed: int, n: int, planted: float) -> pl.DataFrame:
    """Women have smaller baskets, and these get less off; a device that four in five of them have costs `planted`."""
    rng = np.random.default_rng(seed)
    woman = rng.random(n) < 0.45
    device = np.where(rng.random(n) < np.where(woman, 0.8, 0.2), "a", "b")
    basket = np.exp(rng.normal(np.where(woman, 7.6, 8.0), 0.5))
    rate = 0.08 + 0.02 * np.log(basket / 3000) + 0.1 * rng.standard_normal(n) - planted * (device == "a")
    return pl.DataFrame({
        "sex": np.where(woman, "F", "M"), "region": rng.choice(["north", "south", "east", "west"], n),
        "age": rng.choice(["18-24", "25-44", "45-64", "65+"], n), "device": device, "basket_mean_cents": basket,
        "orders_16w": rng.poisson(3 + 2 * woman), "basket_lines_mean": basket / 400 * np.exp(0.3 * rng.normal(size=n)),
        "top_hour": rng.integers(0, 24, n), "store": rng.choice([f"s{k}" for k in range(12)], n),
        "discount": rate, "offers": (rng.random(n) < 0.2).astype(float),
    })  # fmt: skip


def discrimination(runs: int, n: int) -> None:
    """How often a price discrimination of 2 points through a feature is found and named, and one that is not there."""
    found, named, alarms, through = 0, 0, 0, 0
    for seed in range(runs):
        for planted in (0.02, 0.0):
            rows = customers(seed, n, planted)
            gaps = group_gaps(rows, ["sex", "region", "age"], ["discount", "offers"], ALIKE)
            proxies = find_proxies(rows, gaps, ["device", "top_hour", "store"], ALIKE)
            hit = any(gap.shown and gap.group == "sex=F" and gap.measure == "discount" and gap.worse for gap in gaps)
            runs_through = any(each.feature == "device" and each.through for each in proxies)
            if planted:
                found, named = found + hit, named + (hit and runs_through)
            else:
                alarms += any(gap.shown for gap in gaps)
                through += any(each.through for each in proxies)
    data = f"{n:,} customers"
    told_share("discrimination of 2 points found", found, runs, data=data)
    told_share("found, and the feature named", named, runs, data=data)
    told_share("false alarms: any gap shown where there is none", alarms, runs, data=data)
    told_share("false alarms: any feature a gap runs through", through, runs, data=data)


def demo(work: Path) -> None:
    """CPU of the plan with limits over that without, violations, gap and price on the demo's work folder."""
    plain, seconds = demo_config(), dict[str, float]()
    fair = plain.model_copy(update={"fairness": FairnessSettings.model_validate(FAIR)})
    with Store(work) as store:
        for name, config in (("warm", plain), ("without", plain), ("with", fair)):
            start = time.process_time()
            plan.run(Job(config, store, lambda *_: None))
            seconds[name] = time.process_time() - start
        made = Plan.load(store)
        note = made.note.fairness
        assert note is not None
        tell("limits broken", len(note.broken(made.chosen)), n=len(note.uses), unit="limits", data="demo")
    tell("gap", made.note.gap, n=made.note.customers, data="demo")
    tell("expected gain given up", (note.cost_cents or 0.0) / (made.note.planned_cents + (note.cost_cents or 0.0)),
         n=made.note.treated, data="demo")  # fmt: skip
    tell("CPU of the plan with limits over that without", seconds["with"] / seconds["without"], unit="ratio", data="demo",
         low=seconds["without"], high=seconds["with"])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--demo", type=Path)
    asked = parser.parse_args()
    limits_hold(5 if asked.quick else 20)
    discrimination(40 if asked.quick else 200, 20_000)
    if asked.demo:
        demo(asked.demo)


if __name__ == "__main__":
    main()
