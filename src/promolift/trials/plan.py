"""A trial's customers, a model of what each treatment adds and a budget in; who gets which treatment out.

Legend: N customers, K treatments, M customers treated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate
from promolift.effect.core import EffectModel
from promolift.effect.linear import basis_of
from promolift.effect.policy import TargetingRule
from promolift.effect.trial import Features
from promolift.errors import StepError
from promolift.progress import Tell
from promolift.results.trial import TrialPlan, TrialPlanned, TrialSettings
from promolift.tables import Z95
from promolift.trials.read import TrialData
from promolift.words import ends

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MORE = 2.8  # standard errors that a gain must be worth to be shown with 80 % power


class WithinBudget(NamedTuple):
    """A plan within a budget, the gains it was made by, and whether its customers had to be drawn at random."""

    allocation: allocate.Allocation
    gain_NK: Floats
    at_random: bool


@dataclass(frozen=True)
class TreatmentChoice:
    """Net gain and cost of each treatment for each customer, by the rule (`gain_NK`) and with all alike (`same_NK`);
    the arm recommended to them without a budget (0: none). What plans is what is valued: both are made here.
    """

    rule: TargetingRule
    gain_NK: Floats
    same_NK: Floats
    cost_NK: Floats
    wanted_N: Ints

    @staticmethod
    def of(model: EffectModel, features: Features, cost_NK: Floats, spent_NK: Floats) -> "TreatmentChoice":
        """By a model of gains: `cost_NK` is taken off them, `spent_NK` is what counts against a budget."""
        gain_NK = model.worth(features, cost_NK)
        same_NK, wide_NK = (
            np.array(np.broadcast_to(each, gain_NK.shape))
            for each in (model.average.gain_K + model.cost_K - cost_NK, spent_NK)
        )
        return TreatmentChoice(model.rule, gain_NK, same_NK, wide_NK, model.policy(features, cost_NK))

    @property
    def whole(self) -> float:
        """What the policy costs without a budget."""
        treated = np.flatnonzero(self.wanted_N > 0)
        return float(self.cost_NK[treated, self.wanted_N[treated] - 1].sum())

    @property
    def open_NK(self) -> Floats:
        """Gains of the treatments that a budget may be spent on: without a ranking, of the best arm alone."""
        return self.gain_NK if self.rule.ranks else self._only(np.full(len(self.gain_NK), self.rule.best_arm))

    def _only(self, arm_N: Ints, least: float = -np.inf) -> Floats:
        """Gains, with all alike or by the rule that is followed, of one arm for each customer."""
        gain_NK = self.gain_NK if self.rule.follows else self.same_NK
        return np.where(arm_N[:, None] == np.arange(1, gain_NK.shape[1] + 1), np.maximum(gain_NK, least), np.nan)

    def within(self, budget: float, seed: int) -> WithinBudget:
        """The policy itself where the budget pays for it; else the first of the ranking, if treating so many of them
        earned more than as many drawn at random; else customers drawn at random.
        """
        if self.wanted_N.any() and budget >= self.whole * (1 - 1e-12):
            least = 1e-12 * max(float(np.abs(self.gain_NK).max(initial=0)), 1.0)  # a gain is no reason to leave any out
            wanted_NK = self._only(self.wanted_N, least)
            return WithinBudget(allocate.solve(wanted_NK, self.cost_NK, budget, seed=seed), wanted_NK, False)
        found = allocate.solve(self.open_NK, self.cost_NK, budget, seed=seed)
        treated = float(np.mean(found.choice_N >= 0))
        if not self.rule.ranks or treated == 0 or self.rule.leads(treated):
            return WithinBudget(found, self.open_NK, treated > 0 and not self.rule.ranks)
        same_NK = np.where(np.arange(1, self.gain_NK.shape[1] + 1) == self.rule.best_arm, self.same_NK, np.nan)
        return WithinBudget(allocate.solve(same_NK, self.cost_NK, budget, seed=seed), same_NK, True)


def plan(
    data: TrialData, models: Mapping[str, EffectModel], budget: float | None, money_NA: Floats | None, tell: Tell
) -> TrialPlan:
    """The recommended policy on money, or within a budget the best plan of its treatments; the curve of other budgets.

    Left out, the budget is that of the settings, else none: all are treated whom it pays for. Without a treatment that
    was shown to gain what it costs that is nobody. `money_NA`: the money expected in each arm, where an arm costs a
    part of it. Raises StepError where no outcome is money: a plan needs to know what a gain is worth.
    """
    settings = data.settings
    if settings.money is None:
        raise StepError("no outcome is money, so a plan cannot weigh gains against costs; name one with money")
    tell("plan", 0.2, "what each treatment adds")
    net, model = data.net(settings.money), models[settings.money]
    predicted = model.predict(data.features, net.cost_NK)
    spent_NK = net.cost_NK if money_NA is None else net.spent(money_NA)[:, 1:]
    offered = TreatmentChoice.of(model, data.features, net.cost_NK, spent_NK)
    budget = settings.budget if budget is None else budget
    budget = offered.whole if budget is None else budget
    found = offered.within(budget, settings.seed)
    tell("plan", 0.7, "other budgets")
    allocation = found.allocation
    frontier = allocate.trace(offered.open_NK, offered.cost_NK, seed=settings.seed)
    rows_M = np.flatnonzero(allocation.choice_N >= 0)
    slot_M = allocation.choice_N[rows_M].astype(np.int64)
    gain, reach = found.gain_NK[rows_M, slot_M], Z95 * predicted.se_NK[rows_M, slot_M]
    frame = pl.DataFrame(
        {
            "treatment": np.array(data.arms)[slot_M + 1], "gain": gain, "low": gain - reach, "high": gain + reach,
            "cost": offered.cost_NK[rows_M, slot_M],
            "evidence": pl.Series([predicted.level] * len(rows_M), dtype=pl.String),
        }
    )  # fmt: skip
    who = data.who.alias("customer") if data.who.name in frame.columns else data.who
    frame = frame.insert_column(0, who[rows_M])
    error = Z95 * _error(data, net.before_cost(data.outcomes[settings.money], data.arm_N), rows_M, slot_M)
    total = float(gain.sum())
    note = TrialPlanned(
        budget=budget, gain=total, low=total - error, high=total + error, cost=allocation.cost,
        treated=len(rows_M), customers=len(offered.wanted_N), bound=max(allocation.bound, total),
        price=allocation.price,
        level=predicted.level, basis=settings.basis(settings.money),
        explain=_explained(found, model, data, settings),
    )  # fmt: skip
    tell("plan", 1.0, "done")
    return TrialPlan(note, frame, frontier)


def _explained(found: WithinBudget, model: EffectModel, data: TrialData, settings: TrialSettings) -> str:
    if not model.rule.ranks and not model.best_arm:
        return _nobody(model, data.arms, settings)
    text = found.allocation.explain()
    if not found.at_random:
        return text
    return (
        f"{text} Who is treated was drawn at random: no ranking of customers was shown to earn more than giving "
        f"{data.arms[model.best_arm]} to as many drawn at random."
    )


def _nobody(model: EffectModel, arms: tuple[str, ...], settings: TrialSettings) -> str:
    """Why nobody is treated, and how large a trial would tell."""
    gain_K, se_K = model.average.gain_K, model.average.se_K
    best = int((gain_K / np.maximum(se_K, 1e-12)).argmax())
    shown = (
        f"No treatment is shown to add more than it costs ({settings.basis(settings.deciding)}), so nobody is treated"
    )
    span = ends(gain_K[best] - Z95 * se_K[best], gain_K[best] + Z95 * se_K[best], "{:.4g}".format)
    text = f"{shown}. Nearest is {arms[best + 1]}: {gain_K[best]:.4g} a customer ({span})"
    if gain_K[best] <= 0:
        return f"{text}."
    times = (MORE * se_K[best] / gain_K[best]) ** 2
    return f"{text}; if that is what it is, a trial of about {times * model.rows:,.0f} customers would show it."


def expected_money(x_NF: Floats, arm_N: Ints, money_N: Floats, arms: int, x_MF: Floats) -> Floats:
    """Money expected of customers in each arm (M x A), never below 0: what a percentage of it costs. By ridge."""
    from sklearn.linear_model import Ridge

    basis = basis_of(x_NF)
    z_NP, z_MP = basis.columns(x_NF)[:, 1:], basis.columns(x_MF)[:, 1:]
    if not z_NP.shape[1]:
        return np.tile([max(float(money_N[arm_N == arm].mean()), 0.0) for arm in range(arms)], (len(x_MF), 1))
    model = Ridge(alpha=z_NP.shape[1] + 1)
    found = [model.fit(z_NP[arm_N == arm], money_N[arm_N == arm]).predict(z_MP) for arm in range(arms)]
    return np.asarray(np.maximum(np.column_stack(found), 0.0))


def _error(data: TrialData, profit_N: Floats, rows_M: Ints, slot_M: Ints) -> float:
    """Standard error of what the plan adds: arms are compared among those chosen, so only theirs can tell (Neyman).

    NaN, an unknown, where fewer than two of the chosen are in one of the arms compared.
    """
    squares = 0.0
    for slot in np.unique(slot_M):
        chosen = rows_M[slot_M == slot]
        arms = [profit_N[chosen[data.arm_N[chosen] == arm]] for arm in (slot + 1, 0)]
        if min(map(len, arms)) < 2:
            return float("nan")
        squares += len(chosen) ** 2 * sum(float(arm.var(ddof=1)) / len(arm) for arm in arms)
    return float(np.sqrt(squares))
