"""Estimate what a policy that never ran would have earned, from logged decisions, with an interval or a refusal.

Legend: N logged decisions, A actions, F context features, U independent units (customers), P policies, B bootstrap
draws. Of each decision: `weight_N` is the probability of the logged action under the new policy over its propensity;
`fit_N` is the reward predicted for the logged action; `direct_N` the prediction averaged over the policy's actions.

Every estimator is written as scores whose mean is the estimate and whose spread gives its standard error. For a ratio
the score is the value plus its linearised deviation (the delta method), so that one set of formulas serves intervals,
bootstrap, customers with several decisions, and differences between policies. The best guess is the estimate with the
smallest estimated error, bias counted. The interval is that of the best estimate that needs no model to be right, so
that it keeps its promise whatever the guess leans on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from promolift.core.experiments.off_policy.overlap import PolicySupport, measure_support, require_support, unseen_mass
from promolift.core.experiments.off_policy.reward_model import Rewards, RewardSettings, predict_rewards
from promolift.foundation.errors import InputError
from promolift.foundation.evidence import Interval
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import as_html
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy, render_message
from promolift.foundation.settings import Settings

Floats = NDArray[np.float64]
CHUNK = 4096  # rows of multipliers drawn at a time


def standard_error(score_N: Floats) -> float:
    """Of the mean of independent scores; infinite for fewer than two."""
    return float(score_N.std(ddof=1) / np.sqrt(len(score_N))) if len(score_N) > 1 else np.inf


def normal_interval(score_N: Floats, level: float) -> Interval:
    """Mean plus and minus z standard errors: right for many rows whose weights are not extreme."""
    half = float(scipy.stats.norm.ppf(0.5 + level / 2)) * standard_error(score_N)
    return Interval(float(score_N.mean()) - half, float(score_N.mean()) + half)


def bootstrap_interval(score_N: Floats, level: float, draws: int, seed: int) -> Interval:
    """Percentiles of the mean under Bayesian (exponential) weights of the rows: follows skew the normal cannot."""
    generator = np.random.default_rng(hash_int("bootstrap", seed))
    total_B, weight_B = np.zeros(draws), np.zeros(draws)
    for start in range(0, len(score_N), CHUNK):
        part_M = score_N[start : start + CHUNK]
        multiplier_BM = generator.standard_exponential((draws, len(part_M)))
        total_B += multiplier_BM @ part_M
        weight_B += multiplier_BM.sum(axis=1)
    low, high = np.quantile(total_B / weight_B, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(low), float(high))


def simultaneous_z(scores_NP: Floats, level: float, draws: int, seed: int) -> float:
    """How many standard errors hold for all policies at once (max-t multiplier bootstrap; Chernozhukov et al. 2013).

    Policies that move together need fewer than Bonferroni asks for. A policy whose scores do not vary is left out.
    """
    spread_P = scores_NP.std(axis=0, ddof=1)
    kept = spread_P > 0
    if not kept.any():
        return float(scipy.stats.norm.ppf(0.5 + level / 2))
    unit_NP = (scores_NP[:, kept] - scores_NP[:, kept].mean(axis=0)) / spread_P[kept]
    total_BP = np.zeros((draws, unit_NP.shape[1]))
    generator = np.random.default_rng(hash_int("max-t", seed))
    for start in range(0, len(unit_NP), CHUNK):
        part = unit_NP[start : start + CHUNK]
        total_BP += generator.standard_normal((draws, len(part))) @ part
    return float(np.quantile(np.abs(total_BP).max(axis=1) / np.sqrt(len(unit_NP)), level))


@dataclass(frozen=True)
class EstimatorParts:
    """What all estimators are made of; one number per logged decision."""

    reward_N: Floats
    weight_N: Floats
    fit_N: Floats
    direct_N: Floats


def ips(parts: EstimatorParts) -> Floats:
    """Inverse propensity score (Horvitz & Thompson 1952): w r. Unbiased."""
    return parts.weight_N * parts.reward_N


def snips(parts: EstimatorParts) -> Floats:
    """Self-normalised IPS (Swaminathan & Joachims 2015): sum of w r over sum of w."""
    return _ratio(parts.weight_N, parts.reward_N)


def dr(parts: EstimatorParts) -> Floats:
    """Doubly robust (Dudik, Langford & Li 2011): the direct method plus w times what the model got wrong. Unbiased."""
    return parts.direct_N + parts.weight_N * (parts.reward_N - parts.fit_N)


def sndr(parts: EstimatorParts) -> Floats:
    """Doubly robust with the correction self-normalised as in `snips`."""
    return parts.direct_N + _ratio(parts.weight_N, parts.reward_N - parts.fit_N)


def _ratio(weight_N: Floats, value_N: Floats) -> Floats:
    mean = weight_N.mean()
    if mean == 0:
        return np.zeros_like(value_N)
    centre = float((weight_N * value_N).mean() / mean)
    return np.asarray(centre + weight_N / mean * (value_N - centre), dtype=np.float64)


Ints = NDArray[np.int64]
UNBIASED = {"ips": ips, "snips": snips, "dr": dr, "sndr": sndr}  # need no model to be right
FEW = 100  # rewarded rows, in effect, under which estimates of a rate do not tell policies apart


class OffPolicySettings(Settings):
    """How a policy is valued. `interval` is how the printed interval is made; the table shows normal ones."""

    level: float = 0.95
    interval: Literal["normal", "bootstrap"] = "normal"
    draws: int = 1000
    least_effective: float = 30.0
    most_unseen: float = 0.0
    reward: RewardSettings = RewardSettings()
    seed: int = 0


@dataclass(frozen=True)
class DecisionLog:
    """Checked decisions. `logging_NA` where every action's propensity was logged; `unit_N` numbers the customers."""

    action_N: Ints
    reward_N: Floats
    prob_N: Floats
    context_NF: Floats
    logging_NA: Floats | None = None
    unit_N: Ints | None = None

    def part(self, rows: Ints) -> "DecisionLog":
        """These decisions in this order, their customers numbered anew."""
        unit = None if self.unit_N is None else np.unique(self.unit_N[rows], return_inverse=True)[1].astype(np.int64)
        return DecisionLog(
            self.action_N[rows], self.reward_N[rows], self.prob_N[rows], self.context_NF[rows],
            None if self.logging_NA is None else self.logging_NA[rows], unit,
        )  # fmt: skip


@dataclass(frozen=True)
class PolicyEstimate:
    """One estimator's value; `error` is its estimated root mean squared error, bias counted."""

    name: str
    value: float
    se: float
    low: float
    high: float
    error: float


ESTIMATE_COLUMNS = (
    gettext_noop("estimator"), gettext_noop("value"), gettext_noop("s.e."), gettext_noop("error"),
)  # fmt: skip


@dataclass(frozen=True)
class OffPolicyValue:
    """What a policy earns per decision.

    `value` is the best guess, by `chosen`; `low` to `high` comes from `interval_of`. `logged` is what the log earned;
    `gain_low` to `gain_high` is the interval of the policy's advantage over it. `score_U` has one score a customer.
    """

    value: float
    low: float
    high: float
    level: float
    chosen: str
    interval_of: str
    logged: float
    gain_low: float
    gain_high: float
    estimates: tuple[PolicyEstimate, ...]
    support: PolicySupport
    rewarded: float
    reward_model: str
    score_U: Floats

    @property
    def warning(self) -> LazyMessage | None:
        """Why the numbers are to be read with care, if they are."""
        if self.rewarded < FEW:
            return gettext_lazy(
                "worth {rows} rewarded rows: too few to tell policies apart", rows=f"{self.rewarded:.0f}"
            )
        return None

    def __str__(self) -> str:
        lines = [
            gettext(
                "value {value} ({chosen}), {level} interval {low} to {high} ({interval_of})",
                value=f"{self.value:.5g}", chosen=self.chosen, level=f"{self.level:.0%}", low=f"{self.low:.5g}",
                high=f"{self.high:.5g}", interval_of=self.interval_of,
            ),
            gettext(
                "the log earned {logged}; the policy adds {low} to {high}",
                logged=f"{self.logged:.5g}", low=f"{self.gain_low:+.5g}", high=f"{self.gain_high:+.5g}",
            ),
            gettext(
                "{rows} rows, worth {worth} for this policy, largest weight {largest}, reward model: {model}",
                rows=self.support.rows, worth=f"{self.support.effective:.0f}", largest=f"{self.support.largest:.1f}",
                model=self.reward_model,
            ),
        ]  # fmt: skip
        if self.warning is not None:
            lines.append(gettext("caution: {warning}", warning=render_message(self.warning)))
        heads = (gettext(name) for name in ESTIMATE_COLUMNS)
        lines.append("{:<11}{:>11}{:>11}{:>11}".format(*heads))
        lines += [f"{e.name:<11}{e.value:>11.5g}{e.se:>11.3g}{e.error:>11.3g}" for e in self.estimates]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return as_html(str(self))


def off_policy_value(
    action_N: ArrayLike,
    reward_N: ArrayLike,
    prob_N: ArrayLike,
    policy_NA: ArrayLike,
    *,
    context_NF: ArrayLike | None = None,
    settings: OffPolicySettings = OffPolicySettings(),  # noqa: B008 - frozen
) -> OffPolicyValue:
    """What `policy_NA` (probabilities of every action in each row) would have earned per decision.

    `prob_N` is the propensity of each logged action, or N x A those of all actions, which lets the support check see
    every action. Raises InputError for arrays that make no sense, SupportError if the policy does what the log never
    did, if the log is worth too few rows for it, or if the logged propensities cannot be the true ones.
    """
    log = read_log(action_N, reward_N, prob_N, context_NF)
    return estimate_value(log, read_policy(log, policy_NA), settings)


def read_log(
    action_N: ArrayLike,
    reward_N: ArrayLike,
    prob_N: ArrayLike,
    context_NF: ArrayLike | None = None,
    unit_N: ArrayLike | None = None,
) -> DecisionLog:
    """Check the arrays of a log. `unit_N` names the independent unit of each row, such as the customer."""
    action = np.asarray(action_N)
    rows = len(action)
    if not rows or action.ndim != 1 or action.dtype.kind not in "iu" or action.min() < 0:
        raise InputError(
            "value_invalid" if rows else "too_few_rows",
            gettext_lazy("action: give one whole number from 0 up for each decision, and at least one decision"),
        )
    reward = _numbers(reward_N, "reward", (rows,))
    prob = np.asarray(prob_N, dtype=np.float64)
    logging = None
    if prob.ndim == 2:
        logging = _probabilities(prob, "prob", rows, "propensity_invalid")
        if action.max() >= logging.shape[1]:
            raise InputError(
                "action_unknown",
                gettext_lazy(
                    "prob: {shape} actions, but action {max} was logged", shape=logging.shape[1], max=action.max()
                ),
            )
        prob = logging[np.arange(rows), action]
    prob = _numbers(prob, "prob", (rows,))
    wrong = np.flatnonzero((prob <= 0) | (prob > 1 + 1e-9))
    if wrong.size:
        raise InputError(
            "propensity_invalid",
            gettext_lazy(
                "prob: {size} of {rows} are not in (0, 1], first {prob} at row {wrong}",
                size=wrong.size,
                rows=rows,
                prob=f"{prob[wrong[0]]:g}",
                wrong=wrong[0],
            ),
        )
    context = np.zeros((rows, 0)) if context_NF is None else np.asarray(context_NF, dtype=np.float64)
    if context.ndim != 2 or len(context) != rows:
        raise InputError(
            "shapes_differ",
            gettext_lazy("context: shape {shape}; give {rows} rows of features", shape=context.shape, rows=rows),
        )
    unit = None if unit_N is None else np.unique(np.asarray(unit_N), return_inverse=True)[1].astype(np.int64)
    if unit is not None and len(unit) != rows:
        raise InputError(
            "shapes_differ", gettext_lazy("unit: {unit} given for {rows} decisions", unit=len(unit), rows=rows)
        )
    return DecisionLog(action.astype(np.int64), reward, prob, context, logging, unit)


def read_policy(log: DecisionLog, policy_NA: ArrayLike) -> Floats:
    """Check a policy against a log: a row of probabilities for each decision, with a column for each logged action."""
    given_NA = np.asarray(policy_NA, dtype=np.float64)
    policy = _probabilities(given_NA, "policy", len(log.action_N), "probabilities_invalid")
    if log.action_N.max() >= policy.shape[1]:
        raise InputError(
            "action_unknown",
            gettext_lazy(
                "policy: {shape} actions, but action {max} was logged", shape=policy.shape[1], max=log.action_N.max()
            ),
        )
    if log.logging_NA is not None and log.logging_NA.shape != policy.shape:
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "policy: {shape} actions, the logged propensities have {logging_na_shape}",
                shape=policy.shape[1],
                logging_na_shape=log.logging_NA.shape[1],
            ),
        )
    return policy


def estimate_value(log: DecisionLog, policy_NA: Floats, settings: OffPolicySettings) -> OffPolicyValue:
    """Value one checked policy."""
    rows = np.arange(len(log.action_N))
    weight_N = policy_NA[rows, log.action_N] / log.prob_N
    support = measure_support(weight_N, unseen_mass(log.action_N, policy_NA, log.logging_NA))
    require_support(support, settings.most_unseen, settings.least_effective)
    fits = predict_rewards(log.action_N, log.reward_N, weight_N, log.context_NF, policy_NA.shape[1], settings.reward)
    fit_N, direct_N = fits.best.reward_NA[rows, log.action_N], (policy_NA * fits.best.reward_NA).sum(axis=1)
    parts = EstimatorParts(log.reward_N, weight_N, fit_N, direct_N)
    scores = {name: mean_per_unit(made(parts), log.unit_N) for name, made in UNBIASED.items()}
    anchor = min(scores, key=lambda name: standard_error(scores[name]))
    if (direct_U := _direct(fits.lean, log, policy_NA)) is not None:
        scores["dm"] = direct_U
    sure_U = scores[anchor]
    scores["blend"], share = blend_scores(scores.get("dm", sure_U), sure_U)
    z = float(scipy.stats.norm.ppf(0.5 + settings.level / 2))
    held, gain = _interval(sure_U, settings), _around(sure_U - mean_per_unit(log.reward_N, log.unit_N), z)
    paid_N = weight_N * log.reward_N
    square = float((paid_N**2).sum())
    return OffPolicyValue(
        value=float(np.clip(scores["blend"].mean(), held.low, held.high)),
        low=held.low,
        high=held.high,
        level=settings.level,
        chosen=anchor if share < 0.005 else "dm" if share > 0.995 else f"{share:.0%} dm, {1 - share:.0%} {anchor}",
        interval_of=anchor,
        logged=float(log.reward_N.mean()),
        gain_low=gain.low,
        gain_high=gain.high,
        estimates=tuple(_estimate(name, score_U, sure_U, z) for name, score_U in scores.items()),
        support=support,
        rewarded=float(paid_N.sum()) ** 2 / square if square else 0.0,
        reward_model=f"{fits.best.kind}, l2 {fits.best.l2:g}",
        score_U=sure_U,
    )


def rank_policies(
    log: DecisionLog,
    policies: Mapping[str, Floats],
    settings: OffPolicySettings = OffPolicySettings(),  # noqa: B008 - frozen
) -> "Ranking":
    """Value several policies on one log and rank them, with intervals that hold for all of them at once.

    `against` holds each policy's difference from the best guess with its interval; a policy whose interval holds 0
    cannot be told from it.
    """
    if len(policies) < 2:
        raise InputError("too_few_policies", gettext_lazy("policies: give at least two to rank"))
    values = {name: estimate_value(log, read_policy(log, policy), settings) for name, policy in policies.items()}
    order = sorted(values, key=lambda name: (-values[name].value, name))
    scores_UP = np.column_stack([values[name].score_U for name in order])
    steps = simultaneous_z(scores_UP, settings.level, settings.draws, settings.seed)
    paired_UP = scores_UP[:, 1:] - scores_UP[:, :1]
    apart = simultaneous_z(paired_UP, settings.level, settings.draws, settings.seed)
    held = {name: _around(values[name].score_U, steps) for name in order}
    against = {name: _around(paired_UP[:, p], apart) for p, name in enumerate(order[1:])}
    return Ranking(tuple(order), values, held, against)


@dataclass(frozen=True)
class Ranking:
    """Policies from best guess to worst; intervals that hold together; and differences from the first, likewise."""

    order: tuple[str, ...]
    values: dict[str, OffPolicyValue]
    intervals: dict[str, Interval]
    against: dict[str, Interval]

    @property
    def beaten(self) -> tuple[str, ...]:
        """The policies shown to earn less than the first."""
        return tuple(name for name in self.order[1:] if self.against[name].high < 0)

    def __str__(self) -> str:
        """The policies in order, each with its interval and whether it can be told from the first."""
        level = f"{self.values[self.order[0]].level:.0%}"
        lines = [gettext("all intervals at once ({level}), best guess first:", level=level)]
        for name in self.order:
            low, high = self.intervals[name].low, self.intervals[name].high
            beaten = gettext("beaten") if name in self.beaten else gettext("cannot be told from the first")
            beaten = f"  {beaten}" if name in self.against else ""
            found = {"value": f"{self.values[name].value:.5g}", "low": f"{low:.5g}", "high": f"{high:.5g}"}
            lines.append("  " + gettext("{policy}: {value}, {low} to {high}", policy=name, **found) + beaten)
        return "\n".join(lines)


class BlendedScores(NamedTuple):
    """A mix of the scores of a biased and an unbiased estimate, and the share of the biased one."""

    score_U: Floats
    share: float


def blend_scores(lean_U: Floats, sure_U: Floats) -> BlendedScores:
    """The mix of a biased and an unbiased estimate with the smallest estimated squared error.

    The bias is read from their difference, less what that difference owes to noise.
    """
    gap_U = lean_U - sure_U
    if len(sure_U) < 2 or gap_U.std() == 0:
        return BlendedScores(sure_U, 0.0)
    noise = float(gap_U.var(ddof=1)) / len(sure_U)
    bias2 = max(float(gap_U.mean()) ** 2 - noise, 0.0)
    cover = np.cov(lean_U, sure_U) / len(sure_U)
    share = float(np.clip((cover[1, 1] - cover[0, 1]) / (bias2 + noise), 0.0, 1.0))
    return BlendedScores(share * lean_U + (1.0 - share) * sure_U, share)


def _direct(model: Rewards, log: DecisionLog, policy_NA: Floats) -> Floats | None:
    """Scores of the direct method, which count what the model had to learn; None where it is made of trees."""
    pull_N = model.pull(log.action_N, policy_NA)
    if pull_N is None:
        return None
    learnt_N = pull_N * (log.reward_N - model.reward_NA[np.arange(len(pull_N)), log.action_N])
    return mean_per_unit((policy_NA * model.reward_NA).sum(axis=1) + learnt_N - learnt_N.mean(), log.unit_N)


def _error(score_U: Floats, sure_U: Floats) -> float:
    """Estimated root mean squared error: the standard error, and the distance from an unbiased estimate as bias."""
    gap = float(score_U.mean() - sure_U.mean())
    return float(np.hypot(standard_error(score_U), gap))


def _estimate(name: str, score_U: Floats, sure_U: Floats, z: float) -> PolicyEstimate:
    around, se = _around(score_U, z), standard_error(score_U)
    return PolicyEstimate(name, float(score_U.mean()), se, around.low, around.high, _error(score_U, sure_U))


def _interval(sure_U: Floats, settings: OffPolicySettings) -> Interval:
    if settings.interval == "bootstrap":
        return bootstrap_interval(sure_U, settings.level, settings.draws, settings.seed)
    return normal_interval(sure_U, settings.level)


def _around(score_U: Floats, steps: float) -> Interval:
    half = steps * standard_error(score_U)
    return Interval(float(score_U.mean()) - half, float(score_U.mean()) + half)


def mean_per_unit(score_N: Floats, unit_N: Ints | None) -> Floats:
    """One score a unit, with the same mean: a customer's decisions are not independent of one another."""
    if unit_N is None:
        return score_N
    mean = float(score_N.mean())
    total_U = np.bincount(unit_N, weights=score_N - mean)
    return np.asarray(mean + total_U * (len(total_U) / len(score_N)), dtype=np.float64)


def _numbers(values: ArrayLike, name: str, shape: tuple[int, ...]) -> Floats:
    found = np.asarray(values, dtype=np.float64)
    if found.shape != shape:
        raise InputError(
            "shapes_differ",
            gettext_lazy("{name}: shape {shape}, expected {shape_2}", name=name, shape=found.shape, shape_2=shape),
        )
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        raise InputError(
            "value_missing",
            gettext_lazy(
                "{name}: {size} of {found_size} are missing or infinite, first at row {wrong}",
                name=name,
                size=wrong.size,
                found_size=found.size,
                wrong=wrong[0],
            ),
        )
    return found


def _probabilities(values: Floats, name: str, rows: int, code: str) -> Floats:
    if values.ndim != 2 or len(values) != rows:
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "{name}: shape {shape}; give {rows} rows of probabilities, one for each action",
                name=name,
                shape=values.shape,
                rows=rows,
            ),
        )
    wrong = np.flatnonzero(~((values >= 0).all(axis=1) & (np.abs(values.sum(axis=1) - 1) < 1e-6)))
    if wrong.size:
        raise InputError(
            code,
            gettext_lazy(
                "{name}: {size} of {rows} rows are no probabilities that sum to 1, first row {wrong}",
                name=name,
                size=wrong.size,
                rows=rows,
                wrong=wrong[0],
            ),
        )
    return values


__all__ = ["DecisionLog", "OffPolicySettings", "OffPolicyValue", "Ranking", "off_policy_value", "rank_policies"]
