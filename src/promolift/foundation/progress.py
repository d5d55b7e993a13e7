"""How far the steps are, in; shown on stderr, out: a bar for each on a terminal, elsewhere one line as each ends."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Tell = Callable[..., None]  # tell(step, share done, note)


def within(tell: Tell, step: str, start: float, size: float, note: str) -> Callable[[float], None]:
    """What hears a share of its own, 0 to 1, and tells of it as a part of a step."""
    return lambda done: tell(step, start + size * done, note)


@contextmanager
def showing(said: Callable[[str], str] = str) -> Iterator[Tell]:
    """A display for `tell(step, share, note)`; rich is imported only where there is a terminal to draw on.

    `said` puts what steps say in English into the language of who reads it.
    """
    with bars() if sys.stderr.isatty() else lines() as tell:
        yield lambda step, share, note="": tell(said(step), share, said(note))


@contextmanager
def bars() -> Iterator[Tell]:
    """One moving bar per step."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def tell(step: str, share: float, note: str = "") -> None:
            text = f"{step:<9} {note}"[:70].ljust(58)
            if step not in tasks:
                tasks[step] = progress.add_task(text, total=1.0)
            progress.update(tasks[step], completed=share, description=text)

        yield tell


@contextmanager
def lines() -> Iterator[Tell]:
    """One line per step once it has ended: its name, its last note, how long it took; for logs and other programs.

    A step has ended when it says so (share 1), or when all is over; a step that fails gets no line, but its error. What
    says nothing before it ends, such as a step in which nothing changed, took no time that is worth a number.
    """
    began: dict[str, float] = {}
    notes: dict[str, str] = {}

    def end(step: str) -> None:
        took = f", {time.monotonic() - began.pop(step):.1f} s" if step in began else ""
        print(f"{step:<9} {notes[step] or 'done'}{took}", file=sys.stderr, flush=True)

    def tell(step: str, share: float, note: str = "") -> None:
        notes[step] = note
        if share >= 1:
            end(step)
        else:
            began.setdefault(step, time.monotonic())

    yield tell
    for step in [*began]:
        end(step)


def quiet(step: str, share: float, note: str = "") -> None:
    """Nobody asked how far it is."""


@dataclass(frozen=True)
class StepSummary:
    """What a verb did: `figures` for `--json`, and `text` that says the same to a person."""

    text: str
    figures: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(self.figures, ensure_ascii=False, indent=1)

    def adding(self, line: str, **figures: object) -> "StepSummary":
        return StepSummary("\n".join(filter(None, (self.text, line))), {**self.figures, **figures})
