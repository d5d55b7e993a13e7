"""Run the warehouse queries of promolift.toml before step 1 and store their rows in the work folder.

With a watermark only new rows are queried: those from the last watermark on, less some days in which rows may arrive
late. They replace the stored rows of the same period, and stored rows with the same key.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from promolift.extensions.connectors.warehouse import Warehouse, open_warehouse
from promolift.foundation.errors import InputError
from promolift.foundation.hashing import sha256_of, sha256_of_file
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import fetch_frame, quote_identifier, sql_literal
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.table_writing import write_rows
from promolift.shop.configuration.configuration import RawFile
from promolift.shop.results.work_folder.run_context import Job

CHECKSUM_QUERY = (
    "select count(*) as rows, sum(hash(row)::hugeint) as hashes from rows as row"  # in whatever order they come
)


def import_tables(job: Job) -> None:
    """Ask each query for its new rows. A table that is still the same is not written anew, so that no step runs again.

    InputError where a query is refused or gives no rows, or a column that it needs is missing.
    """
    queries = {name: file for name, file in job.config.data.files.items() if file.query}
    if not queries:
        return
    with open_warehouse(job.config.warehouse) as warehouse:
        for name, file in queries.items():
            job.tell("ingest", 0.0, gettext_lazy("{name} from the warehouse", name=name))
            import_table(job.store, warehouse, name, file)


def import_table(store: Store, warehouse: Warehouse, name: str, file: RawFile) -> None:
    """Bring one table up to date; a note beside it has the hash of its query and that of its rows."""
    kept, place = f"pulled_{name}", f"data.{name}"
    mark = sha256_of("\x1f".join((file.query, file.watermark, *file.key)))
    known = store.has(kept) and store.has_json(kept) and store.load_json(kept)["query"] == mark
    since = reread_from(store.path(kept), file) if known and file.watermark else None
    with store.scratch() as scratch:
        fresh = scratch.folder / "fresh.parquet"
        write_rows(check_rows(warehouse.rows(place, incremental_query(file, since)), file, place), fresh)
        if pl.scan_parquet(fresh).select(pl.len()).collect().item() == 0:
            gone = (
                gettext_lazy("none of the rows from {since} on are there any more", since=since)
                if since is not None
                else gettext_lazy("it gives no rows")
            )
            raise InputError(
                "query_empty",
                gettext_lazy(
                    "{place}.query: {gone}; look into the warehouse, and change the query if that is right",
                    place=place,
                    gone=gone,
                ),
            )
        alike = known and pl.read_parquet_schema(fresh) == pl.read_parquet_schema(store.path(kept))
        if alike and checksum(store, store.path(kept), file, since) == checksum(store, fresh, file, since):
            return
        store.remove_json(kept)  # an interruption must not leave other rows under this mark
        if since is None or alike:
            old = retained_rows(store.path(kept), fresh, file, since) if since is not None else iter(())
            store.save(kept, chain(old, read_batches(fresh)))
            store.save_json(kept, {"query": mark, "rows": sha256_of_file(store.path(kept))})
    if since is not None and not alike:  # it has other columns than before: all of it is read anew
        import_table(store, warehouse, name, file)


def reread_from(path: Path, file: RawFile) -> Any:
    """From where on rows are asked for: the last watermark, less the days that are read again; None if it has none."""
    found = pl.scan_parquet(path).select(pl.col(file.watermark).max()).collect().item()
    return found - timedelta(days=file.reread_days) if isinstance(found, date) else found


def incremental_query(file: RawFile, since: Any) -> str:
    """The query for the rows that may be new; rows without a watermark are always among them."""
    if since is None:
        return file.query
    said = str(since) if isinstance(since, int | float | Decimal) else sql_literal(str(since))
    wm = file.watermark  # not in quotes: the warehouse finds it as it finds it in the query
    return f"select * from (\n{file.query}\n) as pulled where {wm} >= {said} or {wm} is null"


def check_rows(rows: Iterator[pl.DataFrame], file: RawFile, place: str) -> Iterator[pl.DataFrame]:
    """The same rows; InputError if they lack the watermark or a column of the key, or it is nothing that grows."""
    for frame in rows:
        for column in filter(None, (file.watermark, *file.key)):
            if column not in frame.columns:
                raise InputError(
                    "column_unknown",
                    gettext_lazy(
                        "{place}: its query gives no column {column}; it gives {columns}",
                        place=place,
                        column=repr(column),
                        columns=", ".join(frame.columns),
                    ),
                )
        kind = frame.schema.get(file.watermark, pl.Int64())
        if not (kind.is_numeric() or isinstance(kind, pl.Datetime | pl.Date)):
            raise InputError(
                "column_type_wrong",
                gettext_lazy(
                    "{place}.watermark = {watermark} is {kind}; cast it to a time, a day or a number",
                    place=place,
                    watermark=repr(file.watermark),
                    kind=kind,
                ),
            )
        yield frame


def read_batches(path: Path) -> Iterator[pl.DataFrame]:
    """The rows of a file in their order, piece by piece."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        yield from (pl.DataFrame(pl.from_arrow(batch)) for batch in file.iter_batches(131_072))


def retained_rows(path: Path, fresh: Path, file: RawFile, since: Any) -> Iterator[pl.DataFrame]:
    """The rows that stay: below `since`, and not changed by the fresh ones."""
    keys = pl.read_parquet(fresh, columns=[*file.key]).unique() if file.key else None
    for frame in read_batches(path):
        rows = frame.filter(~was_reread(file, since, frame.schema))
        yield rows if keys is None else rows.join(keys, [*file.key], "anti", nulls_equal=True, maintain_order="left")


def was_reread(file: RawFile, since: Any, schema: pl.Schema) -> pl.Expr:
    """Whether a row is one that the warehouse was asked for again."""
    column = pl.col(file.watermark)
    return column.is_null() | (column >= pl.lit(since).cast(schema[file.watermark]))


def checksum(store: Store, path: Path, file: RawFile, since: Any) -> list[Any]:
    """A number that changes with the rows from `since` on, not with their order."""
    rows = store.connection.read_parquet(str(path))
    if since is not None:
        wm, kind = quote_identifier(file.watermark), rows.types[rows.columns.index(file.watermark)]
        rows = rows.filter(f"{wm} is null or {wm} >= {sql_literal(str(since))}::{kind}")
    return list(fetch_frame(rows.query("rows", CHECKSUM_QUERY)).row(0))
