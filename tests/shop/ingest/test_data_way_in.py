"""The whole way in, as the ingest step walks it: a file, the store, clean shards and an account of every row."""

import json
from pathlib import Path

import polars as pl
import pytest
from sharded import write_shards

from promolift.foundation.files.table_files import open_file
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import EVENTS, REJECTED
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import add_shard_keys, clean_events
from promolift.shop.ingest.cleaning.table_cleaning import clean_products, latest_values
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping
from promolift.shop.results.ingest import Counts

RULES = CleanRules(now_ms=1_750_000_000_000)


def write(path: Path) -> int:
    """An online shop's invoices with all that can be wrong in them; returns the number of rows below the header."""
    lines = [
        f"{536_000 + i // 3},SKU{i % 11},{'Mug, blue' if i % 2 else 'Cup'!r},{1 + i % 5},"
        f"{1 + i % 12}/{1 + i % 28}/2024 8:{i % 60:02},{1 + (i % 7) / 4},{17_000 + i % 23}.0"
        for i in range(400)
    ]
    lines = [line.replace("'", '"') for line in lines]
    lines += [
        *lines[:5],  # sent twice
        'C536001,SKU1,"Cup",-2,1/15/2024 9:00,2.5,17001.0',
        'A563185,B,"Adjust bad debt",1,1/16/2024 9:00,-11062.06,17001.0',
        '536999,SKU1,"Cup",1,1/17/2024 9:00,2.5,',
        '536998,SKU1,"Cup",1,31/31/2024 9:00,2.5,17001.0',
        '536997,SKU1,"Cup",80995,1/18/2024 9:00,2.08,17002.0',
        '536996,SKU1,"Cup",1,1/17/2024 9:00',  # too few columns
        '536995,SKU1,"Cup",1,1/17/2024 9:00,2.5,17001.0,more',  # too many
    ]
    path.write_text("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n" + "\n".join(lines))
    return len(lines)


def ingest(store: Store, path: Path, shards: int) -> Counts:
    raw = open_file(store.connection, path, store.root / "tmp")
    mapping = guess_mapping("events", raw.sample())
    write_shards(store, add_shard_keys(raw.rows, mapping), "raw", shards, by="_customer")
    counts = Counts("events")
    with store.sharded("events") as put, store.sharded("rejected") as put_bad:
        for shard in store.shards("raw"):
            with clean_events(store.table("raw", shard), mapping, RULES).staged(store.staged) as cleaned:
                put(shard, cleaned.accepted())
                put_bad(shard, cleaned.rejected(raw.source))
                counts = counts + cleaned.counts()
    return counts.with_unreadable(raw.unreadable())


def test_a_strangers_invoices_come_in_and_every_row_is_accounted_for(tmp_path: Path):
    rows = write(tmp_path / "invoices.csv")
    with Store(tmp_path / "work") as store:
        counts = ingest(store, tmp_path / "invoices.csv", 3)
        events = EVENTS.check(store.events().pl())
        rejected = REJECTED.check(store.frame("rejected"))
    assert counts.read == rows
    assert counts.accepted == events.height == rows - 10
    assert counts.rejected == {
        "duplicate": 5,
        "impossible price": 1,
        "missing customer": 1,
        "unreadable row": 2,
        "unreadable time": 1,
    }
    assert (counts.repaired, counts.counted) == ({"impossible quantity": 1}, {"refund": 1})
    assert rejected.height == 8
    assert {json.loads(raw)["InvoiceNo"] for raw in rejected["raw"]} >= {"A563185", "536998", "536999"}
    refund = events.filter(pl.col("kind") == "refund").row(0, named=True)
    assert (refund["customer_id"], refund["order_id"], refund["revenue_cents"]) == ("17001", "C536001", -500)


@pytest.mark.parametrize("shards", [2, 5])
def test_shards_on_disk_change_nothing(tmp_path: Path, shards: int):
    write(tmp_path / "invoices.csv")
    results = []
    for number in (1, shards):
        with Store(tmp_path / f"work{number}") as store:
            counts = ingest(store, tmp_path / "invoices.csv", number)
            events = store.events().pl().sort("customer_id", maintain_order=True)
            results.append((counts, events, store.frame("rejected").sort("row")))
    assert results[0][0] == results[1][0]
    assert results[0][1].equals(results[1][1])
    assert results[0][2].equals(results[1][2])


def test_products_stand_inside_the_invoices(tmp_path: Path):
    write(tmp_path / "invoices.csv")
    with Store(tmp_path / "work") as store:
        raw = open_file(store.connection, tmp_path / "invoices.csv", store.root / "tmp")
        sample = raw.sample()
        mapping = guess_mapping("products", sample, leave=["Quantity", "InvoiceNo"])
        products = clean_products(latest_values(raw.rows, mapping), mapping, RULES).accepted().pl()
    assert products.filter(pl.col("product_id") == "SKU1").select("name", "price_cents").row(0) == ("Cup", 208)
    assert products.height == 12
