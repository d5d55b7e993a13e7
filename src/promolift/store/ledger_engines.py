"""A database's URL in; its two engines out: one for the ledger's writer, one for its readers."""

from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

SET_UP = ("busy_timeout = 30000", "journal_mode = wal", "synchronous = full", "cache_size = -65536",
          "wal_autocheckpoint = 0")  # fmt: skip


def engines(url: str) -> tuple[Engine, Engine]:
    """The writer's engine and the readers'; the same one where the database has no file or is a server."""
    if make_url(url).get_backend_name() != "sqlite":
        engine = create_engine(url, pool_size=4, pool_pre_ping=True)
        return engine, engine
    # autocommit at the driver: BEGIN and COMMIT are ours, so that the writer takes its lock at once
    args = {"check_same_thread": False, "isolation_level": None, "timeout": 30}
    writer = create_engine(url, connect_args=args, poolclass=StaticPool)
    readers = create_engine(url, connect_args=args) if is_file(url) else writer
    for engine in {writer, readers}:
        event.listen(engine, "connect", _set_up)
    return writer, readers


def is_file(url: str) -> bool:
    """Whether the ledger is a file of its own."""
    return make_url(url).get_backend_name() == "sqlite" and make_url(url).database not in (None, "", ":memory:")


def _set_up(connection: Any, _: object) -> None:
    for setting in SET_UP:
        connection.execute(f"pragma {setting}").close()
