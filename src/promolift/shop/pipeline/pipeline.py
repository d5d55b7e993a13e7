"""Run the steps in order, skip those whose inputs did not change, and summarise the last one."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from importlib import import_module
from importlib.resources import files
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from promolift.core.effects.offer_value.discount_response import DiscountResponse
from promolift.extensions.connectors.warehouse_import import import_tables
from promolift.extensions.encoder.results import ForecastNote
from promolift.foundation import extension
from promolift.foundation.errors import ConfigError, StepError, convert_disk_full_error
from promolift.foundation.evidence import Z95
from promolift.foundation.executors.executor import open_executor
from promolift.foundation.extension import PipelineStep
from promolift.foundation.files.workbook import split_sheet
from promolift.foundation.hashing import sha256_of, sha256_of_file
from promolift.foundation.i18n.catalogue import gettext, pgettext_noop
from promolift.foundation.i18n.formatting import level_name, percent
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.foundation.version import __version__
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.configuration.model_status import endpoint_notes
from promolift.shop.pipeline.consent_updates import consent_fingerprint, load_consent_updates
from promolift.shop.reports.next_step import shop_status
from promolift.shop.results import effects
from promolift.shop.results.ingest import Health
from promolift.shop.results.messages import PoolWords
from promolift.shop.results.plan import Plan
from promolift.shop.results.segments import segment_table, segment_text
from promolift.shop.results.work_folder.active_release import approved_release_fingerprint as approval
from promolift.shop.results.work_folder.run_context import Job

if TYPE_CHECKING:
    from promolift.shop.pipeline import preflight
else:
    preflight = LazyModule("promolift.shop.pipeline.preflight")

STEPS = (  # modules of steps/, in order; a display of their progress shows these names in the reader's language
    pgettext_noop("step", "ingest"), pgettext_noop("step", "profile"), pgettext_noop("step", "effect"),
    pgettext_noop("step", "plan"), pgettext_noop("step", "message"), pgettext_noop("step", "evaluate"),
    pgettext_noop("step", "report"),
)  # fmt: skip
STEP_PACKAGE = "promolift.shop.pipeline.steps"
SOURCES = ("events", "customers", "promotions", "words")  # of personal data
FORM = 8  # of what the steps keep; another number makes all of them run again
# The parts of promolift.toml that each step reads, besides those of the steps before it.
STEP_SETTINGS: dict[str, tuple[str, ...]] = {
    "ingest": (
        "data",
        "senses",
        "words",
        "privacy.sensitive_allowed",
        *(f"privacy.{name}.keep_days" for name in SOURCES),
    ),
    "profile": ("shop", "plan.asof", "plan.window_days", "privacy.epsilon", "privacy.delta", "privacy.runs"),
    "effect": ("panel", "discount", "menu"),
    "plan": ("value", "segment", "rules", "menu", "plays", "offer", "consent", "plan", "strategic", "fairness"),
    "message": ("message", "llm"),
}
# Parts that a step reads and no later step depends on.
OPTIONAL_STEP_SETTINGS: dict[str, tuple[str, ...]] = {"profile": ("encoder",)}


def run_steps(job: Job, steps: Sequence[str], again: bool = False) -> StepSummary:
    """Run the named steps in order and return the summary of the last. A step whose inputs did not change is skipped.

    Raises StepError if a step before the first named one is missing or out of date.
    """
    order, wanted = step_order(), [name for name in STEPS if name in steps]
    extra = {name: step for name, step in extension_steps().items() if step.anchor in wanted or name in steps}
    preflight.check_before_run(job, wanted)
    if "ingest" in wanted:
        import_tables(job)
    if "plan" in wanted:
        load_consent_updates(job)
        check_plan_inputs(job, wanted, again)
    with convert_disk_full_error(job.store.root), open_executor(job.config.engine) as engine:
        for name in order:
            asked = name in wanted or name in extra
            mark = fingerprint(job.config, name, approval(job.store, job.config.plan.campaign), job.store)
            if asked and (again or job.store.stale(name, mark) or name == "report"):
                job.tell(name, 0.0)
                job.store.undone(order[order.index(name) :])  # if it is interrupted, it is not done
                load_step(name)(replace(job, engine=engine))
                job.store.done(name, mark)
                job.tell(name, 1.0, gettext_lazy("done"))
            elif asked:
                job.tell(name, 1.0, gettext_lazy("nothing changed"))
            elif job.store.stale(name, mark) and any(order.index(w) > order.index(name) for w in wanted):
                verb = name if name in STEPS else extension_steps()[name].anchor
                raise StepError(
                    "step_missing",
                    gettext_lazy(
                        "{step}: {name} has not run on these settings; run `promolift {verb}` first",
                        step=wanted[0],
                        name=name,
                        verb=verb,
                    ),
                )
    figures = health_summary(job) if "health" in steps else summary(job, wanted[-1])
    return StepSummary(figures.pop("text"), figures)


def finished_summary(job: Job) -> StepSummary | None:
    """Return the summary of a plan and its report if all steps were run on the present inputs; None if one was not.

    A release that was activated since, from which the next plan starts, does not make this plan out of date.
    """
    for name in step_order():
        approvals = {"", approval(job.store, job.config.plan.campaign)}
        if all(job.store.stale(name, fingerprint(job.config, name, each, job.store)) for each in approvals):
            return None
    figures = summary(job, STEPS[-1])
    return StepSummary(figures.pop("text"), figures)


def check_plan_inputs(job: Job, wanted: Sequence[str], again: bool) -> None:
    """Check consent and the customers' ids before a plan is made anew; see `preflight.check_consent`."""
    approved = approval(job.store, job.config.plan.campaign)
    marks = {name: fingerprint(job.config, name, approved, job.store) for name in ("ingest", "plan")}
    readable = "ingest" in wanted or not job.store.stale("ingest", marks["ingest"])
    if readable and (again or "ingest" in wanted or job.store.stale("plan", marks["plan"])):
        preflight.check_consent(job)


class ExtensionStep(NamedTuple):
    """A step that an extension adds, the step of promolift that it runs with, and the sections of its settings."""

    step: PipelineStep
    anchor: str
    sections: tuple[str, ...]


def extension_steps() -> dict[str, ExtensionStep]:
    """Return the steps that extensions add, by name. ConfigError where one names no place among promolift's own."""
    found: dict[str, ExtensionStep] = {}
    for each in extension.extensions():
        for step in each.steps:
            anchor = step.before or step.after
            if anchor not in STEPS or step.name in STEPS:
                raise ConfigError(
                    "extension_broken",
                    gettext_lazy(
                        "the extension {name} adds the step {step_name} at {anchor}; it needs a name of its own, "
                        "and a place before or after one of {steps}",
                        name=repr(each.name),
                        step_name=repr(step.name),
                        anchor=repr(anchor),
                        steps=", ".join(STEPS),
                    ),
                )
            found[step.name] = ExtensionStep(step, anchor, tuple(each.settings))
    return found


def step_order() -> tuple[str, ...]:
    """Return all steps in the order in which they run."""
    order = [*STEPS]
    for name, (step, anchor, _) in extension_steps().items():
        order.insert(order.index(anchor) + (0 if step.before else 1), name)
    return tuple(order)


def load_step(name: str) -> Callable[[Job], None]:
    """Import a step. Not before it runs: a refusal then waits for no model's library."""
    if name in STEPS:
        run: Callable[[Job], None] = import_module(f"{STEP_PACKAGE}.{name}").run
    else:
        run = extension.load_reference(extension_steps()[name].step.run)
    return run


def fingerprint(config: Config, step: str, approved: str = "", store: Store | None = None) -> str:
    """A hash of all that a step's result depends on: the code's version, settings, files, and the steps before.

    `approved` is the text of the approved release, which the plan starts from; `store` holds what queries gave.
    """
    order, extra = step_order(), extension_steps()
    names = order[: order.index(step) + 1]
    keys = sorted(
        {*OPTIONAL_STEP_SETTINGS.get(step, ()), *(key for name in names for key in STEP_SETTINGS.get(name, ()))}
    )
    values = config.model_dump(mode="json")
    parts: list[Any] = [__version__, FORM, step, {key: reduce(getitem, key.split("."), values) for key in keys}]
    for name in (name for name in names if name in extra):
        parts.append((name, {section: values[section] for section in extra[name].sections}))
    for name, file in config.data.files.items():
        if file.query and store is not None and store.has_json(note := f"pulled_{name}"):
            parts.append((note, store.load_json(note)))
    for path in (path for file in config.data.files.values() for path in file.paths):
        if (file_path := split_sheet(Path(path)).file).exists():
            state = file_path.stat()
            parts.append((path, state.st_size, state.st_mtime_ns))
    if approved and "plan" in names:
        parts.append(approved)
    if store is not None and "plan" in names and (said := consent_fingerprint(store)):
        parts.append(said)
    if "message" in names and (pool := config.message.pool_path).exists():
        parts.append(sha256_of_file(pool))
    return sha256_of(json.dumps(parts, sort_keys=True))


def summary(job: Job, step: str) -> dict[str, Any]:
    """The summary of the last step of a run."""
    store = job.store
    if step == "ingest":
        return health_summary(job)
    if step == "profile":
        rows = job.profiled.size
        said = gettext("{rows} customers profiled", rows=f"{rows:,}")
        found = forecast_summary(job, said)
        return {"step": step, "customers": rows, **found, **_with_segments(str(found["text"]), segment_table(job))}
    if step == "effect":
        return effect_summary(effects.load_response(store))
    return plan_summary(job, step)


def effect_summary(response: DiscountResponse) -> dict[str, Any]:
    """What a discount adds, in figures and words."""
    names = ("level", "why", "beta", "beta_se", "beta_z", "beta_z_se", "later", "later_se", "cells", "customers")
    value = f"{response.beta:.2f} +- {Z95 * response.beta_se:.2f}"
    text = gettext(
        "discount response {value} ({level}): {why}",
        value=value,
        level=level_name(response.level),
        why=render_message(response.why),
    )
    return {"step": "effect", **{name: getattr(response, name) for name in names}, "text": text}


def forecast_summary(job: Job, said: str) -> dict[str, Any]:
    """Whether an encoder forecasts what customers do next, and how well; `text` begins with `said`."""
    note = ForecastNote.load(job.store)
    if note.checked is None:
        missing = gettext("no encoder: ") + render_message(note.missing or "")
        return {"encoder": None, "no_encoder": note.missing, "text": f"{said}\n{missing}"}
    ndcg, lead, trees = note.checked.ndcg, note.checked.lead, note.checked.basket
    text = said + gettext(
        "; what each will do next stands in the table outlook (next basket of the last 8 "
        "weeks, NDCG@10: {value}, by habit alone {habit}, lead {low} to {high}; trees have "
        "{weight} of its order: {why})",
        value=f"{ndcg.value:.3f}",
        habit=f"{ndcg.habit:.3f}",
        low=f"{lead.low:+.3f}",
        high=f"{lead.high:+.3f}",
        weight=percent(trees.weight),
        why=render_message(trees.why),
    )
    return {"encoder": ndcg.model_dump(), "no_encoder": None, "text": text}


def plan_summary(job: Job, step: str) -> dict[str, Any]:
    """The plan in figures, and where the files are. Its headline is the gain without luck, once `evaluate` knows it."""
    plan = Plan.load(job.store)
    place: dict[str, str] = {}
    if step == "report" and job.out:
        place = {"report": str(job.out / "report.html"), "plan": str(job.out / "plan.csv")}
    names = {"report": gettext("report: "), "plan": gettext("plan:   ")}
    where = [f"{names[name]}{path}" for name, path in place.items()]
    checked = {"luck": plan.luck.model_dump() if plan.luck else None}
    found = Health.load(job.store).warnings if step == "report" else ()
    warnings = [gettext("warning: ") + render_message(each) for each in found]
    stands = shop_status(job.config, job.store)
    grouped = _with_segments(str(plan), segment_table(job, plan.chosen))
    bare = (
        plan.note.treated and step in STEPS[STEPS.index("message") :] and not PoolWords.load(job.store).sendable.texts
    )
    if bare:
        warnings.insert(
            0, gettext("Messages state the offer alone: nobody has approved a text yet (`promolift words review`).")
        )
    if step == "report":
        warnings += [gettext("warning: ") + note.text for note in endpoint_notes(job.config)]
    text = "\n".join([grouped["text"], *warnings, *where, stands.text])
    place |= {"stage": stands.stage, "next": stands.command}
    return {"step": step, **plan.figures(), **checked, **place, **grouped, "text": text}


def health_summary(job: Job) -> dict[str, Any]:
    """The health report with its text."""
    health = Health.load(job.store)
    found: dict[str, Any] = {"step": "health", **health.model_dump(mode="json"), "text": str(health)}
    return found | (_with_segments(str(health), segment_table(job)) if job.profiled.has_profiles else {})


def _with_segments(text: str, table: pl.DataFrame) -> dict[str, Any]:
    """`text` with a line on the shop's segments, and their figures; `text` alone where it has none."""
    if table.is_empty():
        return {"text": text}
    return {"text": f"{text}\n{segment_text(table)}", "segments": table.drop("name").to_dicts()}


def demo_config() -> Config:
    """The settings of `promolift demo`, from the package."""
    return load_config(Path(str(files("promolift") / "shop/pipeline/demo.toml")))


__all__ = ["STEPS", "Job", "demo_config", "fingerprint", "run_steps"]
