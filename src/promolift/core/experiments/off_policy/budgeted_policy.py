"""Estimate before launch what a policy earns whose budget may run out, from logged decisions.

The recorded arrivals are gone through in their order; what the policy itself spends, by importance weights, sets its
price for the next ones, or ends it. Replaying the decisions that agree spends too little: the money lasts too long.

Legend: N decisions in the order of arrival, A actions, G prices, H blocks of arrivals, U customers, B bootstrap draws.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.core.experiments.off_policy.estimators import DecisionLog, OffPolicySettings
from promolift.core.experiments.off_policy.overlap import PolicySupport, measure_support, require_support, unseen_mass
from promolift.core.experiments.off_policy.reward_model import predict_rewards
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Interval
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import as_html
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
BLOCKS = 60  # the price is set anew so many times
PRICES = 24  # prices at which a policy is valued; between them its figures run straight
PART = 64  # draws of weights held at a time


@dataclass(frozen=True)
class PricedPolicy:
    """The action of the largest gain - price x cost, or none where no gain is worth its price.

    `gain_NA` and `cost_NA` are what the policy believes (NaN: not open). `price`: one for all arrivals; None: set anew
    from block to block so that the money left lasts, as a paced plan does (core/allocation/budget_pacing.py).
    """

    gain_NA: Floats
    cost_NA: Floats
    price: float | None = None

    def chosen(self, price: float, none: int) -> Ints:
        """The action of every decision at a price."""
        worth_NA = np.where(np.isfinite(self.gain_NA), self.gain_NA - price * self.cost_NA, -np.inf)
        worth_NA[:, none] = 0.0
        return np.asarray(worth_NA.argmax(axis=1), dtype=np.int64)

    def prices(self) -> Floats:
        """Prices from 0 to where nothing is worth it any more."""
        if self.price is not None:
            return np.array([self.price])
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = self.gain_NA / self.cost_NA
        rate = rate[np.isfinite(rate) & (self.cost_NA > 0) & (rate > 0)]
        if not rate.size:
            return np.zeros(1)
        return np.unique(np.r_[0.0, np.quantile(rate, np.linspace(0, 1, PRICES - 2)), rate.max() * 1.001])


@dataclass(frozen=True)
class BudgetedValue:
    """What a policy earns per decision where its money runs out.

    `low` to `high`: interval by a bootstrap of customers that goes the whole way anew, so that the uncertain moment in
    which the money is gone counts. `lasts`: share of the arrivals until then, with its interval. `spent` in all.
    `unlimited`: its value without a budget. `naive`: what replaying the decisions that agree with it would say, with
    its interval; it is shown because it is what is often done, and wrong: its money lasts too long. `price_H`: the
    price of each block of arrivals.
    """

    value: float
    low: float
    high: float
    level: float
    budget: float
    spent: float
    lasts: float
    lasts_low: float
    lasts_high: float
    unlimited: float
    logged: float
    naive: float
    naive_low: float
    naive_high: float
    price_H: Floats
    support: PolicySupport

    def __str__(self) -> str:
        end = gettext("the money lasts for all arrivals")
        if self.lasts < 1:
            end = gettext(
                "the money is gone after {share} of the arrivals ({low} to {high})",
                share=f"{self.lasts:.0%}", low=f"{self.lasts_low:.0%}", high=f"{self.lasts_high:.0%}",
            )  # fmt: skip
        lines = [
            gettext(
                "value {value} a decision within a budget of {budget}, {level} interval {low} to {high}; {spent} "
                "spent, "
                "{end}",
                value=f"{self.value:.5g}", budget=f"{self.budget:g}", level=f"{self.level:.0%}", low=f"{self.low:.5g}",
                high=f"{self.high:.5g}", spent=f"{self.spent:.5g}", end=end,
            ),
            gettext(
                "the log earned {logged}; without a budget the policy would earn {unlimited}",
                logged=f"{self.logged:.5g}", unlimited=f"{self.unlimited:.5g}",
            ),
            gettext(
                "replaying the decisions that agree, whose money lasts too long, would say {naive} ({low} to {high})",
                naive=f"{self.naive:.5g}", low=f"{self.naive_low:.5g}", high=f"{self.naive_high:.5g}",
            ),
            gettext(
                "{rows} rows, worth {worth} for this policy, largest weight {largest}",
                rows=self.support.rows, worth=f"{self.support.effective:.0f}", largest=f"{self.support.largest:.1f}",
            ),
        ]  # fmt: skip
        if len(set(self.price_H.tolist())) > 1:
            lines.append(
                gettext(
                    "price of a unit of money: {first} at first, {last} at the end",
                    first=f"{self.price_H[0]:.4g}", last=f"{self.price_H[-1]:.4g}",
                )
            )  # fmt: skip
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return as_html(str(self))


class _Scores(NamedTuple):
    """Doubly robust scores of each decision at each price, and of offering nothing: earned and spent."""

    earned_NG: Floats
    spent_NG: Floats
    none_N: Floats


class _Run(NamedTuple):
    """B ways through the arrivals: earned a decision, share of the arrivals until the money was gone, spent, prices."""

    value_B: Floats
    lasts_B: Floats
    spent_B: Floats
    price_BH: Floats


def budgeted_value(
    log: DecisionLog,
    cost_N: Floats,
    policy: Floats | PricedPolicy,
    budget: float,
    none: int,
    settings: OffPolicySettings = OffPolicySettings(),  # noqa: B008 - frozen
) -> BudgetedValue:
    """Value a policy (probabilities N x A, or gains with a price) whose money runs out.

    `cost_N` is what each logged decision cost; `none` the action that is given once the money is gone. The budget is
    that of all the log's arrivals together. The same arrivals are assumed: customers who come back because of an offer
    are not forecast. Raises InputError for a budget or costs that make no sense, SupportError where the log cannot tell
    what the policy does, or what happens without an offer once the money is gone.
    """
    if not np.isfinite(budget) or budget < 0:
        raise InputError("value_invalid", gettext_lazy("budget {budget}: give an amount of 0 or more", budget=budget))
    if len(cost_N) != len(log.action_N) or not np.isfinite(cost_N).all() or (cost_N < 0).any():
        raise InputError(
            "shapes_differ" if len(cost_N) != len(log.action_N) else "value_invalid",
            gettext_lazy("cost: give what each logged decision cost, 0 or more, none missing"),
        )
    grid_G = policy.prices() if isinstance(policy, PricedPolicy) else np.zeros(1)
    actions = policy.gain_NA.shape[1] if isinstance(policy, PricedPolicy) else policy.shape[1]
    probs = [_probs(policy, price, none, actions) for price in grid_G]
    scores = _scored(log, cost_N, probs, none, settings)
    ends_H = np.unique(np.linspace(0, len(cost_N), min(BLOCKS, len(cost_N)) + 1).astype(np.int64))
    run = _go(scores, grid_G, ends_H, budget, np.ones((1, len(cost_N))))
    drawn = _drawn(scores, grid_G, ends_H, budget, log, settings)
    support = _supported(log, probs, grid_G, run, ends_H, none, settings)
    value, noise = float(run.value_B[0]), (0.5 - settings.level / 2, 0.5 + settings.level / 2)
    around = Interval(*np.quantile(drawn.value_B, noise).tolist())
    lasts = Interval(*np.quantile(drawn.lasts_B, noise).tolist())
    path = PricePath(probs, grid_G, _falling(scores.spent_NG.mean(axis=0)[None])[0], ends_H)
    naive = naive_replay(log, cost_N, path, budget, none, settings)
    return BudgetedValue(
        value=value, low=around.low, high=around.high, level=settings.level, budget=budget,
        spent=float(run.spent_B[0]), lasts=float(run.lasts_B[0]), lasts_low=lasts.low, lasts_high=lasts.high,
        unlimited=float(scores.earned_NG[:, 0].mean()),
        logged=float(log.reward_N.mean()), naive=naive.value, naive_low=naive.low, naive_high=naive.high,
        price_H=run.price_BH[0], support=support,
    )  # fmt: skip


def _probs(policy: Floats | PricedPolicy, price: float, none: int, actions: int) -> Floats:
    if not isinstance(policy, PricedPolicy):
        return policy
    return np.eye(actions)[policy.chosen(price, none)]


def _scored(log: DecisionLog, cost_N: Floats, probs: list[Floats], none: int, settings: OffPolicySettings) -> _Scores:
    rows, actions = np.arange(len(cost_N)), probs[0].shape[1]
    inverse_N = 1 / log.prob_N
    reward_NA = predict_rewards(
        log.action_N, log.reward_N, inverse_N, log.context_NF, actions, settings.reward
    ).best.reward_NA
    spend_NA = _costs(log, cost_N, actions, settings)
    left_N = log.reward_N - reward_NA[rows, log.action_N]
    over_N = cost_N - spend_NA[rows, log.action_N]
    earned, spent = [], []
    for prob_NA in probs:
        weight_N = prob_NA[rows, log.action_N] * inverse_N
        earned.append((prob_NA * reward_NA).sum(axis=1) + weight_N * left_N)
        spent.append((prob_NA * spend_NA).sum(axis=1) + weight_N * over_N)
    nothing_N = reward_NA[:, none] + (log.action_N == none) * inverse_N * left_N
    return _Scores(np.column_stack(earned), np.column_stack(spent), nothing_N)


def _costs(log: DecisionLog, cost_N: Floats, actions: int, settings: OffPolicySettings) -> Floats:
    """What each action is expected to cost: its one cost where it has one, else predicted out of fold."""
    count_A = np.bincount(log.action_N, minlength=actions)
    mean_A = np.bincount(log.action_N, cost_N, actions) / np.maximum(count_A, 1)
    if np.abs(cost_N - mean_A[log.action_N]).max() < 1e-9 * max(float(cost_N.max()), 1.0):
        return np.tile(mean_A, (len(cost_N), 1))
    return predict_rewards(
        log.action_N, cost_N, 1 / log.prob_N, log.context_NF, actions, settings.reward
    ).best.reward_NA


def _go(scores: _Scores, grid_G: Floats, ends_H: Ints, budget: float, weight_BN: Floats) -> _Run:
    """Through the arrivals in blocks, each counted `weight_BN` times: the money left sets the price, or ends it."""
    draws, rows = weight_BN.shape
    total_B = weight_BN.sum(axis=1)
    scale_B = rows / total_B  # the budget is that of as many arrivals as there were
    curve_BG = _falling(weight_BN @ scores.spent_NG / total_B[:, None])
    left_B, earned_B, come_B = np.full(draws, budget), np.zeros(draws), np.zeros(draws)
    lasts_B, prices = np.zeros(draws), []
    over_B = np.zeros(draws, dtype=bool)
    for start, end in pairwise(ends_H.tolist()):
        weight = weight_BN[:, start:end]
        size_B = weight.sum(axis=1) * scale_B
        rate_B = left_B / np.maximum(rows - come_B, 1e-9)
        price_B, low_B, part_B = _priced(curve_BG, grid_G, rate_B)
        earned_BG = (weight @ scores.earned_NG[start:end]) * scale_B[:, None]
        spent_BG = (weight @ scores.spent_NG[start:end]) * scale_B[:, None]
        at = np.arange(draws)
        high_B = np.minimum(low_B + 1, len(grid_G) - 1)
        spend_B = (1 - part_B) * spent_BG[at, low_B] + part_B * spent_BG[at, high_B]
        gain_B = (1 - part_B) * earned_BG[at, low_B] + part_B * earned_BG[at, high_B]
        nothing_B = (weight @ scores.none_N[start:end]) * scale_B
        open_B = np.where(over_B, 0.0, np.where(spend_B > left_B, left_B / np.maximum(spend_B, 1e-300), 1.0))
        earned_B += open_B * gain_B + (1 - open_B) * nothing_B
        left_B = np.maximum(left_B - open_B * spend_B, 0.0)
        lasts_B += open_B * size_B
        come_B += size_B
        over_B |= open_B < 1
        prices.append(price_B)
    return _Run(earned_B / rows, np.minimum(lasts_B / rows, 1.0), budget - left_B, np.column_stack(prices))


def _falling(spend_BG: Floats) -> Floats:
    """Spend an arrival at rising prices, which cannot rise: noise is taken off it."""
    return np.asarray(np.maximum.accumulate(spend_BG[:, ::-1], axis=1)[:, ::-1])


class _Priced(NamedTuple):
    """A price between two of the grid: the one below, and how far towards the next."""

    price_B: Floats
    low_B: Ints
    part_B: Floats


def _priced(curve_BG: Floats, grid_G: Floats, rate_B: Floats) -> _Priced:
    """The price at which an arrival costs what is left for each."""
    if len(grid_G) == 1:
        none = np.zeros(len(rate_B), dtype=np.int64)
        return _Priced(np.full(len(rate_B), grid_G[0]), none, np.zeros(len(rate_B)))
    above_BG = curve_BG > rate_B[:, None]  # falls along the grid
    low_B = np.clip(above_BG.sum(axis=1) - 1, 0, len(grid_G) - 2)
    at = np.arange(len(rate_B))
    high, low = curve_BG[at, low_B], curve_BG[at, low_B + 1]
    part_B = np.clip((high - rate_B) / np.maximum(high - low, 1e-300), 0.0, 1.0)
    return _Priced((1 - part_B) * grid_G[low_B] + part_B * grid_G[low_B + 1], low_B, part_B)


def _drawn(
    scores: _Scores, grid_G: Floats, ends_H: Ints, budget: float, log: DecisionLog, settings: OffPolicySettings
) -> _Run:
    """The way gone anew with exponential weights of the customers (Bayesian bootstrap)."""
    unit_N = np.arange(len(log.action_N)) if log.unit_N is None else log.unit_N
    draw = np.random.default_rng(hash_int("budget", settings.seed))
    runs = []
    for start in range(0, settings.draws, PART):
        weight_BU = draw.standard_exponential((min(PART, settings.draws - start), int(unit_N.max()) + 1))
        runs.append(_go(scores, grid_G, ends_H, budget, weight_BU[:, unit_N]))
    return _Run(*(np.concatenate([getattr(run, name) for run in runs]) for name in _Run._fields))


def _supported(
    log: DecisionLog, probs: list[Floats], grid_G: Floats, run: _Run, ends_H: Ints, none: int,
    settings: OffPolicySettings,
) -> PolicySupport:  # fmt: skip
    """Whether the log can tell the policy at the prices it had, and offering nothing for the rest."""
    taken = probs[0].copy()
    for place, (start, end) in enumerate(pairwise(ends_H.tolist())):
        taken[start:end] = probs[int(np.abs(grid_G - run.price_BH[0, place]).argmin())][start:end]
    gone = int(run.lasts_B[0] * len(taken))
    taken[gone:] = np.eye(taken.shape[1])[none]
    if gone < len(taken) and not (log.action_N == none).any():
        raise SupportError(
            "untreated_decisions_missing",
            gettext_lazy(
                "policy: its money is gone after {lasts_b} of the arrivals, and the log never offered "
                "nothing, so nobody knows what follows; log decisions without an offer, or name the action "
                "that is none",
                lasts_b=f"{run.lasts_B[0]:.0%}",
            ),
        )
    weight_N = taken[np.arange(len(taken)), log.action_N] / log.prob_N
    support = measure_support(weight_N, unseen_mass(log.action_N, taken, log.logging_NA))
    require_support(support, settings.most_unseen, settings.least_effective)
    return support


class PricePath(NamedTuple):
    """What a policy does at each price (G times N x A), what an arrival then costs, and the blocks of arrivals."""

    probs: list[Floats]
    grid_G: Floats
    curve_G: Floats
    ends_H: Ints


class NaiveReplay(NamedTuple):
    """The mean of the decisions that agree, and its interval."""

    value: float
    low: float
    high: float


def naive_replay(
    log: DecisionLog, cost_N: Floats, path: "PricePath", budget: float, none: int, settings: OffPolicySettings
) -> NaiveReplay:
    """The usual replay (Li et al. 2011) with a budget: decisions that agree with the policy count, and spend it."""
    left, counted = budget, np.zeros(len(cost_N), dtype=bool)
    for start, end in pairwise(path.ends_H.tolist()):
        rate = np.array([left / (len(cost_N) - start)])
        price = _priced(path.curve_G[None], path.grid_G, rate).price_B[0]
        prob_NA = path.probs[int(np.abs(path.grid_G - price).argmin())][start:end]
        action_M, cost_M = log.action_N[start:end], cost_N[start:end]
        agrees_M = prob_NA[np.arange(end - start), action_M] > 0.5
        open_M = np.cumsum(np.where(agrees_M, cost_M, 0.0)) <= left
        counted[start:end] = np.where(open_M, agrees_M, action_M == none)
        left -= float(cost_M[agrees_M & open_M].sum())
        if not open_M.all():
            counted[end:], left = log.action_N[end:] == none, 0.0
            break
    reward = log.reward_N[counted]
    if len(reward) < 2:
        return NaiveReplay(float("nan"), float("nan"), float("nan"))
    half = float(scipy.stats.norm.ppf(0.5 + settings.level / 2)) * float(reward.std(ddof=1)) / np.sqrt(len(reward))
    return NaiveReplay(float(reward.mean()), float(reward.mean()) - half, float(reward.mean()) + half)
