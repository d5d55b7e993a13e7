"""Which true reason an offer has for a customer, and when there must be none."""

import polars as pl
import pytest

from promolift.core.messages import ANGLES, add_angles, event_reason, find_live_angle, may_give_reason
from promolift.core.messages.angles import ANGLE_RULES, REMINDER_ANGLES, SeenItem, angle_holds
from promolift.foundation.time.clock import DAY_MS, HOUR_MS

NOW = 1_767_571_200_000
TEA = {"customer_id": "a", "offer_id": "o", "target": "tea", "scope": "category", "kind": "category", "asof_ms": NOW}
FITS = {
    "just_bought": {"scope": "product", "bought_key": "p1", "bought_ms": NOW - 2 * DAY_MS},
    "viewed_not_bought": {"view_ms": NOW - 3 * HOUR_MS},
    "cart_left": {"cart_ms": NOW - 2 * HOUR_MS},
    "replenish_due": {"orders": 4, "gap_days": 10.0, "due_in_days": 1.0},
    "pair_you_buy": {"target": "tea ++ milk", "pair_orders": 3, "pair_recency_days": 60},
    "favourite": {"top_category_2": "tea", "bought": True},
    "lapsed_category": {"orders": 5, "gap_days": 10.0, "due_in_days": -11.0},
    "win_back": {"recency_days": 61.0, "cadence_days": 20.0},
    "loyalty_thanks": {"tenure_days": 400.0, "orders_total": 50},
    "coupon_returner": {"redemption_recency_days": 60.0},
    "first_coupon": {"exposures_total": 0},
    "basket_nudge": {"min_spend_cents": 5000, "basket_median_cents": 4000.0, "basket_p90_cents": 6000.0},
    "try_new": {"bought": False},
}
MISSES = {
    "just_bought": [{"bought_ms": NOW - 4 * DAY_MS}, {"bought_key": "tea"}, {"scope": "category"}],
    "viewed_not_bought": [{"view_ms": NOW - 1000}, {"view_ms": NOW - 15 * DAY_MS}, {"view_ms": None}],
    "cart_left": [{"cart_ms": NOW - 73 * HOUR_MS}, {"cart_ms": NOW - 1000}],
    "replenish_due": [{"orders": 2}, {"gap_days": 1.0}, {"gap_days": 91.0}, {"due_in_days": 5.0}],
    "pair_you_buy": [{"pair_orders": 2}, {"target": "tea"}, {"pair_recency_days": 61}],
    "favourite": [{"top_category_2": "milk"}, {"bought": False}],
    "lapsed_category": [{"due_in_days": -9.0}, {"orders": 2}],
    "win_back": [{"recency_days": 60.0}, {"recency_days": 29.0, "cadence_days": 1.0}],
    "loyalty_thanks": [{"tenure_days": 364.0}, {"orders_total": 49}],
    "coupon_returner": [{"redemption_recency_days": 61.0}],
    "first_coupon": [{"exposures_total": 1}, {"exposures_total": None}],
    "basket_nudge": [{"min_spend_cents": 4000}, {"min_spend_cents": 6001}],
    "try_new": [{"bought": True}, {"bought": None}],
}


def angles(**row: object) -> list[str]:
    return add_angles(pl.DataFrame([TEA | row]))["angles"][0].to_list()


def test_every_angle_is_tried_here_and_says_what_it_may_never_say():
    assert set(FITS) | {"generic"} | REMINDER_ANGLES == set(ANGLES) == set(ANGLE_RULES)
    assert set(FITS) == set(MISSES)


@pytest.mark.parametrize("angle", FITS)
def test_an_angle_fits_where_its_condition_holds(angle):
    assert angle in angles(**FITS[angle])


@pytest.mark.parametrize(("angle", "change"), [(angle, change) for angle, every in MISSES.items() for change in every])
def test_an_angle_fits_nowhere_else(angle, change):
    assert angle not in angles(**(FITS[angle] | change))


PASSING = {"due_in_days": -1, "recency_days": 1, "tenure_days": 1, "redemption_recency_days": 1}  # change in a day


@pytest.mark.parametrize("angle", FITS)
def test_an_angle_holds_later_as_long_as_its_condition_would_hold_then(angle):
    row = TEA | FITS[angle]
    until_ms = add_angles(pl.DataFrame([row]))["angle_until_ms"].item()
    for day in range(1, 70):
        then = row | {"asof_ms": NOW + day * DAY_MS} | {k: row[k] + n * day for k, n in PASSING.items() if k in row}
        assert (angle in angles(**then)) == angle_holds(angle, until_ms, NOW + day * DAY_MS, False, False), day


def test_a_purchase_ends_what_says_that_there_was_none():
    ended = {angle for angle in ANGLES if not angle_holds(angle, None, NOW, True, True)}
    assert ended == {
        "viewed_not_bought", "cart_left", "replenish_due", "lapsed_category", "try_new", "win_back", "first_coupon",
    }  # fmt: skip
    assert {angle for angle in ANGLES if not angle_holds(angle, None, NOW, True, False)} == {"win_back", "first_coupon"}


def test_without_any_of_it_the_offer_stands_for_itself():
    told = add_angles(pl.DataFrame([TEA]))
    assert told["angle"].to_list() == ["generic"]
    assert told["angles"].to_list() == [[]]


@pytest.mark.parametrize("angle", FITS)
@pytest.mark.parametrize(
    "private", [{"target": "baby food ++ tea"}, {"target": "LIQUOR"}, {"within": "ANALGESICS"}, {"personal": False}]
)
def test_private_goods_and_a_customer_who_refused_give_no_reason(angle, private):
    told = add_angles(pl.DataFrame([TEA | FITS[angle] | private]))
    assert told["angle"].to_list() == ["generic"]


@pytest.mark.parametrize("private", [{"bought_key": "Red Wine"}, {"bought_within": "FAMILY PLANNING"}])
def test_a_private_purchase_is_no_reason(private):
    assert "just_bought" not in angles(**(FITS["just_bought"] | private))


def test_what_speaks_of_the_goods_goes_before_what_speaks_of_the_customer():
    both = FITS["win_back"] | FITS["replenish_due"]
    assert add_angles(pl.DataFrame([TEA | both]))["angle"].to_list() == ["replenish_due"]


def test_what_just_happened_is_told_and_habits_are_not_told_twice():
    assert event_reason("just_bought", "tea", "milk") == "just bought milk"
    assert event_reason("cart_left", "tea") == "left tea in the cart"
    assert event_reason("favourite", "tea") is None


def seen(key: str, minutes: int, category: str | None = None) -> SeenItem:
    return SeenItem(key, category, NOW - minutes * 60_000)


def test_the_worked_case_from_events_of_the_last_minutes():
    """Viewed 1 and 2, bought 1: the offer on 2 is for somebody who just bought 1."""
    viewed = [seen("1", 9), seen("2", 7)]
    found = find_live_angle(["2"], [seen("1", 1)], viewed, [], NOW)
    assert found is not None
    assert (found.angle, found.bought and found.bought.key) == ("just_bought", "1")


@pytest.mark.parametrize(
    ("bought", "viewed", "cart", "angle"),
    [
        ([], [seen("2", 5)], [], "viewed_not_bought"),
        ([], [seen("2", 5)], [seen("2", 4)], "cart_left"),
        ([seen("2", 3)], [seen("2", 5)], [], None),
        ([], [seen("3", 5)], [], None),
        ([seen("condoms", 2)], [], [], None),
        ([seen("x", 2, "LIQUOR")], [], [], None),
        ([seen("1", 2, "tea"), seen("condoms", 1)], [], [], "just_bought"),
        ([seen("1", 5 * 24 * 60)], [], [], None),
    ],
)
def test_events_of_the_last_minutes(bought, viewed, cart, angle):
    found = find_live_angle(["2"], bought, viewed, cart, NOW)
    assert (found.angle if found else None) == angle


def test_the_same_rules_hold_live():
    assert may_give_reason("tea", "category")
    assert not may_give_reason("tea", "category", personal=False)
    assert not may_give_reason("LIQUOR ++ tea", "category")
    assert not may_give_reason("p1", "product", "FAMILY PLANNING")
