"""Histories and points in; batches of tensors for the encoder, and what came after each point, out.

Legend as in encoder.py; a point is a customer at a moment, `day` counts days since 1970 UTC.
"""

from dataclasses import dataclass

import numpy as np
import torch

from promolift.profile.counters import PERSONAL, Counts, count
from promolift.profile.encoder import EDGES, HORIZONS, Batch, Targets
from promolift.profile.encoder_data import Bools, Days, Floats, Histories, Ints, Popularity

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


def batch_of(h: Histories, points: Points, shared: Popularity, keep: int, max_visits: int) -> tuple[Batch, Counts]:
    """One sequence per customer of `points`, holding the last `max_visits` visits known at his latest point."""
    who_B, row_P = np.unique(points.customer_P, return_inverse=True)
    end_B = np.zeros(len(who_B), np.int64)
    np.maximum.at(end_B, row_P, points.visit_P)
    first_B = np.maximum(h.start_C[who_B], end_B - max_visits)
    T = max(int((end_B - first_B).max(initial=0)), 1)
    at_BT = first_B[:, None] + np.arange(T)
    real_BT = at_BT < end_B[:, None]
    at_BT = np.where(real_BT, at_BT, 0)
    counts = count(h, points.customer_P, points.visit_P, points.day_P, keep)
    bag_L, start = _bags(h, at_BT[real_BT], real_BT)
    days_BT, visit_BTF = _visits(h, at_BT, real_BT, first_B == h.start_C[who_B])
    batch = Batch(
        bag_L=torch.from_numpy(bag_L),
        bag_start=torch.from_numpy(start),
        visit_BTF=torch.from_numpy(visit_BTF),
        channel_BT=torch.from_numpy(np.where(real_BT, _pick(h.channel_V, at_BT), 0)),
        days_BT=torch.from_numpy(days_BT),
        attribute_BA=torch.from_numpy(h.attribute_CA[who_B]),
        row_P=torch.from_numpy(row_P),
        seen_P=torch.from_numpy(np.maximum(points.visit_P - first_B[row_P], 0)),
        personal_PG=torch.from_numpy(counts.personal_PG),
        item_PM=torch.from_numpy(counts.item_PM),
        counter_PMF=torch.from_numpy(np.concatenate([counts.item_PMF, counts.rates()], axis=2)),
        prior_WI=torch.from_numpy(shared.log_WI),
        week_P=torch.from_numpy(shared.week(points.day_P)),
    )
    return batch, counts


def _pick(values_V: Ints, at_BT: Ints) -> Ints:
    return values_V[at_BT] if len(values_V) else np.zeros(at_BT.shape, np.int64)


def _bags(h: Histories, real: Ints, real_BT: Bools) -> tuple[Ints, Ints]:
    """Items of all visits in a row, and where each of the B x T bags begins (padding: an empty bag)."""
    size_BT = np.zeros(real_BT.shape, np.int64)
    size_BT[real_BT] = h.line_V[real + 1] - h.line_V[real]
    ends = np.cumsum(size_BT.ravel())
    total = int(ends[-1]) if len(ends) else 0
    begin = np.repeat(h.line_V[real] - (ends - size_BT.ravel())[real_BT.ravel()], size_BT[real_BT])
    return h.item_L[begin + np.arange(total)], ends - size_BT.ravel()


def _visits(h: Histories, at_BT: Ints, real_BT: Bools, whole_B: Bools) -> tuple[Floats, Floats]:
    """Day of each token with the attribute token first, and VISIT features (NaN: unknown)."""
    B, T = at_BT.shape
    if not len(h.day_V):
        return np.zeros((B, T + 1), np.float32), np.full((B, T, 6), np.nan, np.float32)
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
    days = np.concatenate([day_BT[:, :1], day_BT], axis=1)
    return (days - days[:, :1]).astype(np.float32), visit_BTF


def targets_of(h: Histories, points: Points, counts: Counts, until: float, drawn: tuple[Ints, Floats]) -> Targets:
    """What came after each point and before `until`; `drawn` are the sampled items with log(expected draws)."""
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
        "drawn_N": drawn[0],
        "log_q_N": drawn[1],
    }
    return Targets(**{name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in numbers.items()})


_SPEND_56 = PERSONAL.index("spend_56")


def _at(values: Floats | Days, at: Ints) -> Days:
    return np.asarray(values, np.float64)[np.minimum(at, len(values) - 1)] if len(values) else np.zeros(len(at))


def _money(h: Histories, points: Points, until: float) -> tuple[Floats, Floats]:
    """Spend and orders within each horizon; NaN where the horizon reaches beyond `until`."""
    total_V = np.r_[0.0, np.cumsum(h.spend_V, dtype=np.float64)]
    spend, orders = [], []
    for days in HORIZONS:
        end_P = h.before(points.customer_P, points.day_P + days)
        known_P = points.day_P + days <= until
        spend.append(np.where(known_P, total_V[end_P] - total_V[points.visit_P], np.nan))
        orders.append(np.where(known_P, end_P - points.visit_P, np.nan))
    return np.stack(spend, 1).astype(np.float32), np.stack(orders, 1).astype(np.float32)


def draw_items(shared: Popularity, size: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """`size` draws without replacement in favour of popular items, and log of each item's chance to be among them.

    The chance is 1 - (1 - q)^size with q of one draw, which is close while size times q is small, and exactly 1 where
    all items are drawn.
    """
    items = shared.log_WI.shape[1]
    if size >= items:
        return np.arange(items), np.zeros(items, np.float32)
    q_I = np.exp(EVEN_RATE * shared.log_WI[-1].astype(np.float64))
    q_I /= q_I.sum()
    drawn_N = np.sort(rng.choice(items, size, replace=False, p=q_I))
    return drawn_N, np.log(-np.expm1(size * np.log1p(-q_I[drawn_N]))).astype(np.float32)
