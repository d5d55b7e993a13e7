"""The panel on tables small enough to check by hand."""

import math

import duckdb
import polars as pl
import pytest

from promolift.core.effects import PanelSettings, build_panel, sum_depths
from promolift.foundation.tables.schemas import EVENTS, PRODUCTS
from promolift.foundation.time.clock import DAY_MS, WEEK_MS

ASOF = 100 * WEEK_MS
SETTINGS = PanelSettings(weeks=8, min_known=0.5, prior_lines=0, curvature=1e-6)  # plain means


def line(customer: str, week: int, product: str, list_cents: int = 100, depth: float = 0.0) -> dict[str, object]:
    shelf = round(list_cents * depth)
    return {
        "customer_id": customer, "ts_ms": ASOF - week * WEEK_MS - DAY_MS, "kind": "purchase", "product_id": product,
        "list_cents": list_cents, "shelf_cents": shelf, "revenue_cents": list_cents - shelf, "coupon_cents": 0,
    }  # fmt: skip


def run(rows: list[dict[str, object]], settings: PanelSettings = SETTINGS) -> pl.DataFrame:
    connection = duckdb.connect()
    frame = EVENTS.conform(pl.DataFrame(rows))
    catalogue = PRODUCTS.conform(
        pl.DataFrame({"product_id": ["cola", "soda", "milk"], "category": ["drinks", "drinks", "dairy"]})
    )
    events, products = connection.from_arrow(frame.to_arrow()), connection.from_arrow(catalogue.to_arrow())
    sums = sum_depths(events, products, ASOF).pl()
    return build_panel(events, products, connection.from_arrow(sums.to_arrow()), ASOF, settings).pl()


def history() -> list[dict[str, object]]:
    """A usually buys cola for 300 and soda for 100; the others show the prices of both in every week."""
    usual = [line("A", 10, "cola", 300), line("A", 11, "soda", 100)]
    bought = [line("A", 2, "cola", 300, 0.5), line("A", 5, "cola", 300)]
    prices = [line("B", w, "cola", 100, 0.4 if w in (2, 3) else 0.0) for w in range(12)]
    return usual + bought + prices + [line("C", w, "soda", 100, 0.2 if w == 2 else 0.0) for w in range(12)]


def week_of(frame: pl.DataFrame, week: int, customer: str = "A") -> dict[str, object]:
    return frame.filter((pl.col("customer_id") == customer) & (pl.col("week") == week)).to_dicts()[0]


def test_depth_is_the_others_prices_weighted_by_what_the_customer_usually_buys() -> None:
    row = week_of(run(history()), 2)
    assert row["depth"] == pytest.approx((300 * 0.4 + 100 * 0.2) / 400)  # not their own 0.5
    assert row["list_cents"] == 300


def test_lag_halves_with_each_of_the_four_weeks_before_and_lead_is_the_mean_of_the_third_to_sixth_after() -> None:
    frame = run(history())
    cola = 300 * 0.4 / 400
    assert week_of(frame, 1)["lag"] == pytest.approx((8 * (cola + 0.05) + 4 * cola + 0 + 0) / 15)  # weeks 2, 3, 4, 5
    assert week_of(frame, 7)["lead"] == pytest.approx((0 + cola + (cola + 0.05) + 0) / 4)  # weeks 4, 3, 2, 1
    assert week_of(frame, 2)["lead"] is None


def test_a_lag_of_which_no_week_is_known_is_unknown() -> None:
    begun = [r for r in history() if r["customer_id"] == "A" or r["ts_ms"] >= ASOF - 8 * WEEK_MS]
    assert week_of(run(begun), 7)["lag"] is None


def test_the_markets_depths_are_everybodys() -> None:
    frame = run(history())
    week_2 = (700 * (0.5 + 0.4) / 2 + 500 * 0.2) / 1200  # A's own line counts here
    week_3 = 700 * 0.4 / 1200
    assert week_of(frame, 2)["market_depth"] == pytest.approx(week_2)
    assert week_of(frame, 1)["market_lag"] == pytest.approx((8 * week_2 + 4 * week_3 + 0 + 0) / 15)
    assert week_of(frame, 7)["market_lead"] == pytest.approx((0 + week_3 + week_2 + 0) / 4)


def test_a_week_in_which_nobody_else_shows_the_price_is_unknown_not_zero() -> None:
    rows = [r for r in history() if not (r["customer_id"] == "B" and r["ts_ms"] == ASOF - 4 * WEEK_MS - DAY_MS)]
    frame = run(rows)
    assert frame.filter((pl.col("customer_id") == "A") & (pl.col("week") == 4)).is_empty()


def test_rows_at_or_after_asof_change_nothing() -> None:
    later = [{**line("A", -1, "cola", 900, 0.9), "ts_ms": ASOF}, line("B", -3, "cola", 100, 0.9)]
    assert run(history() + later).equals(run(history()))


def test_views_and_lines_without_value_are_no_prices() -> None:
    views = [
        {**line("B", 2, "cola", 100, 0.9), "kind": "view"},
        {**line("B", 2, "cola"), "list_cents": 0, "shelf_cents": 0},
    ]
    assert run(history() + views).equals(run(history()))


def test_products_at_different_depths_are_averaged_as_demand_would() -> None:
    row = week_of(run(history(), SETTINGS.model_copy(update={"curvature": 2.0})), 2)
    assert row["depth"] == pytest.approx(math.log(0.75 * math.exp(0.8) + 0.25 * math.exp(0.4)) / 2)


def test_few_past_lines_lean_on_the_market() -> None:
    plain, leaning = (
        week_of(run(history(), SETTINGS.model_copy(update={"prior_lines": n})), 2)["depth"] for n in (0, 2)
    )
    # Before the period: A bought for 300 and 100, B four weeks of cola for 100, C four of soda: market 700 to 500.
    market = (700 * 0.4 + 500 * 0.2) / 1200
    assert leaning == pytest.approx((2 * plain + 2 * market) / 4, abs=0.02)
    assert leaning != pytest.approx(plain)
