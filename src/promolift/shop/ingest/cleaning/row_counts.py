"""Count read, accepted, repaired and rejected rows by rule, and list the first rejected rows."""

from collections.abc import Iterable
from typing import NamedTuple

from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.cleaning.cleaning_rules import RULES
from promolift.shop.results.ingest import BAD_ROWS_SHOWN, BadRow, Counts


def count_rows(table: str, judged: sql_casts.Relation) -> Counts:
    """Count judged rows (see CleanedTable). Pass a staged relation, or the cleaning runs twice more."""
    split = "count(*) filter (_line > 1)" if "_line" in judged.columns else "0"
    met = judged.aggregate(f"_reason, _flags, count(*), {split}", "_reason, _flags").fetchall()
    found = count_rule_hits(table, (RuleHits(*row) for row in met))
    if not found.rejected:
        return found
    aside = judged.filter("_reason is not null").project("_reason as reason, _row as row, _raw as raw")
    return found + Counts(table, first=first_rows(aside))


class RuleHits(NamedTuple):
    """Rows that met the same rules: the one that rejected them, or the bits of the others (clean.flags_sql); how many
    there are, and how many of them came of other rows.
    """

    reason: str | None
    flags: int
    rows: int
    split: int


def count_rule_hits(table: str, met: Iterable[RuleHits]) -> Counts:
    """Return the counts of a table from groups of rows that met the same rules."""
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
    first = rejected.aggregate(f"reason, min_by({{'row': row, 'raw': raw}}, row, {BAD_ROWS_SHOWN})", "reason")
    return {reason: [BadRow(**item) for item in rows] for reason, rows in sorted(first.fetchall())}
