"""A trial, predicted gains and costs in; what each budget would have earned, best gain per cost first, out.

Legend: N customers, A arms (arm 0 is control), K = A - 1 treatments, J steps (a customer moved from one arm to a dearer
one), G groups of steps of equal gain per cost, P points. Money spent is expected cost, per customer of the trial.
The Qini curve for several arms (Sverdrup, Wu, Athey & Wager 2024); with one arm and cost it estimates `qini_area`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promolift.errors import InputError, SupportError
from promolift.learn.uplift import Curve, Estimate, estimate_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WINDOW = 0.05  # share of all spending around a budget over which the worth of a little more money is averaged


@dataclass(frozen=True)
class _Steps:
    """Steps in any order: whose, in which group (0 is bought first), its cost, and what it was worth by the trial."""

    n: int
    row_J: Ints
    group_J: Ints
    cost_J: Floats
    worth_J: Floats
    cost_G: Floats
    worth_G: Floats

    def by_row(self, value_J: Floats) -> Floats:
        """Sum of a value over each customer's steps."""
        return np.bincount(self.row_J, weights=value_J, minlength=self.n).astype(np.float64)


def budget_qini(score_NA: Floats, gain_NK: ArrayLike, cost_NK: ArrayLike) -> Estimate:
    """What buying in the order of predicted gain per cost adds to spending by lot, per customer, averaged over budgets.

    Budgets run evenly from 0 to the cost of all steps with a predicted gain; by lot means that a share of customers
    gets all its steps. `score_NA` is from `arm_scores`; gains and costs are predictions that did not see its outcomes.
    Raises SupportError if nothing is predicted to gain, or if a step leads to an arm without a chance in the trial.
    """
    steps = _steps("budget qini", score_NA, gain_NK, cost_NK)
    total, n = steps.cost_G.sum(), steps.n
    middle_G = np.cumsum(steps.cost_G) - steps.cost_G / 2
    later_G = steps.worth_G[::-1].cumsum()[::-1] - steps.worth_G / 2  # a cost here puts these back by as much
    moment = float(np.sum(steps.worth_G * middle_G))
    value = (steps.worth_G.sum() / 2 - moment / total) / n
    moved_J = steps.worth_J * middle_G[steps.group_J] + steps.cost_J * later_G[steps.group_J]
    part_J = steps.worth_J / 2 - (moved_J - moment / total * steps.cost_J) / total
    return estimate_of("budget qini", value, (steps.by_row(part_J) - value) / n, "infinitesimal jackknife")


def gain_at(score_NA: Floats, gain_NK: ArrayLike, cost_NK: ArrayLike, spend: float) -> Estimate:
    """Gain over control per customer when `spend` per customer goes to the best predicted gain per cost.

    The last group of equal gain per cost is bought in part. A spend above the cost of all steps buys them all.
    """
    return _gain_at(_steps("gain at a budget", score_NA, gain_NK, cost_NK), spend)


def budget_curve(score_NA: Floats, gain_NK: ArrayLike, cost_NK: ArrayLike, points: int = 51) -> Curve:
    """`gain_at` at evenly spread budgets from 0 to the cost of all steps."""
    steps = _steps("budget curve", score_NA, gain_NK, cost_NK)
    spend_P = np.linspace(0.0, steps.cost_G.sum() / steps.n, points)
    found = [_gain_at(steps, float(spend)) for spend in spend_P]
    return Curve("spend per customer", spend_P, np.array([e.value for e in found]), np.array([e.se for e in found]))


def _gain_at(steps: _Steps, spend: float) -> Estimate:
    if not spend >= 0:
        raise InputError(f"gain at a budget: spend = {spend}, must be 0 or more")
    n, budget = steps.n, spend * steps.n
    end_G = np.cumsum(steps.cost_G)
    start_G = end_G - steps.cost_G
    room_G = np.clip(budget - start_G, 0.0, steps.cost_G)
    free_G = (steps.cost_G == 0) & (start_G <= budget)
    share_G = np.where(free_G, 1.0, np.divide(room_G, steps.cost_G, out=np.zeros_like(room_G), where=steps.cost_G > 0))
    value = float(np.sum(share_G * steps.worth_G)) / n
    own_N = steps.by_row(share_G[steps.group_J] * steps.worth_J)
    used_N = steps.by_row(share_G[steps.group_J] * steps.cost_J)
    # a customer more brings `spend` and uses some; the rest is worth what steps near the edge are worth
    half = WINDOW / 2 * end_G[-1]
    near = (end_G > budget - half) & (start_G < budget + half) & (steps.cost_G > 0)
    binding = near.any() and budget < end_G[-1]
    rate = float(steps.worth_G[near].sum() / steps.cost_G[near].sum()) if binding else 0.0
    part_N = own_N - value + (rate * (spend - used_N) if binding else 0.0)
    return estimate_of(f"gain at {spend:g}", value, part_N / n, "influence function")


def _steps(figure: str, score_NA: Floats, gain_NK: ArrayLike, cost_NK: ArrayLike) -> _Steps:
    gain, cost = np.asarray(gain_NK, dtype=np.float64), np.asarray(cost_NK, dtype=np.float64)
    n, arms = score_NA.shape
    if gain.ndim != 2 or gain.shape != cost.shape or gain.shape != (n, arms - 1):
        raise InputError(f"{figure}: gains {gain.shape} and costs {cost.shape} must be {n} customers x {arms - 1} arms")
    if not (np.isfinite(gain).all() and np.isfinite(cost).all() and (cost >= 0).all()):
        raise InputError(f"{figure}: gains and costs must be finite, costs 0 or more")
    row_J, from_J, to_J, cost_J, rate_J = _hull(gain, cost)
    if not cost_J.sum():
        raise SupportError(f"{figure}: no arm with a cost is predicted to gain anything, so there is nothing to buy")
    worth_J = score_NA[row_J, to_J] - score_NA[row_J, from_J]
    if np.isnan(worth_J).any():
        raise SupportError(f"{figure}: {np.isnan(worth_J).sum()} steps lead to an arm that the trial could not give")
    group_J = np.unique(-rate_J, return_inverse=True)[1].astype(np.int64)
    cost_G, worth_G = (np.bincount(group_J, weights=each).astype(np.float64) for each in (cost_J, worth_J))
    return _Steps(n, row_J, group_J, cost_J, worth_J, cost_G, worth_G)


def _hull(gain_NK: Floats, cost_NK: Floats) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """Each customer's upgrades, best gain per cost first: row, arm before, arm after, added cost, gain per cost."""
    n, k = gain_NK.shape
    now_N, cost_N, gain_N, last_N = np.zeros(n, dtype=np.int64), np.zeros(n), np.zeros(n), np.full(n, np.inf)
    parts = []
    for _ in range(k):
        more_NK, dear_NK = gain_NK - gain_N[:, None], cost_NK - cost_N[:, None]
        rate_NK = np.divide(more_NK, dear_NK, out=np.full(more_NK.shape, np.inf), where=dear_NK > 0)
        rate_NK[(more_NK <= 0) | (dear_NK < 0)] = -np.inf
        best_N = rate_NK.max(axis=1)
        pick_N = np.where(rate_NK == best_N[:, None], more_NK, -np.inf).argmax(axis=1)  # of equals the longest step
        rows = np.flatnonzero(best_N > 0)
        pick = pick_N[rows]
        last_N[rows] = np.minimum(best_N[rows], last_N[rows])
        parts.append((rows, now_N[rows], pick + 1, dear_NK[rows, pick], last_N[rows]))
        now_N[rows], cost_N[rows], gain_N[rows] = pick + 1, cost_NK[rows, pick], gain_NK[rows, pick]
    row, before, after, added, rate = (np.concatenate(each) for each in zip(*parts, strict=True))
    return row, before, after, added, rate
