"""A trial file and what its columns mean in; its diagnosis, effects, evaluation and a plan kept in a work folder.

Legend: N customers, K treatments, A = K + 1 arms (arm 0 is control).
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift import allocate
from promolift.effect import core, diagnose
from promolift.effect.dose import fit_dose
from promolift.effect.outcomes import average_effects
from promolift.effect.sensitivity import e_value_of_mean, tipping_odds
from promolift.effect.trial import Level, Trial, encoder_of, row_keys
from promolift.errors import InputError, StepError, SupportError
from promolift.learn.metrics import Z95
from promolift.steps.job import Tell
from promolift.steps.trial_judge import judge
from promolift.steps.trial_read import TrialData, TrialSettings, read
from promolift.store import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DEPTHS = 13  # points of a depth curve, 0 included
TOLD = ("effect", "low", "high", "control_mean")


def fit(store: Store, path: Path, settings: TrialSettings, tell: Tell) -> dict[str, Any]:
    """Diagnose the trial, estimate its effects, keep the models. Raises SupportError where no effect can be claimed."""
    tell("effect", 0.0, "who got what")
    data = read(path, settings)
    found = _diagnose(data)
    level = _level(found, data)
    keep = np.flatnonzero(found.overlap.keep_N)
    trial = _trial(data, found.prob_NA, settings.seed, keep)
    tell("effect", 0.1, "average effects")
    averages = average_effects(trial, {n: v[keep] for n, v in data.outcomes.items()}, level)
    store.save("trial_effects", averages)
    apart = any(column.n_unique() > 1 for column in data.features)
    names, learned = modelled(settings) if apart else (), {}
    for done, name in enumerate(names):
        told = partial(_told, tell, (done, len(names)), f"who gains how much {name}")
        told(0.0)
        chances = None if level == "randomised" and settings.planned == "equal" else found.prob_NA[keep, 1:]
        model = core.fit(
            data.features[keep], data.arm_N[keep], data.outcomes[name][keep],
            propensity_NK=chances, settings=core.EffectSettings(level=level, seed=settings.seed), told=told,
        )  # fmt: skip
        if model.learned is not None:
            learned[name] = model.learned
        store.save_model(f"effect_{name}", *model.to_parts())
    if settings.dose:
        tell("effect", 0.9, "along the depth")
        store.save("trial_dose", depth_curves(data, keep, settings, level))
    notes = {
        "path": str(path.resolve()),
        "settings": settings.model_dump(),
        "arms": data.arms,
        "counts": np.bincount(data.arm_N).tolist(),
        "level": level,
        "reasons": list(found.reasons),
        "checks": [{"name": c.name, "p": c.p, "passed": c.passed, "meaning": c.meaning} for c in found.checks],
        "trimmed": found.overlap.trimmed,
        "features": data.features.columns,
        "doubts": list(data.doubts),
        "apart": apart,
        "kept": len(keep),
        "learned": learned,
        "hidden": [] if level == "randomised" else hidden_causes(trial, averages),
    }
    store.save("trial_balance", found.balance)
    store.save("trial_placebos", found.placebos)
    store.save_json("trial", notes)
    tell("effect", 1.0, "done")
    return notes | {"text": fit_text(notes, averages)}


def _told(tell: Tell, turn: tuple[int, int], note: str, share: float) -> None:
    """Progress within the model of one outcome, which is `turn` (which, of how many)."""
    tell("effect", 0.2 + 0.7 * (turn[0] + share) / turn[1], note)


def hidden_causes(trial: Trial, averages: pl.DataFrame) -> list[dict[str, float]]:
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
        found.append({"arm": row["arm"], "odds": odds, "e_value": e_value.limit})
    return found


def depth_curves(data: TrialData, keep: Ints, settings: TrialSettings, level: str) -> pl.DataFrame:
    """Gain along the depth for everybody and for thirds by the outcome expected: segment, depth, gain, low, high.

    InputError if treatments are no depths; SupportError unless they were drawn by lot with equal chances.
    """
    if level != "randomised" or settings.planned != "equal":
        raise SupportError("dose: depths must have been drawn by lot with equal chances (planned=equal)")
    try:
        depths = np.array([float(name) for name in data.arms])
    except ValueError:
        raise InputError(f"dose: treatments {', '.join(data.arms)} are no depths; give numbers, 0 for none") from None
    features = data.features[keep]
    model = fit_dose(features, depths[data.arm_N[keep]], data.outcomes[modelled(settings)[-1]][keep])
    expected = model.expected(features)
    third = np.searchsorted(np.quantile(expected, [1 / 3, 2 / 3]), expected, side="right")
    names = np.array(["lowest third", "middle third", "highest third"])[third]
    grid = np.linspace(0, depths.max(), DEPTHS)[1:]
    everybody = model.segment(features, np.full(len(features), "everybody"), grid)
    return pl.concat([everybody, model.segment(features, names, grid)])


def modelled(settings: TrialSettings) -> tuple[str, ...]:
    """Outcomes with a model of their own: the first, and the money."""
    return tuple(dict.fromkeys((settings.outcomes[0], *((settings.money,) if settings.money else ()))))


def _diagnose(data: TrialData) -> diagnose.Diagnosis:
    return diagnose.diagnose(data.features, data.arm_N, planned_A=data.planned_NA, placebos=data.placebos)


def _level(found: diagnose.Diagnosis, data: TrialData) -> Level:
    """The level, or a SupportError that also tells what is doubtful about the columns."""
    try:
        return found.require()
    except SupportError as error:
        raise SupportError("; ".join((str(error), *data.doubts))) from None


def _trial(data: TrialData, prob_NA: Floats, seed: int, keep: Ints) -> Trial:
    features = data.features[keep]
    encoder = encoder_of(features)
    x_NF = encoder.encode(features)
    return Trial(
        x_NF, data.arm_N[keep], data.outcomes[next(iter(data.outcomes))][keep], prob_NA[keep],
        row_keys(x_NF, seed), tuple(encoder.names),
    )  # fmt: skip


def load(store: Store) -> tuple[TrialSettings, TrialData, dict[str, Any]]:
    """The trial of this work folder. StepError if `effect fit` has not run, InputError if its file is gone."""
    notes = store.load_json("trial")
    settings = TrialSettings.parse(notes["settings"], "trial")
    return settings, read(Path(notes["path"]), settings), notes


def _told_apart(store: Store) -> tuple[TrialSettings, TrialData, dict[str, Any]]:
    """The trial, or a StepError where nothing was known of its customers."""
    settings, data, notes = load(store)
    if not notes["apart"]:
        raise StepError(
            "nothing was known of these customers before the trial, so all are given the average effect that "
            "`promolift effect explain` tells; join what was known of them to find who gains more"
        )
    return settings, data, notes


def evaluate(store: Store, tell: Tell) -> dict[str, Any]:
    """Judge the effects out of fold: Qini beside simple rules, calibration, and what policies would have earned."""
    settings, data, _ = _told_apart(store)
    lot = _diagnose(data)
    keep_N = lot.overlap.keep_N
    found = judge(_part(data, keep_N), modelled(settings), (lot.require(), lot.prob_NA[keep_N]), settings.seed, tell)
    for name, table in found.tables.items():
        store.save(f"trial_{name}", table)
    store.save_json("trial_judged", found.notes)
    tell("evaluate", 1.0, "done")
    return found.notes | {"text": found.text}


def _part(data: TrialData, keep_N: NDArray[np.bool_]) -> TrialData:
    """The customers kept."""
    outcomes = {name: values[keep_N] for name, values in data.outcomes.items()}
    return TrialData(data.features.filter(pl.Series(keep_N)), data.arm_N[keep_N], data.arms, outcomes, {})


def explain(store: Store) -> dict[str, Any]:
    """What the models say and by which rule they were chosen, in plain words."""
    notes = store.load_json("trial")
    settings = TrialSettings.parse(notes["settings"], "trial")
    parts = [fit_text(notes, store.frame("trial_effects"))]
    for name in modelled(settings) if notes["apart"] else ():
        model = core.EffectModel.from_parts(*store.load_model(f"effect_{name}"))
        told = model.explain()
        for at, arm in reversed(list(enumerate(notes["arms"]))):
            told = told.replace(f"treatment {at} ", f"{arm} ").replace(f"arm {at}", arm)
        parts.append(f"{name}: {told}")
    return {"outcomes": list(modelled(settings)), "text": "\n\n".join(parts)}


def plan(store: Store, tell: Tell) -> dict[str, Any]:
    """Who gets which treatment within the budget, by the effect on money; kept as `trial_plan` and `trial_frontier`.

    Raises StepError where no outcome is money: a plan needs to know what a gain is worth.
    """
    settings, data, _ = _told_apart(store)
    if settings.money is None:
        raise StepError("no outcome is money, so a plan cannot weigh gains against costs; name one with money")
    tell("plan", 0.2, "what each treatment adds")
    model = core.EffectModel.from_parts(*store.load_model(f"effect_{settings.money}"))
    predicted = model.predict(data.features)
    gain_NK = settings.margin_rate * predicted.gain_NK - settings.cost
    cost_NK = np.full(gain_NK.shape, settings.cost)
    everybody = settings.cost * len(gain_NK)
    budget = settings.budget if settings.budget is not None else everybody / 2
    allowed = np.isin(np.arange(1, len(data.arms)), [model.best_arm, *model.other_arms])
    offered = np.where(allowed, gain_NK, np.nan)
    found = allocate.solve(offered, cost_NK, budget, seed=settings.seed)
    tell("plan", 0.7, "other budgets")
    frontier = allocate.trace(lambda: [allocate.Chunk(offered, cost_NK)], seed=settings.seed)
    taken = found.choice_N >= 0
    rows, slot = np.flatnonzero(taken), found.choice_N[taken].astype(np.int64)
    reach = Z95 * settings.margin_rate * predicted.se_NK[rows, slot]
    table = pl.DataFrame(
        {
            "row": rows + 1,
            "treatment": np.array(data.arms)[slot + 1],
            "gain": gain_NK[rows, slot],
            "low": gain_NK[rows, slot] - reach,
            "high": gain_NK[rows, slot] + reach,
            "cost": cost_NK[rows, slot],
            "evidence": [predicted.level] * len(rows),
        }
    )
    error = _common_error(model, slot, settings.margin_rate)
    summary = {
        "budget": budget, "gain": found.gain, "low": found.gain - error, "high": found.gain + error, "cost": found.cost,
        "treated": int(taken.sum()), "customers": len(gain_NK), "bound": found.bound, "price": found.price,
        "level": predicted.level, "explain": found.explain(),
    }  # fmt: skip
    store.save("trial_plan", table)
    store.save("trial_frontier", frontier)
    store.save_json("trial_planned", summary)
    tell("plan", 1.0, "done")
    return summary | {"text": found.explain()}


def _common_error(model: core.EffectModel, slot_M: Ints, margin_rate: float) -> float:
    """Reach of the 95 % interval of the plan's gain: the errors of the average effects are common to all customers."""
    counts_K = np.bincount(slot_M, minlength=len(model.average.se_K))
    return float(Z95 * margin_rate * np.sum(counts_K * model.average.se_K))


def fit_text(notes: dict[str, Any], averages: pl.DataFrame) -> str:
    """The fit for a terminal."""
    arms = ", ".join(f"{name} {n:,}" for name, n in zip(notes["arms"], notes["counts"], strict=True))
    lines = [f"Customers: {arms}.", f"Evidence: {notes['level']}: {'; '.join(notes['reasons'])}."]
    for row in averages.iter_rows(named=True):
        name, rate = notes["arms"][row["arm"]], row["outcome"] in notes["settings"]["rates"]
        unit, of = (" points", " %") if rate else ("", "")
        effect, low, high, control = (f"{100 * row[k]:.2f}" if rate else f"{row[k]:.4g}" for k in TOLD)
        lines.append(f"  {row['outcome']}: {name} adds {effect}{unit} ({low} to {high}) to {control}{of}")
    for name, rows in notes.get("learned", {}).items():
        lines.append(
            f"Note: the file is large, so who gains more in {name} was learned from {rows:,} of {notes['kept']:,} "
            "customers, drawn by hash; the average and the choice between models use all."
        )
    known = notes["features"]
    shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    lines.append(f"Taken as known before the treatment: {shown if notes['apart'] else 'nothing that differs'}.")
    return "\n".join([*lines, *(f"Note: {doubt}." for doubt in notes["doubts"])])


__all__ = ["TrialData", "TrialSettings", "evaluate", "explain", "fit", "load", "modelled", "plan", "read"]
