"""A reminder of what is due goes out before the purchase is, and the plan's file says on which day."""

from datetime import timedelta
from pathlib import Path

import polars as pl

from promolift.core.experiments.audiences import DUE, EARLY_DAYS, assign_audiences, fit_return_curve
from promolift.extensions.simulation.worlds.daily_worlds import draw_daily_shop
from promolift.shop.ingest.setup.initialisation import SetupAnswers, init
from promolift.shop.pipeline.shop import Shop
from promolift.shop.reports.plan_rows import contact_rows
from promolift.shop.results.work_folder.run_context import Job, daily_sales, moments


def test_each_message_names_its_day(tmp_path: Path) -> None:
    shop = draw_daily_shop("replenishment", 3, 500)
    shop.log.join(shop.products.select("product_id", "category"), on="product_id", how="left").select(
        "order_id", "customer_id", pl.from_epoch("ts_ms", "ms").dt.strftime("%Y-%m-%d %H:%M:%S").alias("time"),
        "product_id", "category", "quantity", amount=pl.col("paid_cents") / 100, list_amount=pl.col("list_cents") / 100,
    ).write_csv(tmp_path / "log.csv")  # fmt: skip
    init({"events": tmp_path / "log.csv"}, tmp_path / "promolift.toml", False, (),
         SetupAnswers(currency="USD", languages=("en",), consent=True))  # fmt: skip
    with Shop.open(tmp_path / "promolift.toml", work=tmp_path / "work") as mine:
        mine.plan().report(tmp_path / "out")
        job = Job(mine.config, mine.store, lambda *_: None)
        sales = daily_sales(job, moments(job).asof, 0.3)
    known = assign_audiences(sales, 0, 28, fit_return_curve(sales, 0, 28)).select("customer_id", "audience", "due_day")
    rows = pl.read_parquet(tmp_path / "out" / "plan.parquet").join(known, on="customer_id")
    offers = rows.filter(status="offer")
    due = offers.filter(group=DUE)
    assert due.height >= 16
    wait = (due["send_on"] - due["starts"]).dt.total_days()
    assert wait.to_list() == (due["due_day"] - EARLY_DAYS).clip(0).to_list()
    assert wait.n_unique() > 3
    assert (due["send_on"] <= due["expires"]).all()
    assert (due["send_on"] < due["starts"] + timedelta(days=28)).all()
    others = offers.filter(pl.col("group") != DUE)
    assert others.height
    assert others["send_on"].equals(others["starts"].alias("send_on"))
    assert rows.filter(status="holdout")["send_on"].null_count() == rows.filter(status="holdout").height
    assert contact_rows(offers)["SENDON"].null_count() == 0
