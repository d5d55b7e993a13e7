"""Every number that a plan's gain hangs on is perturbed: by the product's own valuation, anew, on drawn shops."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from planned_shop import drawn_shop, menu, shop_config

from promolift.core.effects import DiscountSettings, ValueSettings
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning.offer_candidates import CandidateInputs, candidates
from promolift.shop.pipeline.steps import plan
from promolift.shop.reports.assumptions import Lever, find_levers
from promolift.shop.results import effects
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job, moments

STEP = 1.25  # by which a number is perturbed
FIELDS = tuple(
    f"value.{name}" for name, field in ValueSettings.model_fields.items() if field.annotation in (int, float)
)
LINES = ("supplier_share", "send_cost_cents")
NAMES = {"value.margin_rate": "margin", "value.send_cost_cents": "send_cost", "value.coupon_reach": "coupon_reach",
         "value.stretch_share": "stretch_share", "value.delivery_cost_cents": "delivery_cost",
         "supplier_share": "supplier_share", "send_cost_cents": "send_cost"}  # fmt: skip


def gain(job: Job, keys: pl.DataFrame) -> float:
    """What the offers that were chosen gain, valued anew."""
    rows = candidates(CandidateInputs(job, moments(job))).rows
    return float(rows.join(keys, on=["customer_id", "offer_id"], how="semi")["gain_cents"].sum())


def larger(field: str, value: float) -> float:
    """A number of a line a quarter larger; of a share that suppliers pay, the shop's own part a fifth smaller."""
    if field == "supplier_share":
        return 1 - (1 - value) / STEP if value > 0 else 0.0
    return STEP * value


def moved(config: Config, field: str) -> tuple[Config, float]:
    """The settings with a number a quarter larger, and that number: of lines a quarter of their mean."""
    if field in LINES:
        lines = tuple(each.model_copy(update={field: larger(field, getattr(each, field))}) for each in config.menu)
        return config.model_copy(update={"menu": lines}), STEP
    name = field.removeprefix("value.")
    value = STEP * getattr(config.value, name)
    value = int(value) if name in ("horizon_days", "delivery_cost_cents") else value
    return config.model_copy(update={"value": config.value.model_copy(update={name: value})}), float(value)


@pytest.fixture(params=[1, 3, 4])
def planned(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    config = shop_config(
        menu=menu(0.6), value={"margin_rate": 0.5}, plan={"min_evidence": "assumed", "budget_cents": 9000}
    )
    with Store(tmp_path) as store:
        drawn_shop(store, request.param)
        store.save("products", store.frame("products").with_columns(cost_cents=pl.lit(None, pl.Int64)))
        job = Job(config, store, lambda *_: None)
        plan.run(job)
        found = Plan.load(store)
        levers = find_levers(found.chosen, effects.load_response(store), config.value, False)
        yield job, found, {each.name: each for each in levers}


@pytest.mark.parametrize("field", [*FIELDS, *LINES])
def test_a_number_that_moves_the_gain_has_a_lever_that_moves_it_as_the_valuation_does(field: str, planned: Any) -> None:
    job, found, levers = planned
    keys, before = found.chosen.select("customer_id", "offer_id"), found.note.gain_cents
    assert gain(job, keys) == pytest.approx(before, rel=1e-6)
    config, value = moved(job.config, field)
    after = gain(Job(config, job.store, job.tell), keys)
    if abs(after - before) <= 0.005 * abs(before):
        return
    lever: Lever = levers[NAMES[field]]
    said = lever.value_at(larger(field, lever.taken) if field in LINES else value)
    assert said - before == pytest.approx(after - before, rel=0.25, abs=0.01 * abs(before))


def test_at_the_number_that_is_named_the_plan_earns_nothing(planned: Any) -> None:
    *_, levers = planned
    turned = [each for each in levers.values() if each.flips_at() is not None]
    assert len(turned) >= 3
    for each in turned:
        assert each.value_at(each.flips_at()) == pytest.approx(0.0, abs=1e-4)


def test_the_prior_of_offers_with_a_threshold_is_perturbed_with_the_response(planned: Any) -> None:
    _, found, levers = planned
    assert DiscountSettings().prior_response > 0
    if found.chosen["benefit"].is_in(["amount_off", "free_shipping"]).any():
        assert levers["response"].value_at(0.5) != pytest.approx(found.note.gain_cents)
