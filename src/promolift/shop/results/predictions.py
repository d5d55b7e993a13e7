"""Stored quality of predictions: scores beside a simple baseline, and calibration."""

from collections.abc import Iterable
from typing import ClassVar, Self

from promolift.core.customers.forecasts.model_weights import ModelWeight
from promolift.core.experiments.prediction_metrics import CalibrationBin, Score
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.formatting import finite_or_none
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.settings import Settings
from promolift.foundation.storage.stored_model import Note

COUPONS = gettext_noop("redeeming a campaign's coupon")  # the model of who uses one
AVERAGE = gettext_noop("right on average")  # the rule that predicted / happened is measured by
MISS = 0.05  # a forecast that is off by less is good enough to plan with
PRINTED = {"auc": "AUC"}


class Scored(Settings):
    """A figure of a prediction over `n` cases that it had not seen, with its 95 % interval, beside a simple rule's.

    `better` says which direction is good: higher, lower, or nothing where neither is.
    """

    model: LazyMessage
    figure: LazyMessage | None
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    baseline: LazyMessage | None
    baseline_value: float | None
    better: str | None

    @classmethod
    def of(cls, model: str, got: Score, baseline: str, baseline_value: float, better: str) -> Self:
        value, low, high, beside = map(finite_or_none, (got.value, got.low, got.high, baseline_value))
        return cls(
            model=model, figure=PRINTED.get(got.figure, got.figure), value=value, low=low, high=high, n=got.n,
            baseline=baseline, baseline_value=beside, better=better,
        )  # fmt: skip

    @property
    def in_the_large(self) -> bool:
        """Whether the figure is what was predicted, over what happened."""
        return self.baseline == AVERAGE

    @property
    def missed(self) -> bool:
        """Whether what was predicted is off by more than MISS, and by more than chance."""
        if not self.in_the_large or self.value is None or abs(self.value - 1) <= MISS:
            return False
        return self.low is None or self.high is None or not self.low <= 1 <= self.high


class ReliabilityBin(Settings):
    """Cases of similar prediction: the mean probability, the rate `observed`, and its 95 % interval."""

    predicted: float
    observed: float
    low: float | None
    high: float | None
    n: int


class Reliability(Settings):
    """Whether what a model predicts comes true, in bins of the prediction, the lowest first."""

    model: LazyMessage
    bins: tuple[ReliabilityBin, ...]

    @classmethod
    def of(cls, model: str, bins: Iterable[CalibrationBin]) -> Self:
        rows = (ReliabilityBin(predicted=b.prob, observed=b.rate, low=b.low, high=b.high, n=b.n) for b in bins)
        return cls(model=model, bins=tuple(rows))

    @property
    def cases(self) -> int:
        return sum(each.n for each in self.bins)

    @property
    def predicted_share(self) -> float | None:
        return sum(each.predicted * each.n for each in self.bins) / self.cases if self.cases else None

    @property
    def observed_share(self) -> float | None:
        return sum(each.observed * each.n for each in self.bins) / self.cases if self.cases else None

    @property
    def judged(self) -> int:
        return sum(each.low is not None and each.high is not None for each in self.bins)

    @property
    def inside(self) -> int:
        """Bins in whose interval the prediction lies."""
        return sum(
            each.low is not None and each.high is not None and each.low <= each.predicted <= each.high
            for each in self.bins
        )


class Predictions(Note):
    """How good the predictions are: figures and calibration."""

    NAME: ClassVar[str] = "predictions"
    scores: tuple[Scored, ...] = ()
    reliability: tuple[Reliability, ...] = ()

    @property
    def missed(self) -> tuple[Scored, ...]:
        """The forecasts that were off in the weeks held back."""
        return tuple(each for each in self.scores if each.missed)

    @classmethod
    def together(cls, parts: Iterable["Predictions"]) -> Self:
        found = list(parts)
        return cls(
            scores=tuple(each for part in found for each in part.scores),
            reliability=tuple(each for part in found for each in part.reliability),
        )


class PurchaseMembers(Note):
    """Which members forecast purchases, and why: as of the plan's moment, and of the moment that is checked."""

    NAME: ClassVar[str] = "purchase_members"
    at_check: ModelWeight
    at_plan: ModelWeight


class UncheckedPredictions(Note):
    """Why a prediction, or the comparison of policies, could not be checked, by its name."""

    NAME: ClassVar[str] = "unchecked"
    reasons: dict[str, LazyMessage]
