"""What a finished step says: a few figures for `--json`, and the same in words."""

from typing import Any

from promolift.report.words import money
from promolift.steps.job import Job


def summary(job: Job, step: str) -> dict[str, Any]:
    """The summary of the last step of a run."""
    store = job.store
    if step in ("ingest",):
        return health_summary(job)
    if step == "profile":
        rows = store.table("profiles").aggregate("count(distinct customer_id)").fetchall()[0][0]
        return {"step": step, "customers": rows, **foreseen(job, f"{rows:,} customers profiled")}
    if step == "effect":
        response = store.load_json("response")
        figures = {
            k: response[k]
            for k in (
                "level",
                "why",
                "beta",
                "beta_se",
                "beta_z",
                "beta_z_se",
                "later",
                "later_se",
                "cells",
                "customers",
            )
        }
        value = f"{response['beta']:.2f} +- {1.96 * response['beta_se']:.2f}"
        text = f"discount response {value} ({response['level']}): {response['why']}"
        return {"step": step, **figures, "text": text}
    return plan_summary(job, step)


def foreseen(job: Job, said: str) -> dict[str, Any]:
    """Whether an encoder foresees what customers do next, and how well; `text` begins with `said`."""
    note = job.store.load_json("outlook")
    if note["missing"]:
        return {"encoder": None, "no_encoder": note["missing"], "text": f"{said}\nno encoder: {note['missing']}"}
    ndcg, lead = note["ndcg"], note["lead"]
    text = (
        f"{said}; what each will do next stands in the table outlook (next basket of the last 8 weeks, NDCG@10: "
        f"{ndcg['value']:.3f}, by habit alone {ndcg['habit']:.3f}, lead {lead['low']:+.3f} to {lead['high']:+.3f})"
    )
    return {"encoder": ndcg, "no_encoder": None, "text": text}


def plan_summary(job: Job, step: str) -> dict[str, Any]:
    """The plan in figures, and where the files are."""
    figures = job.store.load_json("allocation")
    currency = job.config.shop.currency
    gain, low, high = (figures[key] for key in ("gain_cents", "gain_low_cents", "gain_high_cents"))
    span = f" (95 % interval {money(low, currency)} to {money(high, currency)})" if low is not None else ""
    said = (
        f"{figures['treated']:,} of {figures['customers']:,} customers get an offer; "
        f"{figures['held_out']:,} are held out. "
    )
    text = said + (
        f"Expected to add {money(gain, currency, sign=True)}{span} "
        f"for {money(figures['cost_cents'], currency)} of a budget of {money(figures['budget_cents'], currency)}. "
        f"Evidence: {figures['evidence']}."
    )
    if not job.config.plan.trial:
        text += f" At most {figures['gap']:.2%} of the best possible plan is missing."
    if figures.get("why") and not figures["treated"]:
        text = f"{said}The budget of {money(figures['budget_cents'], currency)} is not touched."
    text += "".join(f"\n{line}" for line in figures.get("why", []))
    if learned := figures["release"].get("recalibration"):
        text += (
            f"\nlearned from the decisions before: predicted gains x {learned['ratio']:.2f} "
            f"({learned['low']:.2f} to {learned['high']:.2f}), {len(learned['offers'])} offers with a factor of their "
            f"own, {len(learned['closed'])} closed"
        )
    place = (
        {"report": str(job.out / "report.html"), "plan": str(job.out / "plan.csv")}
        if step == "report" and job.out
        else {}
    )
    if place:
        text += f"\nreport: {place['report']}\nplan:   {place['plan']}"
    return {"step": step, "currency": currency, **figures, **place, "text": text}


def health_summary(job: Job) -> dict[str, Any]:
    """The health report with its text: rows by fate, then what can and cannot be done."""
    health = job.store.load_json("health")
    lines = []
    for table in health["tables"]:
        rejected = sum(table["rejected"].values())
        lines.append(
            f"{table['table']:<12} {table['read']:>12,} read {table['accepted']:>12,} taken "
            f"{table['repaired_rows']:>10,} repaired {rejected:>10,} set aside"
        )
        for fate in ("repaired", "rejected"):
            lines += [f"             {fate}: {reason} {rows:,}" for reason, rows in table[fate].items()]
        for reason, rows in table["first"].items():
            lines += [f"             first with {reason}: row {row}" for row, _ in rows[:1]]
    lines.append("")
    for ability in health["abilities"]:
        lines.append(f"{ability['level']:<7} {ability['name']}: {ability['reason']}")
        if ability["add"]:
            lines.append(f"        add: {ability['add']}")
    lines += [f"warning: {warning}" for warning in health["warnings"]] + [f"note: {note}" for note in health["notes"]]
    return {"step": "health", **health, "text": "\n".join(lines)}
