"""Chapters on the discount response: the curve, the categories, and how the response was estimated and checked."""

from collections.abc import Sequence

from promolift.foundation.i18n.catalogue import gettext, gettext_noop, ngettext, pgettext
from promolift.foundation.i18n.formatting import (
    count,
    in_brackets,
    interval,
    join_list,
    number,
    percent,
    truncate,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Chapter, Figure, note, sentences, table, unknown_note
from promolift.foundation.pages.charts import Axis, ForestRow, Line, forest_plot, line_chart, table_by_point
from promolift.shop.reports.story import Story
from promolift.shop.results.effects import DEPTH, CategoryResponse, CurveGroup, Placebo, ResponseFigures

MEANINGS = {
    "randomised": gettext_noop(
        "Who got which discount was decided at random, so the response can be read as an effect."
    ),
    "adjusted": (
        gettext_noop(
            "Discounts were not given at random. The response is read from past prices after "
            "adjusting for what is known; it is not a proven effect."
        )
    ),
    "assumed": gettext_noop("The response is an assumption stated in advance, not read from this data."),
}
MOST_CATEGORIES = 14
MOST_GROUPS = 3
MOST_DEPTHS = 8
LARGE_RATIO = 1.5  # the plan's uplift over everybody's, above which it is explained


def build_chapter(story: Story) -> Chapter:
    """Build the chapter on the discount response."""
    found = story.response
    title = gettext("What does a discount do?")
    blocks = [_curve(found), *_chosen(story), _categories(found)]
    return Chapter("discount", gettext("Discounts"), title, MEANINGS[found.level], blocks)


def build_method_chapter(story: Story) -> Chapter:
    """Build the chapter on how the response was estimated and checked."""
    found = story.response
    how = sentences(gettext("How it was estimated"), [truncate(text, 600) for text in _notes(found)])
    title = gettext("How was the response to discounts read?")
    return Chapter(
        "response", gettext("Response"), title, upper_first(render_message(found.why)), [_placebos(found), how]
    )


def _notes(found: ResponseFigures) -> list[str]:
    """How the response was read, in sentences with its numbers."""
    beta, error = f"{found.beta:.2f}", f"{found.beta_se:.2f}"
    if found.level == "assumed":
        why = render_message(found.why)
        return [
            gettext("The response is assumed, not measured: {why}.", why=why),
            gettext("A discount d is taken to multiply demand by exp({beta} d), +- {error}.", beta=beta, error=error),
        ]
    more = gettext("Price sensitivity is not known before the response period.")
    if found.beta_z_errors is not None:
        slope, z = f"{found.beta_z:.2f}", f"{found.beta_z_errors:.1f}"
        more = gettext(
            "One standard deviation more of price sensitivity adds {slope} (z = {z}).",
            slope=slope,
            z=z,
        )
    cells, new = count(found.cells), percent(found.new_share)
    return [
        ngettext(
            "Read from {cells} weeks of {customers} customer and their usual categories.",
            "Read from {cells} weeks of {customers} customers and their usual categories.",
            found.customers,
            cells=cells,
            customers=count(found.customers),
        ),
        gettext(
            "Compared are weeks in which the products a customer usually buys were deeper "
            "discounted with weeks in which they were not, after taking out what everybody "
            "bought in that category that week and whether they shopped."
        ),
        gettext(
            "Of the demand a discount brings in its week, {new} is new; the rest is only bought "
            "earlier and is not counted as gained.",
            new=new,
        ),
        more,
        gettext(
            "Discounts were not given at random. Another campaign of the shop that hit the same "
            "customer, category and week could still be mistaken for the discount."
        ),
    ]


def _signed(value: object) -> str:
    text = percent(value)
    return (
        text
        if text[0] in "−—高" or text.startswith("above") or text.strip("\N{NO-BREAK SPACE}%") == "0"
        else f"+{text}"
    )


def _curve(found: ResponseFigures) -> Figure | Block:
    if not found.curve:
        return unknown_note(gettext("how demand answers to a discount"), render_message(found.why))
    groups, further = found.curve[:MOST_GROUPS], len(found.curve) - MOST_GROUPS
    read = [
        Line(
            truncate(render_message(g.group), 40),
            _tone(g, groups[0]),
            [(p.depth, p.lift, p.low, p.high, p.cells) for p in g.points],
        )
        for g in groups
    ]
    how = gettext("The band is the interval; without a discount the change is zero by definition.")
    if further > 0:
        how += ngettext(
            " {groups} further group not drawn.", " {groups} further groups not drawn.", further, groups=count(further)
        )
    change, seen = gettext("change of demand"), gettext("observations")
    heads = [pgettext("discount", "customers"), gettext("discount"), change, seen]
    cells = groups[0].cells
    return line_chart(
        "curve",
        gettext("The discount curve"),
        _curve_finding(groups),
        Axis(gettext("discount"), "share"),
        Axis(change, "signed"),
        [line._replace(points=[(0.0, 0.0), *line.points]) for line in read],
        table_by_point(heads, read, percent, _signed),
        how=how,
        n=ngettext("{observations} observation", "{observations} observations", cells, observations=count(cells)),
        evidence=found.level,
        wide=True,
        origin=True,
    )


def _tone(group: CurveGroup, first: CurveGroup) -> str:
    """Ink for the first group, orange for one that answers more, blue for one that answers less, as on the map."""
    if group is first:
        return "ink"
    return "orange" if group.points[-1].lift > first.points[-1].lift else "blue"


def _curve_finding(groups: Sequence[CurveGroup]) -> str:
    first = groups[0].points[-1]
    between = in_brackets(interval(first.low, first.high, _signed))
    name, depth, lift = truncate(render_message(groups[0].group), 40), percent(first.depth), _signed(first.lift)
    text = gettext(
        "At {depth} off, demand of {name} changes by {lift}{between}.",
        depth=depth,
        name=name,
        lift=lift,
        between=between,
    )
    others = sorted(groups[1:], key=lambda group: (group.points[-1].lift, group.group))
    if len(others) < 2:
        return text
    small, large = others[0].points[-1], others[-1].points[-1]
    least, most = (truncate(render_message(each.group), 40) for each in (others[0], others[-1]))
    said = gettext(
        "{most} answers with {signed} at {depth} off, {least} with {lift} at {small_depth} off",
        most=most,
        signed=_signed(large.lift),
        depth=percent(large.depth),
        least=least,
        lift=_signed(small.lift),
        small_depth=percent(small.depth),
    )
    if small.high is None or large.low is None:
        return text + gettext(" {said}.", said=upper_first(said), said_2=said)
    sure = gettext("the intervals overlap, so the difference is not established")
    if large.low > small.high:
        sure = gettext("the intervals do not overlap")
    return text + gettext(" {said}; {sure}.", said=upper_first(said), sure=sure, said_2=said)


def _chosen(story: Story) -> list[Block]:
    """What the plan expects of the customers whom it chose, by depth, beside what the curves show."""
    strongest = story.response.strongest
    most = sorted(story.uplift, key=lambda each: (-each.customers, each.depth))[:MOST_DEPTHS]
    shown = sorted((each for each in most if each.customers >= story.least), key=lambda each: each.depth)
    if not shown:
        return []
    checked = any(each.checked is not None for each in shown)
    heads = [gettext("discount"), pgettext("discount", "customers"), gettext("the plan's customers")]
    heads += [gettext("without luck in the choice")] if checked else []
    heads += [gettext("everyone"), *([render_message(strongest.group)] if strongest else [])]
    rows = [
        [percent(each.depth), count(each.customers), _signed(each.lift)]
        + ([_signed(each.checked)] if checked else [])
        + [_signed(each.everyone)]
        + ([_signed(each.strongest)] if strongest else [])
        for each in shown
    ]
    text = gettext("How much more is bought at each discount, weighted by what customers would buy without it.")
    if checked:
        text += gettext(" Luck is taken off by cross-fitting: one half of the customers chooses, the other values.")
    blocks = [table(gettext("What the plan expects of its customers"), heads, rows, text)]
    each = max(shown, key=lambda one: one.ratio)
    if each.ratio > LARGE_RATIO:
        said = gettext(
            "At {depth} off the plan expects {lift} from its customers, {ratio} times as much as from everyone "
            "({everyone}). It chose the customers and categories with the highest estimates: part of the difference is "
            "real, part is errors of the estimates. Until a test shows more, reckon with the figure for everyone.",
            depth=percent(each.depth),
            lift=_signed(each.lift),
            ratio=f"{each.ratio:.1f}",
            everyone=_signed(each.everyone),
        )
        blocks.append(note(said, "warn"))
    return blocks


def _placebos(found: ResponseFigures) -> Figure | Block:
    if not found.tests:
        return unknown_note(gettext("what placebo checks find"), render_message(found.why))
    failed = [each for each in found.tests if each.passed is False]
    verdicts = {True: gettext("passed"), False: pgettext("discount", "failed"), None: gettext("not decided")}
    itself = gettext("the effect itself")
    marks = [
        ForestRow(
            truncate(render_message(p.name), 90),
            p.value,
            p.low,
            p.high,
            (
                itself if p.main else verdicts[p.passed],
                "" if p.main else truncate(render_message(p.meaning or ""), 140),
            ),
            "main" if p.main else "bad" if p.passed is False else "quiet",
        )
        for p in found.placebos
    ]
    looked, why = gettext("what was looked at"), gettext("why it must be zero")
    heads = [looked, gettext("found"), gettext("verdict"), why]
    how = gettext("A placebo asks the same method for an effect that cannot exist. Its interval should hold zero.")
    return forest_plot(
        "placebos",
        gettext("Placebo checks"),
        _placebo_finding(found, failed),
        Axis(gettext("effect found"), "fixed"),
        heads,
        marks,
        number,
        words=(3, 4),
        how=how,
        n=ngettext("{checks} check", "{checks} checks", found.tests_made, checks=count(found.tests_made)),
        evidence=found.level,
        tone="warn" if failed else "good",
    )


def _placebo_finding(found: ResponseFigures, failed: Sequence[Placebo]) -> str:
    as_due = found.tests_passed == found.tests_made
    passed, made = count(found.tests_passed), count(found.tests_made)
    text = (
        ngettext(
            "{passed} of {checks} placebo check found nothing, as it must be.",
            "{passed} of {checks} placebo checks found nothing, as it must be.",
            found.tests_made,
            passed=passed,
            checks=count(found.tests_made),
            made=made,
        )
        if as_due
        else ngettext(
            "{passed} of {checks} placebo check found nothing.",
            "{passed} of {checks} placebo checks found nothing.",
            found.tests_made,
            passed=passed,
            checks=count(found.tests_made),
            made=made,
        )
    )
    if not failed:
        return text

    def sized(each: Placebo) -> str:
        of = "" if each.main_share is None else percent(each.main_share)
        return truncate(render_message(each.name), 60) + in_brackets(of and gettext("{of} of the effect itself", of=of))

    parts = [sized(each) for each in failed]
    return text + gettext(
        " An effect that cannot exist was found for: {parts}. Read the discount curve with caution.",
        parts=join_list(parts),
    )


def _categories(found: ResponseFigures) -> Figure | Block:
    if not found.categories:
        return unknown_note(gettext("which categories answer to discounts"), render_message(found.why))
    shown, half = found.categories, MOST_CATEGORIES // 2
    if len(shown) > MOST_CATEGORIES:
        shown = (*shown[:half], *shown[-half:])
    marks = [
        ForestRow(truncate(c.category, 60), c.lift, c.lift_low, c.lift_high, (count(c.cells),), _sure(c)) for c in shown
    ]
    how = gettext("The line is the interval; grey lines reach zero, so that no response is possible.")
    if len(shown) < len(found.categories):
        how += gettext(" The {half} most and least responsive are drawn.", half=half)
    depth = percent(DEPTH)
    axis = gettext("change of demand at {depth} off", depth=depth)
    every = found.categories_read
    return forest_plot(
        "elasticities",
        gettext("Which categories answer"),
        _category_finding(found),
        Axis(axis, "signed"),
        ("category", axis, "observations"),
        marks,
        _signed,
        how=how,
        n=ngettext("{categories} category", "{categories} categories", every, categories=count(every)),
        evidence=found.level,
        wide=True,
    )


def _sure(each: CategoryResponse) -> str:
    """The tone of a response: quiet where none is possible."""
    return "main" if each.low is not None and each.low > 0 else "quiet"


def _category_finding(found: ResponseFigures) -> str:
    top, end, depth = found.categories[0], found.categories[-1], percent(DEPTH)
    between = in_brackets(interval(top.lift_low, top.lift_high, _signed))
    text = gettext(
        "At {depth} off most more is sold of {named}{between}.",
        depth=depth,
        named=_named(top),
        between=between,
    )
    if end is not top:
        text += gettext(" Least: {named}.", named=_named(end))
    sure, read = count(found.categories_sure), found.categories_read
    every = ngettext("{n} category", "{n} categories", read, n=count(read))
    return text + gettext(
        " For {sure} of {every} it is sure that more is sold.",
        sure=sure,
        every=every,
        categories_read=count(found.categories_read),
    )


def _named(each: CategoryResponse) -> str:
    return gettext("{category}, {signed}", category=truncate(each.category, 40), signed=_signed(each.lift))
