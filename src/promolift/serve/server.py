"""Settings in; what all routes share out: ledger, releases, keys, rates, counters, and the work done on the side."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import Any

from sqlalchemy import Connection

from promolift.config import Config
from promolift.deliver.decide import NONE
from promolift.errors import PromoError
from promolift.serve import events, live, observe, outbox, security
from promolift.serve.problems import ApiError
from promolift.serve.settings import ServeSettings
from promolift.store import Store
from promolift.store.ledger import Ledger
from promolift.store.ledger_audit import audit, every, once
from promolift.store.ledger_money import expire

LOG = logging.getLogger("promolift.serve")
Change = Callable[[Connection, int], tuple[int, Any]]  # (connection, now_ms) to HTTP status and body
PULSE_S = 1.0


class Server:
    """One process's state. Close it to keep what waits."""

    def __init__(self, settings: ServeSettings, config: Config | None = None) -> None:
        """Open the ledger, load the releases in use; `config` is needed for making new releases."""
        self.settings, self.config = settings, config
        (settings.work / "serve").mkdir(parents=True, exist_ok=True)
        with Store(settings.work) as store:
            secret = store.secret()
        self.ledger = Ledger(settings.ledger_url)
        self.first_key: str | None = self.ledger.write(lambda db, some: [security.first_key(db) for _ in some])
        with self.ledger.read() as db:
            last_ms = live.last_moment(db)
            campaigns = every(db, "campaign")
        self.decider = live.Decider(settings.work, secret, last_ms)
        self.reload_keys()
        self.rates = security.Rates(settings.rate_per_second, settings.burst)
        self.metrics = observe.Metrics()
        self.outbox = outbox.Outbox(self.ledger, settings)
        self._running: set[str] = set()
        self._gate = threading.Lock()
        for body in campaigns.values():
            self.load_all(body)

    def close(self) -> None:
        """Keep what waits and close."""
        self.ledger.close()

    def reload_keys(self) -> None:
        """Read the keys again after a change."""
        with self.ledger.read() as db:
            self.keys = security.load_keys(db)

    def load_all(self, campaign: dict[str, Any]) -> None:
        """Load every release a campaign needs; where one cannot be loaded, it is logged and there are no offers."""
        names = {campaign.get("release"), *(campaign.get("experiment") or {}).get("releases", {}).values()} - {None}
        for release_id in sorted(names):
            try:
                self.decider.ensure(release_id)
            except PromoError as error:
                LOG.error("release cannot be loaded", extra={"release": release_id, "detail": str(error)})

    async def decide(self, ask: live.Ask) -> live.Answer:
        """A decision, or "no offer" with the reason if it fails or takes longer than the deadline."""
        try:
            future = self.ledger.call(self.decider.work, ask)
            done, _ = await asyncio.wait([future], timeout=self.settings.deadline_ms / 1000)
            if not done:
                ask.given_up = True
                future.add_done_callback(self._too_late)
                return self._none("timeout: no decision within the deadline")
            answer: live.Answer = future.result()
        except Exception as error:
            return self.failed(error)
        self.metrics.decided(answer)
        return answer

    def failed(self, error: Exception) -> live.Answer:
        """The answer to an error: no offer, logged and counted."""
        LOG.error("decision failed", extra={"kind": type(error).__name__, "detail": str(error)})
        return self._none("timeout" if isinstance(error, TimeoutError) else f"failure: {type(error).__name__}")

    def _none(self, reason: str) -> live.Answer:
        answer = live.Answer(NONE, reason)
        self.metrics.decided(answer)
        return answer

    def _too_late(self, future: "asyncio.Future[live.Answer]") -> None:
        with suppress(Exception):
            record = future.result().record
            if record:
                self.ledger.submit(live.mark_unanswered, record["decision_id"])

    async def keep(self, parsed: events.Parsed) -> int:
        """Keep events durably; how many were new."""
        if not (parsed.events or parsed.rejects):
            return 0
        new: int = await self.ledger.call(events.keep, parsed)
        self.metrics.received(new, len(parsed.events) - new, len(parsed.rejected))
        return new

    def change(self, do: Change, key: str | None = None, request: Any = None) -> tuple[int, Any]:
        """Run a change in the ledger, once per Idempotency-Key. Blocking: for routes that run in a thread."""
        if key is None:
            return self._write(lambda db, now_ms: (do(db, now_ms), False))[0]
        short = hashlib.sha256(key.encode()).hexdigest()
        with self._gate:
            if short in self._running:
                raise ApiError(409, "running", "a request with this Idempotency-Key is still running")
            self._running.add(short)
        try:
            return self._write(lambda db, now_ms: once(db, short, request, now_ms, lambda: do(db, now_ms)))[0]
        finally:
            with self._gate:
                self._running.discard(short)

    def _write(self, work: Callable[[Connection, int], tuple[tuple[int, Any], bool]]) -> tuple[tuple[int, Any], bool]:
        done: tuple[tuple[int, Any], bool] = self.ledger.write(
            lambda db, some: [work(db, round(time() * 1000)) for _ in some]
        )
        return done

    async def pulse(self) -> None:
        """Once a second: free what was reserved too long ago, and send what waits in the outbox."""
        while True:
            with suppress(PromoError):
                await self.ledger.call(_expire)
                await self.outbox.send_due()
            await asyncio.sleep(PULSE_S)


def _expire(db: Connection, some: list[Any]) -> list[int]:
    return [expire(db, round(time() * 1000)) for _ in some]


def audited(
    db: Connection, now_ms: int, who: tuple[str, str, str], old: Any, new: Any, status: int = 200
) -> tuple[int, Any]:  # fmt: skip
    """Write the audit row of an admin's change and answer with the new value."""
    audit(db, now_ms, who, old, new)
    return status, new
