"""Replies kept and given again: for tests, and for an auditor who wants the same words without the model."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from promolift.errors import InputError
from promolift.llm.reply import Ask, Reply, Writer, ask_id


class Recorder:
    """A writer that keeps every reply of another one, by the key of its ask."""

    def __init__(self, writer: Writer) -> None:
        """Wrap `writer`."""
        self.writer = writer
        self.replies: dict[str, Reply] = {}

    def __call__(self, asks: Sequence[Ask]) -> Sequence[Reply]:
        """The writer's own replies."""
        replies = self.writer(asks)
        self.replies |= {ask_id(ask): reply for ask, reply in zip(asks, replies, strict=True)}
        return replies

    def save(self, path: Path) -> None:
        """One JSON object per line: `ask`, and the fields of the reply."""
        lines = [json.dumps({"ask": key, **asdict(reply)}, ensure_ascii=False) for key, reply in self.replies.items()]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


class Replay:
    """A writer that answers from records; what was never asked is a faulty reply."""

    def __init__(self, path: Path) -> None:
        """Read what a Recorder saved; raise InputError naming the line that is none of it."""
        self.replies: dict[str, Reply] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise InputError(f"llm: no records at {path} ({error.strerror}); record a run first") from None
        for i, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                key = row.pop("ask")
                self.replies[key] = Reply(**row)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(f"{path}, line {i}: no record of a reply; record the run again") from None

    def __call__(self, asks: Sequence[Ask]) -> list[Reply]:
        """The recorded replies, which cost nothing again."""
        nothing = Reply("", "replay", "no such ask was recorded")
        return [self.replies.get(ask_id(ask), nothing) for ask in asks]
