"""Pages that leave the shop, as HTML, in; what a reader can work out of customers who are few in their cell, out.

Three ways: a number of customers that is printed though it is small; one that is what others leave over of a whole that
is printed, too; and the difference of two pages of almost the same customers.
"""

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from typing import Literal, NamedTuple

PEOPLE = re.compile(r"customers|households|with an offer|messages|客户|人数|有优惠|消息", re.IGNORECASE)
WHOLE = re.compile(r"n = (\d[\d,]{0,20}) ?(?:customers|households|位客户|名客户)", re.IGNORECASE)
WHOLE_NUMBER = re.compile(r"\d[\d,]{0,20}")


class Cell(NamedTuple):
    """A printed number of customers, and the other figures of its row by their heading."""

    table: str
    row: str
    column: str
    customers: int
    figures: dict[str, str]


class PrintedPage(NamedTuple):
    """Cells of a page in order, and the customers of the whole where a table prints them."""

    cells: tuple[Cell, ...]
    wholes: dict[str, int]


class Rebuilt(NamedTuple):
    """What a reader knows of a few customers: where, how many they are, by which way, and what else is said of them."""

    where: str
    customers: int
    way: Literal["printed", "left over", "difference"]
    figures: dict[str, str]


class _Tables(HTMLParser):
    """The tables of a page: the heading before each, what is said of n, and its rows of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, list[list[str]]]] = []  # heading, n, rows
        self._heading, self._n, self._into = "", "", ""

    def handle_starttag(self, tag: str, attrs: Sequence[Sequence[str | None]]) -> None:
        if tag == "h3":
            self._heading, self._n, self._into = "", "", "heading"
        elif tag == "span" and ("class", "n") in map(tuple, attrs):
            self._n, self._into = "", "n"
        elif tag == "table":
            self.found.append((self._heading, self._n, []))
            self._into = ""
        elif tag == "tr" and self.found:
            self.found[-1][2].append([])
            self._into = ""
        elif tag in ("td", "th") and self.found and self.found[-1][2]:
            self.found[-1][2][-1].append("")
            self._into = "cell"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h3", "td", "th", "span"):
            self._into = "cell" if tag == "span" and self._into == "cell" else ""

    def handle_data(self, data: str) -> None:
        if self._into == "heading":
            self._heading += data
        elif self._into == "n":
            self._n += data
        elif self._into == "cell":
            self.found[-1][2][-1][-1] += data


def printed(html: str) -> PrintedPage:
    """All numbers of customers in the tables of a page."""
    reader = _Tables()
    reader.feed(html)
    cells, wholes = list[Cell](), dict[str, int]()
    for heading, n, rows in reader.found:
        if not rows:
            continue
        heads, table = rows[0], heading.strip()
        if whole := WHOLE.search(n.replace("\N{NO-BREAK SPACE}", " ")):
            wholes[table] = int(whole[1].replace(",", ""))
        for row in rows[1:]:
            named = dict(zip(heads[1:], row[1:], strict=False))
            for column, text in named.items():
                if PEOPLE.search(column) and WHOLE_NUMBER.fullmatch(text.strip()):
                    rest = {name: value for name, value in named.items() if name != column}
                    cells.append(Cell(table, row[0].strip(), column, int(text.replace(",", "")), rest))
    return PrintedPage(tuple(cells), wholes)


def rebuilt(page: PrintedPage, least: int) -> Iterator[Rebuilt]:
    """Cells of fewer than `least` customers, printed or left over by the others of a table whose whole is printed."""
    for cell in page.cells:
        if 0 < cell.customers < least:
            yield Rebuilt(f"{cell.table}: {cell.row}", cell.customers, "printed", cell.figures)
    for table, whole in page.wholes.items():
        mine = [cell for cell in page.cells if cell.table == table]
        rest = whole - sum(cell.customers for cell in mine)
        if mine and 0 < rest < least:
            yield Rebuilt(f"{table}: not printed", rest, "left over", {})
        yield from (
            Rebuilt(f"{table}: not {cell.row}", whole - cell.customers, "left over", {})
            for cell in mine if rest and 0 < whole - cell.customers < least
        )  # fmt: skip


def differences(before: PrintedPage, after: PrintedPage, least: int) -> Iterator[Rebuilt]:
    """Cells of both pages whose numbers differ by fewer than `least` customers, with what else is printed then and now.

    Two exact reports on almost the same customers always have some: who came or went between them.
    """
    old = {(cell.table, cell.row, cell.column): cell for cell in before.cells}
    for cell in after.cells:
        then = old.get((cell.table, cell.row, cell.column))
        if then is not None and 0 < abs(cell.customers - then.customers) < least:
            both = {
                name: f"{then.figures[name]} / {value}"
                for name, value in cell.figures.items() if then.figures.get(name, value) != value
            }  # fmt: skip
            yield Rebuilt(f"{cell.table}: {cell.row}", abs(cell.customers - then.customers), "difference", both)


def read_pages(pages: Sequence[str], least: int) -> list[Rebuilt]:
    """All that can be worked out of pages, the older ones first; each is compared with the one before."""
    read = [printed(page) for page in pages]
    found = [each for page in read for each in rebuilt(page, least)]
    return found + [each for before, after in pairwise(read) for each in differences(before, after, least)]
