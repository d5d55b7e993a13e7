"""A shop in which no offer pays: customers hardly see prices and letters keep them away. It stops, and says so."""

from pathlib import Path

import polars as pl
import pytest

from promolift.closed_loop import RealPath, budget_of
from promolift.results.arms import DrawNote
from promolift.simulate.living import GIVEN, LivingMarket
from promolift.simulate.market import LivingShop, draw_shop
from promolift.store import Store

MONTHS = 4


@pytest.mark.slow
def test_after_two_tests_nothing_is_given_any_more_and_no_ceiling_was_passed(tmp_path: Path) -> None:
    market = LivingShop(draw_shop(3, 2000)._replace(price=0.3, remind=-0.2))
    market.advance(52)
    world, path, given = LivingMarket.of(market), RealPath(tmp_path), []
    for _ in range(MONTHS):
        before = world.now_ms
        offers = path.decide(world, budget_of(world)).select(GIVEN)
        with Store(tmp_path / "work") as store:
            most = DrawNote.load(store).ceiling_cents
        given.append(offers.height)
        world.answer(offers)
        assert world.events.filter(pl.col("ts_ms") >= before)["coupon_cents"].sum() <= most
    assert given[0] > 0
    assert given[2:] == [0, 0]
    assert "Nothing pays" in path.said[-1]
