"""Laws of simulate/: the tables are valid, the truth is the truth, and a customer depends on nobody else."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from scipy import stats

from promolift.extensions.simulation.worlds.simulated_shop import simulate, tiny_shop
from promolift.extensions.simulation.worlds.true_effects import _by_offer, _setting, expected_effects, expected_units
from promolift.extensions.simulation.worlds.world import SimulationSettings, World, hash_keys, normal, poisson, uniform
from promolift.foundation.tables import schemas

TABLES = ("events", "customers", "products", "exposures", "redemptions", "coupons", "shelf")


def realise(world: World, offers: pl.DataFrame, start_week: int, weeks: int, replicate: int = 0) -> pl.DataFrame:
    """One drawn outcome of each offer over the same weeks: profit_cents with it, profit_without_cents, discount_cents,
    redeemed. Both outcomes come from the same hash, so that their difference has little noise.
    """
    return _by_offer(world, offers, lambda part, c, depth: _realise(part, c, depth, start_week, weeks, replicate))


def _realise(world: World, c: int, depth: float, start: int, length: int, replicate: int) -> dict[str, Any]:
    weeks, coupon_PT, unit_PT, off_PT = _setting(world, c, depth, start, length)
    took = uniform(world.key(f"take {start} {replicate}")) < world.clip_prob_N(depth)
    unit = uniform(
        world.key(f"outcome {replicate}")[:, None, None],
        (weeks[None, :] << 20) + np.arange(world.products.height)[:, None],
    )
    plain = poisson(unit, expected_units(world, weeks, 0.0))
    drawn = np.where(took[:, None, None], poisson(unit, expected_units(world, weeks, coupon_PT)), plain)
    off = np.where(took[:, None, None], off_PT, 0.0)
    return {
        "profit_cents": (drawn * (unit_PT - off)).sum(axis=(1, 2)),
        "profit_without_cents": (plain * unit_PT).sum(axis=(1, 2)),
        "discount_cents": (drawn * off).sum(axis=(1, 2)),
        "redeemed": (drawn * (off > 0)).sum(axis=(1, 2)) > 0,
    }


@pytest.fixture(scope="module")
def shop():
    return simulate(SimulationSettings(customers=400, weeks=40, campaigns=4, categories=6))


def offers(world, category="coffee", depth=0.2, n=None):
    ids = world.customer_ids[:n]
    return pl.DataFrame({"customer_id": ids, "category": [category] * len(ids), "depth": [depth] * len(ids)})


@pytest.mark.parametrize("name", TABLES)
def test_every_table_keeps_its_contract(shop, name):
    for frame in (getattr(shop, name), getattr(tiny_shop(), name)):
        table = getattr(schemas, name.upper())
        assert list(frame.columns) == list(table.schema)
        for start in range(0, frame.height, 10_000):
            table.check(frame.slice(start, 10_000))
        assert frame.height


@pytest.mark.parametrize("targeting", ["random", "best"])
def test_a_customer_depends_on_nobody_else(targeting):
    small = simulate(SimulationSettings(customers=20, weeks=12, campaigns=2, targeting=targeting))
    large = simulate(SimulationSettings(customers=300, weeks=12, campaigns=2, targeting=targeting))
    ids = small.customers["customer_id"].to_list()
    for name in (*TABLES, "truth_customers", "truth_targets"):
        few, many = getattr(small, name), getattr(large, name)
        mine = many.filter(pl.col("customer_id").is_in(ids)) if "customer_id" in many.columns else many
        assert few.equals(mine), name
    few = expected_effects(small.world, offers(small.world), 12, 3)
    many = expected_effects(large.world, offers(large.world), 12, 3).head(20)
    for name in ("gain_cents", "cost_cents", "redeem_prob"):  # sums of other shapes differ in the last bit
        assert few[name].to_list() == pytest.approx(many[name].to_list(), rel=1e-9)


def test_another_seed_is_another_shop_and_the_same_seed_the_same():
    one, two = (simulate(SimulationSettings(customers=20, weeks=8, campaigns=1, seed=s)) for s in (1, 2))
    assert one.events.equals(simulate(SimulationSettings(customers=20, weeks=8, campaigns=1, seed=1)).events)
    assert not one.events.equals(two.events)
    assert not one.products.equals(two.products)


def test_the_closed_form_by_hand():
    world = World(SimulationSettings(categories=1, products_per_category=1, shelf_share=0), np.arange(1, 4))
    got = expected_effects(world, offers(world, depth=0.3), 10, 2)
    price, cost = world.products.select("price_cents", "cost_cents").row(0)
    off = round(price * 0.3)
    for i, row in enumerate(got.iter_rows(named=True)):
        take = 1 / (1 + np.exp(-(world.clip_N[i] + 6 * 0.3)))
        plain = world.rate_NC[i, 0] * world.season_CT(np.array([10, 11])).sum()
        drawn = plain * np.exp(world.beta_N[i] * 0.3)
        assert row["gain_cents"] == pytest.approx(take * (drawn * (price - off - cost) - plain * (price - cost)))
        assert row["cost_cents"] == pytest.approx(take * drawn * off)
        assert row["redeem_prob"] == pytest.approx(take * (1 - np.exp(-drawn)))


@pytest.mark.parametrize(("stockpiling", "depth"), [(0.0, 0.3), (0.6, 0.2)])
def test_the_closed_form_is_the_mean_of_what_happens(stockpiling, depth):
    settings = SimulationSettings(customers=150, categories=3, stockpiling=stockpiling, units_per_week=12)
    world = World(settings, np.arange(1, 151))
    wish = offers(world, "milk", depth)
    true = expected_effects(world, wish, 20, 2)
    runs = [realise(world, wish, 20, 2, r) for r in range(120)]
    for column, drawn in (
        ("gain_cents", [r["profit_cents"] - r["profit_without_cents"] for r in runs]),
        ("cost_cents", [r["discount_cents"] for r in runs]),
        ("redeem_prob", [r["redeemed"].cast(pl.Float64) for r in runs]),
    ):
        totals = np.array([series.sum() for series in drawn])
        se = totals.std(ddof=1) / np.sqrt(len(runs))
        assert true[column].sum() == pytest.approx(totals.mean(), abs=3.5 * se)
        assert se < 0.1 * abs(true[column]).sum()


def test_stockpiling_takes_gain_away_in_the_week_after():
    plain, stocked = (
        World(SimulationSettings(customers=50, shelf_share=0.0, stockpiling=s), np.arange(1, 51)) for s in (0.0, 0.5)
    )
    gain = [expected_effects(world, offers(world), 5, 1)["gain_cents"].sum() for world in (plain, stocked)]
    assert gain[1] < gain[0]
    # the first week itself has nothing before it, so cost and redemption are the same
    cost = [expected_effects(world, offers(world), 5, 1)["cost_cents"].sum() for world in (plain, stocked)]
    assert cost[0] == pytest.approx(cost[1])


def test_sales_in_the_log_follow_the_means(shop):
    weeks = np.arange(40)
    coupon = np.zeros((400, shop.products.height, 40))
    for row in shop.truth_campaigns.iter_rows(named=True):
        took = shop.truth_targets.filter(pl.col("took_up") & (pl.col("campaign_id") == row["campaign_id"]))
        n = np.flatnonzero(np.isin(shop.world.customer_ids, took["customer_id"].to_list()))
        p = np.flatnonzero(shop.products["category"].to_numpy() == row["category"])
        span = np.arange(row["start_week"], row["start_week"] + row["weeks"])
        coupon[np.ix_(n, p, span)] = row["depth"]
    mean = expected_units(shop.world, weeks, coupon)
    sold = shop.events.filter(pl.col("kind") == "purchase").group_by("product_id").agg(pl.col("quantity").sum())
    by_product = dict(sold.rows())
    for p, product in enumerate(shop.products["product_id"]):
        total = mean[:, p].sum()
        assert by_product[product] == pytest.approx(total, abs=4 * np.sqrt(total))
    spent = shop.events.filter(pl.col("coupon_cents") > 0)["quantity"].sum()
    assert spent == pytest.approx(mean[coupon > 0].sum(), abs=4 * np.sqrt(mean[coupon > 0].sum()))
    # far from what they would have bought without the coupons' pull
    assert abs(spent - expected_units(shop.world, weeks, 0.0)[coupon > 0].sum()) > 6 * np.sqrt(spent)


def test_the_price_response_can_be_found_again_in_the_log(shop):
    sold = shop.events.filter(pl.col("kind") == "purchase", pl.col("coupon_cents") == 0)
    start = shop.world.week_start_ms(np.arange(41))
    week = np.searchsorted(start, sold["ts_ms"].to_numpy(), side="right") - 1
    units = sold.with_columns(week=week).group_by("product_id", "week").agg(pl.col("quantity").sum())
    depth = shop.world.shelf_PT(np.arange(40))
    cells = {(p, w): q for p, w, q in units.rows()}
    ratio = {}
    for level in (0.0, 0.3):
        got = [
            cells.get((name, w), 0.0) / shop.world.season_CT(np.array([w]))[p // 4, 0]
            for p, name in enumerate(shop.products["product_id"])
            for w in np.flatnonzero(depth[p] == level)
        ]
        ratio[level] = np.mean(got)
    weight = shop.truth_customers["units_per_week"].to_numpy()
    true = np.average(np.exp(0.3 * shop.world.beta_N), weights=weight)
    assert ratio[0.3] / ratio[0.0] == pytest.approx(true, rel=0.15)


def test_money_adds_up_and_discounts_stand_where_they_belong(shop):
    bought = shop.events.filter(pl.col("kind") == "purchase").join(shop.products, on="product_id")
    exact = bought.select((pl.col("list_cents") == pl.col("quantity") * pl.col("price_cents")).all()).item()
    assert exact
    assert (
        shop.events["revenue_cents"]
        == shop.events["list_cents"] - shop.events["shelf_cents"] - shop.events["coupon_cents"]
    ).all()
    assert (bought["revenue_cents"] > 0).all()
    assert set((bought["shelf_cents"] / bought["list_cents"]).round(1)) == {0.0, 0.1, 0.2, 0.3}
    couponed = bought.filter(pl.col("coupon_cents") > 0).with_columns(
        campaign_id=pl.col("category").replace_strict(
            dict(shop.truth_campaigns.select("category", "campaign_id").rows()), default=None
        )
    )
    sent = shop.exposures.join(shop.truth_targets.filter("took_up"), on=["campaign_id", "customer_id"])
    checked = couponed.join(sent, on=["campaign_id", "customer_id"], how="left")
    assert checked.select(pl.col("ts_ms").is_between("start_ms", "end_ms").all()).item() is True
    used = couponed.select("customer_id", "campaign_id", "ts_ms").unique()
    assert used.height == shop.redemptions.height
    assert used.join(shop.redemptions, on=["customer_id", "campaign_id", "ts_ms"], how="anti").is_empty()


def test_what_is_bought_in_the_app_was_viewed_before(shop):
    bought = shop.events.filter(pl.col("kind") == "purchase", pl.col("channel") == "app")
    views = shop.events.filter(pl.col("kind") == "view")
    pairs = bought.join(views, on=["customer_id", "product_id"], suffix="_view")
    lead = pairs["ts_ms"] - pairs["ts_ms_view"]
    seen = pairs.filter((lead >= 120_000) & (lead <= 30 * 60_000)).select(bought.columns).unique()
    assert seen.height == bought.unique().height
    assert set(views["channel"]) == {"app"}
    assert views["quantity"].null_count() == views.height


def test_targeting_is_random_or_goes_to_the_best_with_a_known_propensity():
    drawn = {}
    for targeting in ("random", "best"):
        shop = simulate(SimulationSettings(customers=3000, weeks=4, categories=1, campaigns=1, targeting=targeting))
        t = shop.truth_targets.join(shop.truth_customers, on="customer_id")
        drawn[targeting] = t
        assert t["targeted"].mean() == pytest.approx(0.3, abs=0.03)
        assert t["targeted"].mean() == pytest.approx(t["target_prob"].mean(), abs=0.03)
        assert shop.exposures.height == t["targeted"].sum()
        assert not t.filter(~pl.col("targeted"))["took_up"].any()
    gap = {
        k: t.filter("targeted")["level"].mean() - t.filter(~pl.col("targeted"))["level"].mean()
        for k, t in drawn.items()
    }
    assert abs(gap["random"]) < 0.15
    assert gap["best"] > 1
    best = drawn["best"].with_columns(high=pl.col("target_prob") > 0.5)
    for part in best.partition_by("high"):
        assert part["targeted"].mean() == pytest.approx(part["target_prob"].mean(), abs=0.05)


def test_week_starts_are_local_midnights_also_across_summer_time():
    world = World(SimulationSettings(timezone="America/New_York", first_monday=date(2024, 3, 4)), np.arange(1, 2))
    zone = ZoneInfo("America/New_York")
    start = [datetime.fromtimestamp(ms / 1000, zone) for ms in world.week_start_ms(np.arange(3)).tolist()]
    assert [(d.weekday(), d.hour) for d in start] == [(0, 0)] * 3
    assert start[0].utcoffset() != start[2].utcoffset()


def test_poisson_is_the_quantile_function():
    unit = uniform(hash_keys(3, "unit", range(2000)))
    mean = np.exp(4 * normal(hash_keys(3, "mean", range(2000))).clip(-2, 1))
    assert (poisson(unit, mean) == stats.poisson.ppf(unit, mean)).all()
    assert poisson(np.array([[0.5, 1 - 1e-16]]), np.array([[0.0, 0.1]])).tolist()[0][0] == 0


def test_hash_numbers_are_uniform_and_independent_across_keys_and_cells():
    unit = uniform(hash_keys(1, "a", range(200))[:, None], np.arange(200))
    assert stats.kstest(unit.ravel(), "uniform").pvalue > 0.01
    for other in (
        uniform(hash_keys(1, "b", range(200))[:, None], np.arange(200)),
        np.roll(unit, 1, 0),
        np.roll(unit, 1, 1),
    ):
        assert abs(np.corrcoef(unit.ravel(), other.ravel())[0, 1]) < 0.02
    assert 0 < unit.min() < unit.max() < 1


def test_the_tiny_shop_never_changes():
    shop = tiny_shop()
    assert shop.evidence == "simulated"
    assert (shop.events.height, shop.events["revenue_cents"].sum(), shop.redemptions.height) == (3097, 4807877, 6)
    assert shop.customers.height == 30


def test_a_shop_without_campaigns_and_one_customer_is_a_shop():
    shop = simulate(SimulationSettings(customers=1, weeks=4, campaigns=0, shelf_share=0.0))
    assert (shop.exposures.height, shop.redemptions.height, shop.coupons.height, shop.shelf.height) == (0, 0, 0, 0)
    for name in TABLES:
        getattr(schemas, name.upper()).check(getattr(shop, name))
    assert shop.events["shelf_cents"].sum() == 0


def test_impossible_settings_and_offers_are_named(shop):
    for values, code, fact in (
        ({"weeks": 10, "campaigns": 6}, "setting_invalid", "campaigns"),
        ({"first_monday": "2024-01-02"}, "setting_invalid", "first_monday 2024-01-02"),
        ({"coupon_depths": (0.9,)}, "setting_invalid", "coupon_depths"),
        ({"customer": 3}, "setting_unknown", "'customers'"),
    ):
        with raises_code(code, fact):
            SimulationSettings.parse(values, "shop")
    for wrong in (offers(shop.world, "caviar"), offers(shop.world, depth=0.7), offers(shop.world, depth=-0.1)):
        with raises_code("value_invalid", "400"):
            expected_effects(shop.world, wrong, 40, 2)
    with raises_code("value_invalid", "1 rows", "stranger"):
        expected_effects(shop.world, offers(shop.world, n=1).with_columns(customer_id=pl.lit("stranger")), 40, 2)
    assert expected_effects(shop.world, offers(shop.world, n=0), 40, 2).height == 0
