"""Prices in, a whole plan that keeps every rule out.

At the prices each customer is drawn to a slot; what the draw breaks is repaired, and what it leaves over is filled, by
moving the customers who hesitate most, always at the least loss. Gain is given up before a rule is broken.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from promolift.allocate.arrays import Floats, Ints, Links, Slots, State
from promolift.allocate.core import ChoiceRows, Prices, Quanta
from promolift.allocate.dual import Dual, Priced, reach
from promolift.allocate.limits import ROUNDING, Rules

NEAR = 6_000  # customers to work with at first
WELL = 5e-4  # a gap above which a second, wider attempt is made
WIDER = 16  # how many times as many customers take part in the next attempt
ROUNDS = 300  # repairs of one rule before giving up
STUCK = 24  # rounds without a move before giving up: by then the fines have grown ten million times
FILLS = 8  # rounds of filling and exchanging
PAIRS = 1_200  # moves among which pairs are sought
SALT = 0x5EED  # the hash that picks customers must not be the one that settles ties


class Whole(NamedTuple):
    """A plan, its sums in real units, and how far each rule is broken."""

    choice_N: Slots
    sums_SJ4: Floats
    broken_M: Floats

    @property
    def gain(self) -> float:
        """Gain of the plan."""
        return float(self.sums_SJ4[:, :, 0].sum())


def counted(rows: ChoiceRows, rules: Rules, scale: Quanta, choice_N: Slots) -> Whole:
    """A plan of these slots, its sums from whole numbers."""
    sums_SJ4 = sums_of(rows, rules, scale, choice_N) / scale.unit_4
    return Whole(choice_N, sums_SJ4, rules.excess(sums_SJ4))


def sums_of(rows: ChoiceRows, rules: Rules, scale: Quanta, choice_N: Slots) -> Ints:
    """Whole-number sums of the given slots."""
    from promolift.allocate import kernel

    shape_SJ4 = rules.class_TS.shape[1], rules.offer_TJ.shape[1], 4
    return kernel.settle(rows.columns, shape_SJ4, scale.kernel_3, choice_N)


def finish(dual: Dual, scale: Quanta, priced: Priced, prices: Prices) -> Whole:
    """Draw, repair and fill, with more and more customers until no rule is broken or all customers took part."""
    rows, rules, best, aim = dual.rows, dual.rules, None, NEAR
    drawn_N, margin_N = rows.choose(prices), dual.margins(priced.price_M)
    while True:
        within = reach(margin_N, np.ones(len(rows)), aim)
        at = np.flatnonzero(margin_N <= within)
        if within < np.inf:
            at = at[rows.hashed(SALT + 1)[at] < min(1.0, 1.5 * aim / max(len(at), 1))]
        choice_N = repair_and_fill(
            Bench(rows.part(at), dual.links, rules, prices, dual.unit_M), at, drawn_N, dual, scale
        )
        whole = counted(rows, rules, scale, choice_N)
        if best is None or (whole.broken_M.any(), -whole.gain) < (best.broken_M.any(), -best.gain):
            best = whole
        good = not best.broken_M.any() and (best.gain >= (1 - WELL) * priced.bound or aim > NEAR)
        if good or within == np.inf:
            return best
        aim *= WIDER


def repair_and_fill(bench: "Bench", at: Ints, drawn_N: Slots, dual: Dual, scale: Quanta) -> Slots:
    """The drawn slots, moved on the bench (rows `at`) until no rule is broken, then filled; sums in whole numbers."""
    rules, unit_4, choice_N = dual.rules, scale.unit_4, drawn_N.copy()
    slot_C, sums_SJ4 = drawn_N[at], sums_of(dual.rows, rules, scale, drawn_N)
    base_SJ4 = sums_SJ4 - sums_of(bench.rows, rules, scale, slot_C)
    for _ in range(3):  # the working sums are floats: count exactly, and repair again if rounding broke a rule
        if not rules.excess(sums_SJ4 / unit_4).any():
            filled_C = slot_C.copy()
            bench.fill(filled_C, sums_SJ4 / unit_4)
            if not rules.excess((base_SJ4 + sums_of(bench.rows, rules, scale, filled_C)) / unit_4).any():
                slot_C = filled_C
            break
        bench.repair(slot_C, sums_SJ4 / unit_4)
        sums_SJ4 = base_SJ4 + sums_of(bench.rows, rules, scale, slot_C)
    choice_N[at] = slot_C
    return choice_N


@dataclass(frozen=True, eq=False)
class Bench:
    """The near rows with the rules that bind them; its methods change the slots they are given."""

    rows: ChoiceRows
    links: Links
    rules: Rules
    prices: Prices
    unit_M: Floats

    def repair(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Repair the rule with the largest fine until none is broken; one that cannot be repaired is fined more."""
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
        from promolift.allocate import kernel

        flat = kernel.losses(self.rows.columns, slot_C, self.prices.weight_SJ4).ravel()
        slots = self.rows.gain_NK.shape[1] + 1
        move_P = np.flatnonzero(flat < np.inf)
        if len(move_P) > PAIRS:
            move_P = move_P[np.argsort(flat[move_P], kind="stable")[:PAIRS]]
        delta_PM, gain_P = kernel.changes(self.rows.columns, slot_C, self.links, move_P, self.rules.rows)
        made_P = move_P[kernel.exchange(delta_PM, gain_P, move_P // slots, state.used_M, state.bound_M)]
        slot_C[made_P // slots] = np.where(made_P % slots == slots - 1, -1, made_P % slots)
        return len(made_P)

    def _state(self, sums_SJ4: Floats, fine_M: Floats) -> State:
        """Use of rules, their bounds with the rounding allowed to rules of several terms, and the fines."""
        part_T = np.abs(self.rules.weight_T * self.rules.term_sums(sums_SJ4))
        slack_M = ROUNDING / 2 * np.bincount(self.rules.row_T, part_T, self.rules.rows)
        slack_M[np.bincount(self.rules.row_T, minlength=self.rules.rows) == 1] = 0.0
        return State(self.rules.used(sums_SJ4), self.rules.bound_M + slack_M, fine_M)

    def _apply(self, slot_C: Slots, state: State, target: int) -> int:
        """Score all moves, then make them from the best on; how many were made."""
        from promolift.allocate import kernel

        columns = self.rows.columns
        flat = kernel.score(columns, slot_C, self.prices.weight_SJ4, self.links, state, target).ravel()
        able = np.flatnonzero(flat < np.inf)
        order = able[np.argsort(flat[able], kind="stable")]
        return kernel.apply(columns, slot_C, self.links, order, state, target)
