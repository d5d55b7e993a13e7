"""Laws of a cart's price: equal to a brute-force oracle, blind to order, never below zero, every cent accounted for."""

import random
import runpy
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest
from error_checks import raises_code
from hypothesis import given, settings
from hypothesis import strategies as st

from promolift.core.offers.cart_pricing import Cart, CartLine, Promotion, price_cart
from promolift.core.offers.terms import Benefit

DRAWN = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "core" / "cart.py"))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEA = CartLine("1", "tea", "drinks", 3, 500)
CUP = CartLine("2", "cup", "kitchen", 1, 1200)


def promotion(kind: str, name: str = "o", **more: object) -> Promotion:
    """A promotion of this kind; keys of the benefit and of the promotion may be mixed."""
    own = {key: value for key, value in more.items() if key in Benefit.model_fields}
    rest = {key: value for key, value in more.items() if key not in own}
    return Promotion.parse({"id": name, "benefit": {"type": kind, **own}, **rest}, "test")


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_equal_to_the_oracle_and_no_order_matters(seed: int) -> None:
    """Totals, lines and promotions are those of an independent search; shuffled input changes nothing."""
    draw = random.Random(seed)
    cart = DRAWN["drawn_cart"](draw)
    held = [DRAWN["drawn_promotion"](draw, f"o{k}") for k in range(draw.randint(0, 4))]
    priced = price_cart(cart, held, DRAWN["NOW"])
    off, delivery, used = DRAWN["oracle"](cart, held)
    full = {line.line_id: line.quantity * line.unit_cents for line in cart.lines}
    assert {key: full[key] - cents for key, cents in priced.line_cents.items()} == off
    assert (priced.shipping_off_cents, [applied.promotion_id for applied in priced.applied]) == (delivery, used)
    shuffled = Cart(draw.sample(cart.lines, len(cart.lines)), cart.shipping_cents, cart.most_off_cents)
    assert price_cart(shuffled, draw.sample(held, len(held)), DRAWN["NOW"]) == priced


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**63), choose=st.sampled_from(["best", "priority"]))
def test_every_cent_is_accounted_for(seed: int, choose: str) -> None:
    """Allocations add up, no line falls below zero, the cap holds, each promotion is applied or refused, once."""
    draw = random.Random(seed)
    cart = DRAWN["drawn_cart"](draw)
    held = [DRAWN["drawn_promotion"](draw, f"o{k}") for k in range(draw.randint(0, 6))]
    priced = price_cart(cart, held, DRAWN["NOW"], choose)  # type: ignore[arg-type]
    for applied in priced.applied:
        assert sum(applied.allocation.values()) == applied.discount_cents
    assert all(cents >= 0 for cents in priced.line_cents.values())
    assert sum(priced.line_cents.values()) == priced.subtotal_cents - priced.discount_cents
    assert 0 <= priced.total_cents <= priced.subtotal_cents + priced.shipping_cents
    if cart.most_off_cents is not None:
        assert priced.discount_cents + priced.shipping_off_cents <= cart.most_off_cents
    stacking = {each.id: each.stacking for each in held}
    for one, other in combinations([stacking[each.promotion_id] for each in priced.applied], 2):
        assert one.category != other.category or (one.joint and other.joint)
    named = [each.promotion_id for each in (*priced.applied, *priced.refused)]
    assert sorted(named) == sorted(each.id for each in held)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_no_cart_gets_more_than_an_offer_can_take_off_an_order_of_that_worth(seed: int) -> None:
    draw = random.Random(seed)
    cart = DRAWN["drawn_cart"](draw)
    held = DRAWN["drawn_promotion"](draw, "o")
    worth = sum(line.quantity * line.unit_cents for line in cart.lines) + cart.shipping_cents
    priced = price_cart(cart, [held], DRAWN["NOW"])
    if priced.applied:
        assert worth >= held.min_spend_cents
        off = priced.discount_cents + priced.shipping_off_cents
        assert off <= held.benefit.most_off_cents(worth, held.min_spend_cents)


def test_the_most_an_offer_takes_off_is_what_some_cart_gets() -> None:
    one, twice = CartLine("1", "tea", "drinks", 1, 900), CartLine("1", "tea", "drinks", 2, 900)
    for held, lines, delivery in (
        (promotion("percent_off", percent=15), [one], 0),
        (promotion("percent_off", percent=15, max_discount_cents=100), [one], 0),
        (promotion("amount_off", amount_cents=300, min_spend_cents=900), [one], 0),
        (promotion("free_shipping", min_spend_cents=900), [one], 499),
        (promotion("fixed_price", price_cents=700, scope="product", covers=["tea"], min_spend_cents=900), [one], 0),
        (promotion("buy_x_get_y", buy=1, get=1), [twice], 0),
        (promotion("exchange", price_cents=200, product_id="mug", min_spend_cents=900),
         [one, CartLine("2", "mug", "kitchen", 1, 600)], 0),
    ):  # fmt: skip
        worth = sum(line.quantity * line.unit_cents for line in lines) + delivery
        priced = price_cart(Cart(lines, delivery), [held], NOW)
        off = priced.discount_cents + priced.shipping_off_cents
        assert off == held.benefit.most_off_cents(worth, held.min_spend_cents) > 0, held


def test_a_cart_is_better_by_choice_than_by_priority() -> None:
    """Exclusive promotions: the best takes more off, the priority decides where it is asked to."""
    held = [
        promotion("percent_off", "ten", percent=10, stacking={"priority": 5}),
        promotion("amount_off", "five", amount_cents=500),
    ]
    assert [a.promotion_id for a in price_cart(Cart([TEA, CUP]), held, NOW).applied] == ["five"]
    by_priority = price_cart(Cart([TEA, CUP]), held, NOW, "priority")
    assert [a.promotion_id for a in by_priority.applied] == ["ten"]
    assert by_priority.refused[0].reason == "not_stackable"
    assert by_priority.refused[0].beside == ("ten",)


@pytest.mark.parametrize(
    "given", [promotion("gift", product_id="mug"), promotion("points", points=50), promotion("gift", product_id="cup")]
)
def test_a_gift_of_no_stated_worth_is_given(given: Promotion) -> None:
    """Nothing is lost by it; money off goes first where both cannot stand."""
    assert [each.promotion_id for each in price_cart(Cart([TEA]), [given], NOW).applied] == ["o"]
    money = promotion("percent_off", "money", percent=5)
    assert [each.promotion_id for each in price_cart(Cart([TEA]), [given, money], NOW).applied] == ["money"]


def test_what_is_nearly_reached() -> None:
    """8.50 more for free delivery; one more unit for the free one; the nearest first."""
    held = [
        promotion("free_shipping", "delivery", min_spend_cents=3550),
        promotion("buy_x_get_y", "three", buy=3, get=1, scope="product", covers=["tea"], stacking={"category": "tea"}),
    ]
    near = price_cart(Cart([TEA, CUP], 499), held, NOW).nearly
    assert [(no.promotion_id, no.missing_cents, no.missing_units) for no in near] == [
        ("three", 0, 1),
        ("delivery", 850, 0),
    ]


@pytest.mark.parametrize(
    ("held", "lines"),
    [
        (promotion("buy_x_get_y", buy=2, get=1), {"1": 1000, "2": 1200}),  # the cheapest is free
        (promotion("fixed_price", price_cents=400, max_times=2, scope="product", covers=["tea"]),
         {"1": 1300, "2": 1200}),
        (promotion("fixed_price", price_cents=1000, scope="category", covers=["drinks", "kitchen"], joined="together"),
         {"1": 1294, "2": 706}),
        (promotion("percent_off", percent=50, scope="category", covers=["drinks", "kitchen"], joined="together"),
         {"1": 1250, "2": 600}),
        (promotion("exchange", product_id="cup", price_cents=100, min_spend_cents=1500), {"1": 1500, "2": 100}),
        (promotion("exchange", product_id="cup", price_cents=100, min_spend_cents=1501), {"1": 1500, "2": 1200}),
        (promotion("percent_off", percent=20, max_discount_cents=100), {"1": 1444, "2": 1156}),
    ],
)  # fmt: skip
def test_what_each_benefit_does(held: Promotion, lines: dict[str, int]) -> None:
    """Worked by hand: three teas at 5.00 and a cup at 12.00."""
    assert price_cart(Cart([TEA, CUP]), [held], NOW).line_cents == lines


@pytest.mark.parametrize(
    ("values", "facts"),
    [
        ({"type": "percent_off"}, ("percent_off", "percent,")),
        ({"type": "gift", "product_id": "p", "percent": 5}, ("percent ", "gift", "product_id")),
        ({"type": "buy_x_get_y", "buy": 2}, ("buy_x_get_y", "get,")),
    ],
)
def test_a_benefit_that_says_nothing_is_refused(values: dict[str, object], facts: tuple[str, ...]) -> None:
    """The message names the type and the field."""
    with raises_code("setting_invalid", *facts):
        Benefit.parse(values, "benefit")


def test_strange_carts_are_refused() -> None:
    """The same line twice has no one price."""
    with raises_code("rows_duplicate", "line_id"):
        Cart([TEA, TEA])
    with raises_code("value_invalid", "quantity", "1"):
        Cart([TEA._replace(quantity=0)])
