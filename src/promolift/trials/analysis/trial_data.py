"""Read the rows of a trial into features, arms, outcomes and costs, and report what is doubtful about them.

Legend: N customers, A arms (arm 0 is control).
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.effects.uplift import diagnostics
from promolift.core.effects.uplift.randomisation_tests import conditional_balance_test
from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import COLUMN_SYNONYMS
from promolift.foundation.files.column_types import infer_types
from promolift.foundation.files.table_files import read_trial_file
from promolift.foundation.frames import as_frame
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.formatting import count
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.i18n.suggestion import suggest_nearest
from promolift.trials.analysis.post_treatment import (
    OUTCOME_NAMES,
    find_gaps,
    find_late_names,
    find_leaks,
    find_unknowable,
    is_fixed,
    is_stated_before,
    require_unrevealed_arms,
    spoken_name,
)
from promolift.trials.analysis.randomisation_units import RandomisationUnits, find_units
from promolift.trials.analysis.settings import ProfitFormula, TrialSettings, percentage_cost, value_text

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
YES, NO = ("yes", "y", "true", "t", "1", "是"), ("no", "n", "false", "f", "0", "否")
EVERYBODY = "the same for everybody"  # the one feature of a file that says nothing of its customers
ROW = "row"  # names customers where no column does
MAX_AMOUNTS = 200  # different ones that are read
MAX_UNGROUPED_ARMS = 9  # arms, control included, beyond which amounts are taken in groups
MOST_BANDS, FEW_BANDS, LEAST_IN_BAND = 10, 4, 200  # groups of a curve; of arms; customers of each
UNEVEN, FEW_LOST = 0.01, 0.05  # outcomes missing more often in one arm at such a p, or by such a share, are asked after


@dataclass(frozen=True)
class TrialData:
    """Features known before, arm numbers (0 control) and their names, outcomes by name.

    `cost_NA`, `part_A`: what treating costs, as in ProfitFormula. `who`: the column that names customers, else the
    rows of the file by number (`row`, from 1).
    `planned_NA`: every customer's stated propensity of each arm, None where no lot is stated. `units`: which rows count
    together, None where every row is a customer. `doubts`: what a person
    should look at, in words. `where` names the file in errors. `before`: the features that are stated, or surely sound,
    to have been known before the treatment; any other may be a consequence of it, so it weights and adjusts nothing.
    """

    settings: TrialSettings
    features: pl.DataFrame
    arm_N: Ints
    arms: tuple[str, ...]
    outcomes: dict[str, Floats]
    placebos: dict[str, Floats]
    cost_NA: Floats
    part_A: Floats
    who: pl.Series
    planned_NA: Floats | None = None
    units: RandomisationUnits | None = None
    doubts: tuple[LazyMessage, ...] = ()
    where: str = "data"
    before: tuple[str, ...] = ()

    @property
    def unsure(self) -> tuple[str, ...]:
        """Features of which nobody said that they were known before."""
        return tuple(name for name in self.features.columns if name not in (*self.before, EVERYBODY))

    @property
    def weighing(self) -> tuple[str, ...]:
        """Features that arms may be weighted by where they differ.

        A lot moves no column that was known before, so where one is stated a difference speaks against what a name
        sounds like: then only features that a person named are weighed, and those that no offer can change, if arms
        differ in them among customers with like outcomes as well.
        """
        planned_NA = self.planned_NA
        if planned_NA is None or self.settings.features:
            return self.before

        def drawn_by(name: str) -> bool:
            rows = (self.arm_N, planned_NA, diagnostics.ALPHA, diagnostics.SEED)
            column, outcomes = self.features[name], self.outcomes.values()
            return not any(conditional_balance_test(column, each, *rows).passed for each in outcomes)

        return tuple(n for n in self.before if n == self.settings.strata or (is_fixed(n) and drawn_by(n)))

    @property
    def sure_features(self) -> pl.DataFrame:
        """The features that averages may be adjusted by."""
        return self.features.select(self.before) if self.before else nothing_known(self.features.height)

    def without(self, left_out: tuple[str, ...]) -> "TrialData":
        """The trial without features that may be consequences of the treatment, and a doubt that names them."""
        if not left_out:
            return self
        features = self.features.drop(left_out) if set(left_out) < set(self.features.columns) else None
        doubt = gettext_lazy(
            "left out since the arms differ in them, as they do in what is measured after the treatment: {names} "
            "(features=... takes them)",
            names=", ".join(left_out),
        )
        return replace(
            self, features=nothing_known(self.features.height) if features is None else features,
            doubts=(*self.doubts, doubt),
            before=tuple(name for name in self.before if name not in left_out),
        )  # fmt: skip

    def unadjusted(self, movers: tuple[str, ...]) -> "TrialData":
        """The trial without adjusting by columns that move the effect as drawn, and a doubt that names them."""
        if not movers:
            return self
        doubt = gettext_lazy(
            "no effect is adjusted by {names}: it would move the effect further than chance moves it by what was known "
            "before the treatment. Measured afterwards? Then say ignore={columns} (features=... adjusts by them)",
            names=", ".join(movers), columns=",".join(movers),
        )  # fmt: skip
        before = tuple(name for name in self.before if name not in movers)
        return replace(self, doubts=(*self.doubts, doubt), before=before)

    def net(self, outcome: str) -> ProfitFormula:
        return self.settings.net(outcome, self.cost_NA, self.part_A)

    def subset(self, rows: Ints) -> "TrialData":
        outcomes = {name: values[rows] for name, values in self.outcomes.items()}
        cost_NA = self.cost_NA if len(self.cost_NA) == 1 else self.cost_NA[rows]
        return TrialData(
            self.settings, self.features[rows], self.arm_N[rows], self.arms, outcomes, {}, cost_NA, self.part_A,
            self.who[rows], where=self.where, before=self.before,
        )  # fmt: skip


def nothing_known(rows: int) -> pl.DataFrame:
    """The features of customers of whom nothing is known."""
    return pl.DataFrame({EVERYBODY: np.zeros(rows)})


def read_rows(table: Any, what: str = "data") -> pl.DataFrame:
    """Return the rows of a file or a frame of any kind unchanged; `what` names a frame in errors."""
    return read_trial_file(Path(table)) if isinstance(table, str | Path) else as_frame(table, what)


def read_trial(table: Any, settings: TrialSettings) -> TrialData:
    """Read the rows as `settings` describes them. Raises InputError naming the file and what is missing or wrong."""
    where = str(table) if isinstance(table, str | Path) else "data"
    raw = read_rows(table)
    _all_there(where, raw.columns, settings)
    frame, guessed = infer_types(raw, (settings.treatment, settings.strata))
    used = (settings.treatment, *settings.outcomes, *settings.placebos)
    arms = _arms(where, frame[settings.treatment], settings)
    arm_N = arm_numbers(frame[settings.treatment], arms)
    if settings.unit is None:
        _one_row_each(where, frame.drop(settings.ignore), arm_N)
    answered = _rows_with_outcomes(where, frame, settings, arm_N, arms)
    frame, raw, arm_N = frame[answered.row_N], raw[answered.row_N], arm_N[answered.row_N]
    values = {name: _outcome(where, frame[name], settings) for name in settings.outcomes}
    placebos = {name: _outcome(where, frame[name], settings) for name in settings.placebos}
    keys = [c.name for c in frame if _is_key(c)]
    by = (settings.unit, settings.time, settings.start)
    others = [n for n in frame.columns if n not in (*used, *settings.ignore, *keys, *settings.cost_columns, *by)]
    left_out = {} if settings.features else _left_out(frame.select(others), values, arm_N)
    features = settings.features or tuple(n for n in others if not any(n in names for names in left_out.values()))
    if nested := [name for name in features if frame[name].dtype.is_nested()]:
        raise InputError(
            "column_type_wrong",
            gettext_lazy(
                "{where}: {nested} holds a {dtype} in each row; ignore={nested_2}",
                where=where, nested=repr(nested[0]), dtype=frame[nested[0]].dtype, nested_2=nested[0],
            ),
        )  # fmt: skip
    units = find_units(where, frame, settings, arm_N, arms)
    if units is not None and units.design != "repeated":
        arm_N = units.arm_U[units.unit_N]
    known = frame.select(features) if features else nothing_known(frame.height)
    planned_NA = _planned(where, frame, settings, arms)
    late = (
        [] if settings.features or units else find_late_names(features) + find_leaks(known, values, arm_N, named=True)
    )
    doubts = [
        *answered.doubts,
        *(LazyMessage.from_stored(each) for each in guessed if each.split(":")[0] in (*features, *used)),
    ]
    if keys and not settings.features:
        doubts.append(gettext_lazy("left out as names of customers: {names}", names=", ".join(keys)))
    doubts += [gettext_lazy(why, names=", ".join(left)) for why, left in left_out.items() if left]
    if late:
        names = list(dict.fromkeys(late))
        doubts.append(
            gettext_lazy(
                "known before the treatment: {names}? If not, say ignore={columns}; no effect is adjusted by them "
                "(features=... adjusts by them)",
                names=", ".join(names), columns=",".join(names),
            )
        )  # fmt: skip
    if planned_NA is not None and (units is None or units.design == "repeated"):
        require_unrevealed_arms(where, known, arm_N, arms)
    named = _who(raw, [n for n in frame.columns if n not in (*used, settings.strata, *settings.cost_columns)], keys)
    who = pl.Series(ROW, answered.row_N + 1) if named is None else named
    part_A = np.array([0.0, *(percentage_cost(cost) or 0.0 for cost in stated_costs(where, settings, arms))])
    cost_NA = treatment_costs(where, frame, settings, arms)
    if units is None and (grouped := _grouped(arms, arm_N, settings.dose)) is not None:
        share_A = np.bincount(arm_N, minlength=len(arms))
        into_AG = (grouped.group_A[:, None] == np.arange(len(grouped.arms))).astype(np.float64)
        weight_AG = into_AG * share_A[:, None] / (into_AG * share_A[:, None]).sum(axis=0)
        cost_NA, part_A = cost_NA @ weight_AG, part_A @ weight_AG
        planned_NA = None if planned_NA is None else planned_NA @ into_AG
        arms, arm_N = grouped.arms, grouped.group_A[arm_N]
        doubts.append(grouped.doubt)
    stated = settings.features or (settings.strata,)
    before = tuple(name for name in features if name in stated or (is_stated_before(name) and name not in late))
    return TrialData(
        settings, known, arm_N, arms, values, placebos, cost_NA, part_A, who, planned_NA, units, tuple(doubts), where,
        before,
    )  # fmt: skip


def _left_out(others: pl.DataFrame, values: dict[str, Floats], arm_N: Ints) -> dict[str, list[str]]:
    """Columns that were or may have been measured after the treatment, by the message that says so."""
    happened = [name for name in others.columns if OUTCOME_NAMES.fullmatch(spoken_name(name))]
    leaks = find_leaks(others.drop(happened), values, arm_N)
    return {
        gettext_noop("left out since nobody can have known them before the treatment: {names} "
            "(features=... takes them)"): find_unknowable(others.columns),
        gettext_noop("left out since they all but tell the outcome, as only what came afterwards does: {names} "
            "(features=... takes them)"): leaks,
        gettext_noop("left out since whether they have a value follows the outcome or the treatment: {names} "
            "(features=... takes them)"):
            find_gaps(others.drop(*happened, *leaks), values, arm_N),
        gettext_noop("left out as what customers did afterwards: {names} "
            "(features=... takes them)"): happened,
    }  # fmt: skip


class _RowsWithOutcomes(NamedTuple):
    """Rows whose outcomes count, and what is to be said of the others."""

    row_N: Ints
    doubts: tuple[LazyMessage, ...]


def _rows_with_outcomes(
    where: str, frame: pl.DataFrame, settings: TrialSettings, arm_N: Ints, arms: tuple[str, ...]
) -> _RowsWithOutcomes:
    """The stated rule for missing outcomes; without one, a few that no arm has more of than others are left out."""
    gone = frame.select(pl.any_horizontal(pl.col((*settings.outcomes, *settings.placebos)).is_null())).to_series()
    lost_N = np.flatnonzero(gone.to_numpy())
    everybody = np.arange(frame.height)
    if not lost_N.size:
        return _RowsWithOutcomes(everybody, ())
    count_A, lost_A = (np.bincount(each, minlength=len(arms)) for each in (arm_N, arm_N[lost_N]))
    names = [name for name in (*settings.outcomes, *settings.placebos) if frame[name].null_count()]
    by = ", ".join(f"{lost} of {n} in {arm}" for arm, lost, n in zip(arms, lost_A, count_A, strict=True))
    rows = f"{', '.join(map(str, lost_N[:3] + 1))}{', ...' if lost_N.size > 3 else ''}"
    text = gettext_lazy(
        "customers without {names}: {customers} ({arms}; rows {rows})",
        names=", ".join(names), customers=count(lost_N.size), arms=by, rows=rows,
    )  # fmt: skip
    if settings.missing == "zero":
        return _RowsWithOutcomes(
            everybody, (gettext_lazy("{customers}: counted as 0, as stated (missing=zero)", customers=text),)
        )
    p = float(scipy.stats.chi2_contingency(np.array([lost_A, count_A - lost_A])).pvalue) if lost_A.any() else 1.0
    uneven = p < UNEVEN
    if settings.missing is None and (uneven or lost_N.size > FEW_LOST * frame.height):
        why = (
            gettext_lazy("more often in one arm than in another (p = {p}), which biases what is left", p=f"{p:.2g}")
            if uneven
            else gettext_lazy("many")
        )
        raise InputError(
            "outcomes_missing_unevenly" if uneven else "outcomes_missing",
            gettext_lazy(
                "{where}: {customers}: {why}. Say missing=zero if an empty cell means none, or missing=leave_out to "
                "leave them out, which is fair only if no treatment moved who is missing",
                where=where, customers=text, why=why,
            ),
        )  # fmt: skip
    doubt = (
        gettext_lazy(
            "{customers}: left out; they are not spread evenly over the arms (p = {p})", customers=text, p=f"{p:.2g}"
        )
        if uneven
        else gettext_lazy("{customers}: left out", customers=text)
    )
    return _RowsWithOutcomes(np.setdiff1d(everybody, lost_N), (doubt,))


def _all_there(where: str, columns: list[str], settings: TrialSettings) -> None:
    """Refuse the name of a column that is not there, and suggest the nearest."""
    single = {role: getattr(settings, role) for role in ("treatment", "money", "strata", "unit", "time")}
    costs_ = [("cost", name) for name in settings.cost_columns]
    asked = [(role, name) for role, name in (*single.items(), *costs_) if name]
    for role in ("rates", "counts", "placebos", "features", "ignore"):
        asked += [(role, name) for name in getattr(settings, role)]
    for role, name in asked:
        if name not in columns:
            text = gettext_lazy(
                "{where}: no column {name}, which {role} names{near}",
                where=where,
                name=repr(name),
                role=role,
                near=suggest_nearest(name, columns),
            )
            raise InputError(
                "column_unknown", gettext_lazy("{text}; it has {columns}", text=text, columns=", ".join(columns))
            )


def _who(raw: pl.DataFrame, others: list[str], keys: list[str]) -> pl.Series | None:
    """The column that names customers, as it stands in the file: a value of its own for every row."""
    named = [name for name in others if _is_customer(name)]
    for name in dict.fromkeys((*named, *(key for key in keys if key in others))):
        if not raw[name].null_count() and raw[name].n_unique() == raw.height:
            return raw[name]
    return None


def stated_costs(where: str, settings: TrialSettings, arms: tuple[str, ...]) -> list[float | str]:
    """Return the stated cost of each treatment. Raises InputError naming an arm that is unknown or has no cost."""
    if not isinstance(settings.cost, dict):
        return [settings.cost] * (len(arms) - 1)
    for name, cost in settings.cost.items():
        if name not in arms or (name == arms[0] and cost):
            listed = ", ".join(arms[1:])
            treatments = gettext_lazy(
                "treatments of {treatment} are {arms}, control costs nothing", treatment=settings.treatment, arms=listed
            )
            raise InputError(
                "arm_unknown",
                gettext_lazy(
                    "{where}: cost of {name}{near}; {known}",
                    where=where, name=repr(name), near=suggest_nearest(name, arms[1:]), known=treatments,
                ),
            )  # fmt: skip
    if missing := [name for name in arms[1:] if name not in settings.cost]:
        raise InputError(
            "cost_missing",
            gettext_lazy(
                "{where}: cost says nothing of {missing}; say 0 if treating with it is free",
                where=where, missing=repr(missing[0]),
            ),
        )  # fmt: skip
    return [settings.cost[name] for name in arms[1:]]


def treatment_costs(where: str, frame: pl.DataFrame, settings: TrialSettings, arms: tuple[str, ...]) -> Floats:
    """Return the cost of treatment before any purchase, control 0: one row for all customers alike, or N x A if a
    column states it. Raises InputError naming the arm or the column without a cost.
    """
    found = [_paid(where, frame, cost) for cost in stated_costs(where, settings, arms)]
    longest = max(map(len, found), default=1)
    return np.column_stack([np.zeros(longest), *(np.broadcast_to(each, longest) for each in found)])


def _paid(where: str, frame: pl.DataFrame, cost: float | str) -> Floats:
    """What one treatment costs each customer, one number where all cost the same."""
    if not isinstance(cost, str) or percentage_cost(cost) is not None:
        return np.array([0.0 if isinstance(cost, str) else cost])
    if cost not in frame.columns:
        raise InputError(
            "column_unknown",
            gettext_lazy(
                "{where}: no column {cost}, which says what treating each customer costs", where=where, cost=repr(cost)
            ),
        )
    values = frame[cost]
    if not values.dtype.is_numeric() or values.null_count() or not (values >= 0).all():
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "{where}: cost {cost} needs an amount of 0 or more for every customer", where=where, cost=repr(cost)
            ),
        )
    return values.cast(pl.Float64).to_numpy()


def match_features(raw: pl.DataFrame, like: pl.DataFrame) -> pl.DataFrame:
    """Return the features of new customers in the types that the models learned from. Raises InputError naming the
    column.
    """
    columns = []
    for known in like:
        name = known.name
        if name not in raw.columns:
            raise InputError(
                "column_missing",
                gettext_lazy(
                    "new: no column {name}, which was known in the trial{suggest_nearest_name}",
                    name=repr(name), suggest_nearest_name=suggest_nearest(name, raw.columns),
                ),
            )  # fmt: skip
        column = infer_types(raw.select(name)).frame[name] if known.dtype != pl.String else raw[name].cast(pl.String)
        if column.null_count() == len(column):
            column = column.cast(known.dtype)
        if known.dtype.is_temporal() and column.dtype.is_temporal():
            column = column.cast(known.dtype)
        if known.dtype.is_numeric() and column.dtype == pl.String:
            wrong = column.filter(column.cast(pl.Float64, strict=False).is_null() & column.is_not_null())
            raise InputError(
                "column_type_wrong",
                gettext_lazy(
                    "new: {name} held numbers in the trial, now {wrong}", name=repr(name), wrong=repr(wrong[0])
                ),
            )
        columns.append(column)
    return pl.DataFrame(columns)


def _arms(where: str, column: pl.Series, settings: TrialSettings) -> tuple[str, ...]:
    """Names of the arms, control first."""
    who = _names(column)
    if who.null_count():
        first = int(np.flatnonzero(who.is_null().to_numpy())[0]) + 1
        raise InputError(
            "value_missing",
            gettext_lazy(
                "{where}: {rows} rows without {treatment}, first row {first}; say who got what, or take these rows out",
                where=where, rows=count(who.null_count()), treatment=settings.treatment, first=first,
            ),
        )  # fmt: skip
    found = sorted(who.unique().to_list())
    shown = ", ".join(found[:20]) + (", ..." if len(found) > 20 else "")
    if settings.control not in found:
        raise InputError(
            "control_unknown",
            gettext_lazy(
                "{where}: control {control} is no value of {treatment}: {shown}",
                where=where, control=repr(settings.control), treatment=settings.treatment, shown=shown,
            ),
        )  # fmt: skip
    others = tuple(name for name in found if name != settings.control)
    if not 2 <= len(found) <= (MAX_AMOUNTS if depths((settings.control, *others)) else 30):
        remedy = gettext_lazy("; round them to a few, such as 0, 5, 10, 20") if column.dtype.is_numeric() else ""
        raise InputError(
            "arm_count_invalid",
            gettext_lazy(
                "{where}: {treatment} has {found} values; a trial has 2 to 30 arms{remedy}",
                where=where, treatment=settings.treatment, found=len(found), remedy=remedy,
            ),
        )  # fmt: skip
    return (settings.control, *others)


def arm_numbers(column: pl.Series, arms: tuple[str, ...]) -> Ints:
    """Return each customer's arm as its index in `arms`."""
    place = {name: at for at, name in enumerate(arms)}
    return _names(column).replace_strict(place, return_dtype=pl.Int64).to_numpy()


def depths(arms: tuple[str, ...]) -> list[float] | None:
    """Return arms as depths: numbers, or the one number in their names ("10% off" is 0.1); control without one is 0.
    None if they are no depths.
    """
    found = []
    for place, name in enumerate(arms):
        numbers = re.findall(r"\d+(?:[.,]\d+)?", name)
        if len(numbers) != 1 and (numbers or place):
            return None
        value = float(numbers[0].replace(",", ".")) if numbers else 0.0
        found.append(value / 100 if "%" in name else value)
    return found


class _Grouped(NamedTuple):
    """Amounts in groups of neighbours: names, the group of every arm, and what to say of it."""

    arms: tuple[str, ...]
    group_A: Ints
    doubt: LazyMessage


def _grouped(arms: tuple[str, ...], arm_N: Ints, dose: bool) -> _Grouped | None:
    """So many amounts that each has few customers, in groups of neighbours with about as many each."""
    amounts, count_A = depths(arms), np.bincount(arm_N, minlength=len(arms))
    if amounts is None or amounts[0] != 0 or len(arms) <= MAX_UNGROUPED_ARMS:
        return None
    order = np.argsort(amounts[1:]) + 1
    groups = max(2, min(MOST_BANDS if dose else FEW_BANDS, int(count_A[1:].sum() // LEAST_IN_BAND)))
    before = np.cumsum(count_A[order]) - count_A[order] / 2
    group_A = np.zeros(len(arms), np.int64)
    group_A[order] = np.unique(np.minimum(before * groups // count_A[1:].sum(), groups - 1), return_inverse=True)[1] + 1
    names = [arms[0]]
    for group in range(1, int(group_A.max()) + 1):
        mine = [at for at in order.tolist() if group_A[at] == group]
        mean = float(np.average(np.array(amounts)[mine], weights=count_A[mine]))
        names.append(
            f"{mean:.4g}" if dose else arms[mine[0]] if len(mine) == 1 else f"{arms[mine[0]]} to {arms[mine[-1]]}"
        )
    found = {"amounts": len(arms) - 1, "groups": len(names) - 1, "names": ", ".join(names[1:])}
    doubt = (
        gettext_lazy("{amounts} amounts are taken in {groups} groups of neighbours: {names}", **found)
        if dose
        else gettext_lazy(
            "{amounts} amounts are taken in {groups} groups of neighbours: {names} (dose=true reads them as one curve)",
            **found,
        )
    )
    return _Grouped(tuple(names), group_A, doubt)


def _names(column: pl.Series) -> pl.Series:
    """Treatments as text; numbers as short as they can be written, so that 0.0 is 0."""
    if column.dtype.is_float():
        each = column.unique().drop_nulls().to_list()
        short = {value: value_text(value) for value in each}
        return column.replace_strict(short, return_dtype=pl.String, default=None)
    return column.cast(pl.String)


def _one_row_each(where: str, frame: pl.DataFrame, arm_N: Ints) -> None:
    """Refuse a file in which the same customer stands twice: their rows are no two customers."""
    for column in frame:
        if not _is_customer(column.name) or column.null_count():
            continue
        people = column.n_unique()
        if 1 < people < len(column) and (people > 50 or len(column) / 2 < people):
            arms = pl.DataFrame({"who": column, "arm": arm_N}).group_by("who").agg(pl.col("arm").n_unique())
            several = int((arms["arm"] > 1).sum())
            raise InputError(
                "repeats_not_declared",
                gettext_lazy(
                    "{where}: {column} rows of {people} customers by {name}, {several} of them in more than "
                    "one arm; a trial has one row per customer. Say unit={column_name} if they were offered "
                    "something anew each time, so that theirs count together; or add theirs up, leave out who "
                    "got two, or say ignore={column_name} if each row counts for itself",
                    where=where, column=f"{len(column):,}", people=f"{people:,}", name=repr(column.name),
                    several=f"{several:,}", column_name=column.name,
                ),
            )  # fmt: skip


def _is_key(column: pl.Series) -> bool:
    """A value of its own for (nearly) every row, as text or as whole numbers in a row: a name, no feature."""
    if column.dtype == pl.String:
        return column.n_unique() > 0.9 * max(100, len(column))
    if not column.dtype.is_numeric() or column.null_count() or not 100 <= len(column) == column.n_unique():
        return False
    low, high = float(column.min()), float(column.max())  # type: ignore[arg-type]
    dense = high - low < 2 * len(column) and bool((column == column.round()).all())
    return dense or (bool((column == column.round()).all()) and _is_customer(column.name))


def _is_customer(name: str) -> bool:
    word = re.sub(r"[\W_]+", "", name).lower()
    return word == "id" or word in COLUMN_SYNONYMS["customer_id"]


def _outcome(where: str, column: pl.Series, settings: TrialSettings) -> Floats:
    rate = column.name in settings.rates
    if column.dtype == pl.Boolean:
        column = column.cast(pl.Float64)
    if rate and column.dtype == pl.String and set(words := column.str.to_lowercase().unique()) <= {*YES, *NO, None}:
        column = column.str.to_lowercase().replace_strict({word: float(word in YES) for word in words if word})
    if not column.dtype.is_numeric():
        kind = (
            gettext_lazy("text such as {column}", column=column.drop_nulls()[:1].to_list())
            if column.dtype == pl.String
            else f"{column.dtype}"
        )
        raise InputError(
            "column_type_wrong",
            gettext_lazy(
                "{where}: outcome {name} has {kind}; give a number for every customer",
                where=where, name=repr(column.name), kind=kind,
            ),
        )  # fmt: skip
    values: Floats = column.cast(pl.Float64).fill_null(0.0).to_numpy().astype(np.float64)  # only where stated: zero
    if rate and not np.isin(values, (0.0, 1.0)).all():
        raise InputError(
            "outcome_not_binary",
            gettext_lazy(
                "{where}: {name} is named as a rate but has other values than 0 and 1",
                where=where, name=repr(column.name),
            ),
        )  # fmt: skip
    if not np.isfinite(values).all():
        raise InputError(
            "value_not_finite",
            gettext_lazy(
                "{where}: outcome {name} is infinite in {sum} rows",
                where=where, name=repr(column.name), sum=int((~np.isfinite(values)).sum()),
            ),
        )  # fmt: skip
    return values


def _planned(where: str, frame: pl.DataFrame, settings: TrialSettings, arms: tuple[str, ...]) -> Floats | None:
    """every customer's stated propensity of each arm, N x A."""
    planned, n = settings.planned, frame.height
    if planned is None:
        return None
    if planned == "equal":
        return np.full((n, len(arms)), 1 / len(arms))
    groups = planned if isinstance(planned, dict) else {"": planned}
    for shares in groups.values():
        if len(shares) != len(arms):
            raise InputError(
                "planned_shares_invalid",
                gettext_lazy(
                    "{where}: planned: {shares} shares for {arms} arms {arms_2}",
                    where=where, shares=len(shares), arms=len(arms), arms_2=", ".join(arms),
                ),
            )  # fmt: skip
    if settings.strata is None:
        return np.tile(np.asarray(groups[""], dtype=np.float64), (n, 1))
    group = _names(frame[settings.strata]).fill_null("")
    if unknown := sorted(set(group.unique()) - set(groups)):
        message = gettext_lazy(
            "{where}: {column} = {value} has no planned shares; give planned.{name}",
            where=where, column=settings.strata, value=repr(unknown[0]), name=unknown[0],
        )  # fmt: skip
        raise InputError("planned_shares_missing", message)
    place_N = group.replace_strict({name: at for at, name in enumerate(groups)}, return_dtype=pl.Int64).to_numpy()
    share_GA = np.array(list(groups.values()), dtype=np.float64)
    return np.asarray(share_GA[place_N], dtype=np.float64)
