"""Values in, words out: money, shares, counts, dates and intervals, in English or Chinese; None is a dash.

Which language is spoken is said once, around a whole page, by `speaking`; a sentence stands in both in one `pick`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Literal
from zoneinfo import ZoneInfo

from promolift.foundation.money import CURRENCY_DIGITS, SIGNS

DASH = "—"
INTERVAL = "95\N{NO-BREAK SPACE}% interval"  # every interval that is kept or told
MINUS = "\N{MINUS SIGN}"
Tongue = Literal["zh", "en"]
_SPOKEN: ContextVar[Tongue] = ContextVar("spoken", default="en")
# control characters, and marks that turn the direction of the text after them
UNSEEN = dict.fromkeys([*range(9), *range(14, 32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


@contextmanager
def speaking(language: Tongue) -> Iterator[None]:
    """All words made inside are in `language`; without it they are English."""
    before = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(before)


def spoken() -> Tongue:
    """The language that is spoken now."""
    return _SPOKEN.get()


def pick(en: str, zh: str) -> str:
    """The sentence of the language that is spoken."""
    return zh if _SPOKEN.get() == "zh" else en


def known(value: object) -> float | None:
    """`value` as a finite float, or None for None, NaN, infinity and what is no number."""
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def digits(currency: str | None) -> int:
    """Decimal digits of the currency's minor unit; 2 where the currency is unknown."""
    return CURRENCY_DIGITS.get(currency or "", 2)


def symbol(currency: str | None) -> str:
    """What stands before the amount: `$`, or the code and a space; nothing where the currency is no code of letters."""
    if not currency or not (currency.isascii() and currency.isalpha() and len(currency) <= 5):
        return ""
    return SIGNS.get(currency, f"{currency}\N{NO-BREAK SPACE}")


def money(cents: object, currency: str | None, sign: bool = False) -> str:
    """Minor units as money: `$4.20`, `$1,234` (no minor units from 1,000), `$2.35 M` (`$235万`); `sign` also prints a
    plus."""
    value = known(cents)
    if value is None:
        return DASH
    places = digits(currency) if round(value) else 0
    amount = abs(value) / 10 ** digits(currency)
    plain = f"{amount:,.{places if amount < 999.995 else 0}f}"
    text = _large(amount) if amount >= 999_999.5 else plain
    zero = not any(d in text for d in "123456789")
    lead = "" if zero else MINUS if value < 0 else "+" if sign else ""
    return f"{lead}{symbol(currency)}{text}"


def _large(amount: float) -> str:
    """A million and more, in the units of the language."""
    if spoken() == "zh":
        return f"{amount / 1e4:,.0f}万" if amount < 1e8 else f"{amount / 1e8:,.2f}亿"
    unit, scale = ("M", 1e6) if amount < 999_999_500 else ("bn", 1e9)
    return f"{amount / scale:,.2f}\N{NO-BREAK SPACE}{unit}"


def per_unit(cents: object, currency: str | None) -> str:
    """What one unit of money, such as a dollar, brings: `$0.49`, and `¥0.493` where there is no smaller coin."""
    value = known(cents)
    if value is None or digits(currency):
        return money(cents, currency)
    return f"{MINUS if value < 0 else ''}{symbol(currency)}{number(abs(value))}"


@dataclass(frozen=True)
class Cash:
    """Says amounts of one currency."""

    currency: str | None

    def __call__(self, cents: object, sign: bool = False) -> str:
        """`money`."""
        return money(cents, self.currency, sign)

    def per_unit(self, cents: object) -> str:
        """`per_unit`."""
        return per_unit(cents, self.currency)

    @property
    def unit(self) -> str:
        """One unit of money: `$1`."""
        return f"{symbol(self.currency)}1"


def share(value: object, places: int | None = None) -> str:
    """A fraction in per cent: `12 %`, `3.4 %` below 10 %, `< 0.1 %` where it is small but not zero."""
    text = _share(value, places)
    return text.replace("\N{NO-BREAK SPACE}", "").replace("above ", "高于") if spoken() == "zh" else text


def _share(value: object, places: int | None) -> str:
    number = known(value)
    percent = known(abs(number) * 100) if number is not None else None  # 100 times a large number can be infinite
    if number is None or percent is None:
        return DASH
    lead = MINUS if number < 0 else ""
    if places is None:
        if 0 < percent < 0.05:
            return f"{'above −' if number < 0 else '< '}0.1\N{NO-BREAK SPACE}%"
        if 99.5 <= percent < 100:  # nearly all is not all
            return f"{'> ' if percent >= 99.95 else ''}{lead}{min(percent, 99.9):.1f}\N{NO-BREAK SPACE}%"
        places = 1 if percent < 9.95 and round(percent, 1) != round(percent) else 0
    return f"{lead}{percent:,.{places}f}\N{NO-BREAK SPACE}%"


def count(value: object) -> str:
    """A whole number with thousands marked."""
    number = known(value)
    return DASH if number is None else f"{round(number):,}".replace("-", MINUS)


def number(value: object) -> str:
    """A plain number: three decimals below one, three figures above."""
    x = known(value)
    if x is None:
        return DASH
    size = abs(x)
    if 0 < size < 0.0005:
        return f"{x:.1e}".replace("-", MINUS)
    places = 0 if size >= 99.95 or x == 0 else 1 if size >= 9.995 else 2 if size >= 1 else 3
    return f"{x:,.{places}f}".replace("-", MINUS)


def days(value: object) -> str:
    """Days with one decimal below ten: `1 day`, `4.5 days`, `12 days`."""
    x = known(value)
    if x is None:
        return DASH
    text = day_count(value)
    return pick(f"{text} day" + ("" if text == "1" else "s"), f"{text}天")


def day_count(value: object) -> str:
    """`days` without the word."""
    x = known(value)
    if x is None:
        return DASH
    return f"{x:,.1f}".removesuffix(".0") if abs(x) < 9.95 else f"{x:,.0f}"


def plural(n: object, noun: str, nouns: str | None = None) -> str:
    """`1 customer`, `2 customers`, `3,000 categories`."""
    text = count(n)
    return f"{text} {noun if text == '1' else nouns or noun + 's'}"


def date(ms: object, timezone: str | None) -> str:
    """A moment as `16 October 2017` in `timezone`; UTC where the zone is unknown to this machine."""
    value = known(ms)
    if value is None:
        return DASH
    try:
        zone = ZoneInfo(timezone) if timezone else UTC
    except (KeyError, ValueError, OSError):
        zone = UTC
    try:
        moment = datetime.fromtimestamp(value / 1000, tz=zone)
    except (OverflowError, ValueError, OSError):
        return DASH
    return pick(f"{moment.day} {moment:%B} {moment.year}", f"{moment.year}年{moment.month}月{moment.day}日")


def clip(text: object, length: int = 80) -> str:
    """`text` on one line, cut with an ellipsis after `length` characters; None is a dash."""
    if text is None:
        return DASH
    line = " ".join(str(text).translate(UNSEEN).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def upper_first(text: str) -> str:
    """`text` with a capital at its start."""
    return text[:1].upper() + text[1:]


def listed(parts: list[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`; in Chinese `a、b和c`."""
    if spoken() == "zh":
        last_zh = "或" if last == "or" else "和"
        return "、".join(parts[:-1]) + last_zh + parts[-1] if len(parts) > 1 else "".join(parts)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}" if parts else ""


def ends(low: object, high: object, text: Callable[[object], str]) -> str:
    """`1.2 to 3.4`; empty where an end is not known."""
    return "" if known(low) is None or known(high) is None else f"{text(low)}{pick(' to ', '至')}{text(high)}"


def interval_name() -> str:
    """The name of every interval: INTERVAL, `95%置信区间`."""
    return pick(INTERVAL, "95%置信区间")


def interval(low: object, high: object, text: Callable[[object], str]) -> str:
    """`95 % interval 1.2 to 3.4`; empty where an end is not known."""
    between = ends(low, high, text)
    return between and f"{interval_name()}{pick(' ', '')}{between}"


def bracket(text: str) -> str:
    """` (text)`, or nothing for nothing."""
    return pick(f" ({text})", f"（{text}）") if text else ""


def as_html(text: str, frame: Any = None) -> str:
    """A text, and a frame below it, as a notebook shows them."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line)
    return lines + (frame._repr_html_() if frame is not None else "")
