"""Translate between Shopify and promolift: webhooks to events, and discount function inputs to carts and back.

The shapes follow Shopify's public documentation of the Admin API's webhooks and of
`cart.lines.discounts.generate.run`.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from promolift.core.offers.cart_pricing import PricedCart
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.foundation.money import currency_digits
from promolift.server.carts.carts import CartIn, CartLineIn, Quantity, Wallet, benefit_text
from promolift.server.ledger.event_rows import SHOPIFY_PREFIX
from promolift.server.ledger.field_types import Id, TypedCode

Json = Mapping[str, Any]
ORDER_TOPICS, REFUND_TOPIC, CHECKOUT_TOPICS = (
    ("orders/paid", "orders/create"),
    "refunds/create",
    ("checkouts/create", "checkouts/update"),
)
CUSTOMER_TOPICS = ("customers/create", "customers/update", "customers_email_marketing_consent/update")
CONSENT_STATES = {"subscribed": True, "unsubscribed": False}
DECIMAL_PATTERN = r"^\d{1,9}(\.\d{1,4})?$"


def has_valid_signature(secret: str, body: bytes, signature: str) -> bool:
    """Whether `X-Shopify-Hmac-Sha256` is that of the body as it came."""
    made = base64.b64encode(hmac.digest(secret.encode(), body, "sha256"))
    return hmac.compare_digest(made, signature.encode())


def event_from_webhook(topic: str, body: Json, by: str) -> dict[str, Any] | None:
    """What a webhook tells as an event; None for what tells of no customer we know (`by`: `email` or `id`).

    A refund names no customer: its event has the `messageId` of its order under `of`, whose customer it is.
    """
    customer = (body if topic in CUSTOMER_TOPICS[:2] else body.get("customer")) or {}
    who = {"email": body.get("email") or customer.get("email"), "id": customer.get("id")}[by]
    if topic == CUSTOMER_TOPICS[2]:
        who = body.get("email_address") if by == "email" else body.get("customer_id")
    consent = body.get("email_marketing_consent") or {}
    when = body.get("updated_at") or body.get("created_at") or consent.get("consent_updated_at")
    if topic == REFUND_TOPIC:
        lines = [
            _line(each.get("line_item") or {}, each.get("quantity")) for each in body.get("refund_line_items") or ()
        ]
        said = {"order_id": _text(body.get("order_id")), "products": lines}
        return _track(topic, body, "Order Refunded", said, when) | {
            "of": f"{SHOPIFY_PREFIX}order:{body.get('order_id')}"
        }
    if who in (None, ""):
        return None
    if topic in CUSTOMER_TOPICS:
        state = consent.get("state") or consent.get("marketing_state")
        traits: dict[str, Any] = {"consent": CONSENT_STATES[state]} if state in CONSENT_STATES else {}
        if locale := body.get("locale"):
            traits |= {"language": str(locale)[:2]}
        id_ = f"{SHOPIFY_PREFIX}{topic}:{who}:{when}"
        return {"type": "identify", "messageId": id_, "timestamp": when, "userId": str(who), "traits": traits}
    if topic not in ORDER_TOPICS + CHECKOUT_TOPICS:
        return None
    codes = body.get("discount_codes") or [{}]
    notes = {each.get("name"): each.get("value") for each in body.get("note_attributes") or ()}
    said = {
        "order_id": _text(body.get("name")), "products": [_line(each) for each in body.get("line_items") or ()],
        "coupon": codes[0].get("code"), "currency": body.get("currency"), "decision_id": notes.get("decision_id"),
    }  # fmt: skip
    name = "Checkout Started" if topic in CHECKOUT_TOPICS else "Order Completed"
    kept = {key: value for key, value in said.items() if value is not None}
    return _track(topic, body, name, kept, body.get("created_at")) | {"userId": str(who)}


def _track(topic: str, body: Json, name: str, said: Json, when: Any) -> dict[str, Any]:
    kind = {
        REFUND_TOPIC: "refund",
        **dict.fromkeys(ORDER_TOPICS, "order"),
        **dict.fromkeys(CHECKOUT_TOPICS, "checkout"),
    }[topic]
    named = body.get("id") or body.get("token")
    return {
        "type": "track",
        "event": name,
        "messageId": f"{SHOPIFY_PREFIX}{kind}:{named}",
        "timestamp": when,
        "properties": said,
    }


def _line(line: Json, quantity: Any = None) -> dict[str, Any]:
    """A line with what one unit was paid, its discounts taken off."""
    units = int(line.get("quantity") or 1)
    off = sum((Decimal(str(each.get("amount") or 0)) for each in line.get("discount_allocations") or ()), Decimal(0))
    paid = Decimal(str(line.get("price") or 0)) - off / units
    named = line.get("sku") or line.get("product_id") or line.get("variant_id") or line.get("title")
    said = {"product_id": _text(named), "name": line.get("title"), "brand": line.get("vendor")}
    return said | {"quantity": quantity or units, "price": float(round(paid, 4))}


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)


class _Read(BaseModel):
    """What the function's query may ask for beyond what is read here is left unread."""

    model_config = ConfigDict(extra="ignore")


class Money(_Read):
    """Shopify's MoneyV2."""

    amount: Annotated[str, Field(pattern=DECIMAL_PATTERN)]
    currencyCode: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"


class LineCost(_Read):
    """What a unit of a line costs before discounts."""

    amountPerQuantity: Money


class Merchandise(_Read):
    """The variant that a line is of; its `sku` goes before its ids."""

    id: Id = "variant"
    sku: Annotated[str, Field(max_length=256)] | None = None


class FunctionLine(_Read):
    """A line of the cart."""

    id: Id
    quantity: Quantity
    cost: LineCost
    merchandise: Merchandise = Merchandise()


class FunctionCustomer(_Read):
    """Who is signed in."""

    id: Id | None = None
    email: Id | None = None


class BuyerIdentity(_Read):
    """Who buys, where Shopify knows."""

    customer: FunctionCustomer | None = None
    email: Id | None = None


class FunctionCart(_Read):
    """The cart."""

    lines: Annotated[list[FunctionLine], Field(min_length=1, max_length=200)]
    buyerIdentity: BuyerIdentity | None = None

    @property
    def currency(self) -> str:
        """That of its first line."""
        return self.lines[0].cost.amountPerQuantity.currencyCode

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        if len({line.cost.amountPerQuantity.currencyCode for line in self.lines}) > 1:
            raise ValueError(gettext_lazy("the lines of a cart are in one currency"))
        return self


class EnteredCode(_Read):
    """A code that the buyer typed."""

    code: TypedCode


_EXAMPLE_LINE: JsonDict = {
    "id": "gid://shopify/CartLine/1",
    "quantity": 2,
    "cost": {"amountPerQuantity": {"amount": "12.90", "currencyCode": "EUR"}},
    "merchandise": {"__typename": "ProductVariant", "id": "gid://shopify/ProductVariant/2", "sku": "P-2"},
}


class FunctionInput(_Read):
    """The input of `cart.lines.discounts.generate.run`: what the function's query must ask for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"cart": {"lines": [_EXAMPLE_LINE], "buyerIdentity": {"email": "ann@example.com"}}}]
        }
    )
    cart: FunctionCart
    enteredDiscountCodes: Annotated[list[EnteredCode], Field(max_length=20)] = []

    def to_cart(self, by: str) -> CartIn:
        """The cart as the till has it; `by` says which of a customer's names is their id."""
        buyer = self.cart.buyerIdentity or BuyerIdentity()
        signed_in = buyer.customer or FunctionCustomer()
        plain = re.sub("^gid://shopify/Customer/", "", signed_in.id or "")
        who = plain if by == "id" else signed_in.email or buyer.email
        lines = [
            CartLineIn(
                line_id=line.id, product_id=line.merchandise.sku or line.merchandise.id, quantity=line.quantity,
                price_cents=int(Decimal(money.amount).scaleb(currency_digits(money.currencyCode))),
            )
            for line in self.cart.lines
            for money in (line.cost.amountPerQuantity,)
        ]  # fmt: skip
        codes = tuple(each.code for each in self.enteredDiscountCodes)
        return CartIn(
            customer_id=who or "not signed in", currency=self.cart.currency, lines=tuple(lines), codes=codes,
            decision_ids=None if who else (),
        )  # fmt: skip


def discount_operations(
    body: FunctionInput, mine: Wallet, price: PricedCart, language: Language = "en"
) -> dict[str, Any]:
    """The function's output: each promotion's part of each line as a fixed amount, so that nothing is left to round."""
    currency = body.cart.currency
    digits = currency_digits(currency)
    entered = {name: typed for typed, name in reversed([*mine.opened.items()]) if name in mine.promotions}
    candidates = []
    for each in price.applied:
        held, typed = mine.promotions[each.promotion_id], entered.get(each.promotion_id)
        named: dict[str, Any] = {"message": benefit_text(held.promotion.benefit, currency, language)}
        named |= {"associatedDiscountCode": {"code": typed}} if typed else {}
        for line_id, cents in each.allocation.items():
            amount = {"amount": f"{Decimal(cents).scaleb(-digits):f}", "appliesToEachItem": False}
            candidates.append({**named, "targets": [{"cartLine": {"id": line_id}}], "value": {"fixedAmount": amount}})
    taken = [{"code": typed} for typed in entered.values()]
    found: list[dict[str, Any]] = [{"enteredDiscountCodesAccept": {"codes": taken}}] if taken else []
    if candidates:
        found.append({"productDiscountsAdd": {"candidates": candidates, "selectionStrategy": "ALL"}})
    return {"operations": found}
