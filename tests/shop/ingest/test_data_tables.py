"""Customers, products, promotions, coupons and shelf: last rows win, ends are whole days, nothing is lost."""

from data_helpers import RULES, mapping, raw

from promolift.foundation.tables.schemas import COUPONS, CUSTOMERS, EXPOSURES, PRODUCTS, REDEMPTIONS, SHELF
from promolift.shop.ingest.cleaning.table_cleaning import (
    clean_coupons,
    clean_customers,
    clean_exposures,
    clean_products,
    clean_redemptions,
    clean_shelf,
    latest_values,
)

DAY_MS = 86_400_000


def test_the_last_row_of_a_customer_wins_and_unknown_columns_are_kept_as_text():
    how = mapping("customers", {"customer_id": "id", "name": ["first", "last"], "language": "lang", "consent": "ok"})
    cleaned = clean_customers(
        raw(
            "id,first,last,lang,ok,City,age\n1,Ann,Lee,en-US,yes,Rome,30\n1,Ann,Li,zh-CN,no,Oslo,31\n,x,y,,,,\n2,,Bo,fr,?,,"
        ),
        how,
        RULES,
    )
    found = CUSTOMERS.check(cleaned.accepted().pl())
    assert found.select("customer_id", "name", "language", "consent").rows() == [
        ("1", "Ann Li", "zh", False),
        ("2", "Bo", None, None),
    ]
    assert found["City"].to_list() == ["Oslo", None]
    assert found["age_"].to_list() == ["31", None]  # a column of that name that nobody mapped to age
    assert cleaned.counts().rejected == {"missing customer": 1, "duplicate": 1}


def test_consent_is_read_in_many_languages_and_what_nobody_can_read_is_no_yes():
    how = mapping("customers", {"customer_id": "id", "consent": "Newsletter"})
    rows = "id,Newsletter\n1,Ja\n2,nein\n3,oui\n4,não\n5,нет\n6,vielleicht\n7,unknown\n8,\n9,opted_in\n"
    cleaned = clean_customers(raw(rows), how, RULES)
    agreed = dict(CUSTOMERS.check(cleaned.accepted().pl()).select("customer_id", "consent").rows())
    assert [who for who, said in agreed.items() if said] == ["1", "3", "9"]
    assert [who for who, said in agreed.items() if said is None] == ["7", "8"]
    assert cleaned.counts().repaired == {"unread consent": 1}


def test_a_household_agrees_only_if_all_of_it_do_and_is_greeted_by_no_name_of_one():
    roles = {"customer_id": "house", "member": "who", "name": "name", "age": "age", "consent": "ok"}
    people = (
        "1,a,Ann,40,no",
        "1,b,Bo,12,yes",
        "2,c,Cy,30,yes",
        "3,d,Di,50,yes",
        "3,e,Ed,51,",
        "4,f,Fo,60,yes",
        "4,g,Gu,61,yes",
    )
    text = "\n".join(("house,who,name,age,ok", *people))
    found = clean_customers(raw(text), mapping("customers", roles), RULES).accepted().pl()
    assert found.sort("customer_id").select("customer_id", "name", "age", "consent").rows() == [
        ("1", None, None, False), ("2", "Cy", "30", True), ("3", None, None, None), ("4", None, None, True),
    ]  # fmt: skip


def test_products_have_prices_in_minor_units_and_categories_split_by_level():
    how = mapping("products", {"product_id": "id", "category": "path", "price": "p", "cost": "c"}, category_path=" > ")
    cleaned = clean_products(raw("id,path,p,c\n1,Home > Kitchen > Mugs,4.50,-1\n2,,x,2"), how, RULES)
    found = PRODUCTS.check(cleaned.accepted().pl())
    assert found.select("department", "category", "type").row(0) == ("Home", "Home > Kitchen", "Home > Kitchen > Mugs")
    assert found.select("price_cents", "cost_cents").rows() == [(450, None), (None, 200)]
    assert cleaned.counts().repaired == {"impossible price": 2}


def test_promotions_give_exposures_and_redemptions():
    columns = {
        "customer_id": "id",
        "campaign_id": "c",
        "start": "from",
        "end": "to",
        "redeemed_at": "used",
        "coupon_id": "k",
    }
    how = mapping("promotions", columns, zone="America/New_York")
    rows = raw(
        "id,c,from,to,used,k\n1,A,2024-03-01,2024-03-10,2024-03-05,k1\n2,A,2024-03-01,2024-03-10,,k1\n3,A,2024-03-09,2024-03-01,,\n4,A,,,,"
    )
    cleaned = clean_exposures(rows, how, RULES)
    found = EXPOSURES.check(cleaned.accepted().pl())
    assert found["customer_id"].to_list() == ["1", "2"]
    # 1 to 10 March in New York: ten days, less the hour of the clock change.
    assert (
        found.select(length=found["end_ms"] - found["start_ms"] + 1)["length"].to_list()
        == [10 * DAY_MS - 3_600_000] * 2
    )
    assert cleaned.counts().rejected == {"unreadable time": 1, "ends before it starts": 1}
    used = clean_redemptions(rows, how, RULES)
    assert REDEMPTIONS.check(used.accepted().pl()).rows() == [("1", "A", "k1", 1_709_614_800_000)]
    assert used.counts().read == 1


def test_valid_days_stand_in_for_an_end():
    columns = {"customer_id": "id", "campaign_id": "c", "start": "from", "valid_days": "days"}
    cleaned = clean_exposures(raw("id,c,from,days\n1,A,2024-03-01 12:00:00,7"), mapping("promotions", columns), RULES)
    (row,) = cleaned.accepted().pl().to_dicts()
    assert row["end_ms"] - row["start_ms"] + 1 == 7 * DAY_MS


def test_repeated_coupons_and_shelf_places():
    coupons = mapping("coupons", {"campaign_id": "c", "coupon_id": "k", "product_id": "p"})
    cleaned = clean_coupons(raw("c,k,p\n1,a,x\n1,a,x\n1,,y"), coupons, RULES)
    assert COUPONS.check(cleaned.accepted().pl()).rows() == [("1", "a", "x")]
    assert cleaned.counts().rejected == {"missing key": 1, "duplicate": 1}
    columns = {"product_id": "p", "store_id": "s", "start": "week", "display": "d", "mailer": "m"}
    how = mapping("shelf", columns, time_format="weeks", time_origin="2016-12-19", zone="America/New_York")
    shelf = clean_shelf(raw("p,s,week,d,m\n1,9,1,0,A\n1,9,2,7,0\n1,9,,7,0"), how, RULES)
    found = SHELF.check(shelf.accepted().pl())
    assert found.sort("start_ms").select("start_ms", "display", "mailer").rows() == [
        (1_482_728_400_000, False, True),
        (1_483_333_200_000, True, False),  # Monday 2 January 2017, 00:00 in New York
    ]
    assert shelf.counts().rejected == {"missing key": 1}


def test_the_last_thing_said_of_a_product_in_the_events_is_its_description():
    how = mapping("products", {"product_id": "item", "name": "label", "price": "p"})
    rows = raw("who,item,label,p\na,1,Mug,2\nb,1,,3\nc,2,Cup,\nc,2,NULL,\nd,,Nothing,1\ne,1.0,Big mug,")
    found = clean_products(latest_values(rows, how), how, RULES).accepted().pl()
    assert found.select("product_id", "name", "price_cents").rows() == [("1", "Big mug", 300), ("2", "Cup", None)]
