"""A shop whose truth is known, its decisions of a week and what came of them; and the same judged."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import duckdb
import numpy as np
import polars as pl
import scipy

from promolift.core import decisions as deliver
from promolift.extensions.simulation.worlds.true_effects import expected_effects, expected_units
from promolift.extensions.simulation.worlds.world import (
    CATEGORIES,
    CLIP_SLOPE,
    Floats,
    SimulationSettings,
    World,
    discount_cents,
    poisson,
    uniform,
)
from promolift.foundation.hashing import hash_units
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.feedback.decision_outcomes import LearnSettings, join_evidence, read_outcomes
from promolift.shop.feedback.policy_verdict import JudgedEvidence, judge_policy

DEPTHS, WEEK = (0.1, 0.3), 30
START = 1_735_516_800_000  # a Monday, 00:00 UTC


@dataclass(frozen=True)
class Case:
    """Decisions, what happened, and what the offers truly add per customer."""

    decisions: pl.DataFrame
    events: pl.DataFrame
    products: pl.DataFrame
    truth: float


@dataclass(frozen=True)
class Week:
    """What happened: units bought, the depth of the price each customer saw (shelf and coupon together), whether they
    took the coupon up, and their profit to the shop after discounts, in cents, and the discount the coupon gave.
    """

    units_NP: np.ndarray
    depth_NP: Floats
    took_N: np.ndarray
    profit_N: Floats
    discount_N: Floats


def live_week(world: World, group_N: np.ndarray, depth_N: Floats, week: int, replicate: int = 0) -> Week:
    """One week of the world's customers, each with a coupon of `depth_N` on all of group `group_N` (-1: no coupon).

    What a customer buys is a hash of their number, the product and the week, so that other offers to other
    customers change nothing for them.
    """
    products = world.products
    weeks = np.array([week], dtype=np.int64)
    prob_N = scipy.special.expit(world.clip_N + CLIP_SLOPE * depth_N)
    took = (group_N >= 0) & (uniform(world.key(f"take live {replicate}"), week) < prob_N)
    c = products["c"].to_numpy()
    coupon = np.where(took[:, None] & (c == group_N[:, None]), depth_N[:, None], 0.0)
    unit = uniform(world.key(f"live {replicate}")[:, None], (week << 20) + np.arange(c.size)[None, :])
    units = poisson(unit, expected_units(world, weeks, coupon[:, :, None])[:, :, 0])
    shelf, price = world.shelf_PT(weeks)[:, 0], products["price_cents"].to_numpy()
    off = np.where(coupon > 0, np.rint(price * coupon), 0.0)
    margin = price - discount_cents(price, shelf) - products["cost_cents"].to_numpy()
    return Week(units, shelf + coupon, took, (units * (margin - off)).sum(axis=1), (units * off).sum(axis=1))


def offers_of(world: World, depths: tuple[float, ...]) -> pl.DataFrame:
    """The menu: one offer for every category and depth, in this order; columns offer_id, category, c, depth."""
    return pl.DataFrame(
        [
            {"offer_id": f"off_{name.replace(' ', '-')}_{depth:.0%}", "category": name, "c": c, "depth": depth}
            for c, name in enumerate(goods[0] for goods in CATEGORIES[: world.settings.categories])
            for depth in depths
        ]
    )


def sales(world: World, week: Week, number: int, off_NP: np.ndarray) -> pl.DataFrame:
    """Clean events of one week: a row per customer and product, at noon of a day that is a hash of both."""
    row, p = np.nonzero(week.units_NP)
    price = world.products["price_cents"].to_numpy()
    shelf = discount_cents(price, world.shelf_PT(np.array([number], dtype=np.int64))[:, 0])
    units, ids = week.units_NP[row, p], np.array(world.customer_ids)[row]
    day = (7 * hash_units(("day", number), [f"{a} {b}" for a, b in zip(row, p, strict=True)])).astype(np.int64)
    coupon = units * off_NP[row, p]
    return pl.DataFrame(
        {
            "customer_id": ids,
            "ts_ms": START + (number - WEEK) * 7 * DAY_MS + day * DAY_MS + DAY_MS // 2,
            "kind": "purchase",
            "product_id": world.products["product_id"].to_numpy()[p],
            "order_id": [f"o{number}-{who}-{d}" for who, d in zip(ids, day, strict=True)],
            "quantity": units.astype(float),
            "revenue_cents": (units * (price - shelf)[p] - coupon).astype(np.int64),
            "list_cents": (units * price[p]).astype(np.int64),
            "coupon_cents": coupon.astype(np.int64),
        }
    )


class TrueEffects(NamedTuple):
    gain_NK: Floats
    cost_NK: Floats


def true_effects(world: World, menu: pl.DataFrame, week: int) -> TrueEffects:
    """What each offer of a menu adds in a week, its cost taken off, and that cost, in cents."""
    who = pl.DataFrame({"customer_id": world.customer_ids})
    truth = expected_effects(
        world, who.join(menu.select("category", "depth"), how="cross", maintain_order="left_right"), week, 1
    )
    gain, cost = (truth[name].to_numpy().reshape(-1, menu.height) for name in ("gain_cents", "cost_cents"))
    return TrueEffects(gain, cost)


def case(
    customers: int = 3000,
    explore: float = 0.3,
    holdout: float = 0.3,
    factor: float = 1.0,
    elasticity: float = 4.0,
    seed: int = 1,
    **terms: Any,
) -> Case:
    """A week of decisions; predictions are `factor` times the truth."""
    settings = SimulationSettings(seed=seed, customers=customers, categories=4, elasticity=elasticity, campaigns=0)
    world = World(settings, np.arange(1, customers + 1))
    menu = offers_of(world, DEPTHS)
    gain_NK, cost_NK = true_effects(world, menu, WEEK)
    n, k = gain_NK.shape
    candidates = pl.DataFrame(
        {
            "customer_id": np.repeat(world.customer_ids, k),
            "offer_id": menu["offer_id"].to_list() * n,
            "gain_cents": factor * gain_NK.ravel(),
            "cost_cents": cost_NK.ravel(),
        }
    )
    consent = pl.DataFrame({"customer_id": world.customer_ids, "may_send": True, "reason": None})
    stated = {"campaign_id": "spring", "policy_id": "plan", "policy_version": "1", "price": 0.0, "seed": 1} | terms
    release = deliver.ReleaseTerms(**stated, holdout_share=holdout, explore=explore)
    decisions = deliver.decide(candidates, consent, release, START)
    place = {offer: at for at, offer in enumerate(menu["offer_id"])}
    order = {who: at for at, who in enumerate(world.customer_ids)}
    taken = np.full(n, -1)
    for who, offer in decisions.select("customer_id", "offer_id").iter_rows():
        taken[order[who]] = place.get(offer, -1)
    depth = np.where(taken >= 0, menu["depth"].to_numpy()[taken], 0.0)
    group = np.where(taken >= 0, menu["c"].to_numpy()[taken], -1)
    now, before = live_week(world, group, depth, WEEK), live_week(world, np.full(n, -1), np.zeros(n), WEEK - 1)
    price, c = world.products["price_cents"].to_numpy(), world.products["c"].to_numpy()
    used = now.took_N[:, None] & (c == group[:, None])
    off = np.where(used, np.rint(price * depth[:, None]), 0.0)
    events = pl.concat([sales(world, before, WEEK - 1, np.zeros_like(off)), sales(world, now, WEEK, off)])
    offered = ~np.isin(world.customer_ids, decisions.filter("holdout")["customer_id"].to_list())
    padded = np.hstack([gain_NK, np.zeros((n, 1))])
    truth = float(padded[np.arange(n), taken][offered].mean())
    return Case(decisions, events, world.products.select("product_id", "cost_cents"), truth)


def judged(case: Case, rate: float | None = None, **stated: Any) -> JudgedEvidence:
    """The case judged after its week; costs by product, or by a stated margin rate."""
    settings = LearnSettings(**{"window_days": 7, "before_days": 7, "looks": 2} | stated)
    with duckdb.connect() as connection:
        events = connection.from_arrow(case.events.to_arrow())
        rows = read_outcomes(events, case.products, case.decisions, rate)
    return judge_policy(join_evidence(case.decisions, rows, None, settings), None)


def claimed(case: Case, factor: float) -> Case:
    """The same decisions, each having promised `factor` times the gain."""
    rows = [
        [row | {"gain_cents": factor * row["gain_cents"]} for row in opened] for opened in case.decisions["candidates"]
    ]
    kind = case.decisions.schema["candidates"]
    return replace(case, decisions=case.decisions.with_columns(pl.Series("candidates", rows, kind)))


def two_weeks(case: Case, changed: bool) -> Case:
    """The same decisions, half of them two weeks later; `changed`: offers then bring half of what they brought."""
    later = pl.col("customer_id").str.slice(-1).is_in(list("02468"))
    moved = pl.col("ts_ms") + pl.when(later).then(14 * DAY_MS).otherwise(0)
    decisions, events = (rows.with_columns(ts_ms=moved) for rows in (case.decisions, case.events))
    if changed:
        offered = decisions.filter(pl.col("holdout").eq(False) & later)["customer_id"]
        worse = pl.col("customer_id").is_in(offered.implode()) & (pl.col("ts_ms") >= START)
        revenue = pl.col("revenue_cents")
        events = events.with_columns(revenue_cents=pl.when(worse).then(revenue // 2).otherwise(revenue))
    return replace(case, decisions=decisions, events=events)


def losing() -> Case:
    """Nobody answers discounts, and every offer promises a gain: what is given is given away."""
    return case(1500, 0.4, 0.3, elasticity=0.2, factor=-1.0)
