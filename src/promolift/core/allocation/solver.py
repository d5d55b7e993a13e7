"""Solve the allocation of customers' offers under a budget and limits; optimal up to the reported `gap`.

Exact for one budget, the dual method with limits; small problems are given to HiGHS as well, which proves the best
plan. Where limits cannot all hold, the error names a smallest set in conflict and by how much. Customers are arrays, or
parts that rounds go through; a problem of few customers is the same in parts as in one. Of the candidates table come
the chosen rows, the worth of a cent more, and the curve of budgets.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Concatenate, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from promolift.core.allocation.algorithms.arrays import Floats, Ints, Keys, Slots
from promolift.core.allocation.algorithms.choice import (
    IN_MEMORY_ROWS,
    Allocation,
    ChoiceRows,
    InMemoryRows,
    Parameters,
    PartitionedRows,
    Prices,
    ProblemScale,
    Result,
    SlotChoice,
    all_row_indices,
    check_budget,
    gather_rows,
    hash_seed,
    problem_scale,
)
from promolift.core.allocation.algorithms.constraints import (
    Constraints,
    LimitMask,
    compile_constraints,
    stack_constraints,
)
from promolift.core.allocation.algorithms.exact_knapsack import solve_budget, solve_frontier_parts
from promolift.core.allocation.algorithms.lagrangian import (
    STAGES,
    Dual,
    IntegerPlan,
    find_dual_prices,
    round_and_repair,
    slot_sums,
)
from promolift.core.allocation.candidate_table import InMemoryCandidates, PreparedCandidates
from promolift.core.allocation.fairness_limits import GROUPS_COLUMN
from promolift.core.allocation.settings import Limit
from promolift.core.offers.terms import covered_targets
from promolift.foundation.errors import BudgetError
from promolift.foundation.i18n.lazy_message import gettext_lazy

MAX_EXACT_PAIRS = 3_000  # usable pairs up to which HiGHS looks for the best plan,
MAX_OPEN_PAIRS = 600  # if no more than so many of them are not settled by the gap
MAX_NODES = 500  # branches it may try: a count, so that the answer does not depend on the machine's speed
SUM_ROUNDING = 1e-12  # relative rounding of the sums
HIGHS_TOLERANCE = 1e-6  # of HiGHS: its bound is believed to this part


def solve(
    gain_NK: ArrayLike, cost_NK: ArrayLike, budget: float, limits: Sequence[Limit] = (), *, seed: int = 0,
    label_N: Slots | None = None, units_NK: Floats | None = None, key_N: Keys | None = None,
) -> "Solution":  # fmt: skip
    """At most one offer for each of N customers within the budget and limits: the most gain, but for `gap`.

    Gains and costs are (customers, offers) in one unit of money; a gain of NaN is unknown, and neither it nor a
    negative gain is ever chosen. `label_N` gives each customer the class that limits refer to, `units_NK` a third
    amount to limit; `key_N` identifies customers: left out, the position does, and then the plan depends on the order
    of rows where values tie. InputError for impossible values, BudgetError if no plan can keep the limits.
    """
    rows = ChoiceRows.of(gain_NK, cost_NK, units_NK=units_NK, label_N=label_N, key_N=key_N)
    classes, offers = int(rows.label_N.max(initial=0)) + 1, max(rows.gain_NK.shape[1], 1)
    found = solve_rows(rows, compile_constraints(check_budget(budget), limits, classes, offers), seed)
    return Solution(**vars(found), choice_N=found.choice.of(rows))


@dataclass(frozen=True, eq=False)
class Solution(Allocation):
    """The same with the slot of each customer, -1 for none."""

    choice_N: Slots = field(kw_only=True)


def solve_rows(rows: ChoiceRows, rules: Constraints, seed: int = 0) -> Allocation:
    """`solve` under compiled rules, of which the first is the budget."""
    scale = problem_scale(InMemoryRows(rows))
    if rules.rows == 1 or not len(rows):
        found = solve_budget(InMemoryRows(rows), scale, float(rules.bound_M[0]), seed)
        if found.gap <= SUM_ROUNDING or scale.pairs > MAX_EXACT_PAIRS:
            return found
    order = rows.by_hash(hash_seed(seed))
    sorted_ = InMemoryRows(rows.part(order))
    if rules.rows > 1:
        found = solve_rules(sorted_, scale, rules, seed)
        return replace(found, choice=replace(found.choice, row_C=order[found.choice.row_C]))
    choice_N, prices = found.choice.of(rows)[order], found.choice.prices
    sums_SJ4 = slot_sums(sorted_.rows, rules.weights(np.zeros(rules.rows)), scale, choice_N)
    nobody = SlotChoice.with_exceptions(prices, order, order, choice_N, choice_N)
    kept = IntegerPlan.counted(nobody, rules, scale, sums_SJ4)
    whole, bound = polish(sorted_.rows, scale, rules, kept, found.bound, np.array([found.price]))
    gain, cost, treated, _ = whole.sums_SJ4.sum(axis=(0, 1))
    mine = replace(found, gain=gain, cost=cost, bound=bound, treated=int(treated))
    if whole is kept:
        return mine
    return replace(mine, choice=replace(whole.choice, row_C=order[whole.choice.row_C]))


def solve_parts(parts: PartitionedRows, rules: Constraints, seed: int = 0) -> Allocation:
    """`solve_rows` of customers in parts, each in the order of its hashes with `hash_seed(seed)`.

    Up to GATHER customers are worked on in one place, and their plan does not hang on the parts. Of more, all that is
    held at once is a part, GATHER rows, and the rows near the prices' edge.
    """
    if isinstance(parts, InMemoryRows):
        return solve_rows(parts.rows, rules, seed)
    scale = problem_scale(parts)
    if scale.customers > IN_MEMORY_ROWS:
        if rules.rows == 1:
            return solve_budget(parts, scale, float(rules.bound_M[0]), seed)
        return solve_rules(parts, scale, rules, seed)
    some = gather_rows(parts, all_row_indices).sorted_by(hash_seed(seed))
    found = solve_rows(some.rows, rules, seed)
    row_C = found.choice.row_C
    return replace(found, choice=replace(found.choice, part_C=some.part_C[row_C], row_C=some.row_C[row_C]))


def solve_rules(parts: PartitionedRows, scale: ProblemScale, rules: Constraints, seed: int) -> Allocation:
    """The dual method, its finishing step and the certificate, for rows in the order of their hashes."""
    dual = Dual.of(parts, scale.customers, rules, seed)
    priced = find_dual_prices(dual, scale)
    if priced.bound < 0:
        raise _refusal(dual, rules, None)
    prices = Prices(rules.weights(priced.price_M), priced.width, 0.0, seed)
    whole, bound = round_and_repair(dual, scale, priced, prices), priced.bound
    if isinstance(parts, InMemoryRows):
        whole, bound = polish(parts.rows, scale, rules, whole, bound, priced.price_M)
    if whole.broken_M.any():
        raise _refusal(dual, rules, whole)
    gain, cost, treated, _ = whole.sums_SJ4.sum(axis=(0, 1))
    return Allocation(
        whole.choice, scale.customers, gain, cost, bound, float(priced.price_M[0]), float(rules.bound_M[0]),
        int(treated), rules.uses(whole.sums_SJ4, priced.price_M),
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


class BoundedPlan(NamedTuple):
    """A plan and the upper bound of what any plan can gain."""

    whole: IntegerPlan
    bound: float


def polish(
    rows: ChoiceRows, scale: ProblemScale, rules: Constraints, whole: IntegerPlan, bound: float, price_M: Floats
) -> BoundedPlan:
    """The plan and an upper bound of any plan's gain, or better ones by HiGHS if there are few pairs and room.

    At the prices a plan gains the bound less what each customer loses against their best slot: a better plan takes no
    slot that loses more than the gap, so that most customers are settled before the search begins.
    """
    broken = bool(whole.broken_M.any())
    gap = np.inf if broken else bound - whole.gain
    i_P, k_P = np.nonzero(rows.usable_NK)
    if not 0 < len(i_P) <= MAX_EXACT_PAIRS or gap <= SUM_ROUNDING * bound:
        return BoundedPlan(whole, bound)
    coef_MP, best_N = coefficients(rows, rules, i_P, k_P), np.zeros(len(rows))
    value_P = rows.gain_NK[i_P, k_P] - price_M @ coef_MP
    np.maximum.at(best_N, i_P, value_P)
    near_P = best_N[i_P] - value_P <= gap * (1 + HIGHS_TOLERANCE)
    if not near_P.any() or near_P.sum() > MAX_OPEN_PAIRS + (best_N > gap).sum():
        return BoundedPlan(whole, bound)
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
                lb=np.append((best_N > gap * (1 + HIGHS_TOLERANCE)).astype(float), np.full(rules.rows, -np.inf)),
                ub=np.append(np.ones(len(rows)), rules.bound_M / size_M),
            ),
            options={"mip_rel_gap": 0.0, "node_limit": MAX_NODES},
        )  # fmt: skip
    if found.x is not None:
        slot_N = np.full(len(rows), -1, np.int32)
        slot_N[i_P[found.x > 0.5]] = k_P[found.x > 0.5]
        places, first = np.arange(len(rows)), np.zeros(len(rows), np.int64)
        choice = SlotChoice.with_exceptions(
            whole.choice.prices, first, places, slot_N, rows.choose(whole.choice.prices)
        )
        other = IntegerPlan.counted(choice, rules, scale, slot_sums(rows, whole.sums_SJ4, scale, slot_N))
        if not other.broken_M.any() and (broken or other.gain > whole.gain):
            whole = other
    if found.mip_dual_bound is not None and not whole.broken_M.any():
        bound = max(min(bound, (HIGHS_TOLERANCE - found.mip_dual_bound) * size), whole.gain)
    return BoundedPlan(whole, bound)


def coefficients(rows: ChoiceRows, rules: Constraints, i_P: Ints, k_P: Ints) -> Floats:
    """What each pair adds to every rule, shape (M, pairs)."""
    label_P, offer_P = rows.label_N[i_P], rows.offer_NK[i_P, k_P]
    amount_4P = np.stack([rows.gain_NK[i_P, k_P], rows.cost_NK[i_P, k_P], np.ones(len(i_P)), rows.units_NK[i_P, k_P]])
    coef_MP = np.zeros((rules.rows, len(i_P)))
    for t, m in enumerate(rules.row_T):
        covered_P = rules.class_TS[t][label_P] * rules.offer_TJ[t][offer_P]
        coef_MP[m] += rules.weight_T[t] * covered_P * amount_4P[rules.column_T[t]]
    return coef_MP


def _refusal(dual: Dual, rules: Constraints, whole: IntegerPlan | None) -> BudgetError:
    """The conflict if there is one, else which limit no whole plan was found to keep."""
    if error := conflict_error(dual, rules):
        return error
    if whole is None:
        return BudgetError(
            "limits_infeasible",
            gettext_lazy("limits: no plan can keep all of them; leave some out to see which are in conflict"),
        )
    m = int(np.argmax(whole.broken_M / np.maximum(np.abs(rules.bound_M), 1.0)))
    return BudgetError(
        "limits_infeasible",
        gettext_lazy(
            "limits: no whole plan was found that keeps {names}; the nearest misses it by {broken_m}. "
            "Only parts of offers could keep all limits: loosen it a little",
            names=repr(rules.names[m]),
            broken_m=f"{whole.broken_M[m]:,.6g}",
        ),
    )


def is_infeasible(whole: Dual, rules: Constraints) -> bool:
    """True if the dual value falls below 0 under these rules."""
    dual, price_M = whole.under(rules), np.zeros(rules.rows)
    if (rules.bound_M[dual.unit_M == 0] < 0).any():
        return True  # a rule that no usable pair touches asks for something
    for width, _, _, close in (*STAGES, (0.003, 0, 0, 1e-5)):
        price_M = dual.descend(price_M, width, close)
        if float(rules.bound_M @ price_M) + dual.at(price_M, width).total < 0:
            return True
    return False


def minimal_conflict(dual: Dual, rules: Constraints) -> list[int]:
    """Rules of a smallest set in conflict, found by leaving out one after the other; empty if there is none.

    Of customers in many places a part shows which, and all of them prove it.
    """
    few, keep = dual if isinstance(dual.parts, InMemoryRows) else dual.fewer(IN_MEMORY_ROWS), list(range(rules.rows))
    if not is_infeasible(few, rules):
        return []
    for row in reversed(range(rules.rows)):
        fewer = [m for m in keep if m != row]
        if fewer and is_infeasible(few, rules.only(fewer)):
            keep = fewer
    return keep if few is dual or is_infeasible(dual, rules.only(keep)) else []


def conflict_error(dual: Dual, rules: Constraints) -> BudgetError | None:
    """The error that names the set and says how far its first floor can be met; None if no conflict is found.

    Proof of conflict: with gains of at least 0 no feasible problem has a dual value below 0, so prices with a value
    below 0 show that no plan exists. A set is smallest in the sense that it has no conflict once any rule is left out.
    """
    found = minimal_conflict(dual, rules)
    if not found:
        return None
    goal = next((m for m in found if rules.floor_M[m]), found[-1])
    others = rules.only([m for m in found if m != goal])
    text = gettext_lazy("limits: no plan can keep {rules}", rules=" and ".join(_said(rules, m) for m in found))
    if not rules.floor_M[goal] or (others.column_T == 0).any():
        return BudgetError("limits_infeasible", gettext_lazy("{text}; loosen one of them", text=text))
    most, asked = _most(dual, rules.only([goal]), others), -float(rules.bound_M[goal])
    kept = (
        gettext_lazy(" while {rules} is kept", rules=" and ".join(_said(others, m) for m in range(others.rows)))
        if others.rows
        else ""
    )
    if _is_ratio(rules, goal):
        return BudgetError(
            "limits_infeasible",
            gettext_lazy(
                "{text}; {names} stays {asked} short{kept}. Loosen one of them",
                text=text,
                names=repr(rules.names[goal]),
                asked=f"{asked - most:,.6g}",
                kept=kept,
            ),
        )
    said = gettext_lazy(
        "{name} reaches at most {most}{kept}, {missing} short",
        name=repr(rules.names[goal]),
        most=f"{most:,.6g}",
        kept=kept,
        missing=f"{asked - most:,.6g}",
    )
    return BudgetError("limits_infeasible", gettext_lazy("{text}; {said}. Loosen one of them", text=text, said=said))


def _most(dual: Dual, goal: Constraints, others: Constraints) -> float:
    """The most that the others let a floor reach: what each pair adds to it stands in place of its gain."""
    parts = ReplacedGains(dual.parts, goal)
    return find_dual_prices(Dual.of(parts, dual.customers, others, hash_seed(dual.seed)), problem_scale(parts)).bound


@dataclass(frozen=True, eq=False)
class ReplacedGains:
    """Rows over the same customers with what each pair adds to a floor in place of its gain."""

    parts: PartitionedRows
    goal: Constraints

    def each(
        self,
        task: Callable[Concatenate[ChoiceRows, Parameters], Result],
        *given: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Iterator[Result]:
        """See PartitionedRows."""
        return self.parts.each(with_replaced_gains, self.goal, task, given, named)


def with_replaced_gains(
    rows: ChoiceRows, goal: Constraints, task: Callable[..., Result], given: tuple[Any, ...], named: dict[str, Any]
) -> Result:
    """A task on rows with other gains."""
    i_P, k_P = np.nonzero(rows.usable_NK)
    gain_NK: Floats = np.full(rows.gain_NK.shape, np.nan)
    gain_NK[i_P, k_P] = -coefficients(rows, goal, i_P, k_P)[0]
    return task(replace(rows, gain_NK=gain_NK), *given, **named)


def _is_ratio(rules: Constraints, m: int) -> bool:
    """Constraints of several terms compare two sums."""
    return int((rules.row_T == m).sum()) > 1


def _said(rules: Constraints, m: int) -> str:
    """A rule in words."""
    sign = -1.0 if rules.floor_M[m] else 1.0
    if _is_ratio(rules, m):
        return f"{rules.names[m]!r}"
    return f"{rules.names[m]!r} ({'at least' if rules.floor_M[m] else 'at most'} {sign * rules.bound_M[m]:,.6g})"


CATEGORY_LIMIT_PREFIX = "one category: "  # begins the name of the limit on a category
CURVE_POINTS = 9  # of a curve that is solved point by point
FRONTIER_SCHEMA = {
    "budget_cents": pl.Float64, "gain_cents": pl.Float64, "cost_cents": pl.Float64, "price": pl.Float64,
    "treated": pl.Int64, "bound_cents": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class AllocatedOffers:
    """A plan of candidates."""

    offers: PreparedCandidates
    allocation: Allocation

    @cached_property
    def chosen(self) -> pl.DataFrame:
        """One row per customer who gets an offer, all candidate columns kept, ordered by customer."""
        return pl.concat(self.each(identity)).sort("customer_id")

    def each(self, what: Callable[[pl.DataFrame], Result]) -> Iterator[Result]:
        """What a function of a module finds in the rows chosen of each part."""
        return self.offers.map_chosen(self.allocation.choice, what)

    @property
    def gain_cents(self) -> float:
        return self.allocation.gain

    @property
    def cost_cents(self) -> float:
        return self.allocation.cost

    @cached_property
    def added_cents(self) -> float:
        """What strategic rules added to the gains of what is chosen, before the choice."""
        return sum(self.each(boosts)) if self.offers.boosted else 0.0


def identity(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows."""
    return rows


def boosts(rows: pl.DataFrame) -> float:
    """What strategic rules add."""
    return float(rows["boost_cents"].sum())


def plan(
    candidates: pl.DataFrame, budget_cents: float, limits: Sequence[Limit] = (), *, seed: int = 0
) -> AllocatedOffers:
    """At most one offer per customer within the budget and limits: the most gain there is, but for `allocation.gap`.

    A missing gain or cost is unknown and never chosen, nor is an offer that loses; 'none' needs no row. Limits name
    columns of the candidates by `where`; `units` is a column of that name. The same plan for any order of rows.
    InputError names the first impossible row, BudgetError an impossible budget or the limits that cannot all hold.
    """
    return plan_prepared(InMemoryCandidates.of(candidates, limits), budget_cents, limits, seed=seed)


def plan_prepared(
    offers: PreparedCandidates, budget_cents: float, limits: Sequence[Limit], *, seed: int = 0
) -> AllocatedOffers:
    """`plan` of candidates that are laid out for these limits, whatever their bounds."""
    everything = LimitMask(np.ones(1, np.bool_), np.ones(offers.codes, np.bool_))
    masks = [offers.masks[limit.name] for limit in limits]
    rules = stack_constraints(check_budget(budget_cents), limits, masks, everything)
    return AllocatedOffers(offers, solve_parts(offers.partitions, rules, seed))


def plan_at_price(offers: PreparedCandidates, price: float, budget_cents: float) -> AllocatedOffers:
    """The best offer of each customer at a price of the budget that was found otherwise, whatever they cost together.

    `bound` is what no plan within the budget can gain more than, by weak duality at this price.
    """
    prices, nobody = Prices.of(price, offers.codes), np.empty(0, np.int64)
    customers, treated, gain, cost = (
        sum(each) for each in zip(*offers.partitions.each(totals_at_price, prices), strict=True)
    )
    bound = max(price * budget_cents + gain - price * cost, gain)
    choice = SlotChoice(prices, nobody, nobody, nobody.astype(np.int32))
    return AllocatedOffers(
        offers, Allocation(choice, int(customers), gain, cost, bound, price, budget_cents, int(treated))
    )


class PriceTotals(NamedTuple):
    """Of a part: its customers, those who get an offer, and what these gain and cost."""

    customers: int
    treated: int
    gain: float
    cost: float


def totals_at_price(rows: ChoiceRows, prices: Prices) -> PriceTotals:
    """What the best slot of each row at `prices` comes to."""
    choice_N = rows.choose(prices)
    took = np.flatnonzero(choice_N >= 0)
    gain_T, cost_T = (each[took, choice_N[took]] for each in (rows.gain_NK, rows.cost_NK))
    return PriceTotals(len(rows), len(took), float(gain_T.sum()), float(cost_T.sum()))


def costs_at_prices(rows: ChoiceRows, codes: int, price_P: Sequence[float]) -> Floats:
    """Customers x prices: what the best offer of each costs at each of these prices; never more at a higher one."""
    cost_NP = np.zeros((len(rows), len(price_P)))
    for p, each in enumerate(price_P):
        choice_N = rows.choose(Prices.of(each, codes))
        took = np.flatnonzero(choice_N >= 0)
        cost_NP[took, p] = rows.cost_NK[took, choice_N[took]]
    return cost_NP


def plan_at_budgets(
    offers: PreparedCandidates, budgets: Sequence[float], limits: Callable[[float], Sequence[Limit]], *, seed: int = 0
) -> list[AllocatedOffers | None]:
    """`plan_prepared` at each budget under its limits, which differ from one another in their bounds alone.

    None where the limits cannot all hold at that budget.
    """
    found = list[AllocatedOffers | None]()
    for budget in budgets:
        try:
            found.append(plan_prepared(offers, budget, limits(budget), seed=seed))
        except BudgetError:
            found.append(None)
    return found


def frontier(candidates: pl.DataFrame, budgets: Sequence[float] | None = None, *, seed: int = 0) -> pl.DataFrame:
    """Return the whole budget curve; see `solve_frontier`.

    Columns: budget_cents, gain_cents, cost_cents, price, treated and bound_cents.
    """
    return frontier_prepared(InMemoryCandidates.of(candidates), budgets, seed=seed)


def frontier_prepared(
    offers: PreparedCandidates, budgets: Sequence[float] | None = None, *, seed: int = 0
) -> pl.DataFrame:
    """`frontier` of candidates that are laid out, whatever the limits."""
    table = solve_frontier_parts(offers.partitions, budgets, seed=seed)
    return table.rename({name: f"{name}_cents" for name in ("budget", "gain", "cost", "bound")})


class ShopLimits(NamedTuple):
    """At most `category_share` of the budget for offers on one category (1: no such limit), and what is `stated`."""

    category_share: float
    stated: tuple[Limit, ...]

    def at(self, candidates: pl.DataFrame, budget_cents: float) -> list[Limit]:
        """All limits at a budget, of candidates or their `scopes`. An offer on two categories counts in full for
        each."""
        if self.category_share >= 1:
            return [*self.stated]
        holds: dict[str, list[str]] = {}
        for target in candidates.filter(pl.col("scope") == "category")["target"].unique().sort():
            for one in covered_targets(target):
                holds.setdefault(one, []).append(target)
        most = self.category_share * budget_cents
        own = (
            Limit(name=f"{CATEGORY_LIMIT_PREFIX}{one}", measure="cost", at_most=most, where={"target": tuple(names)})
            for one, names in sorted(holds.items())
        )
        return [*own, *self.stated]

    def worth(self, found: Allocation) -> float:
        """What one more cent of budget adds: its price, and what the limits per category let in then."""
        own = sum(price for name, price in found.multipliers.items() if name.startswith(CATEGORY_LIMIT_PREFIX))
        return found.price + self.category_share * own

    def curve(self, offers: PreparedCandidates, budget_cents: float, seed: int) -> pl.DataFrame:
        """FRONTIER: the best plan at each budget under the same limits, solved point by point where there are any: one
        of them is the plan's own. `offers` are laid out for these limits.

        With `boost_cents`, what strategic rules add to gains before the choice, the curve has the gains without it;
        its price is what the next budget adds to them for each cent more, and `choice_price` that of the choice.
        """
        whole = frontier_prepared(offers)
        top = whole["cost_cents"].to_numpy().max()
        if (self.category_share >= 1 and not self.stated and not offers.boosted) or top <= 0:
            return whole.select(list(FRONTIER_SCHEMA))
        steps = np.linspace(0, 1, CURVE_POINTS)[1:] ** 2  # closer together where the curve bends most
        if any(GROUPS_COLUMN in limit.where for limit in self.stated):
            steps = steps[1::2]  # a point takes longer, and a few offers cannot be shared out among groups at all
        budgets = sorted({*(top * steps).round().astype(int).tolist(), min(round(budget_cents), round(top))})
        scopes = offers.scopes if self.category_share < 1 else pl.DataFrame()
        solved = plan_at_budgets(offers, budgets, lambda budget: self.at(scopes, budget), seed=seed)
        rows = [(0.0, 0.0, 0.0, 0.0, 0, 0.0)]
        for budget, some in zip(budgets, solved, strict=True):
            if some is None:  # so little money cannot keep a limit that says at least
                continue
            found, added = some.allocation, some.added_cents
            treated, bound = found.treated, found.bound - added
            rows.append((float(budget), found.gain - added, found.cost, self.worth(found), treated, bound))
        line = pl.DataFrame(rows, schema=FRONTIER_SCHEMA, orient="row")
        if not offers.boosted:
            return line
        next_gain, next_cents = (pl.col(name).diff().shift(-1) for name in ("gain_cents", "budget_cents"))
        return line.with_columns(price=(next_gain / next_cents).fill_null(0.0), choice_price=pl.col("price"))
