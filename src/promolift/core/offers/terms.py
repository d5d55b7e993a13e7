"""An offer's terms: the type that candidates, carts, decisions and messages share."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import CATEGORY_SEPARATOR, LocalizedText
from promolift.foundation.settings import Settings

Scope = Literal["all", "category", "product"]
BenefitType = Literal[
    "none", "percent_off", "amount_off", "free_shipping", "fixed_price", "buy_x_get_y", "gift", "points", "exchange",
    "reminder",
]  # fmt: skip
Activation = Literal["automatic", "code", "link"]
PairCondition = Literal["each", "together"]


def covered_targets(target: str | None) -> tuple[str, ...]:
    """The categories, or the product, that a target names: none for everything, two for an offer on two."""
    return tuple(target.split(CATEGORY_SEPARATOR)) if target else ()


# The fields without which a benefit says nothing, and those that it may have besides; all else is refused by name.
BENEFIT_REQUIRED_FIELDS: dict[BenefitType, tuple[str, ...]] = {
    "percent_off": ("percent",), "amount_off": ("amount_cents",), "fixed_price": ("price_cents",),
    "buy_x_get_y": ("buy", "get"), "points": ("points",), "exchange": ("price_cents",),
}  # fmt: skip
BENEFIT_OPTIONAL_FIELDS: dict[BenefitType, tuple[str, ...]] = {
    "percent_off": ("base", "max_discount_cents"),
    "fixed_price": ("max_times", "max_discount_cents"),
    "buy_x_get_y": ("percent", "max_times", "max_discount_cents"),
    "gift": ("product_id", "item", "quantity", "worth_cents"),
    "free_shipping": ("max_discount_cents",),
    "points": ("worth_cents",),
    "exchange": ("product_id", "item", "quantity"),
}


class Benefit(Settings):
    """What the customer gets. Every field belongs to some types alone; another one is refused by name."""

    type: BenefitType = Field(
        description="A percentage off, an amount off, free delivery, a fixed price, so many more for so many bought, a "
        "gift, points, an item at a price, or a reminder without any of these. `none` is always on the menu and needs "
        "no line.",
        examples=["percent_off"],
    )
    percent: int = Field(
        default=0,
        ge=0,
        le=100,
        description="percent_off: 20 is 20 % off, 8折; buy_x_get_y: off those one gets, 100 if left out.",
        examples=[20],
    )
    base: Literal["remaining", "list"] = Field(
        default="remaining",
        description="percent_off in a cart: whether it takes its share of what earlier promotions left, or of the "
        "price before.",
    )
    amount_cents: int = Field(
        default=0, ge=0, description="amount_off: the sum taken off, in minor units.", examples=[500]
    )
    price_cents: int = Field(
        default=0,
        ge=0,
        description="fixed_price: of one unit, or of one set of what is bought together; exchange: of the item.",
        examples=[990],
    )
    buy: int = Field(default=0, ge=0, le=1000, description="buy_x_get_y: units paid in full.", examples=[2])
    get: int = Field(default=0, ge=0, le=1000, description="buy_x_get_y: units lowered, the cheapest.", examples=[1])
    product_id: str | None = Field(
        default=None, min_length=1, description="gift, exchange: which product of the catalogue.", examples=["mug-1"]
    )
    item: LocalizedText | None = Field(default=None, description="gift, exchange: what it is, in both languages.")
    quantity: int = Field(default=1, ge=1, le=1000, description="gift, exchange: how many units.")
    points: int = Field(default=0, ge=0, description="points: how many.", examples=[200])
    worth_cents: int = Field(
        default=0, ge=0, description="gift, points: what they are worth to the customer beside money off."
    )
    max_times: int | None = Field(
        default=None,
        ge=1,
        description="fixed_price, buy_x_get_y: the most units, sets or groups that it holds for.",
        examples=[3],
    )
    max_discount_cents: int | None = Field(
        default=None,
        gt=0,
        description="The most it takes off, in minor units, as it is printed. What a percentage adds and costs is "
        "computed without it.",
        examples=[2000],
    )

    @property
    def most_cents(self) -> int | None:
        """The most it takes off once, as it is printed: nothing for a reminder; None where nothing bounds it."""
        if self.type == "reminder":
            return 0
        return self.amount_cents if self.type == "amount_off" else self.max_discount_cents

    def most_off_cents(self, order_cents: int, min_spend_cents: int = 0, times: int = 1) -> int:
        """Return the most it takes off an order worth so much before any offer, delivery included.

        No cart of that worth gets more from `cart_pricing.price_cart`. Gifts and points take no price down: what they
        are worth counts. `times`: on how many targets it holds, each for itself.
        """
        if self.type == "percent_off":
            off = (order_cents * self.percent + 50) // 100
        elif self.type == "buy_x_get_y":  # the cheapest of each group, so at most their share of it
            off = (order_cents * self.get // (self.buy + self.get) * self.percent + 50) // 100
        elif self.type in ("fixed_price", "exchange"):  # one unit is paid at least, beside what an exchange asks for
            off = order_cents - self.price_cents - (min_spend_cents if self.type == "exchange" else 0)
        elif self.type == "free_shipping":  # the goods are worth the threshold at least
            off = order_cents - min_spend_cents
        else:
            off = times * self.amount_cents or self.worth_cents
        most = off if self.max_discount_cents is None else min(off, times * self.max_discount_cents)
        return max(0, min(most, order_cents))

    @model_validator(mode="before")
    @classmethod
    def _free_unless_stated(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("type") == "buy_x_get_y" and not values.get("percent"):
            return values | {"percent": 100}
        return values

    @model_validator(mode="after")
    def _only_what_the_type_has(self) -> Self:
        fields = Benefit.model_fields.items()
        given = {name for name, field in fields if getattr(self, name) != field.default} - {"type"}
        needs, may = BENEFIT_REQUIRED_FIELDS.get(self.type, ()), BENEFIT_OPTIONAL_FIELDS.get(self.type, ())
        if missing := [name for name in needs if name not in given]:
            raise ValueError(
                gettext_lazy("{type} needs {missing}, above 0", type=self.type, missing=", ".join(missing))
            )
        if self.type in ("gift", "exchange") and not given & {"product_id", "item"}:
            raise ValueError(gettext_lazy("{type} needs product_id or item", type=self.type))
        if strange := sorted(given - {*needs, *may}):
            takes = ", ".join((*needs, *may)) or "nothing"
            raise ValueError(
                gettext_lazy(
                    "{strange} does not belong to {type}, which takes {takes}",
                    strange=", ".join(strange),
                    type=self.type,
                    takes=takes,
                )
            )
        return self


class Offer(Settings):
    """One offer as it can be printed: benefit, what it covers, threshold, validity, how it is used. Immutable.

    `covers` is the category or product key (empty for scope `all`), `label` its name for people. `joined` is told of an
    offer on two or more alone: `each` gives the benefit on each of them, whichever is bought; `together` only where all
    are bought at once. `activation` automatic: the till lowers the price by itself; code: a code is typed or shown;
    link: it is opened from the message. `members`: only members of the shop get it.
    `starts` and `expires` are aware datetimes in the shop's zone; `expires` is the last moment the offer is valid.
    """

    id: str = Field(min_length=1)
    menu_id: str = Field(min_length=1)
    benefit: Benefit
    scope: Scope = "all"
    covers: str = ""
    label: LocalizedText | None = None
    joined: PairCondition | None = None
    activation: Activation = "automatic"
    members: bool = False
    min_spend_cents: int = Field(default=0, ge=0)
    starts: datetime
    expires: datetime
    currency: str = Field(pattern="^[A-Z]{3}$")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.scope == "all") != (self.covers == ""):
            raise ValueError(gettext_lazy("covers names a category or product; scope 'all' has none"))
        if self.scope != "all" and self.label is None:
            raise ValueError(gettext_lazy("an offer on a category or product needs its label in both languages"))
        if (self.joined is not None) != (len(covered_targets(self.covers)) > 1):
            raise ValueError(
                gettext_lazy(
                    "joined says how an offer on two or more holds (each, together), and is left out elsewhere"
                )
            )
        if self.starts.tzinfo is None or self.expires.tzinfo is None or self.expires <= self.starts:
            raise ValueError(gettext_lazy("starts and expires need a time zone, and expires must be later"))
        if self.benefit.type == "amount_off" and 0 < self.min_spend_cents <= self.benefit.amount_cents:
            raise ValueError(gettext_lazy("an amount off must be smaller than the spend it asks for"))
        return self
