"""The state of one server process that all routes share: ledger, releases, keys, rate limits, metrics, tasks."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from promolift.core.decisions.decision_rule import NONE
from promolift.core.decisions.response_hours import fit_response_hours
from promolift.foundation.errors import ConfigError, PromoError
from promolift.foundation.executors.bounded_pool import BoundedPool
from promolift.foundation.hashing import sha256_of
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS, HOUR_MS, MINUTE_MS, Clock
from promolift.server.api import api_keys, observability, reader_process
from promolift.server.api.connection_limits import send_in_one_write
from promolift.server.api.problems import ApiError
from promolift.server.budgets import redemptions
from promolift.server.carts import carts, held_carts
from promolift.server.decisions import decisions, release_period
from promolift.server.delivery import outbox
from promolift.server.events import events
from promolift.server.events.pending_refusals import apply_pending_refusals
from promolift.server.ledger.audit_log import (
    HttpResponse,
    IdempotentResponse,
    StoredResponse,
    delete_record,
    get_record,
    load_responses,
    put_record,
    replace_response,
    run_once,
    store_responses,
)
from promolift.server.ledger.engines import is_local_file
from promolift.server.ledger.event_rows import ParsedEvents
from promolift.server.ledger.ledger import Ledger, Locks
from promolift.server.ledger.limits import ALL_CAMPAIGNS, expire_reservations, expired_reservations
from promolift.server.ledger.migrations import (
    ALIVE_MS,
    PENDING_REFUSALS,
    SERVER_KIND,
    is_outdated,
    open_tables,
    record_heartbeat,
)
from promolift.server.ledger.records import Campaign, StoredCurrency
from promolift.server.ledger.schema import Refused, no_locks, request_key_lock
from promolift.server.settings import ServeSettings
from promolift.server.tasks import background_tasks, maintenance, response_counts
from promolift.server.tasks.learning_schedule import LearningScheduler
from promolift.shop.configuration.configuration import Config

LOG = logging.getLogger("promolift.server")
TASK_EVERY_S = 1.0
ROWS_CHECKED_AFTER_S, ROWS_CHECKED_EVERY_S = 20.0, DAY_MS / 1000  # not at the start, which is to read little
SLOW_THREADS, SLOW_WAITING = 4, 28  # exports, erasures and webhooks that run and that wait; one more is refused
PROBE_TIMEOUT_S = 5.0  # a ledger that keeps nothing for so long is not ready
REFUSALS_LIMIT_S = 2.0  # how long refusals in the events of an older ledger are looked for at a time
MAX_CACHED_HEADERS = 1000  # remembered; a key may be written in more than one way
BRIEF_EVENTS = 20  # events that are kept in a millisecond
KEY_USE_KIND = "key_use"  # things of the ledger: when a key came last
DEADLINE_REASON = "timeout: no decision within the deadline"
Change = Callable[[Connection, int], HttpResponse]  # from the connection and now_ms
ChangeLocks = Callable[[Connection], Iterable[str]]


class Server:
    """The state of one server process. Close it to store what is pending."""

    def __init__(self, settings: ServeSettings, config: Config | None = None) -> None:
        """Open the ledger, load the releases in use; `config` is needed for making new releases."""
        self.settings, self.config = settings, config
        self.name = f"srv_{token_hex(8)}"
        self.draining = threading.Event()  # it is to end: whoever asks goes elsewhere
        _close_to_others(settings)
        with Store(settings.work) as store:
            self.secret = store.secret()
        self.ledger = Ledger(settings.ledger_url, open_tables)
        self.row_faults: list[str] = []  # what the rows of a ledger say against each other; it is not ready then
        self._rows_check: asyncio.Task[None] | None = None
        if not is_local_file(settings.ledger_url):
            self._check_secret()
        with self.ledger.read() as db:
            self.clock = Clock(settings.clock_skew_ms, last_ms=decisions.last_decision_ms(db))
            campaigns = Campaign.all(db)
        now_ms = self.clock.now_ms()
        self.first_key: str | None = self.ledger.write(
            lambda db, some: [api_keys.create_first_key(db, now_ms) for _ in some]
        )
        if config is not None:
            shop = StoredCurrency(currency=config.shop.currency)
            self.ledger.write(lambda db, some: [shop.save(db, ALL_CAMPAIGNS, now_ms) for _ in some])
        self.decider = decisions.Decider(settings.work, self.secret, self.clock, settings.releases)
        self.redeemer = redemptions.RedemptionService(self.clock, lambda: self.decider.releases)
        self.carts = carts.CartService(self.decider)
        self.held = held_carts.HeldCarts(self.carts)
        self.used: dict[str, int] = {}  # when each key came last, of those since the last note
        self._noted_ms = self._hours_ms = 0
        self._heard = False  # whether all refusals of personal decisions count that an earlier form kept as events
        self.reload_keys()
        self.rates = api_keys.RateLimiter(settings.rate_per_second, settings.burst)
        self.event_throttle = events.PageEventThrottle()
        self.metrics = observability.Metrics()
        self.outbox = outbox.Outbox(
            self.ledger, settings, self.clock, self.secret, costs=self.decider, ended=self.metrics.count_message
        )
        self.scheduler = LearningScheduler(self)
        self.texts = response_counts.TextCounter(settings.work / "serve")
        self.slow = BoundedPool("slow requests", SLOW_THREADS, SLOW_WAITING)
        self.keeps_changes = True  # whether the ledger did when it was asked last: /health/ready waits for nothing
        self.missing_releases: list[str] = []  # releases in use that are not loaded
        work = {
            "ledger": self.probe_ledger,
            "releases": lambda: asyncio.to_thread(self.refresh_releases),
            "keys": lambda: asyncio.to_thread(self.refresh_keys),
            "texts": lambda: asyncio.to_thread(self.count_texts),
            "hours": lambda: asyncio.to_thread(self.fit_send_hours),
            "expiry": lambda: asyncio.to_thread(self.expire),
            "webhooks": self.outbox.look, "learning": self.scheduler.start_due,
        }  # fmt: skip
        self.tasks = background_tasks.BackgroundTasks(
            [background_tasks.BackgroundTask(name, TASK_EVERY_S, each) for name, each in work.items()]
            + [
                background_tasks.BackgroundTask("pulse", ALIVE_MS / 5000, lambda: asyncio.to_thread(self.pulse)),
                background_tasks.BackgroundTask("rows", ROWS_CHECKED_EVERY_S, self.check_rows_later),
            ]
        )
        self.notices: dict[str, LazyMessage] = {}  # by name: what each page of the console says at present
        self.closing: list[Callable[[], None]] = []  # what else ends with the server
        self._running: set[str] = set()
        self._gate = threading.Lock()  # of the keys that run
        # A second reading that waits in the executor itself would wait forever after the last one of a process: Python
        # 3.11 to 3.14 start no other process then (CPython issue 115634).
        self._reading = threading.Lock()
        self._readings = 0  # begun since the first process that reads
        self._readers = reader_process.new_readers()
        for release_id in sorted({name for campaign in campaigns.values() for name in campaign.releases}):
            try:
                self.decider.ensure(release_id)
            except PromoError as error:
                LOG.error("release cannot be loaded", extra={"release": release_id, "detail": str(error)})
        self._note_missing(self.releases_in_use())
        self.adopt_releases()

    def refresh_releases(self) -> None:
        """Load the releases that campaigns decide from, whichever server activated them."""
        used = self.releases_in_use()
        try:
            self.decider.refresh_releases(used)
        finally:
            self._note_missing(used)
        self.adopt_releases()

    def _note_missing(self, used: set[str]) -> None:
        self.missing_releases = sorted(used - self.decider.releases.keys())

    async def probe_ledger(self) -> None:
        """Commit a mark, so that `/health/ready` says whether the ledger keeps changes without a commit of its own."""

        def mark(db: Connection, some: list[None]) -> list[None]:
            now_ms = self.clock.now_ms()
            put_record(db, "health", "ready", now_ms, now_ms)
            return some

        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):  # wait_for of Python 3.11 loses a cancellation as it ends
                await self.ledger.call(mark, locks=no_locks)
            self.keeps_changes = True
        except (PromoError, TimeoutError) as error:
            if self.keeps_changes:
                LOG.error("the ledger keeps no changes", extra={"detail": str(error)})
            self.keeps_changes = False

    async def check_rows_later(self) -> None:
        """Begin to check the rows of the ledger: of a large one it takes longer than a task of this server may."""

        async def check() -> None:
            await asyncio.sleep(ROWS_CHECKED_AFTER_S)
            await asyncio.to_thread(self.check_rows)

        self._rows_check = asyncio.create_task(check())

    def check_rows(self) -> None:
        """Compare the rows of a ledger that is a file of this server's, in a process that no reading waits for."""
        if is_local_file(self.settings.ledger_url):
            with reader_process.new_readers() as aside, suppress(BrokenProcessPool):
                self.row_faults = aside.submit(maintenance.find_row_faults, self.settings.readers_url).result()
        if self.row_faults:
            LOG.critical("the rows of the ledger contradict each other", extra={"detail": self.row_faults[:5]})

    def adopt_releases(self) -> None:
        """Give releases that a server of an earlier version activated their end and their budget."""
        with self.ledger.read() as db:
            undated = release_period.undated_campaigns(db, self.decider.releases)
        if undated:
            loaded, now_ms = self.decider.releases, self.clock.now_ms()

            def adopt(db: Connection, some: list[None]) -> list[None]:
                release_period.adopt_releases(db, loaded, now_ms)
                return some

            self.ledger.write(adopt)

    def pulse(self) -> None:
        """Record a heartbeat for other servers of a shared ledger; stop if the ledger is too new for this version."""
        if not self.ledger.sqlite:
            self._tell()
        until_s = monotonic() + REFUSALS_LIMIT_S
        while not self._heard and monotonic() < until_s:
            if not self.ledger.write(apply_pending_refusals):
                with self.ledger.read() as db:
                    self._heard = get_record(db, "ledger", PENDING_REFUSALS) is None
                break

    def _tell(self) -> None:
        def noted(db: Connection, some: list[None]) -> list[bool]:
            record_heartbeat(db, self.name)
            return [is_outdated(db) for _ in some]

        if self.ledger.submit(noted, None, no_locks).result() and not self.draining.is_set():
            LOG.critical("a later version has changed the ledger so that this one cannot go on; it ends")
            self.draining.set()

    def _check_secret(self) -> None:
        """Codes and webhooks of one ledger are made with one secret. ConfigError if this is another server's."""
        mine = sha256_of(f"promolift server {self.secret}")[:16]
        kept = self.ledger.write(
            lambda db, some: [get_record(db, "secret", "mark") or store_secret_mark(db, mine) for _ in some]
        )
        if kept != mine:
            self.ledger.close()
            raise ConfigError(
                "secret_differs",
                gettext_lazy(
                    "{path}: differs from that of the servers of this ledger; copy theirs, or name its file by "
                    "PROMOLIFT_SECRET_FILE",
                    path=self.settings.work / "secret.key",
                ),
            )

    def close(self) -> None:
        """Store what is pending and close."""
        for each in self.closing:
            each()
        self._readers.shutdown(cancel_futures=True)
        self.slow.close()
        if not self.ledger.sqlite:
            with suppress(PromoError):
                self.ledger.write(lambda db, some: [delete_record(db, SERVER_KIND, self.name) for _ in some])
        self.ledger.close()

    def run_in_reader(self, work: Callable[..., Any], *given: Any) -> Any:
        """What `work` reads of the ledger and the work folder, in a process of its own: no decision waits for it.

        `work` gets the ledger's URL, the work folder and `given`; one reading at a time. ApiError if it is killed.
        """
        with self._reading:
            self._readings += 1
            try:
                return self._readers.submit(work, self.settings.readers_url, self.settings.work, *given).result()
            except BrokenProcessPool:
                self._readers, self._readings = reader_process.new_readers(), 0
                raise ApiError(
                    503, "reader_ended", gettext_lazy("the process that reads ended, see the log; or ask for less")
                ) from None

    def prepare_reader(self, load: Callable[..., None]) -> None:
        """Start the process that reads, where none runs, and let it import what `load` stands in: a person who is about
        to ask for a reading does not wait for that. Returns at once."""
        if self._readings % reader_process.READINGS_PER_PROCESS or self._reading.locked():
            return

        def start() -> None:
            with suppress(ApiError, RuntimeError, CancelledError):  # the server ends meanwhile
                self.run_in_reader(load)

        threading.Thread(target=start, name="reader", daemon=True).start()

    def reload_keys(self) -> None:
        """Reload the keys after a change."""
        with self.ledger.read() as db:
            keys = api_keys.load_keys(db)
        self.keys: dict[str, api_keys.Key] = keys
        # by header as it came, so that its hash is made once; anew with every reading, so that none outlives its key
        self._by_header: dict[bytes, api_keys.Key] = {}

    def refresh_keys(self) -> None:
        """Reload the keys, since another process may revoke one; store once a minute when each was last used."""
        self.reload_keys()
        now_ms = self.clock.now_ms()
        if not self.used or now_ms - self._noted_ms < MINUTE_MS:
            return
        used, self.used, self._noted_ms = self.used, {}, now_ms

        def note(db: Connection, some: list[None]) -> list[None]:
            for key_id, ms in used.items():
                put_record(db, KEY_USE_KIND, key_id, ms, now_ms)
            return some

        self.ledger.write(note)

    def find_key(self, header: bytes) -> api_keys.Key | None:
        """Return the key of an Authorization header, if it is valid."""
        by_header, keys = self._by_header, self.keys
        key = by_header.get(header)
        if key is None:
            key = api_keys.find_key(header.decode("latin-1"), keys)
            if key is not None and self.keys is keys and len(by_header) < MAX_CACHED_HEADERS:
                by_header[header] = key
        return key

    async def decide(self, ask: decisions.DecisionRequest) -> decisions.DecisionResult:
        """Decide one request; "no offer" with the reason if it fails or exceeds the deadline."""
        try:
            answer: decisions.DecisionResult = await self._in_time(
                ask, self.decider.work, ask, self._too_late, self.decider.locks
            )
        except Exception as error:
            return self._none(DEADLINE_REASON) if ask.cancelled else self._failed(error)
        self.metrics.count_decision(answer)
        return answer

    async def _in_time(
        self, ask: decisions.DecisionRequest, work: Any, payload: Any, late: Callable[[Any], object], locks: Locks
    ) -> Any:
        future = self.ledger.call(work, payload, brief=True, late=late, locks=locks)
        timer = future.get_loop().call_later(self.settings.deadline_ms / 1000, _give_up, ask, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _failed(self, error: Exception) -> decisions.DecisionResult:
        """The answer to an error: no offer, logged and counted. Words that we did not choose may name a customer."""
        what = {"kind": type(error).__name__} | ({"detail": str(error)} if isinstance(error, PromoError) else {})
        LOG.error("decision failed", exc_info=error, extra=what)
        return self._none("timeout" if isinstance(error, TimeoutError) else f"failure: {type(error).__name__}")

    def _none(self, reason: str) -> decisions.DecisionResult:
        answer = decisions.DecisionResult(NONE, reason)
        self.metrics.count_decision(answer)
        return answer

    def _too_late(self, answer: object) -> None:
        if isinstance(answer, decisions.DecisionResult) and answer.record:
            self.ledger.submit(decisions.mark_unanswered, answer.record["decision_id"], no_locks)

    async def decide_once(
        self, ask: decisions.DecisionRequest, key: str, request: Any, body: Callable[[decisions.DecisionResult], Any]
    ) -> HttpResponse:
        """A decision, once per Idempotency-Key, as `body` puts it.

        Where the deadline comes before the answer, the decision counts for no cap and no experiment, a retry hears what
        this caller heard, and the key is free again when that is kept. Raises ApiError or Refused if the key was used.
        """
        wanted = _Keyed(ask, self._take_key(key), request, body)
        try:
            late = partial(self._missed, wanted)
            found: _Found = await self._in_time(ask, self._decide_keyed, wanted, late, self._locks_keyed)
        except Exception as error:
            if ask.cancelled:  # the key is taken until what happens now is kept, too
                return HttpResponse(200, body(self._none(DEADLINE_REASON)))
            self._free_key(wanted.key)
            return HttpResponse(200, body(self._failed(error)))
        self._free_key(wanted.key)
        if found.refused:
            raise found.refused
        if found.decided is not None:
            self.metrics.count_decision(found.decided)
        return found.reply

    def _decide_keyed(self, db: Connection, some: "list[_Keyed]") -> "list[_Found]":
        """The decisions, made together, or the answers kept for their keys."""
        now_ms = self.clock.now_ms()
        kept = load_responses(db, {each.key: each.request for each in some}, now_ms)
        fresh = [each for each in some if each.key not in kept]
        made = self.decider.work(db, [each.ask for each in fresh])
        found = {
            each.key: _Found(one, HttpResponse(200, each.body(one))) for each, one in zip(fresh, made, strict=True)
        }
        store_responses(db, [StoredResponse(each.key, each.request, found[each.key].reply) for each in fresh], now_ms)
        return [found.get(each.key) or _Found(None, *kept[each.key]) for each in some]

    def _locks_keyed(self, db: Connection, some: "list[_Keyed]") -> set[str]:
        return self.decider.locks(db, [each.ask for each in some]) | {request_key_lock(each.key) for each in some}

    def _missed(self, wanted: "_Keyed", found: object) -> None:
        """What came after the deadline counts for nothing; what is kept for a retry is what the caller got."""
        if not isinstance(found, _Found) or found.decided is None:
            self._free_key(wanted.key)
            return
        record, given_up = (
            found.decided.record,
            HttpResponse(200, wanted.body(decisions.DecisionResult(NONE, DEADLINE_REASON))),
        )

        def take_back(db: Connection, some: list[None]) -> list[None]:
            decisions.mark_unanswered(db, [record["decision_id"]] if record else [])
            replace_response(db, wanted.key, given_up)
            return some

        self.ledger.submit(take_back).add_done_callback(lambda _: self._free_key(wanted.key))

    async def store_events(self, parsed: ParsedEvents) -> int:
        """Store events durably and return how many were new."""
        if not (parsed.events or parsed.rejects):
            return 0
        new: int = await self.ledger.call(
            events.store_events, parsed, brief=len(parsed.events) <= BRIEF_EVENTS, locks=events.event_locks
        )
        self.metrics.count_events(new, len(parsed.events) - new, len(parsed.rejected))
        return new

    def change(
        self, do: Change, key: str | None = None, request: Any = None, locks: "ChangeLocks | None" = None
    ) -> HttpResponse:
        """Run a change in the ledger, once per Idempotency-Key. Blocking: for routes that run in a thread.

        `locks`: what it must have to itself; left out, everything.
        """
        held: Locks | None = None if locks is None else lambda db, _: locks(db)
        if key is None:
            done = self.ledger.submit(lambda db, some: [do(db, self.clock.now_ms()) for _ in some], None, held)
            answer: HttpResponse = done.result()
            return answer
        with self.alone(key) as short:
            keyed: Locks | None = None if locks is None else lambda db, _: {*locks(db), request_key_lock(short)}
            return _said(self.ledger.submit(self._changes, _Wanted(do, short, request), keyed).result())

    async def move_money(self, wanted: redemptions.StepRequest | held_carts.HoldRequest) -> HttpResponse:
        """Run a step of a redemption, or hold a cart, once per Idempotency-Key. Many share a commit with decisions."""
        if wanted.key is None:
            return _said(await self._moved(wanted))
        with self.alone(wanted.key) as short:
            return _said(await self._moved(wanted._replace(key=short)))

    async def _moved(self, wanted: redemptions.StepRequest | held_carts.HoldRequest) -> IdempotentResponse:
        while True:
            if isinstance(wanted, held_carts.HoldRequest):
                found = await self.ledger.call(self.held.work, wanted, brief=wanted.quick, locks=self.held.locks)
                if found is None:
                    wanted = wanted._replace(quick=False)
                    continue
            else:
                found = await self.ledger.call(self.redeemer.work, wanted, brief=True, locks=self.redeemer.locks)
            if not isinstance(found, redemptions.MissingRelease):
                answer: IdempotentResponse = found
                return answer
            try:
                await asyncio.to_thread(self.decider.ensure, found.release_id)
            except PromoError:
                raise Refused(
                    "terms_gone",
                    gettext_lazy("the terms of release {release_id} cannot be read", release_id=found.release_id),
                ) from None

    def _changes(self, db: Connection, some: "list[_Wanted]") -> list[IdempotentResponse]:
        now_ms = self.clock.now_ms()
        return [run_once(db, each.key, each.request, now_ms, partial(each.do, db, now_ms)) for each in some]

    def stored_answer(self, key: str, request: Any = None) -> HttpResponse | None:
        """The answer that is kept for an Idempotency-Key; None where there is none. Raises Refused as it was."""
        short = sha256_of(key)
        with self.ledger.read() as db:
            found = load_responses(db, {short: request}, self.clock.now_ms()).get(short)
        return None if found is None else _said(found)

    def replace_answer(self, key: str, answer: HttpResponse) -> None:
        """Keep another answer for an Idempotency-Key: what the caller got."""

        def replace_stored_answer(db: Connection, some: list[None]) -> list[None]:
            replace_response(db, sha256_of(key), answer)
            return some

        self.ledger.write(replace_stored_answer)

    @contextmanager
    def alone(self, key: str) -> Iterator[str]:
        """Nobody else runs with this Idempotency-Key; yields what it is kept under. ApiError if somebody does."""
        short = self._take_key(key)
        try:
            yield short
        finally:
            self._free_key(short)

    def _take_key(self, key: str) -> str:
        short = sha256_of(key)
        with self._gate:
            if short in self._running:
                raise ApiError(409, "running", gettext_lazy("a request with this Idempotency-Key is still running"))
            self._running.add(short)
        return short

    def _free_key(self, short: str) -> None:
        with self._gate:
            self._running.discard(short)

    def expire(self) -> None:
        """Return expired reservations. Runs only if there are any, because it locks the whole ledger."""
        with self.ledger.read() as db:
            late = expired_reservations(db, self.clock.now_ms())
        if late:
            self.ledger.write(lambda db, some: [expire_reservations(db, self.clock.now_ms()) for _ in some])

    def count_texts(self, every_s: float = response_counts.COUNT_EVERY_S) -> bool:
        """Update the text counts from new responses; return whether anything changed."""
        return self.texts.refresh(self.ledger, self.clock.now_ms(), every_s)

    def fit_send_hours(self) -> None:
        """Fit at which hours and on which channels customers respond, once an hour where a campaign asks for it."""
        with self.ledger.read() as db:
            asked = any(each.policy.sending and each.policy.sending.learned for each in Campaign.all(db).values())
            now_ms, releases = self.clock.now_ms(), self.decider.releases
            if asked and releases and now_ms - self._hours_ms >= HOUR_MS:
                self._hours_ms = now_ms
                zone = next(iter(releases.values())).shop.zone
                self.decider.hours = fit_response_hours(response_counts.load_sends(db, zone, now_ms))

    def check_clock(self) -> None:
        """ApiError while the clock is off: a moment decides what is still valid and which limit it counts in."""
        self.clock.now_ms()
        if self.clock.skewed:
            raise ApiError(
                503, "clock_skewed", gettext_lazy("the server's clock jumped; money waits until it is right again")
            )

    def releases_in_use(self) -> set[str]:
        """Return the releases that live campaigns decide from."""
        with self.ledger.read() as db:
            return {name for each in Campaign.all(db).values() if not each.paused for name in each.releases}


def store_secret_mark(db: Connection, mark: str) -> str:
    """Store the mark that identifies the secret of the ledger's servers."""
    put_record(db, "secret", "mark", mark, 0)
    return mark


def _close_to_others(settings: ServeSettings) -> None:
    """The ledger names customers: folder and file are its user's alone."""
    folder = settings.work / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if settings.ledger is None:
        path = folder / "ledger.db"
        if not path.exists():  # with a head from its first moment: a file of no bytes was cut
            with closing(sqlite3.connect(path)) as db:
                db.execute("pragma journal_mode = wal")
        path.chmod(0o600)  # what SQLite keeps beside it follows


class _Wanted(NamedTuple):
    """A change, what the key it came with is kept under, and the payload it must come with again."""

    do: Change
    key: str | None
    request: Any


class _Keyed(NamedTuple):
    """A decision that is asked for with a key: the payload it must come with again, and how it is answered."""

    ask: decisions.DecisionRequest
    key: str
    request: Any
    body: Callable[[decisions.DecisionResult], Any]


class _Found(NamedTuple):
    """What was decided now, None if it was decided, and counted, before; how it is answered, or why it is not."""

    decided: decisions.DecisionResult | None
    reply: HttpResponse
    refused: Refused | None = None


def _said(found: IdempotentResponse) -> HttpResponse:
    if found.refused:
        raise found.refused
    return found.answer


def _give_up(ask: decisions.DecisionRequest, future: "asyncio.Future[decisions.DecisionResult]") -> None:
    ask.cancelled = True
    if not future.done():
        future.set_exception(TimeoutError())


class FastResponse(NamedTuple):
    """A JSON response: an ASGI application, with shorter ways to send it."""

    status: int
    text: bytes

    async def send(self, send: Send, more: Mapping[bytes, bytes]) -> None:
        """Send it with more headers."""
        headers = {b"content-type": b"application/json", b"content-length": b"%d" % len(self.text), **more}
        head = b"".join(b"%b: %b\r\n" % pair for pair in headers.items())
        if send_in_one_write(send, self.status, head, self.text):
            return
        await send({"type": "http.response.start", "status": self.status, "headers": [*headers.items()]})
        await send({"type": "http.response.body", "body": self.text})

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Send it."""
        await self.send(send, {})


Endpoint = Callable[[Request], Awaitable[FastResponse]]
