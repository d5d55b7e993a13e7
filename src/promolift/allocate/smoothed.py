"""Rows and prices in, sums out: the compiled loops of the dual method.

The dual function is smoothed: instead of the largest penalised value each customer contributes the value of the
projection of their values on the simplex. It differs from the largest by at most half the width (a part of their
largest gain), is convex and once differentiable, and its second derivative comes only from the few who hesitate.
N customers, K slots, S classes, J offers, M rows, R rows of a class one after the other.
"""

import numpy as np

from promolift.allocate.arrays import Floats, Ints, KernelColumns, Keys, Links, Slots
from promolift.allocate.kernel import compiled, mix, project, values

SMOOTHED = 1 << 30  # quanta of a part of a customer: the smoothed count


@compiled
def pairs(columns: KernelColumns, omega_N: Floats, S: int, J: int) -> Floats:
    """Weighted sums of gain, cost, count and units over all usable pairs, by class and offer."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    sums_SJ4 = np.zeros((S, J, 4), np.float64)
    for i in range(gain_NK.shape[0]):
        s = label_N[i] if label_N.size else 0
        for k in range(gain_NK.shape[1]):
            if gain_NK[i, k] >= 0.0 and cost_NK[i, k] < np.inf:
                j = offer_NK[i, k] if offer_NK.size else k
                sums_SJ4[s, j, 0] += omega_N[i] * gain_NK[i, k]
                sums_SJ4[s, j, 1] += omega_N[i] * cost_NK[i, k]
                sums_SJ4[s, j, 2] += omega_N[i]
                if units_NK.size:
                    sums_SJ4[s, j, 3] += omega_N[i] * units_NK[i, k]
    return sums_SJ4


@compiled
def curve(
    columns: KernelColumns, omega_N: Floats, weight_SJ4: Floats, width: float, links: Links, M: int
) -> tuple[float, Floats, Floats]:
    """Smoothed value of the customers, its sums by class and offer, and its second derivative (lower half of M, M)."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    K = gain_NK.shape[1]
    value_K, prob_K = np.empty(K + 1, np.float64), np.empty(K + 1, np.float64)
    total, sums_SJ4, hess_MM = 0.0, np.zeros(weight_SJ4.shape, np.float64), np.zeros((M, M), np.float64)
    for i in range(gain_NK.shape[0]):
        s = label_N[i] if label_N.size else 0
        omega = omega_N[i]
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
                    j = offer_NK[i, k] if offer_NK.size else k
                    sums_SJ4[s, j, 0] += omega * p * gain_NK[i, k]
                    sums_SJ4[s, j, 1] += omega * p * cost_NK[i, k]
                    sums_SJ4[s, j, 2] += omega * p
                    if units_NK.size:
                        sums_SJ4[s, j, 3] += omega * p * units_NK[i, k]
        if n > 1:
            bend(columns, links, i, prob_K, omega / span, hess_MM)
    return total, sums_SJ4, hess_MM


@compiled
def bend(columns: KernelColumns, links: Links, i: int, prob_K: Floats, factor: float, hess_MM: Floats) -> None:
    """Add what one hesitating customer adds to the second derivative: the scatter of their slots' coefficients."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    s = label_N[i] if label_N.size else 0
    low, high = links.first_S[s], links.first_S[s + 1]
    K, size, n = gain_NK.shape[1], high - low, 0
    a_KR = np.empty((K + 1, size), np.float64)
    for k in range(K + 1):
        if prob_K[k] <= 0.0:
            continue
        n += 1
        if k == K:
            a_KR[k, :size] = 0.0
            continue
        j = offer_NK[i, k] if offer_NK.size else k
        u = units_NK[i, k] if units_NK.size else 0.0
        for r in range(size):
            c_4 = links.coef_JR4[j, low + r]
            a_KR[k, r] = c_4[0] * gain_NK[i, k] + c_4[1] * cost_NK[i, k] + c_4[2] + c_4[3] * u
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
def account(columns: KernelColumns, weight_SJ4: Floats, width: float, scale_3: Floats) -> tuple[Ints, Ints]:
    """Whole-number sums of the best slots by class and offer; what smoothing changes (its count in SMOOTHED quanta)."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    K = gain_NK.shape[1]
    value_K, prob_K = np.empty(K + 1, np.float64), np.empty(K + 1, np.float64)
    hard_SJ4 = np.zeros(weight_SJ4.shape, np.int64)
    change_SJ4 = np.zeros(weight_SJ4.shape, np.int64)
    for i in range(gain_NK.shape[0]):
        s = label_N[i] if label_N.size else 0
        best, size = values(columns, weight_SJ4, i, value_K)
        at, near = K, 0
        for k in range(K + 1):
            if value_K[k] > best - width * size:
                near += 1
            if value_K[k] == best and at == K and k < K and best > 0.0:
                at = k
        if at < K:
            j = offer_NK[i, at] if offer_NK.size else at
            hard_SJ4[s, j, 0] += np.int64(gain_NK[i, at] * scale_3[0])
            hard_SJ4[s, j, 1] += np.int64(np.ceil(cost_NK[i, at] * scale_3[1]))
            hard_SJ4[s, j, 2] += 1
            if units_NK.size:
                hard_SJ4[s, j, 3] += np.int64(np.ceil(units_NK[i, at] * scale_3[2]))
        if near < 2:
            continue
        project(value_K, best, width * size, prob_K)
        for k in range(K):
            p = prob_K[k] - (1.0 if k == at else 0.0)
            if p != 0.0:
                j = offer_NK[i, k] if offer_NK.size else k
                change_SJ4[s, j, 0] += np.int64(p * gain_NK[i, k] * scale_3[0])
                change_SJ4[s, j, 1] += np.int64(p * cost_NK[i, k] * scale_3[1])
                change_SJ4[s, j, 2] += np.int64(p * SMOOTHED)
                if units_NK.size:
                    change_SJ4[s, j, 3] += np.int64(p * units_NK[i, k] * scale_3[2])
    return hard_SJ4, change_SJ4


@compiled
def settle(columns: KernelColumns, weight_SJ4: Floats, scale_3: Floats, choice_N: Slots) -> Ints:
    """Whole-number sums of the chosen slots by class and offer, in the shape of the weights."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    sums_SJ4 = np.zeros(weight_SJ4.shape, np.int64)
    for i in range(gain_NK.shape[0]):
        s, k = label_N[i] if label_N.size else 0, choice_N[i]
        if k >= 0:
            j = offer_NK[i, k] if offer_NK.size else k
            sums_SJ4[s, j, 0] += np.int64(gain_NK[i, k] * scale_3[0])
            sums_SJ4[s, j, 1] += np.int64(np.ceil(cost_NK[i, k] * scale_3[1]))
            sums_SJ4[s, j, 2] += 1
            if units_NK.size:
                sums_SJ4[s, j, 3] += np.int64(np.ceil(units_NK[i, k] * scale_3[2]))
    return sums_SJ4


@compiled
def thin(label_N: Slots, key_N: Keys, part_S: Floats, seed: np.uint64, mark_N: Slots) -> None:
    """Mark the rows whose hash is below their class's part: a sample that no order of rows changes."""
    for i in range(key_N.size):
        mark_N[i] = 1 if mix(key_N[i], seed) < part_S[label_N[i] if label_N.size else 0] else 0
