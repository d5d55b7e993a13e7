"""A trial as a file or a frame in; one typed frame out: a row per customer, numbers as numbers, the rest as text."""

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl
import polars.selectors as cs

from promolift.errors import InputError
from promolift.sources.files import open_file


def read_trial(path: Path) -> pl.DataFrame:
    """All rows and columns of a CSV, TSV or Parquet file, `typed`; errors as in `raw_trial`."""
    return typed(raw_trial(path))


def raw_trial(path: Path) -> pl.DataFrame:
    """All rows and columns of a file as they stand there: those of a CSV as text.

    InputError for a file that cannot be read, or with rows that cannot be split into columns: a trial that lost
    customers is no trial.
    """
    with TemporaryDirectory() as work, duckdb.connect(":memory:") as connection:
        table = open_file(connection, path, Path(work))
        frame: pl.DataFrame = table.rows.order("_row").pl().drop("_row")
        lost = table.unreadable()
    if lost.height:
        raise InputError(
            f"{path}: {lost.height} rows cannot be split into columns, first row {lost['row'][0]}; mend the file, "
            "since leaving customers of a trial out would bias it"
        )
    return frame


def typed(frame: pl.DataFrame) -> pl.DataFrame:
    """The same; a text column of nothing but numbers becomes numbers. Empty text and NaN are missing."""
    return frame.with_columns(_typed(column) for column in frame).with_columns(cs.float().fill_nan(None))


def _typed(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    text = column.str.strip_chars().replace("", None)
    numbers = text.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == text.null_count() and text.null_count() < len(text) else text
