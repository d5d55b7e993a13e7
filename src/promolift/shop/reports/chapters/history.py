"""Chapter on past promotions: what each earned, or why it cannot be told."""

from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import truncate
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
    blocks: list[Figure | Block] = [draw_net_margins(found)] if found.estimated else []
    for each in found.ranked[:EXPLAINED]:
        blocks.append(sentences(truncate(f"{each.when}{gettext(', ')}{each.what}", 120), _lines(found, each)))
    if untold := found.untold_lines():
        blocks.append(sentences(gettext("What cannot be told"), untold))
    if found.estimated:
        blocks.append(sentences(gettext("How it was estimated"), [found.caveat]))
    title = gettext("What your past promotions earned")
    return Chapter("history", gettext("Past promotions"), title, found.summary, blocks)


def _lines(found: PromotionHistory, each: PastPromotion) -> list[str]:
    said = found.result(each)
    return [gettext("{upper}{said}.", upper=said[:1].upper(), said=said[1:], said_2=said), *found.explain(each)]


def draw_net_margins(found: PromotionHistory) -> Figure:
    """The margin that each promotion added, with what followed."""
    drawn = found.ranked[:MOST_DRAWN]
    marks = [
        ForestRow(
            truncate(f"{each.when}{gettext(', ')}{each.what}", 90),
            each.effect.net.value,
            each.effect.net.low,
            each.effect.net.high,
            (found.cash(each.cost_cents),),
            TONES[each.verdict],
        )
        for each in drawn
        if each.effect is not None
    ]
    added = gettext("margin added")
    how = gettext(
        "The line is the interval; a grey one says that gain or loss is not certain. "
        "Discounts are off, and the weeks after a promotion are counted in."
    )
    if len(found.ranked) > MOST_DRAWN:
        how += gettext(" The first {most_drawn} are drawn.", most_drawn=MOST_DRAWN)
    return forest_plot(
        "history",
        gettext("Margin that past promotions added"),
        found.line(drawn[0]),
        Axis(added, "money"),
        (gettext("promotion"), added, gettext("discount given")),
        marks,
        lambda value: found.cash(value, sign=True),
        how=how,
        evidence="adjusted",
        wide=True,
    )
