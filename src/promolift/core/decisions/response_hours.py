"""Fit how likely a customer answers on a channel at an hour, and rank send slots by it.

Discrete-time hazard: in each hour after it was sent a message is answered with probability base x hours x customer x
channel. The base falls with the message's age, by channel; the hours are those of the shop's week (weekdays and
weekends); a customer's own hours and channels are factors around 1 with gamma priors, whose strength is the spread
among customers beyond luck by the method of moments: who was sent little is taken for the shop's average.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.decisions.send_slots import SendSlot

# C channels, K hours of a message's age, H hours of the day, U customers
MAX_WAIT_HOURS, WEEK_HOURS = 24, 168  # hours that an answer is awaited; of a week, from Monday at 0
MIN_ANSWERS = 100  # answers below which nothing is learned
PRIOR_ANSWERS = 4.0  # answers that an hour of the shop's week, or an age, is taken to have had beside its own
FIT_ROUNDS = 8  # of fitting base and hours in turn; then they move by less than a thousandth
HOUR_KERNEL = np.array([1, 2, 3, 2, 1]) / 9  # how far an answer at one hour speaks for those beside it
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class ResponseHours:
    """The hazard: `base_CK`, `week_H` (weekdays, then weekends), and factors of customers who were sent anything."""

    channels: tuple[str, ...]
    base_CK: Reals = field(repr=False)
    week_H: Reals = field(repr=False)
    own_UH: Reals = field(repr=False)
    own_UC: Reals = field(repr=False)
    place: Mapping[str, int] = field(repr=False)

    def probability(self, customer_id: str, channel: str, hour: int) -> float:
        """That a message sent at an hour of the week (0 is Monday, 0 o'clock) is answered within a day."""
        at = self.channels.index(channel)
        hours = (hour + np.arange(MAX_WAIT_HOURS)) % WEEK_HOURS
        hazard_K = self.base_CK[at] * self.week_H[_of_week(hours)]
        if (who := self.place.get(customer_id)) is not None:
            hazard_K = hazard_K * self.own_UH[who, hours % 24] * self.own_UC[who, at]
        return float(1 - np.prod(1 - np.clip(hazard_K, 0, 0.9)))

    def rank(self, customer_id: str, slots: Sequence[SendSlot], zone: str) -> list[SendSlot]:
        """The slots, the likeliest to be answered first; as they stand where a channel is unknown."""
        if any(slot.channel not in self.channels for slot in slots):
            return list(slots)
        return sorted(
            slots, key=lambda slot: -self.probability(customer_id, slot.channel, hour_of_week(slot.send_ms, zone))
        )


def hour_of_week(ts_ms: int, zone: str) -> int:
    """0 to 167 by the clock of a zone; 0 is Monday, 0 o'clock."""
    there = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone))
    return there.weekday() * 24 + there.hour


def fit_response_hours(sends: pl.DataFrame) -> ResponseHours | None:
    """From customer_id, channel, hour (of the week, when it was sent) and answered (whole hours later; null: not within
    AGES); None where there are fewer than LEAST answers.
    """
    known = sends.with_columns(pl.when(pl.col("answered") < MAX_WAIT_HOURS).then("answered"))
    if known["answered"].drop_nulls().len() < MIN_ANSWERS:
        return None
    channels, people = (known[name].unique().sort().to_list() for name in ("channel", "customer_id"))
    c, u = (
        known[name].replace_strict(values, list(range(len(values)))).to_numpy()
        for name, values in (("channel", channels), ("customer_id", people))
    )
    last = known["answered"].fill_null(MAX_WAIT_HOURS - 1).to_numpy()
    row, age = np.nonzero(
        np.arange(MAX_WAIT_HOURS) <= last[:, None]
    )  # a row for each hour in which it could be answered
    hours = (known["hour"].to_numpy()[row] + age) % WEEK_HOURS
    hit = (known["answered"].fill_null(-1).to_numpy()[row] == age).astype(float)
    c, u, week = c[row], u[row], _of_week(hours)
    base_CK, week_H = np.full((len(channels), MAX_WAIT_HOURS), hit.mean()), np.ones(48)
    for _ in range(FIT_ROUNDS):
        base_CK = _rate(hit, week_H[week], (c, age), base_CK.shape, hit.mean())
        week_H = _rate(hit, base_CK[c, age], (week,), (48,), 1.0)
        week_H = np.concatenate([_smoothed(day[None, :])[0] for day in np.split(week_H, 2)])
        week_H /= np.average(week_H, weights=np.bincount(week, minlength=48) + 1e-9)
    expected = base_CK[c, age] * week_H[week]
    own_UH = _factors(hit, expected, (u, hours % 24), (len(people), 24), near=True)
    own_UC = _factors(hit, expected, (u, c), (len(people), len(channels)))
    return ResponseHours(tuple(channels), base_CK, week_H, own_UH, own_UC, {who: at for at, who in enumerate(people)})


def _of_week(hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 to 23 on weekdays, 24 to 47 on weekends."""
    return hours % 24 + 24 * (hours // 24 >= 5)


def _sums(values: Reals, at: tuple[NDArray[np.int64], ...], shape: tuple[int, ...]) -> Reals:
    flat = np.bincount(np.ravel_multi_index(at, shape), values, minlength=int(np.prod(shape)))
    return flat.reshape(shape).astype(float)


def _rate(
    hit: Reals, exposed: Reals, at: tuple[NDArray[np.int64], ...], shape: tuple[int, ...], middle: float
) -> Reals:
    """Answers over what was exposed, held towards `middle` by PRIOR answers."""
    return (_sums(hit, at, shape) + PRIOR_ANSWERS) / (_sums(exposed, at, shape) + PRIOR_ANSWERS / middle)


def _smoothed(rows: Reals) -> Reals:
    """Each hour with those beside it, around midnight too."""
    return np.asarray(
        sum(weight * np.roll(rows, shift, axis=1) for shift, weight in zip(range(-2, 3), HOUR_KERNEL, strict=True))
    )


def _factors(
    hit: Reals, expected: Reals, at: tuple[NDArray[np.int64], ...], shape: tuple[int, ...], near: bool = False
) -> Reals:
    """Each customer's factor: (s + answers) / (s + expected), s of the gamma prior by moments over the cells."""
    hits, expects = _sums(hit, at, shape), _sums(expected, at, shape)
    wide = [rows.reshape(len(rows), -1, 4).sum(axis=2) if near else rows for rows in (hits, expects)]
    spread = ((wide[0] - wide[1]) ** 2 - wide[1]).sum()
    strength = float(np.clip((wide[1] ** 2).sum() / max(spread, 1e-9), 0.5, 1e4))
    if near:
        hits, expects = _smoothed(hits) * 5, _smoothed(expects) * 5
    return (strength + hits) / (strength + expects)
