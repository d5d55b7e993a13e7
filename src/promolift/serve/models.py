"""The bodies of requests, strict: an unknown or wrong field is an error that names it."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from promolift.learn.experiment import Design
from promolift.serve.security import Scope
from promolift.serve.settings import Channel, Policy
from promolift.settings import Zone


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("only printable characters are allowed")
    return text


def _typed(text: Any) -> Any:
    """With plain spaces for wide ones, tabs and line ends, which come along when a person copies a code."""
    return re.sub(r"\s", " ", text) if isinstance(text, str) else text


Id = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_printable)]
Typed = Annotated[str, BeforeValidator(_typed), *Id.__metadata__]  # what a person typed, such as a code
Slug = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Cents = Annotated[int, Field(ge=0, le=10**12, strict=True)]
Moment = Annotated[int, Field(ge=0, le=253_402_300_799_999)]


class Body(BaseModel):
    """Base of all requests."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DecisionIn(Body):
    """Which offer for this customer now? `explain` adds the candidates and the closed offers with their reasons."""

    customer_id: Id
    campaign_id: Slug | None = None
    channel: Channel = "site"
    language: Literal["zh", "en"] | None = None
    timezone: Zone | None = None
    explain: bool = False


class ReserveIn(Body):
    """Hold money for an order. With a decision_id the offer and campaign are those of the decision."""

    customer_id: Id
    amount_cents: Cents
    campaign_id: Slug | None = None
    offer_id: Id | None = None
    decision_id: Id | None = None
    code: Typed | None = None
    order_id: Id | None = None
    redemption_id: Slug | None = None


class ConfirmIn(Body):
    """Spend what was reserved, or less."""

    redemption_id: Slug
    amount_cents: Cents | None = None


class RollbackIn(Body):
    """Give back what was reserved or spent; with an amount that part alone, as where a line comes back."""

    redemption_id: Slug
    amount_cents: Cents | None = None


class FeedbackIn(Body):
    """What came of a decision. `value_cents` is what the shop earned by it, in minor units; it may be negative."""

    decision_id: Id
    name: Id = "Conversion"
    value_cents: Annotated[int, Field(ge=-(10**12), le=10**12, strict=True)] = 0
    message_id: Id | None = None
    ts_ms: Moment | None = None


class LimitIn(Body):
    """At most `amount` of `metric` per `per` and `period`; without `offer_id` over all offers of the campaign."""

    limit_id: Slug
    metric: Literal["redemptions", "discount_amount"]
    amount: Cents
    period: Literal["total", "day", "week", "month"] = "total"
    per: Literal["campaign", "customer", "natural_person"] = "campaign"
    offer_id: Id | None = None
    timezone: Zone = "UTC"


class CampaignIn(Body):
    """A campaign: paused or live, its policy and its limits. The release is set by activating one."""

    paused: bool = False
    policy: Policy = Policy()
    limits: Annotated[tuple[LimitIn, ...], Field(max_length=100)] = ()


class CodesIn(Body):
    """The shop's own codes for an offer; from then on the offer is given with these alone."""

    offer_id: Id
    codes: Annotated[tuple[Id, ...], Field(min_length=1, max_length=10_000)]


class ExperimentIn(Body):
    """A test of releases against each other: the design, and which release each arm is served from."""

    design: Design
    releases: dict[str, Slug]


class KeyIn(Body):
    """A new key."""

    scope: Scope
    name: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_printable)]


class WebhookIn(Body):
    """Where to tell what happened."""

    url: Annotated[str, StringConstraints(min_length=8, max_length=2000), AfterValidator(_printable)]
    events: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]


class MailIn(Body):
    """Send a decided offer by e-mail."""

    decision_id: Id
    to: Annotated[str, StringConstraints(pattern=r"^[^@\s<>,;]{1,64}@[A-Za-z0-9.-]{1,190}$")]
    language: Literal["zh", "en"] | None = None
    unsubscribe_url: Annotated[str, StringConstraints(pattern=r"^https://[^\s<>]{1,500}$")]
    postal_address: Annotated[str, StringConstraints(min_length=5, max_length=300), AfterValidator(_printable)]


class EventIn(BaseModel):
    """A Segment event; only what is read is described here, everything else is kept as it is."""

    model_config = ConfigDict(extra="allow")

    type: Any = None  # what is wrong with an event is told in the answer, and the others are taken
    messageId: Any = None
    userId: Any = None
    anonymousId: Any = None
    event: Any = None
    properties: Any = None
    traits: Any = None
    timestamp: Any = None
    sentAt: Any = None


class BatchIn(BaseModel):
    """Segment events, as the Segment clients send them."""

    model_config = ConfigDict(extra="allow")

    batch: list[EventIn | Any]
    sentAt: Any = None
