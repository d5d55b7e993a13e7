"""A source in, its size and the scale of exact sums out. One pass, which also finds impossible values."""

from dataclasses import dataclass

import numpy as np

from promolift.allocate.core import Ints, Rows, Source, sweep
from promolift.errors import InputError


@dataclass(frozen=True, eq=False)
class Scale:
    """Size of a source, and powers of two that turn its amounts into whole numbers whose sums fit 62 bits."""

    rows: int
    usable: int
    offers: int
    count_S: Ints
    gain: float
    cost: float
    units: float

    @property
    def shape(self) -> tuple[int, int]:
        """Classes and offers."""
        return max(len(self.count_S), 1), self.offers


def measure(source: Source, threads: int = 1) -> Scale:
    """Read the source once. InputError names the first impossible value."""
    from promolift.allocate import kernel

    def job(rows: Rows) -> tuple[int, int, int, float, float, float, Ints]:
        top_gain, top_cost, row, slot, usable = kernel.scan(rows.gain_NK, rows.cost_NK)
        if row >= 0:
            g, c = rows.gain_NK[row, slot], rows.cost_NK[row, slot]
            rule = "a gain must be finite or missing (NaN)" if g == np.inf else "an expected cost must be 0 or more"
            raise InputError(f"allocate: row {rows.start + row}, slot {slot}: gain {g}, cost {c}; {rule}")
        label_N, offer_NK = rows.label_N, rows.offer_NK
        for name, codes in (("label", label_N), ("offer", offer_NK)):
            if codes.size and codes.min() < 0:
                raise InputError(f"allocate: a {name} is {codes.min()}; number them from 0")
        count_S = np.bincount(label_N) if label_N.size else np.array([len(rows)])
        offers = int(offer_NK.max()) + 1 if offer_NK.size else rows.gain_NK.shape[1]
        return len(rows), usable, offers, top_gain, top_cost, _top_units(rows), count_S

    parts = list(sweep(source, job, threads))
    rows = sum(part[0] for part in parts)
    gain = _power(max((part[3] for part in parts), default=0.0), rows)
    cost = _power(max((part[4] for part in parts), default=0.0), rows)
    units = _power(max((part[5] for part in parts), default=0.0), rows)
    count_S = np.zeros(max((len(part[6]) for part in parts), default=1), np.int64)
    for part in parts:
        count_S[: len(part[6])] += part[6]
    offers = max((part[2] for part in parts), default=1)
    return Scale(rows, sum(part[1] for part in parts), max(offers, 1), count_S, gain, cost, units)


def _top_units(rows: Rows) -> float:
    """The largest units of a usable pair; InputError if one is negative or missing."""
    if not rows.units_NK.size:
        return 0.0
    bad = (rows.gain_NK >= 0) & (rows.cost_NK < np.inf) & ~((rows.units_NK >= 0) & (rows.units_NK < np.inf))
    if bad.any():
        i, k = np.argwhere(bad)[0]
        raise InputError(f"allocate: row {rows.start + i}, slot {k}: units {rows.units_NK[i, k]}; give 0 or more")
    return float(np.nanmax(rows.units_NK, initial=0.0))


def _power(top: float, rows: int) -> float:
    """The largest power of two that keeps `rows` values of at most `top` below 2**61."""
    if top <= 0:
        return 1.0
    return float(2.0 ** np.clip(60 - np.ceil(np.log2(top)) - np.ceil(np.log2(max(rows, 1))), -900, 900))
