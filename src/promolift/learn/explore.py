"""Estimated gains and costs in; how likely each customer gets each offer, within the budget, exploration included, out.

Legend: N customers, K offers, A = K + 1 actions (the last is "no offer").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from promolift.errors import BudgetError, InputError
from promolift.hashing import hash_int
from promolift.settings import Settings

Floats = NDArray[np.float64]


class ExploreSettings(Settings):
    """`floor`: the share of customers whose offer is drawn evenly from all that are open to them, none included.

    `temperature`, in money: offers whose scores differ by less than that are nearly equally likely; 0 always takes the
    best score.
    """

    floor: float = Field(default=0.05, ge=0, le=1)
    temperature: float = Field(default=0.0, ge=0)


@dataclass(frozen=True)
class Explored:
    """`prob_NA`: rows sum to 1, the last column is no offer. `cost`: expected, exploration included."""

    prob_NA: Floats
    price: float
    cost: float


def explore(gain_NK: Floats, cost_NK: Floats, budget: float, settings: ExploreSettings | None = None) -> Explored:
    """Boltzmann exploration over the scores gain - price x cost, with a floor; the price is the least that fits.

    The even share of the floor is paid from the same budget, so that learning is never free of charge. Expected cost
    falls as the price rises (its slope is minus the variance of cost over temperature), hence bisection to 1e-9 of the
    budget. NaN gains are closed offers. At temperature 0 customers tied at the price are split as one number between
    the two prices around it, so the whole budget can be used. BudgetError if the floor alone costs more than the
    budget, InputError for shapes that differ or negative costs.
    """
    knobs = settings or ExploreSettings()
    gain, cost = np.asarray(gain_NK, np.float64), np.asarray(cost_NK, np.float64)
    if gain.ndim != 2 or gain.shape != cost.shape:
        raise InputError(f"explore: gain has shape {gain.shape}, cost {cost.shape}; both must be customers x offers")
    if not budget >= 0 or (cost[~np.isnan(gain)] < 0).any():
        raise InputError("explore: the budget and every cost must be at least 0")
    open_NA = np.hstack([~np.isnan(gain), np.ones((len(gain), 1), bool)])
    gain = np.hstack([np.where(open_NA[:, :-1], gain, 0.0), np.zeros((len(gain), 1))])
    cost = np.hstack([np.where(open_NA[:, :-1], cost, 0.0), np.zeros((len(cost), 1))])
    even = open_NA / open_NA.sum(axis=1, keepdims=True)
    least = knobs.floor * float((even * cost).sum())
    if least > budget * (1 + 1e-12):
        why = f"drawing evenly for {knobs.floor:.0%} of customers costs {least:.0f}, more than the budget {budget:.0f}"
        raise BudgetError(f"explore: {why}; lower the floor")

    def at(price: float) -> Explored:
        score = np.where(open_NA, gain - price * cost, -np.inf)
        prob = knobs.floor * even + (1 - knobs.floor) * _softmax(score, cost, knobs.temperature)
        return Explored(prob, price, float((prob * cost).sum()))

    free = at(0.0)
    if free.cost <= budget:
        return free
    return _fit(at, budget, float(np.max(gain[:, :-1] / np.maximum(cost[:, :-1], 1e-12), initial=0.0)))


def affordable(floor: float, gain_NK: Floats, cost_NK: Floats, budget: float) -> float:
    """`floor`, or the share of even draws that costs half of the budget if that is less: the rest must earn."""
    open_NK = ~np.isnan(gain_NK)
    even = float((np.where(open_NK, cost_NK, 0.0).sum(axis=1) / (open_NK.sum(axis=1) + 1)).sum())
    return min(floor, budget / (2 * even)) if even > 0 else floor


def pick(prob_NA: Floats, unit_N: Floats) -> NDArray[np.int64]:
    """The action into whose part of [0, 1) each unit falls, ties of rounding to the last open action."""
    edges = np.cumsum(prob_NA, axis=1)
    drawn = (unit_N[:, None] * edges[:, -1:] >= edges).sum(axis=1)
    last = prob_NA.shape[1] - 1 - np.argmax(prob_NA[:, ::-1] > 0, axis=1)
    found: NDArray[np.int64] = np.minimum(drawn, last).astype(np.int64)
    return found


class Tally(NamedTuple):
    """How often a variant was shown, and clicked."""

    shown: int
    clicked: int


def variant_shares(
    tally: Mapping[str, Tally], seed: int = 0, floor: float = 0.05, draws: int = 400
) -> dict[str, float]:
    """The probability with which to show each variant, in order of name, by Thompson sampling.

    Each variant's rate is Beta(1 + clicked, 1 + not clicked) (Thompson 1933, Biometrika 25). Its probability is the
    share of `draws` in which it is the highest, mixed with a `floor` shared by all, so that none is ever 0 and what was
    logged can be evaluated later. The draws hang on `seed` and the tally alone.
    """
    if not tally or any(not 0 <= clicked <= shown for shown, clicked in tally.values()):
        raise InputError("bandit: give at least one variant, each with 0 <= clicked <= shown")
    names = sorted(tally)
    draw = np.random.default_rng(hash_int("bandit", seed, *(f"{name} {tuple(tally[name])}" for name in names)))
    rate_DV = np.stack([draw.beta(1 + c, 1 + s - c, draws) for s, c in (tally[name] for name in names)], axis=1)
    wins_V = np.bincount(rate_DV.argmax(axis=1), minlength=len(names)) / draws
    return dict(zip(names, ((1 - floor) * wins_V + floor / len(names)).tolist(), strict=True))


def _fit(at: Callable[[float], Explored], budget: float, top: float) -> Explored:
    """The least price that fits, and between it and the next smaller one the mixture that spends all."""
    low, high = 0.0, max(top, 1e-9)
    while at(high).cost > budget and high < 1e12:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle).cost > budget else (low, middle)
        if high - low <= 1e-12 * high:
            break
    dear, cheap = at(low), at(high)
    share = (budget - cheap.cost) / (dear.cost - cheap.cost) if dear.cost > cheap.cost else 0.0
    share = min(max(share, 0.0), 1.0)
    mixed = cheap.prob_NA + share * (dear.prob_NA - cheap.prob_NA)
    return Explored(mixed, high, cheap.cost + share * (dear.cost - cheap.cost))


def _softmax(score_NA: Floats, cost_NA: Floats, temperature: float) -> Floats:
    """Softmax of the scores; at temperature 0 all on the best one, ties to the cheaper, then to the first."""
    if temperature > 0:
        weight = np.exp((score_NA - score_NA.max(axis=1, keepdims=True)) / temperature)
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))
    best = score_NA >= score_NA.max(axis=1, keepdims=True) - 1e-12
    choice = np.argmin(np.where(best, cost_NA, np.inf), axis=1)
    one = np.zeros(score_NA.shape)
    one[np.arange(len(one)), choice] = 1.0
    return one
