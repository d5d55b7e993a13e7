"""Policies that decide for simulated shops from their logs: peers of the product's own policy in `earn.py`.

A policy sees a `SeenShop` every window and returns `SentOffers`. It is made anew for every shop by `make(seed)`, remembers
what it sent, and reads in the next log what came of it. Two policies are yardsticks and get the shop itself (`Insider`):
`knowable` knows the true mean gain of every group that a log can tell apart, `oracle` that of every customer.

All choose among the same arms beside nothing: a message, 10 %, 15 %, and an amount off from 1.3 times the customer's
usual basket. All but `business as usual` spend at most `budget_cents` a window in expectation; the learners correct their
expected costs by what offers were seen to cost.

Legend: N customers, K arms (0 is nothing), F features. Money is in cents, days are whole numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import lightgbm
import numpy as np
import polars as pl

from promolift.extensions.simulation.worlds.daily_shop import (
    ANY_CATEGORY,
    DAY_MS,
    START_MS,
    DailyLuck,
    DailyShop,
    Flags,
    Floats,
    Ints,
    SentOffers,
)

ARMS = ("nothing", "message", "10 %", "15 %", "amount off")
NOTHING, MESSAGE, TEN, FIFTEEN, AMOUNT = range(len(ARMS))
THRESHOLD = 1.3  # of an amount off, in usual baskets
AMOUNT_SHARE = 0.1  # of the threshold
ABSENT, LONG_ABSENT = 2.0, 4.0  # days since the last order, in own rhythms
NEVER_BOUGHT = 4  # the audience of customers without an order
COHORTS = 3  # past windows from which the chance of an order is read
HELD_OUT = 0.1
SIGNIFICANT = 1.96


class SeenShop(NamedTuple):
    """What a shop knows at the start of a window: nothing of the truth."""

    day: int
    log: pl.DataFrame
    products: pl.DataFrame
    customer_ids: list[str]
    may_write_N: Flags  # not unsubscribed
    margin: float
    budget_cents: float
    window_days: int


class Policy(Protocol):
    """It remembers what it sent and learns from the next log."""

    name: str

    def plan(self, seen: SeenShop) -> SentOffers: ...


class Orders(NamedTuple):
    """Orders of the log as arrays of O, in any order."""

    who_O: Ints
    day_O: Ints
    list_O: Floats
    margin_O: Floats  # after discounts and returns
    coupon_O: Floats


def read_orders(seen: SeenShop) -> Orders:
    """Sum the log's lines to orders."""
    who = pl.DataFrame({"customer_id": seen.customer_ids}).with_row_index("who")
    kept = 1 - pl.col("returned_cents") / pl.max_horizontal("paid_cents", 1)
    rows = (
        seen.log.lazy()
        .with_columns(
            margin=pl.col("paid_cents") * kept - (1 - seen.margin) * pl.col("list_cents") * kept,
            day=(pl.col("ts_ms") - START_MS) // DAY_MS,
        )
        .group_by("customer_id", "order_id")
        .agg(pl.col("day").first(), pl.col("list_cents", "margin", "coupon_cents").sum())
        .join(who.lazy(), on="customer_id")
        .sort("day", "who", "order_id")
        .collect()
    )
    return Orders(
        rows["who"].to_numpy().astype(np.int64), rows["day"].to_numpy(), rows["list_cents"].to_numpy().astype(float),
        rows["margin"].to_numpy(), rows["coupon_cents"].to_numpy().astype(float),
    )  # fmt: skip


class Customers(NamedTuple):
    """What a log tells of each customer on a day. Customers without an order have the shop's usual values."""

    orders_N: Ints
    recency_N: Floats  # days since the last order
    tenure_N: Floats  # days since the first
    rhythm_N: Floats  # usual days between orders
    basket_N: Floats  # usual order at list prices
    spend_N: Floats  # per day since the first order
    audience_N: Ints  # by recency in rhythms: below 1, below ABSENT, below LONG_ABSENT, beyond, NEVER_BOUGHT
    tercile_N: Ints  # of spend

    @property
    def group_N(self) -> Ints:
        """Audience x tercile, below 15."""
        return self.audience_N * 3 + self.tercile_N

    @property
    def features_NF(self) -> Floats:
        """Recency, recency in rhythms, frequency, basket, value and tenure; heavy tails as logarithms."""
        return np.stack(
            [np.log1p(self.recency_N), np.log1p(self.recency_N / self.rhythm_N), np.log1p(self.orders_N),
             np.log1p(self.basket_N), np.log1p(self.spend_N), self.tenure_N / 100], axis=1
        )  # fmt: skip


def describe(orders: Orders, day: int, customers: int) -> Customers:
    """Describe customers by their orders before `day`.

    A rhythm is the mean gap with one gap of the shop's median customer added, so that one or two orders say little.
    """
    past = orders.day_O < day
    who, when, size = orders.who_O[past], orders.day_O[past], orders.list_O[past]
    count = np.bincount(who, minlength=customers)
    first, last = np.full(customers, day), np.full(customers, -1)
    np.minimum.at(first, who, when)
    np.maximum.at(last, who, when)
    known, twice = count > 0, count > 1
    gap = float(np.median((last - first)[twice] / (count[twice] - 1))) if twice.any() else 30.0
    total = np.bincount(who, size, customers)
    usual = float(np.median(total[known] / count[known])) if known.any() else 1.0
    basket = np.where(known, (total + usual) / (count + 1), usual)
    rhythm = np.where(known, np.maximum((last - first + gap) / np.maximum(count, 1), 1.0), gap)
    recency = np.where(known, day - last, day).astype(float)
    tenure = np.where(known, day - first, 0).astype(float)
    spend = total / np.maximum(tenure, 28.0)
    audience = np.where(known, np.digitize(recency / rhythm, (1.0, ABSENT, LONG_ABSENT)), NEVER_BOUGHT)
    tercile = np.digitize(spend, np.quantile(spend[known], (1 / 3, 2 / 3))) if known.any() else np.zeros(customers, int)
    return Customers(count, recency, tenure, rhythm, basket, spend, audience, np.where(known, tercile, 0))


class View(NamedTuple):
    """The shop as all policies here read it."""

    seen: SeenShop
    orders: Orders
    now: Customers
    cost_NK: Floats  # expected discount, before any correction


def view_of(seen: SeenShop) -> View:
    """Read orders, customers and what each arm should cost.

    An offer is used once, by whoever orders in the window. The chance of an order is that of the customer's group in the
    last COHORTS windows.
    """
    orders, n = read_orders(seen), len(seen.customer_ids)
    ordered, people = np.zeros(15), np.zeros(15)
    for back in range(1, COHORTS + 1):
        start = seen.day - back * seen.window_days
        group = describe(orders, start, n).group_N
        inside = (orders.day_O >= start) & (orders.day_O < start + seen.window_days)
        came = np.bincount(orders.who_O[inside], minlength=n) > 0
        ordered += np.bincount(group, came, 15)
        people += np.bincount(group, minlength=15)
    now = describe(orders, seen.day, n)
    comes = ((ordered + 0.5) / (people + 5))[now.group_N]
    large = float((orders.list_O >= THRESHOLD * now.basket_N[orders.who_O]).mean()) if orders.who_O.size else 0.2
    cost = np.zeros((n, len(ARMS)))
    cost[:, TEN], cost[:, FIFTEEN] = 0.1 * now.basket_N * comes, 0.15 * now.basket_N * comes
    cost[:, AMOUNT] = AMOUNT_SHARE * THRESHOLD * now.basket_N * comes * large
    return View(seen, orders, now, cost)


def offers_of(arm_N: Ints, basket_N: Floats, send_day_N: Ints | int = 0) -> SentOffers:
    """Arms by their place in ARMS as the shop takes them."""
    goal = np.where(arm_N == AMOUNT, THRESHOLD * basket_N, 0.0)
    depth = np.select([arm_N == TEN, arm_N == FIFTEEN], [0.1, 0.15], 0.0)
    n = arm_N.size
    return SentOffers(
        np.where(arm_N > NOTHING, send_day_N, -1), depth, AMOUNT_SHARE * goal, goal, np.zeros(n, np.bool_),
        np.full(n, ANY_CATEGORY),
    )  # fmt: skip


def within_budget(arm_N: Ints, cost_NK: Floats, budget: float, order_N: Floats) -> Ints:
    """Keep the arms of the first customers by `order_N` (smallest first) whose expected costs fit the budget.

    Arms that cost nothing are kept.
    """
    cost = cost_NK[np.arange(arm_N.size), arm_N]
    first = np.lexsort((order_N, cost <= 0))
    kept = np.zeros(arm_N.size, np.bool_)
    kept[first] = cost[first].cumsum() <= budget
    return np.where(kept | (cost <= 0), arm_N, NOTHING)


def knapsack(
    gain_NK: Floats, cost_NK: Floats, budget: float, rng: np.random.Generator, billed_NK: Floats | None = None
) -> Ints:
    """Choose an arm per customer for the largest gain whose cost fits the budget, by a price on cost (bisection).

    Customers who are tied at the price (a group with one gain and one cost) take the dearer arm in random order until
    the budget is spent. Column NOTHING must be 0. With `billed_NK` the budget is held by these costs instead: those of
    futures that did not choose.
    """
    billed_NK = cost_NK if billed_NK is None else billed_NK

    def choose(price: float) -> Ints:
        found: Ints = np.argmax(gain_NK - price * cost_NK, axis=1)
        return found

    rows = np.arange(len(gain_NK))

    def paid(arm_N: Ints) -> float:
        return float(billed_NK[rows, arm_N].sum())

    best = choose(0.0)
    if paid(best) <= budget:
        return best
    low, high = 0.0, 1.0
    while paid(choose(high)) > budget and high < 1e9:
        low, high = high, high * 4
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if paid(choose(middle)) <= budget else (middle, high)
    fits, more = choose(high), choose(low)
    mine = rng.permutation(np.flatnonzero(fits != more))
    extra = (billed_NK[mine, more[mine]] - billed_NK[mine, fits[mine]]).cumsum()
    take = mine[extra <= budget - paid(fits)]
    fits[take] = more[take]
    return fits


class Past(NamedTuple):
    """A window that is over: what was known, who was drawn to what, and what came of it."""

    now: Customers
    arm_N: Ints
    drawn_N: Flags  # the arm, nothing included, was assigned and not left over
    expected_NK: Floats  # costs as they were expected before any correction
    reward_N: Floats  # margin after discounts in the window
    paid_N: Floats  # discount


@dataclass
class Learner:
    """A policy that reads in each log what its last window brought."""

    seed: int
    past: list[Past] = field(default_factory=list)
    waiting: tuple[View, Ints, Flags] | None = None
    name = "learner"

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, *self.name.encode()])

    def plan(self, seen: SeenShop) -> SentOffers:
        view = view_of(seen)
        if self.waiting is not None:
            before, arm, drawn = self.waiting
            n, orders = arm.size, view.orders
            inside = orders.day_O >= before.seen.day
            reward = np.bincount(orders.who_O[inside], orders.margin_O[inside], n)
            paid = np.bincount(orders.who_O[inside], orders.coupon_O[inside], n)
            self.past.append(Past(before.now, arm, drawn, before.cost_NK, reward, paid))
        arm, drawn = self.decide(view)
        arm = np.where(seen.may_write_N, arm, NOTHING)
        self.waiting = view, arm, drawn & seen.may_write_N
        return offers_of(arm, view.now.basket_N)

    def decide(self, view: View) -> tuple[Ints, Flags]:
        """Arms, and for whom they were drawn."""
        raise NotImplementedError

    def costs(self, view: View) -> Floats:
        """Expected costs, corrected per arm by what offers were seen to cost (as if one budget had met expectations)."""
        cost = view.cost_NK.copy()
        for k in range(TEN, len(ARMS)):
            expected = sum(float(p.expected_NK[p.arm_N == k, k].sum()) for p in self.past)
            paid = sum(float(p.paid_N[p.arm_N == k].sum()) for p in self.past)
            doubt = 0.2 * view.seen.budget_cents
            cost[:, k] *= (paid + doubt) / (expected + doubt)
        return cost

    def first_window(self, view: View) -> tuple[Ints, Flags]:
        """A fifth each to nothing and to every arm, among as many as the budget pays."""
        arm = self.rng.integers(0, len(ARMS), len(view.cost_NK))
        share = min(1.0, view.seen.budget_cents / max(float(view.cost_NK.mean(axis=1).sum()), 1e-9))
        drawn = self.rng.random(arm.size) < share
        return np.where(drawn, arm, NOTHING), drawn


class Nothing:
    name = "nothing"

    def __init__(self, seed: int) -> None:
        del seed

    def plan(self, seen: SeenShop) -> SentOffers:
        return SentOffers.nobody(len(seen.customer_ids))


class MessageToAll:
    name = "message to all"

    def __init__(self, seed: int) -> None:
        del seed

    def plan(self, seen: SeenShop) -> SentOffers:
        return SentOffers.same_for(seen.may_write_N)


class BusinessAsUsual:
    """What the shop did in its first year: sales for everybody, announced, of the usual depth, in each window for as many
    days as the year had in as long a time, whatever the budget. A shop whose log has no sale sends nothing."""

    name = "business as usual"

    def __init__(self, seed: int) -> None:
        del seed
        self.usual: tuple[float, int] | None = None  # depth and days of a window

    def plan(self, seen: SeenShop) -> SentOffers:
        if self.usual is None:
            off = pl.col("shelf_cents") / pl.col("list_cents")
            lines = seen.log.select(day=(pl.col("ts_ms") - START_MS) // DAY_MS, off=off).filter(pl.col("off") > 0)
            sales = lines.group_by("day").agg(pl.col("off").median())["off"]
            self.usual = float(sales.mean() or 0.0), round(len(sales) * seen.window_days / seen.day)  # type: ignore[arg-type]
        depth, days = self.usual
        to_N = seen.may_write_N & (days > 0)
        return SentOffers.same_for(to_N, depth=depth, valid_days=days)


@dataclass
class WinBackByHand(Learner):
    """10 % for those absent twice their rhythm, 15 % beyond four times, the latest to leave first; once in 56 days."""

    name = "win-back by hand"
    last_sent_N: Ints | None = None

    def decide(self, view: View) -> tuple[Ints, Flags]:
        ratio = view.now.recency_N / view.now.rhythm_N
        sent = np.full(ratio.size, -10_000) if self.last_sent_N is None else self.last_sent_N
        due = (view.now.orders_N > 0) & (view.seen.day - sent >= 56) & view.seen.may_write_N
        arm = np.select([due & (ratio > LONG_ABSENT), due & (ratio > ABSENT)], [FIFTEEN, TEN], NOTHING)
        arm = within_budget(arm, self.costs(view), view.seen.budget_cents, ratio)
        self.last_sent_N = np.where(arm > NOTHING, view.seen.day, sent)
        return arm, np.zeros(arm.size, np.bool_)


@dataclass
class FixedArm(Learner):
    """Best fixed arm by A/B: if one is significantly better than nothing it goes to all but a tenth, within budget.

    Later windows count too: an arm that no longer pays is dropped, and then nothing is sent.
    """

    name = "best fixed arm by A/B"

    def decide(self, view: View) -> tuple[Ints, Flags]:
        if not self.past:
            return self.first_window(view)
        found = [_pooled_lift(self.past, k) for k in range(1, len(ARMS))]
        good = [mean if mean > SIGNIFICANT * se else -np.inf for mean, se in found]
        n = len(view.cost_NK)
        if max(good) <= 0:
            return np.zeros(n, np.int64), np.zeros(n, np.bool_)
        best, draw, cost = int(np.argmax(good)) + 1, self.rng.random(n), self.costs(view)
        share = min(1.0, view.seen.budget_cents / max(float(cost[:, best].sum()) * (1 - HELD_OUT), 1e-9))
        drawn = self.rng.random(n) < share
        return np.where(drawn & (draw >= HELD_OUT), best, NOTHING), drawn


def _pooled_lift(past: list[Past], arm: int) -> tuple[float, float]:
    """Difference of means from nothing among the drawn, windows weighed by precision, and its standard error."""
    mean, weight = 0.0, 0.0
    for each in past:
        a, b = (each.reward_N[each.drawn_N & (each.arm_N == k)] for k in (arm, NOTHING))
        if min(a.size, b.size) < 20:
            continue
        precision = 1 / max(float(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size), 1e-9)
        mean, weight = mean + precision * float(a.mean() - b.mean()), weight + precision
    return (mean / weight, weight**-0.5) if weight else (0.0, 1.0)


@dataclass
class XLearner(Learner):
    """X-learner (Kuenzel et al. 2019) with LightGBM on all past windows, then the knapsack."""

    name = "X-learner and knapsack"

    def decide(self, view: View) -> tuple[Ints, Flags]:
        if not self.past:
            return self.first_window(view)
        x = np.concatenate([p.now.features_NF for p in self.past])
        arm, y = (np.concatenate([getattr(p, name) for p in self.past]) for name in ("arm_N", "reward_N"))
        none, now = arm == NOTHING, view.now.features_NF
        gain = np.zeros(view.cost_NK.shape)
        plain = _trees(x[none], y[none])
        for k in range(1, len(ARMS)):
            mine = arm == k
            if mine.sum() < 30:
                gain[:, k] = -1.0
                continue
            treated = _trees(x[mine], y[mine])
            one = _trees(x[mine], y[mine] - plain.predict(x[mine]))
            two = _trees(x[none], treated.predict(x[none]) - y[none])
            share = mine.sum() / (mine.sum() + none.sum())
            gain[:, k] = share * two.predict(now) + (1 - share) * one.predict(now)
        cost = self.costs(view)
        gain[~view.seen.may_write_N, 1:] = -1.0
        return knapsack(gain, cost, view.seen.budget_cents, self.rng), np.zeros(len(gain), np.bool_)


def _trees(x: Floats, y: Floats) -> lightgbm.Booster:
    """Small trees on few rows."""
    settings = {"objective": "l2", "num_leaves": 7, "min_data_in_leaf": 20, "learning_rate": 0.08, "num_threads": 1,
                "verbose": -1, "deterministic": True, "force_row_wise": True, "seed": 1}  # fmt: skip
    return lightgbm.train(settings, lightgbm.Dataset(x, y), num_boost_round=60)


@dataclass
class LinTS(Learner):
    """Linear Thompson sampling (Agrawal, Goyal 2013): a ridge regression per arm, a draw per customer, all customers.

    Rewards are in standard deviations, so that the posterior's scale is 1. The budget is kept by the knapsack on drawn gains.
    """

    name = "LinTS"

    def decide(self, view: View) -> tuple[Ints, Flags]:
        n, now = len(view.cost_NK), view.now.features_NF
        x = np.concatenate([p.now.features_NF for p in self.past] or [now])
        middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9

        def design(some_NF: Floats) -> Floats:
            return np.hstack([np.ones((len(some_NF), 1)), (some_NF - middle) / spread])

        known, size = design(x), now.shape[1] + 1
        arm = np.concatenate([p.arm_N for p in self.past] or [np.full(n, -1)])
        y = np.concatenate([p.reward_N for p in self.past] or [np.zeros(n)])
        unit = float(y.std()) or 1.0
        value = np.zeros((n, len(ARMS)))
        for k in range(len(ARMS)):
            mine = arm == k
            precision = np.eye(size) + known[mine].T @ known[mine]
            mean = np.linalg.solve(precision, known[mine].T @ (y[mine] / unit))
            lower = np.linalg.cholesky(np.linalg.inv(precision))
            drawn = mean + self.rng.standard_normal((n, size)) @ lower.T
            value[:, k] = unit * (design(now) * drawn).sum(axis=1)
        gain = value - value[:, :1]
        gain[~view.seen.may_write_N, 1:] = -np.inf
        if not self.past:  # no reward has a unit yet: the arms as drawn, as many as the budget pays
            drawn, order = np.argmax(gain, axis=1), self.rng.random(n)
            return within_budget(drawn, self.costs(view), view.seen.budget_cents, order), np.zeros(n, np.bool_)
        return knapsack(gain, self.costs(view), view.seen.budget_cents, self.rng), np.zeros(n, np.bool_)


class Truth(NamedTuple):
    """True expected gain with what follows and cost, by half of the futures (2, N, K)."""

    gain_2NK: Floats
    cost_2NK: Floats


@dataclass(frozen=True)
class KeptLuck(DailyLuck):
    """The same numbers, each drawn once for all arms of a future."""

    kept: dict[tuple[int, int], Floats] = field(default_factory=dict)

    def uniform(self, purpose: int, day: int = 0) -> Floats:
        if (purpose, day) not in self.kept:
            self.kept[purpose, day] = super().uniform(purpose, day)
        return self.kept[purpose, day]


def true_gains(shop: DailyShop, basket_N: Floats, futures: int, span: int = 28, horizon: int = 84) -> Truth:
    """`shop.gain` of every arm given to everybody; the run without offers serves all arms of a future."""
    n = basket_N.size
    gain, cost = np.zeros((2, n, len(ARMS))), np.zeros((2, n, len(ARMS)))
    for draw in range(futures):
        none = 0.0
        luck = KeptLuck(shop.copy(seed=1_000 + draw).luck.key_N)
        for k in range(len(ARMS)):
            run = shop.copy()
            run.luck = luck
            run.advance(span, offers_of(np.full(n, k), basket_N), write=False)
            cost[draw % 2, :, k] += (run.discount_N - shop.discount_N) / (futures // 2)
            run.advance(horizon - span, write=False)
            if k == NOTHING:
                none = run.profit_N
            gain[draw % 2, :, k] += (run.profit_N - none) / (futures // 2)
    return Truth(gain, cost)


@dataclass
class Insider(Learner):
    """A yardstick that gets the shop itself before every window."""

    futures: int = 12  # an even number
    shop: DailyShop | None = None
    name = "insider"

    def decide(self, view: View) -> tuple[Ints, Flags]:
        assert self.shop is not None
        truth = true_gains(self.shop, view.now.basket_N, self.futures, view.seen.window_days)
        gain, cost, billed = self.believed(view, truth)
        gain[~view.seen.may_write_N, 1:] = -1.0
        return knapsack(gain, cost, view.seen.budget_cents, self.rng, billed), np.zeros(len(gain), np.bool_)

    def believed(self, view: View, truth: Truth) -> tuple[Floats, Floats, Floats]:
        """Gain and cost as it may know them, and the costs that hold the budget."""
        raise NotImplementedError


def group_means(group_N: Ints, value_NK: Floats) -> Floats:
    """Each customer's group mean."""
    size = np.maximum(np.bincount(group_N, minlength=15), 1)
    sums = np.stack([np.bincount(group_N, value_NK[:, k], 15) for k in range(value_NK.shape[1])], axis=1)
    return (sums / size[:, None])[group_N]


@dataclass
class Knowable(Insider):
    """The true means of the groups that a log tells apart, nothing of single customers."""

    name = "knowable"

    def believed(self, view: View, truth: Truth) -> tuple[Floats, Floats, Floats]:
        gain, cost = (group_means(view.now.group_N, each.mean(axis=0)) for each in (truth.gain_2NK, truth.cost_2NK))
        return gain, cost, cost


@dataclass
class Oracle(Insider):
    """The true expectation of every customer, as well as half of the futures tell it; the other half bills the costs."""

    name = "oracle"
    futures: int = 24

    def believed(self, view: View, truth: Truth) -> tuple[Floats, Floats, Floats]:
        gain, cost = (shrunk_means(view, each) for each in (truth.gain_2NK, truth.cost_2NK))
        return gain, np.maximum(cost, 0.0), truth.cost_2NK[1]


def shrunk_means(view: View, value_2NK: Floats) -> Floats:
    """Each customer's mean over the first half of the futures, shrunk towards the group's.

    The mean of a few futures is noise for the most part, and the largest of several means more so. The share of a
    customer's own value is the variance that the halves have in common over all variance, per usual basket.
    """
    group_N, basket_N1 = view.now.group_N, view.now.basket_N[:, None]
    one, two = (half / basket_N1 for half in value_2NK)
    mean = group_means(group_N, one)
    common = np.clip(group_means(group_N, (one - mean) * (two - group_means(group_N, two))), 0.0, None)
    noise = group_means(group_N, (one - two) ** 2) / 2
    return (mean + common / np.maximum(common + noise, 1e-12) * (one - mean)) * basket_N1


POLICIES: dict[str, Callable[[int], Policy]] = {
    made.name: made
    for made in (Nothing, BusinessAsUsual, MessageToAll, FixedArm, WinBackByHand, XLearner, LinTS, Knowable, Oracle)
}  # fmt: skip
