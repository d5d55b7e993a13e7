"""Settings are replaced with their version alone, a cart has one currency, and the codes of a promotion are used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_helpers import CAMPAIGN, Api, claim, coded, planned, released, serving

LIMITS, RESERVE = "/v1/limits", "/v1/redemptions:reserve"
LINE = {"line_id": "1", "product_id": "p-tea", "category": "tea", "quantity": 1, "price_cents": 15000}
TERMS = {"campaign_id": CAMPAIGN, "benefit": {"type": "amount_off", "amount_cents": 400}}


def limit(name: str, amount: int = 5) -> dict[str, Any]:
    return {"limit_id": name, "metric": "redemptions", "amount": amount}


def tag(api: Api, path: str) -> str:
    reply = api.client.get(path, headers={"authorization": f"Bearer {api.key}"})
    return str(reply.headers["etag"])


def test_shared_limits_that_somebody_else_set_are_not_dropped_unseen(api: Api) -> None:
    api("PUT", LIMITS, {"limits": [limit("mine")]})
    api("PUT", LIMITS, {"limits": [limit("mine")]})  # nothing is lost
    seen = tag(api, LIMITS)
    assert api("PUT", LIMITS, {"limits": [limit("yours")]}, 428)["code"] == "version_needed"
    assert api("PUT", LIMITS, {"limits": [limit("mine", 6)]}, 428)["code"] == "version_needed"
    api("PUT", LIMITS, {"limits": [limit("mine"), limit("yours")]})
    assert api("PUT", LIMITS, {"limits": []}, 412, if_match=seen)["code"] == "version_changed"
    assert [each["limit_id"] for each in api("GET", LIMITS)["data"]] == ["mine", "yours"]
    api("PUT", LIMITS, {"limits": [limit("yours", 7)]}, if_match=tag(api, LIMITS))
    assert [each["amount"] for each in api("GET", LIMITS)["data"]] == [7]


def test_a_promotion_is_replaced_and_deleted_by_who_read_it_as_it_is(api: Api) -> None:
    path = "/v1/promotions/p"
    assert api("PUT", path, TERMS, 412, if_match='"other"')["code"] == "version_changed"
    api("PUT", path, TERMS)
    api("PUT", path, TERMS)
    seen = tag(api, path)
    assert api("GET", path)["promotion_id"] == "p"
    changed = TERMS | {"min_spend_cents": 900}
    assert api("PUT", path, changed, 428)["code"] == "version_needed"
    api("PUT", path, changed, if_match=seen)
    assert api("PUT", path, TERMS, 412, if_match=seen)["code"] == "version_changed"
    assert api("DELETE", path, status=412, if_match=seen)["code"] == "version_changed"
    assert api("GET", path)["terms"]["min_spend_cents"] == 900
    api("DELETE", path, if_match=tag(api, path))
    assert api("GET", path, status=404)["code"] == "promotion_unknown"


OWNERS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(("read", "write", "write blind")), st.integers(1, 9)), max_size=14
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=OWNERS)
def test_no_owner_loses_what_another_set_since_they_read(shared: Api, steps: list[tuple[int, str, int]]) -> None:
    """Each owner keeps the limit of their number; whatever they write, what they did not see stays as it was."""
    shared("PUT", LIMITS, {"limits": []}, if_match=tag(shared, LIMITS))
    seen: dict[int, tuple[str, dict[str, int]]] = {}
    real: dict[str, int] = {}
    for owner, step, amount in steps:
        if step == "read":
            seen[owner] = tag(shared, LIMITS), dict(real)
            continue
        version, known = seen.get(owner, ("", {}))
        wanted = known | {str(owner): amount}
        body = {"limits": [limit(name, each) for name, each in wanted.items()]}
        header = {"if_match": version} if version and step == "write" else {}
        reply = shared("PUT", LIMITS, body, None, **header)
        stored = {each["limit_id"]: each["amount"] for each in shared("GET", LIMITS)["data"]}
        if "data" in reply:
            others = {name: each for name, each in real.items() if name != str(owner)}
            assert others.items() <= stored.items()
            real = stored
        assert stored == real


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("shared")
    with serving(folder, planned(folder)) as api:
        released(api)
        yield api


@pytest.mark.parametrize("codes_first", [True, False])
def test_the_codes_of_a_promotion_are_used_once_each_in_its_time(api: Api, codes_first: bool) -> None:
    terms = TERMS | {"holder": "code", "expires": "2030-01-01T00:00:00Z"}
    stock = {"offer_id": "spring", "codes": ["SPRING-1", "SPRING-2"]}
    for step in (0, 1) if codes_first else (1, 0):
        if step == 0:
            api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", stock)
        else:
            api("PUT", "/v1/promotions/spring", terms)
    cart = {"customer_id": "u01", "lines": [LINE], "codes": ["spring-1"], "hold": True, "decision_ids": []}
    (applied,) = api("POST", "/v1/carts:price", cart)["applied"]
    assert (applied["promotion_id"], applied["code"], applied["discount_cents"]) == ("spring", "SPRING-1", 400)
    again = api("POST", "/v1/carts:price", cart | {"customer_id": "u02"})
    assert [each["reason"] for each in again["refused"]] == ["code_used"]
    alone = {"customer_id": "u03", "code": "SPRING-2", "amount_cents": 401}
    assert api("POST", RESERVE, alone, 409)["code"] == "above_cap"
    assert api("POST", RESERVE, alone | {"amount_cents": 400})["status"] == "reserved"
    api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", {"offer_id": "spring", "codes": ["SPRING-3"]})
    over = terms | {"expires": "2001-01-01T00:00:00Z"}
    api("PUT", "/v1/promotions/spring", over, if_match=tag(api, "/v1/promotions/spring"))
    late = {"customer_id": "u03", "code": "SPRING-3", "amount_cents": 1}
    assert api("POST", RESERVE, late, 409)["code"] == "code_expired"


def test_a_reservation_is_never_above_what_the_order_is_worth(api: Api) -> None:
    coded(api)
    assert api("POST", RESERVE, claim(1, 1000, order_cents=999), 409)["code"] == "above_order"
    assert api("POST", RESERVE, claim(1, 999, order_cents=999))["status"] == "reserved"


def ucp(currency: str) -> dict[str, Any]:
    item = {"id": "1", "item": {"id": "p-tea", "price": 15000}, "quantity": 1}
    return {"customer_id": "u01", "cart": {"id": "c", "currency": currency, "line_items": [item]}}


def shopify(*currencies: str) -> dict[str, Any]:
    lines = [
        {"id": str(at), "quantity": 1, "cost": {"amountPerQuantity": {"amount": "150", "currencyCode": currency}}}
        for at, currency in enumerate(currencies)
    ]
    return {"cart": {"lines": lines}}


def test_a_cart_has_one_currency_which_is_that_of_the_offers(api: Api) -> None:
    api("PUT", "/v1/promotions/p", TERMS)
    cart = {"customer_id": "u01", "lines": [LINE]}
    assert api("POST", "/v1/carts:price", cart | {"currency": "USD"})["currency"] == "USD"
    price = {"customer_id": "u01", "items": [{"product_id": "p-tea", "price_cents": 15000}]}
    asked = {
        "/v1/carts:price": cart | {"currency": "EUR"}, "/v1/prices": price | {"currency": "EUR"},
        "/v1/carts:ucp": ucp("EUR"), "/v1/carts:shopify": shopify("JPY", "JPY"),
    }  # fmt: skip
    for path, body in asked.items():
        assert api("POST", path, body, 422)["code"] == "currency_differs", path
    held = cart | {"currency": "EUR", "hold": True}
    assert api("POST", "/v1/carts:price", held, 422)["code"] == "currency_differs"
    assert api("POST", "/v1/carts:shopify", shopify("USD", "JPY"), 422)["errors"][0]["pointer"] == "/cart"
    assert api("POST", "/v1/carts:ucp", ucp("USD"))["discounts"]["applied"][0]["amount"] == 400


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(currencies=st.lists(st.sampled_from(("USD", "EUR", "JPY", "KWD")), min_size=1, max_size=4))
def test_no_drawn_cart_gets_money_of_another_currency(shared: Api, currencies: list[str]) -> None:
    shared("PUT", "/v1/promotions/p", TERMS)
    found = shared("POST", "/v1/carts:shopify", shopify(*currencies), None)
    assert ("operations" in found) == (set(currencies) == {"USD"})
    if "operations" in found:
        off = [
            each["value"]["fixedAmount"]["amount"]
            for each in found["operations"][0]["productDiscountsAdd"]["candidates"]
        ]
        assert sum(round(100 * float(each)) for each in off) == 400


def test_campaigns_of_two_currencies_never_meet_in_one_cart(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        for currency, campaign in (("USD", "cmp_usd"), ("EUR", "cmp_eur")):
            config = planned(tmp_path, campaign=campaign)
            assert config.shop.currency == "USD"
            replan(tmp_path, campaign, currency)
            released(api)
            terms = TERMS | {"campaign_id": campaign, "stacking": {"category": currency}}
            api("PUT", f"/v1/promotions/{currency.lower()}", terms)
        cart = {"customer_id": "u01", "lines": [LINE]}
        assert api("POST", "/v1/carts:price", cart, 422)["code"] == "currency_needed"
        for currency in ("USD", "EUR"):
            found = api("POST", "/v1/carts:price", cart | {"currency": currency})
            assert found["currency"] == currency
            assert {each["promotion_id"] for each in found["applied"]} <= {currency.lower()}
        assert api("POST", "/v1/carts:price", cart | {"campaign_id": "cmp_eur"})["currency"] == "EUR"


def replan(folder: Path, campaign: str, currency: str) -> None:
    """The stored plan, in another currency."""
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.results.plan_note import PlanNote

    with Store(folder) as store:
        note = PlanNote.load(store)
        assert note.terms.campaign_id == campaign
        store.save_json("plan", note.model_copy(update={
            "shop": note.shop.model_copy(update={"currency": currency}),
        }).model_dump(mode="json"))  # fmt: skip
