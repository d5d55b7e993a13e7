"""Each rule of cleaning on a row small enough to check by hand."""

import polars as pl
import pytest
from data_helpers import RULES, SHOP, clean, events, frame, mapping, raw
from error_checks import raises_code

from promolift.foundation.tables.schemas import EVENTS, REJECTED
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.settings import CleanRules
from promolift.shop.ingest.cleaning.cleaning_rules import RULES as ALL_RULES
from promolift.shop.ingest.cleaning.cleaning_rules import rules_text
from promolift.shop.ingest.cleaning.event_cleaning import add_catalogue_price, clean_events
from promolift.shop.results.ingest import Counts

GOOD = "ann,2024-03-01 10:00:00,tea,7,2,3.50"


def one(row: str, how: Mapping = SHOP, rules: CleanRules = RULES) -> dict[str, object]:
    (event,) = events(f"who,at,item,order,n,price\n{row}", how, rules)
    return event


def reasons(rows: str, how: Mapping = SHOP, rules: CleanRules = RULES) -> dict[str, int]:
    return clean(f"who,at,item,order,n,price\n{rows}", how, rules).counts().rejected


def repairs(rows: str, how: Mapping = SHOP, rules: CleanRules = RULES) -> dict[str, int]:
    return clean(f"who,at,item,order,n,price\n{rows}", how, rules).counts().repaired


def test_a_good_row_comes_out_as_the_table_says():
    assert one(GOOD) == {
        "customer_id": "ann",
        "ts_ms": 1_709_287_200_000,
        "kind": "purchase",
        "product_id": "tea",
        "order_id": "7",
        "store_id": None,
        "channel": None,
        "dwell_s": None,
        "quantity": 2.0,
        "revenue_cents": 700,
        "list_cents": 700,
        "shelf_cents": 0,
        "coupon_cents": 0,
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",2024-03-01,tea,7,2,3", "missing customer"),
        ("NaN,2024-03-01,tea,7,2,3", "missing customer"),
        ("ann,,tea,7,2,3", "missing time"),
        ("ann,yesterday,tea,7,2,3", "unreadable time"),
        ("ann,2024-02-30,tea,7,2,3", "unreadable time"),
        ("ann,1970-01-01,tea,7,2,3", "too early"),
        ("ann,2099-01-01,tea,7,2,3", "in the future"),
        ("ann,2024-03-01,tea,7,2,cheap", "unreadable amount"),
        ("ann,2024-03-01,tea,7,2,", "missing amount"),
        ("ann,2024-03-01,tea,7,two,3", "unreadable amount"),
        ("ann,2024-03-01,tea,7,2,-3", "impossible price"),
        ("ann,2024-03-01,tea,7,-2,-3", "impossible price"),
        ("ann,2024-03-01,tea,7,2,1e300", "impossible price"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(row: str, reason: str):
    cleaned = clean(f"who,at,item,order,n,price\n{GOOD}\n{row}")
    aside = REJECTED.check(cleaned.rejected("shop.csv").pl())
    assert aside.select("source", "row", "reason").rows() == [("shop.csv", 2, reason)]
    assert '"item":"tea"' in aside.item(0, "raw")
    assert cleaned.counts().rejected == {reason: 1}
    assert cleaned.accepted().pl().height == 1


def test_the_first_of_identical_rows_is_kept_and_later_ones_are_duplicates():
    counts = clean(f"who,at,item,order,n,price\n{GOOD}\n{GOOD}\n{GOOD}").counts()
    assert (counts.accepted, counts.rejected) == (1, {"duplicate": 2})
    assert [row for row, _ in counts.first["duplicate"]] == [2, 3]


def test_identical_rows_can_be_kept_where_the_source_has_only_the_day():
    assert reasons(f"{GOOD}\n{GOOD}", SHOP.model_copy(update={"repeats": "units"})) == {}


def test_the_present_moment_is_not_the_future_and_the_next_one_is():
    rules = RULES.model_copy(update={"now_ms": 1_709_287_200_000})
    assert reasons(GOOD, rules=rules) == {}
    assert reasons(GOOD.replace("10:00:00", "10:00:00.001"), rules=rules) == {"in the future": 1}


def test_an_event_id_decides_what_a_duplicate_is_if_nothing_else_speaks_against_it():
    how = mapping("events", {"customer_id": "who", "time": "at", "event_id": "id"}, constants={"kind": "view"})
    rows = """who,at,id,sent
        ann,2024-03-01,m1,a
        ann,2024-03-01,m1,b
        ann,2024-03-02,m1,a
        ann,2024-03-01,m2,a
        bob,2024-03-01,m1,a
        ann,2024-03-01,,a"""
    cleaned = clean(rows, how)
    assert cleaned.counts().rejected == {"duplicate": 1}
    assert cleaned.rejected("x").pl()["row"].to_list() == [2]  # another customer's or another day's m1 is another event


@pytest.mark.parametrize("quantity", ["0", "1001", "89638"])
def test_an_impossible_quantity_becomes_missing_and_the_money_stays(quantity: str):
    how = mapping("events", {"customer_id": "who", "time": "at", "quantity": "n", "amount": "price"})
    row = f"ann,2024-03-01,tea,7,{quantity},3.50"
    event = one(row, how)
    assert (event["quantity"], event["revenue_cents"]) == (None, 350)
    assert repairs(row, how) == {"impossible quantity": 1}


def test_a_negative_quantity_with_a_positive_amount_is_no_refund_but_an_impossible_quantity():
    how = mapping("events", {"customer_id": "who", "time": "at", "quantity": "n", "amount": "price"})
    event = one("ann,2024-03-01,tea,7,-2,3.50", how)
    assert (event["kind"], event["quantity"], event["revenue_cents"]) == ("purchase", None, 350)


@pytest.mark.parametrize(
    "row",
    ["ann,2024-03-01,tea,8,-2,3.50", "ann,2024-03-01,tea,C8,-2,3.50", "ann,2024-03-01,tea,C8,2,3.50"],
)
def test_a_refund_is_recognised_and_its_money_is_negative(row: str):
    event = one(row)
    assert (event["kind"], event["quantity"]) == ("refund", 2.0)
    assert (event["revenue_cents"], event["list_cents"], event["shelf_cents"]) == (-700, -700, 0)


def test_discounts_make_the_list_price_and_a_list_price_below_the_paid_one_is_repaired():
    columns = {
        "customer_id": "who",
        "time": "at",
        "amount": "paid",
        "shelf_discount": "off",
        "coupon_discount": "coupon",
    }
    (event,) = events("who,at,paid,off,coupon\nann,2024-03-01,8,1.50,0.50", mapping("events", columns))
    assert (event["revenue_cents"], event["list_cents"], event["shelf_cents"], event["coupon_cents"]) == (
        800,
        1000,
        150,
        50,
    )
    listed = mapping("events", {"customer_id": "who", "time": "at", "amount": "paid", "list_amount": "list"})
    cleaned = clean("who,at,paid,list\nann,2024-03-01,8,5", listed)
    assert cleaned.accepted().pl()["list_cents"].to_list() == [800]
    assert cleaned.counts().repaired == {"list below revenue": 1}


@pytest.mark.parametrize(
    ("discount", "cell", "shelf"),
    [
        ("positive", "2", 200),
        ("negative", "-2", 200),
        ("rate", "0.2", 200),
        ("percent", "20%", 200),
        ("positive", "-2", 0),
    ],
)
def test_a_discount_is_read_in_each_of_its_four_ways(discount: str, cell: str, shelf: int):
    columns = {"customer_id": "who", "time": "at", "amount": "paid", "shelf_discount": "off"}
    (event,) = events(f"who,at,paid,off\nann,2024-03-01,8,{cell}", mapping("events", columns, discount=discount))
    assert (event["shelf_cents"], event["list_cents"]) == (shelf, 800 + shelf)


def test_amounts_of_several_columns_are_added_and_only_the_first_must_be_there():
    columns = {"customer_id": "who", "time": "at", "amount": ["net", "tax"]}
    rows = "who,at,net,tax\nann,2024-03-01,8,2\nann,2024-03-02,8,\nann,2024-03-03,,2"
    cleaned = clean(rows, mapping("events", columns))
    assert cleaned.accepted().pl()["revenue_cents"].to_list() == [1000, 800]
    assert cleaned.counts().rejected == {"missing amount": 1}


def test_a_price_before_the_discount_gives_what_was_paid():
    columns = {"customer_id": "who", "time": "at", "list_unit_price": "price", "quantity": "n", "shelf_discount": "off"}
    (event,) = events("who,at,price,n,off\nann,2024-03-01,10,3,0.1", mapping("events", columns, discount="rate"))
    assert (event["revenue_cents"], event["list_cents"], event["shelf_cents"]) == (2700, 3000, 300)


def test_a_missing_amount_is_computed_from_price_and_quantity_or_the_catalogue():
    how = mapping(
        "events",
        {
            "customer_id": "who",
            "time": "at",
            "product_id": "item",
            "amount": "paid",
            "unit_price": "price",
            "quantity": "n",
        },
    )
    cleaned = clean("who,at,item,paid,price,n\nann,2024-03-01,tea,,2,3", how)
    assert cleaned.accepted().pl()["revenue_cents"].to_list() == [600]
    assert cleaned.counts().repaired == {"amount computed": 1}
    bare = mapping("events", {"customer_id": "who", "time": "at", "product_id": "item", "quantity": "n"})
    rows = raw("who,at,item,n\nann,2024-03-01,tea,3\nann,2024-03-02,nut,1")
    prices = raw("product_id,price_cents\ntea,250").project("product_id, price_cents::bigint as price_cents")
    priced = clean_events(add_catalogue_price(rows, bare, prices), bare, RULES)
    assert priced.accepted().pl()["revenue_cents"].to_list() == [750, 0]
    assert priced.counts().repaired == {"amount computed": 1}


def test_money_keeps_the_digits_of_its_currency():
    how = mapping("events", {"customer_id": "who", "time": "at", "amount": "paid"}, currency="JPY")
    assert events("who,at,paid\nann,2024-03-01,1200", how)[0]["revenue_cents"] == 1200
    minor = mapping("events", {"customer_id": "who", "time": "at", "amount": "paid"}, money="minor")
    assert events("who,at,paid\nann,2024-03-01,1200", minor)[0]["revenue_cents"] == 1200
    comma = mapping("events", {"customer_id": "who", "time": "at", "amount": "paid"}, decimal=",")
    assert events('who,at,paid\nann,2024-03-01,"1.200,05 €"', comma)[0]["revenue_cents"] == 120_005


def test_rows_in_another_currency_are_set_aside():
    how = mapping("events", {"customer_id": "who", "time": "at", "amount": "paid", "currency": "cur"}, currency="EUR")
    cleaned = clean("who,at,paid,cur\nann,2024-03-01,5,eur\nann,2024-03-01,5,USD\nann,2024-03-01,6,", how)
    assert cleaned.rejected("x").pl().select("row", "reason").rows() == [(2, "other currency")]
    assert cleaned.counts().accepted == 2


def test_event_names_become_kinds_and_unknown_ones_are_counted():
    how = mapping(
        "events", {"customer_id": "who", "time": "at", "kind": "what", "amount": "paid"}, kinds={"Wow": "view"}
    )
    names = ["view", "Product_Viewed", "addtocart", "Order Completed", "退款", "wow", "hm", ""]
    rows = pl.DataFrame({"who": "ann", "at": [f"2024-03-0{i + 1}" for i in range(8)], "what": names, "paid": "5"})
    cleaned = clean(rows, how)
    found = cleaned.accepted().pl()
    assert found["kind"].to_list() == ["view", "view", "add_to_cart", "purchase", "refund", "view", "other", "other"]
    assert found["revenue_cents"].to_list() == [0, 0, 0, 500, -500, 0, 0, 0]
    assert cleaned.counts().counted == {"unknown kind": 2, "refund": 1}


def test_a_cancelled_order_brings_no_money():
    how = mapping("events", {"customer_id": "who", "time": "at", "status": "s", "amount": "paid"})
    cleaned = clean("who,at,s,paid\nann,2024-03-01,Cancelled,5\nann,2024-03-02,delivered,6\nann,2024-03-03,,7", how)
    assert cleaned.accepted().pl()["revenue_cents"].to_list() == [0, 600, 700]
    assert cleaned.counts().counted == {"cancelled": 1}


def test_an_order_is_made_per_customer_and_local_day_where_there_is_none():
    how = mapping("events", {"customer_id": "who", "time": "at", "amount": "paid"}, zone="Asia/Shanghai")
    rows = (
        "who,at,paid\nann,2024-03-01 00:30:00,1\nann,2024-03-01 23:30:00,2\nann,2024-03-02 00:30:00,3\nbob,2024-03-01,4"
    )
    orders = [event["order_id"] for event in events(rows, how)]
    assert orders == ["ann@2024-03-01", "ann@2024-03-01", "ann@2024-03-02", "bob@2024-03-01"]
    assert repairs("ann,2024-03-01,tea,,2,3") == {"missing order": 1}
    views = mapping("events", {"customer_id": "who", "time": "at", "order_id": "order"}, constants={"kind": "view"})
    assert repairs("ann,2024-03-01,tea,,2,3", views) == {}  # a view belongs to no order


def test_late_rows_are_counted_and_kept():
    how = mapping("events", {"customer_id": "who", "time": "at", "received": "got"}, constants={"kind": "view"})
    counts = clean("who,at,got\nann,2024-03-01,2024-03-09\nann,2024-03-01,2024-03-01", how).counts()
    assert (counts.accepted, counts.counted) == (2, {"late": 1})


def test_views_carry_no_money_even_if_the_log_shows_a_price():
    how = mapping("events", {"customer_id": "who", "time": "at", "unit_price": "price"}, constants={"kind": "view"})
    (event,) = events("who,at,price\nann,2024-03-01,9.99", how)
    assert (event["revenue_cents"], event["list_cents"], event["order_id"]) == (0, 0, None)


def test_money_that_comes_in_on_a_bank_statement_is_no_purchase():
    how = mapping("events", {"customer_id": "who", "time": "at", "amount": "sum"}, spending="negative")
    kinds = [
        (event["kind"], event["revenue_cents"])
        for event in events("who,at,sum\na,2024-03-01,-5\na,2024-03-02,900", how)
    ]
    assert kinds == [("purchase", 500), ("other", 0)]


def test_ids_stored_as_reals_lose_their_point_zero():
    table = pl.DataFrame({"who": [17850.0, 12.0, None], "at": ["2024-03-01"] * 3})
    how = mapping("events", {"customer_id": "who", "time": "at"}, constants={"kind": "view"})
    assert [event["customer_id"] for event in events(table, how)] == ["12", "17850"]
    assert [
        event["customer_id"] for event in events("who,at\n17850.0,2024-03-01\n1.50,2024-03-01\nv2.0,2024-03-01", how)
    ] == [
        "1.50",
        "17850",
        "v2.0",
    ]


def test_typed_columns_need_no_format():
    table = pl.DataFrame({"who": [1, 2], "at": ["2024-03-01T10:00:00"] * 2, "paid": [1.25, 2.5]}).with_columns(
        pl.col("at").str.to_datetime()
    )
    how = mapping("events", {"customer_id": "who", "time": "at", "amount": "paid"}, zone="America/New_York")
    found = events(table, how)
    assert [event["ts_ms"] for event in found] == [1_709_305_200_000] * 2
    assert [event["revenue_cents"] for event in found] == [125, 250]


def test_source_columns_named_like_ours_do_no_harm():
    how = mapping("events", {"customer_id": "kind", "time": "order_id", "amount": "ts_ms"})
    (event,) = events("kind,order_id,ts_ms,customer_id,money,word\nann,2024-03-01,5,x,y,z", how)
    assert (event["customer_id"], event["revenue_cents"]) == ("ann", 500)


def test_a_mapping_that_names_a_column_the_file_lacks_is_refused_with_the_nearest_one():
    with raises_code("column_unknown", "'whom'", "customer_id", "'who'", "who, at"):
        clean("who,at\nann,2024-03-01", mapping("events", {"customer_id": "whom", "time": "at"}))


def test_counts_of_parts_add_up_and_survive_json():
    left = clean(f"who,at,item,order,n,price\n{GOOD}\n,,tea,7,1,1").counts()
    right = clean(f"who,at,item,order,n,price\n{GOOD}\nbob,,tea,7,1,1\n{GOOD}").counts()
    both = left + right
    assert (both.read, both.accepted) == (5, 2)
    assert both.rejected == {"duplicate": 1, "missing customer": 1, "missing time": 1}
    lines = pl.DataFrame({"source": ["f"], "row": [9], "reason": ["unreadable row"], "raw": ["{}"]})
    assert (both.with_unreadable(lines).read, both.with_unreadable(lines).rejected_rows) == (6, 4)


def test_every_rule_is_told_in_the_docs_and_has_a_name_of_its_own():
    text = rules_text()
    for rules in ALL_RULES.values():
        assert len({rule.name for rule in rules}) == len(rules)
        assert all(f"| {rule.name} | {rule.action} | {rule.meaning} |" in text for rule in rules)
    assert len(ALL_RULES["events"]) >= 15


def test_no_rows_and_one_row_are_tables_too():
    empty = clean(frame("who,at,item,order,n,price"))
    assert EVENTS.check(empty.accepted().pl()).height == 0
    assert empty.counts() == Counts("events")
