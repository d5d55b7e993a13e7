"""A judged trial in a work folder in; its page out: who got what, what it added, to whom, which policy, and a plan."""

from functools import partial
from typing import Any

import polars as pl

from promolift.report.blocks import Big, Block, Chapter, Figure, Grid, Page, Span, Tone, forest, gap, note, table
from promolift.report.chapters.summary import span_of
from promolift.report.words import clip, count, ends, number, share
from promolift.steps.trial import TrialSettings, modelled
from promolift.steps.trial_story import TrialStory
from promolift.steps.trial_unseen import policies, whom
from promolift.store import Store

MUCH = 0.1  # of a standard deviation (Austin 2009)
BLURB = {
    "randomised": "drawn by lot: differences between arms are effects",
    "adjusted": "not drawn by lot: compared with customers alike in all that is recorded, which proves nothing",
}


def page_of(store: Store, settings: TrialSettings) -> Page:
    """The page of `promolift effect report`; what was not done yet is a gap that names the verb."""
    names = ("qini", "curves", "deciles", "policies")
    judged = {n: store.frame(f"trial_{n}") for n in names if store.has(f"trial_{n}")}
    planned = store.load_json("trial_planned") if store.has("trial_frontier") else None
    samples = store.load_json("trial_judged").get("samples", []) if judged else []
    trial = TrialStory(
        settings, store.load_json("trial"), store.frame("trial_effects"), store.frame("trial_balance"),
        store.frame("trial_placebos"), judged, planned, store.frame("trial_frontier") if planned else None,
        store.frame("trial_dose") if settings.dose else None, tuple(samples),
    )  # fmt: skip
    head, span = _head(trial)
    return Page(
        name=settings.name,
        eyebrow="The trial",
        facts=_facts(trial),
        head=head,
        span=span,
        span_name="95 % interval",
        bigs=_bigs(trial),
        chapters=[
            _lot(trial),
            _effects(trial),
            *_depth(trial),
            whom(trial),
            policies(trial),
            _plan(trial),
            _unknown(trial),
        ],
        currency=settings.currency,
    )


def _facts(trial: TrialStory) -> list[tuple[str, str]]:
    s = trial.settings
    facts = [("Customers", count(sum(trial.notes["counts"]))), ("Arms", count(len(trial.arms)))]
    if s.days:
        facts.append(("Outcomes watched", f"{s.days} days"))
    return [*facts, ("Evidence", str(trial.level))]


def _head(trial: TrialStory) -> tuple[Big, Span | None]:
    if trial.plan:
        p, margin = trial.plan, share(trial.settings.margin_rate)
        text = f"What the plan is expected to add, its cost paid, beyond treating nobody (margin {margin})."
        gain, low, high = (trial.cents(p[k]) for k in ("gain", "low", "high"))
        big = Big("Expected extra profit", trial.cash(p["gain"]), text, trial.level)
        return big, span_of(gain, low, high, trial.settings.currency)
    first = trial.settings.outcomes[0]
    row = _best(trial, first)
    text = f"What {trial.arms[row['arm']]} adds to {first}, on average."
    return Big("Average effect", trial.added(first, row["effect"]), text, trial.level), None


def _best(trial: TrialStory, outcome: str) -> dict[str, Any]:
    return trial.effects.filter(pl.col("outcome") == outcome).sort("effect", descending=True).row(0, named=True)


def _bigs(trial: TrialStory) -> list[Big]:
    bigs = []
    for outcome in trial.settings.outcomes[:3]:
        row = _best(trial, outcome)
        told = f"{trial.arms[row['arm']]} adds this to {trial.amount(outcome, row['control_mean'])} without it."
        bigs.append(Big(outcome, trial.added(outcome, row["effect"]), told, trial.level))
    if trial.plan:
        p = trial.plan
        told = f"{count(p['treated'])} of {count(p['customers'])} customers, {trial.cash(p['cost'])} of it spent."
        bigs.append(Big("Budget", trial.cash(p["budget"]), told))
    return bigs


def _lot(trial: TrialStory) -> Chapter:
    whole = sum(trial.notes["counts"])
    given = zip(trial.arms, trial.notes["counts"], strict=True)
    rows = [[name, count(n), share(n / whole, 2)] for name, n in given]
    tone: Tone = "good" if trial.level == "randomised" else "warn"
    blocks: list[Figure | Block] = [
        table("Who got what", ["arm", "customers", "share"], rows, evidence=trial.level),
        note(f"{trial.level}: {'; '.join(trial.notes['reasons'])}.", tone),
    ]
    blocks += [note(f"{doubt[0].upper()}{doubt[1:]}.", "warn") for doubt in trial.notes["doubts"]]
    if trial.notes["checks"]:
        done = [
            [c["name"], number(c["p"]), "passed" if c["passed"] else "failed", c["meaning"]]
            for c in trial.notes["checks"]
        ]
        blocks.append(table("Checks of the lot", ["check", "p", "", "what it found"], done, words=(2, 3)))
    blocks.append(_balance(trial))
    if trial.notes["hidden"]:
        rows = [[trial.arms[int(h["arm"])], number(h["odds"]), number(h["e_value"])] for h in trial.notes["hidden"]]
        heads = ["arm", "factor on the odds of treatment", "E-value"]
        text = "How strong an unrecorded cause must be to explain the first effect away; 1: nothing is needed."
        blocks.append(table("Hidden causes", heads, rows, text))
    if trial.placebos.height:
        told = [
            [r["outcome"], trial.arms[r["arm"]], number(r["effect"]), ends(r["low"], r["high"], number), number(r["p"])]
            for r in trial.placebos.iter_rows(named=True)
        ]
        heads = ["outcome that cannot have moved", "arm", "effect", "95 % interval", "p"]
        blocks.append(table("Placebos", heads, told, words=(1,)))
    lead = f"Evidence level {trial.level}: {BLURB.get(str(trial.level), '')}."
    return Chapter("lot", "The lot", "Can the arms be compared?", lead, blocks)


def _balance(trial: TrialStory) -> Figure:
    worst = trial.balance.with_columns(size=pl.col("after").abs()).sort("size", descending=True).head(12)
    marks, cells = [], []
    for r in worst.iter_rows(named=True):
        tone = "main" if abs(r["after"]) < MUCH else "bad"
        marks.append((clip(f"{r['feature']}, {trial.arms[r['arm']]}", 44), r["after"], None, None, tone))
        cells.append([r["feature"], trial.arms[r["arm"]], number(r["before"]), number(r["after"])])
    grid = Grid(["feature", "arm", "before weighting", "after"], cells, frozenset({2, 3}))
    top = number(worst["size"].max())
    finding = f"The largest difference between an arm and control is {top} standard deviations; {MUCH} would be much."
    axis = ("difference from control, standard deviations", "fixed")
    n = count(trial.notes["kept"])
    return forest("balance", "Were the arms alike before?", finding, axis, marks, grid=grid, n=n, wide=True)


def _effects(trial: TrialStory) -> Chapter:
    blocks = [_average(trial, place, outcome) for place, outcome in enumerate(trial.settings.outcomes)]
    lead = "Averages over all customers, doubly robust: what is known of customers only takes noise away."
    return Chapter("effects", "Effects", "What did each treatment add?", lead, blocks)


def _average(trial: TrialStory, place: int, outcome: str) -> Figure:
    say, more = partial(trial.amount, outcome), partial(trial.added, outcome)
    mine = trial.effects.filter(pl.col("outcome") == outcome).sort("effect", descending=True)
    marks, cells = [], []
    for r in mine.iter_rows(named=True):
        name, p = trial.arms[r["arm"]], number(r["p_holm"])
        marks.append((name, *(trial.drawn(outcome, r[k]) for k in ("effect", "low", "high")), "main"))
        cells.append([name, say(r["control_mean"]), more(r["effect"]), ends(r["low"], r["high"], more), p])
    top = mine.row(0, named=True)
    finding = f"{trial.arms[top['arm']]} adds {more(top['effect'])} to {say(top['control_mean'])}."
    grid = Grid(["arm", "without", "adds", "95 % interval", "p, all looked at"], cells, frozenset(range(1, 5)))
    axis = (f"added to {outcome}, per customer", trial.fmt(outcome))
    n = count(trial.notes["kept"])
    return forest(f"effect-{place}", outcome, finding, axis, marks, grid=grid, n=n, evidence=trial.level)


def _depth(trial: TrialStory) -> list[Chapter]:
    """Gain along the depth, where treatments are depths."""
    if trial.dose is None:
        return []
    outcome = modelled(trial.settings)[-1]
    tones = {"everybody": "ink", "lowest third": "blue", "middle third": "grey", "highest third": "orange"}
    series, cells = [], []
    for name, tone in tones.items():
        rows = trial.dose.filter(pl.col("segment") == name)
        told = [
            [r["depth"], *(trial.drawn(outcome, r[k]) for k in ("gain", "low", "high")), r["customers"]]
            for r in rows.iter_rows(named=True)
        ]
        series.append({"name": name, "tone": tone, "points": [[0.0, 0.0, None, None, None], *told]})
        for r in rows[3::4].iter_rows(named=True):
            span = ends(r["low"], r["high"], partial(trial.added, outcome))
            cells.append([name, share(r["depth"]), trial.added(outcome, r["gain"]), span, count(r["customers"])])
    spec = {
        "kind": "lines",
        "x": {"name": "discount", "fmt": "share", "min": 0},
        "y": {"name": f"added to {outcome}, per customer", "fmt": trial.fmt(outcome)},
        "series": series,
        "band": True,
        "origin": True,
    }
    top = trial.dose.filter(pl.col("segment") == "everybody").sort("gain").row(-1, named=True)
    finding = f"Largest for everybody at {share(top['depth'])} off: {trial.added(outcome, top['gain'])} a customer."
    heads = ["customers", "discount", "adds", "95 % interval", "number"]
    grid = Grid(heads, cells, frozenset(range(1, 5)))
    how = "Thirds by the outcome that was expected of customers. Bands: 95 % of the mean gain."
    title = "Gain along the depth"
    figure = Figure("depth", title, finding, spec, grid, how, evidence=trial.level, wide=True)
    lead = "Depths are pooled: 10 % and 30 % tell about 20 %."
    return [Chapter("depth", "Depth", "How deep should a discount go?", lead, [figure])]


def _plan(trial: TrialStory) -> Chapter:
    title, lead = (
        "What to do with the budget",
        "At most one treatment for each customer, and never more than the budget.",
    )
    p, s = trial.plan, trial.settings
    if p is None or trial.frontier is None:
        why = "no outcome is money, so gains cannot be weighed against costs"
        return Chapter("plan", "Plan", title, lead, [gap("a plan", why)])
    told = f"Stated, not measured: margin {share(s.margin_rate)} of {s.money}, {trial.cash(s.cost)} a customer treated."
    return Chapter(
        "plan", "Plan", title, lead, [_frontier(trial, p, trial.frontier), note(p["explain"]), note(told, "warn")]
    )


def _frontier(trial: TrialStory, p: dict[str, Any], line: pl.DataFrame) -> Figure:
    points = [
        [trial.cents(r["budget"]), trial.cents(r["gain"]), None, None, r["treated"]] for r in line.iter_rows(named=True)
    ]
    spec = {
        "kind": "frontier",
        "x": {"name": "budget", "fmt": "money"},
        "y": {"name": "expected extra profit", "fmt": "money"},
        "points": points,
        "chosen": [trial.cents(p["cost"]), trial.cents(p["gain"]), p["price"]],
        "slope": f"the next {trial.cash(1)} adds {trial.cash(p['price'])}",
        "label": f"chosen: {trial.cash(p['cost'])} → {trial.cash(p['gain'])}",
    }
    thin = line[:: max(1, line.height // 20)]
    cells = [[trial.cash(r["budget"]), trial.cash(r["gain"]), count(r["treated"])] for r in thin.iter_rows(named=True)]
    grid = Grid(["budget", "extra profit", "customers"], cells, frozenset(range(3)))
    finding = (
        f"{trial.cash(p['cost'])} treats {count(p['treated'])} of {count(p['customers'])} customers and is expected to "
        f"add {trial.cash(p['gain'])} ({ends(p['low'], p['high'], trial.cash)}, 95 %)."
    )
    title, n = "Budget against expected extra profit", count(p["customers"])
    return Figure("frontier", title, finding, spec, grid, n=n, evidence=trial.level, wide=True)


def _unknown(trial: TrialStory) -> Chapter:
    s = trial.settings
    watched = f"after {s.days} days" if s.days else "after the time the outcomes were watched"
    again = "Draw a small lot with every campaign, so that the answer never grows old."
    rows = [
        {
            "what": f"What the treatments do {watched}",
            "why": "Nobody looked longer.",
            "todo": "Keep a holdout; look again.",
        },
        {"what": "What they do to others, or at another time", "why": "The lot was drawn among these.", "todo": again},
    ]
    if trial.level != "randomised":
        why = "They were not drawn by lot."
        rows.insert(
            0,
            {
                "what": "Whether the arms differ in what was not recorded",
                "why": why,
                "todo": "Draw the next one by lot.",
            },
        )
    tell = Block("unknowns", {"rows": rows})
    return Chapter("unknown", "Unknown", "What this does not tell", "So that nobody plans with it.", [tell])
