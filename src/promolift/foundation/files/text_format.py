"""Detect the encoding, delimiter, quote and column names of a text table from its bytes."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, NamedTuple, cast

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

CHUNK = 1 << 20
MIN_DISTINCT_SYLLABLES = 20  # different Korean letters, below which bytes are taken for Chinese
MIN_ODD_LINES = 3  # lines in another encoding than the rest, below which they may be damage
MAX_LINE_CHARS = 2_000_000  # bytes of a record, the most that DuckDB takes
MAX_TITLE_LINES = 20  # lines that may stand above the column names
DELIMITERS = (",", ";", "\t", "|")
_VALUE = re.compile(r"^[+-]?\d+([.,]\d+)*$|^\d{4}-\d\d-\d\d|^\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")
_MAGIC = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"%PDF": "a PDF; export the table as CSV",
    b"PAR1": "Parquet; give it the ending .parquet",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
}


@dataclass(frozen=True)
class Dialect:
    """The format of a text table."""

    names: tuple[str, ...]
    delimiter: str
    quote: str
    escape: str
    skip: int
    row_bytes: float
    repeated_names: tuple[str, ...] = ()  # names that stand more than once
    title_lines: int = 0  # lines above the column names, such as a report's title and its dates


class TextEncoding(NamedTuple):
    """The encoding of a file, and whether its lines end in more than one way."""

    encoding: str
    mixed_ends: bool


def open_bytes(path: Path) -> IO[bytes]:
    """Open the file's bytes, decompressed if its name ends in .gz."""
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the file in pieces. Raises InputError if a compressed file is broken."""
    try:
        with open_bytes(path) as file:
            while piece := file.read(CHUNK):
                yield piece
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(
            "file_incomplete",
            gettext_lazy(
                "{path}: cannot be read to its end ({error}); copy or download it again", path=path, error=error
            ),
        ) from None


def detect_encoding(path: Path) -> TextEncoding:
    """Return the encoding of a file: utf-8, utf-16, gb18030, cp949, big5, cp932, cp1250, cp1251, cp1252 or cp1254.

    Reads the whole file; raises InputError if it is no text at all.
    """
    head = next(read_chunks(path), b"")
    _must_be_text(path, head)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return TextEncoding("utf-16", True)
    decoder, encoding, before = codecs.getincrementaldecoder("utf-8")(), "", b""
    ends: Counter[bytes] = Counter()
    for piece in read_chunks(path):
        # A piece may part \r\n in two: then its first half is put back before the second, and not counted again.
        joined = b"\r" + piece if before.endswith(b"\r") else piece
        if b"\r" in joined:
            ends.update({end: joined.count(end) for end in (b"\r\n", b"\n", b"\r")})
            ends[b"\r"] -= len(joined) - len(piece)
        else:  # how many lines end in \n alone makes no difference
            ends[b"\n"] += b"\n" in joined
        try:
            if not encoding and not (piece.isascii() and decoder.getstate() == (b"", 0)):
                decoder.decode(piece)
        except UnicodeDecodeError:
            encoding = _not_quite_utf8(before + piece)
        before = piece[-4:]
    crlf, lf, cr = ends[b"\r\n"], ends[b"\n"], ends[b"\r"]
    return TextEncoding(encoding or "utf-8", not (cr == 0 or lf == 0 or crlf == lf == cr))


def _must_be_text(path: Path, head: bytes) -> None:
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise InputError(
                "file_type_mismatch", gettext_lazy("{path}: not a text table but {what}", path=path, what=what)
            )
    if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(
            "file_unreadable",
            gettext_lazy(
                "{path}: not a text table (it has zero bytes); export it as CSV in UTF-8, or as Parquet", path=path
            ),
        )
    if head.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")):
        raise InputError(
            "web_page_received", gettext_lazy("{path}: a web page, not a table; download the file itself", path=path)
        )


def _not_quite_utf8(piece: bytes) -> str:
    """The encoding of bytes that are not all UTF-8: UTF-8 with some damage, Chinese, Korean, Japanese, Russian or
    Western."""
    text = piece.decode("utf-8", "surrogateescape")
    broken = sum("\udc80" <= letter <= "\udcff" for letter in text)
    whole = sum(letter > "\x7f" for letter in text) - broken
    if whole > 4 * broken and not _has_chinese_lines(piece):
        return "utf-8"  # the damaged rows are set aside, one by one
    if _has_chinese_lines(piece):
        return "gb18030"
    runs = re.findall(rb"[\x80-\xff]+", piece)
    high = sum(map(len, runs))
    # Mainland Chinese bytes come in pairs of high bytes; accented letters and currency signs mostly stand alone.
    if sum(len(run) for run in runs if len(run) % 2 == 0) > 0.8 * high:
        return "cp949" if _korean(piece) else "gb18030"
    # Everyday letters of Taiwan and Japan begin with these bytes; the second one may be low.
    for encoding, first, last in (("big5", 0xA4, 0xC6), ("cp932", 0x81, 0x9F)):
        if _led(piece, encoding, first, last) > 0.9:
            return encoding
    return "cp1251" if sum(len(run) for run in runs if len(run) > 2) > 0.5 * high else _latin(piece)


def _has_chinese_lines(piece: bytes) -> bool:
    """Whether all lines that are not UTF-8, of at least three, are GB18030 and not UTF-8 with damage."""
    odd = [line for line in piece.split(b"\n")[1:-1] if not line.isascii() and not _decodes(line, "utf-8")]
    if len(odd) < MIN_ODD_LINES or not all(_decodes(line, "gb18030") for line in odd):
        return False
    text = b"\n".join(odd)
    said = text.decode("utf-8", "surrogateescape")
    damaged = sum("\udc80" <= letter <= "\udcff" for letter in said)
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", text)]
    even = sum(run for run in runs if run % 2 == 0) > 0.8 * sum(runs)
    whole = sum("\u0800" <= letter < "\ud800" for letter in said)  # Chinese ones of UTF-8, which damage leaves
    return even and whole < 0.1 * damaged and not _korean(text)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _latin(piece: bytes) -> str:
    """cp1254 of Turkish, cp1250 of Polish, Czech or Hungarian, else cp1252, by the letters in which they differ.

    What is a dotless i or an s with a cedilla in the first would be Icelandic in the last, a Polish l with a stroke a
    small 3 within a word.
    """
    seen = Counter(byte for byte in piece if byte > 127)
    whole = seen.total()

    def share(letters: bytes) -> float:
        return sum(seen[letter] for letter in letters) / whole

    if share(b"\xd0\xdd\xde\xf0\xfd\xfe") > 0.25 and share(b"\xe1\xe6") < 0.05:
        return "cp1254"
    polish = len(re.findall(rb"[A-Za-z][\xb3\xb9\xbf\x9c\x9f][a-z]", piece)) > 0.1 * whole
    czech = share(b"\x9a\x9e") > 0.05 and share(b"\xec\xf8\xf9") > 0.15
    hungarian = share(b"\xf5") > 0.05 and share(b"\xe3\xe4\xe7") == 0
    return "cp1250" if polish or czech or hungarian else "cp1252"


def _korean(piece: bytes) -> bool:
    """Whether nearly all of many different letters are syllables: Chinese ones lie in the same bytes and far beyond."""
    letters = {letter for letter in piece.decode("cp949", "ignore") if letter > "\x7f"}
    return len(letters) >= MIN_DISTINCT_SYLLABLES and sum(
        "\uac00" <= letter <= "\ud7a3" for letter in letters
    ) > 0.95 * len(letters)


def _led(piece: bytes, encoding: str, first: int, last: int) -> float:
    """Share of the letters that are not ASCII whose first byte lies in a range; 0 if the bytes are another encoding."""
    letters = [letter for letter in piece.decode(encoding, "replace") if letter > "\x7f"]
    if letters.count("\ufffd") > 0.01 * len(letters):
        return 0.0
    return sum(first <= letter.encode(encoding, "replace")[0] <= last for letter in letters) / max(len(letters), 1)


class ReencodedLines(NamedTuple):
    """Lines in another encoding than the rest of the file: their number, and the first of them, from 1."""

    lines: int
    first: int


def write_utf8(path: Path, encoding: str, target: Path) -> ReencodedLines:
    """Write the file's text again in UTF-8 with one kind of line end. A byte without a meaning becomes U+FFFD.

    A line that is UTF-8 among others that are not is read as what it is.
    """
    decoder = io.IncrementalNewlineDecoder(None, translate=True)
    found, first, number, rest = 0, 0, 0, b""
    with target.open("w", encoding="utf-8", newline="") as out:
        if encoding == "utf-16":
            wide = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("replace"), translate=True)
            for piece in read_chunks(path):
                out.write(wide.decode(piece))
            out.write(wide.decode(b"", final=True))
            return ReencodedLines(0, 0)
        for piece in chain(read_chunks(path), [b""]):
            lines = re.split(rb"(?<=\n)", rest + piece) if piece else [rest]
            rest = lines.pop() if piece else b""
            for line in lines:
                number += 1
                if line.isascii():
                    text = line.decode("ascii")
                elif encoding != "utf-8" and _is_utf8(line, encoding):
                    found, first = found + 1, first or number
                    text = line.decode("utf-8")
                else:
                    text = line.decode(encoding, "replace")
                out.write(decoder.decode(text))
        out.write(decoder.decode("", final=True))
    return ReencodedLines(found, first)


def _is_utf8(line: bytes, encoding: str) -> bool:
    """Whether a line of a file in another encoding is UTF-8: pairs of bytes may be so by chance in Eastern ones."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return encoding.startswith("cp125") or any("\u0800" <= letter < "\ufffd" for letter in text)


def is_space_aligned(path: Path) -> bool:
    """Return whether only spaces separate the columns of a UTF-8 file, as in a printed table."""
    text = next(read_chunks(path), b"").decode("utf-8", "replace")
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    plain = not any(delimiter in text for delimiter in DELIMITERS)
    widths = {len(line.split()) for line in lines}
    return plain and len(lines) > 1 and len(widths) == 1 and widths.pop() > 2


def write_tab_separated(path: Path, target: Path) -> None:
    """Write a space-aligned file again with a tab between its columns."""
    with open_bytes(path) as file, target.open("wb") as out:
        out.writelines(b"\t".join(line.split()) + b"\n" for line in file)


def detect_dialect(path: Path, given: Sequence[str] | None = None, called: Path | None = None) -> Dialect:
    """Return the delimiter, quotes and column names of a UTF-8 file. `given` names the columns of a file without a
    header.

    `called` is what a person calls the file, where `path` is a copy of it.
    """
    csv.field_size_limit(MAX_LINE_CHARS)
    called = called or path
    text = next(read_chunks(path), b"").decode("utf-8", "replace").lstrip("\ufeff")
    complete = text[: text.rfind("\n") + 1] if len(text) >= CHUNK - 8 else text
    skip = 1 if re.match(r"sep=.\r?\n", complete) else 0  # a hint Excel writes
    lines = complete.splitlines(keepends=True)[skip:]
    above = 0 if given else _titles(lines)
    skip, lines = skip + above, lines[above:]
    if not any(line.strip() for line in lines):
        raise InputError(
            "file_empty",
            gettext_lazy(
                "{called}: empty; export it again, with a line of column names and one row per event", called=called
            ),
        )
    quote = "'" if sum(line.count("'") for line in lines[1:]) > 2 * len(lines) and '"' not in complete else '"'
    escape = "\\" if f"\\{quote}" in complete and quote * 2 not in complete else quote
    delimiter = _delimiter(called, lines, quote)
    records = list(islice(csv.reader(lines, delimiter=delimiter, quotechar=quote), 200))
    records = [record for record in records if record]
    if given is None:
        _must_be_a_header(called, records[0])
        if len(records) == 1 and len(text) < CHUNK - 8:
            raise InputError(
                "table_empty",
                gettext_lazy("{called}: a line of column names but no rows; export it again", called=called),
            )
    names = list(given or records[0])
    widths = Counter(len(record) for record in records[0 if given else 1 :])
    width = widths.most_common(1)[0][0] if widths else len(names)
    if given and width != len(names):
        raise InputError(
            "column_count_differs",
            gettext_lazy(
                "{called}: {names} column names are given, the rows have {width} columns",
                called=called,
                names=len(names),
                width=width,
            ),
        )
    # Some exports end each row, but not the header, with a delimiter, or name no column for the row number.
    names += [""] * (width - len(names))
    row_bytes = sum(len(line.encode()) for line in lines[:1000]) / min(len(lines), 1000)
    counted = Counter(name.strip() for name in names if name.strip())
    repeated = tuple(name for name, number in counted.items() if number > 1)
    skip += 0 if given else 1
    return Dialect(tuple(unique_column_names(names)), delimiter, quote, escape, skip, row_bytes, repeated, above)


def _titles(lines: Sequence[str]) -> int:
    """How many lines stand above the one with the column names: a report's title, its dates, empty ones.

    They fill at most half as many cells as most lines; the names fill nearly all.
    """
    if not any(line.strip() for line in lines):
        return 0
    tables = [_each_record(lines[:200], delimiter) for delimiter in DELIMITERS]
    # what parts most cells is what parts columns
    delimiter, cells = max(zip(DELIMITERS, tables, strict=True), key=lambda each: sum(map(len, each[1])))
    filled = [sum(map(bool, record)) for record in cells]
    width, times = Counter(map(len, cells)).most_common(1)[0]
    first = next((at for at, many in enumerate(filled[:MAX_TITLE_LINES]) if many > 0.5 * width), 0)
    named = len(cells[first]) == width and filled[first] >= 0.8 * width
    if width < 3 or times < max(3, 0.6 * len(cells)) or not named or any(map(_VALUE.match, cells[first])):
        return 0
    if delimiter == "," and any(other in cell for cell in cells[first] for other in ";\t|"):
        return 0  # a row of text with commas, below names that another sign parts
    return first


def _each_record(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Each line by itself: what is asked is only how full it is."""
    rows = (next(csv.reader([line], delimiter=delimiter), []) for line in lines)
    return [[cell.strip() for cell in row] for row in rows]


def unique_column_names(names: Sequence[str]) -> list[str]:
    """Return column names that are not empty, differ in more than case, and are none of our own hidden names."""
    taken = {"_row", "_key", "_customer", "_mix", "_shard"}
    result = []
    for position, name in enumerate(names, start=1):
        base = new = name.strip() or f"column_{position}"
        number = 2
        while new.lower() in taken:
            new = f"{base}_{number}"
            number += 1
        taken.add(new.lower())
        result.append(new)
    return result


def _delimiter(path: Path, lines: list[str], quote: str) -> str:
    best, best_score = "", (0.0, 0)
    for delimiter in DELIMITERS:
        records = csv.reader(lines, delimiter=delimiter, quotechar=quote)
        widths = [len(record) for record in islice(records, 200) if record]
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if widths[0] > 1 and score > best_score:
            best, best_score = delimiter, score
    if not best and lines[0].count(quote) % 2:
        raise InputError(
            "quote_unclosed",
            gettext_lazy(
                "{path}: a quote in its line of column names is not closed: {lines}; close it",
                path=path,
                lines=lines[0].strip()[:80],
            ),
        )
    if not best:
        raise InputError(
            "delimiter_missing",
            gettext_lazy(
                "{path}: not a table: no comma, semicolon, tab or bar parts its first line; export it as CSV", path=path
            ),
        )
    return best


def _must_be_a_header(path: Path, record: list[str]) -> None:
    values = [cell for cell in record if _VALUE.match(cell.strip())]
    if values or not any(cell.strip() for cell in record):
        raise InputError(
            "header_missing",
            gettext_lazy(
                "{path}: row 1 holds values ({map}), not column names; add a first line with a name for "
                "each of its {record} columns, or name them: promolift init --events "
                "{name}:user_id,item_id,...",
                path=path,
                map=", ".join(map(repr, record[:4])),
                record=len(record),
                name=path.name,
            ),
        )
