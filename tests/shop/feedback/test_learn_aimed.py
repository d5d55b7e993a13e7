"""A plan by predicted gains keeps what it drew, too: what came of it, the holdout beside, moves the next plan."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from living_shop import config

from promolift.extensions.simulation.worlds.market import START_MS, WEEK_MS, SimulatedMarket, draw_shop
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.feedback.proposal import Proposal, ProposalLocation, approve_proposal
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.plan_note import PlanNote

PLAN = {"test_share": 0.0, "budget_cents": 300_000, "holdout_share": 0.3, "min_evidence": "assumed"}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame, pl.Series]:
    """A shop in which offers pay by prediction, planned; its log of four weeks more, and who got an offer."""
    folder = tmp_path_factory.mktemp("aimed")
    market = SimulatedMarket(draw_shop(2, 400))
    market.advance(40)
    market.events.write_parquet(folder / "events.parquet")
    market.products.write_csv(folder / "products.csv")
    with Shop.of(rich(folder), folder / "work") as shop:
        given = shop.plan().chosen["customer_id"]
    market.advance(4)
    return folder, market.events, given


def rich(folder: Path) -> Config:
    """A supplier pays for nearly all of the discount."""
    own = config(folder, **PLAN)
    return own.model_copy(update={"menu": tuple(each.model_copy(update={"supplier_share": 0.9}) for each in own.menu)})


def after(lived: tuple[Path, pl.DataFrame, pl.Series], times: int, folder: Path) -> tuple[Proposal, PlanNote]:
    """What is proposed, and the plan made from it, where customers with an offer bought so many times as much."""
    old, events, given = lived
    shutil.copytree(old, folder, dirs_exist_ok=True)
    now = START_MS + 40 * WEEK_MS
    mine = (pl.col("ts_ms") >= now) & pl.col("customer_id").is_in(given.implode())
    again = [events.filter(mine).with_columns(pl.col("order_id") + f"-{k}", pl.col("ts_ms") + 60_000 * k)
             for k in range(times)]  # fmt: skip
    pl.concat([events.filter(~mine), *again]).write_parquet(folder / "events.parquet")
    settings = rich(folder)
    with Shop.of(settings, folder / "work") as shop:
        shop.step("ingest")
    files = (None, None, folder / "work", folder / "learned", settings)
    proposal = run_learn(Request(*files, LearnSettings()), lambda *_: None).proposal
    assert proposal is not None
    approve_proposal(ProposalLocation(settings, folder / "work", folder / "learned"))
    with Shop.of(settings, folder / "work") as shop:
        return proposal, shop.plan().note


@pytest.mark.slow
def test_what_earned_goes_on_and_what_lost_stops(lived: tuple[Path, pl.DataFrame, pl.Series], tmp_path: Path) -> None:
    assert lived[2].len() > 60
    more, next_more = after(lived, 4, tmp_path / "more")
    assert more.kind == "release"
    assert more.expected_per_customer > 0
    assert all(each.aimed for each in more.release.effects)
    assert next_more.treated > 60
    less, next_less = after(lived, 0, tmp_path / "less")
    assert less.kind != "release"
    assert next_less.treated == 0
    assert any(each.n_arm >= 20 and each.net_cents < 0 for each in less.release.effects)
