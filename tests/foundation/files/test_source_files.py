"""Files as strangers send them: every line is read or set aside; what is no table is refused in one clear line."""

import gzip
import re
from itertools import count, pairwise
from pathlib import Path

import duckdb
import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import example, given
from hypothesis import strategies as st

from promolift.foundation.files import text_format as text
from promolift.foundation.files.quote_repair import file_parts, split_broken_lines
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.files.table_files import open_file
from promolift.foundation.tables.schemas import REJECTED


def read(folder: Path, data: bytes | str, name: str = "t.csv", **options: object) -> RawTable:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    connection = duckdb.connect()
    connection.execute("set threads = 2; set preserve_insertion_order = false")
    return open_file(connection, path, folder, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("a,b\n1,x\n2,y\n", "t.csv"),
        ("\ufeffa;b\r\n1;x\r\n2;y\r\n", "t.csv"),
        ("a\tb\n1\tx\n2\ty", "t.tsv"),
        ("a|b\n1|x\n\n2|y\n", "t.txt"),
        ('"a","b"\n"1","x"\n"2","y"\n', "t.csv"),
        ("a,b\n'1','x'\n'2','y'\n", "t.csv"),
        ("a,b\r1,x\r2,y\r", "t.csv"),
        ("a,b\n1,x\r\n2,y\r", "t.csv"),
        ("sep=;\na;b\n1;x\n2;y\n", "t.csv"),
        ("a,b\n1,x\n2,y\n".encode("utf-16"), "t.csv"),
        (gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0), "t.csv.gz"),
    ],
)
def test_the_same_table_in_eleven_dresses(tmp_path: Path, data: bytes | str, name: str):
    table = read(tmp_path, data, name)
    assert table.columns == ["a", "b"]
    assert table.rows.fetchall() == [(1, "1", "x"), (2, "2", "y")]
    assert table.unreadable().height == 0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1 << 20])
def test_line_ends_and_letters_may_be_parted_by_the_pieces_a_file_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
):
    monkeypatch.setattr(text, "CHUNK", size)
    for ends, mixed in (("\r\n", False), ("\n", False), ("\r", False)):
        (tmp_path / "t.csv").write_bytes(f"é,b{ends}1,客{ends}".encode())
        assert text.detect_encoding(tmp_path / "t.csv") == ("utf-8", mixed)
    (tmp_path / "t.csv").write_bytes(b"a,b\r\n1,2\n3,4\r\n")
    assert text.detect_encoding(tmp_path / "t.csv") == ("utf-8", True)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("名称,客户\n苹果,小明\n梨子,小红\n", "gb18030"),
        ("name,price\nCafé,£3\nNaïve – “x”,€4\n", "cp1252"),
        ("名称,客户\n苹果,小明\n", "utf-8"),
        ("交易日期,會員卡號,年齡層\n十一月,小明,青年\n十二月,小紅,中年\n", "big5"),
        ("주문일시,고객,상품명,카테고리,금액\n월,김민수,녹차,음료,천원\n화,이영희,쿠키,과자,만원\n", "cp949"),
        ("订单号,时间,客户,商品,类别,金额\n甲,周一,张小明,苹果,水果,十元\n乙,周二,李红,饼干,零食,百元\n", "gb18030"),
        ("商品名,お客様\nりんご,たなか\nバナナ,スズキ\n", "cp932"),
        ("Товар,Клиент\nЯблоко,Анна\nгруша,Иван\n", "cp1251"),
        ("nom,ville\nÉlodie,Orléans\nZoë,São Paulo\n", "cp1252"),
    ],
)
def test_encodings_are_told_apart(tmp_path: Path, text: str, encoding: str):
    table = read(tmp_path, text.encode(encoding))
    header, *rows = [line.split(",") for line in text.splitlines()]
    assert table.columns == header
    assert [list(row[1:]) for row in table.rows.fetchall()] == rows


def test_broken_lines_are_set_aside_and_their_good_neighbours_are_not(tmp_path: Path):
    lines = [
        "id,t,x",
        "1,2020,a",
        '2,2020,"two\nlines"',
        "3,2021,too,many",
        "4",
        '9,2020,"bad"x',
        '10,2020,"a ""q"" b"',
        "11,1,end",
    ]
    table = read(tmp_path, "\n".join(lines) + "\n")
    assert [row[1] for row in table.rows.fetchall()] == ["1", "2", "10", "11"]
    aside = REJECTED.check(table.unreadable())
    assert aside["row"].to_list() == [3, 4, 5]  # counted as rows, though one of them has two lines
    assert aside["reason"].unique().to_list() == ["unreadable row"]
    assert '"problem": "too many columns"' in aside.item(0, "raw")


def test_a_damaged_byte_costs_its_row_only(tmp_path: Path):
    table = read(tmp_path, "a,b\n1,éééééé\n".encode() + b"2,x\xffy\n3,z\n")
    assert [row[1] for row in table.rows.fetchall()] == ["1", "3"]
    assert table.unreadable().height == 1


def test_reading_twice_counts_a_broken_line_once(tmp_path: Path):
    table = read(tmp_path, "a,b\n1,x\n2\n")
    table.sample()
    table.rows.fetchall()
    table.rows.fetchall()
    assert table.unreadable().height == 1


CELL = st.text(st.sampled_from("ab1 \"'é,;\n"), max_size=4)


@cases(40)
@given(rows=st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6))
def test_what_a_csv_writer_wrote_is_read_back(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("csv")
    pl.DataFrame(rows, schema=["a", "b"], orient="row").write_csv(folder / "t.csv", quote_style="always")
    table = open_file(duckdb.connect(), folder / "t.csv", folder)
    assert [(row[1] or "", row[2] or "") for row in table.rows.fetchall()] == rows


LINE = st.text(st.sampled_from('T, \\""'), max_size=8)  # T stands for a word of its own


@cases(60)
@given(body=st.lists(LINE, max_size=5), end=st.sampled_from(["\n", "\r\n", "\r"]))
@example(body=['TT,"', '"T,"', '"T'], end="\n")  # quotes that never end: DuckDB keeps no text of these
@example(body=['"', '"T,"', '"TT'], end="\n")
@example(body=['"', 'T"'], end="\r\n")  # DuckDB ends where lines end in two ways
@example(body=[',,T,"', "TT"], end="\n")  # one at the end of a row
@example(body=['T, "T', "TT"], end="\n")  # one after a space
@example(body=['T,T"', '""T', 'T,"', '"T",T"', ',""",', ',"T', '""""T'], end="\n")  # DuckDB gave a line twice
def test_no_line_is_lost_in_silence_and_none_is_counted_twice(
    body: list[str], end: str, tmp_path_factory: pytest.TempPathFactory
):
    folder, number = tmp_path_factory.mktemp("csv"), count(1)
    lines = ["x,y", *(re.sub("T", lambda _: f"t{next(number)}z", line) for line in ("T,T", *body, "T,T"))]
    (folder / "t.csv").write_text(end.join(lines) + end, newline="")
    table = open_file(duckdb.connect(), folder / "t.csv", folder)
    kept = repr(table.rows.fetchall()) + repr(table.unreadable()["raw"].to_list())
    words = re.findall(r"t\d+z", "".join(lines))
    assert [kept.count(word) for word in words] == [1] * len(words)


@given(body=st.lists(st.sampled_from(['a,"b', '"', "c", '","\'', "\r\n", "\n"]), max_size=12), size=st.integers(1, 6))
def test_broken_lines_are_the_same_wherever_the_file_is_cut(
    body: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
):
    path, written = tmp_path_factory.mktemp("cut") / "t.csv", ("x,y\n" + "".join(body)).encode()
    path.write_bytes(written)
    dialect = text.Dialect(("x", "y"), ",", '"', '"', 1, 4.0)
    with pytest.MonkeyPatch.context() as patch:
        whole = split_broken_lines(path, dialect, path.with_suffix(".whole"))
        patch.setattr(text, "CHUNK", size)
        assert split_broken_lines(path, dialect, path.with_suffix(".cut")) == whole
        parts = b"".join(part.text for part in file_parts(path, dialect))
    assert parts.rstrip() == written.rstrip()


def test_a_quote_that_is_never_closed_costs_its_line_alone(tmp_path: Path):
    table = read(tmp_path, 'a,b\n1,2\n3,"x\n4\n5,6\n"7\n8,9\n')
    assert [row[1] for row in table.rows.fetchall()] == ["1", "5", "8"]
    assert table.unreadable()["row"].to_list() == [2, 3, 5]
    with raises_code("quote_unclosed", "t.csv", 'a,"b'):
        read(tmp_path, 'a,"b\n1,2\n3,"4"\n5,6\n')


def test_columns_set_apart_by_spaces_are_columns(tmp_path: Path):
    printed = " 00069 19971028  1   26.68\n 00254 19970816 14    2.04\n\n 00254 19970817  1  102.04\n"
    table = read(tmp_path, printed, "cdnow.txt", names=["who", "day", "units", "paid"])
    assert table.rows.project("who, paid").fetchall() == [("00069", "26.68"), ("00254", "2.04"), ("00254", "102.04")]
    with raises_code("delimiter_missing", "uneven.txt"):
        read(tmp_path, "a b c\na b\n", "uneven.txt")


def test_names_that_repeat_or_are_missing_are_made_good(tmp_path: Path):
    assert read(tmp_path, "a,A,,_row\n1,2,3,4\n").columns == ["a", "A_2", "column_3", "_row_2"]
    assert read(tmp_path, "a,b\n1,2,\n3,4,\n").columns == ["a", "b", "column_3"]


def test_names_can_be_given_for_a_file_without_a_header(tmp_path: Path):
    assert read(tmp_path, "1,2\n3,4\n", names=["u", "i"]).rows.fetchall() == [(1, "1", "2"), (2, "3", "4")]
    with raises_code("column_count_differs", "t.csv", "3 ", "2 "):
        read(tmp_path, "1,2\n3,4\n", names=["u", "i", "t"])


@pytest.mark.parametrize(
    ("data", "name", "code", "facts"),
    [
        (b"", "t.csv", "file_empty", ()),
        (b"\n\n", "t.csv", "file_empty", ()),
        (b"a,b\n", "t.csv", "table_empty", ()),
        (b"1,2\n3,4\n", "t.csv", "header_missing", ("row 1 ", "'1', '2'")),
        (b"2024-01-01,x\n2024-01-02,y\n", "t.csv", "header_missing", ("'2024-01-01', 'x'",)),
        (b"hello world\nfoo bar\n", "t.csv", "delimiter_missing", ()),
        (b"<!DOCTYPE html><p>a,b", "t.csv", "web_page_received", ()),
        (b"PK\x03\x04zip", "t.csv", "file_type_mismatch", ("Excel", "CSV")),
        (b"a,b\n1,\0\n", "t.csv", "file_unreadable", ("UTF-8",)),
        (b"a,b\n1,2\n", "t.xlsx", "file_unreadable", ("Excel",)),
        (b"PAR1xx", "t.parquet", "file_unreadable", ("Parquet",)),
        (gzip.compress(b"a,b\n1,2\n" * 9999, mtime=0)[:-9], "t.csv.gz", "file_incomplete", ()),
    ],
)
def test_what_is_no_table_is_refused_with_the_file_and_the_remedy(
    tmp_path: Path, data: bytes, name: str, code: str, facts: tuple[str, ...]
):
    with raises_code(code, *facts) as caught:
        read(tmp_path, data, name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")
    with raises_code("file_not_found", "slaes.csv", "sales.csv"):
        open_file(duckdb.connect(), tmp_path / "slaes.csv", tmp_path)
    with raises_code("file_is_folder", str(tmp_path)):
        open_file(duckdb.connect(), tmp_path, tmp_path)


def test_parquet_keeps_its_types_and_numbers_its_rows(tmp_path: Path):
    frame = pl.DataFrame({"who": [1, 2], "_row": ["x", "y"]})
    frame.write_parquet(tmp_path / "t.parquet")
    table = open_file(duckdb.connect(), tmp_path / "t.parquet", tmp_path)
    assert table.rows.fetchall() == [(1, 1, "x"), (2, 2, "y")]
    assert (table.columns, table.estimated_rows) == (["who", "_row_2"], 2)
    frame.clear().write_parquet(tmp_path / "empty.parquet")
    with raises_code("table_empty", "empty.parquet"):
        open_file(duckdb.connect(), tmp_path / "empty.parquet", tmp_path)


def test_rows_are_numbered_as_they_stand_also_when_two_threads_read(tmp_path: Path):
    body = "\n".join(f'c{i % 97},{i},"text ""{i}"", more"' for i in range(1, 60_001))
    table = read(tmp_path, "who,i,x\n" + body)
    assert table.rows.filter("_row <> i::bigint").fetchall() == []
    assert table.rows.aggregate("count(*), max(_row)").fetchall() == [(60_000, 60_000)]
    assert 0.5 < table.estimated_rows / 60_000 < 2


def test_a_sample_comes_from_all_over_the_table_in_order_and_is_always_the_same(tmp_path: Path):
    table = read(tmp_path, "who,i\n" + "\n".join(f"c,{i}" for i in range(1, 5_001)))
    seen = table.sample(400)["i"].cast(pl.Int64).to_list()
    assert (len(seen), seen) == (400, sorted(seen))
    assert min(seen) < 500
    assert max(seen) > 4_500
    assert table.sample(400)["i"].cast(pl.Int64).to_list() == seen
    assert sum(b - a == 1 for a, b in pairwise(seen)) > 300  # neighbours stay together
