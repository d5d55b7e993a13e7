"""Shops unlike the one at hand: each gets a sensible answer with nulls where nothing is known, never a crash."""

import polars as pl
import pytest
from error_checks import raises_code
from profile_shop import MONDAY, SETTINGS, Shop, affinities_of, event, product, profile_of

import promolift.core.customers as room
from promolift.foundation.tables.schemas import AFFINITIES, PROFILES
from promolift.foundation.time.clock import WEEK_MS

ASOF = MONDAY + 20 * WEEK_MS
CATALOGUE = [product("p1", category="x"), product("p2", category="y")]


def views_only() -> list[dict]:
    seen = [(c, k) for c in "abc" for k in range(3)]
    return [event(c, 120 + k, kind="view", product_id=f"p{k}", revenue_cents=0) for c, k in seen]


SHOPS = {
    "views only": Shop(views_only(), CATALOGUE),
    "views only, no catalogue": Shop(views_only()),
    "one row": Shop([event("a", 5)]),
    "one customer, many rows": Shop([event("a", k, product_id=f"p{k % 3}") for k in range(60)], CATALOGUE),
    "no products named": Shop([event("a", k, product_id=None) for k in range(3)]),
    "a free order": Shop([event("a", 1, revenue_cents=0), event("b", 2)]),
    "only refunds": Shop([event("a", 1, kind="refund")]),
    "only other events": Shop([event("a", 1, kind="other", product_id=None, revenue_cents=0)]),
    "types without categories": Shop([event("a", 1), event("b", 2)], [product("p1", type="t")]),
    "no quantities": Shop([event(c, k, quantity=None) for c in "ab" for k in range(5)], CATALOGUE),
    "huge amounts": Shop([event(c, k, revenue_cents=10**12) for c in "ab" for k in range(5)], CATALOGUE),
    "everything at once": Shop([event(c, 1) for c in "abcdef"], CATALOGUE),
    "all discounted": Shop([event(c, k, shelf_cents=10) for c in "abcdef" for k in range(9)], CATALOGUE),
}


@pytest.mark.parametrize("name", SHOPS)
def test_every_shop_gets_profiles_affinities_and_interests(name):
    shop = SHOPS[name]
    shared, shard, moments = shop.shared([ASOF]), shop.shard(), shop.moments([ASOF])
    profiles = room.build_profiles(shard, moments, shared, SETTINGS)
    affinities = pl.concat(room.estimate_affinities(shard, moments, shared, SETTINGS))
    assert PROFILES.check(profiles).height == len(shop.customers)
    AFFINITIES.check(affinities)
    numbers = profiles.select(pl.col(pl.Float64)).unpivot()["value"].drop_nulls()
    forecasts = affinities.select(pl.col(pl.Float64)).unpivot()["value"].drop_nulls()
    assert numbers.is_finite().all()
    assert forecasts.is_finite().all()
    assert room.find_interests(shard, moments, shared, SETTINGS).height == (9 if name.startswith("views only") else 0)


def test_views_only_leaves_purchases_unknown_not_zero():
    shop = SHOPS["views only"]
    row = profile_of(shop, ASOF).row(0, named=True)
    assert (row["views_total"], row["top_hour"]) == (3, 0)
    for name in ("orders_total", "orders_4w", "revenue_total_cents", "recency_days", "deal_share", "price_sensitivity"):
        assert row[name] is None, name
    assert "purchases" in room.missing_column_reasons(shop.shared([ASOF]), ASOF)["orders_total"]
    seen = affinities_of(shop, ASOF).row(0, named=True)
    assert (seen["bought"], seen["views"], seen["buy_prob"], seen["expected_cents"]) == (False, 1, None, None)


def test_no_discounts_means_no_sensitivity_and_a_reason():
    shop = Shop([event(c, k) for c in "abcdef" for k in range(9)], CATALOGUE)
    row = profile_of(shop, ASOF).row(0, named=True)
    assert (row["deal_share"], row["discount_share"], row["price_sensitivity"]) == (None, None, None)
    assert "shelf discounts" in room.missing_column_reasons(shop.shared([ASOF]), ASOF)["price_sensitivity"]
    assert affinities_of(shop, ASOF)["deal_share"].null_count() == affinities_of(shop, ASOF).height


def test_a_customer_without_a_row_before_the_moment_still_has_his_row():
    shop = Shop([event("a", 0), event("late", 150)])
    row = profile_of(shop, ASOF).filter(pl.col("customer_id") == "late").row(0, named=True)
    assert (row["orders_total"], row["orders_4w"], row["revenue_4w_cents"]) == (0, 0, 0)
    assert row["tenure_days"] is None
    assert row["top_hour"] is None


def test_a_moment_before_every_shared_moment_knows_nothing_of_the_shop():
    shop = Shop([event("a", 0), event("a", 139)])
    shared = shop.shared([ASOF])
    row = room.build_profiles(shop.shard(), shop.moments([ASOF - WEEK_MS]), shared, SETTINGS).row(0, named=True)
    assert (row["tenure_days"], row["orders_4w"]) == (133, None)
    assert room.missing_column_reasons(shared, MONDAY)["orders_total"]


def test_no_moment_is_refused():
    with raises_code("value_missing", "asof_ms"):
        room.PopulationSums.start([])


def test_a_missing_pass_is_named():
    with raises_code("step_missing", "'shop'", "profile.STEPS"):
        room.PopulationSums.start([ASOF])["shop"]
