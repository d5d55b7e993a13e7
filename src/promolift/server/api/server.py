"""Settings in; what all routes share out: ledger, releases, keys, rates, counters, and the work done on the side."""

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from secrets import token_hex
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from promolift.core.decisions.decision_rule import NONE
from promolift.core.decisions.response_hours import fit_hours
from promolift.foundation.errors import ConfigError, PromoError
from promolift.foundation.hashing import sha256_of
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import Clock
from promolift.foundation.time.units import HOUR_MS, MINUTE_MS
from promolift.server.api import api_keys, observability
from promolift.server.api.connection_limits import send_whole
from promolift.server.api.problems import ApiError
from promolift.server.budgets import redemptions
from promolift.server.carts import carts
from promolift.server.decisions import decisions
from promolift.server.delivery import outbox
from promolift.server.events import events
from promolift.server.ledger.audit_log import (
    Answered,
    HttpAnswer,
    OnceAnswer,
    amend,
    drop,
    get,
    keep_answers,
    kept_answers,
    once,
    put,
)
from promolift.server.ledger.event_rows import Parsed
from promolift.server.ledger.ledger import Ledger, Locks, is_file
from promolift.server.ledger.limits import expire, late_now
from promolift.server.ledger.migrations import ALIVE_MS, SERVER, UNHEARD, outdated, pulse
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import Refused, nothing, of_key
from promolift.server.settings import ServeSettings
from promolift.server.tasks import background_tasks, response_counts
from promolift.server.tasks.learning_schedule import Scheduler
from promolift.shop.configuration.configuration import Config

LOG = logging.getLogger("promolift.server")
PULSE_S = 1.0
HEAR_S = 2.0  # how long refusals in the events of an older ledger are looked for at a time
HEADERS = 1000  # remembered; a key may be written in more than one way
FEW = 20  # events that are kept in a millisecond
KEY_USE = "key_use"  # things of the ledger: when a key came last
GIVEN_UP = "timeout: no decision within the deadline"
Change = Callable[[Connection, int], HttpAnswer]  # from the connection and now_ms
ChangeLocks = Callable[[Connection], Iterable[str]]


class Server:
    """One process's state. Close it to keep what waits."""

    def __init__(self, settings: ServeSettings, config: Config | None = None) -> None:
        """Open the ledger, load the releases in use; `config` is needed for making new releases."""
        self.settings, self.config = settings, config
        self.name = f"srv_{token_hex(8)}"
        self.draining = threading.Event()  # it is to end: whoever asks goes elsewhere
        _close_to_others(settings)
        with Store(settings.work) as store:
            self.secret = store.secret()
        self.ledger = Ledger(settings.ledger_url)
        if not is_file(settings.ledger_url):
            self._check_secret()
        with self.ledger.read() as db:
            self.clock = Clock(settings.clock_skew_ms, last_ms=decisions.last_moment(db))
            campaigns = Campaign.all(db)
        now_ms = self.clock.now_ms()
        self.first_key: str | None = self.ledger.write(lambda db, some: [api_keys.first_key(db, now_ms) for _ in some])
        self.decider = decisions.Decider(settings.work, self.secret, self.clock, settings.releases)
        self.redeemer = redemptions.Redeemer(self.clock)
        self.carts = carts.Carts(self.decider)
        self.used: dict[str, int] = {}  # when each key came last, of those since the last note
        self._noted_ms = self._hours_ms = 0
        self._heard = False  # whether all refusals of personal decisions count that an earlier form kept as events
        self.reload_keys()
        self.rates = api_keys.Rates(settings.rate_per_second, settings.burst)
        self.crowd = events.Throttle()
        self.metrics = observability.Metrics()
        self.outbox = outbox.Outbox(
            self.ledger, settings, self.clock, self.secret, costs=self.decider, ended=self.metrics.message_ended
        )
        self.scheduler = Scheduler(self)
        self.texts = response_counts.TextCounter(settings.work / "serve")
        work = {
            "releases": lambda: asyncio.to_thread(lambda: self.decider.tend(self.needed())),
            "keys": lambda: asyncio.to_thread(self.tend_keys),
            "texts": lambda: asyncio.to_thread(self.count_texts),
            "hours": lambda: asyncio.to_thread(self.learn_hours),
            "expiry": lambda: asyncio.to_thread(self.expire),
            "webhooks": self.outbox.look, "learning": self.scheduler.look,
        }  # fmt: skip
        self.duties = background_tasks.Duties(
            [background_tasks.Duty(name, PULSE_S, each) for name, each in work.items()]
            + [background_tasks.Duty("pulse", ALIVE_MS / 5000, lambda: asyncio.to_thread(self.pulse))]
        )
        self.closing: list[Callable[[], None]] = []  # what else ends with the server
        self._running: set[str] = set()
        self._gate = threading.Lock()  # of the keys that run, and of the readers
        self._readers = _new_readers()
        for release_id in sorted({name for campaign in campaigns.values() for name in campaign.releases}):
            try:
                self.decider.ensure(release_id)
            except PromoError as error:
                LOG.error("release cannot be loaded", extra={"release": release_id, "detail": str(error)})

    def pulse(self) -> None:
        """Tell others of a shared ledger that this one is here; end where it has become too old for the ledger."""
        if not self.ledger.sqlite:
            self._tell()
        until_s = monotonic() + HEAR_S
        while not self._heard and monotonic() < until_s:
            if not self.ledger.write(events.hear_refusals):
                with self.ledger.read() as db:
                    self._heard = get(db, "ledger", UNHEARD) is None
                break

    def _tell(self) -> None:
        def noted(db: Connection, some: list[None]) -> list[bool]:
            pulse(db, self.name)
            return [outdated(db) for _ in some]

        if self.ledger.submit(noted, None, nothing).result() and not self.draining.is_set():
            LOG.critical("a later version has changed the ledger so that this one cannot go on; it ends")
            self.draining.set()

    def _check_secret(self) -> None:
        """Codes and webhooks of one ledger are made with one secret. ConfigError if this is another server's."""
        mine = sha256_of(f"promolift server {self.secret}")[:16]
        kept = self.ledger.write(lambda db, some: [get(db, "secret", "mark") or put_new(db, mine) for _ in some])
        if kept != mine:
            self.ledger.close()
            wrong = "differs from that of the servers of this ledger"
            where = "copy theirs, or name its file by PROMOLIFT_SECRET_FILE"
            raise ConfigError("secret_differs", f"{self.settings.work / 'secret.key'}: {wrong}; {where}")

    def close(self) -> None:
        """Keep what waits and close."""
        for each in self.closing:
            each()
        self._readers.shutdown(cancel_futures=True)
        if not self.ledger.sqlite:
            with suppress(PromoError):
                self.ledger.write(lambda db, some: [drop(db, SERVER, self.name) for _ in some])
        self.ledger.close()

    def beside(self, work: Callable[..., Any], *given: Any) -> Any:
        """What `work` reads of the ledger and the work folder, in a process of its own: no decision waits for it.

        `work` gets the ledger's URL, the work folder and `given`; one reading at a time. ApiError if it is killed.
        """
        with self._gate:
            readers = self._readers
        try:
            return readers.submit(work, self.settings.readers_url, self.settings.work, *given).result()
        except BrokenProcessPool:
            with self._gate:
                self._readers = _new_readers() if self._readers is readers else self._readers
            raise ApiError(503, "reader_ended", "the process that reads ended, see the log; or ask for less") from None

    def reload_keys(self) -> None:
        """Read the keys again after a change."""
        with self.ledger.read() as db:
            keys = api_keys.load_keys(db)
        self.keys: dict[str, api_keys.Key] = keys
        # by header as it came, so that its hash is made once; anew with every reading, so that none outlives its key
        self._by_header: dict[bytes, api_keys.Key] = {}

    def tend_keys(self) -> None:
        """Read the keys again, since another process may revoke one; note once a minute when each came last."""
        self.reload_keys()
        now_ms = self.clock.now_ms()
        if not self.used or now_ms - self._noted_ms < MINUTE_MS:
            return
        used, self.used, self._noted_ms = self.used, {}, now_ms

        def note(db: Connection, some: list[None]) -> list[None]:
            for key_id, ms in used.items():
                put(db, KEY_USE, key_id, ms, now_ms)
            return some

        self.ledger.write(note)

    def key_of(self, header: bytes) -> api_keys.Key | None:
        """The key of an Authorization header, if it is a valid one."""
        by_header, keys = self._by_header, self.keys
        key = by_header.get(header)
        if key is None:
            key = api_keys.find_key(header.decode("latin-1"), keys)
            if key is not None and self.keys is keys and len(by_header) < HEADERS:
                by_header[header] = key
        return key

    async def decide(self, ask: decisions.Ask) -> decisions.Answer:
        """A decision, or "no offer" with the reason if it fails or takes longer than the deadline."""
        try:
            answer: decisions.Answer = await self._in_time(
                ask, self.decider.work, ask, self._too_late, self.decider.locks
            )
        except Exception as error:
            return self._none(GIVEN_UP) if ask.given_up else self._failed(error)
        self.metrics.decided(answer)
        return answer

    async def _in_time(
        self, ask: decisions.Ask, work: Any, payload: Any, late: Callable[[Any], object], locks: Locks
    ) -> Any:
        future = self.ledger.call(work, payload, brief=True, late=late, locks=locks)
        timer = future.get_loop().call_later(self.settings.deadline_ms / 1000, _give_up, ask, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _failed(self, error: Exception) -> decisions.Answer:
        """The answer to an error: no offer, logged and counted. Words that we did not choose may name a customer."""
        what = {"kind": type(error).__name__} | ({"detail": str(error)} if isinstance(error, PromoError) else {})
        LOG.error("decision failed", exc_info=error, extra=what)
        return self._none("timeout" if isinstance(error, TimeoutError) else f"failure: {type(error).__name__}")

    def _none(self, reason: str) -> decisions.Answer:
        answer = decisions.Answer(NONE, reason)
        self.metrics.decided(answer)
        return answer

    def _too_late(self, answer: object) -> None:
        if isinstance(answer, decisions.Answer) and answer.record:
            self.ledger.submit(decisions.mark_unanswered, answer.record["decision_id"], nothing)

    async def decide_once(
        self, ask: decisions.Ask, key: str, request: Any, body: Callable[[decisions.Answer], Any]
    ) -> HttpAnswer:
        """A decision, once per Idempotency-Key, as `body` puts it.

        Where the deadline comes before the answer, the decision counts for no cap and no experiment, a retry hears what
        this caller heard, and the key is free again when that is kept. Raises ApiError or Refused if the key was used.
        """
        wanted = _Keyed(ask, self._take_key(key), request, body)
        try:
            late = partial(self._missed, wanted)
            found: _Found = await self._in_time(ask, self._decide_keyed, wanted, late, self._locks_keyed)
        except Exception as error:
            if ask.given_up:  # the key is taken until what happens now is kept, too
                return HttpAnswer(200, body(self._none(GIVEN_UP)))
            self._free_key(wanted.key)
            return HttpAnswer(200, body(self._failed(error)))
        self._free_key(wanted.key)
        if found.refused:
            raise found.refused
        if found.decided is not None:
            self.metrics.decided(found.decided)
        return found.reply

    def _decide_keyed(self, db: Connection, some: "list[_Keyed]") -> "list[_Found]":
        """The decisions, made together, or the answers kept for their keys."""
        now_ms = self.clock.now_ms()
        kept = kept_answers(db, {each.key: each.request for each in some}, now_ms)
        fresh = [each for each in some if each.key not in kept]
        made = self.decider.work(db, [each.ask for each in fresh])
        found = {each.key: _Found(one, HttpAnswer(200, each.body(one))) for each, one in zip(fresh, made, strict=True)}
        keep_answers(db, [Answered(each.key, each.request, found[each.key].reply) for each in fresh], now_ms)
        return [found.get(each.key) or _Found(None, *kept[each.key]) for each in some]

    def _locks_keyed(self, db: Connection, some: "list[_Keyed]") -> set[str]:
        return self.decider.locks(db, [each.ask for each in some]) | {of_key(each.key) for each in some}

    def _missed(self, wanted: "_Keyed", found: object) -> None:
        """What came after the deadline counts for nothing; what is kept for a retry is what the caller got."""
        if not isinstance(found, _Found) or found.decided is None:
            self._free_key(wanted.key)
            return
        record, given_up = found.decided.record, HttpAnswer(200, wanted.body(decisions.Answer(NONE, GIVEN_UP)))

        def take_back(db: Connection, some: list[None]) -> list[None]:
            decisions.mark_unanswered(db, [record["decision_id"]] if record else [])
            amend(db, wanted.key, given_up)
            return some

        self.ledger.submit(take_back).add_done_callback(lambda _: self._free_key(wanted.key))

    async def keep(self, parsed: Parsed) -> int:
        """Keep events durably; how many were new."""
        if not (parsed.events or parsed.rejects):
            return 0
        new: int = await self.ledger.call(events.keep, parsed, brief=len(parsed.events) <= FEW, locks=events.locks)
        self.metrics.received(new, len(parsed.events) - new, len(parsed.rejected))
        return new

    def change(
        self, do: Change, key: str | None = None, request: Any = None, locks: "ChangeLocks | None" = None
    ) -> HttpAnswer:
        """Run a change in the ledger, once per Idempotency-Key. Blocking: for routes that run in a thread.

        `locks`: what it must have to itself; left out, everything.
        """
        held: Locks | None = None if locks is None else lambda db, _: locks(db)
        if key is None:
            done = self.ledger.submit(lambda db, some: [do(db, self.clock.now_ms()) for _ in some], None, held)
            answer: HttpAnswer = done.result()
            return answer
        with self._alone(key) as short:
            keyed: Locks | None = None if locks is None else lambda db, _: {*locks(db), of_key(short)}
            return _said(self.ledger.submit(self._changes, _Wanted(do, short, request), keyed).result())

    async def settle(self, wanted: redemptions.Wanted) -> HttpAnswer:
        """A step of a redemption, once per Idempotency-Key. Many share one commit with decisions."""
        if wanted.key is None:
            return _said(await self._redeemed(wanted))
        with self._alone(wanted.key) as short:
            return _said(await self._redeemed(wanted._replace(key=short)))

    def _redeemed(self, wanted: redemptions.Wanted) -> Awaitable[OnceAnswer]:
        return self.ledger.call(self.redeemer.work, wanted, brief=True, locks=self.redeemer.locks)

    def _changes(self, db: Connection, some: "list[_Wanted]") -> list[OnceAnswer]:
        now_ms = self.clock.now_ms()
        return [once(db, each.key, each.request, now_ms, partial(each.do, db, now_ms)) for each in some]

    @contextmanager
    def _alone(self, key: str) -> Iterator[str]:
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
                raise ApiError(409, "running", "a request with this Idempotency-Key is still running")
            self._running.add(short)
        return short

    def _free_key(self, short: str) -> None:
        with self._gate:
            self._running.discard(short)

    def expire(self) -> None:
        """Give back what was reserved for too long. Only where there is any: it has the whole ledger to itself."""
        with self.ledger.read() as db:
            late = late_now(db, self.clock.now_ms())
        if late:
            self.ledger.write(lambda db, some: [expire(db, self.clock.now_ms()) for _ in some])

    def count_texts(self, every_s: float = response_counts.EVERY_S) -> bool:
        """Learn from what was taken up since the last count which texts to choose; whether anything changed."""
        return self.texts.refresh(self.ledger, self.clock.now_ms(), every_s)

    def learn_hours(self) -> None:
        """At which hours and on which channels customers answer, once an hour where a campaign asks."""
        with self.ledger.read() as db:
            asked = any(each.policy.sending and each.policy.sending.learned for each in Campaign.all(db).values())
            now_ms, releases = self.clock.now_ms(), self.decider.releases
            if asked and releases and now_ms - self._hours_ms >= HOUR_MS:
                self._hours_ms = now_ms
                zone = next(iter(releases.values())).shop.zone
                self.decider.hours = fit_hours(response_counts.sends(db, zone, now_ms))

    def check_clock(self) -> None:
        """ApiError while the clock is off: a moment decides what is still valid and which limit it counts in."""
        self.clock.now_ms()
        if self.clock.skewed:
            raise ApiError(503, "clock_skewed", "the server's clock jumped; money waits until it is right again")

    def needed(self) -> set[str]:
        """The releases that campaigns decide from now."""
        with self.ledger.read() as db:
            return {name for each in Campaign.all(db).values() if not each.paused for name in each.releases}


def put_new(db: Connection, mark: str) -> str:
    """Keep what tells which secret the ledger's servers have."""
    put(db, "secret", "mark", mark, 0)
    return mark


def _new_readers() -> ProcessPoolExecutor:
    """Started at the first reading; anew after some, which gives their memory back."""
    nice = getattr(os, "nice", abs)  # after everybody else; Windows has none
    spawn = get_context("spawn")
    return ProcessPoolExecutor(1, spawn, initializer=nice, initargs=(10,), max_tasks_per_child=100)


def _close_to_others(settings: ServeSettings) -> None:
    """The ledger names customers: folder and file are its user's alone."""
    folder = settings.work / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if settings.ledger is None:
        path = folder / "ledger.db"
        path.touch(mode=0o600)
        path.chmod(0o600)  # what SQLite keeps beside it follows


class _Wanted(NamedTuple):
    """A change, what the key it came with is kept under, and the payload it must come with again."""

    do: Change
    key: str | None
    request: Any


class _Keyed(NamedTuple):
    """A decision that is asked for with a key: the payload it must come with again, and how it is answered."""

    ask: decisions.Ask
    key: str
    request: Any
    body: Callable[[decisions.Answer], Any]


class _Found(NamedTuple):
    """What was decided now, None if it was decided, and counted, before; how it is answered, or why it is not."""

    decided: decisions.Answer | None
    reply: HttpAnswer
    refused: Refused | None = None


def _said(found: OnceAnswer) -> HttpAnswer:
    if found.refused:
        raise found.refused
    return found.answer


def _give_up(ask: decisions.Ask, future: "asyncio.Future[decisions.Answer]") -> None:
    ask.given_up = True
    if not future.done():
        future.set_exception(TimeoutError())


class HotAnswer(NamedTuple):
    """An answer in JSON: an ASGI application, and shorter ways to send it."""

    status: int
    text: bytes

    async def send(self, send: Send, more: Mapping[bytes, bytes]) -> None:
        """Send it with more headers."""
        headers = {b"content-type": b"application/json", b"content-length": b"%d" % len(self.text), **more}
        head = b"".join(b"%b: %b\r\n" % pair for pair in headers.items())
        if send_whole(send, self.status, head, self.text):
            return
        await send({"type": "http.response.start", "status": self.status, "headers": [*headers.items()]})
        await send({"type": "http.response.body", "body": self.text})

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        """Send it."""
        await self.send(send, {})


Endpoint = Callable[[Request], Awaitable[HotAnswer]]
