"""A log of decisions in; the best policy of a small class, and what it is worth at least, out.

The class: always one action, or a tree of at most two questions on the way to an action. One part of the customers
learns it, another, which had no say in it, values it: so the lower bound is honest however many policies were tried.

Legend: N decisions, M those that it learns from, F features, A actions, C questions, U customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.errors import InputError, SupportError
from promolift.hashing import hash_int, mix
from promolift.learn.off_policy import DecisionLog, OffPolicySettings, OffPolicyValue, value_of
from promolift.learn.reward import predict_rewards
from promolift.settings import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDS = 3  # in which the depth is chosen
LEAST_TAKEN = 30  # times that an action was taken among the learning rows before it may be chosen


class LearnerSettings(Settings):
    """`level` of the lower bound (one-sided). `depth`: questions on the way to an action, 0 to 2. `thresholds` tried of
    each feature. `caution`: standard errors that a finer tree must be better by, on rows that did not grow it.
    """

    level: float = 0.95
    depth: int = 2
    thresholds: int = 12
    caution: float = 1.0
    off_policy: OffPolicySettings = OffPolicySettings()
    seed: int = 0


@dataclass(frozen=True)
class PolicyTree:
    """An action, or a question (is the feature above the threshold? missing is not) and a tree for each answer."""

    action: int
    feature: int = -1
    above: float = 0.0
    no: "PolicyTree | None" = None
    yes: "PolicyTree | None" = None

    def choose(self, x_NF: Floats) -> Ints:
        """The action of each row."""
        if self.no is None or self.yes is None:
            return np.full(len(x_NF), self.action, dtype=np.int64)
        return np.where(x_NF[:, self.feature] > self.above, self.yes.choose(x_NF), self.no.choose(x_NF))

    def lines(self, actions: Sequence[str], names: Sequence[str], indent: str = "  ") -> list[str]:
        """The questions in words."""
        if self.no is None or self.yes is None:
            return [f"{indent}{actions[self.action]}"]
        asked = f"{names[self.feature]} above {self.above:.4g}"
        return [
            f"{indent}if {asked}:", *self.yes.lines(actions, names, indent + "  "),
            f"{indent}else:", *self.no.lines(actions, names, indent + "  "),
        ]  # fmt: skip


@dataclass(frozen=True)
class LearnedTree:
    """A policy and its value on customers who had no say in it.

    `bound`: what it earns per decision at least, `gain_bound` what it adds at least to what the log earned, each at
    `level`. `shown`: whether that is above 0; if not, keep what ran.
    """

    policy: PolicyTree
    actions: tuple[str, ...]
    names: tuple[str, ...]
    value: OffPolicyValue
    bound: float
    gain: float
    gain_bound: float
    level: float
    learned: int

    @property
    def shown(self) -> bool:
        """Whether it is shown to earn more than what was logged."""
        return self.gain_bound > 0

    def text(self) -> str:
        """The policy and what it is worth, for people."""
        verdict = (
            "shown to earn more than what ran" if self.shown else "not shown to earn more than what ran: keep that"
        )
        return "\n".join(
            [
                f"best policy of those tried, learned from {self.learned} decisions:",
                *self.policy.lines(self.actions, self.names),
                f"on {self.value.support.rows} others it earns {self.value.value:.5g} a decision, at least "
                f"{self.bound:.5g} ({self.level:.0%})",
                f"the log earned {self.value.logged:.5g} there; the policy adds {self.gain:+.5g}, at least "
                f"{self.gain_bound:+.5g}: {verdict}",
            ]
        )


def learn_policy(
    log: DecisionLog,
    x_NF: Floats,
    actions: Sequence[str],
    names: Sequence[str] = (),
    settings: LearnerSettings = LearnerSettings(),  # noqa: B008 - frozen
) -> LearnedTree:
    """Exact search of the tree with the largest doubly robust value (Athey & Wager 2021), a finer one only if it is
    better out of fold; then its value on the other half of the customers, with a one-sided bound.

    Actions that the learning half took fewer than 30 times cannot be chosen. Raises InputError for a depth beyond 2,
    SupportError if no action was taken often enough, or the log is worth too few rows for the policy.
    """
    if not 0 <= settings.depth <= 2:
        raise InputError(f"depth {settings.depth}: give 0, 1 or 2; deeper trees are not searched exactly")
    half_N = _halves(log, settings.seed)
    taught, held = np.flatnonzero(half_N == 0), np.flatnonzero(half_N == 1)
    score_MA = _scores(_part(log, taught), len(actions), settings)
    policy = _searched(x_NF[taught], score_MA, settings)
    judged = _part(log, held)
    chosen = np.eye(len(actions))[policy.choose(x_NF[held])]
    value = value_of(judged, chosen, settings.off_policy)
    logged_U = _unit_means(judged)
    steps = float(scipy.stats.norm.ppf(settings.level))
    gain_U = value.score_U - logged_U
    errors = [float(each.std(ddof=1) / np.sqrt(len(each))) for each in (value.score_U, gain_U)]
    return LearnedTree(
        policy, tuple(actions), tuple(names), value, float(value.score_U.mean()) - steps * errors[0],
        float(gain_U.mean()), float(gain_U.mean()) - steps * errors[1], settings.level, len(taught),
    )  # fmt: skip


def _halves(log: DecisionLog, seed: int) -> Ints:
    """Half of the customers each, by hash, so that nobody is in both."""
    unit_N = np.arange(len(log.action_N)) if log.unit_N is None else log.unit_N
    return ((mix(unit_N.astype(np.uint64) + np.uint64(hash_int("learners", seed) % 2**32)) >> np.uint64(20))
            % np.uint64(2)).astype(np.int64)  # fmt: skip


def _part(log: DecisionLog, rows: Ints) -> DecisionLog:
    unit = None if log.unit_N is None else np.unique(log.unit_N[rows], return_inverse=True)[1].astype(np.int64)
    logging = None if log.logging_NA is None else log.logging_NA[rows]
    return replace(
        log, action_N=log.action_N[rows], reward_N=log.reward_N[rows], prob_N=log.prob_N[rows],
        context_NF=log.context_NF[rows], logging_NA=logging, unit_N=unit,
    )  # fmt: skip


def _unit_means(log: DecisionLog) -> Floats:
    """One score a customer with the mean reward of the decisions."""
    if log.unit_N is None:
        return log.reward_N
    mean = float(log.reward_N.mean())
    total_U = np.bincount(log.unit_N, log.reward_N - mean)
    return np.asarray(mean + total_U * (len(total_U) / len(log.reward_N)))


def _scores(log: DecisionLog, actions: int, settings: LearnerSettings) -> Floats:
    """Doubly robust scores of every action; -inf for those taken too seldom."""
    rows, inverse_N = np.arange(len(log.action_N)), 1 / log.prob_N
    made = settings.off_policy.reward
    score_NA = predict_rewards(
        log.action_N, log.reward_N, inverse_N, log.context_NF, actions, made
    ).best.reward_NA.copy()
    score_NA[rows, log.action_N] += inverse_N * (log.reward_N - score_NA[rows, log.action_N])
    often_A = np.bincount(log.action_N, minlength=actions) >= LEAST_TAKEN
    if not often_A.any():
        raise SupportError(f"log: no action was taken {LEAST_TAKEN} times among {len(rows)} decisions; log more")
    score_NA[:, ~often_A] = -np.inf
    return score_NA


def _searched(x_NF: Floats, score_NA: Floats, settings: LearnerSettings) -> PolicyTree:
    """The best tree of a depth that pays on rows that did not grow it."""
    cuts, rows = _cuts(x_NF, settings.thresholds), np.arange(len(x_NF))
    fold_N = (mix(rows.astype(np.uint64)) >> np.uint64(20)) % np.uint64(FOLDS)
    best, scored_N = 0, np.zeros(len(rows))
    for depth in range(settings.depth + 1):
        found_N = np.zeros(len(rows))
        for fold in range(FOLDS):
            grown, held = fold_N != fold, np.flatnonzero(fold_N == fold)
            tree = _tree(x_NF[grown], score_NA[grown], cuts, depth)
            found_N[held] = score_NA[held, tree.choose(x_NF[held])]
        better_N = found_N - scored_N
        if depth == 0 or better_N.mean() > settings.caution * better_N.std() / np.sqrt(len(rows)):
            best, scored_N = depth, found_N
    return _tree(x_NF, score_NA, cuts, best)


class _Cut(NamedTuple):
    """A question, and who answers yes."""

    feature: int
    above: float


def _cuts(x_NF: Floats, thresholds: int) -> list[_Cut]:
    found = []
    for f in range(x_NF.shape[1]):
        known = x_NF[np.isfinite(x_NF[:, f]), f]
        if known.size:
            at = np.unique(np.quantile(known, np.linspace(0, 1, thresholds + 2)[:-1], method="lower"))
            found += [_Cut(f, float(value)) for value in at if value < known.max()]
    return found


def _tree(x_NF: Floats, score_NA: Floats, cuts: list[_Cut], depth: int) -> PolicyTree:
    """The best tree of a depth: for every first question the best second ones. Sums are made by one product."""
    leaf = PolicyTree(int(score_NA.sum(axis=0).argmax()))
    if depth == 0 or not cuts or not len(x_NF):
        return leaf
    yes_NC = np.column_stack([x_NF[:, cut.feature] > cut.above for cut in cuts]).astype(np.float64)
    live = np.isfinite(score_NA[0]) if len(score_NA) else np.ones(score_NA.shape[1], dtype=bool)
    if depth == 1:
        return _stump(yes_NC, score_NA, live, cuts, leaf)
    best, most = leaf, -np.inf
    for c, cut in enumerate(cuts):
        side = yes_NC[:, c] > 0
        if not side.any() or side.all():
            continue
        values, trees = 0.0, []
        for mine in (~side, side):
            own = PolicyTree(int(score_NA[mine].sum(axis=0).argmax()))
            tree = _stump(yes_NC[mine], score_NA[mine], live, cuts, own)
            values += float(score_NA[mine][np.arange(int(mine.sum())), tree.choose(x_NF[mine])].sum())
            trees.append(tree)
        if values > most:
            best, most = PolicyTree(leaf.action, cut.feature, cut.above, trees[0], trees[1]), values
    return best


def _stump(yes_NC: Floats, score_NA: Floats, live: NDArray[np.bool_], cuts: list[_Cut], leaf: PolicyTree) -> PolicyTree:
    """The best single question, or none if none is better than one action for all."""
    safe_NA = np.where(live, score_NA, 0.0)
    total_A, yes_CA = safe_NA.sum(axis=0), yes_NC.T @ safe_NA
    yes_CA, no_CA = np.where(live, yes_CA, -np.inf), np.where(live, total_A - yes_CA, -np.inf)
    value_C = yes_CA.max(axis=1) + no_CA.max(axis=1)
    c = int(value_C.argmax())
    if value_C[c] <= total_A[live].max() + 1e-12:
        return leaf
    no, yes = PolicyTree(int(no_CA[c].argmax())), PolicyTree(int(yes_CA[c].argmax()))
    return PolicyTree(leaf.action, cuts[c].feature, cuts[c].above, no, yes)
