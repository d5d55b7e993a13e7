"""A release's scored candidates in; the options of one customer out, at once: columns in arrays, names in lists.

Legend: R rows (customer and offer), sorted by both; `none` needs no row. A row's offer and the reason why the plan
closed it are numbers that point into `names` and `reasons`. O are the rows that the plan left open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.deliver import Option
from promolift.errors import InputError

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
OPEN = -1
NUMBERS = ("gain_cents", "cost_cents", "charge_cents")


@dataclass(slots=True)
class Slate:
    """What one customer may be given now. `at_O` are their open rows; `closed` has those closed since the release.

    `closed` maps a reason to places among all their rows in the release, open or not.
    """

    first: int
    at_O: slice | list[int]
    closed: dict[str, list[int]]


@dataclass(frozen=True, eq=False)
class ReleaseRows:
    """Read by `options` (what a record shows) or slates (what a decision needs). `targets` are those of `names`."""

    names: list[str]
    targets: dict[str, str | None]
    reasons: list[str]
    code_2R: Codes  # offer and reason
    number_3R: Floats  # gain, cost and charge in cents
    row_O: NDArray[np.int64]
    worth_O: Floats  # gain - charge
    cost_O: Floats

    @staticmethod
    def of(scored: pl.DataFrame) -> "ReleaseRows":
        """From columns offer_id, target, gain_cents, cost_cents, charge_cents, eligible, why_not.

        A missing gain or cost is unknown and closes the row. Raises InputError for numbers that cannot be.
        """
        number = pl.col(*NUMBERS)
        wrong = scored.filter(pl.any_horizontal(number.is_finite().not_().fill_null(False), pl.col("cost_cents") < 0))
        if wrong.height:
            raise InputError(f"release: {wrong.height} rows have a gain, cost or charge that cannot be: {wrong.row(0)}")
        unknown = pl.any_horizontal(pl.col("gain_cents", "cost_cents").is_null())
        why = pl.coalesce(
            pl.col("why_not"),
            pl.when(pl.col("eligible").not_().fill_null(True)).then(pl.lit("not eligible")),
            pl.when(unknown).then(pl.lit("its gain or cost is not known")),
        )
        names, offer_R = _codes(scored["offer_id"])
        reasons, why_R = _codes(scored.select(why.alias("why"))["why"])
        targets = dict(scored.unique("offer_id", keep="first").select("offer_id", "target").iter_rows())
        numbers = (scored[name].cast(pl.Float64).fill_null(0.0) for name in NUMBERS)
        number_3R = np.stack([each.to_numpy() for each in numbers])
        row_O = np.flatnonzero(why_R == OPEN)
        gain_O, cost_O, charge_O = number_3R[:, row_O]
        return ReleaseRows(
            names, targets, reasons, np.stack([offer_R, why_R]), number_3R, row_O, gain_O - charge_O, cost_O.copy()
        )

    def name(self, at: int) -> str:
        """The offer of an open row."""
        return self.names[int(self.code_2R[0, self.row_O[at]])]

    def close(self, slate: Slate, why: Callable[[int], str | None]) -> Slate:
        """The slate without the open rows that `why` has a reason to close."""
        open_now: list[int] = []
        closed = {reason: list(places) for reason, places in slate.closed.items()}
        at_O = range(slate.at_O.start, slate.at_O.stop) if isinstance(slate.at_O, slice) else slate.at_O
        for at in at_O:
            reason = why(at)
            if reason:
                closed.setdefault(reason, []).append(int(self.row_O[at]) - slate.first)
            else:
                open_now.append(at)
        return Slate(slate.first, open_now, closed)

    def options(self, span: slice) -> list[Option]:
        """The rows of a span, as options."""
        offers, closed = self.code_2R[:, span].tolist()
        gain, cost, charge = self.number_3R[:, span].tolist()
        why: Any = repeat(None)
        if closed and max(closed) != OPEN:
            why = [None if code == OPEN else self.reasons[code] for code in closed]
        return list(map(Option, map(self.names.__getitem__, offers), gain, cost, why, charge))


class _Coded(NamedTuple):
    """The distinct texts in order, and for each row which it is; OPEN where there is none."""

    texts: list[str]
    code_R: Codes


def _codes(texts: pl.Series) -> _Coded:
    known = sorted(texts.drop_nulls().unique().to_list())
    codes = texts.replace_strict(known, list(range(len(known))), default=OPEN, return_dtype=pl.Int32)
    return _Coded(known, codes.fill_null(OPEN).to_numpy())
