"""Numbers and times as people write them."""

import polars as pl
import pytest
from data_helpers import CONNECTION

from promolift.foundation.files.time_formats import guess_time
from promolift.foundation.sql import bind, quote_identifier
from promolift.shop.ingest.cleaning import sql_casts


def read(expression: str, value: str | None) -> object:
    rows = CONNECTION.from_arrow(pl.DataFrame({"x": [value]}, schema={"x": pl.String}).to_arrow())
    return rows.project(expression).fetchall()[0][0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1", 1.0), ("1,234.50", 1234.5), ("$5.00", 5.0), ("US$ 7", 7.0), ("Rs. 100", 100.0), ("(12.50)", -12.5)),
        *(
            ("12.5-", -12.5),
            ("1e3", 1000.0),
            ("12 USD", 12.0),
            ("￥8.8", 8.8),
            ("1 234.5", 1234.5),
            ("EUR -4.50", -4.5),
        ),
        *(
            ("nan", None),
            ("inf", None),
            ("", None),
            ("abc", None),
            ("1,5", 1.5),
            ("0,5 kg", 0.5),
            (None, None),
            ("-", None),
            ("n/a", None),
        ),
    ],
)
def test_numbers_with_a_decimal_point(text: str | None, value: float | None):
    assert read(sql_casts.number("x", "text", "."), text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,5", 1.5), ("1.234,50", 1234.5), ("1.234", 1234.0), ("-3,00 €", -3.0), ("(2,50)", -2.5), ("x", None)],
)
def test_numbers_with_a_decimal_comma(text: str, value: float | None):
    assert read(sql_casts.number("x", "text", ","), text) == value


@pytest.mark.parametrize(
    ("text", "time_format", "moment"),
    [
        ("2019-10-01 00:00:00 UTC", "iso", "2019-10-01 00:00:00"),
        ("2019-10-01T00:00:00+08:00", "iso", "2019-09-30 16:00:00"),
        ("2019-10-01T00:00:00.123-0500", "iso", "2019-10-01 05:00:00.123"),
        ("2019-10-01 00:00:00", "iso", "2019-10-01 04:00:00"),  # summer time of New York
        ("2019-12-01", "iso", "2019-12-01 05:00:00"),  # winter time
        ("1569888000", "iso", "2019-10-01 00:00:00"),
        ("1569888000123", "epoch", "2019-10-01 00:00:00.123"),
        ("1569888000123456", "epoch", "2019-10-01 00:00:00.123"),
        ("13/10/2019 5:06", "%d/%m/%Y %H:%M", "2019-10-13 09:06:00"),
        ("2019-10-01", "%d/%m/%Y", "2019-10-01 04:00:00"),  # a mixed file: ISO cannot be mistaken
        ("01/Oct/2019:00:00:00 +0200", "%d/%b/%Y:%H:%M:%S %z", "2019-09-30 22:00:00"),
        ("20191001102030", "%Y%m%d%H%M%S", "2019-10-01 14:20:30"),  # not milliseconds of the year 2609
        ("5", "days", "2017-01-06 05:00:00"),
        ("2", "weeks", "2017-01-15 05:00:00"),
        ("2019-13-01", "iso", None),
        ("", "iso", None),
        ("soon", "%d/%m/%Y", None),
    ],
)
def test_times(text: str, time_format: str, moment: str | None):
    expression = sql_casts.time_ms("x", "text", time_format, "America/New_York", "2017-01-01")
    assert read(f"make_timestamp_ms({expression})::varchar", text) == moment


def test_the_readers_own_time_zone_changes_nothing():
    expression = sql_casts.time_ms("x", "text", "iso", "America/New_York", None)
    before = read(expression, "2019-10-01 00:00:00")
    CONNECTION.execute("set TimeZone = 'Asia/Tokyo'")
    try:
        assert read(expression, "2019-10-01 00:00:00") == before
    finally:
        CONNECTION.execute("set TimeZone = 'UTC'")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["13/10/2019", "1/2/2019"], "%d/%m/%Y"),
        (["10/13/2019 5:06 PM", "1/2/2019 5:06 AM"], "%m/%d/%Y %I:%M %p"),
        (["1/10/2019", "2/10/2019", "3/10/2019"], "%d/%m/%Y"),
        (["20190131", "20190201"], "%Y%m%d"),
        (["930101", "931231"], "%y%m%d"),
        (["1569888000", "1569888001"], "epoch"),
        (["2019-01-01T00:00:00Z"], "iso"),
        (["01-Oct-2019", "02-Oct-2019"], "%d-%b-%Y"),
        (["2019年1月3日"], "%Y年%m月%d日"),
        (["13.10.2019 05:06", "14.10.2019"], "%d.%m.%Y | %d.%m.%Y %H:%M"),
    ],
)
def test_the_format_is_guessed_from_values(values: list[str], expected: str):
    guess = guess_time(values, "date")
    assert guess is not None
    assert guess.format == expected


@pytest.mark.parametrize("values", [["red", "blue"], ["1.5", "2.5"], [], ["12345", "23456"]])
def test_what_is_no_time_is_not_taken_for_one(values: list[str]):
    assert guess_time(values, "size") is None


def test_a_date_that_could_be_either_is_said_to_be_doubtful():
    guess = guess_time(["1/2/2019", "3/4/2019"], "date")
    assert guess is not None
    assert "no value tells day from month" in guess.notes[0]


def test_literals_cannot_break_out():
    bound = bind("select $who, $all", who="o'hara; --", all=("a", 1, None))
    assert bound == "select 'o''hara; --', ['a', 1::bigint, null]"
    assert quote_identifier('a"b') == '"a""b"'
