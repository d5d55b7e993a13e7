"""Proposals in the story: candidates of lines that later steps can look up, and a plan that can only get better."""

from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.core import allocation
from promolift.core.effects import assumed_response
from promolift.core.offers.settings import OfferProposalSettings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CANDIDATES
from promolift.shop.configuration.configuration import load_config
from promolift.shop.pipeline.pipeline import run
from promolift.shop.pipeline.planning import offer_search
from promolift.shop.pipeline.planning.offer_targets import CandidateScene
from promolift.shop.pipeline.steps import plan
from promolift.shop.results.work_folder.run_context import Job, moments


@pytest.fixture(scope="module")
def job(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A small shop as far as its effects."""
    folder = tmp_path_factory.mktemp("proposals")
    files = [part for name in ("events", "products") for part in (f"--{name}", str(own_files / f"{name}.csv"))]
    with pytest.raises(SystemExit):
        main(["init", *files, "--config", str(folder / "promolift.toml")])
    config = load_config(folder / "promolift.toml")
    assert config.offer.proposals == "grid"  # the default
    bare = config.model_copy(update={"offer": OfferProposalSettings(proposals="none")})
    made = Job(bare, Store(folder / "work"), lambda *_: None)
    run(made, ["ingest", "profile", "effect"])
    return made


def test_the_grid_adds_candidates_that_steps_can_print_and_a_plan_that_gains(job: Job) -> None:
    at, rules = moments(job), job.config.rules
    scene = CandidateScene(job, at)
    listed, asked = plan.candidates(scene).rows, OfferProposalSettings(proposals="grid")
    both, menu, _ = offer_search.with_proposals(job, at, listed, rules, asked, scene.inputs())
    CANDIDATES.check(both)
    added = both.join(listed, on=["customer_id", "offer_id"], how="anti")
    lines = {item.id for item in menu}
    assert added.height > 0
    assert both.height == listed.height + added.height
    assert set(both["menu_id"]) - {"none"} <= lines
    assert added["eligible"].all()
    assert added["target"].str.contains(" ++ ", literal=True).any()
    assert added["menu_id"].n_unique() <= 3
    assert added.group_by("customer_id", "menu_id").len()["len"].max() <= 3

    def gain(valued: pl.DataFrame) -> float:
        measured = plan.close_weak(valued, plan.evidence_floor(job, valued))
        return allocation.plan(measured.filter(pl.col("eligible") & (pl.col("offer_id") != "none")), 20_000).gain_cents

    assert gain(both) > 1.02 * gain(listed)


def test_none_keeps_to_the_menu(job: Job) -> None:
    at, rules = moments(job), job.config.rules
    scene = CandidateScene(job, at)
    listed, asked = plan.candidates(scene).rows, OfferProposalSettings(proposals="none")
    same, menu, _ = offer_search.with_proposals(job, at, listed, rules, asked, scene.inputs())
    assert same.equals(listed)
    assert menu == job.config.menu


def test_nothing_is_proposed_where_effects_are_only_assumed(job: Job) -> None:
    at, kept = moments(job), job.store.load_json("response")
    try:
        job.store.save_json("response", assumed_response("a test", job.config.discount).to_dict())
        scene = CandidateScene(job, at)
        listed, asked = plan.candidates(scene).rows, OfferProposalSettings(proposals="grid")
        same, menu, _ = offer_search.with_proposals(job, at, listed, job.config.rules, asked, scene.inputs())
        assert same.equals(listed)
        assert menu == job.config.menu
    finally:
        job.store.save_json("response", kept)


def test_the_generator_refuses_a_shop_without_accepted_coupons(job: Job) -> None:
    pytest.importorskip("torch")
    at, asked = moments(job), OfferProposalSettings(proposals="gan")
    listed, people = plan.candidates(CandidateScene(job, at)).rows, CandidateScene(job, at).inputs()
    with raises_code("coupon_purchases_missing", "offer.proposals", "'gan'"):
        offer_search.with_proposals(job, at, listed, job.config.rules, asked, people)
