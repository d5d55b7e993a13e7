"""Storage at URLs: what an extension implements for the URL schemes that it registers.

A folder of this machine needs none of this. For every other place `storage_at` finds the extension by the URL's scheme,
so that nothing else has to know which library reaches it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from promolift.foundation.errors import ConfigError
from promolift.foundation.extension import load_reference, registered


class RemoteFolder(Protocol):
    """A work folder at a URL, and the copy of this process in `folder`, which goes with `close`.

    `apart` says whether tasks are meant for machines that do not see `folder`.
    """

    url: str
    folder: Path
    apart: bool

    def knows(self, path: Path) -> bool:
        """Return whether this file, or files below it, lie at the URL and not in `folder` yet."""

    def names(self, folder: Path) -> set[str]:
        """Return the names of the files in a folder that do not lie in `folder` yet."""

    def bring(self, path: Path) -> None:
        """Copy the file, or all files below it, into `folder`. StepError where that fails."""

    def drop(self, path: Path) -> None:
        """Forget what lies there: it is replaced or removed."""

    def move(self, path: Path, place: Path) -> None:
        """Note that what lies at `path` lies at `place` from now on."""

    def publish(self, kept_s: float = ...) -> None:
        """Send what changed, all or nothing; readers may use the files of before for `kept_s` seconds more.

        StepError where another run has written meanwhile.
        """

    def lock(self) -> None:
        """Keep other writers out until `unlock`. StepError where one is there."""

    def unlock(self) -> None:
        """Let the next writer in."""

    def close(self) -> None:
        """Remove the copy and let the next writer in."""


class StoredFile(NamedTuple):
    """A file of a bucket, and when it was last written, in seconds since 1970."""

    name: str
    modified_s: float


class Bucket(Protocol):
    """Files below a URL, by their names with slashes. Each is written in one step."""

    url: str

    def translated_errors(self) -> AbstractContextManager[None]:
        """Turn failures of the storage within the block into errors for people."""

    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""

    def get(self, name: str, into: Path) -> None:
        """Copy a file's content into a file of this machine. FileNotFoundError if there is none."""

    def put(self, name: str, content: Path | bytes) -> object:
        """Write a file."""

    def files(self) -> Iterator[StoredFile]:
        """Yield all files."""

    def delete(self, name: str) -> None:
        """Delete a file."""


class Storage(Protocol):
    """What reaches URLs of some schemes. Both methods raise ConfigError where library, place or right are missing."""

    def open_folder(self, url: str) -> RemoteFolder:
        """Open a work folder."""

    def open_bucket(self, url: str, remedy: str) -> Bucket:
        """Open a place for files; `remedy` ends the sentence of a failure: what to do then."""


def storage_at(url: str) -> Storage:
    """Return the storage that reaches a URL. ConfigError if no extension has registered its scheme."""
    scheme, storages = url.partition(":")[0], registered("storages")
    if scheme not in storages:
        raise unknown_scheme(url, scheme)
    storage: Storage = load_reference(storages[scheme])
    return storage


def is_registered(scheme: str) -> bool:
    """Return whether an extension reaches URLs of this scheme."""
    return scheme in registered("storages")


def unknown_scheme(url: str, scheme: str) -> ConfigError:
    """Return the error of a URL that nothing reaches."""
    known = ", ".join(sorted({*registered("storages"), "file"}))
    return ConfigError("url_scheme_unknown", f"{url}: no storage is reached by {scheme}:; there are {known}")
