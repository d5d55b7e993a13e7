"""What each unit (market, shop) adds to an estimate in; what an arm adds, and how sure whole units make it, out.

Rows of one unit are no independent customers: every estimate is a sum of one share for each unit, and its error is
that of these shares. Legend: N rows, U units, T units treated, C control units, B draws.
"""

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from promolift.errors import SupportError
from promolift.hashing import hash_int

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FEW = 20  # units of an arm below which the distribution of t is drawn, not looked up
DRAWS = 1999


class UnitEffect(NamedTuple):
    """An effect per row with its 95 % interval; `relative` to what had been without it, with its own; `p` two-sided."""

    control_mean: float
    effect: float
    se: float
    low: float
    high: float
    p: float
    relative: float


class Shares(NamedTuple):
    """An estimate and each unit's first-order share of its error: those of the treated units, and of the control units.

    `base`: what had been without the treatment.
    """

    effect: float
    base: float
    treated_T: Floats
    control_C: Floats


def infer(shares: Shares, seed: int = 0) -> UnitEffect:
    """Interval and p by Welch's t over units.

    Where an arm has fewer than FEW, t is compared with what reassigning the units' residuals to arms gives (a
    studentised permutation test, which also holds where the arms' spreads differ: Chung & Romano 2013), and with
    Student's t of the smaller arm, whichever asks for more: levels of few shops are skewed.

    One treated unit has no spread of its own: it is taken to be that of control. SupportError below 3 control units.
    """
    treated_T, control_C = shares.treated_T, shares.control_C
    t, c = len(treated_T), len(control_C)
    if c < 3 or t < 1:
        raise SupportError(f"{t} treated and {c} control units: at least 1 and 3 are needed to know how units vary")
    own_C = float(np.sum(control_C**2)) * c / (c - 1)
    own_T = float(np.sum(treated_T**2)) * t / (t - 1) if t > 1 else own_C * c
    se, relative = float(np.sqrt(own_T + own_C)), shares.effect / shares.base if shares.base else float("nan")
    if se == 0:
        p = float(shares.effect == 0)
        return UnitEffect(shares.base, shares.effect, 0.0, shares.effect, shares.effect, p, relative)
    freedom = (own_T + own_C) ** 2 / ((own_T**2 / (t - 1) if t > 1 else 0.0) + own_C**2 / (c - 1))
    freedom = freedom if t > 1 else c - 1
    size = abs(shares.effect) / se
    if min(t, c) < FEW:
        size_B = reassigned(t * treated_T if t > 1 else np.zeros(1), c * control_C, seed)
        least = min(t, c) - 1 if t > 1 else c - 1
        steps = max(float(np.quantile(size_B, 0.95)), float(scipy.stats.t.ppf(0.975, least)))
        p = max(float((1 + np.sum(size_B >= size)) / (1 + len(size_B))), float(2 * scipy.stats.t.sf(size, least)))
    else:
        steps, p = float(scipy.stats.t.ppf(0.975, freedom)), float(2 * scipy.stats.t.sf(size, freedom))
    low, high = shares.effect - steps * se, shares.effect + steps * se
    return UnitEffect(shares.base, shares.effect, se, low, high, p, relative)


def reassigned(residual_T: Floats, residual_C: Floats, seed: int) -> Floats:
    """Sizes of t where the units' residuals are dealt to the arms anew."""
    t, all_U = len(residual_T), np.r_[residual_T, residual_C]
    c = len(residual_C)
    if t == 1:  # the placebo in space: every control unit takes its turn
        left = (np.sum(residual_C) - residual_C) / max(c - 1, 1)
        spread = np.sqrt(max(float(residual_C.var(ddof=1)), 1e-300) * (1 + 1 / c))
        return np.asarray(np.abs(residual_C - left) / spread)
    draw = np.random.default_rng(hash_int("reassigned", seed))
    order_BU = np.argsort(draw.random((DRAWS, t + c)), axis=1)
    dealt_BU = all_U[order_BU]
    got_BT, rest_BC = dealt_BU[:, :t], dealt_BU[:, t:]
    square = got_BT.var(axis=1, ddof=1) / t + rest_BC.var(axis=1, ddof=1) / c
    return np.asarray(np.abs(got_BT.mean(axis=1) - rest_BC.mean(axis=1)) / np.sqrt(np.maximum(square, 1e-300)))


class Change(NamedTuple):
    """Means of each unit before and after a start, NaN where it has no rows there."""

    before_U: Floats
    after_U: Floats


def changes(value_N: Floats, unit_N: Ints, time_N: Ints, start: int, end: int, units: int, first: int = 0) -> Change:
    """Means over the times from `first` to before `start`, and from `start` to before `end`."""
    found = []
    for low, high in ((first, start), (start, end)):
        mine = (time_N >= low) & (time_N < high)
        count_U = np.bincount(unit_N[mine], minlength=units)
        total_U = np.bincount(unit_N[mine], value_N[mine], units)
        found.append(np.divide(total_U, count_U, out=np.full(units, np.nan), where=count_U > 0))
    return Change(*found)


def difference(change: Change, treated_U: NDArray[np.bool_], control_U: NDArray[np.bool_], ratio: bool) -> Shares:
    """Difference in differences of units' means before and after; in shares, units not looked at have none.

    `ratio`: without the treatment the treated would have changed in the same proportion as control did, else by the
    same amount. Whole units are compared, so that the days of one market, which move together, count once (Bertrand,
    Duflo & Mullainathan 2004).
    """
    there = np.isfinite(change.before_U) & np.isfinite(change.after_U)
    t, c = np.flatnonzero(treated_U & there), np.flatnonzero(control_U & there)
    if len(c) < 1 or len(t) < 1:
        raise SupportError("no unit of an arm was seen both before and after the start")
    before_T, before_C = change.before_U[t], change.before_U[c]
    grown = float(change.after_U[c].mean() / before_C.mean()) if ratio else 1.0
    left_T, left_C = change.after_U[t] - grown * before_T, change.after_U[c] - grown * before_C
    scale = float(before_T.mean() / before_C.mean()) if ratio else 1.0
    effect = float(left_T.mean() - scale * left_C.mean())
    base = float(change.after_U[t].mean()) - effect
    treated, control = np.zeros(len(treated_U)), np.zeros(len(treated_U))
    treated[t], control[c] = (left_T - left_T.mean()) / len(t), -scale * (left_C - left_C.mean()) / len(c)
    return Shares(effect, base, treated, control)


class Panel(NamedTuple):
    """Rows of units over `times` periods, and the period in which each unit's treatment starts (`times`: never)."""

    unit_N: Ints
    time_N: Ints
    start_U: Ints
    times: int


def staggered(value_N: Floats, panel: Panel, treated_U: NDArray[np.bool_], ratio: bool, early: bool = False) -> Shares:
    """Units that start together against those that never do, over the same times, and the mean of these by their number
    (Callaway & Sant'Anna 2021). `early`: a placebo, the start put to the middle of the time before.
    """
    never_U, units = panel.start_U >= panel.times, len(panel.start_U)
    effect, base, treated, control = 0.0, 0.0, np.zeros(units), np.zeros(units)
    starts = np.unique(panel.start_U[treated_U & ~never_U])
    for start in starts.tolist():
        mine = treated_U & (panel.start_U == start)
        turn, end = (start // 2, start) if early else (start, panel.times)
        change = changes(value_N, panel.unit_N, panel.time_N, turn, end, units)
        part, weight = difference(change, mine, never_U, ratio), float(mine.sum()) / float(treated_U.sum())
        effect, base = effect + weight * part.effect, base + weight * part.base
        treated, control = treated + weight * part.treated_T, control + weight * part.control_C
    return Shares(effect, base, treated[treated_U], control[never_U])


def by_ratio(value_N: Floats, panel: Panel, treated_U: NDArray[np.bool_]) -> bool:
    """Whether arms moved more alike in proportion than by amounts, judged by the time before alone."""
    if value_N.min() < 0 or not (panel.start_U[treated_U] >= 4).all():
        return False
    change = changes(value_N, panel.unit_N, panel.time_N, 1, panel.times, len(panel.start_U))
    never_U = panel.start_U >= panel.times
    if not all(np.nanmean(change.before_U[mine]) > 0 for mine in (treated_U, never_U)):
        return False
    errors = []
    for ratio in (False, True):
        found = staggered(value_N, panel, treated_U, ratio, early=True)
        own = np.sum(found.treated_T**2) + np.sum(found.control_C**2)
        errors.append(float(own + found.effect**2))
    return errors[1] < errors[0]
