"""Proposals in the story: candidates of lines that later steps can look up, and a plan that can only get better."""

from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.core import allocation
from promolift.core.effects import assumed_response
from promolift.core.offers.proposals import PROPOSALS
from promolift.core.offers.settings import OfferProposalSettings
from promolift.foundation import extension
from promolift.foundation.extension import Extension
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CANDIDATES
from promolift.shop.configuration.configuration import load_config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.pipeline.planning import offer_candidates, offer_search, plan_limits
from promolift.shop.pipeline.planning.offer_targets import CandidateInputs
from promolift.shop.results.work_folder.run_context import Job, moments

ODD = {3, 7, 13, 27, 41}  # percentages


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
    run_steps(made, ["ingest", "profile", "effect"])
    return made


def test_the_grid_adds_candidates_that_steps_can_print_and_a_plan_that_gains(job: Job) -> None:
    at, rules = moments(job), job.config.rules
    scene = CandidateInputs(job, at)
    listed, asked = offer_candidates.candidates(scene).rows, OfferProposalSettings(proposals="grid")
    both, menu, _ = offer_search.add_proposals(job, at, listed, rules, asked, scene.inputs())
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
        measured = plan_limits.close_weak(valued, plan_limits.evidence_floor(job, valued))
        return allocation.plan(measured.filter(pl.col("eligible") & (pl.col("offer_id") != "none")), 20_000).gain_cents

    assert gain(both) > 1.02 * gain(listed)


def odd_cuts(job: Job, at: object, people: object, grid: pl.DataFrame, *_: object) -> pl.DataFrame:
    """A candidate source: percentages that no grid prints, on all that the grid is about."""
    about = grid.select("customer_id", "scope", "target").unique(maintain_order=True)
    cuts = pl.DataFrame({"percent": sorted(ODD)}).with_columns(
        benefit=pl.lit("percent_off"), amount_cents=pl.lit(0), min_spend_cents=pl.lit(0)
    )
    return PROPOSALS.conform(about.join(cuts, how="cross"))


def test_the_candidates_of_an_extension_are_valued_as_any_other(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Extension("mine", candidates={"odd-cuts": "test_propose_step:odd_cuts"})
    some = (*extension.extensions(), mine)
    monkeypatch.setattr(extension, "extensions", lambda: some)
    at, asked = moments(job), OfferProposalSettings(proposals="odd-cuts", least_share=0.0)
    scene = CandidateInputs(job, at)
    listed = offer_candidates.candidates(scene).rows
    both, menu, _ = offer_search.add_proposals(job, at, listed, job.config.rules, asked, scene.inputs())
    added = both.join(listed, on=["customer_id", "offer_id"], how="anti")
    assert added.height > 0
    assert {item.benefit.percent for item in menu if item.id in set(added["menu_id"])} <= ODD
    assert added["gain_cents"].is_not_null().all()


def test_none_keeps_to_the_menu(job: Job) -> None:
    at, rules = moments(job), job.config.rules
    scene = CandidateInputs(job, at)
    listed, asked = offer_candidates.candidates(scene).rows, OfferProposalSettings(proposals="none")
    same, menu, _ = offer_search.add_proposals(job, at, listed, rules, asked, scene.inputs())
    assert same.equals(listed)
    assert menu == job.config.menu


def test_nothing_is_proposed_where_effects_are_only_assumed(job: Job) -> None:
    at, kept = moments(job), job.store.load_json("response")
    try:
        job.store.save_json("response", assumed_response("a test", job.config.discount).to_dict())
        scene = CandidateInputs(job, at)
        listed, asked = offer_candidates.candidates(scene).rows, OfferProposalSettings(proposals="grid")
        same, menu, _ = offer_search.add_proposals(job, at, listed, job.config.rules, asked, scene.inputs())
        assert same.equals(listed)
        assert menu == job.config.menu
    finally:
        job.store.save_json("response", kept)


def test_the_generator_refuses_a_shop_without_accepted_coupons(job: Job) -> None:
    pytest.importorskip("torch")
    at, asked = moments(job), OfferProposalSettings(proposals="gan")
    listed, people = offer_candidates.candidates(CandidateInputs(job, at)).rows, CandidateInputs(job, at).inputs()
    with raises_code("coupon_purchases_missing", "offer.proposals", "'gan'"):
        offer_search.add_proposals(job, at, listed, job.config.rules, asked, people)
