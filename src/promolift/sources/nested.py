"""A JSON or JSON-lines file in; a Parquet copy with one plain column per leaf, "a.b" for b inside a, out."""

from pathlib import Path
from uuid import uuid4

import duckdb
from duckdb.sqltypes import DuckDBPyType

from promolift.errors import InputError

ENDINGS = (".json", ".jsonl", ".ndjson")
MOST_COLUMNS = 1000
BIGGEST = 64 << 20  # bytes of one record


def flattened(connection: duckdb.DuckDBPyConnection, path: Path, work: Path) -> Path:
    """A copy in `work`, rows in their order: records one a line or in one list, lists inside them as JSON text.

    All rows are looked at for their keys. Raises InputError where the file is no list of records.
    """
    try:
        rows = connection.read_json(str(path), sample_size=-1, maximum_object_size=BIGGEST)
        _must_be_rows(path, rows)
        kinds = zip(rows.columns, rows.types, strict=True)
        columns = [leaf for name, dtype in kinds for leaf in _leaves(name, dtype, _quoted(name))]
        if len(columns) > MOST_COLUMNS:
            raise InputError(f"{path}: {len(columns)} different keys are no columns; export a table as CSV or Parquet")
        target = work / f"{uuid4().hex}.parquet"
        rows.project(", ".join(columns)).write_parquet(str(target))
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].split(": ", 1)[-1]
        raise InputError(f"{path}: not readable as JSON records ({reason}); mend that record, or export CSV") from None
    return target


def _must_be_rows(path: Path, rows: duckdb.DuckDBPyRelation) -> None:
    nested = [dtype.id in ("struct", "map", "list") or str(dtype) == "JSON" for dtype in rows.types]
    if rows.columns == ["json"] or (all(nested) and len(rows.limit(2).fetchall()) == 1):
        raise InputError(
            f"{path}: one value, not a record for each row; write one JSON object a line (in pandas "
            "orient='records', lines=True)"
        )


def _leaves(label: str, dtype: DuckDBPyType, value: str) -> list[str]:
    """Select items of a column: itself, or what a struct holds; what is no plain value as JSON text."""
    if dtype.id == "struct":
        return [
            leaf
            for name, kind in dtype.children
            if isinstance(kind, DuckDBPyType)
            for leaf in _leaves(f"{label}.{name}", kind, f"struct_extract({value}, {_text(name)})")
        ]
    if dtype.id in ("list", "map", "array", "union") or str(dtype) == "JSON":
        value = f"cast(to_json({value}) as varchar)"
    return [f"{value} as {_quoted(label)}"]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
