"""What the report is told: one frozen `Story`, filled by the caller; every part of it may be None.

A part that is None (or empty) becomes a box "not known, because ...", with the reason the caller gives in
`Story.missing` under the name of the field; so do `cadence_days` and `discount_share` of the customers.
Shares and depths are fractions (0.2 is 20 %); money is in minor units of `Shop.currency`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from promolift.pages.planned import Chosen, Household
from promolift.results.customers import Customers, ShopWeek, Tastes
from promolift.results.effects import ResponseFigures, Targeting
from promolift.results.evaluation import Lead
from promolift.results.foreseen import Foreseen
from promolift.results.messages import Written
from promolift.results.predictions import Predictions
from promolift.results.shop import Health


@dataclass(frozen=True)
class Shop:
    """Whose report it is. `data_label` says what kind of data it is: 'real data', 'simulated', ..."""

    name: str | None = None
    currency: str | None = None
    language: str | None = None
    timezone: str | None = None
    asof_ms: int | None = None
    window_days: int | None = None
    history_days: int | None = None
    budget_cents: float | None = None
    data_label: str | None = None


@dataclass(frozen=True)
class Unknown:
    """Something that is not known, why it matters, and what would tell."""

    what: str
    why: str | None = None
    todo: str | None = None


@dataclass(frozen=True)
class Story:
    """Everything the report tells: typed results as they were made, and frames that follow the tables of `planned`.
    `missing` maps a field's name to a reason.

    `interval_percent` is the coverage of every interval (95 for 95 %), None if it is not the same everywhere.
    """

    shop: Shop = field(default_factory=Shop)
    interval_percent: float | None = None
    health: Health | None = None
    customers: Customers | None = None
    tastes: Tastes | None = None
    week: ShopWeek | None = None
    foreseen: Foreseen | None = None
    response: ResponseFigures | None = None
    targeting: Targeting | None = None
    predictions: Predictions | None = None
    frontier: pl.DataFrame | None = None
    chosen: Chosen | None = None
    policies: pl.DataFrame | None = None
    lead: Lead | None = None
    policies_note: str | None = None
    mix: pl.DataFrame | None = None
    typical: pl.DataFrame | None = None
    written: Sequence[Written] = ()
    silent: int = 0
    households: Sequence[Household] | None = None
    unknowns: Sequence[Unknown | str] | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
