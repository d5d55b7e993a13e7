"""Types of the room, `choose`, and side limits: values and prices in, a slot per customer out, for plan and request.

N customers, K slots (a customer's candidates), J offers, S classes of customers, M limit rows (the budget is row 0), R
rows of a class, T terms of rows. Every limit has the form: sum over customers and offers of a coefficient <= bound. A
coefficient is a weighted sum of gain, cost, count and units, and depends on the pair through the customer's class and
the offer alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promolift.allocate.arrays import Floats, Ints, KernelColumns, Keys, Slots, Ties
from promolift.allocate.settings import Limit, Measure
from promolift.errors import BudgetError, ConfigError, InputError


@dataclass(frozen=True, eq=False)
class Prices:
    """All that is needed to decide one customer: for every class and offer the weights of gain, cost, count and units.

    A customer takes the slot with the largest `w[0] * gain - w[1] * cost - w[2] - w[3] * units`, or none if that is
    not above 0. `width` and `share` settle ties by the hash of (key, seed), see `kernel.choose`.
    """

    weight_SJ4: Floats
    width: float = 0.0
    share: float = 0.0
    seed: int = 0

    @staticmethod
    def of(price: float, offers: int, share: float = 0.0, seed: int = 0) -> "Prices":
        """The prices of a plan with one budget and no limits: one class of customers."""
        return Prices(np.tile([1.0, price, 0.0, 0.0], (1, max(offers, 1), 1)), 0.0, share, seed)


@dataclass(frozen=True)
class Use:
    """How far a limit is used: `used <= at_most` or `used >= at_least`; `price` is the gain one more unit would add."""

    name: str
    used: float
    bound: float
    floor: bool
    price: float

    @property
    def binding(self) -> bool:
        """True where loosening the limit would pay."""
        return self.price > 0.0

    def explain(self) -> str:
        """One sentence on a binding limit."""
        sense = "at least" if self.floor else "at most"
        return (
            f"The limit '{self.name}' ({sense} {self.bound:,.6g}, used {self.used:,.6g}) holds gain back: "
            f"one unit looser would add about {self.price:,.3g}."
        )


@dataclass(frozen=True, eq=False)
class Allocation:
    """A plan and its certificate. Gain, cost and bound are in the unit of the arrays given.

    `choice_N` is the slot of each customer, -1 for none. `bound` is an upper bound of what any plan within the budget
    and limits can gain. `moved` counts the few customers whom the finishing step treats otherwise than the prices alone
    would. `row_prices` are the prices of budget and limits as the method works with them.
    """

    choice_N: Slots
    gain: float
    cost: float
    bound: float
    price: float
    budget: float
    treated: int
    uses: tuple[Use, ...] = ()
    moved: int = 0
    row_prices: Mapping[str, float] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """(bound - gain) / bound: the share of the best gain that may be missing; 0 if nothing can be gained."""
        return max(0.0, (self.bound - self.gain) / self.bound) if self.bound > 0 else 0.0

    @property
    def multipliers(self) -> dict[str, float]:
        """Gain that one more unit of each limit would add, by the limit's name."""
        return {use.name: use.price for use in self.uses}

    @property
    def binding(self) -> tuple[Use, ...]:
        """The limits that cost gain, dearest first by price times size."""
        return tuple(sorted((u for u in self.uses if u.binding), key=lambda u: (-u.price * abs(u.bound), u.name)))

    def explain(self, money: Callable[[float], str] = "{:,.2f}".format) -> str:
        """One paragraph in plain words; `money` writes an amount."""
        if not self.treated:
            return f"No customer gets an offer: within {money(self.budget)} none of {len(self.choice_N):,} can gain."
        text = (
            f"{self.treated:,} of {len(self.choice_N):,} customers get an offer. The plan costs {money(self.cost)} of "
            f"a budget of {money(self.budget)} and is expected to gain {money(self.gain)}; no plan within the budget"
            f"{' and limits' if self.uses else ''} can gain more than {money(self.bound)}, so at most {self.gap:.4%} "
            f"is missing. "
        )
        if self.price > 0:
            text += f"One more unit of budget would add about {self.price:.3f} units of gain."
        else:
            text += "More budget would add nothing: every offer that gains is already given or held back by a limit."
        return " ".join([text, *(use.explain() for use in self.binding)])


@dataclass(frozen=True, eq=False)
class ChoiceRows:
    """Customers: gain and expected cost of every slot (NaN: no such candidate), and who they are.

    `units_NK` is a third amount that limits may count, such as the expected number of redemptions. `offer_NK` says
    which offer stands in a slot. `label_N` is the customer's class, a small whole number that limits refer to.
    `key_N` identifies the customer wherever the row lies.
    """

    gain_NK: Floats
    cost_NK: Floats
    units_NK: Floats
    offer_NK: Slots
    label_N: Slots
    key_N: Keys

    def __len__(self) -> int:
        return len(self.gain_NK)

    @staticmethod
    def of(
        gain_NK: ArrayLike, cost_NK: ArrayLike, *, units_NK: Floats | None = None, offer_NK: Slots | None = None,
        label_N: Slots | None = None, key_N: Keys | None = None,
    ) -> "ChoiceRows":  # fmt: skip
        """Check shapes and fill in what is left out: no units, slot k is offer k, one class, the position as key."""
        gain, cost = (np.ascontiguousarray(m, np.float64) for m in (gain_NK, cost_NK))
        if gain.ndim != 2 or gain.shape != cost.shape:
            shapes = f"gain has shape {gain.shape} and cost {cost.shape}"
            raise InputError(f"allocate: {shapes}; both must be (customers, offers)")
        (n, k), whole = gain.shape, gain.shape
        return ChoiceRows(
            gain, cost,
            _like(np.zeros(whole) if units_NK is None else units_NK, whole, np.float64, "units"),
            _like(np.tile(np.arange(k), (n, 1)) if offer_NK is None else offer_NK, whole, np.int32, "offer"),
            _like(np.zeros(n) if label_N is None else label_N, (n,), np.int32, "label"),
            _like(np.arange(n) if key_N is None else key_N, (n,), np.uint64, "key"),
        )  # fmt: skip

    def part(self, which: Ints) -> "ChoiceRows":
        return ChoiceRows(*(getattr(self, column.name)[which] for column in fields(self)))

    def hashed(self, seed: int) -> Floats:
        """A uniform number in [0, 1) for every customer."""
        from promolift.allocate import kernel

        return kernel.mix_all(self.key_N, word(seed))

    def by_hash(self, seed: int) -> Ints:
        """The order of the rows' hashes, which does not hang on where a row lies."""
        return np.lexsort((self.key_N, self.hashed(seed)))

    @property
    def usable_NK(self) -> NDArray[np.bool_]:
        """The slots that may be chosen."""
        usable: NDArray[np.bool_] = (self.gain_NK >= 0) & (self.cost_NK < np.inf)
        return usable

    @property
    def columns(self) -> KernelColumns:
        return KernelColumns(self.gain_NK, self.cost_NK, self.units_NK, self.offer_NK, self.label_N)

    def choose(self, prices: Prices) -> Slots:
        """The best slot of each row at `prices`, -1 for none."""
        from promolift.allocate import kernel

        choice_N = np.full(len(self), -1, np.int32)
        if self.gain_NK.size:
            ties = Ties(prices.width, prices.share, word(prices.seed))
            kernel.choose(self.columns, self.key_N, prices.weight_SJ4, ties, choice_N)
        return choice_N


def _like(column: Any, shape: tuple[int, ...], dtype: type[np.generic], name: str) -> Any:
    """The column as a contiguous array; InputError if it has another shape."""
    array = np.ascontiguousarray(column, dtype)
    if array.shape != shape:
        raise InputError(f"allocate: {name} has shape {array.shape}, expected {shape}, one value for each row of gain")
    return array


def choose(gain_NK: Floats, cost_NK: Floats, price: float) -> Slots:
    """The best slot of each customer at a price of cost, -1 for none: the largest `gain - price * cost` above 0.

    Pure; one customer or millions.
    """
    return ChoiceRows.of(gain_NK, cost_NK).choose(Prices.of(price, np.shape(gain_NK)[1]))


def word(seed: int) -> np.uint64:
    """Any whole number as 64 bits."""
    return np.uint64(seed & 0xFFFFFFFFFFFFFFFF)


def check_budget(budget: float) -> float:
    """The budget as a float, or BudgetError if it is negative or not a number."""
    if not budget >= 0 or budget == np.inf:
        raise BudgetError(f"allocate: budget is {budget}; give a finite amount of 0 or more")
    return float(budget)


@dataclass(frozen=True, eq=False)
class Quanta:
    """How many customers can gain, and powers of two that turn amounts into whole numbers whose sums fit 62 bits."""

    usable: int
    gain: float
    cost: float
    units: float

    @property
    def kernel_3(self) -> Floats:
        return np.array([self.gain, self.cost, self.units])

    @property
    def unit_4(self) -> Floats:
        """What whole-number sums of gain, cost, count and units are divided by."""
        return np.array([self.gain, self.cost, 1.0, self.units])


def measure(rows: ChoiceRows) -> Quanta:
    """The scale of the rows. InputError names the first impossible value."""
    from promolift.allocate import kernel

    *tops, row, slot, usable = kernel.scan(rows.gain_NK, rows.cost_NK, rows.units_NK)
    if row >= 0:
        g, c, u = (m[row, slot] for m in (rows.gain_NK, rows.cost_NK, rows.units_NK))
        if g == np.inf or c < 0:
            rule = "a gain must be finite or missing (NaN)" if g == np.inf else "an expected cost must be 0 or more"
            raise InputError(f"allocate: row {row}, slot {slot}: gain {g}, cost {c}; {rule}")
        raise InputError(f"allocate: row {row}, slot {slot}: units {u}; give 0 or more")
    for name, codes in (("label", rows.label_N), ("offer", rows.offer_NK)):
        if codes.size and codes.min() < 0:
            raise InputError(f"allocate: a {name} is {codes.min()}; number them from 0")
    return Quanta(usable, *(_power(top, len(rows)) for top in tops))


def _power(top: float, rows: int) -> float:
    """The largest power of two that keeps `rows` values of at most `top` below 2**61."""
    if top <= 0:
        return 1.0
    return float(2.0 ** np.clip(60 - np.ceil(np.log2(top)) - np.ceil(np.log2(max(rows, 1))), -900, 900))


ROUNDING = 1e-12  # of the amounts added up: a difference of sums cannot be known closer
COLUMN = {"gain": 0, "cost": 1, "count": 2, "units": 3}


@dataclass(frozen=True, eq=False)
class Rules:
    """All rows, each `sum <= bound`; a floor is a row with its signs turned.

    Term t adds `weight_T[t]` times the sum of column `column_T[t]` over its classes and offers to row `row_T[t]`.
    """

    names: tuple[str, ...]
    floor_M: NDArray[np.bool_]
    bound_M: Floats
    row_T: Ints
    column_T: Ints
    weight_T: Floats
    class_TS: Floats
    offer_TJ: Floats

    @property
    def rows(self) -> int:
        return len(self.bound_M)

    def weights(self, price_M: Floats) -> Floats:
        """Weights for the kernels at the given prices: gain counts 1, less what the rows charge."""
        weight_SJ4 = np.zeros((self.class_TS.shape[1], self.offer_TJ.shape[1], 4))
        weight_SJ4[:, :, 0] = 1.0
        charge_T = price_M[self.row_T] * self.weight_T * np.where(self.column_T == 0, -1.0, 1.0)
        for column in range(4):
            at = (self.column_T == column) & (charge_T != 0)
            if at.any():
                weight_SJ4[:, :, column] += (self.class_TS[at].T * charge_T[at]) @ self.offer_TJ[at]
        return weight_SJ4

    def term_sums(self, sums_SJ4: Floats) -> Floats:
        """The sum behind each term, before its weight."""
        sums_T = np.zeros(len(self.row_T))
        for column in range(4):
            at = self.column_T == column
            sums_T[at] = ((self.class_TS[at] @ sums_SJ4[:, :, column]) * self.offer_TJ[at]).sum(axis=1)
        return sums_T

    def used(self, sums_SJ4: Floats) -> Floats:
        """Left side of every row from sums in real units."""
        used_M: Floats = np.bincount(self.row_T, self.weight_T * self.term_sums(sums_SJ4), self.rows).astype(float)
        return used_M

    def excess(self, sums_SJ4: Floats) -> Floats:
        """How far each row is broken, 0 if kept; a row of several terms may miss by 1e-12 of what it adds up."""
        part_T = self.weight_T * self.term_sums(sums_SJ4)
        used_M = np.bincount(self.row_T, part_T, self.rows)
        rounding_M = ROUNDING * np.bincount(self.row_T, np.abs(part_T), self.rows)
        rounding_M[np.bincount(self.row_T, minlength=self.rows) == 1] = 0.0
        over_M = used_M - self.bound_M
        return np.where(over_M > rounding_M, over_M, 0.0)

    def only(self, keep: Sequence[int]) -> "Rules":
        new = {m: at for at, m in enumerate(keep)}
        t = [at for at, m in enumerate(self.row_T.tolist()) if m in new]
        row_T = np.array([new[m] for m in self.row_T[t].tolist()], np.int64)
        return Rules(
            tuple(self.names[m] for m in keep), self.floor_M[list(keep)], self.bound_M[list(keep)],
            row_T, self.column_T[t], self.weight_T[t], self.class_TS[t], self.offer_TJ[t],
        )  # fmt: skip

    def uses(self, sums_SJ4: Floats, price_M: Floats) -> tuple[Use, ...]:
        """What the plan uses of every limit, in the unit the limit was written in; the budget is left out."""
        sums_T, out = self.term_sums(sums_SJ4), []
        for m in range(1, self.rows):
            first, *rest = np.flatnonzero(self.row_T == m)
            used, bound, price = float(sums_T[first]), abs(float(self.bound_M[m])), float(price_M[m])
            if not rest:
                bound = float(self.bound_M[m] * self.weight_T[first])
            else:  # a ratio: the second term holds the bound and what is divided by
                whole = float(sums_T[rest[0]])
                bound = float(-self.weight_T[rest[0]] * self.weight_T[first])
                used, price = (used / whole, price * whole) if whole else (bound, 0.0)
            out.append(Use(self.names[m], used, bound, bool(self.floor_M[m]), price))
        return tuple(out)


class Mask(NamedTuple):
    """The classes and the offers that a limit covers."""

    class_S: NDArray[np.bool_]
    offer_J: NDArray[np.bool_]


def compile_rules(budget: float, limits: Sequence[Limit], classes: int, offers: int) -> Rules:
    """Budget and limits on arrays as rows. ConfigError if a name occurs twice or a label or offer is out of range."""
    masks = [
        Mask(_mask(lim, lim.labels, classes, "labels"), _mask(lim, lim.offers, offers, "offers")) for lim in limits
    ]
    return stack_rules(budget, limits, masks, Mask(np.ones(classes, np.bool_), np.ones(offers, np.bool_)))


def _mask(limit: Limit, chosen: Sequence[int | str], size: int, field: str) -> NDArray[np.bool_]:
    if limit.where:
        raise ConfigError(f"limit {limit.name!r}: 'where' names columns of a table; on arrays use labels and offers")
    bad = [c for c in chosen if not isinstance(c, int) or not 0 <= c < size]
    if bad:
        raise ConfigError(f"limit {limit.name!r}: {field} {bad} are outside 0 to {size - 1}")
    mask = np.full(size, not chosen, np.bool_)
    mask[[int(c) for c in chosen]] = True
    return mask


def stack_rules(budget: float, limits: Sequence[Limit], masks: Sequence[Mask], everything: Mask) -> Rules:
    """Rows from limits and what each covers; row 0 is the budget over everything."""
    names = [limit.name for limit in limits]
    twice = sorted({name for name in names if names.count(name) > 1 or name == "budget"})
    if twice:
        raise ConfigError(f"limits: the name {twice[0]!r} is taken; give every limit a name of its own")
    rows: list[tuple[str, bool, float]] = [("budget", False, budget)]
    terms: list[tuple[int, int, float, Mask]] = [(0, COLUMN["cost"], 1.0, everything)]
    for limit, mask in zip(limits, masks, strict=True):
        for side in sides(limit):
            terms += [(len(rows), col, weight, everything if whole else mask) for col, weight, whole in side.parts]
            rows.append((side.name, side.floor, side.bound))
    row_T, column_T, weight_T, spots = zip(*terms, strict=True)
    return Rules(
        tuple(row[0] for row in rows), np.array([row[1] for row in rows]), np.array([row[2] for row in rows], float),
        np.array(row_T, np.int64), np.array(column_T, np.int64), np.array(weight_T, float),
        np.array([spot.class_S for spot in spots], float), np.array([spot.offer_J for spot in spots], float),
    )  # fmt: skip


class LimitTerm(NamedTuple):
    """One term of a row: the column that is added up, its weight, and whether over everything or what is covered."""

    column: int
    weight: float
    whole: bool


class Side(NamedTuple):
    """One bound of a limit as a row: sum of its parts <= bound, signs turned for a floor."""

    name: str
    floor: bool
    bound: float
    parts: tuple[LimitTerm, ...]


def sides(limit: Limit) -> list[Side]:
    """The rows that a limit becomes: one for each bound it states."""
    both, found = limit.at_most is not None and limit.at_least is not None, []
    for bound, floor in ((limit.at_most, False), (limit.at_least, True)):
        if bound is not None:
            sign = -1.0 if floor else 1.0
            value = sign * bound if limit.measure in COLUMN else limit.slack  # a ratio becomes a difference of sums
            name = f"{limit.name} ({'at least' if floor else 'at most'})" if both else limit.name
            terms = _terms(limit.measure, bound)
            signed = tuple(LimitTerm(term.column, sign * term.weight, term.whole) for term in terms)
            found.append(Side(name, floor, value, signed))
    return found


def _terms(measure: Measure, bound: float) -> list[LimitTerm]:
    """The terms of a row that holds `measure` to at most `bound`."""
    if measure == "return":
        return [LimitTerm(COLUMN["gain"], 1.0, False), LimitTerm(COLUMN["cost"], -bound, False)]
    if measure in ("count_share", "cost_share"):
        column = COLUMN[measure.removesuffix("_share")]
        return [LimitTerm(column, 1.0, False), LimitTerm(column, -bound, True)]
    return [LimitTerm(COLUMN[measure], 1.0, False)]
