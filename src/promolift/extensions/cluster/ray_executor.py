"""Run tasks on the nodes of a Ray cluster. What a lost node worked on is run again on another node."""

import os
import platform
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar
from uuid import uuid4

from promolift.foundation.errors import ConfigError, PromoError, StepError
from promolift.foundation.executors.executor import ExecutorSettings
from promolift.foundation.executors.processes import work
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.version import __version__

if TYPE_CHECKING:
    from promolift.foundation.storage.local_store import Store

Result = TypeVar("Result")
TASKS_AHEAD = 2  # tasks of a core that are done or waiting before their results are asked for
MAX_RETRIES = 5  # workers that a task may lose
NODE_CHECK_S = 10.0  # how often somebody looks whether there is still a node for what is asked
MAX_NODE_CHECKS = 6  # such looks without a node, after which the run ends
PINNED_PACKAGES = ("polars", "duckdb", "numpy", "pyarrow", "lightgbm")  # other versions might give other numbers
THREAD_VARIABLES = (
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)  # workers count with as many as who asks
RESUME_HINT = "finished steps are kept: run the same command again to go on"


class TaskRefused(NamedTuple):
    """Why a worker found nothing; it travels as a value, since what is raised there would come with its traceback."""

    error: PromoError


class RayExecutor:
    """An executor of many machines, on each of which this promolift is installed.

    Every node sees the work folder, or the folder lies at a URL: then each node has a copy of its own, of at most
    `engine.node_disk` bytes, which goes when the executor ends.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self.settings = settings
        self._leaving: Callable[[], object] | None = None  # done on every node at the end
        self._ray: Any = None
        self._waiting = dict[int, Any]()  # what the last round still works on
        self._mine = False

    def __enter__(self) -> Self:
        """Return the executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the cluster, if it was joined here; what is still being worked on ends there."""
        if self._ray is not None and self._leaving is not None:
            with suppress(Exception):  # of a cluster that may be lost
                self._leave(self._ray, self._leaving)
        if self._mine:
            self._ray.shutdown()
        self._ray, self._mine = None, False

    def _leave(self, ray: Any, leaving: Callable[[], object]) -> None:
        for each in self._waiting.values():
            ray.cancel(each)
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        do, nodes = ray.remote(lambda: leaving()), [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        at = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
        asked = [do.options(num_cpus=0, scheduling_strategy=each).remote() for each in at]
        ray.wait(asked, num_returns=len(asked), timeout=NODE_CHECK_S)

    def map(
        self, task: Callable[[int], Result], shards: Sequence[int], store: "Store | None" = None
    ) -> Iterator[Result]:
        """See Executor. ConfigError where the cluster cannot be reached; StepError where no node is left."""
        if store is None or store.remote is None:
            return self._map(task, shards)
        from promolift.extensions.cluster.node_files import map_at_nodes, remove_node_files  # needs obstore

        self._leaving = partial(remove_node_files, store.remote.url)
        return map_at_nodes(self._map, task, shards, store, _bytes(self.settings.node_disk))

    def _map(self, task: Callable[[int], Result], shards: Sequence[int]) -> Iterator[Result]:
        ray = self._joined()
        do = ray.remote(run_on_node).options(
            num_cpus=self.settings.cpus, memory=_bytes(self.settings.task_memory), max_retries=MAX_RETRIES,
            scheduling_strategy="SPREAD",
        )  # fmt: skip
        token, kept, asked = uuid4().hex, [ray.put(task)], package_versions()
        ahead = TASKS_AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1) / self.settings.cpus))
        waiting = self._waiting = dict[int, Any]()
        for place in range(len(shards)):
            for k in range(place, min(place + ahead, len(shards))):
                if k not in waiting:
                    waiting[k] = do.remote(asked, token, kept, shards[k])
            found = self._got(waiting[place], shards[place])
            del waiting[place]
            yield found

    def _got(self, result: Any, shard: int) -> Any:
        ray, missed = self._ray, 0
        while not ray.wait([result], timeout=NODE_CHECK_S)[0]:
            missed = 0 if self._able() else missed + 1
            if missed == MAX_NODE_CHECKS:
                asked = gettext_lazy(
                    "{cpus} CPUs and {task_memory} of memory",
                    cpus=f"{self.settings.cpus:g}",
                    task_memory=self.settings.task_memory,
                )
                raise StepError(
                    "cluster_too_small",
                    gettext_lazy(
                        "engine.address {address}: no node is left that has {asked} for a task; bring one back, or "
                        "ask for less by engine.cpus and engine.task_memory; {resume_hint}",
                        address=self.settings.address,
                        asked=asked,
                        resume_hint=RESUME_HINT,
                    ),
                )
        try:
            found = ray.get(result)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[0]
            raise StepError(
                "worker_lost",
                gettext_lazy(
                    "engine.address {address}: shard {shard} was lost {max_retries} times ({why}); look at the "
                    "nodes' memory, or set more data.shards; {resume_hint}",
                    address=self.settings.address,
                    shard=shard,
                    max_retries=MAX_RETRIES + 1,
                    why=why,
                    resume_hint=RESUME_HINT,
                ),
            ) from None
        if isinstance(found, TaskRefused):
            raise found.error
        return found

    def _able(self) -> bool:
        """Whether some node that lives has what a task asks for."""
        wanted = {"CPU": self.settings.cpus, "memory": _bytes(self.settings.task_memory)}
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return any(all(has.get(name, 0) >= least for name, least in wanted.items()) for has in nodes)

    def _joined(self) -> Any:
        if self._ray is not None:
            return self._ray
        try:
            import ray
        except ImportError:
            raise ConfigError(
                "extra_missing", gettext_lazy("engine.kind = 'ray' needs Ray; `pip install 'promolift[cluster]'`")
            ) from None
        if not ray.is_initialized():
            self._join(ray)
            self._mine = True
        self._ray = ray
        return ray

    def _join(self, ray: Any) -> None:
        address = self.settings.address
        where = f"engine.address {address}"
        try:
            if address != "auto":  # Ray itself would try for minutes
                host, _, port = address.rpartition(":")
                socket.create_connection((host, int(port)), timeout=5).close()
            threads = {name: os.environ.get(name) or str(_cores()) for name in THREAD_VARIABLES}  # Ray's own say is one
            ray.init(
                address=address, log_to_driver=False, logging_level="error", runtime_env={"env_vars": threads},
            )  # fmt: skip
        except (OSError, ConnectionError, RuntimeError, ValueError) as error:
            with suppress(Exception):
                ray.shutdown()
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ConfigError(
                "connection_failed",
                gettext_lazy(
                    "{where}: no Ray cluster is reached there ({why}); start one with `ray start --head`, and "
                    "run this on one of its nodes, or set engine.kind = 'local'",
                    where=where,
                    why=why,
                ),
            ) from None


def _cores() -> int:
    """Cores that this process may use, as many threads as libraries start where nobody says otherwise."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_on_node(asked: dict[str, str], token: str, task: list[Any], shard: int) -> Any:
    """What a task finds for a shard, on a node; a TaskRefused where it has other versions than who asks."""
    here = package_versions()
    if other := [name for name in asked if here.get(name) != asked[name]]:
        name = other[0]
        return TaskRefused(
            StepError(
                "versions_differ",
                gettext_lazy(
                    "engine: node {gethostname} has {name} {get}, and this run {asked}; results would differ: "
                    "install the same versions on every node",
                    gethostname=socket.gethostname(),
                    name=name,
                    get=here.get(name, "not"),
                    asked=asked[name],
                ),
            )
        )
    try:
        return work(token, lambda: _read(task[0]), shard)
    except PromoError as error:
        return TaskRefused(error)


def _read(task: Any) -> Any:
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[0].removeprefix("System error: ")
        raise StepError(
            "versions_differ",
            gettext_lazy(
                "engine: node {gethostname} cannot read a task ({why}); install promolift {version} with "
                "the same extras there",
                gethostname=socket.gethostname(),
                why=why,
                version=__version__,
            ),
        ) from None


@cache
def package_versions() -> dict[str, str]:
    """What must be the same on every node, by name."""
    found = {"promolift": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in PINNED_PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _bytes(size: str) -> int:
    return int(float(size[:-2]) * (1e9 if size.endswith("GB") else 1e6))
