"""The shop's menu in promolift.toml in; complete offers, ready to print, out."""

from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from promolift.hashing import hash_id
from promolift.settings import Settings
from promolift.terms import Activation, Benefit, Offer, Scope, Words, covered


class MenuItem(Settings):
    """One line of the shop's menu: a kind of offer that it is willing to give. Without any the usual six are taken."""

    id: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="Name of the line; no two are the same. Offers, records and limits refer to it.",
        examples=["tea-20"],
    )
    benefit: Benefit
    scope: Scope = Field(
        default="all",
        description="What it is on: everything, or one offer for each category or product that fits a customer "
        "(percentages only).",
        examples=["category"],
    )
    activation: Activation = Field(
        default="automatic",
        description="`automatic` lowers the price at the till by itself, as with a loyalty card; with a `code` (typed "
        "or shown) and a `link` (opened from the message) the customer must act, so only some do.",
        examples=["code"],
    )
    min_spend_cents: int = Field(
        default=0,
        ge=0,
        description="Order value from which it holds, in minor units; an amount off must ask for more than it takes "
        "off.",
        examples=[5000],
    )
    valid_days: int = Field(
        default=28, ge=1, le=366, description="Days that it is valid, the day of the plan being the first."
    )
    supplier_share: float = Field(
        default=0.0, ge=0, le=1, description="Part of the discount that a supplier pays.", examples=[0.5]
    )
    send_cost_cents: float = Field(
        default=0.0,
        ge=0,
        description="What telling one customer costs, in minor units; fractions are allowed.",
        examples=[3.5],
    )
    online_only: bool = Field(default=False, description="Whether only customers seen to order online may get it.")

    @field_validator("activation", mode="before")
    @classmethod
    def _two_words_for_coupon(cls, value: Any) -> Any:
        if value == "coupon":
            raise ValueError("say 'code' for a code to type or show, 'link' for an offer opened from the message")
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.benefit.type == "none":
            raise ValueError("'none' is always on the menu and needs no line")
        if self.scope != "all" and self.benefit.type != "percent_off":
            raise ValueError("offers on a category or product are percent_off")
        if self.benefit.type == "amount_off" and self.min_spend_cents <= self.benefit.amount_cents:
            raise ValueError("an amount off needs min_spend_cents above the amount")
        return self

    @property
    def depth(self) -> float | None:
        """The discount as a share of the price it applies to; None for an amount or free delivery."""
        return self.benefit.percent / 100 if self.benefit.type == "percent_off" else None


DEFAULT_MENU = (
    *(
        MenuItem(id=f"category-{p}", benefit=Benefit(type="percent_off", percent=p), scope="category")
        for p in (10, 20, 30)
    ),
    MenuItem(id="viewed-20", benefit=Benefit(type="percent_off", percent=20), scope="product", valid_days=7),
    MenuItem(id="spend-save", benefit=Benefit(type="amount_off", amount_cents=500), min_spend_cents=5000),
    MenuItem(id="free-delivery", benefit=Benefit(type="free_shipping"), min_spend_cents=3000, online_only=True),
)


def offer_id(menu_id: str, covers: str) -> str:
    """The id of the offer a menu line makes for one category or product (`covers` empty: for everything)."""
    return f"off_{menu_id}" if not covers else hash_id(f"off_{menu_id}", covers)


def make_offer(
    item: MenuItem, covers: str, scope: Scope, label: Words | None, starts: datetime, currency: str
) -> Offer:
    """The printable offer: valid from `starts` (aware, the shop's zone) through the last second of its last day.

    `scope` tells what `covers` is; a category line prints a product where the catalogue has no categories.
    """
    last_day = (starts + timedelta(days=item.valid_days - 1)).date()
    return Offer(
        id=offer_id(item.id, covers),
        menu_id=item.id,
        benefit=item.benefit,
        scope=scope,
        covers=covers,
        label=label,
        joined="each" if len(covered(covers)) > 1 else None,
        activation=item.activation,
        min_spend_cents=item.min_spend_cents,
        starts=starts,
        expires=datetime(last_day.year, last_day.month, last_day.day, 23, 59, 59, tzinfo=starts.tzinfo),
        currency=currency,
    )
