"""A closed loop in; its page out: earned beside the best possible, releases, drift, calibration."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from promolift.report.blocks import Big, Block, Chapter, Figure, Grid, Page, note
from promolift.report.chapters.summary import span_of
from promolift.report.words import count, ends, money, number, share
from promolift.steps.loop import LAG, Day, Loop, Release, over_holdout
from promolift.steps.loop_numbers import CURRENCY, InForce, LoopNumbers, Stretch, numbers, stretch
from promolift.steps.loop_words import against, tally
from promolift.tables import Z95

LABEL = "simulated: a made-up shop whose truth is known"
LEAST = 30  # decisions in a fifth, below which its mean is not drawn


class _Bar(NamedTuple):
    """A value with its interval, as a chart draws it."""

    name: str
    value: float
    low: float
    high: float
    tone: str = "main"


def page_of(loop: Loop) -> Page:
    """The page; every figure carries the badge `simulated`."""
    found, settings = numbers(loop), loop.settings
    total = sum(d.true_gain for d in loop.days)
    whole, decisions = found.whole, found.whole.decisions
    low, high = whole.holdout_low * decisions, whole.holdout_high * decisions
    seen = whole.holdout_gain_per_decision * decisions
    first = next((each.got for each in found.releases if each.kind != "exploration"), None)
    held = sum(int(d.held_N.sum()) for d in loop.days)
    bigs = [
        Big("In truth", _cash(total), "What the decisions added: only a simulation can tell.", "simulated"),
        Big("Decisions", count(decisions), f"{count(held)} more were held out to measure by."),
        Big("Releases", count(len(loop.releases) - 1), f"The guardrails refused {count(len(loop.refused))} proposals."),
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
            "Added over the holdout", money(seen, CURRENCY, sign=True),
            "What customers who could get an offer earned the shop beyond those held back.", "simulated",
        ),
        span=span_of(seen, low, high, CURRENCY),
        span_name="95 % interval",
        bigs=bigs,
        chapters=[
            _earned(loop), _released(found), _drift(loop, found), _worded(loop), _trust(loop), _next(loop, found),
        ],
        currency=CURRENCY,
    )  # fmt: skip


def _earned(loop: Loop) -> Chapter:
    weeks = [loop.days[at : at + 7] for at in range(0, len(loop.days) - 6, 7)]
    rows = [stretch(week) for week in weeks]

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
            f"{r.first_day} to {r.last_day}", count(r.decisions), money(r.true_gain_per_decision, CURRENCY),
            money(r.best_gain_per_decision, CURRENCY), share(r.share_of_best),
        ]
        for r in rows
    ]  # fmt: skip
    lost = sum(d.best_gain - d.true_gain for d in loop.days)
    finding = f"Over the {len(loop.days)} days {money(lost, CURRENCY)} was missed: the regret against full knowledge."
    grid = Grid(["days", "decisions", "added", "best possible", "share"], cells, frozenset(range(1, 5)))
    how = "Best possible: the most that any plan with full knowledge could add at the same true spend each day."
    return Chapter(
        "earned", "Earned", "What did the loop earn?",
        "It starts knowing only a year of receipts, leaves much to chance to learn, and then less and less.",
        [
            Figure("earned", "Added per decision", finding, spec, grid, how, evidence="simulated", wide=True),
            _cumulated(loop),
        ],
    )  # fmt: skip


def _cumulated(loop: Loop) -> Figure:
    ends_at = [*range(6, len(loop.days), 7)]
    points, cells = [], []
    for last in ends_at:
        days = loop.days[: last + 1]
        gain, error = over_holdout(days)
        size, true = sum(len(d.action_N) for d in days), sum(d.true_gain for d in days)
        low, high = size * (gain - Z95 * error), size * (gain + Z95 * error)
        points.append([last, size * gain, low, high, size])
        cells.append([count(last), money(size * gain, CURRENCY), ends(low, high, _cash), money(true, CURRENCY)])
    spec = {
        "kind": "lines",
        "x": {"name": "day", "fmt": "count", "min": 0},
        "y": {"name": "added since day 0", "fmt": "money"},
        "series": [
            {"name": "by the holdout", "tone": "ink", "points": points},
            {"name": "in truth", "tone": "orange", "points": [
                [last, sum(d.true_gain for d in loop.days[: last + 1]), None, None, None] for last in ends_at]},
        ],
        "band": True,
    }  # fmt: skip
    inside = sum(low <= sum(d.true_gain for d in loop.days[: p + 1]) <= high for p, _, low, high, _ in points)
    finding = f"The interval holds the truth at {inside} of {len(points)} looks."
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
    told = [(each.promised, each.got.true_gain_per_decision) for each in found.releases if each.promised]
    hit = sum(promised.expected_low <= gain <= promised.expected_high for promised, gain in told)
    text = (
        f"Before a release the logs say what it will add per decision; {hit} of {len(told)} intervals held the truth."
    )
    blocks: list[Figure | Block] = [Block("grid", {"grid": grid, "text": text}, "Releases", "simulated")]
    if told:
        last, _ = told[-1]
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


def _drift(loop: Loop, found: LoopNumbers) -> Chapter:
    bars = [_strength(r) for r in loop.releases if r.proposal]
    settings = loop.settings
    changed = (
        f"In truth everybody's answer was multiplied by {number(settings.drift)} on day {settings.drift_day}."
        if settings.drift_day is not None and settings.drift_day < settings.days
        else "In truth nothing changed."
    )
    if found.alarms:
        finding = f"{changed} The alarm rang on day {found.alarms[0].day}: a week is known after {LAG} days."
    else:
        finding = f"{changed} No alarm rang."
    blocks: list[Figure | Block] = []
    if bars:
        rows = [bar._asdict() for bar in bars]
        spec = {"kind": "forest", "x": {"name": "strength of the answer, history = 1", "fmt": "fixed"}, "rows": rows}
        cells = [[bar.name, number(bar.value), ends(bar.low, bar.high, number)] for bar in bars]
        grid = Grid(["release", "strength", "95 % interval"], cells, frozenset({1, 2}))
        how = f"Alarm: the last days differ from the release by more than {number(settings.alarm)} standard errors."
        blocks.append(
            Figure("drift", "How strongly customers answer", finding, spec, grid, how, evidence="simulated", wide=True)
        )
    else:
        blocks.append(note(finding))
    lead = "Every day the latest sales are compared with what the release in force believes of them."
    return Chapter("drift", "Drift", "Did the world change?", lead, blocks)


def _strength(release: Release) -> _Bar:
    scale, reach = release.believed.scale, Z95 * release.believed.scale_se
    tone = "bad" if release.kind == "alarm" else "main"
    name = f"release {release.version}, day {release.day}"
    return _Bar(name, scale, scale - reach, scale + reach, tone)


def _worded(loop: Loop) -> Chapter:
    """How often each wording was clicked, and how much better the learnt mixture did than an even one."""
    found, last = against(loop.told), loop.told[-1]
    rows, cells = [], []
    for at, (name, (shown, clicked)) in enumerate(tally(loop.told, loop.wordings).items()):
        rate = clicked / max(shown, 1)
        reach = Z95 * float(np.sqrt(rate * (1 - rate) / max(shown, 1)))
        rows.append(_Bar(name, rate, rate - reach, rate + reach)._asdict())
        cells.append([name, count(shown), share(rate), share(last.share_V[at]), share(last.true_V[at])])
    lead = (
        f"Four verified wordings of every offer competed. {share(found['chosen'])} of the messages were clicked; drawn "
        f"evenly it had been {share(found['even'])}, with the best wording for all from day one {share(found['best'])}."
    )
    spec = {"kind": "forest", "x": {"name": "clicked", "fmt": "share"}, "rows": rows}
    grid = Grid(["wording", "sent", "clicked", "chance on the last day", "in truth"], cells, frozenset({1, 2, 3, 4}))
    finding = "Thompson sampling sends most messages in the wording that is clicked most; chances are logged."
    figure = Figure("words", "Clicks by wording", finding, spec, grid, evidence="simulated", wide=True)
    return Chapter("words", "Words", "Which words work?", lead, [figure])


def _trust(loop: Loop) -> Chapter:
    days = [d for d in loop.days if d.version > 0]
    blocks: list[Figure | Block] = [*([_calibration(days)] if days else []), _weights(loop)]
    lead = "Chances are logged, so that other policies can be valued from the same days."
    return Chapter("trust", "Trust", "Can the numbers be trusted?", lead, blocks)


def _calibration(days: Sequence[Day]) -> Figure:
    """Predicted gain of what was given against the gain over the holdout, by fifths of the prediction."""
    predicted = np.concatenate([_given(d) for d in days])
    realised = np.concatenate([d.reward_N[~d.held_N] - d.base_N for d in days])
    held = np.concatenate([d.reward_N[d.held_N] - d.held_base_N for d in days])
    got = predicted > 0
    fifth = np.searchsorted(np.quantile(predicted[got], [0.2, 0.4, 0.6, 0.8]), predicted, side="right")
    rows, cells = [], []
    for k in range(5):
        mine = got & (fifth == k)
        if mine.sum() < LEAST:
            continue
        gain = float(realised[mine].mean() - held.mean())
        reach = Z95 * float(np.sqrt(realised[mine].var(ddof=1) / mine.sum() + held.var(ddof=1) / held.size))
        said = _cash(predicted[mine].mean())
        rows.append(_Bar(f"predicted {said}", gain, gain - reach, gain + reach)._asdict())
        cells.append([said, _cash(gain), ends(gain - reach, gain + reach, _cash), count(int(mine.sum()))])
    spec = {"kind": "forest", "x": {"name": "realised over the holdout", "fmt": "money"}, "rows": rows}
    grid = Grid(["predicted", "realised", "95 % interval", "decisions"], cells, frozenset(range(4)))
    finding = "Offers that were expected to add more are compared with what they added, fifth by fifth."
    title = "Predicted and realised gain"
    return Figure("trust", title, finding, spec, grid, evidence="simulated", wide=True)


def _weights(loop: Loop) -> Block:
    weights = np.concatenate([1 / d.logged_N for d in loop.days])
    edges = [1.0, 1.5, 2.0, 5.0, 10.0, 20.0, 50.0, np.inf]
    names = [f"{a:g} to {b:g}" if np.isfinite(b) else f"over {a:g}" for a, b in pairwise(edges)]
    counts = np.histogram(weights, edges)[0].tolist()
    cells = [[name, count(c), share(c / weights.size)] for name, c in zip(names, counts, strict=True)]
    effective = weights.sum() ** 2 / (weights**2).sum()
    text = f"1 / logged chance of what was decided; the largest is {number(weights.max())}."
    text += f" All together weigh as much as {count(effective)} even decisions."
    grid = Grid(["weight", "decisions", "share"], cells, frozenset({1, 2}))
    return Block("grid", {"grid": grid, "text": text}, "Weights", "simulated")


def _given(day: Day) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The believed gain of what each customer got, 0 for no offer."""
    padded = np.hstack([day.gain_NK, np.zeros((len(day.gain_NK), 1))])
    gains: np.ndarray[Any, np.dtype[np.float64]] = padded[np.arange(len(padded)), day.action_N]
    return gains


def _next(loop: Loop, found: LoopNumbers) -> Chapter:
    last, got = found.releases[-1], found.releases[-1].got
    gain = f"{_cash(got.holdout_gain_per_decision)} per decision over the holdout"
    span = f"({ends(got.holdout_low, got.holdout_high, _cash)}, 95 %)"
    keep = f"Keep release {last.version}: it adds {gain} {span}."
    watch = f"Watch release {last.version}: what it adds, {gain} {span}, is not yet told from nothing."
    rows = [
        keep if got.holdout_low > 0 else watch,
        f"Go on leaving {share(loop.settings.floor)} to chance: it is what the next release will be judged by.",
    ]
    if found.alarms:
        rows.append("Ask why customers answer discounts otherwise than before: a competitor, a season, a new range.")
    steps = Block("sentences", {"rows": rows}, "Next steps")
    return Chapter("next", "Next", "What to do next", "From this page alone.", [steps])
