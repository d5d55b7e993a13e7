"""A task and shards of customers in; what it finds for each, in the order of the shards, out, wherever that is done.

In this process, in several processes of this machine, or on a Ray cluster. A task may run twice, or on a worker that is
lost in the middle: it writes each of its files in one go, so that nothing shows afterwards.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol, TypeVar

from pydantic import Field

from promolift.foundation.settings import Settings

Found = TypeVar("Found")


class EngineSettings(Settings):
    """What works on shards of customers. Results do not depend on it."""

    kind: Literal["local", "ray"] = Field(
        default="local",
        description='Where: "local" is this machine, "ray" a [cluster](scale.md), which needs `promolift[cluster]`.',
        examples=["ray"],
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Processes of this machine that work on a shard each at the same time; with 1 it is the one that "
        "was started. Each may use the memory and the threads that [data](#data) names.",
        examples=[4],
    )
    address: str = Field(
        default="auto",
        pattern=r"^(auto|[^/\s:]+:\d+)$",
        description='The cluster, as host:port of its head; "auto" is the one that this machine is a node of.',
        examples=["10.0.0.5:6379"],
    )
    cpus: float = Field(default=1.0, gt=0, le=64, description="Cores of a node that the cluster keeps for a task.")
    task_memory: str = Field(
        default="3GB",
        pattern=r"^\d+(\.\d+)?(MB|GB)$",
        description="Memory of a node that the cluster keeps for a task: twice `data.memory`, and 1 GB.",
        examples=["6GB"],
    )
    node_disk: str = Field(
        default="20GB",
        pattern=r"^\d+(\.\d+)?(MB|GB)$",
        description="Disk of a node for what it brought of a work folder [at a URL](storage.md), beside what its tasks "
        "work on.",
        examples=["200GB"],
    )


class Engine(Protocol):
    """What runs tasks.

    `node_disk` is None where workers are of this machine, else how many bytes each node may keep of a work folder at a
    URL; `leaving` is done on every node when the engine ends.
    """

    node_disk: int | None
    leaving: Callable[[], object] | None

    def map(self, task: Callable[[int], Found], shards: Sequence[int]) -> Iterator[Found]:
        """`task` of each shard, in their order, a few ahead of who asks; it and what it finds travel."""
        ...


@contextmanager
def opened(settings: EngineSettings) -> Iterator[Engine | None]:
    """The engine, which starts at its first task and ends with the block; None where this process does the work."""
    if settings.kind == "ray":
        from promolift.extensions.cluster.ray_executor import Cluster

        with Cluster(settings) as cluster:
            yield cluster
    elif settings.workers > 1:
        from promolift.foundation.executors.processes import Processes

        with Processes(settings.workers) as processes:
            yield processes
    else:
        yield None
