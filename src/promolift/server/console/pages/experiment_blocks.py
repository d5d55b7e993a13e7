"""Charts and tables of a test result: the interval by day, all comparisons, the groups and the power."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from promolift.core.experiments.experiment_design import ALL_CUSTOMERS, HOLDOUT
from promolift.core.experiments.power import Power
from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    days,
    in_brackets,
    interval_name,
    low_to_high,
    number,
    percent,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Figure, TextTable
from promolift.foundation.pages.charts import (
    Axis,
    ForestRow,
    Line,
    forest_plot,
    line_chart,
    table_by_point,
    verdict_text,
)
from promolift.foundation.time.clock import DAY_MS

TONES = ("blue", "orange", "green", "purple")


def arm_name(arm: str) -> str:
    """An arm in words."""
    return gettext("held out") if arm == HOLDOUT else arm


def outcome_name(metric: str) -> str:
    """An outcome in words."""
    if metric == "bought":
        return gettext("share of customers who bought")
    return gettext("money per customer")


def outcome_formatter(metric: str, cash: MoneyFormat) -> Callable[[object], str]:
    """How an outcome is said: money, or a share."""
    return percent if metric == "bought" else cash


def difference_axis(metric: str) -> Axis:
    """The axis of a difference."""
    return Axis(gettext("difference in ") + outcome_name(metric), "signed" if metric == "bought" else "money")


def describe_power(found: Power, metric: str, cash: MoneyFormat) -> str:
    """The smallest difference that shows, in words."""
    if not found.enough:
        return gettext("too few customers in an arm")
    part = "" if found.share is None or metric == "bought" else in_brackets(percent(found.share))
    return (
        gettext("{smallest} points", smallest=f"{100 * found.smallest:.1f}")
        if metric == "bought"
        else cash(found.smallest)
    ) + part


def experiment_blocks(found: Mapping[str, Any], primary: str, begun_ms: int, cash: MoneyFormat) -> list[Figure | Block]:
    """Of the answer to GET experiment."""
    say, verdicts = outcome_formatter(primary, cash), found["verdicts"]
    blocks: list[Figure | Block] = []
    if figure := daily_chart(found["by_day"], primary, begun_ms, say):
        blocks.append(figure)
    whole = [v for v in verdicts if v["segment"] == ALL_CUSTOMERS]
    text = gettext(
        "Interval: for each comparison alone, and may be read any day. Answer: with all comparisons and looks counted."
    )
    blocks.append(Block("grid", {"grid": verdict_table(whole, cash), "text": text}, gettext("All comparisons")))
    groups = [v for v in verdicts if v["segment"] != ALL_CUSTOMERS and v["metric"] == primary]
    marks = [
        ForestRow(
            gettext("{segment}, {arm}", segment=gettext(v["segment"]), arm=arm_name(v["arm"])),
            v["lift"], v["low"], v["high"],
             (count(v["n_arm"] + v["n_control"]), verdict_text(v["answer"])))
        for v in groups if "lift" in v
    ]  # fmt: skip
    if marks:
        finding = gettext("What customers spent in the year before. The correction counts all of these looks.")
        heads = (
            pgettext("learning_page", "group"),
            gettext("difference"),
            pgettext("experiment_blocks", "customers"),
            pgettext("experiment_blocks", "answer"),
        )
        title = gettext("By customer")
        blocks.append(
            forest_plot("groups", title, finding, difference_axis(primary), heads, marks, say, (3, 4), wide=True)
        )
    return blocks


def describe_verdict(verdict: Mapping[str, Any], cash: MoneyFormat) -> str:
    """The comparison that is asked about, in words."""
    pair = f"{arm_name(verdict['arm'])}{gettext(' against ')}{arm_name(verdict['control'])}"
    if "lift" not in verdict:
        return gettext("{pair}: cannot say", pair=pair)
    say = outcome_formatter(verdict["metric"], cash)
    plus = "+" if verdict["lift"] > 0 else ""
    interval = in_brackets(low_to_high(verdict["low"], verdict["high"], say))
    return f"{pair}{gettext(': ')}{plus}{say(verdict['lift'])}{interval}"


def daily_chart(
    rows: Sequence[Mapping[str, Any]], primary: str, begun_ms: int, say: Callable[[object], str]
) -> Figure | None:
    """The difference over the control as it stood day by day; None before two moments are known."""
    known = [row for row in rows if row["lift"] is not None]
    arms = list(dict.fromkeys(row["arm"] for row in known))
    series = [
        Line(arm_name(arm), tone, [((row["ts_ms"] - begun_ms) / DAY_MS, row["lift"], row["low"], row["high"],
                                    row["customers"]) for row in known if row["arm"] == arm])
        for arm, tone in zip(arms, TONES, strict=False)
    ]  # fmt: skip
    if not series or len(known) < 2:
        return None
    last = known[-1]
    after = days(round((last["ts_ms"] - begun_ms) / DAY_MS, 1))
    between = in_brackets(low_to_high(last["low"], last["high"], say))
    finding = gettext(
        "After {after} the difference is {say}{between}.", after=after, say=say(last["lift"]), between=between
    )
    heads = [
        gettext("arm"),
        pgettext("experiment_blocks", "day"),
        gettext("difference"),
        pgettext("experiment_blocks", "customers"),
    ]
    return line_chart(
        "daily",
        gettext("The difference, day by day"),
        finding,
        Axis(gettext("days"), "days"),
        difference_axis(primary),
        series,
        table_by_point(heads, series, number, say),
        wide=True,
        n=count(last["customers"]),
        evidence="randomised",
        how=gettext("The band may be read any day: looking often does not make a false finding likelier."),
    )


def verdict_table(verdicts: Sequence[Mapping[str, Any]], cash: MoneyFormat) -> TextTable:
    """A row per verdict."""
    rows = []
    for v in verdicts:
        say = outcome_formatter(v["metric"], cash)
        known = "lift" in v
        rows.append(
            [
                f"{outcome_name(v['metric'])}: {arm_name(v['arm'])}{gettext(' against ')}{arm_name(v['control'])}",
                f"{count(v['n_arm'])} / {count(v['n_control'])}",
                say(v["lift"]) if known else "",
                low_to_high(v["low"], v["high"], say) if known else render_message(v["why"]),
                number(v["p_adjusted"]) if "p_adjusted" in v else "",
                verdict_text(v["answer"]),
            ]
        )
    heads = [
        gettext("what"),
        pgettext("experiment_blocks", "customers"),
        gettext("difference"),
        interval_name(),
        gettext("p, all looked at"),
        pgettext("experiment_blocks", "answer"),
    ]
    return TextTable(heads, rows, (0, 5))
