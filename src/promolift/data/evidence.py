"""Sample values of a column in, what they give away out: signs, decimal commas, currencies, totals of whole orders."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from promolift.currency import CURRENCY_DIGITS
from promolift.data.names import SYMBOLS, UNCLEAR_SYMBOLS


def number(value: str) -> float | None:
    """The value as a number, for judging signs and sizes only."""
    try:
        return float(re.sub(r"[^0-9.+-]", "", value.replace(",", ".")))
    except ValueError:
        return None


def numbers(values: Sequence[str]) -> list[float]:
    """Those values that are numbers."""
    return [found for value in values if (found := number(value)) is not None]


def looks_numeric(values: Sequence[str]) -> bool:
    """Whether most values have a digit, are short enough to be one number, and are not two such as '150:20'."""
    like = [len(value) < 25 and re.search(r"\d", value) and not re.search(r"\d[:/]\d", value) for value in values]
    return sum(map(bool, like)) > 0.5 * len(values)


def few_units(values: Sequence[str]) -> bool:
    """Whether these are counts of pieces: whole numbers, mostly 1 to 3."""
    found = numbers(values)
    return (
        bool(found)
        and all(each == int(each) for each in found)
        and sum(abs(each) <= 3 for each in found) > 0.5 * len(found)
    )


def scale_of(values: Sequence[str]) -> int:
    """1, or the power of ten that lifts amounts which are mostly below 0.1 to tens."""
    found = sorted(abs(each) for each in numbers(values) if each)
    middle = found[len(found) // 2] if found else 1.0
    return 1 if middle >= 0.1 else int(10 ** math.ceil(1 - math.log10(middle)))


def decimal_comma(values: Sequence[str]) -> bool:
    """Whether more values end in a comma and one or two digits than in a point and so."""
    comma = sum(bool(re.search(r",\d{1,2}\D*$", value)) and not re.search(r",.*\.", value) for value in values)
    return comma > sum(bool(re.search(r"\.\d{1,2}\D*$", value)) for value in values)


def mostly_negative(values: Sequence[str]) -> bool:
    """Whether more than half of the numbers are below 0."""
    found = numbers(values)
    return bool(found) and sum(each < 0 for each in found) > 0.5 * len(found)


def discount_kind(name: str, values: Sequence[str]) -> str:
    """positive, negative, rate (0 to 1) or percent, as in Mapping.discount."""
    found = numbers(values)
    if not found:
        return "positive"
    if sum(each < 0 for each in found) > sum(each > 0 for each in found):
        return "negative"
    if max(found) <= 1 and any(0 < each < 1 for each in found):
        return "rate"
    said = any("%" in value for value in values) or re.search(r"pct|percent|率", name.lower())
    return "percent" if said and max(found) <= 100 else "positive"


class CurrencyFound(NamedTuple):
    """A currency, and the sign it was read from if that is unclear."""

    code: str | None = None
    unclear: str | None = None


def currency_of(names: Sequence[str], values: Sequence[str]) -> CurrencyFound:
    """The currency that column names or values tell."""
    texts = [*names, *values[:400]]
    codes = Counter(code for text in texts for code in re.findall(r"\b[A-Z]{3}\b", text) if code in CURRENCY_DIGITS)
    if codes:
        return CurrencyFound(codes.most_common(1)[0][0])
    signs = Counter(sign for text in texts for sign in (*SYMBOLS, *UNCLEAR_SYMBOLS) if sign in text)
    if not signs:
        return CurrencyFound()
    sign = max(signs, key=lambda each: (len(each), signs[each]))
    return CurrencyFound(SYMBOLS[sign]) if sign in SYMBOLS else CurrencyFound(UNCLEAR_SYMBOLS[sign], sign)


def repeats_by_order(sample: pl.DataFrame, order: str, amount: str, product: str) -> bool:
    """Whether `amount` is the total of the whole order, written on each of its lines.

    Seen from orders with several products in the sample: at least ten, of which 95 % show one amount only.
    """
    lines = sample.select(
        pl.col(order).alias("order"), pl.col(amount).alias("amount"), pl.col(product).alias("product")
    )
    orders = lines.drop_nulls().group_by("order").agg(pl.col("amount").n_unique(), pl.col("product").n_unique())
    several = orders.filter(pl.col("product") > 1)
    return several.height >= 10 and several.filter(pl.col("amount") == 1).height >= 0.95 * several.height


def path_separator(values: Sequence[str]) -> str:
    """What parts the levels of categories written as paths, '' if they are plain names."""
    for separator in (" > ", ">", "::", "|", "/", "."):
        split = [value for value in values if separator in value]
        # In 'H. & B.' or 'TOYS/GAMES' the sign is part of a name: a path has it nearly everywhere, with tight parts.
        tight = [value for value in split if re.fullmatch(r"[^\s.]+(\.[^\s.]+)+", value)] if separator == "." else split
        if len(tight) > (0.5 if separator in (" > ", ">", "::", "|") else 0.8) * len(values):
            return separator
    return ""
