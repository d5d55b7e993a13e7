"""Prices in, a whole plan that keeps every row out.

At the prices each customer is drawn to a slot; what the draw breaks is mended, and what it leaves over is filled, by
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
    """A plan: slots of all customers, whole-number sums, and the rows to work with (in the order of their hash)."""

    choice_N: Slots
    sums_SJ4: Ints
    near: CheckedRows
    position_C: Ints
    priced_C: Slots
    hard_SJ4: Floats


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
    """Draw, mend and fill, with more and more customers until no row is broken or all customers took part."""
    prices = Prices(rules.weights(priced.price_M), priced.width, 0.0, options.seed)
    aim, passes, best = NEAR, 0, None
    while True:
        near = sample.near(prices.weight_SJ4, aim)
        drawn = draw(source, scale, prices, near, options.threads)
        passes += 1
        whole = mend_and_fill(drawn, scale, rules, prices, priced.unit_M, passes)
        if best is None or (whole.broken_M.any(), -whole.gain) < (best.broken_M.any(), -best.gain):
            best = whole
        good = not best.broken_M.any() and (best.gain >= (1 - WELL) * priced.bound or aim > NEAR)
        if good or near.reach == np.inf:
            return replace(best, passes=passes)
        aim *= WIDER


def draw(source: Source, scale: SourceScale, prices: Prices, near: Near, threads: int = 1) -> RoundedPlan:
    """The plan of the prices alone, and the rows that are `near`. One pass."""
    from promolift.allocate import kernel, soft

    scale_3 = np.array([scale.gain, scale.cost, scale.units])

    def job(rows: CheckedRows) -> tuple[Slots, Ints, CheckedRows, Ints, Ints]:
        choice_N = rows.choose(prices)
        sums = soft.settle(rows.columns, prices.weight_SJ4, scale_3, choice_N)
        at = near.pick(rows, prices.weight_SJ4)
        return (
            choice_N,
            sums,
            rows.part(at),
            at + rows.start,
            soft.account(rows.columns, prices.weight_SJ4, 0.0, scale_3)[0],
        )

    blocks = list(sweep(source, job, threads, max(BLOCK, prices.weight_SJ4.size)))
    found, position_C = CheckedRows.join([b[2] for b in blocks]), np.concatenate([b[3] for b in blocks])
    order = np.lexsort((position_C, kernel.mix_all(found.key_N, word(prices.seed ^ SALT))))
    choice_N, position_C = np.concatenate([b[0] for b in blocks]), position_C[order]
    sums_SJ4, hard_SJ4 = np.sum([b[1] for b in blocks], axis=0), np.sum([b[4] for b in blocks], axis=0)
    unit = np.array([scale.gain, scale.cost, 1.0, scale.units])
    return RoundedPlan(choice_N, sums_SJ4, found.part(order), position_C, choice_N[position_C], hard_SJ4 / unit)


def mend_and_fill(
    drawn: RoundedPlan, scale: SourceScale, rules: Rules, prices: Prices, unit_M: Floats, passes: int
) -> Whole:
    """Work on the near rows until no row is broken, then fill; sums are kept in whole numbers."""
    unit = np.array([scale.gain, scale.cost, 1.0, scale.units])
    bench = Bench(drawn.near, link(rules), rules, prices, unit_M)
    slot_C, sums_SJ4 = drawn.priced_C.copy(), drawn.sums_SJ4.copy()
    base_SJ4 = sums_SJ4 - sums_of(drawn.near, slot_C, prices, scale)
    for _ in range(3):  # the working sums are floats: count exactly, and mend again if rounding broke a row
        if not rules.excess(sums_SJ4 / unit).any():
            break
        bench.mend(slot_C, sums_SJ4 / unit)
        sums_SJ4 = base_SJ4 + sums_of(drawn.near, slot_C, prices, scale)
    else:
        return _whole(drawn, slot_C, sums_SJ4 / unit, rules, passes)
    filled_C = slot_C.copy()
    bench.fill(filled_C, sums_SJ4 / unit)
    filled_SJ4 = base_SJ4 + sums_of(drawn.near, filled_C, prices, scale)
    if not rules.excess(filled_SJ4 / unit).any():
        slot_C, sums_SJ4 = filled_C, filled_SJ4
    return _whole(drawn, slot_C, sums_SJ4 / unit, rules, passes)


def _whole(drawn: RoundedPlan, slot_C: Slots, sums_SJ4: Floats, rules: Rules, passes: int) -> Whole:
    """The near rows' slots put back among all."""
    choice_N = drawn.choice_N.copy()
    choice_N[drawn.position_C] = slot_C
    apart = np.flatnonzero(slot_C != drawn.priced_C)
    moved = dict(zip(drawn.near.key_N[apart].tolist(), slot_C[apart].tolist(), strict=True))
    return Whole(choice_N, sums_SJ4, rules.used(sums_SJ4), moved, passes, rules.excess(sums_SJ4), drawn.hard_SJ4)


def sums_of(rows: CheckedRows, slot_C: Slots, prices: Prices, scale: SourceScale) -> Ints:
    """Whole-number sums of the given slots."""
    from promolift.allocate import soft

    scale_3 = np.array([scale.gain, scale.cost, scale.units])
    return soft.settle(rows.columns, prices.weight_SJ4, scale_3, slot_C)


@dataclass(frozen=True, eq=False)
class Bench:
    """The near rows with the rules that bind them; its methods change the slots they are given."""

    rows: CheckedRows
    links: Links
    rules: Rules
    prices: Prices
    unit_M: Floats

    def mend(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Mend the row with the largest fine until none is broken; a row that cannot be mended is fined more."""
        used_M, allowed_M = self._used(sums_SJ4)
        fine_M = np.where(self.unit_M > 0, self.unit_M, 1.0)
        stuck = 0
        for _ in range(ROUNDS):
            due_M = np.where(used_M > allowed_M, (used_M - allowed_M) * fine_M, 0.0)
            if not due_M.any() or stuck > STUCK:
                return
            target = int(np.argmax(due_M))
            stuck = 0 if self._apply(slot_C, used_M, allowed_M, fine_M, target) else stuck + 1
            if used_M[target] > allowed_M[target]:
                fine_M[target] *= 2.0

    def fill(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Add gain while some move or pair of moves fits."""
        used_M, allowed_M = self._used(sums_SJ4)
        for _ in range(FILLS):
            while self._apply(slot_C, used_M, allowed_M, np.ones(self.rules.rows), -1):
                pass
            if not self._exchange(slot_C, used_M, allowed_M):
                return

    def _exchange(self, slot_C: Slots, used_M: Floats, allowed_M: Floats) -> int:
        """Make pairs of moves among the PAIRS that lose least at the prices; how many moves were made."""
        from promolift.allocate import mend

        flat = mend.losses(self.rows.columns, slot_C, self.prices.weight_SJ4).ravel()
        slots = self.rows.gain_NK.shape[1] + 1
        move_P = np.flatnonzero(flat < np.inf)
        if len(move_P) > PAIRS:
            move_P = move_P[np.argsort(flat[move_P], kind="stable")[:PAIRS]]
        delta_PM, gain_P = mend.changes(self.rows.columns, slot_C, self.links, move_P, self.rules.rows)
        made_P = move_P[mend.exchange(delta_PM, gain_P, move_P // slots, used_M, allowed_M)]
        slot_C[made_P // slots] = np.where(made_P % slots == slots - 1, -1, made_P % slots)
        return len(made_P)

    def _used(self, sums_SJ4: Floats) -> tuple[Floats, Floats]:
        """Use of rows, and their bounds with the rounding allowed to rows of several terms."""
        part_T = np.abs(self.rules.weight_T * self.rules.term_sums(sums_SJ4))
        slack_M = ROUNDING / 2 * np.bincount(self.rules.row_T, part_T, self.rules.rows)
        slack_M[np.bincount(self.rules.row_T, minlength=self.rules.rows) == 1] = 0.0
        return self.rules.used(sums_SJ4), self.rules.bound_M + slack_M

    def _apply(self, slot_C: Slots, used_M: Floats, allowed_M: Floats, fine_M: Floats, target: int) -> int:
        """Score all moves, then make them from the best on; how many were made."""
        from promolift.allocate import mend

        columns, state = self.rows.columns, State(used_M, allowed_M, fine_M)
        flat = mend.score(columns, slot_C, self.prices.weight_SJ4, self.links, state, target).ravel()
        able = np.flatnonzero(flat < np.inf)
        order = able[np.argsort(flat[able], kind="stable")]
        return mend.apply(columns, slot_C, self.links, order, state, target)
