"""Laws of cells and sensitive names: no small group can be worked out from what is printed; a list finds its names."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.customers.disclosure_control import merge_small_cells, small_cells
from promolift.core.customers.sensitive_topics import names_sensitive_topic, sensitive_columns, sensitive_products
from promolift.core.offers.product_names import is_sensitive

COUNTS = st.lists(st.integers(0, 60), min_size=1, max_size=12)


@given(COUNTS, st.integers(2, 20))
def test_no_small_part_can_be_worked_out_from_the_whole(counts: list[int], least: int) -> None:
    gone = small_cells(counts, least)
    hidden = [n for n, out in zip(counts, gone, strict=True) if out]
    assert all(n == 0 or n >= least for n, out in zip(counts, gone, strict=True) if not out)
    if any(0 < n < least for n in counts):
        everything = all(out or n == 0 for n, out in zip(counts, gone, strict=True))
        assert everything or (len(hidden) >= 2 and sum(hidden) >= least)
    else:
        assert not hidden


@given(COUNTS, st.integers(2, 20))
def test_the_rest_is_one_row_and_no_sum_is_lost(counts: list[int], least: int) -> None:
    rows = pl.DataFrame({"name": [f"g{i}" for i in range(len(counts))], "n": counts, "gain": [1.5] * len(counts)})
    table = merge_small_cells(rows, "n", least)
    assert table["n"].sum() == sum(counts)
    assert table["gain"].sum() == rows["gain"].sum()
    small = [n for n in table["n"] if 0 < n < least]
    assert not small or sum(counts) < least  # of so few customers in all, the whole is said elsewhere
    assert table["name"].null_count() <= 1


def test_groups_that_overlap_go_where_few_are_outside_them() -> None:
    assert small_cells([97, 50, 3, 0], 10, total=100) == [True, False, True, False]
    assert small_cells([97, 50, 3, 0], 1, total=100) == [False] * 4


@pytest.mark.parametrize(
    ("name", "matter"),
    [("COLD AND FLU", "health"), ("家用药品", "health"), ("Halal meat", "religion"), ("佛教用品", "religion"),
     ("condoms 12 pack", "sex_life"), ("情趣内衣", "sex_life"), ("trade union book", "union"), ("工会用品", "union"),
     ("Politics and history", "politics"), ("党建读物", "politics")],
)  # fmt: skip
def test_names_that_tell_of_a_matter(name: str, matter: str) -> None:
    rows = pl.DataFrame({"product_id": ["p"], "category": [name], "name": [None]}, strict=False)
    assert sensitive_products(rows)["matter"].to_list() == [matter]
    assert sensitive_products(rows, [matter]).is_empty()
    assert names_sensitive_topic(name)
    assert is_sensitive(name)


@pytest.mark.parametrize(
    "name",
    ["baby spinach", "山药", "kosher salt", "unisex jeans", "COLD CEREAL", "credit union", "Health food",
     "motor lubricant", "party plates", "drugstore", "Kids' shoes", "婴儿奶粉"],
)  # fmt: skip
def test_names_that_only_sound_like_it(name: str) -> None:
    assert sensitive_products(pl.DataFrame({"product_id": ["p"], "name": [name]})).is_empty()
    assert not names_sensitive_topic(name)


def test_columns_of_customers_by_what_the_shop_calls_them() -> None:
    names = {
        "tier": "Religion",
        "a": "kidsCount",
        "b": "政治面貌",
        "sex": "sex",
        "consent": "health consent",
        "c": "city",
    }
    assert sensitive_columns(names) == {"tier": "religion", "a": "children", "b": "politics"}
    assert sensitive_columns(names, ["politics", "children", "religion"]) == {}
