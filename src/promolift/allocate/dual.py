"""A source and rules in, the prices of all rows out, with an upper bound of what any plan can gain.

Lagrangian relaxation (Fisher 1981, Management Science 27(1)): at prices of all rows each customer is decided alone,
and the value at any prices is an upper bound. The prices are found on a sample of customers by projected Newton
steps on the smoothed dual, narrower and narrower; then each pass over all rows shows how far the sample's use of
every row is from the truth, and the sample is solved again with its bounds shifted by the difference. So a pass over
the data is needed only once per correction. N customers, S classes, J offers, M rows, L terms of a class in turn.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from promolift.allocate.arrays import Floats, Ints, Links, Slots
from promolift.allocate.core import BLOCK, CheckedRows, Source, SourceScale, sweep, word
from promolift.allocate.limits import Rules

SAMPLE = 40_000  # customers; below this all are taken and no correction is needed
LEAST = 200  # customers of a class that the sample should hold, if there are so many
# Width (of each customer's largest gain), share of customers who may hesitate, size of the sample, and the share of a
# bound that a row's use may miss. A wide function is smooth but makes most customers hesitate, which makes a step dear,
# and its minimum is only a start for the next width; the second number keeps that so whatever the gains look like.
STAGES = (
    (1.0, 1.0, 500, 1e-1),
    (0.3, 0.7, 500, 1e-1),
    (0.1, 0.4, 1_000, 3e-2),
    (0.03, 0.2, 2_000, 1e-2),
    (0.01, 0.1, 5_000, 1e-2),
)


class Goal(NamedTuple):
    """A width, and the share of customers who may hesitate at it."""

    width: float
    share: float


SECOND = Goal(0.003, 0.05)  # of the prices corrected on the sample
LAST = Goal(0.0003, 0.01)  # of those found on the core
TURNS, MISS = 6, 3e-3  # corrections by all rows at most; fewer when no priced row's use misses by more than this
HESITANT, MOST = 2_000, 6_000  # who hesitate: enough for a width on the way, and for the last on the sample
NARROW = 1e-8  # below this a width is lost in rounding
CORE, OUTER = 40_000, 20_000  # customers for the last prices: those who hesitate most, and a sample of the others
CLOSE = 1e-5
STEPS = 25  # Newton steps at one width
SALT = 0x5EED  # the sample's hash must not be the one that settles ties


@dataclass(frozen=True)
class Near:
    """Rows whose best two values are within `reach`; of these the part with the smallest hashes, if there are many."""

    reach: float
    part: float = 1.0

    def pick(self, rows: CheckedRows, weight_SJ4: Floats) -> Ints:
        """Which of the rows are near."""
        from promolift.allocate import kernel, repair_kernel

        if self.reach < 0:
            return np.empty(0, np.int64)
        at = np.arange(len(rows))
        if self.reach < np.inf:
            at = np.flatnonzero(repair_kernel.margins(rows.columns, weight_SJ4) <= self.reach)
        return at[kernel.mix_all(rows.key_N[at], word(SALT + 1)) < self.part] if self.part < 1 else at


NOBODY = Near(-1.0)


@dataclass(frozen=True, eq=False)
class RowSample:
    """Some customers in the order of their hash, each standing for `omega_N` customers of their class."""

    rows: CheckedRows
    omega_N: Floats
    rank_N: Floats

    @staticmethod
    def of(rows: CheckedRows, label_N: Slots, rank_N: Floats, count_S: Ints) -> "RowSample":
        """With the weights that make each class as large as it is."""
        seen_S = np.maximum(np.bincount(label_N, minlength=len(count_S)), 1)
        return RowSample(rows, (count_S / seen_S)[label_N], rank_N)

    def fewer(self, size: float) -> "RowSample":
        """About `size` of the customers, every class thinned alike."""
        part = size / max(len(self.rank_N), 1)
        at = np.flatnonzero(self.rank_N < part)
        if part >= 1 or not len(at):
            return self
        return RowSample(
            self.rows.part(at), self.omega_N[at] * (self.omega_N.sum() / self.omega_N[at].sum()), self.rank_N[at]
        )

    def with_core(self, core: CheckedRows, weight_SJ4: Floats, near: Near) -> "RowSample":
        """The customers of the core, and of the sample those who are not near."""
        from promolift.allocate import kernel

        far = np.flatnonzero(self._margins(weight_SJ4) > near.reach)
        rows = CheckedRows.join([core, self.rows.part(far)])
        omega_C, rank_C = np.full(len(core), 1 / near.part), kernel.mix_all(core.key_N, word(SALT + 2))
        return RowSample(rows, np.concatenate([omega_C, self.omega_N[far]]), np.concatenate([rank_C, self.rank_N[far]]))

    def near(self, weight_SJ4: Floats, aim: int) -> Near:
        """How to pick about `aim` of the customers who hesitate most."""
        reach = self.reach(weight_SJ4, aim)
        within = float(self.omega_N[self._margins(weight_SJ4) <= reach].sum())
        return Near(reach, 1.0 if reach == np.inf else min(1.0, 1.5 * aim / max(within, 1.0)))

    def _margins(self, weight_SJ4: Floats) -> Floats:
        from promolift.allocate import repair_kernel

        return repair_kernel.margins(self.rows.columns, weight_SJ4)

    def share(self, weight_SJ4: Floats, width: float) -> float:
        """The share of customers whose best two values are within `width`."""
        total = float(self.omega_N.sum())
        return float(self.omega_N[self._margins(weight_SJ4) < width].sum()) / total if total else 0.0

    def reach(self, weight_SJ4: Floats, aim: int) -> float:
        """The margin between best and second best below which about `aim` customers lie; infinite if all do."""
        margin_N = self._margins(weight_SJ4)
        order = np.argsort(margin_N, kind="stable")
        at = int(np.searchsorted(np.cumsum(self.omega_N[order]), aim))
        return float(margin_N[order[at]]) if at < len(order) else np.inf


def link(rules: Rules) -> Links:
    """The rows of each class; terms of one row in one class are added up."""
    t_L, s_L = np.nonzero(rules.class_TS)
    code_R, at_L = np.unique(s_L * rules.rows + rules.row_T[t_L], return_inverse=True)
    coef_JR4 = np.zeros((rules.offer_TJ.shape[1], len(code_R), 4))
    for t, at in zip(t_L, at_L, strict=True):
        coef_JR4[:, at, rules.column_T[t]] += rules.weight_T[t] * rules.offer_TJ[t]
    first_S = np.searchsorted(code_R // max(rules.rows, 1), np.arange(rules.class_TS.shape[1] + 1))
    return Links(first_S, code_R % max(rules.rows, 1), coef_JR4)


def draw_sample(source: Source, scale: SourceScale, seed: int, threads: int = 1, size: int = SAMPLE) -> RowSample:
    """About `size` customers chosen by the hash of their keys, small classes more densely. One pass."""
    from promolift.allocate import kernel, smoothed

    part_S = np.clip(np.maximum(size / max(scale.rows, 1), LEAST / np.maximum(scale.count_S, 1)), 0.0, 1.0)

    def job(rows: CheckedRows) -> CheckedRows:
        mark_N = np.empty(len(rows), np.int32)
        smoothed.thin(rows.label_N, rows.key_N, part_S, word(seed ^ SALT), mark_N)
        return rows.part(np.flatnonzero(mark_N))

    rows = CheckedRows.join(list(sweep(source, job, threads)))
    hash_N = kernel.mix_all(rows.key_N, word(seed ^ SALT))
    order = np.lexsort((rows.key_N, hash_N))
    rows = rows.part(order)
    label_N = rows.label_N if rows.label_N.size else np.zeros(len(rows), np.int32)
    return RowSample.of(rows, label_N, hash_N[order] / part_S[label_N], scale.count_S)


class DualPoint(NamedTuple):
    """The smoothed value of the customers at some prices, use of every row, and the second derivative."""

    total: float
    used_M: Floats
    hess_MM: Floats


class PricesAtWidth(NamedTuple):
    """Prices of the rows and the width at which they were found, or from which the descent goes on."""

    price_M: Floats
    width: float


@dataclass(frozen=True, eq=False)
class Dual:
    """The smoothed dual of a sample under some rules; prices are in real units, steps in `unit_M`."""

    sample: RowSample
    rules: Rules
    links: Links
    unit_M: Floats
    gain: float

    @staticmethod
    def of(sample: RowSample, rules: Rules) -> "Dual":
        """With the unit of each price: mean gain of a pair over the row's mean coefficient."""
        from promolift.allocate import smoothed

        shape = rules.class_TS.shape[1], rules.offer_TJ.shape[1]
        sums_SJ4 = smoothed.pairs(sample.rows.columns, sample.omega_N, *shape)
        count = float(sums_SJ4[:, :, 2].sum())
        gain = float(sums_SJ4[:, :, 0].sum()) / count if count else 1.0
        count_SJ4 = np.repeat(sums_SJ4[:, :, 2:3], 4, axis=2)
        size_M = np.bincount(rules.row_T, np.abs(rules.weight_T) * rules.term_sums(sums_SJ4), rules.rows)
        pairs_M = np.bincount(rules.row_T, np.abs(rules.weight_T) * rules.term_sums(count_SJ4), rules.rows)
        mean_M = np.where(pairs_M > 0, size_M / np.maximum(pairs_M, 1e-300), 0.0)
        unit_M = np.where(mean_M > 0, gain / np.maximum(mean_M, 1e-300), 0.0)
        return Dual(sample, rules, link(rules), unit_M, gain if gain > 0 else 1.0)

    def fewer(self, size: float) -> "Dual":
        """The same on about `size` of the customers."""
        return Dual(self.sample.fewer(size), self.rules, self.links, self.unit_M, self.gain)

    def width(self, price_M: Floats, width: float, share: float) -> float:
        """The width, or a smaller one at which about `share` of the customers hesitate at these prices."""
        aim = int(share * float(self.sample.omega_N.sum()))
        return max(min(width, self.sample.reach(self.rules.weights(price_M), aim)), NARROW)

    def at(self, price_M: Floats, width: float) -> DualPoint:
        """Value of the customers without the bounds, use of every row, second derivative."""
        from promolift.allocate import smoothed

        columns, weight_SJ4 = self.sample.rows.columns, self.rules.weights(price_M)
        total, sums_SJ4, half_MM = smoothed.curve(
            columns, self.sample.omega_N, weight_SJ4, width, self.links, self.rules.rows
        )
        return DualPoint(total, self.rules.used(sums_SJ4), half_MM + np.tril(half_MM, -1).T)

    def narrow(self, begin: PricesAtWidth, bound_M: Floats, goal: Goal, most: float) -> PricesAtWidth:
        """Descend at ever smaller widths, from a quarter of that of `begin`, until the `goal` is met.

        Where everybody hesitates at any width (equal customers, say) it ends at an eighth of the width.

        Widths on the way are passed on part of the sample if many hesitate, the last if more than `most` do.
        """
        (price_M, width), share = begin, 0.0
        while True:
            width /= 4
            share = max(share, self.sample.share(self.rules.weights(price_M), width))
            part = self.fewer(HESITANT / max(share, 1e-9)) if most < np.inf else self
            price_M = part.descend(price_M, bound_M, width, 1e-2)
            share = self.sample.share(self.rules.weights(price_M), width)
            if width <= goal.width and (share <= goal.share or width <= goal.width / 8):
                last = self.fewer(most / max(share, 1e-9))
                return PricesAtWidth(last.descend(price_M, bound_M, width, CLOSE), width)

    def descend(self, price_M: Floats, bound_M: Floats, width: float, close: float) -> Floats:
        """Prices of at least 0 that minimise the smoothed dual: Newton steps in a box that grows with success."""
        total, used_M, hess_MM = self.at(price_M, width)
        close_M = close * np.maximum(np.abs(bound_M), np.abs(used_M)) + 1e-300
        reach = 2.0
        for _ in range(STEPS):
            slope_M = bound_M - used_M
            free_M = ((price_M > 0) | (slope_M < 0)) & (self.unit_M > 0)
            if not (free_M & (np.abs(slope_M) > close_M)).any() or reach < 1e-9:
                break
            step_M = self._step(hess_MM, slope_M, price_M, reach)
            new_M = np.maximum(price_M + step_M, 0.0)
            trial = self.at(new_M, width)
            move_M = new_M - price_M
            hoped = float(slope_M @ move_M) + 0.5 * float(move_M @ hess_MM @ move_M)
            got = float(bound_M @ move_M) + trial.total - total
            if got <= 0.1 * hoped:
                price_M, (total, used_M, hess_MM) = new_M, trial
                reach = min(2 * reach, 8.0) if got <= 0.5 * hoped else reach
            else:
                reach = 0.3 * min(reach, float(np.max(np.abs(step_M) / np.where(self.unit_M > 0, self.unit_M, 1.0))))
        return price_M

    def _step(self, hess_MM: Floats, slope_M: Floats, price_M: Floats, reach: float) -> Floats:
        """The step that minimises the quadratic model with prices at least 0 and steps of at most `reach` units."""
        from promolift.allocate import smoothed

        u = self.unit_M
        scaled_MM = hess_MM * u[:, None] * u[None, :]
        size = max(float(np.trace(scaled_MM)), 1e-300)
        scaled_MM = scaled_MM / size + 1e-9 * np.eye(len(u))
        slope_M = slope_M * u / size
        low_M = np.where(u > 0, -np.minimum(reach, price_M / np.where(u > 0, u, 1.0)), 0.0)
        high_M = np.where(u > 0, reach, 0.0)
        step_M = smoothed.box_step(scaled_MM, slope_M, low_M, high_M, 100)
        inner = (step_M > low_M) & (step_M < high_M)
        if inner.any():  # coordinate descent finds who is at the box; the others are solved for exactly
            exact_M = step_M.copy()
            rest_M = slope_M[inner] + scaled_MM[np.ix_(inner, ~inner)] @ step_M[~inner]
            exact_M[inner] = -np.linalg.solve(scaled_MM[np.ix_(inner, inner)], rest_M)
            if ((exact_M >= low_M) & (exact_M <= high_M)).all():
                step_M = exact_M
        return step_M * u


@dataclass(frozen=True, eq=False)
class Priced:
    """Prices of the rows and the width that goes with them, the bound they prove, passes used, and natural units."""

    price_M: Floats
    width: float
    bound: float
    passes: int
    unit_M: Floats


def price(
    source: Source, scale: SourceScale, rules: Rules, sample: RowSample, start_M: Floats | None = None, threads: int = 1
) -> Priced:
    """Prices at which the smoothed use of every priced row meets its bound."""
    dual = Dual.of(sample, rules)
    price_M, start = (np.zeros(rules.rows), STAGES[-1][0]) if start_M is None else (start_M, 4 * LAST.width)
    for width, share, size, close in STAGES if start_M is None else ():
        part = dual.fewer(size)
        price_M = part.descend(price_M, rules.bound_M, part.width(price_M, width, share), close)
    if len(sample.omega_N) == scale.rows:
        price_M, width = dual.narrow(PricesAtWidth(price_M, start), rules.bound_M, LAST, len(sample.omega_N))
        sums = total(source, scale, rules.weights(price_M), width, NOBODY, threads)
        return Priced(price_M, width, upper(rules, price_M, sums.hard_SJ4, scale), 1, dual.unit_M)
    return _correct(source, scale, dual, PricesAtWidth(price_M, start), threads)


def _correct(source: Source, scale: SourceScale, dual: Dual, begin: PricesAtWidth, threads: int) -> Priced:
    """Prices of the sample brought to those of all rows: twice on the sample, then on the core until few uses miss.

    Old prices (which begin at the last width) need no sample: their core is made at once.
    """
    base, rules, bound, (price_M, start) = dual, dual.rules, np.inf, begin
    first, width, miss = (0 if start > 4 * LAST.width else 1), start / 4, np.inf
    shift_M = np.zeros(rules.rows)
    for turn in range(first, TURNS):
        goal, most = SECOND if turn < 2 else LAST, MOST if turn == 0 else np.inf
        if turn == 0 or turn > first:
            price_M, width = dual.narrow(PricesAtWidth(price_M, start), rules.bound_M - shift_M, goal, most)
        start = 4 * width  # the next turn begins at this width
        if turn == TURNS - 1 or (turn >= 3 and miss < MISS):
            break
        weight_SJ4 = rules.weights(price_M)
        near = base.sample.near(weight_SJ4, CORE) if turn >= 1 else NOBODY
        sums = total(source, scale, weight_SJ4, width, near, threads)
        bound = min(bound, upper(rules, price_M, sums.hard_SJ4, scale))
        if turn >= 1:
            mixed = base.sample.fewer(OUTER).with_core(sums.near, weight_SJ4, near)
            dual = Dual(mixed, rules, dual.links, dual.unit_M, dual.gain)
        dual = dual.fewer(MOST / max(dual.sample.share(weight_SJ4, width), 1e-9))
        used_M = rules.used(sums.smoothed_SJ4)
        off_M = np.abs(used_M - rules.bound_M) / np.maximum(np.maximum(np.abs(rules.bound_M), np.abs(used_M)), 1e-300)
        miss = float(np.max(np.where(price_M > 0, off_M, 0.0)))
        shift_M = used_M - dual.at(price_M, width).used_M
    return Priced(price_M, width, bound, turn - first, dual.unit_M)


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums of all rows by class and offer in real units, decided hard and smoothed, and the rows that hesitate."""

    hard_SJ4: Floats
    smoothed_SJ4: Floats
    near: CheckedRows


class BlockTotals(NamedTuple):
    """Whole-number sums of a block: decided hard, what smoothing changes, and the rows that hesitate."""

    hard_SJ4: Ints
    change_SJ4: Ints
    near: CheckedRows


def total(source: Source, scale: SourceScale, weight_SJ4: Floats, width: float, near: Near, threads: int = 1) -> Totals:
    """Sums of the best slots, and the rows that are `near`. One pass."""
    from promolift.allocate import kernel, smoothed

    scale_3 = np.array([scale.gain, scale.cost, scale.units])

    def job(rows: CheckedRows) -> BlockTotals:
        hard_SJ4, change_SJ4 = smoothed.account(rows.columns, weight_SJ4, width, scale_3)
        return BlockTotals(hard_SJ4, change_SJ4, rows.part(near.pick(rows, weight_SJ4)))

    parts = list(sweep(source, job, threads, max(BLOCK, weight_SJ4.size)))
    hard_SJ4 = np.sum([part.hard_SJ4 for part in parts], axis=0)
    change_SJ4 = np.sum([part.change_SJ4 for part in parts], axis=0)
    found = CheckedRows.join([part.near for part in parts])
    found = found.part(np.lexsort((found.key_N, kernel.mix_all(found.key_N, word(SALT)))))
    unit = np.array([scale.gain, scale.cost, 1.0, scale.units])
    smoothed_unit = np.array([scale.gain, scale.cost, float(smoothed.SMOOTHED), scale.units])
    return Totals(hard_SJ4 / unit, hard_SJ4 / unit + change_SJ4 / smoothed_unit, found)


def upper(rules: Rules, price_M: Floats, hard_SJ4: Floats, scale: SourceScale) -> float:
    """The dual value at the given prices: no plan within the rules gains more. Rounding is added on top."""
    weight_SJ4 = rules.weights(price_M)
    signed = weight_SJ4 * np.array([1.0, -1.0, -1.0, -1.0])
    value = float(rules.bound_M @ price_M) + float((signed * hard_SJ4).sum())
    parts = np.abs(rules.bound_M) @ price_M + float((np.abs(weight_SJ4) * hard_SJ4).sum())
    lost = np.abs(weight_SJ4) * hard_SJ4[:, :, 2:3] / np.array([scale.gain, scale.cost, np.inf, scale.units])
    return value + 1e-15 * float(parts) + float(lost.sum())
