"""The CANDIDATES table in (long, one row per customer and offer), a Plan out: the chosen rows and their certificate.

And what a shop says of its limits in; the limits at a budget, the worth of a cent more, and the curve of budgets out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from promolift.allocate.arrays import Ints
from promolift.allocate.core import Allocation, ChoiceRows, check_budget
from promolift.allocate.exact import trace
from promolift.allocate.limits import Mask, sides, stack_rules
from promolift.allocate.settings import Limit
from promolift.allocate.solver import solve_rows
from promolift.errors import BudgetError, ConfigError, InputError
from promolift.hashing import hash_int
from promolift.terms import covered

NEEDED = {"customer_id": pl.String, "offer_id": pl.String, "gain_cents": pl.Float64, "cost_cents": pl.Float64}
NONE = "none"
LIMIT = "one category: "  # begins the name of the limit on a category
CURVE_POINTS = 9  # of a curve that is solved point by point
FRONTIER = {
    "budget_cents": pl.Float64, "gain_cents": pl.Float64, "cost_cents": pl.Float64, "price": pl.Float64,
    "treated": pl.Int64, "bound_cents": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class AllocatedOffers:
    """`chosen`: one row per customer who gets an offer, all candidate columns kept, ordered by customer."""

    chosen: pl.DataFrame
    allocation: Allocation
    budget_cents: float

    @property
    def gain_cents(self) -> float:
        """Expected gain of the plan."""
        return self.allocation.gain

    @property
    def cost_cents(self) -> float:
        """Expected cost of the plan."""
        return self.allocation.cost

    @property
    def added_cents(self) -> float:
        """What strategic rules added to the gains of what is chosen, before the choice."""
        return float(self.chosen["boost_cents"].sum()) if "boost_cents" in self.chosen.columns else 0.0


@dataclass(frozen=True, eq=False)
class CandidateMatrix:
    """Candidates as matrices: customers in order of id, a customer's candidates in order of offer id.

    Slots that the same limits cover share a code, so that prices need one column per code and not one per offer.
    """

    rows: ChoiceRows
    row_NK: Ints
    masks: tuple[Mask, ...]
    codes: int

    def solve(self, budget: float, limits: Sequence[Limit], seed: int) -> Allocation:
        """The plan under the limits with which this was spread, whatever their bounds."""
        everything = Mask(np.ones(1, np.bool_), np.ones(self.codes, np.bool_))
        return solve_rows(self.rows, stack_rules(check_budget(budget), limits, self.masks, everything), seed)

    def offers(self, candidates: pl.DataFrame, found: Allocation) -> AllocatedOffers:
        """The rows that an allocation chose of the candidates that were spread."""
        took = np.flatnonzero(found.choice_N >= 0)
        rows = self.row_NK[took, found.choice_N[took]].tolist() if len(took) else []
        return AllocatedOffers(candidates[rows], found, found.budget)


def plan(
    candidates: pl.DataFrame, budget_cents: float, limits: Sequence[Limit] = (), *, seed: int = 0
) -> AllocatedOffers:
    """At most one offer per customer within the budget and limits: the most gain there is, but for `allocation.gap`.

    A missing gain or cost is unknown and never chosen, nor is an offer that loses; 'none' needs no row. Limits name
    columns of the candidates by `where`; `units` is a column of that name. The same plan for any order of rows.
    InputError names the first impossible row, BudgetError an impossible budget or the limits that cannot all hold.
    """
    grid = spread(candidates, limits)
    return grid.offers(candidates, grid.solve(budget_cents, limits, seed))


def at_budgets(
    candidates: pl.DataFrame, budgets: Sequence[float], limits: Callable[[float], Sequence[Limit]], *, seed: int = 0
) -> list[AllocatedOffers | None]:
    """`plan` at each budget under its limits, which differ from one another in their bounds alone.

    None where the limits cannot all hold at that budget.
    """
    if not budgets:
        return []
    grid, found = spread(candidates, limits(budgets[0])), list[AllocatedOffers | None]()
    for budget in budgets:
        try:
            found.append(grid.offers(candidates, grid.solve(budget, limits(budget), seed)))
        except BudgetError:
            found.append(None)
    return found


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
    measures = _measures(chosen)
    for limit in limits:
        within = {True: chosen, False: chosen.filter(_named(limit, chosen.schema))}
        for side in sides(limit):
            parts = [w * float(within[whole].select(measures[at].sum()).item()) for at, w, whole in side.parts]
            if not side.floor and sum(parts) > side.bound + 1e-9 * max(abs(side.bound), 1.0):
                return False
    return True


def _measures(rows: pl.DataFrame) -> list[pl.Expr]:
    """Gain, cost, count and, where it is known, units of each row, in the order in which limits number them."""
    given = [pl.col("gain_cents"), pl.col("cost_cents"), 0.0 * pl.col("cost_cents") + 1.0]
    return [*given, pl.col("units")] if "units" in rows.columns else given


def frontier(candidates: pl.DataFrame, budgets: Sequence[float] | None = None, *, seed: int = 0) -> pl.DataFrame:
    """Columns budget_cents, gain_cents, cost_cents, price, treated, bound_cents: the whole curve, see `trace`."""
    rows = spread(candidates).rows
    table = trace(rows.gain_NK, rows.cost_NK, budgets, seed=seed, key_N=rows.key_N)
    return table.rename({name: f"{name}_cents" for name in ("budget", "gain", "cost", "bound")})


def spread(candidates: pl.DataFrame, limits: Sequence[Limit] = ()) -> CandidateMatrix:
    """Candidates as matrices; InputError if a column, type, key or value is impossible."""
    units = any(limit.measure == "units" for limit in limits)
    check(candidates, units)
    covered = [covers.alias(f"limit {at}") for at, covers in enumerate(_covers(candidates, limits))]
    table = (
        candidates.with_row_index("row")
        .select("row", *NEEDED, *(["units"] if units else []), *covered)
        .filter(pl.col("offer_id") != NONE)
        .sort("customer_id", "offer_id")
        .with_columns(who=pl.col("customer_id").rle_id().cast(pl.Int64))
        .with_columns(slot=pl.int_range(pl.len()).over("who"))
    )
    names = [f"limit {at}" for at in range(len(limits))]
    kinds = table.select(names).unique().sort(names) if names else pl.DataFrame()
    code = (
        table.join(kinds.with_row_index("code"), on=names, how="left", maintain_order="left")["code"] if names else None
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
    masks = tuple(
        Mask(np.ones(1, np.bool_), kinds[name].to_numpy() if kinds.height else np.zeros(1, np.bool_)) for name in names
    )
    return CandidateMatrix(rows, matrix(table["row"], -1, np.int64), masks, max(kinds.height, 1))


def _covers(candidates: pl.DataFrame, limits: Sequence[Limit]) -> list[pl.Expr]:
    """For each limit, true for the candidates it covers; ConfigError if one names no column or nothing in it."""
    known: dict[str, set[str]] = {}
    for limit in limits:
        if limit.labels:
            raise ConfigError(f"limit {limit.name!r}: labels belong to arrays; on a table use where")
        for column, wanted in _where(limit).items():
            if column not in candidates.columns:
                near = get_close_matches(column, candidates.columns, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(candidates.columns)}"
                raise ConfigError(f"limit {limit.name!r}: candidates have no column {column!r}; {hint}")
            if isinstance(candidates.schema[column], pl.List):
                continue  # who is in a list changes from month to month
            if column not in known:
                known[column] = set(candidates[column].unique().drop_nulls().cast(pl.String))
            strange = [value for value in wanted if value not in known[column]]
            if strange and candidates.height:
                some = ", ".join(sorted(known[column])[:8])
                raise ConfigError(f"limit {limit.name!r}: no candidate has {column} = {strange[0]!r}; there are {some}")
    return [_named(limit, candidates.schema) for limit in limits]


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
            raise InputError(f"candidates.{name}: {has}, expected {dtype.__name__}; see docs/tables.md")
    bad = {
        "cost_cents is negative": pl.col("cost_cents") < 0,
        "gain_cents is infinite": pl.col("gain_cents") == float("inf"),
        "customer_id or offer_id is missing": pl.col("customer_id").is_null() | pl.col("offer_id").is_null(),
        "the pair occurs twice": pl.struct("customer_id", "offer_id").is_duplicated(),
    }
    for rule, broken in bad.items():
        rows = candidates.filter(broken.fill_null(False)).select(NEEDED.keys())
        if rows.height:
            raise InputError(f"candidates: {rule} in {rows.height} of {candidates.height} rows; first {rows.row(0)}")


class ShopLimits(NamedTuple):
    """At most `category_share` of the budget for offers on one category (1: no such limit), and what is `stated`."""

    category_share: float
    stated: tuple[Limit, ...]

    def at(self, candidates: pl.DataFrame, budget_cents: float) -> list[Limit]:
        """All limits at a budget. An offer on two categories counts in full for each."""
        if self.category_share >= 1:
            return [*self.stated]
        holds: dict[str, list[str]] = {}
        for target in candidates.filter(pl.col("scope") == "category")["target"].unique().sort():
            for one in covered(target):
                holds.setdefault(one, []).append(target)
        most = self.category_share * budget_cents
        own = (
            Limit(name=f"{LIMIT}{one}", measure="cost", at_most=most, where={"target": tuple(names)})
            for one, names in sorted(holds.items())
        )
        return [*own, *self.stated]

    def worth(self, found: Allocation) -> float:
        """What one more cent of budget adds: its price, and what the limits per category let in then."""
        own = sum(price for name, price in found.multipliers.items() if name.startswith(LIMIT))
        return found.price + self.category_share * own

    def curve(self, candidates: pl.DataFrame, budget_cents: float, seed: int) -> pl.DataFrame:
        """FRONTIER: the best plan at each budget under the same limits, solved point by point where there are any: one
        of them is the plan's own.

        With `boost_cents`, what strategic rules add to gains before the choice, the curve has the gains without it;
        its price is what the next budget adds to them for each cent more, and `choice_price` that of the choice.
        """
        if candidates.is_empty():
            return pl.DataFrame(schema=FRONTIER)
        boosted = "boost_cents" in candidates.columns
        if boosted:
            candidates = candidates.with_columns(pl.col("gain_cents") + pl.col("boost_cents").fill_null(0.0))
        whole = frontier(candidates)
        top = whole["cost_cents"].to_numpy().max()
        if (self.category_share >= 1 and not self.stated and not boosted) or top <= 0:
            return whole.select(list(FRONTIER))
        steps = np.linspace(0, 1, CURVE_POINTS)[1:] ** 2  # closer together where the curve bends most
        budgets = sorted({*(top * steps).round().astype(int).tolist(), min(round(budget_cents), round(top))})
        solved = at_budgets(candidates, budgets, lambda budget: self.at(candidates, budget), seed=seed)
        rows = [(0.0, 0.0, 0.0, 0.0, 0, 0.0)]
        for budget, some in zip(budgets, solved, strict=True):
            if some is None:  # so little money cannot keep a limit that says at least
                continue
            found, added = some.allocation, some.added_cents
            treated, bound = found.treated, found.bound - added
            rows.append((float(budget), found.gain - added, found.cost, self.worth(found), treated, bound))
        line = pl.DataFrame(rows, schema=FRONTIER, orient="row")
        if not boosted:
            return line
        next_gain, next_cents = (pl.col(name).diff().shift(-1) for name in ("gain_cents", "budget_cents"))
        return line.with_columns(price=(next_gain / next_cents).fill_null(0.0), choice_price=pl.col("price"))
