"""Guess how the times of a column are written from sample values: ISO, epoch, counted days, or strptime formats."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

ISO = re.compile(
    r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d\d(:\d\d([.,]\d+)?)?)?\s*(Z|z|UTC|GMT|[+-]\d\d(:?\d\d)?)?$"
)
NUMERIC = re.compile(r"^(\d{1,2})([/.\- ])(\d{1,2})\2(\d{4}|\d{2})(.*)$")
DIGIT_FORMATS = {6: "%y%m%d", 8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
TIME_OF_DAY_FORMATS = (
    "", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", ", %H:%M", ", %I:%M %p",
    " %H", "T%H:%M",
)  # fmt: skip
DATE_FORMATS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%b %d, %Y",
    "%b %d %Y", "%B %d, %Y", "%d %B %Y", "%a, %d %b %Y", "%A, %B %d, %Y", "%d%b%Y", "%d%b%y", "%Y-%m", "%b %Y",
    "%b-%d-%y", "%b-%d-%Y",
)  # fmt: skip
ZONED_FORMATS = ("%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z")
MONTH_DAY = "%m%d"
EXCEL_DAYS = (32_874, 54_789)  # of the years 1990 to 2049
EXCEL_NAMES = re.compile(
    r"day|date|time|stamp|when|placed|created|ordered|paid.?(at|on)|(^|[^a-z])(at|on)$|datum|fecha|data|日|时|天"
)
MOMENT_OF_DAY = re.compile(r"\.\d{4,}$")  # a part of a day; prices have fewer digits
LEAST_SECONDS_COUNT = 100_000  # a count beyond is of seconds: so many hours are eleven years
MAX_SAMPLED_VALUES = 400  # distinct values looked at


@dataclass(frozen=True)
class TimeGuess:
    """A time format, the share of the sample that it reads, and notes about what is doubtful."""

    format: str
    share: float
    notes: tuple[str, ...] = ()
    day_only: bool = False
    origin: str = "2000-01-01"


def guess_time(values: Sequence[str], name: str) -> TimeGuess | None:
    """Return the time format of most of `values` (text, none missing), or None if they are not times. `name` is used in
    the notes.
    """
    distinct = Counter(value.strip() for value in values)
    return _guess_seen(tuple(value for value, _ in distinct.most_common(MAX_SAMPLED_VALUES)), name)


@lru_cache(maxsize=256)  # a column is asked about for each role and table that it could have
def _guess_seen(seen: tuple[str, ...], name: str) -> TimeGuess | None:
    if not seen:
        return None
    iso = sum(bool(ISO.match(value)) for value in seen) / len(seen)
    if iso >= 0.5:
        return TimeGuess("iso", iso, day_only=all(len(value) <= 10 for value in seen))
    plain = [value.removesuffix(".0") for value in seen]
    if sum(value.replace(".", "", 1).isdigit() for value in plain) / len(seen) >= 0.9:
        whole = [value for value in plain if value.isdigit()]
        return _guess_number(whole or [value for value in plain if value.replace(".", "", 1).isdigit()], name)
    numeric = [match for value in seen if (match := NUMERIC.match(value))]
    if len(numeric) >= 0.5 * len(seen):
        return _guess_day_month(numeric, seen, name)
    return _guess_named(seen)


def _guess_number(values: list[str], name: str) -> TimeGuess | None:
    width, times = Counter(len(value.split(".")[0]) for value in values).most_common(1)[0]
    pattern = DIGIT_FORMATS.get(width)
    if pattern and _share(values, (pattern,)) > 0.9:
        return TimeGuess(pattern, _share(values, (pattern,)), day_only=width <= 8)
    if width >= 9:
        return TimeGuess("epoch", times / len(values))
    if width in (3, 4) and re.search(r"time|date|stamp|时|日期", name.lower()) and all(map(_is_month_day, values)):
        note = (
            f"{name} says month and day, no year: 2000 stands for it (set time_origin; a log over New Year needs years)"
        )
        return TimeGuess(MONTH_DAY, 1.0, (note,), day_only=True)
    if width == 5 and all(EXCEL_DAYS[0] <= float(value) < EXCEL_DAYS[1] for value in values):
        moments = sum(bool(MOMENT_OF_DAY.search(value)) for value in values)
        if moments > 0.5 * len(values) or EXCEL_NAMES.search(name.lower()):
            note = f"{name} counts days as Excel does, from 1899-12-30"
            return TimeGuess("days", 1.0, (note,), day_only=True, origin="1899-12-30")
    if width <= 5 and re.search(r"day|week|step|date|天|周|日", name.lower()):
        unit = "weeks" if "week" in name.lower() or "周" in name else "days"
        note = f"{name} counts {unit}; day 0 is not known, 2000-01-01 stands for it (set time_origin)"
        return TimeGuess(unit, 1.0, (note,), day_only=True)
    return _guess_clock([float(value) for value in values], name)


def _guess_clock(values: list[float], name: str) -> TimeGuess | None:
    """Hours or seconds since a start that nobody named; no time of day such as 1432 or 143207."""
    of_day = all(value % 100 < 60 and value // 100 % 100 < 60 and value < 240_000 for value in values)
    if not re.search(r"time|stamp|时", name.lower()) or of_day or max(values) < 48:
        return None
    unit = "seconds" if max(values) >= LEAST_SECONDS_COUNT else "hours"
    note = (
        f"{name} counts {unit}, as it seems (set time_format if it counts days, minutes or others); its start is not "
        "known, 2000-01-01 stands for it (set time_origin)"
    )
    return TimeGuess(unit, 0.9, (note,))


def _is_month_day(value: str) -> bool:
    return len(value) in (3, 4) and _fits(f"2000{value.zfill(4)}", "%Y%m%d")


def _guess_day_month(matches: list[re.Match[str]], seen: Sequence[str], name: str) -> TimeGuess | None:
    first, second = [int(match[1]) for match in matches], [int(match[3]) for match in matches]
    day_first = sum(number > 12 for number in first)
    month_first = sum(number > 12 for number in second)
    notes: tuple[str, ...] = ()
    dayfirst = day_first > month_first
    if day_first == month_first == 0:
        # A month changes more slowly than a day; where even that does not tell, the more common order worldwide.
        dayfirst = len(set(first)) >= len(set(second))
        order = "day/month" if dayfirst else "month/day"
        notes = (f"{name}: no value tells day from month; read as {order} (set time_format)",)
    elif day_first and month_first:
        notes = (
            f"{name}: {day_first} values fit only day/month, {month_first} only month/day; the rarer are set aside",
        )
    separator = Counter(match[2] for match in matches).most_common(1)[0][0]
    year = "%Y" if Counter(len(match[4]) for match in matches).most_common(1)[0][0] == 4 else "%y"
    date = separator.join(["%d", "%m", year] if dayfirst else ["%m", "%d", year])
    return _with_clocks((date,), seen, notes)


def _guess_named(seen: Sequence[str]) -> TimeGuess | None:
    for pattern in ZONED_FORMATS:
        if _share(seen, (pattern,)) > 0.5:
            return TimeGuess(pattern, _share(seen, (pattern,)))
    return _with_clocks(DATE_FORMATS, seen, ())


def _with_clocks(dates: Sequence[str], seen: Sequence[str], notes: tuple[str, ...]) -> TimeGuess | None:
    """The formats, of dates with and without a time of day, that read a visible part of the values."""
    found = []
    for date in dates:
        if _share(seen[:20], tuple(date + clock for clock in TIME_OF_DAY_FORMATS)) == 0:
            continue
        found += [date + clock for clock in TIME_OF_DAY_FORMATS if _share(seen, (date + clock,)) > 0.005]
    share = _share(seen, tuple(found))
    if share < 0.5:
        return None
    return TimeGuess(
        " | ".join(found), share, notes, day_only=all("%H" not in each and "%I" not in each for each in found)
    )


def _share(values: Sequence[str], formats: tuple[str, ...]) -> float:
    left = values
    for each in formats:  # one after the other: Python keeps the last five formats compiled
        left = [value for value in left if not _fits(value, each)]
    return (len(values) - len(left)) / max(len(values), 1)


def _fits(value: str, pattern: str) -> bool:
    try:
        return 1900 <= datetime.strptime(value, pattern).year <= 2100
    except ValueError:
        return False
