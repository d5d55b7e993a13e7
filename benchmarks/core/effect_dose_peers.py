"""Run by benchmarks/core/effect_dose.py with the Python of an environment of its own; never imports promolift.

    python effect_dose_peers.py TASK.npz ...      each has x, depth, outcome, x_new; writes TASK.out.npz: gains of each peer

Needs causalml, econml, lightgbm. Missing values are given to the trees as they are, and as column means to econml.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
LGBM = {
    "n_estimators": 100,
    "num_leaves": 15,
    "learning_rate": 0.05,
    "min_child_samples": 50,
    "n_jobs": 1,
    "verbosity": -1,
}


def meta(name: str, x: np.ndarray, arm: np.ndarray, y: np.ndarray, x_new: np.ndarray) -> np.ndarray:
    from causalml.inference.meta import BaseSRegressor, BaseXRegressor
    from lightgbm import LGBMRegressor

    learner = {"S": BaseSRegressor, "X": BaseXRegressor}[name](learner=LGBMRegressor(**LGBM), control_name=0)
    if name == "S":
        learner.fit(X=x, treatment=arm, y=y)
        return learner.predict(X=x_new)
    chance = {k: np.full(len(x), 0.5) for k in range(1, 4)}
    learner.fit(X=x, treatment=arm, y=y, p=chance)
    return learner.predict(X=x_new, p={k: np.full(len(x_new), 0.5) for k in range(1, 4)})


def dml(forest: bool, x: np.ndarray, arm: np.ndarray, y: np.ndarray, x_new: np.ndarray) -> np.ndarray:
    from econml.dml import CausalForestDML, LinearDML
    from lightgbm import LGBMRegressor
    from sklearn.dummy import DummyClassifier

    mean = np.nan_to_num(np.nanmean(x, axis=0))
    x, x_new = (np.where(np.isnan(each), mean, each) for each in (x, x_new))
    how = {
        "model_y": LGBMRegressor(**LGBM),
        "model_t": DummyClassifier(),
        "discrete_treatment": True,
        "random_state": 0,
    }
    if forest:
        model = CausalForestDML(**how, n_estimators=200, min_samples_leaf=50, n_jobs=1, inference=False)
    else:
        model = LinearDML(**how)
    model.fit(y, arm, X=x)
    return np.stack([model.effect(x_new, T0=0, T1=k).ravel() for k in range(1, 4)], axis=1)


def main(paths: list[str], forest: bool) -> None:
    for path in paths:
        task = np.load(path)
        arm = np.rint(task["depth"] * 10).astype(int)
        data = (task["x"], arm, task["outcome"], task["x_new"])
        runs = {
            "causalml X-LightGBM": lambda data=data: meta("X", *data),
            "causalml S-LightGBM": lambda data=data: meta("S", *data),
            "EconML LinearDML": lambda data=data: dml(False, *data),
        }
        if forest:
            runs["EconML CausalForestDML"] = lambda data=data: dml(True, *data)
        out = {}
        for name, run in runs.items():
            start = time.process_time()
            out[name] = run()
            out[f"{name} seconds"] = np.array(time.process_time() - start)
        np.savez(path.removesuffix(".npz") + ".out.npz", **out)


if __name__ == "__main__":
    main([path for path in sys.argv[1:] if path != "--forest"], "--forest" in sys.argv)
