"""From a first draw to a plan that pays: customers with an offer are made to order more, and it is seen."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from living_shop import config

from promolift.extensions.simulation.worlds.market import START_MS, WEEK_MS, SimulatedMarket, draw_shop
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import PLAN_FILE
from promolift.server.ledger.records import LearningProposal
from promolift.server.tasks.learning_schedule import store_proposal
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import LearnSettings
from promolift.shop.feedback.learning import Request, run_learn
from promolift.shop.feedback.proposal import Proposal, ProposalLocation, approve_proposal, show_shop_status
from promolift.shop.pipeline.shop import Shop
from promolift.shop.pipeline.steps.report import with_arms
from promolift.shop.results.line_tests import LineTestNote
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.active_release import load_approved_release

MORE = 4  # orders, less one, that everybody with an offer places after it
Told = tuple[Plan, Plan, str, list[str], pl.DataFrame]


def heard(folder: Path, settings: Config, decisions: pl.DataFrame, events: pl.DataFrame) -> Proposal:
    """What a server that made these decisions and heard these orders learns, its work folder knowing no later log."""
    decisions.write_parquet(folder / "decisions.parquet")
    clean = events.with_columns(kind=pl.lit("purchase"), revenue_cents="paid_cents")
    clean.write_parquet(folder / "heard.parquet")
    files = (folder / "decisions.parquet", folder / "heard.parquet")
    request = Request(*files, folder / "work", folder / "served", settings, LearnSettings())
    found = run_learn(request, lambda *_: None).proposal
    assert found is not None
    return found


def waits(folder: Path, settings: Config, proposal: Proposal) -> bool:
    """A proposal of draws waits for the next plan: the server derives no release, and approves only where it may."""
    found = LearningProposal(release=proposal.release, why=proposal.why, within_guardrails=True)
    other = folder / "other"
    states = []
    for alone in (False, True):
        server: Any = SimpleNamespace(settings=SimpleNamespace(work=other, learn=SimpleNamespace(release=alone)))
        run = store_proposal(server, settings.plan.campaign, found)
        with Store(other) as store:
            states.append((run.status, load_approved_release(store, settings.plan.campaign) is not None))
    return states == [("proposed", False), ("approved", True)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The plan of the first draw, the plan after it was learned from, what `learn` said, where the shop stood at each
    step, and the first plan's file."""
    folder = tmp_path_factory.mktemp("earn")
    market = SimulatedMarket(draw_shop(2, 800))
    market.advance(40)
    market.events.write_parquet(folder / "events.parquet")
    market.products.write_csv(folder / "products.csv")
    settings = config(folder)
    stages: list[str] = []

    def look() -> None:
        stages.append(str(show_shop_status(settings, folder / "work", folder / "learned").figures["stage"]))

    look()
    with Shop.of(settings, folder / "work") as shop:
        first = shop.plan()
        given = first.chosen["customer_id"]
        note = first.note
        status = pl.when(pl.col("holdout")).then(pl.lit("holdout")).otherwise(pl.lit("offer")).alias("status")
        listed = first.decisions.filter((pl.col("offer_id") != "none") | pl.col("holdout"))
        file = with_arms(PLAN_FILE.conform(listed.with_columns(status)), first, shop.store.frame("draws"), "UTC")
    look()
    now = START_MS + market.week * WEEK_MS
    market.advance(4)
    events = market.events
    last = pl.col("ts_ms") == pl.col("ts_ms").max().over("customer_id")
    old = events.filter((pl.col("ts_ms") < now) & pl.col("customer_id").is_in(given.implode())).filter(last)
    again = [old.with_columns(pl.col("order_id") + f"-{k}", ts_ms=pl.lit(now + 86_400_000 * k, pl.Int64))
             for k in range(1, MORE)]  # fmt: skip
    pl.concat([events, *again]).write_parquet(folder / "events.parquet")
    served = heard(folder, settings, first.decisions, pl.concat([events, *again]))
    with Shop.of(settings, folder / "work") as shop:
        shop.step("ingest")
    look()
    learned = run_learn(
        Request(None, None, folder / "work", folder / "learned", settings, LearnSettings()), lambda *_: None
    )
    look()
    assert learned.proposal is not None
    approve_proposal(ProposalLocation(settings, folder / "work", folder / "learned"))
    look()
    with Shop.of(settings, folder / "work") as shop:
        second = shop.plan()
        kept = shop.store.frame("draws")
    look()
    with Shop.of(settings, folder / "work") as shop:
        assert kept["ts_ms"].n_unique() == 2, "decisions of both windows are kept"
        assert [each.net_cents for each in served.release.effects] == pytest.approx(
            [each.net_cents for each in learned.proposal.release.effects],
            rel=1e-2,  # goods are rounded by row
        )
        assert waits(folder, settings, served)
        return (
            Plan(shop.store, note), Plan(shop.store, second.note),
            learned.summary.text + "\n".join(learned.proposal.changes), stages, file,
        )  # fmt: skip


def test_the_first_plan_is_a_draw_within_its_budget(told: Told) -> None:
    note = told[0].note
    assert note.drawn
    assert 0 < note.cost_cents <= note.budget_cents
    with Store(told[0].store.root) as store:
        kept = LineTestNote.load(store)
    assert kept.cost_cents < kept.ceiling_cents
    assert all(each.state == "test" and each.prob for each in note.terms.effects)


def test_what_brings_orders_is_drawn_by_more(told: Told) -> None:
    first, second, *_ = told
    assert second.note.treated > first.note.treated
    assert second.note.gain_cents > 0
    given = [each for each in second.note.terms.effects if each.state == "give"]
    assert given
    assert all(each.net_cents > 0 and each.pays >= 0.8 for each in given)
    assert any(each.n_arm > 0 for each in given)


def test_the_shop_is_told_where_it_stands_at_every_step(told: Told) -> None:
    assert told[3] == ["data", "planned", "learning", "learning", "learning", "paying"]
    assert "Where this shop stands: learning" in told[2]
    assert "`promolift learn approve`" in told[2]


def test_the_list_to_send_names_arm_and_group(told: Told) -> None:
    file = PLAN_FILE.check(told[4])
    assert set(file.filter(status="offer")["arm"]) == {"all-10"}
    assert set(file.filter(status="holdout")["arm"]) == {"none"}
    assert file["group"].null_count() == 0
    share = {(each.arm, each.group): 0.9 * (each.prob or 0.0) for each in told[0].note.terms.effects}
    given = file.filter(status="offer")
    assert given["propensity"].to_list() == pytest.approx(
        [share[pair] for pair in given.select("arm", "group").iter_rows()]
    )


def drawn(folder: Path, customers: int) -> tuple[pl.DataFrame, LineTestNote, Plan]:
    """A first plan with a reminder on the menu: everybody's draw, the note and the plan."""
    market = SimulatedMarket(draw_shop(2, customers))
    market.advance(40)
    market.events.write_parquet(folder / "events.parquet")
    market.products.write_csv(folder / "products.csv")
    with Shop.of(config(folder, {"id": "letter", "benefit": {"type": "reminder"}}), folder / "work") as shop:
        plan = shop.plan()
        return shop.store.frame("draws"), LineTestNote.load(shop.store), plan


def test_who_drew_what_is_as_likely_as_was_kept(tmp_path: Path) -> None:
    rows, note, plan = drawn(tmp_path, 1500)
    stated = rows.explode("arms").unnest("arms", separator=":").rename({"arms:arm": "may", "arms:prob": "prob"})
    for (group,), mine in rows.partition_by("group", as_dict=True).items():
        for arm in ("letter", "all-10"):
            prob = stated.filter(group=group, may=arm)["prob"]
            sd = float((prob * (1 - prob)).sum()) ** 0.5
            assert abs(float(prob.sum()) - mine.filter(arm=arm).height) <= 4 * sd + 1e-9
        none = mine["none_prob"]
        assert abs(float(none.sum()) - mine.filter(arm="none").height) <= 4 * float((none * (1 - none)).sum()) ** 0.5
    assert {"letter", "all-10", "none"} <= set(rows["arm"])
    assert note.targeted == 0
    assert plan.note.cost_cents <= plan.note.budget_cents
    active = rows.filter(group="active")
    assert active.height
    assert set(active["arm"]) <= {"letter", "none"}  # to whom a discount is dear: it comes last


@pytest.mark.slow
def test_what_hardly_pays_rests_and_nothing_stops_for_good(tmp_path: Path) -> None:
    """Who gets anything buys nothing afterwards: what was sent rests, and the page and `next` say so."""
    market = SimulatedMarket(draw_shop(2, 1500))
    market.advance(40)
    events = market.events
    events.write_parquet(tmp_path / "events.parquet")
    market.products.write_csv(tmp_path / "products.csv")
    settings = config(tmp_path, {"id": "letter", "benefit": {"type": "reminder"}})
    sent = []
    for _ in range(2):
        with Shop.of(settings, tmp_path / "work") as shop:
            given = shop.plan().chosen["customer_id"]
        sent.append(given.len())
        now, before = START_MS + market.week * WEEK_MS, events
        market.advance(4)
        kept = (pl.col("ts_ms") >= now) & ~pl.col("customer_id").is_in(given.implode())
        events = pl.concat([before, market.events.filter(kept)])
        events.write_parquet(tmp_path / "events.parquet")
        with Shop.of(settings, tmp_path / "work") as shop:
            shop.step("ingest")
        request = Request(None, None, tmp_path / "work", tmp_path / "learned", settings, LearnSettings())
        learned = run_learn(request, lambda *_: None).proposal
        assert learned is not None
        assert learned.kind in ("test", "stop")
        approve_proposal(ProposalLocation(settings, tmp_path / "work", tmp_path / "learned"))
    shown = [each for each in learned.release.effects if each.n_arm >= 20]
    assert shown
    assert all(each.net_cents < 0 for each in shown)
    assert sum(each.prob or 0.0 for each in shown) < 0.5 * len(shown)
    with Shop.of(settings, tmp_path / "work") as shop:
        third = shop.plan()
        assert shop.report(tmp_path / "page").is_file()
    assert third.note.treated < sent[0]


@pytest.mark.slow
def test_a_small_shop_learns_from_its_draws_though_its_holdout_says_nothing(tmp_path: Path) -> None:
    market = SimulatedMarket(draw_shop(2, 250))
    market.advance(40)
    market.events.write_parquet(tmp_path / "events.parquet")
    market.products.write_csv(tmp_path / "products.csv")
    settings = config(tmp_path, {"id": "letter", "benefit": {"type": "reminder"}}, budget_cents=10_000_000)
    with Shop.of(settings, tmp_path / "work") as shop:
        plan = shop.plan()
        assert LineTestNote.load(shop.store).replaced == 0
    other = settings.model_copy(update={"plan": settings.plan.model_copy(update={"seed": 5})})
    with Shop.of(other, tmp_path / "work") as shop:
        shop.plan()
        assert LineTestNote.load(shop.store).replaced > 0  # the same day drew otherwise before
    with Shop.of(settings, tmp_path / "work") as shop:
        shop.plan()
    assert plan.note.drawn
    assert 0 < plan.note.held_out < 30
    assert plan.note.treated
    market.advance(4)
    market.events.write_parquet(tmp_path / "events.parquet")
    with Shop.of(settings, tmp_path / "work") as shop:
        shop.step("ingest")
    learned = run_learn(
        Request(None, None, tmp_path / "work", tmp_path / "out", settings, LearnSettings()), lambda *_: None
    )
    assert learned.proposal is not None
    assert any(each.n_arm for each in learned.proposal.release.effects)
