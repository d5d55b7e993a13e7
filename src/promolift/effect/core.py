"""Features, treatments and outcomes of a trial in; what each treatment adds for each customer, and how sure, out.

Legend: N customers, F features, K treatments, A = K + 1 arms (arm 0 is control), C candidate learners, J folds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike
from pydantic import Field

from promolift.effect.learners import (
    ByResponse,
    BySegment,
    Direct,
    PlugIn,
    Proportional,
    Single,
    fit_proportional,
    fit_response,
    fit_segment,
    fit_trees,
)
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
from promolift.effect.parts import Arrays, ModelParts, from_parts, to_parts
from promolift.effect.trial import (
    Effect,
    FeatureColumn,
    FeatureEncoder,
    Features,
    Floats,
    Ints,
    Level,
    TrialArrays,
    chunks,
    encoder_of,
    named_arms,
    numbers,
    row_keys,
)
from promolift.errors import InputError, SupportError
from promolift.hashing import hash_int
from promolift.settings import Settings

DRAWS = 20_000  # Gaussian draws behind the quantile of the largest of C correlated tests
WEIGHT_SD = 0.15  # spread of the stack's weights around an equal share before any data
NEAR = 0.5  # a simpler answer whose loss is larger by so many standard errors is as good; 1 lost more in simulation
BEYOND_DOUBT = 3.0  # an average effect of so many standard errors is not noise
Answer = Literal["none", "simple", "stack"]


@dataclass(frozen=True)
class SelectionRule:
    """How candidates are judged: the first `simple` of them are simpler than their mixture, in order of simplicity."""

    simple: int
    alpha: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Selection:
    """Weight of each candidate (all 0: everybody gains the same) and the numbers behind it.

    `score_C`: by how much, in outcome units squared for each customer and treatment, following a candidate's
    differences lowers the doubly robust loss of the constant effect, with its s.e.; `z_C` tests the same, and the
    largest z must exceed `limit`.
    """

    answer: Answer
    weight_C: Floats
    score_C: Floats
    se_C: Floats
    z_C: Floats
    limit: float

    def table(self, names: tuple[str, ...]) -> pl.DataFrame:
        """One row for each candidate."""
        return pl.DataFrame(
            {"learner": names, "score": self.score_C, "se": self.se_C, "z": self.z_C, "weight": self.weight_C}
        )


class _Weighted(NamedTuple):
    """An answer and the weight that it gives to each candidate."""

    answer: Answer
    weight_C: Floats


def judge(gain_NKC: Floats, psi_NK: Floats, fold_N: Ints, rule: SelectionRule) -> Selection:
    """Test all candidates against "everybody gains the same"; mix them; fall back on the simplest as good.

    Gains are centred within folds: candidates compete only by differences between customers. The test: the largest z
    against the 1 - alpha quantile of the largest of C correlated standard normals, so that noise passes with
    probability alpha whatever C. Passed: the mixture, unless a simple candidate's loss lies within NEAR standard errors
    of it (paired, by customer). Failed: no differences; but an average effect beyond doubt on outcomes that cannot be
    negative must differ on one scale or the other, so that the first candidate (proportional effects) gets the weight
    the data give it, from half a weight on.
    """
    scale_K = 1 / np.maximum(psi_NK.std(axis=0), 1e-12)  # arms with noisier scores count less
    gain = _within(gain_NKC, fold_N) * scale_K[:, None]
    psi = _within(psi_NK[:, :, None], fold_N)[:, :, 0] * scale_K
    product_NC = np.einsum("nkc,nk->nc", gain, psi)
    size_C = np.einsum("nkc,nkc->c", gain, gain)
    total_C, spread_C = product_NC.sum(axis=0), product_NC.std(axis=0) * np.sqrt(len(psi))
    z_C = np.divide(total_C, spread_C, out=np.zeros_like(total_C), where=spread_C > 1e-12)
    slope_C = np.clip(np.divide(total_C, size_C, out=np.zeros_like(total_C), where=size_C > 1e-12), 0, 1)
    limit = _limit(product_NC, rule)
    answer, weight_C = _decide(gain, psi, slope_C, rule) if z_C.max() > limit else _fallback(gain, psi, psi_NK)
    unit = float((scale_K**-2).mean()) / psi.size
    fall_NC = 2 * slope_C * product_NC - np.einsum("nkc,nkc->nc", gain, gain) * slope_C**2
    score_C, se_C = fall_NC.sum(axis=0) * unit, fall_NC.std(axis=0) * np.sqrt(len(psi)) * unit
    return Selection(answer, weight_C, score_C, se_C, z_C, limit)


def _decide(gain: Floats, psi: Floats, slope_C: Floats, rule: SelectionRule) -> _Weighted:
    """The simplest candidate that is within NEAR standard errors of the mixture, else the mixture."""
    mixed_C = stack(gain, psi)
    loss_N = ((psi - gain @ mixed_C) ** 2).sum(axis=1)
    for c in range(rule.simple):
        worse_N = ((psi - slope_C[c] * gain[:, :, c]) ** 2).sum(axis=1) - loss_N
        if slope_C[c] > 0 and worse_N.sum() <= NEAR * worse_N.std() * np.sqrt(len(worse_N)):
            return _Weighted("simple", np.where(np.arange(len(slope_C)) == c, slope_C[c], 0.0))
    return _Weighted("stack", mixed_C)


def _fallback(gain: Floats, psi: Floats, psi_NK: Floats) -> _Weighted:
    """Nothing, or the first candidate with the posterior mean of its weight, which was 0.5 +- 0.5 before the data."""
    weight_C = np.zeros(gain.shape[2])
    z_K = psi_NK.mean(axis=0) / np.maximum(psi_NK.std(axis=0), 1e-12) * np.sqrt(len(psi_NK))
    if np.abs(z_K).max() <= BEYOND_DOUBT:
        return _Weighted("none", weight_C)
    first, noise = gain[:, :, 0], float(np.mean(psi**2))
    size = float((first**2).sum()) / noise
    if size < 1e-12:
        return _Weighted("none", weight_C)
    weight_C[0] = np.clip((float((first * psi).sum()) / noise + 0.5 * 4) / (size + 4), 0, 1)
    return _Weighted("simple" if weight_C[0] > 0 else "none", weight_C)


def stack(gain: Floats, psi: Floats) -> Floats:
    """Non-negative weights of least squared error, drawn towards an equal share as a Gaussian prior of WEIGHT_SD does.

    Where differences are weak the weights stay near equal, which beat fitted ones in simulation; strong ones free them.
    """
    flat, y = gain.reshape(-1, gain.shape[2]), psi.ravel()
    noise, candidates = float(np.mean(y**2)), gain.shape[2]
    precision = np.eye(candidates) / WEIGHT_SD**2
    root = np.linalg.cholesky(flat.T @ flat / noise + precision)
    pull = flat.T @ y / noise + precision @ np.full(candidates, 1 / candidates)
    return np.asarray(scipy.optimize.nnls(root.T, np.linalg.solve(root, pull))[0])


def other_arms(value_NA: Floats, score_NA: Floats, best: int, bound: float) -> Ints:
    """Arms that may replace the `best` fixed one for customers whose value they lead, all out of fold.

    Those whose takers score better than under the best arm, if together they do so by `bound` standard errors; else
    those that do so alone. What is promised is that the policy as a whole beats the best fixed arm.
    """
    wish_N = value_NA.argmax(axis=1)
    better_NA = np.where(wish_N[:, None] == np.arange(value_NA.shape[1]), score_NA - score_NA[:, [best]], 0.0)
    gaining = np.flatnonzero(better_NA.mean(axis=0) > 0)
    together, *alone = (_z(better_N) for better_N in (better_NA[:, gaining].sum(axis=1), *better_NA[:, gaining].T))
    return gaining if together > bound else gaining[np.array(alone) > bound]


def _z(values_N: Floats) -> float:
    """Mean over its standard error."""
    return float(values_N.mean() / max(values_N.std(), 1e-12) * np.sqrt(len(values_N)))


def _within(values_NKC: Floats, fold_N: Ints) -> Floats:
    """Values minus their mean in the same fold."""
    centred = values_NKC.copy()
    for fold in np.unique(fold_N):
        centred[fold_N == fold] -= values_NKC[fold_N == fold].mean(axis=0)
    return centred


def _limit(product_NC: Floats, rule: SelectionRule) -> float:
    """Quantile of the largest of the candidates' z, under no heterogeneity."""
    live = product_NC.std(axis=0) > 1e-12
    if not live.any():
        return float("inf")
    corr = np.atleast_2d(np.corrcoef(product_NC[:, live], rowvar=False))
    draws = np.random.default_rng(hash_int("largest z", rule.seed)).standard_normal((DRAWS, len(corr)))
    values, vectors = np.linalg.eigh(corr)
    correlated = draws @ (vectors * np.sqrt(np.maximum(values, 0))).T
    return float(np.quantile(correlated.max(axis=1), 1 - rule.alpha))


Simple = Literal["proportional", "segment"]
Rich = Literal[
    "response", "additive", "multiplicative", "multiplicative-sparse", "t-trees", "s-trees", "x-trees",
]  # fmt: skip
FOLDS = ((100_000, 5), (400_000, 3))  # below such a weight of rows, so many folds; else 2
LEARN_CELLS = 20_000_000  # rows x encoded features that models learn from; rows beyond still judge them
LEAST_ROWS = 50  # an arm with fewer customers is refused
CUT = 0.95  # amounts above this quantile do not decide which arm is best for everybody: a few large amounts would
KNOWN = (
    FeatureEncoder, FeatureColumn, Selection, Basis, Linear, Additive, Boosted, Response, Proportional, ByResponse,
    BySegment, PlugIn, Single, Direct,
)  # fmt: skip


class Gains(Protocol):
    """What every learner's model can do."""

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        ...


class EffectSettings(Settings):
    """Which learners compete and how they are judged.

    A `simple` learner, the simplest first, replaces a mixture that is not clearly better (NEAR); `rich` ones
    only enter the mixture. `folds` judge them (None: 5, with more rows fewer). `alpha`: probability of
    seeing differences in noise. `level`: whether treatments were randomised or are compared after adjustment.
    `bound`: standard errors by which a treatment must beat control before everybody is given it, and the policy the
    best fixed arm before it leaves it.
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
    `other_arms` are the arms that may replace `best_arm`, the best for everybody alike once amounts are winsorised, or
    control where that was not shown to gain what it costs.
    `cost_K`: mean cost of each treatment, taken off the average.
    """

    encoder: FeatureEncoder
    average: Average
    learners: tuple[str, ...]
    verdict: Selection
    models: tuple[tuple[Gains, ...], ...]
    mean_JKC: Floats
    best_arm: int
    other_arms: Ints
    level: Level
    rows: int
    cost_K: Floats
    learned: int | None = None  # rows the models learned from, where not all
    arms: tuple[str, ...] = ()  # their names, control first, where they were given by name

    @property
    def chosen(self) -> dict[str, float] | Literal["none"]:
        """Weights of the learners, or "none": no difference between customers was detected."""
        weights = {n: float(w) for n, w in zip(self.learners, self.verdict.weight_C, strict=True) if w > 0}
        return weights or "none"

    @property
    def scores(self) -> pl.DataFrame:
        """Out-of-fold score of each learner: `learner, score, se, z, weight` (see Selection)."""
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
        names = arms or self.arms or [f"treatment {arm}" for arm in range(len(self.average.gain_K) + 1)]
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
        names = arms or self.arms or [f"arm {arm}" for arm in range(len(self.average.gain_K) + 1)]
        others = ", ".join(names[arm] for arm in self.other_arms)
        fixed = f"Best for everybody alike: {names[self.best_arm]}."
        return f"{fixed} Better for some: {others}." if others else f"{fixed} No group proved better off with another."

    def _taught(self) -> str:
        if self.learned is None:
            return ""
        return f" The models learned from {self.learned} of them, drawn by hash, and were judged by all."

    def _why(self) -> str:
        v, chosen = self.verdict, self.chosen
        parts = "" if chosen == "none" else ", ".join(f"{name} x {w:.2f}" for name, w in chosen.items())
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

    def to_parts(self) -> ModelParts:
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
    control: str | None = None,
    settings: EffectSettings = DEFAULT,
    on_progress: Callable[[float], object] | None = None,
) -> EffectModel:
    """Let learners compete for how the effect differs between customers; believe them as far as they prove it.

    `treatment_N` is 0 for control, 1..K for treatments, or names of which `control` is one, the others in the order of
    the alphabet; a model of names calls them so. `propensity_NK` is each treatment's propensity, or each arm's
    with control first (one row will do for all customers alike); None: the arms' shares; "estimate": learned from the
    features, which makes the level `adjusted`. `cost_NK` of treating, in the outcome's unit: one number, one for each
    treatment (1 x K), or for each customer and treatment. Every gain is net of it; it is known, so nothing has to learn
    it: the learners see the outcome alone. The order of rows changes nothing. `on_progress` hears the share of the
    folds done. Raises InputError or SupportError for what cannot be used.
    """
    encoder = encoder_of(features_NF)
    named = named_arms(treatment_N, control)
    trial = _trial(encoder, features_NF, named.arm_N, outcome_N, propensity_NK, settings.seed)
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
        found = _fit_fold(rows_of(trial, taught), rows_of(trial, held), settings)
        psi_NK[held], gain_NKC[held] = found.psi_MK, found.gain_MKC
        fitted.append(found.models)
        if on_progress is not None:
            on_progress((fold + 1) / folds)
    rule = SelectionRule(len(settings.simple), settings.alpha, settings.seed)
    verdict = judge(gain_NKC, psi_NK, fold_N, rule)
    best = _best(trial, psi_NK, cost_K, settings.bound)
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
        learned if learned < len(fold_N) else None, named.names,
    )  # fmt: skip


def learnable(trial: TrialArrays) -> int:
    """How many of the first rows, which are in the order of their keys, models learn from: LEARN_CELLS at most.

    More only if an arm would be left with too few: the draw keeps the arms' shares, which the scores rely on.
    """
    rows, features = len(trial.arm_N), trial.x_NF.shape[1]
    few: int = min(rows, max(LEARN_CELLS // max(features, 1), LEAST_ROWS))
    while few < rows and int(np.bincount(trial.arm_N[:few], minlength=trial.arms).min()) < LEAST_ROWS:
        few = min(rows, 2 * few)
    return few


class _FittedFold(NamedTuple):
    """All learners, fitted outside a fold; the scores of the M rows inside, and their gains by each learner."""

    models: tuple[Gains, ...]
    psi_MK: Floats
    gain_MKC: Floats


def _fit_fold(outside: TrialArrays, inside: TrialArrays, settings: EffectSettings) -> _FittedFold:
    nuisance = fit_nuisance(outside)
    models = tuple(fit_learner(name, outside, nuisance) for name in settings.learners)
    parts = chunks(len(inside.arm_N))
    mu_NA = np.concatenate([nuisance.response.mean(inside.x_NF[part]) for part in parts])
    gain_MKC = np.concatenate([gains(models, inside.x_NF[part]) for part in parts])
    return _FittedFold(models, scores(inside, mu_NA), gain_MKC)


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


def fit_learner(name: Simple | Rich, trial: TrialArrays, nuisance: Nuisance) -> Gains:
    """One learner by name; all share the nuisance models."""
    match name:
        case "proportional":
            return fit_proportional(trial, nuisance)
        case "response":
            return fit_response(trial, nuisance)
        case "segment":
            return fit_segment(trial, nuisance)
        case "additive":
            return fit_additive(trial, nuisance.psi_NK)
        case "multiplicative" | "multiplicative-sparse":
            family = family_of(trial.outcome_N)
            outcome_N = trial.outcome_N if family == "binary" else winsorised(trial.outcome_N)
            return fit_linear(trial, outcome_N, family=family, sparse=name.endswith("sparse"))
        case "t-trees" | "s-trees" | "x-trees":
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


def _best(trial: TrialArrays, psi_NK: Floats, cost_K: Floats, bound: float) -> int:
    """The arm with the best doubly robust mean of winsorised outcomes: heavy tails misled plain ones in simulation.
    Control, if neither that nor the plain mean is shown, by `bound` standard errors, to gain what it costs.

    Gains are held to have lost the share that outcomes lost: cut ones would face the whole cost.
    """
    cut_N = winsorised(trial.outcome_N, CUT)
    excess = replace(trial, outcome_N=trial.outcome_N - cut_N)
    cut_NK = psi_NK - scores(excess, np.zeros_like(trial.prob_NA))
    whole = float(np.abs(trial.outcome_N).sum() / max(np.abs(cut_N).sum(), 1e-12))
    best = int(np.r_[0.0, whole * cut_NK.mean(axis=0) - cost_K].argmax())
    shown = best and any(
        _z(each_N - cost_K[best - 1]) > bound for each_N in (whole * cut_NK[:, best - 1], psi_NK[:, best - 1])
    )
    return best if shown else 0


def _trial(
    encoder: FeatureEncoder,
    features: Features,
    treatment: ArrayLike,
    outcome: ArrayLike,
    propensity: ArrayLike | None,
    seed: int,
) -> TrialArrays:
    """Check what came in."""
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
    return TrialArrays(x_NF, arm_N, outcome_N, prob_NA, key_N, tuple(encoder.names))


def _estimated(propensity: object) -> bool:
    return isinstance(propensity, str) and propensity == "estimate"


def _given(propensity: ArrayLike, count_A: Ints) -> Floats:
    try:
        prob = np.asarray(propensity, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError('propensity: not numbers; give probabilities, "estimate" or None') from None
    if prob.shape == (len(count_A) - 1,):
        prob = np.tile(prob, (count_A.sum(), 1))
    elif prob.ndim == 1:
        prob = prob[:, None]
    if prob.shape == (count_A.sum(), len(count_A) - 1):
        prob = np.column_stack([1 - prob.sum(axis=1), prob])
    if prob.shape != (count_A.sum(), len(count_A)):
        raise InputError(f"propensity: shape {prob.shape}; give one column for each treatment, or for each arm")
    if not (prob > 0).all() or np.abs(prob.sum(axis=1) - 1).max() > 1e-6:
        raise InputError("propensity: probabilities must be above 0 and sum to 1 over control and treatments")
    return prob
