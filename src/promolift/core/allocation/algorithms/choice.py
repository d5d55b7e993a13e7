"""Choose the best slot of each customer at given prices, for customers in memory or in parts.

And how the solver sees many customers: a task goes out to parts of them, what it finds in each comes back, in their
order. Such a round is one pass: the task holds a few numbers, and sums and a bounded number of rows come back. Whoever
holds the parts may work on them in other processes or machines. N customers, K slots (a customer's candidates), J
offers, S classes of customers, C customers picked.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promolift.core.allocation.algorithms.arrays import (
    Floats,
    Ints,
    KernelColumns,
    Keys,
    LimitUsage,
    Slots,
    TieBreaking,
)
from promolift.foundation.errors import BudgetError, InputError
from promolift.foundation.i18n.lazy_message import SENTENCES, LazyMessage, gettext_lazy, join_messages

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


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
    def of(price: float, offers: int, share: float = 0.0, seed: int = 0, classes: int = 1) -> "Prices":
        """The prices of a plan with one budget and no limits, the same for all classes of customers."""
        return Prices(np.tile([1.0, price, 0.0, 0.0], (classes, max(offers, 1), 1)), 0.0, share, seed)


@dataclass(frozen=True, eq=False)
class Allocation:
    """A plan and its certificate. Gain, cost and bound are in the unit of the arrays given.

    `choice` says the slot of each customer. `bound` is an upper bound of what any plan within the budget and limits can
    gain. `row_prices` are the prices of budget and limits as the method works with them.
    """

    choice: "SlotChoice"
    customers: int
    gain: float
    cost: float
    bound: float
    price: float
    budget: float
    treated: int
    uses: tuple[LimitUsage, ...] = ()
    row_prices: Mapping[str, float] = field(default_factory=dict)

    @property
    def moved(self) -> int:
        """The few customers whom the finishing step treats otherwise than the prices alone would."""
        return len(self.choice.slot_C)

    @property
    def gap(self) -> float:
        """(bound - gain) / bound: the share of the best gain that may be missing; 0 if nothing can be gained."""
        return max(0.0, (self.bound - self.gain) / self.bound) if self.bound > 0 else 0.0

    @property
    def multipliers(self) -> dict[str, float]:
        """Gain that one more unit of each limit would add, by the limit's name."""
        return {use.name: use.price for use in self.uses}

    @property
    def binding(self) -> tuple[LimitUsage, ...]:
        """The limits that cost gain, dearest first by price times size."""
        return tuple(sorted((u for u in self.uses if u.binding), key=lambda u: (-u.price * abs(u.bound), u.name)))

    def explain(self, money: Callable[[float], str] = "{:,.2f}".format) -> LazyMessage:
        """One paragraph in plain words; `money` writes an amount."""
        if not self.treated:
            return gettext_lazy(
                "No customer gets an offer: within {budget} none of {customers} can gain.",
                budget=money(self.budget),
                customers=f"{self.customers:,}",
            )
        found = {
            "treated": f"{self.treated:,}", "customers": f"{self.customers:,}", "cost": money(self.cost),
            "budget": money(self.budget), "gain": money(self.gain), "bound": money(self.bound),
            "missing": f"{self.gap:.4%}",
        }  # fmt: skip
        text = (
            gettext_lazy(
                "{treated} of {customers} customers get an offer. The plan costs {cost} of a budget of {budget} and is "
                "expected to gain {gain}; no plan within the budget and limits can gain more than {bound}, so at most "
                "{missing} is missing.",
                **found,
            )
            if self.uses
            else gettext_lazy(
                "{treated} of {customers} customers get an offer. The plan costs {cost} of a budget of {budget} and is "
                "expected to gain {gain}; no plan within the budget can gain more than {bound}, so at most {missing} "
                "is missing.",
                **found,
            )
        )
        more = (
            gettext_lazy("One more unit of budget would add about {price} units of gain.", price=f"{self.price:.3f}")
            if self.price > 0
            else gettext_lazy(
                "More budget would add nothing: every offer that gains is already given or held back by a limit."
            )
        )
        return join_messages(SENTENCES, text, more, *(use.explain() for use in self.binding))


@dataclass(frozen=True, eq=False)
class SlotChoice:
    """Who gets what: the best slot at `prices`, but for C customers, in row `row_C` of part `part_C`, who get
    `slot_C`; -1 is none.
    """

    prices: Prices
    part_C: Ints
    row_C: Ints
    slot_C: Slots

    @classmethod
    def with_exceptions(cls, prices: Prices, part_C: Ints, row_C: Ints, slot_C: Slots, priced_C: Slots) -> Self:
        """The same where C customers, of whom the prices would give `priced_C`, get `slot_C`."""
        other = slot_C != priced_C
        return cls(prices, part_C[other], row_C[other], slot_C[other])

    def of(self, rows: "ChoiceRows", part: int = 0) -> Slots:
        """The slot of each row of a part."""
        slot_N = rows.choose(self.prices)
        mine = self.part_C == part
        slot_N[self.row_C[mine]] = self.slot_C[mine]
        return slot_N


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
        gain, cost = _matrices(gain_NK, cost_NK)
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

    def first(self, rows: int) -> "ChoiceRows":
        """The first rows, not copied."""
        return ChoiceRows(*(getattr(self, column.name)[:rows] for column in fields(self)))

    def hashed(self, seed: int) -> Floats:
        """A uniform number in [0, 1) for every customer."""
        from promolift.core.allocation.algorithms import kernels

        return kernels.hash_all(self.key_N, to_uint64(seed))

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
        from promolift.core.allocation.algorithms import kernels

        choice_N = np.full(len(self), -1, np.int32)
        if self.gain_NK.size:
            ties = TieBreaking(prices.width, prices.share, to_uint64(prices.seed))
            kernels.choose(self.columns, self.key_N, prices.weight_SJ4, ties, choice_N)
        return choice_N


class _Matrices(NamedTuple):
    gain_NK: Floats
    cost_NK: Floats


def _matrices(gain_NK: ArrayLike, cost_NK: ArrayLike) -> _Matrices:
    gain, cost = np.ascontiguousarray(gain_NK, np.float64), np.ascontiguousarray(cost_NK, np.float64)
    if gain.ndim != 2 or gain.shape != cost.shape:
        shapes = gettext_lazy("gain has shape {shape} and cost {cost_shape}", shape=gain.shape, cost_shape=cost.shape)
        raise InputError(
            "shapes_differ", gettext_lazy("allocate: {shapes}; both must be (customers, offers)", shapes=shapes)
        )
    return _Matrices(gain, cost)


def _like(column: Any, shape: tuple[int, ...], dtype: type[np.generic], name: str) -> Any:
    """The column as a contiguous array; InputError if it has another shape."""
    array = np.ascontiguousarray(column, dtype)
    if array.shape != shape:
        raise InputError(
            "shapes_differ",
            gettext_lazy(
                "allocate: {name} has shape {shape}, expected {shape_2}, one value for each row of gain",
                name=name,
                shape=array.shape,
                shape_2=shape,
            ),
        )
    return array


def choose(gain_NK: Floats, cost_NK: Floats, price: float) -> Slots:
    """The best slot of each customer at a price of cost, -1 for none: the largest `gain - price * cost` above 0.

    Pure; one customer or millions. All offers have one price, so that all may have one number.
    """
    from promolift.core.allocation.algorithms import kernels

    gain, cost = _matrices(gain_NK, cost_NK)
    choice_N, whole = np.full(len(gain), -1, np.int32), gain.shape
    if gain.size:
        unused, label_N = np.zeros(whole), np.zeros(len(gain), np.int32)
        columns = KernelColumns(gain, cost, unused, np.zeros(whole, np.int32), label_N)
        ties = TieBreaking(0.0, 0.0, np.uint64(0))
        kernels.choose(columns, np.zeros(len(gain), np.uint64), np.array([[[1.0, price, 0.0, 0.0]]]), ties, choice_N)
    return choice_N


def to_uint64(seed: int) -> np.uint64:
    """Any whole number as 64 bits."""
    return np.uint64(seed & 0xFFFFFFFFFFFFFFFF)


def check_budget(budget: float) -> float:
    """The budget as a float, or BudgetError if it is negative or not a number."""
    if not budget >= 0 or budget == np.inf:
        raise BudgetError(
            "budget_invalid",
            gettext_lazy("allocate: budget is {budget}; give a finite amount of 0 or more", budget=budget),
        )
    return float(budget)


@dataclass(frozen=True, eq=False)
class ProblemScale:
    """How many customers there are, how many can gain, by how many pairs; the size of prices, a row for each class and
    a column for each offer; and powers of two that turn amounts into whole numbers whose sums fit 62 bits.
    """

    customers: int
    usable: int
    pairs: int
    classes: int
    offers: int
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


class RowSummary(NamedTuple):
    """The largest gain, cost and units of usable pairs of some customers, how many there are, and names of codes."""

    gain: float
    cost: float
    units: float
    usable: int
    pairs: int
    customers: int
    classes: int
    offers: int


def summarise_rows(rows: ChoiceRows) -> RowSummary:
    """What the scale of some rows goes by. InputError names the first impossible value."""
    from promolift.core.allocation.algorithms import kernels

    *tops, row, slot, usable, pairs = kernels.scan(rows.gain_NK, rows.cost_NK, rows.units_NK)
    if row >= 0:
        g, c, u = (m[row, slot] for m in (rows.gain_NK, rows.cost_NK, rows.units_NK))
        if g == np.inf or c < 0:
            rule = (
                gettext_lazy("a gain must be finite or missing (NaN)")
                if g == np.inf
                else gettext_lazy("an expected cost must be 0 or more")
            )
            raise InputError(
                "value_not_finite" if g == np.inf else "value_invalid",
                gettext_lazy(
                    "allocate: row {row}, slot {slot}: gain {g}, cost {c}; {rule}",
                    row=row,
                    slot=slot,
                    g=g,
                    c=c,
                    rule=rule,
                ),
            )
        raise InputError(
            "value_invalid",
            gettext_lazy("allocate: row {row}, slot {slot}: units {u}; give 0 or more", row=row, slot=slot, u=u),
        )
    for name, codes in (("label", rows.label_N), ("offer", rows.offer_NK)):
        if codes.size and codes.min() < 0:
            raise InputError(
                "value_invalid",
                gettext_lazy("allocate: a {name} is {min}; number them from 0", name=name, min=codes.min()),
            )
    classes, offers = (int(each.max(initial=0)) + 1 for each in (rows.label_N, rows.offer_NK))
    gain, cost, units = tops
    return RowSummary(gain, cost, units, usable, pairs, len(rows), classes, offers)


def combine_summaries(*parts: RowSummary) -> ProblemScale:
    """The scale of all rows."""
    customers = sum(part.customers for part in parts)
    return ProblemScale(
        customers, sum(part.usable for part in parts), sum(part.pairs for part in parts),
        max(part.classes for part in parts), max(part.offers for part in parts),
        *(_power(max(tops), customers) for tops in zip(*(part[:3] for part in parts), strict=True)),
    )  # fmt: skip


def _power(top: float, rows: int) -> float:
    """The largest power of two that keeps `rows` values of at most `top` below 2**61."""
    if top <= 0:
        return 1.0
    return float(2.0 ** np.clip(60 - np.ceil(np.log2(top)) - np.ceil(np.log2(max(rows, 1))), -900, 900))


# customers in parts

IN_MEMORY_ROWS = 100_000  # rows that are worked on in one place: a whole problem of so few, or a sample
MISSING_SLOT_VALUES = {"gain_NK": np.nan, "cost_NK": np.nan, "units_NK": 0.0, "offer_NK": 0}


class PartitionedRows(Protocol):
    """Customers in parts. Where rules other than the budget are asked for, each part is in the order of its hashes."""

    def each(
        self,
        task: Callable[Concatenate[ChoiceRows, Parameters], Result],
        *given: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Iterator[Result]:
        """What a function of a module finds for each part, in their order."""
        ...


@dataclass(frozen=True, eq=False)
class InMemoryRows:
    """All customers in memory."""

    rows: ChoiceRows

    def each(
        self,
        task: Callable[Concatenate[ChoiceRows, Parameters], Result],
        *given: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Iterator[Result]:
        """See PartitionedRows."""
        yield task(self.rows, *given, **named)


def problem_scale(parts: PartitionedRows) -> ProblemScale:
    """The scale of all rows. InputError names the first impossible value."""
    return combine_summaries(*parts.each(summarise_rows))


class GatheredRows(NamedTuple):
    """Rows of several parts together, and where each lies: its part and its place in it."""

    rows: ChoiceRows
    part_C: Ints
    row_C: Ints

    def sorted_by(self, seed: int) -> "GatheredRows":
        """The same in the order of their hashes, which does not hang on the parts they lay in."""
        order = self.rows.by_hash(seed)
        return GatheredRows(self.rows.part(order), self.part_C[order], self.row_C[order])


class SelectedRows(NamedTuple):
    """Rows of one part, and their places in it."""

    rows: ChoiceRows
    row_C: Ints


def gather_rows(
    parts: PartitionedRows,
    which: Callable[Concatenate[ChoiceRows, Parameters], Ints],
    *given: Parameters.args,
    **named: Parameters.kwargs,
) -> GatheredRows:
    """The rows of each part whose places `which` says."""
    found = [*parts.each(select_rows, which, given, named)]
    places = [np.full(len(each.row_C), part, np.int64) for part, each in enumerate(found)]
    return GatheredRows(
        concatenate_rows([each.rows for each in found]),
        *map(concatenate_columns, (places, [each.row_C for each in found])),
    )


def select_rows(
    rows: ChoiceRows, which: Callable[..., Ints], given: tuple[Any, ...], named: dict[str, Any]
) -> SelectedRows:
    """What `which` asks for of one part."""
    row_C = which(rows, *given, **named)
    return SelectedRows(rows if len(row_C) == len(rows) else rows.part(row_C), row_C)


def all_row_indices(rows: ChoiceRows) -> Ints:
    """The places of all rows."""
    return np.arange(len(rows))


def concatenate_columns(columns: list[Ints]) -> Ints:
    """One column after another."""
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def concatenate_rows(parts: list[ChoiceRows]) -> ChoiceRows:
    """Rows one below another; who has fewer slots than others has no candidate in the rest."""
    if len(parts) == 1:
        return parts[0]
    slots = max(each.gain_NK.shape[1] for each in parts)

    def column(name: str) -> Any:
        columns = [getattr(each, name) for each in parts]
        if name not in MISSING_SLOT_VALUES:
            return np.concatenate(columns)
        wide = [((0, 0), (0, slots - each.shape[1])) for each in columns]
        blank = MISSING_SLOT_VALUES[name]
        return np.concatenate([np.pad(c, w, constant_values=blank) for c, w in zip(columns, wide, strict=True)])

    return ChoiceRows(*(column(each.name) for each in fields(ChoiceRows)))


class HashSample(NamedTuple):
    """Those whose hash with `seed` is below a share."""

    seed: int
    below: float

    def places(self, rows: ChoiceRows) -> Ints:
        """Their places."""
        return np.flatnonzero(rows.hashed(self.seed) < self.below)

    def first(self, rows: ChoiceRows) -> ChoiceRows:
        """They themselves of a part that lies in the order of its hashes, not copied."""
        if self.below >= 1:
            return rows
        return rows.first(int(np.searchsorted(rows.hashed(self.seed), self.below)))


SAMPLE_SALT = 0x5EED  # the hash that picks customers must not be the one that settles ties


def hash_seed(seed: int) -> int:
    """The seed of the hashes in whose order parts lie."""
    return seed ^ SAMPLE_SALT
