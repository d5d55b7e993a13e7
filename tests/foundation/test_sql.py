"""SQL names what it reads: nothing of the caller's is seen, and what a lazy result reads lives as long as it does."""

import gc

import duckdb
import polars as pl
import pytest

from promolift.foundation import sql
from promolift.foundation.storage.local_store import Store, shard_expression


def numbers(connection: duckdb.DuckDBPyConnection, size: int) -> duckdb.DuckDBPyRelation:
    return connection.sql(f"select range as x, 10 * range as y from range({size})")


def test_a_query_sees_the_relations_it_was_given_and_no_variable_of_the_caller():
    connection = duckdb.connect()
    rows, hidden = numbers(connection, 3), pl.DataFrame({"x": [1]})
    assert sql.run_select("select sum(x) from lines", lines=rows).fetchall() == [(3,)]
    assert sql.run_select("from lines semi join chosen using (x)", lines=rows, chosen=hidden).fetchall() == [(1, 10)]
    for unseen in ("rows", "hidden", "connection", "ROWS"):
        with pytest.raises(duckdb.Error):
            sql.run_select(f"select * from lines join {unseen} using (x)", lines=rows)


ROWS = pl.DataFrame({"x": [1]})


def test_a_lazy_result_keeps_what_it_reads():
    connection = duckdb.connect()

    def lazily() -> duckdb.DuckDBPyRelation:
        one, two = (sql.materialise(numbers(connection, size)) for size in (5, 3))
        frame = pl.DataFrame({"x": [2, 4], "z": ["two", "four"]})
        return sql.run_select(
            "select x, z from one left join two using (x) join frame using (x)", one=one, two=two, frame=frame
        )

    found = lazily().filter("x > 1")
    gc.collect()
    connection.execute("create table other as select 1")  # what names mean is asked again
    assert sorted(found.fetchall()) == [(2, "two"), (4, "four")]
    del found
    gc.collect()
    assert connection.sql("select count(*) from duckdb_tables() where table_name like 'kept%'").fetchall() == [(0,)]


def test_kept_rows_are_computed_once_and_outlive_a_closed_connection_quietly():
    connection = duckdb.connect()
    kept = sql.materialise(connection.sql("select random() as x"))
    assert kept.fetchall() == kept.fetchall()
    connection.close()
    del kept
    gc.collect()


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_rows_are_parted_as_the_expression_says_and_stay_in_order(tmp_path, shards):
    people = ["", "ann", "客户", "17850", None, *(f"c{k}" for k in range(40))]
    frame = pl.DataFrame({"who": people * 3, "x": range(3 * len(people))})
    with Store(tmp_path) as store:
        rows = store.connection.from_arrow(frame.to_arrow())
        with store.split(rows, shards, "who") as parts:
            for shard, part in enumerate(parts):
                wanted = rows.filter(f"{shard_expression('who', shards)} = {shard}").order("x").pl()
                assert store.part(part).pl().equals(wanted)
        assert not list((tmp_path / "tmp").rglob("*.arrow"))


def test_scratch_keeps_frames_until_its_block_ends(tmp_path):
    with Store(tmp_path) as store, store.scratch() as scratch:
        part = scratch.part("3")
        part["a b"] = frame = pl.DataFrame({"x": [1, None], "y": ["a", "b"]})
        assert part["a b"].equals(frame)
        assert (list(part), len(scratch), "a b" in part, "c" in part) == (["a b"], 0, True, False)
        del part["a b"]
        with pytest.raises(KeyError) as caught:
            part["a b"]
        assert caught.value.args == ("a b",)
    assert not any(path.is_file() for path in (tmp_path / "tmp").rglob("*"))


@pytest.mark.parametrize("shards", [1, 5])
def test_of_a_table_in_shards_those_of_the_customers_are_read_alone(tmp_path, shards):
    frame = pl.DataFrame({"customer_id": [f"c{k}" for k in range(60)], "x": range(60)})
    with Store(tmp_path) as store:
        rows = store.connection.from_arrow(frame.to_arrow())
        with store.sharded("odds") as put:
            for shard in range(shards):
                put(shard, rows.filter(f"{shard_expression('customer_id', shards)} = {shard}"))
        asked = pl.DataFrame({"customer_id": ["c7", "nobody"]})
        found = store.table_of("odds", asked).pl()
        assert "c7" in {*found["customer_id"]}
        assert (found.height == 60) == (shards == 1)
        assert store.table_of("odds", asked.clear()).columns == frame.columns
        store.save("odds", frame)
        assert store.table_of("odds", asked).pl().height == 60
