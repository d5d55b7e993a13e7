"""Laws of privacy/: silence is no consent, a minor gets no marketing, a pseudonym needs the key, logs name nobody."""

import hmac

import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.customers.consent import lowest_age, may_send
from promolift.core.customers.settings import ConsentSettings
from promolift.foundation.privacy.redaction import pseudonym, redact

KEY = "0123456789abcdef-a-key"


def test_pseudonym_is_hmac_sha256_and_changes_with_key_and_customer():
    assert pseudonym("A1", KEY) == "cus_" + hmac.new(KEY.encode(), b"A1", "sha256").hexdigest()[:32]
    assert pseudonym("A1", KEY.encode()) == pseudonym("A1", KEY)
    assert len({pseudonym("A1", KEY), pseudonym("A2", KEY), pseudonym("A1", KEY + "x")}) == 3


def test_rfc_4231_test_case_one():
    expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    assert pseudonym("Hi There", b"\x0b" * 20) == "cus_" + expected[:32]


def test_a_short_key_is_no_secret():
    with raises_code("secret_too_short", "8", "16"):
        pseudonym("A1", "password")


def customers(rows):
    return pl.DataFrame(rows, schema={"customer_id": pl.String, "consent": pl.Boolean, "age": pl.String}, orient="row")


PEOPLE = customers(
    [
        ("yes", True, "34"),
        ("no", False, "34"),
        ("silent", None, None),
        ("child", True, "15"),
        ("band", True, "15-19"),
        ("adult", True, "18"),
        ("odd", True, "n/a"),
    ]
)


@pytest.mark.parametrize("default", [True, False])
def test_who_may_be_sent_marketing(default):
    ids = pl.Series([*PEOPLE["customer_id"], "stranger", "yes"])
    table = may_send(ids, PEOPLE, ConsentSettings(default=default))
    got = dict(table.select("customer_id", "may_send").rows())
    assert got == {
        "yes": True,
        "no": False,
        "silent": default,
        "stranger": default,
        "child": False,
        "band": False,
        "adult": True,
        "odd": True,
    }
    assert table["customer_id"].to_list() == sorted(got)
    assert (table["may_send"] == table["reason"].is_null()).all()


def test_without_settings_nobody_is_written_to_unasked():
    assert not may_send(pl.Series(["silent"]), PEOPLE)["may_send"][0]


def test_the_minimum_age_can_be_moved():
    assert may_send(pl.Series(["band"]), PEOPLE, ConsentSettings(minimum_age=14))["may_send"][0]
    assert not may_send(pl.Series(["yes"]), PEOPLE, ConsentSettings(minimum_age=35))["may_send"][0]


def test_two_answers_are_no_answer():
    with raises_code("rows_duplicate", "customer_id"):
        may_send(pl.Series(["yes"]), customers([("yes", True, None), ("yes", False, None)]))


def test_a_table_without_consent_or_age_follows_the_default():
    bare = pl.DataFrame({"customer_id": ["a"]})
    assert may_send(pl.Series(["a"]), bare, ConsentSettings(default=True))["may_send"].to_list() == [True]
    assert may_send(pl.Series([], dtype=pl.String), bare).height == 0


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("34", 34),
        ("25-34", 25),
        ("65+", 65),
        ("Under 18", 0),
        ("<25", 0),
        ("18岁以下", 0),
        ("18-25岁", 18),
        ("18 and over", 18),
        ("1990", None),
        ("1990-05-01", None),
        ("", None),
        (None, None),
        ("adult", None),
    ],
)
def test_ages_as_sources_write_them(text, age):
    assert lowest_age(text) == age


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("mail to li.lei+shop@example.com.cn, please", "mail to [email], please"),
        ("call 13812345678 now", "call [phone] now"),
        ("电话13812345678。", "电话[phone]。"),
        ("+86 138 1234 5678", "[phone]"),
        ("+1 (212) 555-0142", "[phone]"),
        ("(212) 555-0142", "[phone]"),
        ("id 11010519491231002X", "id [id card]"),
        ("paid 4111 1111 1111 1111 twice", "paid [card] twice"),
        ("from 192.168.1.20", "from [ip]"),
        ("Authorization: Bearer abcdef123456789", "Authorization: [secret]"),
    ],
)
def test_personal_text_is_blanked(text, clean):
    assert redact(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "week 42 ended at 1508126400000",
        "product 4111111111111112 unknown",
        "sold 12 of 20 at 3.99 on 2017-10-16",
        "dec_1f0c9a7be4d20013 took offer coffee-20",
        "version 1.2.3",
        "10000085207",
    ],
)
def test_what_an_engineer_needs_is_kept(text):
    assert redact(text) == text


def test_rows_are_blanked_by_field_and_searched_by_text():
    row = {
        "Customer_ID": "A1",
        "name": "Li Lei",
        "e-mail": "x@y.cn",
        "age": 34,
        "ts_ms": 1508126400000,
        "note": ["rang 13812345678", {"phone": None, "first_name": "Lei"}],
    }
    assert redact(row) == {
        "Customer_ID": "[customer]",
        "name": "[redacted]",
        "e-mail": "[redacted]",
        "age": "[redacted]",
        "ts_ms": 1508126400000,
        "note": ["rang [phone]", {"phone": None, "first_name": "[redacted]"}],
    }


values = st.recursive(
    st.none() | st.integers() | st.text() | st.from_regex(r"[a-z]{1,8}@[a-z]{2,8}\.cn|1[3-9][0-9]{9}", fullmatch=True),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "note", "customer_id"]), inner)
    ),
)


@given(values)
def test_redacting_twice_changes_nothing_more(value):
    once = redact(value)
    assert redact(once) == once


def test_who_refused_personal_decisions_is_offered_nothing_chosen_for_them():
    people = pl.DataFrame({"customer_id": ["a", "b", "c"], "consent": [True] * 3, "personal": ["No", "yes", None]})
    found = may_send(people["customer_id"], people)
    assert found["reason"].to_list() == ["the customer refused personal decisions", None, None]
