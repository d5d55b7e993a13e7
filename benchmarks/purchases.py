"""Purchases of a category (or product) in the plan's window, as the plan forecasts them, beside the counts alone, out.

    python benchmarks/purchases.py            # the Complete Journey as of the demo's check, and three simulated shops
    python benchmarks/purchases.py --quick    # one small simulated shop

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. The doors are those of `promolift profile`:
`affinities`, `forecast`. Rows: what a customer had bought before the moment; whether they bought it again
within 28 days. Nothing later than the moment is learned from. Errors by customer.
"""

import argparse
import json
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from promolift import learn, profile, run
from promolift.profile.purchases import GROUPS, groups
from promolift.results.job import Job, moments
from promolift.simulate import SimulationSettings, simulate
from promolift.sql import DAY_MS
from promolift.steps.profile import moments_of, open_shard
from promolift.store import Store

SETTINGS = profile.ProfileSettings()
WINDOW = SETTINGS.window_days * DAY_MS


def say(
    figure: str, value: float, se: float | None, unit: str, peer: tuple[str, float] | None, n: int, data: str
) -> None:
    name, peer_value = peer or (None, None)
    line = {"figure": figure, "value": round(value, 4), "se": None if se is None else round(se, 4), "unit": unit}
    line |= {"peer": name, "peer_value": None if peer_value is None else round(peer_value, 4), "n": n, "data": data}
    print(json.dumps(line), flush=True)


def judge(shards: list[profile.Shard], asof: int, data: str) -> None:
    """The forecast made at a moment, and the counts', against what came in the window after it."""
    past = profile.learned_moments(asof, WINDOW)
    shared = profile.Shared.start([asof, asof + WINDOW], past)
    for step in profile.STEPS:
        shared = shared.plus([step(shard, shared, SETTINGS) for shard in shards])
    parts = []
    for shard in shards:
        known = moments_of(shard.events, sorted([*past, asof, asof + WINDOW]))
        parts.append(pl.concat(profile.affinities(shard, known, shared, SETTINGS)))
    rows = pl.concat(parts)
    before = rows.filter(pl.col("asof_ms") <= asof)
    facts = profile.together([profile.target_facts(before)])
    made = profile.forecast(profile.PurchaseHistories(before, facts), asof, SETTINGS)
    now = before.filter((pl.col("asof_ms") == asof) & pl.col("bought"))
    later = rows.filter((pl.col("asof_ms") == asof + WINDOW) & (pl.col("last_ms") >= asof))
    hit = now.join(later.select("customer_id", "target", hit=pl.lit(True)), on=["customer_id", "target"], how="left",
                   maintain_order="left")["hit"].fill_null(False).to_numpy()  # fmt: skip
    ours, counts = (table["buy_prob"].to_numpy() for table in (made.expect(profile.PurchaseHistories(now, facts)), now))
    who, n, peer = now["customer_id"].to_list(), now.height, "counts alone"
    say("weight of the trees", made.note.weight, None, "share", None, n, data)
    y = hit.astype(int)
    auc, auc_c = (learn.auc(y, prob, who) for prob in (ours, counts))
    say("AUC", auc.value, (auc.high - auc.low) / 3.92, "", (peer, auc_c.value), n, data)
    loss, loss_c = (-np.log(np.where(hit, prob, 1 - prob)) for prob in (ours, counts))
    sums = pl.DataFrame({"who": who, "gap": loss_c - loss}).group_by("who").agg(pl.col("gap").sum(), n=pl.len())
    lead = float((loss_c - loss).mean())
    se = float(np.sqrt(((sums["gap"] - lead * sums["n"]) ** 2).sum())) / n
    say("log loss", float(loss.mean()), None, "nats", (peer, float(loss_c.mean())), n, data)
    say("log loss below the peer's by", lead, se, "nats", (peer, float(loss_c.mean())), n, data)
    place = groups(now)
    for name, mine in [("all", place >= 0), *((name, place == k) for k, name in enumerate(GROUPS))]:
        if mine.sum() and y[mine].sum():
            some = [c for c, inside in zip(who, mine, strict=True) if inside]
            large, large_c = (
                learn.calibration(y[mine], prob[mine], groups=some).in_the_large for prob in (ours, counts)
            )
            width = (large.high - large.low) / 3.92
            say(f"predicted / observed, {name}", large.value, width, "", (peer, large_c.value), int(mine.sum()), data)
    for name, prob in (("ours", ours), (peer, counts)):
        bins = learn.calibration(y, prob, groups=who).bins
        inside = sum(each.low <= each.prob <= each.high for each in bins)
        say(f"bins whose interval holds the prediction, {name}", inside, None, f"of {len(bins)}", None, n, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small simulated shop")
    told = parser.parse_args()
    for seed in (1,) if told.quick else (1, 2, 3):
        shop = simulate(SimulationSettings(customers=400 if told.quick else 1500, weeks=52, seed=seed))
        connection = duckdb.connect(config={"threads": 1})
        events, products = (connection.from_arrow(frame.to_arrow()) for frame in (shop.events, shop.products))
        asof = int(shop.events["ts_ms"].max()) + 1 - WINDOW  # type: ignore[arg-type]
        judge([profile.Shard(events, products)], asof, f"simulated shop {seed}, {shop.settings.customers} customers")
    if not told.quick:
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
            job = Job(run.demo_config(), store, lambda *_: None)
            run.run(job, ["ingest"])
            judge([open_shard(job, shard) for shard in job.clean.shards], moments(job).check, "Complete Journey")


if __name__ == "__main__":
    main()
