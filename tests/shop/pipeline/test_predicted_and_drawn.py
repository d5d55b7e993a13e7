"""One plan holds both: who is known to pay gets their offer, all others draw, and what comes of either is learned."""

from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from living_shop import config

from promolift.core.experiments.audiences import NOT_DUE, PREDICTED
from promolift.extensions.simulation.worlds.market import START_MS, WEEK_MS, SimulatedMarket, draw_shop
from promolift.foundation.progress import no_progress
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.feedback.proposal import ProposalLocation, approve_proposal
from promolift.shop.pipeline.planning.arms_in_play import CELLS
from promolift.shop.pipeline.planning.predicted_offers import (
    MOST_CARRIED,
    MOST_OF_PLAN,
    with_earlier_cells,
)
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.line_tests import LineTestNote
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job

BUDGET, HELD, WEEKS, TEST_SHARE = 20_000, 0.2, 40, 0.1


def settings(folder: Path, **plan: object) -> Config:
    """Offers of assumed effect count here, and a supplier pays for all of their discount."""
    own = config(folder, **{"test_share": TEST_SHARE, "budget_cents": BUDGET, "holdout_share": HELD,
                                      "min_evidence": "assumed"} | plan)  # fmt: skip
    return own.model_copy(update={"menu": tuple(each.model_copy(update={"supplier_share": 1.0}) for each in own.menu)})


def write_shop(folder: Path, seed: int) -> SimulatedMarket:
    market = SimulatedMarket(draw_shop(seed, 400))
    market.advance(WEEKS)
    market.events.write_parquet(folder / "events.parquet")
    market.products.write_csv(folder / "products.csv")
    return market


@pytest.fixture(scope="module", params=[2, 4, 5])
def planned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulatedMarket]:
    folder = tmp_path_factory.mktemp("both")
    market = write_shop(folder, request.param)
    with Shop.of(settings(folder), folder / "work") as shop:
        shop.plan()
    return folder, market


class Made(NamedTuple):
    """A plan with draws as it is kept."""

    plan: PlanNote
    chosen: pl.DataFrame
    decisions: pl.DataFrame
    draws: pl.DataFrame


def made_plan(folder: Path) -> Made:
    with Shop.of(settings(folder), folder / "work") as shop:
        plan = Plan.load(shop.store)
        return Made(plan.note, plan.chosen, plan.decisions, shop.store.frame("draws"))


def drawn_note(folder: Path) -> LineTestNote:
    with Shop.of(settings(folder), folder / "work") as shop:
        return LineTestNote.load(shop.store)


def test_every_customer_has_one_probability_and_the_record_holds_it(planned: tuple[Path, SimulatedMarket]) -> None:
    folder, _ = planned
    plan, _, decisions, draws = made_plan(folder)
    tests = drawn_note(folder)
    assert set(draws["group"]) > {PREDICTED}  # both kinds
    assert plan.tests is not None
    assert plan.treated == plan.by_prediction + plan.tests.customers
    assert tests.targeted == plan.by_prediction > 0
    assert tests.tested
    arms = draws.explode("arms").unnest("arms", separator=":")
    whole = arms.group_by("customer_id").agg(pl.col("arms:prob").sum() + pl.col("none_prob").first())
    assert whole["arms:prob"].to_numpy() == pytest.approx(1.0)
    predicted = draws.filter(group=PREDICTED)
    assert (predicted["none_prob"] - HELD).abs().max() == pytest.approx(0.0, abs=1e-9)
    both = draws.join(decisions.select("customer_id", "offer_id", "propensity"), on="customer_id")
    some = arms.filter(pl.col("arm") == pl.col("arms:arm")).select("customer_id", prob="arms:prob")
    both = both.join(some, on="customer_id", how="left")
    assert (both["propensity"] - both["prob"].fill_null(both["none_prob"])).abs().max() < 1e-9
    assert (both["arm"] == "none").equals(both["offer_id"] == "none")


def test_who_comes_anyway_gets_no_discount_on_the_whole_order(planned: tuple[Path, SimulatedMarket]) -> None:
    folder, _ = planned
    _, chosen, _, draws = made_plan(folder)
    given = chosen.join(draws.select("customer_id", "group"), on="customer_id")
    assert given.filter(pl.col("group") == NOT_DUE).is_empty()
    alone = settings(folder, test_share=0.0)
    with Shop.of(alone, folder / "alone") as shop:  # by predicted gains alone they got one
        without = shop.plan().chosen.filter(scope="all")["customer_id"]
    waiting = draws.filter(group=NOT_DUE)["customer_id"]
    assert without.is_in(waiting.implode()).any()
    assert not given.filter(pl.col("scope") == "all", pl.col("group") == PREDICTED)["customer_id"].is_in(
        waiting.implode()
    ).any()  # fmt: skip


def test_the_budget_holds_both_and_nobody_carries_the_plan(planned: tuple[Path, SimulatedMarket]) -> None:
    folder, _ = planned
    _, chosen, _, draws = made_plan(folder)
    tests = drawn_note(folder)
    mine = chosen.join(draws.filter(group=PREDICTED).select("customer_id"), on="customer_id", how="semi")
    cost = float(mine["cost_cents"].sum())
    assert cost <= (1 - TEST_SHARE) * BUDGET + 1
    assert tests.budget_cents == pytest.approx(BUDGET - cost + TEST_SHARE * BUDGET)
    assert tests.ceiling_cents <= tests.budget_cents * 1.1  # of whom the draw fell on, by chance
    assert cost + tests.cost_cents <= BUDGET * 1.05
    gain, all_ = mine["gain_cents"], draws.filter(group=PREDICTED).height
    assert gain.max() <= max(MOST_OF_PLAN * all_, MOST_CARRIED) * gain.mean() * 1.3  # type: ignore[operator]


def test_what_came_of_both_moves_the_next_plan(planned: tuple[Path, SimulatedMarket], tmp_path: Path) -> None:
    folder, market = planned
    given = made_plan(folder).draws.filter(pl.col("group") == PREDICTED, pl.col("arm") != "none")["customer_id"]
    market.advance(4)
    now = START_MS + WEEKS * WEEK_MS
    bought = (pl.col("ts_ms") >= now) & pl.col("customer_id").is_in(given.implode())
    market.events.filter(~bought).write_parquet(
        folder / "events.parquet"
    )  # who was predicted to buy more bought nothing
    with Shop.of(settings(folder), folder / "work") as shop:
        shop.step("ingest")
    files = (None, None, folder / "work", tmp_path / "learned", settings(folder))
    proposal = run_learn(Request(*files, LearnSettings()), lambda *_: None).proposal
    assert proposal is not None
    aimed = [each for each in proposal.release.effects if each.aimed]
    assert {each.group for each in aimed} == {PREDICTED}
    assert any(each.n_arm and each.net_cents < 0 for each in aimed)
    assert any(each.n_arm and not each.aimed for each in proposal.release.effects)
    approve_proposal(ProposalLocation(settings(folder), folder / "work", tmp_path / "learned"))
    with Shop.of(settings(folder), folder / "work") as shop:
        plan, draws = shop.plan(), shop.store.frame("draws")
    latest = draws.filter(ts_ms=pl.col("ts_ms").max())
    lost = {each.arm for each in aimed if each.n_arm and each.pays < 0.05}
    assert not lost & set(latest.filter(group=PREDICTED)["arm"])
    assert plan.note.by_prediction < len(given)
    assert latest.filter(pl.col("group") != PREDICTED, pl.col("arms").list.len() > 0).height  # tests go on


def test_an_audience_that_one_plan_does_not_have_keeps_what_was_learned(tmp_path: Path) -> None:
    def cells(*pairs: tuple[str, str]) -> pl.DataFrame:
        rows = [(arm, group, 0.0, 1.0, 5.0, 40, 100.0, group == PREDICTED) for arm, group in pairs]
        return pl.DataFrame(rows, CELLS, orient="row")

    own = settings(tmp_path)
    with Store(tmp_path / "work") as store:
        job = Job(own, store, no_progress)
        store.save(
            "arms", cells(("all-10", "absent"), ("all-10", "long absent"), ("gone", "absent"), ("new", PREDICTED))
        )
        found = with_earlier_cells(job, cells(("all-10", "long absent")))
    assert found.select("arm", "group", "customers").rows() == [
        ("all-10", "long absent", 40), ("all-10", "absent", 0), ("new", PREDICTED, 0),
    ]  # fmt: skip
