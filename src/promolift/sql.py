"""A statement with named parameters and its values in, the statement with literals out.

A DuckDB relation can run a statement over itself (`relation.query`) and sees other relations and frames by the names of
the calling function's variables, but takes no parameters; so `bind` writes the few numbers and names in.
"""

import re
from collections.abc import Sequence

import polars as pl
from duckdb import DuckDBPyRelation

DAY_MS = 86_400_000
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


def some(relation: DuckDBPyRelation | None) -> DuckDBPyRelation:
    """The relation a query gave; DuckDB's types allow None for statements that return nothing."""
    assert relation is not None
    return relation


def fetch(relation: DuckDBPyRelation | None) -> pl.DataFrame:
    """All rows of a query's relation as a frame."""
    frame: pl.DataFrame = some(relation).pl()
    return frame
