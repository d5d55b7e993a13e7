"""Laws of the outcome join: no order counts twice, no row is lost unseen, no covariate knows the decision."""

import duckdb
import polars as pl
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments.outcome_join import JOIN_STATUSES, JoinSettings, join_outcomes, open_windows
from promolift.foundation.tables.schemas import DECISIONS, EVENTS
from promolift.foundation.time.clock import DAY_MS

DECISION = {"customer_id": pl.String, "ts_ms": pl.Int64, "policy_id": pl.String, "holdout": pl.Boolean}
OUTCOME = {
    "customer_id": pl.String,
    "ts_ms": pl.Int64,
    "kind": pl.String,
    "order_id": pl.String,
    "revenue_cents": pl.Int64,
    "arrived_ms": pl.Int64,
}
TEN = JoinSettings(window_days=10, settle_days=2, before_days=30)


def decisions(*rows):
    days = [(who, round(day * DAY_MS), policy, held) for who, day, policy, held in rows]
    return pl.DataFrame(days, schema=DECISION, orient="row")


def outcomes(*rows):
    """(customer, day, kind, order, cents[, day of arrival])"""
    days = [
        (who, round(day * DAY_MS), kind, order, cents, round(late[0] * DAY_MS) if late else None)
        for who, day, kind, order, cents, *late in rows
    ]
    return pl.DataFrame(days, schema=OUTCOME, orient="row")


ONE = decisions(("a", 0, "p", False))


def value(found, who="a", window=0, column="revenue_cents"):
    return found.windows.row(by_predicate=(pl.col("customer_id") == who) & (pl.col("window") == window), named=True)[
        column
    ]


def test_every_kind_of_row_by_hand():
    found = join_outcomes(
        decisions(
            ("a", 0, "p", False),
            ("a", 5, "p", False),  # within the first window
            ("a", 11, "q", False),  # the next window; the customer stays in arm p
            ("b", 0, "p", True),
            ("c", 0, "p", None),  # may not be written to
            ("d", 25, "p", False),  # window not complete on day 30
            ("e", 0, "p", False),  # buys nothing
            ("f", 31, "p", False),  # after the cut
        ),
        outcomes(
            ("a", -1, "purchase", "o0", 50),
            ("a", 1, "purchase", "o1", 100),
            ("a", 12, "refund", "o1", 100),
            ("a", 6, "purchase", "o2", 70),
            ("a", 10, "purchase", "o3", 7),
            ("b", 2, "purchase", "o4", 40, 15),
            ("b", 3, "view", None, 0),
            (None, 0, "purchase", None, 1),
            ("z", 0, "purchase", None, 1),
            ("d", 26, "purchase", None, 1),
            ("b", 4, "purchase", None, 9, 31),
        ),
        TEN,
        30 * DAY_MS,
    )
    assert found.windows.select(
        "customer_id", "window", "arm", "decisions", "orders", "refunds", "revenue_cents"
    ).rows() == [
        ("a", 0, "p", 2, 2, 1, 70),
        ("a", 1, "p", 1, 0, 0, 0),
        ("b", 0, "holdout", 1, 1, 0, 40),
        ("e", 0, "p", 1, 0, 0, 0),
    ]
    assert found.windows["revenue_cents_before"].to_list() == [50, 50, 0, 0]
    assert found.decision_counts == {
        "opened a window": 5,
        "within a window": 1,
        "may not be written to": 1,
        "after the cut": 1,
    }
    assert found.outcome_counts == dict.fromkeys(JOIN_STATUSES, 1) | {"joined": 3}
    assert found.changed_arm == 1
    assert found.customers().select(
        "customer_id", "arm", "windows", "revenue_cents", "revenue_cents_before"
    ).rows() == [
        ("a", "p", 2, 70, 50),
        ("b", "holdout", 1, 40, 0),
        ("e", "p", 1, 0, 0),
    ]


def test_the_window_is_closed_at_its_start_and_open_at_its_end():
    rows = outcomes(("a", 0, "purchase", "o1", 1), ("a", 10, "purchase", "o2", 10))
    just_in = rows.with_columns(ts_ms=pl.col("ts_ms") - (pl.col("order_id") == "o2").cast(pl.Int64))
    assert value(join_outcomes(ONE, rows, TEN, 20 * DAY_MS)) == 1
    assert value(join_outcomes(ONE, just_in, TEN, 20 * DAY_MS)) == 11


def test_a_decision_at_the_end_of_a_window_opens_the_next():
    found = join_outcomes(decisions(("a", 0, "p", False), ("a", 10, "p", False)), outcomes(), TEN, 50 * DAY_MS)
    assert found.windows["start_ms"].to_list() == [0, 10 * DAY_MS]


def test_an_order_of_several_lines_is_one_order():
    lines = outcomes(("a", 1, "purchase", "o1", 5), ("a", 1, "purchase", "o1", 7), ("a", 2, "purchase", None, 1))
    found = join_outcomes(ONE, lines, TEN, 50 * DAY_MS)
    assert (value(found, column="orders"), value(found)) == (2, 13)


def test_a_refund_belongs_to_its_order_whatever_its_sign_and_time():
    for cents in (30, -30):
        rows = outcomes(("a", 9, "purchase", "o1", 100), ("a", 40, "refund", "o1", cents))
        assert value(join_outcomes(ONE, rows, TEN, 50 * DAY_MS)) == 70
        assert value(join_outcomes(ONE, rows, TEN, 20 * DAY_MS)) == 100
    old = outcomes(("a", -3, "purchase", "o0", 100), ("a", 2, "refund", "o0", 100))
    found = join_outcomes(ONE, old, TEN, 50 * DAY_MS)
    assert value(found) == 0
    assert found.outcome_counts["before"] == 2
    unknown = outcomes(("a", 2, "refund", None, 40))
    assert value(join_outcomes(ONE, unknown, TEN, 50 * DAY_MS)) == -40


def test_another_customers_order_of_the_same_number_is_another_order():
    both = decisions(("a", 0, "p", False), ("b", 20, "p", False))
    rows = outcomes(("a", 1, "purchase", "o1", 100), ("b", 21, "purchase", "o1", 50), ("b", 22, "refund", "o1", 50))
    found = join_outcomes(both, rows, TEN, 60 * DAY_MS)
    assert (value(found), value(found, "b")) == (100, 0)


def test_what_follows_the_decision_never_enters_a_covariate():
    rows = outcomes(
        ("a", -31, "purchase", "o0", 1), ("a", -2, "purchase", "o1", 10), ("a", 0, "purchase", "o2", 100),
        ("a", 1, "refund", "o1", 10), ("a", -1, "refund", None, 3),
    )  # fmt: skip
    assert value(join_outcomes(ONE, rows, TEN, 50 * DAY_MS), column="revenue_cents_before") == 7


def test_an_unknown_value_is_not_zero():
    rows = outcomes(("a", 1, "purchase", "o1", 100), ("a", 2, "purchase", "o2", None))
    found = join_outcomes(ONE, rows, TEN, 50 * DAY_MS)
    assert value(found) is None
    assert found.customers()["revenue_cents"].to_list() == [None]
    assert value(found, column="orders") == 2


def test_a_window_counts_only_when_it_has_settled():
    assert join_outcomes(ONE, outcomes(), TEN, 12 * DAY_MS - 1).windows.height == 0
    assert join_outcomes(ONE, outcomes(), TEN, 12 * DAY_MS).windows.height == 1


@st.composite
def logs(draw):
    who, day = st.sampled_from("abc"), st.integers(0, 60)
    made = draw(st.lists(st.tuples(who, day, st.sampled_from("pq"), st.sampled_from([True, False, None])), max_size=12))
    bought = st.tuples(
        st.sampled_from(["a", "b", "c", "z", None]), st.integers(-20, 70),
        st.sampled_from(["purchase", "refund", "view"]), st.sampled_from(["o1", "o2", None]),
        st.integers(0, 99), st.integers(-20, 80),
    )  # fmt: skip
    return decisions(*made), outcomes(*draw(st.lists(bought, max_size=12)))


@given(logs(), st.integers(0, 90))
@cases(25)
def test_every_row_has_one_fate_and_every_outcome_one_window(log, asof):
    made, rows = log
    found = join_outcomes(made, rows, TEN, asof * DAY_MS)
    assert sum(found.outcome_counts.values()) == rows.height
    assert sum(found.decision_counts.values()) == made.height
    opened = open_windows(made, TEN, asof * DAY_MS).windows
    for _, mine in opened.sort("start_ms").group_by("customer_id"):
        assert (mine["start_ms"].diff().drop_nulls() >= 10 * DAY_MS).all()
    counted = found.outcome_counts["joined"] + found.outcome_counts["late"]
    lines = found.windows.select(pl.col("orders").sum() + pl.col("refunds").sum()).item() or 0
    assert lines <= counted
    assert found.customers()["customer_id"].is_unique().all()


@given(logs(), st.randoms(use_true_random=False))
@cases(15)
def test_row_order_and_form_change_nothing(log, random):
    made, rows = log
    first = join_outcomes(made, rows, TEN, 60 * DAY_MS)
    order = list(range(rows.height))
    random.shuffle(order)
    connection = duckdb.connect()
    again = join_outcomes(
        connection.from_arrow(made.reverse().to_arrow()),
        connection.from_arrow(rows[order].to_arrow()),
        TEN,
        60 * DAY_MS,
    )
    connection.close()
    assert again.windows.equals(first.windows)
    assert again.outcome_counts == first.outcome_counts


def test_the_tables_of_the_house_are_what_it_reads():
    made = DECISIONS.conform(ONE)
    rows = EVENTS.conform(outcomes(("a", 1, "purchase", "o1", 100)))
    assert value(join_outcomes(made, rows, TEN, 50 * DAY_MS)) == 100


def test_a_missing_column_is_named():
    with raises_code("column_missing", "margin_cents"):
        join_outcomes(ONE, outcomes(), JoinSettings(window_days=1, values=("margin_cents",)), 0)
    with raises_code("column_missing", "holdout"):
        join_outcomes(ONE.drop("holdout"), outcomes(), TEN, 0)
    with raises_code("value_missing", "policy_id"):
        join_outcomes(decisions(("a", 0, None, False)), outcomes(), TEN, DAY_MS)
