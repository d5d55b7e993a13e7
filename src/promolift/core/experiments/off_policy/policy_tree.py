"""Learn a small decision tree as a policy from logged decisions, with a lower bound of its value.

The class: always one action, or a tree of at most two questions on the way to an action. One part of the customers
learns it, another, which had no say in it, values it: so the lower bound is honest however the tree was found.

Legend: N decisions, M those that it learns from, F features, A actions, U customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.core.experiments.off_policy.estimators import (
    DecisionLog,
    OffPolicySettings,
    OffPolicyValue,
    estimate_value,
    mean_per_unit,
)
from promolift.core.experiments.off_policy.reward_model import predict_rewards
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.hashing import hash_int, mix_bits
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeRegressor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDS = 3  # in which the depth is chosen
MIN_ACTION_ROWS = 30  # times that an action was taken among the learning rows before it may be chosen
MIN_LEAF_ROWS = 20  # decisions behind each answer of a tree


class LearnerSettings(Settings):
    """`level` of the lower bound (one-sided). `depth`: questions on the way to an action, 0 to 2. `caution`:
    standard errors that a finer tree must be better by, on rows that did not grow it.
    """

    level: float = 0.95
    depth: int = 2
    caution: float = 1.0
    off_policy: OffPolicySettings = OffPolicySettings()
    seed: int = 0


@dataclass(frozen=True)
class PolicyTree:
    """What each decision's features ask, and the action of every answer; `grown` is None for one action for all."""

    action: int
    grown: "DecisionTreeRegressor | None" = None

    def choose(self, x_NF: Floats) -> Ints:
        """The action of each row; a missing feature is above no threshold."""
        if self.grown is None or not len(x_NF):
            return np.full(len(x_NF), self.action, dtype=np.int64)
        return np.asarray(self.grown.predict(_known(x_NF)).argmax(axis=1), dtype=np.int64)

    def lines(self, actions: Sequence[str], names: Sequence[str], indent: str = "  ", node: int = 0) -> list[str]:
        if self.grown is None:
            return [f"{indent}{actions[self.action]}"]
        tree = self.grown.tree_
        if tree.children_left[node] < 0:
            return [f"{indent}{actions[int(tree.value[node, :, 0].argmax())]}"]
        no, yes = (self.lines(actions, names, indent + "  ", int(side[node]))
                   for side in (tree.children_left, tree.children_right))  # fmt: skip
        feature, border = names[tree.feature[node]], f"{tree.threshold[node]:.4g}"
        return [
            indent + gettext("if {feature} above {border}:", feature=feature, border=border),
            *yes,
            indent + gettext("else:"),
            *no,
        ]


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

    def __str__(self) -> str:
        verdict = gettext("not shown to earn more than what ran: keep that")
        if self.shown:
            verdict = gettext("shown to earn more than what ran")
        lines = [
            gettext("best policy of those tried, learned from {learned} decisions:", learned=self.learned),
            *self.policy.lines(self.actions, self.names),
            gettext(
                "on {rows} others it earns {value} a decision, at least {bound} ({level})",
                rows=self.value.support.rows, value=f"{self.value.value:.5g}", bound=f"{self.bound:.5g}",
                level=f"{self.level:.0%}",
            ),
            gettext(
                "the log earned {logged} there; the policy adds {gain}, at least {bound}: {verdict}",
                logged=f"{self.value.logged:.5g}", gain=f"{self.gain:+.5g}", bound=f"{self.gain_bound:+.5g}",
                verdict=verdict,
            ),
        ]  # fmt: skip
        return "\n".join(lines)


def learn_policy(
    log: DecisionLog,
    x_NF: Floats,
    actions: Sequence[str],
    names: Sequence[str] = (),
    settings: LearnerSettings = LearnerSettings(),  # noqa: B008 - frozen
) -> LearnedTree:
    """A tree grown on what doubly robust scores (Athey & Wager 2021) say of the actions, a finer one only if it is
    better out of fold; then its value on the other half of the customers, with a one-sided bound.

    Actions that the learning half took fewer than 30 times are not chosen. Raises InputError for a depth beyond 2,
    SupportError if no action was taken often enough, or the log is worth too few rows for the policy.
    """
    if not 0 <= settings.depth <= 2:
        raise InputError(
            "setting_invalid",
            gettext_lazy(
                "depth {depth}: give 0, 1 or 2: deeper trees are hard to tell and to trust", depth=settings.depth
            ),
        )
    half_N = _halves(log, settings.seed)
    taught, held = np.flatnonzero(half_N == 0), np.flatnonzero(half_N == 1)
    score_MA = _scores(log.part(taught), len(actions), settings)
    policy = _searched(x_NF[taught], score_MA, settings)
    judged = log.part(held)
    chosen = np.eye(len(actions))[policy.choose(x_NF[held])]
    value = estimate_value(judged, chosen, settings.off_policy)
    logged_U = mean_per_unit(judged.reward_N, judged.unit_N)
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
    return ((mix_bits(unit_N.astype(np.uint64) + np.uint64(hash_int("learners", seed) % 2**32)) >> np.uint64(20))
            % np.uint64(2)).astype(np.int64)  # fmt: skip


def _scores(log: DecisionLog, actions: int, settings: LearnerSettings) -> Floats:
    """Doubly robust scores of every action; those taken too seldom are worse than any."""
    rows, inverse_N = np.arange(len(log.action_N)), 1 / log.prob_N
    made = settings.off_policy.reward
    score_NA = predict_rewards(
        log.action_N, log.reward_N, inverse_N, log.context_NF, actions, made
    ).best.reward_NA.copy()
    score_NA[rows, log.action_N] += inverse_N * (log.reward_N - score_NA[rows, log.action_N])
    often_A = np.bincount(log.action_N, minlength=actions) >= MIN_ACTION_ROWS
    if not often_A.any():
        raise SupportError(
            "actions_too_rare",
            gettext_lazy(
                "log: no action was taken {min_action_rows} times among {rows} decisions; log more",
                min_action_rows=MIN_ACTION_ROWS,
                rows=len(rows),
            ),
        )
    score_NA -= score_NA[:, often_A].mean(axis=1, keepdims=True)  # questions are to part actions, not levels
    score_NA[:, ~often_A] = score_NA.min() - 1
    return score_NA


def _searched(x_NF: Floats, score_NA: Floats, settings: LearnerSettings) -> PolicyTree:
    """The tree of a depth that pays on rows that did not grow it."""
    rows = np.arange(len(x_NF))
    fold_N = (mix_bits(rows.astype(np.uint64)) >> np.uint64(20)) % np.uint64(FOLDS)
    best, scored_N = 0, np.zeros(len(rows))
    for depth in range((settings.depth if x_NF.shape[1] and score_NA.shape[1] > 1 else 0) + 1):
        found_N = np.zeros(len(rows))
        for fold in range(FOLDS):
            grown, held = fold_N != fold, np.flatnonzero(fold_N == fold)
            found_N[held] = score_NA[held, _tree(x_NF[grown], score_NA[grown], depth).choose(x_NF[held])]
        better_N = found_N - scored_N
        if depth == 0 or better_N.mean() > settings.caution * better_N.std() / np.sqrt(len(rows)):
            best, scored_N = depth, found_N
    return _tree(x_NF, score_NA, best)


def _tree(x_NF: Floats, score_NA: Floats, depth: int) -> PolicyTree:
    action = int(score_NA.sum(axis=0).argmax())
    if not depth:
        return PolicyTree(action)
    from sklearn.tree import DecisionTreeRegressor  # a refusal loads no library of models

    grown = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=MIN_LEAF_ROWS, random_state=0)
    return PolicyTree(action, grown.fit(_known(x_NF), score_NA))


def _known(x_NF: Floats) -> NDArray[np.float32]:
    """Features in the range of a tree's numbers; what is missing lies below all."""
    most = float(np.finfo(np.float32).max)
    return np.clip(np.nan_to_num(x_NF, nan=-most), -most, most).astype(np.float32)
