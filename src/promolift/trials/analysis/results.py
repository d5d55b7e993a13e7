"""What a trial's columns mean; what was fitted, judged and planned, typed and frozen: kept in and read from a folder.

Tables name arms as the file does. Legend: N customers, A arms (arm 0 is control), K treatments.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from promolift.core.effects.trial_arrays import Level
from promolift.foundation.i18n.formatting import as_html, ends, known, listed, share
from promolift.foundation.settings import Currency, Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
EFFECT = ("effect", "low", "high", "control_mean")
NET = ("net", "net_low", "net_high")
DOSE = "trial_dose"  # is there only where treatments are depths
MONEY = "{:g}".format  # an amount in the unit of the file


def word(value: object) -> object:
    """A value of a column as text: numbers as short as they can be written, so that 0.0 is 0; text stays."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value) if value is not None else value


def _several(value: Any) -> Any:
    """One name is a list of one."""
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]


@dataclass(frozen=True)
class Net:
    """What an outcome is worth: `margin_rate` of it, less what treating a customer cost.

    Gains and policies are valued through this class and nowhere else. `cost_NA`: what each customer costs in each arm,
    control 0; one row where all customers cost the same. `part_A`: the part of the outcome that each arm gives back, as
    a percentage off does: what it costs is known only by what is bought.
    """

    margin_rate: float
    cost_NA: Floats
    part_A: Floats

    @property
    def cost_NK(self) -> Floats:
        return self.cost_NA[:, 1:]

    @property
    def mean_A(self) -> Floats:
        """What the average customer costs in each arm."""
        return np.asarray(self.cost_NA.mean(axis=0))

    def of(self, rows: Ints) -> "Net":
        return self if len(self.cost_NA) == 1 else Net(self.margin_rate, self.cost_NA[rows], self.part_A)

    @property
    def gives_back(self) -> bool:
        """Whether an arm costs a part of what is bought."""
        return bool(self.part_A.any())

    def before_cost(self, outcome_N: Floats, arm_N: Ints) -> Floats:
        """Profit of each customer before what treating them cost: what models learn, since that cost is known. What an
        arm gives back is taken off, for it hangs on the outcome.
        """
        return np.asarray((self.margin_rate - self.part_A[arm_N]) * outcome_N)

    def outcome(self, outcome_N: Floats, arm_N: Ints) -> Floats:
        """Profit of each customer, the cost of the arm they were in taken off."""
        at_N = np.arange(len(arm_N)) if len(self.cost_NA) > 1 else 0
        return np.asarray(self.before_cost(outcome_N, arm_N) - self.cost_NA[at_N, arm_N])

    def spent(self, outcome_NA: Floats) -> Floats:
        """What treating each customer is expected to cost in each arm, of the outcome expected there (N x A)."""
        return np.asarray(self.cost_NA + self.part_A * outcome_NA)

    def expected(self, profit_NA: Floats) -> Floats:
        """Profit expected under each arm, its cost taken off."""
        return np.asarray(profit_NA - self.cost_NA)

    def effect(self, column: str, arms: tuple[str, ...]) -> pl.Expr:
        """An arm's effect in the unit of the file, less what treating the average customer costs in that arm."""
        cost = dict(zip(arms, self.mean_A.tolist(), strict=True))
        return self.margin_rate * pl.col(column) - pl.col("arm").replace_strict(cost, return_dtype=pl.Float64)


class TrialSettings(Settings):
    """What the columns of a trial mean.

    `treatment` says who got what and `control` which of its values is no treatment. `rates` are outcomes of 0 or 1 (or
    yes and no), `counts` whole numbers, `money` is an amount in `currency`; the first outcome is what customers are
    told apart by, and who is treated is decided by the money, if there is any. `planned`: the shares customers were
    randomised with ("equal", or one for each arm: control first, then the others by name); left out, the trial was not
    randomised and has to be adjusted. Where shares differ between groups, `strata` names the column of the groups and
    `planned` gives shares for each of its values. Where rows are no independent customers, `unit` names the column of
    what was drawn or repeats (market, shop, customer): its rows count together. With `time`, the column of the periods,
    units that were seen before their treatment are compared by difference in differences; `start` is the first period
    of it, or a column of 0 and 1, where `treatment` names the group and not when it was treated. `features` were
    known before (left out: all other columns but those in `ignore`, which were not, or name the customer). `placebos`
    are outcomes that no treatment can have moved.
    `dose`: treatments are randomised depths of a discount, control is 0; the last outcome is read as a curve along
    them. `margin_rate` of `money` is profit. `cost` of treating a customer, in money, is taken off every gain and
    policy: a number, a percentage of what they buy ("20%"), or the name of a column that says what treating this
    customer costs, which is then no feature; one for all treatments or one for each. `budget` of the plan likewise in
    money (left out: none, so that all are treated whom it pays for). `missing` outcomes: "leave_out" those customers,
    or "zero"; left out, a few that are spread evenly over the arms are left out, and more are refused. `days` outcomes
    were watched.
    """

    name: str = "Trial"
    treatment: str
    control: Annotated[str, BeforeValidator(word)]
    rates: Names = ()
    counts: Names = ()
    money: str | None = None
    features: Names = ()
    ignore: Names = ()
    placebos: Names = ()
    dose: bool = False
    planned: Literal["equal"] | tuple[float, ...] | dict[str, tuple[float, ...]] | None = None
    strata: str | None = None
    unit: str | None = None
    time: str | None = None
    start: Annotated[str | None, BeforeValidator(word)] = None
    currency: Currency = "USD"
    days: int | None = Field(default=None, ge=1)
    margin_rate: float = Field(default=1.0, gt=0, le=1)
    cost: float | str | dict[str, float | str] = 0.0
    missing: Literal["leave_out", "zero"] | None = None
    budget: float | None = Field(default=None, ge=0)
    seed: int = 0

    @field_validator("cost", mode="plain")
    @classmethod
    def _numbers_parts_or_columns(cls, given: Any) -> float | str | dict[str, float | str]:
        if isinstance(given, Mapping):
            return {str(word(name)): _cost(value) for name, value in given.items()}
        return _cost(given)

    @model_validator(mode="after")
    def _something_to_judge(self) -> "TrialSettings":
        if not self.outcomes:
            raise ValueError("no outcome: name columns as rates, counts or money")
        twice = [name for name in self.outcomes if self.outcomes.count(name) > 1]
        if twice:
            raise ValueError(f"outcome {twice[0]!r} is named twice")
        if self.time and not self.unit:
            raise ValueError("time names the periods in which a unit repeats: say unit= too")
        if isinstance(self.planned, dict) != (self.strata is not None):
            raise ValueError("strata names the column whose values have planned shares of their own: give both")
        for column in self.cost_columns:
            if column in (self.treatment, *self.outcomes):
                raise ValueError(f"cost: {column!r} is the treatment or an outcome; a cost is known before")
            if column in self.features:
                raise ValueError(f"cost: {column!r} says what treating costs, so it is no feature: take it out")
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        return (*self.rates, *self.counts, *((self.money,) if self.money else ()))

    @property
    def deciding(self) -> str:
        """The outcome by which it is decided who is treated: money, or the first where none is."""
        return self.money or self.outcomes[0]

    @property
    def modelled(self) -> tuple[str, ...]:
        """Outcomes with a model of their own, the deciding one first."""
        return tuple(dict.fromkeys((self.deciding, self.outcomes[0])))

    @property
    def costs(self) -> list[float | str]:
        return [*self.cost.values()] if isinstance(self.cost, dict) else [self.cost]

    @property
    def cost_columns(self) -> list[str]:
        """The columns that say what treating a customer costs."""
        return [each for each in self.costs if isinstance(each, str) and part_of(each) is None]

    def net(self, outcome: str, cost_NA: Floats, part_A: Floats) -> Net:
        """What the outcome is worth. A cost cannot be taken off an outcome that is not money, which stays as it is."""
        if outcome == self.money:
            return Net(self.margin_rate, cost_NA, part_A)
        return Net(1.0, np.zeros((1, cost_NA.shape[1])), np.zeros(cost_NA.shape[1]))

    def gross(self, outcome: str) -> bool:
        return outcome != self.money or (self.margin_rate == 1 and not any(self.costs))

    def cost_text(self, amount: Callable[[float], str] = MONEY) -> str:
        """What treating costs; `amount` writes money."""
        if isinstance(self.cost, dict):
            return f"{listed([f'{_said(cost, amount)} ({arm})' for arm, cost in self.cost.items()])} a customer treated"
        column = self.cost in self.cost_columns
        return f"{_said(self.cost, amount)} {'of each' if column else 'a'} customer treated"

    def basis(self, outcome: str, amount: Callable[[float], str] = MONEY) -> str:
        """What is net in the outcome, and of what."""
        if outcome != self.money:
            return "before cost"
        paid = f"net of {self.cost_text(amount)}" if any(self.costs) else "no cost stated"
        return f"{paid}, margin {share(self.margin_rate)}"


def part_of(cost: float | str) -> float | None:
    """The part of what is bought that a cost such as "20%" stands for; None for an amount or a column."""
    amount = _amount(cost[:-1]) if isinstance(cost, str) and cost.endswith("%") else None
    return None if amount is None else amount / 100


def _cost(given: Any) -> float | str:
    """A finite amount of 0 or more, also one that stands in a text; a percentage; or the name of a column."""
    amount, part = _amount(given), part_of(given)
    if amount is not None and amount >= 0:
        return amount
    if isinstance(given, str) and given and amount is None and (part is None or 0 <= part <= 1):
        return given
    raise ValueError(
        'give an amount of 0 or more, a percentage of what is bought ("20%"), one for each treatment, or the name of a '
        "column of amounts"
    )


def _said(cost: float | str, amount: Callable[[float], str]) -> str:
    """A cost in words."""
    if isinstance(cost, str):
        return cost if part_of(cost) is None else f"{cost.removesuffix('%')} % of what is bought"
    return amount(cost)


def _amount(value: Any) -> float | None:
    """A finite number, also one that stands in a text."""
    try:
        return None if isinstance(value, bool) else known(float(value))
    except (TypeError, ValueError):
        return None


class _Part(Settings):
    """A part of a note; as in the note, NaN stands for what could not be known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)


class ArmCheck(_Part):
    """One test of whether arms were assigned as stated; `meaning` says what it found."""

    name: str
    p: float
    passed: bool
    meaning: str


class TrialFit(Note):
    """What a fit found: who got what, the evidence level with its reasons, and what was known of customers.

    `path` of the file, empty where there is none. `counts` and `shares` of `customers` by arm, control first. `who` is
    the column that names customers. `kept`: customers with overlap. `apart`: whether anything known differs
    between them. `learned`: rows that an outcome's models learned from, where not all. `largest_gap`: standard
    deviations between an arm and control, after weighting; above `much_gap` it would be much. `units`: how rows repeat,
    in words; empty where every row is a customer. `hidden`: by arm, how strong an unrecorded cause must be to explain
    its effect away (see effect.outcomes.e_value).
    """

    NAME: ClassVar[str] = "trial"
    path: str
    settings: TrialSettings
    arms: tuple[str, ...]
    counts: tuple[int, ...]
    shares: tuple[float, ...]
    customers: int
    who: str | None
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
    hidden: dict[str, float]
    units: str = ""


class TrialJudged(Note):
    """What the judgement found beside its tables; `samples` says which models learned from a part only."""

    NAME: ClassVar[str] = "trial_judged"
    settings: TrialSettings
    level: Level
    learned: dict[str, int]
    samples: tuple[str, ...]


class TrialPlanned(Note):
    """The plan: amounts in money of the file, `gain` net of `cost`, with its 95 % interval; `basis` says net of what.

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
    basis: str
    explain: str


class _Kept:
    """A note and its tables, fields of a dataclass in the order in which `TABLES` names what they are kept as."""

    NOTE: ClassVar[type[Note]]
    TABLES: ClassVar[tuple[str, ...]]

    @classmethod
    def load(cls, store: Store) -> Self:
        note = cls.NOTE.load(store)
        tables = (store.frame(name) if name != DOSE or store.has(name) else None for name in cls.TABLES)
        return cls(note, *tables)  # type: ignore[call-arg]

    @classmethod
    def found(cls, store: Store) -> Self | None:
        """What the work folder holds; None where the verb has not run on this fit."""
        return cls.load(store) if all(map(store.has, cls.TABLES)) else None

    def keep(self, store: Store) -> Self:
        note, *tables = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        for name, frame in zip(self.TABLES, tables, strict=True):
            if frame is not None:
                store.save(name, frame)
        note.keep(store)
        return self


@dataclass(frozen=True)
class TrialEffects(_Kept):
    """What each arm adds to each outcome on average, every pair of arms, balance of what was known, placebos; `dose`
    is the gain along the depth where treatments are depths.

    `effects`: outcome, arm, effect, low, high in the unit of the file; net, net_low, net_high: what an effect on money
    is worth, its cost paid, null for other outcomes; control_mean, se, p, p_holm, n, level; where
    units repeat, `relative` to what had been without. `pairs`: outcome, arm (the better one), against, effect, low,
    high, net, net_low, net_high (95 %, all pairs of an outcome at once), p, p_holm, shown (whether it beats it, net).
    """

    NOTE = TrialFit
    TABLES = ("trial_effects", "trial_pairs", "trial_balance", "trial_placebos", "trial_dose")
    note: TrialFit
    effects: pl.DataFrame
    pairs: pl.DataFrame
    balance: pl.DataFrame
    placebos: pl.DataFrame
    dose: pl.DataFrame | None

    def keep(self, store: Store) -> Self:
        """Write it, in place of an earlier fit and all that was found of it, which says nothing of this one."""
        for name in (DOSE, *TrialJudgement.TABLES, *TrialPlan.TABLES):
            store.remove(name)
        return super().keep(store)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        note, settings = self.note, self.note.settings
        who = "Rows" if note.units else "Customers"
        yield f"{who}: {', '.join(f'{name} {n:,}' for name, n in zip(note.arms, note.counts, strict=True))}."
        yield f"Evidence: {note.level}: {'; '.join(note.reasons)}."
        if note.units:
            yield f"Units: {note.units}."
        for row in self.effects.iter_rows(named=True):
            outcome, rate = row["outcome"], row["outcome"] in settings.rates
            unit, of = (" points", " %") if rate else ("", "")
            effect, low, high, control = (f"{100 * row[k]:.2f}" if rate else f"{row[k]:.4g}" for k in EFFECT)
            part = f", {100 * row['relative']:+.2f} %" if note.units and row["relative"] is not None else ""
            yield f"  {outcome}: {row['arm']} adds {effect}{unit} ({low} to {high}) to {control}{of}{part}"
            if not settings.gross(outcome) and row["net"] is not None:
                worth, least, most = (f"{row[k]:.4g}" for k in NET)
                yield f"    {settings.basis(outcome)}: {worth} ({least} to {most})"
        yield from pair_findings(self.pairs, settings, note.arms[0], "{:.4g}".format) if len(note.arms) > 2 else ()
        for name, rows in note.learned.items():
            yield (
                f"Note: the file is large, so who gains more in {name} was learned from {rows:,} of {note.kept:,} "
                "customers, drawn by hash; the average and the choice between models use all."
            )
        more = f" and {len(note.features) - 12} more" if len(note.features) > 12 else ""
        shown = f"{', '.join(note.features[:12])}{more}" if note.apart else "nothing that differs"
        if not note.units:
            yield f"Taken as known before the treatment: {shown}."
        yield from (f"Note: {doubt}." for doubt in note.doubts)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.effects)


def pair_findings(
    pairs: pl.DataFrame, settings: TrialSettings, control: str, say: Callable[[float], str]
) -> Iterator[str]:
    """Of the deciding outcome: the best arm and its runner-up, and which treatment beats which."""
    mine = pairs.filter(pl.col("outcome") == settings.deciding).to_dicts()
    wins = Counter(pair["arm"] for pair in mine)
    first, second = (sorted({p[key] for p in mine for key in ("arm", "against")}, key=lambda arm: -wins[arm]))[:2]
    basis = (
        "all pairs at once"
        if settings.gross(settings.deciding)
        else f"{settings.basis(settings.deciding)}, all pairs at once"
    )
    yield f"Best by {settings.deciding}: {first}, then {second} ({basis}):"
    for pair in sorted(mine, key=lambda pair: (-wins[pair["arm"]], -wins[pair["against"]])):
        keys = EFFECT[:3] if pair["net"] is None else NET
        by, low, high = (say(pair[key]) for key in keys)
        verb = "beats" if pair["shown"] else "is not shown to beat"
        yield f"  {pair['arm']} {verb} {pair['against']}: by {by} ({low} to {high})"


@dataclass(frozen=True)
class TrialJudgement(_Kept):
    """What was found on customers that the models did not see; trials/analysis/evaluation.py says how.

    `qini`: outcome, arm, figure, by, value, low, high, n. `curves`: points of both orders to treat customers in.
    `deciles`: predicted and realised gains by deciles. `policies`: what nobody, everybody by each treatment and the
    recommended policy are worth, net of cost; the comparisons are paired.
    """

    NOTE = TrialJudged
    TABLES = ("trial_qini", "trial_curves", "trial_deciles", "trial_policies")
    note: TrialJudged
    qini: pl.DataFrame
    curves: pl.DataFrame
    deciles: pl.DataFrame
    policies: pl.DataFrame

    @property
    def calibration(self) -> pl.DataFrame:
        """outcome, arm, groups of similar prediction, and in how many of them it lay inside the realised interval."""
        each = self.deciles.group_by("outcome", "arm", maintain_order=True)
        return each.agg(groups=pl.len().cast(pl.Int64), inside=pl.col("inside").sum().cast(pl.Int64))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        settings = self.note.settings
        yield "Judged on customers the models did not see (two halves):"
        for row in self.qini.iter_rows(named=True):
            said = f"{row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
            yield f"  {row['outcome']}, {row['arm']}: {row['figure']} by {row['by']} {said}"
        for outcome in settings.modelled:
            rows = self.policies.filter(pl.col("outcome") == outcome)
            yield f"{outcome} per customer under each policy, {settings.basis(outcome)}:"
            for row in rows.iter_rows(named=True):
                treats = f" (treats {share(row['treated'])})" if row["policy"] == "recommended" else ""
                yield f"  {row['policy']}{treats}: {row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
            yield f"  {policy_finding(rows, settings, '{:.4g}'.format)}"
        yield from (f"Note: {each}." for each in self.note.samples)

    def _repr_html_(self) -> str:
        return as_html(str(self), self.policies)


def policy_finding(rows: pl.DataFrame, settings: TrialSettings, say: Callable[[float], str]) -> str:
    """Whether the recommended policy beats the best of nobody and everybody; `rows` are those of one outcome."""
    ours = rows.row(-1, named=True)
    best, treats = ours["best_fixed"], f"treats {share(ours['treated'])} of customers"
    lead = f"{say(ours['lead'])} a customer ({say(ours['lead_low'])} to {say(ours['lead_high'])})"
    if ours["outcome"] != settings.deciding:
        basis = f"Before cost, so nothing is recommended by it: {settings.deciding} decides."
        return f"{basis} The policy recommended there {treats}; against {best}: {lead}."
    if ours["moved"] == 0:
        return f"Recommended: {best}; no group proved better off otherwise."
    if ours["lead_low"] > 0:
        return f"The recommended policy {treats} and beats {best} by {lead}."
    return f"The recommended policy {treats}; it was not shown to beat {best}: {lead}."


@dataclass(frozen=True)
class TrialPlan(_Kept):
    """Who gets which treatment within the budget, and the gain and cost of every other budget.

    `frame` has a row for each customer treated: the column that names customers, if there is one, row (from 1),
    treatment, gain (net of cost), low, high, cost, evidence. `plan["treatment"]` is one of its columns.
    """

    NOTE = TrialPlanned
    TABLES = ("trial_plan", "trial_frontier")
    note: TrialPlanned
    frame: pl.DataFrame
    frontier: pl.DataFrame

    def __getitem__(self, column: str) -> pl.Series:
        return self.frame[column]

    def __str__(self) -> str:
        note, span = self.note, ends(self.note.low, self.note.high, "{:,.2f}".format)
        by = ", ".join(f"{name} {n:,}" for name, n in self.frame["treatment"].value_counts().sort("treatment").rows())
        sure = f"95 % interval {span}, " if span else ""
        return (
            f"Treated: {by or 'nobody'}. Expected gain {note.gain:,.2f} ({sure}{note.level}), {note.basis}.\n"
            f"{note.explain}"
        )

    def _repr_html_(self) -> str:
        return as_html(str(self), self.frame)


@dataclass(frozen=True)
class TrialResults:
    """All that is known of a trial; None where the verb has not run on this fit."""

    fitted: TrialEffects
    judged: TrialJudgement | None
    planned: TrialPlan | None

    @classmethod
    def load(cls, store: Store) -> Self:
        return cls(TrialEffects.load(store), TrialJudgement.found(store), TrialPlan.found(store))


def policy_names(arms: tuple[str, ...]) -> list[str]:
    """The fixed policies as they are told: nobody is treated, or everybody by one arm."""
    return [f"nobody (control {arms[0]})", *(f"everybody: {arm}" for arm in arms[1:])]
