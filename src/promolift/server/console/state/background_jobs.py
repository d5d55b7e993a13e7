"""Background jobs of the console: each runs in a process of its own and stores its progress in the ledger.

A page that is loaded again, or a server that restarts, therefore knows the state of a job.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from secrets import token_hex
from time import monotonic
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.storage.next_version import finish_switch
from promolift.server.api.server import Server
from promolift.server.ledger.audit_log import AuditAction, append_audit
from promolift.server.ledger.schema import JOBS
from promolift.server.translations import translate_refusal

STOP_TIMEOUT_S = 10.0  # how long the end of the server waits for a job to end
WRITE_EVERY_S = 0.5  # how often progress is written


CRASHED = gettext_noop("the process ended in the middle; the server's log has more")


class BackgroundJobs:
    """The jobs of one server: one at a time, because they write into the same work folder."""

    def __init__(self, server: Server) -> None:
        """What a server before this one left running is said to have stopped."""
        self.server = server
        self._child: subprocess.Popen[str] | None = None
        self._watcher: threading.Thread | None = None
        server.closing.append(self.close)
        self._starting = threading.Lock()
        why = gettext_noop("the server ended meanwhile; finished steps are kept, start it again to go on")

        def ended(db: Connection, some: list[None]) -> list[None]:
            mine = update(JOBS).where(JOBS.c.status == "running")
            db.execute(mine.values(status="stopped", note=why, ended_ms=server.clock.now_ms()))
            return some

        server.ledger.write(ended)

    def start(self, kind: str, asked: Mapping[str, Any], name: str) -> str:
        """Start one in this person's name; its id. Refused while another runs."""
        config = self.server.config
        task = {
            "kind": kind, "work": str(self.server.settings.work.absolute()), "asked": dict(asked),
            "config": config.model_dump(mode="json") if config else None, "ledger": self.server.settings.ledger,
        }  # fmt: skip
        with self._starting:
            if self._child is not None and self._child.poll() is None:
                raise translate_refusal("job_running")
            job_id = f"job_{token_hex(8)}"
            row = {"job_id": job_id, "kind": kind, "asked": json.dumps(dict(asked)), "name": name, "status": "running"}

            def begun(db: Connection, some: list[None]) -> list[None]:
                now_ms = self.server.clock.now_ms()
                db.execute(insert(JOBS).values(**row, begun_ms=now_ms))
                append_audit(
                    db, now_ms, AuditAction(f"person {name}", "job.start", kind), None, {"job_id": job_id, **asked}
                )
                return some

            self.server.ledger.write(begun)
            command = [sys.executable, "-m", "promolift.server.console.job_process"]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._watcher = threading.Thread(
                target=self._watch, args=(job_id, self._child, json.dumps(task)), daemon=True
            )
            self._watcher.start()
        return job_id

    def stop(self, job_id: str) -> None:
        """End the process of a job; what it finished is kept."""
        found = self.find(job_id)
        if found and found["status"] == "running" and self._child is not None:
            self._child.terminate()

    def find(self, job_id: str) -> dict[str, Any] | None:
        """One job as it stands."""
        return self._first(JOBS.c.job_id == job_id)

    def last(self, kind: str) -> dict[str, Any] | None:
        """The latest of a kind."""
        return self._first(JOBS.c.kind == kind)

    def failed(self) -> list[dict[str, Any]]:
        """Return the jobs that failed and are the latest of their kind."""
        with self.server.ledger.read() as db:
            kinds = db.execute(select(JOBS.c.kind).distinct().order_by(JOBS.c.kind)).scalars().all()
        found = [job for kind in kinds if (job := self.last(kind))]
        return [job for job in found if job["status"] == "failed"]

    @property
    def running(self) -> dict[str, Any] | None:
        """What is worked on now."""
        return self._first(JOBS.c.status == "running")

    def _first(self, which: ColumnElement[bool]) -> dict[str, Any] | None:
        latest = select(JOBS).where(which).order_by(JOBS.c.begun_ms.desc()).limit(1)
        with self.server.ledger.read() as db:
            row = db.execute(latest).mappings().first()
        if row is None:
            return None
        note = LazyMessage.from_text(row["note"])
        return {**row, "asked": json.loads(row["asked"]), "result": json.loads(row["result"]), "note": note}

    def _watch(self, job_id: str, child: "subprocess.Popen[str]", task: str) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        end: dict[str, Any] = {"status": "stopped", "note": gettext_noop("it was stopped; finished steps are kept")}
        written = 0.0
        try:
            child.stdin.write(task)
            child.stdin.close()
            for line in child.stdout:
                said = json.loads(line)
                if "step" in said and monotonic() - written > WRITE_EVERY_S:
                    self._write(job_id, {name: said[name] for name in ("step", "share", "note")})
                    written = monotonic()
                elif "result" in said:
                    end = {"status": "done", "share": 1.0, "note": "", "result": json.dumps(said["result"])}
                elif "error" in said:
                    end = {"status": "failed", "note": said["error"]}
        except (OSError, ValueError):
            end = {"status": "failed", "note": CRASHED}
        child.stdout.close()
        failed = child.wait() > 0
        finish_switch(self.server.settings.work)
        if failed and end["status"] == "stopped":
            end = {"status": "failed", "note": CRASHED}
        self._write(job_id, end | {"ended_ms": self.server.clock.now_ms()})

    def _write(self, job_id: str, values: Mapping[str, Any]) -> None:
        def do(db: Connection, some: list[None]) -> list[None]:
            db.execute(update(JOBS).where(JOBS.c.job_id == job_id).values(**values))
            return some

        self.server.ledger.write(do)

    def close(self) -> None:
        """End what runs, and note it."""
        if self._child is not None and self._watcher is not None:
            if self._child.poll() is None:
                self._child.terminate()
            self._watcher.join(STOP_TIMEOUT_S)
