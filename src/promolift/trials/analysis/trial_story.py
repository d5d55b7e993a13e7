"""Hold the results of a trial for its page, with helpers that format amounts and sentences."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import (
    money,
    number,
    percent,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.money import currency_digits
from promolift.foundation.pages.blocks import (
    Badge,
)
from promolift.foundation.pages.charts import (
    Axis,
)
from promolift.trials.analysis.results import (
    TrialEvaluation,
    TrialFit,
    TrialResults,
)
from promolift.trials.analysis.settings import TrialSettings

ALIKE = gettext_noop("nothing was known of these customers, so all would be treated alike")
UNKNOWN = gettext_noop("nothing was known of these customers before the trial")
UNJUDGED = gettext_noop("`promolift effect evaluate` has not run")
UNPLANNED = gettext_noop("`promolift effect report` has not planned yet")


@dataclass(frozen=True)
class TrialStory:
    """The data of the page, with helpers that format amounts."""

    results: TrialResults

    @property
    def fit(self) -> TrialFit:
        return self.results.fitted.note

    @property
    def settings(self) -> TrialSettings:
        return self.fit.settings

    @property
    def evaluation(self) -> TrialEvaluation | None:
        return self.results.evaluation

    def effects(self, outcome: str) -> list[dict[str, Any]]:
        """Return what each arm adds to an outcome, largest first: rows of `TrialEffects.effects`."""
        mine = self.results.fitted.effects.filter(pl.col("outcome") == outcome)
        return mine.sort("effect", descending=True).to_dicts()

    @property
    def level(self) -> Badge:
        """The evidence badge of every number that is an effect."""
        return self.fit.level

    @property
    def arms(self) -> tuple[str, ...]:
        return self.fit.arms

    def cents(self, amount: float) -> float:
        """Return an amount of the file in minor units."""
        return float(amount * 10 ** currency_digits(self.settings.currency))

    def cash(self, amount: object) -> str:
        """Format an amount of the file."""
        return money(self.cents(float(amount)), self.settings.currency) if isinstance(amount, int | float) else "?"

    def amount(self, outcome: str, value: object) -> str:
        """Format an outcome's value: a share, money, or a number."""
        if outcome in self.settings.rates:
            return percent(value, 2)
        return self.cash(value) if outcome == self.settings.money else number(value)

    def added(self, outcome: str, value: object) -> str:
        """Format a difference of an outcome; rates differ by points."""
        if outcome in self.settings.rates and isinstance(value, int | float):
            return gettext("{value} points", value=f"{100 * value:.2f}")
        return self.amount(outcome, value)

    def total(self, outcome: str, value: object) -> str:
        """Format what all customers add together: money, or a number of visits, purchases or the like."""
        return self.cash(value) if outcome == self.settings.money else number(value)

    def basis(self, outcome: str) -> str:
        return render_message(self.settings.basis(outcome, self.cash))

    def basis_sentence(self, outcome: str) -> str:
        """Return `basis` as a sentence of its own."""
        return as_sentence(self.settings.basis(outcome, self.cash))

    def outcome_label(self, outcome: str) -> str:
        """Return the name of the outcome in the form in which gains and policies count it."""
        return outcome if self.settings.gross(outcome) else gettext("{outcome}, net", outcome=outcome)

    def axis(self, name: str, outcome: str) -> Axis:
        """Return the axis of an outcome; money is drawn in minor units."""
        fmt = "share" if outcome in self.settings.rates else "money" if outcome == self.settings.money else "fixed"
        return Axis(name, fmt, partial(self.chart_value, outcome))

    def chart_value(self, outcome: str, value: float | None) -> float | None:
        """Return the value in the unit of the chart: money in minor units."""
        return self.cents(value) if value is not None and outcome == self.settings.money else value


def why_unjudged(trial: TrialStory) -> str:
    """Why nothing was judged."""
    return gettext(UNJUDGED if trial.fit.apart else UNKNOWN)


def as_sentence(text: str) -> str:
    """Return a message of a note as a sentence of its own, in the language that is in use."""
    return upper_first(render_message(text)) + gettext(".")
