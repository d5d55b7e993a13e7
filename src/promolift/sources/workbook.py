"""An Excel workbook in, its rows as one CSV file out. Sheets with the same columns are one table, in their order."""

from pathlib import Path
from uuid import uuid4

import fastexcel
import polars as pl

from promolift.errors import InputError

ENDINGS = (".xlsx", ".xlsm")


def as_csv(path: Path, work: Path) -> Path:
    """A CSV copy in `work`. Raises InputError for no workbook, no rows, or sheets that are different tables."""
    target = work / f"{uuid4().hex}.csv"
    try:
        book = fastexcel.read_excel(path)
        sheets = {name: _rows(book, name) for name in book.sheet_names}
    except fastexcel.FastExcelError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable as an Excel workbook ({reason}); save the sheet as CSV") from None
    filled = {name: rows for name, rows in sheets.items() if rows.height}
    if not filled:
        raise InputError(f"{path}: no sheet has rows; export it again")
    header = next(iter(filled.values())).row(0)
    for name, rows in filled.items():
        if rows.row(0) != header:
            raise InputError(
                f"{path}: sheet {name!r} has other columns than the first one; save each sheet that is meant as CSV"
            )
    whole = pl.concat(
        [
            pl.DataFrame([header], schema=next(iter(filled.values())).schema, orient="row"),
            *(r[1:] for r in filled.values()),
        ]
    )
    whole.write_csv(target, include_header=False)
    return target


def _rows(book: fastexcel.ExcelReader, name: str) -> pl.DataFrame:
    """The rows of a sheet as text, the header among them; empty ones left out."""
    rows = book.load_sheet(name, header_row=None, dtypes="string").to_polars()
    days = pl.all().str.strip_suffix(" 00:00:00")  # a day is a time of midnight in Excel
    return rows.filter(pl.any_horizontal(pl.all().is_not_null())).select(days) if rows.width else rows
