"""Run a simulated shop day by day under offers, and measure what the offers truly add.

A `Behaviour` (module `behaviours`) says who orders on a day and for how much; this module draws products, takes offers
off, writes the log and counts profit. Every random number is a hash of the shop's seed, the customer and the day, so
the same shop under other offers has the same luck, and the difference between two runs is the effect of offers alone.

Nothing here imports promolift's planner, models or priors: a shop that shared an assumption with them could not judge
them. `tests/extensions/simulation/test_worlds.py` holds that.

Legend: N customers, P products, G categories. Days are whole numbers, 0 the first of the log. Money is in cents.
"""

from copy import copy, deepcopy
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Keys = NDArray[np.uint64]

DAY_MS = 86_400_000
START_MS = 1_704_067_200_000  # Monday 2024-01-01, 00:00 UTC
ANY_CATEGORY = -1
BASKET_SPREAD = 0.5  # s.d. of the logarithm of the baskets that customers expect of themselves
NOTICED = 0.005  # the least saving, as a share of an order, that anybody acts on
ODD = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64


def mix(key: Keys) -> Keys:
    """Finalise a counter (splitmix64: Steele, Lea, Flood 2014)."""
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


@dataclass(frozen=True)
class DailyLuck:
    """Uniform and normal numbers that depend on seed, customer, day and purpose alone."""

    key_N: Keys

    @classmethod
    def of(cls, seed: int, customers: int) -> Self:
        """One key per customer."""
        with np.errstate(over="ignore"):
            return cls(mix(np.arange(1, customers + 1, dtype=np.uint64) * ODD + mix(np.array([seed], dtype=np.uint64))))

    def uniform(self, purpose: int, day: int = 0) -> Floats:
        """One number in (0, 1) per customer."""
        with np.errstate(over="ignore"):
            cell = np.uint64((day + 1_000_000) * 1_000 + purpose)
            bits = mix(self.key_N + (cell + np.uint64(1)) * ODD) >> np.uint64(12)
        return (bits.astype(np.float64) + 0.5) / 2.0**52

    def normal(self, purpose: int, day: int = 0) -> Floats:
        """One standard normal number per customer."""
        found: Floats = scipy.special.ndtri(self.uniform(purpose, day))
        return found


@dataclass(frozen=True, eq=False)
class SentOffers:
    """At most one offer per customer over a span; arrays of N.

    `send_N`: day of the span on which the message goes out, -1 for nobody. An offer with neither `depth_N` nor
    `amount_N` nor `free_delivery_N` is a message alone. `category_N` is the category of the offer and of its message,
    ANY_CATEGORY for all. An offer is open for `valid_days` and is used once.
    """

    send_N: Ints
    depth_N: Floats
    amount_N: Floats
    min_spend_N: Floats
    free_delivery_N: Flags
    category_N: Ints
    valid_days: int = 28

    @classmethod
    def nobody(cls, customers: int) -> Self:
        """No offers."""
        return cls.same_for(np.zeros(customers, np.bool_))

    @classmethod
    def same_for(
        cls, to_N: Flags, *, day: int = 0, depth: float = 0.0, amount: float = 0.0, min_spend: float = 0.0,
        free_delivery: bool = False, category: int = ANY_CATEGORY, valid_days: int = 28,
    ) -> Self:  # fmt: skip
        """The same offer for some customers."""
        n = to_N.size
        return cls(
            np.where(to_N, day, -1), np.full(n, depth), np.full(n, amount), np.full(n, min_spend),
            np.full(n, free_delivery), np.full(n, category), valid_days,
        )  # fmt: skip


class Today(NamedTuple):
    """What customers meet on a day. `off_N` is the share that an order is expected to save."""

    day: int
    luck: DailyLuck
    messaged_N: Flags
    message_age_N: Ints  # days since the last message, large if none
    open_N: Flags  # an unused offer is open
    off_N: Floats
    shelf: float  # share off for everybody
    min_spend_N: Floats  # of the open offer, 0 if none
    category_N: Ints  # of the open offer


class Orders(NamedTuple):
    """Who orders, for how much at list prices, mainly of which category, and which share goes back."""

    order_N: Flags
    size_N: Floats
    category_N: Ints
    returned_N: Floats
    unsubscribed_N: Flags  # from today on no message reaches them


class Behaviour(Protocol):
    """How customers behave; it holds their state and is copied with the shop."""

    customers: int
    usual_N: Floats  # usual order at list prices
    delivery_cents: float  # what a delivery costs the shop; customers pay it below `free_from_cents`
    free_from_cents: float

    def start(self, luck: DailyLuck) -> None:
        """Draw the customers' parameters and their state on day 0."""

    def live(self, today: Today) -> Orders:
        """One day: change the state and return the day's orders."""

    def answer(self, today: Today, order_N: Flags, paid_share_N: Floats) -> None:
        """Learn what was paid, as a share of the list price."""


class Sale(NamedTuple):
    """A share off for everybody in the past."""

    first_day: int
    days: int
    depth: float


class ProductRange(NamedTuple):
    """Products by category: list prices in cents and popularity within the category."""

    names: tuple[str, ...]  # of categories
    category_P: Ints
    price_P: Floats
    share_P: Floats


@dataclass(frozen=True)
class ShopTraits:
    """What a shop has beside its customers."""

    name: str
    seed: int
    margin: float  # share of the list price
    catalogue: ProductRange
    sales: tuple[Sale, ...] = ()


class Gain(NamedTuple):
    """Expected gain per customer after discounts, in the span and with what follows, and what the offers cost."""

    span_N: Floats
    horizon_N: Floats
    cost_N: Floats


class WrittenOrders(NamedTuple):
    """A day's orders as the log needs them; `luck` (4, orders) draws products and the moment."""

    day: Ints
    who: Ints
    category: Ints
    size: Floats
    shelf: Floats
    coupon: Floats
    returned: Floats
    luck: Floats


@dataclass(eq=False)
class DailyShop:
    """A shop that lives; every day adds to its log."""

    traits: ShopTraits
    behaviour: Behaviour
    luck: DailyLuck
    day: int = 0
    orders: list["WrittenOrders"] = field(default_factory=list)
    unsubscribed_N: Flags = field(init=False)
    message_day_N: Ints = field(init=False)
    profit_N: Floats = field(init=False)  # since day 0
    discount_N: Floats = field(init=False)  # what offers took off since day 0

    def __post_init__(self) -> None:
        """Start every customer."""
        n = self.behaviour.customers
        self.behaviour.start(self.luck)
        self.unsubscribed_N, self.message_day_N = np.zeros(n, np.bool_), np.full(n, -10_000)
        self.profit_N, self.discount_N = np.zeros(n), np.zeros(n)

    def copy(self, seed: int | None = None) -> "DailyShop":
        """The same shop on the same day, which lives on by itself; with another `seed` under other luck."""
        made = copy(self)
        made.behaviour, made.orders = deepcopy(self.behaviour), list(self.orders)
        for name in ("unsubscribed_N", "message_day_N", "profit_N", "discount_N"):
            setattr(made, name, getattr(self, name).copy())
        if seed is not None:
            made.luck = DailyLuck.of(self.traits.seed * 1_000_003 + seed, self.behaviour.customers)
        return made

    @property
    def customer_ids(self) -> list[str]:
        """The customers, in the order of all arrays."""
        return [f"c{i:06d}" for i in range(1, self.behaviour.customers + 1)]

    @property
    def log(self) -> pl.DataFrame:
        """The purchases so far (LINE_SCHEMA): an order has a line of its category and one of another.

        A product comes in sizes, so that the price of a unit varies around its list price.
        """
        day, who, category, size, shelf, coupon, returned, luck = (
            np.concatenate(parts, axis=-1) for parts in zip(*self.orders, strict=True)
        )
        goods, parts = self.traits.catalogue, []
        second = (category + 1 + (luck[0] * 3).astype(np.int64)) % len(goods.names)
        minute = 9 * 60 + np.floor(11 * 60 * luck[3]).astype(np.int64)
        for line, (share, kind, unit) in enumerate(((0.7, category, luck[1]), (0.3, second, luck[2]))):
            product = _pick(goods, kind, unit)
            parts.append(
                pl.DataFrame({
                    "day": day, "customer": who, "ts_ms": START_MS + day * DAY_MS + minute * 60_000, "line": line,
                    "product": product, "quantity": np.maximum(np.round(size * share / goods.price_P[product]), 1),
                    "list_cents": size * share, "shelf_cents": shelf * share, "coupon_cents": coupon * share,
                    "returned": returned,
                })
            )  # fmt: skip
        rows = pl.concat(parts).sort("ts_ms", "customer", "line")
        cents = {name: pl.col(name).round().cast(pl.Int64) for name in ("list_cents", "shelf_cents", "coupon_cents")}
        paid = cents["list_cents"] - cents["shelf_cents"] - cents["coupon_cents"]
        return rows.select(
            customer_id=pl.format("c{}", (pl.col("customer") + 1).cast(pl.String).str.zfill(6)),
            ts_ms="ts_ms", order_id=pl.format("o{}-{}", "day", "customer"),
            product_id=pl.format("p{}", pl.col("product") + 1), quantity="quantity", **cents,
            paid_cents=paid, returned_cents=(paid * pl.col("returned")).round().cast(pl.Int64),
        ).cast(LINE_SCHEMA)  # type: ignore[arg-type]  # fmt: skip

    def advance(self, days: int, offers: SentOffers | None = None, *, write: bool = True) -> None:
        """Live through some days under offers whose days count from today."""
        given = offers if offers is not None else SentOffers.nobody(self.behaviour.customers)
        used_N, saves_N = np.zeros(self.behaviour.customers, np.bool_), self._expected_saving(given)
        for since in range(days):
            self._day(given, saves_N, since, used_N, write)
            self.day += 1

    def gain(self, offers: SentOffers, span: int = 28, horizon: int = 84, draws: int = 20) -> Gain:
        """The expected gain over sending nothing from now on, by pairs of runs with the same luck.

        The state of customers is what it is; `draws` futures are drawn from here.
        """
        n = self.behaviour.customers
        sums = [np.zeros(n), np.zeros(n), np.zeros(n)]
        for draw in range(draws):
            runs = []
            for given in (offers, None):
                run = self.copy(seed=1_000 + draw)
                run.advance(span, given, write=False)
                early, cost = run.profit_N.copy(), run.discount_N - self.discount_N
                run.advance(horizon - span, write=False)
                runs.append((early, run.profit_N, cost))
            (early_a, late_a, cost), (early_b, late_b, _) = runs
            for total, each in zip(sums, (early_a - early_b, late_a - late_b, cost), strict=True):
                total += each / draws
        return Gain(*sums)

    def _expected_saving(self, offers: SentOffers) -> Floats:
        """The share of an order that each customer expects to save; who rarely reaches a threshold expects little."""
        usual_N, least_N = np.maximum(self.behaviour.usual_N, 1.0), offers.min_spend_N
        delivery_N = np.where(usual_N < self.behaviour.free_from_cents, self.behaviour.delivery_cents, 0.0)
        off_N = offers.amount_N + offers.free_delivery_N * delivery_N
        reached_N = scipy.special.ndtr(np.log(usual_N / np.maximum(least_N, 1e-9)) / BASKET_SPREAD - BASKET_SPREAD / 2)
        saves_N = (offers.depth_N + off_N / np.maximum(usual_N, least_N)) * reached_N
        return np.where(saves_N < NOTICED, 0.0, saves_N)

    def _day(self, offers: SentOffers, saves_N: Floats, since: int, used_N: Flags, write: bool) -> None:
        messaged_N = (offers.send_N == since) & ~self.unsubscribed_N
        self.message_day_N[messaged_N] = self.day
        reached_N = (self.message_day_N >= self.day - since) & (offers.send_N >= 0) & (offers.send_N <= since)
        open_N, shelf = reached_N & ~used_N & (since < offers.send_N + offers.valid_days), self._shelf()
        today = Today(
            self.day, self.luck, messaged_N, self.day - self.message_day_N, open_N, np.where(open_N, saves_N, 0),
            shelf, np.where(open_N, offers.min_spend_N, 0.0), np.where(open_N, offers.category_N, ANY_CATEGORY),
        )  # fmt: skip
        orders = self.behaviour.live(today)
        self.unsubscribed_N |= orders.unsubscribed_N
        who = np.flatnonzero(orders.order_N)  # few order on a day: money is counted for them alone, arrays of W
        size_W, category_W, asked_W = orders.size_N[who], orders.category_N[who], offers.category_N[who]
        depth_W, amount_W, free_W = offers.depth_N[who], offers.amount_N[who], offers.free_delivery_N[who]
        fits_W = open_N[who] & (size_W >= offers.min_spend_N[who])
        fits_W &= (asked_W == ANY_CATEGORY) | (asked_W == category_W)
        after_shelf_W = size_W * (1 - shelf)
        coupon_W = np.where(fits_W, np.minimum(depth_W * after_shelf_W + amount_W, after_shelf_W), 0.0)
        below_W, stays_W = size_W < self.behaviour.free_from_cents, 1 - orders.returned_N[who]
        waived_W = np.where(fits_W & free_W & below_W, self.behaviour.delivery_cents, 0.0)
        borne_W = np.where(below_W, 0.0, self.behaviour.delivery_cents) + waived_W
        paid_W, goods_W = (after_shelf_W - coupon_W) * stays_W, (1 - self.traits.margin) * size_W * stays_W
        self.profit_N[who] += paid_W - goods_W - borne_W
        self.discount_N[who] += coupon_W * stays_W + waived_W
        used_N[who] |= fits_W & ((depth_W > 0) | (amount_W > 0) | free_W)
        paid_share_N = np.ones(self.behaviour.customers)
        paid_share_N[who] = (after_shelf_W - coupon_W) / np.maximum(size_W, 1e-9)
        self.behaviour.answer(today, orders.order_N, paid_share_N)
        if write:
            luck = np.stack([self.luck.uniform(purpose, self.day)[who] for purpose in (901, 902, 903, 904)])
            day_W, shelf_W = np.full(who.size, self.day), size_W * shelf
            self.orders.append(WrittenOrders(day_W, who, category_W, size_W, shelf_W, coupon_W, 1 - stays_W, luck))

    def _shelf(self) -> float:
        today = (sale.depth for sale in self.traits.sales if 0 <= self.day - sale.first_day < sale.days)
        return max(today, default=0.0)

    @property
    def products(self) -> pl.DataFrame:
        """The catalogue: product_id, name, category, price_cents, cost_cents."""
        goods = self.traits.catalogue
        return pl.DataFrame({
            "product_id": [f"p{i}" for i in range(1, goods.price_P.size + 1)],
            "name": [f"{goods.names[g]} {i}" for i, g in enumerate(goods.category_P.tolist(), 1)],
            "category": [goods.names[g] for g in goods.category_P.tolist()],
            "price_cents": goods.price_P.astype(np.int64),
            "cost_cents": np.round(goods.price_P * (1 - self.traits.margin)).astype(np.int64),
        })  # fmt: skip


LINE_SCHEMA = {
    "customer_id": pl.String, "ts_ms": pl.Int64, "order_id": pl.String, "product_id": pl.String,
    "quantity": pl.Float64, "list_cents": pl.Int64, "shelf_cents": pl.Int64, "coupon_cents": pl.Int64,
    "paid_cents": pl.Int64, "returned_cents": pl.Int64,
}  # fmt: skip


def _pick(goods: ProductRange, category_K: Ints, unit_K: Floats) -> Ints:
    """A product of each category, by popularity."""
    found = np.zeros(category_K.size, np.int64)
    for g in np.unique(category_K):
        mine = np.flatnonzero(goods.category_P == g)
        edges = np.cumsum(goods.share_P[mine]) / goods.share_P[mine].sum()
        at = category_K == g
        found[at] = mine[np.minimum(np.searchsorted(edges, unit_K[at]), mine.size - 1)]
    return found


def draw_products(
    rng: np.random.Generator, names: tuple[str, ...], price_cents: float, per_category: int
) -> ProductRange:
    """Log-normal prices around a usual one, and popularity by rank (Zipf)."""
    count = len(names) * per_category
    price_P = np.round(price_cents * np.exp(0.5 * rng.standard_normal(count)) / 10) * 10
    share_P = 1.0 / (1 + np.tile(np.arange(per_category), len(names)))
    return ProductRange(names, np.repeat(np.arange(len(names)), per_category), np.maximum(price_P, 50.0), share_P)
