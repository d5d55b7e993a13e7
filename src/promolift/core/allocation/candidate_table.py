"""Convert the CANDIDATES table (a row per customer and offer) and limits to the arrays that the solver needs.

In one place, or part by part: whoever keeps parts lays each out by `to_matrices`, with the codes of all of them
(`find_limit_kinds`). And what limits come to in rows that were chosen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl

from promolift.core.allocation.algorithms.arrays import Ints
from promolift.core.allocation.algorithms.choice import (
    Allocation,
    ChoiceRows,
    InMemoryRows,
    PartitionedRows,
    Result,
    SlotChoice,
    hash_seed,
)
from promolift.core.allocation.algorithms.constraints import LimitMask, limit_bounds
from promolift.core.allocation.settings import Limit
from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean

REQUIRED_COLUMNS = {"customer_id": pl.String, "offer_id": pl.String, "gain_cents": pl.Float64, "cost_cents": pl.Float64}
NONE = "none"


class PreparedCandidates(Protocol):
    """Candidates laid out for the solver, in parts. `masks` says what each limit covers, of the codes of slots: those
    that the same limits cover share one, so that prices need one column per code and not one per offer.
    """

    @property
    def partitions(self) -> PartitionedRows:
        """The customers' slots."""
        ...

    @property
    def masks(self) -> Mapping[str, LimitMask]:
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

    def map_chosen(self, choice: SlotChoice, what: Callable[[pl.DataFrame], Result]) -> Iterator[Result]:
        """Yield what a module-level function returns for the chosen rows of each part."""
        ...


class CandidateMatrices(NamedTuple):
    """Candidates as matrices, and the row of each slot."""

    rows: ChoiceRows
    row_NK: Ints

    def chosen(self, choice: SlotChoice, part: int = 0) -> list[int]:
        """The rows that are chosen, in their order."""
        choice_N = choice.of(self.rows, part)
        took = np.flatnonzero(choice_N >= 0)
        return np.sort(self.row_NK[took, choice_N[took]]).tolist()  # type: ignore[no-any-return]

    def hashed(self, seed: int) -> "CandidateMatrices":
        """Customers in the order in which a part lies for a plan with this seed."""
        order = self.rows.by_hash(hash_seed(seed))
        return CandidateMatrices(self.rows.part(order), self.row_NK[order])


@dataclass(frozen=True, eq=False)
class InMemoryCandidates:
    """Candidates in one place: see OpenOffers."""

    candidates: pl.DataFrame
    spread: CandidateMatrices
    masks: Mapping[str, LimitMask]
    codes: int

    @classmethod
    def of(cls, candidates: pl.DataFrame, limits: Sequence[Limit] = ()) -> "InMemoryCandidates":
        found = [find_limit_kinds(candidates, limits)]
        kinds = merge_limit_kinds(found)
        return cls(candidates, to_matrices(candidates, limits, kinds), code_masks(found, limits), max(kinds.height, 1))

    @property
    def scopes(self) -> pl.DataFrame:
        return self.candidates.select("scope", "target").unique()

    @property
    def partitions(self) -> PartitionedRows:
        return InMemoryRows(self.spread.rows)

    @property
    def boosted(self) -> bool:
        return "boost_cents" in self.candidates.columns

    def map_chosen(self, choice: SlotChoice, what: Callable[[pl.DataFrame], Result]) -> Iterator[Result]:
        """See PreparedCandidates."""
        yield what(self.candidates[self.spread.chosen(choice)])


def limit_charges(candidates: pl.DataFrame, limits: Sequence[Limit], found: Allocation) -> pl.Series:
    """Return the shadow price that the limits charge each candidate beyond the budget's price, in units of gain.

    With it one customer can be decided on alone: the plan takes the largest gain - charge - price * cost above 0, but
    for the few that its finishing step moved. Candidates that had no part in the plan are charged alike.
    """
    measures, total = _measures(candidates), pl.lit(0.0)
    for limit in limits:
        covers = _named(limit, candidates.schema)
        for side in limit_bounds(limit):
            price = found.row_prices.get(side.name, 0.0)
            for column, weight, whole in side.parts if price else ():
                part = price * weight * measures[column]
                total += part if whole else pl.when(covers).then(part).otherwise(0.0)
    return candidates.with_columns(total.fill_null(0.0).alias("charge_cents"))["charge_cents"]


def satisfies_limits(chosen: pl.DataFrame, limits: Sequence[Limit]) -> bool:
    """Return whether the chosen rows exceed no upper limit."""
    return not any(each.over for each in find_violations(chosen, limits))


class LimitViolation(NamedTuple):
    """A limit that the chosen rows violate: the amount used, and whether it is too much (`over`) or too little."""

    limit: Limit
    used: float
    over: bool


def find_violations(chosen: pl.DataFrame, limits: Sequence[Limit]) -> list[LimitViolation]:
    """Return the limits that the chosen rows violate; a share of nothing violates none."""
    measures, found = _measures(chosen), list[LimitViolation]()
    for limit in limits:
        within = {True: chosen, False: chosen.filter(_named(limit, chosen.schema))}
        for side in limit_bounds(limit):
            parts = [w * float(within[whole].select(measures[at].sum()).item()) for at, w, whole in side.parts]
            if sum(parts) > side.bound + 1e-9 * max(abs(side.bound), 1.0):
                found.append(LimitViolation(limit, limit_usage(chosen, limit) or 0.0, not side.floor))
    return found


def limit_usage(chosen: pl.DataFrame, limit: Limit) -> float | None:
    """Return the chosen rows' total in the measure of a limit; None for a share of nothing."""
    measures, mine = _measures(chosen), chosen.filter(_named(limit, chosen.schema))
    columns = [
        (chosen if whole else mine).select(measures[at].sum()).item() for at, _, whole in limit_bounds(limit)[0].parts
    ]
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


def find_limit_kinds(candidates: pl.DataFrame, limits: Sequence[Limit]) -> LimitKinds:
    """What the codes of slots are made from. InputError if a column, type, key or value is impossible, ConfigError if a
    limit names no column."""
    check_candidates(candidates, any(limit.measure == "units" for limit in limits))
    known: dict[str, set[str]] = {}
    for limit in limits:
        if limit.labels:
            raise ConfigError(
                "limit_scope_invalid",
                gettext_lazy("limit {name}: labels belong to arrays; on a table use where", name=repr(limit.name)),
            )
        for column in _where(limit):
            if column not in candidates.columns:
                hint = did_you_mean(
                    column,
                    candidates.columns,
                    gettext_lazy("columns: {columns}", columns=", ".join(candidates.columns)),
                )
                raise ConfigError(
                    "column_unknown",
                    gettext_lazy(
                        "limit {name}: candidates have no column {column}; {hint}",
                        name=repr(limit.name),
                        column=repr(column),
                        hint=hint,
                    ),
                )
            if not isinstance(candidates.schema[column], pl.List) and column not in known:
                known[column] = set(candidates[column].unique().drop_nulls().cast(pl.String))
    covers = _covers(limits, candidates.schema)
    kinds = candidates.filter(pl.col("offer_id") != NONE).select(covers).unique() if limits else pl.DataFrame()
    return LimitKinds(candidates.height, kinds, known)


def code_masks(parts: Iterable[LimitKinds], limits: Sequence[Limit]) -> dict[str, LimitMask]:
    """Return which codes each limit covers; codes are numbered in the order of `merge_limit_kinds`.

    ConfigError if a limit names a value that no candidate has.
    """
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
                    gettext_lazy(
                        "limit {name}: no candidate has {column} = {strange}; there are {some}",
                        name=repr(limit.name),
                        column=column,
                        strange=repr(strange[0]),
                        some=some,
                    ),
                )
    kinds, everything = merge_limit_kinds(parts), np.ones(1, np.bool_)
    return {
        limit.name: LimitMask(everything, kinds[f"limit {at}"].to_numpy() if kinds.height else np.zeros(1, np.bool_))
        for at, limit in enumerate(limits)
    }


def merge_limit_kinds(parts: Iterable[LimitKinds]) -> pl.DataFrame:
    """The sets of limits that cover some slot of any part together, in order."""
    kinds = pl.concat([part.kinds for part in parts])
    return kinds.unique().sort(kinds.columns) if kinds.columns else kinds


def to_matrices(candidates: pl.DataFrame, limits: Sequence[Limit], kinds: pl.DataFrame) -> CandidateMatrices:
    """Return candidates as matrices with the codes of `merge_limit_kinds`.

    Customers are in order of id, a customer's candidates in order of offer id.
    """
    units, names = any(limit.measure == "units" for limit in limits), [f"limit {at}" for at in range(len(limits))]
    table = (
        candidates.with_row_index("row")
        .select("row", *REQUIRED_COLUMNS, *(["units"] if units else []), *_covers(limits, candidates.schema))
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
    return CandidateMatrices(rows, matrix(table["row"], -1, np.int64))


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


def check_candidates(candidates: pl.DataFrame, units: bool = False) -> None:
    """InputError naming the column and the first bad rows."""
    for name, dtype in {**REQUIRED_COLUMNS, **({"units": pl.Float64} if units else {})}.items():
        if candidates.schema.get(name) != dtype:
            has = f"type {candidates.schema[name]}" if name in candidates.columns else "missing"
            code = "column_type_wrong" if name in candidates.columns else "column_missing"
            raise InputError(
                code,
                gettext_lazy(
                    "candidates.{name}: {has}, expected {dtype_name}; see docs/tables.md",
                    name=name,
                    has=has,
                    dtype_name=dtype.__name__,
                ),
            )
    bad = {
        ("value_invalid", "cost_cents is negative"): pl.col("cost_cents") < 0,
        ("value_not_finite", "gain_cents is infinite"): pl.col("gain_cents") == float("inf"),
        ("value_missing", "customer_id or offer_id is missing"): pl.any_horizontal(
            pl.col("customer_id", "offer_id").is_null()
        ),
        ("rows_duplicate", "the pair occurs twice"): pl.struct("customer_id", "offer_id").is_duplicated(),
    }
    for (code, rule), broken in bad.items():
        rows = candidates.filter(broken.fill_null(False)).select(REQUIRED_COLUMNS.keys())
        if rows.height:
            raise InputError(
                code,
                gettext_lazy(
                    "candidates: {rule} in {height} of {candidates_height} rows; first {row}",
                    rule=rule,
                    height=rows.height,
                    candidates_height=candidates.height,
                    row=rows.row(0),
                ),
            )
