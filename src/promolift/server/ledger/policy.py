"""A campaign's policy: frequency caps, quiet hours, sending, pacing."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings
from promolift.server.ledger.field_types import Channel, Count, Hour, Number, Priority


class FrequencyCap(Settings):
    """A frequency cap, counted over all campaigns: of offers, or in a campaign of creatives, of creatives."""

    offers: Count = Field(description="Offers that one customer may get at most within `days`.", examples=[2])
    days: Number = Field(gt=0, le=366, description="The days that are counted, back from now.", examples=[7.0])
    channel: Channel | None = Field(
        default=None,
        description="The channel on which offers are counted and closed. Left out: all channels together.",
        examples=["sms"],
    )
    each: bool = Field(
        default=False,
        description="Whether each offer is counted by itself: who had one so often may get another. For creatives.",
    )


class QuietHours(Settings):
    """Hours without offers, by the customer's own clock where their zone is known, else by the shop's."""

    start: Hour = Field(default=22, description="First hour without offers.")
    end: Hour = Field(default=8, description="First hour with offers again; 22 to 8 goes over midnight.")
    channels: tuple[Channel, ...] = Field(default=("sms", "push"), description="Channels on which it is quiet then.")

    def quiet(self, hour: int) -> bool:
        """Whether an hour lies in them; 22 to 8 goes over midnight."""
        inside = self.start <= hour < self.end
        return inside if self.start <= self.end else not self.end <= hour < self.start


class SendChannel(Settings):
    """A channel on which offers may be sent, and at which hours of the customer's day."""

    channel: Channel = Field(description="The channel.", examples=["email"])
    hours: Annotated[tuple[Hour, ...], Field(min_length=1, max_length=24)] = Field(
        description="Hours at which it may be sent; the first is the usual one.", examples=[[10, 18]]
    )


class Sending(Settings):
    """On which channel and at which hour an offer is sent, where a request says how the customer can be reached.

    Usually on the first channel that is open, at its first hour: quiet hours and caps of a channel close it.
    """

    channels: Annotated[tuple[SendChannel, ...], Field(min_length=1, max_length=5)]
    learned: bool = Field(
        default=False,
        description="Whether the usual channel and hour are those at which this customer is likeliest to answer "
        "within a day, by what was sent and answered before, once there are 100 answers. Else the first that is open.",
    )
    explore: Number = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of offers whose channel and hour are drawn, evenly over all that are open, so that what "
        "each is worth can be learned. Who gets which offer, and the holdout, are drawn apart from it.",
        examples=[0.1],
    )


class Pacing(Settings):
    """The price follows what is spent, so that the plan's budget lasts as long as it should."""

    starts_ms: Count = Field(
        description="When the budget begins to be spent, in milliseconds UTC since 1970.",
        examples=[1_767_225_600_000],
    )
    ends_ms: Count = Field(
        description="Until when it should last, in milliseconds UTC since 1970.", examples=[1_769_904_000_000]
    )
    arrivals: Number = Field(gt=0, description="Decisions expected in that time.", examples=[50_000.0])

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_ms <= self.starts_ms:
            raise ValueError(gettext_lazy("ends_ms must be later than starts_ms"))
        return self


class Live(Settings):
    """What a customer's own events of the last minutes close. They never change a score."""

    minutes: Number = Field(default=30.0, gt=0, le=10_080, description="How many minutes back such events count.")
    cart: Literal["close", "keep"] = Field(
        default="close",
        description="`close` gives no offer on what lies in the customer's cart, which they are about to buy at its "
        "price.",
    )
    viewed: Literal["any", "only"] = Field(
        default="any",
        description="`only` gives offers on one category or product alone if the customer looked at it; offers on "
        "everything stay open.",
    )
    after_order_minutes: Number = Field(
        default=0.0,
        ge=0,
        le=10_080,
        description="Minutes after an order in which there is no offer at all.",
        examples=[60.0],
    )

    complaint_days: Number = Field(
        default=1.0, ge=0, le=112, description="Days after a complaint in their own words in which there is no offer."
    )

    @property
    def looks(self) -> bool:
        """Whether any of its rules reads the events."""
        return self.cart == "close" or self.viewed == "only" or self.after_order_minutes > 0


class Policy(Settings):
    """How a campaign is decided on. A change makes a new version, so that every decision can be replayed."""

    explore: float | None = Field(
        strict=True,
        default=None,
        ge=0,
        le=1,
        description="Share of decisions drawn by hash, so that something is learned. Left out: the release's own.",
        examples=[0.02],
    )
    caps: tuple[FrequencyCap, ...] = ()
    quiet: QuietHours | None = None
    sending: Sending | None = None
    priority: Priority | None = Field(
        default=None,
        description="Where several campaigns have an offer that pays for one customer, the higher priority goes "
        "first, then the offer that is worth more. Left out: the release's own.",
        examples=[10],
    )
    rest_days: Number = Field(
        default=14.0, ge=0, le=366, description="Days in which there is no offer on what a customer has bought."
    )
    hold_minutes: Number = Field(
        default=15.0, gt=0, le=10_080, description="Minutes that a reservation holds its money before it is given back."
    )
    pacing: Pacing | None = None
    live: Live = Live()
