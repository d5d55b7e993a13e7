"""Step 7: everything kept so far in; report.html, plan.parquet and plan.csv in the output folder out."""

from collections.abc import Callable
from pathlib import Path

from promolift import deliver
from promolift.errors import StepError
from promolift.report import render
from promolift.steps.job import Job
from promolift.steps.story import tell_story


def run(job: Job) -> None:
    """Write the files; each is written beside its place first and then moved, so that none is ever half there."""
    if job.out is None:
        raise StepError("no output folder; give one with --out")
    job.out.mkdir(parents=True, exist_ok=True)
    plan = job.store.frame("messages")
    job.tell("report", 0.3, "plan.parquet, plan.csv")
    put(job, "plan.parquet", lambda path: deliver.plan_rows(plan).write_parquet(path))
    # The mark at the start tells spreadsheets that the Chinese is UTF-8.
    put(job, "plan.csv", lambda path: deliver.export_rows(plan).write_csv(path, include_bom=True))
    job.tell("report", 0.5, "report.html")
    put(job, "report.html", lambda path: path.write_text(render(tell_story(job)), encoding="utf-8"))


def put(job: Job, name: str, write: Callable[[Path], object]) -> None:
    """Call `write` with a draft path, then rename it into place."""
    assert job.out is not None
    draft = job.out / f".{name}.draft"
    write(draft)
    draft.replace(job.out / name)
