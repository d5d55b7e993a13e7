"""A trial file and what its columns mean in; its diagnosis, effects, evaluation and a plan kept in a work folder.

Legend: N customers, K treatments, A = K + 1 arms (arm 0 is control).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from promolift import allocate
from promolift.currency import Currency
from promolift.effect import core, diagnose
from promolift.effect.dose import fit_dose
from promolift.effect.outcomes import average_effects
from promolift.effect.sensitivity import e_value_of_mean, tipping_odds
from promolift.effect.trial import Trial, encoder_of, row_keys
from promolift.errors import InputError, StepError, SupportError
from promolift.learn.metrics import Z95
from promolift.settings import Settings
from promolift.sources.trials import read_trial
from promolift.steps.job import Tell
from promolift.steps.trial_judge import judge
from promolift.store import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
DEPTHS = 13  # points of a depth curve, 0 included


class TrialSettings(Settings):
    """What the columns of a trial file mean.

    `treatment` says who got what and `control` which of its values is no treatment. `rates` are outcomes of 0 or 1,
    `counts` whole numbers, `money` is an amount in `currency`; the first outcome is what customers are told apart by.
    `planned`: the shares the lot was drawn with ("equal", or one for each arm, control first); left out, the trial was
    not drawn by lot and has to be adjusted. `features` were known before (left out: all other columns). `placebos` are
    outcomes that no treatment can have moved. `dose`: treatments are depths of a discount drawn by lot, control is
    0; the last outcome is read as a curve along them. `cost` of treating one customer, in money; `budget` of the plan
    likewise (left out: half of treating everybody). `margin_rate` of `money` is profit. `days` outcomes were watched.
    """

    name: str = "Trial"
    treatment: str
    control: str
    rates: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    money: str | None = None
    features: tuple[str, ...] = ()
    placebos: tuple[str, ...] = ()
    dose: bool = False
    planned: Literal["equal"] | tuple[float, ...] | None = None
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
        return self

    @property
    def outcomes(self) -> tuple[str, ...]:
        """All outcomes; the first tells customers apart."""
        return (*self.rates, *self.counts, *((self.money,) if self.money else ()))


@dataclass(frozen=True)
class TrialData:
    """Features known before, arm numbers (0 control) and their names, outcomes by name."""

    features: pl.DataFrame
    arm_N: Ints
    arms: tuple[str, ...]
    outcomes: dict[str, Floats]
    placebos: dict[str, Floats]

    @property
    def planned(self) -> Floats:
        """Equal shares."""
        return np.full(len(self.arms), 1 / len(self.arms))


def read(path: Path, settings: TrialSettings) -> TrialData:
    """Rows of the file by their meaning. InputError names what is missing or is not what it should be."""
    frame = read_trial(path)
    used = (settings.treatment, *settings.outcomes, *settings.placebos, *settings.features)
    if missing := [name for name in used if name not in frame.columns]:
        raise InputError(f"{path}: no column {missing[0]!r}; it has {', '.join(frame.columns)}")
    who = _names(frame[settings.treatment])
    if who.null_count():
        raise InputError(f"{path}: {who.null_count()} rows say nothing of their treatment; mend them or leave them out")
    found = sorted(who.unique().to_list())
    if settings.control not in found:
        raise InputError(
            f"{path}: control {settings.control!r} is no value of {settings.treatment}: {', '.join(found)}"
        )
    if not 2 <= len(found) <= 30:
        raise InputError(f"{path}: {settings.treatment} has {len(found)} values; a trial has 2 to 30 arms")
    arms = (settings.control, *(name for name in found if name != settings.control))
    arm_N = who.replace_strict({name: at for at, name in enumerate(arms)}, return_dtype=pl.Int64).to_numpy()
    values = {name: _outcome(path, frame[name], name in settings.rates) for name in settings.outcomes}
    placebos = {name: _outcome(path, frame[name], False) for name in settings.placebos}
    features = settings.features or tuple(n for n in frame.columns if n not in (*used, *_keys(frame)))
    if not features:
        raise InputError(f"{path}: no column is left as a feature known before the trial")
    return TrialData(frame.select(features), arm_N, arms, values, placebos)


def _names(column: pl.Series) -> pl.Series:
    """Treatments as text; numbers as short as they can be written, so that 0.0 is 0."""
    if column.dtype.is_float():
        return column.map_elements(lambda value: f"{value:g}", return_dtype=pl.String)
    return column.cast(pl.String)


def _keys(frame: pl.DataFrame) -> list[str]:
    """Text columns with a value of its own for nearly every row: names of customers, no features."""
    return [c.name for c in frame if c.dtype == pl.String and c.n_unique() > 0.9 * max(100, frame.height)]


def _outcome(path: Path, column: pl.Series, rate: bool) -> Floats:
    if column.dtype == pl.Boolean:
        column = column.cast(pl.Float64)
    if not column.dtype.is_numeric() or column.null_count():
        what = "missing values" if column.dtype.is_numeric() else f"text such as {column.drop_nulls()[:1].to_list()}"
        raise InputError(f"{path}: outcome {column.name!r} has {what}; give a number for every customer")
    values: Floats = column.cast(pl.Float64).to_numpy().astype(np.float64)
    if rate and not np.isin(values, (0.0, 1.0)).all():
        raise InputError(f"{path}: {column.name!r} is named as a rate but has other values than 0 and 1")
    return values


def fit(store: Store, path: Path, settings: TrialSettings, tell: Tell) -> dict[str, Any]:
    """Diagnose the trial, estimate its effects, keep the models. Raises SupportError where no effect can be claimed."""
    tell("effect", 0.0, "who got what")
    data = read(path, settings)
    found = _diagnose(data, settings)
    level = found.require()
    keep = np.flatnonzero(found.overlap.keep_N)
    trial = _trial(data, found.prob_NA, settings.seed, keep)
    tell("effect", 0.1, "average effects")
    averages = average_effects(trial, {n: v[keep] for n, v in data.outcomes.items()}, level)
    store.save("trial_effects", averages)
    for done, name in enumerate(modelled(settings)):
        tell("effect", 0.2 + 0.7 * done / 2, f"who gains how much {name}")
        chances = None if level == "randomised" and settings.planned == "equal" else found.prob_NA[keep, 1:]
        model = core.fit(
            data.features[keep], data.arm_N[keep], data.outcomes[name][keep],
            propensity_NK=chances, settings=core.EffectSettings(level=level, seed=settings.seed),
        )  # fmt: skip
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
        "kept": len(keep),
        "hidden": [] if level == "randomised" else hidden_causes(trial, averages),
    }
    store.save("trial_balance", found.balance)
    store.save("trial_placebos", found.placebos)
    store.save_json("trial", notes)
    tell("effect", 1.0, "done")
    return notes | {"text": fit_text(notes, averages)}


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


def _diagnose(data: TrialData, settings: TrialSettings) -> diagnose.Diagnosis:
    planned = data.planned if settings.planned == "equal" else settings.planned
    if planned is not None and len(planned) != len(data.arms):
        raise InputError(f"planned: {len(planned)} shares for {len(data.arms)} arms {', '.join(data.arms)}")
    return diagnose.diagnose(data.features, data.arm_N, planned_A=planned, placebos=data.placebos)


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


def evaluate(store: Store, tell: Tell) -> dict[str, Any]:
    """Judge the effects out of fold: Qini beside simple rules, calibration, and what policies would have earned."""
    settings, data, _ = load(store)
    lot = _diagnose(data, settings)
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
    settings, _, notes = load(store)
    parts = [fit_text(notes, store.frame("trial_effects"))]
    for name in modelled(settings):
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
    settings, data, _ = load(store)
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
        name = notes["arms"][row["arm"]]
        lines.append(
            f"  {row['outcome']}: {name} adds {row['effect']:.4g} ({row['low']:.4g} to {row['high']:.4g}) "
            f"to {row['control_mean']:.4g}"
        )
    return "\n".join(lines)


__all__ = ["TrialData", "TrialSettings", "evaluate", "explain", "fit", "load", "modelled", "plan", "read"]
