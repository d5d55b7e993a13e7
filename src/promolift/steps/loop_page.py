"""A closed loop in; its page (earned beside the best possible, releases, drift, calibration) and its numbers out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from promolift.learn.metrics import Z95
from promolift.report.blocks import Big, Block, Chapter, Figure, Grid, Page, note
from promolift.report.chapters.summary import span_of
from promolift.report.words import count, ends, money, number, share
from promolift.steps.loop import LAG, Day, Loop, Release, over_holdout
from promolift.steps.loop_words import against, tally

CURRENCY, LABEL = "CNY", "simulated: a made-up shop whose truth is known"
LEAST = 30  # decisions in a fifth, below which its mean is not drawn


def day_table(loop: Loop) -> pl.DataFrame:
    """One row per day: what the shop saw and, in the columns named `true_`, what it could not."""
    return pl.DataFrame(
        [
            {
                "day": d.day,
                "version": d.version,
                "decisions": len(d.action_N),
                "held_out": int(d.held_N.sum()),
                "offers": int((d.action_N < d.gain_NK.shape[1]).sum()),
                "budget_cents": d.budget,
                "discount_cents": d.discount,
                "true_gain_cents": d.true_gain,
                "true_best_cents": d.best_gain,
                "true_spend_cents": d.true_spend,
            }
            for d in loop.days
        ]
    )


def stretch(days: Sequence[Day]) -> dict[str, float | int | None]:
    """A stretch of days, per decision: what was added, what could have been, and what the holdout says of it."""
    decisions = sum(len(d.action_N) for d in days)
    gain, error = over_holdout(days)
    best = sum(d.best_gain for d in days)
    true = sum(d.true_gain for d in days)
    return {
        "first_day": days[0].day,
        "last_day": days[-1].day,
        "decisions": decisions,
        "true_gain_per_decision": true / decisions,
        "best_gain_per_decision": best / decisions,
        "share_of_best": true / best if best > 0 else None,
        "holdout_gain_per_decision": gain,
        "holdout_low": gain - Z95 * error,
        "holdout_high": gain + Z95 * error,
    }


def numbers(loop: Loop) -> dict[str, Any]:
    """The run as JSON: whole, per release in force, proposals refused, alarms; and `text` for a terminal."""
    releases = [
        {"version": r.version, "day": r.day, "kind": r.kind, **_proposed(r), **stretch(_of(loop, r))}
        for r in loop.releases
        if _of(loop, r)
    ]
    whole = stretch(loop.days)
    shown = [
        f"  day {r['first_day']:>2} to {r['last_day']:>2}  release {r['version']} ({r['kind']}): "
        f"{money(r['true_gain_per_decision'], CURRENCY)} per decision, {share(r['share_of_best'])} of the best possible"
        for r in releases
    ]
    alarms = [
        {"day": day, "scale": scale, "se": error, "action": "new release from the days since; more left to chance"}
        for day, scale, error in loop.alarms
    ]
    text = "\n".join(["Simulated shop: every number is made up by a known truth.", *shown])
    refused = [{"day": r.day, "why": r.proposal.why} for r in loop.refused if r.proposal]
    return {
        "simulated": True,
        "whole": whole,
        "releases": releases,
        "refused": refused,
        "alarms": alarms,
        "words": against(loop.told),
        "text": text,
    }


def _of(loop: Loop, release: Release) -> list[Day]:
    return [d for d in loop.days if d.version == release.version]


def _proposed(release: Release) -> dict[str, Any]:
    if release.proposal is None:
        return {}
    low, high = release.proposal.value.interval
    return {
        "expected_per_decision": release.proposal.value.value,
        "expected_low": low,
        "expected_high": high,
        "lead": release.proposal.lead.value,
        "changes": list(release.proposal.changes),
        "rule": release.proposal.why,
        "rollback": release.proposal.rollback,
    }


def page_of(loop: Loop) -> Page:
    """The page; every figure carries the badge `simulated`."""
    whole, settings = numbers(loop), loop.settings
    total = sum(d.true_gain for d in loop.days)
    decisions = int(whole["whole"]["decisions"])
    low, high = (whole["whole"][f"holdout_{end}"] * decisions for end in ("low", "high"))
    seen = whole["whole"]["holdout_gain_per_decision"] * decisions
    settled = [r for r in whole["releases"] if r["kind"] != "exploration"]
    first = settled[0] if settled else None
    held = sum(int(d.held_N.sum()) for d in loop.days)
    bigs = [
        Big("In truth", _cash(total), "What the decisions added: only a simulation can tell.", "simulated"),
        Big("Decisions", count(decisions), f"{count(held)} more were held out to measure by."),
        Big("Releases", count(len(loop.releases) - 1), f"The guardrails refused {count(len(loop.refused))} proposals."),
    ]
    if first:
        text = f"Days {first['first_day']} to {first['last_day']}, compared with full knowledge at equal spend."
        bigs.insert(0, Big("First learned policy", share(first["share_of_best"]), text, "simulated"))
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
            _earned(loop), _released(whole), _drift(loop, whole), _worded(loop), _trust(loop), _next(loop, whole),
        ],
        currency=CURRENCY,
    )  # fmt: skip


def _earned(loop: Loop) -> Chapter:
    weeks = [loop.days[at : at + 7] for at in range(0, len(loop.days) - 6, 7)]
    rows = [stretch(week) for week in weeks]

    def line(name: str, tone: str, key: str) -> dict[str, Any]:
        return {
            "name": name,
            "tone": tone,
            "points": [[r["last_day"], r[key], None, None, r["decisions"]] for r in rows],
        }

    spec = {
        "kind": "lines",
        "x": {"name": "day", "fmt": "count", "min": 0},
        "y": {"name": "added per decision, in truth", "fmt": "money"},
        "series": [
            line("best possible", "blue", "best_gain_per_decision"),
            line("what was decided", "orange", "true_gain_per_decision"),
        ],
    }
    cells = [
        [
            f"{r['first_day']} to {r['last_day']}", count(r["decisions"]), money(r["true_gain_per_decision"], CURRENCY),
            money(r["best_gain_per_decision"], CURRENCY), share(r["share_of_best"]),
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


def _released(whole: dict[str, Any]) -> Chapter:
    rows = [_release_row(r) for r in whole["releases"]]
    grid = Grid(
        ["release", "kind", "days", "expected before", "95 % interval", "in truth", "of the best", "what changed"],
        rows, frozenset({3, 4, 5, 6}),
    )  # fmt: skip
    told = [r for r in whole["releases"] if "expected_low" in r]
    hit = sum(r["expected_low"] <= r["true_gain_per_decision"] <= r["expected_high"] for r in told)
    text = (
        f"Before a release the logs say what it will add per decision; {hit} of {len(told)} intervals held the truth."
    )
    blocks: list[Figure | Block] = [Block("grid", {"grid": grid, "text": text}, "Releases", "simulated")]
    if told:
        blocks.append(
            note(f"Rule of the guardrails, last release: {told[-1]['rule']}. Rollback: {told[-1]['rollback']}.")
        )
    if whole["refused"]:
        refusals = [f"day {r['day']}: {r['why']}" for r in whole["refused"]]
        blocks.append(Block("sentences", {"rows": refusals}, "Proposals refused"))
    lead = "A new policy is proposed with what changed, what it is expected to add, and when it is taken back."
    return Chapter("releases", "Releases", "Which policies were released, and why?", lead, blocks)


def _release_row(r: dict[str, Any]) -> list[str]:
    told = "expected_per_decision" in r
    return [
        str(r["version"]),
        r["kind"],
        f"{r['first_day']} to {r['last_day']}",
        _cash(r["expected_per_decision"]) if told else "",
        ends(r["expected_low"], r["expected_high"], _cash) if told else "",
        _cash(r["true_gain_per_decision"]),
        share(r["share_of_best"]),
        "; ".join(r["changes"]) if told else "part even draws, the rest as the history suggests",
    ]


def _drift(loop: Loop, whole: dict[str, Any]) -> Chapter:
    rows = [_strength(r) for r in loop.releases if r.proposal]
    settings = loop.settings
    changed = (
        f"In truth everybody's answer was multiplied by {number(settings.drift)} on day {settings.drift_day}."
        if settings.drift_day is not None and settings.drift_day < settings.days
        else "In truth nothing changed."
    )
    if whole["alarms"]:
        first = whole["alarms"][0]
        finding = f"{changed} The alarm rang on day {first['day']}: a week is known after {LAG} days."
    else:
        finding = f"{changed} No alarm rang."
    blocks: list[Figure | Block] = []
    if rows:
        spec = {"kind": "forest", "x": {"name": "strength of the answer, history = 1", "fmt": "fixed"}, "rows": rows}
        cells = [[str(r["name"]), number(r["value"]), ends(r["low"], r["high"], number)] for r in rows]
        grid = Grid(["release", "strength", "95 % interval"], cells, frozenset({1, 2}))
        how = f"Alarm: the last days differ from the release by more than {number(settings.alarm)} standard errors."
        blocks.append(
            Figure("drift", "How strongly customers answer", finding, spec, grid, how, evidence="simulated", wide=True)
        )
    else:
        blocks.append(note(finding))
    lead = "Every day the latest sales are compared with what the release in force believes of them."
    return Chapter("drift", "Drift", "Did the world change?", lead, blocks)


def _strength(release: Release) -> dict[str, Any]:
    scale, reach = release.believed.scale, Z95 * release.believed.scale_se
    tone = "bad" if release.kind == "alarm" else "main"
    name = f"release {release.version}, day {release.day}"
    return {"name": name, "value": scale, "low": scale - reach, "high": scale + reach, "tone": tone}


def _worded(loop: Loop) -> Chapter:
    """How often each wording was clicked, and how much better the learnt mixture did than an even one."""
    found, last = against(loop.told), loop.told[-1]
    rows, cells = [], []
    for at, (name, (shown, clicked)) in enumerate(tally(loop.told, loop.wordings).items()):
        rate = clicked / max(shown, 1)
        reach = Z95 * float(np.sqrt(rate * (1 - rate) / max(shown, 1)))
        bar = {"name": name, "value": rate, "low": rate - reach, "high": rate + reach, "tone": "main"}
        rows.append(bar)
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
        rows.append(
            {"name": f"predicted {said}", "value": gain, "low": gain - reach, "high": gain + reach, "tone": "main"}
        )
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


def _next(loop: Loop, whole: dict[str, Any]) -> Chapter:
    last = whole["releases"][-1]
    gain = f"{_cash(last['holdout_gain_per_decision'])} per decision over the holdout"
    span = f"({ends(last['holdout_low'], last['holdout_high'], _cash)}, 95 %)"
    keep = f"Keep release {last['version']}: it adds {gain} {span}."
    watch = f"Watch release {last['version']}: what it adds, {gain} {span}, is not yet told from nothing."
    rows = [
        keep if last["holdout_low"] > 0 else watch,
        f"Go on leaving {share(loop.settings.floor)} to chance: it is what the next release will be judged by.",
    ]
    if whole["alarms"]:
        rows.append("Ask why customers answer discounts otherwise than before: a competitor, a season, a new range.")
    steps = Block("sentences", {"rows": rows}, "Next steps")
    return Chapter("next", "Next", "What to do next", "From this page alone.", [steps])
