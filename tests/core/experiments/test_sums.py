"""Laws of core/experiments/arm_sums.py: moments are those of the rows; nothing missing is zero."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.experiments.arm_sums import ArmSums, OutlierCap, sum_by_group
from promolift.foundation.errors import SupportError

CAPS = {"y": OutlierCap("stated beforehand", low=-50, high=400)}
ROWS = pl.DataFrame(
    {
        "arm": ["a", "a", "b", "a", "b"],
        "region": ["n", "s", "n", "n", "s"],
        "y": [100, 900, -80, 0, 300],
        "orders": [1, 2, 1, 0, 3],
    }
)


def sums(columns, caps=None):
    """Sums of one arm."""
    rows = pl.DataFrame({name: np.asarray(values, dtype=float) for name, values in columns.items()})
    return sum_by_group(rows.with_columns(arm=pl.lit("one")), tuple(columns), caps=caps)[("one",)]


@st.composite
def customers(draw):
    n = draw(st.integers(2, 40))
    number = st.integers(-(10**6), 10**6)
    column = st.lists(number, min_size=n, max_size=n)
    arms = draw(st.lists(st.sampled_from("ab"), min_size=n, max_size=n))
    return pl.DataFrame({"arm": arms, "y": draw(column), "x": draw(column), "orders": draw(column)})


def test_sums_by_hand_with_a_cap():
    found = sum_by_group(ROWS, ["y", "orders"], caps=CAPS)
    assert found[("a",)] == ArmSums(
        ("y", "orders"), 3, (500.0, 3.0), (170_000.0, 900.0, 5.0), (CAPS["y"], None), (1, 0)
    )
    assert found[("b",)].total == (250.0, 4.0)
    assert found[("b",)].clipped == (1, 0)


@given(customers())
@cases(30)
def test_moments_are_those_of_the_rows(rows):
    values = rows.select("y", "x", "orders").to_numpy().astype(float)
    found = sums({name: values[:, i] for i, name in enumerate(("y", "x", "orders"))})
    np.testing.assert_allclose(found.mean_C, values.mean(axis=0), rtol=1e-12)
    scale = np.abs(values).max() ** 2 + 1
    np.testing.assert_allclose(found.covariance_CC, np.cov(values.T), atol=1e-9 * scale)


def test_groups_may_be_several_columns():
    found = sum_by_group(ROWS, ["y"], by=("arm", "region"))
    assert list(found) == [("a", "n"), ("a", "s"), ("b", "n"), ("b", "s")]
    assert found[("a", "n")].n == 2
    for (arm,), each in sum_by_group(ROWS, ["y"]).items():
        parts = [part for (name, _), part in found.items() if name == arm]
        assert (sum(part.n for part in parts), sum(part.total[0] for part in parts)) == (each.n, each.total[0])


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_missing_value_is_not_zero(value):
    rows = pl.DataFrame({"arm": ["a", "a"], "y": [1.0, value]})
    with raises_code("value_missing", "1 of 2", "'y'"):
        sum_by_group(rows, ["y"])


def test_a_missing_arm_or_column_is_an_error():
    with raises_code("group_missing", "'arm': None", "1 rows"):
        sum_by_group(pl.DataFrame({"arm": ["a", None], "y": [1, 2]}), ["y"])
    with raises_code("column_missing", "margin"):
        sum_by_group(ROWS, ["margin"])
    with raises_code("column_unknown", "caps", "orders"):
        sum_by_group(ROWS, ["y"], caps={"orders": OutlierCap("stated", high=1)})
    with raises_code("column_unknown", "'z'"):
        sums({"y": [1, 2]}).at("z")


def test_too_few_customers_have_no_variance():
    with raises_code("too_few_customers", "1", kind=SupportError):
        _ = sums({"y": [1]}).covariance_CC
    with raises_code("too_few_customers", kind=SupportError):
        _ = ArmSums(("y",), 0, (0.0,), (0.0,), (None,), (0,)).mean_C


def test_a_variance_lost_in_rounding_is_none_and_a_small_true_one_is_kept():
    assert sums({"y": [1e12 + 0.1] * 7}).covariance_CC[0, 0] == 0
    assert sums({"y": 1e4 + np.arange(1000) % 2}).covariance_CC[0, 0] == pytest.approx(250 / 999, rel=1e-6)


def test_rates_are_known_by_their_sums():
    found = sums({"y": [0, 1, 1], "x": [0, 2, 1], "z": [1, 0, 0]})
    assert [found.is_rate(name) for name in "yxz"] == [True, False, True]
