"""What is known of a trial in; its page out: who got what, what it added, to whom, which policy, and a plan."""

from functools import partial

import polars as pl

from promolift.pages.blocks import Big, Block, Chapter, Figure, Grid, Page, Span, Tone, forest, gap, note, table
from promolift.pages.chapters.summary import span_of
from promolift.results.trial import TrialPlanned, TrialResults
from promolift.steps.trial_story import ArmEffect, TrialStory
from promolift.steps.trial_unseen import policies, whom
from promolift.words import bracket, clip, count, ends, interval, number, share

ALIKE = "nothing was known of these customers, so all would be treated alike"
UNPLANNED = "`promolift effect report` has not planned yet"
BLURB = {
    "randomised": "drawn by lot: differences between arms are effects",
    "adjusted": "not drawn by lot: compared with customers alike in all that is recorded, which proves nothing",
}


def page_of(found: TrialResults) -> Page:
    """The page of `promolift effect report`; what was not done yet is a gap that names the verb."""
    trial = TrialStory(found)
    settings = trial.settings
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
    facts = [("Customers", count(trial.fit.customers)), ("Arms", count(len(trial.arms)))]
    if trial.settings.days:
        facts.append(("Outcomes watched", f"{trial.settings.days} days"))
    return [*facts, ("Evidence", str(trial.level))]


def _head(trial: TrialStory) -> tuple[Big, Span | None]:
    if plan := trial.results.planned:
        text = f"What the plan is expected to add beyond treating nobody, {trial.basis(trial.settings.deciding)}."
        big = Big("Expected extra profit", trial.cash(plan.gain), text, trial.level)
        gain, low, high = (trial.cents(amount) for amount in (plan.gain, plan.low, plan.high))
        return big, span_of(gain, low, high, trial.settings.currency)
    first = trial.settings.outcomes[0]
    best = trial.effects(first)[0]
    text = f"What {trial.arms[best.arm]} adds to {first}, on average{_paid(trial, best)}."
    return Big("Average effect", trial.added(first, best.effect), text, trial.level), None


def _paid(trial: TrialStory, each: ArmEffect) -> str:
    """What is left of an effect on money once it is paid for; nothing where net is gross or cannot be told."""
    if each.net is None or trial.settings.net(each.outcome).plain:
        return ""
    span = ends(each.net_low, each.net_high, trial.cash)
    return f"; {trial.basis(each.outcome)}: {trial.cash(each.net)} ({span})"


def _bigs(trial: TrialStory) -> list[Big]:
    bigs = []
    for outcome in trial.settings.outcomes[:3]:
        best = trial.effects(outcome)[0]
        without = trial.amount(outcome, best.control_mean)
        told = f"{trial.arms[best.arm]} adds this to {without} without it{_paid(trial, best)}."
        bigs.append(Big(outcome, trial.added(outcome, best.effect), told, trial.level))
    if plan := trial.results.planned:
        told = f"{count(plan.treated)} of {count(plan.customers)} customers, {trial.cash(plan.cost)} of it spent."
        bigs.append(Big("Budget", trial.cash(plan.budget), told))
    return bigs


def _lot(trial: TrialStory) -> Chapter:
    fit = trial.fit
    given = zip(fit.arms, fit.counts, fit.shares, strict=True)
    tone: Tone = "good" if fit.level == "randomised" else "warn"
    blocks: list[Figure | Block] = [
        table(
            "Who got what", ["arm", "customers", "share"], [[name, count(n), share(of, 2)] for name, n, of in given],
            evidence=trial.level,
        ),
        note(f"{fit.level}: {'; '.join(fit.reasons)}.", tone),
    ]  # fmt: skip
    blocks += [note(f"{doubt[0].upper()}{doubt[1:]}.", "warn") for doubt in fit.doubts]
    if fit.checks:
        done = [[c.name, number(c.p), "passed" if c.passed else "failed", c.meaning] for c in fit.checks]
        blocks.append(table("Checks of the lot", ["check", "p", "", "what it found"], done, words=(2, 3)))
    blocks.append(_balance(trial))
    if fit.hidden:
        rows = [[fit.arms[each.arm], number(each.odds), number(each.e_value)] for each in fit.hidden]
        heads = ["arm", "factor on the odds of treatment", "E-value"]
        text = "How strong an unrecorded cause must be to explain the first effect away; 1: nothing is needed."
        blocks.append(table("Hidden causes", heads, rows, text))
    if trial.tables.fitted.placebos.height:
        told = [
            [r["outcome"], fit.arms[r["arm"]], number(r["effect"]), ends(r["low"], r["high"], number), number(r["p"])]
            for r in trial.tables.fitted.placebos.iter_rows(named=True)
        ]
        heads = ["outcome that cannot have moved", "arm", "effect", "95 % interval", "p"]
        blocks.append(table("Placebos", heads, told, words=(1,)))
    lead = f"Evidence level {fit.level}: {BLURB.get(fit.level, '')}."
    return Chapter("lot", "The lot", "Can the arms be compared?", lead, blocks)


def _balance(trial: TrialStory) -> Figure:
    fit = trial.fit
    worst = trial.tables.fitted.balance.sort(pl.col("after").abs(), descending=True).head(12)
    marks, cells = [], []
    for r in worst.iter_rows(named=True):
        tone = "main" if abs(r["after"]) < fit.much_gap else "bad"
        marks.append((clip(f"{r['feature']}, {fit.arms[r['arm']]}", 44), r["after"], None, None, tone))
        cells.append([r["feature"], fit.arms[r["arm"]], number(r["before"]), number(r["after"])])
    grid = Grid(["feature", "arm", "before weighting", "after"], cells, frozenset({2, 3}))
    finding = (
        f"The largest difference between an arm and control is {number(fit.largest_gap)} standard deviations; "
        f"{number(fit.much_gap)} would be much."
    )
    axis = ("difference from control, standard deviations", "fixed")
    return forest(
        "balance", "Were the arms alike before?", finding, axis, marks, grid=grid, n=count(fit.kept), wide=True
    )


def _effects(trial: TrialStory) -> Chapter:
    blocks = [_average(trial, place, outcome) for place, outcome in enumerate(trial.settings.outcomes)]
    lead = "Averages over all customers, doubly robust: what is known of customers only takes noise away."
    return Chapter("effects", "Effects", "What did each treatment add?", lead, blocks)


def _average(trial: TrialStory, place: int, outcome: str) -> Figure:
    """Effects in the unit of the file; beside those on money what is left once they are paid for."""
    say, more = partial(trial.amount, outcome), partial(trial.added, outcome)
    found = trial.effects(outcome)
    paid = outcome == trial.settings.money and not trial.settings.net(outcome).plain
    marks, cells = [], []
    for each in found:
        name, p = trial.arms[each.arm], number(each.p_holm)
        marks.append((name, *(trial.drawn(outcome, end) for end in (each.effect, each.low, each.high)), "main"))
        net = [more(each.net), ends(each.net_low, each.net_high, more)] if paid else []
        cells.append([name, say(each.control_mean), more(each.effect), ends(each.low, each.high, more), *net, p])
    top = found[0]
    finding = f"{trial.arms[top.arm]} adds {more(top.effect)} to {say(top.control_mean)}{_paid(trial, top)}."
    heads = ["arm", "without", "adds", "95 % interval", *(["net", "95 % interval"] if paid else []), "p, all looked at"]
    grid = Grid(heads, cells, frozenset(range(1, len(heads))))
    axis = (f"added to {outcome}, per customer", trial.fmt(outcome))
    how = f"Added to what customers spent; {trial.basis(outcome)}, it is worth what the table says." if paid else ""
    n = count(trial.fit.kept)
    return forest(f"effect-{place}", outcome, finding, axis, marks, grid=grid, how=how, n=n, evidence=trial.level)


def _depth(trial: TrialStory) -> list[Chapter]:
    """Gain along the depth, where treatments are depths."""
    dose, outcome = trial.tables.fitted.dose, trial.settings.deciding
    if dose is None:
        return []
    tones = {"everybody": "ink", "lowest third": "blue", "middle third": "grey", "highest third": "orange"}
    series, cells = [], []
    for name, tone in tones.items():
        rows = dose.filter(pl.col("segment") == name)
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
        "y": {"name": f"added to {trial.named(outcome)}, per customer", "fmt": trial.fmt(outcome)},
        "series": series,
        "band": True,
        "origin": True,
    }
    top = dose.filter(pl.col("segment") == "everybody").sort("gain").row(-1, named=True)
    finding = f"Largest for everybody at {share(top['depth'])} off: {trial.added(outcome, top['gain'])} a customer."
    heads = ["customers", "discount", "adds", "95 % interval", "number"]
    grid = Grid(heads, cells, frozenset(range(1, 5)))
    how = "Thirds by the outcome that was expected of customers. Bands: 95 % of the mean gain."
    how = f"{trial.basis_sentence(outcome)} {how}" if outcome == trial.settings.money else how
    title = "Gain along the depth"
    figure = Figure("depth", title, finding, spec, grid, how, evidence=trial.level, wide=True)
    lead = "Depths are pooled: 10 % and 30 % tell about 20 %."
    return [Chapter("depth", "Depth", "How deep should a discount go?", lead, [figure])]


def _plan(trial: TrialStory) -> Chapter:
    title = "What to do with the budget"
    lead = "At most one treatment for each customer, and never more than the budget."
    plan, tables, s = trial.results.planned, trial.tables.planned, trial.settings
    if plan is None or tables is None:
        why = "no outcome is money, so gains cannot be weighed against costs"
        if s.money:
            why = UNPLANNED if trial.fit.apart else ALIKE
        return Chapter("plan", "Plan", title, lead, [gap("a plan", why)])
    told = f"Stated, not measured: margin {share(s.margin_rate)} of {s.money}, {trial.cash(s.cost)} a customer treated."
    return Chapter(
        "plan", "Plan", title, lead, [_frontier(trial, plan, tables.frontier), note(plan.explain), note(told, "warn")]
    )


def _frontier(trial: TrialStory, plan: TrialPlanned, line: pl.DataFrame) -> Figure:
    points = [
        [trial.cents(r["budget"]), trial.cents(r["gain"]), None, None, r["treated"]] for r in line.iter_rows(named=True)
    ]
    spec = {
        "kind": "frontier",
        "x": {"name": "budget", "fmt": "money"},
        "y": {"name": "expected extra profit", "fmt": "money"},
        "points": points,
        "chosen": [trial.cents(plan.cost), trial.cents(plan.gain), plan.price],
        "slope": f"the next {trial.cash(1)} adds {trial.cash(plan.price)}",
        "label": f"chosen: {trial.cash(plan.cost)} → {trial.cash(plan.gain)}",
    }
    thin = line[:: max(1, line.height // 20)]
    cells = [[trial.cash(r["budget"]), trial.cash(r["gain"]), count(r["treated"])] for r in thin.iter_rows(named=True)]
    grid = Grid(["budget", "extra profit, net", "customers"], cells, frozenset(range(3)))
    finding = (
        f"{trial.cash(plan.cost)} treats {count(plan.treated)} of {count(plan.customers)} customers and is expected to "
        f"add {trial.cash(plan.gain)}{bracket(interval(plan.low, plan.high, trial.cash, 95))}."
    )
    title, n = "Budget against expected extra profit", count(plan.customers)
    how = trial.basis_sentence(trial.settings.deciding)
    return Figure("frontier", title, finding, spec, grid, how, n=n, evidence=trial.level, wide=True)


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
