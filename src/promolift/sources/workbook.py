"""An Excel workbook (.xlsx) in, its rows as one CSV file out, read with the standard library alone.

Sheets with the same column names are one table, in the order of the workbook (Office Open XML, ECMA-376 part 1).
"""

import csv
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from uuid import uuid4
from xml.etree import ElementTree
from zipfile import BadZipFile, ZipFile

from promolift.errors import InputError

ENDINGS = (".xlsx", ".xlsm")
DATE_FORMATS = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])  # built-in, 18.8.30
EPOCHS = {False: datetime(1899, 12, 30), True: datetime(1904, 1, 1)}  # day 0 of the serial numbers


def as_csv(path: Path, work: Path) -> Path:
    """A CSV copy in `work`. Raises InputError for no workbook, no rows, or sheets that are different tables."""
    target = work / f"{uuid4().hex}.csv"
    try:
        with ZipFile(path) as book, target.open("w", encoding="utf-8", newline="") as out:
            _write(path, _Book(book), out)
    except (BadZipFile, KeyError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: not readable as an Excel workbook ({error}); save the sheet as CSV") from None
    return target


def _write(path: Path, book: "_Book", target: IO[str]) -> None:
    out = csv.writer(target)
    header: list[str] | None = None
    for name, place in book.sheets():
        rows = (row for row in book.rows(place) if any(row))
        first = next(rows, None)
        if first is None:
            continue
        if header is None:
            header = first
            out.writerow(header)
        elif first != header:
            raise InputError(
                f"{path}: sheet {name!r} has other columns than the first one; save each sheet that is meant as CSV"
            )
        width = len(header)
        for row in rows:
            out.writerow(row + [""] * (width - len(row)))
    if header is None:
        raise InputError(f"{path}: no sheet has rows; export it again")


class _Book:
    """The parts of a workbook that say what its cells hold."""

    def __init__(self, book: ZipFile) -> None:
        self.book = book
        workbook = self._tree("xl/workbook.xml")
        setting = next(_all(workbook, "workbookPr"), None)
        self.epoch = EPOCHS[setting is not None and setting.get("date1904") in ("1", "true")]
        names = set(book.namelist())
        self.shared = self._shared() if "xl/sharedStrings.xml" in names else []
        self.dates = self._dates() if "xl/styles.xml" in names else frozenset()

    def sheets(self) -> list[tuple[str, str]]:
        """Names and places of the sheets, in their order."""
        links = {each.get("Id"): each.get("Target", "") for each in self._tree("xl/_rels/workbook.xml.rels")}
        found = []
        for sheet in _all(self._tree("xl/workbook.xml"), "sheet"):
            link = next(value for key, value in sheet.attrib.items() if key.endswith("}id"))
            target = links[link]
            found.append((sheet.get("name", ""), target.lstrip("/") if target.startswith("/") else f"xl/{target}"))
        return [(name, place) for name, place in found if "worksheets" in place]

    def rows(self, place: str) -> Iterator[list[str]]:
        """The rows of a sheet as text; a cell that is left out is empty."""
        with self.book.open(place) as file:
            for row in _elements(file, "row"):
                cells: list[str] = []
                for cell in row:
                    at = _column(cell.get("r", ""), len(cells))
                    cells += [""] * (at - len(cells)) + [self._value(cell)]
                yield cells

    def _value(self, cell: ElementTree.Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return "".join(each.text or "" for each in _all(cell, "t"))
        raw = next((child.text or "" for child in cell if child.tag.endswith("}v")), "")
        if kind == "s":
            return self.shared[int(raw)] if raw else ""
        if kind == "n" and raw:
            return self._number(float(raw), int(cell.get("s", "0")) in self.dates)
        return "" if kind == "e" else raw

    def _number(self, value: float, date: bool) -> str:
        if not date:
            return f"{value:.15g}" if abs(value) < 1e15 else f"{value:.0f}"  # stored with more digits than were typed
        moment = self.epoch + timedelta(seconds=round(value * 86400))
        return f"{moment:%Y-%m-%d}" if value == int(value) else f"{moment:%Y-%m-%d %H:%M:%S}"

    def _shared(self) -> list[str]:
        with self.book.open("xl/sharedStrings.xml") as file:
            return ["".join(part.text or "" for part in _all(each, "t")) for each in _elements(file, "si")]

    def _dates(self) -> frozenset[int]:
        """Which cell styles show a date."""
        styles = self._tree("xl/styles.xml")
        own = {each.get("numFmtId"): each.get("formatCode", "") for each in _all(styles, "numFmt")}
        formats = next(_all(styles, "cellXfs"), ())
        return frozenset(at for at, style in enumerate(formats) if _is_date(style.get("numFmtId", "0"), own))

    def _tree(self, place: str) -> ElementTree.Element:
        return ElementTree.fromstring(self.book.read(place))


def _is_date(number: str, own: dict[str | None, str]) -> bool:
    if number not in own:
        return int(number) in DATE_FORMATS
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]|\\.|general', "", own[number].lower())
    return bool(re.search(r"[ymdhs]", plain))


def _all(tree: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return (each for each in tree.iter() if each.tag.endswith(f"}}{tag}"))


def _elements(file: IO[bytes], tag: str) -> Iterator[ElementTree.Element]:
    """Elements one by one, each forgotten once used: a sheet may hold a million rows."""
    parents: list[ElementTree.Element] = []
    for event, element in ElementTree.iterparse(file, ("start", "end")):
        if event == "start":
            parents.append(element)
            continue
        parents.pop()
        if element.tag.endswith(f"}}{tag}"):
            yield element
            element.clear()
            if parents:
                parents[-1].clear()


def _column(reference: str, following: int) -> int:
    """Place of a cell such as 'AB12' in its row, from 0; without a reference it follows the one before."""
    letters = reference.rstrip("0123456789")
    at = 0
    for letter in letters:
        at = 26 * at + ord(letter) - 64
    return at - 1 if letters else following
