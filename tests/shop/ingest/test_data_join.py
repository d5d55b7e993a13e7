"""Logs that stand in several files: order lines, their orders and whose they are; clicks beside orders."""

from pathlib import Path
from random import Random

import duckdb
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.cleaning.table_join import JoinKey, find_join_key, join_rows
from promolift.shop.ingest.setup.file_roles import open_logs
from promolift.shop.ingest.setup.initialisation import init
from promolift.shop.ingest.setup.join_money import compare_joined_money
from promolift.shop.pipeline.steps.ingest import run as ingest
from promolift.shop.results.work_folder.run_context import Job

LINES = """order_id,order_item_id,product_id,seller_id,shipping_limit_date,price
o1,1,p1,s1,2017-10-06 11:07:15,58.90
o1,2,p2,s1,2017-10-06 11:07:15,10.00
o2,1,p1,s2,2017-11-20 09:00:00,58.90
o3,1,p3,s2,2017-12-20 09:00:00,7.50
lost,1,p3,s2,2017-12-20 09:00:00,7.50
"""
ORDERS = """order_id,customer_id,order_status,order_purchase_timestamp
o1,c1,delivered,2017-10-02 10:56:33
o2,c2,delivered,2017-11-18 19:28:06
o3,c3,canceled,2017-12-13 21:18:39
"""
ACCOUNTS = "customer_id,customer_unique_id,customer_city\nc1,u1,franca\nc2,u1,osasco\nc3,u2,mogi\n"
TAKEN = [
    ("u1", "purchase", "p1", "o1", 5890), ("u1", "purchase", "p2", "o1", 1000),
    ("u1", "purchase", "p1", "o2", 5890), ("u2", "other", "p3", "o3", 0),
]  # fmt: skip


def write(folder: Path, **files: str) -> dict[str, Path]:
    """The files by name."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return {name: folder / f"{name}.csv" for name in files}


def plus(*paths: Path) -> Path:
    """Files that make one log, as the command line has them."""
    return Path("+".join(map(str, paths)))


def taken(folder: Path) -> list[tuple[object, ...]]:
    """The clean events of the shop in `folder`."""
    config = load_config(folder / "promolift.toml")
    with Store(folder / "work") as store:
        ingest(Job(config, store, lambda *_: None))
        rows = store.table("events").order("customer_id, ts_ms, product_id")
        return rows.project("customer_id, kind, product_id, order_id, revenue_cents").fetchall()


@pytest.mark.parametrize("lines_first", [True, False])
def test_lines_their_orders_and_whose_they_are_become_one_log(tmp_path: Path, lines_first: bool) -> None:
    files = write(tmp_path, lines=LINES, orders=ORDERS, accounts=ACCOUNTS)
    first, other = ("lines", "orders") if lines_first else ("orders", "lines")
    told = init({"events": plus(files[first], files["accounts"], files[other])}, tmp_path / "promolift.toml", False)
    assert {Path(path).name for path in told.figures["tables"][0]["joined"]} == {"orders.csv", "accounts.csv"}
    assert "events (lines.csv)" in told.text
    assert "joined: orders.csv by order_id (80.0% of the rows find theirs)" in told.text
    assert "joined: accounts.csv by customer_id (80.0%" in told.text
    assert taken(tmp_path) == TAKEN
    with Store(tmp_path / "work") as store:
        assert store.table("rejected").project("reason").fetchall() == [("missing customer",)]


def test_an_id_is_the_key_of_the_file_named_after_it(tmp_path: Path) -> None:
    orders = ORDERS.replace("order_id", "id").replace("c1", "u1").replace("c2", "u1").replace("c3", "u2")
    files = write(tmp_path, lines=LINES, orders=orders)
    init({"events": plus(files["lines"], files["orders"])}, tmp_path / "promolift.toml", False)
    assert taken(tmp_path) == TAKEN


def test_logs_beside_each_other_are_told_apart_by_their_names(tmp_path: Path) -> None:
    buys = "session,timestamp,item,price,quantity\n1,2014-04-07T10:51:09Z,a,12.5,2\n2,2014-04-07T11:00:00Z,b,3,1\n"
    clicks = "session,timestamp,item\n1,2014-04-07T10:50:00Z,a\n3,2014-04-07T12:00:00Z,c\n"
    back = "session,timestamp,item,price,quantity\n1,2014-04-17T10:51:09Z,a,12.5,1\n"
    files = write(tmp_path, buys=buys, clicks=clicks, shop_returns=back)
    more = [files["clicks"], files["shop_returns"]]
    told = init({"events": files["buys"]}, tmp_path / "promolift.toml", False, more).text
    assert "by the file's name every row is read as refund" in told
    assert taken(tmp_path) == [
        ("1", "view", "a", "1", 0), ("1", "purchase", "a", "1", 2500), ("1", "refund", "a", "1", -1250),
        ("2", "purchase", "b", "2", 300), ("3", "view", "c", "3", 0),
    ]  # fmt: skip


def test_a_file_that_fits_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write(tmp_path, lines=LINES, other="colour,size\nred,4\n")
    with raises_code("join_column_missing", "other.csv", "lines.csv", "colour, size"):
        init({"events": plus(files["lines"], files["other"])}, tmp_path / "promolift.toml", False)
    assert not (tmp_path / "promolift.toml").exists()
    with pytest.raises(SystemExit):
        main(["init", "--events", str(files["lines"]), "--config", str(tmp_path / "promolift.toml")])
    said = capsys.readouterr().err
    assert "[column_unrecognized]" in said
    assert "--events this.csv+other.csv" in said


def test_a_changed_column_of_a_joined_file_is_named(tmp_path: Path) -> None:
    files = write(tmp_path, lines=LINES, orders=ORDERS)
    init({"events": plus(files["lines"], files["orders"])}, tmp_path / "promolift.toml", False)
    files["orders"].write_text(ORDERS.replace("order_id", "number"))
    with raises_code("column_unknown", "orders.csv", "'order_id'", "number"):
        taken(tmp_path)


def test_every_row_stays_once_whatever_the_other_table_holds() -> None:
    connection = duckdb.connect()
    many = connection.sql("select * from (values (1, 'a', 7), (2, 'b', 8), (3, null, 9), (4, 'a', 7)) t(_row, k, x)")
    one = connection.sql(
        "select * from (values (2, 'a', 'late', 1), (1, 'a', 'first', 2), (3, null, 'no', 3)) t(_row, k, y, X)"
    )
    joined = join_rows(many, one, "k", "k", "o").order("_row")
    assert joined.columns == ["_row", "k", "x", "y", "o.X"]
    assert joined.fetchall() == [(1, "a", 7, "first", 2), (2, "b", 8, None, None), (3, None, 9, None, None),
                                 (4, "a", 7, "first", 2)]  # fmt: skip
    assert find_join_key(many, one, "o") is None
    only = one.filter("y <> 'late'")
    assert find_join_key(many, only, "o") == JoinKey(0.5, "k", "k")


# By language: the file of orders and its columns; that of payments: a number each, the order, the money.
TWO_FILES = {
    "en": ("raw_orders", "id,user_id,order_date,_synced", "raw_payments", "id,order_id,amount,_synced"),
    "de": ("Bestellungen", "Nr,Kundennummer,Datum,Stand_sync", "Zahlungen", "Nr,Bestellung,Betrag,Stand_sync"),
    "zh": ("订单", "编号,客户编号,下单时间,同步时间", "付款", "编号,订单编号,实付金额,同步时间"),
    "es": ("pedidos_2024", "id,id_cliente,fecha,synced_at", "pagos", "id,pedido_id,importe,synced_at"),
    "bare": ("a", "id,user_id,order_date,_sdc_batched_at", "b", "id,order_id,amount,_sdc_batched_at"),
}


@pytest.mark.parametrize("language", TWO_FILES)
def test_a_running_number_or_the_time_of_a_copy_never_ties_two_files_unasked(language: str, tmp_path: Path) -> None:
    one, header, many, pay_header = TWO_FILES[language]
    columns, others = header.split(","), pay_header.split(",")
    for seed in range(4):
        draw = Random(seed)
        orders, missing = draw.randrange(30, 60), draw.randrange(0, 5)
        stamps = [f"2025-05-01 03:00:{n % 60:02d}.{n:03d}" if seed % 2 else str(1_746_000_000 + n) for n in range(90)]
        base = draw.choice([1, 1000])
        rows = [f"{base + n},{1 + draw.randrange(20)},2025-01-{1 + n % 28:02d},{stamps[n]}" for n in range(orders)]
        paid = [base + draw.randrange(orders) for _ in range(orders + 20)]
        pays = [f"{base + n},{order},{draw.randrange(1, 99)}.50,{stamps[n % 90]}" for n, order in enumerate(paid)]
        paths = {name: tmp_path / f"{name}.csv" for name in (one, many)}
        paths[one].write_text("\n".join([header, *rows[missing:]]))
        paths[many].write_text("\n".join([pay_header, *pays]))
        first, second = draw.sample([one, many], 2)
        with Store(tmp_path / "work") as store:
            if language == "bare":
                with raises_code("join_unclear", "order_id=id"):
                    open_logs(store, [plus(paths[first], paths[second])])
                log = open_logs(store, [Path(f"{paths[many]}+{paths[one]}:order_id=id")])[0]
            else:
                log = open_logs(store, [plus(paths[first], paths[second])])[0]
            assert (log.path, log.tied[0].tie.on, log.tied[0].tie.key) == (paths[many], others[1], columns[0])
            found, whole = (sum(float(pay.split(",")[2]) for pay in pays if int(pay.split(",")[1]) >= least)
                            for least in (base + missing, 0))  # fmt: skip
            roles = {"amount": others[2], "customer_id": columns[1], "time": columns[2], "product_id": others[1]}
            mapping = Mapping(table="events", columns=roles)
            assert compare_joined_money(log, mapping) == [(pytest.approx(found), pytest.approx(whole))]


# Columns of orders and of payments that no name ties: the payment's column of the order, and the order's own number.
FOREIGN = (("vorgang", "id"), ("expediente", "clave"), ("取引", "番号"), ("fatura", "registo"), ("业务", "流水"))


@pytest.mark.parametrize("seed", range(4))
def test_a_question_lists_every_pair_of_columns_that_meets_with_the_money_of_each(seed: int, tmp_path: Path) -> None:
    """Over drawn languages, delimiters and numbers: the right pair comes before the files' own running numbers."""
    draw = Random(seed)
    on, own = draw.choice(FOREIGN)
    orders, base, sign = draw.randrange(30, 60), draw.choice([101, 5001]), draw.choice(",;\t")
    rows = [f"{base + n},K{n % 9},2025-01-{1 + n % 28:02d},A{n % 5}" for n in range(orders)]
    pays = [f"{base - 20 + n},{base + draw.randrange(orders)},{draw.randrange(1, 99)}.50" for n in range(orders + 20)]
    texts = (f"{own},kunde,wann,artikel", *rows), (f"{own},{on},amount", *pays)
    paths = [tmp_path / "erste.csv", tmp_path / "zweite.csv"]
    for path, lines in zip(paths, texts, strict=True):
        path.write_text("\n".join(lines).replace(",", sign), encoding="utf-8-sig")
    whole = sum(float(pay.split(",")[2]) for pay in pays)
    met = sum(float(pay.split(",")[2]) for pay in pays if base <= int(pay.split(",")[0]) < base + orders)
    for files in (paths, paths[::-1]):
        with Store(tmp_path / "work") as store, raises_code("join_unclear") as caught:
            open_logs(store, [plus(*files)])
        text = str(caught.value)
        right, wrong = f"erste.csv:{on}={own} (100%", f"erste.csv:{own}={own}"
        assert 0 < text.index(right) < text.index(wrong)
        assert f"amount: {whole:,.2f} of {whole:,.2f}" in text
        assert f"amount: {met:,.2f} of {whole:,.2f}" in text


def test_money_that_a_join_would_repeat_is_refused_and_what_found_a_partner_is_printed(tmp_path: Path) -> None:
    totals = (
        ORDERS.replace("order_status", "total,order_status")
        .replace(",deliv", ",60.00,deliv")
        .replace(",cancel", ",9,cancel")
    )
    lines = LINES.replace(",price", ",weight")
    files = write(tmp_path, lines=lines, orders=totals, good=LINES, plain=ORDERS)
    with raises_code("join_changes_money", "'total'", "129.00", "189.00"):
        init({"events": plus(files["lines"], files["orders"])}, tmp_path / "p.toml", False)
    assert not (tmp_path / "p.toml").exists()
    found = init({"events": plus(files["good"], files["plain"])}, tmp_path / "p.toml", False)
    assert found.figures["tables"][0]["joined_money"] == [
        {"matched": pytest.approx(135.3), "whole": pytest.approx(142.8)}
    ]
    assert "135.30 of 142.80" in found.text


def test_a_name_ties_no_files_and_a_stated_tie_is_checked(tmp_path: Path) -> None:
    sales = "Customer,Date,SKU,Total\n" + "".join(
        f"{who} Lee,2025-01-0{n},A,{n}\n" for n in (1, 2) for who in ("Ann", "Bob", "Cy")
    )
    cards = "Customer,Card\nAnn Lee,K1\nBob Lee,K2\nCy Lee,K3\n"
    files = write(tmp_path, sales=sales, cards=cards)
    with raises_code("join_unclear", "Customer=Customer"):
        init({"events": plus(files["sales"], files["cards"])}, tmp_path / "p.toml", False)
    with raises_code("column_unknown", "'Kundin'"):
        init({"events": Path(f"{files['sales']}+{files['cards']}:Kundin=Card")}, tmp_path / "p.toml", False)
    with raises_code("join_column_missing", "'Customer'"):
        init({"events": Path(f"{files['cards']}+{files['sales']}:Customer=Customer")}, tmp_path / "p.toml", False)


@pytest.mark.parametrize("seed", range(3))
def test_money_of_a_file_that_stands_on_several_rows_counts_once(seed: int, tmp_path: Path) -> None:
    """Lines without money, their orders with it, and what was paid of some of these."""
    draw = Random(seed)
    totals = [draw.randrange(500, 9000) / 100 for _ in range(60)]
    paid = sorted(draw.sample(range(60), 45))
    files = write(
        tmp_path,
        lines="order_id,sku,quantity\n"
        + "".join(f"o{n},s{k},1\n" for n in range(60) for k in range(draw.randrange(1, 5))),
        orders="order_id,customer_id,ordered_at,total\n"
        + "".join(f"o{n},c{n % 9},2024-0{1 + n % 6}-1{n % 9} 10:00:00,{totals[n]}\n" for n in range(60)),
        payments="payment,order_id,method\n" + "".join(f"{700 + n},o{n},card\n" for n in paid),
    )
    found = init({"events": plus(*files.values())}, tmp_path / "p.toml", True)
    whole, part = sum(totals), sum(totals[n] for n in paid)
    money = [(each["matched"], each["whole"]) for each in found.figures["tables"][0]["joined_money"]]
    assert money == [pytest.approx((whole, whole)), pytest.approx((part, whole))]
