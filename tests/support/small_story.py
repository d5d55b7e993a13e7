"""A plan of a small shop in, with what a test changes; a story of it out in which all else is not known."""

from typing import Any

from promolift.core.customers.settings import ConsentSettings
from promolift.core.decisions import ReleaseTerms
from promolift.core.effects import DiscountResponse
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.reports.story import CustomerCard, Story
from promolift.shop.results.customers import PlannedOffer
from promolift.shop.results.effects import ResponseFigures
from promolift.shop.results.ingest import Health
from promolift.shop.results.plan_note import PlanNote, summarise

NOTE = PlanNote(
    budget_cents=10_000, gain_cents=20_000.0, gain_low_cents=None, gain_high_cents=None, cost_cents=9_000.0,
    added_cents=0.0, subsidy_cents=0.0, treated=25, customers=240, held_out=24, barred=6, price=0.5, worth=0.5,
    bound_cents=20_100.0, planned_cents=20_000.0, gap=0.005, evidence="adjusted", explain="", menu=(),
    terms=ReleaseTerms(campaign_id="c", policy_id="plan", policy_version="1", price=0.5),
    shop=ShopSettings(currency="USD"), consent=ConsentSettings(), window_days=28,
)  # fmt: skip


def read(**parts: Any) -> ResponseFigures:
    """A response with nothing beside its slope but `parts`."""
    values = {"level": "adjusted", "why": "read", "beta": 1.0, "beta_se": 0.1} | parts
    return ResponseFigures.of(DiscountResponse(**values), {})


def small_story(note: dict[str, Any] | None = None, head: dict[str, Any] | None = None, **parts: Any) -> Story:
    """`note` changes the plan and `head` its summary, `parts` what else is told."""
    plan = NOTE.model_copy(update=note or {})
    found = summarise(plan).model_copy(update=head or {})
    health = Health(tables=(), summary={}, abilities=(), warnings=(), notes=())
    known = {"summary": found, "health": health, "response": read(), "asof_ms": 0}
    return Story(plan=plan, **(known | parts))


def card(who: str = "a", **change: Any) -> CustomerCard:
    """A customer who gets an offer without words."""
    values = {
        "customer_id": who, "offer_id": "x", "gain_cents": 1.0, "gain_se_cents": None, "cost_cents": 1.0,
        "evidence": "assumed",
    }  # fmt: skip
    return CustomerCard(PlannedOffer.of(values | change), "5 off", "Somebody.")
