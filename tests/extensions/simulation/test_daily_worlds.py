"""Laws of the twelve worlds: luck is shared, customers are on their own, money adds up, and each mechanism shows."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import Phase, given
from hypothesis import strategies as st

from promolift.extensions.simulation.worlds import daily_shop
from promolift.extensions.simulation.worlds.behaviours import Fatigue, Lapsing, Pantry, ReferencePrice
from promolift.extensions.simulation.worlds.daily_shop import DailyShop, SentOffers
from promolift.extensions.simulation.worlds.daily_worlds import REVERSAL_DAYS, WORLDS, WorldName, draw_daily_shop

FEW = 150
NO_SHRINK = (Phase.explicit, Phase.generate)  # a seed has no smaller one
worlds = pytest.mark.parametrize("world", WORLDS)


def to_all(shop: DailyShop, **terms: float) -> SentOffers:
    return SentOffers.same_for(np.ones(shop.behaviour.customers, np.bool_), **terms)  # type: ignore[arg-type]


def added(shop: DailyShop, offers: SentOffers, draws: int = 6) -> float:
    """Per customer and as a share of a month's profit."""
    return float(shop.gain(offers, draws=draws).horizon_N.sum()) / (float(shop.profit_N.sum()) / 13)


def test_no_world_imports_what_it_judges() -> None:
    folder = Path(daily_shop.__file__).parent
    for name in ("daily_shop", "behaviours", "daily_worlds"):
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        names += [each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
        inside = {each for each in names if each.startswith("promolift")}
        mine = {f"promolift.extensions.simulation.worlds.{other}" for other in ("daily_shop", "behaviours")}
        assert inside <= mine, name


@worlds
def test_a_shop_is_drawn_by_its_seed_and_its_money_adds_up(world: WorldName) -> None:
    shop, again, other = (draw_daily_shop(world, seed, FEW) for seed in (3, 3, 4))
    assert shop.log.equals(again.log)
    assert not shop.log.equals(other.log)
    shop.advance(28, to_all(shop, depth=0.2))
    log = shop.log
    assert log["paid_cents"].min() >= 0  # type: ignore[operator]
    assert log["returned_cents"].max() <= log["paid_cents"].max()  # type: ignore[operator]
    assert log.select(
        (pl.col("list_cents") - pl.col("shelf_cents") - pl.col("coupon_cents") == pl.col("paid_cents")).all()
    ).item()
    if world != "fashion":  # whose profit also bears deliveries
        margin = (log["paid_cents"] - (1 - shop.traits.margin) * log["list_cents"]).sum()
        assert shop.profit_N.sum() == pytest.approx(margin, abs=2 * log.height)
    stays = 1 - log["returned_cents"] / log["paid_cents"]
    assert shop.discount_N.sum() == pytest.approx((log["coupon_cents"] * stays).sum(), abs=2 * log.height)
    assert set(log["product_id"]) <= set(shop.products["product_id"])


@worlds
def test_nothing_sent_adds_nothing_and_others_offers_change_nothing(world: WorldName) -> None:
    shop = draw_daily_shop(world, 5, FEW)
    n = shop.behaviour.customers
    assert not shop.gain(SentOffers.nobody(n), draws=2).horizon_N.any()
    half = np.arange(n) % 2 == 0
    whole, part = (shop.gain(SentOffers.same_for(to, depth=0.15), draws=2) for to in (np.ones(n, np.bool_), half))
    assert np.array_equal(part.horizon_N[half], whole.horizon_N[half])
    assert not part.horizon_N[~half].any()


@cases(8, phases=NO_SHRINK)
@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.1, 0.3]))
def test_where_nothing_works_a_message_adds_nothing_and_a_discount_costs_what_it_gives(seed: int, depth: float) -> None:
    shop = draw_daily_shop("nothing works", seed, FEW)
    assert not shop.gain(to_all(shop), draws=2).horizon_N.any()
    given_away = shop.gain(to_all(shop, depth=depth), draws=2)
    assert given_away.horizon_N == pytest.approx(-given_away.cost_N)


@cases(8, phases=NO_SHRINK)
@given(st.integers(0, 10_000))
def test_signs_are_those_of_the_worlds_names(seed: int) -> None:
    repel, every = (draw_daily_shop(world, seed, 400) for world in ("messages repel", "everything works"))
    assert added(repel, to_all(repel)) < 0
    assert added(every, to_all(every)) > 0
    assert added(every, to_all(every, depth=0.1)) > 0


@cases(8, phases=NO_SHRINK)
@given(st.integers(0, 10_000))
def test_effects_that_reverse_are_turned_on_their_day(seed: int) -> None:
    shop = draw_daily_shop("effects reverse", seed, 500)
    assert isinstance(shop.behaviour, Lapsing)
    shop.behaviour.flips_on = None
    before = added(shop, to_all(shop, depth=0.2))
    shop.behaviour.flips_on = shop.day
    assert added(shop, to_all(shop, depth=0.2)) < 0 < before
    assert draw_daily_shop("effects reverse", seed, 10).behaviour.flips_on == 364 + REVERSAL_DAYS  # type: ignore[attr-defined]


def test_messages_wear_out_and_people_unsubscribe() -> None:
    shop = draw_daily_shop("fatigue", 2, 1500)
    assert isinstance(shop.behaviour, Fatigue)
    fresh = added(shop, to_all(shop), draws=8)
    for _ in range(4):
        shop.advance(7, to_all(shop))
    assert shop.unsubscribed_N.any()
    assert shop.behaviour.irritation_N.mean() > 1
    assert added(shop, to_all(shop), draws=8) < fresh
    gone = shop.unsubscribed_N
    assert not shop.gain(SentOffers.same_for(gone, depth=0.2), draws=2).horizon_N.any()  # nothing reaches them


def test_a_full_pantry_keeps_people_away_and_discounts_become_usual() -> None:
    pantry = draw_daily_shop("pantry", 1, 600)
    assert isinstance(pantry.behaviour, Pantry)
    offered, plain = pantry.copy(), pantry.copy()
    offered.advance(14, to_all(pantry, depth=0.3, valid_days=14))
    plain.advance(14)
    assert np.isfinite(offered.behaviour.left_NG).any()  # type: ignore[attr-defined]
    known = np.isfinite(plain.behaviour.left_NG)  # type: ignore[attr-defined]
    assert offered.behaviour.left_NG[known].mean() > plain.behaviour.left_NG[known].mean()  # type: ignore[attr-defined]
    used = draw_daily_shop("reference price", 1, 600)
    assert isinstance(used.behaviour, ReferencePrice)
    gain = used.gain(to_all(used, depth=0.2), draws=6)
    assert gain.horizon_N.sum() < gain.span_N.sum()


def test_a_reminder_counts_when_a_product_is_due_and_before_an_occasion() -> None:
    due = draw_daily_shop("replenishment", 1, 1500)
    near = due.behaviour.left_N <= 3  # type: ignore[attr-defined]
    gain = due.gain(to_all(due), span=14, horizon=28, draws=8).horizon_N
    assert gain[near].mean() > 3 * gain[~near].mean()
    feast = draw_daily_shop("occasions", 1, 1500)
    soon = (feast.behaviour.first_N - feast.day) % 182 < 21  # type: ignore[attr-defined]
    later = feast.gain(to_all(feast), span=14, horizon=28, draws=8).horizon_N
    if soon.any():
        assert later[soon].mean() > later[~soon].mean()


def test_an_offer_is_used_once_within_its_days_and_above_its_threshold() -> None:
    shop = draw_daily_shop("fashion", 1, 400)
    first = shop.day
    shop.advance(28, to_all(shop, amount=500.0, min_spend=6000.0, valid_days=14))
    since = daily_shop.START_MS + first * daily_shop.DAY_MS
    orders = shop.log.filter(pl.col("ts_ms") >= since).group_by("order_id").agg(
        pl.col("customer_id", "ts_ms").first(), pl.col("coupon_cents", "list_cents").sum()
    )  # fmt: skip
    used = orders.filter(pl.col("coupon_cents") > 0)
    assert used.height
    assert used["customer_id"].is_unique().all()
    assert used["list_cents"].min() >= 5998  # type: ignore[operator]
    assert used["ts_ms"].max() < since + 14 * daily_shop.DAY_MS  # type: ignore[operator]


@pytest.mark.parametrize("world", [world for world in WORLDS if world != "fashion"])  # there they fill baskets
def test_a_threshold_that_nobody_reaches_draws_nobody(world: WorldName) -> None:
    shop = draw_daily_shop(world, 1, FEW)
    usual_N = shop.behaviour.usual_N
    letter = to_all(shop)
    far = replace(letter, amount_N=10 * usual_N, min_spend_N=20 * usual_N)  # half off, but not for them
    assert shop.gain(far, draws=2).horizon_N == pytest.approx(shop.gain(letter, draws=2).horizon_N)


def test_what_a_customer_is_stays_in_every_future() -> None:
    for world, trait in (("fatigue", "annoyed_N"), ("pantry", "likes_N"), ("occasions", "likes_N")):
        shop = draw_daily_shop(world, 1, FEW)  # type: ignore[arg-type]
        other = shop.copy(seed=7)
        other.advance(2)
        assert np.array_equal(getattr(shop.behaviour, trait), getattr(other.behaviour, trait))
