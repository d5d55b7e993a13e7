"""What the server is told at its start, and the policy of a campaign, which the API can change."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from promolift.learning.evidence import LearnSettings
from promolift.settings import Settings

Channel = Literal["site", "app", "email", "sms", "push"]


class MailSettings(Settings):
    """The one native channel: an SMTP server. The password comes from the environment, `PROMOLIFT_SMTP_PASSWORD`."""

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    sender: str = Field(min_length=3)
    username: str = ""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    timeout_s: float = Field(default=10.0, gt=0)


class Learning(Settings):
    """Learning inside the process: every so many hours, never if left out. A proposal waits for a person.

    `release`: it goes live by itself if its guardrails accept it. `settings`: see `promolift learn`.
    """

    every_hours: float | None = Field(default=None, gt=0, le=8784)
    release: bool = False
    settings: LearnSettings = LearnSettings()


class ServeSettings(Settings):
    """One server. `ledger` is a SQLAlchemy URL; left out, it is a SQLite file in the work folder.

    `deadline_ms`: a decision that takes longer is answered with "no offer". `rate_per_second` and `burst` bound each
    key. `body_bytes` and `batch_events` bound a request; the Segment clients send at most 500 kB at a time.
    `private_webhooks` allows webhooks to addresses inside the own network.
    """

    work: Path = Path(".promolift")
    ledger: str | None = None
    deadline_ms: int = Field(default=1000, ge=10, le=60_000)
    rate_per_second: float = Field(default=2000.0, gt=0)
    burst: int = Field(default=4000, ge=1)
    body_bytes: int = Field(default=1_000_000, ge=1000)
    batch_events: int = Field(default=5000, ge=1)
    private_webhooks: bool = False
    mail: MailSettings | None = None
    learn: Learning = Learning()

    @property
    def ledger_url(self) -> str:
        """The ledger's URL."""
        return self.ledger or f"sqlite:///{(self.work / 'serve' / 'ledger.db').absolute()}"


class FrequencyCap(Settings):
    """At most `offers` to one customer within `days`, counted over all campaigns."""

    offers: int = Field(ge=0)
    days: float = Field(gt=0, le=366)


class QuietHours(Settings):
    """No offer on these channels from hour `start` to hour `end`, by the customer's clock where his zone is known."""

    start: int = Field(default=22, ge=0, le=23)
    end: int = Field(default=8, ge=0, le=23)
    channels: tuple[Channel, ...] = ("sms", "push")

    def quiet(self, hour: int) -> bool:
        """Whether an hour lies in them; 22 to 8 goes over midnight."""
        inside = self.start <= hour < self.end
        return inside if self.start <= self.end else not self.end <= hour < self.start


class Pacing(Settings):
    """The price follows what is spent: the plan's budget lasts from `starts_ms` to `ends_ms`.

    `arrivals` is how many decisions are expected in that time.
    """

    starts_ms: int = Field(ge=0)
    ends_ms: int = Field(ge=0)
    arrivals: float = Field(gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_ms <= self.starts_ms:
            raise ValueError("ends_ms must be later than starts_ms")
        return self


class Live(Settings):
    """What a customer's own events of the last `minutes` close. They never change a score.

    `cart`: close offers on what lies in his cart, which he is about to buy at its price. `viewed`: only, for offers on
    nothing but what he looked at. `after_order_minutes`: no offer at all so soon after an order.
    """

    minutes: float = Field(default=30.0, gt=0, le=10_080)
    cart: Literal["close", "keep"] = "close"
    viewed: Literal["any", "only"] = "any"
    after_order_minutes: float = Field(default=0.0, ge=0, le=10_080)

    @property
    def looks(self) -> bool:
        """Whether any of its rules reads the events."""
        return self.cart == "close" or self.viewed == "only" or self.after_order_minutes > 0


class Policy(Settings):
    """How a campaign is decided on. A change makes a new version, so that every decision can be replayed.

    `rest_days`: no offer on what he bought that lately. `explore`: share of decisions drawn by hash to learn from;
    left out, it is the release's own.
    `hold_minutes`: how long a reservation holds its money.
    """

    explore: float | None = Field(default=None, ge=0, le=1)
    caps: tuple[FrequencyCap, ...] = ()
    quiet: QuietHours | None = None
    rest_days: float = Field(default=14.0, ge=0, le=366)
    hold_minutes: float = Field(default=15.0, gt=0, le=10_080)
    pacing: Pacing | None = None
    live: Live = Live()
