"""The verb `simulate`: promolift's own path in made-up shops of known truth, in both worlds."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from promolift.closed_loop import RealPath, budget_of, hand_rule, run_simulation
from promolift.errors import ConfigError
from promolift.simulate.living import GIVEN, LivingGoods, LivingMarket


@pytest.fixture(scope="module", params=["market", "goods"])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("loop") / request.param
    summary = run_simulation({"world": request.param, "customers": 600, "months": 2, "seed": 2}, folder)
    return summary, folder


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
    with pytest.raises(ConfigError, match="another folder"):
        run_simulation({}, folder)


def goods_offers(world: LivingGoods, depth: float, target: str | None) -> pl.DataFrame:
    people = pl.DataFrame({"customer_id": world.customer_ids})
    return people.select(
        "customer_id", pl.lit(target, pl.String).alias("target"), pl.lit(depth).alias("depth"),
        pl.lit(None, pl.Int64).alias("amount_cents"), pl.lit(None, pl.Int64).alias("min_spend_cents"),
    )  # fmt: skip


@pytest.mark.parametrize("target", ["milk", None])
def test_what_goods_are_said_to_add_is_what_the_log_then_shows(target: str | None) -> None:
    given, none = LivingGoods(3, 1500), LivingGoods(3, 1500)
    prices = given.world.products
    cost = dict(zip(prices["product_id"], prices["cost_cents"], strict=True))
    worth = given.answer(goods_offers(given, 0.3, target))
    empty = none.answer(goods_offers(none, 0.3, target).clear())
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
    world = LivingMarket(1, 400)
    budget = budget_of(world)
    chosen = hand_rule(world, budget)
    last = world.events.group_by("customer_id").agg(pl.col("ts_ms").max())
    away = (world.now_ms - chosen.join(last, on="customer_id")["ts_ms"]) / 86_400_000
    assert chosen.height > 0
    assert (away >= 56).all()
    assert hand_rule(world, budget / 4).height < chosen.height
    assert set(GIVEN) == set(chosen.columns)
    assert (world.answer(chosen).cost) < 2 * budget


def test_learning_that_cannot_say_anything_yet_is_told_and_the_months_go_on(tmp_path: Path) -> None:
    path, world = RealPath(tmp_path), LivingMarket(1, 250)
    path.decide(world, 1000.0)
    path.decide(world, 1000.0)  # no time has passed
    assert any(said.startswith("learn:") for said in path.said)
