"""Settings of the shop itself, of customers' texts, of privacy and of the cleaning rules."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from promolift.core.customers.sensitive_topics import SensitiveTopic
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import LANGUAGES, Language
from promolift.foundation.money import Currency
from promolift.foundation.settings import Settings, Zone
from promolift.foundation.time.clock import DAY_MS


def _currency_languages(stated: dict[str, Any]) -> tuple[Language, ...]:
    return ("zh",) if stated.get("currency") == "CNY" else ("en",)


class ShopSettings(Settings):
    """Who sends the offers."""

    RENAMED: ClassVar[dict[str, str]] = {"language": "languages"}
    NEW_VALUES: ClassVar[dict[str, dict[str, str]]] = {"language": {each: f'["{each}"]' for each in LANGUAGES}}

    name: str = Field(default="My shop", description="Name of the shop, as pages and e-mails print it.")
    currency: Currency = Field(
        default="USD",
        description="Currency of every amount: it settles what a minor unit (cent) is and how it is printed.",
    )
    zone: Zone = Field(
        default="UTC",
        description="Time zone of the shop: it settles where a day begins, and with it dates of plans and offers.",
        examples=["Asia/Shanghai"],
    )
    languages: tuple[Language, ...] = Field(
        default_factory=_currency_languages,
        min_length=1,
        description="Languages of the shop, its own first. Messages, columns of files, reviews of texts, the report "
        "and the console exist for these alone. Customers whose language is unknown, or none of these, read the "
        "first. Left out: Chinese for a shop whose currency is CNY, English for any other.",
        examples=[["en", "zh"]],
    )

    country: str | None = Field(
        default=None,
        pattern="^[A-Z]{2}$",
        description="Country of the shop (ISO 3166), whose occasions a brief for texts names while they are near. Left "
        "out: CN for a shop whose currency is CNY, none for any other.",
        examples=["GB"],
    )

    @property
    def home_country(self) -> str | None:
        """The country whose occasions count; None where nothing says which."""
        return self.country or ("CN" if self.currency == "CNY" else None)

    @property
    def language(self) -> Language:
        """The shop's own language."""
        return self.languages[0]

    def nearest_language(self, wanted: str | None) -> Language:
        """Return the shop's language that a tag such as zh-Hans-CN asks for; the shop's own where it has none."""
        return next((each for each in self.languages if (wanted or "").lower().startswith(each)), self.language)

    @field_validator("languages")
    @classmethod
    def _stated_once(cls, languages: tuple[Language, ...]) -> tuple[Language, ...]:
        if len({*languages}) < len(languages):
            raise ValueError(gettext_lazy("a language stands twice"))
        return languages


class WordsSettings(Settings):
    """What customers write and say: whether it may be read, and who says what it is about."""

    unasked: bool = Field(
        default=False,
        description="Whether the words of customers may be read of whom neither a yes nor a no is known: the role "
        "`consent` of the file of words says it, apart from the consent to be sent offers.",
    )
    reader: Literal["own", "remote", "local", "replay"] = Field(
        default="own",
        description="`own` reads in this process; the others ask the [model](#llm) of that name, with names of mail "
        "boxes, phones and cards taken out, and `own` where it fails. `remote` sends the words to its endpoint.",
    )
    sure: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="A text counts as a complaint, or as a request for no more messages, from this probability on. "
        "Who asked for no more messages counts as having refused offers.",
    )


class Processing(Settings):
    """Why a source of personal data is used, what allows it, and how long its rows are kept."""

    purpose: str = Field(
        default="",
        description="What the data are used for, in the customers' language. Left out: to choose offers that fit.",
        examples=["to choose offers that fit"],
    )
    basis: Literal["consent", "contract", "obligation", "interest"] = Field(
        default="consent",
        description="What allows it: the customer's consent, a contract with them, a legal obligation, or a legitimate "
        "interest that was weighed against theirs.",
    )
    keep_days: int | None = Field(
        default=None,
        ge=1,
        description="Days that the work folder keeps its rows: `promolift ingest` takes no older ones, and `promolift "
        "erase --old` deletes those that grew older. Of customers: days since the last event of theirs. Left out: no "
        "end.",
        examples=[730],
    )


PRIVATE_CELL = 10  # customers below which no page of a shop with `privacy.epsilon` prints a number


class PrivacySettings(Settings):
    """What customers are told of their data, and what the record of processing says."""

    controller: str = Field(
        default="",
        description="Who answers for the data, as the law names them. Left out: the shop's name.",
        examples=["Tea House Ltd, 1 Quay Street, London"],
    )
    contact: str = Field(
        default="",
        description="Where customers write about their data. Without it `promolift privacy` says that it is missing.",
        examples=["privacy@example.com"],
    )
    sensitive_allowed: tuple[SensitiveTopic, ...] = Field(
        default=(),
        description="Matters that profiles may know of: `health`, `religion`, `sex_life`, `union`, `politics`, "
        "`children` (columns alone). Of all others `promolift ingest` keeps no customer column, and purchases and "
        "views without their product; messages and offers name none of them in any case.",
        examples=[["health"]],
    )
    least_cell: int | None = Field(
        default=None,
        ge=1,
        description="Groups of fewer customers are not printed in reports, exports and the console, nor what would "
        "give them away. Left out: a shop sees its own figures whole; 10 with `epsilon`. Set it where these pages "
        "leave the shop.",
        examples=[10],
    )
    rejected_days: int | None = Field(
        default=None,
        ge=1,
        description="Days after an ingest that rows which were set aside are kept, whole as they came; `promolift "
        "erase --old` deletes them then. Left out: until the next ingest.",
        examples=[30],
    )
    epsilon: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="The most that all runs on one work folder together may tell anybody else of a customer "
        "(differential privacy, the unit is a customer): what is learned from all customers comes from noisy sums, and "
        "what cannot is left out ([how](privacy.md)). Left out: no such promise.",
        examples=[3.0],
    )
    delta: float = Field(
        default=1e-6,
        gt=0,
        lt=1e-2,
        description="Probability with which more may be told; well below 1 / number of customers.",
        examples=[1e-6],
    )
    runs: int = Field(
        default=1,
        ge=1,
        description="For how many runs on new data `epsilon` is to last: each may spend an equal part. State it before "
        "the first one.",
        examples=[12],
    )
    events: Processing = Processing()
    customers: Processing = Processing()
    promotions: Processing = Processing()
    words: Processing = Processing()

    @property
    def printed_cell(self) -> int:
        """The smallest group whose number is printed."""
        return self.least_cell or (PRIVATE_CELL if self.epsilon else 1)


class CleanRules(Settings):
    """Limits of what is believed; the [cleaning rules](cleaning.md) go by them."""

    now_ms: int | None = Field(
        default=None,
        description="Events later than this are rejected, in milliseconds UTC since 1970. Left out: the moment of "
        "`promolift ingest`.",
        examples=[1_767_225_600_000],
    )
    since_ms: int = Field(
        default=631_152_000_000,
        description="Events earlier than this are rejected, in milliseconds UTC since 1970; the default is 1990-01-01.",
    )
    max_quantity: float = Field(
        default=1000, gt=0, description="Units in one row above which the number is not believed and becomes missing."
    )
    max_price_cents: int = Field(
        default=1_000_000_000,
        gt=0,
        description="Minor units in one row above which a row is rejected, or a product's price becomes missing.",
    )
    max_age: int = Field(
        default=110, gt=0, description="Years above which an age is not believed: 118 is often 'unknown'."
    )
    late_ms: int = Field(
        default=DAY_MS,
        gt=0,
        description="Milliseconds between an event and its arrival above which it is counted as late; it is kept.",
    )
