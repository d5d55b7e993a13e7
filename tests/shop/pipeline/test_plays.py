"""Plays in a plan: who is in them, what they draw, what they say, and what they never see."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code
from planned_shop import ASOF_MS, drawn_shop, shop_config
from sharded import write_shards

from promolift.core.experiments.audiences import ACTIVE
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.storage.local_store import Store
from promolift.shop.pipeline.planning.play_table import PlayRow, list_plays, play_summary
from promolift.shop.pipeline.steps import message, plan
from promolift.shop.results.line_tests import LineTestNote, all_draws
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job

DAY_MS = 86_400_000
BIG = {
    "id": "big", "audience": "select customer_id from customers where basket_mean_cents > 5000",
    "benefits": ["10 %", "reminder"], "reason": "The new season has begun.", "reason_zh": "新一季开始了。",
}  # fmt: skip
OFTEN = {
    "id": "often", "audience": "select customer_id from customers where orders_16w >= 15",
    "benefits": ["5 off from 40", "reminder"],
}  # fmt: skip


def job_of(store: Store, *plays: Mapping[str, Any]) -> Job:
    given = {"test_share": 0.1, "budget_cents": 900_000, "holdout_share": 0.1}
    spoken = {"name": "Shop", "zone": "UTC", "languages": ("en", "zh")}
    return Job(shop_config(plan=given, plays=plays, shop=spoken), store, lambda *_: None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A shop of 400 customers, some of whom refused, with two plays, planned and worded."""
    with Store(tmp_path_factory.mktemp("plays")) as store:
        drawn_shop(store, 3, customers=400)
        job = job_of(store, BIG, OFTEN)
        plan.run(job)
        message.run(job)
        yield job


def members(job: Job) -> pl.DataFrame:
    return job.store.frame("plays")


def may_send(job: Job) -> set[str]:
    people = job.clean.people.filter(pl.col("consent").fill_null(True), pl.col("age").fill_null("30") != "16")
    return {*people["customer_id"]}


def test_a_customer_is_in_the_first_play_that_takes_them_and_in_no_other(shop: Job) -> None:
    profiles = shop.profiled.profiles(ASOF_MS)
    big = {*profiles.filter(pl.col("basket_mean_cents") > 5000)["customer_id"]}
    often = {*profiles.filter(pl.col("orders_16w") >= 15)["customer_id"]}
    found = {play: {*mine["customer_id"]} for (play,), mine in members(shop).partition_by("play", as_dict=True).items()}
    assert found["big"] == big & may_send(shop)
    assert found["often"] == (often - big) & may_send(shop)
    assert found[None] == may_send(shop) - big - often
    assert big & often & may_send(shop)


def test_a_play_draws_its_own_benefits_and_nobody_else_draws_them(shop: Job) -> None:
    drawn = all_draws(shop.store)
    assert drawn is not None
    arms = drawn.explode("arms").unnest("arms", separator=":").select("group", arm="arms:arm").drop_nulls().unique()
    assert {*arms.filter(group="big")["arm"]} == {"big-10", "big-reminder"}
    assert {*arms.filter(group="often")["arm"]} == {"often-5-off-from-40", "often-reminder"}
    given = Plan.load(shop.store).chosen.join(members(shop), on="customer_id")
    assert {*given.filter(play="big")["menu_id"]} == {"big-10", "big-reminder"}
    assert given.filter(
        pl.col("menu_id").str.starts_with("big-") != (pl.col("play") == "big").fill_null(False)
    ).is_empty()
    closed = Plan.load(shop.store).candidates.filter(pl.col("menu_id") == "big-10", ~pl.col("eligible"))
    assert "only for big" in {*closed["why_not"]}


def test_shares_are_as_in_a_first_window_and_the_note_names_the_play(shop: Job) -> None:
    note = LineTestNote.load(shop.store)
    (big,) = (each for each in note.tested if each.group == "big")
    assert dict(zip(big.arms, big.shares, strict=True)) == {"big-10": 0.5, "big-reminder": 0.25}
    assert big.treated + big.none == members(shop).filter(group="big").height


def test_the_reason_stands_before_the_offer_in_both_languages(shop: Job) -> None:
    said = shop.store.frame("messages").join(members(shop), on="customer_id")
    big, often = said.filter(play="big"), said.filter(play="often")
    assert big.height > 20
    assert big["message_en"].str.contains("The new season has begun. ", literal=True).all()
    assert big["message_zh"].str.contains("新一季开始了。", literal=True).all()
    assert not often["message_en"].str.contains("season").any()
    assert big.filter(menu_id="big-10")["message_en"].str.contains("10% off").all()


def test_nothing_later_than_the_plan_and_nobody_who_refused_is_seen(tmp_path: Path) -> None:
    """The future of the log, and the orders of those who may not be written to, change no audience."""
    play = {"id": "above", "benefits": ["reminder"], "audience": """
        select customer_id from orders group by customer_id
        having sum(list_cents) > (select avg(list_cents) from orders) or max(days_ago) < 1"""}  # fmt: skip
    found = []
    for place, later in (("before", False), ("after", True)):
        with Store(tmp_path / place) as store:
            drawn_shop(store, 5, customers=200)
            job = job_of(store, play)
            events = job.clean.events().pl()
            refused = pl.Series([*(set(events["customer_id"]) - may_send(job))]).sort()
            events = events.with_columns(
                list_cents=pl.int_range(pl.len(), dtype=pl.Int64) * 10 + 1000, revenue_cents=pl.lit(1000, pl.Int64)
            )
            if later:
                dear = (
                    pl.when(pl.col("customer_id").is_in(refused.implode()))
                    .then(pl.lit(9_000_000, pl.Int64))
                    .otherwise("list_cents")
                )
                future = events.with_columns(ts_ms=pl.lit(ASOF_MS + DAY_MS), list_cents=pl.lit(7_000_000, pl.Int64))
                events = pl.concat([events.with_columns(list_cents=dear), future])
            store.remove("events")
            write_shards(store, store.connection.from_arrow(events.to_arrow()), "events", 1)
            plan.run(job)
            found.append(members(job))
    assert found[0].equals(found[1])
    assert 20 < found[0].drop_nulls("play").height < found[0].height - 20


def test_a_play_on_an_audience_of_the_log_keeps_what_was_learned_of_it(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        drawn_shop(store, 4, customers=200)
        job = job_of(store, {"id": "mine", "audience": ACTIVE, "benefits": ["reminder"]})
        plan.run(job)
        assert {*members(job)["group"]} == {ACTIVE}
        assert {arm for each in LineTestNote.load(store).tested for arm in each.arms} == {"mine-reminder"}
        plan.run(job_of(store))
        assert not store.has("plays")


def test_a_query_that_asks_for_no_column_stops_the_plan(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        drawn_shop(store, 4)
        job = job_of(store, {**BIG, "audience": "select customer_id from customers where basket_mean > 5000"})
        with raises_code("column_unknown", "promolift.toml", "'big'", "'basket_mean_cents'"):
            plan.run(job)


def rows(job: Job) -> dict[str, PlayRow]:
    return {row.id: row for row in list_plays(job)}


def test_the_table_says_size_cost_and_why_not(shop: Job) -> None:
    found = rows(shop)
    sizes = dict(members(shop)["play"].value_counts().iter_rows())
    mean = members(shop).join(shop.profiled.profiles(ASOF_MS), on="customer_id").filter(play="big")
    assert (found["big"].customers, found["often"].customers) == (sizes["big"], sizes["often"])
    assert found["big"].why_not is None
    assert found["big"].reason == BIG["reason"]
    # half of them draw 10 % off their own mean order
    wanted = 0.5 * sizes["big"] * round(0.1 * round(mean["basket_mean_cents"].mean()))  # type: ignore[arg-type]
    assert found["big"].worst_cost_cents == pytest.approx(wanted, rel=0.002)
    assert found["often"].worst_cost_cents == 0.5 * sizes["often"] * 500
    assert all(row.why_not for name, row in found.items() if name not in ("big", "often", "active"))
    assert found["season"].customers == 0


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_the_table_names_every_play_in_both_languages(shop: Job, locale: str) -> None:
    with use_locale(locale):
        said, listed = play_summary(shop), list_plays(shop)
    assert [row["id"] for row in said.figures["plays"]] == [row.id for row in listed]
    for row in listed:
        assert row.audience in said.text
        assert row.why_not is None or row.why_not in said.text
    assert (BIG["reason_zh"] if locale == "zh" else BIG["reason"]) in said.text


def test_too_few_customers_are_not_in_play(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        drawn_shop(store, 4)
        few = {**BIG, "audience": "select customer_id from customers order by customer_id limit 15"}
        job = job_of(store, few)
        plan.run(job)
        assert rows(job)["big"].why_not
        drawn = all_draws(store)
        assert drawn is None or drawn.filter(pl.col("group") == "big", pl.col("arms").list.len() > 0).is_empty()
