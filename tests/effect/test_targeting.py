"""Targeted customers who spent more before are no experiment, and the sums add over shards."""

import duckdb
import polars as pl
import pytest

from promolift.effect import judge_targeting, spent_before
from promolift.sql import DAY_MS, WEEK_MS
from promolift.tables import EVENTS, EXPOSURES

START = 100 * WEEK_MS


def sums(spend: dict[str, int], targeted: list[str], late: int = 0) -> pl.DataFrame:
    connection = duckdb.connect()
    rows = [
        {"customer_id": who, "ts_ms": START - k * DAY_MS, "kind": "purchase", "revenue_cents": cents}
        for who, cents in spend.items()
        for k in (1, 70)  # 70 days before is outside the eight weeks
    ] + [{"customer_id": who, "ts_ms": START, "kind": "purchase", "revenue_cents": late} for who in spend]
    sent = [{"campaign_id": "c", "customer_id": who, "start_ms": START, "end_ms": START + WEEK_MS} for who in targeted]
    events, exposures = EVENTS.conform(pl.DataFrame(rows)).to_arrow(), EXPOSURES.conform(pl.DataFrame(sent)).to_arrow()
    return spent_before(connection.from_arrow(events), connection.from_arrow(exposures))


def test_the_ratio_is_of_mean_spend_before_the_start_alone() -> None:
    found = judge_targeting(sums({"A": 600, "B": 400, "C": 100, "D": 300}, ["A", "B"], late=9_999))
    assert found.ratio == pytest.approx(2.5)
    assert found.refusal == "the targeted had spent 2.5 times as much in the 8 weeks before as the others"


def test_customers_who_were_alike_are_not_refused() -> None:
    assert judge_targeting(sums({"A": 200, "B": 210}, ["A"])).refusal is None


def test_a_campaign_to_everybody_compares_with_nobody() -> None:
    assert "nobody to compare" in str(judge_targeting(sums({"A": 200, "B": 210}, ["A", "B"])).refusal)


def test_sums_of_shards_are_the_sums_of_the_whole() -> None:
    spend = {"A": 600, "B": 400, "C": 100, "D": 300}
    parts = [sums({w: spend[w] for w in who}, ["A", "B"]) for who in ("AC", "BD")]
    assert judge_targeting(pl.concat(parts)).ratio == judge_targeting(sums(spend, ["A", "B"])).ratio
