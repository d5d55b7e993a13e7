"""A task and the names of the files that it may read in; what it finds, on a node that shares no folder with who asks,
and the names of the files that it wrote, out.

Each process that works there has a copy of the work folder, empty at first: a file is brought from the URL when it is
read, and what a task wrote is sent when it is done. Paths in the task are those of the copy. Only contents lie at the
URL, by their hash: who asks knows which file they are, and a task that is done twice sends the same ones.
"""

import pickle
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple

from promolift.errors import full_said
from promolift.store.remote import Content, Remote


class NodeAnswer(NamedTuple):
    """What a task found, and the files that it wrote."""

    found: Any
    files: dict[str, Content]


@dataclass
class NodeTask:
    """A task as it travels: `packed`, with the files of the work folder at `url` by name. A node keeps `most` bytes of
    them for later tasks.
    """

    url: str
    files: Mapping[str, Content]
    packed: bytes
    most: int
    task: Callable[[int], Any] | None = None
    folders: list[Path] = field(default_factory=list)

    def __call__(self, shard: int) -> NodeAnswer:
        """Do it here. ConfigError or StepError, which name the node, where the storage cannot be reached from it."""
        here = copy_of(self.url)
        with full_said(f"node {gethostname()}, {here.folder}"):
            here.begin(self.files)
            try:
                self.task = self.task or Unpacking(self.packed, here.folder, self.folders).load()
                for folder in self.folders:
                    folder.mkdir(parents=True, exist_ok=True)
                return NodeAnswer(self.task(shard), here.written())
            finally:
                here.end(self.most)


class NodeCopy(Remote):
    """The copy that a process of a node works in: what there is comes with each task, and goes with it."""

    def _read(self) -> None:
        """No manifest names what tasks read."""

    @staticmethod
    def _place_of(url: str) -> Path:
        place = Remote._place_of(url)
        return place.with_name(f"{place.name}-node")  # of which nothing is left when the run ends

    def begin(self, files: Mapping[str, Content]) -> None:
        """These are the files."""
        self._make()  # a run that ended here may have removed it
        self._files, self._away = dict(files), dict(files)
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


@lru_cache(maxsize=1)
def copy_of(url: str) -> NodeCopy:
    """The copy of this process."""
    found = NodeCopy(url, at=f"node {gethostname()}: ")
    found._clear()
    return found


def leave(url: str) -> None:
    """Remove all that this node has of a work folder."""
    shutil.rmtree(NodeCopy._place_of(url), ignore_errors=True)


def packed(remote: Remote, work: Path, task: Callable[[int], Any], most: int) -> NodeTask:
    """A task that works on a folder's copy here, for nodes; what it may read is sent first. StepError where that
    fails.
    """
    file = BytesIO()
    Packing(file, remote.folder).dump(task)
    return NodeTask(remote.url, remote.share(work), file.getvalue(), most)


class Packing(pickle.Pickler):
    """Paths below a folder become names."""

    def __init__(self, file: BytesIO, folder: Path) -> None:
        super().__init__(file)
        self.folder = folder

    def persistent_id(self, value: Any) -> tuple[str, bool] | None:
        """A path as its name, and whether it is of a folder."""
        if isinstance(value, Path) and value.is_relative_to(self.folder):
            return value.relative_to(self.folder).as_posix(), value.is_dir()
        return None


class Unpacking(pickle.Unpickler):
    """Names become paths below another folder; `folders` are those that must be there."""

    def __init__(self, packed: bytes, folder: Path, folders: list[Path]) -> None:
        super().__init__(BytesIO(packed))
        self.folder, self.folders = folder, folders

    def persistent_load(self, name: tuple[str, bool]) -> Path:
        """The path that a name stands for."""
        path = self.folder / name[0]
        if name[1]:
            self.folders.append(path)
        return path
