"""What happens in; Prometheus counters and JSON log lines without personal data out."""

import json
import logging
import os
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from promolift.privacy import redact

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        """All start at 0."""
        self.registry = CollectorRegistry()
        home = self.registry
        self.requests = Counter("promolift_requests_total", "Requests", ["route", "status"], registry=home)
        self.seconds = Histogram(
            "promolift_request_seconds", "Time to answer", ["route"], buckets=SECONDS, registry=home
        )
        self.decisions = Counter(
            "promolift_decisions_total", "Decisions by outcome and rule", ["outcome", "rule"], registry=home
        )
        self.events = Counter("promolift_events_total", "Events by what became of them", ["result"], registry=home)
        self.money = Counter("promolift_redemptions_total", "Redemption calls", ["step", "result"], registry=home)
        self.waiting = Gauge("promolift_outbox_waiting", "Webhooks and e-mails that wait", registry=home)

    def decided(self, answer: Any) -> None:
        """Count a decision by the rule that settled it: the reason's first words, never a customer's data."""
        rule = answer.reason.partition(":")[0] if ":" in answer.reason else answer.reason
        self.decisions.labels("none" if answer.offer_id == "none" else "offer", rule[:60]).inc()

    def received(self, new: int, duplicates: int, rejected: int) -> None:
        """Count events."""
        for result, number in (("accepted", new), ("duplicate", duplicates), ("rejected", rejected)):
            if number:
                self.events.labels(result).inc(number)

    def text(self) -> bytes:
        """The page of /metrics."""
        return generate_latest(self.registry)


class JsonLines(logging.Formatter):
    """One JSON object per line; every value is searched for personal data, and errors come without values."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD}
        line: dict[str, Any] = {"ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")}
        line |= {"level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if "clean" in extra:  # fields that cannot hold personal data: searching each would cost more than the request
            return json.dumps(line | extra["clean"])
        line |= extra
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["where"] = self._where(record.exc_info[2])
        return json.dumps(redact(line), ensure_ascii=False, default=str)

    @staticmethod
    def _where(trace: Any) -> list[str]:
        """File and line of each frame: what a traceback tells without the values it may hold."""
        places = []
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
            trace = trace.tb_next
        return places[-8:]


def set_up_logs(level: str = "INFO") -> None:
    """JSON lines on stderr for promolift and uvicorn."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("promolift", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def telemetry() -> dict[str, Any]:
    """FastAPI's own OpenTelemetry switched on where OTEL_* asks for it and its packages are there; else nothing."""
    asked = sorted(name for name in os.environ if name.startswith("OTEL_"))
    if not asked or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return {}
    try:
        there = find_spec("opentelemetry.sdk") and find_spec("fastapi.telemetry")
    except ModuleNotFoundError:
        there = None
    if there:
        return {"telemetry": {"auto_configure": True}}
    told = "OTEL_* is set, but opentelemetry-sdk (or a FastAPI that speaks it) is missing: nothing is traced"
    logging.getLogger("promolift.serve").warning(told, extra={"variables": asked})
    return {}
