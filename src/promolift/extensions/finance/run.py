"""Run a bank's plan from its settings file: write the plan and the page, and return a summary."""

from dataclasses import asdict
from pathlib import Path

from promolift.extensions.finance.bank_customers import LEAKS, STANDS_FOR
from promolift.extensions.finance.lending import run_lending
from promolift.extensions.finance.lending_page import MEASURE_NAMES, describe_fairness, lending_page
from promolift.extensions.finance.results import LendingResults, LendingSettings
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, level_name, low_to_high, number, use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.progress import Progress, StepSummary
from promolift.shop.reports.plan_rows import _write


def run_finance(settings: LendingSettings, config: Path, work: Path, out: Path, tell: Progress) -> StepSummary:
    """`promolift run` on a bank's file: plan.csv, plan.parquet and report.html into a folder."""
    with use_locale(settings.language):
        found = run_lending(settings, config.resolve().parent, tell)
        _write(out, "plan", found.plan, render_page(lending_page(found)))
        tell("plan", 1.0, gettext_lazy("done"))
        return StepSummary(describe_lending(found, out), lending_figures(found, out))


def describe_lending(found: LendingResults, out: Path) -> str:
    """The run in words."""
    cash, plan = MoneyFormat(found.settings.currency), found.plan
    offered, refused = plan["terms"].drop_nulls().len(), plan["refused"].drop_nulls()
    given, everybody, gain = count(offered), count(found.decided_rows), cash(found.gain_cents)
    bound, budget = cash(found.cost_cents), cash(found.budget_cents)
    lines = [
        gettext(
            "{given} of {everybody} customers are offered terms; expected profit {gain}, {bound} "
            "of {budget} bound ({evidence})",
            given=given,
            everybody=everybody,
            gain=gain,
            bound=bound,
            budget=budget,
            evidence=level_name(found.evidence),
        )
    ]
    if found.worth:
        lines.append(
            "  "
            + gettext(
                "what it would have earned of the {everybody} customers, by what they did afterwards:",
                everybody=everybody,
            )
        )
    lines += [
        f"    {gettext(MEASURE_NAMES[name])}: {cash(each.value)} ({low_to_high(each.low, each.high, cash)})"
        for name, each in found.worth.items()
    ]
    lines += [
        f"  {render_message(name)}: {number(each.value)} ({low_to_high(each.low, each.high, number)}), n = "
        f"{count(each.n)}"
        for name, each in found.checks.items()
    ]
    lines.append(f"  {describe_fairness(found, cash)}")
    counts = refused.value_counts().sort(["count", "refused"], descending=[True, False])
    lines.append("  " + gettext("refused: ") + ", ".join(f"{code} {count(n)}" for code, n in counts.iter_rows()))
    lines += [
        f"  {name}: {render_message(why)}"
        for name, why in found.left_out.items() if why.message_id in (LEAKS, STANDS_FOR)
    ]  # fmt: skip
    lines += ["  " + gettext("not known: ") + render_message(each) for each in found.unknown]
    lines.append(gettext("Report: {out}", out=out / "report.html"))
    return "\n".join(lines)


def lending_figures(found: LendingResults, out: Path) -> dict[str, object]:
    """The run as JSON values."""
    names = ("held_out", "gain_cents", "cost_cents", "budget_cents", "gap", "free_gap", "price_cents", "evidence")
    plan = found.plan
    return {
        "step": "run", "trade": "finance", "learned": found.training_rows, "decided": found.decided_rows,
        **{name: getattr(found, name) for name in names},
        "offered": plan["terms"].drop_nulls().len(),
        "refused": dict(plan["refused"].drop_nulls().value_counts().sort("refused").iter_rows()),
        "left_out": dict(found.left_out), "worth": {name: asdict(each) for name, each in found.worth.items()},
        "checks": {name: asdict(each) for name, each in found.checks.items()},
        "groups": [asdict(each) for each in found.groups], "unknown": list(found.unknown),
        "page": str(out / "report.html"),
    }  # fmt: skip
