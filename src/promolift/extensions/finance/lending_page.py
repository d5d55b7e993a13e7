"""Render the results page of a lending project: which customers are offered which terms, and the refusals."""

from typing import Any

import polars as pl

from promolift.core.messages.channels import RULE_SOURCES, credit_notices
from promolift.extensions.finance.results import REFUSALS, LendingResults
from promolift.foundation.evidence import SampleEstimate
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import MoneyFormat, count, localize, low_to_high, number, percent
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
    said = localize(
        f"expected of {count(offered)} offers to {count(found.decided_rows)} customers, net of losses and contacts; "
        f"binds {cash(found.cost_cents)} of {cash(found.budget_cents)}",
        f"对{count(found.decided_rows)}位客户作出{count(offered)}次推介的预期收益，已扣除损失和联系成本；占用"
        f"{cash(found.budget_cents)}中的{cash(found.cost_cents)}",
    )
    head = KeyFigure(localize("expected profit", "预期利润"), cash(found.gain_cents), said, found.evidence)
    facts = {
        localize("learned from", "学习样本"): count(found.training_rows),
        localize("decided on", "决策客户"): count(found.decided_rows),
    }
    chapters = [_terms(found, cash), _refusals(found), _models(found), _fair(found, cash), _rests(found)]
    return Page(found.settings.path, localize("Offers of a bank", "银行推介"), facts, head, chapters,
                currency=found.settings.currency)  # fmt: skip


def _terms(found: LendingResults, cash: MoneyFormat) -> Chapter:
    rows = found.plan.filter(pl.col("terms").is_not_null()).group_by("terms").agg(
        pl.len(), pl.col("take_up").mean(), pl.col("default").mean(), pl.col("gain_cents").sum(),
        pl.col("cost_cents").sum(),
    ).sort("terms")  # fmt: skip
    heads = [
        localize("terms", "条款"),
        localize("offers", "推介数"),
        localize("take-up", "接受率"),
        localize("default", "违约率"),
        localize("expected profit", "预期利润"),
        localize("binds", "占用"),
    ]
    cells = [[r[0], count(r[1]), percent(r[2]), percent(r[3]), cash(r[4]), cash(r[5])] for r in rows.iter_rows()]
    blocks: list[Figure | Block] = [table(localize("Who is offered which terms", "谁得到哪些条款"), heads, cells)]
    if found.worth:
        title = localize("What it earned by what they did", "按客户实际行为计算的收益")
        worth = [[gettext(MEASURE_NAMES[name]), *_cells(each, cash)] for name, each in found.worth.items()]
        text = localize(
            "On customers whom the models did not see; paired by customer. Loans are valued as they would have ended "
            "under these terms, the lost part is assumed.",
            "基于模型未见过的客户，逐客户配对比较；贷款按这些条款下的结果估值，损失比例为假设。",
        )
        blocks.append(
            table(title, ["", localize("profit", "利润"), localize("95 % interval", "95%区间"), "n"], worth, text)
        )
    notices = credit_notices(found.settings.packs, False, found.settings.language)
    if notices:
        blocks.append(sentences(localize("Goes with every offer", "随每次推介告知"), notices))
    return Chapter("terms", localize("Terms", "条款"), localize("Offers", "推介"), "", blocks)


def _cells(each: SampleEstimate, say: Any) -> list[str]:
    return [say(each.value), low_to_high(each.low, each.high, say), count(each.n)]


def _refusals(found: LendingResults) -> Chapter:
    counts = found.plan.filter(pl.col("refused").is_not_null())["refused"].value_counts().sort(
        ["count", "refused"], descending=[True, False]
    )  # fmt: skip
    cells = [[code, REFUSALS[code][found.settings.language], count(n)] for code, n in counts.iter_rows()]
    heads = [localize("code", "代码"), localize("reason", "原因"), localize("customers", "客户数")]
    blocks: list[Figure | Block] = [
        table(localize("Who is offered nothing", "谁没有得到推介"), heads, cells, words=(1,))
    ]
    notices = credit_notices(found.settings.packs, True, found.settings.language)
    if notices:
        blocks.append(sentences(localize("Goes with every refusal", "随每次拒绝告知"), notices))
        blocks.append(sentences(localize("Sources", "来源"), [RULE_SOURCES[pack] for pack in found.settings.packs]))
    text = localize(
        "plan.csv has each customer's reason in English and Chinese, with the features that speak most against them.",
        "plan.csv中有每位客户的中英文原因，以及最不利的因素。",
    )
    return Chapter(
        "refusals", localize("Refusals", "拒绝"), localize("Who is not, and why", "谁没有，为什么"), text, blocks
    )


def _models(found: LendingResults) -> Chapter:
    cells = [[name, *_cells(each, number)] for name, each in found.checks.items()]
    heads = [localize("figure", "指标"), localize("value", "数值"), localize("95 % interval", "95%区间"), "n"]
    blocks: list[Figure | Block] = [table(localize("How good the predictions are", "预测质量"), heads, cells)]
    for name, bins in found.bins.items():
        finding = localize("what was predicted of customers alike, and what came", "相似客户的预测与实际")
        title, customers = gettext(MEASURE_NAMES[name]), localize("customers", "客户数")
        blocks.append(calibration_chart(f"cal-{name}", title, finding, [*bins.iter_rows()], percent, customers))
    left = [[name, why] for name, why in found.left_out.items()]
    if left:
        title = localize("Columns that no model sees", "模型不使用的列")
        blocks.append(table(title, [localize("column", "列"), localize("why", "原因")], left, words=(1,)))
    how = localize("on customers the models did not see", "基于模型未见过的客户")
    return Chapter(
        "models", localize("Predictions", "预测"), localize("Take-up and default", "接受与违约"), how, blocks
    )


def _fair(found: LendingResults, cash: MoneyFormat) -> Chapter:
    heads = [
        localize("group", "群体"),
        localize("customers", "客户数"),
        localize("due an offer", "应得推介"),
        localize("share expected", "预期比例"),
        localize("share as it happened", "实际比例"),
    ]
    cells = [
        [g.group, count(g.n), number(g.good), percent(g.expected),
         f"{percent(g.happened.value)} ({low_to_high(g.happened.low, g.happened.high, percent)})"
         if g.happened else "?"]
        for g in found.groups
    ]  # fmt: skip
    title = localize("Equal opportunity", "机会均等")
    blocks: list[Figure | Block] = [note(describe_fairness(found, cash))]
    if cells:
        text = localize(
            "Of those who would pay back (or, where nothing is lent, take it up), the share that get an offer.",
            "在会按时还款（或会接受）的客户中，得到推介的比例。",
        )
        blocks.append(table(title, heads, cells, text))
    return Chapter("fair", localize("Fairness", "公平"), localize("Groups", "群体"), "", blocks)


def describe_fairness(found: LendingResults, cash: MoneyFormat) -> str:
    """How far groups lie apart, and what the limit costs."""
    if found.gap is None:
        return localize("no protected column has two groups that are large enough to compare", "没有可比较的受保护群体")
    if not found.limits:
        return localize(f"groups lie {100 * found.gap:.1f} points apart at most; no limit binds",
                    f"群体间最多相差{100 * found.gap:.1f}个百分点；限制未起作用")  # fmt: skip
    gap, free = f"{100 * found.gap:.1f}", f"{100 * (found.free_gap or 0):.1f}"
    band, price = f"{100 * (found.settings.band or 0):g}", cash(found.price_cents)
    return localize(
        f"groups lie {gap} points apart at most, within the band of {band}; without it {free}. The band costs {price} "
        "of expected profit",
        f"群体间最多相差{gap}个百分点，在{band}的范围内；没有限制时为{free}。该限制的代价是预期利润减少{price}",
    )


def _rests(found: LendingResults) -> Chapter:
    rows = [*found.unknown, *found.notes]
    title = localize("What is not known, and what to look at", "未知与需要核对之处")
    return Chapter("rests", localize("Unknown", "未知"), title, "", [sentences("", rows)])
