"""One interface to two simulated shops: live through a month under offers, and report their true effect.

`GoodsWorld` uses `worlds.world`; `MarketWorld` uses `worlds.market`, which shares no code with promolift's models. A
month is four weeks. `given` has the columns OFFER_COLUMNS and a row per customer with an offer.
"""

from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from promolift.extensions.simulation.worlds.market import (
    ALL_CATEGORIES,
    NO_OFFER,
    START_MS,
    WEEK_MS,
    MarketOffers,
    SimulatedMarket,
    draw_shop,
)
from promolift.extensions.simulation.worlds.simulated_shop import simulate, simulate_weeks
from promolift.extensions.simulation.worlds.true_effects import expected_effects
from promolift.extensions.simulation.worlds.world import CATEGORIES, SimulationSettings, World, uniform

OFFER_COLUMNS = ("customer_id", "target", "depth", "amount_cents", "min_spend_cents")
MONTH_WEEKS = 4  # weeks
HISTORY_WEEKS = 52  # weeks of history before the first month


class TrueEffect(NamedTuple):
    """What offers truly add over none: in their four weeks, with what follows them, and their cost, in minor units."""

    window: float
    horizon: float
    cost: float


class SimulatedWorld(Protocol):
    """A shop at the start of a month: its log (purchases: customer_id, ts_ms, order_id, product_id, quantity, list,
    shelf, coupon and paid cents), its catalogue (product_id, name, category), and its customers, who answer."""

    margin: float
    amounts: bool  # whether amounts off a basket can be given, too

    @property
    def now_ms(self) -> int:
        """The moment that the log has reached."""

    @property
    def customer_ids(self) -> list[str]:
        """Everybody, those included who have not bought yet."""

    @property
    def events(self) -> pl.DataFrame:
        """The log so far."""

    @property
    def products(self) -> pl.DataFrame:
        """The catalogue."""

    def advance_month(self, given: pl.DataFrame) -> TrueEffect:
        """Live through a month under these offers."""

    def drift(self) -> None:
        """From now on prices move customers half as much, and letters by themselves keep them away."""


class MarketWorld:
    """The second world. Amounts and shares off a category or off everything."""

    amounts = True

    def __init__(self, seed: int, customers: int, margin: float = 0.3) -> None:
        """A shop drawn by its number, a year old."""
        self.market, self.margin = SimulatedMarket(draw_shop(seed, customers, margin)), margin
        self.market.advance(HISTORY_WEEKS)

    @classmethod
    def of(cls, market: SimulatedMarket) -> "MarketWorld":
        """A shop that lives already."""
        made = cls.__new__(cls)
        made.market, made.margin = market, market.shop.margin
        return made

    @property
    def now_ms(self) -> int:
        """The moment that the log has reached."""
        return START_MS + self.market.week * WEEK_MS

    @property
    def customer_ids(self) -> list[str]:
        """Everybody."""
        return self.market.customer_ids

    @property
    def events(self) -> pl.DataFrame:
        """The log so far."""
        return self.market.events

    @property
    def products(self) -> pl.DataFrame:
        """The catalogue."""
        return self.market.products

    def advance_month(self, given: pl.DataFrame) -> TrueEffect:
        """Live through a month under these offers."""
        offers = self.offers(given)
        found = self.market.gain(offers)
        self.market.advance(MONTH_WEEKS, offers)
        return TrueEffect(*(float(each.sum()) for each in found))

    def drift(self) -> None:
        """Other parameters, the same customers in the same state."""
        old = self.market
        shop = old.shop._replace(price=old.shop.price / 2, remind=-old.shop.remind)
        self.market = SimulatedMarket(shop, old.week, old.state_N, old.lines)

    def offers(self, given: pl.DataFrame) -> MarketOffers:
        """As the market takes them."""
        people = pl.DataFrame({"customer_id": self.customer_ids, "known": True})
        rows = people.join(given, on="customer_id", how="left", maintain_order="left")
        aisle = pl.col("target").str.split(" ").list.last().cast(pl.Int64)
        nothing = pl.col("depth").is_null() & pl.col("amount_cents").is_null()
        everything = pl.col("target").is_null()
        category = pl.when(nothing).then(NO_OFFER).when(everything).then(ALL_CATEGORIES).otherwise(aisle)
        names = ("depth", "amount_cents", "min_spend_cents")
        return MarketOffers(
            rows.select(category).to_series().to_numpy(),
            *(rows[name].fill_null(0).cast(pl.Float64).to_numpy() for name in names),
        )


class GoodsWorld:
    """The first world. Shares off a category or off everything; nothing of an offer is left after its month."""

    amounts = False

    def __init__(self, seed: int, customers: int) -> None:
        """A shop drawn by its number, a year old."""
        shop = simulate(SimulationSettings(seed=seed, customers=customers, weeks=HISTORY_WEEKS, categories=8))
        self.world, self.week, self.seed = shop.world, HISTORY_WEEKS, seed
        self.log = [shop.events]
        self.products = shop.products.select("product_id", "name", "category")
        prices = self.world.products
        self.margin = float(1 - (prices["cost_cents"] / prices["price_cents"]).mean())  # type: ignore[operator]

    @property
    def now_ms(self) -> int:
        """The moment that the log has reached."""
        return int(self.world.week_start_ms(np.array([self.week]))[0])

    @property
    def customer_ids(self) -> list[str]:
        """Everybody."""
        return self.world.customer_ids

    @property
    def events(self) -> pl.DataFrame:
        """The log so far."""
        rows = pl.concat(self.log).filter(pl.col("kind") == "purchase").rename({"revenue_cents": "paid_cents"})
        return rows.sort("ts_ms", "customer_id", "product_id")

    def advance_month(self, given: pl.DataFrame) -> TrueEffect:
        """Live through a month under these offers."""
        worth = self._worth(given)
        world, goods = self.world, self.world.products["c"].to_numpy()
        names = {CATEGORIES[c][0]: c for c in range(world.settings.categories)}
        rows = pl.DataFrame({"customer_id": self.customer_ids}).join(
            given.select("customer_id", "target", "depth"), on="customer_id", how="left", maintain_order="left"
        )
        category = rows["target"].replace_strict(names, default=-1, return_dtype=pl.Int64).to_numpy()
        depth = rows["depth"].fill_null(0.0).to_numpy()
        took = uniform(world.key(f"take month {self.week}")) < world.clip_prob_N(depth)
        covered = (category[:, None] == goods) | (category[:, None] < 0)
        coupon = np.where(took[:, None] & covered, depth[:, None], 0.0)
        self.log.append(simulate_weeks(world, self.week, np.repeat(coupon[:, :, None], MONTH_WEEKS, axis=2)))
        self.week += MONTH_WEEKS
        return worth

    def drift(self) -> None:
        """The same shop with half the elasticity; letters do nothing by themselves here, before or after."""
        settings = self.world.settings
        self.world = World(settings.model_copy(update={"elasticity": settings.elasticity / 2}), self.world.number_N)

    def _worth(self, given: pl.DataFrame) -> TrueEffect:
        """An offer on everything is one on every category, taken up or not as a whole."""
        every = pl.DataFrame({"category": [goods[0] for goods in CATEGORIES[: self.world.settings.categories]]})
        named = given.filter(pl.col("target").is_not_null())
        one = named.select("customer_id", pl.col("target").alias("category"), "depth")
        whole = given.filter(pl.col("target").is_null()).select("customer_id", "depth").join(every, how="cross")
        rows = pl.concat([one, whole.select(one.columns)])
        found = expected_effects(self.world, rows, self.week, MONTH_WEEKS)
        if found.is_empty():
            return TrueEffect(0.0, 0.0, 0.0)
        gain, cost = float(found["gain_cents"].sum()), float(found["cost_cents"].sum())
        return TrueEffect(gain, gain, cost)
