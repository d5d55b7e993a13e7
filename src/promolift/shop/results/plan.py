"""What the plan step decided, kept in a work folder: every number once, and who gets which offer."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import polars as pl

from promolift.core.allocation.candidate_table import breaks
from promolift.core.allocation.fairness_limits import FairLimit
from promolift.core.allocation.settings import Limit
from promolift.core.customers.settings import ConsentSettings
from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.core.offers.menu import MenuItem
from promolift.foundation.errors import StepError
from promolift.foundation.evidence import Level
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.i18n.formatting import Cash, as_html, bracket, interval, money, pick, spoken
from promolift.foundation.i18n.translation import kept
from promolift.foundation.money import currency_digits
from promolift.foundation.settings import Settings
from promolift.foundation.sql import fetch
from promolift.foundation.sql import run as query
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note
from promolift.foundation.tables.schemas import DECISIONS, PLANNED
from promolift.shop.configuration.configuration import ShopSettings
from promolift.shop.results.group_names import group_words
from promolift.shop.results.work_folder.work_tables import Among

CURVE = "What the best plan earns with each budget, in minor units:"
FROZEN = ("candidates", "frontier")  # tables that a release serves from


class Assumption(Settings):
    """Something that nobody measured and on which the plan's gain stands.

    `value` is what was taken, `flips_at` the value at which the plan as it stands would earn nothing, None where no
    value would; both are shares. `text` says it in a sentence, `text_zh` in Chinese.
    """

    name: str
    value: float
    flips_at: float | None
    text: str
    text_zh: str = ""

    @property
    def slack(self) -> float | None:
        """How far from `value`, as a share of it, lies what would turn the plan; None where nothing would."""
        if self.flips_at is None:
            return None
        return abs(self.value - self.flips_at) / abs(self.value) if self.value else 0.0


def fragile_first(assumptions: Iterable[Assumption]) -> tuple[Assumption, ...]:
    """The assumptions, first the one that needs to be least wrong to turn the plan; last those that cannot."""
    return tuple(sorted(assumptions, key=lambda a: inf if a.slack is None else a.slack))


class HeadlineAssumptions(Note):
    """What must be believed for the plan's headline, from which luck is taken off, as `evaluate` found it."""

    NAME: ClassVar[str] = "believed"
    assumptions: tuple[Assumption, ...]


class Point(Settings):
    """The best plan at another budget, by the estimates that choose; `share` of what they promise for its own."""

    budget_cents: float
    gain_cents: float
    share: float | None


class RuleCost(Settings):
    """What a strategic rule costs: expected gain without it less with it. `given` offers are such, `able` customers can
    get one. `price` is the limit's: what one more of its share costs (0.01 of it one percentage point).
    """

    name: str
    rule: Literal["pin", "boost", "exclude", "at_least"]
    given: int
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
    def limits(self) -> tuple[FairLimit, ...]:
        return tuple(FairLimit(each.limit, each.group, each.people) for each in self.uses)

    def broken(self, chosen: pl.DataFrame) -> list[str]:
        """What the offers that were decided for break of it, a sentence each."""
        given = chosen.filter(pl.col("offer_id") != "none")
        found = [
            f"{each.limit.name}: {each.used:.2%} of all, {'at most' if each.over else 'at least'} "
            f"{each.limit.at_most if each.over else each.limit.at_least:.2%} are allowed"
            for each in breaks(given, [each.limit for each in self.uses])
        ]
        if self.excluded:
            names = pl.lit(list(self.excluded), pl.List(pl.String))
            barred = given.filter((pl.col("segments").list.set_intersection(names).list.len() > 0).fill_null(False))
            if barred.height:
                found.append(f"fairness.excluded: {barred.height} of the segments {', '.join(self.excluded)} get one")
        return found


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


class PlanNote(Note):
    """The plan in numbers; all but shares and `price` are minor units or customers.

    `gain_cents` is the expected profit after all costs, its interval (95 %) that of the response alone; `planned_cents`
    what the choice was made by, which under a rule of risk is less; `gap` how far it is from `bound_cents`, which no
    plan within budget and limits can pass. `price` is what one more cent of budget adds, `worth` the same with the
    limits that grow with it. `terms` are what the decisions were made by, and are served by.
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
    why: tuple[str, ...] = ()
    why_zh: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    terms: ReleaseTerms
    menu: tuple[MenuItem, ...]
    shop: ShopSettings
    consent: ConsentSettings

    @property
    def able(self) -> int:
        """Customers who may be given an offer."""
        return self.customers - self.held_out - self.barred

    @property
    def treated_share(self) -> float | None:
        return self.treated / self.able if self.able else None

    @property
    def spent_share(self) -> float | None:
        return self.cost_cents / self.budget_cents if self.budget_cents else None

    @property
    def next_cents(self) -> float:
        """What one more unit of money, such as a dollar, of budget adds, in minor units."""
        return self.worth * float(10 ** currency_digits(self.shop.currency))

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


class Headline(Settings):
    """What the plan is expected to earn after its cost: without luck where that is known, and then also what the
    estimates that chose it promise (`promised_cents`).
    """

    gain_cents: float
    low_cents: float | None
    high_cents: float | None
    promised_cents: float | None = None

    @property
    def luck_cents(self) -> float | None:
        """What luck in the choice takes off the promise; None where it is not known."""
        return None if self.promised_cents is None else self.promised_cents - self.gain_cents


def headline(plan: PlanNote, luck: Luck | None) -> Headline:
    """The one figure that the report, the console and the command line give for the plan.

    A trial, a plan with draws in it, or one for nobody has no part in the comparison of policies: it stands as it was
    made. Where gains were taken with caution, the plan is not the one compared, and only the share that was luck is
    taken off its own.
    """
    if luck is None or plan.drawn or plan.terms.explore or not plan.treated or luck.naive_cents <= 0:
        return Headline(gain_cents=plan.gain_cents, low_cents=plan.gain_low_cents, high_cents=plan.gain_high_cents)
    factor = plan.gain_cents / luck.naive_cents if plan.risk != "none" else 1.0
    return Headline(
        gain_cents=factor * luck.checked_cents, low_cents=factor * luck.low_cents, high_cents=factor * luck.high_cents,
        promised_cents=plan.gain_cents,
    )  # fmt: skip


def luck_in(policies: pl.DataFrame) -> Luck | None:
    """From `learn.compare`: what of the plan's promise was luck; None where there is but one estimate."""
    if "check" not in policies["valued_by"]:
        return None
    plan = policies.filter(pl.col("policy") == "plan")
    own, check = (plan.row(by_predicate=pl.col("valued_by") == by, named=True) for by in ("own", "check"))
    return Luck(
        naive_cents=own["expected_profit_cents"], checked_cents=check["expected_profit_cents"],
        low_cents=check["low"], high_cents=check["high"],
    )  # fmt: skip


def plan_text(plan: PlanNote, luck: Luck | None, believed: Iterable[Assumption]) -> str:
    """Who gets an offer, what it is expected to add net of its cost, what must be believed for that, and what next."""
    why = plan.why_zh if spoken() == "zh" else plan.why
    lines = [
        _head(plan, luck),
        *(rule_text(each, plan.shop.currency) for each in plan.strategic),
        *([fair_text(plan.fairness, plan.shop.currency)] if plan.fairness else []),
        *why,
        *(pick(each.text, each.text_zh or each.text) for each in believed),
    ]
    if plan.consent.default:
        lines.append(
            kept(
                "Consent: customers who said neither yes nor no may be written to, on the word of whoever set "
                "consent.default."
            )
        )
    return "\n".join(lines)


def rule_text(found: RuleCost, currency: str) -> str:
    """What a strategic rule did and costs, in a sentence."""
    cash, given = Cash(currency), f"{found.given:,}"
    cost, point = cash(found.cost_cents), cash(found.price / 100)
    text = pick(
        f"Rule {found.name} ({found.rule}): {given} such offers ({found.able:,} customers can get one); it costs "
        f"{cost} of expected gain.",
        f"规则{found.name}（{RULES_ZH[found.rule]}）：此类优惠{given}个（{found.able:,}位客户可得），少赚{cost}。",
    )
    if found.price:
        text += kept(f" One percentage point more would cost {point}.")
    return text


def fair_text(found: FairPlan, currency: str) -> str:
    """What limits of fairness ask and cost, in a sentence or two."""
    said = []
    if found.uses:
        text = kept(f"Fairness: {len(found.uses)} limits on groups' shares are kept.")
        if found.cost_cents is not None:
            text += kept(f" They cost {money(found.cost_cents, currency)} of expected gain.")
        said.append(text)
    dear = max(found.uses, key=lambda each: each.price, default=None)
    if dear is not None and dear.price > 0:
        point = money(dear.price, currency)
        said.append(
            kept(
                f"The dearest is that on {group_words(dear.group)}: one percentage point less strict would add {point}."
            )
        )
    if found.excluded:
        said.append(kept(f"No personal offer for: {', '.join(found.excluded)}."))
    return pick(" ", "").join(said)


RULES_ZH = {"pin": "必发", "boost": "优先", "exclude": "不发", "at_least": "最低占比"}


def _head(plan: PlanNote, luck: Luck | None) -> str:
    cash = Cash(plan.shop.currency)
    treated, customers, held, budget = plan.treated, plan.customers, plan.held_out, cash(plan.budget_cents)
    text = kept(f"{treated:,} of {customers:,} customers get an offer; {held:,} are held out. ")
    if plan.why and not plan.treated:
        return text + kept(f"The budget of {budget} is not touched.")
    head = headline(plan, luck)
    span = bracket(interval(head.low_cents, head.high_cents, cash))
    gain, spent = cash(head.gain_cents, sign=True), cash(plan.cost_cents)
    text += pick(
        f"Expected to add {gain}{span} after its cost of {spent}, of a budget of {budget}. Evidence: {plan.evidence}.",
        f"扣除花费{spent}（预算{budget}）后，预计增加利润{gain}{span}。证据：{kept(plan.evidence)}。",
    )
    if head.promised_cents is not None:
        promised = cash(head.promised_cents, sign=True)
        text += kept(f" By the estimates that chose it: {promised}; the rest was luck.")
    elif plan.treated and plan.evidence != "assumed":
        text += kept(" Luck in the choice is not taken off yet: `promolift evaluate` does.")
    if not plan.drawn:
        part = f"{plan.gap:.2%}"
        if part == "0.00%":
            text += kept(" No plan within the budget and the limits is expected to add more.")
        else:
            text += kept(f" At most {part} of the best possible plan is missing.")
    return text


class PlanMaker(Protocol):
    """Whoever made a plan and can go on with it: `promolift.Shop`."""

    def report(self, out: str | Path = ...) -> Path: ...

    def release(self) -> str:
        """Freeze it with its words; the release's id."""


@dataclass(frozen=True)
class Curve:
    """What the best plan earns at each budget: `frame` has the columns FRONTIER of core/allocation/solver.py;
    `own_cents` is the budget of the plan itself."""

    frame: pl.DataFrame
    own_cents: int

    def what_if(self, budget_cents: float) -> WhatIf | None:
        """The best plan at another budget, by straight lines between the curve's points; None beyond it."""
        names = ("gain_cents", "cost_cents", "price", "treated")
        found = {name: on_line(self.frame, budget_cents, name) for name in names}
        own = {name: on_line(self.frame, float(self.own_cents), name) for name in ("gain_cents", "treated")}
        if found["gain_cents"] is None:
            return None
        return WhatIf.model_validate(
            found | {"budget_cents": budget_cents, "own_budget_cents": float(self.own_cents)}
            | {f"own_{name}": value for name, value in own.items()}
        )  # fmt: skip

    def at(self, budget_cents: float) -> Point | None:
        """The best plan at another budget, by a straight line between the curve's points; None beyond it."""
        gain, own = (on_line(self.frame, x) for x in (budget_cents, float(self.own_cents)))
        if gain is None:
            return None
        return Point(budget_cents=budget_cents, gain_cents=gain, share=gain / own if own and own > 0 else None)

    def __str__(self) -> str:
        points = self.frame.select("budget_cents", "gain_cents", "treated").iter_rows()
        rows = (f"  {budget:,.0f} adds {gain:,.0f} by {treated:,} customers" for budget, gain, treated in points)
        return "\n".join((CURVE, *rows))

    def _repr_html_(self) -> str:
        return as_html(CURVE, self.frame)


class Tables(NamedTuple):
    """A plan's rows: see `Plan`; candidates and decisions may come in parts of whole customers."""

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
    def keep(store: Store, note: PlanNote, tables: Tables) -> "Plan":
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

    def open_to(self, among: Among) -> pl.DataFrame:
        """Candidates of some customers that may be given, those for nothing left out."""
        return fetch(among.rows(self.store.table("candidates").filter("eligible and offer_id <> 'none'")))

    def charges(self, customer_ids: pl.Series) -> pl.DataFrame:
        """customer_id, offer_id and charge_cents of all candidates of some customers."""
        mine, rows = pl.DataFrame({"customer_id": customer_ids.unique()}), self.store.table("candidates")
        text = "select customer_id, offer_id, charge_cents from rows semi join mine using (customer_id)"
        return fetch(query(text, rows=rows, mine=mine))

    def decision_of(self, customer_id: str) -> pl.DataFrame:
        """DECISIONS of one customer: a row, none for who is not in the plan."""
        mine, rows = pl.DataFrame({"customer_id": [customer_id]}), self.store.table("decisions")
        return fetch(query("select * from rows semi join mine using (customer_id)", rows=rows, mine=mine))

    def of(self, customer_id: str) -> pl.DataFrame:
        """PLANNED of one customer: a row per offer, none for who is not in the plan."""
        mine, rows = pl.DataFrame({"customer_id": [customer_id]}), self.store.table("candidates")
        return fetch(query("select * from rows semi join mine using (customer_id)", rows=rows, mine=mine))

    @cached_property
    def targets(self) -> pl.DataFrame:
        """target and kind, each pair once: all that some candidate is an offer on."""
        rows = self.store.table("candidates").filter("target is not null").project("target, kind").distinct()
        return fetch(rows).sort("target", "kind")

    @property
    def unmeasured(self) -> list[str]:
        """Ids of menu lines that are listed with an effect only assumed, and therefore closed."""
        rows = self.store.table("candidates").filter("why_not like 'its effect is only%'").project("menu_id").distinct()
        return fetch(rows)["menu_id"].sort().to_list()

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
        return fetch(self.store.table("decisions").project(", ".join(columns)))

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
                "plan_replaced", "another plan was made in this work folder since; ask Shop.plan() for this one again"
            )
        return self.store.frame(name)

    @property
    def curve(self) -> Curve:
        return Curve(self.frontier, self.note.budget_cents)

    @property
    def luck(self) -> Luck | None:
        """What of the plan's promise was luck; None where that was not, or could not be, told.

        Read anew each time: it is told after the plan was made, and of the plan that the folder holds then.
        """
        known = self.store.has_json("unchecked") and self.store.has("policies")
        known = known and PlanNote.load(self.store) == self.note
        return luck_in(self.store.frame("policies")) if known else None

    @property
    def assumptions(self) -> tuple[Assumption, ...]:
        """What must be believed for the headline, the most fragile first."""
        found = HeadlineAssumptions.load(self.store) if self.luck and HeadlineAssumptions.has(self.store) else self.note
        return fragile_first(found.assumptions)

    @property
    def headline(self) -> Headline:
        return headline(self.note, self.luck)

    def __str__(self) -> str:
        return plan_text(self.note, self.luck, self.assumptions)

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
                "plan_read_only", "this plan was read from its files; take it from Shop.plan() to go on with it"
            )
        return self.maker

    def freeze(self, folder: Path) -> dict[str, str]:
        """Copy the tables a release serves from into `folder`, as they are; the SHA-256 of each by name."""
        for name in FROZEN:
            shutil.copyfile(self.store.path(name), folder / f"{name}.parquet")
        return {name: sha256_of_file(folder / f"{name}.parquet") for name in FROZEN}


def on_line(frontier: pl.DataFrame, budget_cents: float, column: str = "gain_cents") -> float | None:
    """The frontier's gain, or another column, at a budget, between its points by a straight line; None outside them."""
    line = frontier.drop_nulls(["budget_cents", column]).sort("budget_cents", column)
    if line.is_empty() or not line["budget_cents"][0] <= budget_cents <= line["budget_cents"][-1]:
        return None
    return float(np.interp(budget_cents, line["budget_cents"].to_numpy(), line[column].to_numpy()))
