"""Whose treatment is compared: values as they stand, numbers in bands, and who gave none as a group of their own."""

import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.customers import find_groups, group_lists
from promolift.core.customers.comparison_groups import column_groups
from promolift.foundation.errors import ConfigError

PROFILES = pl.DataFrame({"customer_id": ["a", "b", "c", "d"], "tenure_days": [10.0, 400.0, None, 90.0]})
CUSTOMERS = pl.DataFrame({
    "customer_id": ["a", "b", "c"], "sex": ["f", "m ", ""], "age": [None, None, None], "region": ["N", "S", "N"],
})  # fmt: skip


def test_the_usual_columns_that_somebody_has_a_value_in_and_who_is_new() -> None:
    found = find_groups(PROFILES, CUSTOMERS, (), 90)
    assert found.columns == ["customer_id", "sex", "region", "loyalty"]  # nobody gave an age
    assert found["sex"].to_list() == ["f", "m", "not given", "not given"]
    assert found["loyalty"].to_list() == ["new", "loyal", "new", "loyal"]
    assert group_lists(found)["groups"][0].to_list() == ["sex=f", "region=N", "loyalty=new"]


def test_numbers_are_cut_into_bands_and_the_rare_of_many_texts_are_one_group() -> None:
    ages = column_groups(pl.Series("age", [str(age) for age in (18, 24, 25, 34, 35, 50, 64, 65, 90)] + [None]))
    assert ages.to_list() == [
        "below 25", "below 25", "25 to below 35", "25 to below 35", "35 to below 45", "45 to below 55",
        "55 to below 65", "65 and more", "65 and more", "not given",
    ]  # fmt: skip
    spent = column_groups(pl.Series("spent", [float(each) for each in range(1, 101)]))
    assert spent.value_counts()["count"].to_list() == pytest.approx([25] * 4, abs=1)
    towns = column_groups(pl.Series("city", [f"town {n:02}" for n in range(20) for _ in range(40 - n)]))
    assert towns.n_unique() == 12
    assert (towns == "other").sum() == sum(40 - n for n in range(11, 20))


def test_a_column_that_nobody_has_is_named() -> None:
    with raises_code("column_unknown", "fairness.columns", "'regoin'", "'region'", kind=ConfigError):
        find_groups(PROFILES, CUSTOMERS, ("regoin",), 90)
