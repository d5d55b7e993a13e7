"""The end of a number of days is a local midnight, in every time zone and also where clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from promolift.core.offers.menu import end_of_day
from promolift.foundation.time.clock import end_of_days_ms

ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Shanghai", "Australia/Lord_Howe", "America/New_York")


@given(
    st.dates(date(2015, 1, 1), date(2030, 1, 1)),
    st.integers(0, 23),
    st.integers(1, 90),
    st.sampled_from(ZONES),
)
@example(date(2025, 3, 11), 0, 28, "Europe/Berlin")
def test_days_end_one_second_after_the_last_second_of_an_offer_of_as_many_days(
    day: date, hour: int, days: int, zone: str
) -> None:
    starts = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone))
    end = datetime.fromtimestamp(end_of_days_ms(round(starts.timestamp() * 1000), days, zone) / 1000, UTC)
    assert end.astimezone(ZoneInfo(zone)).date() == day + timedelta(days=days)
    assert end - end_of_day(starts, days).astimezone(UTC) == timedelta(seconds=1)
