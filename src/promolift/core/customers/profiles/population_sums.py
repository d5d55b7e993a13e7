"""What customers share, as small tables: per-shard sums in, added up, out comes what every profile may look at.

Nothing here belongs to one customer, and every table is keyed by the moment up to which it was summed, so that a
profile as of a moment uses only a table no later than that moment. Each pass over the shards builds on the sum of the
passes before it:

    shared = Shared.start(asofs)
    for step in STEPS:
        shared = shared.plus(step(shard, shared, settings) for shard in shards)

Sums add, so any division of the customers into shards gives the same tables (integers exactly, floats to rounding).
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.foundation.errors import SupportError

FEW = 8  # tables that wait to be added up at once
Tables = dict[str, pl.DataFrame]
Held = TypeVar("Held")


@dataclass(frozen=True)
class Shard:
    """One set of customers: their rows of the clean tables. Catalogue, exposures, redemptions and
    words may be whole.

    `kept` hands what one pass found out about these customers to the next ones, which then need no events: give all
    passes of a shard the same mapping. `held` holds what was read of the events for as long as this object lives.
    """

    events: Relation
    products: Relation
    exposures: Relation | None = None
    redemptions: Relation | None = None
    kept: MutableMapping[str, pl.DataFrame] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    said: Relation | None = None

    def keep(self, name: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The kept frame of that name; made and kept where there is none."""
        if name in self.kept:
            return self.kept[name]
        self.kept[name] = made = make()
        return made

    def hold(self, name: str, make: Callable[[], Held]) -> Held:
        """What is held under that name; made and held where there is nothing."""
        if name not in self.held:
            self.held[name] = make()
        found: Held = self.held[name]
        return found


# key columns of each shared table; every other column is a sum, or an earliest instant if it ends in `first_ms`
KEYS: Mapping[str, tuple[str, ...]] = {
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
class Shared:
    """The moments it was summed for, and the summed tables by name (see KEYS). Small: write each as one file.

    Of the `earlier` moments only what AFFINITIES of targets bought need is summed. `spaces` holds what
    novel.py makes of the tables, for all shards. `vectors`: product_id and vector, where the catalogue has words or
    pictures.
    """

    asofs: tuple[int, ...]
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    earlier: tuple[int, ...] = ()
    spaces: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    vectors: pl.DataFrame | None = field(default=None, compare=False, repr=False)

    @classmethod
    def start(cls, asofs: Iterable[int], earlier: Iterable[int] = (), vectors: pl.DataFrame | None = None) -> "Shared":
        """Nothing summed yet, for these moments; raises SupportError when there is none."""
        moments = tuple(sorted(set(asofs)))
        if not moments:
            raise SupportError("value_missing", "profile: no moment was given; name at least one asof_ms")
        return cls(moments, {}, tuple(sorted(set(earlier) - set(moments))), vectors=vectors)

    def plus(self, parts: Iterable[Tables]) -> "Shared":
        """These tables and the sum over the shards of one pass."""
        return Shared(self.asofs, {**self.tables, **add(parts)}, self.earlier, vectors=self.vectors)

    def __getitem__(self, name: str) -> pl.DataFrame:
        """A table by name; raises SupportError naming the pass that is missing."""
        if name not in self.tables:
            raise SupportError(
                "step_missing", f"profile: shared table {name!r} is not summed yet; run every step of profile.STEPS"
            )
        return self.tables[name]


def add(parts: Iterable[Tables]) -> Tables:
    """Sum tables of equal name over shards, a few at a time, so that only the running total is kept."""
    waiting: dict[str, list[pl.DataFrame]] = {}
    for part in parts:
        for name, table in part.items():
            rows = waiting.setdefault(name, [])
            rows.append(table)
            if len(rows) == FEW:
                waiting[name] = [_sum(name, rows)]
    return {name: _sum(name, rows).sort(KEYS[name]) for name, rows in waiting.items()}


def _sum(name: str, tables: list[pl.DataFrame]) -> pl.DataFrame:
    keys = KEYS[name]
    values = [column for column in tables[0].columns if column not in keys]
    sums = [pl.col(c).min() if c.endswith("first_ms") else pl.col(c).sum() for c in values]
    return pl.concat(tables, how="vertical").group_by(keys).agg(sums)
