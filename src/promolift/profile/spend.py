"""Snapshots of customers with what they spent next in; a frozen model of the spend of the next weeks out.

The typical (median) spend is 0.4 times a linear and 0.6 times a boosted forecast of the ratio

    r = spend / s,    s = level + floor,

where `level` is the customer's spend per horizon, old weeks fading with a half-life of 8 weeks, and the floor is 7 % of
the mean outcome. Both minimise sum s |spend / s - r| = sum |spend - s r|, the mean absolute error in money: the linear
one by iteratively reweighted least squares, the other by LightGBM's L1 objective with random split points (extra
trees). Three boosters each leave out a third of the customers, by hash; their forecasts for customers they never saw
give, per size of forecast, the mean outcome (`expected_cents`) and its 10 % and 90 % points (`low_cents` and
`high_cents`).
A shop with too few snapshots gets the shrunk recent mean instead, and `method` says so.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from promolift.errors import SupportError
from promolift.hashing import hash_units
from promolift.settings import Settings

KEY = ["customer_id", "asof_ms"]
Vector = NDArray[np.float64]
FOLDS = 3
RATIOS = ("level_2", "level_4", "level_16", "median_8", "median_16", "max_8", "sd_16")
INPUTS = (
    *RATIOS, "level_8", "orders_8", "orders_4", "orders_16", "recency", "due", "gap_variation", "tenure", "empty_8",
)  # fmt: skip
TREE_INPUTS = (*INPUTS, "breadth", "basket")


class SpendSettings(Settings):
    """How the spend model is fitted. The defaults were chosen on origins up to week 34 of the Complete Journey."""

    horizon_weeks: int = Field(default=8, ge=1, le=52)
    min_rows: int = Field(default=1_000, ge=1)  # snapshots; fewer get the shrunk recent mean
    linear_weight: float = Field(default=0.4, ge=0, le=1)
    trees: int = Field(default=300, ge=1)
    leaves: int = Field(default=15, ge=2)
    min_leaf: int = Field(default=50, ge=1)
    learning_rate: float = Field(default=0.03, gt=0)
    seed: int = 1
    threads: int = Field(default=1, ge=1)


@dataclass(frozen=True)
class SpendModel:
    """A fitted model: `method` is 'blend' or 'shrunk mean', `note` says why, `numbers` holds all it needs."""

    method: str
    note: str
    settings: SpendSettings
    numbers: dict[str, Any]
    trees: tuple[str, ...] = ()

    def predict(self, features: pl.DataFrame) -> pl.DataFrame:
        """customer_id, asof_ms and typical_cents (median), expected_cents (mean), low_cents, high_cents (10 %, 90 %).

        `features` as made by `spend_features`. The interval is that of one customer's outcome, from customers left out.
        """
        typical = _blend(self, features) if self.method == "blend" else _shrunk(self.numbers, features)
        table = features.select(KEY).with_columns(pl.Series("typical_cents", typical, dtype=pl.Float64))
        at = np.asarray(self.numbers["at"])
        for name in ("expected_cents", "low_cents", "high_cents"):
            over = np.asarray(self.numbers[name])
            values = _interpolate(typical, at, over)
            table = table.with_columns(pl.Series(name, values, dtype=pl.Float64))
        return table


def fit(snapshots: pl.DataFrame, settings: SpendSettings | None = None) -> SpendModel:
    """Fit on `spend_features` joined with `spend_outcomes`, moments of any number, all of whose horizons have ended.

    Raises SupportError when there is no snapshot or nobody spent anything: then nothing can be forecast.
    """
    settings = settings or SpendSettings()
    snapshots = snapshots.sort(KEY)
    if not snapshots.height or not snapshots["outcome_cents"].sum() > 0:
        raise SupportError("spend: no snapshot with spend after it; the history must reach beyond one horizon")
    numbers: dict[str, Any] = {"floor": 0.07 * float(snapshots["outcome_cents"].mean()), "rows": snapshots.height}  # type: ignore[arg-type]
    if snapshots.height < settings.min_rows:
        note = (
            f"{snapshots.height} snapshots, fewer than {settings.min_rows}: recent mean, shrunk towards all customers"
        )
        numbers |= _fit_shrunk(snapshots)
        return _with_spread(SpendModel("shrunk mean", note, settings, numbers), _shrunk(numbers, snapshots), snapshots)
    numbers |= _fit_linear(snapshots, numbers["floor"])
    trees, left_out = _fit_trees(snapshots, numbers["floor"], settings)
    model = SpendModel("blend", f"{snapshots.height} snapshots", settings, numbers, trees)
    share = settings.linear_weight
    typical = share * _linear(numbers, snapshots) + (1 - share) * left_out * _scale(snapshots, numbers["floor"])
    return _with_spread(model, np.clip(typical, 0, None), snapshots)


def inputs(features: pl.DataFrame, floor: float) -> pl.DataFrame:
    """The model's inputs: log ratios of levels, logs of times, all finite where known; null where not known."""
    scale = pl.col("level_8").clip(lower_bound=0) + floor
    ratios = [((pl.col(name).clip(lower_bound=0) + floor) / scale).log().alias(name) for name in RATIOS]
    orders = pl.col("orders_8") + 0.5
    return features.select(
        *ratios,
        (scale / floor).log().alias("level_8"),
        orders.log().alias("orders_8"),
        ((pl.col("orders_4") + 0.5) / orders).log().alias("orders_4"),
        ((pl.col("orders_16") + 0.5) / orders).log().alias("orders_16"),
        (pl.col("recency") + 1).log().alias("recency"),
        (pl.col("recency") / (pl.col("cadence").fill_null(60.0) + 3)).clip(upper_bound=8).alias("due"),
        pl.col("gap_variation").fill_null(1.0).clip(upper_bound=2.5),
        (pl.col("tenure") + 7).log().alias("tenure"),
        pl.col("empty_8"),
        (pl.col("breadth").fill_null(0) + 1).log().alias("breadth"),
        ((pl.col("basket").clip(lower_bound=0) + 0.25 * floor) / floor).log().alias("basket"),
    ).select(pl.all().cast(pl.Float64).round(9))  # sums in another order differ beyond, and trees would split there


def _scale(features: pl.DataFrame, floor: float) -> Vector:
    return np.asarray(features["level_8"].clip(lower_bound=0).to_numpy() + floor)


def _fit_linear(snapshots: pl.DataFrame, floor: float) -> dict[str, Any]:
    """Least absolute deviations by reweighting: 40 rounds, residuals below 0.7 % of the mean outcome count alike."""
    raw = inputs(snapshots, floor).select(INPUTS).to_numpy()
    numbers = {
        "low": np.quantile(raw, 0.005, axis=0).tolist(),
        "high": np.quantile(raw, 0.995, axis=0).tolist(),
        "centre": raw.mean(0).tolist(),
        "spread": (raw.std(0) + 1e-9).tolist(),
    }
    scale, outcome = _scale(snapshots, floor), snapshots["outcome_cents"].to_numpy().astype(np.float64)
    design = _design(numbers, raw) * scale[:, None]
    ridge = 0.01 * scale.mean() * np.eye(design.shape[1])  # only so that a constant column does no harm
    weights = np.linalg.lstsq(design, outcome, rcond=None)[0]
    for _ in range(40):
        pull = design / np.maximum(np.abs(outcome - design @ weights), 0.1 * floor)[:, None]
        weights = np.linalg.solve(pull.T @ design + ridge, pull.T @ outcome)
    return numbers | {"weights": weights.tolist()}


def _design(numbers: dict[str, Any], raw: Vector) -> Vector:
    kept = (np.clip(raw, numbers["low"], numbers["high"]) - numbers["centre"]) / numbers["spread"]
    return np.column_stack([np.ones(len(raw)), kept])


def _linear(numbers: dict[str, Any], features: pl.DataFrame) -> Vector:
    raw = inputs(features, numbers["floor"]).select(INPUTS).to_numpy()
    return np.asarray(_design(numbers, raw) @ np.asarray(numbers["weights"]) * _scale(features, numbers["floor"]))


class _Boosters(NamedTuple):
    """One booster per fold of customers left out, and the ratio each forecasts for its own fold."""

    texts: tuple[str, ...]
    left_out: Vector


def _fit_trees(snapshots: pl.DataFrame, floor: float, settings: SpendSettings) -> _Boosters:
    table, scale = inputs(snapshots, floor).select(TREE_INPUTS).to_numpy(), _scale(snapshots, floor)
    ratio = snapshots["outcome_cents"].to_numpy() / scale
    fold = (hash_units(settings.seed, snapshots["customer_id"]) * FOLDS).astype(int)
    texts, left_out = [], np.zeros(len(ratio))
    for k in range(FOLDS):
        seen = fold != k
        data = lgb.Dataset(table[seen], ratio[seen], weight=scale[seen], feature_name=list(TREE_INPUTS))
        booster = lgb.train(_parameters(settings, k), data, settings.trees)
        left_out[~seen] = booster.predict(table[~seen]) if (~seen).any() else 0.0
        texts.append(booster.model_to_string())
    return _Boosters(tuple(texts), left_out)


def _parameters(settings: SpendSettings, fold: int) -> dict[str, Any]:
    return {
        "objective": "regression_l1",
        "extra_trees": True,
        "num_leaves": settings.leaves,
        "learning_rate": settings.learning_rate,
        "min_data_in_leaf": settings.min_leaf,
        "feature_fraction": 0.5,
        "bagging_fraction": 0.6,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "seed": settings.seed * 1000 + fold,
        "num_threads": settings.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def _blend(model: SpendModel, features: pl.DataFrame) -> Vector:
    if not features.height:
        return np.zeros(0)
    floor, share = model.numbers["floor"], model.settings.linear_weight
    table = inputs(features, floor).select(TREE_INPUTS).to_numpy()
    trees = np.mean([lgb.Booster(model_str=text).predict(table, num_threads=1) for text in model.trees], axis=0)
    typical = share * _linear(model.numbers, features) + (1 - share) * trees * _scale(features, floor)
    return np.asarray(np.clip(typical, 0, None))


def _fit_shrunk(snapshots: pl.DataFrame) -> dict[str, Any]:
    """Best linear shrinkage of the recent level: outcome = mean + slope (level - mean), 0 <= slope <= 1."""
    level, outcome = snapshots["level_8"].to_numpy(), snapshots["outcome_cents"].to_numpy().astype(np.float64)
    # ten imaginary customers who spend at random keep the slope low while real ones are few
    varied = ((level - level.mean()) ** 2).sum() * (1 + 10 / len(level))
    slope = ((level - level.mean()) * (outcome - outcome.mean())).sum() / varied if varied > 0 else 0.0
    return {"level_mean": float(level.mean()), "mean": float(outcome.mean()), "slope": float(np.clip(slope, 0, 1))}


def _shrunk(numbers: dict[str, Any], features: pl.DataFrame) -> Vector:
    level = features["level_8"].to_numpy()
    return np.asarray(np.clip(numbers["mean"] + numbers["slope"] * (level - numbers["level_mean"]), 0, None))


def _with_spread(model: SpendModel, typical: Vector, snapshots: pl.DataFrame) -> SpendModel:
    """Add the mean, 10 % and 90 % points of the outcome per size of forecast, in up to 20 bins of at least 30 rows."""
    count = int(np.clip(len(typical) // 30, 1, 20))
    order = np.argsort(typical, kind="stable")
    outcome = snapshots["outcome_cents"].to_numpy().astype(np.float64)
    parts = np.array_split(order, count)
    found = {
        "at": [float(typical[part].mean()) for part in parts],
        "expected_cents": [float(outcome[part].mean()) for part in parts],
        "low_cents": [float(np.quantile(outcome[part], 0.1)) for part in parts],
        "high_cents": [float(np.quantile(outcome[part], 0.9)) for part in parts],
    }
    return replace(model, numbers=model.numbers | found)


def _interpolate(typical: Vector, at: Vector, values: Vector) -> Vector:
    """Linear between bin centres; beyond the last one in proportion to the forecast."""
    inside = np.interp(typical, at, values)
    beyond = values[-1] * typical / max(float(at[-1]), 1e-9)
    return np.asarray(np.where(typical > at[-1], beyond, inside))
