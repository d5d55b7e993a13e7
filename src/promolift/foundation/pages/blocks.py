"""Define the parts of a page: chapters of text, figures with their data, tables, cards, and boxes for what is not
known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from promolift.foundation.evidence import Level
from promolift.foundation.i18n.catalogue import gettext

Badge = Level | Literal["simulated"]
Tone = Literal["plain", "good", "warn", "bad"]


@dataclass(frozen=True)
class TextTable:
    """A table of text cells. Columns are right-aligned except those in `words`; row `marked` is highlighted."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = (0,)
    marked: int | None = None


@dataclass(frozen=True)
class Figure:
    """A chart: its question, the finding in words, its data for the script, and the same data as a table."""

    id: str
    title: str
    finding: str
    spec: Mapping[str, Any]
    grid: TextTable
    how: str = ""
    n: str = ""
    evidence: Badge | None = None
    wide: bool = False
    tone: Tone = "plain"
    kind: str = "figure"


@dataclass(frozen=True)
class Block:
    """Any other block, which a template renders by its `kind`; `data` is what the template prints."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    evidence: Badge | None = None
    wide: bool = True


@dataclass(frozen=True)
class Chapter:
    """One chapter: its short name for the contents, its title, an opening sentence, and its blocks.

    `part` names the part of the page that begins with it.
    """

    slug: str
    name: str
    title: str
    lead: str
    blocks: Sequence[Figure | Block]
    part: str = ""


@dataclass(frozen=True)
class SpanDrawing:
    """An interval as positions from 0 to 100 for a small drawing (low, value, high, zero), and in words."""

    low: float
    value: float
    high: float
    zero: float
    low_text: str
    high_text: str
    name: str


@dataclass(frozen=True)
class KeyFigure:
    """One number of the first screen. The interval of the headline number is drawn."""

    label: str
    value: str
    sentence: str
    evidence: Badge | None = None
    span: SpanDrawing | None = None


@dataclass(frozen=True)
class HeadlineAssumption:
    """An assumption behind the headline that nobody measured: its name, a sentence, the value used, and the value that
    would bring the result to zero. The places of both values on a scale from 0 to 100 are for a small drawing; None if
    no value would.
    """

    name: str
    text: str
    value: str | None = None
    flips_at: str | None = None
    value_at: float = 0.0
    flips_place: float = 0.0


@dataclass(frozen=True)
class ActionItem:
    """Something to do now: in few words, and what else must be known for it."""

    what: str
    how: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page: its owner, the first screen (one headline number with `explanations`, the `actions` to take now,
    the `assumptions` behind it, further `key_figures`), and the chapters; where `folded`, each opens on a click, and
    only open ones are printed.
    """

    name: str
    eyebrow: str
    facts: Mapping[str, str]
    head: KeyFigure
    chapters: Sequence[Chapter]
    key_figures: Sequence[KeyFigure] = ()
    explanations: Sequence[str] = ()
    warning: str = ""
    actions: Sequence[ActionItem] = ()
    assumptions: Sequence[HeadlineAssumption] = ()
    currency: str | None = None
    folded: bool = False


def widen_lone_blocks(blocks: Sequence[Figure | Block]) -> list[Figure | Block]:
    """Return the same blocks; a block of half width that would stand alone takes the full width."""
    placed: list[Figure | Block] = []
    alone = False
    for block in [*blocks, None]:
        if alone and (block is None or block.wide):
            placed[-1] = replace(placed[-1], wide=True)
        if block is not None:
            placed.append(block)
            alone = not block.wide and not alone
    return placed


def unknown_note(what: str, why: str | None) -> Block:
    """Return a box that says what is not known and, if the caller gives a reason, why."""
    return Block("gap", {"what": what, "why": why or gettext("no reason was given")})


def note(text: str, tone: Tone = "plain") -> Block:
    """Return a highlighted sentence."""
    return Block("note", {"text": text, "tone": tone})


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], text: str = "", **extra: Any) -> Block:
    """Return a block with one table. Every column but the first is right-aligned unless `words` names it."""
    grid = TextTable(headers, rows, (0, *extra.pop("words", ())))
    return Block("grid", {"grid": grid, "text": text}, title, **extra)


def sentences(title: str, rows: Sequence[str]) -> Block:
    """Return a block of sentences, one below the other."""
    return Block("sentences", {"rows": list(rows)}, title)
