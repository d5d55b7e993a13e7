"""Chapter 4. How good the predictions are: figures against simple rules, calibration with intervals, recall at k."""

import polars as pl

from promolift.report.blocks import Block, Chapter, Figure, Grid, gap
from promolift.report.frames import has, tidy
from promolift.report.story import CALIBRATION, RECALL, SCORES, Story
from promolift.report.words import bracket, clip, count, ends, interval, number, plural, share

MOST_MODELS = 4


def tell(story: Story) -> Chapter:
    """The predictions."""
    lead = "Figures on cases that the models had not seen when they were fitted, beside the simple rule they must beat."
    blocks: list[Figure | Block] = [_scores(story), *_calibrations(story), _recall(story)]
    return Chapter("models", "Predictions", "How good are the predictions?", lead, blocks)


def _verdict(row: dict[str, object]) -> tuple[str, str]:
    """Better, worse or not to be told apart from the baseline; judged by the interval where there is one."""
    value, base, better = row["value"], row["baseline_value"], str(row["better"] or "").lower()
    if value is None or base is None:
        return "no simple rule" if base is None else "not known", "plain"
    sign = 1.0 if better == "higher" else -1.0
    low, high = row["low"], row["high"]
    if low is not None and high is not None and low <= base <= high:  # type: ignore[operator]
        return "not told apart", "plain"
    if better not in ("higher", "lower"):
        return "differs", "plain"
    return ("better", "good") if sign * (value - base) > 0 else ("worse", "bad")  # type: ignore[operator]


def _scores(story: Story) -> Block:
    scores = tidy(story.scores, SCORES)
    if not has(scores, "model", "value"):
        return gap("how good the predictions are", story.missing.get("scores"))
    return score_block(scores, "Figures against simple rules")


def score_block(scores: pl.DataFrame, title: str) -> Block:
    """A table SCORES as a block with verdicts."""
    rows = []
    for row in tidy(scores, SCORES).drop_nulls(["model"]).iter_rows(named=True):
        word, tone = _verdict(row)
        rows.append(
            {
                "model": clip(row["model"], 60),
                "figure": clip(row["figure"], 40) + (f", {clip(row['better'], 10)} is better" if row["better"] else ""),
                "value": number(row["value"]),
                "interval": ends(row["low"], row["high"], number),
                "baseline": number(row["baseline_value"]),
                "rule": clip(row["baseline"], 60) if row["baseline"] else "",
                "n": count(row["n"]),
                "verdict": word,
                "tone": tone,
            }
        )
    return Block("scores", {"rows": rows}, title)


def _calibrations(story: Story) -> list[Figure | Block]:
    bins = tidy(story.calibration, CALIBRATION).drop_nulls(["predicted", "observed"])
    if bins.is_empty():
        return [gap("whether predicted probabilities come true", story.missing.get("calibration"))]
    bins = bins.with_columns(pl.col("model").fill_null("model"))
    models = bins["model"].unique(maintain_order=True).to_list()[:MOST_MODELS]
    return [
        calibration_figure(bins.filter(pl.col("model") == m).sort("predicted"), m, f"calibration-{i + 1}")
        for i, m in enumerate(models)
    ]


def calibration_figure(bins: pl.DataFrame, model: str, slug: str) -> Figure:
    """Rows of table CALIBRATION of one model as a picture."""
    inside = bins.filter(pl.col("predicted").is_between(pl.col("low"), pl.col("high"))).height
    judged = bins.drop_nulls(["low", "high"]).height
    weights = bins.filter(pl.col("n") > 0)
    finding = (
        f"In {count(inside)} of {plural(judged, 'bin')} the prediction lies within the interval of what happened."
        if judged
        else ""
    )
    if not weights.is_empty():
        n = float(weights["n"].sum())
        predicted, observed = (float((weights[c] * weights["n"]).sum()) / n for c in ("predicted", "observed"))
        finding = f"On average {share(predicted, 1)} was predicted and {share(observed, 1)} happened. {finding}"
    spec = {
        "kind": "calibration",
        "x": {"name": "predicted", "fmt": "share"},
        "y": {"name": "happened", "fmt": "share"},
        "points": [list(r) for r in bins.select("predicted", "observed", "low", "high", "n").iter_rows()],
    }
    rows = [
        [
            share(r["predicted"], 1),
            share(r["observed"], 1),
            ends(r["low"], r["high"], lambda x: share(x, 1)),
            count(r["n"]),
        ]
        for r in bins.iter_rows(named=True)
    ]
    total = bins["n"].sum()
    return Figure(
        slug,
        f"Calibration: {clip(model, 60)}",
        finding or "The bins carry no intervals.",
        spec,
        Grid(["predicted", "happened", "interval", "cases"], rows, frozenset({0, 1, 2, 3})),
        "On the diagonal, what was predicted happened.",
        plural(total, "case") if total else "",
    )


def _recall(story: Story) -> Figure | Block:
    recall = tidy(story.recall, RECALL).drop_nulls(["model", "k", "recall"]).sort("k", maintain_order=True)
    if recall.is_empty():
        return gap("how much of the next purchases is foreseen", story.missing.get("recall"))
    models = (
        tidy(story.recall, RECALL)
        .drop_nulls(["model", "k", "recall"])["model"]
        .unique(maintain_order=True)
        .to_list()[:MOST_MODELS]
    )
    series = [
        {
            "name": clip(m, 34),
            "tone": tone,
            "points": [
                list(r)
                for r in recall.filter(pl.col("model") == m).select("k", "recall", "low", "high", "n").iter_rows()
            ],
        }
        for m, tone in zip(models, ("blue", "orange", "grey", "ink"), strict=False)
    ]
    spec = {
        "kind": "lines",
        "x": {"name": "length of the list, k", "fmt": "count", "min": 0},
        "y": {"name": "recall", "fmt": "share"},
        "series": series,
        "zero": True,
        "band": True,
    }
    rows = [
        [
            clip(r["model"], 60),
            count(r["k"]),
            share(r["recall"], 1),
            ends(r["low"], r["high"], lambda x: share(x, 1)),
            count(r["n"]),
        ]
        for r in recall.filter(pl.col("model").is_in(models)).iter_rows(named=True)
    ]
    n = recall["n"].max()
    return Figure(
        "recall",
        "How much of the next purchases is foreseen",
        _recall_finding(recall, models, story),
        spec,
        Grid(["model", "k", "recall", "interval", "customers"], rows, frozenset({1, 2, 3, 4})),
        "Recall at k: of what a customer then bought, the share that was among our first k suggestions.",
        plural(n, "customer") if n else "",
    )


def _recall_finding(recall: pl.DataFrame, models: list[str], story: Story) -> str:
    mine = recall.filter(pl.col("model") == models[0])
    pick = mine.filter(pl.col("k") <= 10).tail(1) if mine["k"].min() <= 10 else mine.head(1)  # type: ignore[operator]
    row = pick.row(0, named=True)
    between = bracket(interval(row["low"], row["high"], lambda x: share(x, 1), story.interval_percent))
    text = (
        f"The first {count(row['k'])} suggestions of “{clip(models[0], 50)}” hold {share(row['recall'], 1)} "
        f"of what is bought next{between}"
    )
    rival = recall.filter(pl.col("model").is_in(models[1:]), pl.col("k") == row["k"]).sort(
        ["recall", "model"], descending=[True, False]
    )
    if rival.is_empty():
        return f"{text}."
    best = rival.row(0, named=True)
    return f"{text}; those of “{clip(best['model'], 50)}” hold {share(best['recall'], 1)}."
