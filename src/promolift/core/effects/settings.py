"""Settings of the demand panel, the discount response, and the values that the logs do not hold."""

from pydantic import Field

from promolift.foundation.settings import Settings


class PanelSettings(Settings):
    """From which weeks and products the discount response is read ([how](discount-response.md))."""

    weeks: int = Field(
        default=26,
        ge=8,
        description="Weeks before the plan in which answers to discounts are looked for; what a customer usually buys "
        "is read from as many weeks before those. A log shorter than both is halved.",
    )
    targets: int = Field(
        default=100, ge=1, description="So many categories (or products), the largest by value, are looked at."
    )
    min_known: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="A customer's week counts where the discount is known for at least this share of what they "
        "usually spend in the category.",
    )
    # chosen by pseudo-likelihood on the Complete Journey among 0 to 50
    prior_lines: float = Field(
        default=3.0,
        ge=0,
        description="How many purchase lines the market's mix of products weighs in a customer's own mix.",
    )
    curvature: float = Field(
        default=2.0,
        gt=0,
        description="Products at different depths of discount are averaged as demand would average them if it grew by "
        "exp(curvature x depth).",
    )


class DiscountSettings(Settings):
    """When the discount response counts as read from the data, and what is assumed where it cannot be."""

    max_customers: int = Field(
        default=3000, ge=10, description="The response is read from so many customers at most, drawn by hash."
    )
    min_cells: int = Field(
        default=2000,
        ge=100,
        description="Customer-category-weeks with a known discount that are needed; with fewer the response is "
        "assumed.",
    )
    prior_response: float = Field(
        default=0.6,
        description="Response taken where none can be read: 0.6 means that a 20 % discount lifts demand, at list "
        "value, by exp(0.6 x 0.2) - 1 = 13 %. Offers with a threshold always go by it.",
    )
    prior_se: float = Field(default=0.4, gt=0, description="Standard error of `prior_response`: how unsure it is.")
    seed: int = Field(default=0, description="Settles by hash which customers are drawn and halved.")


class ValueSettings(Settings):
    """What the logs do not hold and the shop must state; the report says which of it a plan stands on."""

    margin_rate: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="Margin as a share of undiscounted value, where products carry no cost. Please set yours: if g "
        "of what customers pay is margin, and prices are reduced by r on average, it is 1 - (1 - g) (1 - r). What a "
        "customer's own purchases are reduced by on the shelf is taken off it.",
    )
    horizon_days: int = Field(
        default=84,
        ge=1,
        le=366,
        description="Days over which what an offer brings is counted where it was drawn in a test: a customer who "
        "returns is worth more than one order, and one who only stocked up less. Not less than `plan.window_days`.",
    )
    delivery_cost_cents: int = Field(
        default=500, ge=0, description="What one free delivery costs the shop, in minor units."
    )
    send_cost_cents: float = Field(
        default=0.0,
        ge=0,
        description="What one message to a customer costs, in minor units, where a menu line states nothing else; "
        "fractions are allowed. A letter costs a lot more than an e-mail: please set yours.",
        examples=[3.5],
    )
    coupon_reach: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="Of those who buy, the share who notice and use an offer that asks for a code or a link, where no "
        "redemption model can say.",
    )
    stretch_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Share of orders just below a spending threshold, by at most twice the reward, that are topped up "
        "to reach it.",
    )
