"""Types of the room, and `choose`: values and prices in, a slot per customer out, in batch, shard and request alike.

N customers, K slots (a customer's candidates), J offers, S classes of customers, C rows kept for the finishing step.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
from pydantic import Field

from promolift.allocate.arrays import Floats, Ints, KernelColumns, Keys, Slots, Ties
from promolift.errors import BudgetError, InputError
from promolift.settings import Settings

T = TypeVar("T")

BLOCK = 65_536  # rows per call of a kernel: one task for one thread


class Options(Settings):
    """How to solve. `seed` settles ties; `threads` changes nothing but the time."""

    seed: int = 0
    threads: int = Field(default=1, ge=1, le=64)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some customers: gain and expected cost of every slot (NaN: no such candidate), and who they are.

    `units_NK` is a third amount that limits may count, such as the expected number of redemptions. `offer_NK` says
    which offer stands in a slot; left out, slot k is offer k. `label_N` is the customer's class, a small whole number
    that limits refer to. `key_N` identifies the customer wherever the row lies; left out, the row's position is the
    key, and then the plan depends on the order of rows where values tie.
    """

    gain_NK: Floats
    cost_NK: Floats
    units_NK: Floats | None = None
    offer_NK: Slots | None = None
    label_N: Slots | None = None
    key_N: Keys | None = None


Source = Callable[[], Iterable[Chunk]]  # can be read again and again, always with the same rows in the same order


class PriceShape(NamedTuple):
    """How many classes of customers and how many offers prices tell apart."""

    classes: int
    offers: int


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
    def of(price: float, shape: PriceShape, share: float = 0.0, seed: int = 0) -> "Prices":
        """The prices of a plan with one budget and no limits."""
        weight = np.zeros((max(shape.classes, 1), max(shape.offers, 1), 4))
        weight[:, :, 0], weight[:, :, 1] = 1.0, price
        return Prices(weight, 0.0, share, seed)

    @property
    def price(self) -> float:
        """The price of cost for the first class and offer: of all, where there are no limits."""
        return float(self.weight_SJ4[0, 0, 1])


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

    `choice_N` is the slot of each customer, -1 for none (empty for a streamed plan: ask `decide`). `bound` is an
    upper bound of what any plan within the budget and limits can gain. `moved` holds the few customers (key to slot)
    whom the finishing step treats otherwise than the prices alone would. `row_prices` are the prices of budget and
    limits as the method works with them, to start the next plan from.
    """

    choice_N: Slots
    gain: float
    cost: float
    bound: float
    price: float
    budget: float
    treated: int
    customers: int
    prices: Prices
    uses: tuple[Use, ...] = ()
    passes: int = 0
    moved: Mapping[int, int] = field(default_factory=dict)
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

    def decide(self, source: Source) -> Iterator[Slots]:
        """The slots of each chunk, by the prices and the moved customers; the same in any chunking."""
        start, moved = 0, np.fromiter(self.moved, np.uint64, len(self.moved))
        for chunk in source():
            rows = CheckedRows.of(chunk, start)
            choice_N = rows.choose(self.prices)
            for i in np.flatnonzero(np.isin(rows.key_N, moved)):
                choice_N[i] = self.moved[int(rows.key_N[i])]
            start += len(choice_N)
            yield choice_N

    def explain(self, money: Callable[[float], str] = "{:,.2f}".format) -> str:
        """One paragraph in plain words; `money` writes an amount."""
        if not self.treated:
            return f"No customer gets an offer: within {money(self.budget)} none of {self.customers:,} can gain."
        text = (
            f"{self.treated:,} of {self.customers:,} customers get an offer. The plan costs {money(self.cost)} of a "
            f"budget of {money(self.budget)} and is expected to gain {money(self.gain)}; no plan within the budget"
            f"{' and limits' if self.uses else ''} can gain more than {money(self.bound)}, so at most {self.gap:.4%} "
            f"is missing. "
        )
        if self.price > 0:
            text += f"One more unit of budget would add about {self.price:.3f} units of gain."
        else:
            text += "More budget would add nothing: every offer that gains is already given or held back by a limit."
        return " ".join([text, *(use.explain() for use in self.binding)])


@dataclass(frozen=True, eq=False)
class CheckedRows:
    """Consecutive rows of a source with all columns filled in, ready for a kernel; an empty array is one left out."""

    start: int
    gain_NK: Floats
    cost_NK: Floats
    units_NK: Floats
    offer_NK: Slots
    label_N: Slots
    key_N: Keys

    def __len__(self) -> int:
        """Number of customers."""
        return len(self.gain_NK)

    @staticmethod
    def of(chunk: Chunk, start: int = 0) -> "CheckedRows":
        """Check shapes and fill in what a chunk left out; `start` is the number of rows before it."""
        gain_NK, cost_NK = (np.ascontiguousarray(m, np.float64) for m in (chunk.gain_NK, chunk.cost_NK))
        if gain_NK.ndim != 2 or gain_NK.shape != cost_NK.shape:
            shapes = f"gain has shape {gain_NK.shape} and cost {cost_NK.shape}"
            raise InputError(f"allocate: {shapes}; both must be (customers, offers)")
        key_N = np.arange(start, start + len(gain_NK)) if chunk.key_N is None else chunk.key_N
        none = np.empty((0, 1))
        return CheckedRows(
            start, gain_NK, cost_NK,
            _like(none if chunk.units_NK is None else chunk.units_NK, gain_NK.shape, np.float64, "units"),
            _like(none if chunk.offer_NK is None else chunk.offer_NK, gain_NK.shape, np.int32, "offer"),
            _like(none[:0, 0] if chunk.label_N is None else chunk.label_N, gain_NK.shape[:1], np.int32, "label"),
            _like(key_N, gain_NK.shape[:1], np.uint64, "key"),
        )  # fmt: skip

    def part(self, which: slice | Ints) -> "CheckedRows":
        """Some of the rows. Positions are lost if `which` is not a slice."""
        columns = (self.gain_NK, self.cost_NK, self.units_NK, self.offer_NK, self.label_N, self.key_N)
        start = self.start + which.start if isinstance(which, slice) else 0
        return CheckedRows(start, *(column[which] if column.size else column for column in columns))  # type: ignore[arg-type]

    @staticmethod
    def join(parts: "list[CheckedRows]") -> "CheckedRows":
        """Rows of several parts, one after the other; parts with fewer slots are filled up with unknown ones."""
        if not parts:
            return CheckedRows.of(Chunk(np.empty((0, 1)), np.empty((0, 1))))
        slots = max(part.gain_NK.shape[1] for part in parts)

        def column(name: str, blank: float) -> Any:
            arrays = [getattr(part, name) for part in parts]
            wide = [a for a in arrays if a.size] or arrays[:1]
            if wide[0].ndim == 1 or all(a.shape[1] == wide[0].shape[1] for a in wide):
                return np.concatenate(wide)
            return np.concatenate([np.pad(a, ((0, 0), (0, slots - a.shape[1])), constant_values=blank) for a in wide])

        return CheckedRows(
            0, column("gain_NK", np.nan), column("cost_NK", np.nan), column("units_NK", 0.0), column("offer_NK", 0),
            column("label_N", 0), column("key_N", 0),
        )  # fmt: skip

    @property
    def columns(self) -> KernelColumns:
        """The columns as the kernels take them."""
        return KernelColumns(self.gain_NK, self.cost_NK, self.units_NK, self.offer_NK, self.label_N)

    def choose(self, prices: Prices) -> Slots:
        """The best slot of each row at `prices`, -1 for none."""
        from promolift.allocate import kernel

        choice_N = np.full(len(self), -1, np.int32)
        classes, offers, _ = prices.weight_SJ4.shape
        top = int(self.offer_NK.max()) if self.offer_NK.size else self.gain_NK.shape[1] - 1
        if top >= offers or (self.label_N.size and self.label_N.max() >= classes):
            raise InputError(f"allocate: these prices know {classes} classes and {offers} offers, the rows have more")
        if self.gain_NK.size:
            ties = Ties(prices.width, prices.share, word(prices.seed))
            kernel.choose(self.columns, self.key_N, prices.weight_SJ4, ties, choice_N)
        return choice_N


def _like(column: Any, shape: tuple[int, ...], dtype: type[np.generic], name: str) -> Any:
    """The column as a contiguous array; InputError if it is given and has another shape."""
    array = np.ascontiguousarray(column, dtype)
    if array.size and array.shape != shape:
        raise InputError(f"allocate: {name} has shape {array.shape}, expected {shape}, one value for each row of gain")
    return array


def choose(gain_NK: Floats, cost_NK: Floats, prices: Prices | float) -> Slots:
    """The best slot of each customer at the given prices, -1 for none. Pure; one customer or millions.

    A bare number is a price of cost with no limits: the slot with the largest `gain - price * cost` above 0. With
    labels, keys or several offers per slot make `CheckedRows.of(Chunk(...))` and ask it to choose.
    """
    rows = CheckedRows.of(Chunk(gain_NK, cost_NK))
    return rows.choose(
        prices if isinstance(prices, Prices) else Prices.of(prices, PriceShape(1, rows.gain_NK.shape[1]))
    )


def word(seed: int) -> np.uint64:
    """Any whole number as 64 bits."""
    return np.uint64(seed & 0xFFFFFFFFFFFFFFFF)


def check_budget(budget: float) -> float:
    """The budget as a float, or BudgetError if it is negative or not a number."""
    if not budget >= 0 or budget == np.inf:
        raise BudgetError(f"allocate: budget is {budget}; give a finite amount of 0 or more")
    return float(budget)


def sweep(source: Source, job: Callable[[CheckedRows], T], threads: int = 1, block: int = BLOCK) -> Iterator[T]:
    """Run `job` on every block of at most `block` rows, on `threads` threads; results in row order."""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        start = 0
        for chunk in source():
            rows = CheckedRows.of(chunk, start)
            tasks = [rows.part(slice(low, min(low + block, len(rows)))) for low in range(0, len(rows), block)]
            yield from pool.map(job, tasks) if threads > 1 else map(job, tasks)
            start += len(rows)


@dataclass(frozen=True, eq=False)
class SourceScale:
    """Size of a source, and powers of two that turn its amounts into whole numbers whose sums fit 62 bits."""

    rows: int
    usable: int
    offers: int
    count_S: Ints
    gain: float
    cost: float
    units: float

    @property
    def shape(self) -> PriceShape:
        """Classes and offers."""
        return PriceShape(max(len(self.count_S), 1), self.offers)


class BlockScale(NamedTuple):
    """Size of a block of rows and its largest amounts; see `SourceScale`."""

    rows: int
    usable: int
    offers: int
    count_S: Ints
    top_gain: float
    top_cost: float
    top_units: float


def measure(source: Source, threads: int = 1) -> SourceScale:
    """Read the source once. InputError names the first impossible value."""
    from promolift.allocate import kernel

    def job(rows: CheckedRows) -> BlockScale:
        top_gain, top_cost, row, slot, usable = kernel.scan(rows.gain_NK, rows.cost_NK)
        if row >= 0:
            g, c = rows.gain_NK[row, slot], rows.cost_NK[row, slot]
            rule = "a gain must be finite or missing (NaN)" if g == np.inf else "an expected cost must be 0 or more"
            raise InputError(f"allocate: row {rows.start + row}, slot {slot}: gain {g}, cost {c}; {rule}")
        label_N, offer_NK = rows.label_N, rows.offer_NK
        for name, codes in (("label", label_N), ("offer", offer_NK)):
            if codes.size and codes.min() < 0:
                raise InputError(f"allocate: a {name} is {codes.min()}; number them from 0")
        count_S = np.bincount(label_N) if label_N.size else np.array([len(rows)])
        offers = int(offer_NK.max()) + 1 if offer_NK.size else rows.gain_NK.shape[1]
        return BlockScale(len(rows), usable, offers, count_S, top_gain, top_cost, _top_units(rows))

    parts = list(sweep(source, job, threads))
    rows = sum(part.rows for part in parts)
    gain = _power(max((part.top_gain for part in parts), default=0.0), rows)
    cost = _power(max((part.top_cost for part in parts), default=0.0), rows)
    units = _power(max((part.top_units for part in parts), default=0.0), rows)
    count_S = np.zeros(max((len(part.count_S) for part in parts), default=1), np.int64)
    for part in parts:
        count_S[: len(part.count_S)] += part.count_S
    offers = max((part.offers for part in parts), default=1)
    return SourceScale(rows, sum(part.usable for part in parts), max(offers, 1), count_S, gain, cost, units)


def _top_units(rows: CheckedRows) -> float:
    """The largest units of a usable pair; InputError if one is negative or missing."""
    if not rows.units_NK.size:
        return 0.0
    bad = (rows.gain_NK >= 0) & (rows.cost_NK < np.inf) & ~((rows.units_NK >= 0) & (rows.units_NK < np.inf))
    if bad.any():
        i, k = np.argwhere(bad)[0]
        raise InputError(f"allocate: row {rows.start + i}, slot {k}: units {rows.units_NK[i, k]}; give 0 or more")
    return float(np.nanmax(rows.units_NK, initial=0.0))


def _power(top: float, rows: int) -> float:
    """The largest power of two that keeps `rows` values of at most `top` below 2**61."""
    if top <= 0:
        return 1.0
    return float(2.0 ** np.clip(60 - np.ceil(np.log2(top)) - np.ceil(np.log2(max(rows, 1))), -900, 900))
