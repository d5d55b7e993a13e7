"""Every attribute on tables small enough to check by hand; null wherever it cannot be known."""

import polars as pl
import pytest
from profile_shop import MONDAY, SETTINGS, Shop, attributes_of, event, product

import promolift.core.customers as room
from promolift.core.customers.profiles.engagement import rate_prior
from promolift.foundation.tables.schemas import PROFILES
from promolift.foundation.time.clock import DAY_MS, WEEK_MS
from promolift.shop.reports.attribute_text import SENTENCES, describe, sentence

CATALOGUE = [
    product("milk", category="dairy", type="milk", brand="Private"),
    product("cheese", category="dairy", type="cheese", brand="Alpha"),
    product("soap", category="home", type="soap", brand="Alpha"),
]
ASOF = MONDAY + 20 * WEEK_MS


def one(frame: pl.DataFrame, customer: str = "a") -> dict:
    return frame.filter(pl.col("customer_id") == customer).row(0, named=True)


def test_recency_frequency_and_money_count_back_from_the_moment():
    days = [0, 100, 130, 139.5]
    shop = Shop([event("a", d, revenue_cents=100 * (k + 1), shelf_cents=10) for k, d in enumerate(days)])
    row = one(attributes_of(shop, ASOF))
    assert row["recency_days"] == pytest.approx(0.5)
    assert row["tenure_days"] == pytest.approx(140)
    assert [row[f"orders_{w}w"] for w in (4, 8, 16, 52)] == [2, 3, 3, None]  # 52 weeks reach beyond the data
    assert [row[f"revenue_{w}w_cents"] for w in (4, 8, 16, 52)] == [700, 900, 900, None]
    assert (row["orders_total"], row["revenue_total_cents"], row["list_total_cents"]) == (4, 1000, 1040)
    assert row["spend_per_week_cents"] == pytest.approx(900 / 16)


def test_weekly_spend_of_a_newcomer_is_over_his_own_weeks():
    shop = Shop([event("old", 0), event("new", 126, revenue_cents=300), event("newest", 139, revenue_cents=300)])
    frame = attributes_of(shop, ASOF)
    assert one(frame, "new")["spend_per_week_cents"] == pytest.approx(150)
    assert one(frame, "newest")["spend_per_week_cents"] == pytest.approx(300)  # one day is counted as a week
    assert one(frame, "old")["spend_per_week_cents"] == 0


def test_a_row_at_the_moment_itself_is_not_known_yet():
    shop = Shop([event("a", 0), event("a", 139), event("a", 140)])
    assert one(attributes_of(shop, ASOF))["orders_total"] == 2


def test_a_window_edge_belongs_to_the_window():
    shop = Shop([event("a", 0), event("a", 140 - 28), event("a", 140 - 28 - 1e-6)])
    assert one(attributes_of(shop, ASOF))["orders_4w"] == 1


def test_cadence_and_regularity_come_from_days_not_baskets():
    shop = Shop([event("a", d) for d in (0, 0.1, 10, 20, 50)])
    row = one(attributes_of(shop, ASOF))
    assert (row["shopping_days"], row["orders_total"]) == (4, 5)
    assert row["cadence_days"] == 10  # gaps 10, 10, 30
    assert row["gap_variation"] == pytest.approx(11.547005 / 16.666667)
    assert row["due_in_days"] == pytest.approx(10 - 90)


def test_one_order_has_no_cadence_and_no_spread():
    row = one(attributes_of(Shop([event("a", 5)]), ASOF))
    assert row["orders_total"] == 1
    for name in ("cadence_days", "gap_variation", "due_in_days", "basket_sd_cents", "novelty_share", "price_tier"):
        assert row[name] is None, name


def test_a_refund_lowers_money_and_is_no_order():
    for sign in (1, -1):  # whatever sign the source gives it
        shop = Shop([event("a", 130, revenue_cents=500), event("a", 131, kind="refund", revenue_cents=sign * 200)])
        row = one(attributes_of(shop, ASOF))
        assert (row["orders_total"], row["revenue_total_cents"], row["basket_median_cents"]) == (1, 300, 500)


def test_an_order_with_lines_on_both_sides_of_the_moment_counts_what_was_before():
    lines = [event("a", 139.9, order_id="o"), event("a", 140.1, order_id="o", revenue_cents=5000)]
    row = one(attributes_of(Shop([event("a", 0, order_id="n"), *lines]), ASOF))
    assert (row["orders_total"], row["revenue_total_cents"]) == (2, 200)


def test_basket_values_and_their_error():
    shop = Shop([event("a", d, order_id=f"o{d}", revenue_cents=v) for d, v in ((1, 100), (2, 200), (3, 300), (4, 400))])
    row = one(attributes_of(shop, ASOF))
    assert (row["basket_median_cents"], row["basket_p25_cents"], row["basket_p90_cents"]) == (
        250,
        175,
        pytest.approx(370),
    )
    assert row["basket_mean_cents_se"] == pytest.approx(row["basket_sd_cents"] / 2)
    assert sum(row[f"basket_fifth_{k}"] for k in range(1, 6)) == pytest.approx(1)


def test_basket_bands_are_the_shops_own_fifths():
    worth = {"a": 100, "b": 1_000, "c": 10_000, "d": 100_000, "e": 1_000_000}
    frame = attributes_of(Shop([event(c, k, revenue_cents=v) for c, v in worth.items() for k in range(3)]), ASOF)
    for k, customer in enumerate(worth, 1):
        assert one(frame, customer)[f"basket_fifth_{k}"] == 1, customer


def test_breadth_brands_and_private_label():
    rows = [event("a", d, product_id=p) for d, p in ((1, "milk"), (2, "milk"), (3, "soap"), (4, "cheese"))]
    row = one(attributes_of(Shop(rows, CATALOGUE), ASOF))
    assert (row["category_count"], row["type_count"], row["brand_count"]) == (2, 3, 2)
    assert (row["top_category_1"], row["top_category_1_share"]) == ("dairy", 0.75)
    assert (row["top_category_2"], row["top_category_3"]) == ("home", None)
    assert row["category_entropy"] == pytest.approx(0.5623351)
    assert (row["top_brand"], row["top_brand_share"], row["private_label_share"]) == ("Alpha", 0.5, 0.5)


def test_categories_level_in_orders_and_spend_stand_by_name():
    names = ["e", "c", "a", "d", "b"]
    rows = [event("a", k, order_id=f"{k}", product_id=name) for k, name in enumerate(names)]
    rows += [event("a", 9, order_id="9", product_id="d", revenue_cents=1), event("z", 1, product_id="b")]
    row = one(attributes_of(Shop(rows, [product(name, category=name) for name in names]), ASOF))
    assert [row[f"top_category_{k}"] for k in (1, 2, 3)] == ["d", "a", "b"]


def test_novelty_is_the_share_of_recent_types_never_bought_before():
    rows = [event("a", 1, product_id="milk"), event("a", 135, product_id="milk"), event("a", 136, product_id="soap")]
    assert one(attributes_of(Shop(rows, CATALOGUE), ASOF))["novelty_share"] == 0.5


def test_price_tier_compares_with_the_others_only():
    mine = [event("a", d, product_id="milk", revenue_cents=150) for d in range(4)]
    others = [event(c, d, product_id="milk", revenue_cents=100) for c in "bc" for d in range(4)]
    frame = attributes_of(Shop(mine + others, CATALOGUE), ASOF)
    assert one(frame, "a")["price_tier"] == pytest.approx(1.5)
    assert one(frame, "b")["price_tier"] == pytest.approx(100 / 125)


def test_discounts_and_coupons():
    rows = [event("a", d, order_id=f"{d}", revenue_cents=80, shelf_cents=20) for d in (1, 2)]
    rows.append(event("a", 3, order_id="3", revenue_cents=90, coupon_cents=10, list_cents=100))
    row = one(attributes_of(Shop(rows), ASOF))
    assert row["deal_share"] == pytest.approx(2 / 3)
    assert row["discount_share"] == pytest.approx(50 / 300)
    assert row["coupon_share"] == pytest.approx(1 / 3)


def test_hours_and_weekdays_are_the_shops_own():
    shop = Shop([event("a", 7 * k + 2 / 24) for k in range(3)])  # Mondays, 02:00 UTC
    here = room.ProfileSettings(zone="America/New_York")
    row = one(attributes_of(shop, ASOF))
    assert (row["top_weekday"], row["top_hour"]) == (1, 2)
    row = one(attributes_of(shop, ASOF, settings=here))
    assert (row["top_weekday"], row["top_hour"], row["weekend_share"], row["evening_share"]) == (7, 22, 1.0, 1.0)


def test_channels_and_stores():
    rows = [event("a", k, store_id=s, channel="web") for k, s in enumerate(("x", "x", "y"))]
    row = one(attributes_of(Shop(rows), ASOF))
    assert (row["top_store"], row["store_count"], row["top_store_share"]) == ("x", 2, pytest.approx(2 / 3))
    assert (row["top_channel"], row["channel_count"]) == ("web", 1)


def test_views_carts_and_their_purchases():
    rows = [event("a", 0, kind="view", product_id="p1"), event("a", 138, kind="view", product_id="p2")]
    rows += [event("a", 0.5, kind="add_to_cart", product_id="p1"), event("a", 1, product_id="p1")]
    row = one(attributes_of(Shop(rows), ASOF))
    assert (row["views_total"], row["views_4w"], row["carts_4w"], row["carts_16w"]) == (2, 1, 0, 0)
    assert row["view_recency_days"] == pytest.approx(2)
    assert 0.4 < row["view_to_purchase"] < 0.6
    assert row["view_to_purchase_se"] > 0


def test_how_long_they_look_and_what_they_put_into_the_cart_have_an_error():
    rows = [event("a", k, kind="view", product_id=f"p{k}", dwell_s=s) for k, s in enumerate((10.0, 20.0, 30.0))]
    rows += [event("a", 3, kind="add_to_cart", product_id="p0"), event("b", 4, kind="view", product_id="p1")]
    frame = attributes_of(Shop(rows), ASOF)
    a, b = one(frame, "a"), one(frame, "b")
    assert (a["dwell_mean_s"], a["dwell_mean_s_se"]) == (20, pytest.approx(10 / 3**0.5))
    assert (b["dwell_mean_s"], b["dwell_mean_s_se"]) == (None, None)
    assert 0 < b["view_to_cart"] < a["view_to_cart"] < 1
    assert a["view_to_cart_se"] > 0
    told = describe(a, lambda cents: f"${cents / 100:.2f}")
    assert "Looks at a product for 20.0 seconds (+- 5.8 seconds) on average." in told
    bare = attributes_of(Shop([event("a", 0, kind="view", product_id="p1")]), ASOF)
    assert one(bare)["view_to_cart"] is None  # the shop has no carts


def test_clicks_on_what_was_shown_are_a_rate_with_an_error_and_visits_are_counted():
    minute = 1 / 1440
    rows = [event("a", day, kind="impression", product_id=f"p{day % 4}") for day in range(100, 120)]
    rows += [event("a", day + 2 * minute, kind="view", product_id=f"p{day % 4}") for day in range(100, 106)]
    rows += [
        event("a", day + 5 * minute, kind="view", product_id=f"p{day % 4}") for day in range(100, 106)
    ]  # once more
    rows += [event("a", 110 + 40 * minute, kind="view", product_id="p2")]  # too late to be because of that
    rows += [event("a", 111 + 2 * minute, kind="view", product_id="p9")]  # never shown
    rows += [event("b", day, kind="impression", product_id="p1") for day in range(100, 120)]
    frame = attributes_of(Shop(rows), ASOF)
    a, b = one(frame, "a"), one(frame, "b")
    assert (a["impressions_total"], a["sessions_total"], a["sessions_4w"]) == (20, 21, 8)
    assert b["click_rate"] < 6 / 20 * 0.5 < 0.2 < a["click_rate"] <= 6 / 20
    assert 0 < a["click_rate_se"] < 0.15
    told = describe(a, lambda cents: f"${cents / 100:.2f}")
    assert any(each.startswith("Clicks on ") and "(+- " in each for each in told)
    bare = one(attributes_of(Shop([event("a", 0, kind="view", product_id="p1")]), ASOF))
    assert (bare["click_rate"], bare["impressions_total"], bare["sessions_total"]) == (None, None, 1)
    sold = one(attributes_of(Shop([event("a", 0)]), ASOF))
    assert (sold["sessions_total"], sold["sessions_4w"]) == (None, None)


def test_a_session_that_the_log_names_is_one_visit_however_long_it_takes():
    rows = [event("a", day, kind="view", product_id="p1", order_id="s1") for day in (100, 100.2, 100.4)]
    rows += [event("a", 100.401, kind="view", product_id="p1", order_id="s2")]
    assert one(attributes_of(Shop(rows), ASOF))["sessions_total"] == 2


def test_what_was_bought_before_it_was_looked_at_is_no_answer_to_the_look():
    rows = [event("a", 0, product_id="p1"), event("a", 1, kind="view", product_id="p1")]
    rows += [
        event("b", 0, kind="view", product_id="p1"),
        event("b", 1, product_id="p1"),
        event("b", 2, product_id="p1"),
    ]
    frame = attributes_of(Shop(rows), ASOF)
    assert one(frame, "a")["view_to_purchase"] < one(frame, "b")["view_to_purchase"]


def test_coupon_history_counts_only_ended_campaigns_in_the_rate():
    def sent(campaign, customer, start, end):
        when = {"start_ms": MONDAY + start * DAY_MS, "end_ms": MONDAY + end * DAY_MS}
        return {"campaign_id": campaign, "customer_id": customer, "kind": "A", **when}

    exposures = [sent(f"c{k}", c, 10 * k, 10 * k + 5) for k in range(5) for c in "ab"]
    exposures += [sent("running", c, 139, 150) for c in "ab"]
    used = [
        {"customer_id": "a", "campaign_id": f"c{k}", "coupon_id": "x", "ts_ms": MONDAY + 10 * k * DAY_MS}
        for k in (0, 1, 2)
    ]
    used.append({"customer_id": "a", "campaign_id": "c4", "coupon_id": "x", "ts_ms": ASOF})  # too late to be known
    shop = Shop([event(c, 0) for c in "abz"], (), exposures, used)
    frame = attributes_of(shop, ASOF)
    a, b, z = (one(frame, c) for c in "abz")
    assert (a["exposures_total"], a["redemptions_total"], a["redemption_recency_days"]) == (6, 3, 120)
    assert (z["exposures_total"], z["redemptions_total"], z["redemption_recency_days"]) == (0, 0, None)
    shared = room.PopulationSums.start([ASOF])
    rates = room.AGGREGATION_STEPS[0](shop.shard(), shared, SETTINGS)["rates"].filter(asof_ms=ASOF, rate="redemption")
    prior = rate_prior(rates).row(0, named=True)
    assert prior["mean"] == pytest.approx(3.5 / 11)  # 3 answers to 10 ended campaigns, half an answer added
    s, p = prior["strength"], prior["mean"]
    assert a["redemption_rate"] == pytest.approx((3 + s * p) / (5 + s))
    assert b["redemption_rate"] < z["redemption_rate"] == pytest.approx(p)
    assert z["redemption_rate_se"] > a["redemption_rate_se"]


def test_the_shops_rate_is_nobodys_when_nobody_had_a_trial():
    row = one(attributes_of(Shop([event("a", 0)], (), [], []), ASOF))
    assert (row["exposures_total"], row["redemption_rate"]) == (0, None)


def test_what_customers_told_is_joined_and_the_table_keeps_its_contract():
    shop = Shop([event("a", 0), event("b", 1)])
    told = shop.connection.sql(
        "select 'a' as customer_id, 'Ann' as name, 'F' as sex, '40' as age, true as consent, 7 as pets"
    )
    frame = room.build_profiles(shop.shard(), shop.moments([ASOF]), shop.shared([ASOF]), SETTINGS, told)
    assert PROFILES.check(frame)["name"].to_list() == ["Ann", None]
    assert "pets" not in frame.columns


def test_every_attribute_has_a_sentence_and_every_sentence_an_attribute():
    names = {c.name for c in PROFILES.columns if not c.name.endswith("_se")} - {"customer_id", "asof_ms"}
    assert set(SENTENCES) == names
    assert all(c.meaning for c in PROFILES.columns)


def test_sentences_say_value_unit_and_error_and_nothing_where_nothing_is_known():
    money = "${:.2f}".format
    row = {
        "recency_days": 3.0,
        "deal_share": 0.25,
        "top_weekday": 6,
        "redemption_rate": 0.1,
        "redemption_rate_se": 0.04,
    }
    row |= {"revenue_4w_cents": 1234, "cadence_days": None, "orders_4w": 2, "price_tier": 1.1, "price_tier_se": 0.06}
    said = describe(row, lambda cents: money(cents / 100))
    assert "Last ordered 3.0 days ago." in said
    assert "Spent $12.34 in the last 4 weeks." in said
    assert "25 % of the lines were bought at a shelf discount." in said
    assert "Is most often active on Saturday." in said
    assert "Placed 2 orders in the last 4 weeks." in said
    assert "Answers 10 % (+- 4 %) of the campaigns." in said
    assert "Pays 1.10 (+- 0.06) times what others pay for the same types of product." in said
    assert sentence(row, "cadence_days", str) is None
