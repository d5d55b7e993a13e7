"""The history of a shop's promotions: read from its cleaned log, before any plan and without anybody's consent."""

import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from small_story import small_story

from promolift.cli.application import main
from promolift.foundation.i18n.formatting import use_locale
from promolift.shop.pipeline.shop import Shop
from promolift.shop.reports.chapters.history import build_chapter
from promolift.shop.results.promotion_history import Amount, PastPromotion, PromotionEffect, PromotionHistory

START, DAYS = date(2024, 1, 1), 240
SALE = (date(2024, 5, 1), date(2024, 5, 7))
SETTINGS = """
[shop]
currency = "{currency}"
zone = "{zone}"
[data.events]
path = "{folder}/events.csv"
[data.events.mapping]
columns = {{customer_id = "who", product_id = "what", order_id = "order", time = "day", amount = "paid", list_amount = "list", shelf_discount = "off"}}
money = "{money}"
constants = {{kind = "purchase"}}
zone = "{zone}"
{more}
"""  # noqa: E501
CODES = """
[data.promotions]
path = "{folder}/codes.csv"
[data.promotions.mapping]
columns = {{customer_id = "who", campaign_id = "code", start = "day", redeemed_at = "day"}}
zone = "UTC"
"""


def log(depth: float = 0.2, always: bool = False) -> pl.DataFrame:
    """About twelve orders a day of 80 customers; one week in May has a discount for everybody and more orders."""
    drawn, rows = np.random.default_rng(3), list[dict[str, Any]]()
    for number in range(DAYS):
        day = START + timedelta(days=number)
        on = SALE[0] <= day <= SALE[1] and depth > 0
        for at in range(int(drawn.poisson(12 * (2.5 if on else 1)))):
            price = int(drawn.integers(10, 60)) * 100
            off = round(price * depth) if on or always else 0
            rows.append({
                "who": f"c{drawn.integers(80)}", "what": f"p{drawn.integers(5)}", "order": f"o{number}-{at}",
                "day": day, "paid": price - off, "list": price, "off": off,
            })  # fmt: skip
    return pl.DataFrame(rows)


def history(
    folder: Path, rows: pl.DataFrame, more: str = "", money: str = "minor", zone: str = "UTC"
) -> PromotionHistory:
    folder.mkdir(exist_ok=True)
    rows.write_csv(folder / "events.csv")
    stated = SETTINGS.format(folder=folder, currency="GBP", money=money, zone=zone, more=more.format(folder=folder))
    (folder / "promolift.toml").write_text(stated, encoding="utf-8")
    with Shop.open(folder / "promolift.toml", folder / "work") as shop:
        return shop.history


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history") / "shop"


@pytest.fixture(scope="module")
def found(folder: Path) -> PromotionHistory:
    return history(folder, log())


def test_a_sale_is_found_with_its_days_orders_and_discount(found: PromotionHistory) -> None:
    [sale] = found.promotions
    on = log().filter(pl.col("day").is_between(*SALE))
    assert (sale.kind, sale.first, sale.last, sale.reach) == ("sitewide", *SALE, None)
    assert (sale.orders, sale.cost_cents) == (on.height, on["off"].sum())
    assert sale.evidence == "adjusted"
    effect = sale.effect
    assert effect is not None
    assert effect.orders_within.low < on.height - 7 * 12 < effect.orders_within.high
    assert effect.expected_orders == pytest.approx(7 * 12, rel=0.25)
    assert effect.net.low < effect.net.value < effect.net.high
    assert effect.net.value == pytest.approx(effect.margin_within.value + effect.margin_after.value)


def test_rows_in_any_order_other_units_and_other_days_change_nothing(found: PromotionHistory, tmp_path: Path) -> None:
    rows, later = log(), timedelta(days=35)
    major = rows.sample(fraction=1.0, shuffle=True, seed=1).with_columns(pl.col("paid", "list", "off") / 100)
    assert history(tmp_path / "major", major, money="major") == found
    moved = history(tmp_path / "moved", rows.with_columns(pl.col("day") + later))
    [sale], [old] = moved.promotions, found.promotions
    assert (sale.first, sale.last) == (SALE[0] + later, SALE[1] + later)
    assert sale.model_copy(update={"first": old.first, "last": old.last}) == old


def test_a_log_that_always_has_a_discount_says_that_it_cannot_tell(tmp_path: Path) -> None:
    found = history(tmp_path / "always", log(always=True).head(1000))
    assert (found.promotions, found.unknown) == ((), "always")
    assert str(found)


def test_a_log_without_discounts_or_amounts_says_so(tmp_path: Path) -> None:
    short = log(depth=0.0).head(300)
    assert history(tmp_path / "none", short).unknown == "no_discounts"
    free = short.with_columns(paid=pl.lit(0), list=pl.lit(0))
    assert history(tmp_path / "free", free).unknown == "no_amounts"


def test_a_code_is_named_and_judged_on_the_days_of_its_use(tmp_path: Path) -> None:
    rows = log()
    codes = rows.filter(pl.col("day").is_between(*SALE)).select("who", "day", code=pl.lit("MAY20"))
    folder = tmp_path / "codes"
    folder.mkdir()
    codes.write_csv(folder / "codes.csv")
    [sale] = history(folder, rows.with_columns(off=pl.lit(0), list="paid"), CODES).promotions
    assert (sale.kind, sale.names, sale.first, sale.last) == ("coupons", ("MAY20",), *SALE)
    assert sale.effect is not None


def test_under_epsilon_no_sums_of_customers_are_read(tmp_path: Path) -> None:
    with raises_code("model_not_private"):
        history(tmp_path / "private", log().head(500), "[privacy]\nepsilon = 1.0")


def test_the_command_needs_no_plan_and_no_consent(
    found: PromotionHistory, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, work = str(folder / "promolift.toml"), str(tmp_path / "fresh")
    with pytest.raises(SystemExit) as end:
        main(["history", "--config", config, "--work", work, "--json"])
    assert end.value.code in (0, None)
    said = json.loads(capsys.readouterr().out)
    assert said["step"] == "history"
    assert said["promotions"] == found.model_dump(mode="json")["promotions"]


def test_both_languages_tell_every_promotion_with_its_interval(found: PromotionHistory) -> None:
    [sale] = found.promotions
    assert sale.effect is not None
    ends = [found.cash(end, sign=True) for end in (sale.effect.net.low, sale.effect.net.high)]
    for language in ("en", "zh"):
        with use_locale(language):
            text = str(found)
            assert all(end in text for end in ends)
            assert sale.when in text
            assert found.caveat in text


def test_a_history_with_something_to_say_is_a_chapter(found: PromotionHistory) -> None:
    chapter = build_chapter(small_story(history=found))
    assert chapter is not None
    assert chapter.slug == "history"
    assert build_chapter(small_story()) is None
    nothing = found.model_copy(update={"promotions": (), "unknown": "no_discounts"})
    assert build_chapter(small_story(history=nothing)) is None


@pytest.mark.parametrize("seed", range(12))
def test_a_difference_that_may_be_chance_stands_beside_the_smallest_that_would_have_shown(seed: int) -> None:
    """Drawn intervals around 0: a difference as large as the number named would have left 0 out."""
    rng = np.random.default_rng(seed)
    low, high = -float(rng.uniform(1, 60)), float(rng.uniform(1, 60))
    orders = Amount(value=float(rng.uniform(low, high)), low=low, high=high)
    effect = PromotionEffect(
        expected_orders=80.0, orders_before=orders, orders_within=orders, orders_after=orders, margin_within=orders,
        margin_after=orders, net=orders, after_days=14, p=0.5, placebos=20,
    )  # fmt: skip
    each = PastPromotion(
        kind="sitewide", names=(), first=SALE[0], last=SALE[1], reach=None, orders=80, cost_cents=100, effect=effect,
        verdict="unclear", reason=None, evidence="adjusted",
    )  # fmt: skip
    known = PromotionHistory(currency="USD", margin_rate=0.3, days=200, promotions=(each,), smaller=0, unknown=None)
    said = known.explain(each)[0]
    named = int(re.search(r"from (\d+) orders? more", said)[1])  # type: ignore[index]
    assert orders.low - orders.value + named >= 0 >= orders.high - orders.value - named
    assert f"{named}单以上" in chinese(known, each)


def chinese(known: PromotionHistory, each: PastPromotion) -> str:
    with use_locale("zh"):
        return known.explain(each)[0]
