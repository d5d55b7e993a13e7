"""150 files with a drawn fault: none ends in a traceback, loses a row in silence or changes a value in silence.

A file of 120 order lines, each with an order of its own, is damaged. `init` refuses it with a code, or reads it: then
every line is accepted or set aside, those that the fault left alone are accepted as they were written, and one that it
touched has the value that Python reads there, is flagged as repaired, or is set aside.
"""
# ruff: noqa: E501  # a fault a line

import csv
import gzip
import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl
import pytest

from promolift.foundation.errors import PromoError
from promolift.foundation.files.table_files import open_file
from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init

NAMES = ["order_id", "customer_id", "ordered_at", "sku", "product", "quantity", "unit_price"]
CASES, IN_CORE = 150, 10  # every tenth is in the core


class Line(NamedTuple):
    """One order line, as it is written."""

    order: str
    customer: str
    at: str
    sku: str
    product: str
    quantity: str
    price: str


class Damaged(NamedTuple):
    """A file with a fault: its name and bytes, the lines in it (None: not known), the orders that the fault touched."""

    name: str
    data: bytes
    lines: int | None = 120
    touched: frozenset[str] = frozenset()


def draw_lines(draw: random.Random) -> list[Line]:
    start = datetime(2025, 1, 1, 9)
    goods = ["Café crème", "Tea, green", "Mug 'M'", "Teapot", "Filter no. 4"]
    return [
        Line(f"{70_000 + n}", f"C{draw.randrange(30):03d}", str(start + timedelta(hours=7 * n)), f"P{n % 5:02d}",
             goods[n % 5], str(draw.choice([1, 1, 2, 3])), f"{3.5 + n % 5 * 2.25:.2f}")
        for n in range(120)
    ]  # fmt: skip


def table(lines: list[Line], delimiter: str = ",", end: str = "\n", names: list[str] = NAMES) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end)
    writer.writerows([names, *lines])
    return out.getvalue()


def orders(lines: list[Line]) -> frozenset[str]:
    return frozenset(line.order for line in lines)


def with_cell(draw: random.Random, lines: list[Line], field: str, values: list[str], rows: int = 3) -> Damaged:
    """Some cells of a column hold something else."""
    changed, touched = [*lines], set[str]()
    for at in draw.sample(range(len(lines)), rows):
        changed[at] = changed[at]._replace(**{field: draw.choice(values)})
        touched |= {lines[at].order, changed[at].order}
    return Damaged("t.csv", table(changed).encode(), 120, frozenset(touched))


def with_line(draw: random.Random, lines: list[Line], change: Callable[[str], str]) -> Damaged:
    """One physical line is written in another way."""
    at, text = draw.randrange(5, 115), table(lines).splitlines(keepends=True)
    text[at + 1] = change(text[at + 1].rstrip("\n")) + "\n"
    return Damaged("t.csv", "".join(text).encode(), None, frozenset({lines[at].order}))


def cut(draw: random.Random, lines: list[Line], data: bytes, name: str) -> Damaged:
    """The file ends early: what stands behind the cut is not in it."""
    return Damaged(
        name, data[: draw.randrange(len(data) // 4, len(data))], None, frozenset(line.order for line in lines)
    )


def jsonl(lines: list[Line]) -> str:
    return "".join(json.dumps(dict(zip(NAMES, line, strict=True))) + "\n" for line in lines)


def parquet(lines: list[Line]) -> bytes:
    out = io.BytesIO()
    pl.DataFrame([line._asdict() for line in lines]).rename(dict(zip(Line._fields, NAMES, strict=True))).write_parquet(
        out
    )
    return out.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return out.getvalue()


NUMBERS = ["1e308", "99999999999999999999", "-5", "1e5", "NaN", "inf", "-", "#N/A", "#DIV/0!", "=1+1", "=SUM(A1:A9)",
           "free", "1.2.3", "12,50", "1 234.50", "--3", "0x1F", "１２", "1_000", "3e", "2 for 5.00", "10/2", "12€50", "9.50 (19% VAT)", "", "None", "5%", "$"]  # fmt: skip
FAULTS_OF_A_FILE = 7
TIMES = ["2025-02-30 10:00:00", "0000-00-00", "9999-12-31 00:00:00", "yesterday", "", "NaN", "1/1/25", "=NOW()",
         "-1", "2025-13-01 00:00:00", "2025-01-01 25:00:00", "45658.5"]  # fmt: skip
BINARY = [
    b"\x89PNG\r\n\x1a\n",
    b"%PDF-1.7\n",
    b"Rar!\x1a\x07",
    b"7z\xbc\xaf\x27\x1c",
    b"\x7fELF",
    b"MZ\x90\x00",
    b"GIF89a",
]
PAGE = "<html><body><table><tr><td>order_id</td><td>price</td></tr><tr><td>1</td><td>2</td></tr></table></body></html>"

Fault = Callable[[random.Random, list[Line]], Damaged]
FAULTS: dict[str, Fault] = {
    "a file cut off": lambda d, r: cut(d, r, table(r).encode(), "t.csv"),
    "gzip cut off": lambda d, r: cut(d, r, gzip.compress(table(r).encode(), mtime=0), "t.csv.gz"),
    "a zip cut off": lambda d, r: cut(d, r, archive({"t.csv": table(r).encode()}), "t.zip"),
    "Parquet cut off": lambda d, r: cut(d, r, parquet(r), "t.parquet"),
    "JSON lines cut off": lambda d, r: cut(d, r, jsonl(r).encode(), "t.jsonl"),
    "another encoding": lambda d, r: Damaged("t.csv", table(r).encode(d.choice(["cp1252", "utf-16", "utf-8-sig", "cp1250"]))),
    "UTF-16 without a mark": lambda d, r: Damaged("t.csv", table(r).encode(d.choice(["utf-16-le", "utf-16-be"]))),
    "two marks": lambda d, r: Damaged("t.csv", b"\xef\xbb\xbf\xef\xbb\xbf" + table(r).encode()),
    "a mark inside": lambda d, r: with_cell(d, r, "product", ["\ufeffTea", "Tea\ufeff"]),
    "a stray quote": lambda d, r: with_line(d, r, lambda line: line.replace(",", d.choice([',"', '",', '"",']), 1)),
    "a quote never closed": lambda d, r: with_line(d, r, lambda line: line[:20] + '"' + line[20:]),
    "a quote at the end": lambda d, r: with_line(d, r, lambda line: line + '"'),
    "another separator in a line": lambda d, r: with_line(d, r, lambda line: line.replace(",", d.choice([";", "\t", "|"]))),
    "a column too many": lambda d, r: with_line(d, r, lambda line: line + ",x"),
    "a column too few": lambda d, r: with_line(d, r, lambda line: line.rpartition(",")[0]),
    "an empty line": lambda d, r: with_line(d, r, lambda line: "\n" + line),
    "a line of spaces": lambda d, r: with_line(d, r, lambda line: "   \n" + line),
    "the names again": lambda d, r: with_line(d, r, lambda line: ",".join(NAMES) + "\n" + line),
    "a total below": lambda d, r: Damaged("t.csv", (table(r) + "Total,,,,,240,1999.00\n").encode(), 121, frozenset({"Total"})),
    "another price": lambda d, r: with_cell(d, r, "price", NUMBERS),
    "another quantity": lambda d, r: with_cell(d, r, "quantity", NUMBERS),
    "another time": lambda d, r: with_cell(d, r, "at", TIMES),
    "another customer": lambda d, r: with_cell(d, r, "customer", ["", "NULL", "nan", "0", "=A1", "\x01", "C\u200b001", "x" * 500]),
    "another product": lambda d, r: with_cell(d, r, "sku", ["", "NaN", "=HYPERLINK(1)", "\u202eP01", "P\t01", "P\n01", "🍵"]),
    "another order": lambda d, r: with_cell(d, r, "order", ["", "NaN", "-1", "1e400", "7e4"]),
    "prices as words": lambda d, r: with_cell(d, r, "price", ["ask", "n/a"], rows=90),
    "names twice": lambda d, r: Damaged("t.csv", table(r, names=[*NAMES[:4], "quantity", *NAMES[5:]]).encode()),
    "names with spaces": lambda d, r: Damaged("t.csv", table(r, names=[f" {name}\u200b " for name in NAMES]).encode()),
    "no names": lambda d, r: Damaged("t.csv", table(r).partition("\n")[2].encode(), None),
    "names alone": lambda d, r: Damaged("t.csv", (",".join(NAMES) + "\n").encode(), 0, orders(r)),
    "nothing": lambda d, r: Damaged("t.csv", d.choice([b"", b"\n", b"   ", b"\xef\xbb\xbf", b"\x00"]), None, orders(r)),
    "a web page": lambda d, r: Damaged(d.choice(["t.xls", "t.csv", "t.xlsx"]), PAGE.encode(), None, orders(r)),
    "binary": lambda d, r: Damaged(d.choice(["t.csv", "t.xls", "t.xlsx", "t.zip", "t.parquet", "t.jsonl"]), d.choice(BINARY) + d.randbytes(400), None, orders(r)),
    "zeros": lambda d, r: Damaged("t.csv", table(r).encode().replace(b"Teapot", b"Tea\0pot", d.randrange(1, 9)), 120, orders(r)),
    "other line ends": lambda d, r: Damaged("t.csv", table(r, end=d.choice(["\r", "\r\n"])).encode()),
    "mixed line ends": lambda d, r: Damaged("t.csv", mixed_ends(d, table(r)).encode()),
    "another delimiter": lambda d, r: Damaged("t.csv", table(r, delimiter=d.choice(";\t|")).encode()),
    "a long cell": lambda d, r: with_cell(d, r, "product", ["x" * d.choice([10_000, 2_500_000])], rows=1),
    "a line in a cell": lambda d, r: with_cell(d, r, "product", ["Tea\nfor two", "Tea\r\nfor two", 'Tea "for" two']),
    "a damaged byte": lambda d, r: with_bytes(d, r),
    "JSON of mixed kinds": lambda d, r: mixed_json(d, r),
    "currencies mixed": lambda d, r: with_cell(d, r, "price", ["€9.50", "£9.50"], rows=40),
    "a comma for a point": lambda d, r: with_cell(d, r, "price", ["9,50", "1.234,50"], rows=d.choice([2, 60])),
}  # fmt: skip


def mixed_ends(draw: random.Random, text: str) -> str:
    return "".join(line + draw.choice(["\n", "\r\n", "\r"]) for line in text.splitlines())


def with_bytes(draw: random.Random, lines: list[Line]) -> Damaged:
    """Some bytes of a text in UTF-8 are no letters."""
    parts, touched = table(lines).encode().split(b"\n"), set[str]()
    for at in draw.sample(range(120), 4):
        place = parts[at + 1].rindex(b",")
        parts[at + 1] = (
            parts[at + 1][: place - 3] + draw.choice([b"\xff", b"\xc3", b"\xe7\xbb"]) + parts[at + 1][place - 3 :]
        )
        touched.add(lines[at].order)
    return Damaged("t.csv", b"\n".join(parts), 120, frozenset(touched))


def mixed_json(draw: random.Random, lines: list[Line]) -> Damaged:
    """Some records have a value of another kind, or lack a key."""
    records = [dict[str, object](zip(NAMES, line, strict=True)) for line in lines]
    touched = set[str]()
    for at in draw.sample(range(120), 5):
        records[at][draw.choice(NAMES[1:])] = draw.choice([None, True, 1e30, [1], {"a": 1}, "x"])
        touched.add(lines[at].order)
    return Damaged("t.jsonl", "".join(json.dumps(each) + "\n" for each in records).encode(), 120, frozenset(touched))


class Outcome(NamedTuple):
    """What came of a file: the code of the refusal, or the accepted rows, how many are aside, and the mapping's notes."""

    code: str
    accepted: pl.DataFrame
    aside: int
    notes: str = ""


def read(folder: Path, damaged: Damaged) -> Outcome:
    """What `init` and the cleaning make of a file; any other error than one with a code goes up."""
    path = folder / damaged.name
    path.write_bytes(damaged.data)
    try:
        init({"events": path}, folder / "promolift.toml", True, answers=SetupAnswers(currency="EUR"))
        config = load_config(folder / "promolift.toml")
        assert config.data.events is not None
        table = open_file(duckdb.connect(), path, folder / "copies")
        cleaned = clean_events(table.rows, config.data.events.mapping, config.data.rules)
        counts = cleaned.counts()
        rows: pl.DataFrame = cleaned.judged.filter("_reason is null").pl()
        aside = sum(counts.rejected.values()) + table.unreadable().height
        return Outcome("", rows, aside, "\n".join(config.data.events.mapping.notes))
    except PromoError as error:
        return Outcome(error.code, pl.DataFrame(), 0)


def expected(line: Line) -> dict[str, object]:
    at = datetime.fromisoformat(line.at).replace(tzinfo=UTC)
    return {
        "customer_id": line.customer,
        "ts_ms": round(at.timestamp() * 1000),
        "product_id": line.sku,
        "quantity": float(line.quantity),
        "revenue_cents": round(float(line.price) * float(line.quantity) * 100),
    }


def check(folder: Path, case: int) -> str:
    draw = random.Random(case)
    lines = draw_lines(draw)
    damaged = [*FAULTS.values()][case % len(FAULTS)](draw, lines)
    found = read(folder, damaged)
    if found.code:
        return found.code
    known = {str(row["order_id"]): row for row in found.accepted.iter_rows(named=True)}
    assert damaged.lines is None or found.accepted.height + found.aside == damaged.lines, "a line is lost in silence"
    untouched = [line for line in lines if line.order not in damaged.touched]
    lost = [line for line in untouched if line.order not in known]
    assert len(lost) <= found.aside, f"lost in silence: {lost[:2]}"
    if "NOT SURE: 'unit_price' is called as amounts are" in found.notes:
        return "named"
    changed = [
        (line, row)
        for line in untouched
        if (row := known.get(line.order)) and any(row[name] != value for name, value in expected(line).items())
    ]
    assert not changed, f"changed in silence: {changed[0]}"
    return "read"


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case % IN_CORE > 0)) for case in range(CASES)]
)
def test_no_file_ends_in_a_traceback_or_loses_or_changes_a_line_in_silence(tmp_path: Path, case: int):
    check(tmp_path, case)


def python_number(text: str) -> float | None:
    """The number of a text, where a comma before one or two digits is a decimal one."""
    try:
        return float(re.sub(r",(?=\d{1,2}$)", ".", text.replace(" ", "").removesuffix("%")))
    except ValueError:
        return None


@pytest.mark.parametrize("field", ["price", "quantity"])
@pytest.mark.parametrize("first", range(0, len(NUMBERS), FAULTS_OF_A_FILE))
def test_a_number_that_is_none_is_set_aside_or_counted_as_repaired(tmp_path: Path, field: str, first: int):
    lines = draw_lines(random.Random(1))
    texts = NUMBERS[first : first + FAULTS_OF_A_FILE]
    for at, text in enumerate(texts, 50):
        lines[at] = lines[at]._replace(**{field: text})
    found = read(tmp_path, Damaged("t.csv", table(lines).encode()))
    assert not found.code
    rows = {row["order_id"]: row for row in found.accepted.iter_rows(named=True)}
    assert found.aside == sum(lines[at].order not in rows for at in range(50, 50 + len(texts)))
    for at, text in enumerate(texts, 50):
        row = rows.get(lines[at].order)
        if row is None:
            continue
        assert python_number(text) is not None or row["_flags"], f"changed in silence: {row}"
        price, units = python_number(lines[at].price), python_number(lines[at].quantity)
        as_written = price is not None and units is not None and row["revenue_cents"] == round(price * units * 100)
        assert as_written or row["_flags"], f"changed in silence: {row}"
