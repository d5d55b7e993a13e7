"""Metrics of predictions (AUC, log loss, calibration), each with a 95 % interval.

Legend: N rows. Data of one class only, or too few rows, cannot
grade a model: SupportError. Accuracy is not offered: with one buyer in ten, "nobody buys" is 90 % accurate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95, Interval
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """One figure with its 95 % interval; `rule` says how the interval was made."""

    figure: str
    value: float
    low: float
    high: float
    n: int
    rule: str


@dataclass(frozen=True)
class CalibrationBin:
    """One bar of a calibration plot: mean prediction against the observed rate and its 95 % interval."""

    prob: float
    rate: float
    low: float
    high: float
    n: int
    positives: int


@dataclass(frozen=True)
class Calibration:
    """`in_the_large` is mean prediction / observed rate (1 is right, 1.2 promises 20 % too much)."""

    bins: tuple[CalibrationBin, ...]
    in_the_large: Score


def wilson_interval(positives: float, n: float) -> Interval:
    """95 % score interval of a proportion (Wilson 1927); never empty, also at 0 of n and n of n."""
    rate, z2 = positives / n, Z95**2
    middle = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * np.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def auc(label_N: ArrayLike, score_N: ArrayLike, groups: Sequence[Any] | None = None) -> Score:
    """Area under the ROC curve; ties count one half.

    Variance from the structural components (DeLong, DeLong, Clarke-Pearson 1988, Biometrics 44), interval on the
    logit scale so that it stays inside (0, 1). With `groups` (the customer of each row) the components are summed
    within a customer, since several rows of one customer are not independent (Obuchowski 1997, Biometrics 53).
    At exactly 0 or 1 the variance is 0 and says nothing: then Wilson's interval for the smaller class.
    """
    y, score = _labelled("auc", label_N, score_N, 2)
    n1, n0 = int(y.sum()), int((~y).sum())
    rank = scipy.stats.rankdata(score)
    part = np.empty(y.size)
    part[y] = (rank[y] - scipy.stats.rankdata(score[y])) / n0
    part[~y] = 1 - (rank[~y] - scipy.stats.rankdata(score[~y])) / n1
    value = float(part[y].mean())
    if value in (0.0, 1.0):
        low, high = wilson_interval(value * min(n1, n0), min(n1, n0))
        return Score("auc", value, low, high, y.size, "Wilson on the smaller class")
    size = np.where(y, n1, n0)
    influence = (part - value) / (np.sqrt(size * (size - 1)) if groups is None else size)
    se = np.sqrt(np.sum(_by_group(influence, groups) ** 2))
    low, high = _logit_interval(value, float(se) / (value * (1 - value)))
    return Score("auc", value, low, high, y.size, "DeLong, logit" + ("" if groups is None else ", by customer"))


def log_loss(label_N: ArrayLike, prob_N: ArrayLike, groups: Sequence[Any] | None = None) -> Score:
    """Mean negative log likelihood in nats. Probabilities of 0 and 1 are moved inside by 2.2e-16, as is usual."""
    y, prob = _probable(gettext_noop("log loss"), label_N, prob_N)
    eps = np.finfo(np.float64).eps
    prob = np.clip(prob, eps, 1 - eps)
    return _mean(gettext_noop("log loss"), -np.where(y, np.log(prob), np.log1p(-prob)), groups)


def calibration(
    label_N: ArrayLike, prob_N: ArrayLike, bins: int = 10, groups: Sequence[Any] | None = None
) -> Calibration:
    """At most `bins` bins of nearly equal count, and the calibration in the large.

    Rows of equal prediction stay in one bin, so that row order changes nothing; a constant prediction gives one bin.
    The ratio's interval is the delta method on its logarithm, predictions and outcomes being paired by row. A bin's is
    Wilson's; with `groups` (the customer of each row) at the size that as many independent rows would have, since who
    stays away for a month stays away from all that they buy (Dean & Pavlou 2015, at least the rows' own error).
    """
    y, prob = _probable("calibration", label_N, prob_N)
    if bins < 1:
        raise InputError("value_invalid", gettext_lazy("calibration: bins = {bins}, needs at least 1", bins=bins))
    order = np.argsort(prob, kind="stable")
    ranked, hit = prob[order], y[order]
    cut = [
        int(np.searchsorted(ranked, ranked[round(y.size * b / bins)], "left")) for b in range(1, bins) if y.size > bins
    ]
    edges = sorted({0, y.size, *cut})
    group = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1][order]
    rows = tuple(_bin(ranked[a:b], hit[a:b], None if group is None else group[a:b]) for a, b in pairwise(edges))
    if prob.mean() == 0:
        raise SupportError(
            "ratio_undefined",
            gettext_lazy("calibration: every prediction is 0 though some rows are positive; no ratio exists"),
        )
    ratio = float(prob.mean() / y.mean())
    width = Z95 * _se(prob / prob.mean() - y / y.mean(), groups)
    rule = "delta method on the logarithm"
    return Calibration(
        rows, Score("prediction / observed", ratio, ratio * np.exp(-width), ratio * np.exp(width), y.size, rule)
    )


def _mean(figure: str, value_N: Floats, groups: Sequence[Any] | None) -> Score:
    if value_N.size < 2:
        raise SupportError(
            "too_few_rows",
            gettext_lazy("{figure}: {size} rows; an interval needs at least 2", figure=figure, size=value_N.size),
        )
    se = _se(value_N, groups)
    half = float(scipy.stats.t.ppf(0.975, (value_N.size if groups is None else len(set(groups))) - 1)) * se
    value = float(value_N.mean())
    return Score(
        figure, value, value - half, value + half, value_N.size, "t" + ("" if groups is None else ", by customer")
    )


def _se(value_N: Floats, groups: Sequence[Any] | None) -> float:
    """Standard error of the mean; with groups their summed deviations are the independent parts."""
    parts = _by_group(value_N - value_N.mean(), groups)
    inflate = 1.0 if groups is not None else parts.size / (parts.size - 1)  # _by_group has inflated already
    return float(np.sqrt(np.sum(parts**2) * inflate) / value_N.size)


def _by_group(value_N: Floats, groups: Sequence[Any] | None) -> Floats:
    """Sums per group, scaled by sqrt(G / (G - 1)) against the small number of groups; the rows themselves without."""
    if groups is None:
        return value_N
    if len(groups) != value_N.size:
        raise InputError(
            "shapes_differ",
            gettext_lazy("groups: {groups} of them for {size} rows", groups=len(groups), size=value_N.size),
        )
    index = np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1]
    total = np.bincount(index, weights=value_N)
    if total.size < 2:
        raise SupportError("too_few_customers", gettext_lazy("groups: a single customer; an interval needs at least 2"))
    scaled: Floats = total * np.sqrt(total.size / (total.size - 1))
    return scaled


def _bin(prob: Floats, hit: NDArray[np.bool_], group: NDArray[np.int64] | None) -> CalibrationBin:
    positives, n = int(hit.sum()), int(hit.size)
    share, design = positives / n, 1.0
    if group is not None and 0 < positives < n:
        missed = hit - prob - (share - prob.mean())
        design = max(1.0, float((np.bincount(group, missed) ** 2).sum()) / (n * share * (1 - share)))
    return CalibrationBin(float(prob.mean()), share, *wilson_interval(positives / design, n / design), n, positives)


def _logit_interval(value: float, se: float) -> Interval:
    middle = scipy.special.logit(value)
    return Interval(float(scipy.special.expit(middle - Z95 * se)), float(scipy.special.expit(middle + Z95 * se)))


class _Labelled(NamedTuple):
    """Checked labels, and the score or probability of each row."""

    yes_N: NDArray[np.bool_]
    score_N: Floats


def _labelled(figure: str, label_N: ArrayLike, score_N: ArrayLike, least: int) -> _Labelled:
    y = _binary(figure, label_N)
    score = np.asarray(score_N, dtype=np.float64)
    if score.shape != y.shape or not np.isfinite(score).all():
        raise InputError(
            "shapes_differ" if score.shape != y.shape else "value_invalid",
            gettext_lazy(
                "{figure}: labels of shape {shape} need as many finite scores; got shape {score_shape}",
                figure=figure,
                shape=y.shape,
                score_shape=score.shape,
            ),
        )
    if min(y.sum(), (~y).sum()) < least:
        counts = gettext_lazy(
            "{positive} positive and {negative} negative rows", positive=int(y.sum()), negative=int((~y).sum())
        )
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy(
                "{figure}: {counts}; at least {least} of each are needed to say anything",
                figure=figure,
                counts=counts,
                least=least,
            ),
        )
    return _Labelled(y, score)


def _probable(figure: str, label_N: ArrayLike, prob_N: ArrayLike) -> _Labelled:
    prob = (found := _labelled(figure, label_N, prob_N, 1)).score_N
    if ((prob < 0) | (prob > 1)).any():
        raise InputError(
            "probabilities_invalid",
            gettext_lazy(
                "{figure}: probabilities must lie in [0, 1]; they run from {min} to {max}",
                figure=figure,
                min=f"{prob.min():.4g}",
                max=f"{prob.max():.4g}",
            ),
        )
    return found


def _binary(figure: str, label_N: ArrayLike) -> NDArray[np.bool_]:
    label = np.asarray(label_N, dtype=np.float64)
    if label.ndim != 1 or not np.isin(label, (0.0, 1.0)).all():
        raise InputError(
            "outcome_not_binary",
            gettext_lazy("{figure}: labels must be one column of 0 and 1, none missing", figure=figure),
        )
    yes: NDArray[np.bool_] = label == 1.0
    return yes
