"""A mapping says what is wrong with it, and reads back what it wrote."""

import tomllib

import pytest
from data_helpers import mapping
from hypothesis import given
from hypothesis import strategies as st

from promolift.currency import currency_digits
from promolift.data import Mapping
from promolift.errors import ConfigError

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
    ("change", "message"),
    [
        ({"zone": "Mars/Base"}, "x: zone = 'Mars/Base': not a time zone"),
        ({"currency": "DOLLAR"}, "x: currency = 'DOLLAR': not a currency code"),
        ({"columns": {"customer_id": "a"}}, r'x: needs time; write time = "<your column>" under columns'),
        (
            {"columns": {"customer_id": "a", "time": "b", "prodct_id": "c"}},
            "unknown role 'prodct_id'; did you mean 'product_id'",
        ),
        ({"columns": {"customer_id": "a", "time": ["b", "c"]}}, "time takes one column"),
        ({"time_format": "days"}, "needs time_origin"),
        ({"time_fromat": "iso"}, "unknown key 'time_fromat'; did you mean 'time_format'"),
        ({"kinds": {"x": "bought"}}, "kinds.x = 'bought'"),
    ],
)
def test_a_wrong_mapping_names_the_key_and_the_remedy(change: dict[str, object], message: str):
    values = {"table": "events", "columns": {"customer_id": "a", "time": "b"}, **change}
    with pytest.raises(ConfigError, match=message):
        Mapping.parse(values, "x")


def test_currencies_have_their_own_digits():
    assert [currency_digits(code) for code in ("USD", "JPY", "KWD", "CNY")] == [2, 0, 3, 2]
    with pytest.raises(ConfigError, match="'usd': not a currency code; did you mean USD"):
        currency_digits("usd")
