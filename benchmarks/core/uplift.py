"""Trials and scores in; whether Qini equals scikit-uplift's, what their errors cost, whether they cover, out.

    python benchmarks/core/uplift.py [--quick] [--hillstrom FILE] [--peers PYTHON]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. FILE is Kevin Hillstrom's e-mail campaign (CSV).
PYTHON belongs to an environment with scikit-uplift (or set PROMOLIFT_UPLIFT_PEERS); it scores the same arrays in the
same run and bootstraps 200 times (--quick 20), as it has no standard errors of its own. What is absent is skipped.

Coverage: 500 (--quick 100) simulated trials of 3,000 customers; truth from the simulation itself, for Qini's area from
one trial of four million. CPU seconds are of one thread.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from promolift.core.effects.trial_arrays import TrialArrays, row_keys
from promolift.core.effects.uplift.average_effects import average_effects
from promolift.core.effects.uplift.diagnostics import diagnose
from promolift.core.experiments import uplift_curves

ARMS = ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
PEER = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from sklift.metrics import qini_auc_score
rows, draws = np.load(sys.argv[1]), int(sys.argv[2])
y, s, t = rows["y"], rows["s"], rows["t"]
start = time.process_time()
out = {"qini": qini_auc_score(y, s, t)}
out["cpu"] = time.process_time() - start
start, rng, found = time.process_time(), np.random.default_rng(1), []
for _ in range(draws):
    k = rng.integers(0, len(y), len(y))
    found.append(qini_auc_score(y[k], s[k], t[k]))
out["se"], out["cpu_se"] = float(np.std(found, ddof=1)), time.process_time() - start
print(json.dumps(out))
"""


def tell(figure: str, value: float, **rest: object) -> None:
    line = {"figure": figure, "value": value, "se": None, "unit": "", "peer": None, "peer_value": None, "n": None}
    print(json.dumps(line | rest, default=float), flush=True)


def tasks(path: Path | None) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Name, outcome, score, treatment: simulated, and visits of the e-mail campaign by two plain scores."""
    rng = np.random.default_rng(1)
    x, t = rng.normal(size=(64_000, 2)), rng.integers(0, 2, 64_000)
    y = (rng.random(64_000) < 0.15 + 0.05 * t * (x[:, 0] > 0)).astype(float)
    yield "simulated, no ties", y, x[:, 0] + x[:, 1], t
    yield "simulated, 20 values", y, np.clip(np.round((x[:, 0] + x[:, 1]) * 3), -10, 10), t
    if path is None:
        return
    mail = pl.read_csv(path, infer_schema_length=None)
    for arm in ARMS[1:]:
        rows = mail.filter(pl.col("segment").is_in([ARMS[0], arm]))
        treated = (rows["segment"] == arm).cast(pl.Int64).to_numpy()
        for name in ("womens", "history"):
            visit, score = rows["visit"].to_numpy().astype(float), rows[name].to_numpy().astype(float)
            yield f"Hillstrom, {arm}, by {name}", visit, score, treated


def timed(function: Callable[[], uplift_curves.Estimate]) -> tuple[uplift_curves.Estimate, float]:
    start = time.process_time()
    return function(), time.process_time() - start


def equality(path: Path | None, peers: str, draws: int) -> None:
    for data, y, score, t in tasks(path):
        found, cpu = timed(lambda y=y, score=score, t=t: uplift_curves.qini(y, score, t))
        peer = {}
        if peers:
            with tempfile.TemporaryDirectory() as folder:
                np.savez(Path(folder) / "rows.npz", y=y, s=score, t=t)
                ask = [peers, "-c", PEER, str(Path(folder) / "rows.npz"), str(draws)]
                done = subprocess.run(ask, capture_output=True, text=True, check=True)
            peer = json.loads(done.stdout)
        same = {"peer": "scikit-uplift", "n": len(y), "data": data}
        tell("qini", found.value, se=found.se, peer_value=peer.get("qini"), **same)
        tell("s.e. of qini", found.se, peer_value=peer.get("se"), **same)
        tell("qini and its s.e.", cpu, unit="CPU s", peer_value=peer["cpu"] + peer["cpu_se"] if peer else None, **same)


def simulated(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Features, arm, visit, money. The offer adds 0.045 visits and, at e^3.5 each, 1.49 of money."""
    rng = np.random.default_rng(seed)
    x, arm = rng.normal(size=(n, 4)), rng.integers(0, 2, n)
    visit = (rng.random(n) < 0.1 + 0.05 * (x[:, 0] > 0) + arm * (0.03 + 0.03 * (x[:, 1] > 0))).astype(float)
    return x, arm, visit, visit * np.exp(rng.normal(3.0, 1.0, n))


def coverage(times: int) -> None:
    x, arm, visit, money = simulated(4_000_000, 10**6)
    shares = np.array([0.5, 0.5])
    truth = {
        "visit": 0.045,
        "money": 0.045 * np.exp(3.5),
        "qini area of visits": uplift_curves.qini_area(visit, x[:, 1], arm).value,
    }
    inside = dict.fromkeys(truth, 0)
    for seed in range(times):
        x, arm, visit, money = simulated(3000, seed)
        trial = TrialArrays(x, arm, visit, np.tile(shares, (3000, 1)), row_keys(x, seed), ("a", "b", "c", "d"))
        found = average_effects(trial, {"visit": visit, "money": money}, "randomised")
        limits = {row["outcome"]: (row["low"], row["high"]) for row in found.iter_rows(named=True)}
        area = uplift_curves.qini_area(visit, x[:, 1], arm)
        limits["qini area of visits"] = area.low, area.high
        for name, (low, high) in limits.items():
            inside[name] += low <= truth[name] <= high
    for name, count in inside.items():
        share = count / times
        tell(f"coverage of 95 %: {name}", share, se=np.sqrt(share * (1 - share) / times), n=times, data="simulated")


def lots(times: int) -> None:
    """How often a true lot is not called randomised: alpha 0.001 for each of three tests."""
    denied = 0
    for seed in range(times):
        x, arm, _, _ = simulated(3000, 10_000 + seed)
        denied += diagnose(x, arm, planned_A=[0.5, 0.5]).level != "randomised"
    tell("true lots denied `randomised`", denied / times, n=times, data="simulated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--hillstrom", type=Path, help="the e-mail campaign as CSV")
    parser.add_argument(
        "--peers", default=os.environ.get("PROMOLIFT_UPLIFT_PEERS", ""), help="Python with scikit-uplift"
    )
    given = parser.parse_args()
    if not given.peers:
        print(json.dumps({"skipped": "scikit-uplift: give --peers PYTHON"}))
    equality(given.hillstrom, given.peers, 20 if given.quick else 200)
    coverage(100 if given.quick else 500)
    lots(20 if given.quick else 200)


if __name__ == "__main__":
    main()
