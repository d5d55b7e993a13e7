"""Whether groups of customers are treated alike: limits on their shares, gaps at equal baskets, swaps and proxies."""

from promolift.foundation.i18n.formatting import count, ends, share
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Block, Chapter, Figure, sentences, table
from promolift.shop.reports.story import Story
from promolift.shop.results.fairness import FairnessNote, measure_words
from promolift.shop.results.group_names import group_words
from promolift.shop.results.plan import FairPlan, fair_text

MOST = 20  # gaps in the table, the surest first


def tell(story: Story) -> Chapter | None:
    """Fairness; none where neither was compared nor limited."""
    found, limited = story.fairness, story.plan.fairness
    if found is None and limited is None:
        return None
    blocks: list[Figure | Block] = []
    if limited is not None and limited.uses:
        blocks.append(_limits(limited, story))
    if found is not None:
        blocks += [_shown(found), *_gaps(found)]
    if found is not None and (more := [*map(found.swap_words, found.swaps), *found.proxy_words()]):
        blocks.append(sentences("Does it hang on who they are?", more))
    lead = "The same basket should get the same treatment; where it does not, it stands here."
    return Chapter("fairness", "Fairness", "Are groups of customers treated alike?", lead, blocks)


def _limits(found: FairPlan, story: Story) -> Block:
    rows = [
        [
            group_words(use.group),
            kept("value" if use.limit.measure == "cost_share" else "number of offers"),
            share(use.people, 1),
            share(use.used, 1),
            ends(use.limit.at_least, 1.0 if use.limit.at_most is None else use.limit.at_most, lambda x: share(x, 1)),
            story.cash(use.price) if use.price else "",
        ]
        for use in found.uses
    ]
    heads = ["group", "limited", "share of the customers", "share of the offers", "allowed", "one point more room adds"]
    text = fair_text(found, story.plan.shop.currency)
    return table("Every group gets its share", heads, rows, text, words=(1,))


def _shown(found: FairnessNote) -> Block:
    none = kept("No gap between groups is beyond chance, all comparisons counted in.")
    return sentences("Who is treated otherwise at equal baskets?", [*map(found.sentence, found.shown)] or [none])


def _gaps(found: FairnessNote) -> list[Block]:
    rows = [
        [
            group_words(each.group),
            measure_words(each.measure),
            count(each.n),
            found.amount(each.measure, each.mean),
            found.amount(each.measure, each.others_mean),
            found.amount(each.measure, each.gap, sign=True),
            ends(each.low, each.high, lambda x, m=each.measure: found.amount(m, x, sign=True)),  # type: ignore[misc]
        ]
        for each in found.gaps[:MOST]
    ]
    heads = ["group", "what", "customers", "theirs", "all others", "gap at equal baskets", "interval, all at once"]
    text = kept(
        "Equal baskets: the same value, lines, orders and breadth of categories. The intervals hold for all "
        "comparisons together; the surest stand first."
    )
    return [table("What was compared", heads, rows, text, words=(1,))] if rows else []
