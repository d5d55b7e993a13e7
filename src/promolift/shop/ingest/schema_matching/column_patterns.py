"""Recognise patterns in sample values: signs, decimal commas, currencies, ids, totals of whole orders."""

import math
import re
from collections import Counter
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.foundation.files.column_names import AMBIGUOUS_CURRENCY_SYMBOLS, CURRENCY_SYMBOLS, currency_code
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.sql_casts import ascii_digits


def number(value: str) -> float | None:
    """The value as a number, for judging signs and sizes only."""
    bare = re.sub(r"[^0-9.,+-]", "", ascii_digits(value)).strip(".,")
    signs = {sign: bare.count(sign) for sign in ".," if sign in bare}
    for sign in signs:  # '1.234,50', '1,234,567': the sign that stands last, once, is the decimal point
        if signs[sign] > 1 or bare.rfind(sign) < max(map(bare.rfind, signs)):
            bare = bare.replace(sign, "")
    try:
        return float(bare.replace(",", "."))
    except ValueError:
        return None


def numbers(values: Sequence[str]) -> list[float]:
    """Those values that are numbers."""
    return [found for value in values if (found := number(value)) is not None]


def looks_numeric(values: Sequence[str]) -> bool:
    """Whether most values have a digit, are short enough to be one number, and are not two such as '150:20'."""
    like = [len(value) < 25 and re.search(r"\d", value) and not re.search(r"\d[:/]\d", value) for value in values]
    return sum(map(bool, like)) > 0.5 * len(values)


def are_coupon_codes(values: Sequence[str]) -> bool:
    """Whether most values with a digit are a word and a number, such as 'SPRING10', and the word is no currency."""
    coded = [re.fullmatch(r"([^\W\d_]{3,})[-_]?\d+", value) for value in values if re.search(r"\d", value)]
    words = [found[1] for found in coded if found and currency_code(found[1]) not in CURRENCY_DIGITS]
    return len(words) > 0.5 * len(coded)


def are_micros(values: Sequence[str]) -> bool:
    """Whether amounts count millionths: whole, and whole cents of at least one."""
    found = [each for each in numbers(values) if each]
    return bool(found) and all(each % 10_000 == 0 for each in found)


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
    """Whether more values end in a comma and one or two digits than in a point and so; or points part thousands."""
    if any(re.search(r"\d(\.\d{3}){2,}\D*$", value) for value in values):  # 1.250.000
        return True
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
    said = any("%" in value for value in values) or re.search(r"pct|percent|%|proz|率", name.lower())
    return "percent" if said and max(found) <= 100 else "positive"


class CurrencyGuess(NamedTuple):
    """A currency, and the sign it was read from if that is unclear."""

    code: str | None = None
    unclear: str | None = None


def guess_currency(names: Sequence[str], values: Sequence[str]) -> CurrencyGuess:
    """Guess the currency from column names or values."""
    texts = [*(name.replace("_", " ") for name in names), *values[:400]]
    codes = Counter(code for text in texts for code in re.findall(r"\b[A-Z]{3}\b", text) if code in CURRENCY_DIGITS)
    if codes:
        return CurrencyGuess(codes.most_common(1)[0][0])
    signs = Counter(
        sign for text in texts for sign in (*CURRENCY_SYMBOLS, *AMBIGUOUS_CURRENCY_SYMBOLS) if _has_sign(text, sign)
    )
    if not signs:
        return CurrencyGuess()
    sign = max(signs, key=lambda each: (len(each), signs[each]))
    return (
        CurrencyGuess(CURRENCY_SYMBOLS[sign])
        if sign in CURRENCY_SYMBOLS
        else CurrencyGuess(AMBIGUOUS_CURRENCY_SYMBOLS[sign], sign)
    )


def _has_sign(text: str, sign: str) -> bool:
    """Whether a currency's sign stands in a text; one of letters alone must be a word: 'Rs. 40', '12 zł'."""
    if sign.isalpha() and sign < "\u0250":
        return bool(re.search(rf"(?<![^\W\d_]){sign}(?![^\W\d_])", text))
    return sign in text


def are_currencies(values: Sequence[str]) -> bool:
    """Whether every value is the code of a currency, in capitals."""
    return bool(values) and all(value in CURRENCY_DIGITS for value in values)


def groups_order_lines(sample: pl.DataFrame, name: str, who: str, time: str) -> bool:
    """Whether the rows of one word of a column are one customer's on one day, as the lines of an order are.

    Seen from words of several rows: at least twenty, and there are others of the same customer on other days.
    """
    column = sample.get_column(name)
    if column.dtype.is_float() or column.dtype.is_nested() or column.null_count() > 0.5 * len(column):
        return False
    day = pl.col(time).cast(pl.String, strict=False).str.slice(0, 10)
    rows = sample.select(pl.col(name).alias("word"), pl.col(who).alias("who"), day.alias("day")).drop_nulls()
    words = rows.group_by("word").agg(pl.len().alias("rows"), pl.col("who", "day").n_unique())
    several = words.filter(pl.col("rows") > 1)
    alone = several.filter((pl.col("who") == 1) & (pl.col("day") == 1)).height
    return several.height >= 20 and alone == several.height and words.height > rows["who"].n_unique()


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


class IdBehaviour(NamedTuple):
    """How a column of few or many words goes with time: what tells customers, orders and products apart.

    `steady` is the share of neighbouring rows of one moment in which it stays the same (None: too few such rows),
    `returning` the share of its words that come on several days, `distinct` how many words there are.
    """

    steady: float | None
    returning: float
    distinct: int
    rows: int

    def is_customer(self) -> bool:
        """Stays the same within a moment and comes back on other days; many more than there are shops."""
        enough = 3 <= self.distinct <= 0.8 * self.rows and self.distinct >= 0.01 * self.rows
        return enough and self.returning >= 0.2 and (self.steady is None or self.steady >= 0.95)

    def is_product(self) -> bool:
        """Changes within a moment, and comes back."""
        enough = 3 <= self.distinct <= 0.8 * self.rows
        return enough and self.returning >= 0.2 and self.steady is not None and self.steady < 0.7


def id_behaviour(sample: pl.DataFrame, name: str, time: str, moment: Sequence[str]) -> IdBehaviour | None:
    """How a column behaves beside the columns that tell one moment from the next, `time` among them, or an order's.

    None for what cannot name anything: reals, long text, gaps.
    """
    column = sample.get_column(name)
    if column.dtype.is_float() or column.dtype.is_nested():
        return None
    words = column.cast(pl.String, strict=False).str.strip_chars()
    known = words.drop_nulls().filter(words.drop_nulls() != "")
    decimal = known.str.contains(r"^[^A-Za-z]*\d[.,]\d{1,2}\D*$").mean()
    if len(known) < 0.6 * len(words) or float(known.str.len_chars().mean() or 0) > 64 or float(decimal or 0) > 0.3:  # type: ignore[arg-type]
        return None
    when = sample.select(pl.concat_str(pl.col(*moment).cast(pl.String, strict=False), separator=" ")).to_series()
    day = sample.get_column(time).cast(pl.String, strict=False).str.slice(0, 10)
    frame = pl.DataFrame({"word": words, "when": when, "day": day})
    pairs = frame.filter(pl.col("when") == pl.col("when").shift(1)).height
    same = frame.filter(
        (pl.col("when") == pl.col("when").shift(1)) & (pl.col("word") == pl.col("word").shift(1))
    ).height
    days = frame.drop_nulls().group_by("word").agg(pl.col("day").n_unique())
    returning = float((days["day"] > 1).mean() or 0)  # type: ignore[arg-type]
    return IdBehaviour(same / pairs if pairs >= 20 else None, returning, days.height, len(words))


def are_codes(values: Sequence[str]) -> bool:
    """Whether most values have a digit and no space, as ids do and names do not."""
    return sum(bool(re.fullmatch(r"\S*\d\S*", value)) for value in values) > 0.9 * max(len(values), 1)


def are_email_addresses(values: Sequence[str]) -> bool:
    """Whether most values are e-mail addresses."""
    return sum(bool(re.fullmatch(r"[^@\s]+@[^@\s]+\.\w+", value)) for value in values) > 0.8 * max(len(values), 1)


def is_constant_per_key(sample: pl.DataFrame, key: str, columns: Sequence[str]) -> bool:
    """Whether rows with the same key say the same in all of these columns, but for one key in a hundred."""
    if not columns:
        return True
    said = sample.lazy().filter(pl.col(key).is_not_null()).group_by(key)
    kept = said.agg(pl.len().alias("_rows"), *(pl.col(name).n_unique().alias(f"_{name}") for name in columns))
    several = kept.filter(pl.col("_rows") > 1).collect()
    odd = several.filter(pl.any_horizontal(pl.exclude(key, "_rows") > 1))
    return odd.height <= 0.01 * several.height


def is_on_first_line_only(sample: pl.DataFrame, order: str, column: str, least: int = 3, share: float = 0.5) -> bool:
    """Whether a column speaks on an order's first line alone: on most orders of several lines, at least three.

    `least` and `share` ask for more orders, and for a larger share of those in which it speaks.
    """
    said = pl.col(column).cast(pl.String).fill_null("").str.strip_chars() != ""
    lines = sample.select(pl.col(order).alias("order"), said.alias("said")).filter(pl.col("order").is_not_null())
    orders = lines.group_by("order").agg(
        pl.len().alias("rows"), pl.col("said").first(), pl.col("said").sum().alias("all")
    )
    several = orders.filter(pl.col("rows") > 1)
    alone = several.filter(pl.col("said") & (pl.col("all") == 1))
    return alone.height >= least and alone.height > share * several.filter(pl.col("all") > 0).height


class EqualLines(NamedTuple):
    """Lines of orders: `rows` equal an earlier one; in `whole` orders each line stands several times, in `part` only
    some do. Of orders of several lines, the share `own_times` has lines at different times.
    """

    orders: int
    rows: int
    whole: int
    part: int
    own_times: float


def equal_lines(sample: pl.DataFrame, order: Sequence[str], time: str, product: str) -> EqualLines:
    """What a sample of neighbouring rows shows of lines that are equal in every column. Orders of one product cannot
    tell scans from copies, and count for neither.
    """
    plain = sample.select(pl.exclude(pl.List, pl.Struct, pl.Array))
    lines = plain.drop_nulls(order).group_by(pl.all(), maintain_order=True).len("_times")
    orders = lines.group_by(order).agg(
        pl.len().alias("lines"),
        pl.col("_times").min().alias("least"),
        pl.col("_times").max().alias("most"),
        pl.col(time).n_unique().alias("times"),
        pl.col(product).n_unique().alias("products"),
    )
    several = orders.filter(pl.col("products") > 1)
    whole = several.filter(pl.col("least") > 1).height
    part = several.filter(pl.col("most") > 1).height - whole
    own = several.select((pl.col("times") > 1).mean()).item()
    return EqualLines(orders.height, int((lines["_times"] - 1).sum()), whole, part, float(own or 0))


def floats(sample: pl.DataFrame, name: str) -> pl.Series:
    """A column as numbers, null where there is none: for judging sizes only."""
    column = sample.get_column(name)
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    return pl.Series([None if value is None else number(str(value)) for value in column], dtype=pl.Float64)


DELIVERY = re.compile(r"frete|freight|shipping|delivery|postage|porto|versand|livraison|envio|envío|kargo|运费|送料")
SAME_PRICE = 0.35  # the prices of one product lie apart by at most that share of how far all prices do


def looks_like_money(values: Sequence[str]) -> bool:
    """Numbers of which a tenth or more have one or two decimals, and hardly any is negative."""
    numbers = [number(value) for value in values]
    known = [value for value in numbers if value is not None]
    if len(known) < 0.9 * max(len(values), 1) or not known:
        return False
    cents = sum(value % 1 > 0 and abs(value * 100 - round(value * 100)) < 1e-6 for value in known)
    return cents >= 0.1 * len(known) and sum(value < 0 for value in known) <= 0.2 * len(known)


def relative_spread(sample: pl.DataFrame, name: str, product: str, per: str | None = None) -> float:
    """How far the values of one product lie apart, by the median product: as a share of how far all values do.

    `per`: of the values divided by that column. 1 where too few rows can say.
    """
    value = floats(sample, name)
    if per is not None:
        value = value / floats(sample, per)
    frame = pl.DataFrame({"product": sample.get_column(product), "value": value}).drop_nulls()
    frame = frame.filter((pl.col("value") > 0) & pl.col("value").is_finite()).with_columns(pl.col("value").log())
    several = frame.filter(pl.len().over("product") > 2)
    whole = several["value"].std()
    if several.height < 20 or several["product"].n_unique() < 3 or not isinstance(whole, float) or whole == 0:
        return 1.0
    within = several.group_by("product").agg(pl.col("value").std())["value"].median()
    return float(within) / whole if isinstance(within, float) else 1.0


class LineTotalColumns(NamedTuple):
    """Columns of a count, the price of one and what a line comes to; in which share of lines of several units the two
    multiply to it, and whether some lines come to less, as with a discount.
    """

    quantity: str
    price: str
    line: str
    equal: float
    reduced: bool


def find_line_total(
    sample: pl.DataFrame, counts: Sequence[str], prices: Sequence[str], lines: Sequence[str]
) -> LineTotalColumns | None:
    """The columns in which a count times a price is what the line comes to, or less; None where no three do so.

    Seen from lines of several units, at least twenty: a third must come to it to the cent, and none to more.
    """
    columns = {name: np.abs(floats(sample, name).to_numpy()) for name in {*counts, *prices, *lines}}
    best = None
    for count in counts:
        several = columns[count] > 1
        for price, line in permutations(dict.fromkeys([*prices, *lines]), 2):
            if price not in prices or line not in lines or count in (price, line):
                continue
            q, p, total = (columns[name][several] for name in (count, price, line))
            known = (p > 0) & (total > 0)
            if known.sum() < 20 or known.sum() < 0.3 * several.sum():
                continue
            far = total[known] - (q * p)[known]
            off = np.maximum(0.011, 0.006 * q[known])  # prices are rounded before they are multiplied
            equal, above = float((np.abs(far) <= off).mean()), float((far > off).mean())
            if equal >= 1 / 3 and above <= 0.01 and (best is None or equal > best.equal + 0.005):
                best = LineTotalColumns(count, price, line, equal, bool((far < -off).mean() > 0.01))
    return best


def counts_pieces(values: Sequence[str]) -> bool:
    """Whether these may count units: whole numbers below a million, some above 1, few of them different."""
    found = numbers(values)
    whole = bool(found) and all(each == int(each) and abs(each) < 1e6 for each in found)
    return whole and any(abs(each) > 1 for each in found) and len({*found}) <= max(0.2 * len(found), 20)


def bulk_quantity_limit(sample: pl.DataFrame, mapping: Mapping) -> int | None:
    """Ten times the units of all but one row in two hundred, where as many have more than is believed.

    At least twenty rows must: a few are typing errors, which would switch off the check that is there for them.
    """
    name = next(iter(mapping.sources("quantity")), "")
    units = floats(sample, name).drop_nulls().abs() if name in sample.columns else pl.Series([0.0])
    above = int((units > CleanRules().max_quantity).sum())
    if len(units) < 200 or above < max(20, 0.005 * len(units)):
        return None
    return int(10 ** math.ceil(1 + math.log10(float(units.quantile(0.995) or 1))))


def is_constant_per_customer(sample: pl.DataFrame, name: str, who: str) -> bool:
    """Whether a column says the same in all rows of one customer, so that it is of them: a name, an address.

    Seen from customers of several rows; not where few words stand for many customers, as plans of a subscription do.
    """
    rows = sample.select(
        pl.col(who).alias("who"), pl.col(name).cast(pl.String, strict=False).alias("word")
    ).drop_nulls()
    theirs = rows.group_by("who").agg(pl.len().alias("rows"), pl.col("word").n_unique())
    several = theirs.filter(pl.col("rows") > 1)
    words = rows["word"].n_unique()
    return (
        several.height >= 10
        and several.filter(pl.col("word") == 1).height >= 0.95 * several.height
        and (words > 0.3 * theirs.height)
    )


class AmountComparison(NamedTuple):
    """How two columns of money lie: in which share of rows the first is above the second, and in which it is equal."""

    above: float
    equal: float
    rows: int


def compare_amounts(sample: pl.DataFrame, one: str, other: str) -> AmountComparison:
    """Of rows in which both are positive numbers and less than ten times apart."""
    a, b = floats(sample, one), floats(sample, other)
    pairs = pl.DataFrame({"a": a, "b": b}).drop_nulls().filter((pl.col("a") > 0) & (pl.col("b") > 0))
    near = pairs.filter((pl.col("a") < 10 * pl.col("b")) & (pl.col("b") < 10 * pl.col("a")))
    if near.height < 0.5 * max(pairs.height, 1) or not near.height:
        return AmountComparison(0.0, 0.0, 0)
    share = near.select(
        (pl.col("a") > pl.col("b") + 1e-9).mean(), ((pl.col("a") - pl.col("b")).abs() < 1e-9).mean().alias("e")
    )
    above, equal = share.row(0)
    return AmountComparison(float(above), float(equal), near.height)


def is_line_cost(sample: pl.DataFrame, cost: str, quantity: str, money: str, of_line: bool) -> bool:
    """Whether a cost is for all units of a row: it rises with the units as the row's money does.

    `of_line` says that `money` is the whole row's, not one unit's.
    """
    frame = pl.DataFrame(
        {name: floats(sample, column) for name, column in (("c", cost), ("q", quantity), ("m", money))}
    ).drop_nulls()
    frame = frame.filter((pl.col("q") > 0) & (pl.col("m") > 0)).with_columns(r=pl.col("c") / pl.col("m"))
    one, more = frame.filter(pl.col("q") == 1)["r"].median(), frame.filter(pl.col("q") > 1)["r"].median()
    if not isinstance(one, float) or not isinstance(more, float) or one <= 0:  # no lines of one unit, as in wholesale
        whole = pl.col("m") if of_line else pl.col("m") * pl.col("q")
        wide = frame.filter(pl.col("c") > 0).select(
            (pl.col("c") / whole).log().std().alias("line"),
            (pl.col("c") * pl.col("q") / whole).log().std().alias("unit"),
        )
        by_line, by_unit = wide.row(0)
        return of_line if by_line is None or by_unit is None else by_line < by_unit
    return more > 0.75 * one if of_line else more > 1.5 * one


def is_order_discount(sample: pl.DataFrame, lines: Dict[str, str], off: str, totals: Sequence[str]) -> bool:
    """Whether some column of `totals` is an order's lines, `price` times `quantity`, less the order's discount `off`.

    Seen from at least three orders that have a discount, of which most must agree to the cent.
    """
    line = floats(sample, lines["price"]) * floats(sample, lines["quantity"])
    frame = pl.DataFrame({"order": sample.get_column(lines["order"]), "line": line, "off": floats(sample, off)})
    more = [name for name in sample.columns if DELIVERY.search(name.lower()) and name != off]
    for total, carried in product(totals, [None, *more]):
        added = floats(sample, carried) if carried else pl.Series([0.0]).extend_constant(0.0, sample.height - 1)
        whole = frame.with_columns(floats(sample, total).alias("total") - added.fill_null(0.0))
        orders = whole.group_by("order").agg(
            pl.col("line").sum(), pl.col("off").drop_nulls().first(), pl.col("total").drop_nulls().first()
        )
        given = orders.drop_nulls().filter(pl.col("off") > 0)
        agree = given.filter((pl.col("line") - pl.col("off") - pl.col("total")).abs() < 0.015)
        if given.height >= 3 and agree.height > 0.6 * given.height:
            return True
    return False


def find_price_by_total(
    sample: pl.DataFrame, order: str, quantity: str, prices: Sequence[str], total: str
) -> str | None:
    """The column that times `quantity` comes to an order's `total`: in most of at least twenty orders, to the cent."""
    whole = floats(sample, total).alias("total")
    for name in prices:
        line = (floats(sample, name) * floats(sample, quantity)).alias("line")
        orders = pl.DataFrame({"order": sample.get_column(order), "line": line, "total": whole}).drop_nulls()
        sums = orders.group_by("order").agg(pl.col("line").sum(), pl.col("total").max(), pl.len().alias("lines"))
        agree = sums.filter((pl.col("line") - pl.col("total")).abs() < 0.015)
        if agree.height >= 20 and agree.height > 0.6 * sums.height and (agree["lines"] > 1).any():
            return name
    return None


def path_separator(values: Sequence[str]) -> str:
    """What parts the levels of categories written as paths, '' if they are plain names."""
    for separator in (" > ", ">", "::", "|", "/", "."):
        split = [value for value in values if separator in value]
        # In 'H. & B.' or 'TOYS/GAMES' the sign is part of a name: a path has it nearly everywhere, with tight parts.
        tight = [value for value in split if re.fullmatch(r"[^\s.]+(\.[^\s.]+)+", value)] if separator == "." else split
        if len(tight) > (0.5 if separator in (" > ", ">", "::", "|") else 0.8) * len(values):
            return separator
    return ""
