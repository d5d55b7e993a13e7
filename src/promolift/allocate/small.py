"""A small problem, prices and a plan in, the best whole plan out, by branch and bound at the prices.

At the prices a plan gains the dual value less what each customer loses against their best slot and less the price of
what the rows leave unused. So only customers whose other slots lose less than the gap can be chosen differently, and a
branch ends as soon as its losses reach the gap. C customers who may differ, L slots each, M rows.
"""

from typing import NamedTuple

import numpy as np

from promolift.allocate.arrays import Floats, Ints, Slots
from promolift.allocate.core import CheckedRows, Prices, Source, SourceScale, sweep, word
from promolift.allocate.dual import SALT, Priced
from promolift.allocate.limits import Rules
from promolift.allocate.repair import Whole, sums_of

PAIRS = 3_000  # usable pairs up to which this is tried
HALVINGS = 10  # the first search allows this many halvings of the gap
EXACT = 1e-12  # relative rounding of the sums


class Bounded(NamedTuple):
    """A plan and the upper bound of what any plan can gain."""

    whole: Whole
    bound: float


class SlotValues(NamedTuple):
    """Penalised value (-inf: not usable) and use of every row of each customer's slots, the last for none."""

    value_NL: Floats
    coef_NLM: Floats


class Branched(NamedTuple):
    """The best slots found, None if none were; and whether all better plans were looked at."""

    slot_N: Slots | None
    all_seen: bool


def polish(source: Source, scale: SourceScale, rules: Rules, priced: Priced, prices: Prices, whole: Whole) -> Bounded:
    """The plan and bound, or better ones by branch and bound if there are few pairs and something is to be gained."""
    bound = priced.bound
    gap = bound - whole.gain
    if scale.rows > PAIRS or (not whole.broken_M.any() and gap <= EXACT * bound):
        return Bounded(whole, bound)
    rows = CheckedRows.join(list(sweep(source, lambda part: part)))
    order = _order(rows, prices.seed)
    rows = rows.part(order)
    if int(((rows.gain_NK >= 0) & (rows.cost_NK < np.inf)).sum()) > PAIRS:
        return Bounded(whole, bound)
    gain = -EXACT * bound if whole.broken_M.any() else whole.gain
    slot_N, all_seen = branch(rows, rules, priced.price_M, gain)
    if slot_N is not None:
        found = _whole(rows, order, slot_N, rules, prices, scale)
        if found.broken_M.any():
            return Bounded(whole, bound)
        whole, gain = found, float(found.sums_SJ4[:, :, 0].sum())
    if all_seen and not whole.broken_M.any():
        bound = min(bound, gain * (1 + EXACT))
    return Bounded(whole, bound)


def _order(rows: CheckedRows, seed: int) -> Ints:
    """Where the rows lie in the order of their hash."""
    from promolift.allocate import kernel

    return np.lexsort((np.arange(len(rows)), kernel.mix_all(rows.key_N, word(seed ^ SALT))))


def _whole(rows: CheckedRows, order: Ints, slot_N: Slots, rules: Rules, prices: Prices, scale: SourceScale) -> Whole:
    """The slots as a plan, counted in whole numbers."""
    unit = np.array([scale.gain, scale.cost, 1.0, scale.units])
    sums_SJ4 = sums_of(rows, slot_N, Prices(rules.weights(np.zeros(rules.rows))), scale) / unit
    choice_N = np.empty(len(rows), np.int32)
    choice_N[order] = slot_N
    apart = np.flatnonzero(slot_N != rows.choose(prices))
    moved = dict(zip(rows.key_N[apart].tolist(), slot_N[apart].tolist(), strict=True))
    return Whole(choice_N, sums_SJ4, rules.used(sums_SJ4), moved, 1, rules.excess(sums_SJ4), sums_SJ4)


def branch(rows: CheckedRows, rules: Rules, price_M: Floats, gain: float) -> Branched:
    """Slots that gain more than `gain`.

    The gap allowed is doubled from a small part of the whole: the search for plans close to the bound is short.
    """
    slots = _values(rows, rules, price_M)
    whole = float(slots.value_NL.max(axis=1).sum() + rules.bound_M @ price_M) - gain
    for halvings in range(HALVINGS, -1, -1):
        found = _within(slots, rules, price_M, whole / 2**halvings)
        if found.slot_N is not None:
            break
    return found


def _values(rows: CheckedRows, rules: Rules, price_M: Floats) -> SlotValues:
    """What each slot is worth at the prices, and what it uses."""
    n, slots = rows.gain_NK.shape
    i_P, k_P = np.nonzero((rows.gain_NK >= 0) & (rows.cost_NK < np.inf))
    coef_NLM = np.zeros((n, slots + 1, rules.rows))
    coef_NLM[i_P, k_P] = coefficients(rows, rules, i_P, k_P).T
    value_NL = np.full((n, slots + 1), -np.inf)
    value_NL[i_P, k_P] = rows.gain_NK[i_P, k_P] - coef_NLM[i_P, k_P] @ price_M
    value_NL[:, slots] = 0.0
    return SlotValues(value_NL, coef_NLM)


def _within(slots: SlotValues, rules: Rules, price_M: Floats, gap: float) -> Branched:
    """The best slots that lose less than `gap` in all."""
    from promolift.allocate import kernel

    value_NL, coef_NLM = slots
    everyone, slot_N = np.arange(len(value_NL)), np.argmax(value_NL, axis=1)
    loss_NL = value_NL.max(axis=1)[:, None] - value_NL
    loss_NL[loss_NL >= gap] = np.inf
    loss_NL[everyone, slot_N] = 0.0
    free_C = np.flatnonzero((loss_NL < np.inf).sum(axis=1) > 1)
    free_C = free_C[np.argsort(-np.sort(loss_NL[free_C], axis=1)[:, 1], kind="stable")]
    order_CL = np.argsort(loss_NL[free_C], axis=1, kind="stable")
    base_M = coef_NLM[everyone, slot_N].sum(axis=0) - coef_NLM[free_C, slot_N[free_C]].sum(axis=0)
    loss_CL = np.take_along_axis(loss_NL[free_C], order_CL, axis=1)
    coef_CLM = np.take_along_axis(coef_NLM[free_C], order_CL[:, :, None], axis=1)
    tight_M = rules.bound_M + EXACT * np.abs(rules.bound_M)
    at_C, found, seen = kernel.search(loss_CL, coef_CLM, base_M, tight_M, price_M, gap)
    if not found:
        return Branched(None, seen)
    slot_N[free_C] = order_CL[np.arange(len(free_C)), at_C]
    return Branched(np.where(slot_N == value_NL.shape[1] - 1, -1, slot_N).astype(np.int32), seen)


def coefficients(rows: CheckedRows, rules: Rules, i_P: Ints, k_P: Ints) -> Floats:
    """What each pair adds to every row, shape (M, pairs)."""
    label_P = rows.label_N[i_P] if rows.label_N.size else np.zeros(len(i_P), np.int32)
    offer_P = rows.offer_NK[i_P, k_P] if rows.offer_NK.size else k_P
    units_P = rows.units_NK[i_P, k_P] if rows.units_NK.size else np.zeros(len(i_P))
    amount_4P = np.stack([rows.gain_NK[i_P, k_P], rows.cost_NK[i_P, k_P], np.ones(len(i_P)), units_P])
    coef_MP = np.zeros((rules.rows, len(i_P)))
    for t, m in enumerate(rules.row_T):
        coef_MP[m] += (
            rules.weight_T[t] * rules.class_TS[t][label_P] * rules.offer_TJ[t][offer_P] * amount_4P[rules.column_T[t]]
        )
    return coef_MP
