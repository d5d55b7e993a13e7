"""Turn table columns into typed rows, quantiles and histograms for reports."""

import math
from typing import Self, TypeVar

import polars as pl

from promolift.foundation.settings import Settings

Row = TypeVar("Row", bound=Settings)
MOST_BARS = 22
CAP = 0.98  # a histogram is drawn up to this quantile: a few large values would squeeze all others


def nulls_for_non_finite(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace NaN and infinity by null."""
    real = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    return frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in real)


def rows_as(kind: type[Row], frame: pl.DataFrame) -> tuple[Row, ...]:
    """Return the rows of a frame as `kind`, by the names of its fields; further columns are left out."""
    return tuple(kind(**row) for row in nulls_for_non_finite(frame.select(*kind.model_fields)).iter_rows(named=True))


def quantile(series: pl.Series, q: float) -> float | None:
    """The `q` quantile of what is known, None where nothing is."""
    value = series.drop_nulls().quantile(q, interpolation="linear")
    return None if value is None else float(value)


class Bar(Settings):
    """How many customers lie in [low, high)."""

    low: float
    high: float
    customers: int


class Histogram(Settings):
    """A figure of all `customers` of whom it is known, in its own unit: the quartiles, and bars of equal width.

    `above` customers lie beyond `cap` and in no bar.
    """

    customers: int
    lower: float
    middle: float
    upper: float
    cap: float
    above: int
    bars: tuple[Bar, ...]

    @classmethod
    def of(cls, values: pl.Series) -> Self | None:
        known = values.drop_nulls()
        lower, middle, upper, cap = (quantile(known, q) for q in (0.25, 0.5, 0.75, CAP))
        if lower is None or middle is None or upper is None or cap is None:
            return None
        return cls(
            customers=known.len(), lower=lower, middle=middle, upper=upper, cap=cap, above=int((known > cap).sum()),
            bars=bars(known.filter(known <= cap)),
        )  # fmt: skip


def bars(values: pl.Series, most: int = MOST_BARS) -> tuple[Bar, ...]:
    """About `most` bars of equal width, from zero or a negative minimum; `values` holds no null and is not empty."""
    low, high = min(float(values.min()), 0.0), float(values.max())  # type: ignore[arg-type]
    step = nice_step(low, high, most) if high > low else 1.0
    first = math.floor(low / step)
    place = ((values / step).floor() - first).cast(pl.Int64)
    rows = dict(zip(*place.value_counts().sort(place.name), strict=True))
    return tuple(
        Bar(low=(first + i) * step, high=(first + i + 1) * step, customers=rows.get(i, 0)) for i in range(max(rows) + 1)
    )


def nice_step(low: float, high: float, most: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that covers low..high in at most about `most` steps."""
    rough = max((high - low) / max(most, 1), 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= rough * 0.999), 10.0 * power)
