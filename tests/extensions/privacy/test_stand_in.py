"""One customer moves what is released by the clip at most; the made-up log resembles the shop, and knows nobody."""

import duckdb
import numpy as np
import polars as pl
import pytest

from promolift.extensions.privacy.mechanisms.synthetic_customers import (
    FIRST_CLIP,
    SECOND_CLIP,
    LogSpan,
    ShopSums,
    catalogue_targets,
    first_release_sum,
    second_release_sum,
    synthetic_log,
    usual_line,
)
from promolift.extensions.simulation.worlds.simulated_shop import simulate
from promolift.extensions.simulation.worlds.world import SimulationSettings
from promolift.foundation.tables.schemas import EVENTS
from promolift.foundation.time.clock import DAY_MS

SHOP = simulate(SimulationSettings(customers=150, weeks=30, categories=6))
SPAN = LogSpan(int(SHOP.events["ts_ms"].min()), int(SHOP.events["ts_ms"].max()) + 1, 28 * DAY_MS)  # type: ignore[arg-type]


def relation(frame: pl.DataFrame) -> duckdb.DuckDBPyRelation:
    return duckdb.from_arrow(frame.to_arrow())


PRODUCTS = relation(SHOP.products)
TARGETS = catalogue_targets(PRODUCTS)


def totals(events: pl.DataFrame, usual: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    rows = relation(events)
    return first_release_sum(rows, PRODUCTS, SPAN), second_release_sum(rows, PRODUCTS, TARGETS, SPAN, usual)


def odd_customer(seed: int) -> pl.DataFrame:
    """Somebody who bought an absurd amount, or hardly anything."""
    rng = np.random.default_rng(seed)
    lines = int(rng.choice([1, 3, 4000]))
    return EVENTS.conform(pl.DataFrame({
        "customer_id": "odd", "ts_ms": rng.integers(SPAN.first_ms, SPAN.asof_ms, lines), "kind": "purchase",
        "product_id": rng.choice(SHOP.products["product_id"].to_list(), lines), "quantity": 1.0,
        "order_id": [str(k % 7) if seed % 2 else str(k) for k in range(lines)],
        "revenue_cents": rng.integers(0, 10 ** int(rng.integers(1, 12)), lines),
    }).with_columns(list_cents="revenue_cents", shelf_cents="revenue_cents"))  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_one_customer_moves_each_release_by_its_clip_at_most(seed: int) -> None:
    before, after = totals(SHOP.events), totals(pl.concat([SHOP.events, odd_customer(seed)], how="diagonal"))
    for total, other, clip in zip(before, after, (FIRST_CLIP, SECOND_CLIP), strict=True):
        assert 0 < np.linalg.norm(other - total) <= clip + 1e-9


def test_the_made_up_log_resembles_the_shop() -> None:
    first, second = totals(SHOP.events, usual_line(totals(SHOP.events)[0]))
    sums = ShopSums(first, 0.1, second, 0.1)
    made = synthetic_log(sums, TARGETS, SPAN)
    assert sums.customers == pytest.approx(SHOP.events["customer_id"].n_unique(), abs=1)
    assert not set(made["customer_id"]) & set(SHOP.events["customer_id"])
    bought = SHOP.events.filter(pl.col("kind") == "purchase")
    own, others = (
        rows.group_by("customer_id").agg(pl.col("order_id").n_unique())["order_id"].mean() for rows in (bought, made)
    )
    assert others == pytest.approx(own, rel=0.35)
    assert made["list_cents"].median() == pytest.approx(bought["list_cents"].median(), rel=0.5)
    recent = bought.filter(pl.col("ts_ms") >= SPAN.asof_ms - SPAN.window_ms)
    assert sums.revenue_cents == pytest.approx(recent["revenue_cents"].sum(), rel=0.3)
    shelf = (
        made["shelf_cents"].sum() / made["list_cents"].sum(),
        bought["shelf_cents"].sum() / bought["list_cents"].sum(),
    )
    assert shelf[0] == pytest.approx(shelf[1], abs=0.03)
    assert made.equals(synthetic_log(sums, TARGETS, SPAN))


def test_where_all_is_noise_there_is_a_log_all_the_same() -> None:
    rng = np.random.default_rng(1)
    sums = ShopSums(rng.normal(0, 500, 80 + 0 * 1 + 86), 500.0, rng.normal(0, 500, (2, len(TARGETS.names))), 500.0)
    sized = totals(SHOP.events)[0].shape
    sums = sums._replace(first=rng.normal(0, 500, sized))
    made = synthetic_log(sums, TARGETS, SPAN)
    assert made.height == 0 or made["list_cents"].min() >= 1
    assert synthetic_log(sums._replace(first=np.zeros(sized)), TARGETS, SPAN).is_empty()
