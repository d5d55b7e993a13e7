"""Chapter 4. How good the predictions are: figures against simple rules, calibration with intervals, recall at k."""

from collections.abc import Sequence
from typing import NamedTuple

from promolift.pages.blocks import Block, Chapter, Figure, gap
from promolift.pages.figures import Axis, Line, by_point, calibration, lines
from promolift.pages.story import Story
from promolift.results.predictions import RecallCurve, Reliability, Scored
from promolift.words import bracket, clip, count, ends, interval, number, plural, share

MOST_MODELS = 4


def tell(story: Story) -> Chapter:
    """The predictions."""
    lead = "Figures on cases that the models had not seen when they were fitted, beside the simple rule they must beat."
    found, why = story.predictions, story.missing.get("predictions")
    blocks: list[Figure | Block] = [
        score_block(found.scores, "Figures against simple rules")
        if found.scores
        else gap("how good the predictions are", why)
    ]
    blocks += [
        calibration_figure(each, f"calibration-{i}") for i, each in enumerate(found.reliability[:MOST_MODELS], start=1)
    ] or [gap("whether predicted probabilities come true", why)]
    blocks.append(
        _recall(found.recall[:MOST_MODELS]) if found.recall else gap("how much of the next purchases is forecast", why)
    )
    return Chapter("models", "Predictions", "How good are the predictions?", lead, blocks)


class _Verdict(NamedTuple):
    word: str
    tone: str = "plain"


def _verdict(row: Scored) -> _Verdict:
    """Better, worse or not to be told apart from the baseline; judged by the interval where there is one."""
    if row.value is None or row.baseline_value is None:
        return _Verdict("no simple rule" if row.baseline_value is None else "not known")
    if row.low is not None and row.high is not None and row.low <= row.baseline_value <= row.high:
        return _Verdict("not told apart")
    if row.better not in ("higher", "lower"):
        return _Verdict("differs")
    higher = row.value > row.baseline_value
    return _Verdict("better", "good") if higher == (row.better == "higher") else _Verdict("worse", "bad")


def score_block(scores: Sequence[Scored], title: str) -> Block:
    """Figures of predictions as a block with verdicts."""
    rows = []
    for row in scores:
        word, tone = _verdict(row)
        rows.append(
            {
                "model": clip(row.model, 60),
                "figure": clip(row.figure, 40) + (f", {row.better} is better" if row.better else ""),
                "value": number(row.value),
                "interval": ends(row.low, row.high, number),
                "baseline": number(row.baseline_value),
                "rule": clip(row.baseline, 60) if row.baseline else "",
                "n": count(row.n),
                "verdict": word,
                "tone": tone,
            }
        )
    return Block("scores", {"rows": rows}, title)


def _tenths(value: object) -> str:
    return share(value, 1)


def calibration_figure(found: Reliability, slug: str) -> Figure:
    """What one model predicted against what happened, as a picture."""
    finding = "The bins carry no intervals."
    if found.judged:
        bins = plural(found.judged, "bin")
        finding = f"In {count(found.inside)} of {bins} the prediction lies within the interval of what happened."
    if found.cases:
        predicted, observed = _tenths(found.predicted_share), _tenths(found.observed_share)
        finding = f"On average {predicted} was predicted and {observed} happened. {finding}"
    return calibration(
        slug, f"Calibration: {clip(found.model, 60)}", finding,
        [(b.predicted, b.observed, b.low, b.high, b.n) for b in found.bins], _tenths, "cases",
        how="On the diagonal, what was predicted happened.", n=plural(found.cases, "case") if found.cases else "",
    )  # fmt: skip


def _recall(curves: Sequence[RecallCurve]) -> Figure:
    series = [
        Line(clip(curve.model, 40), tone, [(p.k, p.recall, p.low, p.high, p.n) for p in curve.points])
        for curve, tone in zip(curves, ("blue", "orange", "grey", "ink"), strict=False)
    ]
    most = max((p.n for curve in curves for p in curve.points if p.n), default=None)
    return lines(
        "recall", "How much of the next purchases is forecast", _recall_finding(curves),
        Axis("length of the list, k", "count"), Axis("recall", "share"), series,
        by_point(["model", "k", "recall", "customers"], series, count, _tenths),
        how="Recall at k: of what a customer then bought, the share that was among our first k suggestions.",
        n=plural(most, "customer") if most else "",
    )  # fmt: skip


def _recall_finding(curves: Sequence[RecallCurve]) -> str:
    ours = curves[0]
    mine = next((p for p in reversed(ours.points) if p.k <= 10), ours.points[0])
    between = bracket(interval(mine.low, mine.high, _tenths))
    text = (
        f"The first {count(mine.k)} suggestions of “{clip(ours.model, 50)}” hold {_tenths(mine.recall)} "
        f"of what is bought next{between}"
    )
    rivals = [(-p.recall, curve.model, p.recall) for curve in curves[1:] for p in curve.points if p.k == mine.k]
    if not rivals:
        return f"{text}."
    _, model, recall = min(rivals)
    return f"{text}; those of “{clip(model, 50)}” hold {_tenths(recall)}."
