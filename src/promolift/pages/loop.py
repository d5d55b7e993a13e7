"""The numbers of a closed loop in; its page out: earned beside the best possible, releases, drift, calibration."""

from promolift.pages.blocks import Big, Block, Chapter, Figure, Grid, Page, gap, note, sentences
from promolift.pages.figures import (
    Axis,
    Line,
    Mark,
    calibration,
    cumulated,
    forest,
    headline,
    lines,
    next_steps,
    weights_table,
)
from promolift.results.learned import Ranged
from promolift.results.loop import CURRENCY, InForce, LoopNumbers
from promolift.words import INTERVAL, Cash, count, ends, number, share

LABEL = "simulated: a made-up shop whose truth is known"
CASH = Cash(CURRENCY)
DAY = Axis("day", "count")


def page_of(found: LoopNumbers) -> Page:
    """The page; every figure carries the badge `simulated`."""
    total, settings = found.total, found.settings
    truth = "What the decisions added: only a simulation can tell."
    bigs = [
        Big("In truth", CASH(total.true_gain_cents), truth, "simulated"),
        Big("Decisions", count(total.decisions), f"{count(found.held_out)} more were held out to measure by."),
        Big("Releases", count(found.released), f"The guardrails refused {count(found.n_refused)} proposals."),
    ]
    if first := next((each.got for each in found.releases if each.kind != "exploration"), None):
        text = f"Days {first.first_day} to {first.last_day}, compared with full knowledge at equal spend."
        bigs.insert(0, Big("First learned policy", share(first.share_of_best), text, "simulated"))
    text = "What customers who could get an offer earned the shop beyond those held back."
    gain = Ranged(total.gain_cents, total.low_cents, total.high_cents)
    return Page(
        name="A simulated shop",
        eyebrow="The closed loop",
        facts={
            "Data": LABEL,
            "Days": count(settings.days),
            "Customers": count(settings.customers),
            "Seed": str(settings.seed),
        },
        head=headline("Added over the holdout", gain, text, "simulated", CASH),
        bigs=bigs,
        chapters=[
            *(tell(found) for tell in (_earned, _released, _drift, _worded, _trust)), next_steps(_todo(found)),
        ],
        currency=CURRENCY,
    )  # fmt: skip


def _earned(found: LoopNumbers) -> Chapter:
    best = [(r.last_day, r.best_gain_per_decision, None, None, r.decisions) for r in found.weeks]
    true = [(r.last_day, r.true_gain_per_decision, None, None, r.decisions) for r in found.weeks]
    cells = [
        [
            f"{r.first_day} to {r.last_day}", count(r.decisions), CASH(r.true_gain_per_decision),
            CASH(r.best_gain_per_decision), share(r.share_of_best),
        ]
        for r in found.weeks
    ]  # fmt: skip
    missed = CASH(found.regret_cents)
    per_week = lines(
        "earned", "Added per decision",
        f"Over the {count(found.settings.days)} days {missed} was missed: the regret against full knowledge.",
        DAY, Axis("added per decision, in truth", "money"),
        [Line("best possible", "blue", best), Line("what was decided", "orange", true)],
        Grid(["days", "decisions", "added", "best possible", "share"], cells),
        how="Best possible: the most that any plan with full knowledge could add at the same true spend each day.",
        evidence="simulated", wide=True,
    )  # fmt: skip
    held = found.looks_held
    by_holdout = [(k.day, k.gain_cents, k.low_cents, k.high_cents, k.decisions) for k in found.looks]
    in_truth = [(k.day, k.true_gain_cents) for k in found.looks]
    so_far = cumulated(
        "cumulated", "margin",
        f"The interval holds the truth at {count(held.inside)} of {count(held.intervals)} looks.",
        DAY, Axis("added since day 0", "money"),
        [Line("by the holdout", "ink", by_holdout), Line("in truth", "orange", in_truth)],
        CASH, how="The shop sees the line by the holdout, with its band; the truth is only known here.",
        evidence="simulated",
    )  # fmt: skip
    lead = "It starts knowing only a year of receipts, decides much at random to learn, and then less and less."
    return Chapter("earned", "Earned", "What did the loop earn?", lead, [per_week, so_far])


def _released(found: LoopNumbers) -> Chapter:
    heads = ["release", "kind", "days", "expected before", INTERVAL, "in truth", "of the best", "what changed"]
    grid = Grid(heads, [_release_row(each) for each in found.releases], (0, 1, 2, 7))
    held = found.promises_held
    text = "Before a release the logs say what it will add per decision; "
    text += f"{count(held.inside)} of {count(held.intervals)} intervals held the truth."
    blocks: list[Figure | Block] = [Block("grid", {"grid": grid, "text": text}, "Releases", "simulated")]
    promised = [each.promised for each in found.releases if each.promised]
    if promised:
        last = promised[-1]
        blocks.append(note(f"Rule of the guardrails, last release: {last.rule}. Rollback: {last.rollback}."))
    if found.refused:
        blocks.append(sentences("Proposals refused", [f"day {each.day}: {each.why}" for each in found.refused]))
    lead = "A new policy is proposed with what changed, what it is expected to add, and when it is taken back."
    return Chapter("releases", "Releases", "Which policies were released, and why?", lead, blocks)


def _release_row(each: InForce) -> list[str]:
    got, promised = each.got, each.promised
    return [
        str(each.version),
        each.kind,
        f"{got.first_day} to {got.last_day}",
        CASH(promised.expected_per_decision) if promised else "",
        ends(promised.expected_low, promised.expected_high, CASH) if promised else "",
        CASH(got.true_gain_per_decision),
        share(got.share_of_best),
        "; ".join(promised.changes) if promised else "part even draws, the rest as the history suggests",
    ]


def _drift(found: LoopNumbers) -> Chapter:
    settings = found.settings
    changed, rang = "In truth nothing changed.", "No alarm rang."
    if settings.drift_day is not None and settings.drift_day < settings.days:
        changed = f"In truth everybody's answer was multiplied by {number(settings.drift)} on day {settings.drift_day}."
    if found.alarms:
        known = f"a week is known after {count(found.known_after_days)} days"
        rang = f"The alarm rang on day {found.alarms[0].day}: {known}."
    finding = f"{changed} {rang}"
    marks = [
        Mark(f"release {s.version}, day {s.day}", s.value, s.low, s.high, tone="bad" if s.kind == "alarm" else "main")
        for s in found.strengths
    ]
    figure = forest(
        "drift", "How strongly customers answer", finding, Axis("strength of the answer, history = 1", "fixed"),
        ("release", "strength"), marks, number,
        how=f"Alarm: the last days differ from the release by more than {number(settings.alarm)} standard errors.",
        evidence="simulated", wide=True,
    )  # fmt: skip
    lead = "Every day the latest sales are compared with what the release in force believes of them."
    return Chapter("drift", "Drift", "Did the world change?", lead, [figure if marks else note(finding)])


def _worded(found: LoopNumbers) -> Chapter:
    """How often each wording was clicked, and how much better the learnt mixture did than an even one."""
    words = found.words
    marks = [
        Mark(w.name, w.rate, w.low, w.high, (count(w.sent), share(w.last_chance), share(w.true_rate)))
        for w in found.wordings
    ]
    figure = forest(
        "words", "Clicks by wording",
        "Thompson sampling sends most messages in the wording that is clicked most; propensities are logged.",
        Axis("clicked", "share"), ("wording", "clicked", "sent", "share on the last day", "in truth"), marks, share,
        evidence="simulated", wide=True,
    )  # fmt: skip
    lead = (
        "Four texts of the pool competed for every offer. "
        f"{share(words['chosen'])} of the messages were clicked; drawn "
        f"evenly it had been {share(words['even'])}, with the best wording for all from day one {share(words['best'])}."
    )
    return Chapter("words", "Words", "Which words work?", lead, [figure])


def _trust(found: LoopNumbers) -> Chapter:
    right: Figure | Block = gap("whether predictions were right", "too few offers by a learned release so far")
    if found.quintiles:
        right = calibration(
            "trust", "Predicted and realised gain",
            "Offers that were expected to add more are compared with what they added, quintile by quintile.",
            [(q.predicted, q.realised, q.low, q.high, q.n) for q in found.quintiles], CASH, "decisions",
            Axis("realised over the holdout", "money"), evidence="simulated", wide=True,
        )  # fmt: skip
    lead = "Propensities are logged, so that other policies can be valued from the same days."
    blocks = [right, weights_table(found.weights, "simulated")]
    return Chapter("trust", "Trust", "Can the numbers be trusted?", lead, blocks)


def _todo(found: LoopNumbers) -> list[str]:
    last, got = found.releases[-1], found.releases[-1].got
    gain = f"{CASH(got.holdout_gain_per_decision)} per decision over the holdout"
    span = f"({ends(got.holdout_low, got.holdout_high, CASH)}, 95 %)"
    keep = f"Keep release {last.version}: it adds {gain} {span}."
    watch = f"Watch release {last.version}: what it adds, {gain} {span}, is not yet told from nothing."
    rows = [
        keep if got.holdout_low > 0 else watch,
        f"Go on deciding {share(found.settings.floor)} at random: it is what the next release will be judged by.",
    ]
    if found.alarms:
        rows.append("Ask why customers answer discounts otherwise than before: a competitor, a season, a new range.")
    return rows
