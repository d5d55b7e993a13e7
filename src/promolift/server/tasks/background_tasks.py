"""Work that goes on beside the requests in; each piece kept alive by itself, and how it fares, out.

One that fails is logged, counted and begun again after a pause that doubles; the others never notice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

LOG = logging.getLogger("promolift.server")
LONGEST_PAUSE_S = 60.0
DEAD_AFTER = 3  # failures in a row: one may be a database that another process holds
STUCK_S = 120.0  # a round that takes longer will not end


@dataclass(eq=False)
class Duty:
    """One piece of work, done again `every_s` seconds; `failed` counts rounds, `in_a_row` those since the last good."""

    name: str
    every_s: float
    work: Callable[[], Awaitable[object]]
    failed: int = 0
    in_a_row: int = 0
    began_s: float | None = None  # when the present round began

    @property
    def dead(self) -> bool:
        """Whether it does not do its work at present."""
        stuck = self.began_s is not None and monotonic() - self.began_s > STUCK_S
        return stuck or self.in_a_row >= DEAD_AFTER

    async def keep_on(self) -> None:
        """Until it is cancelled."""
        while True:
            self.began_s = monotonic()
            try:
                await self.work()
                self.in_a_row = 0
            except Exception as error:
                self.failed, self.in_a_row = self.failed + 1, self.in_a_row + 1
                LOG.error("duty failed", exc_info=error, extra={"duty": self.name, "in_a_row": self.in_a_row})
            self.began_s = None
            await asyncio.sleep(min(self.every_s * 2.0 ** min(self.in_a_row, 10), max(LONGEST_PAUSE_S, self.every_s)))


class Duties:
    """All duties of a server; each is a task of its own."""

    def __init__(self, duties: Iterable[Duty]) -> None:
        """Nothing runs yet."""
        self.all = tuple(duties)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._tasks = [asyncio.create_task(duty.keep_on(), name=duty.name) for duty in self.all]

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
