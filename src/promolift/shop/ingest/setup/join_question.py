"""Ask by which columns two files are tied: all pairs of columns whose values meet, with the money that each gives."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import COLUMN_SYNONYMS, normalise_column_name
from promolift.foundation.i18n.lazy_message import SEMICOLON, LazyMessage, gettext_lazy, join_messages
from promolift.foundation.sql import quote_identifier
from promolift.shop.ingest.cleaning import sql_casts
from promolift.shop.ingest.cleaning.table_join import JoinKey, join_rows, plausible_join_keys, unclear_join_keys
from promolift.shop.ingest.schema_matching.column_patterns import decimal_comma

Relation = sql_casts.Relation
WAYS_SHOWN = 6
EVENTS_WAY = "--events {way}"  # the same in every language
MONEY_NAMES = frozenset(
    name for role in ("amount", "unit_price", "list_amount", "list_unit_price") for name in COLUMN_SYNONYMS[role]
)


class FileRows(NamedTuple):
    """A file and its rows."""

    path: Path
    rows: Relation


class JoinWay(NamedTuple):
    """One way to tie two files: each row of `many` to one row of `one`."""

    many: FileRows
    one: FileRows
    tie: JoinKey

    @property
    def is_by_own_number(self) -> bool:
        """Whether both columns are called the same, as the numbers are that files give to their own rows."""
        return self.tie.on == self.tie.key

    @property
    def argument(self) -> str:
        """The two files as `open_joined` takes them, by their names."""
        return f"{self.many.path.name}+{self.one.path.name}:{self.tie.on}={self.tie.key}"

    def describe(self) -> LazyMessage:
        """How many rows find a partner, and the money of either file before the join and after it."""
        share = gettext_lazy("{share} of the rows find a partner", share=f"{self.tie.share:.0%}")
        found = join_messages(SEMICOLON, share, *self._money())
        return gettext_lazy("{argument} ({found})", argument=self.argument, found=found)

    def _money(self) -> list[LazyMessage]:
        """The money of either file before the join and of the rows with a partner after it, of two columns at most."""
        joined = join_rows(self.many.rows, self.one.rows, self.tie.on, self.tie.key, self.one.path.stem)
        known = self.one.rows.project(f"{_cell(self.one.rows, self.tie.key)} as _its").filter("_its is not null")
        met = joined.project(f"*, {_cell(joined, self.tie.on)} as _own").set_alias("met")
        met = met.join(known.distinct().set_alias("known"), "_own = _its")
        said = []
        for rows, prefix in ((self.many.rows, ""), (self.one.rows, f"{self.one.path.stem}.")):
            for name in (each for each in rows.columns if normalise_column_name(each) in MONEY_NAMES):
                after = f"{prefix}{name}" if f"{prefix}{name}" in met.columns else name
                said.append(
                    gettext_lazy(
                        "{name}: {joined} of {whole}",
                        name=name,
                        joined=f"{_sum(met, after, rows, name):,.2f}",
                        whole=f"{_sum(rows, name, rows, name):,.2f}",
                    )
                )
        return said[:2]


class UnclearJoinError(InputError):
    """`join_unclear`: a person has to say by which columns two files are tied; `ways` are those that they may be."""

    def __init__(self, log: FileRows, other: FileRows, ways: Sequence[JoinWay]) -> None:
        """The best way comes first."""
        self.ways = [(way.argument, way.describe()) for way in ways]
        listed = [LazyMessage.of(EVENTS_WAY, {"way": text}) for _, text in self.ways]
        super().__init__(
            "join_unclear",
            gettext_lazy(
                "{other}: which columns tie it to {log}? Only running numbers, names, few rows or columns of different "
                "names meet, as also happens by chance. Say which, by the money that should come out: {listed}",
                other=other.path.name,
                log=log.path.name,
                listed=join_messages(SEMICOLON, *listed),
            ),
        )


def unclear_join(log: FileRows, first: FileRows, other: FileRows) -> UnclearJoinError | None:
    """The question by which columns `other` is tied to the rows of a `log`, or its `first` file to `other`; None where
    no columns meet.
    """
    ways = [*_ways(log, other), *_ways(other, first)]
    if not ways:
        return None
    ways.sort(key=lambda way: (way.is_by_own_number, -way.tie.share))
    return UnclearJoinError(log, other, ways[:WAYS_SHOWN])


def _ways(many: FileRows, one: FileRows) -> list[JoinWay]:
    ties = unclear_join_keys(many.rows, one.rows, one.path.stem)
    known = {(tie.on, tie.key) for tie in ties}
    ties += [tie for tie in plausible_join_keys(many.rows, one.rows) if (tie.on, tie.key) not in known]
    return [JoinWay(many, one, tie) for tie in ties]


def _cell(rows: Relation, name: str) -> str:
    return sql_casts.identifier(name, sql_casts.type_family(rows.types[rows.columns.index(name)]))


def _sum(rows: Relation, column: str, file: Relation, name: str) -> float:
    """The sum of a column, in the decimal mark that its file's values have."""
    kind = sql_casts.type_family(file.types[file.columns.index(name)])
    some = [str(value) for (value,) in file.project(quote_identifier(name)).limit(200).fetchall() if value is not None]
    value = sql_casts.number(column, kind, "," if kind == "text" and decimal_comma(some) else ".")
    return float(rows.aggregate(f"sum({value})").fetchall()[0][0] or 0)
