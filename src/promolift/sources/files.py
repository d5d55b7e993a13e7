"""A CSV, Parquet, JSON or Excel file in, its rows as one relation out: CSV as text, every row numbered, none lost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import duckdb

from promolift.errors import InputError
from promolift.sources import nested, workbook
from promolift.sources.raw import RawTable
from promolift.sources.text import dialect_of, is_aligned, safe_names, scan, to_tabs, to_utf8

PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data", ".log")


def open_file(
    connection: duckdb.DuckDBPyConnection, path: Path, work: Path, names: Sequence[str] | None = None
) -> RawTable:
    """The rows of a file, lazy. `work` takes a copy if the text is not UTF-8; `names` are for a file without a header.

    Raises InputError naming the file and the remedy: missing, empty, not a table, no header, no rows.
    """
    path = Path(path)
    if not path.exists():
        near = sorted(each.name for each in path.parent.glob("*") if each.suffix == path.suffix)[:5]
        raise InputError(
            f"{path}: no such file" + (f"; that folder has {', '.join(near)}" if near else "; check the path")
        )
    if path.is_dir():
        raise InputError(f"{path}: a folder; name one CSV or Parquet file")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: empty; export it again")
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] in PARQUET:
        return _open_parquet(connection, path)
    if endings and endings[-1] in workbook.ENDINGS:
        return replace(_open_text(connection, workbook.as_csv(path, _there(work)), work, names), source=path.name)
    kind = endings[-2] if len(endings) > 1 and endings[-1] == ".gz" else endings[-1] if endings else ""
    if kind in nested.ENDINGS:
        return replace(_open_parquet(connection, nested.flattened(connection, path, _there(work))), source=path.name)
    if kind not in TEXT:
        raise InputError(
            f"{path}: files ending in {kind or 'nothing'} are not read; export it as CSV (.csv, .csv.gz), Parquet, "
            "JSON lines or .xlsx"
        )
    return _open_text(connection, path, work, names)


def _there(work: Path) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    return work


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> RawTable:
    try:
        rows = connection.read_parquet(str(path), file_row_number=True)
        about = rows.aggregate("count(*)").fetchall()[0][0]
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable as Parquet ({reason}); export it again") from None
    if about == 0:
        raise InputError(f"{path}: a table without rows; export it again")
    names = [name for name in rows.columns if name != "file_row_number"]
    columns = ", ".join(f"{_quoted(old)} as {_quoted(new)}" for old, new in zip(names, safe_names(names), strict=True))
    return RawTable(rows.project(f"file_row_number + 1 as _row, {columns}"), path.name, about)


def _open_text(connection: duckdb.DuckDBPyConnection, path: Path, work: Path, names: Sequence[str] | None) -> RawTable:
    readable = path
    encoding, mixed_ends = scan(path)
    if encoding != "utf-8" or mixed_ends:
        readable = work / f"{uuid4().hex}.csv"
        to_utf8(path, encoding, readable)
    if is_aligned(readable):
        readable, spaced = work / f"{uuid4().hex}.csv", readable
        to_tabs(spaced, readable)
    dialect = dialect_of(readable, names)
    rejects = f"rejects_{uuid4().hex}"
    columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in dialect.names)
    # Not ignore_errors: with it DuckDB also drops good rows that follow a bad one; store_rejects keeps them.
    rows = connection.sql(
        f"""select row_number() over () as _row, * from read_csv({_text(str(readable))}, auto_detect = false,
            columns = {{{columns}}}, delim = {_text(dialect.delimiter)}, quote = {_text(dialect.quote)},
            escape = {_text(dialect.escape)}, header = false, skip = {dialect.skip}, store_rejects = true,
            rejects_table = {_text(rejects)}, rejects_scan = {_text(rejects + "_scan")}, rejects_limit = 0)"""
    )
    about = int(path.stat().st_size * (4 if path.suffix == ".gz" else 1) / dialect.row_bytes)
    return RawTable(rows, path.name, about, connection=connection, rejects=rejects, skipped=dialect.skip, path=readable)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
