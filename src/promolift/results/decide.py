"""A plan and a segment in; the decision of each of its customers at a moment, as the server makes it alone, out."""

from pathlib import Path

import polars as pl

from promolift import deliver
from promolift.deliver import ReleaseTerms
from promolift.deliver.files import safe_cells
from promolift.errors import ConfigError, InputError
from promolift.privacy import may_send
from promolift.results.job import Job, StepSummary
from promolift.results.plan import Plan
from promolift.words import count, pick

LISTS = ("candidates", "ineligible")  # in Parquet alone


def decide_segment(job: Job, segment: str | None, ts_ms: int) -> pl.DataFrame:
    """`decide_rows` for the customers of a segment, or for all, by the plan of the work folder. What a server has heard
    since the plan is not known here.
    """
    plan = Plan.load(job.store)
    rows = plan.candidates
    if segment is not None:
        known = [each.name for each in job.config.segment]
        if segment not in known:
            raise ConfigError(
                f"--segment {segment}: no [[segment]] has this name; there are {', '.join(known) or 'none'}"
            )
        rows = rows.filter(pl.col("segments").list.contains(segment))
    consent = may_send(rows["customer_id"], job.clean.people, plan.note.consent)
    return decide_rows(rows, consent, plan.note.terms, ts_ms)


def decide_rows(rows: pl.DataFrame, consent: pl.DataFrame, terms: ReleaseTerms, ts_ms: int) -> pl.DataFrame:
    """DECISIONS, with menu_id, target, gain_cents and cost_cents of what was decided for; each is what `deliver.decide`
    says of that customer alone.
    """
    found = deliver.decide(rows, consent, terms, ts_ms)
    about = rows.select("customer_id", "offer_id", "menu_id", "target", "gain_cents", "cost_cents")
    return found.join(about, on=["customer_id", "offer_id"], how="left", maintain_order="left")


def write_decisions(job: Job, segment: str | None, ts_ms: int, file: Path) -> StepSummary:
    """Write them as Parquet, or as CSV without the lists of candidates. InputError for another kind of file."""
    if file.suffix not in (".parquet", ".csv"):
        raise InputError(f"--out {file}: name a file that ends in .parquet or .csv")
    found = decide_segment(job, segment, ts_ms)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".csv":
        safe_cells(found.drop(LISTS)).write_csv(file)
    else:
        found.write_parquet(file)
    given = found.filter(pl.col("offer_id") != "none").height
    text = pick(
        f"{count(found.height)} decisions, {count(given)} with an offer: {file}",
        f"{count(found.height)}个决策，其中{count(given)}个有优惠：{file}",
    )
    figures = {"step": "decide", "decisions": found.height, "with_offer": given, "file": str(file)}
    return StepSummary(text, figures)
