"""A judged policy and its successor in; the page of `promolift learn` out, from the verdict to what to do next."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from promolift.learn.experiment import WHOLE, Verdict
from promolift.learning.judge import Judged
from promolift.learning.next import Next
from promolift.pages.blocks import Badge, Big, Block, Chapter, Figure, Grid, Page, Tone, forest, gap, note, table
from promolift.pages.chapters.summary import span_of
from promolift.words import count, date, days, ends, money, number, share, upper_first

ANSWERS: dict[str, tuple[Tone, str]] = {
    "higher": ("good", "The offers earned more than they cost: customers who could get one are worth more."),
    "lower": ("bad", "The offers lost money: customers who could get one are worth less."),
    "not shown": ("warn", "Chance alone could make this difference; that does not mean that there is no effect."),
    "cannot say": ("warn", "Nothing can be said yet."),
}


@dataclass(frozen=True, eq=False)
class Told:
    """All that the page tells. `released`: `auto` was asked for and the guardrails accepted."""

    judged: Judged
    next: Next
    currency: str | None
    shop: str | None
    auto: bool
    released: bool

    def cash(self, cents: object) -> str:
        """Money in words."""
        return money(cents, self.currency)

    @property
    def verdict(self) -> Verdict:
        """The comparison that counts."""
        return self.judged.verdict

    @property
    def badge(self) -> Badge:
        """Evidence level of what was measured over the holdout."""
        return self.verdict.evidence  # type: ignore[return-value]


def page_of(told: Told) -> Page:
    """The page, one chapter per question."""
    verdict, evidence = told.verdict, told.judged.evidence
    total = told.cash(verdict.total) if verdict.total is not None else "not known"
    text = f"{upper_first(evidence.measure)} in {days(evidence.settings.window_days)} over customers held back."
    span = span_of(verdict.total, verdict.total_low, verdict.total_high, told.currency) if verdict.total else None
    return Page(
        name=told.shop or evidence.release.campaign_id,
        eyebrow="What was decided and what happened",
        facts=[
            ("Campaign", evidence.release.campaign_id),
            ("Policy", f"{told.judged.arm}, version {evidence.release.policy_version}"),
            ("Events until", date(evidence.last_ms, None)),
            ("Measured by", evidence.measure),
        ],
        head=Big("Added by the offers", total, text, told.badge),
        span=span,
        span_name="95 % interval, may be read any day",
        bigs=_bigs(told),
        chapters=[chapter(told) for chapter in (_verdict, _days, _calibration, _trust, _drift, _next, _todo)],
        currency=told.currency,
    )  # fmt: skip


def _bigs(told: Told) -> list[Big]:
    verdict = told.verdict
    gain = told.cash(verdict.lift.lift) if verdict.lift else "not known"
    sizes = f"{count(verdict.n_arm)} could get an offer, {count(verdict.n_control)} were held back."
    return [
        Big("Per customer", gain, f"Predicted was {told.cash(told.judged.predicted)}.", told.badge),
        Big("Answer", verdict.answer, ANSWERS[verdict.answer][1]),
        *_discount(told),
        Big("Customers", count(told.judged.compared), sizes),
    ]


def _discount(told: Told) -> list[Big]:
    found = told.judged.discount
    if found is None:
        return []
    span = ends(found.low, found.high, told.cash)
    text = f"Coupon discounts per customer beyond the holdout's ({span}), already taken off."
    return [Big("Discounts", told.cash(found.value), text, told.badge)]


def _verdict(told: Told) -> Chapter:
    verdict, judged = told.verdict, told.judged
    tone, said = ANSWERS[verdict.answer]
    blocks: list[Figure | Block] = [note(f"{said} Rule: {verdict.rule}. {upper_first(verdict.why)}.", tone)]
    blocks.append(note(f"{judged.main.ratio.rule}.", "plain" if judged.main.ratio.ok else "bad"))
    mine = [v for v in (*judged.main.verdicts, *judged.orders.verdicts) if v.segment == WHOLE]
    blocks.append(_compared(told, "Against the holdout", mine, lambda v: f"{v.metric}, {v.arm}"))
    segments = [v for v in judged.main.verdicts if v.segment != WHOLE and v.arm == judged.arm]
    drawn = [v for v in segments if v.lift is not None]
    if drawn:
        axis = (f"{judged.evidence.measure} added per customer", "money")
        marks = [(v.segment, v.lift.lift if v.lift else None, v.low, v.high, "main") for v in drawn]
        finding = "Customers by what they were worth before. " + _settled(drawn)
        grid = _grid(told, segments, lambda v: v.segment)
        how = drawn[0].rule
        blocks.append(
            forest("segments", "By customer", finding, axis, marks, grid=grid, how=how, evidence=told.badge, wide=True)
        )
    why = judged.evidence.why
    lead = f"The same customers, drawn by lot before anything was sent. {upper_first(judged.evidence.measure)}: {why}."
    return Chapter("verdict", "Verdict", "Did the offers earn their cost?", lead, blocks)


def _settled(verdicts: list[Verdict]) -> str:
    """Which segments are settled, many looks counted in."""
    sure = [v.segment for v in verdicts if v.answer in ("higher", "lower")]
    return f"Settled with all looks counted: {'; '.join(sure)}." if sure else "None is settled with all looks counted."


def _compared(told: Told, title: str, verdicts: list[Verdict], name: Any) -> Block:
    text = "Interval: for each comparison alone, may be read any day. Answer: with all comparisons counted."
    return Block("grid", {"grid": _grid(told, verdicts, name), "text": text}, title, told.badge)


def _grid(told: Told, verdicts: list[Verdict], name: Any) -> Grid:
    rows = []
    for v in verdicts:
        say = told.cash if v.unit else number
        rows.append(
            [
                name(v), count(v.n_arm), count(v.n_control), say(v.lift.control) if v.lift else "",
                say(v.lift.lift) if v.lift else "", ends(v.low, v.high, say) if v.lift else v.why,
                number(v.p_adjusted) if v.p_adjusted is not None else "", v.answer,
            ]
        )  # fmt: skip
    heads = ["what", "customers", "held back", "without", "added", "95 % interval", "p, all looked at", "answer"]
    return Grid(heads, rows, frozenset(range(1, 7)))


def _days(told: Told) -> Chapter:
    looks, measure = told.judged.looks, told.judged.evidence.measure
    title, lead = "How did it grow?", "Every customer's days are counted from his own decision."
    if not looks:
        return Chapter("days", "Day by day", title, lead, [gap("how it grew", "nothing could be compared")])
    points = [[look.days, look.total, look.low, look.high, None] for look in looks]
    spec = {
        "kind": "lines",
        "x": {"name": "days since the decision", "fmt": "fixed", "min": 0},
        "y": {"name": f"{measure} added", "fmt": "money"},
        "series": [{"name": "over the holdout", "tone": "ink", "points": points}],
        "band": True,
    }
    cells = [[number(k.days), told.cash(k.total), ends(k.low, k.high, told.cash)] for k in looks]
    grid = Grid(["days", "added", "95 % interval"], cells, frozenset(range(3)))
    last = looks[-1]
    finding = f"After {days(last.days)} {told.cash(last.total)} was added"
    finding += f" ({ends(last.low, last.high, told.cash)})."
    how = "The band holds on all days together: it may be looked at every day."
    name = f"Cumulative incremental {measure}"
    figure = Figure("days", name, finding, spec, grid, how, count(told.verdict.n_arm), told.badge, wide=True)
    return Chapter("days", "Day by day", title, lead, [figure])


def _calibration(told: Told) -> Chapter:
    title, lead = "Was the prediction right?", "The predicted gain stands in each decision; the holdout says what came."
    if told.judged.evidence.measure != "margin":
        why = "gains were predicted in margin, and only revenue could be measured"
        return Chapter("calibration", "Calibration", title, lead, [gap("whether predictions were right", why)])
    if not told.judged.quintiles:
        why = "too few customers with a predicted gain in each arm"
        return Chapter("calibration", "Calibration", title, lead, [gap("whether predictions were right", why)])
    marks, cells = [], []
    for each in told.judged.quintiles:
        marks.append((f"predicted {told.cash(each.predicted)}", each.realised, each.low, each.high, "main"))
        span = ends(each.low, each.high, told.cash)
        cells.append([told.cash(each.predicted), told.cash(each.realised), span, count(each.n)])
    grid = Grid(["predicted", "realised", "95 % interval", "customers"], cells, frozenset(range(4)))
    held = told.judged.calibration
    finding = f"{count(held.inside)} of {count(held.intervals)} intervals hold what was predicted."
    how = (
        "Customers by fifths of the predicted gain; each fifth is compared with those held back out of the same fifth."
    )
    axis = ("realised over the holdout", "money")
    name = "Predicted and realised gain per customer"
    blocks: list[Figure | Block] = [
        forest("calibration", name, finding, axis, marks, grid=grid, how=how, evidence=told.badge, wide=True)
    ]
    learned = told.next.recalibration
    if learned.measured is not None:
        text = f"Realised / predicted over all: {number(learned.measured)} ± {number(learned.measured_se)} (s.e.); "
        text += f"with the expectation of 1 ± {number(told.judged.evidence.settings.prior_sd)} it becomes "
        text += f"{number(learned.whole.ratio)} ({ends(learned.whole.low, learned.whole.high, number)})."
        blocks.append(note(text))
    return Chapter("calibration", "Calibration", title, lead, blocks)


def _trust(told: Told) -> Chapter:
    judged, joined = told.judged, told.judged.evidence.joined
    weights = judged.weights
    cells = [[str(each), count(each.n), share(each.share)] for each in weights.classes if each.n]
    text = f"1 / logged chance of what was decided; the largest is {number(weights.largest)}. All together weigh as "
    text += f"much as {count(weights.effective)} even decisions."
    chance = judged.evidence.release.explore
    explored = (
        f"{share(chance)} of the draws were left to chance, so every open offer had a known chance: policies that were "
        "not in force can be valued."
        if chance
        else "No exploration was logged: offers that were not the best had no chance, so nothing can be said of them."
    )
    rows = [[name, count(n)] for name, n in joined.outcome_counts.items() if n]
    rows_d = [[name, count(n)] for name, n in joined.decision_counts.items() if n]
    late = "A refund counts in the window of its order; a row that arrived late still counts in its window."
    blocks: list[Figure | Block] = [
        table("Weights", ["weight", "decisions", "share"], cells, text),
        note(explored, "plain" if chance else "warn"),
        table("Where every event went", ["event", "rows"], rows, late),
        table("Where every decision went", ["decision", "rows"], rows_d),
    ]
    if joined.changed_arm:
        blocks.append(
            note(f"{count(joined.changed_arm)} decisions changed the arm of a customer: he stays in the first.")
        )
    lead = "Chances are logged with every decision, and every row is accounted for."
    return Chapter("trust", "Trust", "Can the numbers be trusted?", lead, blocks)


def _drift(told: Told) -> Chapter:
    rows = [
        [each.kind, each.what, number(each.size), number(each.p_adjusted),
         {True: "drifted", False: "no drift shown", None: "cannot say"}[each.drifted], each.action]
        for each in told.judged.drifts
    ]  # fmt: skip
    blocks: list[Figure | Block] = [gap(what, why) for what, why in told.judged.unseen_drifts]
    if rows:
        rules = list(dict.fromkeys(f"{each.kind}: {each.rule}" for each in told.judged.drifts))
        heads = ["kind", "what", "size", "p", "finding", "action"]
        blocks.insert(0, table("Looked at", heads, rows, "; ".join(rules) + ".", words=(1, 4, 5)))
    lead = "Customers, predictions and effects are compared with what they were; size and test must both speak."
    return Chapter("drift", "Drift", "Has the world changed?", lead, blocks)


def _next(told: Told) -> Chapter:
    following = told.next
    blocks: list[Figure | Block] = [Block("sentences", {"rows": list(following.changes)}, "What would change")]
    proposal = following.proposal
    if proposal is None:
        blocks.append(gap("what the next release would earn", following.why))
    else:
        marks = [
            ("over no offers", proposal.value.value, *proposal.value.interval, "main"),
            ("over the policy in force", proposal.lead.value, *proposal.lead.interval, "bad"),
        ]
        cells = [[str(m[0]), told.cash(m[1]), ends(m[2], m[3], told.cash)] for m in marks]
        finding = f"It is expected to add {told.cash(proposal.value.value)} per customer and window over no offers."
        how = "Doubly robust, from the logged chances; each half of the customers decided by what the other taught. "
        how += f"Worth {count(proposal.value.effective)} even decisions."
        grid = Grid(["compared", "adds per customer", "95 % interval"], cells, frozenset({1, 2}))
        axis = (f"{told.judged.evidence.measure} per customer", "money")
        name = "Expected gain of the next release"
        blocks.append(forest("next", name, finding, axis, marks, grid=grid, how=how, evidence=told.badge, wide=True))
        blocks.append(note(f"Rollback: {proposal.rollback}."))
    state = "Accepted by the guardrails" if following.accepted else "Not accepted by the guardrails"
    blocks.append(note(f"{state}: {following.why}. {_fate(told)}", "good" if following.accepted else "warn"))
    shown = sorted(following.recalibration.offers.items(), key=lambda item: (-item[1].n, item[0]))[:20]
    if shown:
        rows = [
            [name, number(f.ratio), ends(f.low, f.high, number), count(f.n),
             "closed" if name in following.recalibration.closed else "open"]
            for name, f in shown
        ]  # fmt: skip
        text = (
            "Realised / predicted, shrunk towards all offers together; an offer closes when its lower bound is below 0."
        )
        blocks.append(
            table("Offers", ["offer", "factor", "95 % interval", "customers", "next"], rows, text, words=(4,))
        )
    lead = "Nothing goes live by itself: a person approves, or the stated guardrails do."
    return Chapter("next", "Next release", "What should be released next?", lead, blocks)


DECIDE = "a person decides on proposal.json, by `promolift learn approve` or `promolift learn reject`"


def _fate(told: Told) -> str:
    if told.released:
        return "As asked for with --auto it was written as release.json."
    if told.auto:
        return f"--auto was asked for, but nothing was released; {DECIDE}."
    return f"{upper_first(DECIDE)}."


def _todo(told: Told) -> Chapter:
    steps = Block("sentences", {"rows": todo(told)}, "Next steps")
    return Chapter("todo", "What to do", "What to do next", "From this page alone.", [steps])


def todo(told: Told) -> list[str]:
    """What to do next, in plain words, the most pressing first."""
    judged, verdict, following = told.judged, told.verdict, told.next
    if not judged.main.ratio.ok:
        return ["Stop reading the rest: customers got lost from an arm. Find out where before anything is decided."]
    rows = []
    if verdict.answer == "higher":
        rows.append(f"Keep the offers: they add {told.cash(verdict.lift.lift if verdict.lift else None)} per customer.")
    elif verdict.answer == "lower":
        rows.append("Stop the offers: they cost more than they bring. Plan again with the factors of this page.")
    elif judged.shown is not None:
        rows.append(
            f"Go on measuring: a test of this size shows gains from {told.cash(judged.shown)} per customer on; "
            f"predicted were {told.cash(judged.predicted)}. More customers, more weeks or a larger holdout show less."
        )
    else:
        rows.append(f"Go on measuring: {verdict.why}.")
    if following.proposal is None:
        rows.append(upper_first(following.why) + ".")
    elif told.released:
        rows.append("The next release was accepted; watch it by its rollback rule.")
    else:
        told_why = (
            "The guardrails would accept it" if following.accepted else f"The guardrails refuse it: {following.why}"
        )
        version = following.release.policy_version
        rows.append(f"Look at the proposal for version {version} (`promolift learn show`). {told_why}.")
    open_windows = judged.evidence.joined.outcome_counts.get("open window", 0)
    if open_windows:
        rows.append(f"Come back when the open windows are over: {count(open_windows)} events wait for that.")
    rows += [f"{upper_first(each.kind)}, {each.what}: {each.action}." for each in judged.drifts if each.drifted]
    if judged.evidence.measure != "margin":
        rows.append("Give products a cost, or state value.margin_rate: more revenue can be less profit.")
    rows.append(f"Keep {share(judged.evidence.release.holdout_share)} held back: the next verdict hangs on it.")
    return rows


def summary_text(told: Told) -> str:
    """The verdict and the next steps for a terminal."""
    lines = [f"- {row}" for row in todo(told)]
    say = partial(money, currency=told.currency)
    verdict = told.verdict
    gain = (
        ""
        if verdict.lift is None
        else f" {say(verdict.lift.lift)} per customer ({ends(verdict.low, verdict.high, say)})"
    )
    head = f"{told.judged.evidence.measure} over the holdout: {verdict.answer}.{gain}"
    return "\n".join([head, f"Rule: {verdict.rule}.", *lines])
