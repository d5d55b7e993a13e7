"""Settings of offers: what the shop allows, what a coupon may print, offers beyond the menu."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator

from promolift.core.offers.terms import Scope
from promolift.foundation.extension import RegisteredName
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings


class OfferRules(Settings):
    """What the shop allows."""

    margin_floor: float = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="Margin that must be left on what a percentage off is given on, as a share of its undiscounted "
        "value, after the shop's part of the discount.",
        examples=[0.05],
    )
    min_buy_prob: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="A customer is offered nothing on what they buy with less than this probability in "
        "`plan.window_days`.",
    )
    least_gain_cents: float = Field(
        default=0.0,
        ge=0,
        description="An offer whose expected profit after all its costs is less than this, in minor units, is listed, "
        "but not planned: it is not worth the trouble. 0 gives every offer that pays.",
        examples=[100],
    )
    rest_days: int = Field(
        default=14, ge=0, description="Days in which there is no new offer on what a customer redeemed a coupon for."
    )
    complaint_days: float = Field(
        default=1.0,
        ge=0,
        le=112,
        description="Days after a complaint, as read in the customer's own words, in which there is no offer at all.",
        examples=[3.0],
    )
    top_targets: int = Field(
        default=15,
        ge=1,
        le=1000,
        description="So many categories, and so many products, are considered per customer: those of most expected "
        "value.",
    )
    excluded: tuple[str, ...] = Field(
        default=(),
        description="Categories or product ids on which the shop gives no offer. A category leaves offers on its "
        "single products open: name these, too.",
        examples=[["GASOLINE", "p-1042"]],
    )
    excluded_segments: tuple[str, ...] = Field(
        default=(), description="[Segments](#segment) whose customers get no offer.", examples=[["staff"]]
    )
    confirmed: tuple[str, ...] = Field(
        default=(),
        description="Rules that somebody has checked and that may refuse more than half of the customers: "
        "`minimum_age`, or a segment of `excluded_segments`. Any other such rule stops the plan.",
        examples=[["minimum_age"]],
    )


class PrintRules(Settings):
    """What may stand on a coupon that promolift proposes. The grid goes by `percents`, the generator by all of it."""

    percents: tuple[int, ...] = Field(
        default=(5, 10, 15, 20, 25, 30, 35, 40, 45, 50), description="Percentages that may be printed, rising."
    )
    amounts_cents: tuple[int, ...] = Field(
        default=(100, 200, 300, 500, 800, 1000, 1500, 2000, 3000, 5000, 10000),
        description="Amounts off that may be printed, in minor units, rising.",
    )
    threshold_step_cents: int = Field(
        default=500,
        ge=1,
        description="Spending thresholds are multiples of it, in minor units, less `threshold_less_cents`: 10000 and "
        "100 print 99, 199, 299.",
        examples=[10_000],
    )
    threshold_less_cents: int = Field(
        default=0, ge=0, description="What is taken off such a multiple, in minor units.", examples=[100]
    )
    max_threshold_cents: int = Field(
        default=100_000, ge=1, description="The largest threshold that may be printed, in minor units."
    )
    max_share: float = Field(default=0.5, gt=0, lt=1, description="The most a reduction may take off the price.")

    @field_validator("percents", "amounts_cents")
    @classmethod
    def _rising(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if not values or values[0] <= 0 or any(a >= b for a, b in pairwise(values)):
            raise ValueError(gettext_lazy("needs rising values above 0"))
        return values


class OfferProposalSettings(Settings):
    """Offers beyond the menu: a few new lines, each only if it earns its place; see
    [offer-generator.md](offer-generator.md).
    """

    proposals: Annotated[str, RegisteredName("candidates", "none", "grid")] = Field(
        default="grid",
        description="`grid` searches percentages off by the effect model, `gan` draws offers from the conditional "
        "generator (extra `deep`), `none` keeps to the menu.",
    )
    new_lines: int = Field(
        default=3, ge=0, le=100, description="At most so many new kinds of offer, such as 15 % on a category."
    )
    least_share: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="A new line must add at least this share of what the menu is worth by the effect model.",
    )
    pairs: bool = Field(
        default=True, description="Whether the grid holds the same percentage on two categories at once, too."
    )
    per_line: int = Field(
        default=3, ge=1, le=100, description="Offers of each new line that one customer may be given: the best so many."
    )
    draws: int = Field(default=32, ge=1, le=1000, description="Offers that the generator draws for each customer.")
    valid_days: int = Field(default=28, ge=1, le=366, description="Days that a proposed offer is valid.")
    scopes: tuple[Scope, ...] = Field(
        default=("category", "product", "all"),
        description="What proposals may be on; leave `all` out to give nothing on a whole basket.",
        examples=[["category", "product"]],
    )
    seed: int = Field(default=0, description="Start of the generator's random numbers.")
    print: PrintRules = PrintRules()
