"""What a finished step says: a few figures for `--json`, and the same in words."""

from typing import Any

import polars as pl

from promolift.effect import DiscountResponse
from promolift.results import effects
from promolift.results.chinese import kept
from promolift.results.forecasts import ForecastNote
from promolift.results.job import Job
from promolift.results.plan import Plan
from promolift.results.segments import segment_table, segment_words
from promolift.results.shop import Health
from promolift.results.standing import standing
from promolift.tables import Z95
from promolift.words import pick, share


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
