"""Run slow calls in a few threads of their own, and refuse more of them than a short queue holds.

Exports, erasures and webhooks of a server wait for a disk, a process or another server. In the threads of all routes,
50 of them would keep every other request from being answered.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from promolift.foundation.errors import PromoError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Result = TypeVar("Result")
RETRY_S = 5  # when a refused call may come again


class PoolFullError(PromoError):
    """All places of a pool are taken; nothing was done."""


class BoundedPool:
    """`threads` calls run at a time and `waiting` more wait; the next is refused."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        """Threads start with the first calls."""
        self.places = threads + waiting
        self._threads = ThreadPoolExecutor(threads, name)
        self._taken, self._lock = 0, threading.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns in a thread that has this context's variables. PoolFullError if none is free."""
        with self._lock:
            if self._taken >= self.places:
                raise PoolFullError(
                    "server_busy",
                    gettext_lazy("{places} slow requests run or wait already; try again later", places=self.places),
                )
            self._taken += 1
        try:
            future = self._threads.submit(contextvars.copy_context().run, work)
        except BaseException:
            self._leave()
            raise
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: "Future[Result] | None" = None) -> None:
        with self._lock:
            self._taken -= 1

    def close(self) -> None:
        """Refuse what waits and let end what runs."""
        self._threads.shutdown(cancel_futures=True)
