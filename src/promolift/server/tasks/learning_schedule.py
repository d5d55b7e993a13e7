"""Schedule learning runs and handle their proposals.

A proposal is a release that waits for approval, or becomes active where the settings allow it.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS, HOUR_MS, Clock
from promolift.server.decisions.decisions import Decider
from promolift.server.decisions.live_release import LiveRelease
from promolift.server.decisions.release_period import begin_periods
from promolift.server.ledger.audit_log import AuditAction, HttpResponse, append_audit
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.outbox_rows import post_webhook_event
from promolift.server.ledger.policy import Policy
from promolift.server.ledger.records import Campaign, LearningProposal, LearningTask, LearnRun, ReleaseRecord
from promolift.server.ledger.schema import Refused
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.work_folder.active_release import remove_approved_release, save_approved_release

LOG = logging.getLogger("promolift.server")
CHECK_EVERY_S = 20.0
RUN_TIMEOUT_S = 4 * 3600.0
ACTOR = "learning"
NEW_CAMPAIGN = Campaign(paused=False, policy=Policy(), policy_version=1)


class ReleaseServer(Protocol):
    """What of the server a change of release needs."""

    settings: ServeSettings
    config: Config | None
    ledger: Ledger
    decider: Decider
    clock: Clock

    def change(self, do: Callable[[Connection, int], HttpResponse]) -> HttpResponse:
        """Run a change in the ledger."""


def switch_release(
    db: Connection, now_ms: int, act: AuditAction, release_id: str, release_of: Callable[[str], LiveRelease]
) -> None:
    """Serve the campaign `act.subject` from this release from the next decision on; it must be loaded before."""
    old = Campaign.find(db, act.subject) or NEW_CAMPAIGN
    if old.release == release_id and release_id in old.periods:
        return
    served = old if old.release == release_id else old.with_release(release_id)
    new = begin_periods(db, act.subject, served, release_of, now_ms, now_ms).save(db, act.subject, now_ms)
    body = {"campaign_id": act.subject, "release": new.release, "previous": new.previous}
    post_webhook_event(db, "release.activated", body, now_ms)
    append_audit(db, now_ms, act, {"release": old.release}, body)


def roll_back_release(
    db: Connection, now_ms: int, actor: str, campaign_id: str, release_of: Callable[[str], LiveRelease]
) -> None:
    """Back to the release before the present one, which then is the one before. Refused if there is none."""
    before = (Campaign.find(db, campaign_id) or NEW_CAMPAIGN).previous
    if not before:
        raise Refused("previous_missing", gettext_lazy("there is no release before the present one"))
    switch_release(db, now_ms, AuditAction(actor, "release.rollback", campaign_id), before, release_of)


def remember_learning(server: ReleaseServer, release_id: str) -> None:
    """Let the next plan start from what was learned for the release that is live.

    If the work folder is busy, that is logged and no more: the plan that is being made has started already.
    """
    terms = server.decider.ensure(release_id).terms
    try:
        with Store(server.settings.work) as store:
            save_approved_release(store, terms) if terms.effects else remove_approved_release(store)
    except PromoError as error:
        LOG.warning("what is live was not noted for the next plan", extra={"detail": str(error)})


class _Wanted(NamedTuple):
    """A run that is wanted, unless one began less than so many hours ago."""

    campaign_id: str
    every_hours: float


class _Ended(NamedTuple):
    """A run that is over, and what became of it."""

    campaign_id: str
    run: LearnRun


class LearningScheduler:
    """Starts a run when one is due. One per server; on a shared ledger each run is claimed by one of them."""

    def __init__(self, server: ReleaseServer) -> None:
        """Nothing runs yet."""
        self.server = server
        self._looked = monotonic()
        self._starting = asyncio.Lock()
        self._runs: dict[str, asyncio.Task[None]] = {}

    async def start_due(self) -> None:
        """Start runs that are due; called often, checks rarely."""
        rule = self.server.settings.learn
        if rule.every_hours is None or monotonic() - self._looked < CHECK_EVERY_S:
            return
        self._looked = monotonic()
        for campaign_id in await asyncio.to_thread(self._live):
            await self.start(campaign_id, rule.every_hours)

    def _live(self) -> list[str]:
        with self.server.ledger.read() as db:
            return [id_ for id_, campaign in Campaign.all(db).items() if campaign.release]

    async def start(self, campaign_id: str, every_hours: float = 0.0) -> None:
        """Learn in the background, unless a run is under way or none is due; the ledger says so from now on."""
        async with self._starting:
            running = self._runs.get(campaign_id)
            if running is not None and not running.done():
                return
            if await self.server.ledger.call(self._claim, _Wanted(campaign_id, every_hours)):
                self._runs[campaign_id] = asyncio.create_task(self._run(campaign_id))

    async def stop(self) -> None:
        """End what runs; it begins anew when it is due again."""
        for run in self._runs.values():
            run.cancel()
        for run in self._runs.values():
            with suppress(asyncio.CancelledError, Exception):
                await run

    async def _run(self, campaign_id: str) -> None:
        try:
            found = await self._child(campaign_id)
            run = await asyncio.to_thread(store_proposal, self.server, campaign_id, found)
        except Exception as error:
            LOG.error("learning failed", exc_info=error, extra={"campaign": campaign_id})
            run = LearnRun(status="failed", why=f"{type(error).__name__}; the log of the server has more")
        await self.server.ledger.call(self._note, _Ended(campaign_id, run))

    def task(self, campaign_id: str) -> LearningTask:
        """What the process gets."""
        settings, days = self.server.settings, self.server.settings.keep.events_days
        since_ms = 0 if days is None else self.server.clock.now_ms() - round(days * DAY_MS)
        return LearningTask(
            ledger=settings.readers_url, work=settings.work.absolute(), campaign_id=campaign_id,
            settings=settings.learn.settings, config=self.server.config, releases=settings.releases,
            events_since_ms=max(0, since_ms),
        )  # fmt: skip

    async def _child(self, campaign_id: str) -> LearningProposal:
        """What the process says; it is killed if it takes too long or the server stops."""
        pipe, asked = asyncio.subprocess.PIPE, self.task(campaign_id).model_dump_json()
        command = (sys.executable, "-m", "promolift.server.tasks.learning_task")
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):  # wait_for of Python 3.11 loses a cancellation as it ends
                out, _ = await child.communicate(asked.encode())
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode:
            raise RuntimeError(f"the learning process ended with {child.returncode}")
        return LearningProposal.model_validate_json(out.splitlines()[-1])

    def _claim(self, db: Connection, some: list[_Wanted]) -> list[bool]:
        now_ms, mine = self.server.clock.now_ms(), []
        for campaign_id, every_hours in some:
            last = LearnRun.find(db, campaign_id)
            mine.append(last is None or now_ms - last.started_ms >= every_hours * HOUR_MS)
            if mine[-1]:
                LearnRun(started_ms=now_ms, status="running").save(db, campaign_id, now_ms)
        return mine

    def _note(self, db: Connection, some: list[_Ended]) -> list[None]:
        now_ms = self.server.clock.now_ms()
        for campaign_id, run in some:
            begun = LearnRun.find(db, campaign_id)
            times = {"started_ms": begun.started_ms if begun else now_ms, "ended_ms": now_ms}
            run.model_copy(update=times).save(db, campaign_id, now_ms)
        return [None for _ in some]


def store_proposal(server: ReleaseServer, campaign_id: str, found: LearningProposal) -> LearnRun:
    """What draws taught changes who gets what, which is a plan's work: the release that serves stays, and the proposal
    waits for the next plan, or is approved for it where the settings allow and nothing speaks against it."""
    if found.made is not None:
        return _keep_creatives(server, campaign_id, found.made, found.why)
    if found.release is None:
        return LearnRun(status="nothing proposed", why=found.why)
    folder = server.settings.work / "serve" / "learn" / campaign_id
    if server.settings.learn.release and found.within_guardrails:
        with Store(server.settings.work) as store:
            save_approved_release(store, found.release)
        return LearnRun(
            status="approved", why=gettext_lazy("the next `promolift run` plans by it: {why}", why=found.why)
        )
    return LearnRun(
        status="proposed",
        why=gettext_lazy(
            "{why}; for the next plan: `promolift learn approve --out {folder}`", why=found.why, folder=folder
        ),
    )


def _keep_creatives(server: ReleaseServer, campaign_id: str, release_id: str, why: LazyMessage) -> LearnRun:
    """The next shares of creatives are a release of their own: it goes live where the settings allow, else it waits."""
    price = server.decider.ensure_everywhere(release_id).terms.price
    live = server.settings.learn.release

    def do(db: Connection, now_ms: int) -> HttpResponse:
        made = ReleaseRecord(release_id=release_id, campaign_id=campaign_id, price=price).save(db, release_id, now_ms)
        append_audit(db, now_ms, AuditAction(ACTOR, "release.make", release_id), None, made.to_json())
        if live:
            act = AuditAction(ACTOR, "release.activate", campaign_id)
            switch_release(db, now_ms, act, release_id, server.decider.ensure)
        return HttpResponse(200, None)

    server.change(do)
    if live:
        live_why = gettext_lazy("{why}; next shares: {release}, it is live", why=why, release=release_id)
        return LearnRun(status="released", why=live_why)
    waits_why = gettext_lazy(
        "{why}; next shares: {release}, POST /v1/releases/{release}:activate lets it decide",
        why=why,
        release=release_id,
    )
    return LearnRun(status="proposed", why=waits_why)
