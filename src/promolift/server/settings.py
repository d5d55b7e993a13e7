"""Settings of one server: ledger, request limits, retention, e-mail, learning and console."""

from pathlib import Path
from typing import Literal

from pydantic import Field, IPvAnyNetwork

from promolift.foundation.settings import Settings
from promolift.shop.feedback.decision_outcomes import LearnSettings

DRAIN_S = 5.0


class MailSettings(Settings):
    """An SMTP server for e-mails and alerts. The password comes from the environment, `PROMOLIFT_SMTP_PASSWORD`."""

    host: str = Field(description="Name of the SMTP server.", examples=["smtp.example.com"])
    port: int = Field(default=587, ge=1, le=65535, description="Port of the server.")
    sender: str = Field(
        min_length=3, description="Address that mails come from.", examples=["Shop <offers@example.com>"]
    )
    username: str = Field(default="", description="User name; left out, nobody logs in.", examples=["offers"])
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection is encrypted: after its start, from its start, or not at all. The server's "
        "certificate must be valid; the variable SSL_CERT_FILE names a file with an authority of your own.",
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


class OidcSettings(Settings):
    """An OpenID Connect provider that people sign in with; it needs the extra `sso`. The secret that the provider gave
    comes from the environment, `PROMOLIFT_OIDC_SECRET`.
    """

    issuer: str = Field(
        min_length=1,
        description="The provider's address, as its tokens name it.",
        examples=["https://login.example.com"],
    )
    client_id: str = Field(min_length=1, description="What the provider calls this console.", examples=["promolift"])
    name: str = Field(
        default="",
        max_length=40,
        description="What the button calls the provider. Left out: your company account.",
        examples=["Okta"],
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
    proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Addresses or networks of the reverse proxies in front, whose `X-Forwarded-For` says where "
        "somebody comes from. Wrong passwords then count by that address; from all others the header is not believed.",
        examples=[["127.0.0.1", "10.0.0.0/8"]],
    )
    oidc: OidcSettings | None = None


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
