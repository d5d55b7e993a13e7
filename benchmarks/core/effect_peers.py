"""Run by benchmarks/core/effect.py with the Python of an environment of its own; never imports promolift.

    python effect_peers.py make FOLDER      writes causalml's and causallib's data sets as .npz
    python effect_peers.py fit TASK.npz     reads x, arm, outcome, x_new; writes TASK.out.npz, gains of each peer

Needs causalml, causallib, lightgbm, catboost.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CAUSALML, ACIC = 6, 10
LGBM = {
    "n_estimators": 100,
    "num_leaves": 15,
    "learning_rate": 0.05,
    "min_child_samples": 50,
    "n_jobs": 1,
    "verbosity": -1,
}


def make(folder: Path) -> None:
    from causallib.datasets import load_acic16
    from causalml.dataset import make_uplift_classification_logistic

    arms = ["control", "treatment1", "treatment2", "treatment3"]
    for seed in range(CAUSALML):
        random.seed(seed)  # the generator draws the shapes of its effects from the global stream
        frame, names = make_uplift_classification_logistic(n_samples=10_000, random_seed=seed)
        arm = frame["treatment_group_key"].map({name: k for k, name in enumerate(arms)}).to_numpy()
        gain = frame[[f"{name}_true_effect" for name in arms[1:]]].to_numpy()
        y = frame["conversion"].to_numpy(dtype=float)
        np.savez(folder / f"causalml{seed}.npz", x=frame[names].to_numpy(), arm=arm, outcome=y, gain=gain)
    for number in range(1, ACIC + 1):
        data = load_acic16(number)
        gain = (data.po["1"] - data.po["0"]).to_numpy()[:, None]
        x, arm, y = data.X.to_numpy(dtype=float), data.a.to_numpy(), data.y.to_numpy(dtype=float)
        np.savez(folder / f"acic{number}.npz", x=x, arm=arm, outcome=y, gain=gain)


def learners(names: list[str]) -> dict[str, Any]:
    from catboost import CatBoostRegressor
    from causalml.inference.meta import BaseSRegressor, BaseTRegressor, BaseXRegressor
    from lightgbm import LGBMRegressor

    cat = {
        "iterations": 200,
        "depth": 4,
        "learning_rate": 0.05,
        "thread_count": 1,
        "verbose": 0,
        "allow_writing_files": False,
    }
    every: dict[str, Callable[[], Any]] = {
        "X-LightGBM": lambda: BaseXRegressor(LGBMRegressor(**LGBM), control_name=0),
        "X-LightGBM, its defaults": lambda: BaseXRegressor(LGBMRegressor(n_jobs=1, verbosity=-1), control_name=0),
        "T-LightGBM": lambda: BaseTRegressor(LGBMRegressor(**LGBM), control_name=0),
        "S-LightGBM": lambda: BaseSRegressor(LGBMRegressor(**LGBM), control_name=0),
        "S-CatBoost": lambda: BaseSRegressor(CatBoostRegressor(**cat), control_name=0),
    }
    return {name: every[name]() for name in names}


def fit(task: Path) -> None:
    data = np.load(task)
    x, arm, y, new = (data[name] for name in ("x", "arm", "outcome", "x_new"))
    found = {}
    for name, model in learners(data["peers"].tolist()).items():
        start = time.process_time()
        # a propensity is asked for by X; what it is given here are the arms' shares
        share = {k: np.full(len(x), (arm == k).sum() / ((arm == k) | (arm == 0)).sum()) for k in np.unique(arm) if k}
        extra = {"p": share} if name.startswith("X") and bool(data["randomised"]) else {}
        model.fit(x, arm, y, **extra)
        later = {"p": {k: np.full(len(new), p[0]) for k, p in share.items()}} if extra else {}
        found[name] = np.asarray(model.predict(new, **later)).reshape(len(new), -1)
        found[f"{name} seconds"] = np.array(time.process_time() - start)
    np.savez(task.with_suffix(".out.npz"), **found)


if __name__ == "__main__":
    {"make": make, "fit": fit}[sys.argv[1]](Path(sys.argv[2]))
