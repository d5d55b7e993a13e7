"""A SQLite ledger's file in; its write-ahead log copied back into it, beside the commits instead of inside one, out.

SQLite copies the log back within every commit that finds it long, and that one commit then takes many times as long
as the others. Here a thread copies it while commits go on. What they add meanwhile is left over; so a log that has
grown too long is copied to its end between two transactions, and the next one starts it anew.
"""

import sqlite3
import threading
from time import monotonic

EVERY_S = 2.0  # a log is copied back at most that often: pages changed many times meanwhile are copied once
LONG_PAGES = 32_768  # 128 MB: then what came meanwhile is copied while nobody writes


class Checkpoints:
    """One per ledger file. The connection is its own; `wal_autocheckpoint` must be 0 on all that write."""

    def __init__(self, path: str) -> None:
        """Open the file and start the thread."""
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._wake = threading.Event()
        self._last, self._long, self._closed = monotonic(), False, False
        self._thread = threading.Thread(target=self._loop, name="ledger log", daemon=True)
        self._thread.start()

    def between(self) -> None:
        """The writer tells that one transaction is over and the next has not begun."""
        if self._long:  # then the thread is at rest
            self._copy()
            self._long = False
        elif monotonic() - self._last > EVERY_S:
            self._last = monotonic()
            self._wake.set()

    def close(self) -> None:
        """Stop; SQLite itself copies the rest when the last connection closes."""
        self._closed = True
        self._wake.set()
        self._thread.join()
        self._database.close()

    def _loop(self) -> None:
        while self._wake.wait() and not self._closed:
            self._wake.clear()
            self._long = self._copy() >= LONG_PAGES

    def _copy(self) -> int:
        """Copy what can be copied now; pages in the log, 0 if it cannot be read."""
        try:
            _, pages, _ = self._database.execute("pragma wal_checkpoint(passive)").fetchone()
        except sqlite3.Error:  # a full disk: the log stays as it is, and commits say what is wrong
            return 0
        return int(pages)
