"""Show the progress of steps on stderr: a bar per step on a terminal, elsewhere one line as each step ends."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from promolift.foundation.i18n.catalogue import current_locale, gettext, pgettext, use_locale
from promolift.foundation.i18n.lazy_message import render_message

Progress = Callable[..., None]  # tell(step, share done, note)


def sub_progress(tell: Progress, step: str, start: float, size: float, note: str) -> Callable[[float], None]:
    """Return a callback that takes a share from 0 to 1 and reports it as a part of a step."""
    return lambda done: tell(step, start + size * done, note)


@contextmanager
def show_progress() -> Iterator[Progress]:
    """Open a display for `progress(step, share, note)`. rich is imported only if stderr is a terminal.

    Steps and notes are messages. They are shown in the language in use when the display opens, whichever thread reports
    them. `pgettext_noop("step", ...)` marks the name of a step.
    """
    language = current_locale()

    def show(step: str, share: float, note: str = "") -> None:
        with use_locale(language):
            tell(pgettext("step", step), share, render_message(note))

    with progress_bars() if sys.stderr.isatty() else progress_lines() as tell:
        yield show


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Show one moving bar per step."""
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
def progress_lines() -> Iterator[Progress]:
    """Print one line per step once it has ended: its name, its last note, how long it took. For logs and other
    programs.

    A step has ended when it says so (share 1), or when all is over; a step that fails gets no line, but its error. What
    says nothing before it ends, such as a step in which nothing changed, took no time that is worth a number.
    """
    began: dict[str, float] = {}
    notes: dict[str, str] = {}

    def end(step: str) -> None:
        said = notes[step] or gettext("done")
        if step in began:
            said = gettext("{what}, {seconds} s", what=said, seconds=f"{time.monotonic() - began.pop(step):.1f}")
        print(f"{step:<9} {said}", file=sys.stderr, flush=True)

    def tell(step: str, share: float, note: str = "") -> None:
        notes[step] = note
        if share >= 1:
            end(step)
        else:
            began.setdefault(step, time.monotonic())

    yield tell
    for step in [*began]:
        end(step)


def no_progress(step: str, share: float, note: str = "") -> None:
    """Report nothing."""


@dataclass(frozen=True)
class StepSummary:
    """The result of a command: `figures` for `--json`, and `text` with the same content for people.

    The text is a message, or stands in the language in use when it was made.
    """

    text: str
    figures: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(self.figures, ensure_ascii=False, indent=1)

    def with_line(self, line: str, **figures: object) -> "StepSummary":
        """Return the summary with a further line, in the language in use, and further figures."""
        lines = [render_message(each) for each in (self.text, line) if each]
        return StepSummary("\n".join(lines), {**self.figures, **figures})
