"""The columns of every table: type, unit, meaning. docs/tables.md is generated from this file."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from promolift.errors import InputError


@dataclass(frozen=True)
class Column:
    """One column: its Polars type, unit and meaning; `required` means never null."""

    name: str
    dtype: type[pl.DataType]
    meaning: str
    unit: str = ""
    required: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Table:
    """A table's contract. `key` columns identify a row; further columns are allowed only if `open`."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    open: bool = False

    @property
    def schema(self) -> dict[str, type[pl.DataType]]:
        """Column name to Polars type, in order."""
        return {c.name: c.dtype for c in self.columns}

    def empty(self) -> pl.DataFrame:
        """A frame of this table with no rows."""
        return pl.DataFrame(schema=self.schema)

    def check(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` unchanged, or raise InputError naming the column, the rule, a count and the first bad keys."""
        for column in self.columns:
            if column.name not in frame.columns:
                raise InputError(f"{self.name}: column {column.name!r} is missing; it has {frame.columns}")
            if frame.schema[column.name] != column.dtype:
                raise InputError(f"{self.name}.{column.name}: type {frame.schema[column.name]}, expected {column.dtype.__name__}")
            bad = frame.filter(self._broken(column))
            if bad.height:
                keys = bad.select(self.key).head(3).rows()
                rule = self._rule(column)
                raise InputError(f"{self.name}.{column.name}: {bad.height} of {frame.height} rows are {rule}; first keys {keys}")
        if self.key and frame.select(pl.struct(self.key).is_duplicated().any()).item():
            raise InputError(f"{self.name}: key {self.key} is not unique; merge or number the rows")
        extra = set(frame.columns) - set(self.schema)
        if extra and not self.open:
            raise InputError(f"{self.name}: unknown columns {sorted(extra)}")
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


Text, Int, Real, Flag = pl.String, pl.Int64, pl.Float64, pl.Boolean

EVENTS = Table(
    "events",
    "One row per thing a customer did: one line of a receipt, one product view. Partitioned by customer hash.",
    (),
    (
        Column("customer_id", Text, "who", required=True),
        Column("ts_ms", Int, "when it happened", "ms UTC", required=True),
        Column("kind", Text, "purchase, view, add_to_cart, refund or other", required=True),
        Column("product_id", Text, "what; missing for events about no product"),
        Column("order_id", Text, "receipt, order or session the row belongs to"),
        Column("store_id", Text, "shop, site or app"),
        Column("channel", Text, "store, web, app, ..."),
        Column("quantity", Real, "units; missing where the source's number is impossible", "units", low=0),
        Column("revenue_cents", Int, "what the shop receives for the row; 0 for a view", "minor units", required=True),
        Column("list_cents", Int, "value at the undiscounted price; equals revenue where the source has no discounts", "minor units", required=True),
        Column("shelf_cents", Int, "price reduction open to everybody", "minor units", required=True, low=0),
        Column("coupon_cents", Int, "reduction by a coupon of this customer", "minor units", required=True, low=0),
    ),
)
CUSTOMERS = Table(
    "customers",
    "One row per customer who told us something; others are known by their events alone. Further columns are kept as text.",
    ("customer_id",),
    (
        Column("customer_id", Text, "who", required=True),
        Column("name", Text, "how to address the customer"),
        Column("sex", Text, "as the source says"),
        Column("age", Text, "years or a band, as the source says"),
        Column("occupation", Text, "as the source says"),
        Column("income", Text, "a band, as the source says"),
        Column("language", Text, "zh or en; missing means the shop's own"),
        Column("consent", Flag, "may be sent marketing; missing means the shop's default"),
    ),
    open=True,
)
PRODUCTS = Table(
    "products",
    "The catalogue, as far as it is known.",
    ("product_id",),
    (
        Column("product_id", Text, "what", required=True),
        Column("name", Text, "as printed for customers"),
        Column("category", Text, "the level at which coupons are given"),
        Column("type", Text, "the finer level below category"),
        Column("department", Text, "the coarser level above category"),
        Column("brand", Text, "brand or brand class"),
        Column("price_cents", Int, "current undiscounted price", "minor units", low=0),
        Column("cost_cents", Int, "what the shop pays for one unit", "minor units", low=0),
    ),
)
EXPOSURES = Table(
    "exposures",
    "Who was targeted by which past campaign.",
    ("campaign_id", "customer_id"),
    (
        Column("campaign_id", Text, "which campaign", required=True),
        Column("customer_id", Text, "who", required=True),
        Column("kind", Text, "the source's type of campaign"),
        Column("start_ms", Int, "first moment the offer could be used", "ms UTC", required=True),
        Column("end_ms", Int, "last moment", "ms UTC", required=True),
    ),
)
REDEMPTIONS = Table(
    "redemptions",
    "Coupons that were used. Rows carry no receipt.",
    (),
    (
        Column("customer_id", Text, "who", required=True),
        Column("campaign_id", Text, "which campaign", required=True),
        Column("coupon_id", Text, "which coupon"),
        Column("ts_ms", Int, "when; local midnight where the source has only the day", "ms UTC", required=True),
    ),
)
COUPONS = Table(
    "coupons",
    "Which products a campaign's coupon covers.",
    ("campaign_id", "coupon_id", "product_id"),
    (
        Column("campaign_id", Text, "which campaign", required=True),
        Column("coupon_id", Text, "which coupon", required=True),
        Column("product_id", Text, "what it covers", required=True),
    ),
)
SHELF = Table(
    "shelf",
    "Displays and mailers: what the shop showed to everybody, by product, store and week.",
    (),
    (
        Column("product_id", Text, "what", required=True),
        Column("store_id", Text, "where", required=True),
        Column("start_ms", Int, "first moment of the week", "ms UTC", required=True),
        Column("display", Flag, "on a display", required=True),
        Column("mailer", Flag, "in a mailer", required=True),
    ),
)
REJECTED = Table(
    "rejected",
    "Raw rows that were not taken, kept aside with the reason.",
    (),
    (
        Column("source", Text, "file or table the row came from", required=True),
        Column("row", Int, "row number in that source, from 1", required=True),
        Column("reason", Text, "the rule it broke", required=True),
        Column("raw", Text, "the row as JSON", required=True),
    ),
)

RAW_TABLES: Sequence[Table] = (EVENTS, CUSTOMERS, PRODUCTS, EXPOSURES, REDEMPTIONS, COUPONS, SHELF, REJECTED)
