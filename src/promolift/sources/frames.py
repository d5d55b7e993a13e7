"""A table as somebody holds it in memory or in a file in; a Polars frame out."""

from pathlib import Path
from typing import Any

import polars as pl

from promolift.errors import InputError


def as_frame(table: Any, what: str = "table") -> pl.DataFrame:
    """A Polars frame of a Polars or pandas frame, an Arrow table, columns by name, or of a CSV or Parquet file.

    `what` names it in errors. InputError for what is none of these.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if isinstance(table, str | Path):
        if not Path(table).is_file():
            raise InputError(f"{table}: no such file")
        return pl.read_parquet(table) if str(table).endswith((".parquet", ".pq")) else pl.read_csv(table)
    if type(table).__module__.split(".")[0] == "pandas":
        return pl.from_pandas(table)
    try:
        return pl.DataFrame(table)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what}: {type(table).__name__} is no table ({error}); give a data frame") from None
