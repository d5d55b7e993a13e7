"""What the first steps and the last ones of a shop keep in its work folder: notes as frozen classes."""

from typing import Any, ClassVar, Literal

from promolift.core.customers.settings import MemberNote
from promolift.core.offers.terms import Offer
from promolift.foundation.i18n.formatting import as_html, pick
from promolift.foundation.i18n.translation import kept
from promolift.foundation.settings import Settings
from promolift.foundation.storage.stored_model import Note
from promolift.shop.ingest.cleaning.data_health import Ability
from promolift.shop.ingest.cleaning.row_counts import Counts


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


class Health(Note):
    """The state of the shop's data, as `data.health` found it."""

    NAME: ClassVar[str] = "health"
    tables: tuple[Counts, ...]
    summary: dict[str, Any]
    abilities: tuple[Ability, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

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
            said = pick("{:>12,} read {:>12,} taken {:>10,} repaired {:>10,} set aside",
                        "读入{:>12,}行 采用{:>12,} 修复{:>10,} 剔除{:>10,}")  # fmt: skip
            lines.append(f"{kept(table.table):<12} {said.format(*rows)}")
            if table.split:
                lines.append(
                    indent + kept(f"{table.split:,} of them are further lines of baskets that stood in one cell")
                )
            for fate, found in (("repaired", table.repaired), ("rejected", table.rejected), ("counted", table.counted)):
                lines += [f"{indent}{kept(fate)}: {kept(reason)} {rows:,}" for reason, rows in found.items()]
            for reason, first in table.first.items():
                at = [row for row, _ in first[:1]]
                lines += [indent + pick(f"first with {reason}: row {n}", f"首例“{kept(reason)}”：第{n}行") for n in at]
        lines.append("")
        for ability in self.abilities:
            lines.append(f"{kept(ability.level):<7} {kept(ability.name)}: {kept(ability.reason)}")
            if ability.add:
                lines.append(pick(f"        add: {ability.add}", f"        需要：{kept(ability.add)}"))
        lines += [kept("warning: ") + kept(warning) for warning in self.warnings]
        return "\n".join([*lines, *(kept("note: ") + kept(note) for note in self.notes)])

    def _repr_html_(self) -> str:
        return as_html(str(self))


class Unknown(Note):
    """Why an attribute is known of nobody, by the name of its column."""

    NAME: ClassVar[str] = "unknown_attributes"
    reasons: dict[str, str]


class PurchaseMembers(Note):
    """Which members forecast purchases, and why: as of the plan's moment, and of the moment that is checked."""

    NAME: ClassVar[str] = "purchase_members"
    at_check: MemberNote
    at_plan: MemberNote


class Unchecked(Note):
    """Why a prediction, or the comparison of policies, could not be checked, by its name."""

    NAME: ClassVar[str] = "unchecked"
    reasons: dict[str, str]


class Offers(Note):
    """The plan's offers as they can be printed."""

    NAME: ClassVar[str] = "offers"
    offers: tuple[Offer, ...]

    @property
    def by_id(self) -> dict[str, Offer]:
        return {offer.id: offer for offer in self.offers}
