"""Write the SQL that quotes column names and casts ids, numbers and times from any source type."""

import re

import duckdb

from promolift.foundation.settings import SECONDS_PER_UNIT, read_tsv
from promolift.foundation.sql import quote_identifier, require_relation, sql_literal

Relation = duckdb.DuckDBPyRelation

# Words that stand for "nothing here" in exports of common tools.
NULL_TEXTS = (
    "", "null", "nan", "none", "n/a", "na", "\\n", "(null)", "<null>", "undefined", "#n/a", "nat", "<na>",
    "(not set)",
)  # fmt: skip
_SIGNS = r"[\s()<>\[\]_.*#-]*"  # '(guest)'
_GUEST_WORDS = "|".join(each for _, row in read_tsv("foundation/files/guest_names.tsv") for each in row.split(", "))
GUEST_PATTERN = (  # placeholders for a customer whom the shop does not know, in lower case, for RE2 and Python
    rf"-?[0-]+(\.0+)?|-1(\.0+)?|[-–—?.*/]+|{_SIGNS}({_GUEST_WORDS.replace(' ', '[ _-]?')}){_SIGNS}"
    r"|(guest|anonymous|anonym|no-?e?-?mail|none|no-?reply|unknown|gast|invitado|sin-?correo)@.*"
)
_GUEST = re.compile(GUEST_PATTERN)

# Digits and signs of numbers in other scripts (Arabic, Persian, Devanagari, full width), and the same in ASCII.
OTHER_DIGITS = "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९０１２３４５６７８９٫٬．，－／：\u2212"
ASCII_DIGITS = "0123456789" * 4 + ".,.,-/:-"
_TO_ASCII = str.maketrans(OTHER_DIGITS, ASCII_DIGITS)

# What may stand around a number: a currency code or abbreviation before or after it, signs, spaces, brackets.
_UNITS = r"^\s*\(?\s*[A-Za-z]{1,3}\.?\s*|\s*[A-Za-z]{1,3}\s*\)?\s*$|[^0-9.,+-]"
# No number: '#DIV/0!', '0x1F', '2 for 5.00', '12.50 (19% VAT)', '3e'. Only what parts thousands stands between digits.
_NO_NUMBER = r"^\s*#|[0-9][eE]\s*$|[0-9]\s*[^0-9.,+\s'’_\x{00a0}\x{202f}-].*[0-9]"
_HALF = r"^[^0-9,.]*[0-9]+,[0-9]{1,2}[^0-9,.]*$"
_POINT = r"^[^0-9,.]*[0-9]+\.([0-9]{1,2}|[0-9]{4,})[^0-9,.]*$"
_OFFSET = r"[0-9](Z|z| ?UTC| ?GMT|[+-][0-9]{2}(:?[0-9]{2})?)\s*$"
_NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)
_REALS = frozenset({"FLOAT", "DOUBLE"})


def select(raw: Relation, query: str) -> Relation:
    """The lazy result of a SELECT in which the relation is called `raw`."""
    return require_relation(raw.query("raw", query))


def type_family(dtype: object) -> str:
    """Return the family of a DuckDB type: text, int, real, date, stamp, zoned, time, flag or other."""
    name = str(dtype).upper()
    if name.endswith("]"):
        return "other"
    if name in _NUMBERS:
        return "int"
    if name in _REALS or name.startswith("DECIMAL"):
        return "real"
    if name == "TIMESTAMP WITH TIME ZONE":
        return "zoned"
    if name.startswith("TIMESTAMP"):
        return "stamp"
    known = {"VARCHAR": "text", "DATE": "date", "TIME": "time", "BOOLEAN": "flag"}
    return known.get(name, "text" if name.startswith("ENUM") else "other")


def text(column: str, kind: str) -> str:
    """Trimmed text, null where the cell says nothing. A whole number stored as a real loses its '.0'."""
    name = quote_identifier(column)
    if kind == "real":
        whole = f"{name} = trunc({name}) and abs({name}) < 1e15"
        integer = f"cast(cast({name} as bigint) as varchar)"
        return f"case when {whole} then {integer} when not isnan({name}) then cast({name} as varchar) end"
    if kind != "text":
        return f"cast({name} as varchar)"
    return f"case when {_odd(name)} then {_trimmed(name)} else {name} end"


def _trimmed(name: str) -> str:
    return f"case when lower(trim({name})) not in {sql_literal(NULL_TEXTS)} then trim({name}) end"


def _odd(name: str) -> str:
    """Whether text needs a closer look: most does not, and the look costs five times as much as this question."""
    words = ", ".join(map(sql_literal, NULL_TEXTS))
    ends = f"{name} < '!' or ends_with({name}, ' ')"  # a space, a control sign or nothing at the front
    return f"strlen({name}) <> length({name}) or {ends} or lower({name}) in ({words})"


def identifier(column: str, kind: str) -> str:
    """As `text`; further, '17850.0' (a whole number once stored as a real) becomes '17850'."""
    name = quote_identifier(column)
    if kind != "text":
        return text(column, kind)
    value = _trimmed(name)
    whole = f"case when ends_with({value}, '.0') then regexp_replace({value}, '^(\\d+)\\.0$', '\\1') else {value} end"
    return f"case when {_odd(name)} or ends_with({name}, '.0') then {whole} else {name} end"


def customer(column: str, kind: str) -> str:
    """As `identifier`, null for a guest's placeholder."""
    value = identifier(column, kind)
    return f"case when not regexp_full_match(lower({value}), {sql_literal(GUEST_PATTERN)}) then {value} end"


def is_guest(value: str) -> bool:
    """Whether a text stands for a customer whom the shop does not know: 'guest', '0', '-1', '游客'."""
    return _GUEST.fullmatch(value.strip().lower()) is not None


def ascii_digits(value: str) -> str:
    """Write the digits of any script as 0 to 9, for reading numbers and times."""
    return value if value.isascii() else value.translate(_TO_ASCII)


def _ascii_digits(name: str) -> str:
    """As `ascii_digits`, in SQL."""
    digits = f"translate({name}, {sql_literal(OTHER_DIGITS)}, {sql_literal(ASCII_DIGITS)})"
    return f"case when strlen({name}) <> length({name}) then {digits} else {name} end"


def number(column: str, kind: str, decimal: str) -> str:
    """A double; null where the cell is empty or not a finite number.

    Text may carry a currency sign or code, thousands separators, a percent sign, and a minus as -1, 1- or (1). Text
    with anything else between its digits is no number.
    """
    name = quote_identifier(column)
    if kind in ("int", "real", "flag"):
        value = f"cast({name} as double)"
        return f"case when isfinite({value}) then {value} end" if kind == "real" else value
    if kind != "text":
        return "cast(null as double)"
    name = f"({_ascii_digits(name)})"
    bare = half = f"regexp_replace({name}, {sql_literal(_UNITS)}, '', 'g')"
    if decimal == ",":
        comma = f"replace(regexp_replace({bare}, '\\.(\\d\\d\\d)', '\\1', 'g'), ',', '.')"
        # '1.0000' units beside '19,90': a point that parts no thousands is a decimal one
        bare = f"case when regexp_matches({name}, {sql_literal(_POINT)}) then {bare} else {comma} end"
        quick = "null"
    else:
        bare = f"regexp_replace({bare}, ',(\\d\\d\\d)', '\\1', 'g')"
        for more in (5, 7):  # lakh and crore: 12,34,567
            bare = f"regexp_replace({bare}, ',(\\d{{{more}}})', '\\1')"
        quick = f"try_cast({name} as double)"
    signed = f"case when {name} like '%(%)%' or {name} like '%-' then '-' || replace({bare}, '-', '') else {bare} end"
    clean = f"case when {text(column, kind)} is not null then try_cast({signed} as double) end"
    comma = ""
    if decimal == ".":  # '0,5 kg' among points is no thousand
        point = f"try_cast(replace({half}, ',', '.') as double)"
        comma = f", case when regexp_matches({name}, {sql_literal(_HALF)}) then {point} end"
    said = (
        f"case when not regexp_matches({name}, {sql_literal(_NO_NUMBER)}) then coalesce({clean}{comma or ', null'}) end"
    )
    value = f"coalesce({quick}, {said})"
    return f"case when isfinite({value}) then {value} end"


def time_ms(column: str, kind: str, time_format: str, zone: str, origin: str | None) -> str:
    """Milliseconds UTC as bigint; null where the cell is empty or no time.

    `time_format` is 'iso', 'epoch' (unit told by the size), a unit of COUNTED since `origin`, or strptime formats
    joined by ' | ', in the year of `origin` if they name none. Text that does not fit the format may still be ISO or
    epoch: neither can be mistaken for another.
    """
    name = quote_identifier(column)
    if kind == "zoned":
        return f"epoch_ms({name})"
    if kind in ("stamp", "date"):
        return _local(f"cast({name} as timestamp)", zone)
    if time_format in SECONDS_PER_UNIT:
        count, step = number(column, kind, "."), SECONDS_PER_UNIT[time_format]
        days = f"({count}) * {step / 86_400}"
        # whole days and the time of day apart, so that days on which the clock changes come out right
        rest = f"to_milliseconds(try_cast(round((({days}) - floor({days})) * 86400) * 1000 as bigint))"
        whole = f"to_days(try_cast(floor({days}) as integer)) + {rest}"
        since = whole if step >= 86_400 else f"to_milliseconds(try_cast({count} * {step * 1000} as bigint))"
        return _local(f"cast({sql_literal(origin)} as timestamp) + {since}", zone)
    if kind in ("int", "real"):
        if "%" in time_format:
            return _stamp(f"cast(cast({name} as bigint) as varchar)", time_format, zone, origin)
        return _epoch(f"cast({name} as double)")
    if kind != "text":
        return "cast(null as bigint)"
    name = f"({_ascii_digits(name)})"
    number_ = f"try_cast({name} as double)"
    # as a lambda it is worked out only where the text is no ISO time: written out, it would be for every row
    ways = [_iso(name, zone), f"list_transform([{number_}], lambda value: {_epoch('value')})[1]"]
    if time_format == "epoch":
        ways = [_epoch(number_), _iso(name, zone)]
    elif "%" in time_format:
        ways.insert(0, _stamp(name, time_format, zone, origin))
    return f"coalesce({', '.join(ways)})"


def date_ms(parts: list[str], zone: str) -> str:
    """Milliseconds UTC of the day whose year, month and day are these texts; null where they are no date."""
    return _local(f"try_cast(concat_ws('-', {', '.join(parts)}) as timestamp)", zone)


def _local(stamp: str, zone: str) -> str:
    return f"epoch_ms({stamp})" if zone == "UTC" else f"epoch_ms(timezone({sql_literal(zone)}, {stamp}))"


def _stamp(value: str, formats: str, zone: str, origin: str | None) -> str:
    names = [each.strip() for each in formats.split(" | ")]
    said = f"trim({value})"
    if "%y" not in formats.lower() and origin:
        # '829' is August 29th where the leading zero got lost.
        said = f"case when length({said}) = 3 then '0' || {said} else {said} end"
        said, names = f"{sql_literal(origin[:4] + ' ')} || {said}", [f"%Y {each}" for each in names]
    parsed = f"try_strptime({said}, [{', '.join(sql_literal(each) for each in names)}])"
    # With %z the result is already an instant.
    return f"epoch_ms({parsed})" if any("%z" in each for each in names) else _local(parsed, zone)


def _iso(name: str, zone: str) -> str:
    offset = f"regexp_matches({name}, {sql_literal(_OFFSET)}) and length(trim({name})) > 12"
    instant = f"epoch_ms(try_cast(regexp_replace({name}, 'GMT\\s*$', 'UTC') as timestamptz))"
    return f"case when {offset} then {instant} else {_local(f'try_cast({name} as timestamp)', zone)} end"


def _epoch(value: str) -> str:
    # Seconds, milliseconds, microseconds or nanoseconds of the years 1973 to 5138 never overlap in size.
    return (
        f"case when abs({value}) >= 1e8 and abs({value}) < 1e11 then cast({value} * 1000 as bigint) "
        f"when abs({value}) >= 1e11 and abs({value}) < 1e14 then cast({value} as bigint) "
        f"when abs({value}) >= 1e14 and abs({value}) < 1e17 then cast({value} / 1e3 as bigint) "
        f"when abs({value}) >= 1e17 and abs({value}) < 9e18 then cast({value} / 1e6 as bigint) end"
    )
