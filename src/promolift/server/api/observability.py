"""Prometheus metrics, and JSON log lines without personal data."""

import json
import logging
import math
import os
import sys
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from promolift.foundation.privacy.redaction import redact

LOG_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics(Collector):
    """The metrics of one server, in a registry of their own.

    What every request counts is kept in plain numbers and read when the page is asked for.
    """

    def __init__(self) -> None:
        """All start at 0."""
        self.registry = home = CollectorRegistry()
        self.events = Counter("promolift_events_total", "Events by what became of them", ["result"], registry=home)
        text = "Webhooks and messages to customers by how they ended: sent, failed or expired"
        self.messages = Counter("promolift_messages_total", text, ["channel", "result"], registry=home)
        self.waiting = Gauge("promolift_outbox_waiting", "Webhooks and e-mails that wait", registry=home)
        self.duties = Gauge("promolift_duty_failures", "Failed rounds of work on the side", ["duty"], registry=home)
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, int], int] = defaultdict(int)
        self._decisions: dict[tuple[str, str], int] = defaultdict(int)
        self._redemptions: dict[tuple[str, str], int] = defaultdict(int)
        self._times: dict[str, list[float]] = defaultdict(
            lambda: [0.0] * (len(LATENCY_BUCKETS_S) + 2)
        )  # by bucket; their sum
        home.register(self)

    def count_decision(self, answer: Any) -> None:
        """Count a decision by the rule that settled it: the reason's first words, never a customer's data."""
        rule = answer.reason.partition(":")[0][:60]
        with self._lock:
            self._decisions["none" if answer.offer_id == "none" else "offer", rule] += 1

    def count_redemption(self, step: str, result: str) -> None:
        """Count a step of a redemption by its result: ok, or the code of the refusal."""
        with self._lock:
            self._redemptions[step, result] += 1

    def count_message(self, channel: str, result: str) -> None:
        """Count a message that is no longer tried."""
        self.messages.labels(channel, result).inc()

    def count_response(self, route: str, status: int, seconds: float) -> None:
        """Count a response and its duration."""
        with self._lock:
            self._answers[route, status] += 1
            times = self._times[route]
            times[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
            times[-1] += seconds

    def latency_buckets(self, route: str, part: float) -> float | None:
        """Seconds within which this part of a route's answers came since the start, by bucket; None before any came."""
        with self._lock:
            times = list(self._times[route][:-1]) if route in self._times else [0.0]
        sums = list(accumulate(times))
        place = bisect_left(sums, part * sums[-1])
        return None if not sums[-1] else LATENCY_BUCKETS_S[place] if place < len(LATENCY_BUCKETS_S) else math.inf

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads of the plain numbers."""
        requests = CounterMetricFamily("promolift_requests", "Requests", labels=["route", "status"])
        decisions = CounterMetricFamily(
            "promolift_decisions", "Decisions by outcome and rule", labels=["outcome", "rule"]
        )
        redemptions = CounterMetricFamily("promolift_redemptions", "Redemption calls", labels=["step", "result"])
        seconds = HistogramMetricFamily("promolift_request_seconds", "Time to answer", labels=["route"])
        with self._lock:
            for (route, status), number in self._answers.items():
                requests.add_metric([route, str(status)], number)
            for family, counted in ((decisions, self._decisions), (redemptions, self._redemptions)):
                for labels, number in counted.items():
                    family.add_metric([*labels], number)
            for route, times in self._times.items():
                bounds = [*map(str, map(float, LATENCY_BUCKETS_S)), "+Inf"]
                seconds.add_metric([route], list(zip(bounds, accumulate(times[:-1]), strict=True)), times[-1])
        yield from (requests, decisions, redemptions, seconds)

    def count_events(self, new: int, duplicates: int, rejected: int) -> None:
        """Count accepted, duplicate and rejected events."""
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
        extra = {name: value for name, value in vars(record).items() if name not in LOG_RECORD_FIELDS}
        line: dict[str, object] = {"ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")}
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
        """File and line of each frame: what a traceback says without the values it may hold."""
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


def _names_someone(scope: Any) -> bool:
    return str(scope.get("path", "")).startswith("/v1/privacy/")


def tracing_options() -> dict[str, Any]:
    """Return the options of FastAPI's OpenTelemetry tracing if OTEL_* asks for it and its packages are installed."""
    asked = sorted(name for name in os.environ if name.startswith("OTEL_"))
    if not asked or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return {}
    try:
        there = find_spec("opentelemetry.sdk") and find_spec("fastapi.telemetry")
    except ModuleNotFoundError:
        there = None
    if there:
        # no log records: they would hold an exception's words; no path that names a customer
        return {"telemetry": {"auto_configure": True, "logs": False, "exclude": _names_someone}}
    text = "OTEL_* is set, but opentelemetry-sdk (or a FastAPI that speaks it) is missing: nothing is traced"
    logging.getLogger("promolift.server").warning(text, extra={"variables": asked})
    return {}
