"""A trial's customers, a model of what each treatment adds and a budget in; who gets which treatment out.

Legend: N customers, K treatments, M customers treated.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate
from promolift.effect.core import EffectModel
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


@dataclass(frozen=True)
class TreatmentChoice:
    """Net gain and cost of each treatment for each customer, the arm that the policy recommends to them without a
    budget (0: none), and the treatments that it may use at all.
    """

    gain_NK: Floats
    cost_NK: Floats
    wanted_N: Ints
    allowed_K: NDArray[np.bool_]

    @staticmethod
    def of(model: EffectModel, features: Features, cost_NK: Floats, spent_NK: Floats) -> "TreatmentChoice":
        """By a model of gains: `cost_NK` is taken off them, `spent_NK` is what counts against a budget."""
        gain_NK = model.predict(features, cost_NK).gain_NK
        allowed = np.isin(np.arange(1, gain_NK.shape[1] + 1), [model.best_arm, *model.other_arms])
        wide_NK = np.array(np.broadcast_to(spent_NK, gain_NK.shape))
        return TreatmentChoice(gain_NK, wide_NK, model.policy(features, cost_NK), allowed)

    @property
    def whole(self) -> float:
        """What the policy costs without a budget."""
        treated = np.flatnonzero(self.wanted_N > 0)
        return float(self.cost_NK[treated, self.wanted_N[treated] - 1].sum())

    @property
    def open_NK(self) -> Floats:
        """Gains of the treatments that a budget may be spent on."""
        return np.where(self.allowed_K, self.gain_NK, np.nan)

    def within(self, budget: float, seed: int) -> allocate.Allocation:
        """The policy itself where the budget pays for it, else the best of its treatments within the budget."""
        if budget < self.whole:
            return allocate.solve(self.open_NK, self.cost_NK, budget, seed=seed)
        wanted = self.wanted_N[:, None] == np.arange(1, self.gain_NK.shape[1] + 1)
        least = 1e-12 * max(float(np.abs(self.gain_NK).max(initial=0)), 1.0)  # a gain is no reason to leave anybody out
        return allocate.solve(
            np.where(wanted, np.maximum(self.gain_NK, least), np.nan), self.cost_NK, budget, seed=seed
        )


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
    frontier = allocate.trace(offered.open_NK, offered.cost_NK, seed=settings.seed)
    rows_M = np.flatnonzero(found.choice_N >= 0)
    slot_M = found.choice_N[rows_M].astype(np.int64)
    gain, reach = predicted.gain_NK[rows_M, slot_M], Z95 * predicted.se_NK[rows_M, slot_M]
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
        budget=budget, gain=total, low=total - error, high=total + error, cost=found.cost,
        treated=len(rows_M), customers=len(offered.wanted_N), bound=max(found.bound, total), price=found.price,
        level=predicted.level, basis=settings.basis(settings.money),
        explain=found.explain() if offered.allowed_K.any() else _nobody(model, data.arms, settings),
    )  # fmt: skip
    tell("plan", 1.0, "done")
    return TrialPlan(note, frame, frontier)


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
