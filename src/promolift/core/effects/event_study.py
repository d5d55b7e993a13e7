"""Estimate what a promotion added to a daily series, against the days on which there was none.

The expectation of a day comes from the series' own other days: weekday, trend, a level that drifts, and the season
where the log is long enough. A comparison series, where there is one, is taken off first in proportion: what
everybody else does more of on a day is no effect (difference-in-differences). The drift is a Gaussian process, fitted
to days without a promotion by maximum likelihood (Rasmussen and Williams 2006, chapter 5), so that an error grows
with the distance to the days that are known. Whether errors of that size are right is asked of placebo windows: the
same estimator at all other starts. Their errors, in standard errors, widen the interval or narrow it (randomisation
inference, studentised).

Legend: D days in order without a gap, F fixed parts of the model, B some of the days.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
Untold = Literal["always", "few_orders", "too_recent", "too_early", "no_variation"]

AFTER_DAYS = 56  # days after a promotion that belong to what it earned
BEFORE_DAYS = 14  # days before it in which customers may have waited
SETTLED_DAYS = 28  # days after a promotion from which on a day may serve as a comparison for others
MIN_CLEAN_DAYS = 56  # days without any promotion that a comparison needs
MIN_LEAD_DAYS = 28  # days of the log before a promotion
MIN_TAIL_DAYS = 14  # days of the log after it
SEASON_DAYS = 550  # a log of so many days shows a season of a year
YEAR = 365.25
PLACEBO_STEP = 7  # days between two placebo starts
PRIOR_PLACEBOS = 8.0  # independent placebo windows that the model's own error counts for
DRIFT_DAYS = (12.0, 45.0, 150.0)  # lengths over which the level may drift
DRIFT_RATIOS = (0.03, 0.1, 0.3, 1.0, 3.0)  # variance of the drift over the variance of a day
SEASON_RATIOS = (0.0, 0.1, 1.0)
FLAT = 1e4  # variance of the fixed part, in variances of a day


class Window(NamedTuple):
    """Days of a promotion: the index of the first, and how many."""

    first: int
    days: int

    @property
    def end(self) -> int:
        return self.first + self.days


class Difference(NamedTuple):
    """Observed minus expected over some days, with its 95 % interval."""

    value: float
    low: float
    high: float


class WindowEffect(NamedTuple):
    """What a promotion added to a series: before it (customers who wait), in its days, after it, and in its days and
    after together (`net`); `expected` in its days without it. `after_days` were counted, fewer than AFTER_DAYS where
    the next promotion or the log's end came first. `p` is of no net effect; `placebos` windows checked the interval.
    """

    before: Difference
    within: Difference
    after: Difference
    net: Difference
    expected: float
    after_days: int
    p: float
    placebos: int


def merge_windows(windows: Sequence[Window], gap_days: int) -> list[Window]:
    """Return the windows in order; those with fewer than `gap_days` between them are one."""
    merged: list[Window] = []
    for each in sorted(windows):
        last = merged[-1] if merged else None
        if last is not None and each.first - last.end < gap_days:
            merged[-1] = Window(last.first, max(last.end, each.end) - last.first)
        else:
            merged.append(each)
    return merged


def after_days(window: Window, windows: Sequence[Window], days: int) -> int:
    """Return how many days after a window can be counted in a log of so many days: until one of `windows` begins."""
    later = [each.first for each in windows if each.first >= window.end]
    return max(min([window.end + AFTER_DAYS, days, *later]) - window.end, 0)


def promotion_days(windows: Sequence[Window], days: int, settled_days: int = SETTLED_DAYS) -> Flags:
    """Return the days that cannot serve as a comparison: those of a window, before it, and until it has settled."""
    busy_D = np.zeros(days, np.bool_)
    for each in windows:
        busy_D[max(each.first - BEFORE_DAYS, 0) : max(each.end + settled_days, 0)] = True
    return busy_D


def why_untold(window: Window, busy_D: Flags) -> Untold | None:
    """Return why a window cannot be judged, None where it can be. `busy_D` cannot serve as a comparison."""
    if window.first < MIN_LEAD_DAYS:
        return "too_early"
    if busy_D.size - window.end < MIN_TAIL_DAYS:
        return "too_recent"
    own_D = promotion_days([window], busy_D.size, AFTER_DAYS)
    return "always" if int((~busy_D & ~own_D).sum()) < MIN_CLEAN_DAYS else None


def study_windows(
    y_D: Floats, windows: Sequence[Window], busy_D: Flags, others_D: Floats | None = None,
    stops: Sequence[Window] = (),
) -> list[WindowEffect | None]:  # fmt: skip
    """Estimate the effect of each window; None for a series that does not vary.

    `busy_D` are the days that cannot serve as a comparison; `others_D` is what all others did; `stops` are further
    windows that end the days after a window. The estimates do not depend on the unit of the series. Costs two
    inversions of a D x D matrix and 16 factorisations (48 with a season).
    """
    clean = np.flatnonzero(~busy_D)
    compared_D = y_D if others_D is None else y_D - _share(y_D[clean], others_D[clean]) * others_D
    scale = float(compared_D[clean].std())
    if not scale > 1e-9 * max(float(np.abs(y_D[clean]).max()), 1e-300):
        return [None] * len(windows)
    z_D = (compared_D - compared_D[clean].mean()) / scale
    model = _fit(z_D, clean, _fixed(y_D.size))
    every = [*windows, *stops]
    return [_effect(model, y_D, scale, each, after_days(each, every, y_D.size)) for each in windows]


class _Model(NamedTuple):
    """The inverse of the covariance of some days, and its product with the series: enough to leave any of them out."""

    days_B: Ints
    precision_BB: Floats
    weighted_B: Floats


class _Fitted(NamedTuple):
    """The same model of all days and of the clean days alone."""

    every: _Model
    clean: _Model


class _LeftOut(NamedTuple):
    """Observed minus expected of days that were left out together, and the covariance of these differences."""

    days_B: Ints
    error_B: Floats
    covariance_BB: Floats

    def total(self, within_D: Flags) -> float:
        return float(self.error_B[within_D[self.days_B]].sum())

    def deviation(self, within_D: Flags) -> float:
        inside = within_D[self.days_B]
        return float(np.sqrt(max(self.covariance_BB[np.ix_(inside, inside)].sum(), 1e-12)))


def _share(y_B: Floats, others_B: Floats) -> float:
    """The series as a share of the comparison on clean days; 0 where that is nothing to compare with."""
    return max(float(y_B.sum() / others_B.sum()), 0.0) if others_B.sum() > 0 else 0.0


def _fixed(days: int) -> Floats:
    """Level, trend and weekdays, each about one in size."""
    day_D = np.arange(days)
    columns = [np.ones(days), (day_D - days / 2) / days]
    columns += [(day_D % 7 == weekday) - 1 / 7 for weekday in range(6)]
    return np.column_stack(columns).astype(np.float64)


def _fit(z_D: Floats, clean: Ints, fixed_DF: Floats) -> _Fitted:
    """Choose the drift and the season by restricted maximum likelihood on the clean days."""
    days = z_D.size
    drifts = [(DRIFT_DAYS[0], 0.0), *((length, ratio) for length in DRIFT_DAYS for ratio in DRIFT_RATIOS)]
    seasons = SEASON_RATIOS if days >= SEASON_DAYS else (0.0,)
    models = [(length, ratio, season) for length, ratio in drifts for season in seasons]
    shapes = _Shapes.of(clean)
    found = [_likelihood(shapes.add(*model), z_D[clean], fixed_DF[clean]) for model in models]
    best = int(np.argmax([each.value for each in found]))
    shape_DD = _Shapes.of(np.arange(days)).add(*models[best])
    covariance_DD = found[best].variance * (shape_DD + FLAT * fixed_DF @ fixed_DF.T)
    return _Fitted(_invert(covariance_DD, z_D, np.arange(days)), _invert(covariance_DD, z_D, clean))


class _Shapes(NamedTuple):
    """Correlations between days: of a drift, by its length, and of the season of a year."""

    drift_DD: dict[float, Floats]
    season_DD: Floats

    @classmethod
    def of(cls, days_B: Ints) -> Self:
        apart_BB = np.abs(np.subtract.outer(days_B, days_B)).astype(np.float64)
        drifts = {length: np.exp(-apart_BB / length) for length in DRIFT_DAYS}
        return cls(drifts, np.exp(-2 * (np.sin(np.pi * apart_BB / YEAR) / 0.4) ** 2))

    def add(self, length: float, ratio: float, season: float) -> Floats:
        """The covariance of days in units of a day's own variance."""
        total_DD = ratio * self.drift_DD[length]
        total_DD[np.diag_indices_from(total_DD)] += 1.0
        return total_DD + season * self.season_DD if season else total_DD


def _invert(covariance_DD: Floats, z_D: Floats, days_B: Ints) -> _Model:
    precision_BB = scipy.linalg.inv(covariance_DD[np.ix_(days_B, days_B)])
    return _Model(days_B, precision_BB, precision_BB @ z_D[days_B])


class _Likelihood(NamedTuple):
    value: float
    variance: float


def _likelihood(shape_BB: Floats, z_B: Floats, fixed_BF: Floats) -> _Likelihood:
    root_BB = scipy.linalg.cholesky(shape_BB, lower=True)
    whitened = scipy.linalg.solve_triangular(root_BB, np.column_stack([fixed_BF, z_B]), lower=True)
    x_BF, y_B = whitened[:, :-1], whitened[:, -1]
    gram_FF = x_BF.T @ x_BF + 1e-6 * np.eye(x_BF.shape[1])
    rest_B = y_B - x_BF @ np.linalg.solve(gram_FF, x_BF.T @ y_B)
    freedom = max(z_B.size - x_BF.shape[1], 1)
    variance = max(float(rest_B @ rest_B) / freedom, 1e-12)
    determinants = np.log(np.diag(root_BB)).sum() + 0.5 * np.linalg.slogdet(gram_FF)[1]
    return _Likelihood(-0.5 * freedom * float(np.log(variance)) - float(determinants), variance)


def _leave_out(model: _Model, out_D: Flags) -> _LeftOut:
    """Predict some days by all others of the model: the block form of leave-one-out residuals."""
    out_B = out_D[model.days_B]
    covariance_BB = scipy.linalg.inv(model.precision_BB[np.ix_(out_B, out_B)])
    return _LeftOut(model.days_B[out_B], covariance_BB @ model.weighted_B[out_B], covariance_BB)


def _span(days: int, first: int, end: int) -> Flags:
    day_D = np.arange(days)
    return np.asarray((day_D >= first) & (day_D < end))


def _effect(model: _Fitted, y_D: Floats, scale: float, window: Window, counted: int) -> WindowEffect:
    days, end = y_D.size, window.end + counted
    spans = {
        "before": _span(days, window.first - BEFORE_DAYS, window.first),
        "within": _span(days, window.first, window.end),
        "after": _span(days, window.end, end),
        "net": _span(days, window.first, end),
    }
    busy_D = np.ones(days, np.bool_)
    busy_D[model.clean.days_B] = False
    left_out = _leave_out(model.every, busy_D | spans["before"] | spans["net"])
    placebo = _placebos(model.clean, window.days + counted, busy_D)
    reach = placebo.scale * float(scipy.stats.t.ppf(0.975, placebo.freedom))

    def difference(within_D: Flags) -> Difference:
        if not within_D.any():
            return Difference(0.0, 0.0, 0.0)
        value, half = left_out.total(within_D) * scale, reach * left_out.deviation(within_D) * scale
        return Difference(value, value - half, value + half)

    found = {name: difference(span_D) for name, span_D in spans.items()}
    statistic = left_out.total(spans["net"]) / (placebo.scale * left_out.deviation(spans["net"]))
    return WindowEffect(
        **found,
        expected=float(y_D[spans["within"]].sum()) - found["within"].value,
        after_days=counted,
        p=float(2 * scipy.stats.t.sf(abs(statistic), placebo.freedom)),
        placebos=placebo.windows,
    )


class _Placebos(NamedTuple):
    """The size of placebo errors in the model's standard errors, its degrees of freedom, and the number of windows."""

    scale: float
    freedom: float
    windows: int


def _placebos(model: _Model, length: int, busy_D: Flags) -> _Placebos:
    """Errors of windows of this length that hold no promotion on at least half of their days.

    Windows overlap: as many count as would fit side by side into the days that they cover.
    """
    days, covered_D, squares = busy_D.size, np.zeros(busy_D.size, np.bool_), list[float]()
    for first in range(0, days - MIN_TAIL_DAYS, PLACEBO_STEP):
        clean_D = _span(days, first, first + length) & ~busy_D
        if clean_D.sum() < length / 2:
            continue
        left_out = _leave_out(model, _span(days, first - BEFORE_DAYS, first + length))
        squares.append((left_out.total(clean_D) / left_out.deviation(clean_D)) ** 2)
        covered_D |= clean_D
    independent = float(covered_D.sum()) / length
    mean = float(np.mean(squares)) if squares else 1.0
    scale = np.sqrt((PRIOR_PLACEBOS + independent * mean) / (PRIOR_PLACEBOS + independent))
    return _Placebos(float(scale), PRIOR_PLACEBOS + independent, len(squares))
