"""Simulated trials whose rows are no independent customers in; how often intervals hold the true effect, beside rows, out.

    python benchmarks/trials/trial_units.py [--quick] [--repetitions N]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. "rows" is the usual interval of a difference in
means that takes every row for a customer. Clusters: 40 shops (or 12) of 10 to 60 customers, levels of shops skewed. Panel:
210 markets by 113 days, sizes log-normal, days of one market autocorrelated, the treatment on for the last 61 days in a
third of them, which were drawn or (not drawn) are the smaller ones; effects of 0 and of 5 %. Staggered: markets start on
three different days.
"""

import argparse
import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import TrialArrays, row_keys
from promolift.trials.analysis.randomisation_units import Panel, RandomisationUnits, estimate_unit_averages

Floats = NDArray[np.float64]
Z = 1.959964


class Held(NamedTuple):
    """Whether ours and the plain interval hold the truth, and how wide ours is."""

    ours: bool
    rows: bool
    width: float


def told(
    units: RandomisationUnits, arm_N: NDArray[np.int64], value_N: Floats, features: pl.DataFrame, truth: float
) -> Held:
    """Both intervals of one trial."""
    prob, x = np.tile(np.bincount(arm_N) / len(arm_N), (len(arm_N), 1)), features.to_numpy()
    trial = TrialArrays(x, arm_N, value_N, prob, row_keys(x, 0), ())
    row = estimate_unit_averages(units, trial, {"y": value_N}, "randomised", 0).row(0, named=True)
    on = arm_N == 1
    if units.panel is not None:
        on = on & (units.panel.time_N >= units.panel.start_U[units.unit_N])
    gap = value_N[on].mean() - value_N[~on].mean()
    half = Z * np.sqrt(value_N[on].var() / on.sum() + value_N[~on].var() / (~on).sum())
    return Held(row["low"] <= truth <= row["high"], abs(gap - truth) <= half, row["high"] - row["low"])


def clusters(shops: int, seed: int) -> Held:
    rng = np.random.default_rng([1, shops, seed])
    size, level = rng.integers(10, 61, shops), rng.exponential(1.0, shops)
    arm = rng.permutation(np.arange(shops) % 2)
    shop = np.repeat(np.arange(shops), size)
    age = rng.normal(size=len(shop)) + 0.5 * rng.normal(size=shops)[shop]
    value = 10 + level[shop] + 0.5 * arm[shop] + 0.7 * age + rng.normal(0, 2, len(shop))
    return told(RandomisationUnits("shop", shop, arm, "clusters"), arm[shop], value, pl.DataFrame({"age": age}), 0.5)


def panel(effect: float, drawn: bool, starts: tuple[int, ...], seed: int) -> Held:
    rng = np.random.default_rng([2, int(100 * effect), drawn, seed])
    markets, days = 210, 113
    size = np.exp(rng.normal(3, 1, markets))
    treated = rng.permutation(np.arange(markets) < 70) if drawn else np.argsort(np.argsort(size)) < 70
    start = np.where(treated, rng.choice(starts, markets), days)
    noise = np.zeros((markets, days))
    shock = rng.normal(0, 0.1, (markets, days))
    for day in range(1, days):
        noise[:, day] = 0.7 * noise[:, day - 1] + shock[:, day]
    season = 1 + 0.2 * np.sin(np.arange(days) / 7 * 2 * np.pi) - 0.1 * np.arange(days) / days
    base = size[:, None] * season * np.exp(noise - 0.01)
    on = treated[:, None] & (np.arange(days) >= start[:, None])
    expected = size[:, None] * season  # the truth is that of these markets, days' luck aside
    truth = float(np.mean([effect * expected[m, start[m] :].mean() for m in np.flatnonzero(treated)]))
    unit, time = np.repeat(np.arange(markets), days), np.tile(np.arange(days), markets)
    units = RandomisationUnits("market", unit, treated.astype(np.int64), "panel", Panel(unit, time, start, days))
    features = pl.DataFrame({"none": np.zeros(len(unit))})
    return told(units, treated.astype(np.int64)[unit], (base * (1 + effect * on)).ravel(), features, truth)


TRIALS: dict[str, Callable[[int], Held]] = {
    "40 clusters": lambda seed: clusters(40, seed),
    "12 clusters": lambda seed: clusters(12, seed),
    "210 x 113 panel, drawn, no effect": lambda seed: panel(0.0, True, (52,), seed),
    "210 x 113 panel, drawn, 5 %": lambda seed: panel(0.05, True, (52,), seed),
    "210 x 113 panel, the smaller markets, no effect": lambda seed: panel(0.0, False, (52,), seed),
    "210 x 113 panel, staggered, 5 %": lambda seed: panel(0.05, True, (40, 52, 70), seed),
}


def main() -> None:
    """All figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repetitions", type=int, default=500)
    options = parser.parse_args()
    n = 20 if options.quick else options.repetitions
    for name, draw in TRIALS.items():
        found = [draw(seed) for seed in range(n)]
        ours, rows = (float(np.mean([getattr(each, which) for each in found])) for which in ("ours", "rows"))
        line = {
            "figure": f"coverage of 95 % intervals of the average effect, {name}", "value": round(ours, 4),
            "se": round(float(np.sqrt(ours * (1 - ours) / n)), 4), "unit": "share", "peer": "every row a customer",
            "peer_value": round(rows, 4), "n": n, "data": "simulated",
        }  # fmt: skip
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
