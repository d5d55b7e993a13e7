"""A statement with named parameters and its values in, the statement with literals out.

DuckDB reads relations and frames by the names of the calling function's variables; `run` takes every one by the name
that the statement calls it. Relations take no parameters, so `bind` writes the few numbers and names in.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import uuid4
from weakref import finalize

import duckdb
import polars as pl
from duckdb import DuckDBPyRelation


def ident(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """A SQL literal of None, a bool, a number, a text, or a sequence of these (a list)."""
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
            return "[" + ", ".join(literal(each) for each in value) + "]"
    raise TypeError(f"no SQL literal for {type(value).__name__}")


def bind(sql: str, **values: object) -> str:
    """`sql` with every `$name` replaced by its value as a literal; a name without a value is a KeyError (our fault)."""
    return re.sub(r"\$([A-Za-z_]\w*)", lambda match: literal(values[match[1]]), sql)


def run(query: str, **relations: DuckDBPyRelation | pl.DataFrame) -> DuckDBPyRelation:
    """The lazy result of a SELECT over `relations`, one connection's, and frames, which it knows by these names alone.

    The first one must be a relation. No variable of the caller is seen, whatever it is called; the result keeps what
    it reads alive.
    """
    found = some(_said(_connection(next(iter(relations.values()))), query, relations))
    finalize(found, len, relations).atexit = False  # it holds them as long as anything reads `found`
    return found


def kept(relation: DuckDBPyRelation) -> DuckDBPyRelation:
    """The relation's rows, computed now and once, in a temporary table that goes when nothing reads it any more.

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


def some(relation: DuckDBPyRelation | None) -> DuckDBPyRelation:
    """The relation a query gave; DuckDB's types allow None for statements that return nothing."""
    assert relation is not None
    return relation


def fetch(relation: DuckDBPyRelation | None) -> pl.DataFrame:
    """All rows of a query's relation as a frame."""
    frame: pl.DataFrame = some(relation).pl()
    return frame
