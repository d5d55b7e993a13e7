"""A trial's customers, a model of what each treatment adds and a budget in; who gets which treatment out.

Legend: N customers, K treatments, M customers treated.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate
from promolift.effect.core import EffectModel
from promolift.errors import StepError
from promolift.progress import Tell
from promolift.results.trial import TrialPlan, TrialPlanned
from promolift.tables import Z95
from promolift.trials.read import TrialData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def plan(data: TrialData, models: Mapping[str, EffectModel], budget: float | None, tell: Tell) -> TrialPlan:
    """The best plan within the budget by the net effect on money, and the curve of other budgets.

    Left out, the budget is that of the settings, else half of treating everybody by the treatment that costs most.
    Raises StepError where no outcome is money: a plan needs to know what a gain is worth.
    """
    settings = data.settings
    if settings.money is None:
        raise StepError("no outcome is money, so a plan cannot weigh gains against costs; name one with money")
    tell("plan", 0.2, "what each treatment adds")
    net, model = data.net(settings.money), models[settings.money]
    predicted = model.predict(data.features, net.cost_NK)
    cost_NK = np.array(np.broadcast_to(net.cost_NK, predicted.gain_NK.shape))
    budget = settings.budget if budget is None else budget
    if budget is None:
        budget = float(net.mean_A.max()) * len(cost_NK) / 2
    allowed = np.isin(np.arange(1, len(data.arms)), [model.best_arm, *model.other_arms])
    offered = np.where(allowed, predicted.gain_NK, np.nan)
    found = allocate.solve(offered, cost_NK, budget, seed=settings.seed)
    tell("plan", 0.7, "other budgets")
    frontier = allocate.trace(lambda: [allocate.Chunk(offered, cost_NK)], seed=settings.seed)
    rows_M = np.flatnonzero(found.choice_N >= 0)
    slot_M = found.choice_N[rows_M].astype(np.int64)
    gain, reach = predicted.gain_NK[rows_M, slot_M], Z95 * predicted.se_NK[rows_M, slot_M]
    columns = {
        "row": rows_M + 1, "treatment": np.array(data.arms)[slot_M + 1],
        "gain": gain, "low": gain - reach, "high": gain + reach, "cost": cost_NK[rows_M, slot_M],
        "evidence": pl.Series([predicted.level] * len(rows_M), dtype=pl.String),
    }  # fmt: skip
    frame = pl.DataFrame(columns)
    if data.who is not None and data.who.name not in columns:
        frame = frame.insert_column(0, data.who[rows_M])
    error = Z95 * _error(data, net.before_cost(data.outcomes[settings.money]), rows_M, slot_M)
    note = TrialPlanned(
        budget=budget, gain=found.gain, low=found.gain - error, high=found.gain + error, cost=found.cost,
        treated=len(rows_M), customers=len(cost_NK), bound=found.bound, price=found.price, level=predicted.level,
        basis=settings.basis(settings.money), explain=found.explain(),
    )  # fmt: skip
    tell("plan", 1.0, "done")
    return TrialPlan(note, frame, frontier)


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
