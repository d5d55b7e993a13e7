"""Define the evidence level of a number, and a number with its interval."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

Level = Literal["randomised", "adjusted", "assumed"]


@dataclass(frozen=True)
class IntervalEstimate:
    """An estimate and the ends of its interval, None where they are not known."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SampleEstimate:
    """An estimate with its 95 % interval and the sample size `n`."""

    value: float
    low: float
    high: float
    n: int


Z95 = 1.959963984540054  # standard errors that every 95 % interval reaches to each side


class Interval(NamedTuple):
    """An interval from `low` to `high`."""

    low: float
    high: float
