"""Typed rows, and how their numbers are said, in; what more than one page draws out.

Every number stands in the chart as it is and in the table beside it in words. No figure is computed here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from promolift.foundation.evidence import Ranged
from promolift.foundation.i18n.formatting import Cash, count, ends, interval_name, known, number, pick, plural
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Badge, Big, Block, Chapter, Figure, Grid, SpanDrawing, sentences

Say = Callable[[object], str]
Point = Sequence[float | None]  # x, y, and as far as they are known low, high and n


def plain(value: float | None) -> float | None:
    """Drawn as it is."""
    return value


class Axis(NamedTuple):
    """What an axis shows, the form in which the chart prints it, and how a value is put into the chart's unit."""

    name: str
    fmt: str
    draw: Callable[[float | None], float | None] = plain

    @property
    def spec(self) -> dict[str, str]:
        return {"name": kept(self.name), "fmt": self.fmt}


class Mark(NamedTuple):
    """A named value with its interval, and further cells of its row in the table; in the chart it has the name `drawn`,
    and the `text` beside it.

    `tone` is main, quiet, bad, or ours: the one to stand out.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    cells: Sequence[str] = ()
    tone: str = "main"
    drawn: str = ""
    text: str = ""


class Line(NamedTuple):
    """One line of a chart and its colour."""

    name: str
    tone: str
    points: Sequence[Point]


def thin(rows: Any, most: int = 20) -> Any:
    """Every nth row, about `most` of them: a table beside a chart need not hold all points."""
    return rows[:: max(1, len(rows) // most)]


def forest(
    slug: str, title: str, finding: str, axis: Axis, heads: Sequence[str] | Grid, marks: Sequence[Mark], say: Say,
    words: Sequence[int] = (), **extra: Any,
) -> Figure:  # fmt: skip
    """Values with their intervals below each other. `heads` name the first two columns of the table and those of
    further cells, or are the whole table.
    """
    banded = any(mark.low is not None for mark in marks)
    rows = [
        {"name": m.drawn or m.name, "tone": m.tone, "text": m.text}
        | dict(zip(("value", "low", "high"), map(axis.draw, (m.value, m.low, m.high)), strict=True))
        for m in marks
    ]
    spec = {"kind": "forest", "x": axis.spec, "rows": rows}
    if isinstance(heads, Grid):
        return Figure(slug, title, finding, spec, heads, **extra)
    cells = [[m.name, say(m.value), *([ends(m.low, m.high, say)] if banded else []), *m.cells] for m in marks]
    headers = [*heads[:2], *([interval_name()] if banded else []), *heads[2:]]
    ours = next((place for place, mark in enumerate(marks) if mark.tone == "ours"), None)
    return Figure(slug, title, finding, spec, Grid(headers, cells, (0, *words), ours), **extra)


def lines(
    slug: str, title: str, finding: str, x: Axis, y: Axis, series: Sequence[Line], grid: Grid, **extra: Any
) -> Figure:
    """Lines with bands where the points have intervals. `close`: the upright axis need not begin at zero; `origin`: the
    first point is where the lines begin and no finding."""
    chart = {name: True for name in ("close", "origin") if extra.pop(name, False)}
    drawn = [
        {"name": line.name, "tone": line.tone, "points": [drawn_point(p, y) for p in line.points]} for line in series
    ]
    spec = {"kind": "lines", "x": x.spec, "y": y.spec, "series": drawn, **chart}
    return Figure(slug, title, finding, spec, grid, **extra)


def drawn_point(point: Point, upright: Axis) -> list[float | None]:
    """x, y, low, high and n as the script reads them."""
    x, y, low, high, n = [*point, None, None, None][:5]
    return [x, upright.draw(y), upright.draw(low), upright.draw(high), n]


def by_point(heads: Sequence[str], series: Sequence[Line], say_x: Say, say: Say, words: Sequence[int] = (0,)) -> Grid:
    """A row per point of each line: its name, x, y with the interval, and the number of cases; ascending in x."""
    rows = sorted(((line.name, p) for line in series for p in line.points), key=lambda row: row[1][0] or 0.0)
    cells = [[name, say_x(x), say(y), ends(low, high, say), count(n)] for name, (x, y, low, high, n) in rows]
    return Grid([*heads[:3], interval_name(), heads[3]], cells, words)


def by_x(head: str, series: Sequence[Line], say_x: Say, say: Say) -> Grid:
    """A row per x, which all lines share, and a column per line, with its interval where the line has one."""
    heads, columns = [head], [[say_x(p[0]) for p in series[0].points]]
    for line in series:
        heads.append(line.name)
        columns.append([say(p[1]) for p in line.points])
        if any(len(p) > 2 and p[2] is not None for p in line.points):
            heads.append(interval_name())
            columns.append([ends(p[2], p[3], say) for p in line.points])
    return Grid(heads, [list(row) for row in zip(*columns, strict=True)], ())


def cumulated(
    slug: str, measure: str, finding: str, x: Axis, y: Axis, series: Sequence[Line], say: Say, **extra: Any
) -> Figure:
    """What was added so far over the holdout, day by day."""
    grid = by_x(x.name, series, count if x.fmt == "count" else number, say)
    return lines(slug, f"Cumulative incremental {measure}", finding, x, y, series, grid, wide=True, **extra)


def calibration(
    slug: str, title: str, finding: str, bins: Sequence[Point], say: Say, cases: str, axis: Axis | None = None,
    **extra: Any,
) -> Figure:  # fmt: skip
    """What was predicted of cases alike beside what came: predicted, realised, low, high and number of each bin.

    Rates are drawn against the diagonal; amounts, which have an `axis`, one below the other.
    """
    if axis is not None:
        marks = [
            Mark(say(p), y, low, high, (count(n),), "main", kept("predicted ") + say(p)) for p, y, low, high, n in bins
        ]
        return forest(slug, title, finding, axis, ("predicted", "realised", cases), marks, say, **extra)
    axes = {name: Axis(word, "share").spec for name, word in (("x", kept("predicted")), ("y", kept("happened")))}
    cells = [[say(p), say(y), ends(low, high, say), count(n)] for p, y, low, high, n in bins]
    grid = Grid(["predicted", "happened", interval_name(), cases], cells, ())
    return Figure(
        slug, title, finding, {"kind": "calibration", **axes, "points": [list(b) for b in bins]}, grid, **extra
    )


def frontier(
    finding: str,
    points: Sequence[Point],
    chosen: Sequence[float | None],
    say: Say,
    slope: str,
    grid: Grid,
    **extra: Any,
) -> Figure:
    """Budget against what the best plan earns with it, in minor units; `chosen` are its budget, gain and slope, which
    `slope` says in words.
    """
    spec = {
        "kind": "frontier",
        "x": Axis("budget", "money").spec,
        "y": Axis("expected extra profit", "money").spec,
        "points": [list(p) for p in points],
        "chosen": list(chosen),
        "slope": slope,
        "label": kept("chosen: ") + f"{say(chosen[0])} → {say(chosen[1])}",
    }
    title = "Budget against expected extra profit"
    return Figure("frontier", title, finding, spec, grid, wide=True, **extra)


def unknowns(rows: Sequence[Mapping[str, str]]) -> Block:
    """What is not known, why it matters, and what would tell: `what`, `why` and `todo` of each."""
    return Block("unknowns", {"rows": rows})


def next_steps(rows: Sequence[str]) -> Chapter:
    """What to do next, the most pressing first."""
    return Chapter("todo", "What to do", "What to do next", "From this page alone.", [sentences("Next steps", rows)])


def headline(
    label: str, found: Ranged | None, sentence: str, evidence: Badge | None, cash: Cash, name: str | None = None,
    shown: bool = True,
) -> Big:  # fmt: skip
    """The number a page is about, with its interval, which `name` names, drawn beside it. A number that chance alone
    could bring is not `shown`: the sentence says it, and nothing is promised in large type."""
    if found is None:
        return Big(label, kept("Not known"), sentence)
    amount, span = cash(found.value, sign=True), span_of(found, cash, name or interval_name())
    if shown:
        return Big(label, amount, sentence, evidence, span)
    return Big(label, kept("Not shown yet"), kept(f"So far {amount}.") + pick(" ", "") + sentence, evidence, span)


def span_of(found: Ranged, cash: Cash, name: str) -> SpanDrawing | None:
    """The drawing of an amount's interval; None where it is not known."""
    value, low, high = found.value, known(found.low), known(found.high)
    if low is None or high is None or not low <= high:
        return None
    first, last = min(0.0, low, value), max(0.0, high, value)
    at = {x: round(100 * (x - first) / ((last - first) or 1.0), 2) for x in (low, value, high, 0.0)}
    return SpanDrawing(at[low], at[value], at[high], at[0.0], cash(low, sign=True), cash(high, sign=True), name)


def people_n(n: int) -> str:
    """So many customers."""
    return pick(plural(n, "customer"), f"{count(n)}位客户")


def answer_words(answer: str) -> str:
    """A verdict in a word or two."""
    return pick(answer, "为时过早") if answer == "too early" else kept(answer)
