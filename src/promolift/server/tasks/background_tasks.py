"""Run periodic tasks beside the requests, and report the tasks that fail or hang.

A failed task is logged, counted and started again after a pause that doubles. Other tasks are not affected.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

LOG = logging.getLogger("promolift.server")
LONGEST_PAUSE_S = 60.0
FAILURES_UNTIL_DEAD = 3  # failures in a row: one may be a database that another process holds
STUCK_S = 120.0  # a round that takes longer will not end


@dataclass(eq=False)
class BackgroundTask:
    """Work that is repeated every `every_s` seconds.

    `failed` counts all failed rounds, `consecutive_failures` those since the last successful round.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]
    failed: int = 0
    consecutive_failures: int = 0
    began_s: float | None = None  # when the present round began

    @property
    def dead(self) -> bool:
        """Whether it does not do its work at present."""
        stuck = self.began_s is not None and monotonic() - self.began_s > STUCK_S
        return stuck or self.consecutive_failures >= FAILURES_UNTIL_DEAD

    async def run_forever(self) -> None:
        """Until it is cancelled."""
        while True:
            self.began_s = monotonic()
            try:
                await self.work()
                self.consecutive_failures = 0
            except Exception as error:
                self.failed, self.consecutive_failures = self.failed + 1, self.consecutive_failures + 1
                LOG.error(
                    "duty failed", exc_info=error, extra={"duty": self.name, "in_a_row": self.consecutive_failures}
                )
            self.began_s = None
            await asyncio.sleep(
                min(self.every_s * 2.0 ** min(self.consecutive_failures, 10), max(LONGEST_PAUSE_S, self.every_s))
            )


class BackgroundTasks:
    """All background tasks of a server; each runs as an asyncio task of its own."""

    def __init__(self, duties: Iterable[BackgroundTask]) -> None:
        """Nothing runs yet."""
        self.all = tuple(duties)
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, duty: BackgroundTask) -> None:
        """Add a task before they begin."""
        self.all = (*self.all, duty)

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._tasks = [asyncio.create_task(duty.run_forever(), name=duty.name) for duty in self.all]

    async def stop(self) -> None:
        """End them, in the middle of a round if need be."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    @property
    def dead(self) -> list[str]:
        """Names of those that do not do their work at present."""
        ended = {task.get_name() for task in self._tasks if task.done()}
        return [duty.name for duty in self.all if duty.dead or duty.name in ended]
