"""Request bodies of the API. An unknown or wrong field is an error that names the field."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.delivery.sender import SenderName
from promolift.server.ledger.field_types import (
    PRINTABLE_PATTERN,
    Body,
    Cents,
    Channel,
    Id,
    Scope,
    Slug,
    StrictBool,
    TimestampMs,
    ZoneName,
    to_whole_number,
)
from promolift.server.ledger.policy import Policy

Campaigns = Annotated[
    Slug | Annotated[tuple[Slug, ...], Field(min_length=1, max_length=20)] | None,
    Field(description="One campaign, or several of which one decides for the customer. Left out: all that are live."),
]


ReachableChannels = Annotated[
    tuple[Channel, ...], Field(max_length=5, description="Channels on which the customer can be reached.")
]
HookEvent = Literal["redemption.reserved", "redemption.confirmed", "redemption.rolled_back", "redemption.returned",
               "release.activated", "customer.erased", "alert.raised",
               "alert.cleared"]  # what webhooks hear of  # fmt: skip


class DecisionIn(Body):
    """Which offer for this customer now? `explain` adds the candidates and the closed offers with their reasons.

    With `channels`, those on which the customer can be reached, the answer says on which to send it and when. With a
    `placement` it is which creative to show there, by campaigns of creatives alone.
    """

    customer_id: Id
    campaign_id: Campaigns = None
    channel: Channel = "site"
    channels: ReachableChannels = ()
    placement: Annotated[Id | None, Field(description="Where a creative is to be shown, as the plan calls it.")] = None
    audience: Annotated[
        Id | None, Field(description="What is known of who looks, as in the plan: values joined by |.")
    ] = None
    language: Literal["zh", "en"] | None = None
    timezone: ZoneName | None = None
    explain: StrictBool = False


class FeedbackIn(Body):
    """What came of a decision. `value_cents` is what the shop earned by it, in minor units; it may be negative."""

    decision_id: Id
    name: Id = "Conversion"
    value_cents: Annotated[int, Field(ge=-(10**12), le=10**12, strict=True), BeforeValidator(to_whole_number)] = 0
    message_id: Id | None = None
    ts_ms: TimestampMs | None = None


class LimitIn(Body):
    """At most `amount` of `metric` per `per` and `period`; without `offer_id` over all offers of the campaign."""

    limit_id: Slug
    metric: Literal["redemptions", "discount_amount"]
    amount: Cents
    period: Literal["total", "day", "week", "month"] = "total"
    per: Literal["campaign", "customer", "natural_person"] = "campaign"
    offer_id: Id | None = None
    timezone: ZoneName = Field(
        default="UTC", validation_alias=AliasChoices("timezone", "zone")
    )  # as answers once had it


class SharedLimitsIn(Body):
    """Limits over all campaigns together, `per` customer or in all; an offer is of one campaign, so none is named."""

    limits: Annotated[tuple[LimitIn, ...], Field(max_length=100)]

    @model_validator(mode="after")
    def _of_no_offer(self) -> Self:
        if any(limit.offer_id for limit in self.limits):
            raise ValueError(
                gettext_lazy("a limit over all campaigns has no offer_id; put it in the campaign of the offer")
            )
        return self


class CampaignIn(Body):
    """A campaign: paused or live, its policy and its limits. The release is set by activating one."""

    paused: StrictBool = False
    policy: Policy = Policy()
    limits: Annotated[tuple[LimitIn, ...], Field(max_length=100)] = ()


class CodesIn(Body):
    """The shop's own codes for an offer; from then on the offer is given with these alone."""

    offer_id: Id
    codes: Annotated[tuple[Id, ...], Field(min_length=1, max_length=10_000)]


class KeyIn(Body):
    """A new key."""

    scope: Scope
    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=PRINTABLE_PATTERN)]


class WebhookIn(Body):
    """Where to tell what happened."""

    url: Annotated[str, StringConstraints(min_length=8, max_length=2000, pattern=PRINTABLE_PATTERN)]
    events: Annotated[tuple[HookEvent, ...], Field(min_length=1, max_length=20)]


ALWAYS_VALIDATED = Field(validate_default=True)


class MailIn(Body):
    """Send a decided offer: by e-mail, or `by` a service that knows the customer; WeChat needs their openid as `to`.

    `channel` is that whose quiet hours hold; left out: `email` for an e-mail, else `push`.
    """

    decision_id: Id
    by: SenderName = "email"
    to: Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\s<>,;]*$"), ALWAYS_VALIDATED] = ""
    language: Literal["zh", "en"] | None = None
    channel: Channel | None = None
    unsubscribe_url: Annotated[str, StringConstraints(pattern=r"^(https://[^\s<>]{1,500})?$"), ALWAYS_VALIDATED] = ""
    postal_address: Annotated[
        str, StringConstraints(max_length=300, pattern=rf"^$|{PRINTABLE_PATTERN}"), ALWAYS_VALIDATED
    ] = ""

    @field_validator("to", "unsubscribe_url", "postal_address")
    @classmethod
    def _there(cls, value: str, info: ValidationInfo) -> str:
        by = info.data.get("by")
        if by == "email" and info.field_name == "to" and not re.match(r"^[^@]{1,64}@[A-Za-z0-9.-]{1,190}$", value):
            raise ValueError(gettext_lazy("an e-mail needs an address"))
        if by == "email" and info.field_name != "to" and len(value) < 5:
            raise ValueError(gettext_lazy("an e-mail needs it by law"))
        if by == "wechat" and info.field_name == "to" and not value:
            raise ValueError(gettext_lazy("WeChat needs the customer's openid"))
        return value


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
