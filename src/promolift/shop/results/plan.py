"""Stored results of the plan step: every number once, and which customer gets which offer."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import polars as pl

from promolift.foundation.errors import StepError
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, ngettext, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    as_html,
    count,
    in_brackets,
    interval,
    join_list,
    join_sentences,
    level_name,
    money,
    percent,
)
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import fetch_frame
from promolift.foundation.sql import run_select as query
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import DECISIONS, PLANNED
from promolift.shop.results.fairness import group_label
from promolift.shop.results.line_tests import LineTestNote, line_test_sentences
from promolift.shop.results.plan_note import (
    LEAST_HELD_OUT,
    Assumption,
    BudgetPoint,
    FairPlan,
    HeadlineAssumptions,
    Luck,
    PlanNote,
    PlanSummary,
    RuleCost,
    WhatIf,
    summarise,
)
from promolift.shop.results.work_folder.work_tables import CleanTables, CustomerSubset

CURVE = "What the best plan earns with each budget, in minor units:"
SUMMARISED = {  # fields of the note that the summary holds under their meaning, and settings
    "menu", "shop", "consent", "gain_cents", "gain_low_cents", "gain_high_cents", "bound_cents", "planned_cents", "gap",
    "detectable_cents", "window_days", "asof_ms", "assumptions",
}  # fmt: skip
RELEASED_TABLES = ("candidates", "frontier")  # tables that a release serves from


def estimate_luck(policies: pl.DataFrame) -> Luck | None:
    """Estimate from `compare_policies` what of the plan's promise was luck; None if there is only one estimate."""
    if "check" not in policies["valued_by"]:
        return None
    plan = policies.filter(pl.col("policy") == "plan")
    own, check = (plan.row(by_predicate=pl.col("valued_by") == by, named=True) for by in ("own", "check"))
    return Luck(
        naive_cents=own["expected_profit_cents"], checked_cents=check["expected_profit_cents"],
        low_cents=check["low"], high_cents=check["high"],
    )  # fmt: skip


def plan_text(plan: PlanNote, summary: PlanSummary, why: Sequence[str] = ()) -> str:
    """Who gets an offer, what it is expected to add net of its cost, what must be believed for that, and what next.
    `why` hardly anybody gets one is `Plan.why`.
    """
    lines = [
        _head(plan, summary),
        *(strategic_rule_text(each, plan.shop.currency) for each in plan.strategic),
        *([fairness_text(plan.fairness, plan.shop.currency)] if plan.fairness else []),
        *why,
        *(assumption_text(each, plan.shop.currency) for each in summary.assumptions),
    ]
    if plan.consent.default:
        lines.append(
            gettext(
                "Consent: customers who said neither yes nor no may be written to, on the word of "
                "whoever set consent.default."
            )
        )
    return "\n".join(lines)


def assumption_text(each: Assumption, currency: str) -> str:
    """Say an assumption, and the value at which the plan would earn nothing, in a sentence."""
    say = percent if each.unit == "share" else MoneyFormat(currency)
    value, flips = say(each.value), each.flips_at
    stated = pgettext("assumptions", "as promolift.toml states")

    def end(never: str) -> str:
        return never if flips is None else gettext("at {at} this plan would earn nothing", at=say(flips))

    match each.name:
        case "margin":
            source = gettext("a usual value, since no product has a cost") if each.source == "usual" else stated
            at = end(gettext("no margin would pay"))
            return gettext("A margin of {value} for every product, {source}: {at}.", value=value, source=source, at=at)
        case "supplier_share" if each.source == "whole":
            return gettext(
                "Suppliers pay the whole discount, as promolift.toml states; from which part on is not known."
            )
        case "supplier_share":
            at = end(gettext("this plan would pay without them, too"))
            return gettext(
                "Suppliers pay {value} of the discounts, as promolift.toml states: {at}.", value=value, at=at
            )
        case "response":
            read = gettext("read from past shelf prices, not proven by an experiment")
            how = pgettext("assumptions", "assumed") if each.source == "assumed" else read
            part = gettext("at {at} of it this plan would earn nothing", at=percent(flips))
            at = part if flips is not None else gettext("it would pay without any")
            return gettext("The response to discounts is {how}: {end}.", how=how, end=at)
        case "coupon_reach":
            at = end(gettext("fewer would not turn the plan"))
            return gettext("{value} of customers notice a coupon: {at}.", value=value, at=at)
        case "stretch_share" if flips is None:
            return gettext(
                "{value} of orders just below a threshold are filled up to it: nothing in the log varies it.",
                value=value,
            )
        case "stretch_share":
            return gettext(
                "{value} of orders just below a threshold are filled up to it, which nothing in the log varies: {at}.",
                value=value, at=end(""),
            )  # fmt: skip
        case "delivery_cost":
            unset = gettext("since value.delivery_cost_cents is not stated")
            source, at = unset if each.source == "unset" else stated, gettext("a dearer one would not turn the plan")
            return gettext(
                "A free delivery costs the shop {cost}, {source}: {at}.", cost=value, source=source, at=end(at)
            )
        case "send_cost":
            unset = gettext("since value.send_cost_cents is not stated")
            source = unset if each.source == "unset" else gettext("as promolift.toml states")
            return gettext(
                "A message costs {cost}, {source}: at {at} this plan would earn nothing.",
                cost=value, source=source, at=say(flips),
            )  # fmt: skip
        case "message_effect" if flips is None:
            return gettext(
                "What is drawn is believed to add {value} of margin per customer before its cost; this plan does not "
                "depend on it.",
                value=value,
            )
        case "message_effect":
            loses = flips > each.value
            turn = gettext("from {at} on this plan would lose nothing", at=say(flips)) if loses else end("")
            return gettext(
                "What is drawn is believed to add {value} of margin per customer before its cost: {turn}.",
                value=value, turn=turn,
            )  # fmt: skip


def strategic_rule_text(found: RuleCost, currency: str) -> str:
    """Describe in a sentence what a strategic rule did and costs."""
    cash, given = MoneyFormat(currency), f"{found.offers:,}"
    cost, point = cash(found.cost_cents), cash(found.price / 100)
    text = gettext(
        "Rule {name} ({rule}): {given} such offers ({able} customers can get one); it costs {cost} of expected gain.",
        name=found.name,
        rule=gettext(RULES[found.rule]),
        given=given,
        able=f"{found.able:,}",
        cost=cost,
    )
    if found.price:
        text += gettext(" One percentage point more would cost {point}.", point=point)
    return text


def fairness_text(found: FairPlan, currency: str) -> str:
    """Describe what limits of fairness require and cost."""
    said = []
    if found.uses:
        text = gettext("Fairness: {uses} limits on groups' shares are kept.", uses=len(found.uses))
        if found.cost_cents is not None:
            text += gettext(" They cost {cost} of expected gain.", cost=money(found.cost_cents, currency))
        said.append(text)
    dear = max(found.uses, key=lambda each: each.price, default=None)
    if dear is not None and dear.price > 0:
        point = money(dear.price, currency)
        said.append(
            gettext(
                "The dearest is that on {group_label}: one percentage point less strict would add {point}.",
                group_label=group_label(dear.group),
                point=point,
            )
        )
    if found.excluded:
        said.append(gettext("No personal offer for: {excluded}.", excluded=", ".join(found.excluded)))
    return join_sentences(*said)


RULES = {
    "pin": gettext_noop("pin"), "boost": gettext_noop("boost"), "exclude": gettext_noop("exclude"),
    "at_least": gettext_noop("at least"),
}  # fmt: skip


def _head(plan: PlanNote, summary: PlanSummary) -> str:
    cash = MoneyFormat(summary.currency)
    budget = cash(summary.budget_cents)
    text = gettext(
        "{treated} of {customers} customers get an offer; {held} are held out. ",
        treated=count(summary.treated),
        customers=count(summary.customers),
        held=count(summary.held_out),
    )
    if plan.why and not summary.treated:
        return text + gettext("The budget of {budget} is not touched.", budget=budget)
    span = in_brackets(interval(summary.low_cents, summary.high_cents, cash))
    gain, spent = cash(summary.value_cents, sign=True), cash(summary.cost_cents)
    text += gettext(
        "Expected to add {gain}{span} after its cost of {spent}, of a budget of {budget}. Evidence: {evidence}.",
        gain=gain,
        span=span,
        spent=spent,
        budget=budget,
        evidence=level_name(summary.evidence),
    )
    if summary.promised_cents is not None:
        promised = cash(summary.promised_cents, sign=True)
        if summary.lost_to_luck:
            text += gettext(" By the estimates that chose it: {promised}; the rest was luck.", promised=promised)
        else:
            text += gettext(
                " The estimates that chose the offers promise {promised}; checked on customers who "
                "had no part in the choice, it is no less.",
                promised=promised,
            )
    elif summary.bound is not None and summary.treated and summary.evidence != "assumed":
        text += gettext(" Luck in the choice is not taken off yet: `promolift evaluate` does.")
    bound = summary.bound
    if bound is not None and (plan.tests or cash(summary.value_cents) != cash(bound.bounded_cents)):
        text = join_sentences(text, bound_text(plan, summary))
    elif bound is not None:
        part = f"{bound.gap:.2%}"
        if part == "0.00%":
            text += gettext(" No plan within the budget and the limits is expected to add more.")
        else:
            text += gettext(" At most {part} of the best possible plan is missing.", part=part)
    return join_sentences(text, holdout_power_text(summary))


def bound_text(plan: PlanNote, summary: PlanSummary) -> str:
    """Name the value that the plan's bound is on, the bound, and why the plan's value is another figure; empty for a
    plan of draws alone, which is no choice.
    """
    if (bound := summary.bound) is None:
        return ""
    cash = MoneyFormat(summary.currency)
    value, most, missing, part = (*map(cash, (bound.bounded_cents, bound.bound_cents, bound.missing_cents)),
                                  percent(bound.gap))  # fmt: skip
    text = (
        gettext(
            "By the estimates that choose, the offers given by prediction add {value}, and no "
            "choice within the budget and the limits can add more than {bound}: at most "
            "{missing} ({part}) is missing.",
            value=value,
            bound=most,
            missing=missing,
            part=part,
        )
        if plan.tests
        else gettext(
            "By the estimates that choose, the plan adds {value}, and no choice within the "
            "budget and the limits can add more than {bound}: at most {missing} ({part}) is "
            "missing.",
            value=value,
            bound=most,
            missing=missing,
            part=part,
        )
    )
    if summary.value_cents is None or cash(summary.value_cents) == value:
        return text
    parts = []
    if summary.promised_cents is not None:
        parts.append(
            gettext("luck in the choice is taken off it")
            if summary.lost_to_luck
            else gettext("it is checked on customers who had no part in the choice")
        )
    parts += [gettext("what is drawn is added to it")] if plan.tests else []
    parts += [gettext("it is without the caution of the choice")] if plan.risk != "none" else []
    why = gettext(": {parts}", parts=join_list(parts)) if parts else ""
    return text + gettext(" The plan's value, {gain}, is another figure{why}.", gain=cash(summary.value_cents), why=why)


def holdout_power_text(summary: PlanSummary) -> str:
    """Describe what the holdout can show, beside the plan's value, or that it is too small for a verdict; empty where
    nothing is compared.
    """
    learned = summary.learned
    if learned.windows_needed is None or learned.detectable_cents is None:
        return ""
    if summary.held_out < LEAST_HELD_OUT:
        held = ngettext("{n} customer", "{n} customers", summary.held_out, n=count(summary.held_out))
        return gettext(
            "The holdout cannot show what this plan earns: {held} in it, and a verdict takes {least_held_out}.",
            held=held,
            least_held_out=LEAST_HELD_OUT,
            held_out=count(summary.held_out),
        )
    cash = MoneyFormat(summary.currency)
    text = gettext(
        "In {span} days the holdout shows effects of at least {least} per customer with an "
        "offer (80 % power); expected are {each}",
        span=summary.days,
        least=cash(learned.detectable_cents),
        each=cash(learned.expected_cents),
    )
    if learned.windows_needed == 1:
        return text + gettext(", which one window can show.")
    return text + gettext(", which takes about {windows} such windows.", windows=count(learned.windows_needed))


class PlanMaker(Protocol):
    """Whoever made a plan and can go on with it: `promolift.Shop`."""

    def report(self, out: str | Path = ...) -> Path: ...

    def release(self) -> str:
        """Freeze it with its words; the release's id."""


@dataclass(frozen=True)
class BudgetCurve:
    """What the best plan earns at each budget: `frame` has the columns FRONTIER of core/allocation/solver.py;
    `own_cents` is the budget of the plan itself."""

    frame: pl.DataFrame
    own_cents: int

    def what_if(self, budget_cents: float) -> WhatIf | None:
        """The best plan at another budget, by straight lines between the curve's points; None beyond it."""
        names = ("gain_cents", "cost_cents", "price", "treated")
        found = {name: interpolate_frontier(self.frame, budget_cents, name) for name in names}
        own = {
            name: interpolate_frontier(self.frame, float(self.own_cents), name) for name in ("gain_cents", "treated")
        }
        if found["gain_cents"] is None:
            return None
        return WhatIf.model_validate(
            found | {"budget_cents": budget_cents, "own_budget_cents": float(self.own_cents)}
            | {f"own_{name}": value for name, value in own.items()}
        )  # fmt: skip

    def at(self, budget_cents: float) -> BudgetPoint | None:
        """The best plan at another budget, by a straight line between the curve's points; None beyond it."""
        gain, own = (interpolate_frontier(self.frame, x) for x in (budget_cents, float(self.own_cents)))
        if gain is None:
            return None
        return BudgetPoint(budget_cents=budget_cents, gain_cents=gain, share=gain / own if own and own > 0 else None)

    def __str__(self) -> str:
        points = self.frame.select("budget_cents", "gain_cents", "treated").iter_rows()
        rows = (f"  {budget:,.0f} adds {gain:,.0f} by {treated:,} customers" for budget, gain, treated in points)
        return "\n".join((CURVE, *rows))

    def _repr_html_(self) -> str:
        return as_html(CURVE, self.frame)


class PlanTables(NamedTuple):
    """A plan's rows: see `Plan`; candidates and decisions may come in partitions of whole customers."""

    candidates: Iterable[pl.DataFrame]
    chosen: pl.DataFrame
    decisions: Iterable[pl.DataFrame]
    frontier: pl.DataFrame


@dataclass(frozen=True)
class Plan:
    """The one result that is served, told and learned from. Tables are read when they are asked for.

    `candidates` (PLANNED) holds gain, cost, charge, probability and reason of every offer; `chosen` are the candidates
    that were decided for, `decisions` (DECISIONS) everybody's record, `frontier` the best plan at each budget.
    """

    store: Store
    note: PlanNote
    maker: PlanMaker | None = None

    @staticmethod
    def keep(store: Store, note: PlanNote, tables: PlanTables) -> "Plan":
        """Write a plan into the work folder, in place of the one before; its note last, so that a half-written plan
        cannot be read."""
        for name in (
            note.NAME,
            "offers",
            "unchecked",
            HeadlineAssumptions.NAME,
            "fairness",
        ):  # printed and judged was the plan before
            store.remove_json(name)
        store.save("candidates", map(PLANNED.conform, tables.candidates))
        store.save("chosen", PLANNED.conform(tables.chosen))
        store.save("decisions", map(DECISIONS.conform, tables.decisions))
        store.save("frontier", tables.frontier)
        return Plan(store, note.keep(store))

    @classmethod
    def load(cls, store: Store) -> Self:
        return cls(store, PlanNote.load(store))

    @cached_property
    def candidates(self) -> pl.DataFrame:
        """PLANNED: a row per customer and offer."""
        return self._kept("candidates")

    def open_to(self, among: CustomerSubset) -> pl.DataFrame:
        """Candidates of some customers that may be given, those for nothing left out."""
        return fetch_frame(among.rows(self.store.table("candidates").filter("eligible and offer_id <> 'none'")))

    def charges(self, customer_ids: pl.Series) -> pl.DataFrame:
        """customer_id, offer_id and charge_cents of all candidates of some customers."""
        mine, rows = pl.DataFrame({"customer_id": customer_ids.unique()}), self.store.table("candidates")
        text = "select customer_id, offer_id, charge_cents from rows semi join mine using (customer_id)"
        return fetch_frame(query(text, rows=rows, mine=mine))

    def decision_of(self, customer_id: str) -> pl.DataFrame:
        """DECISIONS of one customer: a row, none for who is not in the plan."""
        mine, rows = pl.DataFrame({"customer_id": [customer_id]}), self.store.table("decisions")
        return fetch_frame(query("select * from rows semi join mine using (customer_id)", rows=rows, mine=mine))

    def of(self, customer_id: str) -> pl.DataFrame:
        """PLANNED of one customer: a row per offer, none for who is not in the plan."""
        mine, rows = pl.DataFrame({"customer_id": [customer_id]}), self.store.table("candidates")
        return fetch_frame(query("select * from rows semi join mine using (customer_id)", rows=rows, mine=mine))

    @cached_property
    def targets(self) -> pl.DataFrame:
        """target and kind, each pair once: all that some candidate is an offer on."""
        rows = self.store.table("candidates").filter("target is not null").project("target, kind").distinct()
        return fetch_frame(rows).sort("target", "kind")

    @property
    def unmeasured(self) -> list[str]:
        """Ids of menu lines that are listed with an effect only assumed, and therefore closed."""
        rows = self.store.table("candidates").filter("why_not like 'its effect is only%'").project("menu_id").distinct()
        return fetch_frame(rows)["menu_id"].sort().to_list()

    @cached_property
    def chosen(self) -> pl.DataFrame:
        """The candidates that were decided for, in order of customer_id."""
        return self._kept("chosen")

    @cached_property
    def decisions(self) -> pl.DataFrame:
        """DECISIONS: a row per customer."""
        return self._kept("decisions")

    def decided(self, *columns: str) -> pl.DataFrame:
        """Some columns of DECISIONS alone: its lists are as long as the candidates."""
        return fetch_frame(self.store.table("decisions").project(", ".join(columns)))

    def held_out(self) -> pl.DataFrame:
        """DECISIONS of the customers who are held out."""
        return fetch_frame(self.store.table("decisions").filter("holdout"))

    def candidates_of(self, given: pl.DataFrame) -> pl.DataFrame:
        """The candidates of `given`, which has customer_id and offer_id."""
        sql = "select * from rows semi join given using (customer_id, offer_id)"
        return fetch_frame(query(sql, rows=self.store.table("candidates"), given=given))

    def records(self, rows: int) -> Iterator[pl.DataFrame]:
        """DECISIONS, so many rows at once."""
        for batch in self.store.table("decisions").to_arrow_reader(rows):
            yield pl.DataFrame(pl.from_arrow(batch))

    @cached_property
    def frontier(self) -> pl.DataFrame:
        """The columns FRONTIER of core/allocation/solver.py."""
        return self._kept("frontier")

    @property
    def offers(self) -> pl.DataFrame:
        """offer_id, menu_id, target, treated, share (of the treated), gain_cents and cost_cents of every offer that is
        given, most given first.
        """
        rows = self.chosen.group_by("offer_id", "menu_id", "target").agg(
            pl.len().alias("treated"),
            (pl.len() / self.chosen.height).alias("share"),
            pl.col("gain_cents", "cost_cents").sum(),
        )
        return rows.sort(["treated", "offer_id"], descending=[True, False])

    @property
    def lines(self) -> pl.DataFrame:
        """menu_id, treated, gain_cents and cost_cents of every menu line that is given."""
        sums = pl.col("treated", "gain_cents", "cost_cents").sum()
        return self.offers.group_by("menu_id").agg(sums).sort("menu_id")

    def _kept(self, name: str) -> pl.DataFrame:
        if self.maker is not None and PlanNote.load(self.store) != self.note:
            raise StepError(
                "plan_replaced",
                gettext_lazy("another plan was made in this work folder since; ask Shop.plan() for this one again"),
            )
        return self.store.frame(name)

    @property
    def curve(self) -> BudgetCurve:
        return BudgetCurve(self.frontier, self.note.budget_cents)

    @property
    def luck(self) -> Luck | None:
        """What of the plan's promise was luck; None where that was not, or could not be, told.

        Read anew each time: it is told after the plan was made, and of the plan that the folder holds then.
        """
        known = self.store.has_json("unchecked") and self.store.has("policies")
        known = known and PlanNote.load(self.store) == self.note
        return estimate_luck(self.store.frame("policies")) if known else None

    @property
    def summary(self) -> PlanSummary:
        """The plan's figures, each with one meaning. Read anew each time, as `luck` is."""
        luck, clean, note = self.luck, CleanTables(self.store), self.note
        drawn = LineTestNote.load(self.store) if note.draws and LineTestNote.has(self.store) else None
        found = HeadlineAssumptions.load(self.store) if luck and HeadlineAssumptions.has(self.store) else note
        return summarise(note, luck, found.assumptions, drawn, not (clean.has_events and clean.lacks_amounts))

    @property
    def why(self) -> list[str]:
        """Why nobody, or nearly nobody, gets an offer, or what is drawn, in sentences."""
        reason, currency = self.note.why, self.note.shop.currency
        if reason is None:
            return []
        if reason.code != "draws":
            return reason.sentences(currency)
        drawn = LineTestNote.load(self.store) if LineTestNote.has(self.store) else None
        return line_test_sentences(drawn, currency, self.note.menu) if drawn else []

    def figures(self) -> dict[str, Any]:
        """The plan in numbers, for answers and files: its summary, and what else its note holds, each figure once."""
        rest = self.note.model_dump(mode="json", exclude=SUMMARISED)
        return rest | self.summary.model_dump(mode="json")

    def __str__(self) -> str:
        return plan_text(self.note, self.summary, self.why)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.offers)

    def report(self, out: str | Path = "promolift-report") -> Path:
        """Write the plan's page, plan.csv and plan.parquet into a folder; the path of the page."""
        return self._maker().report(out)

    def release(self) -> str:
        """Freeze the plan with its words as a release that `promolift serve` can activate; its id."""
        return self._maker().release()

    def _maker(self) -> PlanMaker:
        if self.maker is None:
            raise StepError(
                "plan_read_only",
                gettext_lazy("this plan was read from its files; take it from Shop.plan() to go on with it"),
            )
        return self.maker

    def freeze(self, folder: Path) -> dict[str, str]:
        """Copy the tables a release serves from into `folder`, as they are; the SHA-256 of each by name."""
        for name in RELEASED_TABLES:
            shutil.copyfile(self.store.path(name), folder / f"{name}.parquet")
        return {name: sha256_of_file(folder / f"{name}.parquet") for name in RELEASED_TABLES}


def interpolate_frontier(frontier: pl.DataFrame, budget_cents: float, column: str = "gain_cents") -> float | None:
    """Interpolate a column of the frontier at a budget, linearly between its points; None outside them."""
    line = frontier.drop_nulls(["budget_cents", column]).sort("budget_cents", column)
    if line.is_empty() or not line["budget_cents"][0] <= budget_cents <= line["budget_cents"][-1]:
        return None
    return float(np.interp(budget_cents, line["budget_cents"].to_numpy(), line[column].to_numpy()))
