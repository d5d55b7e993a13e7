"""What the server gets at its start, and the policy of a campaign, which the API can change."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from promolift.foundation.settings import Settings
from promolift.shop.feedback.decision_outcomes import LearnSettings

DRAIN_S = 5.0
Channel = Literal["site", "app", "email", "sms", "push"]


def whole(value: object) -> object:
    """JSON has no integers of its own: 5.0 is one, "5" is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# numbers of a request; the bounds stand within, or the document would not say them
Count = Annotated[int, Field(ge=0, strict=True), BeforeValidator(whole)]
Priority = Annotated[int, Field(ge=-1000, le=1000, strict=True), BeforeValidator(whole)]
Hour = Annotated[int, Field(ge=0, le=23, strict=True), BeforeValidator(whole)]
Number = Annotated[float, Field(strict=True)]


class MailSettings(Settings):
    """An SMTP server for e-mail. The password comes from the environment, `PROMOLIFT_SMTP_PASSWORD`."""

    host: str = Field(description="Name of the SMTP server.", examples=["smtp.example.com"])
    port: int = Field(default=587, ge=1, le=65535, description="Port of the server.")
    sender: str = Field(
        min_length=3, description="Address that mails come from.", examples=["Shop <offers@example.com>"]
    )
    username: str = Field(default="", description="User name; left out, nobody logs in.", examples=["offers"])
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection is encrypted: after its start, from its start, or not at all.",
    )
    timeout_s: float = Field(default=10.0, gt=0, description="Seconds that the server may take to answer.")


class Learning(Settings):
    """Learning from the server's own decisions, in a process of its own."""

    every_hours: float | None = Field(
        default=None, gt=0, le=8784, description="Hours between two runs. Left out: only when asked.", examples=[24.0]
    )
    release: bool = Field(
        default=False,
        description="Whether what is learned is approved for the next plan by itself where nothing speaks against the "
        "draws; otherwise it waits for a person.",
    )
    settings: LearnSettings = LearnSettings()


class Keep(Settings):
    """How long `promolift ledger purge` keeps what; what is left out is kept for ever."""

    events_days: float | None = Field(
        default=None, gt=0, description="Days that events, what was bought and sent messages are kept.", examples=[730]
    )
    decisions_days: float | None = Field(
        default=None,
        gt=0,
        description="Days that decisions, and draws of tests, are kept; those that were redeemed stay.",
        examples=[1095],
    )
    rejects_days: float | None = Field(
        default=None, gt=0, description="Days that rejected events are kept.", examples=[30]
    )
    releases_days: float | None = Field(
        default=None, gt=0, description="Days that a release nobody refers to any more is kept.", examples=[90]
    )


class ConsoleSettings(Settings):
    """The pages for people, under `/console`."""

    two_eyes: bool = Field(
        default=False, description="Whether a draft needs the yes of somebody other than its maker to go live."
    )
    idle_hours: float = Field(
        default=8.0, gt=0, le=168, description="Hours without a click after which a person is signed out."
    )
    secure: bool = Field(
        default=False,
        description="Whether cookies are sent over https alone: set it where a reverse proxy does TLS.",
    )


class ServeSettings(Settings):
    """One server."""

    work: Path = Field(
        default=Path(".promolift"),
        description="The work folder, from the folder of the command. It goes before `--work`.",
    )
    ledger: str | None = Field(
        default=None,
        description="Where decisions and money are kept, as an SQLAlchemy URL; the variable PROMOLIFT_LEDGER goes "
        "before it. Left out: a SQLite file in the work folder.",
        examples=["postgresql+psycopg://user@host/promolift"],
    )
    releases: str | None = Field(
        default=None,
        description="Where servers of one ledger find each other's releases: a URL (s3, gs, abfs, file) or a folder "
        "that all of them see. A release is sent there when it is made or activated. Left out: each knows those of its "
        "own work folder.",
        examples=["s3://bucket/releases"],
    )
    ledger_readers: str | None = Field(
        default=None,
        description="A standby of the ledger's database, as an SQLAlchemy URL, for exports and learning, which read "
        "much. Left out: the ledger itself, by connections apart from the writer's.",
        examples=["postgresql+psycopg://user@standby/promolift"],
    )
    deadline_ms: int = Field(
        default=1000, ge=10, le=60_000, description='Milliseconds after which a decision is answered with "no offer".'
    )
    rate_per_second: float = Field(
        default=2000.0, gt=0, description="Requests per second that one key may make; above it 429 with Retry-After."
    )
    burst: int = Field(default=4000, ge=1, description="Requests that one key may make at once before the rate holds.")
    body_bytes: int = Field(
        default=1_000_000,
        ge=1000,
        description="Bytes that a request's body may have, unpacked; the Segment clients send at most 500 kB at a "
        "time.",
    )
    batch_events: int = Field(default=5000, ge=1, description="Events that one request may bring.")
    origins: tuple[str, ...] = Field(
        default=(),
        description="Origins of web pages that may send events from the browser, with a write key (CORS).",
        examples=[["https://www.example.com"]],
    )
    connections: int = Field(
        default=2000, ge=1, description="Connections that are kept at the same time; one more is refused at once."
    )
    drain_s: float | None = Field(
        default=None, ge=0, le=3600,
        description="Seconds after SIGTERM in which requests are still answered, each with `connection: close`, while "
        "`/health/ready` says 503, so that a proxy sends no more. Left out: 5 with a ledger on PostgreSQL, which other "
        "servers may share, else 0.", examples=[10.0],
    )  # fmt: skip
    clock_skew_ms: int = Field(
        default=5000,
        ge=100,
        description="Milliseconds that the machine's clock may jump by. Beyond, moments count on without it, no money "
        "moves and `/health/ready` says so.",
    )
    private_webhooks: bool = Field(
        default=False, description="Whether webhooks may go to addresses inside the own network, and over plain http."
    )
    shopify_customer: Literal["email", "id"] = Field(
        default="email",
        description="By what customers of Shopify are known here: as in its export of orders by e-mail, or by id. The "
        "secret of its webhooks is in the variable PROMOLIFT_SHOPIFY_SECRET.",
    )
    words: Literal["none", "agreed", "all"] = Field(
        default="agreed",
        description="Whose `properties.words` of an event are read for complaints and for requests of no more "
        "messages: those that come with `properties.may_read` true, everybody's, or nobody's. The words "
        "themselves are not kept.",
    )
    keep: Keep = Keep()
    mail: MailSettings | None = None
    learn: Learning = Learning()
    console: ConsoleSettings = ConsoleSettings()

    @property
    def ledger_url(self) -> str:
        """The ledger's URL."""
        return self.ledger or f"sqlite:///{(self.work / 'serve' / 'ledger.db').absolute()}"

    @property
    def readers_url(self) -> str:
        """What exports and learning read."""
        return self.ledger_readers or self.ledger_url

    @property
    def drained_s(self) -> float:
        """How long it drains."""
        alone = self.ledger is None or self.ledger.startswith("sqlite")
        return self.drain_s if self.drain_s is not None else 0.0 if alone else DRAIN_S


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
            raise ValueError("ends_ms must be later than starts_ms")
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
