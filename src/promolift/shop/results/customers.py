"""Figures of the shop's customers as a whole, and of one customer, from profiles and affinities."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import polars as pl
from pydantic import Field

from promolift.foundation.evidence import Z95, Level
from promolift.foundation.localized_text import LANGUAGES, Language
from promolift.foundation.settings import Settings
from promolift.shop.results.histograms import Histogram, nulls_for_non_finite, quantile, rows_as

HEAVY = 0.2  # who saves this part of the full price and more buys much on discount
TOP_CATEGORIES = 10
READ = {
    "recency_days": "recency_days", "cadence_days": "cadence_days", "basket_cents": "basket_median_cents",
    "discount_share": "discount_share",
}  # fmt: skip


class MiddleCustomer(Settings):
    """The median of each attribute by itself; None: nobody's is known. `spend_next_cents` is of the plan's window."""

    recency_days: float | None
    cadence_days: float | None
    basket_cents: float | None
    discount_share: float | None
    spend_next_cents: float | None


class Customers(Settings):
    """Who the customers are: the one in the middle, and how often and how dearly they buy.

    `heavy_share`: of those whose discounts are known, who saves a fifth of the full price and more.
    """

    customers: int
    middle: MiddleCustomer
    cadence_days: Histogram | None
    discount_share: Histogram | None
    heavy_share: float | None

    @classmethod
    def of(cls, profiles: pl.DataFrame, affinities: pl.DataFrame) -> Self | None:
        """From PROFILES and expected_cents of AFFINITIES as of one moment; None where there is nobody."""
        if profiles.is_empty():
            return None
        spend = affinities.group_by("customer_id").agg(spend_next_cents=pl.col("expected_cents").sum())
        read = profiles.select("customer_id", **{to: pl.col(name).cast(pl.Float64) for to, name in READ.items()})
        people = nulls_for_non_finite(read.join(spend, on="customer_id", how="left"))
        reduced = people["discount_share"].drop_nulls()
        return cls(
            customers=people.height,
            middle=MiddleCustomer(**{name: quantile(people[name], 0.5) for name in MiddleCustomer.model_fields}),
            cadence_days=Histogram.of(people["cadence_days"]), discount_share=Histogram.of(people["discount_share"]),
            heavy_share=(reduced >= HEAVY).mean() if reduced.len() else None,
        )  # fmt: skip


class Taste(Settings):
    """A category: its share of the average customer's spend, and how many buy it."""

    target: str
    spend_share: float
    customers: int


class Tastes(Settings):
    """What `customers` buy, of so many `categories`: the `top` ones, and their share of spend `together`."""

    customers: int
    categories: int
    top: tuple[Taste, ...]
    together_share: float

    @property
    def shown(self) -> int:
        return len(self.top)

    @classmethod
    def of(cls, parts: Iterable[pl.DataFrame]) -> Self | None:
        """From customer_id, target as it is printed, and spend_share of the customer's own spend, in parts of whole
        customers; None without any."""
        people, sums = 0, list[pl.DataFrame]()
        for part in parts:
            rows = nulls_for_non_finite(part).drop_nulls(["customer_id", "target", "spend_share"])
            people += rows["customer_id"].n_unique()
            customers = pl.col("customer_id").n_unique().alias("customers")
            sums.append(rows.group_by("target").agg(pl.col("spend_share").sum(), customers))
        if not people:
            return None
        every = pl.concat(sums).group_by("target").agg(pl.col("spend_share").sum() / people, pl.col("customers").sum())
        top = every.sort(["spend_share", "target"], descending=[True, False]).head(TOP_CATEGORIES)
        return cls(
            customers=people, categories=every.height, top=rows_as(Taste, top), together_share=top["spend_share"].sum()
        )


class Person(Settings):
    """What is known of a customer; None where it is not."""

    orders_52w: float | None = None
    orders_total: float | None = None
    recency_days: float | None = None
    cadence_days: float | None = None
    discount_share: float | None = None
    deal_share: float | None = None
    churn_prob: float | None = None
    price_sensitivity: float | None = None
    price_sensitivity_se: float | None = None

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> Self:
        return cls(**{name: profile.get(name) for name in cls.model_fields})


class PlannedOffer(Settings):
    """What one customer gets, and what is expected of it."""

    customer_id: str
    offer_id: str
    gain_cents: float
    gain_se_cents: float | None
    cost_cents: float
    evidence: Level
    messages: dict[Language, str] = Field(default_factory=dict)
    titles: dict[Language, str] = Field(default_factory=dict)
    angle: str | None = None
    angles: tuple[str, ...] | None = None
    reason_facts: str | None = None  # see `offer_reasons.reason_text`

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of messages, in which each language has columns of its own."""
        needed = {name for name, each in cls.model_fields.items() if each.is_required()}
        said = {f"{name}s": {each: row[f"{name}_{each}"] for each in LANGUAGES if row.get(f"{name}_{each}")}
                for name in ("message", "title")}  # fmt: skip
        return cls(**{name: row[name] for name in cls.model_fields if name in needed or name in row}, **said)

    @property
    def low_cents(self) -> float | None:
        return None if self.gain_se_cents is None else self.gain_cents - Z95 * self.gain_se_cents

    @property
    def high_cents(self) -> float | None:
        return None if self.gain_se_cents is None else self.gain_cents + Z95 * self.gain_se_cents
