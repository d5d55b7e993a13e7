"""Refusals count for the last draw before them, are taken off what an arm adds, and stand beside the control's."""

from pathlib import Path

import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st
from living_shop import config

from promolift.core.decisions.decision_rule import LineEffect
from promolift.extensions.simulation.worlds.market import SimulatedMarket, draw_shop
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import LearnResult, Request, run_learn
from promolift.shop.feedback.opt_outs import FOLLOW_DAYS, date_refusals
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.work_folder.ledger_consent import SCHEMA

WINDOW = 28


@cases(60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 6)), min_size=1, max_size=9), st.integers(0, 300))
def test_a_refusal_counts_once_for_the_last_draw_and_only_in_time(each: list[tuple[int, int]], wait: int) -> None:
    """Customer k is drawn by the plans of months first, first + 1, ... and refuses after the last of them."""
    rows = [(f"c{k}", month) for k, (first, many) in enumerate(each) for month in range(first, first + many)]
    draws = pl.DataFrame(rows, schema=["customer_id", "month"], orient="row").select(
        "customer_id", ts_ms=pl.col("month") * WINDOW * DAY_MS, window_days=pl.lit(WINDOW, pl.Int64)
    )
    plans = sorted({month for _, month in rows})
    asof = (plans[-1] * WINDOW + wait) * DAY_MS
    found = dict(date_refusals(draws, pl.Series([f"c{k}" for k in range(len(each))]), asof).iter_rows())
    for k, (first, many) in enumerate(each):
        last = first + many - 1
        known = min((plan * WINDOW for plan in plans if plan > last), default=plans[-1] * WINDOW + wait)
        in_time = known <= (last + 1) * WINDOW + FOLLOW_DAYS
        assert found.get(f"c{k}") == (last * WINDOW * DAY_MS if in_time else None)


def with_customers(folder: Path) -> Config:
    """A shop with a customers' file that states consent."""
    plain, names = config(folder).model_dump(mode="json", exclude_unset=True), ("customer_id", "consent")
    plain["data"]["customers"] = {
        "path": str(folder / "customers.csv"),
        "mapping": {"table": "customers", "columns": {name: name for name in names}},
    }
    return Config.parse(plain, "test")


def stated(folder: Path, customers: pl.Series, refused: pl.Series) -> None:
    no = pl.col("customer_id").is_in(refused.implode())
    rows = pl.DataFrame({"customer_id": customers}).with_columns(
        consent=pl.when(no).then(pl.lit("no")).otherwise(pl.lit("yes"))
    )
    rows.write_csv(folder / "customers.csv")


@pytest.mark.parametrize("told", ["file", "server"])
def test_learn_takes_refusals_off_and_says_how_many_came(told: str, tmp_path: Path) -> None:
    market = SimulatedMarket(draw_shop(2, 500))
    market.advance(40)
    market.products.write_csv(tmp_path / "products.csv")
    market.events.write_parquet(tmp_path / "events.parquet")
    customers, settings = market.events["customer_id"].unique().sort(), with_customers(tmp_path)
    stated(tmp_path, customers, customers.head(0))
    with Shop.of(settings, tmp_path / "work") as shop:
        shop.plan()
        draws = shop.store.frame("draws")
    sent = draws.filter(pl.col("arm") != "none").sort("customer_id")
    refused = sent["customer_id"].gather_every(4)
    market.advance(4)
    market.events.write_parquet(tmp_path / "events.parquet")

    def learn(refused: pl.Series) -> LearnResult:
        said = None
        if told == "file":
            stated(tmp_path, customers, refused)
        else:
            said = pl.DataFrame({"customer_id": refused, "consent": 0, "personal": None}, schema=SCHEMA)
        with Shop.of(settings, tmp_path / "work") as shop:
            shop.step("ingest")
        files = (None, None, tmp_path / "work", tmp_path / "out", settings)
        return run_learn(Request(*files, LearnSettings(), consent=said), lambda *_: None)

    def effects(found: LearnResult) -> tuple[LineEffect, ...]:
        assert found.proposal is not None
        return found.proposal.release.effects

    calm, angry = learn(refused.head(0)), learn(refused)
    assert not any(each.refused or each.refused_none for each in effects(calm))
    assert sum(each.refused for each in effects(angry)) == refused.len()
    assert not any(each.refused_none for each in effects(angry))
    for before, now in zip(effects(calm), effects(angry), strict=True):
        assert before.refusal_cents > 0  # not nothing, where nobody refused yet
        if now.n_arm >= 20:
            assert now.refusal_cents > 3 * before.refusal_cents
            assert now.net_cents < before.net_cents
            assert now.net_cents + now.refusal_cents == pytest.approx(before.net_cents + before.refusal_cents)
    page = (tmp_path / "out" / "learn.html").read_text(encoding="utf-8")
    assert "of 1,000 who got nothing" in page
    proposal = angry.proposal
    assert proposal is not None
    assert any("of 1,000 who got it" in change for change in proposal.changes)
