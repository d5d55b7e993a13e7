"""A world, a cohort of customers and the offers they got in; what they then truly bought in a week, out.

Legend: N customers of the cohort, P products. A coupon is good for the seven days after the decision.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.errors import InputError
from promolift.simulate.draws import Floats, keys, normal, poisson, uniform
from promolift.simulate.truth import means
from promolift.simulate.world import CLIP_SLOPE, GOODS, World, cents_off


@dataclass(frozen=True)
class Week:
    """What happened: units bought, the depth of the price each customer saw (shelf and coupon together), whether he
    took the coupon up, and his profit to the shop after discounts, in cents, and the discount the coupon gave.
    """

    units_NP: NDArray[np.int64]
    depth_NP: Floats
    took_N: NDArray[np.bool_]
    profit_N: Floats
    discount_N: Floats


def live_week(world: World, group_N: NDArray[np.int64], depth_N: Floats, week: int, replicate: int = 0) -> Week:
    """One week of the world's customers, each with a coupon of `depth_N` on all of group `group_N` (-1: no coupon).

    What a customer buys is a hash of his number, the product and the week, so that other offers to other customers
    change nothing for him.
    """
    products = world.products
    if group_N.shape != depth_N.shape or group_N.shape != world.number_N.shape:
        raise InputError(f"live_week: {group_N.shape} groups and {depth_N.shape} depths for {world.number_N.shape}")
    weeks = np.array([week], dtype=np.int64)
    chance = scipy.special.expit(world.clip_N + CLIP_SLOPE * depth_N)
    took = (group_N >= 0) & (uniform(world.key(f"take live {replicate}"), week) < chance)
    c = products["c"].to_numpy()
    coupon = np.where(took[:, None] & (c == group_N[:, None]), depth_N[:, None], 0.0)
    unit = uniform(world.key(f"live {replicate}")[:, None], (week << 20) + np.arange(c.size)[None, :])
    units = poisson(unit, means(world, weeks, coupon[:, :, None])[:, :, 0])
    shelf, price = world.shelf_PT(weeks)[:, 0], products["price_cents"].to_numpy()
    off = np.where(coupon > 0, np.rint(price * coupon), 0.0)
    margin = price - cents_off(price, shelf) - products["cost_cents"].to_numpy()
    return Week(units, shelf + coupon, took, (units * (margin - off)).sum(axis=1), (units * off).sum(axis=1))


def offers_of(world: World, depths: tuple[float, ...]) -> pl.DataFrame:
    """The menu: one offer for every category and depth, in this order; columns offer_id, category, c, depth."""
    return pl.DataFrame(
        [
            {"offer_id": f"off_{name.replace(' ', '-')}_{depth:.0%}", "category": name, "c": c, "depth": depth}
            for c, name in enumerate(goods[0] for goods in GOODS[: world.settings.categories])
            for depth in depths
        ]
    )


def true_effects(world: World, depths: tuple[float, ...], week: int) -> tuple[Floats, Floats]:
    """gain_NK and cost_NK of every offer of the menu (`offers_of`) in a week, exactly; a shop never knows them.

    Equal to `expected` over one week, for all offers at once. Customers must not stockpile.
    """
    if world.settings.stockpiling:
        raise InputError("true_effects: with stockpiling the week after counts, too; use `expected`")
    products, weeks = world.products, np.array([week], dtype=np.int64)
    c, price = products["c"].to_numpy(), products["price_cents"].to_numpy()
    plain = means(world, weeks, 0.0)[:, :, 0]
    margin = price - cents_off(price, world.shelf_PT(weeks)[:, 0]) - products["cost_cents"].to_numpy()
    member_PG = (c[:, None] == np.arange(world.settings.categories)).astype(np.float64)
    gains, costs = [], []
    for depth in depths:
        take_N1 = world.clip_prob_N(depth)[:, None]
        lift_N1 = np.exp(world.beta_N * depth)[:, None]
        costs.append(take_N1 * lift_N1 * (plain * cents_off(price, depth)) @ member_PG)
        gains.append(take_N1 * (lift_N1 - 1) * (plain * margin) @ member_PG - costs[-1])
    gain_NK, cost_NK = (np.stack(part, axis=2).reshape(len(plain), -1) for part in (gains, costs))
    return gain_NK, cost_NK


def click_rates(world: World, wordings: tuple[str, ...]) -> Floats:
    """How likely a message in each wording is clicked: a shop's customers like some better than others."""
    rate: Floats = 0.06 * np.exp(0.3 * normal(keys(world.settings.seed, "wording", wordings)))
    return np.minimum(rate, 0.5)


def clicks(world: World, rate_N: Floats, week: int, replicate: int = 0) -> NDArray[np.bool_]:
    """Who clicks: a hash of customer and week, so that a better wording never loses a click."""
    clicked: NDArray[np.bool_] = uniform(world.key(f"click {replicate}"), week) < rate_N
    return clicked
