"""Arrays or a source, a budget and limits in, an Allocation out: exact for one budget, the dual method with limits.

Where limits cannot all hold, the error names a smallest set in conflict and by how much.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from promolift.allocate.arrays import Floats, Slots
from promolift.allocate.core import (
    Allocation,
    CheckedRows,
    Chunk,
    Options,
    Prices,
    Source,
    SourceScale,
    check_budget,
    measure,
)
from promolift.allocate.dual import NOBODY, SECOND, STAGES, Dual, Priced, RowSample, draw_sample, price, total, upper
from promolift.allocate.exact import nothing, solve_budget
from promolift.allocate.limits import Rules, compile_rules
from promolift.allocate.repair import Whole, finish
from promolift.allocate.settings import Limit
from promolift.allocate.small import EXACT, PAIRS, polish
from promolift.errors import BudgetError


def solve(
    gain_NK: Floats, cost_NK: Floats, budget: float, limits: Sequence[Limit] = (), *, seed: int = 0,
    label_N: Slots | None = None,
) -> Allocation:  # fmt: skip
    """At most one offer for each of N customers within the budget and limits: the most gain, but for `gap`.

    Gains and costs are (customers, offers) in one unit of money; a gain of NaN is unknown, and neither it nor a
    negative gain is ever chosen. `label_N` gives each customer the class that limits refer to. InputError for
    impossible values, BudgetError if no plan can keep the limits.
    """
    return solve_source(lambda: (Chunk(gain_NK, cost_NK, label_N=label_N),), budget, limits, Options(seed=seed))


def solve_source(
    source: Source, budget: float, limits: Sequence[Limit] = (), options: Options | None = None,
    start: Allocation | None = None,
) -> Allocation:  # fmt: skip
    """`solve` for rows that arrive in chunks, with keys, units or several threads; `start` is a plan to begin from."""
    options = options or Options()
    budget = check_budget(budget)
    if not limits:
        return _exact(source, budget, options)
    scale = measure(source, options.threads)
    if not scale.rows:
        return nothing(budget, scale, options.seed)
    classes = max(len(scale.count_S), 1)
    return solve_rules(source, scale, compile_rules(budget, limits, classes, scale.offers), options, start)


def _exact(source: Source, budget: float, options: Options) -> Allocation:
    """One budget: the exact method, and branch and bound where there are few pairs."""
    found = solve_budget(source, budget, options.seed, options.threads)
    if found.customers > PAIRS or found.gap <= EXACT:
        return found
    scale = measure(source, options.threads)
    rules = compile_rules(budget, (), len(scale.count_S), scale.offers)
    sums_SJ4 = np.zeros((len(scale.count_S), scale.offers, 4))
    sums_SJ4[0, 0, :3] = found.gain, found.cost, found.treated
    whole = Whole(found.choice_N, sums_SJ4, rules.used(sums_SJ4), dict(found.moved), 0, np.zeros(1), sums_SJ4)
    priced = Priced(np.array([found.price]), 0.0, found.bound, 0, np.ones(1))
    better, bound = polish(source, scale, rules, priced, found.prices, whole)
    sums_4 = better.sums_SJ4.sum(axis=(0, 1))
    return replace(
        found, choice_N=better.choice_N, gain=float(sums_4[0]), cost=float(sums_4[1]), treated=int(sums_4[2]),
        bound=bound, moved=better.moved,
    )  # fmt: skip


def solve_rules(
    source: Source, scale: SourceScale, rules: Rules, options: Options, start: Allocation | None = None
) -> Allocation:
    """The dual method, its finishing step and the certificate."""
    sample = draw_sample(source, scale, options.seed, options.threads)
    start_M = None if start is None else start_prices(start, rules)
    priced = price(source, scale, rules, sample, start_M, options.threads)
    if priced.bound < 0:
        raise _refusal(source, sample, rules, None, options)
    whole = finish(source, scale, rules, sample, priced, options)
    bound = min(priced.bound, upper(rules, priced.price_M, whole.hard_SJ4, scale))
    prices = Prices(rules.weights(priced.price_M), priced.width, 0.0, options.seed)
    whole, bound = polish(source, scale, rules, replace(priced, bound=bound), prices, whole)
    if whole.broken_M.any():
        raise _refusal(source, sample, rules, whole, options)
    sums_4 = whole.sums_SJ4.sum(axis=(0, 1))
    return Allocation(
        whole.choice_N, float(sums_4[0]), float(sums_4[1]), bound, float(priced.price_M[0]),
        float(rules.bound_M[0]), int(sums_4[2]), scale.rows, prices, rules.uses(whole.sums_SJ4, priced.price_M),
        2 + priced.passes + whole.passes, whole.moved, dict(zip(rules.names, priced.price_M.tolist(), strict=True)),
    )  # fmt: skip


def _refusal(source: Source, sample: RowSample, rules: Rules, whole: Whole | None, options: Options) -> BudgetError:
    """The conflict if there is one, else which limit no whole plan was found to keep."""

    def most(changed: Source, fewer: Rules) -> float:
        scale = measure(changed, options.threads)
        part = draw_sample(changed, scale, options.seed, options.threads)
        priced = price(changed, scale, fewer, part, None, options.threads)
        sums = total(changed, scale, fewer.weights(priced.price_M), priced.width, NOBODY, options.threads)
        return min(priced.bound, upper(fewer, priced.price_M, sums.hard_SJ4, scale))

    error = conflict(source, sample, rules, most)
    if error:
        return error
    if whole is None:
        return BudgetError("limits: no plan can keep all of them; leave some out to see which are in conflict")
    m = int(np.argmax(whole.broken_M / np.maximum(np.abs(rules.bound_M), 1.0)))
    return BudgetError(
        f"limits: no whole plan was found that keeps {rules.names[m]!r}; the nearest misses it by "
        f"{whole.broken_M[m]:,.6g}. Only parts of offers could keep all limits: loosen it a little"
    )


def start_prices(start: Allocation, rules: Rules) -> Floats:
    """The old prices of rows that still exist, by name; 0 for new ones."""
    old = {"budget": start.price, **start.row_prices}
    return np.array([old.get(name, 0.0) for name in rules.names])


Bound = Callable[[Source, Rules], float]  # the most that the rules let a source gain


def in_conflict(sample: RowSample, rules: Rules) -> bool:
    """True if the sample's dual value falls below 0 under these rules."""
    dual, price_M = Dual.of(sample, rules), np.zeros(rules.rows)
    if (rules.bound_M[dual.unit_M == 0] < 0).any():
        return True  # a row that no usable pair touches asks for something
    for width, _, _, close in (*STAGES, (*SECOND, 0, 1e-5)):
        price_M = dual.descend(price_M, rules.bound_M, width, close)
        if float(rules.bound_M @ price_M) + dual.at(price_M, width).total < 0:
            return True
    return False


def smallest(sample: RowSample, rules: Rules) -> list[int]:
    """Rows of a smallest set in conflict, found by leaving out one row after the other; empty if there is none."""
    keep = list(range(rules.rows))
    if not in_conflict(sample, rules):
        return []
    for row in reversed(range(rules.rows)):
        fewer = [m for m in keep if m != row]
        if fewer and in_conflict(sample, rules.only(fewer)):
            keep = fewer
    return keep


def conflict(source: Source, sample: RowSample, rules: Rules, bound: Bound) -> BudgetError | None:
    """The error that names the set and says how far its first floor can be met; None if no conflict is found.

    Proof of conflict: with gains of at least 0 no feasible problem has a dual value below 0, so prices with a value
    below 0 show that no plan exists. A set is smallest in the sense that it has no conflict once any row is left out.
    """
    rows = smallest(sample, rules)
    if not rows:
        return None
    goal = next((m for m in rows if rules.floor_M[m]), rows[-1])
    others = rules.only([m for m in rows if m != goal])
    text = f"limits: no plan can keep {' and '.join(_said(rules, m) for m in rows)}"
    if not rules.floor_M[goal] or (others.column_T == 0).any():
        return BudgetError(f"{text}; loosen one of them")
    reach, asked = bound(_as_gain(source, rules, goal), others), -float(rules.bound_M[goal])
    kept = f" while {' and '.join(_said(others, m) for m in range(others.rows))} is kept" if others.rows else ""
    if _is_ratio(rules, goal):
        return BudgetError(f"{text}; {rules.names[goal]!r} stays {asked - reach:,.6g} short{kept}. Loosen one of them")
    most = f"{rules.names[goal]!r} reaches at most {reach:,.6g}{kept}, {asked - reach:,.6g} short"
    return BudgetError(f"{text}; {most}. Loosen one of them")


def _is_ratio(rules: Rules, m: int) -> bool:
    """Rows of several terms compare two sums."""
    return int((rules.row_T == m).sum()) > 1


def _said(rules: Rules, m: int) -> str:
    """A row in words."""
    sign = -1.0 if rules.floor_M[m] else 1.0
    if _is_ratio(rules, m):
        return f"{rules.names[m]!r}"
    return f"{rules.names[m]!r} ({'at least' if rules.floor_M[m] else 'at most'} {sign * rules.bound_M[m]:,.6g})"


def _as_gain(source: Source, rules: Rules, m: int) -> Source:
    """The source with what each pair adds to floor `m` in place of its gain."""
    from promolift.allocate.small import coefficients

    row = rules.only([m])

    def chunks() -> Iterator[Chunk]:
        start = 0
        for chunk in source():
            rows = CheckedRows.of(chunk, start)
            start += len(rows)
            usable_NK = (rows.gain_NK >= 0) & (rows.cost_NK < np.inf)
            i_P, k_P = np.nonzero(usable_NK)
            gain_NK: Floats = np.full(rows.gain_NK.shape, np.nan)
            gain_NK[i_P, k_P] = -coefficients(rows, row, i_P, k_P)[0]
            yield Chunk(gain_NK, chunk.cost_NK, chunk.units_NK, chunk.offer_NK, chunk.label_N, chunk.key_N)

    return chunks
