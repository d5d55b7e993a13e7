"""What menu lines would have done to past baskets: the cart's own price, added up by customer, whatever the order."""

import random
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.effects import ValueSettings, add_effects
from promolift.core.effects.offer_value.discount_response import DiscountResponse
from promolift.core.offers import MenuItem, OfferRules, list_candidates
from promolift.core.offers.cart_pricing import Cart, price_cart
from promolift.core.offers.order_replay import (
    mean_per_order,
    menu_promotion,
    past_orders,
    replay_order,
    replay_orders,
    total_replays,
)
from promolift.foundation.tables.schemas import CANDIDATES

MUG = {"zh": "马克杯", "en": "mug"}
LINES = {
    "member": {"benefit": {"type": "fixed_price", "price_cents": 400}, "scope": "category", "covers": ["tea"]},
    "third": {"benefit": {"type": "buy_x_get_y", "buy": 2, "get": 1}, "scope": "category", "covers": ["tea"]},
    "mug": {"benefit": {"type": "gift", "product_id": "mug", "item": MUG}, "min_spend_cents": 3000,
            "benefit_cost_cents": 250},
    "points": {"benefit": {"type": "points", "points": 100}, "min_spend_cents": 2000, "benefit_cost_cents": 100},
    "cup-990": {"benefit": {"type": "exchange", "product_id": "cup", "item": MUG, "price_cents": 990},
                "min_spend_cents": 2500, "benefit_cost_cents": 600},
    "tea-3": {"benefit": {"type": "amount_off", "amount_cents": 300}, "scope": "category", "covers": ["tea"],
              "min_spend_cents": 1000},
}  # fmt: skip
MENU = [MenuItem.parse({"id": name, **values}, name) for name, values in LINES.items()]


def orders_of(seed: int, customers: int = 3) -> pl.DataFrame:
    """Baskets of tea, bread and cups."""
    draw = random.Random(seed)
    rows = [
        (f"c{n}", f"o{n}-{k}", product, {"green": "tea", "black": "tea", "bun": "bread", "cup": "kitchen"}[product],
         float(draw.randint(1, 4)), float(draw.randint(1, 4) * draw.choice([300, 500, 900])))
        for n in range(customers)
        for k in range(draw.randint(1, 4))
        for product in draw.sample(["green", "black", "bun", "cup"], draw.randint(1, 4))
    ]  # fmt: skip
    names = ["customer_id", "order_id", "product_id", "category", "quantity", "list_cents"]
    return pl.DataFrame(rows, names, orient="row").sort(names[:3])


@given(st.integers(0, 2**32))
def test_what_a_line_takes_off_is_the_carts_price_of_each_order(seed: int) -> None:
    rows = orders_of(seed)
    sums = replay_orders(past_orders(rows), MENU, 500).select("customer_id", "menu_id", "off_cents")
    found = {(who, line): off for who, line, off in sums.iter_rows()}
    for who in rows["customer_id"].unique():
        for item in MENU[:2]:
            off = 0
            for order in past_orders(rows.filter(pl.col("customer_id") == who)):
                off += price_cart(Cart(order.lines), [menu_promotion(item)], datetime.now(UTC)).discount_cents
            assert found[who, item.id] == off


def test_each_kind_in_one_order_by_hand() -> None:
    """Two teas at 5.00, a bun at 3.00 and a cup at 12.00: 25.00."""
    lines = [("tea-a", "tea", 2, 1000.0), ("bun", "bread", 1, 300.0), ("cup", "kitchen", 1, 1200.0)]
    names = ["customer_id", "order_id", "product_id", "category", "quantity", "list_cents"]
    rows = pl.DataFrame([("a", "1", *line) for line in lines], names, orient="row")
    (order,) = past_orders(rows)
    found = {item.id: replay_order(order.lines, menu_promotion(item), 500) for item in MENU}
    assert found["member"] == (True, 200, 1000, 0)  # each tea at 4.00
    assert found["third"] == (False, 0, 1000, 500)  # one more tea
    assert found["mug"] == (False, 0, 2500, 500)  # 5.00 more
    assert found["points"] == (True, 0, 2500, 0)
    assert found["cup-990"] == (False, 0, 1300, 1200)  # the cup is what is exchanged, and no part of what is asked for
    assert found["tea-3"] == (True, 300, 1000, 0)


def valued(menu: list[MenuItem], orders: pl.DataFrame, margin: float = 0.4, **prior: float) -> pl.DataFrame:
    """Candidates of the customers of `orders` on `menu`, valued as the plan does."""
    settings = ValueSettings(margin_rate=margin, stretch_share=prior.pop("stretch_share", 0.3))
    response = DiscountResponse(level="assumed", why="nothing was read", beta=0.0, beta_se=0.0, **prior)  # type: ignore[arg-type]
    ids = orders["customer_id"].unique().sort()
    people = pl.DataFrame({
        "customer_id": ids, "price_sensitivity": 0.0, "orders_expected": 2.0, "basket_mean_cents": 2500.0,
        "basket_sd_cents": 900.0, "online": True,
    })  # fmt: skip
    targets = pl.DataFrame({
        "customer_id": ids, "target": "tea", "scope": "category", "kind": "category", "base_cents": 900.0,
        "base_se_cents": 10.0, "buy_prob": 0.6, "bought": True, "margin_rate": margin,
    })  # fmt: skip
    resting = pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})
    listed = list_candidates(people, targets, menu, OfferRules(), resting)
    lowers = [item.benefit.type in ("fixed_price", "buy_x_get_y") for item in menu]
    own = pl.DataFrame({
        "menu_id": [item.id for item in menu], "use_cost_cents": [item.benefit_cost_cents for item in menu],
        "use_worth_cents": [item.benefit_cost_cents or 0.0 for item in menu], "lowers": lowers,
    })  # fmt: skip
    found = replay_orders(past_orders(orders), menu, 500)
    replays = mean_per_order(found, total_replays(found)).join(own, on="menu_id")
    return add_effects(listed.join(replays, on=["customer_id", "menu_id"], how="left"), response, None, settings)


def test_the_expected_cost_is_what_the_cart_would_have_taken_off_past_orders() -> None:
    """Without a response and without topping up, a member price costs its share of the orders to come."""
    rows = orders_of(7, customers=40)
    found = valued([MENU[0]], rows, stretch_share=0.0, prior_response=0.0)
    off, orders = 0.0, 0
    for order in past_orders(rows):
        off += price_cart(Cart(order.lines), [menu_promotion(MENU[0])], datetime.now(UTC)).discount_cents
        orders += 1
    offered = found.filter(pl.col("menu_id") == "member")
    assert offered["evidence"].unique().to_list() == ["assumed"]
    assert offered["gain_cents"].max() <= 0.0  # type: ignore[operator]
    whole = 2.0 * off / orders * offered.height
    assert offered["cost_cents"].sum() == pytest.approx(whole, rel=0.1)  # customers count alike, whatever their orders
    assert CANDIDATES.check(found.select(list(CANDIDATES.schema))).height == found.height


def test_every_kind_has_a_cost_and_a_gain_that_a_larger_margin_raises() -> None:
    rows = orders_of(11, customers=40)
    thin, thick = (valued(MENU, rows, margin) for margin in (0.4, 0.9))
    for item in MENU:
        low, high = (each.filter(pl.col("menu_id") == item.id) for each in (thin, thick))
        assert low["cost_cents"].null_count() == 0
        assert (low["cost_cents"] >= 0).all()
        assert np.isfinite(low["gain_se_cents"].to_numpy()).all()
        assert high["gain_cents"].sum() > low["gain_cents"].sum()


def test_a_gift_costs_its_cost_once_for_each_customer_who_reaches_it() -> None:
    sure = pl.DataFrame({
        "customer_id": ["a"] * 40, "order_id": [f"{k:02d}" for k in range(40)], "product_id": "cup",
        "category": "kitchen", "quantity": 1.0, "list_cents": 9000.0,
    })  # fmt: skip
    found = valued([MENU[2]], sure, prior_response=0.0)
    (cost,) = found.filter(pl.col("menu_id") == "mug")["cost_cents"]
    assert cost == pytest.approx(250 * (1 - np.exp(-2.0)), rel=0.01)


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"benefit": {"type": "fixed_price", "price_cents": 400}}, ("fixed price", "covers")),
        ({"benefit": {"type": "fixed_price", "price_cents": 400}, "scope": "category"}, ("percent_off", "covers")),
        ({"benefit": {"type": "gift", "item": MUG}, "benefit_cost_cents": 2}, ("gift", "item", "product_id")),
        ({"benefit": {"type": "points", "points": 5}}, ("benefit_cost_cents", "is points")),
        ({"benefit": {"type": "percent_off", "percent": 5}, "covers": ["tea"]}, ("covers", "scope")),
        (
            {"benefit": {"type": "percent_off", "percent": 5}, "benefit_cost_cents": 5},
            ("benefit_cost_cents", "is percent_off"),
        ),
    ],
)
def test_a_line_that_cannot_be_valued_says_what_it_needs(values: dict[str, object], facts: tuple[str, ...]) -> None:
    with raises_code("setting_invalid", "menu", *facts):
        MenuItem.parse({"id": "x", **values}, "menu")
