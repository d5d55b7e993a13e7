"""The numbers of a closed loop in; its page out: earned beside the best possible, releases, drift, calibration."""

from collections.abc import Callable, Mapping
from functools import partial

from promolift.pages.blocks import Big, Block, Chapter, Figure, Grid, Page, forest, gap, note, table
from promolift.pages.chapters.summary import span_of
from promolift.steps.loop_numbers import CURRENCY, InForce, LoopNumbers, Stretch
from promolift.words import count, ends, money, number, share

LABEL = "simulated: a made-up shop whose truth is known"


def page_of(found: LoopNumbers) -> Page:
    """The page; every figure carries the badge `simulated`."""
    total, settings = found.total, found.settings
    first = next((each.got for each in found.releases if each.kind != "exploration"), None)
    truth = "What the decisions added: only a simulation can tell."
    bigs = [
        Big("In truth", _cash(total.true_gain_cents), truth, "simulated"),
        Big("Decisions", count(total.decisions), f"{count(found.held_out)} more were held out to measure by."),
        Big("Releases", count(found.released), f"The guardrails refused {count(found.n_refused)} proposals."),
    ]
    if first:
        text = f"Days {first.first_day} to {first.last_day}, compared with full knowledge at equal spend."
        bigs.insert(0, Big("First learned policy", share(first.share_of_best), text, "simulated"))
    return Page(
        name="A simulated shop",
        eyebrow="The closed loop",
        facts=[
            ("Data", LABEL),
            ("Days", count(settings.days)),
            ("Customers", count(settings.customers)),
            ("Seed", str(settings.seed)),
        ],
        head=Big(
            "Added over the holdout", money(total.gain_cents, CURRENCY, sign=True),
            "What customers who could get an offer earned the shop beyond those held back.", "simulated",
        ),
        span=span_of(total.gain_cents, total.low_cents, total.high_cents, CURRENCY),
        span_name="95 % interval",
        bigs=bigs,
        chapters=[tell(found) for tell in (_earned, _released, _drift, _worded, _trust, _next)],
        currency=CURRENCY,
    )  # fmt: skip


def _earned(found: LoopNumbers) -> Chapter:
    rows = found.weeks

    def line(name: str, tone: str, gain: Callable[[Stretch], float]) -> Mapping[str, object]:
        return {"name": name, "tone": tone, "points": [[r.last_day, gain(r), None, None, r.decisions] for r in rows]}

    spec = {
        "kind": "lines",
        "x": {"name": "day", "fmt": "count", "min": 0},
        "y": {"name": "added per decision, in truth", "fmt": "money"},
        "series": [
            line("best possible", "blue", lambda r: r.best_gain_per_decision),
            line("what was decided", "orange", lambda r: r.true_gain_per_decision),
        ],
    }
    cells = [
        [
            f"{r.first_day} to {r.last_day}", count(r.decisions), _cash(r.true_gain_per_decision),
            _cash(r.best_gain_per_decision), share(r.share_of_best),
        ]
        for r in rows
    ]  # fmt: skip
    missed = _cash(found.regret_cents)
    finding = f"Over the {count(found.settings.days)} days {missed} was missed: the regret against full knowledge."
    grid = Grid(["days", "decisions", "added", "best possible", "share"], cells, frozenset(range(1, 5)))
    how = "Best possible: the most that any plan with full knowledge could add at the same true spend each day."
    return Chapter(
        "earned", "Earned", "What did the loop earn?",
        "It starts knowing only a year of receipts, leaves much to chance to learn, and then less and less.",
        [
            Figure("earned", "Added per decision", finding, spec, grid, how, evidence="simulated", wide=True),
            _cumulated(found),
        ],
    )  # fmt: skip


def _cumulated(found: LoopNumbers) -> Figure:
    looks = found.looks
    points = [[k.day, k.gain_cents, k.low_cents, k.high_cents, k.decisions] for k in looks]
    truth = [[k.day, k.true_gain_cents, None, None, None] for k in looks]
    spec = {
        "kind": "lines",
        "x": {"name": "day", "fmt": "count", "min": 0},
        "y": {"name": "added since day 0", "fmt": "money"},
        "series": [
            {"name": "by the holdout", "tone": "ink", "points": points},
            {"name": "in truth", "tone": "orange", "points": truth},
        ],
        "band": True,
    }
    cells = [
        [count(k.day), _cash(k.gain_cents), ends(k.low_cents, k.high_cents, _cash), _cash(k.true_gain_cents)]
        for k in looks
    ]
    held = found.looks_held
    finding = f"The interval holds the truth at {count(held.inside)} of {count(held.intervals)} looks."
    grid = Grid(["day", "by the holdout", "95 % interval", "in truth"], cells, frozenset(range(4)))
    how = "The shop sees the line by the holdout, with its band; the truth is only known here."
    title = "Cumulative incremental margin"
    return Figure("cumulated", title, finding, spec, grid, how, evidence="simulated", wide=True)


def _cash(cents: object) -> str:
    return money(cents, CURRENCY)


def _released(found: LoopNumbers) -> Chapter:
    rows = [_release_row(each) for each in found.releases]
    grid = Grid(
        ["release", "kind", "days", "expected before", "95 % interval", "in truth", "of the best", "what changed"],
        rows, frozenset({3, 4, 5, 6}),
    )  # fmt: skip
    held = found.promises_held
    text = "Before a release the logs say what it will add per decision; "
    text += f"{count(held.inside)} of {count(held.intervals)} intervals held the truth."
    blocks: list[Figure | Block] = [Block("grid", {"grid": grid, "text": text}, "Releases", "simulated")]
    promised = [each.promised for each in found.releases if each.promised]
    if promised:
        last = promised[-1]
        blocks.append(note(f"Rule of the guardrails, last release: {last.rule}. Rollback: {last.rollback}."))
    if found.refused:
        refusals = [f"day {each.day}: {each.why}" for each in found.refused]
        blocks.append(Block("sentences", {"rows": refusals}, "Proposals refused"))
    lead = "A new policy is proposed with what changed, what it is expected to add, and when it is taken back."
    return Chapter("releases", "Releases", "Which policies were released, and why?", lead, blocks)


def _release_row(each: InForce) -> list[str]:
    got, promised = each.got, each.promised
    return [
        str(each.version),
        each.kind,
        f"{got.first_day} to {got.last_day}",
        _cash(promised.expected_per_decision) if promised else "",
        ends(promised.expected_low, promised.expected_high, _cash) if promised else "",
        _cash(got.true_gain_per_decision),
        share(got.share_of_best),
        "; ".join(promised.changes) if promised else "part even draws, the rest as the history suggests",
    ]


def _drift(found: LoopNumbers) -> Chapter:
    settings = found.settings
    changed = (
        f"In truth everybody's answer was multiplied by {number(settings.drift)} on day {settings.drift_day}."
        if settings.drift_day is not None and settings.drift_day < settings.days
        else "In truth nothing changed."
    )
    if found.alarms:
        known = f"a week is known after {count(found.known_after_days)} days"
        finding = f"{changed} The alarm rang on day {found.alarms[0].day}: {known}."
    else:
        finding = f"{changed} No alarm rang."
    marks, cells = [], []
    for each in found.strengths:
        name = f"release {each.version}, day {each.day}"
        marks.append((name, each.value, each.low, each.high, "bad" if each.kind == "alarm" else "main"))
        cells.append([name, number(each.value), ends(each.low, each.high, number)])
    grid = Grid(["release", "strength", "95 % interval"], cells, frozenset({1, 2}))
    how = f"Alarm: the last days differ from the release by more than {number(settings.alarm)} standard errors."
    axis, title = ("strength of the answer, history = 1", "fixed"), "How strongly customers answer"
    drawn = partial(forest, "drift", title, finding, axis, marks, grid=grid, how=how, evidence="simulated", wide=True)
    lead = "Every day the latest sales are compared with what the release in force believes of them."
    return Chapter("drift", "Drift", "Did the world change?", lead, [drawn() if marks else note(finding)])


def _worded(found: LoopNumbers) -> Chapter:
    """How often each wording was clicked, and how much better the learnt mixture did than an even one."""
    marks = [(each.name, each.rate, each.low, each.high, "main") for each in found.wordings]
    cells = [
        [each.name, count(each.sent), share(each.rate), share(each.last_chance), share(each.true_rate)]
        for each in found.wordings
    ]
    words = found.words
    lead = (
        f"Four verified wordings of every offer competed. {share(words['chosen'])} of the messages were clicked; drawn "
        f"evenly it had been {share(words['even'])}, with the best wording for all from day one {share(words['best'])}."
    )
    grid = Grid(["wording", "sent", "clicked", "chance on the last day", "in truth"], cells, frozenset({1, 2, 3, 4}))
    finding = "Thompson sampling sends most messages in the wording that is clicked most; chances are logged."
    axis = ("clicked", "share")
    figure = forest("words", "Clicks by wording", finding, axis, marks, grid=grid, evidence="simulated", wide=True)
    return Chapter("words", "Words", "Which words work?", lead, [figure])


def _trust(found: LoopNumbers) -> Chapter:
    why = "too few offers by a learned release so far"
    right = _calibration(found) if found.quintiles else gap("whether predictions were right", why)
    blocks = [right, _weights(found)]
    lead = "Chances are logged, so that other policies can be valued from the same days."
    return Chapter("trust", "Trust", "Can the numbers be trusted?", lead, blocks)


def _calibration(found: LoopNumbers) -> Figure:
    """Predicted gain of what was given against the gain over the holdout, by quintiles of the prediction."""
    marks, cells = [], []
    for each in found.quintiles:
        said = _cash(each.predicted)
        marks.append((f"predicted {said}", each.realised, each.low, each.high, "main"))
        cells.append([said, _cash(each.realised), ends(each.low, each.high, _cash), count(each.n)])
    grid = Grid(["predicted", "realised", "95 % interval", "decisions"], cells, frozenset(range(4)))
    finding = "Offers that were expected to add more are compared with what they added, fifth by fifth."
    axis, title = ("realised over the holdout", "money"), "Predicted and realised gain"
    return forest("trust", title, finding, axis, marks, grid=grid, evidence="simulated", wide=True)


def _weights(found: LoopNumbers) -> Block:
    weights = found.weights
    cells = [[str(each), count(each.n), share(each.share)] for each in weights.classes]
    text = f"1 / logged chance of what was decided; the largest is {number(weights.largest)}."
    text += f" All together weigh as much as {count(weights.effective)} even decisions."
    return table("Weights", ["weight", "decisions", "share"], cells, text, evidence="simulated")


def _next(found: LoopNumbers) -> Chapter:
    last, got = found.releases[-1], found.releases[-1].got
    gain = f"{_cash(got.holdout_gain_per_decision)} per decision over the holdout"
    span = f"({ends(got.holdout_low, got.holdout_high, _cash)}, 95 %)"
    keep = f"Keep release {last.version}: it adds {gain} {span}."
    watch = f"Watch release {last.version}: what it adds, {gain} {span}, is not yet told from nothing."
    rows = [
        keep if got.holdout_low > 0 else watch,
        f"Go on leaving {share(found.settings.floor)} to chance: it is what the next release will be judged by.",
    ]
    if found.alarms:
        rows.append("Ask why customers answer discounts otherwise than before: a competitor, a season, a new range.")
    steps = Block("sentences", {"rows": rows}, "Next steps")
    return Chapter("next", "Next", "What to do next", "From this page alone.", [steps])
