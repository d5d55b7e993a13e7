"""What a plan stores beside its tables, and its summary: figures of one meaning each, which every surface prints."""

from collections.abc import Iterable
from math import ceil, hypot, inf
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import model_validator

from promolift.core.allocation.candidate_table import find_violations
from promolift.core.allocation.fairness_limits import FairnessLimit
from promolift.core.allocation.settings import Limit
from promolift.core.customers.settings import ConsentSettings
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.offers.menu import MenuItem
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.formatting import MoneyFormat
from promolift.foundation.localized_text import LANGUAGES
from promolift.foundation.money import currency_digits
from promolift.foundation.settings import Settings
from promolift.foundation.storage.stored_model import Note
from promolift.foundation.time.clock import end_of_days_ms
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.results.line_tests import LineTestNote
from promolift.shop.results.plan_reason import PlanReason

FRAGILE_SHOWN = 3  # assumptions that stand beside the plan's value, the most fragile
LEAST_HELD_OUT = 30  # customers held out below which no verdict on a plan is given


AssumptionName = Literal[
    "margin", "supplier_share", "response", "coupon_reach", "stretch_share", "delivery_cost", "send_cost",
    "message_effect",
]  # fmt: skip
AssumptionSource = Literal["stated", "usual", "unset", "assumed", "read", "whole"]


class Assumption(Settings):
    """Something that nobody measured and on which the plan's gain stands.

    `value` is what was taken, `flips_at` the value at which the plan as it stands would earn nothing, None where no
    value would; both are of `unit`, money in minor units. `source` is where the value comes from; `whole` of suppliers
    who pay all of some discounts.
    """

    name: AssumptionName
    unit: Literal["share", "money"] = "share"
    value: float
    flips_at: float | None
    source: AssumptionSource = "stated"

    @property
    def slack(self) -> float | None:
        """How far from `value`, as a share of it, lies what would turn the plan; None where nothing would, and where
        the value is 0."""
        if self.flips_at is None or not self.value:
            return None
        return abs(self.value - self.flips_at) / abs(self.value)


def fragile_first(assumptions: Iterable[Assumption]) -> tuple[Assumption, ...]:
    """The assumptions, first the one that needs to be least wrong to turn the plan; last those that cannot."""
    return tuple(sorted(assumptions, key=lambda a: inf if a.slack is None else a.slack))


class HeadlineAssumptions(Note):
    """What must be believed for the plan's value, from which luck is taken off, as `evaluate` found it."""

    NAME: ClassVar[str] = "believed"
    assumptions: tuple[Assumption, ...]


class BudgetPoint(Settings):
    """The best plan at another budget, by the estimates that choose; `share` of what they promise for its own."""

    budget_cents: float
    gain_cents: float
    share: float | None


class RuleCost(Settings):
    """What a strategic rule costs: expected gain without it less with it. `offers` are such, `able` customers can
    get one. `price` is the limit's: what one more of its share costs (0.01 of it one percentage point).
    """

    ALIASES: ClassVar[dict[str, str]] = {"given": "offers"}
    name: str
    rule: Literal["pin", "boost", "exclude", "at_least"]
    offers: int
    able: int
    cost_cents: float
    price: float = 0.0


class FairUse(Settings):
    """A limit of fairness on a group (`sex=F`), which has the share `people` of the customers who can be offered
    something: the share of offers or value that it got (`used`; None where nothing was given), and what one percentage
    point of it would bring, in minor units.
    """

    limit: Limit
    group: str
    people: float
    used: float | None
    price: float = 0.0


class FairPlan(Settings):
    """How the plan keeps the limits of fairness, and what they cost together: expected gain without them less with,
    None where that is not known. Customers of the segments `excluded` get nothing.
    """

    uses: tuple[FairUse, ...] = ()
    excluded: tuple[str, ...] = ()
    cost_cents: float | None = None

    @property
    def limits(self) -> tuple[FairnessLimit, ...]:
        return tuple(FairnessLimit(each.limit, each.group, each.people) for each in self.uses)

    def broken(self, chosen: pl.DataFrame) -> list[str]:
        """What the offers that were decided for break of it, a sentence each."""
        given = chosen.filter(pl.col("offer_id") != "none")
        found = [
            f"{each.limit.name}: {each.used:.2%} of all, {'at most' if each.over else 'at least'} "
            f"{each.limit.at_most if each.over else each.limit.at_least:.2%} are allowed"
            for each in find_violations(given, [each.limit for each in self.uses])
        ]
        if self.excluded:
            names = pl.lit(list(self.excluded), pl.List(pl.String))
            barred = given.filter((pl.col("segments").list.set_intersection(names).list.len() > 0).fill_null(False))
            if barred.height:
                found.append(f"fairness.excluded: {barred.height} of the segments {', '.join(self.excluded)} get one")
        return found


class PlanTests(Settings):
    """What a plan draws beside the offers that it gives by predicted gains: how many customers got an offer by a draw,
    and what these are believed to add after their cost.
    """

    customers: int
    gain_cents: float
    cost_cents: float


class WhatIf(Settings):
    """The best plan at another budget, between two points of the curve: its gain by the estimates that choose (luck is
    not taken off), cost, what one more cent adds, and how many customers get an offer; beside it the same of the plan.
    """

    budget_cents: float
    gain_cents: float
    cost_cents: float
    price: float
    treated: float
    own_budget_cents: float
    own_gain_cents: float | None
    own_treated: float | None

    @property
    def more_cents(self) -> float | None:
        return None if self.own_gain_cents is None else self.gain_cents - self.own_gain_cents

    @property
    def more_treated(self) -> float | None:
        return None if self.own_treated is None else self.treated - self.own_treated


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


class PlanNote(Note):
    """The plan in numbers; all but shares and `price` are minor units or customers.

    `gain_cents` is the expected profit after all costs, its interval (95 %) that of the response alone; `planned_cents`
    what the choice was made by, which under a rule of risk is less; `gap` how far it is from `bound_cents`, which no
    plan within budget and limits can pass. `price` is what one more cent of budget adds, `worth` the same with the
    limits that grow with it. `terms` are what the decisions were made by, and are served by. `detectable_cents` is the
    smallest effect per customer with an offer by prediction that the holdout shows in the window with 80 % power;
    `tests` is what the plan draws beside these offers, whose bound, gap and prices are of the offers by prediction.
    """

    NAME: ClassVar[str] = "plan"
    budget_cents: int
    gain_cents: float
    gain_low_cents: float | None
    gain_high_cents: float | None
    cost_cents: float
    added_cents: float
    subsidy_cents: float
    treated: int
    customers: int
    held_out: int
    barred: int
    price: float
    worth: float
    bound_cents: float
    planned_cents: float
    gap: float
    evidence: Level
    risk: Literal["none", "lower"] = "none"
    explain: str
    limits: tuple[str, ...] = ()
    strategic: tuple[RuleCost, ...] = ()
    fairness: FairPlan | None = None
    why: PlanReason | None = None
    assumptions: tuple[Assumption, ...] = ()
    terms: ReleaseTerms
    menu: tuple[MenuItem, ...]
    shop: ShopSettings

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, values: Any) -> Any:
        """Read the note of an earlier version: its messages stand in both languages, and it holds sentences."""
        shop = values.get("shop") if isinstance(values, dict) else None
        if not isinstance(shop, dict) or "language" not in shop:
            return values
        own = shop["language"]
        spoken = [own, *(each for each in LANGUAGES if each != own)]
        believed = [_without(each, "text", "text_zh") for each in values.get("assumptions", ())]
        shop = _without(shop, "language") | {"languages": spoken}
        return _without(values, "why", "why_zh") | {"shop": shop, "assumptions": believed}

    consent: ConsentSettings
    window_days: int | None = None  # how long the plan runs; None in plans of earlier versions
    asof_ms: int | None = None  # the beginning of its first day; None in plans of earlier versions
    detectable_cents: float | None = None
    tests: PlanTests | None = None

    @property
    def able(self) -> int:
        """Customers who may be given an offer."""
        return self.customers - self.held_out - self.barred

    @property
    def days(self) -> int:
        """How many days a release of the plan serves; of a plan of before, as long as its longest offer is valid."""
        return self.window_days or max((item.valid_days for item in self.menu), default=1)

    @property
    def treated_share(self) -> float | None:
        return self.treated / self.able if self.able else None

    @property
    def next_cents(self) -> float:
        """What one more unit of money, such as a dollar, of budget adds, in minor units."""
        return self.worth * float(10 ** currency_digits(self.shop.currency))

    @property
    def by_prediction(self) -> int:
        """How many customers get an offer by what it is predicted to add, and not by a draw."""
        return self.treated - (self.tests.customers if self.tests else 0)

    @property
    def draws(self) -> bool:
        """Whether customers draw offers in it, all of them or some."""
        return self.drawn or self.tests is not None

    @property
    def drawn(self) -> bool:
        """Whether it is a trial: offers drawn by a hash, whatever they are expected to earn."""
        return self.terms.policy_id == "trial"

    @property
    def missing_cents(self) -> float:
        """What the best possible plan could gain beyond this one, at most."""
        return max(self.bound_cents - self.planned_cents, 0.0)


class Luck(Settings):
    """What the plan gains by the estimates that chose it, and by those of customers with no part in the choice.

    `low_cents` and `high_cents`: 95 % interval of the latter, over the draw of customers.
    """

    naive_cents: float
    checked_cents: float
    low_cents: float
    high_cents: float

    @property
    def share(self) -> float:
        """The part of the promise that was luck; 0 where nothing was lost."""
        return max(0.0, 1 - self.checked_cents / self.naive_cents) if self.naive_cents > 0 else 0.0


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
    `ends_ms` is the midnight, by the shop's clock, that ends the last of `days`; None in plans of earlier versions.
    """

    currency: str
    starts_ms: int | None
    ends_ms: int | None
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
    ends_ms = None if plan.asof_ms is None else end_of_days_ms(plan.asof_ms, plan.days, plan.shop.zone)
    return PlanSummary(
        currency=plan.shop.currency, starts_ms=plan.asof_ms, ends_ms=ends_ms, days=plan.days, **value,
        cost_cents=plan.cost_cents,
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
    offers is added. The interval holds the draw of customers and the errors of what was estimated of all of them.
    """
    moved = any(each.aimed and each.n_arm for each in plan.terms.effects)
    if luck is None or plan.drawn or plan.terms.explore or moved or not plan.by_prediction or luck.naive_cents <= 0:
        return {"value_cents": plan.gain_cents, "low_cents": plan.gain_low_cents, "high_cents": plan.gain_high_cents}
    tests = plan.tests.gain_cents if plan.tests else 0.0
    factor = (plan.gain_cents - tests) / luck.naive_cents if plan.risk != "none" else 1.0
    value, low, high = (factor * each + tests for each in (luck.checked_cents, luck.low_cents, luck.high_cents))
    if plan.gain_low_cents is not None and plan.gain_high_cents is not None:
        low = value - hypot(value - low, plan.gain_cents - plan.gain_low_cents)
        high = value + hypot(high - value, plan.gain_high_cents - plan.gain_cents)
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
