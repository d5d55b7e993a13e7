"""Read a column of day-month-year dates that are written in several ways, by the order of its rows.

A spreadsheet that opens '05-01-2015' in another country's settings writes '5/1/2015' beside '21-07-2015'. Each way of
writing has one order of day and month; where its values allow both, the order counts in which the rows run in time.
"""

import re
from collections import Counter
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise, product
from typing import NamedTuple

from promolift.foundation.files.time_formats import ISO, NUMERIC, TIME_OF_DAY_FORMATS, TimeGuess
from promolift.foundation.i18n.lazy_message import gettext_lazy

MIN_SHARE = 0.005  # of the values that a way of writing needs
MIN_READ = 0.98  # of a way's values that its order of day and month must read
CLEARER = 0.7  # how much less the rows run back and forth under the better order
MOST_WAYS = 4  # ways of writing that are weighed against each other
ORDERS = ("%d{0}%m{0}", "%m{0}%d{0}")


class Writing(NamedTuple):
    """One way of writing a date: the sign between its parts and the digits of its year."""

    separator: str
    year_digits: int

    def pattern(self, order: str) -> str:
        """The strptime format in one of ORDERS."""
        return order.format(self.separator) + ("%Y" if self.year_digits == 4 else "%y")


@dataclass(frozen=True)
class DateGuess(TimeGuess):
    """A guess; `undecided` where neither the values nor the order of the rows tell day from month."""

    undecided: bool = False


def guess_mixed_dates(values: Sequence[str]) -> DateGuess | None:
    """Return the formats of a column, whose `values` stand in the order of its rows; None where most are no such dates.

    The formats are as few as read the column: one for each way of writing and time of day.
    """
    matches = [NUMERIC.match(value) for value in values]
    written = [Writing(match[2], len(match[4])) if match else None for match in matches]
    counted = Counter(each for each in written if each)
    ways = [way for way, rows in counted.most_common(MOST_WAYS) if rows >= MIN_SHARE * len(values)]
    if not ways or sum(counted[way] for way in ways) < 0.5 * len(values):
        return None
    of_way = {way: [match for match, own in zip(matches, written, strict=True) if match and own == way] for way in ways}
    moves = []
    for orders in product(*map(_orders, of_way.values())):
        chosen = dict(zip(ways, orders, strict=True))
        days = [_day(value, match, way, chosen) for value, match, way in zip(values, matches, written, strict=True)]
        known = [day for day in days if day is not None]
        moves.append((sum(abs(after - before) for before, after in pairwise(known)), chosen))
    moves.sort(key=lambda move: move[0])  # equal ones stay in the order of ORDERS
    chosen = moves[0][1]
    undecided = len(moves) > 1 and moves[0][0] >= CLEARER * moves[1][0]
    notes: tuple[str, ...] = ()
    if undecided:  # a month changes more slowly than a day; where even that does not tell, the more common order
        chosen = {way: _by_variety(of_way[way]) if len(_orders(of_way[way])) > 1 else chosen[way] for way in ways}
    formats = _with_times_of_day(values, written, chosen)
    shown = " | ".join(formats)
    if undecided:
        notes = (
            gettext_lazy("NOT SURE: no value tells day from month; read as {shown} (set time_format)", shown=shown),
        )
    read = sum(bool(ISO.match(value)) or any(_fits(value, each) for each in formats) for value in values)
    day_only = all("%H" not in each and "%I" not in each for each in formats)
    return DateGuess(shown, read / len(values), notes, day_only, undecided=undecided)


def _by_variety(matches: Sequence[re.Match[str]]) -> str:
    return ORDERS[len({match[1] for match in matches}) < len({match[3] for match in matches})]


def _orders(matches: Sequence[re.Match[str]]) -> list[str]:
    """The orders that read nearly all values of one way of writing; both where neither does."""
    months = [sum(int(match[group]) <= 12 for match in matches) for group in (3, 1)]
    found = [order for order, fits in zip(ORDERS, months, strict=True) if fits >= MIN_READ * len(matches)]
    return found or [ORDERS[months[1] > months[0]]]


def _day(value: str, match: re.Match[str] | None, way: Writing | None, chosen: Dict[Writing, str]) -> int | None:
    try:
        if match and way and way in chosen:
            first, second = int(match[1]), int(match[3])
            day, month = (first, second) if chosen[way] == ORDERS[0] else (second, first)
            return date(int(match[4]) + (2000 if len(match[4]) == 2 else 0), month, day).toordinal()
        return date.fromisoformat(value[:10]).toordinal()
    except ValueError:
        return None


def _with_times_of_day(
    values: Sequence[str], written: Sequence[Writing | None], chosen: Dict[Writing, str]
) -> list[str]:
    found = []
    for way, order in chosen.items():
        left = list(dict.fromkeys(value for value, own in zip(values, written, strict=True) if own == way))
        for clock in TIME_OF_DAY_FORMATS:
            rest = [value for value in left if not _fits(value, way.pattern(order) + clock)]
            if len(left) - len(rest) > MIN_SHARE * len(left):
                found.append(way.pattern(order) + clock)
                left = rest
    return found


def _fits(value: str, pattern: str) -> bool:
    try:
        return 1900 <= datetime.strptime(value, pattern).year <= 2100
    except ValueError:
        return False
