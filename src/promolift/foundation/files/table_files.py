"""Open a CSV, Parquet, JSON or Excel file as one relation with numbered rows. CSV columns stay text, and no row is
lost.
"""

import gzip
import os.path
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple
from uuid import uuid4
from zipfile import BadZipFile, ZipFile, is_zipfile

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from promolift.foundation.errors import InputError
from promolift.foundation.files.quote_repair import split_broken_lines
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.files.text_format import (
    detect_dialect,
    detect_encoding,
    is_space_aligned,
    unique_column_names,
    write_tab_separated,
    write_utf8,
)
from promolift.foundation.files.workbook import WORKBOOK_SUFFIXES, split_sheet, workbook_as_csv
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import quote_identifier, sql_literal

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
TYPE_SAMPLE_ROWS = 10_000  # rows that are looked at for the keys of pairs
MAX_COLUMNS = 1000  # keys of JSON records
MAX_JSON_RECORD_BYTES = 64 << 20  # bytes of one record
PARQUET_SUFFIXES = (".parquet", ".pq")
NOT_DATA = re.compile(r"^__MACOSX/|(^|/)\.")  # what file managers add to an archive
MAX_NAMED = 8  # files of an archive, in an error
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data", ".log")
READABLE_SUFFIXES = (*TEXT_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES, *WORKBOOK_SUFFIXES, ".gz", ".zip")
COUNTED_BYTES = 1 << 20  # of an unpacked file that are looked at together


def open_file(
    connection: duckdb.DuckDBPyConnection, path: Path, work: Path, names: Sequence[str] | None = None
) -> RawTable:
    """Return the rows of a file, lazily. A copy goes to `work` if the text is not UTF-8; `names` are the columns of a
    file without a header.

    Raises InputError naming the file and the remedy: missing, empty, not a table, no header, no rows.
    """
    named, (path, sheet) = Path(path), split_sheet(Path(path))
    if not path.exists():
        near = sorted(each.name for each in path.parent.glob("*") if each.suffix == path.suffix)[:5]
        raise InputError(
            "file_not_found",
            (
                gettext_lazy("{path}: no such file; that folder has {near}", path=path, near=", ".join(near))
                if near
                else gettext_lazy("{path}: no such file; check the path", path=path)
            ),
        )
    if path.is_dir():
        raise InputError("file_is_folder", gettext_lazy("{path}: a folder; name one CSV or Parquet file", path=path))
    if path.stat().st_size == 0:
        raise InputError("file_empty", gettext_lazy("{path}: empty; export it again", path=path))
    endings = [suffix.lower() for suffix in path.suffixes]
    if endings and endings[-1] in PARQUET_SUFFIXES:
        return _open_parquet(connection, path)
    if endings and endings[-1] == ".zip":
        packed = unpack_one(path, _there(work))
        try:
            return replace(open_file(connection, packed, work, names), source=path.name)
        except InputError as error:  # its sentence names the file as a person knows it
            raise InputError(error.code, error.message.with_text(str(packed), str(path))) from None
    if endings and endings[-1] in WORKBOOK_SUFFIXES and not (endings[-1] == ".xls" and _is_text(path)):
        return _open_text(connection, workbook_as_csv(path, _there(work), sheet), work, names, named)
    kind = endings[-2] if len(endings) > 1 and endings[-1] == ".gz" else endings[-1] if endings else ""
    if kind in JSON_SUFFIXES:
        return replace(_open_parquet(connection, flatten_json(connection, path, _there(work))), source=path.name)
    if kind not in TEXT_SUFFIXES and kind != ".xls":
        raise InputError(
            "file_type_unsupported",
            gettext_lazy(
                "{path}: files ending in {kind} are not read; export it as CSV (.csv, .csv.gz), Parquet, "
                "JSON lines, .xlsx, .xls or a .zip with one file",
                path=path,
                kind=kind or "nothing",
            ),
        )
    return _open_text(connection, path, work, names, path)


def resolve_linked_file(folder: Path, name: str) -> Path:
    """Return the path of a file that a row names, relative to the folder of its table. Raises InputError for a path
    outside of that folder: rows may be written by strangers.
    """
    home = Path(os.path.normpath(folder.absolute()))
    path = Path(os.path.normpath(home / name))
    if not path.is_relative_to(home):
        raise InputError(
            "path_outside_folder",
            gettext_lazy(
                "{name}: it leads out of the folder of its table; put files below {home}", name=name, home=home
            ),
        )
    return path


def _there(work: Path) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    return work


def _is_text(path: Path) -> bool:
    """Whether a file called .xls is a text table or a web page, as many programs write them."""
    with path.open("rb") as file:
        head = file.read(512)
    return (
        not head.startswith((b"PK", b"\xd0\xcf\x11\xe0", b"\x09\x08", b"\x09\x04", b"\x09\x02")) and b"\0" not in head
    )


def unpack_one(path: Path, work: Path) -> Path:
    """Write the one file of a zip archive to `work`. Raises InputError for several, none, or one that is locked."""
    try:
        with ZipFile(path) as archive:
            inside = [each for each in archive.infolist() if not each.is_dir() and not NOT_DATA.search(each.filename)]
            if len(inside) != 1 or inside[0].filename.lower().endswith(".zip"):
                listed = ", ".join(each.filename for each in inside[:MAX_NAMED]) or "none"
                raise InputError(
                    "archive_not_one_file",
                    gettext_lazy(
                        "{path}: {inside} files ({listed}); unpack it and name the one meant",
                        path=path,
                        inside=len(inside),
                        listed=listed,
                    ),
                )
            target = work / f"{uuid4().hex}-{Path(inside[0].filename).name}"
            with archive.open(inside[0]) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:  # RuntimeError: encrypted
        raise InputError(
            "file_incomplete",
            gettext_lazy("{path}: cannot be unpacked ({error}); unpack it first", path=path, error=error),
        ) from None
    return target


def check_unpacked_size(path: Path, most: int) -> None:
    """Raise InputError `unpacked_too_large` for a packed file with more than `most` bytes inside, and `file_incomplete`
    for one that cannot be unpacked.

    The bytes are counted, since a packed file may state another size. Workbooks are zip archives, except .xls.
    """
    try:
        if path.suffix.lower() == ".gz":
            with gzip.open(path) as packed:
                _check_sum(_counted(packed), path, most)
        elif is_zipfile(path) and path.suffix.lower() not in PARQUET_SUFFIXES:
            with ZipFile(path) as archive:
                members = archive.infolist()
                _check_sum((each.file_size for each in members), path, most)
                _check_sum(chain.from_iterable(_counted(archive.open(each)) for each in members), path, most)
    except (BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            "file_incomplete",
            gettext_lazy("{name}: cannot be unpacked ({error}); unpack it first", name=path.name, error=error),
        ) from None


def _counted(packed: IO[bytes] | gzip.GzipFile) -> Iterator[int]:
    with packed:
        while piece := packed.read(COUNTED_BYTES):
            yield len(piece)


def _check_sum(sizes: Iterable[int], path: Path, most: int) -> None:
    if any(whole > most for whole in accumulate(sizes)):
        raise InputError(
            "unpacked_too_large",
            gettext_lazy(
                "{name}: more than {most} MB when unpacked; send a part of it, such as the last two years",
                name=path.name,
                most=f"{most >> 20:,}",
            ),
        )


def _open_parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> RawTable:
    try:
        rows = connection.read_parquet(str(path), file_row_number=True)
        about = rows.aggregate("count(*)").fetchall()[0][0]
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "file_unreadable",
            gettext_lazy("{path}: not readable as Parquet ({reason}); export it again", path=path, reason=reason),
        ) from None
    if about == 0:
        raise InputError("table_empty", gettext_lazy("{path}: a table without rows; export it again", path=path))
    leaves = _all_leaves(rows)
    names = unique_column_names([leaf.name for leaf in leaves])
    columns = ", ".join(f"{leaf.sql} as {quote_identifier(new)}" for leaf, new in zip(leaves, names, strict=True))
    return RawTable(rows.project(f"file_row_number + 1 as _row, {columns}"), path.name, about)


def _open_text(
    connection: duckdb.DuckDBPyConnection, path: Path, work: Path, names: Sequence[str] | None, called: Path
) -> RawTable:
    """A text table; `called` is what a person calls the file of which `path` may be a copy."""
    readable, notes = path, list[str]()
    encoding, mixed_ends = detect_encoding(path)
    work = _there(work)
    if encoding != "utf-8" or mixed_ends:
        readable = work / f"{uuid4().hex}.csv"
        other = write_utf8(path, encoding, readable)
        if other.lines:
            notes.append(
                gettext_lazy(
                    "{name}: {lines} lines are UTF-8, the rest {encoding}; the first is line {first}; each is "
                    "read as what it is",
                    name=called.name,
                    lines=f"{other.lines:,}",
                    encoding=encoding,
                    first=other.first,
                )
            )
    if is_space_aligned(readable):
        readable, spaced = work / f"{uuid4().hex}.csv", readable
        write_tab_separated(spaced, readable)
    dialect, whole = detect_dialect(readable, names, called), work / f"{uuid4().hex}.csv"
    if dialect.title_lines:
        notes.append(
            gettext_lazy("{title_lines} lines above the column names are left out", title_lines=dialect.title_lines)
        )
    for name in dialect.repeated_names:
        notes.append(
            gettext_lazy(
                "{name}: the column {repr_name} stands twice; the second is called '{name_2}_2'",
                name=called.name,
                repr_name=repr(name),
                name_2=name,
            )
        )
    if broken := split_broken_lines(readable, dialect, whole):
        readable = whole
        if broken[0].row < 1:
            raise InputError(
                "quote_unclosed",
                gettext_lazy(
                    "{called}: a quote in its line of column names is not closed: {text}; close it",
                    called=called,
                    text=broken[0].text[:80],
                ),
            )
    rejects = f"rejects_{uuid4().hex}"
    columns = ", ".join(f"{sql_literal(name)}: 'VARCHAR'" for name in dialect.names)
    # Not ignore_errors: with it DuckDB also drops good rows that follow a bad one; store_rejects keeps them.
    rows = connection.sql(
        f"""select row_number() over () as _row, * from read_csv({sql_literal(str(readable))}, auto_detect = false,
            columns = {{{columns}}}, delim = {sql_literal(dialect.delimiter)}, quote = {sql_literal(dialect.quote)},
            escape = {sql_literal(dialect.escape)}, header = false, skip = {dialect.skip}, store_rejects = true,
            rejects_table = {sql_literal(rejects)}, rejects_scan = {sql_literal(rejects + "_scan")},
            rejects_limit = 0)"""
    )
    about = int(path.stat().st_size * (4 if path.suffix == ".gz" else 1) / dialect.row_bytes)
    return RawTable(
        rows,
        called.name,
        about,
        connection=connection,
        rejects=rejects,
        skipped=dialect.skip,
        broken_lines=broken,
        notes=tuple(notes),
    )


def flatten_json(connection: duckdb.DuckDBPyConnection, path: Path, work: Path) -> Path:
    """Write JSON records, one per line or in one list, to a Parquet copy in `work`: "a.b" for b inside a, lists as JSON
    text.

    All rows are looked at for their keys. Raises InputError where the file is no list of records.
    """
    try:
        rows = _unwrapped(connection.read_json(str(path), sample_size=-1, maximum_object_size=MAX_JSON_RECORD_BYTES))
        _must_be_rows(path, rows)
        columns = [f"{leaf.sql} as {quote_identifier(leaf.name)}" for leaf in _all_leaves(rows)]
        if len(columns) > MAX_COLUMNS:
            raise InputError(
                "columns_too_many",
                gettext_lazy(
                    "{path}: {columns} different keys are no columns; export a table as CSV or Parquet",
                    path=path,
                    columns=len(columns),
                ),
            )
        target = work / f"{uuid4().hex}.parquet"
        rows.project(", ".join(columns)).write_parquet(str(target))
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].split(": ", 1)[-1]
        raise InputError(
            "file_unreadable",
            gettext_lazy(
                "{path}: not readable as JSON records ({reason}); repair that record, or export CSV",
                path=path,
                reason=reason,
            ),
        ) from None
    return target


# One record with one of these is no wrapper, but an order that is alone in its file.
RECORD_KEY = re.compile(r"customer|client|user|member|buyer|e-?mail|^id$|order_?(?:id|no|number)$", re.IGNORECASE)


def _unwrapped(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The records that one record wraps, as an answer of a web service: {"orders": [{...}, {...}]}."""
    lists = [name for name, dtype in zip(rows.columns, rows.types, strict=True) if _holds_records(dtype)]
    if len(lists) != 1 or any(map(RECORD_KEY.search, rows.columns)) or len(rows.limit(2).fetchall()) != 1:
        return rows
    inner = rows.project(f"unnest({quote_identifier(lists[0])}) as record")
    return inner.project("unnest(record)") if len(inner.limit(2).fetchall()) > 1 else rows


def _holds_records(dtype: DuckDBPyType) -> bool:
    child = dict(dtype.children).get("child") if dtype.id == "list" else None
    return isinstance(child, DuckDBPyType) and child.id == "struct"


def _must_be_rows(path: Path, rows: duckdb.DuckDBPyRelation) -> None:
    nested = [dtype.id in ("struct", "map", "list") or str(dtype) == "JSON" for dtype in rows.types]
    if rows.columns == ["json"] or (all(nested) and len(rows.limit(2).fetchall()) == 1):
        raise InputError(
            "json_not_records",
            gettext_lazy(
                "{path}: one value, not a record for each row; write one JSON object a line (in pandas "
                "orient='records', lines=True)",
                path=path,
            ),
        )


class ScalarField(NamedTuple):
    """A plain value inside a column: its dotted name and the SQL that reads it."""

    name: str
    sql: str


def _all_leaves(rows: duckdb.DuckDBPyRelation) -> list[ScalarField]:
    """The plain values of all columns, and those that stand in lists of keys and values, by their keys."""
    found = []
    for name, dtype in zip(rows.columns, rows.types, strict=True):
        if name != "file_row_number":
            found += [*_leaves(name, dtype, quote_identifier(name)), *_pairs(rows, name, dtype)]
    return found


def _pairs(rows: duckdb.DuckDBPyRelation, name: str, dtype: DuckDBPyType) -> list[ScalarField]:
    """What stands under each key of a list of {key, value}, as Google Analytics exports the parameters of an event."""
    inner = dict(dtype.children)["child"] if dtype.id == "list" else None
    fields = dict(inner.children) if isinstance(inner, DuckDBPyType) and inner.id == "struct" else {}
    if fields.keys() != {"key", "value"} or not isinstance(fields["value"], DuckDBPyType):
        return []
    column = quote_identifier(name)
    keys = (
        rows.limit(TYPE_SAMPLE_ROWS).project(f"unnest({column}).key::varchar as key").distinct().order("key").fetchall()
    )
    one = f"list_filter({column}, lambda pair: pair.key::varchar = {{}})[1].value"
    texts = [f"cast({leaf.sql} as varchar)" for leaf in _leaves("", fields["value"], one)]
    said = f"coalesce({', '.join([*texts, 'null'])})"
    return [ScalarField(f"{name}.{key}", said.replace("{}", sql_literal(key))) for (key,) in keys if key]


def _leaves(label: str, dtype: DuckDBPyType, value: str) -> list[ScalarField]:
    """A column itself, or what a struct holds; what is no plain value as JSON text."""
    if dtype.id == "struct":
        return [
            leaf
            for name, kind in dtype.children
            if isinstance(kind, DuckDBPyType)
            for leaf in _leaves(f"{label}.{name}", kind, f"struct_extract({value}, {sql_literal(name)})")
        ]
    if str(dtype) == "JSON":  # one odd value makes all of a column JSON: texts stay as they are
        return [ScalarField(label, f"json_extract_string({value}, '$')")]
    if dtype.id in ("list", "map", "array", "union"):
        value = f"cast(to_json({value}) as varchar)"
    return [ScalarField(label, value)]


def read_trial_file(path: Path) -> pl.DataFrame:
    """Return all rows and columns of a trial's file unchanged; those of a CSV as text.

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
            gettext_lazy(
                "{path}: {height} rows cannot be split into columns, first row {row}; repair the file, "
                "since leaving customers of a trial out would bias it",
                path=path,
                height=lost.height,
                row=lost["row"][0],
            ),
        )
    return frame
