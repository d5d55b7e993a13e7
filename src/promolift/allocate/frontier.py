"""Candidates or arrays in, the whole curve out: gain, cost, price and treated customers for a range of budgets.

All budgets share two passes: steps counted by price bin, then the bins in which some budget ends are sorted.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from promolift.allocate.core import Floats, Ints, Source, check_budget
from promolift.allocate.exact import MANY, Ruler, Steps, Wanted, best_first, collect, count, quanta_of
from promolift.allocate.measure import Scale, measure

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
    ruler, sums_B4 = _cut(source, scale, len(budgets) if budgets is not None else POINTS, threads)
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
    columns = collect(source, scale, Wanted(ruler, wanted_B, kernel.BINS, room), threads)[1] if room else []
    steps = best_first(columns, seed) if columns else None
    bin_P = ruler.bins(steps.price_P) if steps else np.empty(0, np.int64)
    points = [_point(after_B4, steps, bin_P, int(q), int(b)) for q, b in zip(quanta_G, bin_G, strict=True)]
    return _frame(points, grid_G, scale)


def _frame(points: list[tuple[int, int, float, int]], budget_G: Floats | None, scale: Scale) -> pl.DataFrame:
    """Points as a frame in real units; without budgets each point's cost is its budget."""
    table = np.array(points, np.float64).reshape(-1, 4)
    gain_G, cost_G, price_G = table[:, 0] / scale.gain, table[:, 1] / scale.cost, table[:, 2]
    budget_G = cost_G if budget_G is None else budget_G
    bound_G = gain_G + price_G * np.maximum(budget_G - cost_G, 0.0)
    treated_G = table[:, 3].astype(np.int64)
    columns = {"budget": budget_G, "gain": gain_G, "cost": cost_G, "price": price_G, "treated": treated_G}
    return pl.DataFrame({**columns, "bound": bound_G})


def _snap(after_B4: Ints, sums_B4: Ints, unit: float) -> list[tuple[int, int, float, int]]:
    """Points at the edges of bins nearest to an even grid; the price is the mean of the next bin that holds a step."""
    grid_G = np.linspace(0, after_B4[0, 0], POINTS)
    right_G = np.searchsorted(-after_B4[:, 0], -grid_G, side="right") - 1
    left_G = np.minimum(right_G + 1, len(after_B4) - 1)
    nearer = grid_G - after_B4[left_G, 0] < after_B4[right_G, 0] - grid_G
    points = []
    for at in sorted({int(b) for b in np.where(nearer, left_G, right_G)}, reverse=True):
        below = np.flatnonzero(sums_B4[:at, 0])
        price = unit * float(sums_B4[below[-1], 1]) / float(sums_B4[below[-1], 0]) if len(below) else 0.0
        points.append((int(after_B4[at, 1]), int(after_B4[at, 0]), price, int(after_B4[at, 2])))
    return points


def _cut(source: Source, scale: Scale, points: int, threads: int) -> tuple[Ruler, Ints]:
    """Sums by price bin, the bins cut as fine as they can be over the prices that occur."""
    from promolift.allocate import kernel

    ruler = Ruler()
    if not scale.usable:
        return ruler, np.zeros((kernel.BINS + 1, 4), np.int64)
    sums_B4 = count(source, scale, ruler, threads)
    used = np.flatnonzero(sums_B4[:-1, 3])
    finer = ruler.zoom(int(used[0]), int(used[-1])) if len(used) else ruler
    if points * sums_B4[:-1, 3].sum() <= MANY * max(len(used), 1) or finer.shift == ruler.shift:
        return ruler, sums_B4
    return finer, count(source, scale, finer, threads)


def _point(after_B4: Ints, steps: Steps | None, bin_P: Ints, quanta: int, at: int) -> tuple[int, int, float, int]:
    """Whole-number gain and cost, price and treated customers of the budget `quanta` that ends in bin `at`."""
    cost, gain, treated, _ = (int(v) for v in after_B4[at + 1])
    if steps is None or at < 0:
        return gain, cost, 0.0, treated
    low, high = np.searchsorted(-bin_P, [-at, -at + 1])
    fits = int(np.searchsorted(np.cumsum(steps.cost_P[low:high]), quanta - cost, side="right"))
    part = slice(low, low + fits)
    return (
        gain + int(steps.gain_P[part].sum()), cost + int(steps.cost_P[part].sum()), float(steps.price_P[low + fits]),
        treated + int((steps.slot_P2[part, 0] < 0).sum()),
    )  # fmt: skip
