"""Find a person's identifiers in files of any kind, so that an erasure can say what is left and where.

Every byte of a file is searched, as it stands and as its encodings read it (`encoded_text`). Parquet, Arrow and SQLite
are read as tables as well, and archives (`packed_files`) are opened, one inside the other. SQLite's free pages and its
log are searched as bytes. What cannot be read so is returned as `unread`.

An identifier counts where it stands as a whole: `A1001` is not found in `A10012`. A short identifier, such as `7` or
`Ann`, would be found everywhere; it counts only where its place says that it names a customer: as the value of a
customer column of a table, or after the name of one in a text (`"userId": "7"`, `customer_id=7`).
"""

import hashlib
import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb

from promolift.foundation.errors import PromoError
from promolift.foundation.files.column_names import COLUMN_SYNONYMS, normalise_column_name
from promolift.foundation.files.table_files import JSON_SUFFIXES, TEXT_SUFFIXES, open_file
from promolift.foundation.files.workbook import WORKBOOK_SUFFIXES
from promolift.foundation.privacy.encoded_text import inflated, readings
from promolift.foundation.privacy.identifier_patterns import (
    SEPARATORS,
    WITHOUT_SEPARATORS,
    Pattern,
    contact_pattern,
    email_pattern,
    named_pattern,
    places_of,
    whole_pattern,
)
from promolift.foundation.privacy.packed_files import is_packed, reason_of, unpack, why_unread
from promolift.foundation.privacy.redaction import PATTERNS
from promolift.foundation.sql import quote_identifier, sql_literal

CHUNK_BYTES, OVERLAP_BYTES, CONTEXT_BYTES = 8 << 20, 4096, 200
ROWS_COMPARED = 10_000  # that have a contact, to see whether it is another customer's
MAX_ARCHIVE_DEPTH, CELLS_AT_ONCE = 6, 5000
WIDE_ENCODINGS = ("utf-16-le", "utf-16-be", "utf-32-le")
OTHER_ENCODINGS = ("gb18030", "big5", "shift_jis", "euc_kr", "latin-1", "cp1251")  # of letters beyond ASCII
OWN_ID_COLUMNS = ("customer_id", "customerId", "user_id", "userId", "anonymous_id", "anonymousId", "person_id",
                  "member_id", "client_id", "subject", "customer", "customers", "privacy")  # fmt: skip
PHONE_COLUMNS = tuple(map(normalise_column_name, (
    "phone", "mobile", "telefon", "téléphone", "teléfono", "handy", "celular", "whatsapp", "msisdn", "手机", "手機",
    "电话", "電話", "携帯", "전화", "휴대폰", "телефон", "điệnthoại", "เบอร์โทร", "هاتف",
)))  # fmt: skip
# Endings of names of columns that hold ids; whose ids they are the rest of the name says, or does not.
ID_NAME = re.compile("(?:ids?|u?uid|guid|nos?|nr|num|number|nummer|numero|code|key|ref|pk|号|號|番号|번호|コード)$")
UNCLEAR = "values are the short id, and its name does not say whether they are customers"
TABLE_SUFFIXES = (".csv", ".tsv", *WORKBOOK_SUFFIXES)
TYPES_OF_TEXT = re.compile(r"VARCHAR|JSON|UUID|ENUM|STRUCT|MAP|UNION|BLOB|\[")
TYPES_OF_NUMBERS = re.compile(r"U?BIGINT|U?INTEGER|U?HUGEINT|DECIMAL|DOUBLE")


def is_distinctive(identifier: str) -> bool:
    """Return whether an identifier is looked for wherever it stands: an e-mail address, at least 10 characters, or at
    least 4 with letters and digits."""
    mixed = any(map(str.isdigit, identifier)) and not identifier.isdigit()
    return "@" in identifier or len(identifier) >= 10 or (len(identifier) >= 4 and mixed)


def find_contacts(value: Any, column: str = "", whole: bool = False) -> set[str]:
    """Return the e-mail addresses, in small letters, and the phone numbers, as digits, that a value of a column holds.
    JSON is read by its keys: what stands in a field for phones is a number however it is written.

    `whole`: only those that fill a field, as the contact of whom a row is about does; a text may mention anybody's.
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        return {each for key, item in value.items() for each in find_contacts(item, str(key), whole)}
    if isinstance(value, list | tuple):
        return {each for item in value for each in find_contacts(item, column, whole)}
    if value is None or isinstance(value, bool):
        return set()
    text, found = str(value).removesuffix(".0"), set[str]()
    for label, pattern in PATTERNS:
        named = pattern.findall(text) if not whole or pattern.fullmatch(text.strip()) else ()
        if label == "email":
            found |= {each.lower().strip(".") for each in named}
        elif label == "phone" and isinstance(value, str):
            found |= {re.sub(r"\D", "", each) for each in named}
    if _is_phone_column(column) and 7 <= len(digits := re.sub(r"\D", "", text)) <= 15:
        found.add(digits)
    return found


def _is_phone_column(column: str) -> bool:
    name = normalise_column_name(column)
    return name == "tel" or any(part in name for part in PHONE_COLUMNS)


def without_endings(name: str) -> str:
    """Return a file's name with its endings, and without them: an address may stand before them."""
    return " ".join([name, name.rpartition(".")[0], name.rpartition(".")[0].rpartition(".")[0]])


class Finding(NamedTuple):
    """A place where a person stands: a file, with what is inside it, and how often."""

    place: str
    times: int


class Searched(NamedTuple):
    """What was searched: files (of archives, those inside, too), their bytes, what was found, and what could not be
    read, with the reason."""

    files: int
    bytes: int
    findings: tuple[Finding, ...]
    unread: tuple[str, ...]

    def __add__(self, other: "Searched") -> "Searched":  # type: ignore[override]
        """Both."""
        return Searched(
            self.files + other.files,
            self.bytes + other.bytes,
            self.findings + other.findings,
            self.unread + other.unread,
        )


NOTHING_SEARCHED = Searched(0, 0, (), ())


class RowContacts(NamedTuple):
    """Contacts in some rows, and those of them that fill a field."""

    named: set[str]
    whole: set[str]


class TextCell(NamedTuple):
    """A text, and the column or key that it stands under; a key itself stands under none."""

    column: str
    text: str


@dataclass(frozen=True)
class IdentifierSearch:
    """Search for one person: the customer's id, and the contacts known of them as `find_contacts` returns them.

    `columns` are further names of columns that hold customer ids.
    """

    customer_id: str
    contacts: frozenset[str] = frozenset()
    columns: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def _patterns(self) -> list[Pattern]:
        found = [contact_pattern(each) for each in sorted(self.contacts)]
        if "@" in self.customer_id:
            return [email_pattern(self.customer_id), *found]
        if is_distinctive(self.customer_id):
            return [whole_pattern(self.customer_id), *found]
        return [named_pattern(self.customer_id, {*OWN_ID_COLUMNS, *self.columns}), *found]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{each.regex})" for each in self._patterns), re.IGNORECASE)

    @cached_property
    def _raw(self) -> list[re.Pattern[bytes]]:
        return [re.compile(each.regex.encode(), re.IGNORECASE) for each in self._patterns]

    @cached_property
    def _starts(self) -> list[re.Pattern[bytes]]:
        return [re.compile(each.start.encode(), re.IGNORECASE) for each in self._patterns]

    @cached_property
    def _id_names(self) -> frozenset[str]:
        known = (*OWN_ID_COLUMNS, *COLUMN_SYNONYMS["customer_id"], *COLUMN_SYNONYMS.get("member", ()), *self.columns)
        return frozenset(map(normalise_column_name, known))

    @cached_property
    def _encoded(self) -> dict[str, list[bytes]]:
        """Literals in encodings other than UTF-8, in small letters."""
        texts = {text for each in self._patterns for text in each.literals if each.spaced or not each.core}
        wide = {name: [text.encode(name) for text in texts] for name in WIDE_ENCODINGS}
        for name in OTHER_ENCODINGS:
            if more := [text.encode(name, "ignore") for text in texts if not text.isascii() and _encodes(text, name)]:
                wide[name] = more
        return wide

    def in_text(self, text: str) -> bool:
        """Return whether a text names the person."""
        return self._may_hold(text.lower()) and bool(self._regex.search(text))

    def _may_hold(self, small: str) -> bool:
        """Whether a text in small letters may name the person: a quick look before the exact one."""
        for each in self._patterns:
            bare = small.translate(WITHOUT_SEPARATORS) if each.spaced else small
            if any(word in bare for word in each.literals):
                return True
        return False

    def in_any_reading(self, data: str | bytes) -> bool:
        """Return whether a text, or what is encoded in it, names the person. ValueError as `readings`."""
        if isinstance(data, str):
            if self.in_text(data):
                return True
            data = data.encode(errors="surrogatepass")
        read = (each.data for each in readings(data, self._may_stand_in, packed=True))
        return any(self._count(each) for each in (data, *read))

    def in_cell(self, column: str, value: Any) -> bool:
        """Return whether a value of a column names the person, also one that is encoded."""
        if value is None:
            return False
        text = value if isinstance(value, str | bytes) else str(value)
        return self._is_own_id(column, text) or self.in_any_reading(text)

    def _is_own_id(self, column: str, value: Any) -> bool:
        text = str(_as_text(value)).strip().removesuffix(".0")
        return text == self.customer_id and self.is_id_column(column)

    def count_cells(self, column: str, values: Iterable[Any]) -> int:
        """Return how many values of a column name the person: looks at many at once first, then one by one."""
        count, some = 0, iter(values)
        while cells := [each for each in islice(some, CELLS_AT_ONCE) if each is not None]:
            named = self._may_stand_in_any(cells)
            count += sum((self.in_cell if named else self._is_own_id)(column, each) for each in cells)
        return count

    def find_cells(self, cells: Iterable[TextCell]) -> set[TextCell]:
        """Return those cells, a column and a text each, that name the person. Texts that cannot are passed over many at
        once: of a part in which one may, each half is looked at again.
        """
        asked = list(dict.fromkeys(cells))
        found = {cell for cell in asked if self._is_own_id(cell.column, cell.text)}
        texts = list(dict.fromkeys(cell.text for cell in asked))
        parts = [texts[at : at + CELLS_AT_ONCE] for at in range(0, len(texts), CELLS_AT_ONCE)]
        named = set[str]()
        while parts:
            part = parts.pop()
            if len(part) == 1:
                named |= {text for text in part if self.in_any_reading(text)}
            elif self._may_stand_in_any(part):
                parts += [part[: len(part) // 2], part[len(part) // 2 :]]
        return found | {cell for cell in asked if cell.text in named}

    def _may_stand_in_any(self, cells: Iterable[Any]) -> bool:
        """Whether one of the cells may name the person, also encoded: quick, and true wherever one does."""
        raw = [each if isinstance(each, bytes) else str(each).encode(errors="surrogatepass") for each in cells]
        return any(self._may_stand_in(each) for each in self._all_readings(b"\n".join(raw), packed=True))

    def _all_readings(self, data: bytes, packed: bool) -> Iterator[bytes]:
        yield data
        yield from (each.data for each in readings(data, self._may_stand_in, packed))

    def _may_stand_in(self, data: bytes) -> bool:
        """Whether bytes may hold the person: quick, and true wherever `_count` is not 0."""
        small = data.lower()
        for pattern, start in zip(self._patterns, self._starts, strict=True):
            for at, end in pattern.candidates(small):
                if not pattern.start or start.search(data[max(at - CONTEXT_BYTES, 0) : end]):
                    return True
        return False

    def _count(self, data: bytes) -> int:
        return len({*self._ends(data, data.lower())})

    def rows(self, rows: duckdb.DuckDBPyRelation) -> dict[str, str]:
        """Return SQL (DuckDB) by column that is true of the rows of a relation in which it names the person."""
        kinds = list(zip(rows.columns, map(str, rows.types), strict=True))
        tests = dict[str, list[str]]()
        quick = {column: _conditions(self._patterns, column, kind).quick for column, kind in kinds}
        if asked := [column for column, test in quick.items() if test]:
            counts = rows.aggregate(", ".join(f"count(*) filter (where {quick[name]})" for name in asked)).fetchall()[0]
            some = {name for name, n in zip(asked, counts, strict=True) if n}
            tests = {name: [_conditions(self._patterns, name, kind).exact] for name, kind in kinds if name in some}
        for column, kind in kinds:
            if self.is_id_column(column) and (TYPES_OF_TEXT.search(kind) or TYPES_OF_NUMBERS.match(kind)):
                tests[column] = [*tests.get(column, ()), self._own_id_sql(column)]
        for column, digests in self._encoded_cells(rows).items():
            said = f"coalesce(md5(cast({quote_identifier(column)} as varchar)) in ({', '.join(digests)}), false)"
            tests[column] = [*tests.get(column, ()), said]
        return {column: f"({' or '.join(each)})" for column, each in tests.items()}

    def _own_id_sql(self, column: str) -> str:
        text = f"regexp_replace(trim(cast({quote_identifier(column)} as varchar)), '\\.0$', '')"
        return f"coalesce({text} = {sql_literal(self.customer_id)}, false)"

    def _unclear_columns(self, place: str, rows: duckdb.DuckDBPyRelation) -> Searched:
        """Columns that hold a short id and may name customers, though `is_id_column` does not say so."""
        if is_distinctive(self.customer_id) or not (names := [*filter(self._may_name_customers, rows.columns)]):
            return NOTHING_SEARCHED
        asked = ", ".join(f"count(*) filter (where {self._own_id_sql(name)})" for name in names)
        counts = zip(names, rows.aggregate(asked).fetchall()[0], strict=True)
        return _unread(*(f"{place}, column {name}: {n:,} {UNCLEAR}" for name, n in counts if n))

    def _may_name_customers(self, column: str) -> bool:
        """Whether a column's name has a word for customers in it, or is no more than a word for ids."""
        name = normalise_column_name(column)
        if self.is_id_column(column):
            return False
        whose = ID_NAME.sub("", name)
        return whose != name and (len(whose) < 3 or any(word in whose for word in self._customer_words))

    @cached_property
    def _customer_words(self) -> frozenset[str]:
        words = (ID_NAME.sub("", each) for each in self._id_names)
        return frozenset(each for each in words if len(each) >= (4 if each.isascii() else 2))

    def _encoded_cells(self, rows: duckdb.DuckDBPyRelation) -> dict[str, list[str]]:
        """The digests, by column, of values in which the person stands encoded: as escapes, base64, compressed."""
        names = [
            name for name, kind in zip(rows.columns, map(str, rows.types), strict=True) if TYPES_OF_TEXT.search(kind)
        ]
        found = dict[str, set[str]]()
        casts = ", ".join(f"cast({quote_identifier(name)} as varchar)" for name in names)
        for batch in rows.project(casts).to_arrow_reader(CELLS_AT_ONCE) if names else ():
            for name, cells in zip(names, batch.columns, strict=True):
                joined = cells.buffers()[2] if cells.null_count < len(cells) else None
                encoded = islice(self._all_readings(joined.to_pybytes(), packed=True), 1, None) if joined else ()
                if any(map(self._may_stand_in, encoded)):
                    texts = {each for each in cells.to_pylist() if each and not self.in_text(each)}
                    own = {each for each in texts if self.in_any_reading(each)}
                    digests = {sql_literal(hashlib.md5(each.encode()).hexdigest()) for each in own}
                    found[name] = found.get(name, set()) | digests
        return {name: sorted(each) for name, each in found.items() if each}

    def count_rows(self, rows: duckdb.DuckDBPyRelation) -> dict[str, int]:
        """Return how many rows of a relation name the person, by column."""
        if not (tests := self.rows(rows)):
            return {}
        counts = rows.aggregate(", ".join(f"count(*) filter (where {test})" for test in tests.values())).fetchall()[0]
        return {name: int(n) for name, n in zip(tests, counts, strict=True) if n}

    def contacts_in(self, rows: duckdb.DuckDBPyRelation) -> RowContacts:
        """Return the contacts in the rows of a relation that name the person, and those of them that fill a field."""
        tests, found, whole = self.rows(rows), set[str](), set[str]()
        if tests:
            for row in rows.filter(" or ".join(tests.values())).distinct().fetchall():
                for column, value in zip(rows.columns, row, strict=True):
                    found |= find_contacts(value, column)
                    whole |= find_contacts(value, column, whole=True)
        return RowContacts(found, whole)

    def shared_contacts(
        self, rows: duckdb.DuckDBPyRelation, contacts: Collection[str], own: Collection[str]
    ) -> set[str]:
        """Return those contacts that stand in the row of another customer, too: a household's address, or the shop's
        own, is not the person's alone. Of `own`, which fill a field of the person's, a mention in a text is none."""
        shared, patterns = set[str](), [contact_pattern(each) for each in contacts]
        kinds = zip(rows.columns, map(str, rows.types), strict=True)
        tests = [test for column, kind in kinds if (test := _conditions(patterns, column, kind).quick)]
        for row in rows.filter(" or ".join(tests)).limit(ROWS_COMPARED).fetchall() if tests else ():
            cells = list(zip(rows.columns, row, strict=True))
            said = {each for column, value in cells for each in find_contacts(value, column)}
            if any(self._is_other(said, *each) for each in cells):
                filled = {each for column, value in cells for each in find_contacts(value, column, whole=True)}
                shared |= said.intersection(contacts).difference(own) | filled.intersection(contacts)
        return shared

    def _is_other(self, contacts: set[str], column: str, value: Any) -> bool:
        """Whether a value is the id of another customer; raw rows are JSON."""
        if isinstance(value, str) and value[:1] == "{":
            with suppress(ValueError):
                return any(self._is_other(contacts, key, item) for key, item in json.loads(value).items())
        if value is None or not self.is_id_column(column) or _is_phone_column(column):
            return False
        text = str(value).strip().removesuffix(".0")
        return bool(text) and text != self.customer_id and contacts.isdisjoint(find_contacts(text, column))

    def is_id_column(self, column: str) -> bool:
        """Return whether a column of this name holds ids of customers."""
        return normalise_column_name(column) in self._id_names

    def mask(self, text: str) -> str:
        """Return a text without the person's identifiers."""
        for each in self._patterns:
            for word in each.literals:
                text = re.sub(re.escape(word), "[customer]", text, flags=re.IGNORECASE)
        return text

    def search(self, path: Path) -> Searched:
        """Search a file, or every file of a folder. What cannot be read is returned as `unread`."""
        if not path.exists():
            return NOTHING_SEARCHED
        found, files = NOTHING_SEARCHED, [path]
        if path.is_dir():
            closed = list[OSError]()
            walked = [*os.walk(path, onerror=closed.append)]
            files = sorted(Path(folder) / name for folder, _, names in walked for name in names)
            below = [Path(folder, name) for folder, names, _ in walked for name in names]
            links = [each for each in below if each.is_symlink()]
            found += _unread(*(f"{each.filename}: {each.strerror}" for each in closed))
            found += _unread(*(f"{each}: a link to a folder, which is not followed" for each in links))
        with duckdb.connect() as connection:
            connection.execute("set enable_progress_bar = false; set memory_limit = '1GB'; set threads = 2")
            for each in files:
                if each.is_file():
                    found += self._named(each, path) + self._search_file(each, str(each), connection)
        return found

    def _named(self, path: Path, home: Path) -> Searched:
        """Its name below the folder that is searched."""
        name = str(path.relative_to(home)) if path != home else path.name
        said = self.in_any_reading(without_endings(name))
        return Searched(0, 0, (Finding(f"{path} (its name)", 1),) if said else (), ())

    def _search_file(self, path: Path, place: str, connection: duckdb.DuckDBPyConnection, depth: int = 0) -> Searched:
        """Search one file, which is called `place`."""
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                head = file.read(512)
            inside = self._contents(path, place, head, connection, depth)
        except Exception as error:  # a file that no library can read must not end the search
            try:
                raw = self._count_bytes(path)
            except OSError:
                raw = 0
            return Searched(1, 0, (), (f"{place}: {reason_of(error)}",)) + _found([Finding(place, raw)])
        return Searched(1, size, (), ()) + inside

    def _contents(
        self, path: Path, place: str, head: bytes, connection: duckdb.DuckDBPyConnection, depth: int
    ) -> Searched:
        """The findings of a file as such, and what was searched of the files inside it."""
        if head.startswith(b"SQLite format 3\0"):
            return self._database(path, place)
        if head.startswith((b"PAR1", b"ARROW1")):
            rows = _table(path, head, connection)
            found = [Finding(f"{place}, column {name}", n) for name, n in self.count_rows(rows).items()]
            found += [
                Finding(f"{place}, the name of column {name}", self.in_any_reading(name)) for name in rows.columns
            ]
            if not any(each.times for each in found) and is_distinctive(self.customer_id):
                found.append(Finding(f"{place}, as bytes", self._count_bytes(path)))
            return _found(found) + self._unclear_columns(place, rows)
        short = not is_distinctive(self.customer_id)
        if is_packed(path, head):
            if depth >= MAX_ARCHIVE_DEPTH:
                raise ValueError("archives inside archives, too deep to open")
            workbook = short and path.suffix.lower() in WORKBOOK_SUFFIXES
            inside = self._table_inside(path, place, connection) if workbook else NOTHING_SEARCHED
            with TemporaryDirectory() as folder:
                try:
                    for name, file, reason in unpack(path, head, Path(folder)):
                        inner = f"{place}!{name}"
                        said = Finding(f"{inner} (its name)", self.in_any_reading(without_endings(name)))
                        inside += _found([said]) + self._search_file(file, inner, connection, depth + 1)
                        inside += _unread(*([f"{inner}: {reason}"] if reason else []))
                        file.unlink()
                except Exception as error:  # what was found before the damage stays
                    inside += _unread(f"{place}: {reason_of(error)}")
            return inside if inside.findings else inside + _found([Finding(place, self._count_bytes(path))])
        inside = _found([Finding(place, self._count_bytes(path))])
        if short and path.suffix.lower() in (*TEXT_SUFFIXES, *JSON_SUFFIXES):
            table = self._table_inside(path, place, connection)
            inside = table if not inside.findings else inside + table._replace(findings=())
        inside += _found([Finding(f"{place}, compressed", self._count_streams(path))])
        return inside + _unread(*([f"{place}: {why}"] if (why := why_unread(path, head)) else []))

    def _count_bytes(self, path: Path) -> int:
        """How often the person stands in the bytes of a file, in any encoding."""
        with path.open("rb") as file:
            return self._count_pieces(iter(lambda: file.read(CHUNK_BYTES), b""))

    def _count_pieces(self, pieces: Iterable[bytes]) -> int:
        """How often the person stands in bytes that come in pieces: by that encoding in which it does most often."""
        counts, wide, before = Counter[str](), Counter[str](), b""
        for piece in pieces:
            data = before + piece
            small, seen = data.lower(), len(before)  # what ends in what was read before was counted then
            counts["utf-8"] += sum(end > seen for end in self._ends(data, small))
            for encoding, words in self._encoded.items():
                ends = (end for word in words for end in self._encoded_ends(data, small, word, encoding))
                wide[encoding] += sum(end > seen for end in ends)
            for sign, part in ((1, data), (-1, before)):
                for encoding, text in readings(part, self._may_stand_in):
                    counts[encoding] += sign * self._count(text)
            before = data[-OVERLAP_BYTES:]
        counts["utf-8"] += max(wide.values(), default=0)
        return max(counts.values())

    def _ends(self, data: bytes, small: bytes) -> Iterator[int]:
        """Where identifiers end in bytes of UTF-8: found by their text first, then looked at as a whole."""
        for pattern, regex in zip(self._patterns, self._raw, strict=True):
            for start, end in pattern.candidates(small):
                first = max(start - CONTEXT_BYTES, 0)
                around = regex.finditer(data[first : end + CONTEXT_BYTES])
                if any(found.start() + first <= start and found.end() + first >= end for found in around):
                    yield end

    def _encoded_ends(self, data: bytes, small: bytes, word: bytes, encoding: str) -> Iterator[int]:
        for at in places_of(small, word):
            left = data[at - min(at // 4 * 4, 64) : at].decode(encoding, "replace")  # whole letters of 2 or 4 bytes
            text = left + data[at : at + len(word) + 64].decode(encoding, "replace")
            # texts of one length stand beside each other in an array
            if encoding == "utf-32-le" or self._regex.search(text, max(len(left) - 1, 0)):
                yield at + len(word)

    def _count_streams(self, path: Path) -> int:
        """How often the person stands in compressed streams inside a file."""
        if not path.stat().st_size:
            return 0
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return sum(map(self._count_pieces, inflated(data)))

    def _table_inside(self, path: Path, place: str, connection: duckdb.DuckDBPyConnection) -> Searched:
        """The rows of a text table or a workbook that name the person by a short id; nothing where it is no table."""
        with TemporaryDirectory() as folder:
            try:
                rows = open_file(connection, path, Path(folder)).rows
                found = _found([Finding(place, max(self.count_rows(rows).values(), default=0))])
                return found + self._unclear_columns(place, rows)
            except (PromoError, duckdb.Error) as error:
                table = path.suffix.lower() in TABLE_SUFFIXES and path.stat().st_size
                return _unread(*([f"{place}: {reason_of(error)}"] if table else []))

    def _database(self, path: Path, place: str) -> Searched:
        """Rows of each table, and what stands in free pages."""
        counts, unclear = list[Finding](), list[str]()
        short = not is_distinctive(self.customer_id)
        free = self._count_bytes(path)  # before it is opened: closing a file drops the locks that a process has on it
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
            db.text_factory = _as_text
            tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
            for table in map(quote_identifier, tables):
                for _, column, *_ in db.execute(f"pragma table_info({table})").fetchall():
                    cells = db.execute(f"select {quote_identifier(column)} from {table}")
                    rows = self.count_cells(column, (value for (value,) in cells))
                    if short and self._may_name_customers(column):
                        asked = f"select count(*) from {table} where trim(cast({quote_identifier(column)} as text)) = ?"
                        if n := db.execute(asked, [self.customer_id]).fetchone()[0]:
                            unclear.append(f"{place}, table {table[1:-1]}, column {column}: {n:,} {UNCLEAR}")
                    counts.append(Finding(f"{place}, table {table[1:-1]}, column {column}", rows))
            if free:
                with TemporaryDirectory() as folder:  # the same rows without free pages
                    db.execute("vacuum into ?", [str(Path(folder) / "compact")])
                    free -= self._count_bytes(Path(folder) / "compact")
        return _found([*counts, Finding(f"{place}, free pages", max(free, 0))]) + _unread(*unclear)


class _Conditions(NamedTuple):
    """SQL that is true where a column has one of the patterns: a quick look, and the exact one; empty if none can."""

    quick: str
    exact: str


def _conditions(patterns: Sequence[Pattern], column: str, kind: str) -> _Conditions:
    text, quick, exact = f"coalesce(cast({quote_identifier(column)} as varchar), '')", [], []
    for each in patterns:
        if TYPES_OF_TEXT.search(kind) or (each.digits and TYPES_OF_NUMBERS.match(kind)):
            bare = f"translate(lower({text}), {sql_literal(SEPARATORS)}, '')" if each.spaced else f"lower({text})"
            some = " or ".join(f"contains({bare}, {sql_literal(one)})" for one in each.literals)
            quick.append(f"({some})")
            exact.append(f"(({some}) and regexp_matches({text}, {sql_literal(each.regex)}, 'i'))")
    return _Conditions(" or ".join(quick), " or ".join(exact))


def _table(path: Path, head: bytes, connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
    if head.startswith(b"PAR1"):
        return connection.read_parquet(str(path), hive_partitioning=False)
    import polars as pl

    return connection.from_arrow(pl.read_ipc(path).to_arrow())


def _found(findings: Sequence[Finding]) -> Searched:
    return Searched(0, 0, tuple(each for each in findings if each.times), ())


def _unread(*reasons: str) -> Searched:
    return Searched(0, 0, (), reasons)


def _as_text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
