"""Arrays or the CANDIDATES table, a budget and limits in; a plan with its certificate out: the best, but for `gap`.

Exact for one budget, the dual method with limits; small problems are given to HiGHS as well, which proves the best
plan. Where limits cannot all hold, the error names a smallest set in conflict and by how much. Of the table (one row
per customer and offer) come the chosen rows, the worth of a cent more, and the curve of budgets.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from promolift.allocate.arrays import Floats, Ints, Keys, Slots
from promolift.allocate.core import (
    Allocation,
    ChoiceRows,
    Mask,
    Prices,
    Quanta,
    Rules,
    check_budget,
    compile_rules,
    measure,
    sides,
    stack_rules,
)
from promolift.allocate.dual import SALT, STAGES, Dual, Whole, counted, finish, price
from promolift.allocate.exact import solve_budget, trace
from promolift.allocate.fairness import COLUMN
from promolift.allocate.settings import Limit
from promolift.errors import BudgetError, ConfigError, InputError
from promolift.hashing import hash_int
from promolift.terms import covered

SMALL = 3_000  # usable pairs up to which HiGHS looks for the best plan,
OPEN = 400  # if no more than so many of them are not settled by the gap
NODES = 500  # branches it may try: a count, so that the answer does not depend on the machine's speed
EXACT = 1e-12  # relative rounding of the sums
TOLERANCE = 1e-6  # of HiGHS: its bound is believed to this part


def solve(
    gain_NK: ArrayLike, cost_NK: ArrayLike, budget: float, limits: Sequence[Limit] = (), *, seed: int = 0,
    label_N: Slots | None = None, units_NK: Floats | None = None, key_N: Keys | None = None,
) -> Allocation:  # fmt: skip
    """At most one offer for each of N customers within the budget and limits: the most gain, but for `gap`.

    Gains and costs are (customers, offers) in one unit of money; a gain of NaN is unknown, and neither it nor a
    negative gain is ever chosen. `label_N` gives each customer the class that limits refer to, `units_NK` a third
    amount to limit; `key_N` identifies customers: left out, the position does, and then the plan depends on the order
    of rows where values tie. InputError for impossible values, BudgetError if no plan can keep the limits.
    """
    rows = ChoiceRows.of(gain_NK, cost_NK, units_NK=units_NK, label_N=label_N, key_N=key_N)
    classes = int(rows.label_N.max(initial=0)) + 1
    return solve_rows(rows, compile_rules(check_budget(budget), limits, classes, max(rows.gain_NK.shape[1], 1)), seed)


def solve_rows(rows: ChoiceRows, rules: Rules, seed: int = 0) -> Allocation:
    """`solve` under compiled rules, of which the first is the budget."""
    if rules.rows == 1 or not len(rows):
        found = solve_budget(rows, float(rules.bound_M[0]), seed)
        if found.gap <= EXACT or int(rows.usable_NK.sum()) > SMALL:
            return found
    order = rows.by_hash(seed ^ SALT)
    sorted_ = rows.part(order)
    if rules.rows > 1:
        return _unsorted(solve_rules(sorted_, rules, seed), order)
    scale = measure(rows)
    kept = counted(sorted_, rules, scale, found.choice_N[order])
    whole, bound = polish(sorted_, scale, rules, kept, found.bound, np.array([found.price]))
    gain, cost, treated, _ = whole.sums_SJ4.sum(axis=(0, 1))
    moved = found.moved + int((whole.choice_N != kept.choice_N).sum())
    mine = replace(found, choice_N=whole.choice_N, gain=gain, cost=cost, bound=bound, treated=int(treated), moved=moved)
    return _unsorted(mine, order)


def _unsorted(found: Allocation, order: Ints) -> Allocation:
    """The plan with its choices where the customers stood."""
    choice_N = np.empty_like(found.choice_N)
    choice_N[order] = found.choice_N
    return replace(found, choice_N=choice_N)


def solve_rules(rows: ChoiceRows, rules: Rules, seed: int) -> Allocation:
    """The dual method, its finishing step and the certificate, for rows in the order of their hashes."""
    scale, dual = measure(rows), Dual.of(rows, rows.hashed(seed ^ SALT), rules)
    priced = price(dual, scale)
    if priced.bound < 0:
        raise _refusal(dual, rules, None)
    prices = Prices(rules.weights(priced.price_M), priced.width, 0.0, seed)
    whole, bound = polish(rows, scale, rules, finish(dual, scale, priced, prices), priced.bound, priced.price_M)
    if whole.broken_M.any():
        raise _refusal(dual, rules, whole)
    gain, cost, treated, _ = whole.sums_SJ4.sum(axis=(0, 1))
    return Allocation(
        whole.choice_N, gain, cost, bound, float(priced.price_M[0]), float(rules.bound_M[0]), int(treated),
        rules.uses(whole.sums_SJ4, priced.price_M), int((whole.choice_N != rows.choose(prices)).sum()),
        dict(zip(rules.names, priced.price_M.tolist(), strict=True)),
    )  # fmt: skip


@contextmanager
def _unheard() -> Iterator[None]:
    """HiGHS prints a line of its debugging to stdout now and then, whatever it is asked; `--json` must not hold it."""
    library = CDLL(None) if os.name == "posix" else None
    try:
        stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no stdout
        yield
        return
    sys.stdout.flush()
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        if library is not None:
            library.fflush(None)  # what it wrote still waits in C's buffer
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)


class Bounded(NamedTuple):
    """A plan and the upper bound of what any plan can gain."""

    whole: Whole
    bound: float


def polish(rows: ChoiceRows, scale: Quanta, rules: Rules, whole: Whole, bound: float, price_M: Floats) -> Bounded:
    """The plan and an upper bound of any plan's gain, or better ones by HiGHS if there are few pairs and room.

    At the prices a plan gains the bound less what each customer loses against their best slot: a better plan takes no
    slot that loses more than the gap, so that most customers are settled before the search begins.
    """
    broken = bool(whole.broken_M.any())
    gap = np.inf if broken else bound - whole.gain
    i_P, k_P = np.nonzero(rows.usable_NK)
    if not 0 < len(i_P) <= SMALL or gap <= EXACT * bound:
        return Bounded(whole, bound)
    coef_MP, best_N = coefficients(rows, rules, i_P, k_P), np.zeros(len(rows))
    value_P = rows.gain_NK[i_P, k_P] - price_M @ coef_MP
    np.maximum.at(best_N, i_P, value_P)
    near_P = best_N[i_P] - value_P <= gap * (1 + TOLERANCE)
    if near_P.sum() > OPEN + (best_N > gap).sum():
        return Bounded(whole, bound)
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, vstack

    i_P, k_P, coef_MP = i_P[near_P], k_P[near_P], coef_MP[:, near_P]
    size = max(float(rows.gain_NK[i_P, k_P].max()), 1e-300)
    size_M = np.maximum(np.abs(coef_MP).max(axis=1), np.abs(rules.bound_M) / len(i_P))
    size_M = np.where(size_M > 0, size_M, 1.0)
    one_NP = csr_array((np.ones(len(i_P)), (i_P, np.arange(len(i_P)))), shape=(len(rows), len(i_P)))
    with _unheard():
        found = milp(
            -rows.gain_NK[i_P, k_P] / size, integrality=np.ones(len(i_P)), bounds=Bounds(0, 1),
            constraints=LinearConstraint(
                vstack([one_NP, csr_array(coef_MP / size_M[:, None])]),
                lb=np.append((best_N > gap * (1 + TOLERANCE)).astype(float), np.full(rules.rows, -np.inf)),
                ub=np.append(np.ones(len(rows)), rules.bound_M / size_M),
            ),
            options={"mip_rel_gap": 0.0, "node_limit": NODES},
        )  # fmt: skip
    if found.x is not None:
        slot_N = np.full(len(rows), -1, np.int32)
        slot_N[i_P[found.x > 0.5]] = k_P[found.x > 0.5]
        other = counted(rows, rules, scale, slot_N)
        if not other.broken_M.any() and (broken or other.gain > whole.gain):
            whole = other
    if found.mip_dual_bound is not None and not whole.broken_M.any():
        bound = max(min(bound, (TOLERANCE - found.mip_dual_bound) * size), whole.gain)
    return Bounded(whole, bound)


def coefficients(rows: ChoiceRows, rules: Rules, i_P: Ints, k_P: Ints) -> Floats:
    """What each pair adds to every rule, shape (M, pairs)."""
    label_P, offer_P = rows.label_N[i_P], rows.offer_NK[i_P, k_P]
    amount_4P = np.stack([rows.gain_NK[i_P, k_P], rows.cost_NK[i_P, k_P], np.ones(len(i_P)), rows.units_NK[i_P, k_P]])
    coef_MP = np.zeros((rules.rows, len(i_P)))
    for t, m in enumerate(rules.row_T):
        covered_P = rules.class_TS[t][label_P] * rules.offer_TJ[t][offer_P]
        coef_MP[m] += rules.weight_T[t] * covered_P * amount_4P[rules.column_T[t]]
    return coef_MP


def _refusal(dual: Dual, rules: Rules, whole: Whole | None) -> BudgetError:
    """The conflict if there is one, else which limit no whole plan was found to keep."""
    if error := conflict(dual, rules):
        return error
    if whole is None:
        return BudgetError("limits: no plan can keep all of them; leave some out to see which are in conflict")
    m = int(np.argmax(whole.broken_M / np.maximum(np.abs(rules.bound_M), 1.0)))
    return BudgetError(
        f"limits: no whole plan was found that keeps {rules.names[m]!r}; the nearest misses it by "
        f"{whole.broken_M[m]:,.6g}. Only parts of offers could keep all limits: loosen it a little"
    )


def in_conflict(whole: Dual, rules: Rules) -> bool:
    """True if the dual value falls below 0 under these rules."""
    dual, price_M = Dual.of(whole.rows, whole.rank_N, rules), np.zeros(rules.rows)
    if (rules.bound_M[dual.unit_M == 0] < 0).any():
        return True  # a rule that no usable pair touches asks for something
    for width, _, _, close in (*STAGES, (0.003, 0, 0, 1e-5)):
        price_M = dual.descend(price_M, width, close)
        if float(rules.bound_M @ price_M) + dual.at(price_M, width).total < 0:
            return True
    return False


def smallest(dual: Dual, rules: Rules) -> list[int]:
    """Rules of a smallest set in conflict, found by leaving out one after the other; empty if there is none."""
    keep = list(range(rules.rows))
    if not in_conflict(dual, rules):
        return []
    for row in reversed(range(rules.rows)):
        fewer = [m for m in keep if m != row]
        if fewer and in_conflict(dual, rules.only(fewer)):
            keep = fewer
    return keep


def conflict(dual: Dual, rules: Rules) -> BudgetError | None:
    """The error that names the set and says how far its first floor can be met; None if no conflict is found.

    Proof of conflict: with gains of at least 0 no feasible problem has a dual value below 0, so prices with a value
    below 0 show that no plan exists. A set is smallest in the sense that it has no conflict once any rule is left out.
    """
    found = smallest(dual, rules)
    if not found:
        return None
    goal = next((m for m in found if rules.floor_M[m]), found[-1])
    others = rules.only([m for m in found if m != goal])
    text = f"limits: no plan can keep {' and '.join(_said(rules, m) for m in found)}"
    if not rules.floor_M[goal] or (others.column_T == 0).any():
        return BudgetError(f"{text}; loosen one of them")
    most, asked = _most(dual, rules.only([goal]), others), -float(rules.bound_M[goal])
    kept = f" while {' and '.join(_said(others, m) for m in range(others.rows))} is kept" if others.rows else ""
    if _is_ratio(rules, goal):
        return BudgetError(f"{text}; {rules.names[goal]!r} stays {asked - most:,.6g} short{kept}. Loosen one of them")
    said = f"{rules.names[goal]!r} reaches at most {most:,.6g}{kept}, {asked - most:,.6g} short"
    return BudgetError(f"{text}; {said}. Loosen one of them")


def _most(dual: Dual, goal: Rules, others: Rules) -> float:
    """The most that the others let a floor reach: what each pair adds to it stands in place of its gain."""
    rows = dual.rows
    i_P, k_P = np.nonzero(rows.usable_NK)
    gain_NK: Floats = np.full(rows.gain_NK.shape, np.nan)
    gain_NK[i_P, k_P] = -coefficients(rows, goal, i_P, k_P)[0]
    turned = replace(rows, gain_NK=gain_NK)
    return price(Dual.of(turned, dual.rank_N, others), measure(turned)).bound


def _is_ratio(rules: Rules, m: int) -> bool:
    """Rules of several terms compare two sums."""
    return int((rules.row_T == m).sum()) > 1


def _said(rules: Rules, m: int) -> str:
    """A rule in words."""
    sign = -1.0 if rules.floor_M[m] else 1.0
    if _is_ratio(rules, m):
        return f"{rules.names[m]!r}"
    return f"{rules.names[m]!r} ({'at least' if rules.floor_M[m] else 'at most'} {sign * rules.bound_M[m]:,.6g})"


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
        return self.allocation.gain

    @property
    def cost_cents(self) -> float:
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


def at_price(candidates: pl.DataFrame, price: float, budget_cents: float) -> AllocatedOffers:
    """The best offer of each customer at a price of the budget that was found otherwise, whatever they cost together.

    `bound` is what no plan within the budget can gain more than, by weak duality at this price.
    """
    grid = spread(candidates)
    rows, choice_N = grid.rows, _at(grid, price)
    took = np.flatnonzero(choice_N >= 0)
    gain_T, cost_T = (each[took, choice_N[took]] for each in (rows.gain_NK, rows.cost_NK))
    gain, cost = float(gain_T.sum()), float(cost_T.sum())
    bound = price * budget_cents + gain - price * cost
    found = Allocation(choice_N, gain, cost, max(bound, gain), price, budget_cents, len(took))
    return grid.offers(candidates, found)


def cost_at(candidates: pl.DataFrame, price_P: Sequence[float]) -> Floats:
    """Customers x prices: what the best offer of each costs at each of these prices; never more at a higher one."""
    grid = spread(candidates)
    cost_NP = np.zeros((len(grid.rows), len(price_P)))
    for p, each in enumerate(price_P):
        choice_N = _at(grid, each)
        took = np.flatnonzero(choice_N >= 0)
        cost_NP[took, p] = grid.rows.cost_NK[took, choice_N[took]]
    return cost_NP


def _at(grid: CandidateMatrix, price: float) -> Slots:
    return grid.rows.choose(Prices.of(price, grid.codes))


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
        if any(COLUMN in limit.where for limit in self.stated):
            steps = steps[1::2]  # a point takes longer, and a few offers cannot be shared out among groups at all
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
