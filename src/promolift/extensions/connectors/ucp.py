"""Price a cart of the Universal Commerce Protocol (UCP) and return the cart with its discounts.

A request carries the whole set of codes in `discounts.codes`. Codes that apply come back with allocations that add up;
each other code comes back as a message with one of the protocol's six reasons. Further offers of the customer are
listed in `discounts.available`, an extension of promolift that other systems may ignore.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from promolift.core.offers.cart_pricing import AppliedPromotion, PricedCart
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import Language
from promolift.server.admin_responses import answers
from promolift.server.api.problems import field_error
from promolift.server.api.routes import Route
from promolift.server.carts.carts import (
    CartIn,
    CartLineIn,
    Quantity,
    Wallet,
    benefit_text,
    load_wallet,
    price_with_wallet,
)
from promolift.server.ledger.field_types import Cents, Currency, Id, TypedCode, to_whole_number
from promolift.server.ledger.refusals import REFUSALS

router = APIRouter()
VERSION = "2026-01-11"  # of the extension, and of a cart that names none
DISCOUNT_EXTENSION, AVAILABLE_EXTENSION = "dev.ucp.shopping.discount", "dev.promolift.shopping.available_discounts"
CODE_INVALID, CODE_EXPIRED, CODE_ALREADY_APPLIED = (
    "discount_code_invalid",
    "discount_code_expired",
    "discount_code_already_applied",
)
CODE_NOT_COMBINABLE, BUYER_NOT_LOGGED_IN = "discount_code_combination_disallowed", "discount_code_user_not_logged_in"
BUYER_INELIGIBLE = "discount_code_user_ineligible"
NON_NEGATIVE_TOTALS = ("subtotal", "fulfillment", "tax", "fee", "total")
REASONS = {
    **dict.fromkeys(("code_unknown", "code_not_issued", "code_blocked", "terms_gone", "not_started"), CODE_INVALID),
    **dict.fromkeys(("code_expired", "expired"), CODE_EXPIRED),
    **dict.fromkeys(("not_stackable", "cap"), CODE_NOT_COMBINABLE),
}  # what is none of these says that this buyer, or this cart, may not have it  # fmt: skip


class _Open(BaseModel):
    """What a cart has beyond what is read here comes back as it came."""

    model_config = ConfigDict(extra="allow")


class UcpItem(_Open):
    """A product, with the shop's price of one unit."""

    id: Id
    title: Annotated[str, Field(max_length=1000)] = ""
    price: Cents


class UcpLine(_Open):
    """A line of the cart."""

    id: Id
    item: UcpItem
    quantity: Quantity


class UcpTotal(_Open):
    """A line of the receipt; of those that come in, all but what discounts change are kept."""

    type: Annotated[str, Field(max_length=100)]
    amount: Annotated[int, Field(ge=-(10**10), le=10**10, strict=True), BeforeValidator(to_whole_number)]

    @model_validator(mode="after")
    def _as_the_protocol_signs_it(self) -> Self:
        if self.type in NON_NEGATIVE_TOTALS and self.amount < 0:
            raise ValueError(
                gettext_lazy(
                    "{type} is {amount}; {non_negative_totals} are 0 or more",
                    type=self.type,
                    amount=self.amount,
                    non_negative_totals=", ".join(NON_NEGATIVE_TOTALS),
                )
            )
        return self


class UcpDiscounts(_Open):
    """The codes that the buyer submits, in place of those before."""

    codes: Annotated[list[TypedCode], Field(max_length=20)] = []


class UcpCart(_Open):
    """A cart, or a checkout, as the shop would answer it, before discounts."""

    id: Id
    currency: Currency
    line_items: Annotated[list[UcpLine], Field(min_length=1, max_length=200)]
    discounts: UcpDiscounts = UcpDiscounts()
    totals: Annotated[list[UcpTotal], Field(max_length=50)] = []
    context: Mapping[str, Any] = {}
    messages: Annotated[list[Mapping[str, Any]], Field(max_length=100)] = []
    ucp: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _one_currency(self) -> Self:
        parts = [part.model_dump() for part in (*self.line_items, *self.totals)]
        if other := sorted({*_currencies(parts)} - {self.currency}):
            raise ValueError(
                gettext_lazy(
                    "the cart is in {currency}, and some of its amounts are in {other}",
                    currency=self.currency,
                    other=", ".join(other),
                )
            )
        return self


class UcpReceiptLine(_Open):
    """A line of the receipt as it is answered: what many goods cost together has no upper bound."""

    type: str
    amount: int


class UcpPricedLine(UcpLine):
    """A line of the cart, with what it costs before and after discounts."""

    totals: list[UcpReceiptLine]


class UcpAllocation(BaseModel):
    """The part of a discount that comes off one line, or off delivery, in minor units."""

    model_config = ConfigDict(extra="forbid")
    path: str
    amount: int


class UcpDiscount(BaseModel):
    """A discount by its title; an automatic one has no code."""

    model_config = ConfigDict(extra="forbid")
    title: str
    automatic: bool
    code: str | None = None


class UcpApplied(UcpDiscount):
    """A discount that is applied to the cart. Its allocations add up to its amount."""

    amount: int
    priority: int
    method: Literal["across", "each"]
    allocations: list[UcpAllocation]


class UcpAvailable(UcpDiscount):
    """A discount of the customer that is not applied: why not, and how much the cart lacks for it."""

    reason: str
    content: str
    missing_amount: int | None
    missing_quantity: int | None


class UcpPricedDiscounts(UcpDiscounts):
    """The codes as they were submitted, what they and the shop's own promotions take off, and what else there is."""

    applied: list[UcpApplied]
    available: list[UcpAvailable]


class UcpPricedCart(_Open):
    """The cart as it came, with its discounts, its receipt, and a message for each code that did nothing."""

    id: Id
    currency: Currency
    line_items: list[UcpPricedLine]
    discounts: UcpPricedDiscounts
    totals: list[UcpReceiptLine]
    context: Mapping[str, Any]
    messages: list[Mapping[str, Any]]
    ucp: Mapping[str, Any]


def _currencies(part: Any) -> Iterator[str]:
    """The currencies that a part of a cart names, whatever it calls them."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    for name, value in part.items() if isinstance(part, dict) else ():
        if isinstance(value, str) and "currency" in str(name).lower():
            yield value.strip().upper()
        yield from _currencies(value)


_EXAMPLE_LINE: JsonDict = {"id": "1", "item": {"id": "P-2", "title": "Tea", "price": 1290}, "quantity": 2}


class UcpCartIn(BaseModel):
    """Whose cart it is, where the shop knows: who is not signed in has everybody's promotions and codes of nobody."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"customer_id": "C-1042", "cart": {"id": "cart-1", "currency": "EUR", "line_items": [_EXAMPLE_LINE]}}
            ]
        },
    )
    customer_id: Id | None = None
    cart: UcpCart

    @property
    def code_spellings(self) -> dict[str, str]:
        """Codes as they were first written, by what is the same in any case."""
        codes = self.cart.discounts.codes
        return dict.fromkeys(map(str.casefold, codes), "") | {code.casefold(): code for code in reversed(codes)}

    def to_cart(self) -> CartIn:
        """The cart as the till has it. ApiError for a line that is sold by another unit than each."""
        for at, line in enumerate(self.cart.line_items):
            unit = (line.item.model_extra or {}).get("quantity_unit")
            if isinstance(unit, dict) and (unit.get("unit", "C62") != "C62" or unit.get("scale")):
                raise field_error(
                    gettext_lazy("price this line elsewhere"), f"/cart/line_items/{at}/item", "is not sold by each"
                )
        lines = [
            CartLineIn(line_id=str(at), product_id=line.item.id, quantity=line.quantity, price_cents=line.item.price)
            for at, line in enumerate(self.cart.line_items)
        ]
        shipping = sum(total.amount for total in self.cart.totals if total.type == "fulfillment")
        return CartIn(
            customer_id=self.customer_id or f"not signed in: {self.cart.id}"[:256], currency=self.cart.currency,
            lines=tuple(lines),
            shipping_cents=max(0, shipping), codes=tuple(self.code_spellings.values()),
            decision_ids=None if self.customer_id else (),
        )  # fmt: skip


def apply_discounts(body: UcpCartIn, mine: Wallet, price: PricedCart) -> dict[str, Any]:
    """The cart as UCP has it, with discounts, totals and messages."""
    cart = body.cart
    language: Language = "zh" if str(cart.context.get("language", "en")).startswith("zh") else "en"

    def named(promotion_id: str) -> dict[str, Any]:
        held = mine.promotions[promotion_id]
        text = benefit_text(held.promotion.benefit, cart.currency, language)
        return {"title": text, "automatic": held.code is None} | ({"code": held.code} if held.code else {})

    applied = [
        named(each.promotion_id)
        | {
            "amount": each.discount_cents + each.shipping_off_cents, "priority": rank,
            "method": "across" if mine.promotions[each.promotion_id].promotion.benefit.amount_cents else "each",
            "allocations": _allocations(each),
        }
        for rank, each in enumerate(price.applied, 1)
    ]  # fmt: skip
    available = [
        named(no.promotion_id)
        | {"reason": no.reason, "content": REFUSALS[no.reason].words.text_in(language)}
        | {"missing_amount": no.missing_cents, "missing_quantity": no.missing_units}
        for no in price.refused
    ]
    discounts = cart.discounts.model_dump() | {"applied": applied, "available": available}
    known = cart.ucp.get("capabilities")
    version = cart.ucp.get("version", VERSION)
    mine_too = {
        DISCOUNT_EXTENSION: [{"version": version}],
        AVAILABLE_EXTENSION: [{"version": VERSION, "extends": [DISCOUNT_EXTENSION]}],
    }
    ucp = (
        {"status": "success"}
        | dict(cart.ucp)
        | {"version": version, "capabilities": known | mine_too if isinstance(known, dict) else mine_too}
    )
    lines = [_line(line, price.line_cents[str(at)]) for at, line in enumerate(cart.line_items)]
    found = {"ucp": ucp, "line_items": lines, "discounts": discounts, "totals": _totals(cart, price)}
    return (
        cart.model_dump(mode="json") | found | {"messages": [*cart.messages, *_messages(body, mine, price, language)]}
    )


def _allocations(each: AppliedPromotion) -> list[dict[str, Any]]:
    parts = [{"path": f"$.line_items[{at}]", "amount": cents} for at, cents in each.allocation.items()]
    shipping = {"path": '$.totals[?@.type == "fulfillment"]', "amount": each.shipping_off_cents}
    return [*parts, *([shipping] if each.shipping_off_cents else [])]


def _line(line: UcpLine, cents: int) -> dict[str, Any]:
    full = line.quantity * line.item.price
    return line.model_dump(mode="json") | {"totals": _receipt(full, {"items_discount": cents - full}, cents)}


def _totals(cart: UcpCart, price: PricedCart) -> list[dict[str, Any]]:
    """Subtotal, what comes off goods and off delivery, all else as it came, and what is left; ApiError below 0."""
    ours = ("subtotal", "items_discount", "discount", "total")
    kept = [total.model_dump(mode="json") for total in cart.totals if total.type not in ours]
    total = price.subtotal_cents - price.discount_cents - price.shipping_off_cents + sum(one["amount"] for one in kept)
    if total < 0:
        wrong = f"{total} would be left to pay: what the shop takes off itself, such as a credit, is more than the rest"
        raise field_error(gettext_lazy("take off less beside these discounts"), "/cart/totals", wrong)
    off = {"items_discount": -price.discount_cents, "discount": -price.shipping_off_cents}
    *first, last = _receipt(price.subtotal_cents, off, total)
    return [*first, *kept, last]


def _receipt(subtotal: int, off: Mapping[str, int], total: int) -> list[dict[str, Any]]:
    parts = {"subtotal": subtotal} | {name: cents for name, cents in off.items() if cents} | {"total": total}
    return [{"type": name, "amount": cents} for name, cents in parts.items()]


def _messages(body: UcpCartIn, mine: Wallet, price: PricedCart, language: Language) -> list[dict[str, Any]]:
    """A warning for each code that did nothing, in the order that they came in."""
    applied = {each.promotion_id for each in price.applied}
    late: dict[str, str] = {no.promotion_id: no.reason for no in price.refused}
    first, found, used = body.code_spellings, [], set[str]()
    for at, code in enumerate(body.cart.discounts.codes):
        typed = first[code.casefold()]
        opened = mine.opened.get(typed, "")
        why: str = mine.refused.get(typed) or mine.refused.get(opened) or late.get(opened, "code_unknown")
        if opened in applied and opened not in used:
            used.add(opened)
            continue
        meant = CODE_ALREADY_APPLIED if opened in applied else REASONS.get(why, BUYER_INELIGIBLE)
        if why == "code_of_another" and body.customer_id is None:
            meant = BUYER_NOT_LOGGED_IN
        words = REFUSALS["code_used" if meant == CODE_ALREADY_APPLIED else why].words.text_in(language)
        found.append(
            {"type": "warning", "code": meant, "path": f"$.discounts.codes[{at}]", "content": f"{code}: {words}"}
        )
    return found


@router.post("/v1/carts:ucp", tags=["carts"], **answers(UcpPricedCart))
def ucp_cart(call: Route, body: UcpCartIn) -> dict[str, Any]:
    """A cart as the Universal Commerce Protocol has it, with its discounts; nothing is held."""
    now_ms, asked = call.server.clock.now_ms(), body.to_cart()
    with call.read() as db:
        mine = load_wallet(db, call.server.decider.ensure, asked, now_ms)
    return apply_discounts(body, mine, price_with_wallet(asked, mine, {}, now_ms))
