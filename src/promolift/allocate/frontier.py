"""Candidates or arrays in, the whole curve out: gain, cost, price and treated customers for a range of budgets.

All budgets share two passes: steps counted by price bin, then the bins in which some budget ends are sorted.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from promolift.allocate.core import Ints, Source, check_budget
from promolift.allocate.exact import MANY, Ruler, Steps, Wanted, best_first, collect, count, quanta_of
from promolift.allocate.measure import Scale, measure

POINTS = 101  # budgets where none are given: 0 % to 100 % of the largest useful spend


def trace(source: Source, budgets: Sequence[float] | None = None, seed: int = 0, threads: int = 1) -> pl.DataFrame:
    """One row per budget, ascending: budget, gain, cost, price, treated and bound, in the unit of the source.

    Gain and cost are those of the plan that takes whole steps by falling price and stops at the first that does not
    fit; `solve` fills what is left over, so it gains a little more and never more than `bound`. Price is the gain of
    the next unit of budget, 0 where nothing more can be gained.
    """
    from promolift.allocate import kernel

    scale = measure(source, threads)
    ruler, sums_B4 = _cut(source, scale, threads)
    after_B4 = np.cumsum(sums_B4[::-1], axis=0)[::-1]  # row b: everything in bin b or above
    full = float(after_B4[0, 0]) / scale.cost
    grid = (
        np.linspace(0.0, full, POINTS)
        if budgets is None
        else np.array(sorted(check_budget(b) for b in budgets), np.float64)
    )
    quanta_G = np.array([quanta_of(float(b), scale) for b in grid], np.int64)
    if budgets is None and len(quanta_G):
        quanta_G[-1] = after_B4[0, 0]
    bin_G = np.searchsorted(-after_B4[: kernel.BINS, 0], -quanta_G, side="left") - 1  # the bin that does not fit whole
    wanted_B = np.zeros(kernel.BINS + 1, np.bool_)
    wanted_B[bin_G[bin_G >= 0]] = True
    room = int(sums_B4[wanted_B, 3].sum())
    columns = collect(source, scale, Wanted(ruler, wanted_B, kernel.BINS, room), threads)[1] if room else []
    steps = best_first(columns, seed) if columns else None
    bin_P = ruler.bins(steps.price_P) if steps else np.empty(0, np.int64)
    rows = [_point(after_B4, steps, bin_P, int(q), int(b)) for q, b in zip(quanta_G, bin_G, strict=True)]
    table = np.array(rows, np.float64).reshape(-1, 4)
    gain_G, cost_G, price_G = table[:, 0] / scale.gain, table[:, 1] / scale.cost, table[:, 2]
    frame = {
        "budget": grid, "gain": gain_G, "cost": cost_G, "price": price_G, "treated": table[:, 3].astype(np.int64),
        "bound": gain_G + price_G * (quanta_G / scale.cost - cost_G),
    }  # fmt: skip
    return pl.DataFrame(frame)


def _cut(source: Source, scale: Scale, threads: int) -> tuple[Ruler, Ints]:
    """Sums by price bin, the bins cut as fine as they can be over the prices that occur."""
    from promolift.allocate import kernel

    ruler = Ruler()
    if not scale.usable:
        return ruler, np.zeros((kernel.BINS + 1, 4), np.int64)
    sums_B4 = count(source, scale, ruler, threads)
    used = np.flatnonzero(sums_B4[:-1, 3])
    finer = ruler.zoom(int(used[0]), int(used[-1])) if len(used) else ruler
    if sums_B4[:-1, 3].max() <= MANY or finer.shift == ruler.shift:
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
