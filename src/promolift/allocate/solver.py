"""Arrays, a budget and limits in, an Allocation out: exact for one budget, the dual method with limits.

Small problems are given to HiGHS as well, which proves the best plan. Where limits cannot all hold, the error names a
smallest set in conflict and by how much.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from promolift.allocate.arrays import Floats, Ints, Keys, Slots
from promolift.allocate.core import Allocation, ChoiceRows, Prices, Quanta, check_budget, measure
from promolift.allocate.dual import STAGES, Dual, price
from promolift.allocate.exact import solve_budget
from promolift.allocate.limits import Rules, compile_rules
from promolift.allocate.repair import SALT, Whole, counted, finish
from promolift.allocate.settings import Limit
from promolift.errors import BudgetError

SMALL = 3_000  # usable pairs up to which HiGHS looks for the best plan,
OPEN = 400  # if no more than so many of them are not settled by the gap
NODES = 500  # branches it may try: a count, so that the answer does not depend on the machine's speed
EXACT = 1e-12  # relative rounding of the sums
TOLERANCE = 1e-6  # of HiGHS: its bound is believed to this part


def solve(
    gain_NK: ArrayLike, cost_NK: ArrayLike, budget: float, limits: Sequence[Limit] = (), *, seed: int = 0,
    label_N: Slots | None = None, units_NK: Floats | None = None, key_N: Keys | None = None,
) -> Allocation:  # fmt: skip
    """At most one offer for each of N customers within the budget and limits: the most gain, but for `gap`.

    Gains and costs are (customers, offers) in one unit of money; a gain of NaN is unknown, and neither it nor a
    negative gain is ever chosen. `label_N` gives each customer the class that limits refer to, `units_NK` a third
    amount to limit; `key_N` identifies customers: left out, the position does, and then the plan depends on the order
    of rows where values tie. InputError for impossible values, BudgetError if no plan can keep the limits.
    """
    rows = ChoiceRows.of(gain_NK, cost_NK, units_NK=units_NK, label_N=label_N, key_N=key_N)
    classes = int(rows.label_N.max(initial=0)) + 1
    return solve_rows(rows, compile_rules(check_budget(budget), limits, classes, max(rows.gain_NK.shape[1], 1)), seed)


def solve_rows(rows: ChoiceRows, rules: Rules, seed: int = 0) -> Allocation:
    """`solve` under compiled rules, of which the first is the budget."""
    if rules.rows == 1 or not len(rows):
        found = solve_budget(rows, float(rules.bound_M[0]), seed)
        if found.gap <= EXACT or int(rows.usable_NK.sum()) > SMALL:
            return found
    order = rows.by_hash(seed ^ SALT)
    sorted_ = rows.part(order)
    if rules.rows > 1:
        return _unsorted(solve_rules(sorted_, rules, seed), order)
    scale = measure(rows)
    kept = counted(sorted_, rules, scale, found.choice_N[order])
    whole, bound = polish(sorted_, scale, rules, kept, found.bound, np.array([found.price]))
    gain, cost, treated, _ = whole.sums_SJ4.sum(axis=(0, 1))
    moved = found.moved + int((whole.choice_N != kept.choice_N).sum())
    mine = replace(found, choice_N=whole.choice_N, gain=gain, cost=cost, bound=bound, treated=int(treated), moved=moved)
    return _unsorted(mine, order)


def _unsorted(found: Allocation, order: Ints) -> Allocation:
    """The plan with its choices where the customers stood."""
    choice_N = np.empty_like(found.choice_N)
    choice_N[order] = found.choice_N
    return replace(found, choice_N=choice_N)


def solve_rules(rows: ChoiceRows, rules: Rules, seed: int) -> Allocation:
    """The dual method, its finishing step and the certificate, for rows in the order of their hashes."""
    scale, dual = measure(rows), Dual.of(rows, rows.hashed(seed ^ SALT), rules)
    priced = price(dual, scale)
    if priced.bound < 0:
        raise _refusal(dual, rules, None)
    prices = Prices(rules.weights(priced.price_M), priced.width, 0.0, seed)
    whole, bound = polish(rows, scale, rules, finish(dual, scale, priced, prices), priced.bound, priced.price_M)
    if whole.broken_M.any():
        raise _refusal(dual, rules, whole)
    gain, cost, treated, _ = whole.sums_SJ4.sum(axis=(0, 1))
    return Allocation(
        whole.choice_N, gain, cost, bound, float(priced.price_M[0]), float(rules.bound_M[0]), int(treated),
        rules.uses(whole.sums_SJ4, priced.price_M), int((whole.choice_N != rows.choose(prices)).sum()),
        dict(zip(rules.names, priced.price_M.tolist(), strict=True)),
    )  # fmt: skip


@contextmanager
def _unheard() -> Iterator[None]:
    """HiGHS prints a line of its debugging to stdout now and then, whatever it is asked; `--json` must not hold it."""
    library = CDLL(None) if os.name == "posix" else None
    try:
        stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no stdout
        yield
        return
    sys.stdout.flush()
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        if library is not None:
            library.fflush(None)  # what it wrote still waits in C's buffer
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)


class Bounded(NamedTuple):
    """A plan and the upper bound of what any plan can gain."""

    whole: Whole
    bound: float


def polish(rows: ChoiceRows, scale: Quanta, rules: Rules, whole: Whole, bound: float, price_M: Floats) -> Bounded:
    """The plan and an upper bound of any plan's gain, or better ones by HiGHS if there are few pairs and room.

    At the prices a plan gains the bound less what each customer loses against their best slot: a better plan takes no
    slot that loses more than the gap, so that most customers are settled before the search begins.
    """
    broken = bool(whole.broken_M.any())
    gap = np.inf if broken else bound - whole.gain
    i_P, k_P = np.nonzero(rows.usable_NK)
    if not 0 < len(i_P) <= SMALL or gap <= EXACT * bound:
        return Bounded(whole, bound)
    coef_MP, best_N = coefficients(rows, rules, i_P, k_P), np.zeros(len(rows))
    value_P = rows.gain_NK[i_P, k_P] - price_M @ coef_MP
    np.maximum.at(best_N, i_P, value_P)
    near_P = best_N[i_P] - value_P <= gap * (1 + TOLERANCE)
    if near_P.sum() > OPEN + (best_N > gap).sum():
        return Bounded(whole, bound)
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, vstack

    i_P, k_P, coef_MP = i_P[near_P], k_P[near_P], coef_MP[:, near_P]
    size = max(float(rows.gain_NK[i_P, k_P].max()), 1e-300)
    size_M = np.maximum(np.abs(coef_MP).max(axis=1), np.abs(rules.bound_M) / len(i_P))
    size_M = np.where(size_M > 0, size_M, 1.0)
    one_NP = csr_array((np.ones(len(i_P)), (i_P, np.arange(len(i_P)))), shape=(len(rows), len(i_P)))
    with _unheard():
        found = milp(
            -rows.gain_NK[i_P, k_P] / size, integrality=np.ones(len(i_P)), bounds=Bounds(0, 1),
            constraints=LinearConstraint(
                vstack([one_NP, csr_array(coef_MP / size_M[:, None])]),
                lb=np.append((best_N > gap * (1 + TOLERANCE)).astype(float), np.full(rules.rows, -np.inf)),
                ub=np.append(np.ones(len(rows)), rules.bound_M / size_M),
            ),
            options={"mip_rel_gap": 0.0, "node_limit": NODES},
        )  # fmt: skip
    if found.x is not None:
        slot_N = np.full(len(rows), -1, np.int32)
        slot_N[i_P[found.x > 0.5]] = k_P[found.x > 0.5]
        other = counted(rows, rules, scale, slot_N)
        if not other.broken_M.any() and (broken or other.gain > whole.gain):
            whole = other
    if found.mip_dual_bound is not None and not whole.broken_M.any():
        bound = max(min(bound, (TOLERANCE - found.mip_dual_bound) * size), whole.gain)
    return Bounded(whole, bound)


def coefficients(rows: ChoiceRows, rules: Rules, i_P: Ints, k_P: Ints) -> Floats:
    """What each pair adds to every rule, shape (M, pairs)."""
    label_P, offer_P = rows.label_N[i_P], rows.offer_NK[i_P, k_P]
    amount_4P = np.stack([rows.gain_NK[i_P, k_P], rows.cost_NK[i_P, k_P], np.ones(len(i_P)), rows.units_NK[i_P, k_P]])
    coef_MP = np.zeros((rules.rows, len(i_P)))
    for t, m in enumerate(rules.row_T):
        covered_P = rules.class_TS[t][label_P] * rules.offer_TJ[t][offer_P]
        coef_MP[m] += rules.weight_T[t] * covered_P * amount_4P[rules.column_T[t]]
    return coef_MP


def _refusal(dual: Dual, rules: Rules, whole: Whole | None) -> BudgetError:
    """The conflict if there is one, else which limit no whole plan was found to keep."""
    if error := conflict(dual, rules):
        return error
    if whole is None:
        return BudgetError("limits: no plan can keep all of them; leave some out to see which are in conflict")
    m = int(np.argmax(whole.broken_M / np.maximum(np.abs(rules.bound_M), 1.0)))
    return BudgetError(
        f"limits: no whole plan was found that keeps {rules.names[m]!r}; the nearest misses it by "
        f"{whole.broken_M[m]:,.6g}. Only parts of offers could keep all limits: loosen it a little"
    )


def in_conflict(whole: Dual, rules: Rules) -> bool:
    """True if the dual value falls below 0 under these rules."""
    dual, price_M = Dual.of(whole.rows, whole.rank_N, rules), np.zeros(rules.rows)
    if (rules.bound_M[dual.unit_M == 0] < 0).any():
        return True  # a rule that no usable pair touches asks for something
    for width, _, _, close in (*STAGES, (0.003, 0, 0, 1e-5)):
        price_M = dual.descend(price_M, width, close)
        if float(rules.bound_M @ price_M) + dual.at(price_M, width).total < 0:
            return True
    return False


def smallest(dual: Dual, rules: Rules) -> list[int]:
    """Rules of a smallest set in conflict, found by leaving out one after the other; empty if there is none."""
    keep = list(range(rules.rows))
    if not in_conflict(dual, rules):
        return []
    for row in reversed(range(rules.rows)):
        fewer = [m for m in keep if m != row]
        if fewer and in_conflict(dual, rules.only(fewer)):
            keep = fewer
    return keep


def conflict(dual: Dual, rules: Rules) -> BudgetError | None:
    """The error that names the set and says how far its first floor can be met; None if no conflict is found.

    Proof of conflict: with gains of at least 0 no feasible problem has a dual value below 0, so prices with a value
    below 0 show that no plan exists. A set is smallest in the sense that it has no conflict once any rule is left out.
    """
    found = smallest(dual, rules)
    if not found:
        return None
    goal = next((m for m in found if rules.floor_M[m]), found[-1])
    others = rules.only([m for m in found if m != goal])
    text = f"limits: no plan can keep {' and '.join(_said(rules, m) for m in found)}"
    if not rules.floor_M[goal] or (others.column_T == 0).any():
        return BudgetError(f"{text}; loosen one of them")
    most, asked = _most(dual, rules.only([goal]), others), -float(rules.bound_M[goal])
    kept = f" while {' and '.join(_said(others, m) for m in range(others.rows))} is kept" if others.rows else ""
    if _is_ratio(rules, goal):
        return BudgetError(f"{text}; {rules.names[goal]!r} stays {asked - most:,.6g} short{kept}. Loosen one of them")
    said = f"{rules.names[goal]!r} reaches at most {most:,.6g}{kept}, {asked - most:,.6g} short"
    return BudgetError(f"{text}; {said}. Loosen one of them")


def _most(dual: Dual, goal: Rules, others: Rules) -> float:
    """The most that the others let a floor reach: what each pair adds to it stands in place of its gain."""
    rows = dual.rows
    i_P, k_P = np.nonzero(rows.usable_NK)
    gain_NK: Floats = np.full(rows.gain_NK.shape, np.nan)
    gain_NK[i_P, k_P] = -coefficients(rows, goal, i_P, k_P)[0]
    turned = replace(rows, gain_NK=gain_NK)
    return price(Dual.of(turned, dual.rank_N, others), measure(turned)).bound


def _is_ratio(rules: Rules, m: int) -> bool:
    """Rules of several terms compare two sums."""
    return int((rules.row_T == m).sum()) > 1


def _said(rules: Rules, m: int) -> str:
    """A rule in words."""
    sign = -1.0 if rules.floor_M[m] else 1.0
    if _is_ratio(rules, m):
        return f"{rules.names[m]!r}"
    return f"{rules.names[m]!r} ({'at least' if rules.floor_M[m] else 'at most'} {sign * rules.bound_M[m]:,.6g})"
