"""Who redeems coupons, learned and foretold shard by shard, is what the customers all at once would show."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sharded import write_shards

from promolift.core.effects.offer_value import campaign_exposure
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CUSTOMERS, EVENTS, EXPOSURES, PRODUCTS, REDEMPTIONS
from promolift.foundation.time.clock import DAY_MS, WEEK_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.steps import effect
from promolift.shop.pipeline.steps.effect import save_redemption
from promolift.shop.results.work_folder.run_context import Job, moments

ASOF = "2026-01-05"
ASOF_MS = 1_767_571_200_000
PEOPLE = [f"u{n:03d}" for n in range(300)]
CONFIG = Config(
    shop={"name": "Shop", "zone": "UTC"},
    data={"source": "complete-journey"},
    consent={"default": True},
    plan={"campaign": "c", "budget_cents": 1, "asof": ASOF},
    menu=[
        {"id": "coupon", "benefit": {"type": "percent_off", "percent": 25}, "scope": "category", "activation": "code"}
    ],
)


def drawn_shop(store: Store, shards: int) -> Job:
    """Customers with orders, four campaigns that some of them answered, in so many shards; some never bought."""
    rng = np.random.default_rng(3)
    lines = pl.DataFrame({
        "customer_id": rng.choice(PEOPLE[20:], 6000), "product_id": rng.choice(["tea", "milk", "bread"], 6000),
        "ts_ms": ASOF_MS - rng.integers(1, 50 * WEEK_MS, 6000), "kind": "purchase",
        "order_id": [f"o{n // 2}" for n in range(6000)], "revenue_cents": 300, "list_cents": 400, "shelf_cents": 0,
        "coupon_cents": rng.choice([0, 100], 6000, p=[0.9, 0.1]),
    })  # fmt: skip
    start = pl.Series("start_ms", [ASOF_MS - weeks * WEEK_MS for weeks in (40, 30, 20, 10)])
    sent = pl.DataFrame({"customer_id": PEOPLE}).join(
        pl.DataFrame({"campaign_id": list("abcd"), "kind": list("xyxy"), "start_ms": start}), how="cross"
    )
    sent = sent.with_columns(end_ms=pl.col("start_ms") + 4 * WEEK_MS).filter(pl.Series(rng.random(sent.height) < 0.8))
    used = sent.filter(pl.Series(rng.random(sent.height) < 0.2)).select(
        "campaign_id", "customer_id", pl.lit("k").alias("coupon_id"), (pl.col("start_ms") + DAY_MS).alias("ts_ms")
    )
    events = EVENTS.conform(lines)
    goods = pl.DataFrame({"product_id": ["tea", "milk", "bread"], "category": ["tea", "milk", "bread"]})
    write_shards(store, store.connection.from_arrow(events.to_arrow()), "events", shards)
    for name, table, rows in (
        ("exposures", EXPOSURES, sent), ("redemptions", REDEMPTIONS, used), ("products", PRODUCTS, goods),
    ):  # fmt: skip
        store.save(name, table.conform(rows))
    store.save("customers", CUSTOMERS.empty())
    store.save_json("span", {
        "first_ms": events["ts_ms"].min(), "last_ms": events["ts_ms"].max(), "customers": len(PEOPLE),
    })  # fmt: skip
    return Job(CONFIG, store, lambda *_: None)


def kept(folder: Path, shards: int) -> list[pl.DataFrame]:
    with Store(folder) as store:
        job = drawn_shop(store, shards)
        assert save_redemption(job, moments(job), ["tea", "milk"]) is None
        odds = store.frame("redemption_odds").sort("customer_id", "target")
        return [store.frame("redemption_features"), odds]


def test_shards_give_the_odds_of_all_customers_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = kept(tmp_path / "whole", 1)
    read, once = [], campaign_exposure._features

    def counted(past: campaign_exposure.CampaignHistory, *more: Any) -> pl.DataFrame:
        read.append((len(past.events), len(past.exposures)))
        return once(past, *more)

    monkeypatch.setattr(campaign_exposure, "_features", counted)
    parts = kept(tmp_path / "parts", 4)
    for one, other in zip(whole, parts, strict=True):
        assert_frame_equal(one, other, rel_tol=1e-12)
    lines, sent = (max(sizes) for sizes in zip(*read, strict=True))
    assert lines < 3000  # of 6,000: never all at a time
    assert sent < 600  # of some 960


def test_of_very_many_exposures_the_model_learns_from_a_share_of_customers(tmp_path, monkeypatch):
    whole = kept(tmp_path / "whole", 4)
    monkeypatch.setattr(effect, "MOST_SENT", 500)
    features, odds = kept(tmp_path / "some", 4)
    assert 400 < features.height < 600 < whole[0].height
    mine = whole[0].filter(pl.col("customer_id").is_in(features["customer_id"].implode()))
    assert_frame_equal(features, mine)
    assert odds.height == whole[1].height
