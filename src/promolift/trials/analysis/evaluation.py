"""Evaluate the models of a trial on customers that they did not see, and plan treatments within a budget.

Customers are split in two halves by a hash of their own values; models of one half predict the other. Legend: N
customers, K treatments, A arms (arm 0 is control), M a part of the customers, P points of a curve.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core import allocation as allocate
from promolift.core.effects.trial_arrays import Features, fit_encoder, row_keys
from promolift.core.effects.uplift import learner_selection, uplift_model
from promolift.core.effects.uplift.average_effects import effect_bins
from promolift.core.effects.uplift.linear_learners import fit_basis
from promolift.core.effects.uplift.targeting_policy import TargetingRule
from promolift.core.effects.uplift.uplift_model import EffectModel
from promolift.core.experiments import uplift_curves
from promolift.foundation.errors import StepError, SupportError
from promolift.foundation.evidence import Z95
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.progress import Progress, sub_progress
from promolift.trials.analysis.randomisation_units import Assignment
from promolift.trials.analysis.results import (
    WITHIN_BUDGET,
    TrialEvaluation,
    TrialEvaluationNote,
    TrialPlan,
    TrialPlanNote,
    WithdrawnPolicy,
    fixed_policy_names,
)
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.analysis.trial_data import TrialData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Row = Mapping[str, object]  # of a table to be
PolicyRow = dict[str, Any]  # of the table `policies`
POWER_80 = 2.8  # standard errors that a gain must be worth to be shown with 80 % power


class BudgetAllocation(NamedTuple):
    """A plan within a budget, the gains that it maximised, and whether its customers had to be drawn at random."""

    allocation: allocate.Solution
    gain_NK: Floats
    at_random: bool


@dataclass(frozen=True)
class TreatmentChoice:
    """Net gain and cost of each treatment for each customer: by the rule (`gain_NK`), and with the average effect for
    all (`same_NK`). `recommended_N` is the arm recommended without a budget (0: none). Planning and evaluation both use
    this class, so the policy that is valued is the one that plans.
    """

    rule: TargetingRule
    gain_NK: Floats
    same_NK: Floats
    cost_NK: Floats
    recommended_N: Ints

    @staticmethod
    def from_model(model: EffectModel, features: Features, cost_NK: Floats, spent_NK: Floats) -> "TreatmentChoice":
        """Build the choice from a model of gains: `cost_NK` is subtracted from the gains, `spent_NK` counts against a
        budget.
        """
        gain_NK = model.net_gains(features, cost_NK)
        same_NK, wide_NK = (
            np.array(np.broadcast_to(each, gain_NK.shape))
            for each in (model.average.gain_K + model.cost_K - cost_NK, spent_NK)
        )
        return TreatmentChoice(model.rule, gain_NK, same_NK, wide_NK, model.policy(features, cost_NK))

    @property
    def total_cost(self) -> float:
        """The cost of the recommended policy without a budget."""
        treated = np.flatnonzero(self.recommended_N > 0)
        return float(self.cost_NK[treated, self.recommended_N[treated] - 1].sum())

    @property
    def eligible_gain_NK(self) -> Floats:
        """Gains of the treatments that a budget may be spent on: without a ranking, those of the best arm only; none
        where nobody would be treated without a budget.
        """
        if not self.rule.recommends:
            return np.full(self.gain_NK.shape, np.nan)
        return self.gain_NK if self.rule.ranks else self._only(np.full(len(self.gain_NK), self.rule.best_arm))

    def _only(self, arm_N: Ints, least: float = -np.inf) -> Floats:
        """Gains, with all alike or by the rule that is followed, of one arm for each customer."""
        gain_NK = self.gain_NK if self.rule.follows else self.same_NK
        return np.where(arm_N[:, None] == np.arange(1, gain_NK.shape[1] + 1), np.maximum(gain_NK, least), np.nan)

    def allocate(self, budget: float, seed: int) -> BudgetAllocation:
        """Return the recommended policy if the budget pays for it. Otherwise treat the top of the ranking, if treating
        so many of them earned more than as many at random; otherwise draw customers at random.
        """
        if self.recommended_N.any() and budget >= self.total_cost * (1 - 1e-12):
            least = 1e-12 * max(float(np.abs(self.gain_NK).max(initial=0)), 1.0)  # a gain is no reason to leave any out
            wanted_NK = self._only(self.recommended_N, least)
            return BudgetAllocation(allocate.solve(wanted_NK, self.cost_NK, budget, seed=seed), wanted_NK, False)
        found = allocate.solve(self.eligible_gain_NK, self.cost_NK, budget, seed=seed)
        treated = float(np.mean(found.choice_N >= 0))
        if not self.rule.ranks or treated == 0 or self.rule.leads(treated):
            return BudgetAllocation(found, self.eligible_gain_NK, treated > 0 and not self.rule.ranks)
        same_NK = np.where(np.arange(1, self.gain_NK.shape[1] + 1) == self.rule.best_arm, self.same_NK, np.nan)
        return BudgetAllocation(allocate.solve(same_NK, self.cost_NK, budget, seed=seed), same_NK, True)


def plan_treatments(
    data: TrialData, models: Mapping[str, EffectModel], budget: float | None, money_NA: Floats | None, tell: Progress,
    withdrawn: WithdrawnPolicy | None = None,
) -> TrialPlan:  # fmt: skip
    """Return the recommended policy on money, or the best plan of its treatments within a budget, and the curve of
    other budgets.

    Left out, the budget is that of the settings, else none: all are treated whom it pays for. Without a treatment that
    was shown to gain what it costs that is nobody. `money_NA`: the money expected in each arm, where an arm costs a
    part of it. Raises StepError where no outcome is money: a plan needs to know what a gain is worth.
    """
    settings = data.settings
    if settings.money is None:
        raise StepError(
            "money_outcome_missing",
            gettext_lazy("no outcome is money, so a plan cannot weigh gains against costs; name one with money"),
        )
    tell("plan", 0.2, gettext_lazy("what each treatment adds"))
    net, model = data.net(settings.money), models[settings.money]
    predicted = model.predict(data.features, net.cost_NK)
    spent_NK = net.cost_NK if money_NA is None else net.expected_cost(money_NA)[:, 1:]
    offered = TreatmentChoice.from_model(model, data.features, net.cost_NK, spent_NK)
    budget = settings.budget if budget is None else budget
    named = budget is not None
    budget = offered.total_cost if budget is None else budget
    found = offered.allocate(budget, settings.seed)
    tell("plan", 0.7, gettext_lazy("other budgets"))
    allocation = found.allocation
    frontier = allocate.solve_frontier(offered.eligible_gain_NK, offered.cost_NK, seed=settings.seed)
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
    error = Z95 * _error(data, net.profit_before_cost(data.outcomes[settings.money], data.arm_N), rows_M, slot_M)
    total = float(gain.sum())
    low, high = total - error, total + error
    text = _explained(found, model, data, settings)
    if not named and len(rows_M):
        text = _all_treated(allocation, total, low, high)
    note = TrialPlanNote(
        budget=budget, gain=total, low=low, high=high, cost=allocation.cost,
        treated=len(rows_M), customers=len(offered.recommended_N), bound=max(allocation.bound, total),
        price=allocation.price,
        level=predicted.level, basis=settings.basis(settings.money),
        explain=text, withdrawn=withdrawn,
    )  # fmt: skip
    tell("plan", 1.0, gettext_lazy("done"))
    return TrialPlan(note, frame, frontier)


def _all_treated(found: allocate.Allocation, gain: float, low: float, high: float) -> LazyMessage:
    """What is planned where nobody named a budget."""
    return gettext_lazy(
        "{treated} of {customers} customers are treated: all whom the recommended policy treats, since no budget is "
        "named. That costs {cost} and is expected to gain {gain} ({low} to {high}) by the models that chose them; "
        "`promolift effect evaluate` says what the policy earns on customers whom they did not see.",
        treated=f"{found.treated:,}",
        customers=f"{found.customers:,}",
        cost=f"{found.cost:,.2f}",
        gain=f"{gain:,.2f}",
        low=f"{low:,.2f}",
        high=f"{high:,.2f}",
    )


def _explained(found: BudgetAllocation, model: EffectModel, data: TrialData, settings: TrialSettings) -> LazyMessage:
    if not model.rule.recommends:
        return _nobody(model, data.arms, settings)
    text = found.allocation.explain()
    if not found.at_random:
        return text
    return gettext_lazy(
        "{plan} Who is treated was drawn at random: no ranking of customers was shown to earn more than giving {arm} "
        "to as many drawn at random.",
        plan=text,
        arm=data.arms[model.best_arm],
    )


def _nobody(model: EffectModel, arms: tuple[str, ...], settings: TrialSettings) -> LazyMessage:
    """Why nobody is treated, and how large a trial would tell."""
    gain_K, se_K = model.average.gain_K, model.average.se_K
    best = int((gain_K / np.maximum(se_K, 1e-12)).argmax())
    basis = settings.basis(settings.deciding_outcome)
    text = gettext_lazy(
        "No treatment is shown to add more than it costs ({basis}), so nobody is treated. Nearest is {arm}: {gain} a "
        "customer ({low} to {high})",
        basis=basis,
        arm=arms[best + 1],
        gain=f"{gain_K[best]:.4g}",
        low=f"{gain_K[best] - Z95 * se_K[best]:.4g}",
        high=f"{gain_K[best] + Z95 * se_K[best]:.4g}",
    )
    if gain_K[best] <= 0:
        return gettext_lazy("{sentence}.", sentence=text)
    times = (POWER_80 * se_K[best] / gain_K[best]) ** 2
    return gettext_lazy(
        "{sentence}; if that is what it is, a trial of about {customers} customers would show it.",
        sentence=text,
        customers=f"{times * model.rows:,.0f}",
    )


def expected_money(x_NF: Floats, arm_N: Ints, money_N: Floats, arms: int, x_MF: Floats) -> Floats:
    """Return the money expected of customers in each arm (M x A, at least 0), by ridge regression: what a percentage
    cost is taken of.
    """
    from sklearn.linear_model import Ridge

    basis = fit_basis(x_NF)
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


def _enough(data: TrialData) -> bool:
    """Whether each half of the customers has enough of every arm to learn from."""
    return bool(np.bincount(data.arm_N, minlength=len(data.arms)).min() >= 2.5 * uplift_model.MIN_ARM_CUSTOMERS)


class CheckedModels(NamedTuple):
    """Models whose rule survived the customers that it had not seen, and the policy that did not survive them."""

    models: dict[str, EffectModel]
    withdrawn: WithdrawnPolicy | None


def withdraw_losing(
    data: TrialData, assigned: Assignment, models: Mapping[str, EffectModel], budget: float | None, tell: Progress
) -> CheckedModels:
    """Value the recommended policy (and its plan within the budget) on halves that its models did not see, and withdraw
    it where it loses: its joint interval lies below the best of nobody and one arm for everybody, or it earned no more
    than treating nobody.

    What is left is the best fixed arm where that arm passes the same test, else nobody. A targeted policy that too few
    customers can judge is withdrawn, too.
    """
    name = data.settings.deciding_outcome
    model = models[name]
    rule = model.rule
    if not rule.recommends:
        return CheckedModels(dict(models), None)
    if not _enough(data):
        if not rule.follows:
            return CheckedModels(dict(models), None)
        net = data.net(name)
        treated = float(np.mean(model.policy(data.features, net.cost_NK) > 0))
        best = fixed_policy_names(data.arms)[rule.best_arm]
        lost = WithdrawnPolicy(treated=treated, against=best, lead=None, low=None, high=None, n=len(data.arm_N))
        return CheckedModels({**models, name: replace(model, rule=rule.withdraw(rule.best_arm))}, lost)
    crossed = _cross(data, name, assigned, rule, budget, tell, 0.9, 0.09, "effect")
    rows = _policies(data, crossed, crossed.policy_N)
    nobody, fixed, ours = rows[0], rows[rule.best_arm], rows[-1]
    within = rows[len(data.arms) : -1]  # the plan within the budget, which only nobody is fair to
    safe_arm = 0 if _fails(fixed, nobody) else rule.best_arm
    if _fails(ours, nobody):
        lost = _withdrawn(ours)
    elif within and within[0]["added_high"] < 0:
        lost = _withdrawn(within[0] | _over_nobody(within[0], str(nobody["policy"])))
    else:
        return CheckedModels(dict(models), None)
    return CheckedModels({**models, name: replace(model, rule=rule.withdraw(safe_arm))}, lost)


def _fails(row: PolicyRow, nobody: PolicyRow) -> bool:
    """Whether a policy's interval lies below the best fixed policy, or it earned no more than treating nobody."""
    return bool(row["lead_high"] < 0 or row["value"] <= nobody["value"])


def _over_nobody(row: PolicyRow, nobody: str) -> PolicyRow:
    """The lead of a policy over treating nobody."""
    each = {"lead": "added", "lead_low": "added_low", "lead_high": "added_high"}
    return {"best_fixed": nobody} | {lead: row[added] / row["n"] for lead, added in each.items()}


def _withdrawn(row: PolicyRow) -> WithdrawnPolicy:
    return WithdrawnPolicy(
        treated=row["treated"], against=row["best_fixed"], lead=row["lead"], low=row["lead_low"],
        high=row["lead_high"], n=row["n"],
    )  # fmt: skip


CURVE_POINTS = 41
QINI_SCHEMA = {
    "outcome": pl.String, "arm": pl.String, "figure": pl.String, "by": pl.String,
    "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
}  # fmt: skip
CURVES_SCHEMA = {
    "outcome": pl.String, "arm": pl.String, "by": pl.String, "share": pl.Float64,
    "gain": pl.Float64, "low": pl.Float64, "high": pl.Float64, "other": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class _Crossed:
    """Of one outcome, out of fold: net gains, recommended arms, and profit expected by arm before cost.

    `outcome_N` is net and `score_NA` its doubly robust scores by arm. `learned`: rows that each half's models learned
    from, where not all. `half_N`: whose models did not see whom. `planned_N`: arms of the plan within the stated
    budget, if there is one.
    """

    name: str
    outcome_N: Floats
    gain_NK: Floats
    policy_N: Ints
    mean_NA: Floats
    score_NA: Floats
    learned: int | None
    half_N: Ints
    budget: float | None
    planned_N: Ints | None


def evaluate_models(
    data: TrialData,
    assigned: Assignment,
    models: Mapping[str, uplift_model.EffectModel],
    budget: float | None,
    tell: Progress,
    withdrawn: WithdrawnPolicy | None = None,
) -> TrialEvaluation:
    """Return the Qini of the effects and of a simple rule (the outcome expected without treatment), calibration by
    deciles, and values of policies.

    Money is net of margin and cost throughout. One policy is recommended, by the deciding outcome, and valued on all:
    the rule of the fitted `models`, the very one that plans, with its curves learned without the half that values it.
    A Qini curve is fair only where customers were randomised with the same propensities for all, so others get none.
    `withdrawn`: what `withdraw_losing` found.
    """
    settings = data.settings
    few = np.bincount(data.arm_N, minlength=len(data.arms))
    if not _enough(data):
        text = f"{data.arms[int(few.argmin())]} has {few.min()} customers"
        raise SupportError(
            "arm_too_small",
            gettext_lazy(
                "{where}: {text}, and each half needs {min_arm_customers} to learn from: at least "
                "{uplift_model_min_arm_customers} of every arm are needed to judge on customers the models "
                "did not see",
                where=data.where,
                text=text,
                min_arm_customers=uplift_model.MIN_ARM_CUSTOMERS,
                uplift_model_min_arm_customers=f"{2.5 * uplift_model.MIN_ARM_CUSTOMERS:.0f}",
            ),
        )
    qini: list[Row] = []
    curves: list[Row] = []
    bins: list[pl.DataFrame] = []
    policies: list[PolicyRow] = []
    learned: dict[str, int] = {}
    decided_N: Ints | None = None
    fair = assigned.level == "randomised" and bool((assigned.prob_NA == assigned.prob_NA[0]).all())
    for done, name in enumerate(settings.modelled_outcomes):  # the deciding outcome comes first
        start, part = done / len(settings.modelled_outcomes), 1 / len(settings.modelled_outcomes)
        crossed = _cross(data, name, assigned, models[name].rule, budget if name == settings.deciding_outcome else None,
                         tell, start, 0.85 * part)  # fmt: skip
        tell("evaluate", start + 0.9 * part, gettext_lazy("{name} of customers unseen", name=name))
        decided_N = crossed.policy_N if decided_N is None else decided_N
        policies += _policies(data, crossed, decided_N)
        if crossed.learned is not None:
            learned[name] = crossed.learned
        for arm in range(1, len(data.arms)):
            found = effect_bins(crossed.gain_NK[:, arm - 1], crossed.score_NA[:, arm] - crossed.score_NA[:, 0])
            bins.append(found.select(
                pl.lit(name).alias("outcome"), pl.lit(data.arms[arm]).alias("arm"), pl.all(),
                pl.col("predicted").is_between("low", "high").alias("inside"),
            ))  # fmt: skip
            if fair:
                _orders(data, crossed, arm, qini, curves)
    samples = tuple(describe_sampling(learned, len(data.arm_N)))
    note = TrialEvaluationNote(
        settings=settings, level=assigned.level, learned=learned, samples=samples, withdrawn=withdrawn
    )
    return TrialEvaluation(
        note, pl.DataFrame(qini, schema=QINI_SCHEMA), pl.DataFrame(curves, schema=CURVES_SCHEMA),
        pl.concat(bins), pl.DataFrame(policies, infer_schema_length=None),
    )  # fmt: skip


def describe_sampling(learned: dict[str, int], customers: int) -> list[LazyMessage]:
    """Return, in words, which models learned from a sample of the customers only."""
    return [
        gettext_lazy(
            "the file is large, so the models of {outcome} learned from {rows} of about {customers} customers of the "
            "other half, drawn by hash; every customer judges them",
            outcome=name,
            rows=f"{rows:,}",
            customers=f"{customers // 2:,}",
        )
        for name, rows in learned.items()
    ]


def _cross(
    data: TrialData, name: str, assigned: Assignment, rule: TargetingRule, budget: float | None,
    tell: Progress, start: float, size: float, step: str = "evaluate",
) -> _Crossed:  # fmt: skip
    encoder, net, settings = fit_encoder(data.features), data.net(name), data.settings
    x_NF = encoder.encode(data.features)
    profit_N = net.profit_before_cost(data.outcomes[name], data.arm_N)
    key_N = row_keys(np.column_stack([x_NF, data.arm_N, data.outcomes[name]]), settings.seed)
    half_N = (key_N % np.uint64(2)).astype(np.int64)
    wanted, note = learner_selection.EffectSettings(seed=settings.seed), f"{name}, learning on one half at a time"
    learned: int | None = None
    gain_NK, policy_N = np.zeros((len(half_N), len(data.arms) - 1)), np.zeros(len(half_N), np.int64)
    mean_NA = np.zeros((len(half_N), len(data.arms)))
    planned_N = None if budget is None else np.zeros(len(half_N), np.int64)
    for half in (0, 1):
        seen, new = np.flatnonzero(half_N != half), np.flatnonzero(half_N == half)
        model = uplift_model.fit_effects(
            data.features[seen], data.arm_N[seen], profit_N[seen],
            propensity_NK=assigned.prob_NA[seen, 1:], cost_NK=net.subset(seen).cost_NK, diagnosis=assigned.diagnosis,
            settings=wanted, rule=rule, before=data.before,
            on_progress=sub_progress(tell, step, start + size * half / 2, size / 2, note),
        )  # fmt: skip
        learned = model.learned
        cost_NK = net.subset(new).cost_NK
        gain_NK[new] = model.predict(data.features[new], cost_NK).gain_NK
        policy_N[new] = model.policy(data.features[new], cost_NK)
        if planned_N is not None and budget is not None:
            spent_NK = cost_NK
            if net.has_percentage_cost:
                money_N = data.outcomes[name][seen]
                money_NA = expected_money(x_NF[seen], data.arm_N[seen], money_N, len(data.arms), x_NF[new])
                spent_NK = net.subset(new).expected_cost(money_NA)[:, 1:]
            offered = TreatmentChoice.from_model(model, data.features[new], cost_NK, spent_NK)
            chosen = offered.allocate(budget * len(new) / len(half_N), settings.seed).allocation.choice_N
            planned_N[new] = chosen.astype(np.int64) + 1
        mean_NA[new] = model.predict_outcomes(data.features[new])
    outcome_N = net.profit(data.outcomes[name], data.arm_N)
    score_NA = uplift_curves.arm_scores(outcome_N, data.arm_N, assigned.prob_NA, net.expected_profit(mean_NA))
    return _Crossed(name, outcome_N, gain_NK, policy_N, mean_NA, score_NA, learned, half_N, budget, planned_N)


def _places(score_M: Floats, half_M: Ints) -> Floats:
    """Each customer's place, 0 to 1, among those whom the same models told apart.

    Two halves' levels do not compare: the half that learned the larger average effect is the one that shows less.
    """
    place_M = np.empty(len(score_M))
    for half in np.unique(half_M):
        mine = half_M == half
        place_M[mine] = scipy.stats.rankdata(score_M[mine]) / (mine.sum() + 1)
    return place_M


def _orders(data: TrialData, crossed: _Crossed, arm: int, qini: list[Row], curves: list[Row]) -> None:
    """Add what the orders by effect and by response gain on the arm and control: Qini, or the area where outcomes are
    not 0 and 1, and points of both curves; `other` is what the order by response gains at the same share of customers.
    """
    rows = np.flatnonzero((data.arm_N == arm) | (data.arm_N == 0))
    outcome_M, treated_M = crossed.outcome_N[rows], (data.arm_N[rows] == arm).astype(np.float64)
    by_effect, by_response = (
        (outcome_M, _places(score_N[rows], crossed.half_N[rows]), treated_M)
        for score_N in (crossed.gain_NK[:, arm - 1], crossed.mean_NA[:, 0])
    )
    figure = uplift_curves.qini if np.isin(outcome_M, (0.0, 1.0)).all() else uplift_curves.qini_area
    keys: Row = {"outcome": crossed.name, "arm": data.arms[arm]}
    with suppress(SupportError):
        ours, theirs = figure(*by_effect), figure(*by_response)
        lead = uplift_curves.paired_difference(ours, theirs)
        each = (
            (gettext_noop("effect"), ours),
            (gettext_noop("expected outcome without treatment"), theirs),
            (gettext_noop("lead of the effect"), lead),
        )
        qini += [
            {**keys, "figure": ours.figure, "n": ours.n, "by": by, "value": e.value, "low": e.low, "high": e.high}
            for by, e in each
        ]
    effect, response = (uplift_curves.qini_curve(*given, CURVE_POINTS) for given in (by_effect, by_response))
    other_P = np.interp(effect.x_P, response.x_P, response.gain_P)
    curves += [
        {**keys, "by": by, "share": x, "gain": gain, "low": low, "high": high, "other": other}
        for by, curve, others in (("effect", effect, other_P), ("response", response, [None] * len(response.x_P)))
        for x, gain, low, high, other in zip(
            curve.x_P, curve.gain_P, curve.low_P, curve.high_P, others, strict=True
        )
    ]  # fmt: skip


def _policies(data: TrialData, crossed: _Crossed, decided_N: Ints) -> list[PolicyRow]:
    """Nobody, everybody by each arm, the plan within a stated budget, and the recommended policy, doubly robust;
    comparisons are paired.

    `lead`: over the best of nobody and everybody, a customer. `added`: over nobody, all customers together. `treated`:
    the share that the policy treats. `moved`: the share whom the recommended one gives another arm than the best does.
    """
    names, n = fixed_policy_names(data.arms), len(decided_N)
    within = [] if crossed.planned_N is None else [crossed.planned_N]
    given = [*(np.full(n, arm) for arm in range(len(names))), *within, decided_N]
    called = (*names, *(WITHIN_BUDGET.format(budget=f"{crossed.budget:g}") for _ in within), "recommended")
    values = [
        uplift_curves.policy_value(crossed.score_NA, arm_N, name) for arm_N, name in zip(given, called, strict=True)
    ]
    best = max(values[: len(names)], key=lambda each: each.value)
    best_arm = names.index(best.figure)
    rows: list[PolicyRow] = []
    for arm_N, each in zip(given, values, strict=True):
        lead, added, ours = (
            uplift_curves.paired_difference(each, best),
            uplift_curves.paired_difference(each, values[0]),
            each is values[-1],
        )
        rows.append(
            {
                "outcome": crossed.name, "policy": each.figure, "value": each.value, "low": each.low, "high": each.high,
                "lead": lead.value, "lead_low": lead.low, "lead_high": lead.high, "best_fixed": best.figure,
                "added": n * added.value, "added_low": n * added.low, "added_high": n * added.high,
                "treated": float(np.mean(arm_N > 0)), "moved": float(np.mean(arm_N != best_arm)) if ours else None,
                "n": n,
            }
        )  # fmt: skip
    return rows
