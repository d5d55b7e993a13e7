"""Judged rows in, counts out: read, accepted, repaired and rejected by rule, with the first bad rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import polars as pl

from promolift.data import sql
from promolift.data.rules import RULES, Rule
from promolift.sql import literal

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


def count(table: str, judged: sql.Relation) -> Counts:
    """Count judged rows (see clean.Cleaned). One pass; give it a staged relation, or the cleaning runs once more."""
    rules = RULES[table]
    rejections = [rule for rule in rules if rule.action == "rejected"]
    kept = [(bit, rule) for bit, rule in enumerate(rules) if rule.action != "rejected"]
    repair_mask = sum(1 << bit for bit, rule in kept if rule.action == "repaired")
    columns = ["count(*)", "count(*) filter (_reason is null)", f"count(*) filter (_flags & {repair_mask} <> 0)"]
    columns += [f"count(*) filter (_reason = {literal(rule.name)})" for rule in rejections]
    columns += [f"count(*) filter (_flags & {1 << bit} <> 0)" for bit, _ in kept]
    columns.append("count(*) filter (_line > 1)" if "_line" in judged.columns else "0")
    *row, split = judged.aggregate(", ".join(columns)).fetchall()[0]
    read, accepted, repaired_rows = row[:3]
    rejected = _positive(rejections, row[3 : 3 + len(rejections)])
    met = dict(zip([rule for _, rule in kept], row[3 + len(rejections) :], strict=True))
    repaired, counted = (
        _positive([rule for rule in met if rule.action == action], [met[rule] for rule in met if rule.action == action])
        for action in ("repaired", "counted")
    )
    first = _first_rows(judged) if rejected else {}
    return Counts(table, read, accepted, repaired_rows, rejected, repaired, counted, first, split)


def _first_rows(judged: sql.Relation) -> dict[str, list[BadRow]]:
    bad = judged.filter("_reason is not null").aggregate(
        f"_reason, min_by({{'row': _row, 'raw': _raw}}, _row, {SHOWN}) as first", "_reason"
    )
    return {reason: [BadRow(**item) for item in first] for reason, first in sorted(bad.fetchall())}


def _positive(rules: Sequence[Rule], values: Sequence[int]) -> dict[str, int]:
    return {rule.name: value for rule, value in zip(rules, values, strict=True) if value}


def _sum(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted(left.keys() | right.keys())}
