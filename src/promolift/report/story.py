"""What the report is told: one frozen `Story`, filled by the caller; every part of it may be None.

A part that is None (or an empty frame) becomes a box "not known, because ...", with the reason the caller gives in
`Story.missing` under the name of the field; so do the columns `cadence_days` and `discount_share` of the profiles.
Frames are read by column name, as the tables below describe; a column that is absent is read as all missing, further
columns are ignored, NaN and infinity are missing.
Shares and depths are fractions (0.2 is 20 %); money is in minor units of `Shop.currency`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from promolift.contract import Column, Flag, Int, Real, Table, Text
from promolift.report.planned import Chosen, Evidence, Household
from promolift.results.evaluation import Lead
from promolift.results.messages import Written

HEALTH = Table(
    "report.health",
    "One row per raw table: what was read and what became of it.",
    (),
    (
        Column("table", Text, "name of the table"),
        Column("read", Int, "rows read", "rows"),
        Column("accepted", Int, "rows taken, the repaired ones included", "rows"),
        Column("repaired", Int, "rows taken after a repair", "rows"),
        Column("rejected", Int, "rows kept aside", "rows"),
    ),
)
REASONS = Table(
    "report.reasons",
    "Why rows were repaired or rejected.",
    (),
    (
        Column("table", Text, "name of the table"),
        Column("reason", Text, "the rule, in words"),
        Column("rows", Int, "how many rows", "rows"),
        Column("fate", Text, "repaired or rejected"),
    ),
)
ABILITIES = Table(
    "report.abilities",
    "What can and cannot be done with this data.",
    (),
    (
        Column("capability", Text, "what one would like to do"),
        Column("state", Text, "yes, partly or no"),
        Column("reason", Text, "why"),
        Column("add", Text, "what to add to be able to do it"),
    ),
)
PROFILES = Table(
    "report.profiles",
    "One row per customer.",
    (),
    (
        Column("customer_id", Text, "who"),
        Column("recency_days", Real, "days since the last order", "days"),
        Column("orders", Real, "orders in the last `Shop.history_days`", "orders"),
        Column("spend_cents", Real, "spend in the last `Shop.history_days`", "minor units"),
        Column("cadence_days", Real, "typical days between orders", "days"),
        Column("basket_cents", Real, "median basket", "minor units"),
        Column("discount_share", Real, "share of the undiscounted value not paid", "fraction"),
        Column("price_sensitivity", Real, "response to discounts; higher is more sensitive"),
        Column("price_sensitivity_se", Real, "standard error of price_sensitivity"),
        Column("spend_next_cents", Real, "expected spend of the coming window", "minor units"),
    ),
)
AFFINITIES = Table(
    "report.affinities",
    "One row per customer and category bought.",
    (),
    (
        Column("customer_id", Text, "who"),
        Column("target", Text, "category, as it should be printed"),
        Column("share", Real, "share of the customer's spend", "fraction"),
    ),
)
HOURS = Table(
    "report.hours",
    "When people buy, in the shop's time zone.",
    (),
    (
        Column("weekday", Int, "0 is Monday"),
        Column("hour", Int, "0 to 23"),
        Column("orders", Real, "orders in that hour of the week", "orders"),
    ),
)
CURVE = Table(
    "report.curve",
    "The discount curve: one row per group of customers and depth.",
    (),
    (
        Column("group", Text, "which customers"),
        Column("depth", Real, "discount as a fraction of the price", "fraction"),
        Column("lift", Real, "change of demand; 0.3 is 30 % more", "fraction"),
        Column("low", Real, "lower end of the interval", "fraction"),
        Column("high", Real, "upper end of the interval", "fraction"),
        Column("n", Int, "observations behind the estimate"),
    ),
)
ELASTICITIES = Table(
    "report.elasticities",
    "Response to discounts by category; higher responds more, 0 not at all.",
    (),
    (
        Column("category", Text, "which products"),
        Column("elasticity", Real, "the estimate"),
        Column("low", Real, "lower end of the interval"),
        Column("high", Real, "upper end of the interval"),
        Column("n", Int, "observations behind the estimate"),
    ),
)
PLACEBOS = Table(
    "report.placebos",
    "Estimates that must be zero if the method is right, and the effect itself on the same scale to compare them with.",
    (),
    (
        Column("name", Text, "what was looked at"),
        Column("value", Real, "the effect found: log of demand per unit of depth, say"),
        Column("low", Real, "lower end of the interval"),
        Column("high", Real, "upper end of the interval"),
        Column("main", Flag, "true for the effect itself, which is no placebo"),
        Column("ok", Flag, "passed by the caller's rule; missing: passed if the interval holds zero"),
        Column("meaning", Text, "why it must be zero"),
    ),
)
OVERLAP = Table(
    "report.overlap",
    "Whether like was compared with like: one share per row.",
    (),
    (
        Column("name", Text, "what the share is of"),
        Column("value", Real, "the share", "fraction"),
        Column("low", Real, "lower end of the interval", "fraction"),
        Column("high", Real, "upper end of the interval", "fraction"),
        Column("meaning", Text, "how to read it"),
    ),
)
SCORES = Table(
    "report.scores",
    "How good the predictions are on data the models never saw.",
    (),
    (
        Column("model", Text, "which model"),
        Column("figure", Text, "AUC, log loss, mean absolute error, ..."),
        Column("value", Real, "the model's figure"),
        Column("low", Real, "lower end of the interval"),
        Column("high", Real, "upper end of the interval"),
        Column("n", Int, "cases scored"),
        Column("baseline", Text, "the simple rule it must beat"),
        Column("baseline_value", Real, "that rule's figure, same cases"),
        Column("better", Text, "higher or lower: which direction is good"),
    ),
)
CALIBRATION = Table(
    "report.calibration",
    "Predicted against observed, in bins of the prediction.",
    (),
    (
        Column("model", Text, "which model"),
        Column("predicted", Real, "mean prediction of the bin: a probability"),
        Column("observed", Real, "what happened in the bin: a rate"),
        Column("low", Real, "lower end of the interval of observed"),
        Column("high", Real, "upper end"),
        Column("n", Int, "cases in the bin"),
    ),
)
RECALL = Table(
    "report.recall",
    "Share of what was bought that was among the first k suggestions; baselines are further models.",
    (),
    (
        Column("model", Text, "which model or baseline"),
        Column("k", Int, "length of the list"),
        Column("recall", Real, "the share", "fraction"),
        Column("low", Real, "lower end of the interval"),
        Column("high", Real, "upper end"),
        Column("n", Int, "customers scored"),
    ),
)


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
class Told:
    """One customer's outlook in sentences; `item` is the likeliest next; visits: day, basket, factor on its odds;
    alike: customer_id, likeliest item, expected spend, what they lean to.
    """

    customer_id: str
    sentences: Sequence[str] = ()
    item: str | None = None
    visits: Sequence[tuple[str, str, float]] = ()
    alike: Sequence[tuple[str, str | None, float | None, str | None]] = ()


@dataclass(frozen=True)
class Outlook:
    """What the encoder learned. `record`: per epoch train_loss, valid_loss, train_ndcg, valid_ndcg. `scores`, `bins`
    as SCORES and CALIBRATION. `people`: customer_id, x, y, spend_cents, leans_to, price_sensitivity. `goods`: name,
    x, y, group, visits. `stays_away`: share of customers without a visit in 8 weeks, predicted and observed.
    """

    record: pl.DataFrame | None = None
    scores: pl.DataFrame | None = None
    bins: pl.DataFrame | None = None
    people: pl.DataFrame | None = None
    goods: pl.DataFrame | None = None
    told: Told | None = None
    stays_away: tuple[float, float] | None = None
    customers: int | None = None


@dataclass(frozen=True)
class Taken:
    """Rows of raw data read and accepted, and the share of the latter."""

    read: int
    accepted: int
    share: float | None


@dataclass(frozen=True)
class Unknown:
    """Something that is not known, why it matters, and what would tell."""

    what: str
    why: str | None = None
    todo: str | None = None


@dataclass(frozen=True)
class Story:
    """Everything the report tells. Frames follow the tables of this module and of `planned`; `missing` maps a field's
    name to a reason. What a typed result holds comes in as it is.

    `interval_percent` is the coverage of every interval (95 for 95 %), None if it is not the same everywhere.
    `effect_notes` are sentences on how the discount response was estimated and what that cannot show.
    """

    shop: Shop = field(default_factory=Shop)
    interval_percent: float | None = None
    taken: Taken | None = None
    health: pl.DataFrame | None = None
    reasons: pl.DataFrame | None = None
    abilities: pl.DataFrame | None = None
    profiles: pl.DataFrame | None = None
    affinities: pl.DataFrame | None = None
    hours: pl.DataFrame | None = None
    outlook: Outlook | None = None
    curve: pl.DataFrame | None = None
    elasticities: pl.DataFrame | None = None
    placebos: pl.DataFrame | None = None
    overlap: pl.DataFrame | None = None
    effect_evidence: Evidence | None = None
    effect_notes: Sequence[str] = ()
    scores: pl.DataFrame | None = None
    calibration: pl.DataFrame | None = None
    recall: pl.DataFrame | None = None
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
