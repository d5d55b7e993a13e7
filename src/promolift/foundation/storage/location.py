"""Tell a folder from the URL of an object store, and find the local copy of such a URL."""

import re
from pathlib import Path

from promolift.foundation.storage.remote_storage import RemoteFolder, is_registered, unknown_scheme

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
