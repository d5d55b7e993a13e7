"""Chapter 3. What a discount does: the curve, the placebo checks beside it, categories, and whether like met like."""

from collections.abc import Sequence

from promolift.pages.blocks import Block, Chapter, Figure, gap, sentences
from promolift.pages.figures import Axis, Line, Mark, by_point, forest, lines
from promolift.pages.story import Story
from promolift.results.effects import CategoryResponse, CurveGroup, Placebo, ResponseFigures, Targeting
from promolift.words import bracket, clip, count, ends, interval, listed, number, plural, share, upper_first

MEANINGS = {
    "randomised": "Who got which discount was decided at random, so the response can be read as an effect.",
    "adjusted": "Discounts were not given at random. The response is read from past prices after adjusting for what is "
    "known; it is not a proven effect.",
    "assumed": "The response is an assumption stated in advance, not read from this data.",
}
MOST_CATEGORIES = 14
MOST_GROUPS = 3


def tell(story: Story) -> Chapter:
    """The discount response."""
    found = story.response
    notes = [*_notes(found), *(_campaigns(story.targeting) if story.targeting else ())]
    how = sentences("How it was estimated", [clip(text, 600) for text in notes])
    blocks = [_curve(found), _placebos(found), _overlap(found), _categories(found), how]
    return Chapter("discount", "Discounts", "What does a discount do?", MEANINGS[found.level], blocks)


def _notes(found: ResponseFigures) -> list[str]:
    """How the response was read, in sentences with its numbers."""
    if found.level == "assumed":
        return [
            f"The response is assumed, not measured: {found.why}.",
            f"A discount d is taken to multiply demand by exp({found.beta:.2f} d), +- {found.beta_se:.2f}.",
        ]
    more = "Price sensitivity is not known before the response period."
    if found.beta_z_errors is not None:
        more = (
            f"One standard deviation more of price sensitivity adds {found.beta_z:.2f} (z = {found.beta_z_errors:.1f})."
        )
    return [
        f"Read from {count(found.cells)} weeks of {plural(found.customers, 'customer')} and their usual categories.",
        "Compared are weeks in which the products a customer usually buys were deeper discounted with weeks in which "
        "they were not, after taking out what everybody bought in that category that week and whether they shopped.",
        f"Of the demand a discount brings in its week, {share(found.new_share)} is new; the rest is only bought "
        "earlier and is not counted as gained.",
        more,
        "Discounts were not given at random. Another campaign of the shop that hit the same customer, category and "
        "week could still be mistaken for the discount.",
    ]


def _campaigns(targeting: Targeting) -> list[str]:
    """Why past campaigns are not taken for experiments."""
    if targeting.campaigns is None:
        return []
    why = targeting.refusal or "the targeted had spent about as much before as the others, but nobody drew them"
    return [f"No uplift is read from the {targeting.campaigns} past campaigns: {why}."]


def _signed(value: object) -> str:
    text = share(value)
    return text if text[0] in "−—" or text.startswith("above") or text == "0\N{NO-BREAK SPACE}%" else f"+{text}"


def _curve(found: ResponseFigures) -> Figure | Block:
    if not found.curve:
        return gap("how demand answers to a discount", found.why)
    groups, further = found.curve[:MOST_GROUPS], len(found.curve) - MOST_GROUPS
    read = [
        Line(clip(g.group, 40), _tone(g, groups[0]), [(p.depth, p.lift, p.low, p.high, p.cells) for p in g.points])
        for g in groups
    ]
    how = "The band is the interval; without a discount the change is zero by definition."
    how += f" {plural(further, 'further group')} not drawn." if further > 0 else ""
    return lines(
        "curve", "The discount curve", _curve_finding(groups),
        Axis("discount", "share"), Axis("change of demand", "signed"),
        [line._replace(points=[(0.0, 0.0), *line.points]) for line in read],
        by_point(["customers", "discount", "change of demand", "observations"], read, share, _signed),
        how=how, n=plural(groups[0].cells, "observation"), evidence=found.level, wide=True, origin=True,
    )  # fmt: skip


def _tone(group: CurveGroup, first: CurveGroup) -> str:
    """Ink for the first group, orange for one that answers more, blue for one that answers less, as on the map."""
    if group is first:
        return "ink"
    return "orange" if group.points[-1].lift > first.points[-1].lift else "blue"


def _curve_finding(groups: Sequence[CurveGroup]) -> str:
    first = groups[0].points[-1]
    between = bracket(interval(first.low, first.high, _signed))
    name = clip(groups[0].group, 40)
    text = f"At {share(first.depth)} off, demand of {name} changes by {_signed(first.lift)}{between}."
    others = sorted(groups[1:], key=lambda group: (group.points[-1].lift, group.group))
    if len(others) < 2:
        return text
    small, large = others[0].points[-1], others[-1].points[-1]
    said = (
        f"{clip(others[-1].group, 40)} answers with {_signed(large.lift)} at {share(large.depth)} off, "
        f"{clip(others[0].group, 40)} with {_signed(small.lift)} at {share(small.depth)} off"
    )
    if small.high is None or large.low is None:
        return f"{text} {upper_first(said)}."
    sure = (
        "the intervals do not overlap"
        if large.low > small.high
        else "the intervals overlap, so the difference is not established"
    )
    return f"{text} {upper_first(said)}; {sure}."


def _placebos(found: ResponseFigures) -> Figure | Block:
    if not found.tests:
        return gap("what placebo checks find", found.why)
    failed = [each for each in found.tests if each.passed is False]
    verdicts = {True: "passed", False: "failed", None: "not decided"}
    marks = [
        Mark(
            clip(p.name, 90), p.value, p.low, p.high,
            ("the effect itself" if p.main else verdicts[p.passed], "" if p.main else clip(p.meaning or "", 140)),
            "main" if p.main else "bad" if p.passed is False else "quiet",
        )
        for p in found.placebos
    ]  # fmt: skip
    return forest(
        "placebos", "Placebo checks", _placebo_finding(found, failed), Axis("effect found", "fixed"),
        ("what was looked at", "found", "verdict", "why it must be zero"), marks, number, words=(3, 4),
        how="A placebo asks the same method for an effect that cannot exist. Its interval should hold zero.",
        n=plural(found.tests_made, "check"), evidence=found.level, tone="warn" if failed else "good",
    )  # fmt: skip


def _placebo_finding(found: ResponseFigures, failed: Sequence[Placebo]) -> str:
    as_due = ", as it must be" if found.tests_passed == found.tests_made else ""
    checks = plural(found.tests_made, "placebo check")
    text = f"{count(found.tests_passed)} of {checks} found nothing{as_due}."
    if not failed:
        return text
    parts = [
        clip(each.name, 60) + ("" if each.main_share is None else f" ({share(each.main_share)} of the effect itself)")
        for each in failed
    ]
    return f"{text} An effect that cannot exist was found for: {listed(parts)}. Read the discount curve with caution."


def _categories(found: ResponseFigures) -> Figure | Block:
    if not found.categories:
        return gap("which categories answer to discounts", found.why)
    shown, half = found.categories, MOST_CATEGORIES // 2
    if len(shown) > MOST_CATEGORIES:
        shown = (*shown[:half], *shown[-half:])
    marks = [Mark(clip(c.category, 60), c.response, c.low, c.high, (count(c.cells),), _sure(c)) for c in shown]
    cut = f" The {half} most and least responsive are drawn." if len(shown) < len(found.categories) else ""
    return forest(
        "elasticities", "Which categories answer", _category_finding(found), Axis("response to a discount", "fixed"),
        ("category", "response", "observations"), marks, number,
        how=f"The line is the interval; grey lines reach zero, so that no response is possible.{cut}",
        n=plural(found.categories_read, "category", "categories"), evidence=found.level, wide=True,
    )  # fmt: skip


def _sure(each: CategoryResponse) -> str:
    """The tone of a response: quiet where none is possible."""
    return "main" if each.low is not None and each.low > 0 else "quiet"


def _category_finding(found: ResponseFigures) -> str:
    top, end = found.categories[0], found.categories[-1]
    between = bracket(interval(top.low, top.high, number))
    text = f"Strongest response: {_named(top)}{between}."
    text += f" Weakest: {_named(end)}." if end is not top else ""
    every = plural(found.categories_read, "category", "categories")
    return f"{text} For {count(found.categories_sure)} of {every} the interval lies above zero."


def _named(each: CategoryResponse) -> str:
    return f"{clip(each.category, 40)}, {number(each.response)}"


def _overlap(found: ResponseFigures) -> Block:
    if not found.overlap:
        return gap("whether like was compared with like", found.why)
    rows = [
        {"figure": share(each.value), "text": clip(each.name, 140), "small": ends(each.low, each.high, share)}
        for each in found.overlap
    ]
    return Block("list", {"rows": rows, "more": ""}, "Was like compared with like?", found.level, wide=False)
