"""Ads: headlines ranked before any impression, and what a log of propensities says of another policy.

    python benchmarks/ads.py --upworthy upworthy_2014.parquet --random random/all.csv --bandit bts/all.csv [--quick]

`--upworthy`: the Upworthy archive of 2014 (Matias et al. 2021, Scientific Data 8): the product's door learns from the
weeks before the last fifth and is judged on these. `--random`, `--bandit`: the small Open Bandit Data inside the package
`obp` (Saito et al. 2020): what the Bernoulli Thompson sampler earned is estimated from the log of the uniform policy,
with the sampler's shares of each item at each position as the policy, and held beside what it did earn.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from promolift.learn.off_policy import off_policy_value
from promolift.trades.creatives import run_creatives
from promolift.trades.start import TradeAnswers, start, trade_of


def door(path):
    """The settings that `promolift init --trade ads` writes."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "promolift.toml"
        start("ads", [path], config, False, TradeAnswers({}))
        return trade_of(config).model_copy(update={"path": str(path.resolve())})


def show(found):
    for name, each in found.values.items():
        print(f"{name}: {each.value:.5f} ({each.low:.5f} to {each.high:.5f}), n = {each.n:,}")
    print(found.verdict)


def upworthy(path, quick):
    settings = door(path)
    if quick:
        rows = pl.read_parquet(path)
        kept = rows["test_id"].unique().sort().gather_every(3)
        path = Path(tempfile.mkdtemp()) / "some.parquet"
        rows.filter(pl.col("test_id").is_in(kept.implode())).write_parquet(path)
        settings = settings.model_copy(update={"path": str(path)})
    show(run_creatives(settings, Path()))


def bandit(random, sampler):
    show(run_creatives(door(random), Path()))
    log, other = (pl.read_csv(each).rename({"": "row"}) for each in (random, sampler))
    items = sorted({*log["item_id"], *other["item_id"]})
    for place in [None, *sorted(log["position"].unique().to_list())]:
        mine, theirs = (rows if place is None else rows.filter(pl.col("position") == place) for rows in (log, other))
        policy = np.zeros((mine.height, len(items)))
        for position, part in theirs.group_by("position"):
            share = np.bincount(np.searchsorted(items, part["item_id"]), minlength=len(items)) / part.height
            policy[(mine["position"] == position[0]).to_numpy()] = share
        value = off_policy_value(
            np.searchsorted(items, mine["item_id"]), mine["click"], mine["propensity_score"], policy
        )
        earned, clicks = float(theirs["click"].mean()), int(theirs["click"].sum())
        where = "all places" if place is None else f"place {int(place)}"
        print(
            f"sampler at {where}: {value.value:.5f} ({value.low:.5f} to {value.high:.5f}), worth {value.rewarded:.0f} "
            f"clicks; it earned {earned:.5f} ({clicks} clicks): {'inside' if value.low <= earned <= value.high else 'OUTSIDE'}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--upworthy", "--random", "--bandit"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.upworthy:
        upworthy(given.upworthy, given.quick)
    if given.random and given.bandit:
        bandit(given.random, given.bandit)
