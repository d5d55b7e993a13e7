"""The library's front: a shop from files or frames to a plan, its page and its release, without a command line."""

import re
from pathlib import Path

import polars as pl
import pytest
from error_checks import raises_code

import promolift
from promolift.foundation.i18n.formatting import use_locale
from promolift.shop.pipeline.shop import Shop
from promolift.shop.results.plan import Plan


@pytest.fixture(scope="module")
def shop(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    names = ("events", "products", "customers", "promotions")
    files = {name: own_files / f"{name}.csv" for name in names}
    return Shop(**files, work=tmp_path_factory.mktemp("work"))


def test_a_shop_of_files_tells_what_it_guessed_and_what_the_data_can_answer(shop: Shop) -> None:
    assert "customer_id" in shop.guessed
    assert "user_id" in shop.guessed
    assert str(shop.health).startswith("events")
    assert (shop.health.accepted_share or 0.0) > 0.99
    assert shop.customers.height == shop.customers["customer_id"].n_unique() > 200


def test_a_plan_explains_itself_and_keeps_its_budget_and_its_settings(shop: Shop) -> None:
    small = shop.plan(budget_cents=5_000)
    few = small.offers["treated"].sum()
    large = shop.plan(budget_cents=20_000)
    with raises_code("plan_replaced"):
        _ = small.chosen.height + small.decisions.height
    assert large.note.budget_cents == 20_000
    assert large.note.cost_cents <= 20_000
    assert large.offers["treated"].sum() == large.note.treated > few == small.note.treated
    said = str(large)
    for part in ("customers get an offer", "Expected to add", "Evidence:"):
        assert part in said
    with use_locale("zh"):
        told = f"{large}\n{shop.health}"
    assert "位得到优惠" in told
    assert not re.search(r"\b(customers|budget|expected|read|taken|events|warning)\b", told)
    at_half = large.curve.at(10_000)
    assert at_half is not None
    assert 0 < at_half.gain_cents <= large.curve.at(20_000).gain_cents
    assert large.curve.at(1e12) is None
    assert "<p>" in large._repr_html_()
    assert "<p>" in shop.health._repr_html_()


def test_a_plan_goes_on_to_its_page_and_its_release(shop: Shop, tmp_path: Path) -> None:
    plan = shop.plan(budget_cents=20_000)
    page = plan.report(tmp_path)
    assert "<html" in page.read_text(encoding="utf-8")
    written = pl.read_csv(tmp_path / "plan.csv").filter(pl.col("status") == "offer")
    assert written.height == plan.note.treated
    assert shop.store.root.joinpath("serve", "releases", plan.release()).is_dir()
    with raises_code("plan_read_only", "Shop.plan()"):
        Plan.load(shop.store).release()


def test_the_headline_is_without_luck_as_soon_as_it_is_told_and_never_from_another_plan(shop: Shop) -> None:
    plan = shop.plan(budget_cents=19_000)
    assert plan.luck is None
    shop.evaluate()
    judged = shop.plan(budget_cents=19_000)
    assert judged.luck is not None
    assert judged.summary.promised_cents == plan.note.gain_cents
    assert plan.luck == judged.luck  # also to whom it was shown before it was judged
    assert shop.plan(budget_cents=18_000).luck is None
    shop.with_settings(plan={"budget_cents": 18_000}).evaluate()
    assert plan.luck is None


def test_frames_are_read_like_files(own_files: Path, tmp_path: Path) -> None:
    with Shop(pl.read_csv(own_files / "events.csv").to_pandas(), work=tmp_path) as shop:
        assert shop.health.read == pl.read_csv(own_files / "events.csv").height
    with raises_code("store_closed", str(tmp_path)):
        _ = shop.customers


def test_settings_are_checked_by_name(shop: Shop) -> None:
    assert shop.with_settings(value={"margin_rate": 0.5}).config.value.margin_rate == 0.5
    with raises_code("setting_unknown", "[valu]", "value"):
        shop.with_settings(valu={})
    with raises_code("setting_unknown", "'margin_rat'", "'margin_rate'"):
        shop.with_settings(value={"margin_rat": 0.5})
    with raises_code("value_missing", "events="):
        Shop()
    with raises_code("file_not_found", "nowhere.toml"):
        promolift.Shop.open("nowhere.toml")
