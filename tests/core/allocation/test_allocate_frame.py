"""The candidates table: ragged, in any order; its columns kept; what is wrong with it named."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.allocation import Limit, frontier, plan

SCHEMA = {"customer_id": pl.String, "offer_id": pl.String, "gain_cents": pl.Float64, "cost_cents": pl.Float64}


def table(rows):
    return pl.DataFrame(rows, SCHEMA, orient="row")


SHOP = table(
    [
        ("ann", "c10", 50.0, 10.0),
        ("ann", "c20", 70.0, 40.0),
        ("ann", "none", 0.0, 0.0),
        ("bob", "c20", 30.0, 10.0),
        ("cat", "c10", None, 5.0),
        ("cat", "c30", -4.0, 5.0),
        ("dan", "c10", 20.0, 10.0),
    ]
).with_columns(
    segment=pl.col("customer_id").replace_strict({"ann": "old", "bob": "young", "cat": "young", "dan": "old"})
)


def chosen(found):
    return dict(found.chosen.select("customer_id", "offer_id").iter_rows())


def test_the_plan_keeps_the_columns_of_the_rows_it_takes():
    found = plan(SHOP, 20)
    assert chosen(found) == {"ann": "c10", "bob": "c20"}
    assert found.chosen.columns == SHOP.columns
    assert found.chosen.schema == SHOP.schema
    assert (found.gain_cents, found.cost_cents, found.allocation.budget) == (80.0, 20.0, 20.0)
    assert chosen(plan(SHOP, 60)) == {"ann": "c20", "bob": "c20", "dan": "c10"}


@given(st.permutations(range(SHOP.height)), st.integers(0, 70), st.booleans())
def test_the_order_of_rows_changes_nothing(order, budget, limited):
    limits = [Limit.read("count[segment=old] <= 1")] if limited else []
    assert plan(SHOP[order], budget, limits).chosen.equals(plan(SHOP, budget, limits).chosen)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("count[offer_id=c20] <= 0", {"ann": "c10", "dan": "c10"}),
        ("cost[segment=old] <= 15", {"ann": "c10", "bob": "c20"}),
        ("gain[segment=young] >= 30", {"ann": "c20", "bob": "c20"}),
        ("return >= 4", {"ann": "c10", "bob": "c20"}),
        ("cost_share[segment=young] >= 50%", {"ann": "c10", "bob": "c20"}),
    ],
)
def test_limits_name_the_columns_of_the_table(text, want):
    found = plan(SHOP, 50, [Limit.read(text)])
    if text.startswith("gain"):
        assert found.chosen.filter(pl.col("segment") == "young")["gain_cents"].sum() >= 30
    else:
        assert chosen(found) == want


def test_units_are_a_column_of_the_table():
    stock = Limit.read("stock: units[offer_id=c10] <= 0.6")
    with_units = SHOP.with_columns(units=pl.lit(0.5))
    assert chosen(plan(with_units, 30, [stock])) == {"ann": "c10", "bob": "c20"}
    with raises_code("column_missing", "candidates.units"):
        plan(SHOP, 30, [stock])


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("limits", [(), (Limit(name="cap", measure="count", at_most=1),)])
def test_empty_tables_zero_budgets_and_single_customers_have_a_plan(rows, limits):
    part = SHOP.head(rows)
    assert plan(part, 0, limits).chosen.is_empty()
    assert plan(part, 10, limits).chosen.height == min(rows, 1)
    assert frontier(part)["budget_cents"][-1] == (0.0 if not rows else part["cost_cents"].max())
    assert plan(SHOP.filter(pl.col("offer_id") == "none"), 5, limits).chosen.is_empty()


def test_the_curve_is_in_cents_and_meets_the_plan():
    curve = frontier(SHOP, [20, 0])
    assert curve.columns == ["budget_cents", "gain_cents", "cost_cents", "price", "treated", "bound_cents"]
    assert curve.row(1) == (20.0, 80.0, 20.0, 2.0, 2, pytest.approx(80.0))


@pytest.mark.parametrize(
    ("change", "code", "facts"),
    [
        (lambda t: t.drop("cost_cents"), "column_missing", ("candidates.cost_cents",)),
        (
            lambda t: t.with_columns(pl.col("gain_cents").cast(pl.Int64)),
            "column_type_wrong",
            ("candidates.gain_cents", "Int64", "Float64"),
        ),
        (lambda t: t.with_columns(cost_cents=-pl.col("cost_cents")), "value_invalid", ("cost_cents", "6 of 7")),
        (lambda t: t.with_columns(gain_cents=pl.lit(np.inf)), "value_not_finite", ("gain_cents", "7 of 7")),
        (lambda t: pl.concat([t, t.head(1)]), "rows_duplicate", ("2 of 8",)),
        (lambda t: t.with_columns(customer_id=pl.lit(None, pl.String)), "value_missing", ("customer_id", "7 of 7")),
    ],
)
def test_what_is_wrong_with_the_table_is_named(change, code, facts):
    with raises_code(code, *facts):
        plan(change(SHOP), 10)


@pytest.mark.parametrize(
    ("text", "code", "facts"),
    [
        ("count[segmnt=old] <= 1", "column_unknown", ("'segmnt'", "'segment'")),
        ("count[segment=grey] <= 1", "limit_value_unknown", ("segment", "'grey'", "old, young")),
    ],
)
def test_a_limit_that_covers_nothing_is_an_error(text, code, facts):
    with raises_code(code, *facts):
        plan(SHOP, 10, [Limit.read(text)])


@given(st.permutations(range(60)))
def test_ties_are_settled_by_who_the_customer_is_and_what_is_offered(order):
    rows = [(f"c{i}", offer, 5.0, 1.0) for i in range(30) for offer in ("a", "b")]
    alone = plan(table(rows), 10).chosen
    more = table([*(rows[i] for i in order), ("a first one who gains nothing", "a", -1.0, 1.0)])
    assert plan(more, 10).chosen.equals(alone)
    assert set(alone["offer_id"]) == {"a"}
