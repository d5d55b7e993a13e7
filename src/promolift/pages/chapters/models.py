"""Chapter 4. How good the predictions are: figures against simple rules, calibration with intervals, recall at k."""

from collections.abc import Sequence

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap
from promolift.pages.story import Story
from promolift.results.predictions import Predictions, RecallCurve, Reliability, Scored
from promolift.words import bracket, clip, count, ends, interval, number, plural, share

MOST_MODELS = 4


def tell(story: Story) -> Chapter:
    """The predictions."""
    lead = "Figures on cases that the models had not seen when they were fitted, beside the simple rule they must beat."
    found, why = story.predictions or Predictions(), story.missing.get("predictions")
    blocks: list[Figure | Block] = [
        score_block(found.scores, "Figures against simple rules")
        if found.scores
        else gap("how good the predictions are", why)
    ]
    blocks += [
        calibration_figure(each, f"calibration-{i}") for i, each in enumerate(found.reliability[:MOST_MODELS], start=1)
    ] or [gap("whether predicted probabilities come true", why)]
    blocks.append(
        _recall(found.recall[:MOST_MODELS], story)
        if found.recall
        else gap("how much of the next purchases is foreseen", why)
    )
    return Chapter("models", "Predictions", "How good are the predictions?", lead, blocks)


def _verdict(row: Scored) -> tuple[str, str]:
    """Better, worse or not to be told apart from the baseline; judged by the interval where there is one."""
    if row.value is None or row.baseline_value is None:
        return "no simple rule" if row.baseline_value is None else "not known", "plain"
    if row.low is not None and row.high is not None and row.low <= row.baseline_value <= row.high:
        return "not told apart", "plain"
    if row.better not in ("higher", "lower"):
        return "differs", "plain"
    higher = row.value > row.baseline_value
    return ("better", "good") if higher == (row.better == "higher") else ("worse", "bad")


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
    finding = (
        f"In {count(found.inside)} of {plural(found.judged, 'bin')} the prediction lies within the interval of what "
        "happened."
        if found.judged
        else ""
    )
    if found.cases:
        predicted, observed = _tenths(found.predicted_share), _tenths(found.observed_share)
        finding = f"On average {predicted} was predicted and {observed} happened. {finding}"
    spec = {
        "kind": "calibration",
        "x": {"name": "predicted", "fmt": "share"},
        "y": {"name": "happened", "fmt": "share"},
        "points": [[b.predicted, b.observed, b.low, b.high, b.n] for b in found.bins],
    }
    rows = [[_tenths(b.predicted), _tenths(b.observed), ends(b.low, b.high, _tenths), count(b.n)] for b in found.bins]
    return Figure(
        slug,
        f"Calibration: {clip(found.model, 60)}",
        finding or "The bins carry no intervals.",
        spec,
        Grid(["predicted", "happened", "interval", "cases"], rows, frozenset({0, 1, 2, 3})),
        "On the diagonal, what was predicted happened.",
        plural(found.cases, "case") if found.cases else "",
    )


def _recall(curves: Sequence[RecallCurve], story: Story) -> Figure:
    spec = {
        "kind": "lines",
        "x": {"name": "length of the list, k", "fmt": "count", "min": 0},
        "y": {"name": "recall", "fmt": "share"},
        "series": [
            {
                "name": clip(curve.model, 34),
                "tone": tone,
                "points": [[p.k, p.recall, p.low, p.high, p.n] for p in curve.points],
            }
            for curve, tone in zip(curves, ("blue", "orange", "grey", "ink"), strict=False)
        ],
        "zero": True,
        "band": True,
    }
    every = sorted(((curve.model, p) for curve in curves for p in curve.points), key=lambda each: each[1].k)
    rows = [
        [clip(model, 60), count(p.k), _tenths(p.recall), ends(p.low, p.high, _tenths), count(p.n)] for model, p in every
    ]
    most = max((p.n for _, p in every if p.n), default=None)
    return Figure(
        "recall",
        "How much of the next purchases is foreseen",
        _recall_finding(curves, story),
        spec,
        Grid(["model", "k", "recall", "interval", "customers"], rows, frozenset({1, 2, 3, 4})),
        "Recall at k: of what a customer then bought, the share that was among our first k suggestions.",
        plural(most, "customer") if most else "",
    )


def _recall_finding(curves: Sequence[RecallCurve], story: Story) -> str:
    ours = curves[0]
    mine = next((p for p in reversed(ours.points) if p.k <= 10), ours.points[0])
    between = bracket(interval(mine.low, mine.high, _tenths, story.interval_percent))
    text = (
        f"The first {count(mine.k)} suggestions of “{clip(ours.model, 50)}” hold {_tenths(mine.recall)} "
        f"of what is bought next{between}"
    )
    rivals = [(-p.recall, curve.model, p.recall) for curve in curves[1:] for p in curve.points if p.k == mine.k]
    if not rivals:
        return f"{text}."
    _, model, recall = min(rivals)
    return f"{text}; those of “{clip(model, 50)}” hold {_tenths(recall)}."
