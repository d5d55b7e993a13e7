"""Discounts of the Universal Commerce Protocol by its own models: the six reasons, and allocations that add up."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from drawn import cases
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from serve_helpers import CAMPAIGN, CLIENTS, PEOPLE, Api, client_found, coded

from promolift.server.ledger.schema import CODES

TEA = {"id": "li_1", "item": {"id": "p-tea", "title": "Tea", "price": 500}, "quantity": 3}
CUP = {"id": "li_2", "item": {"id": "cup", "title": "Cup", "price": 1200, "image_url": "https://shop.example/cup.png"},
       "quantity": 1}  # fmt: skip
CART = {"id": "cart_1", "currency": "USD", "line_items": [TEA, CUP], "ucp": {"version": "2026-01-11"},
        "totals": [{"type": "fulfillment", "display_text": "Delivery", "amount": 499}, {"type": "tax", "amount": 80}],
        "discounts": {"codes": []}}  # fmt: skip


def put(api: Api, name: str, **terms: Any) -> None:
    api("PUT", f"/v1/promotions/{name}", {"campaign_id": CAMPAIGN} | terms)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """The protocol's own model of a cart with discounts."""
    client_found("ucp_sdk")
    monkeypatch.setattr(sys, "path", [*sys.path, str(CLIENTS)])
    from ucp_sdk.models.schemas.shopping.discount import Cart

    return lambda body: Cart.model_validate(body, strict=True).model_dump(mode="json", exclude_unset=True)


def ask(api: Api, who: str | None = "u01", codes: tuple[str, ...] = (), **more: Any) -> Any:
    cart = CART | {"discounts": {"codes": list(codes)}} | more
    return api("POST", "/v1/carts:ucp", {"customer_id": who, "cart": cart})


def adds_up(found: Any) -> None:
    """Allocations add up to each discount, discounts to the totals, lines to the cart."""
    for each in found["discounts"]["applied"]:
        assert sum(part["amount"] for part in each["allocations"]) == each["amount"]
    totals = by_type(found["totals"])
    assert sum(amount for kind, amount in totals.items() if kind != "total") == totals["total"]
    off = -totals.get("items_discount", 0) - totals.get("discount", 0)
    assert sum(each["amount"] for each in found["discounts"]["applied"]) == off
    lines = [by_type(line["totals"]) for line in found["line_items"]]
    assert sum(line.get("items_discount", 0) for line in lines) == totals.get("items_discount", 0)
    assert sum(line["total"] for line in lines) == totals["subtotal"] + totals.get("items_discount", 0)


def by_type(totals: list[dict[str, Any]]) -> Counter[str]:
    """What the lines of a receipt that have one type come to; a shop may send several of a type."""
    found: Counter[str] = Counter()
    for each in totals:
        found[each["type"]] += each["amount"]
    return found


def test_codes_and_automatic_discounts_come_out_with_allocations_that_add_up(
    api: Api, checked: Callable[[Any], Any]
) -> None:
    put(api, "off_x", benefit={"type": "amount_off", "amount_cents": 401}, min_spend_cents=2000, holder="code")
    put(api, "free", benefit={"type": "free_shipping"}, stacking={"category": "delivery"})
    coded(api)
    found = checked(ask(api, codes=("c1",)))
    adds_up(found)
    by_title = {each["title"]: each for each in found["discounts"]["applied"]}
    assert by_title["$4.01 off"] == {
        "code": "C1", "title": "$4.01 off", "amount": 401, "automatic": False, "method": "across", "priority": 2,
        "allocations": [{"path": "$.line_items[0]", "amount": 223}, {"path": "$.line_items[1]", "amount": 178}],
    }  # fmt: skip
    free = by_title["free delivery"]
    assert ("code" in free, free["automatic"]) == (False, True)
    assert free["allocations"] == [{"path": '$.totals[?@.type == "fulfillment"]', "amount": 499}]
    assert {each["type"]: each["amount"] for each in found["totals"]} == {
        "subtotal": 2700, "items_discount": -401, "discount": -499, "fulfillment": 499, "tax": 80, "total": 2379
    }  # fmt: skip
    assert found["line_items"][1]["item"]["image_url"] == "https://shop.example/cup.png"
    assert "dev.ucp.shopping.discount" in found["ucp"]["capabilities"]
    assert found["discounts"]["codes"] == ["c1"]
    assert found["messages"] == []
    again = checked(ask(api, codes=()))  # each request has the whole set of codes
    assert [each["title"] for each in again["discounts"]["applied"]] == ["free delivery"]
    chinese = checked(ask(api, context={"language": "zh-Hans"}))
    assert [each["title"] for each in chinese["discounts"]["applied"]] == ["免运费"]


@pytest.mark.parametrize("kind", ["subtotal", "fulfillment", "tax", "fee", "total"])
def test_totals_that_the_protocol_has_not_below_0_are_refused(api: Api, kind: str) -> None:
    body = {"customer_id": "u01", "cart": CART | {"totals": [{"type": kind, "amount": -1}]}}
    refusal = api("POST", "/v1/carts:ucp", body, 422)
    (wrong,) = refusal["errors"]
    assert (wrong["pointer"], f"{kind} is -1" in wrong["message"]) == ("/cart/totals/0", True)


def test_what_is_left_to_pay_is_never_below_0(api: Api) -> None:
    put(api, "off_y", benefit={"type": "amount_off", "amount_cents": 700})
    credit = [{"type": "store_credit", "amount": -2000}]
    assert {each["type"]: each["amount"] for each in ask(api, totals=credit)["totals"]}["total"] == 0
    body = {"customer_id": "u01", "cart": CART | {"totals": [{"type": "store_credit", "amount": -2001}]}}
    (wrong,) = api("POST", "/v1/carts:ucp", body, 422)["errors"]
    assert (wrong["pointer"], wrong["message"].startswith("-1 would be left")) == ("/cart/totals", True)


def refused(found: Any) -> dict[str, str]:
    return {
        found["discounts"]["codes"][int(each["path"].split("[")[1][:-1])]: each["code"] for each in found["messages"]
    }


def test_each_refused_code_says_one_of_the_six_reasons(api: Api, checked: Callable[[Any], Any]) -> None:
    put(api, "off_x", benefit={"type": "percent_off", "percent": 20}, holder="code")
    put(api, "off_y", benefit={"type": "percent_off", "percent": 10}, holder="code")
    put(api, "off_z", benefit={"type": "percent_off", "percent": 10}, holder="code", min_spend_cents=5000)
    coded(api, 0, 5)
    coded(api, 5, 8, "off_y")
    coded(api, 8, 9, "off_z")

    def change(code: str, **values: Any) -> None:
        wanted = CODES.update().where(CODES.c.code == code).values(**values)
        api.server.ledger.write(lambda db, some: [db.execute(wanted) and None for _ in some])

    change("C1", expires_ms=1)
    change("C2", customer_id="u02")
    found = checked(ask(api, codes=("C0", "nonsense", "C1", "c0", "C3", "C2", "C5", "C8")))
    adds_up(found)
    assert [each["code"] for each in found["discounts"]["applied"]] == ["C0"]
    assert refused(found) == {
        "nonsense": "discount_code_invalid", "C1": "discount_code_expired", "c0": "discount_code_already_applied",
        "C3": "discount_code_already_applied", "C2": "discount_code_user_ineligible",
        "C5": "discount_code_combination_disallowed", "C8": "discount_code_user_ineligible",
    }  # fmt: skip
    assert {each["type"] for each in found["messages"]} == {"warning"}
    assert all(
        each["content"].startswith(found["discounts"]["codes"][1 + at]) for at, each in enumerate(found["messages"])
    )
    nobody = checked(ask(api, None, codes=("C2",)))
    assert refused(nobody) == {"C2": "discount_code_user_not_logged_in"}
    assert refused(checked(ask(api, "u02", codes=("C2",)))) == {}
    one = {"limit_id": "l", "metric": "discount_amount", "offer_id": "off_x", "amount": 1}
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"limits": [one]})
    assert refused(checked(ask(api, codes=("C0",)))) == {}  # a cent is left: holding it is what a limit refuses
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"limits": [one | {"amount": 0}]})
    assert refused(checked(ask(api, codes=("C0",)))) == {"C0": "discount_code_user_ineligible"}


def test_what_else_the_buyer_holds_is_an_extension(api: Api, checked: Callable[[Any], Any]) -> None:
    put(api, "free", benefit={"type": "free_shipping"}, min_spend_cents=3550)
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    found = checked(ask(api, made["customer_id"], line_items=[CUP]))
    available = {each["title"]: each for each in found["discounts"]["available"]}
    percent = made["offer"]["benefit"]["percent"]
    assert available[f"{percent}% off"]["reason"] == "not_eligible"
    assert (available["free delivery"]["missing_amount"], available["free delivery"]["automatic"]) == (2350, True)
    assert found["ucp"]["capabilities"]["dev.promolift.shopping.available_discounts"][0]["extends"] == [
        "dev.ucp.shopping.discount"
    ]
    lines = [TEA | {"item": TEA["item"] | {"id": f"p-{made['offer']['covers']}"}}, CUP]  # type: ignore[operator]
    mine = checked(ask(api, made["customer_id"], line_items=lines))
    assert mine["discounts"]["applied"][0]["amount"] == 15 * percent
    assert checked(ask(api, None, line_items=lines))["discounts"]["applied"] == []


def test_what_is_not_sold_by_each_is_refused_by_its_place(api: Api) -> None:
    pound = {
        "id": "li_3",
        "item": {"id": "nuts", "price": 5, "quantity_unit": {"unit": "LBR", "scale": 2}},
        "quantity": 9,
    }
    body = {"customer_id": None, "cart": CART | {"line_items": [TEA, pound]}}
    wrong = api("POST", "/v1/carts:ucp", body, 422)
    assert wrong["errors"][0]["pointer"] == "/cart/line_items/1/item"


@cases(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 1000)), min_size=1, max_size=20),
    totals=st.lists(st.integers(-(10**10), 10**10), max_size=50),
    codes=st.lists(st.sampled_from(["C0", "C1", "nonsense"]), max_size=20),
    messages=st.integers(0, 100),
)
@example(lines=[(0, 1)], totals=[1, -1], codes=[], messages=0)  # delivery is free, and the credit would pay for it
@example(lines=[(10**12, 1000)] * 200, totals=[0] * 50, codes=["nonsense"] * 20, messages=100)
def test_the_largest_cart_is_answered_as_the_document_says(
    api: Api, lines: list[tuple[int, int]], totals: list[int], codes: list[str], messages: int
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    put(api, "off_x", benefit={"type": "percent_off", "percent": 20}, holder="code")
    put(api, "free", benefit={"type": "free_shipping"}, stacking={"category": "delivery"})
    if not api("GET", f"/v1/codes?campaign_id={CAMPAIGN}")["data"]:
        coded(api, 0, 2)
    cart = CART | {
        "line_items": [
            {"id": f"l{at}", "item": {"id": "cup", "price": price}, "quantity": quantity}
            for at, (price, quantity) in enumerate(lines)
        ],
        "totals": [{"type": "fulfillment" if cents >= 0 else "store_credit", "amount": cents} for cents in totals],
        "messages": [{"type": "info", "content": "hello"}] * messages,
        "discounts": {"codes": codes},
    }
    found = api("POST", "/v1/carts:ucp", {"customer_id": "u01", "cart": cart}, None)
    if "line_items" not in found:  # the shop's credit is more than what is left after discounts
        assert (min(totals) < 0, found["errors"][0]["pointer"]) == (True, "/cart/totals")
        return
    schema = components(api)
    jsonschema.validate(found, schema)
    adds_up(found)
    assert len(found["messages"]) >= messages


def components(api: Api) -> Any:
    """The document's schema of the answer, with the parts that it refers to."""
    document = api("GET", "/openapi.json")
    answer = document["paths"]["/v1/carts:ucp"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    return answer | {"components": document["components"]}
