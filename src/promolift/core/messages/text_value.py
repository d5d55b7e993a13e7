"""Estimate what a message with each text adds per customer, against customers who were held out.

The holdout was drawn before anything was sent, and it is known which offer and reason each customer in it would have
got (the design of "ghost ads": Johnson, Lewis & Nubbemeyer 2017, Journal of Marketing Research 54(6)). A text is
compared with those held out whose message could have been this text. Readers are weighted by 1 / propensity of the text
(Hajek's estimator), so that they stand for all whose message could have been it; what customers spent before takes
noise off (CUPED). Error and freedom are Welch's. An interval holds for its text alone, read once, when the windows are
over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.messages.angles import Angle
from promolift.foundation.localized_text import Language

Floats = NDArray[np.float64]
LEAST_READERS = 30  # of a text, and held out, below which no interval is given
LEAST_EXPECTED = (
    5.0  # readers of a text expected in a cell: where it is drawn too rarely its readers do not stand for it
)
SURE, POWER = 0.975, 0.8
CELL = ("angle", "language", "benefit", "scope")

TextAnswer = Literal["earns", "loses", "cannot say"]


@dataclass(frozen=True)
class TextValue:
    """What a message with a text adds, in minor units, net of its cost, with the 95 % interval; None for too few.

    `needed` is how many readers the text must have, with the holdout growing alike, before a gain as large as was
    predicted for them shows in 4 of 5 cases; None where the answer is known, or no gain was predicted.
    """

    text_id: str
    angle: Angle
    language: Language
    readers: int
    held: int
    value: float | None
    low: float | None
    high: float | None
    needed: int | None

    @property
    def answer(self) -> TextAnswer:
        """Whether the interval lies above 0, below it, or says neither."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "cannot say"
        return "earns" if self.low > 0 else "loses"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON values, which hold the answer, too."""
        return cls(**{name: value for name, value in values.items() if name != "answer"})


class _Difference(NamedTuple):
    value: float
    se: float
    freedom: float


def estimate_text_values(rows: pl.DataFrame) -> tuple[TextValue, ...]:
    """Return the value of every text that was sent, in order of text_id.

    `rows`: one per customer who got a message or was held out from one: CELL, `covers` of the offer, text_id,
    propensity and goods of the text (null for those held out; a text for certain goods competes only there), held,
    value and value_before in minor units, cost (of the message) and predicted (gain of the offer).
    """
    found = []
    for (text_id,), mine in rows.filter(~pl.col("held")).partition_by("text_id", as_dict=True).items():
        found.append(_value_of(str(text_id), mine, rows))
    return tuple(sorted(found, key=lambda each: each.text_id))


def _value_of(text_id: str, mine: pl.DataFrame, rows: pl.DataFrame) -> TextValue:
    first = mine.row(0, named=True)
    cell = [*CELL, "covers"] if first["goods"] else [*CELL]
    sizes = rows.filter(~pl.col("held")).group_by(cell).len("size")
    cells = mine.group_by(cell).agg(pl.col("propensity").mean()).join(sizes, on=cell)
    cells = cells.filter(pl.col("propensity") * pl.col("size") >= LEAST_EXPECTED)
    mine = mine.join(cells, on=cell, how="semi")
    held = rows.filter("held").join(cells, on=cell, how="semi")
    same = {"text_id": text_id, "angle": first["angle"], "language": first["language"],
            "readers": mine.height, "held": held.height}  # fmt: skip
    if min(mine.height, held.height) < LEAST_READERS:
        return TextValue(**same, value=None, low=None, high=None, needed=None)
    found = _difference(mine, held)
    reach = float(scipy.stats.t.ppf(SURE, found.freedom)) * found.se
    low, high = found.value - reach, found.value + reach
    needed, predicted = None, float(mine["predicted"].mean() or 0.0)  # type: ignore[arg-type]
    if low <= 0 <= high and predicted > 0:
        power = float(scipy.stats.norm.ppf(SURE) + scipy.stats.norm.ppf(POWER))
        needed = max(mine.height + 1, int(np.ceil(mine.height * (power * found.se / predicted) ** 2)))
    return TextValue(**same, value=found.value, low=low, high=high, needed=needed)


def _difference(mine: pl.DataFrame, held: pl.DataFrame) -> _Difference:
    """Readers of the text, weighted, less those held out."""
    before = np.concatenate([each["value_before"].to_numpy() for each in (mine, held)])
    value = np.concatenate([(mine["value"] - mine["cost"]).to_numpy(), held["value"].to_numpy()])
    weight = np.concatenate([1 / mine["propensity"].to_numpy(), np.ones(held.height)])
    read = np.arange(value.size) < mine.height
    slope = _slope(value, before, read)
    rest = value - slope * before
    means, errors, sizes = [], [], []
    for side in (read, ~read):
        share = weight[side] / weight[side].sum()
        mean = float(share @ rest[side])
        means.append(mean)
        errors.append(float((share**2) @ (rest[side] - mean) ** 2))
        sizes.append(1 / float((share**2).sum()))
    errors = [error * size / (size - 1) for error, size in zip(errors, sizes, strict=True)]
    variance = sum(errors)
    parts = sum(error**2 / (size - 1) for error, size in zip(errors, sizes, strict=True))
    return _Difference(means[0] - means[1], variance**0.5, variance**2 / parts if parts else 1.0)


def _slope(value: Floats, before: Floats, read: NDArray[np.bool_]) -> float:
    """How much of what was spent before is spent again, within readers and within those held out."""
    own, past = value.copy(), before.copy()
    for side in (read, ~read):
        own[side] -= own[side].mean()
        past[side] -= past[side].mean()
    square = float(past @ past)
    return float(past @ own) / square if square > 0 else 0.0
