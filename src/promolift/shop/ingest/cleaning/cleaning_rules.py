"""The rules of cleaning, from rules.tsv: what is looked for, what it means, what happens. The docs are made from it.

Each rule's `sql` is the condition itself, over the columns that `clean.parsed` makes; `$name` is a CleanRules field.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from promolift.foundation.settings import Settings, rows_of
from promolift.foundation.sql import DAY_MS

Action = Literal["rejected", "repaired", "counted"]


class CleanRules(Settings):
    """Limits of what is believed; the [cleaning rules](cleaning.md) go by them."""

    now_ms: int | None = Field(
        default=None,
        description="Events later than this are rejected, in milliseconds UTC since 1970. Left out: the moment of "
        "`promolift ingest`.",
        examples=[1_767_225_600_000],
    )
    since_ms: int = Field(
        default=631_152_000_000,
        description="Events earlier than this are rejected, in milliseconds UTC since 1970; the default is 1990-01-01.",
    )
    max_quantity: float = Field(
        default=1000, gt=0, description="Units in one row above which the number is not believed and becomes missing."
    )
    max_price_cents: int = Field(
        default=1_000_000_000,
        gt=0,
        description="Minor units in one row above which a row is rejected, or a product's price becomes missing.",
    )
    max_age: int = Field(
        default=110, gt=0, description="Years above which an age is not believed: 118 is often 'unknown'."
    )
    late_ms: int = Field(
        default=DAY_MS,
        gt=0,
        description="Milliseconds between an event and its arrival above which it is counted as late; it is kept.",
    )


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
