"""Step 7: write report.html, plan.parquet and plan.csv into the output folder."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

from promolift.foundation.errors import StepError
from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.artifacts import remember_output
from promolift.shop.pipeline.promotion_log import keep_history
from promolift.shop.reports.chapters.summary import render
from promolift.shop.reports.offer_reasons import reason_text
from promolift.shop.reports.plan_rows import export_rows, plan_rows
from promolift.shop.reports.story_builder import build_story
from promolift.shop.results.line_tests import all_draws
from promolift.shop.results.messages import Messages, Offers
from promolift.shop.results.plan import Plan
from promolift.shop.results.promotion_history import PromotionHistory
from promolift.shop.results.work_folder.run_context import Job, moments


def run(job: Job) -> None:
    """Write the files; each is written beside its place first and then moved, so that none is ever half there."""
    if job.out is None:
        raise StepError("option_missing", gettext_lazy("no output folder; give one with --out"))
    job.out.mkdir(parents=True, exist_ok=True)
    remember_output(job.store.root, job.out)
    job.tell("report", 0.3, gettext_lazy("plan.parquet, plan.csv"))
    rows = plan_file(job)
    write_atomically(job, "plan.parquet", rows.write_parquet)
    # The mark at the start tells spreadsheets that the Chinese is UTF-8.
    write_atomically(job, "plan.csv", lambda path: export_rows(rows).write_csv(path, include_bom=True))
    if job.config.privacy.epsilon is None:
        keep_history(job)
    elif PromotionHistory.has(job.store):
        job.store.remove_json(PromotionHistory.NAME)
    job.tell("report", 0.5, "report.html")
    write_atomically(job, "report.html", lambda path: path.write_text(render(build_story(job)), encoding="utf-8"))


def plan_file(job: Job) -> pl.DataFrame:
    """PLAN_FILE: who gets which offer on which terms, with its words, and who is held out."""
    channels = job.profiled.profiles(moments(job).asof).select("customer_id", pl.col("top_channel").alias("channel"))
    words = Messages.load(job.store).rows.join(channels, on="customer_id", how="left")
    with use_locale(job.config.shop.language):
        words = words.with_columns(pl.Series("reason", map(reason_text, words["reason_facts"]), dtype=pl.String))
    offers = Offers.load(job.store).offers
    plan = Plan.load(job.store)
    records = plan.decided("customer_id", "offer_id", "propensity", "decision_id", "holdout", "reason")
    rows = plan_rows(words, records, offers, job.config.shop.languages)
    return with_arms(rows, plan, all_draws(job.store), job.config.shop.zone)


def with_arms(rows: pl.DataFrame, plan: Plan, draws: pl.DataFrame | None, zone: str) -> pl.DataFrame:
    """The file's rows with the menu line of each offer, the day to send it on and, where the plan drew them by group,
    that group."""
    arms = plan.chosen.select("customer_id", pl.col("menu_id").alias("arm"))
    groups = pl.DataFrame(schema={"customer_id": pl.String, "group": pl.String, "send_ms": pl.Int64})
    if draws is not None and (plan.note.drawn or plan.note.terms.effects):
        mine = draws.filter(pl.col("campaign_id") == plan.note.terms.campaign_id)
        groups = mine.filter(pl.col("ts_ms") == pl.col("ts_ms").max()).select(groups.columns)
    named = rows.drop("arm", "group")
    for more in (arms, groups):
        named = named.join(more, on="customer_id", how="left", maintain_order="left")
    day = pl.from_epoch("send_ms", "ms").dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()
    return named.with_columns(
        pl.col("arm").fill_null("none"), send_on=pl.when(status="offer").then(pl.coalesce(day, "send_on"))
    ).select(rows.columns)  # fmt: skip


def write_atomically(job: Job, name: str, write: Callable[[Path], object]) -> None:
    """Call `write` with a draft path, then rename it into place."""
    assert job.out is not None
    draft = job.out / f".{name}.draft"
    write(draft)
    draft.replace(job.out / name)
