"""The figures of a plan, each with one meaning: what every page, command, answer and file prints of it."""

from math import ceil

from promolift.foundation.evidence import Level
from promolift.foundation.i18n.formatting import MoneyFormat
from promolift.foundation.settings import Settings
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.line_tests import LineTestNote
from promolift.shop.results.plan_note import Assumption, Luck, PlanNote, fragile_first

FRAGILE_SHOWN = 3  # assumptions that stand beside the plan's value, the most fragile


class ChoiceBound(Settings):
    """How good the choice is by the estimates that made it: `bounded_cents` is what the offers that were chosen add,
    no choice within the budget and the limits adds more than `bound_cents`, and `gap` is `missing_cents` as a share.
    """

    bounded_cents: float
    bound_cents: float
    missing_cents: float
    gap: float


class GroupEffect(Settings):
    """The smallest effect per customer that the draws of an audience show in this window."""

    group: str
    detectable_cents: float


class WhatIsLearned(Settings):
    """What is known when the plan's days are over, at `known_ms`. `detectable_cents` is the smallest effect per
    customer with an offer by prediction that the holdout shows with 80 % power, `expected_cents` what is expected of
    each, and `windows_needed` how many such windows show that; None where the holdout compares nothing. `groups` are
    those that draw.
    """

    known_ms: int | None
    detectable_cents: float | None
    expected_cents: float | None
    windows_needed: int | None
    groups: tuple[GroupEffect, ...] = ()


class PlanSummary(Settings):
    """What a plan is expected to earn and cost, for whom, until when, and on what that rests. Money is in minor units.

    `value_cents` is what the plan adds after its cost, without luck where that is known, with its 95 % interval; None
    where the log names no amounts. `promised_cents` is what the estimates that chose the plan promise, None where the
    value is their own. `ceiling_cents` is what the draws cost at most but for one month in a thousand. `able` customers
    may get an offer, `treated` get one, `by_prediction` of them for what it is predicted to add and not by a draw.
    """

    currency: str
    starts_ms: int | None
    days: int
    value_cents: float | None
    low_cents: float | None
    high_cents: float | None
    promised_cents: float | None = None
    cost_cents: float
    ceiling_cents: float | None = None
    budget_cents: int
    customers: int
    able: int
    treated: int
    by_prediction: int
    held_out: int
    evidence: Level
    bound: ChoiceBound | None
    assumptions: tuple[Assumption, ...] = ()
    learned: WhatIsLearned

    @property
    def ends_ms(self) -> int | None:
        """The end of the last day; None in plans of earlier versions."""
        return None if self.starts_ms is None else self.starts_ms + self.days * DAY_MS

    @property
    def luck_cents(self) -> float | None:
        """What luck in the choice takes off the promise; None where it is not known."""
        return (
            None if self.promised_cents is None or self.value_cents is None else self.promised_cents - self.value_cents
        )

    @property
    def lost_to_luck(self) -> bool:
        """Whether the promise is more than the value, as they are printed."""
        cash = MoneyFormat(self.currency)
        return bool(self.luck_cents and self.luck_cents > 0 and cash(self.promised_cents) != cash(self.value_cents))

    @property
    def spent_share(self) -> float | None:
        return self.cost_cents / self.budget_cents if self.budget_cents else None


def summarise(
    plan: PlanNote,
    luck: Luck | None = None,
    assumptions: tuple[Assumption, ...] | None = None,
    drawn: LineTestNote | None = None,
    amounts_known: bool = True,
) -> PlanSummary:
    """Summarise a plan. `assumptions` are those of the value without luck, left out those of the plan as it was made;
    `drawn` is what it draws.
    """
    value = _value(plan, luck) if amounts_known else dict.fromkeys(("value_cents", "low_cents", "high_cents"))
    groups = tuple(
        GroupEffect(group=each.group, detectable_cents=each.detectable_cents)
        for each in (drawn.tested if drawn else ())
    )
    ends_ms = None if plan.asof_ms is None else plan.asof_ms + plan.days * DAY_MS
    return PlanSummary(
        currency=plan.shop.currency, starts_ms=plan.asof_ms, days=plan.days, **value, cost_cents=plan.cost_cents,
        ceiling_cents=drawn.ceiling_cents if drawn and drawn.tested else None, budget_cents=plan.budget_cents,
        customers=plan.customers, able=plan.able, treated=plan.treated, by_prediction=plan.by_prediction,
        held_out=plan.held_out, evidence=plan.evidence, bound=_bound(plan),
        assumptions=fragile_first(plan.assumptions if assumptions is None else assumptions)[:FRAGILE_SHOWN],
        learned=_learned(plan, value["value_cents"], ends_ms, groups),
    )  # fmt: skip


def _value(plan: PlanNote, luck: Luck | None) -> dict[str, float | None]:
    """The plan's value. A plan of draws, one that explores, one whose predictions draws have moved, or one for nobody
    has no part in the comparison of policies: it stands as it was made. Where gains were taken with caution, the plan
    is not the one compared, and only the share that was luck is taken off its own. What is drawn beside predicted
    offers is added.
    """
    moved = any(each.aimed and each.n_arm for each in plan.terms.effects)
    if luck is None or plan.drawn or plan.terms.explore or moved or not plan.by_prediction or luck.naive_cents <= 0:
        return {"value_cents": plan.gain_cents, "low_cents": plan.gain_low_cents, "high_cents": plan.gain_high_cents}
    tests = plan.tests.gain_cents if plan.tests else 0.0
    factor = (plan.gain_cents - tests) / luck.naive_cents if plan.risk != "none" else 1.0
    value, low, high = (factor * each + tests for each in (luck.checked_cents, luck.low_cents, luck.high_cents))
    return {"value_cents": value, "low_cents": low, "high_cents": high, "promised_cents": plan.gain_cents}


def _bound(plan: PlanNote) -> ChoiceBound | None:
    """The bound on what is chosen; None for a plan of draws alone, which is no choice."""
    if plan.drawn or (plan.tests is not None and not plan.by_prediction):
        return None
    return ChoiceBound(
        bounded_cents=plan.planned_cents, bound_cents=plan.bound_cents, missing_cents=plan.missing_cents, gap=plan.gap
    )


def _learned(
    plan: PlanNote, value_cents: float | None, known_ms: int | None, groups: tuple[GroupEffect, ...]
) -> WhatIsLearned:
    """What the holdout can show of the offers by prediction, whose value is the plan's less what is drawn."""
    compared = plan.by_prediction and not plan.drawn and plan.detectable_cents is not None
    predicted = (value_cents or 0.0) - (plan.tests.gain_cents if plan.tests else 0.0)
    each, windows = None, None
    if compared and predicted > 0 and plan.detectable_cents is not None:
        each = predicted / plan.by_prediction
        windows = max(1, ceil((plan.detectable_cents / each) ** 2))
    return WhatIsLearned(
        known_ms=known_ms, detectable_cents=plan.detectable_cents, expected_cents=each, windows_needed=windows,
        groups=groups,
    )  # fmt: skip
