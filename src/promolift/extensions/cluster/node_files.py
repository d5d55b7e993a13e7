"""Send a task's files to nodes that share no folder with the calling process, and return the files that it wrote.

Each worker process has its own copy of the work folder, which starts empty. A file is downloaded when the task reads
it, and the files that the task wrote are uploaded when it is done. Paths in the task refer to the worker's copy. The
URL stores contents by their hash only: the caller knows their names, and a task that runs twice uploads the same
contents.
"""

import copyreg
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple, TypeVar

from promolift.extensions.cluster.object_store import Content, ObjectStoreFolder
from promolift.foundation.errors import convert_disk_full_error
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import copy_with

Result = TypeVar("Result")


def map_at_nodes(
    map_tasks: Callable[[Callable[[int], Any], Sequence[int]], Iterator[Any]],
    task: Callable[[int], Result], shards: Sequence[int], store: Store, node_bytes: int,
) -> Iterator[Result]:  # fmt: skip
    """Return the results of `task` for the shards, which `map_tasks` runs on nodes with copies of `store`.

    The store lies at a URL. Paths in the task that lie below it, and nothing else of this machine, are found on a node,
    which keeps at most `node_bytes` of its files for later tasks.
    """
    remote = store.remote
    assert isinstance(remote, ObjectStoreFolder)
    remote.apart = True
    files = remote.share(store.place.work)
    for answer in map_tasks(NodeTask(remote.url, files, task, node_bytes), shards):
        remote.learn(answer.files)
        yield answer.value


class NodeResult(NamedTuple):
    """The return value of a task, and the files that the task wrote."""

    value: Any
    files: dict[str, Content]


@dataclass(frozen=True)
class NodeTask:
    """A task as it travels, with the files of the work folder at `url` by name. A node keeps `most` bytes of them for
    later tasks.
    """

    url: str
    files: dict[str, Content]
    task: Callable[[int], Any]
    most: int
    folders: tuple[Path, ...] = ()  # that are there when it begins; known when it has come here

    def __setstate__(self, state: dict[str, Any]) -> None:
        """All its paths have been read: what `path_on_node` saw since the task before is this one's."""
        self.__dict__.update(state, folders=tuple(_folders))
        _folders.clear()

    def __call__(self, shard: int) -> NodeResult:
        """Do it here. ConfigError or StepError, which name the node, where the storage cannot be reached from it."""
        here = open_node_copy(self.url)
        with convert_disk_full_error(f"node {gethostname()}, {here.folder}"):
            here.begin(self.files)
            try:
                for folder in self.folders:
                    folder.mkdir(parents=True, exist_ok=True)
                return NodeResult(self.task(shard), here.upload_changes())
            finally:
                here.end(self.most)


class NodeCopy(ObjectStoreFolder):
    """The copy that a process of a node works in: what there is comes with each task, and goes with it."""

    def _read(self) -> None:
        """No manifest names what tasks read."""

    def begin(self, files: Mapping[str, Content]) -> None:
        """These are the files."""
        self._make()  # a run that ended here may have removed it
        self._files = self._checked(files)
        self._away = dict(self._files)
        self._there = {kept.sha256 for kept in files.values()}

    def upload_changes(self) -> dict[str, Content]:
        """Send what was written since, by name. StepError where that fails."""
        with self._translated_errors():
            sent = self._send_all([self.folder / "tmp"])
        return {name: kept for name, kept in sent.items() if self._files.get(name) != kept}

    def end(self, most: int) -> None:
        """Empty the copy, and of the cache what was used longest ago of more than `most` bytes."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._sent.clear()
        used = []
        for path in (self._home / "objects").iterdir():
            with suppress(FileNotFoundError):  # another process of this node does the same
                state = path.stat()
                used.append((state.st_ctime_ns, state.st_size, path))  # each use is a link, and changes the time
        size = sum(each for _, each, _ in used)
        for _, each, path in sorted(used):
            if size > most:
                path.unlink(missing_ok=True)
                size -= each


def node_folder(url: str) -> Path:
    """The copy's folder, in a part of the cache that goes when a run ends."""
    place = ObjectStoreFolder.place_of(url)
    return place.with_name(f"{place.name}-node") / "runs" / f"{os.getpid()}-node-{gethostname()}"


@lru_cache(maxsize=1)
def open_node_copy(url: str) -> NodeCopy:
    """The copy of this process."""
    folder = node_folder(url)
    shutil.rmtree(folder, ignore_errors=True)  # of a process that had this number before
    found = NodeCopy(url, f"node {gethostname()}: ", folder)
    found.clear()
    return found


def remove_node_files(url: str) -> None:
    """Remove all that this node has of a work folder."""
    shutil.rmtree(node_folder(url).parent.parent, ignore_errors=True)


def path_on_node(url: str, name: str, is_folder: bool) -> Path:
    """A path of a task as it is on a node; a folder is there when the task begins."""
    path = node_folder(url) / name
    if is_folder:
        _folders.add(path)
    return path


def pickle_path(path: Path) -> Any:
    """How a path is pickled: by its name below the work folder, where that is to be another's copy of it."""
    if (copy := copy_with(path)) and copy.apart:
        return path_on_node, (copy.url, path.relative_to(copy.folder).as_posix(), path.is_dir())
    return path.__reduce__()


_folders = set[Path]()
copyreg.pickle(type(Path()), pickle_path)
