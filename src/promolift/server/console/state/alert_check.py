"""Read what alerts tell of, from the functions that the pages show, and record it in the ledger.

The check runs once a minute on each server with a console, for the kinds that somebody subscribed to. A kind that
cannot be read is logged; the others go on.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

from sqlalchemy import Connection

from promolift.foundation.errors import PromoError
from promolift.server.api.routes import RouteContext, experiments
from promolift.server.api.routes.campaign_summary import (
    NEAR_LIMIT_SHARE,
    LimitUse,
    earned_so_far,
    limit_uses,
    load_last_learning,
)
from promolift.server.console.state.console_state import Console
from promolift.server.decisions.experiment_results import ExperimentResult, NoCustomersError, find_missing_data
from promolift.server.delivery.alert_outbox import (
    AlertCondition,
    AlertReading,
    Recipient,
    Teller,
    find_changes,
    load_recipients,
    record_readings,
)
from promolift.server.ledger.alert_records import AlertKind, AlertValues
from promolift.server.ledger.limits import ALL_CAMPAIGNS
from promolift.server.ledger.records import Campaign, LearnRun, StoredExperiment
from promolift.server.tasks.background_tasks import BackgroundTask
from promolift.shop.pipeline.text_pool import count_waiting_texts

LOG = logging.getLogger("promolift.server.console")
CHECK_EVERY_S = 60.0
EXPERIMENT_EVERY_S = 600.0  # a test is read this often: the decisions of a large one take seconds
CLEAR_LIMIT_SHARE = 0.8  # below it a limit clears: one that moves about 90 % is told of once
STOP_TIMEOUT_S = 10.0  # how long the end of the server waits for a check
JOB_PAGES = {"plan": "/plan", "run": "/data", "trial": "/trials", "fairness": "/governance", "evidence": "/governance"}
Reader = Callable[[], Iterator[AlertReading]]


class _RunningTest(NamedTuple):
    """A campaign, the test that splits its customers now, and what it shows; None where nobody was assigned."""

    campaign_id: str
    tested: StoredExperiment | None = None
    result: ExperimentResult | None = None


class AlertCheck:
    """The check of one server; a round that takes long is not begun twice."""

    def __init__(self, console: Console) -> None:
        """Nothing is read yet."""
        self.console, self.server = console, console.server
        self.call = RouteContext(self.server, "alerts")
        self._round: asyncio.Task[int] | None = None
        self._busy, self._stopping = threading.Lock(), threading.Event()
        self.readers: dict[AlertKind, Reader] = {
            "no_data": self.read_missing_data, "sample_ratio": self.read_sample_ratios, "limit": self.read_limits,
            "texts": self.read_texts, "drift": self.read_drift, "job": self.read_jobs,
        }  # fmt: skip
        self.server.closing.append(self.stop)

    @property
    def task(self) -> BackgroundTask:
        """The task of the server that begins a check every minute."""
        return BackgroundTask("alerts", CHECK_EVERY_S, self.look)

    @property
    def teller(self) -> Teller:
        """What messages say of the shop."""
        return Teller(self.console.shop.name, self.console.shop.nearest_language)

    async def look(self) -> None:
        """Begin a check unless the last one still runs: a large test may take longer than a task of the server may."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(asyncio.to_thread(self.check))

    def stop(self) -> None:
        """Let a check that runs come to its end, and begin no other."""
        self._stopping.set()
        if self._busy.acquire(timeout=STOP_TIMEOUT_S):
            self._busy.release()

    def check(self) -> int:
        """Read the kinds that somebody subscribed to and record them; return how many alerts changed."""
        with self._busy:
            if self._stopping.is_set():
                return 0
            try:
                return self._check()
            except Exception as error:  # a ledger that is busy or closed: the next check tries again
                LOG.error("alerts were not checked", exc_info=error)
                return 0

    def _check(self) -> int:
        with self.server.ledger.read() as db:
            recipients = load_recipients(db, self.teller)
        readings = self.read(recipients)
        with self.server.ledger.read() as db:
            if not any(find_changes(db, readings, recipients, self.server.clock.now_ms())):
                return 0

        def record(db: Connection, some: list[None]) -> list[int]:
            return [record_readings(db, readings, self.teller, self.server.clock.now_ms()) for _ in some]

        changed: int = self.server.ledger.write(record)
        return changed

    def read(self, recipients: list[Recipient]) -> list[AlertReading]:
        """Read the kinds that these people subscribed to."""
        found = []
        for kind in sorted({kind for each in recipients for kind in each.subscription.kinds}):
            if self._stopping.is_set():
                break
            try:
                found += list(self.readers[kind]())
            except Exception as error:
                LOG.error("an alert cannot be read", exc_info=error, extra={"kind": kind})
        return found

    def read_missing_data(self) -> Iterator[AlertReading]:
        """Tests that nobody is assigned to, or of whose customers nothing comes in."""
        for campaign_id, tested, result in self._running_tests():
            found = []
            if tested and (missing := find_missing_data(result, tested, self.server.clock.now_ms())):
                values: AlertValues = {"test": _test_name(tested), **missing._asdict()}
                found.append(AlertCondition(_test_key(tested), values, _path("/tests", campaign_id)))
            yield AlertReading("no_data", f"no_data {campaign_id}", found)

    def read_sample_ratios(self) -> Iterator[AlertReading]:
        """Running tests, and holdouts, whose groups do not have the sizes that were drawn."""
        for campaign_id, tested, result in self._running_tests():
            found = []
            if tested and result and not result.sample_ratio_ok:
                named: AlertValues = {"test": _test_name(tested)}
                found.append(AlertCondition(_test_key(tested), named, _path("/tests", campaign_id)))
            yield AlertReading("sample_ratio", f"sample_ratio test {campaign_id}", found)
        for campaign_id in self._campaigns():
            if (earned := earned_so_far(self.call, campaign_id)) is not None:
                bad = AlertCondition("holdout", {"campaign": campaign_id}, _path("/results", campaign_id))
                source = f"sample_ratio holdout {campaign_id}"
                yield AlertReading("sample_ratio", source, [] if earned.ratio_ok else [bad], earned.until_ms)

    def read_limits(self) -> Iterator[AlertReading]:
        """Limits over all customers that are nearly used up; those over all campaigns once."""
        now_ms = self.server.clock.now_ms()
        with self.server.ledger.read() as db:
            pages = {name: _path("/live", name) for name in Campaign.all(db)} | {ALL_CAMPAIGNS: "/live"}
            uses = {name: limit_uses(db, name, now_ms) for name in pages}
        for name, limits in uses.items():
            yield AlertReading("limit", f"limit {name}", _near(limits, pages[name]))

    def read_texts(self) -> Iterator[AlertReading]:
        """Texts that wait for a person; nothing is known where the server has no promolift.toml."""
        if self.server.config is not None:
            waiting = count_waiting_texts(self.server.config)
            found = [AlertCondition("pool", {"texts": waiting}, "/words")] if waiting else []
            yield AlertReading("texts", "texts", found)

    def read_drift(self) -> Iterator[AlertReading]:
        """What the last learning run of each campaign found to have drifted."""
        for campaign_id in self._campaigns():
            if (learned := load_last_learning(self.call, campaign_id)) is None:
                continue
            findings = sum(each["drifted"] is True for each in learned.get("drifts", ()))
            values: AlertValues = {"campaign": campaign_id, "findings": findings}
            found = [AlertCondition("world", values, _path("/results", campaign_id))] if findings else []
            yield AlertReading("drift", f"drift {campaign_id}", found, learned["until_ms"])

    def read_jobs(self) -> Iterator[AlertReading]:
        """Jobs of the console, and learning runs, that failed and were not started again."""
        found = [
            AlertCondition(job["job_id"], {"job": job["kind"]}, JOB_PAGES.get(job["kind"], "/"))
            for job in self.console.jobs.failed()
        ]
        with self.server.ledger.read() as db:
            runs = LearnRun.all(db)
        found += [
            AlertCondition(f"learn {name} {run.started_ms}", {"job": "learn"}, _path("/results", name))
            for name, run in runs.items()
            if run.status == "failed"
        ]
        yield AlertReading("job", "job", found)

    def _campaigns(self) -> list[str]:
        with self.server.ledger.read() as db:
            return list(Campaign.all(db))

    def _running_tests(self) -> Iterator[_RunningTest]:
        """Return each campaign with its running test and what that shows; a test that cannot be read is left out."""
        with self.server.ledger.read() as db:
            campaigns, tests = Campaign.all(db), StoredExperiment.all(db)
        for campaign_id, campaign in campaigns.items():
            if campaign.test is None:
                yield _RunningTest(campaign_id)
                continue
            name = campaign.test.design.name
            read = partial(experiments.experiment, self.call, campaign_id)
            tested = tests.get(StoredExperiment.record_id(campaign_id, name))
            try:
                result = self.console.cached_for(("alert", campaign_id, name), read, EXPERIMENT_EVERY_S)
            except NoCustomersError:
                result = None
            except PromoError as error:
                LOG.warning("a test cannot be read", extra={"detail": str(error)})
                continue
            yield _RunningTest(campaign_id, tested, result)


def _near(limits: tuple[LimitUse, ...], path: str) -> list[AlertCondition]:
    """Limits that are nearly used up, and those that were and have not fallen far."""
    return [
        AlertCondition(each.limit_id, {"limit": each.limit_id, "share": each.share or 0.0}, path,
                       each.reaches(NEAR_LIMIT_SHARE))
        for each in limits
        if each.reaches(CLEAR_LIMIT_SHARE)
    ]  # fmt: skip


def _test_name(tested: StoredExperiment) -> str:
    return tested.experiment.question or tested.experiment.design.name


def _test_key(tested: StoredExperiment) -> str:
    return tested.experiment.design.name


def _path(page: str, campaign_id: str) -> str:
    return f"{page}?{urlencode({'campaign': campaign_id})}"
