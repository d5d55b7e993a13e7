"""Run one function on many shards of customers: in this process, in several, or on the machines of an extension.

`Executor` is the protocol, `ExecutorSettings` the section [engine] of promolift.toml, and `open_executor` finds the
executor that a section names. Results never depend on which one it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

from pydantic import Field

from promolift.foundation.extension import RegisteredName, load_reference, registered
from promolift.foundation.settings import Settings

if TYPE_CHECKING:
    from promolift.foundation.storage.local_store import Store

Result = TypeVar("Result")


class ExecutorSettings(Settings):
    """What works on shards of customers. Results do not depend on it."""

    kind: Annotated[str, RegisteredName("executors", "local")] = Field(
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


class Executor(Protocol):
    """Runs a task on many shards of customers.

    In several processes of this machine, or on the machines of a cluster. A task may run twice, or on a worker that is
    lost halfway: it writes each of its files in one step, so that no half-written file is ever seen.
    """

    def map(
        self, task: Callable[[int], Result], shards: Sequence[int], store: "Store | None" = None
    ) -> Iterator[Result]:
        """Return the result of `task` for each shard, in their order; a few shards are computed ahead.

        The task and its results are pickled. `store` is the work folder that the task reads and writes: the executor
        takes its files to workers that do not see the folder, and takes back what they wrote.
        """
        ...


@contextmanager
def open_executor(settings: ExecutorSettings) -> Iterator[Executor | None]:
    """Open the executor that the settings name; it starts at its first task and ends with the block.

    None where this process does the work. An extension registers a further `kind` with a function that takes the
    settings and returns a context manager of an Executor.
    """
    if settings.kind != "local":
        with load_reference(registered("executors")[settings.kind])(settings) as executor:
            yield executor
    elif settings.workers > 1:
        from promolift.foundation.executors.processes import LocalProcesses

        with LocalProcesses(settings.workers) as processes:
            yield processes
    else:
        yield None
