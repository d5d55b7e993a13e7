"""What a trial's page tells, and how its amounts are said."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from promolift.currency import currency_digits
from promolift.report.blocks import Badge
from promolift.report.words import money, number, share
from promolift.steps.trial import TrialSettings


@dataclass(frozen=True)
class TrialStory:
    """All that the page tells, with helpers that say amounts."""

    settings: TrialSettings
    notes: dict[str, Any]
    effects: pl.DataFrame
    balance: pl.DataFrame
    placebos: pl.DataFrame
    judged: dict[str, pl.DataFrame]
    plan: dict[str, Any] | None
    frontier: pl.DataFrame | None
    dose: pl.DataFrame | None
    samples: tuple[str, ...] = ()  # where models of the judgement learned from a part of the customers, in words

    @property
    def level(self) -> Badge:
        """Badge of every number that is an effect."""
        return self.notes["level"]  # type: ignore[no-any-return]

    @property
    def arms(self) -> list[str]:
        """Names, control first."""
        return list(self.notes["arms"])

    def cents(self, amount: float) -> float:
        """Money of the file in minor units."""
        return float(amount * 10 ** currency_digits(self.settings.currency))

    def cash(self, amount: object) -> str:
        """Money of the file in words."""
        return money(self.cents(float(amount)), self.settings.currency) if isinstance(amount, int | float) else "?"

    def amount(self, outcome: str, value: object) -> str:
        """An outcome's value in words: a share, money, or a number."""
        if outcome in self.settings.rates:
            return share(value, 2)
        return self.cash(value) if outcome == self.settings.money else number(value)

    def added(self, outcome: str, value: object) -> str:
        """A difference of an outcome in words: rates differ by points."""
        if outcome in self.settings.rates and isinstance(value, int | float):
            return f"{100 * value:.2f} points"
        return self.amount(outcome, value)

    def fmt(self, outcome: str) -> str:
        """How charts print it."""
        return "share" if outcome in self.settings.rates else "money" if outcome == self.settings.money else "fixed"

    def drawn(self, outcome: str, value: float | None) -> float | None:
        """The value as charts take it: money in minor units."""
        return self.cents(value) if value is not None and outcome == self.settings.money else value
