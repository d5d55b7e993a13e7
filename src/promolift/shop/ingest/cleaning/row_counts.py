"""Judged rows in, counts out: read, accepted, repaired and rejected by rule, with the first bad rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import polars as pl

from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.cleaning.cleaning_rules import RULES

SHOWN = 3  # bad rows shown per rule


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
            reason: sorted([*self.first.get(reason, []), *other.first.get(reason, [])])[:SHOWN]
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
        first = [BadRow(*line) for line in lines.sort("row").head(SHOWN).select("row", "raw").iter_rows()]
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


def count(table: str, judged: sql_casts.Relation) -> Counts:
    """Count judged rows (see clean.Cleaned). Give it a staged relation, or the cleaning runs twice more."""
    split = "count(*) filter (_line > 1)" if "_line" in judged.columns else "0"
    met = judged.aggregate(f"_reason, _flags, count(*), {split}", "_reason, _flags").fetchall()
    found = tally(table, (Met(*row) for row in met))
    if not found.rejected:
        return found
    aside = judged.filter("_reason is not null").project("_reason as reason, _row as row, _raw as raw")
    return found + Counts(table, first=first_rows(aside))


class Met(NamedTuple):
    """Rows that met the same rules: the one that rejected them, or the bits of the others (clean.flags_sql); how many
    there are, and how many of them came of other rows.
    """

    reason: str | None
    flags: int
    rows: int
    split: int


def tally(table: str, met: Iterable[Met]) -> Counts:
    """The counts of a table whose rows met these rules."""
    met = list(met)
    good = [each for each in met if each.reason is None]

    def flagged(*names: str) -> dict[str, int]:
        """Of the rules with these actions, how many rows met each."""
        bits = {rule.name: 1 << bit for bit, rule in enumerate(RULES[table]) if rule.action in names}
        found = {name: sum(each.rows for each in good if each.flags & bit) for name, bit in bits.items()}
        return {name: rows for name, rows in found.items() if rows}

    reasons = [rule.name for rule in RULES[table] if rule.action == "rejected"]
    rejected = {name: sum(each.rows for each in met if each.reason == name) for name in reasons}
    mask = sum(1 << bit for bit, rule in enumerate(RULES[table]) if rule.action == "repaired")
    return Counts(
        table,
        read=sum(each.rows for each in met),
        accepted=sum(each.rows for each in good),
        repaired_rows=sum(each.rows for each in good if each.flags & mask),
        rejected={name: rows for name, rows in rejected.items() if rows},
        repaired=flagged("repaired"),
        counted=flagged("counted"),
        split=sum(each.split for each in met),
    )


def first_rows(rejected: sql_casts.Relation) -> dict[str, list[BadRow]]:
    """The first rows of each reason among columns reason, row and raw."""
    first = rejected.aggregate(f"reason, min_by({{'row': row, 'raw': raw}}, row, {SHOWN})", "reason")
    return {reason: [BadRow(**item) for item in rows] for reason, rows in sorted(first.fetchall())}


def _sum(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted(left.keys() | right.keys())}
