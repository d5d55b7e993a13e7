"""A simulated market: a shop that runs week by week, its logs, and the exact expected profit of any offers.

The market shares no code with promolift's models. Customers come or stay away, then choose a category and a basket by a
nested logit (McFadden 1978). Purchases fill a pantry, and a full pantry keeps customers away; customers lapse and
return. An offer works only if the customer becomes aware of it. Customers who have used discounts buy less at full
price, and a tenth of customers are put off by messages.

A customer's hidden state is one of S = 16: active or lapsed, pantry 0 to 3, spoilt by discounts or not. Expected profit
is therefore exact: the distribution over states is carried forward and nothing is sampled.

Legend: N customers, S states, K contents of the pantry, J alternatives (category x basket size), C categories. Weeks
are whole numbers, 0 the first of the log. Every draw is a hash of the seed, the customer and the week, so policies are
compared under the same random draws.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.extensions.simulation.worlds.world import hash_keys, normal, uniform
from promolift.foundation.time.clock import DAY_MS, MINUTE_MS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WEEK_MS = 7 * DAY_MS
START_MS = 1_704_067_200_000  # Monday 2024-01-01, 00:00 UTC
NO_OFFER, ALL_CATEGORIES = -2, -1  # in `MarketOffers.category_N`
BASKET_SIZES = np.array([0.55, 1.0, 1.9])  # baskets: a few things, the usual, a stock-up
PANTRY_LEVELS = 4  # 0 to 3 weeks of supply
VALID_WEEKS, HORIZON_WEEKS = 4, 12
STATES = np.arange(16)
ACTIVE, STOCK, SPOILT = STATES // 8, STATES // 2 % PANTRY_LEVELS, STATES % 2
SPOILT_PERSISTENCE = 0.94  # weekly; who was spoilt stays so
CHUNK_CUSTOMERS = 2000  # customers worked out together: bounds the memory


class MarketShop(NamedTuple):
    """One shop's hidden parameters; see `draw_shop`."""

    seed: int
    customers: int
    margin: float
    categories: int
    visit: float  # logit of coming in a week, usual customer, empty pantry
    visit_spread: float
    lapsed: float  # what lapsing takes off that logit
    churn: float  # probability of lapsing in a week without a visit
    stay: float  # chance that a returned customer is active again
    price: float  # utility of a whole basket for nothing
    price_spread: float
    nest: float  # dissimilarity within a visit, (0, 1]
    pantry: float  # what a week of supply takes off
    eat: float  # chance that a week of supply is used up in a week
    habit: float  # chance that a use spoils; what that takes off full-price visits is `sulk`
    sulk: float
    notice: float  # probability of becoming aware of an offer
    remind: float  # what having been written to adds by itself in its first week
    wrong: float  # share of customers whom letters put off
    strings: float  # how much of an amount that asks for a large basket is felt
    basket: float  # the usual basket in cents
    shelf: float  # share of category-weeks at a reduced price


def draw_shop(seed: int, customers: int = 3000, margin: float = 0.3) -> MarketShop:
    """A shop of its own: every parameter is drawn around the usual one by its number."""
    spread = normal(hash_keys(seed, "market", range(20)))

    def around(k: int, middle: float, by: float) -> float:
        return float(middle * np.exp(by * np.clip(spread[k], -2, 2)))

    return MarketShop(
        seed=seed, customers=customers, margin=margin, categories=4 + int(uniform(hash_keys(seed, "c", [0]))[0] * 4),
        visit=-0.5 + 0.25 * float(spread[1]), visit_spread=around(2, 0.8, 0.15), lapsed=around(3, 3.0, 0.1),
        churn=around(4, 0.025, 0.3), stay=min(0.9, around(5, 0.78, 0.15)), price=around(6, 2.75, 0.15),
        price_spread=0.5, nest=min(0.9, around(7, 0.5, 0.2)), pantry=around(8, 0.34, 0.2),
        eat=min(0.95, around(9, 0.5, 0.15)), habit=min(0.6, around(10, 0.1, 0.3)), sulk=around(11, 0.1, 0.3),
        notice=min(0.9, around(12, 0.55, 0.2)), remind=around(13, 0.36, 0.3), wrong=0.1, strings=0.55,
        basket=around(14, 3500.0, 0.3), shelf=min(0.5, around(15, 0.15, 0.3)),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class MarketOffers:
    """What each customer is given for four weeks: a share off a category or off everything, or an amount off a basket.

    `category_N` is NOTHING where there is no offer. An amount is taken off every basket worth `least_N` cents or more.
    """

    category_N: Ints
    depth_N: Floats
    amount_N: Floats
    least_N: Floats

    @classmethod
    def none(cls, customers: int) -> Self:
        """Nobody gets anything."""
        zero = np.zeros(customers)
        return cls(np.full(customers, NO_OFFER), zero, zero, zero)

    def select(self, at: Ints) -> "MarketOffers":
        """The offers of some customers."""
        return MarketOffers(self.category_N[at], self.depth_N[at], self.amount_N[at], self.least_N[at])

    def where(self, mask_N: NDArray[np.bool_]) -> "MarketOffers":
        """The same with nothing for everybody else."""
        return MarketOffers(np.where(mask_N, self.category_N, NO_OFFER), *(
            np.where(mask_N, each, 0.0) for each in (self.depth_N, self.amount_N, self.least_N)
        ))  # fmt: skip


class ProfitGain(NamedTuple):
    """Expected profit that offers add per customer, in cents: in their four weeks and with eight weeks after; and their
    cost, which is taken off both already."""

    window_N: Floats
    horizon_N: Floats
    cost_N: Floats


class _Prices(NamedTuple):
    """What a basket of each alternative brings: cents paid back by the offer, and profit before it."""

    off_NJ: Floats
    profit_NJ: Floats


@dataclass(eq=False)
class SimulatedMarket:
    """A shop at the start of week `week`; `advance` lives through further weeks."""

    shop: MarketShop
    week: int = 0
    state_N: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    lines: list[pl.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw everybody's first state where none is given."""
        if not len(self.state_N):
            first = uniform(self.key("first"))
            self.state_N = np.where(first < 0.25, 0, 8) + 2 * np.floor(3 * uniform(self.key("larder"))).astype(np.int64)

    def copy(self) -> "SimulatedMarket":
        """The same shop, to live on by itself."""
        other = SimulatedMarket(self.shop, self.week, self.state_N.copy(), list(self.lines))
        fixed = {
            name: value for name, value in self.__dict__.items() if name not in ("shop", "week", "state_N", "lines")
        }
        other.__dict__.update(fixed)  # what was drawn already
        return other

    @cached_property
    def number_N(self) -> Ints:
        """Numbers of the customers, from 1."""
        return np.arange(1, self.shop.customers + 1)

    @cached_property
    def keys(self) -> dict[str, NDArray[np.uint64]]:
        """Keys of the draws of a week."""
        names = ("comes", "what", "stays", "eats", "sulks", "lapses", "aware", "day", "minute", "also")
        return {name: self.key(name) for name in names}

    def key(self, purpose: str) -> NDArray[np.uint64]:
        """One key per customer."""
        return hash_keys(self.shop.seed, f"market {purpose}", self.number_N.tolist())

    @cached_property
    def customer_ids(self) -> list[str]:
        """`C000001` and so on."""
        return [f"C{number:06d}" for number in self.number_N.tolist()]

    @cached_property
    def visit_N(self) -> Floats:
        """Logit of a visit with an empty pantry."""
        return self.shop.visit + self.shop.visit_spread * normal(self.key("visit"))

    @cached_property
    def price_N(self) -> Floats:
        """Utility of a price of nothing."""
        return self.shop.price * np.exp(
            self.shop.price_spread * normal(self.key("price")) - self.shop.price_spread**2 / 2
        )

    @cached_property
    def remind_N(self) -> Floats:
        """What a letter adds by itself; it keeps those away whom letters put off."""
        return np.where(self.wrong_N, -2.0, 1.0) * self.shop.remind

    @cached_property
    def wrong_N(self) -> NDArray[np.bool_]:
        """Those whom letters put off."""
        return uniform(self.key("wrong")) < self.shop.wrong

    @cached_property
    def notice_N(self) -> Floats:
        """Probability of becoming aware of an offer."""
        return np.asarray(scipy.special.expit(scipy.special.logit(self.shop.notice) + 0.7 * normal(self.key("notice"))))

    @cached_property
    def basket_N(self) -> Floats:
        """Cents of a usual basket."""
        return np.rint(self.shop.basket * np.exp(0.4 * normal(self.key("basket"))))

    @cached_property
    def taste_NC(self) -> Floats:
        """Utility of coming for each category."""
        return np.asarray(0.9 * normal(self.key("taste")[:, None], np.arange(self.shop.categories)))

    @cached_property
    def spend_NC(self) -> Floats:
        """Share of each category in what is bought beside the main one."""
        return np.asarray(scipy.special.softmax(self.taste_NC, axis=1))

    def shelf_C(self, week: int) -> Floats:
        """Depth of what is reduced for everybody in a week."""
        key = hash_keys(self.shop.seed, "market shelf", range(self.shop.categories))
        depth = np.where(uniform(key, 2 * week + 1) < 0.5, 0.1, 0.2)
        return np.where(uniform(key, 2 * week) < self.shop.shelf, depth, 0.0)

    def advance(self, weeks: int, offers: MarketOffers | None = None) -> None:
        """Live through `weeks` weeks; `offers` hold in the first four, for those who become aware of them."""
        given = offers or MarketOffers.none(self.shop.customers)
        aware = given.where(uniform(self.keys["aware"], self.week) < self.notice_N)
        for since in range(weeks):
            on = aware if since < VALID_WEEKS else MarketOffers.none(self.shop.customers)
            self._live(on, since)

    def _live(self, offers: MarketOffers, since: int) -> None:
        """One week: who comes, what they choose, what it leaves behind."""
        every = np.arange(self.shop.customers)
        visit_NS, choice_NKJ, prices = self._probabilities(every, offers, self.week, since)
        comes = uniform(self.keys["comes"], self.week) < visit_NS[every, self.state_N]
        draw, choice_NJ = uniform(self.keys["what"], self.week), choice_NKJ[every, STOCK[self.state_N]]
        pick = np.minimum((choice_NJ.cumsum(axis=1) < draw[:, None]).sum(axis=1), choice_NJ.shape[1] - 1)
        off = prices.off_NJ[np.arange(len(pick)), pick]
        who = np.flatnonzero(comes)
        if who.size:
            self.lines.append(self._lines(who, pick[who], off[who]))
        shop, (active, stock, spoilt) = self.shop, (part[self.state_N] for part in (ACTIVE, STOCK, SPOILT))
        u = [uniform(self.keys[name], self.week) for name in ("stays", "eats", "sulks", "lapses")]
        active = np.where(comes, np.where(active == 1, 1, u[0] < shop.stay), active * (u[3] >= shop.churn))
        bought = 1 + (pick % 3 == 2)
        stock = np.minimum(stock + comes * bought, PANTRY_LEVELS - 1)
        stock = stock - ((u[1] < shop.eat) & (stock > 0))
        used = comes & (off > 0)
        spoilt = np.where(used & (u[2] < shop.habit), 1, spoilt * (used | (u[2] < SPOILT_PERSISTENCE)))
        self.state_N = (8 * active + 2 * stock + spoilt).astype(np.int64)
        self.week += 1

    def _probabilities(self, at: Ints, offers: MarketOffers, week: int, since: int) -> "_Choices":
        """Of customers `at`: probability of a visit N x S, of alternatives in it N x K x J, and what they bring."""
        shop, shelf = self.shop, self.shelf_C(week)
        c, z = np.repeat(np.arange(shop.categories), 3), np.tile(np.arange(3), shop.categories)
        price, basket = self.price_N[at][:, None], self.basket_N[at][:, None]
        cents = basket * BASKET_SIZES[z]
        main, spend = 0.5, self.spend_NC[at]
        percent = np.where(
            (offers.category_N == ALL_CATEGORIES)[:, None], offers.depth_N[:, None],
            np.where(offers.category_N[:, None] == c, main * offers.depth_N[:, None], 0.0)
            + np.where(offers.category_N[:, None] >= 0, (1 - main) * offers.depth_N[:, None]
                       * np.take_along_axis(spend, np.maximum(offers.category_N, 0)[:, None], 1), 0.0),
        )  # fmt: skip
        reached = (offers.amount_N[:, None] > 0) & (cents >= offers.least_N[:, None])
        back = np.where(reached, offers.amount_N[:, None], 0.0)
        off, felt = percent * cents + back, percent * cents + shop.strings * back
        has = (offers.category_N != NO_OFFER)[:, None]
        pull = np.where(self.wrong_N[at][:, None], 0.2, 1.0) * price * felt / basket
        plain = self.taste_NC[at][:, c] + np.array([0.0, 0.6, -0.4])[z]
        known = scipy.special.logsumexp((plain + pull) / shop.nest, axis=1)
        usual = scipy.special.logsumexp(plain / shop.nest, axis=1)
        urged = has[:, 0] * self.remind_N[at] * 0.6**since
        logit = (
            (self.visit_N[at] + shop.nest * (known - usual) + urged)[:, None]
            - shop.pantry * STOCK - shop.lapsed * (1 - ACTIVE) - shop.sulk * SPOILT * ~has
        )  # fmt: skip
        visit_NS = scipy.special.expit(logit)
        there = plain + pull + price * shelf[c] * main  # what is reduced is seen by those who have come
        full = 0.5 * shop.pantry * np.arange(PANTRY_LEVELS)[:, None] * (z == 2)
        choice = scipy.special.softmax(there[:, None, :] / shop.nest - full, axis=2)
        taken = cents * main * shelf[c]
        return _Choices(visit_NS, choice, _Prices(off, cents * shop.margin - taken))

    def gain(self, offers: MarketOffers) -> ProfitGain:
        """What these offers truly add over none, expected over all luck to come, without any offer afterwards."""
        found = ProfitGain(*(np.zeros(self.shop.customers) for _ in ProfitGain._fields))
        given = np.flatnonzero(offers.category_N != NO_OFFER)
        for start in range(0, len(given), CHUNK_CUSTOMERS):
            at = given[start : start + CHUNK_CUSTOMERS]
            ahead, none = self._ahead(at, offers.select(at)), self._ahead(at, MarketOffers.none(len(at)))
            for whole, a, b in zip(found, ahead, none, strict=True):
                whole[at] = self.notice_N[at] * (a - b)
        return found

    def _ahead(self, at: Ints, offers: MarketOffers) -> ProfitGain:
        """Profit and cost of the weeks to come for those aware, by carrying the distribution over states forward."""
        n, p_NS = len(at), np.zeros((len(at), len(STATES)))
        p_NS[np.arange(n), self.state_N[at]] = 1.0
        window, horizon, cost = np.zeros(n), np.zeros(n), np.zeros(n)
        for since in range(HORIZON_WEEKS):
            on = offers if since < VALID_WEEKS else MarketOffers.none(n)
            visit_NS, choice_NKJ, prices = self._probabilities(at, on, self.week + since, since)
            come_NK = (p_NS * visit_NS).reshape(n, 2, PANTRY_LEVELS, 2).sum(axis=(1, 3))
            weight_NJ = np.einsum("nk,nkj->nj", come_NK, choice_NKJ)
            paid = (weight_NJ * prices.off_NJ).sum(axis=1)
            profit = (weight_NJ * prices.profit_NJ).sum(axis=1) - paid
            horizon += profit
            if since < VALID_WEEKS:
                window += profit
                cost += paid
            used_NKJ = choice_NKJ * (prices.off_NJ > 0)[:, None, :]
            large, both = choice_NKJ[:, :, 2::3].sum(axis=2), used_NKJ[:, :, 2::3].sum(axis=2)
            p_NS = _moved(self.shop, p_NS, visit_NS, _Sizes(large, both, used_NKJ.sum(axis=2) - both))
        return ProfitGain(window, horizon, cost)

    def _lines(self, who: Ints, pick: Ints, off: Floats) -> pl.DataFrame:
        """Receipt lines of this week's visits: half of a basket is the category they came for, the rest two others."""
        shop, c, z = self.shop, pick // 3, pick % 3
        shelf = self.shelf_C(self.week)
        cents = self.basket_N[who] * BASKET_SIZES[z]
        moment = START_MS + self.week * WEEK_MS
        day = np.floor(7 * uniform(self.keys["day"][who], self.week)).astype(np.int64)
        minute = np.floor(540 + 660 * uniform(self.keys["minute"][who], self.week)).astype(np.int64)
        whim = normal(self.keys["also"][who][:, None], self.week * 100 + np.arange(shop.categories))
        others = np.argsort(-(self.taste_NC[who] + whim), axis=1)
        one = np.where(others[:, 0] == c, others[:, 2], others[:, 0])
        two = np.where(others[:, 1] == c, others[:, 2], others[:, 1])
        parts = []
        for line, (kind, share) in enumerate(((c, 0.5), (one, 0.3), (two, 0.2))):
            part = np.rint(share * cents).astype(np.int64)
            cut = np.rint(part * shelf[c]).astype(np.int64) if line == 0 else np.zeros_like(part)
            parts.append(pl.DataFrame({
                "who": who, "c": kind, "line": line, "list_cents": part, "shelf_cents": cut,
                "coupon_cents": np.rint(share * off).astype(np.int64), "size": z,
                "ts_ms": moment + day * DAY_MS + minute * MINUTE_MS,
            }))  # fmt: skip
        return pl.concat(parts).with_columns(week=pl.lit(self.week))

    @property
    def events(self) -> pl.DataFrame:
        """The log so far: customer_id, ts_ms, order_id, product_id, quantity, list, shelf and coupon cents, paid."""
        rows = pl.concat(self.lines)
        who = pl.Series("customer_id", self.customer_ids)
        return rows.select(
            who.gather(rows["who"] ), "ts_ms",
            order_id=pl.format("o{}-{}", "week", "who"),
            product_id=pl.format("P{}{}", "c", "size"),
            quantity=pl.lit(1),
            list_cents="list_cents", shelf_cents="shelf_cents", coupon_cents="coupon_cents",
            paid_cents=pl.col("list_cents") - pl.col("shelf_cents") - pl.col("coupon_cents"),
        ).sort("ts_ms", "customer_id", "product_id")  # fmt: skip

    @property
    def products(self) -> pl.DataFrame:
        """product_id, name, category; three sizes of each category."""
        rows = [(f"P{c}{z}", f"aisle {c} {size}", f"aisle {c}") for c in range(self.shop.categories)
                for z, size in enumerate(("small", "usual", "large"))]  # fmt: skip
        return pl.DataFrame(rows, schema=["product_id", "name", "category"], orient="row")


class _Choices(NamedTuple):
    """Probability of a visit, of each alternative in it by what the pantry holds, and what alternatives bring."""

    visit_NS: Floats
    choice_NKJ: Floats
    prices: _Prices


class _Sizes(NamedTuple):
    """Of those who come, N x K: share of large baskets, of those with the offer used, of others with it used."""

    large: Floats
    large_used: Floats
    other_used: Floats


def _moved(shop: MarketShop, p_NS: Floats, visit_NS: Floats, sizes: _Sizes) -> Floats:
    """The distribution over states a week later."""
    out = np.zeros((len(p_NS), 2, PANTRY_LEVELS, 2))
    for s in STATES:
        a, k, h = ACTIVE[s], STOCK[s], SPOILT[s]
        come, away = p_NS[:, s] * visit_NS[:, s], p_NS[:, s] * (1 - visit_NS[:, s])
        large, large_used, other_used = (each[:, k] for each in sizes)
        spoils, keeps = shop.habit + (1 - shop.habit) * h, SPOILT_PERSISTENCE * h
        back = 1.0 if a else shop.stay
        branches = (
            (come * large, come * (large_used * spoils + (large - large_used) * keeps),
             min(k + 2, PANTRY_LEVELS - 1), back),
            (come * (1 - large), come * (other_used * spoils + (1 - large - other_used) * keeps),
             min(k + 1, PANTRY_LEVELS - 1), back),
            (away, away * keeps, k, a * (1 - shop.churn)),
        )  # fmt: skip
        for mass, bad, stock, live in branches:
            eaten = shop.eat if stock else 0.0
            for left, chance in ((stock, 1 - eaten), (stock - 1, eaten)):
                if chance:
                    for active, share in ((1, live), (0, 1 - live)):
                        out[:, active, left, 1] += bad * chance * share
                        out[:, active, left, 0] += (mass - bad) * chance * share
    return out.reshape(len(p_NS), len(STATES))
