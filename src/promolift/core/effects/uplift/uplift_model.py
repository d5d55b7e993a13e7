"""Fit what each treatment adds for each customer, by learners that compete out of fold.

Legend: N customers, F features, K treatments, A = K + 1 arms (arm 0 is control), C candidate learners, J folds.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import scipy
from numpy.typing import ArrayLike

from promolift.core.effects.trial_arrays import (
    CachedRows,
    Effect,
    FeatureColumn,
    FeatureEncoder,
    Features,
    Floats,
    Ints,
    TrialArrays,
    chunks,
    encode_arms,
    finite_vector,
    fit_encoder,
    row_keys,
)
from promolift.core.effects.uplift.average_effects import adjusted_means
from promolift.core.effects.uplift.boosted_trees import Bins, Boosted
from promolift.core.effects.uplift.learner_selection import (
    DEFAULT_SETTINGS,
    EffectSettings,
    RichLearner,
    Selection,
    SimpleLearner,
    select_learners,
)
from promolift.core.effects.uplift.linear_learners import (
    Additive,
    Basis,
    Linear,
    fit_additive,
    fit_basis,
    fit_linear,
    outcome_unit,
)
from promolift.core.effects.uplift.nuisance import (
    ByResponse,
    BySegment,
    Direct,
    Nuisance,
    Proportional,
    Response,
    Single,
    assign_folds,
    doubly_robust_scores,
    estimate_propensity,
    fit_by_response,
    fit_direct,
    fit_nuisance,
    fit_proportional,
    fit_segment,
    fit_single,
    fold_count,
    sorted_rows,
    subset_trial,
    training_outcome,
    winsorise,
)
from promolift.core.effects.uplift.targeting_policy import ScoredTrial, TargetingRule, choose_rule
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import in_brackets, join_sentences, level_name
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.storage.model_files import Arrays, ModelParts, from_parts, to_parts

if TYPE_CHECKING:
    from promolift.core.effects.uplift.diagnostics import Diagnosis

MAX_STRAY_SE = 4.0  # standard errors by which a learner's mean may differ from the doubly robust average
UNVERIFIED_REASON = gettext_noop("unverified: nobody has checked that the arms are comparable; see diagnose")
MAX_TRAINING_CELLS = 20_000_000  # rows x encoded features that models learn from; rows beyond still judge them
MIN_ARM_CUSTOMERS = 50  # an arm with fewer customers is refused
OUTCOME_QUANTILE = (
    0.95  # amounts above this quantile do not decide which arm is best for everybody: a few large amounts would
)
MODEL_CLASSES = (
    FeatureEncoder, FeatureColumn, Selection, Basis, Bins, Linear, Additive, Boosted, Response, Proportional,
    ByResponse, BySegment, Single, Direct, TargetingRule,
)  # fmt: skip


class GainModel(Protocol):
    """What every learner's model can do."""

    def gain(self, asked: CachedRows) -> Floats: ...


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
    `rule` says who is treated; its best arm is the best for everybody alike once amounts are winsorised, or control
    where that was not shown to gain what it costs. `models` are those of the learners that effects or rule `used`.
    `cost_K`: mean cost of each treatment, taken off the average. `level` and `reason`: the evidence; `stray` names
    learners left out, since on average they said something else than the doubly robust average.
    """

    encoder: FeatureEncoder
    average: Average
    learners: tuple[str, ...]
    verdict: Selection
    models: tuple[tuple[GainModel, ...], ...]
    responses: tuple[Response, ...]
    used: Ints
    mean_JKC: Floats
    span: float
    unit: float
    rule: TargetingRule
    level: Level
    reason: str
    rows: int
    cost_K: Floats
    learned: int | None = None  # rows the models learned from, where not all
    stray: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()  # their names, control first, where they were given by name

    @property
    def best_arm(self) -> int:
        """The best arm for everybody alike, 0 for control."""
        return self.rule.best_arm

    @property
    def chosen(self) -> dict[str, float] | Literal["none"]:
        """Weights of the learners, or "none": no difference between customers was detected."""
        weights = {n: float(w) for n, w in zip(self.learners, self.verdict.weight_C, strict=True) if w > 0}
        return weights or "none"

    def predict(self, features: Features, cost_NK: ArrayLike | None = None) -> Effect:
        """Gain of each customer and treatment, net of cost: the average and the chosen learners' differences from it.

        `cost_NK` is what treating these customers costs, as in `fit_effects`; left out, what it cost on average in
        training. The standard error joins that of the average with the spread of the folds' models (delete-a-group
        jackknife). It knows nothing of differences that no learner could see.
        """
        each = self._differences(features, self.verdict.weight_C)
        jackknife = (len(each) - 1) * each.var(axis=0)
        gain_NK = self._net(self.average.gain_K + self.cost_K + each.mean(axis=0), cost_NK)
        return Effect(gain_NK, np.sqrt(self.average.se_K**2 + jackknife), self.level, self.reason)

    def net_gains(self, features: Features, cost_NK: ArrayLike | None = None) -> Floats:
        """Gains net of cost that decide who is treated, gain_NK: along the ranking; the average where there is none."""
        score_NK = self._differences(features, self.rule.weight_C).mean(axis=0)
        if self.rule.ranks:
            return self._net(self.rule.gains(score_NK), cost_NK)
        return self._net(np.zeros(score_NK.shape) + self.average.gain_K + self.cost_K, cost_NK)

    def _net(self, gain_NK: Floats, cost_NK: ArrayLike | None) -> Floats:
        return np.asarray(gain_NK - (self.cost_K if cost_NK is None else _costs(cost_NK, gain_NK.shape)))

    def _differences(self, features: Features, weight_C: Floats) -> Floats:
        """What learners, so weighted, say beyond the average customer: by the models without each fold."""
        x_NF = self.encoder.encode(features)
        each = np.zeros((max(len(self.models), 1), len(x_NF), len(self.average.gain_K)))
        weights = weight_C[self.used]
        for part in chunks(len(x_NF)) if weights.any() else ():
            asked = CachedRows(x_NF[part])
            for j, models in enumerate(self.models):
                each[j, part] = (
                    self.unit * predict_gains(models, asked, self.span / self.unit) - self.mean_JKC[j]
                ) @ weights
        return each

    def predict_outcomes(self, features: Features) -> Floats:
        """mu_NA: the outcome expected of each customer under each arm, before cost."""
        x_NF = self.encoder.encode(features)
        found = np.empty((len(x_NF), len(self.average.gain_K) + 1))
        for part in chunks(len(x_NF)):
            asked = CachedRows(x_NF[part])
            found[part] = self.unit * np.mean([response.mean(asked) for response in self.responses], axis=0)
        return found

    def policy(self, features: Features, cost_NK: ArrayLike | None = None) -> Ints:
        """Recommended arm of each customer: the best fixed one, unless the ranking earned more where it was unseen."""
        gain_NK = self.net_gains(features, cost_NK)
        if not self.rule.follows:
            return np.full(len(gain_NK), self.rule.best_arm, dtype=np.int64)
        return np.where(gain_NK.max(axis=1) > 0, gain_NK.argmax(axis=1) + 1, 0)

    def explain(self, arms: Sequence[str] | None = None) -> str:
        """What was chosen, why, and by which rule, in plain words. `arms` are their names, control first."""
        return join_sentences(self.evidence(arms), self.advice(arms))

    def evidence(self, arms: Sequence[str] | None = None) -> str:
        """What treatments add on average, and whether customers differ in it."""
        numbered = [gettext("treatment {arm}", arm=arm) for arm in range(len(self.average.gain_K) + 1)]
        names = arms or self.arms or numbered
        pairs = zip(names[1:], self.average.gain_K, self.average.se_K, strict=True)
        effects = gettext("; ").join(
            gettext("{name} adds {gain} (s.e. {se})", name=name, gain=f"{gain:.4g}", se=f"{se:.2g}")
            for name, gain, se in pairs
        )
        if self.cost_K.any() and (self.cost_K == self.cost_K[0]).all():
            cost = f"{self.cost_K[0]:g}"
            effects = gettext("{effects}, its cost of {cost} taken off", effects=effects, cost=cost)
        elif self.cost_K.any():
            each = ", ".join(f"{cost:.4g} ({name})" for name, cost in zip(names[1:], self.cost_K, strict=True))
            effects = gettext("{effects}, their costs of {costs} taken off", effects=effects, costs=each)
        stated = level_name(self.level)
        if self.level == "assumed":
            stated = f"{stated}{in_brackets(render_message(self.reason))}"
        found = gettext(
            "Evidence: {level}, {customers} customers; on average {effects}.",
            level=stated, customers=self.rows, effects=effects,
        )  # fmt: skip
        taught_by = "" if self.learned is None else gettext(
            "The models learned from {learned} of them, drawn by hash, and were judged by all.", learned=self.learned
        )  # fmt: skip
        return join_sentences(found, taught_by, self._why())

    def advice(self, arms: Sequence[str] | None = None) -> str:
        """Which arm is best for everybody alike, and whether a ranking earns more."""
        numbered = [gettext("arm {arm}", arm=arm) for arm in range(len(self.average.gain_K) + 1)]
        names = arms or self.arms or numbered
        rule = self.rule
        fixed = gettext("Best for everybody alike: {arm}.", arm=render_message(names[self.best_arm]))
        behind = [name for name, weight in zip(self.learners, rule.weight_C, strict=True) if weight > 0]
        ranking = behind[0] if len(behind) == 1 else gettext("the mixture of learners")
        if rule.follows:
            found = gettext(
                "Better: those treated whom the ranking by {ranking} says that it pays for; out of fold that earned "
                "more.",
                ranking=ranking,
            )
        elif rule.ranks and self.best_arm:
            found = gettext(
                "No group proved better off with another; where a budget does not reach all, the ranking by {ranking} "
                "earned more than drawing customers at random.",
                ranking=ranking,
            )
        else:
            found = gettext(
                "No group proved better off with another, nor any ranking better than customers drawn at random."
            )
        return join_sentences(fixed, found)

    def _why(self) -> str:
        v, chosen = self.verdict, self.chosen
        parts = "" if chosen == "none" else ", ".join(f"{name} x {w:.2f}" for name, w in chosen.items())
        live = np.isfinite(v.limit_C)
        best = int(np.where(live, v.z_C - np.where(live, v.limit_C, 0), -np.inf).argmax())
        test = gettext(
            "Of {learners} learners judged out of fold, {best} tells customers apart best: z = {z}, where {limit} "
            "rules "
            "out chance in all of them together.",
            learners=len(self.learners), best=self.learners[best], z=f"{v.z_C[best]:.2f}",
            limit=f"{v.limit_C[best]:.2f}",
        )  # fmt: skip
        stray = gettext(
            "Left out, for on average they contradict the doubly robust average: {learners}.",
            learners=", ".join(self.stray),
        ) if self.stray else ""  # fmt: skip
        match v.answer:
            case "none":
                found = gettext("No difference between customers was detected: everybody is given the average.")
            case "simple":
                found = gettext(
                    "No mixture was clearly better than the simpler answer, which is used: {learners}.", learners=parts
                )
            case _:
                found = gettext("Gains differ between customers by a mixture of learners: {learners}.", learners=parts)
        return join_sentences(test, stray, found)

    def to_parts(self) -> ModelParts:
        """Arrays by name and a JSON manifest."""
        return to_parts(self)

    @classmethod
    def from_parts(cls, arrays: Arrays, manifest: dict[str, Any]) -> Self:
        """The model that `to_parts` gave. Raises InputError for a manifest it does not know."""
        model = from_parts(arrays, manifest, (*MODEL_CLASSES, Average, cls))
        if not isinstance(model, cls):
            raise InputError(
                "model_invalid",
                gettext_lazy("model manifest: holds a {name}, not an effect model", name=type(model).__name__),
            )
        return model


def fit_effects(
    features_NF: Features,
    treatment_N: ArrayLike,
    outcome_N: ArrayLike,
    *,
    propensity_NK: ArrayLike | Literal["estimate"] | None = None,
    cost_NK: ArrayLike = 0.0,
    diagnosis: "Diagnosis | None" = None,
    control: str | None = None,
    settings: EffectSettings = DEFAULT_SETTINGS,
    rule: TargetingRule | None = None,
    before: Collection[str] | None = None,
    on_progress: Callable[[float], object] | None = None,
) -> EffectModel:
    """Let learners compete for how the effect differs between customers; believe them as far as they prove it.

    `treatment_N` is 0 for control, 1..K for treatments, or names of which `control` is one, the others in the order of
    the alphabet; a model of names calls them so. `propensity_NK` is each treatment's propensity, or each arm's
    with control first (one row will do for all customers alike); None: the arms' shares; "estimate": learned from the
    features. `diagnosis` of `diagnose` is what earns `randomised` or `adjusted`: without it the level is `assumed`,
    since nobody has looked whether the arms are comparable. `cost_NK` of treating, in the outcome's unit: one number,
    one for each treatment (1 x K), or for each customer and treatment. Every gain is net of it; it is known, so nothing
    has to learn it: the learners see the outcome alone. The order of rows changes nothing. `rule`: that of a
    model of more customers, to be valued: its ranking is taken, and what it decided. `before`: the columns that were
    surely known before the treatment, the only ones that the average is adjusted by; None: all. `on_progress` hears how
    far it is.
    Raises InputError or SupportError for what cannot be used.
    """
    encoder = fit_encoder(features_NF)
    named = encode_arms(treatment_N, control)
    trial = _trial(encoder, features_NF, named.arm_N, outcome_N, propensity_NK, settings.seed)
    level: Level = "assumed" if diagnosis is None else diagnosis.require()
    reason = UNVERIFIED_REASON if diagnosis is None else "; ".join(diagnosis.reasons)
    hear = on_progress or (lambda share: None)
    by_key = np.argsort(trial.key_N, kind="stable")  # so that sums too do not hang on the order of rows
    trial = subset_trial(trial, by_key)
    cost_NK = _costs(cost_NK, (len(by_key), trial.arms - 1), by_key)
    cost_K = cost_NK.mean(axis=0)
    basis = fit_basis(trial.x_NF)
    sure = trial
    if before is not None:
        sure_F = np.isin(encoder.owners, list(before))
        sure = replace(trial, x_NF=trial.x_NF[:, sure_F] if sure_F.any() else np.zeros((len(by_key), 1)))
    average = adjusted_means(sure, trial.outcome_N, basis=basis if before is None else None, seed=settings.seed)
    hear(0.1)
    tried = _compete(trial, basis, settings, hear)
    gain_NKC, psi_NK, fold_N = tried.gain_NKC, tried.psi_NK, tried.fold_N
    stray = _strays(gain_NKC, psi_NK, tried.span)
    gain_NKC[:, :, stray] = 0.0
    verdict = select_learners(gain_NKC, psi_NK, fold_N, settings)
    mean_JKC = np.stack([gain_NKC[fold_N == j].mean(axis=0) for j in range(len(tried.models))])
    found = _ruled(tried, mean_JKC, cost_NK, verdict, settings, rule)
    used = np.flatnonzero((verdict.weight_C > 0) | (found.weight_C > 0))
    hear(1.0)
    return EffectModel(
        encoder, Average(average.gain_K - cost_K, average.se_K), settings.learners, verdict,
        tuple(tuple(models[c] for c in used) for models in tried.models) if used.size else (),
        tried.responses, used, mean_JKC[:, :, used], tried.span, tried.unit, found, level, reason, len(fold_N), cost_K,
        tried.learned if tried.learned < len(fold_N) else None, tuple(settings.learners[c] for c in stray), named.names,
    )  # fmt: skip


def _ruled(
    tried: "_Competed", mean_JKC: Floats, cost_NK: Floats, verdict: Selection, settings: EffectSettings,
    given: TargetingRule | None,
) -> TargetingRule:  # fmt: skip
    """Who is treated: along the ranking that earned most, or along that of a rule that was `given`."""
    best = _best(tried.judged, tried.psi_NK, cost_NK.mean(axis=0), settings.bound)
    scored = ScoredTrial(
        tried.gain_NKC - mean_JKC[tried.fold_N], tried.psi_NK, cost_NK if len(cost_NK) == 1 else cost_NK[tried.order],
        tried.fold_N, tried.judged.key_N,
    )  # fmt: skip
    if given is not None:
        return choose_rule(scored, [given.weight_C], best, settings.lead).decided_by(given)
    # differences that were not shown rank nobody
    rankings = [] if verdict.answer == "none" else [verdict.weight_C, *np.eye(len(settings.learners))]
    return choose_rule(scored, rankings, best, settings.lead)


def training_rows(trial: TrialArrays) -> int:
    """How many of the first rows, which are in the order of their keys, models learn from: LEARN_CELLS at most.

    More only if an arm would be left with too few: the draw keeps the arms' shares, which the scores rely on.
    """
    rows, features = len(trial.arm_N), trial.x_NF.shape[1]
    few: int = min(rows, max(MAX_TRAINING_CELLS // max(features, 1), MIN_ARM_CUSTOMERS))
    while few < rows and int(np.bincount(trial.arm_N[:few], minlength=trial.arms).min()) < MIN_ARM_CUSTOMERS:
        few = min(rows, 2 * few)
    return few


class _Competed(NamedTuple):
    """Every learner's gains out of fold, in the unit of the outcome, and the scores that they are judged by.

    `judged`: the trial's rows in their `order`, sorted by fold and arm, of which the first `learned` taught. Of each
    fold, models that did not see it, which learned outcomes divided by `unit`; `span`: how far outcomes are apart.
    """

    judged: TrialArrays
    order: Ints
    fold_N: Ints
    gain_NKC: Floats
    psi_NK: Floats
    models: tuple[tuple[GainModel, ...], ...]
    responses: tuple[Response, ...]
    span: float
    unit: float
    learned: int


def _compete(trial: TrialArrays, basis: Basis, settings: EffectSettings, hear: Callable[[float], object]) -> _Competed:
    """All learners without each fold; every row is judged by the models that did not see it."""
    lesson_N = training_outcome(trial.outcome_N)
    unit = outcome_unit(lesson_N)
    folds = settings.folds or fold_count(trial)
    learned = training_rows(trial)
    some = sorted_rows(subset_trial(trial, slice(0, learned)), folds)
    order = np.r_[some, np.arange(learned, len(lesson_N))]
    every = subset_trial(replace(trial, outcome_N=lesson_N / unit), order)
    fold_N = assign_folds(every, folds)
    taught_by = subset_trial(every, slice(0, learned))
    nuisance = fit_nuisance(taught_by, fold_N[:learned], basis)
    hear(0.4)
    each: list[tuple[GainModel, ...]] = []
    for done, name in enumerate(settings.learners):
        each.append(fit_learner(name, nuisance))
        hear(0.4 + 0.4 * (done + 1) / len(settings.learners))
    models, span = tuple(zip(*each, strict=True)), float(np.ptp(taught_by.outcome_N))
    gain_NKC = np.zeros((len(fold_N), trial.arms - 1, len(each)))
    psi_NK = np.zeros(gain_NKC.shape[:2])
    psi_NK[:learned] = nuisance.psi_NK
    for j, fold_models in enumerate(models):
        held = np.flatnonzero(fold_N == j)
        for part in chunks(len(held)):
            rows = held[part]
            asked = CachedRows(every.x_NF[rows])
            gain_NKC[rows] = predict_gains(fold_models, asked, span)
            new = rows >= learned
            if new.any():
                psi_NK[rows[new]] = doubly_robust_scores(
                    subset_trial(every, rows[new]), nuisance.responses[j].mean(asked)[new]
                )
    hear(0.9)
    judged = replace(every, outcome_N=every.outcome_N * unit)
    return _Competed(
        judged, order, fold_N, gain_NKC * unit, psi_NK * unit, models, nuisance.responses, span * unit, unit, learned
    )


def _strays(gain_NKC: Floats, psi_NK: Floats, span: float) -> Ints:
    """Learners whose mean is not the doubly robust one: what they say of customers was not seen in the data."""
    mean_K, se_K = psi_NK.mean(axis=0), psi_NK.std(axis=0) / np.sqrt(len(psi_NK))
    apart_KC = np.abs(gain_NKC.mean(axis=0) - mean_K[:, None])
    allowed_K = MAX_STRAY_SE * se_K + 0.5 * np.abs(mean_K) + 1e-9 * span
    return np.flatnonzero((apart_KC > allowed_K[:, None]).any(axis=0))


def predict_gains(models: tuple[GainModel, ...], asked: CachedRows, span: float) -> Floats:
    """gain_NKC of all models, none beyond how far outcomes are apart."""
    return np.clip(np.stack([model.gain(asked) for model in models], axis=2), -span, span)


def fit_learner(name: SimpleLearner | RichLearner, nuisance: Nuisance) -> tuple[GainModel, ...]:
    """One learner by name, without each fold; all share the nuisance models."""
    folds = range(nuisance.folds)
    match name:
        case "proportional":
            return tuple(fit_proportional(nuisance, j) for j in folds)
        case "response":
            return tuple(fit_by_response(nuisance, j) for j in folds)
        case "segment":
            return tuple(fit_segment(nuisance, j) for j in folds)
        case "additive":
            return tuple(fit_additive(*nuisance.without(j)) for j in folds)
        case "multiplicative":
            return tuple(fit_linear(w.design, w.held_out) for w in map(nuisance.without, folds))
        case "multiplicative-sparse":
            return tuple(response.linear for response in nuisance.responses)
        case "t-trees":
            return nuisance.responses
        case "s-trees":
            return fit_single(nuisance)
        case "dr-trees":
            return fit_direct(nuisance)


def _costs(cost: ArrayLike, shape: tuple[int, ...], order: Ints | None = None) -> Floats:
    """Costs of treating as a row for each customer, in this order, or one row for all of them alike."""
    cost_NK = np.atleast_2d(np.asarray(cost, dtype=np.float64))
    if cost_NK.ndim > 2 or len(cost_NK) not in (1, shape[0]) or cost_NK.shape[1] not in (1, shape[1]):
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "cost: shape {shape} for {shape_2} customers and {shape_3} treatments",
                shape=cost_NK.shape, shape_2=shape[0], shape_3=shape[1],
            ),
        )  # fmt: skip
    if not np.isfinite(cost_NK).all():
        raise InputError(
            "value_not_finite",
            gettext_lazy("cost: some are missing or infinite; give a number for every customer and treatment"),
        )
    wide_NK = np.broadcast_to(cost_NK, (len(cost_NK), shape[1]))
    return np.asarray(wide_NK if order is None or len(wide_NK) == 1 else wide_NK[order])


def _best(trial: TrialArrays, psi_NK: Floats, cost_K: Floats, bound: float) -> int:
    """The arm with the best doubly robust mean of winsorised outcomes: heavy tails misled plain ones in simulation.
    Control, unless that or the plain mean is shown, by `bound` standard errors, to gain what it costs, and neither
    says that it does not. Several treatments share the error of one (Sidak 1967).

    Gains are held to have lost the share that outcomes lost: cut ones would face the whole cost.
    """
    cut_N = winsorise(trial.outcome_N, OUTCOME_QUANTILE)
    excess = replace(trial, outcome_N=trial.outcome_N - cut_N)
    cut_NK = psi_NK - doubly_robust_scores(excess, np.zeros_like(trial.prob_NA))
    whole = float(np.abs(trial.outcome_N).sum() / max(np.abs(cut_N).sum(), 1e-12))
    best = int(np.r_[0.0, whole * cut_NK.mean(axis=0) - cost_K].argmax())
    net_N2 = np.column_stack([whole * cut_NK[:, best - 1], psi_NK[:, best - 1]]) - cost_K[best - 1]
    z_2 = net_N2.mean(axis=0) / np.maximum(net_N2.std(axis=0), 1e-12) * np.sqrt(len(net_N2))
    share = 1 - scipy.stats.norm.cdf(bound) ** (1 / len(cost_K))
    return best if z_2.max() > scipy.stats.norm.isf(share) and z_2.min() > 0 else 0


def _trial(
    encoder: FeatureEncoder,
    features: Features,
    treatment: ArrayLike,
    outcome: ArrayLike,
    propensity: ArrayLike | None,
    seed: int,
) -> TrialArrays:
    """Check what came in."""
    x_NF, outcome_N, given_N = (
        encoder.encode(features),
        finite_vector(outcome, "outcome"),
        finite_vector(treatment, "treatment"),
    )
    if not len(x_NF) == len(outcome_N) == len(given_N):
        sizes = f"{len(x_NF)}, {len(given_N)} and {len(outcome_N)}"
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "features, treatment, outcome: {sizes} customers; give one of each for every customer", sizes=sizes
            ),
        )
    if (given_N != given_N.round()).any() or given_N.min(initial=0) < 0:
        raise InputError(
            "treatment_invalid",
            gettext_lazy("treatment: give whole numbers, 0 for control and 1, 2 .. for the treatments"),
        )
    arm_N = given_N.astype(np.int64)
    count_A = np.bincount(arm_N)
    if len(count_A) < 2 or count_A.min() < MIN_ARM_CUSTOMERS:
        raise SupportError(
            "arm_too_small",
            gettext_lazy(
                "treatment: {tolist} customers by arm; every arm needs at least {min_arm_customers}",
                tolist=count_A.tolist(), min_arm_customers=MIN_ARM_CUSTOMERS,
            ),
        )  # fmt: skip
    rank_N = np.unique(outcome_N, return_inverse=True)[1]  # any unit of the outcome, equal folds
    key_N = row_keys(np.column_stack([x_NF, arm_N, rank_N]), seed)
    if isinstance(propensity, str) and propensity == "estimate":
        prob_NA = estimate_propensity(x_NF, arm_N, key_N)
    else:
        prob_NA = _given(count_A[1:] / count_A.sum() if propensity is None else propensity, count_A)
    return TrialArrays(x_NF, arm_N, outcome_N, prob_NA, key_N, tuple(encoder.names))


def _given(propensity: ArrayLike, count_A: Ints) -> Floats:
    try:
        prob = np.asarray(propensity, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            "value_invalid", gettext_lazy('propensity: not numbers; give probabilities, "estimate" or None')
        ) from None
    if prob.shape == (len(count_A) - 1,):
        prob = np.tile(prob, (count_A.sum(), 1))
    elif prob.ndim == 1:
        prob = prob[:, None]
    if prob.shape == (count_A.sum(), len(count_A) - 1):
        prob = np.column_stack([1 - prob.sum(axis=1), prob])
    if prob.shape != (count_A.sum(), len(count_A)):
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "propensity: shape {shape}; give one column for each treatment, or for each arm", shape=prob.shape
            ),
        )
    if not (prob > 0).all() or np.abs(prob.sum(axis=1) - 1).max() > 1e-6:
        raise InputError(
            "propensity_invalid",
            gettext_lazy("propensity: probabilities must be above 0 and sum to 1 over control and treatments"),
        )
    return prob
