"""Make a new version of a work folder's results beside it, and put it in their place as a whole.

A job that is killed leaves the version before. Renaming the finished version to `SWITCH` is the one step that counts:
whoever opens the folder afterwards moves what still lies there into its place.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from promolift.foundation.storage.temporary_folder import TemporaryFolder

RESULTS = ("tables", "notes", "models", "steps.json")  # what belongs to a version
SWITCH, REMOVED, TEMPORARY = "switch", "removed.json", "tmp"
NOT_COPIED = (TEMPORARY, "lock", SWITCH)


@contextmanager
def next_version(root: Path) -> Iterator[Path]:
    """Yield a folder with the results of `root`, which replaces them when the block ends without an error.

    Its files are hard links, which take no room: a `Store` replaces files and never writes into them. Other folders,
    such as the server's, are those of `root`. The caller keeps others from writing to `root` meanwhile.
    """
    finish_switch(root)
    temporary = TemporaryFolder(root.absolute() / TEMPORARY)
    try:
        draft = temporary.path / "version"
        draft.mkdir()
        link_results(root, draft)
        for place in root.absolute().iterdir():
            if place.is_dir() and place.name not in (*RESULTS, *NOT_COPIED):
                (draft / place.name).symlink_to(place)
        yield draft
        kept = {*_files(draft)}
        (draft / REMOVED).write_text(json.dumps([str(path) for path in _files(root) if path not in kept]))
        draft.rename(root / SWITCH)
    finally:
        temporary.close()
    finish_switch(root)


def link_results(root: Path, draft: Path) -> None:
    """Give a folder the results of `root` and the files beside them, as hard links."""
    for place in root.absolute().iterdir():
        if place.name in NOT_COPIED:
            continue
        if place.name in RESULTS and place.is_dir():
            shutil.copytree(place, draft / place.name, copy_function=_link)
        elif place.is_file():
            _link(place, draft / place.name)


def finish_switch(root: Path) -> None:
    """Move a finished version into its place. Several may do so at once, and go on where another was killed."""
    switch = root / SWITCH
    if not switch.is_dir():
        return
    for path in [*_files(switch)]:
        with suppress(FileNotFoundError):  # another moved it
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.exists() and place.samefile(switch / path):
                continue  # renaming a file to another link of it would do nothing
            (switch / path).replace(place)
    with suppress(FileNotFoundError):
        for name in json.loads((switch / REMOVED).read_text()):
            (root / name).unlink(missing_ok=True)
    shutil.rmtree(switch, ignore_errors=True)


def _files(root: Path) -> Iterator[Path]:
    """The files of a version, relative to its folder."""
    for name in RESULTS:
        part = root / name
        for path in [part] if part.is_file() else sorted(part.rglob("*")):
            if path.is_file():
                yield path.relative_to(root)


def _link(source: str | Path, target: str | Path) -> None:
    """Link a file, or copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
