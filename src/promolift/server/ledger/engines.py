"""Open the database of a ledger: engines for its writer and its readers, and the checkpoints of SQLite's log."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy

LOCK_TIMEOUT_S = 30.0  # how long another process may hold the database
INDEX_CHECK_BYTES = 1 << 30  # a larger file opens without comparing indexes with tables: that takes 5 s for each GB
# SQLite cannot look at the file now; all other errors mean that the file is not what it should be
CANNOT_LOOK = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM,
               sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL}  # fmt: skip


class Engines(NamedTuple):
    """The writer's engine and the readers'; the same one where the database has no file or is a server."""

    writer: Engine
    readers: Engine


SQLITE_PRAGMAS = (
    "busy_timeout = 30000",
    "journal_mode = wal",
    "synchronous = full",
    "cache_size = -65536",
    "wal_autocheckpoint = 0",
    "secure_delete = on",
)  # fmt: skip - deleted rows do not stay in free pages


def create_engines(url: str) -> Engines:
    """How a ledger is reached; SQLite is set up as this module needs it. ConfigError if its file is damaged."""
    if is_local_file(url) and (path := Path(str(make_url(url).database))).exists():
        check_file(path)
    if make_url(url).get_backend_name() != "sqlite":
        writer, readers = create_engine(url, pool_size=1), create_engine(url, pool_size=4, pool_pre_ping=True)
        event.listen(writer, "connect", _by_index)
        return Engines(writer, readers)
    # autocommit at the driver: BEGIN and COMMIT are ours, so that the writer takes its lock at once
    args = {"check_same_thread": False, "isolation_level": None, "timeout": 30}
    writer = create_engine(url, connect_args=args, poolclass=StaticPool)
    readers = create_engine(url, connect_args=args) if is_local_file(url) else writer
    for engine in {writer, readers}:
        event.listen(engine, "connect", _set_up)
    return Engines(writer, readers)


def is_local_file(url: str) -> bool:
    """Whether the ledger is a file of its own."""
    return make_url(url).get_backend_name() == "sqlite" and make_url(url).database not in (None, "", ":memory:")


def find_damage(path: Path, indexes: bool = True) -> list[str]:
    """Return what is wrong with the file of a ledger, in SQLite's words; an empty list if it is sound.

    Reads the whole file: 1 s for each GB on a fast disk, 5 s if `indexes` are compared with their tables. SQLite keeps
    no checksums: another digit in a text that no index has stays unseen. Raises sqlite3.Error if the file is locked.
    """
    if not (size := path.stat().st_size):
        return ["the file is empty"]
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S)) as db:
            found = [line for (line,) in db.execute(f"pragma {'integrity' if indexes else 'quick'}_check")]
            ((page_bytes,),) = db.execute("pragma page_size")
    except UnicodeDecodeError:  # of a message that quotes what was found
        return ["it holds bytes that are no text"]
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in CANNOT_LOOK:
            raise
        return [str(error)]
    log = path.with_name(f"{path.name}-wal")
    if size % page_bytes and not (log.exists() and log.stat().st_size):  # else the log holds the last page whole
        found.append("the file ends within a page")
    return [line for line in found if line != "ok"]


def check_file(path: Path) -> None:
    """Raise ConfigError `ledger_damaged` unless the file of a ledger is sound."""
    if found := find_damage(path, path.stat().st_size <= INDEX_CHECK_BYTES):
        more = gettext_lazy(" and {n} more faults", n=len(found) - 1) if len(found) > 1 else ""
        raise ConfigError(
            "ledger_damaged",
            gettext_lazy(
                "{path}: the database is damaged ({splitlines}{more}); move it away and put a backup back "
                "with `promolift ledger restore`",
                path=path,
                splitlines=found[0].splitlines()[-1],
                more=more,
            ),
        )


def _set_up(connection: Any, _: object) -> None:
    for setting in SQLITE_PRAGMAS:
        connection.execute(f"pragma {setting}").close()


def _by_index(connection: Any, _: object) -> None:
    """Plans are kept: one made while a table was empty would go on to read it whole when it is long."""
    connection.execute("set enable_seqscan = off")
    connection.execute("set jit = off")  # a table that is read whole for want of an index counts as very dear then
    connection.commit()


CHECKPOINT_EVERY_S = 2.0  # a log is copied back at most that often: pages changed many times meanwhile are copied once
LONG_WAL_PAGES = 32_768  # 128 MB: then what came meanwhile is copied while nobody writes


class Checkpointer:
    """Copies the write-ahead log back beside the commits. One per ledger file, with a connection of its own.

    SQLite copies the log back within every commit that finds it long, and that one commit then takes many times as long
    as the others. Here a thread copies it while commits go on; what they add meanwhile is left over, so a log that has
    grown too long is copied to its end between two transactions, and the next one starts it anew. `wal_autocheckpoint`
    must be 0 on all that write.
    """

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
        elif monotonic() - self._last > CHECKPOINT_EVERY_S:
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
            self._long = self._copy() >= LONG_WAL_PAGES

    def _copy(self) -> int:
        """Copy what can be copied now; pages in the log, 0 if it cannot be read."""
        try:
            _, pages, _ = self._database.execute("pragma wal_checkpoint(passive)").fetchone()
        except sqlite3.Error:  # a full disk: the log stays as it is, and commits say what is wrong
            return 0
        return int(pages)
