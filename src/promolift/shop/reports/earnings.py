"""Charts and tables of the learned results in learn.json: by time, drift and other policies."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from promolift.core.decisions.decision_rule import LineEffect
from promolift.foundation.evidence import Z95, IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    date,
    in_brackets,
    interval_name,
    low_to_high,
    number,
    percent,
    sentence_space,
    truncate,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Badge, Block, Figure, KeyFigure, TextTable, table, unknown_note
from promolift.foundation.pages.charts import (
    Axis,
    ForestRow,
    Line,
    calibration_chart,
    forest_plot,
    headline,
    line_chart,
    table_by_x,
    verdict_text,
)
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.reports.chapters.history import draw_net_margins
from promolift.shop.results.learned_policy import EarningsDrivers
from promolift.shop.results.line_tests import group_name
from promolift.shop.results.promotion_history import PromotionHistory

POLICIES = {
    "in force": gettext_noop("the policy in force"),
    "half the money": gettext_noop("the best use of half the money"),
    "cheapest for all": gettext_noop("the cheapest offer for everybody"),
    "largest gain for all": gettext_noop("the offer with the largest gain for everybody"),
    "at random": gettext_noop("offers at random"),
}
KINDS = {
    "inputs": gettext_noop("customers"),
    "predictions": gettext_noop("predictions"),
    "effects": gettext_noop("effects"),
}
SIGNIFICANT = ("higher", "lower")  # answers that chance alone does not give
DRIFT_LABELS = {
    True: gettext_noop("has drifted"),
    False: gettext_noop("no drift shown"),
    None: gettext_noop("cannot say"),
}
GAIN = re.compile(r"(-?[\d.]+(?:e[+-]?\d+)?) \+/- ([\d.]+(?:e[+-]?\d+)?)")  # as drift says a period's


class TimedChange(NamedTuple):
    """Something that was changed at a moment, and its number in the chart."""

    ts_ms: int
    text: str
    place: int = 0


class ExcludedDays(NamedTuple):
    """Days that count in no result: first and last moment."""

    first_ms: int
    last_ms: int


def parse_interval(found: Mapping[str, Any] | None) -> IntervalEstimate | None:
    """An amount with its interval."""
    return None if found is None else IntervalEstimate(found["value"], found["low"], found["high"])


def badge_of(found: Mapping[str, Any]) -> Badge:
    """The evidence of the comparison with the holdout."""
    return found["evidence"]  # type: ignore[no-any-return]


def earned_head(found: Mapping[str, Any], cash: MoneyFormat) -> KeyFigure:
    """The headline."""
    total = (
        None
        if found["gain_total"] is None
        else IntervalEstimate(*(found[k] for k in ("gain_total", "total_low", "total_high")))
    )
    sizes, why = found["customers"], upper_first(render_message(found["why"]))
    answer = verdict_text(found["answer"])
    text = gettext(
        "{policy} customers who could get an offer, against {holdout} held out at random: {answer}. {why}.",
        policy=count(sizes["policy"]),
        holdout=count(sizes["holdout"]),
        answer=answer,
        why=why,
    )
    if power := describe_power(found, cash):
        text += sentence_space() + power
    shown = found["answer"] in SIGNIFICANT
    return headline(gettext("Added by the offers"), total, text, badge_of(found), cash, shown=shown)


def describe_power(found: Mapping[str, Any], cash: MoneyFormat) -> str:
    """Say that a test was too small for what the plan expects; empty if it was not, or if its answer is clear.

    `detectable_per_customer` is the smallest gain that this test shows with 80 % power, from its standard error alone
    (variance reduction included). The standard error falls with the root of the number of customers, so that the
    expected gain needs (detectable / expected)^2 times as many of them, split by the same shares.
    """
    smallest, expected = found.get("detectable_per_customer"), found.get("predicted_per_customer")
    if found["answer"] in SIGNIFICANT or not smallest or not expected or not 0 < expected < smallest:
        return ""
    needed = (found["customers"]["policy"] + found["customers"]["holdout"]) * (smallest / expected) ** 2
    return gettext(
        "A test of this size shows a gain of {smallest} per customer in four of five cases; the plan expects "
        "{expected}. To see that much takes about {needed} customers, so this result speaks neither for nor against "
        "the offers.",
        smallest=cash(smallest),
        expected=cash(expected),
        needed=count(float(f"{needed:.2g}")),
    )


def earned_blocks(
    found: Mapping[str, Any],
    changes: Sequence[TimedChange],
    left_out: Sequence[ExcludedDays],
    cash: MoneyFormat,
    zone: str,
) -> list[Figure | Block]:
    """All of the page below its headline; what could not be known is a gap with the reason."""
    blocks = [
        months(found, cash, zone),
        curve(found, changes, left_out, cash, zone),
        predicted_versus_realised(found, cash),
    ]
    return [
        each for each in (*blocks, groups(found, cash), *policies(found, cash), drift(found, cash)) if each is not None
    ]


def by_play(found: Mapping[str, Any], words: Mapping[str, str], cash: MoneyFormat) -> Block:
    """What each offer that was drawn added per customer of its audience or play; `words` has menu lines by id."""
    title, proposal = gettext("By play"), found.get("proposal")
    effects = [] if proposal is None else [LineEffect.parse(each, title) for each in proposal["release"]["effects"]]
    rows = [
        [
            group_name(each.group),
            words.get(each.arm, each.arm),
            f"{count(each.n_arm)} / {count(each.n_none)}",
            _window_text(each, cash),
            percent(each.pays),
        ]
        for each in sorted(effects, key=lambda each: (each.group, -each.window_cents))
        if each.n_arm
    ]
    if not rows:
        return unknown_note(gettext("what each play earned"), gettext("no offer was drawn whose days are over"))
    heads = [
        gettext("customers who …"),
        gettext("offer"),
        gettext("got it / got nothing"),
        gettext("added per customer"),
        gettext("chance that it pays"),
    ]
    text = gettext("Against customers of the same play who drew nothing, after the offer's cost.")
    return table(title, heads, rows, text, words=(1,), evidence=badge_of(found))


def _window_text(effect: LineEffect, cash: MoneyFormat) -> str:
    """What an offer adds in the window, with its 95 % interval."""
    value, reach = effect.window_cents, Z95 * effect.window_se_cents
    return f"{cash(value, sign=True)}{in_brackets(low_to_high(value - reach, value + reach, cash))}"


def past_practice(history: PromotionHistory | None) -> list[Figure | Block]:
    """What business as usual earned: no customers were given it at random, so past promotions stand for it."""
    what = gettext("what business as usual would have earned in these days")
    why = gettext("nobody was given it at random; a test with your usual promotion as one of its arms tells")
    return [unknown_note(what, why), *([draw_net_margins(history)] if history and history.estimated else [])]


def months(found: Mapping[str, Any], cash: MoneyFormat, zone: str) -> Figure | Block:
    """What windows that began in each month added."""
    rows = [(each, parse_interval(each["alone"])) for each in found.get("months", ())]
    marks = [
        ForestRow(month_name(each["first_ms"], zone), alone.value, alone.low, alone.high,
             (count(each["n"]), count(each["held"])))
        for each, alone in rows if alone is not None
    ]  # fmt: skip
    if not marks:
        return unknown_note(gettext("what each month earned"), gettext("too few customers in a month"))
    heads = (gettext("month"), "added", "customers", gettext("held out"))
    finding = gettext("Windows that began in the month, all customers together.")
    return forest_plot(
        "months",
        gettext("Earned by month, against the holdout"),
        finding,
        Axis(gettext("added over the holdout"), "money"),
        heads,
        marks,
        cash,
        evidence=badge_of(found),
        wide=True,
    )


def month_name(ms: int, zone: str) -> str:
    """A month in words."""
    day = date(ms + DAY_MS, zone)
    return day.partition("月")[0] + "月" if "月" in day else day.partition(" ")[2]


def curve(
    found: Mapping[str, Any],
    changes: Sequence[TimedChange],
    left_out: Sequence[ExcludedDays],
    cash: MoneyFormat,
    zone: str,
) -> Figure | None:
    """What had been added by the end of each week, with every change of the campaign as a numbered line on it."""
    weeks = [(each["first_ms"], parse_interval(each["so_far"])) for each in found.get("weeks", ())]
    known = [(first, so_far) for first, so_far in weeks if so_far is not None]
    if len(known) < 2:
        return None
    start = known[0][0]

    def day(ms: float) -> float:
        return (ms - float(start)) / DAY_MS

    line = Line(gettext("so far"), "ink", [(day(first), each.value, each.low, each.high) for first, each in known])
    last = known[-1][1]
    finding = gettext(
        "{value} so far{in_brackets}.",
        value=cash(last.value, sign=True),
        in_brackets=in_brackets(low_to_high(last.low, last.high, cash)),
    )
    x = Axis(gettext("days since {start}", start=date(start, zone)), "count")
    y = Axis(gettext("added over the holdout so far"), "money")
    figure = line_chart(
        "curve",
        gettext("How it grew, and what was changed"),
        finding,
        x,
        y,
        [line],
        table_by_x(x.name, [line], count, cash),
        wide=True,
        evidence=badge_of(found),
        close=True,
        how=gettext(
            "The band may be read at every point. Numbers are the changes below; grey days count in no result."
        ),
    )
    end = day(known[-1][0])
    marks = [[day(each.ts_ms), str(each.place)] for each in changes if 0 <= day(each.ts_ms) <= end]
    shaded = [[max(0.0, day(a)), min(end, day(b))] for a, b in left_out if day(b) >= 0 and day(a) <= end]
    return Figure(**{**vars(figure), "spec": {**figure.spec, "marks": marks, "shaded": shaded}})


def predicted_versus_realised(found: Mapping[str, Any], cash: MoneyFormat) -> Figure | Block:
    """Compare predicted and realised gain in groups of similar customers."""
    bins = [[each[k] for k in ("predicted", "realised", "low", "high", "n")] for each in found["calibration"]]
    if not bins or found["measure"] != "margin":
        why = gettext("too few customers with a predicted gain in each arm, or only revenue could be measured")
        return unknown_note(gettext("whether predictions were right"), why)
    inside = sum(each[2] <= each[0] <= each[3] for each in bins)
    finding = gettext("{inside} of {bins} intervals hold what was predicted.", inside=inside, bins=len(bins))
    axis = Axis(gettext("realised over the holdout, per customer"), "money")
    return calibration_chart(
        "calibration", gettext("Predicted and realised gain"), finding, bins, cash,
        gettext("customers"), axis, evidence=badge_of(found), wide=True,
    )  # fmt: skip


def groups(found: Mapping[str, Any], cash: MoneyFormat) -> Figure | None:
    """What was added by groups of customers, corrected for the looks at all of them."""
    rows = [each for each in found.get("segments", ()) if each["gain"] is not None]
    marks = [
        ForestRow(gettext(each["segment"]), each["gain"], each["low"], each["high"],
             (count(each["n"]), count(each["held"]), verdict_text(each["answer"])))
        for each in rows
    ]  # fmt: skip
    if not marks:
        return None
    heads = (
        pgettext("learning_page", "group"),
        gettext("added"),
        gettext("customers"),
        gettext("held out"),
        pgettext("learning_page", "answer"),
    )
    finding = gettext("By what they were worth before. The answer counts all of these looks.")
    return forest_plot(
        "segments",
        gettext("By customer"),
        finding,
        Axis(gettext("added per customer"), "money"),
        heads,
        marks,
        cash,
        (4,),
        evidence=badge_of(found),
        wide=True,
    )


def policies(found: Mapping[str, Any], cash: MoneyFormat) -> list[Figure | Block]:
    """The policy lab: what others would have earned; a refusal stands with its reason."""
    rows = [(gettext(POLICIES[each["name"]]), each, parse_interval(each["value"])) for each in found.get("lab", ())]
    marks = [
        ForestRow(name, value.value, value.low, value.high, (count(each["effective"]),),
             "ours" if each["name"] == "in force" else "main")
        for name, each, value in rows if value is not None
    ]  # fmt: skip
    blocks: list[Figure | Block] = [
        unknown_note(gettext("what would have been earned by {name}", name=name), render_message(each["why"]))
        for name, each, value in rows
        if value is None
    ]
    if marks:
        how = gettext(
            "Doubly robust, from the logged propensities. A policy that does what was never tried is refused."
        )
        heads = (
            gettext("policy"),
            gettext("adds per customer over no offers"),
            gettext("worth so many even decisions"),
        )
        blocks.insert(
            0,
            forest_plot(
                "lab",
                gettext("Policy lab: what others would have earned"),
                gettext("The same customers, decided by other rules."),
                Axis(heads[1], "money"),
                heads,
                marks,
                cash,
                how=how,
                evidence=badge_of(found),
                wide=True,
            ),
        )
    return blocks


def drift(found: Mapping[str, Any], cash: MoneyFormat) -> Block | None:
    """Whether the world has changed; what drifted first."""
    rows = sorted(found.get("drifts", ()), key=lambda each: (each["drifted"] is not True, each["drifted"] is None))
    if not rows:
        return None
    cells = [
        [gettext(KINDS[each["kind"]]), truncate(drift_label(each["what"], cash), 120), number(each["size"]),
         number(each["p_adjusted"]), gettext(DRIFT_LABELS[each["drifted"]]), gettext(each["action"])]
        for each in rows
    ]  # fmt: skip
    heads = [gettext("kind"), gettext("what"), gettext("size"), "p", gettext("finding"), gettext("action")]
    text = gettext("Both a test and a size must speak before it counts as drift.")
    return Block(
        "grid", {"grid": TextTable(heads, cells, (0, 1, 4, 5)), "text": text}, gettext("Has the world changed?")
    )


def drift_label(what: str, cash: MoneyFormat) -> str:
    """Describe what is watched for drift; a gain by period in money."""
    gains = [f"{cash(float(value), sign=True)} ± {cash(float(se))}" for value, se in GAIN.findall(what)]
    said = gettext("added per customer, period by period: ")
    return said + gettext(", ").join(gains) if gains else gettext(what)


def driver_tiles(found: Mapping[str, Any], cash: MoneyFormat) -> list[KeyFigure]:
    """Customers x reach x take-up x gain."""
    each = EarningsDrivers.of(found["drivers"])
    reach = each.reached / each.customers if each.customers else None
    used = each.used / each.reached if each.reached else None
    between = low_to_high(found["total_low"], found["total_high"], cash)
    said = [
        (gettext("Customers"), count(each.customers), gettext("who could get an offer")),
        (gettext("Reach"), percent(reach), gettext("{reached} were given one", reached=count(each.reached))),
        (gettext("Take-up"), percent(used), gettext("{used} used a coupon", used=count(each.used))),
        (gettext("Gain"), cash(each.per_use), gettext("for each who used one")),
    ]
    product = gettext(
        "the product of the four; {interval_name} {between}", interval_name=interval_name(), between=between
    )
    earned = KeyFigure(gettext("Earned"), cash(each.total, sign=True), product, badge_of(found))
    return [*(KeyFigure(*each) for each in said), earned]
