"""Made-up shops of known truth in; what the product's own plan truly earns by what it is told to use, at equal spend, out.

    python benchmarks/shop/plan_value.py                     # 20 shops of 1,000 customers in each world
    python benchmarks/shop/plan_value.py --shops 4 --world goods
    python benchmarks/shop/plan_value.py --quick             # one shop of 300 in the world of goods

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. All is simulated. The door is `promolift plan` on a
year of the shop's own log: one plan with the forecaster of purchases, one with the counts alone in its place, and one
with `offer.proposals = "grid"` beside the menu alone. Truth, in expectation over all luck to come, only judges: each pair
of plans is cut to the spend of the one that truly costs less, in the order of its own expected gain per cost. The value
is the mean gain over the peer's in the first, paired by shop; what follows the four weeks is counted. Effects that are
only assumed count (`plan.min_evidence = "assumed"`), since the world of `market` has no shelf prices to learn from.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import polars as pl

from promolift.core.customers.forecasts import purchase_forecast
from promolift.core.offers.terms import covered_targets
from promolift.extensions.simulation.offline import monthly_budget, render_settings
from promolift.extensions.simulation.worlds.simulated_worlds import MONTH_WEEKS, OFFER_COLUMNS, GoodsWorld, MarketWorld
from promolift.extensions.simulation.worlds.true_effects import expected_effects
from promolift.extensions.simulation.worlds.world import CATEGORIES
from promolift.shop.pipeline.shop import Shop

COUNTS, NEVER = "counts alone", 10**12


class Earned(NamedTuple):
    """Of each offer of a plan: expected gain per cost, and what it truly adds and costs, in cents."""

    order_N: np.ndarray
    gain_N: np.ndarray
    cost_N: np.ndarray

    def at(self, spend: float) -> float:
        """The true gain of the offers that cost so much in truth, the most gain per cost first."""
        first = np.argsort(-self.order_N, kind="stable")
        gain, cost = self.gain_N[first], np.maximum(self.cost_N[first], 1e-9)
        left = np.clip(spend - np.r_[0.0, np.cumsum(cost)[:-1]], 0.0, cost)
        return float((gain * left / cost).sum())


def truth(world: GoodsWorld | MarketWorld, chosen: pl.DataFrame) -> Earned:
    """What each chosen offer truly adds and costs."""
    if chosen.is_empty():
        return Earned(np.zeros(0), np.zeros(0), np.zeros(0))
    order = (chosen["gain_cents"] / chosen["cost_cents"].clip(lower_bound=1e-9)).to_numpy()
    if isinstance(world, MarketWorld):
        found = world.market.gain(world.offers(chosen.select(OFFER_COLUMNS)))
        place = {who: n for n, who in enumerate(world.customer_ids)}
        at = np.array([place[who] for who in chosen["customer_id"]], np.int64)
        return Earned(order, found.horizon_N[at], found.cost_N[at])
    every = [goods[0] for goods in CATEGORIES[: world.world.settings.categories]]
    parts = [list(covered_targets(target)) or every for target in chosen["target"]]
    rows = (
        chosen.select("customer_id", pl.col("depth").fill_null(0.0))
        .with_columns(category=pl.Series(parts))
        .with_row_index("offer")
    )
    rows = rows.explode("category")
    worth = expected_effects(world.world, rows, world.week, MONTH_WEEKS).with_columns(rows["offer"])
    sums = worth.group_by("offer").agg(pl.col("gain_cents", "cost_cents").sum()).sort("offer")
    return Earned(order, sums["gain_cents"].to_numpy(), sums["cost_cents"].to_numpy())


def planned(world: GoodsWorld | MarketWorld, folder: Path, proposals: str) -> pl.DataFrame:
    """The chosen offers of `promolift plan` on the shop's log."""
    world.events.write_parquet(folder / "events.parquet")
    world.products.write_csv(folder / "products.csv")
    text = render_settings(world, monthly_budget(world), test_share=0.0)
    text = text.replace("[plan]\n", '[plan]\nmin_evidence = "assumed"\n')
    text = text.replace('proposals = "none"', f'proposals = "{proposals}"\npairs = false')
    (folder / "promolift.toml").write_text(text, encoding="utf-8")
    with Shop.open(folder / "promolift.toml", work=folder / "work") as shop:
        return shop.plan().chosen


def one(name: str, seed: int, customers: int) -> dict[str, Earned]:
    """The plans of one shop, by what they use."""
    made = {}
    world = GoodsWorld(seed, customers) if name == "goods" else MarketWorld(seed, customers)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "all").mkdir()
        made["forecaster"] = truth(world, planned(world, Path(folder) / "all", "none"))
        made["grid"] = truth(world, planned(world, Path(folder) / "all", "grid"))
        (Path(folder) / "few").mkdir()
        without = patch.multiple(purchase_forecast, MIN_ROWS=NEVER, _shifts=lambda *_: (0.0, 0.0, 0.0))
        with without:
            made[COUNTS] = truth(world, planned(world, Path(folder) / "few", "none"))
    return made


def compare(found: list[dict[str, Earned]], ours: str, peer: str, data: str) -> None:
    """The lead of one plan over another at equal true spend, paired by shop."""
    pairs = []
    for each in found:
        spend = min(float(each[name].cost_N.sum()) for name in (ours, peer))
        pairs.append([each[name].at(spend) / 100 for name in (ours, peer)])
    gains = np.array(pairs)
    lead, n = gains[:, 0] - gains[:, 1], len(gains)
    se = None if n < 2 else round(float(lead.std(ddof=1)) / n**0.5, 2)
    line = {"figure": f"true gain at equal spend, {ours}, lead", "value": round(float(lead.mean()), 2), "se": se}
    line |= {"unit": "$ a shop", "peer": peer, "peer_value": round(float(gains[:, 1].mean()), 2), "n": n, "data": data}
    print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one shop of 300 customers in the world of goods")
    parser.add_argument("--shops", type=int, default=20)
    parser.add_argument("--customers", type=int, default=1_000)
    parser.add_argument("--world", choices=["goods", "market"])
    told = parser.parse_args()
    shops, customers = (1, 300) if told.quick else (told.shops, told.customers)
    for name in ("goods",) if told.quick else (told.world,) if told.world else ("goods", "market"):
        found, started = [], time.process_time()
        for seed in range(1, shops + 1):
            found.append(one(name, seed, customers))
            data = f"simulated, world of {name}, {customers} customers"
            compare(found, "forecaster", COUNTS, data)
            compare(found, "grid", "forecaster", data)
        cpu = {
            "figure": "three plans of a shop",
            "value": round((time.process_time() - started) / shops, 1),
            "se": None,
        }
        print(
            json.dumps(cpu | {"unit": "CPU s", "peer": None, "peer_value": None, "n": shops, "data": data}), flush=True
        )


if __name__ == "__main__":
    main()
