"""Infer a Mapping from column names and sample rows: first by known names, then by the values."""

import re
from collections.abc import Collection
from collections.abc import Mapping as Dict
from typing import Literal, NamedTuple

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import (
    COLUMN_SYNONYMS,
    FIRST_NAME_COLUMNS,
    LAST_NAME_COLUMNS,
    normalise_column_name,
)
from promolift.shop.configuration.column_mapping import (
    OPTIONAL_ROLES,
    REQUIRED_ROLES,
    Mapping,
    RawTable,
)
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.event_mapping.event_columns import EventColumns
from promolift.shop.ingest.schema_matching.role_matching import (
    TIME_ROLES,
    RoleGuess,
    name_rank,
)

VALID_DAYS = "30"
MAX_VALUES_SHOWN = 20  # columns named in an error


def guess_mapping(
    table: RawTable,
    sample: pl.DataFrame,
    *,
    zone: str = "UTC",
    currency: str | None = None,
    leave: Collection[str] = (),
    keys: Dict[str, str] | None = None,
    fixed: Dict[str, str] | None = None,
) -> Mapping:
    """How the columns of `sample` become ours. What is doubtful stands in the mapping's `notes`.

    `leave` names columns that are not to be used: those the events take, where customers or products are sought inside
    the events file; names that could mean either are then left alone. `keys` names the events' own column of a role: a
    column called the same is taken before any other, so that the tables meet. Raises InputError if a column that is
    needed cannot be found: it lists the columns and says what to do. `fixed` are roles that a person has settled.
    """
    return guess_mapping_with_reasons(table, sample, zone, currency, leave, keys or {}, fixed or {}).mapping


class MappingGuess(NamedTuple):
    """A mapping, and for each of its roles how sure it is, what came next and what stands in the column; `assumed` are
    settings that nothing in the file says."""

    mapping: Mapping
    roles: dict[str, RoleGuess]
    assumed: Dict[str, str] = {}


def guess_mapping_with_reasons(
    table: RawTable,
    sample: pl.DataFrame,
    zone: str,
    currency: str | None,
    leave: Collection[str],
    keys: Dict[str, str],
    fixed: Dict[str, str],
    money: Literal["major", "minor"] | None = None,
) -> MappingGuess:
    """As `guess_mapping`, with what speaks for it; `money` is the unit of amounts where a person has said it."""
    guess = _Guess(table, sample, zone, currency, leave, keys, fixed)
    if money:
        guess.settings["money"] = money
    return MappingGuess(guess.mapping(), guess.guesses(), guess.assumed)


class _Guess(EventColumns):
    """One guess in the making: columns still free, roles found, notes."""

    def mapping(self) -> Mapping:
        self.find_time()
        for role in (*REQUIRED_ROLES[self.table], *OPTIONAL_ROLES[self.table]):
            if role not in self.columns and role not in ("clock", "sequence", TIME_ROLES.get(self.table)):
                self.find(role)
        if self.table == "events":
            self._settle_events()
        if self.table == "customers":
            self._settle_names()
        if self.table == "products":
            self._settle_category()
        if self.table == "promotions":
            self._settle_promotions()
        self._settle_money()
        if self.table == "events":
            self._settle_coupon_code()
            self._settle_zone()
            self._settle_views()
        self._say_what_lies_in_records()
        self._must_have_all()
        values = {
            "table": self.table,
            "columns": self.columns,
            "zone": self.zone,
            "notes": tuple(self.notes),
            **self.settings,
        }
        return Mapping.parse(values, self.table)

    def _say_what_lies_in_records(self) -> None:
        cells = {name: self.sample.get_column(name).drop_nulls() for name in self.free if not self.inside}
        text = {name: column for name, column in cells.items() if column.dtype == pl.String and len(column)}
        hidden = [name for name, column in text.items() if _records(column) > 0.5 * len(column)]
        if hidden:
            sessions = "totals" in {name.partition(".")[0] for name in self.sample.columns}
            how = (
                "export one row per product of a hit, as docs/own-data.md shows"
                if sessions
                else "give the file as JSON lines"
            )
            self.notes.append(
                f"{', '.join(map(repr, hidden))}: each cell holds a record, which is not read; {how}, or a column for "
                "each key"
            )

    def _settle_names(self) -> None:
        if "name" not in self.columns:
            first = next((name for name in self.free if _last(name) in FIRST_NAME_COLUMNS), None)
            last = next((name for name in self.free if _last(name) in LAST_NAME_COLUMNS), None)
            if first and last:
                self.columns["name"] = (first, last)
            elif first:
                self.columns["name"] = first

    def _settle_promotions(self) -> None:
        if "campaign_id" not in self.columns and "coupon_id" in self.columns:
            self.columns["campaign_id"] = self.columns["coupon_id"]
        if "end" not in self.columns and "valid_days" not in self.columns:
            self.settings["constants"] = {"valid_days": VALID_DAYS}
            self.notes.append(f"no end: offers are taken to hold for {VALID_DAYS} days (set constants.valid_days)")

    def _settle_category(self) -> None:
        if "category" not in self.columns and "product_id" in self.columns:
            # 'PROD_CODE_10' beside 'PROD_CODE' is a level above it.
            levels = re.compile(re.escape(str(self.columns["product_id"])) + r"[_ ]\d+")
            level = next((name for name in self.free if levels.fullmatch(name)), None)
            if level:
                self.columns["category"] = level
        if "category" in self.columns and "type" not in self.columns and "department" not in self.columns:
            self.settings["category_path"] = column_patterns.path_separator(self.values(str(self.columns["category"])))

    def _must_have_all(self) -> None:
        for role in REQUIRED_ROLES[self.table]:
            if role not in self.columns:
                what = {"time": "no column holds a time that can be read"}.get(role, f"no column looks like {role}")
                names = self.sample.columns
                shown = ", ".join(names[:MAX_VALUES_SHOWN])
                shown += f" and {len(names) - MAX_VALUES_SHOWN} more" if len(names) > MAX_VALUES_SHOWN else ""
                empty = [
                    name
                    for name in names
                    if not self.values(name) and name_rank(name, COLUMN_SYNONYMS.get(role, ())) is not None
                ]
                shown += f" ({', '.join(map(repr, empty))} is empty)" if empty else ""
                raise InputError(
                    "column_unrecognized",
                    f"{self.table}: {what}; it has {shown}. If one of them says it: --map {role}=COLUMN; if another "
                    "file does, give both: --events this.csv+other.csv",
                )
        if self.table == "words" and "text" not in self.columns and "audio" not in self.columns:
            raise InputError(
                "column_unrecognized",
                "words: no column looks like what customers wrote, or names recordings; it has "
                f"{', '.join(self.sample.columns[:MAX_VALUES_SHOWN])}. If one of them does: --map words.text=COLUMN, "
                "or --map words.audio=COLUMN",
            )


def _last(name: str) -> str:
    """The last part of a nested record's name, as it is looked up."""
    return normalise_column_name(name.rpartition(".")[2])


def _records(column: pl.Series) -> int:
    """How many cells hold a record such as {'amount': 3.5}."""
    return int(column.str.contains(r"^\s*\{.*:.*\}\s*$").sum())
