"""Rows that are no independent customers (markets by day, shops, customers over months) in; what was drawn, and what an
arm adds as whole units tell it, out.

Legend: N rows, U units, A arms (arm 0 is control), M outcomes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.effect import diagnose
from promolift.effect.outcomes import adjusted_means, average_effects
from promolift.effect.trial import Level, TrialArrays, encoder_of
from promolift.errors import InputError, SupportError
from promolift.results.trial import TrialSettings
from promolift.tables import Z95
from promolift.trials.clustered import Panel, Shares, UnitEffect, by_ratio, changes, infer, staggered

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Design = Literal["clusters", "repeated", "panel"]
NO_ACCIDENT = 1e-9  # chance below which units that lie wholly in one arm were drawn as wholes
TIMES = re.compile(r"date|day|week|month|year|time|period|hour|quarter|日|周|月")
MOVED = 0.01  # p of a placebo below which arms did not move alike before


@dataclass(frozen=True)
class Units:
    """Which unit each row belongs to and the arm of each unit; `column` names them, `design` says how they repeat.

    clusters: a unit is wholly in one arm. repeated: a unit is given an arm anew each time. panel: treated units were
    seen before their treatment began.
    """

    column: str
    unit_N: Ints
    arm_U: Ints
    design: Design
    panel: Panel | None = None

    def in_words(self, arms: tuple[str, ...]) -> str:
        sizes = zip(arms, np.bincount(self.arm_U, minlength=len(arms)), strict=True)
        count = ", ".join(f"{name} {n:,}" for name, n in sizes)
        if self.panel is not None:
            starts = np.unique(self.panel.start_U[self.arm_U > 0])
            since = f"starts in period {', '.join(str(s + 1) for s in starts[:5].tolist())} of {self.panel.times}"
            return f"panel of {self.column} ({count}) that {since}: difference in differences of whole units"
        if self.design == "repeated":
            return f"{len(self.arm_U):,} values of {self.column} in several rows each: rows of one count together"
        return f"arms by {self.column} ({count}): rows of one count together"


def units_of(
    where: str, frame: pl.DataFrame, settings: TrialSettings, arm_N: Ints, arms: tuple[str, ...]
) -> Units | None:
    """The units that `unit` names; None where every row is a customer. InputError asks where rows seem to repeat."""
    if settings.unit is None:
        _ask(where, frame, settings, arm_N)
        return None
    unit = frame[settings.unit]
    if unit.null_count():
        raise InputError(f"{where}: {unit.null_count()} rows without {settings.unit}, which unit names")
    unit_N = unit.rank("dense").to_numpy().astype(np.int64) - 1 if unit.dtype.is_numeric() else _codes(unit)
    units = int(unit_N.max()) + 1
    lowest_U, highest_U = np.full(units, len(arms)), np.zeros(units, np.int64)
    np.minimum.at(lowest_U, unit_N, arm_N)
    np.maximum.at(highest_U, unit_N, arm_N)
    whole = bool((lowest_U == highest_U).all())
    if settings.time is not None:
        panel = _panel(where, frame, settings, unit_N, arm_N, highest_U, whole)
        if panel is not None:
            return Units(settings.unit, unit_N, highest_U, "panel", panel)
    elif settings.start is not None:
        raise InputError(f"{where}: start says when the treatment began; say time= too, the column of the periods")
    return Units(settings.unit, unit_N, highest_U, "clusters" if whole else "repeated")


def _codes(column: pl.Series) -> Ints:
    return np.unique(column.cast(pl.String).to_numpy(), return_inverse=True)[1].astype(np.int64)


def _panel(
    where: str, frame: pl.DataFrame, settings: TrialSettings, unit_N: Ints, arm_N: Ints, arm_U: Ints, whole: bool
) -> Panel | None:
    """When each unit's treatment began; None where it never changes, or comes and goes."""
    column = frame[settings.time]  # type: ignore[index]
    if column.null_count():
        raise InputError(f"{where}: {column.null_count()} rows without {settings.time}, which time names")
    moments = column.unique().sort()
    time_N = column.rank("dense").to_numpy().astype(np.int64) - 1 if column.dtype != pl.String else _codes(column)
    times = len(moments)
    if settings.start is None and whole:
        if (known := _switch(frame, settings, time_N)) is not None:
            raise InputError(
                f"{where}: {settings.treatment} is the same at all times of a {settings.unit}; say start={known} if "
                f"that column says when the treatment was on, or start= with the first {settings.time} of it"
            )
        return None
    treated_N = arm_U[unit_N] > 0
    on_N = treated_N & (_started(where, frame, settings, moments, time_N) if settings.start is not None else arm_N > 0)
    if settings.start is not None and not whole:
        raise InputError(f"{where}: {settings.treatment} changes within a {settings.unit}, so leave start= out")
    start_U = np.full(len(arm_U), times)
    np.minimum.at(start_U, unit_N[on_N], time_N[on_N])
    if not (on_N == (time_N >= start_U[unit_N])).all():
        return None  # it comes and goes: each time counts for itself
    first = sorted(set(start_U[arm_U > 0].tolist()))
    if not first or first[0] < 1:
        early = int(((start_U < 1) & (arm_U > 0)).sum())
        raise InputError(f"{where}: {early} {settings.unit} were treated from the first {settings.time} on, so nothing "
                         "is known of them before; leave them out")  # fmt: skip
    return Panel(unit_N, time_N, start_U, times)


def _started(
    where: str, frame: pl.DataFrame, settings: TrialSettings, moments: pl.Series, time_N: Ints
) -> NDArray[np.bool_]:
    """Rows since the start that is stated: a column of 0 and 1, or the first time."""
    stated = str(settings.start)
    if stated in frame.columns:
        values = frame[stated].cast(pl.Float64, strict=False)
        if not set(values.unique()) <= {0.0, 1.0}:
            raise InputError(f"{where}: start={stated} names a column that is not 0 before and 1 since")
        return (values == 1).to_numpy()
    try:
        if moments.dtype.is_temporal():
            first = pl.Series([stated]).str.to_datetime(strict=True, time_unit="us")
            later = moments.cast(pl.Datetime("us")) >= first[0]
        else:
            later = moments >= (float(stated) if moments.dtype.is_numeric() else stated)
    except (pl.exceptions.PolarsError, ValueError):
        raise InputError(
            f"{where}: start={stated!r} is no column and no {settings.time} such as {moments[0]!s}"
        ) from None
    if not later.any() or later.all():
        raise InputError(f"{where}: start={stated} is not within {settings.time}: {moments[0]!s} to {moments[-1]!s}")
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
                unit, time = sorted((one, other), key=lambda name: bool(TIMES.search(name.lower()))
                                    or frame[name].dtype.is_temporal())  # fmt: skip
                raise InputError(
                    f"{where}: {rows:,} rows are {sizes[unit]:,} values of {unit!r} at {sizes[time]:,} of {time!r}, "
                    f"not as many independent customers. Say unit={unit} time={time} (and start=... where "
                    f"{settings.treatment} names a group, not when it was treated); or ignore={unit} if each row was "
                    "drawn for itself"
                )
    for name, units in some.items():
        arms = pl.DataFrame({"unit": frame[name], "arm": arm_N}).group_by("unit").agg(
            pl.col("arm").n_unique().alias("arms"), pl.len())  # fmt: skip
        if units < 3 * (arm_N.max() + 1) or arms["arms"].max() != 1:
            continue
        share = np.bincount(arm_N).max() / rows
        if (rows - units) * np.log(share) < np.log(NO_ACCIDENT):
            raise InputError(
                f"{where}: every {name} is wholly in one arm ({units:,} values in {rows:,} rows), so {name} was drawn, "
                f"not customers. Say unit={name}: rows of one count together; or ignore={name} if it names the arm"
            )


def unit_averages(
    units: Units, arrays: TrialArrays, outcomes: Mapping[str, Floats], level: Level, seed: int
) -> pl.DataFrame:
    """As effect.average_effects, but a unit's rows count together: outcome, arm, control_mean, effect, se, low, high,
    p, p_holm, n, level, and `relative` to what had been without.

    By `adjusted_means`, folds and errors by unit; where units lie wholly in one arm, few of them widen the interval as
    `infer` says. A panel by difference in differences.
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
    holm = pl.Series("p_holm", diagnose.holm(frame["p"].to_numpy()))
    return frame.with_columns(holm, n=pl.lit(len(arrays.arm_N)), level=pl.lit(level))


def _cluster_effects(units: Units, arrays: TrialArrays, value_N: Floats, seed: int) -> list[UnitEffect]:
    found = adjusted_means(arrays, value_N, cluster_N=units.unit_N, seed=seed)
    each = []
    for arm, (gain, part_N) in enumerate(zip(found.gain_K.tolist(), found.part_NK.T, strict=True), start=1):
        share_U, mine_U = np.bincount(units.unit_N, part_N), units.arm_U == arm
        beside_U = ~mine_U & ((units.arm_U == 0) | (share_U != 0))
        each.append(infer(Shares(gain, found.control_mean, share_U[mine_U], share_U[beside_U]), seed))
    return each


def _panel_effects(units: Units, arrays: TrialArrays, value_N: Floats, seed: int) -> list[UnitEffect]:
    found = []
    for arm in range(1, arrays.arms):
        panel, treated_U = _without(units.panel, units.arm_U, arm), units.arm_U == arm  # type: ignore[arg-type]
        found.append(infer(staggered(value_N, panel, treated_U, by_ratio(value_N, panel, treated_U)), seed))
    return found


def _without(panel: Panel, arm_U: Ints, arm: int) -> Panel:
    """The panel with the other treatments' units as never seen."""
    other = (arm_U > 0) & (arm_U != arm)
    rows = ~other[panel.unit_N]
    return Panel(panel.unit_N[rows], panel.time_N[rows], np.where(other, panel.times, panel.start_U), panel.times)


def unit_diagnosis(
    units: Units, features: pl.DataFrame, arm_N: Ints, planned_NA: Floats | None, outcomes: Mapping[str, Floats],
    arms: tuple[str, ...], seed: int,
) -> diagnose.Diagnosis:  # fmt: skip
    """The evidence that whole units support: arms drawn by unit pass the tests of a randomisation on units; a panel
    that was not drawn is `adjusted` where arms moved alike before the start (a placebo in time).
    """
    if units.design == "repeated":
        return diagnose.diagnose(features, arm_N, planned_A=planned_NA, names=arms)
    before = _before(units, outcomes)
    table, arm_U = _by_unit(units, features), units.arm_U
    first_U = np.unique(units.unit_N, return_index=True)[1]
    reasons: list[str] = []
    found: diagnose.Diagnosis | None = None
    if planned_NA is not None:
        found = diagnose.diagnose(table, arm_U, planned_A=planned_NA[first_U], placebos=before, names=arms)
        reasons = [] if found.level == "randomised" else [*found.reasons]
    placebos = _early(units, outcomes, seed)
    level: Level | None = "randomised" if found is not None and not reasons else None
    if level is None and units.panel is not None:
        moved = placebos.filter(pl.col("p") < MOVED)
        reasons += [f"{row['outcome']} moved apart by {row['effect']:.3g} (s.e. {row['se']:.2g}) in {arms[row['arm']]}"
                    for row in moved.iter_rows(named=True)]  # fmt: skip
        level = "adjusted" if moved.is_empty() else None
        if level:
            reasons.append(
                "difference in differences: arms are taken to have gone on alike, as they did before the start"
            )
    elif level is None:
        reasons.append(
            f"every {units.column} lies wholly in one arm: say planned=... if they were drawn, or time=... and "
            "start=... if they were seen before"
        )
    else:
        reasons = [f"{units.column} randomised as stated, and nothing in the data contradicts it"]
    prob_NA = np.tile(np.bincount(arm_U, minlength=len(arms)) / len(arm_U), (len(arm_N), 1))
    worth_A = np.bincount(arm_U, minlength=len(arms)).astype(np.float64)
    overlap = diagnose.Overlap(worth_A, 0.0, np.ones(len(arm_N), dtype=bool))
    empty = pl.DataFrame(schema={"feature": pl.String, "arm": pl.Int64, "before": pl.Float64, "after": pl.Float64})
    if found is None:
        return diagnose.Diagnosis(level, tuple(reasons), (), empty, placebos, overlap, prob_NA)
    prob_NA = planned_NA if planned_NA is not None else prob_NA
    return replace(found, level=level, reasons=tuple(reasons), placebos=pl.concat([found.placebos, placebos]),
                   overlap=overlap, prob_NA=prob_NA)  # fmt: skip


def _by_unit(units: Units, features: pl.DataFrame) -> pl.DataFrame:
    """Means of the encoded features of each unit."""
    encoder = encoder_of(features)
    x_NF, count_U = encoder.encode(features), np.bincount(units.unit_N)
    means = {
        name: np.bincount(units.unit_N, np.nan_to_num(x_NF[:, f])) / count_U for f, name in enumerate(encoder.names)
    }
    return pl.DataFrame(means) if means else pl.DataFrame({"unit": np.zeros(len(count_U))})


def _before(units: Units, outcomes: Mapping[str, Floats]) -> dict[str, Floats]:
    """What units did before any treatment: no arm can have moved it."""
    if units.panel is None:
        return {}
    first = int(units.panel.start_U[units.arm_U > 0].min())
    found = {}
    for name, value_N in outcomes.items():
        change = changes(value_N, units.unit_N, units.panel.time_N, first, units.panel.times, len(units.arm_U))
        if np.isfinite(change.before_U).all():
            found[f"{name} before the start"] = change.before_U
    return found


def _early(units: Units, outcomes: Mapping[str, Floats], seed: int) -> pl.DataFrame:
    """The placebo in time: the start put into the middle of the time before it."""
    rows = []
    panel = units.panel
    if panel is not None and int(panel.start_U[units.arm_U > 0].min()) >= 2:
        for name, value_N in outcomes.items():
            for arm in range(1, int(units.arm_U.max()) + 1):
                only, treated_U = _without(panel, units.arm_U, arm), units.arm_U == arm
                ratio = by_ratio(value_N, only, treated_U)
                try:
                    found = infer(staggered(value_N, only, treated_U, ratio, early=True), seed)
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
