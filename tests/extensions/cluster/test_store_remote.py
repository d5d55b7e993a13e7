"""A work folder at a URL, on a server that speaks S3 (moto): what is kept, who may write, what a failure leaves."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from time import sleep, time

import polars as pl
import pytest
from error_checks import raises_code

pytest.importorskip("obstore")
import obstore
from obstore.store import from_url
from s3_server import Gate, gate

from promolift.extensions.cluster import node_files, object_store
from promolift.foundation.errors import ConfigError, StepError
from promolift.foundation.storage.local_store import Store

ROWS = pl.DataFrame({"customer_id": ["a", "b"], "n": [1, 2]})
TABLE = "tables/customers.parquet"
MORE = pl.DataFrame({"customer_id": ["c"], "n": [3]})


@pytest.fixture
def url(s3_url: str) -> str:
    """A place of the test's own."""
    return s3_url


def bucket(url: str) -> dict[str, bytes]:
    """All that lies there."""
    place = from_url(url, client_options={"allow_http": True})
    names = [each["path"] for some in obstore.list(place) for each in some]
    return {name: bytes(obstore.get(place, name).bytes()) for name in names}


def test_what_one_machine_keeps_another_reads(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(url) as store:
        store.save("customers", ROWS)
        with store.sharded("events") as put:
            for shard in (0, 1):
                put(shard, [MORE])
        store.save_json("health", {"n": 1})
        store.save_files("encoder", {"a.bin": b"1", "b.bin": b"2"})
        store.done("ingest", "mark")
        secret = store.secret()
    monkeypatch.setenv("PROMOLIFT_CACHE", str(tmp_path / "other"))
    with Store(Path(url)) as store:  # as the command line hands it on: a Path, one slash less
        assert store.has("customers")
        assert not [*store.root.rglob("*.parquet")], "nothing is brought before it is read"
        assert store.frame("customers").sort("n").equals(ROWS)
        assert [*store.root.rglob("*.parquet")] == [store.root / "tables/customers.parquet"]
        assert store.shards("events") == [0, 1]
        assert store.table("events").pl().height == 2
        assert store.load_json("health") == {"n": 1}
        assert store.load_files("encoder") == {"a.bin": b"1", "b.bin": b"2"}
        assert not store.stale("ingest", "mark")
        assert store.secret() == secret
        assert not store.has("profiles")
        with raises_code("step_missing", "profiles", "promolift profile", kind=StepError):
            store.frame("profiles")
    assert not [*(tmp_path / "other").rglob("runs/*")], "the copy goes with its store"


def test_only_what_changed_travels_and_who_is_erased_is_gone(url: str, tmp_path: Path) -> None:
    with Store(url) as store:
        store.save("customers", ROWS)
        with store.sharded("events") as put:
            put(0, [ROWS])
        store.save_json("health", 1)
    before = bucket(url)
    with Store(url) as store:
        store.save("events", MORE)  # in one file now
        store.remove_json("health")
    after = bucket(url)
    assert len(after.keys() - before.keys()) == 1
    assert len(before.keys() - after.keys()) == 0, "who reads the manifest of before finds its contents"
    with Store(url) as store:
        assert store.frame("events").equals(MORE)
        assert not store.has_json("health")
        assert store.frame("customers").height == 2
        store.save("events", ROWS)
    assert json.loads(bucket(url)["manifest.json"])["gone"]
    with Store(url) as store:
        assert store.forget("a") == {"customers": 1, "events": 1}
    left = bucket(url)
    files = json.loads(left["manifest.json"])["files"]
    assert sorted(files) == ["tables/customers.parquet", "tables/events.parquet"]
    assert {f"objects/{sha}" for sha, _ in files.values()} == {name for name in left if name.startswith("objects/")}
    cached = [path.name for path in (tmp_path / "cache").rglob("objects/*")]
    assert sorted(cached) == sorted({sha for sha, _ in files.values()}), "who was erased is in no cache either"


def test_a_second_writer_is_kept_out_and_told_of_whom(url: str, tmp_path: Path) -> None:
    with Store(url) as first, Store(url) as second:
        first.save("customers", ROWS)
        with raises_code("work_folder_locked", str(os.getpid()), socket.gethostname(), kind=StepError) as caught:
            second.save("customers", MORE)
        assert re.search(r"\b1\d\d s\b", str(caught.value)), "how long a lock of a killed one holds"
        assert not second.has("customers")
    with Store(url) as third:
        assert third.frame("customers").height == 2
        third.save("customers", MORE)
    with Store(url) as fourth:
        fourth.save("customers", ROWS)  # what lies there is not brought over it
        assert fourth.frame("customers").height == 2


def test_the_same_content_is_not_sent_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(url) as store:
        store.save("customers", ROWS)
    sent, put = list[str](), obstore.put

    def counted(place: object, name: str, *rest: object, **more: object) -> object:
        sent.append(name)
        return put(place, name, *rest, **more)

    monkeypatch.setattr(obstore, "put", counted)
    with Store(url) as store:
        store.save("customers", ROWS)
        store.save("products", ROWS)
    assert [name for name in sent if name != "lock.json"] == ["manifest.json"]


def test_a_writer_whose_lock_ran_out_changes_nothing_if_another_was_quicker(url: str) -> None:
    slow = Store(url)
    slow.save("customers", ROWS)
    place = from_url(url, client_options={"allow_http": True})
    lock = json.loads(bytes(obstore.get(place, "lock.json").bytes()))
    obstore.put(place, "lock.json", json.dumps(lock | {"until_ms": 0}).encode())
    with Store(url) as quick:
        quick.save("customers", MORE)
    with raises_code("work_folder_changed", url, kind=StepError):
        slow.close()
    late = Store(url)
    with Store(url) as quick:
        quick.save("customers", ROWS)
    with raises_code("work_folder_changed", url, kind=StepError):
        late.save("customers", MORE)  # before hours of work, not after
    late.close()
    with Store(url) as quick:
        quick.save("customers", MORE)
    with Store(url) as store:
        assert store.frame("customers").equals(MORE)


KILLED = """
import os, signal, sys
import polars as pl
from promolift.extensions.cluster.object_store import ObjectStoreFolder
from promolift.foundation.storage import Store
if sys.argv[2] == "before the manifest":
    ObjectStoreFolder._swap = lambda self, text: os.kill(os.getpid(), signal.SIGKILL)
with Store(sys.argv[1]) as store:
    store.save("customers", pl.DataFrame({"n": [9]}))
    store.save("products", pl.DataFrame({"n": [9]}))
    if sys.argv[2] == "before it was sent":
        os.kill(os.getpid(), signal.SIGKILL)
    store.done("ingest", "new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["before it was sent", "before the manifest", "after the step"])
def test_a_run_that_is_killed_leaves_all_of_before_or_all_of_a_step(url: str, when: str) -> None:
    with Store(url) as store:
        store.save("customers", ROWS)
        store.done("ingest", "old")
    killed = subprocess.run([sys.executable, "-c", KILLED, url, when], check=False)
    assert killed.returncode == -9
    with Store(url) as store:  # the lock of a process of this machine that is dead holds nobody up
        new = when == "after the step"
        assert store.frame("customers").columns == (["n"] if new else ["customer_id", "n"])
        assert store.has("products") == new
        assert store.stale("ingest", "old") == new
        store.save("customers", MORE)
    assert "lock.json" not in bucket(url)


def test_a_step_that_fails_sends_nothing(url: str) -> None:
    with Store(url) as store:
        store.save("customers", ROWS)

    def fails() -> None:
        with Store(url) as store:
            store.save("customers", MORE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with Store(url) as store:
        assert store.frame("customers").height == 2


def test_what_was_damaged_is_not_taken_for_what_was_written(url: str) -> None:
    with Store(url) as store:
        store.save("customers", ROWS)
    place = from_url(url, client_options={"allow_http": True})
    files = json.loads(bucket(url)["manifest.json"])["files"]
    shutil.rmtree(os.environ["PROMOLIFT_CACHE"])
    obstore.put(place, f"objects/{files['tables/customers.parquet'][0]}", b"half of it")
    with Store(url) as store, raises_code("file_changed", TABLE, kind=StepError):
        store.frame("customers")


def test_what_a_killed_run_of_another_machine_left_goes_after_a_day_with_who_is_erased(url: str) -> None:
    with Store(url) as store:
        assert store.remote
        store.save("customers", ROWS)
        runs, here = store.root.parent, store.root.name.rpartition("-")[2]
    (content,) = (runs.parent / "objects").glob(json.loads(bucket(url)["manifest.json"])["files"][TABLE][0])
    day = {"9-ab12-gone": 1, "9-node-gone": 1, "9-ab12-": 1, "other": 1, f"{os.getpid()}-ab12-{here}": 1}
    for name, days in (day | {"9-ab12-lives": 0}).items():
        (runs / name).mkdir()
        os.link(content, runs / name / "customers.parquet")
        os.utime(runs / name, (time() - days * 90_000,) * 2)
    with Store(url) as store:
        assert store.forget("a")
    assert [path.name for path in runs.iterdir()] == ["9-ab12-lives"]
    assert content.exists(), "as a run of another machine works with it"
    os.utime(runs / "9-ab12-lives", (time() - 90_000,) * 2)
    Store(url).close()
    assert not [*runs.iterdir()]
    assert not content.exists()


def test_a_run_that_writes_or_reads_is_not_taken_for_a_killed_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def untouched(store: Store) -> bool:
        return store.root.stat().st_mtime < 2

    monkeypatch.setattr(object_store, "LEASE_S", 2.0)
    with Store(url) as store:
        store.save("customers", ROWS)
        os.utime(store.root, (1, 1))
        for _ in range(100):
            if untouched(store):
                sleep(0.05)
        assert not untouched(store)
    with Store(url) as store:
        os.utime(store.root, (1, 1))
        Store(url).close()
        assert store.frame("customers").height == 2
        assert not untouched(store)


SHA = "0" * 64


@pytest.mark.parametrize(
    ("name", "sha"),
    [
        ("tables/../../../../home/u/.bashrc", SHA),
        ("tables/./a", SHA),
        ("tables//a", SHA),
        ("tables/..", SHA),
        ("/etc/passwd", SHA),
        ("tables/a\\..\\b", SHA),
        ("runs/a", SHA),
        ("tables2/a", SHA),
        ("..", SHA),
        ("", SHA),
        ("tables/a", "../" * 20 + "etc/passwd"),
        ("tables/a", SHA[1:]),
        ("tables/a", SHA + "\n"),
        ("tables/a", "A" * 64),
    ],
)
def test_no_manifest_node_or_asker_leads_out_of_a_work_folder(url: str, name: str, sha: str) -> None:
    files = {"tables/good.parquet": object_store.Content(SHA, 1), name: object_store.Content(sha, 1)}
    facts = (url, repr(name), repr(sha[:70]))
    with Store(url) as store:
        assert store.remote
        with raises_code("manifest_invalid", *facts, kind=StepError) as caught:
            store.remote.learn(files)
        assert "\n" not in str(caught.value)
        assert not store.has("good"), "nothing of it is taken"
        with raises_code("manifest_invalid", "node n: ", *facts, kind=StepError):
            node_files.NodeCopy(url, "node n: ", node_files.node_folder(url)).begin(files)
    place = from_url(url, client_options={"allow_http": True})
    obstore.put(place, "manifest.json", json.dumps({"files": files, "gone": {}}).encode())
    with raises_code("manifest_invalid", *facts, kind=StepError):
        Store(url)


def test_a_place_that_cannot_be_reached_is_one_clear_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raises_code("url_scheme_unknown", "ftp", kind=ConfigError):
        Store("ftp://host/shop")
    store = Store("s3://no-such-bucket/shop")
    with raises_code("bucket_missing", "s3://no-such-bucket/shop", kind=ConfigError):
        store.save("customers", ROWS)
    store.close(send=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with raises_code("connection_failed", url, kind=StepError) as found:
        Store(url)
    assert "\n" not in str(found.value)
    assert "geheim" not in str(found.value)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with raises_code("extra_missing", url, "promolift[cloud]", kind=ConfigError):
        Store(url)


def test_a_token_that_expires_in_the_middle_is_one_clear_line_and_leaves_all_of_before(
    url: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "streng-geheim")
    with gate(s3_server) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with Store(url) as store:
            store.save("customers", ROWS)
            store.done("ingest", "1")
        store = Store(url)
        store.save("customers", MORE)
        Gate.expired = True
        for work in (
            lambda: store.done("ingest", "2"),
            lambda: store.table("products"),
            store.close,
            lambda: Store(url),
        ):
            with pytest.raises((ConfigError, StepError)) as found:
                work()
            if work is not store.close:
                assert found.value.code == ("step_missing" if "products" in str(found.value) else "credentials_expired")
            assert "\n" not in str(found.value)
            assert "geheim" not in str(found.value)
        Gate.expired = False
        lock = from_url(url, client_options={"allow_http": True})
        held = json.loads(bytes(obstore.get(lock, "lock.json").bytes()))
        obstore.put(lock, "lock.json", json.dumps(held | {"until_ms": 0}).encode())  # as its writer has ended
        with Store(url) as again:
            assert again.frame("customers").equals(ROWS)
            assert not again.stale("ingest", "1")
            again.save("customers", MORE)
            again.done("ingest", "2")
        with Store(url) as again:
            assert again.frame("customers").equals(MORE)


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    for name in (f"file://{tmp_path}/work", Path(f"file://{tmp_path}/work")):
        with Store(name) as store:
            store.save("customers", ROWS)
    assert (tmp_path / "work/tables/customers.parquet").is_file()
