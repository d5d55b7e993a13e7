"""Apply changes from many threads and an event loop to the ledger, many in one durable commit (group commit).

All waiting changes run in one transaction and are answered after its commit; each is stored whole or refused whole.
SQLite runs in WAL mode with synchronous=FULL. On PostgreSQL, writers of several processes work in parallel: a change
that names its locks (customers, campaigns, keys) waits only for changes with the same locks; any other change takes the
whole ledger and waits for all. An earlier version, which knows only the lock on the whole ledger, may run beside it.

Two threads that want Python's interpreter at once wait for each other at every statement. So brief changes of an event
loop run in the loop's own thread where the database is a file, and only their commit, which waits for the disk, runs in
the writer's thread. Everything else runs in the writer's thread and joins that commit: brief changes first, then
others for a short while, so that they do not delay the brief ones by a commit.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.ledger.engines import LOCK_TIMEOUT_S, Checkpointer, create_engines, is_local_file
from promolift.server.ledger.schema import (
    CACHE_INFO_KEY,
    LEDGER_LOCK,
    LOCKS_INFO_KEY,
    LedgerError,
    LockMissingError,
    acquire_locks,
    clear_shared_cache,
    execute_raw,
    pipelined,
)

LOG = logging.getLogger("promolift.foundation.storage")
Work = Callable[[Connection, list[Any]], Sequence[Any]]
Locks = Callable[[Connection, list[Any]], Iterable[str]]
GROUP_SIZE = 512  # payloads in one transaction: bounds how long the first of them waits
QUIET_S, PATIENCE_S = 0.001, 0.02  # a commit waits for as many as came last time, while they keep coming
SLICE_S = 0.002  # how long others run in a commit that brief changes wait for
SLOW_CHANGE_S = 0.05  # how long the writer's own changes wait for an event loop whose turn it is
MAX_LOCKS = 1000  # names that one transaction holds; with more it takes the whole ledger, which is one lock
# Turns are counted once the lock is there: of those alone for all, so that each knows whether a rule may have changed
# since its last; of everybody for an earlier version, which remembers more.
BEGIN_TRANSACTION = f"""
    with mine as materialized (select pg_advisory_xact_lock{{}}({LEDGER_LOCK})),
         turn as materialized (select nextval('turns') as number from mine)
    select {{}} from turn where number > 0
"""
BEGIN_EXCLUSIVE = BEGIN_TRANSACTION.format("", "nextval('rules')")
BEGIN_SHARED = BEGIN_TRANSACTION.format("_shared", "coalesce(pg_sequence_last_value('rules'::regclass), 0)")
TRIES, LOCK_TIMEOUT = 30, "55P03"  # to change a table that somebody reads, each a second at most
CACHE_LIFETIME_S = 1.0  # how long what was read counts there at most: who changes tables past the ledger takes no turn


@dataclass(slots=True, eq=False)
class _Task:
    """One payload, and where its result goes: a future of a thread, or one of an event loop."""

    work: Work
    payload: Any
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None = None
    late: Callable[[Any], object] | None = None
    locks: Locks | None = None


class _Outcome(NamedTuple):
    """What came of a payload: its result, or the error."""

    task: _Task
    result: Any
    error: BaseException | None = None


class _Prepared(NamedTuple):
    """A transaction still to be committed, and what came of its payloads."""

    connection: Connection
    outcomes: list[_Outcome]


class Ledger:
    """A database of decisions, events and money. Use it in a `with`.

    `url` is a SQLAlchemy URL, such as `sqlite:////srv/shop/ledger.db` or `postgresql+psycopg://...`. Tables are made
    where missing. Raises ConfigError if the database cannot be opened.
    """

    def __init__(self, url: str, open_tables: Callable[[Connection], None]) -> None:
        """Open, make missing tables by `open_tables` (server/ledger/migrations.py), start the writer."""
        self._make_or_migrate = open_tables
        self.sqlite = make_url(url).get_backend_name() == "sqlite"
        self._kept_open: Connection | None = None
        try:
            self._writer, self._readers = create_engines(url)
            self._start()
        except (SQLAlchemyError, sqlite3.Error, ImportError) as error:
            raise ConfigError(
                "ledger_unavailable",
                gettext_lazy(
                    "ledger: cannot open {make_url} ({first_line}); check the URL",
                    make_url=f"{make_url(url)!r}", first_line=_first_line(error),
                ),
            ) from None  # fmt: skip
        self._turn = threading.Condition()
        self._reading = 0  # how many read now; none of them loses its connection when the ledger closes
        self._tasks: list[_Task] = []
        self._brief: list[_Task] = []
        self._taken = False  # a transaction is under way
        self._closed = self._ended = False  # closed by its owner; its writer ended by a fault
        self._prepared: _Prepared | None = None
        self._group: list[_Task] = []  # what the writer is at
        self._memo: dict[Any, Any] = {}
        self._seen, self._read_s = 0, 0.0
        self._inline = is_local_file(url)
        self._checkpoints = Checkpointer(str(make_url(url).database)) if self._inline else None
        self._thread = threading.Thread(target=self._keep_on, name="ledger", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Ledger":
        """The ledger itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, whatever happened."""
        self.close()

    def close(self) -> None:
        """Keep all that waits, let readers end, then close. Later calls get a LedgerError."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            self._turn.notify_all()
        self._thread.join()
        with self._turn:
            self._turn.wait_for(lambda: not self._reading, LOCK_TIMEOUT_S)
        if self._checkpoints:
            self._checkpoints.close()
        if self._kept_open is not None:
            self._kept_open.close()
        self._dispose()

    def _start(self) -> None:
        """Make missing tables; where that fails, no connection stays open."""
        try:
            for left in reversed(range(TRIES)):
                try:
                    self._open_tables()
                    break
                except OperationalError as error:  # a table is being read: nobody waits behind us for longer
                    if not left or getattr(error.orig, "sqlstate", None) != LOCK_TIMEOUT:
                        raise
                    sleep(PATIENCE_S * (TRIES - left))
            if self.sqlite:  # the loop must not wait; the writer does, see `_open`
                execute_raw(self._connection(), "pragma busy_timeout = 0")
        except BaseException:
            self._dispose()
            raise

    def _open_tables(self) -> None:
        with self._writer.begin() as connection:
            if self.sqlite:
                execute_raw(connection, "begin immediate")
            else:  # two that open a new ledger at once take turns; none changes a table that others write to
                execute_raw(connection, f"select pg_advisory_xact_lock({LEDGER_LOCK})")
                execute_raw(connection, "set local lock_timeout = '1s'")
            self._make_or_migrate(connection)

    def _dispose(self) -> None:
        for engine in (self._writer, self._readers):
            engine.dispose()

    def submit(self, work: Work, payload: Any = None, locks: Locks | None = None) -> Future[Any]:
        """The future result of `work(connection, [payload])[0]`; it is there once the change is durable.

        Payloads of the same `work` that wait together are handed over in one call; if that raises, they are tried one
        by one, so that a bad one fails alone. `work` runs in the writer's thread and must not call the ledger.

        `locks(connection, payloads)` names what the work must have to itself among processes on one PostgreSQL; left
        out, it is everything. Where the work finds that it needs more (`need`), it is begun again with everything.
        """
        future: Future[Any] = Future()
        self._put(_Task(work, payload, future, locks=locks))
        return future

    def call(
        self, work: Work, payload: Any = None, brief: bool = False, late: Callable[[Any], object] | None = None,
        locks: Locks | None = None,
    ) -> asyncio.Future[Any]:  # fmt: skip
        """Like `submit`, for the running event loop: results of one commit wake it once, not one by one.

        `brief`: `work` takes a millisecond or so and may run in the loop's own thread. `late` gets the result, or
        the error, if nobody waits for the future any more.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        task = _Task(work, payload, future, loop, late, locks)
        if not brief:
            self._put(task)
        elif self._put_brief(task):
            loop.call_soon(self._prepare)
        return future

    def write(self, work: Work, payload: Any = None, timeout: float | None = None) -> Any:
        """Like `submit`, but waits for the result."""
        return self.submit(work, payload).result(timeout)

    def settled(self, find: Callable[[Connection], int]) -> int:
        """The latest number or moment below which nothing is kept any more: `find` looks for it when no other process
        is in the middle of a change. Otherwise a row may come to light after another with a later number.
        """
        if not self.sqlite:
            found: int = self.write(lambda db, some: [find(db) for _ in some])
            return found
        with self.read() as db:
            return find(db)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees what is committed; for reading alone, from any thread."""
        with self._turn:
            self._check_open()
            self._reading += 1
        try:
            with self._readers.connect() as connection:
                yield connection
        except _errors(self._readers.dialect) as error:
            raise LedgerError(
                "ledger_unavailable",
                gettext_lazy("ledger: cannot be read ({first_line})", first_line=_first_line(error)),
            ) from None
        finally:
            with self._turn:
                self._reading -= 1
                self._turn.notify_all()

    def _put(self, task: _Task) -> None:
        with self._turn:
            self._check_open()
            self._tasks.append(task)
            self._turn.notify_all()

    def _put_brief(self, task: _Task) -> bool:
        """Let a brief task wait; whether it is the one that must see to it that all are prepared."""
        with self._turn:
            self._check_open()
            self._brief.append(task)
            first = self._brief[0]
            return not self._taken and (first is task or first.loop is not task.loop)

    def _check_open(self) -> None:
        if self._closed:
            raise LedgerError("ledger_closed", gettext_lazy("ledger: closed; nothing was kept or read"))
        if self._ended:
            raise LedgerError(
                "ledger_stopped", gettext_lazy("ledger: its writer ended by a fault, see the log; start anew")
            )

    # an event loop's thread

    def _prepare(self) -> None:
        """Run what is brief, up to the commit; the writer does that. On a server it does all, and is told here once."""
        with self._turn:
            if self._taken or not self._brief:
                return
            if not self._inline:
                self._turn.notify_all()
                return
            self._taken = True
            group, self._brief = self._brief[:GROUP_SIZE], self._brief[GROUP_SIZE:]
        prepared = None
        try:
            with suppress(Exception):  # another process holds the database, or the disk is full: the writer says which
                prepared = self._open(group, wait=False)
        finally:
            with self._turn:
                if prepared is None:
                    self._taken, self._tasks = False, group + self._tasks
                self._prepared = prepared
                self._turn.notify_all()

    def _after(self, outcomes: list[_Outcome]) -> None:
        """The next group first: its commit goes on while this one's answers leave."""
        self._prepare()
        _settle(outcomes)

    # the writer's thread

    def _keep_on(self) -> None:
        """Work until closed. What a change raises is its caller's; should the writer itself fail, all are told."""
        try:
            self._loop()
        except BaseException as error:
            LOG.critical("the ledger's writer ended", exc_info=error)
            with self._turn:
                self._ended = True
                waiting, self._tasks, self._brief = self._group + self._tasks + self._brief, [], []
                self._turn.notify_all()
            self._pass_on(_lost(waiting, error))

    def _loop(self) -> None:
        usual = 1
        while True:
            with self._turn:
                if self._brief and self._inline:
                    self._turn.wait_for(lambda: self._prepared or self._closed, SLOW_CHANGE_S)
                self._turn.wait_for(self._something)
                prepared, self._prepared = self._prepared, None
                if not (prepared or self._tasks or self._brief):
                    return  # closed, and all is kept
                brief = [outcome.task for outcome in prepared.outcomes] if prepared else self._take(usual)
                self._group = brief
            outcomes = self._commit(prepared, brief)
            usual = len(outcomes)
            if self._checkpoints:
                self._checkpoints.between()
            self._pass_on(outcomes)

    def _something(self) -> bool:
        """Something is to be done by the writer: a prepared group, its own changes, or closing."""
        mine = self._closed or bool(self._tasks) or (bool(self._brief) and not self._inline)
        return self._prepared is not None or (mine and not self._taken)

    def _take(self, usual: int) -> list[_Task]:
        """Take the turn, when no more come; the brief changes that run in it. Of a file those alone that no event loop
        will prepare any more."""
        self._taken = True
        waiting, patience = 0, monotonic() + PATIENCE_S
        while waiting < self._waiting() < min(usual, GROUP_SIZE) and monotonic() < patience:
            waiting = self._waiting()
            self._turn.wait(QUIET_S)
        if self._inline and not self._closed:
            return []
        brief, self._brief = self._brief[:GROUP_SIZE], self._brief[GROUP_SIZE:]
        return brief

    def _waiting(self) -> int:
        """How many wait for the writer; none may keep it from those that an event loop will prepare."""
        return len(self._tasks) + len(self._brief) if not (self._inline and self._brief) else GROUP_SIZE

    def _commit(self, prepared: _Prepared | None, brief: list[_Task]) -> list[_Outcome]:
        """Keep what is brief, and of the writer's own changes what there is time for."""
        try:
            prepared = prepared or self._open(brief, wait=True)
            if (
                LOCKS_INFO_KEY not in prepared.connection.info
            ):  # beside others only what says beforehand what it must have
                prepared.outcomes.extend(self._run_own(prepared.connection))
        except BaseException as error:
            if prepared:
                with suppress(Exception):
                    self._undo(prepared.connection)
            return _lost(self._group, error)
        return self._finish(*prepared)

    def _run_own(self, connection: Connection) -> Iterator[_Outcome]:
        """Run the writer's own changes in the order in which they came: all, or for a slice while brief ones wait.

        As many of one work go together as are quick: nobody knows before how long one takes.
        """
        hurried, began, many = bool(self._group), monotonic(), 1
        until = began + SLICE_S
        while mine := self._next_own(many):
            yield from _run(connection, mine[0].work, mine)
            now = monotonic()
            many = 2 * many if now - began < SLICE_S / 4 else 1
            if (hurried or self._brief) and now > until:
                return
            began = now

    def _next_own(self, most: int) -> list[_Task]:
        with self._turn:
            mine = [task for task in self._tasks if task.work == self._tasks[0].work][:most]
            taken = set(mine)
            self._tasks = [task for task in self._tasks if task not in taken]
            self._group = self._group + mine
            return mine

    def _open(self, group: list[_Task], wait: bool) -> _Prepared:
        """Run a group in a new transaction, still to be committed; `wait` while another process holds the database."""
        if self.sqlite:
            return self._ran(group, wait, beside=False)
        with self._turn:
            beside = all(task.locks for task in (*group, *self._tasks[:1]))
            self._group = group = group + self._tasks[:1] if beside else group
            self._tasks = self._tasks[1:] if beside else self._tasks
        with suppress(LockMissingError):
            return self._ran(group, wait, beside)
        return self._ran(group, wait, beside=False)

    def _ran(self, group: list[_Task], wait: bool, beside: bool) -> _Prepared:
        by_work, outcomes = _by_work(group), list[_Outcome]()
        connection = self._begun(wait, beside)
        try:
            if beside:
                acquire_locks(connection, _wanted(connection, by_work.values()))
            if len(by_work) == 1:  # then the transaction does for a savepoint, which would be waited for twice
                ((work, tasks),) = by_work.items()
                try:
                    return _Prepared(connection, _results(connection, work, tasks))
                except LockMissingError:
                    raise
                except BaseException:
                    self._undo(connection)
                connection = self._begun(wait, beside)
                if beside:
                    acquire_locks(connection, _wanted(connection, by_work.values()))
            for work, tasks in by_work.items():
                outcomes.extend(_run(connection, work, tasks))
        except BaseException:
            self._undo(connection)
            raise
        return _Prepared(connection, outcomes)

    def _finish(self, connection: Connection, outcomes: list[_Outcome]) -> list[_Outcome]:
        connection.info.pop(CACHE_INFO_KEY, None)
        if connection.info.pop(LOCKS_INFO_KEY, None) is not None:
            clear_shared_cache(self._memo)
        try:
            execute_raw(connection, "commit")
        except Exception as error:
            with suppress(Exception):
                self._undo(connection)
            outcomes = _lost([outcome.task for outcome in outcomes], error)
        return outcomes

    def _connection(self) -> Connection:
        """Where the next transaction runs: one that is kept, whose transactions the driver begins and ends."""
        if self._kept_open is None:
            self._kept_open = self._writer.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._kept_open

    def _begun(self, wait: bool, beside: bool) -> Connection:
        """A connection in a new transaction, `beside` others or alone; `wait` while another process holds the SQLite
        file.

        A server that was started anew ends the connection: nothing is done by then, and another one is taken.
        """
        until, again = monotonic() + LOCK_TIMEOUT_S, not self.sqlite
        while True:
            connection = self._connection()
            try:
                connection.info[CACHE_INFO_KEY] = self._remembered(_turn(connection, self.sqlite, beside), beside)
                if beside:
                    clear_shared_cache(self._memo)
                return connection
            except BaseException as error:
                self._undo(connection)
                locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
                if not again and not (locked and wait and monotonic() < until):
                    raise
                again = False
            sleep(QUIET_S)

    def _remembered(self, seen: int, beside: bool) -> dict[Any, Any]:
        """What earlier transactions of this writer read, while no other connection was alone since; by its turn."""
        mine = 0 if self.sqlite or beside else 1
        if seen != self._seen + mine or not (self.sqlite or monotonic() - self._read_s < CACHE_LIFETIME_S):
            self._memo, self._read_s = {}, monotonic()
        self._seen = seen
        return self._memo

    def _undo(self, connection: Connection) -> None:
        """Roll back. A connection to a server that cannot is given up, and the next transaction gets a new one."""
        self._memo = {}
        try:
            connection.info.pop(CACHE_INFO_KEY, None)
            connection.info.pop(LOCKS_INFO_KEY, None)
            if not self.sqlite or _driver(connection).in_transaction:  # a full disk may have ended it already
                execute_raw(connection, "rollback")
        except Exception:
            if self.sqlite:
                raise
            self._kept_open = None
            connection.invalidate()
            connection.close()

    def _pass_on(self, outcomes: list[_Outcome]) -> None:
        """Tell each its result and let the next turn begin."""
        by_loop: dict[asyncio.AbstractEventLoop | None, list[_Outcome]] = {}
        for outcome in outcomes:
            by_loop.setdefault(outcome.task.loop, []).append(outcome)
        with self._turn:
            self._taken = False
            if self._brief and self._inline:
                by_loop.setdefault(self._brief[0].loop, [])
        for loop, mine in by_loop.items():
            if loop is None:
                _settle(mine)
            else:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(self._after, mine)


def _turn(connection: Connection, sqlite: bool, beside: bool) -> int:
    """Begin; a number that tells whether another connection has written since the last transaction."""
    driver = _driver(connection)
    if sqlite:
        driver.execute("begin immediate")
        return int(driver.execute("pragma data_version").fetchone()[0])
    with pipelined(connection):
        driver.execute("begin isolation level read committed")  # else it sees what was there before its turn
        asked = driver.execute(BEGIN_SHARED if beside else BEGIN_EXCLUSIVE)
    return int(asked.fetchone()[0])


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


def _wanted(connection: Connection, groups: Iterable[list[_Task]]) -> set[str]:
    """What the works of a transaction must have to themselves. LockMissingError where that is so much as to be all."""
    found = set[str]()
    for tasks in groups:
        by_locks: dict[Locks | None, list[Any]] = {}
        for task in tasks:
            by_locks.setdefault(task.locks, []).append(task.payload)
        for locks, payloads in by_locks.items():
            found.update(locks(connection, payloads) if locks else ())
    if len(found) > MAX_LOCKS:
        raise LockMissingError
    return found


def _lost(tasks: list[_Task], error: BaseException) -> list[_Outcome]:
    lost = LedgerError(
        "ledger_write_failed",
        gettext_lazy(
            "ledger: nothing was kept ({first_line}); free disk space or see the log", first_line=_first_line(error)
        ),
    )
    return [_Outcome(task, None, lost) for task in tasks]


def _by_work(group: list[_Task]) -> dict[Work, list[_Task]]:
    by_work: dict[Work, list[_Task]] = {}
    for task in group:
        by_work.setdefault(task.work, []).append(task)
    return by_work


def _settle(outcomes: list[_Outcome]) -> None:
    for task, result, error in outcomes:
        if task.future.done():  # given up
            if task.late:
                try:
                    task.late(result if error is None else error)
                except Exception as fault:  # nobody waits for it, and the others must hear theirs
                    LOG.error("what came too late could not be dealt with", exc_info=fault)
        elif error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)


def _results(connection: Connection, work: Work, tasks: list[_Task]) -> list[_Outcome]:
    results = work(connection, [task.payload for task in tasks])
    return [_Outcome(task, result) for task, result in zip(tasks, results, strict=True)]


def _run(connection: Connection, work: Work, tasks: list[_Task]) -> list[_Outcome]:
    """Results of one work in a savepoint of its own; if many fail together, each is tried alone."""
    execute_raw(connection, "savepoint work")
    try:
        outcomes = _results(connection, work, tasks)
        execute_raw(connection, "release savepoint work")
        return outcomes
    except LockMissingError:
        raise
    except BaseException as error:  # whatever it is, it is the caller's: the writer goes on
        try:
            execute_raw(connection, "rollback to savepoint work")
            execute_raw(connection, "release savepoint work")
        except Exception:
            raise error from None  # a full disk ends the whole transaction: then nobody's change was kept
        if len(tasks) == 1:
            return [_Outcome(tasks[0], None, _for_people(error, connection.dialect))]
        return [outcome for task in tasks for outcome in _run(connection, work, [task])]


def _errors(dialect: Dialect) -> tuple[type[Exception], ...]:
    """What a database raises, by itself or through SQLAlchemy."""
    driver: Any = dialect
    return SQLAlchemyError, driver.dbapi.Error


def _for_people(error: BaseException, dialect: Dialect) -> BaseException:
    if isinstance(error, StopIteration):  # no future takes it
        return RuntimeError("a change raised StopIteration")
    if not isinstance(error, _errors(dialect)):
        return error
    reason = _first_line(error)
    return LedgerError(
        "ledger_write_failed",
        gettext_lazy("ledger: nothing was kept ({reason}); free disk space or see the log", reason=reason),
    )


def _first_line(error: BaseException) -> str:
    """What the database said, without the statement and its values: these may be personal."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0]
