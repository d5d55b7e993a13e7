"""Which offers a customer could get, why not the others, and how an offer is printed."""

from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from error_checks import raises_code
from pydantic import ValidationError

from promolift.core.offers import DEFAULT_MENU, MenuItem, OfferRules, list_candidates, make_offer, offer_id
from promolift.core.offers.terms import Activation, Benefit, Offer
from promolift.foundation.localized_text import LocalizedText
from promolift.foundation.tables.schemas import CANDIDATES

MENU = (
    MenuItem(id="cat-20", benefit=Benefit(type="percent_off", percent=20), scope="category", supplier_share=0.5),
    MenuItem(id="viewed-20", benefit=Benefit(type="percent_off", percent=20), scope="product"),
    MenuItem(id="save-5", benefit=Benefit(type="amount_off", amount_cents=500), min_spend_cents=4000),
    MenuItem(id="delivery", benefit=Benefit(type="free_shipping"), online_only=True),
)
PROFILES = pl.DataFrame(
    {
        "customer_id": ["A", "B"], "price_sensitivity": [0.4, None], "orders_expected": [3.0, None],
        "basket_mean_cents": [4200.0, None], "basket_sd_cents": [900.0, None], "online": [False, True],
    }
)  # fmt: skip
TARGETS = pl.DataFrame(
    {
        "customer_id": ["A", "A", "A"], "target": ["tea", "fuel", "p2"], "scope": ["category", "category", "product"],
        "base_cents": [900.0, 5000.0, 80.0], "base_se_cents": [10.0, 10.0, 5.0], "buy_prob": [0.5, 0.9, 0.02],
        "bought": [True, True, False], "margin_rate": [0.3, 0.3, 0.3],
    }
)  # fmt: skip
RULES = OfferRules()
NO_REST = pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})


def listed(rules: OfferRules = RULES, resting: pl.DataFrame = NO_REST) -> dict[tuple[str, str, str | None], str | None]:
    frame = CANDIDATES.check(list_candidates(PROFILES, TARGETS, MENU, rules, resting))
    return {(r["customer_id"], r["menu_id"], r["target"]): r["why_not"] for r in frame.iter_rows(named=True)}


def test_everybody_has_none_and_each_menu_line_its_targets() -> None:
    rows = listed()
    assert rows[("A", "none", None)] is None
    assert rows[("B", "none", None)] is None
    assert ("A", "cat-20", "tea") in rows
    assert ("B", "cat-20", "tea") not in rows  # nothing is known of B's tastes


def test_each_rule_closes_with_its_own_reason() -> None:
    rows = listed(OfferRules(excluded=("fuel",)))
    assert rows[("A", "cat-20", "tea")] is None
    assert rows[("A", "cat-20", "fuel")] == "the shop gives no offers on this"
    assert "not plausible" in str(rows[("A", "viewed-20", "p2")])
    assert rows[("A", "delivery", None)] == "no online orders seen"
    assert rows[("B", "delivery", None)] is None
    assert "no order seen" in str(rows[("B", "save-5", None)])
    resting = pl.DataFrame({"customer_id": ["A"], "target": ["tea"]})
    assert "redeemed lately" in str(listed(resting=resting)[("A", "cat-20", "tea")])


def test_the_margin_floor_counts_only_the_shops_part_of_the_benefit() -> None:
    assert listed(OfferRules(margin_floor=0.19))[("A", "cat-20", "tea")] is None  # 0.3 - 0.2 * 0.5
    assert "margin" in str(listed(OfferRules(margin_floor=0.21))[("A", "cat-20", "tea")])


def test_only_the_largest_targets_of_a_scope_are_kept() -> None:
    rows = listed(OfferRules(top_targets=1))
    assert ("A", "cat-20", "fuel") in rows
    assert ("A", "cat-20", "tea") not in rows
    assert ("A", "viewed-20", "p2") in rows


def test_an_untried_line_is_on_what_was_never_bought_however_much_more_others_are_worth() -> None:
    new = TARGETS.filter(target="tea").with_columns(
        target=pl.lit("cake"), base_cents=pl.lit(20.0), buy_prob=pl.lit(0.05), bought=pl.lit(False)
    )
    line = MenuItem(id="new-10", benefit=Benefit(type="percent_off", percent=10), scope="category", untried=True)
    stated = line.model_copy(update={"id": "tea-10", "covers": ("tea",)})
    rules = OfferRules(top_targets=1)
    frame = list_candidates(PROFILES, pl.concat([TARGETS, new]), (*MENU, line, stated), rules, NO_REST)
    open_ = frame.filter("eligible").select("customer_id", "menu_id", "target").rows()
    assert ("A", "new-10", "cake") in open_
    assert [row for row in open_ if row[1] == "cat-20"] == [("A", "cat-20", "fuel")]
    assert {row[0] for row in frame.filter(menu_id="tea-10").select("customer_id").iter_rows()} == {"B"}
    with pytest.raises(ValidationError) as caught:
        MenuItem(id="all-10", benefit=Benefit(type="percent_off", percent=10), untried=True)
    assert "untried" in caught.value.errors()[0]["msg"]


def test_an_offer_lasts_through_the_end_of_its_last_local_day() -> None:
    starts = datetime(2026, 3, 1, 9, tzinfo=ZoneInfo("America/New_York"))
    offer = make_offer(MENU[0], "tea", "category", LocalizedText(zh="茶", en="tea"), starts, "USD")
    assert offer.expires.isoformat() == "2026-03-28T23:59:59-04:00"  # summer time began on the way
    assert offer.id == offer_id("cat-20", "tea") != offer_id("cat-20", "fuel")


def test_a_menu_line_that_makes_no_sense_is_refused() -> None:
    with raises_code("setting_invalid", "menu", "min_spend_cents"):
        MenuItem.parse(
            {"id": "x", "benefit": {"type": "amount_off", "amount_cents": 500}, "min_spend_cents": 400}, "menu"
        )
    with raises_code("setting_unknown", "menu", "'benefits'", "'benefit'"):
        MenuItem.parse({"id": "x", "benefits": {}}, "menu")


def test_the_default_menu_is_valid_and_its_ids_are_unique() -> None:
    assert len({item.id for item in DEFAULT_MENU}) == len(DEFAULT_MENU)


STARTS = datetime(2026, 1, 5, tzinfo=ZoneInfo("UTC"))
TEA, BOTH = LocalizedText(zh="茶", en="tea"), LocalizedText(zh="茶及咖啡", en="tea and coffee")


def test_an_offer_on_two_says_how_they_are_joined_and_no_other_does() -> None:
    pair = make_offer(MENU[0], "tea ++ coffee", "category", BOTH, STARTS, "USD")
    assert pair.joined == "each"
    assert make_offer(MENU[0], "tea", "category", TEA, STARTS, "USD").joined is None
    for joined, covers in ((None, "tea ++ coffee"), ("together", "tea")):
        with raises_code("setting_invalid", "joined"):
            Offer.parse(pair.model_dump() | {"joined": joined, "covers": covers}, "offer")


@pytest.mark.parametrize("activation", ["automatic", "code", "link"])
def test_an_offer_says_how_it_is_activated_as_its_menu_line_does(activation: Activation) -> None:
    item = MENU[0].model_copy(update={"activation": activation})
    assert make_offer(item, "tea", "category", TEA, STARTS, "USD").activation == activation


def test_the_old_word_coupon_is_refused_with_the_new_ones() -> None:
    line = {"id": "c", "benefit": {"type": "percent_off", "percent": 25}, "scope": "category", "activation": "coupon"}
    with raises_code("setting_invalid", "activation", "'coupon'", "'code'", "'link'"):
        MenuItem.parse(line, "menu")


@pytest.mark.parametrize("more", [{"min_spend_cents": 500}, {"activation": "code"}, {"scope": "category"}])
def test_a_reminder_gives_nothing_that_could_have_terms(more: dict[str, object]) -> None:
    MenuItem(id="hello", benefit=Benefit(type="reminder"))
    with raises_code("setting_invalid", "test"):
        MenuItem.parse({"id": "hello", "benefit": {"type": "reminder"}} | more, "test")


def test_a_reminder_takes_nothing_off_and_so_nothing_is_redeemed_by_it():
    assert Benefit.parse({"type": "reminder"}, "menu").most_cents == 0
    assert Benefit.parse({"type": "percent_off", "percent": 10}, "menu").most_cents is None
