"""Compile limits to constraints: each is a sum over customers and offers that may not exceed its bound.

A coefficient is a weighted sum of gain, cost, count and units, and depends on the pair through the customer's class and
the offer alone. S classes of customers, J offers, M limit rows (the budget is row 0), T terms of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.core.allocation.algorithms.arrays import Floats, Ints, LimitUsage
from promolift.core.allocation.settings import Limit, Measure
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy

ROUNDING_TOLERANCE = 1e-12  # of the amounts added up: a difference of sums cannot be known closer
MEASURE_COLUMNS = {"gain": 0, "cost": 1, "count": 2, "units": 3}


@dataclass(frozen=True, eq=False)
class Constraints:
    """All rows, each `sum <= bound`; a floor is a row with its signs turned.

    Term t adds `weight_T[t]` times the sum of column `column_T[t]` over its classes and offers to row `row_T[t]`.
    """

    names: tuple[str, ...]
    floor_M: NDArray[np.bool_]
    bound_M: Floats
    row_T: Ints
    column_T: Ints
    weight_T: Floats
    class_TS: Floats
    offer_TJ: Floats

    @property
    def rows(self) -> int:
        return len(self.bound_M)

    def weights(self, price_M: Floats) -> Floats:
        """Weights for the kernels at the given prices: gain counts 1, less what the rows charge."""
        weight_SJ4 = np.zeros((self.class_TS.shape[1], self.offer_TJ.shape[1], 4))
        weight_SJ4[:, :, 0] = 1.0
        charge_T = price_M[self.row_T] * self.weight_T * np.where(self.column_T == 0, -1.0, 1.0)
        for column in range(4):
            at = (self.column_T == column) & (charge_T != 0)
            if at.any():
                weight_SJ4[:, :, column] += (self.class_TS[at].T * charge_T[at]) @ self.offer_TJ[at]
        return weight_SJ4

    def term_sums(self, sums_SJ4: Floats) -> Floats:
        """The sum behind each term, before its weight."""
        sums_T = np.zeros(len(self.row_T))
        for column in range(4):
            at = self.column_T == column
            sums_T[at] = ((self.class_TS[at] @ sums_SJ4[:, :, column]) * self.offer_TJ[at]).sum(axis=1)
        return sums_T

    def used(self, sums_SJ4: Floats) -> Floats:
        """Left side of every row from sums in real units."""
        used_M: Floats = np.bincount(self.row_T, self.weight_T * self.term_sums(sums_SJ4), self.rows).astype(float)
        return used_M

    def excess(self, sums_SJ4: Floats) -> Floats:
        """How far each row is broken, 0 if kept; a row of several terms may miss by 1e-12 of what it adds up."""
        part_T = self.weight_T * self.term_sums(sums_SJ4)
        used_M = np.bincount(self.row_T, part_T, self.rows)
        rounding_M = ROUNDING_TOLERANCE * np.bincount(self.row_T, np.abs(part_T), self.rows)
        rounding_M[np.bincount(self.row_T, minlength=self.rows) == 1] = 0.0
        over_M = used_M - self.bound_M
        return np.where(over_M > rounding_M, over_M, 0.0)

    def only(self, keep: Sequence[int]) -> "Constraints":
        new = {m: at for at, m in enumerate(keep)}
        t = [at for at, m in enumerate(self.row_T.tolist()) if m in new]
        row_T = np.array([new[m] for m in self.row_T[t].tolist()], np.int64)
        return Constraints(
            tuple(self.names[m] for m in keep), self.floor_M[list(keep)], self.bound_M[list(keep)],
            row_T, self.column_T[t], self.weight_T[t], self.class_TS[t], self.offer_TJ[t],
        )  # fmt: skip

    def uses(self, sums_SJ4: Floats, price_M: Floats) -> tuple[LimitUsage, ...]:
        """What the plan uses of every limit, in the unit the limit was written in; the budget is left out."""
        sums_T, out = self.term_sums(sums_SJ4), []
        for m in range(1, self.rows):
            first, *rest = np.flatnonzero(self.row_T == m)
            used, bound, price = float(sums_T[first]), abs(float(self.bound_M[m])), float(price_M[m])
            if not rest:
                bound = float(self.bound_M[m] * self.weight_T[first])
            else:  # a ratio: the second term holds the bound and what is divided by
                whole = float(sums_T[rest[0]])
                bound = float(-self.weight_T[rest[0]] * self.weight_T[first])
                used, price = (used / whole, price * whole) if whole else (bound, 0.0)
            out.append(LimitUsage(self.names[m], used, bound, bool(self.floor_M[m]), price))
        return tuple(out)


class LimitMask(NamedTuple):
    """The classes and the offers that a limit covers."""

    class_S: NDArray[np.bool_]
    offer_J: NDArray[np.bool_]


def compile_constraints(budget: float, limits: Sequence[Limit], classes: int, offers: int) -> Constraints:
    """Budget and limits on arrays as rows. ConfigError if a name occurs twice or a label or offer is out of range."""
    masks = [
        LimitMask(_mask(lim, lim.labels, classes, "labels"), _mask(lim, lim.offers, offers, "offers")) for lim in limits
    ]
    return stack_constraints(budget, limits, masks, LimitMask(np.ones(classes, np.bool_), np.ones(offers, np.bool_)))


def _mask(limit: Limit, chosen: Sequence[int | str], size: int, field: str) -> NDArray[np.bool_]:
    if limit.where:
        raise ConfigError(
            "limit_scope_invalid",
            gettext_lazy(
                "limit {name}: 'where' names columns of a table; on arrays use labels and offers", name=repr(limit.name)
            ),
        )
    bad = [c for c in chosen if not isinstance(c, int) or not 0 <= c < size]
    if bad:
        raise ConfigError(
            "limit_value_unknown",
            gettext_lazy(
                "limit {name}: {field} {bad} are outside 0 to {size}",
                name=repr(limit.name),
                field=field,
                bad=bad,
                size=size - 1,
            ),
        )
    mask = np.full(size, not chosen, np.bool_)
    mask[[int(c) for c in chosen]] = True
    return mask


def stack_constraints(
    budget: float, limits: Sequence[Limit], masks: Sequence[LimitMask], everything: LimitMask
) -> Constraints:
    """Rows from limits and what each covers; row 0 is the budget over everything."""
    names = [limit.name for limit in limits]
    twice = sorted({name for name in names if names.count(name) > 1 or name == "budget"})
    if twice:
        raise ConfigError(
            "name_duplicate",
            gettext_lazy("limits: the name {twice} is taken; give every limit a name of its own", twice=repr(twice[0])),
        )
    rows: list[tuple[str, bool, float]] = [("budget", False, budget)]
    terms: list[tuple[int, int, float, LimitMask]] = [(0, MEASURE_COLUMNS["cost"], 1.0, everything)]
    for limit, mask in zip(limits, masks, strict=True):
        for side in limit_bounds(limit):
            terms += [(len(rows), col, weight, everything if whole else mask) for col, weight, whole in side.parts]
            rows.append((side.name, side.floor, side.bound))
    row_T, column_T, weight_T, spots = zip(*terms, strict=True)
    return Constraints(
        tuple(row[0] for row in rows), np.array([row[1] for row in rows]), np.array([row[2] for row in rows], float),
        np.array(row_T, np.int64), np.array(column_T, np.int64), np.array(weight_T, float),
        np.array([spot.class_S for spot in spots], float), np.array([spot.offer_J for spot in spots], float),
    )  # fmt: skip


class LimitTerm(NamedTuple):
    """One term of a row: the column that is added up, its weight, and whether over everything or what is covered."""

    column: int
    weight: float
    whole: bool


class LimitBound(NamedTuple):
    """One bound of a limit as a row: sum of its parts <= bound, signs turned for a floor."""

    name: str
    floor: bool
    bound: float
    parts: tuple[LimitTerm, ...]


def limit_bounds(limit: Limit) -> list[LimitBound]:
    """The rows that a limit becomes: one for each bound it states."""
    both, found = limit.at_most is not None and limit.at_least is not None, []
    for bound, floor in ((limit.at_most, False), (limit.at_least, True)):
        if bound is not None:
            sign = -1.0 if floor else 1.0
            value = (
                sign * bound if limit.measure in MEASURE_COLUMNS else limit.slack
            )  # a ratio becomes a difference of sums
            name = f"{limit.name} ({'at least' if floor else 'at most'})" if both else limit.name
            terms = _terms(limit.measure, bound)
            signed = tuple(LimitTerm(term.column, sign * term.weight, term.whole) for term in terms)
            found.append(LimitBound(name, floor, value, signed))
    return found


def _terms(measure: Measure, bound: float) -> list[LimitTerm]:
    """The terms of a row that holds `measure` to at most `bound`."""
    if measure == "return":
        return [LimitTerm(MEASURE_COLUMNS["gain"], 1.0, False), LimitTerm(MEASURE_COLUMNS["cost"], -bound, False)]
    if measure in ("count_share", "cost_share"):
        column = MEASURE_COLUMNS[measure.removesuffix("_share")]
        return [LimitTerm(column, 1.0, False), LimitTerm(column, -bound, True)]
    return [LimitTerm(MEASURE_COLUMNS[measure], 1.0, False)]
