"""A cart over HTTP: what a customer may use, held whole or not at all, within every limit, refusals in words."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from serve_helpers import CAMPAIGN, PEOPLE, Api, coded

from promolift.core.offers import MenuItem
from promolift.core.offers.terms import Benefit
from promolift.foundation.localized_text import Language
from promolift.server.carts.carts import benefit_text, lowers_price

PRICE, POLICY = "/v1/carts:price", f"/v1/campaigns/{CAMPAIGN}"
TEA = {"line_id": "1", "product_id": "p-tea", "quantity": 3, "price_cents": 500}
CUP = {"line_id": "2", "product_id": "cup", "quantity": 1, "price_cents": 1200, "category": "kitchen"}


def put(api: Api, name: str, **terms: Any) -> None:
    api("PUT", f"/v1/promotions/{name}", {"campaign_id": CAMPAIGN} | terms)


def cart(api: Api, who: str = "u01", **more: Any) -> Any:
    return api("POST", PRICE, {"customer_id": who, "lines": [TEA, CUP], "shipping_cents": 499} | more)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("buy", "get", "percent"), [(2, 1, 100), (1, 1, 50), (3, 2, 100), (1, 2, 30), (10, 4, 100)])
def test_the_title_of_more_for_less_names_what_is_bought_and_what_is_lowered(
    buy: int, get: int, percent: int, language: Language
) -> None:
    benefit = Benefit(type="buy_x_get_y", buy=buy, get=get, percent=percent)
    said = benefit_text(benefit, "USD", language)
    named = [int(each) for each in re.findall("[0-9]+", said)]
    assert named[0] == (buy if get > 1 or percent == 100 or language == "en" else buy + 1)
    assert (get in named) == (get > 1 or percent == 100 or language == "en")
    assert (100 in named) is False


def test_a_decided_offer_is_applied_to_what_it_covers_and_to_nothing_else(api: Api) -> None:
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    who, percent = made["customer_id"], made["offer"]["benefit"]["percent"]
    lines = [TEA | {"product_id": f"p-{made['offer']['covers']}"}, CUP]
    found = cart(api, who, lines=lines)
    (applied,) = found["applied"]
    assert applied["decision_id"] == made["decision_id"]
    assert applied["allocation"] == [{"line_id": "1", "cents": 15 * percent}]
    assert found["total_cents"] == 1500 + 1200 + 499 - 15 * percent
    assert found["currency"]
    assert applied["redemption_id"] is None
    other = next(each for each in PEOPLE if each != who)
    assert (
        cart(api, other, lines=lines, decision_ids=[made["decision_id"]])["refused"][0]["reason"] == "decision_unknown"
    )
    held = cart(api, who, lines=lines, hold=True)["applied"][0]
    assert api("GET", f"/v1/redemptions/{held['redemption_id']}")["decision_id"] == made["decision_id"]
    assert cart(api, who, lines=lines)["refused"][0]["reason"] == "code_used"
    assert cart(api, who, lines=[CUP])["refused"][0]["reason"] == "code_used"


def test_who_refused_since_gets_a_decided_offer_only_where_it_is_named(api: Api) -> None:
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    who, line = made["customer_id"], TEA | {"product_id": f"p-{made['offer']['covers']}"}
    items = [{"product_id": line["product_id"], "price_cents": 500}]

    def page(**more: Any) -> Any:
        return api("POST", "/v1/prices", {"customer_id": who, "items": items} | more)["data"][0]

    def applied(**more: Any) -> list[str]:
        return [each["promotion_id"] for each in cart(api, who, lines=[line], **more)["applied"]]

    assert page()["price_cents"] < 500
    api("POST", "/v1/identify", {"userId": who, "messageId": "no", "traits": {"personal": False}}, 202)
    assert (page()["price_cents"], page()["personal"]) == (500, False)
    assert applied() == []
    assert applied(decision_ids=[made["decision_id"]]) == applied(codes=[made["code"]]) == [made["offer_id"]]
    assert page(codes=[made["code"]])["price_cents"] < 500
    api("POST", "/v1/identify", {"userId": who, "messageId": "yes", "traits": {"personal": True}}, 202)
    assert applied() == [made["offer_id"]]


def test_a_reminder_takes_nothing_off(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = {"hello": MenuItem(id="hello", benefit=Benefit(type="reminder"))}
    release: Any = SimpleNamespace(labels={"off_hello": SimpleNamespace(menu_id="hello")}, menu=lines)
    assert not lowers_price(release, "off_hello")
    assert lowers_price(release, "off_other")
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    monkeypatch.setattr("promolift.server.carts.carts.lowers_price", lambda *_: False)
    assert cart(api, made["customer_id"])["refused"] == []
    (refused,) = cart(api, made["customer_id"], decision_ids=[made["decision_id"]])["refused"]
    assert refused["reason"] == "not_eligible"


def test_a_held_cart_reserves_what_it_takes_off_and_confirms_like_any_redemption(api: Api) -> None:
    put(api, "free", benefit={"type": "free_shipping"}, stacking={"category": "delivery"})
    put(api, "cup", benefit={"type": "fixed_price", "price_cents": 900}, scope="product", covers=["cup"])
    found = cart(api, hold=True, order_id="o1")
    cents = {each["promotion_id"]: each["discount_cents"] + each["shipping_off_cents"] for each in found["applied"]}
    assert cents == {"cup": 300, "free": 499}
    for each in found["applied"]:
        kept = api("GET", f"/v1/redemptions/{each['redemption_id']}")
        assert (kept["status"], kept["reserved_cents"]) == ("reserved", cents[each["promotion_id"]])
        api("POST", "/v1/redemptions:confirm", {"redemption_id": each["redemption_id"]})
    assert cart(api)["total_cents"] == found["total_cents"]  # for everybody, and not used up


def test_a_limit_that_is_reached_leaves_its_promotion_out_and_holds_the_others(api: Api) -> None:
    put(api, "free", benefit={"type": "free_shipping"}, stacking={"category": "delivery"})
    put(api, "cup", benefit={"type": "percent_off", "percent": 50}, scope="product", covers=["cup"])
    one = {"limit_id": "l", "metric": "discount_amount", "offer_id": "cup"}
    api("PATCH", POLICY, {"limits": [one | {"amount": 599}]})
    found = cart(api, hold=True)
    assert [each["promotion_id"] for each in found["applied"]] == ["free"]
    (no,) = (each for each in found["refused"] if each["id"] == "cup")
    assert no["reason"] == "limit_reached"
    assert no["words"]["zh"]
    limits = {each["limit_id"]: each for each in api("GET", POLICY)["limits"]}
    assert (limits["l"]["held"], limits["l"]["spent"]) == (0, 0)
    api("PATCH", POLICY, {"limits": [one | {"amount": 600}]})
    assert len(cart(api, hold=True)["applied"]) == 2
    assert [each["promotion_id"] for each in cart(api)["applied"]] == ["free"]  # without holding it is told, too


def test_a_code_opens_its_promotion_once(api: Api) -> None:
    put(api, "off_x", benefit={"type": "amount_off", "amount_cents": 400}, min_spend_cents=2000, holder="code")
    coded(api)
    assert cart(api)["applied"] == []
    found = cart(api, codes=["C1", "nonsense"], hold=True)
    assert [(each["promotion_id"], each["code"]) for each in found["applied"]] == [("off_x", "C1")]
    assert [(each["id"], each["reason"]) for each in found["refused"]] == [("nonsense", "code_unknown")]
    assert [each["reason"] for each in cart(api, codes=["C1"])["refused"]] == ["code_used"]
    assert len(cart(api, codes=["C2"])["applied"]) == 1


def test_the_same_idempotency_key_holds_once(api: Api) -> None:
    put(api, "free", benefit={"type": "free_shipping"})
    body = {"customer_id": "u01", "lines": [TEA], "shipping_cents": 499, "hold": True}
    first = api("POST", PRICE, body, idempotency_key="k")
    assert api("POST", PRICE, body, idempotency_key="k") == first
    assert api("POST", PRICE, body)["applied"][0]["redemption_id"] != first["applied"][0]["redemption_id"]


def test_what_is_nearly_reached_is_said_in_both_languages(api: Api) -> None:
    put(api, "free", benefit={"type": "free_shipping"}, min_spend_cents=3550)
    (near,) = cart(api)["nearly"]
    assert near["missing_cents"] == 850
    assert near["words"]["en"].endswith("8.50 more for free delivery")
    assert near["words"]["zh"].startswith("再买8.50")
    assert near["words"]["zh"].endswith("，可免运费")


def test_a_paused_campaign_and_a_deleted_promotion_give_nothing(api: Api) -> None:
    put(api, "free", benefit={"type": "free_shipping"})
    api("PATCH", POLICY, {"paused": True})
    assert cart(api)["applied"] == []
    api("PATCH", POLICY, {"paused": False})
    assert [each["promotion_id"] for each in api("GET", "/v1/promotions")["data"]] == ["free"]
    api("DELETE", "/v1/promotions/free")
    assert cart(api)["applied"] == []
    assert api("DELETE", "/v1/promotions/free", status=404)["code"] == "promotion_unknown"


def test_a_page_shows_what_one_unit_costs_this_customer(api: Api) -> None:
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    percent = made["offer"]["benefit"]["percent"]
    put(api, "cup", benefit={"type": "fixed_price", "price_cents": 900}, scope="product", covers=["cup"])
    put(api, "free", benefit={"type": "amount_off", "amount_cents": 5}, min_spend_cents=10**6)
    items = [
        {"product_id": f"p-{made['offer']['covers']}", "price_cents": 500},
        {"product_id": "cup", "price_cents": 1200},
    ]
    mine, cup = api("POST", "/v1/prices", {"customer_id": made["customer_id"], "items": items})["data"]
    assert (mine["price_cents"], mine["struck_cents"], mine["personal"]) == (500 - 5 * percent, 500, True)
    assert mine["promotion_ids"] == [made["offer_id"]]
    assert mine["expires"]
    assert (cup["price_cents"], cup["personal"], cup["notices"]) == (900, False, [])
    plain = api("POST", "/v1/prices", {"customer_id": "nobody", "items": items})["data"][0]
    assert (plain["price_cents"], plain["struck_cents"]) == (500, None)


def test_a_batch_decides_as_one_by_one_and_once_per_key(api: Api) -> None:
    path, body = "/v1/decisions:batch", {"customer_ids": [*PEOPLE, "stranger"], "campaign_id": CAMPAIGN, "words": True}
    first = api("POST", path, body, idempotency_key="k")["data"]
    assert [each["customer_id"] for each in first] == body["customer_ids"]
    single = [api.decide(who) for who in PEOPLE]
    alike = ("offer_id", "propensity", "holdout", "reason", "code", "offer")
    changed = [
        each["customer_id"]
        for each, other in zip(first, single, strict=False)
        if any(each[name] != other[name] for name in alike)
    ]
    assert changed == []
    assert any(each["message"] for each in first)
    assert api("POST", path, body, idempotency_key="k")["data"] == first
    short = api("POST", path, body | {"words": False})["data"]
    assert all(each["message"] is None for each in short)
    twice = api("POST", path, {"customer_ids": ["a", "a"]}, 422)
    assert "twice" in twice["errors"][0]["message"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"lines": []}, "/lines"),
        ({"lines": [TEA, TEA]}, ""),
        ({"lines": [TEA | {"quantity": 0}]}, "/lines/0/quantity"),
        ({"lines": [TEA | {"price_cents": -1}]}, "/lines/0/price_cents"),
        ({"lines": [TEA], "codes": ["x"] * 21}, "/codes"),
    ],
)
def test_a_strange_cart_is_refused_with_its_place(api: Api, body: dict[str, Any], pointer: str) -> None:
    assert api("POST", PRICE, {"customer_id": "u01"} | body, 422)["errors"][0]["pointer"] == pointer


def test_a_promotion_that_says_nothing_is_refused_by_name(api: Api) -> None:
    told = api("PUT", "/v1/promotions/p", {"campaign_id": CAMPAIGN, "benefit": {"type": "gift"}}, 422)
    assert "gift needs product_id" in told["errors"][0]["message"]
    named = {"campaign_id": "cmp_none", "benefit": {"type": "free_shipping"}}
    assert api("PUT", "/v1/promotions/p", named, 404)["code"] == "campaign_unknown"


def test_a_large_cart_and_one_whose_release_is_not_in_memory_are_priced_all_the_same(api: Api) -> None:
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    put(api, "ten", benefit={"type": "percent_off", "percent": 10}, stacking={"category": "ten"})
    who, on = made["customer_id"], f"p-{made['offer']['covers']}"
    lines = [TEA | {"line_id": str(n), "product_id": on} for n in range(60)]
    by_one = cart(api, who, lines=[TEA | {"product_id": on, "quantity": 180}])
    assert cart(api, who, lines=lines)["total_cents"] == by_one["total_cents"]
    for n in range(8):  # more promotions than are tried in a moment
        put(api, f"free-{n}", benefit={"type": "free_shipping"}, stacking={"category": f"free-{n}"})
    many = cart(api, who, lines=[TEA | {"product_id": on, "quantity": 180}])
    assert many["total_cents"] == by_one["total_cents"] - 499
    before = cart(api, who)
    api.server.decider.releases = {}
    assert cart(api, who) == before
    api.server.decider.releases = {}
    held = cart(api, who, hold=True)
    assert held["total_cents"] == before["total_cents"]
    assert all(api("GET", f"/v1/redemptions/{each['redemption_id']}") for each in held["applied"])
