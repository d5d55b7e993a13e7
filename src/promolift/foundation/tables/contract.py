"""Define table schemas (type, unit, range and meaning of each column), and check a frame against its schema."""

from dataclasses import dataclass

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Text, Int, Real, Flag = pl.String, pl.Int64, pl.Float64, pl.Boolean


@dataclass(frozen=True)
class Column:
    """One column: its Polars type, unit and meaning; `required` means never null."""

    name: str
    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    unit: str = ""
    required: bool = False
    low: float | None = None
    high: float | None = None


def type_name(dtype: pl.DataType | type[pl.DataType]) -> str:
    """Return a column's type as text: String, or List(Struct) with its fields."""
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)


@dataclass(frozen=True)
class Table:
    """The schema of a table. `key` columns identify a row; further columns are allowed only if `open`."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    open: bool = False

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """The Polars type of each column, in order."""
        return {c.name: c.dtype for c in self.columns}

    def empty(self) -> pl.DataFrame:
        """Return a frame of this table with no rows."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with this table's columns first, in order: missing columns are null, types are cast. Other
        columns stay only if the table is open.
        """
        known = [
            (pl.col(c.name) if c.name in frame.columns else pl.lit(None)).cast(c.dtype).alias(c.name)
            for c in self.columns
        ]
        extra = [name for name in frame.columns if name not in self.schema] if self.open else []
        return frame.select(*known, *extra)

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` unchanged, or raise InputError naming the column, the rule, a count and the first bad keys."""
        for column in self.columns:
            if column.name not in frame.columns:
                raise InputError(
                    "column_missing",
                    gettext_lazy(
                        "{name}: column {column_name} is missing; it has {columns}",
                        name=self.name,
                        column_name=repr(column.name),
                        columns=frame.columns,
                    ),
                )
            if frame.schema[column.name] != column.dtype:
                raise InputError(
                    "column_type_wrong",
                    gettext_lazy(
                        "{name}.{column_name}: type {schema}, expected {type_name}",
                        name=self.name,
                        column_name=column.name,
                        schema=frame.schema[column.name],
                        type_name=type_name(column.dtype),
                    ),
                )
            if not column.required and column.low is None and column.high is None:
                continue
            bad = frame.filter(self._broken(column))
            if bad.height:
                keys = bad.select(self.key).head(3).rows()
                rule = self._rule(column)
                raise InputError(
                    "value_invalid",
                    gettext_lazy(
                        "{name}.{column_name}: {height} of {frame_height} rows are {rule}; first keys {keys}",
                        name=self.name,
                        column_name=column.name,
                        height=bad.height,
                        frame_height=frame.height,
                        rule=rule,
                        keys=keys,
                    ),
                )
        if self.key and frame.select(pl.struct(self.key).is_duplicated().any()).item():
            raise InputError(
                "rows_duplicate",
                gettext_lazy("{name}: key {key} is not unique; merge or number the rows", name=self.name, key=self.key),
            )
        extra = set(frame.columns) - set(self.schema)
        if extra and not self.open:
            raise InputError(
                "column_unexpected",
                gettext_lazy("{name}: unknown columns {extra}", name=self.name, extra=sorted(extra)),
            )
        return frame

    def _broken(self, column: Column) -> pl.Expr:
        value = pl.col(column.name)
        broken = value.is_null() if column.required else pl.lit(False)
        if column.low is not None:
            broken = broken | (value < column.low)
        if column.high is not None:
            broken = broken | (value > column.high)
        return broken.fill_null(False)

    def _rule(self, column: Column) -> str:
        outside = "" if column.low is None and column.high is None else f"outside [{column.low}, {column.high}]"
        return " or ".join(filter(None, ["null" if column.required else "", outside]))
