"""A release's rows as arrays give each customer's options as the table has them."""

import polars as pl
import pytest
from error_checks import raises_code

pytest.importorskip("fastapi")
from promolift.core.decisions import Option
from promolift.server.decisions.live_release import ReleaseRows


def table(**changed: list[object]) -> pl.DataFrame:
    columns: dict[str, list[object]] = {
        "offer_id": ["a", "b", "a", "c", "b"],
        "target": ["tea", None, "tea", "milk", None],
        "gain_cents": [1.5, -2.0, None, 4.0, 5.0],
        "cost_cents": [1.0, 2.0, 3.0, 4.0, 0.0],
        "charge_cents": [0.0, 0.25, None, 0.0, 0.0],
        "eligible": [True, True, True, None, True],
        "why_not": [None, None, None, None, "resting"],
    }
    numbers = dict.fromkeys(("gain_cents", "cost_cents", "charge_cents"), pl.Float64)
    return pl.DataFrame(columns | changed, schema_overrides=numbers | {"why_not": pl.String})


def test_options_are_the_rows_and_what_is_unknown_or_not_eligible_is_closed() -> None:
    rows = ReleaseRows.of(table())
    assert rows.options(slice(0, 2)) == [Option("a", 1.5, 1.0, None, 0.0), Option("b", -2.0, 2.0, None, 0.25)]
    assert [(each.offer_id, each.closed) for each in rows.options(slice(2, 5))] == [
        ("a", "its gain or cost is not known"), ("c", "not eligible"), ("b", "resting"),
    ]  # fmt: skip
    assert rows.options(slice(0, 0)) == []
    assert rows.targets == {"a": "tea", "b": None, "c": "milk"}


@pytest.mark.parametrize(
    ("changed", "value"),
    [({"gain_cents": [float("nan"), 0, 0, 0, 0]}, "nan"), ({"cost_cents": [0, -1, 0, 0, 0]}, "-1.0"),
     ({"charge_cents": [0, 0, float("inf"), 0, 0]}, "inf")],
)  # fmt: skip
def test_a_release_with_impossible_numbers_is_not_loaded(changed: dict[str, list[object]], value: str) -> None:
    with raises_code("value_invalid", "release", " 1 rows", value):
        ReleaseRows.of(table(**changed))


def test_a_release_without_candidates_has_no_options() -> None:
    assert ReleaseRows.of(table().clear()).options(slice(0, 0)) == []
