"""Step 7: everything kept so far in; report.html, plan.parquet and plan.csv in the output folder out."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from promolift import deliver
from promolift.errors import StepError
from promolift.pages import render
from promolift.pages.shop import tell_story
from promolift.results.job import Job, moments
from promolift.results.messages import Messages
from promolift.results.plan import Plan
from promolift.results.shop import Offers


def run(job: Job) -> None:
    """Write the files; each is written beside its place first and then moved, so that none is ever half there."""
    if job.out is None:
        raise StepError("no output folder; give one with --out")
    job.out.mkdir(parents=True, exist_ok=True)
    job.tell("report", 0.3, "plan.parquet, plan.csv")
    rows = plan_file(job)
    put(job, "plan.parquet", rows.write_parquet)
    # The mark at the start tells spreadsheets that the Chinese is UTF-8.
    put(job, "plan.csv", lambda path: deliver.export_rows(rows).write_csv(path, include_bom=True))
    job.tell("report", 0.5, "report.html")
    put(job, "report.html", lambda path: path.write_text(render(tell_story(job)), encoding="utf-8"))


def plan_file(job: Job) -> pl.DataFrame:
    """PLAN_FILE: who gets which offer on which terms, with its words, and who is held out."""
    channels = job.profiled.profiles(moments(job).asof).select("customer_id", pl.col("top_channel").alias("channel"))
    words = Messages.load(job.store).rows.join(channels, on="customer_id", how="left")
    offers = Offers.load(job.store).offers
    return deliver.plan_rows(words, Plan.load(job.store).decisions, offers, job.config.shop.language)


def put(job: Job, name: str, write: Callable[[Path], object]) -> None:
    """Call `write` with a draft path, then rename it into place."""
    assert job.out is not None
    draft = job.out / f".{name}.draft"
    write(draft)
    draft.replace(job.out / name)
