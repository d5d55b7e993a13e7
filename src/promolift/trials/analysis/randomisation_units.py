"""Estimate effects where rows are not independent customers: markets by day, shops, customers over months.

Finds the unit that was randomised and treats each unit as one observation. Every estimate is a sum of one influence per
unit, and its standard error is that of these influences. Legend: N rows, U units, T units treated, C control units, A
arms (arm 0 is control), B draws.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import TrialArrays, fit_encoder, holm_adjust
from promolift.core.effects.uplift import diagnostics
from promolift.core.effects.uplift.average_effects import adjusted_means, average_effects
from promolift.foundation.errors import InputError, SupportError
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.trials.analysis.settings import TrialSettings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEW_UNITS = 20  # units of an arm below which the distribution of t is drawn, not looked up
PERMUTATION_DRAWS = 1999


class UnitEffect(NamedTuple):
    """An effect per row with its 95 % interval; `relative` to the outcome without treatment, with `p` two-sided."""

    control_mean: float
    effect: float
    se: float
    low: float
    high: float
    p: float
    relative: float


class UnitInfluence(NamedTuple):
    """An estimate and each unit's first-order influence on it: of the treated units and of the control units.

    `base` is the outcome without the treatment.
    """

    effect: float
    base: float
    treated_T: Floats
    control_C: Floats


def infer_unit_effect(shares: UnitInfluence, seed: int = 0) -> UnitEffect:
    """Return the interval and p-value of Welch's t-test over units.

    Where an arm has fewer than FEW_UNITS, t is compared with what reassigning the units' residuals to arms gives (a
    studentised permutation test, which also holds where the arms' spreads differ: Chung & Romano 2013), and with
    Student's t of the smaller arm, whichever asks for more: levels of few shops are skewed.

    One treated unit has no spread of its own: it is taken to be that of control. SupportError below 3 control units.
    """
    treated_T, control_C = shares.treated_T, shares.control_C
    t, c = len(treated_T), len(control_C)
    if c < 3 or t < 1:
        raise SupportError(
            "too_few_clusters",
            gettext_lazy(
                "{t} treated and {c} control units: at least 1 and 3 are needed to know how units vary", t=t, c=c
            ),
        )
    own_C = float(np.sum(control_C**2)) * c / (c - 1)
    own_T = float(np.sum(treated_T**2)) * t / (t - 1) if t > 1 else own_C * c
    se, relative = float(np.sqrt(own_T + own_C)), shares.effect / shares.base if shares.base else float("nan")
    if se == 0:
        p = float(shares.effect == 0)
        return UnitEffect(shares.base, shares.effect, 0.0, shares.effect, shares.effect, p, relative)
    freedom = (own_T + own_C) ** 2 / ((own_T**2 / (t - 1) if t > 1 else 0.0) + own_C**2 / (c - 1))
    freedom = freedom if t > 1 else c - 1
    size = abs(shares.effect) / se
    if min(t, c) < FEW_UNITS:
        size_B = permutation_t(t * treated_T if t > 1 else np.zeros(1), c * control_C, seed)
        least = min(t, c) - 1 if t > 1 else c - 1
        steps = max(float(np.quantile(size_B, 0.95)), float(scipy.stats.t.ppf(0.975, least)))
        p = max(float((1 + np.sum(size_B >= size)) / (1 + len(size_B))), float(2 * scipy.stats.t.sf(size, least)))
    else:
        steps, p = float(scipy.stats.t.ppf(0.975, freedom)), float(2 * scipy.stats.t.sf(size, freedom))
    low, high = shares.effect - steps * se, shares.effect + steps * se
    return UnitEffect(shares.base, shares.effect, se, low, high, p, relative)


def permutation_t(residual_T: Floats, residual_C: Floats, seed: int) -> Floats:
    """Return absolute t-statistics after reassigning the units' residuals to the arms at random."""
    t, all_U = len(residual_T), np.r_[residual_T, residual_C]
    c = len(residual_C)
    if t == 1:  # the placebo in space: every control unit takes its turn
        left = (np.sum(residual_C) - residual_C) / max(c - 1, 1)
        spread = np.sqrt(max(float(residual_C.var(ddof=1)), 1e-300) * (1 + 1 / c))
        return np.asarray(np.abs(residual_C - left) / spread)
    draw = np.random.default_rng(hash_int("reassigned", seed))
    order_BU = np.argsort(draw.random((PERMUTATION_DRAWS, t + c)), axis=1)
    dealt_BU = all_U[order_BU]
    got_BT, rest_BC = dealt_BU[:, :t], dealt_BU[:, t:]
    square = got_BT.var(axis=1, ddof=1) / t + rest_BC.var(axis=1, ddof=1) / c
    return np.asarray(np.abs(got_BT.mean(axis=1) - rest_BC.mean(axis=1)) / np.sqrt(np.maximum(square, 1e-300)))


class BeforeAfterMeans(NamedTuple):
    """Means of each unit before and after a start, NaN where it has no rows there."""

    before_U: Floats
    after_U: Floats


def before_after_means(
    value_N: Floats, unit_N: Ints, time_N: Ints, start: int, end: int, units: int, first: int = 0
) -> BeforeAfterMeans:
    """Return the means over the times from `first` to before `start`, and from `start` to before `end`."""
    found = []
    for low, high in ((first, start), (start, end)):
        mine = (time_N >= low) & (time_N < high)
        count_U = np.bincount(unit_N[mine], minlength=units)
        total_U = np.bincount(unit_N[mine], value_N[mine], units)
        found.append(np.divide(total_U, count_U, out=np.full(units, np.nan), where=count_U > 0))
    return BeforeAfterMeans(*found)


def difference_in_differences(
    change: BeforeAfterMeans, treated_U: NDArray[np.bool_], control_U: NDArray[np.bool_], ratio: bool
) -> UnitInfluence:
    """Return the difference in differences of units' means before and after; units without rows on both sides have no
    influence.

    `ratio`: without the treatment the treated would have changed in the same proportion as control did, else by the
    same amount. Whole units are compared, so that the days of one market, which move together, count once (Bertrand,
    Duflo & Mullainathan 2004).
    """
    there = np.isfinite(change.before_U) & np.isfinite(change.after_U)
    t, c = np.flatnonzero(treated_U & there), np.flatnonzero(control_U & there)
    if len(c) < 1 or len(t) < 1:
        raise SupportError(
            "unit_periods_missing", gettext_lazy("no unit of an arm was seen both before and after the start")
        )
    before_T, before_C = change.before_U[t], change.before_U[c]
    grown = float(change.after_U[c].mean() / before_C.mean()) if ratio else 1.0
    left_T, left_C = change.after_U[t] - grown * before_T, change.after_U[c] - grown * before_C
    scale = float(before_T.mean() / before_C.mean()) if ratio else 1.0
    effect = float(left_T.mean() - scale * left_C.mean())
    base = float(change.after_U[t].mean()) - effect
    treated, control = np.zeros(len(treated_U)), np.zeros(len(treated_U))
    treated[t], control[c] = (left_T - left_T.mean()) / len(t), -scale * (left_C - left_C.mean()) / len(c)
    return UnitInfluence(effect, base, treated, control)


class Panel(NamedTuple):
    """Rows of units over `times` periods, and the period in which each unit's treatment starts (`times`: never)."""

    unit_N: Ints
    time_N: Ints
    start_U: Ints
    times: int


def staggered_difference(
    value_N: Floats, panel: Panel, treated_U: NDArray[np.bool_], ratio: bool, early: bool = False
) -> UnitInfluence:
    """Compare units that start together with units that never start, over the same times, and average by their number
    (Callaway & Sant'Anna 2021). `early`: a placebo with the start in the middle of the time before.
    """
    never_U, units = panel.start_U >= panel.times, len(panel.start_U)
    effect, base, treated, control = 0.0, 0.0, np.zeros(units), np.zeros(units)
    starts = np.unique(panel.start_U[treated_U & ~never_U])
    for start in starts.tolist():
        mine = treated_U & (panel.start_U == start)
        turn, end = (start // 2, start) if early else (start, panel.times)
        change = before_after_means(value_N, panel.unit_N, panel.time_N, turn, end, units)
        part, weight = (
            difference_in_differences(change, mine, never_U, ratio),
            float(mine.sum()) / float(treated_U.sum()),
        )
        effect, base = effect + weight * part.effect, base + weight * part.base
        treated, control = treated + weight * part.treated_T, control + weight * part.control_C
    return UnitInfluence(effect, base, treated[treated_U], control[never_U])


def moves_in_proportion(value_N: Floats, panel: Panel, treated_U: NDArray[np.bool_]) -> bool:
    """Return whether the arms moved more alike in proportion than by amounts, judged by the time before treatment
    alone.
    """
    if value_N.min() < 0 or not (panel.start_U[treated_U] >= 4).all():
        return False
    change = before_after_means(value_N, panel.unit_N, panel.time_N, 1, panel.times, len(panel.start_U))
    never_U = panel.start_U >= panel.times
    if not all(np.nanmean(change.before_U[mine]) > 0 for mine in (treated_U, never_U)):
        return False
    errors = []
    for ratio in (False, True):
        found = staggered_difference(value_N, panel, treated_U, ratio, early=True)
        own = np.sum(found.treated_T**2) + np.sum(found.control_C**2)
        errors.append(float(own + found.effect**2))
    return errors[1] < errors[0]


Design = Literal["clusters", "repeated", "panel"]
REPEAT_CHANCE = 1e-9  # chance below which units that lie wholly in one arm were drawn as wholes
TIME_COLUMN = re.compile(r"date|day|week|month|year|time|period|hour|quarter|日|周|月")
PLACEBO_ALPHA = 0.01  # p of a placebo below which arms did not move alike before


@dataclass(frozen=True)
class RandomisationUnits:
    """The unit of each row and the arm of each unit. `column` names the units, `design` says how they repeat.

    clusters: a unit is wholly in one arm. repeated: a unit is given an arm anew each time. panel: treated units were
    seen before their treatment began.
    """

    column: str
    unit_N: Ints
    arm_U: Ints
    design: Design
    panel: Panel | None = None

    def describe(self, arms: tuple[str, ...]) -> LazyMessage:
        sizes = zip(arms, np.bincount(self.arm_U, minlength=len(arms)), strict=True)
        count = ", ".join(f"{name} {n:,}" for name, n in sizes)
        if self.panel is not None:
            starts = np.unique(self.panel.start_U[self.arm_U > 0])
            return gettext_lazy(
                "panel of {column} ({sizes}) that starts in period {starts} of {times}: difference in differences of "
                "whole "
                "units",
                column=self.column, sizes=count, starts=", ".join(str(s + 1) for s in starts[:5].tolist()),
                times=self.panel.times,
            )  # fmt: skip
        if self.design == "repeated":
            return gettext_lazy(
                "{units} values of {column} in several rows each: rows of one count together",
                units=f"{len(self.arm_U):,}",
                column=self.column,
            )
        return gettext_lazy("arms by {column} ({sizes}): rows of one count together", column=self.column, sizes=count)


def find_units(
    where: str, frame: pl.DataFrame, settings: TrialSettings, arm_N: Ints, arms: tuple[str, ...]
) -> RandomisationUnits | None:
    """Return the units that the setting `unit` names; None if every row is a customer. Raises InputError if rows seem
    to repeat.
    """
    if settings.unit is None:
        _ask(where, frame, settings, arm_N)
        return None
    unit = frame[settings.unit]
    if unit.null_count():
        raise InputError(
            "value_missing",
            gettext_lazy(
                "{where}: {null_count} rows without {unit}, which unit names",
                where=where, null_count=unit.null_count(), unit=settings.unit,
            ),
        )  # fmt: skip
    unit_N = unit.rank("dense").to_numpy().astype(np.int64) - 1 if unit.dtype.is_numeric() else _codes(unit)
    units = int(unit_N.max()) + 1
    lowest_U, highest_U = np.full(units, len(arms)), np.zeros(units, np.int64)
    np.minimum.at(lowest_U, unit_N, arm_N)
    np.maximum.at(highest_U, unit_N, arm_N)
    whole = bool((lowest_U == highest_U).all())
    if settings.time is not None:
        panel = _panel(where, frame, settings, unit_N, arm_N, highest_U, whole)
        if panel is not None:
            return RandomisationUnits(settings.unit, unit_N, highest_U, "panel", panel)
    elif settings.start is not None:
        raise InputError(
            "setting_missing",
            gettext_lazy(
                "{where}: start says when the treatment began; say time= too, the column of the periods", where=where
            ),
        )
    return RandomisationUnits(settings.unit, unit_N, highest_U, "clusters" if whole else "repeated")


def _codes(column: pl.Series) -> Ints:
    return np.unique(column.cast(pl.String).to_numpy(), return_inverse=True)[1].astype(np.int64)


def _panel(
    where: str, frame: pl.DataFrame, settings: TrialSettings, unit_N: Ints, arm_N: Ints, arm_U: Ints, whole: bool
) -> Panel | None:
    """When each unit's treatment began; None where it never changes, or comes and goes."""
    column = frame[settings.time]  # type: ignore[index]
    if column.null_count():
        raise InputError(
            "value_missing",
            gettext_lazy(
                "{where}: {null_count} rows without {time}, which time names",
                where=where, null_count=column.null_count(), time=settings.time,
            ),
        )  # fmt: skip
    moments = column.unique().sort()
    time_N = column.rank("dense").to_numpy().astype(np.int64) - 1 if column.dtype != pl.String else _codes(column)
    times = len(moments)
    if settings.start is None and whole:
        if (known := _switch(frame, settings, time_N)) is not None:
            raise InputError(
                "treatment_start_missing",
                gettext_lazy(
                    "{where}: {treatment} is the same at all times of a {unit}; say start={known} if that "
                    "column says when the treatment was on, or start= with the first {time} of it",
                    where=where, treatment=settings.treatment, unit=settings.unit, known=known, time=settings.time,
                ),
            )  # fmt: skip
        return None
    treated_N = arm_U[unit_N] > 0
    on_N = treated_N & (_started(where, frame, settings, moments, time_N) if settings.start is not None else arm_N > 0)
    if settings.start is not None and not whole:
        raise InputError(
            "settings_conflict",
            gettext_lazy(
                "{where}: {treatment} changes within a {unit}, so leave start= out",
                where=where, treatment=settings.treatment, unit=settings.unit,
            ),
        )  # fmt: skip
    start_U = np.full(len(arm_U), times)
    np.minimum.at(start_U, unit_N[on_N], time_N[on_N])
    if not (on_N == (time_N >= start_U[unit_N])).all():
        return None  # it comes and goes: each time counts for itself
    first = sorted(set(start_U[arm_U > 0].tolist()))
    if not first or first[0] < 1:
        early = int(((start_U < 1) & (arm_U > 0)).sum())
        raise InputError(
            "pre_period_missing",
            gettext_lazy(
                "{where}: {early} {unit} were treated from the first {time} on, so nothing is known of "
                "them before; leave them out",
                where=where, early=early, unit=settings.unit, time=settings.time,
            ),
        )  # fmt: skip
    return Panel(unit_N, time_N, start_U, times)


def _started(
    where: str, frame: pl.DataFrame, settings: TrialSettings, moments: pl.Series, time_N: Ints
) -> NDArray[np.bool_]:
    """Rows since the start that is stated: a column of 0 and 1, or the first time."""
    stated = str(settings.start)
    if stated in frame.columns:
        values = frame[stated].cast(pl.Float64, strict=False)
        if not set(values.unique()) <= {0.0, 1.0}:
            raise InputError(
                "value_invalid",
                gettext_lazy(
                    "{where}: start={stated} names a column that is not 0 before and 1 since",
                    where=where, stated=stated,
                ),
            )  # fmt: skip
        return (values == 1).to_numpy()
    try:
        if moments.dtype.is_temporal():
            first = pl.Series([stated]).str.to_datetime(strict=True, time_unit="us")
            later = moments.cast(pl.Datetime("us")) >= first[0]
        else:
            later = moments >= (float(stated) if moments.dtype.is_numeric() else stated)
    except (pl.exceptions.PolarsError, ValueError):
        raise InputError(
            "treatment_start_invalid",
            gettext_lazy(
                "{where}: start={stated} is no column and no {time} such as {moments}",
                where=where, stated=repr(stated), time=settings.time, moments=f"{moments[0]!s}",
            ),
        ) from None  # fmt: skip
    if not later.any() or later.all():
        raise InputError(
            "treatment_start_invalid",
            gettext_lazy(
                "{where}: start={stated} is not within {time}: {moments} to {moments_2}",
                where=where, stated=stated, time=settings.time, moments=f"{moments[0]!s}",
                moments_2=f"{moments[-1]!s}",
            ),
        )  # fmt: skip
    return time_N >= int(later.arg_true()[0])


def _switch(frame: pl.DataFrame, settings: TrialSettings, time_N: Ints) -> str | None:
    """A column that is 0 up to some time and 1 from then on, the same for all units."""
    taken = (settings.treatment, *settings.outcomes, settings.unit, settings.time)
    for column in frame:
        if column.name in taken or not (column.dtype.is_numeric() or column.dtype == pl.Boolean) or column.null_count():
            continue
        value = column.cast(pl.Float64).to_numpy()
        if set(np.unique(value).tolist()) == {0.0, 1.0} and time_N[value == 0].max() < time_N[value == 1].min():
            return column.name
    return None


def _ask(where: str, frame: pl.DataFrame, settings: TrialSettings, arm_N: Ints) -> None:
    """Refuse rows that repeat, saying by what, until somebody says what they are."""
    taken = (settings.treatment, *settings.outcomes, *settings.placebos, *settings.ignore)
    rows = frame.height
    sizes = {
        c.name: c.n_unique() for c in frame if c.name not in taken and not c.dtype.is_nested() and not c.null_count()
    }
    some = {name: n for name, n in sizes.items() if 4 <= n <= rows / 4}
    for one, u in some.items():
        for other, t in some.items():
            if one < other and rows <= u * t <= 1.1 * rows and frame.select(one, other).n_unique() == rows:
                unit, time = sorted((one, other), key=lambda name: bool(TIME_COLUMN.search(name.lower()))
                                    or frame[name].dtype.is_temporal())  # fmt: skip
                raise InputError(
                    "panel_not_declared",
                    gettext_lazy(
                        "{where}: {rows} rows are {sizes} values of {unit} at {time} of {repr_time}, not as many "
                        "independent customers. Say unit={unit_2} time={time_2} (and start=... where {treatment} "
                        "names a group, not when it was treated); or ignore={unit_2} if each row was drawn for "
                        "itself",
                        where=where, rows=f"{rows:,}", sizes=f"{sizes[unit]:,}", unit=repr(unit),
                        time=f"{sizes[time]:,}", repr_time=repr(time), unit_2=unit, time_2=time,
                        treatment=settings.treatment,
                    ),
                )  # fmt: skip
    for name, units in some.items():
        arms = pl.DataFrame({"unit": frame[name], "arm": arm_N}).group_by("unit").agg(
            pl.col("arm").n_unique().alias("arms"), pl.len())  # fmt: skip
        if units < 3 * (arm_N.max() + 1) or arms["arms"].max() != 1:
            continue
        share = np.bincount(arm_N).max() / rows
        if (rows - units) * np.log(share) < np.log(REPEAT_CHANCE):
            raise InputError(
                "clusters_not_declared",
                gettext_lazy(
                    "{where}: every {name} is wholly in one arm ({units} values in {rows} rows), so {name} was "
                    "drawn, not customers. Say unit={name}: rows of one count together; or ignore={name} if it "
                    "names the arm",
                    where=where, name=name, units=f"{units:,}", rows=f"{rows:,}",
                ),
            )  # fmt: skip


def estimate_unit_averages(
    units: RandomisationUnits, arrays: TrialArrays, outcomes: Mapping[str, Floats], level: Level, seed: int
) -> pl.DataFrame:
    """Estimate average effects as `average_effects` does, but with the rows of a unit counted together: outcome, arm,
    control_mean, effect, se, low, high, p, p_holm, n, level, and `relative` to the outcome without treatment.

    Uses `adjusted_means` with folds and errors by unit. Few units per arm widen the interval as in `infer_unit_effect`.
    A panel uses difference in differences.
    """
    relative = pl.when(pl.col("control_mean") != 0).then(pl.col("effect") / pl.col("control_mean"))
    if units.design == "repeated":
        return average_effects(arrays, outcomes, level, cluster_N=units.unit_N, seed=seed).with_columns(
            relative=relative
        )
    rows: list[dict[str, object]] = []
    for name, value_N in outcomes.items():
        each = _panel_effects if units.panel is not None else _cluster_effects
        for arm, effect in enumerate(each(units, arrays, value_N, seed), start=1):
            rows.append({"outcome": name, "arm": arm} | effect._asdict())
    order = ["outcome", "arm", "control_mean", "effect", "se", "low", "high", "p", "relative"]
    frame = pl.DataFrame(rows).select(order)
    adjusted = pl.Series("p_holm", holm_adjust(frame["p"].to_numpy()))
    return frame.with_columns(adjusted, n=pl.lit(len(arrays.arm_N)), level=pl.lit(level))


def _cluster_effects(units: RandomisationUnits, arrays: TrialArrays, value_N: Floats, seed: int) -> list[UnitEffect]:
    found = adjusted_means(arrays, value_N, cluster_N=units.unit_N, seed=seed)
    each = []
    for arm, (gain, part_N) in enumerate(zip(found.gain_K.tolist(), found.part_NK.T, strict=True), start=1):
        share_U, mine_U = np.bincount(units.unit_N, part_N), units.arm_U == arm
        beside_U = ~mine_U & ((units.arm_U == 0) | (share_U != 0))
        each.append(
            infer_unit_effect(UnitInfluence(gain, found.control_mean, share_U[mine_U], share_U[beside_U]), seed)
        )
    return each


def _panel_effects(units: RandomisationUnits, arrays: TrialArrays, value_N: Floats, seed: int) -> list[UnitEffect]:
    found = []
    for arm in range(1, arrays.arms):
        panel, treated_U = _without(units.panel, units.arm_U, arm), units.arm_U == arm  # type: ignore[arg-type]
        found.append(
            infer_unit_effect(
                staggered_difference(value_N, panel, treated_U, moves_in_proportion(value_N, panel, treated_U)), seed
            )
        )
    return found


def _without(panel: Panel, arm_U: Ints, arm: int) -> Panel:
    """The panel with the other treatments' units as never seen."""
    other = (arm_U > 0) & (arm_U != arm)
    rows = ~other[panel.unit_N]
    return Panel(panel.unit_N[rows], panel.time_N[rows], np.where(other, panel.times, panel.start_U), panel.times)


@dataclass(frozen=True)
class Assignment:
    """How arms were assigned: the evidence level, the propensity of each arm for every customer, and the diagnosis
    behind it.
    """

    level: Level
    prob_NA: Floats
    diagnosis: diagnostics.Diagnosis


def diagnose_units(
    units: RandomisationUnits, features: pl.DataFrame, arm_N: Ints, planned_NA: Floats | None,
    outcomes: Mapping[str, Floats],
    arms: tuple[str, ...], seed: int, sure: tuple[str, ...],
) -> diagnostics.Diagnosis:  # fmt: skip
    """The evidence that whole units support: arms drawn by unit pass the tests of a randomisation on units; a panel
    that was not drawn is `adjusted` where arms moved alike before the start (a placebo in time). `sure`: the features
    that were surely known before the treatment.
    """
    if units.design == "repeated":
        return diagnostics.diagnose(features, arm_N, planned_A=planned_NA, names=arms, before=sure)
    before = _before(units, outcomes)
    table, arm_U = _by_unit(units, features), units.arm_U
    first_U = np.unique(units.unit_N, return_index=True)[1]
    reasons: list[LazyMessage] = []
    found: diagnostics.Diagnosis | None = None
    if planned_NA is not None:
        encoder = fit_encoder(features)
        owner = dict(zip(encoder.names, encoder.owners, strict=True))
        found = diagnostics.diagnose(
            table, arm_U, planned_A=planned_NA[first_U], placebos=before, names=arms,
            before=[name for name, column in owner.items() if column in sure],
        )  # fmt: skip
        found = replace(found, left_out=tuple(dict.fromkeys(owner[name] for name in found.left_out)))
        reasons = [] if found.level == "randomised" else [*found.reasons]
    placebos = _early(units, outcomes, seed)
    level: Level | None = "randomised" if found is not None and not reasons else None
    if found is not None and found.level == "assumed" and units.panel is None:
        level = "assumed"
    if level is None and units.panel is not None:
        moved = placebos.filter(pl.col("p") < PLACEBO_ALPHA)
        reasons += [
            gettext_lazy(
                "{outcome} moved apart by {effect} (s.e. {se}) in {arm}",
                outcome=row["outcome"],
                effect=f"{row['effect']:.3g}",
                se=f"{row['se']:.2g}",
                arm=arms[row["arm"]],
            )
            for row in moved.iter_rows(named=True)
        ]
        level = "adjusted" if moved.is_empty() else None
        if level:
            reasons.append(
                gettext_lazy(
                    "difference in differences: arms are taken to have gone on alike, as they did before the start"
                )
            )
    elif level is None:
        reasons.append(
            gettext_lazy(
                "every {column} lies wholly in one arm: say planned=... if they were drawn, or time=... and start=... "
                "if they were seen before",
                column=units.column,
            )
        )
    elif level == "randomised":
        reasons = [
            gettext_lazy("{column} randomised as stated, and nothing in the data contradicts it", column=units.column)
        ]
    prob_NA = np.tile(np.bincount(arm_U, minlength=len(arms)) / len(arm_U), (len(arm_N), 1))
    worth_A = np.bincount(arm_U, minlength=len(arms)).astype(np.float64)
    overlap = diagnostics.Overlap(worth_A, 0.0, np.ones(len(arm_N), dtype=bool))
    empty = pl.DataFrame(schema={"feature": pl.String, "arm": pl.Int64, "before": pl.Float64, "after": pl.Float64})
    if found is None:
        return diagnostics.Diagnosis(level, tuple(reasons), (), empty, placebos, overlap, prob_NA)
    prob_NA = planned_NA if planned_NA is not None else prob_NA
    return replace(found, level=level, reasons=tuple(reasons), placebos=pl.concat([found.placebos, placebos]),
                   overlap=overlap, prob_NA=prob_NA)  # fmt: skip


def _by_unit(units: RandomisationUnits, features: pl.DataFrame) -> pl.DataFrame:
    """Means of the encoded features of each unit."""
    encoder = fit_encoder(features)
    x_NF, count_U = encoder.encode(features), np.bincount(units.unit_N)
    means = {
        name: np.bincount(units.unit_N, np.nan_to_num(x_NF[:, f])) / count_U for f, name in enumerate(encoder.names)
    }
    return pl.DataFrame(means) if means else pl.DataFrame({"unit": np.zeros(len(count_U))})


def _before(units: RandomisationUnits, outcomes: Mapping[str, Floats]) -> dict[str, Floats]:
    """What units did before any treatment: no arm can have moved it."""
    if units.panel is None:
        return {}
    first = int(units.panel.start_U[units.arm_U > 0].min())
    found = {}
    for name, value_N in outcomes.items():
        change = before_after_means(
            value_N, units.unit_N, units.panel.time_N, first, units.panel.times, len(units.arm_U)
        )
        if np.isfinite(change.before_U).all():
            found[f"{name} before the start"] = change.before_U
    return found


def _early(units: RandomisationUnits, outcomes: Mapping[str, Floats], seed: int) -> pl.DataFrame:
    """The placebo in time: the start put into the middle of the time before it."""
    rows = []
    panel = units.panel
    if panel is not None and int(panel.start_U[units.arm_U > 0].min()) >= 2:
        for name, value_N in outcomes.items():
            for arm in range(1, int(units.arm_U.max()) + 1):
                only, treated_U = _without(panel, units.arm_U, arm), units.arm_U == arm
                ratio = moves_in_proportion(value_N, only, treated_U)
                try:
                    found = infer_unit_effect(staggered_difference(value_N, only, treated_U, ratio, early=True), seed)
                except SupportError:
                    continue
                rows.append((f"{name}, a start that never was", arm, found.effect, found.se, found.p))
    frame = pl.DataFrame(
        rows, orient="row",
        schema={"outcome": pl.String, "arm": pl.Int64, "effect": pl.Float64, "se": pl.Float64, "p": pl.Float64},
    )  # fmt: skip
    half = Z95 * pl.col("se")
    limits = frame.with_columns((pl.col("effect") - half).alias("low"), (pl.col("effect") + half).alias("high"))
    return limits.select("outcome", "arm", "effect", "se", "low", "high", "p")
