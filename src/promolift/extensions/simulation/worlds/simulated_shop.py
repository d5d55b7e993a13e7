"""Simulate the tables of a shop as a real source would deliver them, together with the truth behind them.

Legend: N customers of a block, P products, T weeks. Everything a customer does is a hash of the seed and the customer's
number, so a shop of 30 customers is the first 30 of a shop of 3,000.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.extensions.simulation.worlds.true_effects import expected_units
from promolift.extensions.simulation.worlds.world import (
    CATEGORIES,
    Floats,
    Ints,
    SimulationSettings,
    World,
    discount_cents,
    poisson,
    uniform,
)
from promolift.foundation.tables.schemas import COUPONS, CUSTOMERS, EXPOSURES, PRODUCTS, REDEMPTIONS, SHELF
from promolift.foundation.time.clock import DAY_MS, MINUTE_MS

BLOCK_CUSTOMERS = 256  # customers worked out together: bounds the memory
WEEK_BITS, VISIT_BITS = 20, 50  # parts of a cell number: product, week, visit


@dataclass(frozen=True)
class SimulatedShop:
    """`events` ... `shelf` satisfy schemas.py; the `truth_` tables are what no real shop knows.

    truth_customers: customer_id, elasticity, take_up_logit, level, units_per_week. truth_campaigns: campaign_id,
    category, depth, start_week, weeks. truth_targets: campaign_id, customer_id, target_prob, targeted, took_up. `world`
    answers `expected_effects`.
    """

    settings: SimulationSettings
    events: pl.DataFrame
    customers: pl.DataFrame
    products: pl.DataFrame
    exposures: pl.DataFrame
    redemptions: pl.DataFrame
    coupons: pl.DataFrame
    shelf: pl.DataFrame
    truth_customers: pl.DataFrame
    truth_campaigns: pl.DataFrame
    truth_targets: pl.DataFrame
    world: World
    evidence: str = "simulated"


def simulate(settings: SimulationSettings | None = None) -> SimulatedShop:
    """The whole shop. About 2 CPU seconds for 2,000 customers, 52 weeks and 40 products."""
    chosen = settings or SimulationSettings()
    world = World(chosen, np.arange(1, chosen.customers + 1))
    targets = _targets(world)
    spans = range(0, chosen.customers, BLOCK_CUSTOMERS)
    lines = pl.concat([_lines(World(chosen, world.number_N[a : a + BLOCK_CUSTOMERS]), targets) for a in spans])
    ids = pl.Series("customer_id", world.customer_ids)
    return SimulatedShop(
        settings=chosen,
        events=_events(lines),
        customers=customers_table(world),
        products=_products(world),
        exposures=_exposures(world, targets),
        redemptions=_redemptions(lines),
        coupons=_coupons(world),
        shelf=_shelf(world),
        truth_customers=pl.DataFrame(
            {
                "customer_id": ids,
                "elasticity": world.beta_N,
                "take_up_logit": world.clip_N,
                "level": world.level_N,
                "units_per_week": world.rate_NC.sum(axis=1),
            }
        ),
        truth_campaigns=_campaigns(world).drop("start_ms", "end_ms"),
        truth_targets=targets,
        world=world,
    )


def tiny_shop() -> SimulatedShop:
    """30 customers, 16 weeks, 4 categories of 2 products, 2 campaigns: small enough for golden tests."""
    return simulate(SimulationSettings(customers=30, weeks=16, categories=4, products_per_category=2, campaigns=2))


def _targets(world: World) -> pl.DataFrame:
    """Who was sent which past coupon, with the known propensity, and who took it up."""
    parts = [
        pl.DataFrame(
            {
                "campaign_id": [campaign.campaign_id] * world.number_N.size,
                "customer_id": world.customer_ids,
                "target_prob": world.target_prob_N(),
                "targeted": uniform(world.key(f"target {campaign.campaign_id}")) < world.target_prob_N(),
                "took_up": uniform(world.key(f"take {campaign.campaign_id}")) < world.clip_prob_N(campaign.depth),
            }
        ).with_columns(took_up=pl.col("took_up") & pl.col("targeted"))
        for campaign in world.campaigns
    ]
    texts, flags = ("campaign_id", "customer_id"), ("targeted", "took_up")
    schema = dict.fromkeys(texts, pl.String()) | {"target_prob": pl.Float64()} | dict.fromkeys(flags, pl.Boolean())
    return pl.concat([pl.DataFrame(schema=schema), *parts])


class _Coupons(NamedTuple):
    """Depth of the past coupon in each cell, and the number of its campaign (-1: none)."""

    depth_NPT: Floats
    campaign_NPT: Ints


def _past_coupons(world: World, weeks: Ints, targets: pl.DataFrame) -> _Coupons:
    c = world.products["c"].to_numpy()
    depth = np.zeros((world.number_N.size, c.size, weeks.size))
    which = np.full(depth.shape, -1, dtype=np.int64)
    for k, campaign in enumerate(world.campaigns):
        mine = targets.filter(pl.col("took_up") & (pl.col("campaign_id") == campaign.campaign_id))["customer_id"]
        took = np.isin(world.customer_ids, mine.to_list())
        week = (weeks >= campaign.start_week) & (weeks < campaign.start_week + campaign.weeks)
        cells = took[:, None, None] & (c == campaign.category)[None, :, None] & week[None, None, :]
        depth[cells], which[cells] = campaign.depth, k
    return _Coupons(depth, which)


def _lines(world: World, targets: pl.DataFrame) -> pl.DataFrame:
    """Purchases and views of a block of customers over the log, one row per product, visit and kind."""
    weeks = np.arange(world.settings.weeks)
    return _lived(world, weeks, _past_coupons(world, weeks, targets))


def simulate_weeks(world: World, first_week: int, depth_NPT: Floats) -> pl.DataFrame:
    """Events of further weeks from `first_week` on, under coupons of these depths, for those who take them up."""
    weeks = np.arange(first_week, first_week + depth_NPT.shape[2])
    none = np.full(depth_NPT.shape, -1, dtype=np.int64)
    return _events(_lived(world, weeks, _Coupons(depth_NPT, none)))


def _lived(world: World, weeks: Ints, coupons: _Coupons) -> pl.DataFrame:
    unit = [uniform(world.key(purpose)[:, None, None], _cell(world, weeks)) for purpose in ("buy", "look")]
    bought = _rows(world, weeks, poisson(unit[0], expected_units(world, weeks, coupons.depth_NPT)), "purchase")
    # People who use the app look twice as often as they buy, whatever the price.
    looked = _rows(
        world, weeks, poisson(unit[1], expected_units(world, weeks, 0.0) * uses_app_N(world)[:, None, None]), "view"
    )
    n, p, t = (bought[name].to_numpy() for name in "npt")
    price, quantity = world.products["price_cents"].to_numpy()[p], bought["count"].to_numpy()
    purchases = bought.with_columns(
        quantity=quantity,
        list_cents=quantity * price,
        shelf_cents=quantity * discount_cents(price, world.shelf_PT(weeks)[p, t]),
        coupon_cents=quantity * discount_cents(price, coupons.depth_NPT[n, p, t]),
        campaign=coupons.campaign_NPT[n, p, t],
    )
    # What is bought in the app is also looked at, and every look comes 2 to 30 minutes before the visit's receipt.
    zero = pl.lit(0, pl.Int64)
    views = pl.concat([looked, bought.filter("online")]).with_columns(
        ts_ms=pl.col("ts_ms") - pl.col("before_ms"), kind=pl.lit("view"), quantity=zero, list_cents=zero,
        shelf_cents=zero, coupon_cents=zero, campaign=pl.lit(-1, pl.Int64),
    )  # fmt: skip
    return pl.concat([purchases, views])


def _cell(world: World, weeks: Ints) -> Ints:
    """A number for each product and week, P x T."""
    cell: Ints = (weeks[None, :] << WEEK_BITS) + np.arange(world.products.height)[:, None]
    return cell


def _rows(world: World, weeks: Ints, count_NPT: Ints, kind: str) -> pl.DataFrame:
    """The cells with a count above 0 as rows, with the visit they fall into."""
    n, p, t = np.nonzero(count_NPT)
    cell = _cell(world, weeks)[p, t]
    visit = np.floor(uniform(world.key(f"visit of a {kind}")[n], cell) * visits_per_week_N(world)[n]).astype(np.int64)
    before = np.floor(2 + 28 * uniform(world.key(f"before a {kind}")[n], cell)).astype(np.int64)
    return pl.DataFrame(
        {
            "n": n,
            "p": p,
            "t": t,
            "customer_id": pl.Series(world.customer_ids, dtype=pl.String).gather(n),
            "product_id": world.products["product_id"].gather(p),
            "kind": pl.repeat(kind, n.size, dtype=pl.String, eager=True),
            "week": weeks[t],
            "ts_ms": _moment(world, n, weeks[t], visit),
            "before_ms": before * MINUTE_MS,
            "visit": visit,
            "store": (world.number_N % 3 + 1)[n],
            "online": uses_app_N(world)[n],
            "count": count_NPT[n, p, t],
        }
    )


def _moment(world: World, n: Ints, week: Ints, visit: Ints) -> Ints:
    """Time of a visit: a day of the week and an hour from 9 to 21 that are the customer's habit, and a minute."""
    cell = (week << VISIT_BITS - WEEK_BITS) + visit
    day_unit = uniform(world.key("day")[n], cell)
    habit = uniform(world.key("hour"))[n]
    hour = 9 + 11 * (0.75 * habit + 0.25 * uniform(world.key("minute")[n], cell))
    lived, at = np.unique(week, return_inverse=True)
    moment: Ints = (
        world.week_start_ms(lived)[at]
        + np.floor(7 * day_unit).astype(np.int64) * DAY_MS
        + np.floor(hour * 60).astype(np.int64) * MINUTE_MS
    )
    return moment


def _events(lines: pl.DataFrame) -> pl.DataFrame:
    is_view = pl.col("kind") == "view"
    visit = pl.format("{}-{}-{}", "customer_id", "week", "visit")
    return lines.select(
        "customer_id",
        "ts_ms",
        "kind",
        "product_id",
        order_id=pl.when(is_view).then(pl.lit("v") + visit).otherwise(pl.lit("o") + visit),
        store_id=pl.when(pl.col("online")).then(pl.lit("app")).otherwise(pl.format("s{}", "store")),
        channel=pl.when(pl.col("online")).then(pl.lit("app")).otherwise(pl.lit("store")),
        quantity=pl.when(is_view).then(None).otherwise(pl.col("quantity").cast(pl.Float64)),
        revenue_cents=pl.col("list_cents") - pl.col("shelf_cents") - pl.col("coupon_cents"),
        list_cents="list_cents",
        shelf_cents="shelf_cents",
        coupon_cents="coupon_cents",
        dwell_s=pl.lit(None, pl.Float64),
    ).sort("ts_ms", "customer_id", "kind", "product_id")


def _redemptions(lines: pl.DataFrame) -> pl.DataFrame:
    """One row per order in which a coupon was used."""
    used = lines.filter(pl.col("campaign") >= 0).select(
        "customer_id",
        campaign_id=pl.format("cmp_{}", pl.col("campaign") + 1),
        coupon_id=pl.format("cpn_{}", pl.col("campaign") + 1),
        ts_ms="ts_ms",
    )
    return used.unique().sort("ts_ms", "customer_id", "campaign_id").cast(REDEMPTIONS.schema)  # type: ignore[arg-type]


def _products(world: World) -> pl.DataFrame:
    goods = world.products.with_row_index("p")
    rows = goods.select(
        "product_id",
        name=pl.format("{} {}", pl.col("c").replace_strict(_names(world)), pl.col("p") + 1),
        category=pl.col("c").replace_strict(_names(world)),
        type=pl.format(
            "{} {}",
            pl.col("c").replace_strict(_names(world)),
            (pl.col("p") % 2).replace_strict({0: "small", 1: "large"}),
        ),
        department=pl.col("c").replace_strict({c: CATEGORIES[c][1] for c in range(world.settings.categories)}),
        brand=pl.format("brand {}", pl.col("p") % 3 + 1),
        price_cents="price_cents",
        cost_cents="cost_cents",
    )
    return PRODUCTS.conform(rows)


def _names(world: World) -> dict[int, str]:
    return {c: CATEGORIES[c][0] for c in range(world.settings.categories)}


def _campaigns(world: World) -> pl.DataFrame:
    """Past campaigns with their first and last millisecond."""
    schema = {"campaign_id": pl.String, "category": pl.String, "depth": pl.Float64, "start_week": pl.Int64}
    schema |= {"weeks": pl.Int64, "start_ms": pl.Int64, "end_ms": pl.Int64}
    rows = []
    for campaign in world.campaigns:
        edge = np.array([campaign.start_week, campaign.start_week + campaign.weeks])
        start, end = world.week_start_ms(edge).tolist()
        rows.append(
            (
                campaign.campaign_id,
                CATEGORIES[campaign.category][0],
                campaign.depth,
                edge[0],
                campaign.weeks,
                start,
                end - 1,
            )
        )
    return pl.DataFrame(rows, schema=schema, orient="row")


def _exposures(world: World, targets: pl.DataFrame) -> pl.DataFrame:
    sent = targets.filter("targeted").join(_campaigns(world), on="campaign_id")
    rows = sent.select(
        "campaign_id", "customer_id", pl.format("coupon {}", "category").alias("kind"), "start_ms", "end_ms"
    )
    return rows.sort("campaign_id", "customer_id").cast(EXPOSURES.schema)  # type: ignore[arg-type]


def _coupons(world: World) -> pl.DataFrame:
    goods = world.products.select("product_id", category=pl.col("c").replace_strict(_names(world)))
    rows = _campaigns(world).join(goods, on="category")
    coupon = rows.select(
        "campaign_id", coupon_id=pl.lit("cpn_") + pl.col("campaign_id").str.slice(4), product_id="product_id"
    )
    return coupon.sort("campaign_id", "product_id").cast(COUPONS.schema)  # type: ignore[arg-type]


def _shelf(world: World) -> pl.DataFrame:
    """A shelf discount is printed in the mailer, in all stores; displays are not simulated."""
    weeks = np.arange(world.settings.weeks)
    p, t = np.nonzero(world.shelf_PT(weeks))
    rows = pl.DataFrame(
        {"product_id": world.products["product_id"].gather(p), "start_ms": world.week_start_ms(weeks)[t]}
    ).join(pl.DataFrame({"store_id": ["app", "s1", "s2", "s3"]}), how="cross")
    shown = rows.with_columns(display=pl.lit(False), mailer=pl.lit(True)).select(SHELF.schema.keys())
    return shown.sort("start_ms", "product_id", "store_id").cast(SHELF.schema)  # type: ignore[arg-type]


FAMILY_NAMES = ("王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴")
FIRST_NAMES = {"female": ("芳", "娜", "敏", "静", "秀英", "丽"), "male": ("伟", "强", "磊", "军", "洋", "勇")}
JOBS = ("teacher", "nurse", "engineer", "driver", "clerk", "shop owner", "student", "retired")


def customers_table(world: World) -> pl.DataFrame:
    """One row per customer. Ages are years as text; age is missing for one in ten, consent for one in seven."""
    unit = {
        name: uniform(world.key(name)) for name in ("sex", "family", "given", "job", "speech", "consent", "age known")
    }
    rows = [
        {
            "customer_id": who,
            "sex": (sex := "female" if unit["sex"][i] < 0.55 else "male"),
            "name": _pick(FAMILY_NAMES, unit["family"][i]) + _pick(FIRST_NAMES[sex], unit["given"][i]),
            "age": str(age) if unit["age known"][i] < 0.9 else None,
            "occupation": _job(int(age), float(unit["job"][i])),
            "income": ("low", "middle", "high")[int(np.clip(1.5 + world.level_N[i], 0, 2.99))],
            "language": "zh" if unit["speech"][i] < 0.8 else "en",
            "consent": True if (yes := unit["consent"][i]) < 0.7 else False if yes < 0.86 else None,
        }
        for i, (who, age) in enumerate(zip(world.customer_ids, world.age_N.tolist(), strict=True))
    ]
    return pl.DataFrame(rows, schema=CUSTOMERS.schema)


def visits_per_week_N(world: World) -> NDArray[np.int64]:
    """Visits a week, one to three."""
    return np.floor(1 + 3 * uniform(world.key("visits"))).astype(np.int64)


def uses_app_N(world: World) -> NDArray[np.bool_]:
    """True for the three in five who use the app."""
    online: NDArray[np.bool_] = uniform(world.key("online")) < 0.6
    return online


def _pick(words: tuple[str, ...], unit: float) -> str:
    return words[int(unit * len(words))]


def _job(age: int, unit: float) -> str:
    if age < 22:
        return "student"
    return "retired" if age > 62 else _pick(JOBS[:6], unit)
