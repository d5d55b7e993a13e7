"""A warehouse as source and sink: PostgreSQL and DuckDB, each by its own driver."""

import json
import os
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("adbc_driver_manager")
from adbc_driver_manager import dbapi
from error_checks import raises_code

from promolift.extensions.connectors.warehouse import WarehouseSettings, open_warehouse
from promolift.extensions.connectors.warehouse_export import lists_to_json
from promolift.extensions.connectors.warehouse_import import import_tables
from promolift.foundation.errors import InputError
from promolift.foundation.progress import no_progress
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.work_folder.run_context import Job

POSTGRES = os.environ.get("PROMOLIFT_TEST_POSTGRES")
KINDS = ["duckdb", "postgresql"]
LINES = """create table lines (id bigint, member text, paid timestamp, sku text, price numeric(12, 2),
    changed timestamp)"""
QUERY = "select id, member, paid, sku, price, changed from lines order by changed, id"
MAPPING = {"customer_id": "member", "time": "paid", "product_id": "sku", "amount": "price"}

Run = Callable[..., None]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run_sql(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Statements of the shop's own people, each call in a transaction; the address is in PROMOLIFT_WAREHOUSE."""
    if kind == "duckdb":
        monkeypatch.setenv("PROMOLIFT_WAREHOUSE", str(tmp_path / "shop.duckdb"))
        import duckdb

        def run(*statements: str) -> None:
            with duckdb.connect(str(tmp_path / "shop.duckdb")) as db:
                for each in statements:
                    db.execute(each)
    else:
        if not POSTGRES:
            pytest.skip("PostgreSQL: set PROMOLIFT_TEST_POSTGRES to the URL of an empty database (.ci/run does)")
        pytest.importorskip("adbc_driver_postgresql")
        pytest.importorskip("sqlalchemy")
        from ledger_helpers import own_schema
        from sqlalchemy import create_engine, text

        url = own_schema("warehouse", anew=True)
        monkeypatch.setenv("PROMOLIFT_WAREHOUSE", url.replace("postgresql+psycopg", "postgresql"))
        engine = create_engine(url)

        def run(*statements: str) -> None:
            with engine.begin() as db:
                for each in statements:
                    db.execute(text(each))
            engine.dispose()

    return run


def row(number: int, changed: str, price: str = "12.50", member: str = "a") -> str:
    return f"insert into lines values ({number}, '{member}', '2026-01-0{number} 10:00:00', 'tea', {price}, '{changed}')"


def shop(kind: str, **more: Any) -> Config:
    events = {"query": QUERY, "mapping": {"columns": MAPPING, "constants": {"kind": "purchase"}}} | more
    return Config.parse({"data": {"events": events}, "warehouse": {"driver": kind}}, "test")


def pulled(folder: Path, config: Config) -> pl.DataFrame:
    with Store(folder / "work") as store:
        import_tables(Job(config, store, no_progress))
        return pl.read_parquet(store.path("pulled_events"))


def test_types_come_as_the_reader_of_files_knows_them(kind: str, run_sql: Run, tmp_path: Path) -> None:
    run_sql(
        "create table t (i bigint, n numeric(12, 2), t timestamp, z timestamptz, d date, b boolean, u uuid, x text, "
        "r double precision)",
        "insert into t values (1, 12.50, '2026-01-01 10:00:00.123456', '2026-01-01 10:00:00+02', '2026-01-01', true, "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '茶', 0.1)",
        "insert into t (i) values (2)",
    )
    with open_warehouse(WarehouseSettings(driver=kind)) as warehouse:
        rows = pl.concat([*warehouse.rows("data.events", "select * from t order by i")])
    first, second = rows.rows(named=True)
    assert [str(first[name]) for name in "indbuxr"] == [
        "1", "12.50", "2026-01-01", "True", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "茶", "0.1"
    ]  # fmt: skip
    assert [first[name].strftime("%d %H:%M:%S.%f") for name in "tz"] == ["01 10:00:00.123456", "01 08:00:00.000000"]
    assert [value for name, value in second.items() if name != "i"] == [None] * 8


def test_a_time_that_no_calendar_has_is_empty_and_its_row_stays(kind: str, run_sql: Run) -> None:
    run_sql(
        "create table t (i bigint, t timestamp, d date)",
        "insert into t values (1, 'infinity', 'infinity'), (2, '9999-12-31 23:59:59', '0001-01-01')",
    )
    with open_warehouse(WarehouseSettings(driver=kind)) as warehouse:
        rows = pl.concat([*warehouse.rows("data.events", "select * from t order by i")])
    assert rows["i"].to_list() == [1, 2]
    assert rows["t"].is_null().to_list() == rows["d"].is_null().to_list() == [True, False]


def test_rows_that_came_or_changed_since_are_the_only_ones_asked_for(
    kind: str, run_sql: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sql(LINES, row(1, "2026-01-01"), row(2, "2026-01-05"), row(3, "2026-01-09"))
    config = shop(kind, watermark="changed", key=["id"], reread_days=2)
    assert pulled(tmp_path, config)["id"].to_list() == [1, 2, 3]
    note = (tmp_path / "work/notes/pulled_events.json").read_text()
    pulled(tmp_path, config)
    assert (tmp_path / "work/notes/pulled_events.json").read_text() == note, "nothing new is nothing written"
    run_sql(
        "update lines set price = 99, changed = '2026-01-10' where id = 1",  # an old row, changed
        row(4, "2026-01-08"),  # written late, within the days that are read again
        "delete from lines where id = 3",  # taken back within them
        "update lines set price = 77 where id = 2",  # changed, and its watermark is not: never seen again
    )
    asked = list[str]()
    read = dbapi.Cursor.execute

    def execute(self: Any, query: str, *more: Any, **others: Any) -> Any:
        asked.append(query)
        return read(self, query, *more, **others)

    monkeypatch.setattr(dbapi.Cursor, "execute", execute)
    rows = pulled(tmp_path, config)
    assert "where changed >= '2026-01-07" in asked[0]
    assert rows.select("id", pl.col("price").cast(pl.String)).rows() == [(2, "12.50"), (4, "12.50"), (1, "99.00")]


def test_many_readings_give_what_one_would_have_given(kind: str, run_sql: Run, tmp_path: Path) -> None:
    run_sql(LINES)
    config = shop(kind, watermark="changed")
    for number in range(1, 8):
        run_sql(row(number, f"2026-01-0{number}"), row(number, f"2026-01-0{number}", "1.00", "b"))
        pulled(tmp_path, config)
    run_sql(row(8, "2026-02-01"), "update lines set changed = null where id = 8", row(9, "2026-01-07"))
    by_pieces = pulled(tmp_path, config)
    assert by_pieces.sort("id", "price").equals(pulled(tmp_path / "new", config).sort("id", "price"))
    assert by_pieces.height == 16


def test_another_query_or_other_columns_read_everything_anew(kind: str, run_sql: Run, tmp_path: Path) -> None:
    run_sql(LINES, row(1, "2026-01-01"), row(2, "2026-01-05"))
    pulled(tmp_path, shop(kind, watermark="changed"))
    query = "select id, member, paid, sku, price * 2 as price, changed from lines"
    rows = pulled(tmp_path, shop(kind, watermark="changed", query=query))
    assert [float(each) for each in rows["price"]] == [25.0, 25.0]
    starred = "select * from lines"
    pulled(tmp_path, shop(kind, watermark="changed", query=starred))
    run_sql("alter table lines add column till text", "update lines set till = 'x'")
    assert pulled(tmp_path, shop(kind, watermark="changed", query=starred))["till"].to_list() == ["x", "x"]


@pytest.mark.parametrize(
    ("more", "code", "facts"),
    [
        ({"query": "select nothing from lines"}, "query_refused", ("data.events.query", "promolift.toml", "nothing")),
        ({"query": "select id, id from lines"}, "column_duplicate", ("'id'",)),
        ({"query": "select * from lines where id = 0"}, "query_empty", ("data.events.query",)),
        ({"watermark": "sku"}, "column_type_wrong", ("'sku'", "String")),
        ({"watermark": "upd"}, "column_unknown", ("'upd'", "id, member")),
        ({"query": "select *, interval '1 day' as i from lines"}, "column_type_wrong", ("'i'",)),
        ({"query": "select *, cast(sku as integer) as i from lines"}, "query_refused", ()),
    ],
)
def test_a_query_that_cannot_be_is_named_with_its_remedy(
    kind: str, run_sql: Run, tmp_path: Path, more: dict[str, Any], code: str, facts: tuple[str, ...]
) -> None:
    run_sql(LINES, row(1, "2026-01-01"))
    with raises_code(code, "data.events", *facts, kind=InputError):
        pulled(tmp_path, shop(kind, **more))
    with Store(tmp_path / "work") as store:
        assert not store.has("pulled_events")


def test_rows_that_are_gone_are_not_taken_for_nothing_new(kind: str, run_sql: Run, tmp_path: Path) -> None:
    run_sql(LINES, row(1, "2026-01-01"))
    whole = shop(kind, watermark="id")
    pulled(tmp_path, whole)
    run_sql("delete from lines")
    with raises_code("query_empty", "data.events.query", "1 "):
        pulled(tmp_path, whole)
    with Store(tmp_path / "work") as store:
        assert store.frame("pulled_events").height == 1


def test_a_table_is_replaced_under_its_key_and_all_of_it_or_nothing(kind: str, run_sql: Run) -> None:
    settings = WarehouseSettings.parse({"driver": kind, "prefix": "ours_"}, "test")

    def write(campaign: str, *numbers: object) -> int:
        frame = pl.DataFrame({"campaign_id": [campaign] * len(numbers), "n": numbers, "on": [True] * len(numbers)})
        with open_warehouse(settings, writes=True) as warehouse:
            return warehouse.replace("plan", [frame[:1], frame[1:]], {"campaign_id": campaign})

    assert write("o'k", 1, 2) == 2
    write("b", 7)
    write("o'k", 3)
    with raises_code("remote_refused", "ours_plan"):
        write("o'k", "no number", "at all")
    with open_warehouse(settings) as warehouse:
        rows = pl.concat([*warehouse.rows("test", "select * from ours_plan order by n")])
    assert rows.select("campaign_id", "n").rows() == [("o'k", 3), ("b", 7)]


def test_every_kind_of_column_that_is_exported_comes_back(kind: str, run_sql: Run) -> None:
    day = date(2026, 3, 1)
    option = {"offer": "茶'20", "gain_cents": 1.5, "cost_cents": None, "charge_cents": None, "prob": 0.1}
    rows = pl.DataFrame({
        "text": ["茶 \"'", None], "whole": [2**40, None], "real": [0.1, None], "flag": [True, None], "day": [day, None],
        "texts": [["a", "b"], None], "options": [[option], []], "nothing": pl.Series([None, None], dtype=pl.String),
    }, strict=False)  # fmt: skip
    with open_warehouse(WarehouseSettings(driver=kind), writes=True) as warehouse:
        assert warehouse.replace("kinds", [lists_to_json(rows)], {"whole": 1}) == 2
        found = pl.concat([*warehouse.rows("test", "select * from promolift_kinds order by whole nulls last")])
    assert found.drop("texts", "options").rows() == rows.drop("texts", "options").rows()
    assert [json.loads(each) for each in found["options"]] == [[option], []]
    assert found["texts"].to_list() == ['["a", "b"]', None]


def test_no_message_shows_who_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adbc_driver_postgresql")
    settings = WarehouseSettings()
    for uri in (
        "postgresql://clerk:ge%40heim@127.0.0.1:1/shop",
        "postgres//clerk:ge@heim@host",
        "host=127.0.0.1 port=1 password=ge@heim",
        "postgresql://clerk@127.0.0.1:1/shop?password=ge@heim&nonsense=1",
    ):
        monkeypatch.setenv("PROMOLIFT_WAREHOUSE", uri)
        with raises_code("connection_failed", "PROMOLIFT_WAREHOUSE") as found, open_warehouse(settings):
            pass
        assert "heim" not in str(found.value)
        assert found.value.__cause__ is None


def test_a_missing_variable_or_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMOLIFT_WAREHOUSE", raising=False)
    with raises_code("variable_missing", "'PROMOLIFT_WAREHOUSE'"), open_warehouse(WarehouseSettings()):
        pass
    monkeypatch.setenv("PROMOLIFT_WAREHOUSE", "x")
    monkeypatch.setitem(sys.modules, "adbc_driver_snowflake", None)
    with (
        raises_code("extra_missing", "promolift[warehouse]", "adbc-driver-snowflake"),
        open_warehouse(WarehouseSettings(driver="snowflake")),
    ):
        pass
