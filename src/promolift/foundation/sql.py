"""Run SQL on DuckDB relations and Polars frames, with values written in as literals.

DuckDB looks up relations and frames as variables of the calling function. `run_select` passes each under the name that
the statement uses. Relations take no parameters, so `bind` writes numbers and texts into the statement.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import uuid4
from weakref import finalize

import duckdb
import polars as pl
from duckdb import DuckDBPyRelation


def quote_identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_literal(value: object) -> str:
    """Return the SQL literal of None, a bool, a number, a text, or a sequence of these (a list)."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}::bigint"  # 84 days in ms overflow the int32 a bare number would get
        case float():
            return f"{value!r}::double"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case Sequence():
            return "[" + ", ".join(sql_literal(each) for each in value) + "]"
    raise TypeError(f"no SQL literal for {type(value).__name__}")


def bind(sql: str, **values: object) -> str:
    """Replace every `$name` in `sql` by its value as a literal. A name without a value raises KeyError (our fault)."""
    return re.sub(r"\$([A-Za-z_]\w*)", lambda match: sql_literal(values[match[1]]), sql)


def exact_sum_sql(value: str, bits: int = 60) -> str:
    """Return SQL of a sum of fractions, in units of 2^-bits, that is the same to the bit in any order of rows.

    A database adds in the order of its files and blocks, which hang on how customers are split. The sum of absolute
    values must stay below 2^(126 - bits).
    """
    return f"sum(round(({value}) * {2**bits}::double)::hugeint)::double / {2**bits}::double"


def run_select(query: str, **relations: DuckDBPyRelation | pl.DataFrame) -> DuckDBPyRelation:
    """Return the lazy result of a SELECT over `relations` (of one connection) and frames, which the query calls by
    these names alone.

    The first one must be a relation. No variable of the caller is seen, whatever it is called; the result keeps what
    it reads alive.
    """
    found = require_relation(_said(_connection(next(iter(relations.values()))), query, relations))
    finalize(found, len, relations).atexit = False  # it holds them as long as anything reads `found`
    return found


def materialise(relation: DuckDBPyRelation) -> DuckDBPyRelation:
    """Compute the rows of a relation once, in a temporary table that is dropped when nothing reads it any more.

    Unlike with `materialize`, the engine knows statistics of the rows: one join took a three-hundredth of the time.
    """
    name, connection = f"kept_{uuid4().hex}", _connection(relation)
    _said(connection, f"create temp table {name} as from rows", {"rows": relation})
    table = connection.table(name)
    finalize(table, _drop, connection, name).atexit = False
    return table


def _connection(relation: object) -> duckdb.DuckDBPyConnection:
    """The connection that a relation reads through. DuckDB has no public name for it, and its `relation.query` makes
    and drops a view for each call, after which all relations are bound anew: five times the time of a small statement.
    """
    connection: duckdb.DuckDBPyConnection = relation._con  # type: ignore[attr-defined]
    return connection


def _said(
    connection: duckdb.DuckDBPyConnection, query: str, relations: Mapping[str, object]
) -> DuckDBPyRelation | None:
    """What a statement gives that reads relations by their names here."""
    # DuckDB looks names up in the frame that calls it: this one holds nothing but the relations
    scope = {**relations, "connection_": connection, "query_": query}
    found: DuckDBPyRelation | None = eval("connection_.sql(query_)", {"__builtins__": {}}, scope)
    return found


def _drop(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    with suppress(duckdb.Error):  # a connection that was closed has dropped it already
        connection.sql(f"drop table {name}")


def require_relation(relation: DuckDBPyRelation | None) -> DuckDBPyRelation:
    """Return the relation of a query. DuckDB types the result as optional, for statements that return nothing."""
    assert relation is not None
    return relation


def fetch_frame(relation: DuckDBPyRelation | None) -> pl.DataFrame:
    """Return all rows of a query's relation as a frame."""
    frame: pl.DataFrame = require_relation(relation).pl()
    return frame
