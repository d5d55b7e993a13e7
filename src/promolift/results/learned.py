"""What the outcomes of decisions taught in; its figures out, frozen, as the pages of learning and loop print them.

Money is in minor units of the currency, an interval is the 95 % one. Legend: N decisions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranged:
    """A figure with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Coverage:
    """How many of so many intervals hold what they were put beside."""

    inside: int
    intervals: int

    @classmethod
    def of(cls, held: Iterable[bool]) -> Self:
        """Counted: whether each of them does."""
        each = list(held)
        return cls(sum(each), len(each))


@dataclass(frozen=True)
class Look:
    """What had been added `days` after the decision, all customers of the policy together, with its interval."""

    days: float
    total: float
    low: float
    high: float


@dataclass(frozen=True)
class Quintile:
    """One quintile of the predicted gain: predicted and, against the holdout, realised gain of its `n`, for each."""

    predicted: float
    realised: float
    low: float
    high: float
    n: int

    @property
    def inside(self) -> bool:
        """Whether the interval of what was realised holds the prediction."""
        return self.low <= self.predicted <= self.high


@dataclass(frozen=True)
class WeightClass:
    """Decisions whose weight lies from `low` to `high` (None: or above), and their share of all."""

    low: float
    high: float | None
    n: int
    share: float

    def __str__(self) -> str:
        """The class in words."""
        return f"over {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Weights:
    """The weights 1 / logged chance of `rows` decisions; together they tell as much as `effective` even ones (Kish)."""

    rows: int
    effective: float
    largest: float
    classes: tuple[WeightClass, ...]

    @classmethod
    def of(cls, weight_N: Floats, edges: Sequence[float]) -> Self:
        """Counted from one of the ascending `edges` to the next, from the last one on. At least one decision."""
        rows = int(weight_N.size)
        counts = np.histogram(weight_N, [*edges, np.inf])[0].tolist()
        classes = tuple(
            WeightClass(low, None if high == np.inf else high, n, n / rows)
            for (low, high), n in zip(pairwise([*edges, np.inf]), counts, strict=True)
        )
        return cls(rows, float(weight_N.sum() ** 2 / (weight_N**2).sum()), float(weight_N.max()), classes)
