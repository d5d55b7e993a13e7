"""What every step works with: settings, store, a way to tell how far it is, and the moments all steps agree on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from promolift.config import Config
from promolift.errors import SupportError
from promolift.progress import Tell
from promolift.results.shop import Span
from promolift.results.tables import Clean, Effects, Profiled
from promolift.sql import WEEK_MS
from promolift.store import Store

CHECK_DAYS = 77  # predictions are checked on the last 11 weeks: long enough for 8 weeks of spend and a few campaigns


@dataclass(frozen=True)
class StepSummary:
    """What a verb did: `figures` for `--json`, and `text` that says the same to a person."""

    text: str
    figures: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(self.figures, ensure_ascii=False, indent=1)

    def adding(self, line: str, **figures: object) -> "StepSummary":
        return StepSummary("\n".join(filter(None, (self.text, line))), {**self.figures, **figures})


@dataclass(frozen=True)
class Job:
    """A run over one work folder. `out` is where the plan and the report go, None if nothing is written there."""

    config: Config
    store: Store
    tell: Tell
    out: Path | None = None

    @property
    def clean(self) -> Clean:
        return Clean(self.store)

    @property
    def profiled(self) -> Profiled:
        return Profiled(self.store)

    @property
    def effects(self) -> Effects:
        return Effects(self.store)


@dataclass(frozen=True)
class Moments:
    """Three instants in ms UTC: all before `asof` is known to the plan, all before `check` to the models that are
    checked, and all before `response` (the start of the response panel) to the price sensitivities used in it.

    `weeks` is the length of the panel.
    """

    asof: int
    check: int
    response: int
    weeks: int


def midnight_ms(day: date, zone: str) -> int:
    """The first instant of a local day."""
    return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def local_day(ts_ms: int, zone: str) -> date:
    """The local day an instant lies in."""
    return datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone)).date()


def moments(job: Job) -> Moments:
    """The moments of this job; SupportError if there is no event at all."""
    zone, span = job.config.shop.zone, Span.load(job.store)
    if span.last_ms is None or span.first_ms is None:
        raise SupportError("no events were accepted, so there is nothing to plan from; see `promolift health`")
    if job.config.plan.asof:
        day = date.fromisoformat(job.config.plan.asof)
    else:
        day = local_day(span.last_ms, zone) + timedelta(days=1)
    history_weeks = max(0, (midnight_ms(day, zone) - span.first_ms) // WEEK_MS)
    weeks = max(8, min(job.config.panel.weeks, int(history_weeks) // 2))
    return Moments(
        asof=midnight_ms(day, zone),
        check=midnight_ms(day - timedelta(days=CHECK_DAYS), zone),
        response=midnight_ms(day, zone) - weeks * WEEK_MS,
        weeks=weeks,
    )
