"""An audience is one SELECT of customer_id over four views, and its answer lasts."""

import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.customers.audience_query import check_query, query_audience, read_views
from promolift.core.customers.named_audiences import named_audiences
from promolift.core.experiments.audiences import ACTIVE, FIRST_AUDIENCES, NOT_DUE
from promolift.foundation.errors import SettingError

ORDERS = pl.DataFrame({
    "customer_id": ["a", "a", "b", "c"], "order_id": ["1", "2", "3", "4"], "days_ago": [3, 40, 20, 400],
    "revenue_cents": [900, 1000, 500, 700], "list_cents": [1000, 1000, 500, 900],
})  # fmt: skip
VIEWS = {
    "orders": ORDERS,
    "customers": pl.DataFrame({"customer_id": ["a", "b", "c", "d"], "tier": ["x", "y", "x", None]}),
}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("select customer_id from orders where days_ago <= 30", ["a", "b"]),
        ("from customers where tier = 'x'", ["a", "c"]),
        ("with big as (select * from orders where list_cents >= 900) select customer_id from big", ["a", "c"]),
        ("select customer_id from customers where customer_id not in (select customer_id from orders)", ["d"]),
        ("select customer_id from customers limit 0", []),
    ],
)
def test_a_query_answers_with_distinct_customers_in_order(query: str, wanted: list[str]) -> None:
    check_query(query)
    assert query_audience(query, VIEWS, "play").to_list() == wanted


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("select customer_id from", "select customer_id from"),
        ("select 1; select 2", "one SELECT"),
        ("delete from customers", "SELECT"),
        ("select customer_id from order", "order"),
        ("select customer_id from ordrs", "'orders'"),
        ("select customer_id from read_csv('secrets.csv')", "read_csv"),
        ("select customer_id from 'secrets.csv'", "secrets.csv"),
        ("select customer_id from information_schema.tables", "tables"),
        ("select customer_id from customers where (select count(*) from read_text('a')) > 0", "read_text"),
        ("select customer_id from orders where ts > now()", "days_ago"),
        ("select customer_id from orders where ts > current_date", "current_date"),
        ("select customer_id from orders where random() < 0.5", "random"),
        ("select customer_id from orders using sample 10", "sample"),
    ],
)
def test_what_is_no_lasting_select_over_the_views_is_refused(query: str, named: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_query(query)
    assert caught.value.code == "audience_invalid"
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("query", "code", "named"),
    [
        ("select customer_id from orders where day_ago < 3", "column_unknown", "'days_ago'"),
        ("select o.customer_id from orders o where o.daysago < 3", "column_unknown", "'days_ago'"),
        ("select order_id from orders", "audience_invalid", "order_id"),
        ("select customer_id from orders where days_ago < 'soon'", "audience_failed", "soon"),
    ],
)
def test_a_query_that_fails_names_the_play_and_what_is_wrong(query: str, code: str, named: str) -> None:
    check_query(query)
    with raises_code(code, "play 'x'", named):
        query_audience(query, VIEWS, "play 'x'")


@cases(40)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 400), st.integers(100, 900)), min_size=1))
def test_a_query_finds_whom_the_same_rule_finds_in_a_frame(rows: list[tuple[str, int, int]]) -> None:
    orders = pl.DataFrame(rows, schema=["customer_id", "days_ago", "list_cents"], orient="row")
    query = "select customer_id from orders group by customer_id having count(*) > 1 and min(days_ago) > 30"
    by = orders.group_by("customer_id").agg(pl.len(), pl.col("days_ago").min()).filter(pl.col("len") > 1)
    wanted = by.filter(pl.col("days_ago") > 30)["customer_id"].sort().to_list()
    assert query_audience(query, {"orders": orders}, "play").to_list() == wanted
    assert (
        query_audience(query, {"orders": orders.sample(fraction=1, shuffle=True, seed=1)}, "play").to_list() == wanted
    )


def test_every_named_audience_is_told_by_the_log_or_by_a_query_over_orders() -> None:
    found = named_audiences()
    assert {*FIRST_AUDIENCES, ACTIVE, NOT_DUE} == {name for name, each in found.items() if each.query is None}
    for each in found.values():
        if each.query is not None:
            check_query(each.query)
            assert read_views(each.query) == {"orders"}
            query_audience(each.query, VIEWS, each.name)


@pytest.mark.parametrize(
    ("name", "wanted"), [("second order", ["b"]), ("season", []), ("deal seekers", []), ("regulars", [])]
)
def test_a_named_audience_holds_whom_its_words_say(name: str, wanted: list[str]) -> None:
    query = named_audiences()[name].query
    assert query is not None
    assert query_audience(query, VIEWS, name).to_list() == wanted
