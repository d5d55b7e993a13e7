"""The spend model: better than the recent mean where customers change, honest where history is short."""

import numpy as np
import polars as pl
import pytest
from profile_shop import MONDAY, SETTINGS, Shop, event

import promolift.profile as room
from promolift.errors import ConfigError, SupportError
from promolift.profile.spend_features import KEY
from promolift.sql import WEEK_MS

FAST = room.SpendSettings(trees=40, min_rows=300)


def snapshots(people: int, seed: int) -> pl.DataFrame:
    """Features and outcomes made directly: stable levels, of which a third of the customers are leaving."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(1.5, 20_000, people)
    leaving = rng.random(people) < 0.33
    recency = np.where(leaving, rng.uniform(20, 50, people), rng.uniform(0, 7, people))
    outcome = np.where(leaving, 0.2, 1.0) * level * rng.gamma(4.0, 0.25, people)
    columns = {f"level_{h}": level * rng.gamma(20, 0.05, people) for h in (2, 4, 8, 16)}
    columns |= {f"orders_{h}": np.full(people, 8.0) for h in (2, 4, 8, 16)}
    columns |= dict.fromkeys(("median_8", "median_16", "max_8", "sd_16"), level / 8)
    columns |= {"recency": recency, "tenure": np.full(people, 200.0), "cadence": np.full(people, 7.0)}
    columns |= {
        "gap_variation": np.ones(people),
        "basket": level / 8,
        "breadth": np.full(people, 9),
        "empty_8": recency / 60,
    }
    keys = {"customer_id": [f"c{k:05d}" for k in range(people)], "asof_ms": np.full(people, MONDAY)}
    return pl.DataFrame(keys | columns | {"outcome_cents": outcome.astype(int)})


@pytest.fixture(scope="module")
def fitted() -> tuple[room.SpendModel, pl.DataFrame]:
    return room.fit_spend(snapshots(1500, 1), FAST), snapshots(600, 2)


def test_the_model_beats_the_recent_mean_where_customers_leave(fitted):
    model, new = fitted
    said = model.predict(new)
    miss = (said["typical_cents"] - new["outcome_cents"]).abs().mean()
    assert model.method == "blend"
    assert miss < 0.8 * (new["level_8"] - new["outcome_cents"]).abs().mean()
    assert said["expected_cents"].sum() == pytest.approx(new["outcome_cents"].sum(), rel=0.08)


def test_the_interval_holds_eight_of_ten_outcomes_of_new_customers(fitted):
    model, new = fitted
    said = model.predict(new)
    inside = (new["outcome_cents"] >= said["low_cents"]) & (new["outcome_cents"] <= said["high_cents"])
    assert 0.74 < inside.mean() < 0.88


def test_another_currency_gives_the_same_forecast(fitted):
    model, new = fitted
    money = [c for c in new.columns if c.startswith(("level", "median", "max", "sd", "basket", "outcome"))]
    scaled = room.fit_spend(snapshots(1500, 1).with_columns(pl.col(money) * 100), FAST)
    said = scaled.predict(new.with_columns(pl.col(money) * 100))["typical_cents"] / 100
    assert (said - model.predict(new)["typical_cents"]).abs().mean() < 0.02 * said.mean()


def test_row_order_does_not_matter(fitted):
    model, new = fitted
    again = room.fit_spend(snapshots(1500, 1).reverse(), FAST)
    assert again.predict(new)["typical_cents"].to_list() == model.predict(new)["typical_cents"].to_list()


def test_the_last_bits_of_the_inputs_move_no_forecast(fitted):
    """Sums in another order differ in them, and trees would split on nothing else where customers are alike."""
    rng = np.random.default_rng(5)
    noise = {name: pl.Series(1 + 1e-15 * rng.integers(-3, 4, 1500)) for name in ("level_2", "level_4", "orders_4")}
    alike = snapshots(1500, 1).with_columns(pl.col("level_2", "level_4", "orders_4").round(0))
    moved = alike.with_columns(pl.col(name) * factor for name, factor in noise.items())
    one, two = (room.fit_spend(table, FAST).predict(alike)["typical_cents"] for table in (alike, moved))
    assert (one - two).abs().max() < 1e-6 * one.mean()


def test_little_history_gives_the_shrunk_mean_and_says_so():
    few = snapshots(40, 4)
    model = room.fit_spend(few, FAST)
    said = model.predict(few)["typical_cents"]
    assert model.method == "shrunk mean"
    assert "40 snapshots" in model.note
    assert said.std() < few["level_8"].std()
    assert said.mean() == pytest.approx(few["outcome_cents"].mean(), rel=0.1)


def test_no_spend_at_all_is_refused_and_one_snapshot_is_not():
    with pytest.raises(SupportError, match="horizon"):
        room.fit_spend(snapshots(5, 1).with_columns(pl.lit(0).alias("outcome_cents")))
    with pytest.raises(SupportError, match="horizon"):
        room.fit_spend(snapshots(5, 1).head(0))
    assert room.fit_spend(snapshots(1, 1)).predict(snapshots(1, 1)).height == 1
    with pytest.raises(ConfigError, match="trees"):
        room.SpendSettings.parse({"treees": 3}, "profile.spend")


def test_nobody_to_forecast_gives_no_rows(fitted):
    assert fitted[0].predict(snapshots(3, 1).head(0)).height == 0


def test_features_look_back_and_outcomes_look_ahead():
    rows = [event("a", d, order_id=f"{d}", revenue_cents=500) for d in range(0, 84, 7)]
    rows += [event("a", d + 0.1, order_id=f"{d}", revenue_cents=300) for d in range(0, 84, 7)]  # one order, one visit
    rows += [event("a", 84, revenue_cents=5000), event("a", 90, kind="refund", revenue_cents=1000)]
    rows += [event("a", 84 + 56, revenue_cents=7)]
    shop, asof = Shop(rows), MONDAY + 12 * WEEK_MS
    moments = shop.moments([asof])
    row = room.spend_features(shop.shard(), moments, shop.shared([asof]), SETTINGS).row(0, named=True)
    assert [row[f"level_{h}"] for h in (2, 4, 8, 16)] == pytest.approx([6400] * 4)
    assert [row[f"orders_{h}"] for h in (4, 8)] == pytest.approx([8, 8])
    assert (row["recency"], row["tenure"], row["cadence"], row["basket"]) == (7, 84, 7, 800)
    assert (row["empty_8"], row["median_8"], row["max_8"], row["sd_16"]) == (0, 800, 800, 0)
    outcome = room.spend_outcomes(shop.shard().events, moments)
    assert outcome.select(*KEY, "outcome_cents").rows() == [("a", asof, 4000)]
