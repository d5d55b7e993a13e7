"""Frames as callers give them in, frames with exactly the columns of a table out: absent is missing, NaN is missing."""

import math

import polars as pl

from promolift.contract import Column, Table
from promolift.hashing import hash_units


def tidy(frame: pl.DataFrame | None, table: Table) -> pl.DataFrame:
    """`frame` with the columns and types of `table`, in order; what does not fit a column's type is missing.

    Never raises for what the frame holds: the report tells what it can.
    """
    if frame is None:
        return table.empty()
    return pl.DataFrame([_column(frame, column) for column in table.columns])


def _column(frame: pl.DataFrame, column: Column) -> pl.Series:
    if column.name not in frame.columns:
        return pl.Series(column.name, [None] * frame.height, dtype=column.dtype)
    series = frame[column.name]
    if series.dtype.is_float():
        series = (
            series.to_frame().select(pl.when(pl.col(column.name).is_finite()).then(pl.col(column.name))).to_series()
        )
    if series.dtype == column.dtype:
        return series
    if column.dtype.is_integer() and series.dtype.is_float():
        series = series.round()
    try:
        cast = series.cast(column.dtype, strict=False)
    except pl.exceptions.PolarsError:  # nested values have no cast at all
        return pl.Series(column.name, [None] * frame.height, dtype=column.dtype)
    return cast if not cast.dtype.is_float() else cast.to_frame().select(_finite(column.name)).to_series()


def _finite(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_finite()).then(pl.col(name))


def has(frame: pl.DataFrame, *names: str) -> bool:
    """True if some row has a value in every one of `names`."""
    return frame.height > 0 and frame.select(pl.all_horizontal(pl.col(n).is_not_null() for n in names).any()).item()


def sample(frame: pl.DataFrame, key: str, rows: int, seed: object) -> pl.DataFrame:
    """At most `rows` rows, chosen by a hash of `key`: the same customers whatever the order of the frame."""
    if frame.height <= rows:
        return frame.sort(key, nulls_last=True)
    drawn = frame.with_columns(pl.Series("_draw", hash_units(seed, frame[key].to_list())))
    return drawn.sort("_draw", key).head(rows).drop("_draw").sort(key, nulls_last=True)


def quantile(series: pl.Series, q: float) -> float | None:
    """The `q` quantile of what is known, None where nothing is."""
    known = series.drop_nulls()
    value = known.quantile(q, interpolation="linear") if known.len() else None
    return None if value is None else float(value)


def nice_step(low: float, high: float, bins: int) -> float:
    """A step of 1, 2 or 5 times a power of ten that covers low..high in at most about `bins` steps."""
    rough = max((high - low) / max(bins, 1), 1e-9)
    power = 10.0 ** math.floor(math.log10(rough))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= rough * 0.999), 10.0 * power)


def bin_counts(series: pl.Series, bins: int = 24, cap: float | None = None) -> list[tuple[float, float, int]]:
    """(low, high, rows) per bin of equal width, from zero or a negative minimum; values above `cap` are left out."""
    values = series.drop_nulls()
    if cap is not None:
        values = values.filter(values <= cap)
    if values.is_empty():
        return []
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    step = nice_step(min(low, 0.0), high, bins) if high > min(low, 0.0) else 1.0
    first = math.floor(min(low, 0.0) / step)
    place = ((values / step).floor() - first).cast(pl.Int64)
    rows = dict(zip(*place.value_counts().sort(place.name), strict=True))
    return [((first + i) * step, (first + i + 1) * step, int(rows.get(i, 0))) for i in range(max(rows) + 1)]
