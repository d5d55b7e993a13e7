"""Solve the allocation under a budget alone: exact except for the last few customers, with an upper bound.

Each customer's candidates form a concave frontier of steps, each with a price (gain per cost). Taking all steps by
falling price until the budget is spent solves the linear relaxation of the multiple-choice knapsack (Sinha & Zoltners
1979, Operations Research 27(3)); what the break leaves over is filled by search among the customers near the break.
Where a single step is a large part of the budget, stopping at the first that does not fit would leave as much unspent:
then two other ways are tried (`pack_steps`). Many steps are counted by bins of price, finer and finer where the break
lies, until those near it are few enough to be gone through one by one. N customers, K slots and a last one for none
(L), P steps, B bins, C customers near the break, G budgets. All sums are of whole numbers, equal in any order of rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from promolift.core.allocation.algorithms.arrays import Floats, Ints, Keys, Slots
from promolift.core.allocation.algorithms.choice import (
    Allocation,
    ChoiceRows,
    InMemoryRows,
    PartitionedRows,
    Prices,
    ProblemScale,
    SlotChoice,
    check_budget,
    gather_rows,
    problem_scale,
)

CORE_STEPS = 1_000  # steps on either side of the break whose customers the finishing step looks at
REFINEMENT_GAP = 1e-4  # of the gain: more than this left at the break, and other ways than the plain one are tried
STOPPING_GAP = 1e-7  # the finishing step stops when what is left could add no more than this share of the gain
MAX_LISTED_STEPS = 300_000  # steps that are gone through one by one
MAX_BIN_STEPS = 2_000  # steps of a bin that is not worth cutting
KEY_BITS = (16, 8, 112)  # of a key that are looked at in the first round, in each of the next, and in all
ROW_ID_BITS = 40  # bits of a row's id for its place in its part


class StepKeys(NamedTuple):
    """The order of steps in two words: falling price, then the hash of the customer's key."""

    high_P: Keys
    low_P: Keys


class StepRows(NamedTuple):
    """Frontier steps: row, slots left and reached, the whole-number cost and gain added, price, hash of the customer.

    One row's steps stand one after another, cheapest first.
    """

    row_P: Ints
    left_P: Slots
    slot_P: Slots
    cost_P: Ints
    gain_P: Ints
    price_P: Floats
    hash_P: Floats

    @staticmethod
    def of(rows: ChoiceRows, scale: ProblemScale, seed: int) -> "StepRows":
        from promolift.core.allocation.algorithms import kernels

        found = kernels.steps(rows.gain_NK, rows.cost_NK, scale.gain, scale.cost)
        return StepRows(*found, rows.hashed(seed)[found[0]])

    @property
    def own_P4(self) -> Ints:
        """One, cost, gain, and whether it is the first of its customer, of each."""
        return np.column_stack([np.ones(len(self.row_P), np.int64), self.cost_P, self.gain_P, self.left_P < 0])

    @property
    def keys(self) -> StepKeys:
        low_P = (self.hash_P * 2.0**53).astype(np.uint64) << np.uint64(11)
        return StepKeys(~self.price_P.view(np.uint64), low_P)  # the bits of numbers above 0 rise with them

    def at(self, which: Ints | NDArray[np.bool_]) -> "StepRows":
        return StepRows(*[column[which] for column in self])  # type: ignore[arg-type]


class StepBins(NamedTuple):
    """Bins of keys in rising order: the first key of each, how many bits its keys share, and the sums of its steps: how
    many they are, whole cost and gain, and how many are the first of their customer.
    """

    high_B: Keys
    low_B: Keys
    bits_B: Keys
    sums_B4: Ints

    @classmethod
    def whole(cls) -> Self:
        """All keys in one bin, not counted yet."""
        zero = np.zeros(1, np.uint64)
        return cls(zero, zero, zero, np.zeros((1, 4), np.int64))

    def at(self, which: Ints | NDArray[np.bool_]) -> "StepBins":
        return StepBins(*[column[which] for column in self])  # type: ignore[arg-type]

    def cut(self, parts: PartitionedRows, scale: ProblemScale, seed: int, which: NDArray[np.bool_]) -> "StepBins":
        """Some of the bins cut into smaller ones, by a round; those without a step are left out."""
        wide, kept = self.at(which), self.at(~which)
        more = np.uint64(KEY_BITS[0] if not wide.bits_B.any() else KEY_BITS[1])
        total = np.zeros((len(wide.bits_B) << int(more), 4), np.int64)
        for found in parts.each(count_steps, scale, seed, wide, more):
            total[found.at] += found.sums
        child = np.flatnonzero(total[:, 0])
        of, place = child >> int(more), (child & ((1 << int(more)) - 1)).astype(np.uint64)
        bits = wide.bits_B[of] + more
        early = bits <= 64
        with np.errstate(all="ignore"):  # a shift of the other word
            high = wide.high_B[of] + np.where(early, place << (np.uint64(64) - bits), np.uint64(0))
            low = wide.low_B[of] + np.where(early, np.uint64(0), place << (np.uint64(128) - bits))
        both = (np.concatenate(each) for each in zip(kept, (high, low, bits, total[child]), strict=True))
        bins = StepBins(*both)
        return bins.at(np.lexsort((bins.low_B, bins.high_B)))

    def before(self) -> Ints:
        """The sums of all bins before each."""
        return np.asarray(np.cumsum(self.sums_B4, axis=0) - self.sums_B4)

    def near(self, quanta_G: Ints, reach: int) -> NDArray[np.bool_]:
        """Those in which some budget breaks, or of whose steps some are within `reach` of it."""
        steps_B, start_B, total = self.sums_B4[:, 0], self.before()[:, 0], int(self.sums_B4[:, 0].sum())
        broken = np.searchsorted(np.cumsum(self.sums_B4[:, 1]), quanta_G, side="right")
        near = np.zeros(len(steps_B), np.bool_)
        for b in np.unique(broken):
            low, high = (start_B[b], start_B[b] + steps_B[b]) if b < len(steps_B) else (total, total)
            near |= (start_B + steps_B > low - reach) & (start_B < high + reach)
        return near


class StepCounts(NamedTuple):
    """The bins that have steps, and their sums."""

    at: Ints
    sums: Ints


def count_steps(rows: ChoiceRows, scale: ProblemScale, seed: int, bins: StepBins, more: np.uint64) -> StepCounts:
    """The sums of the steps of some rows in bins that are cut."""
    from promolift.core.allocation.algorithms import kernels

    steps = StepRows.of(rows, scale, seed)
    sums: Ints = kernels.tally(
        steps.keys, (steps.cost_P, steps.gain_P, steps.left_P), (bins.high_B, bins.low_B, bins.bits_B), more
    ).reshape(-1, 4)
    at = np.flatnonzero(sums[:, 0])
    return StepCounts(at, sums[at])


def steps_in_bins(rows: ChoiceRows, scale: ProblemScale, seed: int, bins: StepBins | None) -> StepRows:
    """The steps of some rows in bins; all of them without."""
    from promolift.core.allocation.algorithms import kernels

    steps = StepRows.of(rows, scale, seed)
    if bins is None:
        return steps
    return steps.at(kernels.keys_in_bins(steps.keys, (bins.high_B, bins.low_B, bins.bits_B)))


def keys_before(keys: StepKeys, key: int) -> NDArray[np.bool_]:
    """Which keys are before one that is given as a number."""
    if key >> 128:
        return np.ones(len(keys.high_P), np.bool_)
    high, low = np.uint64(key >> 64), np.uint64(key & (2**64 - 1))
    mine: NDArray[np.bool_] = (keys.high_P < high) | ((keys.high_P == high) & (keys.low_P < low))
    return mine


@dataclass(frozen=True, eq=False)
class Steps:
    """Frontier steps in order, those that may matter: equal prices by the hash of the key, one customer's by rising
    cost. `sums_P4` are steps, cost, gain and first steps of all, those left out too, up to and with each; `whole_4` of
    every step there is. Rows have ids: part and place.
    """

    rows: StepRows
    sums_P4: Ints
    whole_4: Ints

    @staticmethod
    def of(
        parts: PartitionedRows, scale: ProblemScale, seed: int, quanta: Callable[[int], Ints], reach: int
    ) -> "Steps":
        """The steps near what some budgets, as whole numbers, buy; `quanta` is told the cost of all steps."""
        if scale.pairs <= MAX_LISTED_STEPS:
            return Steps._near(parts, scale, seed, None, None)
        bins = StepBins.whole()
        bins = bins.cut(parts, scale, seed, np.ones(1, np.bool_))
        quanta_G = quanta(int(bins.sums_B4[:, 1].sum()))
        while True:
            near = bins.near(quanta_G, reach)
            wide = near & (bins.sums_B4[:, 0] > MAX_BIN_STEPS) & (bins.bits_B < KEY_BITS[2])
            if int(bins.sums_B4[near, 0].sum()) <= MAX_LISTED_STEPS or not wide.any():
                return Steps._near(parts, scale, seed, bins, near)
            bins = bins.cut(parts, scale, seed, wide)

    @staticmethod
    def _near(
        parts: PartitionedRows, scale: ProblemScale, seed: int, bins: StepBins | None, near: NDArray[np.bool_] | None
    ) -> "Steps":
        asked = None if bins is None or near is None else bins.at(near)
        found = [
            each._replace(row_P=each.row_P + (part << ROW_ID_BITS))
            for part, each in enumerate(parts.each(steps_in_bins, scale, seed, asked))
        ]
        rows = StepRows(*(np.concatenate(each) for each in zip(*found, strict=True)))
        keys = rows.keys
        rows = rows.at(np.lexsort((keys.low_P, keys.high_P)))  # stable: equal keys stay in the order of rows
        sums_P4 = np.cumsum(rows.own_P4, axis=0)
        if bins is None or asked is None:
            return Steps(rows, sums_P4, sums_P4[-1] if len(sums_P4) else np.zeros(4, np.int64))
        left_out = bins.before()[near] - asked.before()
        return Steps(rows, sums_P4 + np.repeat(left_out, asked.sums_B4[:, 0], axis=0), bins.sums_B4.sum(axis=0))

    def fits(self, quanta: int | Ints) -> Ints:
        """The places of the first steps that do not fit."""
        return np.searchsorted(self.sums_P4[:, 1], quanta, side="right")

    def before(self, place: int | Ints) -> Ints:
        """The sums of all steps before places."""
        return np.asarray(np.concatenate([self.sums_P4 - self.rows.own_P4, self.whole_4[None]])[place])

    def key(self, place: int) -> int:
        """The key at a place as one number, above all keys where no step is there."""
        if place >= len(self.rows.row_P):
            return 1 << 128
        one = self.rows.at(np.array([place])).keys
        return int(one.high_P[0]) << 64 | int(one.low_P[0])


def solve_budget(parts: PartitionedRows, scale: ProblemScale, budget: float, seed: int = 0) -> Allocation:
    """The best plan within `budget`, ties in price settled by the hash of the key."""
    none: Ints = np.zeros(0, np.int64)
    if not scale.usable:
        nobody = SlotChoice(Prices.of(0.0, scale.offers, classes=scale.classes), none, none, none.astype(np.int32))
        return Allocation(nobody, scale.customers, 0.0, 0.0, 0.0, 0.0, budget, 0)
    quanta = budget_in_quanta(budget, scale)
    steps = Steps.of(parts, scale, seed, lambda _: np.array([quanta]), PACKING_WINDOW)
    rows, fits = steps.rows, int(steps.fits(quanta))
    _, spent, gain, treated = steps.before(fits).tolist()
    left, price, share = quanta - spent, 0.0, 0.0
    if fits < len(rows.row_P):
        price, share = float(rows.price_P[fits]), float(rows.hash_P[fits])
    # every whole-number gain is short of the true one by less than 1
    bound = ((gain + treated) / scale.gain + price * left / scale.cost) * (1 + 1e-15)
    taken, reach = np.arange(len(rows.row_P)) < fits, CORE_STEPS
    if price * left / scale.cost > REFINEMENT_GAP * gain / scale.gain:
        taken, reach = pack_steps(steps, fits, quanta), PACKING_WINDOW
        _, spent, gain, treated = (steps.before(0) + rows.at(taken).own_P4.sum(axis=0)).tolist()
        left = quanta - spent
    prices = Prices.of(price, scale.offers, share, seed, scale.classes)
    near = break_neighbourhood(parts, scale, seed, steps, taken, fits, reach, prices)
    usable_CK = (near.rows.gain_NK > 0) & (near.rows.cost_NK < np.inf)
    gain_q = np.floor(np.where(usable_CK, near.rows.gain_NK, 0.0) * scale.gain).astype(np.int64)
    cost_q = np.ceil(np.where(usable_CK, near.rows.cost_NK, 0.0) * scale.cost).astype(np.int64)
    enough = int(STOPPING_GAP * gain / scale.gain / price * scale.cost) if price else 0
    filled = fill_budget(cost_q, gain_q, usable_CK, near.slot_C, left, enough)
    treated += int((filled.slot_C >= 0).sum()) - int((near.slot_C >= 0).sum())
    places = near.id_C >> ROW_ID_BITS, near.id_C & ((1 << ROW_ID_BITS) - 1)
    return Allocation(
        SlotChoice.with_exceptions(prices, *places, filled.slot_C, near.rows.choose(prices)), scale.customers,
        (gain + filled.gain) / scale.gain, (quanta - left + filled.cost) / scale.cost, bound, price, budget, treated,
    )  # fmt: skip


class BreakNeighbourhood(NamedTuple):
    """Customers near the break in the order of their hashes: rows, ids, and their slots by the steps taken."""

    rows: ChoiceRows
    id_C: Ints
    slot_C: Slots


def break_neighbourhood(
    parts: PartitionedRows, scale: ProblemScale, seed: int, steps: Steps, taken: NDArray[np.bool_], fits: int,
    reach: int, prices: Prices,
) -> BreakNeighbourhood:  # fmt: skip
    """Return the customers with a step within `reach` steps of the break, and those whose slot by price differs from
    their slot by steps.
    """
    last = min(fits + reach, len(steps.rows.row_P)) - 1
    span = steps.key(max(fits - reach, 0)), steps.key(last) + 1 if last >= 0 else 1 << 128
    found = gather_rows(parts, inconsistent_rows, scale, seed, steps.key(fits), *span, prices)
    id_C, slot_C = found.part_C << ROW_ID_BITS | found.row_C, slots_before_key(found.rows, scale, seed, steps.key(fits))
    known, first, of = np.unique(steps.rows.row_P, return_index=True, return_inverse=True)
    slot_U = steps.rows.left_P[first]
    slot_U[of[taken]] = steps.rows.slot_P[taken]  # cheapest first: a customer's last step stays
    mine = np.isin(id_C, known)
    slot_C[mine] = slot_U[np.searchsorted(known, id_C[mine])]
    core = steps.rows.row_P[max(fits - CORE_STEPS, 0) : fits + CORE_STEPS]
    kept = np.flatnonzero(np.isin(id_C, core) | (slot_C != found.rows.choose(prices)))
    kept = kept[np.lexsort((id_C[kept], found.rows.hashed(seed)[kept]))]
    return BreakNeighbourhood(found.rows.part(kept), id_C[kept], slot_C[kept])


def slots_before_key(rows: ChoiceRows, scale: ProblemScale, seed: int, cut: int) -> Slots:
    """The slots of rows that take all steps before a key."""
    steps = StepRows.of(rows, scale, seed)
    taken, slot_N = keys_before(steps.keys, cut), np.full(len(rows), -1, np.int32)
    slot_N[steps.row_P[taken]] = steps.slot_P[taken]
    return slot_N


def inconsistent_rows(
    rows: ChoiceRows, scale: ProblemScale, seed: int, cut: int, low: int, high: int, prices: Prices
) -> Ints:
    """The places of rows with a step from `low` to before `high`, or of whom price and steps say other slots."""
    steps, odd = StepRows.of(rows, scale, seed), slots_before_key(rows, scale, seed, cut) != rows.choose(prices)
    keys = steps.keys
    odd[steps.row_P[~keys_before(keys, low) & keys_before(keys, high)]] = True
    return np.flatnonzero(odd)


def budget_in_quanta(budget: float, scale: ProblemScale) -> int:
    """The budget in whole quanta of cost, rounded down."""
    return int(np.floor(min(budget * scale.cost, 2.0**61)))


MAX_EXCHANGES = 60  # exchanges between two customers; each costs one sort of the moves, about a millisecond


class FilledSlots(NamedTuple):
    """New slots, and the whole-number cost and gain they add."""

    slot_C: Slots
    cost: int
    gain: int


class Exchange(NamedTuple):
    """A move that costs too much, and a move of another customer that frees enough; positions in the flat matrix."""

    up: int
    down: int


def fill_budget(
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
    for swaps in range(MAX_EXCHANGES):
        dcost_CL = cost_CL - cost_CL[everyone, at_C][:, None]
        dgain_CL = np.where(usable_CL, gain_CL - gain_CL[everyone, at_C][:, None], -(2**61))
        left = _singles(dcost_CL, dgain_CL, at_C, left)
        if left <= enough or swaps == MAX_EXCHANGES - 1:
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


PACKING_WINDOW = 10_000  # steps on either side of the break that are gone through one by one
MAX_LARGE_STEPS = 12  # large steps for which room is made in turn


def pack_steps(steps: Steps, fits: int, budget: int) -> NDArray[np.bool_]:
    """Steps taken, a P mask: the best by gain of the ways tried, `budget` kept; ties to the first way."""
    rows = steps.rows
    low, high = max(fits - PACKING_WINDOW, 0), min(fits + PACKING_WINDOW, len(rows.row_P))
    room, part = budget - int(steps.before(low)[1]), slice(low, high)
    ways = [np.arange(low, high) < fits, _take(rows, part, room, -1)]
    skipped = [p for p in range(fits, high) if rows.cost_P[p] > room // 100 and not ways[1][p - low]]
    ways += [_take(rows, part, room, p - low) for p in skipped[:MAX_LARGE_STEPS]]
    taken = np.arange(len(rows.row_P)) < low
    taken[part] = max(ways, key=lambda way: int(rows.gain_P[part][way].sum()))
    return taken


def _take(steps: StepRows, part: slice, room: int, forced: int) -> NDArray[np.bool_]:
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


FRONTIER_POINTS = 101  # budgets where none are given: 0 % to 100 % of the largest useful spend


def solve_frontier(
    gain_NK: ArrayLike, cost_NK: ArrayLike, budgets: Sequence[float] | None = None, *, seed: int = 0,
    key_N: Keys | None = None,
) -> pl.DataFrame:  # fmt: skip
    """One row per budget, ascending: budget, gain, cost, price, treated and bound, in the unit of the arrays.

    Gain and cost are those of the plan that takes whole steps by falling price and stops at the first that does not
    fit; `solve` fills what is left over, so it gains a little more and never more than `bound`. Price is the gain of
    the next unit of budget, 0 where nothing more can be gained. Without budgets: 101 from nothing to the largest
    useful spend, in even steps.
    """
    return solve_frontier_parts(InMemoryRows(ChoiceRows.of(gain_NK, cost_NK, key_N=key_N)), budgets, seed=seed)


def solve_frontier_parts(
    parts: PartitionedRows, budgets: Sequence[float] | None = None, *, seed: int = 0
) -> pl.DataFrame:
    """`solve_frontier` of rows in parts."""
    scale = problem_scale(parts)
    asked = None if budgets is None else np.sort(np.array([check_budget(each) for each in budgets], np.float64))

    def quanta_G(whole: int) -> Ints:
        if asked is not None:
            return np.array([budget_in_quanta(float(budget), scale) for budget in asked], np.int64)
        grid = np.array([budget_in_quanta(float(budget), scale) for budget in even(whole)], np.int64)
        grid[-1] = whole  # the last of the grid lost its rounding
        return grid

    def even(whole: int) -> Floats:
        return np.linspace(0.0, whole / scale.cost, FRONTIER_POINTS)

    steps = Steps.of(parts, scale, seed, quanta_G, 0)
    whole = int(steps.whole_4[1])
    budget_G = even(whole) if asked is None else asked
    fits_G = steps.fits(quanta_G(whole))
    _, spent_G, gained_G, treated_G = steps.before(fits_G).T
    gain_G, cost_G = gained_G / scale.gain, spent_G / scale.cost
    price_G = np.append(steps.rows.price_P, 0.0)[fits_G]
    bound_G = gain_G + price_G * np.maximum(budget_G - cost_G, 0.0)
    columns = {"budget": budget_G, "gain": gain_G, "cost": cost_G, "price": price_G, "treated": treated_G}
    return pl.DataFrame({**columns, "bound": bound_G})
