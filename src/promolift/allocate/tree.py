"""Losses and coefficients of a few customers in, the plan with the least loss out: the compiled branch and bound.

C customers, L slots each in order of loss (infinite: closed), M rows.
"""

import numpy as np

from promolift.allocate.core import Floats, Ints
from promolift.allocate.kernel import compiled

NODES = 300_000  # the search ends here: a count, so that the answer does not depend on the machine's speed


@compiled
def search(
    loss_CL: Floats, coef_CLM: Floats, base_M: Floats, bound_M: Floats, price_M: Floats, gap: float
) -> tuple[Ints, bool, bool]:
    """Slots whose loss and price of what is left over stay below `gap`; whether found, and whether all were tried."""
    C, L = loss_CL.shape
    M = base_M.size
    least_CM, most_CM = np.zeros((C + 1, M), np.float64), np.zeros((C + 1, M), np.float64)
    for c in range(C - 1, -1, -1):
        for m in range(M):
            low, high = np.inf, -np.inf
            for k in range(L):
                if loss_CL[c, k] < np.inf:
                    low, high = min(low, coef_CLM[c, k, m]), max(high, coef_CLM[c, k, m])
            least_CM[c, m], most_CM[c, m] = least_CM[c + 1, m] + low, most_CM[c + 1, m] + high
    used_CM, lost_C = np.zeros((C + 1, M), np.float64), np.zeros(C + 1, np.float64)
    used_CM[0] = base_M
    at_C, best_C = np.full(C + 1, -1, np.int64), np.zeros(C, np.int64)
    found, level, seen = False, 0, 0
    while level >= 0:
        if level == C:  # a whole plan: what the rows leave unused was already charged on the way
            left = float(lost_C[C])
            for m in range(M):
                left += np.inf if used_CM[C, m] > bound_M[m] else 0.0
                left += price_M[m] * max(bound_M[m] - used_CM[C, m], 0.0)
            if left < gap:
                gap, found = left, True
                best_C[:] = at_C[:C]
            level -= 1
            continue
        at_C[level] += 1
        seen += 1
        k = at_C[level]
        if seen > NODES:
            return best_C, found, False
        if k == L or lost_C[level] + loss_CL[level, k] >= gap:
            at_C[level] = -1
            level -= 1
            continue
        left, keeps = lost_C[level] + loss_CL[level, k], True
        for m in range(M):
            used = used_CM[level, m] + coef_CLM[level, k, m]
            used_CM[level + 1, m] = used
            if used + least_CM[level + 1, m] > bound_M[m]:
                keeps = False
                break
            left += price_M[m] * max(bound_M[m] - used - most_CM[level + 1, m], 0.0)
        if keeps and left < gap:
            lost_C[level + 1] = lost_C[level] + loss_CL[level, k]
            level += 1
    return best_C, found, True
