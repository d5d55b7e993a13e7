"""The CANDIDATES table (a row per customer and offer) and limits in; customers as the solver sees them out.

In one place, or part by part: whoever keeps parts lays each out by `spread`, with the codes of all of them
(`kinds_of`). And what limits come to in rows that were chosen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl

from promolift.core.allocation.algorithms.arrays import Ints
from promolift.core.allocation.algorithms.choice import (
    Allocation,
    ChoiceRows,
    Found,
    OnePart,
    Rounds,
    SlotChoice,
    hash_seed,
)
from promolift.core.allocation.algorithms.constraints import Mask, sides
from promolift.core.allocation.settings import Limit
from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.hashing import hash_int

NEEDED = {"customer_id": pl.String, "offer_id": pl.String, "gain_cents": pl.Float64, "cost_cents": pl.Float64}
NONE = "none"


class OpenOffers(Protocol):
    """Candidates laid out for the solver, in parts. `masks` says what each limit covers, of the codes of slots: those
    that the same limits cover share one, so that prices need one column per code and not one per offer.
    """

    @property
    def rounds(self) -> Rounds:
        """The customers' slots."""
        ...

    @property
    def masks(self) -> Mapping[str, Mask]:
        """By the names of limits."""
        ...

    @property
    def codes(self) -> int:
        """How many there are."""
        ...

    @property
    def boosted(self) -> bool:
        """Whether strategic rules add to gains, as `boost_cents`."""
        ...

    @property
    def scopes(self) -> pl.DataFrame:
        """Scope and target of all candidates, each pair once."""
        ...

    def taken(self, choice: SlotChoice, what: Callable[[pl.DataFrame], Found]) -> Iterator[Found]:
        """What a function of a module finds in the rows chosen of each part."""
        ...


class SpreadRows(NamedTuple):
    """Candidates as matrices, and the row of each slot."""

    rows: ChoiceRows
    row_NK: Ints

    def chosen(self, choice: SlotChoice, part: int = 0) -> list[int]:
        """The rows that are chosen, in their order."""
        choice_N = choice.of(self.rows, part)
        took = np.flatnonzero(choice_N >= 0)
        return np.sort(self.row_NK[took, choice_N[took]]).tolist()  # type: ignore[no-any-return]

    def hashed(self, seed: int) -> "SpreadRows":
        """Customers in the order in which a part lies for a plan with this seed."""
        order = self.rows.by_hash(hash_seed(seed))
        return SpreadRows(self.rows.part(order), self.row_NK[order])


@dataclass(frozen=True, eq=False)
class OffersInMemory:
    """Candidates in one place: see OpenOffers."""

    candidates: pl.DataFrame
    spread: SpreadRows
    masks: Mapping[str, Mask]
    codes: int

    @classmethod
    def of(cls, candidates: pl.DataFrame, limits: Sequence[Limit] = ()) -> "OffersInMemory":
        found = [kinds_of(candidates, limits)]
        kinds = all_kinds(found)
        return cls(candidates, spread(candidates, limits, kinds), code_masks(found, limits), max(kinds.height, 1))

    @property
    def scopes(self) -> pl.DataFrame:
        return self.candidates.select("scope", "target").unique()

    @property
    def rounds(self) -> Rounds:
        return OnePart(self.spread.rows)

    @property
    def boosted(self) -> bool:
        return "boost_cents" in self.candidates.columns

    def taken(self, choice: SlotChoice, what: Callable[[pl.DataFrame], Found]) -> Iterator[Found]:
        """See OpenOffers."""
        yield what(self.candidates[self.spread.chosen(choice)])


def charges(candidates: pl.DataFrame, limits: Sequence[Limit], found: Allocation) -> pl.Series:
    """What the limits ask of every candidate beyond the price of the budget, in units of gain.

    With it one customer can be decided on alone: the plan takes the largest gain - charge - price * cost above 0, but
    for the few that its finishing step moved. Candidates that had no part in the plan are charged alike.
    """
    measures, total = _measures(candidates), pl.lit(0.0)
    for limit in limits:
        covers = _named(limit, candidates.schema)
        for side in sides(limit):
            price = found.row_prices.get(side.name, 0.0)
            for column, weight, whole in side.parts if price else ():
                part = price * weight * measures[column]
                total += part if whole else pl.when(covers).then(part).otherwise(0.0)
    return candidates.with_columns(total.fill_null(0.0).alias("charge_cents"))["charge_cents"]


def kept(chosen: pl.DataFrame, limits: Sequence[Limit]) -> bool:
    """Whether rows that were given keep every limit that says at most."""
    return not any(each.over for each in breaks(chosen, limits))


class Break(NamedTuple):
    """A limit that what was given does not keep: what it comes to, and whether that is too much or too little."""

    limit: Limit
    used: float
    over: bool


def breaks(chosen: pl.DataFrame, limits: Sequence[Limit]) -> list[Break]:
    """The limits that rows that were given do not keep; a share of nothing keeps any."""
    measures, found = _measures(chosen), list[Break]()
    for limit in limits:
        within = {True: chosen, False: chosen.filter(_named(limit, chosen.schema))}
        for side in sides(limit):
            parts = [w * float(within[whole].select(measures[at].sum()).item()) for at, w, whole in side.parts]
            if sum(parts) > side.bound + 1e-9 * max(abs(side.bound), 1.0):
                found.append(Break(limit, used(chosen, limit) or 0.0, not side.floor))
    return found


def used(chosen: pl.DataFrame, limit: Limit) -> float | None:
    """What rows that were given come to by the measure of a limit; None for a share of nothing."""
    measures, mine = _measures(chosen), chosen.filter(_named(limit, chosen.schema))
    columns = [(chosen if whole else mine).select(measures[at].sum()).item() for at, _, whole in sides(limit)[0].parts]
    first, *rest = map(float, columns)
    return first if not rest else first / rest[0] if rest[0] else None


def _measures(rows: pl.DataFrame) -> list[pl.Expr]:
    """Gain, cost, count and, where it is known, units of each row, in the order in which limits number them."""
    given = [pl.col("gain_cents"), pl.col("cost_cents"), 0.0 * pl.col("cost_cents") + 1.0]
    return [*given, pl.col("units")] if "units" in rows.columns else given


class LimitKinds(NamedTuple):
    """Of so many candidates: which limits cover some slot together, a row for each such set and a column for each
    limit; and what texts stand in the columns that limits name, unless they are lists.
    """

    rows: int
    kinds: pl.DataFrame
    known: dict[str, set[str]]


def kinds_of(candidates: pl.DataFrame, limits: Sequence[Limit]) -> LimitKinds:
    """What the codes of slots are made from. InputError if a column, type, key or value is impossible, ConfigError if a
    limit names no column."""
    check(candidates, any(limit.measure == "units" for limit in limits))
    known: dict[str, set[str]] = {}
    for limit in limits:
        if limit.labels:
            raise ConfigError(
                "limit_scope_invalid", f"limit {limit.name!r}: labels belong to arrays; on a table use where"
            )
        for column in _where(limit):
            if column not in candidates.columns:
                near = get_close_matches(column, candidates.columns, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(candidates.columns)}"
                raise ConfigError(
                    "column_unknown", f"limit {limit.name!r}: candidates have no column {column!r}; {hint}"
                )
            if not isinstance(candidates.schema[column], pl.List) and column not in known:
                known[column] = set(candidates[column].unique().drop_nulls().cast(pl.String))
    covers = _covers(limits, candidates.schema)
    kinds = candidates.filter(pl.col("offer_id") != NONE).select(covers).unique() if limits else pl.DataFrame()
    return LimitKinds(candidates.height, kinds, known)


def code_masks(parts: Iterable[LimitKinds], limits: Sequence[Limit]) -> dict[str, Mask]:
    """What each limit covers of all codes, which are numbered as `all_kinds` stand. ConfigError if one names a value
    that no candidate has."""
    parts = [*parts]
    for limit in limits:
        for column, wanted in _where(limit).items():
            if all(column not in part.known for part in parts):
                continue  # who is in a list changes from month to month
            known = {text for part in parts for text in part.known.get(column, ())}
            strange = [value for value in wanted if value not in known]
            if strange and any(part.rows for part in parts):
                some = ", ".join(sorted(known)[:8])
                raise ConfigError(
                    "limit_value_unknown",
                    f"limit {limit.name!r}: no candidate has {column} = {strange[0]!r}; there are {some}",
                )
    kinds, everything = all_kinds(parts), np.ones(1, np.bool_)
    return {
        limit.name: Mask(everything, kinds[f"limit {at}"].to_numpy() if kinds.height else np.zeros(1, np.bool_))
        for at, limit in enumerate(limits)
    }


def all_kinds(parts: Iterable[LimitKinds]) -> pl.DataFrame:
    """The sets of limits that cover some slot of any part together, in order."""
    kinds = pl.concat([part.kinds for part in parts])
    return kinds.unique().sort(kinds.columns) if kinds.columns else kinds


def spread(candidates: pl.DataFrame, limits: Sequence[Limit], kinds: pl.DataFrame) -> SpreadRows:
    """Candidates as matrices with the codes of `all_kinds`: customers in order of id, a customer's candidates in order
    of offer id."""
    units, names = any(limit.measure == "units" for limit in limits), [f"limit {at}" for at in range(len(limits))]
    table = (
        candidates.with_row_index("row")
        .select("row", *NEEDED, *(["units"] if units else []), *_covers(limits, candidates.schema))
        .filter(pl.col("offer_id") != NONE)
        .sort("customer_id", "offer_id")
        .with_columns(who=pl.col("customer_id").rle_id().cast(pl.Int64))
        .with_columns(slot=pl.int_range(pl.len()).over("who"))
    )
    code = (
        table.join(kinds.with_row_index("code"), on=names, how="left", maintain_order="left")["code"]
        if names and kinds.height
        else None
    )
    n, k = table["who"].n_unique(), int(table["slot"].max() or 0) + 1  # type: ignore[arg-type]
    at = table["who"].to_numpy(), table["slot"].to_numpy()

    def matrix(column: pl.Series, blank: float, dtype: type[np.generic]) -> Any:
        out_NK = np.full((n, k), blank, dtype)
        out_NK[at] = column.fill_null(blank).to_numpy()
        return out_NK

    ids = table["customer_id"].unique(maintain_order=True)
    rows = ChoiceRows.of(
        matrix(table["gain_cents"], np.nan, np.float64), matrix(table["cost_cents"], np.nan, np.float64),
        units_NK=matrix(table["units"], np.nan, np.float64) if units else None,
        offer_NK=np.zeros((n, k), np.int32) if code is None else matrix(code, 0, np.int32),
        key_N=np.fromiter((hash_int(customer) for customer in ids), np.uint64, n),
    )  # fmt: skip
    return SpreadRows(rows, matrix(table["row"], -1, np.int64))


def _covers(limits: Sequence[Limit], schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """For each limit, true for the candidates it covers."""
    return [_named(limit, schema).alias(f"limit {at}") for at, limit in enumerate(limits)]


def _where(limit: Limit) -> dict[str, tuple[str, ...]]:
    """Column to the values that a limit covers, as text."""
    where = {column: tuple(map(str, values)) for column, values in limit.where.items()}
    return where | ({"offer_id": tuple(map(str, limit.offers))} if limit.offers else {})


def _named(limit: Limit, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """True for the rows a limit covers: those with one of the values, in a column of lists with one among them."""
    covers = pl.lit(True)
    for column, wanted in _where(limit).items():
        if isinstance(schema[column], pl.List):
            among = pl.col(column).list.set_intersection(pl.lit(list(wanted), pl.List(pl.String))).list.len() > 0
        else:
            among = pl.col(column).cast(pl.String).is_in(list(wanted))
        covers &= among.fill_null(False)
    return covers


def check(candidates: pl.DataFrame, units: bool = False) -> None:
    """InputError naming the column and the first bad rows."""
    for name, dtype in {**NEEDED, **({"units": pl.Float64} if units else {})}.items():
        if candidates.schema.get(name) != dtype:
            has = f"type {candidates.schema[name]}" if name in candidates.columns else "missing"
            code = "column_type_wrong" if name in candidates.columns else "column_missing"
            raise InputError(code, f"candidates.{name}: {has}, expected {dtype.__name__}; see docs/tables.md")
    bad = {
        ("value_invalid", "cost_cents is negative"): pl.col("cost_cents") < 0,
        ("value_not_finite", "gain_cents is infinite"): pl.col("gain_cents") == float("inf"),
        ("value_missing", "customer_id or offer_id is missing"): pl.any_horizontal(
            pl.col("customer_id", "offer_id").is_null()
        ),
        ("rows_duplicate", "the pair occurs twice"): pl.struct("customer_id", "offer_id").is_duplicated(),
    }
    for (code, rule), broken in bad.items():
        rows = candidates.filter(broken.fill_null(False)).select(NEEDED.keys())
        if rows.height:
            raise InputError(
                code, f"candidates: {rule} in {rows.height} of {candidates.height} rows; first {rows.row(0)}"
            )
