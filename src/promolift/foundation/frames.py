"""Convert tables of any common kind to Polars frames, and escape formulas before an export to a spreadsheet."""

from pathlib import Path
from typing import Any

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy


def as_frame(table: Any, what: str = "table") -> pl.DataFrame:
    """Return a Polars frame of a Polars or pandas frame, an Arrow table, a DuckDB relation, columns by name, or of a
    CSV or Parquet file.

    Names of pandas rows (an index other than 0, 1, 2 ..) become columns before the others. `what` names the table in
    errors. InputError for what is none of these.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if isinstance(table, str | Path):
        if not Path(table).is_file():
            raise InputError("file_not_found", gettext_lazy("{table}: no such file", table=table))
        return pl.read_parquet(table) if str(table).endswith((".parquet", ".pq")) else pl.read_csv(table)
    if is_pandas(table):
        return _of_pandas(table, what)
    try:
        return pl.DataFrame(table)
    except (TypeError, ValueError) as error:
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "{what}: {name} is no table ({error}); give a data frame",
                what=what,
                name=type(table).__name__,
                error=error,
            ),
        ) from None


def without_constants(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with every column written out.

    Polars keeps a column of one repeated value, such as a join with a single row leaves, as that value. To divide by
    it, it multiplies by the reciprocal, and the last bit of a result then depends on how many rows there are.
    """
    return pl.DataFrame(frame.get_columns())


def is_pandas(table: Any) -> bool:
    """Return whether the table is a pandas frame or series, without importing pandas."""
    return type(table).__module__.split(".")[0] == "pandas"


def _of_pandas(table: Any, what: str) -> pl.DataFrame:
    if not hasattr(table, "columns"):  # a series
        table = table.to_frame()
    if type(table.index).__name__ != "RangeIndex":
        names = [f"index_{n}" if name is None else str(name) for n, name in enumerate(table.index.names)]
        table = table.reset_index(names=names) if not set(names) & set(map(str, table.columns)) else table
    names = list(map(str, table.columns))
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(
            "column_duplicate",
            gettext_lazy("{what}: two columns are called {twice}; rename one", what=what, twice=repr(twice)),
        )
    return pl.DataFrame([_column(name, table.iloc[:, at]) for at, name in enumerate(names)])


def _column(name: str, column: Any) -> pl.Series:
    """Text, categories, dates and pandas' own missing values; what mixes kinds is kept as text."""
    found: pl.Series
    try:
        found = pl.DataFrame({name: pl.from_pandas(column)}).to_series()
    except (pl.exceptions.PolarsError, TypeError, ValueError):  # pyarrow's errors are of the last two kinds
        known = column.notna()
        found = pl.Series([str(value) if there else None for value, there in zip(column, known, strict=True)])
    return (found.cast(pl.String) if found.dtype in (pl.Categorical, pl.Enum) else found).alias(name)


# What spreadsheets take for the start of a formula, the full-width forms included, also behind blanks.
FORMULA_START = r"^[\s\x00-\x1f\x{feff}\x{200b}]*[=+\-@＝＋－＠]|^[\t\r\n]"


def escape_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Put a ' before every text cell that a spreadsheet would read as a formula. Numbers stay numbers."""
    text = pl.col(pl.String)
    return frame.with_columns(
        pl.when(text.str.contains(FORMULA_START)).then(pl.lit("'") + text).otherwise(text).name.keep()
    )
