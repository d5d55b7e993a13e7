"""Read the sheets of a workbook as text. A path such as `orders.xlsx#Lines` names one sheet of it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

if TYPE_CHECKING:
    from fastexcel import ExcelReader

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".xlsb", ".ods")
SHEET_PATH = re.compile(r"(.*?\.(?:xlsx|xlsm|xls|xlsb|ods))#(.+)", re.IGNORECASE | re.DOTALL)
SHEETS_NAMED, COLUMNS_NAMED = 12, 6  # in an error or a question


class SheetPath(NamedTuple):
    """A file, and the sheet of it that is meant; "" for all."""

    file: Path
    sheet: str


class Sheet(NamedTuple):
    """A sheet of a workbook: its name, the cells of its first row and how many rows lie below."""

    name: str
    columns: tuple[str, ...]
    rows: int

    def __str__(self) -> str:
        more = ", ..." if len(self.columns) > COLUMNS_NAMED else ""
        return f"{self.name} ({self.rows:,} x {', '.join(self.columns[:COLUMNS_NAMED])}{more})"


def split_sheet(path: Path) -> SheetPath:
    """Return the file and the sheet that a path names; a file that is called so is one."""
    found = SHEET_PATH.fullmatch(str(path))
    return SheetPath(Path(found[1]), found[2]) if found and not path.exists() else SheetPath(path, "")


def list_sheets(path: Path) -> list[Sheet]:
    """Return the sheets of a workbook that have rows. Raises InputError for a file that is no workbook."""
    return [
        Sheet(name, tuple(cell or "" for cell in rows.row(0)), rows.height - 1) for name, rows in _read_sheets(path)
    ]


def workbook_as_csv(path: Path, work: Path, sheet: str = "") -> Path:
    """Write a workbook, or one sheet of it, to a CSV copy in `work`. Sheets with the same columns become one table, in
    their order.

    Raises InputError for no workbook, no rows, no such sheet, or sheets that are different tables.
    """
    filled = _read_sheets(path)
    if not filled:
        raise InputError("table_empty", gettext_lazy("{path}: no sheet has rows; export it again", path=path))
    if sheet:
        named = [each for each in filled if each.name == sheet]
        if not named:
            there = ", ".join(each.name for each in filled[:SHEETS_NAMED])
            raise InputError(
                "sheet_missing",
                gettext_lazy(
                    "{path}: no sheet {sheet} with rows; it has {there}", path=path, sheet=repr(sheet), there=there
                ),
            )
        filled = named
    header, first = filled[0].cells.row(0), filled[0].cells
    if any(cells.row(0) != header for _, cells in filled):
        offered = "; ".join(str(each) for each in list_sheets(path)[:SHEETS_NAMED])
        raise InputError(
            "sheets_differ",
            gettext_lazy(
                "{path}: its sheets are different tables: {offered}; name the one that is meant, such as "
                "{name}#{filled_name}",
                path=path,
                offered=offered,
                name=path.name,
                filled_name=filled[0].name,
            ),
        )
    target = work / f"{uuid4().hex}.csv"
    top = pl.DataFrame([header], schema=first.schema, orient="row")
    pl.concat([top, *(cells[1:] for _, cells in filled)]).write_csv(target, include_header=False)
    return target


class _SheetCells(NamedTuple):
    """A sheet's name and its cells as text, the header among them."""

    name: str
    cells: pl.DataFrame


def _read_sheets(path: Path) -> list[_SheetCells]:
    import fastexcel  # loads only where it is used

    try:
        book = fastexcel.read_excel(path)
        sheets = [_SheetCells(name, _cells(book, name)) for name in book.sheet_names]
    except fastexcel.FastExcelError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "file_unreadable",
            gettext_lazy(
                "{path}: not readable as an Excel workbook ({reason}); save the sheet as CSV", path=path, reason=reason
            ),
        ) from None
    return [sheet for sheet in sheets if sheet.cells.height]


def _cells(book: "ExcelReader", name: str) -> pl.DataFrame:
    """The rows of a sheet as text; empty ones left out."""
    rows = book.load_sheet(name, header_row=None, dtypes="string").to_polars()
    days = pl.all().str.strip_suffix(" 00:00:00")  # a day is a time of midnight in Excel
    return rows.filter(pl.any_horizontal(pl.all().is_not_null())).select(days) if rows.width else rows
