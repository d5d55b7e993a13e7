"""What is known of a trial in; how its amounts, outcomes and policies are said on its page, out."""

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from promolift.currency import currency_digits
from promolift.pages.blocks import Badge
from promolift.results.trial import TrialFit, TrialJudgement, TrialResults, TrialSettings
from promolift.words import money, number, share, upper_first


class ArmEffect(NamedTuple):
    """What an arm adds to an outcome, per customer; `net` once it is paid for, None where that cannot be told."""

    outcome: str
    arm: str
    control_mean: float
    effect: float
    low: float
    high: float
    net: float | None
    net_low: float | None
    net_high: float | None
    p_holm: float | None


@dataclass(frozen=True)
class TrialStory:
    """All that the page tells, with helpers that say amounts."""

    results: TrialResults

    @property
    def fit(self) -> TrialFit:
        """Who got what, and what may be claimed."""
        return self.results.fitted.note

    @property
    def settings(self) -> TrialSettings:
        """What the columns mean."""
        return self.fit.settings

    @property
    def judged(self) -> TrialJudgement | None:
        """What was found on customers unseen."""
        return self.results.judged

    def effects(self, outcome: str) -> list[ArmEffect]:
        """What each arm adds to an outcome, the most first."""
        mine = self.results.fitted.effects.filter(pl.col("outcome") == outcome).sort("effect", descending=True)
        return [ArmEffect(*row) for row in mine.select(ArmEffect._fields).iter_rows()]

    @property
    def level(self) -> Badge:
        """Badge of every number that is an effect."""
        return self.fit.level

    @property
    def arms(self) -> tuple[str, ...]:
        """Names, control first."""
        return self.fit.arms

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

    def total(self, outcome: str, value: object) -> str:
        """What all customers add together, in words: money, or a number of visits, purchases or the like."""
        return self.cash(value) if outcome == self.settings.money else number(value)

    def basis(self, outcome: str) -> str:
        """What is net in the outcome, and of what."""
        return self.settings.basis(outcome, self.cash)

    def basis_sentence(self, outcome: str) -> str:
        """`basis` as a sentence of its own."""
        return f"{upper_first(self.basis(outcome))}."

    def named(self, outcome: str) -> str:
        """The outcome as gains and policies are counted in it."""
        return outcome if self.settings.gross(outcome) else f"{outcome}, net"

    def fmt(self, outcome: str) -> str:
        """How charts print it."""
        return "share" if outcome in self.settings.rates else "money" if outcome == self.settings.money else "fixed"

    def drawn(self, outcome: str, value: float | None) -> float | None:
        """The value as charts take it: money in minor units."""
        return self.cents(value) if value is not None and outcome == self.settings.money else value
