"""Assign columns to roles by their names and sample values, with a confidence from 0 to 1."""

import re
from collections.abc import Collection, Sequence
from collections.abc import Mapping as Dict
from typing import NamedTuple

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import (
    ABBREVIATIONS,
    AMBIGUOUS_WORDS,
    CANCELLED_STATUS,
    COLUMN_SYNONYMS,
    DATE_PARTS,
    FULFILLED_STATUS,
    IGNORED_SUFFIXES,
    KIND_BY_EVENT_NAME,
    PREFIXES,
    STOP_WORDS,
    UNRELATED_PREFIXES,
    currency_code,
    normalise_column_name,
    normalise_event_name,
)
from promolift.foundation.files.time_formats import MONTH_DAY, TimeGuess, guess_time
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.foundation.settings import SECONDS_PER_UNIT
from promolift.shop.configuration.column_mapping import DAYS_SINCE_LAST, REQUIRED_ROLES, RawTable
from promolift.shop.ingest.cleaning.basket_cells import basket_column, split_sample
from promolift.shop.ingest.cleaning.sql_casts import NULL_TEXTS, ascii_digits, is_guest
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.customer_identity import KINDS, is_address, person_kind
from promolift.shop.ingest.schema_matching.mixed_dates import DateGuess, guess_mixed_dates

TIME_ROLES = {"events": "time", "promotions": "start", "redemptions": "redeemed_at", "shelf": "start", "words": "time"}
MONEY = ("amount", "unit_price", "list_amount", "list_unit_price", "price", "cost")
STRONG_KIND = ("event", "behavio", "action", "interaction", "行为", "事件")
SINCE_LAST = re.compile(r"days?(since|from)(the)?(prior|previous|prev|last)|距上[次单]")
LINE_NAME = re.compile(r"^(line|item|product|article)", re.IGNORECASE)
NOT_THE_TIME = re.compile(
    r"birth|dob|ship|deliver|estimat|updat|modif|expir|regist|signup|join|receiv|end|geburt|liefer|fulfil|cancel|refund"
    r"|payment ?due|生日|注册|发货"
)


SURE, LIKELY, BY_VALUES = 0.95, 0.8, 0.5  # of a name of the trade, of a part of one, of what the values look like
CONFIRM_BELOW = 0.6  # below that a person is asked
MIN_READ_TIMES = 0.98  # share of a column's times that a format must read; below that a person is asked
AUDIO_FILE = re.compile(r"\.(wav|flac|ogg|opus|mp3|m4a|amr|aac)$", re.IGNORECASE)
CLOCK = re.compile(r"^\d{1,2}([:.h]?\d\d([:.]?\d\d(\.\d+)?)?)?\s*([ap]\.?m\.?)?(Z|[+-]\d\d:?\d\d)?$", re.IGNORECASE)
COST_QUALIFIER = re.compile(r"^(standard|std|average|avg)(?=[\W_]|[A-Z])[\W_]*", re.IGNORECASE)  # 'standard_cost'
# Words that name what a thing is told apart by, as `normalise_column_name` writes them.
_ID_WORDS = "id code codigo codice cod kode kod no nr num nro numero numer nummer number key ref reference sku"
ID_WORDS = frozenset(_ID_WORDS.split())
REPEATED_NAME = re.compile(r"(.+)_\d")
CODE_NAMES = frozenset(("sku", "skuid", "skucode"))  # of a product, whatever stands beside it
_ANSWERS = "0 1 yes no y n true false used unused none null"  # of columns that name no coupon
COUPON_ANSWERS = frozenset(_ANSWERS.split())
AMOUNT_TEXT = re.compile(r"\d+[.,]\d{1,2}|.*[%$€£¥]|[$€£¥].*")
ID_ROLES = ("customer_id", "product_id", "order_id")


class RoleGuess(NamedTuple):
    """The column that takes a role, how sure that is from 0 to 1, the runner-up ('' for none) and values of it."""

    column: str
    sure: float
    runner_up: str
    samples: tuple[str, ...]


class ColumnAssignment:
    """The columns still free, the roles found, what is said of them."""

    def __init__(
        self,
        table: RawTable,
        sample: pl.DataFrame,
        zone: str,
        currency: str | None,
        leave: Collection[str],
        keys: Dict[str, str],
        fixed: Dict[str, str],
    ) -> None:
        """As in `guess_mapping`."""
        self.table, self.zone, self.currency, self.keys = table, zone, currency, keys
        self.columns: dict[str, str | tuple[str, ...]] = {}
        self.settings: dict[str, object] = {}
        self.notes: list[str] = []
        self.day_only = False
        self.assumed: dict[str, str] = {}  # settings that nothing in the file says
        self.recommended: set[str] = set()  # columns of prices that the shop does not ask
        self.times: dict[str, TimeGuess | None] = {}
        self.sure: dict[str, RoleGuess] = {}
        self.basket = basket_column(sample) if table == "events" or leave else ""
        if self.basket:
            sample, self.settings["basket"] = split_sample(sample, self.basket), self.basket
        self.sample = sample
        self.inside = bool(leave)
        self.free = [name for name in sample.columns if name not in leave and name != self.basket]
        self.fixed = fixed
        for role, name in fixed.items():
            if name not in sample.columns:
                has = ", ".join(sample.columns[:20])
                raise InputError("column_unknown", f"--map {role}={name}: {table} has no column {name!r}; it has {has}")
            if role != TIME_ROLES.get(table):
                self.take(role, name, 1.0)

    def take(self, role: str, name: str, sure: float, runner_up: str = "") -> None:
        """Give a role a column, which is then no longer free."""
        self.columns[role] = name
        self.sure[role] = RoleGuess(name, sure, runner_up, ())
        if name in self.free:
            self.free.remove(name)

    def guesses(self) -> dict[str, RoleGuess]:
        """What each role got, and how sure that is."""
        found = {}
        for role, source in self.columns.items():
            name = source if isinstance(source, str) else ", ".join(source)
            guess = self.sure.get(role, RoleGuess(name, LIKELY, "", ()))
            if guess.column != name:
                guess = RoleGuess(name, LIKELY, guess.column, ())
            values = self.values(source if isinstance(source, str) else source[0])
            found[role] = guess._replace(samples=tuple(dict.fromkeys(values))[:3])
        return found

    def filled(self, name: str) -> float:
        """The share of rows in which the column says something; a guest's placeholder says nothing."""
        return sum(not is_guest(value) for value in self.values(name)) / max(self.sample.height, 1)

    def find(self, role: str) -> None:
        """Give the role the free column whose name stands first in its list."""
        known = COLUMN_SYNONYMS.get(f"{self.table}.{role}", COLUMN_SYNONYMS.get(role, ()))
        if role in ("customer_id", "product_id") and self.table == f"{role.removesuffix('_id')}s":
            known += ("id", "code", "key", "编号", "编码")
        if role in self.keys:
            known = (normalise_column_name(self.keys[role]), *known)
        clear = known
        if self.inside:
            clear = tuple(name for name in known if name not in AMBIGUOUS_WORDS)
        named = []
        for place, name in enumerate(self.free):
            if self.table == "customers" and LINE_NAME.match(name):  # 'product_name' is nobody's name
                continue
            again = REPEATED_NAME.fullmatch(name)  # the second of two columns of one name
            called = again[1] if again and again[1] in self.sample.columns else name
            fit = name_rank(COST_QUALIFIER.sub("", called) if role == "cost" else called, clear)
            if fit is not None and called != name:
                fit += 100
            if fit is None and known != clear and LINE_NAME.match(name):  # 'Lineitem name' is the product's
                fit = name_rank(name, known)
            if fit is not None and (role in ("channel", "language") or not _elsewhere(name)):
                named.append((fit, place, name))
        if role in ID_ROLES and role not in self.keys and not (named and _has_id_word(min(named)[2])):
            named += [(-1.0, self.free.index(name), name) for name in self._id_columns(known)]
        right = [each for each in sorted(named) if self._looks_right(role, each[2])]
        if role == "customer_id" and role not in self.keys:
            listed = {name for *_, name in right}
            right += [(150.0, place, name) for place, name in enumerate(self.free)
                      if name not in listed and is_address(name, self.values(name))]  # fmt: skip
            right.sort(key=lambda each: KINDS.index(person_kind(each[2], self.values(each[2]))))
        if not right:
            return
        if role in ID_ROLES and role not in self.keys:  # a column that is mostly empty names few
            most = max(self.filled(name) for *_, name in right)
            right.sort(key=lambda each: self.filled(each[2]) < 0.5 * most)
        name = right[0][2]
        sure = SURE if right[0][0] < 100 else LIKELY
        after = [each[2] for each in right[1:2]]
        self.take(role, name, sure - 0.2 * (role in REQUIRED_ROLES[self.table] and self.filled(name) < 0.5), *after)

    def _id_columns(self, known: Sequence[str]) -> list[str]:
        """Free columns called an id, code or number of what the role is, such as 'Codice prodotto' beside 'Prodotto'.

        They stand before the thing's bare name, which is its label where it has a code.
        """
        rest = {name: [word for word in _name_words(name) if word not in ID_WORDS | STOP_WORDS] for name in self.free}
        codes = {name for name in self.free if not rest[name] and normalise_column_name(name) in CODE_NAMES & {*known}}
        return [
            name
            for name in self.free
            if (name in codes or (_has_id_word(name) and "".join(rest[name]) in known)) and not _elsewhere(name)
        ]

    def _looks_right(self, role: str, name: str) -> bool:
        values = self.values(name)
        if not values:
            return False
        if role in ("quantity", *MONEY, "valid_days", "dwell", "shelf_discount", "coupon_discount"):
            return column_patterns.looks_numeric(values) and not column_patterns.are_coupon_codes(values)
        if role == "coupon_id":
            words = {value.lower() for value in values}
            coded = _has_id_word(name) or column_patterns.are_coupon_codes(values)
            amounts = sum(bool(AMOUNT_TEXT.fullmatch(value)) for value in values) > 0.1 * len(values)
            return not words <= COUPON_ANSWERS and (coded or not column_patterns.looks_numeric(values)) and not amounts
        if role == "name" and self.table == "products":  # a number is no name
            return sum(any(map(str.isalpha, value)) for value in values) > 0.5 * len(values)
        if role == "clock":
            return sum(bool(CLOCK.match(value)) for value in values) > 0.9 * len(values)
        if role == "age":  # plain numbers from 0 to 9 are codes of age groups
            return any(len(re.sub(r"\.0*$", "", value)) > 1 or value.isalpha() for value in values)
        if role in ("received", "end", "redeemed_at"):
            # A plain 'date' says when a coupon was used only if many never were.
            sure = role != "redeemed_at" or normalise_column_name(name) != "date" or len(values) < self.sample.height
            return sure and guess_time(values, name) is not None
        if role == "kind" and self.table == "events":
            known = sum(normalise_event_name(value) in KIND_BY_EVENT_NAME for value in values)
            return known > 0.5 * len(values) or (
                any(word in name.lower() for word in STRONG_KIND) and len(set(values)) <= 60
            )
        if role == "text" and self.table == "words":
            plain = [value for value in values if re.search(r"[^\W\d_]{2}", value) and not AUDIO_FILE.search(value)]
            several = len({*values}) > min(0.25 * len(values), 12)  # short praise is written again and again
            return len(plain) > 0.5 * len(values) and several
        if role == "audio":
            return sum(bool(AUDIO_FILE.search(value)) for value in values) > 0.5 * len(values)
        if role == "status":
            words = {value.lower() for value in values}
            return len(words) <= 40 and any(re.search(f"{CANCELLED_STATUS}|{FULFILLED_STATUS}", word) for word in words)
        if role == "event_id":
            # A message or event id repeats only where a row was sent twice; other ids may be those of an order.
            sure = any(word in normalise_column_name(name) for word in ("message", "event", "事件"))
            beside = [str(self.columns[each]) for each in ("customer_id", "time") if each in self.columns]
            once = column_patterns.is_constant_per_key(
                self.sample, name, [each for each in beside if each in self.sample.columns]
            )
            return once and len(set(values)) >= (0.5 if sure else 0.98) * len(values)
        return True

    def find_time(self) -> None:
        """Give the time role the column that looks most like it, and say what is doubtful."""
        role = TIME_ROLES.get(self.table)
        if role is None or (role == "time" and self._find_date_parts()):
            return
        best: tuple[tuple[float, ...], str, TimeGuess] | None = None
        asked = [self.fixed[role]] if role in self.fixed else self.free
        ranked: list[tuple[tuple[float, ...], str]] = []
        for place, name in enumerate(asked):
            guess = self._time_of(name)
            if guess is None:
                continue
            fit = name_rank(name, COLUMN_SYNONYMS[role])
            if fit is None:
                fit = 500 if name_rank(name, other_names(role)) is None else 800
            # A column with the time of day tells more than one with the day, and a count of days tells least.
            counted = 300 if guess.day_only else 350
            poor = counted if guess.format in SECONDS_PER_UNIT else 40 if guess.day_only else 0
            odd = NOT_THE_TIME.search(name.lower())
            penalty = 600 if odd and (role == "time" or (role == "start" and odd[0] != "receiv")) else 0
            thin = 300 if self.filled(name) < 0.3 and name not in self.fixed.values() else 0
            key: tuple[float, ...] = (fit + poor + penalty + thin, -guess.share, place)
            if role in self.fixed:
                key = (0.0, 0.0, 0.0)
            ranked.append((key, name))
            if best is None or key < best[0]:
                best = (key, name, guess)
        if role in self.fixed and best is None:
            raise InputError(
                "time_unreadable",
                f"--map {role}={self.fixed[role]}: its values are no times: {self.values(self.fixed[role])[:3]}",
            )
        if best is None or best[0][0] >= 800:
            self._find_gaps()
            return
        key, name, guess = best
        others = [other for _, other in sorted(ranked) if other != name]
        sure = 1.0 if role in self.fixed else SURE if key[0] < 100 else LIKELY if key[0] < 500 else BY_VALUES + 0.15
        self.notes += guess.notes
        unread = guess.share < MIN_READ_TIMES
        if unread:
            self.notes.append(
                f"NOT SURE: {1 - guess.share:.0%} of the values of {name!r} are no time in the format {guess.format} "
                "and would be set aside (set time_format)"
            )
        if (unread or (isinstance(guess, DateGuess) and guess.undecided)) and role not in self.fixed:
            sure = min(sure, BY_VALUES)
        self.take(role, name, sure, *others[:1])
        if guess.format != "iso":
            self.settings["time_format"] = guess.format
        if guess.format in (*SECONDS_PER_UNIT, MONTH_DAY):
            self.settings["time_origin"] = guess.origin
        self.day_only = guess.day_only and not (guess.format in SECONDS_PER_UNIT and self._has_fractions(name))
        if self.day_only and self.table == "events":
            self.find("clock")

    def _has_fractions(self, name: str) -> bool:
        """Whether counted days carry the time of day, as '42005.354' does in Excel."""
        return any(not value.removesuffix(".0").isdigit() for value in self.values(name))

    def _find_gaps(self) -> None:
        """Orders that are numbered, each with the days since the one before, tell when, but for the first day."""
        name = next((name for name in self.free if SINCE_LAST.search(normalise_column_name(name))), None)
        if self.table != "events" or name is None or not column_patterns.looks_numeric(self.values(name)):
            return
        self.find("sequence")
        if "sequence" not in self.columns:
            return
        self.columns["time"] = name
        self.free.remove(name)
        self.settings |= {"time_format": DAYS_SINCE_LAST, "time_origin": "2000-12-31"}
        self.notes.append(
            f"{name!r} counts days since the order before: the last order of each customer is put on 2000-12-31, so "
            "seasons and who stayed away are not known (set time_origin)"
        )
        self.day_only = True
        self.find("clock")

    def _find_date_parts(self) -> bool:
        """Whether year, month and day stand in columns of their own; then they are the time."""
        found = [next((name for name in self.free if normalise_column_name(name) in part), None) for part in DATE_PARTS]
        parts = [name for name in found if name and all(value.isdigit() for value in self.values(name))]
        if len(parts) < 3:
            return False
        self.columns["time"] = tuple(parts)
        self.free = [name for name in self.free if name not in parts]
        self.day_only = True
        self.find("clock")
        return True

    def _time_of(self, name: str) -> TimeGuess | None:
        dtype = self.sample.schema[name]
        if isinstance(dtype, pl.Datetime):
            return TimeGuess("iso", 1.0)
        if dtype == pl.Date:
            return TimeGuess("iso", 1.0, day_only=True)
        if name not in self.times:
            mixed = guess_mixed_dates(self.values(name))
            self.times[name] = mixed or guess_time(self.values(name), name)
        return self.times[name]

    def values(self, name: str) -> list[str]:
        """The column's sample values as text, without those that say nothing."""
        column = self.sample.get_column(name)
        if column.dtype.is_nested():
            return []
        return [
            ascii_digits(value)
            for value in column.cast(pl.String, strict=False).drop_nulls().str.strip_chars()
            if value.lower() not in NULL_TEXTS and not _is_record(value)
        ]


def _name_words(name: str) -> list[str]:
    """The words of a name, 'CustomerID' as two, as `normalise_column_name` writes each."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [normalise_column_name(word) for word in re.findall(r"[^\W_]+", parted)]


def _has_id_word(name: str) -> bool:
    return any(word in ID_WORDS for word in _name_words(name))


def _elsewhere(name: str) -> bool:
    """Whether a nested column is of the device, the place or the like, not of what was done."""
    return "." in name and normalise_column_name(name.partition(".")[0]) in UNRELATED_PREFIXES


def _is_record(value: str) -> bool:
    """Whether a cell holds a list or a record of its own, in JSON or as Python prints it."""
    return (value[:1], value[-1:]) in {("[", "]"), ("{", "}")}


def name_rank(name: str, known: Sequence[str]) -> float | None:
    """Place of a column's name in a list of names, from 0 to below 100; 100 more if only a part of it stands there."""
    whole = normalise_column_name(name)
    if whole in known:
        return 100 * known.index(whole) / len(known)
    bare = next((whole.removesuffix(ending) for ending in IGNORED_SUFFIXES if whole.endswith(ending)), whole)
    last = normalise_column_name(name.rpartition(".")[2])  # of a nested record: 'value.amount'
    words = re.findall(r"[^\W_]+", name)
    parts = [word for word in words if word.lower() not in STOP_WORDS]
    joined = [normalise_column_name("".join(each)) for each in (parts, parts[::-1]) if len(parts) < len(words)]
    long = [ABBREVIATIONS.get(word.lower(), word) for word in words]
    if long != words:
        joined.append(normalise_column_name("".join(long)))
    if len(words) > 1 and currency_code(words[-1]) in CURRENCY_DIGITS:  # 'price_usd'
        joined.append(normalise_column_name("".join(words[:-1])))
    for rest in (bare, last, *joined, *(bare.removeprefix(prefix) for prefix in PREFIXES if bare.startswith(prefix))):
        if rest in known:
            return 100 + 100 * known.index(rest) / len(known)
    return None


def other_names(role: str) -> tuple[str, ...]:
    """Names of all roles but one."""
    return tuple(name for other, names in COLUMN_SYNONYMS.items() if other != role for name in names)
