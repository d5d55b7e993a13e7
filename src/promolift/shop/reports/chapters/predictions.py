"""Chapters on the forecasts: a short version, and every figure with its calibration for the appendix."""

from collections.abc import Sequence

from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import (
    count,
    in_brackets,
    interval_name,
    low_to_high,
    number,
    percent,
    truncate,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Chapter, Figure, table, unknown_note
from promolift.shop.reports.score_figures import calibration_figure, score_block, score_verdict
from promolift.shop.reports.story import Story
from promolift.shop.results.predictions import PurchaseMembers, Scored

MOST_MODELS = 4
PLAIN = {
    "buying a category in the window": gettext_noop("who buys a category in the window"),
    "redeeming a campaign's coupon": gettext_noop("who uses a coupon"),
}


def name_of(model: str) -> str:
    """What a model forecasts, in plain words."""
    return truncate(render_message(PLAIN.get(model, model)), 60)


def build_chapter(story: Story) -> Chapter:
    """Build the short chapter on the forecasts, compared with simple baselines."""
    lead = gettext(
        "Made as of some weeks ago and compared with what customers then did, beside a rule anybody could use."
    )
    scores, why = story.predictions.scores, story.missing.get("predictions")
    blocks: list[Figure | Block] = (
        [_short(scores)] if scores else [unknown_note(gettext("how good the forecasts are"), why)]
    )
    return Chapter("forecasts", gettext("Forecasts"), gettext("Are the forecasts right?"), lead, blocks)


def _short(scores: Sequence[Scored]) -> Block:
    """A row per forecast."""
    rows = []
    for model in dict.fromkeys(each.model for each in scores):
        mine = [each for each in scores if each.model == model]
        large = next((each for each in mine if each.in_the_large), None)
        verdicts = [score_verdict(each).tone for each in mine if not each.in_the_large]
        better, worse = verdicts.count("good"), verdicts.count("bad")
        against = gettext("no better than the rule")
        if better and not worse:
            against = gettext("better than a simple rule")
        elif worse:
            against = gettext("worse than a simple rule")
        found = low_to_high(large.low, large.high, number) if large else ""
        value = number(large.value) + in_brackets(found) if large else ""
        off = gettext("missed") if large and large.missed else gettext("right") if large else ""
        rows.append([name_of(model), value, off, against, count(mine[0].n)])
    heads = [
        gettext("forecast"),
        gettext("forecast for each 1 that came"),
        gettext("on the whole"),
        gettext("beside a simple rule"),
        gettext("cases"),
    ]
    text = gettext(
        "1 would be right; in brackets the {interval_name}. Up to 0.05 off counts as right.",
        interval_name=interval_name(),
    )
    return table(gettext("Did it come true?"), heads, rows, text, words=(2, 3))


def build_figures_chapter(story: Story) -> Chapter:
    """Build the chapter with every figure of every model."""
    lead = gettext(
        "Figures on cases that the models had not seen when they were fitted, beside the simple rule they must beat."
    )
    found, why = story.predictions, story.missing.get("predictions")
    title = gettext("Figures against simple rules")
    blocks: list[Figure | Block] = [
        score_block(found.scores, title) if found.scores else unknown_note(gettext("how good the predictions are"), why)
    ]
    blocks += [
        calibration_figure(each, f"calibration-{i}") for i, each in enumerate(found.reliability[:MOST_MODELS], start=1)
    ] or [unknown_note(gettext("whether predicted probabilities come true"), why)]
    if story.members is not None:
        blocks.append(_members(story.members))
    if story.attributes:
        rows = [[each.what, truncate(each.why, 200)] for each in story.attributes]
        heads = [gettext("attribute"), gettext("because")]
        blocks.append(table(gettext("Known of nobody"), heads, rows, words=(1,)))
    name, part = gettext("Models"), gettext("Technical appendix")
    return Chapter("models", name, gettext("How good are the models?"), lead, blocks, part)


def _members(members: PurchaseMembers) -> Block:
    """Which members forecast purchases, and why."""
    rows = []
    for when, each in (
        (pgettext("predictions", "the plan"), members.at_plan),
        (gettext("the check"), members.at_check),
    ):
        gain = number(each.lead) + in_brackets(low_to_high(each.lead_low, each.lead_high, number))
        rows.append([when, percent(each.weight), number(each.alone), gain, render_message(each.why)])
    heads = [
        gettext("as of"),
        gettext("weight of the trees"),
        gettext("log loss of counts"),
        gettext("with trees, less by"),
        gettext("because"),
    ]
    text = gettext(
        "Counts of each customer's habits, and boosted trees over them; judged on the last "
        "window before the moment, each half of the customers at the weight that the other "
        "half chose."
    )
    return table(gettext("Who forecasts purchases"), heads, rows, text, words=(4,))
