"""Format money, shares, counts, dates and intervals as text in English or Chinese. None becomes a dash.

`use_locale` sets the language for a whole page.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from html import escape
from typing import Any, Literal
from zoneinfo import ZoneInfo

from promolift.foundation.i18n.catalogue import Locale as Locale
from promolift.foundation.i18n.catalogue import current_locale as current_locale
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.catalogue import use_locale as use_locale
from promolift.foundation.i18n.currency_codes import CURRENCY_DIGITS, CURRENCY_SIGNS

DASH = "—"
INTERVAL = "95\N{NO-BREAK SPACE}% interval"  # every interval that is kept or told
MINUS = "\N{MINUS SIGN}"
# control characters, and marks that turn the direction of the text after them
INVISIBLE_CHARACTERS = dict.fromkeys([*range(9), *range(14, 32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def finite_or_none(value: object) -> float | None:
    """Return `value` as a finite float; None for None, NaN, infinity and values that are not numbers."""
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def minor_digits(currency: str | None) -> int:
    """Return the decimal digits of the currency's minor unit; 2 if the currency is unknown."""
    return CURRENCY_DIGITS.get(currency or "", 2)


def currency_symbol(currency: str | None) -> str:
    """Return the text before an amount: `$`, or the code and a space; empty if the code is not made of letters."""
    if not currency or not (currency.isascii() and currency.isalpha() and len(currency) <= 5):
        return ""
    return CURRENCY_SIGNS.get(currency, f"{currency}\N{NO-BREAK SPACE}")


def money(cents: object, currency: str | None, sign: bool = False) -> str:
    """Format minor units as money: `$4.20`, `$1,234` (no minor units from 1,000), `$2.35 M` (`$235万`). `sign` also
    prints a plus.
    """
    value = finite_or_none(cents)
    if value is None:
        return DASH
    places = minor_digits(currency) if round(value) else 0
    amount = abs(value) / 10 ** minor_digits(currency)
    plain = f"{amount:,.{places if amount < 999.995 else 0}f}"
    text = _large(amount) if amount >= 999_999.5 else plain
    zero = not any(d in text for d in "123456789")
    lead = "" if zero else MINUS if value < 0 else "+" if sign else ""
    return f"{lead}{currency_symbol(currency)}{text}"


def _large(amount: float) -> str:
    """A million and more, in the units of the language."""
    if current_locale() == "zh":
        return f"{amount / 1e4:,.0f}万" if amount < 1e8 else f"{amount / 1e8:,.2f}亿"
    unit, scale = ("M", 1e6) if amount < 999_999_500 else ("bn", 1e9)
    return f"{amount / scale:,.2f}\N{NO-BREAK SPACE}{unit}"


def per_unit(cents: object, currency: str | None) -> str:
    """Format the return of one unit of money, such as a dollar: `$0.49`, and `¥0.493` if the currency has no smaller
    coin.
    """
    value = finite_or_none(cents)
    if value is None or minor_digits(currency):
        return money(cents, currency)
    return f"{MINUS if value < 0 else ''}{currency_symbol(currency)}{number(abs(value))}"


@dataclass(frozen=True)
class MoneyFormat:
    """Format amounts of one currency."""

    currency: str | None

    def __call__(self, cents: object, sign: bool = False) -> str:
        """Format minor units with `money`."""
        return money(cents, self.currency, sign)

    def per_unit(self, cents: object) -> str:
        """Format with `per_unit`."""
        return per_unit(cents, self.currency)

    @property
    def unit(self) -> str:
        """One unit of money: `$1`."""
        return f"{currency_symbol(self.currency)}1"


def percent(value: object, places: int | None = None) -> str:
    """Format a fraction in per cent: `12 %`, `3.4 %` below 10 %, `< 0.1 %` if it is small but not zero."""
    text = _share(value, places)
    return text.replace("\N{NO-BREAK SPACE}", "").replace("above ", "高于") if current_locale() == "zh" else text


def _share(value: object, places: int | None) -> str:
    number = finite_or_none(value)
    percent = (
        finite_or_none(abs(number) * 100) if number is not None else None
    )  # 100 times a large number can be infinite
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
    """Format a whole number with thousands separators."""
    number = finite_or_none(value)
    return DASH if number is None else f"{round(number):,}".replace("-", MINUS)


def number(value: object) -> str:
    """Format a plain number: three decimals below one, else three significant figures."""
    x = finite_or_none(value)
    if x is None:
        return DASH
    size = abs(x)
    if 0 < size < 0.0005:
        return f"{x:.1e}".replace("-", MINUS)
    places = 0 if size >= 99.95 or x == 0 else 1 if size >= 9.995 else 2 if size >= 1 else 3
    return f"{x:,.{places}f}".replace("-", MINUS)


def days(value: object) -> str:
    """Format days with one decimal below ten: `1 day`, `4.5 days`, `12 days`."""
    x = finite_or_none(value)
    if x is None:
        return DASH
    text = day_count(value)
    return gettext("{text} day", text=text) if text == "1" else gettext("{text} days", text=text)


def day_count(value: object) -> str:
    """Format days as `days` does, without the word."""
    x = finite_or_none(value)
    if x is None:
        return DASH
    return f"{x:,.1f}".removesuffix(".0") if abs(x) < 9.95 else f"{x:,.0f}"


def date(ms: object, timezone: str | None) -> str:
    """Format a moment as `16 October 2017` in `timezone`; in UTC if this machine does not know the zone."""
    value = finite_or_none(ms)
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
    return gettext("{day} {moment} {year}", day=moment.day, moment=f"{moment:%B}", year=moment.year, month=moment.month)


_SENTENCE_END = re.compile(r"[.!?](?=\s)|[。！？]")


def truncate(text: object, length: int = 80) -> str:
    """Return `text` on one line, cut with an ellipsis after `length` characters; None is a dash."""
    if text is None:
        return DASH
    line = " ".join(str(text).translate(INVISIBLE_CHARACTERS).split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def first_sentences(text: str, length: int) -> str:
    """Return `text` on one line, as many whole sentences as fit into `length` characters; its first one at least, cut
    like any other text where even that does not fit.
    """
    line = truncate(text, len(text) + 1)
    if len(line) <= length:
        return line
    ends = [each.end() for each in _SENTENCE_END.finditer(line) if each.end() <= length]
    return line[: ends[-1]] if ends else truncate(line, length)


def upper_first(text: str) -> str:
    """Return `text` with a capital at its start."""
    return text[:1].upper() + text[1:]


def sentence_space() -> str:
    """Return what stands between two sentences: a space, which Chinese leaves out."""
    return "" if current_locale() == "zh" else " "


def join_sentences(*parts: str) -> str:
    """Join the sentences that are not empty as the language joins them."""
    return sentence_space().join(part for part in parts if part)


def join_list(parts: list[str], last: Literal["and", "or"] = "and") -> str:
    """Join items: `a`, `a and b`, `a, b and c`; in Chinese `a、b和c`."""
    if len(parts) < 2:
        return "".join(parts)
    first = reduce(lambda first, then: gettext("{first}, {then}", first=first, then=then), parts[:-1])
    if last == "or":
        return gettext("{first} or {then}", first=first, then=parts[-1])
    return gettext("{first} and {then}", first=first, then=parts[-1])


def low_to_high(low: object, high: object, text: Callable[[object], str]) -> str:
    """Format a range: `1.2 to 3.4`; empty if an end is not known."""
    return (
        ""
        if finite_or_none(low) is None or finite_or_none(high) is None
        else f"{text(low)}{gettext(' to ')}{text(high)}"
    )


def interval_name() -> str:
    """Return the name of every interval: INTERVAL, `95%置信区间`."""
    return gettext("95\xa0% interval")


def interval(low: object, high: object, text: Callable[[object], str]) -> str:
    """Format an interval with its name: `95 % interval 1.2 to 3.4`; empty if an end is not known."""
    between = low_to_high(low, high, text)
    return between and f"{interval_name()}{sentence_space()}{between}"


def in_brackets(text: str) -> str:
    """Return ` (text)`; empty for an empty text."""
    return gettext(" ({text})", text=text) if text else ""


def as_html(text: str, frame: Any = None) -> str:
    """Return a text and an optional frame below it as HTML for a notebook."""
    lines = "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line)
    return lines + (frame._repr_html_() if frame is not None else "")


LEVEL_NAMES = {
    "randomised": gettext_noop("randomised"), "adjusted": gettext_noop("adjusted"), "assumed": gettext_noop("assumed"),
    "simulated": gettext_noop("simulated"),
}  # fmt: skip


def level_name(level: str) -> str:
    """Return an evidence level as people read it."""
    return gettext(LEVEL_NAMES[level]) if level in LEVEL_NAMES else level
