"""What a finished step says: a few figures for `--json`, and the same in words."""

from typing import Any

from promolift.effect import DiscountResponse
from promolift.report.words import money
from promolift.results import effects
from promolift.results.evaluation import Luck, headline, luck_of
from promolift.results.plan import PlanNote
from promolift.results.shop import Health, Outlook
from promolift.steps.job import Job


def summary(job: Job, step: str) -> dict[str, Any]:
    """The summary of the last step of a run."""
    store = job.store
    if step == "ingest":
        return health_summary(job)
    if step == "profile":
        rows = job.profiled.size
        return {"step": step, "customers": rows, **foreseen(job, f"{rows:,} customers profiled")}
    if step == "effect":
        return effect_summary(effects.response(store))
    return plan_summary(job, step)


def effect_summary(response: DiscountResponse) -> dict[str, Any]:
    """What a discount adds, in figures and words."""
    names = ("level", "why", "beta", "beta_se", "beta_z", "beta_z_se", "later", "later_se", "cells", "customers")
    value = f"{response.beta:.2f} +- {1.96 * response.beta_se:.2f}"
    text = f"discount response {value} ({response.level}): {response.why}"
    return {"step": "effect", **{name: getattr(response, name) for name in names}, "text": text}


def foreseen(job: Job, said: str) -> dict[str, Any]:
    """Whether an encoder foresees what customers do next, and how well; `text` begins with `said`."""
    note = Outlook.load(job.store)
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
    plan, currency = PlanNote.load(job.store), job.config.shop.currency
    place: dict[str, str] = {}
    if step == "report" and job.out:
        place = {"report": str(job.out / "report.html"), "plan": str(job.out / "plan.csv")}
    luck = luck_of(job.store) if step in ("evaluate", "report") else None
    lines = [*_plan_lines(job, plan, luck), *plan.why, *(each.text for each in plan.assumptions)]
    if (learned := plan.terms.recalibration) is not None:
        lines.append(
            f"learned from the decisions before: predicted gains x {learned.ratio:.2f} "
            f"({learned.low:.2f} to {learned.high:.2f}), {len(learned.offers)} offers with a factor of their "
            f"own, {len(learned.closed)} closed"
        )
    if place:
        lines += [f"report: {place['report']}", f"plan:   {place['plan']}"]
    figures = plan.model_dump(mode="json", exclude={"menu", "shop", "consent"})
    checked = {"luck": luck.model_dump() if luck else None}
    return {"step": step, "currency": currency, **figures, **checked, **place, "text": "\n".join(lines)}


def _plan_lines(job: Job, plan: PlanNote, luck: Luck | None) -> list[str]:
    """Who gets an offer, and what it is expected to add."""
    currency = job.config.shop.currency
    said = f"{plan.treated:,} of {plan.customers:,} customers get an offer; {plan.held_out:,} are held out. "
    if plan.why and not plan.treated:
        return [f"{said}The budget of {money(plan.budget_cents, currency)} is not touched."]
    head = headline(plan, luck)
    gain, low, high = head.gain_cents, head.low_cents, head.high_cents
    span = f" (95 % interval {money(low, currency)} to {money(high, currency)})" if low is not None else ""
    text = (
        f"{said}Expected to add {money(gain, currency, sign=True)}{span} after its cost of "
        f"{money(plan.cost_cents, currency)}, of a budget of {money(plan.budget_cents, currency)}. "
        f"Evidence: {plan.evidence}."
    )
    if head.promised_cents is not None:
        text += (
            f" By the estimates that chose it: {money(head.promised_cents, currency, sign=True)}; the rest was luck."
        )
    elif plan.treated and plan.evidence != "assumed":
        text += " Luck in the choice is not taken off yet: `promolift evaluate` does."
    if not job.config.plan.trial:
        text += f" At most {plan.gap:.2%} of the best possible plan is missing."
    return [text]


def health_summary(job: Job) -> dict[str, Any]:
    """The health report with its text: rows by fate, then what can and cannot be done."""
    health = Health.load(job.store)
    lines = []
    for table in health.tables:
        lines.append(
            f"{table.table:<12} {table.read:>12,} read {table.accepted:>12,} taken "
            f"{table.repaired_rows:>10,} repaired {table.rejected_rows:>10,} set aside"
        )
        for fate, found in (("repaired", table.repaired), ("rejected", table.rejected)):
            lines += [f"             {fate}: {reason} {rows:,}" for reason, rows in found.items()]
        for reason, first in table.first.items():
            lines += [f"             first with {reason}: row {row}" for row, _ in first[:1]]
    lines.append("")
    for ability in health.abilities:
        lines.append(f"{ability.level:<7} {ability.name}: {ability.reason}")
        if ability.add:
            lines.append(f"        add: {ability.add}")
    lines += [f"warning: {warning}" for warning in health.warnings] + [f"note: {note}" for note in health.notes]
    return {"step": "health", **health.model_dump(mode="json"), "text": "\n".join(lines)}
