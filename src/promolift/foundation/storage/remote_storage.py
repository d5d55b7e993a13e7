"""Storage at URLs: what an extension implements for the URL schemes that it registers, and which paths lie there.

A folder of this machine needs none of this. For every other place `storage_at` finds the extension by the URL's scheme,
so that nothing else has to know which library reaches it.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from promolift.foundation.errors import ConfigError
from promolift.foundation.extension import load_reference, registered
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy


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

    def open_bucket(self, url: str, remedy: LazyMessage) -> Bucket:
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
    return ConfigError(
        "url_scheme_unknown",
        gettext_lazy(
            "{url}: no storage is reached by {scheme}:; there are {known}", url=url, scheme=scheme, known=known
        ),
    )


URL = re.compile(r"([a-z][a-z0-9+.-]+):/+([^/].*)")  # a Path joins the two slashes of a URL into one
PARTS = ("tables", "notes", "models", "serve/releases", "steps.json", "secret.key")
OPEN_COPIES: dict[Path, RemoteFolder] = {}  # of this process, by their folder


def url_of(work: Path | str) -> str | None:
    """Return the URL that a work folder is named by; None for a folder of this machine."""
    found = URL.fullmatch(str(work))
    if found is None or found[1] == "file" or not is_registered(found[1]):
        return None
    return f"{found[1]}://{found[2].rstrip('/')}"


def on_this_machine(work: Path | str) -> Path:
    """The folder that a path, or a URL with file:, names. ConfigError for a URL of a kind that is not known."""
    text = re.sub(r"^file:/+", "/", str(work))
    if kind := re.match(r"([a-z][a-z0-9+.-]+):/", text):
        raise unknown_scheme(text, kind[1])
    return Path(text)


def exists(work: Path) -> bool:
    """Whether a work folder is there; one at a URL is taken to be."""
    return url_of(work) is not None or on_this_machine(work).is_dir()


def brought(path: Path) -> Path:
    """The path; in a copy of a work folder at a URL, with all that lies there."""
    if copy := copy_with(path):
        copy.bring(path)
    return path


def is_stored(path: Path) -> bool:
    """Whether something lies there, brought or not."""
    return path.exists() or bool((copy := copy_with(path)) and copy.knows(path))


def listed(folder: Path) -> set[str]:
    """Names of the files in a folder, brought or not."""
    copy = copy_with(folder)
    return {path.name for path in folder.glob("*") if path.is_file()} | (copy.names(folder) if copy else set())


def copy_with(path: Path) -> RemoteFolder | None:
    """The copy of this process that a path lies in."""
    return next((copy for folder, copy in [*OPEN_COPIES.items()] if path.is_relative_to(folder)), None)
