"""The hidden parameters of a simulated shop: customers, products, weeks and campaigns, drawn from its settings.

Legend: N customers, C categories, P products, T weeks. Week 0 begins at the settings' first Monday, local midnight.
Every week, also a future or a negative one, has shelf prices, because they are a hash of product and week.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray
from pydantic import Field, model_validator

from promolift.foundation.hashing import hash_int, mix_bits
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

Floats = NDArray[np.float64]
Keys = NDArray[np.uint64]


# One `hash_int` per row key, then one mixing step per cell: millions of cells cost a second, and a row's numbers depend
# on nothing but its own key.
def hash_keys(seed: object, purpose: str, names: Iterable[object]) -> Keys:
    """One 64-bit key per name; another purpose gives independent numbers."""
    return np.array([hash_int(seed, purpose, name) for name in names], dtype=np.uint64)


def uniform(key: Keys, cell: NDArray[np.int64] | int = 0) -> Floats:
    """Numbers in (0, 1), 52 bits, for every broadcast pair of key and cell (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        z = key + (np.asarray(cell).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = mix_bits(z)
    whole: Floats = ((z >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    return whole


def normal(key: Keys, cell: NDArray[np.int64] | int = 0) -> Floats:
    """Standard normal numbers."""
    bell: Floats = scipy.special.ndtri(uniform(key, cell))
    return bell


def poisson(unit: Floats, mean: Floats) -> NDArray[np.int64]:
    """The Poisson quantile of each unit: the least k with P(X <= k) >= unit. For small means (below 500)."""
    count = np.zeros(unit.shape, dtype=np.int64)
    mass = np.exp(-mean)
    left = unit - mass
    at = np.flatnonzero(left > 0)
    mean, mass, left = mean.ravel()[at], mass.ravel()[at], left.ravel()[at]
    k = 0
    while at.size:
        k += 1
        mass = mass * mean / k
        left = left - mass
        count.ravel()[at] = k
        # beyond the mean, a mass that rounds to nothing ends the search: the unit was within rounding of 1
        more = (left > 0) & ((mass > 1e-17) | (k < mean))
        at, mean, mass, left = at[more], mean[more], mass[more], left[more]
    return count


Ints = NDArray[np.int64]

# name, department, price of the middle product in cents, margin as a share of price, relative popularity
CATEGORIES = (
    ("coffee", "drinks", 3200, 0.50, 1.0),
    ("milk", "dairy", 1250, 0.42, 1.6),
    ("bread", "bakery", 980, 0.55, 1.4),
    ("noodles", "grocery", 650, 0.45, 1.2),
    ("fruit", "produce", 1800, 0.40, 1.3),
    ("snacks", "grocery", 880, 0.52, 1.1),
    ("shampoo", "care", 3900, 0.55, 0.4),
    ("tea", "drinks", 2600, 0.58, 0.7),
    ("yoghurt", "dairy", 1100, 0.44, 0.9),
    ("frozen dumplings", "frozen", 2200, 0.41, 0.8),
    ("laundry detergent", "household", 4500, 0.46, 0.4),
    ("beer", "drinks", 1500, 0.38, 0.7),
)
SHELF_DEPTHS = (0.1, 0.2, 0.3)
CLIP_SLOPE = 6.0  # logit of taking up a coupon per unit of depth: 20 % off adds 1.2


class SimulationSettings(Settings):
    """`targeting`: past coupons went to a random share of customers, or first to those who buy most (`best`).

    `stockpiling`: share of a discount's pull that is missing from the week after (log-linear). `elasticity`: the median
    customer's growth of log sales per unit of depth; 3 means that 20 % off sells 1.8 times as much.
    """

    seed: int = 1
    customers: int = Field(default=2000, ge=1, le=1_000_000)
    weeks: int = Field(default=52, ge=4, le=520)
    categories: int = Field(default=10, ge=1, le=len(CATEGORIES))
    products_per_category: int = Field(default=4, ge=1, le=50)
    units_per_week: float = Field(default=6.0, gt=0, le=100)
    elasticity: float = Field(default=3.0, ge=0, le=8)
    elasticity_spread: float = Field(default=0.4, ge=0, le=1)
    stockpiling: float = Field(default=0.0, ge=0, le=1)
    shelf_share: float = Field(default=0.25, ge=0, le=1)
    campaigns: int = Field(default=6, ge=0)
    campaign_weeks: int = Field(default=2, ge=1)
    campaign_share: float = Field(default=0.3, gt=0, lt=1)
    coupon_depths: tuple[float, ...] = (0.1, 0.2, 0.3)
    targeting: Literal["random", "best"] = "random"
    first_monday: date = date(2024, 1, 1)
    timezone: str = "Asia/Shanghai"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.campaigns and self.weeks // self.campaigns < self.campaign_weeks:
            raise ValueError(gettext_lazy("campaigns would overlap: fewer of them, shorter ones, or more weeks"))
        if self.first_monday.weekday():
            raise ValueError(gettext_lazy("first_monday {first_monday} is no Monday", first_monday=self.first_monday))
        if not self.coupon_depths or not all(0 < depth <= 0.5 for depth in self.coupon_depths):
            raise ValueError(
                gettext_lazy("coupon_depths must lie in (0, 0.5]: together with the shelf a price stays above 0")
            )
        return self


@dataclass(frozen=True)
class SimulatedCampaign:
    """A past coupon: `depth` off everything of a category, for those who were sent it and took it up."""

    campaign_id: str
    category: int
    depth: float
    start_week: int
    weeks: int


@dataclass(frozen=True)
class World:
    """All hidden parameters, drawn from the settings alone; customers N are those asked for, by number."""

    settings: SimulationSettings
    number_N: Ints

    def key(self, purpose: str) -> Keys:
        """One key per customer."""
        return hash_keys(self.settings.seed, purpose, self.number_N.tolist())

    @property
    def customer_ids(self) -> list[str]:
        """`C000001` and so on."""
        return [f"C{number:06d}" for number in self.number_N.tolist()]

    @cached_property
    def age_N(self) -> Ints:
        """16 to 80 years."""
        return np.floor(16 + 65 * uniform(self.key("age"))).astype(np.int64)

    @cached_property
    def level_N(self) -> Floats:
        """Standard score of how much a customer buys; what `best` targeting looks at."""
        return normal(self.key("level"))

    @cached_property
    def beta_N(self) -> Floats:
        """Growth of log sales per unit of depth; the young respond more, so that profiles can learn it."""
        s = self.settings
        young = (self.age_N < 30) - 0.25
        spread: Floats = s.elasticity * np.exp(s.elasticity_spread * normal(self.key("beta")) + 0.3 * young)
        return spread

    @cached_property
    def clip_N(self) -> Floats:
        """Logit of taking up a coupon of depth 0."""
        return -1.5 + normal(self.key("clip"))

    @cached_property
    def rate_NC(self) -> Floats:
        """Expected units a week of each category without any discount and season; 0 for what one never buys."""
        c = np.arange(self.settings.categories)
        taste = np.exp(0.8 * normal(self.key("taste")[:, None], c)) * [goods[4] for goods in CATEGORIES[: c.size]]
        taste *= uniform(self.key("never")[:, None], c) > 0.25
        taste[:, 0] += 1e-3  # everybody buys something, if rarely
        total = self.settings.units_per_week * np.exp(0.7 * self.level_N - 0.245)
        rates: Floats = total[:, None] * taste / taste.sum(axis=1, keepdims=True)
        return rates

    @cached_property
    def products(self) -> pl.DataFrame:
        """product_id, category number `c`, share within the category, price_cents, cost_cents."""
        s = self.settings
        c = np.repeat(np.arange(s.categories), s.products_per_category)
        key = hash_keys(s.seed, "product", range(c.size))
        price = np.rint(np.array([CATEGORIES[i][2] for i in c]) * np.exp(0.25 * normal(key, 0)) / 10) * 10
        margin = np.array([CATEGORIES[i][3] for i in c]) + 0.05 * (2 * uniform(key, 1) - 1)
        weight = 0.3 + uniform(key, 2)
        return pl.DataFrame(
            {
                "product_id": [f"P{p:04d}" for p in range(c.size)],
                "c": c,
                "share": weight / np.bincount(c, weights=weight)[c],
                "price_cents": price.astype(np.int64),
                "cost_cents": np.rint(price * (1 - margin)).astype(np.int64),
            }
        )

    def shelf_PT(self, weeks: Ints) -> Floats:
        """Depth of the discount open to everybody, by product and week."""
        s = self.settings
        key = hash_keys(s.seed, "shelf", range(self.products.height))[:, None]
        depth = np.array(SHELF_DEPTHS)[np.floor(3 * uniform(key, 2 * weeks + (1 << 40))).astype(np.int64)]
        shelf: Floats = np.where(uniform(key, 2 * weeks + (1 << 41)) < s.shelf_share, depth, 0.0)
        return shelf

    def season_CT(self, weeks: Ints) -> Floats:
        """Factor on a category's sales: a year's wave with a category's own peak."""
        peak = 52 * uniform(hash_keys(self.settings.seed, "season", range(self.settings.categories)))
        wave: Floats = np.exp(0.25 * np.cos(2 * np.pi * (weeks[None, :] - peak[:, None]) / 52))
        return wave

    @cached_property
    def campaigns(self) -> list[SimulatedCampaign]:
        """Evenly spaced, categories and depths in turn."""
        s = self.settings
        step = s.weeks // s.campaigns if s.campaigns else 0
        return [
            SimulatedCampaign(
                f"cmp_{k + 1}",
                k % s.categories,
                s.coupon_depths[k % len(s.coupon_depths)],
                k * step + (step - s.campaign_weeks) // 2,
                s.campaign_weeks,
            )
            for k in range(s.campaigns)
        ]

    def target_prob_N(self) -> Floats:
        """Known propensity of being sent a past coupon; `best` follows each customer's own buying level."""
        share = self.settings.campaign_share
        if self.settings.targeting == "random":
            return np.full(self.number_N.size, share)
        return np.asarray(scipy.special.expit(1.9 * scipy.special.logit(share) + 2.5 * self.level_N))

    def clip_prob_N(self, depth: Floats | float) -> Floats:
        """Probability of taking up a coupon of this depth, one for all or each their own."""
        return np.asarray(scipy.special.expit(self.clip_N + CLIP_SLOPE * depth))

    def week_start_ms(self, weeks: Ints) -> Ints:
        """First millisecond of each week: Monday, local midnight."""
        zone = ZoneInfo(self.settings.timezone)
        first = self.settings.first_monday
        days = [first + timedelta(weeks=int(week)) for week in weeks]
        starts = [int(datetime.combine(day, time(), zone).timestamp()) * 1000 for day in days]
        return np.array(starts, dtype=np.int64)


def discount_cents(price: Floats | Ints, depth: Floats | float) -> Ints:
    """A discount in whole cents; the one place where depths become money."""
    cents: Ints = np.rint(np.asarray(price) * depth).astype(np.int64)
    return cents
