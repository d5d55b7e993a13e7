"""What a test of releases shows in; its charts and tables out: the interval by day, all verdicts, the groups, power."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from promolift.core.experiments.experiment_design import HOLDOUT, WHOLE
from promolift.core.experiments.power import Power
from promolift.foundation.i18n.formatting import Cash, bracket, count, days, ends, interval_name, number, pick, share
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Block, Figure, Grid
from promolift.foundation.pages.charts import Axis, Line, Mark, answer_words, by_point, forest, lines
from promolift.foundation.time.units import DAY_MS

TONES = ("blue", "orange", "green", "purple")


def arm_name(arm: str) -> str:
    """An arm in words."""
    return kept("held out") if arm == HOLDOUT else arm


def outcome_name(metric: str) -> str:
    """An outcome in words."""
    if metric == "bought":
        return kept("share of customers who bought")
    return kept("money per customer")


def say_of(metric: str, cash: Cash) -> Callable[[object], str]:
    """How an outcome is said: money, or a share."""
    return share if metric == "bought" else cash


def axis_of(metric: str) -> Axis:
    """The axis of a difference."""
    return Axis(kept("difference in ") + outcome_name(metric), "signed" if metric == "bought" else "money")


def power_words(found: Power, metric: str, cash: Cash) -> str:
    """The smallest difference that shows, in words."""
    if not found.enough:
        return kept("too few customers in an arm")
    part = "" if found.share is None or metric == "bought" else bracket(share(found.share))
    return (pick(f"{100 * found.smallest:.1f} points", f"{100 * found.smallest:.1f}个百分点")
            if metric == "bought" else cash(found.smallest)) + part  # fmt: skip


def experiment_blocks(found: Mapping[str, Any], primary: str, begun_ms: int, cash: Cash) -> list[Figure | Block]:
    """Of the answer to GET experiment."""
    say, verdicts = say_of(primary, cash), found["verdicts"]
    blocks: list[Figure | Block] = []
    if figure := daily(found["by_day"], primary, begun_ms, say):
        blocks.append(figure)
    whole = [v for v in verdicts if v["segment"] == WHOLE]
    text = kept(
        "Interval: for each comparison alone, and may be read any day. Answer: with all comparisons and looks counted."
    )
    blocks.append(Block("grid", {"grid": table_of(whole, cash), "text": text}, "All comparisons"))
    groups = [v for v in verdicts if v["segment"] != WHOLE and v["metric"] == primary]
    marks = [
        Mark(f"{kept(v['segment'])}, {arm_name(v['arm'])}", v["lift"], v["low"], v["high"],
             (count(v["n_arm"] + v["n_control"]), answer_words(v["answer"])))
        for v in groups if "lift" in v
    ]  # fmt: skip
    if marks:
        finding = kept("What customers spent in the year before. The correction counts all of these looks.")
        heads = ("group", "difference", "customers", "answer")
        title = "By customer"
        blocks.append(forest("groups", title, finding, axis_of(primary), heads, marks, say, (3, 4), wide=True))
    return blocks


def headline_words(verdict: Mapping[str, Any], cash: Cash) -> str:
    """The comparison that is asked about, in words."""
    pair = f"{arm_name(verdict['arm'])}{kept(' against ')}{arm_name(verdict['control'])}"
    if "lift" not in verdict:
        return kept(f"{pair}: cannot say")
    say = say_of(verdict["metric"], cash)
    plus = "+" if verdict["lift"] > 0 else ""
    return f"{pair}{pick(': ', '：')}{plus}{say(verdict['lift'])}{bracket(ends(verdict['low'], verdict['high'], say))}"


def daily(
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
    between = bracket(ends(last["low"], last["high"], say))
    finding = kept(f"After {after} the difference is {say(last['lift'])}{between}.")
    heads = ["arm", "day", "difference", "customers"]
    return lines(
        "daily", "The difference, day by day", finding, Axis("days", "days"),
        axis_of(primary), series, by_point(heads, series, number, say), wide=True, n=count(last["customers"]),
        evidence="randomised",
        how=kept("The band may be read any day: looking often does not make a false finding likelier."),
    )  # fmt: skip


def table_of(verdicts: Sequence[Mapping[str, Any]], cash: Cash) -> Grid:
    """A row per verdict."""
    rows = []
    for v in verdicts:
        say = say_of(v["metric"], cash)
        known = "lift" in v
        rows.append([
            f"{outcome_name(v['metric'])}: {arm_name(v['arm'])}{kept(' against ')}{arm_name(v['control'])}",
            f"{count(v['n_arm'])} / {count(v['n_control'])}", say(v["lift"]) if known else "",
            ends(v["low"], v["high"], say) if known else kept(v["why"]),
            number(v["p_adjusted"]) if "p_adjusted" in v else "", answer_words(v["answer"]),
        ])  # fmt: skip
    heads = ["what", "customers", "difference", interval_name(), "p, all looked at", "answer"]
    return Grid(heads, rows, (0, 5))
