"""Render the results page of an advertising project: verdict, values on later rows, and the plan."""

from promolift.extensions.ads.results import CreativeResults
from promolift.foundation.i18n.formatting import count, localize, low_to_high, percent
from promolift.foundation.pages.blocks import Block, Chapter, Figure, KeyFigure, Page, note, sentences, table
from promolift.foundation.pages.charts import thin_rows

PLAN_ROWS_SHOWN = 30  # of the plan that the page shows; the file has all


def creative_page(found: CreativeResults) -> Page:
    """The page of `promolift run` for a file of creatives."""
    first, *_ = found.values.values()
    name = next(iter(found.values))
    interval = low_to_high(first.low, first.high, lambda value: f"{value:.4f}")
    head = KeyFigure(name, f"{first.value:.4f}", f"{interval}; {found.verdict}")
    facts = {
        localize("rows learned from", "学习行数"): count(found.training_rows),
        localize("rows that judge", "评估行数"): count(found.evaluation_rows),
    }
    chapters = [_values(found), _plan(found)]
    return Page(found.settings.path, localize("Creatives", "素材"), facts, head, chapters)


def _values(found: CreativeResults) -> Chapter:
    rows = [
        [name, f"{each.value:.5f}", low_to_high(each.low, each.high, lambda value: f"{value:.5f}"), count(each.n)]
        for name, each in found.values.items()
    ]
    heads = ["", localize("value", "数值"), localize("95 % interval", "95%区间"), "n"]
    title = localize("On later rows, which taught nothing", "基于未参与学习的较晚数据")
    blocks: list[Figure | Block] = [note(found.verdict), table(title, heads, rows)]
    if found.fatigue.height:
        cells = [
            [str(r[0]), count(r[1]), count(r[2]), percent(r[3], 2), low_to_high(r[4], r[5], percent)]
            for r in found.fatigue.iter_rows()
        ]
        heads = [
            localize("exposure", "第几次"),
            localize("impressions", "展示"),
            localize("clicks", "点击"),
            localize("rate", "点击率"),
            localize("95 % interval", "95%区间"),
        ]
        blocks.append(table(localize("Fatigue", "疲劳"), heads, cells))
    blocks += [sentences("", found.notes)] if found.notes else []
    return Chapter("values", localize("Values", "价值"), localize("What may be claimed", "可以断言什么"), "", blocks)


def _plan(found: CreativeResults) -> Chapter:
    rows = [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row]
            for row in thin_rows(found.plan.head(PLAN_ROWS_SHOWN).rows(), PLAN_ROWS_SHOWN)]  # fmt: skip
    words = [at for at, dtype in enumerate(found.plan.dtypes) if not dtype.is_numeric()]
    text = localize(
        f"The first {PLAN_ROWS_SHOWN}; creatives.csv has all.", f"前{PLAN_ROWS_SHOWN}行；全部见creatives.csv。"
    )
    blocks: list[Figure | Block] = [
        table(localize("Shares and impressions", "比例与展示"), found.plan.columns, rows, text, words=words)
    ]
    return Chapter("plan", localize("Plan", "计划"), localize("Which creative where", "何处用何素材"), "", blocks)
