"""Figures and sentences about prediction scores: calibration and ranking."""

from collections.abc import Sequence
from typing import NamedTuple

from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import count, low_to_high, number, percent, sentence_space, truncate
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Figure
from promolift.foundation.pages.charts import calibration_chart
from promolift.shop.results.predictions import Reliability, Scored


class ScoreVerdict(NamedTuple):
    """In a word or two, and whether that is good."""

    word: str
    tone: str = "plain"


def score_verdict(row: Scored) -> ScoreVerdict:
    """Better, worse or not to be told apart from the baseline; judged by the interval where there is one."""
    if row.baseline_value is None:
        return ScoreVerdict(gettext("no simple rule"))
    if row.value is None:
        return ScoreVerdict(gettext("not known"))
    if row.low is not None and row.high is not None and row.low <= row.baseline_value <= row.high:
        return ScoreVerdict(gettext("not told apart"))
    if row.better not in ("higher", "lower"):
        return ScoreVerdict(gettext("differs"))
    higher = row.value > row.baseline_value
    good = higher == (row.better == "higher")
    return ScoreVerdict(gettext("better"), "good") if good else ScoreVerdict(gettext("worse"), "bad")


def score_block(scores: Sequence[Scored], title: str) -> Block:
    """Figures of predictions as a block with verdicts."""
    rows = []
    for row in scores:
        word, tone = score_verdict(row)
        good = {"higher": gettext(", higher is better"), "lower": gettext(", lower is better")}
        rows.append(
            {
                "model": truncate(render_message(row.model), 60),
                "figure": truncate(render_message(row.figure or ""), 60) + good.get(row.better or "", ""),
                "value": number(row.value),
                "interval": low_to_high(row.low, row.high, number),
                "baseline": number(row.baseline_value),
                "rule": truncate(render_message(row.baseline), 60) if row.baseline else "",
                "n": count(row.n),
                "verdict": word,
                "tone": tone,
            }
        )
    return Block("scores", {"rows": rows}, title)


def share_text(value: object) -> str:
    """A share with one decimal."""
    return percent(value, 1)


def calibration_figure(found: Reliability, slug: str) -> Figure:
    """What one model predicted against what happened, as a picture."""
    finding = gettext("The bins carry no intervals.")
    if found.judged:
        inside = count(found.inside)
        finding = ngettext(
            "In {inside} of {bins} bin the prediction lies within the interval of what happened.",
            "In {inside} of {bins} bins the prediction lies within the interval of what happened.",
            found.judged,
            inside=inside,
            bins=count(found.judged),
        )
    if found.cases:
        predicted, observed = share_text(found.predicted_share), share_text(found.observed_share)
        start = gettext(
            "On average {predicted} was predicted and {observed} happened.",
            predicted=predicted,
            observed=observed,
        )
        finding = start + sentence_space() + finding
    title = gettext("Calibration: ") + truncate(render_message(found.model), 60)
    return calibration_chart(
        slug,
        title,
        finding,
        [(b.predicted, b.observed, b.low, b.high, b.n) for b in found.bins],
        share_text,
        gettext("cases"),
        how=gettext("On the diagonal, what was predicted happened."),
        n=ngettext("{cases} case", "{cases} cases", found.cases, cases=count(found.cases)) if found.cases else "",
    )
