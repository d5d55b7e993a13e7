"""Blocks of rows in, choices and whole-number sums out: the loops that touch every customer-offer pair, compiled.

N customers, K slots (a customer's candidates), J offers, S classes of customers, B price bins.
Sums are 64-bit integers of scaled values, because integer addition gives the same result in any order: chunks,
threads and row order cannot change a plan. Nothing is compiled at import; each function compiles at its first call
and is then kept on disk. No fastmath: it would let the compiler reorder comparisons of nearly equal values.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from promolift.allocate.arrays import Floats, GatherLimits, Ints, KernelColumns, Keys, Slots, Ties

F = TypeVar("F", bound=Callable[..., Any])

BINS = 8192  # price bins: the leading bits of a price, less those of the first bin; the ends take what lies outside
TIE = 1e-12  # relative width within which two penalised values count as equal: a thousand times the rounding error


# numba keeps a compiled function until its own file changes, though it holds copies of those it calls from other files:
# so the name under which it is kept carries a hash of all files with kernels.
KERNELS = ("kernel", "repair_kernel", "smoothed")
STAMP = sha256(b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in KERNELS)).hexdigest()[:12]


def compiled(function: F) -> F:
    """Compile at first call, keep on disk until any kernel changes, release the interpreter lock while running."""
    assert function.__module__.rpartition(".")[2] in KERNELS
    function.__qualname__ += f"_{STAMP}"
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


@compiled
def mix(key: np.uint64, seed: np.uint64) -> float:
    """A uniform number in [0, 1) from two 64-bit integers (splitmix64 finaliser, Steele et al. 2014)."""
    z = np.uint64(key) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.float64(z >> np.uint64(11)) / 9007199254740992.0


@compiled
def mix_all(key_N: Keys, seed: np.uint64) -> Floats:
    """`mix` of every key."""
    out_N = np.empty(key_N.size, np.float64)
    for i in range(key_N.size):
        out_N[i] = mix(key_N[i], seed)
    return out_N


@compiled
def scan(gain_NK: Floats, cost_NK: Floats) -> tuple[float, float, int, int, int]:
    """(largest usable gain, largest usable cost, first bad row or -1, its slot, customers with a usable offer)."""
    top_gain, top_cost, usable, bad_row, bad_slot = 0.0, 0.0, 0, -1, -1
    for i in range(gain_NK.shape[0]):
        seen = 0
        for k in range(gain_NK.shape[1]):
            g, c = gain_NK[i, k], cost_NK[i, k]
            if (g == np.inf or (c < 0.0 and g == g)) and bad_row < 0:
                bad_row, bad_slot = i, k
            if g >= 0.0 and c < np.inf:
                seen = 1
                top_gain, top_cost = max(top_gain, g), max(top_cost, c)
        usable += seen
    return top_gain, top_cost, bad_row, bad_slot, usable


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
def quantum(value: float, scale: float) -> np.int64:
    """A cost as a whole number of quanta, rounded up so that a budget kept in quanta is kept in money."""
    return np.int64(np.ceil(value * scale))


@compiled
def tally(gain_NK: Floats, cost_NK: Floats, gain_scale: float, cost_scale: float, shift: int, first: int) -> Ints:
    """Sums of all frontier steps by price bin: columns cost, gain, newly treated, steps; row BINS is free of cost."""
    sums_B4 = np.zeros((BINS + 1, 4), np.int64)
    path_K = np.empty(gain_NK.shape[1] + 1, np.int64)
    ratio = np.empty(1, np.float64)
    bits = ratio.view(np.int64)
    for i in range(gain_NK.shape[0]):
        g0, c0, last = 0.0, 0.0, np.inf
        qg0, qc0 = np.int64(0), np.int64(0)
        for t in range(hull(gain_NK, cost_NK, i, path_K)):
            g, c = gain_NK[i, path_K[t]], cost_NK[i, path_K[t]]
            at = BINS
            if c > c0:
                last = min(last, (g - g0) / (c - c0))
                ratio[0] = last
                at = min(max((bits[0] >> shift) - first, 0), BINS - 1)
            qg, qc = np.int64(g * gain_scale), quantum(c, cost_scale)
            sums_B4[at, 0] += qc - qc0
            sums_B4[at, 1] += qg - qg0
            sums_B4[at, 2] += 1 if t == 0 else 0
            sums_B4[at, 3] += 1
            g0, c0, qg0, qc0 = g, c, qg, qc
    return sums_B4


@compiled
def gather(
    gain_NK: Floats, cost_NK: Floats, wanted_B: NDArray[np.bool_], limits: GatherLimits, choice_N: Slots
) -> tuple[Ints, Floats]:
    """Set choice_N to each row's last step in a bin above `high`; return the steps in wanted bins.

    The steps come as (row, slot left, slot reached) and price, at most `room` of them.
    """
    high, room, shift, first = limits
    step_P3, price_P = np.empty((room, 3), np.int64), np.empty(room, np.float64)
    path_K = np.empty(gain_NK.shape[1] + 1, np.int64)
    ratio = np.empty(1, np.float64)
    bits = ratio.view(np.int64)
    n = 0
    for i in range(gain_NK.shape[0]):
        g0, c0, last, before = 0.0, 0.0, np.inf, -1
        choice_N[i] = -1
        for t in range(hull(gain_NK, cost_NK, i, path_K)):
            k = path_K[t]
            g, c = gain_NK[i, k], cost_NK[i, k]
            at = BINS
            if c > c0:
                last = min(last, (g - g0) / (c - c0))
                ratio[0] = last
                at = min(max((bits[0] >> shift) - first, 0), BINS - 1)
            if at > high:
                choice_N[i] = k
            if wanted_B[at]:
                step_P3[n, 0], step_P3[n, 1], step_P3[n, 2], price_P[n] = i, before, k, last
                n += 1
            g0, c0, before = g, c, k
    return step_P3[:n].copy(), price_P[:n].copy()


@compiled
def values(columns: KernelColumns, weight_SJ4: Floats, i: int, value_K: Floats) -> tuple[float, float]:
    """Write row i's penalised values to value_K (last: none, 0); return the best and the row's largest gain."""
    gain_NK, cost_NK, units_NK, offer_NK, label_N = columns
    weight_J4 = weight_SJ4[label_N[i] if label_N.size else 0]
    K = gain_NK.shape[1]
    best, size = 0.0, 0.0
    value_K[K] = 0.0
    for k in range(K):
        g, c = gain_NK[i, k], cost_NK[i, k]
        value_K[k] = -np.inf
        if g >= 0.0 and c < np.inf:
            j = offer_NK[i, k] if offer_NK.size else k
            gain, cost = weight_J4[j, 0] * g, weight_J4[j, 1] * c
            v = gain - cost - weight_J4[j, 2]
            if units_NK.size:
                v -= weight_J4[j, 3] * units_NK[i, k]
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
def largest(value_K: Floats) -> int:
    """Where the first largest value stands."""
    at = 0
    for k in range(value_K.size):
        if value_K[k] > value_K[at]:
            at = k
    return at


@compiled
def draw(prob_K: Floats, value_K: Floats, left: float) -> int:
    """The slot in whose stretch of [0, 1) `left` falls; the last is none."""
    for k in range(prob_K.size):
        if prob_K[k] > 0.0:
            if left < prob_K[k]:
                return k
            left -= prob_K[k]
    return largest(value_K)  # the draw fell into the rounding of the probabilities


@compiled
def tied(cost_NK: Floats, i: int, value_K: Floats, floor: float, dear: bool) -> int:
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
def choose(columns: KernelColumns, key_N: Keys, weight_SJ4: Floats, ties: Ties, choice_N: Slots) -> None:
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
            at = draw(prob_K, value_K, mix(key_N[i], seed))
        else:
            at = tied(columns.cost_NK, i, value_K, best - TIE * size, share > 0.0 and mix(key_N[i], seed) < share)
        choice_N[i] = -1 if at == K else at


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
