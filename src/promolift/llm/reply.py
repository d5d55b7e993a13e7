"""What every model is asked and answers: the seam."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from promolift.hashing import hash_id


class Ask(Protocol):
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

    def __call__(self, asks: Sequence[Ask]) -> Sequence[Reply]:
        """One reply per ask, in order."""


def ask_id(ask: Ask) -> str:
    """The key of an ask: the same texts, grammar and seed have the same one."""
    return hash_id("ask", ask.system, ask.user, ask.grammar, ask.seed)
