"""JSON records and Excel workbooks: the same rows as their CSV would give, and words where they are no table."""

import json
from pathlib import Path
from zipfile import ZipFile

import duckdb
import pytest
from error_checks import raises_code

from promolift.foundation.files.table_files import open_file

RECORDS = [
    {"user": "007", "value": {"amount": 3.5, "offer id": "o1"}, "tags": ["a", "b"], "at": 1600000000},
    {"user": "8", "value": {"amount": 4.0}, "late": True, "at": 1600000001},
]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def rows(path: Path) -> tuple[list[str], list[tuple[object, ...]]]:
    with duckdb.connect() as connection:
        table = open_file(connection, path, path.parent / "tmp")
        assert table.source == path.name
        found = table.rows.order("_row").fetchall()
        assert [row[0] for row in found] == list(range(1, len(found) + 1))
        return table.columns, [row[1:] for row in found]


@pytest.mark.parametrize("name", ["e.jsonl", "e.json", "e.ndjson"])
def test_records_become_rows_and_what_is_nested_columns(tmp_path: Path, name: str) -> None:
    lines = "\n".join(json.dumps(each) for each in RECORDS)
    (tmp_path / name).write_text(json.dumps(RECORDS, indent=1) if name == "e.json" else lines)
    columns, found = rows(tmp_path / name)
    assert columns == ["user", "value.amount", "value.offer id", "tags", "at", "late"]
    assert found[0] == ("007", 3.5, "o1", '["a","b"]', 1600000000, None)
    assert found[1] == ("8", 4.0, None, None, 1600000001, True)


def test_a_key_that_comes_late_is_not_lost(tmp_path: Path) -> None:
    lines = ['{"user": "u"}'] * 30_000 + ['{"user": "v", "coupon": "k"}']
    (tmp_path / "e.jsonl").write_text("\n".join(lines))
    columns, found = rows(tmp_path / "e.jsonl")
    assert (columns, found[-1]) == (["user", "coupon"], ("v", "k"))


@pytest.mark.parametrize(
    ("text", "code", "facts"),
    [
        ('{"a": 1}\nnot json\n', "file_unreadable", ("JSON", "line ")),
        ('{"a": {"0": 1, "1": 2}, "b": {"0": 3, "1": 4}}', "json_not_records", ()),
        ("[1, 2, 3]", "json_not_records", ()),
    ],
)
def test_json_that_is_no_table_is_refused(tmp_path: Path, text: str, code: str, facts: tuple[str, ...]) -> None:
    (tmp_path / "e.json").write_text(text)
    with raises_code(code, "e.json", *facts):
        rows(tmp_path / "e.json")


def cell(at: str, value: str, kind: str = "", style: str = "") -> str:
    attributes = (f' t="{kind}"' if kind else "") + (f' s="{style}"' if style else "")
    return f'<c r="{at}"{attributes}><v>{value}</v></c>'


def book(path: Path, sheets: dict[str, list[str]]) -> None:
    """A workbook as Excel writes it: shared words, dates as numbers with a style, cells left out where empty."""
    with ZipFile(path, "w") as file:
        names = "".join(f'<sheet name="{n}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets))
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{MAIN}" xmlns:r="{LINK}"><sheets>{names}</sheets></workbook>'
        )
        kind = f'Type="{LINK}/{{}}"'
        top = f'<Relationship Id="r0" {kind.format("officeDocument")} Target="xl/workbook.xml"/>'
        file.writestr("_rels/.rels", f'<Relationships xmlns="{PACKAGE}">{top}</Relationships>')
        parts = {f"r{i}": ("worksheet", f"worksheets/s{i}.xml") for i in range(len(sheets))}
        parts |= {"w": ("sharedStrings", "sharedStrings.xml"), "s": ("styles", "styles.xml")}
        links = "".join(
            f'<Relationship Id="{name}" {kind.format(what)} Target="{target}"/>'
            for name, (what, target) in parts.items()
        )
        file.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}">{links}</Relationships>')
        words = (
            "<si><t>Invoice</t></si><si><t>When</t></si><si><r><t>Pri</t></r><r><t>ce</t></r></si><si><t>C1</t></si>"
        )
        file.writestr("xl/sharedStrings.xml", f'<sst xmlns="{MAIN}">{words}</sst>')
        styles = '<numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd hh:mm"/></numFmts>'
        styles += '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="14"/><xf numFmtId="2"/></cellXfs>'
        file.writestr("xl/styles.xml", f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>')
        for i, lines in enumerate(sheets.values()):
            data = "".join(f"<row>{line}</row>" for line in lines)
            file.writestr(
                f"xl/worksheets/s{i}.xml", f'<worksheet xmlns="{MAIN}"><sheetData>{data}</sheetData></worksheet>'
            )


HEADER = cell("A1", "0", "s") + cell("B1", "1", "s") + cell("C1", "2", "s")


def test_sheets_of_a_workbook_with_the_same_columns_are_one_table(tmp_path: Path) -> None:
    first = [
        HEADER,
        cell("A2", "489434")
        + cell("B2", "40148.323611111111", style="1")
        + cell("C2", "2.5499999999999998", style="3"),
    ]
    second = [HEADER, "", cell("A3", "3", "s") + cell("C3", "-7"), cell("B4", "40149", style="2") + cell("C4", "1e3")]
    book(tmp_path / "b.xlsx", {"Year 1": first, "empty": [], "Year 2": second})
    columns, found = rows(tmp_path / "b.xlsx")
    assert columns == ["Invoice", "When", "Price"]
    assert found == [
        ("489434", "2009-12-01 07:46:00", "2.55"),
        ("C1", None, "-7"),
        (None, "2009-12-02", "1000"),
    ]


def test_sheets_that_are_different_tables_are_refused_by_name(tmp_path: Path) -> None:
    book(tmp_path / "b.xlsx", {"Data": [HEADER, cell("A2", "1")], "Notes": [cell("A1", "1", "s")]})
    with raises_code("sheets_differ", "b.xlsx#Data", "Notes"):
        rows(tmp_path / "b.xlsx")
    book(tmp_path / "b.xlsx", {"Data": []})
    with raises_code("table_empty", "b.xlsx"):
        rows(tmp_path / "b.xlsx")


def test_an_events_file_without_a_header_is_named_on_the_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from promolift.cli.application import app

    (tmp_path / "u.csv").write_text("".join(f"{n % 9 + 1},{n % 4},pv,{1511544070 + n}\n" for n in range(60)))
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["init", "--events", "u.csv:user, item,behavior,timestamp"])
    assert said.exit_code == 0
    assert 'header = ["user", "item", "behavior", "timestamp"]' in (tmp_path / "promolift.toml").read_text()
    assert CliRunner().invoke(app, ["health"]).exit_code == 0
    with duckdb.connect() as connection:
        (rows_in,) = connection.sql(f"select count(*) from '{tmp_path}/.promolift/tables/events/*.parquet'").fetchall()
    assert rows_in == (60,)
