"""A CSV, Parquet, JSON or Excel file in, its rows as one relation out: CSV as text, every row numbered, none lost."""

import os.path
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from promolift.foundation.errors import InputError
from promolift.foundation.files.quote_repair import set_aside
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.files.text_format import dialect_of, is_aligned, safe_names, scan, to_tabs, to_utf8
from promolift.foundation.sql import ident, literal

if TYPE_CHECKING:
    from fastexcel import ExcelReader

RECORDS = (".json", ".jsonl", ".ndjson")
WORKBOOKS = (".xlsx", ".xlsm")
SAMPLED = 10_000  # rows that are looked at for the keys of pairs
MOST_COLUMNS = 1000  # keys of JSON records
BIGGEST = 64 << 20  # bytes of one record
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
            "file_not_found",
            f"{path}: no such file" + (f"; that folder has {', '.join(near)}" if near else "; check the path"),
        )
    if path.is_dir():
        raise InputError("file_is_folder", f"{path}: a folder; name one CSV or Parquet file")
    if path.stat().st_size == 0:
        raise InputError("file_empty", f"{path}: empty; export it again")
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] in PARQUET:
        return _open_parquet(connection, path)
    if endings and endings[-1] in WORKBOOKS:
        return replace(_open_text(connection, workbook_as_csv(path, _there(work)), work, names), source=path.name)
    kind = endings[-2] if len(endings) > 1 and endings[-1] == ".gz" else endings[-1] if endings else ""
    if kind in RECORDS:
        return replace(_open_parquet(connection, flattened(connection, path, _there(work))), source=path.name)
    if kind not in TEXT:
        raise InputError(
            "file_type_unsupported",
            f"{path}: files ending in {kind or 'nothing'} are not read; export it as CSV (.csv, .csv.gz), Parquet, "
            "JSON lines or .xlsx",
        )
    return _open_text(connection, path, work, names)


def beside(folder: Path, name: str) -> Path:
    """The file that a row names, from the folder of its table on. InputError where it leads out of that folder: rows
    may be written by strangers, and what lies elsewhere is none of theirs.
    """
    home = Path(os.path.normpath(folder.absolute()))
    path = Path(os.path.normpath(home / name))
    if not path.is_relative_to(home):
        raise InputError(
            "path_outside_folder", f"{name}: it leads out of the folder of its table; put files below {home}"
        )
    return path


def _there(work: Path) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    return work


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> RawTable:
    try:
        rows = connection.read_parquet(str(path), file_row_number=True)
        about = rows.aggregate("count(*)").fetchall()[0][0]
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError("file_unreadable", f"{path}: not readable as Parquet ({reason}); export it again") from None
    if about == 0:
        raise InputError("table_empty", f"{path}: a table without rows; export it again")
    leaves = _all_leaves(rows)
    names = safe_names([leaf.name for leaf in leaves])
    columns = ", ".join(f"{leaf.sql} as {ident(new)}" for leaf, new in zip(leaves, names, strict=True))
    return RawTable(rows.project(f"file_row_number + 1 as _row, {columns}"), path.name, about)


def _open_text(connection: duckdb.DuckDBPyConnection, path: Path, work: Path, names: Sequence[str] | None) -> RawTable:
    readable, notes = path, list[str]()
    encoding, mixed_ends = scan(path)
    if encoding != "utf-8" or mixed_ends:
        readable = work / f"{uuid4().hex}.csv"
        other = to_utf8(path, encoding, readable)
        if other.lines:
            notes.append(
                f"{path.name}: {other.lines:,} lines are UTF-8, the rest {encoding}; the first is line {other.first}; "
                "each is read as what it is"
            )
    if is_aligned(readable):
        readable, spaced = work / f"{uuid4().hex}.csv", readable
        to_tabs(spaced, readable)
    dialect, whole = dialect_of(readable, names, path), work / f"{uuid4().hex}.csv"
    if dialect.titles:
        notes.append(f"{dialect.titles} lines above the column names are left out")
    for name in dialect.repeated:
        notes.append(f"{path.name}: the column {name!r} stands twice; the second is called '{name}_2'")
    if broken := set_aside(readable, dialect, whole):
        readable = whole
        if broken[0].row < 1:
            raise InputError(
                "quote_unclosed",
                f"{path}: a quote in its line of column names is not closed: {broken[0].text[:80]}; close it",
            )
    rejects = f"rejects_{uuid4().hex}"
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in dialect.names)
    # Not ignore_errors: with it DuckDB also drops good rows that follow a bad one; store_rejects keeps them.
    rows = connection.sql(
        f"""select row_number() over () as _row, * from read_csv({literal(str(readable))}, auto_detect = false,
            columns = {{{columns}}}, delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)},
            escape = {literal(dialect.escape)}, header = false, skip = {dialect.skip}, store_rejects = true,
            rejects_table = {literal(rejects)}, rejects_scan = {literal(rejects + "_scan")}, rejects_limit = 0)"""
    )
    about = int(path.stat().st_size * (4 if path.suffix == ".gz" else 1) / dialect.row_bytes)
    return RawTable(
        rows,
        path.name,
        about,
        connection=connection,
        rejects=rejects,
        skipped=dialect.skip,
        broken=broken,
        notes=tuple(notes),
    )


def flattened(connection: duckdb.DuckDBPyConnection, path: Path, work: Path) -> Path:
    """A Parquet copy in `work` of JSON records, one a line or in one list: "a.b" for b inside a, lists as JSON text.

    All rows are looked at for their keys. Raises InputError where the file is no list of records.
    """
    try:
        rows = _unwrapped(connection.read_json(str(path), sample_size=-1, maximum_object_size=BIGGEST))
        _must_be_rows(path, rows)
        columns = [f"{leaf.sql} as {ident(leaf.name)}" for leaf in _all_leaves(rows)]
        if len(columns) > MOST_COLUMNS:
            raise InputError(
                "columns_too_many",
                f"{path}: {len(columns)} different keys are no columns; export a table as CSV or Parquet",
            )
        target = work / f"{uuid4().hex}.parquet"
        rows.project(", ".join(columns)).write_parquet(str(target))
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].split(": ", 1)[-1]
        raise InputError(
            "file_unreadable", f"{path}: not readable as JSON records ({reason}); repair that record, or export CSV"
        ) from None
    return target


# One record with one of these is no wrapper, but an order that is alone in its file.
OF_A_RECORD = re.compile(r"customer|client|user|member|buyer|e-?mail|^id$|order_?(?:id|no|number)$", re.IGNORECASE)


def _unwrapped(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The records that one record wraps, as an answer of a web service: {"orders": [{...}, {...}]}."""
    lists = [name for name, dtype in zip(rows.columns, rows.types, strict=True) if _holds_records(dtype)]
    if len(lists) != 1 or any(map(OF_A_RECORD.search, rows.columns)) or len(rows.limit(2).fetchall()) != 1:
        return rows
    inner = rows.project(f"unnest({ident(lists[0])}) as record")
    return inner.project("unnest(record)") if len(inner.limit(2).fetchall()) > 1 else rows


def _holds_records(dtype: DuckDBPyType) -> bool:
    child = dict(dtype.children).get("child") if dtype.id == "list" else None
    return isinstance(child, DuckDBPyType) and child.id == "struct"


def _must_be_rows(path: Path, rows: duckdb.DuckDBPyRelation) -> None:
    nested = [dtype.id in ("struct", "map", "list") or str(dtype) == "JSON" for dtype in rows.types]
    if rows.columns == ["json"] or (all(nested) and len(rows.limit(2).fetchall()) == 1):
        raise InputError(
            "json_not_records",
            f"{path}: one value, not a record for each row; write one JSON object a line (in pandas "
            "orient='records', lines=True)",
        )


class Leaf(NamedTuple):
    """A plain value inside a column: its dotted name and the SQL that reads it."""

    name: str
    sql: str


def _all_leaves(rows: duckdb.DuckDBPyRelation) -> list[Leaf]:
    """The plain values of all columns, and those that stand in lists of keys and values, by their keys."""
    found = []
    for name, dtype in zip(rows.columns, rows.types, strict=True):
        if name != "file_row_number":
            found += [*_leaves(name, dtype, ident(name)), *_pairs(rows, name, dtype)]
    return found


def _pairs(rows: duckdb.DuckDBPyRelation, name: str, dtype: DuckDBPyType) -> list[Leaf]:
    """What stands under each key of a list of {key, value}, as Google Analytics exports the parameters of an event."""
    inner = dict(dtype.children)["child"] if dtype.id == "list" else None
    fields = dict(inner.children) if isinstance(inner, DuckDBPyType) and inner.id == "struct" else {}
    if fields.keys() != {"key", "value"} or not isinstance(fields["value"], DuckDBPyType):
        return []
    column = ident(name)
    keys = rows.limit(SAMPLED).project(f"unnest({column}).key::varchar as key").distinct().order("key").fetchall()
    one = f"list_filter({column}, lambda pair: pair.key::varchar = {{}})[1].value"
    texts = [f"cast({leaf.sql} as varchar)" for leaf in _leaves("", fields["value"], one)]
    said = f"coalesce({', '.join([*texts, 'null'])})"
    return [Leaf(f"{name}.{key}", said.replace("{}", literal(key))) for (key,) in keys if key]


def _leaves(label: str, dtype: DuckDBPyType, value: str) -> list[Leaf]:
    """A column itself, or what a struct holds; what is no plain value as JSON text."""
    if dtype.id == "struct":
        return [
            leaf
            for name, kind in dtype.children
            if isinstance(kind, DuckDBPyType)
            for leaf in _leaves(f"{label}.{name}", kind, f"struct_extract({value}, {literal(name)})")
        ]
    if dtype.id in ("list", "map", "array", "union") or str(dtype) == "JSON":
        value = f"cast(to_json({value}) as varchar)"
    return [Leaf(label, value)]


def workbook_as_csv(path: Path, work: Path) -> Path:
    """A CSV copy in `work` of a workbook; sheets with the same columns are one table, in their order.

    Raises InputError for no workbook, no rows, or sheets that are different tables.
    """
    import fastexcel  # loads only where it is used

    target = work / f"{uuid4().hex}.csv"
    try:
        book = fastexcel.read_excel(path)
        sheets = {name: _sheet_rows(book, name) for name in book.sheet_names}
    except fastexcel.FastExcelError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "file_unreadable", f"{path}: not readable as an Excel workbook ({reason}); save the sheet as CSV"
        ) from None
    filled = {name: rows for name, rows in sheets.items() if rows.height}
    if not filled:
        raise InputError("table_empty", f"{path}: no sheet has rows; export it again")
    header = next(iter(filled.values())).row(0)
    for name, rows in filled.items():
        if rows.row(0) != header:
            raise InputError(
                "sheets_differ",
                f"{path}: sheet {name!r} has other columns than the first one; save each sheet that is meant as CSV",
            )
    whole = pl.concat(
        [
            pl.DataFrame([header], schema=next(iter(filled.values())).schema, orient="row"),
            *(r[1:] for r in filled.values()),
        ]
    )
    whole.write_csv(target, include_header=False)
    return target


def _sheet_rows(book: "ExcelReader", name: str) -> pl.DataFrame:
    """The rows of a sheet as text, the header among them; empty ones left out."""
    rows = book.load_sheet(name, header_row=None, dtypes="string").to_polars()
    days = pl.all().str.strip_suffix(" 00:00:00")  # a day is a time of midnight in Excel
    return rows.filter(pl.any_horizontal(pl.all().is_not_null())).select(days) if rows.width else rows


def raw_trial(path: Path) -> pl.DataFrame:
    """All rows and columns of a trial's file as they stand there: those of a CSV as text.

    InputError for a file that cannot be read, or with rows that cannot be split into columns: a trial that lost
    customers is no trial.
    """
    with TemporaryDirectory() as work, duckdb.connect(":memory:") as connection:
        table = open_file(connection, path, Path(work))
        frame: pl.DataFrame = table.rows.order("_row").pl().drop("_row")
        lost = table.unreadable()
    if lost.height:
        raise InputError(
            "rows_rejected",
            f"{path}: {lost.height} rows cannot be split into columns, first row {lost['row'][0]}; repair the file, "
            "since leaving customers of a trial out would bias it",
        )
    return frame
