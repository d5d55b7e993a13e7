"""Campaign exposures and coupon uses in; arrays the encoder reads as tokens, and what an exposure meets, out.

An exposure: a customer was shown an offer at a moment. A use: an order with a coupon of any kind. Both are marks in the
history, beside the visits. An exposure's outcome is known once it has closed; before, nobody learns from it.
Legend: C customers, E exposures, U uses, X marks, O offers, L covered items of all offers, Q asked exposures, F facts;
the rest as in encoder.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from promolift.errors import InputError
from promolift.profile.counters import COUNTERS, PERSONAL, VisitCounts
from promolift.profile.encoder_data import Bools, Catalogue, Days, Floats, Histories, Ints, compiled, rows_before
from promolift.sql import DAY_MS

FACTS = ("shown", "answered", "answers", "lines", "covered_40", "covered_120", "covered_deal", "covered_share")
HALF_LIFE, MOST_LINES = 60.0, 5.0  # days until a coupon line counts half; lines of one order that count
DOUBT = 10.0  # covered items a customer's share is shrunk by: one of two is no proof


@dataclass(frozen=True)
class ExposureOffers:
    """Offer o covers items item_L[line_O[o] : line_O[o + 1]]; depth is a share of the price, NaN where unknown."""

    names: tuple[str, ...]
    line_O: Ints
    item_L: Ints
    depth_O: Floats
    channel_O: Ints

    def covers(self, items: int) -> Bools:
        """O x I: which item each offer covers."""
        table_OI = np.zeros((len(self.names), items), bool)
        table_OI[np.repeat(np.arange(len(self.names)), np.diff(self.line_O)), self.item_L] = True
        return table_OI


@dataclass(frozen=True)
class Exposures:
    """Exposures of customer c are rows start[c] to start[c + 1], marks mark_start[c] to mark_start[c + 1], by time.

    `used_E` is the day of the first redemption (infinite: none), `closed_E` the day from which the outcome is final.
    `offer_X` is -1 for a use; `lines_X` counts its receipt lines with a coupon.
    """

    offers: ExposureOffers
    start_C: Ints
    day_E: Days
    offer_E: Ints
    used_E: Days
    closed_E: Days
    mark_start_C: Ints
    mark_day_X: Days
    offer_X: Ints
    lines_X: Floats

    def until(self, day: float) -> "Exposures":
        """As known at a moment."""
        kept_E, kept_X = self.day_E < day, self.mark_day_X < day
        cut: dict[str, Any] = {name: getattr(self, name)[kept_E] for name in ("day_E", "offer_E", "used_E", "closed_E")}
        cut |= {name: getattr(self, name)[kept_X] for name in ("mark_day_X", "offer_X", "lines_X")}
        cut["used_E"] = np.where(cut["used_E"] < day, cut["used_E"], np.inf)
        cut |= {"start_C": _moved(kept_E, self.start_C), "mark_start_C": _moved(kept_X, self.mark_start_C)}
        return replace(self, **cut)

    def marks_before(self, customer_P: Ints, day_P: Days) -> Ints:
        """Index of each customer's first mark at or after the moment."""
        return np.asarray(
            rows_before(self.mark_day_X, self.mark_start_C[customer_P], self.mark_start_C[customer_P + 1], day_P)
        )

    def of(self, customer_C: Ints) -> "Exposures":
        """Some of the customers, in that order, perhaps more than once."""
        own_E, own_X = _rows(self.start_C, customer_C), _rows(self.mark_start_C, customer_C)
        cut = {name: getattr(self, name)[own_E] for name in ("day_E", "offer_E", "used_E", "closed_E")}
        cut |= {name: getattr(self, name)[own_X] for name in ("mark_day_X", "offer_X", "lines_X")}
        sizes = np.diff(self.start_C)[customer_C], np.diff(self.mark_start_C)[customer_C]
        start_C, mark_start_C = (np.r_[0, np.cumsum(size)].astype(np.int64) for size in sizes)
        return replace(self, start_C=start_C, mark_start_C=mark_start_C, **cut)


def _moved(kept: Bools, start_C: Ints) -> Ints:
    return np.asarray(np.r_[0, np.cumsum(kept)][start_C], np.int64)


def _rows(start_C: Ints, customer_P: Ints) -> Ints:
    """All rows of the customers, one after the other."""
    size_P = start_C[customer_P + 1] - start_C[customer_P]
    return np.repeat(start_C[customer_P] - np.cumsum(size_P) + size_P, size_P) + np.arange(size_P.sum())


@dataclass(frozen=True)
class Exposed(Histories):
    """Histories of customers of whom it is also known what they were shown."""

    exposures: Exposures

    def __post_init__(self) -> None:
        """Whoever picks customers must pick their exposures, too (`Exposures.of`)."""
        assert len(self.exposures.start_C) == len(self.start_C), "exposures of other customers than the histories"

    def until(self, day: float) -> "Exposed":
        """The same customers as they were known at a moment."""
        cut = super().until(day)
        assert isinstance(cut, Exposed)
        return replace(cut, exposures=self.exposures.until(day))


@dataclass(frozen=True)
class AskedExposures:
    """Exposures whose outcome is asked: customer, day, offer, and 1, 0 or NaN (unknown) for redeemed."""

    customer_Q: Ints
    day_Q: Days
    offer_Q: Ints
    redeemed_Q: Floats

    def take(self, rows: slice) -> "AskedExposures":
        """Some of them."""
        return AskedExposures(self.customer_Q[rows], self.day_Q[rows], self.offer_Q[rows], self.redeemed_Q[rows])


def closed_in(h: Exposed, customers: Ints, after: float, until: float) -> AskedExposures:
    """Exposures of some customers whose outcome became final after `after` and by `until`."""
    e = h.exposures
    rows = _rows(e.start_C, customers)
    who = np.repeat(customers, np.diff(e.start_C)[customers])
    kept = (e.closed_E[rows] > after) & (e.closed_E[rows] <= until)
    rows = rows[kept]
    return AskedExposures(who[kept], e.day_E[rows], e.offer_E[rows], np.isfinite(e.used_E[rows]).astype(np.float32))


def offers(table: pl.DataFrame, covers: pl.DataFrame, items: Catalogue, channels: Sequence[str] = ()) -> ExposureOffers:
    """From offer_id and, where known, depth and channel; `covers` has offer_id and item, of offers with a narrow aim.

    An offer that `covers` leaves out covers nothing in particular. Items outside the catalogue are left out.
    """
    if table["offer_id"].is_duplicated().any():
        raise InputError("encoder: an offer stands twice; give each offer once")
    table = table.sort("offer_id")
    names, place = tuple(table["offer_id"].to_list()), items.place
    covered = covers.select("offer_id", "item").unique().filter(pl.col("offer_id").is_in(names))
    pairs = sorted((names.index(o), place[i]) for o, i in covered.iter_rows() if i in place)
    pair_L2 = np.array(pairs, np.int64).reshape(-1, 2)
    said = table["channel"].to_list() if "channel" in table.columns else [None] * table.height
    codes = {channel: at + 1 for at, channel in enumerate(channels or sorted({c for c in said if c is not None}))}
    depth = table["depth"] if "depth" in table.columns else pl.Series([None] * table.height)
    return ExposureOffers(
        names=names,
        line_O=np.searchsorted(pair_L2[:, 0], np.arange(len(names) + 1)),
        item_L=pair_L2[:, 1],
        depth_O=depth.cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        channel_O=np.array([codes.get(c, 0) for c in said], np.int64),
    )


def expose(h: Histories, offers: ExposureOffers, shown: pl.DataFrame, uses: pl.DataFrame) -> Histories:
    """Add exposures (customer_id, offer_id, start_ms, closed_ms, used_ms or null) and uses (customer_id, ts_ms, lines).

    Rows of unknown customers and offers are left out; where no exposure is left, the histories stay what they were.
    """
    if lacking := {"customer_id", "offer_id", "start_ms", "closed_ms", "used_ms"} - set(shown.columns):
        raise InputError(f"encoder: exposures lack the columns {sorted(lacking)}")
    who = pl.DataFrame({"customer_id": h.customers, "c": np.arange(len(h.customers))})
    which = pl.DataFrame(
        {"offer_id": offers.names, "o": np.arange(len(offers.names))}, schema_overrides={"offer_id": pl.String}
    )
    rows = shown.unique().join(who, on="customer_id").join(which, on="offer_id").sort("c", "start_ms", "o")
    if not rows.height:
        return h
    day = rows["start_ms"].to_numpy() / DAY_MS
    used = rows["used_ms"].cast(pl.Float64).fill_null(np.inf).to_numpy() / DAY_MS
    marks = pl.concat([
        rows.select("c", "o", ts_ms="start_ms", lines=pl.lit(0.0)),
        uses.join(who, on="customer_id").select(
            "c", pl.lit(-1, pl.Int64).alias("o"), "ts_ms", pl.col("lines").cast(pl.Float64)
        ),
    ]).sort("c", "ts_ms", "o", "lines")  # fmt: skip
    found = Exposures(
        offers=offers,
        start_C=np.searchsorted(rows["c"].to_numpy(), np.arange(len(h.customers) + 1)),
        day_E=day,
        offer_E=rows["o"].to_numpy().astype(np.int64),
        used_E=used,
        closed_E=rows["closed_ms"].to_numpy() / DAY_MS,
        mark_start_C=np.searchsorted(marks["c"].to_numpy(), np.arange(len(h.customers) + 1)),
        mark_day_X=marks["ts_ms"].to_numpy() / DAY_MS,
        offer_X=marks["o"].to_numpy().astype(np.int64),
        lines_X=marks["lines"].to_numpy().astype(np.float32),
    )
    return Exposed(**h.__dict__, exposures=found)


def facts(h: Exposed, asked: AskedExposures, counts: VisitCounts) -> Floats:
    """Q x F: what they did with earlier exposures and coupons, and how much they buy of what the offer covers.

    `counts` are their counters at the same moments. Where an offer covers nothing in particular, that part is NaN.
    """
    e, items = h.exposures, len(h.catalogue.items)
    past_Q2 = _answers(asked.customer_Q, asked.day_Q, e.start_C, e.day_E, e.used_E)
    lines_Q = _coupon_lines(asked.customer_Q, asked.day_Q, e.mark_start_C, e.mark_day_X, e.lines_X)
    opened = float(h.day_V.min()) if len(h.day_V) else 0.0
    faded_Q = HALF_LIFE / np.log(2) * (1 - 0.5 ** (np.maximum(asked.day_Q - opened, 1) / HALF_LIFE))
    covers_OI = e.offers.covers(items)
    size_Q = covers_OI.sum(1)[asked.offer_Q]
    hit_QM = covers_OI[asked.offer_Q[:, None], np.maximum(counts.item_PM, 0)] & (counts.item_PM >= 0)
    own = {n: np.nan_to_num(counts.item_PMF[:, :, COUNTERS.index(n)]) for n in ("faded_40", "faded_120", "deal")}
    whole = {n: counts.personal_PG[:, PERSONAL.index(n)] for n in ("faded_40", "faded_120")}
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [(hit_QM * own[n]).sum(1) / whole[n] for n in ("faded_40", "faded_120")]
        deal_Q = (hit_QM * own["deal"] * own["faded_120"]).sum(1) / (hit_QM * own["faded_120"]).sum(1)
        answers_Q = past_Q2[:, 1] / past_Q2[:, 0]
    share_Q = hit_QM.sum(1) / (size_Q + DOUBT)
    fit_QF = np.where(size_Q[:, None] > 0, np.stack([*shares, deal_Q, share_Q], 1), np.nan)
    told_QF = np.c_[past_Q2, answers_Q, lines_Q / faded_Q * 7, fit_QF]
    return np.asarray(told_QF, np.float32)


@compiled
def _answers(customer_Q: Ints, day_Q: Days, start_C: Ints, day_E: Days, used_E: Days) -> Days:
    """Q x 2: earlier exposures, and those of them redeemed by now."""
    past_Q2 = np.zeros((len(day_Q), 2))
    for q in range(len(day_Q)):
        c, now = customer_Q[q], day_Q[q]
        for e in range(start_C[c], start_C[c + 1]):
            if day_E[e] < now:
                past_Q2[q, 0] += 1
                past_Q2[q, 1] += used_E[e] < now
    return past_Q2


@compiled
def _coupon_lines(customer_Q: Ints, day_Q: Days, mark_start_C: Ints, mark_day_X: Days, lines_X: Floats) -> Days:
    """Q: earlier lines with a coupon, faded."""
    lines_Q = np.zeros(len(day_Q))
    for q in range(len(day_Q)):
        c, now = customer_Q[q], day_Q[q]
        for x in range(mark_start_C[c], mark_start_C[c + 1]):
            if mark_day_X[x] < now:
                lines_Q[q] += min(lines_X[x], MOST_LINES) * 0.5 ** ((now - mark_day_X[x]) / HALF_LIFE)
    return lines_Q
