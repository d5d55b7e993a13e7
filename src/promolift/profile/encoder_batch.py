"""Histories and points in; batches of tensors for the encoder, and what came after each point, out.

Legend as in encoder.py; a point is a customer at a moment, `day` counts days since 1970 UTC.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from promolift.profile.counters import PERSONAL, VisitCounts, count
from promolift.profile.encoder_data import Bools, Days, Floats, Histories, Ints, Popularity
from promolift.profile.encoder_tensors import EDGES, HORIZONS, Batch, Marks, Targets
from promolift.profile.exposures import AskedExposures, Exposed, facts

MARKS = 32  # exposures and coupon uses a sequence may hold
EVEN_RATE = 0.5  # how strongly popular items are preferred when some are drawn: share ** EVEN_RATE


@dataclass(frozen=True)
class Points:
    """Customers and moments, with the index of the first visit not yet known."""

    customer_P: Ints
    day_P: Days
    visit_P: Ints

    def take(self, rows: Ints) -> "Points":
        """Some of the points."""
        return Points(self.customer_P[rows], self.day_P[rows], self.visit_P[rows])


def points_at(h: Histories, customer_P: Ints, day_P: Days) -> Points:
    """Points from customers and moments."""
    day_P = np.broadcast_to(np.asarray(day_P, np.float64), np.shape(customer_P))
    return Points(np.asarray(customer_P, np.int64), day_P, h.before(customer_P, day_P))


class CountedBatch(NamedTuple):
    """A batch, and the counters of its points."""

    batch: Batch
    counts: VisitCounts


class Bags(NamedTuple):
    """Items of all visits in a row, and where each of the B x T bags begins (padding: an empty bag)."""

    item_L: Ints
    start: Ints


class VisitInputs(NamedTuple):
    """Day of each visit, and its VISIT features (NaN: unknown)."""

    day_BT: Days
    visit_BTF: Floats


class SpendOrders(NamedTuple):
    """Spend and orders within each horizon; NaN where the horizon reaches beyond what is known."""

    spend_PK: Floats
    orders_PK: Floats


class DrawnItems(NamedTuple):
    """Sampled items, and log of each one's probability to be drawn."""

    item_N: Ints
    log_q_N: Floats


def batch_of(
    h: Histories, points: Points, shared: Popularity, keep: int, max_visits: int, asked: AskedExposures | None = None
) -> CountedBatch:
    """One sequence per customer of `points` and `asked`, with the last `max_visits` visits before the latest moment.

    Where the histories hold exposures, they and `asked` fill the batch's `marks`.
    """
    asked = asked if asked is not None else NOBODY
    asked_at = points_at(h, asked.customer_Q, asked.day_Q)
    who_B, row = np.unique(np.r_[points.customer_P, asked.customer_Q], return_inverse=True)
    row_P, row_Q = row[: len(points.customer_P)], row[len(points.customer_P) :]
    end_B = np.zeros(len(who_B), np.int64)
    np.maximum.at(end_B, row, np.r_[points.visit_P, asked_at.visit_P])
    first_B = np.maximum(h.start_C[who_B], end_B - max_visits)
    T = max(int((end_B - first_B).max(initial=0)), 1)
    at_BT = first_B[:, None] + np.arange(T)
    real_BT = at_BT < end_B[:, None]
    at_BT = np.where(real_BT, at_BT, 0)
    counts = count(h, points.customer_P, points.visit_P, points.day_P, keep)
    bag_L, start = _bags(h, at_BT[real_BT], real_BT)
    days_BT, visit_BTF = _visits(h, at_BT, real_BT, first_B == h.start_C[who_B])
    seen_P, marks = np.maximum(points.visit_P - first_B[row_P], 0), None
    if isinstance(h, Exposed):
        seen_Q = np.maximum(asked_at.visit_P - first_B[row_Q], 0)
        rows = _Rows(who_B, points, row_P, seen_P, asked, row_Q, seen_Q)
        days_BT, seen_P, marks = _marks(h, rows, days_BT, real_BT, keep)
    days_BT = np.concatenate([days_BT[:, :1], days_BT], axis=1)
    batch = Batch(
        bag_L=torch.from_numpy(bag_L),
        bag_start=torch.from_numpy(start),
        visit_BTF=torch.from_numpy(visit_BTF),
        channel_BT=torch.from_numpy(np.where(real_BT, _pick(h.channel_V, at_BT), 0)),
        days_BT=torch.from_numpy((days_BT - days_BT[:, :1]).astype(np.float32)),
        attribute_BA=torch.from_numpy(h.attribute_CA[who_B]),
        row_P=torch.from_numpy(row_P),
        seen_P=torch.from_numpy(seen_P),
        personal_PG=torch.from_numpy(counts.personal_PG),
        item_PM=torch.from_numpy(counts.item_PM),
        counter_PMF=torch.from_numpy(np.concatenate([counts.item_PMF, counts.rates()], axis=2)),
        prior_WI=torch.from_numpy(shared.log_WI),
        week_P=torch.from_numpy(shared.week(points.day_P)),
        marks=marks,
    )
    return CountedBatch(batch, counts)


NOBODY = AskedExposures(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.float32))

NOWHERE = Points(NOBODY.customer_Q, NOBODY.day_Q, NOBODY.offer_Q)


@dataclass(frozen=True)
class _Rows:
    """Whose sequences a batch holds; of each point and asked exposure the sequence and the visits seen before it."""

    who_B: Ints
    points: Points
    row_P: Ints
    seen_P: Ints
    asked: AskedExposures
    row_Q: Ints
    seen_Q: Ints


class _Marked(NamedTuple):
    """Days of visits and marks in order of time, how many of both precede each point, and the marks."""

    day_BX: Days
    seen_P: Ints
    marks: Marks


def _marks(h: Exposed, rows: _Rows, days_BT: Days, real_BT: Bools, keep: int) -> _Marked:
    points, asked, e = rows.points, rows.asked, h.exposures
    latest_B = np.full(len(rows.who_B), -np.inf)
    np.maximum.at(latest_B, np.r_[rows.row_P, rows.row_Q], np.r_[points.day_P, asked.day_Q])
    end_B = e.marks_before(rows.who_B, latest_B)
    first_B = np.maximum(e.mark_start_C[rows.who_B], end_B - MARKS)
    at_BU = first_B[:, None] + np.arange(max(int((end_B - first_B).max(initial=0)), 1))
    real_BU = at_BU < end_B[:, None]
    at_BU = np.where(real_BU, at_BU, 0)
    day_BX = np.concatenate([days_BT, np.where(real_BU, e.mark_day_X[at_BU], 0)], axis=1)
    real_BX = np.concatenate([real_BT, real_BU], axis=1)
    order_BX = np.argsort(np.where(real_BX, day_BX, np.inf), axis=1, kind="stable")
    day_BX = np.take_along_axis(day_BX, order_BX, 1)
    seen_P, seen_Q = (
        n + np.maximum(e.marks_before(c, d) - first_B[row], 0)
        for n, row, c, d in zip(
            (rows.seen_P, rows.seen_Q),
            (rows.row_P, rows.row_Q),
            (points.customer_P, asked.customer_Q),
            (points.day_P, asked.day_Q),
            strict=True,
        )
    )
    used_O, offer = np.unique(np.r_[e.offer_X[at_BU][real_BU], asked.offer_Q], return_inverse=True)
    shift = int(len(used_O) > 0 and used_O[0] < 0)  # -1, a use, becomes 0; the first offer 1
    offer_BU, kept_O = np.zeros(at_BU.shape, np.int64), used_O[shift:]
    offer_BU[real_BU] = offer[: real_BU.sum()] + 1 - shift
    size_O = np.diff(e.offers.line_O)[kept_O]
    start_O = np.cumsum(size_O) - size_O
    depth_O = e.offers.depth_O[kept_O]
    numbers_OF = np.stack([np.nan_to_num(depth_O), np.isfinite(depth_O), np.log1p(size_O) / 4], 1)
    counts = count(h, asked.customer_Q, h.before(asked.customer_Q, asked.day_Q), asked.day_Q, keep)
    parts = {
        "bag_L": e.offers.item_L[np.repeat(e.offers.line_O[kept_O] - start_O, size_O) + np.arange(size_O.sum())],
        "bag_start": start_O,
        "offer_OF": numbers_OF.astype(np.float32),
        "channel_O": e.offers.channel_O[kept_O],
        "offer_BU": offer_BU,
        "lines_BU": np.log1p(np.where(real_BU, e.lines_X[at_BU], 0)).astype(np.float32),
        "order_BT": order_BX,
        "row_Q": rows.row_Q,
        "seen_Q": seen_Q,
        "personal_QG": counts.personal_PG,
        "fact_QF": facts(h, asked, counts),
        "offer_Q": offer[real_BU.sum() :] + 1 - shift,
    }
    return _Marked(day_BX, seen_P, Marks(**{name: torch.from_numpy(value) for name, value in parts.items()}))


def _pick(values_V: Ints, at_BT: Ints) -> Ints:
    return values_V[at_BT] if len(values_V) else np.zeros(at_BT.shape, np.int64)


def _bags(h: Histories, real: Ints, real_BT: Bools) -> Bags:
    size_BT = np.zeros(real_BT.shape, np.int64)
    size_BT[real_BT] = h.line_V[real + 1] - h.line_V[real]
    ends = np.cumsum(size_BT.ravel())
    total = int(ends[-1]) if len(ends) else 0
    begin = np.repeat(h.line_V[real] - (ends - size_BT.ravel())[real_BT.ravel()], size_BT[real_BT])
    return Bags(h.item_L[begin + np.arange(total)], ends - size_BT.ravel())


def _visits(h: Histories, at_BT: Ints, real_BT: Bools, whole_B: Bools) -> VisitInputs:
    B, T = at_BT.shape
    if not len(h.day_V):
        return VisitInputs(np.zeros((B, T)), np.full((B, T, 6), np.nan, np.float32))
    day_BT = h.day_V[at_BT]
    day_BT = np.where(real_BT, day_BT, np.where(real_BT, day_BT, -np.inf).max(axis=1, keepdims=True, initial=0))
    gap_BT = np.diff(day_BT, prepend=np.nan)
    later = ~whole_B & (at_BT[:, 0] > 0)  # the first visit of a cut sequence has a known gap
    gap_BT[later, 0] = day_BT[later, 0] - h.day_V[at_BT[later, 0] - 1]
    turn_BT = 2 * np.pi * np.floor(day_BT) / 7
    size_BT = (h.line_V[at_BT + 1] - h.line_V[at_BT]).astype(np.float64)
    parts: list[Days] = [
        gap_BT,
        h.spend_V[at_BT].astype(np.float64),
        size_BT,
        h.deal_V[at_BT].astype(np.float64),
        np.sin(turn_BT),
        np.cos(turn_BT),
    ]
    visit_BTF = np.where(real_BT[:, :, None], np.stack(parts, axis=2), np.nan).astype(np.float32)
    return VisitInputs(day_BT, visit_BTF)


def targets_of(h: Histories, points: Points, counts: VisitCounts, until: float, drawn: DrawnItems) -> Targets:
    """What came after each point and before `until`; `drawn` are the sampled items."""
    next_P = points.visit_P
    came_P = next_P < h.start_C[points.customer_P + 1]
    came_P &= np.where(came_P, _at(h.day_V, next_P), np.inf) < until
    rows = np.flatnonzero(came_P)
    size = h.line_V[next_P[rows] + 1] - h.line_V[next_P[rows]]
    inside = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    gap_P = np.where(came_P, _at(h.day_V, next_P), until) - points.day_P
    spend_PK, orders_PK = _money(h, points, until)
    level_P = counts.personal_PG[:, _SPEND_56] * 8
    floor = 0.07 * float(np.nanmean(level_P)) if np.isfinite(level_P).any() else 1.0
    numbers = {
        "point_Y": np.repeat(rows, size),
        "item_Y": h.item_L[np.repeat(h.line_V[next_P[rows]], size) + inside],
        "weight_Y": np.repeat(h.weight_V[next_P[rows]], size),
        "bin_P": np.searchsorted(np.array(EDGES), gap_P, side="right"),
        "open_P": ~came_P,
        "spend_PK": spend_PK,
        "orders_PK": orders_PK,
        "deal_P": np.where(came_P, _at(h.deal_V, next_P), np.nan).astype(np.float32),
        "level_P": (np.clip(np.nan_to_num(level_P), 0, None) + floor).astype(np.float32),
        "drawn_N": drawn.item_N,
        "log_q_N": drawn.log_q_N,
    }
    return Targets(**{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in numbers.items()})


_SPEND_56 = PERSONAL.index("spend_56")


def _at(values: Floats | Days, at: Ints) -> Days:
    return np.asarray(values, np.float64)[np.minimum(at, len(values) - 1)] if len(values) else np.zeros(len(at))


def _money(h: Histories, points: Points, until: float) -> SpendOrders:
    total_V = np.r_[0.0, np.cumsum(h.spend_V, dtype=np.float64)]
    spend, orders = [], []
    for days in HORIZONS:
        end_P = h.before(points.customer_P, points.day_P + days)
        known_P = points.day_P + days <= until
        spend.append(np.where(known_P, total_V[end_P] - total_V[points.visit_P], np.nan))
        orders.append(np.where(known_P, end_P - points.visit_P, np.nan))
    return SpendOrders(np.stack(spend, 1).astype(np.float32), np.stack(orders, 1).astype(np.float32))


def draw_items(shared: Popularity, size: int, rng: np.random.Generator) -> DrawnItems:
    """`size` draws without replacement in favour of popular items.

    With share q of one draw, an item's probability is close to 1 - exp(-q t), where t makes the sum `size` (Rosen 1997,
    J. Stat. Plan. Inference 62(2)), and exactly 1 where all items are drawn.
    """
    items = shared.log_WI.shape[1]
    if size >= items:
        return DrawnItems(np.arange(items), np.zeros(items, np.float32))
    q_I = np.exp(EVEN_RATE * shared.log_WI[-1].astype(np.float64))
    q_I /= q_I.sum()
    drawn_N = np.sort(rng.choice(items, size, replace=False, p=q_I))
    t = float(size)
    for _ in range(50):  # Newton from below on a concave function: never too far
        t += (size + np.expm1(-q_I * t).sum()) / (q_I * np.exp(-q_I * t)).sum()
    return DrawnItems(drawn_N, np.log(-np.expm1(-q_I[drawn_N] * t)).astype(np.float32))
