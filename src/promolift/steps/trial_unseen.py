"""A judged trial in; its chapters on customers the models did not see out: who gains more, which policy earns most."""

from functools import partial

import numpy as np
import polars as pl

from promolift.report.blocks import Block, Chapter, Figure, Grid, forest, gap, note, table
from promolift.report.words import count, ends, number, share
from promolift.steps.trial import modelled
from promolift.steps.trial_story import TrialStory

UNJUDGED = "`promolift effect evaluate` has not run"


def whom(trial: TrialStory) -> Chapter:
    """Curves, calibration and figures."""
    title = "Who gains more?"
    lead = "Predicted on one half of the customers by models of the other half, and turned round."
    if "deciles" not in trial.judged:
        return Chapter("whom", "Whom", title, lead, [gap("how well customers are told apart", UNJUDGED)])
    first = modelled(trial.settings)[0]
    arms = range(1, len(trial.arms))
    if trial.judged["qini"].is_empty():
        why = "a Qini curve is fair only where everybody had the same chance of each arm"
        rows: list[Figure | Block] = [*_samples(trial), gap("a Qini curve", why)]
        rows += [_deciles(trial, first, arm) for arm in arms]
        return Chapter("whom", "Whom", title, lead, rows)
    blocks: list[Figure | Block] = [*_samples(trial)]
    blocks += [draw(trial, first, arm) for arm in arms for draw in (_curve, _deciles)]
    cells = [
        [
            r["outcome"],
            trial.arms[r["arm"]],
            r["figure"],
            r["by"],
            number(r["value"]),
            ends(r["low"], r["high"], number),
        ]
        for r in trial.judged["qini"].iter_rows(named=True)
    ]
    text = "Qini: area between curve and diagonal over that of the ideal order; Qini area: in the outcome's own unit."
    heads = ["outcome", "arm", "figure", "ranked by", "value", "95 % interval"]
    blocks.append(table("Beside the simple rule", heads, cells, text, words=(1, 2, 3), evidence=trial.level))
    return Chapter("whom", "Whom", title, lead, blocks)


def _samples(trial: TrialStory) -> list[Block]:
    """Whether the models learned from a part of the customers only."""
    return [note(f"{each[0].upper()}{each[1:]}.", "warn") for each in trial.samples]


def _curve(trial: TrialStory, outcome: str, arm: int) -> Figure:
    rows = trial.judged["curves"].filter((pl.col("outcome") == outcome) & (pl.col("arm") == arm))
    ours, theirs = (rows.filter(pl.col("by") == by) for by in ("effect", "response"))
    draw = partial(trial.drawn, outcome)
    last = ours.row(-1, named=True)
    banded = [[r["share"], *(draw(r[k]) for k in ("gain", "low", "high")), None] for r in ours.iter_rows(named=True)]
    plain = [[r["share"], draw(r["gain"]), None, None, None] for r in theirs.iter_rows(named=True)]
    straight = [[0.0, 0.0, None, None, None], [last["share"], draw(last["gain"]), None, None, None]]
    series = [
        ("best effect first", "blue", banded),
        ("best customers first", "orange", plain),
        ("by lot", "ink", straight),
    ]
    spec = {
        "kind": "lines",
        "x": {"name": "share of customers treated", "fmt": "share", "min": 0},
        "y": {"name": f"added to {outcome}, per customer", "fmt": trial.fmt(outcome)},
        "series": [{"name": name, "tone": tone, "points": points} for name, tone, points in series],
        "band": True,
        "origin": True,
    }
    found = trial.judged["qini"].filter(
        (pl.col("outcome") == outcome) & (pl.col("arm") == arm) & (pl.col("by") == "effect")
    )
    finding = "No order of these customers can be told from another."
    if found.height:
        r = found.row(0, named=True)
        span = ends(r["low"], r["high"], number)
        finding = f"{r['figure'].capitalize()} {number(r['value'])} ({span}); 0 is no better than by lot."
    others = np.interp(ours["share"].to_numpy(), theirs["share"].to_numpy(), theirs["gain"].to_numpy()).tolist()
    cells = [
        [share(r["share"]), trial.amount(outcome, r["gain"]), trial.amount(outcome, float(other))]
        for r, other in list(zip(ours.iter_rows(named=True), others, strict=True))[::5]
    ]
    grid = Grid(["treated", "best effect first", "best customers first"], cells, frozenset(range(3)))
    how = "Best customers first: by the outcome expected without any treatment."
    title = f"{trial.arms[arm]}: whom to treat first"
    return Figure(f"curve-{arm}", title, finding, spec, grid, how, evidence=trial.level)


def _deciles(trial: TrialStory, outcome: str, arm: int) -> Figure:
    rows = trial.judged["deciles"].filter((pl.col("outcome") == outcome) & (pl.col("arm") == arm))
    say = partial(trial.amount, outcome)
    marks, cells = [], []
    for r in rows.iter_rows(named=True):
        drawn = (trial.drawn(outcome, r[k]) for k in ("realised", "low", "high"))
        marks.append((f"predicted {say(r['predicted'])}", *drawn, "main"))
        cells.append([say(r["predicted"]), say(r["realised"]), ends(r["low"], r["high"], say), count(r["n"])])
    grid = Grid(["predicted", "realised", "95 % interval", "customers"], cells, frozenset(range(4)))
    inside = rows.filter(pl.col("predicted").is_between(pl.col("low"), pl.col("high"))).height
    finding = f"{inside} of {rows.height} predictions lie within what was realised."
    title, axis = f"{trial.arms[arm]}: predicted and realised", (f"realised, added to {outcome}", trial.fmt(outcome))
    return forest(f"deciles-{arm}", title, finding, axis, marks, grid=grid, evidence=trial.level)


def policies(trial: TrialStory) -> Chapter:
    """Each fixed treatment and the recommended policy, with intervals."""
    title = "Which policy earns most?"
    lead = "Every policy valued on the same customers; the recommended one on those its models did not see."
    if "policies" not in trial.judged:
        return Chapter("policies", "Policies", title, lead, [gap("what policies are worth", UNJUDGED)])
    blocks = [_policy(trial, place, outcome) for place, outcome in enumerate(modelled(trial.settings))]
    return Chapter("policies", "Policies", title, lead, blocks)


def _policy(trial: TrialStory, place: int, outcome: str) -> Figure:
    rows = trial.judged["policies"].filter(pl.col("outcome") == outcome)
    say = partial(trial.amount, outcome)
    marks, cells = [], []
    for r in rows.iter_rows(named=True):
        ours = r["policy"] == "recommended"
        name = "recommended" if ours else f"{r['policy']} to all"
        drawn = (trial.drawn(outcome, r[k]) for k in ("value", "low", "high"))
        marks.append((name, *drawn, "bad" if ours else "main"))
        moved = share(r["moved"]) if r["moved"] is not None else ""
        cells.append(
            [name, say(r["value"]), ends(r["low"], r["high"], say), ends(r["lead_low"], r["lead_high"], say), moved]
        )
    last = rows.row(-1, named=True)
    finding = (
        f"The recommended policy beats {last['best_fixed']} to all by {say(last['lead'])}."
        if last["lead_low"] > 0
        else f"No policy was shown to beat {last['best_fixed']} to all; it is left only where a lower bound says so."
    )
    heads = ["policy", outcome, "95 % interval", f"lead over {last['best_fixed']}", "moved"]
    grid, axis = Grid(heads, cells, frozenset(range(1, 5))), (f"{outcome} per customer", trial.fmt(outcome))
    n = count(last["n"])
    return forest(f"policy-{place}", outcome, finding, axis, marks, grid=grid, n=n, evidence=trial.level)
