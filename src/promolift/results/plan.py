"""What the plan step decided, kept in a work folder: every number once, and who gets which offer."""

import shutil
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import polars as pl

from promolift.config import ShopSettings
from promolift.currency import currency_digits
from promolift.deliver import ReleaseTerms
from promolift.hashing import sha256_of_file
from promolift.offer import MenuItem
from promolift.privacy import ConsentSettings
from promolift.results.base import Note
from promolift.settings import Settings
from promolift.store import Store
from promolift.tables import DECISIONS, PLANNED

Level = Literal["randomised", "adjusted", "assumed"]
INTERVAL_PERCENT = 95  # coverage of every interval that is kept or told
FROZEN = ("candidates", "frontier")  # tables that a release serves from
FRONTIER = {
    "budget_cents": pl.Float64, "gain_cents": pl.Float64, "cost_cents": pl.Float64, "price": pl.Float64,
    "treated": pl.Int64, "bound_cents": pl.Float64,
}  # fmt: skip


class Assumption(Settings):
    """Something that nobody measured and on which the plan's gain stands.

    `value` is what was taken, `flips_at` the value at which the plan as it stands would earn nothing, None where no
    value would; both are shares. `text` says it in a sentence.
    """

    name: str
    value: float
    flips_at: float | None
    text: str

    @property
    def slack(self) -> float | None:
        """How far from `value`, as a share of it, lies what would turn the plan; None where nothing would."""
        if self.flips_at is None:
            return None
        return abs(self.value - self.flips_at) / abs(self.value) if self.value else 0.0


class Point(Settings):
    """The best plan at another budget, by the estimates that choose; `share` of what they promise for its own."""

    budget_cents: float
    gain_cents: float
    share: float | None


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
    risk: Literal["none", "lower", "shrink"] = "none"
    explain: str
    limits: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
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
        """Of those who may be given an offer, the share that gets one."""
        return self.treated / self.able if self.able else None

    @property
    def spent_share(self) -> float | None:
        """Of the budget, the share that is expected to be spent."""
        return self.cost_cents / self.budget_cents if self.budget_cents else None

    @property
    def next_cents(self) -> float:
        """What one more unit of money, such as a dollar, of budget adds, in minor units."""
        return self.worth * float(10 ** currency_digits(self.shop.currency))

    @property
    def fragile_first(self) -> tuple[Assumption, ...]:
        """The assumptions, first the one that needs to be least wrong to turn the plan; last those that cannot."""
        return tuple(sorted(self.assumptions, key=lambda a: inf if a.slack is None else a.slack))

    @property
    def drawn(self) -> bool:
        """Whether it is a trial: offers drawn by a hash, whatever they are expected to earn."""
        return self.terms.policy_id == "trial"

    @property
    def missing_cents(self) -> float:
        """What the best possible plan could gain beyond this one, at most."""
        return max(self.bound_cents - self.planned_cents, 0.0)


class Tables(NamedTuple):
    """A plan's rows: see `Plan`."""

    candidates: pl.DataFrame
    chosen: pl.DataFrame
    decisions: pl.DataFrame
    frontier: pl.DataFrame


@dataclass(frozen=True)
class Plan:
    """The one result that is served, told and learned from. Tables are read when they are asked for.

    `candidates` (PLANNED) holds gain, cost, charge, probability and reason of every offer; `chosen` are the candidates
    that were decided for, `decisions` (DECISIONS) everybody's record, `frontier` the best plan at each budget.
    """

    store: Store
    note: PlanNote

    @staticmethod
    def keep(store: Store, note: PlanNote, tables: Tables) -> "Plan":
        """Write a plan into the work folder, in place of the one before; its note last, so that a half-written plan
        cannot be read."""
        for name in (note.NAME, "offers"):  # the printed offers are those of the plan before
            store.remove_json(name)
        store.save("candidates", PLANNED.conform(tables.candidates))
        store.save("chosen", PLANNED.conform(tables.chosen))
        store.save("decisions", DECISIONS.conform(tables.decisions))
        store.save("frontier", tables.frontier)
        return Plan(store, note.keep(store))

    @classmethod
    def load(cls, store: Store) -> Self:
        """The plan of this work folder. StepError, naming the verb, if there is none or another version made it."""
        return cls(store, PlanNote.load(store))

    @cached_property
    def candidates(self) -> pl.DataFrame:
        """PLANNED: a row per customer and offer."""
        return self.store.frame("candidates")

    @cached_property
    def chosen(self) -> pl.DataFrame:
        """The candidates that were decided for, in order of customer_id."""
        return self.store.frame("chosen")

    @cached_property
    def decisions(self) -> pl.DataFrame:
        """DECISIONS: a row per customer."""
        return self.store.frame("decisions")

    @cached_property
    def frontier(self) -> pl.DataFrame:
        """Columns FRONTIER."""
        return self.store.frame("frontier")

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

    def at(self, budget_cents: float) -> Point | None:
        """The best plan at another budget: on the frontier, by a straight line between its points; None beyond it."""
        gain, own = (on_line(self.frontier, x) for x in (budget_cents, float(self.note.budget_cents)))
        if gain is None:
            return None
        return Point(budget_cents=budget_cents, gain_cents=gain, share=gain / own if own and own > 0 else None)

    def freeze(self, folder: Path) -> dict[str, str]:
        """Copy the tables a release serves from into `folder`, as they are; the SHA-256 of each by name."""
        for name in FROZEN:
            shutil.copyfile(self.store.path(name), folder / f"{name}.parquet")
        return {name: sha256_of_file(folder / f"{name}.parquet") for name in FROZEN}


def on_line(frontier: pl.DataFrame, budget_cents: float) -> float | None:
    """The frontier's gain at a budget, between its points by a straight line; None outside them."""
    line = frontier.drop_nulls(["budget_cents", "gain_cents"]).sort("budget_cents", "gain_cents")
    if line.is_empty() or not line["budget_cents"][0] <= budget_cents <= line["budget_cents"][-1]:
        return None
    return float(np.interp(budget_cents, line["budget_cents"].to_numpy(), line["gain_cents"].to_numpy()))
