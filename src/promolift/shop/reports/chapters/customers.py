"""Who the customers are: how recently, how much, how often, what, and how they answer prices."""

from promolift.core.customers.disclosure_control import small_cells
from promolift.foundation.i18n.formatting import (
    DASH,
    clip,
    count,
    day_count,
    days,
    ends,
    pick,
    plural,
    share,
    upper_first,
)
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.foundation.pages.charts import people_n
from promolift.shop.reports.chapters.recipients import cell
from promolift.shop.reports.story import Story
from promolift.shop.results.customers import Customers
from promolift.shop.results.histograms import Histogram


def tell(story: Story) -> Chapter:
    """The customers."""
    people = story.customers
    if people is None:
        lead = "No customer profiles were given."
        why = story.missing.get("customers")
        blocks: list[Figure | Block] = [gap("who the customers are", why)]
    else:
        lead = pick(
            f"{plural(people.customers, 'customer')}, each described by what they did before the plan was made.",
            f"{count(people.customers)}位客户，每位都由制定计划之前的行为来描述。",
        )
        blocks = [_strip(people, story), _cadence(people, story), _discounts(people, story)]
    blocks.append(_categories(story))
    part = kept("Can it be trusted?")
    return Chapter("customers", "Customers", "Who are the customers?", lead, blocks, part)


def _strip(people: Customers, story: Story) -> Block:
    middle, cash = people.middle, story.cash
    typical = [
        (kept("since the last order"), days(middle.recency_days)),
        (kept("between two orders"), days(middle.cadence_days)),
        (kept("per basket"), cash(middle.basket_cents)),
        (kept("saved by discounts"), share(middle.discount_share)),
        (kept("expected in the coming window"), cash(middle.spend_next_cents)),
    ]
    title = "The customer in the middle"
    return Block("strip", {"rows": [row for row in typical if row[1] != DASH]}, title)


def _histogram(
    found: Histogram, ident: str, title: str, axis: str, fmt: str, finding: str, story: Story
) -> Figure | Block:  # fmt: skip
    text = share if fmt == "share" else day_count
    few = small_cells([*(bar.customers for bar in found.bars), found.above], story.least)
    shown = [None if small else bar.customers for bar, small in zip(found.bars, few, strict=False)]
    if not any(shown):
        return gap(title, kept(f"there are fewer than {story.least} customers"))
    spec = {
        "kind": "columns",
        "bins": [[bar.low, bar.high, n] for bar, n in zip(found.bars, shown, strict=True) if n is not None],
        "x": {"name": axis, "fmt": fmt},
        "y": {"name": kept("customers"), "fmt": "count"},
        "mark": [found.middle, kept("median")],
    }
    rows = [[ends(bar.low, bar.high, text), cell(n, story)]
            for bar, n in zip(found.bars, shown, strict=True) if bar.customers]  # fmt: skip
    how, cap = "", text(found.cap)
    if found.above and few[-1]:
        how = pick(f"Few above {cap} are not drawn.", f"另有少数高于{cap}，未画。")
    elif found.above:
        above = plural(found.above, "customer")
        how = pick(f"{above} above {cap} not drawn.", f"另有{count(found.above)}位高于{cap}，未画。")
    grid = Grid([axis, "customers"], rows)
    return Figure(ident, title, finding, spec, grid, how, people_n(found.customers))


def _cadence(people: Customers, story: Story) -> Figure | Block:
    gaps = people.cadence_days
    if gaps is None:
        return gap("how often customers come", story.missing.get("cadence_days"))
    middle, low, high = days(gaps.middle), day_count(gaps.lower), days(gaps.upper)
    finding = kept(
        f"The customer in the middle comes every {middle}; half of all customers come every {low} to {high}."
    )
    return _histogram(
        gaps, "cadence", kept("How often they come"), kept("typical days between orders"), "days", finding, story
    )


def _discounts(people: Customers, story: Story) -> Figure | Block:
    part = people.discount_share
    if part is None:
        return gap("how much is bought on discount", story.missing.get("discount_share"))
    middle, heavy = share(part.middle), share(people.heavy_share)
    finding = kept(
        f"The customer in the middle saves {middle} of the full price; {heavy} of customers save a fifth or more."
    )
    title = "How much of it is discounted"
    return _histogram(part, "discount-share", title, kept("share of the full price saved"), "share", finding, story)


def _categories(story: Story) -> Figure | Block:
    tastes = story.tastes
    if tastes is None:
        return gap("what they like to buy", story.missing.get("tastes"))
    first = tastes.top[0]
    name, most, together = upper_first(clip(first.target, 40)), share(first.spend_share), share(tastes.together_share)
    few = small_cells([each.customers for each in tastes.top], story.least, tastes.customers)
    bought = [cell(None if small else each.customers, story) for each, small in zip(tastes.top, few, strict=True)]
    finding = pick(
        f"{name}: {most} of the average customer's spend; the first {tastes.shown} of "
        f"{plural(tastes.categories, 'category', 'categories')} together {together}.",
        f"{name}：占平均每位客户消费的{most}；{count(tastes.categories)}个品类中的前{tastes.shown}个共占{together}。",
    )
    spec = {
        "kind": "bars",
        "x": {"name": kept("share of the average customer's spend"), "fmt": "share"},
        "rows": [
            {
                "name": clip(each.target, 44),
                "value": each.spend_share,
                "text": pick(f"{buyers} buyers", f"{buyers}位购买者"),
            }
            for each, buyers in zip(tastes.top, bought, strict=True)
        ],
    }
    grid = Grid(
        ["category", "share of spend", "customers who buy it"],
        [
            [clip(each.target, 60), share(each.spend_share), buyers]
            for each, buyers in zip(tastes.top, bought, strict=True)
        ],
    )
    title = "What they like"
    return Figure("categories", title, finding, spec, grid, "", people_n(tastes.customers))
