"""The Complete Journey in; how well spend and category purchases are forecast, beside common ways, out.

    python benchmarks/spend.py [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Everything is known up to week 42 (2017-10-16 in
the shop's zone); all 2,451 households seen by then are predicted for weeks 43 to 50. Standard errors by Poisson
bootstrap over households, the same draws for all models (1,000; --quick 100). BG/NBD with Gamma-Gamma comes from the
PyPI package `lifetimes` in a venv of its own, made on the first run beside the temporary files; --quick leaves it out.

Of category purchases the counts alone are shown, one member of the plan's forecast (purchases.py has the whole).
Category purchases are those of weeks 43 to 46 (28 days), per household and category bought before; the peer is the
household's own rate over the last 84 days, or his orders so far. Price sensitivity is estimated from odd and from even weeks alone; the
figure is the correlation of the two over households, the peer the same without shrinkage; --quick leaves it out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from datetime import date
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl
from scipy.stats import poisson, spearmanr
from sklearn.metrics import roc_auc_score

from promolift import profile, run, sql
from promolift.hashing import hash_units
from promolift.profile import lines, sensitivity
from promolift.results.job import midnight_ms, moments
from promolift.sql import WEEK_MS, fetch
from promolift.steps import spend
from promolift.steps.profile import moments_of, open_shard, profile_settings
from promolift.store import Store

DATA, HORIZON = "Complete Journey", 8
PEERS = Path(tempfile.gettempdir()) / "promolift-peers-lifetimes"
WINDOWS = """
select m.customer_id, m.asof_ms,
    {sums}, min(m.asof_ms - e.ts_ms) / 86400000.0 as recency, max(m.asof_ms - e.ts_ms) / 86400000.0 as tenure
from moments m join events e on e.customer_id = m.customer_id and e.ts_ms < m.asof_ms and e.kind = 'purchase'
group by all order by all
"""
LATER = """
select customer_id, target, sum(list_cents)::bigint as later_cents from lines
where kind = 'purchase' and target is not null and ts_ms >= {start} and ts_ms < {end} group by all
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
    for shard in job.clean.shards:
        events = job.clean.events(shard)
        parts.append(_windows(events, moments_of(events, asofs), sums))
    return pl.concat(parts).fill_null(0)


def _windows(events: object, moments: object, sums: str) -> pl.DataFrame:
    return fetch(sql.run(WINDOWS.format(sums=sums), events=events, moments=moments))


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
    query = RFM.format(cut=cut, last=cut // 86_400_000)
    rows = pl.concat([fetch(sql.run(query, events=job.clean.events(shard))) for shard in job.clean.shards])
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


def shared_at(job: run.Job, cut: int) -> profile.Shared:
    """What customers share as of one moment, summed over the shards."""
    shared, shards = profile.Shared.start([cut]), job.clean.shards
    for step in profile.STEPS:
        shared = shared.plus(step(open_shard(job, shard), shared, profile_settings(job)) for shard in shards)
    return shared


def came(job: run.Job, cut: int, days: int) -> pl.DataFrame:
    """List value per customer and category in the `days` after the moment."""
    query, parts = LATER.format(start=cut, end=cut + days * 86_400_000), []
    for shard in job.clean.shards:
        rows = lines.read_lines(open_shard(job, shard), job.config.shop.zone)
        parts.append(rows.texts(fetch(sql.run(query, lines=rows.rows)), "target"))
    return pl.concat(parts)


def forecasts_held(job: run.Job, cut: int, shared: profile.Shared, draws: int) -> None:
    """Expected value and chance to buy per category against the next window."""
    settings, parts = profile_settings(job), []
    started = time.process_time()
    for shard in job.clean.shards:
        here = open_shard(job, shard)
        parts.extend(profile.affinities(here, moments_of(here.events, [cut]), shared, settings))
    people = sum(part["customer_id"].n_unique() for part in parts)
    say("affinities of all customers at one moment, CPU", round(time.process_time() - started, 1), None, "s", people)
    later = came(job, cut, settings.window_days)
    table = (
        pl.concat(parts)
        .join(later, on=["customer_id", "target"], how="left")
        .with_columns(
            pl.col("later_cents").fill_null(0),
            rate=pl.col("recent_list_cents") * settings.window_days / settings.recent_days,
        )
    )
    old, new = table.filter("bought"), table.filter(~pl.col("bought"))
    compare("category value of the counts alone, expected / came", "", total, old, ("expected_cents", "rate"), draws)
    compare(
        "category value of the counts alone, mean absolute error", "$", miss, old, ("expected_cents", "rate"), draws
    )
    compare("buys the category again by the counts alone, AUC", "", area, old, ("buy_prob", "orders"), draws)
    compare("buys one of the 10 most plausible new categories, AUC", "", area, new, ("buy_prob", None), draws)
    compare(
        "buys one of the 10 most plausible new categories, expected / came", "", often, new, ("buy_prob", None), draws
    )
    tenth = old.sort("expected_cents").with_columns(part=pl.int_range(pl.len()) * 10 // pl.len())
    ratio = tenth.group_by("part").agg(pl.col("expected_cents").sum() / pl.col("later_cents").sum()).sort("part")
    say(
        "category value of the counts alone, expected / came by tenth",
        [round(x, 3) for x in ratio["expected_cents"]],
        None,
        "",
        old.height,
    )


def reliability(job: run.Job, cut: int, shared: profile.Shared, draws: int) -> None:
    """Price sensitivity from odd weeks against even weeks."""
    halves, zone = [], job.config.shop.zone
    for half in (0, 1):
        fits = []
        for shard in job.clean.shards:
            here = open_shard(job, shard)
            trials = sensitivity.trials(here, shared, profile_settings(job)).filter(pl.col("week") % 2 == half)
            fits.append(lines.read_lines(here, zone).texts(sensitivity.fit_customers(trials, cut, zone)))
        fit = pl.concat(fits)
        baskets = sensitivity.basket_sums(fit)
        sums = sensitivity.population_sums(sensitivity.with_variance(fit, baskets))
        known = fit.select("customer_id", "asof_ms", pl.col("asof_ms").alias("shared_ms"))
        found = sensitivity.posterior(fit, known, baskets, sums).join(fit, on=["customer_id", "asof_ms"])
        halves.append(found.with_columns(pl.col("theta").alias("raw"), half=pl.lit(half)))
    table = pl.concat(halves)
    columns = {"price_sensitivity": "shrunk", "price_sensitivity_2": "shrunk_2"}
    both = table.filter(half=0).join(table.filter(half=1), on="customer_id", suffix="_2").rename(columns)
    compare("price sensitivity, odd against even weeks, correlation", "", agree, both, ("shrunk", "raw"), draws)


# figures of a column against what came, with a weight per row
def total(t: pl.DataFrame, name: str, w: np.ndarray) -> float:
    return float((w * t[name].to_numpy()).sum() / (w * t["later_cents"].to_numpy()).sum())


def miss(t: pl.DataFrame, name: str, w: np.ndarray) -> float:
    return float(np.average(np.abs(t[name].to_numpy() - t["later_cents"].to_numpy()), weights=w) / 100)


def area(t: pl.DataFrame, name: str, w: np.ndarray) -> float:
    return float(roc_auc_score(t["later_cents"].to_numpy() > 0, t[name].to_numpy(), sample_weight=w))


def often(t: pl.DataFrame, name: str, w: np.ndarray) -> float:
    return float((w * t[name].to_numpy()).sum() / (w * (t["later_cents"].to_numpy() > 0)).sum())


def agree(t: pl.DataFrame, name: str, w: np.ndarray) -> float:
    spread = np.cov(t[name].to_numpy(), t[f"{name}_2"].to_numpy(), aweights=w)
    return float(spread[0, 1] / np.sqrt(spread[0, 0] * spread[1, 1]))


def compare(figure: str, unit: str, make: Any, table: pl.DataFrame, names: tuple[str, str | None], draws: int) -> None:
    """One JSON line: ours and the peer's column, standard error by bootstrap over households."""
    mine, peer = names
    people = table["customer_id"].unique().sort()
    row = table.select(pl.col("customer_id").replace_strict(people, np.arange(len(people))))["customer_id"].to_numpy()
    times = [poisson.ppf(hash_units(f"household {b}", people), 1)[row] for b in range(draws)]
    one, error = np.ones(len(row)), float(np.std([make(table, mine, w) for w in times]))
    other = None if peer is None else round(make(table, peer, one), 4)
    say(figure, round(make(table, mine, one), 4), round(error, 4), unit, len(people), (peer, other))


def say(
    figure: str, value: Any, se: float | None, unit: str, n: int, peer: tuple[str | None, float | None] = (None, None)
) -> None:
    line = {"figure": figure, "value": value, "se": se, "unit": unit, "peer": peer[0], "peer_value": peer[1]}
    print(json.dumps(line | {"n": n, "data": DATA}), flush=True)


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
        shared = shared_at(job, cut)
        forecasts_held(job, cut, shared, 10 if quick else 200)
        if not quick:
            reliability(job, cut, shared, 200)


if __name__ == "__main__":
    main()
