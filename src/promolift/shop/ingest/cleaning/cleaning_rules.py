"""Read the cleaning rules from rules.tsv: what each rule looks for, what it means and what happens.

Each rule's `sql` is the condition itself, over the columns that event and table cleaning make; `$name` is a field of
CleanRules. docs/cleaning.md is made from the same file.
"""

from dataclasses import dataclass
from typing import Literal

from promolift.foundation.settings import read_tsv

Action = Literal["rejected", "repaired", "counted"]


@dataclass(frozen=True)
class Rule:
    """One rule: `rejected` sets the row aside, `repaired` changes it, `counted` only tells."""

    name: str
    action: Action
    meaning: str
    sql: str


def _read() -> dict[str, tuple[Rule, ...]]:
    found: dict[str, tuple[Rule, ...]] = {}
    for table, *rule in read_tsv("shop/ingest/cleaning/cleaning_rules.tsv"):
        found[table] = (*found.get(table, ()), Rule(*rule))  # type: ignore[arg-type]
    return found


RULES = _read()


def rules_text() -> str:
    """All rules as Markdown tables, one per clean table."""
    parts = []
    for table, rules in RULES.items():
        rows = "\n".join(f"| {rule.name} | {rule.action} | {rule.meaning} |" for rule in rules)
        parts.append(f"### {table}\n\n| rule | what happens | meaning |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)
