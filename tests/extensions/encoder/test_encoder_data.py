"""Histories and counters: what is known before a moment, counted by hand; nothing later leaks in."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from encoder_shop import FIRST, SHELF, items, lines, shop, small
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.extensions.encoder.network.purchase_histories import (
    CUSTOMER_COUNTERS,
    IDEAL_DCG,
    ITEM_COUNTERS,
    RATE_FEATURES,
    build_catalogue,
    build_histories,
    count_visits,
    weekly_popularity,
)
from promolift.foundation.time.clock import DAY_MS

BREAD_AND_MILK = small(
    [
        ("ann", "1", 100.0, "bread", 200, False),
        ("ann", "1", 100.0, "milk", 100, True),
        ("ann", "1", 100.0, "milk", 100, False),
        ("ann", "2", 110.0, "milk", 150, False),
        ("ann", "3", 114.0, "bread", 250, False),
        ("bob", "1", 105.0, "milk", 90, False),
    ]
)


def counted(day: float) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Ann's counters by item name, and her own."""
    h = build_histories(BREAD_AND_MILK, SHELF)
    ann, days = np.array([0]), np.array([day])
    found = count_visits(h, ann, h.before(ann, days), days, 5)
    values = np.concatenate([found.item_PMF, found.rates()], axis=2)[0]
    kept = [at for at in range(5) if found.item_PM[0, at] >= 0]
    each = {
        SHELF.items[found.item_PM[0, at]]: dict(zip(ITEM_COUNTERS + RATE_FEATURES, values[at], strict=True))
        for at in kept
    }
    return each, dict(zip(CUSTOMER_COUNTERS, found.personal_PG[0], strict=True))


def test_counters_equal_those_counted_by_hand():
    each, person = counted(120.0)
    half = 1 / IDEAL_DCG[1]  # what one of two items is worth
    assert set(each) == {"milk", "bread"}
    milk, bread = each["milk"], each["bread"]
    assert (milk["visits"], milk["recency"], milk["age"], milk["visits_since"]) == (2, 10, 20, 1)
    assert (bread["gap"], bread["last_gap"], bread["recency"], bread["visits_since"]) == (14, 14, 6, 0)
    assert milk["weight"] == pytest.approx(half + 1)
    assert milk["faded_10"] == pytest.approx(half * 0.25 + 0.5)
    assert milk["recent_visits"] == pytest.approx(half * 0.8**2 + 0.8)
    assert (milk["deal"], milk["spend"], milk["basket"]) == (0.5, 175, 1.5)
    assert bread["due"] == pytest.approx(6 / 14)
    # weeks counted back from day 120 begin on 99, 106 and 113: all three visits open one
    assert person["opening"] == pytest.approx(sum(2 ** (-age / 120) for age in (20, 10, 6)))
    assert counted(115.5)[1]["opening"] == pytest.approx(sum(2 ** (-age / 120) for age in (15.5, 5.5)))
    assert np.isnan(bread["gap_sd"])
    assert (person["orders"], person["recency"], person["tenure"], person["cadence"]) == (3, 6, 20, 7)
    assert person["size"] == pytest.approx(4 / 3)


def test_a_visit_at_the_moment_itself_is_not_known_yet():
    each, person = counted(114.0)
    assert person["orders"] == 2
    assert each["bread"]["visits"] == 1
    assert counted(100.0)[0] == {}
    assert np.isnan(counted(100.0)[1]["orders"])


def test_row_order_doubled_lines_and_foreign_items_change_nothing():
    h = build_histories(BREAD_AND_MILK, SHELF)
    other = build_histories(pl.concat([BREAD_AND_MILK, small([("ann", "3", 114.0, "car", 1, True)])]).reverse(), SHELF)
    for name in ("start_C", "day_V", "spend_V", "line_V", "item_L", "deal_L", "weight_V"):
        assert np.array_equal(getattr(h, name), getattr(other, name)), name
    assert h.item_L.tolist() == [0, 1, 1, 0, 1]  # each item once per order; items in order of name


def test_a_customer_without_visits_and_an_unknown_attribute_stay_missing():
    told = pl.DataFrame({"customer_id": ["ann", "cid"], "age": [30, None]})
    h = build_histories(BREAD_AND_MILK, SHELF, told, customers=["cid"])
    assert h.customers == ("ann", "bob", "cid")
    assert np.diff(h.start_C).tolist() == [3, 1, 0]
    assert h.attribute_CA[0, 0] == 30
    assert np.isnan(h.attribute_CA[1:, 0]).all()
    assert SHELF.category_I.tolist() == [0, 1, 2]
    assert np.isnan(SHELF.price_I).all()


def test_bad_tables_are_refused_by_name():
    with raises_code("column_missing", "['deal']"):
        build_histories(BREAD_AND_MILK.drop("deal"), SHELF)
    with raises_code("rows_duplicate", "catalogue"):
        build_catalogue(pl.DataFrame({"item": ["milk", "milk"]}))


@cases(15)
@given(day=st.floats(FIRST + 10, FIRST + 160), seed=st.integers(0, 5))
def test_nothing_after_a_moment_enters_counters_or_popularity(day, seed):
    table = lines(12, seed=seed)
    later = pl.col("ts_ms") >= int(np.ceil(day * DAY_MS))
    cheat = table.with_columns(
        item=pl.when(later).then(pl.lit("item 00")).otherwise("item"),
        revenue_cents=pl.when(later).then(999_999).otherwise("revenue_cents"),
    )
    everyone, days = np.arange(12), np.full(12, day)
    found = []
    for rows in (table, cheat):
        h = build_histories(rows, items())
        found.append((count_visits(h, everyone, h.before(everyone, days), days, 8), weekly_popularity(h, day)))
    (a, p), (b, q) = found
    assert np.array_equal(a.item_PM, b.item_PM)
    assert np.array_equal(a.item_PMF, b.item_PMF, equal_nan=True)
    assert np.array_equal(a.personal_PG, b.personal_PG, equal_nan=True)
    assert np.array_equal(p.log_WI, q.log_WI)


def test_popularity_of_a_week_is_that_of_the_28_days_before_it():
    h = build_histories(
        small([("a", str(d), d, "milk" if d < 130 else "bread", 1, False) for d in range(100, 170, 7)]), SHELF
    )
    log_WI = weekly_popularity(h, 170.0).log_WI
    bread, milk, soap = 0, 1, 2
    assert np.ptp(log_WI[0]) == 0  # before the first week nothing is known
    assert log_WI[4, milk] > log_WI[4, bread] == log_WI[4, soap]
    assert log_WI[9, bread] > log_WI[9, milk] == log_WI[9, soap]


def test_the_past_of_a_shop_is_a_shop():
    h = shop(20)
    cut = FIRST + 60.0
    past = h.until(cut)
    assert (past.day_V < cut).all()
    assert past.line_V[-1] == len(past.item_L)
    again = build_histories(lines(20).filter(pl.col("ts_ms") < cut * DAY_MS), items(), customers=h.customers)
    assert np.array_equal(past.item_L, again.item_L)
    assert np.array_equal(past.start_C, again.start_C)
