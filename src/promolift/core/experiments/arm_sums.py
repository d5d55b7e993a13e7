"""Sum customers' values by arm; the sums are all that a comparison of arms needs.

Legend: C columns (outcomes, denominators, covariates from before the experiment). One row is one customer, the unit
that was randomised. Sums of whole cents are exact up to 2^53.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
Key = tuple[str, ...]


@dataclass(frozen=True)
class OutlierCap:
    """Values beyond `low` or `high` count as the limit. `source` tells how it was fixed without the results."""

    source: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ArmSums:
    """What is kept of the customers of one arm: their number, the sums of C columns and of all products of two.

    `product` is the upper triangle, row by row. `clipped` counts the values each cap has changed.
    """

    columns: tuple[str, ...]
    n: int
    total: tuple[float, ...]
    product: tuple[float, ...]
    caps: tuple[OutlierCap | None, ...]
    clipped: tuple[int, ...]

    def at(self, column: str) -> int:
        """Place of a column; InputError names the known ones."""
        if column not in self.columns:
            raise InputError(
                "column_unknown",
                gettext_lazy(
                    "sums: no column {column}; there are {columns}",
                    column=repr(column),
                    columns=", ".join(self.columns),
                ),
            )
        return self.columns.index(column)

    def is_rate(self, column: str) -> bool:
        """Whether all values are 0 or 1: only then do whole numbers and their squares have the same sum."""
        return self.total[self.at(column)] == self.product[self._square(self.at(column))]

    def _square(self, at: int) -> int:
        """Place of a column's own square in the upper triangle."""
        return at * len(self.columns) - at * (at - 1) // 2

    @property
    def mean_C(self) -> Floats:
        if self.n < 1:
            raise SupportError("too_few_customers", gettext_lazy("sums: no customer, so there is no mean"))
        return np.array(self.total) / self.n

    @property
    def covariance_CC(self) -> Floats:
        """Unbiased covariances; a variance that is lost in the rounding of its sums (mean / sd above 1e6) is 0."""
        if self.n < 2:
            raise SupportError(
                "too_few_customers", gettext_lazy("sums: {n} customer, so there is no variance", n=self.n)
            )
        size = len(self.columns)
        square_CC = np.zeros((size, size))
        square_CC[np.triu_indices(size)] = self.product
        square_CC += np.triu(square_CC, 1).T
        spread_CC = square_CC - np.outer(self.total, self.total) / self.n
        lost = np.diag(spread_CC) <= 1e-12 * np.diag(square_CC)
        spread_CC[lost, :] = 0.0
        spread_CC[:, lost] = 0.0
        covariance: Floats = spread_CC / (self.n - 1)
        return covariance


def sum_by_group(
    rows: pl.DataFrame,
    columns: Sequence[str],
    by: Sequence[str] = ("arm",),
    caps: Mapping[str, OutlierCap] | None = None,
) -> dict[Key, ArmSums]:
    """Sums of every group of `by`, such as arm or arm and segment, from one row per customer.

    Raises InputError if a value or a group is missing: an unknown outcome is not zero, and leaving customers out after
    the draw can bias the comparison.
    """
    limits = dict(caps or {})
    if unknown := sorted(set(limits) - set(columns)):
        raise InputError(
            "column_unknown",
            gettext_lazy(
                "caps: {unknown} are not among the summed columns {columns}", unknown=unknown, columns=list(columns)
            ),
        )
    names = tuple(dict.fromkeys(columns))
    wide = _sum_frame(rows, names, by, limits)
    size = len(names)
    pairs = size * (size + 1) // 2
    found = {}
    for row in wide.sort(*by).iter_rows():
        key, (n, bad), rest = row[: len(by)], row[len(by) : len(by) + 2], row[len(by) + 2 :]
        if bad or None in key:
            code = "value_missing" if bad else "group_missing"
            what = (
                gettext_lazy("{bad} of {n} rows have no finite value in {names}", bad=bad, n=n, names=list(names))
                if bad
                else gettext_lazy("{n} rows have no group", n=n)
            )
            raise InputError(
                code,
                gettext_lazy(
                    "sums of {dict}: {what}; a missing value is not zero",
                    dict=dict(zip(by, key, strict=True)),
                    what=what,
                ),
            )
        if n:
            total, product, clipped = rest[:size], rest[size : size + pairs], rest[size + pairs :]
            limited = tuple(limits.get(name) for name in names)
            found[tuple(map(str, key))] = ArmSums(names, n, tuple(total), tuple(product), limited, tuple(clipped))
    return found


def _sum_frame(rows: pl.DataFrame, names: Key, by: Sequence[str], caps: Mapping[str, OutlierCap]) -> pl.DataFrame:
    _known([*names, *by], rows.columns)
    raw = {name: pl.col(name).cast(pl.Float64) for name in names}
    value = {name: each.clip(caps[name].low, caps[name].high) if name in caps else each for name, each in raw.items()}
    sums = [
        pl.len().alias("n"),
        pl.any_horizontal(~each.is_finite().fill_null(False) for each in raw.values()).sum().alias("bad"),
        *(each.sum().alias(f"t{i}") for i, each in enumerate(value.values())),
        *((a * b).sum().alias(f"p{i}") for i, (a, b) in enumerate(combinations_with_replacement(value.values(), 2))),
        *((value[name] != raw[name]).sum().alias(f"c{i}") for i, name in enumerate(names)),
    ]
    return rows.group_by(list(by)).agg(sums)


def _known(names: Iterable[str], columns: Sequence[str]) -> None:
    if missing := sorted(set(names) - set(columns)):
        raise InputError(
            "column_missing",
            gettext_lazy(
                "sums: columns {missing} are missing; the rows have {columns}", missing=missing, columns=list(columns)
            ),
        )
