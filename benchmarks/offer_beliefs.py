"""What the simulated shop's own logs hold in; what every offer is expected to add and cost for a cohort out.

Legend: N customers, K offers (groups x depths), P products, G groups. The shop knows its prices, costs, shelf
discounts and receipts; it does not know the truth behind them.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from personal import PersonalResponse, fit_personal, response_scale
from promolift.errors import SupportError
from promolift.simulate import SimulatedShop
from promolift.simulate.world import World, cents_off
from promolift.sql import WEEK_MS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class TakeUp(NamedTuple):
    """Log odds that a coupon is taken up, a line in its depth."""

    intercept: float
    slope: float


class OfferWorth(NamedTuple):
    """Expected gain and cost of each offer, and the profit without any, in cents."""

    gain_NK: Floats
    cost_NK: Floats
    base_N: Floats


PRIOR_TAKE = TakeUp(-1.0, 4.0)  # guessed before the first coupon: 27 % take up one of depth 0, 45 % of 20 %
PRIOR_SD = (1.0, 3.0)


@dataclass(frozen=True)
class Cohort:
    """Customers who decide today: their numbers in the shop, the week of their window, its shelf."""

    number_N: Ints
    week: int


@dataclass(frozen=True)
class Believed:
    """All that the policy believes. `scale` multiplies everybody's response, `take` are logit intercept and slope."""

    rate_NG: Floats
    response_N: Floats
    share_P: Floats
    group_P: Ints
    price_P: Floats
    cost_P: Floats
    season_G: Floats
    scale: float = 1.0
    scale_se: float = 0.0
    take: TakeUp = PRIOR_TAKE

    def units(self, cohort: Cohort, depth_NP: Floats) -> Floats:
        """Expected units N x P in the cohort's week at these depths."""
        at = cohort.number_N - 1
        plain = self.rate_NG[at][:, self.group_P] * self.share_P * self.season_G[self.group_P]
        units: Floats = plain * np.exp(self.scale * self.response_N[at][:, None] * depth_NP)
        return units

    def take_prob(self, depth: Floats | float) -> Floats:
        """Probability that a coupon of this depth is taken up."""
        prob: Floats = scipy.special.expit(self.take.intercept + self.take.slope * np.asarray(depth))
        return prob

    def offers(self, cohort: Cohort, shelf_P: Floats, depths: tuple[float, ...]) -> OfferWorth:
        """What every offer of the cohort's week is worth; offers are groups x depths in this order."""
        base = self.units(cohort, np.broadcast_to(shelf_P, (len(cohort.number_N), shelf_P.size)))
        margin_P = self.price_P - cents_off(self.price_P, shelf_P) - self.cost_P
        pull_N = self.scale * self.response_N[cohort.number_N - 1]
        member_PG = (self.group_P[:, None] == np.arange(self.season_G.size)).astype(np.float64)
        plain_NG = (base * margin_P) @ member_PG
        gains, costs = [], []
        for depth in depths:
            lift_N = np.exp(pull_N * depth)[:, None]
            off_P = np.rint(self.price_P * depth)
            take = float(self.take_prob(depth))
            costs.append(take * lift_N * ((base * off_P) @ member_PG))
            gains.append(take * (lift_N - 1) * plain_NG - costs[-1])
        stack = [np.stack(part, axis=2).reshape(len(base), -1) for part in (gains, costs)]
        return OfferWorth(stack[0], stack[1], plain_NG.sum(axis=1))


@dataclass(frozen=True)
class Seen:
    """A cohort's week as the shop saw it: units, depths paid, coupon depth offered (0: none), taken up or not."""

    cohort: Cohort
    units_NP: Floats
    depth_NP: Floats
    offered_N: Floats
    took_N: NDArray[np.bool_]


def believe(shop: SimulatedShop) -> Believed:
    """Beliefs from the history alone, before the first decision."""
    world, weeks = shop.world, shop.settings.weeks
    response = history(shop)
    products, groups = world.products, [str(c) for c in range(shop.settings.categories)]
    ids = pl.DataFrame({"customer_id": world.customer_ids})
    people = ids.join(response.customers, on="customer_id", how="left", maintain_order="left")
    usual = float(np.exp(response.mean_log))
    rates = np.zeros((ids.height, len(groups)))
    rows = response.rates.join(ids.with_row_index("n"), on="customer_id")
    rates[rows["n"].to_numpy(), rows["group"].cast(pl.Int64).to_numpy()] = rows["rate"].to_numpy()
    last = response.season.filter(pl.col("week") >= weeks - 4).group_by("group").agg(pl.col("factor").mean())
    factor = pl.DataFrame({"group": groups}).join(last, on="group", how="left", maintain_order="left")["factor"]
    shares = products.select("product_id").join(response.shares, on="product_id", how="left", maintain_order="left")
    return Believed(
        rate_NG=rates,
        response_N=people["response"].fill_null(usual).to_numpy(),
        share_P=shares["share"].fill_null(0.0).to_numpy(),
        group_P=products["c"].to_numpy(),
        price_P=products["price_cents"].to_numpy().astype(np.float64),
        cost_P=products["cost_cents"].to_numpy().astype(np.float64),
        season_G=factor.fill_null(1.0).to_numpy(),
    )


def history(shop: SimulatedShop) -> PersonalResponse:
    """Everybody's own response from the weeks before the first decision, purchases with a coupon left out."""
    world, weeks = shop.world, np.arange(shop.settings.weeks)
    start = int(world.week_start_ms(np.array([0]))[0])
    lines = shop.events.filter((pl.col("kind") == "purchase") & (pl.col("coupon_cents") == 0)).select(
        "customer_id", "product_id", week=(pl.col("ts_ms") - start) // WEEK_MS, units="quantity"
    )
    products = world.products
    shelf = pl.DataFrame(
        {
            "product_id": np.repeat(products["product_id"].to_numpy(), weeks.size),
            "group": np.repeat(products["c"].cast(pl.String).to_numpy(), weeks.size),
            "week": np.tile(weeks, products.height),
            "depth": world.shelf_PT(weeks).ravel(),
        }
    )
    return fit_personal(lines.filter(pl.col("week") < shop.settings.weeks), shelf)


def relearn(believed: Believed, seen: list[Seen]) -> Believed:
    """Scale of the response, level of each group's demand, and take-up drawn to its prior, from the given weeks."""
    plain = replace(believed, scale=1.0, season_G=np.ones_like(believed.season_G))
    groups = believed.season_G.size
    mean: list[Floats] = []
    pull: list[Floats] = []
    units: list[Floats] = []
    block: list[Ints] = []
    for k, one in enumerate(seen):
        full = plain.units(one.cohort, np.zeros_like(one.depth_NP))
        mean.append(full.ravel())
        pull.append((believed.response_N[one.cohort.number_N - 1][:, None] * one.depth_NP).ravel())
        units.append(one.units_NP.ravel())
        block.append(np.broadcast_to(k * groups + believed.group_P, full.shape).ravel())
    mean_M, pull_M, units_M = np.concatenate(mean), np.concatenate(pull), np.concatenate(units)
    block_M = np.concatenate(block)
    try:
        scale, error = response_scale(mean_M, pull_M, units_M, block_M)
    except SupportError:
        scale, error = believed.scale, believed.scale_se
    wanted = np.bincount(block_M % groups, mean_M * np.exp(scale * pull_M), groups)
    sold = np.bincount(block_M % groups, units_M, groups)
    take = fit_take(np.concatenate([o.offered_N for o in seen]), np.concatenate([o.took_N for o in seen]))
    season = (sold + 20.0) / (wanted + 20.0)
    return replace(believed, scale=max(scale, 0.0), scale_se=error, season_G=season, take=take)


def fit_take(offered_M: Floats, took_M: NDArray[np.bool_]) -> TakeUp:
    """Logistic regression of take-up on depth among those offered a coupon, drawn to the prior."""
    given = offered_M > 0
    x = np.stack([np.ones(int(given.sum())), offered_M[given]], axis=1)
    y, prior, penalty = took_M[given].astype(np.float64), np.array(PRIOR_TAKE), 1 / np.array(PRIOR_SD) ** 2
    coef = prior.copy()
    for _ in range(30):
        prob = scipy.special.expit(x @ coef)
        step = np.linalg.solve(
            (x * (prob * (1 - prob))[:, None]).T @ x + np.diag(penalty),
            x.T @ (y - prob) - penalty * (coef - prior),
        )
        coef = coef + step
        if np.abs(step).max() < 1e-9:
            break
    return TakeUp(float(coef[0]), float(coef[1]))


def shelf_of(world: World, week: int) -> Floats:
    """The shelf discounts of one week, P: the shop planned them itself."""
    shelf: Floats = world.shelf_PT(np.array([week], dtype=np.int64))[:, 0]
    return shelf
