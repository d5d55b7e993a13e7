"""A statement with named parameters and its values in, the statement with literals out.

A DuckDB relation can run a statement over itself (`relation.query`) but takes no parameters, so `bind` writes the few
numbers and names in; and it would read other relations and frames by the names of the calling function's variables, so
`run` takes every relation by the name that the statement calls it.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4
from weakref import finalize

import duckdb
import polars as pl
from duckdb import DuckDBPyRelation

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WEEK_MS = 7 * DAY_MS


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
    name, first = next(iter(relations.items()))
    # DuckDB looks names up in the frame that calls it: this one holds nothing but the relations
    scope = {**relations, "first_": first, "name_": name, "query_": query}
    found = some(eval("first_.query(name_, query_)", {"__builtins__": {}}, scope))
    finalize(found, len, relations).atexit = False  # it holds them as long as anything reads `found`
    return found


def kept(relation: DuckDBPyRelation) -> DuckDBPyRelation:
    """The relation's rows, computed now and once, in a temporary table that goes when nothing reads it any more.

    Unlike with `materialize`, the engine knows statistics of the rows: one join took a three-hundredth of the time.
    """
    name = f"kept_{uuid4().hex}"
    count = some(relation.query("rows", f"create temp table {name} as from rows"))
    table = some(count.query("rows", f"from {name}"))
    finalize(table, _drop, count, name).atexit = False
    return table


def _drop(count: DuckDBPyRelation, name: str) -> None:
    with suppress(duckdb.Error):  # a connection that was closed has dropped it already
        count.query("rows", f"drop table {name}")


def some(relation: DuckDBPyRelation | None) -> DuckDBPyRelation:
    """The relation a query gave; DuckDB's types allow None for statements that return nothing."""
    assert relation is not None
    return relation


def fetch(relation: DuckDBPyRelation | None) -> pl.DataFrame:
    """All rows of a query's relation as a frame."""
    frame: pl.DataFrame = some(relation).pl()
    return frame
