"""Compiled loops of the finishing step: moves of customers from slot to slot and exchanges between two of them.

Shapes as in `kernels`; P moves, each `row * (K + 1) + slot`.
"""

from __future__ import annotations  # compiled functions need no types at run time

from typing import TYPE_CHECKING

import numpy as np

from promolift.core.allocation.algorithms.kernels import amounts, compiled, values

if TYPE_CHECKING:
    from promolift.core.allocation.algorithms.arrays import (
        Floats,
        Ints,
        KernelColumns,
        LimitCoefficients,
        LimitState,
        Slots,
    )


@compiled
def write_change(columns: KernelColumns, links: LimitCoefficients, i: int, now: int, k: int, a_R: Floats) -> None:
    """Write to a_R what the class's rows use more when row i goes from slot `now` to slot k."""
    a_R[:] = 0.0
    amounts(columns, links, i, now, -1.0, a_R)
    amounts(columns, links, i, k, 1.0, a_R)


@compiled
def max_limits_per_class(links: LimitCoefficients) -> Floats:
    """Room for the rows of any class."""
    return np.zeros(np.max(links.first_S[1:] - links.first_S[:-1]), np.float64)


@compiled
def limit_penalty(links: LimitCoefficients, s: int, a_R: Floats, state: LimitState, but: int) -> float:
    """What the changes a_R add to the rows' excess, each at its fine; row `but` is left out."""
    used_M, bound_M, fine_M = state
    low, high = links.first_S[s], links.first_S[s + 1]
    total = 0.0
    for r in range(low, high):
        m, a = links.row_R[r], a_R[r - low]
        if a != 0.0 and m != but:
            over = used_M[m] - bound_M[m]
            total += fine_M[m] * (max(over + a, 0.0) - max(over, 0.0))
    return total


@compiled
def losses(columns: KernelColumns, slot_C: Slots, weight_SJ4: Floats) -> Floats:
    """What each move loses at the prices; infinite where there is no move."""
    K = columns.gain_NK.shape[1]
    loss_CK = np.full((slot_C.size, K + 1), np.inf)
    value_K = np.empty(K + 1, np.float64)
    for i in range(slot_C.size):
        values(columns, weight_SJ4, i, value_K)
        now = slot_C[i] if slot_C[i] >= 0 else K
        for k in range(K + 1):
            if k != now and value_K[k] > -np.inf:
                loss_CK[i, k] = value_K[now] - value_K[k]
    return loss_CK


@compiled
def score(
    columns: KernelColumns, slot_C: Slots, weight_SJ4: Floats, links: LimitCoefficients, state: LimitState, target: int
) -> Floats:
    """What each move costs per unit of the broken row `target` it repairs: loss at the prices and other rows' fines.

    Infinite if it repairs nothing or is fined more than it repairs. With target -1: the loss of moves that add gain.
    """
    gain_NK, label_N = columns.gain_NK, columns.label_N
    K = gain_NK.shape[1]
    a_R = max_limits_per_class(links)
    score_CK = losses(columns, slot_C, weight_SJ4)
    for i in range(slot_C.size):
        s = label_N[i]
        at = -1
        for r in range(links.first_S[s], links.first_S[s + 1]):
            if links.row_R[r] == target:
                at = r - links.first_S[s]
        now = slot_C[i] if slot_C[i] >= 0 else K
        gain = gain_NK[i, now] if now < K else 0.0
        for k in range(K + 1):
            loss = score_CK[i, k]
            if loss == np.inf:
                continue
            if target < 0:
                if (gain_NK[i, k] if k < K else 0.0) <= gain:
                    score_CK[i, k] = np.inf
                continue
            score_CK[i, k] = np.inf
            if at < 0:
                continue
            write_change(columns, links, i, now, k, a_R)
            repaired = min(-a_R[at], state.used_M[target] - state.bound_M[target])
            if repaired > 0.0:
                fines = limit_penalty(links, s, a_R, state, target)
                if fines < state.fine_M[target] * repaired:
                    score_CK[i, k] = (max(loss, 0.0) + max(fines, 0.0)) / repaired
    return score_CK


@compiled
def apply_moves(
    columns: KernelColumns, slot_C: Slots, links: LimitCoefficients, order_P: Ints, state: LimitState, target: int
) -> int:
    """Make the moves in the given order, each customer once, until row `target` holds; returns how many were made.

    A move is made only if it lowers the sum of fines; with target -1, if it breaks nothing. Changes slot_C and used_M.
    """
    K = columns.gain_NK.shape[1]
    moved_C = np.zeros(slot_C.size, np.bool_)
    a_R = max_limits_per_class(links)
    made = 0
    for move in order_P:
        i, k = move // (K + 1), move % (K + 1)
        if moved_C[i]:
            continue
        s = columns.label_N[i]
        low, high = links.first_S[s], links.first_S[s + 1]
        now = slot_C[i] if slot_C[i] >= 0 else K
        write_change(columns, links, i, now, k, a_R)
        fines = limit_penalty(links, s, a_R, state, -1)
        if (target < 0 and fines > 0.0) or (target >= 0 and fines >= 0.0):
            continue
        for r in range(low, high):
            state.used_M[links.row_R[r]] += a_R[r - low]
        slot_C[i] = -1 if k == K else k
        moved_C[i] = True
        made += 1
        if target >= 0 and state.used_M[target] <= state.bound_M[target]:
            break
    return made


@compiled
def move_changes(
    columns: KernelColumns, slot_C: Slots, links: LimitCoefficients, move_P: Ints, M: int
) -> tuple[Floats, Floats]:
    """What each move adds to every row and to the gain."""
    gain_NK, label_N = columns.gain_NK, columns.label_N
    K = gain_NK.shape[1]
    delta_PM, gain_P = np.zeros((move_P.size, M), np.float64), np.zeros(move_P.size, np.float64)
    a_R = max_limits_per_class(links)
    for p in range(move_P.size):
        i, k = move_P[p] // (K + 1), move_P[p] % (K + 1)
        low, high = links.first_S[label_N[i]], links.first_S[label_N[i] + 1]
        now = slot_C[i] if slot_C[i] >= 0 else K
        write_change(columns, links, i, now, k, a_R)
        for r in range(low, high):
            delta_PM[p, links.row_R[r]] = a_R[r - low]
        gain_P[p] = (gain_NK[i, k] if k < K else 0.0) - (gain_NK[i, now] if now < K else 0.0)
    return delta_PM, gain_P


@compiled
def exchange(delta_PM: Floats, gain_P: Floats, who_P: Ints, used_M: Floats, bound_M: Floats) -> Ints:
    """Pairs of moves of two customers that together add gain and break nothing: for each gaining move its best partner.

    Changes used_M; returns the moves to make, each customer at most once.
    """
    P, M = delta_PM.shape
    taken_P = np.zeros(P, np.bool_)
    made_P = np.empty(P, np.int64)
    made = 0
    room_M = np.empty(M, np.float64)
    for b in range(P):
        if gain_P[b] <= 0.0 or taken_P[b]:
            continue
        for m in range(M):
            room_M[m] = max(bound_M[m], used_M[m]) - used_M[m] - delta_PM[b, m]
        best, partner = 0.0, -1
        for a in range(P):
            if gain_P[b] + gain_P[a] <= best or taken_P[a] or who_P[a] == who_P[b]:
                continue
            fits = True
            for m in range(M):
                if delta_PM[a, m] > room_M[m]:
                    fits = False
                    break
            if fits:
                best, partner = gain_P[b] + gain_P[a], a
        if partner >= 0:
            for move in (b, partner):
                made_P[made] = move
                made += 1
                for m in range(M):
                    used_M[m] += delta_PM[move, m]
                for p in range(P):
                    if who_P[p] == who_P[move]:
                        taken_P[p] = True
    return made_P[:made]
