"""Render the results page of an advertising project: verdict, values on later rows, and the plan."""

from promolift.extensions.ads.results import CreativeResults
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, low_to_high, percent
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Chapter, Figure, KeyFigure, Page, note, sentences, table
from promolift.foundation.pages.charts import thin_rows

PLAN_ROWS_SHOWN = 30  # of the plan that the page shows; the file has all


def creative_page(found: CreativeResults) -> Page:
    """The page of `promolift run` for a file of creatives."""
    first, *_ = found.values.values()
    name = next(iter(found.values))
    interval = low_to_high(first.low, first.high, lambda value: f"{value:.4f}")
    verdict = render_message(found.verdict)
    head = KeyFigure(render_message(name), f"{first.value:.4f}", f"{interval}; {verdict}")
    facts = {
        gettext("rows learned from"): count(found.training_rows),
        gettext("rows that judge"): count(found.evaluation_rows),
    }
    chapters = [_values(found), _plan(found)]
    return Page(found.settings.path, gettext("Creatives"), facts, head, chapters)


def _values(found: CreativeResults) -> Chapter:
    rows = [
        [
            render_message(name),
            f"{each.value:.5f}",
            low_to_high(each.low, each.high, lambda value: f"{value:.5f}"),
            count(each.n),
        ]
        for name, each in found.values.items()
    ]
    heads = ["", gettext("value"), gettext("95 % interval"), "n"]
    title = gettext("On later rows, which taught nothing")
    blocks: list[Figure | Block] = [note(render_message(found.verdict)), table(title, heads, rows)]
    if found.fatigue.height:
        cells = [
            [str(r[0]), count(r[1]), count(r[2]), percent(r[3], 2), low_to_high(r[4], r[5], percent)]
            for r in found.fatigue.iter_rows()
        ]
        heads = [
            gettext("exposure"),
            gettext("impressions"),
            gettext("clicks"),
            gettext("rate"),
            gettext("95 % interval"),
        ]
        blocks.append(table(gettext("Fatigue"), heads, cells))
    blocks += [sentences("", [*map(render_message, found.notes)])] if found.notes else []
    return Chapter("values", gettext("Values"), gettext("What may be claimed"), "", blocks)


def _plan(found: CreativeResults) -> Chapter:
    rows = [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row]
            for row in thin_rows(found.plan.head(PLAN_ROWS_SHOWN).rows(), PLAN_ROWS_SHOWN)]  # fmt: skip
    words = [at for at, dtype in enumerate(found.plan.dtypes) if not dtype.is_numeric()]
    text = gettext("The first {plan_rows_shown}; creatives.csv has all.", plan_rows_shown=PLAN_ROWS_SHOWN)
    blocks: list[Figure | Block] = [
        table(gettext("Shares and impressions"), found.plan.columns, rows, text, words=words)
    ]
    return Chapter("plan", gettext("Plan"), gettext("Which creative where"), "", blocks)
