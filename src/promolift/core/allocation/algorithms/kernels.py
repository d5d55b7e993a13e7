"""Compiled loops over every customer-offer pair: choices, whole-number sums, moves and exchanges.

N customers (C of them near the break), K slots (a customer's candidates) and a last one for none (L), J offers, S
classes of customers, M limit rows, R rows of a class one after the other, P moves. Sums are 64-bit integers of scaled
values, because integer addition gives the same result in any order. Each function compiles at its first call and is
kept on disk. No fastmath: it would let the compiler reorder comparisons of nearly equal values.
"""

from __future__ import annotations  # compiled functions need no types at run time

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from promolift.core.allocation.algorithms.arrays import (
        Floats,
        Ints,
        KernelColumns,
        Keys,
        LimitCoefficients,
        Slots,
        TieBreaking,
    )

F = TypeVar("F", bound=Callable[..., Any])

TIE_TOLERANCE = (
    1e-12  # relative width within which two penalised values count as equal: a thousand times the rounding error
)
SMOOTHED_QUANTA = 1 << 30  # quanta of a part of a customer: the smoothed count


def compiled(function: F) -> F:
    """Compile at first call and keep on disk."""
    return cast(F, numba.njit(cache=True, error_model="numpy")(function))


@compiled
def hash_uniform(key: np.uint64, seed: np.uint64) -> float:
    """A uniform number in [0, 1) from two 64-bit integers (splitmix64 finaliser, Steele et al. 2014)."""
    z = np.uint64(key) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) / 9007199254740992.0


@compiled
def hash_all(key_N: Keys, seed: np.uint64) -> Floats:
    """`hash_uniform` of every key."""
    out_N = np.empty(key_N.size, np.float64)
    for i in range(key_N.size):
        out_N[i] = hash_uniform(key_N[i], seed)
    return out_N


@compiled
def scan(gain_NK: Floats, cost_NK: Floats, units_NK: Floats) -> tuple[float, float, float, int, int, int, int]:
    """(largest usable gain, cost and units, first bad row or -1, its slot, customers with usable pairs, their pairs)"""
    top_gain, top_cost, top_units, usable, bad_row, bad_slot, pairs = 0.0, 0.0, 0.0, 0, -1, -1, 0
    for i in range(gain_NK.shape[0]):
        seen = 0
        for k in range(gain_NK.shape[1]):
            g, c, u = gain_NK[i, k], cost_NK[i, k], units_NK[i, k]
            able = g >= 0.0 and c < np.inf
            if (g == np.inf or (c < 0.0 and g == g) or (able and not (u >= 0.0 and u < np.inf))) and bad_row < 0:
                bad_row, bad_slot = i, k
            if able:
                seen = 1
                pairs += 1
                top_gain, top_cost, top_units = max(top_gain, g), max(top_cost, c), max(top_units, u)
        usable += seen
    return top_gain, top_cost, top_units, bad_row, bad_slot, usable, pairs


@compiled
def hull(gain_NK: Floats, cost_NK: Floats, i: int, path_K: Ints) -> int:
    """Write the slots of row i's concave frontier to path_K, cheapest first; return how many there are."""
    n = 0
    for k in range(gain_NK.shape[1]):
        g, c = gain_NK[i, k], cost_NK[i, k]
        if not (g > 0.0 and c < np.inf):
            continue
        at = n
        while at > 0:
            p = path_K[at - 1]
            if cost_NK[i, p] < c or (cost_NK[i, p] == c and gain_NK[i, p] >= g):
                break
            path_K[at] = p
            at -= 1
        path_K[at] = k
        n += 1
    m = 0
    for t in range(n):
        k = path_K[t]
        g, c = gain_NK[i, k], cost_NK[i, k]
        if m > 0 and g <= gain_NK[i, path_K[m - 1]]:
            continue
        while m > 0:
            g1, c1 = gain_NK[i, path_K[m - 1]], cost_NK[i, path_K[m - 1]]
            g0, c0 = 0.0, 0.0
            if m > 1:
                g0, c0 = gain_NK[i, path_K[m - 2]], cost_NK[i, path_K[m - 2]]
            if (g - g1) * (c1 - c0) >= (g1 - g0) * (c - c1):
                m -= 1  # the point before lies on or below the chord
            else:
                break
        path_K[m] = k
        m += 1
    return m


@compiled
def steps(
    gain_NK: Floats, cost_NK: Floats, gain_scale: float, cost_scale: float
) -> tuple[Ints, Slots, Slots, Ints, Ints, Floats]:
    """All frontier steps of the rows, one row's after another: row, slot left and reached, whole cost and gain, price.

    A price is infinite where the step is free; costs are rounded up, so that a budget kept in quanta is kept in money.
    """
    path_K = np.empty(gain_NK.shape[1] + 1, np.int64)
    room = 0
    for i in range(gain_NK.shape[0]):
        room += hull(gain_NK, cost_NK, i, path_K)
    row_P, cost_P, gain_P = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    left_P, slot_P, price_P = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float64)
    n = 0
    for i in range(gain_NK.shape[0]):
        g0, c0, last, before = 0.0, 0.0, np.inf, -1
        qg0, qc0 = np.int64(0), np.int64(0)
        for t in range(hull(gain_NK, cost_NK, i, path_K)):
            k = path_K[t]
            g, c = gain_NK[i, k], cost_NK[i, k]
            if c > c0:
                last = min(last, (g - g0) / (c - c0))
            qg, qc = np.int64(g * gain_scale), np.int64(np.ceil(c * cost_scale))
            row_P[n], left_P[n], slot_P[n] = i, before, k
            cost_P[n], gain_P[n], price_P[n] = qc - qc0, qg - qg0, last
            g0, c0, qg0, qc0, before = g, c, qg, qc, k
            n += 1
    return row_P, left_P, slot_P, cost_P, gain_P, price_P


@compiled
def prefix(high: np.uint64, low: np.uint64, bits: np.uint64) -> np.uint64:
    """The last 64 of the first `bits` bits of a number of 128."""
    if bits == np.uint64(0):
        return np.uint64(0)
    if bits <= np.uint64(64):
        return high >> (np.uint64(64) - bits)
    return (high << (bits - np.uint64(64))) | (low >> (np.uint64(128) - bits))


@compiled
def bin_of(high: np.uint64, low: np.uint64, starts_B: tuple[Keys, Keys, Keys]) -> int:
    """The bin of a key (`high` and `low` are 128 bits) among bins in rising order, named by the first key of each and
    how many bits its keys share; -1 for none."""
    high_B, low_B, bits_B = starts_B
    first, last = 0, high_B.size
    while first < last:
        middle = (first + last) // 2
        if high_B[middle] < high or (high_B[middle] == high and low_B[middle] <= low):
            first = middle + 1
        else:
            last = middle
    b = first - 1
    if b < 0 or (bits_B[b] > np.uint64(64) and high != high_B[b]):
        return -1
    return b if prefix(high, low, bits_B[b]) == prefix(high_B[b], low_B[b], bits_B[b]) else -1


@compiled
def keys_in_bins(keys_P: tuple[Keys, Keys], starts_B: tuple[Keys, Keys, Keys]) -> NDArray[np.bool_]:
    """Which keys are in one of the bins."""
    within_P = np.empty(keys_P[0].size, np.bool_)
    for p in range(within_P.size):
        within_P[p] = bin_of(keys_P[0][p], keys_P[1][p], starts_B) >= 0
    return within_P


@compiled
def tally(
    keys_P: tuple[Keys, Keys], amounts_P: tuple[Ints, Ints, Slots], starts_B: tuple[Keys, Keys, Keys], more: np.uint64
) -> Ints:
    """How many steps, their whole cost and gain, and how many first ones of a customer, of bins each cut into
    2 ** more."""
    cost_P, gain_P, left_P = amounts_P
    sums_BS4 = np.zeros((starts_B[0].size, np.int64(1) << np.int64(more), 4), np.int64)
    mask = (np.uint64(1) << more) - np.uint64(1)
    for p in range(cost_P.size):
        b = bin_of(keys_P[0][p], keys_P[1][p], starts_B)
        if b >= 0:
            s = np.int64(prefix(keys_P[0][p], keys_P[1][p], starts_B[2][b] + more) & mask)
            sums_BS4[b, s, 0] += 1
            sums_BS4[b, s, 1] += cost_P[p]
            sums_BS4[b, s, 2] += gain_P[p]
            sums_BS4[b, s, 3] += 1 if left_P[p] < 0 else 0
    return sums_BS4


@compiled
def amount(columns: KernelColumns, i: int, k: int, m: int) -> float:
    """Gain, cost, count or units (m from 0 to 3) of row i's slot k."""
    if m == 0:
        return float(columns.gain_NK[i, k])
    if m == 1:
        return float(columns.cost_NK[i, k])
    return 1.0 if m == 2 else float(columns.units_NK[i, k])


@compiled
def quantised_amount(columns: KernelColumns, i: int, k: int, m: int, scale_3: Floats) -> np.int64:
    """`amount` in quanta: gains rounded down, costs and units up."""
    if m == 0:
        return np.int64(columns.gain_NK[i, k] * scale_3[0])
    if m == 1:
        return np.int64(np.ceil(columns.cost_NK[i, k] * scale_3[1]))
    return np.int64(1) if m == 2 else np.int64(np.ceil(columns.units_NK[i, k] * scale_3[2]))


@compiled
def values(columns: KernelColumns, weight_SJ4: Floats, i: int, value_K: Floats) -> tuple[float, float]:
    """Write row i's penalised values to value_K (last: none, 0); return the best and the row's largest gain."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    weight_J4 = weight_SJ4[label_N[i]]
    K = gain_NK.shape[1]
    best, size = 0.0, 0.0
    value_K[K] = 0.0
    for k in range(K):
        g, c = gain_NK[i, k], cost_NK[i, k]
        value_K[k] = -np.inf
        if g >= 0.0 and c < np.inf:
            j = offer_NK[i, k]
            gain, cost = weight_J4[j, 0] * g, weight_J4[j, 1] * c
            v = gain - cost - weight_J4[j, 2] - weight_J4[j, 3] * units_NK[i, k]
            value_K[k] = v
            best = max(best, v)
            size = max(size, g)
    return best, size


@compiled
def project(value_K: Floats, best: float, width: float, prob_K: Floats) -> int:
    """Projection of value_K / width on the probability simplex (Michelot 1986); returns how many are above 0."""
    n = 0
    done = best - width
    while True:  # raise the cut until the set above it no longer shrinks
        n, total = 0, 0.0
        for k in range(value_K.size):
            if value_K[k] > done:
                n += 1
                total += value_K[k] - best
        cut = best + (total - width) / n
        if not cut > done:  # also ends if the width is below rounding and cut is not a number
            break
        done = cut
    for k in range(value_K.size):
        prob_K[k] = max(value_K[k] - done, 0.0) / width if value_K[k] > done else 0.0
    return n


@compiled
def draw(prob_K: Floats, value_K: Floats, left: float) -> int:
    """The slot in whose stretch of [0, 1) `left` falls; the last is none."""
    for k in range(prob_K.size):
        if prob_K[k] > 0.0:
            if left < prob_K[k]:
                return k
            left -= prob_K[k]
    return int(np.argmax(value_K))  # the draw fell into the rounding of the probabilities


@compiled
def break_tie(cost_NK: Floats, i: int, value_K: Floats, floor: float, dear: bool) -> int:
    """The cheapest (or dearest) slot whose value reaches `floor`; the last is none, at no cost."""
    K: int = cost_NK.shape[1]
    at, c_at = K, 0.0
    if value_K[K] < floor:
        c_at = -1.0 if dear else np.inf
    for k in range(K):
        if value_K[k] >= floor and ((dear and cost_NK[i, k] > c_at) or (not dear and cost_NK[i, k] < c_at)):
            at, c_at = k, cost_NK[i, k]
    return at


@compiled
def choose(columns: KernelColumns, key_N: Keys, weight_SJ4: Floats, ties: TieBreaking, choice_N: Slots) -> None:
    """Write each row's best slot at the given weights (gain, cost, count, units) to choice_N, -1 for none.

    With width 0, values equal but for rounding are tied, and a tie goes to the
    dearest if the row's hash is below `share`, else to the cheapest. With a width, the hash draws from the projection
    of the values on the simplex: slots that differ by less than `width` of the row's largest gain are mixed, so that
    on average they spend what the smoothed dual spends.
    """
    width, share, seed = ties
    K = columns.gain_NK.shape[1]
    value_K, prob_K = np.empty(K + 1, np.float64), np.empty(K + 1, np.float64)
    for i in range(key_N.size):
        best, size = values(columns, weight_SJ4, i, value_K)
        if width * size > 0.0:
            project(value_K, best, width * size, prob_K)
            at = draw(prob_K, value_K, hash_uniform(key_N[i], seed))
        else:
            at = break_tie(
                columns.cost_NK,
                i,
                value_K,
                best - TIE_TOLERANCE * size,
                share > 0.0 and hash_uniform(key_N[i], seed) < share,
            )
        choice_N[i] = -1 if at == K else at


# the dual method: its function is smoothed, so that it is once differentiable


@compiled
def pairs(columns: KernelColumns, S: int, J: int) -> Floats:
    """Sums of gain, cost, count and units over all usable pairs, by class and offer."""
    sums_SJ4 = np.zeros((S, J, 4), np.float64)
    for i in range(columns.gain_NK.shape[0]):
        for k in range(columns.gain_NK.shape[1]):
            if columns.gain_NK[i, k] >= 0.0 and columns.cost_NK[i, k] < np.inf:
                for m in range(4):
                    sums_SJ4[columns.label_N[i], columns.offer_NK[i, k], m] += amount(columns, i, k, m)
    return sums_SJ4


@compiled
def curve(
    columns: KernelColumns, omega: float, weight_SJ4: Floats, width: float, links: LimitCoefficients, M: int
) -> tuple[float, Floats, Floats]:
    """Smoothed value of the customers, its sums by class and offer, and its second derivative (lower half of M, M).

    Instead of the largest penalised value each customer, who stands for `omega`, adds the value of the projection of
    their values on the simplex. It differs from the largest by at most half the width (a part of their largest gain);
    the second derivative comes only from the few who hesitate.
    """
    K = columns.gain_NK.shape[1]
    value_K, prob_K = np.empty(K + 1, np.float64), np.empty(K + 1, np.float64)
    total, sums_SJ4, hess_MM = 0.0, np.zeros(weight_SJ4.shape, np.float64), np.zeros((M, M), np.float64)
    for i in range(columns.gain_NK.shape[0]):
        s = columns.label_N[i]
        best, size = values(columns, weight_SJ4, i, value_K)
        n, span = 0, width * size
        for k in range(K, -1, -1):  # none first: without a width it wins a tie
            prob_K[k] = 0.0
            if value_K[k] > best - span or (n == 0 and value_K[k] == best):
                n += 1
                prob_K[k] = 1.0
        if n > 1:
            n = project(value_K, best, span, prob_K)
        for k in range(K + 1):
            p = prob_K[k]
            if p > 0.0:
                total += omega * (p * value_K[k] + 0.5 * span * p * (1.0 - p))
                if k < K:
                    for m in range(4):
                        sums_SJ4[s, columns.offer_NK[i, k], m] += omega * p * amount(columns, i, k, m)
        if n > 1:
            add_hessian(columns, links, i, prob_K, omega / span, hess_MM)
    return total, sums_SJ4, hess_MM


@compiled
def add_hessian(
    columns: KernelColumns, links: LimitCoefficients, i: int, prob_K: Floats, factor: float, hess_MM: Floats
) -> None:
    """Add row i's part of the second derivative: `factor` times the covariance of the rows over the slots in play."""
    s, K = columns.label_N[i], columns.gain_NK.shape[1]
    low = links.first_S[s]
    size, n = links.first_S[s + 1] - low, 0
    a_KR = np.zeros((K + 1, size), np.float64)
    for k in range(K + 1):
        if prob_K[k] > 0.0:
            n += 1
            amounts(columns, links, i, k, 1.0, a_KR[k])
    for r in range(size):
        mean = 0.0
        for k in range(K + 1):
            if prob_K[k] > 0.0:
                mean += a_KR[k, r]
        for k in range(K + 1):
            if prob_K[k] > 0.0:
                a_KR[k, r] -= mean / n
    for k in range(K + 1):
        if prob_K[k] > 0.0:
            for r in range(size):
                a = factor * a_KR[k, r]
                if a != 0.0:
                    for q in range(r + 1):
                        hess_MM[links.row_R[low + r], links.row_R[low + q]] += a * a_KR[k, q]


@compiled
def box_step(hess_MM: Floats, slope_M: Floats, low_M: Floats, high_M: Floats, sweeps: int) -> Floats:
    """Step within the box that lowers the quadratic model, by coordinate descent (Hildreth 1957)."""
    M = slope_M.size
    step_M, rest_M = np.zeros(M, np.float64), slope_M.copy()
    for _ in range(sweeps):
        change = 0.0
        for m in range(M):
            curve_m = hess_MM[m, m]
            if high_M[m] <= low_M[m]:
                continue
            goal = step_M[m] - rest_M[m] / curve_m if curve_m > 0.0 else (low_M[m] if rest_M[m] > 0.0 else high_M[m])
            d = min(max(goal, low_M[m]), high_M[m]) - step_M[m]
            if d != 0.0:
                step_M[m] += d
                for r in range(M):
                    rest_M[r] += hess_MM[r, m] * d
                change = max(change, abs(d))
        if change < 1e-9:
            break
    return step_M


@compiled
def sum_chosen_slots(columns: KernelColumns, shape_SJ4: tuple[int, int, int], scale_3: Floats, choice_N: Slots) -> Ints:
    """Whole-number sums of the chosen slots by class and offer."""
    sums_SJ4 = np.zeros(shape_SJ4, np.int64)
    for i in range(choice_N.size):
        k = choice_N[i]
        if k >= 0:
            for m in range(4):
                sums_SJ4[columns.label_N[i], columns.offer_NK[i, k], m] += quantised_amount(columns, i, k, m, scale_3)
    return sums_SJ4


@compiled
def best_slots(columns: KernelColumns, weight_SJ4: Floats) -> Slots:
    """The slot of each row's largest value above 0, the first of equal ones; -1 where there is none."""
    K = columns.gain_NK.shape[1]
    value_K, choice_N = np.empty(K + 1, np.float64), np.full(columns.gain_NK.shape[0], -1, np.int32)
    for i in range(choice_N.size):
        best, _ = values(columns, weight_SJ4, i, value_K)
        if best > 0.0:
            choice_N[i] = np.argmax(value_K)
    return choice_N


@compiled
def margins(columns: KernelColumns, weight_SJ4: Floats) -> Floats:
    """Best less second best penalised value of each row, none included, as part of the row's largest gain."""
    K = columns.gain_NK.shape[1]
    value_K = np.empty(K + 1, np.float64)
    margin_N = np.empty(columns.gain_NK.shape[0], np.float64)
    for i in range(margin_N.size):
        best, size = values(columns, weight_SJ4, i, value_K)
        second, ties = -np.inf, 0
        for k in range(K + 1):
            if value_K[k] == best:
                ties += 1
            elif value_K[k] > second:
                second = value_K[k]
        margin_N[i] = 0.0 if ties > 1 else (best - second) / size if size > 0.0 else np.inf
    return margin_N


@compiled
def amounts(columns: KernelColumns, links: LimitCoefficients, i: int, k: int, sign: float, a_R: Floats) -> None:
    """Add `sign` times what slot k of row i uses of its class's rows to a_R; the slot after the last uses nothing."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    if k >= gain_NK.shape[1]:
        return
    low, j = links.first_S[label_N[i]], offer_NK[i, k]
    for r in range(low, links.first_S[label_N[i] + 1]):
        c_4 = links.coef_JR4[j, r]
        a_R[r - low] += sign * (c_4[0] * gain_NK[i, k] + c_4[1] * cost_NK[i, k] + c_4[2] + c_4[3] * units_NK[i, k])
