"""Read queries from a data warehouse as frames, and replace rows of its tables.

Every warehouse is reached through its ADBC driver (Arrow Database Connectivity), so rows travel as Arrow tables with
the types that the driver gives them. Credentials come from environment variables only.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import polars as pl
from pydantic import Field

from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings
from promolift.foundation.sql import quote_identifier, sql_literal

VALID_EPOCH_DAYS = range(-719_162, 2_932_897)  # from 1970-01-01 to the first and the last day that a calendar prints
UNITS_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
UUID_GROUPS = (0, 8), (8, 4), (12, 4), (16, 4), (20, 12)


class WarehouseSettings(Settings):
    """The warehouse that tables with a `query` are read from, and that `promolift export` writes to."""

    driver: Literal["postgresql", "duckdb", "snowflake", "bigquery", "flightsql"] = Field(
        default="postgresql",
        description="Its ADBC driver: the Python package adbc-driver-NAME; that of DuckDB is there already.",
        examples=["duckdb"],
    )
    uri_env: str = Field(
        default="PROMOLIFT_WAREHOUSE",
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="The environment variable that holds its address, password and all, such as "
        "postgresql://reader:...@host/shop; for DuckDB the path of the file.",
    )
    options_env: dict[str, str] = Field(
        default_factory=dict,
        description="Further options of the driver, each with the environment variable that holds its value.",
        examples=[{"adbc.snowflake.sql.warehouse": "SNOWFLAKE_WAREHOUSE"}],
    )
    target_schema: str = Field(
        default="",
        description="Schema of the tables that `promolift export` writes. Left out: the connection's own.",
        examples=["marketing"],
    )
    prefix: str = Field(
        default="promolift_", description="How the names of those tables begin: promolift_plan and so on."
    )

    def table_name(self, table: str) -> str:
        """The name of a table that is written, as SQL says it."""
        parts = [part for part in (self.target_schema, self.prefix + table) if part]
        return ".".join(f"`{part}`" if self.driver == "bigquery" else quote_identifier(part) for part in parts)


class Warehouse:
    """An open connection, from `open_warehouse`. InputError for what it refuses, without what must stay secret."""

    def __init__(self, settings: WarehouseSettings, connection: Any, secrets: Iterable[str]) -> None:
        """Around a connection; `secrets` are taken out of every message."""
        self.settings, self._connection, self._secrets = settings, connection, tuple(secrets)

    def rows(self, name: str, query: str) -> Iterator[pl.DataFrame]:
        """The rows of a query, piece by piece, at least one piece. `name` is the part of promolift.toml that has it."""
        place, read = f"{name}.query in promolift.toml", 0
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(query)
                reader = cursor.fetch_record_batch()
                names = reader.schema.names
                if twice := next((each for each in names if names.count(each) > 1), None):
                    raise InputError(
                        "column_duplicate",
                        gettext_lazy(
                            "{place}: two columns are called {twice}; give one another name by `as`",
                            place=place,
                            twice=repr(twice),
                        ),
                    )
                yield arrow_to_frame(reader.schema.empty_table(), place)
                for batch in reader:
                    yield arrow_to_frame(batch, place)
                    read += batch.num_rows
            except _errors() as error:
                after = gettext_lazy(" after row {read}", read=f"{read:,}") if read else ""
                why = _reason(error, self._secrets)
                raise InputError(
                    "query_refused",
                    gettext_lazy(
                        "{place}: the warehouse refused it{after} ({why}); correct the query",
                        place=place,
                        after=after,
                        why=why,
                    ),
                ) from None

    def replace(self, table: str, rows: Iterable[pl.DataFrame], where: dict[str, object]) -> int:
        """Write rows into a table, made if need be, in place of those for which `where` holds: all of them or none.

        Returns how many were written.
        """
        import pyarrow as pa

        name, written = self.settings.table_name(table), 0
        try:
            with self._connection.cursor() as cursor:
                if self._has(name):
                    of = " and ".join(f"{column} = {_plain(value)}" for column, value in where.items())
                    cursor.execute(f"delete from {name} where {of}")
                for frame in rows:
                    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
                    plain = pa.schema([pa.field(f.name, _small(f.type)) for f in arrow.schema])
                    more = {"db_schema_name": self.settings.target_schema} if self.settings.target_schema else {}
                    cursor.adbc_ingest(self.settings.prefix + table, arrow.cast(plain), mode="create_append", **more)
                    written += frame.height
            self._connection.commit()
        except _errors() as error:
            self._connection.rollback()
            raise InputError(
                "remote_refused",
                gettext_lazy(
                    "warehouse table {name}: nothing was written, since a row was refused ({reason}); repair "
                    "the table there, or drop it and export again",
                    name=name,
                    reason=_reason(error, self._secrets),
                ),
            ) from None
        return written

    def _has(self, name: str) -> bool:
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(f"select * from {name} where 1 = 0")
                cursor.fetch_arrow_table()
            except _errors():
                self._connection.rollback()  # what was asked in vain ends a transaction
                return False
        return True


@contextmanager
def open_warehouse(settings: WarehouseSettings, writes: bool = False) -> Iterator[Warehouse]:
    """The warehouse, closed when the block ends. ConfigError where driver, variable or server are missing."""
    uri = _variable(settings.uri_env, "uri_env")
    options = {option: _variable(name, f"options_env.{option}") for option, name in settings.options_env.items()}
    duckdb = settings.driver == "duckdb"
    secrets = () if duckdb else _secrets(uri, list(options.values()))
    try:
        dbapi = import_module("adbc_driver_manager.dbapi")
        driver = import_module(f"adbc_driver_{settings.driver}")
    except ImportError:
        package = "'promolift[warehouse]'" if duckdb else f"'promolift[warehouse]' adbc-driver-{settings.driver}"
        raise ConfigError(
            "extra_missing",
            gettext_lazy(
                "warehouse.driver = {driver}: not installed; `pip install {package}`",
                driver=repr(settings.driver),
                package=package,
            ),
        ) from None
    given: dict[str, Any] = {"driver": driver.driver_path() if duckdb else driver._driver_path()}
    given["db_kwargs"] = {"path" if duckdb else "uri": uri, **options}
    if duckdb:
        given["entrypoint"] = "duckdb_adbc_init"
        given["db_kwargs"] |= {} if writes else {"access_mode": "READ_ONLY"}
    try:
        connection = dbapi.connect(**given)
    except _errors() as error:
        why = _reason(error, secrets)
        raise ConfigError(
            "connection_failed",
            gettext_lazy(
                "warehouse: no connection ({why}); check the server and the variable {uri_env}",
                why=why,
                uri_env=settings.uri_env,
            ),
        ) from None
    with connection:
        yield Warehouse(settings, connection, secrets)


def arrow_to_frame(rows: Any, place: str) -> pl.DataFrame:
    """An Arrow table, or a batch, as a frame of plain columns: numbers of any size, JSON and UUIDs as text; times that
    no calendar has (infinity) are empty. InputError names a column of a kind that no table of ours has.
    """
    import pyarrow as pa

    columns = []
    for field, column in zip(rows.schema, rows.columns, strict=True):
        kind = field.type
        if isinstance(kind, pa.BaseExtensionType):
            column = column.cast(kind.storage_type)
        try:
            series = pl.Series(field.name, pl.from_arrow(column))
        except (pl.exceptions.PolarsError, ValueError, TypeError):
            raise InputError(
                "column_type_wrong",
                gettext_lazy(
                    "{place}: the column {name} is of type {kind}; cast it to text in the query",
                    place=place,
                    name=repr(field.name),
                    kind=kind,
                ),
            ) from None
        columns.append(_dashed(series) if isinstance(kind, pa.UuidType) else _of_a_calendar(series))
    return pl.DataFrame(columns)


def _dashed(column: pl.Series) -> pl.Series:
    digits = pl.col(column.name).bin.encode("hex")
    parts = [digits.str.slice(start, size) for start, size in UUID_GROUPS]
    return column.to_frame().select(pl.concat_str(parts, separator="-").alias(column.name)).to_series()


def _of_a_calendar(column: pl.Series) -> pl.Series:
    kind = column.dtype
    a_day = 1 if kind == pl.Date else UNITS_PER_DAY[kind.time_unit] if isinstance(kind, pl.Datetime) else 0
    if not a_day:
        return column
    number = pl.col(column.name).to_physical()
    known = (
        number.is_between(VALID_EPOCH_DAYS.start * a_day, VALID_EPOCH_DAYS.stop * a_day - 1)
        if a_day < UNITS_PER_DAY["ns"]
        else pl.lit(True)
    )
    return column.to_frame().select(pl.when(known).then(pl.col(column.name))).to_series()


def _small(kind: Any) -> Any:
    """The type that every driver writes in place of one it may not know."""
    import pyarrow as pa

    return pa.string() if pa.types.is_large_string(kind) else kind


def _plain(value: object) -> str:
    return str(value) if isinstance(value, int) else sql_literal(str(value))


def _variable(name: str, key: str) -> str:
    if not (value := os.environ.get(name)):
        raise ConfigError(
            "variable_missing",
            gettext_lazy(
                "warehouse.{key} = {name}: no such variable in the environment; export it", key=key, name=repr(name)
            ),
        )
    return value


def _errors() -> tuple[type[Exception], ...]:
    """What a driver raises; some tell of a row that cannot be given by way of pyarrow."""
    return (import_module("adbc_driver_manager.dbapi").Error, import_module("pyarrow").ArrowException, OSError)


def _secrets(uri: str, values: list[str]) -> list[str]:
    """What no message may show: the address, what is in it, and the values of options; the longest first."""
    parts = urlsplit(uri)
    inside = [parts.password or "", unquote(parts.password or ""), *(value for _, value in parse_qsl(parts.query))]
    inside += re.findall(r"password\s*=\s*'?([^'\s]+)", uri)
    return sorted((each for each in {uri, *inside, *values} if len(each) > 3), key=len, reverse=True)


def _reason(error: Exception, secrets: Iterable[str]) -> str:
    text = str(error).split("Query was:")[0]
    for secret in secrets:
        text = text.replace(secret, "***")
    return re.sub(r"\s+", " ", re.sub(r"\n +\^", "", text)).strip(" .;")
