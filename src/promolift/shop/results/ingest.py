"""Stored results of the ingest step: the span of the log, row counts and the health report."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Self

import polars as pl

from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import as_html
from promolift.foundation.i18n.lazy_message import LazyMessage, render_message
from promolift.foundation.settings import Settings
from promolift.foundation.storage.stored_model import Note


class Span(Note):
    """The first and last moment of the events, ms UTC, and how many customers they know; None where there are none."""

    NAME: ClassVar[str] = "span"
    first_ms: int | None
    last_ms: int | None
    customers: int = 0


class Reason(Settings):
    """Why so many rows of a table were repaired or rejected."""

    table: str
    reason: str
    rows: int
    fate: Literal["repaired", "rejected"]


BAD_ROWS_SHOWN = 3  # bad rows shown per rule


class BadRow(NamedTuple):
    """A row that was set aside: its place in the file, and how it stands there."""

    row: int
    raw: str


@dataclass(frozen=True)
class Counts:
    """What happened to the rows of one raw table. accepted + the sum of rejected = read, always.

    `split` of the rows read came of others, whose cell held a whole basket: read - split = rows of the file.
    """

    table: str
    read: int = 0
    accepted: int = 0
    repaired_rows: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[BadRow]] = field(default_factory=dict)
    split: int = 0

    def __add__(self, other: Self) -> "Counts":
        """The counts of both: of two shards, or of two files."""
        first = {
            reason: sorted([*self.first.get(reason, []), *other.first.get(reason, [])])[:BAD_ROWS_SHOWN]
            for reason in sorted(self.first.keys() | other.first.keys())
        }
        return Counts(
            self.table,
            self.read + other.read,
            self.accepted + other.accepted,
            self.repaired_rows + other.repaired_rows,
            _sum(self.rejected, other.rejected),
            _sum(self.repaired, other.repaired),
            _sum(self.counted, other.counted),
            first,
            self.split + other.split,
        )

    def with_unreadable(self, lines: pl.DataFrame) -> "Counts":
        """These counts and the lines (tables.REJECTED) that never became rows: read and rejected."""
        if not lines.height:
            return self
        first = [BadRow(*line) for line in lines.sort("row").head(BAD_ROWS_SHOWN).select("row", "raw").iter_rows()]
        reason = str(lines.item(0, "reason"))
        return self + Counts(self.table, lines.height, rejected={reason: lines.height}, first={reason: first})

    @property
    def rejected_rows(self) -> int:
        """Rows set aside."""
        return sum(self.rejected.values())

    @property
    def accepted_share(self) -> float | None:
        """Of the rows read, the share that was taken."""
        return self.accepted / self.read if self.read else None


def _sum(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted(left.keys() | right.keys())}


Level = Literal["yes", "partly", "no"]


@dataclass(frozen=True)
class Ability:
    """One thing promolift can do: whether this data lets it, why (with numbers), and what to add."""

    name: str
    level: Level
    reason: LazyMessage
    add: str = ""


class Health(Note):
    """The state of the shop's data, as `data.health` found it."""

    NAME: ClassVar[str] = "health"
    tables: tuple[Counts, ...]
    summary: dict[str, Any]
    abilities: tuple[Ability, ...]
    warnings: tuple[LazyMessage, ...]
    notes: tuple[LazyMessage, ...]

    @property
    def read(self) -> int:
        return sum(table.read for table in self.tables)

    @property
    def accepted(self) -> int:
        return sum(table.accepted for table in self.tables)

    @property
    def accepted_share(self) -> float | None:
        return self.accepted / self.read if self.read else None

    @property
    def repaired(self) -> int:
        return sum(table.repaired_rows for table in self.tables)

    @property
    def rejected(self) -> int:
        return sum(table.rejected_rows for table in self.tables)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why rows were repaired or rejected, the most frequent first."""
        found = [
            Reason(table=table.table, reason=reason, rows=rows, fate=fate)
            for table in self.tables
            for fate, rules in (("repaired", table.repaired), ("rejected", table.rejected))
            for reason, rows in rules.items()
        ]
        return tuple(sorted(found, key=lambda each: (-each.rows, each.table, each.reason)))

    def __str__(self) -> str:
        indent, lines = " " * 13, []
        for table in self.tables:
            rows = (table.read, table.accepted, table.repaired_rows, table.rejected_rows)
            said = gettext("{:>12,} read {:>12,} taken {:>10,} repaired {:>10,} set aside")
            lines.append(f"{render_message(table.table):<12} {said.format(*rows)}")
            if table.split:
                lines.append(
                    indent
                    + gettext(
                        "{split} of them are further lines of baskets that stood in one cell", split=f"{table.split:,}"
                    )
                )
            for fate, found in (("repaired", table.repaired), ("rejected", table.rejected), ("counted", table.counted)):
                lines += [
                    f"{indent}{fate_name(fate)}: {render_message(reason)} {rows:,}" for reason, rows in found.items()
                ]
            for reason, first in table.first.items():
                at = [row for row, _ in first[:1]]
                lines += [
                    indent + gettext("first with {reason}: row {n}", reason=render_message(reason), n=n) for n in at
                ]
        lines.append("")
        for ability in self.abilities:
            lines.append(
                f"{level_name(ability.level):<7} {render_message(ability.name)}: {render_message(ability.reason)}"
            )
            if ability.add:
                lines.append(gettext("        add: {add}", add=render_message(ability.add)))
        lines += [gettext("warning: ") + render_message(warning) for warning in self.warnings]
        return "\n".join([*lines, *(gettext("note: ") + render_message(note) for note in self.notes)])

    def _repr_html_(self) -> str:
        return as_html(str(self))


# Names of tables, which `gettext` looks up when they are shown.
TABLE_NAMES = (
    gettext_noop("events"), gettext_noop("customers"), gettext_noop("products"), gettext_noop("exposures"),
    gettext_noop("redemptions"), gettext_noop("coupons"), gettext_noop("shelf"), gettext_noop("promotions"),
)  # fmt: skip


def level_name(level: Level) -> str:
    """Return how well the data lets something be done, in the reader's language."""
    return {
        "yes": pgettext("ability", "yes"),
        "partly": pgettext("ability", "partly"),
        "no": pgettext("ability", "no"),
    }[level]


def fate_name(fate: str) -> str:
    """Return what became of rows, in the reader's language."""
    names = {
        "repaired": pgettext("rows", "repaired"),
        "rejected": pgettext("rows", "rejected"),
        "counted": pgettext("rows", "counted"),
    }
    return names[fate]


class UnknownAttributes(Note):
    """Why an attribute is known of nobody, by the name of its column."""

    NAME: ClassVar[str] = "unknown_attributes"
    reasons: dict[str, LazyMessage]
