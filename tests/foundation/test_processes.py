"""Several processes of one machine: the tables of one process, to the bit, also where a worker is killed."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest
from error_checks import raises_code
from same_tables import assert_same, ran, settings, tables

from promolift.foundation.errors import StepError, SupportError
from promolift.foundation.executors.executor import ExecutorSettings, open_executor
from promolift.foundation.executors.processes import LocalProcesses
from promolift.foundation.storage.local_store import Store


def once(folder: Path, shard: int) -> int:
    """Ten times the shard; the worker that comes to shard 2 first is killed."""
    if shard == 2 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * shard


def always(shard: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return shard


def refuses(shard: int) -> int:
    raise SupportError("too_few_rows", f"too few rows in shard {shard}")


def test_results_come_in_the_order_of_shards_though_a_worker_is_killed(tmp_path: Path) -> None:
    with LocalProcesses(2) as engine:
        assert [*engine.map(partial(once, tmp_path), [4, 2, 0, 3, 1])] == [40, 20, 0, 30, 10]
        assert (tmp_path / "killed").exists()


def test_a_task_that_kills_every_worker_ends_in_one_line() -> None:
    with LocalProcesses(2) as engine, raises_code("worker_lost", "4", "engine.workers", kind=StepError):
        [*engine.map(always, range(3))]


def test_an_error_meant_for_people_comes_as_it_is() -> None:
    with LocalProcesses(2) as engine, raises_code("too_few_rows", kind=SupportError) as caught:
        [*engine.map(refuses, [1, 2])]
    assert str(caught.value) == "too few rows in shard 1"


def test_one_worker_is_the_process_that_was_started() -> None:
    with open_executor(ExecutorSettings()) as engine:
        assert engine is None


@pytest.mark.slow
def test_workers_see_what_lies_at_a_url(own_files: Path, tmp_path: Path, s3_url: str) -> None:
    config = settings(own_files, tmp_path)
    one = ran(config, tmp_path / "one", steps=("ingest", "profile"))
    ran(config, s3_url, steps=("ingest",))
    ran(config, s3_url, ExecutorSettings(workers=2), ("profile",))
    with Store(s3_url) as store:
        assert store.shards("profiles") == [0, 1, 2, 3]
        for shard in range(4):
            assert store.table("profiles", shard).pl().equals(tables(one)[f"tables/profiles/shard={shard}.parquet"])


@pytest.mark.slow
def test_processes_give_the_tables_of_one(own_files: Path, tmp_path: Path) -> None:
    config = settings(own_files, tmp_path)
    one = ran(config, tmp_path / "one")
    assert_same(one, ran(config, tmp_path / "two", ExecutorSettings(workers=2)))
