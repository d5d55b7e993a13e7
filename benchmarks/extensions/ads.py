"""Ads: headlines ranked before any impression, and what a log of propensities says of another policy.

    python benchmarks/extensions/ads.py --upworthy upworthy_2014.parquet --random random/all.csv --bandit bts/all.csv [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. What is absent is skipped with a line that says so.

`--upworthy`: the Upworthy archive of 2014 (Matias et al. 2021, Scientific Data 8): the product's door learns from the
weeks before the last fifth and is judged on these. `--random`, `--bandit`: the small Open Bandit Data inside the package
`obp` (Saito et al. 2020): what the Bernoulli Thompson sampler earned is estimated from the log of the uniform policy,
with the sampler's shares of each item at each position as the policy, and held beside what it did earn.

In any case: simulated impressions whose truth is known, batch by batch: the log of all batches so far goes through the
door, its plan draws the next batch. Beside the best fixed creative in truth, even shares, and the samplers of `obp`
where it can be imported, which hear the same clicks after the same batches.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from promolift.core.experiments.off_policy.estimators import off_policy_value
from promolift.extensions.ads.creatives import bandit_policy, read_creatives, run_creatives
from promolift.shop.configuration.extension_sections import read_project
from promolift.shop.ingest.setup.extension_setup import TradeAnswers, start_project


def door(path):
    """The settings that `promolift init --trade ads` writes."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "promolift.toml"
        start_project("ads", [path], config, False, TradeAnswers({}))
        return read_project(config).settings.model_copy(update={"path": str(path.resolve())})


def say(figure, value, data, unit="clicks per impression", se=None, n=None, peer=None, peer_value=None, **more):
    line = {"figure": figure, "value": value, "se": se, "unit": unit, "peer": peer, "peer_value": peer_value}
    line |= {"n": n, "data": data} | more
    print(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def show(found, data):
    for name, each in found.values.items():
        say(name, each.value, data, n=each.n, interval=[each.low, each.high], verdict=found.verdict)


def upworthy(path, quick):
    settings = door(path)
    if quick:
        rows = pl.read_parquet(path)
        kept = rows["test_id"].unique().sort().gather_every(3)
        path = Path(tempfile.mkdtemp()) / "some.parquet"
        rows.filter(pl.col("test_id").is_in(kept.implode())).write_parquet(path)
        settings = settings.model_copy(update={"path": str(path)})
    show(run_creatives(settings, Path()), "Upworthy archive of 2014")


def bandit(random, sampler):
    show(run_creatives(door(random), Path()), "Open Bandit Data, uniform policy")
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
        say(f"sampler at {where}", value.value, "Open Bandit Data", n=mine.height, peer="what it earned",
            peer_value=earned, interval=[value.low, value.high], rewarded=value.rewarded, clicks=clicks)  # fmt: skip


PLACES, AUDIENCES, CREATIVES = 3, 4, 10
BATCHES, BATCH = 10, 3000


class Truth:
    """Click rates by context and creative, some of whose lead holds everywhere and some in a context alone."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        contexts = PLACES * AUDIENCES
        level = rng.uniform(0.01, 0.06, (contexts, 1))
        self.rate = level * np.exp(rng.normal(0, 0.3, CREATIVES) + rng.normal(0, 0.3, (contexts, CREATIVES)))
        self.weight = rng.dirichlet(np.full(contexts, 3.0))

    def contexts(self):
        return self.rng.choice(len(self.weight), BATCH, p=self.weight)

    def worth(self, shares):
        """Clicks per impression of shares by context and creative."""
        return float(self.weight @ (self.rate * shares).sum(axis=1))


def shares_of(table):
    """Contexts x creatives from a plan or a policy of the door, each context summing to 1."""
    found = np.zeros((PLACES * AUDIENCES, CREATIVES))
    for place, audience, creative, share in table.select("placement", "audience", "creative", "share").iter_rows():
        found[int(place[1:]) * AUDIENCES + int(audience[1:]), int(creative[1:])] = share
    return found / found.sum(axis=1, keepdims=True)


def through_the_door(truth, policy, folder, batches):
    """Worth of the shares of each batch; and of each plan, whether the interval held what its policy is worth."""
    shares, logs, worth, held = np.full((PLACES * AUDIENCES, CREATIVES), 1 / CREATIVES), [], [], []
    for batch in range(batches):
        worth.append(truth.worth(shares))
        at = truth.contexts()
        shown = (truth.rng.random((BATCH, 1)) > shares[at].cumsum(axis=1)).sum(axis=1).clip(0, CREATIVES - 1)
        logs.append(pl.DataFrame({
            "timestamp": np.arange(batch * BATCH, (batch + 1) * BATCH), "item_id": [f"c{one}" for one in shown],
            "placement": [f"p{one // AUDIENCES}" for one in at], "device": [f"d{one % AUDIENCES}" for one in at],
            "click": (truth.rng.random(BATCH) < truth.rate[at, shown]).astype(int),
            "propensity_score": shares[at, shown],
        }))  # fmt: skip
        path = Path(folder) / f"{policy}.parquet"
        pl.concat(logs).write_parquet(path)
        settings = door(path).model_copy(update={"policy": policy, "audience": ("device",)})
        found = run_creatives(settings, Path())
        if (value := found.values.get("next shares")) is not None:
            earlier = read_creatives(path, settings).head(found.training_rows)
            true = truth.worth(shares_of(bandit_policy(earlier, settings.explore)))
            held.append(value.low <= true <= value.high)
        shares = shares_of(found.plan)
    return worth, held


def of_obp(truth, sampler, contextual, batches):
    """Worth of each batch of a sampler that hears of clicks after each."""
    worth = []
    for _ in range(batches):
        at, total = truth.contexts(), 0.0
        for context in at:
            known = np.zeros((1, PLACES + AUDIENCES))
            known[0, [context // AUDIENCES, PLACES + context % AUDIENCES]] = 1
            action = int((sampler.select_action(known) if contextual else sampler.select_action())[0])
            click = int(truth.rng.random() < truth.rate[context, action])
            sampler.update_params(action, click, *([known] if contextual else []))
            total += truth.rate[context, action]
        worth.append(total / BATCH)
    return worth


def simulated(quick, seeds):
    try:
        from obp.policy import BernoulliTS, LinTS
    except ImportError:
        BernoulliTS = LinTS = None
        print(json.dumps({"skipped": "the samplers of obp, which cannot be imported"}))
    found, held, batches = {}, [], 5 if quick else BATCHES
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            door_bandit, inside = through_the_door(Truth(seed), "bandit", folder, batches)
            proven, _ = through_the_door(Truth(seed), "proven", folder, batches)
            runs = {"door, bandit": door_bandit, "door, proven": proven}
        held += inside
        truth = Truth(seed)
        fixed = truth.weight @ truth.rate
        runs["best fixed creative in truth"] = [float(fixed.max())] * batches
        runs["evenly"] = [float(fixed.mean())] * batches
        runs["best of each context in truth"] = [float(truth.weight @ truth.rate.max(axis=1))] * batches
        if BernoulliTS:
            plain = BernoulliTS(n_actions=CREATIVES, batch_size=BATCH, random_state=seed)
            linear = LinTS(dim=PLACES + AUDIENCES, n_actions=CREATIVES, batch_size=BATCH, random_state=seed)
            runs["obp BernoulliTS"] = of_obp(Truth(seed), plain, False, batches)
            runs["obp LinTS"] = of_obp(Truth(seed), linear, True, batches)
        for name, worth in runs.items():
            found.setdefault(name, []).append(worth)
    best = np.array(found["best of each context in truth"])
    fixed = np.array(found["best fixed creative in truth"])
    data = f"simulated, {batches} batches of {BATCH:,} impressions"
    for name, each in found.items():
        worth = np.array(each)
        by_batch = [round(float(one) * 1000, 1) for one in worth.mean(axis=0)]
        value, se = mean_se((best - worth).sum(axis=1) * BATCH)
        say(f"regret, {name}", value, data, "clicks", se, n=seeds, by_batch_per_1000=by_batch)
        for which, lead in (
            ("all batches", (worth / fixed - 1).mean(axis=1)),
            ("last batch", (worth / fixed - 1)[:, -1]),
        ):
            value, se = mean_se(lead)
            say(f"lead, {name}, {which}", value, data, "share", se, seeds, "best fixed creative in truth", 0.0)
    say("plans whose interval holds the worth of the next shares", sum(held) / len(held), data, "share", n=len(held))


def mean_se(each):
    """Mean over runs, with its standard error."""
    return float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--upworthy", "--random", "--bandit"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=0, help="simulated truths")
    given = parser.parse_args()
    simulated(given.quick, given.seeds or (2 if given.quick else 12))
    if given.upworthy:
        upworthy(given.upworthy, given.quick)
    else:
        print(json.dumps({"skipped": "the Upworthy archive: give --upworthy FILE"}))
    if given.random and given.bandit:
        bandit(given.random, given.bandit)
    else:
        print(json.dumps({"skipped": "the Open Bandit Data: give --random FILE --bandit FILE"}))
