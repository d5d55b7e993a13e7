"""Laws of core/experiments/policy_comparison.py: equal spend, honest grading, honest intervals, honest labels."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments.policy_comparison import EVIDENCE_LEVELS, CompareSettings, compare_policies, rfm_score
from promolift.foundation.errors import BudgetError
from promolift.foundation.hashing import hash_units

FAST = CompareSettings(orders=8, draws=60)
NAMES = [
    "plan",
    "nobody",
    "everybody",
    "same_coupon",
    "best_customers_same_coupon",
    "best_customers_own_offer",
    "best_response",
    "random",
]


def frame(rows, columns=("customer_id", "offer_id", "gain_cents", "cost_cents", "redeem_prob")):
    return pl.DataFrame(rows, schema=list(columns), orient="row")


# Worked by hand: coupon x to a, b, c; coupon y to a, b.
CANDIDATES = frame(
    [
        ("a", "x", 10.0, 4.0, 0.2),
        ("a", "y", 30.0, 10.0, 0.4),
        ("b", "x", 20.0, 5.0, 0.9),
        ("b", "y", -6.0, 8.0, 0.3),
        ("c", "x", 3.0, 6.0, 0.5),
        ("c", "none", 0.0, 0.0, None),
    ]
)
PLAN = frame([("a", "y"), ("b", "x"), ("c", "none")], ("customer_id", "offer_id"))
PROFILES = pl.DataFrame(
    {
        "customer_id": ["a", "b", "c"],
        "recency_days": [9, 5, 1],
        "orders_total": [1, 2, 9],
        "revenue_total_cents": [10, 20, 90],
    }
)


def market(n=60, offers=3, seed=0, evidence=None):
    key = [(f"c{i:03d}", f"o{k}") for i in range(n) for k in range(offers)]
    u = [hash_units((seed, j), key) for j in range(4)]
    rows = pl.DataFrame(
        {
            "customer_id": [c for c, _ in key],
            "offer_id": [o for _, o in key],
            "gain_cents": 200 * u[0] - 80,
            "cost_cents": 20 + 100 * u[1],
            "redeem_prob": u[2],
            "gain_check_cents": 200 * u[3] - 80,
        }
    )
    return rows if evidence is None else rows.with_columns(evidence=pl.lit(evidence))


def profiles(n=60, seed=0):
    u = [hash_units((seed, "profile", j), range(n)) for j in range(3)]
    return pl.DataFrame(
        {
            "customer_id": [f"c{i:03d}" for i in range(n)],
            "recency_days": u[0],
            "orders_total": u[1],
            "revenue_total_cents": u[2],
        }
    )


def greedy(rows, count=20):
    best = rows.sort(["gain_cents", "customer_id", "offer_id"], descending=[True, False, False])
    return best.group_by("customer_id", maintain_order=True).first().head(count).select("customer_id", "offer_id")


def by_name(table, valued_by="own"):
    return {row["policy"]: row for row in table.filter(pl.col("valued_by") == valued_by).to_dicts()}


def test_every_policy_by_hand_on_three_customers():
    got = by_name(compare_policies(CANDIDATES, PLAN, 15, PROFILES, CompareSettings(orders=500, draws=40)))
    assert list(got) == NAMES
    assert (got["plan"]["expected_profit_cents"], got["plan"]["spend_cents"], got["plan"]["treated"]) == (50, 15, 2)
    ends = ("expected_profit_cents", "spend_cents", "treated")
    assert [got["nobody"][name] for name in ends] == [0, 0, 0]
    assert [got["everybody"][name] for name in ends] == [33, 15, 3]
    assert got["nobody"]["plan_lead_cents"] == 50
    # x costs 15 for all three and earns 33; y earns 24 for 18. So x, to everybody, whatever the order.
    assert got["same_coupon"]["note"].startswith("coupon x")
    assert got["same_coupon"]["expected_profit_cents"] == pytest.approx(33)
    assert got["same_coupon"]["treated"] == pytest.approx(3)
    # RFM order is c, b, a. Own best offers: c x (6), b x (5), then 4 of the 10 that a y costs.
    own = got["best_customers_own_offer"]
    assert own["expected_profit_cents"] == pytest.approx(3 + 20 + 0.4 * 30)
    assert own["treated"] == pytest.approx(2.4)
    # surest first: b x (0.9), c x (0.5), then 4 of the 10 of a y (0.4)
    assert got["best_response"]["expected_profit_cents"] == pytest.approx(20 + 3 + 12)
    # random: c has x alone; a and b toss x or y. All combinations cost at least 15, so spend is always equal.
    assert got["random"]["spend_cents"] == pytest.approx(15)
    assert got["random"]["plan_lead_cents"] == pytest.approx(50 - got["random"]["expected_profit_cents"])


def test_random_is_the_mean_over_all_orders_and_offers():
    # one offer of cost 10 each, spend 10: exactly one of four customers, so the mean gain
    rows = frame([(c, "x", g, 10.0, 0.5) for c, g in zip("abcd", (1.0, 2.0, 3.0, 10.0), strict=True)])
    plan = frame([("d", "x")], ("customer_id", "offer_id"))
    got = by_name(compare_policies(rows, plan, 10, PROFILES, CompareSettings(orders=4000, draws=40)))
    assert got["random"]["expected_profit_cents"] == pytest.approx(4, abs=0.2)
    assert got["same_coupon"]["expected_profit_cents"] == pytest.approx(4, abs=0.2)
    two = frame([("a", "x", 10.0, 1.0, 0.5), ("a", "y", 30.0, 1.0, 0.5)])
    got = by_name(
        compare_policies(
            two, frame([("a", "y")], ("customer_id", "offer_id")), 1, PROFILES, CompareSettings(orders=4000)
        )
    )
    assert got["random"]["expected_profit_cents"] == pytest.approx(20, abs=0.6)


@given(st.integers(0, 2**20), st.integers(1, 60))
@cases(25)
def test_no_baseline_spends_more_than_the_plan_and_all_that_can_spend_the_same(seed, count):
    rows = market(seed=seed)
    plan = greedy(rows, count)
    table = compare_policies(rows, plan, 1e9, profiles(seed=seed), CompareSettings(orders=3, draws=40, seed=seed))
    spend = plan.join(rows, on=["customer_id", "offer_id"])["cost_cents"].sum()
    table = table.filter(~pl.col("policy").is_in(["nobody", "everybody"]))  # these spend what they spend
    assert table["spend_cents"].max() <= spend * (1 + 1e-12)
    short = table["note"].str.contains("ran out")
    assert np.allclose(table.filter(~short)["spend_cents"], spend, rtol=1e-9)
    assert (table.filter(short)["spend_cents"] < spend).all()


@given(st.integers(0, 2**20))
@cases(10)
def test_row_order_changes_nothing(seed):
    rows, who = market(seed=seed, n=25), profiles(25, seed)
    shuffled = np.argsort(hash_units((seed, "shuffle"), range(75)))
    here = compare_policies(rows, greedy(rows), 1e9, who, FAST)
    there = compare_policies(rows[shuffled], greedy(rows).reverse(), 1e9, who.reverse(), FAST)
    assert here.equals(there)


def test_the_check_estimate_values_everyone_and_exposes_the_winner_s_luck():
    # gains are pure noise: the chosen offers look splendid by their own estimate and average by the other
    rows = market(200, seed=7)
    table = compare_policies(rows, greedy(rows, 60), 1e9, profiles(200), FAST)
    own, check = by_name(table)["plan"], by_name(table, "check")["plan"]
    assert own["expected_profit_cents"] > 60 * 90
    assert abs(check["expected_profit_cents"] - 60 * 20) < 60 * 25
    assert own["spend_cents"] == check["spend_cents"]
    assert list(by_name(table, "check")) == NAMES
    # the choice itself must not have looked at the check
    other = rows.with_columns(gain_check_cents=pl.col("gain_check_cents") * -3)
    again = compare_policies(other, greedy(rows, 60), 1e9, profiles(200), FAST)
    for name in set(NAMES) - {"nobody"}:
        ratio = (
            by_name(again, "check")[name]["expected_profit_cents"]
            / by_name(table, "check")[name]["expected_profit_cents"]
        )
        assert ratio == pytest.approx(-3)


def test_a_gap_in_the_check_estimate_is_refused():
    rows = market().with_columns(
        gain_check_cents=pl.when(pl.col("customer_id") == "c001").then(None).otherwise("gain_check_cents")
    )
    with raises_code("value_missing", "gain_check_cents", "3 of 180"):
        compare_policies(rows, greedy(rows), 1e9, profiles(), FAST)


def test_bootstrap_interval_has_the_width_that_theory_gives():
    # the plan treats everybody at equal cost: the sum's standard error is sd * sqrt(N)
    rows = market(300, 1).with_columns(cost_cents=pl.lit(5.0)).drop("gain_check_cents")
    row = by_name(compare_policies(rows, rows, 1e9, profiles(300), CompareSettings(draws=1500, orders=2)))["plan"]
    expected = 2 * 1.96 * rows["gain_cents"].std() * np.sqrt(300)
    assert row["high"] - row["low"] == pytest.approx(expected, rel=0.1)
    assert row["low"] < row["expected_profit_cents"] < row["high"]


@pytest.mark.parametrize("level", EVIDENCE_LEVELS)
def test_the_label_is_never_above_the_effect_s_own_level(level):
    rows = market(evidence=level)
    assert set(compare_policies(rows, greedy(rows), 1e9, profiles(), FAST)["evidence"]) == {level}


def test_one_weak_row_in_the_plan_weakens_every_row_that_is_compared_with_it():
    rows = market(evidence="randomised")
    plan = greedy(rows)
    weak = plan.row(0)
    spot = (pl.col("customer_id") == weak[0]) & (pl.col("offer_id") == weak[1])
    mixed = rows.with_columns(evidence=pl.when(spot).then(pl.lit("assumed")).otherwise("evidence"))
    assert set(compare_policies(mixed, plan, 1e9, profiles(), FAST)["evidence"]) == {"assumed"}
    assert set(compare_policies(rows.drop("evidence"), plan, 1e9, profiles(), FAST)["evidence"]) == {"assumed"}
    with raises_code("value_invalid", "evidence", "proven"):
        compare_policies(rows.with_columns(evidence=pl.lit("proven")), plan, 1e9, profiles(), FAST)


def test_a_row_without_a_label_counts_as_assumed():
    rows = market(evidence="randomised").with_columns(
        evidence=pl.when(pl.col("offer_id") == "o1").then(None).otherwise("evidence")
    )
    plan = rows.filter(pl.col("offer_id") == "o1").select("customer_id", "offer_id")
    assert set(compare_policies(rows, plan, 1e9, profiles(), FAST)["evidence"]) == {"assumed"}


def test_a_policy_without_its_columns_is_named_and_has_no_figure():
    rows = market().drop("redeem_prob")
    got = by_name(compare_policies(rows, greedy(rows), 1e9, pl.DataFrame({"customer_id": ["c001"]}), FAST))
    for name in ("best_response", "best_customers_same_coupon", "best_customers_own_offer"):
        assert got[name]["expected_profit_cents"] is None
        assert "needs the column" in got[name]["note"]
    assert got["random"]["expected_profit_cents"] is not None


def test_one_customer_has_no_interval():
    rows = frame([("a", "x", 10.0, 4.0, 0.2)])
    row = by_name(compare_policies(rows, frame([("a", "x")], ("customer_id", "offer_id")), 9, PROFILES, FAST))["plan"]
    assert (row["expected_profit_cents"], row["low"], row["high"]) == (10, None, None)
    assert row["interval"] == "none: one customer"


def test_the_same_coupon_is_the_best_one_at_this_spend_not_at_any():
    # x gains 100 for 100, y 50 for 10: with 10 to spend, y earns 50 and x 10
    rows = frame([("a", "x", 100.0, 100.0, 0.5), ("a", "y", 50.0, 10.0, 0.5), ("b", "x", 0.0, 0.0, 0.5)])
    got = by_name(compare_policies(rows, frame([("a", "y")], ("customer_id", "offer_id")), 10, PROFILES, FAST))
    assert got["same_coupon"]["note"].startswith("coupon y")
    got = by_name(compare_policies(rows, frame([("a", "x")], ("customer_id", "offer_id")), 100, PROFILES, FAST))
    assert got["same_coupon"]["note"].startswith("coupon x")


def test_nobody_gets_an_own_offer_that_loses():
    rows = frame([("a", "x", 10.0, 5.0, 0.2), ("b", "x", -3.0, 1.0, 0.9), ("c", "x", -4.0, 1.0, 0.8)])
    got = by_name(compare_policies(rows, frame([("a", "x")], ("customer_id", "offer_id")), 10, PROFILES, FAST))
    assert got["best_customers_own_offer"]["expected_profit_cents"] == 10
    # the same coupon goes to the best customers even where it loses: that is what the rule of thumb does
    assert got["best_customers_same_coupon"]["expected_profit_cents"] == pytest.approx(-4 - 3 + 0.6 * 10)


def test_rfm_by_hand():
    who = pl.DataFrame(
        {
            "customer_id": list("abcde"),
            "recency_days": [1, 2, 3, 4, None],
            "orders_total": [5, 4, 3, 2, 1],
            "revenue_total_cents": [50, 10, 30, 20, 40],
        }
    )
    score = dict(rfm_score(who).select("customer_id", "rfm_score").rows())
    assert score == {"a": 5 + 5 + 5, "b": 4 + 4 + 1, "c": 3 + 3 + 3, "d": 2 + 2 + 2, "e": 1 + 1 + 4}


def test_a_plan_above_its_budget_or_outside_the_candidates_is_refused():
    with raises_code("budget_exceeded", "15", "14", kind=BudgetError):
        compare_policies(CANDIDATES, PLAN, 14, PROFILES, FAST)
    with raises_code("ids_unmatched", "1 rows", "('c', 'y')"):
        compare_policies(CANDIDATES, frame([("c", "y")], ("customer_id", "offer_id")), 99, PROFILES, FAST)
    with raises_code("plan_invalid"):
        compare_policies(CANDIDATES, frame([("a", "y"), ("a", "x")], ("customer_id", "offer_id")), 99, PROFILES, FAST)
    with raises_code("plan_empty"):
        compare_policies(CANDIDATES, frame([("a", "none")], ("customer_id", "offer_id")), 99, PROFILES, FAST)


@pytest.mark.parametrize(
    ("change", "code", "fact"),
    [
        (lambda c: c.drop("cost_cents"), "column_missing", "'cost_cents'"),
        (lambda c: c.with_columns(gain_cents=pl.lit(float("nan"))), "value_invalid", "gain_cents"),
        (lambda c: c.with_columns(cost_cents=pl.lit(-1.0)), "value_invalid", "cost_cents"),
        (lambda c: pl.concat([c, c]), "rows_duplicate", "(customer_id, offer_id)"),
    ],
)
def test_impossible_candidates_are_named(change, code, fact):
    with raises_code(code, fact):
        compare_policies(change(CANDIDATES), PLAN, 99, PROFILES, FAST)


def test_closed_offers_and_unknown_gains_are_in_no_policy():
    closed = [
        CANDIDATES.with_columns(eligible=pl.col("offer_id") != "y"),
        CANDIDATES.with_columns(gain_cents=pl.when(pl.col("offer_id") == "y").then(None).otherwise("gain_cents")),
    ]
    plain = CANDIDATES.filter(pl.col("offer_id") != "y")
    plan = frame([("b", "x")], ("customer_id", "offer_id"))
    for rows in closed:
        assert compare_policies(rows, plan, 99, PROFILES, FAST).equals(
            compare_policies(plain, plan, 99, PROFILES, FAST)
        )
        with raises_code("ids_unmatched", "'y'"):
            compare_policies(rows, PLAN, 99, PROFILES, FAST)
