"""Exports in other languages and trades: who, what, how many and how much are found; no person becomes a product."""

import json
from pathlib import Path

import polars as pl
import pytest
from data_helpers import RULES, events, frame, raw
from error_checks import raises_code

from promolift.foundation.files.column_names import guess_region
from promolift.foundation.files.table_files import open_file
from promolift.foundation.files.text_format import detect_dialect, detect_encoding
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_join import order_lines
from promolift.shop.ingest.schema_matching.column_patterns import (
    bulk_quantity_limit,
    decimal_comma,
    is_line_cost,
    number,
)
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping
from promolift.shop.ingest.setup.initialisation import guess_tables, init

PRICES = (12.5, 7.9, 31.0, 4.2, 19.95)


def guess(text: str, **options: object) -> Mapping:
    return guess_mapping("events", frame(text), **options)  # type: ignore[arg-type]


def bills(row: str, orders: int = 60) -> str:
    """Two lines for each order; `row` is filled with who, day, order, product, price, units and total."""
    lines = []
    for order in range(orders):
        for line in range(2):
            units, price = 1 + (order + line) % 3, PRICES[(order + 2 * line) % 5]
            off = 0.9 if order % 4 == 0 else 1
            day = f"{1 + order % 28:02d}.{1 + order // 28:02d}.2025"
            lines.append(
                row.format(w=order % 17, d=day, o=1000 + order, p=(order + 2 * line) % 5, each=price, n=units,
                           paid=f"{price * units * off:.2f}", whole=order * 7 % 90 + 10)
            )  # fmt: skip
    return "\n".join(lines)


def test_what_multiplies_is_the_count_the_price_and_the_line_whatever_the_names_are():
    text = "Klientas,date,Cekis,sku,vnt,Vieneto,Suma3,Visos\n" + bills("K{w},{d},{o},P{p},{n},{each},{paid},{whole}")
    found = guess(text)
    assert found.columns["quantity"] == "vnt"
    assert found.columns["amount"] == "Suma3"
    assert found.columns["list_unit_price"] == "Vieneto"  # since a tenth is taken off some lines
    assert any("'vnt' times 'Vieneto' is 'Suma3'" in note for note in found.notes)


def test_a_line_that_comes_to_more_than_its_price_times_its_units_is_no_line():
    lines = bills("K{w},{d},{o},P{p},{n},{each},{whole}")
    found = guess("customer,date,order,sku,vnt,Vieneto,Visos\n" + lines)
    assert found.columns.get("quantity") != "vnt"


@pytest.mark.parametrize(
    ("header", "roles"),
    [
        (
            "Müşteri No,Sipariş Tarihi,Sipariş No,Ürün Kodu,Adet,Birim Fiyat,Satır Tutarı",
            {"quantity": "Adet", "amount": "Satır Tutarı", "currency": "TRY", "zone": "Europe/Istanbul"},
        ),
        (
            "Mã khách hàng,Thời gian,Mã hóa đơn,Mã hàng,Số lượng,Đơn giá,Thành tiền",
            {"quantity": "Số lượng", "amount": "Thành tiền", "currency": "VND", "zone": "Asia/Ho_Chi_Minh"},
        ),
        (
            "KundenNr,BelegDatum,BelegNr,ArtNr,Menge,EPNetto,NettoBetrag",
            {"quantity": "Menge", "amount": "NettoBetrag", "currency": "EUR", "zone": "Europe/Berlin"},
        ),
        (
            "会員番号,課金日時,請求番号,プランコード,個数,単価,税込金額",
            {"quantity": "個数", "amount": "税込金額", "currency": "JPY", "zone": "Asia/Tokyo"},
        ),
        (
            "Mobile,Bill Dt,Bill No,Item Cd,Qty,Rate,Net Amt (Rs.)",
            {"quantity": "Qty", "amount": "Net Amt (Rs.)", "currency": "INR", "zone": "Asia/Kolkata"},
        ),
    ],
)
def test_names_in_the_language_of_the_shop_tell_roles_money_and_clock(header: str, roles: dict[str, str]):
    found = guess(header + "\n" + bills("K{w:03d},{d},B{o},P{p},{n},{each},{paid}"))
    names = header.split(",")
    said = {role: found.columns.get(role) for role in ("customer_id", "time", "order_id", "product_id")}
    assert said == dict(zip(("customer_id", "time", "order_id", "product_id"), names, strict=False))
    assert {role: found.columns[role] for role in ("quantity", "amount")} | {
        "currency": found.currency,
        "zone": found.zone,
    } == roles


@pytest.mark.parametrize("person", ["Patient Name", "Member Name", "Customer Email", "Zzz"])
def test_what_says_who_a_customer_is_never_becomes_the_product(person: str):
    rows = [
        f"C{n % 40:03d},2025-0{1 + n // 40}-{1 + n % 28:02d} 10:00,{'ab'[n % 2]}@x.test,Person {n % 40},{n % 7 + 3}.50"
        for n in range(240)
    ]
    found = guess("\n".join([f"customer id,time,mail,{person},amount", *rows]))
    assert found.columns.get("product_id") is None


def test_a_plan_that_is_subscribed_to_is_the_product():
    rows = [
        f"M{n % 50},0{1 + n // 50}/1{n % 9}/2025,Ann {n % 50},{['Gold', 'Basic'][n % 2]},$20.00" for n in range(200)
    ]
    found = guess("\n".join(["Member #,Term Start,Member Name,Membership,Amount Paid", *rows]))
    assert found.columns["product_id"] == "Membership"


def test_a_nickname_does_not_stand_for_the_customer_where_a_phone_number_does():
    rows = [
        f"2025-01-{1 + n % 28:02d} 10:00:00,E{n},{'鱼福'[n % 2]},1390000{n % 40:04d},茶{n % 4},{n + 9}.00"
        for n in range(90)
    ]
    found = guess("\n".join(["下单时间,订单号,买家昵称,收货人手机号,商品名称,商品实付金额", *rows]))
    assert found.columns["customer_id"] == "收货人手机号"


def test_amounts_in_one_currency_go_before_the_same_in_several():
    rows = [
        f"B{n % 9},2025-01-{1 + n % 28:02d}T10:00:00Z,L{n % 5},{n + 5}.00,{['EUR', 'PLN'][n % 2]},{n + 2}.50"
        for n in range(80)
    ]
    text = "\n".join(["buyer_ref,purchased_at,listing_id,line_total,line_ccy,line_total_eur", *rows])
    found = guess(text)
    assert (found.columns["amount"], found.currency) == ("line_total_eur", "EUR")
    assert "currency" not in found.columns
    assert len(events(text, found)) == 80


def test_a_discount_on_the_first_line_is_the_orders_and_off_its_lines_where_the_total_says_so():
    rows = []
    for n in range(60):
        day, two = f"0{1 + n % 9}/03/2025", [(PRICES[n % 5], 1), (PRICES[(n + 2) % 5], 2)]
        whole = sum(price * units for price, units in two)
        off = round(whole * 0.1, 2) if n % 3 == 0 else 0.0
        for line, (price, units) in enumerate(two):
            first = (
                [day, f"c{n % 20}", f"{off:.2f}", "5.00", f"{whole - off + 5:.2f}"]
                if line == 0
                else ["", "", "", "", ""]
            )
            rows.append(
                ";".join([str(n), *first, f"S{(n + 2 * line) % 5}", str(units), f"{price:.2f}", f"{price * units:.2f}"])
            )
    header = "Nº do Pedido;Data da Compra;Cliente;Desconto;Frete;Total Geral;SKU;Qtd. Pedida;Preço;Subtotal"
    text = "\n".join([header, *rows])
    found = guess(text.replace(";", ","))
    assert (found.columns["quantity"], found.columns["amount"]) == ("Qtd. Pedida", "Subtotal")
    assert found.columns["coupon_discount"] == "Desconto"
    assert (found.shared, found.amounts_before) == (("coupon_discount",), ("coupon_discount",))
    as_meant = order_lines(raw(text.replace(";", ",")), found)
    kept = clean_events(as_meant, found, RULES).accepted().filter("order_id = '3'")
    (paid,) = kept.aggregate("sum(revenue_cents)").fetchall()[0]
    assert paid == round((PRICES[3] + 2 * PRICES[0]) * 100) - round((PRICES[3] + 2 * PRICES[0]) * 10)


def test_baskets_name_what_was_bought_and_rows_what_was_looked_at(tmp_path: Path):
    rows = []
    for n in range(80):
        what = {"time": 1_703_980_800_000_000 + n * 10**10, "distinct_id": f"u{n % 12}", "currency": "EUR"}
        rows.append({"event": "Product Viewed", "properties": {**what, "product_id": f"p{n % 5}", "price": 9.5}})
        items = [
            {"sku": f"p{(n + k) % 5}", "title": f"Lamp {(n + k) % 5}", "unit_price": 9.5, "qty": k + 1}
            for k in range(2)
        ]
        rows.append({"event": "Checkout Completed", "properties": {**what, "order_ref": f"R{n}", "products": items}})
    path = tmp_path / "export.json"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with Store(tmp_path / "work") as store:
        parts = guess_tables(store, {"events": path})
        assert parts[0].log is not None
        log, products = parts[0].mapping, next(part.mapping for part in parts if part.name == "products")
        assert log.columns["product_id"] == ("properties.products.sku", "properties.product_id")
        assert products.columns["name"] == "properties.products.title"
        lines = order_lines(parts[0].log.table.rows, log)
        kept = clean_events(lines, log, CleanRules()).accepted()
        by_kind = dict(kept.aggregate("kind, count(product_id)").fetchall())
    assert by_kind == {"view": 80, "purchase": 160}


def test_a_time_of_day_with_am_and_pm_is_read():
    rows = "\n".join(f"K{n % 9},26-Sep-24,0{1 + n % 9}:15 PM,P{n % 4},{n + 1}.00" for n in range(60))
    text = f"customer,Bill Dt,Bill Tm,sku,amount\n{rows}"
    found = guess(text)
    assert found.columns["clock"] == "Bill Tm"
    hours = {int(str(row["ts_ms"])) // 3_600_000 % 24 for row in events(text, found)}
    assert hours == set(range(13, 22))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("R$ 1.234,50", 1234.5),
        ("1,234.50", 1234.5),
        ("12,34,567.00", 1234567.0),
        ("1.250.000 ₫", 1250000.0),
        ("19,90", 19.9),
    ],
)
def test_a_number_is_read_by_the_sign_that_stands_last(written: str, meant: float):
    assert number(written) == meant


def test_lakhs_and_points_that_part_thousands_are_read_to_the_cent():
    text = 'customer,date,amount\na,2025-01-01,"Rs. 12,34,567.50"'
    assert events(text, guess(text))[0]["revenue_cents"] == 123_456_750
    assert decimal_comma(["52.000", "1.250.000"])
    assert not decimal_comma(["52.00", "1250.00"])


def test_units_with_a_decimal_point_beside_money_with_a_comma_are_units():
    line = {"customer": "a", "date": "2025-01-01", "order": "1", "sku": "x", "qty": "2.0000", "price": "1.234,50"}
    found = guess_mapping("events", pl.DataFrame([line]))
    assert found.decimal == ","
    kept = clean_events(raw(pl.DataFrame([line])), found, RULES).accepted()
    assert kept.project("quantity, revenue_cents").fetchall() == [(2, 246_900)]


def test_what_a_piece_costs_is_known_where_nobody_buys_one_piece():
    one = pl.DataFrame({"ek": [0.5, 1.4, 0.5, 1.4], "q": [100.0, 50, 500, 20], "net": [90.0, 120, 400, 50]})
    assert not is_line_cost(one, "ek", "q", "net", of_line=True)
    assert is_line_cost(one.with_columns(pl.col("ek") * pl.col("q")), "ek", "q", "net", of_line=True)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Müşteri;Ürün;Fiyat\nAyşe Yılmaz;Fındık Ezmesi;4,50\n", "cp1254"),
        ("Klient;Towar;Kwota\nŁukasz Żółć;Świeże bułki;12,40\n", "cp1250"),
        ("Zákazník;Zboží\nJiří Dvořák;Štěpán – mléčná rýže\n", "cp1250"),
        ("Vásárló;Név\nTűzkő Jenő;Hűtő, főző\n", "cp1250"),
        ("Cliente;Produto\nJosé Conceição;Pão de açúcar, maçã\n", "cp1252"),
        ("Client;Produit\nÉlodie;Œufs, crème brûlée, pâté\n", "cp1252"),
        ("Viðskiptavinur\nÞórður Ægisson á Ísafirði;mjólk, ýsa, súkkulaði\n", "cp1252"),
        ("Kunde;Größe\nJörg Müller;süß\n", "cp1252"),
    ],
)
def test_latin_letters_of_the_east_of_europe_are_told_from_those_of_the_west(text: str, encoding: str, tmp_path: Path):
    (tmp_path / "log.csv").write_bytes(text.encode(encoding) * 20)
    assert detect_encoding(tmp_path / "log.csv").encoding == encoding


def test_init_says_currency_clock_and_what_it_read_nothing_from(tmp_path: Path):
    rows = bills("K{w},{d},{o},P{p},{n},{each},{paid},{whole}")
    (tmp_path / "log.csv").write_text(f"customer,date,order,sku,qty,price £,amount,shelfmark\n{rows}", encoding="utf-8")
    said = init({"events": tmp_path / "log.csv"}, tmp_path / "promolift.toml", force=False).text
    assert "GBP; Europe/London" in said
    assert "not used         :  shelfmark" in said


TITLED = (
    "Umsatzliste Süd\n\nZeitraum: 01.01.2025 - 31.10.2025;;;;\nKundennummer;Belegdatum;Artikelnummer;Menge;Betrag\n"
)


def test_a_title_and_dates_above_the_column_names_are_left_out(tmp_path: Path):
    rows = "".join(f"K{n % 9};{n % 28 + 1:02d}.02.2025;A{n % 4};1;{n},50\n" for n in range(60))
    (tmp_path / "log.csv").write_text(TITLED + rows + "Summe;;;60;1800,00\n", encoding="utf-8")
    with Store(tmp_path / "work") as store:
        found = guess_tables(store, {"events": tmp_path / "log.csv"})[0]
        assert found.log is not None
        assert found.log.table.rows.aggregate("count(*), min(_row)").fetchall() == [(61, 1)]
    assert found.mapping.columns["amount"] == "Betrag"
    assert "3 lines above the column names are left out" in found.mapping.notes


def test_commas_of_decimals_part_no_columns_below_a_header_of_semicolons(tmp_path: Path):
    rows = "".join(f"K{n};2025-02-{n % 28 + 1:02d};A;{n},50 TL;0,00 TL;{n},50 TL;yes\n" for n in range(60))
    (tmp_path / "log.csv").write_text(f"customer;date;sku;amount;discount;total;paid\n{rows}", encoding="utf-8")
    with Store(tmp_path / "work") as store:
        log = guess_tables(store, {"events": tmp_path / "log.csv"})[0].log
        assert log is not None
        assert "sku" in log.table.columns


def test_a_file_whose_first_rows_are_thin_keeps_its_first_line(tmp_path: Path):
    (tmp_path / "log.csv").write_text("user,time,item,a,b,c\n" + "u1,2025-01-01,,,,\n" * 9, encoding="utf-8")
    with Store(tmp_path / "work") as store:
        log = guess_tables(store, {"events": tmp_path / "log.csv"})[0].log
        assert log is not None
        assert log.table.rows.aggregate("count(*)").fetchall() == [(9,)]


@pytest.mark.parametrize("wrapped", ["orders", "data"])
def test_records_that_an_answer_of_a_web_service_wraps_are_its_rows(wrapped: str, tmp_path: Path):
    lines = [{"sku": "a", "title": "Tea", "quantity": 2, "price": "5.00"}]
    rows = [
        {"id": n, "created_at": f"2025-01-{n % 28 + 1:02d}T10:00:00Z", "customer": {"id": n % 9, "first_name": "Ann"},
         "line_items": lines} for n in range(50)
    ]  # fmt: skip
    (tmp_path / "api.json").write_text(json.dumps({"count": 50, wrapped: rows}), encoding="utf-8")
    with Store(tmp_path / "work") as store:
        parts = guess_tables(store, {"events": tmp_path / "api.json"})
        assert parts[0].mapping.columns["order_id"] == "id"
        assert next(part.mapping for part in parts if part.name == "customers").columns["name"] == "customer.first_name"


def test_what_was_given_back_is_read_beside_the_orders_state():
    rows = [
        f"E{n},2025-01-{n % 28 + 1:02d} 10:00:00,1390000{n % 9:04d},茶{n % 4},9.00,交易完成,"
        + ["无退款", "退款成功"][n % 10 == 0]
        for n in range(60)
    ]
    text = "\n".join(["订单号,下单时间,手机号,商品名称,实付金额,订单状态,退款状态", *rows])
    found = guess(text)
    assert found.columns["status"] == ("订单状态", "退款状态")
    assert sum(row["kind"] == "purchase" for row in events(text, found)) == 54


def test_a_wholesaler_sells_by_the_thousand(tmp_path: Path):
    rows = "".join(
        f"K{n % 9},2025-02-{n % 28 + 1:02d},R{n},A{n % 4},{[20, 5000][n % 3 == 0]},{n + 1}.50\n" for n in range(300)
    )
    (tmp_path / "log.csv").write_text(f"customer,date,order,sku,qty,amount\n{rows}", encoding="utf-8")
    init({"events": tmp_path / "log.csv"}, tmp_path / "promolift.toml", force=False)
    assert "[data.rules]\nmax_quantity = 100000 " in (tmp_path / "promolift.toml").read_text(encoding="utf-8")


def orders(column: str, said: str, otherwise: str) -> str:
    """Sixty orders with a state, of which one in ten says `said` in one more column."""
    rows = [
        f"E{n},2025-01-{n % 28 + 1:02d} 10:00:00,c{n % 9},P{n % 4},9.00,paid,{said if n % 10 == 0 else otherwise}"
        for n in range(60)
    ]
    return "\n".join([f"order_id,time,customer_id,product_id,amount,order_status,{column}", *rows])


@pytest.mark.parametrize(
    ("column", "said", "otherwise"),
    [
        ("New or returning customer", "First-time", "Returning"),
        ("return_policy", "30 day returns", "30 day returns"),
        ("refundable", "refundable", ""),
        ("return reason", "refunded", ""),
        ("return_eligibility", "not eligible for return", "eligible for return"),
        ("return_state", "not eligible for return", "none"),
        ("return_state", "returned: no", "return: none"),
        ("return_state", "return window closed", "non-returnable"),
        ("refund", "refund denied", "no"),
        ("退款状态", "退款关闭", "无退款"),
        ("refund_flag", "no", "refund"),
        ("returns", "no returns", "Not returnable"),
        ("returns", "Non returnable", "refund: false"),
    ],
)
def test_what_only_sounds_like_a_return_takes_no_order_away(column: str, said: str, otherwise: str):
    text = orders(column, said, otherwise)
    assert sum(row["kind"] == "purchase" for row in events(text, guess(text))) == 60


def test_a_note_says_how_many_orders_a_column_of_returns_takes_away():
    found = guess(orders("refund_state", "refunded", "none"))
    assert found.columns["status"] == ("order_status", "refund_state")
    assert any("'refund_state' is read with 'order_status'" in note and "6 of 60" in note for note in found.notes)


@pytest.mark.parametrize(
    ("column", "said"),
    [("name", "Anna Person {}"), ("title", ("Mr", "Mrs", "Dr")), ("description", "Payment from Anna Person {}")],
)
def test_a_person_is_no_product_where_nothing_else_names_one(column: str, said: str | tuple[str, ...]):
    rows = [
        f"C{n % 40},2025-0{1 + n // 40}-{1 + n % 28:02d},{n % 7 + 3}.50,"
        + (said.format(n % 40) if isinstance(said, str) else said[n % 3])
        for n in range(240)
    ]
    assert "product_id" not in guess("\n".join([f"customer_id,date,amount,{column}", *rows])).columns


def test_a_product_is_found_beside_the_name_of_who_bought_it():
    rows = [f"C{n % 40},2025-01-{1 + n % 28:02d},{n % 7 + 3}.50,Anna Person {n % 40},Tea {n % 5}" for n in range(240)]
    found = guess("\n".join(["customer_id,date,amount,name,item_description", *rows]))
    assert found.columns["product_id"] == "item_description"


@pytest.mark.parametrize(
    "column", ["network_type", "total_pages", "net_weight", "network_id", "planet_id", "surprise", "value"]
)
def test_a_log_of_views_is_no_log_of_purchases_by_the_name_of_a_number(column: str):
    rows = [f"u{n % 20},i{n % 7},2025-01-{n % 28 + 1:02d} 10:{n % 60:02d}:00,{n % 5 + 1}" for n in range(200)]
    found = guess("\n".join([f"user_id,item_id,timestamp,{column.replace('value', 'spend_net')}", *rows]))
    assert found.constants == {"kind": "view"}
    assert "amount" not in found.columns


def test_money_is_found_by_whole_parts_of_a_name_where_something_was_sold():
    rows = [f"u{n % 20},i{n % 7},R{n},2025-01-{n % 28 + 1:02d} 10:00:00,{n % 9},{n % 5 + 1}" for n in range(200)]
    found = guess("\n".join(["user_id,item_id,order_id,timestamp,planet_code,posSpendEur", *rows]))
    assert found.columns["amount"] == "posSpendEur"


def test_a_discount_that_stands_first_by_chance_is_of_its_line():
    lines = [
        f"R{n // 2},c{n // 2 % 9},2025-01-{n // 2 % 28 + 1:02d},P{n % 7},1,{n % 5 + 5}.00," + "1.00" * (n % 13 == 0)
        for n in range(400)
    ]
    assert guess("\n".join(["order_id,customer_id,date,sku,qty,amount,discount", *lines])).shared == ()


def test_a_share_on_an_orders_first_line_is_no_money_to_share_out():
    lines = [
        f"R{n // 2},c{n // 2 % 9},2025-01-{n // 2 % 28 + 1:02d},P{n % 7},1,{n % 5 + 5}.00,{'' if n % 2 else '0.1'}"
        for n in range(400)
    ]
    found = guess("\n".join(["order_id,customer_id,date,sku,qty,amount,discount", *lines]))
    assert found.columns["shelf_discount"] == "discount"
    assert (found.discount, found.shared) == ("rate", ())


def test_a_column_that_is_named_utc_says_the_clock():
    rows = "\n".join(f"c{n % 9},2025-01-{n % 28 + 1:02d} 10:00:00,P{n % 4},£{n + 1}.00" for n in range(60))
    assert guess(f"customer_id,Timestamp_UTC,sku,amount\n{rows}").zone == "UTC"


def test_a_column_that_is_named_by_a_sign_stands_beside_several_currencies():
    rows = [f"{n},c{n % 9},2025-01-{n % 28 + 1:02d},P{n % 4},{n + 1}.00,{['EUR', 'USD'][n % 2]}" for n in range(60)]
    found = guess("\n".join(["#,customer_id,date,sku,amount,currency", *rows]), currency="EUR")
    assert found.columns["amount"] == "amount"


@pytest.mark.parametrize(
    "header", ["parcelas,valor_parcela,valor_total", "installments,each_installment,amount_total_due"]
)
def test_instalments_are_no_units(header: str):
    rows = [
        f"c{n % 9},2025-01-{n % 28 + 1:02d},R{n},P{n % 4},{n % 6 + 1},{n % 7 + 5}.50,{(n % 6 + 1) * (n % 7 + 5.5):.2f}"
        for n in range(120)
    ]
    found = guess("\n".join([f"customer_id,date,order_id,sku,{header}", *rows]))
    assert "quantity" not in found.columns
    assert found.columns.get("amount") == header.split(",")[2]


def test_one_typing_error_leaves_the_check_of_units_as_it_is():
    units = pl.DataFrame({"qty": [1] * 199 + [99_999]})
    many = pl.DataFrame({"qty": [1] * 2000 + [5000] * 200 + [10**9] * 3})
    sold = guess("customer,date,sku,qty,amount\na,2025-01-01,x,1,2.50")
    assert bulk_quantity_limit(units, sold) is None
    assert bulk_quantity_limit(many, sold) == 100_000


@pytest.mark.parametrize(
    "pair",
    [
        "netto,brutto",
        "net,gross",
        "price_net,price_gross",
        "Preis ohne MwSt,Preis inkl. MwSt",
        "Prix HT,Prix TTC",
        "brutto,netto",
    ],
)
def test_vat_is_no_discount(pair: str):
    rows = []
    for n in range(200):
        net = PRICES[n % 5] + n % 3
        both = (net, net * (1 if n % 20 == 0 else 1.19))
        one, other = both[::-1] if pair == "brutto,netto" else both
        rows.append(f"c{n % 9},2025-01-{n % 28 + 1:02d},R{n},P{n % 5},1,{one:.2f},{other:.2f}")
    found = guess("\n".join([f"customer_id,date,order_id,sku,qty,{pair}", *rows]))
    assert not {"list_amount", "list_unit_price"} & found.columns.keys()


@pytest.mark.parametrize(
    "text",
    [
        "kunde;adresse\n" + "".join(f"Anna{n};Hauptstr. {n}, 10115 Berlin, Deutschland\n" for n in range(30)),
        "name;note\n" + "".join(f"Ann{n};likes tea, milk, bread\n" for n in range(30)),
    ],
)
def test_commas_in_texts_do_not_make_the_names_a_title(text: str, tmp_path: Path):
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    assert detect_dialect(tmp_path / "log.csv").delimiter == ";"


@pytest.mark.parametrize("content", ["\ufeff", "sep=;\n", ""])
def test_a_file_with_nothing_in_it_is_said_to_be_empty(content: str, tmp_path: Path):
    (tmp_path / "log.csv").write_text(content, encoding="utf-8")
    with raises_code("file_empty", "log.csv"):
        detect_dialect(tmp_path / "log.csv")


def test_an_order_that_is_alone_in_its_file_stays_an_order(tmp_path: Path):
    items = [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2}]
    order = {"id": 1, "customer_id": "a", "created_at": "2025-01-01T10:00:00Z", "items": items}
    (tmp_path / "orders.json").write_text(json.dumps([order]), encoding="utf-8")
    with Store(tmp_path / "work") as store:
        columns = open_file(store.connection, tmp_path / "orders.json", tmp_path).columns
    assert "customer_id" in columns


@pytest.mark.parametrize(
    ("names", "called"),
    [
        ("Kundennummer Belegdatum Artikelnummer Menge Betrag", "German"),
        ("pelanggan tanggal barang jumlah harga", "Indonesian"),
        ("numero_cliente numero_pedido numero_factura fecha importe", None),  # Spanish: of many lands
        ("dată_comandă număr_comandă monedă valoare", None),
        ("kundenr kundenavn kundegruppe beløp", None),
        ("pelanggan tarikh barang jumlah harga", None),  # Malay
    ],
)
def test_one_word_that_neighbours_share_tells_no_land(names: str, called: str | None):
    home = guess_region(names.split())
    assert (home and home.language_name) == called
