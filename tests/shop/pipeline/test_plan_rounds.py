"""The plan's choice by rounds over parts on disk: the same to the bit by one process and two, one of them killed."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from same_tables import assert_same, ran, tables

from promolift.foundation.executors.executor import ExecutorSettings
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning import partitions
from promolift.shop.pipeline.planning.partitions import PartitionStore
from promolift.shop.results.work_folder.run_context import Job

LIMITS = ("count <= 40", "offer share: cost_share[scope=category] >= 0.2")


def dies_once(job: Job, number: int, shelf: PartitionStore, name: str, *more: Any) -> Any:
    """What a round asks of a part; the worker that comes to part 2 in the third round is killed."""
    seen = job.store.root / "rounds"
    if number == 2:
        with seen.open("a") as file:
            file.write(".")
        if len(seen.read_text()) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    return on_slots(job, number, shelf, name, *more)


on_slots = partitions.run_on_slots


@pytest.mark.slow
@pytest.mark.parametrize("limits", [(), LIMITS])
@pytest.mark.usefixtures("in_rounds")
def test_rounds_give_the_same_plan_by_two_processes_though_one_is_killed(
    ready: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: tuple[str, ...]
) -> None:
    config, work = ready
    config = config.model_copy(update={"plan": config.plan.model_copy(update={"limits": limits})})
    for name in ("one", "two", "killed"):
        shutil.copytree(work, tmp_path / name)
    one = ran(config, tmp_path / "one", steps=("plan",))
    assert tables(one)["tables/chosen.parquet"].height > 5
    assert_same(one, ran(config, tmp_path / "two", ExecutorSettings(workers=2), ("plan",)))
    monkeypatch.setattr(partitions, "run_on_slots", dies_once)
    assert_same(one, ran(config, tmp_path / "killed", ExecutorSettings(workers=2), ("plan",)))
    assert len((tmp_path / "killed" / "rounds").read_text()) > 3
