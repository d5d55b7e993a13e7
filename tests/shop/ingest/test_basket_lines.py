"""A menu of basket offers from promolift.toml to plan.csv, page and release: effects assumed, and marked so."""

from pathlib import Path

import polars as pl
import pytest

from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.plan import Plan

MUG = {"zh": "马克杯", "en": "mug"}
MENU = [
    {"id": "member-price", "scope": "category", "members": True, "segments": ["members"]},
    {"id": "third-free", "benefit": {"type": "buy_x_get_y", "buy": 2, "get": 1}, "scope": "category"},
    {
        "id": "gift",
        "benefit": {"type": "gift", "product_id": "p1", "item": MUG, "worth_cents": 500},
        "min_spend_cents": 2500,
        "benefit_cost_cents": 20,
    },
    {
        "id": "points",
        "benefit": {"type": "points", "points": 100, "worth_cents": 300},
        "min_spend_cents": 3000,
        "benefit_cost_cents": 30,
    },
    {
        "id": "exchange",
        "benefit": {"type": "exchange", "product_id": "p1", "item": MUG, "price_cents": 500},
        "min_spend_cents": 2000,
        "benefit_cost_cents": 520,
    },
    {"id": "percent", "benefit": {"type": "percent_off", "percent": 10}, "scope": "category"},
]
ASSUMED = {"member-price", "third-free", "gift", "points", "exchange"}


@pytest.fixture(scope="module")
def shop(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    files = {name: own_files / f"{name}.csv" for name in ("events", "products", "customers", "promotions")}
    made = Shop(**files, work=tmp_path_factory.mktemp("work"))
    made.step("ingest")
    goods = made._job.clean.catalogue
    names = goods["category"].unique().sort()
    dear = int(goods.filter(pl.col("category") == names[0])["price_cents"].max())  # type: ignore[arg-type]
    menu = [dict(line) for line in MENU]
    menu[0] |= {"covers": [names[0]], "benefit": {"type": "fixed_price", "price_cents": dear // 100 * 90}}
    menu[1] |= {"covers": [names[1]]}
    return made.with_settings(
        menu=menu, segment=[{"name": "members", "where": "value_decile > 5"}], value={"margin_rate": 0.6},
        offer={"proposals": "none"}, discount={"prior_response": 3.0}, plan={"budget_cents": 30_000},
        shop={"languages": ["en", "zh"]},
    )  # fmt: skip


def test_assumed_effects_are_listed_marked_and_closed_where_others_are_known(shop: Shop) -> None:
    plan = shop.plan()
    lines = plan.candidates.filter(pl.col("menu_id").is_in(list(ASSUMED)))
    assert set(lines["menu_id"]) == ASSUMED
    valued = lines.filter(pl.col("gain_cents").is_not_null())
    assert valued.group_by("menu_id").len().height == len(ASSUMED)
    assert set(valued["evidence"]) == {"assumed"}
    assert plan.note.evidence != "assumed"
    assert set(plan.chosen["menu_id"]) == {"percent"}
    assert set(plan.unmeasured) == ASSUMED


def test_they_are_planned_said_and_written_where_that_is_asked_for(shop: Shop, tmp_path: Path) -> None:
    each = [f"count[menu_id={line}] >= 2" for line in sorted(ASSUMED)]
    open_ = shop.with_settings(plan={"min_evidence": "assumed", "limits": each}, rules={"min_buy_prob": 0.0})
    plan: Plan = open_.plan()
    assert set(plan.chosen["menu_id"]) >= ASSUMED
    assert plan.note.cost_cents <= 30_000
    page = plan.report(tmp_path).read_text(encoding="utf-8")
    rows = pl.read_parquet(tmp_path / "plan.parquet").filter(pl.col("arm").is_in(list(ASSUMED)))
    assert rows.height == plan.chosen.filter(pl.col("menu_id").is_in(list(ASSUMED))).height
    said = {
        "member-price": ("特价", " at $"), "third-free": ("买2送1", "get 1 free"), "gift": ("马克杯", "mug"),
        "points": ("100积分", "100 points"), "exchange": ("换购", "for $5"),
    }  # fmt: skip
    for arm, zh, en in rows.select("arm", "message_zh", "message_en").iter_rows():
        assert said[arm][0] in zh
        assert said[arm][1] in en.lower() or said[arm][1] in en
    terms = {row["arm"]: row for row in rows.iter_rows(named=True)}
    assert (terms["gift"]["item_id"], terms["gift"]["item_quantity"]) == ("p1", 1)
    assert (terms["third-free"]["buy"], terms["third-free"]["get"], terms["third-free"]["percent"]) == (2, 1, 100)
    assert (terms["exchange"]["price"], terms["points"]["points"]) == (5.0, 100)
    assert terms["member-price"]["price"] > 1
    assert "assumed" in page
    assert plan.release()


def test_a_line_on_what_the_shop_excludes_is_closed(shop: Shop) -> None:
    (line,) = (item for item in shop.config.menu if item.id == "third-free")
    plan = shop.with_settings(rules={"excluded": list(line.covers)}).plan()
    mine = plan.candidates.filter(pl.col("menu_id") == "third-free")
    assert mine["why_not"].unique().to_list() == ["the shop gives no offers on this"]
