"""The health report works for any data, also for almost none, and says what is missing."""

import json
import re
from dataclasses import asdict

import polars as pl
import pytest
from data_helpers import CONNECTION, SHOP, clean
from hypothesis import given
from hypothesis import strategies as st

from promolift.foundation.tables.schemas import CUSTOMERS, EVENTS, EXPOSURES, PRODUCTS
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.cleaning.data_health import HealthReport, health
from promolift.shop.ingest.cleaning.data_summary import Summary, shard_sums, summarise
from promolift.shop.results.ingest import Counts

VIEWS = Mapping.parse(
    {
        "table": "events",
        "columns": {"customer_id": "who", "time": "at", "product_id": "item"},
        "constants": {"kind": "view"},
    },
    "x",
)


def report(rows: str, how: Mapping = SHOP, **tables: pl.DataFrame) -> HealthReport:
    cleaned = clean(rows, how)
    return health([cleaned.counts()], summarise([shard_sums(cleaned.accepted())], **tables))  # type: ignore[arg-type]


def levels(found: HealthReport) -> dict[str, str]:
    return {ability.name: ability.level for ability in found.abilities}


def test_no_data_at_all_can_do_nothing_and_does_not_fail():
    found = health([], summarise([]))
    assert set(levels(found).values()) == {"no"}
    json.dumps(asdict(found))


@pytest.mark.parametrize(
    "rows", ["", "ann,2024-03-01,tea,1,1,2\n", "ann,2024-03-01,tea,1,1,2\nbob,2024-03-02,tea,2,1,2\nbob,x,,,,"]
)
def test_very_few_rows_give_a_report(rows: str):
    found = report(f"who,at,item,order,n,price\n{rows}")
    assert levels(found)["purchase forecast"] == "no"
    assert all(ability.reason and (ability.add or ability.level == "yes") for ability in found.abilities)
    assert not any("customers table" in each for each in found.warnings)  # there is none
    json.dumps(asdict(found))


def test_weeks_are_whole_so_that_the_reason_does_not_deny_what_it_asks_for():
    rows = "".join(f"c{n},2024-0{1 if k else 7}-01,tea,{n}{k},1,2\n" for n in range(300) for k in (0, 1))
    late = rows.replace("2024-07-01", "2024-06-30")  # 181 days, a day less than 26 weeks
    (forecast,) = (each for each in report(f"who,at,item,order,n,price\n{late}").abilities if "forecast" in each.name)
    assert (forecast.level, forecast.reason.split(",")[0]) == ("partly", "25 weeks")


def test_views_only_allow_remarketing_and_no_forecast():
    found = report("who,at,item\nann,2024-03-01,tea\nann,2024-03-02,nut\nbob,2024-04-02,nut", VIEWS)
    assert (levels(found)["offers on viewed products"], levels(found)["purchase forecast"]) == ("partly", "no")
    assert found.summary.viewed_with_product == 3


def test_one_customer_and_one_day_are_warned_of():
    found = report(
        "who,at,item,order,n,price\nann,2024-03-01 10:00:00,tea,1,1,2\nann,2024-03-01 11:00:00,nut,1,1,2\n,,,,,"
    )
    text = " ".join(found.warnings)
    assert "one customer only" in text
    assert "one day (2024-03-01)" in text
    assert "33% of rows rejected: missing customer (first rows 3)" in text


def test_the_summary_counts_what_can_be_counted_by_hand():
    products = PRODUCTS.check(
        pl.DataFrame({"product_id": ["tea"], "category": ["drinks"]}).select(
            *(
                pl.col(c) if c in ("product_id", "category") else pl.lit(None, t).alias(c)
                for c, t in PRODUCTS.schema.items()
            )
        )
    )
    people = pl.DataFrame({"customer_id": ["ann"]}).select(
        *(pl.col(c) if c == "customer_id" else pl.lit(None, t).alias(c) for c, t in CUSTOMERS.schema.items())
    )
    exposures = pl.DataFrame(
        {
            "campaign_id": ["a", "b"],
            "customer_id": ["x", "x"],
            "kind": None,
            "start_ms": [0, 2_000_000_000_000],
            "end_ms": 1,
        },
        schema=EXPOSURES.schema,
    )
    rows = "who,at,item,order,n,price\nann,2024-03-01,tea,1,1,2\nann,2024-03-03,nut,2,1,3\nbob,2024-03-02,tea,3,-1,2"
    summary = report(rows, customers=people, products=products, exposures=exposures).summary
    assert (summary.rows, summary.customers, summary.orders, summary.bought, summary.returned) == (3, 2, 2, 2, 1)
    assert (summary.buyers, summary.repeaters, summary.revenue_cents, summary.days) == (1, 1, 300, 2.0)
    assert (summary.known["category"], summary.described["rows"]) == (1, 1)
    assert (summary.campaigns, summary.campaigns_before) == (2, 1)


EVENTS_OF = "who,at,item,order,n,price\n{}"


def shop(buyers: range, listed: range) -> HealthReport:
    """Customers with one order each, and a table of customers who all said yes, have a name and an age."""
    rows = "\n".join(f"c{who},2024-03-{1 + who % 28:02},tea,{who},1,2" for who in buyers)
    ids = [f"c{who}" for who in listed]
    told = {"consent": True, "name": "Ann", "age": "30-40"}
    columns = [pl.lit(told.get(c), t).alias(c) for c, t in CUSTOMERS.schema.items() if c != "customer_id"]
    people = pl.DataFrame({"customer_id": ids}).with_columns(columns).select(*CUSTOMERS.schema)
    return report(EVENTS_OF.format(rows), customers=people)


@pytest.mark.parametrize(
    ("buyers", "listed", "both"),
    [
        (range(20), range(30), 20),  # more in the table than in the events
        (range(30), range(20), 20),
        (range(20), range(10, 50), 10),  # some of each: 10 in both, 30 in the table alone
        (range(20), range(20, 60), 0),  # two files of different shops
    ],
)
def test_every_x_of_y_is_of_the_customers_with_events(buyers: range, listed: range, both: int):
    found = shop(buyers, listed)
    assert (found.summary.customers, found.summary.listed) == (len(buyers), len(listed))
    assert (found.summary.described["rows"], found.summary.described["consent"]) == (both, both)
    told = {ability.name: ability for ability in found.abilities}
    for name in ("consent to marketing", "who the customers are", "messages with real names"):
        said = [tuple(map(int, pair)) for pair in re.findall(r"(\d+) of (\d+) customers", told[name].reason)]
        assert said == ([] if name == "who the customers are" and not both else [(both, len(buyers))]), name
    assert told["consent to marketing"].level == ("yes" if both >= 0.8 * len(buyers) else "partly" if both else "no")
    apart = len(listed) - both
    assert (f"{apart} more are listed" in told["who the customers are"].reason) == (apart > 0)
    assert any("no customer of the customers table has an event" in each for each in found.warnings) == (both == 0)


def test_shards_of_whole_customers_give_the_summary_of_all():
    rows = "who,at,item,order,n,price\n" + "\n".join(
        f"c{i % 7},2024-03-{1 + i % 28:02},p{i % 5},{i // 3},1,{i}" for i in range(90)
    )
    events = clean(rows).accepted().pl()
    frame = EVENTS.check(events)
    parts = [CONNECTION.from_arrow(part.to_arrow()) for part in frame.partition_by("customer_id")]
    whole = [shard_sums(CONNECTION.from_arrow(frame.to_arrow()))]
    assert summarise(map(shard_sums, parts)) == summarise(whole)


def test_discount_variation_needs_products_sold_both_ways():
    columns = {"customer_id": "who", "time": "at", "product_id": "item", "amount": "paid", "shelf_discount": "off"}
    how = Mapping.parse({"table": "events", "columns": columns}, "x")
    both = [f"c{i},2024-03-01,both,5,{i % 2}" for i in range(40)]
    always = [f"c{i},2024-03-01,always,5,1" for i in range(40)]
    summary = report("\n".join(["who,at,item,paid,off", *both, *always]), how).summary
    assert (summary.varied_products, summary.varied_rows, summary.reduced) == (1, 40, 60)


def test_a_repair_of_most_rows_is_a_warning_and_one_that_changes_nothing_is_not():
    many = Counts("events", 3000, 3000, 3000, repaired={"impossible quantity": 3000, "amount computed": 3000})
    warnings = health([many], Summary()).warnings
    assert [w for w in warnings if "repaired" in w] == [
        "events: 3,000 of 3,000 rows repaired: impossible quantity; look at that column"
    ]


def test_orders_far_above_the_usual_one_are_named():
    usual = [f"C{row % 40},2025-01-{1 + row % 28:02d} 10:00,P{row % 5},O{row},1,{280 + row % 9}" for row in range(400)]
    large = [f"C{row},2025-02-01 10:00,P1,X{row},1,{700_000 + row}" for row in range(17)]
    header = "who,at,item,order,n,price"
    told = report("\n".join([header, *usual, *large])).warnings
    assert sum("17 orders are more than 128 times" in each for each in told) == 1
    assert not any("times the middle" in each for each in report("\n".join([header, *usual])).warnings)


@given(usual=st.integers(100, 10**4), factors=st.lists(st.sampled_from([1, 2, 3, 10, 300, 1000]), min_size=5))
def test_large_orders_are_at_least_128_times_the_middle_one(usual: int, factors: list[int]):
    """The law: none below 64 times the middle order is counted as large, and all above 256 times are."""
    cents = [usual] * (len(factors) + 1) + [usual * factor for factor in factors]
    rows = [f"C{row % 9},2025-01-01 10:00,P1,O{row},1,{value / 100:.2f}" for row, value in enumerate(cents)]
    found = summarise([shard_sums(clean("\n".join(["who,at,item,order,n,price", *rows])).accepted())])
    assert found.large_orders == sum(factor >= 300 for factor in factors)
    assert found.large_cents == sum(usual * factor for factor in factors if factor >= 300)
