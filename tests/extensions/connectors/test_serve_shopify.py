"""Shopify's webhooks, signed as it signs them; its discount function's input and output, by their documented shapes."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from serve_helpers import CAMPAIGN, Api, coded
from sqlalchemy import select

from promolift.core.offers.cart_pricing import Promotion
from promolift.core.offers.terms import Benefit
from promolift.extensions.connectors import shopify_routes
from promolift.extensions.connectors.shopify import FunctionInput, discount_operations, event_from_webhook
from promolift.server.carts.carts import UsablePromotion, Wallet, price_with_wallet
from promolift.server.ledger.audit_log import list_records
from promolift.server.ledger.schema import CUSTOMERS, EVENTS, LOCKS_INFO_KEY, LockMissingError, customer_lock

jsonschema = pytest.importorskip("jsonschema")
SECRET = "hush"
ORDER = {
    "id": 5001, "name": "#1001", "email": "u01", "created_at": "2026-01-05T10:00:00+08:00", "currency": "USD",
    "customer": {"id": 70001, "email": "u01"}, "discount_codes": [{"code": "SPRING", "amount": "1.00"}],
    "note_attributes": [{"name": "decision_id", "value": "dec_1"}],
    "line_items": [
        {"id": 1, "sku": "p-tea", "product_id": 9, "title": "Tea", "quantity": 2, "price": "5.00",
         "discount_allocations": [{"amount": "1.00"}]},
        {"id": 2, "sku": "", "product_id": 10, "title": "Cup", "quantity": 1, "price": "12.00"},
    ],
}  # fmt: skip
REFUND = {"id": 6001, "order_id": 5001, "created_at": "2026-01-06T10:00:00+08:00",
          "refund_line_items": [{"quantity": 1, "line_item": ORDER["line_items"][0]}]}  # type: ignore[index]  # fmt: skip
OUTPUT = {
    "type": "object", "required": ["operations"], "additionalProperties": False,
    "properties": {"operations": {"type": "array", "items": {
        "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
        "properties": {
            "enteredDiscountCodesAccept": {
                "type": "object", "required": ["codes"], "additionalProperties": False,
                "properties": {"codes": {"type": "array", "items": {"$ref": "#/$defs/code"}}},
            },
            "productDiscountsAdd": {
                "type": "object", "required": ["candidates", "selectionStrategy"], "additionalProperties": False,
                "properties": {
                    "selectionStrategy": {"enum": ["FIRST", "MAXIMUM", "ALL"]},
                    "candidates": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/candidate"}},
                },
            },
        },
    }}},
    "$defs": {
        "code": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}},
        "candidate": {
            "type": "object", "required": ["targets", "value"], "additionalProperties": False,
            "properties": {
                "message": {"type": "string"}, "associatedDiscountCode": {"$ref": "#/$defs/code"},
                "targets": {"type": "array", "minItems": 1, "items": {
                    "type": "object", "required": ["cartLine"], "additionalProperties": False,
                    "properties": {"cartLine": {
                        "type": "object", "required": ["id"], "additionalProperties": False,
                        "properties": {"id": {"type": "string"}, "quantity": {"type": ["integer", "null"]}},
                    }},
                }},
                "value": {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
                          "properties": {
                    "percentage": {"type": "object", "required": ["value"]},
                    "fixedAmount": {
                        "type": "object", "required": ["amount"], "additionalProperties": False,
                        "properties": {"amount": {"type": "string", "pattern": "^[0-9.]+$"},
                                       "appliesToEachItem": {"type": "boolean"}},
                    },
                }},
            },
        },
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMOLIFT_SHOPIFY_SECRET", SECRET)


def send(api: Api, topic: str, body: Any, secret: str = SECRET, status: int = 200) -> Any:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()
    headers = {"x-shopify-topic": topic, "x-shopify-hmac-sha256": signature, "content-type": "application/json"}
    reply = api.client.post("/v1/shopify/webhooks", content=text, headers=headers)
    assert reply.status_code == status, reply.text
    return reply.json()


def stored(api: Api) -> list[dict[str, Any]]:
    with api.server.ledger.read() as db:
        rows = [dict(row) for row in db.execute(select(EVENTS).order_by(EVENTS.c.seq)).mappings()]
    return [row | {"said": json.loads(row["body"]).get("properties")} for row in rows]


def test_an_order_counts_once_however_often_and_as_what_it_is_told_of(api: Api) -> None:
    assert send(api, "orders/create", ORDER)["accepted"] == 1
    assert send(api, "orders/paid", ORDER)["duplicates"] == 1
    (row,) = stored(api)
    assert (row["customer_id"], row["name"], row["decision_id"]) == ("u01", "Order Completed", "dec_1")
    assert row["ts_ms"] == 1_767_578_400_000
    assert row["said"]["products"] == [
        {"product_id": "p-tea", "name": "Tea", "brand": None, "quantity": 2, "price": 4.5},
        {"product_id": "10", "name": "Cup", "brand": None, "quantity": 1, "price": 12.0},
    ]
    bought = api("GET", "/v1/exports/purchases.jsonl").text.splitlines()
    assert [json.loads(line)["order_id"] for line in bought] == ["#1001"] * 2


def test_a_refund_is_its_orders_customers(api: Api) -> None:
    send(api, "orders/paid", ORDER)
    assert send(api, "refunds/create", REFUND)["accepted"] == 1
    assert send(api, "refunds/create", REFUND)["duplicates"] == 1
    row = stored(api)[-1]
    assert (row["customer_id"], row["name"]) == ("u01", "Order Refunded")
    assert row["said"]["products"][0]["quantity"] == 1


def waiting(api: Api) -> int:
    with api.server.ledger.read() as db:
        return len(list_records(db, shopify_routes.EARLY_REFUND))


def test_a_refund_that_comes_before_its_order_is_kept_with_it(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(api, "refunds/create", REFUND)["accepted"] == 1
    assert send(api, "refunds/create", REFUND)["duplicates"] == 1
    other = REFUND | {"id": 6002}
    send(api, "refunds/create", other)
    send(api, "refunds/create", REFUND | {"id": 6003, "order_id": 50011})  # of another order, whose id begins alike
    assert (stored(api), waiting(api)) == ([], 3)
    assert send(api, "orders/create", ORDER)["accepted"] == 1
    send(api, "orders/paid", ORDER)
    send(api, "refunds/create", other)
    rows = [(row["name"], row["message_id"], row["customer_id"]) for row in stored(api)]
    refunds = [("Order Refunded", f"shopify:refund:{number}", "u01") for number in (6001, 6002)]
    assert rows == [("Order Completed", "shopify:order:5001", "u01"), *refunds]
    assert stored(api)[1]["ts_ms"] == 1_767_664_800_000
    assert waiting(api) == 1
    assert send(api, "refunds/create", REFUND | {"id": 7, "created_at": "never", "order_id": 1})["rejected_count"] == 1
    monkeypatch.setattr(shopify_routes, "MAX_EARLY_REFUNDS", 2)
    for number in range(3):
        send(api, "refunds/create", REFUND | {"id": 8 + number, "order_id": 9000 + number})
    assert waiting(api) == 2
    monkeypatch.setattr(shopify_routes, "EARLY_REFUND_DAYS", -1)
    send(api, "refunds/create", REFUND | {"id": 20, "order_id": 9100})
    assert waiting(api) == 0


def test_webhooks_hold_up_nobody_but_their_customer_and_order(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(work: Any, payload: Any = None, **how: Any) -> Any:
        with api.server.ledger.read() as db:
            asked.append(how["locks"](db, [payload]))
        return known(work, payload, **how)

    known, asked = api.server.ledger.call, list[set[str]]()
    monkeypatch.setattr(api.server.ledger, "call", call)
    for topic, body in (("refunds/create", REFUND), ("orders/paid", ORDER), ("refunds/create", REFUND | {"id": 2})):
        send(api, topic, body)
    order = "o:shopify:order:5001"
    assert asked == [{order, shopify_routes.EARLY_REFUND}, {order, customer_lock("u01")}, {order, customer_lock("u01")}]
    late = shopify_routes.Webhook(event_from_webhook("refunds/create", REFUND | {"id": 3}, "email") or {}, 0)
    with api.server.ledger.read() as db:
        monkeypatch.setitem(db.info, LOCKS_INFO_KEY, frozenset(asked[0]))  # the order was kept before this had its turn
        with pytest.raises(LockMissingError):
            shopify_routes.store_webhooks(db, [late])


def test_the_early_refund_of_an_erased_customer_goes(api: Api) -> None:
    api("POST", "/v1/privacy/u01:erase")
    send(api, "refunds/create", REFUND)
    assert send(api, "orders/paid", ORDER)["rejected_count"] == 1
    assert (stored(api), waiting(api)) == ([], 0)


def test_consent_and_checkouts_are_heard_and_what_tells_nothing_is_answered(api: Api) -> None:
    person = {"id": 70001, "email": "u01", "updated_at": "2026-01-05T10:00:00Z", "locale": "en-US"}
    send(api, "customers/update", person | {"email_marketing_consent": {"state": "unsubscribed"}})
    with api.server.ledger.read() as db:
        found = db.execute(select(CUSTOMERS.c.consent, CUSTOMERS.c.language).where(CUSTOMERS.c.customer_id == "u01"))
        assert [*found] == [(0, "en")]
    assert api.decide("u01")["offer_id"] == "none"
    checkout = {"token": "t", "email": "u02", "created_at": "2026-01-05T10:00:00Z", "line_items": ORDER["line_items"]}
    assert send(api, "checkouts/create", checkout)["accepted"] == 1
    assert stored(api)[-1]["name"] == "Checkout Started"
    assert send(api, "themes/publish", {"id": 1})["accepted"] == 0
    assert send(api, "orders/paid", ORDER | {"email": None, "customer": None})["accepted"] == 0


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"7", b"[" * 100_000, json.dumps({"line_items": 3} | {"email": "u01"}).encode()]
)
def test_what_is_no_webhook_is_refused_and_nothing_is_kept(api: Api, body: bytes) -> None:
    send(api, "orders/paid", body, status=400)
    assert stored(api) == []


def test_only_the_shared_secret_signs(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert send(api, "orders/paid", ORDER, "other", 401)["code"] == "key_missing"
    assert api.client.post("/v1/shopify/webhooks", json=ORDER).status_code == 401
    monkeypatch.delenv("PROMOLIFT_SHOPIFY_SECRET")
    send(api, "orders/paid", ORDER, "", 401)
    assert stored(api) == []


def test_an_old_consent_sent_again_gives_back_nothing_that_was_withdrawn_since(api: Api) -> None:
    def told(state: str, at: str) -> None:
        consent = {"state": state, "consent_updated_at": at}
        body = {"customer_id": 70001, "email_address": "u01", "email_marketing_consent": consent}
        send(api, "customers_email_marketing_consent/update", body)

    told("subscribed", "2026-01-05T10:00:00Z")
    told("unsubscribed", "2026-01-06T10:00:00Z")
    told("subscribed", "2026-01-05T10:00:00Z")
    with api.server.ledger.read() as db:
        assert db.execute(select(CUSTOMERS.c.consent).where(CUSTOMERS.c.customer_id == "u01")).scalar() == 0


def test_a_page_cannot_keep_an_order_of_the_shop_out_by_taking_its_id(api: Api) -> None:
    key = api("POST", "/v1/keys", {"scope": "write", "name": "page"}, 201)["key"]
    event = {"type": "track", "event": "x", "userId": "u02", "messageId": "shopify:order:5001"}
    found = Api(api.client, key)("POST", "/v1/track", event, 202)
    assert [each["pointer"] for each in found["rejected"]] == ["/messageId"]
    assert send(api, "orders/paid", ORDER)["accepted"] == 1
    assert send(api, "refunds/create", REFUND)["accepted"] == 1
    assert {row["customer_id"] for row in stored(api)} == {"u01"}


def cart(**more: Any) -> dict[str, Any]:
    def line(id_: str, sku: str, quantity: int, amount: str) -> dict[str, Any]:
        money = {"amount": amount, "currencyCode": "USD"}
        variant = {"__typename": "ProductVariant", "id": f"gid://shopify/ProductVariant/{id_}", "sku": sku}
        sold = {"cost": {"amountPerQuantity": money}, "merchandise": variant}
        return {"id": f"gid://shopify/CartLine/{id_}", "quantity": quantity} | sold

    buyer = {"customer": {"id": "gid://shopify/Customer/70001", "email": "u01"}}
    lines = [line("1", "p-tea", 3, "5.0"), line("2", "cup", 1, "12.00")]
    return {"cart": {"lines": lines, "buyerIdentity": buyer}, "discount": {"discountClasses": ["PRODUCT"]}} | more


def test_the_discount_function_takes_off_what_the_cart_takes_off(api: Api) -> None:
    terms = {"campaign_id": CAMPAIGN, "benefit": {"type": "amount_off", "amount_cents": 401}, "holder": "code"}
    api("PUT", "/v1/promotions/off_x", terms | {"min_spend_cents": 2000})
    coded(api)
    nothing = api("POST", "/v1/carts:shopify", cart())
    assert nothing == {"operations": []}
    found = api(
        "POST", "/v1/carts:shopify", cart(enteredDiscountCodes=[{"code": "C1", "rejectable": True}, {"code": "X"}])
    )
    jsonschema.validate(found, OUTPUT)
    assert found["operations"][0] == {"enteredDiscountCodesAccept": {"codes": [{"code": "C1"}]}}
    candidates = found["operations"][1]["productDiscountsAdd"]["candidates"]
    off = {each["targets"][0]["cartLine"]["id"][-1]: each["value"]["fixedAmount"]["amount"] for each in candidates}
    assert off == {"1": "2.23", "2": "1.78"}
    assert {each["message"] for each in candidates} == {"$4.01 off"}


def test_only_codes_that_were_entered_are_accepted_and_as_they_were_entered(api: Api) -> None:
    terms = {"campaign_id": CAMPAIGN, "benefit": {"type": "amount_off", "amount_cents": 401}, "holder": "code"}
    api("PUT", "/v1/promotions/off_x", terms)
    coded(api)
    found = api("POST", "/v1/carts:shopify", cart(enteredDiscountCodes=[{"code": "c1"}]))["operations"]
    assert found[0] == {"enteredDiscountCodesAccept": {"codes": [{"code": "c1"}]}}
    candidates = found[1]["productDiscountsAdd"]["candidates"]
    assert {each["associatedDiscountCode"]["code"] for each in candidates} == {"c1"}
    mine = UsablePromotion(
        Promotion(id="mine", benefit=Benefit(type="percent_off", percent=10)), CAMPAIGN, "dec_1", "NOT-TYPED"
    )
    body = FunctionInput.model_validate(cart())
    wallet = Wallet({"mine": mine}, {}, None, {}, {}, None, {})
    found = discount_operations(body, wallet, price_with_wallet(body.to_cart("email"), wallet, {}, 0))["operations"]
    assert [*found[0]] == ["productDiscountsAdd"]
    assert not any("associatedDiscountCode" in each for each in found[0]["productDiscountsAdd"]["candidates"])
