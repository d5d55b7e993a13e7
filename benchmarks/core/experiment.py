"""Simulated experiments in; error rates, coverage and power of the verdicts, beside gbstats on the same sums, out.

    python benchmarks/core/experiment.py [--quick] [--gbstats PYTHON]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. `--gbstats` (or the environment variable
GBSTATS_PYTHON) names the Python of a separate environment with `pip install gbstats`; without it the peer is skipped,
and a line says so. Three simulated shops, 60 days, one look a day at one primary metric, a holdout of 20 %:

- joining: 100 customers join every day and place 4 orders on average, some far more, of long-tailed size; the
  covariate is their spending before.
- earning: 3,000 customers are there from day 1 and spend a little on some days; progress is counted in days.
- buying: 200 customers join every day, 3 % buy.

Looks before 200 customers are in an arm, or 20 buyers and 20 others, give no verdict; the peer and the fixed interval
are judged on the same looks. The peer's sequential interval is tuned to the planned number of customers. Complete
Journey tells what a real covariate takes off: spending in 12 weeks, given the 12 before.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import polars as pl
from scipy import stats

from promolift.core.experiments.arm_sums import ArmSums, sum_by_group
from promolift.core.experiments.experiment_design import Design, analyse
from promolift.core.experiments.lift import Metric, lift, shared_theta, value_and_slope
from promolift.core.experiments.outcome_join import JoinSettings, join_outcomes
from promolift.extensions.connectors.complete_journey import open_complete_journey
from promolift.foundation.hashing import hash_int
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events

DAYS, ARMS, SHARE = 60, ("holdout", "new"), 0.2
ORDERS = 4  # of a mean customer in the joining shop
COLUMNS = ("y", "x", "d")
PLAIN, CUPED = Metric(name="m", value="y"), Metric(name="m", value="y", covariates=("x",))
RATIO = Metric(name="m", value="y", per="d")
PEER = """
import json, sys, warnings
warnings.simplefilter("ignore")
from gbstats.frequentist.tests import *
from gbstats.models.statistics import *
def side(n, y, yy, x, xx, yx, d, dd, yd, kind):
    mean = SampleMeanStatistic(n=n, sum=y, sum_squares=yy)
    if kind == "rate":
        return ProportionStatistic(n=n, sum=y)
    if kind == "ratio":
        return RatioStatistic(n=n, m_statistic=mean, d_statistic=SampleMeanStatistic(n=n, sum=d, sum_squares=dd), m_d_sum_of_products=yd)
    if kind == "cuped":
        return RegressionAdjustedStatistic(n=n, post_statistic=mean, pre_statistic=SampleMeanStatistic(n=n, sum=x, sum_squares=xx), post_pre_sum_of_products=yx, theta=0)
    return mean
ask = json.load(sys.stdin)
common = dict(difference_type=ask["difference"], traffic_proportion_b=0.5, phase_length_days=1)
out = []
for a, b in ask["pairs"]:
    pair = side(*a, ask["kind"]), side(*b, ask["kind"])
    if ask["planned"]:
        test = SequentialTwoSidedTTest(*pair, SequentialConfig(sequential_tuning_parameter=ask["planned"], **common))
    else:
        test = TwoSidedTTest(*pair, FrequentistConfig(**common))
    out.append(list(test.compute_result().ci))
print(json.dumps(out))
"""


@dataclass(frozen=True)
class Shop:
    """`draw(rng, factor)`: sums of both arms on every day, money in the new arm multiplied by `factor`."""

    name: str
    metric: Metric
    draw: Callable[[np.random.Generator, float], list[dict[tuple[str, ...], ArmSums]]]
    planned: int
    by_days: bool = False
    kind: str = "cuped"


def money(rng: np.random.Generator, size: tuple[int, ...], level: np.ndarray, chance: float) -> np.ndarray:
    """Whole cents: most spend nothing, the rest with a long tail."""
    return np.round((rng.random(size) < chance) * level * np.exp(rng.normal(0, 0.6, size)) * 1000)


def running(y: np.ndarray, x: np.ndarray, d: np.ndarray, arm: np.ndarray, day: np.ndarray) -> list:
    """Sums so far on each day, of customers who join on `day`."""
    value = np.stack([y, x, d])
    rows, cols = np.triu_indices(3)
    flat = np.vstack([np.ones_like(y), value, value[rows] * value[cols]])
    parts = {}
    for at, name in enumerate(ARMS):
        mine = arm == at
        parts[name] = np.stack([np.bincount(day[mine], each[mine], DAYS) for each in flat]).cumsum(axis=1)
    return [{(name,): packed(part[:, today]) for name, part in parts.items()} for today in range(DAYS)]


def packed(flat: np.ndarray) -> ArmSums:
    return ArmSums(COLUMNS, int(flat[0]), tuple(flat[1:4].tolist()), tuple(flat[4:].tolist()), (None,) * 3, (0,) * 3)


def joining(rng: np.random.Generator, factor: float) -> list:
    n = 100 * DAYS
    level, arm = np.exp(rng.normal(0, 0.8, n)), (rng.random(n) >= SHARE).astype(int)
    rate = ORDERS * rng.gamma(1.5, 1 / 1.5, n)
    before, d = rng.poisson(rate), rng.poisson(rate)
    x, spent = (orders * level * np.exp(rng.normal(0, 0.4, n)) * 1000 for orders in (before, d))
    x, y = np.round(x), np.round(spent * np.where(arm == 1, factor, 1.0))
    return running(y, x, d.astype(float), arm, np.arange(n) % DAYS)


def earning(rng: np.random.Generator, factor: float) -> list:
    n = 3000
    level, arm = np.exp(rng.normal(0, 0.8, n)), (rng.random(n) >= SHARE).astype(int)
    x = sum(money(rng, (n,), level, 0.05) for _ in range(30))
    daily = money(rng, (DAYS, n), level, 0.05) * np.where(arm == 1, factor, 1.0)
    so_far = np.round(daily).cumsum(axis=0)
    rows, cols = np.triu_indices(3)
    found = []
    for y in so_far:
        value = np.stack([y, x, np.ones(n)])
        flat = np.vstack([np.ones(n), value, value[rows] * value[cols]])
        found.append({(name,): packed(flat[:, arm == at].sum(axis=1)) for at, name in enumerate(ARMS)})
    return found


def buying(rng: np.random.Generator, factor: float) -> list:
    n = 200 * DAYS
    arm = (rng.random(n) >= SHARE).astype(int)
    y = (rng.random(n) < 0.03 * np.where(arm == 1, factor, 1.0)).astype(float)
    return running(y, np.zeros(n), np.ones(n), arm, np.arange(n) % DAYS)


SHOPS = (
    Shop("customers join daily", CUPED, joining, 6000),
    Shop("the same customers earn daily", CUPED, earning, 3000, by_days=True),
    Shop("3 % buy", PLAIN, buying, 12_000, kind="rate"),
)


def say(
    figure: str,
    value: float,
    n: int,
    peer: float | None = None,
    unit: str = "share",
    se: float | None = None,
    source: str = "simulated",
) -> None:
    """One JSON line; the standard error of a share is binomial."""
    if se is None and unit == "share":
        se = float(np.sqrt(value * (1 - value) / n))
    told = {
        "figure": figure, "value": round(value, 4), "se": None if se is None else round(se, 4), "unit": unit,
        "peer": None if peer is None else "gbstats 0.8", "peer_value": None if peer is None else round(peer, 4),
        "n": n, "data": source,
    }  # fmt: skip
    print(json.dumps(told), flush=True)


def ask_peer(
    python: str | None, pairs: list, kind: str, planned: float = 0, difference: str = "absolute"
) -> np.ndarray | None:
    """Intervals of gbstats, one per pair of sums; None if there is no peer."""
    if python is None:
        return None
    question = {"pairs": pairs, "kind": kind, "planned": planned, "difference": difference}
    done = subprocess.run([python, "-c", PEER], input=json.dumps(question), capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout))


def told(day: dict[tuple[str, ...], ArmSums]) -> list:
    """Both arms as the peer takes them: n, y, yy, x, xx, yx, d, dd, yd."""
    flat = []
    for name in ARMS:
        s = day[(name,)]
        yy, yx, yd, xx, _, dd = s.product
        flat.append([s.n, s.total[0], yy, s.total[1], xx, yx, s.total[2], dd, yd])
    return flat


def design(shop: Shop, **more: object) -> Design:
    return Design(
        name=shop.name, arms={"new": 1.0}, holdout_share=SHARE, planned_customers=shop.planned, primary="m",
        evidence="simulated", **more,
    )  # fmt: skip


def looks(shop: Shop, days: list) -> Iterator[tuple[int, Any, bool]]:
    """Every look that may give a verdict: day, verdict, and whether a fixed-horizon test would have called it."""
    plan = design(shop)
    for today, sums in enumerate(days):
        elapsed = (today + 1) / DAYS if shop.by_days else None
        verdict = analyse(sums, [shop.metric], plan, elapsed=elapsed).verdicts[0]
        if verdict.lift is not None:
            p = 2 * stats.t.sf(abs(verdict.lift.lift / verdict.lift.se), verdict.lift.freedom)
            yield today, verdict, bool(p < 0.05)


def peek(shop: Shop, times: int, factor: float, python: str | None) -> dict[str, np.ndarray | None]:
    """Per experiment: the first day of a verdict of ours, of a fixed test, of the peer; DAYS for never."""
    ours, fixed = np.full(times, DAYS), np.full(times, DAYS)
    pairs, owner = [], []
    for run in range(times):
        days = shop.draw(np.random.default_rng(hash_int(shop.name, factor > 1, run)), factor)
        for today, verdict, crossed in looks(shop, days):
            if verdict.answer in ("higher", "lower"):
                ours[run] = min(ours[run], today)
            if crossed:
                fixed[run] = min(fixed[run], today)
            pairs.append(told(days[today]))
            owner.append((run, today))
    intervals = ask_peer(python, pairs, shop.kind, shop.planned)
    if intervals is None:
        return {"ours": ours, "fixed": fixed, "peer": None}
    peer = np.full(times, DAYS)
    for (run, today), (low, high) in zip(owner, intervals, strict=True):
        if low > 0 or high < 0:
            peer[run] = min(peer[run], today)
    return {"ours": ours, "fixed": fixed, "peer": peer}


def false_alarms(times: int, python: str | None) -> None:
    for shop in SHOPS:
        first = peek(shop, times, 1.0, python)
        peer = None if first["peer"] is None else float((first["peer"] < DAYS).mean())
        where = f"A/A, 60 daily looks, {shop.name}"
        say(f"false alarms, always-valid interval: {where}", float((first["ours"] < DAYS).mean()), times, peer)
        say(f"false alarms, fixed-horizon interval: {where}", float((first["fixed"] < DAYS).mean()), times)


def coverage(times: int, python: str | None) -> None:
    """Fixed-horizon intervals at the end of the joining shop with a true lift of a tenth."""
    shop, factor = SHOPS[0], 1.1
    ends = [shop.draw(np.random.default_rng(hash_int("coverage", run)), factor)[-1] for run in range(times)]
    base = np.exp(0.32) * np.exp(0.08) * 1000
    truths = {"mean": ORDERS * base, "mean with covariate": ORDERS * base, "ratio": base}
    metrics = {"mean": (PLAIN, "mean"), "mean with covariate": (CUPED, "cuped"), "ratio": (RATIO, "ratio")}
    for name, (metric, kind) in metrics.items():
        for difference in ("absolute", "relative"):
            truth = (factor - 1) * (truths[name] if difference == "absolute" else 1)
            hits = []
            for end in ends:
                found = lift(end[("holdout",)], end[("new",)], metric)
                value, se = (found.lift, found.se) if difference == "absolute" else (found.relative, found.relative_se)
                hits.append(abs(value - truth) < stats.t.ppf(0.975, found.freedom) * se)
            theirs = ask_peer(python, [told(end) for end in ends], kind, difference=difference)
            peer = None if theirs is None else float(((theirs[:, 0] < truth) & (truth < theirs[:, 1])).mean())
            say(
                f"coverage of fixed-horizon 95 % intervals: {difference} lift, {name}",
                float(np.mean(hits)),
                times,
                peer,
            )


def planned_se(sums: ArmSums, metric: Metric, customers: int) -> float:
    """Standard error of a lift among so many customers, by the noise of one group before."""
    cov, slope = sums.covariance_CC, value_and_slope(sums, metric).slope_C
    rest = slope - shared_theta([cov], [slope], [sums.n], [sums.at(name) for name in metric.covariates])
    return float(np.sqrt(rest @ cov @ rest / customers * (1 / SHARE + 1 / (1 - SHARE))))


def pool(parts: list[ArmSums]) -> ArmSums:
    """Return the sums of all customers of `parts` together."""
    total = tuple(map(sum, zip(*(each.total for each in parts), strict=True)))
    product = tuple(map(sum, zip(*(each.product for each in parts), strict=True)))
    return replace(parts[0], n=sum(each.n for each in parts), total=total, product=product)


def powers(times: int, python: str | None) -> None:
    """A lift that the plan says is shown in 80 % of experiments with the covariate, and what was shown."""
    shop = SHOPS[0]
    past = [shop.draw(np.random.default_rng(hash_int("past", run)), 1.0)[-1] for run in range(20)]
    before = pool([each for part in past for each in part.values()])
    target = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * planned_se(before, CUPED, shop.planned)
    factor = 1 + target / float(before.mean_C[before.at(CUPED.value)])
    say("lift planned for, 80 % power with the covariate at the end", factor - 1, before.n, unit="relative lift")
    ends = [shop.draw(np.random.default_rng(hash_int("power", run)), factor)[-1] for run in range(times)]
    for name, metric in (("without covariate", PLAIN), ("with covariate (CUPED)", CUPED)):
        found = [lift(end[("holdout",)], end[("new",)], metric) for end in ends]
        shown = np.mean([f.lift > stats.t.ppf(0.975, f.freedom) * f.se for f in found])
        say(f"power of one look at the end, {name}", float(shown), times)
        planned = float(stats.norm.cdf(target / planned_se(before, metric, shop.planned) - stats.norm.ppf(0.975)))
        say(f"power planned for, {name}", planned, before.n, unit="share by formula")
        if metric.covariates:
            cut = np.array([f.noise_cut for f in found])
            se = float(cut.std() / np.sqrt(times))
            say("variance taken off by the covariate", float(cut.mean()), times, unit="share of variance", se=se)
    first = peek(shop, times, factor, python)
    peer = first["peer"]
    for name, rule in (
        ("shown within 60 daily looks, always-valid interval", lambda day: float((day < DAYS).mean())),
        ("shown within 60 daily looks, mean day (60 if never)", lambda day: float(np.minimum(day + 1, DAYS).mean())),
    ):
        unit = "share" if "mean day" not in name else "days"
        se = None if unit == "share" else float(np.minimum(first["ours"] + 1, DAYS).std() / np.sqrt(times))
        say(name, rule(first["ours"]), times, None if peer is None else rule(peer), unit, se)


def real() -> None:
    """Complete Journey: households that had shopped by 2017-07-03, their next 12 weeks, the 12 before as covariate."""
    connection = duckdb.connect()
    connection.execute("set threads = 1; set TimeZone = 'UTC'")
    raw = open_complete_journey(connection)["events"]
    events = clean_events(raw.rows, Mapping.parse(raw.mapping, "events"), CleanRules()).accepted()
    start_ms = 1_499_040_000_000
    known = events.filter(f"ts_ms < {start_ms}").project("customer_id").distinct().pl()
    decisions = known.with_columns(ts_ms=pl.lit(start_ms), policy_id=pl.lit("new"), holdout=False)
    settings = JoinSettings(window_days=84, before_days=84)
    rows = join_outcomes(decisions, events, settings, start_ms + 100 * DAY_MS).customers()
    sums = sum_by_group(rows, ["revenue_cents", "revenue_cents_before"])[("new",)]
    plain = Metric(name="revenue", value="revenue_cents")
    cuped = Metric(name="revenue", value="revenue_cents", covariates=("revenue_cents_before",))
    cut = 1 - (planned_se(sums, cuped, sums.n) / planned_se(sums, plain, sums.n)) ** 2
    source = "Complete Journey"
    se = 2 * np.sqrt(cut) * (1 - cut) / np.sqrt(sums.n)  # of a squared correlation
    say(
        "variance of 12 weeks' revenue taken off by the 12 weeks before",
        cut,
        sums.n,
        unit="share of variance",
        se=float(se),
        source=source,
    )


def main(quick: bool, python: str | None) -> None:
    if python is None:
        print(json.dumps({"skipped": "gbstats: name its Python with --gbstats or GBSTATS_PYTHON"}), flush=True)
    false_alarms(60 if quick else 1000, python)
    coverage(400 if quick else 1500, python)
    powers(40 if quick else 1000, python)
    real()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 A/A experiments instead of 1,000")
    parser.add_argument("--gbstats", default=os.environ.get("GBSTATS_PYTHON"), help="Python with gbstats installed")
    given = parser.parse_args()
    main(given.quick, given.gbstats)
