"""Instances small enough to try every plan, and the best plan found that way."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import strategies as st

from promolift.core.allocation import Limit, solve, solve_frontier

AMOUNTS = st.integers(0, 12)


@dataclass(frozen=True, eq=False)
class Shop:
    gain: np.ndarray
    cost: np.ndarray
    label: np.ndarray
    key: np.ndarray

    def solve(self, budget, limits=(), order=None, **options):
        """The plan of the rows in some order."""
        p = np.arange(len(self.gain)) if order is None else np.asarray(order)
        return solve(self.gain[p], self.cost[p], budget, limits, label_N=self.label[p], key_N=self.key[p], **options)

    def trace(self, budgets):
        """The curve of the rows."""
        return solve_frontier(self.gain, self.cost, budgets, key_N=self.key)


@st.composite
def shops(draw, most=5, slots=3, ties=True):
    """Whole-number shops with ties, negative, unknown and free candidates; or real-valued ones without ties."""
    n, k = draw(st.integers(1, most)), draw(st.integers(1, slots))
    if ties:
        gain = st.one_of(st.integers(-3, 12), st.just(np.nan))
        gains = draw(st.lists(st.lists(gain, min_size=k, max_size=k), min_size=n, max_size=n))
        costs = draw(st.lists(st.lists(AMOUNTS, min_size=k, max_size=k), min_size=n, max_size=n))
        gain_NK, cost_NK = np.array(gains, float), np.array(costs, float)
    else:
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        gain_NK, cost_NK = rng.normal(3, 4, (n, k)), rng.exponential(3, (n, k))
    label = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), np.int32)
    seed = draw(st.integers(0, 2**32))
    key = np.random.default_rng(seed).choice(2**40, n, replace=False).astype(np.uint64)
    return Shop(gain_NK, cost_NK, label, key)


def used(shop: Shop, choice: Sequence[int], limit: Limit) -> tuple[float, bool]:
    """What a plan uses of a limit, and whether it keeps it; exact for whole numbers."""
    rows = [i for i, k in enumerate(choice) if k >= 0]
    inside = [
        i
        for i in rows
        if (not limit.labels or shop.label[i] in limit.labels) and (not limit.offers or choice[i] in limit.offers)
    ]

    def total(what, of):
        amounts = {
            "count": lambda i: 1.0,
            "cost": lambda i: shop.cost[i, choice[i]],
            "gain": lambda i: shop.gain[i, choice[i]],
        }
        return sum(amounts[what](i) for i in of)

    low = -np.inf if limit.at_least is None else limit.at_least
    high = np.inf if limit.at_most is None else limit.at_most
    if limit.measure in ("count", "cost", "gain"):
        value = total(limit.measure, inside)
        return value, low <= value <= high
    if limit.measure == "return":
        gain, cost = total("gain", inside), total("cost", inside)
        return gain - low * cost, gain - low * cost >= -1e-9
    part, whole = (total(limit.measure.removesuffix("_share"), of) for of in (inside, rows))
    return part, part - (0 if low == -np.inf else low) * whole >= -1e-9 and (
        high == np.inf or part - high * whole <= 1e-9
    )


def plans(shop: Shop):
    """Every plan that chooses no negative or unknown gain."""
    n, k = shop.gain.shape
    able = [[-1] + [j for j in range(k) if shop.gain[i, j] >= 0] for i in range(n)]
    return product(*able)


def worth(shop: Shop, choice) -> tuple[float, float]:
    """Gain and cost of a plan."""
    at = [(i, k) for i, k in enumerate(choice) if k >= 0]
    return sum(shop.gain[i, k] for i, k in at), sum(shop.cost[i, k] for i, k in at)


def best(shop: Shop, budget: float, limits: Sequence[Limit] = ()) -> float | None:
    """The largest gain within the budget and limits by trying every plan; None if there is no plan."""
    found = None
    for choice in plans(shop):
        gain, cost = worth(shop, choice)
        if cost <= budget and (found is None or gain > found) and all(used(shop, choice, lim)[1] for lim in limits):
            found = gain
    return found
