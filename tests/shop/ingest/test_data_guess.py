"""Files of strangers: what their columns are is found from names and values, and what is doubtful is said."""

import polars as pl
from data_helpers import RULES, frame, raw
from error_checks import raises_code

from promolift.extensions.simulation.worlds.simulated_shop import tiny_shop
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping


def guess(text: str, table: str = "events", **options: object) -> Mapping:
    return guess_mapping(table, frame(text), **options)  # type: ignore[arg-type]


def test_an_online_shops_invoices():
    found = guess(
        """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
        536365,85123A,HEART,6,12/1/2010 8:26,2.55,17850.0,UK
        C536379,D,Discount,-1,12/13/2010 9:41,27.5,14527.0,UK"""
    )
    assert found.columns == {
        "time": "InvoiceDate",
        "customer_id": "CustomerID",
        "product_id": "StockCode",
        "order_id": "InvoiceNo",
        "quantity": "Quantity",
        "unit_price": "UnitPrice",
    }
    assert (found.time_format, found.cancel_prefix, found.constants) == ("%m/%d/%Y %H:%M", "C", {"kind": "purchase"})
    assert any("no zone" in note for note in found.notes)


def test_a_click_log():
    found = guess(
        """event_time,event_type,product_id,category_code,brand,price,user_id,user_session
        2019-10-01 00:00:00 UTC,view,1,appliances.kitchen,a,35.79,5,s1
        2019-10-01 00:00:01 UTC,purchase,2,,b,33.20,6,s2"""
    )
    assert (found.columns["kind"], found.columns["session_id"], found.columns["unit_price"]) == (
        "event_type",
        "user_session",
        "price",
    )
    assert not any("zone" in note for note in found.notes)


def test_a_view_log_without_kinds_and_prices_is_read_as_views_and_says_so():
    found = guess("timestamp,visitorid,itemid\n1433221332117,257597,355908\n1433224214164,992329,248676")
    assert (found.time_format, found.constants) == ("epoch", {"kind": "view"})
    assert any("every row is read as a product view" in note for note in found.notes)


def test_a_log_with_purchases_but_no_price_says_that_money_is_unknown():
    found = guess("timestamp,visitorid,event,itemid\n1433221332117,1,view,3\n1433224214164,2,transaction,4")
    assert any("no price or amount" in note for note in found.notes)


def test_a_bank_with_clock_column_and_currency_in_the_header():
    found = guess(
        """TransactionID,CustomerID,CustomerDOB,CustGender,TransactionDate,TransactionTime,TransactionAmount (INR)
        T1,C1,10/1/94,F,2/8/16,143207,25
        T2,C2,4/4/57,M,21/8/16,41858,27999"""
    )
    assert (found.columns["time"], found.columns["clock"]) == ("TransactionDate", "TransactionTime")
    assert (found.columns["amount"], found.currency, found.time_format) == (
        "TransactionAmount (INR)",
        "INR",
        "%d/%m/%y",
    )


def test_a_bank_statement_with_spending_below_zero_and_decimal_commas():
    found = guess(
        'date,account,description,amount\n01/02/2024,A1,SHOP,"-12,50"\n15/02/2024,A1,PAY,"2.300,00"\n16/02/2024,A1,BAR,"-3,00"'
    )
    assert (found.spending, found.decimal, found.time_format) == ("negative", ",", "%d/%m/%Y")
    assert found.columns["product_id"] == "description"


def test_a_grocery_log_that_counts_days_and_has_negative_discounts():
    found = guess(
        """household_key,BASKET_ID,DAY,PRODUCT_ID,QUANTITY,SALES_VALUE,STORE_ID,RETAIL_DISC,TRANS_TIME,COUPON_DISC
        2375,26984851472,1,1004906,1,1.39,364,-0.6,1631,0
        2375,26984851472,1,1033142,1,0.82,364,0,1631,0"""
    )
    assert (found.time_format, found.discount) == ("days", "negative")
    assert any("day 0 is not known" in note for note in found.notes)


def test_chinese_names():
    found = guess("用户ID,商品ID,行为类型,时间,金额\n1,100,浏览,2024-01-01 10:00:00,\n1,100,购买,2024/1/2 10:00,￥25.5")
    assert set(found.columns) == {"time", "customer_id", "product_id", "kind", "amount"}
    assert (found.currency, any("￥" in note for note in found.notes)) == ("CNY", True)


def test_segment_and_ga4_names():
    segment = guess(
        """messageId,userId,event,timestamp,receivedAt,properties.product_id,properties.order_id,properties.price
        m1,u1,Product Viewed,2024-05-01T10:00:00.000Z,2024-05-01T10:00:01Z,p1,,9.99
        m1,u1,Product Viewed,2024-05-01T10:00:00.000Z,2024-05-01T10:00:02Z,p1,,9.99"""
    )
    assert (segment.columns["event_id"], segment.columns["received"]) == ("messageId", "receivedAt")
    assert (segment.columns["product_id"], segment.columns["unit_price"]) == (
        "properties.product_id",
        "properties.price",
    )
    ga4 = guess("event_timestamp,event_name,user_pseudo_id,items.item_id\n1609459200123456,view_item,u,sku1")
    assert (ga4.time_format, ga4.columns["product_id"]) == ("epoch", "items.item_id")


def test_the_order_total_repeated_on_each_line_is_not_taken_for_the_lines_amount():
    lines = pl.DataFrame(
        {
            "customer_id": ["c"] * 24,
            "order_date": ["2024-01-01"] * 24,
            "order_id": [str(i // 2) for i in range(24)],
            "product_id": [str(i) for i in range(24)],
            "order_total": [str(10 + i // 2) for i in range(24)],
        }
    )
    shared = guess_mapping("events", lines)
    assert shared.shared == ("amount",)
    cents = clean_events(raw(lines), shared, RULES).accepted().project("revenue_cents").fetchall()
    assert sum(each for (each,) in cents) == 100 * sum(10 + i for i in range(12))
    first = lines.with_columns(order_total=pl.when(pl.int_range(24) % 2 == 0).then("order_total").otherwise(None))
    assert guess_mapping("events", first).shared == ("amount",)
    lines_of_their_own = lines.with_columns(order_total=pl.col("product_id"))
    assert guess_mapping("events", lines_of_their_own).shared == ()
    priced = guess_mapping("events", lines.with_columns(price=pl.lit("5")))
    assert ("amount" not in priced.columns, priced.columns["unit_price"]) == (True, "price")


def test_codes_one_to_four_of_public_click_logs():
    found = guess("user_id,item_id,behavior_type,time\n1,2,1,2014-12-06 02\n1,3,4,2014-12-07 11")
    assert found.kinds == {"1": "view", "2": "other", "3": "add_to_cart", "4": "purchase"}
    assert found.time_format == "%Y-%m-%d %H"


def test_minor_units_are_read_from_the_name():
    assert guess("user,ts,amount_cents\n1,2024-01-01,250").money == "minor"


def test_the_columns_of_our_own_tables_are_known_with_their_discounts():
    shop = tiny_shop()
    events = guess_mapping("events", shop.events)
    found = {role: events.sources(role) for role in ("amount", "list_amount", "shelf_discount", "coupon_discount")}
    assert found == {
        "amount": ("revenue_cents",),
        "list_amount": ("list_cents",),
        "shelf_discount": ("shelf_cents",),
        "coupon_discount": ("coupon_cents",),
    }
    assert events.money == "minor"
    assert guess_mapping("promotions", shop.exposures).sources("end") == ("end_ms",)


def test_a_file_without_customer_or_time_is_refused_with_its_columns_and_the_remedy():
    with raises_code("column_unrecognized", "customerID, gender, tenure", "--map time=COLUMN"):
        guess("customerID,gender,tenure\n7590-VHVEG,Female,1")
    with raises_code("column_unrecognized", "customer_id", "a, date"):
        guess("a,date\nx,2024-01-01")


def test_products_and_customers_may_stand_in_the_events_file():
    text = """event_time,product_id,category_code,brand,price,user_id
        2019-10-01,1,electronics.phone.smart,a,35.79,5
        2019-10-02,2,home.lamp,b,33.20,6"""
    products = guess(text, "products")
    assert (products.columns["category"], products.category_path, products.columns["price"]) == (
        "category_code",
        ".",
        "price",
    )
    people = guess("Customer ID,First Name,Last Name,Gender,opt_in\n1,Ann,Lee,F,yes", "customers")
    assert (people.columns["name"], people.columns["consent"]) == (("First Name", "Last Name"), "opt_in")
    kunden = guess("Kunde,Vorname,Nachname,Newsletter\nK1,Ann,Lee,ja", "customers")
    assert (kunden.columns["name"], kunden.columns["consent"]) == (("Vorname", "Nachname"), "Newsletter")


def test_a_file_of_reviews_that_say_the_same_again_and_who_may_be_read():
    said = (
        "太贵了",
        "很好喝",
        "Broken",
        "Great tea",
        "到货慢",
        "不错",
        "Too late",
        "还行",
        "好评",
        "ok then",
        "退款",
        "坏了",
        "Nice",
    )
    rows = "\n".join(f"c{n},2026-05-{n % 28 + 1:02d} 10:00,{said[n % 13]},yes" for n in range(80))
    found = guess(f"member,at,review,may_read\n{rows}", "words")
    assert (found.columns["text"], found.columns["consent"]) == ("review", "may_read")
    with raises_code("column_unrecognized", "--map words.text=COLUMN", "member, at, stars"):
        guess("member,at,stars\nc1,2026-05-01 10:00,5\nc2,2026-05-02 10:00,4", "words")


def test_a_plain_id_is_the_key_of_a_products_or_customers_file():
    found = guess("id,masterCategory,articleType,productDisplayName\n1,Apparel,Shirts,Blue shirt", "products")
    assert found.columns == {
        "product_id": "id",
        "category": "masterCategory",
        "type": "articleType",
        "name": "productDisplayName",
    }
    assert guess("id,age\n1,30", "customers").columns == {"customer_id": "id", "age": "age"}


def test_a_products_description_is_never_taken_for_a_customers_name():
    text = "InvoiceNo,StockCode,Description,Name,CustomerID,Gender\n1,A,MUG,x,7,F\n2,B,CUP,y,8,M"
    inside = {"leave": ["InvoiceNo"]}
    assert guess(text, "customers", **inside).columns == {"customer_id": "CustomerID", "sex": "Gender"}
    assert guess(text, "products", **inside).columns == {"product_id": "StockCode", "name": "Description"}
    assert guess("CustomerID,Name\n7,Ann", "customers").columns["name"] == "Name"


def test_promotions_with_start_end_and_redemption():
    text = """customer_id,campaign_id,coupon_id,sent_at,valid_until,redeemed_at
        1,c1,k,2024-01-01,2024-02-01,2024-01-05
        2,c1,k,2024-01-01,2024-02-01,"""
    found = guess(text, "promotions")
    assert (found.columns["start"], found.columns["end"], found.columns["redeemed_at"]) == (
        "sent_at",
        "valid_until",
        "redeemed_at",
    )


def test_columns_can_be_left_out_and_zone_and_currency_given():
    found = guess("user,visitor,ts,price\n1,2,2024-01-01,5", zone="Asia/Shanghai", currency="CNY", leave=["user"])
    assert (found.columns["customer_id"], found.zone, found.currency) == ("visitor", "Asia/Shanghai", "CNY")
    assert not any("zone" in note for note in found.notes)
