"""Build the charts that several pages share: forest plots, lines, calibration, frontier.

Every number is in the chart as a number and in the table beside it as text. No figure is computed here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    finite_or_none,
    interval_name,
    low_to_high,
    number,
    sentence_space,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import (
    Badge,
    Block,
    Chapter,
    Figure,
    KeyFigure,
    SpanDrawing,
    TextTable,
    sentences,
)

FormatValue = Callable[[object], str]
Point = Sequence[float | None]  # x, y, and as far as they are known low, high and n


def unchanged(value: float | None) -> float | None:
    """Return the value as it is."""
    return value


class Axis(NamedTuple):
    """The name of an axis, the format in which the chart prints its values, and the conversion of a value to the
    chart's unit.
    """

    name: str
    fmt: str
    draw: Callable[[float | None], float | None] = unchanged

    @property
    def spec(self) -> dict[str, str]:
        return {"name": render_message(self.name), "fmt": self.fmt}


class ForestRow(NamedTuple):
    """A named value with its interval, and further cells of its row in the table. In the chart it is called
    `chart_name`, with `text` beside it.

    `tone` is main, quiet, bad, or ours: the one to stand out.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    cells: Sequence[str] = ()
    tone: str = "main"
    chart_name: str = ""
    text: str = ""


class Line(NamedTuple):
    """One line of a chart and its colour."""

    name: str
    tone: str
    points: Sequence[Point]


def thin_rows(rows: Any, most: int = 20) -> Any:
    """Return every nth row, about `most` of them: the table beside a chart need not hold all points."""
    return rows[:: max(1, len(rows) // most)]


def forest_plot(
    slug: str, title: str, finding: str, axis: Axis, heads: Sequence[str] | TextTable, marks: Sequence[ForestRow],
    say: FormatValue,
    words: Sequence[int] = (), **extra: Any,
) -> Figure:  # fmt: skip
    """Return a forest plot: values with their intervals, one below the other. `heads` names the first two columns of
    the table and those of further cells, or is the whole table.
    """
    banded = any(mark.low is not None for mark in marks)
    rows = [
        {"name": m.chart_name or m.name, "tone": m.tone, "text": m.text}
        | dict(zip(("value", "low", "high"), map(axis.draw, (m.value, m.low, m.high)), strict=True))
        for m in marks
    ]
    spec = {"kind": "forest", "x": axis.spec, "rows": rows}
    if isinstance(heads, TextTable):
        return Figure(slug, title, finding, spec, heads, **extra)
    cells = [[m.name, say(m.value), *([low_to_high(m.low, m.high, say)] if banded else []), *m.cells] for m in marks]
    headers = [*heads[:2], *([interval_name()] if banded else []), *heads[2:]]
    ours = next((place for place, mark in enumerate(marks) if mark.tone == "ours"), None)
    return Figure(slug, title, finding, spec, TextTable(headers, cells, (0, *words), ours), **extra)


def line_chart(
    slug: str, title: str, finding: str, x: Axis, y: Axis, series: Sequence[Line], grid: TextTable, **extra: Any
) -> Figure:
    """Return a line chart, with bands where the points have intervals. `close`: the vertical axis need not begin at
    zero. `origin`: the first point is only where the lines begin, not a finding.
    """
    chart = {name: True for name in ("close", "origin") if extra.pop(name, False)}
    drawn = [
        {"name": line.name, "tone": line.tone, "points": [chart_point(p, y) for p in line.points]} for line in series
    ]
    spec = {"kind": "lines", "x": x.spec, "y": y.spec, "series": drawn, **chart}
    return Figure(slug, title, finding, spec, grid, **extra)


def chart_point(point: Point, upright: Axis) -> list[float | None]:
    """Return x, y, low, high and n in the form that the script reads."""
    x, y, low, high, n = [*point, None, None, None][:5]
    return [x, upright.draw(y), upright.draw(low), upright.draw(high), n]


def table_by_point(
    heads: Sequence[str], series: Sequence[Line], say_x: FormatValue, say: FormatValue, words: Sequence[int] = (0,)
) -> TextTable:
    """Return a table with a row per point of each line, ascending in x: line, x, y with its interval, n."""
    rows = sorted(((line.name, p) for line in series for p in line.points), key=lambda row: row[1][0] or 0.0)
    cells = [[name, say_x(x), say(y), low_to_high(low, high, say), count(n)] for name, (x, y, low, high, n) in rows]
    return TextTable([*heads[:3], interval_name(), heads[3]], cells, words)


def table_by_x(head: str, series: Sequence[Line], say_x: FormatValue, say: FormatValue) -> TextTable:
    """Return a table with a row per x, which all lines share, and a column per line, with its interval where the line
    has one.
    """
    heads, columns = [head], [[say_x(p[0]) for p in series[0].points]]
    for line in series:
        heads.append(line.name)
        columns.append([say(p[1]) for p in line.points])
        if any(len(p) > 2 and p[2] is not None for p in line.points):
            heads.append(interval_name())
            columns.append([low_to_high(p[2], p[3], say) for p in line.points])
    return TextTable(heads, [list(row) for row in zip(*columns, strict=True)], ())


def cumulative_chart(
    slug: str, measure: str, finding: str, x: Axis, y: Axis, series: Sequence[Line], say: FormatValue, **extra: Any
) -> Figure:
    """Return a chart of what was added so far over the holdout, day by day."""
    grid = table_by_x(x.name, series, count if x.fmt == "count" else number, say)
    return line_chart(slug, f"Cumulative incremental {measure}", finding, x, y, series, grid, wide=True, **extra)


def calibration_chart(
    slug: str, title: str, finding: str, bins: Sequence[Point], say: FormatValue, cases: str, axis: Axis | None = None,
    **extra: Any,
) -> Figure:  # fmt: skip
    """Return a chart of predicted against realised values: predicted, realised, low, high and number of cases of each
    bin.

    Rates are drawn against the diagonal; amounts, which have an `axis`, one below the other.
    """
    if axis is not None:
        marks = [
            ForestRow(say(p), y, low, high, (count(n),), "main", gettext("predicted ") + say(p))
            for p, y, low, high, n in bins
        ]
        return forest_plot(slug, title, finding, axis, ("predicted", "realised", cases), marks, say, **extra)
    axes = {name: Axis(word, "share").spec for name, word in (("x", gettext("predicted")), ("y", gettext("happened")))}
    cells = [[say(p), say(y), low_to_high(low, high, say), count(n)] for p, y, low, high, n in bins]
    grid = TextTable(["predicted", "happened", interval_name(), cases], cells, ())
    return Figure(
        slug, title, finding, {"kind": "calibration", **axes, "points": [list(b) for b in bins]}, grid, **extra
    )


def frontier_chart(
    finding: str,
    points: Sequence[Point],
    chosen: Sequence[float | None],
    say: FormatValue,
    slope: str,
    grid: TextTable,
    **extra: Any,
) -> Figure:
    """Return the frontier of budget against the gain of the best plan, in minor units. `chosen` is the budget, gain and
    slope of the plan; `slope` says the slope in words.
    """
    spec = {
        "kind": "frontier",
        "x": Axis(gettext("budget"), "money").spec,
        "y": Axis(gettext("expected extra profit"), "money").spec,
        "points": [list(p) for p in points],
        "chosen": list(chosen),
        "slope": slope,
        "label": gettext("chosen: ") + f"{say(chosen[0])} → {say(chosen[1])}",
    }
    title = gettext("Budget against expected extra profit")
    return Figure("frontier", title, finding, spec, grid, wide=True, **extra)


def unknowns(rows: Sequence[Mapping[str, str]]) -> Block:
    """Return a block of open questions: `what` is not known, `why` it matters, and `todo`, which would answer it."""
    return Block("unknowns", {"rows": rows})


def next_steps_chapter(rows: Sequence[str]) -> Chapter:
    """Return a chapter of what to do next, the most urgent first."""
    return Chapter(
        "todo",
        gettext("What to do"),
        gettext("What to do next"),
        gettext("From this page alone."),
        [sentences(gettext("Next steps"), rows)],
    )


def headline(
    label: str, found: IntervalEstimate | None, sentence: str, evidence: Badge | None, cash: MoneyFormat,
    name: str | None = None,
    shown: bool = True,
) -> KeyFigure:  # fmt: skip
    """Return the headline number of a page with its interval, which `name` names, drawn beside it. A number that chance
    alone could produce is not `shown` large: the sentence states it instead.
    """
    if found is None:
        return KeyFigure(label, gettext("Not known"), sentence)
    amount, span = cash(found.value, sign=True), interval_drawing(found, cash, name or interval_name())
    if shown:
        return KeyFigure(label, amount, sentence, evidence, span)
    return KeyFigure(
        label,
        gettext("Not shown yet"),
        gettext("So far {amount}.", amount=amount) + sentence_space() + sentence,
        evidence,
        span,
    )


def interval_drawing(found: IntervalEstimate, cash: MoneyFormat, name: str) -> SpanDrawing | None:
    """Return the drawing of an amount's interval; None if the interval is not known."""
    value, low, high = found.value, finite_or_none(found.low), finite_or_none(found.high)
    if low is None or high is None or not low <= high:
        return None
    first, last = min(0.0, low, value), max(0.0, high, value)
    at = {x: round(100 * (x - first) / ((last - first) or 1.0), 2) for x in (low, value, high, 0.0)}
    return SpanDrawing(at[low], at[value], at[high], at[0.0], cash(low, sign=True), cash(high, sign=True), name)


def customer_count(n: int) -> str:
    """Format a number of customers."""
    return ngettext("{customers} customer", "{customers} customers", n, customers=count(n))


def verdict_text(answer: str) -> str:
    """Return a verdict in a word or two."""
    return gettext(answer)
