"""A task and the names of the files that it may read in; what it finds, on a node that shares no folder with who asks,
and the names of the files that it wrote, out.

Each process that works there has a copy of the work folder, empty at first: a file is brought from the URL when it is
read, and what a task wrote is sent when it is done. Paths in the task are those of the copy. Only contents lie at the
URL, by their hash: who asks knows which file they are, and a task that is done twice sends the same ones.
"""

import copyreg
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple

from promolift.extensions.cluster.object_store import Content, Remote
from promolift.foundation.errors import full_said
from promolift.foundation.storage.location import copy_with


class NodeAnswer(NamedTuple):
    """What a task found, and the files that it wrote."""

    found: Any
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
        """All its paths have been read: what `at_node` saw since the task before is this one's."""
        self.__dict__.update(state, folders=tuple(_folders))
        _folders.clear()

    def __call__(self, shard: int) -> NodeAnswer:
        """Do it here. ConfigError or StepError, which name the node, where the storage cannot be reached from it."""
        here = copy_of(self.url)
        with full_said(f"node {gethostname()}, {here.folder}"):
            here.begin(self.files)
            try:
                for folder in self.folders:
                    folder.mkdir(parents=True, exist_ok=True)
                return NodeAnswer(self.task(shard), here.written())
            finally:
                here.end(self.most)


class NodeCopy(Remote):
    """The copy that a process of a node works in: what there is comes with each task, and goes with it."""

    def _read(self) -> None:
        """No manifest names what tasks read."""

    def begin(self, files: Mapping[str, Content]) -> None:
        """These are the files."""
        self._make()  # a run that ended here may have removed it
        self._files = self._checked(files)
        self._away = dict(self._files)
        self._there = {kept.sha256 for kept in files.values()}

    def written(self) -> dict[str, Content]:
        """Send what was written since, by name. StepError where that fails."""
        with self._said():
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
    place = Remote.place_of(url)
    return place.with_name(f"{place.name}-node") / "runs" / f"{os.getpid()}-node-{gethostname()}"


@lru_cache(maxsize=1)
def copy_of(url: str) -> NodeCopy:
    """The copy of this process."""
    folder = node_folder(url)
    shutil.rmtree(folder, ignore_errors=True)  # of a process that had this number before
    found = NodeCopy(url, f"node {gethostname()}: ", folder)
    found.clear()
    return found


def leave(url: str) -> None:
    """Remove all that this node has of a work folder."""
    shutil.rmtree(node_folder(url).parent.parent, ignore_errors=True)


def at_node(url: str, name: str, is_folder: bool) -> Path:
    """A path of a task as it is on a node; a folder is there when the task begins."""
    path = node_folder(url) / name
    if is_folder:
        _folders.add(path)
    return path


def as_it_travels(path: Path) -> Any:
    """How a path is pickled: by its name below the work folder, where that is to be another's copy of it."""
    if (copy := copy_with(path)) and copy.apart:
        return at_node, (copy.url, path.relative_to(copy.folder).as_posix(), path.is_dir())
    return path.__reduce__()


_folders = set[Path]()
copyreg.pickle(type(Path()), as_it_travels)
