"""The report chapter on the encoder: how well it forecasts what each customer will do next."""

from collections.abc import Sequence

from promolift.extensions.encoder.results import EpochFigures, ForecastCheck
from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.formatting import count, number, percent
from promolift.foundation.pages.blocks import Block, Chapter, Figure, note, unknown_note
from promolift.foundation.pages.charts import Axis, Line, line_chart, table_by_x
from promolift.shop.reports.score_figures import calibration_figure, score_block
from promolift.shop.reports.story import Story


def forecast_chapter(story: Story) -> Chapter | None:
    """What is forecast; where an encoder was asked for and none was learned, why; no chapter where nobody asked."""
    found, why = story.forecast, story.missing.get("forecast")
    if found is None and why is None:
        return None
    lead = gettext(
        "A small neural network, a transformer, read every visit and learned where each customer stands among all and "
        "what comes next. It forecasts what people do anyway, not what an offer would change."
    )
    blocks = _quality(found) if found else []
    if found is None:
        lead = gettext(
            "No neural network was learned in this run. The plan needs none, and all else is told without it."
        )
        blocks = [unknown_note(gettext("what each customer will do next"), why)]
    title = gettext("What will each customer do next?")
    return Chapter("forecast", gettext("What comes next"), title, lead, blocks)


def _quality(found: ForecastCheck) -> list[Block | Figure]:
    """Figures beside habit, the training, and calibration."""
    title = gettext("How well the next basket is forecast, in weeks never learned from")
    said, came = percent(found.stays_away.predicted), percent(found.stays_away.observed)
    text = gettext(
        "Of the customers, {said} were expected to stay away for those 8 weeks, and {came} "
        "did. The weeks served to stop the learning in time, which flatters the figures a "
        "little; each half of the customers was calibrated on the other half.",
        said=said,
        came=came,
    )
    basket, loss = gettext("The next basket (NDCG@10)"), gettext("The loss")
    return [
        score_block(found.scores, title),
        note(text),
        _curve(found.epochs, found.best_epoch, "ndcg", basket, gettext("higher is better")),
        _curve(found.epochs, found.best_epoch, "loss", loss, gettext("lower is better")),
        *([calibration_figure(found.reliability, "forecast-calibration")] if found.reliability else ()),
    ]


def _curve(epochs: Sequence[EpochFigures], best: EpochFigures, slug: str, name: str, good: str) -> Figure:
    """A figure epoch by epoch, where it was learned and where it was not."""
    parts = (("train", "blue", pgettext("chapter", "learned from")), ("valid", "orange", gettext("not learned from")))
    series = [Line(said, tone, [(e.epoch, getattr(e, f"{part}_{slug}")) for e in epochs]) for part, tone, said in parts]
    first, top = (number(getattr(e, f"valid_{slug}")) for e in (epochs[0], best))
    only = best == epochs[0]
    finding = (
        gettext(
            "{name} of the weeks not learned from: {first} after one pass over the data, which is kept.",
            name=name,
            first=first,
        )
        if only
        else gettext(
            "{name} of the weeks not learned from: {first} after one pass over the data, {top} "
            "after {epoch}, which is kept.",
            name=name,
            first=first,
            top=top,
            epoch=best.epoch,
        )
    )
    short = f"{name[:1].lower()}{name[1:]}"
    along, upright = Axis(gettext("epoch"), "count"), Axis(f"{short}{gettext(', ')}{good}", "fixed")
    how = gettext("An epoch is one pass over the data. Were the lines to part, it would be learning by heart.")
    grid = table_by_x(along.name, series, count, number)
    title = gettext("Learning: ") + short
    return line_chart(f"learning-{slug}", title, finding, along, upright, series, grid, how=how, close=True)
