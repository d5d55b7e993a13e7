"""A trial in; how well its effects hold for customers that the models did not see, out.

Two halves by a hash of each customer's own values: each is predicted by models of the other. Legend: N customers,
K treatments, A arms (arm 0 is control), M a part of the customers, P points of a curve.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.effect import core
from promolift.effect.diagnose import Diagnosis
from promolift.effect.outcomes import effect_bins
from promolift.effect.policy import TargetingRule
from promolift.effect.trial import Level, encoder_of, row_keys
from promolift.errors import SupportError
from promolift.learn import uplift
from promolift.progress import Tell, within
from promolift.results.trial import TrialJudged, TrialJudgement, policy_names
from promolift.trials.plan import TreatmentChoice, expected_money
from promolift.trials.read import TrialData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
POINTS = 41
Row = Mapping[str, object]  # of a table to be
QINI = {
    "outcome": pl.String, "arm": pl.String, "figure": pl.String, "by": pl.String,
    "value": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64,
}  # fmt: skip
CURVES = {
    "outcome": pl.String, "arm": pl.String, "by": pl.String, "share": pl.Float64,
    "gain": pl.Float64, "low": pl.Float64, "high": pl.Float64, "other": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True)
class Assigned:
    """How arms were assigned: the evidence level, everybody's propensity of each arm, the diagnosis behind it."""

    level: Level
    prob_NA: Floats
    diagnosis: Diagnosis


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


def judge(
    data: TrialData, assigned: Assigned, models: Mapping[str, core.EffectModel], budget: float | None, tell: Tell
) -> TrialJudgement:
    """Qini of the effects and of the outcome expected without treatment, calibration by deciles, values of policies.

    Money is net of margin and cost throughout. One policy is recommended, by the deciding outcome, and valued on all:
    the rule of the fitted `models`, the very one that plans, with its curves learned without the half that values it.
    A Qini curve is fair only where customers were randomised with the same propensities for all, so others get none.
    """
    settings = data.settings
    few = np.bincount(data.arm_N, minlength=len(data.arms))
    if few.min() < 2.5 * core.LEAST_ROWS:
        text = f"{data.arms[int(few.argmin())]} has {few.min()} customers"
        raise SupportError(
            f"{data.where}: {text}, and each half needs {core.LEAST_ROWS} to learn from: at least "
            f"{2.5 * core.LEAST_ROWS:.0f} of every arm are needed to judge on customers the models did not see"
        )
    qini: list[Row] = []
    curves: list[Row] = []
    bins: list[pl.DataFrame] = []
    policies: list[Row] = []
    learned: dict[str, int] = {}
    decided_N: Ints | None = None
    fair = assigned.level == "randomised" and bool((assigned.prob_NA == assigned.prob_NA[0]).all())
    for done, name in enumerate(settings.modelled):  # the deciding outcome comes first
        start, part = done / len(settings.modelled), 1 / len(settings.modelled)
        crossed = _cross(data, name, assigned, models[name].rule, budget if name == settings.deciding else None,
                         tell, start, 0.85 * part)  # fmt: skip
        tell("evaluate", start + 0.9 * part, f"{name} of customers unseen")
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
    samples = tuple(sampled(learned, len(data.arm_N)))
    note = TrialJudged(settings=settings, level=assigned.level, learned=learned, samples=samples)
    return TrialJudgement(
        note, pl.DataFrame(qini, schema=QINI), pl.DataFrame(curves, schema=CURVES),
        pl.concat(bins), pl.DataFrame(policies, infer_schema_length=None),
    )  # fmt: skip


def sampled(learned: dict[str, int], customers: int) -> list[str]:
    """Which outcomes' models learned from a part of the customers only, in words."""
    return [
        f"the file is large, so the models of {name} learned from {rows:,} of about {customers // 2:,} customers of "
        "the other half, drawn by hash; every customer judges them"
        for name, rows in learned.items()
    ]


def _cross(
    data: TrialData, name: str, assigned: Assigned, rule: TargetingRule, budget: float | None,
    tell: Tell, start: float, size: float,
) -> _Crossed:  # fmt: skip
    encoder, net, settings = encoder_of(data.features), data.net(name), data.settings
    x_NF = encoder.encode(data.features)
    profit_N = net.before_cost(data.outcomes[name], data.arm_N)
    key_N = row_keys(np.column_stack([x_NF, data.arm_N, data.outcomes[name]]), settings.seed)
    half_N = (key_N % np.uint64(2)).astype(np.int64)
    wanted, note = core.EffectSettings(seed=settings.seed), f"{name}, learning on one half at a time"
    learned: int | None = None
    gain_NK, policy_N = np.zeros((len(half_N), len(data.arms) - 1)), np.zeros(len(half_N), np.int64)
    mean_NA = np.zeros((len(half_N), len(data.arms)))
    planned_N = None if budget is None else np.zeros(len(half_N), np.int64)
    for half in (0, 1):
        seen, new = np.flatnonzero(half_N != half), np.flatnonzero(half_N == half)
        model = core.fit(
            data.features[seen], data.arm_N[seen], profit_N[seen],
            propensity_NK=assigned.prob_NA[seen, 1:], cost_NK=net.of(seen).cost_NK, diagnosis=assigned.diagnosis,
            settings=wanted, rule=rule, on_progress=within(tell, "evaluate", start + size * half / 2, size / 2, note),
        )  # fmt: skip
        learned = model.learned
        cost_NK = net.of(new).cost_NK
        gain_NK[new] = model.predict(data.features[new], cost_NK).gain_NK
        policy_N[new] = model.policy(data.features[new], cost_NK)
        if planned_N is not None and budget is not None:
            spent_NK = cost_NK
            if net.gives_back:
                money_N = data.outcomes[name][seen]
                money_NA = expected_money(x_NF[seen], data.arm_N[seen], money_N, len(data.arms), x_NF[new])
                spent_NK = net.of(new).spent(money_NA)[:, 1:]
            offered = TreatmentChoice.of(model, data.features[new], cost_NK, spent_NK)
            chosen = offered.within(budget * len(new) / len(half_N), settings.seed).allocation.choice_N
            planned_N[new] = chosen.astype(np.int64) + 1
        mean_NA[new] = model.expected(data.features[new])
    outcome_N = net.outcome(data.outcomes[name], data.arm_N)
    score_NA = uplift.arm_scores(outcome_N, data.arm_N, assigned.prob_NA, net.expected(mean_NA))
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
    figure = uplift.qini if np.isin(outcome_M, (0.0, 1.0)).all() else uplift.qini_area
    keys: Row = {"outcome": crossed.name, "arm": data.arms[arm]}
    with suppress(SupportError):
        ours, theirs = figure(*by_effect), figure(*by_response)
        lead = uplift.difference(ours, theirs)
        each = (("effect", ours), ("expected outcome without treatment", theirs), ("lead of the effect", lead))
        qini += [
            {**keys, "figure": ours.figure, "n": ours.n, "by": by, "value": e.value, "low": e.low, "high": e.high}
            for by, e in each
        ]
    effect, response = (uplift.qini_curve(*given, POINTS) for given in (by_effect, by_response))
    other_P = np.interp(effect.x_P, response.x_P, response.gain_P)
    curves += [
        {**keys, "by": by, "share": x, "gain": gain, "low": low, "high": high, "other": other}
        for by, curve, others in (("effect", effect, other_P), ("response", response, [None] * len(response.x_P)))
        for x, gain, low, high, other in zip(
            curve.x_P, curve.gain_P, curve.low_P, curve.high_P, others, strict=True
        )
    ]  # fmt: skip


def _policies(data: TrialData, crossed: _Crossed, decided_N: Ints) -> list[Row]:
    """Nobody, everybody by each arm, the plan within a stated budget, and the recommended policy, doubly robust;
    comparisons are paired.

    `lead`: over the best of nobody and everybody, a customer. `added`: over nobody, all customers together. `treated`:
    the share that the policy treats. `moved`: the share whom the recommended one gives another arm than the best does.
    """
    names, n = policy_names(data.arms), len(decided_N)
    within = [] if crossed.planned_N is None else [crossed.planned_N]
    given = [*(np.full(n, arm) for arm in range(len(names))), *within, decided_N]
    called = (*names, *(f"plan within {crossed.budget:g}" for _ in within), "recommended")
    values = [uplift.policy_value(crossed.score_NA, arm_N, name) for arm_N, name in zip(given, called, strict=True)]
    best = max(values[: len(names)], key=lambda each: each.value)
    best_arm = names.index(best.figure)
    rows: list[Row] = []
    for arm_N, each in zip(given, values, strict=True):
        lead, added, ours = uplift.difference(each, best), uplift.difference(each, values[0]), each is values[-1]
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
