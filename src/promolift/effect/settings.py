"""Room 4's settings in promolift.toml: the panel, the discount response, what the logs do not hold."""

from pydantic import Field

from promolift.settings import Settings


class PanelSettings(Settings):
    """`weeks` of response, read with the usual products of the `weeks` before them; the largest `targets` by value.

    `prior_lines`: how many purchase lines the market's mix of products weighs in a customer's own (chosen by
    pseudo-likelihood on the Complete Journey among 0 to 50). `curvature`: products at different depths are averaged as
    demand would average them if it answered by exp(curvature * depth).
    """

    weeks: int = Field(default=26, ge=8)
    targets: int = Field(default=100, ge=1)
    min_known: float = Field(default=0.5, gt=0, le=1)
    prior_lines: float = Field(default=3.0, ge=0)
    curvature: float = Field(default=2.0, gt=0)


class DiscountSettings(Settings):
    """When a response counts as read from the data, and what is assumed where it cannot be.

    `prior_response` 0.6 means a 20 % discount lifts list-value demand by exp(0.12) - 1 = 13 %; `prior_se` is its error.
    `min_variance`: below this share of the depth's variance between customers of a week, weeks are compared instead.
    `placebo_share`: a placebo above this share of the response, and from zero at 99 %, forbids `adjusted`.
    """

    max_customers: int = Field(default=3000, ge=10)
    min_cells: int = Field(default=2000, ge=100)
    min_variance: float = Field(default=0.08, ge=0, le=1)
    winsor: float = Field(default=0.995, gt=0.5, le=1)
    placebo_share: float = Field(default=0.25, gt=0)
    prior_response: float = 0.6
    prior_se: float = Field(default=0.4, gt=0)
    seed: int = 0


class ValueSettings(Settings):
    """What the logs do not hold and the shop must state; the report prints each as an assumption.

    `margin_rate`: margin on undiscounted value where products carry no cost. `delivery_cost_cents`: what a free
    delivery costs. `coupon_reach`: share of customers who notice a coupon, where no redemption model can say.
    `stretch_share` of orders that miss a threshold by at most `stretch_ratio` times the reward are topped up to it.
    """

    margin_rate: float = Field(default=0.3, gt=0, le=1)
    delivery_cost_cents: int = Field(default=500, ge=0)
    coupon_reach: float = Field(default=0.1, gt=0, le=1)
    stretch_share: float = Field(default=0.3, ge=0, le=1)
    stretch_ratio: float = Field(default=2.0, ge=0)
