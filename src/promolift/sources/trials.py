"""A file of one trial in; one typed frame out: a row per customer, numbers as numbers, everything else as text."""

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl

from promolift.errors import InputError
from promolift.sources.files import open_file


def read_trial(path: Path) -> pl.DataFrame:
    """All rows and columns of a CSV, TSV or Parquet file; a text column of nothing but numbers becomes numbers.

    Empty text is missing. InputError for a file that cannot be read, or with rows that cannot be split into columns: a
    trial that lost customers is no trial.
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
    return frame.with_columns(_typed(column) for column in frame)


def _typed(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    text = column.str.strip_chars().replace("", None)
    numbers = text.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == text.null_count() and text.null_count() < len(text) else text
