"""A reading and an offer in; every date of the text checked against the offer's first and last moment, then hidden.

A statement of an end becomes a moment ('through June 30' and 'before July 1' are the same one), and moments are
compared; so are stated starts, weekdays, clock times and, where the sending day is known, numbers of days.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from promolift.message.reading import date_cues as cue
from promolift.message.reading.asides import check_months, hide_scenes, in_scene, months_named
from promolift.message.reading.text import DATE, Context, Reading, number
from promolift.terms import Offer

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DATED = re.compile(rf"\s*[(（,，:：]?\s*(?:即|也就是)?\s*{DATE}")
_PROSE = re.compile(r"^(?:一|one)$", re.IGNORECASE)  # 忙碌的一天 and 'one day' are no deadlines by themselves
_VALIDITY = re.compile(
    r"有效|限|仅|内|为期|持续|倒计时|只|剩|还有|最后|今后|未来|\b(?:last|left|only|valid|for|within|next|in|just)\b",
    re.IGNORECASE,
)
_MONTH_END = -1  # the day number of 'the end of June'
_NEVER = -1  # the minute of a clock time at which no offer ends
_UNIT_DAYS = {"d": 1, "天": 1, "日": 1, "w": 7, "周": 7, "星": 7}
_WORD_MINUTES = {"midnight": 1440, "午夜": 1440, "noon": 720, "midday": 720, "正午": 720, "中午": 720, "零点": 0}
_HALVES = {"morning": "a", "afternoon": "p", "evening": "p", "night": "p"}
_EVENING = ("晚上", "晚", "夜里")


@dataclass(frozen=True)
class _Stated:
    """One date of a text: its place, the days it may mean, its clock time in minutes (None: the whole day).

    `tail` is where a clock time after a weekday ends.
    """

    start: int
    end: int
    tail: int
    days: tuple[date, ...]
    minutes: int | None
    second_day: int | None
    month_end: bool


def end_moment(offer: Offer) -> datetime:
    """The first moment, without zone, at which the offer is over: the next midnight if it lasts the whole day."""
    last = offer.expires.replace(tzinfo=None)
    minute = last.replace(second=0, microsecond=0)
    if (last.hour, last.minute) == (23, 59) or last.second >= 59:
        return minute + timedelta(minutes=1)
    return minute


def check_dates(reading: Reading, offer: Offer, context: Context) -> None:
    """Flag every date that is not the offer's, hide all dates, and flag a full text without an expiry date."""
    found = _dates(reading.text, offer)
    ends = 0
    for i, stated in enumerate(found):
        following = found[i + 1] if i + 1 < len(found) else None
        opens = following is not None and bool(cue.JOIN.match(reading.text[stated.end : following.start]))
        is_end = _check_one(reading, stated, offer, opens)
        reading.note("end" if is_end else "start", stated.start, stated.end)
        ends += is_end
    for stated in found:
        beside = cue.BESIDE.match(reading.text[stated.end :])
        inside = cue.INSIDE.match(reading.text[stated.end :])
        if inside and re.search(r"\d+\s*[日号]", inside["in"]):  # its day is checked with the date
            reading.hide(stated.end + inside.start("in"), stated.end + inside.end(), DATE)
        reading.hide(stated.start, max(stated.tail, stated.end + (beside.end() if beside else 0)), DATE)
    hide_scenes(reading)
    ends += _check_relative(reading, offer, context)
    ends += _check_durations(reading, offer, context)
    ends += check_months(reading, _last_day(offer), offer.starts)
    if context.full and not ends and not any(b.code == "wrong_date" for b in reading.broken):
        reading.flag("missing_date", 0, 0, f"the text does not say that the offer is valid through {_last_day(offer)}")
    _check_moment(reading, offer, context)


def _last_day(offer: Offer) -> date:
    return (end_moment(offer) - timedelta(minutes=1)).date()


def _whole_day(offer: Offer) -> bool:
    return end_moment(offer).time() == datetime.min.time()


def _sent_day(offer: Offer, context: Context) -> date | None:
    """The day of sending in the shop's zone, if it is known."""
    return context.sent.astimezone(offer.expires.tzinfo).date() if context.sent else None


def _check_moment(reading: Reading, offer: Offer, context: Context) -> None:
    """A text sent before the offer begins must not say 'now'; one sent after its end must not be sent."""
    if context.sent is None:
        return
    if context.sent > offer.expires:
        reading.flag("expired", 0, 0, f"sent at {context.sent}, but the offer ended at {offer.expires}")
    early = cue.NOW.search(reading.text)
    if early and context.sent < offer.starts:
        reading.flag("not_started", *early.span(), f"the offer begins only at {offer.starts}")


def _dates(text: str, offer: Offer) -> list[_Stated]:
    taken: list[_Stated] = []
    for core in cue.CORES:
        for match in core.finditer(text):
            if not any(match.start() < t.end and t.start < match.end() for t in taken):
                stated = _stated(text, match, offer)
                if stated:
                    taken.append(stated)
    return sorted(taken, key=lambda t: t.start)


def _stated(text: str, match: re.Match[str], offer: Offer) -> _Stated | None:
    """Read one match; None if it is no calendar date at all (a score, a fraction)."""
    g = {k: v for k, v in match.groupdict().items() if v}
    year = int(number(g["y"])) if "y" in g else None
    years = [year + 2000 if len(g["y"]) == 2 else year] if year is not None else _years(offer)
    if "a" in g:
        a, b = int(g["a"]), int(g["b"])
        pairs = [(a, b)] if offer.currency == "USD" else [(a, b), (b, a)]
        pairs = pairs if a <= 12 else [(b, a)]
        if a > 12 and b <= 12 and year and len(g["y"]) == 2 and year > 12:  # 26/6/30 as Chinese texts write it
            pairs, years = [*pairs, (b, year)], [*years, 2000 + a]
    else:
        month = _month(text, g, offer)
        if month is None:
            return None
        day = _MONTH_END if "last" in g else _day_number(g["d"])
        pairs = [(month, day)]
    days = tuple(d for y in years for m, day in pairs if (d := _day(y, m, day)))
    if not days and "a" in g and "y" not in g:
        return None
    second = int(number(g["d2"])) if "d2" in g else None
    start, end, tail, minutes = _widen(text, match.start(), match.end())
    return _Stated(start, end, tail, days, minutes, second, "last" in g)


def _month(text: str, g: dict[str, str], offer: Offer) -> int | None:
    """The month of a date; for a bare day ('the 30th') the offer's last one, if it is the only one or is named."""
    if "mon" in g:
        return _MONTHS.index(g["mon"][:3].lower()) + 1
    if "m" in g:
        return int(number(g["m"]))
    last = _last_day(offer)
    one = (offer.starts.year, offer.starts.month) == (last.year, last.month)
    return last.month if one or last.month in months_named(text) else None


def _day_number(text: str) -> int:
    """'30', '三十' or 'thirtieth'."""
    word = text.lower()
    return cue.ORDINALS.index(word) + 1 if word in cue.ORDINALS else int(number(text))


def _years(offer: Offer) -> list[int]:
    last, first = _last_day(offer), offer.starts.date()
    return sorted({first.year, last.year, last.year + 1})


def _day(year: int, month: int, day: int) -> date | None:
    if not (1 <= month <= 12 and 1 <= year <= 9999):
        return None
    last = monthrange(year, month)[1]
    day = last if day == _MONTH_END else day
    return date(year, month, day) if 1 <= day <= last else None


class _WithClock(NamedTuple):
    """A date with the clock time beside it: where both stand, where the part behind the date ends, and minutes."""

    start: int
    end: int
    gap: int
    minutes: int | None


def _widen(text: str, start: int, end: int) -> _WithClock:
    """Take in the clock time beside a date."""
    after = cue.CLOCK_AFTER.match(text[end:])
    if after:
        return _WithClock(start, end + after.end(), end + after.end(), _minutes(after))
    weekday = cue.WEEKDAY_AFTER.match(text[end:])
    gap = end + weekday.end() if weekday else end
    after = cue.CLOCK_AFTER.match(text[gap:]) if weekday else None
    if after:
        return _WithClock(start, end, gap + after.end(), _minutes(after))
    day = cue.WEEKDAY_BEFORE.search(text[:start])
    before = cue.CLOCK_BEFORE.search(text[: day.start() if day else start])
    return _WithClock(before.start(), end, gap, _minutes(before)) if before else _WithClock(start, end, gap, None)


def _minutes(clock: re.Match[str]) -> int:
    """Minutes after the day's first moment; midnight is the end of the day."""
    word = (clock["word"] or "").lower()
    if word:
        return _WORD_MINUTES[word]
    if (clock["s"] or clock["s2"] or "00") not in ("00", "59"):
        return _NEVER
    hour = int(number(clock["h"]))
    minute = 30 if clock["half"] else int(number(clock["mi"] or clock["mi2"] or "0"))
    half = (clock["ap"] or clock["ap2"] or _HALVES.get((clock["ap3"] or "").lower(), "")).lower()[:1]
    if minute > 59:
        return _NEVER
    if (half == "p" or clock["part"] in ("下午", "傍晚", *_EVENING)) and hour < 12:
        hour += 12
    elif half == "a" and hour == 12:
        hour = 0
    elif clock["part"] in _EVENING and hour == 12:
        hour = 24
    return hour * 60 + minute


def _check_one(reading: Reading, stated: _Stated, offer: Offer, opens: bool) -> int:
    """Check one date against start or end; returns 1 if it states the offer's end."""
    before, after = reading.clause(stated.start, stated.end)
    before = cue.WEEKDAY_BEFORE.sub("", before)
    weekday = cue.WEEKDAY_AFTER.match(after)
    after = after[weekday.end() :] if weekday else after
    _check_weekday(reading, stated, offer)
    if cue.START_ZH.match(after) and cue.OVER.search(after[:8]) and end_moment(offer) in _mornings(stated.days):
        return 1  # 10月10日起恢复原价
    starts = cue.START_ZH.match(after) or cue.START_AFTER_EN.match(after)
    if opens or cue.START_BEFORE.search(before) or starts:
        if stated.second_day is None and offer.starts.date() not in stated.days:
            _flag_date(reading, stated, f"the offer begins on {offer.starts.date()}")
        elif stated.second_day is not None:
            return _check_span(reading, stated, offer)
        return 0
    if stated.second_day is not None:
        return _check_span(reading, stated, offer)
    before_it = not stated.month_end and _is_before(before, after)  # 6月底前: by the end of June
    moments = {_moment(day, stated.minutes, before_it) for day in stated.days}
    late = cue.AFTER_EN.search(before) or before.endswith(("过", "过了")) or cue.AFTER_ZH.match(after)
    if (
        end_moment(offer) not in moments
        or _wrong_inside(stated, after)
        or (late and not cue.OVER.search(before + after))
    ):
        _flag_date(reading, stated, f"the offer ends with {_last_day(offer)} ({offer.expires:%H:%M})")
    return 1


def _mornings(days: tuple[date, ...]) -> set[datetime]:
    return {datetime.combine(day, datetime.min.time()) for day in days}


def _check_span(reading: Reading, stated: _Stated, offer: Offer) -> int:
    """'June 1-30': the first day is the start, the second the end."""
    assert stated.second_day is not None
    firsts = offer.starts.date() in stated.days
    ends = {day.replace(day=1) + timedelta(days=stated.second_day) for day in stated.days}
    if not firsts or end_moment(offer).date() not in ends or not _whole_day(offer):
        _flag_date(reading, stated, f"the offer runs from {offer.starts.date()} through {_last_day(offer)}")
    return 1


def _wrong_inside(stated: _Stated, after: str) -> bool:
    """'(including the 29th)' beside another day."""
    inside = cue.INSIDE.match(after)
    days = re.findall(r"\d+(?=\s*(?:日|号|st|nd|rd|th|[)）]))", inside["in"]) if inside else []
    return any(int(day) not in {d.day for d in stated.days} for day in days)


def _is_before(before: str, after: str) -> bool:
    """Whether 'before' is meant without the day itself."""
    if cue.NOT_INCLUDED.match(after):
        return True
    inside = cue.INSIDE.match(after)
    with_it = bool(inside and "含" in inside["in"]) or cue.INCLUDED.match(after) or cue.UP_TO_ZH.match(after)
    if with_it or cue.ON_OR_BEFORE_EN.search(before):
        return False
    return bool(cue.BEFORE_ZH.match(after) or cue.BEFORE_EN.search(before))


def _moment(day: date, minutes: int | None, before: bool) -> datetime:
    start = datetime.combine(day, datetime.min.time())
    if minutes is None:
        return start if before else start + timedelta(days=1)
    return start + timedelta(minutes=1440 if minutes == 1439 else minutes)


def _check_weekday(reading: Reading, stated: _Stated, offer: Offer) -> None:
    last = _last_day(offer)
    likely = {day for day in stated.days if day in (last, last + timedelta(days=1), offer.starts.date())}
    before = cue.WEEKDAY_BEFORE.search(reading.text[: stated.start])
    after = cue.WEEKDAY_AFTER.match(reading.text[stated.end :])
    for match in filter(None, (before, after)):
        han = match.groupdict().get("z")
        index = "一二三四五六日".find(han.replace("天", "日")) if han else _weekday_index(match["w"])
        if index not in {day.weekday() for day in likely or stated.days}:
            _flag_date(reading, stated, f"that day is no {match.group().strip(' ,()（）')}")


def _weekday_index(word: str) -> int:
    return _WEEKDAYS.index(word.lower()[:3])


def _flag_date(reading: Reading, stated: _Stated, reason: str) -> None:
    reading.flag("wrong_date", stated.start, stated.end, reason)


def _check_durations(reading: Reading, offer: Offer, context: Context) -> int:
    """'valid for 7 days' is true only of a known sending day; returns how many such statements are true."""
    true = 0
    for match in list(cue.DURATION.finditer(reading.text)):
        sent = _sent_day(offer, context)
        if in_scene(reading.text, *match.span()):
            reading.hide(*match.span(), " ")
            continue
        if _PROSE.match(match["n"]) and not _VALIDITY.search(" ".join(reading.clause(*match.span()))):
            continue
        if match["unit"] == "年" and number(match["n"]) in (offer.starts.year, offer.expires.year):
            reading.hide(*match.span(), DATE)  # 2026年最后一天
            continue
        left = (_last_day(offer) - sent).days if sent else None
        size = _UNIT_DAYS.get(match["unit"][0].lower())
        if left is not None and _whole_day(offer) and size and number(match["n"]) * size == left:
            true += 1
        else:
            known = f"{left} days are left" if left is not None else "the day of sending is not known"
            reading.flag("wrong_duration", *match.span(), f"a number of days must be true when sent; {known}")
        reading.hide(*match.span(), DATE)
    return true


def _check_relative(reading: Reading, offer: Offer, context: Context) -> int:
    """'today only' and 'end of the month' are true only of a known sending day."""
    true = 0
    sent, last = _sent_day(offer, context), _last_day(offer)
    same_month = sent is not None and (last.year, last.month) == (sent.year, sent.month)
    month_end = same_month and _day(last.year, last.month, _MONTH_END) == last
    whole = _whole_day(offer)
    for pattern, holds in ((cue.TODAY, whole and sent == last), (cue.MONTH_END, whole and month_end)):
        for match in list(pattern.finditer(reading.text)):
            if pattern is cue.MONTH_END and in_scene(reading.text, *match.span()):
                continue
            if _DATED.match(reading.text[match.end() :]):
                if pattern is cue.TODAY and holds:
                    reading.hide(*match.span(), DATE)
                continue  # 月底（6月30日）: the date beside it is checked
            true += holds
            if not holds:
                reading.flag("vague_deadline", *match.span(), f"the offer is valid through {last}; say the date")
            reading.hide(*match.span(), DATE)
    return true
