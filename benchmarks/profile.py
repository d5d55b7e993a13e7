"""The Complete Journey in; how well the spend of the next 8 weeks is foreseen, beside three common ways, out.

    python benchmarks/profile.py [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Everything is known up to week 42 (2017-10-16 in
the shop's zone); all 2,451 households seen by then are predicted for weeks 43 to 50. Standard errors by Poisson
bootstrap over households, the same draws for all models (1,000; --quick 100). BG/NBD with Gamma-Gamma comes from the
PyPI package `lifetimes` in a venv of its own, made on the first run beside the temporary files; --quick leaves it out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from datetime import date
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
from scipy.stats import poisson, spearmanr

from promolift import profile, run
from promolift.hashing import hash_units
from promolift.sql import WEEK_MS, fetch
from promolift.steps import spend
from promolift.steps.job import midnight_ms, moments
from promolift.store import Store

DATA, HORIZON = "Complete Journey", 8
PEERS = Path(tempfile.gettempdir()) / "promolift-peers-lifetimes"
WINDOWS = """
select m.customer_id, m.asof_ms,
    {sums}, min(m.asof_ms - e.ts_ms) / 86400000.0 as recency, max(m.asof_ms - e.ts_ms) / 86400000.0 as tenure
from moments m join events e on e.customer_id = m.customer_id and e.ts_ms < m.asof_ms and e.kind = 'purchase'
group by all order by all
"""
RFM = """
select customer_id, count(distinct day) - 1 as frequency, max(day) - min(day) as recency,
    {last} - min(day) as T, (sum(revenue_cents) - sum(revenue_cents) filter (day = first)) / 100.0 as later
from (
    select *, min(day) over (partition by customer_id) as first
    from (select customer_id, revenue_cents, ts_ms // 86400000 as day from events where ts_ms < {cut})
) group by customer_id order by customer_id
"""
LIFETIMES = """
import sys, pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter
d = pd.read_csv(sys.argv[1], dtype={"customer_id": str})
bg = BetaGeoFitter(penalizer_coef=0.001).fit(d.frequency, d.recency, d["T"])
d["value"] = d.later / d.frequency.where(d.frequency > 0)
paying = d[(d.frequency > 0) & (d.value > 0)]
gg = GammaGammaFitter(penalizer_coef=0.001).fit(paying.frequency, paying.value)
worth = gg.conditional_expected_average_profit(d.frequency, d.value.fillna(0))
visits = bg.conditional_expected_number_of_purchases_up_to_time(int(sys.argv[3]), d.frequency, d.recency, d["T"])
d.assign(guess=worth * visits)[["customer_id", "guess"]].to_csv(sys.argv[2], index=False)
"""


def windows(job: run.Job, asofs: list[int]) -> pl.DataFrame:
    """Orders and revenue in windows of 4, 8, 16 and 52 weeks, recency and tenure: what most people would compute."""
    spans = [(name, weeks) for weeks in (4, 8, 16, 52) for name in ("orders", "revenue")]
    what = {"orders": "count(distinct e.order_id)", "revenue": "sum(e.revenue_cents)"}
    sums = ", ".join(
        f"{what[name]} filter (m.asof_ms - e.ts_ms <= {weeks * WEEK_MS}) as {name}_{weeks}" for name, weeks in spans
    )
    parts = []
    for shard in job.store.shards("events"):
        events = job.store.events(shard)
        parts.append(_windows(events, spend.moments_of(events, asofs), sums))
    return pl.concat(parts).fill_null(0)


def _windows(events: object, moments: object, sums: str) -> pl.DataFrame:
    return fetch(events.query("events", WINDOWS.format(sums=sums)))  # type: ignore[attr-defined]


def boosted(job: run.Job, asofs: list[int], cut: int) -> pl.DataFrame:
    """LightGBM with its defaults on windowed RFM, trained on the same snapshots as ours."""
    table = windows(job, [*asofs, cut])
    names = [name for name in table.columns if name not in ("customer_id", "asof_ms")]
    past = table.filter(pl.col("asof_ms") != cut).join(spend.outcomes(job, asofs), on=["customer_id", "asof_ms"])
    model = lightgbm.LGBMRegressor(random_state=1, n_jobs=2, verbose=-1, deterministic=True, force_row_wise=True)
    model.fit(past.select(names).to_numpy(), past["outcome_cents"].to_numpy())
    now = table.filter(pl.col("asof_ms") == cut)
    return now.select("customer_id", pl.Series("guess", np.clip(model.predict(now.select(names).to_numpy()), 0, None)))


def buy_till_you_die(job: run.Job, cut: int) -> pl.DataFrame | None:
    """BG/NBD with Gamma-Gamma by `lifetimes`, or None (with the reason on stderr) where it cannot be installed."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        venv.create(PEERS, with_pip=True)
        wanted = ["lifetimes==0.11.3", "pandas<2.2", "numpy<2", "scipy<1.12"]
        done = subprocess.run([str(python), "-m", "pip", "install", "-q", *wanted], capture_output=True, text=True)
        if done.returncode:
            print(f"lifetimes left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
    sql = RFM.format(cut=cut, last=cut // 86_400_000)
    rows = pl.concat([fetch(job.store.events(shard).query("events", sql)) for shard in job.store.shards("events")])
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "in.csv", Path(folder) / "out.csv"
        rows.write_csv(given)
        subprocess.run(
            [str(python), "-W", "ignore", "-c", LIFETIMES, str(given), str(found), str(7 * HORIZON)], check=True
        )
        guess = pl.read_csv(found, schema_overrides={"customer_id": pl.String})
    return guess.with_columns(pl.col("guess").fill_nan(None).fill_null(0) * 100)


def ours(job: run.Job, asofs: list[int], cut: int) -> pl.DataFrame:
    """promolift's forecast, and the customer's own last 16 weeks halved, from one table."""
    inputs = spend.features(job, [*asofs, cut])
    past = inputs.filter(pl.col("asof_ms") != cut).join(spend.outcomes(job, asofs), on=["customer_id", "asof_ms"])
    model = profile.fit_spend(past)
    return model.predict(inputs.filter(pl.col("asof_ms") == cut)).select("customer_id", guess="typical_cents")


def report(guesses: dict[str, pl.DataFrame], truth: pl.DataFrame, draws: int) -> None:
    """JSON lines for every model, differences paired by household."""
    order = truth.sort("customer_id")
    actual = order["outcome_cents"].to_numpy() / 100
    guess = {
        name: order.join(frame, on="customer_id", how="left")["guess"].cast(pl.Float64).fill_null(0).to_numpy() / 100
        for name, frame in guesses.items()
    }
    weights = [poisson.ppf(hash_units(f"household {b}", order["customer_id"]), 1).astype(int) for b in range(draws)]
    for figure, unit, make in (
        ("mean absolute error", "$", lambda a, g: float(np.abs(a - g).mean())),
        ("Spearman", "", lambda a, g: float(spearmanr(a, g).statistic)),
    ):
        drawn = {name: [make(np.repeat(actual, w), np.repeat(g, w)) for w in weights] for name, g in guess.items()}
        for name, g in guess.items():
            lead = np.subtract(drawn["promolift"], drawn[name])
            line = {
                "figure": f"spend of the next 8 weeks, {figure}", "value": round(make(actual, guess["promolift"]), 4),
                "se": round(float(np.std(drawn["promolift"])), 4), "unit": unit, "peer": name,
                "peer_value": round(make(actual, g), 4), "paired_se": round(float(np.std(lead)), 4),
                "n": len(actual), "data": DATA,
            }  # fmt: skip
            if name != "promolift" or len(guess) == 1:
                print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 draws, no lifetimes")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        job = run.Job(run.demo_config(), store, lambda *told: None)
        run.run(job, ["ingest"])
        cut = moments(job).check
        assert cut == midnight_ms(date(2017, 10, 16), job.config.shop.zone)  # the end of week 42
        first = store.load_json("span")["first_ms"] + 10 * WEEK_MS
        asofs = list(range(cut - HORIZON * WEEK_MS, first, -(4 if quick else 2) * WEEK_MS))
        table = windows(job, [cut])
        guesses = {
            "promolift": ours(job, asofs, cut),
            "mean of the last 16 weeks": table.select("customer_id", guess=pl.col("revenue_16") / 2),
            "LightGBM defaults on windowed RFM": boosted(job, asofs, cut),
        }
        peer = None if quick else buy_till_you_die(job, cut)
        if peer is not None:
            guesses["BG/NBD + Gamma-Gamma (lifetimes)"] = peer
        report(guesses, spend.outcomes(job, [cut]), 100 if quick else 1000)


if __name__ == "__main__":
    main()
