"""Find what a reader of released HTML pages can work out about customers in small cells.

Three attacks are tried: a small number of customers that is printed; one that equals a printed total less the other
cells; and the difference between two pages about almost the same customers.
"""

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from typing import Literal, NamedTuple

CUSTOMER_COLUMN_PATTERN = re.compile(
    r"customers|households|with an offer|messages|客户|人数|有优惠|消息", re.IGNORECASE
)
TOTAL_PATTERN = re.compile(r"n = (\d[\d,]{0,20}) ?(?:customers|households|位客户|名客户)", re.IGNORECASE)
INTEGER_PATTERN = re.compile(r"\d[\d,]{0,20}")


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
    totals: dict[str, int]


class ReconstructedCell(NamedTuple):
    """What a reader knows of a few customers: where, how many they are, by which way, and what else is said of them."""

    where: str
    customers: int
    way: Literal["printed", "left over", "difference"]
    figures: dict[str, str]


class _Tables(HTMLParser):
    """The tables of a page: the heading before each, what is said of n, and its rows of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[tuple[str, str, list[list[str]]]] = []  # heading, n, rows
        self._heading, self._n, self._into = "", "", ""

    def handle_starttag(self, tag: str, attrs: Sequence[Sequence[str | None]]) -> None:
        if tag == "h3":
            self._heading, self._n, self._into = "", "", "heading"
        elif tag == "span" and ("class", "n") in map(tuple, attrs):
            self._n, self._into = "", "n"
        elif tag == "table":
            self.tables.append((self._heading, self._n, []))
            self._into = ""
        elif tag == "tr" and self.tables:
            self.tables[-1][2].append([])
            self._into = ""
        elif tag in ("td", "th") and self.tables and self.tables[-1][2]:
            self.tables[-1][2][-1].append("")
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
            self.tables[-1][2][-1][-1] += data


def parse_page(html: str) -> PrintedPage:
    """All numbers of customers in the tables of a page."""
    reader = _Tables()
    reader.feed(html)
    cells, wholes = list[Cell](), dict[str, int]()
    for heading, n, rows in reader.tables:
        if not rows:
            continue
        heads, table = rows[0], heading.strip()
        if whole := TOTAL_PATTERN.search(n.replace("\N{NO-BREAK SPACE}", " ")):
            wholes[table] = int(whole[1].replace(",", ""))
        for row in rows[1:]:
            named = dict(zip(heads[1:], row[1:], strict=False))
            for column, text in named.items():
                if CUSTOMER_COLUMN_PATTERN.search(column) and INTEGER_PATTERN.fullmatch(text.strip()):
                    rest = {name: value for name, value in named.items() if name != column}
                    cells.append(Cell(table, row[0].strip(), column, int(text.replace(",", "")), rest))
    return PrintedPage(tuple(cells), wholes)


def reconstruct_cells(page: PrintedPage, least: int) -> Iterator[ReconstructedCell]:
    """Cells of fewer than `least` customers, printed or left over by the others of a table whose whole is printed."""
    for cell in page.cells:
        if 0 < cell.customers < least:
            yield ReconstructedCell(f"{cell.table}: {cell.row}", cell.customers, "printed", cell.figures)
    for table, whole in page.totals.items():
        mine = [cell for cell in page.cells if cell.table == table]
        rest = whole - sum(cell.customers for cell in mine)
        if mine and 0 < rest < least:
            yield ReconstructedCell(f"{table}: not printed", rest, "left over", {})
        yield from (
            ReconstructedCell(f"{table}: not {cell.row}", whole - cell.customers, "left over", {})
            for cell in mine if rest and 0 < whole - cell.customers < least
        )  # fmt: skip


def compare_pages(before: PrintedPage, after: PrintedPage, least: int) -> Iterator[ReconstructedCell]:
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
            yield ReconstructedCell(
                f"{cell.table}: {cell.row}", abs(cell.customers - then.customers), "difference", both
            )


def reconstruct_pages(pages: Sequence[str], least: int) -> list[ReconstructedCell]:
    """All that can be worked out of pages, the older ones first; each is compared with the one before."""
    read = [parse_page(page) for page in pages]
    found = [each for page in read for each in reconstruct_cells(page, least)]
    return found + [each for before, after in pairwise(read) for each in compare_pages(before, after, least)]
