"""A judged trial in a work folder in; its page out: who got what, what it added, to whom, which policy, and a plan."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from promolift.currency import currency_digits
from promolift.report.blocks import Badge, Big, Block, Chapter, Figure, Grid, Page, Span, Tone, forest, gap, note, table
from promolift.report.chapters.summary import span_of
from promolift.report.words import clip, count, ends, money, number, share
from promolift.steps.trial import TrialSettings, modelled
from promolift.store import Store

MUCH = 0.1  # of a standard deviation (Austin 2009)
UNJUDGED = "`promolift effect evaluate` has not run"
BLURB = {
    "randomised": "drawn by lot: differences between arms are effects",
    "adjusted": "not drawn by lot: compared with customers alike in all that is recorded, which proves nothing",
}


@dataclass(frozen=True)
class _Trial:
    """All that the page tells, with helpers that say amounts."""

    settings: TrialSettings
    notes: dict[str, Any]
    effects: pl.DataFrame
    balance: pl.DataFrame
    placebos: pl.DataFrame
    judged: dict[str, pl.DataFrame]
    plan: dict[str, Any] | None
    frontier: pl.DataFrame | None

    @property
    def level(self) -> Badge:
        """Badge of every number that is an effect."""
        return self.notes["level"]  # type: ignore[no-any-return]

    @property
    def arms(self) -> list[str]:
        """Names, control first."""
        return list(self.notes["arms"])

    def cents(self, amount: float) -> float:
        """Money of the file in minor units."""
        return float(amount * 10 ** currency_digits(self.settings.currency))

    def cash(self, amount: object) -> str:
        """Money of the file in words."""
        return money(self.cents(float(amount)), self.settings.currency) if isinstance(amount, int | float) else "?"

    def amount(self, outcome: str, value: object) -> str:
        """An outcome's value in words: a share, money, or a number."""
        if outcome in self.settings.rates:
            return share(value, 2)
        return self.cash(value) if outcome == self.settings.money else number(value)

    def added(self, outcome: str, value: object) -> str:
        """A difference of an outcome in words: rates differ by points."""
        if outcome in self.settings.rates and isinstance(value, int | float):
            return f"{100 * value:.2f} points"
        return self.amount(outcome, value)

    def fmt(self, outcome: str) -> str:
        """How charts print it."""
        return "share" if outcome in self.settings.rates else "money" if outcome == self.settings.money else "fixed"

    def drawn(self, outcome: str, value: float | None) -> float | None:
        """The value as charts take it: money in minor units."""
        return self.cents(value) if value is not None and outcome == self.settings.money else value


def page_of(store: Store, settings: TrialSettings) -> Page:
    """The page of `promolift effect report`; what was not done yet is a gap that names the verb."""
    names = ("qini", "curves", "deciles", "policies")
    judged = {n: store.frame(f"trial_{n}") for n in names if store.has(f"trial_{n}")}
    planned = store.load_json("trial_planned") if store.has("trial_frontier") else None
    trial = _Trial(
        settings, store.load_json("trial"), store.frame("trial_effects"), store.frame("trial_balance"),
        store.frame("trial_placebos"), judged, planned, store.frame("trial_frontier") if planned else None,
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
        chapters=[_lot(trial), _effects(trial), _whom(trial), _policies(trial), _plan(trial), _unknown(trial)],
        currency=settings.currency,
    )


def _facts(trial: _Trial) -> list[tuple[str, str]]:
    s = trial.settings
    facts = [("Customers", count(sum(trial.notes["counts"]))), ("Arms", count(len(trial.arms)))]
    if s.days:
        facts.append(("Outcomes watched", f"{s.days} days"))
    return [*facts, ("Evidence", str(trial.level))]


def _head(trial: _Trial) -> tuple[Big, Span | None]:
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


def _best(trial: _Trial, outcome: str) -> dict[str, Any]:
    return trial.effects.filter(pl.col("outcome") == outcome).sort("effect", descending=True).row(0, named=True)


def _bigs(trial: _Trial) -> list[Big]:
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


def _lot(trial: _Trial) -> Chapter:
    whole = sum(trial.notes["counts"])
    given = zip(trial.arms, trial.notes["counts"], strict=True)
    rows = [[name, count(n), share(n / whole, 2)] for name, n in given]
    tone: Tone = "good" if trial.level == "randomised" else "warn"
    blocks: list[Figure | Block] = [
        table("Who got what", ["arm", "customers", "share"], rows, evidence=trial.level),
        note(f"{trial.level}: {'; '.join(trial.notes['reasons'])}.", tone),
    ]
    if trial.notes["checks"]:
        done = [
            [c["name"], number(c["p"]), "passed" if c["passed"] else "failed", c["meaning"]]
            for c in trial.notes["checks"]
        ]
        blocks.append(table("Checks of the lot", ["check", "p", "", "what it found"], done, words=(2, 3)))
    blocks.append(_balance(trial))
    if trial.placebos.height:
        told = [
            [r["outcome"], trial.arms[r["arm"]], number(r["effect"]), ends(r["low"], r["high"], number), number(r["p"])]
            for r in trial.placebos.iter_rows(named=True)
        ]
        heads = ["outcome that cannot have moved", "arm", "effect", "95 % interval", "p"]
        blocks.append(table("Placebos", heads, told, words=(1,)))
    lead = f"Evidence level {trial.level}: {BLURB.get(str(trial.level), '')}."
    return Chapter("lot", "The lot", "Can the arms be compared?", lead, blocks)


def _balance(trial: _Trial) -> Figure:
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


def _effects(trial: _Trial) -> Chapter:
    blocks = [_average(trial, place, outcome) for place, outcome in enumerate(trial.settings.outcomes)]
    lead = "Averages over all customers, doubly robust: what is known of customers only takes noise away."
    return Chapter("effects", "Effects", "What did each treatment add?", lead, blocks)


def _average(trial: _Trial, place: int, outcome: str) -> Figure:
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


def _whom(trial: _Trial) -> Chapter:
    title = "Who gains more?"
    lead = "Predicted on one half of the customers by models of the other half, and turned round."
    if "deciles" not in trial.judged:
        return Chapter("whom", "Whom", title, lead, [gap("how well customers are told apart", UNJUDGED)])
    first = modelled(trial.settings)[0]
    arms = range(1, len(trial.arms))
    if trial.judged["qini"].is_empty():
        why = "a Qini curve is fair only where everybody had the same chance of each arm"
        rows = [gap("a Qini curve", why), *(_deciles(trial, first, arm) for arm in arms)]
        return Chapter("whom", "Whom", title, lead, rows)
    blocks: list[Figure | Block] = [draw(trial, first, arm) for arm in arms for draw in (_curve, _deciles)]
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


def _curve(trial: _Trial, outcome: str, arm: int) -> Figure:
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
    pairs = zip(ours[::5].iter_rows(named=True), theirs[::5].iter_rows(named=True), strict=True)
    cells = [[share(a["share"]), trial.amount(outcome, a["gain"]), trial.amount(outcome, b["gain"])] for a, b in pairs]
    grid = Grid(["treated", "best effect first", "best customers first"], cells, frozenset(range(3)))
    how = "Best customers first: by the outcome expected without any treatment."
    title = f"{trial.arms[arm]}: whom to treat first"
    return Figure(f"curve-{arm}", title, finding, spec, grid, how, evidence=trial.level)


def _deciles(trial: _Trial, outcome: str, arm: int) -> Figure:
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


def _policies(trial: _Trial) -> Chapter:
    title = "Which policy earns most?"
    lead = "Every policy valued on the same customers; the recommended one on those its models did not see."
    if "policies" not in trial.judged:
        return Chapter("policies", "Policies", title, lead, [gap("what policies are worth", UNJUDGED)])
    blocks = [_policy(trial, place, outcome) for place, outcome in enumerate(modelled(trial.settings))]
    return Chapter("policies", "Policies", title, lead, blocks)


def _policy(trial: _Trial, place: int, outcome: str) -> Figure:
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


def _plan(trial: _Trial) -> Chapter:
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


def _frontier(trial: _Trial, p: dict[str, Any], line: pl.DataFrame) -> Figure:
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


def _unknown(trial: _Trial) -> Chapter:
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
