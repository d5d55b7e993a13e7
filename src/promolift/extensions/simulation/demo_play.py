"""Play a demo's weeks aside and put them into its ledger as a whole, in the background of the server that serves it.

A process of its own plays in a work folder beside the server's. What it wrote is then added to the server's ledger in
one transaction. A play that is cut off leaves nothing, and the next start of the demo plays again.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, create_engine, delete, insert, select

from promolift.extensions.simulation.demo_history import MESSAGE_PREFIX, play_history
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.next_version import link_results
from promolift.foundation.storage.temporary_folder import TemporaryFolder
from promolift.server.api.routes.campaign_summary import SimulatedPeriod
from promolift.server.api.server import Server
from promolift.server.ledger.audit_log import AuditAction, AuditEntry, append_audit_entries, audit_rows
from promolift.server.ledger.limits.limit_usage import RELEASE_LIMIT_ID
from promolift.server.ledger.records import Campaign, LearningTask, LearnRun, ReleaseRecord, StoredExperiment
from promolift.server.ledger.schema import (
    ACCEPTED_OFFERS,
    CODES,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    LIMITS,
    PURCHASES,
    REDEMPTIONS,
    USAGE,
    Query,
    transaction_cache,
)
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config

LOG = logging.getLogger("promolift.server")
NOTICE = "demo history"
CHILD = "promolift.extensions.simulation.demo_play"
STOP_TIMEOUT_S = 10.0
ADDED_TABLES = (EVENTS, PURCHASES, DECISIONS, ACCEPTED_OFFERS, REDEMPTIONS)
Play = Callable[[Path, Collection[str]], None]  # plays in a folder without these customers


class PlayedHistory(NamedTuple):
    """What a play wrote: the rows of its ledger, and its work folder."""

    campaign_id: str
    rows: Mapping[Table, list[dict[str, Any]]]
    audit: list[AuditEntry]
    campaign: Campaign
    releases: dict[str, ReleaseRecord]
    tests: dict[str, StoredExperiment]
    run: LearnRun
    period: SimulatedPeriod
    work: Path


def is_play_due(server: Server) -> bool:
    """Whether a server shows the demo's own log, and no play of its weeks was finished."""
    config = server.config
    if config is None or config.data.source == "files":
        return False
    with server.ledger.read() as db:
        return SimulatedPeriod.find(db, config.plan.campaign) is None


def start_demo_history(server: Server) -> None:
    """Begin to play the weeks before now in the background, where that is due. Pages say so meanwhile."""
    if server.config is None or not is_play_due(server):
        return
    with server.ledger.read() as db:
        cut_off = db.execute(
            select(EVENTS.c.seq).where(EVENTS.c.message_id.startswith(MESSAGE_PREFIX)).limit(1)
        ).first()
    if cut_off:  # by an earlier version, which played into the ledger itself
        server.notices[NOTICE] = gettext_lazy(
            "The demo was ended while it played its simulated weeks, so nothing is measured. Stop it, delete the "
            "folder {folder} and start it again.",
            folder=server.settings.work / "serve",
        )
    else:
        BackgroundPlay(server, server.config).start()


class BackgroundPlay:
    """A play in a process of its own, which ends with the server."""

    def __init__(self, server: Server, config: Config) -> None:
        """Nothing runs yet."""
        self._server, self._config = server, config
        self._stopped = threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="demo history", daemon=True)

    def start(self) -> None:
        """Begin; the server's pages say that figures will come."""
        self._server.notices[NOTICE] = gettext_lazy(
            "The demo is playing nine simulated weeks; this takes about a minute. What was measured on them appears "
            "all at once when they are over: load the page again then."
        )
        self._server.closing.append(self._stop)
        self._thread.start()

    def _run(self) -> None:
        try:
            play_aside(self._server, self._config, self._play_in_child)
        except Exception as error:
            if not self._stopped.is_set():
                LOG.error("the demo's weeks could not be played", exc_info=error)
                self._server.notices[NOTICE] = gettext_lazy(
                    "The simulated weeks of the demo could not be played, so nothing is measured yet. The server's log "
                    "says why; start the demo again to play them."
                )
        else:
            self._server.notices.pop(NOTICE, None)

    def _play_in_child(self, work: Path, excluded: Collection[str]) -> None:
        task = {
            "work": str(work), "config": self._config.model_dump(mode="json"), "excluded": sorted(excluded),
            "settings": self._server.settings.model_dump(mode="json"),
        }  # fmt: skip
        pipe = subprocess.PIPE
        self._child = subprocess.Popen([sys.executable, "-m", CHILD], stdin=pipe, stdout=pipe, text=True)
        if self._stopped.is_set():
            self._child.kill()
        self._child.communicate(json.dumps(task))
        if self._child.returncode:
            raise RuntimeError(f"the process that plays ended with {self._child.returncode}")

    def _stop(self) -> None:
        self._stopped.set()
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
        self._thread.join(STOP_TIMEOUT_S)


def play_aside(server: Server, config: Config, play: Play) -> None:
    """Play in a folder beside the results, and add what was played. Again, where somebody was erased meanwhile."""
    added = False
    while not added:
        aside = TemporaryFolder(server.settings.work.absolute() / "tmp")
        aside.remove_abandoned()
        try:
            link_results(server.settings.work, aside.path)
            excluded = _erased_customers(server)
            play(aside.path, excluded)
            history = load_played_history(aside.path, config.plan.campaign)
            added = add_history(server, history, excluded)
        finally:
            aside.close()


def _erased_customers(server: Server) -> set[str]:
    with server.ledger.read() as db:
        return _select_erased(db)


def _select_erased(db: Connection) -> set[str]:
    return set(db.execute(select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.erased == 1)).scalars())


def load_played_history(work: Path, campaign_id: str) -> PlayedHistory:
    """Read what a play wrote into the ledger of its folder."""
    engine = create_engine(f"sqlite:///{work / 'serve' / 'ledger.db'}")
    try:
        with engine.connect() as db:
            return PlayedHistory(
                campaign_id,
                {
                    table: [dict(row) for row in db.execute(select(table)).mappings()]
                    for table in (*ADDED_TABLES, CODES, USAGE, LIMITS)
                },
                [
                    AuditEntry(row["ts_ms"], AuditAction(row["actor"], row["action"], row["subject"]),
                               json.loads(row["old"]), json.loads(row["new"]))
                    for row in audit_rows(db) if not row["action"].startswith("key.")
                ],
                Campaign.load(db, campaign_id), ReleaseRecord.all(db), StoredExperiment.all(db),
                LearnRun.load(db, campaign_id), SimulatedPeriod.load(db, campaign_id), work,
            )  # fmt: skip
    finally:
        engine.dispose()


def add_history(server: Server, history: PlayedHistory, excluded: Collection[str]) -> bool:
    """Add a played history to a server's ledger in one transaction; False, and nothing, if `excluded` is outdated.

    A campaign that nobody changed meanwhile goes on as the play left it, with its test; another stays as it is.
    """
    campaign_id, work = history.campaign_id, server.settings.work
    releases = work / "serve" / "releases"
    releases.mkdir(parents=True, exist_ok=True)
    for folder in (history.work / "serve" / "releases").iterdir():
        if not (releases / folder.name).exists():
            folder.rename(releases / folder.name)
    for release_id in history.campaign.releases:
        server.decider.ensure(release_id)
    learned = LearningTask(ledger="", work=work, campaign_id=campaign_id).folder
    found = LearningTask(ledger="", work=history.work, campaign_id=campaign_id).folder

    def add(db: Connection, some: list[None]) -> list[bool]:
        if _select_erased(db) != set(excluded):
            return [False for _ in some]
        unchanged = is_unchanged(Campaign.find(db, campaign_id), history.campaign)
        for table in ADDED_TABLES:
            _insert_rows(db, table, history.rows[table])
        _add_codes(db, history.rows[CODES])
        _add_usage(db, [row for row in history.rows[USAGE] if unchanged or row["limit_id"] != RELEASE_LIMIT_ID])
        end_ms = history.period.ended_ms
        for name, release in history.releases.items():
            if ReleaseRecord.find(db, name) is None:
                release.save(db, name, end_ms)
        for name, test in history.tests.items():
            (test if unchanged else test.model_copy(update={"ended_ms": end_ms})).save(db, name, end_ms)
        if unchanged:
            db.execute(delete(LIMITS).where(LIMITS.c.campaign_id == campaign_id, LIMITS.c.limit_id == RELEASE_LIMIT_ID))
            _insert_rows(db, LIMITS, history.rows[LIMITS])
            history.campaign.save(db, campaign_id, end_ms)
        history.run.save(db, campaign_id, end_ms)
        history.period.save(db, campaign_id, end_ms)
        append_audit_entries(db, history.audit)
        transaction_cache(db).clear()
        if found.exists():
            shutil.rmtree(learned, ignore_errors=True)
            learned.parent.mkdir(parents=True, exist_ok=True)
            found.rename(learned)
        return [True for _ in some]

    added: bool = server.ledger.write(add)
    return added


def is_unchanged(live: Campaign | None, played: Campaign) -> bool:
    """Whether nobody has changed a campaign since its first release was activated."""
    fresh = Campaign(release=played.release, policy=played.policy, policy_version=played.policy_version)
    names = ("release", "previous", "experiment", "paused", "policy", "policy_version")
    return live is not None and all(getattr(live, name) == getattr(fresh, name) for name in names)


def _insert_rows(db: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows; those that are numbered get numbers of this ledger."""
    names = [name for name in (column.name for column in table.c) if name != "seq"]
    Query(insert(table).inline(), names).many(db, [{name: row[name] for name in names} for row in rows])


def _add_codes(db: Connection, rows: list[dict[str, Any]]) -> None:
    """Add codes. A customer's code is always the same: one that was issued meanwhile stays, unless it was redeemed."""
    known = set(db.execute(select(CODES.c.code)).scalars())
    again = {row["code"] for row in rows if row["code"] in known and row["status"] == "redeemed"}
    for code in sorted(again):
        db.execute(delete(CODES).where(CODES.c.code == code))
    _insert_rows(db, CODES, [row for row in rows if row["code"] not in known or row["code"] in again])


def _add_usage(db: Connection, rows: list[dict[str, Any]]) -> None:
    """Add to what limits have held and spent."""
    for row in rows:
        mine = [USAGE.c[column.name] == row[column.name] for column in USAGE.primary_key]
        known = db.execute(select(USAGE.c.held, USAGE.c.spent).where(*mine)).first()
        held, spent = known or (0, 0)
        db.execute(delete(USAGE).where(*mine))
        _insert_rows(db, USAGE, [row | {"held": row["held"] + held, "spent": row["spent"] + spent}])


def main() -> None:
    """Play the task that stands on stdin. Ctrl-C is for the server, which ends this process."""
    getattr(os, "nice", abs)(10)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    task = json.loads(sys.stdin.read())
    play_history(
        Path(task["work"]), Config.parse(task["config"], "promolift.toml"),
        ServeSettings.parse(task["settings"], "promolift demo"), task["excluded"],
        lambda step, share, note="": print(step, share, flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    main()
