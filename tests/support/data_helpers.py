"""Small hand-made raw tables for the tests of the way in."""

import io

import duckdb
import polars as pl

from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import CleanedTable, clean_events

NOW_MS = 1_750_000_000_000
RULES = CleanRules(now_ms=NOW_MS)


def connect() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'; set threads = 2")
    return connection


CONNECTION = connect()


def frame(text: str) -> pl.DataFrame:
    """A CSV text as a frame of text columns; lines may be indented."""
    return pl.read_csv(io.StringIO("\n".join(line.strip() for line in text.strip().splitlines())), infer_schema=False)


def raw(rows: pl.DataFrame | str) -> duckdb.DuckDBPyRelation:
    """The rows as a source hands them over: numbered from 1."""
    table = frame(rows) if isinstance(rows, str) else rows
    numbered = table.with_row_index("_row", offset=1).with_columns(pl.col("_row").cast(pl.Int64))
    return CONNECTION.from_arrow(numbered.to_arrow())


def mapping(table: str, columns: dict[str, object], **settings: object) -> Mapping:
    return Mapping.parse({"table": table, "columns": columns, **settings}, "test")


SHOP = mapping(
    "events",
    {
        "customer_id": "who",
        "time": "at",
        "product_id": "item",
        "order_id": "order",
        "quantity": "n",
        "unit_price": "price",
    },
    cancel_prefix="C",
)


def clean(rows: pl.DataFrame | str, how: Mapping = SHOP, rules: CleanRules = RULES) -> CleanedTable:
    return clean_events(raw(rows), how, rules)


def events(rows: pl.DataFrame | str, how: Mapping = SHOP, rules: CleanRules = RULES) -> list[dict[str, object]]:
    """The accepted events as dictionaries, in their order."""
    return clean(rows, how, rules).accepted().pl().to_dicts()
