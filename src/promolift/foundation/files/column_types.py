"""Infer the types of text columns: amounts such as "1,234.50", dates in any order, categories. Report every doubtful
guess.
"""

import re
from typing import NamedTuple

import polars as pl
import polars.selectors as cs

from promolift.foundation.files.time_formats import guess_time

# Texts that stand for a number that is not known.
NULL_TEXTS = ("", "na", "n/a", "nan", "null", "none", "nil", "-", "--", "?", "\\n", ".")
CURRENCY = re.compile(r"[$€£¥₹￥元]|\b(?:USD|EUR|GBP|CNY|RMB|JPY|INR|CAD|AUD|CHF|BRL|MXN|KRW)\b")
AMOUNT = re.compile(r"^\(?[+-]?(\d+([.,]\d*)?|[.,]\d+|\d{1,3}([,.' \u00a0\u202f]\d{3})+([.,]\d+)?)\)?$")
THOUSANDS = re.compile(r"^\D*\d{1,3}([,.' \u00a0\u202f]\d{3})+\D*$")


ZONE = r"\s*(Z|z|UTC|GMT|[+-]\d\d:?\d\d)$"


class TypedFrame(NamedTuple):
    """A frame with typed columns, and the guesses that a person should check."""

    frame: pl.DataFrame
    doubts: tuple[str, ...]


class _Read(NamedTuple):
    """A column, and what was guessed of it."""

    column: pl.Series
    doubt: str = ""


def infer_types(frame: pl.DataFrame, words: tuple[str | None, ...] = ()) -> TypedFrame:
    """Return the frame with text that is only numbers, amounts, shares ("10%") or times converted. Other text stays
    text.

    Empty text and NaN are missing; so are words such as "NA" in a column of numbers. Columns in `words` hold names:
    they become numbers only where they are written as plain ones.
    """
    found = [_plain(column) if column.name in words else _read(column) for column in frame]
    columns = [each.column for each in found]
    return TypedFrame(
        pl.DataFrame(columns).with_columns(cs.float().fill_nan(None)), tuple(each.doubt for each in found if each.doubt)
    )


def _plain(column: pl.Series) -> _Read:
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype.is_decimal():
        column = column.cast(pl.Float64)
    if column.dtype != pl.String:
        return _Read(column)
    text = column.str.strip_chars().replace("", None)
    numbers = text.cast(pl.Float64, strict=False)
    return _Read(numbers if numbers.null_count() == text.null_count() < len(text) else text)


def _read(column: pl.Series) -> _Read:
    plain = _plain(column).column
    if plain.dtype != pl.String or plain.null_count() == len(plain):
        return _Read(plain)
    known = plain.set(plain.str.to_lowercase().is_in(NULL_TEXTS), None)
    values: list[str] = known.drop_nulls().unique(maintain_order=True).to_list()
    if not values:
        return _Read(plain)
    return _amounts(known, values) or _times(known, values) or _Read(plain)


def _amounts(text: pl.Series, values: list[str]) -> _Read | None:
    """Amounts with a currency, thousands parted and either decimal mark; shares as parts of 1."""
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() == text.null_count():
        return _Read(numbers)
    shares = all(value.endswith("%") for value in values)
    bare = {value: CURRENCY.sub("", value.rstrip("%")).replace("−", "-").strip() for value in values}
    if not all(AMOUNT.match(each) for each in bare.values()):
        return None
    comma = _decimal_comma(list(bare.values()))
    found = {value: _number(each, comma) for value, each in bare.items()}
    if any(each is None for each in found.values()):
        return None
    doubt = ""
    parted = [each for each in bare.values() if "," in each or "." in each]
    if parted and all(THOUSANDS.match(each) and len(re.findall(r"[.,]", each)) == 1 for each in parted):
        # "1,234" and nothing that says which mark it is
        doubt = f"{text.name}: {parted[0]!r} is read as {_number(parted[0], comma):g}; write 1234 or 1.234 if it is not"
    part = 0.01 if shares else 1.0
    numbers = text.replace_strict({value: part * (each or 0.0) for value, each in found.items()}, default=None,
                                  return_dtype=pl.Float64)  # fmt: skip
    return _Read(numbers, doubt)


def _decimal_comma(values: list[str]) -> bool:
    """Whether a comma is the decimal mark: the later of two marks is; one alone, where it cannot part thousands."""
    both = [each for each in values if "," in each and "." in each]
    if both:
        return sum(each.rfind(",") > each.rfind(".") for each in both) > len(both) / 2
    commas, dots = [e for e in values if "," in e], [e for e in values if "." in e]
    if commas:
        return not all(THOUSANDS.match(each) for each in commas)
    return any(each.count(".") > 1 for each in dots)


def _number(bare: str, comma: bool) -> float | None:
    parts, mark = (".", ",") if comma else (",", ".")
    negative = bare.startswith("(") and bare.endswith(")")
    digits = re.sub(rf"[{re.escape(parts)}' \u00a0\u202f]", "", bare.strip("()")).replace(mark, ".")
    try:
        value = float(digits)
    except ValueError:
        return None
    return -value if negative else value


def _times(text: pl.Series, values: list[str]) -> _Read | None:
    """Days and moments; the order of day and month is that which fits all of them, else the likelier one, told."""
    guess = guess_time(values, text.name)
    if guess is None or guess.share < 1 or guess.format in ("epoch", "days", "weeks", "hours", "seconds", "minutes"):
        return None
    read = pl.Series([None] * len(text), dtype=pl.Datetime("us"))
    if guess.format == "iso":
        plain = text.str.replace_all("/", "-").str.replace("T", " ").str.replace(ZONE, "")
        formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
    else:
        plain, formats = text, [each.replace("%S.%f", "%S%.f") for each in guess.format.split(" | ")]
    for form in formats:
        part = (plain.str.to_datetime(form, strict=False, time_unit="us") if "%H" in form or "%I" in form
                else plain.str.to_date(form, strict=False).cast(pl.Datetime("us")))  # fmt: skip
        read = pl.select(pl.coalesce(read, part)).to_series()
    if read.null_count() > text.null_count():
        return None
    doubt = guess.notes[0].replace(" (set time_format)", "; write days as 2026-01-31 if not") if guess.notes else ""
    return _Read(read.alias(text.name), doubt)
