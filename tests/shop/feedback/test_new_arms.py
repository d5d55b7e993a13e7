"""A win-back and a first purchase in a new category, from the menu that `init` writes to the till."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from promolift.extensions.simulation.online import _serving
from promolift.extensions.simulation.worlds.market import START_MS, WEEK_MS, SimulatedMarket, draw_shop
from promolift.shop.configuration.configuration import load_config
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.work_folder.run_context import moments

NEW, BACK = "new-category-10", "win-back-10"


class Lived(NamedTuple):
    """A shop whose menu is one line: its folder, its log, the line's candidates, profiles, plan.csv, and the clock."""

    line: str
    folder: Path
    log: pl.DataFrame
    candidates: pl.DataFrame
    profiles: pl.DataFrame
    listed: pl.DataFrame
    now_ms: int

    @property
    def sent(self) -> pl.DataFrame:
        return self.listed.filter(pl.col("arm") == self.line)


@pytest.fixture(scope="module", params=[NEW, BACK])
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """A log in, `init`, `run`."""
    folder, line = tmp_path_factory.mktemp("arms"), str(request.param)
    market = SimulatedMarket(draw_shop(2, 500)._replace(categories=7))
    market.advance(40)
    log = market.events.join(market.products, on="product_id").select(
        "order_id", "customer_id", pl.from_epoch("ts_ms", "ms").dt.strftime("%Y-%m-%d %H:%M:%S").alias("time"),
        "product_id", "category", "quantity", product_name="name", unit_price=pl.col("list_cents") / 100,
        discount=(pl.col("list_cents") - pl.col("paid_cents")) / 100,
    )  # fmt: skip
    log.write_csv(folder / "log.csv")
    file = folder / "promolift.toml"
    init({"events": folder / "log.csv"}, file, False, (),
         SetupAnswers(currency="USD", consent=True, languages=("en", "zh")))  # fmt: skip
    assert {NEW, BACK} <= {item.id for item in load_config(file).menu}
    keep_one(file, line)
    with Shop.open(file, work=folder / "work") as shop:
        plan = shop.plan()
        shop.step("message")
        shop.report(folder)
        profiles = shop._job.profiled.profiles(moments(shop._job).asof)
        mine = plan.candidates.filter(pl.col("menu_id") == line)
    now = START_MS + market.week * WEEK_MS
    return Lived(line, folder, log, mine, profiles, pl.read_csv(folder / "plan.csv"), now)


def keep_one(file: Path, line: str) -> None:
    """One line of the menu, tested, with texts that were judged."""
    head, *lines = file.read_text(encoding="utf-8").split("\n[[menu]]\n")
    (mine,) = (each for each in lines if each.startswith(f'id = "{line}"'))
    segments = lines[-1][lines[-1].index("# Groups of customers") :]
    head = head.replace("test_share = 0.1", "test_share = 0.1\nbudget_cents = 400_000\n#")
    more = '\n[message]\napprove = "judged"\n'
    file.write_text(f"{head}\n[[menu]]\n{mine.split('# Groups')[0]}\n{segments}{more}", encoding="utf-8")
    assert [item.id for item in load_config(file).menu] == [line]


def test_who_it_is_for_is_who_may_get_it(lived: Lived) -> None:
    """Customers away beyond their own rhythm; a category that they never bought."""
    assert lived.sent.height > 20
    if lived.line == BACK:
        late = (pl.col("recency_days") > 28) & (pl.col("recency_days") > 2 * pl.col("cadence_days"))
        back = lived.profiles.filter(late & (pl.col("orders_total") >= 3))["customer_id"]
        assert set(lived.sent["customer_id"]) <= set(back)
        assert set(lived.candidates.filter(~pl.col("customer_id").is_in(back.implode()))["why_not"]) == {
            "only for lapsing"
        }
    else:
        had = lived.log.select("customer_id", target="category").unique()
        assert lived.sent.join(had, on=["customer_id", "target"], how="semi").is_empty()
        assert lived.candidates.join(had, on=["customer_id", "target"], how="semi").is_empty()


def test_it_is_drawn_against_none_and_has_its_words(lived: Lived) -> None:
    assert lived.sent["propensity"].is_between(0.05, 0.95).all()
    for name, off in (("message_en", "10%"), ("message_zh", "9折")):
        assert lived.sent[name].str.contains(off).all()
    said = "people who buy the same things do" if lived.line == NEW else "has stayed away"
    assert lived.sent["reason"].str.contains(said).mean() > 0.9  # type: ignore[operator]


def test_the_server_decides_it_live_and_the_till_takes_it_off(lived: Lived) -> None:
    with _serving(lived.folder) as served:
        served.server.clock.behind_ms = time.time_ns() // 1_000_000 - lived.now_ms
        served.change(f"/v1/releases/{served.change('/v1/releases')['release_id']}:activate")
        who = lived.sent["customer_id"].to_list()
        given = served.client.decide_all(who, campaign_id="cmp_1")
        assert [each["offer_id"] for each in given] == lived.sent["offer_id"].to_list()
        target = lived.sent["target"][0] if lived.line == NEW else lived.log["category"][0]
        bought = lived.log.filter(pl.col("category") == target)["product_id"][0]
        cart: Any = [{"line_id": "1", "product_id": bought, "quantity": 1, "price_cents": 1000, "category": target}]
        priced = served.client.price_cart(who[0], cart, hold=True)
        (applied,) = priced["applied"]
        assert (priced["total_cents"], applied["decision_id"]) == (900, given[0]["decision_id"])
        assert served.client.confirm(str(applied["redemption_id"]))["status"] == "confirmed"
