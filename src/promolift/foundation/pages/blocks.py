"""What a chapter is made of: text, figures with their data beside them, tables, cards, and honest gaps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from promolift.foundation.evidence import Level
from promolift.foundation.i18n.translation import kept

Badge = Level | Literal["simulated"]
Tone = Literal["plain", "good", "warn", "bad"]


@dataclass(frozen=True)
class Grid:
    """A table of text cells, columns flush right but those in `words`; `marked` is the row to stand out."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[int] = (0,)
    marked: int | None = None


@dataclass(frozen=True)
class Figure:
    """A chart: what it asks, the finding in words, its data for the script, and the same data as a table."""

    id: str
    title: str
    finding: str
    spec: Mapping[str, Any]
    grid: Grid
    how: str = ""
    n: str = ""
    evidence: Badge | None = None
    wide: bool = False
    tone: Tone = "plain"
    kind: str = "figure"


@dataclass(frozen=True)
class Block:
    """Anything else a template knows by its `kind`; `data` is what that template prints."""

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
    """An interval as positions from 0 to 100, for a small drawing: low, value, high and zero; and in words."""

    low: float
    value: float
    high: float
    zero: float
    low_text: str
    high_text: str
    name: str


@dataclass(frozen=True)
class Big:
    """One number of the first screen; the interval of the largest one is drawn."""

    label: str
    value: str
    sentence: str
    evidence: Badge | None = None
    span: SpanDrawing | None = None


@dataclass(frozen=True)
class Stand:
    """Something the headline stands on and nobody measured: its name, a sentence, the value taken, the value that would
    bring the result to nothing, and the places of both from 0 to 100 for a small drawing; None where no value would.
    """

    name: str
    text: str
    value: str | None = None
    flips_at: str | None = None
    value_at: float = 0.0
    flips_place: float = 0.0


@dataclass(frozen=True)
class Todo:
    """Something to do now: in few words, and what else must be known for it."""

    what: str
    how: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page: whose it is, the first screen (one headline number with `asides` that explain it, what to `do` now,
    what it `stands` on, further numbers), chapters.
    """

    name: str
    eyebrow: str
    facts: Mapping[str, str]
    head: Big
    chapters: Sequence[Chapter]
    bigs: Sequence[Big] = ()
    asides: Sequence[str] = ()
    warning: str = ""
    do: Sequence[Todo] = ()
    stands: Sequence[Stand] = ()
    currency: str | None = None


def balanced(blocks: Sequence[Figure | Block]) -> list[Figure | Block]:
    """The same blocks; one of half width that would stand alone takes the whole width."""
    placed: list[Figure | Block] = []
    alone = False
    for block in [*blocks, None]:
        if alone and (block is None or block.wide):
            placed[-1] = replace(placed[-1], wide=True)
        if block is not None:
            placed.append(block)
            alone = not block.wide and not alone
    return placed


def gap(what: str, why: str | None) -> Block:
    """The honest box: what is not known and, if the caller said so, because of what."""
    return Block("gap", {"what": what, "why": why or kept("no reason was given")})


def note(text: str, tone: Tone = "plain") -> Block:
    """A sentence set apart."""
    return Block("note", {"text": text, "tone": tone})


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], text: str = "", **extra: Any) -> Block:
    """A block of one table; every column but the first is set flush right unless `words` names it."""
    grid = Grid(headers, rows, (0, *extra.pop("words", ())))
    return Block("grid", {"grid": grid, "text": text}, title, **extra)


def sentences(title: str, rows: Sequence[str]) -> Block:
    """Sentences below each other."""
    return Block("sentences", {"rows": list(rows)}, title)
