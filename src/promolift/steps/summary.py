"""What a finished step says: a few figures for `--json`, and the same in words."""

from typing import Any

from promolift.effect import DiscountResponse
from promolift.results import effects
from promolift.results.job import Job
from promolift.results.plan import Plan
from promolift.results.shop import ForecastNote, Health
from promolift.results.standing import standing
from promolift.tables import Z95


def summary(job: Job, step: str) -> dict[str, Any]:
    """The summary of the last step of a run."""
    store = job.store
    if step == "ingest":
        return health_summary(job)
    if step == "profile":
        rows = job.profiled.size
        return {"step": step, "customers": rows, **forecast_summary(job, f"{rows:,} customers profiled")}
    if step == "effect":
        return effect_summary(effects.response(store))
    return plan_summary(job, step)


def effect_summary(response: DiscountResponse) -> dict[str, Any]:
    """What a discount adds, in figures and words."""
    names = ("level", "why", "beta", "beta_se", "beta_z", "beta_z_se", "later", "later_se", "cells", "customers")
    value = f"{response.beta:.2f} +- {Z95 * response.beta_se:.2f}"
    text = f"discount response {value} ({response.level}): {response.why}"
    return {"step": "effect", **{name: getattr(response, name) for name in names}, "text": text}


def forecast_summary(job: Job, said: str) -> dict[str, Any]:
    """Whether an encoder forecasts what customers do next, and how well; `text` begins with `said`."""
    note = ForecastNote.load(job.store)
    if note.checked is None:
        return {"encoder": None, "no_encoder": note.missing, "text": f"{said}\nno encoder: {note.missing}"}
    ndcg, lead = note.checked.ndcg, note.checked.lead
    text = (
        f"{said}; what each will do next stands in the table outlook (next basket of the last 8 weeks, NDCG@10: "
        f"{ndcg.value:.3f}, by habit alone {ndcg.habit:.3f}, lead {lead.low:+.3f} to {lead.high:+.3f})"
    )
    return {"encoder": ndcg.model_dump(), "no_encoder": None, "text": text}


def plan_summary(job: Job, step: str) -> dict[str, Any]:
    """The plan in figures, and where the files are. Its headline is the gain without luck, once `evaluate` knows it."""
    plan = Plan.load(job.store)
    place: dict[str, str] = {}
    if step == "report" and job.out:
        place = {"report": str(job.out / "report.html"), "plan": str(job.out / "plan.csv")}
    where = [f"report: {place['report']}", f"plan:   {place['plan']}"] if place else []
    figures = plan.note.model_dump(mode="json", exclude={"menu", "shop", "consent"})
    checked = {"luck": plan.luck.model_dump() if plan.luck else None}
    warnings = [f"warning: {warning}" for warning in Health.load(job.store).warnings] if step == "report" else []
    stands = standing(job.config, job.store)
    text = "\n".join([str(plan), *warnings, *where, stands.text])
    place |= {"stage": stands.stage, "next": stands.command}
    return {"step": step, "currency": job.config.shop.currency, **figures, **checked, **place, "text": text}


def health_summary(job: Job) -> dict[str, Any]:
    """The health report with its text."""
    health = Health.load(job.store)
    return {"step": "health", **health.model_dump(mode="json"), "text": str(health)}
