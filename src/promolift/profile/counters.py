"""Histories and points (a customer at a moment) in; what they bought how often, how lately and in what rhythm, out.

Everything is counted from visits strictly before the point. A visit counts with its weight 1 / IDEAL[size]: one of two
items of a small basket is worth more in a list than one of thirty. An opening visit is the first after a moment a whole
number of weeks before the point: the next visit will be one too, and such visits differ from a customer's others.
Legend: P points, M items kept per point, F counters of an item, G of the customer; the rest as in encoder_data.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from promolift.profile.encoder_data import Days, Floats, Histories, Ints, compiled

COUNTERS = (
    "visits", "weight", "faded_10", "faded_40", "faded_120", "recent_visits", "steady_visits", "recency", "age",
    "visits_since", "gap", "gap_sd", "last_gap", "deal", "last_deal", "basket", "spend", "opening",
)  # fmt: skip
PERSONAL = (
    "orders", "faded_10", "faded_40", "faded_120", "recent_visits", "steady_visits", "recency", "tenure", "cadence",
    "size", "size_4", "size_1", "value", "value_8", "orders_28", "orders_7", "items_7", "big_share", "big_recency",
    "spend_14", "spend_28", "spend_56", "spend_112", "opening", "opening_size", "opening_value",
)  # fmt: skip
RATES = (
    "rate", "rate_10", "rate_40", "rate_120", "rate_recent", "rate_steady", "rate_opening", "due", "late", "due_visits",
    "last_due",
)  # fmt: skip
HALF_LIVES = (10.0, 40.0, 120.0)  # days
BIG = 10  # items of a big basket
SPEND_LIVES = np.array([14.0, 28.0, 56.0, 112.0])  # half-lives of the weekly spend, days


@dataclass(frozen=True)
class VisitCounts:
    """`item_PM`: items by faded weight, -1 where there are no more; counters are NaN there."""

    item_PM: Ints
    item_PMF: Floats
    personal_PG: Floats

    def rates(self) -> Floats:
        """RATES per point and item: shares of the customer's visits, and how due the item is by its own rhythm."""
        c = {name: self.item_PMF[:, :, at] for at, name in enumerate(COUNTERS)}
        p = {name: self.personal_PG[:, at, None] for at, name in enumerate(PERSONAL)}
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = [c["weight"] / p["orders"]]
            shares += [c[name] / p[name] for name in (*COUNTERS[2:7], "opening")]
            visits_gap = (p["orders"] - c["visits_since"]) / c["visits"]
            due = [c["recency"] / c["gap"], (c["recency"] - c["gap"]) / (c["gap_sd"] + 3)]
            due += [c["visits_since"] / visits_gap, c["recency"] / c["last_gap"]]
        return np.stack([*shares, *due], axis=2).astype(np.float32)


def count(h: Histories, customer_P: Ints, visit_P: Ints, day_P: Days, keep: int) -> VisitCounts:
    """Counters of up to `keep` items per point; `visit_P` as from `Histories.before` or an earlier visit index."""
    shape = (len(customer_P), keep)
    item_PM = np.full(shape, -1, np.int64)
    item_PMF = np.full((*shape, len(COUNTERS)), np.nan, np.float32)
    personal_PG = np.full((len(customer_P), len(PERSONAL)), np.nan, np.float32)
    points = (h.start_C[customer_P], visit_P.astype(np.int64), day_P.astype(np.float64))
    visits = (h.day_V, h.weight_V, h.line_V, h.item_L, h.deal_L, h.spend_L)
    _count(points, visits, len(h.catalogue.items), item_PM, item_PMF)
    opened = h.day_V.min() if len(h.day_V) else 0.0  # weeks without a visit count from the shop's first day on
    weeks_PH = SPEND_LIVES / np.log(2) / 7 * (1 - 0.5 ** (np.maximum(day_P - opened, 1)[:, None] / SPEND_LIVES))
    _persons(points, (*visits[:3], h.spend_V), weeks_PH, personal_PG)
    return VisitCounts(item_PM, item_PMF, personal_PG)


@compiled
def opens(now: float, before: float, day: float) -> bool:
    """Whether a week, counted back from `now`, began between two visits."""
    return bool(np.ceil((now - before) / 7) > np.ceil((now - day) / 7))


@compiled
def _count(points: Any, visits: Any, items: int, item_PM: Ints, item_PMF: Floats) -> None:
    first_P, end_P, now_P = points
    day_V, weight_V, line_V, item_L, deal_L, spend_L = visits
    slot_I = np.full(items, -1, np.int64)
    most = np.max(line_V[end_P] - line_V[first_P]) if len(first_P) else 0
    sums, first, last, square = np.zeros((most, len(COUNTERS))), np.zeros(most), np.zeros(most), np.zeros(most)
    which = np.zeros(most, np.int64)
    for p in range(len(first_P)):
        used = 0
        for v in range(first_P[p], end_P[p]):
            age = now_P[p] - day_V[v]
            back = end_P[p] - 1 - v
            w = weight_V[v]
            f10, f40, f120 = w * 2.0 ** (-age / 10), w * 2.0 ** (-age / 40), w * 2.0 ** (-age / 120)
            recent, steady = w * 0.8**back, w * 0.95**back
            opening = f120 if v == first_P[p] or opens(now_P[p], day_V[v - 1], day_V[v]) else 0.0
            size = line_V[v + 1] - line_V[v]
            for at in range(line_V[v], line_V[v + 1]):
                s = slot_I[item_L[at]]
                if s < 0:
                    s = used
                    used += 1
                    slot_I[item_L[at]] = s
                    which[s] = item_L[at]
                    sums[s] = 0.0
                    square[s] = 0.0
                    first[s] = day_V[v]
                    sums[s, 12] = np.nan
                else:
                    gap = day_V[v] - last[s]
                    square[s] += gap * gap
                    sums[s, 12] = gap
                last[s] = day_V[v]
                sums[s, 0] += 1
                sums[s, 1] += w
                sums[s, 2] += f10
                sums[s, 3] += f40
                sums[s, 4] += f120
                sums[s, 5] += recent
                sums[s, 6] += steady
                sums[s, 9] = back
                sums[s, 13] += deal_L[at]
                sums[s, 14] = deal_L[at]
                sums[s, 15] += size
                sums[s, 16] += spend_L[at]
                sums[s, 17] += opening
        _close(p, now_P[p], which[:used], (sums, first, last, square), item_PM, item_PMF)
        for s in range(used):
            slot_I[which[s]] = -1


@compiled
def _close(p: int, now: float, which: Ints, work: Any, item_PM: Ints, item_PMF: Floats) -> None:
    """Finish the sums of one point and write its best items."""
    sums, first, last, square = work
    order = np.argsort(-(sums[: len(which), 4] + 0.1 * sums[: len(which), 1]), kind="mergesort")
    for m in range(min(len(which), item_PM.shape[1])):
        s = order[m]
        n = sums[s, 0]
        sums[s, 7] = now - last[s]
        sums[s, 8] = now - first[s]
        gaps = n - 1
        sums[s, 10] = (last[s] - first[s]) / gaps if gaps > 0 else np.nan
        sums[s, 11] = np.sqrt(max(square[s] / gaps - sums[s, 10] ** 2, 0.0)) if gaps > 1 else np.nan
        sums[s, 13] /= n
        sums[s, 15] /= n
        sums[s, 16] /= n
        item_PM[p, m] = which[s]
        item_PMF[p, m] = sums[s]


@compiled
def _persons(points: Any, visits: Any, weeks_PH: Days, personal_PG: Floats) -> None:
    first_P, end_P, now_P = points
    day_V, weight_V, line_V, spend_V = visits
    for p in range(len(first_P)):
        n = end_P[p] - first_P[p]
        if n == 0:
            continue
        row = np.zeros(len(PERSONAL))
        row[18] = np.nan
        for v in range(first_P[p], end_P[p]):
            age = now_P[p] - day_V[v]
            back = end_P[p] - 1 - v
            size = line_V[v + 1] - line_V[v]
            row[1] += 2.0 ** (-age / 10)
            row[2] += 2.0 ** (-age / 40)
            row[3] += 2.0 ** (-age / 120)
            row[4] += 0.8**back
            row[5] += 0.95**back
            row[9] += size / n
            row[10] += size / min(n, 4) if back < 4 else 0.0
            row[11] = size
            row[12] += weight_V[v] / n
            row[13] += weight_V[v] / min(n, 8) if back < 8 else 0.0
            row[14] += age <= 28
            row[15] += age <= 7
            row[16] += size if age <= 7 else 0
            row[17] += (size >= BIG) / n
            if size >= BIG:
                row[18] = age
            if v == first_P[p] or opens(now_P[p], day_V[v - 1], day_V[v]):
                row[23] += 2.0 ** (-age / 120)
                row[24] += size * 2.0 ** (-age / 120)
                row[25] += weight_V[v] * 2.0 ** (-age / 120)
            for at in range(4):
                row[19 + at] += spend_V[v] * 2.0 ** (-age / SPEND_LIVES[at]) / weeks_PH[p, at]
        row[0] = n
        row[6] = now_P[p] - day_V[end_P[p] - 1]
        row[7] = now_P[p] - day_V[first_P[p]]
        row[8] = (day_V[end_P[p] - 1] - day_V[first_P[p]]) / (n - 1) if n > 1 else np.nan
        row[24] /= row[23]
        row[25] /= row[23]
        personal_PG[p] = row
