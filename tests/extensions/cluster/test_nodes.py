"""Tasks on a node that shares no folder with who asks: what travels, what is left, and what is said if that fails.

The node is this process with a copy of its own: a task comes to it as bytes, and so does its answer.
"""

import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from socket import gethostname
from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.foundation.storage.remote_storage import brought

pytest.importorskip("obstore")
import obstore
from obstore.store import from_url
from s3_server import Gate, gate

from promolift.extensions.cluster import node_files, object_store
from promolift.foundation.errors import ConfigError, StepError
from promolift.foundation.progress import no_progress
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.table_writing import Scratch, TableDraft
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.work_folder.run_context import Job, map_shards

ROWS = pl.DataFrame({"customer_id": ["a", "b"], "n": [1, 2]})


class Node:
    """An executor of one node; `before` a task something happens."""

    def __init__(self, disk: int = 10**9, before: Callable[[int], object] = lambda shard: None) -> None:
        self.disk = disk
        self.before = before
        self.travelled = 0

    def map(self, task: Callable[[int], Any], shards: Sequence[int], store: Store | None = None) -> Iterator[Any]:
        assert store is not None
        return node_files.map_at_nodes(self._map, task, shards, store, self.disk)

    def _map(self, task: Callable[[int], Any], shards: Sequence[int]) -> Iterator[Any]:
        sent = pickle.dumps(task)
        for shard in shards:
            self.before(shard)
            found = pickle.dumps(pickle.loads(sent)(shard))
            self.travelled += len(found)
            yield pickle.loads(found)


@pytest.fixture(autouse=True)
def fresh_node() -> Iterator[None]:
    """No node of another test."""
    node_files.open_node_copy.cache_clear()
    yield
    node_files.open_node_copy.cache_clear()


def config() -> Config:
    return Config.parse({"data": {"source": "complete-journey"}}, "test")


def objects(url: str) -> set[str]:
    place = from_url(url, client_options={"allow_http": True})
    return {each["path"].rpartition("/")[2] for some in obstore.list(place, "objects") for each in some}


def named(url: str) -> set[str]:
    """What the manifest names."""
    with Store(url) as store:
        assert store.remote
        return {kept.sha256 for kept in store.remote._files.values()}


def of_node() -> Path:
    """The node's cache."""
    (found,) = Path(os.environ["PROMOLIFT_CACHE"]).glob("*-node")
    return found


def adds(job: Job, shard: int, kept: Scratch, put: TableDraft, file: Path, url: str) -> list[str]:
    """All that tasks do: read tables, notes, files and what was put; put frames and arrays, write a table's shard."""
    assert job.store.root == node_files.open_node_copy(url).folder
    assert kept.folder.is_relative_to(job.store.root)
    rows = job.store.table("customers").pl()
    more = job.store.table("events", shard).pl()
    assert not (job.store.root / f"tables/events/shard={1 - shard}.parquet").exists(), "only what is read is brought"
    own = kept.part(str(shard))
    own["sums"] = rows.select(pl.col("n").sum() + job.store.load_json("more") + shard + kept["first"]["n"].sum())
    kept.put_arrays(f"laid {shard}", {"x": np.full(3, shard)})
    put(shard, [pl.concat([rows, more])])
    return [
        file.read_text(encoding="utf-8") if brought(file) else "",
        *map(str, job.store.shards("events")),
    ]


def reads(job: Job, shard: int, kept: Scratch) -> float:
    return float(kept.part(str(shard))["sums"]["n"][0] + kept.arrays(f"laid {shard}")["x"].sum())


def story(url: str, engine: Node) -> tuple[list[list[str]], list[float], list[float]]:
    """Tasks that write, tasks that read what those wrote, and who asks."""
    with Store(url) as store:
        job = Job(config(), store, no_progress, engine=engine)
        store.save("customers", ROWS)
        store.save_json("more", 10)
        with store.sharded("events") as put:
            for shard in (0, 1):
                put(shard, [ROWS.with_columns(n=pl.lit(shard, pl.Int64))])
        with store.scratch() as kept, store.sharded("made") as put:
            kept["first"] = ROWS
            (kept.folder / "said").write_text("said", encoding="utf-8")
            wrote = [*map_shards(job, adds, [0, 1], kept, put, kept.folder / "said", url)]
            assert sorted(kept) == ["first", "said"]
            read = [*map_shards(job, reads, [0, 1], kept)]
            mine = [float(kept.part(str(shard))["sums"]["n"][0]) for shard in (0, 1)]
        store.done("ingest", "mark")
    return wrote, read, mine


def test_tasks_read_and_write_in_a_copy_of_their_own_and_only_names_come_back(s3_url: str) -> None:
    engine = Node()
    assert story(s3_url, engine) == ([["said", "0", "1"]] * 2, [16, 20], [16, 17])
    assert engine.travelled < 4_000
    with Store(s3_url) as store:
        assert store.shards("made") == [0, 1]
        assert store.table("made", 1).pl()["n"].to_list() == [1, 2, 1, 1]
    assert objects(s3_url) == named(s3_url), "what was temporary is gone"
    assert not [*(of_node() / "runs").rglob("*.*")], "the copy is empty"
    for path in (of_node().parent, of_node(), *of_node().iterdir(), *(of_node() / "runs").iterdir()):
        assert path.stat().st_mode & 0o777 == 0o700, "for its owner alone"
    node_files.remove_node_files(s3_url)
    assert not [*Path(os.environ["PROMOLIFT_CACHE"]).glob("*-node")], "nothing is left at the end"
    assert story(s3_url, engine)[1] == [16, 20], "and the process of the node may work for the next run"


def test_a_task_that_is_done_twice_changes_nothing(s3_url: str) -> None:
    def twice(shard: int) -> None:
        if again and shard == 1:
            again.pop()(shard)

    engine, again = Node(before=twice), list[Any]()
    real = engine._map

    def lost(task: Callable[[int], Any], shards: Sequence[int]) -> Iterator[Any]:
        again[:] = [pickle.loads(pickle.dumps(task))]  # done, sent, and lost before its answer came
        return real(task, shards)

    engine._map = lost  # type: ignore[method-assign]
    assert story(s3_url, engine)[1:] == ([16, 20], [16, 17])
    assert not again
    assert objects(s3_url) == named(s3_url)


def folders(job: Job, shard: int, kept: Scratch) -> tuple[bool, int]:
    return kept.folder.is_dir(), len([path for path in kept.folder.parent.iterdir() if path.is_dir()])


def test_a_node_makes_the_folders_of_its_task_and_none_of_tasks_before(s3_url: str) -> None:
    with Store(s3_url) as store:
        job = Job(config(), store, no_progress, engine=Node())
        for _ in range(3):
            with store.scratch() as kept:
                (found,) = map_shards(job, folders, [0], kept)
            assert found == (True, 2), "the scratch, and the own folder of the task's store"
    assert not node_files._folders


def many(job: Job, shard: int, kept: Scratch) -> int:
    kept[f"large {shard}"] = pl.DataFrame({"n": np.random.default_rng(shard).integers(0, 2**62, 10_000)})
    return len(kept[f"large {shard - 1}"]) if shard else 0


def test_a_node_keeps_no_more_than_it_may_and_what_was_used_last(s3_url: str) -> None:
    sizes, engine = list[int](), Node(disk=250_000)

    def look(shard: int) -> None:
        if shard:
            sizes.append(sum(path.stat().st_size for path in (of_node() / "objects").iterdir()))

    engine.before = look
    with Store(s3_url) as store, store.scratch() as kept:
        job = Job(config(), store, no_progress, engine=engine)
        for shard in range(6):  # 80 kB each
            [*map_shards(job, many, [shard], kept)]
        last = {store.remote._away[f"{kept.folder.relative_to(store.root)}/large {k}"].sha256 for k in (4, 5)}
        there = {path.name for path in (of_node() / "objects").iterdir()}
        assert last <= there
    assert 80_000 < max(sizes) <= 250_000


def fails(job: Job, shard: int, kept: Scratch) -> None:
    kept[str(shard)] = ROWS.with_columns(n=pl.lit(shard))
    if shard == 1:
        raise StepError("result_outdated", "so it is")


def test_a_step_that_fails_leaves_nothing_and_who_is_erased_is_gone_from_what_a_killed_run_left(s3_url: str) -> None:
    def failing() -> None:
        with Store(s3_url) as store, store.scratch() as kept:
            store.save("customers", ROWS)
            [*map_shards(Job(config(), store, no_progress, engine=Node()), fails, [0, 1], kept)]

    with Store(s3_url) as store:
        store.save("products", ROWS)
    with raises_code("result_outdated", kind=StepError) as caught:
        failing()
    assert str(caught.value) == "so it is"
    assert objects(s3_url) == named(s3_url)
    place = from_url(s3_url, client_options={"allow_http": True})
    obstore.put(place, f"objects/{'0' * 64}", b"what a task of a killed run has sent")
    with Store(s3_url) as store:
        store.save("customers", ROWS)
        second = Store(s3_url)
        second.close()
        assert "0" * 64 in objects(s3_url), "who does not write deletes nothing"
        assert store.forget("a")
        assert "0" * 64 not in objects(s3_url), "at once, with the rest of them"


def test_what_another_one_is_writing_is_let_be(s3_url: str) -> None:
    """A writer whose lock ran out takes nothing away from the one that holds it now."""
    slow = Store(s3_url)
    slow.save("customers", ROWS)
    place = from_url(s3_url, client_options={"allow_http": True})
    obstore.put(place, "lock.json", b'{"host": "another", "pid": 1, "until_ms": 99999999999999, "run": "theirs"}')
    obstore.put(place, f"objects/{'0' * 64}", b"not in the manifest yet")
    slow.close()
    assert "0" * 64 in objects(s3_url)


def breaks(monkeypatch: pytest.MonkeyPatch, how: str) -> Callable[[int], object]:
    """What happens to the node before its second task."""

    def full(bucket: object_store.ObjectStoreBucket, name: str, into: Path) -> None:
        raise OSError(28, "No space left on device")

    def breaking(shard: int) -> None:
        node_files.open_node_copy.cache_clear()
        if not shard:
            return
        if how == "no credentials":
            for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
                monkeypatch.delenv(f"AWS_{name}")
        elif how == "no obstore":
            monkeypatch.setitem(sys.modules, "obstore", None)
        elif how == "no folder":
            monkeypatch.setenv("PROMOLIFT_CACHE", "/dev/null/cache")
        elif how == "a full disk":
            monkeypatch.setattr(object_store.ObjectStoreBucket, "get", full)
        else:
            Gate.expired = True

    return breaking


def mends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    Gate.expired = False


def looks(job: Job, shard: int) -> int:
    return job.store.table("events", shard).pl().height


@pytest.mark.parametrize(
    ("how", "code", "fact"),
    [
        ("no credentials", "credentials_missing", "s3://shops/"),
        ("no obstore", "extra_missing", "promolift[cloud]"),
        ("no folder", "folder_not_writable", "/dev/null/cache"),
        ("a full disk", "disk_full", "No space left on device"),
        ("an expired token", "credentials_expired", "s3://shops/"),
    ],
)
def test_what_a_node_lacks_is_one_clear_line_and_the_next_run_goes_on(
    s3_url: str, s3_server: str, how: str, code: str, fact: str
) -> None:
    engine, found = Node(), list[int]()
    with pytest.MonkeyPatch.context() as patch, gate(s3_server) as address:
        patch.setenv("AWS_ENDPOINT_URL", address)
        with Store(s3_url) as store:
            job = Job(config(), store, no_progress, engine=engine)
            with store.sharded("events") as put:
                for shard in (0, 1):
                    put(shard, [ROWS.with_columns(n=pl.lit(shard))])
            store.done("ingest", "1")
            with pytest.MonkeyPatch.context() as broken:
                engine.before = breaks(broken, how)
                with raises_code(code, f"node {gethostname()}", fact) as said:
                    found.extend(map_shards(job, looks, [0, 1]))
                assert found == [] or found == [2]
                assert "geheim" not in str(said.value)
                assert "\n" not in str(said.value)
                mends(broken)
            engine.before = lambda shard: node_files.open_node_copy.cache_clear()
            assert [*map_shards(job, looks, [0, 1])] == [2, 2]
        assert isinstance(said.value, ConfigError | StepError)
