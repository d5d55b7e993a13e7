"""Room 2's settings: zone, windows and strengths of profiles and affinities; whether and how an encoder is learned."""

from typing import Literal

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


class ForecastSettings(Settings):
    """The learned encoder: what every customer will do next ([how](encoder.md)). It needs the extra `deep`."""

    depth: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Size of the network: as many layers and heads, 16 times as wide. 0 learns none, 2 is made for a "
        "CPU.",
        examples=[2],
    )
    level: Literal["category", "type", "product"] = Field(
        default="category",
        description="What an item of a basket is: a category (in catalogues without any the finer type, or the "
        "product), a type within its category, or a product.",
    )
    epochs: int = Field(default=5, ge=1, description="Times that training goes over the customers, at most.")
    customers: int = Field(
        default=20_000,
        ge=50,
        description="About so many customers, drawn by hash, are learned from; the forecast is made for all.",
    )
    seed: int = Field(default=1, description="Start of the training's random numbers.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where to train: `auto` takes a GPU where torch finds one."
    )
    memory_gb: float = Field(default=16.0, gt=0, description="Most of a GPU's memory that training may take.")


class SensesSettings(Settings):
    """What the words and pictures of the catalogue are used for ([how](senses.md)), where it has any."""

    words: bool = Field(default=True, description="Whether names and descriptions of products are read.")
    pictures: bool = Field(
        default=True,
        description="Whether files of pictures are read; it needs `pip install 'promolift[image]'`.",
    )
    certain: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="A category or colour that the catalogue leaves out is filled in only where the vectors of words "
        "and pictures are right at least this often: the lower end of a 95 % interval, on products whose own is known.",
    )


class MemberNote(Settings):
    """What trees weigh beside a simpler member of a forecast, and why.

    `alone` is what the simpler member does on `n` rows (log loss of purchases, NDCG@10 of next baskets); `lead` how
    much better both are there at a weight that other rows chose, with its 95 % interval: None where nothing was tried.
    `judged_ms` is the moment as of which they were judged, an earlier run's where they did not pay then, on `log_rows`.
    """

    weight: float
    why: str
    n: int
    alone: float | None = None
    lead: float | None = None
    lead_low: float | None = None
    lead_high: float | None = None
    judged_ms: int | None = None
    log_rows: int = 0
