"""A mapping says what is wrong with it, and reads back what it wrote."""

import tomllib

import pytest
from data_helpers import mapping
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.foundation.money import currency_digits
from promolift.shop.configuration.column_mapping import Mapping

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(
    NAMES,
    NAMES,
    NAMES,
    st.lists(NAMES, max_size=4),
    st.dictionaries(NAMES, st.sampled_from(["view", "other"]), max_size=3),
)
def test_what_is_written_to_toml_is_read_back(who: str, at: str, off: str, notes: list[str], kinds: dict[str, str]):
    columns = {"customer_id": who, "time": at, "shelf_discount": (off, who)}
    one = mapping("events", columns, constants={"channel": off}, kinds=kinds, notes=tuple(notes), zone="Asia/Tokyo")
    values = tomllib.loads("[events]\n" + one.to_toml())["events"]
    assert Mapping.parse({"table": "events", **values}, "x") == one


@pytest.mark.parametrize(
    ("change", "code", "facts"),
    [
        ({"zone": "Mars/Base"}, "timezone_unknown", ("zone = 'Mars/Base'",)),
        ({"currency": "DOLLAR"}, "currency_unknown", ("currency = 'DOLLAR'",)),
        ({"columns": {"customer_id": "a"}}, "setting_missing", ('time = "<your column>"',)),
        (
            {"columns": {"customer_id": "a", "time": "b", "prodct_id": "c"}},
            "setting_unknown",
            ("'prodct_id'", "'product_id'"),
        ),
        ({"columns": {"customer_id": "a", "time": ["b", "c"]}}, "setting_invalid", ("time ",)),
        ({"time_format": "days"}, "setting_missing", ("time_format days", "time_origin")),
        ({"time_fromat": "iso"}, "setting_unknown", ("'time_fromat'", "'time_format'")),
        ({"kinds": {"x": "bought"}}, "setting_invalid", ("kinds.x = 'bought'",)),
    ],
)
def test_a_wrong_mapping_names_the_key_and_the_remedy(change: dict[str, object], code: str, facts: tuple[str, ...]):
    values = {"table": "events", "columns": {"customer_id": "a", "time": "b"}, **change}
    with raises_code(code, *facts) as caught:
        Mapping.parse(values, "x")
    assert str(caught.value).startswith("x: ")


def test_currencies_have_their_own_digits():
    assert [currency_digits(code) for code in ("USD", "JPY", "KWD", "CNY")] == [2, 0, 3, 2]
    with raises_code("currency_unknown", "'usd'", "USD"):
        currency_digits("usd")
