"""One forecaster: it learns what counts leave, from windows that have ended, and is the counts' own where it must."""

from functools import cache

import numpy as np
import polars as pl
import pytest

from promolift.core.customers import target_facts
from promolift.core.customers.forecasts import purchase_forecast
from promolift.core.customers.forecasts.model_weights import ModelWeight
from promolift.core.customers.forecasts.purchase_forecast import (
    GROUPS,
    Forecast,
    PurchaseHistories,
    customer_groups,
    fit_forecast,
    merge_target_facts,
    training_moments,
)
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation.tables.schemas import AFFINITIES
from promolift.foundation.time.clock import DAY_MS

SETTINGS = ProfileSettings()


class RefittedError(Exception):
    """Trees were fitted again."""


WINDOW, ASOF = SETTINGS.window_days * DAY_MS, 20_000 * DAY_MS
MOMENTS = [ASOF, *training_moments(ASOF, WINDOW)]


@cache
def rows(people: int = 600, fault: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """Eight targets a customer. The counts say 0.3 of each; true is 0.6 where it is due, and 0.1 else.

    `fault` is added to the log odds of what really happens in the last windows of those who are new.
    """
    rng = np.random.default_rng(seed)
    size = people * 8
    who, what = np.repeat(np.arange(people), 8), np.tile(np.arange(8), people)
    last = {moment: np.full(size, np.nan) for moment in MOMENTS}
    before, parts = ASOF - 4 * WINDOW - rng.integers(1, 60, size) * DAY_MS, []
    for moment in sorted(MOMENTS):
        due = rng.random(size) < 0.4
        new = who % 4 == 0
        odds = np.log(np.where(due, 0.6 / 0.4, 0.1 / 0.9)) + fault * new
        came = rng.random(size) < 1 / (1 + np.exp(-odds))
        last[moment] = before.copy()
        parts.append(
            pl.DataFrame(
                {
                    "customer_id": [f"c{c:04d}" for c in who], "asof_ms": moment, "target": [f"t{k}" for k in what],
                    "target_kind": "category", "bought": True, "orders": np.where(new, 2, 9), "list_cents": 900,
                    "revenue_cents": 900, "recent_list_cents": 100, "recent_revenue_cents": 100, "views": 0,
                    "last_ms": before, "recency_days": (moment - before) / DAY_MS, "gap_days": 9.0,
                    "due_in_days": np.where(due, -5.0, 5.0), "spend_share": 0.1, "buy_prob": 0.3,
                    "expected_cents": 30.0, "expected_se_cents": 10.0,
                }
            )
        )  # fmt: skip
        before = np.where(came, moment + rng.integers(0, 27, size) * DAY_MS, before)
    return AFFINITIES.conform(pl.concat(parts))


def facts(table: pl.DataFrame) -> pl.DataFrame:
    return merge_target_facts([target_facts(table)])


def past(table: pl.DataFrame) -> PurchaseHistories:
    return PurchaseHistories(table, facts(table))


def test_the_trees_find_what_counts_leave():
    table = rows()
    made = fit_forecast(past(table), ASOF, SETTINGS)
    assert made.note.weight >= 0.75
    assert made.note.lead_low > 0
    now = table.filter(pl.col("asof_ms") == ASOF)
    told = made.predict(PurchaseHistories(now, facts(table)))
    due = now["due_in_days"].to_numpy() < 0
    prob = told["buy_prob"].to_numpy()
    assert prob[due].mean() > 0.45
    assert prob[~due].mean() < 0.16
    moved = told["expected_cents"].to_numpy() / 30
    assert moved == pytest.approx(np.log1p(-prob) / np.log(0.7))
    assert told["expected_se_cents"].to_numpy() / 10 == pytest.approx(moved)
    assert told.drop("buy_prob", "expected_cents", "expected_se_cents").equals(
        now.drop("buy_prob", "expected_cents", "expected_se_cents")
    )


def test_what_happens_after_the_moment_changes_nothing():
    table = rows()
    later = table.with_columns(pl.when(pl.col("asof_ms") == ASOF).then(0.9).otherwise("buy_prob").alias("buy_prob"))
    ahead = table.filter(pl.col("asof_ms") == ASOF).with_columns(
        asof_ms=pl.lit(ASOF + WINDOW), last_ms=pl.lit(ASOF + 1)
    )
    base, other, more = (
        fit_forecast(PurchaseHistories(each, facts(table)), ASOF, SETTINGS)
        for each in (table, later, pl.concat([table, ahead]))
    )
    assert base == other == more


def test_with_few_rows_the_counts_forecast_and_say_why():
    table = rows(60)
    made = fit_forecast(past(table), ASOF, SETTINGS)
    assert made.trees is None
    assert made.note.weight == 0.0
    assert "480 rows in a window of the past" in made.note.why


def test_counts_that_are_right_are_left_alone():
    table = rows(600)
    hit = np.random.default_rng(5).random(table.height) < 0.3  # what comes hangs on nothing, as the counts say
    moved = pl.Series(np.where(hit, 1, 0)) * (WINDOW // 2)
    right = table.sort("asof_ms", "customer_id", "target")
    right = right.with_columns(
        (pl.col("asof_ms") - WINDOW + moved - (moved == 0).cast(pl.Int64) * WINDOW).alias("last_ms")
    )
    made = fit_forecast(past(right), ASOF, SETTINGS)
    assert made.note.weight == 0.0
    assert made.note.why == "the counts alone are within one standard error"
    assert np.abs(made.shift).max() < 0.1


def test_trees_that_did_not_pay_are_not_fitted_in_the_next_runs(monkeypatch: pytest.MonkeyPatch):
    table = rows()
    first = fit_forecast(past(table), ASOF, SETTINGS).note
    lost = first.model_copy(update={"weight": 0.0, "judged_ms": ASOF - WINDOW})
    fitted: list[int] = []

    def fit(*_: object) -> str:
        fitted.append(1)
        raise RefittedError

    monkeypatch.setattr(purchase_forecast, "_fit", fit)
    made = fit_forecast(past(table), ASOF, SETTINGS, lost)
    assert (made.note, made.trees, fitted) == (lost, None, [])
    for changed in (
        {"judged_ms": ASOF - 3 * WINDOW}, {"judged_ms": None}, {"log_rows": first.n // 2},
        {"weight": 0.5}, {"judged_ms": ASOF + 1},
    ):  # fmt: skip
        with pytest.raises(RefittedError):
            fit_forecast(past(table), ASOF, SETTINGS, lost.model_copy(update=changed))


def test_a_group_that_goes_its_own_way_is_moved():
    table = rows(60, 2.0)
    made = fit_forecast(past(table), ASOF, SETTINGS)
    assert GROUPS[0] == "new"
    assert made.shift[0] > 0.5 > made.shift[1]
    assert abs(made.shift[2]) < 0.1


def test_groups_by_hand():
    table = pl.DataFrame(
        {
            "asof_ms": 0, "customer_id": ["a", "a", "b", "c", "c"], "target": ["x", "y", "x", "x", "y"],
            "orders": [9, 2, 3, 9, 1], "gap_days": [7.0, None, 5.0, 7.0, 90.0],
            "recency_days": [30.0, 20.0, 90.0, 90.0, 22.0],
        }
    )  # fmt: skip
    assert customer_groups(table).tolist() == [1, 1, 0, 2, 2]  # 20 days are less than three gaps of 7; 22 are more


def test_any_division_of_the_customers_gives_the_same_facts():
    table = rows()
    cut = [table.filter(pl.col("customer_id") < "c0100"), table.filter(pl.col("customer_id") >= "c0100")]
    assert merge_target_facts([target_facts(part) for part in cut]).equals(facts(table))


def test_what_a_group_wants_is_added_to_its_own_log_odds():
    table = rows(60).filter(pl.col("asof_ms") == ASOF)
    note = ModelWeight(weight=0.0, why="", n=0)
    said = Forecast(note, None, (1.0, 0.0, 0.0)).predict(PurchaseHistories(table, facts(table)))
    new = table["orders"].to_numpy() == 2
    prob = said["buy_prob"].to_numpy()
    assert prob[new] == pytest.approx(1 / (1 + np.exp(-np.log(0.3 / 0.7) - 1)))
    assert prob[~new] == pytest.approx(0.3)
