"""Randomised and simulated trials in; how well effects are told apart, beside causalml's learners, out.

    python benchmarks/core/effect.py [--quick] [--hillstrom FILE] [--peers PYTHON] [--large]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. FILE is Kevin Hillstrom's e-mail campaign (CSV);
PYTHON belongs to an environment with causalml, causallib and catboost (or set PROMOLIFT_EFFECT_PEERS): the peers, and
the data sets that come inside them, run there in the same run. What is absent is skipped with a line that says so.

Hillstrom: repeated 2-fold split, stratified by arm and visit, every customer predicted out of fold by one untouched
default pipeline; Qini as in scikit-uplift, of each half by the model that did not see it, averaged (and pooled over
both halves beside it); rule = "bought women's goods". Policy value: mean of 3 x 1{arm = policy} x outcome. causalml: 6
instances of make_uplift_classification_logistic with 10,000 rows an arm, half of them for training. ACIC 2016:
instances 1 to 5 of causallib (--large: 10), half for training, propensity estimated. --large adds one million rows.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from promolift.core.effects.uplift.learner_selection import EffectSettings
from promolift.core.effects.uplift.uplift_model import fit_effects
from promolift.core.experiments.uplift_curves import qini
from promolift.foundation.hashing import hash_units

NO, MEN, WOMEN = "No E-Mail", "Mens E-Mail", "Womens E-Mail"
TASKS = {"women's mail": (NO, WOMEN), "men's mail": (NO, MEN), "any mail": (NO, MEN, WOMEN)}
PEERS = ("S-CatBoost", "S-LightGBM", "X-LightGBM")
X_DEFAULT = "X-LightGBM, its defaults"  # the stiffer settings for trials are far worse on 2,400 rows
HILLSTROM = "Hillstrom"
OURS = "promolift"


def emit(figure: str, value: float, unit: str, n: int, data: str, **more: object) -> None:
    line = {"figure": figure, "value": round(float(value), 5), "unit": unit, "n": n, "data": data}
    print(json.dumps(line | {k: round(v, 5) if isinstance(v, float) else v for k, v in more.items()}), flush=True)


def run_peers(python: str, task: dict[str, object]) -> dict[str, np.ndarray]:
    """What the peers predict for x_new."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.npz"
        np.savez(path, **task)
        _call(python, "fit", path)
        with np.load(path.with_suffix(".out.npz")) as found:
            return dict(found)


def _call(python: str, verb: str, path: Path) -> None:
    script = Path(__file__).with_name("effect_peers.py")
    done = subprocess.run([python, script, verb, path], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"peers failed: {done.stderr[-2000:]}")


def hillstrom(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features as a shop would give them, and the rest."""
    raw = pl.read_csv(path, infer_schema_length=None)
    step = pl.col("history_segment").str.slice(0, 1).cast(pl.Int64)
    return raw.select("recency", step, "history", "mens", "womens", "newbie", "zip_code", "channel"), raw


def halves(arm: np.ndarray, outcome: np.ndarray, repetition: int) -> np.ndarray:
    """True for one half of the rows, stratified by arm and outcome."""
    order = hash_units(f"half{repetition}", range(len(arm)))
    half = np.zeros(len(arm), dtype=bool)
    for cell in {*zip(arm.tolist(), outcome.tolist(), strict=True)}:
        rows = np.flatnonzero((arm == cell[0]) & (outcome == cell[1]))
        half[rows[np.argsort(order[rows])][: len(rows) // 2]] = True
    return half


def out_of_fold(x: pl.DataFrame, arm: np.ndarray, y: np.ndarray, half: np.ndarray, predict: Callable) -> np.ndarray:
    """Every row by `predict(x, arm, y, x_new)` trained on the other half."""
    found = np.zeros(len(arm))
    for part in (half, ~half):
        found[part] = predict(x.filter(pl.Series(~part)), arm[~part], y[~part], x.filter(pl.Series(part)))
    return found


def ours(x: pl.DataFrame, arm: np.ndarray, y: np.ndarray, new: pl.DataFrame) -> np.ndarray:
    return fit_effects(x, arm, y).predict(new).gain_NK[:, 0]


def response(x: pl.DataFrame, arm: np.ndarray, y: np.ndarray, new: pl.DataFrame) -> np.ndarray:
    """A plain response model: LightGBM on everybody, whatever the arm."""
    import lightgbm

    columns = x.to_dummies(["zip_code", "channel"]).columns
    both = [f.to_dummies(["zip_code", "channel"]).select(columns).to_numpy().astype(float) for f in (x, new)]
    options = {
        "objective": "binary",
        "num_leaves": 15,
        "learning_rate": 0.05,
        "min_data_in_leaf": 50,
        "num_threads": 1,
        "verbosity": -1,
    }
    return lightgbm.train(options, lightgbm.Dataset(both[0], y), 60).predict(both[1])


def visits(path: Path, peers: str, repetitions: int) -> None:
    x_all, raw = hillstrom(path)
    means: dict[str, list[float]] = {}
    for name, arms in TASKS.items():
        keep = raw["segment"].is_in(arms)
        x, rows = x_all.filter(keep), raw.filter(keep)
        arm, y = (rows["segment"] != NO).to_numpy().astype(int), rows["visit"].to_numpy().astype(float)
        scores: dict[str, list[np.ndarray]] = {OURS: [], "response model": [], "rule": []}
        for repetition in range(repetitions):
            half = halves(arm, y, repetition)
            scores[OURS].append(out_of_fold(x, arm, y, half, ours))
            scores["response model"].append(out_of_fold(x, arm, y, half, response))
            scores["rule"].append(x["womens"].to_numpy().astype(float))
            if peers:
                for peer, gains in peer_halves(peers, x, arm, y, half).items():
                    scores.setdefault(peer, []).append(gains)
        pooled = {who: [qini(y, score, arm) for score in each] for who, each in scores.items()}
        value = {who: by_half(y, arm, each) for who, each in scores.items()}
        for who, each in value.items():
            means.setdefault(who, []).append(each)
            if who != OURS:
                both = [float(np.mean([e.value for e in pooled[w]])) for w in (OURS, who)]
                emit(f"Qini of visits, {name}", value[OURS], "share of ideal", len(y), HILLSTROM, se=float(pooled[OURS][0].se),
                     peer=who, peer_value=each, pooled=both[0], peer_pooled=both[1])  # fmt: skip
    for who in means.keys() - {OURS}:
        emit("Qini of visits, mean of three tasks", float(np.mean(means[OURS])), "share of ideal", len(x_all),
             HILLSTROM, peer=who, peer_value=float(np.mean(means[who])))  # fmt: skip


def by_half(y: np.ndarray, arm: np.ndarray, scores: list[np.ndarray]) -> float:
    """Mean Qini of the halves, each ranked by the one model that did not see it: two models' levels do not compare."""
    found = []
    for repetition, score in enumerate(scores):
        half = halves(arm, y, repetition)
        found += [qini(y[part], score[part], arm[part]).value for part in (half, ~half)]
    return float(np.mean(found))


def peer_halves(
    python: str, x: pl.DataFrame, arm: np.ndarray, y: np.ndarray, half: np.ndarray
) -> dict[str, np.ndarray]:
    numbers = x.to_dummies(["zip_code", "channel"]).to_numpy().astype(float)
    found = {peer: np.zeros(len(arm)) for peer in PEERS}
    for part in (half, ~half):
        task = {"x": numbers[~part], "arm": arm[~part], "outcome": y[~part], "x_new": numbers[part]}
        gains = run_peers(python, task | {"peers": np.array(PEERS), "randomised": True})
        for peer in PEERS:
            found[peer][part] = gains[peer][:, 0]
    return found


def policy(path: Path, outcome: str, repetitions: int) -> None:
    """Value of the recommended policy out of fold, beside the best fixed arm chosen with hindsight; paired error."""
    x, raw = hillstrom(path)
    arm = raw["segment"].replace_strict({NO: 0, MEN: 1, WOMEN: 2}, return_dtype=pl.Int64).to_numpy()
    y = raw[outcome].to_numpy().astype(float)
    fixed = 3 * y[:, None] * (arm[:, None] == np.arange(3))
    best = int(fixed.mean(axis=0).argmax())
    values = []
    for repetition in range(repetitions):
        chosen = out_of_fold(x, arm, y, halves(arm, raw["visit"].to_numpy(), repetition), recommend)
        values.append(3 * y * (arm == chosen))
    value = np.mean(values, axis=0)
    gap = value - fixed[:, best]
    emit(f"policy value, {outcome}", value.mean(), "per customer", len(y), HILLSTROM, se=float(value.std() / len(y) ** 0.5),
         peer="best fixed arm", peer_value=float(fixed[:, best].mean()), paired_se=float(gap.std() / len(y) ** 0.5))  # fmt: skip


def recommend(x: pl.DataFrame, arm: np.ndarray, y: np.ndarray, new: pl.DataFrame) -> np.ndarray:
    return fit_effects(x, arm, y).policy(new)


def causalml(folder: Path, peers: str, instances: int) -> None:
    ratios: dict[str, list[float]] = {"promolift": [], "X-LightGBM": []}
    errors: dict[str, list[float]] = {"promolift": [], "X-LightGBM": []}
    n = 0
    for seed in range(instances):
        with np.load(folder / f"causalml{seed}.npz") as data:
            x, arm, y, gain = data["x"], data["arm"], data["outcome"], data["gain"]
        half = halves(arm, y, seed)
        n = int(half.sum())
        model = fit_effects(x[half], arm[half], y[half])
        task = {"x": x[half], "arm": arm[half], "outcome": y[half], "x_new": x[~half]}
        theirs = run_peers(peers, task | {"peers": np.array(["X-LightGBM"]), "randomised": True})["X-LightGBM"]
        value = np.column_stack([np.zeros(len(gain[~half])), gain[~half]])
        greedy = np.column_stack([np.zeros(len(theirs)), theirs]).argmax(axis=1)
        fixed, oracle = value.mean(axis=0).max(), value.max(axis=1).mean()
        for who, gains, arms in (
            ("promolift", model.predict(x[~half]).gain_NK, model.policy(x[~half])),
            ("X-LightGBM", theirs, greedy),
        ):
            errors[who].append(float(np.sqrt(((gains - gain[~half]) ** 2).mean())))
            ratios[who].append(float((value[np.arange(len(value)), arms].mean() - fixed) / (oracle - fixed)))
    for figure, found, unit in (
        ("RMSE of the effect", errors, "probability"),
        ("gap from best fixed arm to oracle closed", ratios, "share"),
    ):
        emit(figure, np.mean(found["promolift"]), unit, n, f"causalml logistic, {instances} instances",
             se=float(np.std(found["promolift"]) / len(found["promolift"]) ** 0.5), peer="X-LightGBM", peer_value=float(np.mean(found["X-LightGBM"])))  # fmt: skip


def acic(folder: Path, peers: str, numbers: list[int]) -> None:
    found: dict[str, list[float]] = {"promolift": [], X_DEFAULT: [], "constant": []}
    flat: list[float] = []
    for number in numbers:
        with np.load(folder / f"acic{number}.npz") as data:
            x, arm, y, gain = data["x"], data["arm"], data["outcome"], data["gain"]
        half = hash_units(f"acic{number}", range(len(arm))) < 0.5
        model = fit_effects(x[half], arm[half], y[half], propensity_NK="estimate")
        task = {"x": x[half], "arm": arm[half], "outcome": y[half], "x_new": x[~half]}
        theirs = run_peers(peers, task | {"peers": np.array([X_DEFAULT]), "randomised": False})[X_DEFAULT]
        naive = y[half & (arm == 1)].mean() - y[half & (arm == 0)].mean()
        error = {
            who: float(np.sqrt(((gains - gain[~half]) ** 2).mean()))
            for who, gains in (
                ("promolift", model.predict(x[~half]).gain_NK),
                (X_DEFAULT, theirs),
                ("constant", naive),
            )
        }
        for who, each in error.items():
            found[who].append(each)
        emit(f"RMSE of the effect, instance {number}", error["promolift"], "outcome", int(half.sum()), "ACIC 2016",
             peer=X_DEFAULT, peer_value=error[X_DEFAULT], spread=float(gain.std()), chosen=str(model.verdict.answer))  # fmt: skip
        if gain.std() < 1e-9:
            flat.append(error["promolift"])
    for size, label in ((5, "instances 1 to 5"), (10, "instances 1 to 10")):
        if len(numbers) >= size:
            emit(f"RMSE of the effect, mean of {label}", np.mean(found["promolift"][:size]), "outcome", size, "ACIC 2016",
                 peer=X_DEFAULT, peer_value=float(np.mean(found[X_DEFAULT][:size])), constant=float(np.mean(found["constant"][:size])))  # fmt: skip
    if flat:
        emit(
            "RMSE where the effect is constant",
            max(flat),
            "outcome",
            len(flat),
            "ACIC 2016",
            peer="goal",
            peer_value=0.2,
        )


def simulated(
    n: int, seed: int, effect: float = 0.0, features: int = 12, arms: int = 2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A randomised trial of a binary outcome whose log odds hang on the features; treatments add `effect` to them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features))
    arm = rng.integers(0, arms, n)
    odds = -1.7 + 0.6 * x[:, 0] - 0.4 * np.maximum(x[:, 1], 0) + effect * (arm > 0) * (1 + x[:, 0] + (x[:, 2] > 0.5))
    return x, arm, (rng.uniform(size=n) < 1 / (1 + np.exp(-odds))).astype(float)


def noise(path: Path | None, repetitions: int) -> None:
    """Permuted treatments: how often "none" is answered."""
    if path:
        x_all, raw = hillstrom(path)
        keep = raw["segment"].is_in(TASKS["women's mail"])
        x, arm = x_all.filter(keep)[:4_000], (raw.filter(keep)["segment"] != NO).to_numpy().astype(int)[:4_000]
        y = raw.filter(keep)["visit"].to_numpy().astype(float)[:4_000]
    else:
        array, arm, y = simulated(4_000, 1)
        x = pl.DataFrame(array)
    none = [
        fit_effects(x, arm[np.argsort(hash_units(f"permute{r}", range(len(arm))))], y).chosen == "none"
        for r in range(repetitions)
    ]
    share = float(np.mean(none))
    emit("permuted treatments answered 'none'", share, "share", repetitions, HILLSTROM if path else "simulated",
         se=float(np.sqrt(max(share * (1 - share), 1 / repetitions) / repetitions)), peer="goal", peer_value=0.9)  # fmt: skip


def coverage(repetitions: int) -> None:
    """How often the 95 % interval of the average effect holds the truth, over experiments of 1,000 customers."""
    lean = EffectSettings(simple=("proportional",), rich=(), folds=2)
    big_x, _, _ = simulated(200_000, 10**6)
    odds = -1.7 + 0.6 * big_x[:, 0] - 0.4 * np.maximum(big_x[:, 1], 0)
    lifted = odds + 0.3 * (1 + big_x[:, 0] + (big_x[:, 2] > 0.5))
    truth = float((1 / (1 + np.exp(-lifted)) - 1 / (1 + np.exp(-odds))).mean())
    held = []
    for r in range(repetitions):
        average = fit_effects(*simulated(1_000, r, effect=0.3), settings=lean).average
        held.append(abs(average.gain_K[0] - truth) <= 1.96 * average.se_K[0])
    share = float(np.mean(held))
    emit("coverage of the 95 % interval of the average effect", share, "share", repetitions, "simulated",
         se=float(np.sqrt(0.95 * 0.05 / repetitions)), peer="nominal", peer_value=0.95)  # fmt: skip


def cost(rows: int, features: int, arms: int) -> None:
    """The default selector, and its prediction for the same rows."""
    x, arm, y = simulated(rows, 7, 0.3, features, arms)

    def told(name: str, seconds: float) -> None:
        emit(f"CPU of {name}, {rows:,} x {features}, {arms} arms", seconds, "CPU s", rows, "simulated",
             se=None, peer="", peer_value=None, peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # fmt: skip

    fit_effects(x[:3000], arm[:3000], y[:3000])  # once before: importing and compiling is not part of a fit
    start = time.process_time()
    model = fit_effects(x, arm, y)
    told("default selector", time.process_time() - start)
    start = time.process_time()
    model.predict(x)
    told("prediction", time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--large", action="store_true", help="also fit one million rows, 30 features, three arms")
    parser.add_argument("--hillstrom", type=Path, help="the e-mail campaign as CSV")
    parser.add_argument("--peers", default=os.environ.get("PROMOLIFT_EFFECT_PEERS", ""), help="a Python with the peers")
    parser.add_argument("--only", nargs="*", help="cost noise coverage visits policy causalml acic")
    given = parser.parse_args()

    def wanted(name: str) -> bool:
        return not given.only or name in given.only

    if wanted("cost"):
        cost(21_000, 12, 2)
        if not given.quick:
            cost(200_000, 20, 2)
    if wanted("noise"):
        noise(given.hillstrom, 3 if given.quick else 50)
    if wanted("coverage"):
        coverage(20 if given.quick else 500)
    if not given.hillstrom:
        print(json.dumps({"skipped": "Hillstrom's campaign: give --hillstrom FILE"}))
    else:
        if wanted("visits"):
            visits(given.hillstrom, "" if given.quick else given.peers, 1 if given.quick else 2)
        if wanted("policy") and not given.quick:
            for outcome in ("spend", "visit"):
                policy(given.hillstrom, outcome, 2)
    if not given.peers or given.quick:
        print(json.dumps({"skipped": "causalml and ACIC 2016: give --peers PYTHON, without --quick"}))
    elif wanted("causalml") or wanted("acic"):
        with tempfile.TemporaryDirectory() as folder:
            _call(given.peers, "make", Path(folder))
            if wanted("causalml"):
                causalml(Path(folder), given.peers, 6)
            if wanted("acic"):
                acic(Path(folder), given.peers, list(range(1, 11 if given.large else 6)))
    if given.large:
        cost(1_000_000, 30, 3)


if __name__ == "__main__":
    main()
