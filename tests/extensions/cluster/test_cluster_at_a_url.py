"""Two raylets that share no folder, with the driver or each other, and a work folder on a server that speaks S3: the
tables of one process, to the bit, though one is lost in the middle.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from error_checks import raises_code
from same_tables import NODE, RAY, STEPS, assert_same, ran, settings

pytest.importorskip("ray")
pytest.importorskip("obstore")
import obstore
import ray
from obstore.store import from_url
from ray.cluster_utils import Cluster as Raylets

from promolift.extensions.cluster.object_store import Content, ObjectStoreFolder
from promolift.foundation.errors import ConfigError
from promolift.foundation.executors.executor import ExecutorSettings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import PARTS, brought
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning.partitions import StoredRounds

pytestmark = RAY


class Shop:
    """Raylets and where each has its own folders; nobody but this process can open those of the driver."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.raylets = Raylets(initialize_head=True, head_node_args=NODE | {"env_vars": self.own("head")})

    def own(self, name: str) -> dict[str, str]:
        """A node's own folders."""
        places = {key: self.folder / name / key.lower() for key in ("PROMOLIFT_CACHE", "TMPDIR", "HOME")}
        for place in places.values():
            place.mkdir(parents=True)
        return {key: str(place) for key, place in places.items()}

    def node(self, name: str) -> Any:
        """One more, with what the environment has now."""
        return self.raylets.add_node(**NODE, env_vars=self.own(name))

    def ran(self, config: Config, *steps: str) -> Path:
        """The work folder after these steps, in a folder here."""
        ran(config, self.url, ExecutorSettings(kind="ray", address=self.raylets.address, task_memory="1GB"), steps)
        found = self.folder / "found"
        with Store(self.url) as store:
            for part in PARTS:
                if brought(store.root / part).is_dir():
                    shutil.copytree(store.root / part, found / part)
            assert store.remote
            named = {f"objects/{kept.sha256}" for kept in store.remote._files.values()} | {
                f"objects/{sha}" for sha in store.remote._gone
            }
        place = from_url(self.url, client_options={"allow_http": True})
        lies = {each["path"] for some in obstore.list(place, "objects") for each in some}
        assert lies <= named, "what was temporary is gone"
        assert not [*self.folder.glob("head/promolift_cache/*-node/objects")], "and from the node that lives"
        return found

    def lose(self, node: Any) -> None:
        """Kill a node, once."""
        if len(self.raylets.list_all_nodes()) > 1:
            assert [*(self.folder / "second").rglob("*-node")], "it had a part in the work"
            self.raylets.remove_node(node, allow_graceful=False)


@pytest.fixture
def shop(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    cache = tmp_path / "driver"
    cache.mkdir()
    handle = os.open(cache, os.O_RDONLY)
    found = Shop(tmp_path, s3_url)
    if Path(f"/proc/self/fd/{handle}").is_dir():  # a folder of this process: its path leads no other one there
        monkeypatch.setenv("PROMOLIFT_CACHE", f"/proc/self/fd/{handle}")
    try:
        yield found
    finally:
        ray.shutdown()
        found.raylets.shutdown()
        os.close(handle)


def test_the_tables_are_those_of_one_process_though_a_node_is_lost(
    shop: Shop, own_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(own_files, tmp_path)
    one = ran(config, tmp_path / "one")
    lost, learn, came = shop.node("second"), ObjectStoreFolder.learn, list[str]()

    def losing(self: ObjectStoreFolder, files: dict[str, Content]) -> None:
        learn(self, files)
        came.extend(files)
        if any("/profiles/" in name for name in files):  # the last pass of the profiles is under way
            shop.lose(lost)

    monkeypatch.setattr(ObjectStoreFolder, "learn", losing)
    assert_same(one, shop.ran(config, *STEPS))
    assert len(shop.raylets.list_all_nodes()) == 1
    assert all(name.startswith("tmp/") for name in came)


@pytest.mark.usefixtures("in_rounds")
def test_a_plan_by_rounds_though_a_node_is_lost_in_the_third(
    shop: Shop, ready: tuple[Config, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, work = ready
    limits = ("count <= 40", "offer share: cost_share[scope=category] >= 0.2")
    config = config.model_copy(update={"plan": config.plan.model_copy(update={"limits": limits})})
    shutil.copytree(work, tmp_path / "one")
    with Store(shop.url) as store:
        for part in PARTS:
            if (work / part).is_dir():
                shutil.copytree(work / part, store.root / part)
            elif (work / part).exists():
                shutil.copy(work / part, store.root / part)
    one = ran(config, tmp_path / "one", steps=("plan",))
    lost, rounds, each = shop.node("second"), list[Any](), StoredRounds.each

    def losing(self: StoredRounds, *asked: Any, **named: Any) -> Iterator[Any]:
        rounds.append(asked)
        for place, found in enumerate(each(self, *asked, **named)):
            if (len(rounds), place) == (3, 1):
                shop.lose(lost)
            yield found

    monkeypatch.setattr(StoredRounds, "each", losing)
    assert_same(one, shop.ran(config, "plan"))
    assert len(rounds) > 3
    assert len(shop.raylets.list_all_nodes()) == 1


def test_a_node_without_credentials_is_named_and_the_same_command_goes_on_without_it(
    shop: Shop, own_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(own_files, tmp_path)
    with monkeypatch.context() as poorer:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
            poorer.delenv(f"AWS_{name}")
        poor = shop.node("second")
    with raises_code("credentials_missing", "node ", "s3://shops/", kind=ConfigError):
        shop.ran(config, "ingest")
    ray.shutdown()
    shop.raylets.remove_node(poor)
    assert_same(ran(config, tmp_path / "one", steps=("ingest",)), shop.ran(config, "ingest"))
