"""What the shop's page is told: one frozen `Story` of typed results, as the steps kept them.

A part that is None (or empty) becomes a box "not known, because ...", with the reason that `Story.missing` holds under
the name of the field; so do `cadence_days` and `discount_share` of the customers, and `messages`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from promolift.results.customers import Customers, ShopWeek, Tastes
from promolift.results.effects import ResponseFigures, Targeting
from promolift.results.evaluation import Lead
from promolift.results.forecasts import Forecasts
from promolift.results.messages import PoolState, Written
from promolift.results.person import Given
from promolift.results.plan import Headline, Luck, PlanNote, Point
from promolift.results.predictions import Predictions
from promolift.results.shop import Health
from promolift.words import Cash


@dataclass(frozen=True)
class OpenQuestion:
    """Something that is not known, why it matters, and what would tell."""

    what: str
    why: str = ""
    todo: str = ""


@dataclass(frozen=True)
class ReadFact:
    """A fact that was read in a message: in which language, its words, its kind, whether it holds."""

    language: str
    said: str
    kind: str
    holds: bool


@dataclass(frozen=True)
class Card:
    """One customer: what they get, the offer in words, who they are, figures of their profile, facts of their text."""

    given: Given
    offer: str
    who: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    read: Sequence[ReadFact] = ()


@dataclass(frozen=True)
class Story:
    """Everything the page tells. `head` is the plan's headline, None where the log names no amounts; `half` and `twice`
    are the best plans at these parts of its budget, `binding` the limits that hold gain back, in words. Tables are
    `results.Plan.frontier`, `Plan.offers` with `offer`, its words, and `Evaluation.judged`.
    """

    plan: PlanNote
    head: Headline | None
    health: Health
    response: ResponseFigures
    asof_ms: int
    window_days: int
    data_label: str
    luck: Luck | None = None
    half: Point | None = None
    twice: Point | None = None
    binding: str = ""
    targeting: Targeting | None = None
    customers: Customers | None = None
    history_days: int = 364
    tastes: Tastes | None = None
    week: ShopWeek | None = None
    forecast: Forecasts | None = None
    predictions: Predictions = field(default_factory=Predictions)
    frontier: pl.DataFrame = field(default_factory=pl.DataFrame)
    policies: pl.DataFrame | None = None
    lead: Lead | None = None
    offers: pl.DataFrame = field(default_factory=pl.DataFrame)
    typical: Sequence[Card] = ()
    written: Sequence[Written] = ()
    silent: int = 0
    angles: Sequence[tuple[str, int]] = ()
    pool: PoolState = field(default_factory=PoolState)
    cards: Sequence[Card] = ()
    unknowns: Sequence[OpenQuestion] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def cash(self) -> Cash:
        """Says amounts in the shop's currency."""
        return Cash(self.plan.shop.currency)
