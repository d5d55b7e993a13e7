"""What a worker does: a task and a shard in, what the task finds for it out."""

from collections.abc import Callable
from typing import Any

_last: dict[str, Callable[[int], Any]] = {}  # by its token: what a task worked out for all shards is kept with it


def work(token: str, task: Callable[[], Callable[[int], Any]], shard: int) -> Any:
    """`task` is read once for all the shards that one worker is given of it."""
    if token not in _last:
        _last.clear()
        _last[token] = task()
    return _last[token](shard)
