"""Eight ways in which customers behave, each with its own mechanism, and the range that each shop draws from.

Ranges are wide where nothing was found. What was read (abstracts, or the pages named):
- Bell, Chiang, Padmanabhan 1999 (13 categories): 25 % of a promotion's elasticity is more or earlier buying, 75 % is
  taken from other sellers; Gupta 1988 (coffee): 84 % choice, 14 % earlier, 2 % stock. Used by `Pantry`.
- Anderson, Simester 2004 (a mail-order catalogue): deeper discounts raise later purchases of first-time customers and
  lower those of established ones. Used by `ReferencePrice` and `Lapsing`.
- Simester, Hu, Brynjolfsson, Anderson 2009: more advertising adds to later sales of most customers, and takes from
  those of the best. Used by `Lapsing` (messages to the active add little or harm).
- Elberg, Gardete, Macera, Noton 2019 (10 supermarkets): after deep instead of shallow discounts customers are 22 % more
  likely to buy promoted items at equal prices. Used by `ReferencePrice` (who has seen discounts waits for them).
- EHI survey of online shops in Germany, Austria and Switzerland: 26 to 50 % of fashion is returned. Used by `Wardrobe`.
- Experian's benchmark as Return Path quotes it: 0.12 % of a campaign's recipients unsubscribe. Used by `Fatigue`.

Legend: N customers, G categories.
"""

from dataclasses import dataclass, field

import numpy as np
import scipy

from promolift.extensions.simulation.worlds.daily_shop import (
    ANY_CATEGORY,
    DailyLuck,
    Flags,
    Floats,
    Ints,
    Orders,
    Today,
)

WARM_DAYS = 7  # days over which a message is remembered
BEST_OF = 4  # categories that a customer mostly buys from


@dataclass(eq=False)
class ShopCustomers:
    """What all behaviours draw: orders per day, the usual order and a favourite category."""

    customers: int
    orders_per_day: float  # of the median customer
    rate_spread: float  # s.d. of its logarithm
    order_cents: float  # of the median customer
    order_spread: float
    categories: int
    delivery_cents: float = 0.0
    free_from_cents: float = 0.0
    rate_N: Floats = field(init=False)
    usual_N: Floats = field(init=False)
    favourite_N: Ints = field(init=False)

    def start(self, luck: DailyLuck) -> None:
        """Draw what does not change."""
        self.rate_N = self.orders_per_day * np.exp(self.rate_spread * luck.normal(1))
        self.usual_N = self.order_cents * np.exp(self.order_spread * luck.normal(2))
        self.favourite_N = (luck.uniform(3) * self.categories).astype(np.int64)

    def answer(self, today: Today, order_N: Flags, paid_share_N: Floats) -> None:
        """Nothing is learned from prices."""

    def size_N(self, today: Today, spread: float = 0.35) -> Floats:
        """An order's value today."""
        found: Floats = self.usual_N * np.exp(spread * today.luck.normal(11, today.day) - spread**2 / 2)
        return found

    def bought_category_N(self, today: Today) -> Ints:
        """The favourite in three orders of five, else one of the next; the offer's own where one is open."""
        other = self.favourite_N + 1 + (today.luck.uniform(12, today.day) * (BEST_OF - 1)).astype(np.int64)
        usual = np.where(today.luck.uniform(13, today.day) < 0.6, self.favourite_N, other % self.categories)
        return np.where(today.open_N & (today.category_N != ANY_CATEGORY), today.category_N, usual)

    def orders(
        self, today: Today, order_N: Flags, size_N: Floats, *, category_N: Ints | None = None,
        returned_N: Floats | None = None, unsubscribed_N: Flags | None = None,
    ) -> Orders:  # fmt: skip
        """The day's orders; nothing comes back and nobody unsubscribes unless it is said."""
        n = self.customers
        return Orders(
            order_N, size_N, self.bought_category_N(today) if category_N is None else category_N,
            np.zeros(n) if returned_N is None else returned_N,
            np.zeros(n, np.bool_) if unsubscribed_N is None else unsubscribed_N,
        )  # fmt: skip


def warm(today: Today) -> Floats:
    """1 on the day of a message, falling to 0 over WARM_DAYS."""
    return np.clip(1 - today.message_age_N / WARM_DAYS, 0.0, 1.0)


@dataclass(eq=False)
class Lapsing(ShopCustomers):
    """ShopCustomers are active or absent. The active order at their rate and lapse; the absent come back by themselves
    rarely, and more often when they are reminded or offered something.

    Effects are factors of a daily chance: `exp(effect)` at full strength. From `flips_on` on their signs are turned.
    """

    lapse: float = 0.004  # chance per day
    comes_back: float = 0.0015  # chance per day of an absent customer
    message_active: float = 0.0
    message_absent: float = 0.0
    discount_active: float = 0.0  # per unit of depth
    discount_absent: float = 0.0
    message_repels: float = 0.0  # chance that a message makes an active customer lapse at once
    flips_on: int | None = None
    active_N: Flags = field(init=False)

    def start(self, luck: DailyLuck) -> None:
        """Half a year of lapsing has passed for some."""
        super().start(luck)
        self.active_N = luck.uniform(21) < 0.75

    def chance_N(self, today: Today, message_N: Floats, off_N: Floats) -> Floats:
        """The probability of an order today, given the strength of a message and the share off."""
        pull = message_N * np.where(self.active_N, self.message_active, self.message_absent)
        pull += off_N * np.where(self.active_N, self.discount_active, self.discount_absent)
        chance: Floats = np.where(self.active_N, self.rate_N, self.comes_back) * np.exp(pull)
        return chance

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        sign = -1.0 if self.flips_on is not None and today.day >= self.flips_on else 1.0
        chance = self.chance_N(today, sign * warm(today), sign * today.off_N + today.shelf)
        order_N = today.luck.uniform(22, today.day) < -np.expm1(-chance)
        lapse_N = today.luck.uniform(23, today.day) < self.lapse
        repels = self.message_repels if sign > 0 else -self.message_repels
        lapse_N |= today.messaged_N & (today.luck.uniform(24, today.day) < repels)
        self.active_N = (self.active_N & ~lapse_N) | order_N
        return self.orders(today, order_N, self.size_N(today))


@dataclass(eq=False)
class Fatigue(Lapsing):
    """Each message adds irritation, which halves in `half_life` days: it dulls the next, makes people unsubscribe, and
    the one in five who are easily annoyed leave with it."""

    half_life: float = 21.0
    dulls: float = 0.7  # what one unit of irritation takes off the effect, in the exponent of a share
    unsubscribes: float = 0.0012  # at no irritation; grows with its square
    annoyed_leave: float = 0.25  # chance that an annoyed customer lapses with a message at one unit of irritation
    irritation_N: Floats = field(init=False)
    annoyed_N: Flags = field(init=False)

    def start(self, luck: DailyLuck) -> None:
        """Nobody is irritated."""
        super().start(luck)
        self.irritation_N, self.annoyed_N = np.zeros(self.customers), luck.uniform(25) < 0.2

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        fresh_N = np.exp(-self.dulls * self.irritation_N)
        chance = self.chance_N(today, fresh_N * warm(today), today.off_N + today.shelf)
        order_N = today.luck.uniform(22, today.day) < -np.expm1(-chance)
        leave_N = self.annoyed_leave * np.minimum(1.0, 0.3 + self.irritation_N)
        leaves_N = today.messaged_N & self.annoyed_N & (today.luck.uniform(26, today.day) < leave_N)
        unsubscribes_N = self.unsubscribes * (1 + self.irritation_N) ** 2 * (1 + 9 * self.annoyed_N)
        gone_N = today.messaged_N & (today.luck.uniform(27, today.day) < unsubscribes_N)
        lapse_N = (today.luck.uniform(23, today.day) < self.lapse) | leaves_N
        self.active_N = (self.active_N & ~lapse_N) | order_N
        self.irritation_N = self.irritation_N * 0.5 ** (1 / self.half_life) + today.messaged_N
        return self.orders(today, order_N, self.size_N(today), unsubscribed_N=gone_N)


@dataclass(eq=False)
class Pantry(ShopCustomers):
    """Households use up what they have at home and shop, here or elsewhere, when a category runs low.

    A discount moves the trip from elsewhere and makes them take more home; what is at home keeps them away afterwards.
    """

    cycle_days: float = 14.0  # that a usual purchase of a category lasts
    here: float = 0.55  # share of the trips that go to this shop
    price_here: float = 5.0  # log odds of coming here per unit of depth
    stocks_up: float = 1.5  # packs more per unit of depth, of one
    eats_more: float = 0.15  # how much faster a full pantry is used
    message_here: float = 0.1  # log odds in the week after a message
    left_NG: Floats = field(init=False)  # days that a category lasts
    need_NG: Floats = field(init=False)  # days of a usual pack
    likes_N: Floats = field(init=False)  # log odds of coming here, beside the mean

    def start(self, luck: DailyLuck) -> None:
        """Everybody is somewhere in their cycle; a household buys some of the categories."""
        super().start(luck)
        need = [self.cycle_days * np.exp(0.5 * luck.normal(100 + g)) for g in range(self.categories)]
        self.need_NG = np.stack(need, axis=1)
        buys = np.stack([luck.uniform(200 + g) < 0.6 for g in range(self.categories)], axis=1)
        self.need_NG[~buys] = np.inf
        left = np.stack([luck.uniform(300 + g) for g in range(self.categories)], axis=1)
        self.left_NG = np.where(buys, left * np.where(buys, self.need_NG, 1.0), np.inf)
        self.likes_N = 0.8 * luck.normal(32)

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        g = self.categories
        own = today.category_N[:, None] == np.arange(g)
        off_NG = np.where(own | (today.category_N == ANY_CATEGORY)[:, None], today.off_N[:, None], 0.0) + today.shelf
        low_NG = self.left_NG < np.where(off_NG > 0, 0.35, 0.12) * np.where(np.isinf(self.need_NG), 0.0, self.need_NG)
        trip_N = (low_NG & (self.left_NG <= 2)).any(axis=1) & (today.luck.uniform(31, today.day) < 0.5)
        log_odds = scipy.special.logit(self.here) + self.price_here * off_NG.max(axis=1)
        log_odds += self.message_here * warm(today) + self.likes_N
        here_N = trip_N & (today.luck.uniform(33, today.day) < scipy.special.expit(log_odds))
        packs_NG = np.where(low_NG & trip_N[:, None], 1 + self.stocks_up * off_NG * here_N[:, None], 0.0)
        value_NG = packs_NG * (self.usual_N / 2.5)[:, None]
        size_N = np.where(here_N, value_NG.sum(axis=1), 0.0)
        self.left_NG = self.left_NG + packs_NG * np.where(packs_NG > 0, self.need_NG, 0.0)
        full_NG = self.left_NG / np.where(np.isinf(self.need_NG), 1.0, self.need_NG) > 1.2
        self.left_NG = np.maximum(self.left_NG - 1 - self.eats_more * full_NG, 0.0)
        order_N = here_N & (size_N > 0)
        return self.orders(today, order_N, size_N, category_N=np.argmax(value_NG, axis=1))


@dataclass(eq=False)
class Replenishment(ShopCustomers):
    """One product that lasts a personal number of days. Who is due buys here if they think of it in time, else
    elsewhere; a reminder counts on the days around the due day and on no other."""

    cycle_days: float = 35.0
    cycle_spread: float = 0.35
    thinks_of_it: float = 0.10  # chance per day once due
    goes_elsewhere: float = 0.08  # chance per day once due
    stays_elsewhere: float = 0.10  # chance that who went elsewhere does not come back by themselves
    reminder: float = 1.4  # log factor of thinking of it, while due or nearly so
    price_here: float = 2.0  # log factor per unit of depth, while due
    cycle_N: Floats = field(init=False)
    left_N: Floats = field(init=False)
    away_N: Flags = field(init=False)

    def start(self, luck: DailyLuck) -> None:
        """Everybody is somewhere in their cycle."""
        super().start(luck)
        self.cycle_N = self.cycle_days * np.exp(self.cycle_spread * luck.normal(41))
        self.left_N = luck.uniform(42) * self.cycle_N
        self.away_N = luck.uniform(43) < 0.15

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        near_N = self.left_N <= 3
        due_N = self.left_N <= 0
        pull = self.reminder * warm(today) + self.price_here * (today.off_N + today.shelf)
        chance = self.thinks_of_it * np.exp(pull) * np.where(due_N, 1.0, near_N * 0.3 * (pull > 0))
        chance *= np.where(self.away_N, 0.1, 1.0)
        order_N = today.luck.uniform(44, today.day) < -np.expm1(-chance)
        elsewhere_N = due_N & ~order_N & (today.luck.uniform(45, today.day) < self.goes_elsewhere)
        lost_N = elsewhere_N & (today.luck.uniform(46, today.day) < self.stays_elsewhere)
        self.away_N = (self.away_N | lost_N) & ~order_N
        again_N = self.cycle_N * np.exp(0.15 * today.luck.normal(47, today.day))
        self.left_N = np.where(order_N | elsewhere_N, again_N, self.left_N - 1)
        return self.orders(today, order_N, self.size_N(today, 0.15), category_N=self.favourite_N)


@dataclass(eq=False)
class Wardrobe(ShopCustomers):
    """Visits become orders when price and delivery suit; baskets are filled up to a threshold, and much goes back."""

    visit_factor: float = 12.0  # visits per order
    returns: float = 0.38  # usual share that goes back
    price: float = 3.5  # log odds of ordering per unit of depth
    pads: float = 0.6  # probability of filling a basket that is short of a threshold by less than a third
    padding_returns: float = 0.2  # added to what goes back of a filled basket
    discount_returns: float = 0.4  # added per unit of depth
    message: float = 0.25  # log factor of visits in the week after

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        season = 1 + 0.5 * np.sin(2 * np.pi * (today.day - 60) / 182.5) ** 2
        visits = self.rate_N * self.visit_factor * season * np.exp(self.message * warm(today))
        visit_N = today.luck.uniform(51, today.day) < -np.expm1(-visits)
        off = today.off_N + today.shelf
        size_N = self.size_N(today, 0.6)
        short_N = size_N < self.free_from_cents
        log_odds = scipy.special.logit(1 / self.visit_factor) + self.price * off - 0.5 * short_N
        order_N = visit_N & (today.luck.uniform(52, today.day) < scipy.special.expit(log_odds))
        goal_N = np.where(today.min_spend_N > 0, today.min_spend_N, self.free_from_cents)
        fill_N = (size_N < goal_N) & (size_N > goal_N * 2 / 3) & (today.luck.uniform(53, today.day) < self.pads)
        size_N = np.where(fill_N, goal_N * 1.03, size_N)
        returned = self.returns + self.padding_returns * fill_N + self.discount_returns * off
        returned += 0.25 * (today.luck.uniform(54, today.day) - 0.5)
        return self.orders(today, order_N, size_N, returned_N=np.clip(returned, 0.0, 0.95))


@dataclass(eq=False)
class ReferencePrice(ShopCustomers):
    """ShopCustomers compare a price with what they are used to pay, and get used to discounts: the next full price is a
    loss, which weighs more than a gain."""

    gain_weight: float = 4.0  # log factor of ordering per unit below the reference
    loss_weight: float = 8.0
    habituates: float = 0.35  # weight of a new price in the reference
    forgets: float = 0.004  # share of the way back to the full price per day
    message: float = 0.15
    reference_N: Floats = field(init=False)

    def start(self, luck: DailyLuck) -> None:
        """Full prices are usual."""
        super().start(luck)
        self.reference_N = np.ones(self.customers)

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        price_N = (1 - today.off_N) * (1 - today.shelf)
        below = self.reference_N - price_N
        pull = np.where(below > 0, self.gain_weight, self.loss_weight) * below + self.message * warm(today)
        order_N = today.luck.uniform(61, today.day) < -np.expm1(-self.rate_N * np.exp(pull))
        self.reference_N += self.forgets * (1 - self.reference_N)
        return self.orders(today, order_N, self.size_N(today))

    def answer(self, today: Today, order_N: Flags, paid_share_N: Floats) -> None:
        """What was paid becomes usual."""
        new_N = (1 - self.habituates) * self.reference_N + self.habituates * paid_share_N
        self.reference_N = np.where(order_N, new_N, self.reference_N)


@dataclass(eq=False)
class Occasions(ShopCustomers):
    """Two dates a year for which a customer buys, here or elsewhere; a reminder in the weeks before decides where."""

    window_days: int = 21
    here: float = 0.35  # chance that an occasion is bought for here
    reminder: float = 1.1  # log odds, when it comes within the window
    price: float = 2.0  # log odds per unit of depth
    first_N: Ints = field(init=False)
    done_N: Ints = field(init=False)  # the last day on which an occasion was settled
    reminded_N: Flags = field(init=False)
    likes_N: Floats = field(init=False)  # log odds of buying here, beside the mean

    def start(self, luck: DailyLuck) -> None:
        """Most share a date (a feast), others have their own."""
        super().start(luck)
        shared, self.likes_N = luck.uniform(71) < 0.5, luck.normal(74)
        self.first_N = np.where(shared, 140, (luck.uniform(72) * 180).astype(np.int64))
        self.done_N, self.reminded_N = np.full(self.customers, -10_000), np.zeros(self.customers, np.bool_)

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        to_go = (self.first_N - today.day) % 182
        open_N = (to_go < self.window_days) & (today.day - self.done_N > self.window_days)
        self.reminded_N = np.where(to_go < self.window_days, self.reminded_N | today.messaged_N, False)
        decides_N = open_N & (today.luck.uniform(73, today.day) < 1.0 / np.maximum(to_go, 1))
        log_odds = scipy.special.logit(self.here) + self.reminder * self.reminded_N
        log_odds += self.price * (today.off_N + today.shelf) + self.likes_N
        here_N = decides_N & (today.luck.uniform(75, today.day) < scipy.special.expit(log_odds))
        self.done_N = np.where(decides_N, today.day, self.done_N)
        other_N = today.luck.uniform(76, today.day) < self.rate_N
        size_N = self.size_N(today) * np.where(here_N, 1.6, 0.7)
        return self.orders(today, here_N | other_N, size_N)


@dataclass(eq=False)
class Accounts(ShopCustomers):
    """Few accounts order most: the largest by contract, whatever is offered; small ones answer to an amount off."""

    contract_share: float = 0.05  # of accounts, the largest
    small_price: float = 4.0  # log factor of a small account's orders per unit of what it saves
    small_message: float = 0.3
    contract_N: Flags = field(init=False)

    def start(self, luck: DailyLuck) -> None:
        """Order sizes follow a Pareto law with exponent 1.3."""
        super().start(luck)
        self.usual_N = self.order_cents * np.minimum(luck.uniform(81) ** (-1 / 1.3), 200.0)
        self.contract_N = self.usual_N >= np.quantile(self.usual_N, 1 - self.contract_share)

    def live(self, today: Today) -> Orders:
        """See Behaviour."""
        weekday = np.isin((today.day + (self.favourite_N * 3)) % 7, (0, 1, 2, 3, 4))
        pull = self.small_price * (today.off_N + today.shelf) + self.small_message * warm(today)
        chance = np.where(self.contract_N, 1 / 7, self.rate_N * np.exp(pull)) * weekday
        order_N = today.luck.uniform(82, today.day) < -np.expm1(-chance)
        return self.orders(today, order_N, self.size_N(today, 0.2))
