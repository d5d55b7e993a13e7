"""From a first draw to a plan that pays: customers with an offer are made to buy four times as much, and it is seen."""

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

FACTOR = 4
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
    market = SimulatedMarket(draw_shop(2, 400))
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
        file = with_arms(PLAN_FILE.conform(listed.with_columns(status)), first, shop.store.frame("draws"))
    look()
    now = START_MS + market.week * WEEK_MS
    market.advance(4)
    events = market.events
    more = events.filter((pl.col("ts_ms") >= now) & pl.col("customer_id").is_in(given.implode()))
    again = [more.with_columns(pl.col("order_id") + f"-{k}", pl.col("ts_ms") + 60_000 * k) for k in range(1, FACTOR)]
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
            rel=1e-3,  # goods are rounded by row
        )
        assert waits(folder, settings, served)
        return (
            Plan(shop.store, note), Plan(shop.store, second.note),
            learned.summary.text + "\n".join(learned.proposal.changes), stages, file,
        )  # fmt: skip


def test_the_first_plan_is_a_draw_that_says_what_it_will_teach_and_cost(told: Told) -> None:
    note = told[0].note
    assert note.drawn
    assert 0 < note.cost_cents <= note.budget_cents
    assert any("After 28 days you will know effects of at least" in text for text in note.why)
    assert any("all that is given costs at most" in text for text in note.why)
    with Store(told[0].store.root) as store:
        kept = LineTestNote.load(store)
    assert kept.cost_cents < kept.ceiling_cents <= note.budget_cents


def test_four_times_as_much_leads_to_offers(told: Told) -> None:
    first, second, said, *_ = told
    assert second.note.treated > first.note.treated
    assert second.note.gain_cents > 0
    given = [each for each in second.note.terms.effects if each.state == "give"]
    assert given
    assert all(each.net_cents > 0 and each.pays >= 0.8 for each in given)
    assert any(each.n_arm > 0 for each in given)
    assert "given" in said


def test_the_plan_goes_by_the_numbers_that_were_approved(told: Told) -> None:
    effects = told[1].note.terms.effects
    assert effects
    assert "customers get what has been shown to pay" in " ".join(told[1].note.why)


def test_the_shop_is_told_where_it_stands_at_every_step(told: Told) -> None:
    assert told[3] == ["data", "testing", "learning", "learning", "learning", "paying"]
    assert "Where this shop stands: learning" in told[2]
    assert "`promolift learn approve`" in told[2]


def test_the_list_to_send_names_arm_and_group(told: Told) -> None:
    file = PLAN_FILE.check(told[4])
    assert set(file.filter(status="offer")["arm"]) == {"all-10"}
    assert set(file.filter(status="holdout")["arm"]) == {"none"}
    assert file["group"].null_count() == 0


def test_a_reminder_that_is_believed_to_gain_goes_to_most_and_propensities_say_so(tmp_path: Path) -> None:
    """Of every group at least two thirds get it, a control gets nothing, and who got what is as likely as was kept."""
    market = SimulatedMarket(draw_shop(2, 1500))
    market.advance(40)
    market.events.write_parquet(tmp_path / "events.parquet")
    market.products.write_csv(tmp_path / "products.csv")
    settings = config(
        tmp_path, {"id": "letter", "benefit": {"type": "reminder"}}, groups=("often", "price_sensitivity")
    )
    with Shop.of(settings, tmp_path / "work") as shop:
        plan = shop.plan()
        drawn, note = shop.store.frame("draws"), LineTestNote.load(shop.store)
    stated = drawn.explode("arms").unnest("arms", separator=":").rename({"arms:arm": "may", "arms:prob": "prob"})
    for (group,), mine in drawn.partition_by("group", as_dict=True).items():
        for arm in ("letter", "all-10"):
            prob = stated.filter(group=group, may=arm)["prob"]
            sd = float((prob * (1 - prob)).sum()) ** 0.5
            assert abs(float(prob.sum()) - mine.filter(arm=arm).height) <= 4 * sd + 1e-9
        none = mine["none_prob"]
        assert abs(float(none.sum()) - mine.filter(arm="none").height) <= 4 * float((none * (1 - none)).sum()) ** 0.5
    big = {each.group for each in note.tested if each.treated + each.none >= 100}
    letters = drawn.filter(pl.col("group").is_in(big)).group_by("group").agg(
        (pl.col("arm") == "letter").mean().alias("got"), (pl.col("arm") == "none").mean().alias("none")
    )  # fmt: skip
    assert "often" in big, "a segment of the shop's own, in place of where its members stood"
    assert letters["got"].min() > 0.6
    assert letters["none"].min() > 0.1
    assert note.given == 0, "nothing has been shown to pay"
    assert note.ceiling_cents <= note.budget_cents
    assert "most get it and a control does not" in " ".join(plan.note.why)
    assert "to tell the halves apart a group needs" in " ".join(plan.note.why)


def test_where_nothing_pays_it_stops_and_says_so_and_a_new_name_tests_again(tmp_path: Path) -> None:
    """Who gets a letter buys nothing: after two tests at most nobody gets anything, and every door says how to begin
    anew."""
    market = SimulatedMarket(draw_shop(2, 400))
    market.advance(40)
    events = market.events
    events.write_parquet(tmp_path / "events.parquet")
    market.products.write_csv(tmp_path / "products.csv")
    letter: dict[str, object] = {"id": "letter", "benefit": {"type": "reminder"}}
    settings = config(tmp_path, letter)
    kinds: list[str] = []
    while "stop" not in kinds:
        assert len(kinds) < 2
        with Shop.of(settings, tmp_path / "work") as shop:
            given = shop.plan().chosen["customer_id"]
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
        kinds.append(learned.kind)
        approve_proposal(ProposalLocation(settings, tmp_path / "work", tmp_path / "learned"))
    tests = "1 test" if len(kinds) == 1 else "2 tests"
    assert learned.why == f"after {tests} nothing has been shown to pay: no offers are given any more"
    with Shop.of(settings, tmp_path / "work") as shop:
        stopped = shop.plan()
        said, page = " ".join(stopped.note.why), shop.report(tmp_path / "page").read_text(encoding="utf-8")
    where = show_shop_status(settings, tmp_path / "work", tmp_path / "learned")
    assert stopped.note.treated == 0
    assert where.figures["stage"] == "stopped"
    for text in (said, where.text, page):
        assert f"After {tests} (they would have shown a gain of" in text
        assert "give plan.campaign a new name" in text
    with Shop.of(config(tmp_path, letter, campaign="again"), tmp_path / "work") as shop:
        assert shop.plan().note.treated > 0
