"""A temporary folder that ends with its process, so that copies of personal data do not outlive the run.

A process holds a lock on its folder as long as it lives. What a killed process left behind has no lock any more, and
the next process that opens a temporary folder beside it removes it.
"""

import os
import re
import shutil
from pathlib import Path
from uuid import uuid4

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows has no advisory locks of this kind
    fcntl = None  # type: ignore[assignment]

OWN_NAME = re.compile(r"\d+-[0-9a-f]{8}")  # the process, and a random part


class TemporaryFolder:
    """A folder inside `home`, made at once and removed by `close`. OSError if it cannot be made."""

    def __init__(self, home: Path) -> None:
        """Make the folder and hold it."""
        self._home = home
        self.path = home / f"{os.getpid()}-{uuid4().hex[:8]}"
        self._lock: int | None = None
        while self._lock is None:  # another process may take the folder for an abandoned one before it is held
            self.path.mkdir(parents=True, exist_ok=True)
            if fcntl is None:
                return
            lock = _locked(self.path, fcntl.LOCK_SH)
            if lock is None and self.path.is_dir():
                return  # a file system without such locks: nobody removes what a killed process left
            if lock is not None and not self.path.is_dir():
                os.close(lock)
                lock = None
            self._lock = lock

    def remove_abandoned(self) -> None:
        """Remove what killed processes left beside this folder."""
        for folder in self._home.iterdir():
            if fcntl is None or folder == self.path or not OWN_NAME.fullmatch(folder.name):
                continue
            lock = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)

    def close(self) -> None:
        """Remove the folder with all that lies in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(folder: Path, how: int) -> int | None:
    """A handle of the folder that holds the lock; None where somebody else has it or there is no folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, how)
    except OSError:
        os.close(handle)
        return None
    return handle
