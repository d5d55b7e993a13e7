"""Chapter on past promotions: what each earned, or why it cannot be told."""

from promolift.foundation.i18n.formatting import localize, truncate
from promolift.foundation.pages.blocks import Block, Chapter, Figure, sentences
from promolift.foundation.pages.charts import Axis, ForestRow, forest_plot
from promolift.shop.reports.story import Story
from promolift.shop.results.promotion_history import EXPLAINED, PastPromotion, PromotionHistory

TONES = {"earned": "main", "lost": "bad", "unclear": "quiet"}
MOST_DRAWN = 15


def build_chapter(story: Story) -> Chapter | None:
    """Build the chapter; None where the log shows no promotion and there is nothing to say about it."""
    found = story.history
    if found is None or (not found.promotions and found.unknown != "always"):
        return None
    blocks: list[Figure | Block] = [_net(found)] if found.estimated else []
    for each in found.ranked[:EXPLAINED]:
        blocks.append(sentences(truncate(f"{each.when}{localize(', ', '，')}{each.what}", 120), _lines(found, each)))
    if untold := found.untold_lines():
        blocks.append(sentences(localize("What cannot be told", "无法判断的"), untold))
    if found.estimated:
        blocks.append(sentences(localize("How it was estimated", "怎样估计的"), [found.caveat]))
    title = localize("What your past promotions earned", "过去的促销赚了多少")
    return Chapter("history", localize("Past promotions", "过去的促销"), title, found.summary, blocks)


def _lines(found: PromotionHistory, each: PastPromotion) -> list[str]:
    said = found.result(each)
    return [localize(f"{said[:1].upper()}{said[1:]}.", f"{said}。"), *found.explain(each)]


def _net(found: PromotionHistory) -> Figure:
    """The margin that each promotion added, with what followed."""
    drawn = found.ranked[:MOST_DRAWN]
    marks = [
        ForestRow(
            truncate(f"{each.when}{localize(', ', '，')}{each.what}", 90), each.effect.net.value, each.effect.net.low,
            each.effect.net.high, (found.cash(each.cost_cents),), TONES[each.verdict],
        )
        for each in drawn if each.effect is not None
    ]  # fmt: skip
    added = localize("margin added", "增加的毛利")
    how = localize(
        "The line is the interval; a grey one says that gain or loss is not certain. Discounts are off, and the weeks "
        "after a promotion are counted in.",
        "横线是区间，灰色表示是赚是亏还不能确定。已扣除折扣，活动之后的几周也计算在内。",
    )
    if len(found.ranked) > MOST_DRAWN:
        how += localize(f" The first {MOST_DRAWN} are drawn.", f"只画出前{MOST_DRAWN}次。")
    return forest_plot(
        "history", localize("Margin that past promotions added", "过去的促销增加的毛利"), found.line(drawn[0]),
        Axis(added, "money"), (localize("promotion", "促销"), added, localize("discount given", "让利")), marks,
        lambda value: found.cash(value, sign=True), how=how, evidence="adjusted", wide=True,
    )  # fmt: skip
