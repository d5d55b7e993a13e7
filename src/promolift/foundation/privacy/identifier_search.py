"""Find a person's identifiers in files of any kind, so that an erasure can say what is left and where.

Every byte of a file is searched. Parquet, Arrow and SQLite are read as tables as well, and archives (gz, bz2, xz, zstd,
zip, tar) are opened, one inside the other. SQLite's free pages and its log are searched as bytes.

An identifier counts where it stands as a whole: `A1001` is not found in `A10012`. A short identifier, such as `7` or
`Ann`, would be found everywhere; it counts only where its place says that it names a customer: as the value of a
customer column of a table, or after the name of one in a text (`"userId": "7"`, `customer_id=7`).
"""

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import sqlite3
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

import duckdb

from promolift.foundation.errors import PromoError
from promolift.foundation.files.column_names import COLUMN_SYNONYMS, normalise_column_name
from promolift.foundation.files.table_files import JSON_SUFFIXES, TEXT_SUFFIXES, WORKBOOK_SUFFIXES, open_file
from promolift.foundation.redaction import PATTERNS
from promolift.foundation.sql import quote_identifier, sql_literal

CHUNK_BYTES, OVERLAP_BYTES, CONTEXT_BYTES = 8 << 20, 4096, 200
ROWS_COMPARED = 10_000  # that have a contact, to see whether it is another customer's
MAX_ARCHIVE_DEPTH, MAX_UNPACKED_BYTES = 6, 64 << 30
WIDE_ENCODINGS = ("utf-16-le", "utf-16-be", "utf-32-le")
OTHER_ENCODINGS = ("gb18030", "big5", "shift_jis", "euc_kr", "latin-1", "cp1251")  # of letters beyond ASCII
PHONE_DIGITS = 9  # that tell a number from others: a country's code or a leading 0 may be left out
OWN_ID_COLUMNS = ("customer_id", "customerId", "user_id", "userId", "anonymous_id", "anonymousId", "person_id",
                  "member_id", "client_id", "subject", "customer", "customers", "privacy")  # fmt: skip
SEPARATORS = " ().-"  # of a phone number
# What may stand before an identifier though it ends in a letter or digit: escapes of JSON and of URLs.
WITHOUT_SEPARATORS = {ord(sign): None for sign in SEPARATORS}
ESCAPES = r"\\[nrtbf]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}"
PHONE_COLUMNS = tuple(map(normalise_column_name, (
    "phone", "mobile", "telefon", "téléphone", "teléfono", "handy", "celular", "whatsapp", "msisdn", "手机", "手機",
    "电话", "電話", "携帯", "전화", "휴대폰", "телефон", "điệnthoại", "เบอร์โทร", "هاتف",
)))  # fmt: skip
TYPES_OF_TEXT = re.compile(r"VARCHAR|JSON|UUID|ENUM|STRUCT|MAP|UNION|\[")
TYPES_OF_NUMBERS = re.compile(r"U?BIGINT|U?INTEGER|U?HUGEINT|DECIMAL|DOUBLE")


def is_distinctive(identifier: str) -> bool:
    """Return whether an identifier is looked for wherever it stands: an e-mail address, at least 10 characters, or at
    least 4 with letters and digits."""
    mixed = any(map(str.isdigit, identifier)) and not identifier.isdigit()
    return "@" in identifier or len(identifier) >= 10 or (len(identifier) >= 4 and mixed)


def find_contacts(value: Any, column: str = "") -> set[str]:
    """Return the e-mail addresses, in small letters, and the phone numbers, as digits, that a value of a column holds.
    JSON is read by its keys: what stands in a field for phones is a number however it is written.
    """
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        return {each for key, item in value.items() for each in find_contacts(item, str(key))}
    if isinstance(value, list | tuple):
        return {each for item in value for each in find_contacts(item, column)}
    if value is None or isinstance(value, bool):
        return set()
    text, found = str(value).removesuffix(".0"), set[str]()
    for label, pattern in PATTERNS:
        if label == "email":
            found |= {each.lower().strip(".") for each in pattern.findall(text)}
        elif label == "phone" and isinstance(value, str):
            found |= {re.sub(r"\D", "", each) for each in pattern.findall(text)}
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


class _Span(NamedTuple):
    start: int
    end: int


class _Member(NamedTuple):
    """A file inside an archive, written to a path."""

    name: str
    path: Path


class _Pattern(NamedTuple):
    """A regular expression that Python and DuckDB read alike, and texts of which one stands in all that it finds, once
    the signs in `SEPARATORS` are left out if it is `spaced`.
    """

    regex: str
    literals: tuple[str, ...]
    digits: bool = False  # it may stand in a column of numbers
    spaced: bool = False
    core: str = ""  # a quick regular expression of its middle, where a text alone does not find it

    def candidates(self, small: bytes) -> Iterator[_Span]:
        """Where it may stand in bytes, in small letters."""
        bare = small.translate(None, SEPARATORS.encode()) if self.spaced else small
        if not any(word.encode() in bare for word in self.literals):
            return
        if self.core:
            yield from (_Span(*found.span()) for found in re.finditer(self.core.encode(), small))
        else:
            words = dict.fromkeys(word.encode() for word in self.literals)
            yield from (_Span(at, at + len(word)) for word in words for at in _places(small, word))


@dataclass(frozen=True)
class IdentifierSearch:
    """Search for one person: the customer's id, and the contacts known of them as `find_contacts` returns them.

    `columns` are further names of columns that hold customer ids.
    """

    customer_id: str
    contacts: frozenset[str] = frozenset()
    columns: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def _patterns(self) -> list[_Pattern]:
        found = [_contact(each) for each in sorted(self.contacts)]
        if "@" in self.customer_id:
            return [_email(self.customer_id), *found]
        if is_distinctive(self.customer_id):
            return [_whole(self.customer_id), *found]
        keys = "|".join(sorted(map(re.escape, {*OWN_ID_COLUMNS, *self.columns}), key=len, reverse=True))
        mark = r"""[\\"' ]{0,6}"""
        value = "|".join(map(re.escape, _forms(self.customer_id)))
        end = "(?:$|[^A-Za-z0-9_.-]|[.-](?:$|[^A-Za-z0-9]))"
        named = rf"(?:^|[^A-Za-z])(?:{keys}){mark}[:=/]{mark}(?:{value})(?:\.0)?{end}"
        core = rf"[:=/]{mark}(?:{value.lower()})"
        literals = tuple(each.lower() for each in _forms(self.customer_id))
        return [_Pattern(named, literals, core=core), *found]

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{each.regex})" for each in self._patterns), re.IGNORECASE)

    @cached_property
    def _raw(self) -> list[re.Pattern[bytes]]:
        return [re.compile(each.regex.encode(), re.IGNORECASE) for each in self._patterns]

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

    def in_cell(self, column: str, value: Any) -> bool:
        """Return whether a value of a column names the person."""
        if value is None:
            return False
        text = str(value)
        return self.in_text(text) or (text.strip().removesuffix(".0") == self.customer_id and self.is_id_column(column))

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
                text = f"regexp_replace(trim(cast({quote_identifier(column)} as varchar)), '\\.0$', '')"
                own = f"coalesce({text} = {sql_literal(self.customer_id)}, false)"
                tests[column] = [*tests.get(column, ()), own]
        return {column: f"({' or '.join(each)})" for column, each in tests.items()}

    def count_rows(self, rows: duckdb.DuckDBPyRelation) -> dict[str, int]:
        """Return how many rows of a relation name the person, by column."""
        if not (tests := self.rows(rows)):
            return {}
        counts = rows.aggregate(", ".join(f"count(*) filter (where {test})" for test in tests.values())).fetchall()[0]
        return {name: int(n) for name, n in zip(tests, counts, strict=True) if n}

    def contacts_in(self, rows: duckdb.DuckDBPyRelation) -> set[str]:
        """Return the contacts in the rows of a relation that name the person."""
        tests, found = self.rows(rows), set[str]()
        if tests:
            for row in rows.filter(" or ".join(tests.values())).distinct().fetchall():
                for column, value in zip(rows.columns, row, strict=True):
                    found |= find_contacts(value, column)
        return found

    def shared_contacts(self, rows: duckdb.DuckDBPyRelation, contacts: Collection[str]) -> set[str]:
        """Return those contacts that stand in the row of another customer, too: a household's address, or the shop's
        own, is not the person's alone."""
        shared, patterns = set[str](), [_contact(each) for each in contacts]
        kinds = zip(rows.columns, map(str, rows.types), strict=True)
        tests = [test for column, kind in kinds if (test := _conditions(patterns, column, kind).quick)]
        for row in rows.filter(" or ".join(tests)).limit(ROWS_COMPARED).fetchall() if tests else ():
            cells = list(zip(rows.columns, row, strict=True))
            said = {each for column, value in cells for each in find_contacts(value, column)}
            if any(self._is_other(said, *each) for each in cells):
                shared |= said.intersection(contacts)
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
        names = sorted(Path(folder) / name for folder, _, names in os.walk(path) for name in names)
        files = names if path.is_dir() else [path]
        found = NOTHING_SEARCHED
        with duckdb.connect() as connection:
            connection.execute("set enable_progress_bar = false; set memory_limit = '1GB'; set threads = 2")
            for each in files:
                if each.is_file():
                    found += self._named(each, path) + self._search_file(each, str(each), connection)
        return found

    def _named(self, path: Path, home: Path) -> Searched:
        """Its name below the folder that is searched."""
        name = str(path.relative_to(home)) if path != home else path.name
        said = self.in_text(without_endings(name))
        return Searched(0, 0, (Finding(f"{path} (its name)", 1),) if said else (), ())

    def _search_file(self, path: Path, place: str, connection: duckdb.DuckDBPyConnection, depth: int = 0) -> Searched:
        """Search one file, which is called `place`."""
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                head = file.read(512)
            inside = self._contents(path, place, head, connection, depth)
        except Exception as error:  # a file that no library can read must not end the search
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            try:
                raw = self._count_bytes(path)
            except OSError:
                raw = 0
            found = (Finding(place, raw),) if raw else ()
            return Searched(1, 0, found, (f"{place}: {reason}",))
        return Searched(1, size, (), ()) + inside

    def _contents(
        self, path: Path, place: str, head: bytes, connection: duckdb.DuckDBPyConnection, depth: int
    ) -> Searched:
        """The findings of a file as such, and what was searched of the files inside it."""
        if head.startswith(b"SQLite format 3\0"):
            return _found(self._database(path, place))
        if head.startswith((b"PAR1", b"ARROW1")):
            rows = self.count_rows(_table(path, head, connection))
            found = [Finding(f"{place}, column {name}", n) for name, n in rows.items()]
            if not found and is_distinctive(self.customer_id):
                found = [Finding(f"{place}, as bytes", self._count_bytes(path))]
            return _found(found)
        if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")) or _is_tar(head):
            if depth >= MAX_ARCHIVE_DEPTH:
                raise ValueError("archives inside archives, too deep to open")
            workbook = path.suffix.lower() in WORKBOOK_SUFFIXES and not is_distinctive(self.customer_id)
            inside = _found([Finding(place, self._count_table(path, connection) if workbook else 0)])
            with TemporaryDirectory() as folder:
                for name, file in _unpacked(path, head, Path(folder)):
                    inside += self._search_file(file, f"{place}!{name}", connection, depth + 1)
                    file.unlink()
            return inside
        count = self._count_bytes(path)
        if not is_distinctive(self.customer_id) and path.suffix.lower() in (*TEXT_SUFFIXES, *JSON_SUFFIXES):
            count = max(count, self._count_table(path, connection))
        return _found([Finding(place, count)])

    def _count_bytes(self, path: Path) -> int:
        """How often the person stands in the bytes of a file."""
        counts, before = dict.fromkeys(("utf-8", *self._encoded), 0), b""
        with path.open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                data = before + piece
                small, seen = data.lower(), len(before)  # what ends in what was read before was counted then
                counts["utf-8"] += sum(end > seen for end in self._ends(data, small))
                for encoding, words in self._encoded.items():
                    ends = (end for word in words for end in self._encoded_ends(data, small, word, encoding))
                    counts[encoding] += sum(end > seen for end in ends)
                before = data[-OVERLAP_BYTES:]
        return counts.pop("utf-8") + max(counts.values(), default=0)

    def _ends(self, data: bytes, small: bytes) -> Iterator[int]:
        """Where identifiers end in bytes of UTF-8: found by their text first, then looked at as a whole."""
        for pattern, regex in zip(self._patterns, self._raw, strict=True):
            for start, end in pattern.candidates(small):
                first = max(start - CONTEXT_BYTES, 0)
                around = regex.finditer(data[first : end + CONTEXT_BYTES])
                if any(found.start() + first <= start and found.end() + first >= end for found in around):
                    yield end

    def _encoded_ends(self, data: bytes, small: bytes, word: bytes, encoding: str) -> Iterator[int]:
        for at in _places(small, word):
            left = data[at - min(at // 4 * 4, 64) : at].decode(encoding, "replace")  # whole letters of 2 or 4 bytes
            text = left + data[at : at + len(word) + 64].decode(encoding, "replace")
            # texts of one length stand beside each other in an array
            if encoding == "utf-32-le" or self._regex.search(text, max(len(left) - 1, 0)):
                yield at + len(word)

    def _count_table(self, path: Path, connection: duckdb.DuckDBPyConnection) -> int:
        """How many rows of a text table or a workbook name the person; 0 where it is no table."""
        with TemporaryDirectory() as folder:
            try:
                return max(self.count_rows(open_file(connection, path, Path(folder)).rows).values(), default=0)
            except (PromoError, duckdb.Error):
                return 0

    def _database(self, path: Path, place: str) -> list[Finding]:
        """Rows of each table, and what stands in free pages."""
        counts = []
        free = self._count_bytes(path)  # before it is opened: closing a file drops the locks that a process has on it
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
            db.text_factory = _as_text
            db.create_function("names_person", 2, lambda column, value: self.in_cell(column, _as_text(value)))
            tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
            for table in map(quote_identifier, tables):
                for _, column, *_ in db.execute(f"pragma table_info({table})").fetchall():
                    asked = f"select count(*) from {table} where names_person(?, {quote_identifier(column)})"
                    rows = db.execute(asked, [column]).fetchone()[0]
                    counts.append(Finding(f"{place}, table {table[1:-1]}, column {column}", rows))
            if free:
                with TemporaryDirectory() as folder:  # the same rows without free pages
                    db.execute("vacuum into ?", [str(Path(folder) / "compact")])
                    free -= self._count_bytes(Path(folder) / "compact")
        return [*counts, Finding(f"{place}, free pages", max(free, 0))]


class _Conditions(NamedTuple):
    """SQL that is true where a column has one of the patterns: a quick look, and the exact one; empty if none can."""

    quick: str
    exact: str


def _conditions(patterns: Sequence[_Pattern], column: str, kind: str) -> _Conditions:
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


def _as_text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _forms(identifier: str) -> list[str]:
    """An identifier as it stands in a text, and as URLs, HTML and JSON write it."""
    said = json.dumps(identifier)[1:-1]
    return sorted({identifier, quote(identifier, safe=""), escape(identifier), said, json.dumps(said)[1:-1]})


def _whole(identifier: str) -> _Pattern:
    before = f"(?:^|[^A-Za-z0-9]|{ESCAPES})" if identifier[:1].isascii() and identifier[:1].isalnum() else ""
    after = "(?:$|[^A-Za-z0-9])" if identifier[-1:].isascii() and identifier[-1:].isalnum() else ""
    forms = _forms(identifier)
    pattern = f"{before}(?:{'|'.join(map(re.escape, forms))}){after}"
    return _Pattern(pattern, tuple(each.lower() for each in forms), digits=identifier.isdigit())


def _contact(text: str) -> _Pattern:
    return _email(text) if "@" in text else _phone(text)


def _email(address: str) -> _Pattern:
    forms = _forms(address.lower())
    after = "(?:$|[^A-Za-z0-9.-]|[.-](?:$|[^A-Za-z0-9]))"
    pattern = f"(?:^|[^A-Za-z0-9._%+-]|{ESCAPES})(?:{'|'.join(map(re.escape, forms))}){after}"
    return _Pattern(pattern, tuple(each.lower() for each in forms))


def _phone(number: str) -> _Pattern:
    """The last digits with what people put between them, and before them a country's code."""
    between = f"[{re.escape(SEPARATORS)}]{{0,3}}"
    digits = number[-PHONE_DIGITS:]
    pattern = f"(?:^|[^0-9])(?:[0-9]{between}){{0,5}}{between.join(digits)}(?:$|[^0-9])"
    return _Pattern(pattern, (digits,), digits=True, spaced=True, core=between.join(digits))


def _places(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + len(word))


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _is_tar(head: bytes) -> bool:
    return head[257:262] == b"ustar"


def _unpacked(path: Path, head: bytes, folder: Path) -> Iterator[_Member]:
    """Each file inside an archive, by its name, written into a folder. ValueError for one too large to unpack."""
    stem = path.name.removesuffix(path.suffix)
    if head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            for number, entry in enumerate(archive.infolist()):
                if not entry.is_dir():
                    with archive.open(entry) as source:
                        target = folder / f"{number} {Path(entry.filename).name[-80:]}"
                        yield _Member(entry.filename, _copied(source, target))
    elif _is_tar(head):
        with tarfile.open(path) as archive:
            for number, member in enumerate(archive):
                target = folder / f"{number} {Path(member.name).name[-80:]}"
                if member.isfile():
                    yield _Member(member.name, _copied(archive.extractfile(member), target))
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        with pa.input_stream(str(path), compression="zstd") as source:
            yield _Member(stem, _copied(source, folder / f"0 {stem[-80:]}"))
    else:
        opened: Any = gzip.open if head.startswith(b"\x1f\x8b") else bz2.open if head.startswith(b"BZh") else lzma.open
        with opened(path, "rb") as source:
            yield _Member(stem, _copied(source, folder / f"0 {stem[-80:]}"))


def _copied(source: Any, target: Path) -> Path:
    left = min(MAX_UNPACKED_BYTES, max(shutil.disk_usage(target.parent).free - (1 << 30), 0))
    with target.open("wb") as out:
        while piece := source.read(1 << 20):
            left -= len(piece)
            if left < 0:
                raise ValueError("unpacks to more than there is room for")
            out.write(piece)
    return target
