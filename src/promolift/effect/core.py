"""Features, treatments and outcomes of a trial in; what each treatment adds for each customer, and how sure, out.

Legend: N customers, F features, K treatments, A = K + 1 arms (arm 0 is control), C candidate learners, J folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike
from pydantic import Field

from promolift.effect.linear import Additive, Basis, Linear, family_of, fit_additive, fit_linear
from promolift.effect.nuisance import (
    Boosted,
    Nuisance,
    Response,
    estimate_propensity,
    fit_nuisance,
    rows_of,
    scores,
    weight_of,
    winsorised,
)
from promolift.effect.parts import Arrays, from_parts, to_parts
from promolift.effect.select import Rule, Verdict, judge, other_arms
from promolift.effect.simple import ByResponse, BySegment, Proportional, fit_proportional, fit_response, fit_segment
from promolift.effect.trees import Direct, PlugIn, Single, fit_trees
from promolift.effect.trial import (
    Column,
    Effect,
    Encoder,
    Features,
    Floats,
    Ints,
    Level,
    Trial,
    chunks,
    encoder_of,
    numbers,
    row_keys,
)
from promolift.errors import InputError, SupportError
from promolift.settings import Settings

Simple = Literal["proportional", "segment"]
Rich = Literal[
    "response", "additive", "additive-sparse", "multiplicative", "multiplicative-sparse",
    "t-trees", "s-trees", "x-trees", "r-trees", "dr-trees",
]  # fmt: skip
FOLDS = ((100_000, 5), (400_000, 3))  # below such a weight of rows, so many folds; else 2
LEARN_CELLS = 20_000_000  # rows x encoded features that models learn from; rows beyond still judge them
LEAST_ROWS = 50  # an arm with fewer customers is refused
CUT = 0.95  # amounts above this quantile do not decide which arm is best for everybody: a few whales would
KNOWN = (
    Encoder, Column, Verdict, Basis, Linear, Additive, Boosted, Response, Proportional, ByResponse, BySegment,
    PlugIn, Single, Direct,
)  # fmt: skip


class Gains(Protocol):
    """What every learner's model can do."""

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        ...


class EffectSettings(Settings):
    """Which learners compete and how they are judged.

    A `simple` learner, the simplest first, replaces a mixture that is not clearly better (select.NEAR); `rich` ones
    only enter the mixture. `folds` judge them (None: 5, with more rows fewer). `alpha`: chance of seeing
    differences in noise. `level`: whether treatments were drawn by lot (randomised) or are compared after adjustment.
    `bound`: standard errors by which the policy must do better than the best fixed arm before it leaves it.
    """

    simple: tuple[Simple, ...] = Field(default=("proportional", "segment"), min_length=1)
    rich: tuple[Rich, ...] = (
        "response", "additive", "multiplicative", "multiplicative-sparse", "t-trees", "s-trees", "x-trees",
    )  # fmt: skip
    folds: int | None = Field(default=None, ge=2, le=20)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    bound: float = Field(default=2.0, ge=0)
    level: Level = "randomised"
    seed: int = 0

    @property
    def learners(self) -> tuple[Simple | Rich, ...]:
        """All of them, the simple ones first."""
        return (*self.simple, *self.rich)


DEFAULT = EffectSettings()


@dataclass(frozen=True)
class Average:
    """Average effect of each treatment over control, net of mean cost, doubly robust, with its standard error."""

    gain_K: Floats
    se_K: Floats


@dataclass(frozen=True)
class EffectModel:
    """A fitted selector: for each fold one model of each chosen learner, their weights, and the reasons.

    `mean_JKC` is what each model says of the average customer, taken off before its weight is applied.
    The average and the judgement use all rows, even where only `learned` of them taught the models.
    `other_arms` are the arms that may replace `best_arm`, the best for everybody alike once amounts are winsorised.
    `cost_K`: mean cost of each treatment, taken off the average.
    """

    encoder: Encoder
    average: Average
    learners: tuple[str, ...]
    verdict: Verdict
    models: tuple[tuple[Gains, ...], ...]
    mean_JKC: Floats
    best_arm: int
    other_arms: Ints
    level: Level
    rows: int
    cost_K: Floats
    learned: int | None = None  # rows the models learned from, where not all

    @property
    def chosen(self) -> dict[str, float] | Literal["none"]:
        """Weights of the learners, or "none": no difference between customers was detected."""
        weights = {n: float(w) for n, w in zip(self.learners, self.verdict.weight_C, strict=True) if w > 0}
        return weights or "none"

    @property
    def scores(self) -> pl.DataFrame:
        """Out-of-fold score of each learner: `learner, score, se, z, weight` (see select.Verdict)."""
        return self.verdict.table(self.learners)

    def predict(self, features: Features, cost_NK: ArrayLike | None = None) -> Effect:
        """Gain of each customer and treatment, net of cost: the average and the chosen learners' differences from it.

        `cost_NK` is what treating these customers costs, as in `fit`; left out, what it cost on average in training.
        The standard error joins that of the average with the spread of the folds' models (delete-a-group jackknife).
        It knows nothing of differences that no learner could see.
        """
        x_NF = self.encoder.encode(features)
        each = np.zeros((max(len(self.models), 1), len(x_NF), len(self.average.gain_K)))
        weights = self.verdict.weight_C[self.verdict.weight_C > 0]
        for j, models in enumerate(self.models):
            for part in chunks(len(x_NF)):
                each[j, part] = (gains(models, x_NF[part]) - self.mean_JKC[j]) @ weights
        jackknife = (len(each) - 1) * each.var(axis=0)
        gain_NK = self.average.gain_K + each.mean(axis=0)
        if cost_NK is not None:
            gain_NK = gain_NK + (self.cost_K - _costs(cost_NK, gain_NK.shape))
        return Effect(gain_NK, np.sqrt(self.average.se_K**2 + jackknife), self.level)

    def policy(self, features: Features, cost_NK: ArrayLike | None = None) -> Ints:
        """Recommended arm of each customer: the best fixed one unless another proved better for customers like them."""
        value_NA = _over_control(self.predict(features, cost_NK).gain_NK)
        barred = np.ones(value_NA.shape[1], dtype=bool)
        barred[[self.best_arm, *self.other_arms]] = False
        value_NA[:, barred] = -np.inf
        return np.asarray(value_NA.argmax(axis=1), dtype=np.int64)

    def explain(self, arms: Sequence[str] | None = None) -> str:
        """What was chosen, why, and by which rule, in plain words. `arms` are their names, control first."""
        return f"{self.evidence(arms)} {self.advice(arms)}"

    def evidence(self, arms: Sequence[str] | None = None) -> str:
        """What treatments add on average, and whether customers differ in it."""
        names = arms or [f"treatment {arm}" for arm in range(len(self.average.gain_K) + 1)]
        pairs = zip(names[1:], self.average.gain_K, self.average.se_K, strict=True)
        effects = "; ".join(f"{name} adds {gain:.4g} (s.e. {se:.2g})" for name, gain, se in pairs)
        effects += f", {self._paid(names)} taken off" if self.cost_K.any() else ""
        return f"Evidence: {self.level}, {self.rows} customers; on average {effects}.{self._taught()} {self._why()}"

    def _paid(self, names: Sequence[str]) -> str:
        if (self.cost_K == self.cost_K[0]).all():
            return f"its cost of {self.cost_K[0]:g}"
        each = (f"{cost:.4g} ({name})" for name, cost in zip(names[1:], self.cost_K, strict=True))
        return f"their costs of {', '.join(each)}"

    def advice(self, arms: Sequence[str] | None = None) -> str:
        """Which arm is best for everybody alike, and which may replace it for some."""
        names = arms or [f"arm {arm}" for arm in range(len(self.average.gain_K) + 1)]
        others = ", ".join(names[arm] for arm in self.other_arms)
        fixed = f"Best for everybody alike: {names[self.best_arm]}."
        return f"{fixed} Better for some: {others}." if others else f"{fixed} No group proved better off with another."

    def _taught(self) -> str:
        if self.learned is None:
            return ""
        return f" The models learned from {self.learned} of them, drawn by hash, and were judged by all."

    def _why(self) -> str:
        v, parts = self.verdict, ", ".join(f"{name} x {w:.2f}" for name, w in _items(self.chosen))
        best = int(v.z_C.argmax())
        test = (
            f"Of {len(self.learners)} learners judged out of fold, {self.learners[best]} tells customers apart best: "
            f"z = {v.z_C[best]:.2f}, where {v.limit:.2f} rules out chance in all of them together."
        )
        match v.answer, v.z_C[best] > v.limit:
            case "none", _:
                return f"{test} No difference between customers was detected: everybody is given the average."
            case "simple", True:
                return f"{test} No mixture was clearly better than the simpler answer, which is used: {parts}."
            case "simple", False:
                return (
                    f"{test} Beyond the average, which is beyond doubt, no difference was detected; between the same "
                    f"gain and the same relative gain for everybody the data could not decide, so part of it: {parts}."
                )
            case _:
                return f"{test} Gains differ between customers by a mixture of learners: {parts}."

    def to_parts(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays by name and a JSON manifest."""
        return to_parts(self)

    @classmethod
    def from_parts(cls, arrays: Arrays, manifest: dict[str, Any]) -> Self:
        """The model that `to_parts` gave. Raises InputError for a manifest it does not know."""
        model = from_parts(arrays, manifest, (*KNOWN, Average, cls))
        if not isinstance(model, cls):
            raise InputError(f"model manifest: holds a {type(model).__name__}, not an effect model")
        return model


def fit(
    features_NF: Features,
    treatment_N: ArrayLike,
    outcome_N: ArrayLike,
    *,
    propensity_NK: ArrayLike | Literal["estimate"] | None = None,
    cost_NK: ArrayLike = 0.0,
    settings: EffectSettings = DEFAULT,
    told: Callable[[float], object] = float,
) -> EffectModel:
    """Let learners compete for how the effect differs between customers; believe them as far as they prove it.

    `treatment_N` is 0 for control, 1..K for treatments. `propensity_NK` is each treatment's chance, or each arm's with
    control first (one row will do for all customers alike); None: the arms' shares; "estimate": learned from the
    features, which makes the level `adjusted`. `cost_NK` of treating, in the outcome's unit: one number, one for each
    treatment (1 x K), or for each customer and treatment. Every gain is net of it; it is known, so nothing has to learn
    it: the learners see the outcome alone. The order of rows changes nothing. `told` hears the share of the folds done.
    Raises InputError or SupportError for what cannot be used.
    """
    encoder = encoder_of(features_NF)
    trial = _trial(encoder, features_NF, (treatment_N, outcome_N, propensity_NK), settings.seed)
    order = np.argsort(trial.key_N)  # so that sums too do not hang on the order of rows
    trial = rows_of(trial, order)
    cost_NK = _costs(cost_NK, (len(order), trial.arms - 1), order)
    cost_K = cost_NK.mean(axis=0)
    folds = settings.folds or next((few for weight, few in FOLDS if weight_of(trial) < weight), 2)
    learned = learnable(trial)
    fold_N = ((trial.key_N >> np.uint64(8)) % np.uint64(folds)).astype(np.int64)
    gain_NKC = np.zeros((len(fold_N), trial.arms - 1, len(settings.learners)))
    psi_NK, fitted = np.zeros(gain_NKC.shape[:2]), []
    for fold in range(folds):
        held = fold_N == fold
        taught = np.flatnonzero(~held[:learned])
        models, psi_NK[held], gain_NKC[held] = _fit_fold(rows_of(trial, taught), rows_of(trial, held), settings)
        fitted.append(models)
        told((fold + 1) / folds)
    rule = Rule(len(settings.simple), settings.alpha, settings.seed)
    verdict = judge(gain_NKC, psi_NK, fold_N, rule)
    best = _best(trial, psi_NK, cost_K)
    psi_NK -= cost_K
    average = Average(psi_NK.mean(axis=0), psi_NK.std(axis=0, ddof=1) / np.sqrt(len(psi_NK)))
    chosen = np.flatnonzero(verdict.weight_C > 0)
    kept = tuple(tuple(models[c] for c in chosen) for models in fitted) if chosen.size else ()
    mean_JKC = np.stack([gain_NKC[fold_N == j][:, :, chosen].mean(axis=0) for j in range(folds)])
    differ_NK = gain_NKC @ verdict.weight_C
    more_NK = cost_NK - cost_K  # what treating a customer costs beyond the average
    value_NA = _over_control(average.gain_K + differ_NK - differ_NK.mean(axis=0) - more_NK)
    others = other_arms(value_NA, _over_control(psi_NK - more_NK), best, settings.bound)
    level: Level = "adjusted" if _estimated(propensity_NK) and settings.level == "randomised" else settings.level
    return EffectModel(
        encoder, average, settings.learners, verdict, kept, mean_JKC, best, others, level, len(fold_N), cost_K,
        learned if learned < len(fold_N) else None,
    )  # fmt: skip


def learnable(trial: Trial) -> int:
    """How many of the first rows, which are in the order of their keys, models learn from: LEARN_CELLS at most.

    More only if an arm would be left with too few: the draw keeps the arms' shares, which the scores rely on.
    """
    rows, features = len(trial.arm_N), trial.x_NF.shape[1]
    few: int = min(rows, max(LEARN_CELLS // max(features, 1), LEAST_ROWS))
    while few < rows and int(np.bincount(trial.arm_N[:few], minlength=trial.arms).min()) < LEAST_ROWS:
        few = min(rows, 2 * few)
    return few


def _fit_fold(outside: Trial, inside: Trial, settings: EffectSettings) -> tuple[tuple[Gains, ...], Floats, Floats]:
    """All learners on the rows outside a fold; the scores, and the gains by each, of the rows inside."""
    nuisance = fit_nuisance(outside)
    models = tuple(fit_learner(name, outside, nuisance) for name in settings.learners)
    parts = chunks(len(inside.arm_N))
    mu_NA = np.concatenate([nuisance.response.mean(inside.x_NF[part]) for part in parts])
    return models, scores(inside, mu_NA), np.concatenate([gains(models, inside.x_NF[part]) for part in parts])


def gains(models: tuple[Gains, ...], x_NF: Floats) -> Floats:
    """gain_NKC of all models; the response model that some of them share is asked once."""
    asked: dict[int, Floats] = {}
    found = []
    for model in models:
        if isinstance(model, Proportional | ByResponse | PlugIn):
            key = id(model.response)
            asked[key] = asked[key] if key in asked else model.response.mean(x_NF)
            found.append(model.of(asked[key]))
        else:
            found.append(model.gain(x_NF))
    return np.stack(found, axis=2)


def fit_learner(name: Simple | Rich, trial: Trial, nuisance: Nuisance) -> Gains:
    """One learner by name; all share the nuisance models."""
    match name:
        case "proportional":
            return fit_proportional(trial, nuisance)
        case "response":
            return fit_response(trial, nuisance)
        case "segment":
            return fit_segment(trial, nuisance)
        case "additive" | "additive-sparse":
            return fit_additive(trial, nuisance.psi_NK, sparse=name.endswith("sparse"))
        case "multiplicative" | "multiplicative-sparse":
            family = family_of(trial.outcome_N)
            outcome_N = trial.outcome_N if family == "binary" else winsorised(trial.outcome_N)
            return fit_linear(trial, outcome_N, family=family, sparse=name.endswith("sparse"))
        case "t-trees" | "s-trees" | "x-trees" | "r-trees" | "dr-trees":
            return fit_trees(trial, nuisance, name)


def _over_control(gain_NK: Floats) -> Floats:
    """The same with a column of zeros for control."""
    return np.column_stack([np.zeros(len(gain_NK)), gain_NK])


def _costs(cost: ArrayLike, shape: tuple[int, ...], order: Ints | None = None) -> Floats:
    """Costs of treating as a row for each customer, in this order, or one row for all of them alike."""
    cost_NK = np.atleast_2d(np.asarray(cost, dtype=np.float64))
    if cost_NK.ndim > 2 or len(cost_NK) not in (1, shape[0]) or cost_NK.shape[1] not in (1, shape[1]):
        raise InputError(f"cost: shape {cost_NK.shape} for {shape[0]} customers and {shape[1]} treatments")
    if not np.isfinite(cost_NK).all():
        raise InputError("cost: some are missing or infinite; give a number for every customer and treatment")
    wide_NK = np.broadcast_to(cost_NK, (len(cost_NK), shape[1]))
    return np.asarray(wide_NK if order is None or len(wide_NK) == 1 else wide_NK[order])


def _best(trial: Trial, psi_NK: Floats, cost_K: Floats) -> int:
    """The arm with the best doubly robust mean of winsorised outcomes: heavy tails misled plain ones in simulation.

    Gains are held to have lost the share that outcomes lost: cut ones would face the whole cost.
    """
    cut_N = winsorised(trial.outcome_N, CUT)
    excess = replace(trial, outcome_N=trial.outcome_N - cut_N)
    cut_NK = psi_NK - scores(excess, np.zeros_like(trial.prob_NA))
    whole = float(np.abs(trial.outcome_N).sum() / max(np.abs(cut_N).sum(), 1e-12))
    return int(np.r_[0.0, whole * cut_NK.mean(axis=0) - cost_K].argmax())


def _trial(encoder: Encoder, features: Features, given: tuple[Any, Any, Any], seed: int) -> Trial:
    """Check what came in."""
    treatment, outcome, propensity = given
    x_NF, outcome_N, given_N = encoder.encode(features), numbers(outcome, "outcome"), numbers(treatment, "treatment")
    if not len(x_NF) == len(outcome_N) == len(given_N):
        sizes = f"{len(x_NF)}, {len(given_N)} and {len(outcome_N)}"
        raise InputError(f"features, treatment, outcome: {sizes} customers; give one of each for every customer")
    if (given_N != given_N.round()).any() or given_N.min(initial=0) < 0:
        raise InputError("treatment: give whole numbers, 0 for control and 1, 2 .. for the treatments")
    arm_N = given_N.astype(np.int64)
    count_A = np.bincount(arm_N)
    if len(count_A) < 2 or count_A.min() < LEAST_ROWS:
        raise SupportError(f"treatment: {count_A.tolist()} customers by arm; every arm needs at least {LEAST_ROWS}")
    key_N = row_keys(np.column_stack([x_NF, arm_N, outcome_N]), seed)
    if _estimated(propensity):
        prob_NA = estimate_propensity(x_NF, arm_N, key_N)
    else:
        prob_NA = _given(count_A[1:] / count_A.sum() if propensity is None else propensity, count_A)
    return Trial(x_NF, arm_N, outcome_N, prob_NA, key_N, tuple(encoder.names))


def _estimated(propensity: object) -> bool:
    return isinstance(propensity, str) and propensity == "estimate"


def _given(propensity: ArrayLike, count_A: Ints) -> Floats:
    try:
        prob = np.asarray(propensity, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError('propensity: not numbers; give chances, "estimate" or None') from None
    if prob.shape == (len(count_A) - 1,):
        prob = np.tile(prob, (count_A.sum(), 1))
    elif prob.ndim == 1:
        prob = prob[:, None]
    if prob.shape == (count_A.sum(), len(count_A) - 1):
        prob = np.column_stack([1 - prob.sum(axis=1), prob])
    if prob.shape != (count_A.sum(), len(count_A)):
        raise InputError(f"propensity: shape {prob.shape}; give one column for each treatment, or for each arm")
    if not (prob > 0).all() or np.abs(prob.sum(axis=1) - 1).max() > 1e-6:
        raise InputError("propensity: chances must be above 0 and sum to 1 over control and treatments")
    return prob


def _items(chosen: dict[str, float] | Literal["none"]) -> list[tuple[str, float]]:
    return [] if chosen == "none" else list(chosen.items())
