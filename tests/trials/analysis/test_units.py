"""Trials whose rows are no independent customers: markets by day, shops, customers offered something each month."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from numpy.typing import NDArray

import promolift
from promolift.core.effects.trial_arrays import TrialArrays, row_keys
from promolift.trials.analysis.randomisation_units import (
    Panel,
    RandomisationUnits,
    estimate_unit_averages,
    infer_unit_effect,
    moves_in_proportion,
    staggered_difference,
)

Floats = NDArray[np.float64]
GEO: dict[str, Any] = {"treatment": "ads", "control": "on", "money": "revenue"}
SHOPS: dict[str, Any] = {"treatment": "arm", "control": "a", "money": "spend", "planned": "equal"}


def panel(effect: float = 0.0, markets: int = 60, days: int = 40, trend: float = 0.0) -> pl.DataFrame:
    """Ads are switched off in smaller markets half way; `trend`: these fall behind from the first day on."""
    rng = np.random.default_rng(3)
    size = np.exp(rng.normal(3, 1, markets))
    off = rng.random(markets) < np.where(size < np.median(size), 0.5, 0.2)
    noise = np.zeros((markets, days))
    for day in range(1, days):  # days of one market move together
        noise[:, day] = 0.8 * noise[:, day - 1] + rng.normal(0, 0.03, markets)
    later = np.arange(days) >= days // 2
    away = effect * off[:, None] * later + trend * off[:, None] * np.arange(days)
    money = size[:, None] * (1 + 0.2 * np.sin(np.arange(days) / 5)) * (1 + noise) * (1 + away)
    return pl.DataFrame(
        {
            "market": np.repeat(np.arange(100, 100 + markets), days),
            "day": np.tile(np.arange(days), markets),
            "during": np.tile(later.astype(int), markets),
            "ads": np.repeat(np.where(off, "off", "on"), days),
            "revenue": money.ravel(),
        }
    )


def shops(shops_: int = 40, effect: float = 0.0, seed: int = 1) -> pl.DataFrame:
    """Customers of shops that differ; the arm was drawn by shop."""
    rng = np.random.default_rng(seed)
    size, level = rng.integers(10, 60, shops_), rng.normal(0, 1, shops_)
    arm = rng.permutation(np.arange(shops_) % 2)
    shop = np.repeat(np.arange(shops_), size)
    age = rng.integers(20, 70, len(shop))
    spend = 20 + level[shop] + effect * arm[shop] + rng.normal(0, 2, len(shop)) + 0.02 * age
    return pl.DataFrame({"shop": shop, "arm": np.where(arm[shop], "b", "a"), "age": age, "spend": spend})


def months(effect: float = 0.0, seed: int = 2) -> pl.DataFrame:
    """The same customers are offered something anew each month."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(200), 6)
    arm = rng.random(1200) < 0.5
    spend = 10 + 3 * rng.normal(size=200)[who] + effect * arm + rng.normal(size=1200)
    return pl.DataFrame({"customer_id": who, "arm": np.where(arm, "b", "a"), "spend": spend})


def test_rows_that_repeat_are_asked_after_before_anything_is_claimed() -> None:
    with raises_code("panel_not_declared", "2,400", "60", "40", "unit=market time=day"):
        promolift.Trial(panel(), **GEO)
    with raises_code("treatment_start_missing", "ads", "market", "start=during"):
        promolift.Trial(panel(), unit="market", time="day", **GEO)
    with raises_code("clusters_not_declared", "40", "unit=shop"):
        promolift.Trial(shops(), **SHOPS)
    with raises_code("repeats_not_declared", "1,200", "200", "'customer_id'", "193", "unit=customer_id"):
        promolift.Trial(months(), **SHOPS)
    with raises_code("setting_invalid", "time", "unit="):
        promolift.Trial(panel(), time="day", **GEO)
    promolift.Trial(shops(), ignore="shop", **SHOPS)  # whoever says so has answered
    city = shops().with_columns(
        arm=pl.Series(np.where(np.random.default_rng(1).random(shops().height) < 0.5, "b", "a"))
    )
    promolift.Trial(city, **SHOPS)  # customers of a city are no units where each was drawn for themselves


@pytest.mark.parametrize("start", ["during", "20"])
def test_a_panel_is_judged_by_whole_markets(start: str, tmp_path: Path) -> None:
    naive = promolift.Trial(panel().drop("during", "day"), ignore="market", **GEO).fit().effects.row(0, named=True)
    assert naive["high"] < 0  # smaller markets are no effect
    for effect in (0.0, 0.1):
        fit = promolift.Trial(panel(effect), unit="market", time="day", start=start, **GEO).fit()
        row = fit.effects.row(0, named=True)
        assert fit.note.level == "adjusted"
        assert "difference in differences" in str(fit)
        assert row["relative"] == pytest.approx(effect, abs=0.03)
        assert row["low"] < row["control_mean"] * effect < row["high"]
        assert (row["low"] > 0) == (effect > 0)
    assert "a start that never was" in str(fit.trial.check())
    assert "units that repeat" not in fit.report(tmp_path / "t.html").read_text("utf-8")
    with raises_code("individual_effects_unavailable", "market"):
        fit.plan()


def test_markets_that_drifted_apart_before_are_refused() -> None:
    fit = promolift.Trial(panel(trend=-0.01), unit="market", time="day", start="during", **GEO)
    assert fit.check().level is None
    assert fit.check().placebos["p"].max() < 0.01
    with raises_code("effect_not_identified", "revenue", "in off"):
        fit.fit()


def test_a_treatment_that_is_switched_on_at_different_times() -> None:
    rng = np.random.default_rng(4)
    frame = panel()
    starts = {market: int(rng.integers(10, 30)) for market in range(100, 160)}
    start = frame["market"].replace_strict(starts)
    ever = frame["market"] % 2 == 0
    on = (frame["day"] >= start) & ever
    money = frame["revenue"] * (1 + 0.2 * on)
    told = frame.select("market", "day", ads=pl.Series(np.where(on, "off", "on")), revenue=money)
    fit = promolift.Trial(told, unit="market", time="day", **GEO).fit()
    row = fit.effects.row(0, named=True)
    assert row["relative"] == pytest.approx(0.2, abs=0.04)
    assert row["low"] > 0
    with raises_code("pre_period_missing", "market", "day"):
        promolift.Trial(told.filter(pl.col("day") > 20), unit="market", time="day", **GEO)


def test_an_effect_of_shops_is_as_sure_as_shops_make_it() -> None:
    plain = promolift.Trial(shops(), ignore="shop", **SHOPS).fit().effects.row(0, named=True)
    fit = promolift.Trial(shops(), unit="shop", **SHOPS).fit()
    row = fit.effects.row(0, named=True)
    assert fit.note.level == "randomised"
    assert "arms by shop (a 20, b 20)" in str(fit)
    assert row["se"] > 2 * plain["se"]
    assert row["low"] < 0 < row["high"]
    real = promolift.Trial(shops(effect=3.0), unit="shop", **SHOPS).fit().effects.row(0, named=True)
    assert real["low"] > 0
    with raises_code("effect_not_identified", "shop", "planned"):
        promolift.Trial(shops(), unit="shop", **(SHOPS | {"planned": None})).fit()


def test_customers_offered_something_each_month_count_once() -> None:
    fit = promolift.Trial(months(effect=1.0), unit="customer_id", **SHOPS).fit()
    row = fit.effects.row(0, named=True)
    assert row["low"] < 1 < row["high"]
    assert "200 values of customer_id in several rows each" in str(fit)
    steady = months().with_columns(arm=pl.when(pl.col("customer_id") % 2 == 0).then(pl.lit("b")).otherwise(pl.lit("a")))
    held = promolift.Trial(steady, unit="customer_id", **SHOPS).fit().effects.row(0, named=True)
    assert held["se"] > 2 * row["se"]  # a customer who always had the same arm tells less


def covered(draw: Any, truth: float, repetitions: int) -> float:
    inside = [found.low <= truth <= found.high for found in map(draw, range(repetitions))]
    return float(np.mean(inside))


@pytest.mark.slow
@pytest.mark.parametrize("units", [40, 12])
def test_intervals_of_few_clusters_cover(units: int) -> None:
    def draw(seed: int) -> Any:
        frame = shops(units, effect=1.0, seed=seed)
        unit, arm, value = (
            frame["shop"].to_numpy(),
            (frame["arm"] == "b").to_numpy().astype(int),
            frame["spend"].to_numpy(),
        )
        x = frame.select("age").to_numpy().astype(float)
        rows = TrialArrays(x, arm, value, np.full((len(arm), 2), 0.5), row_keys(x, 0), ("age",))
        drawn = RandomisationUnits("shop", unit, np.array([arm[unit == u][0] for u in range(units)]), "clusters")
        return SimpleNamespace(**estimate_unit_averages(drawn, rows, {"y": value}, "randomised", 0).row(0, named=True))

    assert 0.9 <= covered(draw, 1.0, 200) <= 0.99


def test_intervals_of_a_panel_cover_whether_effects_add_or_multiply() -> None:
    for ratio in (False, True):

        def draw(seed: int, ratio: bool = ratio) -> Any:
            rng = np.random.default_rng(seed)
            units, times = 50, 20
            size, treated = np.exp(rng.normal(0, 1, units)), rng.permutation(np.arange(units) < 20)
            base = 10 * size[:, None] * (1 + 0.1 * rng.normal(size=(units, 1)) * (np.arange(times) > 9))
            base = base * (1 + 0.1 * rng.normal(size=(units, times)))
            on = treated[:, None] & (np.arange(times) >= 10)
            value = base * np.where(on, 1.1, 1) if ratio else base + 1.0 * on
            where = Panel(
                np.repeat(np.arange(units), times),
                np.tile(np.arange(times), units),
                np.where(treated, 10, times),
                times,
            )
            flat = value.ravel()
            found = infer_unit_effect(
                staggered_difference(flat, where, treated, moves_in_proportion(flat, where, treated))
            )
            true = float(0.1 * base[treated][:, 10:].mean()) if ratio else 1.0
            return found._replace(low=found.low - true, high=found.high - true)

        assert 0.9 <= covered(draw, 0.0, 200) <= 0.99


def test_one_treated_market_is_placed_among_all_the_others() -> None:
    rng = np.random.default_rng(6)
    units, times = 20, 30
    value = rng.normal(10, 1, (units, 1)) + rng.normal(0, 0.5, (units, times))
    treated = np.arange(units) == 7
    where = Panel(
        np.repeat(np.arange(units), times), np.tile(np.arange(times), units), np.where(treated, 15, times), times
    )
    for effect, shown in ((0.0, False), (2.0, True)):
        moved = value + effect * (treated[:, None] & (np.arange(times) >= 15))
        found = infer_unit_effect(staggered_difference(moved.ravel(), where, treated, ratio=False))
        assert (found.p <= 0.051) == shown
        assert (found.low > 0) == shown
