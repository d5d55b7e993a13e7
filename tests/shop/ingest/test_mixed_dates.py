"""Dates of one column that are written in several ways: the order of the rows tells day from month."""

from datetime import date, timedelta
from random import Random

import polars as pl
import pytest
from data_helpers import raw
from hypothesis import given
from hypothesis import strategies as st

from promolift.foundation.sql import fetch_frame
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping_with_reasons
from promolift.shop.ingest.schema_matching.mixed_dates import guess_mixed_dates
from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW

WAYS = (
    "{d}/{m}/{y}",
    "{m}/{d}/{y}",
    "{d:02}-{m:02}-{y}",
    "{m:02}-{d:02}-{y}",
    "{d:02}.{m:02}.{y}",
    "{y}-{m:02}-{d:02}",
)


def log(written: list[str]) -> pl.DataFrame:
    rows = range(len(written))
    columns = {"customer": [f"C{row % 9}" for row in rows], "date": written, "total": [f"{row}.50" for row in rows]}
    return pl.DataFrame(columns)


def as_spreadsheet(day: date) -> str:
    """'05-01-2015' became '5/1/2015' where it could be a month and a day, and stayed as it was where not."""
    return f"{day.day}/{day.month}/{day.year}" if day.day <= 12 else f"{day:%d-%m-%Y}"


def read_days(written: list[str], time_format: str) -> list[date]:
    query = f"select {sql_casts.time_ms('date', 'text', time_format, 'UTC', None)} as ms from raw order by _row"
    ms = fetch_frame(sql_casts.select(raw(pl.DataFrame({"date": written})), query))["ms"]
    return [date(1970, 1, 1) + timedelta(milliseconds=each) for each in ms]


def test_no_row_of_a_column_that_a_spreadsheet_rewrote_is_set_aside():
    days = [date(2015, 1, 1) + timedelta(days=row) for row in range(300)]
    written = [as_spreadsheet(day) for day in days]
    found = guess_mapping_with_reasons("events", log(written), "UTC", None, (), {}, {})
    assert read_days(written, found.mapping.time_format) == days
    assert found.roles["time"].sure > CONFIRM_BELOW


def test_rows_in_no_order_whose_days_and_months_look_alike_are_a_question():
    days = [date(2015, 1 + row % 12, 1 + row * 7 % 12) for row in range(200)]
    Random(3).shuffle(days)
    found = guess_mapping_with_reasons("events", log([f"{day:%m/%d/%Y}" for day in days]), "UTC", None, (), {}, {})
    assert found.roles["time"].sure < CONFIRM_BELOW


@pytest.mark.parametrize(("bad", "asked"), [(2, False), (40, True)])
def test_more_than_two_in_a_hundred_unread_are_a_question(bad: int, asked: bool):
    written = [f"{date(2015, 1, 1) + timedelta(days=row):%d.%m.%Y}" for row in range(200 - bad)]
    found = guess_mapping_with_reasons("events", log(written + [f"soon {row}" for row in range(bad)]), "UTC", None, (),
                                       {}, {})  # fmt: skip
    assert (found.roles["time"].sure < CONFIRM_BELOW) is asked


@given(
    start=st.dates(date(1990, 1, 1), date(2040, 1, 1)),
    steps=st.lists(st.integers(0, 5), min_size=120, max_size=200),
    ways=st.lists(st.sampled_from(WAYS), min_size=1, max_size=3, unique=True),
    seed=st.integers(0, 99),
)
def test_rows_in_the_order_of_time_are_read_as_they_were_written(
    start: date, steps: list[int], ways: list[str], seed: int
):
    """The law: where formats differ in their signs and rows run in time, each day is read as it was, or it is asked."""
    signs = [way.strip("{dmy:02}")[0] if way[1] != "y" else "iso" for way in ways]
    draw, days = Random(seed), [start]
    for step in steps:
        days.append(days[-1] + timedelta(days=step))
    if len(set(signs)) < len(signs):
        return
    written = [draw.choice(ways).format(d=day.day, m=day.month, y=day.year) for day in days]
    found = guess_mixed_dates(written)
    if found is not None and not found.undecided and found.share == 1:
        assert read_days(written, found.format) == days
