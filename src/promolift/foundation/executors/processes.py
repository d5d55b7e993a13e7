"""Run tasks in several processes of this machine. A process that is killed is replaced, and its task is run again."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

from promolift.foundation.errors import StepError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.remote_storage import PARTS, brought

if TYPE_CHECKING:
    from promolift.foundation.storage.local_store import Store

Result = TypeVar("Result")
AHEAD = 2  # tasks of a worker that are done or waiting before their results are asked for
RETRIES = 3  # workers that may be lost in one round
_last: dict[str, Callable[[int], Any]] = {}  # by its token: what a task worked out for all shards stays with it


class LocalProcesses:
    """An executor of several processes of this machine, which see its folders.

    They are started by spawning: a program that uses them needs the usual `if __name__ == "__main__":`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        """Return the executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def map(
        self, task: Callable[[int], Result], shards: Sequence[int], store: "Store | None" = None
    ) -> Iterator[Result]:
        """See Executor. StepError where workers are killed again and again."""
        if store is not None and store.remote is not None:  # workers read the copy of this machine
            store.remote.apart = False
            for part in PARTS:
                brought(store.root / part)
        token, lost = uuid4().hex, 0
        waiting: dict[int, Future[Result]] = {}
        for place, shard in enumerate(shards):
            while True:
                try:
                    for ahead in range(place, min(place + AHEAD * self.workers, len(shards))):
                        if ahead not in waiting:
                            waiting[ahead] = self._started().submit(_work, token, task, shards[ahead])
                    found = waiting[place].result()
                    break
                except BrokenProcessPool:
                    lost, self._pool = lost + 1, None
                    if lost > RETRIES:
                        raise StepError(
                            "worker_lost",
                            gettext_lazy(
                                "engine: workers ended {lost} times before they answered, the last at shard {shard}; "
                                "killed, as when memory runs out (set a smaller engine.workers or data.memory, or "
                                "more data.shards), or begun by a program that lacks `if __name__ == '__main__':`; "
                                "run the same command again to go on",
                                lost=lost,
                                shard=shard,
                            ),
                        ) from None
                    waiting = {k: each for k, each in waiting.items() if each.done() and not each.exception()}
            del waiting[place]
            yield found

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), initializer=_begin)
        return self._pool


def _begin() -> None:
    """A worker leaves an interruption to the process that started it, and ends with that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _work(token: str, task: Callable[[int], Result], shard: int) -> Result:
    found: Result = work(token, lambda: task, shard)
    return found


def work(token: str, task: Callable[[], Callable[[int], Any]], shard: int) -> Any:
    """Do a shard of a task; `task` is read once for all the shards that one worker is given of it."""
    if token not in _last:
        _last.clear()
        _last[token] = task()
    return _last[token](shard)
