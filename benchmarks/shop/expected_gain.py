"""Compare what a plan is expected to earn with what it truly earns, by depth, and how often its interval holds the truth.

    python benchmarks/shop/expected_gain.py            # 20 shops of 1,000 customers in three worlds
    python benchmarks/shop/expected_gain.py --quick    # one shop of 300 customers

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. All is simulated. Each shop is planned by
`promolift plan` and `promolift evaluate` on a year of its own log; its menu is lowered prices, so that in truth, too,
everybody who gets an offer uses it. The shop states its margin on undiscounted value. The ratio is the sum of expected
gains over the sum of true ones, in expectation over all luck to come; its error is by bootstrap over shops. The worlds
differ in how much of a discount is bought in advance and in how much customers differ.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from plan_value import truth

from promolift.core.experiments.prediction_metrics import wilson_interval
from promolift.extensions.simulation.offline import monthly_budget, render_settings
from promolift.extensions.simulation.worlds.simulated_shop import simulate
from promolift.extensions.simulation.worlds.simulated_worlds import HISTORY_WEEKS, GoodsWorld
from promolift.extensions.simulation.worlds.world import SimulationSettings
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.plan import Plan

WORLDS: dict[str, dict[str, float]] = {
    "goods": {}, "bought in advance": {"stockpiling": 0.5}, "customers that differ": {"elasticity_spread": 0.6}
}  # fmt: skip
MENU = """[[menu]]
id = "lower-{percent}-{scope}"
benefit = {{ type = "percent_off", percent = {percent} }}
scope = "{scope}"
"""
DRAWS = 2_000


class PlannedGain(NamedTuple):
    """The plan of one shop: its value and interval, and expected and true gains by depth, in cents."""

    value: float
    low: float
    high: float
    by_depth: dict[float, tuple[float, float]]

    @property
    def true(self) -> float:
        return sum(true for _, true in self.by_depth.values())


def draw_world(name: str, seed: int, customers: int) -> GoodsWorld:
    """A shop of this world; it states its margin on undiscounted value, as the setting asks."""
    world = GoodsWorld(seed, customers)
    settings = SimulationSettings(seed=seed, customers=customers, weeks=HISTORY_WEEKS, categories=8)
    shop = simulate(settings.model_copy(update=WORLDS[name]))
    world.world, world.log = shop.world, [shop.events]
    sold = world.events.join(shop.world.products.select("product_id", "cost_cents", "price_cents"), on="product_id")
    cost, undiscounted = sold.select(pl.col("cost_cents", "price_cents").dot(pl.col("quantity"))).row(0)
    world.margin = 1 - cost / undiscounted
    return world


def planned_gain(world: GoodsWorld, folder: Path, share: float) -> PlannedGain | None:
    """Plan with so many months' budget; None where the plan gives nobody an offer."""
    world.events.write_parquet(folder / "events.parquet")
    world.products.write_csv(folder / "products.csv")
    text = render_settings(world, round(share * monthly_budget(world)), test_share=0.0).partition("[[menu]]")[0]
    text = text.replace("[plan]\n", '[plan]\nmin_evidence = "assumed"\n')
    text += "".join(MENU.format(percent=off, scope=on) for off in (10, 20, 30) for on in ("all", "category"))
    (folder / "promolift.toml").write_text(text, encoding="utf-8")
    with Shop.open(folder / "promolift.toml", work=folder / "work") as shop:
        shop.plan()
        shop.evaluate()
        plan = Plan.load(shop.store)
        chosen, found = plan.chosen, plan.summary
    if chosen.is_empty():
        return None
    place = {who: n for n, who in enumerate(world.customer_ids)}
    at, depth = np.array([place[who] for who in chosen["customer_id"]]), chosen["depth"].to_numpy()
    taken = np.array([world.world.clip_prob_N(each)[n] for each, n in zip(depth, at, strict=True)])
    true = truth(world, chosen).gain_N / taken  # a lowered price needs no coupon to be taken up
    expected = chosen["gain_cents"].to_numpy() * ((found.value_cents or 0.0) / chosen["gain_cents"].sum())
    by = {float(d): (float(expected[depth == d].sum()), float(true[depth == d].sum())) for d in np.unique(depth)}
    return PlannedGain(found.value_cents or 0.0, found.low_cents or 0.0, found.high_cents or 0.0, by)


def tell(figure: str, value: float, se: float | None, n: int, data: str) -> None:
    line = {"figure": figure, "value": round(value, 3), "se": None if se is None else round(se, 3)}
    line |= {"unit": "share", "peer": None, "peer_value": None, "n": n, "data": data}
    print(json.dumps(line), flush=True)


def tell_ratio(figure: str, pairs: list[tuple[float, float]], data: str) -> None:
    """Expected over true gain, summed over shops."""
    if not pairs:
        return
    sums, rng = np.array(pairs), np.random.default_rng(0)
    drawn = sums[rng.integers(0, len(sums), (DRAWS, len(sums)))].sum(axis=1)
    se = float((drawn[:, 0] / drawn[:, 1]).std()) if len(sums) > 1 else None
    tell(figure, float(sums[:, 0].sum() / sums[:, 1].sum()), se, len(sums), data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one shop of 300 customers")
    parser.add_argument("--shops", type=int, default=20)
    parser.add_argument("--customers", type=int, default=1_000)
    told = parser.parse_args()
    shops, customers = (1, 300) if told.quick else (told.shops, told.customers)
    found: dict[str, list[PlannedGain]] = {name: [] for name in WORLDS}
    for seed in range(1, shops + 1):
        name = list(WORLDS)[seed % 3]
        with tempfile.TemporaryDirectory() as folder:
            made = planned_gain(draw_world(name, seed, customers), Path(folder), (1.0, 4.0)[seed % 2])
        found[name] += [made] if made else []
    for name, plans in [*found.items(), ("all three", [plan for each in found.values() for plan in each])]:
        data = f"simulated, world of {name}, {customers} customers"
        tell_ratio("expected over true gain", [(plan.value, plan.true) for plan in plans], data)
        for depth in sorted({depth for plan in plans for depth in plan.by_depth}):
            pairs = [plan.by_depth[depth] for plan in plans if depth in plan.by_depth]
            tell_ratio(f"expected over true gain, {depth:.0%} off", pairs, data)
        if plans:
            hits = sum(plan.low <= plan.true <= plan.high for plan in plans)
            low, high = wilson_interval(hits, len(plans))
            tell("intervals of 95 % that hold the truth", hits / len(plans), (high - low) / 3.92, len(plans), data)


if __name__ == "__main__":
    main()
