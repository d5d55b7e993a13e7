"""The same orders as strangers send them: in a workbook, an archive, other digits, days as Excel counts them, two
encodings. `init` reads each as the plain CSV, or names what is wrong.
"""

import zipfile
import zlib
from base64 import b64decode
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.foundation.files.table_files import open_file
from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.cleaning.sql_casts import ascii_digits
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init

NAMES = ["order_id", "customer_id", "ordered_at", "sku", "quantity", "unit_price"]
START = datetime(2025, 1, 1, 9)
LINES = [
    (
        5000 + n // 2,
        f"C{n // 2 % 7}",
        START + timedelta(days=n // 2, minutes=n // 2),
        f"P{n % 5}",
        1 + n % 3,
        3.5 + n % 5,
    )
    for n in range(40)
]
# The same lines in a sheet 'Lines' of a workbook of Excel 97, beside a sheet 'Notes'; compressed by zlib.
XLS = (
    "eNrt2l9sU1UYAPDv3vb2//9/W7uu67qtLTCIgBIkYUMUiDjmJFEJGMegJUz2B7ouEY2KIG9oTHhSSAwJPpgQxBfUoIk86QMJBh80JiYgiYmR"
    "FxNMjAHqOV9P1/vtfiYsQZIlPUtP77n36/3dna/321m376+Gr5/5LHUD5rUBsMG9mhscpn2aeIQbgxCI47Wa3Gw8i11Qa7VF1dwukTWHAZf8"
    "V5wyhzLfN0CHC/bLogf4VTxegoMwPD1Vzj7EthGvYUyT17Bes4v3ng6nxSMASbyuCPZ7sY9i/ynGfoX9BtzzLvbrRex1bSdcHRxeula9j3fo"
    "OTwWEL0Gn+NrfsY9KyEO38n38Vvva/VYA56ojI9NLLIDGbsPzoJI6ZbyVLkix3H4WN6hh0VbPjm5vFTK7t+/bnLyOsRE0s/CX7UswO3G3f1N"
    "trX/4e7XQOz/m+53/sd+l0jl/P0ndTvAEajt1uRb+jj44bRdHjFgaHyqPCN3FBP1HcPT1fLMHTgFO8QwJh4ugOlKqVwZHS95xU01O1OdnsSR"
    "Rx0ol0bHqjaAmQOzIvbQ7NhUdbx6WBydnRqvjh6sjO8ti5vnyUdEN4LdSjmU3cgq2a2WQ9x6VG7hELcek90acc5Nrx6crlTLJQOgOl0ak+eG"
    "em0KkdrkxzvWJ/oSBHE7jPdtSHwTdz7589q2PSODo7jniPy21E+tPjk5UIO35SvEiwN4ZAk0zroUX7EM+6N41g7cTmEfE3MmnvMjcbWx+RjG"
    "vINH88JZje2HwYJpuyi2j//x3BeZ4zcHl4jt81tuvBY7/+PgGciBW1y9hl/HoF/r1z78QLYvBxvPmqpvv2CftNQ6lx5S115TP5qDcBc8uFn/"
    "CV0fydnR5ka6mqv6yCZGtrmRXYzscyNDjAzlaPOcN3WPWgnkhuvxGjpyHm1iZmWljmDw0DO/bagfl5ZM4dfiiIaWA8/wuiEtqeiMohNFJ4pu"
    "UXRUXErRUfHgGbzOhmJjFBvG5JViQ8WtFBsqjl0XjAml2FDxKMWGSgDPcMrVUOyMYieKnSh2i2JHxasUu2nGlnkaisEoBsYsVYqBik8pBire"
    "i7u9J5RioOJXimGasUvehuJgFAdRHERxWBQHyb7DNGPN7DsZxYkxK5TiRCWgFCcqYdHOKcVJsu80zVgz+y5GcRHFRRSXRXGR7LtMM9bMvptR"
    "3BizSiluVIJKcaPSNnE5cUUpbpJ9t2nGmtn3MIqHKB6ieCyKh2TfY5qxZva9jOLFmDVK8aISUooXlfS3h9K3lOIl2feaZqyZfR+j+IjiI4rP"
    "ovhI9n2mGWtm388ofoxZpxQ/KmGl+FHJieYbqit+kn2/acaa2Q8wSoAoAaIELEqAZD9gmrFm9oOMEsSYAaUESbUMolJ841qhXylBkv2gacaa"
    "2Q8xSogoIaKELEqIZD/EVv4wo4QxZqNSwqRahlFZ8dPR5UNKCZPsh9nKH2GUCFEiRIlYlAjJfoSt/FFGiWLMZqVESbWMoiLXCxNKiZLsR9nK"
    "H2OUGFFiRIlZlBjJfoyt/HFGiWPMVqXESbWMo/L4ezfXnlBKnGQ/zlb+BKMkiJIgSsKiJEj2E2zlb2OUNowZVkobqZZtqAz+fnLgnFLaSPbb"
    "2MrfzijtRGknSrtFaSfZb2crf5JRkhizXSlJUi2TqDwl2hWlJEn2k2zlTzFKiigpoqQsSopkP8VW/g5G6cCYF5TSQaplBypbP7r99C2ldJDs"
    "d7CVP80oaaKkiZK2KGmS/TRb+TsZpRNjdiqlk1TLTlRG/jn7rG9bXekk2e9kK3+GUTJEyRAlY1EyJPsZtvJ3MUoXxryslC5SLbtQeV60fqV0"
    "kex3sZU/yyhZomSJkrUoWZL9LFv5uxmlG2P2KKWbVMtuVMRifNeQUrpJ9rvZyp9jlBxRckTJWZQcyX6Orfw9jNKDMfuU0kOqZQ8qY2I5PqGU"
    "HpL9Hrby9zJKL1F6idJrUXpJ9nvZyt/HKH0Y84pS+ki17ENln2gnlNJHst/HVv48o+SJkidK3qLkSfbzbOUvMEoBY6aUUiDVsoCKWIxPnFNK"
    "gWS/wFb+IqMUiVIkStGiFEn2i5bKP6BH4KL8tRs2mD73fxifxehzxxfrZzEa+1lMxPQpyvyI+qcocn2I8w7cvLdaq7Vaq7Vaq7Vaqz3opqm1"
    "lw3/BgTqrwqAa3e5ZnOrdYhcmfpwzQe4Lg2q//u4Kx73Wv9GsWjbdpgWX1Xxu/MmmBLPFTi8oPdPAgytcS7tPl/T+H8h2V4UegUOwB68jgML"
    "fv+Ktblm/n7u+4XZB3cLLdS/t5Dr/J/9fwEEN4/a"
)
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def text(change: Callable[[str], str] = str, time: Callable[[datetime], str] = str, names: list[str] = NAMES) -> str:
    rows = [[change(time(cell) if isinstance(cell, datetime) else str(cell)) for cell in line] for line in LINES]
    return "\n".join(",".join(row) for row in [names, *rows]) + "\n"


def serial(moment: datetime) -> str:
    return f"{(moment - datetime(1899, 12, 30)) / timedelta(days=1):.9f}"


def zipped(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def examples(folder: Path, events: Path, answers: SetupAnswers | None = None) -> list[str]:
    said = init({"events": events}, folder / "promolift.toml", True, answers=answers or SetupAnswers(currency="EUR"))
    found = said.figures["examples"]
    assert isinstance(found, list)
    return [ascii_digits(order) for order in found]


def written(folder: Path, content: str, name: str = "t.csv") -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: written(folder, text(lambda cell: cell.translate(FULL_WIDTH))),
        lambda folder: written(folder, text(lambda cell: cell.translate(ARABIC))),
        lambda folder: written(folder, text(time=serial)),
        lambda folder: written(folder, text(time=serial, names=[*NAMES[:2], "Placed at", *NAMES[3:]])),
        lambda folder: written(folder, text(time=serial, names=[*NAMES[:2], "Order Time", *NAMES[3:]])),
        lambda folder: zipped(folder / "t.zip", **{"orders.csv": text(), "__MACOSX/._orders.csv": "x"}),
        lambda folder: xls(folder).with_name("t.xls#Lines"),
    ],
    ids=["full-width", "arabic", "serial", "serial placed", "serial time", "zip", "xls"],
)  # fmt: skip
def test_the_same_orders_in_another_form_are_the_same_orders(tmp_path: Path, write: Callable[[Path], Path]):
    plain = examples(tmp_path, written(tmp_path, text(), "plain.csv"))
    assert len(plain) == 5
    assert examples(tmp_path, write(tmp_path)) == plain


def xls(folder: Path) -> Path:
    (folder / "t.xls").write_bytes(zlib.decompress(b64decode(XLS)))
    return folder / "t.xls"


def test_the_sheets_of_a_workbook_are_offered_and_one_is_chosen(tmp_path: Path):
    asked = list[str]()

    def answer(question: str, default: str) -> str:
        asked.append(question)
        return default

    with raises_code("sheets_differ", "t.xls#Lines", "Notes", "order_id"):
        examples(tmp_path, xls(tmp_path))
    with raises_code("sheet_missing", "'Orders'", "Lines, Notes"):
        examples(tmp_path, tmp_path / "t.xls#Orders")
    assert len(examples(tmp_path, tmp_path / "t.xls", SetupAnswers(currency="EUR", consent=True, ask=answer))) == 5
    assert "Notes" in asked[0]
    events = load_config(tmp_path / "promolift.toml").data.events
    assert events is not None
    assert events.path.endswith("t.xls#Lines")


def test_text_that_is_called_a_workbook_is_read_and_a_web_page_is_named(tmp_path: Path):
    assert examples(tmp_path, written(tmp_path, text().replace(",", "\t"), "t.xls")) == examples(
        tmp_path, written(tmp_path, text(), "plain.csv")
    )
    page = "<html><table><tr><td>order_id</td></tr></table></html>"
    with raises_code("web_page_received", "page.xls"):
        examples(tmp_path, written(tmp_path, page, "page.xls"))


@pytest.mark.parametrize(
    ("files", "facts"),
    [
        ({"a.csv": text(), "b.csv": text()}, ("a.csv, b.csv",)),
        ({"inner.zip": "PK"}, ("inner.zip",)),
        ({"__MACOSX/a": "x"}, ("0 files",)),
    ],
)
def test_an_archive_of_another_number_of_files_is_named(tmp_path: Path, files: dict[str, str], facts: tuple[str, ...]):
    with raises_code("archive_not_one_file", "t.zip", *facts):
        examples(tmp_path, zipped(tmp_path / "t.zip", **files))


def test_a_fault_inside_an_archive_names_the_archive(tmp_path: Path):
    with raises_code("file_empty", str(tmp_path / "t.zip")):
        examples(tmp_path, zipped(tmp_path / "t.zip", **{"orders.csv": "\n\n"}))
    (tmp_path / "t.zip").write_bytes(b"PK\x03\x04rest")
    with raises_code("file_incomplete", "t.zip"):
        examples(tmp_path, tmp_path / "t.zip")


WORDS = st.text(st.sampled_from("绿红茶咖啡杯壶滤纸勺"), min_size=1, max_size=4)


@cases(40)
@given(words=st.lists(WORDS, min_size=8, max_size=30), late=st.floats(0.1, 0.9))
def test_lines_of_two_encodings_are_each_read_as_what_they_are(
    words: list[str], late: float, tmp_path_factory: pytest.TempPathFactory
):
    folder, first = tmp_path_factory.mktemp("mixed"), min(round(late * len(words)), len(words) - 4)
    lines = ["id,name", *(f"{n},{word}茶壶" for n, word in enumerate(words))]
    parts = [line.encode("gb18030" if n > first else "utf-8") for n, line in enumerate(lines)]
    (folder / "t.csv").write_bytes(b"\n".join(parts) + b"\n")
    table = open_file(duckdb.connect(), folder / "t.csv", folder)
    assert [name for *_, name in sorted(table.rows.fetchall())] == [f"{word}茶壶" for word in words]
    assert table.unreadable().height == 0
    assert any("gb18030" in note for note in table.notes) or first == 0


def test_a_few_damaged_letters_of_utf8_are_set_aside_and_not_read_as_others(tmp_path: Path):
    lines = [f"{n},绿茶 {n}".encode() for n in range(60)]
    for at in (5, 9, 20, 33):
        lines[at] = lines[at].replace("绿茶".encode(), "绿茶".encode()[:2] + "绿茶".encode()[4:] + "茶茶".encode())
    (tmp_path / "t.csv").write_bytes(b"\n".join([b"id,name", *lines]) + b"\n")
    table = open_file(duckdb.connect(), tmp_path / "t.csv", tmp_path)
    assert len(table.rows.fetchall()) == 56
    assert table.unreadable().height == 4


def test_plus_joins_products_too(tmp_path: Path):
    written(tmp_path, text(), "lines.csv")
    written(tmp_path, "sku,name\n" + "".join(f"P{n},Tea {n}\n" for n in range(5)), "names.csv")
    written(tmp_path, "sku,standard_cost\n" + "".join(f"P{n},{n + 1}.50\n" for n in range(5)), "costs.csv")
    both = tmp_path / "names.csv+costs.csv"
    files = {"events": tmp_path / "lines.csv", "products": Path(str(both).replace("+", f"+{tmp_path}/"))}
    said = init(files, tmp_path / "promolift.toml", True, answers=SetupAnswers(currency="EUR"))
    products = load_config(tmp_path / "promolift.toml").data.products
    assert products is not None
    assert [Path(path).name for path in products.paths] == ["names.csv", "costs.csv"]
    assert products.mapping.columns == {"product_id": "sku", "name": "name", "cost": "standard_cost"}
    assert said.figures["tables"]


ROLES = [  # name and cells of a further column, what it is read as
    ("Voucher", ["", "", "MAYDAY", "SPRING10"], {"coupon_id": "Voucher"}),
    ("Voucher", ["SAVE15", "SPRING10"], {"coupon_id": "Voucher"}),
    ("Coupon", ["0", "5", "10"], {}),
    ("Coupon used", ["yes", "no"], {}),
    ("product_name", ["Tea", "Cup", "Jug", "Tin", "Pot"], {"products.name": "product_name"}),
    ("Product", ["Tea", "Cup", "Jug", "Tin", "Pot"], {"product_id": "sku", "products.name": "Product"}),
    ("standard_cost", ["1.10", "2.30", "1.75", "2.05", "3.15"], {"products.cost": "standard_cost"}),
]


@pytest.mark.parametrize(("name", "cells", "roles"), ROLES)
def test_a_further_column_is_read_as_what_it_is(tmp_path: Path, name: str, cells: list[str], roles: dict[str, str]):
    rows = text().splitlines()
    more = [f"{rows[0]},{name}", *(f"{row},{cells[n % len(cells)]}" for n, row in enumerate(rows[1:]))]
    init({"events": written(tmp_path, "\n".join(more))}, tmp_path / "promolift.toml", True)
    data = load_config(tmp_path / "promolift.toml").data
    found = {
        (role if table == "events" else f"{table}.{role}"): column
        for table, file in data.files.items()
        for role, column in file.mapping.columns.items()
    }
    assert roles.items() <= found.items()
    assert roles or name not in found.values()
    assert "customers.name" not in found


def test_a_name_of_products_is_nobodys_name_where_the_catalogue_is_a_file(tmp_path: Path):
    rows = text().splitlines()
    more = [f"{rows[0]},product_name", *(f"{row},Tea {n % 5}" for n, row in enumerate(rows[1:]))]
    catalogue = written(tmp_path, "sku,name\n" + "".join(f"P{n},Tea {n}\n" for n in range(5)), "products.csv")
    files = {"events": written(tmp_path, "\n".join(more)), "products": catalogue}
    init(files, tmp_path / "promolift.toml", True)
    assert load_config(tmp_path / "promolift.toml").data.customers is None


@pytest.mark.parametrize(("coded", "column"), [(True, "coupon_cents"), (False, "shelf_cents")])
def test_what_is_taken_off_beside_a_code_is_the_coupons(tmp_path: Path, coded: bool, column: str):
    """And everybody's where rows without a code have discounts, too."""
    from promolift.shop.ingest.cleaning.event_cleaning import clean_events

    lines = [f"{','.join(NAMES)},list_price,Promo code"]
    for n, (order, *rest, paid) in enumerate(LINES):
        code = ["", "MAY", "JUNE7"][n // 2 % 3]
        off = 0.5 if code or not coded else 0
        lines.append(",".join(map(str, (order, *rest, paid, paid + off, code))))
    init({"events": written(tmp_path, "\n".join(lines))}, tmp_path / "promolift.toml", True)
    events = load_config(tmp_path / "promolift.toml").data.events
    assert events is not None
    assert events.mapping.has("coupon_id") == coded
    raw = open_file(duckdb.connect(), tmp_path / "t.csv", tmp_path).rows
    rows: pl.DataFrame = (
        clean_events(raw, events.mapping, load_config(tmp_path / "promolift.toml").data.rules).accepted().pl()
    )
    units = sum(line[4] for n, line in enumerate(LINES) if n // 2 % 3 or not coded)
    assert rows[column].sum() == 50 * units
    assert rows["list_cents"].sum() - rows["revenue_cents"].sum() == 50 * units


def test_google_analytics_counts_money_in_millionths(tmp_path: Path):
    names = "fullVisitorId,visitStartTime,hits_eCommerceAction_action_type,hits_transaction_transactionId,productSKU,"
    names += "v2ProductName,productQuantity,productRevenue"
    rows = [
        f"{70_000 + n % 9},{1_470_000_000 + 7_000 * n},{6 if n % 3 == 0 else 2},{f'ORD{n}' if n % 3 == 0 else ''},"
        f"G{n % 5},Mug {n % 5},{1 if n % 3 == 0 else ''},{12_500_000 if n % 3 == 0 else ''}"
        for n in range(90)
    ]
    init({"events": written(tmp_path, "\n".join([names, *rows]))}, tmp_path / "promolift.toml", True)
    events = load_config(tmp_path / "promolift.toml").data.events
    assert events is not None
    assert events.mapping.scale == 1e-6
    assert events.mapping.columns["order_id"] == "hits_transaction_transactionId"
    assert events.mapping.kinds["6"] == "purchase"
