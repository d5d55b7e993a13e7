"""Find the lines of a CSV file whose quotes do not match, and write a copy without them.

DuckDB lets a quote that is never closed consume the text after it, up to the end of the file, and does not report it.
It also accepts a cell of hundreds of lines, each of which looks like a row, because two stray quotes are far apart.
Here a stray quote costs only its own line; all other lines are read.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from promolift.foundation.files.text_format import MAX_LINE_CHARS, Dialect, read_chunks

LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r)")


class BrokenLine(NamedTuple):
    """A line whose quotes do not match: its row number in the file, from 1, and its text."""

    row: int
    text: str


class FilePart(NamedTuple):
    """Bytes of a file: whole records whose quotes match, or one line whose quotes do not."""

    text: bytes
    fits: bool


def split_broken_lines(path: Path, dialect: Dialect, target: Path) -> list[BrokenLine]:
    """Return the broken lines of a file. If there are any, write all other lines to `target`."""
    if all(part.fits for part in file_parts(path, dialect)):
        return []
    record, broken, row = re.compile(_record(dialect)), [], -dialect.skip
    with target.open("wb") as out:
        for text, fits in file_parts(path, dialect):
            row += sum(1 for _ in record.finditer(text)) if fits else 1
            if fits:
                out.write(text)
            else:
                broken.append(BrokenLine(row, text.decode("utf-8", "replace").rstrip("\r\n")))
    return broken


def file_parts(path: Path, dialect: Dialect) -> Iterator[FilePart]:
    """Yield all bytes of the file, in order."""
    lines, quote = re.compile(b"(?:" + _record(dialect, "\r\n") + b")*+"), dialect.quote.encode()
    record = re.compile(_record(dialect))
    rest, line_end = b"", b""
    for piece in chain(read_chunks(path), [b""]):
        if not line_end and (found := re.search(rb"\r\n|\n|\r", rest + piece)):
            line_end = found[0]
        rest += piece if piece or not rest or rest.endswith((b"\n", b"\r")) else line_end or b"\n"
        if piece and rest.endswith(b"\r"):
            continue  # its \n may be in the next piece
        at, enough = 0, MAX_LINE_CHARS if piece else 0
        while at < len(rest):
            found = lines.match(rest, at) if quote in rest or b"\n" not in rest else None
            end = found.end() if found else rest.rfind(b"\n") + 1
            if end > at:
                yield FilePart(rest[at:end], True)
                at = end
            whole = record.match(rest, at) if found else None
            if whole and not _swallows(whole[0], dialect):
                yield FilePart(whole[0], True)
                at = whole.end()
                continue
            # A quote that is open for longer than MAX_LINE_CHARS is never closed; a record that swallows others has its
            # end here already.
            line = LINE.match(rest, at) if whole or len(rest) - at > enough else None
            if not line:
                break  # what follows will show whether it fits
            yield FilePart(line[0], False)
            at = line.end()
        rest = rest[at:]


def _swallows(record: bytes, dialect: Dialect) -> bool:
    """Whether a record of several lines has another number of columns than the file, or each of its lines has that."""
    lines = [line for line in re.split(rb"\r\n|\n|\r", record) if line]
    form = {"delimiter": dialect.delimiter, "quotechar": dialect.quote, "doublequote": dialect.escape == dialect.quote}
    escape = None if dialect.escape == dialect.quote else dialect.escape
    text = io.StringIO(record.decode("utf-8", "replace"), newline="")
    if len(next(csv.reader(text, escapechar=escape, skipinitialspace=True, **form), ())) != len(dialect.names):  # type: ignore[arg-type]
        return True
    alike = sum(line.count(dialect.delimiter.encode()) == len(dialect.names) - 1 for line in lines)
    enough = 2 if len(dialect.names) > 2 else 4  # a text with one comma a line is no row
    return len(lines) >= enough and alike >= 0.8 * len(lines)


def _record(dialect: Dialect, never: str = "") -> bytes:
    """The pattern of a record whose quotes fit, its line end included; spaces may stand around quotes.

    Letters of `never` do not stand inside quotes.
    """
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    inside = rf"[^{quote}{never}]++|{quote}{quote}"
    if dialect.escape != dialect.quote:
        inside = rf"[^{quote}\\{never}]++|\\[^{never}]" if never else rf"[^{quote}\\]++|\\."
    cell = rf"(?: *+{quote}(?:{inside})*+{quote} *+|(?! *{quote})[^{delimiter}\r\n]*+)"
    return rf"(?s:(?:{cell}{delimiter})*+{cell}(?:\r\n|\n|\r))".encode()
