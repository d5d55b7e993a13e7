"""Rules that cannot all hold in, the error for people out: a smallest set in conflict, and by how much.

Proof of conflict: with gains of at least 0 no feasible problem has a dual value below 0, so prices with a value below
0 show that no plan exists. A set is smallest in the sense that it has no conflict once any one of its rows is left out.
"""

from collections.abc import Callable, Iterator

import numpy as np

from promolift.allocate.core import Chunk, Floats, Rows, Source
from promolift.allocate.dual import SECOND, STAGES, Dual, Sample
from promolift.allocate.limits import Rules
from promolift.errors import BudgetError

Bound = Callable[[Source, Rules], float]  # the most that the rules let a source gain


def in_conflict(sample: Sample, rules: Rules) -> bool:
    """True if the sample's dual value falls below 0 under these rules."""
    dual, price_M = Dual.of(sample, rules), np.zeros(rules.rows)
    if (rules.bound_M[dual.unit_M == 0] < 0).any():
        return True  # a row that no usable pair touches asks for something
    for width, _, _, close in (*STAGES, (*SECOND, 0, 1e-5)):
        price_M = dual.descend(price_M, rules.bound_M, width, close)
        if float(rules.bound_M @ price_M) + dual.at(price_M, width)[0] < 0:
            return True
    return False


def smallest(sample: Sample, rules: Rules) -> list[int]:
    """Rows of a smallest set in conflict, found by leaving out one row after the other; empty if there is none."""
    keep = list(range(rules.rows))
    if not in_conflict(sample, rules):
        return []
    for row in reversed(range(rules.rows)):
        fewer = [m for m in keep if m != row]
        if fewer and in_conflict(sample, rules.only(fewer)):
            keep = fewer
    return keep


def conflict(source: Source, sample: Sample, rules: Rules, bound: Bound) -> BudgetError | None:
    """The error that names the set and says how far its first floor can be met; None if no conflict is found."""
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
            rows = Rows.of(chunk, start)
            start += len(rows)
            usable_NK = (rows.gain_NK >= 0) & (rows.cost_NK < np.inf)
            i_P, k_P = np.nonzero(usable_NK)
            gain_NK: Floats = np.full(rows.gain_NK.shape, np.nan)
            gain_NK[i_P, k_P] = -coefficients(rows, row, i_P, k_P)[0]
            yield Chunk(gain_NK, chunk.cost_NK, chunk.units_NK, chunk.offer_NK, chunk.label_N, chunk.key_N)

    return chunks
