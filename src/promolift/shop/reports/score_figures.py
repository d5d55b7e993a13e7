"""Figures and sentences about prediction scores: calibration and ranking."""

from collections.abc import Sequence
from typing import NamedTuple

from promolift.foundation.i18n.formatting import clip, count, ends, number, pick, plural, share
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Block, Figure
from promolift.foundation.pages.charts import calibration
from promolift.shop.results.predictions import Reliability, Scored


class ScoreVerdict(NamedTuple):
    """In a word or two, and whether that is good."""

    word: str
    tone: str = "plain"


def verdict(row: Scored) -> ScoreVerdict:
    """Better, worse or not to be told apart from the baseline; judged by the interval where there is one."""
    if row.baseline_value is None:
        return ScoreVerdict(kept("no simple rule"))
    if row.value is None:
        return ScoreVerdict(kept("not known"))
    if row.low is not None and row.high is not None and row.low <= row.baseline_value <= row.high:
        return ScoreVerdict(kept("not told apart"))
    if row.better not in ("higher", "lower"):
        return ScoreVerdict(kept("differs"))
    higher = row.value > row.baseline_value
    good = higher == (row.better == "higher")
    return ScoreVerdict(kept("better"), "good") if good else ScoreVerdict(kept("worse"), "bad")


def score_block(scores: Sequence[Scored], title: str) -> Block:
    """Figures of predictions as a block with verdicts."""
    rows = []
    for row in scores:
        word, tone = verdict(row)
        good = {"higher": kept(", higher is better"), "lower": kept(", lower is better")}
        rows.append(
            {
                "model": clip(kept(row.model), 60),
                "figure": clip(kept(row.figure or ""), 60) + good.get(row.better or "", ""),
                "value": number(row.value),
                "interval": ends(row.low, row.high, number),
                "baseline": number(row.baseline_value),
                "rule": clip(kept(row.baseline), 60) if row.baseline else "",
                "n": count(row.n),
                "verdict": word,
                "tone": tone,
            }
        )
    return Block("scores", {"rows": rows}, title)


def tenths(value: object) -> str:
    """A share with one decimal."""
    return share(value, 1)


def calibration_figure(found: Reliability, slug: str) -> Figure:
    """What one model predicted against what happened, as a picture."""
    finding = kept("The bins carry no intervals.")
    if found.judged:
        inside = count(found.inside)
        finding = pick(
            f"In {inside} of {plural(found.judged, 'bin')} the prediction lies within the interval of what happened.",
            f"{count(found.judged)}组中，{inside}组的预测落在实际的区间内。",
        )
    if found.cases:
        predicted, observed = tenths(found.predicted_share), tenths(found.observed_share)
        start = kept(f"On average {predicted} was predicted and {observed} happened.")
        finding = start + pick(" ", "") + finding
    title = kept("Calibration: ") + clip(kept(found.model), 60)
    return calibration(
        slug,
        title,
        finding,
        [(b.predicted, b.observed, b.low, b.high, b.n) for b in found.bins],
        tenths,
        kept("cases"),
        how=kept("On the diagonal, what was predicted happened."),
        n=pick(plural(found.cases, "case"), f"{count(found.cases)}个样本") if found.cases else "",
    )
