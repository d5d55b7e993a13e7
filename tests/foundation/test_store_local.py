"""The store keeps whole tables or none, shards by customer, and remembers what was done."""

import contextlib
import multiprocessing
from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code
from sharded import write_shards

from promolift.foundation.errors import ConfigError, InputError, StepError
from promolift.foundation.storage.local_store import Store, shard_expression, shards_for

ROWS = pl.DataFrame({"customer_id": [f"c{i}" for i in range(40)] + [None], "x": range(41)})


def relation(store: Store, frame: pl.DataFrame = ROWS):
    return store.connection.from_arrow(frame.to_arrow())


def test_a_table_is_saved_and_read_back_from_a_frame_and_from_a_relation(tmp_path: Path):
    with Store(tmp_path) as store:
        store.save("a", ROWS)
        store.save("b", relation(store))
        assert store.frame("a").equals(ROWS)
        assert store.frame("b").sort("x").equals(ROWS)
        assert (store.has("a"), store.has("c"), store.shards("a")) == (True, False, [])


def test_a_missing_table_names_the_verb_to_run(tmp_path: Path):
    with Store(tmp_path) as store:
        with raises_code("step_missing", "'events'", "`promolift ingest`", kind=StepError):
            store.events()
        with raises_code("step_missing", "'chosen'", "`promolift plan`", kind=StepError):
            store.frame("chosen")
        with raises_code("step_missing", "'health'", "`promolift ingest`", kind=StepError):
            store.load_json("health")


@pytest.mark.parametrize("shards", [1, 2, 7])
def test_shards_hold_whole_customers_and_together_every_row(tmp_path: Path, shards: int):
    rows = pl.concat([ROWS, ROWS])
    with Store(tmp_path) as store:
        write_shards(store, relation(store, rows), "events", shards)
        assert store.shards("events") == list(range(shards))
        parts = [store.events(shard).pl() for shard in range(shards)]
        assert pl.concat(parts).sort("x").equals(rows.sort("x"))
        owners = [customer for part in parts for customer in part["customer_id"].unique()]
        assert len(owners) == len(set(owners)) == 41
        assert store.events().pl().sort("x").equals(rows.sort("x"))
        with raises_code("shard_missing", "'events'", "9", str(list(range(shards))), kind=StepError):
            store.events(9)


def test_a_shard_without_customers_is_a_table_without_rows(tmp_path: Path):
    with Store(tmp_path) as store:
        write_shards(store, relation(store, ROWS.head(2)), "events", 9)
        assert sum(store.events(shard).pl().height for shard in store.shards("events")) == 2
        assert all(store.events(shard).columns == ROWS.columns for shard in range(9))


def test_a_failed_rename_puts_the_old_table_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class NoRenameError(OSError):
        pass

    def refuse(self: Path, target: Path) -> None:
        raise NoRenameError

    with Store(tmp_path) as store:
        write_shards(store, relation(store), "events", 2)
        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(NoRenameError):
            write_shards(store, relation(store, ROWS.head(1)), "events", 2)
        assert store.events().pl().height == 41


def test_the_shard_of_a_customer_never_changes(tmp_path: Path):
    with Store(tmp_path) as store:
        rows = relation(store, pl.DataFrame({"who": ["", "ann", "客户", "17850"]}))
        # Written down once: shards made by one version must be found again by every later one.
        assert rows.project(shard_expression("who", 16)).fetchall() == [(9,), (12,), (8,), (7,)]


def test_a_failure_leaves_the_old_table(tmp_path: Path):
    with Store(tmp_path) as store:
        write_shards(store, relation(store), "events", 2)
        with contextlib.suppress(KeyboardInterrupt), store.sharded("events") as put:
            put(0, relation(store).filter("x < 3"))
            raise KeyboardInterrupt
        assert store.events().pl().height == 41
        bad = relation(store).project("cast(customer_id as integer) as n")
        with raises_code("value_invalid", "events", kind=InputError):
            store.save("events", bad)
        assert store.shards("events") == [0, 1]


def test_a_table_replaces_what_stood_under_its_name_also_while_it_is_read(tmp_path: Path):
    with Store(tmp_path) as store:
        store.save("t", ROWS)
        store.save("t", store.table("t").filter("x < 5"))
        assert store.frame("t").height == 5
        write_shards(store, store.table("t"), "t", 2)
        assert store.shards("t") == [0, 1]
        store.save("t", ROWS)
        assert (store.frame("t").height, store.shards("t")) == (41, [])
        store.remove("t")
        assert not store.has("t")


def test_staged_rows_are_computed_once(tmp_path: Path):
    with Store(tmp_path) as store:
        with store.staged(relation(store).project("x, random() as r")) as kept:
            assert kept.fetchall() == kept.fetchall()
            name = kept.alias
        assert name not in [row[0] for row in store.connection.sql("show tables").fetchall()]


def test_steps_are_stale_until_done_on_the_same_inputs(tmp_path: Path):
    with Store(tmp_path) as store:
        assert store.stale("ingest", "f1")
        store.done("ingest", "f1")
        store.done("profile", "p1")
        assert not store.stale("ingest", "f1")
        assert store.stale("ingest", "f2")
    with Store(tmp_path) as again:
        assert not again.stale("profile", "p1")


def test_notes_survive_and_a_broken_one_is_named(tmp_path: Path):
    with Store(tmp_path) as store:
        store.save_json("health", {"名": [1, None]})
        assert store.load_json("health") == {"名": [1, None]}
        (tmp_path / "notes" / "health.json").write_text("{")
        with raises_code("file_unreadable", "health.json", kind=InputError):
            store.load_json("health")


def test_nothing_temporary_stays(tmp_path: Path):
    with Store(tmp_path) as store:
        write_shards(store, relation(store), "events", 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "tables", "tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


def _write(folder: str, answer: "multiprocessing.Queue[str]") -> None:
    try:
        with Store(Path(folder)) as store:
            store.save("b", ROWS)
        answer.put("written")
    except StepError as error:
        answer.put(f"{error.code} {error}")


def test_a_second_writer_is_told_to_wait_and_a_reader_is_not(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    with Store(tmp_path) as store:
        store.save("a", ROWS)
        with Store(tmp_path) as reader:
            assert reader.frame("a").height == 41
        second = context.Process(target=_write, args=(str(tmp_path), answer))
        second.start()
        code, said = answer.get(timeout=60).split(maxsplit=1)
        assert code == "work_folder_locked"
        assert str(tmp_path) in said
        second.join()
    _write(str(tmp_path), answer)
    assert answer.get(timeout=60) == "written"


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with raises_code("folder_not_writable", str(tmp_path / "file"), kind=ConfigError):
        Store(tmp_path / "file")


def test_one_shard_per_million_rows():
    assert [shards_for(rows) for rows in (0, 1, 200_000, 200_001, 10_000_000)] == [1, 1, 1, 2, 50]
    assert [shards_for(1_000_000, memory) for memory in ("500MB", "2.5GB")] == [10, 2]


def test_rows_are_parted_by_the_shard_that_the_expression_tells(tmp_path):
    """Customers who told the shop something are looked up by the expression beside events parted by hand."""
    with Store(tmp_path) as store:
        names = ["", "a", "C000001", "顾客", *(f"c{n}" for n in range(40))]
        rows = store.connection.from_arrow(pl.DataFrame({"customer_id": names}).to_arrow())
        write_shards(store, rows, "events", 7)
        for shard in range(7):
            told = rows.filter(f"{shard_expression('customer_id', 7)} = {shard}").pl()["customer_id"].sort()
            assert store.table("events", shard).pl()["customer_id"].sort().to_list() == told.to_list()


def test_a_customer_is_forgotten_in_every_table_and_shard_and_nobody_else(tmp_path: Path):
    with Store(tmp_path) as store:
        write_shards(store, relation(store), "events", 5)
        store.save("draws", pl.concat([ROWS, ROWS]))
        store.save("prices", pl.DataFrame({"target": ["c7"]}))
        assert store.forget("c7") == {"draws": 2, "events": 1}
        left = ROWS.filter(pl.col("customer_id").ne_missing("c7"))
        assert store.frame("draws").equals(pl.concat([left, left]))
        assert store.frame("events").sort("x").equals(left)
        assert store.frame("prices").height == 1
        assert store.forget("nobody") == {}
