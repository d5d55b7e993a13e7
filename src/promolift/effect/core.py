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

from promolift.effect.diagnose import Diagnosis
from promolift.effect.learners import (
    ByResponse,
    BySegment,
    Direct,
    PlugIn,
    Proportional,
    Single,
    fit_direct,
    fit_proportional,
    fit_response,
    fit_segment,
    fit_single,
)
from promolift.effect.linear import Additive, Basis, Linear, LinearDesign, basis_of, fit_additive, fit_linear
from promolift.effect.nuisance import (
    Nuisance,
    Response,
    estimate_propensity,
    fit_nuisance,
    fold_of,
    folds_of,
    rows_of,
    scores,
    sorted_rows,
    taught,
    unit_of,
    winsorised,
)
from promolift.effect.outcomes import adjusted_means
from promolift.effect.parts import Arrays, ModelParts, from_parts, to_parts
from promolift.effect.trees import Bins, Boosted, Codes
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
TWICE = np.sqrt(2.0)  # of a cross-fitted learner each pair of customers counts twice, once from either side
NEAR = 0.5  # a simpler answer whose loss is larger by so many standard errors is as good; 1 lost more in simulation
BEYOND_DOUBT = 5.0  # an average effect of so many standard errors is not noise
STRAY = 4.0  # standard errors by which a learner's mean may differ from the doubly robust average
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
    differences lowers the doubly robust loss of the constant effect, with its s.e.; `z_C` tests the same, and one of
    them must exceed its own of `limit_C`.
    """

    answer: Answer
    weight_C: Floats
    score_C: Floats
    se_C: Floats
    z_C: Floats
    limit_C: Floats

    @property
    def found(self) -> int | None:
        """The candidate that passed its limit by most; None where none did."""
        lead_C = self.z_C - self.limit_C
        return int(lead_C.argmax()) if lead_C.max(initial=-np.inf) > 0 else None

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

    Gains are centred within folds: candidates compete only by differences between customers. The first candidate's
    direction was fixed beforehand (who would buy anyway gains more), so it is tested by itself; of the others the
    largest z, against the quantile of the largest of C correlated standard normals. What those learned from customers
    j they prove on customers i and the other way round, so that their sum has twice the variance of independent terms.
    Each side has half of alpha; but an average effect beyond doubt on outcomes that differ can hardly be the same for
    everybody, so then the first has all of it, and the others, unless it passes, a fifth.
    Passed by the first alone: the first. Passed: the mixture, unless a simple candidate's loss lies within NEAR
    standard errors of it (paired, by customer). Failed: no differences.
    """
    scale_K = 1 / np.maximum(psi_NK.std(axis=0), 1e-12)  # arms with noisier scores count less
    gain = _within(gain_NKC, fold_N) * scale_K[:, None]
    psi = _within(psi_NK[:, :, None], fold_N)[:, :, 0] * scale_K
    product_NC = np.einsum("nkc,nk->nc", gain, psi)
    size_C = np.einsum("nkc,nkc->c", gain, gain)
    total_C, spread_C = product_NC.sum(axis=0), product_NC.std(axis=0) * np.sqrt(len(psi))
    spread_C[1:] *= TWICE
    z_C = np.divide(total_C, spread_C, out=np.zeros_like(total_C), where=spread_C > 1e-12)
    slope_C = np.clip(np.divide(total_C, size_C, out=np.zeros_like(total_C), where=size_C > 1e-12), 0, 1)
    doubt = np.abs(psi_NK.mean(axis=0) * scale_K).max() * np.sqrt(len(psi)) < BEYOND_DOUBT
    limit_C = _limits(product_NC, float(z_C[0]), rule, doubt=bool(doubt))
    answer, weight_C = _Weighted("none", np.zeros(len(z_C)))
    if (z_C > limit_C).any():
        answer, weight_C = _decide(gain, psi, slope_C, rule, first_alone=not (z_C > limit_C)[1:].any())
    unit = float((scale_K**-2).mean()) / psi.size
    fall_NC = 2 * slope_C * product_NC - np.einsum("nkc,nkc->nc", gain, gain) * slope_C**2
    score_C, se_C = fall_NC.sum(axis=0) * unit, fall_NC.std(axis=0) * np.sqrt(len(psi)) * unit
    return Selection(answer, weight_C, score_C, se_C, z_C, limit_C)


def _decide(gain: Floats, psi: Floats, slope_C: Floats, rule: SelectionRule, first_alone: bool) -> _Weighted:
    """The simplest candidate that is within NEAR standard errors of the mixture, else the mixture."""
    if first_alone:
        return _Weighted("simple", np.where(np.arange(len(slope_C)) == 0, slope_C[0], 0.0))
    mixed_C = stack(gain, psi)
    loss_N = ((psi - gain @ mixed_C) ** 2).sum(axis=1)
    for c in range(rule.simple):
        worse_N = ((psi - slope_C[c] * gain[:, :, c]) ** 2).sum(axis=1) - loss_N
        if slope_C[c] > 0 and worse_N.sum() <= NEAR * worse_N.std() * np.sqrt(len(worse_N)):
            return _Weighted("simple", np.where(np.arange(len(slope_C)) == c, slope_C[c], 0.0))
    return _Weighted("stack", mixed_C)


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


def _limits(product_NC: Floats, first: float, rule: SelectionRule, *, doubt: bool) -> Floats:
    """Of the first candidate's z, which is `first`, and of the largest of the others', under no heterogeneity.

    Candidates that never differ have no limit to pass.
    """
    limit_C = np.full(product_NC.shape[1], np.inf)
    others = np.flatnonzero(product_NC[:, 1:].std(axis=0) > 1e-12) + 1
    level = rule.alpha / 2 if doubt else rule.alpha
    if product_NC[:, 0].std() > 1e-12:
        limit_C[0] = scipy.stats.norm.isf(level if others.size else rule.alpha)
    if others.size:
        corr = np.atleast_2d(np.corrcoef(product_NC[:, others], rowvar=False))
        draws = np.random.default_rng(hash_int("largest z", rule.seed)).standard_normal((DRAWS, len(corr)))
        values, vectors = np.linalg.eigh(corr)
        correlated = draws @ (vectors * np.sqrt(np.maximum(values, 0))).T
        level = level if doubt or first > limit_C[0] else rule.alpha / 5
        limit_C[others] = np.quantile(correlated.max(axis=1), 1 - level)
    return limit_C


Simple = Literal["proportional", "segment"]
Rich = Literal[
    "response", "additive", "multiplicative", "multiplicative-sparse", "t-trees", "s-trees", "dr-trees",
]  # fmt: skip
LEARN_CELLS = 20_000_000  # rows x encoded features that models learn from; rows beyond still judge them
LEAST_ROWS = 50  # an arm with fewer customers is refused
CUT = 0.95  # amounts above this quantile do not decide which arm is best for everybody: a few large amounts would
KNOWN = (
    FeatureEncoder, FeatureColumn, Selection, Basis, Bins, Linear, Additive, Boosted, Response, Proportional,
    ByResponse, BySegment, PlugIn, Single, Direct,
)  # fmt: skip


class Gains(Protocol):
    """What every learner's model can do."""

    def gain(self, x_NF: Floats) -> Floats:
        """gain_NK over control."""
        ...


class EffectSettings(Settings):
    """Which learners compete and how they are judged.

    A `simple` learner, the simplest first, replaces a mixture that is not clearly better (NEAR); `rich` ones
    only enter the mixture. `folds` judge them (None: 5, with more rows fewer). `alpha`: probability of seeing
    differences in noise. `bound`: standard errors by which a treatment must beat control before everybody is given it,
    and the policy the best fixed arm before it leaves it.
    """

    simple: tuple[Literal["proportional"]] | tuple[Literal["proportional"], Literal["segment"]] = (
        "proportional", "segment",
    )  # fmt: skip
    rich: tuple[Rich, ...] = (
        "response", "additive", "multiplicative", "multiplicative-sparse", "t-trees", "s-trees", "dr-trees",
    )  # fmt: skip
    folds: int | None = Field(default=None, ge=2, le=20)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    bound: float = Field(default=2.0, ge=0)
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

    `responses`: without each fold, the outcome expected under each arm. `mean_JKC` is what each model says of the
    average customer, taken off before its weight is applied. `span`: no gain is larger than outcomes ever differed;
    models learn outcomes in the `unit` in which they vary by 1.
    The average and the judgement use all rows, even where only `learned` of them taught the models.
    `other_arms` are the arms that may replace `best_arm`, the best for everybody alike once amounts are winsorised, or
    control where that was not shown to gain what it costs.
    `cost_K`: mean cost of each treatment, taken off the average. `level` and `reason`: the evidence; `stray` names
    learners left out, since on average they said something else than the doubly robust average.
    """

    encoder: FeatureEncoder
    average: Average
    learners: tuple[str, ...]
    verdict: Selection
    models: tuple[tuple[Gains, ...], ...]
    responses: tuple[Response, ...]
    mean_JKC: Floats
    span: float
    unit: float
    best_arm: int
    other_arms: Ints
    level: Level
    reason: str
    rows: int
    cost_K: Floats
    learned: int | None = None  # rows the models learned from, where not all
    stray: tuple[str, ...] = ()
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
        for part in chunks(len(x_NF)) if self.models else ():
            asked = AskedEffects(x_NF[part])
            for j, models in enumerate(self.models):
                each[j, part] = (self.unit * gains(models, asked, self.span / self.unit) - self.mean_JKC[j]) @ weights
        jackknife = (len(each) - 1) * each.var(axis=0)
        gain_NK = self.average.gain_K + each.mean(axis=0)
        if cost_NK is not None:
            gain_NK = gain_NK + (self.cost_K - _costs(cost_NK, gain_NK.shape))
        return Effect(gain_NK, np.sqrt(self.average.se_K**2 + jackknife), self.level, self.reason)

    def expected(self, features: Features) -> Floats:
        """mu_NA: the outcome expected of each customer under each arm, before cost."""
        x_NF = self.encoder.encode(features)
        found = np.empty((len(x_NF), len(self.average.gain_K) + 1))
        for part in chunks(len(x_NF)):
            asked = AskedEffects(x_NF[part])
            found[part] = self.unit * np.mean([asked.mu(response) for response in self.responses], axis=0)
        return found

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
        stated = f"{self.level} ({self.reason})" if self.level == "assumed" else self.level
        return f"Evidence: {stated}, {self.rows} customers; on average {effects}.{self._taught()} {self._why()}"

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
        live = np.isfinite(v.limit_C)
        best = int(np.where(live, v.z_C - np.where(live, v.limit_C, 0), -np.inf).argmax())
        test = (
            f"Of {len(self.learners)} learners judged out of fold, {self.learners[best]} tells customers apart best: "
            f"z = {v.z_C[best]:.2f}, where {v.limit_C[best]:.2f} rules out chance in all of them together."
        )
        if self.stray:
            test += f" Left out, for on average they contradict the doubly robust average: {', '.join(self.stray)}."
        match v.answer:
            case "none":
                return f"{test} No difference between customers was detected: everybody is given the average."
            case "simple":
                return f"{test} No mixture was clearly better than the simpler answer, which is used: {parts}."
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
    diagnosis: Diagnosis | None = None,
    control: str | None = None,
    settings: EffectSettings = DEFAULT,
    on_progress: Callable[[float], object] | None = None,
) -> EffectModel:
    """Let learners compete for how the effect differs between customers; believe them as far as they prove it.

    `treatment_N` is 0 for control, 1..K for treatments, or names of which `control` is one, the others in the order of
    the alphabet; a model of names calls them so. `propensity_NK` is each treatment's propensity, or each arm's
    with control first (one row will do for all customers alike); None: the arms' shares; "estimate": learned from the
    features. `diagnosis` of `diagnose` is what earns `randomised` or `adjusted`: without it the level is `assumed`,
    since nobody has looked whether the arms are comparable. `cost_NK` of treating, in the outcome's unit: one number,
    one for each treatment (1 x K), or for each customer and treatment. Every gain is net of it; it is known, so nothing
    has to learn it: the learners see the outcome alone. The order of rows changes nothing. `on_progress` hears how far
    it is. Raises InputError or SupportError for what cannot be used.
    """
    encoder = encoder_of(features_NF)
    named = named_arms(treatment_N, control)
    trial = _trial(encoder, features_NF, named.arm_N, outcome_N, propensity_NK, settings.seed)
    level, reason = _evidence(diagnosis)
    hear = on_progress or _nobody
    by_key = np.argsort(trial.key_N, kind="stable")  # so that sums too do not hang on the order of rows
    trial = rows_of(trial, by_key)
    cost_NK = _costs(cost_NK, (len(by_key), trial.arms - 1), by_key)
    basis = basis_of(trial.x_NF)
    average = adjusted_means(trial, trial.outcome_N, basis=basis, seed=settings.seed)
    hear(0.1)
    lesson_N = taught(trial.outcome_N)
    unit = unit_of(lesson_N)
    every = replace(trial, outcome_N=lesson_N / unit)
    folds = settings.folds or folds_of(trial)
    some = sorted_rows(rows_of(trial, slice(0, learnable(trial))), folds)
    order = np.r_[some, np.arange(len(some), len(by_key))]
    judged = rows_of(every, order)
    fold_N = fold_of(judged, folds)
    crossed = _cross(rows_of(judged, slice(0, len(some))), fold_N[: len(some)], basis, settings, hear)
    gain_NKC, psi_NK = (found * unit for found in _judged(judged, fold_N, crossed, len(some)))
    judged, span = replace(judged, outcome_N=judged.outcome_N * unit), crossed.span * unit
    hear(0.9)
    stray = _strays(gain_NKC, psi_NK, span)
    gain_NKC[:, :, stray] = 0.0
    more_NK = cost_NK - cost_NK.mean(axis=0)  # what treating a customer costs beyond the average
    more_NK = more_NK if len(more_NK) == 1 else more_NK[order]
    cost_K = cost_NK.mean(axis=0)
    verdict = judge(gain_NKC, psi_NK, fold_N, SelectionRule(len(settings.simple), settings.alpha, settings.seed))
    best = _best(judged, psi_NK, cost_K, settings.bound)
    net = Average(average.gain_K - cost_K, average.se_K)
    chosen = np.flatnonzero(verdict.weight_C > 0)
    kept = tuple(tuple(models[c] for c in chosen) for models in crossed.models) if chosen.size else ()
    mean_JKC = np.stack([gain_NKC[fold_N == j][:, :, chosen].mean(axis=0) for j in range(folds)])
    differ_NK = gain_NKC @ verdict.weight_C
    value_NA = _over_control(net.gain_K + differ_NK - differ_NK.mean(axis=0) - more_NK)
    others = other_arms(value_NA, _over_control(psi_NK - cost_K - more_NK), best, settings.bound)
    hear(1.0)
    return EffectModel(
        encoder, net, settings.learners, verdict, kept, crossed.responses, mean_JKC, span, unit, best, others,
        level, reason, len(order), cost_K, len(some) if len(some) < len(order) else None,
        tuple(settings.learners[c] for c in stray), named.names,
    )  # fmt: skip


def _nobody(share: float) -> None:
    """Nobody wants to hear how far it is."""


class _Evidence(NamedTuple):
    """An evidence level and why it is that."""

    level: Level
    reason: str


def _evidence(diagnosis: Diagnosis | None) -> _Evidence:
    """What a diagnosis has earned. Raises SupportError if it refused."""
    if diagnosis is None:
        return _Evidence("assumed", "unverified: nobody has checked that the arms are comparable; see diagnose")
    return _Evidence(diagnosis.require(), "; ".join(diagnosis.reasons))


def learnable(trial: TrialArrays) -> int:
    """How many of the first rows, which are in the order of their keys, models learn from: LEARN_CELLS at most.

    More only if an arm would be left with too few: the draw keeps the arms' shares, which the scores rely on.
    """
    rows, features = len(trial.arm_N), trial.x_NF.shape[1]
    few: int = min(rows, max(LEARN_CELLS // max(features, 1), LEAST_ROWS))
    while few < rows and int(np.bincount(trial.arm_N[:few], minlength=trial.arms).min()) < LEAST_ROWS:
        few = min(rows, 2 * few)
    return few


class _Crossed(NamedTuple):
    """Of each fold, models that did not see it; `span`: how far apart outcomes are. `design`: that of all folds."""

    models: tuple[tuple[Gains, ...], ...]
    responses: tuple[Response, ...]
    psi_NK: Floats
    span: float
    design: LinearDesign | None


def _cross(
    trial: TrialArrays, fold_N: Ints, basis: Basis, settings: EffectSettings, hear: Callable[[float], object]
) -> _Crossed:
    """All learners without each fold, from rows sorted by fold and arm."""
    nuisance = fit_nuisance(trial, fold_N, basis)
    hear(0.4)
    found: list[tuple[Gains, ...]] = []
    for done, name in enumerate(settings.learners):
        found.append(fit_learner(name, nuisance))
        hear(0.4 + 0.4 * (done + 1) / len(settings.learners))
    models = tuple(zip(*found, strict=True))
    design = nuisance.designs[0] if len(nuisance.designs) == 1 else None
    return _Crossed(models, nuisance.responses, nuisance.psi_NK, float(np.ptp(trial.outcome_N)), design)


class _Judged(NamedTuple):
    """Out of fold: each learner's gains, and the scores that they are judged by."""

    gain_NKC: Floats
    psi_NK: Floats


def _judged(trial: TrialArrays, fold_N: Ints, crossed: _Crossed, learned: int) -> _Judged:
    """Every row by the models that did not see it; the first `learned` rows have their scores already."""
    gain_NKC = np.zeros((len(fold_N), trial.arms - 1, len(crossed.models[0])))
    psi_NK = np.zeros(gain_NKC.shape[:2])
    psi_NK[:learned] = crossed.psi_NK
    for j, models in enumerate(crossed.models):
        held = np.flatnonzero(fold_N == j)
        for part in chunks(len(held)):
            rows = held[part]
            asked = AskedEffects(trial.x_NF[rows])
            if crossed.design is not None and rows[-1] < learned:  # sorted by fold: they lie in one piece
                asked.know(crossed.design.basis, crossed.design.z_NP[rows[0] : rows[-1] + 1])
            gain_NKC[rows] = gains(models, asked, crossed.span)
            new = rows >= learned
            if new.any():
                psi_NK[rows[new]] = scores(rows_of(trial, rows[new]), asked.mu(crossed.responses[j])[new])
    return _Judged(gain_NKC, psi_NK)


def _strays(gain_NKC: Floats, psi_NK: Floats, span: float) -> Ints:
    """Learners whose mean is not the doubly robust one: what they say of customers was not seen in the data."""
    mean_K, se_K = psi_NK.mean(axis=0), psi_NK.std(axis=0) / np.sqrt(len(psi_NK))
    apart_KC = np.abs(gain_NKC.mean(axis=0) - mean_K[:, None])
    allowed_K = STRAY * se_K + 0.5 * np.abs(mean_K) + 1e-9 * span
    return np.flatnonzero((apart_KC > allowed_K[:, None]).any(axis=0))


class AskedEffects:
    """Rows, and what several models ask of them, worked out once: basis columns, codes, expected outcomes."""

    def __init__(self, x_NF: Floats) -> None:
        """Of these rows."""
        self.x_NF = x_NF
        self._z: dict[int, Floats] = {}
        self._code: dict[int, Codes] = {}
        self._mu: dict[int, Floats] = {}

    def know(self, basis: Basis, z_NP: Floats) -> None:
        """The basis columns are known already."""
        self._z[id(basis)] = z_NP

    def z(self, basis: Basis) -> Floats:
        """Basis columns."""
        if id(basis) not in self._z:
            self._z[id(basis)] = basis.columns(self.x_NF)
        return self._z[id(basis)]

    def codes(self, bins: Bins) -> Codes:
        """Codes of the features."""
        if id(bins) not in self._code:
            self._code[id(bins)] = bins.codes(self.x_NF)
        return self._code[id(bins)]

    def mu(self, response: Response) -> Floats:
        """mu_NA."""
        if id(response) not in self._mu:
            self._mu[id(response)] = response.of(self.codes(response.bins), self.z(response.linear.basis))
        return self._mu[id(response)]


def gains(models: tuple[Gains, ...], asked: AskedEffects, span: float) -> Floats:
    """gain_NKC of all models, none beyond how far outcomes are apart."""
    found = []
    for model in models:
        if isinstance(model, Proportional | ByResponse | PlugIn):
            found.append(model.of(asked.mu(model.response)))
        elif isinstance(model, Linear | Additive):
            found.append(model.of(asked.z(model.basis)))
        elif isinstance(model, Single | Direct):
            found.append(model.of(asked.codes(model.bins)))
        else:
            found.append(model.gain(asked.x_NF))
    return np.clip(np.stack(found, axis=2), -span, span)


def fit_learner(name: Simple | Rich, nuisance: Nuisance) -> tuple[Gains, ...]:
    """One learner by name, without each fold; all share the nuisance models."""
    folds = range(nuisance.folds)
    match name:
        case "proportional":
            return tuple(fit_proportional(nuisance, j) for j in folds)
        case "response":
            return tuple(fit_response(nuisance, j) for j in folds)
        case "segment":
            return tuple(fit_segment(nuisance, j) for j in folds)
        case "additive":
            return tuple(fit_additive(*nuisance.scored(j)) for j in folds)
        case "multiplicative":
            return tuple(fit_linear(*nuisance.design(j)) for j in folds)
        case "multiplicative-sparse":
            return tuple(response.linear for response in nuisance.responses)
        case "t-trees":
            return tuple(PlugIn(response) for response in nuisance.responses)
        case "s-trees":
            return fit_single(nuisance)
        case "dr-trees":
            return fit_direct(nuisance)


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
