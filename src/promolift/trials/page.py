"""What is known of a trial in; its page out: who got what, what it added, to whom, which policy, and a plan."""

from functools import partial

import polars as pl

from promolift.pages.blocks import Big, Block, Chapter, Figure, Grid, Page, Span, Tone, forest, gap, note, table
from promolift.pages.chapters.summary import span_of
from promolift.results.trial import TrialJudgement, TrialPlan, TrialResults, policy_finding
from promolift.trials.texts import ArmEffect, TrialStory
from promolift.words import bracket, clip, count, ends, interval, number, share

ALIKE = "nothing was known of these customers, so all would be treated alike"
UNKNOWN = "nothing was known of these customers before the trial"
UNJUDGED = "`promolift effect evaluate` has not run"
WHOLE = "The last columns: what all customers together add to treating nobody."
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
            _whom(trial),
            _policies(trial),
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
    if trial.results.planned:
        plan = trial.results.planned.note
        text = f"What the plan is expected to add beyond treating nobody, {trial.basis(trial.settings.deciding)}."
        big = Big("Expected extra profit", trial.cash(plan.gain), text, trial.level)
        gain, low, high = (trial.cents(amount) for amount in (plan.gain, plan.low, plan.high))
        return big, span_of(gain, low, high, trial.settings.currency)
    first = trial.settings.outcomes[0]
    best = trial.effects(first)[0]
    text = f"What {best.arm} adds to {first}, on average{_paid(trial, best)}."
    return Big("Average effect", trial.added(first, best.effect), text, trial.level), None


def _paid(trial: TrialStory, each: ArmEffect) -> str:
    """What is left of an effect on money once it is paid for; nothing where net is gross or cannot be told."""
    if each.net is None or trial.settings.gross(each.outcome):
        return ""
    span = ends(each.net_low, each.net_high, trial.cash)
    return f"; {trial.basis(each.outcome)}: {trial.cash(each.net)} ({span})"


def _bigs(trial: TrialStory) -> list[Big]:
    bigs = []
    for outcome in trial.settings.outcomes[:3]:
        best = trial.effects(outcome)[0]
        without = trial.amount(outcome, best.control_mean)
        told = f"{best.arm} adds this to {without} without it{_paid(trial, best)}."
        bigs.append(Big(outcome, trial.added(outcome, best.effect), told, trial.level))
    if trial.results.planned:
        plan = trial.results.planned.note
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
        rows = [[each.arm, number(each.odds), number(each.e_value)] for each in fit.hidden]
        heads = ["arm", "factor on the odds of treatment", "E-value"]
        text = "How strong an unrecorded cause must be to explain the first effect away; 1: nothing is needed."
        blocks.append(table("Hidden causes", heads, rows, text))
    if trial.results.fitted.placebos.height:
        told = [
            [r["outcome"], r["arm"], number(r["effect"]), ends(r["low"], r["high"], number), number(r["p"])]
            for r in trial.results.fitted.placebos.iter_rows(named=True)
        ]
        heads = ["outcome that cannot have moved", "arm", "effect", "95 % interval", "p"]
        blocks.append(table("Placebos", heads, told, words=(1,)))
    lead = f"Evidence level {fit.level}: {BLURB.get(fit.level, '')}."
    return Chapter("lot", "The lot", "Can the arms be compared?", lead, blocks)


def _balance(trial: TrialStory) -> Figure:
    fit = trial.fit
    worst = trial.results.fitted.balance.sort(pl.col("after").abs(), descending=True).head(12)
    marks, cells = [], []
    for r in worst.iter_rows(named=True):
        tone = "main" if abs(r["after"]) < fit.much_gap else "bad"
        marks.append((clip(f"{r['feature']}, {r['arm']}", 44), r["after"], None, None, tone))
        cells.append([r["feature"], r["arm"], number(r["before"]), number(r["after"])])
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
    paid = outcome == trial.settings.money and not trial.settings.gross(outcome)
    marks, cells = [], []
    for each in found:
        p = number(each.p_holm)
        marks.append((each.arm, *(trial.drawn(outcome, end) for end in (each.effect, each.low, each.high)), "main"))
        net = [more(each.net), ends(each.net_low, each.net_high, more)] if paid else []
        cells.append([each.arm, say(each.control_mean), more(each.effect), ends(each.low, each.high, more), *net, p])
    top = found[0]
    finding = f"{top.arm} adds {more(top.effect)} to {say(top.control_mean)}{_paid(trial, top)}."
    heads = ["arm", "without", "adds", "95 % interval", *(["net", "95 % interval"] if paid else []), "p, all looked at"]
    grid = Grid(heads, cells, frozenset(range(1, len(heads))))
    axis = (f"added to {outcome}, per customer", trial.fmt(outcome))
    how = f"Added to what customers spent; {trial.basis(outcome)}, it is worth what the table says." if paid else ""
    n = count(trial.fit.kept)
    return forest(f"effect-{place}", outcome, finding, axis, marks, grid=grid, how=how, n=n, evidence=trial.level)


def _depth(trial: TrialStory) -> list[Chapter]:
    """Gain along the depth, where treatments are depths."""
    dose, outcome = trial.results.fitted.dose, trial.settings.deciding
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


def _whom(trial: TrialStory) -> Chapter:
    """Curves, calibration and figures."""
    title = "Who gains more?"
    lead = "Predicted on one half of the customers by models of the other half, and turned round."
    judged = trial.judged
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
            r["arm"],
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
    return UNJUDGED if trial.fit.apart else UNKNOWN


def _samples(trial: TrialStory) -> list[Block]:
    """Whether the models learned from a part of the customers only."""
    samples = trial.judged.note.samples if trial.judged else ()
    return [note(f"{each[0].upper()}{each[1:]}.", "warn") for each in samples]


def _curve(trial: TrialStory, judged: TrialJudgement, outcome: str, arm: int) -> Figure:
    mine = (pl.col("outcome") == outcome) & (pl.col("arm") == trial.arms[arm])
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


def _deciles(trial: TrialStory, judged: TrialJudgement, outcome: str, arm: int) -> Figure:
    rows = judged.deciles.filter((pl.col("outcome") == outcome) & (pl.col("arm") == trial.arms[arm]))
    say = partial(trial.added, outcome)
    marks, cells = [], []
    for r in rows.iter_rows(named=True):
        drawn = (trial.drawn(outcome, r[k]) for k in ("realised", "low", "high"))
        marks.append((f"predicted {say(r['predicted'])}", *drawn, "main"))
        cells.append([say(r["predicted"]), say(r["realised"]), ends(r["low"], r["high"], say), count(r["n"])])
    grid = Grid(["predicted", "realised", "95 % interval", "customers"], cells, frozenset(range(4)))
    finding = " ".join(
        f"{count(each.inside)} of {count(each.groups)} predictions lie within what was realised."
        for each in judged.note.calibration
        if (each.outcome, each.arm) == (outcome, trial.arms[arm])
    )
    title = f"{trial.arms[arm]}: predicted and realised"
    axis = (f"realised, added to {trial.named(outcome)}", trial.fmt(outcome))
    how = trial.basis_sentence(outcome)
    return forest(f"deciles-{arm}", title, finding, axis, marks, grid=grid, how=how, evidence=trial.level)


def _policies(trial: TrialStory) -> Chapter:
    """Nobody, everybody by each treatment, and the recommended policy, with intervals."""
    title = "Which policy earns most?"
    lead = "Every policy valued on the same customers; the recommended one on those its models did not see."
    judged = trial.judged
    if judged is None:
        return Chapter("policies", "Policies", title, lead, [gap("what policies are worth", _why(trial))])
    blocks = [_policy(trial, judged, place, outcome) for place, outcome in enumerate(trial.settings.modelled)]
    return Chapter("policies", "Policies", title, lead, blocks)


def _policy(trial: TrialStory, judged: TrialJudgement, place: int, outcome: str) -> Figure:
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


def _plan(trial: TrialStory) -> Chapter:
    title = "What to do with the budget"
    lead = "At most one treatment for each customer, and never more than the budget."
    plan, s = trial.results.planned, trial.settings
    if plan is None:
        why = "no outcome is money, so gains cannot be weighed against costs"
        if s.money:
            why = UNPLANNED if trial.fit.apart else ALIKE
        return Chapter("plan", "Plan", title, lead, [gap("a plan", why)])
    told = f"Stated, not measured: margin {share(s.margin_rate)} of {s.money}, {s.cost_text(trial.cash)}."
    return Chapter("plan", "Plan", title, lead, [_frontier(trial, plan), note(plan.note.explain), note(told, "warn")])


def _frontier(trial: TrialStory, found: TrialPlan) -> Figure:
    plan, line = found.note, found.frontier
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
