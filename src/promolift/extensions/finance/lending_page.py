"""Render the results page of a lending project: which customers are offered which terms, and the refusals."""

from typing import Any

import polars as pl

from promolift.core.messages.channels import RULE_SOURCES, credit_notices
from promolift.extensions.finance.results import REFUSALS, LendingResults
from promolift.foundation.evidence import SampleEstimate
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, low_to_high, number, percent
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Chapter, Figure, KeyFigure, Page, note, sentences, table
from promolift.foundation.pages.charts import calibration_chart

MEASURE_NAMES = {
    "plan": gettext_noop("the plan"),
    "response model": gettext_noop("a response model at the same budget"),
    "plan over response model": gettext_noop("the plan over the response model"),
    "take-up": gettext_noop("take-up"),
    "default": gettext_noop("default"),
}


def lending_page(found: LendingResults) -> Page:
    """The page of `promolift run` for a bank's file."""
    cash, plan = MoneyFormat(found.settings.currency), found.plan
    offered = plan["terms"].drop_nulls().len()
    said = gettext(
        "expected of {offered} offers to {decided_rows} customers, net of losses and "
        "contacts; binds {cost} of {budget}",
        offered=count(offered),
        decided_rows=count(found.decided_rows),
        cost=cash(found.cost_cents),
        budget=cash(found.budget_cents),
    )
    head = KeyFigure(gettext("expected profit"), cash(found.gain_cents), said, found.evidence)
    facts = {
        gettext("learned from"): count(found.training_rows),
        gettext("decided on"): count(found.decided_rows),
    }
    chapters = [_terms(found, cash), _refusals(found), _models(found), _fair(found, cash), _rests(found)]
    return Page(
        found.settings.path, gettext("Offers of a bank"), facts, head, chapters, currency=found.settings.currency
    )


def _terms(found: LendingResults, cash: MoneyFormat) -> Chapter:
    rows = found.plan.filter(pl.col("terms").is_not_null()).group_by("terms").agg(
        pl.len(), pl.col("take_up").mean(), pl.col("default").mean(), pl.col("gain_cents").sum(),
        pl.col("cost_cents").sum(),
    ).sort("terms")  # fmt: skip
    heads = [
        gettext("terms"),
        gettext("offers"),
        pgettext("lending_page", "take-up"),
        pgettext("lending_page", "default"),
        gettext("expected profit"),
        gettext("binds"),
    ]
    cells = [[r[0], count(r[1]), percent(r[2]), percent(r[3]), cash(r[4]), cash(r[5])] for r in rows.iter_rows()]
    blocks: list[Figure | Block] = [table(gettext("Who is offered which terms"), heads, cells)]
    if found.worth:
        title = gettext("What it earned by what they did")
        worth = [[gettext(MEASURE_NAMES[name]), *_cells(each, cash)] for name, each in found.worth.items()]
        text = gettext(
            "On customers whom the models did not see; paired by customer. Loans are valued as "
            "they would have ended under these terms, the lost part is assumed."
        )
        blocks.append(table(title, ["", gettext("profit"), gettext("95 % interval"), "n"], worth, text))
    notices = credit_notices(found.settings.packs, False, found.settings.language)
    if notices:
        blocks.append(sentences(gettext("Goes with every offer"), notices))
    return Chapter("terms", gettext("Terms"), pgettext("lending_page", "Offers"), "", blocks)


def _cells(each: SampleEstimate, say: Any) -> list[str]:
    return [say(each.value), low_to_high(each.low, each.high, say), count(each.n)]


def _refusals(found: LendingResults) -> Chapter:
    counts = found.plan.filter(pl.col("refused").is_not_null())["refused"].value_counts().sort(
        ["count", "refused"], descending=[True, False]
    )  # fmt: skip
    cells = [[code, gettext(REFUSALS[code]), count(n)] for code, n in counts.iter_rows()]
    heads = [gettext("code"), gettext("reason"), gettext("customers")]
    blocks: list[Figure | Block] = [table(gettext("Who is offered nothing"), heads, cells, words=(1,))]
    notices = credit_notices(found.settings.packs, True, found.settings.language)
    if notices:
        blocks.append(sentences(gettext("Goes with every refusal"), notices))
        blocks.append(sentences(gettext("Sources"), [RULE_SOURCES[pack] for pack in found.settings.packs]))
    text = gettext("plan.csv has each customer's reason, with the features that speak most against them.")
    return Chapter("refusals", gettext("Refusals"), gettext("Who is not, and why"), text, blocks)


def _models(found: LendingResults) -> Chapter:
    cells = [[render_message(name), *_cells(each, number)] for name, each in found.checks.items()]
    heads = [gettext("figure"), gettext("value"), gettext("95 % interval"), "n"]
    blocks: list[Figure | Block] = [table(gettext("How good the predictions are"), heads, cells)]
    for name, bins in found.bins.items():
        finding = gettext("what was predicted of customers alike, and what came")
        title, customers = gettext(MEASURE_NAMES[name]), gettext("customers")
        blocks.append(calibration_chart(f"cal-{name}", title, finding, [*bins.iter_rows()], percent, customers))
    left = [[name, render_message(why)] for name, why in found.left_out.items()]
    if left:
        title = gettext("Columns that no model sees")
        blocks.append(table(title, [gettext("column"), gettext("why")], left, words=(1,)))
    how = gettext("on customers the models did not see")
    return Chapter("models", gettext("Predictions"), gettext("Take-up and default"), how, blocks)


def _fair(found: LendingResults, cash: MoneyFormat) -> Chapter:
    heads = [
        gettext("group"),
        gettext("customers"),
        gettext("due an offer"),
        gettext("share expected"),
        gettext("share as it happened"),
    ]
    cells = [
        [g.group, count(g.n), number(g.good), percent(g.expected),
         f"{percent(g.happened.value)} ({low_to_high(g.happened.low, g.happened.high, percent)})"
         if g.happened else "?"]
        for g in found.groups
    ]  # fmt: skip
    title = gettext("Equal opportunity")
    blocks: list[Figure | Block] = [note(describe_fairness(found, cash))]
    if cells:
        text = gettext(
            "Of those who would pay back (or, where nothing is lent, take it up), the share that get an offer."
        )
        blocks.append(table(title, heads, cells, text))
    return Chapter("fair", gettext("Fairness"), gettext("Groups"), "", blocks)


def describe_fairness(found: LendingResults, cash: MoneyFormat) -> str:
    """How far groups lie apart, and what the limit costs."""
    if found.gap is None:
        return gettext("no protected column has two groups that are large enough to compare")
    if not found.limits:
        return gettext("groups lie {gap} points apart at most; no limit binds", gap=f"{100 * found.gap:.1f}")
    gap, free = f"{100 * found.gap:.1f}", f"{100 * (found.free_gap or 0):.1f}"
    band, price = f"{100 * (found.settings.band or 0):g}", cash(found.price_cents)
    return gettext(
        "groups lie {gap} points apart at most, within the band of {band}; without it "
        "{free}. The band costs {price} of expected profit",
        gap=gap,
        band=band,
        free=free,
        price=price,
    )


def _rests(found: LendingResults) -> Chapter:
    rows = [*map(render_message, (*found.unknown, *found.notes))]
    title = gettext("What is not known, and what to look at")
    return Chapter("rests", gettext("Unknown"), title, "", [sentences("", rows)])
