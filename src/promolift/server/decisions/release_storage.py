"""Share releases between the servers of one ledger, through a URL or a folder.

    URL/rel_<hash>/candidates.parquet, ...   as in a work folder
    URL/rel_<hash>/manifest.json             written last: a release without it is incomplete

The id of a release is a hash of its manifest, which holds the hashes of its files. Stored files never change, and
downloaded files are verified before use.
"""

import json
import re
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from promolift.foundation.errors import InputError
from promolift.foundation.hashing import sha256_of_file
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.remote_storage import on_this_machine, storage_at, url_of
from promolift.server.decisions.live_release import LiveRelease, load_release
from promolift.shop.pipeline.release import release_id_of, sync_to_disk

MANIFEST = "manifest.json"
RETRY_ADVICE = gettext_lazy("releases that are here already go on; try again when it does")


class SharedReleases:
    """Releases at a URL (s3, gs, abfs, file) or in a folder."""

    def __init__(self, place: str) -> None:
        """ConfigError where the library, the place or the right to it are missing."""
        url = url_of(place) or on_this_machine(place).absolute().as_uri()
        self._bucket = storage_at(url).open_bucket(url, RETRY_ADVICE)
        self._known = set[str]()  # are there, whole

    def send(self, folder: Path) -> None:
        """Send a release, unless it is there. StepError where that fails: then it is not there, or not whole."""
        if folder.name in self._known:
            return
        with self._bucket.translated_errors():
            if self._bucket.exists(f"{folder.name}/{MANIFEST}"):
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
            with self._bucket.translated_errors():
                try:
                    self._bucket.get(f"{folder.name}/{MANIFEST}", draft / MANIFEST)
                except FileNotFoundError:
                    return
                for name, digest in self._files(draft, folder.name).items():
                    self._bucket.get(f"{folder.name}/{name}.parquet", draft / f"{name}.parquet")
                    if sha256_of_file(draft / f"{name}.parquet") != digest:
                        raise self._changed(folder.name)
            for path in (*draft.iterdir(), draft):
                sync_to_disk(path)
            with suppress(OSError):  # another process of this machine was quicker
                draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def remove(self, keep: set[str], before_s: float) -> int:
        """Delete the releases that are older and not kept; how many."""
        with self._bucket.translated_errors():
            files = list(self._bucket.files())
            modified_s: dict[str, float] = {}  # by release
            for file in files:
                name = file.name.split("/")[-2]
                modified_s[name] = max(file.modified_s, modified_s.get(name, file.modified_s))
            gone = {name for name, at_s in modified_s.items() if name not in keep and at_s < before_s}
            paths = (file.name for file in files if file.name.split("/")[-2] in gone)
            for path in sorted(paths, key=lambda path: not path.endswith(MANIFEST)):  # first it is no release any more
                self._bucket.delete(path)
        self._known -= gone
        return len(gone)

    def _files(self, draft: Path, release_id: str) -> dict[str, str]:
        """The hash of each file by its name, as the manifest says."""
        text = (draft / MANIFEST).read_text(encoding="utf-8")
        files: dict[str, str] = json.loads(text)["files"] if release_id_of(text) == release_id else {"": ""}
        if not all(map(re.compile("[a-z_]+").fullmatch, files)):
            raise self._changed(release_id)
        return files

    def _changed(self, release_id: str) -> InputError:
        return InputError(
            "file_changed",
            gettext_lazy(
                "{url}/{release_id}: was changed after it was sent; make a new release",
                url=self._bucket.url,
                release_id=release_id,
            ),
        )


def load_shared_release(place: str | None, root: Path, release_id: str) -> LiveRelease:
    """Load a release of a work folder, and download it first if it is only in the shared place."""
    folder = root / "serve" / "releases" / release_id
    if place is not None and not (folder / MANIFEST).is_file():
        open_shared_releases(place).bring(folder)
    return load_release(root, release_id)


@cache
def open_shared_releases(place: str) -> SharedReleases:
    """The one of this process."""
    return SharedReleases(place)
