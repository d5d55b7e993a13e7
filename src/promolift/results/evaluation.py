"""What the evaluate step found, kept in a work folder: how good predictions were, and policies at equal spend."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import polars as pl

from promolift.results.shop import Unchecked
from promolift.settings import Settings
from promolift.store import Store


class Luck(Settings):
    """What the plan gains by the estimates that chose it, and by those of customers with no part in the choice.

    `low_cents` and `high_cents`: 95 % interval of the latter, over the draw of customers.
    """

    naive_cents: float
    checked_cents: float
    low_cents: float
    high_cents: float

    @property
    def share(self) -> float:
        """The part of the promise that was luck; 0 where nothing was lost."""
        return max(0.0, 1 - self.checked_cents / self.naive_cents) if self.naive_cents > 0 else 0.0


@dataclass(frozen=True)
class Evaluation:
    """`scores`, `calibration` and `recall` of the predictions, `policies` at equal spend (None where none could be
    compared), and why a check is missing. Tables are read when they are asked for."""

    store: Store
    unchecked: dict[str, str]

    @classmethod
    def load(cls, store: Store) -> Self:
        """The evaluation of this work folder. StepError, naming the verb, if there is none."""
        return cls(store, Unchecked.load(store).reasons)

    @cached_property
    def scores(self) -> pl.DataFrame | None:
        """Figures beside the simple rule they must beat; None without any."""
        return _rows(self.store, "scores")

    @cached_property
    def calibration(self) -> pl.DataFrame | None:
        """Predicted and observed, in bins; None without any."""
        return _rows(self.store, "calibration")

    @cached_property
    def recall(self) -> pl.DataFrame | None:
        """Recall at k; None without any."""
        return _rows(self.store, "recall")

    @cached_property
    def policies(self) -> pl.DataFrame | None:
        """`learn.compare`: each policy by each estimate; None where there is nothing to compare."""
        return self.store.frame("policies") if self.store.has("policies") else None

    @cached_property
    def luck(self) -> Luck | None:
        """What of the plan's promise was luck; None where there is but one estimate."""
        rows = self.policies
        if rows is None or "check" not in rows["valued_by"]:
            return None
        plan = rows.filter(pl.col("policy") == "plan")
        own, check = (plan.row(by_predicate=pl.col("valued_by") == by, named=True) for by in ("own", "check"))
        return Luck(
            naive_cents=own["expected_profit_cents"], checked_cents=check["expected_profit_cents"],
            low_cents=check["low"], high_cents=check["high"],
        )  # fmt: skip


def luck_of(store: Store) -> Luck | None:
    """What of the plan's promise was luck; None where that was not, or could not be, told."""
    return Evaluation.load(store).luck if Unchecked.has(store) else None


def _rows(store: Store, name: str) -> pl.DataFrame | None:
    frame = store.frame(name)
    return frame if frame.height else None
