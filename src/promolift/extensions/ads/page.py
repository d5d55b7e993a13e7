"""What a run of the trade `ads` found in; its page out: what may be claimed, values on later rows, the plan."""

from promolift.extensions.ads.results import CreativeResults
from promolift.foundation.i18n.formatting import count, ends, pick, share
from promolift.foundation.pages.blocks import Big, Block, Chapter, Figure, Page, note, sentences, table
from promolift.foundation.pages.charts import thin

LINES = 30  # of the plan that the page shows; the file has all


def creative_page(found: CreativeResults) -> Page:
    """The page of `promolift run` for a file of creatives."""
    first, *_ = found.values.values()
    name = next(iter(found.values))
    interval = ends(first.low, first.high, lambda value: f"{value:.4f}")
    head = Big(name, f"{first.value:.4f}", f"{interval}; {found.verdict}")
    facts = {
        pick("rows learned from", "学习行数"): count(found.learned),
        pick("rows that judge", "评估行数"): count(found.judged),
    }
    chapters = [_values(found), _plan(found)]
    return Page(found.settings.path, pick("Creatives", "素材"), facts, head, chapters)


def _values(found: CreativeResults) -> Chapter:
    rows = [
        [name, f"{each.value:.5f}", ends(each.low, each.high, lambda value: f"{value:.5f}"), count(each.n)]
        for name, each in found.values.items()
    ]
    heads = ["", pick("value", "数值"), pick("95 % interval", "95%区间"), "n"]
    title = pick("On later rows, which taught nothing", "基于未参与学习的较晚数据")
    blocks: list[Figure | Block] = [note(found.verdict), table(title, heads, rows)]
    if found.fatigue.height:
        cells = [
            [str(r[0]), count(r[1]), count(r[2]), share(r[3], 2), ends(r[4], r[5], share)]
            for r in found.fatigue.iter_rows()
        ]
        pairs = (("exposure", "第几次"), ("impressions", "展示"), ("clicks", "点击"), ("rate", "点击率"),
                 ("95 % interval", "95%区间"))  # fmt: skip
        heads = [pick(*pair) for pair in pairs]
        blocks.append(table(pick("Fatigue", "疲劳"), heads, cells))
    blocks += [sentences("", found.notes)] if found.notes else []
    return Chapter("values", pick("Values", "价值"), pick("What may be claimed", "可以断言什么"), "", blocks)


def _plan(found: CreativeResults) -> Chapter:
    rows = [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row]
            for row in thin(found.plan.head(LINES).rows(), LINES)]  # fmt: skip
    words = [at for at, dtype in enumerate(found.plan.dtypes) if not dtype.is_numeric()]
    text = pick(f"The first {LINES}; creatives.csv has all.", f"前{LINES}行；全部见creatives.csv。")
    blocks: list[Figure | Block] = [
        table(pick("Shares and impressions", "比例与展示"), found.plan.columns, rows, text, words=words)
    ]
    return Chapter("plan", pick("Plan", "计划"), pick("Which creative where", "何处用何素材"), "", blocks)
