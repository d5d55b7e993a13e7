"""Chapter on fairness between groups: limits on shares, gaps at equal baskets, swapped columns and proxies."""

from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.formatting import count, low_to_high, percent
from promolift.foundation.pages.blocks import Block, Chapter, Figure, sentences, table
from promolift.shop.reports.story import Story
from promolift.shop.results.fairness import FairnessNote, group_label, measure_label
from promolift.shop.results.plan import fairness_text
from promolift.shop.results.plan_note import FairPlan

MOST = 20  # gaps in the table, the surest first


def build_chapter(story: Story) -> Chapter | None:
    """Build the chapter on fairness; None if groups were neither compared nor limited."""
    found, limited = story.fairness, story.plan.fairness
    if found is None and limited is None:
        return None
    blocks: list[Figure | Block] = []
    if limited is not None and limited.uses:
        blocks.append(_limits(limited, story))
    if found is not None:
        blocks += [_shown(found), *_gaps(found)]
    if found is not None and (more := [*map(found.swap_words, found.swaps), *found.proxy_words()]):
        blocks.append(sentences(gettext("Does it hang on who they are?"), more))
    lead = gettext("The same basket should get the same treatment; where it does not, it stands here.")
    return Chapter("fairness", gettext("Fairness"), gettext("Are groups of customers treated alike?"), lead, blocks)


def _limits(found: FairPlan, story: Story) -> Block:
    rows = [
        [
            group_label(use.group),
            (gettext("value") if use.limit.measure == "cost_share" else gettext("number of offers")),
            percent(use.people, 1),
            percent(use.used, 1),
            low_to_high(
                use.limit.at_least, 1.0 if use.limit.at_most is None else use.limit.at_most, lambda x: percent(x, 1)
            ),
            story.cash(use.price) if use.price else "",
        ]
        for use in found.uses
    ]
    heads = [
        pgettext("fairness", "group"),
        gettext("limited"),
        gettext("share of the customers"),
        gettext("share of the offers"),
        gettext("allowed"),
        gettext("one point more room adds"),
    ]
    text = fairness_text(found, story.plan.shop.currency)
    return table(gettext("Every group gets its share"), heads, rows, text, words=(1,))


def _shown(found: FairnessNote) -> Block:
    return sentences(gettext("Who is treated otherwise at equal baskets?"), found.findings)


def _gaps(found: FairnessNote) -> list[Block]:
    rows = [
        [
            group_label(each.group),
            measure_label(each.measure),
            count(each.n),
            found.amount(each.measure, each.mean),
            found.amount(each.measure, each.others_mean),
            found.amount(each.measure, each.gap, sign=True),
            low_to_high(each.low, each.high, lambda x, m=each.measure: found.amount(m, x, sign=True)),  # type: ignore[misc]
        ]
        for each in found.gaps[:MOST]
    ]
    heads = [
        pgettext("fairness", "group"),
        gettext("what"),
        pgettext("fairness", "customers"),
        gettext("theirs"),
        gettext("all others"),
        gettext("gap at equal baskets"),
        gettext("interval, all at once"),
    ]
    text = gettext(
        "Equal baskets: the same value, lines, orders and breadth of categories. The "
        "intervals hold for all comparisons together; the surest stand first."
    )
    return [table(gettext("What was compared"), heads, rows, text, words=(1,))] if rows else []
