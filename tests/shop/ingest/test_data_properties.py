"""Laws of the way in, tried on rows nobody would write on purpose."""

from dataclasses import replace

import duckdb
import polars as pl
from data_helpers import CONNECTION, RULES, SHOP, raw
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.foundation.storage.local_store import shard_expression
from promolift.foundation.tables.schemas import EVENTS, REJECTED
from promolift.shop.ingest.cleaning.event_cleaning import (
    CleanedTable,
    add_shard_keys,
    clean_events,
    clean_shard_events,
    partition_events,
    rejected_rows,
)
from promolift.shop.ingest.cleaning.row_counts import first_rows
from promolift.shop.results.ingest import Counts

CELLS = {
    "who": ["ann", "bob", "cid", " ann ", "17.0", "", "NULL", "'; drop table x --"],
    "at": [
        "2024-03-01 10:00:00",
        "2024-03-01",
        "1709287200",
        "1709287200000",
        "03/04/2024",
        "",
        "junk",
        "1969-01-01",
        "2999-01-01",
    ],
    "item": ["tea", "nut", "", '"'],
    "order": ["1", "2", "C3", "", "c4"],
    "n": ["1", "2", "-1", "0", "1e9", "", "x", "1,000", "nan"],
    "price": ["1.25", "0", "-2", "$3", "1e300", "", "free", "inf", "0.005"],
}
ROWS = st.lists(st.fixed_dictionaries({name: st.sampled_from(cells) for name, cells in CELLS.items()}), max_size=20)


def judged(rows: duckdb.DuckDBPyRelation) -> CleanedTable:
    """Cleaned once, then kept: each question would run the cleaning again."""
    cleaned = clean_events(rows, SHOP, RULES)
    return replace(cleaned, judged=CONNECTION.from_arrow(cleaned.judged.to_arrow_table()))


def table(rows: list[dict[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict.fromkeys(CELLS, pl.String))


@cases(15)
@given(ROWS)
def test_every_row_is_accepted_or_rejected_and_what_is_accepted_keeps_the_contract(rows: list[dict[str, str]]):
    cleaned = judged(raw(table(rows)))
    counts = cleaned.counts()
    accepted = EVENTS.check(cleaned.accepted().pl())
    rejected = REJECTED.check(cleaned.rejected("x").pl())
    assert counts.read == len(rows)
    assert counts.accepted + counts.rejected_rows == counts.read
    assert (accepted.height, rejected.height) == (counts.accepted, counts.rejected_rows)
    assert (
        accepted.filter(pl.col("kind") == "purchase")
        .select((pl.col("list_cents") >= pl.col("revenue_cents")).all())
        .item()
    )
    assert accepted.filter(pl.col("kind") == "refund").select((pl.col("revenue_cents") <= 0).all()).item()


@cases(6)
@given(ROWS, st.integers(2, 3))
def test_any_number_of_shards_gives_the_same_events_counts_and_rejects(rows: list[dict[str, str]], shards: int):
    whole = judged(raw(table(rows)))
    keyed = add_shard_keys(raw(table(rows)), SHOP)
    number = shard_expression("_customer", shards)
    parts = [judged(keyed.filter(f"{number} = {shard}")) for shard in range(shards)]
    assert pl.concat(part.accepted().pl() for part in parts).sort(pl.all()).equals(whole.accepted().pl().sort(pl.all()))
    assert pl.concat(part.rejected("x").pl() for part in parts).sort("row").equals(whole.rejected("x").pl())
    total = Counts("events")
    for part in parts:
        total = total + part.counts()
    assert total == whole.counts()


@cases(20)
@given(ROWS, st.sampled_from(["duplicates", "lines", "units"]), st.booleans())
def test_shards_of_rows_judged_as_they_are_read_come_out_as_rows_cleaned_at_once(
    rows: list[dict[str, str]], repeats: str, ordered: bool
):
    rows += rows[::2]  # else few come again
    columns = {role: name for role, name in SHOP.columns.items() if ordered or role != "order_id"}
    constants = {} if ordered else {"kind": "purchase"}
    how = SHOP.model_copy(update={"columns": columns, "constants": constants, "repeats": repeats})
    read = raw(table(rows))
    found = clean_shard_events(partition_events(read, how, RULES), how, RULES)
    whole = clean_events(read, how, RULES)
    assert found.accepted.equals(whole.accepted().pl())
    rejected = rejected_rows(read, how, found.aside, "x")
    assert rejected.pl().equals(whole.rejected("x").pl())
    first = first_rows(rejected)
    assert found.counts + Counts("events", first=first) == whole.counts()


@cases(6)
@given(ROWS, st.sampled_from(["ann", "bob", "cid", "17"]))
def test_a_customer_is_cleaned_without_any_other_customers_rows(rows: list[dict[str, str]], who: str):
    everybody = judged(raw(table(rows))).accepted().pl().filter(pl.col("customer_id") == who)
    alone = [row for row in rows if row["who"].strip().removesuffix(".0") == who]
    assert judged(raw(table(alone))).accepted().pl().equals(everybody)
