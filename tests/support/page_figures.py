"""A page and the typed results behind each of its chapters in; the numbers on it that none of them holds out."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from held_numbers import TOKEN, Held, bare, clean, drawn, visible

from promolift.foundation.i18n import formatting
from promolift.foundation.i18n.formatting import count, number
from promolift.foundation.pages.blocks import Figure, Page
from promolift.foundation.pages.rendering import render_page

PRINTERS = (
    "promolift.foundation.i18n.formatting", "promolift.foundation.pages", "promolift.shop.reports",
    "promolift.trials.page", "promolift.trials.policy_chapters", "promolift.trials.analysis.trial_story",
    "promolift.extensions.encoder",
)  # fmt: skip

WRONG: dict[str, Callable[[float], float]] = {  # what a fault makes of a number, by the form in which it is printed
    "money": lambda x: x + 101.0,
    "count": lambda x: x + 5,  # not a week of days
    "percent": lambda x: x + 0.3137,
    "number": lambda x: 1.07 * x + 0.0137,
    "days": lambda x: x + 1.3,
}
Form = Callable[[Any], str]


class Figures(Held):
    """Numbers in the forms that `forms` names by field or by Class.field; left out, a count or a plain number.

    Charts draw them as they are, or `scale` times as large: money of a trial's file, in minor units.
    """

    def __init__(
        self, currency: str, forms: Mapping[str, Sequence[Form]], results: Sequence[Any], scale: float = 1.0
    ) -> None:
        self.forms, self.scale = forms, scale
        super().__init__(currency, results)

    def one(self, name: str, value: object) -> None:
        if isinstance(value, bool | str) or not isinstance(value, int | float):
            super().one(name, value)
            return
        plain: Sequence[Form] = (count if isinstance(value, int) else number,)
        for form in self.forms.get(name) or self.forms.get(name.split(".")[-1]) or plain:
            self.printed |= {bare(token) for token in TOKEN.findall(clean(form(value)))}
        self.raw |= {float(f"{each:.6g}") for each in (value, self.scale * value)}

    def __or__(self, other: "Figures") -> "Figures":
        """What either holds."""
        both = Figures(self.currency, {}, ())
        both.printed, both.raw, both.texts = (
            getattr(self, name) | getattr(other, name) for name in ("printed", "raw", "texts")
        )
        return both

    def named(self, key: str, outer: str) -> str:
        return key

    def many(self, name: str, values: Any) -> None:
        if not is_dataclass(values):
            super().many(name, values)
            return
        kind = type(values)
        if "__str__" in vars(kind):
            self.one(name, str(values))
        derived = [each for each, value in vars(kind).items() if isinstance(value, property)]
        for each in [*(field.name for field in fields(values)), *derived]:
            self.many(f"{kind.__name__}.{each}", getattr(values, each))


def parts(page: Page) -> Iterator[tuple[str, str, list[Figure]]]:
    """The first screen and the chapters: their names, their texts and their charts."""
    html = render_page(page)
    yield "first screen", html[html.index('<header class="hero">') : html.index('<div class="page">')], []
    for chapter in page.chapters:
        text = html.split(f'<section id="{chapter.slug}" class="chapter"')[1].split('<section id="')[0]
        yield chapter.slug, text, [block for block in chapter.blocks if isinstance(block, Figure)]


def strays(page: Page, held: Mapping[str, Held]) -> dict[str, list[Any]]:
    """Numbers that nobody holds, printed or drawn, by chapter."""
    found: dict[str, list[Any]] = {}
    for name, text, figures in parts(page):
        known = held[name]
        found[name] = known.strays(visible(text))
        for figure in figures:
            texts, numbers = drawn(figure.spec)
            found[name] += known.strays(clean(" \n ".join(texts))) + [x for x in numbers if x not in known.raw]
    return {name: some for name, some in found.items() if some}


def add(monkeypatch: pytest.MonkeyPatch, form: str, at: int | None = None) -> list[int]:
    """Let pages add to the numbers that they print in a form: to all, or to that of one call; counts the calls."""
    plain, calls = getattr(formatting, form), [0]

    def wrong(x: Any, *more: Any, **named: Any) -> str:
        calls[0] += 1
        faulty = isinstance(x, int | float) and at in (None, calls[0])
        return str(plain(WRONG[form](x) if faulty else x, *more, **named))

    for name, module in list(sys.modules.items()):
        if name.startswith(PRINTERS) and getattr(module, form, None) is plain:
            monkeypatch.setattr(module, form, wrong)
    return calls


def unseen(form: str, page_of: Callable[[], Page], held: Mapping[str, Held]) -> tuple[int, int]:
    """Of numbers printed in a form, 25 or more if there are, how many could be wrong alone and nobody would see it."""
    with pytest.MonkeyPatch.context() as patch:
        calls = add(patch, form, at=0)
        page_of()
    missed, tried = 0, range(1, calls[0] + 1, max(1, calls[0] // 25))
    for at in tried:
        with pytest.MonkeyPatch.context() as patch:
            add(patch, form, at)
            missed += not strays(page_of(), held)
    return missed, len(tried)


def undrawn(page: Page, held: Mapping[str, Held]) -> tuple[int, int]:
    """Of all numbers that charts draw, how many could be drawn wrong and nobody would see it."""
    moved = [
        (float(f"{WRONG['number'](x):.6g}"), held[name].raw)
        for name, _, figures in parts(page)
        for figure in figures
        for x in drawn(figure.spec)[1]
    ]
    return sum(x in raw for x, raw in moved), len(moved)
