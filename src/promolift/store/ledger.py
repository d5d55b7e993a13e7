"""Changes from many threads in; each kept durably, many in one commit, or refused whole, out.

One writer thread takes all that waits, runs it in one transaction and answers after the commit (group commit): a disk
that syncs 250 times a second still keeps thousands of changes. SQLite runs in WAL mode with synchronous=FULL; on
PostgreSQL a lock per transaction makes the writers of several processes take turns, so that both run the same rules.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from promolift.errors import ConfigError
from promolift.store.ledger_schema import META, LedgerError

Work = Callable[[Connection, list[Any]], Sequence[Any]]
GROUP = 512  # payloads in one transaction: bounds how long the first of them waits
QUIET_S, PATIENCE_S = 0.001, 0.02  # a commit waits for as many as came last time, while they keep coming
WRITER_LOCK = 7_063_518  # any number of our own; PostgreSQL's advisory lock


@dataclass(slots=True, eq=False)
class _Task:
    """One payload, and where its result goes: a future of a thread, or one of an event loop."""

    work: Work
    payload: Any
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None = None


Outcome = tuple[_Task, Any, BaseException | None]


class Ledger:
    """A database of decisions, events and money. Use it in a `with`.

    `url` is a SQLAlchemy URL, such as `sqlite:////srv/shop/ledger.db` or `postgresql+psycopg://...`. Tables are made
    where missing. Raises ConfigError if the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        """Open, make missing tables, start the writer."""
        self.sqlite = make_url(url).get_backend_name() == "sqlite"
        try:
            self._writer, self._readers = self._engines(url)
            with self._writer.begin() as connection:
                META.create_all(connection)
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigError(f"ledger: cannot open {make_url(url)!r} ({_first_line(error)}); check the URL") from None
        self._queue: SimpleQueue[_Task | None] = SimpleQueue()
        self._closed = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="ledger", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Ledger":
        """The ledger itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, whatever happened."""
        self.close()

    def close(self) -> None:
        """Keep all that waits, then close. Later calls get a LedgerError."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._writer.dispose()
        self._readers.dispose()

    def submit(self, work: Work, payload: Any = None) -> Future[Any]:
        """The future result of `work(connection, [payload])[0]`; it is there once the change is durable.

        Payloads of the same `work` that wait together are handed over in one call; if that raises, they are tried one
        by one, so that a bad one fails alone. `work` runs in the writer's thread and must not call the ledger.
        """
        future: Future[Any] = Future()
        self._put(_Task(work, payload, future))
        return future

    def call(self, work: Work, payload: Any = None) -> asyncio.Future[Any]:
        """Like `submit`, for the running event loop: results of one commit wake it once, not one by one."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._put(_Task(work, payload, future, loop))
        return future

    def write(self, work: Work, payload: Any = None, timeout: float | None = None) -> Any:
        """Like `submit`, but waits for the result."""
        return self.submit(work, payload).result(timeout)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees what is committed; for reading alone, from any thread."""
        try:
            with self._readers.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise LedgerError(f"ledger: cannot be read ({_first_line(error)})") from None

    def _put(self, task: _Task) -> None:
        with self._gate:
            if self._closed:
                raise LedgerError("ledger: closed; nothing was kept")
            self._queue.put(task)

    # the writer's thread

    def _loop(self) -> None:
        usual, open_ = 1, True
        while open_ and (task := self._queue.get()) is not None:
            group, patience = [task], monotonic() + PATIENCE_S
            while len(group) < GROUP:
                waits = len(group) < usual and monotonic() < patience
                try:
                    more = self._queue.get(waits, QUIET_S)
                except Empty:
                    break
                if more is None:
                    open_ = False
                    break
                group.append(more)
            usual = len(group)
            self._commit(group)

    def _commit(self, group: list[_Task]) -> None:
        """Run and commit a group, then tell each its result; if the commit fails, all are told that."""
        outcomes: list[Outcome] = []
        try:
            with self._writer.begin() as connection:
                if not self.sqlite:
                    connection.exec_driver_sql(f"select pg_advisory_xact_lock({WRITER_LOCK})")
                for work, tasks in _merge(group):
                    outcomes.extend(_run(connection, work, tasks))
        except Exception as error:
            lost = LedgerError(f"ledger: nothing was kept ({_first_line(error)}); free disk space or see the log")
            outcomes = [(task, None, lost) for task in group]
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Outcome]] = {}
        for outcome in outcomes:
            by_loop.setdefault(outcome[0].loop, []).append(outcome)
        for loop, mine in by_loop.items():
            if loop is None:
                _settle(mine)
            else:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_settle, mine)

    def _engines(self, url: str) -> tuple[Engine, Engine]:
        if not self.sqlite:
            engine = create_engine(url, pool_size=4, pool_pre_ping=True)
            return engine, engine
        # autocommit at the driver: BEGIN is ours, so that the writer takes its lock at once
        args = {"check_same_thread": False, "isolation_level": None, "timeout": 30}
        writer = create_engine(url, connect_args=args, poolclass=StaticPool)
        readers = writer if make_url(url).database in (None, "", ":memory:") else create_engine(url, connect_args=args)
        for engine in {writer, readers}:
            event.listen(engine, "connect", _set_up)
        event.listen(writer, "begin", lambda connection: connection.exec_driver_sql("begin immediate"))
        return writer, readers


def _set_up(connection: Any, _: object) -> None:
    for setting in ("journal_mode = wal", "synchronous = full", "busy_timeout = 30000", "cache_size = -65536"):
        connection.execute(f"pragma {setting}").close()


def _merge(group: list[_Task]) -> Iterator[tuple[Work, list[_Task]]]:
    """Tasks of the same work together, in the order in which the works first came."""
    by_work: dict[Work, list[_Task]] = {}
    for task in group:
        by_work.setdefault(task.work, []).append(task)
    yield from by_work.items()


def _settle(outcomes: list[Outcome]) -> None:
    """Tell everybody who still waits."""
    for task, result, error in outcomes:
        if task.future.done():
            continue  # cancelled
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)


def _run(connection: Connection, work: Work, tasks: list[_Task]) -> list[Outcome]:
    """Results of one work in a savepoint of its own; if many fail together, each is tried alone."""
    connection.exec_driver_sql("savepoint work")
    try:
        results = work(connection, [task.payload for task in tasks])
        connection.exec_driver_sql("release savepoint work")
        return [(task, result, None) for task, result in zip(tasks, results, strict=True)]
    except Exception as error:
        try:
            connection.exec_driver_sql("rollback to savepoint work")
            connection.exec_driver_sql("release savepoint work")
        except DBAPIError:
            raise error from None  # a full disk ends the whole transaction: then nobody's change was kept
        if len(tasks) == 1:
            return [(tasks[0], None, _for_people(error))]
        return [outcome for task in tasks for outcome in _run(connection, work, [task])]


def _for_people(error: Exception) -> Exception:
    told = f"ledger: nothing was kept ({_first_line(error)}); free disk space or see the log"
    return LedgerError(told) if isinstance(error, SQLAlchemyError) else error


def _first_line(error: BaseException) -> str:
    """What the database said, without the statement and its values: these may be personal."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
