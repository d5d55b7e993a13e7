"""Units of time in milliseconds, and a server clock that never jumps and never goes back, in milliseconds UTC.

A wall clock can be set: by hand, by a virtual machine that resumes, by a faulty time server. The clock follows the wall
clock while both it and the steady clock advance alike, within `skew_ms`. Beyond that it continues from the moment at
which both last agreed, and sets `skewed` until the wall clock is back or the server restarts.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WEEK_MS = 7 * DAY_MS  # milliseconds
LOG = logging.getLogger("promolift.server")
# It counts on while a machine sleeps, where there is one that does: a laptop that wakes up is no fault of its clock.
STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC) if hasattr(time, "clock_gettime") else None


def wall_ms() -> int:
    """Return milliseconds UTC by the machine's clock."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Return milliseconds since an arbitrary start, by a clock that nobody can set."""
    return (time.monotonic_ns() if STEADY is None else time.clock_gettime_ns(STEADY)) // 1_000_000


def end_of_days_ms(starts_ms: int, days: int, zone: str) -> int:
    """Return the local midnight that ends the last of `days`, the day of `starts_ms` being the first.

    Days are those of the calendar: where clocks change, some have 23 or 25 hours.
    """
    first = datetime.fromtimestamp(starts_ms / 1000, ZoneInfo(zone)).date()
    end = first + timedelta(days=days)
    return round(datetime(end.year, end.month, end.day, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


class Clock:
    """The clock of one server; safe to use from any thread."""

    def __init__(
        self, skew_ms: int, wall: Callable[[], int] = wall_ms, steady: Callable[[], int] = steady_ms, last_ms: int = 0
    ) -> None:
        """`last_ms` is the latest recorded moment; the clock continues from it if it is ahead by at most `skew_ms`."""
        self.skew_ms, self._wall, self._steady = skew_ms, wall, steady
        self._lock = threading.Lock()
        self._ahead_ms = wall() - steady()  # how far the wall clock was ahead of the steady one when they last agreed
        self.skewed = False
        self.behind_ms = 0  # moments are so much earlier: a demo plays days that are over
        beyond = last_ms - wall()
        self._last_ms = last_ms if beyond <= skew_ms else 0
        if beyond > skew_ms:
            LOG.error(
                "the ledger knows later moments than the clock: it was wrong then or is now", extra={"ms": beyond}
            )

    def now_ms(self) -> int:
        """Return the current moment. Two calls may return the same."""
        with self._lock:
            return self._now()

    def next_ms(self) -> int:
        """Return the current moment, or one later than every moment returned before: ids are made from it."""
        with self._lock:
            self._last_ms = max(self._now(), self._last_ms + 1)
            return self._last_ms

    def _now(self) -> int:
        wall, steady = self._wall(), self._steady()
        skewed = abs(wall - steady - self._ahead_ms) > self.skew_ms
        if skewed != self.skewed:
            self.skewed = skewed
            off = {"ms": wall - steady - self._ahead_ms}
            LOG.error("the clock jumped" if skewed else "the clock is back", extra=off)
        if not skewed:
            self._ahead_ms = wall - steady
        return steady + self._ahead_ms - self.behind_ms
