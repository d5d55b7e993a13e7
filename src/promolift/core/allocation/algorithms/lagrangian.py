"""Find the price of every constraint by Lagrangian relaxation, bound the gain of any plan, and round to a plan.

Lagrangian relaxation (Fisher 1981, Management Science 27(1)): at prices of all rules each customer is decided alone,
and the value at any prices is an upper bound. The prices are found by projected Newton steps on the smoothed dual,
narrower and narrower; wide functions are met on a part of the customers, since most of them hesitate there. At the
prices each customer is drawn to a slot; what the draw breaks is repaired, and what it leaves over is filled, by moving
the customers who hesitate most, always at the least loss. Gain is given up before a rule is broken. What is asked of
all customers is asked in rounds: prices go out, sums come back.
N customers, S classes, J offers, M rules.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from promolift.core.allocation.algorithms.arrays import Floats, Ints, LimitCoefficients, LimitState, Slots
from promolift.core.allocation.algorithms.choice import (
    IN_MEMORY_ROWS,
    SAMPLE_SALT,
    ChoiceRows,
    HashSample,
    InMemoryRows,
    PartitionedRows,
    Prices,
    ProblemScale,
    SlotChoice,
    gather_rows,
    hash_seed,
)
from promolift.core.allocation.algorithms.constraints import ROUNDING_TOLERANCE, Constraints

# Width (of each customer's largest gain), share of customers who may hesitate, size of the sample, and the share of a
# bound that a rule's use may miss. A wide function is smooth but makes most customers hesitate, which makes a step
# dear, and its minimum is only a start for the next width; the second number keeps that so whatever the gains are.
STAGES = (
    (1.0, 1.0, 500, 1e-1),
    (0.3, 0.7, 500, 1e-1),
    (0.1, 0.4, 1_000, 3e-2),
    (0.03, 0.2, 2_000, 1e-2),
    (0.01, 0.1, 5_000, 1e-2),
)
LAST_WIDTH, LAST_SHARE = 0.0003, 0.01  # of the last function: its width, and who may hesitate at it
MIN_NEAR_TIES = 2_000  # who hesitate: enough for a width on the way
MIN_WIDTH = 1e-8  # below this a width is lost in rounding
CLOSE = 1e-5
NEWTON_STEPS = 25  # Newton steps at one width


def limit_coefficients(rules: Constraints) -> LimitCoefficients:
    """The rules of each class; terms of one rule in one class are added up."""
    t_L, s_L = np.nonzero(rules.class_TS)
    code_R, at_L = np.unique(s_L * rules.rows + rules.row_T[t_L], return_inverse=True)
    coef_JR4 = np.zeros((rules.offer_TJ.shape[1], len(code_R), 4))
    for t, at in zip(t_L, at_L, strict=True):
        coef_JR4[:, at, rules.column_T[t]] += rules.weight_T[t] * rules.offer_TJ[t]
    first_S = np.searchsorted(code_R // max(rules.rows, 1), np.arange(rules.class_TS.shape[1] + 1))
    return LimitCoefficients(first_S, code_R % max(rules.rows, 1), coef_JR4)


class DualPoint(NamedTuple):
    """The smoothed value of the customers at some prices, use of every rule, and the second derivative."""

    total: float
    used_M: Floats
    hess_MM: Floats


@dataclass(frozen=True, eq=False)
class Dual:
    """The smoothed dual of those of `customers` whose hash with `seed` is below `below`, each of whom stands for
    `omega`. Parts lie in the order of these hashes.

    Prices are in real units, steps in `unit_M`: mean gain of a pair over the rule's mean coefficient. `pairs_SJ4` are
    the sums of gain, cost, count and units of all usable pairs.
    """

    parts: PartitionedRows
    customers: int
    seed: int
    rules: Constraints
    links: LimitCoefficients
    pairs_SJ4: Floats
    unit_M: Floats
    omega: float = 1.0
    below: float = 1.0

    @staticmethod
    def of(parts: PartitionedRows, customers: int, rules: Constraints, seed: int = 0) -> "Dual":
        shape = rules.class_TS.shape[1], rules.offer_TJ.shape[1]
        pairs_SJ4 = np.sum([*parts.each(pair_sums, *shape)], axis=0)
        return Dual(
            parts,
            customers,
            hash_seed(seed),
            rules,
            limit_coefficients(rules),
            pairs_SJ4,
            price_units(rules, pairs_SJ4),
        )

    def under(self, rules: Constraints) -> "Dual":
        """The same under other rules of the same classes and offers."""
        return replace(self, rules=rules, links=limit_coefficients(rules), unit_M=price_units(rules, self.pairs_SJ4))

    def fewer(self, size: float) -> "Dual":
        """The same on about `size` of the customers; in one place if they are few."""
        part = min(size / max(self.customers, 1), 1.0)
        if part * self.customers > IN_MEMORY_ROWS:
            return replace(self, below=part, omega=1 / part)
        if part == 1 and isinstance(self.parts, InMemoryRows):
            return self
        rows = gather_rows(self.parts, HashSample(self.seed, part).places).sorted_by(self.seed).rows
        if not len(rows):
            return self
        return replace(
            self, parts=InMemoryRows(rows), customers=len(rows), omega=self.omega * self.customers / len(rows)
        )

    def margins(self, price_M: Floats) -> Floats:
        """How far the best of each customer's values is from the second best, of customers in one place."""
        return np.concatenate([*self.parts.each(margins_of, self.rules.weights(price_M))])

    def share(self, price_M: Floats, width: float) -> float:
        """The share of customers whose best two values are within `width`."""
        return sum(self.parts.each(count_closer_than, self.rules.weights(price_M), width)) / max(self.customers, 1)

    def width(self, price_M: Floats, width: float, share: float) -> float:
        """The width, or a smaller one at which about `share` of customers in one place hesitate at these prices."""
        omega_N = np.full(self.customers, self.omega)
        return max(min(width, tie_margin(self.margins(price_M), omega_N, int(share * float(omega_N.sum())))), MIN_WIDTH)

    def at(self, price_M: Floats, width: float) -> DualPoint:
        """Value of the customers without the bounds, use of every rule, second derivative."""
        weight_SJ4, rules = self.rules.weights(price_M), self.rules
        total, sums_SJ4, half_MM = 0.0, np.zeros(weight_SJ4.shape), np.zeros((rules.rows, rules.rows))
        drawn = HashSample(self.seed, self.below)
        for found in self.parts.each(curve_sums, drawn, self.omega, weight_SJ4, width, self.links, rules.rows):
            total, sums_SJ4, half_MM = total + found.total, sums_SJ4 + found.sums_SJ4, half_MM + found.half_MM
        return DualPoint(total, rules.used(sums_SJ4), half_MM + np.tril(half_MM, -1).T)

    def descend(self, price_M: Floats, width: float, close: float) -> Floats:
        """Prices of at least 0 that minimise the smoothed dual: Newton steps in a box that grows with success."""
        bound_M = self.rules.bound_M
        total, used_M, hess_MM = self.at(price_M, width)
        close_M = close * np.maximum(np.abs(bound_M), np.abs(used_M)) + 1e-300
        reach = 2.0
        for _ in range(NEWTON_STEPS):
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
        from promolift.core.allocation.algorithms import kernels

        u = self.unit_M
        scaled_MM = hess_MM * u[:, None] * u[None, :]
        size = max(float(np.trace(scaled_MM)), 1e-300)
        scaled_MM = scaled_MM / size + 1e-9 * np.eye(len(u))
        slope_M = slope_M * u / size
        low_M = np.where(u > 0, -np.minimum(reach, price_M / np.where(u > 0, u, 1.0)), 0.0)
        high_M = np.where(u > 0, reach, 0.0)
        step_M = kernels.box_step(scaled_MM, slope_M, low_M, high_M, 100)
        inner = (step_M > low_M) & (step_M < high_M)
        if inner.any():  # coordinate descent finds who is at the box; the others are solved for exactly
            exact_M = step_M.copy()
            rest_M = slope_M[inner] + scaled_MM[np.ix_(inner, ~inner)] @ step_M[~inner]
            exact_M[inner] = -np.linalg.solve(scaled_MM[np.ix_(inner, inner)], rest_M)
            if ((exact_M >= low_M) & (exact_M <= high_M)).all():
                step_M = exact_M
        return step_M * u


def price_units(rules: Constraints, pairs_SJ4: Floats) -> Floats:
    """A step of every rule's price."""
    count = float(pairs_SJ4[:, :, 2].sum())
    gain = float(pairs_SJ4[:, :, 0].sum()) / count if count else 1.0
    count_SJ4 = np.repeat(pairs_SJ4[:, :, 2:3], 4, axis=2)
    size_M = np.bincount(rules.row_T, np.abs(rules.weight_T) * rules.term_sums(pairs_SJ4), rules.rows)
    pairs_M = np.bincount(rules.row_T, np.abs(rules.weight_T) * rules.term_sums(count_SJ4), rules.rows)
    mean_M = np.where(pairs_M > 0, size_M / np.maximum(pairs_M, 1e-300), 0.0)
    return np.asarray(np.where(mean_M > 0, gain / np.maximum(mean_M, 1e-300), 0.0))


# what is asked of each part in a round


class CurveSums(NamedTuple):
    """Of some customers: their smoothed value, its sums by class and offer, and half of its second derivative."""

    total: float
    sums_SJ4: Floats
    half_MM: Floats


def pair_sums(rows: ChoiceRows, classes: int, offers: int) -> Floats:
    """Sums of gain, cost, count and units of all usable pairs, by class and offer."""
    from promolift.core.allocation.algorithms import kernels

    return np.asarray(kernels.pairs(rows.columns, classes, offers))


def margins_of(rows: ChoiceRows, weight_SJ4: Floats) -> Floats:
    """How far the best of each row's values is from the second best."""
    from promolift.core.allocation.algorithms import kernels

    return np.asarray(kernels.margins(rows.columns, weight_SJ4))


def count_closer_than(rows: ChoiceRows, weight_SJ4: Floats, width: float) -> int:
    """How many rows' best two values are closer than `width`."""
    return int((margins_of(rows, weight_SJ4) < width).sum())


def curve_sums(
    rows: ChoiceRows,
    drawn: HashSample,
    omega: float,
    weight_SJ4: Floats,
    width: float,
    links: LimitCoefficients,
    M: int,
) -> CurveSums:
    """The smoothed dual of the rows whose hash, with a seed, is below a share."""
    from promolift.core.allocation.algorithms import kernels

    return CurveSums(*kernels.curve(drawn.first(rows).columns, omega, weight_SJ4, width, links, M))


def best_slot_sums(rows: ChoiceRows, weight_SJ4: Floats, scale: ProblemScale) -> Ints:
    """Whole-number sums of the best slots."""
    from promolift.core.allocation.algorithms import kernels

    columns = rows.columns
    return np.asarray(
        kernels.sum_chosen_slots(columns, weight_SJ4.shape, scale.kernel_3, kernels.best_slots(columns, weight_SJ4))
    )


class DrawnSums(NamedTuple):
    """Whole-number sums of the slots drawn, and the smallest margins, in order."""

    sums_SJ4: Ints
    margin_C: Floats


def drawn_sums(rows: ChoiceRows, prices: Prices, weight_SJ4: Floats, scale: ProblemScale, most: int) -> DrawnSums:
    """What is drawn at the prices, and how near to another slot those are who hesitate most."""
    return DrawnSums(slot_sums(rows, weight_SJ4, scale, rows.choose(prices)), least_margins(rows, weight_SJ4, most))


def least_margins(rows: ChoiceRows, weight_SJ4: Floats, most: int) -> Floats:
    """The smallest margins, in order."""
    margin_N = margins_of(rows, weight_SJ4)
    return np.sort(np.partition(margin_N, most)[:most] if most < len(margin_N) else margin_N)


def count_within(rows: ChoiceRows, weight_SJ4: Floats, width: float) -> int:
    """How many rows' best two values are no farther apart than `width`."""
    return int((margins_of(rows, weight_SJ4) <= width).sum())


def near_tie_rows(rows: ChoiceRows, weight_SJ4: Floats, width: float, seed: int, below: float) -> Ints:
    """The places of the rows whose best two values are no farther apart, and whose hash is below a share."""
    at = np.flatnonzero(margins_of(rows, weight_SJ4) <= width)
    return at if below >= 1 else at[rows.part(at).hashed(seed) < below]


def tie_margin(margin_N: Floats, omega_N: Floats, aim: int) -> float:
    """The margin between best and second best below which about `aim` customers lie; infinite if all do."""
    at = int(np.searchsorted(np.cumsum(omega_N), aim))
    return float(np.sort(margin_N)[at]) if at < len(margin_N) else np.inf


class DualPrices(NamedTuple):
    """Prices of the rules, the width that goes with them, and the bound they prove."""

    price_M: Floats
    width: float
    bound: float


def find_dual_prices(dual: Dual, scale: ProblemScale) -> DualPrices:
    """Prices at which the smoothed use of every priced rule meets its bound.

    Where everybody hesitates at any width (equal customers, say) it ends at an eighth of the last one.
    """
    price_M, width, share = np.zeros(dual.rules.rows), STAGES[-1][0], 0.0
    for wide, most, size, close in STAGES:
        part = dual.fewer(size)
        price_M = part.descend(price_M, part.width(price_M, wide, most), close)
    while True:
        width /= 4
        share = max(share, dual.share(price_M, width))
        price_M = dual.fewer(MIN_NEAR_TIES / max(share, 1e-9)).descend(price_M, width, 1e-2)
        share = dual.share(price_M, width)
        if width <= LAST_WIDTH and (share <= LAST_SHARE or width <= LAST_WIDTH / 8):
            price_M = dual.descend(price_M, width, CLOSE)
            return DualPrices(price_M, width, upper_bound(dual, price_M, scale))


def upper_bound(dual: Dual, price_M: Floats, scale: ProblemScale) -> float:
    """The dual value at the given prices: no plan within the rules gains more. Rounding is added on top."""
    rules, weight_SJ4 = dual.rules, dual.rules.weights(price_M)
    hard: Ints = sum(dual.parts.each(best_slot_sums, weight_SJ4, scale), np.zeros(weight_SJ4.shape, np.int64))
    hard_SJ4 = hard / scale.unit_4
    signed = weight_SJ4 * np.array([1.0, -1.0, -1.0, -1.0])
    value = float(rules.bound_M @ price_M) + float((signed * hard_SJ4).sum())
    parts = np.abs(rules.bound_M) @ price_M + float((np.abs(weight_SJ4) * hard_SJ4).sum())
    lost = np.abs(weight_SJ4) * hard_SJ4[:, :, 2:3] / np.array([scale.gain, scale.cost, np.inf, scale.units])
    return value + 1e-15 * float(parts) + float(lost.sum())


BENCH_CUSTOMERS = 6_000  # customers to work with at first
RETRY_GAP = 5e-4  # a gap above which a second, wider attempt is made
BENCH_GROWTH = 16  # how many times as many customers take part in the next attempt
MAX_BENCH_CUSTOMERS = 2_000_000  # customers who may take part, in one place
MAX_REPAIR_ROUNDS = 300  # repairs of one rule before giving up
MAX_IDLE_ROUNDS = 24  # rounds without a move before giving up: by then the fines have grown ten million times
FILL_ROUNDS = 8  # rounds of filling and exchanging
WEIGHING_GAP = 8e-4  # a gap above which moves are weighed together, as small shops under many rules have it
MAX_WEIGHED_MOVES, MAX_NODES = 300, 50  # of these, and branches that are looked at
MAX_PAIR_MOVES = 1_200  # moves among which pairs are sought


class IntegerPlan(NamedTuple):
    """A plan, its sums in real units, and how far each rule is broken."""

    choice: SlotChoice
    sums_SJ4: Floats
    broken_M: Floats

    @property
    def gain(self) -> float:
        return float(self.sums_SJ4[:, :, 0].sum())

    @staticmethod
    def counted(choice: SlotChoice, rules: Constraints, scale: ProblemScale, sums_SJ4: Ints) -> "IntegerPlan":
        """A plan and its sums in whole numbers."""
        real_SJ4 = sums_SJ4 / scale.unit_4
        return IntegerPlan(choice, real_SJ4, rules.excess(real_SJ4))


def slot_sums(rows: ChoiceRows, like_SJ4: Floats | Ints, scale: ProblemScale, choice_N: Slots) -> Ints:
    """Whole-number sums of the given slots, by as many classes and offers as another sum has."""
    from promolift.core.allocation.algorithms import kernels

    return np.asarray(kernels.sum_chosen_slots(rows.columns, like_SJ4.shape, scale.kernel_3, choice_N))


def round_and_repair(dual: Dual, scale: ProblemScale, priced: DualPrices, prices: Prices) -> IntegerPlan:
    """Draw, repair and fill, with more and more customers until no rule is broken or as many as may took part."""
    rules, weight_SJ4, best, aim = dual.rules, dual.rules.weights(priced.price_M), None, BENCH_CUSTOMERS
    drawn_SJ4, margin_C = np.zeros(weight_SJ4.shape, np.int64), np.zeros(0)
    for found in dual.parts.each(drawn_sums, prices, weight_SJ4, scale, aim + 1):
        drawn_SJ4 += found.sums_SJ4
        margin_C = np.sort(np.concatenate([margin_C, found.margin_C]))[: aim + 1]
    while True:
        within_ = float(margin_C[aim - 1]) if aim <= len(margin_C) else np.inf
        part = 1.0
        if within_ < np.inf:
            tied = len(margin_C) > aim and margin_C[aim] == within_
            at = sum(dual.parts.each(count_within, weight_SJ4, within_)) if tied else aim
            part = min(1.0, 1.5 * aim / max(at, 1))
        near = gather_rows(dual.parts, near_tie_rows, weight_SJ4, within_, SAMPLE_SALT + 1, part)
        bench = Bench(near.rows, dual.links, rules, prices, dual.unit_M)
        drawn_C = near.rows.choose(prices)
        done = repair_and_fill(bench, drawn_C, drawn_SJ4, scale, (1 - WEIGHING_GAP) * priced.bound)
        choice = SlotChoice.with_exceptions(prices, near.part_C, near.row_C, done.slot_C, drawn_C)
        whole = IntegerPlan.counted(choice, rules, scale, done.sums_SJ4)
        if best is None or (whole.broken_M.any(), -whole.gain) < (best.broken_M.any(), -best.gain):
            best = whole
        good = not best.broken_M.any() and (best.gain >= (1 - RETRY_GAP) * priced.bound or aim > BENCH_CUSTOMERS)
        if good or within_ == np.inf or aim * BENCH_GROWTH > MAX_BENCH_CUSTOMERS:
            return best
        aim *= BENCH_GROWTH
        margin_C = np.zeros(0)
        for least in dual.parts.each(least_margins, weight_SJ4, aim + 1):
            margin_C = np.sort(np.concatenate([margin_C, least]))[: aim + 1]


class BenchSlots(NamedTuple):
    """New slots of those on the bench, and whole-number sums of everybody."""

    slot_C: Slots
    sums_SJ4: Ints


def repair_and_fill(bench: "Bench", drawn_C: Slots, sums_SJ4: Ints, scale: ProblemScale, well: float) -> BenchSlots:
    """The slots drawn, moved on the bench until no rule is broken, then filled; `sums_SJ4` are those of everybody. Less
    gain than `well`: moves are also weighed together.
    """
    rules, unit_4, slot_C = bench.rules, scale.unit_4, drawn_C.copy()
    base_SJ4 = sums_SJ4 - slot_sums(bench.rows, sums_SJ4, scale, slot_C)
    for _ in range(3):  # the working sums are floats: count exactly, and repair again if rounding broke a rule
        if not rules.excess(sums_SJ4 / unit_4).any():
            for way in (bench.fill, bench.weigh):
                filled_C = slot_C.copy()
                way(filled_C, sums_SJ4 / unit_4)
                filled_SJ4 = base_SJ4 + slot_sums(bench.rows, sums_SJ4, scale, filled_C)
                if not rules.excess(filled_SJ4 / unit_4).any():
                    slot_C, sums_SJ4 = filled_C, filled_SJ4
                if float(sums_SJ4[:, :, 0].sum()) / scale.gain >= well:
                    break
            break
        bench.repair(slot_C, sums_SJ4 / unit_4)
        sums_SJ4 = base_SJ4 + slot_sums(bench.rows, sums_SJ4, scale, slot_C)
    return BenchSlots(slot_C, sums_SJ4)


class Moves(NamedTuple):
    """Moves of customers to other slots: place, customer, what each adds to every rule and to the gain."""

    move_P: Ints
    who_P: Ints
    delta_PM: Floats
    gain_P: Floats


@dataclass(frozen=True, eq=False)
class Bench:
    """The near rows with the rules that bind them; its methods change the slots they are given."""

    rows: ChoiceRows
    links: LimitCoefficients
    rules: Constraints
    prices: Prices
    unit_M: Floats

    def repair(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Repair the rule with the largest fine until none is broken; one that cannot be repaired is fined more."""
        state = self._state(sums_SJ4, np.where(self.unit_M > 0, self.unit_M, 1.0))
        used_M, allowed_M, fine_M = state
        stuck = 0
        for _ in range(MAX_REPAIR_ROUNDS):
            due_M = np.where(used_M > allowed_M, (used_M - allowed_M) * fine_M, 0.0)
            if not due_M.any() or stuck > MAX_IDLE_ROUNDS:
                return
            target = int(np.argmax(due_M))
            stuck = 0 if self._apply(slot_C, state, target) else stuck + 1
            if used_M[target] > allowed_M[target]:
                fine_M[target] *= 2.0

    def fill(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Add gain while some move or pair of moves fits."""
        state = self._state(sums_SJ4, np.ones(self.rules.rows))
        for _ in range(FILL_ROUNDS):
            while self._apply(slot_C, state, -1):
                pass
            if not self._exchange(slot_C, state):
                return

    def weigh(self, slot_C: Slots, sums_SJ4: Floats) -> None:
        """Make the MOVES of those that lose least at the prices which together gain most (branch and bound, HiGHS)."""
        from scipy import sparse
        from scipy.optimize import Bounds, LinearConstraint, milp

        state = self._state(sums_SJ4, np.ones(self.rules.rows))
        found = self._moves(slot_C, MAX_WEIGHED_MOVES)
        who_P = np.unique(found.who_P, return_inverse=True)[1]
        once = sparse.csr_array((np.ones(len(who_P)), (who_P, np.arange(len(who_P)))))
        limits = [(once, np.ones(once.shape[0])), (found.delta_PM.T, np.maximum(state.bound_M - state.used_M, 0.0))]
        done = milp(
            -found.gain_P, constraints=[LinearConstraint(each, -np.inf, most) for each, most in limits],
            integrality=np.ones(len(who_P)), bounds=Bounds(0, 1),
            options={"node_limit": MAX_NODES, "mip_rel_gap": 1e-9},
        )  # fmt: skip
        if done.x is not None and done.fun < 0:
            self._make(slot_C, found.move_P[done.x > 0.5])

    def _exchange(self, slot_C: Slots, state: LimitState) -> int:
        """Make pairs of moves among the PAIRS that lose least at the prices; how many moves were made."""
        from promolift.core.allocation.algorithms import repair_kernels

        found = self._moves(slot_C, MAX_PAIR_MOVES)
        made_P = found.move_P[
            repair_kernels.exchange(found.delta_PM, found.gain_P, found.who_P, state.used_M, state.bound_M)
        ]
        self._make(slot_C, made_P)
        return len(made_P)

    def _moves(self, slot_C: Slots, most: int) -> "Moves":
        """So many moves that lose least at the prices."""
        from promolift.core.allocation.algorithms import repair_kernels

        flat = repair_kernels.losses(self.rows.columns, slot_C, self.prices.weight_SJ4).ravel()
        move_P = np.flatnonzero(flat < np.inf)
        if len(move_P) > most:
            move_P = move_P[np.argsort(flat[move_P], kind="stable")[:most]]
        changes = repair_kernels.move_changes(self.rows.columns, slot_C, self.links, move_P, self.rules.rows)
        return Moves(move_P, move_P // (self.rows.gain_NK.shape[1] + 1), *changes)

    def _make(self, slot_C: Slots, move_P: Ints) -> None:
        slots = self.rows.gain_NK.shape[1] + 1
        slot_C[move_P // slots] = np.where(move_P % slots == slots - 1, -1, move_P % slots)

    def _state(self, sums_SJ4: Floats, fine_M: Floats) -> LimitState:
        """Use of rules, their bounds with the rounding allowed to rules of several terms, and the fines."""
        part_T = np.abs(self.rules.weight_T * self.rules.term_sums(sums_SJ4))
        slack_M = ROUNDING_TOLERANCE / 2 * np.bincount(self.rules.row_T, part_T, self.rules.rows)
        slack_M[np.bincount(self.rules.row_T, minlength=self.rules.rows) == 1] = 0.0
        return LimitState(self.rules.used(sums_SJ4), self.rules.bound_M + slack_M, fine_M)

    def _apply(self, slot_C: Slots, state: LimitState, target: int) -> int:
        """Score all moves, then make them from the best on; how many were made."""
        from promolift.core.allocation.algorithms import repair_kernels

        columns = self.rows.columns
        flat = repair_kernels.score(columns, slot_C, self.prices.weight_SJ4, self.links, state, target).ravel()
        able = np.flatnonzero(flat < np.inf)
        order = able[np.argsort(flat[able], kind="stable")]
        return repair_kernels.apply_moves(columns, slot_C, self.links, order, state, target)
