"""Purchases of a category (or product) in the plan's window, as the plan forecasts them, beside the counts alone, out.

    python benchmarks/core/purchases.py            # the Complete Journey as of the demo's check, and three simulated shops
    python benchmarks/core/purchases.py --quick    # one small simulated shop
    python benchmarks/core/purchases.py --lifetimes PYTHON   # CDNOW beside BG/NBD, by a Python that has lifetimes

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. The doors are those of `promolift profile`:
`affinities`, `forecast`. Rows: what a customer had bought before the moment; whether they bought it again
within 28 days. Nothing later than the moment is learned from. Errors by customer. CDNOW (music by mail, 23,570 customers,
1997-98; it lies inside PyPI's lifetimes) names no goods: one category. Its peer is BG/NBD (Fader, Hardie, Lee 2005) of
that package, fitted to everything before the moment. For a simulated shop a line more says how many bins hold for the
exact probabilities of who knows everything but the shelf prices to come.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import duckdb
import numpy as np
import polars as pl

from promolift.core import customers, experiments
from promolift.core.customers.forecasts.purchase_forecast import GROUPS, customer_groups
from promolift.extensions.simulation.worlds.simulated_shop import simulate
from promolift.extensions.simulation.worlds.world import CATEGORIES, SimulationSettings, World
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.pipeline import pipeline
from promolift.shop.pipeline.shop import Shop
from promolift.shop.pipeline.steps.profile import moments_of, open_shard
from promolift.shop.results.work_folder.run_context import Job, moments

SETTINGS = customers.ProfileSettings()
WINDOW = SETTINGS.window_days * DAY_MS


def say(
    figure: str, value: float, se: float | None, unit: str, peer: tuple[str, float] | None, n: int, data: str
) -> None:
    name, peer_value = peer or (None, None)
    line = {"figure": figure, "value": round(value, 4), "se": None if se is None else round(se, 4), "unit": unit}
    line |= {"peer": name, "peer_value": None if peer_value is None else round(peer_value, 4), "n": n, "data": data}
    print(json.dumps(line), flush=True)


Other = Callable[[pl.DataFrame], np.ndarray]  # a peer's probabilities for rows of AFFINITIES


def judge(
    shards: list[customers.Shard], asof: int, data: str, others: Mapping[str, Other] = MappingProxyType({})
) -> None:
    """The forecast made at a moment, and the counts' and others', against what came in the window after it."""
    past = customers.training_moments(asof, WINDOW)
    shared = customers.PopulationSums.start([asof, asof + WINDOW], past)
    for step in customers.AGGREGATION_STEPS:
        shared = shared.plus([step(shard, shared, SETTINGS) for shard in shards])
    parts = []
    for shard in shards:
        known = moments_of(shard.events, sorted([*past, asof, asof + WINDOW]))
        parts.append(pl.concat(customers.estimate_affinities(shard, known, shared, SETTINGS)))
    rows = pl.concat(parts)
    before = rows.filter(pl.col("asof_ms") <= asof)
    facts = customers.merge_target_facts([customers.target_facts(before)])
    made = customers.fit_forecast(customers.PurchaseHistories(before, facts), asof, SETTINGS)
    now = before.filter((pl.col("asof_ms") == asof) & pl.col("bought"))
    later = rows.filter((pl.col("asof_ms") == asof + WINDOW) & (pl.col("last_ms") >= asof))
    hit = now.join(later.select("customer_id", "target", hit=pl.lit(True)), on=["customer_id", "target"], how="left",
                   maintain_order="left")["hit"].fill_null(False).to_numpy()  # fmt: skip
    ours, counts = (
        table["buy_prob"].to_numpy() for table in (made.predict(customers.PurchaseHistories(now, facts)), now)
    )
    theirs = {name: probs(now) for name, probs in others.items()}
    who, n, peer = now["customer_id"].to_list(), now.height, "counts alone"
    say("weight of the trees", made.note.weight, None, "share", None, n, data)
    y = hit.astype(int)
    auc, auc_c = (experiments.auc(y, prob, who) for prob in (ours, counts))
    say("AUC", auc.value, (auc.high - auc.low) / 3.92, "", (peer, auc_c.value), n, data)
    loss = -np.log(np.where(hit, ours, 1 - ours))
    for name, prob in ({peer: counts} | theirs).items():
        loss_c = -np.log(np.where(hit, prob, 1 - prob))
        sums = pl.DataFrame({"who": who, "gap": loss_c - loss}).group_by("who").agg(pl.col("gap").sum(), n=pl.len())
        lead = float((loss_c - loss).mean())
        se = float(np.sqrt(((sums["gap"] - lead * sums["n"]) ** 2).sum())) / n
        say("log loss", float(loss.mean()), None, "nats", (name, float(loss_c.mean())), n, data)
        say("log loss below the peer's by", lead, se, "nats", (name, float(loss_c.mean())), n, data)
        if name in theirs:
            say("AUC", auc.value, (auc.high - auc.low) / 3.92, "", (name, experiments.auc(y, prob, who).value), n, data)
            large = experiments.calibration(y, prob, groups=who).in_the_large
            say(f"predicted / observed, {name}", large.value, (large.high - large.low) / 3.92, "", None, n, data)
    place = customer_groups(now)
    for name, mine in [("all", place >= 0), *((name, place == k) for k, name in enumerate(GROUPS))]:
        if mine.sum() and y[mine].sum():
            some = [c for c, inside in zip(who, mine, strict=True) if inside]
            large, large_c = (
                experiments.calibration(y[mine], prob[mine], groups=some).in_the_large for prob in (ours, counts)
            )
            width = (large.high - large.low) / 3.92
            say(f"predicted / observed, {name}", large.value, width, "", (peer, large_c.value), int(mine.sum()), data)
    for name, prob in ({"ours": ours, peer: counts} | theirs).items():
        bins = experiments.calibration(y, prob, groups=who).bins
        inside = sum(each.low <= each.prob <= each.high for each in bins)
        say(f"bins whose interval holds the prediction, {name}", inside, None, f"of {len(bins)}", None, n, data)


def all_but_shelf(world: World, weeks: list[int], past: list[int]) -> Other:
    """The exact probability of who knows all of a simulated shop but its shelf prices to come: they are as in the past."""
    goods, share = world.products["c"].to_numpy(), world.products["share"].to_numpy()
    pull_NC = np.zeros(world.rate_NC.shape)
    for depth_P in world.shelf_PT(np.array(past)).T:
        part = share * np.exp(world.beta_N[:, None] * depth_P)
        pull_NC += np.stack([part[:, goods == c].sum(axis=1) for c in range(pull_NC.shape[1])], axis=1) / len(past)
    prob_NC = 1 - np.exp(-world.rate_NC * pull_NC * world.season_CT(np.array(weeks)).sum(axis=1))
    place = {who: n for n, who in enumerate(world.customer_ids)}
    names = {goods[0]: c for c, goods in enumerate(CATEGORIES)}

    def probs(rows: pl.DataFrame) -> np.ndarray:
        at = [(place[who], names[target]) for who, target in rows.select("customer_id", "target").iter_rows()]
        return np.clip(prob_NC[tuple(np.array(at).T)], 1e-6, 1 - 1e-6)

    return probs


# The probability of a purchase in the days to come; a customer's first purchase starts their time, in days as in the log.
BG_NBD = """
import sys, pandas as pd
from lifetimes import BetaGeoFitter
from lifetimes.utils import summary_data_from_transaction_data
log, asof, days, out = sys.argv[1], pd.Timestamp(int(sys.argv[2]), unit="ms"), int(sys.argv[3]), sys.argv[4]
rows = pd.read_csv(log, dtype={"customer_id": str})
rows["date"] = pd.to_datetime(rows["date"].astype(str), format="%Y%m%d")
# frequencies count days with a purchase after the first; the period ends the day before the moment
s = summary_data_from_transaction_data(rows[rows["date"] < asof], "customer_id", "date", observation_period_end=asof)
model = BetaGeoFitter(penalizer_coef=0.0).fit(s["frequency"], s["recency"], s["T"])
# who is alive buys at a rate of Gamma(r + x, alpha + T), and leaves at a purchase only: so the first one to come is exact
alive = model.conditional_probability_alive(s["frequency"], s["recency"], s["T"])
r, alpha = model.params_["r"], model.params_["alpha"]
some = 1 - ((alpha + s["T"]) / (alpha + s["T"] + days)) ** (r + s["frequency"])
pd.DataFrame({"customer_id": s.index, "prob": alive * some}).to_csv(out, index=False)
"""
WHERE = "import os, lifetimes; print(os.path.join(os.path.dirname(lifetimes.__file__), 'datasets', 'CDNOW_master.txt'))"


def cdnow(python: str) -> None:
    """The log inside lifetimes, four weeks before its end, beside that package's BG/NBD."""
    file = Path(subprocess.run([python, "-c", WHERE], capture_output=True, text=True, check=True).stdout.strip())
    lines = [line.split() for line in file.read_text("utf-8").splitlines()[1:] if line.strip()]
    log = pl.DataFrame(lines, schema=["customer_id", "date", "quantity", "amount"], orient="row")
    order = (pl.col("customer_id") + "-" + pl.col("date")).alias("order_id")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log.with_columns(order, product_id=pl.lit("cd")).write_csv(folder / "events.csv")
        (folder / "products.csv").write_text("product_id,name,category\ncd,CD,music\n", encoding="utf-8")
        files = {"events": folder / "events.csv", "products": folder / "products.csv"}
        with Shop(**files, work=folder / "work") as shop:
            shop.step("ingest")
            job = Job(shop.config, shop.store, lambda *_: None)
            asof = int(log["date"].str.to_date("%Y%m%d").max().toordinal() - 719_163) * DAY_MS  # type: ignore[union-attr]
            asof += DAY_MS - WINDOW
            out = folder / "theirs.csv"
            days = str(SETTINGS.window_days)
            subprocess.run([python, "-c", BG_NBD, str(files["events"]), str(asof), days, str(out)], check=True)
            found = pl.read_csv(out, schema_overrides={"customer_id": pl.String})

            def theirs(rows: pl.DataFrame) -> np.ndarray:
                joined = rows.select("customer_id").join(found, on="customer_id", how="left", maintain_order="left")
                return np.clip(joined["prob"].to_numpy(), 1e-6, 1 - 1e-6)

            judge([open_shard(job, shard) for shard in job.clean.shards], asof, "CDNOW", {"BG/NBD": theirs})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small simulated shop")
    parser.add_argument("--lifetimes", metavar="PYTHON", help="CDNOW alone, by a Python that has lifetimes")
    told = parser.parse_args()
    if told.lifetimes:
        cdnow(told.lifetimes)
        return
    for seed in (1,) if told.quick else (1, 2, 3):
        shop = simulate(SimulationSettings(customers=400 if told.quick else 1500, weeks=52, seed=seed))
        connection = duckdb.connect(config={"threads": 1})
        events, products = (connection.from_arrow(frame.to_arrow()) for frame in (shop.events, shop.products))
        asof = int(shop.events["ts_ms"].max()) + 1 - WINDOW  # type: ignore[arg-type]
        knows = {"all but the shelf": all_but_shelf(shop.world, list(range(48, 52)), list(range(52)))}
        data = f"simulated shop {seed}, {shop.settings.customers} customers"
        judge([customers.Shard(events, products)], asof, data, knows)
    if not told.quick:
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
            job = Job(pipeline.demo_config(), store, lambda *_: None)
            pipeline.run_steps(job, ["ingest"])
            judge([open_shard(job, shard) for shard in job.clean.shards], moments(job).check, "Complete Journey")


if __name__ == "__main__":
    main()
