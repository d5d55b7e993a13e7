"""A judged trial in; its chapters on customers the models did not see out: who gains more, which policy earns most."""

from functools import partial

import polars as pl

from promolift.pages.blocks import Block, Chapter, Figure, Grid, forest, gap, note, table
from promolift.results.trial import JudgedTables
from promolift.steps.trial_judge import policy_finding
from promolift.steps.trial_story import TrialStory
from promolift.words import count, ends, number, share

UNJUDGED = "`promolift effect evaluate` has not run"
WHOLE = "The last columns: what all customers together add to treating nobody."
ALIKE = "nothing was known of these customers before the trial"


def whom(trial: TrialStory) -> Chapter:
    """Curves, calibration and figures."""
    title = "Who gains more?"
    lead = "Predicted on one half of the customers by models of the other half, and turned round."
    judged = trial.tables.judged
    if judged is None:
        return Chapter("whom", "Whom", title, lead, [gap("how well customers are told apart", _why(trial))])
    first = trial.settings.outcomes[0]
    arms = range(1, len(trial.arms))
    blocks: list[Figure | Block] = [*_samples(trial)]
    if judged.qini.is_empty():
        why = "a Qini curve is fair only where everybody had the same chance of each arm"
        blocks.append(gap("a Qini curve", why))
        blocks += [_deciles(trial, judged, first, arm) for arm in arms]
        return Chapter("whom", "Whom", title, lead, blocks)
    blocks += [draw(trial, judged, first, arm) for arm in arms for draw in (_curve, _deciles)]
    cells = [
        [
            trial.named(r["outcome"]),
            trial.arms[r["arm"]],
            r["figure"],
            r["by"],
            number(r["value"]),
            ends(r["low"], r["high"], number),
        ]
        for r in judged.qini.iter_rows(named=True)
    ]
    text = "Qini: area between curve and diagonal over that of the ideal order; Qini area: in the outcome's own unit."
    heads = ["outcome", "arm", "figure", "ranked by", "value", "95 % interval"]
    blocks.append(table("Beside the simple rule", heads, cells, text, words=(1, 2, 3), evidence=trial.level))
    return Chapter("whom", "Whom", title, lead, blocks)


def _why(trial: TrialStory) -> str:
    """Why nothing was judged."""
    return UNJUDGED if trial.fit.apart else ALIKE


def _samples(trial: TrialStory) -> list[Block]:
    """Whether the models learned from a part of the customers only."""
    judged = trial.results.judged
    return [note(f"{each[0].upper()}{each[1:]}.", "warn") for each in (judged.samples if judged else ())]


def _curve(trial: TrialStory, judged: JudgedTables, outcome: str, arm: int) -> Figure:
    mine = (pl.col("outcome") == outcome) & (pl.col("arm") == arm)
    ours, theirs = (judged.curves.filter(mine & (pl.col("by") == by)) for by in ("effect", "response"))
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
        "y": {"name": f"added to {trial.named(outcome)}, per customer", "fmt": trial.fmt(outcome)},
        "series": [{"name": name, "tone": tone, "points": points} for name, tone, points in series],
        "band": True,
        "origin": True,
    }
    found = judged.qini.filter(mine & (pl.col("by") == "effect"))
    finding = "No order of these customers can be told from another."
    if found.height:
        r = found.row(0, named=True)
        span = ends(r["low"], r["high"], number)
        finding = f"{r['figure'].capitalize()} {number(r['value'])} ({span}); 0 is no better than by lot."
    cells = [
        [share(r["share"]), trial.added(outcome, r["gain"]), trial.added(outcome, r["other"])]
        for r in ours[::5].iter_rows(named=True)
    ]
    grid = Grid(["treated", "best effect first", "best customers first"], cells, frozenset(range(3)))
    how = f"Best customers first: by the outcome expected without any treatment. {trial.basis_sentence(outcome)}"
    title = f"{trial.arms[arm]}: whom to treat first"
    return Figure(f"curve-{arm}", title, finding, spec, grid, how, evidence=trial.level)


def _deciles(trial: TrialStory, judged: JudgedTables, outcome: str, arm: int) -> Figure:
    rows = judged.deciles.filter((pl.col("outcome") == outcome) & (pl.col("arm") == arm))
    say = partial(trial.added, outcome)
    marks, cells = [], []
    for r in rows.iter_rows(named=True):
        drawn = (trial.drawn(outcome, r[k]) for k in ("realised", "low", "high"))
        marks.append((f"predicted {say(r['predicted'])}", *drawn, "main"))
        cells.append([say(r["predicted"]), say(r["realised"]), ends(r["low"], r["high"], say), count(r["n"])])
    grid = Grid(["predicted", "realised", "95 % interval", "customers"], cells, frozenset(range(4)))
    counted = trial.results.judged.calibration if trial.results.judged else ()
    finding = " ".join(
        f"{count(each.inside)} of {count(each.groups)} predictions lie within what was realised."
        for each in counted
        if (each.outcome, each.arm) == (outcome, arm)
    )
    title = f"{trial.arms[arm]}: predicted and realised"
    axis = (f"realised, added to {trial.named(outcome)}", trial.fmt(outcome))
    how = trial.basis_sentence(outcome)
    return forest(f"deciles-{arm}", title, finding, axis, marks, grid=grid, how=how, evidence=trial.level)


def policies(trial: TrialStory) -> Chapter:
    """Nobody, everybody by each treatment, and the recommended policy, with intervals."""
    title = "Which policy earns most?"
    lead = "Every policy valued on the same customers; the recommended one on those its models did not see."
    judged = trial.tables.judged
    if judged is None:
        return Chapter("policies", "Policies", title, lead, [gap("what policies are worth", _why(trial))])
    blocks = [_policy(trial, judged, place, outcome) for place, outcome in enumerate(trial.settings.modelled)]
    return Chapter("policies", "Policies", title, lead, blocks)


def _policy(trial: TrialStory, judged: JudgedTables, place: int, outcome: str) -> Figure:
    rows = judged.policies.filter(pl.col("outcome") == outcome)
    say, more, all_ = (partial(how, outcome) for how in (trial.amount, trial.added, trial.total))
    marks, cells = [], []
    for r in rows.iter_rows(named=True):
        drawn = (trial.drawn(outcome, r[k]) for k in ("value", "low", "high"))
        marks.append((r["policy"], *drawn, "bad" if r["policy"] == "recommended" else "main"))
        value, lead = ends(r["low"], r["high"], say), ends(r["lead_low"], r["lead_high"], more)
        added = ends(r["added_low"], r["added_high"], all_)
        cells.append([r["policy"], share(r["treated"]), say(r["value"]), value, lead, all_(r["added"]), added])
    last = rows.row(-1, named=True)
    named, best = trial.named(outcome), last["best_fixed"]
    heads = ["policy", "treats", named, "95 % interval", f"lead over {best}", "beyond nobody, all", "95 % interval"]
    grid, axis = Grid(heads, cells, frozenset(range(1, 7))), (f"{named}, per customer", trial.fmt(outcome))
    how = f"{trial.basis_sentence(outcome)} {WHOLE}"
    return forest(
        f"policy-{place}", named, policy_finding(rows, trial.settings, more), axis, marks,
        grid=grid, how=how, n=count(last["n"]), evidence=trial.level, wide=True,
    )  # fmt: skip
