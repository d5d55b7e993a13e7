"""Logs of shops that nobody prepared: no year, no price, no quantity, prices scaled down, codes for words."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from data_helpers import RULES, events, frame, raw
from error_checks import raises_code

from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.cleaning.data_health import health
from promolift.shop.ingest.cleaning.data_summary import Summary, shard_sums, summarise
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_cleaning import clean_customers, clean_exposures, clean_products
from promolift.shop.ingest.cleaning.table_join import order_lines
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping
from promolift.shop.ingest.setup.initialisation import guess_tables, init
from promolift.shop.results.ingest import Counts


def guess(text: str, table: str = "events", **options: object) -> Mapping:
    return guess_mapping(table, frame(text), **options)  # type: ignore[arg-type]


def mappings(store: Store, files: dict[str, Path]) -> dict[str, Mapping]:
    return {part.name: part.mapping for part in guess_tables(store, files)}


def days(text: str, how: Mapping) -> list[str]:
    return [f"{datetime.fromtimestamp(int(str(row['ts_ms'])) / 1000, UTC):%Y-%m-%d %H:%M}" for row in events(text, how)]


def test_a_date_in_three_columns_is_one_time():
    text = "User,Year,Month,Day,Time,Amount\n7,2015,1,5,06:21,$3.00\n7,2015,11,28,23:00,$4.50\n7,2015,2,30,1:00,$5"
    found = guess(text)
    assert (found.columns["time"], found.columns["clock"]) == (("Year", "Month", "Day"), "Time")
    assert days(text, found) == ["2015-01-05 06:21", "2015-11-28 23:00"]  # there is no February 30th
    assert any("no zone" in note for note in found.notes)
    with raises_code("setting_invalid", "time "):
        Mapping.parse({"table": "events", "columns": {"customer_id": "a", "time": ["b", "c"]}}, "t")


def test_a_month_and_day_without_a_year_get_the_year_of_the_origin():
    text = "user_id,item_id,time_stamp,action_type\n1,2,829,0\n1,2,1111,2\n1,3,0512,3"
    found = guess(text)
    assert (found.time_format, found.time_origin) == ("%m%d", "2000-01-01")
    assert any("no year" in note for note in found.notes)
    assert days(text, found.model_copy(update={"time_origin": "2014-01-01"})) == [
        "2014-05-12 00:00",
        "2014-08-29 00:00",
        "2014-11-11 00:00",
    ]
    with raises_code("setting_missing", "%m%d", "time_origin"):
        Mapping.parse({"table": "events", "columns": {"customer_id": "a", "time": "b"}, "time_format": "%m%d"}, "t")


def test_a_count_of_days_is_no_month_and_day():
    rows = "\n".join(f"1,{day},5" for day in range(98, 140))
    assert guess(f"household_key,date,amount\n{rows}").time_format == "days"


def test_codes_zero_to_three_of_public_click_logs():
    found = guess("user_id,item_id,action_type,time\n1,2,0,2014-12-06 02:00\n1,3,2,2014-12-07 11:00")
    assert found.kinds == {"0": "view", "1": "add_to_cart", "2": "purchase", "3": "other"}
    assert any("set kinds" in note for note in found.notes)


def test_an_amount_of_pieces_beside_a_price_is_a_quantity():
    text = "CUSTOMER_ID,TRANSACTION_DT,PRODUCT_ID,AMOUNT,SALES_PRICE\n1,11/13/2000,7,2,44\n2,11/14/2000,8,1,129"
    found = guess(text)
    assert (found.columns["quantity"], found.columns["amount"]) == ("AMOUNT", "SALES_PRICE")
    assert [(row["quantity"], row["revenue_cents"]) for row in events(text, found)] == [(2.0, 4400), (1.0, 12900)]
    alone = guess("CUSTOMER_ID,TRANSACTION_DT,PRODUCT_ID,AMOUNT\n1,11/13/2000,7,2")
    assert (alone.columns["amount"], "quantity" in alone.columns) == ("AMOUNT", False)
    money = guess("CUSTOMER_ID,TRANSACTION_DT,AMOUNT,PRICE\n1,11/13/2000,24.50,3\n1,11/14/2000,9.90,3")
    assert money.columns["amount"] == "AMOUNT"


def test_prices_scaled_down_keep_their_digits_and_say_so():
    text = "t_dat,customer_id,article_id,price\n2018-09-20,a,0663713001,0.0508\n2018-09-21,a,0541518023,0.0305"
    found = guess(text)
    assert found.scale == 1000
    assert [row["revenue_cents"] for row in events(text, found)] == [5080, 3050]
    assert [row["product_id"] for row in events(text, found)] == ["0663713001", "0541518023"]  # zeros are kept
    assert any("set scale" in note for note in found.notes)
    assert guess(text.replace("0.0", "10.0")).scale == 1


def test_equal_rows_are_units_only_where_nothing_could_tell_them_apart():
    text = "t_dat,customer_id,article_id,price\n2018-09-20,a,1,5\n2018-09-20,a,1,5"
    found = guess(text)
    assert (found.repeats, len(events(text, found))) == ("units", 2)
    counted = "t_dat,customer_id,article_id,price,quantity\n2018-09-20,a,1,5,1\n2018-09-20,a,1,5,1"
    assert len(events(counted, guess(counted))) == 1
    ordered = text.replace("price", "order_id")
    assert (guess(ordered).repeats, len(events(ordered, guess(ordered)))) == ("lines", 2)
    assert guess(text.replace("price", "event_id")).repeats == "duplicates"
    timed = text.replace("-20", "-20 10:00:00")
    assert len(events(timed, guess(timed))) == 1


def test_tables_meet_in_the_column_that_the_events_call_the_same():
    articles = "product_code,article_id,prod_name\n663713,0663713001,Top\n663713,0663713002,Top"
    assert guess(articles, "products").columns["product_id"] == "product_code"
    assert guess(articles, "products", keys={"product_id": "article_id"}).columns["product_id"] == "article_id"
    assert guess("id,age\n1,30", "customers", keys={"customer_id": "customer_id"}).columns["customer_id"] == "id"


def test_an_id_that_names_the_person_goes_before_one_that_names_the_order():
    found = guess("order_id,customer_id,customer_unique_id,order_date,price\n1,a,x,2018-01-01,5\n2,b,x,2018-01-09,5")
    assert found.columns["customer_id"] == "customer_unique_id"


def test_columns_that_were_made_anonymous_keep_their_names():
    found = guess("ITEM_COUNT,I_DATE,PURCHASEID_hash,USER_ID_hash,COUPON_ID_hash\n1,2011-07-01 10:00:00,p,u,c")
    assert found.columns == {
        "time": "I_DATE",
        "customer_id": "USER_ID_hash",
        "order_id": "PURCHASEID_hash",
        "quantity": "ITEM_COUNT",
        "product_id": "COUPON_ID_hash",
    }


def test_coupons_received_and_used_are_promotions():
    text = """User_id,Merchant_id,Coupon_id,Discount_rate,Date_received,Date
        1,9,k1,150:20,20160101,
        2,9,k1,150:20,20160102,20160105"""
    found = guess(text, "promotions")
    assert {role: found.columns[role] for role in ("campaign_id", "start", "redeemed_at", "coupon_id")} == {
        "campaign_id": "Coupon_id",
        "start": "Date_received",
        "redeemed_at": "Date",
        "coupon_id": "Coupon_id",
    }
    assert (found.constants, any("no end" in note for note in found.notes)) == ({"valid_days": "30"}, True)
    sent = clean_exposures(raw(text), found, RULES).accepted().project("(end_ms - start_ms + 1) / 86400000")
    assert sent.fetchall() == [(30.0,), (30.0,)]
    bought = guess(text)
    assert "shelf_discount" not in bought.columns  # 150:20 is no number
    assert bought.constants == {"kind": "purchase"}  # a log of days is no click log
    sent = guess("customer_id,campaign_id,start_date,date\n1,c,2024-01-01,2024-01-01", "promotions")
    assert "redeemed_at" not in sent.columns  # a date that nobody lacks


def test_campaigns_that_count_days_start_and_end():
    found = guess("household_key,CAMPAIGN,START_DAY,END_DAY\n1,8,412,460\n2,9,435,467", "promotions")
    assert (found.columns["start"], found.columns["end"], found.time_format) == ("START_DAY", "END_DAY", "days")


def test_a_level_named_after_the_product_is_its_category():
    inside = {"leave": ["SPEND"], "keys": {"product_id": "PROD_CODE"}}
    found = guess("PROD_CODE,PROD_CODE_10,PROD_CODE_20,SPEND\np1,c1,d1,2\np2,c1,d1,3", "products", **inside)
    assert found.columns["category"] == "PROD_CODE_10"


def test_a_cost_beside_the_total_of_a_line_is_not_the_cost_of_a_piece(tmp_path: Path):
    text = "user,date,product,category,qty,cost,{0}\na,2024-01-01,x,tea,2,6,10\nb,2024-01-02,x,tea,1,3,5\n"
    for paid in ("amount", "unit_price"):
        (tmp_path / "e.csv").write_text(text.format(paid))
        with Store(tmp_path / "work") as store:
            found = mappings(store, {"events": tmp_path / "e.csv"})["products"]
        assert found.sources("quantity") == (("qty",) if paid == "amount" else ())
        rows = raw("product,category,cost,qty,unit_price\nx,tea,6,2,4")
        cost = clean_products(rows, found, RULES).accepted().project("cost_cents").fetchall()
        assert cost == [(300 if paid == "amount" else 600,)]


def test_ages_are_years_and_codes_of_age_groups_are_not():
    people = "customer_id,age\na,35.0\nb,25-34\nc,"
    cleaned = clean_customers(raw(people), guess(people, "customers"), RULES)
    assert cleaned.accepted().project("age").fetchall() == [("35",), ("25-34",), (None,)]
    assert "age" not in guess("user_id,age_range,gender\n1,6,0\n2,3.0,1\n3,,0", "customers").columns


def test_a_currency_that_nobody_named_is_told():
    note = "no currency is named"
    assert any(note in each for each in guess("user,date,price\n1,2024-01-01,5").notes)
    assert not any(note in each for each in guess("user,date,price\n1,2024-01-01,£5").notes)
    assert not any(note in each for each in guess("user,date,price\n1,2024-01-01,5", currency="EUR").notes)


def test_customers_who_never_come_back_may_be_orders():
    orders = Summary(rows=200, customers=200, orders=200, buyers=200, bought=200, revenue_cents=5)
    told = health([Counts("events")], orders).warnings
    assert any("names orders or visits, not people" in warning for warning in told)
    known = Summary(rows=200, customers=100, orders=200, buyers=100, repeaters=100, bought=200, revenue_cents=5)
    assert not any("not people" in warning for warning in health([Counts("events")], known).warnings)


def test_returns_are_told():
    text = """Invoice,StockCode,Quantity,InvoiceDate,Price,Customer ID
        1,a,6,2010-12-01 08:26:00,2.55,17850.0
        C2,a,-6,2010-12-02 08:26:00,2.55,17850.0
        3,a,6,2010-12-02 09:26:00,2.55,"""
    cleaned = clean_events(raw(text), guess(text), RULES)
    assert (cleaned.counts().counted, cleaned.counts().rejected) == ({"refund": 1}, {"missing customer": 1})
    summary = summarise([shard_sums(cleaned.accepted())])
    assert "1 events are returns" in health([cleaned.counts()], summary).abilities[0].reason


@pytest.mark.parametrize(
    ("column", "values", "unit", "last"),
    [
        ("time", [0, 6, 714, 168, 96, 77], "hours", "2000-01-30 18:00"),
        ("timestamp", [0, 51, 2671199, 99999, 61], "seconds", "2000-01-31 21:59"),
    ],
)
def test_a_clock_that_starts_at_nought_counts_hours_or_seconds(column, values, unit, last):
    text = f"customer_id,item_id,{column}\n" + "\n".join(f"c{n},i,{value}" for n, value in enumerate(values))
    found = guess(text)
    assert (found.columns["time"], found.time_format, found.time_origin) == (column, unit, "2000-01-01")
    assert any(f"counts {unit}" in note and "time_origin" in note for note in found.notes)
    assert max(days(text, found)) == last


def test_an_export_of_orders_is_read_by_its_lines():
    found = guess(
        "Name,Email,Financial Status,Total,Discount Amount,Created at,Lineitem quantity,Lineitem price,Lineitem sku\n"
        "#1001,a@x.com,paid,57,3,2024-01-01 09:59:00 -0500,2,12.5,S1\n"
        "#1001,a@x.com,,,,2024-01-01 09:59:00 -0500,1,25,S2"
    )
    roles = ("order_id", "customer_id", "unit_price", "quantity", "product_id", "status")
    assert [found.columns[role] for role in roles] == [
        *("Name", "Email", "Lineitem price", "Lineitem quantity", "Lineitem sku", "Financial Status")
    ]
    assert not {"amount", "shelf_discount"} & found.columns.keys()
    assert any("of the whole order, left out" in note for note in found.notes)
    total = guess("user,order_id,order_date,order_total,line_item_quantity,line_item_total\na,1,2024-01-01,30,1,10")
    assert total.columns["amount"] == "line_item_total"
    alone = guess("user,order_id,order_date,order_total,line_item_quantity\na,1,2024-01-01,30,1")
    assert alone.columns["amount"] == "order_total"


def test_who_and_what_stand_in_columns_of_other_names():
    seen = guess("session,aid,ts,type\n1,59,1661724000278,clicks\n1,11,1661724000378,carts\n2,11,1661724000378,orders")
    assert (seen.columns["kind"], seen.columns["product_id"]) == ("type", "aid")
    told = guess("user,time_stamp,btag,cate\n5,1493741625,pv,62\n5,1493741626,buy,62\n7,1493776998,cart,11")
    assert (told.columns["kind"], told.columns["product_id"]) == ("btag", "cate")
    paid = guess("user,time,how,amount\n5,2024-01-01,credit,3\n5,2024-01-02,debit,4\n7,2024-01-03,credit,4")
    assert "kind" not in paid.columns  # how it was paid, not what was done
    known = guess("id,chain,date,purchaseamount\n86,205,2012-03-02,7.59\n86,205,2012-03-02,1.59\n9,15,2012-03-02,1")
    assert known.columns["customer_id"] == "id"
    with raises_code("column_unrecognized", "--map customer_id="):
        guess("id,date,amount\n1,2012-03-02,7.59\n2,2012-03-02,1.59\n3,2012-03-02,1")


def test_an_hour_of_day_is_an_hour():
    text = "user,date,shop_hour,item,price\n1,2024-01-01,8,a,1\n1,2024-01-01,21,b,2\n1,2024-01-02,1432,b,2"
    found = guess(text)
    assert found.columns["clock"] == "shop_hour"
    assert days(text, found) == ["2024-01-01 08:00", "2024-01-01 21:00", "2024-01-02 14:32"]


GAPS = """user_id,order_id,order_number,order_hour_of_day,days_since_prior_order,product_id
    1,11,1,08,,a
    1,11,1,08,,b
    1,13,3,23,7.0,a
    1,12,2,10,30.0,a
    1,12,2,10,30.0,a
    2,21,1,00,,b
    3,31,1,05,4.0,
    3,,,05,4.0,b"""


def test_days_since_the_order_before_count_back_from_the_last_order_of_each():
    found = guess(GAPS)
    assert (found.time_format, found.columns["time"]) == ("gaps", "days_since_prior_order")
    assert (found.columns["sequence"], found.columns["clock"]) == ("order_number", "order_hour_of_day")
    assert any("last order of each customer is put on" in note for note in found.notes)
    assert days(GAPS, found) == [
        *["2000-11-24 08:00"] * 2, *["2000-12-24 10:00"] * 2, "2000-12-31 23:00", "2000-12-31 00:00", "2000-12-31 05:00"
    ]  # fmt: skip
    counts = clean_events(raw(GAPS), found, RULES).counts()
    assert (counts.read, counts.rejected_rows, counts.repaired) == (8, 1, {})
    with raises_code("setting_missing", "gaps", "columns.sequence"):
        Mapping.parse({"table": "events", "columns": {"customer_id": "a", "time": "b"}, "time_format": "gaps"}, "t")


def test_minutes_are_counted_where_the_settings_say_so():
    how = {"table": "events", "columns": {"customer_id": "user", "time": "t"}, "time_format": "minutes"}
    told = Mapping.parse(how | {"time_origin": "2024-02-28", "constants": {"kind": "view"}}, "t")
    assert days("user,t\nc,0\nc,1530", told) == ["2024-02-28 00:00", "2024-02-29 01:30"]


def test_a_time_of_day_or_a_number_of_anything_is_no_such_clock():
    clock = "customer_id,day,trans_time\n1,8,1432\n1,98,959\n1,121,2359\n2,3,0"
    assert guess(clock).columns["time"] == "day"
    with raises_code("column_unrecognized", "--map time=", "order_hour"):
        guess("customer_id,item_id,order_hour\n1,2,8\n2,3,23")
    with raises_code("column_unrecognized", "--map time=", "clicks"):
        guess("customer_id,item_id,clicks\n1,2,8\n2,3,23000")


def test_fields_of_nested_records_are_known_by_their_last_name():
    found = guess("person,event,value.amount,value.offer id,time\na,transaction,3.5,,0\nb,offer received,,o1,690")
    assert (found.columns["customer_id"], found.columns["amount"]) == ("person", "value.amount")


def test_the_catalogue_and_the_log_meet_in_a_column_both_have(tmp_path: Path):
    (tmp_path / "e.csv").write_text("user_id,asin,parent_asin,timestamp\n1,a1,p,1600000000\n2,a2,p,1600000001\n")
    (tmp_path / "p.csv").write_text("title,parent_asin\nThing,p\nOther,q\n")
    with Store(tmp_path / "work") as store:
        found = mappings(store, {"events": tmp_path / "e.csv", "products": tmp_path / "p.csv"})
    assert found["events"].columns["product_id"] == found["products"].columns["product_id"] == "parent_asin"
    assert any("'parent_asin' is what both files have" in note for note in found["events"].notes)


def test_a_catalogue_that_cannot_be_used_is_told(tmp_path: Path):
    (tmp_path / "e.csv").write_text("user_id,order_id,order_date\n1,o1,2024-01-01\n2,o2,2024-01-02\n")
    (tmp_path / "p.csv").write_text("product_id,category\na,tea\nb,tea\n")
    (tmp_path / "long.csv").write_text("timestamp,itemid,property,value\n1431226800000,1,categoryid,5\n")
    with Store(tmp_path / "work") as store:
        notes = mappings(store, {"events": tmp_path / "e.csv", "products": tmp_path / "p.csv"})["products"].notes
        assert any("the events name no product" in note for note in notes)
        (tmp_path / "e.csv").write_text("user_id,itemid,time\n1,1,2024-01-01\n2,1,2024-01-02\n")
        notes = mappings(store, {"events": tmp_path / "e.csv", "products": tmp_path / "long.csv"})["products"].notes
    assert any("one row per property" in note for note in notes)


def test_a_log_of_what_was_shown_is_no_log_of_purchases():
    found = guess("timestamp,uid,campaign,conversion,click,cost\n1600000000,1,2,0,1,0.5\n1600000001,2,2,1,0,0.7")
    assert found.constants == {"kind": "view"}
    assert any("'conversion', 'click' of 0 or 1" in note for note in found.notes)
    bought = guess("time,user,quantity,price,label\n2024-01-01,1,2,3.5,1\n2024-01-02,2,1,2,0")
    assert bought.constants == {"kind": "purchase"}


def test_cells_that_hold_records_are_told_and_no_name():
    found = guess(
        "person,event,value,time\na,transaction,{'amount': 3.5},2024-01-01\nb,view,{'offer id': 'x'},2024-01-02"
    )
    assert any("'value': each cell holds a record" in note for note in found.notes)
    assert (
        guess("id|title|description\n1|Thing|[]\n2|Other|[]".replace("|", ","), "products").columns["name"] == "title"
    )


def test_an_age_nobody_has_is_missing_and_counted():
    people = "customer_id,age\na,118\nb,-7491\nc,45\nd,25-34\ne,\nf,0"
    cleaned = clean_customers(raw(people), guess(people, "customers"), RULES)
    assert [age for (age,) in cleaned.accepted().order("customer_id").project("age").fetchall()] == [
        *(None, None, "45", "25-34", None, "0"),
    ]
    assert cleaned.counts().repaired == {"impossible age": 2}


@pytest.mark.parametrize(
    ("column", "cells", "seconds"),
    [("dwell_time", ["12", "0.5"], [12.0, 0.5]), ("engagement_time_msec", ["12000", "500"], [12.0, 0.5]),
     ("浏览时长", ["12", "-3"], [12.0, None])],
)  # fmt: skip
def test_how_long_they_looked_is_read_in_seconds(column, cells, seconds):
    text = f"user,date,item,event,{column}\nu,2024-01-01 10:00:00,a,view,{cells[0]}\n"
    text += f"u,2024-01-01 10:01:00,b,view,{cells[1]}\n"
    found = guess(text)
    assert found.columns["dwell"] == column
    assert [row["dwell_s"] for row in events(text, found)] == seconds


def test_only_lists_of_things_are_baskets():
    def told(cell: str, column: str = "lines") -> Mapping:
        quoted = cell.replace('"', '""')
        rows = "".join(f'u{n},2024-01-0{1 + n} 10:00:00,{n}.50,"{quoted}"\n' for n in range(4))
        return guess(f"user,date,total,{column}\n{rows}")

    things = told('[{"sku": "a", "qty": 2}, {"sku": "b", "qty": 1}]')
    assert (things.basket, things.columns["product_id"], things.shared) == ("lines", "lines.sku", ("amount",))
    assert told('[{"key": "page", "value": "home"}]').basket == ""
    assert told('[{"colour": "red"}]').basket == ""
    assert told("2 x Tea, 1 x Cup", "what").columns["quantity"] == "what.quantity"
    assert told("Tea, green", "what").basket == ""


def test_a_basket_is_split_with_its_money_to_the_cent():
    text = """user,date,total,order,what
        u,2024-01-01 10:00:00,10.00,1,"2 x Tea, 1 x Cup"
        u,2024-01-02 10:00:00,5.55,2,"1 x Tea, 1 x Tea"
        u,2024-01-03 10:00:00,7.00,3,"1 x Cup"
        """
    found = guess(text)
    cleaned = clean_events(order_lines(raw(text), found), found, RULES)
    rows = cleaned.accepted().project("order_id, product_id, quantity, revenue_cents").fetchall()
    assert sorted(rows) == [
        ("1", "Cup", 1.0, 333), ("1", "Tea", 2.0, 667), ("2", "Tea", 1.0, 277), ("2", "Tea", 1.0, 278),
        ("3", "Cup", 1.0, 700),
    ]  # fmt: skip
    counts = cleaned.counts()
    assert (counts.read, counts.split) == (5, 2)


def test_money_that_no_name_tells_is_found_by_its_values_and_asked():
    """A price stays with its product, an amount with product and count; a random number is neither."""
    price = {"a": 3.90, "b": 12.50, "c": 8.99, "d": 21.40}
    lines = []
    for n in range(400):
        what, units = "abcd"[n * 7 % 4], 1 + n % 3
        key = f"K{n % 37},2026-0{1 + n % 9}-{1 + n % 28:02d},B{n // 3},{what},{units}"
        lines.append((key, price[what], price[what] * units, (n * 7919 % 1000) / 100 + 0.01))
    head = "customer_id,date,order_id,product_id,quantity"
    one = guess("\n".join([f"{head},XZ,noise", *(f"{key},{p:.2f},{x:.2f}" for key, p, _, x in lines)]))
    assert one.columns["unit_price"] == "XZ"
    assert any("NOT SURE" in note and "XZ" in note for note in one.notes)
    line = guess("\n".join([f"{head},noise,XZ", *(f"{key},{x:.2f},{a:.2f}" for key, _, a, x in lines)]))
    assert line.columns["amount"] == "XZ"
    none = guess("\n".join([f"{head},noise", *(f"{key},{x:.2f}" for key, _, _, x in lines)]))
    assert not {"amount", "unit_price"} & none.columns.keys()


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("CPF do cliente", "customer_id"), ("Código del Cliente", "customer_id"), ("Nummer des Kunden", "customer_id"),
        ("Date de la commande", "time"), ("N° de commande", "order_id"),
    ],
)  # fmt: skip
def test_small_words_between_the_parts_of_a_name_do_not_hide_its_role(column: str, role: str) -> None:
    others = {"customer_id": "customer", "time": "ts", "order_id": "order", "quantity": "qty", "amount": "amount"}
    names = [column if each == role else name for each, name in others.items()]
    rows = "\n".join(f"c{n % 7},2026-01-{n % 28 + 1:02d},o{n // 3},{n % 3 + 1},{n}.50" for n in range(60))
    assert guess(f"{','.join(names)}\n{rows}").columns[role] == column


def lines(orders: int, extra: str = "") -> list[str]:
    return [f"c{o * 7 % 23},2026-01-{o % 28 + 1:02d}T0{line}:00,R{o},p{line * 3 + o % 3},2.50{extra}"
            for o in range(orders) for line in range(3)]  # fmt: skip


def test_a_column_of_currency_codes_is_the_currency_whatever_it_is_called() -> None:
    found = guess("\n".join(["who,at,bon_nr,sku,price,cy", *lines(30, ",GBP")]).replace("who", "customer"))
    assert (found.currency, found.columns["currency"]) == ("GBP", "cy")
    with raises_code("currency_mixed", "'cy'", "GBP (50%)", "EUR (50%)"):
        guess("\n".join(["customer,at,bon_nr,sku,price,cy", *lines(30, ",GBP"), *lines(30, ",EUR")]))


def test_what_ties_the_lines_of_one_purchase_is_the_order_and_is_asked() -> None:
    text = "\n".join(["customer,at,zref,sku,price", *lines(40)])
    found = guess(text)
    assert found.columns["order_id"] == "zref"
    assert any("NOT SURE" in note and "zref" in note for note in found.notes)
    same = [re.sub(r",R\d+,", ",R1,", row) for row in lines(40)]
    assert "order_id" not in guess("\n".join(["customer,at,zref,sku,price", *same])).columns


@pytest.mark.parametrize(
    ("header", "currency", "zone"),
    [
        ("会员号,下单时间,商品编码,数量,实付金额", "CNY", "Asia/Shanghai"),
        ("会員番号,購入日時,商品コード,個数,お支払い金額", "JPY", "Asia/Tokyo"),
        ("кодклиента,Дата,Товар,Количество,Сумма", "RUB", "Europe/Moscow"),
        ("customer,time,sku,qty,amount", "USD", "UTC"),
    ],
)
def test_names_in_one_script_tell_where_the_shop_is_and_that_it_is_a_guess(
    header: str, currency: str, zone: str
) -> None:
    rows = "\n".join(f"c{n % 7},2026-01-{n % 28 + 1:02d} 10:00,p{n % 5},1,{n + 1}00" for n in range(60))
    found = guess(f"{header}\n{rows}")
    assert (found.currency, found.zone) == (currency, zone)
    assert any(currency in note and "set currency" in note for note in found.notes)
    assert any("zone" in note for note in found.notes)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("会员号,下单时间,商品编码,数量,实付金额", "zh"),
        ("customer,time,sku,qty,amount CNY", "zh"),
        ("customer,time,sku,qty,amount", "en"),
    ],
)
def test_a_shop_with_chinese_names_is_spoken_to_in_chinese(header: str, language: str, tmp_path: Path) -> None:
    rows = "\n".join(f"c{n % 7},2026-01-{n % 28 + 1:02d} 10:00,p{n % 5},1,{n + 1}00" for n in range(60))
    (tmp_path / "log.csv").write_text(f"{header}\n{rows}", encoding="utf-8")
    init({"events": tmp_path / "log.csv"}, tmp_path / "promolift.toml", force=False)
    assert f'languages = ["{language}"]' in (tmp_path / "promolift.toml").read_text(encoding="utf-8")
