"""The rules of cleaning, from rules.tsv: what is looked for, what it means, what happens. The docs are made from it.

Each rule's `sql` is the condition itself, over the columns that `clean.parsed` makes; `$name` is a CleanRules field.
"""

from dataclasses import dataclass
from typing import Literal

from promolift.foundation.settings import rows_of

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
    for table, *rule in rows_of("shop/ingest/cleaning/cleaning_rules.tsv"):
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
