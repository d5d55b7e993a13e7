"""A few customers, their slots and what is left of one budget in; better slots within it out.

C customers, L slots and a last one for none. All numbers are whole, so the order of work cannot change a sum.
"""

import numpy as np
from numpy.typing import NDArray

from promolift.allocate.core import Ints, Slots

SWAPS = 60  # exchanges between two customers; each costs one sort of the moves, about a millisecond


def fill(
    cost_CK: Ints, gain_CK: Ints, usable_CK: NDArray[np.bool_], slot_C: Slots, left: int, enough: int
) -> tuple[Slots, int, int]:
    """New slots, and the cost and gain they add. Takes the best single move while one fits, then exchanges of two.

    Stops when `left` is at most `enough`. Equal moves: the first customer, then the first slot.
    """
    none = np.zeros((len(slot_C), 1), np.int64)
    cost_CL, gain_CL = np.hstack([cost_CK, none]), np.hstack([gain_CK, none])
    usable_CL = np.hstack([usable_CK, none == 0])
    at_C = np.where(slot_C < 0, cost_CK.shape[1], slot_C).astype(np.int64)
    start, everyone = left, np.arange(len(slot_C))
    before = int(gain_CL[everyone, at_C].sum())
    for swaps in range(SWAPS):
        dcost_CL = cost_CL - cost_CL[everyone, at_C][:, None]
        dgain_CL = np.where(usable_CL, gain_CL - gain_CL[everyone, at_C][:, None], -(2**61))
        left = _singles(dcost_CL, dgain_CL, at_C, left)
        if left <= enough or swaps == SWAPS - 1:
            break
        pair = _exchange(dcost_CL, dgain_CL, left)
        if not pair:
            break
        for move in pair:
            left -= int(dcost_CL.flat[move])
            at_C[move // dcost_CL.shape[1]] = move % dcost_CL.shape[1]
    slots = np.where(at_C == cost_CK.shape[1], -1, at_C).astype(np.int32)
    return slots, start - left, int(gain_CL[everyone, at_C].sum()) - before


def _singles(dcost_CL: Ints, dgain_CL: Ints, at_C: Ints, left: int) -> int:
    """Make the best move that fits until none does, updating the differences in place; returns what is left."""
    while True:
        best = int(np.argmax(np.where(dcost_CL <= left, dgain_CL, 0))) if dgain_CL.size else 0
        if not dgain_CL.size or dcost_CL.flat[best] > left or dgain_CL.flat[best] <= 0:
            return left
        i = best // dcost_CL.shape[1]
        cost, gain = int(dcost_CL.flat[best]), int(dgain_CL.flat[best])
        left -= cost
        at_C[i] = best % dcost_CL.shape[1]
        dcost_CL[i] -= cost
        dgain_CL[i] = np.where(dgain_CL[i] > -(2**60), dgain_CL[i] - gain, dgain_CL[i])


def _exchange(dcost_CL: Ints, dgain_CL: Ints, left: int) -> tuple[int, int] | None:
    """The best pair (a move that costs too much, a move of another customer that frees enough), or None."""
    up = np.flatnonzero((dgain_CL > 0) & (dcost_CL > left))
    down = np.flatnonzero((dcost_CL < 0) & (dgain_CL > -(2**60)))
    if not len(up) or not len(down):
        return None
    down = down[np.argsort(dcost_CL.flat[down], kind="stable")]  # frees most first
    loss = dgain_CL.flat[down]
    best = np.maximum.accumulate(loss)
    first = np.searchsorted(best, best, side="left")  # where each running maximum was reached
    found = np.searchsorted(dcost_CL.flat[down], left - dcost_CL.flat[up], side="right") - 1
    total = np.where(found >= 0, dgain_CL.flat[up] + best[np.maximum(found, 0)], 0)
    for at in np.argsort(-total, kind="stable")[:50]:
        if total[at] <= 0:
            return None
        pair = int(up[at]), int(down[first[found[at]]])
        if pair[0] // dcost_CL.shape[1] != pair[1] // dcost_CL.shape[1]:
            return pair
    return None
