"""A trial file and what its columns mean in; its diagnosis, effects, evaluation and a plan kept in a work folder.

Legend: N customers, K treatments, A = K + 1 arms (arm 0 is control), M customers treated.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate
from promolift.effect import core, diagnose
from promolift.effect.dose import fit_dose
from promolift.effect.outcomes import average_effects
from promolift.effect.sensitivity import e_value_of_mean, tipping_odds
from promolift.effect.trial import Level, TrialArrays, encoder_of, row_keys
from promolift.errors import InputError, StepError, SupportError
from promolift.progress import Tell
from promolift.results.job import StepSummary
from promolift.results.trial import (
    ArmCheck,
    FittedTables,
    HiddenCause,
    PlannedTables,
    TrialFit,
    TrialPlanned,
    TrialSettings,
    policy_names,
)
from promolift.steps.trial_judge import Assigned, Judged, judge, judged_text
from promolift.steps.trial_read import TrialData, read
from promolift.store import Store
from promolift.tables import Z95

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DEPTHS = 13  # points of a depth curve, 0 included
TOLD = ("effect", "low", "high", "control_mean")
NET = ("net", "net_low", "net_high")


@dataclass(frozen=True)
class Opened:
    """A fitted trial, and its file read again."""

    fit: TrialFit
    data: TrialData


def fit(store: Store, path: Path, settings: TrialSettings, tell: Tell) -> StepSummary:
    """`fit_trial` with its text, as the command line prints it."""
    found = fit_trial(store, path, settings, tell)
    return StepSummary(fit_text(found, FittedTables.load(store).effects), found.model_dump(mode="json"))


def evaluate(store: Store, tell: Tell) -> StepSummary:
    """`judge_trial` with its text, as the command line prints it."""
    found = judge_trial(store, tell)
    told = TrialFit.load(store)
    tables = {"qini": found.tables.qini.to_dicts(), "policies": found.tables.policies.to_dicts()}
    return StepSummary(judged_text(found, told.arms, told.settings), tables | found.note.model_dump(mode="json"))


def plan(store: Store, tell: Tell) -> StepSummary:
    """`plan_trial` with its text, as the command line prints it."""
    found = plan_trial(store, tell)
    return StepSummary(found.explain, found.model_dump(mode="json"))


def fit_trial(store: Store, path: Path, settings: TrialSettings, tell: Tell) -> TrialFit:
    """Diagnose the trial, estimate its effects, keep the models. Raises SupportError where no effect can be claimed."""
    tell("effect", 0.0, "who got what")
    checked = _check(path, settings)
    data, keep, level = checked.data, checked.keep, checked.level
    tell("effect", 0.1, "average effects")
    trial = _trial(data, checked.found.prob_NA, settings.seed, keep)
    averages = average_effects(trial, {n: v[keep] for n, v in data.outcomes.items()}, level)
    depths = depth_curves(data, keep, settings, level) if settings.dose else None
    learned = _fit_models(store, checked, tell) if checked.apart else {}
    FittedTables(with_net(averages, settings), checked.found.balance, checked.found.placebos, depths).keep(store)
    hidden = () if level == "randomised" else hidden_causes(trial, averages)
    note = _note(checked, learned, hidden).keep(store)
    tell("effect", 1.0, "done")
    return note


@dataclass(frozen=True)
class _Checked:
    """A trial file read and diagnosed; `keep`: its customers with a chance of every arm."""

    path: Path
    settings: TrialSettings
    data: TrialData
    found: diagnose.Diagnosis
    level: Level
    keep: Ints

    @property
    def apart(self) -> bool:
        """Whether anything known of customers differs between them."""
        return any(column.n_unique() > 1 for column in self.data.features)


def _check(path: Path, settings: TrialSettings) -> _Checked:
    data = read(path, settings)
    found = _diagnose(data)
    return _Checked(path, settings, data, found, _level(found, data), np.flatnonzero(found.overlap.keep_N))


def _note(checked: _Checked, learned: dict[str, int], hidden: tuple[HiddenCause, ...]) -> TrialFit:
    data, found = checked.data, checked.found
    counts = np.bincount(data.arm_N)
    return TrialFit(
        path=str(checked.path.resolve()),
        settings=checked.settings,
        arms=data.arms,
        counts=tuple(counts.tolist()),
        shares=tuple((counts / counts.sum()).tolist()),
        customers=len(data.arm_N),
        level=checked.level,
        reasons=found.reasons,
        checks=tuple(ArmCheck(name=c.name, p=c.p, passed=c.passed, meaning=c.meaning) for c in found.checks),
        trimmed=found.overlap.trimmed,
        largest_gap=_largest(found.balance),
        much_gap=diagnose.DiagnoseSettings().most_smd,
        features=tuple(data.features.columns),
        doubts=data.doubts,
        apart=checked.apart,
        kept=len(checked.keep),
        learned=learned,
        hidden=hidden,
    )


def _fit_models(store: Store, checked: _Checked, tell: Tell) -> dict[str, int]:
    """Fit and keep a model of each modelled outcome, net where it is money; rows that taught them, where not all."""
    settings, data = checked.settings, _part(checked.data, checked.keep)
    alike = checked.level == "randomised" and settings.planned == "equal"
    chance_NK = None if alike else checked.found.prob_NA[checked.keep, 1:]
    learned: dict[str, int] = {}
    for done, name in enumerate(settings.modelled):
        told = partial(_told, tell, (done, len(settings.modelled)), f"who gains how much {name}")
        told(0.0)
        net = settings.net(name)
        model = core.fit(
            data.features, data.arm_N, net.before_cost(data.outcomes[name]),
            propensity_NK=chance_NK,
            settings=core.EffectSettings(level=checked.level, seed=settings.seed, cost=net.cost), on_progress=told,
        )  # fmt: skip
        if model.learned is not None:
            learned[name] = model.learned
        store.save_model(f"effect_{name}", *model.to_parts())
    return learned


def _told(tell: Tell, turn: tuple[int, int], note: str, share: float) -> None:
    """Progress within the model of one outcome, which is `turn` (which, of how many)."""
    tell("effect", 0.2 + 0.7 * (turn[0] + share) / turn[1], note)


def _largest(balance: pl.DataFrame) -> float | None:
    """The largest gap between an arm and control, after weighting; None where nothing differs at all."""
    found = balance["after"].abs().max()
    return float(found) if isinstance(found, int | float) else None


def with_net(averages: pl.DataFrame, settings: TrialSettings) -> pl.DataFrame:
    """The same with `net`, `net_low` and `net_high`: what the effect on money is worth, its cost paid; else null."""
    net = settings.net(settings.money or "")
    paid = [net.effect(gross).alias(name) for gross, name in zip(TOLD[:3], NET, strict=True)]
    return averages.with_columns(
        pl.when(pl.col("outcome") == pl.lit(settings.money, pl.String)).then(each) for each in paid
    )


def hidden_causes(trial: TrialArrays, averages: pl.DataFrame) -> tuple[HiddenCause, ...]:
    """How strong a cause that nobody recorded must be to explain each arm's effect on the first outcome away.

    `odds`: the factor on the odds of treatment under the marginal sensitivity model; `e_value`: the risk ratios with
    treatment and outcome (see effect/sensitivity.py). 1 where the interval holds 0 anyway.
    """
    found, first = [], averages.filter(pl.col("outcome") == averages["outcome"][0])
    for row in first.iter_rows(named=True):
        pair = np.flatnonzero((trial.arm_N == 0) | (trial.arm_N == row["arm"]))
        prob = trial.prob_NA[pair]
        chance = prob[:, row["arm"]] / (prob[:, 0] + prob[:, row["arm"]])
        odds = tipping_odds(trial.outcome_N[pair], (trial.arm_N[pair] > 0).astype(np.float64), chance)
        e_value = e_value_of_mean(row["effect"], row["se"], float(trial.outcome_N[pair].std()))
        found.append(HiddenCause(arm=row["arm"], odds=odds, e_value=e_value.limit))
    return tuple(found)


def depth_curves(data: TrialData, keep: Ints, settings: TrialSettings, level: str) -> pl.DataFrame:
    """Gain along the depth for everybody and for thirds by the outcome expected: segment, depth, gain, low, high.

    Gains in money are net of margin and cost. InputError if treatments are no depths; SupportError unless they were
    drawn by lot with equal chances.
    """
    if level != "randomised" or settings.planned != "equal":
        raise SupportError("dose: depths must have been drawn by lot with equal chances (planned=equal)")
    try:
        depths = np.array([float(name) for name in data.arms])
    except ValueError:
        raise InputError(f"dose: treatments {', '.join(data.arms)} are no depths; give numbers, 0 for none") from None
    features, net = data.features[keep], settings.net(settings.deciding)
    model = fit_dose(features, depths[data.arm_N[keep]], net.before_cost(data.outcomes[settings.deciding][keep]))
    expected = model.expected(features)
    third = np.searchsorted(np.quantile(expected, [1 / 3, 2 / 3]), expected, side="right")
    names = np.array(["lowest third", "middle third", "highest third"])[third]
    grid = np.linspace(0, depths.max(), DEPTHS)[1:]
    everybody = model.segment(features, np.full(len(features), "everybody"), grid)
    found = pl.concat([everybody, model.segment(features, names, grid)])
    return found.with_columns(pl.col("gain", "low", "high") - net.cost)


def _diagnose(data: TrialData) -> diagnose.Diagnosis:
    return diagnose.diagnose(data.features, data.arm_N, planned_A=data.planned_NA, placebos=data.placebos)


def _level(found: diagnose.Diagnosis, data: TrialData) -> Level:
    """The level, or a SupportError that also tells what is doubtful about the columns."""
    try:
        return found.require()
    except SupportError as error:
        raise SupportError("; ".join((str(error), *data.doubts))) from None


def _trial(data: TrialData, prob_NA: Floats, seed: int, keep: Ints) -> TrialArrays:
    features = data.features[keep]
    encoder = encoder_of(features)
    x_NF = encoder.encode(features)
    return TrialArrays(
        x_NF, data.arm_N[keep], data.outcomes[next(iter(data.outcomes))][keep], prob_NA[keep],
        row_keys(x_NF, seed), tuple(encoder.names),
    )  # fmt: skip


def load(store: Store) -> Opened:
    """The trial of this work folder. StepError if `effect fit` has not run, InputError if its file is gone."""
    found = TrialFit.load(store)
    return Opened(found, read(Path(found.path), found.settings))


def _told_apart(store: Store) -> Opened:
    """The trial, or a StepError where nothing was known of its customers."""
    found = load(store)
    if not found.fit.apart:
        raise StepError(
            "nothing was known of these customers before the trial, so all are given the average effect that "
            "`promolift effect explain` tells; join what was known of them to find who gains more"
        )
    return found


def judge_trial(store: Store, tell: Tell) -> Judged:
    """Judge the effects out of fold: Qini beside simple rules, calibration, and what policies would have earned."""
    opened = _told_apart(store)
    found = _diagnose(opened.data)
    keep = np.flatnonzero(found.overlap.keep_N)
    assigned = Assigned(found.require(), found.prob_NA[keep])
    judged = judge(_part(opened.data, keep), opened.fit.settings, assigned, tell)
    judged.note.keep(store)
    judged.tables.keep(store)
    tell("evaluate", 1.0, "done")
    return judged


def _part(data: TrialData, keep: Ints) -> TrialData:
    """The customers kept."""
    outcomes = {name: values[keep] for name, values in data.outcomes.items()}
    return TrialData(data.features[keep], data.arm_N[keep], data.arms, outcomes, {})


def explain(store: Store) -> StepSummary:
    """What the models say and by which rule they were chosen, in plain words."""
    found = TrialFit.load(store)
    settings, decides = found.settings, found.settings.net(found.settings.deciding)
    parts = [fit_text(found, FittedTables.load(store).effects)]
    for name in settings.modelled if found.apart else ():
        model = core.EffectModel.from_parts(*store.load_model(f"effect_{name}"))
        whom = f"Who is treated is not decided by this but by {settings.deciding}, {decides.text()}."
        if name == settings.deciding:
            whom = model.advice([policy_names(found.arms)[0], *found.arms[1:]])
        said = model.evidence(found.arms)
        parts.append(f"{name}, {settings.net(name).text()}: {said} {whom}")
    return StepSummary("\n\n".join(parts), {"outcomes": list(settings.modelled)})


def plan_trial(store: Store, tell: Tell) -> TrialPlanned:
    """Who gets which treatment within the budget, by the net effect on money; kept with the curve of other budgets.

    Raises StepError where no outcome is money: a plan needs to know what a gain is worth.
    """
    opened = _told_apart(store)
    settings, data = opened.fit.settings, opened.data
    if settings.money is None:
        raise StepError("no outcome is money, so a plan cannot weigh gains against costs; name one with money")
    tell("plan", 0.2, "what each treatment adds")
    model = core.EffectModel.from_parts(*store.load_model(f"effect_{settings.money}"))
    predicted = model.predict(data.features)
    cost_NK = np.full(predicted.gain_NK.shape, settings.cost)
    budget = settings.budget if settings.budget is not None else settings.cost * len(cost_NK) / 2
    allowed = np.isin(np.arange(1, len(data.arms)), [model.best_arm, *model.other_arms])
    offered = np.where(allowed, predicted.gain_NK, np.nan)
    found = allocate.solve(offered, cost_NK, budget, seed=settings.seed)
    tell("plan", 0.7, "other budgets")
    frontier = allocate.trace(lambda: [allocate.Chunk(offered, cost_NK)], seed=settings.seed)
    rows = np.flatnonzero(found.choice_N >= 0)
    slot = found.choice_N[rows].astype(np.int64)
    gain, reach = predicted.gain_NK[rows, slot], Z95 * predicted.se_NK[rows, slot]
    table = pl.DataFrame(
        {
            "row": rows + 1,
            "treatment": np.array(data.arms)[slot + 1],
            "gain": gain,
            "low": gain - reach,
            "high": gain + reach,
            "cost": cost_NK[rows, slot],
            "evidence": pl.Series([predicted.level] * len(rows), dtype=pl.String),
        }
    )
    error = Z95 * _plan_error(data, settings.net(settings.money).before_cost(data.outcomes[settings.money]), rows, slot)
    note = TrialPlanned(
        budget=budget, gain=found.gain, low=found.gain - error, high=found.gain + error, cost=found.cost,
        treated=len(rows), customers=len(cost_NK), bound=found.bound, price=found.price, level=predicted.level,
        explain=found.explain(),
    )  # fmt: skip
    note.keep(store)
    PlannedTables(table, frontier).keep(store)
    tell("plan", 1.0, "done")
    return note


def _plan_error(data: TrialData, profit_N: Floats, rows_M: Ints, slot_M: Ints) -> float:
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


def fit_text(found: TrialFit, averages: pl.DataFrame) -> str:
    """The fit for a terminal."""
    arms = ", ".join(f"{name} {n:,}" for name, n in zip(found.arms, found.counts, strict=True))
    lines = [f"Customers: {arms}.", f"Evidence: {found.level}: {'; '.join(found.reasons)}."]
    for row in averages.iter_rows(named=True):
        name, outcome, rate = found.arms[row["arm"]], row["outcome"], row["outcome"] in found.settings.rates
        unit, of = (" points", " %") if rate else ("", "")
        effect, low, high, control = (f"{100 * row[k]:.2f}" if rate else f"{row[k]:.4g}" for k in TOLD)
        lines.append(f"  {outcome}: {name} adds {effect}{unit} ({low} to {high}) to {control}{of}")
        net = found.settings.net(outcome)
        if not net.plain and row["net"] is not None:
            worth, least, most = (f"{row[k]:.4g}" for k in NET)
            lines.append(f"    {net.text()}: {worth} ({least} to {most})")
    for name, rows in found.learned.items():
        lines.append(
            f"Note: the file is large, so who gains more in {name} was learned from {rows:,} of {found.kept:,} "
            "customers, drawn by hash; the average and the choice between models use all."
        )
    known = found.features
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    lines.append(f"Taken as known before the treatment: {shown if found.apart else 'nothing that differs'}.")
    return "\n".join([*lines, *(f"Note: {doubt}." for doubt in found.doubts)])


__all__ = [
    "TrialData", "TrialSettings", "depth_curves", "evaluate", "explain", "fit", "fit_trial",
    "judge_trial", "load", "plan", "plan_trial", "read",
]  # fmt: skip
