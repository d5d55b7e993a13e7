"""Compute the true expected profit of offers in a simulated world, in closed form.

Legend: N customers, P products, T weeks. Units of product p in week t are Poisson with mean
rate_n,c(p) * share_p * season_c,t * exp(beta_n * (depth_t - stockpiling * depth_t-1)), depth being shelf plus coupon.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from promolift.extensions.simulation.worlds.world import CATEGORIES, SHELF_DEPTHS, Floats, Ints, World, discount_cents
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

OFFER_SCHEMA = {"customer_id": pl.String, "category": pl.String, "depth": pl.Float64}


def expected_units(world: World, weeks: Ints, coupon_NPT: Floats | float, before_NP: Floats | float = 0.0) -> Floats:
    """Expected units N x P x T, given each customer's coupon depth; `before_NP` is the coupon of the week before."""
    products = world.products
    c = products["c"].to_numpy()
    shelf = world.shelf_PT(np.r_[weeks[0] - 1, weeks])
    rate_NP = world.rate_NC[:, c] * products["share"].to_numpy()
    shape = (world.number_N.size, c.size, weeks.size)
    coupon = np.broadcast_to(coupon_NPT, shape)
    before = np.broadcast_to(np.asarray(before_NP, dtype=np.float64), shape[:2])[:, :, None]
    lag = shelf[:, :-1] + np.concatenate([before, coupon[:, :, :-1]], axis=2)
    pull = shelf[:, 1:] + coupon - world.settings.stockpiling * lag
    units: Floats = rate_NP[:, :, None] * world.season_CT(weeks)[c] * np.exp(world.beta_N[:, None, None] * pull)
    return units


def expected_effects(world: World, offers: pl.DataFrame, start_week: int, weeks: int) -> pl.DataFrame:
    """The exact expectation of each offer (customer_id, category, depth) that runs `weeks` from `start_week`.

    Adds redeem_prob (used at least once), gain_cents (incremental profit, discount paid, the week after included when
    customers stockpile) and cost_cents (discount given). Exact because means are known: with q the probability of
    taking the coupon up, gain = q * (sum of mean units * unit profit with it - the same without). InputError names an
    unknown customer or category, or a depth that with the shelf's deepest would leave no price.
    """
    return _by_offer(world, offers, lambda part, c, depth: _expect(part, c, depth, start_week, weeks))


def _by_offer(world: World, offers: pl.DataFrame, value: Callable[[World, int, float], dict[str, Any]]) -> pl.DataFrame:
    """Rows of `offers` with `value`'s columns: customers of one (category, depth) are worked out together."""
    names = {CATEGORIES[c][0]: c for c in range(world.settings.categories)}
    number = dict(zip(world.customer_ids, world.number_N.tolist(), strict=True))
    rows = offers.select(pl.col(name).cast(kind) for name, kind in OFFER_SCHEMA.items()).with_row_index("at")
    _check(rows, names, number)
    parts = []
    for (category, depth), mine in rows.group_by("category", "depth", maintain_order=True):
        part = World(world.settings, np.array([number[who] for who in mine["customer_id"]], dtype=np.int64))
        parts.append(mine.with_columns(**value(part, names[str(category)], float(str(depth)))))
    return pl.concat(parts).sort("at").drop("at") if parts else rows.drop("at")


def _check(rows: pl.DataFrame, names: dict[str, int], number: dict[str, int]) -> None:
    deepest = 1 - max(SHELF_DEPTHS)
    bad = rows.filter(
        ~pl.col("category").is_in(list(names)).fill_null(False)
        | ~pl.col("customer_id").is_in(list(number)).fill_null(False)
        | ~pl.col("depth").is_between(0, deepest, closed="left").fill_null(False)
    )
    if bad.height:
        rule = gettext_lazy(
            "a customer of this shop, one of {names}, and a depth in [0, {deepest})",
            names=", ".join(names),
            deepest=f"{deepest:.1f}",
        )
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "offers: {height} rows are impossible, first {row}; needed: {rule}",
                height=bad.height,
                row=bad.drop("at").row(0),
                rule=rule,
            ),
        )


class _Setting(NamedTuple):
    """Weeks of the offer and the one after; the coupon's depth; a unit's profit without it, and the coupon's cents."""

    weeks: Ints
    coupon_PT: Floats
    unit_PT: Floats
    off_PT: Floats


def _setting(world: World, c: int, depth: float, start: int, length: int) -> _Setting:
    weeks = np.arange(start, start + length + 1)
    products = world.products
    covered = (products["c"].to_numpy() == c)[:, None] & (weeks < start + length)
    price = products["price_cents"].to_numpy()[:, None]
    unit = price - discount_cents(price, world.shelf_PT(weeks)) - products["cost_cents"].to_numpy()[:, None]
    off_PT = np.where(covered, discount_cents(price, depth), 0.0)
    return _Setting(weeks, np.where(covered, depth, 0.0), unit.astype(np.float64), off_PT)


def _expect(world: World, c: int, depth: float, start: int, length: int) -> dict[str, Floats]:
    weeks, coupon_PT, unit_PT, off_PT = _setting(world, c, depth, start, length)
    plain, drawn = expected_units(world, weeks, 0.0), expected_units(world, weeks, coupon_PT)
    take = world.clip_prob_N(depth)
    used = np.where(coupon_PT > 0, drawn, 0.0).sum(axis=(1, 2))
    return {
        "redeem_prob": take * -np.expm1(-used),
        "gain_cents": take * ((drawn * (unit_PT - off_PT)).sum(axis=(1, 2)) - (plain * unit_PT).sum(axis=(1, 2))),
        "cost_cents": take * (drawn * off_PT).sum(axis=(1, 2)),
    }
