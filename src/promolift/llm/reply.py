"""What every model is asked and answers: the seam."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from promolift.errors import InputError
from promolift.hashing import hash_id


class Prompt(Protocol):
    """One question: two texts, a seed, and the form the answer must have, as a JSON schema and as a grammar (GBNF)."""

    @property
    def system(self) -> str:
        """Who the model is and what it must not do."""

    @property
    def user(self) -> str:
        """What is wanted now."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON schema of the answer."""

    @property
    def grammar(self) -> str:
        """The same as a grammar, and stricter; empty for none."""

    @property
    def seed(self) -> int:
        """Makes the answer repeatable where the model can."""


@dataclass(frozen=True)
class Reply:
    """One answer. `fault` is None or why there is no usable text; `cost_cents` is what it cost, faulty or not."""

    text: str
    model: str
    fault: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cost_cents: float = 0.0
    attempts: int = 1


class Writer(Protocol):
    """Anything that answers asks."""

    def __call__(self, asks: Sequence[Prompt]) -> Sequence[Reply]:
        """One reply per ask, in order."""


def ask_id(ask: Prompt) -> str:
    """The key of an ask: the same texts, grammar and seed have the same one."""
    return hash_id("ask", ask.system, ask.user, ask.grammar, ask.seed)


class Recorder:
    """A writer that keeps every reply of another one, by the key of its ask."""

    def __init__(self, writer: Writer) -> None:
        """Wrap `writer`."""
        self.writer = writer
        self.replies: dict[str, Reply] = {}

    def __call__(self, asks: Sequence[Prompt]) -> Sequence[Reply]:
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

    def __call__(self, asks: Sequence[Prompt]) -> list[Reply]:
        """The recorded replies, which cost nothing again."""
        nothing = Reply("", "replay", "no such ask was recorded")
        return [self.replies.get(ask_id(ask), nothing) for ask in asks]
