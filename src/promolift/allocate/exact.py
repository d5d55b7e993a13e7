"""A source and one budget in, the best plan out: exact but for the last few customers, with a bound to prove it.

Each customer's candidates form a concave frontier of steps, each with a price (gain per cost). Taking all steps of
the source by falling price until the budget is spent solves the linear relaxation of the multiple-choice knapsack
(Sinha & Zoltners 1979, Operations Research 27(3)); what the break leaves over is filled by search among the customers
near the break. Pass 1 finds the scale of the numbers, pass 2 counts steps by price bin, pass 3 sorts only the bins
around the break. N customers, K slots, B price bins, P steps, C customers near the break.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from promolift.allocate.core import Allocation, Floats, Ints, Prices, Rows, Slots, Source, sweep, word
from promolift.allocate.fill import fill
from promolift.allocate.measure import Scale, measure
from promolift.allocate.whales import pack

CORE = 1_000  # steps to gather around the break: enough for the finishing step to fill the budget
MANY = 100_000  # steps in the bins around the break above which these are cut finer: sorting costs more than a pass
FINEST = 16  # bits of a price that are never told apart by bins: a bin must be wider than a tie
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


def count(source: Source, scale: Scale, ruler: Ruler, threads: int = 1) -> Ints:
    """Sums of steps by price bin, shape (B + 1, 4): cost, gain, newly treated, steps; the last row is free of cost."""
    from promolift.allocate import kernel

    def job(rows: Rows) -> Ints:
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
    choice_N, columns = collect(source, scale, wanted, threads)
    steps = best_first(columns, seed)
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
    plan = Draft(
        choice_N,
        gain,
        quanta - left,
        quanta,
        Prices.of(price, scale.shape, share, seed),
        passes,
        (budget, bound * (1 + 1e-15)),
    )
    return finish(source, plan, near, scale, threads)


def _fits(steps: Steps, quanta: int) -> int:
    """How many steps fit before the first that does not."""
    return int(np.searchsorted(np.cumsum(steps.cost_P), quanta, side="right"))


def nothing(budget: float, scale: Scale, seed: int) -> Allocation:
    """The plan that gives no offer, for a source in which none can gain."""
    prices = Prices.of(0.0, scale.shape, 0.0, seed)
    return Allocation(np.full(scale.rows, -1, np.int32), 0.0, 0.0, 0.0, 0.0, budget, 0, scale.rows, prices, passes=1)


@dataclass(frozen=True, eq=False)
class Draft:
    """A plan before its finishing step: slots, whole-number gain, cost and budget, and the prices that made it.

    `money` is the budget as given, and the bound.
    """

    choice_N: Slots
    gain: int
    cost: int
    budget: int
    prices: Prices
    passes: int
    money: tuple[float, float]


def finish(source: Source, plan: Draft, near: Ints, scale: Scale, threads: int) -> Allocation:
    """Fill what is left of the budget among the rows `near` the break, and note who departs from the prices."""
    from promolift.allocate import kernel

    choice_N, prices, (budget, bound) = plan.choice_N, plan.prices, plan.money

    def job(rows: Rows) -> tuple[NDArray[np.generic], ...]:
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
    slot_C, cost, gain = fill(cost_q, gain_q, usable_CK, choice_N[position_C], plan.budget - plan.cost, enough)
    choice_N[position_C] = slot_C
    apart = np.flatnonzero(slot_C != priced_C[order])
    moved = dict(zip(key_C[order][apart].tolist(), slot_C[apart].tolist(), strict=True))
    return Allocation(
        choice_N, (plan.gain + gain) / scale.gain, (plan.cost + cost) / scale.cost, bound, prices.price, budget,
        int((choice_N >= 0).sum()), scale.rows, prices, (), plan.passes, moved,
    )  # fmt: skip


def quanta_of(budget: float, scale: Scale) -> int:
    """The budget in whole quanta of cost, rounded down."""
    return int(np.floor(min(budget * scale.cost, 2.0**61)))


def _around(sums_B4: Ints, quanta: int) -> tuple[int, int]:
    """First and last bin to sort: the bin where the budget breaks, its neighbours, and more until CORE steps are in."""
    bins = len(sums_B4) - 1
    spent_B = np.cumsum(sums_B4[::-1, 0])[::-1]
    at = int(np.searchsorted(-spent_B[:bins], -quanta, side="left")) - 1  # the last bin that does not fit as a whole
    low, high = max(at - 1, 0), min(max(at, 0) + 1, bins - 1)
    total = int(sums_B4[:bins, 3].sum())
    while sums_B4[low : high + 1, 3].sum() < min(CORE, total):
        low, high = max(low - 4, 0), min(high + 4, bins - 1)
    return low, high


@dataclass(frozen=True, eq=False)
class Wanted:
    """Bins whose steps are wanted one by one, at most `room`; steps in bins above `high` are taken as they are."""

    ruler: Ruler
    bin_B: NDArray[np.bool_]
    high: int
    room: int


def collect(
    source: Source, scale: Scale, wanted: Wanted, threads: int
) -> tuple[Slots, list[tuple[NDArray[np.generic], ...]]]:
    """Every row's last step above bin `wanted.high`, and the columns of the steps in wanted bins, block by block."""
    from promolift.allocate import kernel

    def job(rows: Rows) -> tuple[Slots, tuple[NDArray[np.generic], ...]]:
        choice_N = np.empty(len(rows), np.int32)
        limits = wanted.high, min(wanted.room, rows.gain_NK.size), wanted.ruler.shift, wanted.ruler.first
        step_P3, price_P = kernel.gather(rows.gain_NK, rows.cost_NK, wanted.bin_B, limits, choice_N)
        row_P, slot_P2 = step_P3[:, 0], step_P3[:, 1:]
        cost_P2 = np.where(slot_P2 < 0, 0.0, rows.cost_NK[row_P[:, None], slot_P2])
        gain_P2 = np.where(slot_P2 < 0, 0.0, rows.gain_NK[row_P[:, None], slot_P2])
        cost_P = np.diff(np.ceil(cost_P2 * scale.cost).astype(np.int64))[:, 0]
        gain_P = np.diff(np.floor(gain_P2 * scale.gain).astype(np.int64))[:, 0]
        return choice_N, (row_P + rows.start, rows.key_N[row_P], slot_P2, price_P, cost_P, gain_P)

    blocks = list(sweep(source, job, threads))
    choice_N = np.concatenate([block[0] for block in blocks]) if blocks else np.empty(0, np.int32)
    return choice_N, [block[1] for block in blocks]


def best_first(columns: list[tuple[NDArray[np.generic], ...]], seed: int) -> Steps:
    """The steps by falling price; equal prices by the hash of the key, one customer's by rising cost."""
    from promolift.allocate import kernel

    position, key, slot, price, cost, gain = (np.concatenate(column) for column in zip(*columns, strict=True))
    hash_P = kernel.mix_all(key, word(seed))
    order = np.lexsort((np.arange(len(key)), position, hash_P, -price))
    return Steps(position[order], slot[order], price[order], hash_P[order], cost[order], gain[order])
