"""The whole story: the steps in order, each done only if something it depends on changed; what the last one says."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from importlib import import_module
from importlib.resources import files
from operator import getitem
from pathlib import Path
from typing import Any

import polars as pl

from promolift.core.effects.offer_value.discount_response import DiscountResponse
from promolift.extensions.connectors.warehouse_import import pull
from promolift.extensions.encoder.results import ForecastNote
from promolift.foundation.errors import StepError, full_said
from promolift.foundation.evidence import Z95
from promolift.foundation.executors.executor import opened
from promolift.foundation.hashing import sha256_of, sha256_of_file
from promolift.foundation.i18n.formatting import pick, share
from promolift.foundation.i18n.translation import kept
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.foundation.version import __version__
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.pipeline.consent_updates import hear, heard_mark
from promolift.shop.reports.next_step import standing
from promolift.shop.results import effects
from promolift.shop.results.ingest import Health
from promolift.shop.results.messages import PoolWords
from promolift.shop.results.plan import Plan
from promolift.shop.results.segments import segment_table, segment_words
from promolift.shop.results.work_folder.active_release import mark as approval
from promolift.shop.results.work_folder.run_context import Job

STEPS = ("ingest", "profile", "effect", "plan", "message", "evaluate", "report")  # modules of steps/, in order
STEP_PACKAGE = "promolift.shop.pipeline.steps"
SOURCES = ("events", "customers", "promotions", "words")  # of personal data
FORM = 7  # of what the steps keep; another number makes all of them run again
# The parts of promolift.toml that each step reads, besides those of the steps before it.
READS: dict[str, tuple[str, ...]] = {
    "ingest": (
        "data",
        "senses",
        "words",
        "privacy.sensitive_allowed",
        *(f"privacy.{name}.keep_days" for name in SOURCES),
    ),
    "profile": ("shop", "plan.asof", "plan.window_days", "privacy.epsilon", "privacy.delta", "privacy.runs"),
    "effect": ("panel", "discount", "menu"),
    "plan": ("value", "segment", "rules", "menu", "offer", "consent", "plan", "strategic", "fairness"),
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
    if "plan" in wanted:
        hear(job)
    with full_said(job.store.root), opened(job.config.engine) as engine:
        for name in STEPS:
            mark = fingerprint(job.config, name, approval(job.store, job.config.plan.campaign), job.store)
            if name in wanted and (again or job.store.stale(name, mark) or name == "report"):
                job.tell(name, 0.0)
                job.store.undone(STEPS[STEPS.index(name) :])  # if it is interrupted, it is not done
                step = import_module(f"{STEP_PACKAGE}.{name}")  # not before: a refusal waits for no model's library
                step.run(replace(job, engine=engine))
                job.store.done(name, mark)
                job.tell(name, 1.0, "done")
            elif name in wanted:
                job.tell(name, 1.0, "nothing changed")
            elif job.store.stale(name, mark) and any(STEPS.index(w) > STEPS.index(name) for w in wanted):
                raise StepError(
                    "step_missing", f"{wanted[0]}: {name} has not run on these settings; run `promolift {name}` first"
                )
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
        if file.query and store is not None and store.has_json(note := f"pulled_{name}"):
            parts.append((note, store.load_json(note)))
    for path in (path for file in config.data.files.values() for path in file.paths):
        if Path(path).exists():
            state = Path(path).stat()
            parts.append((path, state.st_size, state.st_mtime_ns))
    if approved and "plan" in names:
        parts.append(approved)
    if store is not None and "plan" in names and (said := heard_mark(store)):
        parts.append(said)
    pool = config.message.pool
    if pool and "message" in names and Path(pool).exists():
        parts.append(sha256_of_file(Path(pool)))
    return sha256_of(json.dumps(parts, sort_keys=True))


def summary(job: Job, step: str) -> dict[str, Any]:
    """The summary of the last step of a run."""
    store = job.store
    if step == "ingest":
        return health_summary(job)
    if step == "profile":
        rows = job.profiled.size
        said = kept(f"{rows:,} customers profiled")
        found = forecast_summary(job, said)
        return {"step": step, "customers": rows, **found, **_with_segments(str(found["text"]), segment_table(job))}
    if step == "effect":
        return effect_summary(effects.response(store))
    return plan_summary(job, step)


def effect_summary(response: DiscountResponse) -> dict[str, Any]:
    """What a discount adds, in figures and words."""
    names = ("level", "why", "beta", "beta_se", "beta_z", "beta_z_se", "later", "later_se", "cells", "customers")
    value = f"{response.beta:.2f} +- {Z95 * response.beta_se:.2f}"
    text = pick(
        f"discount response {value} ({response.level}): {response.why}",
        f"客户对折扣的反应{value}（{kept(response.level)}）：{kept(response.why)}",
    )
    return {"step": "effect", **{name: getattr(response, name) for name in names}, "text": text}


def forecast_summary(job: Job, said: str) -> dict[str, Any]:
    """Whether an encoder forecasts what customers do next, and how well; `text` begins with `said`."""
    note = ForecastNote.load(job.store)
    if note.checked is None:
        missing = kept("no encoder: ") + kept(note.missing or "")
        return {"encoder": None, "no_encoder": note.missing, "text": f"{said}\n{missing}"}
    ndcg, lead, trees = note.checked.ndcg, note.checked.lead, note.checked.basket
    text = said + pick(
        "; what each will do next stands in the table outlook (next basket of the last 8 weeks, NDCG@10: "
        f"{ndcg.value:.3f}, by habit alone {ndcg.habit:.3f}, "
        f"lead {lead.low:+.3f} to {lead.high:+.3f}; trees have {share(trees.weight)} of its order: {trees.why})",
        f"；每人接下来会做什么见outlook表（最近8周的下一个购物篮，NDCG@10：{ndcg.value:.3f}，仅凭习惯{ndcg.habit:.3f}，"
        f"领先{lead.low:+.3f}至{lead.high:+.3f}；其排序的{share(trees.weight)}来自提升树：{kept(trees.why)}）",
    )
    return {"encoder": ndcg.model_dump(), "no_encoder": None, "text": text}


def plan_summary(job: Job, step: str) -> dict[str, Any]:
    """The plan in figures, and where the files are. Its headline is the gain without luck, once `evaluate` knows it."""
    plan = Plan.load(job.store)
    place: dict[str, str] = {}
    if step == "report" and job.out:
        place = {"report": str(job.out / "report.html"), "plan": str(job.out / "plan.csv")}
    names = {"report": kept("report: "), "plan": kept("plan:   ")}
    where = [f"{names[name]}{path}" for name, path in place.items()]
    figures = plan.note.model_dump(mode="json", exclude={"menu", "shop", "consent"})
    checked = {"luck": plan.luck.model_dump() if plan.luck else None}
    found = Health.load(job.store).warnings if step == "report" else ()
    warnings = [kept("warning: ") + kept(each) for each in found]
    stands = standing(job.config, job.store)
    grouped = _with_segments(str(plan), segment_table(job, plan.chosen))
    bare = (
        plan.note.treated and step in STEPS[STEPS.index("message") :] and not PoolWords.load(job.store).sendable.texts
    )
    if bare:
        warnings.insert(
            0, kept("Messages state the offer alone: nobody has approved a text yet (`promolift words review`).")
        )
    text = "\n".join([grouped["text"], *warnings, *where, stands.text])
    place |= {"stage": stands.stage, "next": stands.command}
    return {"step": step, "currency": job.config.shop.currency, **figures, **checked, **place, **grouped, "text": text}


def health_summary(job: Job) -> dict[str, Any]:
    """The health report with its text."""
    health = Health.load(job.store)
    found: dict[str, Any] = {"step": "health", **health.model_dump(mode="json"), "text": str(health)}
    return found | (_with_segments(str(health), segment_table(job)) if job.profiled.has_profiles else {})


def _with_segments(text: str, table: pl.DataFrame) -> dict[str, Any]:
    """`text` with a line on the shop's segments, and their figures; `text` alone where it has none."""
    if table.is_empty():
        return {"text": text}
    return {"text": f"{text}\n{segment_words(table)}", "segments": table.drop("name_zh").to_dicts()}


def demo_config() -> Config:
    """The settings of `promolift demo`, from the package."""
    return load_config(Path(str(files("promolift") / "shop/pipeline/demo.toml")))


__all__ = ["STEPS", "Job", "demo_config", "fingerprint", "run"]
