"""A Ray cluster of two raylets on the loopback: the tables of one process, to the bit; what is said if that fails."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import same_tables
from error_checks import raises_code
from same_tables import NODE, RAY, assert_same, ran, settings

pytest.importorskip("ray")
import ray
from ray.cluster_utils import Cluster as Raylets

import promolift
from promolift.extensions.cluster import ray_executor
from promolift.extensions.cluster.ray_executor import RayExecutor
from promolift.foundation.errors import ConfigError, StepError, SupportError
from promolift.foundation.executors.executor import ExecutorSettings
from promolift.foundation.storage.local_store import Store, StorePlace
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning.partitions import StoredRounds

pytestmark = RAY


@pytest.fixture
def raylets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Raylets]:
    here, support = Path(__file__).parent, Path(same_tables.__file__).parent
    monkeypatch.setenv("PYTHONPATH", f"{here}:{support}:{os.environ.get('PYTHONPATH', '')}")
    found = Raylets(initialize_head=True, head_node_args=NODE)
    try:
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


def engine_of(raylets: Raylets, **changes: Any) -> ExecutorSettings:
    return ExecutorSettings(kind="ray", address=raylets.address, task_memory="1GB", **changes)


def where(folder: Path, shard: int) -> str:
    """The node that does it; where shard 2 is tried first, its worker is killed."""
    if shard == 2 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return str(ray.get_runtime_context().get_node_id())


def refuses(shard: int) -> int:
    raise SupportError("too_few_rows", f"too few rows in shard {shard}")


def opens(place: StorePlace, shard: int) -> None:
    Store.at(place, memory="1GB")


def threads(shard: int) -> list[str]:
    return [os.environ.get(name, "unset") for name in ray_executor.THREAD_VARIABLES]


@pytest.mark.parametrize("said", [None, "3"])
def test_a_worker_has_the_threads_of_who_asks(
    raylets: Raylets, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    """Products of matrices go by their number, in the last bits; left alone Ray gives each worker one."""
    for name in ray_executor.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        if said:
            monkeypatch.setenv(name, said)
    with RayExecutor(engine_of(raylets)) as engine:
        (found,) = engine.map(threads, [0])
    assert found == [said or str(len(os.sched_getaffinity(0)))] * len(ray_executor.THREAD_VARIABLES)


def test_both_nodes_work_and_an_error_meant_for_people_comes_as_it_is(raylets: Raylets, tmp_path: Path) -> None:
    raylets.add_node(**NODE)
    with RayExecutor(engine_of(raylets)) as engine:
        nodes = [*engine.map(partial(where, tmp_path), range(6))]
        assert (tmp_path / "killed").exists()
        assert (len(nodes), len(set(nodes))) == (6, 2)
        with raises_code("too_few_rows", kind=SupportError) as caught:
            [*engine.map(refuses, [1, 2])]
        assert str(caught.value) == "too few rows in shard 1"
        lost = StorePlace(tmp_path / "work", tmp_path / "work" / "tmp" / "of another machine")
        with raises_code("work_folder_not_shared", str(lost.root), kind=StepError):
            [*engine.map(partial(opens, lost), [0])]


def test_a_cluster_without_a_node_that_is_able_is_said_so(raylets: Raylets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "NODE_CHECK_S", 0.1)
    with (
        RayExecutor(engine_of(raylets, cpus=8)) as engine,
        raises_code("cluster_too_small", raylets.address, "8", "1GB", kind=StepError),
    ):
        [*engine.map(refuses, [0])]


def test_a_cluster_that_is_not_there_is_said_so_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    with (
        RayExecutor(ExecutorSettings(kind="ray", address=address)) as engine,
        raises_code("connection_failed", f"engine.address {address}", kind=ConfigError),
    ):
        [*engine.map(refuses, [0])]
    assert time.monotonic() < began + 10


def test_a_node_with_another_version_is_named(tmp_path: Path) -> None:
    shutil.copytree(Path(promolift.__file__).parent, tmp_path / "promolift")
    version = tmp_path / "promolift" / "foundation" / "version.py"
    version.write_text(version.read_text(encoding="utf-8").replace(promolift.__version__, "0.0.9"), encoding="utf-8")
    others = os.environ.get("PYTHONPATH", "")
    found = Raylets(initialize_head=True, head_node_args={**NODE, "env_vars": {"PYTHONPATH": f"{tmp_path}:{others}"}})
    try:
        with (
            RayExecutor(engine_of(found)) as engine,
            raises_code("versions_differ", "promolift", "0.0.9", promolift.__version__, kind=StepError),
        ):
            [*engine.map(refuses, [0])]
    finally:
        ray.shutdown()
        found.shutdown()


def test_a_plan_though_a_node_is_lost_in_the_middle(raylets: Raylets, own_files: Path, tmp_path: Path) -> None:
    config = settings(own_files, tmp_path)
    one = ran(config, tmp_path / "one")
    ran(config, tmp_path / "two", engine_of(raylets), ("ingest",))
    lost = raylets.add_node(**NODE)
    kept = tmp_path / "two" / "tmp"

    def lose() -> None:
        while not [*kept.glob("*/profiles/shard=*.parquet")]:  # the last pass of the profiles is under way
            time.sleep(0.01)
        raylets.remove_node(lost, allow_graceful=False)

    losing = Thread(target=lose)
    losing.start()
    two = ran(config, tmp_path / "two", engine_of(raylets))
    losing.join(timeout=60)
    assert not losing.is_alive()
    assert_same(one, two)
    assert not [*kept.iterdir()], "nothing half-written is left"


@pytest.mark.usefixtures("in_rounds")
def test_a_plan_by_rounds_though_a_node_is_lost_in_the_third(
    raylets: Raylets, ready: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, work = ready
    limits = ("count <= 40", "offer share: cost_share[scope=category] >= 0.2")
    config = config.model_copy(update={"plan": config.plan.model_copy(update={"limits": limits})})
    for name in ("one", "two"):
        shutil.copytree(work, tmp_path / name)
    one = ran(config, tmp_path / "one", steps=("plan",))
    lost, rounds, each = raylets.add_node(**NODE), [], StoredRounds.each

    def losing(self: StoredRounds, *asked: Any, **named: Any) -> Iterator[Any]:
        rounds.append(asked)
        for place, found in enumerate(each(self, *asked, **named)):
            if (len(rounds), place) == (3, 1):
                raylets.remove_node(lost, allow_graceful=False)
            yield found

    monkeypatch.setattr(StoredRounds, "each", losing)
    assert_same(one, ran(config, tmp_path / "two", engine_of(raylets), ("plan",)))
    assert len(rounds) > 3
    assert len(raylets.list_all_nodes()) == 1
