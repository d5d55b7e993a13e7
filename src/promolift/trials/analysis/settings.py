"""Settings of a trial (arms, outcomes, costs, columns), and the profit formula that they define."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, field_validator, model_validator

from promolift.foundation.i18n.formatting import finite_or_none, percent
from promolift.foundation.i18n.lazy_message import AND, COMMA, LazyMessage, gettext_lazy, join_messages
from promolift.foundation.money import Currency
from promolift.foundation.settings import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DEFAULT_MONEY_FORMAT = "{:g}".format  # an amount in the unit of the file


def value_text(value: object) -> object:
    """Return a value of a column as text. Numbers are as short as possible, so that 0.0 is 0."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value) if value is not None else value


def _several(value: Any) -> Any:
    """One name is a list of one."""
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_several)]


@dataclass(frozen=True)
class ProfitFormula:
    """The profit of an outcome: `margin_rate` of it, less the cost of treating the customer.

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
        """The average cost per customer in each arm."""
        return np.asarray(self.cost_NA.mean(axis=0))

    def subset(self, rows: Ints) -> "ProfitFormula":
        return self if len(self.cost_NA) == 1 else ProfitFormula(self.margin_rate, self.cost_NA[rows], self.part_A)

    @property
    def has_percentage_cost(self) -> bool:
        """Whether the cost of an arm is a percentage of the purchase."""
        return bool(self.part_A.any())

    def profit_before_cost(self, outcome_N: Floats, arm_N: Ints) -> Floats:
        """Return each customer's profit before the known cost of treatment, which is what models learn. A percentage
        cost is subtracted, since it depends on the outcome.
        """
        return np.asarray((self.margin_rate - self.part_A[arm_N]) * outcome_N)

    def profit(self, outcome_N: Floats, arm_N: Ints) -> Floats:
        """Return each customer's profit after the cost of the arm they were in."""
        at_N = np.arange(len(arm_N)) if len(self.cost_NA) > 1 else 0
        return np.asarray(self.profit_before_cost(outcome_N, arm_N) - self.cost_NA[at_N, arm_N])

    def expected_cost(self, outcome_NA: Floats) -> Floats:
        """Return the expected cost of each customer in each arm, given the outcome expected there (N x A)."""
        return np.asarray(self.cost_NA + self.part_A * outcome_NA)

    def expected_profit(self, profit_NA: Floats) -> Floats:
        """Return the expected profit under each arm, after its cost."""
        return np.asarray(profit_NA - self.cost_NA)

    def net_effect(self, column: str, arms: tuple[str, ...]) -> pl.Expr:
        """Return an arm's effect in the unit of the file, less the average cost of treating a customer in that arm."""
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
    control: Annotated[str, BeforeValidator(value_text)]
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
    start: Annotated[str | None, BeforeValidator(value_text)] = None
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
            return {str(value_text(name)): _cost(value) for name, value in given.items()}
        return _cost(given)

    @model_validator(mode="after")
    def _something_to_judge(self) -> "TrialSettings":
        if not self.outcomes:
            raise ValueError(gettext_lazy("no outcome: name columns as rates, counts or money"))
        twice = [name for name in self.outcomes if self.outcomes.count(name) > 1]
        if twice:
            raise ValueError(gettext_lazy("outcome {twice} is named twice", twice=repr(twice[0])))
        if self.time and not self.unit:
            raise ValueError(gettext_lazy("time names the periods in which a unit repeats: say unit= too"))
        if isinstance(self.planned, dict) != (self.strata is not None):
            raise ValueError(
                gettext_lazy("strata names the column whose values have planned shares of their own: give both")
            )
        for column in self.cost_columns:
            if column in (self.treatment, *self.outcomes):
                raise ValueError(
                    gettext_lazy(
                        "cost: {column} is the treatment or an outcome; a cost is known before", column=repr(column)
                    )
                )
            if column in self.features:
                raise ValueError(
                    gettext_lazy(
                        "cost: {column} says what treating costs, so it is no feature: take it out", column=repr(column)
                    )
                )
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        return (*self.rates, *self.counts, *((self.money,) if self.money else ()))

    @property
    def deciding_outcome(self) -> str:
        """The outcome by which it is decided who is treated: money, or the first where none is."""
        return self.money or self.outcomes[0]

    @property
    def modelled_outcomes(self) -> tuple[str, ...]:
        """Outcomes with a model of their own, the deciding one first."""
        return tuple(dict.fromkeys((self.deciding_outcome, self.outcomes[0])))

    @property
    def costs(self) -> list[float | str]:
        return [*self.cost.values()] if isinstance(self.cost, dict) else [self.cost]

    @property
    def cost_columns(self) -> list[str]:
        """The columns that say what treating a customer costs."""
        return [each for each in self.costs if isinstance(each, str) and percentage_cost(each) is None]

    def net(self, outcome: str, cost_NA: Floats, part_A: Floats) -> ProfitFormula:
        """What the outcome is worth. A cost cannot be taken off an outcome that is not money, which stays as it is."""
        if outcome == self.money:
            return ProfitFormula(self.margin_rate, cost_NA, part_A)
        return ProfitFormula(1.0, np.zeros((1, cost_NA.shape[1])), np.zeros(cost_NA.shape[1]))

    def gross(self, outcome: str) -> bool:
        return outcome != self.money or (self.margin_rate == 1 and not any(self.costs))

    def cost_text(self, amount: Callable[[float], str] = DEFAULT_MONEY_FORMAT) -> LazyMessage:
        """What treating costs; `amount` writes money."""
        if isinstance(self.cost, dict):
            costs = [
                gettext_lazy("{cost} ({arm})", cost=_said(cost, amount), arm=arm) for arm, cost in self.cost.items()
            ]
            *others, last = costs
            listed = join_messages(AND, join_messages(COMMA, *others), last) if others else last
            return gettext_lazy("{cost} a customer treated", cost=listed)
        if self.cost in self.cost_columns:
            return gettext_lazy("{cost} of each customer treated", cost=_said(self.cost, amount))
        return gettext_lazy("{cost} a customer treated", cost=_said(self.cost, amount))

    def basis(self, outcome: str, amount: Callable[[float], str] = DEFAULT_MONEY_FORMAT) -> LazyMessage:
        """What is net in the outcome, and of what."""
        if outcome != self.money:
            return gettext_lazy("before cost")
        margin = percent(self.margin_rate)
        if not any(self.costs):
            return gettext_lazy("no cost stated, margin {margin}", margin=margin)
        return gettext_lazy("net of {cost}, margin {margin}", cost=self.cost_text(amount), margin=margin)


def percentage_cost(cost: float | str) -> float | None:
    """Return the fraction of the purchase that a cost such as "20%" stands for; None for an amount or a column."""
    amount = _amount(cost[:-1]) if isinstance(cost, str) and cost.endswith("%") else None
    return None if amount is None else amount / 100


def _cost(given: Any) -> float | str:
    """A finite amount of 0 or more, also one that stands in a text; a percentage; or the name of a column."""
    amount, part = _amount(given), percentage_cost(given)
    if amount is not None and amount >= 0:
        return amount
    if isinstance(given, str) and given and amount is None and (part is None or 0 <= part <= 1):
        return given
    raise ValueError(
        gettext_lazy(
            'give an amount of 0 or more, a percentage of what is bought ("20%"), one for each '
            "treatment, or the name of a column of amounts"
        )
    )


def _said(cost: float | str, amount: Callable[[float], str]) -> str:
    """A cost in words."""
    if isinstance(cost, str):
        if percentage_cost(cost) is None:
            return cost
        return gettext_lazy("{percent} % of what is bought", percent=cost.removesuffix("%"))
    return amount(cost)


def _amount(value: Any) -> float | None:
    """A finite number, also one that stands in a text."""
    try:
        return None if isinstance(value, bool) else finite_or_none(float(value))
    except (TypeError, ValueError):
        return None
