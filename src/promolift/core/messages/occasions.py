"""Find the occasions of a country that are near a day: shopping festivals, holidays, the start of the school year."""

from datetime import date, timedelta
from functools import cache
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from promolift.core.offers.product_names import load_toml
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import LocalizedText
from promolift.foundation.settings import Settings


class DateSpan(NamedTuple):
    """A first and a last day."""

    first: date
    last: date


class Occasion(Settings):
    """A row of occasions.toml, which explains its fields."""

    label: LocalizedText
    countries: tuple[str, ...] = ()
    lead_days: int = Field(ge=0, le=60)
    day: str | None = None
    span: tuple[str, str] | None = None
    weekday: tuple[int, int, int, int] | None = None
    days: tuple[tuple[date, date], ...] = ()

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if sum(map(bool, (self.day, self.span, self.weekday, self.days))) != 1:
            raise ValueError(gettext_lazy("an occasion has one of day, span, weekday and days"))
        return self

    def spans(self, year: int) -> list[DateSpan]:
        """Return the first and the last day of each time that it begins in a year; none beyond the table."""
        if self.weekday:
            month, which, weekday, after = self.weekday
            first = date(year, month, 1)
            day = first + timedelta((weekday - first.weekday()) % 7 + 7 * (which - 1) + after)
            return [DateSpan(day, day)]
        if self.days:
            return [DateSpan(*span) for span in self.days if span[0].year == year]
        start, end = self.span or (self.day, self.day)
        return [DateSpan(date.fromisoformat(f"{year}-{start}"), date.fromisoformat(f"{year}-{end}"))]


@cache
def load_occasions() -> dict[str, Occasion]:
    """Return all rows of occasions.toml by id."""
    return {name: Occasion.parse(row, name) for name, row in load_toml("messages/occasions.toml").items()}


class NearOccasion(NamedTuple):
    """An occasion, and its first and last day."""

    id: str
    label: LocalizedText
    first: date
    last: date


def near_occasions(country: str | None, today: date) -> list[NearOccasion]:
    """Return the occasions of a country that are near or under way, the soonest first; none without a country."""
    if country is None:
        return []
    found = [
        NearOccasion(name, each.label, first, last)
        for name, each in load_occasions().items()
        if not each.countries or country in each.countries
        for year in (today.year - 1, today.year, today.year + 1)
        for first, last in each.spans(year)
        if first - timedelta(each.lead_days) <= today <= last
    ]
    return sorted(found, key=lambda near: (near.first, near.id))
