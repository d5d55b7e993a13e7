"""What a shop's own offers took off is no price on the shelf: the response to discounts is read without them."""

from pathlib import Path

import polars as pl
import pytest
from own_shop import write_shop

from promolift.cli.application import main
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import load_config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.pipeline.steps.effect import events_without_offers
from promolift.shop.results.work_folder.run_context import Job, moments


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("prices")
    files = write_shop(folder)
    named = [part for name in ("events", "products") for part in (f"--{name}", str(files / f"{name}.csv"))]
    with pytest.raises(SystemExit):
        main(["init", *named, "--consent", "yes", "--config", str(folder / "promolift.toml")])
    made = Job(load_config(folder / "promolift.toml"), Store(folder / "work"), lambda *_: None)
    run_steps(made, ["ingest"])
    return made


def keep_draws(job: Job, rows: list[tuple[str, str, int]]) -> None:
    frame = pl.DataFrame(rows, schema={"customer_id": pl.String, "arm": pl.String, "ts_ms": pl.Int64}, orient="row")
    job.store.save(
        "draws", frame.with_columns(campaign_id=pl.lit("c"), window_days=pl.lit(28, pl.Int64), group=pl.lit("all"))
    )


@pytest.mark.parametrize("seed", range(4))
def test_events_under_an_offer_are_left_out_and_all_others_stay(job: Job, seed: int) -> None:
    whole = job.clean.events().pl().sort("customer_id", "ts_ms", "product_id")
    asof = moments(job).asof
    people = whole["customer_id"].unique().sort().sample(40, seed=seed)
    draws = [(who, ("ten", "none", "reminder")[n % 3], asof - (n % 5) * 20 * DAY_MS) for n, who in enumerate(people)]
    keep_draws(job, draws)
    found = pl.concat([events_without_offers(job, shard).pl() for shard in job.clean.shards])
    given = pl.DataFrame(draws, schema=["customer_id", "arm", "start"], orient="row").filter(pl.col("arm") != "none")
    under = whole.join(given, on="customer_id").filter(
        pl.col("ts_ms").is_between(pl.col("start"), pl.col("start") + 28 * DAY_MS, closed="left")
    )
    left_out = under.select(whole.columns).unique().height
    assert left_out > 0
    assert found.height == whole.height - left_out
    assert (
        found.join(given, on="customer_id")
        .filter(pl.col("ts_ms").is_between(pl.col("start"), pl.col("start") + 28 * DAY_MS, closed="left"))
        .is_empty()
    )


def test_without_draws_nothing_is_left_out(job: Job, tmp_path: Path) -> None:
    if job.store.has("draws"):
        job.store.remove("draws")
    found = sum(events_without_offers(job, shard).pl().height for shard in job.clean.shards)
    assert found == job.clean.events().pl().height
