"""Settings of profiles and forecasts: time zone, windows, strengths, consent."""

from pydantic import Field

from promolift.foundation.settings import Settings


class ProfileSettings(Settings):
    """How profiles and affinities are computed. Times are days unless named otherwise."""

    zone: str = "UTC"  # the shop's own: hours, weekdays and days are local
    private_brands: tuple[str, ...] = ("private", "private label", "own brand", "store brand")
    window_days: int = Field(default=28, ge=1, le=365)  # the future that expected_cents and buy_prob speak of
    recent_days: int = Field(default=84, ge=1)  # the recent past in AFFINITIES
    own_share: float = Field(default=0.0, ge=0, le=1)  # of expected_cents: the recent past's own spend, as it was
    interest_days: int = Field(default=30, ge=1)
    novelty_days: int = Field(default=56, ge=1)
    visit_half_life_days: float = Field(default=45.0, gt=0)  # how fast old orders fade from the order rate
    target_half_life_days: float = Field(default=120.0, gt=0)  # how fast old choices fade from the share of orders
    plausible_targets: int = Field(default=10, ge=0)  # never bought, per customer
    matrix_targets: int = Field(default=500, ge=2)  # the most widely bought targets enter the co-occurrence matrix
    ridge: float = Field(default=0.33, gt=0)  # of that matrix, as a share of the customers of the widest target


MAX_AGE = 120  # a larger number is a year or a code, not an age


class ConsentSettings(Settings):
    """Who may be written to."""

    default: bool = Field(
        default=False, description="Whether a customer of whom no yes or no is known may be sent an offer."
    )
    not_consent: tuple[str, ...] = Field(
        default=(),
        description="Columns of raw files that could be taken for consent, by their names or two values, but are not: "
        "with `default = true` every other such column that is not read stops the run.",
        examples=[["vip"]],
    )
    minimum_age: int = Field(
        default=18,
        ge=0,
        le=MAX_AGE,
        description="Years below which nobody is sent one; an age band counts by its youngest. An unknown age bars "
        "nobody.",
    )
