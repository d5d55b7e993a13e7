"""A place that servers of one ledger share, as a URL or a folder, in; releases sent there and brought from there out.

    URL/rel_<hash>/candidates.parquet, ...   as in a work folder
    URL/rel_<hash>/manifest.json             written last: with it the release is whole

A release's id is a hash of its manifest, which holds the hashes of its files: nothing there is ever changed, and what
is brought is looked at before it counts.
"""

import json
import re
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from promolift.extensions.cluster.object_store import Bucket
from promolift.foundation.errors import InputError
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.storage.location import on_this_machine, url_of
from promolift.server.decisions.live_release import LiveRelease, load
from promolift.shop.pipeline.release import named, to_disk

MANIFEST = "manifest.json"
THEN = "releases that are here already go on; try again when it does"


class SharedReleases:
    """Releases at a URL (s3, gs, abfs, file) or in a folder."""

    def __init__(self, place: str) -> None:
        """ConfigError where the library, the place or the right to it are missing."""
        self._bucket = Bucket(url_of(place) or on_this_machine(place).absolute().as_uri(), THEN)
        self._known = set[str]()  # are there, whole

    def send(self, folder: Path) -> None:
        """Send a release, unless it is there. StepError where that fails: then it is not there, or not whole."""
        if folder.name in self._known:
            return
        with self._bucket.said():
            with suppress(FileNotFoundError):
                self._bucket.library.head(self._bucket.store, f"{folder.name}/{MANIFEST}")
                self._known.add(folder.name)
                return
            for path in (*sorted(folder.glob("*.parquet")), folder / MANIFEST):
                self._bucket.put(f"{folder.name}/{path.name}", path)
        self._known.add(folder.name)

    def bring(self, folder: Path) -> None:
        """Bring a release into a folder of its name; nothing where there is none. InputError if it was changed."""
        draft = folder.with_name(f"draft.{uuid4().hex}")
        draft.mkdir(parents=True)
        try:
            with self._bucket.said():
                try:
                    self._bucket.get(f"{folder.name}/{MANIFEST}", draft / MANIFEST)
                except FileNotFoundError:
                    return
                for name, digest in self._files(draft, folder.name).items():
                    self._bucket.get(f"{folder.name}/{name}.parquet", draft / f"{name}.parquet")
                    if sha256_of_file(draft / f"{name}.parquet") != digest:
                        raise self._changed(folder.name)
            for path in (*draft.iterdir(), draft):
                to_disk(path)
            with suppress(OSError):  # another process of this machine was quicker
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def remove(self, keep: set[str], before_s: float) -> int:
        """Delete the releases that are older and not kept; how many."""
        with self._bucket.said():
            listed = [each for some in self._bucket.library.list(self._bucket.store) for each in some]
            made: dict[str, float] = {}
            for each in listed:
                name, at = each["path"].split("/")[-2], each["last_modified"].timestamp()
                made[name] = max(at, made.get(name, at))
            gone = {name for name, at in made.items() if name not in keep and at < before_s}
            mine = (each["path"] for each in listed if each["path"].split("/")[-2] in gone)
            for path in sorted(mine, key=lambda path: not path.endswith(MANIFEST)):  # first it is no release any more
                self._bucket.library.delete(self._bucket.store, path)
        self._known -= gone
        return len(gone)

    def _files(self, draft: Path, release_id: str) -> dict[str, str]:
        """The hash of each file by its name, as the manifest says."""
        text = (draft / MANIFEST).read_text(encoding="utf-8")
        files: dict[str, str] = json.loads(text)["files"] if named(text) == release_id else {"": ""}
        if not all(map(re.compile("[a-z_]+").fullmatch, files)):
            raise self._changed(release_id)
        return files

    def _changed(self, release_id: str) -> InputError:
        return InputError(
            "file_changed", f"{self._bucket.url}/{release_id}: was changed after it was sent; make a new release"
        )


def load_from(place: str | None, root: Path, release_id: str) -> LiveRelease:
    """A release of a work folder, brought from the place that is shared if it is not there yet."""
    folder = root / "serve" / "releases" / release_id
    if place is not None and not (folder / MANIFEST).is_file():
        shared(place).bring(folder)
    return load(root, release_id)


@cache
def shared(place: str) -> SharedReleases:
    """The one of this process."""
    return SharedReleases(place)
