"""A source and one budget in, the best plan out: exact but for the last few customers, with a bound to prove it.

Each customer's candidates form a concave frontier of steps, each with a price (gain per cost). Taking all steps of
the source by falling price until the budget is spent solves the linear relaxation of the multiple-choice knapsack
(Sinha & Zoltners 1979, Operations Research 27(3)); what the break leaves over is filled by search among the customers
near the break. Pass 1 finds the scale of the numbers, pass 2 counts steps by price bin, pass 3 sorts only the bins
around the break. Where a single step is a large part of the budget, stopping at the first that does not fit would leave
as much unspent: then two other ways are tried (`pack`). A curve of budgets (`trace`) shares two passes: steps counted
by bin, then the bins in which some budget ends are sorted. N customers, K slots and a last one for none (L), B price
bins, P steps, C customers near the break, G budgets. All sums are of whole numbers: the order of work changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.allocate.arrays import Floats, GatherLimits, Ints, Keys, Slots
from promolift.allocate.core import (
    Allocation,
    CheckedRows,
    Prices,
    Source,
    SourceScale,
    check_budget,
    measure,
    sweep,
    word,
)

CORE = 1_000  # steps to gather around the break: enough for the finishing step to fill the budget
MANY = 100_000  # steps in the bins around the break above which these are cut finer: sorting costs more than a pass
FINEST = 16  # bits of a price that bins never tell apart: a bin must be wider than a tie
WORTH = 1e-4  # of the gain: more than this left at the break, and other ways than the plain one are tried
ENOUGH = 1e-7  # the finishing step stops when what is left could add no more than this share of the gain


@dataclass(frozen=True, eq=False)
class Steps:
    """Frontier steps, best first: customer, slots left and reached, price, and the whole-number cost and gain added."""

    position_P: Ints
    slot_P2: Ints
    price_P: Floats
    hash_P: Floats
    cost_P: Ints
    gain_P: Ints


class StepBlock(NamedTuple):
    """Every row's last step above the wanted bins, and the steps in these: where, whose, slots, price, cost, gain."""

    choice_N: Slots
    position_P: Ints
    key_P: Keys
    slot_P2: Ints
    price_P: Floats
    cost_P: Ints
    gain_P: Ints


class IndexRange(NamedTuple):
    """Bins from `low` to `high`, or steps from `low` to the one before `high`."""

    low: int
    high: int


@dataclass(frozen=True)
class Ruler:
    """How prices are cut into bins: `shift` bits of a price are dropped, and bins are counted from `first`."""

    shift: int = 45  # 7 bits of the fraction are kept: 128 bins to an octave,
    first: int = 991 << 7  # 64 octaves from 2**-32

    def bins(self, price_P: Floats) -> Ints:
        """The bin of each price, as the kernels number them."""
        from promolift.allocate import kernel

        bits_P: Ints = (price_P.view(np.int64) >> self.shift) - self.first
        return np.clip(bits_P, 0, kernel.BINS - 1)

    def zoom(self, low: int, high: int) -> "Ruler":
        """A ruler as fine as it can be over bins `low` to `high`."""
        from promolift.allocate import kernel

        finer = (kernel.BINS - 2).bit_length() - 1 - (high - low + 1).bit_length()
        finer = max(min(finer, self.shift - FINEST), 0)
        return Ruler(self.shift - finer, ((low + self.first) << finer) - 1)


def count(source: Source, scale: SourceScale, ruler: Ruler, threads: int = 1) -> Ints:
    """Sums of steps by price bin, shape (B + 1, 4): cost, gain, newly treated, steps; the last row is free of cost."""
    from promolift.allocate import kernel

    def job(rows: CheckedRows) -> Ints:
        return kernel.tally(rows.gain_NK, rows.cost_NK, scale.gain, scale.cost, ruler.shift, ruler.first)

    return reduce(np.add, sweep(source, job, threads), np.zeros((kernel.BINS + 1, 4), np.int64))


def solve_budget(source: Source, budget: float, seed: int = 0, threads: int = 1) -> Allocation:
    """The best plan within `budget`, ties in price settled by the hash of the key; four passes or a few more."""
    scale = measure(source, threads)
    if not scale.usable:
        return nothing(budget, scale, seed)
    quanta, passes, ruler = quanta_of(budget, scale), 4, Ruler()
    sums_B4 = count(source, scale, ruler, threads)
    low, high = _around(sums_B4, quanta)
    while sums_B4[low : high + 1, 3].sum() > MANY and ruler.shift > ruler.zoom(low, high).shift:
        ruler, passes = ruler.zoom(low, high), passes + 1
        sums_B4 = count(source, scale, ruler, threads)
        low, high = _around(sums_B4, quanta)
    wanted_B = np.zeros(len(sums_B4), np.bool_)
    wanted_B[low : high + 1] = True
    wanted = Wanted(ruler, wanted_B, high, int(sums_B4[wanted_B, 3].sum()))
    found = collect(source, scale, wanted, threads)
    choice_N, steps = found.choice_N, best_first(found, seed)
    fits = _fits(steps, quanta - int(sums_B4[high + 1 :, 0].sum()))
    left = quanta - int(sums_B4[high + 1 :, 0].sum()) - int(steps.cost_P[:fits].sum())
    gain = int(sums_B4[high + 1 :, 1].sum()) + int(steps.gain_P[:fits].sum())
    price, share = (float(steps.price_P[fits]), float(steps.hash_P[fits])) if fits < len(steps.price_P) else (0.0, 0.0)
    treated = int(sums_B4[high + 1 :, 2].sum()) + int((steps.slot_P2[:fits, 0] < 0).sum())
    # every whole-number gain is short of the true one by less than 1
    bound = (gain + treated) / scale.gain + price * left / scale.cost
    taken = np.arange(len(steps.price_P)) < fits
    if price * left / scale.cost > WORTH * gain / scale.gain:
        taken = pack(steps, fits, left + int(steps.cost_P[:fits].sum()))
        left -= int(steps.cost_P[taken].sum()) - int(steps.cost_P[:fits].sum())
        gain += int(steps.gain_P[taken].sum()) - int(steps.gain_P[:fits].sum())
    choice_N[steps.position_P[taken]] = steps.slot_P2[taken, 1]  # cheapest first: a customer's last step stays
    near = np.unique(steps.position_P[max(fits - CORE, 0) : fits + CORE])
    plan = DraftPlan(
        choice_N,
        gain,
        quanta - left,
        quanta,
        Prices.of(price, scale.shape, share, seed),
        passes,
        budget,
        bound * (1 + 1e-15),
    )
    return finish(source, plan, near, scale, threads)


def _fits(steps: Steps, quanta: int) -> int:
    """How many steps fit before the first that does not."""
    return int(np.searchsorted(np.cumsum(steps.cost_P), quanta, side="right"))


def nothing(budget: float, scale: SourceScale, seed: int) -> Allocation:
    """The plan that gives no offer, for a source in which none can gain."""
    prices = Prices.of(0.0, scale.shape, 0.0, seed)
    return Allocation(np.full(scale.rows, -1, np.int32), 0.0, 0.0, 0.0, 0.0, budget, 0, scale.rows, prices, passes=1)


@dataclass(frozen=True, eq=False)
class DraftPlan:
    """A plan before its finishing step: slots, whole-number gain, cost and budget (`quanta`), the prices that made it.

    `budget` and `bound` are in real units.
    """

    choice_N: Slots
    gain: int
    cost: int
    quanta: int
    prices: Prices
    passes: int
    budget: float
    bound: float


def finish(source: Source, plan: DraftPlan, near: Ints, scale: SourceScale, threads: int) -> Allocation:
    """Fill what is left of the budget among the rows `near` the break, and note who departs from the prices."""
    from promolift.allocate import kernel

    choice_N, prices = plan.choice_N, plan.prices

    def job(rows: CheckedRows) -> tuple[NDArray[np.generic], ...]:
        start, priced_N = rows.start, rows.choose(prices)
        here = near[np.searchsorted(near, start) : np.searchsorted(near, start + len(rows))] - start
        at = np.union1d(here, np.flatnonzero(priced_N != choice_N[start : start + len(rows)]))
        return at + start, rows.key_N[at], priced_N[at], rows.gain_NK[at], rows.cost_NK[at]

    columns = zip(*sweep(source, job, threads), strict=True)
    position_C, key_C, priced_C, gain_CK, cost_CK = (np.concatenate(column) for column in columns)
    order = np.lexsort((position_C, kernel.mix_all(key_C, word(prices.seed))))
    position_C, gain_CK, cost_CK = position_C[order], gain_CK[order], cost_CK[order]
    usable_CK = (gain_CK > 0) & (cost_CK < np.inf)
    gain_q = np.floor(np.where(usable_CK, gain_CK, 0.0) * scale.gain).astype(np.int64)
    cost_q = np.ceil(np.where(usable_CK, cost_CK, 0.0) * scale.cost).astype(np.int64)
    enough = int(ENOUGH * plan.gain / scale.gain / prices.price * scale.cost) if prices.price else 0
    slot_C, cost, gain = fill(cost_q, gain_q, usable_CK, choice_N[position_C], plan.quanta - plan.cost, enough)
    choice_N[position_C] = slot_C
    apart = np.flatnonzero(slot_C != priced_C[order])
    moved = dict(zip(key_C[order][apart].tolist(), slot_C[apart].tolist(), strict=True))
    return Allocation(
        choice_N, (plan.gain + gain) / scale.gain, (plan.cost + cost) / scale.cost, plan.bound, prices.price,
        plan.budget, int((choice_N >= 0).sum()), scale.rows, prices, (), plan.passes, moved,
    )  # fmt: skip


def quanta_of(budget: float, scale: SourceScale) -> int:
    """The budget in whole quanta of cost, rounded down."""
    return int(np.floor(min(budget * scale.cost, 2.0**61)))


def _around(sums_B4: Ints, quanta: int) -> IndexRange:
    """First and last bin to sort: the bin where the budget breaks, its neighbours, and more until CORE steps are in."""
    bins = len(sums_B4) - 1
    spent_B = np.cumsum(sums_B4[::-1, 0])[::-1]
    at = int(np.searchsorted(-spent_B[:bins], -quanta, side="left")) - 1  # the last bin that does not fit as a whole
    low, high = max(at - 1, 0), min(max(at, 0) + 1, bins - 1)
    total = int(sums_B4[:bins, 3].sum())
    while sums_B4[low : high + 1, 3].sum() < min(CORE, total):
        low, high = max(low - 4, 0), min(high + 4, bins - 1)
    return IndexRange(low, high)


@dataclass(frozen=True, eq=False)
class Wanted:
    """Bins whose steps are wanted one by one, at most `room`; steps in bins above `high` are taken as they are."""

    ruler: Ruler
    bin_B: NDArray[np.bool_]
    high: int
    room: int


def collect(source: Source, scale: SourceScale, wanted: Wanted, threads: int) -> StepBlock:
    """Every row's last step above bin `wanted.high`, and the steps in wanted bins; the source has rows."""
    from promolift.allocate import kernel

    def job(rows: CheckedRows) -> StepBlock:
        choice_N = np.empty(len(rows), np.int32)
        room = min(wanted.room, rows.gain_NK.size)
        limits = GatherLimits(wanted.high, room, wanted.ruler.shift, wanted.ruler.first)
        step_P3, price_P = kernel.gather(rows.gain_NK, rows.cost_NK, wanted.bin_B, limits, choice_N)
        row_P, slot_P2 = step_P3[:, 0], step_P3[:, 1:]
        cost_P2 = np.where(slot_P2 < 0, 0.0, rows.cost_NK[row_P[:, None], slot_P2])
        gain_P2 = np.where(slot_P2 < 0, 0.0, rows.gain_NK[row_P[:, None], slot_P2])
        cost_P2, gain_P2 = np.ceil(cost_P2 * scale.cost), np.floor(gain_P2 * scale.gain)
        cost_P = cost_P2[:, 1].astype(np.int64) - cost_P2[:, 0].astype(np.int64)
        gain_P = gain_P2[:, 1].astype(np.int64) - gain_P2[:, 0].astype(np.int64)
        return StepBlock(choice_N, row_P + rows.start, rows.key_N[row_P], slot_P2, price_P, cost_P, gain_P)

    columns: list[Any] = [np.concatenate(column) for column in zip(*sweep(source, job, threads), strict=True)]
    return StepBlock(*columns)


def best_first(found: StepBlock, seed: int) -> Steps:
    """The steps by falling price; equal prices by the hash of the key, one customer's by rising cost."""
    from promolift.allocate import kernel

    hash_P = kernel.mix_all(found.key_P, word(seed))
    order = np.lexsort((np.arange(len(hash_P)), found.position_P, hash_P, -found.price_P))
    return Steps(
        found.position_P[order], found.slot_P2[order], found.price_P[order], hash_P[order], found.cost_P[order],
        found.gain_P[order],
    )  # fmt: skip


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
    room = budget - int(steps.cost_P[:low].sum())
    plain = np.arange(low, high) < fits
    span = IndexRange(low, high)
    ways = [plain, _take(steps, span, room, -1)]
    skipped = [p for p in range(fits, high) if steps.cost_P[p] > room // 100 and not ways[1][p - low]]
    ways += [_take(steps, span, room, p) for p in skipped[:LARGE]]
    best = max(ways, key=lambda way: int(steps.gain_P[low:high][way].sum()))
    taken = np.arange(len(steps.price_P)) < low
    taken[low:high] = best
    return taken


def _take(steps: Steps, span: IndexRange, room: int, forced: int) -> NDArray[np.bool_]:
    """Every step of the span in turn that fits and follows its customer's last; `forced` and those before it first."""
    low, high = span
    position, before = steps.position_P[low:high].tolist(), steps.slot_P2[low:high, 0].tolist()
    after, cost = steps.slot_P2[low:high, 1].tolist(), steps.cost_P[low:high].tolist()
    taken, at = [False] * (high - low), {}
    if forced >= 0:
        mine = [p for p in range(forced - low + 1) if position[p] == position[forced - low]]
        for p in mine:
            taken[p], room = True, room - cost[p]
        at[position[forced - low]] = after[forced - low]
        if room < 0:
            return np.zeros(high - low, np.bool_)
    for p in range(high - low):
        if not taken[p] and cost[p] <= room and at.get(position[p], before[p]) == before[p]:
            taken[p], room = True, room - cost[p]
            at[position[p]] = after[p]
        elif not taken[p]:
            at.setdefault(position[p], before[p])  # passed over, they stay there, and their next step does not follow
    return np.array(taken, np.bool_)


POINTS = 101  # budgets where none are given: 0 % to 100 % of the largest useful spend


def trace(source: Source, budgets: Sequence[float] | None = None, seed: int = 0, threads: int = 1) -> pl.DataFrame:
    """One row per budget, ascending: budget, gain, cost, price, treated and bound, in the unit of the source.

    Gain and cost are those of the plan that takes whole steps by falling price and stops at the first that does not
    fit; `solve` fills what is left over, so it gains a little more and never more than `bound`. Price is the gain of
    the next unit of budget, 0 where nothing more can be gained. Without budgets: 101 from nothing to the largest
    useful spend, in even steps; where there are many customers (above 100,000 steps) each is moved to the nearest
    edge of a price bin, which saves a pass and the sorting, and its price is known to 1 %.
    """
    from promolift.allocate import kernel

    scale = measure(source, threads)
    ruler, sums_B4 = _binned(source, scale, len(budgets) if budgets is not None else POINTS, threads)
    after_B4 = np.cumsum(sums_B4[::-1], axis=0)[::-1]  # row b: everything in bin b or above
    if budgets is None and int(after_B4[0, 3]) > MANY:
        return _frame(_snap(after_B4, sums_B4, scale.cost / scale.gain), None, scale)
    grid_G = (
        np.linspace(0.0, after_B4[0, 0] / scale.cost, POINTS)
        if budgets is None
        else np.sort(np.array([check_budget(budget) for budget in budgets], np.float64))
    )
    quanta_G = np.array([quanta_of(float(budget), scale) for budget in grid_G], np.int64)
    quanta_G[-1:] = after_B4[0, 0] if budgets is None else quanta_G[-1:]  # the last of the grid lost its rounding
    bin_G = np.searchsorted(-after_B4[: kernel.BINS, 0], -quanta_G, side="left") - 1  # the bin that does not fit whole
    wanted_B = np.zeros(kernel.BINS + 1, np.bool_)
    wanted_B[bin_G[bin_G >= 0]] = True
    room = int(sums_B4[wanted_B, 3].sum())
    wanted = Wanted(ruler, wanted_B, kernel.BINS, room)
    steps = best_first(collect(source, scale, wanted, threads), seed) if room else None
    bin_P = ruler.bins(steps.price_P) if steps else np.empty(0, np.int64)
    points = [_point(after_B4, steps, bin_P, int(q), int(b)) for q, b in zip(quanta_G, bin_G, strict=True)]
    return _frame(points, grid_G, scale)


class BudgetPoint(NamedTuple):
    """Whole-number gain and cost, price and treated customers at one budget."""

    gain: int
    cost: int
    price: float
    treated: int


class Binned(NamedTuple):
    """Sums of steps by price bin, and the ruler that cut the bins."""

    ruler: Ruler
    sums_B4: Ints


def _frame(points: list[BudgetPoint], budget_G: Floats | None, scale: SourceScale) -> pl.DataFrame:
    """Points as a frame in real units; without budgets each point's cost is its budget."""
    table = np.array(points, np.float64).reshape(-1, 4)
    gain_G, cost_G, price_G = table[:, 0] / scale.gain, table[:, 1] / scale.cost, table[:, 2]
    budget_G = cost_G if budget_G is None else budget_G
    bound_G = gain_G + price_G * np.maximum(budget_G - cost_G, 0.0)
    treated_G = table[:, 3].astype(np.int64)
    columns = {"budget": budget_G, "gain": gain_G, "cost": cost_G, "price": price_G, "treated": treated_G}
    return pl.DataFrame({**columns, "bound": bound_G})


def _snap(after_B4: Ints, sums_B4: Ints, unit: float) -> list[BudgetPoint]:
    """Points at the edges of bins nearest to an even grid; the price is the mean of the next bin that holds a step."""
    grid_G = np.linspace(0, after_B4[0, 0], POINTS)
    right_G = np.searchsorted(-after_B4[:, 0], -grid_G, side="right") - 1
    left_G = np.minimum(right_G + 1, len(after_B4) - 1)
    nearer = grid_G - after_B4[left_G, 0] < after_B4[right_G, 0] - grid_G
    points = []
    for at in sorted({int(b) for b in np.where(nearer, left_G, right_G)}, reverse=True):
        below = np.flatnonzero(sums_B4[:at, 0])
        price = unit * float(sums_B4[below[-1], 1]) / float(sums_B4[below[-1], 0]) if len(below) else 0.0
        points.append(BudgetPoint(int(after_B4[at, 1]), int(after_B4[at, 0]), price, int(after_B4[at, 2])))
    return points


def _binned(source: Source, scale: SourceScale, points: int, threads: int) -> Binned:
    """Sums by price bin, the bins cut as fine as they can be over the prices that occur."""
    from promolift.allocate import kernel

    ruler = Ruler()
    if not scale.usable:
        return Binned(ruler, np.zeros((kernel.BINS + 1, 4), np.int64))
    sums_B4 = count(source, scale, ruler, threads)
    used = np.flatnonzero(sums_B4[:-1, 3])
    finer = ruler.zoom(int(used[0]), int(used[-1])) if len(used) else ruler
    if points * sums_B4[:-1, 3].sum() <= MANY * max(len(used), 1) or finer.shift == ruler.shift:
        return Binned(ruler, sums_B4)
    return Binned(finer, count(source, scale, finer, threads))


def _point(after_B4: Ints, steps: Steps | None, bin_P: Ints, quanta: int, at: int) -> BudgetPoint:
    """The point of the budget `quanta` that ends in bin `at`."""
    cost, gain, treated, _ = (int(v) for v in after_B4[at + 1])
    if steps is None or at < 0:
        return BudgetPoint(gain, cost, 0.0, treated)
    low, high = np.searchsorted(-bin_P, [-at, -at + 1])
    fits = int(np.searchsorted(np.cumsum(steps.cost_P[low:high]), quanta - cost, side="right"))
    part = slice(low, low + fits)
    return BudgetPoint(
        gain + int(steps.gain_P[part].sum()), cost + int(steps.cost_P[part].sum()), float(steps.price_P[low + fits]),
        treated + int((steps.slot_P2[part, 0] < 0).sum()),
    )  # fmt: skip
