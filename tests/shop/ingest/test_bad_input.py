"""Bad input: one line that says where, what and what to do, and code 2; or an exact account of every row."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from promolift.cli.application import main

GOOD = "user_id,event_time,event_type,product_id,price\nu1,2024-03-01 10:00:00,purchase,p1,9.99\n"
NAMES = "user_id,order_time,product_id,quantity,price"
LINES = [f"u{n % 7},2024-03-{1 + n % 28:02d} 1{n % 9}:05:00,p{n % 5},{1 + n % 3},{n % 9}.50" for n in range(30)]
Text = str | bytes


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert call(*arguments) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def init(folder: Path, text: Text, name: str = "e.csv") -> list[str]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return ["init", "--events", str(path), "--config", str(folder / "promolift.toml")]


def table(*lines: str, names: str = NAMES, end: str = "\n") -> str:
    return end.join([names, *lines]) + end


def edited(change: Callable[[list[str]], object], names: str = NAMES) -> str:
    """The good table with something done to a row."""
    lines = [*LINES]
    change(lines)
    return table(*lines, names=names)


def row(at: int, column: int, value: str) -> str:
    """The good table with another cell."""
    cells = LINES[at].split(",")
    cells[column] = value
    return edited(lambda lines: lines.__setitem__(at, ",".join(cells)))


def column(place: int, values: Callable[[int], str], names: str = NAMES) -> str:
    """The good table with another column."""
    rows = [line.split(",") for line in LINES]
    return table(*(",".join([*r[:place], values(n), *r[place + 1 :]]) for n, r in enumerate(rows)), names=names)


# What cannot be used: file name, content, code of the one line that says so, and what of the file it names

REFUSED: dict[str, tuple[str, Text, str, str]] = {
    "no bytes": ("e.csv", b"", "file_empty", ""),
    "blank lines alone": ("e.csv", "\n\n\n", "file_empty", ""),
    "spaces alone": ("e.csv", "   \n  \n", "file_empty", ""),
    "a header alone": ("e.csv", "user_id,event_time\n", "table_empty", ""),
    "a byte order mark alone": ("e.csv", b"\xef\xbb\xbf", "file_empty", ""),
    "no customer, no time": ("e.csv", "colour,size\nred,4\nblue,5\n", "column_unrecognized", "customer_id"),
    "no time": ("e.csv", "user_id,price\nu1,3\nu2,4\n", "column_unrecognized", "time"),
    "no customer": ("e.csv", "a,date\nx,2024-01-01\ny,2024-01-02\n", "column_unrecognized", "customer_id"),
    "an empty customer column": (
        "e.csv",
        "user_id,date,price\n,2024-01-01,3\n,2024-01-02,4\n",
        "column_unrecognized",
        "'user_id'",
    ),
    "an empty time column": ("e.csv", "user_id,date,price\nu1,,3\nu2,,4\n", "column_unrecognized", "'date'"),
    "times that are words": (
        "e.csv",
        "user_id,date,price\nu1,yesterday,3\nu2,today,4\n",
        "column_unrecognized",
        "time",
    ),
    "values where names should be": (
        "e.csv",
        "u1,2024-01-01,3.50\nu2,2024-01-02,4.50\n",
        "header_missing",
        "e.csv:user_id,item_id",
    ),
    "numbers where names should be": ("e.csv", "1,2,3\n4,5,6\n", "header_missing", "'1', '2', '3'"),
    "spaces between columns, no names": (
        "e.txt",
        " 00001 19970101  1   11.77\n 00002 19970112  1   12.00\n",
        "header_missing",
        "e.txt:",
    ),
    "a web page": ("e.csv", "<!DOCTYPE html><p>a,b", "web_page_received", ""),
    "a sign-in page": ("e.csv", "<html><body>Please sign in</body></html>", "web_page_received", ""),
    "a PDF": ("e.csv", b"%PDF-1.7 ...", "file_type_mismatch", "PDF"),
    "a zip archive": ("e.csv", b"PK\x03\x04rest", "file_type_mismatch", "zip"),
    "an old workbook": ("e.csv", b"\xd0\xcf\x11\xe0rest", "file_type_mismatch", "Excel"),
    "bzip2": ("e.csv", b"BZh91AY", "file_type_mismatch", "bzip2"),
    "xz": ("e.csv", b"\xfd7zXZ\x00", "file_type_mismatch", "xz"),
    "Parquet called CSV": ("e.csv", b"PAR1\x15\x04", "file_type_mismatch", ".parquet"),
    "bytes without meaning": ("e.csv", bytes(range(256)) * 4, "file_unreadable", "CSV"),
    "UTF-16 without its mark": ("e.csv", table(*LINES).encode("utf-16-le"), "file_unreadable", "CSV"),
    "gzip cut off": ("e.csv.gz", gzip.compress(table(*LINES * 200).encode(), mtime=0)[:-20], "file_incomplete", ""),
    "no gzip at all": ("e.csv.gz", table(*LINES), "file_incomplete", ""),
    "gzip of nothing": ("e.csv.gz", gzip.compress(b"", mtime=0), "file_empty", ""),
    "an ending nobody reads": ("e.docx", table(*LINES), "file_type_unsupported", ".docx"),
    "no ending": ("events", table(*LINES), "file_type_unsupported", ""),
    "no Parquet": ("e.parquet", table(*LINES), "file_unreadable", "Parquet"),
    "Parquet cut off": ("e.parquet", b"PAR1" + b"\0" * 60, "file_unreadable", "Parquet"),
    "no workbook": ("e.xlsx", table(*LINES), "file_unreadable", "Excel"),
    "one JSON value": ("e.json", '{"users": {"a": [1, 2]}}', "json_not_records", ""),
    "JSON that breaks off": (
        "e.jsonl",
        '{"user_id": "a", "date": "2024-01-01"}\n{"user_id": ',
        "file_unreadable",
        "JSON",
    ),
    "JSON without records": ("e.jsonl", "[1, 2]\n[3, 4]\n", "json_not_records", ""),
    "nothing in JSON": ("e.json", "[]", "json_not_records", ""),
    "one word a line": ("e.csv", "hello\nworld\nagain\n", "delimiter_missing", ""),
    "prose": (
        "e.csv",
        "Dear all,\n\nplease find the export attached.\nKind regards\n",
        "column_unrecognized",
        "customer_id",
    ),
    "two currencies": (
        "e.csv",
        column(3, lambda n: ("EUR", "USD")[n % 2], NAMES.replace("quantity", "currency")),
        "currency_mixed",
        "--currency EUR",
    ),
    "three currencies": (
        "e.csv",
        column(3, lambda n: ("EUR", "USD", "GBP")[n % 3], NAMES.replace("quantity", "currency")),
        "currency_mixed",
        "GBP",
    ),
    "an unclosed quote in the names": (
        "e.csv",
        '"user_id,date,price\nu1,2024-01-01,3\n',
        "quote_unclosed",
        '"user_id,date,price',
    ),
    "a dump of SQL": ("e.sql", "insert into t values (1);", "file_type_unsupported", ".sql"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_named_with_its_remedy(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    name, text, code, fact = REFUSED[case]
    said = fails(capsys, *init(tmp_path, text, name))
    assert said.endswith(f" [{code}]\n")
    assert fact in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1, said
    assert name in said or "events" in said
    assert "/tmp/tmp" not in said, "a temporary path"
    assert not (tmp_path / "promolift.toml").exists()


# What can be read in part: how many rows stand in the file; all are taken or set aside, with the reason

BIG = "x" * 300_000
READ: dict[str, tuple[Text, int]] = {
    "a row too long": (edited(lambda x: x.__setitem__(9, x[9] + ",more")), 30),
    "a row too short": (edited(lambda x: x.__setitem__(9, "u1,2024-03-01")), 30),
    "a row of one word": (edited(lambda x: x.__setitem__(9, "total")), 30),
    "a quote opened": (row(9, 2, '"p1'), 30),
    "a quote closed": (row(9, 2, 'p1"'), 30),
    "a quote opened and another far below closed": (
        row(9, 2, '"p1').replace(LINES[25], LINES[25].replace(",p0", ',p0"')),
        30,
    ),
    "a quote in the first row": (row(0, 0, '"u1'), 30),
    "a quote in the last row": (row(29, 4, '"9.50'), 30),
    "a quote inside a word": (row(9, 2, 'p"1'), 30),
    "two quotes too many": (row(9, 2, '""p1"'), 30),
    "a backslash before a quote": (row(9, 2, '"p\\"1"'), 30),
    "inches": (row(9, 2, '5" pipe'), 30),
    "an apostrophe": (row(9, 2, "O'Neil"), 30),
    "apostrophes everywhere": (column(2, lambda n: f"d'{n % 5}"), 30),
    "a line end inside a cell": (row(9, 2, '"p\n1"'), 30),
    "a damaged byte": (table(*LINES).encode().replace(b"p3", b"p\xff", 1), 30),
    "a zero in a cell": (row(9, 2, "\\0"), 30),
    "Windows line ends": (table(*LINES, end="\r\n"), 30),
    "old Mac line ends": (table(*LINES, end="\r"), 30),
    "line ends of two kinds": (table(*LINES).replace("\n", "\r\n", 12), 30),
    "no last line end": (table(*LINES)[:-1], 30),
    "a blank line": (edited(lambda x: x.insert(9, "")), 30),
    "a line of commas": (edited(lambda x: x.insert(9, ",,,,")), 31),
    "the names again": (edited(lambda x: x.insert(9, NAMES)), 31),
    "a total below": (edited(lambda x: x.append("Total,,,,120.50")), 31),
    "a hint for Excel": ("sep=,\n" + table(*LINES), 30),
    "a byte order mark": (b"\xef\xbb\xbf" + table(*LINES).encode(), 30),
    "UTF-16": (table(*LINES).encode("utf-16"), 30),
    "Latin-1": (column(2, lambda n: f"é{n % 5}").encode("latin-1"), 30),
    "two encodings": (column(2, lambda n: f"é{n % 5}").encode("latin-1").replace(b"\xe91", "é1".encode()), 30),
    "Chinese in two encodings": (
        column(2, lambda n: f"客户{n % 5}").encode("gbk").replace("客户1".encode("gbk"), "客户1".encode()),
        30,
    ),
    "semicolons": (table(*LINES).replace(",", ";"), 30),
    "tabs": (table(*LINES).replace(",", "\t"), 30),
    "bars": (table(*LINES).replace(",", "|"), 30),
    "a delimiter at each end": (NAMES + "\n" + "".join(f"{line},\n" for line in LINES), 30),
    "February 30th": (row(9, 1, "2024-02-30 10:00:00"), 30),
    "month 13": (row(9, 1, "2024-13-01 10:00:00"), 30),
    "no time in a row": (row(9, 1, ""), 30),
    "a word for a time": (row(9, 1, "soon"), 30),
    "the year 1970": (row(9, 1, "1970-01-01 00:00:00"), 30),
    "the year 9999": (row(9, 1, "9999-12-31 00:00:00"), 30),
    "dates of two forms": (row(9, 1, "01/03/2024 10:00"), 30),
    "days that may be months": (column(1, lambda n: f"0{1 + n % 9}/0{1 + n % 5}/2024"), 30),
    "days of Excel": (column(1, lambda n: str(45_300 + n), NAMES.replace("order_time", "order_date")), 30),
    "clocks of twelve hours": (column(1, lambda n: f"2024-03-{1 + n % 28:02d} 0{1 + n % 9}:00:00 PM"), 30),
    "seconds since 1970": (column(1, lambda n: str(1_709_287_200 + 999 * n)), 30),
    "no customer in a row": (row(9, 0, ""), 30),
    "NULL for a customer": (row(9, 0, "NULL"), 30),
    "no price in a row": (row(9, 4, ""), 30),
    "a word for a price": (row(9, 4, "free"), 30),
    "a price below zero": (row(9, 4, "-9.50"), 30),
    "a price without end": (row(9, 4, "inf"), 30),
    "a price that is no number": (row(9, 4, "nan"), 30),
    "a price too large": (row(9, 4, "1e300"), 30),
    "a price in brackets": (row(9, 4, "(9.50)"), 30),
    "prices with a sign": (column(4, lambda n: f"${n}.50"), 30),
    "prices with thousands": (column(4, lambda n: f'"1,{n:03d}.50"'), 30),
    "prices with a comma": (column(4, lambda n: f'"{n},50"'), 30),
    "a word for a quantity": (row(9, 3, "two"), 30),
    "a quantity of nothing": (row(9, 3, "0"), 30),
    "a quantity below zero": (row(9, 3, "-1"), 30),
    "a quantity too large": (row(9, 3, "1e9"), 30),
    "weights": (column(3, lambda n: f'"0,{1 + n % 9} kg"'), 30),
    "rows twice": (table(*LINES, *LINES), 60),
    "a cell of 300,000 letters": (row(9, 2, BIG), 30),
    "a spreadsheet's formula": (row(9, 2, "=1+1"), 30),
    "a statement of SQL": (row(9, 2, "'); drop table x --"), 30),
    "names that stand twice": (table(*(f"{line},9" for line in LINES), names=NAMES + ",price"), 30),
    "names with spaces and signs": (
        table(*LINES, names='" User ID ",Order-Time,"Product ""Id""",Quantity,"Price ($)"'),
        30,
    ),
    "a column without a name": (table(*(f"{n},{line}" for n, line in enumerate(LINES)), names="," + NAMES), 30),
    "one row": (table(LINES[0]), 1),
    "an event id that is a concert's": (
        table(*(f"{line},concert{n % 3}" for n, line in enumerate(LINES)), names=NAMES + ",event_id"),
        30,
    ),
}


@pytest.mark.parametrize(  # every third in the core
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (at % 3 > 0)) for at, case in enumerate(READ)]
)
def test_every_row_is_taken_or_set_aside_with_its_reason(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text, rows = READ[case]
    assert call(*init(tmp_path, text)) == 0, capsys.readouterr().err
    place = ["--config", str(tmp_path / "promolift.toml"), "--work", str(tmp_path / "w")]
    capsys.readouterr()
    assert call("health", *place, "--json") == 0, capsys.readouterr().err
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    events = json.loads(told.out)["tables"][0]
    assert events["accepted"] + sum(events["rejected"].values()) == events["read"] == rows
    aside = pl.read_parquet(tmp_path / "w" / "tables" / "rejected" / "*.parquet").filter(source="e.csv")
    assert aside.height >= sum(events["rejected"].values())
    assert events["accepted"] >= 0.9 * rows or case == "rows twice"


def test_there_are_120_of_them():
    assert len(REFUSED) + len(READ) + len(SETTINGS) + len(ASKED) >= 120


def test_names_that_stand_twice_and_encodings_that_are_two_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for case, words in (
        ("names that stand twice", "the column 'price' stands twice; the second is called 'price_2'"),
        ("two encodings", "6 lines are UTF-8, the rest cp1252; the first is line 3"),
        ("Chinese in two encodings", "gb18030"),
    ):
        assert call(*init(tmp_path, READ[case][0]), "--force") == 0
        assert words in capsys.readouterr().err


def test_a_row_set_aside_is_kept_whole(tmp_path: Path):
    assert call(*init(tmp_path, row(9, 2, f'"{BIG}'))) == 0
    place = ["--config", str(tmp_path / "promolift.toml"), "--work", str(tmp_path / "w")]
    assert call("health", *place) == 0
    aside = pl.read_parquet(tmp_path / "w" / "tables" / "rejected" / "*.parquet").filter(reason="unreadable row")
    assert json.loads(aside["raw"][0])["line"] == LINES[9].replace(",p4,", f',"{BIG},')


# What a person asks for that cannot be

ASKED: dict[str, tuple[list[str], str, str]] = {
    "a role without a column": (["--map", "customer_id"], "option_invalid", "--map customer_id:"),
    "a role that is none": (["--map", "client=user_id"], "option_invalid", "client=user_id"),
    "a table that is none": (["--map", "orders.customer_id=user_id"], "option_invalid", "orders.customer_id=user_id"),
    "a column that is not there": (["--map", "customer_id=Kunde"], "column_unknown", "'Kunde'"),
    "a time that is none": (["--map", "time=product_id"], "time_unreadable", "time=product_id"),
    "a currency that is none": (["--currency", "DOLLAR"], "currency_unknown", "DOLLAR"),
    "consent that is neither": (["--consent", "maybe"], "option_invalid", "--consent maybe"),
    "a catalogue that is not there": (["--products", "none.csv"], "file_not_found", "none.csv"),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_is_asked_for_and_cannot_be_is_said(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    more, code, fact = ASKED[case]
    said = fails(capsys, *init(tmp_path, table(*LINES)), *more)
    assert said.endswith(f" [{code}]\n")
    assert fact in said
    assert said.count("\n") == 1
    assert not (tmp_path / "promolift.toml").exists()


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = fails(capsys, "init", "--events", str(tmp_path / "none.csv"), "--config", str(tmp_path / "promolift.toml"))
    assert said.endswith(" [file_not_found]\n")
    assert "none.csv" in said
    assert not (tmp_path / "promolift.toml").exists()


def test_settings_are_never_overwritten_by_accident(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*init(tmp_path, GOOD)) == 0
    (tmp_path / "promolift.toml").write_text("# mine\n", encoding="utf-8")
    assert "[file_exists]" in fails(capsys, *init(tmp_path, GOOD))
    assert (tmp_path / "promolift.toml").read_text(encoding="utf-8") == "# mine\n"


SETTINGS: dict[tuple[str, str], tuple[str, str]] = {
    ('currency = "USD"', 'currency = "DOLLAR"'): ("currency_unknown", "shop.currency = 'DOLLAR'"),
    ('zone = "UTC"', 'zone = "Mars/Olympus"'): ("timezone_unknown", "shop.zone = 'Mars/Olympus'"),
    ("holdout_share = 0.10", "holdout_share = 1.5"): ("setting_invalid", "plan.holdout_share = 1.5"),
    ("holdout_share = 0.10", "holdout_shar = 0.1"): ("setting_unknown", "'holdout_share'"),
    ("window_days = 28", "window_days = -3"): ("setting_invalid", "plan.window_days = -3"),
    ("[plan]", "[plan"): ("file_unreadable", "promolift.toml"),
    ('path = "e.csv"', 'path = "gone.csv"'): ("file_not_found", "gone.csv"),
    ('"price"', '"prise"'): ("column_unknown", "'prise'"),
}


@pytest.mark.parametrize("change", SETTINGS)
def test_absurd_settings_name_file_key_and_rule(
    change: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*init(tmp_path, GOOD)) == 0
    path = tmp_path / "promolift.toml"
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    capsys.readouterr()
    said = fails(capsys, "health", "--config", str(path), "--work", str(tmp_path / "w"))
    code, fact = SETTINGS[change]
    assert said.endswith(f" [{code}]\n")
    assert fact in said


def test_rows_that_break_every_rule_leave_nothing_to_plan_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"u{n},never,purchase,p1,-5\n" for n in range(20))
    assert call(*init(tmp_path, GOOD + "u9,2024-03-02 10:00:00,purchase,p1,3\n")) == 0
    (tmp_path / "e.csv").write_text(GOOD.split("\n")[0] + "\n" + rows, encoding="utf-8")
    said = fails(capsys, "health", "--config", str(tmp_path / "promolift.toml"), "--work", str(tmp_path / "w"))
    assert said.endswith(" [rows_rejected]\n")
    assert "e.csv" in said
    assert "unreadable time (20)" in said


def test_one_customer_with_one_purchase_is_answered_with_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*init(tmp_path, GOOD), "--consent", "yes") == 0
    place = ["--config", str(tmp_path / "promolift.toml"), "--work", str(tmp_path / "w")]
    assert call("health", *place) == 0
    assert "profiles: 1 events of 1 customers" in capsys.readouterr().err
    assert call("run", *place, "--out", str(tmp_path / "o")) == 0
    assert "0 of 1 customers get an offer" in capsys.readouterr().err
