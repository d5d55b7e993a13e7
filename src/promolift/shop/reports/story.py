"""The typed results that the report shows, in one frozen `Story`.

A part that is None (or empty) becomes a box "not known, because ...", with the reason that `Story.missing` holds under
the name of the field; so do `cadence_days` and `discount_share` of the customers, and `messages`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from promolift.extensions.encoder.results import ForecastCheck
from promolift.foundation.i18n.formatting import MoneyFormat
from promolift.foundation.localized_text import Language
from promolift.shop.results.customers import Customers, PlannedOffer, Tastes
from promolift.shop.results.effects import ResponseFigures
from promolift.shop.results.evaluation import DepthUplift, Lead, Worth
from promolift.shop.results.fairness import FairnessNote
from promolift.shop.results.ingest import Health
from promolift.shop.results.messages import LanguageCount, MotiveCount, PoolWords
from promolift.shop.results.plan_note import BudgetPoint, Luck, PlanNote, PlanSummary
from promolift.shop.results.predictions import Predictions, PurchaseMembers
from promolift.shop.results.promotion_history import PromotionHistory


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
    text: str
    kind: str
    holds: bool


@dataclass(frozen=True)
class CustomerCard:
    """One customer: the planned offer, its text, a description, figures of the profile, facts of the message."""

    planned: PlannedOffer
    offer: str
    who: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    read: Sequence[ReadFact] = ()


@dataclass(frozen=True)
class Story:
    """Everything the page tells, in `language`, which all texts in it are in. `summary` holds the plan's figures,
    `plan` what else it says; `half` and `twice` are the best plans at these parts of its budget, `binding` the limits
    that hold gain back, in words, `attributes` what is known of nobody,
    `members` which models forecast purchases, `forecast` how well an encoder saw the last weeks, `next` where the shop
    stands and what to do now.
    `segments` is `results.segments.segment_table` of the plan.
    Tables are `results.Plan.frontier`, `Plan.offers` with `offer`, its words, and `Evaluation.judged`. `least`: groups
    of fewer customers are not printed; `different` is how many offers there are, of which `offers` may have some in one
    row. `uplift` is what those with an offer are expected to buy more, by depth.
    """

    plan: PlanNote
    summary: PlanSummary
    health: Health
    response: ResponseFigures
    asof_ms: int
    language: Language = "en"
    luck: Luck | None = None
    half: BudgetPoint | None = None
    twice: BudgetPoint | None = None
    like_everybody: BudgetPoint | None = None
    binding: str = ""
    worth: Worth | None = None
    customers: Customers | None = None
    tastes: Tastes | None = None
    forecast: ForecastCheck | None = None
    predictions: Predictions = field(default_factory=Predictions)
    frontier: pl.DataFrame = field(default_factory=pl.DataFrame)
    policies: pl.DataFrame | None = None
    lead: Lead | None = None
    offers: pl.DataFrame = field(default_factory=pl.DataFrame)
    motives: Sequence[MotiveCount] = ()
    typical: Sequence[CustomerCard] = ()
    written: Sequence[LanguageCount] = ()
    silent: int = 0
    angles: Sequence[tuple[str, int]] = ()
    wording: PoolWords | None = None
    cards: Sequence[CustomerCard] = ()
    segments: pl.DataFrame = field(default_factory=pl.DataFrame)
    fairness: FairnessNote | None = None
    unknowns: Sequence[OpenQuestion] = ()
    attributes: Sequence[OpenQuestion] = ()
    members: PurchaseMembers | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    history: PromotionHistory | None = None
    why: Sequence[str] = ()  # nobody, or nearly nobody, gets an offer
    next: str = ""
    least: int = 1
    different: int = 0
    uplift: Sequence[DepthUplift] = ()

    @property
    def cash(self) -> MoneyFormat:
        return MoneyFormat(self.summary.currency)

    @property
    def tests(self) -> bool:
        """Whether the plan is there to learn, and not expected to earn."""
        return self.plan.terms.policy_id == "trial" and bool(self.plan.treated) and self.plan.gain_cents <= 0

    @property
    def coupons(self) -> bool:
        """Whether any offer of the plan is a coupon, so that the forecast of who uses one counts."""
        given = set(self.offers["menu_id"]) if "menu_id" in self.offers.columns else set()
        return any(item.activation != "automatic" for item in self.plan.menu if item.id in given)
