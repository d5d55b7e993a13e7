"""A text table in; its lines whose quotes do not fit, and a copy without them, out.

DuckDB lets a quote that is never closed swallow what follows, up to the end of the file, and does not say where that
ends. Here it costs the line in which it stands, and all others are read.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from promolift.sources.text import Dialect, chunks

LONGEST = 2_000_000  # bytes of a record, the most that DuckDB takes: a quote that is open for longer is never closed
SHOWN = 2000  # letters of an unreadable line that are kept
LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r)")


class BrokenLine(NamedTuple):
    """A line whose quotes do not fit: which row of the file it is, from 1, and its text."""

    row: int
    text: str


class FilePart(NamedTuple):
    """Bytes of a table: whole records whose quotes fit, or one line whose quotes do not."""

    text: bytes
    fits: bool


def set_aside(path: Path, dialect: Dialect, target: Path) -> list[BrokenLine]:
    """The broken lines of a file; if there are any, all else is written to `target`."""
    if all(part.fits for part in file_parts(path, dialect)):
        return []
    record, broken, row = re.compile(_record(dialect)), [], -dialect.skip
    with target.open("wb") as out:
        for text, fits in file_parts(path, dialect):
            row += sum(1 for _ in record.finditer(text)) if fits else 1
            if fits:
                out.write(text)
            else:
                broken.append(BrokenLine(row, text.decode("utf-8", "replace").rstrip("\r\n")[:SHOWN]))
    return broken


def file_parts(path: Path, dialect: Dialect) -> Iterator[FilePart]:
    """All bytes of the file in order."""
    records, quote = re.compile(b"(?:" + _record(dialect) + b")*+"), dialect.quote.encode()
    rest = b""
    for piece in chain(chunks(path), [b""]):
        rest += piece if piece or rest.endswith((b"\n", b"\r")) else b"\n"
        if piece and rest.endswith(b"\r"):
            continue  # its \n may be in the next piece
        at, enough = 0, LONGEST if piece else 0
        while at < len(rest):
            found = records.match(rest, at) if quote in rest or b"\n" not in rest else None
            end = found.end() if found else rest.rfind(b"\n") + 1
            if end > at:
                yield FilePart(rest[at:end], True)
                at = end
            line = LINE.match(rest, at) if len(rest) - at > enough else None
            if not line:
                break  # what follows will show whether it fits
            yield FilePart(line[0], False)
            at = line.end()
        rest = rest[at:]


def _record(dialect: Dialect) -> bytes:
    """The pattern of a record whose quotes fit, its line end included; spaces may stand around quotes."""
    quote, delimiter = re.escape(dialect.quote), re.escape(dialect.delimiter)
    inside = rf"[^{quote}]++|{quote}{quote}" if dialect.escape == dialect.quote else rf"[^{quote}\\]++|\\."
    cell = rf"(?: *+{quote}(?:{inside})*+{quote} *+|(?! *{quote})[^{delimiter}\r\n]*+)"
    return rf"(?s:(?:{cell}{delimiter})*+{cell}(?:\r\n|\n|\r))".encode()
