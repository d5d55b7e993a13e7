"""Frontier steps and a budget in; which steps to take where a single one is a large part of the budget, out.

Taking steps by falling price stops at the first that does not fit. Usually what is then left is of no weight; but a
customer whose step costs a tenth of the budget leaves as much unspent. Then two other ways are tried: to pass over what
does not fit and go on, and to make room for one of the large steps by leaving out the last small ones.
P steps, best first; all numbers whole.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from promolift.allocate.exact import Steps

WINDOW = 10_000  # steps on either side of the break that are gone through one by one
LARGE = 12  # large steps for which room is made in turn


def pack(steps: "Steps", fits: int, budget: int) -> NDArray[np.bool_]:
    """Steps taken, a P mask: the best by gain of the ways tried, `budget` kept; ties to the first way."""
    low, high = max(fits - WINDOW, 0), min(fits + WINDOW, len(steps.price_P))
    room = budget - int(steps.cost_P[:low].sum())
    plain = np.arange(low, high) < fits
    ways = [plain, _take(steps, (low, high), room, -1)]
    skipped = [p for p in range(fits, high) if steps.cost_P[p] > room // 100 and not ways[1][p - low]]
    ways += [_take(steps, (low, high), room, p) for p in skipped[:LARGE]]
    best = max(ways, key=lambda way: int(steps.gain_P[low:high][way].sum()))
    taken = np.arange(len(steps.price_P)) < low
    taken[low:high] = best
    return taken


def _take(steps: "Steps", span: tuple[int, int], room: int, forced: int) -> NDArray[np.bool_]:
    """Every step of the span in turn that fits and follows its customer's last; `forced` and those before it first."""
    low, high = span
    position, before = steps.position_P[low:high].tolist(), steps.slot_P2[low:high, 0].tolist()
    after, cost = steps.slot_P2[low:high, 1].tolist(), steps.cost_P[low:high].tolist()
    taken, at = [False] * (high - low), {}
    if forced >= 0:
        mine = [p for p in range(forced - low + 1) if position[p] == position[forced - low]]
        for p in mine:
            taken[p], room = True, room - cost[p]
        at[position[forced - low]] = after[forced - low]
        if room < 0:
            return np.zeros(high - low, np.bool_)
    for p in range(high - low):
        if not taken[p] and cost[p] <= room and at.get(position[p], before[p]) == before[p]:
            taken[p], room = True, room - cost[p]
            at[position[p]] = after[p]
        elif not taken[p]:
            at.setdefault(position[p], before[p])  # passed over, he stays there, and his next step does not follow
    return np.array(taken, np.bool_)
