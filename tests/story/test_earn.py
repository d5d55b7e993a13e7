"""From a first draw to a plan that pays: customers with an offer are made to buy four times as much, and it is seen."""

from pathlib import Path

import polars as pl
import pytest

from promolift.config import Config
from promolift.learning.proposal import Where, approve, stands
from promolift.learning.run import LearnSettings, Request, run_learn
from promolift.results.plan import Plan
from promolift.shop import Shop
from promolift.simulate.market import START_MS, WEEK_MS, LivingShop, draw_shop
from promolift.steps.report import with_arms
from promolift.tables import PLAN_FILE

FACTOR = 4
Told = tuple[Plan, Plan, str, list[str], pl.DataFrame]


def config(folder: Path, **plan: object) -> Config:
    columns = {
        "customer_id": "customer_id", "time": "ts_ms", "order_id": "order_id", "product_id": "product_id",
        "quantity": "quantity", "amount": "paid_cents", "list_amount": "list_cents", "coupon_discount": "coupon_cents",
    }  # fmt: skip
    mapping = {"table": "events", "columns": columns, "money": "minor", "time_format": "epoch"}
    events = {"path": str(folder / "events.parquet"), "mapping": mapping | {"constants": {"kind": "purchase"}}}
    names = {name: name for name in ("product_id", "name", "category")}
    products = {"path": str(folder / "products.csv"), "mapping": {"table": "products", "columns": names}}
    menu = [{"id": "all-10", "benefit": {"type": "percent_off", "percent": 10}}]
    stated = {
        "data": {"events": events, "products": products}, "consent": {"default": True}, "menu": menu,
        "offer": {"proposals": "none"}, "plan": {"budget_cents": 300_000, "trial": True} | plan,
    }  # fmt: skip
    return Config.parse(stated, "test")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The plan of the first draw, the plan after it was learned from, what `learn` said, where the shop stood at each
    step, and the first plan's file."""
    folder = tmp_path_factory.mktemp("earn")
    market = LivingShop(draw_shop(2, 400))
    market.advance(40)
    market.events.write_parquet(folder / "events.parquet")
    market.products.write_csv(folder / "products.csv")
    settings = config(folder)
    stages: list[str] = []

    def look() -> None:
        stages.append(str(stands(settings, folder / "work", folder / "learned").figures["stage"]))

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
    with Shop.of(settings, folder / "work") as shop:
        shop.step("ingest")
    look()
    learned = run_learn(
        Request(None, None, folder / "work", folder / "learned", settings, LearnSettings()), lambda *_: None
    )
    look()
    approve(Where(settings, folder / "work", folder / "learned"))
    look()
    with Shop.of(settings, folder / "work") as shop:
        second = shop.plan()
        kept = shop.store.frame("draws")
    look()
    with Shop.of(settings, folder / "work") as shop:
        assert kept["ts_ms"].n_unique() == 2, "decisions of both windows are kept"
        return (
            Plan(shop.store, note), Plan(shop.store, second.note),
            learned.summary.text + "\n".join(learned.proposal.changes), stages, file,
        )  # fmt: skip


def test_the_first_plan_is_a_draw_that_says_what_it_will_teach_and_cost(told: Told) -> None:
    note = told[0].note
    assert note.drawn
    assert 0 < note.cost_cents <= note.budget_cents
    assert any("After 28 days you will know effects of at least" in text for text in note.why)
    assert any("it costs at most" in text for text in note.why)


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
