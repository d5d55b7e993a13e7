"""A shop whose truth is known: what the logs tell about prices must agree with it."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr
from sharded import write_shards

from promolift.core import effects
from promolift.extensions.simulation.worlds.simulated_shop import SimulatedShop, simulate
from promolift.extensions.simulation.worlds.world import SimulationSettings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import WEEK_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline import pipeline
from promolift.shop.pipeline.steps import effect as effect_step
from promolift.shop.pipeline.steps import profile as profile_step
from promolift.shop.results.work_folder.run_context import moments


@pytest.fixture(scope="module")
def shop() -> SimulatedShop:
    return simulate(SimulationSettings(customers=300, weeks=52, seed=1))


@pytest.fixture(scope="module")
def job(shop: SimulatedShop, tmp_path_factory: pytest.TempPathFactory) -> pipeline.Job:
    config = Config.parse({"data": {"source": "complete-journey"}, "shop": {"zone": "Asia/Shanghai"}}, "test")
    store = Store(tmp_path_factory.mktemp("truth"))
    arrow = shop.events.to_arrow()
    write_shards(store, store.connection.from_arrow(arrow), "events", 2)
    for name in ("products", "customers", "exposures", "redemptions", "coupons"):
        store.save(name, getattr(shop, name))
    span = {"first_ms": shop.events["ts_ms"].min(), "last_ms": shop.events["ts_ms"].max(), "customers": 300}
    store.save_json("span", span)
    made = pipeline.Job(config, store, lambda *told: None)
    profile_step.run(made)
    effect_step.run(made)
    return made


def test_the_response_to_a_discount_is_the_true_one(shop: SimulatedShop, job: pipeline.Job) -> None:
    response = effects.DiscountResponse.from_dict(job.store.load_json("response"))
    # Demand answers as the mean of exp(beta d) over customers, weighted by what they buy; d is about 0.2.
    people = shop.truth_customers
    weight, beta = people["units_per_week"].to_numpy(), people["elasticity"].to_numpy()
    truth = np.log(np.average(np.exp(0.2 * beta), weights=weight)) / 0.2
    assert response.level == "adjusted"
    assert abs(response.beta - truth) < 3 * response.beta_se
    assert response.beta_se < 0.25 * truth


def test_customers_who_answer_prices_more_are_seen_to(shop: SimulatedShop, job: pipeline.Job) -> None:
    profiles = job.profiled.profiles(moments(job).asof).join(shop.truth_customers, on="customer_id")
    known = profiles.drop_nulls("price_sensitivity")
    assert known.height > 200
    assert spearmanr(known["price_sensitivity"], known["elasticity"]).statistic > 0.3


def test_expected_purchases_are_right_on_average(shop: SimulatedShop, job: pipeline.Job) -> None:
    asof = moments(job).check
    expected = job.profiled.affinities(asof)["expected_cents"].sum()
    window = pl.col("ts_ms").is_between(asof, asof + 4 * WEEK_MS, closed="left")
    spent = shop.events.filter(window & (pl.col("kind") == "purchase"))["list_cents"].sum()
    assert expected == pytest.approx(spent, rel=0.15)
