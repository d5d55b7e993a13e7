"""Rows and one budget in, the best plan out: exact but for the last few customers, with a bound to prove it.

Each customer's candidates form a concave frontier of steps, each with a price (gain per cost). Taking all steps by
falling price until the budget is spent solves the linear relaxation of the multiple-choice knapsack (Sinha & Zoltners
1979, Operations Research 27(3)); what the break leaves over is filled by search among the customers near the break.
Where a single step is a large part of the budget, stopping at the first that does not fit would leave as much unspent:
then two other ways are tried (`pack`). N customers, K slots and a last one for none (L), P steps, C customers near the
break, G budgets. All sums are of whole numbers: the order of rows changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from promolift.allocate.arrays import Floats, Ints, Keys, Slots
from promolift.allocate.core import Allocation, ChoiceRows, Prices, Quanta, check_budget, measure

CORE = 1_000  # steps on either side of the break whose customers the finishing step looks at
WORTH = 1e-4  # of the gain: more than this left at the break, and other ways than the plain one are tried
ENOUGH = 1e-7  # the finishing step stops when what is left could add no more than this share of the gain


@dataclass(frozen=True, eq=False)
class Steps:
    """Frontier steps, best first: customer, slots left and reached, price, and the whole-number cost and gain added.

    Equal prices by the hash of the key, one customer's by rising cost; `spent_P` is the cost up to and with a step.
    """

    row_P: Ints
    left_P: Slots
    slot_P: Slots
    cost_P: Ints
    gain_P: Ints
    price_P: Floats
    spent_P: Ints

    @staticmethod
    def of(rows: ChoiceRows, scale: Quanta, seed: int) -> "Steps":
        from promolift.allocate import kernel

        place_N = np.lexsort((np.arange(len(rows)), rows.hashed(seed)))
        row_P, left_P, slot_P, cost_P, gain_P, price_P = kernel.steps(
            rows.gain_NK, rows.cost_NK, place_N, scale.gain, scale.cost
        )
        at = np.argsort(-price_P, kind="stable")
        spent_P = np.cumsum(cost_P[at])
        return Steps(row_P[at], left_P[at], slot_P[at], cost_P[at], gain_P[at], price_P[at], spent_P)

    def fits(self, quanta: int | Ints) -> Ints:
        """How many steps fit before the first that does not."""
        return np.searchsorted(self.spent_P, quanta, side="right")


def solve_budget(rows: ChoiceRows, budget: float, seed: int = 0) -> Allocation:
    """The best plan within `budget`, ties in price settled by the hash of the key."""
    scale = measure(rows)
    if not scale.usable:
        return Allocation(np.full(len(rows), -1, np.int32), 0.0, 0.0, 0.0, 0.0, budget, 0)
    steps, quanta = Steps.of(rows, scale, seed), quanta_of(budget, scale)
    fits = int(steps.fits(quanta))
    gain, left = int(steps.gain_P[:fits].sum()), quanta - int(steps.cost_P[:fits].sum())
    treated = int((steps.left_P[:fits] < 0).sum())
    price, share = 0.0, 0.0
    if fits < len(steps.price_P):
        price, share = float(steps.price_P[fits]), float(rows.hashed(seed)[steps.row_P[fits]])
    # every whole-number gain is short of the true one by less than 1
    bound = ((gain + treated) / scale.gain + price * left / scale.cost) * (1 + 1e-15)
    taken = np.arange(len(steps.price_P)) < fits
    if price * left / scale.cost > WORTH * gain / scale.gain:
        taken = pack(steps, fits, quanta)
        left, gain = quanta - int(steps.cost_P[taken].sum()), int(steps.gain_P[taken].sum())
    choice_N: Slots = np.full(len(rows), -1, np.int32)
    choice_N[steps.row_P[taken]] = steps.slot_P[taken]  # cheapest first: a customer's last step stays
    priced_N = rows.choose(Prices.of(price, rows.gain_NK.shape[1], share, seed))
    near = np.union1d(steps.row_P[max(fits - CORE, 0) : fits + CORE], np.flatnonzero(priced_N != choice_N))
    near = near[np.lexsort((near, rows.hashed(seed)[near]))]
    usable_CK = (rows.gain_NK[near] > 0) & (rows.cost_NK[near] < np.inf)
    gain_q = np.floor(np.where(usable_CK, rows.gain_NK[near], 0.0) * scale.gain).astype(np.int64)
    cost_q = np.ceil(np.where(usable_CK, rows.cost_NK[near], 0.0) * scale.cost).astype(np.int64)
    enough = int(ENOUGH * gain / scale.gain / price * scale.cost) if price else 0
    filled = fill(cost_q, gain_q, usable_CK, choice_N[near], left, enough)
    choice_N[near] = filled.slot_C
    return Allocation(
        choice_N, (gain + filled.gain) / scale.gain, (quanta - left + filled.cost) / scale.cost, bound, price, budget,
        int((choice_N >= 0).sum()), moved=int((choice_N != priced_N).sum()),
    )  # fmt: skip


def quanta_of(budget: float, scale: Quanta) -> int:
    """The budget in whole quanta of cost, rounded down."""
    return int(np.floor(min(budget * scale.cost, 2.0**61)))


SWAPS = 60  # exchanges between two customers; each costs one sort of the moves, about a millisecond


class FilledSlots(NamedTuple):
    """New slots, and the whole-number cost and gain they add."""

    slot_C: Slots
    cost: int
    gain: int


class Exchange(NamedTuple):
    """A move that costs too much, and a move of another customer that frees enough; positions in the flat matrix."""

    up: int
    down: int


def fill(
    cost_CK: Ints, gain_CK: Ints, usable_CK: NDArray[np.bool_], slot_C: Slots, left: int, enough: int
) -> FilledSlots:
    """Fill what is left of a budget: the best single move while one fits, then exchanges of two customers.

    Stops when `left` is at most `enough`. Equal moves: the first customer, then the first slot.
    """
    none = np.zeros((len(slot_C), 1), np.int64)
    cost_CL, gain_CL = np.hstack([cost_CK, none]), np.hstack([gain_CK, none])
    usable_CL = np.hstack([usable_CK, none == 0])
    at_C = np.where(slot_C < 0, cost_CK.shape[1], slot_C).astype(np.int64)
    start, everyone = left, np.arange(len(slot_C))
    before = int(gain_CL[everyone, at_C].sum())
    for swaps in range(SWAPS):
        dcost_CL = cost_CL - cost_CL[everyone, at_C][:, None]
        dgain_CL = np.where(usable_CL, gain_CL - gain_CL[everyone, at_C][:, None], -(2**61))
        left = _singles(dcost_CL, dgain_CL, at_C, left)
        if left <= enough or swaps == SWAPS - 1:
            break
        pair = _exchange(dcost_CL, dgain_CL, left)
        if not pair:
            break
        for move in pair:
            left -= int(dcost_CL.flat[move])
            at_C[move // dcost_CL.shape[1]] = move % dcost_CL.shape[1]
    slots = np.where(at_C == cost_CK.shape[1], -1, at_C).astype(np.int32)
    return FilledSlots(slots, start - left, int(gain_CL[everyone, at_C].sum()) - before)


def _singles(dcost_CL: Ints, dgain_CL: Ints, at_C: Ints, left: int) -> int:
    """Make the best move that fits until none does, updating the differences in place; returns what is left."""
    while True:
        best = int(np.argmax(np.where(dcost_CL <= left, dgain_CL, 0))) if dgain_CL.size else 0
        if not dgain_CL.size or dcost_CL.flat[best] > left or dgain_CL.flat[best] <= 0:
            return left
        i = best // dcost_CL.shape[1]
        cost, gain = int(dcost_CL.flat[best]), int(dgain_CL.flat[best])
        left -= cost
        at_C[i] = best % dcost_CL.shape[1]
        dcost_CL[i] -= cost
        dgain_CL[i] = np.where(dgain_CL[i] > -(2**60), dgain_CL[i] - gain, dgain_CL[i])


def _exchange(dcost_CL: Ints, dgain_CL: Ints, left: int) -> Exchange | None:
    """The best pair of moves, or None."""
    up = np.flatnonzero((dgain_CL > 0) & (dcost_CL > left))
    down = np.flatnonzero((dcost_CL < 0) & (dgain_CL > -(2**60)))
    if not len(up) or not len(down):
        return None
    down = down[np.argsort(dcost_CL.flat[down], kind="stable")]  # frees most first
    loss = dgain_CL.flat[down]
    best = np.maximum.accumulate(loss)
    first = np.searchsorted(best, best, side="left")  # where each running maximum was reached
    found = np.searchsorted(dcost_CL.flat[down], left - dcost_CL.flat[up], side="right") - 1
    total = np.where(found >= 0, dgain_CL.flat[up] + best[np.maximum(found, 0)], 0)
    for at in np.argsort(-total, kind="stable")[:50]:
        if total[at] <= 0:
            return None
        pair = Exchange(int(up[at]), int(down[first[found[at]]]))
        if pair.up // dcost_CL.shape[1] != pair.down // dcost_CL.shape[1]:
            return pair
    return None


WINDOW = 10_000  # steps on either side of the break that are gone through one by one
LARGE = 12  # large steps for which room is made in turn


def pack(steps: Steps, fits: int, budget: int) -> NDArray[np.bool_]:
    """Steps taken, a P mask: the best by gain of the ways tried, `budget` kept; ties to the first way."""
    low, high = max(fits - WINDOW, 0), min(fits + WINDOW, len(steps.price_P))
    room, part = budget - int(steps.cost_P[:low].sum()), slice(low, high)
    ways = [np.arange(low, high) < fits, _take(steps, part, room, -1)]
    skipped = [p for p in range(fits, high) if steps.cost_P[p] > room // 100 and not ways[1][p - low]]
    ways += [_take(steps, part, room, p - low) for p in skipped[:LARGE]]
    taken = np.arange(len(steps.price_P)) < low
    taken[part] = max(ways, key=lambda way: int(steps.gain_P[part][way].sum()))
    return taken


def _take(steps: Steps, part: slice, room: int, forced: int) -> NDArray[np.bool_]:
    """Every step of the part in turn that fits and follows its customer's last; `forced` and those before it first."""
    who, before, after, cost = (
        column[part].tolist() for column in (steps.row_P, steps.left_P, steps.slot_P, steps.cost_P)
    )
    taken, at = [False] * len(who), {}
    if forced >= 0:
        for p in (p for p in range(forced + 1) if who[p] == who[forced]):
            taken[p], room = True, room - cost[p]
        at[who[forced]] = after[forced]
        if room < 0:
            return np.zeros(len(who), np.bool_)
    for p in range(len(who)):
        if not taken[p] and cost[p] <= room and at.get(who[p], before[p]) == before[p]:
            taken[p], room = True, room - cost[p]
            at[who[p]] = after[p]
        elif not taken[p]:
            at.setdefault(who[p], before[p])  # passed over, they stay there, and their next step does not follow
    return np.array(taken, np.bool_)


POINTS = 101  # budgets where none are given: 0 % to 100 % of the largest useful spend


def trace(
    gain_NK: ArrayLike, cost_NK: ArrayLike, budgets: Sequence[float] | None = None, *, seed: int = 0,
    key_N: Keys | None = None,
) -> pl.DataFrame:  # fmt: skip
    """One row per budget, ascending: budget, gain, cost, price, treated and bound, in the unit of the arrays.

    Gain and cost are those of the plan that takes whole steps by falling price and stops at the first that does not
    fit; `solve` fills what is left over, so it gains a little more and never more than `bound`. Price is the gain of
    the next unit of budget, 0 where nothing more can be gained. Without budgets: 101 from nothing to the largest
    useful spend, in even steps.
    """
    rows = ChoiceRows.of(gain_NK, cost_NK, key_N=key_N)
    scale = measure(rows)
    steps = Steps.of(rows, scale, seed)
    whole = int(steps.spent_P[-1]) if len(steps.spent_P) else 0
    if budgets is None:
        budget_G = np.linspace(0.0, whole / scale.cost, POINTS)
    else:
        budget_G = np.sort(np.array([check_budget(budget) for budget in budgets], np.float64))
    quanta_G = np.array([quanta_of(float(budget), scale) for budget in budget_G], np.int64)
    if budgets is None:
        quanta_G[-1] = whole  # the last of the grid lost its rounding
    fits_G = steps.fits(quanta_G)
    gain_G, cost_G = (
        np.concatenate([[0], sums])[fits_G]
        for sums in (np.cumsum(steps.gain_P) / scale.gain, steps.spent_P / scale.cost)
    )
    price_G = np.append(steps.price_P, 0.0)[fits_G]
    treated_G = np.concatenate([[0], np.cumsum(steps.left_P < 0)])[fits_G]
    bound_G = gain_G + price_G * np.maximum(budget_G - cost_G, 0.0)
    columns = {"budget": budget_G, "gain": gain_G, "cost": cost_G, "price": price_G, "treated": treated_G}
    return pl.DataFrame({**columns, "bound": bound_G})
