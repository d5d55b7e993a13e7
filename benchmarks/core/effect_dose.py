"""Randomised discount depths with a known truth in; how near each customer's gain is found, beside peers, out.

    python benchmarks/core/effect_dose.py [--quick] [--peers PYTHON] [--forest] [--worlds "A;B"] [--seeds N]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. PYTHON belongs to an environment with causalml
and econml (or set PROMOLIFT_DOSE_PEERS); without it peers are skipped with a line that says so. --forest adds
EconML's causal forest.

38,000 customers are drawn one of the depths 0, 10, 20, 30 % with equal chances; the gains of 20,000 others are known
exactly. Features are what a shop's history holds: orders, units, spend, units of the category, share bought on
discount, recency, age (one in ten missing), city, and 8 columns of noise. "Constant" is the plain difference in means
at each depth. Policies: each depth costs 90 % of its mean gain (in "margin" the outcome is profit, and depths cost
nothing more); the figure is the share of the way from the best fixed depth to the oracle, everybody by the largest
estimated net. Errors are between seeds; each seed is another shop.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from promolift.core.effects.trial_arrays import fit_encoder
from promolift.core.effects.uplift.dose_response import DoseModel, fit_dose

DEPTHS = np.array([0.0, 0.1, 0.2, 0.3])
ROWS, NEW = 38_000, 20_000
OURS = "promolift dose"


@dataclass(frozen=True)
class World:
    features: pl.DataFrame
    depth: np.ndarray
    outcome: np.ndarray
    new: pl.DataFrame
    gain: np.ndarray  # of the new customers, at each depth above 0
    cost: np.ndarray


@dataclass(frozen=True)
class People:
    features: pl.DataFrame
    level: np.ndarray
    pull: np.ndarray  # how strongly a discount works, standard score
    units: np.ndarray  # of the category in two weeks, without discount
    north: np.ndarray


def people(rng: np.random.Generator, n: int, noise: int) -> People:
    level, age = rng.standard_normal(n), rng.uniform(16, 80, n)
    pull = 0.9 * rng.standard_normal(n) + 0.4 * ((age < 30) - 0.25)
    rate = 6 * np.exp(0.7 * level - 0.245)  # units a week
    taste = rng.beta(1.2, 8, n)
    units, city = rng.poisson(26 * rate), rng.choice(["north", "south", "west"], n)
    odds = 0.25 / 0.75 * np.exp(0.5 * pull)
    features = {
        "orders": rng.poisson(26 * 0.3 * rate),
        "units": units,
        "spend": np.round(units * 18 * np.exp(0.3 * rng.standard_normal(n)), 2),
        "category_units": rng.poisson(26 * rate * taste),
        "discount_share": np.where(units > 0, rng.binomial(units, odds / (1 + odds)) / np.maximum(units, 1), np.nan),
        "recency": rng.exponential(60 / (1 + units)),
        "age": np.where(rng.random(n) < 0.1, np.nan, age),
        "city": city,
        **{f"noise_{j}": rng.standard_normal(n) for j in range(noise)},
    }
    return People(pl.DataFrame(features).fill_nan(None), level, pull, 2 * rate * taste, city == "north")


def retail(p: People, s: float) -> np.ndarray:
    """Units: a concave rise that flattens sooner for those whom discounts pull more."""
    return p.units[:, None] * (1 + s * -np.expm1(-6 * np.exp(0.5 * p.pull)[:, None] * DEPTHS))


def convex(p: People, s: float) -> np.ndarray:
    """Units: log-linear in depth, as in scanner data."""
    return p.units[:, None] * np.exp(s * np.exp(0.5 * p.pull)[:, None] * DEPTHS)


def buys(p: People, s: float) -> np.ndarray:
    """Buys at all: logistic."""
    eta = -1.6 + 0.8 * p.level + 0.5 * np.log(p.units + 0.1)
    return 1 / (1 + np.exp(-eta[:, None] - s * np.exp(0.5 * p.pull)[:, None] * -np.expm1(-5 * DEPTHS)))


def additive(p: People, s: float) -> np.ndarray:
    """Gains that have nothing to do with how much is bought anyway."""
    own = np.maximum(1 + 0.5 * p.pull + 0.4 * p.north, 0)
    return 2 + p.level[:, None] + s * own[:, None] * np.sqrt(DEPTHS / 0.3)


def alike(p: People, s: float) -> np.ndarray:
    """One curve for everybody."""
    return 2 + p.level[:, None] + s * np.sqrt(DEPTHS / 0.3)


def corner(p: People, s: float) -> np.ndarray:
    """Only those whom discounts pull and who buy little respond at all."""
    return p.units[:, None] * (1 + s * ((p.pull > 0.3) & (p.level < 0.5))[:, None] * (DEPTHS / 0.3) ** 0.6)


MARGIN = 18 * (0.5 - DEPTHS)  # cents of profit a unit, the discount paid
Means = Callable[[People, float], np.ndarray]
# mean outcomes, strength, kind of outcome, columns of noise
WORLDS: dict[str, tuple[Means, float, str, int]] = {
    "retail": (retail, 0.12, "count", 8),
    "retail, half the signal": (retail, 0.06, "count", 8),
    "retail, five times the signal": (retail, 0.6, "count", 8),
    "retail, 30 columns of noise": (retail, 0.12, "count", 30),
    "log-linear": (convex, 0.3, "count", 8),
    "log-linear, strong": (convex, 2.0, "count", 8),
    "money": (convex, 0.3, "money", 8),
    "margin": (convex, 3.0, "margin", 8),
    "buys": (buys, 0.3, "binary", 8),
    "buys, strong": (buys, 1.0, "binary", 8),
    "additive": (additive, 0.12, "real", 8),
    "additive, strong": (additive, 0.5, "real", 8),
    "corner": (corner, 0.6, "count", 8),
    "one curve": (alike, 0.2, "real", 8),
    "no effect": (retail, 0.0, "count", 8),
}


def draw(name: str, seed: int, rows: int) -> World:
    means, strength, kind, noise = WORLDS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    p = people(rng, rows + NEW, noise)
    mean, arm = means(p, strength), rng.integers(0, 4, rows)
    at = (np.arange(rows), arm)
    if kind == "real":
        outcome = mean[at] + 1.5 * rng.standard_normal(rows)
    elif kind == "binary":
        outcome = (rng.random(rows) < mean[at]).astype(float)
    else:
        outcome = rng.poisson(mean[at]).astype(float)
    if kind == "money":
        outcome, mean = outcome * 18 * np.exp(0.4 * rng.standard_normal(rows) - 0.08), mean * 18
    if kind == "margin":
        outcome, mean = outcome * MARGIN[arm], mean * MARGIN
    gain = mean[rows:, 1:] - mean[rows:, :1]
    cost = np.zeros(3) if kind == "margin" else 0.9 * gain.mean(axis=0)
    return World(p.features[:rows], DEPTHS[arm], outcome, p.features[rows:], gain, cost)


def gap(gain: np.ndarray, cost: np.ndarray, pick: np.ndarray) -> tuple[float, float]:
    """Net worth of a policy over the best fixed depth, and the oracle's."""
    net = np.column_stack([np.zeros(len(gain)), gain - cost])
    best = net.mean(axis=0).max()
    return float(net[np.arange(len(net)), pick].mean() - best), float(net.max(axis=1).mean() - best)


def greedy(gain: np.ndarray, cost: np.ndarray) -> np.ndarray:
    return np.column_stack([np.zeros(len(gain)), gain - cost]).argmax(axis=1)


def peers(worlds: list[World], python: str, forest: bool) -> list[dict[str, np.ndarray]]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{i}.npz") for i in range(len(worlds))]
        for path, world in zip(paths, worlds, strict=True):
            encoder = fit_encoder(world.features)
            x, x_new = encoder.encode(world.features), encoder.encode(world.new)
            np.savez(path, x=x, depth=world.depth, outcome=world.outcome, x_new=x_new)
        script = str(Path(__file__).parent / "effect_dose_peers.py")
        subprocess.run([python, script, *paths, *["--forest"] * forest], check=True, stdout=2)
        return [dict(np.load(path.removesuffix(".npz") + ".out.npz")) for path in paths]


def say(figure: str, values: np.ndarray, unit: str, name: str, peer: tuple[str, np.ndarray] | None = None) -> None:
    told = {
        "figure": figure, "value": round(float(values.mean()), 4),
        "se": round(float(values.std(ddof=1) / np.sqrt(len(values))), 4) if len(values) > 1 else None,
        "unit": unit, "peer": peer[0] if peer else None,
        "peer_value": round(float(peer[1].mean()), 4) if peer else None, "n": len(values), "data": name,
    }  # fmt: skip
    print(json.dumps(told), flush=True)


def ours(world: World) -> tuple[DoseModel, np.ndarray, np.ndarray, float]:
    start = time.process_time()
    model = fit_dose(world.features, world.depth, world.outcome)
    seconds = time.process_time() - start
    gain = model.curve(world.new).gain_ND
    return model, gain, greedy(gain, world.cost), seconds


def run(name: str, seeds: int, python: str | None, options: argparse.Namespace) -> None:
    worlds = [draw(name, seed, ROWS) for seed in range(seeds)]
    constant, rmse, won, way, weights, seconds = [], {}, {}, [], [], {}
    own, mean = [], []
    others = peers(worlds, python, options.forest) if python else [{} for _ in worlds]
    for world, other in zip(worlds, others, strict=True):
        at = [world.outcome[world.depth == d].mean() for d in DEPTHS]
        model, gain, pick, spent = ours(world)
        found = {OURS: (gain, pick, spent)}
        for peer in (key for key in other if not key.endswith("seconds")):
            found[peer] = (other[peer], greedy(other[peer], world.cost), float(other[f"{peer} seconds"]))
        error = lambda said, world=world: float(np.sqrt(((said - world.gain) ** 2).mean()))  # noqa: E731
        constant.append(error(np.array(at[1:]) - at[0]))
        way.append(gap(world.gain, world.cost, pick)[1])
        weights.append(1 - model.weight_C[0])
        curve = model.curve(world.new)
        own.append(((curve.low_ND <= world.gain) & (world.gain <= curve.high_ND)).mean())
        mean.append((np.abs(world.gain - curve.gain_ND) <= 1.96 * curve.se_ND).mean())
        for who, (said, chosen, cpu) in found.items():
            rmse.setdefault(who, []).append(error(said))
            won.setdefault(who, []).append(gap(world.gain, world.cost, chosen)[0])
            seconds.setdefault(who, []).append(cpu)
    tell(
        name,
        np.array(constant),
        {k: np.array(v) for k, v in rmse.items()},
        {k: np.array(v) for k, v in won.items()},
        np.array(way),
    )
    band = "own gains of customers inside the 95 % band of own gains"
    say(band, np.array(own), "share", name, ("band of the mean gain", np.array(mean)))
    say("weight of the forms in which customers differ", np.array(weights), "share", name)
    for who, spent in seconds.items():
        say(f"CPU of one fit, {who}", np.array(spent), "s", name)


def tell(
    name: str, constant: np.ndarray, rmse: dict[str, np.ndarray], won: dict[str, np.ndarray], way: np.ndarray
) -> None:
    say("RMSE of the gain, constant effect", constant, "outcome", name)
    for who in rmse:
        peer = None if who == OURS else (who, rmse[who] / constant)
        say("RMSE of the gain relative to the constant's", rmse[OURS] / constant, "ratio", name, peer)
        if peer:
            say("RMSE of the gain, ours relative to peer's", rmse[OURS] / rmse[who], "ratio", name, peer)
    for who in won:
        peer = None if who == OURS else (who, won[who] / np.maximum(way, 1e-12))
        if way.mean() > 1e-9:
            say("way from the best fixed depth to the oracle", won[OURS] / np.maximum(way, 1e-12), "share", name, peer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 seeds of 5 worlds, without peers")
    parser.add_argument("--peers", default=os.environ.get("PROMOLIFT_DOSE_PEERS"))
    parser.add_argument("--forest", action="store_true")
    parser.add_argument("--worlds", default="")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    few = ["retail", "buys", "additive", "one curve", "no effect"]
    # names hold commas themselves: they are divided by semicolons
    names = options.worlds.split(";") if options.worlds else few if options.quick else list(WORLDS)
    if options.quick or not options.peers:
        print(json.dumps({"skipped": "peers; name their Python with --peers"}))
    for name in names:
        run(name, 3 if options.quick else options.seeds, None if options.quick else options.peers, options)


if __name__ == "__main__":
    main()
