"""Build the page of `promolift learn` from the judged policy and its successor, from the verdict to the next steps."""

from collections.abc import Callable, Sequence

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.experiment_design import ALL_CUSTOMERS, Verdict
from promolift.foundation.evidence import Z95, IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext, pgettext_noop
from promolift.foundation.i18n.formatting import (
    INTERVAL,
    MoneyFormat,
    count,
    date,
    days,
    join_sentences,
    low_to_high,
    number,
    percent,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import (
    Badge,
    Block,
    Chapter,
    Figure,
    KeyFigure,
    Page,
    TextTable,
    Tone,
    note,
    sentences,
    table,
    unknown_note,
)
from promolift.foundation.pages.charts import Axis, FormatValue, Line, cumulative_chart, headline, next_steps_chapter
from promolift.shop.reports.earnings import drift, groups, predicted_versus_realised
from promolift.shop.reports.text_values import describe_wanted, texts_chapter
from promolift.shop.results.learned_policy import KINDS, NO_DRAWS, JudgedPolicy, LearnedPolicy
from promolift.shop.results.line_tests import group_name, refusals_per_thousand

VERDICT_TEXTS: dict[str, tuple[Tone, str]] = {
    "higher": ("good", "The offers earned more than they cost: customers who could get one are worth more."),
    "lower": ("bad", "The offers lost money: customers who could get one are worth less."),
    "not shown": ("warn", "Chance alone could make this difference; that does not mean that there is no effect."),
    "cannot say": ("warn", "Nothing can be said yet."),
}
DECISION_STEP = "a person decides on proposal.json, by `promolift learn approve` or `promolift learn reject`"


def page_of(learned: LearnedPolicy) -> Page:
    """The page, one chapter per question."""
    judged, verdict, cash = learned.judged, learned.judged.verdict, MoneyFormat(learned.currency)
    total = None if verdict.total is None else IntervalEstimate(verdict.total, verdict.total_low, verdict.total_high)
    text = f"{upper_first(judged.measure)} in {days(judged.window_days)} over customers held back."
    return Page(
        name=learned.shop or judged.release.campaign_id,
        eyebrow="What was decided and what happened",
        facts={
            "Campaign": judged.release.campaign_id,
            "Policy": f"{judged.arm}, version {judged.release.policy_version}",
            "Events until": date(judged.last_ms, None),
            "Measured by": judged.measure,
        },
        head=headline(
            gettext("Added by the offers"), total, text, _badge(judged), cash, f"{INTERVAL}, may be read any day"
        ),
        key_figures=_bigs(judged, cash),
        chapters=[
            _verdict(judged, cash), _days(judged, cash), _calibration(judged, cash),
            texts_chapter(learned.texts, learned.wanted, cash), _trust(judged), _drift(judged, cash),
            _next(learned, cash),
            next_steps_chapter(learning_next_steps(learned)),
        ],
        currency=learned.currency,
    )  # fmt: skip


def _badge(judged: JudgedPolicy) -> Badge:
    """Evidence level of what was measured over the holdout."""
    return judged.verdict.evidence  # type: ignore[return-value]


def _bigs(judged: JudgedPolicy, cash: MoneyFormat) -> list[KeyFigure]:
    verdict, badge = judged.verdict, _badge(judged)
    gain = cash(verdict.lift.lift) if verdict.lift else gettext("not known")
    sizes = f"{count(verdict.n_arm)} could get an offer, {count(verdict.n_control)} were held back."
    bigs = [
        KeyFigure("Per customer", gain, f"Predicted was {cash(judged.predicted)}.", badge),
        KeyFigure("Answer", verdict.answer, VERDICT_TEXTS[verdict.answer][1]),
        KeyFigure(gettext("Customers"), count(judged.compared), sizes),
    ]
    if (off := judged.discount) is not None:
        interval = low_to_high(off.low, off.high, cash)
        text = f"Coupon discounts per customer beyond the holdout's ({interval}), already taken off."
        bigs.insert(2, KeyFigure(gettext("Discounts"), cash(off.value), text, badge))
    return bigs


def _verdict(judged: JudgedPolicy, cash: MoneyFormat) -> Chapter:
    verdict, badge = judged.verdict, _badge(judged)
    tone, said = VERDICT_TEXTS[verdict.answer]
    mine = [v for v in (*judged.main.verdicts, *judged.orders.verdicts) if v.segment == ALL_CUSTOMERS]
    text = gettext("Interval: for each comparison alone, may be read any day. Answer: with all comparisons counted.")
    grid = _grid(mine, lambda v: f"{v.metric}, {v.arm}", cash)
    blocks: list[Figure | Block] = [
        note(f"{said} Rule: {verdict.rule}. {upper_first(verdict.why)}.", tone),
        note(f"{judged.main.ratio.rule}.", "plain" if judged.main.ratio.ok else "bad"),
        Block("grid", {"grid": grid, "text": text}, "Against the holdout", badge),
    ]
    by_group = [
        {"segment": v.segment, "n": v.n_arm, "held": v.n_control, "gain": v.lift.lift if v.lift else None,
         "low": v.low, "high": v.high, "answer": v.answer}
        for v in judged.main.verdicts if v.segment != ALL_CUSTOMERS and v.arm == judged.arm
    ]  # fmt: skip
    if (drawn := groups({**_head(judged), "segments": by_group}, cash)) is not None:
        blocks.append(drawn)
    lead = f"The same customers, randomised before anything was sent. {upper_first(judged.measure)}: {judged.why}."
    return Chapter("verdict", "Verdict", "Did the offers earn their cost?", lead, blocks)


def _grid(verdicts: Sequence[Verdict], name: Callable[[Verdict], str], cash: MoneyFormat) -> TextTable:
    rows = []
    for v in verdicts:
        say: FormatValue = cash if v.unit else number
        rows.append(
            [
                name(v), count(v.n_arm), count(v.n_control), say(v.lift.control) if v.lift else "",
                say(v.lift.lift) if v.lift else "", low_to_high(v.low, v.high, say) if v.lift else v.why,
                number(v.p_adjusted) if v.p_adjusted is not None else "", v.answer,
            ]
        )  # fmt: skip
    heads = [
        gettext("what"),
        pgettext("learning_page", "customers"),
        "held back",
        pgettext("learning_page", "without"),
        gettext("added"),
        INTERVAL,
        gettext("p, all looked at"),
        pgettext("learning_page", "answer"),
    ]
    return TextTable(heads, rows, (0, 7))


def _days(judged: JudgedPolicy, cash: MoneyFormat) -> Chapter:
    looks, measure = judged.looks, judged.measure
    title, lead = "How did it grow?", "Every customer's days are counted from their own decision."
    if not looks:
        return Chapter("days", "Day by day", title, lead, [unknown_note("how it grew", "nothing could be compared")])
    line = Line("over the holdout", "ink", [(k.days, k.total, k.low, k.high) for k in looks])
    last = looks[-1]
    figure = cumulative_chart(
        "days", measure,
        f"After {days(last.days)} {cash(last.total)} was added ({low_to_high(last.low, last.high, cash)}).",
        Axis(gettext("days since the decision"), "fixed"), Axis(f"{measure} added", "money"), [line], cash,
        how="The band holds on all days together: it may be looked at every day.", n=count(judged.verdict.n_arm),
        evidence=_badge(judged),
    )  # fmt: skip
    return Chapter("days", "Day by day", title, lead, [figure])


def _calibration(judged: JudgedPolicy, cash: MoneyFormat) -> Chapter:
    found = {**_head(judged), "calibration": [vars(each) for each in judged.quintiles]}
    lead = "The predicted gain stands in each decision; the holdout says what came."
    return Chapter(
        "calibration", "Calibration", "Was the prediction right?", lead, [predicted_versus_realised(found, cash)]
    )


def _head(judged: JudgedPolicy) -> dict[str, str]:
    """What learn.json says of every figure."""
    return {"measure": judged.measure, "evidence": judged.verdict.evidence}


def _trust(judged: JudgedPolicy) -> Chapter:
    random = judged.release.explore
    explored = (
        f"{percent(random)} of the draws were random, so every open offer had a known propensity: policies that were "
        "not in force can be valued."
        if random
        else gettext(
            "No exploration was logged: only the best offers were drawn, so nothing can be said of the others."
        )
    )
    late = "A refund counts in the window of its order; a row that arrived late still counts in its window."
    weights = judged.weights
    worth = (
        f"A decision weighs 1 / logged propensity of what was decided; the largest is {number(weights.largest)}. "
        f"All together weigh as much as {count(weights.effective)} even decisions."
    )
    blocks: list[Figure | Block] = [note(worth), note(explored, "plain" if random else "warn")]
    for what, counts, text in (
        ("event", judged.outcome_counts, late), ("decision", judged.decision_counts, "")
    ):  # fmt: skip
        rows = [[name, count(n)] for name, n in counts.items() if n]
        blocks.append(table(f"Where every {what} went", [what, "rows"], rows, text))
    if judged.changed_arm:
        blocks.append(
            note(f"{count(judged.changed_arm)} decisions changed the arm of a customer, who stays in the first.")
        )
    lead = gettext("Propensities are logged with every decision, and every row is accounted for.")
    return Chapter("trust", "Trust", "Can the numbers be trusted?", lead, blocks)


def _drift(judged: JudgedPolicy, cash: MoneyFormat) -> Chapter:
    looked = drift({"drifts": [vars(each) for each in judged.drifts]}, cash)
    blocks = [*([looked] if looked else []), *(unknown_note(what, why) for what, why in judged.unseen_drifts)]
    lead = gettext(
        "Customers, predictions and effects are compared with what they were; size and test must both speak."
    )
    return Chapter("drift", "Drift", gettext("Has the world changed?"), lead, blocks)


def _next(learned: LearnedPolicy, cash: MoneyFormat) -> Chapter:
    following, title = learned.next, "What should be planned next?"
    lead = gettext("Nothing goes live by itself: a person approves, or --auto where nothing speaks against the draws.")
    if following is None:
        return Chapter("next", "Next release", title, lead, [unknown_note("what to plan next", NO_DRAWS)])
    blocks: list[Figure | Block] = [sentences("What would change", following.changes)]
    if drawn := [each for each in following.release.effects if each.n_arm]:
        blocks.append(_drawn_effects(drawn, cash))
    worth = following.expected
    expected = f"{cash(worth.value)} per customer ({low_to_high(worth.low, worth.high, cash)})"
    state = f"{KINDS[following.kind]}: {following.why}. By its own figures it adds {expected} over no offers."
    tone: Tone = "good" if following.accepted and following.kind == "release" else "warn"
    return Chapter("next", "Next release", title, lead, [*blocks, note(f"{state} {_fate(learned)}", tone)])


def _drawn_effects(drawn: Sequence[LineEffect], cash: MoneyFormat) -> Block:
    """Of each menu line and group that was drawn: visits, added, cost, and value in the window and over the horizon."""

    def between(value: float, se: float, say: FormatValue) -> str:
        return f"{say(value)} ({low_to_high(value - Z95 * se, value + Z95 * se, say)})"

    rows = [
        [
            each.arm, group_name(each.group), f"{count(each.n_arm)} / {count(each.n_none)}",
            "" if each.visits is None or each.visits_se is None else between(each.visits, each.visits_se, number),
            cash(each.net_cents + each.cost_cents), cash(each.cost_cents),
            between(each.window_cents, each.window_se_cents, cash), between(each.net_cents, each.net_se_cents, cash),
            "" if each.drawn_cents is None or each.drawn_se_cents is None
            else between(each.drawn_cents, each.drawn_se_cents, cash),
            "" if each.again_cents is None or each.again_se_cents is None
            else between(each.again_cents, each.again_se_cents, cash),
            *_refusals(each, cash), percent(each.pays), each.evidence, each.state,
        ]
        for each in sorted(drawn, key=lambda each: (each.group, -each.net_cents))
    ]  # fmt: skip
    heads = [
        "menu line",
        pgettext("learning_page", "group"),
        "drew it / none",
        "visits more in the window",
        "adds over the horizon",
        "costs",
        "net in the window",
        "net over the horizon",
        "the same by the draws alone",
        "after another message shortly before, by the draws alone",
        gettext("refuse further messages, of 1,000 who got it"),
        "of 1,000 who got nothing",
        "lost by refusals",
        "pays with",
        gettext("evidence"),
        "next",
    ]
    text = gettext(
        "Per customer, against those of the group who drew none. Visits, and what stands for the draws alone, are the "
        "draws' own word, with intervals of their own; what is decided by is drawn towards what was believed "
        "before. What follows the window is what was seen to follow such a window's end. With a customer who refuses "
        "further messages the shop loses what these were expected to add over the horizon; that is taken off."
    )
    return table(gettext("What each menu line adds, by group"), heads, rows, text, words=(0, 1, 14, 15))


def _refusals(effect: LineEffect, cash: MoneyFormat) -> list[str]:
    """How many of 1,000 refuse further messages after this line and after nothing, and what that loses per customer."""
    if (rates := refusals_per_thousand(effect)) is None:
        return ["", "", cash(effect.refusal_cents)]
    of_thousand = [f"{number(each.value)} ({low_to_high(each.low, each.high, number)})" for each in rates]
    return [*of_thousand, cash(effect.refusal_cents)]


def _fate(learned: LearnedPolicy) -> str:
    if learned.released:
        return "As asked for with --auto it was written as release.json."
    if learned.auto:
        return f"--auto was asked for, but nothing was released; {DECISION_STEP}."
    return f"{upper_first(DECISION_STEP)}."


pgettext_noop("measure", "margin"), pgettext_noop("measure", "revenue")
pgettext_noop("verdict", "higher"), pgettext_noop("verdict", "lower"), pgettext_noop("verdict", "not shown")
pgettext_noop("verdict", "too early"), pgettext_noop("verdict", "cannot say")


def learning_next_steps(learned: LearnedPolicy) -> list[str]:
    """Return what to do next, the most urgent first."""
    judged, verdict, following = learned.judged, learned.judged.verdict, learned.next
    cash = MoneyFormat(learned.currency)
    if not judged.main.ratio.ok:
        return [
            gettext("Stop reading the rest: customers got lost from an arm. Find out where before anything is decided.")
        ]
    if verdict.answer == "higher":
        gain = cash(verdict.lift.lift if verdict.lift else None)
        rows = [gettext("Keep the offers: they add {gain} per customer.", gain=gain)]
    elif verdict.answer == "lower":
        rows = [gettext("Stop the offers: they cost more than they bring.")]
    elif judged.shown is not None:
        rows = [
            gettext(
                "Go on measuring: a test of this size shows gains from {shown} per customer on; predicted were "
                "{predicted}. More customers, more weeks or a larger holdout show less.",
                shown=cash(judged.shown),
                predicted=cash(judged.predicted),
            )
        ]
    else:
        rows = [gettext("Go on measuring: {why}.", why=render_message(verdict.why))]
    if following is None:
        rows.append(upper_first(gettext(NO_DRAWS)) + gettext("."))
    elif learned.released:
        rows.append(gettext("What follows from it was accepted; `promolift learn` judges it again."))
    else:
        rows.append(
            gettext(
                "{proposal} waits as version {version} (`promolift learn show`): {why}; by its own figures it adds "
                "{gain} "
                "per customer over no offers.",
                proposal=gettext(KINDS[following.kind]), version=following.release.policy_version,
                why=render_message(following.why), gain=cash(following.expected.value),
            )
        )  # fmt: skip
    if waiting := judged.outcome_counts.get("open window", 0):
        rows.append(
            ngettext(
                "Come back when the open windows are over: {n} event waits for that.",
                "Come back when the open windows are over: {n} events wait for that.",
                waiting,
                n=count(waiting),
            )
        )
    rows += [
        gettext(
            "{kind}, {what}: {action}.",
            kind=upper_first(pgettext("drift", each.kind)), what=render_message(each.what), action=gettext(each.action),
        )
        for each in judged.drifts if each.drifted
    ]  # fmt: skip
    if judged.measure != "margin":
        rows.append(gettext("Give products a cost, or state value.margin_rate: more revenue can be less profit."))
    rows += [describe_wanted(each) for each in learned.wanted]
    rows.append(
        gettext("Keep {share} held back: the next verdict hangs on it.", share=percent(judged.release.holdout_share))
    )
    return rows


def summary_text(learned: LearnedPolicy) -> str:
    """The verdict and the next steps for a terminal."""
    verdict, cash = learned.judged.verdict, MoneyFormat(learned.currency)
    head = gettext(
        "{measure} over the holdout: {answer}.",
        measure=pgettext("measure", learned.judged.measure),
        answer=pgettext("verdict", verdict.answer),
    )
    if verdict.lift:
        span = low_to_high(verdict.low, verdict.high, cash)
        gain = gettext("{gain} per customer ({span})", gain=cash(verdict.lift.lift), span=span)
        head = join_sentences(head, gain)
    rule = gettext("Rule: {rule}.", rule=render_message(verdict.rule))
    return "\n".join([head, rule, *(f"- {row}" for row in learning_next_steps(learned))])
