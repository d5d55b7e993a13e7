"""When to learn, and what becomes of a proposal: a release that waits for a person, or goes live if so allowed."""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from promolift import deliver
from promolift.serve.release import derive
from promolift.serve.switch import activate, remember
from promolift.store.ledger_audit import audit, every, get, put

if TYPE_CHECKING:
    from promolift.serve.server import Server

LOG = logging.getLogger("promolift.serve")
LOOK_S = 20.0
HOUR_MS = 3_600_000
LONGEST_S = 4 * 3600.0
ACTOR = "learning"


class Scheduler:
    """Starts a run when one is due. One per server; on a shared ledger each run is claimed by one of them."""

    def __init__(self, server: "Server") -> None:
        """Nothing runs yet."""
        self.server = server
        self._looked = monotonic()
        self._starting = asyncio.Lock()
        self._runs: dict[str, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Start what is due; called often, looks seldom."""
        rule = self.server.settings.learn
        if rule.every_hours is None or monotonic() - self._looked < LOOK_S:
            return
        self._looked = monotonic()
        for campaign_id in await asyncio.to_thread(self._live):
            await self.start(campaign_id, rule.every_hours)

    def _live(self) -> list[str]:
        with self.server.ledger.read() as db:
            return [id_ for id_, body in every(db, "campaign").items() if body.get("release")]

    async def start(self, campaign_id: str, every_hours: float = 0.0) -> None:
        """Learn in the background, unless a run is under way or none is due; the ledger says so from now on."""
        async with self._starting:
            running = self._runs.get(campaign_id)
            if running is not None and not running.done():
                return
            if await self.server.ledger.call(_claim, (campaign_id, every_hours)):
                self._runs[campaign_id] = asyncio.create_task(self._run(campaign_id))

    async def stop(self) -> None:
        """End what runs; it begins anew when it is due again."""
        for run in self._runs.values():
            run.cancel()
        for run in self._runs.values():
            with suppress(asyncio.CancelledError, Exception):
                await run

    async def _run(self, campaign_id: str) -> None:
        server = self.server
        try:
            found = await self._child(campaign_id)
            told = await asyncio.to_thread(keep, server, campaign_id, found)
        except Exception as error:
            LOG.error("learning failed", exc_info=error, extra={"campaign": campaign_id})
            told = {"status": "failed", "why": f"{type(error).__name__}; the log of the server has more"}
        await server.ledger.call(_note, (campaign_id, told))

    def task(self, campaign_id: str) -> dict[str, Any]:
        """What the process is told, as JSON: `learning.Task`."""
        server, settings = self.server, self.server.settings
        return {
            "ledger": settings.ledger_url, "work": str(settings.work.absolute()), "campaign_id": campaign_id,
            "settings": settings.learn.settings.model_dump(mode="json"),
            "config": server.config.model_dump(mode="json") if server.config else None,
        }  # fmt: skip

    async def _child(self, campaign_id: str) -> dict[str, Any]:
        """What the process says; it is killed if it takes too long or the server stops."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "promolift.serve.learning")
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        try:
            out, _ = await asyncio.wait_for(child.communicate(json.dumps(self.task(campaign_id)).encode()), LONGEST_S)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            raise RuntimeError(f"the learning process ended with {child.returncode}")
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
        return told


def keep(server: "Server", campaign_id: str, found: dict[str, Any]) -> dict[str, Any]:
    """Keep a proposal as a release that waits, and let it go live only where the settings and the guardrails allow."""
    if "release" not in found:
        return {"status": "nothing proposed", "why": found["why"]}
    with server.ledger.read() as db:
        base = (get(db, "campaign", campaign_id) or {}).get("release")
    if not base:
        return {"status": "nothing proposed", "why": "the campaign has no release any more"}
    learned = deliver.Release.parse(found["release"], "proposal")
    release_id = derive(server.settings.work, base, learned)
    if release_id == base:
        return {"status": "nothing proposed", "why": "no decision was made since that release went live"}
    server.decider.ensure(release_id)
    told = {name: value for name, value in found.items() if name != "release"} | {"based_on": base}
    live = server.settings.learn.release and bool(found["within_guardrails"])

    def do(db: Connection, now_ms: int) -> tuple[int, Any]:
        for other, body in every(db, "release").items():
            if body.get("status") == "proposed" and body["campaign_id"] == campaign_id:
                put(db, "release", other, body | {"status": "superseded"}, now_ms)
        body = {"release_id": release_id, "campaign_id": campaign_id, "price": learned.price, "status": "proposed"}
        put(db, "release", release_id, body | {"proposal": told}, now_ms)
        audit(db, now_ms, (ACTOR, "release.propose", release_id), None, body | {"based_on": base})
        if live:
            activate(db, now_ms, ACTOR, campaign_id, release_id)
        return 200, None

    server.change(do)
    if live:
        remember(server, release_id)
    status = "released" if live else "proposed"
    return {"status": status, "release_id": release_id, "why": found["why"]}


def _claim(db: Connection, some: list[tuple[str, float]]) -> list[bool]:
    """Whether a run is due, and if so ours: two servers on one ledger do not both learn."""
    now_ms, mine = round(time() * 1000), []
    for campaign_id, every_hours in some:
        last = get(db, "learn", campaign_id) or {"started_ms": 0}
        mine.append(now_ms - last["started_ms"] >= every_hours * HOUR_MS)
        if mine[-1]:
            put(db, "learn", campaign_id, {"started_ms": now_ms, "status": "running"}, now_ms)
    return mine


def _note(db: Connection, some: list[tuple[str, dict[str, Any]]]) -> list[None]:
    now_ms = round(time() * 1000)
    for campaign_id, told in some:
        started = (get(db, "learn", campaign_id) or {}).get("started_ms", now_ms)
        put(db, "learn", campaign_id, told | {"started_ms": started, "ended_ms": now_ms}, now_ms)
    return [None for _ in some]
