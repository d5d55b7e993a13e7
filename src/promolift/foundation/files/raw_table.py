"""The common result of every data source: the numbered rows of one raw table, unchanged, and the rows that could not be
read.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import polars as pl

from promolift.foundation.files.quote_repair import BrokenLine
from promolift.foundation.sql import quote_identifier

Relation = duckdb.DuckDBPyRelation
SIMPLE_TYPES = """VARCHAR BOOLEAN TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT FLOAT DOUBLE
    DECIMAL DATE TIME TIMESTAMP TIMESTAMP_S TIMESTAMP_MS TIMESTAMP_NS"""  # types that a frame takes as they are


@dataclass(frozen=True)
class RawTable:
    """One raw table: its rows with `_row` from 1, its name for reports, and its column mapping as plain values if it is
    known.

    `estimated_rows` is the number of rows, exact for Parquet and estimated for text. `rejects` names the table in which
    DuckDB collects the rows that it could not split into columns, filled as the rows are read. `skipped` is the number
    of lines above the first row. `broken_lines` are lines that DuckDB was not given. `notes` is what a person should
    know about the file.
    """

    rows: Relation = field(repr=False)
    source: str
    estimated_rows: int = 0
    mapping: dict[str, Any] = field(default_factory=dict)
    connection: duckdb.DuckDBPyConnection | None = None
    rejects: str = ""
    skipped: int = 0
    broken_lines: Sequence[BrokenLine] = ()
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The source's own columns."""
        return [name for name in self.rows.columns if name != "_row"]

    def sample(self, size: int = 2000) -> pl.DataFrame:
        """Return up to `size` rows from all parts of the table, in their order (the first rows alone would cover only
        one day).

        Eight neighbours are taken together, so that an order's lines are seen beside each other. The choice is by
        arithmetic on the row number: the same on every machine.
        """
        mixed = (
            self._simple().project("*, (_row // 8 * 2654435761) % 4294967296 as _mix").order("_mix, _row").limit(size)
        )
        rows: pl.DataFrame = mixed.pl()
        return rows.sort("_row").drop("_row", "_mix")

    def _simple(self) -> Relation:
        """The rows with columns of rarer types (intervals, bits, lists, ...) as text."""
        columns = []
        for name, dtype in zip(self.rows.columns, self.rows.types, strict=True):
            quoted = quote_identifier(name)
            plain = str(dtype).split("(")[0].removesuffix(" WITH TIME ZONE") in SIMPLE_TYPES.split() and not str(
                dtype
            ).endswith("]")
            columns.append(quoted if plain else f"cast({quoted} as varchar) as {quoted}")
        return self.rows.project(", ".join(columns))

    def unreadable(self) -> pl.DataFrame:
        """Return the rows that could not be split into columns, as the table `rejected`.

        Complete once all rows have been read; empty for Parquet. Their `row` counts all rows of the file, while `_row`
        counts those that could be read.
        """
        schema = {"source": pl.String, "row": pl.Int64, "reason": pl.String, "raw": pl.String}
        if self.connection is None or not self._has_rejects():
            return pl.DataFrame(schema=schema)
        found = self.connection.execute(
            f"select line, min(csv_line), min(error_type::varchar) from {self.rejects} group by line order by line"
        ).fetchall()
        lines = [(line.row, line.text, "quotes that do not fit") for line in self.broken_lines]
        above = 0  # broken lines, which DuckDB does not see
        for at, text, problem in found:
            while above < len(self.broken_lines) and self.broken_lines[above].row <= at - self.skipped + above:
                above += 1
            lines.append((at - self.skipped + above, text, problem))
        rows = [(self.source, row, "unreadable row", _as_json(text, problem)) for row, text, problem in sorted(lines)]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _has_rejects(self) -> bool:
        assert self.connection is not None
        found = self.connection.execute("select count(*) from duckdb_tables() where table_name = ?", [self.rejects])
        return bool(found.fetchall()[0][0])


def _as_json(line: str | None, problem: str) -> str:
    return json.dumps({"line": line or "", "problem": problem.lower()}, ensure_ascii=False)
