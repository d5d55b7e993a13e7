"""Frames as callers give them in, frames with exactly the columns of a table out: absent is missing, NaN is missing."""

import polars as pl

from promolift.contract import Column, Table


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
