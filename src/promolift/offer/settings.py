"""Room 3's settings: what the shop allows, what may stand on a coupon, offers beyond the menu."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from promolift.settings import Settings
from promolift.terms import Scope


class OfferRules(Settings):
    """What the shop allows.

    `margin_floor`: margin left on an offer's own sales, as a share of their undiscounted value, after the shop's part
    of the benefit. `min_buy_prob`: below it a category is not plausible for the customer. `rest_days`: no new offer on
    what he redeemed a coupon for that lately. `top_targets`: categories (and products) considered per customer.
    """

    margin_floor: float = Field(default=0.0, ge=-1, le=1)
    min_buy_prob: float = Field(default=0.03, ge=0, le=1)
    rest_days: int = Field(default=14, ge=0)
    top_targets: int = Field(default=15, ge=1, le=1000)
    excluded: tuple[str, ...] = ()


class PrintRules(Settings):
    """What may stand on a coupon. `max_share`: the most any reduction may be of the price, the shelf's included.

    `stack`: a coupon may come on top of a shelf reduction. Thresholds are multiples of `threshold_step_cents` less
    `threshold_less_cents`: 10,000 and 100 print 99, 199, 299. `first_hour` to `last_hour`: when a customer may be told.
    """

    percents: tuple[int, ...] = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
    amounts_cents: tuple[int, ...] = (100, 200, 300, 500, 800, 1000, 1500, 2000, 3000, 5000, 10000)
    threshold_step_cents: int = Field(default=500, ge=1)
    threshold_less_cents: int = Field(default=0, ge=0)
    max_threshold_cents: int = Field(default=100_000, ge=1)
    max_share: float = Field(default=0.5, gt=0, lt=1)
    stack: bool = True
    valid_days: tuple[int, ...] = (7, 14, 28)
    channels: tuple[str, ...] = ("store", "app", "web", "sms", "email")
    first_hour: int = Field(default=8, ge=0, le=23)
    last_hour: int = Field(default=20, ge=0, le=23)

    @field_validator("percents", "amounts_cents", "valid_days")
    @classmethod
    def _rising(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if not values or values[0] <= 0 or any(a >= b for a, b in pairwise(values)):
            raise ValueError("needs rising values above 0")
        return values


class OfferProposalSettings(Settings):
    """Offers beyond the menu: `grid` searches all printable offers by the effect model, `gan` draws them from the
    conditional generator (extra `deep`), `none` keeps to the menu.

    At most `new_lines` new kinds of offer are added, such as 15 % on a category, each only if it adds at least
    `least_share` to what the menu is worth by the effect model: a manager should be able to read them all. `pairs`: the
    grid holds the same percentage on two categories at once, too. A customer is offered the `per_line` best of each new
    line; the generator draws `draws` offers for him. `valid_days` of every proposal. A shop that gives nothing on all
    of a basket leaves `all` out of `scopes`.
    """

    proposals: Literal["none", "grid", "gan"] = "grid"
    new_lines: int = Field(default=3, ge=0, le=100)
    least_share: float = Field(default=0.01, ge=0, le=1)
    pairs: bool = True
    per_line: int = Field(default=3, ge=1, le=100)
    draws: int = Field(default=32, ge=1, le=1000)
    valid_days: int = Field(default=28, ge=1, le=366)
    scopes: tuple[Scope, ...] = ("category", "product", "all")
    seed: int = 0
    print: PrintRules = PrintRules()
