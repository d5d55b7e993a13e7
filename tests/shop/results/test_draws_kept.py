"""Draws of tests are kept beside each other until they are purged, without customers whom the log no longer knows."""

from pathlib import Path

import polars as pl

from promolift.foundation.storage.local_store import Store
from promolift.shop.results.line_tests import add_draws, all_draws, purge_draws


def draw(ts_ms: int, *who: str, arm: str = "none") -> pl.DataFrame:
    return pl.DataFrame({"campaign_id": "c", "ts_ms": ts_ms, "customer_id": list(who), "arm": arm, "group": "due",
                         "send_ms": pl.Series([None] * len(who), dtype=pl.Int64),
                         "aimed": False})  # fmt: skip


def test_draws_are_added_replaced_at_their_moment_purged_and_forgotten(tmp_path: Path) -> None:
    both = pl.Series(["A", "B"])
    with Store(tmp_path) as store:
        assert purge_draws(store, 10) == 0
        add_draws(store, draw(1, "A", "B"), both)
        add_draws(store, draw(2, "A", "B"), both)
        add_draws(store, draw(2, "A", "B", arm="tea"), both)
        kept = all_draws(store)
        assert kept is not None
        assert kept.select("ts_ms", "arm").rows() == [(1, "none"), (1, "none"), (2, "tea"), (2, "tea")]
        add_draws(store, draw(3, "A"), pl.Series(["A"]))  # B was erased
        kept = all_draws(store)
        assert kept is not None
        assert kept["customer_id"].unique().to_list() == ["A"]
        assert purge_draws(store, 3) == 2
        kept = all_draws(store)
        assert kept is not None
        assert kept["ts_ms"].to_list() == [3]
