"""Test two periods for drift in inputs, predictions and effects, and say what to do about it.

Three things drift apart: the customers (inputs), what the model says of them (predictions), and what an offer adds
(effects). Each finding needs both a test, so that it is no accident, and a size, so that it matters.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import ArrayLike, NDArray

from promolift.core.experiments.experiment_design import adjust_p_values
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import gettext_noop, pgettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy

Floats = NDArray[np.float64]
ACTIONS = {
    "inputs": gettext_noop("look at the source of this column; if the change is real, fit the models on recent weeks"),
    "predictions": gettext_noop("recalibrate on recent outcomes; if the ranking suffered too, fit again"),
    "effects": gettext_noop("trust recent periods only, explore more, and fit the effects again"),
}
pgettext_noop("drift", "inputs"), pgettext_noop("drift", "predictions"), pgettext_noop("drift", "effects")
NO_ACTION = gettext_noop("nothing to do")


ALPHA, MIN_CUSTOMERS = 0.01, 200  # level of every test; customers in each period below which nothing is said
MAX_PSI, MAX_RATIO, MAX_INCONSISTENCY = (
    0.2,
    0.1,
    0.5,
)  # sizes that matter; a PSI of 0.2 is the usual mark of a large shift
BINS = 10


@dataclass(frozen=True)
class Drift:
    """One thing looked at. `drifted` is missing where the data cannot tell; `rule` is test and threshold in words."""

    kind: str
    what: LazyMessage
    size: float | None
    p: float | None
    p_adjusted: float | None
    drifted: bool | None
    rule: str
    action: str

    def __str__(self) -> str:
        answer = {True: "has drifted", False: "no drift shown", None: "cannot say"}[self.drifted]
        return f"{self.kind}, {self.what}: {answer}. Rule: {self.rule}. Action: {self.action}."


def input_drift(before: pl.DataFrame, now: pl.DataFrame) -> list[Drift]:
    """One finding per column of `before`, one row per customer.

    Numbers fall into the quantile bins of `before`, text into its most common values and one bin for the rest; missing
    is a bin, and so are values not seen before. Size: population stability index. Test: chi-square of homogeneity on
    the same counts, Holm over columns.
    """
    if missing := [name for name in before.columns if name not in now.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "drift: columns {missing} are missing now; a column that is gone is the largest drift", missing=missing
            ),
        )
    rule = f"PSI of at least {MAX_PSI:g} and chi-square on the same bins, Holm over {before.width} columns, "
    rule += f"p below {ALPHA:g}"
    if min(before.height, now.height) < MIN_CUSTOMERS:
        why = f"{before.height} and {now.height} rows, {MIN_CUSTOMERS} are needed"
        return [
            Drift("inputs", LazyMessage.of(name, {}), None, None, None, None, f"{rule}; {why}", NO_ACTION)
            for name in before.columns
        ]
    found = []
    for name in before.columns:
        count_2B = bin_counts(before[name], now[name])
        p = float(scipy.stats.chi2_contingency(count_2B, correction=False).pvalue) if count_2B.shape[1] > 1 else 1.0
        found.append(Drift("inputs", LazyMessage.of(name, {}), psi(count_2B), p, None, None, rule, NO_ACTION))
    return _settle(found, MAX_PSI)


class PredictionPeriod(NamedTuple):
    """What was predicted and what came, a row per customer."""

    predicted_N: ArrayLike
    observed_N: ArrayLike


def prediction_drift(before: PredictionPeriod, now: PredictionPeriod) -> Drift:
    """Whether predictions have become too high or too low.

    Size: |log| of how far mean predicted / mean observed has moved, as a factor. Test: z on the difference of the two
    logarithms, each with its delta-method variance, predicted and observed being paired by row.
    """
    rule = f"predicted / observed moved by a factor of at least {1 + MAX_RATIO:g} and z test, p below {ALPHA:g}"
    then, later = _log_ratio(before), _log_ratio(now)
    if then is None or later is None:
        why = f"each period needs {MIN_CUSTOMERS} rows and means above 0"
        return Drift("predictions", gettext_lazy("calibration"), None, None, None, None, f"{rule}; {why}", NO_ACTION)
    moved = later.value - then.value
    p = float(2 * scipy.stats.norm.sf(abs(moved) / np.sqrt(then.variance + later.variance)))
    what = gettext_lazy(
        "predicted / observed {before} before, {now} now",
        before=f"{np.exp(then.value):.2f}",
        now=f"{np.exp(later.value):.2f}",
    )
    draft = Drift("predictions", what, float(np.exp(abs(moved))), p, None, None, rule, NO_ACTION)
    return _settle([draft], 1 + MAX_RATIO)[0]


def effect_drift(lifts: Sequence[float], standard_errors: Sequence[float]) -> Drift:
    """Whether an effect has changed between periods of different customers or at least different weeks.

    Test: Cochran's Q (1954, Biometrics 10) against chi-square with periods - 1 degrees of freedom. Size: I^2, the share
    of the variation between periods that is not noise (Higgins, Thompson 2002, Statistics in Medicine 21).
    """
    value, se = np.asarray(lifts, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    if value.shape != se.shape or not (np.isfinite(value).all() and np.isfinite(se).all() and (se > 0).all()):
        raise InputError(
            "shapes_differ" if value.shape != se.shape else "value_invalid",
            gettext_lazy("effect drift: every period needs a finite lift and a standard error above 0"),
        )
    rule = f"I^2 of at least {MAX_INCONSISTENCY:.0%} and Cochran's Q over {value.size} periods, p below {ALPHA:g}"
    if value.size < 2:
        return Drift(
            "effects", gettext_lazy("lift"), None, None, None, None, f"{rule}; two periods are needed", NO_ACTION
        )
    weight = 1 / se**2
    q = float((weight * (value - np.average(value, weights=weight)) ** 2).sum())
    p = float(scipy.stats.chi2.sf(q, value.size - 1))
    size = max(0.0, 1 - (value.size - 1) / q) if q > 0 else 0.0
    lifts_by_period = ", ".join(f"{v:.4g} +/- {s:.2g}" for v, s in zip(value, se, strict=True))
    what = gettext_lazy("lift by period {lifts}", lifts=lifts_by_period)
    return _settle([Drift("effects", what, size, p, None, None, rule, NO_ACTION)], MAX_INCONSISTENCY)[0]


def bin_counts(before: pl.Series, now: pl.Series, bins: int = BINS) -> NDArray[np.int64]:
    """Counts by period and bin; bins empty in both periods are left out."""
    if before.dtype.is_numeric():
        known = before.drop_nulls().cast(pl.Float64).drop_nans()
        cuts = np.unique(np.quantile(known.to_numpy(), np.arange(1, bins) / bins)) if len(known) else np.empty(0)
        labels = [np.where(np.isnan(x), -1, np.searchsorted(cuts, x, "right")) for x in map(_filled, (before, now))]
    else:
        common = Counter(before.drop_nulls().cast(pl.String).to_list())
        ranked = sorted(common, key=lambda value: (-common[value], value))
        values = {value: min(at, bins - 1) for at, value in enumerate(ranked)}  # the rare ones share the last bin
        labels = [
            np.array([-1 if each is None else values.get(each, bins) for each in side.cast(pl.String)])
            for side in (before, now)
        ]
    size = max(int(label.max()) for label in labels) + 2
    count_2B = np.stack([np.bincount(label + 1, minlength=size) for label in labels]).astype(np.int64)
    kept: NDArray[np.int64] = count_2B[:, count_2B.sum(axis=0) > 0]
    return kept


def psi(count_2B: NDArray[np.int64]) -> float:
    """Population stability index of two rows of counts; half a customer is added to each bin, so that none is empty."""
    share = (count_2B + 0.5) / (count_2B + 0.5).sum(axis=1, keepdims=True)
    return float(((share[1] - share[0]) * np.log(share[1] / share[0])).sum())


def _filled(side: pl.Series) -> Floats:
    filled: Floats = side.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return filled


class _LogRatio(NamedTuple):
    """Logarithm of mean predicted / mean observed, and its variance."""

    value: float
    variance: float


def _log_ratio(period: PredictionPeriod) -> _LogRatio | None:
    predicted, observed = (np.asarray(each, dtype=np.float64) for each in period)
    if predicted.shape != observed.shape or not (np.isfinite(predicted).all() and np.isfinite(observed).all()):
        raise InputError(
            "shapes_differ" if predicted.shape != observed.shape else "value_invalid",
            gettext_lazy("prediction drift: predicted and observed need equal lengths and finite values"),
        )
    if predicted.size < MIN_CUSTOMERS or predicted.mean() <= 0 or observed.mean() <= 0:
        return None
    part = predicted / predicted.mean() - observed / observed.mean()
    return _LogRatio(float(np.log(predicted.mean() / observed.mean())), float(part.var(ddof=1) / part.size))


def _settle(found: list[Drift], least_size: float) -> list[Drift]:
    """The findings with p-values adjusted together, and their answers and actions."""
    adjusted = adjust_p_values([each.p for each in found if each.p is not None], "holm")
    settled = []
    for each, p in zip(found, adjusted, strict=True):
        drifted = p < ALPHA and each.size is not None and each.size >= least_size
        action = ACTIONS[each.kind] if drifted else NO_ACTION
        settled.append(replace(each, p_adjusted=p, drifted=drifted, action=action))
    return settled
