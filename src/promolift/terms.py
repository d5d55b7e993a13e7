"""An offer's terms: what the rooms hand to one another and what a message must agree with."""

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from promolift.settings import Settings

Language = Literal["zh", "en"]
Scope = Literal["all", "category", "product"]
BenefitType = Literal["none", "percent_off", "amount_off", "free_shipping", "reminder"]
Activation = Literal["automatic", "code", "link"]
Joined = Literal["each", "together"]
AND = " ++ "  # between the two categories of an offer on both


def covered(target: str | None) -> tuple[str, ...]:
    """The categories, or the product, that a target names: none for everything, two for an offer on two."""
    return tuple(target.split(AND)) if target else ()


class Words(Settings):
    """The same name in both languages."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def in_(self, language: Language) -> str:
        """The name in `language`."""
        return self.zh if language == "zh" else self.en


class Benefit(Settings):
    """What the customer gets."""

    type: BenefitType = Field(
        description="A percentage off, an amount off, free delivery, or a reminder without any of these. `none` is "
        "always on the menu and needs no line.",
        examples=["percent_off"],
    )
    percent: int = Field(
        default=0, ge=0, le=100, description="For percent_off alone: 20 is 20 % off, 8折.", examples=[20]
    )
    amount_cents: int = Field(
        default=0, ge=0, description="For amount_off alone: the sum taken off, in minor units.", examples=[500]
    )
    max_discount_cents: int | None = Field(
        default=None,
        gt=0,
        description="The most it takes off, in minor units, as it is printed. What the offer adds and costs is "
        "computed without it.",
        examples=[2000],
    )

    @model_validator(mode="after")
    def _only_what_the_type_needs(self) -> Self:
        if (self.type == "percent_off") != (self.percent > 0):
            raise ValueError("percent belongs to percent_off alone, and must be above 0 there")
        if (self.type == "amount_off") != (self.amount_cents > 0):
            raise ValueError("amount_cents belongs to amount_off alone, and must be above 0 there")
        return self


class Offer(Settings):
    """One offer as it can be printed: benefit, what it covers, threshold, validity, how it is used. Immutable.

    `covers` is the category or product key (empty for scope `all`), `label` its name for people. `joined` is told of an
    offer on two or more alone: `each` gives the benefit on each of them, whichever is bought; `together` only where all
    are bought at once. `activation` automatic: the till lowers the price by itself; code: a code is typed or shown;
    link: it is opened from the message.
    `starts` and `expires` are aware datetimes in the shop's zone; `expires` is the last moment the offer is valid.
    """

    id: str = Field(min_length=1)
    menu_id: str = Field(min_length=1)
    benefit: Benefit
    scope: Scope = "all"
    covers: str = ""
    label: Words | None = None
    joined: Joined | None = None
    activation: Activation = "automatic"
    min_spend_cents: int = Field(default=0, ge=0)
    starts: datetime
    expires: datetime
    currency: str = Field(pattern="^[A-Z]{3}$")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.scope == "all") != (self.covers == ""):
            raise ValueError("covers names a category or product; scope 'all' has none")
        if self.scope != "all" and self.label is None:
            raise ValueError("an offer on a category or product needs its label in both languages")
        if (self.joined is not None) != (len(covered(self.covers)) > 1):
            raise ValueError(
                "joined says how an offer on two or more holds (each, together), and is left out elsewhere"
            )
        if self.starts.tzinfo is None or self.expires.tzinfo is None or self.expires <= self.starts:
            raise ValueError("starts and expires need a time zone, and expires must be later")
        if self.benefit.type == "amount_off" and 0 < self.min_spend_cents <= self.benefit.amount_cents:
            raise ValueError("an amount off must be smaller than the spend it asks for")
        return self
