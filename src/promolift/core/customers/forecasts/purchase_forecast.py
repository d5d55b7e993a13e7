"""Fit one forecaster of repeat purchases to AFFINITIES of the shop's last windows.

Its members are the counts (repeat_purchases.py), which every shop has, and boosted trees over the counts' own rows,
which learn
from the last windows what counts leave: who lapses, what is due, what sells less by now. How much the trees weigh is
settled out of time on the last window by log loss (model_weights.py). Then the log odds of new, regular and lapsing
customers
are moved to what the last window held, the less so the more a group came out differently from window to window. Targets
never bought before keep their own calibrated probability (first_purchases.py).
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.customers.forecasts.boosted_trees import read_trees
from promolift.core.customers.forecasts.model_weights import (
    WEIGHTS,
    ModelWeight,
    choose_weight,
    is_still_valid,
    paired_difference,
)
from promolift.core.customers.profiles.population_sums import as_numbers
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.time.clock import DAY_MS

Vector = NDArray[np.float64]
SNAPSHOTS = 3  # windows that are learned from, the last of which judges first
MIN_ROWS, MIN_PURCHASES = 2_000, 200  # of each window, below which counts alone forecast
MAX_TRAINING_ROWS = 250_000  # about so many rows of a window are learned from
FAULT = 0.15  # log odds by which a model misses a group's level as a rule: standard deviation over groups and shops
DRIFT = 0.1  # log odds by which a group's level moves from one window to the next, as good as one window's word
GROUPS = ("new", "regular", "lapsing")
FEW, LATE = 4, 3.0  # purchases of the target bought most, below which a customer is new; its gaps without any purchase
TARGET_FACTS = ("buyers", "again", "trend", "usual_prob")
OWN_COLUMNS = (
    "orders", "list_cents", "revenue_cents", "recent_list_cents", "recent_revenue_cents", "recency_days", "gap_days",
    "due_in_days", "spend_share", "deal_share", "views", "expected_cents", "expected_se_cents", "buy_prob",
)  # fmt: skip
INPUT_COLUMNS = (
    *OWN_COLUMNS,
    "late",
    "value",
    "share_recent",
    "targets",
    "last_days",
    "early_days",
    "total_prob",
    "rank",
    "most",
    "away",
    *TARGET_FACTS,
)


class PurchaseHistories(NamedTuple):
    """AFFINITIES of whole customers at some moments, and FACTS of each target there (`merge_target_facts`)."""

    rows: pl.DataFrame
    facts: pl.DataFrame


@dataclass(frozen=True)
class Forecast:
    """What `fit_forecast` found: the trees as LightGBM's text, their weight, and the log odds added by group."""

    note: ModelWeight
    trees: str | None = field(default=None, repr=False)
    shift: tuple[float, ...] = (0.0, 0.0, 0.0)

    def predict(self, now: PurchaseHistories) -> pl.DataFrame:
        """AFFINITIES of whole customers at one moment with buy_prob, expected_cents and its error as forecast here.

        Orders are taken to come as in a Poisson process: expected values move as -ln(1 - probability) does.
        """
        rows = now.rows
        at = rows["bought"].to_numpy() & rows["buy_prob"].is_not_null().to_numpy()
        known = rows.filter(pl.Series(at))
        if known.is_empty():
            return rows
        before = known["buy_prob"].to_numpy()
        odds = _mixed(self.trees, self.note.weight, known, now.facts)
        prob = _prob(odds + np.array(self.shift)[customer_groups(known)])
        ratio = np.log1p(-np.minimum(prob, 0.9999)) / np.log1p(-np.clip(before, 1e-6, 0.9999))
        found = {"prob": np.ones(len(at)), "ratio": np.ones(len(at))}
        found["prob"][at], found["ratio"][at] = prob, ratio
        scaled = pl.col("expected_cents", "expected_se_cents") * pl.Series("ratio", found["ratio"])
        new = pl.when(pl.Series(at)).then(pl.Series("prob", found["prob"])).otherwise(pl.col("buy_prob"))
        return rows.with_columns(scaled, new.alias("buy_prob"))


def training_moments(asof_ms: int, window_ms: int) -> list[int]:
    """The earlier moments whose AFFINITIES a forecaster of `asof_ms` learns from."""
    return [asof_ms - k * window_ms for k in range(1, SNAPSHOTS + 1)]


def merge_target_facts(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return TARGET_FACTS per moment and target of the whole shop, from the sums of all its customers."""
    sums = as_numbers(pl.concat(parts).group_by("asof_ms", "target").agg(pl.all().sum()).sort("asof_ms", "target"))
    people = pl.col("people")
    shares = [
        (people / people.max().over("asof_ms")).alias("buyers"),
        (pl.col("within_28") / people).alias("again"),
        (pl.col("within_28") / (pl.col("within_56") + 1)).alias("trend"),
        (pl.col("buy_prob") / people).alias("usual_prob"),
    ]
    return sums.select("asof_ms", "target", *(share.round(9) for share in shares))


def fit_forecast(
    histories: PurchaseHistories, asof_ms: int, settings: ProfileSettings, earlier: ModelWeight | None = None
) -> Forecast:
    """The forecaster as of a moment, from what is known there and at `training_moments`; nothing later.

    Whether a row came true is read from the rows of the moment one window later. Where trees did not pay in an earlier
    run, by its note, none are fitted before all windows that they learned from have passed or the log grew by half.
    """
    window_ms, facts = settings.window_days * DAY_MS, histories.facts
    windows = [_came_true(histories.rows, moment, window_ms) for moment in training_moments(asof_ms, window_ms)]
    last, *before = windows
    counted = _log_odds(last["buy_prob"].to_numpy())
    few = [part.height for part in windows if part.height < MIN_ROWS or part["hit"].sum() < MIN_PURCHASES]
    if few:
        needed = f"{MIN_ROWS:,} with {MIN_PURCHASES} purchases are needed for trees"
        note = ModelWeight(weight=0.0, why=f"{few[0]:,} rows in a window of the past; {needed}", n=last.height)
    elif earlier is not None and is_still_valid(earlier, asof_ms, SNAPSHOTS * window_ms, last.height):
        note = earlier
    else:
        grown = _mixed(_fit(before, facts), 1.0, last, facts)  # by trees that never saw the last window
        note = _judged(last, counted, grown).model_copy(update={"judged_ms": asof_ms, "log_rows": last.height})
        mixed = note.weight * grown + (1 - note.weight) * counted
        trees = _fit(windows, facts) if note.weight else None
        return Forecast(note, trees, _shifts(last, mixed, before))
    return Forecast(note, None, _shifts(last, counted, before))


def customer_groups(rows: pl.DataFrame) -> NDArray[np.int64]:
    """The place in GROUPS of each row's customer, from their rows of targets bought at one moment."""
    place = pl.when(pl.col("most") < FEW).then(0).when(pl.col("away") > LATE).then(2).otherwise(1)
    return _with_habits(rows).select(place.cast(pl.Int64)).to_series().to_numpy()


def _with_habits(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `most`, the orders of what the customer buys most, and `away`, their last purchase in its gaps."""
    own = ["asof_ms", "customer_id"]
    usual = pl.col("gap_days").sort_by("orders", "target").last().over(own)
    return rows.with_columns(
        pl.col("orders").max().over(own).alias("most"),
        (pl.col("recency_days").min().over(own) / usual.clip(lower_bound=1.0)).alias("away"),
    )


def _came_true(rows: pl.DataFrame, moment_ms: int, window_ms: int) -> pl.DataFrame:
    """What was bought before a moment, and `hit`: whether it was bought again within the window."""
    known = rows.filter((pl.col("asof_ms") == moment_ms) & pl.col("bought") & pl.col("buy_prob").is_not_null())
    later = rows.filter((pl.col("asof_ms") == moment_ms + window_ms) & pl.col("bought"))
    later = later.select("customer_id", "target", pl.col("last_ms").alias("then_ms"))
    joined = known.join(later, on=["customer_id", "target"], how="left", maintain_order="left")
    return joined.with_columns((pl.col("then_ms") >= moment_ms).fill_null(False).alias("hit")).drop("then_ms")


def _inputs(rows: pl.DataFrame, facts: pl.DataFrame) -> NDArray[np.float32]:
    """INPUTS of each row; a customer's own are over all their rows of the moment."""
    recent, prob = pl.col("recency_days"), pl.col("buy_prob")
    own = {
        "share_recent": (recent < 28).mean(),
        "targets": pl.len(),
        "last_days": recent.min(),
        "early_days": recent.quantile(0.25),
        "total_prob": prob.sum(),
        "rank": prob.rank(descending=True) / pl.len(),
    }
    wide = (
        _with_habits(rows)
        .with_columns(
            (recent / pl.col("gap_days")).alias("late"),
            (pl.col("expected_cents") / prob).alias("value"),
            *(value.over("asof_ms", "customer_id").alias(name) for name, value in own.items()),
        )
        .join(facts, on=["asof_ms", "target"], how="left", maintain_order="left")
    )
    return wide.select(pl.col(INPUT_COLUMNS).cast(pl.Float64).round(9).cast(pl.Float32)).to_numpy()


def _fit(parts: list[pl.DataFrame], facts: pl.DataFrame) -> str:
    past = pl.concat(parts).sort("asof_ms", "customer_id", "target")
    data = lgb.Dataset(_inputs(past, facts), past["hit"].to_numpy(), feature_name=list(INPUT_COLUMNS))
    options: dict[str, Any] = {
        "objective": "binary", "num_leaves": 31, "learning_rate": 0.1, "min_data_in_leaf": 200,
        "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 10.0, "seed": 1,
        "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1,
    }  # fmt: skip
    return str(lgb.train(options, data, 80).model_to_string())


def _mixed(trees: str | None, weight: float, rows: pl.DataFrame, facts: pl.DataFrame) -> Vector:
    """Log odds of the members together."""
    counted = _log_odds(rows["buy_prob"].to_numpy())
    if trees is None:
        return counted
    return np.asarray(weight * read_trees(trees).raw(_inputs(rows, facts)) + (1 - weight) * counted)


def _judged(last: pl.DataFrame, counted: Vector, grown: Vector) -> ModelWeight:
    """The weight of the trees' log odds beside the counts', by a window that they never saw."""
    hit, who = last["hit"].to_numpy(), last["customer_id"]
    loss_RW = np.stack([_losses(weight * grown + (1 - weight) * counted, hit) for weight in WEIGHTS], axis=1)
    people = who.unique(maintain_order=True)
    halves = pl.DataFrame({"who": people, "first": hash_units("halves", people.to_list()) < 0.5})
    first_R = who.to_frame("who").join(halves, on="who", how="left", maintain_order="left")["first"].to_numpy()
    found = choose_weight(loss_RW, who, first_R)
    lead = paired_difference(loss_RW[:, 0] - np.take_along_axis(loss_RW, found.at_R[:, None], 1)[:, 0], who)
    why = (
        gettext_noop("the trees lose less on the last window")
        if found.at
        else gettext_noop("the counts alone are within one standard error")
    )
    return ModelWeight(
        weight=WEIGHTS[found.at], why=why, n=last.height, alone=float(loss_RW[:, 0].mean()), lead=lead.mean,
        lead_low=lead.mean - lead.half, lead_high=lead.mean + lead.half,
    )  # fmt: skip


def _shifts(last: pl.DataFrame, odds: Vector, earlier: list[pl.DataFrame]) -> tuple[float, ...]:
    """What is added to each group's log odds, so that it comes out as the last window did: the expectation of a lasting
    fault, of which that window's difference is a measurement. Its errors are chance, and the group's drift: how much
    the counts' difference moved between the windows of the past.
    """
    lasts = _missed(last, odds)
    counts = [_missed(part, _log_odds(part["buy_prob"].to_numpy())) for part in (last, *earlier)]
    found = []
    for group, missed in enumerate(lasts):
        moved = [one[group] for one in counts if np.isfinite(one[group].error)]
        steps = [(a.odds - b.odds) ** 2 - a.error**2 - b.error**2 for a, b in pairwise(moved)]
        drift = max((DRIFT**2 + sum(steps)) / (1 + len(steps)), 0.0)
        fault = max(FAULT, abs(missed.odds))  # a shop of another kind may miss by far more: then the window is believed
        found.append(missed.odds * fault**2 / (fault**2 + drift + missed.error**2))
    return tuple(found)


class _Missed(NamedTuple):
    """Log odds that a group's predictions lack to come out as they did, and the standard error by chance alone."""

    odds: float
    error: float


def _missed(part: pl.DataFrame, odds: Vector) -> list[_Missed]:
    place, hit, prob, found = customer_groups(part), part["hit"].to_numpy(), _prob(odds), []
    for group in range(len(GROUPS)):
        mine = place == group
        spread = float((prob[mine] * (1 - prob[mine])).sum())
        off = float(hit[mine].sum() - prob[mine].sum())
        found.append(_Missed(off / spread, spread**-0.5) if spread else _Missed(0.0, np.inf))
    return found


def _losses(odds: Vector, hit: NDArray[np.bool_]) -> Vector:
    return np.asarray(np.logaddexp(0, np.where(hit, -odds, odds)))


def _log_odds(prob: Vector) -> Vector:
    kept = np.clip(prob, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(kept / (1 - kept)))


def _prob(odds: Vector) -> Vector:
    return np.asarray(1 / (1 + np.exp(-odds)))
