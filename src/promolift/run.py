"""The whole story: the steps in order, each done only if something it depends on changed."""

import json
from collections.abc import Sequence
from functools import reduce
from importlib import import_module
from importlib.resources import files
from operator import getitem
from pathlib import Path
from typing import Any

from promolift import __version__
from promolift.config import Config, load_config
from promolift.errors import StepError
from promolift.hashing import sha256_of, sha256_of_file
from promolift.results.approved import mark as approval
from promolift.results.job import Job, StepSummary
from promolift.steps.pull import pull
from promolift.steps.summary import health_summary, summary
from promolift.store import Store

STEPS = ("ingest", "profile", "effect", "plan", "message", "evaluate", "report")  # modules of steps/, in order
FORM = 5  # of what the steps keep; another number makes all of them run again
# The parts of promolift.toml that each step reads, besides those of the steps before it.
READS: dict[str, tuple[str, ...]] = {
    "ingest": ("data",),
    "profile": ("shop", "plan.asof", "plan.window_days"),
    "effect": ("panel", "discount", "menu"),
    "plan": ("value", "segment", "rules", "menu", "offer", "consent", "plan", "strategic"),
    "message": ("message", "llm"),
}
# Parts that a step reads and no later step depends on.
READS_ALONE: dict[str, tuple[str, ...]] = {"profile": ("encoder",)}


def run(job: Job, steps: Sequence[str], again: bool = False) -> StepSummary:
    """Run the named steps in order and return the summary of the last. A step whose inputs did not change is skipped.

    Raises StepError if a step before the first named one is missing or out of date.
    """
    wanted = [name for name in STEPS if name in steps]
    if "ingest" in wanted:
        pull(job)
    for name in STEPS:
        mark = fingerprint(job.config, name, approval(job.store, job.config.plan.campaign), job.store)
        if name in wanted and (again or job.store.stale(name, mark) or name == "report"):
            job.tell(name, 0.0)
            job.store.undone(STEPS[STEPS.index(name) :])  # if it is interrupted, it is not done
            import_module(f"promolift.steps.{name}").run(job)  # not before: a refusal waits for no model's library
            job.store.done(name, mark)
            job.tell(name, 1.0, "done")
        elif name in wanted:
            job.tell(name, 1.0, "nothing changed")
        elif job.store.stale(name, mark) and any(STEPS.index(w) > STEPS.index(name) for w in wanted):
            raise StepError(f"{wanted[0]}: {name} has not run on these settings; run `promolift {name}` first")
    figures = health_summary(job) if "health" in steps else summary(job, wanted[-1])
    return StepSummary(figures.pop("text"), figures)


def fingerprint(config: Config, step: str, approved: str = "", store: Store | None = None) -> str:
    """A hash of all that a step's result depends on: the code's version, settings, files, and the steps before.

    `approved` is the text of the approved release, which the plan starts from; `store` holds what queries gave.
    """
    names = STEPS[: STEPS.index(step) + 1]
    keys = sorted({*READS_ALONE.get(step, ()), *(key for name in names for key in READS.get(name, ()))})
    values = config.model_dump(mode="json")
    parts: list[Any] = [__version__, FORM, step, {key: reduce(getitem, key.split("."), values) for key in keys}]
    for name, file in config.data.files.items():
        if file.query and store is not None and store.has_json(kept := f"pulled_{name}"):
            parts.append((kept, store.load_json(kept)))
    for path in (path for file in config.data.files.values() for path in file.paths):
        if Path(path).exists():
            state = Path(path).stat()
            parts.append((path, state.st_size, state.st_mtime_ns))
    if approved and "plan" in names:
        parts.append(approved)
    pool = config.message.pool
    if pool and "message" in names and Path(pool).exists():
        parts.append(sha256_of_file(Path(pool)))
    return sha256_of(json.dumps(parts, sort_keys=True))


def demo_config() -> Config:
    """The settings of `promolift demo`, from the package."""
    return load_config(Path(str(files("promolift") / "demo.toml")))


__all__ = ["STEPS", "Job", "demo_config", "fingerprint", "run"]
