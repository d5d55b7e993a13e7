"""Trials that promolift was not built on in; whether effects hold on them, beside plain learners on LightGBM, out.

    python benchmarks/core/effect_strangers.py [--quick] [--starbucks FILE] [--peers PYTHON] [--only ...]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. FILE is the Starbucks promotion (CSV: ID,
Promotion, purchase, V1..V7); PYTHON has catboost (or set PROMOLIFT_EFFECT_PEERS), else that peer is left out.

nir: random halves; NIR = 10 x buyers among treated - 0.15 x treated - 10 x buyers among control, inside the chosen set,
of the recommended policy and of each peer at the cut that earns most in its own cross-fitted ranking of the training
half; paired by half. insurance: three generators of 67 features with crossing effects, 10,000 rows to learn from, Qini
on 10,000 others. null: trials without any effect; how often differences are claimed. average: coverage of the 95 %
interval and error of the average effect, beside the difference in means and least squares on the features.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.core.effects.trial_arrays import TrialArrays, row_keys
from promolift.core.effects.uplift.average_effects import adjusted_means
from promolift.core.effects.uplift.uplift_model import fit_effects
from promolift.core.experiments.uplift_curves import qini
from promolift.foundation.hashing import hash_units

Array = np.ndarray
COST, PROFIT = 0.15, 10.0
LGBM = {"n_estimators": 100, "num_leaves": 15, "learning_rate": 0.05, "min_child_samples": 50, "n_jobs": 1, "verbosity": -1}  # fmt: skip


class Drawn(NamedTuple):
    """A trial: features, arms, outcomes."""

    x: Array
    arm: Array
    y: Array


def emit(figure: str, values: Array, unit: str, n: int, data: str, **more: object) -> None:
    se = float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    line = {"figure": figure, "value": float(np.mean(values)), "se": se, "unit": unit, "n": n, "data": data} | more
    print(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def x_learner(x: Array, arm: Array, y: Array, new: Array) -> Array:
    """Kuenzel et al. (2019) on LightGBM."""
    from lightgbm import LGBMRegressor

    base = [LGBMRegressor(**LGBM).fit(x[arm == a], y[arm == a]) for a in (0, 1)]
    above = LGBMRegressor(**LGBM).fit(x[arm == 1], y[arm == 1] - base[0].predict(x[arm == 1]))
    below = LGBMRegressor(**LGBM).fit(x[arm == 0], base[1].predict(x[arm == 0]) - y[arm == 0])
    share = arm.mean()
    return np.asarray((1 - share) * above.predict(new) + share * below.predict(new))


def t_learner(x: Array, arm: Array, y: Array, new: Array) -> Array:
    from lightgbm import LGBMRegressor

    base = [LGBMRegressor(**LGBM).fit(x[arm == a], y[arm == a]).predict(new) for a in (0, 1)]
    return np.asarray(base[1] - base[0])


def s_learner(x: Array, arm: Array, y: Array, new: Array) -> Array:
    from lightgbm import LGBMRegressor

    model = LGBMRegressor(**LGBM).fit(np.column_stack([x, arm]), y)
    return np.asarray(
        model.predict(np.column_stack([new, np.ones(len(new))]))
        - model.predict(np.column_stack([new, np.zeros(len(new))]))
    )


def response(x: Array, _arm: Array, y: Array, new: Array) -> Array:
    from lightgbm import LGBMRegressor

    return np.asarray(LGBMRegressor(**LGBM).fit(x, y).predict(new))


def catboost(python: str) -> Callable[[Array, Array, Array, Array], Array]:
    """The S-learner on CatBoost, in an environment of its own."""

    def predict(x: Array, arm: Array, y: Array, new: Array) -> Array:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "task.npz"
            np.savez(path, x=x, arm=arm, outcome=y, x_new=new, peers=np.array(["S-CatBoost"]), randomised=True)
            script = Path(__file__).with_name("effect_peers.py")
            done = subprocess.run([python, script, "fit", path], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"peer failed: {done.stderr[-2000:]}")
            with np.load(path.with_suffix(".out.npz")) as found:
                return np.asarray(found["S-CatBoost"][:, 0])

    return predict


def earned(chosen: Array, arm: Array, y: Array) -> float:
    """NIR of a set of customers."""
    treated, control = chosen & (arm == 1), chosen & (arm == 0)
    return float(PROFIT * y[treated].sum() - COST * treated.sum() - PROFIT * y[control].sum())


def best_cut(score: Array, arm: Array, y: Array) -> float:
    """The score from which treating earned most."""
    order = np.argsort(-score, kind="stable")
    gain = np.where(arm[order] == 1, PROFIT * y[order] - COST, -PROFIT * y[order])
    total = np.r_[0.0, np.cumsum(gain)]
    at = int(total.argmax())
    return float("inf") if at == 0 else float(score[order[at - 1]])


def nir(path: Path, python: str, halves: int) -> None:
    raw = pl.read_csv(path)
    x = raw.select(pl.selectors.starts_with("V")).to_numpy().astype(float)
    arm, y = (raw["Promotion"] == "Yes").to_numpy().astype(int), raw["purchase"].to_numpy().astype(float)
    peers = {"X-LightGBM": x_learner, "response model": response} | ({"S-CatBoost": catboost(python)} if python else {})
    found: dict[str, list[float]] = {"promolift": [], **{name: [] for name in peers}}
    for half in range(halves):
        seen = hash_units(f"starbucks{half}", range(len(y))) < 0.5
        new = ~seen
        model = fit_effects(x[seen], arm[seen], PROFIT * y[seen], cost_NK=COST)
        found["promolift"].append(earned(model.policy(x[new]) == 1, arm[new], y[new]))
        inner = hash_units(f"inner{half}", range(int(seen.sum()))) < 0.5
        for name, predict in peers.items():
            score = np.empty(int(seen.sum()))
            for part in (inner, ~inner):
                score[part] = predict(x[seen][~part], arm[seen][~part], y[seen][~part], x[seen][part])
            cut = best_cut(score, arm[seen], y[seen])
            asked = predict(x[seen], arm[seen], y[seen], x[new])
            found[name].append(earned(asked >= cut, arm[new], y[new]))
    ours = np.array(found.pop("promolift"))
    for name, theirs in (found | {"nobody": [0.0] * halves}).items():
        gap = ours - np.array(theirs)
        emit("NIR of the recommended policy", ours, "$", len(y), "Starbucks promotion, random halves", peer=name,
             peer_value=float(np.mean(theirs)), least=float(ours.min()),
             paired_se=float(gap.std(ddof=1) / halves**0.5) if halves > 1 else None)  # fmt: skip


def insurance(kind: str, n: int, seed: int) -> tuple[Drawn, Array]:
    """67 features as a questionnaire has them, an effect that is good for half of the customers and bad for the others;
    and each customer's true effect."""
    rng = np.random.default_rng(1000 * {"tilt": 1, "groups": 2, "curves": 3}[kind] + seed)
    latent = rng.normal(size=(n, 6))
    load = rng.normal(size=(6, 67)) * (rng.uniform(size=(6, 67)) < 0.4)
    x = latent @ load * 0.5 + rng.normal(size=(n, 67))
    x[:, 20:45] = x[:, 20:45] > rng.normal(size=25)
    x[:, 45:60] = np.clip(np.round(x[:, 45:60] * 1.5), -3, 3)
    base = -1.0 + 0.5 * x[:, 0] + 0.6 * x[:, 21] - 0.4 * np.abs(x[:, 1]) + 0.3 * x[:, 46]
    match kind:
        case "tilt":
            lift = 1.3 * np.tanh(0.7 * x[:, 2] + 0.6 * (x[:, 22] - 0.5) + 0.35 * x[:, 47] - 0.5 * x[:, 3])
        case "groups":
            lift = 1.4 * np.where((x[:, 4] > 0) ^ (x[:, 23] > 0.5), 1, -1) * np.where(x[:, 48] > 1, 0.2, 1.0)
        case _:
            lift = 1.5 * np.sin(1.5 * x[:, 5]) + 0.6 * x[:, 6] * x[:, 24] - 0.5 * (np.abs(x[:, 7]) - 0.8)
    arm = rng.integers(0, 2, n)
    without, treated = 1 / (1 + np.exp(-base + lift / 2)), 1 / (1 + np.exp(-base - lift / 2))
    y = (rng.uniform(size=n) < np.where(arm == 1, treated, without)).astype(float)
    return Drawn(x, arm, y), treated - without


def crossing(seeds: int) -> None:
    peers = {"X-LightGBM": x_learner, "S-LightGBM": s_learner, "T-LightGBM": t_learner}
    for kind in ("tilt", "groups", "curves"):
        found: dict[str, list[float]] = {"promolift": [], "the truth": [], **{name: [] for name in peers}}
        for seed in range(seeds):
            (x, arm, y), gain = insurance(kind, 20_000, seed)
            old, new = slice(0, 10_000), slice(10_000, 20_000)
            said = {name: predict(x[old], arm[old], y[old], x[new]) for name, predict in peers.items()}
            said["promolift"] = fit_effects(x[old], arm[old], y[old]).predict(x[new]).gain_NK[:, 0]
            said["the truth"] = gain[new]
            for name, each in said.items():
                found[name].append(qini(y[new], each, arm[new]).value)
        ours = np.array(found.pop("promolift"))
        for name, theirs in found.items():
            gap = ours - np.array(theirs)
            paired = float(gap.std(ddof=1) / seeds**0.5) if seeds > 1 else None
            emit("Qini, crossing effects", ours, "share of ideal", 10_000, f"insurance-like, {kind}", peer=name,
                 peer_value=float(np.mean(theirs)), paired_se=paired)  # fmt: skip


def null(kind: str, seed: int) -> Drawn:
    """A trial in which nothing has any effect."""
    rng = np.random.default_rng(10_000 + seed)
    n = {"rare binary": 4000, "money": 4000, "three arms": 3000, "strong base": 2500, "unequal": 4000}[kind]
    x = rng.normal(size=(n, 8))
    x[:, 5], x[:, 6] = x[:, 5] > 0, rng.poisson(2, n)
    line = x[:, 0] - 0.5 * x[:, 1] * x[:, 5]
    odds = {"rare binary": -4.2 + 0.8 * line, "strong base": -0.3 + 2.5 * line}.get(kind, -1.5 + 0.8 * line)
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-odds))).astype(float)
    if kind == "money":
        y = (rng.uniform(size=n) < 0.06) * np.exp(3 + 0.5 * x[:, 0] + rng.normal(size=n))
    arm = rng.integers(0, 3 if kind == "three arms" else 2, n)
    return Drawn(x, (rng.uniform(size=n) < 0.2).astype(int) if kind == "unequal" else arm, y)


def nulls(repetitions: int) -> None:
    every = []
    kinds = ("rare binary", "money", "three arms", "strong base", "unequal")
    for kind in kinds:
        claimed = np.array(
            [fit_effects(*null(kind, seed)).chosen != "none" for seed in range(repetitions)], dtype=float
        )
        every.append(claimed)
        emit("differences claimed where there are none", claimed, "share", repetitions, f"null trials, {kind}",
             peer="nominal", peer_value=0.05)  # fmt: skip
    emit("differences claimed where there are none", np.concatenate(every), "share", len(kinds) * repetitions,
         "null trials, all", peer="goal", peer_value=0.064)  # fmt: skip


class World(NamedTuple):
    """A trial whose average effect is known."""

    drawn: Drawn
    cluster: Array | None
    truth: float


def known(kind: str, seed: int) -> World:
    """Trials whose average effect is 0.1 standard deviations, or nothing."""
    rng = np.random.default_rng(20_000 + seed)
    n = 10_000
    x = rng.normal(size=(n, 6))
    cluster = None
    match kind:
        case "10 % treated, 0.7 % respond":
            arm, y = rng.uniform(size=n) < 0.1, rng.uniform(size=n) < 0.007
        case "90 % treated":
            arm = rng.uniform(size=n) < 0.9
            y = x[:, 0] + arm * (0.1 + 0.5 * x[:, 1]) + rng.normal(size=n)
        case "money, 1 % buy":
            arm = rng.uniform(size=n) < 0.5
            y = (rng.uniform(size=n) < 0.01) * np.exp(3 + 0.3 * x[:, 0] + 0.6 * rng.normal(size=n))
        case "40 clusters":
            cluster = np.repeat(np.arange(40), n // 40)
            arm = rng.permutation(np.arange(40) % 2)[cluster]
            y = 0.3 * rng.normal(size=40)[cluster] + x[:, 0] + rng.normal(size=n)
        case "the past explains 99 %":
            past = np.exp(rng.normal(3, 1, n))
            x[:, 0], arm = past, rng.uniform(size=n) < 0.5
            y = past + 2.0 * rng.normal(size=n) + 0.1 * arm
        case _:
            arm = rng.choice(3, n, p=[0.6, 0.3, 0.1])
            y = x[:, 0] + 0.1 * (arm == 1) + rng.normal(size=n)
    truth = 0.1 if kind in ("90 % treated", "the past explains 99 %", "three arms, unequal") else 0.0
    return World(Drawn(x, arm.astype(int), np.asarray(y, dtype=float)), cluster, truth)


def averages(repetitions: int) -> None:
    for kind in ("10 % treated, 0.7 % respond", "90 % treated", "money, 1 % buy", "40 clusters",
                 "three arms, unequal", "the past explains 99 %"):  # fmt: skip
        held, ours, plain, squares = [], [], [], []
        for seed in range(repetitions):
            (x, arm, y), cluster, truth = known(kind, seed)
            share = np.bincount(arm) / len(arm)
            trial = TrialArrays(x, arm, y, np.tile(share, (len(arm), 1)), row_keys(x, 0), ())
            found = adjusted_means(trial, y, cluster_N=cluster)
            held.append(abs(found.gain_K[0] - truth) <= found.reach_K[0])
            ours.append(found.gain_K[0] - truth)
            plain.append(y[arm == 1].mean() - y[arm == 0].mean() - truth)
            flags = [arm == a for a in range(1, arm.max() + 1)]
            squares.append(np.linalg.lstsq(np.column_stack([np.ones(len(y)), *flags, x]), y, rcond=None)[0][1] - truth)
        emit("coverage of the 95 % interval of the average", np.array(held, float), "share", repetitions, kind,
             peer="nominal", peer_value=0.95)  # fmt: skip
        errors = {"difference in means": plain, "least squares on the features": squares}
        for name, theirs in errors.items():
            print(json.dumps({
                "figure": "RMSE of the average", "value": round(float(np.sqrt(np.mean(np.square(ours)))), 6),
                "se": None, "unit": "outcome", "peer": name, "peer_value": round(float(np.sqrt(np.mean(np.square(theirs)))), 6),
                "n": repetitions, "data": kind,
            }), flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--starbucks", type=Path, help="the promotion as CSV")
    parser.add_argument("--peers", default=os.environ.get("PROMOLIFT_EFFECT_PEERS", ""), help="a Python with catboost")
    parser.add_argument("--only", nargs="*", help="nir insurance null average")
    given = parser.parse_args()

    def wanted(name: str) -> bool:
        return not given.only or name in given.only

    if wanted("average"):
        averages(10 if given.quick else 500)
    if wanted("null"):
        nulls(3 if given.quick else 200)
    if wanted("insurance"):
        crossing(1 if given.quick else 4)
    if not given.starbucks:
        print(json.dumps({"skipped": "the Starbucks promotion: give --starbucks FILE"}))
    elif wanted("nir"):
        nir(given.starbucks, "" if given.quick else given.peers, 1 if given.quick else 10)


if __name__ == "__main__":
    main()
