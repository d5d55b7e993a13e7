"""Sums over all customers, as small tables that every customer's profile may read.

Nothing here belongs to one customer, and every table is keyed by the moment up to which it was summed, so that a
profile as of a moment uses only a table no later than that moment. Each pass over the shards builds on the sum of the
passes before it:

    shared = Shared.start(asofs)
    for step in STEPS:
        shared = shared.plus(step(shard, shared, settings) for shard in shards)

Sums add, so any division of the customers into shards gives the same tables, to the bit: fractions are summed as whole
multiples of 2^-40 (`exact_sum`), and become numbers in `PopulationSums` (`as_numbers`).
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy

MAX_PENDING_TABLES = 8  # tables that wait to be added up at once
UNITS = 2.0**40  # in 1, of which sums of fractions count whole ones: whole numbers add up the same in any order
Tables = dict[str, pl.DataFrame]
Cached = TypeVar("Cached")


@dataclass(frozen=True)
class Shard:
    """One set of customers: their rows of the clean tables.

    The catalogue, exposures, redemptions and `customer_texts` may be those of the whole shop. `frames` passes what one
    pass computed about these customers to the next passes, which then need no events: give all passes of a shard the
    same mapping. `cache` holds what was read of the events for as long as this object lives.
    """

    events: Relation
    products: Relation
    exposures: Relation | None = None
    redemptions: Relation | None = None
    frames: MutableMapping[str, pl.DataFrame] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    customer_texts: Relation | None = None

    def saved_frame(self, name: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Return the frame saved under a name; make and save it on first use."""
        if name in self.frames:
            return self.frames[name]
        self.frames[name] = made = make()
        return made

    def cached(self, name: str, make: Callable[[], Cached]) -> Cached:
        """Return the object cached under a name; make and cache it on first use."""
        if name not in self.cache:
            self.cache[name] = make()
        found: Cached = self.cache[name]
        return found


# key columns of each shared table; every other column is a sum, or an earliest instant if it ends in `first_ms`
KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "shop": ("asof_ms",),
    "baskets": ("asof_ms", "bin"),
    "prices": ("asof_ms", "type"),
    "rates": ("asof_ms", "rate"),
    "deals": ("week", "target"),
    "orders": ("asof_ms",),
    "targets": ("asof_ms", "target"),
    "interests": ("asof_ms", "product_id"),
    "pairs": ("asof_ms", "row", "column"),
    "likeness": ("asof_ms",),
    "sensitivity": ("asof_ms",),
    "calibration": ("asof_ms", "bin"),
    "sales": ("asof_ms", "product_id"),
    "new_check": ("asof_ms", "bin"),
}


@dataclass(frozen=True)
class PopulationSums:
    """The moments it was summed for, and the summed tables by name (see KEYS). Small: write each as one file.

    Of the `earlier` moments only what AFFINITIES of targets bought need is summed. `spaces` holds what
    first_purchases.py makes of the tables, for all shards. `vectors`: product_id and vector, where the catalogue has
    words or pictures.
    """

    asofs: tuple[int, ...]
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    earlier: tuple[int, ...] = ()
    spaces: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    vectors: pl.DataFrame | None = field(default=None, compare=False, repr=False)

    @classmethod
    def start(
        cls, asofs: Iterable[int], earlier: Iterable[int] = (), vectors: pl.DataFrame | None = None
    ) -> "PopulationSums":
        """Nothing summed yet, for these moments; raises SupportError when there is none."""
        moments = tuple(sorted(set(asofs)))
        if not moments:
            raise SupportError("value_missing", gettext_lazy("profile: no moment was given; name at least one asof_ms"))
        return cls(moments, {}, tuple(sorted(set(earlier) - set(moments))), vectors=vectors)

    def plus(self, parts: Iterable[Tables]) -> "PopulationSums":
        """These tables and the sum over the shards of one pass."""
        added = {name: as_numbers(table) for name, table in add_tables(parts).items()}
        return PopulationSums(self.asofs, {**self.tables, **added}, self.earlier, vectors=self.vectors)

    def __getitem__(self, name: str) -> pl.DataFrame:
        """A table by name; raises SupportError naming the pass that is missing."""
        if name not in self.tables:
            raise SupportError(
                "step_missing",
                gettext_lazy(
                    "profile: shared table {name} is not summed yet; run every step of profile.STEPS", name=repr(name)
                ),
            )
        return self.tables[name]


def exact_sum(value: pl.Expr) -> pl.Expr:
    """Return a sum of fractions, in whole units, that is the same in any order. What is not finite counts as 0."""
    return (value * UNITS).round().cast(pl.Int128, strict=False).sum()


def as_numbers(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with the sums of `exact_sum` as numbers."""
    return table.with_columns(pl.col(pl.Int128).cast(pl.Float64) / UNITS)


def add_tables(parts: Iterable[Tables]) -> Tables:
    """Sum tables of equal name over shards, a few at a time, so that only the running total is kept."""
    waiting: dict[str, list[pl.DataFrame]] = {}
    for part in parts:
        for name, table in part.items():
            rows = waiting.setdefault(name, [])
            rows.append(table)
            if len(rows) == MAX_PENDING_TABLES:
                waiting[name] = [_sum(name, rows)]
    return {name: _sum(name, rows).sort(KEY_COLUMNS[name]) for name, rows in waiting.items()}


def _sum(name: str, tables: list[pl.DataFrame]) -> pl.DataFrame:
    keys = KEY_COLUMNS[name]
    values = [column for column in tables[0].columns if column not in keys]
    sums = [pl.col(c).min() if c.endswith("first_ms") else pl.col(c).sum() for c in values]
    return pl.concat(tables, how="vertical").group_by(keys).agg(sums)
