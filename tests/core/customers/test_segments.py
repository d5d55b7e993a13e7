"""Which rules of segments are read, what they find, and what a wrong one is told."""

import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.customers import Segment, find_segments, segment_counts
from promolift.foundation.errors import ConfigError
from promolift.foundation.tables.schemas import PROFILES
from promolift.shop.configuration.configuration import Config

PEOPLE = PROFILES.conform(
    pl.DataFrame({
        "customer_id": ["a", "b", "c", "d"], "asof_ms": 0, "recency_days": [3.0, 40.0, None, 10.0],
        "orders_16w": [9, 9, 1, 2], "tier": ["gold", None, "silver", "Gold"],
        "revenue_52w_cents": [400, 100, 300, 200],
    })
)  # fmt: skip
OWN = pl.DataFrame({
    "customer_id": ["a", "b", "d"], "tier": ["gold", None, "Gold"], "pets": ["2", "0", None],
    "城市": ["上海", "北京", "上海"],
})  # fmt: skip


def found(where: str) -> list[str]:
    members = find_segments(PEOPLE, OWN, [Segment(name="s", where=where)])
    return members.filter(pl.col("segments").list.len() > 0)["customer_id"].to_list()


@pytest.mark.parametrize(
    ("where", "who"),
    [
        ("recency_days <= 28 and orders_16w >= 8", ["a"]),
        ("recency_days <= 28 or tier = 'silver'", ["a", "c", "d"]),
        ("not recency_days <= 28", ["b"]),  # what is not known is in neither
        ("recency_days is null", ["c"]),
        ("lower(tier) in ('gold', 'platinum')", ["a", "d"]),
        ("value_decile = 10", ["a"]),
        ("orders_16w between 2 and 8 -- some", ["d"]),
        ("pets >= 1", ["a"]),  # a text column whose texts are numbers
        ("城市 = '上海' and revenue_52w_cents / orders_16w > 50", ["d"]),
        ("ORDERS_16W * 2 > 10", ["a", "b"]),
        ("tier like '%ol%'", ["a", "d"]),
    ],
)
def test_a_rule_finds_those_it_says(where: str, who: list[str]) -> None:
    assert found(where) == who


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("recency_days <=", None),
        ("count(*) > 3", "count_star(...)"),
        ("sum(orders_16w) over () > 1", "sum(...)"),
        ("(select 1) = 1", "subquery"),
        ("read_csv('/etc/passwd') is null", "read_csv(...)"),
        ("getenv('HOME') = 'x'", "getenv(...)"),
        ("true); select (1", None),
        ("case when true then true end", ": case "),
        ("people.orders_16w > 1", "column ref"),
    ],
)
def test_what_is_no_condition_on_one_row_is_refused_where_it_is_written(where: str, said: str | None) -> None:
    facts = ("promolift.toml", repr(where), said or "")
    with raises_code("condition_unsupported" if said else "condition_invalid", *facts, kind=ConfigError):
        Segment.parse({"name": "s", "where": where}, "promolift.toml")


@pytest.mark.parametrize(
    ("where", "code", "facts"),
    [
        ("orders_16 >= 8", "column_unknown", ("'orders_16'", "'orders_16w'")),
        ('tier = "gold"', "column_unknown", ("column 'gold'", "as 'gold'")),
        ("orders_16w = 'many'", "condition_failed", ("'many'",)),
        ("orders_16w + 1", "condition_invalid", ()),
    ],
)
def test_a_rule_that_cannot_be_asked_says_what_is_wrong(where: str, code: str, facts: tuple[str, ...]) -> None:
    with raises_code(code, "segment 's'", repr(where), *facts, kind=ConfigError):
        found(where)


def test_one_customer_may_belong_to_several_and_nobody_is_counted_as_nobody() -> None:
    rules = [
        Segment(name="all", where="true"),
        Segment(name="gold", where="tier = 'gold'"),
        Segment(name="none", where="false"),
    ]
    members = find_segments(PEOPLE, OWN, rules)
    assert members["segments"].to_list() == [["all", "gold"], ["all"], ["all"], ["all"]]
    assert segment_counts(members, rules).rows() == [("all", 4), ("gold", 1), ("none", 0)]


@given(st.integers(-5, 50), st.integers(0, 10), st.sampled_from(["<", "<=", "=", "<>", ">=", ">"]))
def test_a_comparison_is_the_comparison(days: int, orders: int, sign: str) -> None:
    ask = {"<": "__lt__", "<=": "__le__", "=": "__eq__", "<>": "__ne__", ">=": "__ge__", ">": "__gt__"}[sign]
    right = [
        who
        for who, recency, bought in PEOPLE.select("customer_id", "recency_days", "orders_16w").iter_rows()
        if recency is not None and getattr(recency, ask)(float(days)) and bought >= orders
    ]
    assert found(f"recency_days {sign} {days} and orders_16w >= {orders}") == right


@pytest.mark.parametrize(
    "change",
    [
        {"menu": [{"id": "x", "benefit": {"type": "percent_off", "percent": 10}, "segments": ["goldd"]}]},
        {"rules": {"excluded_segments": ["goldd"]}},
        {"plan": {"limits": ["count[segments=goldd] <= 5"]}},
    ],
)
def test_a_segment_that_nothing_defines_is_refused_with_the_nearest(change: dict[str, object]) -> None:
    values = {"data": {"source": "complete-journey"}, "segment": [{"name": "gold", "where": "tier = 'gold'"}]}
    with raises_code("setting_invalid", "'goldd'", "'gold'", kind=ConfigError):
        Config.parse(values | change, "promolift.toml")
    twice = values | {"segment": [{"name": "gold", "where": "true"}] * 2}
    with raises_code("setting_invalid", "segment", "'gold'", kind=ConfigError):
        Config.parse(twice, "promolift.toml")
