"""Hold a mapping in the making: the columns that are still free, the roles that have one, and notes for a person.

In: a table's sample rows and what a person has settled. Out: the draft that the stages of the inference read and fill
(`event_mapping/mapping_inference.py` lists them).
"""

from collections.abc import Collection
from collections.abc import Mapping as Dict
from typing import NamedTuple

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.files.time_formats import TimeGuess, guess_time
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.configuration.column_mapping import RawTable
from promolift.shop.ingest.cleaning.basket_cells import basket_column, split_sample
from promolift.shop.ingest.cleaning.sql_casts import NULL_TEXTS, ascii_digits, is_guest
from promolift.shop.ingest.schema_matching.mixed_dates import guess_mixed_dates

TIME_ROLES = {"events": "time", "promotions": "start", "redemptions": "redeemed_at", "shelf": "start", "words": "time"}
MONEY = ("amount", "unit_price", "list_amount", "list_unit_price", "price", "cost")
VIEWS = {"kind": "view"}  # constants of a log of what was looked at


class RoleGuess(NamedTuple):
    """The column that takes a role, how sure that is from 0 to 1, the runner-up ('' for none) and values of it."""

    column: str
    sure: float
    runner_up: str
    samples: tuple[str, ...]


class MappingDraft:
    """Columns, roles, settings and notes of one table while its mapping is inferred."""

    def __init__(
        self,
        table: RawTable,
        sample: pl.DataFrame,
        zone: str,
        currency: str | None,
        leave: Collection[str],
        keys: Dict[str, str],
        fixed: Dict[str, str],
    ) -> None:
        """As in `guess_mapping`."""
        self.table, self.zone, self.currency, self.keys = table, zone, currency, keys
        self.columns: dict[str, str | tuple[str, ...]] = {}
        self.settings: dict[str, object] = {}
        self.notes: list[str] = []
        self.day_only = False
        self.assumed: dict[str, str] = {}  # settings that nothing in the file says
        self.recommended: set[str] = set()  # columns of prices that the shop does not ask
        self.times: dict[str, TimeGuess | None] = {}
        self.sure: dict[str, RoleGuess] = {}
        self.basket = basket_column(sample) if table == "events" or leave else ""
        if self.basket:
            sample, self.settings["basket"] = split_sample(sample, self.basket), self.basket
        self.sample = sample
        self.inside = bool(leave)
        self.free = [name for name in sample.columns if name not in leave and name != self.basket]
        self.fixed = fixed
        for role, name in fixed.items():
            if name not in sample.columns:
                has = ", ".join(sample.columns[:20])
                raise InputError(
                    "column_unknown",
                    gettext_lazy(
                        "--map {role}={name}: {table} has no column {repr_name}; it has {has}",
                        role=role,
                        name=name,
                        table=table,
                        repr_name=repr(name),
                        has=has,
                    ),
                )
            if role != TIME_ROLES.get(table):
                self.take(role, name, 1.0)

    def take(self, role: str, name: str, sure: float, runner_up: str = "") -> None:
        """Give a role a column, which is then no longer free."""
        self.columns[role] = name
        self.sure[role] = RoleGuess(name, sure, runner_up, ())
        if name in self.free:
            self.free.remove(name)

    def filled(self, name: str) -> float:
        """The share of rows in which the column says something; a guest's placeholder says nothing."""
        return sum(not is_guest(value) for value in self.values(name)) / max(self.sample.height, 1)

    def time_of(self, name: str) -> TimeGuess | None:
        dtype = self.sample.schema[name]
        if isinstance(dtype, pl.Datetime):
            return TimeGuess("iso", 1.0)
        if dtype == pl.Date:
            return TimeGuess("iso", 1.0, day_only=True)
        if name not in self.times:
            mixed = guess_mixed_dates(self.values(name))
            self.times[name] = mixed or guess_time(self.values(name), name)
        return self.times[name]

    def values(self, name: str) -> list[str]:
        """The column's sample values as text, without those that say nothing."""
        column = self.sample.get_column(name)
        if column.dtype.is_nested():
            return []
        return [
            ascii_digits(value)
            for value in column.cast(pl.String, strict=False).drop_nulls().str.strip_chars()
            if value.lower() not in NULL_TEXTS and not _is_record(value)
        ]


def is_nested(sample: pl.DataFrame, name: str) -> bool:
    """Whether the cells of a column are lists or records."""
    return sample.schema[name].is_nested()


def _is_record(value: str) -> bool:
    """Whether a cell holds a list or a record of its own, in JSON or as Python prints it."""
    return (value[:1], value[-1:]) in {("[", "]"), ("{", "}")}
