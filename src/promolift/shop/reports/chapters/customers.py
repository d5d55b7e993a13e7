"""Chapter on the customers: recency, frequency, spend, favourite categories and price sensitivity."""

from promolift.core.customers.disclosure_control import small_cells
from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext
from promolift.foundation.i18n.formatting import (
    DASH,
    count,
    day_count,
    days,
    low_to_high,
    percent,
    truncate,
    upper_first,
)
from promolift.foundation.pages.blocks import Block, Chapter, Figure, TextTable, unknown_note
from promolift.foundation.pages.charts import customer_count
from promolift.shop.reports.chapters.recipients import suppressed_count
from promolift.shop.reports.story import Story
from promolift.shop.results.customers import Customers
from promolift.shop.results.histograms import Histogram


def build_chapter(story: Story) -> Chapter:
    """Build the chapter on the customers."""
    people = story.customers
    if people is None:
        lead = gettext("No customer profiles were given.")
        why = story.missing.get("customers")
        blocks: list[Figure | Block] = [unknown_note(gettext("who the customers are"), why)]
    else:
        lead = ngettext(
            "{customers} customer, each described by what they did before the plan was made.",
            "{customers} customers, each described by what they did before the plan was made.",
            people.customers,
            customers=count(people.customers),
        )
        blocks = [_strip(people, story), _cadence(people, story), _discounts(people, story)]
    blocks.append(_categories(story))
    part = gettext("Can it be trusted?")
    return Chapter("customers", gettext("Customers"), gettext("Who are the customers?"), lead, blocks, part)


def _strip(people: Customers, story: Story) -> Block:
    middle, cash = people.middle, story.cash
    typical = [
        (gettext("since the last order"), days(middle.recency_days)),
        (gettext("between two orders"), days(middle.cadence_days)),
        (gettext("per basket"), cash(middle.basket_cents)),
        (gettext("saved by discounts"), percent(middle.discount_share)),
        (gettext("expected in the coming window"), cash(middle.spend_next_cents)),
    ]
    title = gettext("The customer in the middle")
    return Block("strip", {"rows": [row for row in typical if row[1] != DASH]}, title)


def _histogram(
    found: Histogram, ident: str, title: str, axis: str, fmt: str, finding: str, story: Story
) -> Figure | Block:  # fmt: skip
    text = percent if fmt == "share" else day_count
    few = small_cells([*(bar.customers for bar in found.bars), found.above], story.least)
    shown = [None if small else bar.customers for bar, small in zip(found.bars, few, strict=False)]
    if not any(shown):
        return unknown_note(title, gettext("there are fewer than {least} customers", least=story.least))
    spec = {
        "kind": "columns",
        "bins": [[bar.low, bar.high, n] for bar, n in zip(found.bars, shown, strict=True) if n is not None],
        "x": {"name": axis, "fmt": fmt},
        "y": {"name": pgettext("customers", "customers"), "fmt": "count"},
        "mark": [found.middle, gettext("median")],
    }
    rows = [[low_to_high(bar.low, bar.high, text), suppressed_count(n, story)]
            for bar, n in zip(found.bars, shown, strict=True) if bar.customers]  # fmt: skip
    how, cap = "", text(found.cap)
    if found.above and few[-1]:
        how = gettext("Few above {cap} are not drawn.", cap=cap)
    elif found.above:
        above = ngettext("{n} customer", "{n} customers", found.above, n=count(found.above))
        how = gettext("{above} above {cap} not drawn.", above=above, cap=cap, found_above=count(found.above))
    grid = TextTable([axis, "customers"], rows)
    return Figure(ident, title, finding, spec, grid, how, customer_count(found.customers))


def _cadence(people: Customers, story: Story) -> Figure | Block:
    gaps = people.cadence_days
    if gaps is None:
        return unknown_note(gettext("how often customers come"), story.missing.get("cadence_days"))
    middle, low, high = days(gaps.middle), day_count(gaps.lower), days(gaps.upper)
    finding = gettext(
        "The customer in the middle comes every {middle}; half of all customers come every {low} to {high}.",
        middle=middle,
        low=low,
        high=high,
    )
    return _histogram(
        gaps,
        "cadence",
        gettext("How often they come"),
        gettext("typical days between orders"),
        "days",
        finding,
        story,
    )


def _discounts(people: Customers, story: Story) -> Figure | Block:
    part = people.discount_share
    if part is None:
        return unknown_note(gettext("how much is bought on discount"), story.missing.get("discount_share"))
    middle, heavy = percent(part.middle), percent(people.heavy_share)
    finding = gettext(
        "The customer in the middle saves {middle} of the full price; {heavy} of customers save a fifth or more.",
        middle=middle,
        heavy=heavy,
    )
    title = gettext("How much of it is discounted")
    return _histogram(part, "discount-share", title, gettext("share of the full price saved"), "share", finding, story)


def _categories(story: Story) -> Figure | Block:
    tastes = story.tastes
    if tastes is None:
        return unknown_note(gettext("what they like to buy"), story.missing.get("tastes"))
    first = tastes.top[0]
    name, most, together = (
        upper_first(truncate(first.target, 40)),
        percent(first.spend_share),
        percent(tastes.together_share),
    )
    few = small_cells([each.customers for each in tastes.top], story.least, tastes.customers)
    bought = [
        suppressed_count(None if small else each.customers, story) for each, small in zip(tastes.top, few, strict=True)
    ]
    finding = ngettext(
        "{name}: {most} of the average customer's spend; the first {shown} of {categories} "
        "category together {together}.",
        "{name}: {most} of the average customer's spend; the first {shown} of {categories} "
        "categories together {together}.",
        tastes.categories,
        name=name,
        most=most,
        shown=tastes.shown,
        categories=count(tastes.categories),
        together=together,
    )
    spec = {
        "kind": "bars",
        "x": {"name": gettext("share of the average customer's spend"), "fmt": "share"},
        "rows": [
            {
                "name": truncate(each.target, 44),
                "value": each.spend_share,
                "text": gettext("{buyers} buyers", buyers=buyers),
            }
            for each, buyers in zip(tastes.top, bought, strict=True)
        ],
    }
    grid = TextTable(
        ["category", gettext("share of spend"), gettext("customers who buy it")],
        [
            [truncate(each.target, 60), percent(each.spend_share), buyers]
            for each, buyers in zip(tastes.top, bought, strict=True)
        ],
    )
    title = gettext("What they like")
    return Figure("categories", title, finding, spec, grid, "", customer_count(tastes.customers))
