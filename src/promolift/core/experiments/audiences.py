"""Sort customers into the audiences of plays: absent, long absent, due, not due yet, active.

Who is absent is read from the shop's own return curve: the share of customers who buy in the next window, by the days
since their last purchase. It rises to a peak and falls; beyond the peak customers are absent where it is below half of
the peak and long absent where it is below a quarter. A personal rhythm decides the day on which a customer of a shop of
regular buyers is due, and who is not due yet: whoever was here less long ago than usual comes without an offer.

Sales: customer_id, day (whole days), value_cents; at most a row per customer and day.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ACTIVE, DUE, ABSENT, LONG_ABSENT = "active", "due", "absent", "long absent"
NOT_DUE = "not due yet"  # comes without an offer, and gets none
PREDICTED = "predicted"  # for whom evidence says what an offer adds: they get it, and draw nothing
LEFT_CART, NOT_BOUGHT = "left cart", "not bought yet"  # that the log of purchases does not tell
FIRST_AUDIENCES = (LEFT_CART, DUE, ABSENT, LONG_ABSENT, NOT_BOUGHT)  # where a test costs little
ABSENT_SHARE, LONG_ABSENT_SHARE = 0.5, 0.25  # of the peak of the return curve
EDGES = np.array([0, 7, 14, 21, 28, 42, 56, 77, 98, 126, 154, 196, 238, 294, 364, 10_000], dtype=np.float64)
MOMENTS = 12  # earlier moments, a window apart, from which the curve is read
FEWEST = 60  # customers seen in a stretch of the curve below which it is joined with the next
GAPS = 3  # between purchases, from which a rhythm is read
REGULAR = 0.3  # median deviation of gaps from their median, as a share of it, below which they are a rhythm
REGULAR_SHARE = 0.5  # of those with enough gaps: fewer are regular by chance alone
RHYTHM_QUANTILE = 0.25  # of a customer's gaps: a purchase made elsewhere leaves a gap of two rhythms or more
OVERDUE_DAYS = 7  # after the due day up to which a reminder still goes out, at once
EARLY_DAYS = 2  # before the due day on which a reminder is sent
MERGED_BELOW, SMALLEST = 500, 100  # customers of both absent audiences, and of either, below which they are one


class ReturnCurve(NamedTuple):
    """Share of customers who buy within a window, by days since the last purchase (stretches S from `start_S`), and the
    days from which customers are absent and long absent; infinite where the curve does not fall so far."""

    start_S: Floats
    share_S: Floats
    count_S: Floats
    absent_days: float
    long_absent_days: float


def fit_return_curve(sales: pl.DataFrame, day: int, window: int) -> ReturnCurve:
    """Read the curve from `MOMENTS` earlier moments, all of them a whole window before `day`."""
    came_S, count_S = np.zeros(len(EDGES) - 1), np.zeros(len(EDGES) - 1)
    first = day if sales.is_empty() else int(sales["day"].min())  # type: ignore[arg-type]
    for k in range(1, MOMENTS + 1):
        at = day - k * window
        if at - first < window:
            break
        past = sales.filter(pl.col("day") < at).group_by("customer_id").agg(recency=at - pl.col("day").max())
        ahead = sales.filter(pl.col("day").is_between(at, at + window, closed="left")).select("customer_id").unique()
        seen = past.join(ahead.with_columns(came=1.0), on="customer_id", how="left")
        slot = np.searchsorted(EDGES, seen["recency"].to_numpy(), side="right") - 1
        slot = np.minimum(slot, len(came_S) - 1)  # one wrong date makes everybody absent for thousands of years
        came_S += np.bincount(slot, seen["came"].fill_null(0.0).to_numpy(), len(came_S))
        count_S += np.bincount(slot, minlength=len(count_S))
    start, came, count = _join_small(came_S, count_S)
    if not start.size:
        return ReturnCurve(start, came, count, np.inf, np.inf)
    share_S = came / count
    peak = int(np.argmax(share_S))
    falling = scipy.optimize.isotonic_regression(share_S[peak:], weights=count[peak:], increasing=False).x
    share_S = np.concatenate([share_S[:peak], falling])
    return ReturnCurve(
        start, share_S, count,
        *(_from_share(start[peak:], falling, part) for part in (ABSENT_SHARE, LONG_ABSENT_SHARE)),
    )  # fmt: skip


class _Stretches(NamedTuple):
    start_S: Floats
    came_S: Floats
    count_S: Floats


def _join_small(came_S: Floats, count_S: Floats) -> _Stretches:
    """Stretches of `EDGES` joined until enough customers were seen in each."""
    start, came, count = [], [], []
    more, people, begin = 0.0, 0.0, EDGES[0]
    for slot in range(len(came_S)):
        more, people = more + came_S[slot], people + count_S[slot]
        if people >= FEWEST:
            start.append(begin)
            came.append(more)
            count.append(people)
            more, people, begin = 0.0, 0.0, EDGES[slot + 1]
    return _Stretches(np.array(start), np.array(came), np.array(count))


def _from_share(start_S: Floats, share_S: Floats, part: float) -> float:
    below = np.flatnonzero(share_S < part * share_S[0])
    return float(start_S[below[0]]) if below.size else np.inf


def assign_audiences(sales: pl.DataFrame, day: int, window: int, curve: ReturnCurve) -> pl.DataFrame:
    """customer_id, audience, due_day (of customers with a rhythm; null for others) and recency, ordered by customer_id.

    Where most customers with enough gaps are regular, all of these have a rhythm: who bought elsewhere in between looks
    irregular. They are due on its first multiple that is at most `OVERDUE_DAYS` past, and in the audience `due` where
    the reminder falls before the window's end. `not due yet`: one whose reminder falls later, and a customer whose last
    purchase is less long ago than the median of their gaps. Everybody who has bought has one audience.
    """
    past = sales.filter(pl.col("day") < day).sort("customer_id", "day")
    gap = pl.col("day").diff().over("customer_id").cast(pl.Float64)
    each = past.with_columns(gap=gap).group_by("customer_id", maintain_order=True).agg(
        recency=(day - pl.col("day").max()), orders=pl.len(), gaps=pl.col("gap").count(),
        middle=pl.col("gap").median(), rhythm=pl.col("gap").quantile(RHYTHM_QUANTILE).clip(lower_bound=1.0),
        spread=(pl.col("gap") - pl.col("gap").median()).abs().median(),
    )  # fmt: skip
    enough = pl.col("gaps") >= GAPS
    regular = enough & (pl.col("spread") <= REGULAR * pl.col("middle"))
    counted = each.select(enough.sum().alias("enough"), regular.sum().alias("regular")).row(0)
    known = counted[0] >= FEWEST and counted[1] >= REGULAR_SHARE * counted[0]
    times = ((pl.col("recency") - OVERDUE_DAYS) / pl.col("rhythm")).ceil().clip(lower_bound=1)
    next_day = day - pl.col("recency") + (times * pl.col("rhythm")).round().cast(pl.Int64)
    each = each.with_columns(due_day=pl.when(enough & pl.lit(known)).then(next_day))
    due = (pl.col("due_day") - EARLY_DAYS < day + window) & (pl.col("recency") < curve.long_absent_days)
    name = (
        pl.when(due).then(pl.lit(DUE))
        .when((enough & (pl.col("recency") < pl.col("middle"))) | (pl.col("due_day") - EARLY_DAYS >= day + window))
        .then(pl.lit(NOT_DUE))
        .when(pl.col("recency") >= curve.long_absent_days).then(pl.lit(LONG_ABSENT))
        .when(pl.col("recency") >= curve.absent_days).then(pl.lit(ABSENT))
        .otherwise(pl.lit(ACTIVE))
    )  # fmt: skip
    return merge_small(each.select("customer_id", name.alias("audience"), "due_day", "recency"))


def merge_small(rows: pl.DataFrame) -> pl.DataFrame:
    """The same with one absent audience, named by the larger, where two would be too small to learn from."""
    absent, long_absent = (rows.filter(audience=name).height for name in (ABSENT, LONG_ABSENT))
    if absent + long_absent >= MERGED_BELOW and min(absent, long_absent) >= SMALLEST:
        return rows
    both = dict.fromkeys((ABSENT, LONG_ABSENT), LONG_ABSENT if long_absent > absent else ABSENT)
    return rows.with_columns(pl.col("audience").replace(both))
