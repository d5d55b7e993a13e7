"""A trial's work folder in; what its columns mean and what was fitted, judged and planned out, typed and frozen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from promolift.currency import Currency
from promolift.effect.trial import Level
from promolift.results.base import Note
from promolift.settings import Settings
from promolift.store import Store
from promolift.words import share

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FITTED = ("trial_effects", "trial_balance", "trial_placebos")
JUDGED = ("trial_qini", "trial_curves", "trial_deciles", "trial_policies")
PLANNED = ("trial_plan", "trial_frontier")


@dataclass(frozen=True)
class Net:
    """What an outcome is worth: `margin_rate` of money, less `cost` where a customer was treated.

    Gains and policies are valued through this class and nowhere else. A cost cannot be taken off an outcome that is
    not money, which stays as it is. Legend: N customers, A arms (arm 0 is control).
    """

    money: bool
    margin_rate: float = 1.0
    cost: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether net is gross."""
        return self.margin_rate == 1 and self.cost == 0

    def before_cost(self, outcome_N: Floats) -> Floats:
        """Profit of each customer before what treating them cost: what models learn, since a cost is known."""
        return self.margin_rate * outcome_N

    def outcome(self, outcome_N: Floats, arm_N: Ints) -> Floats:
        """Profit of each customer, the cost of the treated taken off."""
        return np.asarray(self.before_cost(outcome_N) - self.cost * (arm_N > 0))

    def expected(self, profit_NA: Floats) -> Floats:
        """Profit expected under each arm, the cost of all arms but control taken off."""
        return np.asarray(profit_NA - self.cost * (np.arange(profit_NA.shape[1]) > 0))

    def effect(self, column: str) -> pl.Expr:
        """An effect in the unit of the file, less the cost of the one who was treated for it."""
        return self.margin_rate * pl.col(column) - self.cost

    def text(self, amount: Callable[[float], str] = "{:g}".format) -> str:
        """What is net, and of what; `amount` writes money."""
        if not self.money:
            return "before cost"
        paid = f"net of {amount(self.cost)} a customer treated" if self.cost else "no cost stated"
        return f"{paid}, margin {share(self.margin_rate)}"


class TrialSettings(Settings):
    """What the columns of a trial file mean.

    `treatment` says who got what and `control` which of its values is no treatment. `rates` are outcomes of 0 or 1 (or
    yes and no), `counts` whole numbers, `money` is an amount in `currency`; the first outcome is what customers are
    told apart by, and who is treated is decided by the money, if there is any. `planned`: the shares the lot was drawn
    with ("equal", or one for each arm: control first, then the others by name); left out, the trial was not drawn by
    lot and has to be adjusted. Where shares differ between groups, `strata` names the column of the groups and
    `planned` gives shares for each of its values. `features` were known before (left out: all other columns but those
    in `ignore`, which were not, or name the customer). `placebos` are outcomes that no treatment can have moved.
    `dose`: treatments are depths of a discount drawn by lot, control is 0; the last outcome is read as a curve along
    them. `margin_rate` of `money` is profit; `cost` of treating one customer, in money, is taken off every gain and
    policy; `budget` of the plan likewise in money (left out: half of treating everybody). `days` outcomes were watched.
    """

    name: str = "Trial"
    treatment: str
    control: str
    rates: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    money: str | None = None
    features: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    placebos: tuple[str, ...] = ()
    dose: bool = False
    planned: Literal["equal"] | tuple[float, ...] | dict[str, tuple[float, ...]] | None = None
    strata: str | None = None
    currency: Currency = "USD"
    days: int | None = Field(default=None, ge=1)
    margin_rate: float = Field(default=1.0, gt=0, le=1)
    cost: float = Field(default=0.0, ge=0)
    budget: float | None = Field(default=None, ge=0)
    seed: int = 0

    @model_validator(mode="after")
    def _something_to_judge(self) -> "TrialSettings":
        if not self.outcomes:
            raise ValueError("no outcome: name columns as rates, counts or money")
        twice = [name for name in self.outcomes if self.outcomes.count(name) > 1]
        if twice:
            raise ValueError(f"outcome {twice[0]!r} is named twice")
        if isinstance(self.planned, dict) != (self.strata is not None):
            raise ValueError("strata names the column whose values have planned shares of their own: give both")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        """All outcomes; the first tells customers apart."""
        return (*self.rates, *self.counts, *((self.money,) if self.money else ()))

    @property
    def deciding(self) -> str:
        """The outcome by which it is decided who is treated: money, or the first where none is."""
        return self.money or self.outcomes[0]

    @property
    def modelled(self) -> tuple[str, ...]:
        """Outcomes with a model of their own, the deciding one first."""
        return tuple(dict.fromkeys((self.deciding, self.outcomes[0])))

    def net(self, outcome: str) -> Net:
        """What the outcome is worth."""
        return Net(True, self.margin_rate, self.cost) if outcome == self.money else Net(False)


class _Part(Settings):
    """A part of a note; as in the note, NaN stands for what could not be known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


class ArmCheck(_Part):
    """One test of whether arms were assigned as stated; `meaning` says what it found."""

    name: str
    p: float
    passed: bool
    meaning: str


class HiddenCause(_Part):
    """How strong an unrecorded cause must be to explain an arm's effect away (see effect/sensitivity.py)."""

    arm: int
    odds: float
    e_value: float


class TrialFit(Note):
    """What `effect fit` found: who got what, the evidence level with its reasons, and what was known of customers.

    `counts` and `shares` of `customers` by arm, control first. `kept`: customers with a chance of every arm. `apart`:
    whether anything known differs between them. `learned`: rows that an outcome's models learned from, where not all.
    `largest_gap`: standard deviations between an arm and control, after weighting; above `much_gap` it would be much.
    """

    NAME: ClassVar[str] = "trial"
    path: str
    settings: TrialSettings
    arms: tuple[str, ...]
    counts: tuple[int, ...]
    shares: tuple[float, ...]
    customers: int
    level: Level
    reasons: tuple[str, ...]
    checks: tuple[ArmCheck, ...]
    trimmed: float
    largest_gap: float | None
    much_gap: float
    features: tuple[str, ...]
    doubts: tuple[str, ...]
    apart: bool
    kept: int
    learned: dict[str, int]
    hidden: tuple[HiddenCause, ...]


class Calibration(_Part):
    """Of so many `groups` of similar prediction, in how many it lay `inside` the interval of what was realised."""

    outcome: str
    arm: int
    groups: int
    inside: int


class TrialJudged(Note):
    """What `effect evaluate` found beside its tables; `samples` says in words which models learned from a part only."""

    NAME: ClassVar[str] = "trial_judged"
    level: Level
    learned: dict[str, int]
    samples: tuple[str, ...]
    calibration: tuple[Calibration, ...]


class TrialPlanned(Note):
    """The plan: amounts in money of the file, `gain` net of `cost`, with its 95 % interval.

    `bound`: what no plan within the budget can exceed; `price`: what the next unit of budget would add.
    """

    NAME: ClassVar[str] = "trial_planned"
    budget: float
    gain: float
    low: float
    high: float
    cost: float
    treated: int
    customers: int
    bound: float
    price: float
    level: Level
    explain: str


@dataclass(frozen=True)
class FittedTables:
    """Average effects, the balance of what was known, placebos; gain along the depth where treatments are depths."""

    effects: pl.DataFrame
    balance: pl.DataFrame
    placebos: pl.DataFrame
    dose: pl.DataFrame | None

    @classmethod
    def load(cls, store: Store) -> Self:
        """What the work folder holds. StepError, naming the verb, if nothing was fitted."""
        dose = store.frame("trial_dose") if store.has("trial_dose") else None
        effects, balance, placebos = (store.frame(name) for name in FITTED)
        return cls(effects, balance, placebos, dose)

    def keep(self, store: Store) -> None:
        """Write them into the work folder, in place of an earlier fit and all that was found of it."""
        forget(store)
        for name, frame in zip(FITTED, (self.effects, self.balance, self.placebos), strict=True):
            store.save(name, frame)
        if self.dose is not None:
            store.save("trial_dose", self.dose)


@dataclass(frozen=True)
class JudgedTables:
    """What was found on customers the models did not see; see steps/trial_judge.py for the columns."""

    qini: pl.DataFrame
    curves: pl.DataFrame
    deciles: pl.DataFrame
    policies: pl.DataFrame

    @classmethod
    def load(cls, store: Store) -> Self | None:
        """What the work folder holds; None where this fit was not judged."""
        return cls(*(store.frame(name) for name in JUDGED)) if all(map(store.has, JUDGED)) else None

    def keep(self, store: Store) -> None:
        """Write them into the work folder."""
        for name, frame in zip(JUDGED, (self.qini, self.curves, self.deciles, self.policies), strict=True):
            store.save(name, frame)


@dataclass(frozen=True)
class PlannedTables:
    """Who gets which treatment; gain and cost of every budget."""

    plan: pl.DataFrame
    frontier: pl.DataFrame

    @classmethod
    def load(cls, store: Store) -> Self | None:
        """What the work folder holds; None where nothing was planned with this fit."""
        return cls(*(store.frame(name) for name in PLANNED)) if all(map(store.has, PLANNED)) else None

    def keep(self, store: Store) -> None:
        """Write them into the work folder."""
        for name, frame in zip(PLANNED, (self.plan, self.frontier), strict=True):
            store.save(name, frame)


@dataclass(frozen=True)
class TrialTables:
    """A trial's tables; None where the verb has not run on this fit."""

    fitted: FittedTables
    judged: JudgedTables | None
    planned: PlannedTables | None

    @classmethod
    def load(cls, store: Store) -> Self:
        """All that there are. StepError, naming the verb, if nothing was fitted."""
        return cls(FittedTables.load(store), JudgedTables.load(store), PlannedTables.load(store))


@dataclass(frozen=True)
class TrialResults:
    """All that is known of a trial; `judged` and `planned` are None where their tables are."""

    fit: TrialFit
    judged: TrialJudged | None
    planned: TrialPlanned | None
    tables: TrialTables

    @classmethod
    def load(cls, store: Store) -> Self:
        """What the work folder holds. StepError, naming the verb, if nothing was fitted."""
        fit, tables = TrialFit.load(store), TrialTables.load(store)
        judged = TrialJudged.load(store) if tables.judged else None
        return cls(fit, judged, TrialPlanned.load(store) if tables.planned else None, tables)


def forget(store: Store) -> None:
    """Take away what was judged and planned of an earlier fit, which says nothing of the next one."""
    for name in ("trial_dose", *JUDGED, *PLANNED):
        store.remove(name)


def policy_names(arms: tuple[str, ...]) -> list[str]:
    """The fixed policies as they are told: nobody is treated, or everybody by one arm."""
    return [f"nobody (control {arms[0]})", *(f"everybody: {arm}" for arm in arms[1:])]
