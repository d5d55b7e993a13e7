"""The verb `simulate`: promolift's own path in made-up shops of known truth, in both worlds."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.extensions.simulation.offline import CommandLinePath, hand_rule, monthly_budget, run_simulation
from promolift.extensions.simulation.worlds.simulated_worlds import OFFER_COLUMNS, GoodsWorld, MarketWorld


# `served` goes through the months of the market in the core.
@pytest.fixture(scope="module", params=[pytest.param("market", marks=pytest.mark.slow), "goods"])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("loop") / request.param
    customers = {"market": 600, "goods": 400}[request.param]
    summary = run_simulation({"world": request.param, "customers": customers, "months": 2, "seed": 2}, folder)
    return summary, folder


@pytest.mark.slow
def test_the_months_go_through_the_product_and_say_what_it_truly_earned(lived: Any) -> None:
    summary, folder = lived
    assert summary.text.startswith("Simulated")
    assert summary.figures["simulated"] is True
    ours = summary.figures["promolift"]
    assert len(ours) == len(summary.figures["hand_rule"]) == 2
    assert ours[0]["treated"] > 0
    assert ours[0]["cost"] > 0
    assert (folder / "learned" / "proposal.json").exists()
    assert (folder / "work" / "notes" / "release.json").exists()  # approved: the second plan started from it
    with raises_code("folder_not_empty", str(folder)):
        run_simulation({}, folder)


def goods_offers(world: GoodsWorld, depth: float, target: str | None) -> pl.DataFrame:
    people = pl.DataFrame({"customer_id": world.customer_ids})
    return people.select(
        "customer_id", pl.lit(target, pl.String).alias("target"), pl.lit(depth).alias("depth"),
        pl.lit(None, pl.Int64).alias("amount_cents"), pl.lit(None, pl.Int64).alias("min_spend_cents"),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("target", ["milk", None])
def test_what_goods_are_said_to_add_is_what_the_log_then_shows(target: str | None) -> None:
    given, none = GoodsWorld(3, 1500), GoodsWorld(3, 1500)
    prices = given.world.products
    cost = dict(zip(prices["product_id"], prices["cost_cents"], strict=True))
    worth = given.advance_month(goods_offers(given, 0.3, target))
    empty = none.advance_month(goods_offers(none, 0.3, target).clear())
    assert tuple(empty) == (0.0, 0.0, 0.0)
    sums = []
    for world in (given, none):
        rows = world.events.filter(pl.col("ts_ms") >= world.now_ms - 28 * 86_400_000)
        unit = pl.col("product_id").replace_strict(cost, return_dtype=pl.Int64)
        each = rows.group_by("customer_id").agg(
            (pl.col("paid_cents") - pl.col("quantity") * unit).sum().alias("profit")
        )
        people = pl.DataFrame({"customer_id": world.customer_ids})
        sums.append(people.join(each, on="customer_id", how="left")["profit"].fill_null(0).to_numpy())
        if world is given:
            assert rows["coupon_cents"].sum() == pytest.approx(worth.cost, rel=0.1)
    lift = sums[0] - sums[1]
    assert lift.sum() == pytest.approx(worth.window, abs=4 * lift.std() * np.sqrt(len(lift)))


def test_the_hand_rule_keeps_its_budget_and_takes_those_who_have_been_away() -> None:
    world = MarketWorld(1, 400)
    budget = monthly_budget(world)
    chosen = hand_rule(world, budget)
    last = world.events.group_by("customer_id").agg(pl.col("ts_ms").max())
    away = (world.now_ms - chosen.join(last, on="customer_id")["ts_ms"]) / 86_400_000
    assert chosen.height > 0
    assert (away >= 56).all()
    assert hand_rule(world, budget / 4).height < chosen.height
    assert set(OFFER_COLUMNS) == set(chosen.columns)
    assert (world.advance_month(chosen).cost) < 2 * budget


def test_learning_that_cannot_say_anything_yet_is_told_and_the_months_go_on(tmp_path: Path) -> None:
    path, world = CommandLinePath(tmp_path), MarketWorld(1, 250)
    path.decide(world, 1000.0)
    path.decide(world, 1000.0)  # no time has passed
    assert any(said.startswith("learn:") for said in path.summaries)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("fastapi")
    from promolift.extensions.simulation.online import ServerPath

    folder = tmp_path_factory.mktemp("served")
    world, given = MarketWorld(1, 400), []
    with ServerPath(folder) as path:
        for month in range(2):
            offers = path.decide(world, monthly_budget(world))
            given.append(offers)
            world.advance_month(offers.select(OFFER_COLUMNS))
            path.finish_month(world)
            if month == 1:
                path.roll_back()
                again = path.request_decisions(world)
        yield path, given, again


@pytest.mark.slow
def test_what_was_served_is_what_was_planned_and_the_server_learns_from_its_own_decisions(served: Any) -> None:
    path, given, _ = served
    assert all(offers.height > 0 for offers in given)  # `decide` refuses a month that is served otherwise than planned
    assert any("learn: proposed" in said for said in path.summaries), path.summaries
    assert (path.folder / "work" / "notes" / "release.json").exists()
    assert len(set(path.releases)) == 2
    assert all(0 < read.read < 1 for read in path.messages)


def test_after_a_rollback_to_a_release_that_has_ended_nobody_is_given_anything(served: Any) -> None:
    """The days of the month before are over: taking back a plan stops it, and brings no old one to life."""
    _, _, again = served
    assert {answer["offer_id"] for answer in again} == {"none"}
    assert {answer["reason"].partition(":")[0] for answer in again} == {"release_ended"}


def test_texts_that_are_read_more_are_chosen_more(tmp_path: Path) -> None:
    """What readers do comes back as counts; where the liked texts are known, they are sent more than others."""
    from promolift.core.messages import TextChooser, TextCounts
    from promolift.extensions.simulation.online import ServerPath
    from promolift.shop.pipeline.pool_file import shipped_pool

    path = ServerPath(tmp_path, seed=3)
    texts = tuple(text for text in shipped_pool().texts if text.usable("judged"))
    kind, tallies = "percent_off", []
    for text in texts:
        tallies.append(TextCounts(text.text_id, kind, 400, round(400 * path.read_share(text.text_id))))
    knows, not_yet = TextChooser(texts, tuple(tallies)), TextChooser(texts)
    some = next(text for text in texts if text.language == "en")
    liked = [
        sum(
            share * path.read_share(text.text_id)
            for text, share in zip(arms.texts, arms.share_V, strict=True)
        )
        for arms in (each.arms(some.angle, kind, "en") for each in (not_yet, knows))
    ]  # fmt: skip
    assert liked[1] > liked[0] + 0.05


@pytest.mark.parametrize("kind", ["market", "goods"])
def test_after_the_drift_the_same_offers_are_worth_less(kind: str) -> None:
    made = [MarketWorld(2, 500) if kind == "market" else GoodsWorld(2, 500) for _ in range(2)]
    made[1].drift()
    target = None if kind == "market" else "milk"
    before, after = (world.advance_month(goods_offers(world, 0.2, target)) for world in made)  # type: ignore[arg-type]
    assert after.window < before.window
    ids = made[1].events["customer_id"]  # the shop lives on: old orders stay, new ones come
    assert made[1].events["ts_ms"].max() > made[0].now_ms - 28 * 86_400_000
    assert ids.n_unique() > 300
