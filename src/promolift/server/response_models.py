"""Response bodies of the routes with the most traffic: decisions, events, redemptions, carts, feedback."""

from collections.abc import Mapping
from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class SendAnswer(TypedDict):
    """On which channel to send an offer and when (RFC 3339), and how probable both were."""

    channel: str
    send_at: str
    propensity: float


class CampaignBid(TypedDict):
    """What a campaign had for a customer: its best open offer, and what that is worth after the price of its cost."""

    campaign_id: str
    priority: int
    offer_id: str
    worth_cents: float


class Considered(TypedDict):
    """The campaigns that met, and why the one of the decision decides: only one had an offer that pays, priority,
    value, name (first id of equal ones), or nothing pays.
    """

    why: str
    campaigns: list[CampaignBid]


class DecisionAnswer(TypedDict):
    """An answered decision: without a record (`decision_id` is None) it says "no offer" and why."""

    decision_id: str | None
    ts_ms: int | None
    customer_id: str
    campaign_id: str | None
    policy_id: str | None
    policy_version: str | None
    offer_id: str
    reason: str  # in the language asked for or accepted, else the shop's own
    rule: str  # the reason as the ledger records it, the same in every language
    propensity: float | None
    holdout: bool | None
    release_id: str | None
    experiment_id: str | None
    variant: str | None
    offer: Mapping[str, Any] | None
    message: str | None
    code: str | None
    send: NotRequired[SendAnswer]  # where `channels` was asked for and an offer is given
    considered: NotRequired[Considered]  # where several campaigns met
    general: NotRequired[list[Mapping[str, Any]]]  # who refused personal decisions: promotions that everybody has
    language: NotRequired[str]
    title: NotRequired[str | None]
    angle: NotRequired[str | None]  # the reason that the message gives
    text_id: NotRequired[str | None]  # the text of the pool it was filled from
    text_propensity: NotRequired[float | None]
    why_no_message: NotRequired[str]
    candidates: NotRequired[list[Mapping[str, Any]]]  # both lists where `explain` was asked for
    ineligible: NotRequired[list[Mapping[str, Any]]]


class Redeemed(TypedDict):
    """A redemption as it stands."""

    redemption_id: str
    campaign_id: str
    offer_id: str
    customer_id: str
    order_id: str | None
    code: str | None
    decision_id: str | None
    reserved_cents: int
    final_cents: int | None
    status: str
    ts_ms: int
    expires_ms: int


REDEMPTION = tuple(Redeemed.__annotations__)


class FeedbackTaken(TypedDict):
    """Whether feedback was new."""

    accepted: int
    duplicates: int
    message_id: str


class CartApplied(TypedDict):
    """A promotion in a cart: by what the customer has it, what it takes off which line, what was reserved for it."""

    promotion_id: str
    type: str
    campaign_id: str
    decision_id: str | None
    code: str | None
    discount_cents: int
    shipping_off_cents: int
    allocation: list[Mapping[str, str | int]]
    gift: Mapping[str, str | int] | None
    points: int
    redemption_id: str | None


class CartRefused(TypedDict):
    """A promotion, code or decision that is not in the cart: why, in words too, what is missing, beside what."""

    id: str
    reason: str
    words: Mapping[str, str]
    missing_cents: int
    missing_units: int
    beside: list[str]


class CartNearly(TypedDict):
    """What more goods would bring."""

    promotion_id: str
    missing_cents: int
    missing_units: int
    words: Mapping[str, str]


class CartAnswer(TypedDict):
    """A priced cart: total = subtotal - discount + shipping - shipping off; its lines sum to subtotal - discount."""

    customer_id: str
    currency: str | None
    subtotal_cents: int
    discount_cents: int
    shipping_cents: int
    shipping_off_cents: int
    total_cents: int
    lines: list[Mapping[str, str | int]]
    applied: list[CartApplied]
    refused: list[CartRefused]
    nearly: list[CartNearly]
    compared_all: bool


class ProductPrice(TypedDict):
    """What one unit of a product costs this customer; `struck_cents` may be printed struck through beside it."""

    product_id: str
    price_cents: int
    struck_cents: int | None
    promotion_ids: list[str]
    personal: bool
    expires: str | None
    notices: list[str]


class PricesAnswer(TypedDict):
    """The prices of a page in the order that was asked for."""

    currency: str | None
    data: list[ProductPrice]
