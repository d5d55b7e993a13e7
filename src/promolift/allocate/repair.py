"""Prices in, a whole plan that keeps every row out.

At the prices each customer is drawn to a slot; what the draw breaks is repaired, and what it leaves over is filled, by
moving the customers who hesitate most, always at the least loss. Gain is given up before a row is broken.
"""

from dataclasses import dataclass, replace

import numpy as np

from promolift.allocate.arrays import Floats, Ints, Links, Slots, State
from promolift.allocate.core import BLOCK, CheckedRows, Options, Prices, Source, SourceScale, sweep, word
from promolift.allocate.dual import SALT, Near, Priced, RowSample, link
from promolift.allocate.limits import ROUNDING, Rules

NEAR = 6_000  # customers to work with at first
WELL = 5e-4  # a gap above which a second, wider attempt is made
WIDER = 16  # how many times as many customers take part in the next attempt
ROUNDS = 300  # repairs of one row before giving up
STUCK = 24  # rounds without a move before giving up: by then the fines have grown ten million times
FILLS = 8  # rounds of filling and exchanging
PAIRS = 1_200  # moves among which pairs are sought


@dataclass(frozen=True, eq=False)
class RoundedPlan:
    """A plan of some customers: their slots, whole-number sums, and the rows to work with.

    `hard_SJ4` are the sums that the prices alone would give.
    """

    choice_N: Slots
    sums_SJ4: Ints
    near: CheckedRows
    position_C: Ints
    priced_C: Slots
    hard_SJ4: Ints


@dataclass(frozen=True, eq=False)
class Whole:
    """The finished plan: sums in real units, use of rows, and the slots of the customers who were moved."""

    choice_N: Slots
    sums_SJ4: Floats
    used_M: Floats
    moved: dict[int, int]
    passes: int
    broken_M: Floats
    hard_SJ4: Floats

    @property
    def gain(self) -> float:
        """Gain of the plan."""
        return float(self.sums_SJ4[:, :, 0].sum())


def finish(
    source: Source, scale: SourceScale, rules: Rules, sample: RowSample, priced: Priced, options: Options
) -> Whole:
    """Draw, repair and fill, with more and more customers until no row is broken or all customers took part."""
    prices = Prices(rules.weights(priced.price_M), priced.width, 0.0, options.seed)
    aim, passes, best = NEAR, 0, None
    while True:
        near = sample.near(prices.weight_SJ4, aim)
        drawn = draw(source, scale, prices, near, options.threads)
        passes += 1
        whole = repair_and_fill(drawn, scale, rules, prices, priced.unit_M, passes)
        if best is None or (whole.broken_M.any(), -whole.gain) < (best.broken_M.any(), -best.gain):
            best = whole
        good = not best.broken_M.any() and (best.gain >= (1 - WELL) * priced.bound or aim > NEAR)
        if good or near.reach == np.inf:
            return replace(best, passes=passes)
        aim *= WIDER


def draw(source: Source, scale: SourceScale, prices: Prices, near: Near, threads: int = 1) -> RoundedPlan:
    """The plan of the prices alone, and the rows that are `near` in the order of their hash. One pass."""
    from promolift.allocate import kernel, smoothed

    scale_3 = np.array([scale.gain, scale.cost, scale.units])

    def job(rows: CheckedRows) -> RoundedPlan:
        choice_N, at = rows.choose(prices), near.pick(rows, prices.weight_SJ4)
        sums_SJ4 = smoothed.settle(rows.columns, prices.weight_SJ4, scale_3, choice_N)
        hard_SJ4, _ = smoothed.account(rows.columns, prices.weight_SJ4, 0.0, scale_3)
        return RoundedPlan(choice_N, sums_SJ4, rows.part(at), at + rows.start, choice_N[at], hard_SJ4)

    blocks = list(sweep(source, job, threads, max(BLOCK, prices.weight_SJ4.size)))
    found, position_C = CheckedRows.join([b.near for b in blocks]), np.concatenate([b.position_C for b in blocks])
    order = np.lexsort((position_C, kernel.mix_all(found.key_N, word(prices.seed ^ SALT))))
    choice_N, position_C = np.concatenate([b.choice_N for b in blocks]), position_C[order]
    sums_SJ4, hard_SJ4 = np.sum([b.sums_SJ4 for b in blocks], axis=0), np.sum([b.hard_SJ4 for b in blocks], axis=0)
    return RoundedPlan(choice_N, sums_SJ4, found.part(order), position_C, choice_N[position_C], hard_SJ4)


def repair_and_fill(
    drawn: RoundedPlan, scale: SourceScale, rules: Rules, prices: Prices, unit_M: Floats, passes: int
) -> Whole:
    """Work on the near rows until no row is broken, then fill; sums are kept in whole numbers."""
    unit = np.array([scale.gain, scale.cost, 1.0, scale.units])
    bench = Bench(drawn.near, link(rules), rules, prices, unit_M)
    slot_C, sums_SJ4 = drawn.priced_C.copy(), drawn.sums_SJ4.copy()
    base_SJ4 = sums_SJ4 - sums_of(drawn.near, slot_C, prices, scale)
    for _ in range(3):  # the working sums are floats: count exactly, and repair again if rounding broke a row
        if not rules.excess(sums_SJ4 / unit).any():
            break
        bench.repair(slot_C, sums_SJ4 / unit)
        sums_SJ4 = base_SJ4 + sums_of(drawn.near, slot_C, prices, scale)
    else:
        return _whole(drawn, slot_C, sums_SJ4, unit, rules, passes)
    filled_C = slot_C.copy()
    bench.fill(filled_C, sums_SJ4 / unit)
    filled_SJ4 = base_SJ4 + sums_of(drawn.near, filled_C, prices, scale)
    if not rules.excess(filled_SJ4 / unit).any():
        slot_C, sums_SJ4 = filled_C, filled_SJ4
    return _whole(drawn, slot_C, sums_SJ4, unit, rules, passes)


def _whole(drawn: RoundedPlan, slot_C: Slots, sum_SJ4: Ints, unit: Floats, rules: Rules, passes: int) -> Whole:
    """The near rows' slots put back among all, and sums in real units."""
    sums_SJ4 = sum_SJ4 / unit
    choice_N = drawn.choice_N.copy()
    choice_N[drawn.position_C] = slot_C
    apart = np.flatnonzero(slot_C != drawn.priced_C)
    moved = dict(zip(drawn.near.key_N[apart].tolist(), slot_C[apart].tolist(), strict=True))
    return Whole(choice_N, sums_SJ4, rules.used(sums_SJ4), moved, passes, rules.excess(sums_SJ4), drawn.hard_SJ4 / unit)


def sums_of(rows: CheckedRows, slot_C: Slots, prices: Prices, scale: SourceScale) -> Ints:
    """Whole-number sums of the given slots."""
    from promolift.allocate import smoothed

    scale_3 = np.array([scale.gain, scale.cost, scale.units])
    return smoothed.settle(rows.columns, prices.weight_SJ4, scale_3, slot_C)


@dataclass(frozen=True, eq=False)
class Bench:
    """The near rows with the rules that bind them; its methods change the slots they are given."""

    rows: CheckedRows
    links: Links
    rules: Rules
    prices: Prices
    unit_M: Floats

    def repair(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Repair the row with the largest fine until none is broken; a row that cannot be repaired is fined more."""
        state = self._state(sums_SJ4, np.where(self.unit_M > 0, self.unit_M, 1.0))
        used_M, allowed_M, fine_M = state
        stuck = 0
        for _ in range(ROUNDS):
            due_M = np.where(used_M > allowed_M, (used_M - allowed_M) * fine_M, 0.0)
            if not due_M.any() or stuck > STUCK:
                return
            target = int(np.argmax(due_M))
            stuck = 0 if self._apply(slot_C, state, target) else stuck + 1
            if used_M[target] > allowed_M[target]:
                fine_M[target] *= 2.0

    def fill(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Add gain while some move or pair of moves fits."""
        state = self._state(sums_SJ4, np.ones(self.rules.rows))
        for _ in range(FILLS):
            while self._apply(slot_C, state, -1):
                pass
            if not self._exchange(slot_C, state):
                return

    def _exchange(self, slot_C: Slots, state: State) -> int:
        """Make pairs of moves among the PAIRS that lose least at the prices; how many moves were made."""
        from promolift.allocate import repair_kernel

        flat = repair_kernel.losses(self.rows.columns, slot_C, self.prices.weight_SJ4).ravel()
        slots = self.rows.gain_NK.shape[1] + 1
        move_P = np.flatnonzero(flat < np.inf)
        if len(move_P) > PAIRS:
            move_P = move_P[np.argsort(flat[move_P], kind="stable")[:PAIRS]]
        delta_PM, gain_P = repair_kernel.changes(self.rows.columns, slot_C, self.links, move_P, self.rules.rows)
        made_P = move_P[repair_kernel.exchange(delta_PM, gain_P, move_P // slots, state.used_M, state.bound_M)]
        slot_C[made_P // slots] = np.where(made_P % slots == slots - 1, -1, made_P % slots)
        return len(made_P)

    def _state(self, sums_SJ4: Floats, fine_M: Floats) -> State:
        """Use of rows, their bounds with the rounding allowed to rows of several terms, and the fines."""
        part_T = np.abs(self.rules.weight_T * self.rules.term_sums(sums_SJ4))
        slack_M = ROUNDING / 2 * np.bincount(self.rules.row_T, part_T, self.rules.rows)
        slack_M[np.bincount(self.rules.row_T, minlength=self.rules.rows) == 1] = 0.0
        return State(self.rules.used(sums_SJ4), self.rules.bound_M + slack_M, fine_M)

    def _apply(self, slot_C: Slots, state: State, target: int) -> int:
        """Score all moves, then make them from the best on; how many were made."""
        from promolift.allocate import repair_kernel

        columns = self.rows.columns
        flat = repair_kernel.score(columns, slot_C, self.prices.weight_SJ4, self.links, state, target).ravel()
        able = np.flatnonzero(flat < np.inf)
        order = able[np.argsort(flat[able], kind="stable")]
        return repair_kernel.apply(columns, slot_C, self.links, order, state, target)
