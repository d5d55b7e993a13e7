"""The evidence level of a number, its value and its interval."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Level = Literal["randomised", "adjusted", "assumed"]


@dataclass(frozen=True)
class Ranged:
    """A figure with the ends of its interval, where those are known."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval and what it is of."""

    value: float
    low: float
    high: float
    n: int


Z95 = 1.959963984540054  # standard errors that every 95 % interval reaches to each side


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float
