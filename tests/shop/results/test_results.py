"""What the typed results add to what is kept: each figure once, checked by hand."""

from math import hypot
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from promolift.core.allocation.solver import FRONTIER_SCHEMA
from promolift.foundation.storage.local_store import Store
from promolift.shop.results.customers import Person, PlannedOffer
from promolift.shop.results.evaluation import Evaluation
from promolift.shop.results.ingest import Counts, Health
from promolift.shop.results.messages import Messages
from promolift.shop.results.plan import Plan, interpolate_frontier
from promolift.shop.results.plan_note import Assumption, Luck, PlanNote, fragile_first, summarise

LUCK = Luck(naive_cents=1000.0, checked_cents=800.0, low_cents=500.0, high_cents=1100.0)


def note(**change: object) -> PlanNote:
    """A plan of 1,050 cents (700 to 1,400) for 4 of 20 customers."""
    values = {
        "budget_cents": 2000, "gain_cents": 1050.0, "gain_low_cents": 700.0, "gain_high_cents": 1400.0,
        "cost_cents": 1500.0, "added_cents": 2550.0, "subsidy_cents": 1400.0, "treated": 4, "customers": 20,
        "held_out": 2, "barred": 3, "price": 0.5, "worth": 0.75, "bound_cents": 1100.0, "planned_cents": 1050.0,
        "gap": 0.05, "evidence": "adjusted", "explain": "",
        "terms": {"campaign_id": "c", "policy_id": "plan", "policy_version": "1", "price": 0.5}, "menu": (),
        "shop": {"name": "S", "currency": "USD"}, "consent": {},
    }  # fmt: skip
    return PlanNote.model_validate(values | change)


def test_the_headline_is_without_luck_where_that_is_known() -> None:
    """The interval holds both the draw of customers (300 to each side) and the errors of the response (350)."""
    found, error = summarise(note(), LUCK), hypot(300, 350)
    assert (found.value_cents, found.promised_cents) == (800.0, 1050.0)
    assert (found.low_cents, found.high_cents) == pytest.approx((800 - error, 800 + error))
    own = summarise(note(), None)
    assert (own.value_cents, own.low_cents, own.high_cents, own.promised_cents) == (1050.0, 700.0, 1400.0, None)


@pytest.mark.parametrize("other", [{"treated": 0}, {"terms": note().terms.model_copy(update={"policy_id": "trial"})}])
def test_the_luck_of_the_best_plan_is_not_that_of_a_trial_or_of_no_plan(other: dict[str, object]) -> None:
    """Policies are compared by the best plan; the trial's draws earn something else."""
    assert summarise(note(**other), LUCK).value_cents == 1050.0


def test_a_careful_plan_loses_its_share_of_luck_and_one_with_draws_is_not_judged_by_another() -> None:
    terms = note().terms
    share = LUCK.checked_cents / LUCK.naive_cents
    own = note(risk="lower")
    assert summarise(own, LUCK).value_cents == pytest.approx(own.gain_cents * share)
    assert summarise(note(terms=terms.model_copy(update={"explore": 0.1})), LUCK).value_cents == note().gain_cents


def test_the_most_fragile_assumption_stands_first_and_what_turns_nothing_last() -> None:
    def one(name: Any, value: float, flips_at: float | None) -> Assumption:
        return Assumption(name=name, value=value, flips_at=flips_at)

    values = {"stretch_share": (0.5, None), "margin": (0.3, 0.12), "supplier_share": (0.85, 0.68),
              "coupon_reach": (0.1, 0.05)}  # fmt: skip
    some = [one(name, *each) for name, each in values.items()]
    found = fragile_first(some)
    assert [each.name for each in found] == ["supplier_share", "coupon_reach", "margin", "stretch_share"]
    assert found[0].slack == pytest.approx(0.2)


@pytest.mark.parametrize(("currency", "cents"), [("USD", 75.0), ("JPY", 0.75), ("KWD", 750.0)])
def test_the_next_unit_of_money_is_worth_its_minor_units(currency: str, cents: float) -> None:
    assert note(shop={"name": "S", "currency": currency}).next_cents == cents


LINE = pl.DataFrame({"budget_cents": [0.0, 10_000.0, 30_000.0], "gain_cents": [0.0, 20_000.0, 30_000.0]})


@pytest.mark.parametrize(
    ("budget", "gain"), [(0, 0), (5_000, 10_000), (10_000, 20_000), (20_000, 25_000), (30_001, None), (-1, None)]
)
def test_the_frontier_is_read_between_its_points_and_never_beyond(budget: float, gain: float | None) -> None:
    assert interpolate_frontier(LINE, budget) == gain
    assert interpolate_frontier(LINE.clear(), budget) is None


def test_another_budget_is_compared_with_the_plans_own_on_the_same_line(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        line = LINE.with_columns(cost_cents=0.0, price=0.0, treated=1, bound_cents=0.0)
        store.save("frontier", line.cast(FRONTIER_SCHEMA))  # type: ignore[arg-type]
        point = Plan(store, note(budget_cents=10_000)).curve.at(5_000)
    assert point is not None
    assert (point.gain_cents, point.share) == (10_000, 0.5)


def test_each_offer_has_its_share_of_the_treated(tmp_path: Path) -> None:
    rows = pl.DataFrame({
        "customer_id": ["a", "b", "c", "d"], "offer_id": ["x", "x", "y", "x"], "menu_id": "m", "target": None,
        "gain_cents": [10.0, 30.0, 5.0, 20.0], "cost_cents": [1.0, 2.0, 3.0, 4.0],
    }, schema_overrides={"target": pl.String})  # fmt: skip
    with Store(tmp_path) as store:
        store.save("chosen", rows)
        offers = Plan(store, note()).offers
    assert offers.select("offer_id", "treated", "share", "gain_cents", "cost_cents").rows() == [
        ("x", 3, 0.75, 60.0, 7.0), ("y", 1, 0.25, 5.0, 3.0)
    ]  # fmt: skip


def policies(**change: object) -> pl.DataFrame:
    rows = {
        "policy": ["random", "plan", "same_coupon", "plan"], "valued_by": ["check", "check", "check", "own"],
        "expected_profit_cents": [100.0, 5_000.0, 3_000.0, 9_000.0], "low": [0.0, 4_000.0, 2_000.0, 8_000.0],
        "high": [200.0, 6_000.0, 3_900.0, 9_900.0], "lead_low": [None, None, 500.0, None],
        "lead_high": [None, None, 3_500.0, None], "spend_cents": [1_000.0, 1_000.0, 1_020.0, 1_000.0],
        "evidence": ["adjusted", "adjusted", "assumed", "adjusted"],
    }  # fmt: skip
    return pl.DataFrame(rows | change)


def lead_of(folder: Path, rows: pl.DataFrame):
    with Store(folder) as store:
        store.save("policies", rows)
        return Evaluation(store, {}).lead


def test_the_lead_is_over_the_best_other_policy_by_the_estimate_that_did_not_choose(tmp_path: Path) -> None:
    lead = lead_of(tmp_path, policies())
    assert lead is not None
    assert (lead.rival, lead.others, lead.plan_cents, lead.lead_cents) == ("same_coupon", 2, 5_000.0, 2_000.0)
    assert (lead.low_cents, lead.high_cents, lead.apart, lead.equal_spend) == (500.0, 3_500.0, True, True)
    assert lead.evidence == "assumed"  # the weaker of the two


def test_a_lead_says_where_spend_differs_or_intervals_meet_or_evidence_is_unknown(tmp_path: Path) -> None:
    other = lead_of(tmp_path, policies(
        spend_cents=[1_000.0, 1_000.0, 800.0, 1_000.0], high=[200.0, 6_000.0, 4_100.0, 9_900.0],
        evidence=["adjusted", "adjusted", "proven", "adjusted"],
    ))  # fmt: skip
    assert other is not None
    assert (other.equal_spend, other.apart, other.evidence) == (False, False, None)
    assert lead_of(tmp_path, policies().filter(pl.col("policy") == "plan")) is None


def messages() -> Messages:
    return Messages(pl.DataFrame({
        "customer_id": ["a", "b", "c", "e", "f"], "offer_id": ["x", "x", "y", "x", "z"],
        "message_zh": ["一", "一二三", None, "一二", None], "message_en": ["1", "12345", "123", "12", None],
        "gain_cents": [10.0, 30.0, 5.0, 20.0, 1.0],
    }))  # fmt: skip


def test_messages_are_counted_by_language_and_their_middle_length_is_told() -> None:
    told = [(each.language, each.messages, each.characters) for each in messages().written]
    assert told == [("zh", 3, 2.0), ("en", 4, 2.5)]
    assert messages().silent == 1


def test_the_typical_customer_of_an_offer_is_the_median_one() -> None:
    assert messages().typical(5)["customer_id"].to_list() == ["e", "c"]
    assert messages().typical(1)["customer_id"].to_list() == ["e"]


def test_intervals_of_one_customer_are_1_96_errors_wide() -> None:
    row = {"customer_id": "a", "offer_id": "x", "gain_cents": 100.0, "gain_se_cents": 10.0, "cost_cents": 3.0,
           "evidence": "assumed", "other": 1}  # fmt: skip
    assert (PlannedOffer.of(row).low_cents, PlannedOffer.of(row).high_cents) == pytest.approx((80.4, 119.6), abs=1e-3)
    assert PlannedOffer.of(row | {"gain_se_cents": None}).low_cents is None
    assert Person.of({"price_sensitivity_se": 0.5, "other": 1}) == Person(price_sensitivity_se=0.5)
    assert Person.of({}) == Person()


def test_the_share_of_rows_taken_counts_all_tables() -> None:
    def table(name: str, read: int, accepted: int) -> Counts:
        return Counts(name, read, accepted)

    health = Health(tables=(table("a", 90, 80), table("b", 10, 10)), summary={}, abilities=(), warnings=(), notes=())
    assert (health.read, health.accepted, health.accepted_share) == (100, 90, 0.9)
    assert health.model_copy(update={"tables": ()}).accepted_share is None


def test_a_step_that_is_interrupted_is_not_done_and_neither_is_what_follows(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for step in ("effect", "plan", "message"):
            store.done(step, "mark")
        store.undone(["plan", "message"])
        assert [store.stale(step, "mark") for step in ("effect", "plan", "message")] == [False, True, True]
