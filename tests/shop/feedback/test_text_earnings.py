"""Which text earned how much: the messages of a plan joined with what came of them, against customers held out."""

import json
from pathlib import Path

import polars as pl
import pytest
from judged_shop import Case, case, judged
from planned_shop import planned_shop, shop_config

from promolift.core.decisions import withheld_offers
from promolift.core.messages import PoolText
from promolift.core.offers import MenuItem
from promolift.core.offers.terms import Benefit
from promolift.foundation.hashing import hash_unit
from promolift.foundation.i18n.formatting import MoneyFormat
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.feedback.text_earnings import MESSAGE_SCHEMA, earned_by_text, planned_messages
from promolift.shop.reports.text_values import describe_text_value, read_text_values
from promolift.shop.results.learned_policy import TextEarnings

EXTRA = 400


def text(name: str) -> PoolText:
    return PoolText(text_id=name, angle="generic", language="en", title="{deal}", hook=f"Hook {name}", state="approved")


TEXTS = (text("plain"), text("good"))


def line(**more: object) -> MenuItem:
    return MenuItem(id="line", benefit=Benefit(type="percent_off", percent=10), scope="category", **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sold() -> tuple[Case, pl.DataFrame]:
    """A week in which a reader of the good text buys for EXTRA more, at no cost; a third read it."""
    shop = case(holdout=0.4)
    release = judged(shop).evidence.release
    given = shop.decisions.filter(pl.col("offer_id") != "none").select("customer_id", "ts_ms", "offer_id")
    both = [(given, False), (withheld_offers(shop.decisions, release), True)]
    rows = pl.concat([each.with_columns(held=pl.lit(held)) for each, held in both])
    good = pl.Series([hash_unit("good", who) < 1 / 3 for who in rows["customer_id"]])
    sent = rows.select(
        "customer_id", "ts_ms", "held", text_id=pl.when(good).then(pl.lit("good")).otherwise(pl.lit("plain")),
        propensity=pl.when(good).then(1 / 3).otherwise(2 / 3), angle=pl.lit("generic"), language=pl.lit("en"),
        benefit=pl.lit("percent_off"), scope=pl.lit("category"), covers=pl.col("offer_id").str.split("_").list[1],
        menu_id=pl.lit("line"),
    ).cast(MESSAGE_SCHEMA)  # type: ignore[arg-type]  # fmt: skip
    readers = sent.filter(~pl.col("held"), pl.col("text_id") == "good")
    more = readers.select(
        "customer_id", ts_ms=pl.col("ts_ms") + DAY_MS, kind=pl.lit("purchase"), product_id=pl.lit("free"),
        order_id=pl.lit("x"), quantity=pl.lit(1.0), revenue_cents=pl.lit(EXTRA, pl.Int64),
        list_cents=pl.lit(EXTRA, pl.Int64), coupon_cents=pl.lit(0, pl.Int64),
    )  # fmt: skip
    products = pl.concat(
        [shop.products, pl.DataFrame({"product_id": ["free"], "cost_cents": [0]}).cast(dict(shop.products.schema))]
    )
    return Case(shop.decisions, pl.concat([shop.events, more.select(shop.events.columns)]), products, shop.truth), sent


def earned(sold: tuple[Case, pl.DataFrame], menu: MenuItem) -> dict[str, TextEarnings]:
    shop, sent = sold
    return {each.value.text_id: each for each in earned_by_text(judged(shop).evidence, sent, TEXTS, (menu,))}


def test_a_text_after_which_more_is_bought_earns_that_much_more(sold: tuple[Case, pl.DataFrame]) -> None:
    found = earned(sold, line())
    good, plain = found["good"].value, found["plain"].value
    assert good.held == plain.held > 100
    width = (good.high - good.low) / 2
    assert abs(good.value - plain.value - EXTRA) < width
    assert good.answer == "earns"
    assert found["good"].words == "{deal} / Hook good"


def test_a_message_costs_what_its_line_says_and_a_suppliers_part_comes_back(sold: tuple[Case, pl.DataFrame]) -> None:
    free, dear, shared = (earned(sold, each)["good"].value.value for each in (
        line(), line(send_cost_cents=50), line(supplier_share=0.5)
    ))  # fmt: skip
    assert free - dear == pytest.approx(50)
    assert shared > free


def test_messages_of_another_moment_or_an_unknown_text_say_nothing(sold: tuple[Case, pl.DataFrame]) -> None:
    shop, sent = sold
    later = sent.with_columns(pl.col("ts_ms") + 1)
    assert earned_by_text(judged(shop).evidence, later, TEXTS, (line(),)) == ()
    assert [each.value.text_id for each in earned_by_text(judged(shop).evidence, sent, TEXTS[:1], (line(),))] == [
        "plain"
    ]


def test_the_messages_of_a_plan_are_those_of_customers_and_of_those_held_out(tmp_path: Path) -> None:
    config = shop_config(plan={"budget_cents": 9000, "holdout_share": 0.4}, message={"approve": "judged"})
    planned_shop(tmp_path, 1, config)
    with Store(tmp_path) as store:
        found, decided = planned_messages(store, config), store.frame("decisions")
    assert found.schema == MESSAGE_SCHEMA
    assert set(found["held"]) == {True, False}
    both = found.join(decided.select("customer_id", "ts_ms", "holdout", "offer_id"), on=["customer_id", "ts_ms"])
    assert both["holdout"].to_list() == both["held"].to_list()
    assert found["propensity"].is_between(0, 1, closed="right").all()
    with Store(tmp_path / "empty") as store:
        assert planned_messages(store, config).is_empty()


def test_what_was_learned_is_read_back_and_said(sold: tuple[Case, pl.DataFrame], tmp_path: Path) -> None:
    found = earned(sold, line())
    numbers = {"texts": [each.to_json() for each in found.values()]}
    (tmp_path / "learn.json").write_text(json.dumps(numbers), encoding="utf-8")
    assert read_text_values(tmp_path) == {name: each.value for name, each in found.items()}
    assert read_text_values(tmp_path / "none") == {}
    said = describe_text_value(found["good"].value, MoneyFormat("USD"))
    assert str(found["good"].value.readers) in said
