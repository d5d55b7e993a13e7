"""A disk that fills up in the middle of a step: one clear line, nothing half written, and the same command goes on."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code

from promolift.foundation.errors import convert_disk_full_error
from promolift.foundation.executors.processes import LocalProcesses
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.table_writing import Scratch
from promolift.shop.configuration.configuration import load_config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.results.work_folder.run_context import Job


def promolift(folder: Path, *words: str, most: int | None = None) -> subprocess.CompletedProcess[str]:
    """A verb as a person calls it, on a machine where no file may be larger than `most` bytes."""
    limit = None if most is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    command = [sys.executable, "-m", "promolift.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, preexec_fn=limit)


def tables(work: Path) -> dict[str, pl.DataFrame]:
    return {str(path.relative_to(work)): pl.read_parquet(path) for path in sorted((work / "tables").rglob("*.parquet"))}


@pytest.fixture(scope="module")
def shop(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    files = [part for name in ("events", "products") for part in (f"--{name}", str(own_files / f"{name}.csv"))]
    made = promolift(folder, "init", *files, "--consent", "yes", "--config", "promolift.toml")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("most", [4_000, 200_000])
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(shop: Path, most: int) -> None:
    work = f"work{most}"
    stopped = promolift(shop, "ingest", "--work", work, most=most)
    assert stopped.returncode == 2
    said = [line for line in stopped.stderr.splitlines() if not line.startswith("ingest")]
    assert len(said) == 1, stopped.stderr
    assert said[0].endswith("[disk_full]")
    assert f"{work}: " in said[0]
    assert not [path for path in (shop / work).rglob("*") if path.is_file() and path.suffix not in ("", ".parquet")]
    whole = {f"tables/{name}.parquet" for name in ("customers", "products", "senses")}
    assert set(tables(shop / work)) <= whole
    assert not (shop / work / "steps.json").exists()
    again = promolift(shop, "ingest", "--work", work)
    assert again.returncode == 0, again.stderr
    fresh = promolift(shop, "ingest", "--work", "fresh")
    assert fresh.returncode == 0, fresh.stderr
    mine, other = tables(shop / work), tables(shop / "fresh")
    assert [*mine] == [*other]
    assert all(mine[name].sort(mine[name].columns).equals(other[name].sort(other[name].columns)) for name in mine)


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_worker(shard: int) -> int:
    if shard == 1:
        no_room()
    return shard


def test_a_disk_that_is_full_for_a_worker_is_told_alike(tmp_path: Path) -> None:
    reason = os.strerror(errno.ENOSPC)
    with (
        raises_code("disk_full", str(tmp_path), reason),
        convert_disk_full_error(tmp_path),
        LocalProcesses(1) as engine,
    ):
        [*engine.map(full_worker, [0, 1])]
    with pytest.raises(ZeroDivisionError), convert_disk_full_error(tmp_path):
        raise ZeroDivisionError


@pytest.mark.slow
def test_a_plan_whose_parts_find_no_room_leaves_the_plan_of_before(
    shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = load_config(shop / "promolift.toml")
    data = config.data.model_copy(update={"shards": 4})
    config = config.model_copy(
        update={"data": data, "plan": config.plan.model_copy(update={"asof": "2024-09-20", "budget_cents": 20_000})}
    )
    monkeypatch.setattr("promolift.shop.pipeline.steps.plan.CUSTOMERS_IN_MEMORY", 20)
    with Store(tmp_path / "work") as store:
        job = Job(config, store, lambda *_: None)
        run_steps(job, ["ingest", "profile", "effect", "plan"])
        before = tables(tmp_path / "work")
        with monkeypatch.context() as patch:
            patch.setattr(Scratch, "put_arrays", no_room)
            with raises_code("disk_full", str(tmp_path)):
                run_steps(job, ["plan"], again=True)
        after = tables(tmp_path / "work")
        assert [*before] == [*after]
        assert all(before[name].equals(after[name]) for name in before)
        run_steps(job, ["plan"])
        assert tables(tmp_path / "work")["tables/chosen.parquet"].equals(before["tables/chosen.parquet"])
